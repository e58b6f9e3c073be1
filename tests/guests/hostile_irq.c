// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hostile: more interrupts than anybody can take, from all sources at once, on all CPUs. Option
 * rounds.
 */
#include "hostile.h"

static volatile u32 taken;

static void on_any(struct trap_frame *frame)
{
	taken++;
	if (frame->vector != TRAP_NMI)
		apic_eoi();
}

static void take_all(void)
{
	u32 vector;

	trap_handle(TRAP_NMI, on_any);
	for (vector = 32; vector < 256; vector++)
		trap_handle(vector, on_any);
}

static void irq_once(void)
{
	u64 pick = hostile_random();
	u32 vector = 32 + (u32)(pick >> 8) % 220;

	switch (pick % 12) {
	case 0:
		apic_write(APIC_LVT_TIMER, vector | LVT_PERIODIC);
		apic_write(APIC_INITIAL, (u32)(pick >> 32) % 1000 + 1);
		break;
	case 1:
		apic_write(APIC_INITIAL, 0);
		break;
	case 2:
		ioapic_route((u32)(pick >> 32) % IOAPIC_PINS, this_cpu()->apic_id,
			     vector | (pick >> 40 & 1 ? IOAPIC_LEVEL : 0));
		break;
	case 3:
		pit_start(0, 2, (u16)(pick >> 32) % 100 + 2);
		break;
	case 4:
		apic_ipi_shorthand(ICR_ALL | ICR_ASSERT | vector);
		break;
	case 5:
		apic_ipi_shorthand(ICR_ALL | ICR_ASSERT | ICR_NMI);
		break;
	case 6:
		write_cr8(pick >> 32 & 15);
		break;
	case 7:
		apic_write(APIC_EOI, 0);
		break;
	case 8:
		apic_write(APIC_LVT_LINT0, ((u32)(pick >> 32) & 0x1e700) | vector);
		break;
	case 9:
		pic_init((u8)(vector & 0xf8));
		outb(0x21, (u8)(pick >> 32));
		break;
	default:
		apic_ipi_shorthand(ICR_SELF | ICR_ASSERT | vector);
	}
}

static void storm(void *argument)
{
	u64 rounds = guest_option("rounds", 5000), i;

	(void)argument;
	for (i = 0; i < rounds; i++) {
		irq_once();
		if (i % 4)
			cpu_window();
		if (i % 64 == 0) {
			cpu_sti();
			cpuid(0, 0);
			cpu_cli();
		}
	}
	write_cr8(0);
	apic_write(APIC_INITIAL, 0);
}

static void a_storm_on_one_cpu(void)
{
	hostile_seed();
	smp_start(); /* an NMI would end a CPU that the firmware still holds */
	take_all();
	trap_set_ist(TRAP_NMI, 2);
	storm(NULL);
	CHECK(taken > 0);
	say("taken: %u\n", taken);
}

static void a_storm_on_all_cpus(void)
{
	u32 count = smp_start(), i;

	for (i = 1; i < count; i++)
		smp_call(i, storm, NULL);
	storm(NULL);
	for (i = 1; i < count; i++)
		CHECK(smp_wait(i));
	say("taken: %u\n", taken);
	CHECK(true);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(a_storm_on_one_cpu),
	GUEST_TEST(a_storm_on_all_cpus),
	GUEST_TESTS_END,
};
