/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8254: its modes as guests see them, reading, the gate, the interrupt, missed ticks, state. */
#include "machine.h"

#define TICKS(n) (((n)*1000000000ULL + 1193181) / 1193182)
#define VECTOR 0x30

/* The tick comes through pin 2 of the I/O APIC. */
static void start(struct machine *m)
{
	machine_start(m, 1, CHIPS_FULL);
	if (bv_pit_create(m->vm, true))
		abort();
	machine_enable_apics(m);
	out(m->cpu[0], 0x21, 0xff);
	ioapic_pin(m->cpu[0], 2, VECTOR, 0);
}

static void load(struct bv_vcpu *cpu, unsigned int channel, u8 mode, u16 count)
{
	out(cpu, 0x43, (u8)(channel << 6 | 0x30 | mode << 1));
	out(cpu, (u16)(0x40 + channel), (u8)count);
	out(cpu, (u16)(0x40 + channel), (u8)(count >> 8));
}

static u16 read_word(struct bv_vcpu *cpu, unsigned int channel)
{
	u8 low = in(cpu, (u16)(0x40 + channel));

	return (u16)(low | in(cpu, (u16)(0x40 + channel)) << 8);
}

static u16 latched(struct bv_vcpu *cpu, unsigned int channel)
{
	out(cpu, 0x43, (u8)(channel << 6));
	return read_word(cpu, channel);
}

static unsigned int drain(struct bv_vcpu *cpu)
{
	unsigned int ticks = 0;

	while (take(cpu) == VECTOR) {
		ticks++;
		eoi(cpu);
	}
	return ticks;
}

/* ---- the interrupt ---- */

TEST(mode_2_ticks)
{
	struct machine m;

	start(&m);
	load(m.cpu[0], 0, 2, 11932); /* 100 Hz */
	fake_clock_advance(TICKS(11932) - 1);
	CHECK_EQ(pending(m.cpu[0]), -1);
	fake_clock_advance(1);
	CHECK_EQ(drain(m.cpu[0]), 1);
	for (unsigned int i = 0; i < 99; i++) {
		fake_clock_advance(TICKS(11932));
		CHECK_EQ(drain(m.cpu[0]), 1);
	}
	machine_stop(&m);
}

TEST(modes_0_and_4_tick_once)
{
	struct machine m;

	start(&m);
	for (u8 mode = 0; mode <= 4; mode += 4) {
		load(m.cpu[0], 0, mode, 1000);
		fake_clock_advance(TICKS(1000) + 1);
		CHECK_EQ(drain(m.cpu[0]), 1);
		fake_clock_advance(1000000000);
		CHECK_EQ(drain(m.cpu[0]), 0);
	}
	machine_stop(&m);
}

TEST(modes_1_and_5_wait_for_a_gate_that_never_comes)
{
	struct machine m;

	start(&m);
	for (u8 mode = 1; mode <= 5; mode += 4) {
		load(m.cpu[0], 0, mode, 1000);
		fake_clock_advance(1000000000);
		CHECK_EQ(drain(m.cpu[0]), 0);
	}
	machine_stop(&m);
}

TEST(a_control_word_stops_the_ticks_until_a_count_comes)
{
	struct machine m;

	start(&m);
	load(m.cpu[0], 0, 2, 11932);
	out(m.cpu[0], 0x43, 0x34);
	fake_clock_advance(100000000);
	CHECK_EQ(drain(m.cpu[0]), 0);
	out(m.cpu[0], 0x40, 0);
	fake_clock_advance(100000000);
	CHECK_EQ(drain(m.cpu[0]), 0);
	out(m.cpu[0], 0x40, 0);
	fake_clock_advance(TICKS(65536));
	CHECK_EQ(drain(m.cpu[0]), 1);
	machine_stop(&m);
}

TEST(missed_ticks_come_later_one_by_one)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m);
	cpu = m.cpu[0];
	load(cpu, 0, 2, 11932);
	for (unsigned int i = 0; i < 10; i++)
		fake_clock_advance(TICKS(11932));
	CHECK_EQ(drain(cpu), 10);
	machine_stop(&m);
}

TEST(a_host_timer_that_comes_late_loses_no_tick)
{
	struct machine m;

	start(&m);
	load(m.cpu[0], 0, 2, 11932);
	fake_timers_late(TICKS(11932) * 3);
	fake_clock_advance(TICKS(11932));
	CHECK_EQ(drain(m.cpu[0]), 4);
	fake_timers_late(0);
	fake_clock_advance(TICKS(11932));
	CHECK_EQ(drain(m.cpu[0]), 1);
	machine_stop(&m);
}

TEST(without_reinjection_missed_ticks_are_gone)
{
	struct machine m;

	start(&m);
	CHECK_EQ(bv_pit_reinject(m.vm, false), 0);
	load(m.cpu[0], 0, 2, 11932);
	for (unsigned int i = 0; i < 10; i++)
		fake_clock_advance(TICKS(11932));
	CHECK_EQ(drain(m.cpu[0]), 1);
	CHECK_EQ(bv_pit_reinject(m.vm, true), 0);
	for (unsigned int i = 0; i < 10; i++)
		fake_clock_advance(TICKS(11932));
	CHECK_EQ(drain(m.cpu[0]), 10);
	machine_stop(&m);
}

TEST(ticks_that_nobody_wants_are_not_missed)
{
	struct machine m;

	start(&m);
	ioapic_pin(m.cpu[0], 2, VECTOR | RTE_MASKED, 0);
	load(m.cpu[0], 0, 2, 11932);
	fake_clock_advance(TICKS(11932) * 100);
	ioapic_pin(m.cpu[0], 2, VECTOR, 0);
	CHECK_EQ(drain(m.cpu[0]), 0);
	fake_clock_advance(TICKS(11932));
	CHECK_EQ(drain(m.cpu[0]), 1);
	machine_stop(&m);
}

TEST(missed_ticks_come_through_the_8259_too)
{
	struct machine m;
	struct bv_vcpu *cpu;
	unsigned int ticks = 0;

	start(&m);
	cpu = m.cpu[0];
	ioapic_pin(cpu, 2, VECTOR | RTE_MASKED, 0);
	out(cpu, 0x20, 0x11);
	out(cpu, 0x21, 0x20);
	out(cpu, 0x21, 0x04);
	out(cpu, 0x21, 0x01);
	out(cpu, 0x21, 0xfe);
	apic_write(cpu, R_LINT0, 0x700);
	load(cpu, 0, 2, 11932);
	for (unsigned int i = 0; i < 10; i++)
		fake_clock_advance(TICKS(11932));
	while (take(cpu) == 0x20) {
		ticks++;
		out(cpu, 0x20, 0x20);
	}
	CHECK_EQ(ticks, 10);
	machine_stop(&m);
}

TEST(losing_an_acknowledgement_does_not_stop_the_ticks)
{
	struct machine m;

	start(&m);
	load(m.cpu[0], 0, 2, 11932);
	fake_clock_advance(TICKS(11932));
	m.vm->intc->vcpu_reset(m.cpu[0], true);
	apic_enable(m.cpu[0]);
	fake_clock_advance(TICKS(11932));
	CHECK(drain(m.cpu[0]) >= 1);
	machine_stop(&m);
}

TEST(a_guest_cannot_make_the_host_s_timer_storm)
{
	struct machine m;
	unsigned int ticks = 0;

	start(&m);
	load(m.cpu[0], 0, 2, 1);
	for (unsigned int i = 0; i < 10000; i++) {
		fake_clock_advance(1000);
		ticks += drain(m.cpu[0]);
	}
	CHECK(ticks <= 51);
	machine_stop(&m);
}

/* ---- reading ---- */

TEST(the_count_goes_down)
{
	struct machine m;

	start(&m);
	load(m.cpu[0], 0, 2, 10000);
	CHECK_EQ(read_word(m.cpu[0], 0), 10000);
	fake_clock_advance(TICKS(4000));
	CHECK_EQ(read_word(m.cpu[0], 0), 6000);
	fake_clock_advance(TICKS(7000));
	CHECK_EQ(read_word(m.cpu[0], 0), 9000);
	load(m.cpu[0], 0, 0, 100);
	fake_clock_advance(TICKS(300));
	CHECK_EQ(read_word(m.cpu[0], 0), 65536 - 200);
	load(m.cpu[0], 0, 3, 10000);
	fake_clock_advance(TICKS(1000));
	CHECK_EQ(read_word(m.cpu[0], 0), 8000);
	machine_stop(&m);
}

TEST(a_latched_count_stands_still_and_is_read_in_its_order)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m);
	cpu = m.cpu[0];
	load(cpu, 0, 2, 0x1234);
	out(cpu, 0x43, 0x00);
	fake_clock_advance(TICKS(100));
	out(cpu, 0x43, 0x00); /* latched already: ignored */
	CHECK_EQ(in(cpu, 0x40), 0x34);
	fake_clock_advance(TICKS(100));
	CHECK_EQ(in(cpu, 0x40), 0x12);
	CHECK_EQ(latched(cpu, 0), 0x1234 - 200);
	out(cpu, 0x43, 0x14); /* low byte only */
	out(cpu, 0x40, 0x50);
	CHECK_EQ(in(cpu, 0x40), 0x50);
	CHECK_EQ(in(cpu, 0x40), 0x50);
	out(cpu, 0x43, 0x24); /* high byte only */
	out(cpu, 0x40, 0x50);
	CHECK_EQ(in(cpu, 0x40), 0x50);
	machine_stop(&m);
}

TEST(read_back)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m);
	cpu = m.cpu[0];
	load(cpu, 0, 2, 0x4000);
	out(cpu, 0x43, 0xc2); /* status and count of channel 0 */
	CHECK_EQ(in(cpu, 0x40), 0x80 | 0x30 | 2 << 1);
	CHECK_EQ(read_word(cpu, 0), 0x4000);
	out(cpu, 0x43, 0x30); /* mode 0, no count yet */
	out(cpu, 0x43, 0xe2);
	CHECK_EQ(in(cpu, 0x40), 0x40 | 0x30);
	out(cpu, 0x40, 10);
	out(cpu, 0x40, 0);
	fake_clock_advance(TICKS(20));
	out(cpu, 0x43, 0xe2);
	CHECK_EQ(in(cpu, 0x40), 0x80 | 0x30);
	machine_stop(&m);
}

TEST(bcd)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m);
	cpu = m.cpu[0];
	out(cpu, 0x43, 0x35);
	out(cpu, 0x40, 0x00);
	out(cpu, 0x40, 0x10); /* 1000 */
	fake_clock_advance(TICKS(1));
	CHECK_EQ(read_word(cpu, 0), 0x0999);
	out(cpu, 0x40, 0x00);
	out(cpu, 0x40, 0x00); /* 10000 */
	fake_clock_advance(TICKS(1));
	CHECK_EQ(read_word(cpu, 0), 0x9999);
	machine_stop(&m);
}

/* ---- channel 2 and port 0x61 ---- */

TEST(the_output_of_channel_2_in_mode_0)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m);
	cpu = m.cpu[0];
	out(cpu, 0x61, 0x01);
	CHECK_EQ(in(cpu, 0x61) & 0x2f, 0x01);
	load(cpu, 2, 0, 1000);
	CHECK_EQ(in(cpu, 0x61) & 0x20, 0);
	fake_clock_advance(TICKS(1000) - 1000);
	CHECK_EQ(in(cpu, 0x61) & 0x20, 0);
	fake_clock_advance(1000);
	CHECK_EQ(in(cpu, 0x61) & 0x20, 0x20);
	machine_stop(&m);
}

TEST(the_gate_stops_and_starts_counting)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m);
	cpu = m.cpu[0];
	load(cpu, 2, 0, 1000); /* the gate is low */
	fake_clock_advance(TICKS(5000));
	CHECK_EQ(in(cpu, 0x61) & 0x20, 0);
	CHECK_EQ(latched(cpu, 2), 1000);
	out(cpu, 0x61, 0x01);
	fake_clock_advance(TICKS(600));
	out(cpu, 0x61, 0x00);
	fake_clock_advance(TICKS(5000));
	CHECK_EQ(latched(cpu, 2), 400);
	out(cpu, 0x61, 0x01);
	fake_clock_advance(TICKS(400));
	CHECK_EQ(in(cpu, 0x61) & 0x20, 0x20);
	machine_stop(&m);
}

TEST(the_gate_triggers_modes_1_and_restarts_mode_3)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m);
	cpu = m.cpu[0];
	load(cpu, 2, 1, 1000);
	CHECK_EQ(in(cpu, 0x61) & 0x20, 0x20);
	out(cpu, 0x61, 0x01);
	CHECK_EQ(in(cpu, 0x61) & 0x20, 0);
	fake_clock_advance(TICKS(1000));
	CHECK_EQ(in(cpu, 0x61) & 0x20, 0x20);
	load(cpu, 2, 3, 1000);
	CHECK_EQ(in(cpu, 0x61) & 0x20, 0x20);
	fake_clock_advance(TICKS(600));
	CHECK_EQ(in(cpu, 0x61) & 0x20, 0);
	out(cpu, 0x61, 0x00); /* low gate: output high */
	CHECK_EQ(in(cpu, 0x61) & 0x20, 0x20);
	out(cpu, 0x61, 0x01);
	fake_clock_advance(TICKS(400));
	CHECK_EQ(in(cpu, 0x61) & 0x20, 0x20);
	machine_stop(&m);
}

TEST(port_61_bits)
{
	struct machine m;
	u8 first;

	start(&m);
	out(m.cpu[0], 0x61, 0x03);
	CHECK_EQ(in(m.cpu[0], 0x61) & 3, 3);
	first = in(m.cpu[0], 0x61) & 0x10;
	fake_clock_advance(1 << 14);
	CHECK(first != (in(m.cpu[0], 0x61) & 0x10));
	machine_stop(&m);
}

/* ---- life and state ---- */

TEST(creation_has_its_rules)
{
	struct machine m;
	struct bv_pit_state state;

	machine_start(&m, 1, CHIPS_SPLIT);
	CHECK_EQ(bv_pit_create(m.vm, true), -BV_ENOENT);
	CHECK(!bv_pit_present(m.vm));
	CHECK_EQ(bv_pit_get(m.vm, &state), -BV_ENXIO);
	machine_stop(&m);
	start(&m);
	CHECK_EQ(bv_pit_create(m.vm, true), -BV_EEXIST);
	CHECK(bv_pit_present(m.vm));
	machine_stop(&m);
}

TEST(without_a_speaker_port_61_is_not_ours)
{
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	CHECK_EQ(bv_pit_create(m.vm, false), 0);
	CHECK_EQ(bus_read(m.cpu[0], BV_BUS_PORT, 0x61, 1), ~0ULL);
	machine_stop(&m);
}

TEST(no_memory_leaves_nothing_behind)
{
	struct machine m;
	long fails;
	int error;

	for (fails = 1; fails < 10; fails++) {
		machine_start(&m, 1, CHIPS_FULL);
		fake_fail_alloc_after(fails);
		error = bv_pit_create(m.vm, true);
		CHECK(error == 0 || error == -BV_ENOMEM);
		CHECK_EQ(bv_pit_present(m.vm), !error);
		machine_stop(&m);
	}
	CHECK_EQ(error, 0);
}

static void check_same(const struct bv_pit_channel_state *one,
		       const struct bv_pit_channel_state *two)
{
	CHECK_EQ(one->count, two->count);
	CHECK_EQ(one->load_ns, two->load_ns);
	CHECK_EQ(one->mode, two->mode);
	CHECK_EQ(one->gate, two->gate);
	CHECK_EQ(one->rw_mode, two->rw_mode);
	CHECK_EQ(one->read_state, two->read_state);
	CHECK_EQ(one->write_state, two->write_state);
	CHECK_EQ(one->bcd, two->bcd);
}

TEST(state_goes_out_and_comes_back)
{
	struct bv_pit_state one, two;
	struct machine m;

	start(&m);
	load(m.cpu[0], 0, 2, 20000);
	load(m.cpu[0], 2, 3, 1000);
	out(m.cpu[0], 0x61, 0x03);
	fake_clock_advance(TICKS(5000));
	CHECK_EQ(bv_pit_get(m.vm, &one), 0);
	CHECK_EQ(one.channel[0].count, 20000);
	CHECK_EQ(one.channel[0].mode, 2);
	CHECK_EQ(one.channel[1].gate, 1);
	CHECK(one.speaker_data_on);
	load(m.cpu[0], 0, 0, 1);
	CHECK_EQ(bv_pit_set(m.vm, &one), 0);
	CHECK_EQ(bv_pit_get(m.vm, &two), 0);
	for (unsigned int i = 0; i < 3; i++)
		check_same(&one.channel[i], &two.channel[i]);
	CHECK_EQ(two.speaker_data_on, true);
	CHECK_EQ(read_word(m.cpu[0], 0), 15000);
	fake_clock_advance(TICKS(15000) - 10);
	CHECK_EQ(drain(m.cpu[0]), 0);
	fake_clock_advance(20);
	CHECK_EQ(drain(m.cpu[0]), 1);
	one.channel[1].count = 65537;
	CHECK_EQ(bv_pit_set(m.vm, &one), -BV_EINVAL);
	machine_stop(&m);
}

TEST(a_count_loaded_before_the_host_started_goes_on)
{
	struct bv_pit_state state;
	struct machine m;

	start(&m);
	load(m.cpu[0], 0, 2, 11932);
	load(m.cpu[0], 2, 0, 100);
	bv_pit_get(m.vm, &state);
	for (unsigned int i = 0; i < 3; i++)
		state.channel[i].load_ns = fake_clock() - 3600 * 1000000000ULL;
	bv_pit_set(m.vm, &state);
	fake_clock_advance(TICKS(11932));
	CHECK_EQ(drain(m.cpu[0]), 1);
	out(m.cpu[0], 0x61, 1);
	CHECK_EQ(in(m.cpu[0], 0x61) & 0x20, 0x20);
	state.channel[0].load_ns = fake_clock() + 3600 * 1000000000ULL; /* nonsense */
	bv_pit_set(m.vm, &state);
	fake_clock_advance(TICKS(11932));
	CHECK_EQ(drain(m.cpu[0]), 1);
	machine_stop(&m);
}

TEST(the_hpet_can_take_over)
{
	struct bv_pit_state state;
	struct machine m;

	start(&m);
	load(m.cpu[0], 0, 2, 11932);
	bv_pit_get(m.vm, &state);
	state.hpet_legacy = true;
	bv_pit_set(m.vm, &state);
	fake_clock_advance(100000000);
	CHECK_EQ(drain(m.cpu[0]), 0);
	CHECK(read_word(m.cpu[0], 0) <= 11932);
	state.hpet_legacy = false;
	bv_pit_set(m.vm, &state);
	fake_clock_advance(TICKS(11932));
	CHECK_EQ(drain(m.cpu[0]), 1);
	machine_stop(&m);
}
