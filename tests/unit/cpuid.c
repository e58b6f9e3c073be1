// SPDX-License-Identifier: GPL-2.0-or-later
/* CPUID's filter and look-up, on invented CPUs. */
#include "test.h"

#include "bv/x86.h"
#include "data/cpuid_policy.h"
#include "x86/cpuid.h"

/* ---- an invented CPU: a table of leaves; what is not in it is zero ---- */

struct invented {
	struct bv_cpuid_host host;
	const struct bv_cpuid_leaf *leaf;
	unsigned int count;
};

static void read_invented(const struct bv_cpuid_host *host, u32 leaf, u32 subleaf, u32 out[4])
{
	const struct invented *cpu = BV_CONTAINER(host, struct invented, host);

	memset(out, 0, 4 * sizeof(*out));
	for (unsigned int i = 0; i < cpu->count; i++) {
		const struct bv_cpuid_leaf *at = &cpu->leaf[i];

		if (at->leaf != leaf || at->subleaf != subleaf)
			continue;
		out[0] = at->eax;
		out[1] = at->ebx;
		out[2] = at->ecx;
		out[3] = at->edx;
	}
}

#define ALL 0xffffffffu

static const struct bv_cpuid_leaf amd_leaves[] = {
	{ 0x0, 0, false, 0x10, 0x68747541, 0x444d4163, 0x69746e65 },
	{ 0x1, 0, false, 0x00800f12, 0x01020800, ALL, ALL },
	{ 0x7, 0, true, 0, ALL, ALL, ALL },
	{ 0xd, 0, true, 0x207, 0x988, 0x988, 0 },
	{ 0xd, 1, true, 0xf, 0x348, 0, 0 },
	{ 0xd, 2, true, 256, 576, 0, 0 },
	{ 0xd, 9, true, 8, 2432, 0, 0 },
	{ 0x80000000, 0, false, 0x8000001f, 0x68747541, 0x444d4163, 0x69746e65 },
	{ 0x80000001, 0, false, 0x00800f12, 0, ALL, ALL },
	{ 0x80000007, 0, false, 0, 0, 0, ALL },
	{ 0x80000008, 0, false, 0x00003028, ALL, ALL, 0 },
	{ 0x8000000a, 0, false, 1, 16, 0, ALL },
	{ 0x8000001d, 0, true, 0x00004121, 0x01c0003f, 0x3f, 0 },
	{ 0x8000001d, 1, true, 0x00004122, 0x00c0003f, 0xff, 0 },
};

static const struct bv_cpuid_leaf intel_leaves[] = {
	{ 0x0, 0, false, 0xd, 0x756e6547, 0x6c65746e, 0x49656e69 },
	{ 0x1, 0, false, 0x000906ea, 0, ALL, ALL },
	{ 0x7, 0, true, 0, ALL, ALL, ALL },
	{ 0xd, 0, true, 7, 0x340, 0x340, 0 },
	{ 0xd, 2, true, 256, 576, 0, 0 },
	{ 0x80000000, 0, false, 0x80000008, 0, 0, 0 },
};

#define INVENT(table, components)                                                         \
	{                                                                                 \
		.host = { .read = read_invented, .xcr0 = (components) }, .leaf = (table), \
		.count = BV_ARRAY_SIZE(table)                                             \
	}

static struct bv_cpuid_leaf offered[BV_CPUID_MAX];

static unsigned int offer(const struct invented *cpu)
{
	return bv_cpuid_filter(&cpu->host, offered, BV_CPUID_MAX);
}

static const struct bv_cpuid_live nothing_live = { .apic_base = 0 };

static u32 ask(unsigned int count, u32 leaf, u32 subleaf, enum bv_cpuid_register reg,
	       const struct bv_cpuid_live *live)
{
	u32 out[4];

	bv_cpuid_lookup(offered, count, leaf, subleaf, live, out);
	return out[reg];
}

#define ASK(leaf, subleaf, reg) ask(count, leaf, subleaf, BV_CPUID_##reg, &nothing_live)

/* ---- the policy itself ---- */

TEST(rows_of_the_policy_ascend)
{
	for (unsigned int i = 1; i < bv_cpuid_row_count; i++) {
		const struct bv_cpuid_row *a = &bv_cpuid_rows[i - 1], *b = &bv_cpuid_rows[i];

		CHECK(a->leaf < b->leaf || (a->leaf == b->leaf && a->subleaf < b->subleaf));
	}
}

static bool has_row(const struct bv_cpuid_feature *feature)
{
	for (unsigned int i = 0; i < bv_cpuid_row_count; i++)
		if (bv_cpuid_rows[i].leaf == feature->leaf &&
		    (bv_cpuid_rows[i].subleaf == feature->subleaf || bv_cpuid_rows[i].leaf == 0xd))
			return true;
	return false;
}

TEST(every_feature_has_a_row_and_stands_once)
{
	for (unsigned int i = 0; i < bv_cpuid_feature_count; i++) {
		const struct bv_cpuid_feature *a = &bv_cpuid_features[i];

		CHECK(has_row(a));
		for (unsigned int j = 0; j < i; j++) {
			const struct bv_cpuid_feature *b = &bv_cpuid_features[j];

			CHECK(a->leaf != b->leaf || a->subleaf != b->subleaf || a->reg != b->reg ||
			      a->bit != b->bit);
		}
	}
}

/* ---- the filter ---- */

TEST(guests_of_guests_are_offered_where_they_are_wanted)
{
	struct invented cpu = INVENT(amd_leaves, 0x207);
	unsigned int count;

	cpu.host.nested = true;
	count = offer(&cpu);
	CHECK_EQ(ASK(0x80000001, 0, ECX) & 1u << 2, 1u << 2);
	CHECK_EQ(ASK(0x8000000a, 0, EAX), 1);
	CHECK(ASK(0x8000000a, 0, EBX) > 1);
	/* Nested paging, next RIP, flush by ASID; nothing else, whatever the host has. */
	CHECK_EQ(ASK(0x8000000a, 0, EDX), 1u << 0 | 1u << 3 | 1u << 6);
}

TEST(fast_strings_that_are_turned_off_are_not_offered)
{
	struct invented cpu = INVENT(amd_leaves, 0x207);
	unsigned int count = offer(&cpu);

	CHECK_EQ(ASK(7, 0, EBX) & 1u << 9, 1u << 9);
	cpu.host.slow_strings = true;
	count = offer(&cpu);
	CHECK_EQ(ASK(7, 0, EBX) & 1u << 9, 0);
	CHECK_EQ(ASK(7, 0, EDX) & 1u << 4, 0);
}

TEST(what_the_engine_does_not_do_is_not_offered)
{
	const struct invented cpu = INVENT(amd_leaves, 0x207);
	unsigned int count = offer(&cpu);

	CHECK_EQ(ASK(1, 0, ECX) & (1u << 3), 0); /* MONITOR */
	CHECK_EQ(ASK(1, 0, ECX) & (1u << 5), 0); /* VMX */
	CHECK_EQ(ASK(0x80000001, 0, ECX) & (1u << 2), 0); /* SVM */
	CHECK_EQ(ASK(7, 0, EBX) & (1u << 4 | 1u << 11), 0); /* HLE, RTM */
	CHECK_EQ(ASK(7, 0, EDX) & (1u << 26), 0); /* SPEC_CTRL */
	CHECK_EQ(ASK(0xd, 1, EAX) & (1u << 3), 0); /* XSAVES */
	CHECK_EQ(ASK(0xa, 0, EAX), 0);
	CHECK_EQ(ASK(0x8000000a, 0, EDX), 0);
}

TEST(what_the_engine_does_is_offered_whatever_the_host_has)
{
	static const struct bv_cpuid_leaf bare[] = {
		{ 0x0, 0, false, 0xd, 0, 0, 0 },
		{ 0x80000000, 0, false, 0x80000008, 0, 0, 0 },
	};
	const struct invented cpu = INVENT(bare, 0);
	unsigned int count = offer(&cpu);

	CHECK(ASK(1, 0, ECX) & (1u << 31)); /* hypervisor */
	CHECK(ASK(1, 0, ECX) & (1u << 21)); /* x2APIC */
	CHECK(ASK(1, 0, ECX) & (1u << 24)); /* TSC deadline */
	CHECK(ASK(7, 0, EBX) & (1u << 1)); /* TSC_ADJUST */
	CHECK_EQ(ASK(0x40000000, 0, EBX), 0x4b4d564b);
	CHECK_EQ(ASK(0x40000000, 0, EAX), 0x40000001);
	CHECK(ASK(0x40000001, 0, EAX) & (1u << 3)); /* kvmclock */
	CHECK_EQ(ASK(1, 0, ECX) & (1u << 26), 0); /* no XSAVE */
}

TEST(a_feature_goes_without_its_xsave_component)
{
	const struct invented with = INVENT(amd_leaves, 0x207), without = INVENT(amd_leaves, 0x3);
	unsigned int count = offer(&with);

	CHECK(ASK(1, 0, ECX) & (1u << 28)); /* AVX */
	CHECK(ASK(7, 0, ECX) & (1u << 3)); /* PKU */
	CHECK_EQ(ASK(7, 0, EBX) & (1u << 16), 0); /* AVX-512 */
	CHECK_EQ(ASK(0xd, 0, EAX), 0x207);
	count = offer(&without);
	CHECK_EQ(ASK(1, 0, ECX) & (1u << 28), 0);
	CHECK_EQ(ASK(7, 0, ECX) & (1u << 3), 0);
	CHECK(ASK(1, 0, ECX) & (1u << 26)); /* XSAVE itself */
	CHECK_EQ(ASK(0xd, 0, EAX), 3);
	CHECK_EQ(ASK(0xd, 2, EAX), 0);
}

TEST(the_highest_leaf_is_of_the_policy_and_of_the_host)
{
	const struct invented amd = INVENT(amd_leaves, 7), intel = INVENT(intel_leaves, 7);
	unsigned int count = offer(&amd);

	CHECK_EQ(ASK(0, 0, EAX), 0xd);
	CHECK_EQ(ASK(0x80000000, 0, EAX), 0x8000001e);
	count = offer(&intel);
	CHECK_EQ(ASK(0x80000000, 0, EAX), 0x80000008);
}

TEST(caches_are_listed_without_the_hosts_topology)
{
	const struct invented cpu = INVENT(amd_leaves, 7);
	unsigned int count = offer(&cpu);

	CHECK_EQ(ASK(0x8000001d, 0, EAX), 0x121);
	CHECK_EQ(ASK(0x8000001d, 1, EAX), 0x122);
	CHECK_EQ(ASK(0x8000001d, 2, EAX), 0);
}

TEST(too_little_room_is_told_and_not_overrun)
{
	const struct invented cpu = INVENT(amd_leaves, 7);
	struct bv_cpuid_leaf few[3];
	unsigned int all = offer(&cpu);

	memset(few, 0xee, sizeof(few));
	CHECK_EQ(bv_cpuid_filter(&cpu.host, few, 2), all);
	CHECK_EQ(few[2].leaf, 0xeeeeeeee);
}

TEST(the_filter_is_sorted_already)
{
	const struct invented cpu = INVENT(amd_leaves, 0x207);
	static struct bv_cpuid_leaf copy[BV_CPUID_MAX];
	unsigned int count = offer(&cpu);
	u32 bad = 0;

	memcpy(copy, offered, sizeof(copy));
	CHECK_EQ(bv_cpuid_sort(offered, count, &bad), 0);
	CHECK_EQ(memcmp(copy, offered, count * sizeof(*copy)), 0);
}

/* ---- the look-up ---- */

TEST(out_of_range_is_zero_on_amd)
{
	const struct invented cpu = INVENT(amd_leaves, 7);
	unsigned int count = offer(&cpu);

	for (unsigned int reg = 0; reg < 4; reg++) {
		CHECK_EQ(ask(count, 0x20, 0, reg, &nothing_live), 0);
		CHECK_EQ(ask(count, 0x8fffffff, 0, reg, &nothing_live), 0);
		CHECK_EQ(ask(count, 0x40000010, 0, reg, &nothing_live), 0);
	}
}

TEST(out_of_range_is_the_highest_basic_leaf_on_intel)
{
	const struct invented cpu = INVENT(intel_leaves, 7);
	unsigned int count = offer(&cpu);

	CHECK_EQ(ASK(0x20, 0, EAX), 7);
	CHECK_EQ(ASK(0x8fffffff, 0, EAX), 7);
	CHECK_EQ(ASK(0x40000010, 0, EAX), 7);
	CHECK_EQ(ASK(0x20, 2, EAX), 256);
	CHECK_EQ(ASK(0x3, 0, EAX), 0); /* in range, only empty */
}

TEST(a_leaf_without_subleaves_answers_for_any)
{
	const struct invented cpu = INVENT(amd_leaves, 7);
	unsigned int count = offer(&cpu);

	CHECK_EQ(ASK(0x80000008, 77, EAX), ASK(0x80000008, 0, EAX));
	CHECK_EQ(ASK(7, 77, EBX), 0);
}

TEST(topology_leaves_echo_the_level)
{
	const struct invented cpu = INVENT(amd_leaves, 7);
	unsigned int count = offer(&cpu);

	CHECK_EQ(ASK(0xb, 5, ECX), 5);
}

TEST(live_bits_follow_the_vcpu)
{
	const struct invented cpu = INVENT(amd_leaves, 0x207);
	const struct bv_cpuid_live on = {
		.cr4 = BV_CR4_OSXSAVE | BV_CR4_PKE,
		.apic_base = 0xfee00900,
		.xcr0 = 7,
	};
	unsigned int count = offer(&cpu);

	CHECK_EQ(ASK(1, 0, ECX) & (1u << 27), 0);
	CHECK_EQ(ASK(1, 0, EDX) & (1u << 9), 0);
	CHECK_EQ(ASK(0x80000001, 0, EDX) & (1u << 9), 0);
	CHECK_EQ(ASK(7, 0, ECX) & (1u << 4), 0);
	CHECK(ask(count, 1, 0, BV_CPUID_ECX, &on) & (1u << 27));
	CHECK(ask(count, 1, 0, BV_CPUID_EDX, &on) & (1u << 9));
	CHECK(ask(count, 0x80000001, 0, BV_CPUID_EDX, &on) & (1u << 9));
	CHECK(ask(count, 7, 0, BV_CPUID_ECX, &on) & (1u << 4));
}

TEST(xsave_sizes_follow_xcr0)
{
	const struct invented cpu = INVENT(amd_leaves, 0x207);
	struct bv_cpuid_live live = { .xcr0 = 1 };
	unsigned int count = offer(&cpu);

	CHECK_EQ(ask(count, 0xd, 0, BV_CPUID_EBX, &live), 576);
	CHECK_EQ(ask(count, 0xd, 0, BV_CPUID_ECX, &live), 2440);
	live.xcr0 = 7;
	CHECK_EQ(ask(count, 0xd, 0, BV_CPUID_EBX, &live), 832);
	live.xcr0 = 0x207;
	CHECK_EQ(ask(count, 0xd, 0, BV_CPUID_EBX, &live), 2440);
	CHECK_EQ(ask(count, 0xd, 1, BV_CPUID_EBX, &live), 840);
}

TEST(twice_the_same_leaf_is_refused)
{
	struct bv_cpuid_leaf twice[] = { { .leaf = 7, .subleaf = 1, .indexed = true },
					 { .leaf = 1 },
					 { .leaf = 7, .subleaf = 1, .indexed = true } };
	struct bv_cpuid_leaf mixed[] = { { .leaf = 4, .subleaf = 1, .indexed = true },
					 { .leaf = 4 } };
	u32 bad = 0;

	CHECK_EQ(bv_cpuid_sort(twice, 3, &bad), -BV_EINVAL);
	CHECK_EQ(bad, 7);
	CHECK_EQ(bv_cpuid_sort(mixed, 2, &bad), -BV_EINVAL);
	CHECK_EQ(bad, 4);
}
