/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
#ifndef BV_X86_WALK_H
#define BV_X86_WALK_H
#include "x86/emulate.h"
#include "bv/x86.h"
struct bv_walk_ops {
	bool (*read)(void *owner, u64 gpa, void *entry, unsigned int bytes);
	int (*cmpxchg)(void *owner, u64 gpa, u64 *old, u64 new_value, unsigned int bytes);
};
struct bv_walk {
	u64 cr0, cr3, cr4, efer, rflags;
	u32 pkru;
	u8 cpl, phys_bits;
	const struct bv_walk_ops *ops;
	void *owner;
	u32 error; /* result: page-fault error code */
};
bool bv_walk(struct bv_walk *walk, u64 gva, u32 access, u64 *gpa);
#endif
