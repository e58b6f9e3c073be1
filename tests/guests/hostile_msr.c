// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hostile: every MSR is read, and written with nonsense; then all at random until the guest falls
 * over. Option all=1 writes those too on which the guest itself stands.
 */
#include "hostile.h"

static const struct {
	u32 first, count;
} ranges[] = {
	{ 0, 0x1000 },	       { 0x40000000, 0x200 }, { 0x4b564d00, 0x20 },
	{ 0xc0000000, 0x800 }, { 0xc0010000, 0x800 }, { 0xc0011000, 0x100 },
};

static u32 known, unknown;

static void each(void (*what)(u32 msr))
{
	u32 i, j;

	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		for (j = 0; j < ranges[i].count; j++)
			what(ranges[i].first + j);
}

static void read_one(u32 msr)
{
	u64 value;

	if (try_rdmsr(msr, &value) == TRAP_NONE)
		known++;
	else
		unknown++;
}

static void all_can_be_asked(void)
{
	hostile_seed();
	each(read_one);
	say("read: %u known, %u not\n", known, unknown);
	CHECK(known > 10);
	CHECK(unknown > 10);
}

/* Without these the guest cannot say that it lives. */
static bool is_ours(u32 msr)
{
	return msr == MSR_EFER || msr == MSR_GS_BASE || msr == MSR_APIC_BASE ||
	       (msr >= MSR_X2APIC && msr < MSR_X2APIC + 0x100);
}

static void write_one(u32 msr)
{
	u64 before;

	if (is_ours(msr) || try_rdmsr(msr, &before) != TRAP_NONE) {
		if (!is_ours(msr))
			try_wrmsr(msr, hostile_random());
		return;
	}
	try_wrmsr(msr, hostile_random());
	try_wrmsr(msr, hostile_value());
	try_wrmsr(msr, before ^ 1ull << hostile_random() % 64);
	try_wrmsr(msr, ~0ull);
	try_wrmsr(msr, before);
}

static void all_can_be_written_with_nonsense(void)
{
	each(write_one);
	CHECK(true);
}

static void a_storm_of_writes(void)
{
	static const u32 msrs[] = { MSR_TSC_ADJUST,
				    MSR_TSC,
				    MSR_TSC_DEADLINE,
				    MSR_PAT,
				    MSR_MTRR_DEF_TYPE,
				    MSR_MTRR_PHYSBASE0,
				    MSR_MTRR_PHYSMASK0,
				    0x4b564d01,
				    0x4b564d00,
				    0x4b564d03,
				    0x4b564d04,
				    0x4b564d02,
				    0x11,
				    0x12 };
	u32 i;

	for (i = 0; i < 20000; i++)
		try_wrmsr(msrs[hostile_random() % ARRAY_SIZE(msrs)], hostile_value());
	wrmsr(MSR_TSC_DEADLINE, 0);
	CHECK(true);
}

static void until_the_end(void)
{
	u32 i;

	CHECK(true);
	if (!guest_option("all", 0))
		return;
	say("END\n");
	for (i = 0; i < 100000; i++) {
		u32 range = (u32)(hostile_random() % ARRAY_SIZE(ranges));

		try_wrmsr(ranges[range].first + (u32)hostile_random() % ranges[range].count,
			  hostile_value());
	}
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(all_can_be_asked),
	GUEST_TEST(all_can_be_written_with_nonsense),
	GUEST_TEST(a_storm_of_writes),
	GUEST_TEST(until_the_end),
	GUEST_TESTS_END,
};
