// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several CPUs: their start, interrupts between them, atomic memory, and one view of the page
 * tables.
 */
#include "apic.h"
#include "cpu.h"
#include "paging.h"

#define VECTOR 0x40
#define RING_VECTOR 0x41

static u32 count;

static void reset_counts(u32 vector)
{
	u32 i;

	trap_handle(vector, irq_count);
	for (i = 0; i < count; i++)
		store32(&cpus[i].irqs[vector], 0);
}

static bool each_counts(u32 vector, u32 first, u32 value)
{
	u32 i;
	bool good = true;

	for (i = first; i < count; i++)
		good &= wait_for(&cpus[i].irqs[vector], value, LONG_WAIT);
	return good;
}

static void all_cpus_start(void)
{
	count = smp_start();
	CHECK_EQ(count, machine.cpus);
	CHECK(count >= 2);
}

static void note_id(void *argument)
{
	u32 *ids = argument;

	ids[this_cpu()->index] = cpuid(1, 0).ebx >> 24;
}

static void each_has_its_own_id(void)
{
	u32 ids[MAX_CPUS] = { 0 }, i, j;

	CHECK(smp_call_all(note_id, ids));
	for (i = 1; i < count; i++) {
		CHECK_EQ(ids[i], cpus[i].apic_id);
		for (j = 1; j < i; j++)
			CHECK(ids[i] != ids[j]);
	}
}

static void note_reset_state(void *argument)
{
	u64 *bad = argument;

	*bad += (rdmsr(MSR_APIC_BASE) & APIC_BASE_BSP) != 0;
	*bad += rdmsr(MSR_PAT) != 0x0007040600070406;
	*bad += read_dr7() != 0x400;
}

static void a_started_cpu_is_in_reset_state(void)
{
	u64 bad = 0;

	CHECK(smp_call_all(note_reset_state, &bad));
	CHECK_EQ(bad, 0);
}

static void an_ipi_reaches_the_one_it_is_for(void)
{
	u32 i, j;

	for (i = 1; i < count; i++) {
		reset_counts(VECTOR);
		apic_ipi(cpus[i].apic_id, ICR_ASSERT | VECTOR);
		CHECK(wait_for(&cpus[i].irqs[VECTOR], 1, LONG_WAIT));
		for (j = 0; j < count; j++)
			CHECK_EQ(cpus[j].irqs[VECTOR], i == j);
	}
}

static void shorthands_reach_all_or_all_others(void)
{
	reset_counts(VECTOR);
	apic_ipi_shorthand(ICR_OTHERS | ICR_ASSERT | VECTOR);
	CHECK(each_counts(VECTOR, 1, 1));
	cpu_window();
	CHECK_EQ(cpus[0].irqs[VECTOR], 0);
	apic_ipi_shorthand(ICR_ALL | ICR_ASSERT | VECTOR);
	cpu_window();
	CHECK(each_counts(VECTOR, 0, 1));
	CHECK(each_counts(VECTOR, 1, 2));
}

static void set_logical(void *argument)
{
	(void)argument;
	apic_write(APIC_DFR, 0xffffffff);
	apic_write(APIC_LDR, 1u << (24 + this_cpu()->index % 8));
}

static void logical_destinations_reach_a_set(void)
{
	u32 i;

	set_logical(NULL);
	CHECK(smp_call_all(set_logical, NULL));
	reset_counts(VECTOR);
	apic_ipi(0x02, ICR_LOGICAL | ICR_ASSERT | VECTOR);
	CHECK(wait_for(&cpus[1].irqs[VECTOR], 1, LONG_WAIT));
	apic_ipi(0xfe, ICR_LOGICAL | ICR_ASSERT | VECTOR);
	CHECK(each_counts(VECTOR, count > 8 ? 9 : 1, 1));
	for (i = 1; i < count && i < 8; i++)
		CHECK(wait_for(&cpus[i].irqs[VECTOR], i == 1 ? 2 : 1, LONG_WAIT));
	CHECK_EQ(cpus[0].irqs[VECTOR], 0);
}

static void lowest_priority_reaches_exactly_one(void)
{
	u32 i, sum = 0;

	reset_counts(VECTOR);
	cpu_sti();
	for (i = 0; i < 50; i++)
		apic_ipi(0xff, ICR_LOGICAL | ICR_LOWEST | ICR_ASSERT | VECTOR);
	for (i = 0; i < 100000 && sum < 50; i++) {
		u32 j;

		for (j = 0, sum = 0; j < count; j++)
			sum += load32(&cpus[j].irqs[VECTOR]);
		cpu_pause();
	}
	cpu_cli();
	/* Several may fall together on a CPU that has not taken the first. */
	CHECK(sum >= 1);
	CHECK(sum <= 50);
}

static volatile u32 ring_hops;

static void ring_hop(struct trap_frame *frame)
{
	u32 next = (this_cpu()->index + 1) % count;

	(void)frame;
	__atomic_add_fetch(&ring_hops, 1, __ATOMIC_SEQ_CST);
	apic_eoi();
	if (ring_hops < 200 * count)
		apic_ipi(cpus[next].apic_id, ICR_ASSERT | RING_VECTOR);
}

static void a_ring_of_ipis_loses_none(void)
{
	u64 start = rdtsc();

	trap_handle(RING_VECTOR, ring_hop);
	ring_hops = 0;
	apic_ipi(cpus[1].apic_id, ICR_ASSERT | RING_VECTOR);
	while (load32(&ring_hops) < 200 * count && rdtsc() - start < 4 * LONG_WAIT)
		cpu_window();
	CHECK_EQ(ring_hops, 200 * count);
}

static volatile u32 nmis;

static void on_nmi(struct trap_frame *frame)
{
	(void)frame;
	__atomic_add_fetch(&nmis, 1, __ATOMIC_SEQ_CST);
}

static void nmis_reach_the_others(void)
{
	u32 round;

	trap_handle(TRAP_NMI, on_nmi);
	for (round = 1; round <= 10; round++) {
		apic_ipi_shorthand(ICR_OTHERS | ICR_NMI | ICR_ASSERT);
		if (!wait_for(&nmis, round * (count - 1), LONG_WAIT))
			break;
	}
	CHECK_EQ(nmis, 10 * (count - 1));
	trap_handle(TRAP_NMI, NULL);
}

static struct {
	u64 locked_inc, locked_add16, exchanged, plain_by_lock;
	u32 lock;
} shared;

#define ADDS 20000

static void add_all(void *argument)
{
	u32 i;

	(void)argument;
	for (i = 0; i < ADDS; i++) {
		u64 old = shared.exchanged;

		__asm__ volatile("lock incq %0" : "+m"(shared.locked_inc));
		__asm__ volatile("lock addw $1, %0" : "+m"(shared.locked_add16));
		while (!__atomic_compare_exchange_n(&shared.exchanged, &old, old + 1, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
		while (__atomic_exchange_n(&shared.lock, 1, __ATOMIC_ACQUIRE))
			cpu_pause();
		shared.plain_by_lock++;
		__atomic_store_n(&shared.lock, 0, __ATOMIC_RELEASE);
	}
}

static void atomic_counters_lose_nothing(void)
{
	u32 i;

	for (i = 1; i < count; i++)
		smp_call(i, add_all, NULL);
	add_all(NULL);
	for (i = 1; i < count; i++)
		CHECK(smp_wait(i));
	CHECK_EQ(shared.locked_inc, (u64)ADDS * count);
	CHECK_EQ(shared.locked_add16 & 0xffff, ADDS * count & 0xffff);
	CHECK_EQ(shared.exchanged, (u64)ADDS * count);
	CHECK_EQ(shared.plain_by_lock, (u64)ADDS * count);
}

static volatile u32 tsc_turn;
static volatile u64 tsc_last;
static volatile u64 tsc_backward; /* the longest way back */

static void tsc_pass(void *argument)
{
	u64 now;
	u32 i;

	(void)argument;
	for (i = 0; i < 2000; i++) {
		while (__atomic_exchange_n(&tsc_turn, 1, __ATOMIC_ACQUIRE))
			cpu_pause();
		now = rdtsc();
		if (now < tsc_last && tsc_last - now > tsc_backward)
			tsc_backward = tsc_last - now;
		tsc_last = rdtsc();
		__atomic_store_n(&tsc_turn, 0, __ATOMIC_RELEASE);
	}
}

static void the_tsc_is_one_for_all(void)
{
	u32 i;

	for (i = 1; i < count; i++)
		smp_call(i, tsc_pass, NULL);
	tsc_pass(NULL);
	for (i = 1; i < count; i++)
		CHECK(smp_wait(i));
	CHECK_EQ(tsc_backward, 0);
}

/*
 * TLB shootdown: CPU 0 moves a page, tells the others, and from their answer on nobody may see the
 * old one.
 */
static volatile u32 shoot_round, shoot_answers, shoot_stop, shoot_stale;

static void shoot_read(void *argument)
{
	u32 round = 0;

	(void)argument;
	while (!load32(&shoot_stop)) {
		if (load32(&shoot_round) == round) {
			(void)*(volatile u32 *)TEST_VA;
			cpu_pause();
			continue;
		}
		round = load32(&shoot_round);
		cpu_invlpg(TEST_VA);
		if (*(volatile u32 *)TEST_VA != (round & 1))
			__atomic_add_fetch(&shoot_stale, 1, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&shoot_answers, 1, __ATOMIC_SEQ_CST);
	}
}

static void no_stale_translation_after_a_shootdown(void)
{
	u32 *pages[2] = { page_alloc(), page_alloc() }, round, i;

	*pages[1] = 1;
	page_map(TEST_VA, (u64)pages[0], PTE_P | PTE_W);
	for (i = 1; i < count; i++)
		smp_call(i, shoot_read, NULL);
	for (round = 1; round <= 200; round++) {
		store32(&shoot_answers, 0);
		page_map(TEST_VA, (u64)pages[round & 1], PTE_P | PTE_W);
		store32(&shoot_round, round);
		if (!wait_for(&shoot_answers, count - 1, LONG_WAIT))
			break;
	}
	store32(&shoot_stop, 1);
	for (i = 1; i < count; i++)
		CHECK(smp_wait(i));
	CHECK_EQ(round, 201);
	CHECK_EQ(shoot_stale, 0);
}

static volatile u32 late_faults;

static void on_late_fault(struct trap_frame *frame)
{
	__atomic_add_fetch(&late_faults, 1, __ATOMIC_SEQ_CST);
	frame->rip += 2; /* movb (%rax), %al */
}

static void read_unmapped(void *argument)
{
	__asm__ volatile("invlpg (%0); movb (%0), %%al" ::"a"(argument) : "memory");
}

static void an_unmapped_page_faults_on_all(void)
{
	trap_handle(TRAP_PF, on_late_fault);
	page_map(TEST_VA, 0, 0);
	CHECK(smp_call_all(read_unmapped, (void *)TEST_VA));
	CHECK_EQ(late_faults, count - 1);
	trap_handle(TRAP_PF, NULL);
}

static volatile u32 busy_stop;

static void be_busy(void *argument)
{
	(void)argument;
	cpu_sti();
	while (!load32(&busy_stop))
		__asm__ volatile("" ::: "memory");
	cpu_cli();
}

static void interrupts_reach_a_busy_cpu(void)
{
	u32 i;

	reset_counts(VECTOR);
	smp_call(1, be_busy, NULL);
	for (i = 1; i <= 20; i++) {
		apic_ipi(cpus[1].apic_id, ICR_ASSERT | VECTOR);
		if (!wait_for(&cpus[1].irqs[VECTOR], i, LONG_WAIT))
			break;
	}
	store32(&busy_stop, 1);
	CHECK(smp_wait(1));
	CHECK_EQ(cpus[1].irqs[VECTOR], 20);
}

/* Interrupts off and on, without an exit: what comes meanwhile waits where it is. */
static void open_windows(void *argument)
{
	(void)argument;
	while (!load32(&busy_stop)) {
		u32 i;

		for (i = 0; i < 100; i++)
			__asm__ volatile("" ::: "memory");
		cpu_window();
	}
}

/* The next one is sent as soon as the handler has counted, before it says that it is done. */
static void none_is_lost_that_comes_in_the_handler_of_another(void)
{
	u32 i;

	busy_stop = 0;
	reset_counts(VECTOR);
	smp_call(1, open_windows, NULL);
	for (i = 1; i <= 300; i++) {
		apic_ipi(cpus[1].apic_id, ICR_ASSERT | VECTOR);
		if (!wait_for(&cpus[1].irqs[VECTOR], i, LONG_WAIT))
			break;
	}
	CHECK_EQ(i, 301);
	CHECK_EQ(cpus[1].irqs[VECTOR], 300);
	store32(&busy_stop, 1);
	CHECK(smp_wait(1));
}

static void init_stops_a_cpu_and_sipi_starts_it_again(void)
{
	extern u32 ap_next;
	u32 last = count - 1;

	store32(&ap_next, last);
	store32(&cpus[last].up, 0);
	apic_ipi(cpus[last].apic_id, ICR_INIT | ICR_ASSERT);
	apic_ipi(cpus[last].apic_id, ICR_ASSERT | VECTOR);
	CHECK_EQ(cpus[last].up, 0);
	apic_ipi(cpus[last].apic_id, ICR_SIPI | ICR_ASSERT | 8);
	CHECK(wait_for(&cpus[last].up, 1, LONG_WAIT));
	apic_ipi(cpus[last].apic_id, ICR_SIPI | ICR_ASSERT | 8); /* a running CPU ignores it */
	smp_call(last, set_logical, NULL);
	CHECK(smp_wait(last));
	CHECK_EQ(ap_next, last + 1);
}

static void to_x2(void *argument)
{
	(void)argument;
	apic_set_x2(true);
}

static void the_same_by_x2apic(void)
{
	if (!apic_has_x2()) {
		check_skip("no x2APIC");
		return;
	}
	CHECK(smp_call_all(to_x2, NULL));
	apic_set_x2(true);
	an_ipi_reaches_the_one_it_is_for();
	shorthands_reach_all_or_all_others();
	a_ring_of_ipis_loses_none();
	/* A cluster's logical address comes from the ID and cannot be written. */
	CHECK_EQ(rdmsr(MSR_X2APIC + APIC_LDR / 16), 1u << (this_cpu()->apic_id & 15));
	reset_counts(VECTOR);
	apic_ipi(1u << (cpus[1].apic_id & 15) | (cpus[1].apic_id >> 4) << 16,
		 ICR_LOGICAL | ICR_ASSERT | VECTOR);
	CHECK(wait_for(&cpus[1].irqs[VECTOR], 1, LONG_WAIT));
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(all_cpus_start),
	GUEST_TEST(each_has_its_own_id),
	GUEST_TEST(a_started_cpu_is_in_reset_state),
	GUEST_TEST(an_ipi_reaches_the_one_it_is_for),
	GUEST_TEST(shorthands_reach_all_or_all_others),
	GUEST_TEST(logical_destinations_reach_a_set),
	GUEST_TEST(lowest_priority_reaches_exactly_one),
	GUEST_TEST(a_ring_of_ipis_loses_none),
	GUEST_TEST(nmis_reach_the_others),
	GUEST_TEST(atomic_counters_lose_nothing),
	GUEST_TEST(the_tsc_is_one_for_all),
	GUEST_TEST(no_stale_translation_after_a_shootdown),
	GUEST_TEST(an_unmapped_page_faults_on_all),
	GUEST_TEST(interrupts_reach_a_busy_cpu),
	GUEST_TEST(none_is_lost_that_comes_in_the_handler_of_another),
	GUEST_TEST(init_stops_a_cpu_and_sipi_starts_it_again),
	GUEST_TEST(the_same_by_x2apic),
	GUEST_TESTS_END,
};
