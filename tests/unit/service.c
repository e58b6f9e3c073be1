// SPDX-License-Identifier: GPL-2.0-or-later
/* Interrupts that the hardware ends by itself, in x2APIC mode: what it is told, what is left. */
#include "machine.h"

#define BASE_XAPIC 0xfee00900
#define BASE_X2APIC 0xfee00d00

static struct machine m;
static struct bv_vcpu *cpu;

/* What the guest does in its next entry. */
static struct {
	u64 rflags;
	int end; /* a vector that it ends, -1 none */
} guest;

static bool guest_acts(struct bv_vcpu *vcpu, void *arg)
{
	int end = guest.end;

	(void)arg;
	if (!guest.rflags)
		return false;
	vcpu->exit = (struct bv_exit){ .kind = BV_EXIT_HOST };
	vcpu->gprs.rflags = guest.rflags;
	guest.rflags = 0;
	guest.end = -1;
	if (end < 0)
		return true;
	CHECK(fake_hw(vcpu)->serving);
	if (vcpu->service.told[end / 64] & BV_BIT(end % 64))
		vcpu->exit.kind = BV_EXIT_EOI;
	vcpu->service.isr[end / 64] &= ~BV_BIT(end % 64);
	vcpu->exit.served = true;
	return true;
}

static void enter(bool interrupts, int end)
{
	struct bv_run run = { 0 };

	guest.rflags = 2 | (interrupts ? BV_RFLAGS_IF : 0);
	guest.end = end;
	fake_guest(cpu, guest_acts, NULL);
	fake_vcpu(cpu)->signal = false;
	bv_vcpu_run(cpu, &run);
}

static void start(void)
{
	fake_reset();
	fake_vendor_use_service();
	machine_make(&m, 1, CHIPS_FULL);
	machine_enable_apics(&m);
	cpu = m.cpu[0];
	CHECK(wrmsr(cpu, MSR_APIC_BASE, BASE_X2APIC));
	cpu->gprs.rflags = 2 | BV_RFLAGS_IF;
}

static void message(u8 vector)
{
	const struct bv_msi msi = { 0xfee00000, vector };

	bv_irq_msi(m.vm, &msi);
}

static bool in_service(u8 vector)
{
	return msr(cpu, x2apic_msr(R_ISR) + vector / 32) >> vector % 32 & 1;
}

static bool served(u8 vector)
{
	return fake_hw(cpu)->serving && cpu->service.isr[vector / 64] >> vector % 64 & 1;
}

static bool end_told(u8 vector)
{
	return cpu->service.told[vector / 64] >> vector % 64 & 1;
}

TEST(an_interrupt_in_service_is_ended_without_an_exit)
{
	start();
	message(0x50);
	enter(true, -1);
	CHECK_EQ(fake_last_delivered(cpu), 0x50);
	CHECK(in_service(0x50) && served(0x50) && !end_told(0x50));
	enter(true, 0x50);
	CHECK(!in_service(0x50));
	CHECK_EQ(cpu->counter[BV_EXIT_EOI], 0);
	CHECK_EQ(msr(cpu, x2apic_msr(R_PPR)), 0);
	message(0x50);
	enter(true, -1);
	CHECK_EQ(fake_hw(cpu)->deliveries, 2);
	machine_stop(&m);
}

TEST(while_another_waits_the_end_is_told_and_lets_it_in)
{
	start();
	message(0x50);
	enter(true, -1);
	message(0x51);
	enter(true, -1);
	CHECK_EQ(fake_hw(cpu)->deliveries, 1);
	CHECK(end_told(0x50));
	enter(true, 0x50);
	CHECK_EQ(cpu->counter[BV_EXIT_EOI], 1);
	CHECK_EQ(fake_last_delivered(cpu), 0x51);
	CHECK(in_service(0x51) && served(0x51) && !end_told(0x51) && !served(0x50));
	machine_stop(&m);
}

TEST(the_end_of_a_level_interrupt_is_told_and_reaches_the_ioapic)
{
	start();
	ioapic_pin(cpu, 17, 0x60 | RTE_LEVEL, 0);
	bv_irq_line(m.vm, 17, 0, true);
	enter(true, -1);
	CHECK(in_service(0x60) && end_told(0x60));
	CHECK(ioapic_read(cpu, 0x10 + 2 * 17) & RTE_REMOTE_IRR);
	bv_irq_line(m.vm, 17, 0, false);
	enter(true, 0x60);
	CHECK_EQ(cpu->counter[BV_EXIT_EOI], 1);
	CHECK(!in_service(0x60));
	CHECK(!(ioapic_read(cpu, 0x10 + 2 * 17) & RTE_REMOTE_IRR));
	machine_stop(&m);
}

TEST(an_interrupt_that_must_wait_has_a_window)
{
	start();
	cpu->gprs.rflags = 2;
	message(0x50);
	enter(true, -1);
	CHECK(fake_hw(cpu)->wishes.irq_window);
	enter(true, -1);
	CHECK_EQ(fake_last_delivered(cpu), 0x50);
	CHECK(in_service(0x50) && served(0x50));
	machine_stop(&m);
}

TEST(nested_ones_end_one_by_one)
{
	start();
	message(0x50);
	enter(true, -1);
	message(0x90);
	enter(true, -1);
	CHECK(in_service(0x50) && in_service(0x90));
	CHECK_EQ(msr(cpu, x2apic_msr(R_PPR)), 0x90);
	enter(true, 0x90);
	CHECK(in_service(0x50) && !in_service(0x90));
	CHECK_EQ(msr(cpu, x2apic_msr(R_PPR)), 0x50);
	enter(true, 0x50);
	CHECK(!in_service(0x50));
	machine_stop(&m);
}

TEST(an_end_by_the_local_apic_reaches_the_hardware)
{
	start();
	message(0x50);
	enter(true, -1);
	CHECK(served(0x50));
	CHECK(wrmsr(cpu, x2apic_msr(R_EOI), 0));
	enter(true, -1);
	CHECK(fake_hw(cpu)->serving && !served(0x50));
	message(0x50);
	enter(true, -1);
	m.vm->intc->vcpu_reset(cpu, true);
	enter(true, -1);
	CHECK(!served(0x50));
	machine_stop(&m);
}

TEST(what_the_task_priority_holds_back_is_waited_for_without_the_hardware)
{
	start();
	CHECK(wrmsr(cpu, x2apic_msr(R_TPR), 0x60));
	enter(true, -1);
	message(0x50);
	enter(true, -1);
	CHECK(!fake_hw(cpu)->serving && fake_hw(cpu)->wishes.cr8_writes);
	CHECK(wrmsr(cpu, x2apic_msr(R_TPR), 0));
	enter(true, -1);
	CHECK(served(0x50) && in_service(0x50));
	machine_stop(&m);
}

TEST(in_other_modes_and_with_a_filter_ends_exit)
{
	start();
	message(0x50);
	enter(true, -1);
	CHECK(fake_hw(cpu)->serving);
	CHECK(wrmsr(cpu, MSR_APIC_BASE, BASE_XAPIC & ~0x800ull));
	enter(true, -1);
	CHECK(!fake_hw(cpu)->serving);
	CHECK(wrmsr(cpu, MSR_APIC_BASE, BASE_XAPIC));
	enter(true, -1);
	CHECK(!fake_hw(cpu)->serving);
	CHECK(wrmsr(cpu, MSR_APIC_BASE, BASE_X2APIC));
	enter(true, -1);
	CHECK(fake_hw(cpu)->serving);
	machine_stop(&m);
}
