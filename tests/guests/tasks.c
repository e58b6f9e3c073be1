// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Task switches of 32-bit protected mode: by CALL, JMP and IRET, and by task gates of an interrupt
 * and of an exception with an error code. AMD's processors make them in a guest, Intel's leave them
 * to the hypervisor.
 */
#include "cpu.h"
#include "modes.h"
#include "paging.h"
#include "trap.h"

struct tss32 {
	u32 link, stacks[6], cr3, eip, eflags;
	u32 eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u32 es, cs, ss, ds, fs, gs, ldt, trap;
};
_Static_assert(sizeof(struct tss32) == 104, "a TSS");

#define SEL_A SEL_FREE
#define SEL_B (SEL_FREE + 8)
#define SEL_AWAY (SEL_FREE + 16)
#define BUSY (2ull << 40)
#define PRESENT (1ull << 47)
#define FLAG_NT (1u << 14)
#define STACK_WORDS 64

struct seen {
	u32 count, flags, tr, cr0, cr3, error, link, ebx_after, fs;
};
struct seen task_seen;
struct tss32 task_a, task_b;
struct {
	u16 limit;
	u32 base;
} __attribute__((packed)) task_idtr;

static u64 idt32[0x81];
static u32 stack_b[STACK_WORDS];

extern const u8 run_call[], run_jump[], run_int[], run_fault[], body_iret[], body_jump[],
	body_fault[];

/* Task A is what was called from long mode; B is entered at body_*. 0x48 is A, 0x50 B. */
__asm__(".text\n"
	".code32\n"
	".macro in_task_a\n"
	"	pushl %ebx\n"
	"	movl $0x48, %eax\n"
	"	ltr %ax\n"
	"	lidt task_idtr\n"
	"	movl $0xaaaa, %ebx\n"
	".endm\n"
	".macro back_in_a\n"
	"	movl %ebx, task_seen + 28\n"
	"	popl %ebx\n"
	"	ret\n"
	".endm\n"
	"run_call:\n"
	"	in_task_a\n"
	"	lcall $0x50, $0\n"
	"	lcall $0x50, $0\n"
	"	back_in_a\n"
	"run_jump:\n"
	"	in_task_a\n"
	"	ljmp $0x50, $0\n"
	"	back_in_a\n"
	"run_int:\n"
	"	in_task_a\n"
	"	int $0x80\n"
	"	back_in_a\n"
	"run_fault:\n"
	"	in_task_a\n"
	"	movl $0x58, %eax\n"
	"	movl %eax, %fs\n" /* two bytes; #NP, and B moves A behind it */
	"	back_in_a\n"
	".macro look\n"
	"	incl task_seen\n"
	"	pushfl\n"
	"	popl task_seen + 4\n"
	"	str task_seen + 8\n"
	"	movl %cr0, %eax\n"
	"	movl %eax, task_seen + 12\n"
	"	movl %cr3, %eax\n"
	"	movl %eax, task_seen + 16\n"
	"	movl task_b, %eax\n"
	"	movl %eax, task_seen + 24\n"
	"	movl $0xbbbb, %ebx\n"
	"	clts\n"
	".endm\n"
	"body_iret:\n"
	"	look\n"
	"	iretl\n"
	"	jmp body_iret\n"
	"body_jump:\n"
	"	look\n"
	"	ljmp $0x48, $0\n"
	"body_fault:\n"
	"	look\n"
	"	popl task_seen + 20\n"
	"	addl $2, task_a + 0x20\n"
	"	iretl\n"
	".code64\n");

static u64 tss_descriptor(const struct tss32 *tss)
{
	u64 base = (u64)tss;

	return 103 | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
}

static u64 task_gate(u16 sel)
{
	return (u64)sel << 16 | 0xe5ull << 40; /* DPL 3 */
}

/* Runs 32-bit code as task A; then the long mode's own TSS is back. */
static void call_as_a(const u8 *code, u32 cr3, u32 cr4)
{
	gdt[SEL_A / 8] = tss_descriptor(&task_a);
	gdt[SEL_B / 8] = tss_descriptor(&task_b);
	protected_call(code, cr3, cr4);
	gdt[GDT_TSS] &= ~BUSY;
	__asm__ volatile("clts\n\tltr %w0" ::"r"(SEL_TSS));
}

/* The same with B at a body of its own; B's registers are its TSS's. */
static void run(const u8 *code, const u8 *body, u32 cr3, u32 cr4)
{
	gdt[SEL_AWAY / 8] = 0x00cf92000000ffffull & ~PRESENT;
	idt32[0x80] = idt32[TRAP_NP] = task_gate(SEL_B);
	task_idtr.limit = sizeof(idt32) - 1;
	task_idtr.base = (u32)(u64)idt32;
	task_a = (struct tss32){ .cr3 = cr3 };
	task_b = (struct tss32){
		.cr3 = cr3,
		.eip = (u32)(u64)body,
		.eflags = 2,
		.esp = (u32)(u64)(stack_b + STACK_WORDS),
		.es = SEL_KDATA,
		.cs = SEL_KCODE32,
		.ss = SEL_KDATA,
		.ds = SEL_KDATA,
		.gs = SEL_KDATA,
	};
	task_seen = (struct seen){ 0 };
	call_as_a(code, cr3, cr4);
}

static void check_seen(u32 count, bool nested)
{
	CHECK_EQ(task_seen.count, count);
	CHECK_EQ(task_seen.tr, SEL_B);
	CHECK_EQ(task_seen.cr0 & CR0_TS, CR0_TS);
	CHECK_EQ(task_seen.flags & FLAG_NT, nested ? FLAG_NT : 0);
	CHECK_EQ(task_seen.link & 0xffff, nested ? SEL_A : 0);
	CHECK_EQ(task_seen.ebx_after, 0xaaaa);
	CHECK_EQ(gdt[SEL_A / 8] & BUSY, BUSY);
	CHECK_EQ(gdt[SEL_B / 8] & BUSY, 0);
	CHECK_EQ(task_b.ebx, 0xbbbb);
	CHECK_EQ(task_b.eflags & FLAG_NT, 0);
}

static void call_and_iret(void)
{
	run(run_call, body_iret, 0, 0);
	check_seen(2, true);
}

static void jump_and_jump(void)
{
	run(run_jump, body_jump, 0, 0);
	check_seen(1, false);
}

static void an_interrupt_by_a_task_gate(void)
{
	run(run_int, body_iret, 0, 0);
	check_seen(1, true);
}

static void an_exception_with_an_error_code(void)
{
	run(run_fault, body_fault, 0, 0);
	check_seen(1, true);
	CHECK_EQ(task_seen.error, SEL_AWAY);
}

static void with_paging_each_task_has_its_tables(void)
{
	u32 *one = page_alloc(), *other = page_alloc();
	u32 i;

	for (i = 0; i < 16; i++)
		one[i] = other[i] = i << 22 | 0x83;
	run(run_call, body_iret, (u32)(u64)one, CR4_PSE);
	check_seen(2, true);
	CHECK_EQ(task_seen.cr3, (u32)(u64)one);
	/* B's tables are in its TSS alone, which run() has filled in: a second run, by hand */
	task_b.cr3 = (u32)(u64)other;
	call_as_a(run_call, (u32)(u64)one, CR4_PSE);
	CHECK_EQ(task_seen.count, 4);
	CHECK_EQ(task_seen.cr3, (u32)(u64)other);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(call_and_iret),
	GUEST_TEST(jump_and_jump),
	GUEST_TEST(an_interrupt_by_a_task_gate),
	GUEST_TEST(an_exception_with_an_error_code),
	GUEST_TEST(with_paging_each_task_has_its_tables),
	GUEST_TESTS_END,
};
