// SPDX-License-Identifier: GPL-2.0-or-later
/* What an operation costs: see rows.h. */
#include "cpu.h"
#include "rows.h"

#define ROUNDS 16
#define BATCH_TICKS (1u << 20) /* a quarter of the host's tick at 1 GHz and 250 Hz */

static void do_nothing(void)
{
	__asm__ volatile("" ::: "memory");
}

static u64 batch(void (*once)(void), u32 count)
{
	u64 begin = rdtsc();
	u32 i;

	for (i = 0; i < count; i++)
		once();
	return rdtsc() - begin;
}

static u64 least(void (*once)(void), u32 count)
{
	u64 best = ~0ull, now;
	u32 i;

	for (i = 0; i < ROUNDS; i++) {
		now = batch(once, count);
		if (now < best)
			best = now;
	}
	return best;
}

void row_print(const char *name, u64 ticks, u64 count)
{
	say("BENCH %s %llu\n", name, ticks * 1000 / count);
}

static void row_run(const struct row *row)
{
	u64 one, loop;
	u32 count;

	if (row->begin)
		row->begin();
	batch(row->once, 4);
	one = batch(row->once, 4) / 4;
	count = (u32)(BATCH_TICKS / (one + 1));
	count = count < 4 ? 4 : count > 1024 ? 1024 : count;
	loop = least(do_nothing, count);
	one = least(row->once, count);
	if (row->end)
		row->end();
	row_print(row->name, one > loop ? one - loop : 0, count);
}

__attribute__((noreturn)) static void row_spin(const struct row *row)
{
	if (row->begin)
		row->begin();
	say("SPIN %s\n", row->name);
	for (;;)
		row->once();
}

void rows_run(const struct row *rows, u32 count)
{
	u64 spin = guest_option("spin", count);
	u32 i;

	if (spin < count)
		row_spin(&rows[spin]);
	for (i = 0; i < count; i++)
		row_run(&rows[i]);
}
