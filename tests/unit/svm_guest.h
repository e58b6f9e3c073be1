/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that runs guests by AMD-V, on a processor that is played: the engine's own svm/, but what
 * VMRUN would do is a function of the test's. For unit tests and fuzzers, which bring CHECK.
 */
#ifndef TESTS_UNIT_SVM_GUEST_H
#define TESTS_UNIT_SVM_GUEST_H

#include <stdlib.h>
#include <string.h>

#include "bv/irq.h"
#include "hosts/fake/fake.h"
#include "svm/svm_nested.h"

#define GUEST_PAGES 64ull
/* Where things are in the guest's memory. */
#define VMCB12 0x1000ull
#define TABLES 0x4000ull /* a nested table of four levels, a page each */
#define DATA 0x10000ull

static struct {
	struct bv_vm *vm;
	struct bv_vcpu *cpu;
	u8 *memory;
	/*
	 * Plays the processor: fills the VMCB's exit. NULL: nothing more happens, and the thread
	 * has a signal.
	 */
	bool (*processor)(struct svm_vmcb *vmcb, bool l2);
	u32 entries;
} guest;

static struct bv_vendor played;

/* What must hold whatever the guest put in its VMCB. */
static void vmcb_is_safe(const struct svm_vmcb *vmcb, bool l2)
{
	static struct svm_vmcb least;
	const struct bv_nested *nested = guest.cpu->nested;

	svm_intercepts_init(&least);
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(least.intercept); i++)
		CHECK_EQ(vmcb->intercept[i] & least.intercept[i], least.intercept[i]);
	CHECK_EQ(vmcb->np_enable, 1);
	CHECK_EQ(vmcb->n_cr3,
		 bv_host_pa(l2 && nested->paging ? nested->shadow.root : guest.vm->nest.root));
	CHECK(vmcb->int_ctl & SVM_V_INTR_MASKING);
	CHECK_EQ(vmcb->int_ctl &
			 ~(SVM_V_TPR | SVM_V_IRQ | SVM_V_PRIO | SVM_V_IGN_TPR | SVM_V_INTR_MASKING),
		 0);
	CHECK_EQ(vmcb->virt_ext, 0);
	CHECK(vmcb->efer & BV_EFER_SVME);
	CHECK_EQ(vmcb->iopm_pa, bv_host_pa(svm.iopm));
	CHECK_EQ(vmcb->msrpm_pa, bv_host_pa(l2 ? svm.iopm : svm.msrpm));
}

static void played_enter(struct bv_vcpu *vcpu)
{
	struct svm_vcpu *own = svm_of(vcpu);
	struct svm_vmcb *vmcb = own->vmcb;
	bool l2 = own->before & SVM_BEFORE_L2;

	guest.entries++;
	vmcb->rax = vcpu->gprs.gpr[BV_RAX];
	vmcb->rsp = vcpu->gprs.gpr[BV_RSP];
	vmcb->rip = vcpu->gprs.rip;
	vmcb->rflags = vcpu->gprs.rflags;
	vmcb->int_ctl = (vmcb->int_ctl & ~SVM_V_TPR) | vcpu->cr8;
	if (l2)
		svm_l2_before(vcpu);
	own->before &= SVM_BEFORE_L2;
	vmcb_is_safe(vmcb, l2);
	vmcb->exit_int_info = 0;
	vmcb->exit_code = VMEXIT_INTR;
	if (!guest.processor || !guest.processor(vmcb, l2))
		fake_vcpu(vcpu)->signal = true;
	vcpu->gprs.gpr[BV_RAX] = vmcb->rax;
	vcpu->gprs.gpr[BV_RSP] = vmcb->rsp;
	vcpu->gprs.rip = vmcb->rip;
	vcpu->gprs.rflags = vmcb->rflags;
	vcpu->cr8 = vmcb->int_ctl & SVM_V_TPR;
	vmcb->event_inj = 0;
	if (own->after & SVM_AFTER_OFFER)
		vcpu->exit.offer_taken = svm_offer_end(vcpu);
	svm_exit_decode(vcpu);
	if (own->after & SVM_AFTER_L2)
		svm_l2_after(vcpu);
}

static void played_load(struct bv_vcpu *vcpu)
{
	(void)vcpu;
}

/* In long mode, at CPL 0, with SVM on. */
static void guest_state(struct bv_vcpu *cpu)
{
	static const struct bv_cpuid_leaf leaves[] = {
		{ 0x0, 0, false, 1, 0x68747541, 0x444d4163, 0x69746e65 },
		{ 0x80000001, 0, false, 0, 0, 1 << 2, 1 << 29 | 1 << 20 | 1 << 11 },
		{ 0x80000008, 0, false, 40, 0, 0, 0 },
	};
	struct bv_sregs sregs;

	if (bv_vcpu_cpuid_set(cpu, leaves, BV_ARRAY_SIZE(leaves)))
		abort();
	bv_vcpu_sregs_get(cpu, &sregs);
	sregs.cr0 = BV_CR0_PE | BV_CR0_PG | BV_CR0_NE | BV_CR0_ET;
	sregs.cr4 = BV_CR4_PAE;
	sregs.efer = BV_EFER_LME | BV_EFER_LMA | BV_EFER_SVME | BV_EFER_NXE;
	sregs.seg[BV_SEG_CS] = (struct bv_seg){ 0, ~0u, 8, 0xa9b };
	sregs.seg[BV_SEG_SS] = (struct bv_seg){ 0, ~0u, 16, 0xc93 };
	if (bv_vcpu_sregs_set(cpu, &sregs))
		abort();
}

static inline void guest_start(void)
{
	const struct bv_region_spec spec = { .pages = GUEST_PAGES };
	struct bv_region_spec region = spec;
	static u8 io_page[4096];
	int error;

	fake_reset();
	played = bv_svm_vendor;
	played.enter = played_enter;
	played.load = played.unload = played_load;
	bv_vendor = &played;
	bv_engine_nesting(true);
	svm.features = SVM_FEATURE_NP | SVM_FEATURE_NRIP;
	svm.iopm = bv_host_pages_alloc(SVM_IOPM_ORDER);
	svm.msrpm = svm_msrpm_alloc();
	guest.processor = NULL;
	guest.entries = 0;
	guest.memory = fake_memory_new(GUEST_PAGES, true);
	guest.vm = bv_vm_create(NULL);
	if (!svm.iopm || !svm.msrpm || !guest.vm || bv_irqchip_create(guest.vm))
		abort();
	bv_vm_set_nested(guest.vm);
	region.host_addr = (u64)guest.memory;
	if (bv_mem_region_set(guest.vm, &region))
		abort();
	guest.cpu = bv_vcpu_create(guest.vm, 0, NULL, io_page, &error);
	if (!guest.cpu)
		abort();
	guest_state(guest.cpu);
}

static inline void guest_stop(void)
{
	bv_vm_destroy(guest.vm);
	bv_host_pages_free(svm.iopm, SVM_IOPM_ORDER);
	bv_host_pages_free(svm.msrpm, SVM_MSRPM_ORDER);
	svm.iopm = NULL;
	svm.msrpm = NULL;
	bv_engine_nesting(false);
	CHECK_EQ(fake_frames_held(), 0);
	CHECK_EQ(fake_allocs(), 0);
}

/* Runs it with that processor until a signal ends it. */
static inline enum bv_run_reason guest_run(bool (*processor)(struct svm_vmcb *vmcb, bool l2))
{
	struct bv_run run = { 0 };

	guest.processor = processor;
	fake_vcpu(guest.cpu)->signal = false;
	bv_vcpu_run(guest.cpu, &run);
	return run.reason;
}

static inline struct svm_vmcb *vmcb12(void)
{
	return (struct svm_vmcb *)(guest.memory + VMCB12);
}

/* One that VMRUN takes: L2 begins where and as L1 is. */
static inline void vmcb12_init(void)
{
	struct svm_vmcb *vmcb = vmcb12();

	memset(vmcb, 0, sizeof(*vmcb));
	svm_intercept_set(vmcb, SVM_I_VMRUN, true);
	svm_intercept_set(vmcb, SVM_I_VMMCALL, true);
	vmcb->clean = 0;
	vmcb->asid = 1;
	vmcb->cs = (struct svm_seg){ 8, 0xa9b, ~0u, 0 };
	vmcb->ss = vmcb->ds = vmcb->es = (struct svm_seg){ 16, 0xc93, ~0u, 0 };
	vmcb->efer = BV_EFER_LME | BV_EFER_LMA | BV_EFER_SVME;
	vmcb->cr0 = BV_CR0_PE | BV_CR0_PG | BV_CR0_ET;
	vmcb->cr4 = BV_CR4_PAE;
	vmcb->cr3 = 0x2000;
	vmcb->dr6 = BV_DR6_FIXED_ONES;
	vmcb->dr7 = BV_DR7_FIXED_ONES;
	vmcb->rflags = 2;
	vmcb->rip = 0x7000;
	vmcb->rsp = 0x8000;
	vmcb->g_pat = 0x0007040600070406ull;
}

/* The instruction exits, of three bytes. */
static inline bool exit_with(struct svm_vmcb *vmcb, u64 code)
{
	vmcb->exit_code = code;
	vmcb->exit_info_1 = 0;
	vmcb->exit_info_2 = 0;
	vmcb->next_rip = vmcb->rip + 3;
	return true;
}

/* L1 executes VMRUN once, L2 nothing. */
static inline bool executes_vmrun(struct svm_vmcb *vmcb, bool l2)
{
	if (l2 || guest.entries > 1)
		return false;
	vmcb->rax = VMCB12;
	return exit_with(vmcb, VMEXIT_VMRUN);
}

#endif
