// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * 16-bit code: real mode as firmware and boot loaders use it, and the ways in and out of it.
 */
#include "apic.h"
#include "cpu.h"
#include "modes.h"

/* What the 16-bit code leaves, at addresses that it reaches with segment 0. */
struct real_results {
	u32 sum, flags, cpuid_max, after_int, segment, string, stack, far_call, limit_vector, big,
		mode, irqs;
	u16 limit_ip;
};
LOW_DATA struct real_results real_results;
_Static_assert(offsetof(struct real_results, far_call) == 28, "the 16-bit code has this number");
_Static_assert(offsetof(struct real_results, irqs) == 44, "the 16-bit code has this number");
_Static_assert(offsetof(struct real_results, limit_ip) == 48, "the 16-bit code has this number");

extern const u8 real_arithmetic[], real_interrupts[], real_segments[], real_far[], real_strings[],
	real_limit[], real_limit_at[], real_unreal[], real_ports[], real_irq[];

/*
 * Offsets in struct real_results are plain numbers here: the assembler does not see the structure.
 */
__asm__(".section .low.test, \"awx\"\n"
	".code16\n"
	"results = real_results\n"
	"real_arithmetic:\n"
	"	movl $0x12345, %eax\n"
	"	addl $0x11111, %eax\n"
	"	movl %eax, results\n"
	"	xorl %eax, %eax\n"
	"	cpuid\n"
	"	movl %eax, results + 8\n"
	"	smsww %ax\n"
	"	movw %ax, results + 40\n"
	"	pushfl\n"
	"	popl results + 4\n"
	"	ret\n"

	"real_interrupts:\n"
	"	movw $1f, 4 * 0x60\n"
	"	movw $0, 4 * 0x60 + 2\n"
	"	movw %sp, %bx\n"
	"	int $0x60\n"
	"	subw %sp, %bx\n"
	"	movw %bx, results + 24\n"
	"	ret\n"
	"1:	movl $0x6060, results + 12\n"
	"	iret\n"

	"real_segments:\n"
	"	movw $0x9000, %ax\n"
	"	movw %ax, %es\n"
	"	movl $0x5e65e6, %es:0x10\n"
	"	movw $0x9001, %ax\n"
	"	movw %ax, %fs\n"
	"	movl %fs:0, %eax\n"
	"	movl %eax, results + 16\n"
	"	ret\n"

	"real_far:\n"
	"	lcall $0x10, $(1f - 0x100)\n"
	"	ret\n"
	"1:	movw %cs, %ax\n"
	"	movw %ax, results + 28\n"
	"	lret\n"

	"real_strings:\n"
	"	movw $0x9000, %ax\n"
	"	movw %ax, %es\n"
	"	xorw %di, %di\n"
	"	movw $64, %cx\n"
	"	movw $0x4142, %ax\n"
	"	rep stosw\n"
	"	movw $1f, %si\n"
	"	xorw %di, %di\n"
	"	movw $2, %cx\n"
	"	rep movsw\n"
	"	movl %es:0, %eax\n"
	"	addl %es:4, %eax\n"
	"	movl %eax, results + 20\n"
	"	ret\n"
	"1:	.long 0x01010101\n"

	/*
	 * A word at offset 0xffff is beyond the segment: interrupt 13, pointing to the instruction.
	 */
	"real_limit:\n"
	"	pushw 4 * 13\n"
	"	pushw 4 * 13 + 2\n"
	"	movw $1f, 4 * 13\n"
	"	movw $0, 4 * 13 + 2\n"
	"	movw $0xffff, %bx\n"
	"real_limit_at:\n"
	"	movw (%bx), %ax\n" /* two bytes */
	"	popw 4 * 13 + 2\n"
	"	popw 4 * 13\n"
	"	ret\n"
	"1:	pushw %bp\n"
	"	movw %sp, %bp\n"
	"	movw 2(%bp), %ax\n"
	"	movw %ax, results + 48\n"
	"	addw $2, 2(%bp)\n"
	"	popw %bp\n"
	"	movl $13, results + 32\n"
	"	iret\n"

	/* Big real mode: a limit of 4 GiB, loaded in protected mode, stays. */
	"real_unreal:\n"
	"	pushl %ebx\n"
	"	lgdtl low_gdt_pointer\n"
	"	movl %cr0, %eax\n"
	"	orb $1, %al\n"
	"	movl %eax, %cr0\n"
	"	movw $0x10, %bx\n"
	"	movw %bx, %ds\n"
	"	andb $0xfe, %al\n"
	"	movl %eax, %cr0\n"
	"	ljmp $0, $1f\n"
	"1:	xorw %bx, %bx\n"
	"	movw %bx, %ds\n"
	"	movl $0x00200000, %ebx\n"
	"	movl (%ebx), %eax\n"
	"	movl %eax, results + 36\n"
	/* back to the limit that real mode is used to */
	"	movl %cr0, %eax\n"
	"	orb $1, %al\n"
	"	movl %eax, %cr0\n"
	"	movw $0x40, %bx\n"
	"	movw %bx, %ds\n"
	"	andb $0xfe, %al\n"
	"	movl %eax, %cr0\n"
	"	ljmp $0, $1f\n"
	"1:	xorw %bx, %bx\n"
	"	movw %bx, %ds\n"
	"	popl %ebx\n"
	"	ret\n"

	"real_ports:\n"
	"	movw $0x3ff, %dx\n"
	"	movb $0x5d, %al\n"
	"	outb %al, %dx\n"
	"	xorb %al, %al\n"
	"	inb %dx, %al\n"
	"	movb %al, results\n"
	"	movw $0x9000, %ax\n"
	"	movw %ax, %es\n"
	"	movw $0x20, %di\n"
	"	movw $3, %cx\n"
	"	rep insb\n"
	"	movl %es:0x20, %eax\n"
	"	andl $0xffffff, %eax\n"
	"	movl %eax, results + 20\n"
	"	ret\n"

	/* The 8254's interrupt through the 8259 to vector 8, from HLT, as a BIOS waits for it. */
	"real_irq:\n"
	"	pushw 4 * 8\n"
	"	pushw 4 * 8 + 2\n"
	"	movw $1f, 4 * 8\n"
	"	movw $0, 4 * 8 + 2\n"
	"2:	sti\n"
	"	hlt\n"
	"	cli\n"
	"	cmpl $5, results + 44\n"
	"	jb 2b\n"
	"	popw 4 * 8 + 2\n"
	"	popw 4 * 8\n"
	"	ret\n"
	"1:	pushw %ax\n"
	"	incl results + 44\n"
	"	movb $0x20, %al\n"
	"	outb %al, $0x20\n"
	"	popw %ax\n"
	"	iret\n"
	".text\n.code64\n");

static void arithmetic_and_cpuid(void)
{
	u32 max = cpuid(0, 0).eax;

	real_call(real_arithmetic);
	CHECK_EQ(real_results.sum, 0x23456);
	CHECK_EQ(real_results.cpuid_max, max);
	CHECK_EQ(real_results.mode & 1, 0);
	CHECK_EQ(real_results.flags & RFLAGS_IF, 0);
}

static void an_interrupt_through_the_vector_table(void)
{
	real_call(real_interrupts);
	CHECK_EQ(real_results.after_int, 0x6060);
	CHECK_EQ(real_results.stack, 0);
}

static void segments_are_paragraphs(void)
{
	real_call(real_segments);
	CHECK_EQ(real_results.segment, 0x5e65e6);
	CHECK_EQ(*(volatile u32 *)0x90010, 0x5e65e6);
}

static void far_calls_and_returns(void)
{
	real_call(real_far);
	CHECK_EQ(real_results.far_call, 0x10);
}

static void strings(void)
{
	real_call(real_strings);
	CHECK_EQ(real_results.string, 0x01010101 + 0x41424142);
}

static void a_segment_ends_at_64_kib(void)
{
	real_call(real_limit);
	CHECK_EQ(real_results.limit_vector, 13);
	CHECK_EQ(real_results.limit_ip, (u16)(u64)real_limit_at);
}

static void big_real_mode(void)
{
	volatile u32 *word = (u32 *)0x200000;

	*word = 0xb16b16;
	real_call(real_unreal);
	CHECK_EQ(real_results.big, 0xb16b16);
}

static void ports_in_real_mode(void)
{
	real_call(real_ports);
	CHECK_EQ(real_results.sum & 0xff, 0x5d);
	CHECK_EQ(real_results.string, 0x5d5d5d);
}

static void the_timer_wakes_a_halted_bios(void)
{
	if (!has_pc_chips())
		return;
	pic_init(8);
	apic_write(APIC_LVT_LINT0, 0x700);
	pit_start(0, 2, 20000);
	outb(0x21, 0xfe);
	real_call(real_irq);
	pic_mask_all();
	outb(0x20, 0x20);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
	/* On a busy machine ticks that are owed come together. */
	CHECK(real_results.irqs >= 5);
}

static void in_and_out_many_times(void)
{
	u32 i;

	for (i = 0; i < 200; i++) {
		real_results.sum = 0;
		real_call(real_arithmetic);
		if (real_results.sum != 0x23456)
			break;
	}
	CHECK_EQ(i, 200);
	CHECK_EQ(this_cpu()->index, 0);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(arithmetic_and_cpuid),
	GUEST_TEST(an_interrupt_through_the_vector_table),
	GUEST_TEST(segments_are_paragraphs),
	GUEST_TEST(far_calls_and_returns),
	GUEST_TEST(strings),
	GUEST_TEST(a_segment_ends_at_64_kib),
	GUEST_TEST(big_real_mode),
	GUEST_TEST(ports_in_real_mode),
	GUEST_TEST(the_timer_wakes_a_halted_bios),
	GUEST_TEST(in_and_out_many_times),
	GUEST_TESTS_END,
};
