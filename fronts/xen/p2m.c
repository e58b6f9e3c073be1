// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The p2m: what lies under each guest frame of a domain. The engine's nested table is a cache of
 * it; whoever changes something here takes it back there.
 *
 * Theory. A radix tree of four levels over 36-bit guest frame numbers; a leaf at level 2 stands for
 * 512 pages alike, at level 3 for 512 times as many. Changes are made one after the other (mutex
 * `change`, which sleeps, so that nodes can be allocated). Looking needs only the spin lock `lock`,
 * and who holds it knows that what he sees stays: a change switches the entry under it.
 *
 * Order of a change that takes something away: the engine is told that an invalidate begins (it
 * drops its mappings, and makes no new ones), the entry is switched, the invalidate ends, and only
 * then is the old frame's hold given back. So no guest reaches a frame that was freed.
 */
#include "pod.h"

#define FAN 512
#define LEVELS 4

/*
 * An entry of the tree. 0: nothing. A table's address is that of a page, so its low bits are free.
 */
#define LEAF 1ULL
#define TABLE 2ULL
#define TYPE_SHIFT 4
#define TYPE_MASK 0xfULL

static unsigned int slot_of(u64 gfn, unsigned int level)
{
	return gfn >> 9 * (level - 1) & (FAN - 1);
}

static u64 *table_of(u64 entry)
{
	return (u64 *)(unsigned long)(entry & ~TABLE);
}

static u64 leaf_make(const struct bvx_entry *entry)
{
	if (entry->type == BVX_NONE)
		return 0;
	return entry->mfn.n << BV_PAGE_SHIFT | (u64)entry->type << TYPE_SHIFT | LEAF;
}

static struct bvx_entry leaf_read(u64 leaf, u64 gfn, unsigned int level)
{
	u64 within = gfn & ((1ULL << 9 * (level - 1)) - 1);

	if (!(leaf & LEAF))
		return (struct bvx_entry){ .type = BVX_NONE };
	return (struct bvx_entry){
		.mfn = BV_MFN((leaf >> BV_PAGE_SHIFT) + within),
		.type = leaf >> TYPE_SHIFT & TYPE_MASK,
		.order = 9 * (level - 1),
	};
}

int bvx_p2m_init(struct bvx_p2m *p2m)
{
	bv_host_mutex_init(&p2m->change);
	bv_host_spin_init(&p2m->lock);
	p2m->root = bv_host_pages_alloc(0);
	p2m->nodes = 1;
	return p2m->root ? 0 : -XEN_ENOMEM;
}

static void tables_free(u64 *table, unsigned int level)
{
	u64 *stack[LEVELS + 1] = { 0 };
	unsigned int at[LEVELS + 1] = { 0 };

	stack[level] = table;
	for (unsigned int now = level; now <= level;) {
		u64 entry = at[now] < FAN && now > 1 ? stack[now][at[now]] : 0;

		if (at[now] == FAN || now == 1) {
			bv_host_pages_free(stack[now], 0);
			now++;
			continue;
		}
		at[now]++;
		if (!(entry & TABLE))
			continue;
		now--;
		stack[now] = table_of(entry);
		at[now] = 0;
	}
}

void bvx_p2m_fini(struct bvx_p2m *p2m)
{
	if (p2m->root)
		tables_free(p2m->root, LEVELS);
	p2m->root = NULL;
}

struct bvx_entry bvx_p2m_look(const struct bvx_p2m *p2m, u64 gfn)
{
	const u64 *table = p2m->root;

	if (gfn >= BVX_MAX_GFN)
		return (struct bvx_entry){ .type = BVX_NONE };
	for (unsigned int level = LEVELS;; level--) {
		u64 entry = table[slot_of(gfn, level)];

		if (!(entry & TABLE))
			return leaf_read(entry, gfn, level);
		table = table_of(entry);
	}
}

static bool is_memory(enum bvx_type type, bool any)
{
	return type == BVX_RAM || type == BVX_RAM_READONLY || type == BVX_SHARED ||
	       (any && (type == BVX_GRANT || type == BVX_GRANT_READONLY || type == BVX_FOREIGN));
}

int bvx_p2m_hold(struct bvx_domain *domain, u64 gfn, bool any, struct bvx_entry *entry)
{
	struct bvx_p2m *p2m = &domain->p2m;

	for (;;) {
		bool done = false;

		bv_host_spin_lock(&p2m->lock);
		*entry = bvx_p2m_look(p2m, gfn);
		if (is_memory(entry->type, any) && bvx_frame_prepared(entry->mfn)) {
			bvx_frame_hold(entry->mfn);
			done = true;
		}
		bv_host_spin_unlock(&p2m->lock);
		if (done)
			return 0;
		if (entry->type == BVX_POD) {
			int error = bvx_pod_fill(domain, gfn);

			if (error)
				return error;
			continue;
		}
		if (!is_memory(entry->type, any))
			return -XEN_EINVAL;
		if (bvx_frame_prepare(entry->mfn))
			return -XEN_ENOMEM;
	}
}

/* ---- changing ---- */

/* A table of what a large leaf stood for, or an empty one. */
static u64 *table_new(struct bvx_p2m *p2m, u64 leaf, unsigned int level)
{
	u64 *table = bv_host_pages_alloc(0);
	u64 step = BV_PAGE_SIZE << 9 * (level - 1);

	if (!table)
		return NULL;
	p2m->nodes++;
	for (unsigned int i = 0; leaf & LEAF && i < FAN; i++)
		table[i] = leaf + i * step;
	return table;
}

/* The slot of gfn at a level; tables on the way are made, larger leaves cut. NULL: no memory. */
static u64 *slot_at(struct bvx_p2m *p2m, u64 gfn, unsigned int wanted)
{
	u64 *table = p2m->root;

	for (unsigned int level = LEVELS; level > wanted; level--) {
		u64 *slot = &table[slot_of(gfn, level)];

		if (!(*slot & TABLE)) {
			u64 *below = table_new(p2m, *slot, level - 1);

			if (!below)
				return NULL;
			bv_host_spin_lock(&p2m->lock);
			*slot = (u64)(unsigned long)below | TABLE;
			bv_host_spin_unlock(&p2m->lock);
		}
		table = table_of(*slot);
	}
	return &table[slot_of(gfn, wanted)];
}

static bool table_empty(const u64 *table)
{
	for (unsigned int i = 0; i < FAN; i++)
		if (table[i])
			return false;
	return true;
}

/* Devices reach what Dom0 reaches, if there is an IOMMU. */
static void tell_devices(u64 gfn, u64 leaf, u64 pages)
{
	struct bvx_entry entry = leaf_read(leaf, gfn, 1);
	bool read = is_memory(entry.type, true);
	bool write = read && entry.type != BVX_RAM_READONLY && entry.type != BVX_GRANT_READONLY;

	bvx_host_dom0_dma(BV_GFN(gfn), BV_MFN(read ? entry.mfn.n : 0), pages, read, write);
}

static bool is_pod(u64 leaf)
{
	return leaf & LEAF && (leaf >> TYPE_SHIFT & TYPE_MASK) == BVX_POD;
}

/* What was copied to or from lately may lie elsewhere now. Under the lock. */
static void hot_forget(struct bvx_p2m *p2m)
{
	for (unsigned int i = 0; i < BVX_HOT_PAGES; i++)
		__atomic_store_n(&p2m->hot[i], 0, __ATOMIC_RELAXED);
	__atomic_fetch_add(&p2m->generation, 1, __ATOMIC_SEQ_CST);
}

static void slot_switch(struct bvx_domain *domain, u64 gfn, u64 *slot, u64 value, u64 pages)
{
	u64 start = gfn << BV_PAGE_SHIFT, end = (gfn + pages) << BV_PAGE_SHIFT;
	/* Nobody has mapped what has no frame. */
	bool was = *slot & LEAF && !is_pod(*slot);

	domain->pod.entries += (is_pod(value) ? pages : 0) - (is_pod(*slot) ? pages : 0);
	if (was)
		bv_mem_invalidate_begin(domain->vm, start, end);
	bv_host_spin_lock(&domain->p2m.lock);
	*slot = value;
	hot_forget(&domain->p2m);
	bv_host_spin_unlock(&domain->p2m.lock);
	if (was)
		bv_mem_invalidate_end(domain->vm, start, end);
	if (domain->hardware) {
		tell_devices(gfn, value, pages);
		bvx_host_dom0_dma_done();
	}
	if (domain->p2m.end < gfn + pages)
		__atomic_store_n(&domain->p2m.end, gfn + pages, __ATOMIC_RELEASE);
}

int bvx_p2m_set_locked(struct bvx_domain *domain, u64 gfn, const struct bvx_entry *entry, int type,
		       struct bvx_entry *old)
{
	unsigned int level = entry->order / 9 + 1;
	u64 *slot, below = 0, leaf = leaf_make(entry);

	if (gfn >= BVX_MAX_GFN || gfn & ((1ULL << entry->order) - 1))
		return -XEN_EINVAL;
	slot = slot_at(&domain->p2m, gfn, level);
	if (!slot)
		return -XEN_ENOMEM;
	if (*slot & TABLE) {
		if (level > 2 || !table_empty(table_of(*slot)))
			return -XEN_EBUSY;
		below = *slot;
	}
	*old = leaf_read(below ? 0 : *slot, gfn, level);
	if (type >= 0 && old->type != (enum bvx_type)type)
		return -XEN_EBUSY;
	if (*slot == leaf)
		return 0;
	slot_switch(domain, gfn, slot, leaf, 1ULL << entry->order);
	if (below) {
		domain->p2m.nodes--;
		bv_host_pages_free(table_of(below), 0);
	}
	return 0;
}

static int set(struct bvx_domain *domain, u64 gfn, const struct bvx_entry *entry, int type,
	       struct bvx_entry *old)
{
	int error;

	bv_host_mutex_lock(&domain->p2m.change);
	error = bvx_p2m_set_locked(domain, gfn, entry, type, old);
	bv_host_mutex_unlock(&domain->p2m.change);
	return error;
}

int bvx_p2m_set(struct bvx_domain *domain, u64 gfn, const struct bvx_entry *entry,
		struct bvx_entry *old)
{
	return set(domain, gfn, entry, -1, old);
}

int bvx_p2m_set_where(struct bvx_domain *domain, u64 gfn, const struct bvx_entry *entry,
		      enum bvx_type type, struct bvx_entry *old)
{
	return set(domain, gfn, entry, type, old);
}

/* The entry of a page that is of that type, for itself; NULL: it is not. Under `change`. */
static u64 *slot_of_type(struct bvx_domain *domain, u64 gfn, enum bvx_type type)
{
	u64 *slot = slot_at(&domain->p2m, gfn, 1);

	return slot && leaf_read(*slot, gfn, 1).type == type ? slot : NULL;
}

void bvx_p2m_clear_pages(struct bvx_domain *domain, const u64 *gfns, const enum bvx_type *types,
			 u32 count)
{
	u64 *slots[BVX_CLEAR_PAGES], pages[BVX_CLEAR_PAGES], start = ~0ULL, end = 0;
	u32 found = 0;

	bv_assert(count <= BVX_CLEAR_PAGES);
	bv_host_mutex_lock(&domain->p2m.change);
	for (u32 i = 0; i < count; i++) {
		slots[found] = slot_of_type(domain, gfns[i], types[i]);
		if (!slots[found])
			continue;
		pages[found] = gfns[i] << BV_PAGE_SHIFT;
		start = pages[found] < start ? pages[found] : start;
		end = pages[found] >= end ? pages[found] + BV_PAGE_SIZE : end;
		found++;
	}
	if (found) {
		bv_mem_invalidate_begin_pages(domain->vm, pages, found, start, end);
		bv_host_spin_lock(&domain->p2m.lock);
		for (u32 i = 0; i < found; i++)
			*slots[i] = 0;
		hot_forget(&domain->p2m);
		bv_host_spin_unlock(&domain->p2m.lock);
		bv_mem_invalidate_end(domain->vm, start, end);
	}
	for (u32 i = 0; i < found && domain->hardware; i++)
		tell_devices(pages[i] >> BV_PAGE_SHIFT, 0, 1);
	if (domain->hardware)
		bvx_host_dom0_dma_done();
	bv_host_mutex_unlock(&domain->p2m.change);
}

void bvx_p2m_release(struct bvx_domain *domain, const struct bvx_entry *old)
{
	switch (old->type) {
	case BVX_RAM:
	case BVX_RAM_READONLY:
		for (u64 i = 0; i < 1ULL << old->order; i++)
			bvx_frame_drop(domain, BV_MFN(old->mfn.n + i), true);
		break;
	case BVX_SHARED:
	case BVX_FOREIGN:
		bvx_frame_release(old->mfn);
		break;
	default:
		/* A grant's hold is its mapping's; a device's page is nobody's. */
		break;
	}
}

int bvx_p2m_clear(struct bvx_domain *domain, u64 gfn)
{
	const struct bvx_entry nothing = { .type = BVX_NONE };
	struct bvx_entry old;
	int error = bvx_p2m_set(domain, gfn, &nothing, &old);

	if (!error)
		bvx_p2m_release(domain, &old);
	return error;
}

int bvx_p2m_split(struct bvx_domain *domain, u64 gfn)
{
	u64 *slot;

	bv_host_mutex_lock(&domain->p2m.change);
	slot = slot_at(&domain->p2m, gfn, 1);
	bv_host_mutex_unlock(&domain->p2m.change);
	return slot ? 0 : -XEN_ENOMEM;
}

/* ---- walking ---- */

/* The next guest frame from `gfn` on with something under it; BVX_MAX_GFN: none. Under change. */
static u64 next_used(const struct bvx_p2m *p2m, u64 gfn, unsigned int *level, u64 **slot)
{
	while (gfn < BVX_MAX_GFN) {
		u64 *table = p2m->root;
		unsigned int at = LEVELS;

		while (table[slot_of(gfn, at)] & TABLE) {
			table = table_of(table[slot_of(gfn, at)]);
			at--;
		}
		*slot = &table[slot_of(gfn, at)];
		*level = at;
		if (**slot)
			return gfn & ~((1ULL << 9 * (at - 1)) - 1);
		gfn = (gfn | ((1ULL << 9 * (at - 1)) - 1)) + 1;
	}
	return BVX_MAX_GFN;
}

bool bvx_p2m_empty(struct bvx_domain *domain, u64 *gfn, u32 steps)
{
	struct bvx_p2m *p2m = &domain->p2m;

	while (steps) {
		struct bvx_entry old;
		unsigned int level;
		u64 *slot;

		bv_host_mutex_lock(&p2m->change);
		*gfn = next_used(p2m, *gfn, &level, &slot);
		if (*gfn == BVX_MAX_GFN) {
			bv_host_mutex_unlock(&p2m->change);
			return true;
		}
		old = leaf_read(*slot, *gfn, level);
		slot_switch(domain, *gfn, slot, 0, 1ULL << old.order);
		bv_host_mutex_unlock(&p2m->change);
		bvx_p2m_release(domain, &old);
		*gfn += 1ULL << old.order;
		steps -= steps < 1u << old.order ? steps : 1u << old.order;
	}
	return false;
}

u64 bvx_p2m_max(struct bvx_domain *domain)
{
	u64 end = __atomic_load_n(&domain->p2m.end, __ATOMIC_ACQUIRE);

	return end ? end - 1 : 0;
}
