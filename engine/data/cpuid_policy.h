/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * CPUID's policy, as data: which leaves a guest is offered, and of them which values and features.
 * What is in neither table is zero. Read by x86/cpuid.c only; to offer a feature, add its row to
 * cpuid_policy.c.
 */
#ifndef BV_DATA_CPUID_POLICY_H
#define BV_DATA_CPUID_POLICY_H

#include "bv/types.h"

/* How the subleaves of a leaf are found. */
enum bv_cpuid_shape {
	BV_CPUID_PLAIN, /* no subleaves */
	BV_CPUID_ONE, /* the row's own subleaf only */
	BV_CPUID_CACHES, /* until one whose type (EAX bits 4:0) is 0 */
	BV_CPUID_XSTATE, /* 0, 1, and one a component that can be offered */
};

struct bv_cpuid_row {
	u32 leaf;
	u32 subleaf;
	enum bv_cpuid_shape shape;
	u32 keep[4]; /* by register: bits taken over from the host that are values, not features */
	u32 set[4]; /* bits set whatever the host has */
};

extern const struct bv_cpuid_row bv_cpuid_rows[];
extern const unsigned int bv_cpuid_row_count;

enum bv_cpuid_source {
	BV_CPUID_HOST, /* offered where the host has it */
	BV_CPUID_ALWAYS, /* the engine does it, whatever the host has */
	BV_CPUID_STRINGS, /* where the host has it, and its fast strings are not turned off */
	BV_CPUID_NESTED, /* the engine does it, for guests that may run guests */
	BV_CPUID_NESTED_HOST, /* to those, where the host has it */
};

struct bv_cpuid_feature {
	u32 leaf;
	u16 subleaf;
	u8 reg; /* 0 EAX, 1 EBX, 2 ECX, 3 EDX: enum bv_cpuid_register */
	u8 bit;
	u8 source; /* enum bv_cpuid_source */
	u32 needs; /* XSAVE components without which it is not offered */
	const char *name;
};

extern const struct bv_cpuid_feature bv_cpuid_features[];
extern const unsigned int bv_cpuid_feature_count;

/*
 * XSAVE components that may be offered where the host can hold them: x87, SSE, AVX, the three of
 * AVX-512, PKRU.
 */
#define BV_CPUID_XCR0 0x2e7ULL

#endif
