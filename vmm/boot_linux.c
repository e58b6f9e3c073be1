// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Linux's boot protocol (Documentation/x86/boot.rst of the kernel): a bzImage by its 64-bit entry
 * if it has one, else by its 32-bit entry.
 */
#include "vmm/boot.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HEADER_AT 0x1f1
#define MAGIC_AT 0x202
#define HDRS 0x53726448u
#define LOADER_UNKNOWN 0xff
#define ENTRY_64 0x200
#define LOW_KERNEL 0x100000u

static int read_header(struct boot *boot, struct setup_header *header, struct why *why)
{
	uint8_t sector[1024];
	uint32_t magic;
	size_t size;

	if (pread(boot->kernel, sector, sizeof(sector), 0) != (ssize_t)sizeof(sector))
		return why_set(why, "the kernel is too short to be one");
	memcpy(&magic, sector + MAGIC_AT, sizeof(magic));
	if (sector[0x1fe] != 0x55 || sector[0x1ff] != 0xaa || magic != HDRS)
		return why_set(why, "the kernel is neither a bzImage nor an ELF file");
	size = HEADER_AT + 0x11 + sector[0x201];
	if (size > sizeof(sector) || size < HEADER_AT + 0x50)
		return why_set(why, "the kernel has no header of Linux's boot protocol");
	size -= HEADER_AT;
	memset(header, 0, sizeof(*header));
	memcpy(header, sector + HEADER_AT, size < sizeof(*header) ? size : sizeof(*header));
	if (header->version < 0x20a || !(header->loadflags & LOADED_HIGH))
		return why_set(why, "the kernel's boot protocol %u.%u is too old; 2.10 is wanted",
			       header->version >> 8, header->version & 0xff);
	return 0;
}

/* Where it wants to be; lower if memory is short and it does not mind. */
static int place_kernel(struct boot *boot, struct vm *vm, const struct setup_header *header,
			uint64_t *gpa, struct why *why)
{
	uint64_t setup = (header->setup_sects ? header->setup_sects : 4u) * 512u + 512;
	uint64_t size = boot->kernel_size > setup ? boot->kernel_size - setup : 0;
	uint64_t need = header->init_size > size ? header->init_size : size;
	uint64_t align = header->kernel_alignment ? header->kernel_alignment : LOW_KERNEL;

	*gpa = header->pref_address;
	if (*gpa + need > vm->mem.low_end && header->relocatable_kernel)
		*gpa = (LOW_KERNEL + align - 1) & ~(align - 1);
	if (*gpa < LOW_KERNEL || *gpa + need > vm->mem.low_end)
		return why_set(why,
			       "%llu MiB of memory are too little for this kernel: it wants %llu",
			       (unsigned long long)vm->mem.size >> 20,
			       (unsigned long long)(*gpa + need + (1 << 20) - 1) >> 20);
	if (boot_read(vm, boot->kernel, setup, *gpa, size))
		return why_set(why, "the kernel cannot be read: %s", strerror(errno));
	return 0;
}

static void fill_map(struct vm *vm, struct boot_params *params)
{
	struct boot_region regions[BOOT_REGIONS];
	unsigned int i, count = boot_regions(vm, regions);

	for (i = 0; i < count; i++) {
		params->e820_table[i].addr = regions[i].start;
		params->e820_table[i].size = regions[i].size;
		params->e820_table[i].type = regions[i].type;
	}
	params->e820_entries = (uint8_t)count;
}

/* The first 4 GiB, one to one, in pages of 2 MiB. */
static void place_page_tables(struct vm *vm)
{
	uint64_t *table = mem_at(&vm->mem, BOOT_PML4, 6 * 4096);
	unsigned int i;

	memset(table, 0, 2 * 4096);
	table[0] = (BOOT_PML4 + 4096) | 3;
	for (i = 0; i < 4; i++)
		table[512 + i] = (BOOT_PML4 + (2 + i) * 4096u) | 3;
	for (i = 0; i < 4 * 512; i++)
		table[1024 + i] = (uint64_t)i << 21 | 0x83;
}

static void set_start(struct vm *vm, const struct setup_header *header, uint64_t kernel,
		      struct hv_start *start)
{
	bool long_mode = header->version >= 0x20c && (header->xloadflags & XLF_KERNEL_64);

	boot_place_gdt(vm, long_mode, start);
	start->rsi = BOOT_ZERO_PAGE;
	start->rsp = BOOT_STACK;
	start->mode = long_mode ? HV_START_LONG : HV_START_PROTECTED;
	start->rip = kernel + (long_mode ? ENTRY_64 : 0);
	start->cr3 = BOOT_PML4;
	if (long_mode)
		place_page_tables(vm);
}

int boot_load_linux(struct boot *boot, struct vm *vm, struct hv_start *start, struct why *why)
{
	struct boot_params *params = mem_at(&vm->mem, BOOT_ZERO_PAGE, sizeof(*params));
	struct setup_header header;
	uint64_t kernel, initrd, limit;

	if (read_header(boot, &header, why) || place_kernel(boot, vm, &header, &kernel, why) ||
	    boot_place_cmdline(vm, (size_t)header.cmdline_size + 1, why))
		return -1;
	limit = header.initrd_addr_max ? header.initrd_addr_max : 0x37ffffff;
	if (boot_place_initrd(boot, vm, limit, &initrd, why))
		return -1;
	memset(params, 0, sizeof(*params));
	params->hdr = header;
	params->hdr.type_of_loader = LOADER_UNKNOWN;
	params->hdr.code32_start = (uint32_t)kernel;
	params->hdr.ramdisk_image = (uint32_t)initrd;
	params->hdr.ramdisk_size = initrd ? (uint32_t)boot->initrd_size : 0;
	params->hdr.cmd_line_ptr = BOOT_CMDLINE;
	params->acpi_rsdp_addr = BOOT_ACPI;
	fill_map(vm, params);
	set_start(vm, &header, kernel, start);
	return 0;
}
