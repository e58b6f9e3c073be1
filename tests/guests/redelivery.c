// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events whose delivery faults under the guest's feet: the stack lies in RAM that nobody has
 * touched, so that the host has no page there yet. The event must come once, with the right frame,
 * whatever it is; nothing may be lost or doubled.
 */
#include "apic.h"
#include "cpu.h"
#include "paging.h"

#define VECTOR 0x40
#define STACK (2ull << 20) /* one huge page of the host each */

static volatile u32 taken;
static struct trap_frame seen;

static void on_event(struct trap_frame *frame)
{
	taken++;
	seen = *frame;
}

static void on_interrupt(struct trap_frame *frame)
{
	on_event(frame);
	apic_eoi();
}

/* The top of a stack in fresh memory, as the third IST stack of this CPU. */
static u64 fresh_stack(void)
{
	u64 top = (u64)pages_alloc(STACK / GUEST_PAGE_SIZE, STACK) + STACK;

	this_cpu()->tss.ist[2] = top;
	taken = 0;
	return top;
}

static bool on_stack(u64 top)
{
	u64 *saved_ss = (u64 *)(top - 8), *saved_rsp = (u64 *)(top - 16);

	return *saved_ss == seen.ss && *saved_rsp == seen.rsp;
}

static void use(u32 vector, trap_handler handler)
{
	trap_handle(vector, handler);
	trap_set_ist(vector, handler ? 3 : 0);
}

static void an_external_interrupt(void)
{
	u32 i;
	u64 top;

	use(VECTOR, on_interrupt);
	for (i = 0; i < 4; i++) {
		top = fresh_stack();
		apic_ipi_shorthand(ICR_SELF | VECTOR);
		cpu_window();
		cpu_window();
		CHECK_EQ(taken, 1);
		CHECK(on_stack(top));
		CHECK_EQ(seen.error, 0);
	}
	CHECK(!apic_bit(APIC_ISR, VECTOR));
	use(VECTOR, NULL);
}

static void an_interrupt_that_wakes_from_hlt(void)
{
	u64 top = fresh_stack();

	use(VECTOR, on_interrupt);
	apic_write(APIC_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, VECTOR);
	apic_write(APIC_INITIAL, 200000);
	while (!taken)
		cpu_halt();
	cpu_window();
	CHECK_EQ(taken, 1);
	CHECK(on_stack(top));
	apic_write(APIC_LVT_TIMER, LVT_MASKED);
	use(VECTOR, NULL);
}

static void int_n(void)
{
	u64 behind, top = fresh_stack();

	use(VECTOR, on_event);
	__asm__ volatile("leaq 1f(%%rip), %0; int $0x40; 1:" : "=&r"(behind)::"memory");
	CHECK_EQ(taken, 1);
	CHECK_EQ(seen.rip, behind);
	CHECK(on_stack(top));
	use(VECTOR, NULL);
}

static void int_n_with_prefixes(void)
{
	u64 behind, top = fresh_stack();

	use(VECTOR, on_event);
	__asm__ volatile("leaq 1f(%%rip), %0; .byte 0x66, 0x2e, 0xcd, 0x40; 1:"
			 : "=&r"(behind)::"memory");
	CHECK_EQ(taken, 1);
	CHECK_EQ(seen.rip, behind);
	CHECK(on_stack(top));
	use(VECTOR, NULL);
}

static void int3(void)
{
	u64 behind, top = fresh_stack();

	use(TRAP_BP, on_event);
	__asm__ volatile("leaq 1f(%%rip), %0; int3; 1:" : "=&r"(behind)::"memory");
	CHECK_EQ(taken, 1);
	CHECK_EQ(seen.rip, behind);
	CHECK(on_stack(top));
	use(TRAP_BP, NULL);
}

static void on_ud(struct trap_frame *frame)
{
	on_event(frame);
	frame->rip += 2;
}

static void a_fault_without_an_error_code(void)
{
	u64 at, top = fresh_stack();

	use(TRAP_UD, on_ud);
	__asm__ volatile("leaq 1f(%%rip), %0; 1: ud2" : "=&r"(at)::"memory");
	CHECK_EQ(taken, 1);
	CHECK_EQ(seen.rip, at);
	CHECK(on_stack(top));
	use(TRAP_UD, NULL);
}

static void on_pf(struct trap_frame *frame)
{
	on_event(frame);
	*page_entry(TEST_VA, 1) = (u64)page_alloc() | PTE_P | PTE_W;
}

static void a_page_fault_with_its_error_code_and_cr2(void)
{
	u64 top = fresh_stack();

	*page_entry(TEST_VA, 1) = 0;
	use(TRAP_PF, on_pf);
	*(volatile u32 *)(TEST_VA + 0x18) = 1;
	CHECK_EQ(taken, 1);
	CHECK_EQ(seen.error, PF_W);
	CHECK_EQ(read_cr2(), TEST_VA + 0x18);
	CHECK(on_stack(top));
	use(TRAP_PF, NULL);
}

static void on_gp(struct trap_frame *frame)
{
	on_event(frame);
	frame->rip += 2;
}

static void a_fault_that_the_host_raises(void)
{
	u64 top = fresh_stack();

	use(TRAP_GP, on_gp);
	__asm__ volatile("rdmsr" ::"c"(0xdeadbeef) : "rax", "rdx", "memory");
	CHECK_EQ(taken, 1);
	CHECK_EQ(seen.error, 0);
	CHECK(on_stack(top));
	use(TRAP_GP, NULL);
}

static void an_nmi(void)
{
	u64 top = fresh_stack();

	use(TRAP_NMI, on_event);
	apic_ipi(this_cpu()->apic_id, ICR_NMI | ICR_ASSERT);
	cpuid(0, 0);
	CHECK_EQ(taken, 1);
	CHECK(on_stack(top));
	/* The blocking ended with the handler's IRET: the next one comes. */
	fresh_stack();
	apic_ipi(this_cpu()->apic_id, ICR_NMI | ICR_ASSERT);
	cpuid(0, 0);
	CHECK_EQ(taken, 1);
	use(TRAP_NMI, NULL);
}

static void do_user_int(void *argument)
{
	(void)argument;
	__asm__ volatile("int $0x40");
}

static void an_event_that_changes_to_the_kernel_stack(void)
{
	u64 old = this_cpu()->tss.rsp[0], top = fresh_stack();

	trap_handle(VECTOR, on_event);
	trap_set_dpl(VECTOR, 3);
	this_cpu()->tss.rsp[0] = top;
	CHECK_EQ(fault_of_user(do_user_int, NULL).vector, TRAP_NONE);
	this_cpu()->tss.rsp[0] = old;
	CHECK_EQ(taken, 1);
	CHECK_EQ(seen.cs, SEL_UCODE);
	trap_set_dpl(VECTOR, 0);
	trap_handle(VECTOR, NULL);
}

static void do_ud_without_gates(void *argument)
{
	(void)argument;
	idt[TRAP_UD].type &= ~GATE_PRESENT;
	idt[TRAP_NP].type &= ~GATE_PRESENT;
	__asm__ volatile("ud2");
}

static void a_double_fault(void)
{
	struct fault fault;

	fresh_stack();
	trap_set_ist(TRAP_DF, 3);
	fault = fault_of(do_ud_without_gates, NULL);
	idt[TRAP_UD].type |= GATE_PRESENT;
	idt[TRAP_NP].type |= GATE_PRESENT;
	trap_set_ist(TRAP_DF, 0);
	CHECK_EQ(fault.vector, TRAP_DF);
	CHECK_EQ(fault.error, 0);
}

/* A second interrupt is pending while the first is delivered with a fault: both come, in order. */
static void two_interrupts_at_once(void)
{
	u64 top = fresh_stack();

	use(VECTOR, on_interrupt);
	trap_handle(VECTOR + 0x20, irq_count);
	this_cpu()->irqs[VECTOR + 0x20] = 0;
	apic_ipi_shorthand(ICR_SELF | VECTOR);
	apic_ipi_shorthand(ICR_SELF | (VECTOR + 0x20));
	cpu_sti();
	cpuid(0, 0);
	cpu_cli();
	CHECK_EQ(taken, 1);
	CHECK_EQ(this_cpu()->irqs[VECTOR + 0x20], 1);
	CHECK(on_stack(top));
	use(VECTOR, NULL);
}

static void an_idt_in_fresh_memory_is_an_empty_one(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) pointer = { 4095, (u64)pages_alloc(1, STACK) };
	u8 *table = (u8 *)pointer.base;

	/* All gates but #NP's, #GP's are absent; these two are all that is written. */
	__asm__ volatile("lidt %0" ::"m"(pointer));
	memcpy(table + 16 * TRAP_NP, &idt[TRAP_NP], 16);
	memcpy(table + 16 * TRAP_GP, &idt[TRAP_GP], 16);
	taken = 0;
	trap_handle(TRAP_NP, on_ud);
	trap_handle(TRAP_GP, on_ud);
	__asm__ volatile("ud2");
	trap_handle(TRAP_NP, NULL);
	trap_handle(TRAP_GP, NULL);
	trap_load_idt();
	CHECK_EQ(taken, 1);
	CHECK_EQ(seen.vector, TRAP_GP); /* the type is wrong before the P bit counts */
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(an_external_interrupt),
	GUEST_TEST(an_interrupt_that_wakes_from_hlt),
	GUEST_TEST(int_n),
	GUEST_TEST(int_n_with_prefixes),
	GUEST_TEST(int3),
	GUEST_TEST(a_fault_without_an_error_code),
	GUEST_TEST(a_page_fault_with_its_error_code_and_cr2),
	GUEST_TEST(a_fault_that_the_host_raises),
	GUEST_TEST(an_nmi),
	GUEST_TEST(an_event_that_changes_to_the_kernel_stack),
	GUEST_TEST(a_double_fault),
	GUEST_TEST(two_interrupts_at_once),
	GUEST_TEST(an_idt_in_fresh_memory_is_an_empty_one),
	GUEST_TESTS_END,
};
