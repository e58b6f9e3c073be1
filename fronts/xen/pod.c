// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Population on demand: a guest that is told of more memory than it has, until its balloon driver
 * has given the rest back. The tools put pages there that have no frame yet (BVX_POD), and say how
 * many frames the guest may have (XENMEM_set_pod_target); one is put where the guest, or whoever
 * reads its memory, first touches such a page. Called by the p2m's readers and by memory_op.
 *
 * Theory. Frames that wait for that are the pool: the domain's own, charged to it, zeroed when they
 * are taken. Blocks of 2 MiB are kept whole as long as they can, so that large pages stay large,
 * and given whole as long as there is enough for a guest that touches all others in few places. As
 * long as there are more pages without a frame than frames in the pool, what the guest gives back
 * goes to the pool: its balloon driver touches a page before it gives it away, so it needs a few to
 * begin with, and has them again.
 *
 * A guest that touches more than it may have before it has given back as much cannot go on. Xen
 * then looks for pages of zeroes; here there is no search.
 *
 * The pool's links lie in its frames. All of it is guarded by the p2m's mutex `change`.
 */
#include "pod.h"

#define BLOCK_ORDER 9
#define BLOCK_PAGES (1u << BLOCK_ORDER)
/* Of the pages without a frame one in so many is touched before the balloon driver is done. */
#define TOUCHED 8

/* ---- the pool ---- */

static struct bv_mfn *link_in(struct bv_mfn mfn)
{
	return bvx_host_frame_va(mfn);
}

static void pool_put(struct bvx_domain *domain, struct bv_mfn mfn, u32 order)
{
	struct bv_mfn *list = order ? &domain->pod.blocks : &domain->pod.pages;

	*link_in(mfn) = *list;
	*list = mfn;
	domain->pod.pooled += 1ULL << order;
}

/* Frame 0 is no guest's, so it ends a list. false: none of that order. */
static bool pool_take(struct bvx_domain *domain, struct bv_mfn *mfn, u32 order)
{
	struct bv_mfn *list = order ? &domain->pod.blocks : &domain->pod.pages;

	if (!list->n)
		return false;
	*mfn = *list;
	*list = *link_in(*mfn);
	link_in(*mfn)->n = 0;
	domain->pod.pooled -= 1ULL << order;
	return true;
}

/* One page, of a block if there is no other. */
static bool pool_take_page(struct bvx_domain *domain, struct bv_mfn *mfn)
{
	struct bv_mfn block;

	if (pool_take(domain, mfn, 0))
		return true;
	if (!pool_take(domain, &block, BLOCK_ORDER))
		return false;
	for (u32 i = BLOCK_PAGES; --i;)
		pool_put(domain, BV_MFN(block.n + i), 0);
	*mfn = block;
	return true;
}

static int pool_grow(struct bvx_domain *domain, u64 pages)
{
	while (domain->pod.pooled < pages) {
		u32 order = pages - domain->pod.pooled >= BLOCK_PAGES ? BLOCK_ORDER : 0;
		struct bv_mfn mfn;

		if (bvx_pages_alloc(domain, order, 0, &mfn)) {
			if (!order || bvx_pages_alloc(domain, 0, 0, &mfn))
				return -XEN_ENOMEM;
			order = 0;
		}
		pool_put(domain, mfn, order);
		bvx_host_yield();
	}
	return 0;
}

void bvx_pod_fini(struct bvx_domain *domain)
{
	struct bv_mfn mfn;

	bv_host_mutex_lock(&domain->p2m.change);
	while (pool_take_page(domain, &mfn))
		bvx_frame_drop(domain, mfn, true);
	bv_host_mutex_unlock(&domain->p2m.change);
}

/* ---- the tools ---- */

/*
 * How many frames it may have. Where it has some already, and none is without a frame, the balloon
 * driver sees to it; so it does where it is to have less.
 */
int bvx_pod_target(struct bvx_domain *domain, u64 target)
{
	int error = 0;
	u64 all, placed, wanted;

	bv_host_mutex_lock(&domain->p2m.change);
	all = bvx_pages_of(domain);
	placed = all - domain->pod.pooled;
	if (target > all && (!placed || domain->pod.entries) && !bvx_domain_dying(domain)) {
		wanted = target - placed;
		if (placed && wanted > domain->pod.entries)
			wanted = domain->pod.entries;
		error = pool_grow(domain, wanted);
	}
	bv_host_mutex_unlock(&domain->p2m.change);
	return error;
}

/* ---- the guest ---- */

static bool enough_for_block(const struct bvx_domain *domain)
{
	return domain->pod.pooled >= BLOCK_PAGES &&
	       domain->pod.pooled - BLOCK_PAGES >= (domain->pod.entries - BLOCK_PAGES) / TOUCHED;
}

/* A frame for the page, or for the whole block where both are whole. Under `change`. */
static int fill_locked(struct bvx_domain *domain, u64 gfn)
{
	struct bvx_entry there = bvx_p2m_look(&domain->p2m, gfn), old;
	struct bvx_entry fresh = { .type = BVX_RAM };
	int error;

	if (there.type != BVX_POD)
		return 0;
	if (there.order >= BLOCK_ORDER && enough_for_block(domain) &&
	    pool_take(domain, &fresh.mfn, BLOCK_ORDER))
		fresh.order = BLOCK_ORDER;
	else if (!pool_take_page(domain, &fresh.mfn))
		return bvx_refuse(domain, XEN_ENOMEM,
				  "gfn %#llx is touched, and has no frame: it has its %llu pages, "
				  "and gave too few of %llu others back",
				  gfn, bvx_pages_of(domain), domain->pod.entries);
	__builtin_memset(bvx_host_frame_va(fresh.mfn), 0, BV_PAGE_SIZE << fresh.order);
	error = bvx_p2m_set_locked(domain, gfn & ~((1ULL << fresh.order) - 1), &fresh, BVX_POD,
				   &old);
	if (error)
		pool_put(domain, fresh.mfn, fresh.order);
	return error;
}

int bvx_pod_fill(struct bvx_domain *domain, u64 gfn)
{
	int error;

	bv_host_mutex_lock(&domain->p2m.change);
	error = fill_locked(domain, gfn);
	bv_host_mutex_unlock(&domain->p2m.change);
	return error;
}

bool bvx_pod_keep(struct bvx_domain *domain, const struct bvx_entry *old)
{
	bool keep;

	bv_host_mutex_lock(&domain->p2m.change);
	keep = domain->pod.entries > domain->pod.pooled && old->type == BVX_RAM && !old->order &&
	       !bvx_domain_dying(domain) && !bvx_frame_held(old->mfn);
	if (keep)
		pool_put(domain, old->mfn, 0);
	bv_host_mutex_unlock(&domain->p2m.change);
	return keep;
}
