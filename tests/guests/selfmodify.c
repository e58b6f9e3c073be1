// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Code that changes under the CPU that runs it, by itself, by another name, by another CPU; and the
 * marks that page tables get for it.
 */
#include "cpu.h"
#include "paging.h"
#include "smp.h"

/* mov $imm32, %eax; ret */
static void code_write(volatile u8 *code, u32 value)
{
	code[0] = 0xb8;
	code[1] = (u8)value;
	code[2] = (u8)(value >> 8);
	code[3] = (u8)(value >> 16);
	code[4] = (u8)(value >> 24);
	code[5] = 0xc3;
}

static u32 code_run(u64 code)
{
	return ((u32(*)(void))code)();
}

static void code_written_then_run(void)
{
	u8 *code = page_alloc();
	u32 i, bad = 0;

	for (i = 0; i < 1000; i++) {
		code_write(code, i * 0x01010101);
		bad += code_run((u64)code) != i * 0x01010101;
	}
	CHECK_EQ(bad, 0);
}

static void code_written_by_another_name(void)
{
	u8 *code = page_alloc();
	u32 i, bad = 0;

	page_map(TEST_VA, (u64)code, PTE_P | PTE_W);
	for (i = 0; i < 500; i++) {
		code_write((u8 *)TEST_VA, i);
		__asm__ volatile("cpuid" ::"a"(0) : "rbx", "rcx", "rdx", "memory"); /* serializes */
		bad += code_run((u64)code) != i;
	}
	CHECK_EQ(bad, 0);
}

static void an_instruction_that_changes_the_next_but_one(void)
{
	u32 result;

	/* The write goes into the immediate of the MOV behind; a branch makes it seen. */
	__asm__ volatile("movl $0x1234, 2f+1(%%rip); jmp 1f; 1: 2: movl $0, %%eax"
			 : "=a"(result)::"memory");
	CHECK_EQ(result, 0x1234);
}

static u8 *shared_code;

static void write_other(void *argument)
{
	code_write(shared_code, (u32)(u64)argument);
}

static void code_written_by_another_cpu(void)
{
	u32 i, bad = 0;

	shared_code = page_alloc();
	CHECK(smp_start() >= 2);
	for (i = 0; i < 100; i++) {
		smp_call(1, write_other, (void *)(u64)i);
		if (!smp_wait(1))
			break;
		cpuid(0, 0);
		bad += code_run((u64)shared_code) != i;
	}
	CHECK_EQ(i, 100);
	CHECK_EQ(bad, 0);
}

static void a_page_swapped_under_the_code(void)
{
	u8 *pages[2] = { page_alloc(), page_alloc() };
	u32 i, bad = 0;

	code_write(pages[0], 0);
	code_write(pages[1], 1);
	for (i = 0; i < 500; i++) {
		page_map(TEST_VA, (u64)pages[i & 1], PTE_P | PTE_W);
		bad += code_run(TEST_VA) != (i & 1);
	}
	CHECK_EQ(bad, 0);
}

static void accessed_and_dirty_marks(void)
{
	u64 page = (u64)page_alloc(), va = TEST_VA + 0x5000;

	page_map(va, page, PTE_P | PTE_W);
	CHECK_EQ(*page_entry(va, 1) & (PTE_A | PTE_D), 0);
	(void)*(volatile u8 *)va;
	CHECK_EQ(*page_entry(va, 1) & (PTE_A | PTE_D), PTE_A);
	*(volatile u8 *)va = 1;
	CHECK_EQ(*page_entry(va, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
}

/* The whole of RAM, twice: what is written stays, wherever the host puts it. */
static void memory_keeps_what_is_written(void)
{
	u64 begin = (u64)pages_alloc(1, 2ull << 20), end = ram_end() & ~(GUEST_PAGE_SIZE - 1), at,
	    seed = 42;
	u32 bad = 0;

	for (at = begin; at < end; at += GUEST_PAGE_SIZE)
		*(volatile u64 *)(at + (at >> 9 & 0xff8)) = random_next(&seed);
	seed = 42;
	for (at = begin; at < end; at += GUEST_PAGE_SIZE)
		bad += *(volatile u64 *)(at + (at >> 9 & 0xff8)) != random_next(&seed);
	CHECK_EQ(bad, 0);
	CHECK(end > begin);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(code_written_then_run),
	GUEST_TEST(code_written_by_another_name),
	GUEST_TEST(an_instruction_that_changes_the_next_but_one),
	GUEST_TEST(code_written_by_another_cpu),
	GUEST_TEST(a_page_swapped_under_the_code),
	GUEST_TEST(accessed_and_dirty_marks),
	GUEST_TEST(memory_keeps_what_is_written),
	GUEST_TESTS_END,
};
