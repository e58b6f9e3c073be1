// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Timers and lines: the local APIC's timer in its three modes, the 8254, the I/O APIC and the 8259
 * pair.
 */
#include "apic.h"
#include "cpu.h"

#define VECTOR 0x40
#define PIC_VECTOR 0x50
#define LVT_EXTINT 0x700

static u32 count(void)
{
	return this_cpu()->irqs[VECTOR];
}

static void begin(u32 lvt)
{
	trap_handle(VECTOR, irq_count);
	apic_write(APIC_INITIAL, 0);
	apic_write(APIC_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, lvt);
	cpu_window(); /* one that was requested before */
	this_cpu()->irqs[VECTOR] = 0;
}

/* Waits with interrupts on until the counter is there; false if it does not come. */
static bool comes(u32 value)
{
	u64 start = rdtsc();

	while (count() < value && rdtsc() - start < LONG_WAIT)
		cpu_window();
	return count() >= value;
}

static bool stays(u32 value)
{
	u64 start = rdtsc();

	while (rdtsc() - start < SHORT_WAIT)
		cpu_window();
	return count() == value;
}

static void one_shot_fires_once(void)
{
	begin(VECTOR);
	apic_write(APIC_INITIAL, 10000);
	CHECK(comes(1));
	CHECK(stays(1));
	CHECK_EQ(apic_read(APIC_CURRENT), 0);
}

static void one_shot_wakes_from_hlt(void)
{
	u32 i;

	begin(VECTOR);
	for (i = 1; i <= 20; i++) {
		apic_write(APIC_INITIAL, 50000);
		while (count() < i)
			cpu_halt();
	}
	CHECK_EQ(count(), 20);
}

static void periodic_fires_again_and_again(void)
{
	begin(VECTOR | LVT_PERIODIC);
	apic_write(APIC_INITIAL, 200000);
	CHECK(comes(10));
	apic_write(APIC_INITIAL, 0);
	cpu_window();
	CHECK(stays(count()));
}

static void periodic_keeps_its_period(void)
{
	u64 start, span;
	u32 i;

	begin(VECTOR | LVT_PERIODIC);
	apic_write(APIC_INITIAL, 10000000);
	start = apic_read(APIC_CURRENT);
	CHECK(start <= 10000000 && start > 0);
	CHECK(comes(1));
	start = rdtsc();
	CHECK(comes(6));
	span = (rdtsc() - start) / 5;
	for (i = 0; i < 5; i++)
		CHECK(comes(7 + i));
	apic_write(APIC_INITIAL, 0);
	CHECK(span > 0);
}

static void the_current_count_goes_down(void)
{
	u32 first, second;

	begin(VECTOR | LVT_MASKED);
	apic_write(APIC_INITIAL, 0xffffffff);
	first = apic_read(APIC_CURRENT);
	cpuid(0, 0);
	second = apic_read(APIC_CURRENT);
	CHECK(first > 0);
	CHECK(second < first);
	apic_write(APIC_INITIAL, 0);
	CHECK_EQ(apic_read(APIC_CURRENT), 0);
}

/*
 * The timer's ticks in a million of the TSC's. Measured again if the machine was away at either
 * end, where the two clocks are read one after the other.
 */
static u32 rate(u32 divide)
{
	u64 before, started, ended, after;
	u32 left;

	apic_write(APIC_DIVIDE, divide);
	do {
		before = rdtsc();
		apic_write(APIC_INITIAL, 0xffffffff);
		started = rdtsc();
		while (rdtsc() - started < 20000000)
			cpu_pause();
		ended = rdtsc();
		left = apic_read(APIC_CURRENT);
		after = rdtsc();
	} while (started - before > 2000000 || after - ended > 2000000);
	return (u32)((0xffffffff - left) / ((ended - before) / 1000000));
}

static void the_divider_divides(void)
{
	u32 by_1, by_16;

	begin(VECTOR | LVT_MASKED);
	by_1 = rate(0xb);
	by_16 = rate(0x3);
	CHECK(by_1 / 16 > by_16 / 2);
	CHECK(by_1 / 16 < by_16 * 2);
	apic_write(APIC_INITIAL, 0);
}

static void a_masked_timer_is_silent(void)
{
	begin(VECTOR | LVT_MASKED);
	apic_write(APIC_INITIAL, 1000);
	CHECK(stays(0));
}

static bool no_deadline(void)
{
	if (cpuid(1, 0).ecx >> 24 & 1)
		return false;
	check_skip("no TSC deadline mode");
	return true;
}

static void a_deadline_fires_once(void)
{
	u64 deadline;

	if (no_deadline())
		return;
	begin(VECTOR | LVT_TSC_DEADLINE);
	deadline = rdtsc() + 1000000;
	wrmsr(MSR_TSC_DEADLINE, deadline);
	CHECK(comes(1));
	CHECK(rdtsc() >= deadline);
	CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), 0);
	CHECK(stays(1));
}

static void a_deadline_is_never_early(void)
{
	u32 i, early = 0;

	if (no_deadline())
		return;
	begin(VECTOR | LVT_TSC_DEADLINE);
	for (i = 1; i <= 50; i++) {
		u64 deadline = rdtsc() + 20000 * i;

		wrmsr(MSR_TSC_DEADLINE, deadline);
		while (count() < i)
			cpu_halt();
		early += rdtsc() < deadline;
	}
	CHECK_EQ(early, 0);
}

static void a_deadline_in_the_past_fires_at_once(void)
{
	if (no_deadline())
		return;
	begin(VECTOR | LVT_TSC_DEADLINE);
	wrmsr(MSR_TSC_DEADLINE, 1);
	CHECK(comes(1));
}

/*
 * Arms the timer for soon and disarms it, by a deadline of 0 or by the mode. Again, if the machine
 * was away so long that the deadline passed before.
 */
static void arm_and_disarm(bool by_mode)
{
	u64 deadline;

	do {
		begin(VECTOR | LVT_TSC_DEADLINE);
		deadline = rdtsc() + SHORT_WAIT / 4;
		wrmsr(MSR_TSC_DEADLINE, deadline);
		if (by_mode)
			apic_write(APIC_LVT_TIMER, VECTOR);
		else
			wrmsr(MSR_TSC_DEADLINE, 0);
	} while (rdtsc() >= deadline);
}

static void a_deadline_of_0_disarms(void)
{
	if (no_deadline())
		return;
	arm_and_disarm(false);
	CHECK(stays(0));
}

static void another_mode_disarms_the_deadline(void)
{
	if (no_deadline())
		return;
	arm_and_disarm(true);
	CHECK(stays(0));
	wrmsr(MSR_TSC_DEADLINE, rdtsc());
	CHECK_EQ(rdmsr(MSR_TSC_DEADLINE), 0); /* ignored outside its mode */
	CHECK(stays(0));
}

static void the_8254_counts_down(void)
{
	u16 first, second;
	u64 start;

	if (!has_pc_chips())
		return;
	pit_start(0, 2, 0xffff);
	first = pit_read(0);
	start = rdtsc();
	do
		second = pit_read(0);
	while (second == first && rdtsc() - start < LONG_WAIT);
	CHECK(second != first);
}

static void the_8254_interrupts_through_the_io_apic(void)
{
	if (!has_pc_chips())
		return;
	begin(VECTOR | LVT_MASKED);
	ioapic_route(machine.gsi[0], this_cpu()->apic_id, VECTOR);
	pit_start(0, 2, 5000);
	CHECK(comes(20));
	ioapic_route(machine.gsi[0], this_cpu()->apic_id, VECTOR | IOAPIC_MASKED);
	cpu_window();
	CHECK(stays(count()));
}

static void the_8254_one_shot_interrupts_once(void)
{
	if (!has_pc_chips())
		return;
	begin(VECTOR | LVT_MASKED);
	ioapic_route(machine.gsi[0], this_cpu()->apic_id, VECTOR);
	pit_start(0, 0, 5000);
	CHECK(comes(1));
	CHECK(stays(1));
	ioapic_route(machine.gsi[0], this_cpu()->apic_id, IOAPIC_MASKED);
}

static void channel_2_shows_at_port_61(void)
{
	u64 start = rdtsc();

	if (!has_pc_chips())
		return;
	outb(0x61, inb(0x61) & ~3); /* gate and speaker off: it stands still */
	pit_start(2, 0, 10000);
	CHECK_EQ(inb(0x61) & 0x20, 0);
	outb(0x61, inb(0x61) | 1);
	while (!(inb(0x61) & 0x20) && rdtsc() - start < LONG_WAIT)
		cpu_pause();
	CHECK_EQ(inb(0x61) & 0x20, 0x20);
}

static void the_8254_interrupts_through_the_8259(void)
{
	u32 i;

	if (!has_pc_chips())
		return;
	trap_handle(PIC_VECTOR, irq_count);
	this_cpu()->irqs[PIC_VECTOR] = 0;
	pic_init(PIC_VECTOR);
	apic_write(APIC_LVT_LINT0, LVT_EXTINT);
	pit_start(0, 2, 10000);
	outb(0x21, 0xfe);
	for (i = 1; i <= 10; i++) {
		u64 start = rdtsc();

		while (this_cpu()->irqs[PIC_VECTOR] < i && rdtsc() - start < LONG_WAIT)
			cpu_window();
		outb(0x20, 0x20);
	}
	CHECK(this_cpu()->irqs[PIC_VECTOR] >= 10);
	pic_mask_all();
	outb(0x20, 0x20);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
	pit_start(0, 0, 1);
}

static void the_8259_remembers_its_mask_and_mode(void)
{
	if (!has_pc_chips())
		return;
	outb(0x21, 0xa5);
	CHECK_EQ(inb(0x21), 0xa5);
	outb(0xa1, 0x5a);
	CHECK_EQ(inb(0xa1), 0x5a);
	pic_mask_all();
	outb(0x4d0, 0x20);
	CHECK_EQ(inb(0x4d0), 0x20);
	outb(0x4d0, 0xff); /* 0, 1 and 2 are always edges */
	CHECK_EQ(inb(0x4d0), 0xf8);
	outb(0x4d0, 0);
}

static void the_io_apic_remembers_its_entries(void)
{
	u32 pin;

	if (!has_pc_chips())
		return;
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic_route(pin, pin & 15, IOAPIC_MASKED | (0x20 + pin));
	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		CHECK_EQ(ioapic_read(0x10 + 2 * pin), IOAPIC_MASKED | (0x20 + pin));
		CHECK_EQ(ioapic_read(0x11 + 2 * pin), (pin & 15) << 24);
	}
	CHECK_EQ(ioapic_read(1) >> 16 & 0xff, IOAPIC_PINS - 1);
}

static void read_only_bits_of_an_entry_stay(void)
{
	if (!has_pc_chips())
		return;
	ioapic_write(0x10, IOAPIC_MASKED | 1 << 12 | 1 << 14 | 0x30);
	CHECK_EQ(ioapic_read(0x10), IOAPIC_MASKED | 0x30);
}

static void timers_of_all_modes_in_turn(void)
{
	u32 i;

	for (i = 0; i < 10; i++) {
		begin(VECTOR);
		apic_write(APIC_INITIAL, 1000 * (i + 1));
		CHECK(comes(1));
		begin(VECTOR | LVT_PERIODIC);
		apic_write(APIC_INITIAL, 50000);
		CHECK(comes(2));
	}
	apic_write(APIC_INITIAL, 0);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(one_shot_fires_once),
	GUEST_TEST(one_shot_wakes_from_hlt),
	GUEST_TEST(periodic_fires_again_and_again),
	GUEST_TEST(periodic_keeps_its_period),
	GUEST_TEST(the_current_count_goes_down),
	GUEST_TEST(the_divider_divides),
	GUEST_TEST(a_masked_timer_is_silent),
	GUEST_TEST(a_deadline_fires_once),
	GUEST_TEST(a_deadline_is_never_early),
	GUEST_TEST(a_deadline_in_the_past_fires_at_once),
	GUEST_TEST(a_deadline_of_0_disarms),
	GUEST_TEST(another_mode_disarms_the_deadline),
	GUEST_TEST(the_8254_counts_down),
	GUEST_TEST(the_8254_interrupts_through_the_io_apic),
	GUEST_TEST(the_8254_one_shot_interrupts_once),
	GUEST_TEST(channel_2_shows_at_port_61),
	GUEST_TEST(the_8254_interrupts_through_the_8259),
	GUEST_TEST(the_8259_remembers_its_mask_and_mode),
	GUEST_TEST(the_io_apic_remembers_its_entries),
	GUEST_TEST(read_only_bits_of_an_entry_stay),
	GUEST_TEST(timers_of_all_modes_in_turn),
	GUEST_TESTS_END,
};
