/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The run loop with the chips, on the scripted vendor: how interrupts reach a vCPU that runs,
 * waits, or has them turned off, and how processors start each other.
 */
#include "machine.h"

static const struct bv_exit hlt = { .kind = BV_EXIT_HLT, .length = 1 };
static const struct bv_exit window = { .kind = BV_EXIT_IRQ_WINDOW };
static const struct bv_exit nothing = { .kind = BV_EXIT_HOST };

static enum bv_run_reason go(struct bv_vcpu *cpu, struct bv_run *run)
{
	*run = (struct bv_run){ 0 };
	fake_vcpu(cpu)->signal = false;
	bv_vcpu_run(cpu, run);
	return run->reason;
}

static void start(struct machine *m, unsigned int cpus, enum machine_chips chips)
{
	machine_start(m, cpus, chips);
	machine_enable_apics(m);
}

static void interrupts(struct bv_vcpu *cpu, bool on)
{
	cpu->gprs.rflags = on ? cpu->gprs.rflags | BV_RFLAGS_IF : cpu->gprs.rflags & ~BV_RFLAGS_IF;
}

static void message(struct machine *m, u8 dest, u8 vector)
{
	struct bv_msi msi = { 0xfee00000 | dest << 12, vector };

	bv_irq_msi(m->vm, &msi);
}

TEST(an_interrupt_is_delivered_at_the_next_entry)
{
	struct machine m;
	struct bv_run run;

	start(&m, 1, CHIPS_FULL);
	interrupts(m.cpu[0], true);
	message(&m, 0, 0x40);
	fake_exit(m.cpu[0], &nothing);
	CHECK_EQ(go(m.cpu[0], &run), BV_RUN_INTERRUPTED);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), 0x40);
	CHECK_EQ(fake_hw(m.cpu[0])->deliveries, 1);
	CHECK(vector_bit(m.cpu[0], R_ISR, 0x40));
	machine_stop(&m);
}

TEST(with_interrupts_off_a_window_is_asked_for)
{
	struct machine m;
	struct bv_run run;

	start(&m, 1, CHIPS_FULL);
	message(&m, 0, 0x40);
	fake_exit(m.cpu[0], &nothing);
	go(m.cpu[0], &run);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), -1);
	CHECK(fake_hw(m.cpu[0])->wishes.irq_window);
	interrupts(m.cpu[0], true);
	fake_exit(m.cpu[0], &window);
	go(m.cpu[0], &run);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), 0x40);
	CHECK(!fake_hw(m.cpu[0])->wishes.irq_window);
	machine_stop(&m);
}

TEST(a_delivery_that_was_cut_off_is_made_again)
{
	struct machine m;
	struct bv_run run;
	struct bv_exit cut = nothing;

	start(&m, 1, CHIPS_FULL);
	interrupts(m.cpu[0], true);
	message(&m, 0, 0x40);
	cut.vectoring.kind = BV_VECTORING_IRQ;
	cut.vectoring.vector = 0x40;
	fake_exit(m.cpu[0], &cut);
	fake_exit(m.cpu[0], &nothing);
	go(m.cpu[0], &run);
	CHECK_EQ(fake_hw(m.cpu[0])->deliveries, 2);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), 0x40);
	CHECK_EQ(take(m.cpu[0]), -1);
	machine_stop(&m);
}

TEST(the_timer_ends_hlt)
{
	struct machine m;
	struct bv_run run;
	u64 before;

	start(&m, 1, CHIPS_FULL);
	interrupts(m.cpu[0], true);
	apic_write(m.cpu[0], R_LVT_TIMER, 0x30);
	apic_write(m.cpu[0], R_TDCR, 0xb);
	apic_write(m.cpu[0], R_TMICT, 5000000);
	before = fake_clock();
	fake_exit(m.cpu[0], &hlt);
	fake_exit(m.cpu[0], &nothing);
	CHECK_EQ(go(m.cpu[0], &run), BV_RUN_INTERRUPTED);
	CHECK_EQ(fake_clock() - before, 5000000);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), 0x30);
	CHECK_EQ(bv_vcpu_mp_get(m.cpu[0]), BV_MP_RUNNABLE);
	machine_stop(&m);
}

TEST(hlt_with_interrupts_off_waits_for_more_than_a_timer)
{
	struct machine m;
	struct bv_run run;

	start(&m, 1, CHIPS_FULL);
	apic_write(m.cpu[0], R_LVT_TIMER, 0x30);
	apic_write(m.cpu[0], R_TMICT, 5000000);
	fake_exit(m.cpu[0], &hlt);
	CHECK_EQ(go(m.cpu[0], &run), BV_RUN_INTERRUPTED);
	CHECK_EQ(bv_vcpu_mp_get(m.cpu[0]), BV_MP_HALTED);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), -1);
	bv_vcpu_nmi(m.cpu[0]);
	fake_exit(m.cpu[0], &nothing);
	go(m.cpu[0], &run);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), 2);
	CHECK_EQ(bv_vcpu_mp_get(m.cpu[0]), BV_MP_RUNNABLE);
	machine_stop(&m);
}

TEST(a_guest_that_spins_lets_others_run)
{
	static const struct bv_exit pause = { .kind = BV_EXIT_PAUSE, .length = 2 };
	struct machine m;
	struct bv_run run;
	u64 rip;

	start(&m, 2, CHIPS_FULL);
	rip = m.cpu[0]->gprs.rip;
	fake_exit(m.cpu[0], &pause);
	CHECK_EQ(go(m.cpu[0], &run), BV_RUN_INTERRUPTED);
	CHECK_EQ(fake_vcpu(m.cpu[0])->yields, 1);
	CHECK_EQ(m.cpu[0]->gprs.rip, rip); /* the PAUSE is still to come */
	machine_stop(&m);
}

TEST(an_ipi_ends_the_other_s_hlt)
{
	struct machine m;
	struct bv_run run;

	start(&m, 2, CHIPS_FULL);
	bv_vcpu_mp_set(m.cpu[1], BV_MP_HALTED);
	interrupts(m.cpu[1], true);
	CHECK_EQ(go(m.cpu[1], &run), BV_RUN_INTERRUPTED);
	CHECK_EQ(bv_vcpu_mp_get(m.cpu[1]), BV_MP_HALTED);
	apic_write(m.cpu[0], R_ICR2, 1u << 24);
	apic_write(m.cpu[0], R_ICR, 0x4040);
	CHECK(fake_vcpu(m.cpu[1])->wakes);
	fake_exit(m.cpu[1], &nothing);
	go(m.cpu[1], &run);
	CHECK_EQ(fake_last_delivered(m.cpu[1]), 0x40);
	machine_stop(&m);
}

TEST(init_and_sipi_start_a_processor)
{
	struct machine m;
	struct bv_run run;

	start(&m, 2, CHIPS_FULL);
	CHECK_EQ(bv_vcpu_mp_get(m.cpu[1]), BV_MP_UNINITIALIZED);
	apic_write(m.cpu[0], R_ICR2, 1u << 24);
	apic_write(m.cpu[0], R_ICR, 0x4600 | 0x9a); /* a SIPI before INIT is nothing */
	go(m.cpu[1], &run);
	CHECK_EQ(fake_hw(m.cpu[1])->entries, 0);
	apic_write(m.cpu[0], R_ICR, 0xc500);
	go(m.cpu[1], &run);
	CHECK_EQ(bv_vcpu_mp_get(m.cpu[1]), BV_MP_INIT_RECEIVED);
	apic_write(m.cpu[0], R_ICR, 0x4600 | 0x9a);
	fake_exit(m.cpu[1], &nothing);
	go(m.cpu[1], &run);
	CHECK(fake_hw(m.cpu[1])->entries);
	CHECK_EQ(fake_hw(m.cpu[1])->state.seg[BV_SEG_CS].base, 0x9a000);
	CHECK_EQ(m.cpu[1]->gprs.rip, 0);
	machine_stop(&m);
}

/* Lowers its CR8 when it is entered the second time. */
static bool guest_lowers_cr8(struct bv_vcpu *cpu, void *arg)
{
	unsigned int *entries = arg;

	if (++*entries == 2)
		cpu->cr8 = 0;
	return *entries <= 3;
}

TEST(lowering_cr8_lets_a_masked_interrupt_in)
{
	struct machine m;
	struct bv_run run;
	unsigned int entries = 0;

	start(&m, 1, CHIPS_FULL);
	interrupts(m.cpu[0], true);
	bv_vcpu_set_cr8(m.cpu[0], 8);
	message(&m, 0, 0x60);
	fake_guest(m.cpu[0], guest_lowers_cr8, &entries);
	go(m.cpu[0], &run);
	CHECK(fake_hw(m.cpu[0])->deliveries == 1);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), 0x60);
	machine_stop(&m);
}

TEST(the_front_is_told_the_end_of_its_level_interrupt)
{
	const struct bv_route route = { .gsi = 5,
					.kind = BV_ROUTE_MSI,
					.msi = { 0xfee00000, 0xc061 } };
	struct machine m;
	struct bv_run run;

	start(&m, 1, CHIPS_SPLIT);
	interrupts(m.cpu[0], true);
	bv_irq_routes_set(m.vm, &route, 1);
	bv_irq_line(m.vm, 5, 0, true);
	fake_exit(m.cpu[0], &nothing);
	go(m.cpu[0], &run);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), 0x61);
	eoi(m.cpu[0]);
	CHECK_EQ(go(m.cpu[0], &run), BV_RUN_EOI);
	CHECK_EQ(run.vector, 0x61);
	machine_stop(&m);
}

TEST(an_8259_of_the_front_s_gives_its_vector_where_lint0_takes_it)
{
	struct machine m;
	struct bv_run run;

	start(&m, 1, CHIPS_SPLIT);
	interrupts(m.cpu[0], true);
	CHECK_EQ(bv_vcpu_interrupt(m.cpu[0], 0x21), 0);
	fake_exit(m.cpu[0], &nothing);
	go(m.cpu[0], &run);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), 0x21);
	machine_stop(&m);
}

TEST(interrupts_come_one_at_a_time_and_by_priority)
{
	struct machine m;
	struct bv_run run;

	start(&m, 1, CHIPS_FULL);
	interrupts(m.cpu[0], true);
	message(&m, 0, 0x40);
	message(&m, 0, 0x90);
	message(&m, 0, 0x60);
	for (unsigned int i = 0; i < 3; i++) {
		static const u8 order[] = { 0x90, 0x60, 0x40 };

		fake_exit(m.cpu[0], &nothing);
		go(m.cpu[0], &run);
		CHECK_EQ(fake_hw(m.cpu[0])->deliveries, i + 1);
		CHECK_EQ(fake_last_delivered(m.cpu[0]), order[i]);
		eoi(m.cpu[0]);
	}
	machine_stop(&m);
}
