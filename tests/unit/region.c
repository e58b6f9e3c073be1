// SPDX-License-Identifier: GPL-2.0-or-later
/* Regions of guest memory: set, moved, faulted in, logged, and taken back by the host. */
#include "machine.h"

#define PAGES 1024ULL
#define GFN 0x10000ULL

static struct machine m;
static struct bv_vcpu *cpu;
static u8 *memory, *other_memory;

static void begin(void)
{
	cpu = m.cpu[0];
	fake_log_quiet = true;
	memory = fake_memory_new(PAGES, true);
	other_memory = fake_memory_new(PAGES, true);
}

static void start(void)
{
	machine_start(&m, 1, CHIPS_FULL);
	begin();
}

static void stop(void)
{
	CHECK_EQ(fake_frames_held(), 0);
	machine_stop(&m);
}

static int set(u32 slot, u64 gfn, u64 pages, const void *at, u32 flags)
{
	const struct bv_region_spec spec = { slot, flags, BV_GFN(gfn), pages, (u64)at };

	return bv_mem_region_set(m.vm, &spec);
}

/* The guest touches a page: it ends as a nested fault. */
static enum bv_run_reason touch(u64 gfn, bool write)
{
	struct bv_exit exit = { .kind = BV_EXIT_NESTED_FAULT };
	struct bv_run run = { 0 };

	exit.fault.gpa = gfn << BV_PAGE_SHIFT;
	exit.fault.write = write;
	fake_exit(cpu, &exit);
	fake_vcpu(cpu)->signal = false;
	bv_vcpu_run(cpu, &run);
	return run.reason;
}

static bool mapped(u64 gfn, struct bv_nest_mapping *leaf)
{
	unsigned int level;

	bv_host_spin_lock(&m.vm->nest.lock);
	level = bv_nest_find_locked(&m.vm->nest, BV_GFN(gfn), leaf);
	bv_host_spin_unlock(&m.vm->nest.lock);
	return level;
}

static bool writable(u64 gfn)
{
	struct bv_nest_mapping leaf;

	return mapped(gfn, &leaf) && leaf.write;
}

static u64 mfn_of(const u8 *at, u64 page)
{
	return (u64)at / BV_PAGE_SIZE + page;
}

static bool flush_due(void)
{
	return bv_vcpu_take_request(cpu, BV_REQ_TLB_FLUSH);
}

/* ---- slots ---- */

TEST(a_slot_is_as_set_until_it_is_deleted)
{
	struct bv_region_spec spec;

	start();
	CHECK_EQ(bv_mem_region_get(m.vm, 3, &spec), -BV_ENOENT);
	CHECK_EQ(set(3, GFN, PAGES, memory, BV_REGION_READONLY), 0);
	CHECK_EQ(bv_mem_region_get(m.vm, 3, &spec), 0);
	CHECK(spec.gfn.n == GFN && spec.pages == PAGES && spec.host_addr == (u64)memory &&
	      spec.flags == BV_REGION_READONLY);
	CHECK_EQ(set(3, 0, 0, NULL, 0), 0);
	CHECK_EQ(bv_mem_region_get(m.vm, 3, &spec), -BV_ENOENT);
	CHECK_EQ(set(3, 0, 0, NULL, 0), -BV_EINVAL);
	stop();
}

TEST(slots_do_not_overlap)
{
	start();
	CHECK_EQ(set(0, GFN, 16, memory, 0), 0);
	CHECK_EQ(set(1, GFN + 15, 16, other_memory, 0), -BV_EEXIST);
	CHECK_EQ(set(1, GFN - 15, 16, other_memory, 0), -BV_EEXIST);
	CHECK_EQ(set(1, GFN - 1, 18, other_memory, 0), -BV_EEXIST);
	CHECK_EQ(set(1, GFN + 3, 1, other_memory, 0), -BV_EEXIST);
	CHECK_EQ(set(1, GFN + 16, 16, other_memory, 0), 0);
	CHECK_EQ(set(2, GFN - 16, 16, other_memory, 0), 0);
	/* A slot may overlap itself. */
	CHECK_EQ(set(2, GFN - 20, 19, other_memory, 0), 0);
	stop();
}

TEST(impossible_slots_are_refused)
{
	start();
	CHECK_EQ(set(BV_MAX_REGIONS, GFN, 1, memory, 0), -BV_EINVAL);
	CHECK_EQ(set(0, GFN, 1, memory + 1, 0), -BV_EINVAL);
	CHECK_EQ(set(0, (1ULL << 36) - 1, 2, memory, 0), -BV_EINVAL);
	CHECK_EQ(set(0, ~0ULL, 2, memory, 0), -BV_EINVAL);
	CHECK_EQ(set(0, 0, 1ULL << 36 | 1, memory, 0), -BV_EINVAL);
	CHECK_EQ(set(0, 0, 2, (void *)~0xfffULL, 0), -BV_EINVAL);
	CHECK_EQ(set(0, (1ULL << 36) - 1, 1, memory, 0), 0);
	stop();
}

TEST(without_memory_nothing_changes)
{
	struct bv_region_spec spec;

	start();
	set(0, GFN, 16, memory, 0);
	for (long n = 1; n <= 2; n++) {
		fake_fail_alloc_after(n);
		CHECK_EQ(set(0, GFN, 16, memory, BV_REGION_LOG), -BV_ENOMEM);
		fake_fail_alloc_after(0);
		bv_mem_region_get(m.vm, 0, &spec);
		CHECK_EQ(spec.flags, 0);
	}
	stop();
}

TEST(a_page_is_found_in_whatever_order_slots_were_made)
{
	u8 byte;

	start();
	for (u32 i = 0; i < 64; i++) {
		u32 slot = i * 37 % 64;

		CHECK_EQ(set(slot, GFN + slot * 4, 2, memory + slot * 2 * BV_PAGE_SIZE, 0), 0);
		memory[slot * 2 * BV_PAGE_SIZE] = (u8)slot;
	}
	for (u32 slot = 0; slot < 64; slot++) {
		CHECK_EQ(bv_mem_read(m.vm, (GFN + slot * 4) << BV_PAGE_SHIFT, &byte, 1), 0);
		CHECK_EQ(byte, slot);
		CHECK_EQ(bv_mem_read(m.vm, (GFN + slot * 4 + 2) << BV_PAGE_SHIFT, &byte, 1),
			 -BV_EFAULT);
	}
	stop();
}

TEST(copies_cross_pages_and_slots_but_not_holes)
{
	u8 data[16];

	start();
	set(0, GFN, 1, memory, 0);
	set(1, GFN + 1, 1, other_memory, 0);
	memset(memory + 4088, 0x11, 8);
	memset(other_memory, 0x22, 8);
	CHECK_EQ(bv_mem_read(m.vm, (GFN << BV_PAGE_SHIFT) + 4088, data, 16), 0);
	CHECK(data[7] == 0x11 && data[8] == 0x22);
	CHECK_EQ(bv_mem_write(m.vm, (GFN << BV_PAGE_SHIFT) + 8184, data, 16), -BV_EFAULT);
	set(1, GFN + 1, 1, other_memory, BV_REGION_READONLY);
	CHECK_EQ(bv_mem_write(m.vm, (GFN + 1) << BV_PAGE_SHIFT, data, 1), -BV_EFAULT);
	stop();
}

/* ---- mappings ---- */

TEST(a_touched_page_is_mapped)
{
	struct bv_nest_mapping leaf;

	start();
	set(0, GFN, PAGES, memory, 0);
	CHECK_EQ(touch(GFN + 5, false), BV_RUN_INTERRUPTED);
	CHECK(mapped(GFN + 5, &leaf));
	CHECK_EQ(leaf.mfn.n, mfn_of(memory, 5));
	CHECK(leaf.write);
	CHECK(!mapped(GFN + 6, &leaf));
	stop();
}

TEST(a_moved_slot_loses_its_mappings)
{
	struct bv_nest_mapping leaf;

	start();
	set(0, GFN, 16, memory, 0);
	touch(GFN + 5, true);
	flush_due();
	CHECK_EQ(set(0, GFN + 1, 16, memory, 0), 0);
	CHECK(flush_due());
	CHECK(!mapped(GFN + 5, &leaf));
	touch(GFN + 5, true);
	CHECK(mapped(GFN + 5, &leaf));
	CHECK_EQ(leaf.mfn.n, mfn_of(memory, 4));
	CHECK_EQ(set(0, GFN + 1, 16, other_memory, 0), 0);
	CHECK(!mapped(GFN + 5, &leaf));
	stop();
}

TEST(a_slot_made_read_only_loses_the_right_to_write)
{
	struct bv_nest_mapping leaf;

	start();
	set(0, GFN, 16, memory, 0);
	touch(GFN + 5, true);
	flush_due();
	CHECK_EQ(set(0, GFN, 16, memory, BV_REGION_READONLY), 0);
	CHECK(flush_due());
	CHECK(!mapped(GFN + 5, &leaf) || !leaf.write);
	touch(GFN + 5, false);
	CHECK(mapped(GFN + 5, &leaf) && !leaf.write);
	stop();
}

TEST(a_deleted_slot_leaves_no_tables)
{
	start();
	set(0, GFN, PAGES, memory, 0);
	for (u64 page = 0; page < PAGES; page += 100)
		touch(GFN + page, true);
	CHECK(m.vm->nest.tables > 3);
	set(0, 0, 0, NULL, 0);
	CHECK(m.vm->nest.tables <= 2);
	stop();
}

TEST(a_page_that_the_host_does_not_have_ends_the_run_with_a_reason)
{
	static char text[8192];

	start();
	set(0, GFN, 1, (void *)0x1000, 0);
	CHECK_EQ(touch(GFN, true), BV_RUN_INTERNAL);
	bv_why_read(bv_vm_why(m.vm), text, sizeof(text));
	CHECK(strstr(text, "the host has nothing"));
	stop();
}

/* ---- the log ---- */

static u64 bits[PAGES / 64];
static struct bv_dirty_entry ring[256];

static int fetch(bool clear)
{
	memset(bits, 0xaa, sizeof(bits));
	return bv_mem_dirty_fetch(m.vm, 0, bits, clear);
}

TEST(a_log_has_what_was_written_since_it_was_read)
{
	start();
	set(0, GFN, PAGES, memory, 0);
	touch(GFN + 1, true);
	set(0, GFN, PAGES, memory, BV_REGION_LOG);
	CHECK(flush_due());
	CHECK(!writable(GFN + 1));
	touch(GFN + 2, false);
	CHECK(!writable(GFN + 2));
	touch(GFN + 1, true);
	touch(GFN + 65, true);
	CHECK(writable(GFN + 1));
	flush_due();
	CHECK_EQ(fetch(true), 0);
	CHECK_EQ(bits[0], 2);
	CHECK_EQ(bits[1], 2);
	CHECK_EQ(bits[2], 0);
	CHECK(flush_due());
	CHECK(!writable(GFN + 1));
	CHECK_EQ(fetch(true), 0);
	CHECK_EQ(bits[0] | bits[1], 0);
	CHECK(!flush_due());
	stop();
}

TEST(our_own_writes_are_logged)
{
	start();
	set(0, GFN, PAGES, memory, BV_REGION_LOG);
	CHECK_EQ(bv_mem_write(m.vm, ((GFN + 3) << BV_PAGE_SHIFT) + 4095, "ab", 2), 0);
	fetch(true);
	CHECK_EQ(bits[0], 0x18);
	stop();
}

TEST(a_log_that_ends_gives_the_pages_back)
{
	struct bv_nest_mapping leaf;

	start();
	set(0, GFN, PAGES, memory, BV_REGION_LOG);
	touch(GFN, false);
	set(0, GFN, PAGES, memory, 0);
	CHECK(!mapped(GFN, &leaf));
	touch(GFN, false);
	CHECK(writable(GFN));
	CHECK_EQ(fetch(false), -BV_ENOENT);
	stop();
}

TEST(a_log_goes_on_over_a_change_of_flags)
{
	start();
	set(0, GFN, PAGES, memory, BV_REGION_LOG);
	touch(GFN + 9, true);
	set(0, GFN, PAGES, memory, BV_REGION_LOG | BV_REGION_READONLY);
	fetch(true);
	CHECK_EQ(bits[0], 1 << 9);
	stop();
}

TEST(protection_by_hand_takes_only_what_was_named)
{
	const u64 one = 4;

	start();
	bv_mem_dirty_mode(m.vm, true, false);
	set(0, GFN, PAGES, memory, BV_REGION_LOG);
	touch(GFN + 1, true);
	touch(GFN + 2, true);
	fetch(true);
	fetch(true);
	CHECK_EQ(bits[0], 6);
	CHECK(writable(GFN + 1) && writable(GFN + 2));
	CHECK_EQ(bv_mem_dirty_clear(m.vm, 0, 0, 64, &one), 0);
	CHECK(writable(GFN + 1) && !writable(GFN + 2));
	fetch(true);
	CHECK_EQ(bits[0], 2);
	stop();
}

TEST(parts_of_a_log_are_whole_words_of_it)
{
	const u64 all[2] = { ~0ULL, ~0ULL };

	start();
	bv_mem_dirty_mode(m.vm, true, true);
	set(0, GFN, 100, memory, BV_REGION_LOG);
	CHECK_EQ(bv_mem_dirty_clear(m.vm, 0, 1, 64, all), -BV_EINVAL);
	CHECK_EQ(bv_mem_dirty_clear(m.vm, 0, 0, 63, all), -BV_EINVAL);
	CHECK_EQ(bv_mem_dirty_clear(m.vm, 0, 64, 37, all), -BV_EINVAL);
	CHECK_EQ(bv_mem_dirty_clear(m.vm, 0, 128, 0, all), -BV_EINVAL);
	CHECK_EQ(bv_mem_dirty_clear(m.vm, 0, 64, ~0ULL - 63, all), -BV_EINVAL);
	CHECK_EQ(bv_mem_dirty_clear(m.vm, 1, 0, 64, all), -BV_ENOENT);
	CHECK_EQ(bv_mem_dirty_clear(m.vm, 0, 64, 36, all), 0);
	fetch(false);
	CHECK_EQ(bits[0], ~0ULL);
	CHECK_EQ(bits[1], 0);
	stop();
}

TEST(a_log_that_begins_full_has_a_bit_for_each_page_and_no_more)
{
	start();
	bv_mem_dirty_mode(m.vm, true, true);
	set(0, GFN, 100, memory, BV_REGION_LOG);
	fetch(false);
	CHECK_EQ(bits[0], ~0ULL);
	CHECK_EQ(bits[1], (1ULL << 36) - 1);
	stop();
}

/* ---- a log of the hardware's ---- */

static void start_log(void)
{
	fake_reset();
	fake_vendor_use_log();
	machine_make(&m, 1, CHIPS_FULL);
	begin();
}

static bool clean(u64 gfn)
{
	struct bv_nest_mapping leaf;

	return mapped(gfn, &leaf) && leaf.clean;
}

/* The guest writes to pages as the hardware sees it; then something else ends its run. */
static void hardware_writes(const u64 *gfn, u32 count, enum bv_exit_kind why)
{
	struct bv_exit exit = { .kind = why };
	struct bv_run run = { 0 };

	for (u32 i = 0; i < count; i++)
		fake_hw(cpu)->log[i] = gfn[i] << BV_PAGE_SHIFT;
	fake_hw(cpu)->logged = count;
	fake_exit(cpu, &exit);
	fake_vcpu(cpu)->signal = false;
	bv_vcpu_run(cpu, &run);
	CHECK_EQ(fake_hw(cpu)->logged, 0);
}

TEST(pages_that_were_written_before_need_no_fault_to_be_logged_again)
{
	const u64 pages[] = { GFN + 1, GFN + 70, GFN + PAGES, 1 };

	start_log();
	set(0, GFN, PAGES, memory, 0);
	touch(GFN + 1, true);
	CHECK(writable(GFN + 1) && !clean(GFN + 1));
	set(0, GFN, PAGES, memory, BV_REGION_LOG);
	touch(GFN + 70, false);
	CHECK(writable(GFN + 70) && clean(GFN + 70));
	fetch(true);
	CHECK_EQ(bits[0] | bits[1], 0);
	hardware_writes(pages, BV_ARRAY_SIZE(pages), BV_EXIT_HOST);
	fetch(true);
	CHECK_EQ(bits[0], 2);
	CHECK_EQ(bits[1], 1 << 6);
	touch(GFN + 2, true);
	CHECK(writable(GFN + 2) && !clean(GFN + 2));
	flush_due();
	fetch(true);
	CHECK_EQ(bits[0], 4);
	CHECK(writable(GFN + 2) && clean(GFN + 2));
	CHECK(flush_due());
	hardware_writes(pages, 1, BV_EXIT_LOG_FULL);
	fetch(true);
	CHECK_EQ(bits[0], 2);
	stop();
}

TEST(what_is_left_of_a_log_that_ended_is_taken_out_and_forgotten)
{
	const u64 page = GFN + 1;

	start_log();
	set(0, GFN, PAGES, memory, BV_REGION_LOG);
	set(0, GFN, PAGES, memory, 0);
	hardware_writes(&page, 1, BV_EXIT_LOG_FULL);
	set(0, GFN, PAGES, memory, BV_REGION_LOG);
	fetch(true);
	CHECK_EQ(bits[0], 0);
	CHECK_EQ(m.vm->regions.logged, 1);
	set(0, GFN, 0, memory, 0);
	CHECK_EQ(m.vm->regions.logged, 0);
	stop();
}

TEST(with_rings_each_page_faults)
{
	start_log();
	memset(bits, 0, sizeof(bits));
	CHECK_EQ(bv_vcpu_dirty_ring_set(cpu, ring, BV_ARRAY_SIZE(ring)), 0);
	set(7, GFN, PAGES, memory, BV_REGION_LOG);
	touch(GFN + 5, false);
	CHECK(!writable(GFN + 5));
	stop();
}

/* ---- rings ---- */

static void start_ring(void)
{
	start();
	memset(ring, 0, sizeof(ring));
	CHECK_EQ(bv_vcpu_dirty_ring_set(cpu, ring, BV_ARRAY_SIZE(ring)), 0);
	set(7, GFN, PAGES, memory, BV_REGION_LOG);
}

TEST(a_ring_gets_an_entry_for_each_page_first_written)
{
	start_ring();
	touch(GFN + 5, true);
	touch(GFN + 9, true);
	CHECK(ring[0].flags == 1 && ring[0].slot == 7 && ring[0].offset == 5);
	CHECK(ring[1].flags == 1 && ring[1].offset == 9);
	CHECK_EQ(ring[2].flags, 0);
	CHECK_EQ(bv_vm_dirty_rings_reset(m.vm), 0);
	ring[0].flags |= 2;
	CHECK_EQ(bv_vm_dirty_rings_reset(m.vm), 1);
	CHECK(flush_due());
	CHECK_EQ(ring[0].flags, 0);
	CHECK(!writable(GFN + 5) && writable(GFN + 9));
	stop();
}

TEST(a_ring_that_is_nearly_full_stops_the_guest)
{
	u64 page = 0;

	start_ring();
	while (page < PAGES && touch(GFN + page, true) == BV_RUN_INTERRUPTED)
		page++;
	CHECK(page < BV_ARRAY_SIZE(ring));
	CHECK_EQ(touch(GFN + page, true), BV_RUN_DIRTY_RING_FULL);
	for (u32 i = 0; i < BV_ARRAY_SIZE(ring); i++)
		ring[i].flags |= ring[i].flags ? 2 : 0;
	CHECK(bv_vm_dirty_rings_reset(m.vm) > 100);
	CHECK_EQ(touch(GFN + page, true), BV_RUN_INTERRUPTED);
	stop();
}

TEST(what_user_space_writes_into_a_ring_is_checked)
{
	start_ring();
	touch(GFN + 5, true);
	touch(GFN + 6, true);
	ring[0].slot = ~0u;
	ring[0].flags = 3;
	ring[1].offset = ~0ULL;
	ring[1].flags = 2;
	for (u32 i = 2; i < BV_ARRAY_SIZE(ring); i++)
		ring[i].flags = 2;
	CHECK_EQ(bv_vm_dirty_rings_reset(m.vm), 2);
	stop();
}

/* ---- the host takes frames back ---- */

static u64 at(u64 page)
{
	return (u64)memory + page * BV_PAGE_SIZE;
}

TEST(an_invalidated_page_is_gone_from_each_slot_that_has_it)
{
	struct bv_nest_mapping leaf;

	start();
	set(0, GFN, 16, memory, 0);
	set(1, 2 * GFN, 16, memory, 0);
	touch(GFN + 3, true);
	touch(2 * GFN + 3, true);
	touch(GFN + 4, true);
	flush_due();
	bv_mem_invalidate_begin(m.vm, at(3), at(4));
	CHECK(flush_due());
	bv_mem_invalidate_end(m.vm, at(3), at(4));
	CHECK(!mapped(GFN + 3, &leaf) && !mapped(2 * GFN + 3, &leaf));
	CHECK(mapped(GFN + 4, &leaf));
	bv_mem_invalidate_begin(m.vm, at(100), at(200));
	bv_mem_invalidate_end(m.vm, at(100), at(200));
	CHECK(!flush_due());
	stop();
}

TEST(nothing_in_the_range_is_mapped_until_the_invalidate_ends)
{
	struct bv_nest_mapping leaf;

	start();
	set(0, GFN, 16, memory, 0);
	bv_mem_invalidate_begin(m.vm, at(3), at(5));
	touch(GFN + 3, true);
	touch(GFN + 4, true);
	touch(GFN + 5, true);
	CHECK(!mapped(GFN + 3, &leaf) && !mapped(GFN + 4, &leaf));
	CHECK(mapped(GFN + 5, &leaf));
	bv_mem_invalidate_end(m.vm, at(3), at(5));
	touch(GFN + 3, true);
	CHECK(mapped(GFN + 3, &leaf));
	stop();
}

TEST(part_of_a_page_invalidates_all_of_it)
{
	struct bv_nest_mapping leaf;

	start();
	set(0, GFN, 16, memory, 0);
	touch(GFN + 3, true);
	touch(GFN + 4, true);
	bv_mem_invalidate_begin(m.vm, at(3) + 100, at(4) + 1);
	touch(GFN + 3, true);
	CHECK(!mapped(GFN + 3, &leaf) && !mapped(GFN + 4, &leaf));
	bv_mem_invalidate_end(m.vm, at(3) + 100, at(4) + 1);
	stop();
}

TEST(overlapping_invalidates_hold_until_the_last_one_ends)
{
	struct bv_nest_mapping leaf;

	start();
	set(0, GFN, 16, memory, 0);
	bv_mem_invalidate_begin(m.vm, at(3), at(4));
	bv_mem_invalidate_begin(m.vm, at(7), at(8));
	bv_mem_invalidate_end(m.vm, at(7), at(8));
	touch(GFN + 3, true);
	CHECK(!mapped(GFN + 3, &leaf));
	bv_mem_invalidate_end(m.vm, at(3), at(4));
	touch(GFN + 3, true);
	CHECK(mapped(GFN + 3, &leaf));
	stop();
}

static void invalidate_now(u64 host_addr)
{
	bv_mem_invalidate_begin(m.vm, host_addr, host_addr + BV_PAGE_SIZE);
	bv_mem_invalidate_end(m.vm, host_addr, host_addr + BV_PAGE_SIZE);
}

TEST(an_answer_older_than_an_invalidate_is_not_mapped)
{
	struct bv_nest_mapping leaf;

	start();
	set(0, GFN, 16, memory, BV_REGION_LOG);
	fake_frame_found = invalidate_now;
	touch(GFN + 3, true);
	CHECK(!mapped(GFN + 3, &leaf));
	fake_frame_found = NULL;
	touch(GFN + 3, true);
	CHECK(mapped(GFN + 3, &leaf));
	stop();
}

TEST(pages_are_young_until_asked)
{
	start();
	set(0, GFN, 16, memory, 0);
	touch(GFN + 3, true);
	CHECK(bv_mem_young(m.vm, at(0), at(16), false));
	CHECK(bv_mem_young(m.vm, at(3), at(4), true));
	CHECK(!bv_mem_young(m.vm, at(0), at(16), false));
	stop();
}

TEST(at_the_end_of_the_address_space_nothing_stays_mapped)
{
	struct bv_nest_mapping leaf;

	start();
	set(0, GFN, 16, memory, 0);
	touch(GFN, true);
	touch(GFN + 15, true);
	bv_mem_release_all(m.vm);
	CHECK(!mapped(GFN, &leaf) && !mapped(GFN + 15, &leaf));
	stop();
}
