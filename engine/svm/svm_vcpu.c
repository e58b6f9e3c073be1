/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * A vCPU's VMCB: made, filled and read. Manual: volume 2, 15.5 (VMCB), 15.20 (event injection),
 * 15.21 (interrupt windows).
 */
#include "svm/svm.h"
#include "svm/svm_nested.h"

/*
 * Exits that are wanted at all times; what a guest has not (SVM, RSM, RDPRU, MONITOR...) exits to
 * get its #UD.
 */
static const u8 always[] = {
	SVM_I_INTR,	SVM_I_NMI,    SVM_I_SMI,	 SVM_I_INIT,	SVM_I_RDPMC,  SVM_I_CPUID,
	SVM_I_RSM,	SVM_I_INVD,   SVM_I_HLT,	 SVM_I_INVLPGA, SVM_I_IOIO,   SVM_I_MSR,
	SVM_I_SHUTDOWN, SVM_I_VMRUN,  SVM_I_VMMCALL,	 SVM_I_VMLOAD,	SVM_I_VMSAVE, SVM_I_STGI,
	SVM_I_CLGI,	SVM_I_SKINIT, SVM_I_WBINVD,	 SVM_I_MONITOR, SVM_I_MWAIT,  SVM_I_XSETBV,
	SVM_I_RDPRU,	SVM_I_FERR,   SVM_I_MWAIT_ARMED,
};

/*
 * #MC belongs to the host. #AC and #DB exit because a guest that makes their delivery raise them
 * again would never let the CPU take an interrupt; the core injects them. #UD exits because it may
 * be the other vendor's hypercall.
 */
#define SVM_EXCEPTIONS_ALWAYS \
	(1u << BV_EXC_MC | 1u << BV_EXC_AC | 1u << BV_EXC_DB | 1u << BV_EXC_UD)
/* All that an instruction can raise before it is done. */
#define SVM_EXCEPTIONS_FAULTS                                                                      \
	(1u << BV_EXC_DE | 1u << BV_EXC_BR | 1u << BV_EXC_NM | 1u << BV_EXC_TS | 1u << BV_EXC_NP | \
	 1u << BV_EXC_SS | 1u << BV_EXC_GP | 1u << BV_EXC_PF | 1u << BV_EXC_MF | 1u << BV_EXC_XM | \
	 1u << BV_EXC_CP)

/*
 * 15.14.4: so many PAUSEs exit, where the processor counts them; where it can, only those of one
 * loop, less than the threshold's cycles apart.
 */
#define PAUSE_COUNT 3000
#define PAUSE_THRESHOLD 128

static void pause_filter_set(struct svm_vmcb *vmcb)
{
	if (!(svm.features & SVM_FEATURE_PAUSE_FILTER))
		return;
	svm_intercept_set(vmcb, SVM_I_PAUSE, true);
	vmcb->pause_count = PAUSE_COUNT;
	if (svm.features & SVM_FEATURE_PAUSE_THRESHOLD)
		vmcb->pause_threshold = PAUSE_THRESHOLD;
}

void svm_intercepts_init(struct svm_vmcb *vmcb)
{
	__builtin_memset(vmcb->intercept, 0, sizeof(vmcb->intercept));
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(always); i++)
		svm_intercept_set(vmcb, always[i], true);
	vmcb->intercept[SVM_WORD_EXCEPTION] = SVM_EXCEPTIONS_ALWAYS;
	pause_filter_set(vmcb);
}

int svm_vcpu_init(struct bv_vcpu *vcpu)
{
	struct svm_vm *vm = vcpu->vm->vendor;
	struct svm_vcpu *own = bv_host_alloc(sizeof(*own));
	struct svm_vmcb *vmcb = bv_host_pages_alloc(0);

	if (!own || !vmcb) {
		bv_host_free(own);
		if (vmcb)
			bv_host_pages_free(vmcb, 0);
		return -BV_ENOMEM;
	}
	svm_intercepts_init(vmcb);
	vmcb->iopm_pa = bv_host_pa(vm->iopm ? vm->iopm : svm.iopm);
	vmcb->msrpm_pa = bv_host_pa(vm->msrpm ? vm->msrpm : svm.msrpm);
	vmcb->int_ctl = SVM_V_INTR_MASKING;
	vmcb->np_enable = 1;
	vmcb->n_cr3 = bv_host_pa(vcpu->vm->nest.root);
	own->vmcb = own->vmcb01 = vmcb;
	own->vmcb_pa = own->vmcb01_pa = bv_host_pa(vmcb);
	own->efer_shown = ~BV_EFER_SVME;
	vcpu->vendor = own;
	return 0;
}

void svm_vcpu_fini(struct bv_vcpu *vcpu)
{
	bv_host_pages_free(svm_of(vcpu)->vmcb01, 0);
	bv_host_free(svm_of(vcpu));
}

static struct svm_seg *svm_seg_of(struct svm_vmcb *vmcb, unsigned int number)
{
	/* ES to GS stand in the VMCB in the order of their numbers; LDTR and TR are apart. */
	if (number <= BV_SEG_GS)
		return &vmcb->es + number;
	return number == BV_SEG_LDTR ? &vmcb->ldtr : &vmcb->tr;
}

static void svm_pull_seg(struct svm_vmcb *vmcb, unsigned int number, struct bv_seg *to)
{
	const struct svm_seg *from = svm_seg_of(vmcb, number);

	to->base = from->base;
	to->limit = from->limit;
	to->sel = from->sel;
	to->attr = from->attr & 0xfff;
	/*
	 * The processor does not keep all of these bits as a save on another vendor's host needs
	 * them.
	 */
	if (from->limit > 0xfffff)
		to->attr |= BV_SEG_G;
	if (number == BV_SEG_SS)
		to->attr = (to->attr & ~BV_SEG_DPL) | vmcb->cpl << BV_SEG_DPL_SHIFT;
	if (number == BV_SEG_TR)
		to->attr |= BV_SYS_TSS16_BUSY & ~BV_SYS_TSS16;
}

static void svm_push_seg(struct svm_vmcb *vmcb, unsigned int number, const struct bv_seg *from)
{
	struct svm_seg *to = svm_seg_of(vmcb, number);

	to->base = from->base;
	to->limit = from->limit;
	to->sel = from->sel;
	to->attr = from->attr & 0xfff;
	if (number == BV_SEG_SS)
		vmcb->cpl = (from->attr & BV_SEG_DPL) >> BV_SEG_DPL_SHIFT;
}

static void svm_pull_cr(const struct svm_vcpu *own, struct bv_cpu_state *state)
{
	const struct svm_vmcb *vmcb = own->vmcb;

	state->cr0 = vmcb->cr0;
	state->cr2 = vmcb->cr2;
	state->cr3 = vmcb->cr3;
	state->cr4 = vmcb->cr4;
	state->efer = vmcb->efer & own->efer_shown;
}

static void svm_push_cr(struct svm_vcpu *own, const struct bv_cpu_state *state)
{
	struct svm_vmcb *vmcb = own->vmcb;

	vmcb->cr0 = state->cr0;
	vmcb->cr2 = state->cr2;
	vmcb->cr3 = state->cr3;
	vmcb->cr4 = state->cr4;
	/* VMRUN wants SVME set, whatever the guest sees. */
	vmcb->efer = state->efer | BV_EFER_SVME;
	own->efer_shown = state->efer & BV_EFER_SVME ? ~0ull : ~BV_EFER_SVME;
}

static void svm_pull_syscall(struct svm_vmcb *vmcb, struct bv_cpu_state *state)
{
	state->star = vmcb->star;
	state->lstar = vmcb->lstar;
	state->cstar = vmcb->cstar;
	state->sfmask = vmcb->sfmask;
	state->kernel_gs_base = vmcb->kernel_gs_base;
	state->sysenter_cs = vmcb->sysenter_cs;
	state->sysenter_esp = vmcb->sysenter_esp;
	state->sysenter_eip = vmcb->sysenter_eip;
}

static void svm_push_syscall(struct svm_vmcb *vmcb, const struct bv_cpu_state *state)
{
	vmcb->star = state->star;
	vmcb->lstar = state->lstar;
	vmcb->cstar = state->cstar;
	vmcb->sfmask = state->sfmask;
	vmcb->kernel_gs_base = state->kernel_gs_base;
	vmcb->sysenter_cs = state->sysenter_cs;
	vmcb->sysenter_esp = state->sysenter_esp;
	vmcb->sysenter_eip = state->sysenter_eip;
}

void svm_pull(struct bv_vcpu *vcpu, u32 groups)
{
	struct svm_vmcb *vmcb = svm_of(vcpu)->vmcb;
	struct bv_cpu_state *state = &vcpu->state;

	for (u32 segs = groups & BV_ST_SEGS; segs; segs &= segs - 1)
		svm_pull_seg(vmcb, __builtin_ctz(segs), &state->seg[__builtin_ctz(segs)]);
	if (groups & BV_ST_TABLES) {
		state->gdt = (struct bv_desc_table){ vmcb->gdtr.base, vmcb->gdtr.limit };
		state->idt = (struct bv_desc_table){ vmcb->idtr.base, vmcb->idtr.limit };
	}
	if (groups & BV_ST_CR)
		svm_pull_cr(svm_of(vcpu), state);
	if (groups & BV_ST_DR) {
		state->dr6 = vmcb->dr6;
		state->dr7 = vmcb->dr7;
	}
	if (groups & BV_ST_SYSCALL)
		svm_pull_syscall(vmcb, state);
	if (groups & BV_ST_PAT)
		state->pat = vmcb->g_pat;
}

void svm_push(struct bv_vcpu *vcpu, u32 groups)
{
	struct svm_vmcb *vmcb = svm_of(vcpu)->vmcb;
	const struct bv_cpu_state *state = &vcpu->state;

	for (u32 segs = groups & BV_ST_SEGS; segs; segs &= segs - 1)
		svm_push_seg(vmcb, __builtin_ctz(segs), &state->seg[__builtin_ctz(segs)]);
	if (groups & BV_ST_TABLES) {
		vmcb->gdtr.base = state->gdt.base;
		vmcb->gdtr.limit = state->gdt.limit;
		vmcb->idtr.base = state->idt.base;
		vmcb->idtr.limit = state->idt.limit;
	}
	if (groups & BV_ST_CR)
		svm_push_cr(svm_of(vcpu), state);
	if (groups & BV_ST_DR) {
		vmcb->dr6 = state->dr6;
		vmcb->dr7 = state->dr7;
	}
	if (groups & BV_ST_SYSCALL)
		svm_push_syscall(vmcb, state);
	if (groups & BV_ST_PAT)
		vmcb->g_pat = state->pat;
	vmcb->clean = 0;
}

void svm_inject(struct bv_vcpu *vcpu, enum bv_event_kind kind, u8 vector, bool has_error, u32 error)
{
	static const u8 types[] = {
		[BV_EVENT_IRQ] = SVM_EVENT_IRQ,
		[BV_EVENT_NMI] = SVM_EVENT_NMI,
		[BV_EVENT_EXCEPTION] = SVM_EVENT_EXCEPTION,
		[BV_EVENT_SOFT_IRQ] = SVM_EVENT_SOFT,
	};

	/* What the handler returns to: by its own field, where the hardware has it, or by RIP. */
	if (kind == BV_EVENT_SOFT_IRQ) {
		if (svm.features & SVM_FEATURE_NRIP)
			svm_of(vcpu)->vmcb->next_rip = vcpu->soft_next_rip;
		else
			vcpu->gprs.rip = vcpu->soft_next_rip;
	}
	svm_of(vcpu)->vmcb->event_inj = SVM_EVENT_VALID | vector |
					types[kind] << SVM_EVENT_TYPE_SHIFT |
					(has_error ? SVM_EVENT_HAS_ERROR : 0) | (u64)error << 32;
}

void svm_uninject(struct bv_vcpu *vcpu)
{
	svm_of(vcpu)->vmcb->event_inj = 0;
}

/*
 * A virtual interrupt of the highest priority, which the guest takes as soon as its flags allow.
 * While there is one CR8 writes exit: they are rare then, and one emulator of AMD-V aborts on them
 * otherwise.
 */
static void svm_virtual_irq(struct svm_vmcb *vmcb, bool on, u8 vector)
{
	if (on)
		vmcb->int_ctl |= SVM_V_IRQ | SVM_V_IGN_TPR | 0xfull << SVM_V_PRIO_SHIFT;
	else
		vmcb->int_ctl &= ~(SVM_V_IRQ | SVM_V_IGN_TPR | 0xfull << SVM_V_PRIO_SHIFT);
	vmcb->int_vector = vector;
	vmcb->clean &= ~SVM_CLEAN_TPR;
}

/* The interrupt window: the virtual interrupt exits in place of being delivered. */
static void svm_wish_irq_window(struct svm_vmcb *vmcb, bool on)
{
	svm_intercept_set(vmcb, SVM_I_VINTR, on);
	svm_virtual_irq(vmcb, on, 0);
}

void svm_offer(struct bv_vcpu *vcpu, u8 vector)
{
	struct svm_vcpu *own = svm_of(vcpu);

	if (own->wishes.irq_window) {
		own->wishes.irq_window = false;
		svm_intercept_set(own->vmcb, SVM_I_VINTR, false);
	}
	svm_virtual_irq(own->vmcb, true, vector);
	svm_intercept_set(own->vmcb, SVM_I_CR8_WRITE, true);
	own->after |= SVM_AFTER_OFFER;
}

bool svm_offer_end(struct bv_vcpu *vcpu)
{
	struct svm_vcpu *own = svm_of(vcpu);
	bool taken = !(own->vmcb->int_ctl & SVM_V_IRQ);

	own->after &= ~SVM_AFTER_OFFER;
	svm_virtual_irq(own->vmcb, false, 0);
	svm_intercept_set(own->vmcb, SVM_I_CR8_WRITE, own->wishes.cr8_writes);
	return taken;
}

void svm_wish(struct bv_vcpu *vcpu, const struct bv_wishes *wishes)
{
	struct svm_vmcb *vmcb = svm_of(vcpu)->vmcb;
	struct svm_vcpu *own = svm_of(vcpu);

	if (bv_unlikely(own->before & SVM_BEFORE_L2))
		svm_l2_wish_begin(vcpu);
	if (wishes->irq_window != own->wishes.irq_window)
		svm_wish_irq_window(vmcb, wishes->irq_window);
	svm_intercept_set(vmcb, SVM_I_CR8_WRITE,
			  wishes->cr8_writes || wishes->irq_window || own->after & SVM_AFTER_OFFER);
	svm_intercept_set(vmcb, SVM_I_CR4_WRITE, wishes->cr4_writes);
	svm_intercept_set(vmcb, SVM_I_IRET, wishes->nmi_window);
	svm_intercept_set(vmcb, SVM_I_RDTSC, wishes->rdtsc);
	svm_intercept_set(vmcb, SVM_I_RDTSCP, wishes->rdtsc);
	vmcb->intercept[SVM_WORD_DR] = wishes->dr_accesses ? SVM_DR_ALL : 0;
	vmcb->intercept[SVM_WORD_EXCEPTION] = SVM_EXCEPTIONS_ALWAYS |
					      (wishes->bp_exits ? 1u << BV_EXC_BP : 0) |
					      (wishes->single_step ? SVM_EXCEPTIONS_FAULTS : 0);
	own->wishes = *wishes;
	if (bv_unlikely(own->before & SVM_BEFORE_L2))
		svm_l2_wish_end(vcpu);
}

u8 svm_shadow_get(struct bv_vcpu *vcpu)
{
	/* The hardware does not tell STI from MOV SS. */
	return svm_of(vcpu)->vmcb->int_state & 1 ? 2 : 0;
}

void svm_shadow_set(struct bv_vcpu *vcpu, u8 shadow)
{
	struct svm_vmcb *vmcb = svm_of(vcpu)->vmcb;

	vmcb->int_state = (vmcb->int_state & ~1ull) | (shadow ? 1 : 0);
}

void svm_tlb_flush(struct bv_vcpu *vcpu)
{
	svm_of(vcpu)->before |= SVM_BEFORE_FLUSH;
}

void svm_tsc_offset(struct bv_vcpu *vcpu, u64 offset)
{
	struct svm_vmcb *vmcb = svm_of(vcpu)->vmcb;

	svm_of(vcpu)->vmcb01->tsc_offset = offset;
	vmcb->tsc_offset = offset + bv_l2_tsc_offset(vcpu);
	vmcb->clean &= ~SVM_CLEAN_INTERCEPTS;
}
