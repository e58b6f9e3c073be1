/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * What VMRUN checks before it takes a guest's VMCB: volume 2, 15.5.1 (canonicalization and
 * consistency checks), 15.20 (events), 15.25.3 and 15.25.4 (nested paging). What the processor
 * finds besides, when it runs vmcb02, ends alike.
 */
#include "svm/svm_nested.h"

#define CR0_KNOWN                                                                            \
	(BV_CR0_PE | BV_CR0_MP | BV_CR0_EM | BV_CR0_TS | BV_CR0_ET | BV_CR0_NE | BV_CR0_WP | \
	 BV_CR0_AM | BV_CR0_NW | BV_CR0_CD | BV_CR0_PG)

static bool control_registers_valid(const struct bv_vcpu *vcpu, const struct svm_vmcb *vmcb)
{
	bool paging = vmcb->cr0 & BV_CR0_PG, lme = vmcb->efer & BV_EFER_LME;

	if (!(vmcb->efer & BV_EFER_SVME) || vmcb->efer & ~(vcpu->caps.efer | BV_EFER_LMA))
		return false;
	if (vmcb->cr0 >> 32 || (vmcb->cr0 & BV_CR0_NW && !(vmcb->cr0 & BV_CR0_CD)))
		return false;
	if (vmcb->cr4 & ~vcpu->caps.cr4)
		return false;
	if (!lme || !paging)
		return true;
	if (!(vmcb->cr4 & BV_CR4_PAE) || !(vmcb->cr0 & BV_CR0_PE) ||
	    vmcb->cr3 >> vcpu->caps.phys_bits)
		return false;
	return !(vmcb->cs.attr & BV_SEG_L && vmcb->cs.attr & BV_SEG_DB);
}

static bool map_in_range(const struct bv_vcpu *vcpu, u64 map, u64 bytes)
{
	u64 end = 1ull << vcpu->caps.phys_bits;

	map &= BV_PAGE_MASK;
	return map < end && bytes <= end - map;
}

static bool intercepts(const struct svm_vmcb *vmcb, enum svm_intercept which)
{
	return vmcb->intercept[which / 32] >> (which % 32) & 1;
}

static bool maps_valid(const struct bv_vcpu *vcpu, const struct svm_vmcb *vmcb)
{
	if (intercepts(vmcb, SVM_I_IOIO) && !map_in_range(vcpu, vmcb->iopm_pa, 3 * BV_PAGE_SIZE))
		return false;
	return !intercepts(vmcb, SVM_I_MSR) || map_in_range(vcpu, vmcb->msrpm_pa, 2 * BV_PAGE_SIZE);
}

static bool event_valid(const struct svm_vmcb *vmcb)
{
	u8 vector = vmcb->event_inj & SVM_EVENT_VECTOR;

	if (!(vmcb->event_inj & SVM_EVENT_VALID))
		return true;
	switch (vmcb->event_inj >> SVM_EVENT_TYPE_SHIFT & SVM_EVENT_TYPE) {
	case SVM_EVENT_IRQ:
	case SVM_EVENT_NMI:
	case SVM_EVENT_SOFT:
		return true;
	case SVM_EVENT_EXCEPTION:
		return vector < BV_FIRST_IRQ && vector != BV_EXC_NMI;
	default:
		return false;
	}
}

static bool pat_valid(u64 pat)
{
	for (unsigned int i = 0; i < 64; i += 8) {
		u8 type = pat >> i;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

/* L1's own paging is on, and its nested table is where memory can be. */
static bool nested_paging_valid(struct bv_vcpu *vcpu, const struct svm_vmcb *vmcb)
{
	const struct bv_cpu_state *state = &vcpu->state;

	if (!(vmcb->np_enable & 1))
		return true;
	bv_vcpu_need(vcpu, BV_ST_CR);
	if (!(state->cr0 & BV_CR0_PG) || !pat_valid(vmcb->g_pat))
		return false;
	return !(vmcb->n_cr3 >> (state->efer & BV_EFER_LMA ? vcpu->caps.phys_bits : 32));
}

bool svm_l2_valid(struct bv_vcpu *vcpu)
{
	const struct svm_vmcb *vmcb = svm_nested_of(vcpu)->guest;

	return intercepts(vmcb, SVM_I_VMRUN) && vmcb->asid && !(vmcb->dr6 >> 32) &&
	       !(vmcb->dr7 >> 32) && control_registers_valid(vcpu, vmcb) &&
	       !(vmcb->cr0 & ~CR0_KNOWN & 0xffffffff00000000ull) && maps_valid(vcpu, vmcb) &&
	       event_valid(vmcb) && nested_paging_valid(vcpu, vmcb);
}
