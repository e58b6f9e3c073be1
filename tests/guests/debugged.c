// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest for a debugger that sits outside of it (tests/system/gdb): places for its breakpoints,
 * watchpoints and steps. It checks that the debugger takes nothing away from it. Without one it
 * passes, too. Option wait=1: it goes round until the debugger sets `released`.
 */
#include "cpu.h"
#include "smp.h"

volatile u64 watched;
volatile u32 released;
volatile u64 turns;
static volatile u32 hits;

static __attribute__((noinline)) void marker(u64 number)
{
	__asm__ volatile("" ::"r"(number) : "memory");
}

static __attribute__((noinline)) void store(u64 value)
{
	watched = value;
}

static __attribute__((noinline)) u64 load(void)
{
	return watched;
}

static __attribute__((noinline)) void turn(void)
{
	turns++;
}

static __attribute__((noinline)) void other_cpu(void *argument)
{
	*(volatile u64 *)argument = this_cpu()->index;
}

/* Labels for each instruction; some of them leave the guest. Returns EFLAGS as pushed. */
u64 stepped(void);
__asm__(".text\n"
	".globl stepped, step_1, step_2, step_3, step_4, step_5, step_6, step_7, step_8\n"
	"stepped: pushq %rbx\n"
	"step_1: xorl %eax, %eax\n"
	"step_2: cpuid\n"
	"step_3: outb %al, $0x80\n"
	"step_4: movl $0x1b, %ecx\n"
	"step_5: rdmsr\n"
	"step_6: movabsl 0xfee00030, %eax\n" /* the local APIC's version */
	"step_7: popq %rbx\n"
	"step_8: ret\n");

static void on_breakpoint(struct trap_frame *frame)
{
	(void)frame;
	hits++;
}

static void steps_and_breakpoints(void)
{
	u64 version = stepped();

	CHECK(version != 0 && version != ~0u);
	marker(1);
	marker(2);
	marker(3);
}

static void its_own_breakpoints_are_its_own(void)
{
	hits = 0;
	trap_handle(TRAP_BP, on_breakpoint);
	__asm__ volatile("int3; int3" ::: "memory");
	trap_handle(TRAP_BP, NULL);
	CHECK_EQ(hits, 2);
}

static void its_own_steps_are_its_own(void)
{
	hits = 0;
	trap_handle(TRAP_DB, on_breakpoint);
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; nop\n"
			 "pushfq; andl $~0x100, (%%rsp); popfq" ::
				 : "memory", "cc");
	trap_handle(TRAP_DB, NULL);
	CHECK_EQ(hits, 5);
}

static void memory_to_watch(void)
{
	store(0x11);
	store(0x22);
	CHECK_EQ(load(), 0x22);
}

static void another_cpu(void)
{
	static volatile u64 answer;

	if (smp_start() < 2) {
		check_skip("one CPU");
		return;
	}
	smp_call(1, other_cpu, (void *)&answer);
	CHECK(smp_wait(1));
	CHECK_EQ(answer, 1);
}

static void released_by_the_debugger(void)
{
	if (!guest_option("wait", 0)) {
		check_skip("no debugger");
		return;
	}
	say("WAITING\n");
	while (!released)
		turn();
	CHECK_EQ(released, 7);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(steps_and_breakpoints),
	GUEST_TEST(its_own_breakpoints_are_its_own),
	GUEST_TEST(memory_to_watch),
	GUEST_TEST(its_own_steps_are_its_own),
	GUEST_TEST(another_cpu),
	GUEST_TEST(released_by_the_debugger),
	GUEST_TESTS_END,
};
