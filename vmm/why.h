/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why something cannot be: a sentence for a person, and what would help. Filled in where the cause
 * is known, carried up to vmm_run()'s caller.
 */
#ifndef VMM_WHY_H
#define VMM_WHY_H

struct why {
	char text[480];
	char hint[240];
};

/**
 * why_set() - Notes a cause.
 * @why: may be NULL
 *
 * Return: always -1, so that a function can end with it.
 */
int why_set(struct why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * why_hint() - Adds to a cause what would help.
 *
 * Return: always -1.
 */
int why_hint(struct why *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
