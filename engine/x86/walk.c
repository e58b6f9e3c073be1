// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/*
 * The guest page walk; see walk.h.
 *
 * The hardware's order, which a guest sees in the error code: at each level first "not present",
 * then reserved bits; permissions only when the last entry has been found. Accessed bits of the
 * upper levels are set on the way down, the last entry's bits only if the access is permitted.
 */
#include "bv/errno.h"
#include "x86/walk.h"

#define BV_PTE_ADDRESS 0x000ffffffffff000ull

/*
 * How often a walk starts anew because somebody else changes the tables; then it goes on without A
 * and D.
 */
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
	u8 bits; /* of the address that a level translates */
	u8 shift; /* down to those of this level */
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

static enum walk_rc walk_reserved(struct bv_walk *walk)
{
	walk->error |= BV_PF_PRESENT | BV_PF_RESERVED;
	return WALK_FAULT;
}

/* Sets accessed and dirty bits, some of which are still clear. */
static enum walk_rc walk_mark(struct bv_walk *walk, struct walk_at *at, u64 bits)
{
	u64 old = at->entry;

	if (walk->peek)
		return WALK_DONE;
	if (walk->ops->cmpxchg(walk->owner, at->address, &old, at->entry | bits, at->entry_size) ==
		    -BV_EAGAIN &&
	    !at->last_try)
		return WALK_AGAIN;
	return WALK_DONE;
}

/* An entry with the page-size bit above the last level. *leaf: it ends the walk. */
static enum walk_rc walk_large(struct bv_walk *walk, const struct walk_at *at, bool *leaf)
{
	u64 reserved;

	if (at->entry_size == 4) {
		*leaf = walk->cr4 & BV_CR4_PSE;
		reserved = *leaf ? BV_BIT(21) : 0;
	} else {
		*leaf = at->level <= 3;
		/* below the page's address all but PAT in bit 12; above 1 GiB there are no pages */
		reserved = *leaf ? (BV_BIT(at->shift) - 1) & ~(BV_BIT(13) - 1) : BV_PTE_PS;
	}
	return at->entry & reserved ? walk_reserved(walk) : WALK_DONE;
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

/*
 * The first level of PAE has four entries with bits of their own, which take no part in
 * permissions.
 */
static enum walk_rc walk_pdpte(struct bv_walk *walk, struct walk_at *at, u64 *table)
{
	unsigned int index = at->gva >> 30 & 3;

	at->address = (walk->cr3 & 0xffffffe0) + index * 8u;
	if (walk->pdpte) {
		at->entry = walk->pdpte[index];
		if (!(at->entry & BV_PTE_P))
			return WALK_FAULT;
	} else {
		at->entry = 0;
		if (!walk->ops->read(walk->owner, at->address, &at->entry, 8) ||
		    !(at->entry & BV_PTE_P))
			return WALK_FAULT;
		if (at->entry & (at->reserved | 0x1e6 | BV_PTE_NX))
			return walk_reserved(walk);
	}
	*table = at->entry & BV_PTE_ADDRESS;
	return WALK_DONE;
}

/* Where the walk starts, by paging mode. */
static inline enum walk_rc walk_begin(struct bv_walk *walk, struct walk_at *at, u64 *table)
{
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

/*
 * Down from .table to the entry that ends the walk. What every level needs is in locals, not in
 * .at, which the reads could change for all that the compiler knows.
 */
static enum walk_rc walk_down(struct bv_walk *walk, struct walk_at *at, u64 table)
{
	unsigned int bits = at->bits, shift = 12 + (at->level - 1u) * bits, size = at->entry_size;
	u64 gva = at->gva, reserved = at->reserved, mask = (1u << bits) - 1;
	u64 allowed = BV_PTE_W | BV_PTE_U, denied = 0;
	bool leaf;

	for (;; shift -= bits, at->level--) {
		u64 entry = 0, address = table + ((gva >> shift) & mask) * size;

		if (!walk->ops->read(walk->owner, address, &entry, size) || !(entry & BV_PTE_P))
			return WALK_FAULT;
		if (bv_unlikely(entry & reserved))
			return walk_reserved(walk);
		allowed &= entry;
		denied |= entry;
		at->entry = entry;
		at->address = address;
		at->shift = (u8)shift;
		if (shift == BV_PAGE_SHIFT)
			break;
		if (entry & BV_PTE_PS) {
			if (walk_large(walk, at, &leaf))
				return WALK_FAULT;
			if (leaf)
				break;
		}
		if (bv_unlikely(!(entry & BV_PTE_A)) && walk_mark(walk, at, BV_PTE_A))
			return WALK_AGAIN;
		table = entry & BV_PTE_ADDRESS;
	}
	at->allowed = allowed;
	at->denied = denied;
	return WALK_DONE;
}

static enum walk_rc walk_once(struct bv_walk *walk, struct walk_at *at, u64 *gpa)
{
	enum walk_rc rc;
	u64 table, marks;

	rc = walk_begin(walk, at, &table);
	if (!rc)
		rc = walk_down(walk, at, table);
	if (rc)
		return rc;
	if (!walk->peek && !walk_permits(walk, at))
		return WALK_FAULT;
	marks = walk_is_write(at->access) ? BV_PTE_A | BV_PTE_D : BV_PTE_A;
	if (bv_unlikely((at->entry & marks) != marks) && walk_mark(walk, at, marks))
		return WALK_AGAIN;
	walk->page_shift = at->shift;
	walk->writable = at->allowed & BV_PTE_W;
	walk->user = at->allowed & BV_PTE_U;
	*gpa = walk_result(walk, at);
	return WALK_DONE;
}

bool bv_walk(struct bv_walk *walk, u64 gva, u32 access, u64 *gpa)
{
	enum walk_rc rc = WALK_AGAIN;
	struct walk_at at;

	if (!(walk->cr0 & BV_CR0_PG)) {
		walk->page_shift = BV_PAGE_SHIFT;
		walk->writable = true;
		walk->user = true;
		*gpa = (u32)gva;
		return true;
	}
	for (unsigned int tries = BV_WALK_RETRIES; rc == WALK_AGAIN; tries--) {
		walk->error = 0;
		at.gva = gva;
		at.access = access;
		at.last_try = !tries;
		rc = walk_once(walk, &at, gpa);
	}
	if (rc == WALK_DONE)
		return true;
	walk->error |= walk_error(walk, access);
	return false;
}
