// SPDX-License-Identifier: GPL-2.0-or-later
/* What the VM starts with: see boot.h. */
#include "vmm/boot.h"
#include "vmm/acpi.h"
#include "vmm/flash.h"
#include "vmm/pci.h"
#include "vmm/smbios.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_file(const char *path, const char *what, uint64_t *size, struct why *why)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return why_set(why, "the %s %s cannot be opened: %s", what, path, strerror(errno));
	if (fstat(fd, &status) || !S_ISREG(status.st_mode) || status.st_size == 0) {
		close(fd);
		return why_set(why, "the %s %s is no file with anything in it", what, path);
	}
	*size = (uint64_t)status.st_size;
	return fd;
}

int boot_open(struct boot *boot, struct vm *vm, struct why *why)
{
	const struct vmm_config *config = vm->config;

	*boot = (struct boot){ -1, -1, 0, 0 };
	if (!config->kernel == !config->firmware)
		return why_set(why,
			       "a VM starts with a kernel or with firmware, exactly one of them");
	if (config->initrd && !config->kernel)
		return why_set(why, "an initrd needs a kernel to go with");
	if (config->kernel) {
		boot->kernel = open_file(config->kernel, "kernel", &boot->kernel_size, why);
		if (boot->kernel < 0)
			return -1;
	}
	if (config->initrd) {
		boot->initrd = open_file(config->initrd, "initrd", &boot->initrd_size, why);
		if (boot->initrd < 0)
			return -1;
	}
	return config->firmware ? flash_open(vm, why) : 0;
}

void boot_close(struct boot *boot)
{
	if (boot->kernel >= 0)
		close(boot->kernel);
	if (boot->initrd >= 0)
		close(boot->initrd);
}

int boot_read(struct vm *vm, int fd, uint64_t offset, uint64_t gpa, uint64_t size)
{
	uint8_t *to = mem_at(&vm->mem, gpa, size);

	while (to && size) {
		ssize_t count = pread(fd, to, size, (off_t)offset);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return -1;
		to += count;
		offset += (uint64_t)count;
		size -= (uint64_t)count;
	}
	return to ? 0 : -1;
}

unsigned int boot_regions(struct vm *vm, struct boot_region *regions)
{
	const struct mem *mem = &vm->mem;
	unsigned int count = 0;

	regions[count++] = (struct boot_region){ 0, BOOT_EBDA, 1 };
	regions[count++] = (struct boot_region){ BOOT_EBDA, MEM_VGA_START - BOOT_EBDA, 2 };
	regions[count++] = (struct boot_region){ 0xe0000, 0x20000, 2 };
	regions[count++] = (struct boot_region){ 0x100000, mem->low_end - 0x100000, 1 };
	if (vm->pci->ecam)
		regions[count++] = (struct boot_region){ vm->pci->ecam, PCI_ECAM_SIZE, 2 };
	regions[count++] = (struct boot_region){ 0xfeffc000, 0x4000, 2 };
	if (mem->size > mem->low_end)
		regions[count++] =
			(struct boot_region){ MEM_HIGH_START, mem->size - mem->low_end, 1 };
	return count;
}

int boot_place_initrd(struct boot *boot, struct vm *vm, uint64_t limit, uint64_t *gpa,
		      struct why *why)
{
	uint64_t end = vm->mem.low_end;

	*gpa = 0;
	if (boot->initrd < 0)
		return 0;
	if (limit + 1 < end)
		end = limit + 1;
	if (boot->initrd_size + (32u << 20) > end)
		return why_set(why, "%llu MiB of memory are too little for an initrd of %llu MiB",
			       (unsigned long long)vm->mem.size >> 20,
			       (unsigned long long)boot->initrd_size >> 20);
	*gpa = (end - boot->initrd_size) & ~0xfffull;
	if (boot_read(vm, boot->initrd, 0, *gpa, boot->initrd_size))
		return why_set(why, "the initrd cannot be read: %s", strerror(errno));
	return 0;
}

int boot_place_cmdline(struct vm *vm, size_t max, struct why *why)
{
	const char *append = vm->config->append ? vm->config->append : "";
	size_t size = strlen(append) + 1;

	if (size > max || size > BOOT_CMDLINE_MAX)
		return why_set(why, "the kernel's command line has %zu characters; it takes %zu",
			       size - 1, max - 1);
	mem_write(&vm->mem, BOOT_CMDLINE, append, size);
	return 0;
}

void boot_place_gdt(struct vm *vm, bool code64, struct hv_start *start)
{
	const uint64_t gdt[4] = { 0, 0, code64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff,
				  0x00cf93000000ffff };

	mem_write(&vm->mem, BOOT_GDT, gdt, sizeof(gdt));
	start->gdt = BOOT_GDT;
	start->gdt_limit = sizeof(gdt) - 1;
}

static int load_kernel(struct boot *boot, struct vm *vm, struct hv_start *start, struct why *why)
{
	struct acpi acpi;
	int error;

	pci_place_all(vm->pci);
	error = acpi_build(&acpi, vm);
	if (!error) {
		error = acpi_install(&acpi, vm, BOOT_ACPI);
		acpi_fini(&acpi);
	}
	if (error || smbios_install(vm, BOOT_SMBIOS))
		return why_set(why, "the machine's tables do not fit into memory");
	if (boot_is_elf(boot))
		return boot_load_elf(boot, vm, start, why);
	return boot_load_linux(boot, vm, start, why);
}

int boot_load(struct boot *boot, struct vm *vm, struct hv_start *start, struct why *why)
{
	memset(start, 0, sizeof(*start));
	if (boot->kernel >= 0)
		return load_kernel(boot, vm, start, why);
	flash_load(vm);
	start->mode = HV_START_RESET;
	return 0;
}
