/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Nested faults: the guest touched a page that has no mapping, or not enough of one.
 *
 * A page of a region gets the frame that the host finds. Between asking the host and mapping the
 * answer, the host may take the frame back: so the count of invalidates is read before, and looked
 * at again under the lock; if one has come between, the guest simply faults once more. What is in
 * no region is a device's, and is emulated.
 */
#include "core/vcpu.h"

struct fault {
	struct bv_region *region;
	struct bv_gfn gfn;
	bool write;
	u64 seq;
};

/*
 * Largest level at which the block around gfn lies in the region, is alike aligned on both sides,
 * and is one block of the host.
 */
static u8 fault_level(const struct bv_nest *nest, const struct fault *fault,
		      const struct bv_host_frame *frame)
{
	const struct bv_region_spec *spec = &fault->region->spec;
	u8 best = 1;

	if (spec->flags & BV_REGION_LOG)
		return 1;
	for (u8 level = 2; level <= nest->format->levels; level++) {
		u64 span = 1ull << (9 * (level - 1)), first = fault->gfn.n & ~(span - 1);

		if (frame->order < 9 * (level - 1) || first < spec->gfn.n ||
		    first + span > spec->gfn.n + spec->pages)
			break;
		if ((spec->gfn.n ^ (spec->host_addr >> BV_PAGE_SHIFT)) & (span - 1))
			break;
		best = level;
	}
	return best;
}

static bool fault_raced(const struct bv_nest *nest, const struct fault *fault)
{
	u64 addr = bv_region_host_addr(fault->region, fault->gfn);

	if (nest->invalidate_seq != fault->seq)
		return true;
	return nest->invalidate_active && addr >= (nest->invalidate_start & BV_PAGE_MASK) &&
	       addr < nest->invalidate_end;
}

static void fault_map(struct bv_vcpu *vcpu, const struct fault *fault,
		      const struct bv_host_frame *frame)
{
	struct bv_vm *vm = vcpu->vm;
	u8 level = fault_level(&vm->nest, fault, frame);
	u64 span = 1ull << (9 * (level - 1));
	bool readonly = fault->region->spec.flags & BV_REGION_READONLY;
	bool logged = fault->region->spec.flags & BV_REGION_LOG;
	bool clean = logged && vm->nest.hw_log && !fault->write;
	struct bv_nest_mapping mapping = {
		.gfn = BV_GFN(fault->gfn.n & ~(span - 1)),
		.mfn = BV_MFN(frame->mfn.n & ~(span - 1)),
		.level = level,
		/* A logged page is writable only once its bit is set, or will be. */
		.write = frame->writable && !readonly && (fault->write || !logged || clean),
		.exec = true,
		.clean = clean,
	};

	bv_host_spin_lock(&vm->nest.lock);
	if (!fault_raced(&vm->nest, fault)) {
		if (bv_nest_map_locked(vm, &vcpu->cache, &mapping))
			bv_nest_flush(vm);
		vcpu->counter[level == 1 ? BV_COUNT_PAGES_4K :
			      level == 2 ? BV_COUNT_PAGES_2M :
					   BV_COUNT_PAGES_1G]++;
	} else {
		mapping.write = false;
	}
	bv_host_spin_unlock(&vm->nest.lock);
	if (mapping.write && fault->write)
		bv_region_dirtied(vm, vcpu, fault->region, fault->gfn);
}

/* absent: no memory lies there at all; else it is memory that the guest may not write. */
static enum bv_exit_next fault_device(struct bv_vcpu *vcpu, bool absent)
{
	u64 gpa = vcpu->exit.fault.gpa;

	if (vcpu->exit.vectoring.kind)
		return bv_exit_internal(vcpu,
					"vCPU %u: delivering an event (vector %u) needs guest "
					"address %#llx, a device's",
					vcpu->index, vcpu->exit.vectoring.vector, gpa);
	if (!vcpu->exit.fault.table_walk && !vcpu->exit.fault.fetch && absent)
		return bv_emulate_mmio(vcpu, gpa);
	return bv_emulate(vcpu, ~0ull);
}

static enum bv_exit_next fault_page(struct bv_vcpu *vcpu, struct fault *fault)
{
	struct bv_vm *vm = vcpu->vm;
	struct bv_host_frame frame;
	int error;

	if (bv_nest_cache_fill(&vcpu->cache))
		return bv_exit_internal(vcpu, "vCPU %u: no memory for nested page tables",
					vcpu->index);
	fault->seq = __atomic_load_n(&vm->nest.invalidate_seq, __ATOMIC_ACQUIRE);
	error = bv_host_frame_get(vm, bv_region_host_addr(fault->region, fault->gfn), fault->write,
				  &frame);
	if (error == -BV_EINTR || error == -BV_EAGAIN)
		return BV_NEXT_GUEST; /* the signal is seen before the next entry */
	if (bv_region_no_memory(fault->region, error))
		return fault_device(vcpu, true);
	if (error)
		return bv_exit_internal(
			vcpu, "vCPU %u: guest page %#llx: the host has nothing at %#llx (error %d)",
			vcpu->index, fault->gfn.n, bv_region_host_addr(fault->region, fault->gfn),
			error);
	fault_map(vcpu, fault, &frame);
	bv_host_frame_put(&frame, fault->write);
	return BV_NEXT_GUEST;
}

enum bv_exit_next bv_fault_nested(struct bv_vcpu *vcpu)
{
	u64 gpa = vcpu->exit.fault.gpa;
	struct fault fault = { .gfn = BV_GFN(gpa >> BV_PAGE_SHIFT),
			       .write = vcpu->exit.fault.write };

	fault.region = bv_region_find(&vcpu->vm->regions, fault.gfn, &vcpu->region_hint);
	if (bv_likely(fault.region &&
		      !(fault.write && fault.region->spec.flags & BV_REGION_READONLY)))
		return fault_page(vcpu, &fault);
	return fault_device(vcpu, !fault.region);
}
