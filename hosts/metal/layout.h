/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where things lie, for C, assembly and the linker script.
 *
 * Virtual: the image at IMAGE_BASE, all machine memory at DIRECT_BASE + its address. Both are in
 * the part of the upper half that Xen's ABI keeps for a hypervisor, so that PV guests can have the
 * rest.
 */
#ifndef METAL_LAYOUT_H
#define METAL_LAYOUT_H

#define IMAGE_LOAD 0x200000 /* machine address */
#define IMAGE_BASE 0xffff82d040000000
#define IMAGE_SLOT 261 /* in the top-level page table */
#define IMAGE_PDPT_SLOT 321
#define DIRECT_BASE 0xffff830000000000
#define DIRECT_SLOT 262

/* The page below 1 MiB where application processors begin. */
#define TRAMPOLINE 0x8000

/* Selectors. */
#define SEL_CODE64 0x08
#define SEL_DATA 0x10
#define SEL_CODE32 0x18
#define SEL_TSS 0x20

#define STACK_ORDER 2
#define STACK_BYTES (4096 << STACK_ORDER)

#define BOOT_MULTIBOOT1 1
#define BOOT_MULTIBOOT2 2
#define BOOT_PVH 3

#endif
