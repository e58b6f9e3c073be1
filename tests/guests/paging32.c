// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Protected mode of 32 bits: without paging, and with two-level tables of 4 KiB and 4 MiB pages.
 */
#include "cpu.h"
#include "modes.h"
#include "paging.h"

struct results32 {
	u32 read, cr0, efer, cpuid_max, count;
};
LOW_DATA struct results32 results32;

extern const u8 flat32[], paged32[];

__asm__(".text\n"
	".code32\n"
	"flat32:\n"
	"	movl %cr0, %eax\n"
	"	movl %eax, results32 + 4\n"
	"	movl $0xc0000080, %ecx\n"
	"	rdmsr\n"
	"	movl %eax, results32 + 8\n"
	"	pushl %ebx\n"
	"	xorl %eax, %eax\n"
	"	cpuid\n"
	"	popl %ebx\n"
	"	movl %eax, results32 + 12\n"
	"	movl 0x900000, %eax\n"
	"	movl %eax, results32\n"
	"	ret\n"

	/*
	 * Reads a word of the first page of two mappings at 0x40000000, writes one into the second.
	 */
	"paged32:\n"
	"	movl 0x40000000, %eax\n"
	"	addl 0x40400010, %eax\n"
	"	movl %eax, results32\n"
	"	movl $0x77777777, 0x40001000\n"
	"	pushl %ebx\n"
	"	movl $1000, %ecx\n"
	"1:	pushl %ecx\n"
	"	xorl %eax, %eax\n"
	"	cpuid\n"
	"	popl %ecx\n"
	"	incl results32 + 16\n"
	"	loop 1b\n"
	"	popl %ebx\n"
	"	ret\n"
	".code64\n");

static void without_paging(void)
{
	u32 max = cpuid(0, 0).eax;

	*(volatile u32 *)0x900000 = 0xf1a7;
	protected_call(flat32, 0, 0);
	CHECK_EQ(results32.read, 0xf1a7);
	CHECK_EQ(results32.cr0 & CR0_PG, 0);
	CHECK_EQ(results32.efer & (EFER_LME | EFER_LMA), 0);
	CHECK_EQ(results32.cpuid_max, max);
}

static u32 *directory, *table;

static void tables_make(void)
{
	u32 i;

	directory = page_alloc();
	table = page_alloc();
	for (i = 0; i < 16; i++)
		directory[i] = i << 22 | 0x83; /* 64 MiB as they are */
	directory[0x40000000 >> 22] = (u32)(u64)table | 3;
	directory[0x40400000 >> 22] = 0x83; /* the first 4 MiB once more */
	table[0] = 0x900003;
	table[1] = 0x901003;
}

static void with_two_levels(void)
{
	tables_make();
	*(volatile u32 *)0x900000 = 5;
	*(volatile u32 *)0x901000 = 0;
	*(volatile u32 *)0x10 = 7;
	results32.count = 0;
	protected_call(paged32, (u32)(u64)directory, CR4_PSE);
	CHECK_EQ(results32.read, 12);
	CHECK_EQ(*(volatile u32 *)0x901000, 0x77777777);
	CHECK_EQ(results32.count, 1000);
}

static void accessed_and_dirty_are_set(void)
{
	CHECK_EQ(table[0] & (PTE_A | PTE_D), PTE_A);
	CHECK_EQ(table[1] & (PTE_A | PTE_D), PTE_A | PTE_D);
	CHECK_EQ(directory[0x40400000 >> 22] & (PTE_A | PTE_D), PTE_A);
}

static void there_and_back_many_times(void)
{
	u32 i;

	results32.count = 0;
	for (i = 0; i < 50; i++)
		protected_call(paged32, (u32)(u64)directory, CR4_PSE);
	CHECK_EQ(results32.count, 50000);
	CHECK(read_cr4() & CR4_PAE);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(without_paging),
	GUEST_TEST(with_two_levels),
	GUEST_TEST(accessed_and_dirty_are_set),
	GUEST_TEST(there_and_back_many_times),
	GUEST_TESTS_END,
};
