// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/*
 * The guest page walk; see walk.h.
 *
 * The hardware's order, which a guest sees in the error code: at each level first "not present", then reserved
 * bits; permissions only when the last entry has been found. Accessed bits of the upper levels are set on the way
 * down, the last entry's bits only if the access is permitted.
 */
#include "bv/errno.h"
#include "x86/walk.h"

#define BV_PTE_ADDRESS 0x000ffffffffff000ull

/* How often a walk starts anew because somebody else changes the tables; then it goes on without A and D. */
#define BV_WALK_RETRIES 16

enum walk_rc {
	WALK_DONE,
	WALK_FAULT,
	WALK_AGAIN,
};

/* What one walk has found so far. */
struct walk_at {
	u64 gva;
	u64 address; /* of the entry */
	u64 entry;
	u64 allowed; /* all entries' W and U */
	u64 denied; /* any entry's NX */
	u64 reserved; /* bits that no entry may have */
	u32 access;
	u8 level;
	u8 bits; /* of the address a level translates */
	u8 entry_size;
	bool last_try; /* accessed and dirty bits are not worth another one */
};

static bool walk_is_user(const struct bv_walk *walk, u32 access)
{
	return walk->cpl == 3 && !(access & BV_ACCESS_IMPLICIT);
}

static bool walk_is_write(u32 access)
{
	return access & (BV_ACCESS_WRITE | BV_ACCESS_RMW);
}

/* The bits of the error code that only depend on the access. */
static u32 walk_error(const struct bv_walk *walk, u32 access)
{
	bool nx = (walk->efer & BV_EFER_NXE) && (walk->cr4 & BV_CR4_PAE);
	u32 error = 0;

	if (walk_is_write(access))
		error |= BV_PF_WRITE;
	if (walk_is_user(walk, access))
		error |= BV_PF_USER;
	if ((access & BV_ACCESS_FETCH) && (nx || (walk->cr4 & BV_CR4_SMEP)))
		error |= BV_PF_FETCH;
	return error;
}

static enum walk_rc walk_read(struct bv_walk *walk, struct walk_at *at)
{
	at->entry = 0;
	if (!walk->ops->read(walk->owner, at->address, &at->entry, at->entry_size) ||
	    !(at->entry & BV_PTE_P))
		return WALK_FAULT;
	return WALK_DONE;
}

static enum walk_rc walk_reserved(struct bv_walk *walk)
{
	walk->error |= BV_PF_PRESENT | BV_PF_RESERVED;
	return WALK_FAULT;
}

/* Sets accessed and dirty bits that are still clear. */
static enum walk_rc walk_mark(struct bv_walk *walk, struct walk_at *at, u64 bits)
{
	u64 old = at->entry;

	if (bv_likely((at->entry & bits) == bits) || walk->peek)
		return WALK_DONE;
	if (walk->ops->cmpxchg(walk->owner, at->address, &old, at->entry | bits, at->entry_size) ==
		    -BV_EAGAIN &&
	    !at->last_try)
		return WALK_AGAIN;
	return WALK_DONE;
}

/* Does the entry end the walk? */
static bool walk_is_leaf(const struct bv_walk *walk, const struct walk_at *at)
{
	if (at->level == 1)
		return true;
	if (!(at->entry & BV_PTE_PS))
		return false;
	if (at->entry_size == 4)
		return walk->cr4 & BV_CR4_PSE;
	return at->level <= 3;
}

/* Reserved bits of an entry, beyond at->reserved, which every entry has. */
static u64 walk_reserved_bits(const struct walk_at *at, bool leaf)
{
	if (at->level == 1)
		return 0;
	if (!leaf) /* a large page where there is none */
		return at->level > 3 ? BV_PTE_PS : 0;
	if (at->entry_size == 4)
		return BV_BIT(21);
	/* below the page's address, but for PAT in bit 12 */
	return (BV_BIT(12 + (at->level - 1) * 9) - 1) & ~(BV_BIT(13) - 1);
}

static enum walk_rc walk_level(struct bv_walk *walk, struct walk_at *at, u64 table, bool *leaf)
{
	unsigned int shift = 12 + (at->level - 1u) * at->bits;
	u64 index = (at->gva >> shift) & ((1u << at->bits) - 1);
	enum walk_rc rc;

	at->address = table + index * at->entry_size;
	rc = walk_read(walk, at);
	if (rc)
		return rc;
	*leaf = walk_is_leaf(walk, at);
	if (at->entry & (at->reserved | walk_reserved_bits(at, *leaf)))
		return walk_reserved(walk);
	at->allowed &= at->entry;
	at->denied |= at->entry;
	return WALK_DONE;
}

/* The protection key of a user page (APM volume 2, 5.6.7): data accesses in long mode only. */
static bool walk_key_permits(struct bv_walk *walk, const struct walk_at *at)
{
	unsigned int key = at->entry >> BV_PTE_PKEY_SHIFT & 15;
	u32 rights = walk->pkru >> (key * 2);
	bool denied = rights & 1;

	if (!(walk->cr4 & BV_CR4_PKE) || !(walk->efer & BV_EFER_LMA) || !(at->allowed & BV_PTE_U) ||
	    (at->access & BV_ACCESS_FETCH))
		return true;
	if (walk_is_write(at->access) && (rights & 2))
		denied = denied || walk_is_user(walk, at->access) || (walk->cr0 & BV_CR0_WP);
	if (denied)
		walk->error |= BV_PF_PKEY;
	return !denied;
}

/* SMEP and SMAP: what the supervisor may not do with user pages. */
static bool walk_supervisor_permits(const struct bv_walk *walk, u32 access)
{
	if (access & BV_ACCESS_FETCH)
		return !(walk->cr4 & BV_CR4_SMEP);
	if (!(walk->cr4 & BV_CR4_SMAP))
		return true;
	return !(access & BV_ACCESS_IMPLICIT) && (walk->rflags & BV_RFLAGS_AC);
}

static bool walk_permits(struct bv_walk *walk, const struct walk_at *at)
{
	bool user = walk_is_user(walk, at->access);
	bool keys = walk_key_permits(walk, at);

	walk->error |= BV_PF_PRESENT;
	if ((at->access & BV_ACCESS_FETCH) && (at->denied & BV_PTE_NX))
		return false;
	if (at->allowed & BV_PTE_U ? !user && !walk_supervisor_permits(walk, at->access) : user)
		return false;
	if (walk_is_write(at->access) && !(at->allowed & BV_PTE_W) &&
	    (user || (walk->cr0 & BV_CR0_WP)))
		return false;
	return keys;
}

static u64 walk_result(const struct bv_walk *walk, const struct walk_at *at)
{
	u64 mask = BV_BIT(walk->page_shift) - 1;
	u64 base = at->entry & BV_PTE_ADDRESS;

	if (at->entry_size == 4 && at->level == 2) /* PSE-36: bits 13 to 20 are 32 to 39 */
		base |= (at->entry & 0x1fe000) << 19;
	return (base & ~mask) | (at->gva & mask);
}

/* The first level of PAE has four entries with bits of their own, which take no part in permissions. */
static enum walk_rc walk_pdpte(struct bv_walk *walk, struct walk_at *at, u64 *table)
{
	unsigned int index = at->gva >> 30 & 3;

	at->address = (walk->cr3 & 0xffffffe0) + index * 8u;
	if (walk->pdpte) {
		at->entry = walk->pdpte[index];
		if (!(at->entry & BV_PTE_P))
			return WALK_FAULT;
	} else {
		if (walk_read(walk, at))
			return WALK_FAULT;
		if (at->entry & (at->reserved | 0x1e6 | BV_PTE_NX))
			return walk_reserved(walk);
	}
	*table = at->entry & BV_PTE_ADDRESS;
	return WALK_DONE;
}

/* Where the walk starts, by paging mode. */
static enum walk_rc walk_begin(struct bv_walk *walk, struct walk_at *at, u64 *table)
{
	at->allowed = BV_PTE_W | BV_PTE_U;
	at->denied = 0;
	if (!(walk->cr4 & BV_CR4_PAE)) {
		at->gva = (u32)at->gva;
		at->level = 2;
		at->bits = 10;
		at->entry_size = 4;
		at->reserved = 0;
		*table = walk->cr3 & 0xfffff000;
		return WALK_DONE;
	}
	at->bits = 9;
	at->entry_size = 8;
	at->reserved = walk->efer & BV_EFER_NXE ? 0 : BV_PTE_NX;
	if (walk->phys_bits < 52)
		at->reserved |= BV_PTE_ADDRESS & ~(BV_BIT(walk->phys_bits) - 1);
	if (walk->efer & BV_EFER_LMA) {
		at->level = walk->cr4 & BV_CR4_LA57 ? 5 : 4;
		*table = walk->cr3 & BV_PTE_ADDRESS;
		return WALK_DONE;
	}
	at->reserved |= 0x7ff0000000000000;
	at->gva = (u32)at->gva;
	at->level = 2;
	return walk_pdpte(walk, at, table);
}

static enum walk_rc walk_once(struct bv_walk *walk, struct walk_at *at, u64 *gpa)
{
	enum walk_rc rc;
	bool leaf;
	u64 table;

	rc = walk_begin(walk, at, &table);
	if (rc)
		return rc;
	for (;; at->level--) {
		rc = walk_level(walk, at, table, &leaf);
		if (rc)
			return rc;
		if (leaf)
			break;
		rc = walk_mark(walk, at, BV_PTE_A);
		if (rc)
			return rc;
		table = at->entry & BV_PTE_ADDRESS;
	}
	if (!walk->peek && !walk_permits(walk, at))
		return WALK_FAULT;
	rc = walk_mark(walk, at, walk_is_write(at->access) ? BV_PTE_A | BV_PTE_D : BV_PTE_A);
	if (rc)
		return rc;
	walk->page_shift = (u8)(12 + (at->level - 1) * at->bits);
	walk->writable = at->allowed & BV_PTE_W;
	walk->user = at->allowed & BV_PTE_U;
	*gpa = walk_result(walk, at);
	return WALK_DONE;
}

bool bv_walk(struct bv_walk *walk, u64 gva, u32 access, u64 *gpa)
{
	enum walk_rc rc = WALK_AGAIN;
	struct walk_at at;

	walk->error = 0;
	if (!(walk->cr0 & BV_CR0_PG)) {
		walk->page_shift = BV_PAGE_SHIFT;
		walk->writable = true;
		walk->user = true;
		*gpa = (u32)gva;
		return true;
	}
	for (unsigned int tries = BV_WALK_RETRIES; rc == WALK_AGAIN; tries--) {
		walk->error = walk_error(walk, access);
		at.gva = gva;
		at.access = access;
		at.last_try = !tries;
		rc = walk_once(walk, &at, gpa);
	}
	return rc == WALK_DONE;
}
