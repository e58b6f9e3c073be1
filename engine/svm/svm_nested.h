/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * A guest that runs guests by AMD-V itself. Words: L1 is the guest, L2 its guest; vmcb01 is what
 * the processor runs for L1, vmcb02 what it runs for L2, vmcb12 what L1 has in its memory.
 *
 * VMRUN reads all of vmcb12 once, into `guest`; what is checked and used is that copy alone, so it
 * does not matter who changes the memory meanwhile. vmcb02 is made of our own settings, of vmcb01
 * and of the copy: nothing of L1's gets there that could weaken what we intercept. Its permission
 * maps let every access to a port or MSR exit; L1's maps are looked at then, in its memory. What
 * VMRUN does not switch (FS, GS, TR, LDTR, the system-call MSRs, without nested paging PAT) moves
 * from one VMCB to the other. At the exit to L1, the parts of vmcb12 that #VMEXIT writes are
 * written, and L1 goes on with what vmcb01 kept: VM_HSAVE_PA's page is not used.
 *
 * Every switch between the two takes a new ASID, so that TLB_CONTROL and INVLPGA have only the
 * shadow of L1's nested table to care for (core/nested.h). Clean bits are ignored.
 */
#ifndef BV_SVM_SVM_NESTED_H
#define BV_SVM_SVM_NESTED_H

#include "svm/svm.h"

struct svm_nested {
	struct svm_vmcb *vmcb02;
	u64 vmcb02_pa;
	struct svm_vmcb *guest; /* vmcb12 as VMRUN found it, and what its exit will write there */
	u64 guest_pa;
	u32 ours[6]; /* vmcb02's intercepts that are ours */
	struct bv_wishes wishes01; /* what vmcb01 is set up for */
	/* Whose translations the shadow has. */
	u32 asid;
	u64 table, cr4, efer;
};

/* Members of a VMCB that lie one behind the other, by their offsets. */
struct svm_part {
	u16 from, to;
};

#define SVM_PART(first, last)                                                                  \
	{                                                                                      \
		offsetof(struct svm_vmcb, first),                                              \
			offsetof(struct svm_vmcb, last) + sizeof(((struct svm_vmcb *)0)->last) \
	}

static inline struct svm_nested *svm_nested_of(const struct bv_vcpu *vcpu)
{
	return vcpu->nested->vendor;
}

extern const struct bv_nesting_ops svm_nesting_ops;

/* svm_nested.c */
/* Around an entry of L2, irqs off. */
void svm_l2_before(struct bv_vcpu *vcpu);
void svm_l2_after(struct bv_vcpu *vcpu);
/* Around a change of vmcb02's intercepts for our own sake. */
void svm_l2_wish_begin(struct bv_vcpu *vcpu);
void svm_l2_wish_end(struct bv_vcpu *vcpu);
/* L2 begins, by the checked copy. */
void svm_l2_enter(struct bv_vcpu *vcpu);
/* #VMEXIT: back to L1. Under the memory lock. */
void svm_l2_leave(struct bv_vcpu *vcpu, u64 code, u64 info1, u64 info2);
void svm_l2_abandon(struct bv_vcpu *vcpu);

/* svm_nested_check.c: whether VMRUN takes the copy (15.5.1). */
bool svm_l2_valid(struct bv_vcpu *vcpu);

/* svm_virt.c */
enum bv_exit_next svm_instruction(struct bv_vcpu *vcpu, unsigned int length);

#endif
