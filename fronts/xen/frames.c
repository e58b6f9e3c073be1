// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frames of guests: whom they are charged to, and who holds them. Called by all that map, unmap,
 * give or take guest memory. Where they come from is the host's business.
 *
 * Theory. A frame belongs to one domain, whose p2m names it; that is its first hold, and costs no
 * memory here. Others (foreign maps, grants, pages that the front shares with the guest) hold it
 * besides: they are counted in a word a frame, in blocks that exist only where a frame was ever
 * held. The frame is freed when the owner has dropped it and the last other holder has let go.
 *
 * Invariants. A hold is only taken while the caller knows that another one stands: under the lock
 * of the p2m that names the frame, or holding it already. So a word that is dropped never rises
 * from zero. A dropped frame stays charged to its owner until it is freed; the owner cannot vanish
 * before (domain.live).
 */
#include "front.h"

#define BLOCK 512
#define HOLDERS 0xffffffffULL
#define OWNER_SHIFT 32
#define OWNER (0xffffULL << OWNER_SHIFT)
#define CHARGED BV_BIT(62)
#define DROPPED BV_BIT(63)

static struct {
	u64 blocks;
	u64 **block; /* of words */
} frames;

int bvx_frames_init(void)
{
	struct bvx_host_memory memory;

	bvx_host_memory(&memory);
	bv_assert(memory.max_mfn <= 1ULL << BVX_MFN_BITS);
	frames.blocks = (memory.max_mfn + BLOCK - 1) / BLOCK;
	frames.block = bv_host_alloc(frames.blocks * sizeof(*frames.block));
	return frames.block ? 0 : -XEN_ENOMEM;
}

void bvx_frames_fini(void)
{
	for (u64 i = 0; i < frames.blocks; i++)
		if (frames.block[i])
			bv_host_pages_free(frames.block[i], 0);
	bv_host_free(frames.block);
	frames.block = NULL;
	frames.blocks = 0;
}

static u64 *frame_word(struct bv_mfn mfn)
{
	u64 *block = mfn.n / BLOCK < frames.blocks ?
			     __atomic_load_n(&frames.block[mfn.n / BLOCK], __ATOMIC_ACQUIRE) :
			     NULL;

	return block ? &block[mfn.n % BLOCK] : NULL;
}

bool bvx_frame_prepared(struct bv_mfn mfn)
{
	return frame_word(mfn);
}

int bvx_frame_prepare(struct bv_mfn mfn)
{
	u64 *nobody = NULL, *block;

	if (frame_word(mfn))
		return 0;
	bv_assert(mfn.n / BLOCK < frames.blocks);
	block = bv_host_pages_alloc(0);
	if (!block)
		return -XEN_ENOMEM;
	if (!__atomic_compare_exchange_n(&frames.block[mfn.n / BLOCK], &nobody, block, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		bv_host_pages_free(block, 0);
	return 0;
}

void bvx_frame_hold(struct bv_mfn mfn)
{
	u64 old = __atomic_fetch_add(frame_word(mfn), 1, __ATOMIC_SEQ_CST);

	bv_assert((old & HOLDERS) != HOLDERS);
}

bool bvx_frame_held(struct bv_mfn mfn)
{
	const u64 *word = frame_word(mfn);

	return word && __atomic_load_n(word, __ATOMIC_SEQ_CST) & HOLDERS;
}

/* ---- the end of a frame ---- */

void bvx_pages_uncharge(struct bvx_domain *domain, u64 count)
{
	if (!__atomic_sub_fetch(&domain->live, count, __ATOMIC_SEQ_CST))
		bvx_domain_put(domain);
}

static void frame_free(struct bv_mfn mfn, struct bvx_domain *owner, bool charged)
{
	bvx_host_frames_free(mfn, 0);
	if (charged)
		bvx_pages_uncharge(owner, 1);
}

void bvx_frame_drop(struct bvx_domain *owner, struct bv_mfn mfn, bool charged)
{
	u64 *word = frame_word(mfn), old, next;

	if (!word) {
		frame_free(mfn, owner, charged);
		return;
	}
	old = __atomic_load_n(word, __ATOMIC_RELAXED);
	do {
		bv_assert(!(old & DROPPED));
		next = old & HOLDERS ? old | DROPPED | (charged ? CHARGED : 0) |
					       (u64)owner->id << OWNER_SHIFT :
				       0;
	} while (!__atomic_compare_exchange_n(word, &old, next, true, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	if (!next)
		frame_free(mfn, owner, charged);
}

void bvx_frame_release(struct bv_mfn mfn)
{
	u64 *word = frame_word(mfn), old = __atomic_load_n(word, __ATOMIC_RELAXED), next;
	struct bvx_domain *owner;

	do {
		bv_assert(old & HOLDERS);
		next = (old & HOLDERS) == 1 && old & DROPPED ? 0 : old - 1;
	} while (!__atomic_compare_exchange_n(word, &old, next, true, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	if (next || !(old & DROPPED))
		return;
	owner = old & CHARGED ? bvx_domain_get((old & OWNER) >> OWNER_SHIFT) : NULL;
	bv_assert(owner || !(old & CHARGED));
	frame_free(mfn, owner, owner);
	if (owner)
		bvx_domain_put(owner);
}

/* ---- charging ---- */

u64 bvx_pages_of(const struct bvx_domain *domain)
{
	u64 live = __atomic_load_n(&domain->live, __ATOMIC_RELAXED);

	return __atomic_load_n(&domain->dying, __ATOMIC_RELAXED) == BVX_DEAD ? live : live - 1;
}

/* How much of the free memory is promised to others than this domain. */
static u64 promised_to_others(const struct bvx_domain *domain)
{
	return __atomic_load_n(&bvx.claimed, __ATOMIC_RELAXED) - domain->claimed;
}

bool bvx_pages_charge(struct bvx_domain *domain, u64 count)
{
	struct bvx_host_memory memory;
	bool fits;
	u64 flags, used;

	bvx_host_memory(&memory);
	flags = bv_host_spin_lock_irq(&domain->count_lock);
	fits = bvx_pages_of(domain) + count <= domain->max_pages &&
	       memory.free >= promised_to_others(domain) + count;
	if (fits) {
		__atomic_add_fetch(&domain->live, count, __ATOMIC_SEQ_CST);
		used = domain->claimed < count ? domain->claimed : count;
		domain->claimed -= used;
		__atomic_sub_fetch(&bvx.claimed, used, __ATOMIC_SEQ_CST);
	}
	bv_host_spin_unlock_irq(&domain->count_lock, flags);
	return fits;
}

int bvx_pages_alloc(struct bvx_domain *domain, unsigned int order, u64 below, struct bv_mfn *mfn)
{
	int error;

	if (bvx_domain_dying(domain))
		return -XEN_ENOMEM;
	if (!bvx_pages_charge(domain, 1ULL << order))
		return -XEN_ENOMEM;
	error = bvx_host_frames_alloc(order, below, mfn);
	if (error)
		bvx_pages_uncharge(domain, 1ULL << order);
	return error;
}

/* ---- pages of the front's own ---- */

int bvx_shared_new(struct bvx_shared *shared)
{
	struct bv_mfn mfn;

	if (bvx_host_frames_alloc(0, 0, &mfn))
		return -XEN_ENOMEM;
	if (bvx_frame_prepare(mfn)) {
		bvx_host_frames_free(mfn, 0);
		return -XEN_ENOMEM;
	}
	shared->mfn = mfn;
	shared->va = bvx_host_frame_va(mfn);
	return 0;
}

void bvx_shared_drop(struct bvx_domain *owner, struct bvx_shared *shared)
{
	if (!shared->va)
		return;
	shared->va = NULL;
	bvx_frame_drop(owner, shared->mfn, false);
}
