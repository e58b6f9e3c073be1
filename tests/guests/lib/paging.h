/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page tables of a guest. The identity map of the first 4 GiB is made at the entry, for user and
 * kernel, in pages of 2 MiB. Tests map what they need above it, at TEST_VA and up.
 */
#ifndef GUEST_PAGING_H
#define GUEST_PAGING_H

#include "guest.h"

#define PTE_P (1ull << 0)
#define PTE_W (1ull << 1)
#define PTE_U (1ull << 2)
#define PTE_PCD (1ull << 4)
#define PTE_A (1ull << 5)
#define PTE_D (1ull << 6)
#define PTE_PS (1ull << 7)
#define PTE_G (1ull << 8)
#define PTE_NX (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

#define PF_P (1u << 0)
#define PF_W (1u << 1)
#define PF_U (1u << 2)
#define PF_R (1u << 3)
#define PF_I (1u << 4)

#define TEST_VA 0x4000000000ull

/* A zeroed page out of RAM behind the image; physical and virtual address are one. Never freed. */
void *page_alloc(void);
/* Contiguous pages, not zeroed, aligned to their first `align` bytes (a power of two). */
void *pages_alloc(u64 count, u64 align);
/* The end of RAM below 4 GiB, from the PVH memory map. */
u64 ram_end(void);

/*
 * The entry that maps va at `level` (1: 4 KiB, 2: 2 MiB, 3: 1 GiB), with tables made and large
 * pages split.
 */
u64 *page_entry(u64 va, u32 level);
/* Maps va to pa by a 4 KiB entry, and takes the old translation out of this CPU's TLB. */
void page_map(u64 va, u64 pa, u64 flags);

#endif
