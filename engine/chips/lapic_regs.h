/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The local APIC's numbers: register offsets in the APIC page, their bits, its MSRs. AMD64
 * Architecture Programmer's Manual, volume 2, chapter 16; Intel SDM, volume 3, chapter "APIC", for
 * x2APIC and the TSC deadline.
 */
#ifndef BV_CHIPS_LAPIC_REGS_H
#define BV_CHIPS_LAPIC_REGS_H

#include "bv/types.h"

/* An MSR of x2APIC mode is 0x800 plus the offset / 16. */
#define APIC_ID 0x020u
#define APIC_VERSION 0x030u
#define APIC_TPR 0x080u
#define APIC_APR 0x090u
#define APIC_PPR 0x0a0u
#define APIC_EOI 0x0b0u
#define APIC_RRD 0x0c0u
#define APIC_LDR 0x0d0u
#define APIC_DFR 0x0e0u
#define APIC_SPIV 0x0f0u
#define APIC_ISR 0x100u
#define APIC_TMR 0x180u
#define APIC_IRR 0x200u
#define APIC_ESR 0x280u
#define APIC_ICR 0x300u
#define APIC_ICR2 0x310u
#define APIC_LVT_FIRST 0x320u
#define APIC_LVT_LAST 0x370u
#define APIC_TMICT 0x380u
#define APIC_TMCCT 0x390u
#define APIC_TDCR 0x3e0u
#define APIC_SELF_IPI 0x3f0u /* x2APIC only */

/* The local vector table, in the order of its offsets from APIC_LVT_FIRST. */
enum apic_lvt {
	LVT_TIMER,
	LVT_THERMAL,
	LVT_PERF,
	LVT_LINT0,
	LVT_LINT1,
	LVT_ERROR,
	LVT_COUNT
};

#define LVT_VECTOR 0xffu
#define LVT_MODE_SHIFT 8
#define LVT_MODE (7u << LVT_MODE_SHIFT)
#define LVT_POLARITY (1u << 13)
#define LVT_LEVEL (1u << 15)
#define LVT_MASKED (1u << 16)
#define LVT_TIMER_MODE_SHIFT 17
#define LVT_TIMER_MODE (3u << LVT_TIMER_MODE_SHIFT)

enum apic_timer_mode {
	TIMER_ONE_SHOT,
	TIMER_PERIODIC,
	TIMER_TSC_DEADLINE
};

#define APIC_VERSION_BASE 0x14u
#define APIC_VERSION_DIRECTED_EOI (1u << 24)

#define SPIV_VECTOR 0xffu
#define SPIV_ENABLED (1u << 8)
#define SPIV_FOCUS_OFF (1u << 9)
#define SPIV_EOI_SUPPRESS (1u << 12)

#define DFR_FLAT 0xffffffffu
#define DFR_FIXED_ONES 0x0fffffffu

/* Delivery modes, of the ICR, the LVT, messages and redirection entries alike. */
enum apic_mode {
	MODE_FIXED,
	MODE_LOWEST,
	MODE_SMI,
	MODE_REMOTE_READ,
	MODE_NMI,
	MODE_INIT,
	MODE_SIPI,
	MODE_EXTINT,
};

#define ICR_MODE_SHIFT 8
#define ICR_MODE (7u << ICR_MODE_SHIFT)
#define ICR_LOGICAL (1u << 11)
#define ICR_BUSY (1u << 12)
#define ICR_ASSERT (1u << 14)
#define ICR_LEVEL (1u << 15)
#define ICR_SHORTHAND_SHIFT 18
#define ICR_SHORTHAND (3u << ICR_SHORTHAND_SHIFT)
#define ICR_X2APIC_RESERVED 0xfff32000u

enum apic_shorthand {
	TO_DESTINATION,
	TO_SELF,
	TO_ALL,
	TO_OTHERS
};

#define ESR_SEND_VECTOR (1u << 5)
#define ESR_RECEIVE_VECTOR (1u << 6)
#define ESR_REGISTER (1u << 7)

#define XAPIC_BROADCAST 0xffu
#define X2APIC_BROADCAST 0xffffffffu

#define MSR_APIC_BASE 0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_EOI (MSR_X2APIC_FIRST + (APIC_EOI >> 4))
#define MSR_X2APIC_LAST 0x8ffu

#define APIC_BASE_BSP BV_BIT(8)
#define APIC_BASE_X2APIC BV_BIT(10)
#define APIC_BASE_ENABLED BV_BIT(11)
#define APIC_BASE_RESERVED 0x2ffULL
#define APIC_BASE_DEFAULT 0xfee00000ULL

#endif
