/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The run loop with the chips, on the scripted vendor: how interrupts reach a vCPU that runs,
 * waits, or has them turned off, and how processors start each other.
 */
#include <pthread.h>
#include <sched.h>

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

/* ---- a timer that ends the guest's turn ---- */

static const struct bv_exit turn_over = { .kind = BV_EXIT_TURN_OVER };

static void start_turns(struct machine *m, u32 lvt, u32 count)
{
	fake_reset();
	fake_vendor_use_turns();
	machine_make(m, 1, CHIPS_FULL);
	machine_enable_apics(m);
	interrupts(m->cpu[0], true);
	apic_write(m->cpu[0], R_LVT_TIMER, lvt);
	apic_write(m->cpu[0], R_TDCR, 0xb);
	apic_write(m->cpu[0], R_TMICT, count);
}

TEST(a_turn_ends_when_the_timer_is_due_without_a_timer_of_the_host)
{
	struct machine m;
	struct bv_run run;
	u64 left;

	start_turns(&m, 0x30, 1000000);
	left = bv_vcpu_turn_left(m.cpu[0]);
	CHECK(left > 2099990 && left <= 2100000);
	fake_clock_advance(999990);
	fake_exit(m.cpu[0], &turn_over);
	fake_exit(m.cpu[0], &nothing);
	go(m.cpu[0], &run);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), -1);
	CHECK(bv_vcpu_turn_left(m.cpu[0]) <= 21);
	fake_clock_advance(20);
	CHECK_EQ(fake_timers(), 0);
	CHECK_EQ(bv_vcpu_turn_left(m.cpu[0]), 0);
	fake_exit(m.cpu[0], &turn_over);
	fake_exit(m.cpu[0], &nothing);
	go(m.cpu[0], &run);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), 0x30);
	CHECK_EQ(fake_hw(m.cpu[0])->deliveries, 1);
	CHECK_EQ(bv_vcpu_turn_left(m.cpu[0]), BV_NO_TURN);
	machine_stop(&m);
}

TEST(a_turn_that_is_over_for_another_reason_fires_no_timer)
{
	struct machine m;
	struct bv_run run;

	start_turns(&m, 0x30, 1000000);
	apic_write(m.cpu[0], R_TMICT, 0);
	CHECK_EQ(bv_vcpu_turn_left(m.cpu[0]), BV_NO_TURN);
	fake_clock_advance(2000000);
	fake_exit(m.cpu[0], &turn_over);
	fake_exit(m.cpu[0], &nothing);
	go(m.cpu[0], &run);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), -1);
	machine_stop(&m);
}

TEST(while_the_cpu_sleeps_the_timer_is_the_host_s)
{
	struct machine m;
	struct bv_run run;
	u64 before;

	start_turns(&m, 0x30, 5000000);
	before = fake_clock();
	fake_exit(m.cpu[0], &hlt);
	fake_exit(m.cpu[0], &nothing);
	CHECK_EQ(go(m.cpu[0], &run), BV_RUN_INTERRUPTED);
	CHECK_EQ(fake_clock() - before, 5000000);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), 0x30);
	CHECK_EQ(fake_timers(), 0);
	machine_stop(&m);
}

static struct bv_vcpu *nmi_target;

static void send_nmi(struct bv_timer *timer)
{
	(void)timer;
	bv_vcpu_nmi(nmi_target);
}

TEST(a_cpu_that_something_else_wakes_takes_its_timer_back)
{
	struct machine m;
	struct bv_run run;
	struct bv_timer other;

	start_turns(&m, 0x30, 5000000);
	nmi_target = m.cpu[0];
	bv_host_timer_init(&other, send_nmi);
	bv_host_timer_set(&other, bv_host_ns() + 1000000);
	fake_exit(m.cpu[0], &hlt);
	fake_exit(m.cpu[0], &nothing);
	go(m.cpu[0], &run);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), 2);
	CHECK_EQ(fake_timers(), 0);
	CHECK(bv_vcpu_turn_left(m.cpu[0]) > 4000000 * 2);
	CHECK(bv_vcpu_turn_left(m.cpu[0]) <= 8400000);
	machine_stop(&m);
}

TEST(a_periodic_timer_sets_one_turn_after_the_other)
{
	struct machine m;
	struct bv_run run;

	start_turns(&m, 0x20030, 1000000);
	for (u32 i = 1; i <= 3; i++) {
		fake_clock_advance(1000000);
		fake_exit(m.cpu[0], &turn_over);
		fake_exit(m.cpu[0], &nothing);
		go(m.cpu[0], &run);
		CHECK_EQ(fake_hw(m.cpu[0])->deliveries, i);
		CHECK_EQ(fake_timers(), 0);
		apic_write(m.cpu[0], R_EOI, 0);
	}
	fake_exit(m.cpu[0], &hlt);
	fake_exit(m.cpu[0], &nothing);
	go(m.cpu[0], &run);
	CHECK_EQ(fake_hw(m.cpu[0])->deliveries, 4);
	CHECK_EQ(fake_timers(), 0);
	CHECK(bv_vcpu_turn_is_set(m.cpu[0]));
	machine_stop(&m);
}

TEST(a_deadline_ends_the_turn_by_the_guest_s_tsc)
{
	struct machine m;
	u64 left;

	start_turns(&m, 0x40030, 0);
	CHECK(!bv_vcpu_turn_is_set(m.cpu[0]));
	CHECK(wrmsr(m.cpu[0], MSR_TSC_DEADLINE, bv_vcpu_tsc(m.cpu[0]) + 2100000));
	left = bv_vcpu_turn_left(m.cpu[0]);
	CHECK(left > 2099990 && left <= 2100010);
	bv_tsc_set_offset(m.cpu[0], m.cpu[0]->tsc_offset + 2000000);
	left = bv_vcpu_turn_left(m.cpu[0]);
	CHECK(left > 99990 && left <= 100010);
	CHECK(wrmsr(m.cpu[0], MSR_TSC_DEADLINE, bv_vcpu_tsc(m.cpu[0]) + (1ull << 62)));
	CHECK(bv_vcpu_turn_is_set(m.cpu[0]));
	CHECK(bv_vcpu_turn_left(m.cpu[0]) > 1ull << 61);
	CHECK(wrmsr(m.cpu[0], MSR_TSC_DEADLINE, 0));
	CHECK(!bv_vcpu_turn_is_set(m.cpu[0]));
	machine_stop(&m);
}

TEST(a_tsc_that_went_back_ends_the_turn_and_it_is_measured_anew)
{
	struct machine m;
	struct bv_run run;

	start_turns(&m, 0x30, 1000000);
	m.cpu[0]->turn_begin += 1000000000; /* as after a suspension that cleared the TSC */
	CHECK_EQ(bv_vcpu_turn_left(m.cpu[0]), 0);
	fake_exit(m.cpu[0], &turn_over);
	fake_exit(m.cpu[0], &nothing);
	go(m.cpu[0], &run);
	CHECK_EQ(fake_last_delivered(m.cpu[0]), -1);
	CHECK(bv_vcpu_turn_left(m.cpu[0]) > 2099000);
	machine_stop(&m);
}

TEST(a_host_whose_tsc_has_no_known_rate_keeps_its_timer)
{
	struct machine m;

	fake_reset();
	fake_tsc_khz = 0;
	fake_vendor_use_turns();
	machine_make(&m, 1, CHIPS_FULL);
	machine_enable_apics(&m);
	apic_write(m.cpu[0], R_LVT_TIMER, 0x30);
	apic_write(m.cpu[0], R_TMICT, 1000000);
	CHECK(!bv_vcpu_turn_is_set(m.cpu[0]));
	CHECK_EQ(fake_timers(), 1);
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

/* ---- the same from another thread ---- */

#define START_ROUNDS 3000
#define START_PATIENCE 1000000 /* looks, each of which gives way to the others */

static u32 starts;
static bool starts_over;

static bool counts_and_halts(struct bv_vcpu *vcpu, void *arg)
{
	(void)arg;
	vcpu->exit = hlt;
	__atomic_fetch_add(&starts, 1, __ATOMIC_SEQ_CST);
	return true;
}

static void *started_thread(void *arg)
{
	struct bv_run run = { 0 };

	while (!__atomic_load_n(&starts_over, __ATOMIC_SEQ_CST))
		bv_vcpu_run(arg, &run);
	return NULL;
}

/* So that it is often just looking at its requests. */
static void *started_noise(void *arg)
{
	while (!__atomic_load_n(&starts_over, __ATOMIC_SEQ_CST)) {
		bv_vcpu_request(arg, BV_REQ_PV);
		bv_vcpu_kick(arg);
	}
	return NULL;
}

TEST(no_start_of_a_processor_is_lost_between_threads)
{
	u32 round = 0;
	pthread_t started, noise;
	struct machine m;

	start(&m, 2, CHIPS_FULL);
	starts = 0;
	starts_over = false;
	fake_guest(m.cpu[1], counts_and_halts, NULL);
	pthread_create(&started, NULL, started_thread, m.cpu[1]);
	pthread_create(&noise, NULL, started_noise, m.cpu[1]);
	while (round < START_ROUNDS) {
		u32 before = __atomic_load_n(&starts, __ATOMIC_SEQ_CST), looks = 0;

		apic_write(m.cpu[0], R_ICR, 0xc4500); /* INIT to all others, */
		apic_write(m.cpu[0], R_ICR, 0xc4600 | 0x9a); /* and SIPI */
		while (__atomic_load_n(&starts, __ATOMIC_SEQ_CST) == before &&
		       looks++ < START_PATIENCE)
			sched_yield();
		if (looks > START_PATIENCE)
			break;
		round++;
	}
	__atomic_store_n(&starts_over, true, __ATOMIC_SEQ_CST);
	fake_vcpu(m.cpu[1])->signal = true;
	pthread_join(started, NULL);
	pthread_join(noise, NULL);
	CHECK_EQ(round, START_ROUNDS);
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
