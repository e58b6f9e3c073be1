// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * MSRs: known ones keep their values and refuse bad ones, unknown ones are #GP and nothing else.
 */
#include "apic.h"
#include "cpu.h"
#include "paging.h"

static void an_unknown_msr_is_gp(void)
{
	static const u32 unknown[] = {
		0x5, 0x400000, 0x12345678, 0xbfffffff, 0xc0002345, 0xdeadbeef
	};
	u64 value;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		CHECK_EQ(try_rdmsr(unknown[i], &value), TRAP_GP);
		CHECK_EQ(try_wrmsr(unknown[i], 0), TRAP_GP);
	}
}

static void gp_of_an_msr_has_error_code_0(void)
{
	u64 value;

	try_rdmsr(0xdeadbeef, &value);
	CHECK_EQ(this_cpu()->fault.error, 0);
	try_wrmsr(0xdeadbeef, 1);
	CHECK_EQ(this_cpu()->fault.error, 0);
}

static void keeps(u32 msr, u64 value)
{
	u64 before, after = 0;

	CHECK_EQ(try_rdmsr(msr, &before), TRAP_NONE);
	CHECK_EQ(try_wrmsr(msr, value), TRAP_NONE);
	CHECK_EQ(try_rdmsr(msr, &after), TRAP_NONE);
	CHECK_EQ(after, value);
	CHECK_EQ(try_wrmsr(msr, before), TRAP_NONE);
}

static void known_msrs_keep_their_values(void)
{
	keeps(MSR_STAR, 0x0018000800000000);
	keeps(MSR_LSTAR, 0xffff800012345678);
	keeps(MSR_CSTAR, 0xffff800087654321);
	keeps(MSR_SFMASK, 0x47700);
	keeps(MSR_FS_BASE, 0x1234567890);
	keeps(MSR_KERNEL_GS_BASE, 0xffff888812345000);
	keeps(MSR_SYSENTER_CS, 0x10);
	keeps(MSR_SYSENTER_ESP, 0xfffffff0);
	keeps(MSR_SYSENTER_EIP, 0x12340000);
}

static void tsc_aux_is_what_rdtscp_reads(void)
{
	u32 aux = 0, low, high;

	if (!(cpuid(0x80000001, 0).edx >> 27 & 1)) {
		check_skip("no RDTSCP");
		return;
	}
	wrmsr(MSR_TSC_AUX, 0x12345);
	CHECK_EQ(rdmsr(MSR_TSC_AUX), 0x12345);
	__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
	CHECK_EQ(aux, 0x12345);
}

static void pat_keeps_good_values_and_refuses_bad_ones(void)
{
	u64 before = rdmsr(MSR_PAT);

	CHECK_EQ(before, 0x0007040600070406);
	keeps(MSR_PAT, 0x0007010600070106);
	CHECK_EQ(try_wrmsr(MSR_PAT, 2), TRAP_GP);
	CHECK_EQ(try_wrmsr(MSR_PAT, 3ull << 56), TRAP_GP);
	CHECK_EQ(try_wrmsr(MSR_PAT, 0x80), TRAP_GP);
	CHECK_EQ(rdmsr(MSR_PAT), before);
}

static void mtrrs_keep_good_values_and_refuse_bad_ones(void)
{
	u64 mask;

	if (!(cpuid(1, 0).edx >> 12 & 1)) {
		check_skip("no MTRRs");
		return;
	}
	mask = ((1ull << (cpuid(0x80000008, 0).eax & 0xff)) - 1) & ~0xfffull;
	CHECK((rdmsr(MSR_MTRRCAP) & 0xff) >= 1);
	keeps(MSR_MTRR_PHYSBASE0, 0xd0000001);
	keeps(MSR_MTRR_PHYSMASK0, (mask & ~0xfffffffull) | 0x800);
	keeps(MSR_MTRR_FIX64K, 0x0606060606060606);
	CHECK_EQ(try_wrmsr(MSR_MTRR_FIX64K, 0x02), TRAP_GP);
	CHECK_EQ(try_wrmsr(MSR_MTRR_PHYSBASE0, 0x02), TRAP_GP);
	CHECK_EQ(try_wrmsr(MSR_MTRR_DEF_TYPE, 0x02), TRAP_GP);
	CHECK_EQ(try_wrmsr(MSR_MTRRCAP, 0), TRAP_GP);
}

static void efer_refuses_what_cannot_be(void)
{
	u64 efer = rdmsr(MSR_EFER);

	CHECK_EQ(efer & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA);
	CHECK_EQ(try_wrmsr(MSR_EFER, efer & ~(u64)EFER_LME), TRAP_GP); /* with paging on */
	CHECK_EQ(try_wrmsr(MSR_EFER, efer | 1ull << 63), TRAP_GP);
	CHECK_EQ(try_wrmsr(MSR_EFER, efer | 2), TRAP_GP);
	CHECK_EQ(try_wrmsr(MSR_EFER, efer & ~(u64)EFER_SCE), TRAP_NONE);
	CHECK_EQ(rdmsr(MSR_EFER), efer & ~(u64)EFER_SCE);
	wrmsr(MSR_EFER, efer);
}

static void efer_lma_cannot_be_written(void)
{
	u64 efer = rdmsr(MSR_EFER);

	CHECK_EQ(try_wrmsr(MSR_EFER, efer & ~(u64)EFER_LMA), TRAP_NONE);
	CHECK_EQ(rdmsr(MSR_EFER), efer);
}

static void the_guest_sees_no_svm_of_the_host(void)
{
	u64 efer = rdmsr(MSR_EFER);
	bool offered = cpuid(0x80000001, 0).ecx >> 2 & 1;

	CHECK_EQ(efer >> 12 & 1, 0);
	if (!offered)
		CHECK_EQ(try_wrmsr(MSR_EFER, efer | 1 << 12), TRAP_GP);
	wrmsr(MSR_EFER, efer);
}

static void tsc_adjust_moves_the_tsc(void)
{
	u64 before, after;

	if (!(cpuid(7, 0).ebx >> 1 & 1)) {
		check_skip("no TSC_ADJUST");
		return;
	}
	CHECK_EQ(rdmsr(MSR_TSC_ADJUST), 0);
	before = rdtsc();
	wrmsr(MSR_TSC_ADJUST, 1ull << 44);
	after = rdtsc();
	CHECK_EQ(rdmsr(MSR_TSC_ADJUST), 1ull << 44);
	CHECK(after - before >= 1ull << 44);
	CHECK(after - before < (1ull << 44) + LONG_WAIT);
	wrmsr(MSR_TSC_ADJUST, 0);
	CHECK(rdtsc() < after);
}

static void a_written_tsc_shows_in_tsc_adjust(void)
{
	u64 now;

	if (!(cpuid(7, 0).ebx >> 1 & 1)) {
		check_skip("no TSC_ADJUST");
		return;
	}
	now = rdtsc();
	wrmsr(MSR_TSC, now + (1ull << 44));
	CHECK(rdtsc() >= now + (1ull << 44));
	CHECK(rdmsr(MSR_TSC_ADJUST) <= 1ull << 44);
	CHECK(rdmsr(MSR_TSC_ADJUST) > (1ull << 44) - LONG_WAIT);
	wrmsr(MSR_TSC_ADJUST, 0);
}

static void the_tsc_never_goes_back(void)
{
	u64 last = rdtsc(), now;
	u32 i, backward = 0;

	for (i = 0; i < 20000; i++, last = now) {
		now = rdtsc();
		backward += now < last;
		if (i % 1000 == 0)
			cpuid(0, 0);
	}
	CHECK_EQ(backward, 0);
}

static void fs_and_gs_bases_are_used(void)
{
	static u64 word = 0x1122334455667788;
	u64 value;

	wrmsr(MSR_FS_BASE, (u64)&word - 64);
	__asm__ volatile("movq %%fs:64, %0" : "=r"(value));
	CHECK_EQ(value, word);
	wrmsr(MSR_KERNEL_GS_BASE, (u64)&word - 32);
	__asm__ volatile("swapgs; movq %%gs:32, %0; swapgs" : "=r"(value));
	CHECK_EQ(value, word);
	wrmsr(MSR_FS_BASE, 0);
}

static void a_base_that_is_not_canonical_is_gp(void)
{
	u64 old = rdmsr(MSR_KERNEL_GS_BASE);

	CHECK_EQ(try_wrmsr(MSR_LSTAR, 0x0000aaaaaaaaaaaaull << 8), TRAP_GP);
	CHECK_EQ(try_wrmsr(MSR_FS_BASE, 0xaaaaaaaaaaaaaaaa), TRAP_GP);
	CHECK_EQ(try_wrmsr(MSR_KERNEL_GS_BASE, 0xaaaaaaaaaaaaaaaa), TRAP_GP);
	wrmsr(MSR_KERNEL_GS_BASE, old);
	wrmsr(MSR_FS_BASE, 0);
	wrmsr(MSR_LSTAR, 0);
}

static void the_apic_base_refuses_bad_transitions(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	CHECK_EQ(base & 0xfffff000, APIC_PAGE);
	CHECK(base & APIC_BASE_BSP);
	CHECK_EQ(try_wrmsr(MSR_APIC_BASE, base | 1), TRAP_GP);
	CHECK_EQ(try_wrmsr(MSR_APIC_BASE, (base & ~(u64)APIC_BASE_ENABLE) | APIC_BASE_X2), TRAP_GP);
	CHECK_EQ(rdmsr(MSR_APIC_BASE), base);
}

static void rdmsr_clears_upper_halves(void)
{
	u64 a = ~0ull, d = ~0ull;

	__asm__ volatile("rdmsr" : "+a"(a), "+d"(d) : "c"(0xffffffff00000000ull | MSR_PAT));
	CHECK_EQ(a >> 32, 0);
	CHECK_EQ(d >> 32, 0);
}

static void user_read(void *argument)
{
	(void)argument;
	rdmsr(MSR_PAT);
}

static void user_write(void *argument)
{
	(void)argument;
	wrmsr(MSR_TSC_ADJUST, 0);
}

static void msrs_are_not_for_the_user(void)
{
	CHECK_EQ(fault_of_user(user_read, NULL).vector, TRAP_GP);
	CHECK_EQ(fault_of_user(user_write, NULL).vector, TRAP_GP);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(an_unknown_msr_is_gp),
	GUEST_TEST(gp_of_an_msr_has_error_code_0),
	GUEST_TEST(known_msrs_keep_their_values),
	GUEST_TEST(tsc_aux_is_what_rdtscp_reads),
	GUEST_TEST(pat_keeps_good_values_and_refuses_bad_ones),
	GUEST_TEST(mtrrs_keep_good_values_and_refuse_bad_ones),
	GUEST_TEST(efer_refuses_what_cannot_be),
	GUEST_TEST(efer_lma_cannot_be_written),
	GUEST_TEST(the_guest_sees_no_svm_of_the_host),
	GUEST_TEST(tsc_adjust_moves_the_tsc),
	GUEST_TEST(a_written_tsc_shows_in_tsc_adjust),
	GUEST_TEST(the_tsc_never_goes_back),
	GUEST_TEST(fs_and_gs_bases_are_used),
	GUEST_TEST(a_base_that_is_not_canonical_is_gp),
	GUEST_TEST(the_apic_base_refuses_bad_transitions),
	GUEST_TEST(rdmsr_clears_upper_halves),
	GUEST_TEST(msrs_are_not_for_the_user),
	GUEST_TESTS_END,
};
