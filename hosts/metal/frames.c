/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Machine memory: a buddy allocator over all frames, and the small pieces of our own
 * (bv_host_alloc).
 *
 * For each frame there is one word: who owns it, and for the first frame of a free block its
 * order. The links of the free lists lie in the free blocks themselves. A block of order n is free
 * as a whole exactly if its first frame says so; the other frames of it are marked as free too,
 * with no order.
 *
 * A free block is clean, all of it zero but for the links, or dirty: a guest had some of it. A CPU
 * with nothing else to do scrubs dirty ones (frames_scrub); guests get clean ones where there are
 * any, and else one that is scrubbed then. A clean block joined with a dirty one is dirty.
 *
 * Small pieces: a page is cut into pieces of one size (a power of two), its head says which.
 * Pieces that begin on a page boundary are blocks of whole pages; their order stands in the
 * frame's word.
 */
#include "hosts/metal/metal.h"

#define MAX_ORDER 18 /* 1 GiB */
#define NO_ORDER 0xff
#define SCRUB_ORDER 9 /* what is scrubbed at a time; larger clean blocks are not made dirty */
#define DIRTY_AT_START true /* what the firmware and the loader left, nobody knows */

struct frame {
	u16 owner;
	u8 order; /* of a free block, or of our own block, at its first frame */
	u8 dirty; /* of a free block, at its first frame */
};

struct free_block {
	struct bv_list node;
};

static struct {
	struct bv_spinlock lock;
	struct frame *frame;
	u64 end;
	u64 total, free, dirty; /* dirty: of the free ones */
	bool high_first; /* until Dom0 has its memory, which begins with the lowest */
	struct bv_list list[2][MAX_ORDER + 1]; /* clean, dirty */
} frames;

u64 frames_end(void)
{
	return frames.end;
}

u64 frames_free_count(void)
{
	return frames.free;
}

u64 frames_total(void)
{
	return frames.total;
}

u64 frames_dirty_count(void)
{
	return frames.dirty;
}

u16 frame_owner(u64 mfn)
{
	return mfn < frames.end ? frames.frame[mfn].owner : FRAME_NONE;
}

/* ---- blocks ---- */

static struct free_block *block_at(u64 mfn)
{
	return direct(mfn << BV_PAGE_SHIFT);
}

static void block_put(u64 mfn, unsigned int order, bool dirty)
{
	frames.frame[mfn].order = (u8)order;
	frames.frame[mfn].dirty = dirty;
	frames.dirty += dirty ? 1ull << order : 0;
	bv_list_add_tail(&frames.list[dirty][order], &block_at(mfn)->node);
}

/* Returns whether it is dirty; a clean one is all zero from now on. */
static bool block_remove(u64 mfn)
{
	struct free_block *block = block_at(mfn);
	bool dirty = frames.frame[mfn].dirty;

	frames.dirty -= dirty ? 1ull << frames.frame[mfn].order : 0;
	frames.frame[mfn].order = NO_ORDER;
	bv_list_del(&block->node);
	*block = (struct free_block){ 0 };
	return dirty;
}

static void block_own(u64 mfn, unsigned int order, u16 owner)
{
	for (u64 i = 0; i < 1ull << order; i++)
		frames.frame[mfn + i].owner = owner;
	frames.frame[mfn].order = (u8)order;
	frames.free -= 1ull << order;
}

static u64 block_mfn(const struct bv_list *node)
{
	return ((u64)node - DIRECT_BASE) >> BV_PAGE_SHIFT;
}

/* A free block of at least the order, with its beginning below the limit; ~0 none. */
static u64 block_find(bool dirty, unsigned int order, u64 below, unsigned int *found)
{
	for (*found = order; *found <= MAX_ORDER; (*found)++) {
		struct bv_list *node;

		bv_list_for_each(node, &frames.list[dirty][*found])
			if (block_mfn(node) + (1ull << order) <= below)
				return block_mfn(node);
	}
	return ~0ull;
}

/* The same, the one that lies highest. At that time no guest has had any: all are alike. */
static u64 block_find_high(unsigned int order, unsigned int *found)
{
	u64 highest = 0;

	for (u32 i = order; i <= MAX_ORDER; i++) {
		struct bv_list *node;

		bv_list_for_each(node, &frames.list[DIRTY_AT_START][i])
			if (block_mfn(node) >= highest) {
				highest = block_mfn(node);
				*found = i;
			}
	}
	return highest ? highest : ~0ull;
}

/* Clean or dirty, whichever there is; those that are wanted first. */
static u64 block_find_any(bool dirty_first, unsigned int order, u64 below, unsigned int *found)
{
	u64 mfn;

	if (frames.high_first)
		return block_find_high(order, found);
	mfn = block_find(dirty_first, order, below, found);
	return mfn != ~0ull ? mfn : block_find(!dirty_first, order, below, found);
}

/* *dirty: whether dirty ones will do as well, and may be spent first; then what it is. */
static u64 frame_alloc_below(unsigned int order, u64 below, u16 owner, bool *dirty)
{
	u64 flags = bv_host_spin_lock_irq(&frames.lock), mfn;
	unsigned int found;

	mfn = block_find_any(*dirty, order, below, &found);
	if (mfn != ~0ull) {
		*dirty = block_remove(mfn);
		while (found > order) {
			found--;
			/* The upper half is used where that is wanted. */
			block_put(frames.high_first ? mfn : mfn + (1ull << found), found, *dirty);
			mfn += frames.high_first ? 1ull << found : 0;
		}
		block_own(mfn, order, owner);
	}
	bv_host_spin_unlock_irq(&frames.lock, flags);
	return mfn;
}

u64 frame_alloc(unsigned int order, u16 owner)
{
	bool dirty = true;

	return frame_alloc_below(order, ~0ull, owner, &dirty);
}

/* Joins with the buddy as long as that is free as a whole, too. */
static void block_free_locked(u64 mfn, unsigned int order, bool dirty)
{
	frames.free += 1ull << order;
	for (u64 i = 0; i < 1ull << order; i++) {
		frames.frame[mfn + i].owner = FRAME_FREE;
		frames.frame[mfn + i].order = NO_ORDER;
	}
	for (; order < MAX_ORDER; order++) {
		u64 buddy = mfn ^ (1ull << order);

		if (buddy >= frames.end || frames.frame[buddy].owner != FRAME_FREE ||
		    frames.frame[buddy].order != order)
			break;
		if (frames.frame[buddy].dirty != dirty && order >= SCRUB_ORDER)
			break;
		dirty |= block_remove(buddy);
		mfn &= ~(1ull << order);
	}
	block_put(mfn, order, dirty);
}

void frame_free(u64 mfn, unsigned int order)
{
	u64 flags = bv_host_spin_lock_irq(&frames.lock);

	for (u64 i = 0; i < 1ull << order; i++)
		bv_assert(frames.frame[mfn + i].owner != FRAME_FREE &&
			  frames.frame[mfn + i].owner != FRAME_NONE);
	block_free_locked(mfn, order, true);
	bv_host_spin_unlock_irq(&frames.lock, flags);
}

/* The free block that has this frame: its first frame. */
static u64 block_around(u64 mfn)
{
	for (unsigned int order = 0; order <= MAX_ORDER; order++) {
		u64 first = mfn & ~((1ull << order) - 1);

		if (frames.frame[first].owner == FRAME_FREE &&
		    frames.frame[first].order != NO_ORDER &&
		    first + (1ull << frames.frame[first].order) > mfn)
			return first;
	}
	return ~0ull;
}

static void take_one_locked(u64 mfn, u16 owner)
{
	u64 first = block_around(mfn);
	unsigned int order;
	bool dirty;

	bv_assert(first != ~0ull);
	order = frames.frame[first].order;
	dirty = block_remove(first);
	while (order) {
		u64 half = first + (1ull << --order);

		block_put(mfn >= half ? first : half, order, dirty);
		if (mfn >= half)
			first = half;
	}
	block_own(mfn, 0, owner);
}

/* Whole blocks that lie in the range are taken as such. */
static void take_locked(u64 mfn, u64 count, u16 owner)
{
	while (count) {
		u64 first = block_around(mfn), span;

		bv_assert(first != ~0ull);
		span = 1ull << frames.frame[first].order;
		if (first == mfn && span <= count) {
			unsigned int order = frames.frame[first].order;

			block_remove(first);
			block_own(first, order, owner);
		} else {
			take_one_locked(mfn, owner);
			span = 1;
		}
		mfn += span;
		count -= span;
	}
}

bool frame_take(u64 mfn, u64 count, u16 owner)
{
	u64 flags = bv_host_spin_lock_irq(&frames.lock);
	bool all = mfn + count <= frames.end;

	for (u64 i = 0; all && i < count; i++)
		all = frames.frame[mfn + i].owner == FRAME_FREE;
	if (all)
		take_locked(mfn, count, owner);
	bv_host_spin_unlock_irq(&frames.lock, flags);
	return all;
}

/* ---- scrubbing ---- */

/* A dirty block, or a part of one, that belongs to nobody while it is scrubbed; ~0 none. */
static u64 scrub_begin(unsigned int *order)
{
	u64 flags = bv_host_spin_lock_irq(&frames.lock), mfn = ~0ull;
	unsigned int found;

	if (frames.dirty && !frames.high_first)
		mfn = block_find(true, 0, ~0ull, &found);
	if (mfn != ~0ull) {
		block_remove(mfn);
		for (; found > SCRUB_ORDER; found--)
			block_put(mfn + (1ull << (found - 1)), found - 1, true);
		for (u64 i = 0; i < 1ull << found; i++)
			frames.frame[mfn + i].owner = FRAME_SCRUBBED;
		*order = found;
	}
	bv_host_spin_unlock_irq(&frames.lock, flags);
	return mfn;
}

static void scrub_end(u64 mfn, unsigned int order, bool dirty)
{
	u64 flags = bv_host_spin_lock_irq(&frames.lock);

	frames.free -= 1ull << order; /* counted as such all the time; the next adds it */
	block_free_locked(mfn, order, dirty);
	bv_host_spin_unlock_irq(&frames.lock, flags);
}

bool frames_scrub(void)
{
	unsigned int order;
	u64 mfn = scrub_begin(&order), i;

	if (mfn == ~0ull)
		return false;
	for (i = 0; i < 1ull << order && !this_cpu()->resched; i++)
		page_clear(direct((mfn + i) << BV_PAGE_SHIFT));
	scrub_end(mfn, order, i < 1ull << order);
	return true;
}

/* ---- birth ---- */

static bool overlaps(u64 start, u64 end, u64 first, u64 last)
{
	return start < last && first < end;
}

/* Whether something that stays lies in [start, end) of memory that is said to be free. */
static bool occupied(u64 start, u64 end)
{
	extern char image_begin[], image_end[];

	if (overlaps(start, end, IMAGE_LOAD, IMAGE_LOAD + (u64)(image_end - image_begin)))
		return true;
	for (u32 i = 0; i < boot.modules; i++)
		if (overlaps(start, end, boot.module[i].start & BV_PAGE_MASK, boot.module[i].end))
			return true;
	return start < 0x100000;
}

/* The table of frames goes to the highest place below 4 GiB, where all is mapped from the start. */
static u64 table_place(u64 bytes)
{
	for (u32 i = boot.ranges; i-- > 0;) {
		const struct range *range = &boot.range[i];
		u64 end = range->end < 1ull << 32 ? range->end : 1ull << 32;

		if (range->kind != RANGE_RAM)
			continue;
		for (u64 at = (end - bytes) & BV_PAGE_MASK; at >= range->start && at < end;
		     at -= BV_PAGE_SIZE)
			if (!occupied(at, at + bytes))
				return at;
	}
	panic("no room for the table of frames");
}

/* Frees the largest aligned blocks that nothing lies in. */
static void range_free(const struct range *range, u64 table, u64 table_end)
{
	u64 mfn = (range->start + BV_PAGE_SIZE - 1) >> BV_PAGE_SHIFT,
	    end = range->end >> BV_PAGE_SHIFT;

	while (mfn < end) {
		unsigned int order = MAX_ORDER;
		u64 pa = mfn << BV_PAGE_SHIFT;
		bool taken;

		for (;; order--) {
			u64 pa_end = pa + (BV_PAGE_SIZE << order);

			if (order && (mfn & ((1ull << order) - 1) || pa_end >> BV_PAGE_SHIFT > end))
				continue;
			taken = occupied(pa, pa_end) || overlaps(pa, pa_end, table, table_end);
			if (!order || !taken)
				break;
		}
		frames.total += 1ull << order;
		if (taken)
			frames.frame[mfn].owner = FRAME_OURS;
		else
			block_free_locked(mfn, order, DIRTY_AT_START);
		mfn += 1ull << order;
	}
}

void frames_init(void)
{
	u64 bytes, table;

	bv_host_spin_init(&frames.lock);
	for (u32 i = 0; i <= MAX_ORDER; i++) {
		bv_list_init(&frames.list[false][i]);
		bv_list_init(&frames.list[true][i]);
	}
	for (u32 i = 0; i < boot.ranges; i++)
		if (boot.range[i].kind == RANGE_RAM &&
		    boot.range[i].end >> BV_PAGE_SHIFT > frames.end)
			frames.end = boot.range[i].end >> BV_PAGE_SHIFT;
	bytes = (frames.end * sizeof(*frames.frame) + BV_PAGE_SIZE - 1) & BV_PAGE_MASK;
	table = table_place(bytes);
	frames.high_first = true;
	frames.frame = direct(table);
	for (u64 mfn = 0; mfn < frames.end; mfn++)
		frames.frame[mfn] = (struct frame){ .owner = FRAME_NONE, .order = NO_ORDER };
	/* Only what is mapped already: paging_init adds the rest. */
	for (u32 i = 0; i < boot.ranges; i++)
		if (boot.range[i].kind == RANGE_RAM && boot.range[i].end <= 1ull << 32)
			range_free(&boot.range[i], table, table + bytes);
}

void frames_init_high(void)
{
	for (u32 i = 0; i < boot.ranges; i++)
		if (boot.range[i].kind == RANGE_RAM && boot.range[i].end > 1ull << 32)
			range_free(&boot.range[i], 0, 0);
}

void frames_dom0_done(void)
{
	frames.high_first = false;
}

/* ---- memory of our own ---- */

void *bv_host_pages_alloc(unsigned int order)
{
	u64 mfn = frame_alloc(order, FRAME_OURS);

	if (mfn == ~0ull)
		return NULL;
	return __builtin_memset(direct(mfn << BV_PAGE_SHIFT), 0, BV_PAGE_SIZE << order);
}

void bv_host_pages_free(void *pages, unsigned int order)
{
	if (pages)
		frame_free(bv_host_pa(pages) >> BV_PAGE_SHIFT, order);
}

u64 bv_host_pa(const void *page)
{
	u64 address = (u64)page;

	return address >= DIRECT_BASE ? address - DIRECT_BASE : address - IMAGE_BASE + IMAGE_LOAD;
}

void *bv_host_va(u64 pa)
{
	return direct(pa);
}

#define PIECE_SHIFT_MIN 5
#define PIECE_SHIFT_MAX 10
#define PIECE_HEAD 32

struct piece_page {
	u32 shift;
};

static struct {
	struct bv_spinlock lock;
	void *free[PIECE_SHIFT_MAX + 1]; /* chains through the pieces' first words */
	u64 pages;
} pieces;

/* Cuts a new page; the pieces start behind its head. */
static void pieces_add(void *page, u32 shift)
{
	u64 bytes = 1ull << shift;

	((struct piece_page *)page)->shift = shift;
	pieces.pages++;
	for (u64 at = bytes < PIECE_HEAD ? PIECE_HEAD : bytes; at + bytes <= BV_PAGE_SIZE;
	     at += bytes) {
		void **piece = (void **)((u8 *)page + at);

		*piece = pieces.free[shift];
		pieces.free[shift] = piece;
	}
}

static void *piece_alloc(u32 shift)
{
	u64 flags = bv_host_spin_lock_irq(&pieces.lock);
	void **piece = pieces.free[shift];

	if (!piece) {
		void *page = bv_host_pages_alloc(0);

		if (page)
			pieces_add(page, shift);
		piece = pieces.free[shift];
	}
	if (piece)
		pieces.free[shift] = *piece;
	bv_host_spin_unlock_irq(&pieces.lock, flags);
	return piece ? __builtin_memset(piece, 0, 1ull << shift) : NULL;
}

void *bv_host_alloc(size_t bytes)
{
	u32 shift = PIECE_SHIFT_MIN, order = 0;

	for (; shift <= PIECE_SHIFT_MAX; shift++)
		if (bytes <= 1ull << shift)
			return piece_alloc(shift);
	while (BV_PAGE_SIZE << order < bytes)
		order++;
	return order <= MAX_ORDER ? bv_host_pages_alloc(order) : NULL;
}

void bv_host_free(void *memory)
{
	u64 address = (u64)memory;
	void **piece = memory;
	u32 shift;
	u64 flags;

	if (!memory)
		return;
	if (!(address & ~BV_PAGE_MASK)) {
		u64 mfn = (address - DIRECT_BASE) >> BV_PAGE_SHIFT;

		frame_free(mfn, frames.frame[mfn].order);
		return;
	}
	shift = ((struct piece_page *)(address & BV_PAGE_MASK))->shift;
	flags = bv_host_spin_lock_irq(&pieces.lock);
	*piece = pieces.free[shift];
	pieces.free[shift] = piece;
	bv_host_spin_unlock_irq(&pieces.lock, flags);
}

/* ---- frames for guests: what the front asks ---- */

int bvx_host_frames_alloc(unsigned int order, u64 below, struct bv_mfn *mfn)
{
	bool dirty = false;
	u64 found = order <= MAX_ORDER ?
			    frame_alloc_below(order, below ? below >> BV_PAGE_SHIFT : ~0ull, 0,
					      &dirty) :
			    ~0ull;

	if (found == ~0ull)
		return -BV_ENOMEM;
	for (u64 i = 0; dirty && i < 1ull << order; i++) {
		page_clear(direct((found + i) << BV_PAGE_SHIFT));
		if (i % 64 == 63)
			bvx_host_yield();
	}
	*mfn = BV_MFN(found);
	return 0;
}

int bvx_host_frame_take(struct bv_mfn mfn)
{
	while (mfn.n < frames.end && BV_READ_ONCE(frames.frame[mfn.n].owner) == FRAME_SCRUBBED)
		bvx_host_yield();
	if (!frame_take(mfn.n, 1, 0))
		return -BV_EBUSY;
	page_clear(direct(mfn.n << BV_PAGE_SHIFT));
	return 0;
}

void bvx_host_frames_free(struct bv_mfn mfn, unsigned int order)
{
	frame_free(mfn.n, order);
}

void *bvx_host_frame_va(struct bv_mfn mfn)
{
	return frame_owner(mfn.n) == FRAME_NONE ? NULL : direct(mfn.n << BV_PAGE_SHIFT);
}

void bvx_host_memory(struct bvx_host_memory *memory)
{
	*memory = (struct bvx_host_memory){
		.total = frames.total,
		.free = frames.free,
		.unscrubbed = frames.dirty,
		.max_mfn = frames.end,
	};
}
