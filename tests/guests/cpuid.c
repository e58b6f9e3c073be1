// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CPUID: what any hypervisor must hold to, whatever CPU model it shows.
 */
#include "apic.h"
#include "cpu.h"

static void the_leaves_stand_in_their_ranges(void)
{
	CHECK(cpuid(0, 0).eax >= 1);
	CHECK(cpuid(0, 0).eax < 0x100);
	CHECK(cpuid(0x80000000, 0).eax >= 0x80000008);
	CHECK(cpuid(0x80000000, 0).eax < 0x80000100);
}

static void the_vendor_is_the_same_in_both_ranges(void)
{
	struct cpuid low = cpuid(0, 0), high = cpuid(0x80000000, 0);

	CHECK(low.ebx != 0);
	if (high.ebx == 0) {
		check_skip("an Intel CPU has no vendor in leaf 0x80000000");
		return;
	}
	CHECK_EQ(low.ebx, high.ebx);
	CHECK_EQ(low.ecx, high.ecx);
	CHECK_EQ(low.edx, high.edx);
}

static void what_this_guest_runs_on_is_there(void)
{
	struct cpuid base = cpuid(1, 0), extended = cpuid(0x80000001, 0);
	static const u32 needed[] = { 0, 3, 4, 5, 6, 8, 9, 13, 15, 23, 24, 25, 26 };
	u32 i;

	/* FPU, PSE, TSC, MSR, PAE, CX8, APIC, PGE, CMOV, MMX, FXSR, SSE, SSE2 */
	for (i = 0; i < ARRAY_SIZE(needed); i++)
		CHECK(base.edx >> needed[i] & 1);
	CHECK(extended.edx >> 29 & 1); /* long mode */
	CHECK(extended.edx >> 20 & 1); /* no-execute */
	CHECK(extended.edx >> 11 & 1); /* SYSCALL */
}

static void the_hypervisor_shows_itself(void)
{
	struct cpuid leaf = cpuid(0x40000000, 0);

	CHECK(cpuid(1, 0).ecx >> 31 & 1);
	CHECK(leaf.eax >= 0x40000000 || leaf.eax == 0);
	CHECK(leaf.ebx != 0);
}

static void osxsave_follows_cr4(void)
{
	if (!(cpuid(1, 0).ecx >> 26 & 1)) {
		check_skip("no XSAVE");
		return;
	}
	write_cr4(read_cr4() & ~(u64)CR4_OSXSAVE);
	CHECK_EQ(cpuid(1, 0).ecx >> 27 & 1, 0);
	write_cr4(read_cr4() | CR4_OSXSAVE);
	CHECK_EQ(cpuid(1, 0).ecx >> 27 & 1, 1);
	write_cr4(read_cr4() & ~(u64)CR4_OSXSAVE);
}

static void the_apic_bit_follows_the_apic(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	CHECK_EQ(cpuid(1, 0).edx >> 9 & 1, 1);
	wrmsr(MSR_APIC_BASE, base & ~(u64)APIC_BASE_ENABLE);
	CHECK_EQ(cpuid(1, 0).edx >> 9 & 1, 0);
	wrmsr(MSR_APIC_BASE, base);
	CHECK_EQ(cpuid(1, 0).edx >> 9 & 1, 1);
	apic_init_cpu();
}

static void the_apic_id_is_that_of_the_apic(void)
{
	CHECK_EQ(cpuid(1, 0).ebx >> 24, this_cpu()->apic_id);
}

static void upper_halves_are_cleared(void)
{
	u64 a = ~0ull << 32, b = ~0ull, c = ~0ull << 32, d = ~0ull;

	__asm__ volatile("cpuid" : "+a"(a), "+b"(b), "+c"(c), "+d"(d));
	CHECK_EQ(a >> 32, 0);
	CHECK_EQ(b >> 32, 0);
	CHECK_EQ(c >> 32, 0);
	CHECK_EQ(d >> 32, 0);
}

static void odd_leaves_do_no_harm(void)
{
	u64 seed = 1;
	u32 i;

	for (i = 0; i < 2000; i++)
		cpuid((u32)random_next(&seed), (u32)random_next(&seed));
	for (i = 0; i < 0x30; i++)
		cpuid(i, 0xffffffff);
	CHECK(true);
}

static void the_address_sizes_make_sense(void)
{
	struct cpuid leaf = cpuid(0x80000008, 0);

	CHECK((leaf.eax & 0xff) >= 36);
	CHECK((leaf.eax & 0xff) <= 52);
	CHECK((leaf.eax >> 8 & 0xff) == 48 || (leaf.eax >> 8 & 0xff) == 57);
}

static void the_xsave_leaf_follows_xcr0(void)
{
	struct cpuid leaf;

	if (!(cpuid(1, 0).ecx >> 26 & 1)) {
		check_skip("no XSAVE");
		return;
	}
	write_cr4(read_cr4() | CR4_OSXSAVE);
	__asm__ volatile("xsetbv" ::"c"(0), "a"(1), "d"(0));
	leaf = cpuid(13, 0);
	CHECK_EQ(leaf.ebx, 576);
	CHECK(leaf.ecx >= leaf.ebx);
	if (leaf.eax & 4) {
		__asm__ volatile("xsetbv" ::"c"(0), "a"(7), "d"(0));
		CHECK_EQ(cpuid(13, 0).ebx, 832);
		__asm__ volatile("xsetbv" ::"c"(0), "a"(1), "d"(0));
	}
	write_cr4(read_cr4() & ~(u64)CR4_OSXSAVE);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(the_leaves_stand_in_their_ranges),
	GUEST_TEST(the_vendor_is_the_same_in_both_ranges),
	GUEST_TEST(what_this_guest_runs_on_is_there),
	GUEST_TEST(the_hypervisor_shows_itself),
	GUEST_TEST(osxsave_follows_cr4),
	GUEST_TEST(the_apic_bit_follows_the_apic),
	GUEST_TEST(the_apic_id_is_that_of_the_apic),
	GUEST_TEST(upper_halves_are_cleared),
	GUEST_TEST(odd_leaves_do_no_harm),
	GUEST_TEST(the_address_sizes_make_sense),
	GUEST_TEST(the_xsave_leaf_follows_xcr0),
	GUEST_TESTS_END,
};
