/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * How the guest reaches its local APIC: the APIC page (xAPIC mode), the MSRs 0x800 and up (x2APIC
 * mode), APIC_BASE and TSC_DEADLINE. Called by the core, through bv_chips_intc_ops, for the owning
 * vCPU.
 */
#include "chips/chips.h"

/* Sets of registers: bit n is the register at offset 16 * n. */
#define REG(offset) BV_BIT((offset) >> 4)
#define REGS(first, last) ((REG(last) << 1) - REG(first))

#define REGS_COMMON_READ                                                                    \
	(REG(APIC_ID) | REG(APIC_VERSION) | REG(APIC_TPR) | REG(APIC_PPR) | REG(APIC_LDR) | \
	 REG(APIC_SPIV) | REGS(APIC_ISR, APIC_ESR) | REG(APIC_ICR) |                        \
	 REGS(APIC_LVT_FIRST, APIC_TMCCT) | REG(APIC_TDCR))
#define REGS_COMMON_WRITE                                                                 \
	(REG(APIC_TPR) | REG(APIC_EOI) | REG(APIC_SPIV) | REG(APIC_ESR) | REG(APIC_ICR) | \
	 REGS(APIC_LVT_FIRST, APIC_TMICT) | REG(APIC_TDCR))

#define REGS_XAPIC_KNOWN                                                                    \
	(REGS_COMMON_READ | REG(APIC_APR) | REG(APIC_EOI) | REG(APIC_RRD) | REG(APIC_DFR) | \
	 REG(APIC_ICR2))
#define REGS_X2APIC_READ REGS_COMMON_READ
#define REGS_X2APIC_WRITE (REGS_COMMON_WRITE | REG(APIC_SELF_IPI))

static const u32 lvt_writable[LVT_COUNT] = {
	[LVT_TIMER] = LVT_VECTOR | LVT_MASKED | LVT_TIMER_MODE,
	[LVT_THERMAL] = LVT_VECTOR | LVT_MASKED | LVT_MODE,
	[LVT_PERF] = LVT_VECTOR | LVT_MASKED | LVT_MODE,
	[LVT_LINT0] = LVT_VECTOR | LVT_MASKED | LVT_MODE | LVT_POLARITY | LVT_LEVEL,
	[LVT_LINT1] = LVT_VECTOR | LVT_MASKED | LVT_MODE | LVT_POLARITY | LVT_LEVEL,
	[LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
};

u32 bv_lapic_lvt_writable(enum apic_lvt lvt)
{
	return lvt_writable[lvt];
}

static void lapic_write_lvt(struct bv_lapic *lapic, enum apic_lvt lvt, u32 value)
{
	value &= lvt_writable[lvt];
	if (lvt == LVT_TIMER && !lapic->vcpu->caps.tsc_deadline)
		value &= ~(TIMER_TSC_DEADLINE << LVT_TIMER_MODE_SHIFT);
	if (!lapic_enabled(lapic))
		value |= LVT_MASKED;
	if (lvt == LVT_TIMER)
		bv_lapic_timer_set_lvt(lapic, value);
	else
		BV_WRITE_ONCE(lapic->lvt[lvt], value);
	/* The 8259 may have been waiting for this pin. */
	if (lvt == LVT_LINT0 && BV_READ_ONCE(lapic->chips->pic.output))
		bv_vcpu_request(lapic->vcpu, BV_REQ_EVENT);
}

static void lapic_write_tpr(struct bv_lapic *lapic, u32 value)
{
	bv_lapic_set_tpr(lapic, (u8)value);
	bv_lapic_update_ppr(lapic);
}

/* A write shows the errors gathered since the last one. */
static void lapic_write_esr(struct bv_lapic *lapic)
{
	lapic->esr = __atomic_exchange_n(&lapic->errors, 0, __ATOMIC_SEQ_CST);
}

/* Registers that both modes write alike. */
static void lapic_write(struct bv_lapic *lapic, u32 reg, u32 value)
{
	switch (reg) {
	case APIC_TPR:
		lapic_write_tpr(lapic, value);
		break;
	case APIC_EOI:
		bv_lapic_eoi(lapic);
		break;
	case APIC_SPIV:
		bv_lapic_set_spiv(lapic, value);
		break;
	case APIC_ESR:
		lapic_write_esr(lapic);
		break;
	case APIC_LVT_FIRST ... APIC_LVT_LAST:
		lapic_write_lvt(lapic, (reg - APIC_LVT_FIRST) >> 4, value);
		break;
	case APIC_TMICT:
		bv_lapic_timer_set_count(lapic, value);
		break;
	case APIC_TDCR:
		bv_lapic_timer_set_divide(lapic, value);
		break;
	default: /* read-only: ignored */
		break;
	}
}

/* ---- xAPIC: the page ---- */

static void lapic_set_word(u32 *word, struct bv_lapic *lapic, u32 value)
{
	if (*word == value)
		return;
	BV_WRITE_ONCE(*word, value);
	bv_lapic_map_update(lapic->chips);
}

static void lapic_xapic_write(struct bv_lapic *lapic, u32 reg, u32 value)
{
	switch (reg) {
	case APIC_ICR:
		lapic->icr = (lapic->icr & 0xffffffff00000000ULL) | (value & ~ICR_BUSY);
		bv_lapic_send(lapic, lapic->icr);
		break;
	case APIC_ICR2:
		lapic->icr = (u64)(value & 0xff000000u) << 32 | (u32)lapic->icr;
		break;
	case APIC_ID:
		lapic_set_word(&lapic->id, lapic, value & 0xff000000u);
		break;
	case APIC_LDR:
		lapic_set_word(&lapic->ldr, lapic, value & 0xff000000u);
		break;
	case APIC_DFR:
		lapic_set_word(&lapic->dfr, lapic, value | DFR_FIXED_ONES);
		break;
	default:
		lapic_write(lapic, reg, value);
	}
}

static bool lapic_owns(const struct bv_lapic *lapic, u64 gpa)
{
	u64 mode = lapic->base & (APIC_BASE_ENABLED | APIC_BASE_X2APIC);

	return mode == APIC_BASE_ENABLED && ((lapic->base ^ gpa) & BV_PAGE_MASK) == 0;
}

/*
 * The page of an APIC that is off, or in x2APIC mode: nothing is there for this processor. User
 * space must not see such accesses: it has its door for messages at this address, which is for
 * devices.
 */
static bool lapic_hole(const struct bv_lapic *lapic, u64 gpa)
{
	return ((lapic->base ^ gpa) & BV_PAGE_MASK) == 0;
}

/* Checks the register; a wrong one is noted in ESR. */
static bool lapic_xapic_known(struct bv_lapic *lapic, u32 reg)
{
	if (reg < 0x400 && REGS_XAPIC_KNOWN & REG(reg))
		return true;
	bv_lapic_error(lapic, ESR_REGISTER);
	return false;
}

enum bv_access_result bv_lapic_mmio_read(struct bv_vcpu *vcpu, u64 gpa, u32 bytes, void *data)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);
	u32 reg = gpa & 0xff0;
	u32 shift = 8 * (gpa & 15);
	u64 value = 0;

	if (bv_unlikely(!lapic_owns(lapic, gpa))) {
		__builtin_memset(data, 0xff, bytes);
		return lapic_hole(lapic, gpa) ? BV_ACCESS_DONE : BV_ACCESS_NOT_MINE;
	}
	if (shift < 32 && lapic_xapic_known(lapic, reg))
		value = (u64)bv_lapic_reg_read(lapic, reg) >> shift;
	for (u32 i = 0; i < bytes; i++)
		((u8 *)data)[i] = i < 8 ? (u8)(value >> 8 * i) : 0;
	return BV_ACCESS_DONE;
}

/*
 * Registers are written as aligned double words; anything else has no defined effect, and here
 * none.
 */
enum bv_access_result bv_lapic_mmio_write(struct bv_vcpu *vcpu, u64 gpa, u32 bytes,
					  const void *data)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);
	u32 reg = gpa & 0xfff;
	u32 value;

	if (bv_unlikely(!lapic_owns(lapic, gpa)))
		return lapic_hole(lapic, gpa) ? BV_ACCESS_DONE : BV_ACCESS_NOT_MINE;
	if (bv_likely(reg == APIC_EOI)) {
		bv_lapic_eoi(lapic);
		return BV_ACCESS_DONE;
	}
	if (bytes < 4 || reg & 15)
		return BV_ACCESS_DONE;
	__builtin_memcpy(&value, data, sizeof(value));
	if (lapic_xapic_known(lapic, reg))
		lapic_xapic_write(lapic, reg, value);
	return BV_ACCESS_DONE;
}

/* ---- x2APIC: the MSRs ---- */

/* Bits that a write may have; others are #GP. */
static u64 x2apic_writable(const struct bv_lapic *lapic, u32 reg)
{
	switch (reg) {
	case APIC_TPR:
	case APIC_SELF_IPI:
		return 0xff;
	case APIC_EOI:
	case APIC_ESR:
		return 0;
	case APIC_SPIV:
		return lapic->version & APIC_VERSION_DIRECTED_EOI ? 0x13ff : 0x3ff;
	case APIC_ICR:
		return ~(u64)(ICR_X2APIC_RESERVED & ~ICR_BUSY);
	case APIC_LVT_FIRST ... APIC_LVT_LAST: /* delivery status and remote IRR are read-only, not
						  reserved */
		return lvt_writable[(reg - APIC_LVT_FIRST) >> 4] | 0x5000;
	case APIC_TDCR:
		return 0xb;
	default:
		return 0xffffffffu;
	}
}

static enum bv_access_result x2apic_read(struct bv_lapic *lapic, u32 reg, u64 *value)
{
	if (!lapic_x2apic(lapic) || reg >= 0x400 || !(REGS_X2APIC_READ & REG(reg)))
		return BV_ACCESS_FAULT;
	*value = reg == APIC_ICR ? lapic->icr : bv_lapic_reg_read(lapic, reg);
	return BV_ACCESS_DONE;
}

static enum bv_access_result x2apic_write(struct bv_lapic *lapic, u32 reg, u64 value)
{
	if (!lapic_x2apic(lapic) || reg >= 0x400 || !(REGS_X2APIC_WRITE & REG(reg)) ||
	    value & ~x2apic_writable(lapic, reg))
		return BV_ACCESS_FAULT;
	switch (reg) {
	case APIC_EOI:
		bv_lapic_eoi(lapic);
		break;
	case APIC_ICR:
		lapic->icr = value & ~(u64)ICR_BUSY;
		bv_lapic_send(lapic, lapic->icr);
		break;
	case APIC_SELF_IPI:
		if (value < 16)
			bv_lapic_error(lapic, ESR_SEND_VECTOR);
		else if (lapic_enabled(lapic))
			bv_lapic_request_own(lapic, (u8)value);
		break;
	default:
		lapic_write(lapic, reg, (u32)value);
	}
	return BV_ACCESS_DONE;
}

/* ---- APIC_BASE ---- */

u64 bv_lapic_base(struct bv_vcpu *vcpu)
{
	return vcpu_lapic(vcpu)->base;
}

/*
 * The modes: disabled (00), xAPIC (10), x2APIC (11, bits EN and EXTD). The guest may go xAPIC ->
 * x2APIC, and from both to disabled, and from there to xAPIC only. Restoring a state may go
 * anywhere but to 01.
 */
static bool lapic_base_legal(const struct bv_lapic *lapic, u64 value, bool host)
{
	const struct bv_guest_caps *caps = &lapic->vcpu->caps;
	u64 mode = value & (APIC_BASE_ENABLED | APIC_BASE_X2APIC);
	u64 old = lapic->base & (APIC_BASE_ENABLED | APIC_BASE_X2APIC);

	if (value & APIC_BASE_RESERVED || value >> 52 || mode == APIC_BASE_X2APIC)
		return false;
	if (host)
		return true;
	if (caps->phys_bits && value >> caps->phys_bits)
		return false;
	if (mode & APIC_BASE_X2APIC)
		return caps->x2apic && old & APIC_BASE_ENABLED;
	return !(mode && old & APIC_BASE_X2APIC);
}

static enum bv_access_result lapic_base_write(struct bv_lapic *lapic, u64 value, bool host)
{
	u64 old = lapic->base;
	u64 risen = value & ~old;

	if (!lapic_base_legal(lapic, value, host))
		return BV_ACCESS_FAULT;
	BV_WRITE_ONCE(lapic->base, value);
	lapic->vcpu->x2apic = lapic_x2apic(lapic);
	if (risen & APIC_BASE_X2APIC)
		BV_WRITE_ONCE(lapic->ldr,
			      (lapic->x2apic_id >> 4) << 16 | 1u << (lapic->x2apic_id & 15));
	else if (risen & APIC_BASE_ENABLED)
		BV_WRITE_ONCE(lapic->id, lapic->x2apic_id << 24);
	if (old & ~value & APIC_BASE_X2APIC)
		BV_WRITE_ONCE(lapic->ldr, 0);
	if (old & ~value & APIC_BASE_ENABLED)
		bv_lapic_timer_reset(lapic);
	if ((old ^ value) & (APIC_BASE_ENABLED | APIC_BASE_X2APIC)) {
		bv_lapic_map_update(lapic->chips);
		bv_vcpu_request(lapic->vcpu, BV_REQ_EVENT);
	}
	return BV_ACCESS_DONE;
}

/* ---- the MSRs together ---- */

enum bv_access_result bv_lapic_msr_read(struct bv_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);

	if (index - MSR_X2APIC_FIRST <= MSR_X2APIC_LAST - MSR_X2APIC_FIRST)
		return x2apic_read(lapic, (index - MSR_X2APIC_FIRST) << 4, value);
	if (index == MSR_TSC_DEADLINE && !vcpu->caps.tsc_deadline && !host)
		return BV_ACCESS_FAULT;
	if (index == MSR_TSC_DEADLINE)
		*value = bv_lapic_timer_deadline(lapic);
	else if (index == MSR_APIC_BASE)
		*value = lapic->base;
	else
		return BV_ACCESS_NOT_MINE;
	return BV_ACCESS_DONE;
}

enum bv_access_result bv_lapic_msr_write(struct bv_vcpu *vcpu, u32 index, u64 value, bool host)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);

	if (bv_likely(index == MSR_X2APIC_EOI && !value && lapic_x2apic(lapic))) {
		bv_lapic_eoi(lapic);
		return BV_ACCESS_DONE;
	}
	if (index - MSR_X2APIC_FIRST <= MSR_X2APIC_LAST - MSR_X2APIC_FIRST)
		return x2apic_write(lapic, (index - MSR_X2APIC_FIRST) << 4, value);
	if (index == MSR_TSC_DEADLINE && !vcpu->caps.tsc_deadline && !host)
		return BV_ACCESS_FAULT;
	if (index == MSR_TSC_DEADLINE)
		bv_lapic_timer_set_deadline(lapic, value, host);
	else if (index == MSR_APIC_BASE)
		return lapic_base_write(lapic, value, host);
	else
		return BV_ACCESS_NOT_MINE;
	return BV_ACCESS_DONE;
}
