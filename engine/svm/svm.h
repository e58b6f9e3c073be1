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
	struct svm_vmcb *vmcb;
	u64 vmcb_pa;
	/* owning vCPU */
	u32 asid_cpu;
	u64 asid_generation; /* of asid_cpu; 0: needs a new ASID */
	bool asid_new, tlb_flush; /* before the next entry */
	bool offered; /* a virtual interrupt, over this entry */
	struct bv_wishes wishes;
};

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
void svm_msrpm_filter(u8 *msrpm, struct bv_vm *vm);

/* svm_vcpu.c */
int svm_vcpu_init(struct bv_vcpu *vcpu);
void svm_vcpu_fini(struct bv_vcpu *vcpu);
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
