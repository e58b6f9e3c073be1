/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Guest memory. A VM's guest-physical space has regions: runs of guest frames backed by a run of
 * host addresses. What is in no region is a device's (MMIO). Frames are found when the guest
 * touches them; the host takes them back with invalidate.
 */
#ifndef BV_MEM_H
#define BV_MEM_H

#include "bv/errno.h"
#include "bv/types.h"

struct bv_vm;
struct bv_vcpu;

#define BV_REGION_READONLY 1u /* a guest's write is an MMIO write */
#define BV_REGION_LOG 2u /* dirty pages are logged */
/*
 * Not every page of it is there: where the host answers -BV_ENXIO (no frame) or -BV_EACCES (not for
 * writing), the access is a device's.
 */
#define BV_REGION_SPARSE 4u

/* Region slots number below this; the front may number them as it likes within it. */
#define BV_MAX_REGIONS 512

struct bv_region_spec {
	u32 slot;
	u32 flags; /* BV_REGION_* */
	struct bv_gfn gfn;
	u64 pages; /* 0 deletes the slot */
	u64 host_addr; /* page aligned */
};

/*
 * Creates, moves, changes the flags of, or deletes a slot. -BV_EINVAL, -BV_EEXIST (overlap),
 * -BV_ENOMEM; on error nothing has changed. sleep; vCPUs may run.
 */
int bv_mem_region_set(struct bv_vm *vm, const struct bv_region_spec *spec);
/* The slot as set; -BV_ENOENT. */
int bv_mem_region_get(struct bv_vm *vm, u32 slot, struct bv_region_spec *spec);

/*
 * The dirty bitmap of a slot: one bit a page, `words` u64s. fetch copies it; with `clear`, it takes
 * the bits and write-protects their pages again, so that the next write is logged. first and pages:
 * a part of the slot, first a multiple of 64.
 * -BV_ENOENT: no such slot or not logged.
 */
int bv_mem_dirty_fetch(struct bv_vm *vm, u32 slot, u64 *bitmap, bool clear);
int bv_mem_dirty_clear(struct bv_vm *vm, u32 slot, u64 first, u64 pages, const u64 *bitmap);
/*
 * With manual protect set, fetch with clear is refused to the front; new logs start all ones where
 * init_all is set.
 */
void bv_mem_dirty_mode(struct bv_vm *vm, bool manual, bool init_all);

/*
 * The dirty ring: `entries` (a power of two; 0: none) for each vCPU, memory of the front's, filled
 * as page+slot pairs.
 */
struct bv_dirty_entry {
	u32 flags; /* 1: dirty, 2: reset asked for; shared with user space */
	u32 slot;
	u64 offset; /* page number in the slot */
};
int bv_vcpu_dirty_ring_set(struct bv_vcpu *vcpu, struct bv_dirty_entry *ring, u32 entries);
/* Takes back all entries that user space has marked for reset; returns how many. */
int bv_vm_dirty_rings_reset(struct bv_vm *vm);

/*
 * A page was written behind the engine's back: it is logged, if its region is. Context as for
 * invalidates.
 */
void bv_mem_dirtied(struct bv_vm *vm, struct bv_gfn gfn);

/*
 * Copies between guest-physical memory and ours. -BV_EFAULT: not all of it is memory (nothing is
 * said of how much was done). sleep.
 */
int bv_mem_read(struct bv_vm *vm, u64 gpa, void *to, size_t bytes);
int bv_mem_write(struct bv_vm *vm, u64 gpa, const void *from, size_t bytes);

/*
 * The host takes back the frames behind a run of host addresses [start, end). begin: no new mapping
 * of them is made until end, those that are there are removed and have left every TLB when it
 * returns. Calls nest. Context: no sleep needed, spin locks of the host may be held, interrupts on.
 */
void bv_mem_invalidate_begin(struct bv_vm *vm, u64 start, u64 end);
/* The same for pages anywhere in [start, end), which leave the TLBs all at once. */
void bv_mem_invalidate_begin_pages(struct bv_vm *vm, const u64 *pages, u32 count, u64 start,
				   u64 end);
void bv_mem_invalidate_end(struct bv_vm *vm, u64 start, u64 end);
/*
 * Whether a frame in the range was used since last asked; with `clear` forgets that. Context as
 * above.
 */
bool bv_mem_young(struct bv_vm *vm, u64 start, u64 end, bool clear);
/* Removes every mapping: the host's address space is going away. */
void bv_mem_release_all(struct bv_vm *vm);

#endif
