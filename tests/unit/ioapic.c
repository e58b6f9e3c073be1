/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The I/O APIC: edges, levels and their ends, masks, registers, state. */
#include <pthread.h>
#include <sched.h>

#include "machine.h"

#define PIN 5 /* gsi 5, of the default routes */
#define VECTOR 0x61

static void start(struct machine *m, unsigned int cpus)
{
	machine_start(m, cpus, CHIPS_FULL);
	machine_enable_apics(m);
	for (unsigned int i = 0; i < 2; i++) /* the 8259 pair keeps out of it */
		out(m->cpu[0], i ? 0xa1 : 0x21, 0xff);
}

static int line(struct machine *m, bool level)
{
	return bv_irq_line(m->vm, PIN, 0, level);
}

static int pulse(struct machine *m)
{
	int result = line(m, true);

	line(m, false);
	return result;
}

TEST(registers)
{
	struct machine m;

	start(&m, 1);
	CHECK_EQ(ioapic_read(m.cpu[0], 1), 0x170011);
	ioapic_write(m.cpu[0], 0, 0x0f000000);
	CHECK_EQ(ioapic_read(m.cpu[0], 0), 0x0f000000);
	CHECK_EQ(ioapic_read(m.cpu[0], 2), 0x0f000000);
	CHECK_EQ(ioapic_read(m.cpu[0], 0x10), RTE_MASKED);
	CHECK_EQ(ioapic_read(m.cpu[0], 0x3f), 0);
	CHECK_EQ(ioapic_read(m.cpu[0], 0x40), 0);
	ioapic_write(m.cpu[0], 0x12, 0xffffffff);
	CHECK_EQ(ioapic_read(m.cpu[0], 0x12),
		 0x1afff); /* status and remote IRR are not the guest's */
	bus_write(m.cpu[0], BV_BUS_MMIO, IOAPIC_PAGE, 1, 0x01);
	CHECK_EQ(bus_read(m.cpu[0], BV_BUS_MMIO, IOAPIC_PAGE, 1), 1);
	CHECK_EQ(bus_read(m.cpu[0], BV_BUS_MMIO, IOAPIC_PAGE + 0x10, 2), 0x0011);
	machine_stop(&m);
}

TEST(an_edge_is_one_interrupt)
{
	struct machine m;

	start(&m, 1);
	ioapic_pin(m.cpu[0], PIN, VECTOR, 0);
	CHECK_EQ(line(&m, true), 1);
	CHECK_EQ(line(&m, true), 0);
	CHECK_EQ(take(m.cpu[0]), VECTOR);
	eoi(m.cpu[0]);
	CHECK_EQ(pending(m.cpu[0]), -1);
	line(&m, false);
	CHECK_EQ(line(&m, true), 1);
	CHECK_EQ(take(m.cpu[0]), VECTOR);
	machine_stop(&m);
}

TEST(edges_that_come_too_quickly_are_told)
{
	struct machine m;

	start(&m, 1);
	ioapic_pin(m.cpu[0], PIN, VECTOR, 0);
	CHECK_EQ(pulse(&m), 1);
	CHECK_EQ(pulse(&m), 0);
	take(m.cpu[0]);
	CHECK_EQ(pulse(&m), 1);
	machine_stop(&m);
}

TEST(an_edge_while_masked_is_gone)
{
	struct machine m;

	start(&m, 1);
	ioapic_pin(m.cpu[0], PIN, VECTOR | RTE_MASKED, 0);
	CHECK_EQ(pulse(&m), 0);
	ioapic_pin(m.cpu[0], PIN, VECTOR, 0);
	CHECK_EQ(pending(m.cpu[0]), -1);
	CHECK_EQ(pulse(&m), 1);
	machine_stop(&m);
}

TEST(a_level_comes_back_after_its_end_while_the_line_is_high)
{
	struct machine m;

	start(&m, 1);
	ioapic_pin(m.cpu[0], PIN, VECTOR | RTE_LEVEL, 0);
	CHECK_EQ(line(&m, true), 1);
	CHECK(ioapic_read(m.cpu[0], 0x10 + 2 * PIN) & RTE_REMOTE_IRR);
	CHECK_EQ(line(&m, true), 0);
	CHECK_EQ(take(m.cpu[0]), VECTOR);
	CHECK(vector_bit(m.cpu[0], R_TMR, VECTOR));
	told(m.cpu[0]);
	eoi(m.cpu[0]);
	CHECK(told(m.cpu[0]));
	CHECK_EQ(take(m.cpu[0]), VECTOR);
	line(&m, false);
	eoi(m.cpu[0]);
	CHECK_EQ(pending(m.cpu[0]), -1);
	CHECK(!(ioapic_read(m.cpu[0], 0x10 + 2 * PIN) & RTE_REMOTE_IRR));
	machine_stop(&m);
}

TEST(a_level_while_masked_waits)
{
	struct machine m;

	start(&m, 1);
	ioapic_pin(m.cpu[0], PIN, VECTOR | RTE_LEVEL | RTE_MASKED, 0);
	line(&m, true);
	CHECK_EQ(pending(m.cpu[0]), -1);
	ioapic_write(m.cpu[0], 0x10 + 2 * PIN, VECTOR | RTE_LEVEL);
	CHECK_EQ(pending(m.cpu[0]), VECTOR);
	machine_stop(&m);
}

TEST(sources_of_a_line_are_wired_together)
{
	struct machine m;

	start(&m, 1);
	ioapic_pin(m.cpu[0], PIN, VECTOR | RTE_LEVEL, 0);
	bv_irq_line(m.vm, PIN, 0, true);
	bv_irq_line(m.vm, PIN, 7, true);
	bv_irq_line(m.vm, PIN, 0, false);
	take(m.cpu[0]);
	eoi(m.cpu[0]);
	CHECK_EQ(take(m.cpu[0]), VECTOR);
	bv_irq_line(m.vm, PIN, 7, false);
	eoi(m.cpu[0]);
	CHECK_EQ(pending(m.cpu[0]), -1);
	machine_stop(&m);
}

TEST(to_edge_and_back_frees_a_stuck_pin)
{
	struct machine m;

	start(&m, 1);
	ioapic_pin(m.cpu[0], PIN, VECTOR | RTE_LEVEL, 0);
	line(&m, true);
	m.vm->intc->vcpu_reset(m.cpu[0], true); /* its end is never told */
	apic_enable(m.cpu[0]);
	CHECK_EQ(pending(m.cpu[0]), -1);
	ioapic_write(m.cpu[0], 0x10 + 2 * PIN, VECTOR | RTE_MASKED);
	ioapic_write(m.cpu[0], 0x10 + 2 * PIN, VECTOR | RTE_LEVEL);
	CHECK_EQ(pending(m.cpu[0]), VECTOR);
	machine_stop(&m);
}

TEST(a_level_that_nobody_took_is_tried_again)
{
	struct machine m;

	start(&m, 2);
	apic_write(m.cpu[1], R_SPIV, 0xff);
	ioapic_pin(m.cpu[0], PIN, VECTOR | RTE_LEVEL, 1);
	CHECK_EQ(line(&m, true), 0);
	apic_enable(m.cpu[1]);
	CHECK_EQ(pending(m.cpu[1]), VECTOR);
	machine_stop(&m);
}

TEST(an_edge_vector_of_the_same_number_does_not_end_a_level)
{
	struct bv_msi message = { 0xfee00000 | 1 << 12, VECTOR };
	struct machine m;

	start(&m, 2);
	ioapic_pin(m.cpu[0], PIN, VECTOR | RTE_LEVEL, 0);
	line(&m, true);
	take(m.cpu[0]);
	bv_irq_msi(m.vm, &message);
	take(m.cpu[1]);
	eoi(m.cpu[1]);
	CHECK(ioapic_read(m.cpu[0], 0x10 + 2 * PIN) & RTE_REMOTE_IRR);
	machine_stop(&m);
}

TEST(lowest_priority_and_logical_destinations)
{
	struct machine m;

	start(&m, 2);
	apic_write(m.cpu[0], R_LDR, 1u << 24);
	apic_write(m.cpu[1], R_LDR, 2u << 24);
	apic_write(m.cpu[0], R_TPR, 0x20);
	ioapic_pin(m.cpu[0], PIN, VECTOR | 0x100 | RTE_LOGICAL, 3);
	CHECK_EQ(pulse(&m), 1);
	CHECK_EQ(take(m.cpu[1]), VECTOR);
	CHECK_EQ(take(m.cpu[0]), -1);
	ioapic_pin(m.cpu[0], PIN, VECTOR | RTE_LOGICAL, 3); /* fixed: both */
	eoi(m.cpu[1]);
	CHECK_EQ(pulse(&m), 2);
	machine_stop(&m);
}

TEST(a_pin_can_be_an_nmi)
{
	struct machine m;

	start(&m, 2);
	ioapic_pin(m.cpu[0], PIN, 0x400, 1);
	CHECK_EQ(pulse(&m), 1);
	CHECK_EQ(m.cpu[1]->nmi_queued, 1);
	machine_stop(&m);
}

TEST(a_storm_gets_a_pause_and_goes_on)
{
	struct machine m;
	unsigned int taken = 0;

	start(&m, 1);
	ioapic_pin(m.cpu[0], PIN, VECTOR | RTE_LEVEL, 0);
	line(&m, true);
	while (take(m.cpu[0]) >= 0 && taken++ < 100000)
		eoi(m.cpu[0]);
	CHECK_EQ(taken, 10000);
	fake_clock_advance(9000000);
	CHECK_EQ(pending(m.cpu[0]), -1);
	fake_clock_advance(1000000);
	CHECK_EQ(take(m.cpu[0]), VECTOR);
	machine_stop(&m);
}

TEST(a_level_s_storm_is_forgotten_when_the_line_drops)
{
	struct machine m;

	start(&m, 1);
	ioapic_pin(m.cpu[0], PIN, VECTOR | RTE_LEVEL, 0);
	for (unsigned int i = 0; i < 20000; i++) {
		line(&m, true);
		take(m.cpu[0]);
		line(&m, false);
		eoi(m.cpu[0]);
	}
	line(&m, true);
	CHECK_EQ(take(m.cpu[0]), VECTOR);
	machine_stop(&m);
}

TEST(state_goes_out_and_comes_back)
{
	struct bv_ioapic_state one, two;
	struct machine m;

	start(&m, 1);
	ioapic_write(m.cpu[0], 0, 0x03000000);
	ioapic_pin(m.cpu[0], PIN, VECTOR | RTE_LEVEL, 0);
	ioapic_pin(m.cpu[0], 7, 0x71, 0);
	line(&m, true);
	bv_irq_line(m.vm, 7, 0, true);
	CHECK_EQ(bv_ioapic_get(m.vm, &one), 0);
	CHECK_EQ(one.irr, 1u << PIN); /* the edge has become a message */
	CHECK_EQ(one.id, 3);
	CHECK_EQ(one.base, IOAPIC_PAGE);
	take(m.cpu[0]);
	take(m.cpu[0]);
	CHECK_EQ(bv_ioapic_set(m.vm, &one), 0);
	CHECK_EQ(bv_ioapic_get(m.vm, &two), 0);
	CHECK(!memcmp(&one, &two, sizeof(one)));
	CHECK_EQ(pending(m.cpu[0]), -1); /* remote IRR: on its way already */
	eoi(m.cpu[0]); /* 0x71 */
	eoi(m.cpu[0]);
	CHECK_EQ(pending(m.cpu[0]), VECTOR);
	machine_stop(&m);
}

TEST(a_line_restored_as_high_interrupts_where_it_had_not_yet)
{
	struct bv_ioapic_state state;
	struct machine m;

	start(&m, 1);
	bv_ioapic_get(m.vm, &state);
	state.irr = 1u << PIN;
	state.redirect[PIN] = VECTOR | RTE_LEVEL;
	bv_ioapic_set(m.vm, &state);
	CHECK_EQ(take(m.cpu[0]), VECTOR);
	line(&m, false);
	eoi(m.cpu[0]);
	CHECK_EQ(pending(m.cpu[0]), -1);
	machine_stop(&m);
}

/* ---- between threads ---- */

#define RACE_ROUNDS 20000

static volatile u32 serviced;

/*
 * A device that raises its line again as soon as the driver has lowered it. Who waits gives way:
 * the two may have one CPU between them.
 */
static void *race_device(void *arg)
{
	struct machine *m = arg;

	for (u32 i = 0; i < RACE_ROUNDS; i++) {
		line(m, true);
		while (__atomic_load_n(&serviced, __ATOMIC_SEQ_CST) == i)
			sched_yield();
	}
	return NULL;
}

TEST(no_level_is_lost_between_threads)
{
	struct machine m;
	pthread_t device;
	u32 idle = 0;

	start(&m, 1);
	ioapic_pin(m.cpu[0], PIN, VECTOR | RTE_LEVEL, 0);
	pthread_create(&device, NULL, race_device, &m);
	while (serviced < RACE_ROUNDS && idle < 100000000) {
		if (take(m.cpu[0]) != VECTOR) {
			idle++;
			sched_yield();
			continue;
		}
		idle = 0;
		line(&m, false);
		__atomic_fetch_add(&serviced, 1, __ATOMIC_SEQ_CST);
		eoi(m.cpu[0]);
	}
	CHECK_EQ(serviced, RACE_ROUNDS);
	pthread_join(device, NULL);
	machine_stop(&m);
}
