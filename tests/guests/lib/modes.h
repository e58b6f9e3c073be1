/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Out of long mode and back: real mode, and protected mode with or without paging.
 *
 * Code and data of the other modes stand in section .low, which lies under 64 KiB, so real mode
 * reaches them with all segment registers 0. Interrupts are off during the call. Only the caller's
 * stack pointer and the callee-saved registers come back.
 */
#ifndef GUEST_MODES_H
#define GUEST_MODES_H

#include "guest.h"

#define LOW_DATA __attribute__((section(".low.data")))

/* Calls 16-bit code (near return ends it) with CS = DS = ES = SS = 0, real mode's IVT at 0. */
void real_call(const void *entry);
/*
 * Calls 32-bit code (near return ends it) with flat segments, paging by cr3 and cr4 (cr3 0: none).
 */
void protected_call(const void *entry, u32 cr3, u32 cr4);

#endif
