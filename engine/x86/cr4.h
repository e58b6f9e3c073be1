/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* Which bits of CR4 the processor at hand has. */
#ifndef BV_X86_CR4_H
#define BV_X86_CR4_H

#include "bv/types.h"

/* The bits that its CPUID offers: what a guest's CR4 may have set without an exit. any. */
u64 bv_cr4_of_cpuid(void);

#endif
