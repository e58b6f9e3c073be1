/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Grant tables: a domain's offers to others (its table), and its maps of others' offers. */
#ifndef BVX_GRANT_H
#define BVX_GRANT_H

#include "front.h"

#include <xen/domctl.h>
#include <xen/grant_table.h>

/* Of a table, unless the tools ask for less. */
#define BVX_GRANT_FRAMES 64u
#define BVX_MAPTRACK_FRAMES 1024u
#define BVX_GRANTS_V1 ((u32)(BV_PAGE_SIZE / sizeof(struct grant_entry_v1)))
#define BVX_GRANTS_V2 ((u32)(BV_PAGE_SIZE / sizeof(union grant_entry_v2)))
#define BVX_STATUS_A_FRAME ((u32)(BV_PAGE_SIZE / sizeof(grant_status_t)))

/* How an entry is in use. */
struct bvx_active {
	u32 readers, writers; /* maps and copies under way */
};

/* A map of another domain's grant. */
struct bvx_map {
	struct bvx_domain *granter; /* with a reference; NULL: free */
	u32 ref;
	u32 flags; /* GNTMAP_*, and what is still mapped */
	u64 gfn; /* where it was mapped */
	u64 entry_gfn; /* the granter's */
	struct bv_mfn mfn; /* with a hold */
	u32 next_free;
};

struct bvx_grants {
	/* constant after creation */
	u32 max_frames, max_version;
	u32 max_maps;

	/* guarded by lock: the table that is offered */
	struct bv_spinlock lock;
	u32 version;
	u32 frames, status_frames;
	struct bvx_shared frame[BVX_GRANT_FRAMES];
	struct bvx_shared status[BVX_GRANT_FRAMES / 8 + 1];
	u64 frame_gfn[BVX_GRANT_FRAMES]; /* where the guest has mapped them; only told again */
	u64 status_gfn[BVX_GRANT_FRAMES / 8 + 1];
	struct bvx_active *active[BVX_GRANT_FRAMES]; /* a frame's worth of v1 entries each */

	/* guarded by map_lock: its own maps; blocks of a page are set once */
	struct bv_spinlock map_lock;
	struct bvx_map **map_block;
	u32 map_blocks, maps, free_map; /* free_map: ~0: none */
};

int bvx_grants_init(struct bvx_domain *domain, const struct xen_domctl_createdomain *spec);
/* Gives back all maps that the domain has of others. sleep. */
void bvx_grants_release(struct bvx_domain *domain);
void bvx_grants_fini(struct bvx_domain *domain);
/* The frame of the table (or of the status array) at an index, which grows for it. sleep. */
int bvx_grants_frame(struct bvx_domain *domain, bool status, u32 index, struct bvx_shared *frame);

#endif
