/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * CPUID: what this host can offer a guest, and what a given guest sees. Leaves are data
 * (engine/data/cpuid_policy.h); code only filters and looks up.
 */
#ifndef BV_CPUID_H
#define BV_CPUID_H

#include "bv/errno.h"
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
 * Fills leaves[max] with all that can be offered to a guest here (hypervisor leaves included);
 * returns how many there are, which may be more than max.
 */
unsigned int bv_cpuid_supported(struct bv_cpuid_leaf *leaves, unsigned int max);

/*
 * Sorts leaves for bv_cpuid_lookup. -BV_EINVAL: twice the same leaf, or a leaf both with and
 * without subleaves; then *bad is the leaf.
 */
int bv_cpuid_sort(struct bv_cpuid_leaf *leaves, unsigned int count, u32 *bad);

/* What of the vCPU's state shows in CPUID. */
struct bv_cpuid_live {
	u64 cr4;
	u64 xcr0;
	u64 apic_base; /* the MSR */
};

enum bv_cpuid_register {
	BV_CPUID_EAX,
	BV_CPUID_EBX,
	BV_CPUID_ECX,
	BV_CPUID_EDX
};

/*
 * What the instruction gives a guest with these (sorted) leaves: out[] by enum bv_cpuid_register. A
 * leaf out of range is zero for a guest of AMD's or Hygon's name, and the highest basic leaf for
 * others, as their CPUs do. any.
 */
void bv_cpuid_lookup(const struct bv_cpuid_leaf *leaves, unsigned int count, u32 leaf, u32 subleaf,
		     const struct bv_cpuid_live *live, u32 out[4]);

/* Gives the vCPU its CPUID. -BV_E2BIG, -BV_EINVAL (twice the same leaf, nonsense widths). */
int bv_vcpu_cpuid_set(struct bv_vcpu *vcpu, const struct bv_cpuid_leaf *leaves, unsigned int count);
unsigned int bv_vcpu_cpuid_get(struct bv_vcpu *vcpu, struct bv_cpuid_leaf *leaves,
			       unsigned int max);

#endif
