/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What hostile guests share. Their verdict is not theirs: whatever they do, the host must live, and
 * the VM must end by itself or be ended with a reason. They print the seed, so that a run can be
 * had again (option seed).
 */
#ifndef GUEST_HOSTILE_H
#define GUEST_HOSTILE_H

#include "apic.h"
#include "cpu.h"
#include "paging.h"

#define HOSTILE_TICK 0x7f

static u64 hostile_state;

static inline u64 hostile_random(void)
{
	return random_next(&hostile_state);
}

static inline void hostile_seed(void)
{
	u64 seed = guest_option("seed", 1);

	say("SEED %llu\n", seed);
	hostile_state = seed * 0x9e3779b97f4a7c15ull + 1;
}

/*
 * Values on which code trips: chips' pages, holes, RAM, firmware, what is not canonical, small and
 * plain numbers.
 */
static inline u64 hostile_value(void)
{
	static const u64 values[] = {
		0xfee00000,
		0xfee00300,
		0xfec00000,
		0xfec00010,
		0xfed00000,
		0xfed000f0,
		0xa0000,
		0xb8000,
		0xf0000,
		0xfffffff0,
		0xfffff000,
		0xd0000000,
		0x1000,
		0x7fff000,
		0x8000000,
		0xffffffff,
		0,
		1,
		0x100000000,
		~0ull,
		0x7fffffffffff,
		0x800000000000,
		0xffff800000000000,
		0x8000000000000000,
	};
	u64 pick = hostile_random();

	if (pick % 4 == 0)
		return hostile_random();
	if (pick % 4 == 1)
		return (32 << 20) +
		       hostile_random() % (32 << 20); /* RAM, but not the guest itself */
	return values[pick / 4 % ARRAY_SIZE(values)] + (pick >> 32 & 0x3f);
}

static inline void hostile_allow(const void *address, bool allowed)
{
	u64 *entry = page_entry((u64)address, 1);

	*entry = allowed ? *entry | PTE_U : *entry & ~PTE_U;
}

/*
 * The guest itself is out of the user's reach, but for a stack: else the first store ends it all.
 */
static inline void hostile_hide(void)
{
	u64 at, stack = user_stack();

	for (at = 0; at < 16 << 20; at += GUEST_PAGE_SIZE)
		hostile_allow((void *)at, false);
	for (at = stack - 8192; at < stack; at += GUEST_PAGE_SIZE)
		hostile_allow((void *)at, true);
	write_cr3(read_cr3());
}

static inline void hostile_on_tick(struct trap_frame *frame)
{
	static u32 since;

	apic_eoi();
	if (++since % 4 == 0)
		fault_abort(frame);
}

/* A watchdog against loops: a periodic timer, whose fourth tick takes the code away. */
static inline void hostile_watchdog(void)
{
	trap_handle(HOSTILE_TICK, hostile_on_tick);
	apic_write(APIC_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, HOSTILE_TICK | LVT_PERIODIC);
	apic_write(APIC_INITIAL, 2000000);
}

#endif
