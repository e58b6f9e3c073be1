/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Reasons in words. An errno alone is not an answer: whoever refuses something says which field
 * broke which rule with which value. The newest reasons are kept in a ring, one a VM and one for
 * what concerns no VM, which the user can read; the first fatal reason of a VM is kept for good.
 */
#ifndef BV_WHY_H
#define BV_WHY_H

#include "bv/host.h"

#define BV_WHY_LINES 16
#define BV_WHY_CHARS 160

struct bv_why {
	struct bv_spinlock lock;
	u32 written; /* lines ever written; line i lies in slot i % BV_WHY_LINES */
	char line[BV_WHY_LINES][BV_WHY_CHARS];
};

void bv_why_init(struct bv_why *why);
/* Notes a reason (cut where too long) and returns -error, so that one statement refuses. any. */
int bv_refuse(struct bv_why *why, int error, const char *format, ...) bv_printf_like(3, 4);
/*
 * Copies the kept lines, oldest first, each ended by a newline, into text[size], always ended by
 * NUL; lines that do not fit are left out from the front. Returns the length. any.
 */
size_t bv_why_read(struct bv_why *why, char *text, size_t size);

/* The ring for refusals that concern no VM yet. */
struct bv_why *bv_why_global(void);

#endif
