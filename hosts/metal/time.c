/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Time: the time stamp counter, whose rate is measured once against the HPET, the ACPI timer or the
 * 8254, the first of them that is there; the wall clock from the CMOS, and timers, a sorted list
 * for each CPU behind its local APIC's timer.
 */
#include "hosts/metal/metal.h"

#define PM_TIMER_HZ 3579545ull
#define PIT_HZ 1193182ull
#define NS 1000000000ull

static struct {
	u64 tsc_start;
	u32 tsc_khz;
	u64 ns_factor; /* ns per tick, 32 bits of fraction */
	u64 wall_base; /* wall clock at bv_host_ns() == 0 */
	bool stable, deadline;
	u64 apic_factor; /* APIC timer ticks per ns, 32 bits of fraction */
} clock;

static u64 scale(u64 value, u64 factor)
{
	return (u64)(((unsigned __int128)value * factor) >> 32);
}

u64 bv_host_tsc(void)
{
	return rdtsc();
}

u32 bv_host_tsc_khz(void)
{
	return clock.tsc_khz;
}

bool bv_host_tsc_stable(void)
{
	return clock.stable;
}

u64 bv_host_ns(void)
{
	return scale(rdtsc() - clock.tsc_start, clock.ns_factor);
}

u64 bv_host_wall_ns(void)
{
	return clock.wall_base + bv_host_ns();
}

void bvx_host_wall_set(u64 wall_ns, u64 system_ns)
{
	clock.wall_base = wall_ns - system_ns;
}

void delay_us(u32 us)
{
	u64 start = rdtsc(), ticks = (u64)us * (clock.tsc_khz ? clock.tsc_khz : 1000000) / 1000;

	while (rdtsc() - start < ticks)
		cpu_relax();
}

/* ---- calibration ---- */

/* Waits at least that many ticks of the ACPI timer; returns how many they were. */
static u32 pm_wait(u32 ticks)
{
	u32 mask = acpi.pm_timer32 ? ~0u : 0xffffffu, start = in_u32(acpi.pm_timer), passed;

	do {
		passed = (in_u32(acpi.pm_timer) - start) & mask;
	} while (passed < ticks);
	return passed;
}

/* The same with the 8254's channel 2, which counts down. */
static u32 pit_wait(u32 ticks)
{
	u32 last, passed = 0;

	out_u8(0x61, (in_u8(0x61) & ~2) | 1);
	out_u8(0x43, 0xb4);
	out_u8(0x42, 0xff);
	out_u8(0x42, 0xff);
	last = 0xffff;
	while (passed < ticks) {
		u32 now;

		out_u8(0x43, 0x80);
		now = in_u8(0x42);
		now |= (u32)in_u8(0x42) << 8;
		passed += (last - now) & 0xffff;
		last = now;
	}
	return passed;
}

/*
 * And with the HPET, whose counter runs up at a rate that it tells itself (IA-PC HPET
 * specification, 2.3); it is left as it was.
 */
#define HPET_PERIOD 0x04 /* femtoseconds a tick */
#define HPET_CONFIG 0x10
#define HPET_RUNS 1u
#define HPET_COUNT 0xf0
#define FEMTO_PER_NS 1000000ull

static u64 hpet_wait(u64 ns)
{
	u64 base = (u64)map_device(acpi.hpet, 1024);
	u32 period = mmio_read(base + HPET_PERIOD), config = mmio_read(base + HPET_CONFIG), start,
	    passed, ticks = (u32)(ns * FEMTO_PER_NS / period);

	mmio_write(base + HPET_CONFIG, config | HPET_RUNS);
	start = mmio_read(base + HPET_COUNT);
	do {
		passed = mmio_read(base + HPET_COUNT) - start;
	} while (passed < ticks);
	mmio_write(base + HPET_CONFIG, config);
	return passed * (u64)period / FEMTO_PER_NS;
}

/* A period that the specification allows: at most 100 ns. */
static bool hpet_usable(void)
{
	u32 period = acpi.hpet ? mmio_read((u64)map_device(acpi.hpet, 1024) + HPET_PERIOD) : 0;

	return period >= 1000 && period <= 100 * FEMTO_PER_NS;
}

#define LONG_ENOUGH_NS (NS / 50)

/* A fiftieth of a second or more by a clock of known rate; its length in ns. */
static u64 known_time(const char **by)
{
	if (hpet_usable()) {
		*by = "HPET";
		return hpet_wait(LONG_ENOUGH_NS);
	}
	if (acpi.pm_timer) {
		*by = "ACPI timer";
		return pm_wait((u32)(PM_TIMER_HZ / 50)) * NS / PM_TIMER_HZ;
	}
	*by = "8254";
	return pit_wait((u32)(PIT_HZ / 50)) * NS / PIT_HZ;
}

#define APIC_LVT_TIMER 0x320
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_COUNT 0x390
#define APIC_TIMER_DIVIDE 0x3e0
#define LVT_MASKED 0x10000
#define LVT_DEADLINE 0x40000

/* Returns what it was measured by. */
static const char *calibrate(void)
{
	const char *by;
	u64 start, ns, ticks, apic_ticks;

	apic_write(APIC_TIMER_DIVIDE, 0xb); /* by 1 */
	apic_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
	apic_write(APIC_TIMER_INITIAL, ~0u);
	start = rdtsc();
	ns = known_time(&by);
	ticks = rdtsc() - start;
	apic_ticks = ~0u - apic_read(APIC_TIMER_COUNT);
	apic_write(APIC_TIMER_INITIAL, 0);
	clock.tsc_khz = (u32)(ticks * 1000000 / ns);
	clock.ns_factor = (ns << 32) / ticks;
	clock.apic_factor = (apic_ticks << 32) / ns;
	clock.tsc_start = rdtsc();
	return by;
}

/* ---- the wall clock ---- */

static u8 cmos_read(u8 index)
{
	out_u8(0x70, index);
	return in_u8(0x71);
}

static u32 cmos_number(u8 index, bool binary)
{
	u8 value = cmos_read(index);

	return binary ? value : (value >> 4) * 10u + (value & 15);
}

/* Days since 1970-01-01. */
static u64 days(u32 year, u32 month, u32 day)
{
	u64 y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static u64 cmos_seconds(void)
{
	bool binary = cmos_read(0x0b) & 4;
	u32 patience = 100000;
	u64 day;

	while (cmos_read(0x0a) & 0x80 && --patience)
		;
	day = days(2000 + cmos_number(9, binary), cmos_number(8, binary), cmos_number(7, binary));
	return ((day * 24 + cmos_number(4, binary)) * 60 + cmos_number(2, binary)) * 60 +
	       cmos_number(0, binary);
}

void time_init(void)
{
	const char *by = calibrate();
	u32 id[4];

	cpuid(1, 0, id);
	clock.deadline = id[2] >> 24 & 1;
	cpuid(0x80000000, 0, id);
	if (id[0] >= 0x80000007) {
		cpuid(0x80000007, 0, id);
		clock.stable = id[3] >> 8 & 1;
	}
	clock.wall_base = cmos_seconds() * NS;
	say_info("time: TSC at %u.%03u MHz by the %s%s, timer: %s", clock.tsc_khz / 1000,
		 clock.tsc_khz % 1000, by, clock.stable ? "" : ", not said to be invariant",
		 clock.deadline ? "TSC deadline" : "local APIC");
	time_init_cpu();
}

void time_init_cpu(void)
{
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, VECTOR_TIMER | (clock.deadline ? LVT_DEADLINE : 0));
}

/* ---- timers ---- */

struct timer {
	struct bv_list node;
	u64 deadline;
	u32 cpu; /* whose list */
	bool queued;
};
BV_STATIC_ASSERT(sizeof(struct timer) <= sizeof(((struct bv_timer *)0)->opaque));

static struct timer_queue {
	struct bv_spinlock lock;
	struct bv_list list; /* by deadline */
	struct bv_timer *running;
} queues[METAL_MAX_CPUS];

static struct timer *timer_of(struct bv_timer *timer)
{
	return (struct timer *)timer->opaque;
}

static struct bv_timer *timer_from(struct timer *own)
{
	return BV_CONTAINER((u64(*)[16])own, struct bv_timer, opaque);
}

static struct timer_queue *queue_of(u32 cpu)
{
	struct timer_queue *queue = &queues[cpu];

	if (!queue->list.next)
		bv_list_init(&queue->list);
	return queue;
}

/* Sets the hardware for the first timer of this CPU. Under the queue's lock. */
static void timer_program(struct timer_queue *queue)
{
	struct timer *first = bv_list_entry(queue->list.next, struct timer, node);
	u64 now = bv_host_ns(), ticks, wait;

	if (bv_list_empty(&queue->list)) {
		if (clock.deadline)
			wrmsr(MSR_TSC_DEADLINE, 0);
		else
			apic_write(APIC_TIMER_INITIAL, 0);
		return;
	}
	wait = first->deadline > now ? first->deadline - now : 0;
	if (wait > NS)
		wait = NS;
	if (clock.deadline) {
		wrmsr(MSR_TSC_DEADLINE, rdtsc() + wait * clock.tsc_khz / 1000000 + 1);
		return;
	}
	ticks = scale(wait, clock.apic_factor);
	apic_write(APIC_TIMER_INITIAL, ticks > ~0u ? ~0u : ticks ? (u32)ticks : 1);
}

void bv_host_timer_init(struct bv_timer *timer, void (*fire)(struct bv_timer *timer))
{
	*timer_of(timer) = (struct timer){ 0 };
	timer->fire = fire;
}

/* Takes it out of the queue where it is; the caller has interrupts off. */
static void timer_dequeue(struct timer *own)
{
	while (BV_READ_ONCE(own->queued)) {
		struct timer_queue *queue = queue_of(BV_READ_ONCE(own->cpu));

		bv_host_spin_lock(&queue->lock);
		if (own->queued && queue == queue_of(own->cpu)) {
			bv_list_del(&own->node);
			own->queued = false;
		}
		bv_host_spin_unlock(&queue->lock);
	}
}

static void timer_insert(struct timer_queue *queue, struct timer *own)
{
	struct bv_list *at;

	bv_list_for_each(at, &queue->list)
		if (bv_list_entry(at, struct timer, node)->deadline > own->deadline)
			break;
	bv_list_add_tail(at, &own->node); /* before `at` */
	own->queued = true;
}

void bv_host_timer_set(struct bv_timer *timer, u64 deadline_ns)
{
	struct timer *own = timer_of(timer);
	u64 flags = irq_save();
	struct timer_queue *queue = queue_of(this_cpu()->index);

	timer_dequeue(own);
	bv_host_spin_lock(&queue->lock);
	own->deadline = deadline_ns;
	own->cpu = this_cpu()->index;
	timer_insert(queue, own);
	if (queue->list.next == &own->node)
		timer_program(queue);
	bv_host_spin_unlock(&queue->lock);
	irq_restore(flags);
}

static bool timer_runs(struct bv_timer *timer)
{
	for (u32 i = 0; i < metal_cpu_count; i++)
		if (__atomic_load_n(&queues[i].running, __ATOMIC_ACQUIRE) == timer)
			return true;
	return false;
}

/* A timer that fires may set itself again: hence once more after it has run. */
void bv_host_timer_cancel(struct bv_timer *timer)
{
	u64 flags;

	do {
		flags = irq_save();
		timer_dequeue(timer_of(timer));
		irq_restore(flags);
		while (timer_runs(timer))
			cpu_relax();
	} while (BV_READ_ONCE(timer_of(timer)->queued));
}

void timer_interrupt(void)
{
	struct timer_queue *queue = queue_of(this_cpu()->index);

	bv_host_spin_lock(&queue->lock);
	while (!bv_list_empty(&queue->list)) {
		struct timer *own = bv_list_entry(queue->list.next, struct timer, node);

		if (own->deadline > bv_host_ns())
			break;
		bv_list_del(&own->node);
		queue->running = timer_from(own);
		own->queued = false;
		bv_host_spin_unlock(&queue->lock);
		queue->running->fire(queue->running);
		__atomic_store_n(&queue->running, NULL, __ATOMIC_RELEASE);
		bv_host_spin_lock(&queue->lock);
	}
	timer_program(queue);
	bv_host_spin_unlock(&queue->lock);
}
