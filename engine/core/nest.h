/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The nested table of a VM: guest frame to machine frame, in the format that the vendor's hardware
 * walks.
 *
 * Theory. A radix tree of four levels; a leaf at level 1 maps 4 KiB, at level 2 2 MiB, at level 3 1
 * GiB. The tree holds no references to frames: it is a cache of what the host would answer, and the
 * host takes frames back with invalidate. What it forgets is found again at the next fault, so
 * removing too much costs time, never correctness.
 *
 * Invariants, all under nest->lock:
 * (1) A leaf maps a frame only if the host answered so after the last overlapping invalidate began.
 * (2) A leaf is writable only if the host frame is, the region is not read-only, and, where the
 *     region is logged, the page's bit is set in the log, or the leaf's dirty flag is clear and the
 *     hardware logs that it sets it (hw_log).
 * (3) After a leaf lost rights, every vCPU has flushed before the lock is released by the one who
 * took them.
 * (4) A table that was unlinked is freed only after such a flush: until then its parent's entry
 * keeps its address, not present.
 *
 * nest->lock is a leaf lock: the host may hold its own spin locks around it (MMU notifiers),
 * nothing is taken inside it.
 */
#ifndef BV_CORE_NEST_H
#define BV_CORE_NEST_H

#include "bv/host.h"

struct bv_vm;

#define BV_NEST_LEVELS 4
#define BV_NEST_CACHE 4

/* The entry format of a vendor, as masks. */
struct bv_nest_format {
	u64 present; /* a leaf or table is there if any of these is set; set in both */
	u64 write;
	u64 exec; /* set where execution is allowed (EPT) */
	u64 no_exec; /* set where it is not (NPT) */
	u64 leaf; /* always set in leaves: memory type, user */
	u64 table; /* always set in table entries: all rights */
	u64 large; /* set in leaves above level 1 */
	u64 accessed;
	u64 dirty;
	u8 levels; /* the highest that may have leaves: 1 to 3 */
};

struct bv_nest {
	struct bv_spinlock lock;
	/* constant after creation */
	const struct bv_nest_format *format;
	u64 *root;
	/* set before the first vCPU runs, constant after */
	bool hw_log; /* the vendor's hardware logs pages */
	/* guarded by lock */
	u64 tables; /* pages of tables, the root too */
	u64 invalidate_seq; /* counts ends of invalidates */
	u32 invalidate_active;
	u64 invalidate_start, invalidate_end; /* host addresses: the union of the active ones */
};

/* Table pages kept ready, so that mapping under the lock allocates nothing. */
struct bv_nest_cache {
	void *page[BV_NEST_CACHE];
	u32 count;
};

int bv_nest_init(struct bv_nest *nest, const struct bv_nest_format *format);
void bv_nest_fini(struct bv_nest *nest);

/* Fills the cache. -BV_ENOMEM. sleep. */
int bv_nest_cache_fill(struct bv_nest_cache *cache);
void bv_nest_cache_drop(struct bv_nest_cache *cache);

struct bv_nest_mapping {
	struct bv_gfn gfn; /* aligned to the level */
	struct bv_mfn mfn;
	u8 level; /* 1 to 3 */
	bool write, exec;
	bool clean; /* the hardware is to log the first write */
};

/* All of these are called with nest->lock held. */

/*
 * Puts a leaf, over what was there (splitting a larger leaf, joining smaller ones). The cache must
 * be full. Returns whether rights were lost, so that a flush is due; bv_nest_map does it itself
 * where it has to free tables.
 */
bool bv_nest_map_locked(struct bv_vm *vm, struct bv_nest_cache *cache,
			const struct bv_nest_mapping *mapping);
/* The leaf over gfn: its level, 0 if none; *mapping filled where not NULL. */
unsigned int bv_nest_find_locked(struct bv_nest *nest, struct bv_gfn gfn,
				 struct bv_nest_mapping *mapping);
/* Removes all leaves that overlap [first, end). Returns whether any was there. */
bool bv_nest_zap_locked(struct bv_nest *nest, struct bv_gfn first, struct bv_gfn end);
/* Takes the right to write from all leaves that overlap. Returns whether any had it. */
bool bv_nest_protect_locked(struct bv_nest *nest, struct bv_gfn first, struct bv_gfn end);
/*
 * Has the next write to each page told: the right to write goes, or, where the hardware logs pages,
 * the dirty flag of a leaf of one page. Returns whether there was any.
 */
bool bv_nest_watch_locked(struct bv_nest *nest, struct bv_gfn first, struct bv_gfn end);
/* Whether a leaf there was used since last cleared. */
bool bv_nest_young_locked(struct bv_nest *nest, struct bv_gfn first, struct bv_gfn end, bool clear);
/* Unlinks and frees all tables that lie wholly in the range. Flushes. */
void bv_nest_prune_locked(struct bv_vm *vm, struct bv_gfn first, struct bv_gfn end);
/*
 * Every vCPU forgets its translations before it runs on; those that run now have left the guest
 * when this returns.
 */
void bv_nest_flush(struct bv_vm *vm);

#endif
