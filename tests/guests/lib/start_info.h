/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The library's own seams: what its files need of each other at the start, and PVH's start info
 * (version 1, from the public header xen/include/public/arch-x86/hvm/start_info.h).
 */
#ifndef GUEST_START_INFO_H
#define GUEST_START_INFO_H

#include "guest.h"

#define START_INFO_MAGIC 0x336ec578u

struct start_info {
	u32 magic, version, flags, nr_modules;
	u64 modlist_paddr, cmdline_paddr, rsdp_paddr;
	/* Version 1 and up: */
	u64 memmap_paddr;
	u32 memmap_entries, reserved;
};

struct start_info_memmap {
	u64 address, size;
	u32 type, reserved;
};

#define START_INFO_RAM 1

struct start_info_module {
	u64 address, size, cmdline_paddr, reserved;
};

void start_info_read(const struct start_info *info);
/* What the loader has put beside this guest; ends the guest where it has put nothing. */
const void *first_module(void);
/* Fills `machine` from ACPI's MADT. */
void machine_find(void);
void machine_rsdp_set(u64 address);
void console_init(void);
void say_list(const char *format, va_list args);

#endif
