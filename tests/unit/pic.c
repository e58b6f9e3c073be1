/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8259 pair: priorities, ends, modes, reading, the level registers, state. */
#include "machine.h"

/* Initialized as a PC's firmware does: vectors 0x20 and 0x28, all unmasked. */
static void pics_init(struct bv_vcpu *cpu, u8 icw4)
{
	out(cpu, 0x20, 0x11);
	out(cpu, 0x21, 0x20);
	out(cpu, 0x21, 0x04);
	out(cpu, 0x21, icw4);
	out(cpu, 0xa0, 0x11);
	out(cpu, 0xa1, 0x28);
	out(cpu, 0xa1, 0x02);
	out(cpu, 0xa1, icw4);
}

static void start(struct machine *m, unsigned int cpus)
{
	machine_start(m, cpus, CHIPS_FULL);
	pics_init(m->cpu[0], 0x01);
}

static int line(struct machine *m, u32 irq, bool level)
{
	return bv_irq_line(m->vm, irq, 0, level);
}

static void pulse(struct machine *m, u32 irq)
{
	line(m, irq, true);
	line(m, irq, false);
}

TEST(an_edge_reaches_the_boot_processor)
{
	struct machine m;

	start(&m, 2);
	told(m.cpu[0]);
	CHECK_EQ(line(&m, 3, true), 1);
	CHECK(told(m.cpu[0]));
	CHECK_EQ(pending(m.cpu[0]), 0x23);
	CHECK_EQ(pending(m.cpu[1]), -1);
	CHECK_EQ(take(m.cpu[0]), 0x23);
	CHECK_EQ(pending(m.cpu[0]), -1);
	out(m.cpu[0], 0x20, 0x20);
	CHECK_EQ(pending(m.cpu[0]), -1);
	line(&m, 3, false);
	line(&m, 3, true);
	CHECK_EQ(take(m.cpu[0]), 0x23);
	machine_stop(&m);
}

TEST(requests_that_are_the_same_are_told)
{
	struct machine m;

	start(&m, 1);
	CHECK_EQ(line(&m, 3, true), 1);
	line(&m, 3, false);
	CHECK_EQ(line(&m, 3, true), 0);
	out(m.cpu[0], 0x21, 0x08);
	line(&m, 3, false);
	CHECK_EQ(line(&m, 3, true), 0); /* masked, at both chips */
	machine_stop(&m);
}

TEST(priorities_and_nesting)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m, 1);
	cpu = m.cpu[0];
	pulse(&m, 4);
	pulse(&m, 1);
	CHECK_EQ(take(cpu), 0x21);
	CHECK_EQ(pending(cpu), -1);
	pulse(&m, 0);
	CHECK_EQ(take(cpu), 0x20);
	out(cpu, 0x20, 0x20);
	CHECK_EQ(pending(cpu), -1); /* line 1 is still in service */
	out(cpu, 0x20, 0x20);
	CHECK_EQ(take(cpu), 0x24);
	machine_stop(&m);
}

TEST(the_slave_comes_through_line_2)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m, 1);
	cpu = m.cpu[0];
	pulse(&m, 3);
	pulse(&m, 12);
	CHECK_EQ(take(cpu), 0x2c);
	CHECK_EQ(pending(cpu), -1);
	out(cpu, 0x20, 0x0b);
	CHECK_EQ(in(cpu, 0x20), 0x04);
	out(cpu, 0xa0, 0x0b);
	CHECK_EQ(in(cpu, 0xa0), 0x10);
	pulse(&m, 9); /* higher at the slave, but line 2 is in service */
	CHECK_EQ(pending(cpu), -1);
	out(cpu, 0xa0, 0x20);
	CHECK_EQ(pending(cpu), -1);
	out(cpu, 0x20, 0x20);
	CHECK_EQ(take(cpu), 0x29);
	out(cpu, 0xa0, 0x20);
	out(cpu, 0x20, 0x20);
	CHECK_EQ(take(cpu), 0x23);
	machine_stop(&m);
}

TEST(special_fully_nested_mode_lets_the_slave_nest)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m, 1);
	cpu = m.cpu[0];
	pics_init(cpu, 0x11);
	pulse(&m, 12);
	CHECK_EQ(take(cpu), 0x2c);
	pulse(&m, 9);
	CHECK_EQ(take(cpu), 0x29);
	machine_stop(&m);
}

TEST(a_masked_line_waits)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m, 1);
	cpu = m.cpu[0];
	out(cpu, 0x21, 0x08);
	CHECK_EQ(in(cpu, 0x21), 0x08);
	pulse(&m, 3);
	CHECK_EQ(pending(cpu), -1);
	told(cpu);
	out(cpu, 0x21, 0x00);
	CHECK(told(cpu));
	CHECK_EQ(take(cpu), 0x23);
	machine_stop(&m);
}

TEST(automatic_end)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m, 1);
	cpu = m.cpu[0];
	pics_init(cpu, 0x03);
	pulse(&m, 3);
	CHECK_EQ(take(cpu), 0x23);
	pulse(&m, 5);
	CHECK_EQ(take(cpu), 0x25);
	out(cpu, 0x20, 0x80); /* and rotating */
	pulse(&m, 3);
	CHECK_EQ(take(cpu), 0x23);
	pulse(&m, 3);
	pulse(&m, 4);
	CHECK_EQ(take(cpu), 0x24);
	CHECK_EQ(take(cpu), 0x23);
	machine_stop(&m);
}

TEST(rotation)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m, 1);
	cpu = m.cpu[0];
	out(cpu, 0x20, 0xc4); /* line 4 last: 5 first */
	pulse(&m, 0);
	pulse(&m, 6);
	CHECK_EQ(take(cpu), 0x26);
	out(cpu, 0x20, 0xa0); /* end, and 6 last: 7, 0, … */
	CHECK_EQ(take(cpu), 0x20);
	pulse(&m, 7);
	CHECK_EQ(take(cpu), 0x27);
	out(cpu, 0x20, 0xe7); /* end of line 7, and 7 last */
	CHECK_EQ(pending(cpu), -1); /* 0 in service */
	out(cpu, 0x20, 0x60); /* end of line 0 */
	pulse(&m, 7);
	pulse(&m, 1);
	CHECK_EQ(take(cpu), 0x21);
	machine_stop(&m);
}

TEST(special_mask_mode)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m, 1);
	cpu = m.cpu[0];
	pulse(&m, 1);
	CHECK_EQ(take(cpu), 0x21);
	pulse(&m, 4);
	out(cpu, 0x21, 0x02);
	CHECK_EQ(pending(cpu), -1);
	out(cpu, 0x20, 0x68); /* on */
	CHECK_EQ(take(cpu), 0x24);
	out(cpu, 0x20, 0x20); /* ends line 4: line 1 is masked out */
	out(cpu, 0x20, 0x0b);
	CHECK_EQ(in(cpu, 0x20), 0x02);
	out(cpu, 0x20, 0x48); /* off */
	pulse(&m, 5);
	CHECK_EQ(pending(cpu), -1);
	machine_stop(&m);
}

TEST(poll_mode)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m, 1);
	cpu = m.cpu[0];
	out(cpu, 0x20, 0x0c);
	CHECK_EQ(in(cpu, 0x20), 0x07);
	pulse(&m, 5);
	out(cpu, 0x20, 0x0c);
	CHECK_EQ(in(cpu, 0x20), 0x85);
	CHECK_EQ(pending(cpu), -1);
	out(cpu, 0x20, 0x0b);
	CHECK_EQ(in(cpu, 0x20), 0x20);
	machine_stop(&m);
}

TEST(a_level_line_comes_back)
{
	struct machine m;
	struct bv_vcpu *cpu;

	start(&m, 1);
	cpu = m.cpu[0];
	out(cpu, 0x4d0, 0xff);
	out(cpu, 0x4d1, 0xff);
	CHECK_EQ(in(cpu, 0x4d0), 0xf8);
	CHECK_EQ(in(cpu, 0x4d1), 0xde);
	line(&m, 11, true);
	CHECK_EQ(take(cpu), 0x2b);
	out(cpu, 0xa0, 0x20);
	out(cpu, 0x20, 0x20);
	CHECK_EQ(take(cpu), 0x2b);
	line(&m, 11, false);
	out(cpu, 0xa0, 0x20);
	out(cpu, 0x20, 0x20);
	CHECK_EQ(pending(cpu), -1);
	machine_stop(&m);
}

TEST(a_level_request_that_goes_away_leaves_no_spurious_interrupt)
{
	struct machine m;

	start(&m, 1);
	out(m.cpu[0], 0x4d1, 0x08);
	line(&m, 11, true);
	CHECK_EQ(pending(m.cpu[0]), 0x2b);
	line(&m, 11, false);
	CHECK_EQ(pending(m.cpu[0]), -1);
	CHECK_EQ(take(m.cpu[0]), -1);
	machine_stop(&m);
}

TEST(initialization_forgets_edges)
{
	struct machine m;

	start(&m, 1);
	pulse(&m, 3);
	pics_init(m.cpu[0], 0x01);
	CHECK_EQ(pending(m.cpu[0]), -1);
	CHECK_EQ(in(m.cpu[0], 0x20), 0);
	machine_stop(&m);
}

TEST(lint0_decides_who_hears)
{
	struct machine m;

	start(&m, 2);
	machine_enable_apics(&m);
	apic_write(m.cpu[0], R_LINT0, 0x10700);
	line(&m, 3, true);
	CHECK_EQ(pending(m.cpu[0]), -1);
	CHECK(!m.vm->intc->takes_extint(m.cpu[0]));
	told(m.cpu[1]);
	apic_write(m.cpu[1], R_LINT0, 0x700);
	CHECK(told(m.cpu[1]));
	CHECK_EQ(take(m.cpu[1]), 0x23);
	machine_stop(&m);
}

TEST(lint0_as_a_vector_of_its_own)
{
	struct machine m;

	start(&m, 1);
	apic_enable(m.cpu[0]);
	apic_write(m.cpu[0], R_LINT0, 0x55);
	line(&m, 0, true);
	CHECK_EQ(take(m.cpu[0]), 0x55);
	machine_stop(&m);
}

TEST(the_8259_is_heard_without_a_local_apic)
{
	struct machine m;

	start(&m, 2);
	CHECK(wrmsr(m.cpu[0], MSR_APIC_BASE, 0xfee00100));
	told(m.cpu[0]);
	line(&m, 3, true);
	CHECK(told(m.cpu[0]));
	CHECK_EQ(take(m.cpu[0]), 0x23);
	CHECK_EQ(pending(m.cpu[1]), -1);
	machine_stop(&m);
}

TEST(word_accesses_are_two_bytes)
{
	struct machine m;

	start(&m, 1);
	bus_write(m.cpu[0], BV_BUS_PORT, 0x4d0, 2, 0x0808);
	CHECK_EQ(bus_read(m.cpu[0], BV_BUS_PORT, 0x4d0, 2), 0x0808);
	/* Nothing is behind them. */
	CHECK_EQ(bus_read(m.cpu[0], BV_BUS_PORT, 0x4d0, 4), 0xffff0808);
	bus_write(m.cpu[0], BV_BUS_PORT, 0x4d0, 4, 0x12341010);
	CHECK_EQ(bus_read(m.cpu[0], BV_BUS_PORT, 0x4d0, 2), 0x1010);
	machine_stop(&m);
}

TEST(state_goes_out_and_comes_back)
{
	struct bv_pic_state one[2], two;
	struct machine m;

	start(&m, 1);
	out(m.cpu[0], 0x4d1, 0x08);
	pulse(&m, 1);
	take(m.cpu[0]);
	line(&m, 11, true);
	out(m.cpu[0], 0x21, 0x40);
	for (unsigned int i = 0; i < 2; i++)
		CHECK_EQ(bv_pic_get(m.vm, i, &one[i]), 0);
	CHECK_EQ(one[0].isr, 2);
	CHECK_EQ(one[0].imr, 0x40);
	CHECK_EQ(one[0].irq_base, 0x20);
	CHECK_EQ(one[1].irr, 8);
	CHECK_EQ(one[1].elcr, 8);
	CHECK_EQ(one[1].elcr_mask, 0xde);
	pics_init(m.cpu[0], 0x01);
	out(m.cpu[0], 0x4d1, 0);
	line(&m, 11, false);
	for (unsigned int i = 0; i < 2; i++)
		CHECK_EQ(bv_pic_set(m.vm, i, &one[i]), 0);
	for (unsigned int i = 0; i < 2; i++) {
		bv_pic_get(m.vm, i, &two);
		CHECK(!memcmp(&one[i], &two, sizeof(two)));
	}
	CHECK_EQ(pending(m.cpu[0]), -1);
	out(m.cpu[0], 0x20, 0x20);
	CHECK_EQ(take(m.cpu[0]), 0x2b);
	CHECK_EQ(bv_pic_get(m.vm, 2, &two), -BV_EINVAL);
	/* Vectors begin at a multiple of 8: none is above 255. */
	one[0].irq_base = 0xff;
	CHECK_EQ(bv_pic_set(m.vm, 0, &one[0]), 0);
	bv_pic_get(m.vm, 0, &two);
	CHECK_EQ(two.irq_base, 0xf8);
	machine_stop(&m);
}
