// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The nested table: leaves of three sizes put over each other, ranges taken out, rights taken away,
 * and the tables that are left. The last test plays at random against a flat model.
 */
#include "machine.h"

#define MIB2 512ULL
#define GIB1 (512ULL * 512)

static struct machine m;
static struct bv_nest_cache cache;

static struct bv_nest *start(void)
{
	machine_start(&m, 2, CHIPS_FULL);
	cache = (struct bv_nest_cache){ 0 };
	return &m.vm->nest;
}

static void stop(void)
{
	bv_nest_cache_drop(&cache);
	machine_stop(&m);
}

static bool put(u64 gfn, u64 mfn, u8 level, bool write)
{
	struct bv_nest_mapping mapping = { BV_GFN(gfn), BV_MFN(mfn), level, write, true, false };
	bool lost;

	CHECK_EQ(bv_nest_cache_fill(&cache), 0);
	bv_host_spin_lock(&m.vm->nest.lock);
	lost = bv_nest_map_locked(m.vm, &cache, &mapping);
	bv_host_spin_unlock(&m.vm->nest.lock);
	return lost;
}

typedef bool range_call(struct bv_nest *nest, struct bv_gfn first, struct bv_gfn end);

static bool over(range_call *call, u64 first, u64 end)
{
	bool result;

	bv_host_spin_lock(&m.vm->nest.lock);
	result = call(&m.vm->nest, BV_GFN(first), BV_GFN(end));
	bv_host_spin_unlock(&m.vm->nest.lock);
	return result;
}

static bool young(u64 first, u64 end, bool clear)
{
	bool result;

	bv_host_spin_lock(&m.vm->nest.lock);
	result = bv_nest_young_locked(&m.vm->nest, BV_GFN(first), BV_GFN(end), clear);
	bv_host_spin_unlock(&m.vm->nest.lock);
	return result;
}

static void prune(u64 first, u64 end)
{
	bv_host_spin_lock(&m.vm->nest.lock);
	bv_nest_prune_locked(m.vm, BV_GFN(first), BV_GFN(end));
	bv_host_spin_unlock(&m.vm->nest.lock);
}

/* The frame that a guest page has, ~0 none; its leaf in *leaf. */
static u64 frame(u64 gfn, struct bv_nest_mapping *leaf)
{
	unsigned int level;

	bv_host_spin_lock(&m.vm->nest.lock);
	level = bv_nest_find_locked(&m.vm->nest, BV_GFN(gfn), leaf);
	bv_host_spin_unlock(&m.vm->nest.lock);
	return level ? leaf->mfn.n + (gfn - leaf->gfn.n) : ~0ULL;
}

static bool flush_due(unsigned int cpu)
{
	return bv_vcpu_take_request(m.cpu[cpu], BV_REQ_TLB_FLUSH);
}

TEST(a_leaf_is_found_where_it_was_put_and_nowhere_else)
{
	struct bv_nest *nest = start();
	struct bv_nest_mapping leaf;

	CHECK(!put(0x12345, 0x777, 1, true));
	CHECK_EQ(frame(0x12345, &leaf), 0x777);
	CHECK_EQ(leaf.level, 1);
	CHECK(leaf.write && leaf.exec);
	CHECK_EQ(frame(0x12344, &leaf), ~0ULL);
	CHECK_EQ(frame(0x12346, &leaf), ~0ULL);
	CHECK_EQ(frame(0x12345 + GIB1, &leaf), ~0ULL);
	CHECK_EQ(nest->tables, 4);
	stop();
}

TEST(the_highest_frame_can_be_mapped_and_what_is_above_is_not_there)
{
	const u64 last = (1ULL << 36) - 1;
	struct bv_nest_mapping leaf;

	start();
	put(last, 5, 1, false);
	CHECK_EQ(frame(last, &leaf), 5);
	CHECK(!leaf.write);
	CHECK_EQ(frame(last + 1, &leaf), ~0ULL);
	CHECK(over(bv_nest_zap_locked, last, ~0ULL));
	CHECK_EQ(frame(last, &leaf), ~0ULL);
	stop();
}

TEST(a_large_leaf_is_split_where_a_small_one_goes_in)
{
	struct bv_nest_mapping leaf;

	start();
	put(GIB1, 4 * GIB1, 3, true);
	CHECK_EQ(frame(GIB1 + 0x1234, &leaf), 4 * GIB1 + 0x1234);
	CHECK_EQ(leaf.level, 3);
	put(GIB1 + MIB2 + 7, 0x99, 1, true);
	CHECK_EQ(frame(GIB1 + MIB2 + 7, &leaf), 0x99);
	CHECK_EQ(leaf.level, 1);
	CHECK_EQ(frame(GIB1 + MIB2 + 8, &leaf), 4 * GIB1 + MIB2 + 8);
	CHECK_EQ(leaf.level, 1);
	CHECK(leaf.write && leaf.exec);
	CHECK_EQ(frame(GIB1 + 3 * MIB2, &leaf), 4 * GIB1 + 3 * MIB2);
	CHECK_EQ(leaf.level, 2);
	stop();
}

TEST(small_leaves_are_joined_and_their_table_freed_after_a_flush)
{
	struct bv_nest *nest = start();
	struct bv_nest_mapping leaf;
	u64 tables;

	put(0, 0x1000, 1, true);
	put(1, 0x1001, 1, true);
	tables = nest->tables;
	flush_due(0);
	flush_due(1);
	put(0, 0x2000, 2, false);
	CHECK_EQ(frame(1, &leaf), 0x2001);
	CHECK_EQ(leaf.level, 2);
	CHECK_EQ(nest->tables, tables - 1);
	CHECK(flush_due(0) && flush_due(1));
	stop();
}

TEST(a_join_over_two_levels_frees_both)
{
	struct bv_nest *nest = start();

	for (u64 i = 0; i < 8; i++)
		put(i * MIB2, i, 1, true);
	CHECK_EQ(nest->tables, 11);
	put(0, 0, 3, true);
	CHECK_EQ(nest->tables, 2);
	stop();
}

TEST(a_leaf_over_a_leaf_tells_whether_rights_were_lost)
{
	start();
	put(3, 0x30, 1, false);
	CHECK(!put(3, 0x30, 1, true));
	CHECK(!put(3, 0x30, 1, true));
	CHECK(put(3, 0x30, 1, false));
	CHECK(put(3, 0x31, 1, false));
	stop();
}

TEST(zap_takes_what_overlaps)
{
	struct bv_nest_mapping leaf;

	start();
	put(10, 10, 1, true);
	put(11, 11, 1, true);
	put(MIB2, MIB2, 2, true);
	CHECK(!over(bv_nest_zap_locked, 12, MIB2));
	CHECK(!over(bv_nest_zap_locked, 11, 11));
	CHECK(over(bv_nest_zap_locked, 11, MIB2 + 1));
	CHECK_EQ(frame(10, &leaf), 10);
	CHECK_EQ(frame(11, &leaf), ~0ULL);
	CHECK_EQ(frame(2 * MIB2 - 1, &leaf), ~0ULL);
	CHECK(!over(bv_nest_zap_locked, 11, ~0ULL));
	stop();
}

TEST(protect_takes_the_right_to_write_and_nothing_else)
{
	struct bv_nest_mapping leaf;

	start();
	put(10, 10, 1, true);
	put(11, 11, 1, false);
	CHECK(!over(bv_nest_protect_locked, 11, 12));
	CHECK(over(bv_nest_protect_locked, 10, 12));
	CHECK(!over(bv_nest_protect_locked, 10, 12));
	CHECK_EQ(frame(10, &leaf), 10);
	CHECK(!leaf.write && leaf.exec);
	stop();
}

TEST(a_leaf_of_one_page_is_watched_by_its_dirty_flag_where_the_hardware_logs)
{
	struct bv_nest_mapping leaf;

	start()->hw_log = true;
	put(10, 10, 1, true);
	put(MIB2, MIB2, 2, true);
	CHECK_EQ(frame(10, &leaf), 10);
	CHECK(leaf.write && !leaf.clean);
	CHECK(over(bv_nest_watch_locked, 10, 11));
	CHECK(!over(bv_nest_watch_locked, 10, 11));
	CHECK_EQ(frame(10, &leaf), 10);
	CHECK(leaf.write && leaf.clean);
	/* The flag of a large one would tell too little: it is split by a write fault. */
	CHECK(over(bv_nest_watch_locked, MIB2 + 5, MIB2 + 6));
	CHECK_EQ(frame(MIB2 + 5, &leaf), MIB2 + 5);
	CHECK(!leaf.write);
	put(MIB2 + 5, MIB2 + 5, 1, true);
	CHECK_EQ(frame(MIB2 + 6, &leaf), MIB2 + 6);
	CHECK(!leaf.write);
	stop();
}

TEST(a_split_of_a_protected_leaf_gives_protected_ones)
{
	struct bv_nest_mapping leaf;

	start();
	put(0, MIB2, 2, true);
	over(bv_nest_protect_locked, 5, 6);
	put(5, MIB2 + 5, 1, true);
	CHECK_EQ(frame(5, &leaf), MIB2 + 5);
	CHECK(leaf.write);
	CHECK_EQ(frame(6, &leaf), MIB2 + 6);
	CHECK(!leaf.write);
	stop();
}

TEST(a_leaf_is_young_until_it_was_asked)
{
	start();
	put(10, 10, 1, true);
	CHECK(young(0, 20, false));
	CHECK(young(0, 20, true));
	CHECK(!young(0, 20, false));
	CHECK(!young(0, 20, true));
	CHECK(!young(11, 20, false));
	stop();
}

TEST(prune_frees_empty_tables_only)
{
	struct bv_nest *nest = start();
	struct bv_nest_mapping leaf;

	put(0, 1, 1, true);
	put(MIB2, 2, 1, true);
	put(GIB1, 3, 1, true);
	CHECK_EQ(nest->tables, 7);
	prune(0, 1ULL << 36);
	CHECK_EQ(nest->tables, 7);
	over(bv_nest_zap_locked, 0, MIB2);
	over(bv_nest_zap_locked, GIB1, GIB1 + 1);
	flush_due(0);
	prune(0, 1ULL << 36);
	CHECK(flush_due(0));
	CHECK_EQ(nest->tables, 4);
	CHECK_EQ(frame(MIB2, &leaf), 2);
	put(0, 9, 1, true);
	CHECK_EQ(frame(0, &leaf), 9);
	CHECK_EQ(nest->tables, 5);
	stop();
}

TEST(without_memory_the_cache_says_so_and_leaks_nothing)
{
	start();
	fake_fail_alloc_after(3);
	CHECK_EQ(bv_nest_cache_fill(&cache), -BV_ENOMEM);
	fake_fail_alloc_after(0);
	CHECK_EQ(bv_nest_cache_fill(&cache), 0);
	CHECK_EQ(cache.count, BV_NEST_CACHE);
	stop();
}

/* ---- at random ---- */

#define FIRST (GIB1 - 2 * MIB2)
#define SPACE (4 * MIB2)

static struct {
	u64 mfn;
	u8 level; /* 0: nothing */
	bool write;
} model[SPACE];

static u32 seed;

static u32 roll(u32 below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

static u64 block(u64 i, u8 level)
{
	return level == 2 ? i & ~(MIB2 - 1) : i;
}

static void model_put(u64 at, u64 mfn, u8 level, bool write)
{
	/* A small leaf splits a large one: the rest stays, in small ones. */
	if (level == 1 && model[at].level == 2)
		for (u64 i = block(at, 2), n = 0; n < MIB2; n++)
			model[i + n].level = 1;
	for (u64 n = 0; n < (level == 2 ? MIB2 : 1); n++) {
		model[at + n].mfn = mfn + n;
		model[at + n].level = level;
		model[at + n].write = write;
	}
}

/* A range call takes large leaves whole. */
static void model_range(u64 first, u64 end, bool zap)
{
	for (u64 i = first; i < end; i++) {
		u64 from = block(i, model[i].level), count = model[i].level == 2 ? MIB2 : 1;

		for (u64 n = 0; n < count; n++) {
			model[from + n].write = false;
			if (zap)
				model[from + n].level = 0;
		}
	}
}

static unsigned int model_differs(void)
{
	unsigned int wrong = 0;

	for (u64 i = 0; i < SPACE; i++) {
		struct bv_nest_mapping leaf = { 0 };
		u64 mfn = frame(FIRST + i, &leaf);

		if (!model[i].level)
			wrong += mfn != ~0ULL;
		else
			wrong += mfn != model[i].mfn || leaf.level != model[i].level ||
				 leaf.write != model[i].write;
	}
	return wrong;
}

static void random_step(void)
{
	u64 first = roll(SPACE), end = first + 1 + roll((u32)(SPACE - first));
	u8 level = (u8)(1 + !roll(8));
	u64 at = block(first, level), mfn = (u64)roll(1000) * MIB2 + (level == 1 ? roll(512) : 0);
	bool write = roll(2);

	switch (roll(8)) {
	case 0:
		over(bv_nest_zap_locked, FIRST + first, FIRST + end);
		model_range(first, end, true);
		break;
	case 1:
		over(bv_nest_protect_locked, FIRST + first, FIRST + end);
		model_range(first, end, false);
		break;
	case 2:
		prune(FIRST + first, FIRST + end);
		break;
	default:
		put(FIRST + at, mfn, level, write);
		model_put(at, mfn, level, write);
		break;
	}
}

TEST(the_table_agrees_with_a_flat_one)
{
	struct bv_nest *nest = start();

	memset(model, 0, sizeof(model));
	seed = 1;
	for (unsigned int i = 0; i < 600; i++) {
		random_step();
		if (i % 20 == 0)
			CHECK_EQ(model_differs(), 0);
	}
	CHECK_EQ(model_differs(), 0);
	over(bv_nest_zap_locked, 0, ~0ULL);
	prune(0, ~0ULL);
	CHECK_EQ(nest->tables, 2); /* the root and what it points to stay */
	stop();
}

/* ---- Intel's entries (volume 3, 28.3.2) ---- */

static const struct bv_nest_format ept = {
	.present = 1,
	.write = 2,
	.exec = 4,
	.leaf = 6 << 3 | 1 << 6,
	.table = 2,
	.large = 0x80,
	.accessed = 0x100,
	.dirty = 0x200,
	.levels = 3,
};

static u64 *entry_of(struct bv_nest *nest, u64 gfn, unsigned int level)
{
	u64 *table = nest->root;

	for (unsigned int at = BV_NEST_LEVELS; at > level; at--)
		table = bv_host_va(table[gfn >> (9 * (at - 1)) & 511] & 0x000ffffffffff000);
	return &table[gfn >> (9 * (level - 1)) & 511];
}

TEST(entries_are_what_ept_wants)
{
	struct bv_nest *nest = start();

	nest->format = &ept;
	put(5, 0x777, 1, true);
	CHECK_EQ(*entry_of(nest, 5, 1), 0x777000 | 0x300 | 0x70 | 7);
	CHECK_EQ(*entry_of(nest, 5, 2) & 0xfff, 7); /* no type, no PAT bit: reserved in tables */
	put(6, 0x778, 1, false);
	CHECK_EQ(*entry_of(nest, 6, 1), 0x778000 | 0x100 | 0x70 | 5);
	put(MIB2, 3 * MIB2, 2, true);
	CHECK_EQ(*entry_of(nest, MIB2, 2), (3 * MIB2) << 12 | 0x300 | 0x80 | 0x70 | 7);
	/* Split: the small leaves have neither the size bit nor lost a right. */
	put(MIB2 + 1, 0x999, 1, false);
	CHECK_EQ(*entry_of(nest, MIB2 + 2, 1), (3 * MIB2 + 2) << 12 | 0x300 | 0x70 | 7);
	CHECK(over(bv_nest_protect_locked, 5, 6));
	CHECK_EQ(*entry_of(nest, 5, 1) & 7, 5);
	CHECK(young(5, 6, true));
	CHECK(!young(5, 6, false));
	over(bv_nest_zap_locked, 0, ~0ULL);
	prune(0, ~0ULL);
	CHECK_EQ(nest->tables, 2);
	stop();
}
