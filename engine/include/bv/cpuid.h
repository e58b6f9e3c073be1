/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * CPUID: what this host can offer a guest, and what a given guest sees. Leaves are data (engine/data/cpuid_policy.h);
 * code only filters and looks up.
 */
#ifndef BV_CPUID_H
#define BV_CPUID_H

#include "bv/types.h"

struct bv_vcpu;
struct bv_why;

#define BV_CPUID_MAX 256

struct bv_cpuid_leaf {
	u32 leaf;
	u32 subleaf;
	bool indexed; /* the subleaf matters */
	u32 eax, ebx, ecx, edx;
};

/*
 * Fills leaves[max] with all that can be offered to a guest here (hypervisor leaves included); returns how many
 * there are, which may be more than max.
 */
unsigned int bv_cpuid_supported(struct bv_cpuid_leaf *leaves, unsigned int max);

/* Gives the vCPU its CPUID. -BV_E2BIG, -BV_EINVAL (twice the same leaf, nonsense widths). */
int bv_vcpu_cpuid_set(struct bv_vcpu *vcpu, const struct bv_cpuid_leaf *leaves, unsigned int count);
unsigned int bv_vcpu_cpuid_get(struct bv_vcpu *vcpu, struct bv_cpuid_leaf *leaves, unsigned int max);

#endif
