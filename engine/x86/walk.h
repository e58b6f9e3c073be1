/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The guest page walk: a linear address to a guest physical one, as the guest's own tables have it,
 * with the faults that the hardware would raise. The emulator's memory operations use it, and
 * whoever translates for a debugger. It caches nothing: a walk always sees the tables as they are
 * now.
 *
 * Paging off, 32-bit with 4 MiB pages, PAE, 4 and 5 levels (APM volume 2, chapter 5). Linear
 * addresses are taken as canonical.
 */
#ifndef BV_X86_WALK_H
#define BV_X86_WALK_H

#include "bv/x86.h"
#include "x86/emulate.h" /* BV_ACCESS_* */

/* Table entries in guest physical memory. .bytes is 4 or 8, the address aligned to it. */
struct bv_walk_ops {
	/* False: there is no memory. */
	bool (*read)(void *owner, u64 gpa, void *entry, unsigned int bytes);
	/*
	 * Atomic. 0: done. -BV_EAGAIN: the entry was not *old (which may have been updated), walk
	 * again. Anything else: cannot be written, the accessed or dirty bit stays clear.
	 */
	int (*cmpxchg)(void *owner, u64 gpa, u64 *old, u64 new_value, unsigned int bytes);
};

struct bv_walk {
	/* The caller's. */
	u64 cr0, cr3, cr4, efer, rflags;
	u32 pkru;
	u8 cpl;
	u8 phys_bits; /* physical address width: bits above are reserved */
	bool peek; /* look only: no permission checks, no accessed and dirty bits */
	const u64 *pdpte; /* PAE: the four loaded entries; NULL: those in memory */
	const struct bv_walk_ops *ops;
	void *owner;

	/* Results. */
	u32 error; /* after a failure: the page fault's error code */
	u8 page_shift; /* after success: 12, 21, 22 or 30; 12 without paging */
	bool writable; /* what the entries of all levels allow */
	bool user;
};

/*
 * Translates. .access is of BV_ACCESS_*; with BV_ACCESS_IMPLICIT a supervisor access whatever the
 * CPL. False: #PF with .error (and .gva for CR2). Accessed and dirty bits are set as by the
 * hardware.
 */
bool bv_walk(struct bv_walk *walk, u64 gva, u32 access, u64 *gpa);

#endif
