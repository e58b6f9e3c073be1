/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The instructions of AMD-V as a guest executes them, that may: EFER.SVME and the privilege have
 * been looked at. Manual: volume 3, under their names; volume 2, 15.5, 15.17 (GIF).
 */
#include "svm/svm_nested.h"

/* The address in rAX, of a page; false: #GP. */
static bool svm_operand(struct bv_vcpu *vcpu, u64 *pa)
{
	bv_vcpu_need(vcpu, BV_ST_SEG(BV_SEG_CS));
	*pa = vcpu->gprs.gpr[BV_RAX];
	if (!(vcpu->state.seg[BV_SEG_CS].attr & BV_SEG_L))
		*pa = (u32)*pa;
	if (!(*pa & ~BV_PAGE_MASK) && !(*pa >> vcpu->caps.phys_bits))
		return true;
	bv_event_gp(vcpu);
	return false;
}

/* VMRUN is over when L1 goes on behind it; what it steps into is L2. */
static void svm_pass(struct bv_vcpu *vcpu, unsigned int length)
{
	vcpu->gprs.rip = bv_exit_rip_after(vcpu, length);
	vcpu->gprs.rflags &= ~BV_RFLAGS_RF;
	svm_shadow_set(vcpu, 0);
}

/* #VMEXIT before L2 has begun: L1 goes on with its interrupts held. */
static void svm_vmrun_invalid(struct bv_vcpu *vcpu, u64 pa)
{
	const struct {
		u64 exit_code, exit_info_1, exit_info_2;
	} words = { VMEXIT_INVALID, 0, 0 };

	if (bv_mem_write_locked(vcpu->vm, vcpu, pa + offsetof(struct svm_vmcb, exit_code), &words,
				sizeof(words))) {
		bv_event_gp(vcpu);
		return;
	}
	vcpu->nesting |= BV_NESTING_HELD;
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
}

static void svm_vmrun(struct bv_vcpu *vcpu, unsigned int length)
{
	struct svm_nested *own = svm_nested_of(vcpu);
	u64 pa;

	if (!svm_operand(vcpu, &pa))
		return;
	/* A VMRUN in L2 that L1 does not intercept: VMRUN refuses to begin without. */
	if (vcpu->nesting & BV_NESTING_L2 ||
	    bv_mem_read_locked(vcpu->vm, vcpu, pa, own->guest, sizeof(*own->guest))) {
		bv_event_gp(vcpu);
		return;
	}
	own->guest_pa = pa;
	svm_pass(vcpu, length);
	if (svm_l2_valid(vcpu))
		svm_l2_enter(vcpu);
	else
		svm_vmrun_invalid(vcpu, pa);
}

/* What VMLOAD and VMSAVE move: parts of the VMCB's state save area. */
static const struct svm_part svm_loaded[] = {
	SVM_PART(fs, gs),
	SVM_PART(ldtr, ldtr),
	SVM_PART(tr, tr),
	SVM_PART(star, sysenter_eip),
};

#define SVM_LOADED_GROUPS                                                       \
	(BV_ST_SEG(BV_SEG_FS) | BV_ST_SEG(BV_SEG_GS) | BV_ST_SEG(BV_SEG_LDTR) | \
	 BV_ST_SEG(BV_SEG_TR) | BV_ST_SYSCALL)

/* All is read before anything is changed. */
static void svm_vmload(struct bv_vcpu *vcpu, unsigned int length)
{
	struct svm_vmcb *vmcb = svm_of(vcpu)->vmcb;
	u8 parts[BV_ARRAY_SIZE(svm_loaded)][64];
	u64 pa;

	BV_STATIC_ASSERT(offsetof(struct svm_vmcb, cr2) - offsetof(struct svm_vmcb, star) == 64);
	if (!svm_operand(vcpu, &pa))
		return;
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(svm_loaded); i++) {
		if (!bv_mem_read_locked(vcpu->vm, vcpu, pa + svm_loaded[i].from, parts[i],
					svm_loaded[i].to - svm_loaded[i].from))
			continue;
		bv_event_gp(vcpu);
		return;
	}
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(svm_loaded); i++)
		__builtin_memcpy((u8 *)vmcb + svm_loaded[i].from, parts[i],
				 svm_loaded[i].to - svm_loaded[i].from);
	vcpu->valid &= ~SVM_LOADED_GROUPS;
	vcpu->dirty &= ~SVM_LOADED_GROUPS;
	vmcb->clean = 0;
	bv_exit_skip(vcpu, length);
}

static void svm_vmsave(struct bv_vcpu *vcpu, unsigned int length)
{
	const struct svm_vmcb *vmcb = svm_of(vcpu)->vmcb;
	u64 pa;

	if (!svm_operand(vcpu, &pa))
		return;
	if (vcpu->dirty & SVM_LOADED_GROUPS)
		svm_push(vcpu, vcpu->dirty & SVM_LOADED_GROUPS);
	vcpu->dirty &= ~SVM_LOADED_GROUPS;
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(svm_loaded); i++) {
		if (!bv_mem_write_locked(vcpu->vm, vcpu, pa + svm_loaded[i].from,
					 (const u8 *)vmcb + svm_loaded[i].from,
					 svm_loaded[i].to - svm_loaded[i].from))
			continue;
		bv_event_gp(vcpu);
		return;
	}
	bv_exit_skip(vcpu, length);
}

static void svm_stgi(struct bv_vcpu *vcpu, unsigned int length)
{
	bv_nested_hold(vcpu, false);
	bv_exit_skip(vcpu, length);
}

static void svm_clgi(struct bv_vcpu *vcpu, unsigned int length)
{
	bv_nested_hold(vcpu, true);
	bv_exit_skip(vcpu, length);
}

/* Of one page and ASID: all are forgotten, as the TLB has nothing that outlives a VMRUN. */
static void svm_invlpga(struct bv_vcpu *vcpu, unsigned int length)
{
	bv_shadow_forget(&vcpu->nested->shadow);
	svm_tlb_flush(vcpu);
	bv_exit_skip(vcpu, length);
}

enum bv_exit_next svm_instruction(struct bv_vcpu *vcpu, unsigned int length)
{
	switch (vcpu->exit.virt) {
	case SVM_OPCODE_VMRUN:
		svm_vmrun(vcpu, length);
		break;
	case SVM_OPCODE_VMLOAD:
		svm_vmload(vcpu, length);
		break;
	case SVM_OPCODE_VMSAVE:
		svm_vmsave(vcpu, length);
		break;
	case SVM_OPCODE_STGI:
		svm_stgi(vcpu, length);
		break;
	case SVM_OPCODE_CLGI:
		svm_clgi(vcpu, length);
		break;
	default:
		svm_invlpga(vcpu, length);
		break;
	}
	return BV_NEXT_GUEST;
}
