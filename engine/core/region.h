/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Regions of guest memory, their dirty logs; see bv/mem.h. Readers hold vm->mem_lock for reading,
 * or nest.lock.
 */
#ifndef BV_CORE_REGION_H
#define BV_CORE_REGION_H

#include "bv/mem.h"

struct bv_region {
	struct bv_region_spec spec;
	u64 *dirty; /* NULL: no log; bits set atomically */
};

struct bv_regions {
	struct bv_region *slot[BV_MAX_REGIONS];
	struct bv_region *sorted[BV_MAX_REGIONS]; /* by gfn */
	u32 count;
	u32 logged; /* how many are */
	u32 generation; /* counts changes: for those who remember where a region was */
};

/* The region that has gfn, or NULL: by a search, which *hint remembers. */
struct bv_region *bv_region_search(struct bv_regions *regions, struct bv_gfn gfn, u32 *hint);
/* The same, quick where it is the region found last: most accesses are. */
static inline struct bv_region *bv_region_find(struct bv_regions *regions, struct bv_gfn gfn,
					       u32 *hint)
{
	if (bv_likely(*hint < regions->count)) {
		struct bv_region *region = regions->sorted[*hint];

		if (bv_likely(gfn.n - region->spec.gfn.n < region->spec.pages))
			return region;
	}
	return bv_region_search(regions, gfn, hint);
}
/* By the address. */
static inline struct bv_region *bv_region_at(struct bv_regions *regions, u64 gpa, u32 *hint)
{
	return bv_region_find(regions, BV_GFN(gpa >> BV_PAGE_SHIFT), hint);
}
/* The host address of a guest page in a region. */
static inline u64 bv_region_host_addr(const struct bv_region *region, struct bv_gfn gfn)
{
	return region->spec.host_addr + ((gfn.n - region->spec.gfn.n) << BV_PAGE_SHIFT);
}
/* Whether the host's answer for a page means that no memory lies there. */
static inline bool bv_region_no_memory(const struct bv_region *region, int error)
{
	return bv_unlikely(error == -BV_ENXIO || error == -BV_EACCES) &&
	       region->spec.flags & BV_REGION_SPARSE;
}
/*
 * A page was or will be written: logs it if the region is logged. vcpu may be NULL (no ring then).
 * any.
 */
void bv_region_dirtied(struct bv_vm *vm, struct bv_vcpu *vcpu, struct bv_region *region,
		       struct bv_gfn gfn);
/* Brings what the hardware has logged of this vCPU's writes to the logs. Owning vCPU. sleep. */
void bv_regions_log_take(struct bv_vcpu *vcpu);
void bv_regions_free(struct bv_vm *vm);

/* A vCPU's ring of dirty pages. */
struct bv_dirty_ring {
	struct bv_dirty_entry *entry; /* shared with user space */
	u32 entries; /* a power of two */
	u32 next, reset; /* next to fill, next to take back: owning vCPU; under vm->nest.lock */
};
/*
 * So full that the front must empty it before the guest runs on: room is left for what one exit may
 * still write.
 */
static inline bool bv_dirty_ring_full(const struct bv_dirty_ring *ring)
{
	return ring && ring->next - ring->reset + 64 >= ring->entries;
}

/*
 * Memory as the guest-physical bus sees it. Caller holds vm->mem_lock for reading. vcpu may be
 * NULL.
 */
int bv_mem_read_locked(struct bv_vm *vm, struct bv_vcpu *vcpu, u64 gpa, void *to, size_t bytes);
int bv_mem_write_locked(struct bv_vm *vm, struct bv_vcpu *vcpu, u64 gpa, const void *from,
			size_t bytes);
int bv_mem_cmpxchg_locked(struct bv_vm *vm, struct bv_vcpu *vcpu, u64 gpa, u32 bytes, void *old,
			  const void *new_value);

#endif
