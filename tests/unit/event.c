// SPDX-License-Identifier: GPL-2.0-or-later
/* Events on their way into the guest: what they become together, which comes first, NMIs. */
#include "machine.h"

static const struct bv_exit nothing = { .kind = BV_EXIT_HOST };
static struct machine m;
static struct bv_vcpu *cpu;
static struct bv_run run;

static void start(void)
{
	machine_start(&m, 1, CHIPS_FULL);
	machine_enable_apics(&m);
	cpu = m.cpu[0];
	bv_vcpu_touch(cpu, BV_ST_CR);
	cpu->state.cr0 |= BV_CR0_PE;
	run = (struct bv_run){ 0 };
}

/* One entry that ends by this exit, and those after it until the script is at its end. */
static enum bv_run_reason go(const struct bv_exit *exit)
{
	fake_vcpu(cpu)->signal = false;
	fake_exit(cpu, exit);
	bv_vcpu_run(cpu, &run);
	return run.reason;
}

/* Entries end by themselves, and what was injected is as if delivered. */
static enum bv_run_reason once(void)
{
	fake_vcpu(cpu)->signal = false;
	bv_vcpu_run(cpu, &run);
	return run.reason;
}

static unsigned int deliveries(void)
{
	return fake_hw(cpu)->deliveries;
}

static enum bv_event_kind delivered_kind(void)
{
	return fake_hw(cpu)->delivered[deliveries() - 1].kind;
}

static void raise(u8 vector)
{
	bv_event_raise(cpu, vector, vector >= 10 && vector <= 14, 0x1f, 0x5000);
}

static void forget(void)
{
	cpu->events = (struct bv_events){ 0 };
	bv_vcpu_take_request(cpu, BV_REQ_TRIPLE_FAULT);
}

static void interrupts_on(void)
{
	cpu->gprs.rflags |= BV_RFLAGS_IF;
}

static void message(u8 vector)
{
	const struct bv_msi msi = { 0xfee00000, vector };

	bv_irq_msi(m.vm, &msi);
}

/* ---- two exceptions ---- */

/* The table of the manual (volume 2, 8.2.9): first, then second. */
TEST(two_exceptions_make_a_double_fault_where_the_manual_says_so)
{
	static const u8 benign[] = { BV_EXC_DB, BV_EXC_BP, BV_EXC_OF, BV_EXC_BR, BV_EXC_UD,
				     BV_EXC_NM, BV_EXC_MF, BV_EXC_AC, BV_EXC_MC, BV_EXC_XM };
	static const u8 contributory[] = { BV_EXC_DE, BV_EXC_TS, BV_EXC_NP, BV_EXC_SS, BV_EXC_GP };
	static const struct {
		const u8 *first, *second;
		size_t firsts, seconds;
		bool doubles;
	} rows[] = {
#define ROW(a, b, doubles) { a, b, sizeof(a), sizeof(b), doubles }
		ROW(benign, benign, false),
		ROW(benign, contributory, false),
		ROW(contributory, benign, false),
		ROW(contributory, contributory, true),
	};

	start();
	for (size_t row = 0; row < BV_ARRAY_SIZE(rows); row++)
		for (size_t a = 0; a < rows[row].firsts; a++)
			for (size_t b = 0; b < rows[row].seconds; b++) {
				raise(rows[row].first[a]);
				raise(rows[row].second[b]);
				CHECK_EQ(cpu->events.exception.vector,
					 rows[row].doubles ? BV_EXC_DF : rows[row].second[b]);
				forget();
			}
	machine_stop(&m);
}

TEST(a_page_fault_doubles_with_faults_after_it_and_not_with_one_before)
{
	static const struct {
		u8 first, second, result;
	} pairs[] = {
		{ BV_EXC_PF, BV_EXC_PF, BV_EXC_DF }, { BV_EXC_PF, BV_EXC_GP, BV_EXC_DF },
		{ BV_EXC_PF, BV_EXC_NP, BV_EXC_DF }, { BV_EXC_GP, BV_EXC_PF, BV_EXC_PF },
		{ BV_EXC_PF, BV_EXC_UD, BV_EXC_UD }, { BV_EXC_UD, BV_EXC_PF, BV_EXC_PF },
	};

	start();
	for (size_t i = 0; i < BV_ARRAY_SIZE(pairs); i++) {
		raise(pairs[i].first);
		raise(pairs[i].second);
		CHECK_EQ(cpu->events.exception.vector, pairs[i].result);
		CHECK_EQ(cpu->events.exception.has_payload, pairs[i].result == BV_EXC_PF);
		CHECK(!bv_vcpu_take_request(cpu, BV_REQ_TRIPLE_FAULT));
		forget();
	}
	machine_stop(&m);
}

TEST(a_double_fault_has_the_error_code_zero)
{
	start();
	raise(BV_EXC_GP);
	raise(BV_EXC_GP);
	once();
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_DF);
	CHECK(fake_hw(cpu)->has_error);
	CHECK_EQ(fake_hw(cpu)->error, 0);
	machine_stop(&m);
}

TEST(an_exception_after_a_double_fault_is_a_shutdown)
{
	start();
	raise(BV_EXC_GP);
	raise(BV_EXC_GP);
	raise(BV_EXC_GP);
	CHECK_EQ(once(), BV_RUN_SHUTDOWN);
	CHECK_EQ(deliveries(), 0);
	machine_stop(&m);
}

/* Delivering a #GP needs a page, whose fault is intercepted, and ends in another exception. */
TEST(an_exception_at_the_delivery_of_another_combines_with_it)
{
	struct bv_exit exit = { .kind = BV_EXIT_EXCEPTION };

	start();
	exit.vectoring.kind = BV_VECTORING_EXCEPTION;
	exit.vectoring.vector = BV_EXC_GP;
	exit.vectoring.has_error = true;
	exit.exception.vector = BV_EXC_NP;
	exit.exception.has_error = true;
	go(&exit);
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_DF);
	CHECK_EQ(deliveries(), 1);
	machine_stop(&m);
}

/* ---- how one is delivered ---- */

TEST(a_page_fault_takes_its_address_to_cr2_when_it_is_delivered)
{
	start();
	raise(BV_EXC_PF);
	bv_vcpu_need(cpu, BV_ST_CR);
	CHECK_EQ(cpu->state.cr2, 0);
	once();
	CHECK_EQ(fake_hw(cpu)->state.cr2, 0x5000);
	CHECK_EQ(fake_hw(cpu)->error, 0x1f);
	machine_stop(&m);
}

TEST(in_real_mode_there_are_no_error_codes)
{
	start();
	bv_vcpu_touch(cpu, BV_ST_CR);
	cpu->state.cr0 &= ~BV_CR0_PE;
	raise(BV_EXC_GP);
	once();
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_GP);
	CHECK(!fake_hw(cpu)->has_error);
	machine_stop(&m);
}

TEST(faults_set_the_resume_flag_and_traps_do_not)
{
	start();
	raise(BV_EXC_BP);
	once();
	CHECK(!(cpu->gprs.rflags & BV_RFLAGS_RF));
	raise(BV_EXC_UD);
	once();
	CHECK(cpu->gprs.rflags & BV_RFLAGS_RF);
	machine_stop(&m);
}

TEST(a_debug_exception_takes_its_bits_to_dr6_and_clears_general_detect)
{
	start();
	bv_vcpu_touch(cpu, BV_ST_DR);
	cpu->state.dr6 |= 3;
	cpu->state.dr7 |= BV_DR7_GD;
	bv_event_raise(cpu, BV_EXC_DB, false, 0, BV_DR6_BS);
	once();
	CHECK_EQ(fake_hw(cpu)->state.dr6 & (BV_DR6_BS | 0xf), BV_DR6_BS);
	CHECK(!(fake_hw(cpu)->state.dr7 & BV_DR7_GD));
	machine_stop(&m);
}

/* ---- which comes first ---- */

TEST(exceptions_come_before_nmis_and_those_before_interrupts)
{
	static const u8 order[] = { BV_EXC_GP, BV_EXC_NMI, 0x40 };

	start();
	interrupts_on();
	message(0x40);
	bv_vcpu_nmi(cpu);
	raise(BV_EXC_GP);
	for (unsigned int i = 0; i < 3; i++) {
		once();
		CHECK_EQ(deliveries(), i + 1);
		CHECK_EQ(fake_last_delivered(cpu), order[i]);
	}
	once();
	CHECK_EQ(deliveries(), 3);
	machine_stop(&m);
}

TEST(what_was_cut_off_comes_before_all_that_waits)
{
	struct bv_exit cut = nothing;

	start();
	interrupts_on();
	cut.vectoring.kind = BV_VECTORING_IRQ;
	cut.vectoring.vector = 0x50;
	fake_exit(cpu, &cut);
	fake_vcpu(cpu)->signal = false;
	message(0x90); /* delivered by the entry that is cut off */
	bv_vcpu_run(cpu, &run);
	CHECK_EQ(fake_last_delivered(cpu), 0x50);
	CHECK_EQ(deliveries(), 2);
	machine_stop(&m);
}

TEST(an_exception_cut_off_is_delivered_again_without_a_second_payload)
{
	struct bv_exit cut = nothing;

	start();
	cut.vectoring.kind = BV_VECTORING_EXCEPTION;
	cut.vectoring.vector = BV_EXC_PF;
	cut.vectoring.has_error = true;
	cut.vectoring.error = 7;
	bv_vcpu_touch(cpu, BV_ST_CR);
	cpu->state.cr2 = 0x1234;
	go(&cut);
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_PF);
	CHECK_EQ(fake_hw(cpu)->error, 7);
	CHECK_EQ(fake_hw(cpu)->state.cr2, 0x1234);
	machine_stop(&m);
}

TEST(an_interrupt_cut_off_survives_an_exception_that_comes_first)
{
	struct bv_events events = { 0 };

	start();
	interrupts_on();
	events.interrupt.injected = true;
	events.interrupt.vector = 0x61;
	events.exception.injected = true;
	events.exception.vector = BV_EXC_DB;
	CHECK_EQ(bv_vcpu_events_set(cpu, &events), 0);
	once();
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_DB);
	once();
	CHECK_EQ(fake_last_delivered(cpu), 0x61);
	once();
	CHECK_EQ(deliveries(), 2);
	machine_stop(&m);
}

/* Code at 0x7000, where the vCPU is. */
static void code(const void *bytes, unsigned int count)
{
	static u8 *memory;
	struct bv_region_spec spec = { .pages = 16 };

	memory = fake_memory_new(16, true);
	spec.host_addr = (u64)memory;
	CHECK_EQ(bv_mem_region_set(m.vm, &spec), 0);
	memcpy(memory + 0x7000, bytes, count);
	cpu->gprs.rip = 0x7000;
	bv_vcpu_touch(cpu, BV_ST_SEG(BV_SEG_CS));
	cpu->state.seg[BV_SEG_CS].base = 0;
}

static const struct bv_exit soft_cut = {
	.kind = BV_EXIT_HOST,
	.vectoring = { .kind = BV_VECTORING_SOFT_IRQ, .vector = 0x80 },
};

TEST(a_software_interrupt_is_delivered_again_as_one)
{
	struct bv_events events = { 0 };

	start();
	code("\xcd\x80", 2);
	events.interrupt.injected = true;
	events.interrupt.soft = true;
	events.interrupt.vector = 0x80;
	bv_vcpu_events_set(cpu, &events);
	once();
	CHECK_EQ(fake_last_delivered(cpu), 0x80);
	CHECK_EQ(delivered_kind(), BV_EVENT_SOFT_IRQ);
	CHECK_EQ(cpu->soft_next_rip, 0x7002);
	machine_stop(&m);
}

TEST(a_software_interrupt_cut_off_is_raised_again_by_its_instruction)
{
	start();
	code("\xcd\x80", 2);
	go(&soft_cut);
	CHECK_EQ(deliveries(), 0);
	CHECK_EQ(cpu->gprs.rip, 0x7000);
	machine_stop(&m);
}

TEST(a_restored_software_interrupt_whose_instruction_is_gone_is_forgotten)
{
	struct bv_events events = { 0 };

	start();
	code("\x90\x90", 2);
	events.interrupt.injected = true;
	events.interrupt.soft = true;
	events.interrupt.vector = 0x80;
	bv_vcpu_events_set(cpu, &events);
	once();
	CHECK_EQ(deliveries(), 0);
	CHECK(!cpu->events.interrupt.injected);
	machine_stop(&m);
}

TEST(a_software_interrupt_behind_an_exception_is_left_to_its_instruction)
{
	struct bv_events events = { 0 };

	start();
	code("\xcd\x80", 2);
	events.interrupt.injected = true;
	events.interrupt.soft = true;
	events.interrupt.vector = 0x80;
	events.exception.injected = true;
	events.exception.vector = BV_EXC_DB;
	bv_vcpu_events_set(cpu, &events);
	once();
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_DB);
	once();
	CHECK_EQ(deliveries(), 1);
	machine_stop(&m);
}

/* ---- NMIs ---- */

static const struct bv_exit iret = { .kind = BV_EXIT_NMI_WINDOW };

TEST(a_second_nmi_waits_for_the_handlers_iret)
{
	start();
	bv_vcpu_nmi(cpu);
	once();
	CHECK_EQ(deliveries(), 1);
	bv_vcpu_nmi(cpu);
	bv_vcpu_nmi(cpu);
	once();
	CHECK_EQ(deliveries(), 1);
	CHECK(fake_hw(cpu)->wishes.nmi_window);
	CHECK_EQ(cpu->events.nmi.pending, 1);
	machine_stop(&m);
}

TEST(the_guest_is_stepped_over_the_iret_and_then_has_the_next_nmi)
{
	struct bv_exit step = { .kind = BV_EXIT_EXCEPTION };

	start();
	step.exception.vector = BV_EXC_DB;
	cpu->gprs.rip = 0x700;
	bv_vcpu_nmi(cpu);
	once();
	bv_vcpu_nmi(cpu);
	go(&iret);
	/* The IRET is still to come: TF is ours, and IRETs do not exit. */
	CHECK(cpu->nmi_iret);
	CHECK(!fake_hw(cpu)->wishes.nmi_window);
	CHECK_EQ(deliveries(), 1);
	/* The IRET is executed, the step comes. */
	bv_vcpu_touch(cpu, BV_ST_DR);
	cpu->state.dr6 |= BV_DR6_BS;
	cpu->gprs.rip = 0x100;
	cpu->gprs.rflags |= BV_RFLAGS_TF;
	cpu->stepping = true;
	cpu->step_guest_tf = false;
	go(&step);
	CHECK_EQ(deliveries(), 2);
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_NMI);
	CHECK(!(cpu->gprs.rflags & BV_RFLAGS_TF));
	machine_stop(&m);
}

TEST(after_the_iret_nmis_are_open_again)
{
	start();
	cpu->gprs.rip = 0x700;
	bv_vcpu_nmi(cpu);
	once();
	go(&iret);
	CHECK(cpu->events.nmi.masked);
	cpu->gprs.rip = 0x100;
	bv_vcpu_request(cpu, BV_REQ_EVENT);
	once();
	CHECK(!cpu->events.nmi.masked);
	bv_vcpu_nmi(cpu);
	once();
	CHECK_EQ(deliveries(), 2);
	machine_stop(&m);
}

TEST(an_nmi_behind_an_exception_makes_the_next_entry_end_at_once)
{
	u32 interrupts;

	start();
	bv_vcpu_nmi(cpu);
	raise(BV_EXC_GP);
	interrupts = fake_vcpu(cpu)->interrupts;
	once();
	CHECK_EQ(deliveries(), 1);
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_GP);
	CHECK_EQ(fake_vcpu(cpu)->interrupts, interrupts + 1);
	CHECK(!(cpu->gprs.rflags & BV_RFLAGS_TF));
	once();
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_NMI);
	machine_stop(&m);
}

/* Hardware that keeps NMIs out until IRET, and exits as soon as one can be taken. */
TEST(with_nmi_windows_the_hardware_says_when)
{
	struct bv_vendor vendor = fake_vendor;

	vendor.nmi_windows = true;
	start();
	bv_vendor = &vendor;
	bv_vcpu_nmi(cpu);
	once();
	CHECK_EQ(deliveries(), 1);
	CHECK(!fake_hw(cpu)->wishes.nmi_window);
	bv_vcpu_nmi(cpu);
	once();
	CHECK_EQ(deliveries(), 1);
	CHECK(fake_hw(cpu)->wishes.nmi_window);
	CHECK(!(cpu->gprs.rflags & BV_RFLAGS_TF));
	cpu->events.nmi.masked = false; /* as a vendor does after the guest's IRET */
	once();
	CHECK_EQ(deliveries(), 2);
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_NMI);
	CHECK(!fake_hw(cpu)->wishes.nmi_window);
	machine_stop(&m);
	fake_vendor_use();
}

TEST(an_nmi_waits_for_the_end_of_a_shadow_by_a_step)
{
	start();
	fake_hw(cpu)->shadow = 1;
	bv_vcpu_nmi(cpu);
	once();
	CHECK_EQ(deliveries(), 0);
	fake_hw(cpu)->shadow = 0;
	once();
	CHECK_EQ(deliveries(), 1);
	CHECK(!(cpu->gprs.rflags & BV_RFLAGS_TF));
	machine_stop(&m);
}

TEST(an_interrupt_waits_for_the_end_of_a_shadow)
{
	start();
	interrupts_on();
	fake_hw(cpu)->shadow = 2;
	message(0x40);
	once();
	CHECK_EQ(deliveries(), 0);
	CHECK(fake_hw(cpu)->wishes.irq_window);
	fake_hw(cpu)->shadow = 0;
	go(&(struct bv_exit){ .kind = BV_EXIT_IRQ_WINDOW });
	CHECK_EQ(deliveries(), 1);
	machine_stop(&m);
}

/* The window opens in a shadow: the hardware has forgotten it. */
static void window_in_shadow(const void *bytes, unsigned int count)
{
	start();
	code(bytes, count);
	interrupts_on();
	fake_hw(cpu)->shadow = 2;
	message(0x40);
	go(&(struct bv_exit){ .kind = BV_EXIT_IRQ_WINDOW });
}

TEST(a_shadow_that_the_hardware_forgets_is_stepped_over)
{
	window_in_shadow("\xf4", 1);
	CHECK_EQ(deliveries(), 0);
	CHECK(!fake_hw(cpu)->wishes.irq_window);
	CHECK(fake_hw(cpu)->wishes.single_step);
	CHECK(!(cpu->gprs.rflags & BV_RFLAGS_TF));
	fake_hw(cpu)->shadow = 0;
	once();
	CHECK_EQ(deliveries(), 1);
	CHECK(!fake_hw(cpu)->wishes.single_step);
	machine_stop(&m);
}

TEST(a_software_interrupt_in_such_a_shadow_comes_before_the_interrupt)
{
	window_in_shadow("\x66\xcd\x80", 3);
	CHECK_EQ(deliveries(), 1);
	CHECK_EQ(fake_last_delivered(cpu), 0x80);
	CHECK_EQ(delivered_kind(), BV_EVENT_SOFT_IRQ);
	CHECK_EQ(cpu->soft_next_rip, 0x7003);
	machine_stop(&m);
}

/* A window in a shadow, then the injection is cut off behind the instruction. */
static bool cut_behind(struct bv_vcpu *vcpu, void *arg)
{
	unsigned int *entries = arg;

	vcpu->exit = soft_cut;
	if (*entries == 1)
		vcpu->gprs.rip = vcpu->soft_next_rip;
	else if (!*entries)
		vcpu->exit = (struct bv_exit){ .kind = BV_EXIT_IRQ_WINDOW };
	return (*entries)++ < 2;
}

TEST(a_software_interrupt_of_ours_that_is_cut_off_is_at_its_instruction_again)
{
	unsigned int entries = 0;

	start();
	code("\xcd\x80", 2);
	fake_hw(cpu)->shadow = 2;
	fake_guest(cpu, cut_behind, &entries);
	once();
	CHECK_EQ(entries, 3);
	CHECK_EQ(cpu->gprs.rip, 0x7000);
	CHECK(!cpu->events.interrupt.injected);
	machine_stop(&m);
}

TEST(what_saves_the_flags_is_not_stepped_over)
{
	window_in_shadow("\x9c", 1);
	CHECK_EQ(deliveries(), 1);
	machine_stop(&m);
}

/* ---- instructions of the other vendor's ---- */

static void undefined_at(const void *bytes, unsigned int count, bool amd)
{
	struct bv_exit undefined = { .kind = BV_EXIT_EXCEPTION };

	start();
	code(bytes, count);
	cpu->caps.amd = amd;
	cpu->state.efer |= BV_EFER_SCE;
	bv_vcpu_touch(cpu, BV_ST_SYSCALL);
	cpu->state.star = 0x0000001000005000; /* CS 10h, EIP 5000h */
	undefined.exception.vector = BV_EXC_UD;
	go(&undefined);
}

TEST(syscall_of_32_bit_code_is_carried_out_for_a_guest_that_is_told_of_amd)
{
	undefined_at("\x0f\x05", 2, true);
	CHECK_EQ(deliveries(), 0);
	CHECK_EQ(cpu->gprs.rip, 0x5000);
	CHECK_EQ(cpu->gprs.gpr[BV_RCX], 0x7002);
	bv_vcpu_need(cpu, BV_ST_SEG(BV_SEG_CS) | BV_ST_SEG(BV_SEG_SS));
	CHECK_EQ(cpu->state.seg[BV_SEG_CS].sel, 0x10);
	CHECK_EQ(cpu->state.seg[BV_SEG_SS].sel, 0x18);
	machine_stop(&m);
}

TEST(and_is_undefined_for_any_other)
{
	undefined_at("\x0f\x05", 2, false);
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_UD);
	CHECK_EQ(cpu->gprs.rip, 0x7000);
	machine_stop(&m);
}

TEST(what_no_vendor_has_is_undefined)
{
	undefined_at("\x0f\x0b", 2, true);
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_UD);
	CHECK_EQ(cpu->gprs.rip, 0x7000);
	machine_stop(&m);
}

/* ---- stepping ---- */

/* Steps one instruction that ends in an exception of its own instead. */
TEST(a_step_that_ends_in_another_exception_leaves_the_guests_flags_alone)
{
	const struct bv_guest_debug debug = { .enabled = true, .single_step = true };
	struct bv_exit undefined = { .kind = BV_EXIT_EXCEPTION };

	start();
	undefined.exception.vector = BV_EXC_AC;
	bv_vcpu_guest_debug(cpu, &debug);
	go(&undefined);
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_AC);
	bv_vcpu_guest_debug(cpu, &(struct bv_guest_debug){ 0 });
	once();
	CHECK(!(cpu->gprs.rflags & BV_RFLAGS_TF));
	machine_stop(&m);
}

TEST(a_step_that_was_interrupted_is_tried_again)
{
	const struct bv_guest_debug debug = { .enabled = true, .single_step = true };

	start();
	bv_vcpu_guest_debug(cpu, &debug);
	once();
	CHECK(!(cpu->gprs.rflags & BV_RFLAGS_TF));
	once();
	CHECK(!(cpu->gprs.rflags & BV_RFLAGS_TF));
	CHECK(!cpu->step_guest_tf);
	machine_stop(&m);
}

TEST(the_guests_own_trap_flag_survives_a_step_of_ours)
{
	const struct bv_guest_debug debug = { .enabled = true, .single_step = true };

	start();
	cpu->gprs.rflags |= BV_RFLAGS_TF;
	bv_vcpu_guest_debug(cpu, &debug);
	once();
	once();
	CHECK(cpu->gprs.rflags & BV_RFLAGS_TF);
	machine_stop(&m);
}

/* ---- strings to devices of user space ---- */

TEST(what_waits_comes_between_two_repetitions_to_a_device)
{
	struct bv_exit fault = { .kind = BV_EXIT_NESTED_FAULT };

	start();
	code("\xf3\xaa", 2); /* rep stosb */
	interrupts_on();
	bv_vcpu_touch(cpu, BV_ST_SEG(BV_SEG_ES));
	cpu->state.seg[BV_SEG_ES].base = 0x20000;
	cpu->gprs.gpr[BV_RCX] = 100;
	fault.fault.gpa = 0x20000;
	fault.fault.write = true;
	CHECK_EQ(go(&fault), BV_RUN_MMIO);
	CHECK_EQ(run.mmio.gpa, 0x20000);
	/* Nothing waits: the next repetition follows at once. */
	CHECK_EQ(once(), BV_RUN_MMIO);
	CHECK_EQ(run.mmio.gpa, 0x20001);
	CHECK_EQ(fake_hw(cpu)->entries, 1);
	message(0x40);
	CHECK_EQ(once(), BV_RUN_INTERRUPTED);
	CHECK_EQ(fake_last_delivered(cpu), 0x40);
	CHECK_EQ(cpu->gprs.gpr[BV_RCX], 98);
	CHECK_EQ(cpu->gprs.rip, 0x7000);
	machine_stop(&m);
}

TEST(user_space_that_wants_out_gets_out_of_a_string)
{
	struct bv_exit fault = { .kind = BV_EXIT_NESTED_FAULT };

	start();
	code("\xf3\xaa", 2);
	bv_vcpu_touch(cpu, BV_ST_SEG(BV_SEG_ES));
	cpu->state.seg[BV_SEG_ES].base = 0x20000;
	cpu->gprs.gpr[BV_RCX] = 100;
	fault.fault.gpa = 0x20000;
	fault.fault.write = true;
	CHECK_EQ(go(&fault), BV_RUN_MMIO);
	run.immediate_exit = true;
	CHECK_EQ(once(), BV_RUN_INTERRUPTED);
	CHECK_EQ(cpu->gprs.gpr[BV_RCX], 99);
	machine_stop(&m);
}

/* ---- interrupts that the hardware delivers by itself ---- */

/* One entry after the other: ends by nothing, with the flags of this one. */
static const u64 *flags_at;

static bool guest_with_flags(struct bv_vcpu *vcpu, void *arg)
{
	(void)arg;
	if (*flags_at == ~0ull)
		return false;
	vcpu->gprs.rflags = *flags_at++;
	return true;
}

static void go_with_flags(const u64 *flags)
{
	flags_at = flags;
	fake_guest(cpu, guest_with_flags, NULL);
	once();
}

static void start_with_offers(void)
{
	start();
	fake_vendor_use_offers();
	cpu->gprs.rflags &= ~BV_RFLAGS_IF;
}

static bool in_service(u8 vector)
{
	return vector_bit(cpu, R_ISR, vector);
}

TEST(an_interrupt_that_must_wait_is_left_to_the_hardware)
{
	static const u64 flags[] = { BV_RFLAGS_IF, ~0ull };

	start_with_offers();
	message(0x50);
	go_with_flags(flags);
	CHECK_EQ(fake_hw(cpu)->entries, 2);
	CHECK_EQ(deliveries(), 1);
	CHECK_EQ(fake_last_delivered(cpu), 0x50);
	CHECK(!fake_hw(cpu)->wishes.irq_window);
	CHECK(in_service(0x50));
	machine_stop(&m);
}

TEST(an_offered_interrupt_that_was_not_taken_is_there_still)
{
	static const u64 off[] = { 0, 0, ~0ull }, on[] = { BV_RFLAGS_IF, ~0ull };

	start_with_offers();
	message(0x50);
	go_with_flags(off);
	CHECK_EQ(deliveries(), 0);
	CHECK(!in_service(0x50));
	message(0x90);
	go_with_flags(on);
	CHECK_EQ(deliveries(), 1);
	CHECK_EQ(fake_last_delivered(cpu), 0x90);
	CHECK(in_service(0x90) && !in_service(0x50));
	machine_stop(&m);
}

TEST(an_offered_interrupt_that_was_cut_off_is_injected_again)
{
	static const struct bv_exit cut = {
		.kind = BV_EXIT_HOST,
		.vectoring = { .kind = BV_VECTORING_IRQ, .vector = 0x50 },
	};

	start_with_offers();
	message(0x50);
	go(&cut);
	CHECK(in_service(0x50));
	CHECK_EQ(deliveries(), 1);
	CHECK_EQ(fake_last_delivered(cpu), 0x50);
	machine_stop(&m);
}

TEST(nothing_is_offered_in_a_shadow)
{
	static const u64 flags[] = { BV_RFLAGS_IF, ~0ull };

	start_with_offers();
	fake_hw(cpu)->shadow = 2;
	message(0x50);
	go_with_flags(flags);
	CHECK_EQ(deliveries(), 0);
	CHECK(fake_hw(cpu)->wishes.irq_window);
	machine_stop(&m);
}

/* Takes what was offered; then the same vector is requested once more. */
static bool guest_takes_and_hears_again(struct bv_vcpu *vcpu, void *arg)
{
	unsigned int *entries = arg;

	vcpu->gprs.rflags |= BV_RFLAGS_IF;
	if (!*entries)
		message(0x50);
	return !(*entries)++;
}

TEST(a_request_that_comes_after_the_hardware_has_delivered_is_another_interrupt)
{
	unsigned int entries = 0;

	start_with_offers();
	message(0x50);
	fake_guest(cpu, guest_takes_and_hears_again, &entries);
	once();
	CHECK_EQ(deliveries(), 1);
	CHECK(in_service(0x50) && vector_bit(cpu, R_IRR, 0x50));
	apic_write(cpu, R_EOI, 0);
	once();
	CHECK_EQ(deliveries(), 2);
	machine_stop(&m);
}
