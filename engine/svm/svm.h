/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* What the files of this folder share. */
#ifndef BV_SVM_SVM_H
#define BV_SVM_SVM_H

#include "core/vcpu.h"
#include "svm/vmcb.h"

/* One for each CPU of the host. The CPU at hand only, interrupts off. */
struct svm_cpu {
	void *hsave; /* the page where VMRUN keeps the host's state */
	struct svm_vmcb
		*host; /* what VMSAVE keeps of the host: FS, GS, TR, LDTR and system-call MSRs */
	u64 host_pa; /* of `host` */
	u64 last_vm; /* whose vCPU was here last */
	u32 asid_next;
	u64 asid_generation;
	bool enabled;
};

struct svm_vcpu {
	/* constant after creation */
	struct svm_vmcb *vmcb01; /* the guest's own */
	u64 vmcb01_pa;
	/* owning vCPU */
	struct svm_vmcb *vmcb; /* the one to run: vmcb01, or its guest's (svm_nested.h) */
	u64 vmcb_pa;
	u32 asid_cpu;
	u64 asid_generation; /* of asid_cpu; 0: needs a new ASID */
	u8 before; /* SVM_BEFORE_*: before the next entry */
	u8 after; /* SVM_AFTER_*: after it */
	u64 efer_shown; /* bits of EFER that the guest sees: SVME is always set in the VMCB */
	struct bv_wishes wishes;
};

#define SVM_BEFORE_ASID 1u /* a new ASID */
#define SVM_BEFORE_FLUSH 2u
#define SVM_BEFORE_L2 4u /* see svm_nested.c */
#define SVM_AFTER_OFFER 1u /* a virtual interrupt was offered */
#define SVM_AFTER_L2 2u

struct svm_vm {
	u8 *msrpm; /* NULL: the common one */
	u8 *iopm; /* the same */
};

extern struct svm_globals {
	u64 features; /* SVM_FEATURE_* */
	u32 asids; /* how many the CPUs have */
	void *iopm; /* every port exits */
	u8 *msrpm; /* the default permissions */
	struct svm_cpu *cpu; /* one for each CPU of the host */
	bool has_rdtscp; /* TSC_AUX is there */
	bool has_pku; /* the host has CR4.PKE set */
	u64 host_xcr0;
} svm;

#define SVM_MAX_CPUS 512
#define SVM_IOPM_ORDER 2
#define SVM_MSRPM_ORDER 1

static inline struct svm_vcpu *svm_of(const struct bv_vcpu *vcpu)
{
	return vcpu->vendor;
}

static inline void svm_intercept_set(struct svm_vmcb *vmcb, enum svm_intercept which, bool on)
{
	u32 bit = 1u << (which % 32);

	if (on)
		vmcb->intercept[which / 32] |= bit;
	else
		vmcb->intercept[which / 32] &= ~bit;
	vmcb->clean &= ~SVM_CLEAN_INTERCEPTS;
}

/* svm_msr.c */
u8 *svm_msrpm_alloc(void);
/* Where the bits of an MSR are; false: in no range of the map. */
bool svm_msrpm_position(u32 index, u32 *bit);
void svm_msrpm_filter(u8 *msrpm, struct bv_vm *vm);

/* svm_vcpu.c */
int svm_vcpu_init(struct bv_vcpu *vcpu);
void svm_vcpu_fini(struct bv_vcpu *vcpu);
/* What exits in every guest. */
void svm_intercepts_init(struct svm_vmcb *vmcb);
void svm_pull(struct bv_vcpu *vcpu, u32 groups);
void svm_push(struct bv_vcpu *vcpu, u32 groups);
void svm_inject(struct bv_vcpu *vcpu, enum bv_event_kind kind, u8 vector, bool has_error,
		u32 error);
void svm_uninject(struct bv_vcpu *vcpu);
void svm_offer(struct bv_vcpu *vcpu, u8 vector);
/* Whether the offer was taken; it is over. */
bool svm_offer_end(struct bv_vcpu *vcpu);
void svm_wish(struct bv_vcpu *vcpu, const struct bv_wishes *wishes);
u8 svm_shadow_get(struct bv_vcpu *vcpu);
void svm_shadow_set(struct bv_vcpu *vcpu, u8 shadow);
void svm_tlb_flush(struct bv_vcpu *vcpu);
void svm_tsc_offset(struct bv_vcpu *vcpu, u64 offset);

/* svm_enter.c */
void svm_enter(struct bv_vcpu *vcpu);
void svm_load(struct bv_vcpu *vcpu);
void svm_unload(struct bv_vcpu *vcpu);
void svm_tsc_aux(struct bv_vcpu *vcpu, u32 value);

/* svm_exit.c: the VMCB's exit in neutral words. */
void svm_exit_decode(struct bv_vcpu *vcpu);

#endif
