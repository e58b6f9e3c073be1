/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local APIC: priorities, IPIs, the timer, its modes, its state. */
#include <pthread.h>
#include <sched.h>

#include "machine.h"

#define ICR_ASSERT 0x4000u
#define MODE(mode) ((u32)(mode) << 8)

static void send(struct bv_vcpu *cpu, u32 dest, u32 low)
{
	apic_write(cpu, R_ICR2, dest << 24);
	apic_write(cpu, R_ICR, low | ICR_ASSERT);
}

/* ---- after RESET ---- */

TEST(registers_after_reset)
{
	struct machine m;

	machine_start(&m, 2, CHIPS_FULL);
	CHECK_EQ(apic_read(m.cpu[1], R_ID), 1u << 24);
	CHECK_EQ(apic_read(m.cpu[0], R_VERSION), 0x50014);
	CHECK_EQ(apic_read(m.cpu[0], R_SPIV), 0xff);
	CHECK_EQ(apic_read(m.cpu[0], R_DFR), 0xffffffff);
	CHECK_EQ(apic_read(m.cpu[0], R_LVT_TIMER), 0x10000);
	CHECK_EQ(apic_read(m.cpu[0], R_LINT0), 0x700); /* the boot processor hears the 8259 */
	CHECK_EQ(apic_read(m.cpu[1], R_LINT0), 0x10000);
	CHECK_EQ(msr(m.cpu[0], MSR_APIC_BASE), 0xfee00900);
	CHECK_EQ(msr(m.cpu[1], MSR_APIC_BASE), 0xfee00800);
	machine_stop(&m);
}

TEST(a_split_chip_offers_directed_eoi)
{
	struct machine m;

	machine_start(&m, 1, CHIPS_SPLIT);
	CHECK(apic_read(m.cpu[0], R_VERSION) & 1u << 24);
	machine_stop(&m);
}

TEST(init_keeps_base_and_id)
{
	struct machine m;

	machine_start(&m, 2, CHIPS_FULL);
	apic_write(m.cpu[1], R_ID, 9u << 24);
	apic_enable(m.cpu[1]);
	apic_write(m.cpu[1], R_TPR, 0x50);
	m.vm->intc->vcpu_reset(m.cpu[1], true);
	CHECK_EQ(apic_read(m.cpu[1], R_ID), 9u << 24);
	CHECK_EQ(apic_read(m.cpu[1], R_SPIV), 0xff);
	CHECK_EQ(apic_read(m.cpu[1], R_TPR), 0);
	machine_stop(&m);
}

TEST(a_second_vcpu_with_the_same_index_harms_nobody)
{
	static u8 page[4096];
	struct machine m;
	int error;

	machine_start(&m, 1, CHIPS_FULL);
	apic_enable(m.cpu[0]);
	CHECK(!bv_vcpu_create(m.vm, 0, NULL, page, &error));
	CHECK_EQ(error, -BV_EEXIST);
	send(m.cpu[0], 0, 0x40);
	CHECK_EQ(pending(m.cpu[0]), 0x40);
	machine_stop(&m);
}

/* ---- priorities ---- */

TEST(the_highest_vector_comes_first_and_they_nest)
{
	struct machine m;
	struct bv_vcpu *cpu;

	machine_start(&m, 1, CHIPS_FULL);
	cpu = m.cpu[0];
	apic_enable(cpu);
	CHECK_EQ(pending(cpu), -1);
	send(cpu, 0, 0x31);
	CHECK(told(cpu));
	CHECK_EQ(take(cpu), 0x31);
	CHECK(vector_bit(cpu, R_ISR, 0x31));
	CHECK(!vector_bit(cpu, R_IRR, 0x31));
	CHECK_EQ(apic_read(cpu, R_PPR), 0x30);
	send(cpu, 0, 0x3f); /* the same class waits */
	CHECK_EQ(pending(cpu), -1);
	send(cpu, 0, 0x51);
	send(cpu, 0, 0xa0);
	CHECK_EQ(take(cpu), 0xa0);
	CHECK_EQ(pending(cpu), -1);
	told(cpu);
	eoi(cpu);
	CHECK(told(cpu));
	CHECK_EQ(take(cpu), 0x51);
	eoi(cpu);
	CHECK_EQ(apic_read(cpu, R_PPR), 0x30);
	eoi(cpu);
	CHECK_EQ(take(cpu), 0x3f);
	eoi(cpu);
	eoi(cpu); /* one too many does nothing */
	CHECK_EQ(apic_read(cpu, R_PPR), 0);
	machine_stop(&m);
}

TEST(the_task_priority_masks)
{
	struct machine m;
	struct bv_vcpu *cpu;

	machine_start(&m, 1, CHIPS_FULL);
	cpu = m.cpu[0];
	apic_enable(cpu);
	apic_write(cpu, R_TPR, 0x47);
	CHECK_EQ(apic_read(cpu, R_PPR), 0x47);
	CHECK_EQ(bv_vcpu_cr8(cpu), 4);
	CHECK(!m.vm->intc->masked_by_tpr(cpu));
	send(cpu, 0, 0x4f);
	CHECK_EQ(pending(cpu), -1);
	CHECK(m.vm->intc->masked_by_tpr(cpu));
	told(cpu);
	m.vm->intc->cr8_set(cpu, 3);
	CHECK(told(cpu));
	CHECK_EQ(apic_read(cpu, R_TPR), 0x30);
	CHECK_EQ(pending(cpu), 0x4f);
	CHECK(!m.vm->intc->masked_by_tpr(cpu));
	machine_stop(&m);
}

TEST(what_the_service_masks_is_not_masked_by_the_task_priority)
{
	struct machine m;
	struct bv_vcpu *cpu;

	machine_start(&m, 1, CHIPS_FULL);
	cpu = m.cpu[0];
	apic_enable(cpu);
	send(cpu, 0, 0x60);
	CHECK_EQ(take(cpu), 0x60);
	apic_write(cpu, R_TPR, 0x50);
	send(cpu, 0, 0x61);
	CHECK(!m.vm->intc->masked_by_tpr(cpu));
	machine_stop(&m);
}

TEST(requests_that_are_the_same_are_one)
{
	struct bv_msi message = { 0xfee00000, 0x77 };
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	CHECK_EQ(bv_irq_msi(m.vm, &message), 0); /* not enabled */
	apic_enable(m.cpu[0]);
	CHECK_EQ(bv_irq_msi(m.vm, &message), 1);
	CHECK_EQ(bv_irq_msi(m.vm, &message), 0);
	CHECK_EQ(take(m.cpu[0]), 0x77);
	CHECK_EQ(bv_irq_msi(m.vm, &message), 1); /* one in service, one requested */
	CHECK_EQ(pending(m.cpu[0]), -1);
	eoi(m.cpu[0]);
	CHECK_EQ(take(m.cpu[0]), 0x77);
	eoi(m.cpu[0]);
	CHECK_EQ(take(m.cpu[0]), -1);
	machine_stop(&m);
}

/* ---- IPIs ---- */

static void check_reached(struct machine *m, u8 vector, unsigned int who)
{
	for (unsigned int i = 0; i < m->cpus; i++) {
		int taken = take(m->cpu[i]);

		CHECK_EQ(taken, who >> i & 1 ? vector : -1);
		if (taken >= 0)
			eoi(m->cpu[i]);
	}
}

TEST(shorthands)
{
	struct machine m;

	machine_start(&m, 4, CHIPS_FULL);
	machine_enable_apics(&m);
	send(m.cpu[1], 0, 1u << 18 | 0x40);
	check_reached(&m, 0x40, 0x2);
	send(m.cpu[1], 0, 2u << 18 | 0x41);
	check_reached(&m, 0x41, 0xf);
	send(m.cpu[1], 0, 3u << 18 | 0x42);
	check_reached(&m, 0x42, 0xd);
	machine_stop(&m);
}

TEST(physical_destinations)
{
	struct machine m;

	machine_start(&m, 4, CHIPS_FULL);
	machine_enable_apics(&m);
	send(m.cpu[0], 3, 0x40);
	check_reached(&m, 0x40, 0x8);
	send(m.cpu[0], 0xff, 0x41);
	check_reached(&m, 0x41, 0xf);
	send(m.cpu[0], 77, 0x42);
	check_reached(&m, 0x42, 0);
	apic_write(m.cpu[2], R_ID, 77u << 24);
	send(m.cpu[0], 77, 0x43);
	check_reached(&m, 0x43, 0x4);
	apic_write(m.cpu[1], R_ID, 77u << 24); /* two of one ID: both */
	send(m.cpu[0], 77, 0x44);
	check_reached(&m, 0x44, 0x6);
	machine_stop(&m);
}

TEST(logical_destinations_in_the_flat_model)
{
	struct machine m;

	machine_start(&m, 4, CHIPS_FULL);
	machine_enable_apics(&m);
	for (unsigned int i = 0; i < 4; i++)
		apic_write(m.cpu[i], R_LDR, 1u << (24 + i));
	send(m.cpu[0], 0x6, 0x800 | 0x40);
	check_reached(&m, 0x40, 0x6);
	send(m.cpu[0], 0xff, 0x800 | 0x41);
	check_reached(&m, 0x41, 0xf);
	send(m.cpu[0], 0x80, 0x800 | 0x42);
	check_reached(&m, 0x42, 0);
	machine_stop(&m);
}

TEST(logical_destinations_in_the_cluster_model)
{
	struct machine m;

	machine_start(&m, 4, CHIPS_FULL);
	machine_enable_apics(&m);
	for (unsigned int i = 0; i < 4; i++) {
		apic_write(m.cpu[i], R_DFR, 0x0fffffff);
		apic_write(m.cpu[i], R_LDR, (i / 2) << 28 | 1u << (24 + i % 2));
	}
	send(m.cpu[0], 0x13, 0x800 | 0x40);
	check_reached(&m, 0x40, 0xc);
	send(m.cpu[0], 0x02, 0x800 | 0x41);
	check_reached(&m, 0x41, 0x2);
	machine_stop(&m);
}

TEST(logical_destinations_where_the_models_differ)
{
	struct machine m;

	machine_start(&m, 3, CHIPS_FULL);
	machine_enable_apics(&m);
	apic_write(m.cpu[0], R_LDR, 0x11u << 24);
	apic_write(m.cpu[1], R_DFR, 0x0fffffff);
	apic_write(m.cpu[1], R_LDR, 0x11u << 24);
	send(m.cpu[0], 0x10, 0x800 | 0x40);
	check_reached(&m, 0x40, 0x1);
	send(m.cpu[0], 0x11, 0x800 | 0x41);
	check_reached(&m, 0x41, 0x3);
	machine_stop(&m);
}

TEST(lowest_priority_goes_to_the_least_busy_that_listens)
{
	struct bv_msi message = { 0xfee00000 | 0xff << 12 | 1 << 2, 0x100 | 0x60 };
	struct machine m;

	machine_start(&m, 4, CHIPS_FULL);
	for (unsigned int i = 0; i < 4; i++) {
		apic_write(m.cpu[i], R_LDR, 1u << (24 + i));
		apic_write(m.cpu[i], R_TPR, 0x50 - 0x10 * i);
	}
	for (unsigned int i = 0; i < 3; i++) /* the last does not listen */
		apic_enable(m.cpu[i]);
	CHECK_EQ(bv_irq_msi(m.vm, &message), 1);
	check_reached(&m, 0x60, 0x4);
	apic_write(m.cpu[2], R_TPR, 0x90);
	CHECK_EQ(bv_irq_msi(m.vm, &message), 1);
	check_reached(&m, 0x60, 0x2);
	machine_stop(&m);
}

TEST(an_ipi_tells_the_other_vcpu)
{
	struct machine m;

	machine_start(&m, 2, CHIPS_FULL);
	machine_enable_apics(&m);
	told(m.cpu[1]);
	m.cpu[1]->guest_mode = BV_IN_GUEST;
	send(m.cpu[0], 1, 0x40);
	CHECK(told(m.cpu[1]));
	CHECK(fake_vcpu(m.cpu[1])->interrupts);
	machine_stop(&m);
}

TEST(nmi_init_and_sipi)
{
	struct machine m;

	machine_start(&m, 3, CHIPS_FULL);
	send(m.cpu[0], 1, MODE(4));
	CHECK_EQ(m.cpu[1]->nmi_queued, 1);
	send(m.cpu[0], 0, 3u << 18 | MODE(5)); /* INIT to all others */
	CHECK(m.cpu[1]->requests & 1u << BV_REQ_INIT);
	CHECK(m.cpu[2]->requests & 1u << BV_REQ_INIT);
	CHECK(!(m.cpu[0]->requests & 1u << BV_REQ_INIT));
	m.cpu[1]->requests = 0;
	apic_write(m.cpu[0], R_ICR2, 1u << 24);
	apic_write(m.cpu[0], R_ICR, 0x8500); /* INIT, level, de-assert */
	CHECK(!(m.cpu[1]->requests & 1u << BV_REQ_INIT));
	send(m.cpu[0], 1, MODE(6) | 0x9a);
	CHECK(m.cpu[1]->requests & 1u << BV_REQ_SIPI);
	CHECK_EQ(m.cpu[1]->sipi_vector, 0x9a);
	machine_stop(&m);
}

TEST(vectors_below_16_are_errors)
{
	struct bv_msi message = { 0xfee00000, 0x0f };
	struct machine m;
	struct bv_vcpu *cpu;

	machine_start(&m, 1, CHIPS_FULL);
	cpu = m.cpu[0];
	apic_enable(cpu);
	apic_write(cpu, R_LVT_ERROR, 0xe0);
	send(cpu, 0, 0x05);
	CHECK_EQ(take(cpu), 0xe0);
	eoi(cpu);
	CHECK_EQ(apic_read(cpu, R_ESR), 0); /* shown after a write only */
	apic_write(cpu, R_ESR, 0);
	CHECK_EQ(apic_read(cpu, R_ESR), 0x20);
	bv_irq_msi(m.vm, &message);
	apic_read(cpu, 0x3a0);
	apic_write(cpu, R_ESR, 0);
	CHECK_EQ(apic_read(cpu, R_ESR), 0xc0);
	apic_write(cpu, R_ESR, 0);
	CHECK_EQ(apic_read(cpu, R_ESR), 0);
	machine_stop(&m);
}

/* ---- accesses ---- */

TEST(the_page_is_read_in_parts_and_written_whole)
{
	struct machine m;
	struct bv_vcpu *cpu;
	u64 wide = 0;
	u16 part = 0;
	u8 byte = 0x11;

	machine_start(&m, 1, CHIPS_FULL);
	cpu = m.cpu[0];
	m.vm->intc->mmio_read(cpu, APIC_PAGE + R_VERSION + 2, 2, &part);
	CHECK_EQ(part, 0x0005);
	m.vm->intc->mmio_read(cpu, APIC_PAGE + R_VERSION, 8, &wide);
	CHECK_EQ(wide, 0x50014);
	m.vm->intc->mmio_write(cpu, APIC_PAGE + R_TPR, 1, &byte);
	CHECK_EQ(apic_read(cpu, R_TPR), 0);
	apic_write(cpu, R_VERSION, 0); /* read-only */
	CHECK_EQ(apic_read(cpu, R_VERSION), 0x50014);
	CHECK_EQ(m.vm->intc->mmio_read(cpu, APIC_PAGE + 0x1000, 4, &wide), BV_ACCESS_NOT_MINE);
	machine_stop(&m);
}

TEST(the_page_moves_with_its_base)
{
	struct machine m;
	u32 value = 0;

	machine_start(&m, 1, CHIPS_FULL);
	CHECK(wrmsr(m.cpu[0], MSR_APIC_BASE, 0xfed00900));
	CHECK_EQ(m.vm->intc->mmio_read(m.cpu[0], APIC_PAGE + R_VERSION, 4, &value),
		 BV_ACCESS_NOT_MINE);
	CHECK_EQ(m.vm->intc->mmio_read(m.cpu[0], 0xfed00000 + R_VERSION, 4, &value),
		 BV_ACCESS_DONE);
	CHECK_EQ(value, 0x50014);
	CHECK(!wrmsr(m.cpu[0], MSR_APIC_BASE, 0xfee00901)); /* reserved */
	CHECK(!wrmsr(m.cpu[0], MSR_APIC_BASE, 1ULL << 40 | 0xfee00900));
	machine_stop(&m);
}

TEST(software_disable_masks_the_local_vectors)
{
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	apic_enable(m.cpu[0]);
	apic_write(m.cpu[0], R_LVT_TIMER, 0x30);
	CHECK_EQ(apic_read(m.cpu[0], R_LVT_TIMER), 0x30);
	apic_write(m.cpu[0], R_SPIV, 0xff);
	CHECK_EQ(apic_read(m.cpu[0], R_LVT_TIMER), 0x10030);
	apic_write(m.cpu[0], R_LVT_TIMER, 0x30);
	CHECK_EQ(apic_read(m.cpu[0], R_LVT_TIMER), 0x10030);
	machine_stop(&m);
}

/* ---- x2APIC ---- */

#define XAPIC 0xfee00800ULL
#define X2APIC 0xfee00c00ULL
#define DISABLED 0xfee00000ULL

TEST(mode_changes_that_are_not_allowed_fault)
{
	struct machine m;
	struct bv_vcpu *cpu;

	machine_start(&m, 2, CHIPS_FULL);
	cpu = m.cpu[1];
	CHECK(!wrmsr(cpu, MSR_APIC_BASE, 0xfee00400)); /* EXTD without EN */
	CHECK(wrmsr(cpu, MSR_APIC_BASE, X2APIC));
	CHECK(!wrmsr(cpu, MSR_APIC_BASE, XAPIC));
	CHECK(wrmsr(cpu, MSR_APIC_BASE, DISABLED));
	CHECK(!wrmsr(cpu, MSR_APIC_BASE, X2APIC));
	CHECK(wrmsr(cpu, MSR_APIC_BASE, XAPIC));
	cpu->caps.x2apic = false;
	CHECK(!wrmsr(cpu, MSR_APIC_BASE, X2APIC));
	CHECK_EQ(msr(cpu, MSR_APIC_BASE), XAPIC);
	machine_stop(&m);
}

TEST(x2apic_registers)
{
	struct machine m;
	struct bv_vcpu *cpu;
	u64 value;

	machine_start(&m, 2, CHIPS_FULL);
	cpu = m.cpu[1];
	CHECK(!rdmsr(cpu, x2apic_msr(R_ID), &value)); /* xAPIC mode */
	apic_write(cpu, R_ID, 9u << 24);
	CHECK(wrmsr(cpu, MSR_APIC_BASE, X2APIC));
	CHECK_EQ(msr(cpu, x2apic_msr(R_ID)), 1);
	CHECK_EQ(msr(cpu, x2apic_msr(R_LDR)), 2);
	CHECK_EQ(m.vm->intc->mmio_read(cpu, APIC_PAGE + R_ID, 4, &value), BV_ACCESS_DONE);
	CHECK_EQ((u32)value, 0xffffffff); /* nothing is there */
	CHECK(wrmsr(cpu, x2apic_msr(R_SPIV), 0x1ff));
	CHECK(wrmsr(cpu, x2apic_msr(R_TPR), 0x20));
	CHECK(!wrmsr(cpu, x2apic_msr(R_TPR), 0x120));
	CHECK(!wrmsr(cpu, x2apic_msr(R_EOI), 1));
	CHECK(!wrmsr(cpu, x2apic_msr(R_ESR), 1));
	CHECK(!wrmsr(cpu, x2apic_msr(R_ID), 1));
	CHECK(!wrmsr(cpu, x2apic_msr(R_LDR), 1));
	CHECK(!rdmsr(cpu, x2apic_msr(R_DFR), &value));
	CHECK(!rdmsr(cpu, x2apic_msr(R_ICR2), &value));
	CHECK(!rdmsr(cpu, x2apic_msr(R_SELF_IPI), &value));
	CHECK(!rdmsr(cpu, 0x8ff, &value));
	CHECK(!wrmsr(cpu, x2apic_msr(R_SPIV), 1ULL << 32));
	CHECK(wrmsr(cpu, x2apic_msr(R_SELF_IPI), 0x44));
	CHECK_EQ(take(cpu), 0x44);
	CHECK(wrmsr(cpu, x2apic_msr(R_EOI), 0));
	CHECK_EQ(msr(cpu, x2apic_msr(R_ISR) + 2), 0);
	machine_stop(&m);
}

TEST(x2apic_destinations)
{
	struct machine m;

	machine_start(&m, 4, CHIPS_FULL);
	machine_enable_apics(&m);
	for (unsigned int i = 0; i < 4; i++)
		CHECK(wrmsr(m.cpu[i], MSR_APIC_BASE, X2APIC | (i ? 0 : 0x100)));
	CHECK(wrmsr(m.cpu[0], x2apic_msr(R_ICR), 2ULL << 32 | 0x40));
	CHECK_EQ(take(m.cpu[2]), 0x40);
	CHECK_EQ(take(m.cpu[1]), -1);
	CHECK(wrmsr(m.cpu[0], x2apic_msr(R_ICR),
		    0xaULL << 32 | 0x800 | 0x51)); /* logical: cluster 0 */
	CHECK_EQ(take(m.cpu[1]), 0x51);
	CHECK_EQ(take(m.cpu[3]), 0x51);
	CHECK_EQ(take(m.cpu[0]), -1);
	CHECK(wrmsr(m.cpu[0], x2apic_msr(R_ICR), 0xffffffffULL << 32 | 0x62));
	for (unsigned int i = 0; i < 4; i++)
		CHECK_EQ(take(m.cpu[i]), 0x62);
	CHECK(wrmsr(m.cpu[0], x2apic_msr(R_ICR), 0xffULL << 32 | 0x73)); /* an ID here */
	for (unsigned int i = 0; i < 4; i++)
		CHECK_EQ(take(m.cpu[i]), -1);
	CHECK(!wrmsr(m.cpu[0], x2apic_msr(R_ICR), 1u << 20 | 0x40));
	CHECK_EQ(msr(m.cpu[0], x2apic_msr(R_ICR)), 0xffULL << 32 | 0x73);
	machine_stop(&m);
}

TEST(messages_of_devices_to_all_in_x2apic_mode)
{
	struct bv_msi all = { 0xfee00000 | 0xff << 12, 0x60 };
	struct bv_msi wide = { 0xfee00000 | 0xff << 12 | 0xffffffULL << 40, 0x61 };
	struct machine m;

	machine_start(&m, 2, CHIPS_FULL);
	machine_enable_apics(&m);
	for (unsigned int i = 0; i < 2; i++)
		wrmsr(m.cpu[i], MSR_APIC_BASE, X2APIC);
	CHECK_EQ(bv_irq_msi(m.vm, &all), 2);
	bv_irqchip_x2apic_mode(m.vm, true, true);
	all.data = 0x70;
	CHECK_EQ(bv_irq_msi(m.vm, &all), 0);
	CHECK_EQ(bv_irq_msi(m.vm, &wide), 2);
	machine_stop(&m);
}

TEST(a_disabled_apic_takes_no_messages)
{
	struct bv_msi message = { 0xfee00000 | 1 << 12, 0x60 };
	struct machine m;

	machine_start(&m, 2, CHIPS_FULL);
	machine_enable_apics(&m);
	CHECK_EQ(bv_irq_msi(m.vm, &message), 1);
	CHECK_EQ(pending(m.cpu[1]), 0x60);
	CHECK(wrmsr(m.cpu[1], MSR_APIC_BASE, DISABLED));
	CHECK_EQ(pending(m.cpu[1]), -1);
	message.data = 0x61;
	CHECK_EQ(bv_irq_msi(m.vm, &message), 0);
	CHECK_EQ(bv_irq_msi(m.vm, &(struct bv_msi){ 0xfee00000 | 1 << 12, 0x400 }), 0); /* NMI */
	CHECK_EQ(m.cpu[1]->nmi_queued, 0);
	machine_stop(&m);
}

/* ---- the timer ---- */

static void timer_setup(struct bv_vcpu *cpu, u32 lvt, u32 divide, u32 count)
{
	apic_enable(cpu);
	apic_write(cpu, R_LVT_TIMER, lvt);
	apic_write(cpu, R_TDCR, divide);
	apic_write(cpu, R_TMICT, count);
}

TEST(a_one_shot_timer_fires_once)
{
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	timer_setup(m.cpu[0], 0x30, 0xb, 1000000); /* divided by 1: nanoseconds */
	fake_clock_advance(400000);
	CHECK_EQ(apic_read(m.cpu[0], R_TMCCT), 600000);
	CHECK_EQ(pending(m.cpu[0]), -1);
	told(m.cpu[0]);
	fake_clock_advance(600000);
	CHECK(told(m.cpu[0]));
	CHECK_EQ(take(m.cpu[0]), 0x30);
	eoi(m.cpu[0]);
	CHECK_EQ(apic_read(m.cpu[0], R_TMCCT), 0);
	fake_clock_advance(10000000);
	CHECK_EQ(pending(m.cpu[0]), -1);
	machine_stop(&m);
}

TEST(a_periodic_timer_goes_on_and_missed_periods_are_one)
{
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	timer_setup(m.cpu[0], 0x20030, 0x3, 100000); /* by 16: 1.6 ms */
	for (unsigned int i = 0; i < 3; i++) {
		fake_clock_advance(1600000);
		CHECK_EQ(take(m.cpu[0]), 0x30);
		eoi(m.cpu[0]);
		CHECK_EQ(pending(m.cpu[0]), -1);
	}
	fake_clock_advance(16000000);
	CHECK_EQ(take(m.cpu[0]), 0x30);
	eoi(m.cpu[0]);
	CHECK_EQ(pending(m.cpu[0]), -1);
	fake_clock_advance(800000);
	CHECK_EQ(apic_read(m.cpu[0], R_TMCCT), 50000);
	machine_stop(&m);
}

TEST(a_guest_cannot_make_the_host_s_timer_storm)
{
	struct machine m;
	unsigned int fired = 0;

	machine_start(&m, 1, CHIPS_FULL);
	timer_setup(m.cpu[0], 0x20030, 0xb, 1);
	for (unsigned int i = 0; i < 100000; i++) {
		fake_clock_advance(100);
		if (take(m.cpu[0]) >= 0) {
			fired++;
			eoi(m.cpu[0]);
		}
	}
	CHECK_EQ(fired, 50); /* 10 ms by 200 µs */
	machine_stop(&m);
}

TEST(a_masked_timer_counts_without_interrupt)
{
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	timer_setup(m.cpu[0], 0x30030, 0xb, 1000000);
	fake_clock_advance(1500000);
	CHECK_EQ(pending(m.cpu[0]), -1);
	CHECK_EQ(apic_read(m.cpu[0], R_TMCCT), 500000);
	apic_write(m.cpu[0], R_LVT_TIMER, 0x20030);
	fake_clock_advance(500000);
	CHECK_EQ(pending(m.cpu[0]), 0x30);
	machine_stop(&m);
}

TEST(changing_the_divider_keeps_the_count)
{
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	timer_setup(m.cpu[0], 0x30, 0xb, 1000000);
	fake_clock_advance(500000);
	apic_write(m.cpu[0], R_TDCR, 0x0); /* by 2 */
	CHECK_EQ(apic_read(m.cpu[0], R_TMCCT), 500000);
	fake_clock_advance(999999);
	CHECK_EQ(pending(m.cpu[0]), -1);
	fake_clock_advance(1);
	CHECK_EQ(pending(m.cpu[0]), 0x30);
	machine_stop(&m);
}

TEST(changing_the_timer_s_mode)
{
	struct machine m;
	struct bv_vcpu *cpu;

	machine_start(&m, 1, CHIPS_FULL);
	cpu = m.cpu[0];
	timer_setup(cpu, 0x30, 0xb, 1000000);
	fake_clock_advance(300000);
	apic_write(cpu, R_LVT_TIMER, 0x20030); /* to periodic: counts on */
	CHECK_EQ(apic_read(cpu, R_TMCCT), 700000);
	fake_clock_advance(1000000);
	CHECK_EQ(apic_read(cpu, R_TMCCT), 700000);
	apic_write(cpu, R_LVT_TIMER, 0x30); /* and back: to the end of the period */
	fake_clock_advance(700000);
	CHECK_EQ(apic_read(cpu, R_TMCCT), 0);
	apic_write(cpu, R_LVT_TIMER, 0x20030); /* an ended count does not start again by itself */
	CHECK_EQ(apic_read(cpu, R_TMCCT), 0);
	apic_write(cpu, R_TMICT, 1000000);
	apic_write(cpu, R_LVT_TIMER, 0x40030); /* to TSC deadline: stops */
	CHECK_EQ(apic_read(cpu, R_TMICT), 0);
	CHECK_EQ(take(cpu), 0x30);
	eoi(cpu);
	fake_clock_advance(10000000);
	CHECK_EQ(pending(cpu), -1);
	machine_stop(&m);
}

TEST(the_tsc_deadline)
{
	struct machine m;
	struct bv_vcpu *cpu;
	u64 deadline;

	machine_start(&m, 1, CHIPS_FULL);
	cpu = m.cpu[0];
	timer_setup(cpu, 0x40030, 0xb, 0);
	deadline = bv_vcpu_tsc(cpu) + 2100000; /* a millisecond */
	CHECK(wrmsr(cpu, MSR_TSC_DEADLINE, deadline));
	CHECK_EQ(msr(cpu, MSR_TSC_DEADLINE), deadline);
	fake_clock_advance(999000);
	CHECK_EQ(pending(cpu), -1);
	fake_clock_advance(1010);
	CHECK(bv_vcpu_tsc(cpu) >= deadline);
	CHECK_EQ(take(cpu), 0x30);
	eoi(cpu);
	CHECK_EQ(msr(cpu, MSR_TSC_DEADLINE), 0);
	CHECK(wrmsr(cpu, MSR_TSC_DEADLINE, 1)); /* long past: at once */
	CHECK_EQ(take(cpu), 0x30);
	eoi(cpu);
	CHECK(wrmsr(cpu, MSR_TSC_DEADLINE, ~0ULL)); /* never */
	fake_clock_advance(3600 * 1000000000ULL);
	CHECK_EQ(pending(cpu), -1);
	CHECK(wrmsr(cpu, MSR_TSC_DEADLINE, bv_vcpu_tsc(cpu) + 1000));
	CHECK(wrmsr(cpu, MSR_TSC_DEADLINE, 0)); /* disarmed */
	fake_clock_advance(1000000);
	CHECK_EQ(pending(cpu), -1);
	machine_stop(&m);
}

TEST(a_deadline_never_fires_early)
{
	struct machine m;

	fake_reset();
	fake_tsc_khz = 3333333;
	machine_build(&m, 1, CHIPS_FULL);
	apic_enable(m.cpu[0]);
	apic_write(m.cpu[0], R_LVT_TIMER, 0x40030);
	for (u64 ticks = 1; ticks < 10000000000ULL; ticks = ticks * 3 + 1) {
		u64 deadline = bv_vcpu_tsc(m.cpu[0]) + ticks;

		wrmsr(m.cpu[0], MSR_TSC_DEADLINE, deadline);
		while (pending(m.cpu[0]) < 0)
			fake_clock_set(fake_timer_next());
		CHECK(bv_vcpu_tsc(m.cpu[0]) >= deadline);
		CHECK(bv_vcpu_tsc(m.cpu[0]) < deadline + 20);
		take(m.cpu[0]);
		eoi(m.cpu[0]);
	}
	machine_stop(&m);
}

TEST(a_deadline_follows_the_guest_s_tsc)
{
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	timer_setup(m.cpu[0], 0x40030, 0xb, 0);
	wrmsr(m.cpu[0], MSR_TSC_DEADLINE, bv_vcpu_tsc(m.cpu[0]) + 2100000);
	m.cpu[0]->tsc_offset += 2000000;
	m.vm->intc->tsc_changed(m.cpu[0]);
	fake_clock_advance(50000);
	CHECK_EQ(pending(m.cpu[0]), 0x30);
	machine_stop(&m);
}

TEST(a_deadline_needs_its_mode_and_its_cpuid_bit)
{
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	timer_setup(m.cpu[0], 0x30, 0xb, 0);
	CHECK(wrmsr(m.cpu[0], MSR_TSC_DEADLINE, 1));
	CHECK_EQ(msr(m.cpu[0], MSR_TSC_DEADLINE), 0);
	CHECK_EQ(pending(m.cpu[0]), -1);
	m.cpu[0]->caps.tsc_deadline = false;
	CHECK(!wrmsr(m.cpu[0], MSR_TSC_DEADLINE, 1));
	apic_write(m.cpu[0], R_LVT_TIMER, 0x40030);
	CHECK_EQ(apic_read(m.cpu[0], R_LVT_TIMER), 0x30);
	machine_stop(&m);
}

/* ---- local sources ---- */

TEST(a_timer_vector_below_16_is_an_error_and_no_interrupt)
{
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	timer_setup(m.cpu[0], 0x0f, 0xb, 1000);
	fake_clock_advance(2000);
	CHECK_EQ(pending(m.cpu[0]), -1);
	apic_write(m.cpu[0], R_ESR, 0);
	CHECK_EQ(apic_read(m.cpu[0], R_ESR), 0x40);
	machine_stop(&m);
}

TEST(lint0_as_nmi)
{
	struct machine m;

	machine_start(&m, 2, CHIPS_FULL);
	machine_enable_apics(&m);
	apic_write(m.cpu[1], R_LINT0, 0x400);
	bv_irq_line(m.vm, 4, 0, true); /* the 8259 unmasked, as after power-on */
	CHECK_EQ(m.cpu[1]->nmi_queued, 1);
	CHECK_EQ(m.cpu[0]->nmi_queued, 0);
	machine_stop(&m);
}

/* ---- PV EOI ---- */

TEST(pv_ipi)
{
	struct machine m;

	machine_start(&m, 2, CHIPS_FULL);
	machine_enable_apics(&m);
	CHECK(m.vm->intc->ipi(m.cpu[0], 1, 0x40));
	CHECK_EQ(pending(m.cpu[1]), 0x40);
	CHECK(!m.vm->intc->ipi(m.cpu[0], 5, 0x40));
	CHECK(m.vm->intc->ipi(m.cpu[0], 1, MODE(4)));
	CHECK_EQ(m.cpu[1]->nmi_queued, 1);
	machine_stop(&m);
}

/* ---- state ---- */

TEST(state_goes_out_and_comes_back)
{
	struct bv_lapic_state one, two;
	struct machine m;
	struct bv_vcpu *cpu;

	machine_start(&m, 2, CHIPS_FULL);
	cpu = m.cpu[0];
	apic_write(cpu, R_LDR, 0x01000000);
	timer_setup(cpu, 0x20031, 0xb, 5000000);
	fake_clock_advance(1000000);
	send(cpu, 0, 0x50);
	take(cpu);
	send(cpu, 0, 0x90);
	send(cpu, 0, 0xff);
	apic_write(cpu, R_TPR, 0x20);
	apic_write(cpu, R_LVT_ERROR, 0xe1);
	CHECK_EQ(bv_lapic_get(cpu, &one), 0);
	CHECK_EQ(one.reg[R_ID / 4], 0);
	CHECK_EQ(one.reg[R_TMCCT / 4], 4000000);
	CHECK_EQ(one.reg[(R_ISR + 0x20) / 4], 1u << 16);

	m.vm->intc->vcpu_reset(cpu, false);
	CHECK_EQ(pending(cpu), -1);
	CHECK_EQ(bv_lapic_set(cpu, &one), 0);
	CHECK(told(cpu));
	CHECK_EQ(bv_lapic_get(cpu, &two), 0);
	CHECK(!memcmp(&one, &two, sizeof(one)));
	CHECK_EQ(take(cpu), 0xff);
	eoi(cpu);
	CHECK_EQ(take(cpu), 0x90);
	eoi(cpu);
	eoi(cpu);
	fake_clock_advance(4000000);
	CHECK_EQ(take(cpu), 0x31);
	eoi(cpu);
	fake_clock_advance(5000000);
	CHECK_EQ(take(cpu), 0x31);
	machine_stop(&m);
}

TEST(state_without_a_current_count_loses_no_interrupt)
{
	struct bv_lapic_state state;
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	timer_setup(m.cpu[0], 0x30, 0xb, 1000000);
	bv_lapic_get(m.cpu[0], &state);
	state.reg[R_TMCCT / 4] = 0;
	bv_lapic_set(m.cpu[0], &state);
	fake_clock_advance(1000000);
	CHECK_EQ(pending(m.cpu[0]), 0x30);
	machine_stop(&m);
}

TEST(x2apic_ids_in_states)
{
	struct bv_lapic_state state;
	struct machine m;

	machine_start(&m, 3, CHIPS_FULL);
	wrmsr(m.cpu[2], MSR_APIC_BASE, X2APIC);
	bv_lapic_get(m.cpu[2], &state);
	CHECK_EQ(state.reg[R_ID / 4], 2u << 24);
	CHECK_EQ(bv_lapic_set(m.cpu[2], &state), 0);
	bv_irqchip_x2apic_mode(m.vm, true, false);
	bv_lapic_get(m.cpu[2], &state);
	CHECK_EQ(state.reg[R_ID / 4], 2);
	CHECK_EQ(state.reg[R_LDR / 4], 4);
	CHECK_EQ(bv_lapic_set(m.cpu[2], &state), 0);
	state.reg[R_ID / 4] = 1;
	CHECK_EQ(bv_lapic_set(m.cpu[2], &state), -BV_EINVAL);
	machine_stop(&m);
}

TEST(a_deadline_is_restored_before_or_after_the_registers)
{
	struct bv_lapic_state state;
	struct machine m;
	u64 deadline;

	machine_start(&m, 2, CHIPS_FULL);
	timer_setup(m.cpu[0], 0x40030, 0xb, 0);
	bv_lapic_get(m.cpu[0], &state);
	deadline = bv_vcpu_tsc(m.cpu[1]) + 2100000;
	m.vm->intc->msr_write(m.cpu[1], MSR_TSC_DEADLINE, deadline, true);
	state.reg[R_ID / 4] = 1u << 24;
	bv_lapic_set(m.cpu[1], &state);
	CHECK_EQ(msr(m.cpu[1], MSR_TSC_DEADLINE), deadline);
	m.vm->intc->vcpu_reset(m.cpu[0], false);
	state.reg[R_ID / 4] = 0;
	bv_lapic_set(m.cpu[0], &state);
	m.vm->intc->msr_write(m.cpu[0], MSR_TSC_DEADLINE, deadline, true);
	fake_clock_advance(1000010);
	CHECK_EQ(pending(m.cpu[0]), 0x30);
	CHECK_EQ(pending(m.cpu[1]), 0x30);
	machine_stop(&m);
}

/* ---- no interrupt lost between threads ---- */

#define RACE_ROUNDS 20000

/*
 * Sends one vector again and again, the next only after the last was taken. Who waits gives way:
 * the threads may have one CPU between them.
 */
static volatile u32 race_taken;
static volatile bool race_over;

static void *race_sender(void *arg)
{
	struct machine *m = arg;
	struct bv_msi message = { 0xfee00000, 0x60 };

	for (u32 i = 0; i < RACE_ROUNDS; i++) {
		bv_irq_msi(m->vm, &message);
		while (__atomic_load_n(&race_taken, __ATOMIC_SEQ_CST) == i)
			sched_yield();
	}
	race_over = true;
	return NULL;
}

static void *race_noise(void *arg)
{
	struct machine *m = arg;
	struct bv_msi message = { 0xfee00000, 0x40 };

	while (!race_over) {
		message.data = 0x40 + (message.data + 7) % 0x18;
		bv_irq_msi(m->vm, &message);
	}
	return NULL;
}

TEST(no_interrupt_is_lost_between_threads)
{
	struct machine m;
	pthread_t sender, noise;

	machine_start(&m, 1, CHIPS_FULL);
	apic_enable(m.cpu[0]);
	pthread_create(&sender, NULL, race_sender, &m);
	pthread_create(&noise, NULL, race_noise, &m);
	while (!race_over) {
		int vector = take(m.cpu[0]);

		if (vector < 0) {
			sched_yield();
			continue;
		}
		eoi(m.cpu[0]);
		if (vector == 0x60)
			__atomic_fetch_add(&race_taken, 1, __ATOMIC_SEQ_CST);
	}
	pthread_join(sender, NULL);
	pthread_join(noise, NULL);
	CHECK_EQ(race_taken, RACE_ROUNDS);
	machine_stop(&m);
}

static void *race_renames(void *arg)
{
	struct machine *m = arg;

	for (u32 i = 0; !race_over; i++) {
		apic_write(m->cpu[1], R_LDR, i << 24);
		apic_write(m->cpu[1], R_ID, (2 + i % 200) << 24);
	}
	return NULL;
}

/* By logical and physical destination, to all and to all others. */
static void *race_ipis(void *arg)
{
	static const struct {
		u8 dest;
		u32 low;
	} ways[] = { { 0x80, 0x800 }, { 0, 0 }, { 0, 2u << 18 }, { 0, 3u << 18 } };
	struct machine *m = arg;

	for (u32 i = 0; i < RACE_ROUNDS; i++) {
		send(m->cpu[2], ways[i % 4].dest, ways[i % 4].low | 0x60);
		while (__atomic_load_n(&race_taken, __ATOMIC_SEQ_CST) == i)
			sched_yield();
	}
	race_over = true;
	return NULL;
}

TEST(no_ipi_is_lost_while_another_cpu_changes_its_ids)
{
	struct machine m;
	pthread_t ipis, renames;

	machine_start(&m, 3, CHIPS_FULL);
	machine_enable_apics(&m);
	apic_write(m.cpu[0], R_LDR, 0x80000000);
	apic_write(m.cpu[2], R_ID, 255u << 24);
	race_taken = 0;
	race_over = false;
	pthread_create(&ipis, NULL, race_ipis, &m);
	pthread_create(&renames, NULL, race_renames, &m);
	while (!race_over) {
		if (take(m.cpu[0]) != 0x60) {
			sched_yield();
			continue;
		}
		eoi(m.cpu[0]);
		__atomic_fetch_add(&race_taken, 1, __ATOMIC_SEQ_CST);
	}
	pthread_join(ipis, NULL);
	pthread_join(renames, NULL);
	CHECK_EQ(race_taken, RACE_ROUNDS);
	machine_stop(&m);
}
