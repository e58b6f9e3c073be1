/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the VM starts with: a kernel put into memory as its loader would have done it, or firmware.
 * Files are opened once, at the start; each reset loads from them again.
 */
#ifndef VMM_BOOT_H
#define VMM_BOOT_H

#include "vmm/vm.h"

struct boot {
	int kernel, initrd;
	uint64_t kernel_size, initrd_size;
};

/* Where a loader puts things; all below MEM_VGA_START but the last two. */
enum {
	BOOT_GDT = 0x500,
	BOOT_START_INFO = 0x6000, /* PVH */
	BOOT_ZERO_PAGE = 0x7000, /* Linux */
	BOOT_PML4 = 0x9000, /* and five pages after it */
	BOOT_STACK = 0x1f000,
	BOOT_CMDLINE = 0x20000,
	BOOT_CMDLINE_MAX = 0x10000,
	BOOT_EBDA = 0x9fc00,
	BOOT_ACPI = 0xe0000,
	BOOT_SMBIOS = 0xf0000,
};

struct boot_region {
	uint64_t start, size;
	uint32_t type; /* as in e820: 1 RAM, 2 reserved */
};

#define BOOT_REGIONS 8

int boot_open(struct boot *boot, struct vm *vm, struct why *why);
void boot_close(struct boot *boot);

/* Memory is as it was left: puts everything in its place and says how vCPU 0 begins. */
int boot_load(struct boot *boot, struct vm *vm, struct hv_start *start, struct why *why);

/* The parts of boot_load(). */
unsigned int boot_regions(struct vm *vm, struct boot_region *regions);
bool boot_is_elf(const struct boot *boot);
int boot_load_linux(struct boot *boot, struct vm *vm, struct hv_start *start, struct why *why);
int boot_load_elf(struct boot *boot, struct vm *vm, struct hv_start *start, struct why *why);
/* A part of a file into guest memory. */
int boot_read(struct vm *vm, int fd, uint64_t offset, uint64_t gpa, uint64_t size);
/* The initrd below a limit; its address, 0 if there is none. -1 with why. */
int boot_place_initrd(struct boot *boot, struct vm *vm, uint64_t limit, uint64_t *gpa,
		      struct why *why);
int boot_place_cmdline(struct vm *vm, size_t max, struct why *why);
void boot_place_gdt(struct vm *vm, bool code64, struct hv_start *start);

#endif
