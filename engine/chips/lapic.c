/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The local APIC: its registers, and how requested vectors become interrupts. Who reaches it how
 * (page, MSRs) is in lapic_access.c, its timer in lapic_timer.c, messages between CPUs in
 * lapic_ipi.c.
 *
 * Theory. A vector is requested (IRR), taken into service (ISR) when its class (bits 7:4) is above
 * that of the processor priority (PPR), and leaves the ISR with an EOI. PPR is the higher of the
 * task priority and the highest vector in service.
 *
 * Invariants:
 * (1) IRR bits are set by anybody, cleared by the owning vCPU alone, at the latest when the guest
 * may
 *     take the interrupt: a later request must not be taken for that one.
 * (2) ISR, isr_top and ppr belong to the owning vCPU; isr_top is the highest bit of ISR, and ppr is
 *     never stale.
 * (3) Whoever newly sets an IRR bit makes the vCPU look, after irr_hint is true; so a vCPU that
 *     finds irr_hint false may sleep. The owner clears the hint first, then the bit, then looks
 *     whether anything is left: a bit set meanwhile is either seen by that look, or its setter
 *     writes the hint later.
 */
#include "chips/chips.h"

void bv_lapic_init(struct bv_lapic *lapic, struct bv_vcpu *vcpu, struct bv_chips *chips)
{
	lapic->vcpu = vcpu;
	lapic->chips = chips;
	lapic->x2apic_id = vcpu->index;
	lapic->version = APIC_VERSION_BASE | (LVT_COUNT - 1) << 16;
	/*
	 * Our I/O APIC has no EOI register, so that it needs the broadcast; user space's has one.
	 */
	if (!chips->full)
		lapic->version |= APIC_VERSION_DIRECTED_EOI;
	lapic->isr_top = -1;
	bv_lapic_timer_init(lapic);
}

static u32 lapic_x2apic_ldr(const struct bv_lapic *lapic)
{
	return (lapic->x2apic_id >> 4) << 16 | 1u << (lapic->x2apic_id & 15);
}

/* The hardware may have these, too. */
static void lapic_isr_changed(struct bv_lapic *lapic)
{
	if (bv_unlikely(lapic->vcpu->served))
		bv_vcpu_request(lapic->vcpu, BV_REQ_EVENT);
}

static void lapic_reset_vectors(struct bv_lapic *lapic)
{
	BV_WRITE_ONCE(lapic->irr_hint, false); /* invariant (3): before the words */
	for (unsigned int i = 0; i < 4; i++) {
		__atomic_store_n(&lapic->irr.word[i], 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&lapic->tmr.word[i], 0, __ATOMIC_SEQ_CST);
		lapic->isr.word[i] = 0;
	}
	lapic->isr_top = -1;
	lapic_isr_changed(lapic);
}

void bv_lapic_reset(struct bv_lapic *lapic, bool init)
{
	if (!init) {
		BV_WRITE_ONCE(lapic->base,
			      APIC_BASE_DEFAULT | APIC_BASE_ENABLED |
				      (bv_vcpu_is_bsp(lapic->vcpu) ? APIC_BASE_BSP : 0));
		BV_WRITE_ONCE(lapic->id, lapic->x2apic_id << 24);
	}
	lapic->vcpu->x2apic = lapic_x2apic(lapic);
	bv_lapic_timer_reset(lapic);
	lapic_reset_vectors(lapic);
	for (unsigned int i = 0; i < LVT_COUNT; i++)
		lapic->lvt[i] = LVT_MASKED;
	/*
	 * Virtual wire mode, as firmware that knows no APIC expects it: the boot processor hears
	 * the 8259.
	 */
	if (bv_vcpu_is_bsp(lapic->vcpu))
		lapic->lvt[LVT_LINT0] = MODE_EXTINT << LVT_MODE_SHIFT;
	BV_WRITE_ONCE(lapic->spiv, SPIV_VECTOR);
	BV_WRITE_ONCE(lapic->ldr, lapic_x2apic(lapic) ? lapic_x2apic_ldr(lapic) : 0);
	BV_WRITE_ONCE(lapic->dfr, DFR_FLAT);
	bv_lapic_set_tpr(lapic, 0);
	lapic->ppr = 0;
	lapic->esr = 0;
	__atomic_store_n(&lapic->errors, 0, __ATOMIC_SEQ_CST);
	lapic->icr = 0;
	bv_lapic_map_update(lapic->chips);
}

/* ---- what may be delivered ---- */

/* The vector that would be taken from the IRR now, or -1. */
static int lapic_deliverable(const struct bv_lapic *lapic)
{
	int vector;

	if (!BV_READ_ONCE(lapic->irr_hint) || !lapic_present(lapic))
		return -1;
	vector = vectors_highest(&lapic->irr);
	return (vector >> 4) > (lapic->ppr >> 4) ? vector : -1;
}

void bv_lapic_set_tpr(struct bv_lapic *lapic, u8 tpr)
{
	lapic->tpr = tpr;
	lapic->vcpu->cr8 = tpr >> 4;
}

void bv_lapic_update_ppr(struct bv_lapic *lapic)
{
	u8 in_service = lapic->isr_top < 0 ? 0 : lapic->isr_top & 0xf0;

	BV_WRITE_ONCE(lapic->ppr, (lapic->tpr & 0xf0) >= in_service ? lapic->tpr : in_service);
	/* Also if it cannot be delivered now: which exits are wanted depends on what masks it. */
	if (BV_READ_ONCE(lapic->irr_hint))
		bv_vcpu_request(lapic->vcpu, BV_REQ_EVENT);
}

bool bv_lapic_takes_extint(struct bv_vcpu *vcpu)
{
	const struct bv_lapic *lapic = vcpu_lapic(vcpu);
	u32 lint0 = BV_READ_ONCE(lapic->lvt[LVT_LINT0]);

	/* With the local APIC off, the boot processor's INTR pin is the 8259's. */
	if (!lapic_present(lapic))
		return bv_vcpu_is_bsp(vcpu);
	return (lint0 & (LVT_MASKED | LVT_MODE)) == MODE_EXTINT << LVT_MODE_SHIFT;
}

static bool lapic_extint_waits(struct bv_vcpu *vcpu, const struct bv_chips *chips)
{
	return bv_unlikely(BV_READ_ONCE(chips->pic.output)) && bv_lapic_takes_extint(vcpu);
}

int bv_lapic_pending(struct bv_vcpu *vcpu)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);
	struct bv_chips *chips = lapic->chips;

	if (lapic_extint_waits(vcpu, chips)) {
		u64 flags = bv_host_spin_lock_irq(&chips->lock);
		int vector = bv_pic_peek(chips);

		bv_host_spin_unlock_irq(&chips->lock, flags);
		if (vector >= 0)
			return vector;
	}
	return lapic_deliverable(lapic);
}

/* INTA to the 8259 pair. */
static int lapic_take_extint(struct bv_chips *chips)
{
	u64 flags = bv_host_spin_lock_irq(&chips->lock);
	u32 acked = 0;
	int vector = bv_pic_acknowledge(chips, &acked);

	bv_host_spin_unlock_irq(&chips->lock, flags);
	bv_irq_acked(chips, CHIP_PIC, acked);
	return vector;
}

static void lapic_irr_clear(struct bv_lapic *lapic, u8 vector)
{
	BV_WRITE_ONCE(lapic->irr_hint, false); /* invariant (3) */
	__atomic_fetch_and(&lapic->irr.word[vector >> 6], ~BV_BIT(vector & 63), __ATOMIC_SEQ_CST);
	if (vectors_highest(&lapic->irr) >= 0)
		BV_WRITE_ONCE(lapic->irr_hint, true);
}

static void lapic_serve(struct bv_lapic *lapic, u8 vector)
{
	vectors_set(&lapic->isr, vector);
	lapic->isr_top = vector;
	BV_WRITE_ONCE(lapic->ppr, vector & 0xf0);
}

int bv_lapic_take(struct bv_vcpu *vcpu)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);
	int vector;

	if (lapic_extint_waits(vcpu, lapic->chips)) {
		vector = lapic_take_extint(lapic->chips);
		if (vector >= 0)
			return vector;
	}
	vector = lapic_deliverable(lapic);
	if (vector < 0)
		return -1;
	lapic_irr_clear(lapic, (u8)vector);
	lapic_serve(lapic, (u8)vector);
	return vector;
}

int bv_lapic_offer(struct bv_vcpu *vcpu)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);
	int vector = lapic_deliverable(lapic);

	if (vector < BV_FIRST_IRQ || lapic_extint_waits(vcpu, lapic->chips))
		return -1;
	lapic_irr_clear(lapic, (u8)vector);
	return vector;
}

void bv_lapic_offer_end(struct bv_vcpu *vcpu, u8 vector, bool delivered)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);

	if (delivered) {
		lapic_serve(lapic, vector);
		return;
	}
	__atomic_fetch_or(&lapic->irr.word[vector >> 6], BV_BIT(vector & 63), __ATOMIC_SEQ_CST);
	BV_WRITE_ONCE(lapic->irr_hint, true);
}

bool bv_lapic_masked_by_tpr(struct bv_vcpu *vcpu)
{
	const struct bv_lapic *lapic = vcpu_lapic(vcpu);
	int vector;

	if (!BV_READ_ONCE(lapic->irr_hint) || !lapic_present(lapic))
		return false;
	vector = vectors_highest(&lapic->irr);
	return (vector >> 4) <= (lapic->tpr >> 4) && vector >> 4 > lapic->isr_top >> 4;
}

void bv_lapic_cr8_set(struct bv_vcpu *vcpu, u8 cr8)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);

	if (lapic->tpr >> 4 == cr8)
		return;
	bv_lapic_set_tpr(lapic, (u8)(cr8 << 4));
	bv_lapic_update_ppr(lapic);
}

/* ---- the end of an interrupt ---- */

/* Somebody besides this CPU wants to know that the vector has ended. */
static void lapic_eoi_tell(struct bv_lapic *lapic, u8 vector)
{
	bool level = vectors_test(&lapic->tmr, vector);

	if (level && lapic->spiv & SPIV_EOI_SUPPRESS)
		return;
	if (lapic->chips->full) {
		bv_ioapic_eoi(lapic, vector, level);
	} else if (level && vectors_test(&lapic->chips->eoi_exit, vector)) {
		lapic->vcpu->eoi_vector = vector;
		bv_vcpu_request(lapic->vcpu, BV_REQ_EOI_EXIT);
	}
}

static bool lapic_eoi_watched(const struct bv_lapic *lapic, u8 vector)
{
	return vectors_test(&lapic->tmr, vector) || vectors_test(&lapic->chips->eoi_watch, vector);
}

void bv_lapic_eoi(struct bv_lapic *lapic)
{
	int vector = lapic->isr_top;

	if (vector < 0)
		return;
	vectors_clear(&lapic->isr, (u8)vector);
	lapic->isr_top = vectors_highest(&lapic->isr);
	lapic_isr_changed(lapic);
	bv_lapic_update_ppr(lapic);
	if (bv_unlikely(lapic_eoi_watched(lapic, (u8)vector)))
		lapic_eoi_tell(lapic, (u8)vector);
}

/*
 * While another interrupt waits each end is told, so that it can come in. Where nothing is in
 * service, the hardware ends vector 0.
 */
bool bv_lapic_service(struct bv_vcpu *vcpu, struct bv_service *service)
{
	const struct bv_lapic *lapic = vcpu_lapic(vcpu);
	u64 waits = BV_READ_ONCE(lapic->irr_hint) ? ~0ull : 0;

	for (unsigned int i = 0; i < 4; i++) {
		service->isr[i] = lapic->isr.word[i];
		service->told[i] = BV_READ_ONCE(lapic->tmr.word[i]) |
				   BV_READ_ONCE(lapic->chips->eoi_watch.word[i]) | waits;
	}
	service->told[0] &= ~0xffffull;
	return !bv_lapic_masked_by_tpr(vcpu);
}

void bv_lapic_served(struct bv_vcpu *vcpu, const struct bv_service *service)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);
	u64 ended[4];

	for (unsigned int i = 0; i < 4; i++) {
		ended[i] = lapic->isr.word[i] & ~service->isr[i];
		lapic->isr.word[i] &= service->isr[i];
	}
	lapic->isr_top = vectors_highest(&lapic->isr);
	bv_lapic_update_ppr(lapic);
	for (unsigned int i = 0; i < 4; i++) {
		for (u64 left = ended[i]; left; left &= left - 1) {
			u8 vector = i * 64 + __builtin_ctzll(left);

			if (lapic_eoi_watched(lapic, vector))
				lapic_eoi_tell(lapic, vector);
		}
	}
}

enum bv_eoi bv_lapic_eoi_next(struct bv_vcpu *vcpu)
{
	const struct bv_lapic *lapic = vcpu_lapic(vcpu);
	bool waits = BV_READ_ONCE(lapic->irr_hint);
	int vector = lapic->isr_top;

	if (vcpu->offered >= 0) {
		waits |= vector >= 0;
		vector = vcpu->offered;
	} else if (vector < 0 && waits) {
		vector = vectors_highest(&lapic->irr);
		waits = vector >= 0 && !vectors_only(&lapic->irr, (u8)vector);
	}
	if (vector < 0)
		return BV_EOI_NONE;
	return waits || lapic_eoi_watched(lapic, (u8)vector) ? BV_EOI_TOLD : BV_EOI_SILENT;
}

void bv_lapic_eoi_seen(struct bv_vcpu *vcpu)
{
	bv_lapic_eoi(vcpu_lapic(vcpu));
}

/* ---- registers ---- */

void bv_lapic_set_spiv(struct bv_lapic *lapic, u32 value)
{
	u32 writable = SPIV_VECTOR | SPIV_ENABLED | SPIV_FOCUS_OFF;
	u32 risen = value & ~lapic->spiv;

	if (lapic->version & APIC_VERSION_DIRECTED_EOI)
		writable |= SPIV_EOI_SUPPRESS;
	BV_WRITE_ONCE(lapic->spiv, value & writable);
	if (risen & SPIV_ENABLED && lapic->chips->full)
		bv_ioapic_retry(lapic->chips);
	if (value & SPIV_ENABLED)
		return;
	for (unsigned int i = 0; i < LVT_COUNT; i++)
		BV_WRITE_ONCE(lapic->lvt[i], lapic->lvt[i] | LVT_MASKED);
}

/* Sixteen bytes hold 32 vectors. */
static u32 vectors_read(const struct apic_vectors *vectors, u32 reg)
{
	u32 index = (reg >> 4) & 7;

	return (u32)(BV_READ_ONCE(vectors->word[index >> 1]) >> 32 * (index & 1));
}

u32 bv_lapic_reg_read(struct bv_lapic *lapic, u32 reg)
{
	switch (reg) {
	case APIC_ID:
		return lapic_x2apic(lapic) ? lapic->x2apic_id : lapic->id;
	case APIC_VERSION:
		return lapic->version;
	case APIC_TPR:
		return lapic->tpr;
	case APIC_PPR:
		return lapic->ppr;
	case APIC_LDR:
		return lapic->ldr;
	case APIC_DFR:
		return lapic->dfr;
	case APIC_SPIV:
		return lapic->spiv;
	case APIC_ISR ... APIC_ISR + 0x70:
		return vectors_read(&lapic->isr, reg);
	case APIC_TMR ... APIC_TMR + 0x70:
		return vectors_read(&lapic->tmr, reg);
	case APIC_IRR ... APIC_IRR + 0x70:
		return vectors_read(&lapic->irr, reg);
	case APIC_ESR:
		return lapic->esr;
	case APIC_ICR:
		return (u32)lapic->icr;
	case APIC_ICR2:
		return (u32)(lapic->icr >> 32);
	case APIC_LVT_FIRST ... APIC_LVT_LAST:
		return lapic->lvt[(reg - APIC_LVT_FIRST) >> 4];
	case APIC_TMICT:
		return lapic->tmict;
	case APIC_TMCCT:
		return bv_lapic_timer_count(lapic);
	case APIC_TDCR:
		return lapic->tdcr;
	default:
		return 0;
	}
}
