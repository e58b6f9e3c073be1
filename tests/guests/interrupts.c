// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Interrupts on one CPU: priorities, shadows, windows, halts and NMIs. None may be lost, none may
 * come twice.
 */
#include "apic.h"
#include "cpu.h"

#define LOW_VECTOR 0x40
#define MID_VECTOR 0x60
#define HIGH_VECTOR 0x80

static u8 order[64];
static volatile u32 taken;

static void note(u8 what)
{
	order[taken % sizeof(order)] = what;
	taken++;
}

static void on_vector(struct trap_frame *frame)
{
	note((u8)frame->vector);
	apic_eoi();
}

static void take_vectors(trap_handler handler)
{
	trap_handle(LOW_VECTOR, handler);
	trap_handle(MID_VECTOR, handler);
	trap_handle(HIGH_VECTOR, handler);
	taken = 0;
}

static void send_self(u32 vector)
{
	apic_ipi_shorthand(ICR_SELF | ICR_ASSERT | vector);
}

static void a_self_ipi_comes_once(void)
{
	u32 i;

	take_vectors(on_vector);
	for (i = 1; i <= 1000; i++) {
		send_self(LOW_VECTOR);
		cpu_window();
		if (taken != i)
			break;
	}
	CHECK_EQ(taken, 1000);
	cpu_window();
	CHECK_EQ(taken, 1000);
}

static void it_waits_for_if(void)
{
	take_vectors(on_vector);
	send_self(LOW_VECTOR);
	cpuid(0, 0);
	CHECK_EQ(taken, 0);
	CHECK(apic_bit(APIC_IRR, LOW_VECTOR));
	cpu_window();
	CHECK_EQ(taken, 1);
	CHECK(!apic_bit(APIC_IRR, LOW_VECTOR));
	CHECK(!apic_bit(APIC_ISR, LOW_VECTOR));
}

static void two_of_one_vector_are_one(void)
{
	take_vectors(on_vector);
	send_self(LOW_VECTOR);
	send_self(LOW_VECTOR);
	cpu_sti();
	cpuid(0, 0);
	cpuid(0, 0);
	cpu_cli();
	CHECK_EQ(taken, 1);
}

static void the_higher_priority_comes_first(void)
{
	take_vectors(on_vector);
	send_self(LOW_VECTOR);
	send_self(HIGH_VECTOR);
	send_self(MID_VECTOR);
	cpu_sti();
	cpuid(0, 0);
	cpuid(0, 0);
	cpu_cli();
	CHECK_EQ(taken, 3);
	CHECK_EQ(order[0], HIGH_VECTOR);
	CHECK_EQ(order[1], MID_VECTOR);
	CHECK_EQ(order[2], LOW_VECTOR);
}

/* In the handler of the middle one: the higher interrupts it, the lower waits for its end. */
static void on_nested(struct trap_frame *frame)
{
	note((u8)frame->vector);
	if (frame->vector == MID_VECTOR) {
		send_self(LOW_VECTOR);
		send_self(HIGH_VECTOR);
		cpu_sti();
		cpuid(0, 0);
		cpu_cli();
		note(1);
	}
	apic_eoi();
}

static void a_higher_one_nests_and_a_lower_one_waits(void)
{
	take_vectors(on_nested);
	send_self(MID_VECTOR);
	cpu_sti();
	cpuid(0, 0);
	cpu_cli();
	CHECK_EQ(taken, 4);
	CHECK_EQ(order[0], MID_VECTOR);
	CHECK_EQ(order[1], HIGH_VECTOR);
	CHECK_EQ(order[2], 1);
	CHECK_EQ(order[3], LOW_VECTOR);
}

static void in_service_shows_in_isr_and_ppr_inner(struct trap_frame *frame)
{
	CHECK(apic_bit(APIC_ISR, (u32)frame->vector));
	CHECK_EQ(apic_read(APIC_PPR) & 0xf0, MID_VECTOR & 0xf0);
	note((u8)frame->vector);
	apic_eoi();
	CHECK(!apic_bit(APIC_ISR, (u32)frame->vector));
	CHECK_EQ(apic_read(APIC_PPR) & 0xf0, 0);
}

static void in_service_shows_in_isr_and_ppr(void)
{
	take_vectors(in_service_shows_in_isr_and_ppr_inner);
	send_self(MID_VECTOR);
	cpu_window();
	CHECK_EQ(taken, 1);
}

static void cr8_holds_back_what_is_not_above(void)
{
	take_vectors(on_vector);
	write_cr8(6);
	send_self(LOW_VECTOR);
	send_self(MID_VECTOR);
	send_self(HIGH_VECTOR);
	cpu_sti();
	cpuid(0, 0);
	CHECK_EQ(taken, 1);
	CHECK_EQ(order[0], HIGH_VECTOR);
	write_cr8(5);
	cpuid(0, 0);
	CHECK_EQ(taken, 2);
	write_cr8(0);
	cpuid(0, 0);
	cpu_cli();
	CHECK_EQ(taken, 3);
	CHECK_EQ(order[2], LOW_VECTOR);
}

static void cr8_and_tpr_are_one(void)
{
	write_cr8(7);
	CHECK_EQ(apic_read(APIC_TPR), 0x70);
	apic_write(APIC_TPR, 0x35);
	CHECK_EQ(read_cr8(), 3);
	CHECK_EQ(apic_read(APIC_TPR), 0x35);
	write_cr8(0);
	CHECK_EQ(apic_read(APIC_TPR), 0);
}

static void tpr_by_its_register_holds_back_too(void)
{
	take_vectors(on_vector);
	apic_write(APIC_TPR, 0x80);
	send_self(HIGH_VECTOR);
	cpu_sti();
	cpuid(0, 0);
	CHECK_EQ(taken, 0);
	apic_write(APIC_TPR, 0x7f);
	cpuid(0, 0);
	cpu_cli();
	CHECK_EQ(taken, 1);
	apic_write(APIC_TPR, 0);
}

static u64 interrupted_at;

static void on_where(struct trap_frame *frame)
{
	interrupted_at = frame->rip;
	note((u8)frame->vector);
	apic_eoi();
}

static void sti_delays_by_one_instruction(void)
{
	u64 before, behind;

	take_vectors(on_where);
	send_self(LOW_VECTOR);
	__asm__ volatile("leaq 1f(%%rip), %0; leaq 2f(%%rip), %1; sti; 1: nop; 2: nop; nop; cli"
			 : "=&r"(before), "=&r"(behind)::"memory");
	CHECK_EQ(taken, 1);
	CHECK(interrupted_at != before);
	CHECK_EQ(interrupted_at, behind);
}

static void sti_cli_opens_no_window(void)
{
	take_vectors(on_vector);
	send_self(LOW_VECTOR);
	__asm__ volatile("sti; cli" ::: "memory");
	CHECK_EQ(taken, 0);
	cpu_window();
	CHECK_EQ(taken, 1);
}

static void an_exit_in_the_shadow_does_not_end_it(void)
{
	u64 inside, behind;

	take_vectors(on_where);
	send_self(LOW_VECTOR);
	__asm__ volatile("leaq 1f(%%rip), %0; leaq 2f(%%rip), %1; xorl %%eax, %%eax; sti; 1: "
			 "cpuid; 2: nop; cli"
			 : "=&r"(inside), "=&r"(behind)::"rax", "rbx", "rcx", "rdx", "memory");
	CHECK_EQ(taken, 1);
	CHECK_EQ(interrupted_at, behind);
}

static void popf_and_iret_open_at_once(void)
{
	take_vectors(on_vector);
	send_self(LOW_VECTOR);
	write_flags(read_flags() | RFLAGS_IF);
	cpuid(0, 0);
	cpu_cli();
	CHECK_EQ(taken, 1);
}

static void hlt_ends_by_an_interrupt_and_goes_on_behind(void)
{
	u64 behind;

	take_vectors(on_where);
	send_self(LOW_VECTOR);
	__asm__ volatile("leaq 1f(%%rip), %0; sti; hlt; 1: cli" : "=&r"(behind)::"memory");
	CHECK_EQ(taken, 1);
	CHECK_EQ(interrupted_at, behind);
}

static volatile u32 nmis;
static volatile u32 nmi_depth, nmi_deepest;

static void on_nmi(struct trap_frame *frame)
{
	(void)frame;
	nmis++;
	nmi_depth++;
	if (nmi_depth > nmi_deepest)
		nmi_deepest = nmi_depth;
	if (nmis == 1) {
		apic_ipi(this_cpu()->apic_id, ICR_NMI | ICR_ASSERT);
		cpuid(0, 0);
		cpuid(0, 0);
	}
	nmi_depth--;
}

static void an_nmi_comes_with_interrupts_off(void)
{
	nmis = 1; /* so that the handler sends none */
	trap_handle(TRAP_NMI, on_nmi);
	apic_ipi(this_cpu()->apic_id, ICR_NMI | ICR_ASSERT);
	cpuid(0, 0);
	CHECK_EQ(nmis, 2);
	trap_handle(TRAP_NMI, NULL);
}

static void a_second_nmi_waits_for_iret(void)
{
	nmis = nmi_depth = nmi_deepest = 0;
	trap_handle(TRAP_NMI, on_nmi);
	apic_ipi(this_cpu()->apic_id, ICR_NMI | ICR_ASSERT);
	cpuid(0, 0);
	cpuid(0, 0);
	CHECK_EQ(nmis, 2);
	CHECK_EQ(nmi_deepest, 1);
	trap_handle(TRAP_NMI, NULL);
}

static u32 fault_in_nmi;

static void do_ud(void *argument)
{
	(void)argument;
	__asm__ volatile("ud2");
}

static void skip_ud(struct trap_frame *frame)
{
	fault_in_nmi++;
	frame->rip += 2;
}

/*
 * The fault's IRET ends the blocking early: that is what the hardware does. The NMI must come then,
 * once.
 */
static void on_nmi_with_fault(struct trap_frame *frame)
{
	(void)frame;
	nmis++;
	if (nmis > 1)
		return;
	apic_ipi(this_cpu()->apic_id, ICR_NMI | ICR_ASSERT);
	cpuid(0, 0);
	CHECK_EQ(nmis, 1);
	do_ud(NULL);
	cpuid(0, 0);
	CHECK_EQ(nmis, 2);
}

static void iret_of_an_inner_fault_ends_the_blocking(void)
{
	nmis = fault_in_nmi = 0;
	trap_handle(TRAP_NMI, on_nmi_with_fault);
	trap_handle(TRAP_UD, skip_ud);
	apic_ipi(this_cpu()->apic_id, ICR_NMI | ICR_ASSERT);
	cpuid(0, 0);
	CHECK_EQ(nmis, 2);
	CHECK_EQ(fault_in_nmi, 1);
	trap_handle(TRAP_NMI, NULL);
	trap_handle(TRAP_UD, NULL);
}

static void hlt_ends_by_an_nmi_with_interrupts_off(void)
{
	if (!has_pc_chips())
		return;
	nmis = 1;
	trap_handle(TRAP_NMI, on_nmi);
	/*
	 * The 8254's interrupt, sent by the I/O APIC as an NMI: it comes while the CPU halts with
	 * IF clear.
	 */
	ioapic_route(machine.gsi[0], this_cpu()->apic_id, ICR_NMI | LOW_VECTOR);
	pit_start(0, 0, 20000);
	__asm__ volatile("hlt" ::: "memory");
	CHECK_EQ(nmis, 2);
	ioapic_route(machine.gsi[0], 0, IOAPIC_MASKED);
	trap_handle(TRAP_NMI, NULL);
}

static void int_n_needs_no_if_and_no_eoi(void)
{
	u32 before = taken;

	trap_handle(LOW_VECTOR, on_where);
	__asm__ volatile("int $0x40" ::: "memory");
	CHECK_EQ(taken, before + 1);
}

static void a_disabled_apic_delivers_nothing(void)
{
	take_vectors(on_vector);
	apic_write(APIC_SPIV, 0xff); /* software disable */
	send_self(LOW_VECTOR);
	cpu_window();
	cpuid(0, 0);
	CHECK_EQ(taken, 0);
	CHECK_EQ(apic_read(APIC_LVT_TIMER) & LVT_MASKED, LVT_MASKED);
	apic_write(APIC_SPIV, 0x1ff);
	send_self(LOW_VECTOR);
	cpu_window();
	CHECK(taken >= 1);
}

static void a_bad_vector_is_an_apic_error(void)
{
	take_vectors(on_vector);
	trap_handle(5, on_vector);
	apic_write(APIC_ESR, 0);
	apic_write(APIC_ESR, 0);
	send_self(5);
	cpu_window();
	apic_write(APIC_ESR, 0);
	trap_handle(5, NULL);
	CHECK_EQ(taken, 0);
	CHECK_EQ(apic_read(APIC_ESR) & 0x60, 0x20); /* sent an illegal vector */
	apic_write(APIC_ESR, 0);
}

static void the_same_by_x2apic(void)
{
	u64 id;

	if (!apic_has_x2()) {
		check_skip("no x2APIC");
		return;
	}
	apic_set_x2(true);
	CHECK_EQ(try_rdmsr(MSR_X2APIC + APIC_ID / 16, &id), TRAP_NONE);
	CHECK_EQ(id, this_cpu()->apic_id);
	take_vectors(on_vector);
	wrmsr(MSR_X2APIC + APIC_SELF_IPI / 16, LOW_VECTOR);
	send_self(HIGH_VECTOR);
	cpu_sti();
	cpuid(0, 0);
	cpuid(0, 0);
	cpu_cli();
	CHECK_EQ(taken, 2);
	CHECK_EQ(order[0], HIGH_VECTOR);
	CHECK_EQ(try_wrmsr(MSR_X2APIC + APIC_EOI / 16, 1), TRAP_GP);
	CHECK_EQ(try_wrmsr(MSR_X2APIC + APIC_ID / 16, 0), TRAP_GP);
	CHECK_EQ(try_rdmsr(MSR_X2APIC + APIC_EOI / 16, &id), TRAP_GP);
	CHECK_EQ(try_rdmsr(MSR_X2APIC + APIC_ICR2 / 16, &id), TRAP_GP);
	apic_set_x2(false);
	CHECK_EQ(try_rdmsr(MSR_X2APIC + APIC_ID / 16, &id), TRAP_GP);
}

/* Processors may deliver and end interrupts by themselves in this mode. */
static void in_x2apic_mode_priorities_and_windows_are_the_same(void)
{
	if (!apic_has_x2()) {
		check_skip("no x2APIC");
		return;
	}
	apic_set_x2(true);
	a_self_ipi_comes_once();
	it_waits_for_if();
	two_of_one_vector_are_one();
	the_higher_priority_comes_first();
	a_higher_one_nests_and_a_lower_one_waits();
	in_service_shows_in_isr_and_ppr();
	cr8_holds_back_what_is_not_above();
	cr8_and_tpr_are_one();
	tpr_by_its_register_holds_back_too();
	sti_delays_by_one_instruction();
	sti_cli_opens_no_window();
	an_exit_in_the_shadow_does_not_end_it();
	popf_and_iret_open_at_once();
	hlt_ends_by_an_interrupt_and_goes_on_behind();
	apic_set_x2(false);
}

#define KVM_FEATURES 0x40000001u
#define KVM_FEATURE_PV_EOI (1u << 6)
#define MSR_KVM_PV_EOI 0x4b564d04u

static volatile u32 eoi_word;
static u32 eoi_silent;

/* By the word, if its bit is set, in one instruction. */
static void on_vector_by_word(struct trap_frame *frame)
{
	bool silent;

	note((u8)frame->vector);
	__asm__ volatile("btrl $0, %0" : "+m"(eoi_word), "=@ccc"(silent)::"memory");
	if (silent)
		eoi_silent++;
	else
		apic_eoi();
}

static bool no_eoi_word(void)
{
	struct cpuid leaf = cpuid(0x40000000, 0);

	if (leaf.ebx == 0x4b4d564b && cpuid(KVM_FEATURES, 0).eax & KVM_FEATURE_PV_EOI)
		return false;
	check_skip("no PV EOI");
	return true;
}

static void an_interrupt_ends_by_a_word_in_memory(void)
{
	u32 i;

	if (no_eoi_word())
		return;
	eoi_silent = 0;
	take_vectors(on_vector_by_word);
	wrmsr(MSR_KVM_PV_EOI, (u64)&eoi_word | 1);
	for (i = 1; i <= 100; i++) {
		send_self(LOW_VECTOR);
		cpu_window();
		if (taken != i)
			break;
	}
	CHECK_EQ(taken, 100);
	CHECK(eoi_silent > 0);
	CHECK(!apic_bit(APIC_ISR, LOW_VECTOR));
	/* The end of the higher one is to let the lower one in. */
	send_self(LOW_VECTOR);
	send_self(HIGH_VECTOR);
	cpu_window();
	cpu_window();
	CHECK_EQ(taken, 102);
	wrmsr(MSR_KVM_PV_EOI, 0);
	CHECK_EQ(eoi_word, 0);
	CHECK(!apic_bit(APIC_ISR, LOW_VECTOR) && !apic_bit(APIC_ISR, HIGH_VECTOR));
	send_self(LOW_VECTOR);
	cpu_window();
	CHECK_EQ(taken, 103);
	CHECK_EQ(try_wrmsr(MSR_KVM_PV_EOI, (u64)&eoi_word | 3), TRAP_GP);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(a_self_ipi_comes_once),
	GUEST_TEST(it_waits_for_if),
	GUEST_TEST(two_of_one_vector_are_one),
	GUEST_TEST(the_higher_priority_comes_first),
	GUEST_TEST(a_higher_one_nests_and_a_lower_one_waits),
	GUEST_TEST(in_service_shows_in_isr_and_ppr),
	GUEST_TEST(cr8_holds_back_what_is_not_above),
	GUEST_TEST(cr8_and_tpr_are_one),
	GUEST_TEST(tpr_by_its_register_holds_back_too),
	GUEST_TEST(sti_delays_by_one_instruction),
	GUEST_TEST(sti_cli_opens_no_window),
	GUEST_TEST(an_exit_in_the_shadow_does_not_end_it),
	GUEST_TEST(popf_and_iret_open_at_once),
	GUEST_TEST(hlt_ends_by_an_interrupt_and_goes_on_behind),
	GUEST_TEST(an_nmi_comes_with_interrupts_off),
	GUEST_TEST(a_second_nmi_waits_for_iret),
	GUEST_TEST(iret_of_an_inner_fault_ends_the_blocking),
	GUEST_TEST(hlt_ends_by_an_nmi_with_interrupts_off),
	GUEST_TEST(int_n_needs_no_if_and_no_eoi),
	GUEST_TEST(a_disabled_apic_delivers_nothing),
	GUEST_TEST(a_bad_vector_is_an_apic_error),
	GUEST_TEST(the_same_by_x2apic),
	GUEST_TEST(in_x2apic_mode_priorities_and_windows_are_the_same),
	GUEST_TEST(an_interrupt_ends_by_a_word_in_memory),
	GUEST_TESTS_END,
};
