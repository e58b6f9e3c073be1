// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hostile: up to 16 CPUs that pull at everything they share, at once: page tables, chips, each
 * other's INIT and SIPI, clocks. Option seconds is a bound by the TSC (2^30 ticks each).
 */
#include "hostile.h"

static volatile u32 rounds_done;
static u64 until;
static volatile u64 shared_words[64];

static void on_any(struct trap_frame *frame)
{
	if (frame->vector != TRAP_NMI)
		apic_eoi();
}

static void do_touch(void *argument)
{
	(*(volatile u64 *)argument)++;
}

static u64 mine(u64 *state)
{
	return random_next(state);
}

static void race_once(u64 *state, u32 count)
{
	u64 pick = mine(state), va = TEST_VA + (pick >> 16 & 0x3f000);
	u32 other = cpus[(u32)(pick >> 8) % count].apic_id;

	switch (pick % 16) {
	case 0:
		apic_ipi(other, ICR_ASSERT | (0x40 + (u32)(pick >> 32) % 64));
		break;
	case 1:
		apic_ipi(other, ICR_ASSERT | ICR_NMI);
		break;
	case 2:
		*page_entry(va, 1) =
			((mine(state) % (16 << 20) + (16 << 20)) & PTE_ADDR) | PTE_P | PTE_W;
		break;
	case 3:
		cpu_invlpg(va);
		break;
	case 4:
	case 5:
		fault_of(do_touch, (void *)va);
		break;
	case 6:
		ioapic_write(0x10 + (u32)(pick >> 32) % 48, (u32)mine(state) & 0x1ffff);
		break;
	case 7:
		try_wrmsr(MSR_TSC_DEADLINE, rdtsc() + (pick >> 40));
		break;
	case 8:
		outb((u16[]){ 0x20, 0x21, 0x40, 0x43, 0xa1, 0x80 }[pick >> 32 & 3],
		     (u8)(pick >> 40));
		break;
	case 9:
		write_cr3(read_cr3());
		break;
	case 10:
		write_cr4(read_cr4() ^ CR4_PGE);
		break;
	case 11:
		apic_write(APIC_LVT_TIMER, 0x50 | (pick >> 32 & 1 ? LVT_PERIODIC : 0));
		apic_write(APIC_INITIAL, (u32)(pick >> 32) % 100000 + 1000);
		break;
	case 12:
		__atomic_add_fetch(&shared_words[pick >> 32 & 63], 1, __ATOMIC_SEQ_CST);
		break;
	case 13:
		cpuid((u32)(pick >> 32) % 16, 0);
		break;
	case 14:
		apic_ipi(other, ICR_ASSERT | (pick >> 32 & 7 ? ICR_SIPI | 8 : ICR_LOWEST | 0x60));
		break;
	default:
		cpu_window();
	}
}

static void race(void *argument)
{
	u64 state = (u64)argument * 77 + 1 + hostile_state;
	u32 count = machine.cpus;

	while (rdtsc() < until) {
		race_once(&state, count);
		__atomic_add_fetch(&rounds_done, 1, __ATOMIC_RELAXED);
	}
	apic_write(APIC_INITIAL, 0);
	try_wrmsr(MSR_TSC_DEADLINE, 0);
}

static void all_cpus_pull_at_all(void)
{
	u32 count = smp_start(), i;

	hostile_seed();
	trap_handle(TRAP_NMI, on_any);
	trap_set_ist(TRAP_NMI, 2);
	for (i = 32; i < 256; i++)
		if (i != TRAP_USER_RETURN && i != SMP_WAKE_VECTOR)
			trap_handle(i, on_any);
	for (i = 0; i < 64; i++)
		page_map(TEST_VA + i * GUEST_PAGE_SIZE, 16 << 20, PTE_P | PTE_W);
	until = rdtsc() + (guest_option("seconds", 5) << 30);
	for (i = 1; i < count; i++)
		smp_call(i, race, (void *)(u64)i);
	race(NULL);
	for (i = 1; i < count; i++)
		CHECK(smp_wait(i));
	say("rounds: %u on %u CPUs\n", rounds_done, count);
	CHECK(rounds_done > 0);
}

/* INIT to anybody at any time, and the start again. */
static void cpus_are_reset_and_started_at_random(void)
{
	u32 count = machine.cpus, i;

	until = rdtsc() + (guest_option("seconds", 5) << 30);
	for (i = 1; i < count; i++)
		smp_call(i, race, (void *)(u64)i);
	for (i = 0; i < 200 && count > 1; i++) {
		u32 other = cpus[1 + hostile_random() % (count - 1)].apic_id;

		apic_ipi(other, ICR_INIT | ICR_ASSERT);
		if (hostile_random() % 2)
			apic_ipi(other, ICR_SIPI | ICR_ASSERT | 8);
	}
	apic_ipi_shorthand(ICR_OTHERS | ICR_INIT | ICR_ASSERT);
	CHECK(true);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(all_cpus_pull_at_all),
	GUEST_TEST(cpus_are_reset_and_started_at_random),
	GUEST_TESTS_END,
};
