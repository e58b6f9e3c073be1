/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For benchmarks: rows that say what an operation costs, in ticks of the TSC. Prints "BENCH row
 * thousandths-of-ticks" lines; the loop's own cost is taken off, the least of some rounds counts.
 * With option spin=N the Nth row is done over and over, for a profile.
 */
#ifndef GUEST_ROWS_H
#define GUEST_ROWS_H

#include "guest.h"

struct row {
	const char *name;
	void (*once)(void);
	void (*begin)(void);
	void (*end)(void);
};

void rows_run(const struct row *rows, u32 count);
void row_print(const char *name, u64 ticks, u64 count);

#endif
