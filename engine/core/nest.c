/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* The nested table; theory and invariants in nest.h. */
#include "core/nest.h"

#include "core/vcpu.h"

#define NEST_ADDR 0x000ffffffffff000ULL
#define NEST_INDEX 511
#define NEST_MAX_GFN (1ULL << 36) /* four levels */

/* Frames under one entry of a level. */
static u64 nest_span(unsigned int level)
{
	return 1ULL << (9 * (level - 1));
}

static unsigned int nest_index(u64 gfn, unsigned int level)
{
	return gfn >> (9 * (level - 1)) & NEST_INDEX;
}

static bool nest_present(const struct bv_nest_format *format, u64 entry)
{
	return entry & format->present;
}

static bool nest_is_leaf(const struct bv_nest_format *format, u64 entry, unsigned int level)
{
	return level == 1 || entry & format->large;
}

static u64 *nest_table(u64 entry)
{
	return bv_host_va(entry & NEST_ADDR);
}

int bv_nest_init(struct bv_nest *nest, const struct bv_nest_format *format)
{
	bv_host_spin_init(&nest->lock);
	nest->format = format;
	nest->root = bv_host_pages_alloc(0);
	nest->tables = 1;
	return nest->root ? 0 : -BV_ENOMEM;
}

int bv_nest_cache_fill(struct bv_nest_cache *cache)
{
	while (cache->count < BV_NEST_CACHE) {
		void *page = bv_host_pages_alloc(0);

		if (!page)
			return -BV_ENOMEM;
		cache->page[cache->count++] = page;
	}
	return 0;
}

void bv_nest_cache_drop(struct bv_nest_cache *cache)
{
	while (cache->count)
		bv_host_pages_free(cache->page[--cache->count], 0);
}

/* ---- walking a range ---- */

/*
 * One visitor serves all range operations. It is called for every present leaf that overlaps the
 * range; what it returns is or-ed into the walk's result.
 */
typedef bool nest_visit(const struct bv_nest_format *format, u64 *entry, unsigned int level,
			u64 gfn);

static bool nest_walk(struct bv_nest *nest, struct bv_gfn first, struct bv_gfn end,
		      nest_visit *visit)
{
	const struct bv_nest_format *format = nest->format;
	u64 gfn = first.n, stop = end.n < NEST_MAX_GFN ? end.n : NEST_MAX_GFN;
	bool result = false;

	while (gfn < stop) {
		u64 *table = nest->root, *entry;
		unsigned int level = BV_NEST_LEVELS;

		for (;; level--) {
			entry = &table[nest_index(gfn, level)];
			if (!nest_present(format, *entry) || nest_is_leaf(format, *entry, level))
				break;
			table = nest_table(*entry);
		}
		if (nest_present(format, *entry))
			result |= visit(format, entry, level, gfn);
		gfn = (gfn | (nest_span(level) - 1)) + 1;
	}
	return result;
}

static bool nest_zap_visit(const struct bv_nest_format *format, u64 *entry, unsigned int level,
			   u64 gfn)
{
	(void)format, (void)level, (void)gfn;
	BV_WRITE_ONCE(*entry, 0);
	return true;
}

bool bv_nest_zap_locked(struct bv_nest *nest, struct bv_gfn first, struct bv_gfn end)
{
	return nest_walk(nest, first, end, nest_zap_visit);
}

static bool nest_protect_visit(const struct bv_nest_format *format, u64 *entry, unsigned int level,
			       u64 gfn)
{
	(void)level, (void)gfn;
	/* The hardware sets bits of the entry at the same time. */
	return __atomic_fetch_and(entry, ~format->write, __ATOMIC_SEQ_CST) & format->write;
}

bool bv_nest_protect_locked(struct bv_nest *nest, struct bv_gfn first, struct bv_gfn end)
{
	return nest_walk(nest, first, end, nest_protect_visit);
}

/* A large leaf is split by a write fault: its flag would tell too little. */
static bool nest_watch_visit(const struct bv_nest_format *format, u64 *entry, unsigned int level,
			     u64 gfn)
{
	u64 flag = level == 1 ? format->dirty : format->write;

	(void)gfn;
	return __atomic_fetch_and(entry, ~flag, __ATOMIC_SEQ_CST) & flag;
}

bool bv_nest_watch_locked(struct bv_nest *nest, struct bv_gfn first, struct bv_gfn end)
{
	return nest_walk(nest, first, end, nest->hw_log ? nest_watch_visit : nest_protect_visit);
}

static bool nest_young_visit(const struct bv_nest_format *format, u64 *entry, unsigned int level,
			     u64 gfn)
{
	(void)level, (void)gfn;
	return *entry & format->accessed;
}

static bool nest_age_visit(const struct bv_nest_format *format, u64 *entry, unsigned int level,
			   u64 gfn)
{
	(void)level, (void)gfn;
	return __atomic_fetch_and(entry, ~format->accessed, __ATOMIC_SEQ_CST) & format->accessed;
}

bool bv_nest_young_locked(struct bv_nest *nest, struct bv_gfn first, struct bv_gfn end, bool clear)
{
	return nest_walk(nest, first, end, clear ? nest_age_visit : nest_young_visit);
}

/* ---- one leaf ---- */

static u64 *nest_lookup(struct bv_nest *nest, u64 gfn, unsigned int *level)
{
	u64 *table = nest->root, *entry;

	for (*level = BV_NEST_LEVELS;; (*level)--) {
		entry = &table[nest_index(gfn, *level)];
		if (!nest_present(nest->format, *entry))
			return NULL;
		if (nest_is_leaf(nest->format, *entry, *level))
			return entry;
		table = nest_table(*entry);
	}
}

unsigned int bv_nest_find_locked(struct bv_nest *nest, struct bv_gfn gfn,
				 struct bv_nest_mapping *mapping)
{
	const struct bv_nest_format *format = nest->format;
	unsigned int level;
	u64 *entry = gfn.n < NEST_MAX_GFN ? nest_lookup(nest, gfn.n, &level) : NULL;

	if (!entry)
		return 0;
	if (mapping) {
		mapping->gfn = BV_GFN(gfn.n & ~(nest_span(level) - 1));
		mapping->mfn = BV_MFN((*entry & NEST_ADDR) >> BV_PAGE_SHIFT);
		mapping->level = level;
		mapping->write = *entry & format->write;
		mapping->clean = mapping->write && !(*entry & format->dirty);
		mapping->exec = format->exec ? *entry & format->exec : !(*entry & format->no_exec);
	}
	return level;
}

static u64 nest_leaf(const struct bv_nest_format *format, const struct bv_nest_mapping *mapping)
{
	u64 entry =
		format->present | format->leaf | format->accessed | mapping->mfn.n << BV_PAGE_SHIFT;

	if (mapping->level > 1)
		entry |= format->large;
	if (mapping->write)
		entry |= format->write | (mapping->clean ? 0 : format->dirty);
	return entry | (mapping->exec ? format->exec : format->no_exec);
}

static void *nest_cache_take(struct bv_nest *nest, struct bv_nest_cache *cache)
{
	bv_assert(cache->count);
	nest->tables++;
	return cache->page[--cache->count];
}

/* A table that maps just what the large leaf maps, one level down. */
static void nest_split(struct bv_nest *nest, struct bv_nest_cache *cache, u64 *entry,
		       unsigned int level)
{
	const struct bv_nest_format *format = nest->format;
	u64 leaf = *entry, *table = nest_cache_take(nest, cache);

	if (level == 2)
		leaf &= ~format->large;
	for (u64 i = 0; i < 512; i++)
		table[i] = leaf + i * (nest_span(level - 1) << BV_PAGE_SHIFT);
	__atomic_store_n(entry, format->present | format->table | format->exec | bv_host_pa(table),
			 __ATOMIC_RELEASE);
}

/* ---- taking tables out: invariant (4) ---- */

/*
 * Frees the table under an unlinked entry and all tables below it. At most three levels: a loop
 * with a small stack.
 */
static void nest_free_tables(struct bv_nest *nest, u64 *table, unsigned int table_level)
{
	u64 *stack[BV_NEST_LEVELS + 1];
	unsigned int next[BV_NEST_LEVELS + 1], level = table_level;

	stack[level] = table;
	next[level] = 0;
	while (level <= table_level) {
		u64 entry = next[level] < 512 ? stack[level][next[level]++] : 0;

		if (entry && level > 1 && nest_present(nest->format, entry) &&
		    !nest_is_leaf(nest->format, entry, level)) {
			level--;
			stack[level] = nest_table(entry);
			next[level] = 0;
		} else if (!entry && next[level] >= 512) {
			bv_host_pages_free(stack[level], 0);
			nest->tables--;
			level++;
		}
	}
}

static void nest_unlink(const struct bv_nest_format *format, u64 *entry)
{
	__atomic_fetch_and(entry, ~(format->present | format->table | format->exec),
			   __ATOMIC_SEQ_CST);
}

/*
 * A present entry that points to a table: to be replaced by a leaf, the table must go, and be
 * forgotten first.
 */
static void nest_join(struct bv_vm *vm, u64 *entry, unsigned int level)
{
	u64 *table = nest_table(*entry);

	nest_unlink(vm->nest.format, entry);
	bv_nest_flush(vm);
	nest_free_tables(&vm->nest, table, level - 1);
	*entry = 0;
}

bool bv_nest_map_locked(struct bv_vm *vm, struct bv_nest_cache *cache,
			const struct bv_nest_mapping *mapping)
{
	struct bv_nest *nest = &vm->nest;
	const struct bv_nest_format *format = nest->format;
	u64 gfn = mapping->gfn.n, *table = nest->root, *entry, old;
	unsigned int level;

	for (level = BV_NEST_LEVELS;; level--) {
		entry = &table[nest_index(gfn, level)];
		if (level == mapping->level)
			break;
		if (!nest_present(format, *entry))
			__atomic_store_n(entry,
					 format->present | format->table | format->exec |
						 bv_host_pa(nest_cache_take(nest, cache)),
					 __ATOMIC_RELEASE);
		else if (nest_is_leaf(format, *entry, level))
			nest_split(nest, cache, entry, level);
		table = nest_table(*entry);
	}
	if (nest_present(format, *entry) && !nest_is_leaf(format, *entry, level))
		nest_join(vm, entry, level);
	old = __atomic_exchange_n(entry, nest_leaf(format, mapping), __ATOMIC_SEQ_CST);
	if (!nest_present(format, old))
		return false;
	return (old & NEST_ADDR) != mapping->mfn.n << BV_PAGE_SHIFT ||
	       (old & format->write && !mapping->write);
}

/* Whether the table has no entry at all. */
static bool nest_table_empty(const u64 *table)
{
	for (unsigned int i = 0; i < 512; i++)
		if (table[i])
			return false;
	return true;
}

/*
 * Unlinks (first round) or frees (second round) the empty tables of one level in the range; returns
 * how many.
 */
static u64 nest_prune_round(struct bv_nest *nest, u64 first, u64 end, unsigned int level, bool reap)
{
	const struct bv_nest_format *format = nest->format;
	u64 count = 0;

	/* Where a table above is missing, all of what it would cover is passed over. */
	for (u64 gfn = first & ~(nest_span(level) - 1), next; gfn < end; gfn = next) {
		u64 *table = nest->root, *entry = NULL;
		unsigned int at;

		for (at = BV_NEST_LEVELS;; at--) {
			entry = &table[nest_index(gfn, at)];
			if (at == level || !nest_present(format, *entry) ||
			    nest_is_leaf(format, *entry, at))
				break;
			table = nest_table(*entry);
		}
		next = (gfn | (nest_span(at) - 1)) + 1;
		if (at != level)
			continue;
		if (reap && *entry && !nest_present(format, *entry)) {
			nest_free_tables(nest, nest_table(*entry), level - 1);
			*entry = 0;
			count++;
		} else if (!reap && nest_present(format, *entry) &&
			   !nest_is_leaf(format, *entry, level) &&
			   nest_table_empty(nest_table(*entry))) {
			nest_unlink(format, entry);
			count++;
		}
	}
	return count;
}

void bv_nest_prune_locked(struct bv_vm *vm, struct bv_gfn first, struct bv_gfn end)
{
	u64 stop = end.n < NEST_MAX_GFN ? end.n : NEST_MAX_GFN;

	for (unsigned int level = 2; level < BV_NEST_LEVELS; level++) {
		if (!nest_prune_round(&vm->nest, first.n, stop, level, false))
			continue;
		bv_nest_flush(vm);
		nest_prune_round(&vm->nest, first.n, stop, level, true);
	}
}

void bv_nest_fini(struct bv_nest *nest)
{
	if (nest->root)
		nest_free_tables(nest, nest->root, BV_NEST_LEVELS);
	nest->root = NULL;
}

void bv_nest_flush(struct bv_vm *vm)
{
	struct bv_vcpu *vcpu;
	unsigned int i;

	bv_vm_for_each_vcpu(i, vcpu, vm) bv_vcpu_request(vcpu, BV_REQ_TLB_FLUSH);
	bv_host_vm_interrupt_wait(vm);
}
