/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The local APIC's state, read out and written back in the layout of the APIC page; see bv/irq.h.
 */
#include "chips/chips.h"

static u32 *state_reg(struct bv_lapic_state *state, u32 reg)
{
	return &state->reg[reg / 4];
}

static u32 state_value(const struct bv_lapic_state *state, u32 reg)
{
	return state->reg[reg / 4];
}

/* What is read out as the register says it. */
static const u16 state_regs[] = {
	APIC_VERSION, APIC_TPR, APIC_PPR,  APIC_LDR,   APIC_DFR,   APIC_SPIV,
	APIC_ESR,     APIC_ICR, APIC_ICR2, APIC_TMICT, APIC_TMCCT, APIC_TDCR,
};

int bv_lapic_get(struct bv_vcpu *vcpu, struct bv_lapic_state *state)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);
	bool wide_id;

	if (!lapic)
		return bv_refuse(&vcpu->vm->why, BV_ENXIO,
				 "local APIC state: vCPU %u has none in the engine", vcpu->index);
	*state = (struct bv_lapic_state){ { 0 } };
	/* The count first: if the timer fires by it, the request has to be seen below. */
	for (u32 i = 0; i < BV_ARRAY_SIZE(state_regs); i++)
		*state_reg(state, state_regs[i]) = bv_lapic_reg_read(lapic, state_regs[i]);
	wide_id = lapic_x2apic(lapic) && lapic->chips->ids32;
	*state_reg(state, APIC_ID) = wide_id ? lapic->x2apic_id : lapic_id(lapic) << 24;
	for (u32 reg = APIC_ISR; reg < APIC_ESR; reg += 16)
		*state_reg(state, reg) = bv_lapic_reg_read(lapic, reg);
	for (u32 reg = APIC_LVT_FIRST; reg <= APIC_LVT_LAST; reg += 16)
		*state_reg(state, reg) = bv_lapic_reg_read(lapic, reg);
	return 0;
}

/* Puts 256 bits, 32 every 16 bytes, into a set. */
static void state_vectors(const struct bv_lapic_state *state, u32 reg, struct apic_vectors *vectors)
{
	for (u32 i = 0; i < 4; i++) {
		u64 word = state_value(state, reg + 32 * i) |
			   (u64)state_value(state, reg + 32 * i + 16) << 32;

		__atomic_store_n(&vectors->word[i], word, __ATOMIC_SEQ_CST);
	}
}

static u32 state_lvt(const struct bv_lapic_state *state, enum apic_lvt lvt)
{
	return state_value(state, APIC_LVT_FIRST + 16 * lvt) & bv_lapic_lvt_writable(lvt);
}

static void state_set_ids(struct bv_lapic *lapic, const struct bv_lapic_state *state)
{
	/* In x2APIC mode both IDs are fixed. */
	if (!lapic_x2apic(lapic)) {
		BV_WRITE_ONCE(lapic->id, state_value(state, APIC_ID) & 0xff000000u);
		BV_WRITE_ONCE(lapic->ldr, state_value(state, APIC_LDR) & 0xff000000u);
	}
	BV_WRITE_ONCE(lapic->dfr, state_value(state, APIC_DFR) | DFR_FIXED_ONES);
	bv_lapic_map_update(lapic->chips);
}

static void state_set_vectors(struct bv_lapic *lapic, const struct bv_lapic_state *state)
{
	BV_WRITE_ONCE(lapic->irr_hint, false);
	state_vectors(state, APIC_TMR, &lapic->tmr);
	state_vectors(state, APIC_ISR, &lapic->isr);
	state_vectors(state, APIC_IRR, &lapic->irr);
	lapic->isr_top = vectors_highest(&lapic->isr);
	if (vectors_highest(&lapic->irr) >= 0)
		BV_WRITE_ONCE(lapic->irr_hint, true);
}

int bv_lapic_set(struct bv_vcpu *vcpu, const struct bv_lapic_state *state)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);

	if (!lapic)
		return bv_refuse(&vcpu->vm->why, BV_ENXIO,
				 "local APIC state: vCPU %u has none in the engine", vcpu->index);
	if (lapic_x2apic(lapic) && lapic->chips->ids32 &&
	    state_value(state, APIC_ID) != lapic->x2apic_id)
		return bv_refuse(&vcpu->vm->why, BV_EINVAL,
				 "local APIC state: x2APIC ID %#x, that of the vCPU is %#x",
				 state_value(state, APIC_ID), lapic->x2apic_id);
	bv_lapic_timer_stop(lapic);
	state_set_ids(lapic, state);
	state_set_vectors(lapic, state);
	bv_lapic_set_tpr(lapic, (u8)state_value(state, APIC_TPR));
	lapic->esr = state_value(state, APIC_ESR);
	lapic->icr = state_value(state, APIC_ICR) | (u64)state_value(state, APIC_ICR2) << 32;
	for (u32 i = LVT_TIMER + 1; i < LVT_COUNT; i++)
		BV_WRITE_ONCE(lapic->lvt[i], state_lvt(state, i));
	/* Not by bv_lapic_set_spiv: LVT entries are what the state says. */
	BV_WRITE_ONCE(lapic->spiv, state_value(state, APIC_SPIV));
	bv_lapic_timer_restore(lapic, state_lvt(state, LVT_TIMER), state_value(state, APIC_TDCR),
			       state_value(state, APIC_TMICT), state_value(state, APIC_TMCCT));
	bv_lapic_update_ppr(lapic);
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
	return 0;
}
