/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The watchdog (option `watchdog`): finds a CPU that takes no interrupts any more, and tells where
 * it is. A timer of each CPU counts its seconds, and looks at the count of the next CPU. One that
 * stands still for too long gets an NMI; in that, it prints its registers and its backtrace. Where
 * not even that comes, the CPU that watches ends the machine.
 */
#include "hosts/metal/metal.h"

#define SECOND 1000000000ull
#define TIMEOUT 5u
#define NMI_SECONDS 2u /* to take it */
#define ICR_NMI 0x4400

static struct watched {
	struct bv_timer timer;
	/* written by the CPU itself, read by the one that watches it */
	u32 beats;
	/* of the CPU that watches this one */
	u32 seen, still; /* the count when it last moved; seconds since */
	/* any, atomically */
	bool suspected;
} watched[METAL_MAX_CPUS];

static u32 timeout(void)
{
	return options.watchdog_timeout ? options.watchdog_timeout : TIMEOUT;
}

static void look_at(u32 cpu)
{
	struct watched *other = &watched[cpu];
	u32 beats = __atomic_load_n(&other->beats, __ATOMIC_RELAXED);

	if (beats != other->seen) {
		other->seen = beats;
		other->still = 0;
		return;
	}
	if (++other->still == timeout()) {
		__atomic_store_n(&other->suspected, true, __ATOMIC_SEQ_CST);
		apic_send(metal_cpus[cpu]->apic_id, ICR_NMI);
	}
	if (other->still == timeout() + NMI_SECONDS)
		panic("CPU %u is stuck, and does not even take an NMI", cpu);
}

static void beat(struct bv_timer *timer)
{
	u32 cpu = this_cpu()->index, next = (cpu + 1) % metal_cpu_count;

	__atomic_fetch_add(&watched[cpu].beats, 1, __ATOMIC_RELAXED);
	/* One that is not up yet has not begun to count. */
	if (next != cpu && __atomic_load_n(&watched[next].beats, __ATOMIC_RELAXED))
		look_at(next);
	bv_host_timer_set(timer, bv_host_ns() + SECOND);
}

bool watchdog_suspects(void)
{
	return __atomic_load_n(&watched[this_cpu()->index].suspected, __ATOMIC_SEQ_CST);
}

void watchdog_init_cpu(void)
{
	struct watched *own = &watched[this_cpu()->index];

	if (!options.watchdog)
		return;
	if (!this_cpu()->index)
		say_info("watchdog: a CPU that takes no interrupts for %u s ends the machine%s",
			 timeout(), acpi.cpus > 1 ? "" : ", but nobody watches a lone one");
	bv_host_timer_init(&own->timer, beat);
	bv_host_timer_set(&own->timer, bv_host_ns() + SECOND);
}
