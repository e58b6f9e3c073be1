/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file that loaders take: a 32-bit ELF, as Multiboot wants it, around the hypervisor's own
 * image. The image begins with the jumps of its entries (entry.S), at offsets 0 and 16.
 */
#include "hosts/metal/layout.h"

	.section .image, "awx", @progbits
	.globl image_start, image_pvh
image_start:
	.incbin IMAGE_FILE
	.set image_pvh, image_start + 16

	.section .bss, "aw", @nobits
	.skip IMAGE_BSS

	/* The PVH entry: XEN_ELFNOTE_PHYS32_ENTRY. */
	.section .note.pvh, "a", @note
	.long 4, 4, 18
	.asciz "Xen"
	.long IMAGE_LOAD + 16

	.section .note.GNU-stack, "", @progbits
