/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* CPUID, the pure part: filtering a host's by the policy. Looking up is in bv/cpuid.h. */
#ifndef BV_X86_CPUID_H
#define BV_X86_CPUID_H

#include "bv/cpuid.h"

/* A CPU to ask: the one at hand, or a test's invention. */
struct bv_cpuid_host {
	void (*read)(const struct bv_cpuid_host *host, u32 leaf, u32 subleaf, u32 out[4]);
	u64 xcr0; /* XSAVE components that can be held for a guest */
	bool nested; /* guests may run guests */
	bool slow_strings; /* its fast string operations are turned off */
};

/* Fills leaves[max], sorted; returns how many there are, which may be more than max. */
unsigned int bv_cpuid_filter(const struct bv_cpuid_host *host, struct bv_cpuid_leaf *leaves,
			     unsigned int max);

/*
 * The size of an XSAVE area in standard (or compacted) format for these components, by the leaves
 * 0xd of a guest.
 */
u32 bv_cpuid_xsave_bytes(const struct bv_cpuid_leaf *leaves, unsigned int count, u64 components,
			 bool compacted);

#endif
