/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Ends of interrupts without an exit. A guest that knows of it gives a word of its memory (to the
 * front, which reads and writes it: struct bv_pv_ops). While the word's bit is set, the guest ends
 * an interrupt by clearing it, and that is found after the next exit.
 *
 * The end is late then for all but the guest, so it is offered only where nobody waits for it:
 * nothing else is requested of this CPU, and no other chip wants to hear of it (BV_EOI_SILENT).
 * Invariants:
 * (1) While the guest runs with the bit set, its next EOI is silent. Who requests a vector makes
 *     the vCPU look (lapic.c), so that it exits, and the bit goes before the guest goes on.
 * (2) Outside of bv_vcpu_run the bit is clear: a saved state has no end under way.
 *
 * Where the hardware can end interrupts, the word is not used.
 *
 * The bit is set before the interrupt is taken, since that happens with interrupts off, when guest
 * memory cannot be written; until then it does no harm.
 */
#include "core/vcpu.h"

static void eoi_put(struct bv_vcpu *vcpu, bool on)
{
	vcpu->eoi_offered = vcpu->vm->pv->eoi_put(vcpu, on) && on;
}

void bv_eoi_prepare(struct bv_vcpu *vcpu)
{
	enum bv_eoi next = vcpu->vm->intc->eoi_next(vcpu);

	if (bv_event_may_serve(vcpu)) {
		if (vcpu->eoi_offered)
			bv_eoi_withdraw(vcpu);
		return;
	}
	if (next == BV_EOI_NONE || (next == BV_EOI_SILENT) == vcpu->eoi_offered)
		return;
	bv_host_rwsem_read(&vcpu->vm->mem_lock);
	eoi_put(vcpu, next == BV_EOI_SILENT);
	bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
}

void bv_eoi_look(struct bv_vcpu *vcpu)
{
	bv_host_rwsem_read(&vcpu->vm->mem_lock);
	if (!vcpu->vm->pv->eoi_get(vcpu)) {
		vcpu->eoi_offered = false;
		vcpu->vm->intc->eoi(vcpu);
	} else if (vcpu->vm->intc->eoi_next(vcpu) == BV_EOI_TOLD) {
		eoi_put(vcpu, false);
	}
	bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
}

void bv_eoi_withdraw(struct bv_vcpu *vcpu)
{
	bv_host_rwsem_read(&vcpu->vm->mem_lock);
	eoi_put(vcpu, false);
	bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
}

void bv_vcpu_eoi_page(struct bv_vcpu *vcpu, bool on)
{
	if (vcpu->eoi_offered)
		eoi_put(vcpu, false);
	vcpu->at_entry &= ~BV_AT_ENTRY_EOI;
	if (on && vcpu->vm->intc)
		vcpu->at_entry |= BV_AT_ENTRY_EOI;
}
