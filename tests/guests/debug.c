// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Single step, breakpoints, watchpoints: also over instructions that leave the guest.
 */
#include "cpu.h"
#include "paging.h"
#include "smp.h"

#define DR6_B0 (1u << 0)
#define DR6_BD (1u << 13)
#define DR6_BS (1u << 14)

#define DR7_L(n) (1u << 2 * (n))
#define DR7_GD (1u << 13)
#define DR7_RW(n, value) ((u64)(value) << (16 + 4 * (n)))
#define DR7_LEN(n, code) ((u64)(code) << (18 + 4 * (n)))
#define DR7_BASE 0x400
#define RW_EXECUTE 0
#define RW_WRITE 1
#define RW_IO 2
#define RW_ANY 3
#define LEN_4 3

static u64 steps[32], step_dr6[32];
static volatile u32 hits;

static void on_debug(struct trap_frame *frame)
{
	if (hits < ARRAY_SIZE(steps)) {
		steps[hits] = frame->rip;
		step_dr6[hits] = read_dr6();
	}
	hits++;
	write_dr6(0xffff0ff0);
}

/* An instruction breakpoint is a fault: RF lets the instruction run once. */
static void on_breakpoint(struct trap_frame *frame)
{
	on_debug(frame);
	frame->rflags |= RFLAGS_RF;
}

static void begin(trap_handler handler)
{
	hits = 0;
	write_dr6(0xffff0ff0);
	trap_handle(TRAP_DB, handler);
}

static void end(void)
{
	write_dr7(DR7_BASE);
	trap_handle(TRAP_DB, NULL);
}

/*
 * Steps through CODE, which has the labels 1 to 3 behind its instructions; TF goes on before and
 * off behind.
 */
#define STEP(labels, code, ...)                                                           \
	__asm__ volatile("leaq 1f(%%rip), %%rax; movq %%rax, %0; leaq 2f(%%rip), %%rax\n" \
			 "movq %%rax, 8+%0; leaq 3f(%%rip), %%rax; movq %%rax, 16+%0\n"   \
			 "xorl %%eax, %%eax; xorl %%ecx, %%ecx\n"                         \
			 "pushfq; orl $0x100, (%%rsp); popfq\n" code                      \
			 "pushfq; andl $~0x100, (%%rsp); popfq\n"                         \
			 : "+m"(labels)                                                   \
			 : __VA_ARGS__                                                    \
			 : "rax", "rbx", "rcx", "rdx", "memory", "cc")

struct labels {
	u64 at[3];
};

static void a_step_an_instruction(void)
{
	struct labels labels;

	begin(on_debug);
	STEP(labels, "nop; 1: incl %%eax; 2: nop; 3:\n", "r"(0));
	end();
	CHECK_EQ(hits, 6); /* three and the way out */
	CHECK_EQ(steps[0], labels.at[0]);
	CHECK_EQ(steps[1], labels.at[1]);
	CHECK_EQ(steps[2], labels.at[2]);
	CHECK_EQ(step_dr6[0] & (DR6_BS | 15), DR6_BS);
}

static void steps_over_instructions_that_exit(void)
{
	struct labels labels;

	begin(on_debug);
	STEP(labels, "cpuid; 1: movl $0x3f, %%edx; 2: inb $0x61, %%al; 3:\n", "r"(0));
	end();
	CHECK_EQ(hits, 6);
	CHECK_EQ(steps[0], labels.at[0]);
	CHECK_EQ(steps[1], labels.at[1]);
	CHECK_EQ(steps[2], labels.at[2]);
}

static void steps_over_msrs_and_mmio(void)
{
	struct labels labels;

	begin(on_debug);
	STEP(labels, "movl $0x1b, %%ecx; 1: rdmsr; 2: movl (%1), %%eax; 3:\n", "r"(0xfee00020ull));
	end();
	CHECK_EQ(hits, 6);
	CHECK_EQ(steps[1], labels.at[1]);
	CHECK_EQ(steps[2], labels.at[2]);
}

static void mov_ss_swallows_a_step(void)
{
	struct labels labels;

	begin(on_debug);
	STEP(labels, "movl %%ss, %%eax; 1: movl %%eax, %%ss; 2: nop; 3:\n", "r"(0));
	end();
	CHECK_EQ(hits, 5);
	CHECK_EQ(steps[0], labels.at[0]);
	CHECK_EQ(steps[1], labels.at[2]);
}

static void a_repeated_string_steps_each_time(void)
{
	static u8 from[4], to[4];
	struct labels labels;
	u64 source = (u64)from, target = (u64)to;

	begin(on_debug);
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); movl $3, %%ecx; popfq; rep movsb\n"
			 "1: pushfq; andl $~0x100, (%%rsp); popfq; leaq 1b(%%rip), %0"
			 : "=r"(labels.at[0]), "+S"(source), "+D"(target)::"rcx", "memory", "cc");
	end();
	CHECK_EQ(hits, 6);
	CHECK_EQ(steps[2], labels.at[0]);
	CHECK(steps[0] != labels.at[0]);
}

static void int_n_clears_tf_in_the_handler(void)
{
	begin(on_debug);
	trap_handle(0x40, on_debug);
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; int $0x40; nop; pushfq; andl "
			 "$~0x100, (%%rsp); popfq" ::
				 : "memory", "cc");
	trap_handle(0x40, NULL);
	end();
	CHECK_EQ(hits, 5); /* the handler itself, then nop, pushfq, andl, popfq */
}

static u8 breakpoint_code[] __attribute__((section(".text#"))) = { 0x90, 0x90, 0xc3 };

static void instruction_breakpoints(void)
{
	begin(on_breakpoint);
	write_dr1((u64)breakpoint_code + 1);
	write_dr7(DR7_BASE | DR7_L(1) | DR7_RW(1, RW_EXECUTE));
	((void (*)(void))breakpoint_code)();
	((void (*)(void))breakpoint_code)();
	end();
	CHECK_EQ(hits, 2);
	CHECK_EQ(steps[0], (u64)breakpoint_code + 1);
	CHECK_EQ(step_dr6[0] & 15, 2);
}

static volatile u32 watched[4] __attribute__((aligned(16)));

static void write_watchpoints(void)
{
	begin(on_debug);
	write_dr0((u64)&watched[1]);
	write_dr7(DR7_BASE | DR7_L(0) | DR7_RW(0, RW_WRITE) | DR7_LEN(0, LEN_4));
	watched[0] = 1;
	CHECK_EQ(hits, 0);
	(void)watched[1];
	CHECK_EQ(hits, 0);
	watched[1] = 2;
	CHECK_EQ(hits, 1);
	*((volatile u8 *)&watched[1] + 3) = 1;
	CHECK_EQ(hits, 2);
	watched[2] = 3;
	end();
	CHECK_EQ(hits, 2);
	CHECK_EQ(step_dr6[0] & 15, DR6_B0);
}

static void access_watchpoints(void)
{
	begin(on_debug);
	write_dr3((u64)&watched[3]);
	write_dr7(DR7_BASE | DR7_L(3) | DR7_RW(3, RW_ANY) | DR7_LEN(3, LEN_4));
	(void)watched[3];
	CHECK_EQ(hits, 1);
	watched[3] = 1;
	end();
	CHECK_EQ(hits, 2);
	CHECK_EQ(step_dr6[0] & 15, 8);
}

static void port_watchpoints(void)
{
	u64 cr4 = read_cr4();

	begin(on_debug);
	write_cr4(cr4 | CR4_DE);
	write_dr2(0x80);
	write_dr7(DR7_BASE | DR7_L(2) | DR7_RW(2, RW_IO));
	outb(0x80, 0);
	inb(0x61);
	end();
	write_cr4(cr4);
	CHECK_EQ(hits, 1);
	CHECK_EQ(step_dr6[0] & 15, 4);
}

static void debug_registers_live_over_exits(void)
{
	write_dr0(0x1111);
	write_dr1(0x2222);
	write_dr2(0x3333);
	write_dr3(0x4444);
	cpuid(0, 0);
	inb(0x61);
	outb(0x80, 1);
	CHECK_EQ(read_dr0(), 0x1111);
	CHECK_EQ(read_dr1(), 0x2222);
	CHECK_EQ(read_dr2(), 0x3333);
	CHECK_EQ(read_dr3(), 0x4444);
	CHECK_EQ(read_dr7(), DR7_BASE);
}

static void do_read_dr0(void *argument)
{
	(void)argument;
	read_dr0();
}

static void general_detect(void)
{
	struct fault fault;

	write_dr6(0xffff0ff0);
	write_dr7(DR7_BASE | DR7_GD);
	fault = fault_of(do_read_dr0, NULL);
	CHECK_EQ(fault.vector, TRAP_DB);
	CHECK(fault.dr6 & DR6_BD);
	CHECK_EQ(read_dr7() & DR7_GD, 0); /* cleared by the delivery */
	write_dr7(DR7_BASE);
}

static void do_read_dr4(void *argument)
{
	(void)argument;
	__asm__ volatile(".byte 0x0f, 0x21, 0xe0" ::: "rax"); /* mov %dr4, %rax */
}

static void dr4_is_dr6_or_undefined(void)
{
	u64 cr4 = read_cr4();

	CHECK_EQ(fault_of(do_read_dr4, NULL).vector, TRAP_NONE);
	write_cr4(cr4 | CR4_DE);
	CHECK_EQ(fault_of(do_read_dr4, NULL).vector, TRAP_UD);
	write_cr4(cr4);
}

static void do_bad_dr7(void *argument)
{
	(void)argument;
	write_dr7(1ull << 32 | DR7_BASE);
}

static void upper_halves_are_gp(void)
{
	CHECK_EQ(fault_of(do_bad_dr7, NULL).vector, TRAP_GP);
}

static void do_step_user(void *argument)
{
	(void)argument;
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; nop" ::: "memory", "cc");
}

static void a_step_in_user_code(void)
{
	struct fault fault = fault_of_user(do_step_user, NULL);

	CHECK_EQ(fault.vector, TRAP_DB);
	CHECK_EQ(*(u8 *)(fault.rip - 1), 0x90);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(a_step_an_instruction),
	GUEST_TEST(steps_over_instructions_that_exit),
	GUEST_TEST(steps_over_msrs_and_mmio),
	GUEST_TEST(mov_ss_swallows_a_step),
	GUEST_TEST(a_repeated_string_steps_each_time),
	GUEST_TEST(int_n_clears_tf_in_the_handler),
	GUEST_TEST(instruction_breakpoints),
	GUEST_TEST(write_watchpoints),
	GUEST_TEST(access_watchpoints),
	GUEST_TEST(port_watchpoints),
	GUEST_TEST(debug_registers_live_over_exits),
	GUEST_TEST(general_detect),
	GUEST_TEST(dr4_is_dr6_or_undefined),
	GUEST_TEST(upper_halves_are_gp),
	GUEST_TEST(a_step_in_user_code),
	GUEST_TESTS_END,
};
