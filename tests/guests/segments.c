// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Segments where they still count: 32-bit code in long mode, with bases, limits and types; LDT,
 * SYSCALL, SYSENTER.
 */
#include "cpu.h"
#include "paging.h"
#include "smp.h"

extern const u8 read_at_limit[], read_past_limit[], write_read_only[], read_by_base[], run_plain[],
	expand_down[], stack_past_limit[];
u32 segment_result;

/* 32-bit code at CPL 3, ended by INT 0x81. SEL_FREE + 3 is the segment under test. */
__asm__(".text\n"
	".code32\n"
	".macro test_segment\n"
	"	movl $0x4b, %eax\n"
	"	movl %eax, %es\n"
	".endm\n"
	"read_at_limit:\n"
	"	test_segment\n"
	"	movl %es:0xffc, %eax\n"
	"	int $0x81\n"
	"read_past_limit:\n"
	"	test_segment\n"
	"	movl %es:0xffd, %eax\n"
	"	int $0x81\n"
	"write_read_only:\n"
	"	test_segment\n"
	"	movl %eax, %es:0\n"
	"	int $0x81\n"
	"read_by_base:\n"
	"	test_segment\n"
	"	movl %es:4, %eax\n"
	"	movl %eax, segment_result\n"
	"	int $0x81\n"
	"expand_down:\n"
	"	test_segment\n"
	"	movl %es:0x1000, %eax\n"
	"	movl %es:0xffc, %eax\n"
	"	int $0x81\n"
	"stack_past_limit:\n"
	"	movl $0x4b, %eax\n"
	"	movl %eax, %ss\n"
	"	movl $0x2000, %esp\n"
	"	pushl %eax\n"
	"	int $0x81\n"
	"run_plain:\n"
	"	int $0x81\n"
	".code64\n");

#define DATA3 0x0040f3000000ffffull
#define READ_ONLY3 0x0040f1000000ffffull
#define DOWN3 0x0040f7000000ffffull
#define CODE32_3 0x0040fb000000ffffull

static u64 segment(u64 kind, u64 base, u64 limit)
{
	return (kind & ~0xffffull) | (limit & 0xffff) | (base & 0xffffff) << 16 |
	       (base >> 24 & 0xff) << 56;
}

static u32 vector_of(const u8 *code)
{
	return fault_of_user32((void *)(u64)code).vector;
}

static void limits_hold_in_32_bit_code(void)
{
	gdt[GDT_FREE] = segment(DATA3, 0x200000, 0xfff);
	CHECK_EQ(vector_of(read_at_limit), TRAP_NONE);
	CHECK_EQ(vector_of(read_past_limit), TRAP_GP);
	gdt[GDT_FREE] = segment(DOWN3, 0x200000, 0xfff);
	CHECK_EQ(vector_of(expand_down), TRAP_GP);
}

static void a_stack_beyond_its_limit_is_a_stack_fault(void)
{
	gdt[GDT_FREE] = segment(DATA3, 0x200000, 0xfff);
	CHECK_EQ(vector_of(stack_past_limit), TRAP_SS);
}

static void read_only_segments_are(void)
{
	gdt[GDT_FREE] = segment(READ_ONLY3, 0x200000, 0xfff);
	CHECK_EQ(vector_of(read_at_limit), TRAP_NONE);
	CHECK_EQ(vector_of(write_read_only), TRAP_GP);
}

static void bases_count_in_32_bit_code(void)
{
	static u32 words[2] = { 1, 0xba5e };

	gdt[GDT_FREE] = segment(DATA3, (u64)words, 0xfff);
	CHECK_EQ(vector_of(read_by_base), TRAP_NONE);
	CHECK_EQ(segment_result, 0xba5e);
}

static void types_are_checked_at_the_load(void)
{
	gdt[GDT_FREE] = segment(CODE32_3, 0, 0xffff) & ~(2ull << 40); /* code that cannot be read */
	CHECK_EQ(vector_of(read_at_limit), TRAP_GP);
	gdt[GDT_FREE] = segment(DATA3, 0, 0xffff) & ~(3ull << 45); /* DPL 0 */
	CHECK_EQ(vector_of(read_at_limit), TRAP_GP);
	gdt[GDT_FREE] = 0;
	CHECK_EQ(vector_of(run_plain), TRAP_NONE);
}

static void descriptors_become_accessed(void)
{
	gdt[GDT_FREE] = segment(DATA3, 0x200000, 0xfff) & ~(1ull << 40);
	CHECK_EQ(vector_of(read_at_limit), TRAP_NONE);
	CHECK_EQ(gdt[GDT_FREE] >> 40 & 1, 1);
	gdt[GDT_FREE] = 0;
}

static void a_local_table(void)
{
	static u64 ldt[2];
	u64 base = (u64)ldt;
	u32 limit;

	ldt[1] = segment(0x0040f3000000ffffull, 0, 0x1234);
	gdt[GDT_FREE] = 15 | (base & 0xffffff) << 16 | 0x82ull << 40 | (base >> 24 & 0xff) << 56;
	gdt[GDT_FREE + 1] = base >> 32;
	__asm__ volatile("lldt %w0" ::"r"(SEL_FREE));
	__asm__ volatile("lsll %1, %0" : "=r"(limit) : "r"(8 | 4 | 3));
	CHECK_EQ(limit, 0x1234);
	__asm__ volatile("lldt %w0" ::"r"(0));
	gdt[GDT_FREE] = gdt[GDT_FREE + 1] = 0;
}

static void do_ltr(void *argument)
{
	__asm__ volatile("ltr %w0" ::"r"(argument));
}

static void a_task_register_cannot_be_loaded_twice(void)
{
	struct fault fault = fault_of(do_ltr, (void *)SEL_TSS); /* busy */

	CHECK_EQ(fault.vector, TRAP_GP);
	CHECK_EQ(fault.error, SEL_TSS);
}

u64 syscall_seen[3];

/* SYSCALL from CPL 3 lands here with the user's stack: notes what came, returns by SYSRET. */
extern u8 syscall_entry[];
__asm__(".text\n"
	"syscall_entry:\n"
	"	movq %rcx, syscall_seen\n"
	"	movq %r11, syscall_seen + 8\n"
	"	movq %cs, %rax\n"
	"	movq %rax, syscall_seen + 16\n"
	"	sysretq\n");

static void do_syscall(void *argument)
{
	(void)argument;
	__asm__ volatile("syscall" ::: "rax", "rcx", "r11", "memory");
}

static void syscall_and_sysret(void)
{
	wrmsr(MSR_STAR, (u64)(SEL_UCODE32 & ~3) << 48 | (u64)SEL_KCODE << 32);
	wrmsr(MSR_LSTAR, (u64)syscall_entry);
	wrmsr(MSR_SFMASK, RFLAGS_IF);
	CHECK_EQ(fault_of_user(do_syscall, NULL).vector, TRAP_NONE);
	CHECK_EQ(*(u16 *)(syscall_seen[0] - 2), 0x050f);
	CHECK(syscall_seen[1] & RFLAGS_IF);
	CHECK_EQ(syscall_seen[2], SEL_KCODE);
}

static void syscall_without_its_bit_is_ud(void)
{
	u64 efer = rdmsr(MSR_EFER);

	wrmsr(MSR_EFER, efer & ~(u64)EFER_SCE);
	CHECK_EQ(fault_of_user(do_syscall, NULL).vector, TRAP_UD);
	wrmsr(MSR_EFER, efer);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(limits_hold_in_32_bit_code),
	GUEST_TEST(a_stack_beyond_its_limit_is_a_stack_fault),
	GUEST_TEST(read_only_segments_are),
	GUEST_TEST(bases_count_in_32_bit_code),
	GUEST_TEST(types_are_checked_at_the_load),
	GUEST_TEST(descriptors_become_accessed),
	GUEST_TEST(a_local_table),
	GUEST_TEST(a_task_register_cannot_be_loaded_twice),
	GUEST_TEST(syscall_and_sysret),
	GUEST_TEST(syscall_without_its_bit_is_ud),
	GUEST_TESTS_END,
};
