// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Run in Dom0 by xen-iommu, xen-dom0 and xen-dma: has QEMU's edu device (docs/specs/edu of QEMU)
 * copy memory by DMA, and says what it reaches: pages of this process, the hypervisor's image,
 * which is known by its Multiboot header, and a page at the address in the first argument, in which
 * there is something.
 */
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul
#define PAGES 16384ul
#define LENGTH 2048ul /* of a copy: the device's buffer is a page, and refuses to be filled */
#define REACH (1ull << 28) /* what the device can address */
#define BUFFER 0x40000ull /* in the device */
#define SOURCE 0x80
#define TARGET 0x88
#define BYTES 0x90
#define COMMAND 0x98
#define GO 1ull
#define TO_MEMORY 2ull
#define IMAGE 0x200000ull
#define MAGIC 0x1badb002u

static volatile uint8_t *registers;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int open_in(const char *folder, const char *name, int flags)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return open(path, flags);
}

/* Lets the device in a folder of sysfs do DMA, if it is the one. */
static int take_device(const char *folder)
{
	int config = open_in(folder, "config", O_RDWR), enable, bar;
	uint32_t id = 0;
	uint16_t memory_and_master = 6;

	if (config < 0 || pread(config, &id, 4, 0) != 4 || id != 0x11e81234) {
		close(config);
		return 0;
	}
	enable = open_in(folder, "enable", O_WRONLY);
	if (write(enable, "1", 1) != 1 || pwrite(config, &memory_and_master, 2, 4) != 2)
		die("the device is not enabled");
	bar = open_in(folder, "resource0", O_RDWR);
	registers = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, bar, 0);
	if (registers == MAP_FAILED)
		die("its registers");
	return 1;
}

static void find_device(void)
{
	glob_t found;

	glob("/sys/bus/pci/devices/*", 0, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc; i++)
		if (take_device(found.gl_pathv[i]))
			return;
	die("no edu device");
}

/* The next page from *at on that the device can address. */
static uint64_t low_page(uint8_t *memory, size_t *at)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY);

	for (; *at < PAGES; (*at)++) {
		uint64_t entry = 0, physical;

		memory[*at * PAGE] = 1;
		if (pread(pagemap, &entry, 8, (off_t)((uintptr_t)memory / PAGE + *at) * 8) != 8)
			die("pagemap");
		physical = (entry & ((1ull << 55) - 1)) * PAGE;
		if (entry >> 63 && physical && physical + PAGE <= REACH) {
			close(pagemap);
			return physical;
		}
	}
	fprintf(stderr, "no page that the device can address\n");
	exit(1);
}

static void set(unsigned int reg, uint64_t value)
{
	*(volatile uint64_t *)(registers + reg) = value;
}

static void copy(uint64_t from, uint64_t to, uint64_t how)
{
	set(SOURCE, from);
	set(TARGET, to);
	set(BYTES, LENGTH);
	set(COMMAND, GO | how);
	while (*(volatile uint64_t *)(registers + COMMAND) & GO)
		usleep(10000);
}

static int has_magic(const uint8_t *page)
{
	for (size_t i = 0; i + 4 <= LENGTH; i += 4)
		if (*(const uint32_t *)(page + i) == MAGIC)
			return 1;
	return 0;
}

/* Neither what a page without anything has, nor what reads as nothing. */
static int has_content(const uint8_t *page)
{
	size_t bytes = 0;

	for (size_t i = 0; i < LENGTH; i++)
		bytes += page[i] && page[i] != 0xff;
	return bytes > LENGTH / 8;
}

int main(int count, char **words)
{
	uint8_t *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t at = 0, first;
	uint64_t here, there;

	find_device();
	here = low_page(memory, &at);
	first = at++;
	there = low_page(memory, &at);
	for (size_t i = 0; i < LENGTH; i++)
		memory[first * PAGE + i] = (uint8_t)(i * 7 + i / 256);
	copy(here, BUFFER, 0);
	copy(BUFFER, there, TO_MEMORY);
	printf("own memory: %sreached\n",
	       memcmp(memory + first * PAGE, memory + at * PAGE, LENGTH) ? "not " : "");
	copy(IMAGE, BUFFER, 0);
	copy(BUFFER, there, TO_MEMORY);
	printf("hypervisor: %sreached\n", has_magic(memory + at * PAGE) ? "" : "not ");
	if (count < 2)
		return 0;
	memset(memory + first * PAGE, 0, LENGTH);
	copy(here, BUFFER, 0);
	copy(strtoull(words[1], NULL, 0), BUFFER, 0);
	copy(BUFFER, there, TO_MEMORY);
	printf("that page: %sreached\n", has_content(memory + at * PAGE) ? "" : "not ");
	return 0;
}
