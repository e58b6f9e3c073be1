/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* Memory of a guest's guest, and what else of nesting is no vendor's; theory in nested.h. */
#include "core/nested.h"

#include "core/vcpu.h"
#include "x86/walk.h"

#define SHADOW_ADDR 0x000ffffffffff000ULL
#define SHADOW_LEVELS 4
#define SHADOW_MAX_GPA (1ULL << 48)

#define VM_CR_LOCK BV_BIT(3)
#define VM_CR_SVMDIS BV_BIT(4)

/* ---- birth and end ---- */

static void nested_free(struct bv_nested *nested)
{
	if (nested->shadow.root)
		bv_host_pages_free(nested->shadow.root, 0);
	while (nested->shadow.count)
		bv_host_pages_free(nested->shadow.table[--nested->shadow.count], 0);
	bv_host_free(nested);
}

int bv_nested_init(struct bv_vcpu *vcpu)
{
	struct bv_nested *nested = bv_host_alloc(sizeof(*nested));
	int error;

	if (!nested)
		return -BV_ENOMEM;
	vcpu->nested = nested;
	nested->shadow.root = bv_host_pages_alloc(0);
	error = nested->shadow.root ? bv_vendor->nesting->init(vcpu) : -BV_ENOMEM;
	if (error) {
		vcpu->nested = NULL;
		nested_free(nested);
	}
	return error;
}

void bv_nested_fini(struct bv_vcpu *vcpu)
{
	if (!vcpu->nested)
		return;
	bv_vendor->nesting->fini(vcpu);
	nested_free(vcpu->nested);
	vcpu->nested = NULL;
}

/* ---- on and off ---- */

static void nested_release(struct bv_vcpu *vcpu)
{
	vcpu->nesting &= ~BV_NESTING_HELD;
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
	if (vcpu->nested->init_held)
		bv_vcpu_request(vcpu, BV_REQ_INIT);
	vcpu->nested->init_held = false;
}

void bv_nested_hold(struct bv_vcpu *vcpu, bool on)
{
	if (on)
		vcpu->nesting |= BV_NESTING_HELD;
	else
		nested_release(vcpu);
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
}

void bv_nested_off(struct bv_vcpu *vcpu)
{
	if (!vcpu->nesting)
		return;
	if (vcpu->nesting & BV_NESTING_L2)
		bv_vendor->nesting->abandon(vcpu);
	nested_release(vcpu);
}

int bv_vcpu_nested_get(struct bv_vcpu *vcpu, bool *held)
{
	if (vcpu->nesting & BV_NESTING_L2)
		return bv_refuse(&vcpu->vm->why, BV_EBUSY,
				 "vCPU %u: its own guest is on, which cannot be saved",
				 vcpu->index);
	*held = vcpu->nesting & BV_NESTING_HELD;
	return 0;
}

int bv_vcpu_nested_set(struct bv_vcpu *vcpu, bool held)
{
	if (!vcpu->nested)
		return held ? bv_refuse(&vcpu->vm->why, BV_EINVAL,
					"vCPU %u: held interrupts without SVM in its CPUID",
					vcpu->index) :
			      0;
	bv_nested_off(vcpu);
	if (held)
		bv_nested_hold(vcpu, true);
	return 0;
}

void bv_nested_reset(struct bv_vcpu *vcpu, bool init)
{
	if (!vcpu->nested)
		return;
	vcpu->nested->init_held = false;
	bv_nested_off(vcpu);
	if (init)
		return;
	vcpu->nested->vm_cr = 0;
	vcpu->nested->hsave_pa = 0;
}

/* In L2 nothing comes of it: what it does to L1's is not defined. */
bool bv_nested_switch(struct bv_vcpu *vcpu, u64 efer)
{
	if (efer & BV_EFER_SVME)
		return !(vcpu->nested->vm_cr & VM_CR_SVMDIS);
	if (vcpu->nesting == BV_NESTING_HELD)
		nested_release(vcpu);
	return true;
}

/* ---- the shadow ---- */

void bv_shadow_forget(struct bv_shadow *shadow)
{
	if (!shadow->used)
		return;
	__builtin_memset(shadow->root, 0, BV_PAGE_SIZE);
	shadow->used = 0;
}

/* A zeroed table: one that is kept, or a new one out of the cache, which must not be empty. */
static u64 *shadow_table(struct bv_shadow *shadow, struct bv_nest_cache *cache)
{
	u64 *table;

	if (shadow->used == shadow->count) {
		bv_assert(cache->count);
		shadow->table[shadow->count++] = cache->page[--cache->count];
		return shadow->table[shadow->used++];
	}
	table = shadow->table[shadow->used++];
	__builtin_memset(table, 0, BV_PAGE_SIZE);
	return table;
}

struct shadow_leaf {
	u64 gpa; /* L2's */
	u64 mfn;
	bool write, exec;
};

/*
 * Puts a leaf of 4 KiB. Rights that it had for the same frame stay. Returns whether another frame
 * was there, which the TLB may still have. The cache must be full.
 */
static bool shadow_map(struct bv_vcpu *vcpu, const struct shadow_leaf *leaf)
{
	const struct bv_nest_format *format = vcpu->vm->nest.format;
	struct bv_shadow *shadow = &vcpu->nested->shadow;
	u64 *table = shadow->root, *entry, old, value;

	if (shadow->used + SHADOW_LEVELS > BV_SHADOW_TABLES)
		bv_shadow_forget(shadow);
	for (unsigned int shift = 39;; shift -= 9) {
		entry = &table[leaf->gpa >> shift & 511];
		if (shift == BV_PAGE_SHIFT)
			break;
		if (!(*entry & format->present))
			*entry = format->present | format->table | format->exec |
				 bv_host_pa(shadow_table(shadow, &vcpu->cache));
		table = bv_host_va(*entry & SHADOW_ADDR);
	}
	old = *entry;
	value = format->present | format->leaf | format->accessed | leaf->mfn << BV_PAGE_SHIFT;
	if (leaf->write)
		value |= format->write | format->dirty;
	value |= leaf->exec ? format->exec : format->no_exec;
	if (old & format->present && !((old ^ value) & SHADOW_ADDR)) {
		value |= old & (format->write | format->dirty | format->exec);
		if (!(old & format->no_exec))
			value &= ~format->no_exec;
	}
	*entry = value;
	return old & format->present && (old ^ value) & SHADOW_ADDR;
}

/*
 * Maps L2's page as the VM's table has L1's. False: that has it not, or not with enough rights.
 */
static bool shadow_fill(struct bv_vcpu *vcpu, u64 gpa2, u64 gpa1, bool write, bool fetch)
{
	struct bv_nest *nest = &vcpu->vm->nest;
	struct bv_gfn gfn = BV_GFN(gpa1 >> BV_PAGE_SHIFT);
	struct bv_nest_mapping mapping;
	bool found, replaced = false;

	bv_host_spin_lock(&nest->lock);
	found = bv_nest_find_locked(nest, gfn, &mapping) && (!write || mapping.write) &&
		(!fetch || mapping.exec);
	if (found)
		replaced = shadow_map(vcpu, &(struct shadow_leaf){
						    .gpa = gpa2,
						    .mfn = mapping.mfn.n + (gfn.n - mapping.gfn.n),
						    .write = write,
						    .exec = fetch,
					    });
	bv_host_spin_unlock(&nest->lock);
	if (replaced)
		bv_vendor->tlb_flush(vcpu);
	return found;
}

/* ---- L1's table ---- */

static bool table_read(void *owner, u64 gpa, void *entry, unsigned int bytes)
{
	struct bv_vcpu *vcpu = owner;

	return !bv_mem_read_locked(vcpu->vm, vcpu, gpa, entry, bytes);
}

static int table_cmpxchg(void *owner, u64 gpa, u64 *old, u64 new_value, unsigned int bytes)
{
	struct bv_vcpu *vcpu = owner;

	return bv_mem_cmpxchg_locked(vcpu->vm, vcpu, gpa, bytes, old, &new_value);
}

static const struct bv_walk_ops table_ops = { .read = table_read, .cmpxchg = table_cmpxchg };

/*
 * Volume 2, 15.25.5: L1's table is walked in the mode that L1 itself had at VMRUN, every access
 * being a user's; CR0.WP, SMEP and the like do not count.
 */
static bool table_walk(struct bv_vcpu *vcpu, u64 *gpa, u32 access, u32 *error)
{
	const struct bv_nested *nested = vcpu->nested;
	struct bv_walk walk = {
		.cr0 = BV_CR0_PG | BV_CR0_PE,
		.cr3 = nested->table,
		.cr4 = nested->cr4,
		.efer = nested->efer,
		.cpl = 3,
		.phys_bits = vcpu->caps.phys_bits,
		.ops = &table_ops,
		.owner = vcpu,
	};
	u64 most = nested->efer & BV_EFER_LMA ? SHADOW_MAX_GPA : 1ULL << 32;

	if (*gpa < most && bv_walk(&walk, *gpa, access, gpa))
		return true;
	*error = walk.error;
	if (*gpa >= most)
		*error = BV_PF_USER | (access & BV_ACCESS_WRITE ? BV_PF_WRITE : 0) |
			 (access & BV_ACCESS_FETCH ? BV_PF_FETCH : 0);
	return false;
}

bool bv_l2_translate(struct bv_vcpu *vcpu, u64 *gpa, u32 access)
{
	u32 error;

	if (access & BV_ACCESS_RMW)
		access |= BV_ACCESS_WRITE;
	if (table_walk(vcpu, gpa, access & (BV_ACCESS_WRITE | BV_ACCESS_FETCH), &error))
		return true;
	vcpu->nested->missed = true;
	bv_shadow_forget(&vcpu->nested->shadow);
	bv_vendor->tlb_flush(vcpu);
	return false;
}

enum bv_exit_next bv_fault_l2(struct bv_vcpu *vcpu)
{
	struct bv_exit *exit = &vcpu->exit;
	bool write = exit->fault.write, fetch = exit->fault.fetch;
	u64 gpa1 = exit->fault.gpa, gpa2 = gpa1;
	enum bv_exit_next next;
	u32 error;

	if (!table_walk(vcpu, &gpa1, (write ? BV_ACCESS_WRITE : 0) | (fetch ? BV_ACCESS_FETCH : 0),
			&error)) {
		bv_vendor->nesting->leave(vcpu, BV_L2_NESTED_FAULT, error);
		return BV_NEXT_GUEST;
	}
	if (gpa2 >= SHADOW_MAX_GPA || bv_nest_cache_fill(&vcpu->cache))
		return bv_exit_internal(vcpu, "vCPU %u: no memory for a shadow of nested tables",
					vcpu->index);
	if (shadow_fill(vcpu, gpa2, gpa1, write, fetch))
		return BV_NEXT_GUEST;
	/* As if L1 had touched it: then it is in the VM's table, or a device's. */
	exit->fault.gpa = gpa1;
	next = bv_fault_nested(vcpu);
	if (next == BV_NEXT_GUEST && !bv_nest_cache_fill(&vcpu->cache))
		shadow_fill(vcpu, gpa2, gpa1, write, fetch);
	return next;
}

/* ---- MSRs ---- */

/*
 * Volume 2, 15.30.1. Once locked, LOCK and SVMDIS stay until the next reset. Other bits (R_INIT
 * and its kin) cannot be set here.
 */
bool bv_nested_vm_cr_write(struct bv_vcpu *vcpu, u64 value, bool host)
{
	struct bv_nested *nested = vcpu->nested;

	if (!nested)
		return host && !value;
	if (value & ~(VM_CR_LOCK | VM_CR_SVMDIS))
		return false;
	bv_vcpu_need(vcpu, BV_ST_CR);
	if (!host && value & VM_CR_SVMDIS && vcpu->state.efer & BV_EFER_SVME)
		return false;
	if (host || !(nested->vm_cr & VM_CR_LOCK))
		nested->vm_cr = value;
	return true;
}

bool bv_nested_hsave_write(struct bv_vcpu *vcpu, u64 value)
{
	if (!vcpu->nested)
		return !value;
	if (value & ~BV_PAGE_MASK || value >> vcpu->caps.phys_bits)
		return false;
	vcpu->nested->hsave_pa = value;
	return true;
}
