/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * What a processor's VT-x can do, and what is made of it. All of it is computed from the
 * capability MSRs alone, so a unit test can play any processor.
 */
#ifndef BV_VMX_CAPS_H
#define BV_VMX_CAPS_H

#include "vmx/vmcs.h"

/* The MSRs of appendix A as they were read; those that the processor does not have are 0. */
#define VMX_MSR_MEMBER(member, index, name) u64 member;
struct vmx_msrs {
	VMX_CAPABILITY_MSRS(VMX_MSR_MEMBER)
	u8 phys_bits; /* CPUID's, which goes with them */
};

struct vmx_caps {
	u32 control[VMX_WORDS]; /* the controls that are always set */
	u32 must[VMX_WORDS], may[VMX_WORDS]; /* those that must be set, and that may be */
	u64 ept_vpid, misc;
	u32 revision;
	u64 cr0_ones, cr4_ones; /* bits that the real registers must have set in a guest */
	u64 cr0_may, cr4_may;
	u8 phys_bits; /* of addresses in the VMCS */
	char why[128]; /* what is missing */
};

void vmx_msrs_read(struct vmx_msrs *msrs);
/* Whether it suffices; if not, caps->why names what is missing. */
bool vmx_caps_compute(const struct vmx_msrs *msrs, struct vmx_caps *caps);
/* The name of the first MSR in which two processors differ; NULL: they are alike. */
const char *vmx_msrs_differ(const struct vmx_msrs *one, const struct vmx_msrs *other);
/* (wanted | must-be-one) & may-be-one: the one way in which controls are made. */
static inline u32 vmx_control_make(u64 capability, u32 wanted)
{
	return (wanted | (u32)capability) & (u32)(capability >> 32);
}

/*
 * 25.5.1: the VMX-preemption timer's value for so many ticks of the TSC, at most `longest`. It
 * counts where one bit of the TSC changes, so the first count comes early: one more is waited for.
 */
static inline u32 vmx_timer_value(u64 misc, u64 ticks, u32 longest)
{
	u64 value = ticks >> (misc & VMX_MISC_TIMER_SHIFT);

	return !ticks ? 0 : value < longest ? (u32)value + 1 : longest;
}

const char *vmx_control_name(enum vmx_word word, unsigned int bit);

#endif
