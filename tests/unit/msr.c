// SPDX-License-Identifier: GPL-2.0-or-later
/* MSRs: the table as a whole, and the rows that are more than a word that is kept. */
#include "core/msr.h"
#include "machine.h"

static struct machine m;
static struct bv_vcpu *cpu;

static void start(void)
{
	machine_start(&m, 2, CHIPS_FULL);
	cpu = m.cpu[0];
	cpu->caps.tsc_adjust = true;
	fake_log_quiet = true;
}

static enum bv_access_result guest_set(u32 index, u64 value)
{
	return bv_msr_write(cpu, index, value, false);
}

static u64 get(u32 index)
{
	u64 value = 0xbad;

	CHECK_EQ(bv_vcpu_msr_get(cpu, index, &value), 0);
	return value;
}

TEST(the_saved_msrs_are_ordered_and_none_is_named_twice)
{
	u32 index = 0, other, count = 0, last = 0;
	bool rows = true;

	start();
	for (; bv_msr_saved(count, &index); count++) {
		/* The table's rows come first, in order; the few beside it after them. */
		if (count && index < last)
			rows = false;
		CHECK(!rows || !count || index > last);
		for (u32 before = 0; before < count && bv_msr_saved(before, &other); before++)
			if (other == index)
				CHECK(false);
		last = index;
	}
	CHECK(count > 40);
	CHECK(!bv_msr_saved(count, &index) && !bv_msr_saved(count + 1, &index));
	machine_stop(&m);
}

TEST(each_saved_msr_comes_back)
{
	u64 value, again;
	u32 index;

	start();
	for (u32 i = 0; bv_msr_saved(i, &index); i++) {
		CHECK_EQ(bv_vcpu_msr_get(cpu, index, &value), 0);
		CHECK_EQ(bv_vcpu_msr_set(cpu, index, value), 0);
		CHECK_EQ(bv_vcpu_msr_get(cpu, index, &again), 0);
		CHECK_EQ(again, value);
	}
	machine_stop(&m);
}

/* An MSR, a value other than that after RESET. */
static const struct {
	u32 index;
	u64 value;
} kept[] = {
	{ 0x3b, 0x1234 },
	{ 0x174, 0x10 },
	{ 0x175, 0xffff800000001000 },
	{ 0x176, 0x7fffffffffff },
	{ 0x277, 0x0007040600070406 },
	{ 0x2ff, 0xc06 },
	{ 0x1a0, 0x801 },
	{ 0x1d9, 3 },
	{ 0x200, 0x80000006 },
	{ 0x201, 0xffc0000800 },
	{ 0x20f, 0xff80000800 },
	{ 0x250, 0x0606060606060606 },
	{ 0x26f, 0x0505050505050505 },
	{ 0xc0000081, 0x23001000000000 },
	{ 0xc0000082, 0xffffffff81000000 },
	{ 0xc0000083, 0xffffffff81000001 },
	{ 0xc0000084, 0x47700 },
	{ 0xc0000100, 0x7fff00000000 },
	{ 0xc0000101, 0xffff888000000000 },
	{ 0xc0000102, 0x1000 },
	{ 0xc0000103, 5 },
	{ 0xc0010015, 0x1000040 },
	{ 0xc0010140, 2 },
	{ 0xc0010141, 1 },
};

TEST(another_value_is_kept)
{
	start();
	for (u32 i = 0; i < BV_ARRAY_SIZE(kept); i++)
		CHECK_EQ(bv_vcpu_msr_set(cpu, kept[i].index, kept[i].value), 0);
	for (u32 i = 0; i < BV_ARRAY_SIZE(kept); i++)
		CHECK_EQ(get(kept[i].index), kept[i].value);
	machine_stop(&m);
}

/* An MSR and a value that no CPU takes. */
static const struct {
	u32 index;
	u64 value;
} refused[] = {
	{ 0x175, 0x800000000000 },
	{ 0x277, 2 },
	{ 0x277, 0x0800000000000000 },
	{ 0x2ff, 0x1000 },
	{ 0x2ff, 2 },
	{ 0x200, 0x100000000000006 },
	{ 0x200, 0x102 },
	{ 0x201, 0x7ff },
	{ 0x250, 0x0200000000000000 },
	{ 0x1d9, 4 },
	{ 0xc0000080, 1ULL << 40 },
	{ 0xc0000082, 0x8000000000000000 },
	{ 0xc0000084, 1ULL << 32 },
	{ 0xc0000100, 0x0001000000000000 },
	{ 0xc0000101, 0xfffe800000000000 },
	{ 0xc0010015, 1 },
};

TEST(a_value_that_no_cpu_takes_is_refused_and_changes_nothing)
{
	start();
	for (u32 i = 0; i < BV_ARRAY_SIZE(refused); i++) {
		u64 before = get(refused[i].index);

		CHECK_EQ(guest_set(refused[i].index, refused[i].value), BV_ACCESS_FAULT);
		CHECK_EQ(bv_vcpu_msr_set(cpu, refused[i].index, refused[i].value), -BV_EINVAL);
		CHECK_EQ(get(refused[i].index), before);
	}
	machine_stop(&m);
}

TEST(an_unknown_msr_is_not_ours)
{
	static const u32 unknown[] = { 0,     0x11,  0x3a,	 0x210,	     0x251,
				       0x270, 0x480, 0xc0000085, 0xc0011030, ~0u };
	u64 value = 0;

	start();
	for (u32 i = 0; i < BV_ARRAY_SIZE(unknown); i++) {
		CHECK_EQ(bv_msr_read(cpu, unknown[i], &value, false), BV_ACCESS_NOT_MINE);
		CHECK_EQ(guest_set(unknown[i], 0), BV_ACCESS_NOT_MINE);
		CHECK_EQ(bv_vcpu_msr_get(cpu, unknown[i], &value), -BV_ENOENT);
		CHECK_EQ(bv_vcpu_msr_set(cpu, unknown[i], 0), -BV_ENOENT);
	}
	machine_stop(&m);
}

TEST(an_msr_of_a_missing_feature_is_the_hosts_only)
{
	u64 value;

	start();
	cpu->caps.rdtscp = false;
	cpu->caps.tsc_adjust = false;
	CHECK_EQ(bv_msr_read(cpu, 0xc0000103, &value, false), BV_ACCESS_NOT_MINE);
	CHECK_EQ(bv_msr_read(cpu, 0x3b, &value, false), BV_ACCESS_NOT_MINE);
	CHECK_EQ(bv_vcpu_msr_set(cpu, 0xc0000103, 7), 0);
	cpu->caps.rdtscp = true;
	CHECK_EQ(bv_msr_read(cpu, 0xc0000103, &value, false), BV_ACCESS_DONE);
	CHECK_EQ(value, 7);
	machine_stop(&m);
}

TEST(what_tells_features_can_be_set_by_the_host_only)
{
	u64 value, before;
	u32 index;

	start();
	for (u32 i = 0; bv_msr_feature(i, &index, &value); i++) {
		before = get(index);
		CHECK_EQ(before, value);
		CHECK_EQ(guest_set(index, value + 1), BV_ACCESS_DONE);
		CHECK_EQ(get(index), before);
		CHECK_EQ(bv_vcpu_msr_set(cpu, index, value + 1), 0);
		CHECK_EQ(get(index), value + 1);
	}
	machine_stop(&m);
}

/* ---- time ---- */

TEST(the_guests_write_of_the_tsc_moves_tsc_adjust)
{
	u64 before;

	start();
	before = get(0x10);
	CHECK_EQ(guest_set(0x10, before + 1000), BV_ACCESS_DONE);
	CHECK_EQ(get(0x10), before + 1000);
	CHECK_EQ(get(0x3b), 1000);
	CHECK_EQ(guest_set(0x3b, 500), BV_ACCESS_DONE);
	CHECK_EQ(get(0x10), before + 500);
	/* The host restores each by itself. */
	CHECK_EQ(bv_vcpu_msr_set(cpu, 0x3b, 9), 0);
	CHECK_EQ(get(0x10), before + 500);
	machine_stop(&m);
}

TEST(tscs_of_new_vcpus_are_one_however_long_it_takes_to_make_them)
{
	start();
	CHECK_EQ(bv_vcpu_msr_set(m.cpu[0], 0x10, 0), 0);
	fake_clock_advance(3000000000ull);
	CHECK_EQ(bv_vcpu_msr_set(m.cpu[1], 0x10, 0), 0);
	CHECK_EQ(bv_vcpu_tsc_offset_get(m.cpu[0]), bv_vcpu_tsc_offset_get(m.cpu[1]));
	CHECK(bv_vcpu_tsc_now(m.cpu[1]) > 0);
	machine_stop(&m);
}

TEST(tscs_that_are_read_and_written_seconds_apart_are_one)
{
	u64 first, second;

	start();
	fake_tsc_unstable = true; /* as a busy host's is */
	CHECK_EQ(bv_vcpu_msr_set(m.cpu[0], 0x10, 0), 0);
	CHECK_EQ(bv_vcpu_msr_set(m.cpu[1], 0x10, 0), 0);
	fake_clock_advance(3000000000ull);
	first = bv_vcpu_tsc_now(m.cpu[0]);
	fake_clock_advance(2000000000ull);
	second = bv_vcpu_tsc_now(m.cpu[1]);
	fake_clock_advance(4000000000ull);
	CHECK_EQ(bv_vcpu_msr_set(m.cpu[0], 0x10, first), 0);
	CHECK_EQ(bv_vcpu_tsc_now(m.cpu[0]), first);
	fake_clock_advance(5000000000ull);
	CHECK_EQ(bv_vcpu_msr_set(m.cpu[1], 0x10, second), 0);
	CHECK_EQ(bv_vcpu_tsc_offset_get(m.cpu[0]), bv_vcpu_tsc_offset_get(m.cpu[1]));
	/* The same again, as of a snapshot that is loaded once more, is another generation. */
	fake_clock_advance(60000000000ull);
	CHECK_EQ(bv_vcpu_msr_set(m.cpu[0], 0x10, first), 0);
	CHECK_EQ(bv_vcpu_tsc_now(m.cpu[0]), first);
	fake_tsc_unstable = false;
	machine_stop(&m);
}

TEST(tscs_restored_together_stay_together)
{
	u64 value;

	start();
	CHECK_EQ(bv_vcpu_msr_set(m.cpu[0], 0x10, 1000000), 0);
	fake_clock_advance(5000000);
	CHECK_EQ(bv_vcpu_msr_set(m.cpu[1], 0x10, 1000000), 0);
	CHECK_EQ(bv_vcpu_tsc_offset_get(m.cpu[0]), bv_vcpu_tsc_offset_get(m.cpu[1]));
	fake_clock_advance(2000000000);
	value = bv_vcpu_tsc_now(m.cpu[0]) + 77777;
	CHECK_EQ(bv_vcpu_msr_set(m.cpu[1], 0x10, value), 0);
	CHECK_EQ(bv_vcpu_tsc_now(m.cpu[1]), value);
	machine_stop(&m);
}

/* ---- machine checks ---- */

TEST(machine_check_banks_are_as_many_as_set_up)
{
	const u64 cap = BV_MCG_CTL_P | 2;
	u64 value;

	start();
	CHECK_EQ(bv_vcpu_mce_setup(cpu, cap), 0);
	CHECK_EQ(get(0x179), cap);
	CHECK_EQ(get(0x400), ~0ULL);
	CHECK_EQ(bv_msr_read(cpu, 0x408, &value, false), BV_ACCESS_NOT_MINE);
	CHECK_EQ(guest_set(0x400, 0), BV_ACCESS_DONE);
	CHECK_EQ(guest_set(0x400, 5), BV_ACCESS_FAULT);
	CHECK_EQ(guest_set(0x401, 5), BV_ACCESS_FAULT);
	CHECK_EQ(guest_set(0x402, 5), BV_ACCESS_DONE);
	CHECK_EQ(bv_vcpu_mce_setup(cpu, BV_MCE_BANKS + 1), -BV_EINVAL);
	CHECK_EQ(bv_vcpu_mce_setup(cpu, 0), -BV_EINVAL);
	machine_stop(&m);
}

TEST(an_uncorrected_error_raises_a_machine_check_and_a_second_one_ends_the_machine)
{
	const struct bv_mce mce = { .bank = 1,
				    .status = BV_MCE_VALID | BV_MCE_UNCORRECTED,
				    .addr = 0x1000,
				    .mcg_status = 5 };

	start();
	CHECK_EQ(bv_vcpu_mce_setup(cpu, BV_MCG_CTL_P | 4), 0);
	bv_vcpu_touch(cpu, BV_ST_CR);
	cpu->state.cr4 |= BV_CR4_MCE;
	CHECK_EQ(bv_vcpu_mce_raise(cpu, &mce), 0);
	CHECK(cpu->events.exception.pending);
	CHECK_EQ(cpu->events.exception.vector, BV_EXC_MC);
	CHECK_EQ(get(0x406), 0x1000);
	CHECK_EQ(get(0x17a), 5);
	CHECK(!bv_vcpu_take_request(cpu, BV_REQ_TRIPLE_FAULT));
	CHECK_EQ(bv_vcpu_mce_raise(cpu, &mce), 0);
	CHECK(bv_vcpu_take_request(cpu, BV_REQ_TRIPLE_FAULT));
	machine_stop(&m);
}

/* ---- the instructions ---- */

static bool filter_none(void *front, u32 index, bool write)
{
	(void)front, (void)index, (void)write;
	return false;
}

static void instruction(bool write, u32 index, u64 value)
{
	const struct bv_exit exit = { .kind = write ? BV_EXIT_WRMSR : BV_EXIT_RDMSR, .length = 2 };

	cpu->gprs.gpr[BV_RCX] = index | 0xffffffff00000000;
	cpu->gprs.gpr[BV_RAX] = (u32)value;
	cpu->gprs.gpr[BV_RDX] = value >> 32;
	cpu->gprs.rip = 0x100;
	fake_exit(cpu, &exit);
}

static enum bv_run_reason go(struct bv_run *run)
{
	fake_vcpu(cpu)->signal = false;
	bv_vcpu_run(cpu, run);
	return run->reason;
}

TEST(rdmsr_and_wrmsr_use_halves_of_registers)
{
	struct bv_run run = { 0 };

	start();
	instruction(true, 0xc0000082, 0xffffffff81234567);
	CHECK_EQ(go(&run), BV_RUN_INTERRUPTED);
	CHECK_EQ(get(0xc0000082), 0xffffffff81234567);
	instruction(false, 0xc0000082, ~0ULL);
	CHECK_EQ(go(&run), BV_RUN_INTERRUPTED);
	CHECK_EQ(cpu->gprs.gpr[BV_RAX], 0x81234567);
	CHECK_EQ(cpu->gprs.gpr[BV_RDX], 0xffffffff);
	CHECK_EQ(cpu->gprs.rip, 0x102);
	machine_stop(&m);
}

TEST(an_unknown_msr_is_gp_unless_user_space_wants_it)
{
	struct bv_run run = { 0 };

	start();
	instruction(false, 0x12345, 0);
	CHECK_EQ(go(&run), BV_RUN_INTERRUPTED);
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_GP);
	CHECK_EQ(cpu->gprs.rip, 0x100);
	bv_vm_msr_policy(m.vm, BV_MSR_UNKNOWN, NULL);
	instruction(false, 0x12345, 0);
	CHECK_EQ(go(&run), BV_RUN_MSR_READ);
	CHECK_EQ(run.msr.index, 0x12345);
	CHECK_EQ(run.msr.why, BV_MSR_UNKNOWN);
	run.msr.data = 0x123456789abcdef0;
	CHECK_EQ(go(&run), BV_RUN_INTERRUPTED);
	CHECK_EQ(cpu->gprs.gpr[BV_RAX], 0x9abcdef0);
	CHECK_EQ(cpu->gprs.gpr[BV_RDX], 0x12345678);
	CHECK_EQ(cpu->gprs.rip, 0x102);
	machine_stop(&m);
}

TEST(a_filter_holds_for_the_guest_and_not_for_the_host)
{
	struct bv_run run = { 0 };

	start();
	bv_vm_msr_policy(m.vm, BV_MSR_FILTERED, filter_none);
	instruction(true, 0xc0000102, 0x1000);
	CHECK_EQ(go(&run), BV_RUN_MSR_WRITE);
	CHECK_EQ(run.msr.why, BV_MSR_FILTERED);
	CHECK_EQ(run.msr.data, 0x1000);
	CHECK_EQ(get(0xc0000102), 0);
	CHECK_EQ(bv_vcpu_msr_set(cpu, 0xc0000102, 0x2000), 0);
	CHECK_EQ(get(0xc0000102), 0x2000);
	machine_stop(&m);
}
