// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control registers: bad values are #GP and change nothing, good ones do what they say.
 *
 * A machine without the first kind of check may lose its head here; that is why this is a guest of
 * its own.
 */
#include "cpu.h"
#include "paging.h"
#include "smp.h"

static void do_rdtsc(void *argument)
{
	(void)argument;
	rdtsc();
}

static void tsd_keeps_rdtsc_from_the_user(void)
{
	u64 cr4 = read_cr4();

	CHECK_EQ(fault_of_user(do_rdtsc, NULL).vector, TRAP_NONE);
	write_cr4(cr4 | CR4_TSD);
	CHECK_EQ(fault_of_user(do_rdtsc, NULL).vector, TRAP_GP);
	CHECK_EQ(fault_of(do_rdtsc, NULL).vector, TRAP_NONE);
	write_cr4(cr4);
}

static void do_rdfsbase(void *argument)
{
	u64 base;

	(void)argument;
	__asm__ volatile("rdfsbase %0" : "=r"(base));
}

static void fsgsbase_follows_cr4(void)
{
	u64 cr4 = read_cr4();

	if (!(cpuid(7, 0).ebx & 1)) {
		check_skip("no FSGSBASE");
		return;
	}
	CHECK_EQ(fault_of(do_rdfsbase, NULL).vector, TRAP_UD);
	write_cr4(cr4 | CR4_FSGSBASE);
	CHECK_EQ(fault_of(do_rdfsbase, NULL).vector, TRAP_NONE);
	write_cr4(cr4);
}

static void do_sidt(void *argument)
{
	u8 pointer[10];

	(void)argument;
	__asm__ volatile("sidt %0" : "=m"(pointer));
}

static void umip_keeps_sidt_from_the_user(void)
{
	u64 cr4 = read_cr4();

	if (!(cpuid(7, 0).ecx >> 2 & 1)) {
		check_skip("no UMIP");
		return;
	}
	CHECK_EQ(fault_of_user(do_sidt, NULL).vector, TRAP_NONE);
	write_cr4(cr4 | CR4_UMIP);
	CHECK_EQ(fault_of_user(do_sidt, NULL).vector, TRAP_GP);
	CHECK_EQ(fault_of(do_sidt, NULL).vector, TRAP_NONE);
	write_cr4(cr4);
}

static void values_read_back_as_written(void)
{
	u64 cr0 = read_cr0(), cr4 = read_cr4();

	write_cr0(cr0 ^ (CR0_WP | CR0_AM));
	CHECK_EQ(read_cr0(), cr0 ^ (CR0_WP | CR0_AM));
	write_cr0(cr0);
	write_cr4(cr4 ^ (CR4_PGE | CR4_DE));
	CHECK_EQ(read_cr4(), cr4 ^ (CR4_PGE | CR4_DE));
	write_cr4(cr4);
	write_cr2(0x1234567890);
	CHECK_EQ(read_cr2(), 0x1234567890);
	CHECK_EQ(read_cr0(), cr0);
	CHECK_EQ(read_cr4(), cr4);
}

static void cr2_lives_over_exits(void)
{
	write_cr2(0xabcdef0123);
	cpuid(0, 0);
	inb(0x61);
	CHECK_EQ(read_cr2(), 0xabcdef0123);
}

static void lmsw_sets_but_never_clears_pe(void)
{
	u64 cr0 = read_cr0();

	__asm__ volatile("lmsw %w0" ::"r"((u32)cr0 & 0xe));
	CHECK_EQ(read_cr0(), cr0);
	__asm__ volatile("lmsw %w0" ::"r"((u32)cr0 | CR0_TS));
	CHECK_EQ(read_cr0(), cr0 | CR0_TS);
	__asm__ volatile("clts");
	CHECK_EQ(read_cr0(), cr0);
}

static void a_global_page_outlives_cr3_but_not_cr4(void)
{
	u64 a = (u64)page_alloc(), b = (u64)page_alloc(), va = TEST_VA, cr4 = read_cr4();
	volatile u64 *word = (u64 *)va;

	*(u64 *)a = 1;
	*(u64 *)b = 2;
	write_cr4(cr4 | CR4_PGE);
	page_map(va, a, PTE_P | PTE_W | PTE_G);
	CHECK_EQ(*word, 1);
	*page_entry(va, 1) = b | PTE_P | PTE_W | PTE_G;
	write_cr4(cr4); /* must flush: nothing old may be seen after */
	CHECK_EQ(*word, 2);
	page_map(va, 0, 0);
}

static void reserved_bits_of_cr3_are_refused_or_ignored(void)
{
	u64 cr3 = read_cr3();

	write_cr3(cr3 | 0x18); /* PCD and PWT stay */
	CHECK_EQ(read_cr3(), cr3 | 0x18);
	write_cr3(cr3);
	CHECK_EQ(read_cr3(), cr3);
}

static void do_absent_cr(void *argument)
{
	(void)argument;
	__asm__ volatile(".byte 0x0f, 0x20, 0xc8" ::: "rax"); /* mov %cr1, %rax */
}

static void absent_registers_are_ud(void)
{
	CHECK_EQ(fault_of(do_absent_cr, NULL).vector, TRAP_UD);
}

static void do_cr0(void *argument)
{
	write_cr0((u64)argument);
}

static void do_cr4(void *argument)
{
	write_cr4((u64)argument);
}

static void do_cr8(void *argument)
{
	write_cr8((u64)argument);
}

static void bad_values_are_gp_and_change_nothing(void)
{
	u64 cr0 = read_cr0(), cr4 = read_cr4();

	CHECK_EQ(fault_of(do_cr0, (void *)(cr0 & ~(u64)CR0_PE)).vector, TRAP_GP);
	CHECK_EQ(fault_of(do_cr0, (void *)(cr0 | CR0_NW)).vector, TRAP_GP);
	CHECK_EQ(fault_of(do_cr4, (void *)(cr4 & ~(u64)CR4_PAE)).vector, TRAP_GP);
	CHECK_EQ(fault_of(do_cr4, (void *)(cr4 | 1ull << 15)).vector, TRAP_GP);
	CHECK_EQ(read_cr0(), cr0);
	CHECK_EQ(read_cr4(), cr4);
}

static void reserved_bits_of_cr0_and_cr8_are_gp(void)
{
	CHECK_EQ(fault_of(do_cr0, (void *)(read_cr0() | 1ull << 40)).vector, TRAP_GP);
	CHECK_EQ(fault_of(do_cr8, (void *)0x10).vector, TRAP_GP);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(values_read_back_as_written),
	GUEST_TEST(cr2_lives_over_exits),
	GUEST_TEST(lmsw_sets_but_never_clears_pe),
	GUEST_TEST(tsd_keeps_rdtsc_from_the_user),
	GUEST_TEST(fsgsbase_follows_cr4),
	GUEST_TEST(umip_keeps_sidt_from_the_user),
	GUEST_TEST(a_global_page_outlives_cr3_but_not_cr4),
	GUEST_TEST(reserved_bits_of_cr3_are_refused_or_ignored),
	GUEST_TEST(absent_registers_are_ud),
	GUEST_TEST(reserved_bits_of_cr0_and_cr8_are_gp),
	GUEST_TEST(bad_values_are_gp_and_change_nothing),
	GUEST_TESTS_END,
};
