/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * L2: in by VMRUN, out by #VMEXIT, and which of its exits are L1's. See svm_nested.h. Manual:
 * volume 2, 15.5 (VMRUN), 15.6 (#VMEXIT), 15.7 to 15.14 (intercepts), 15.20, 15.21, 15.25.
 */
#include "svm/svm_nested.h"

/* L1's virtual interrupt, in int_ctl. */
#define SVM_V_IRQ_BITS (SVM_V_IRQ | SVM_V_PRIO | SVM_V_IGN_TPR)

static int svm_nested_init(struct bv_vcpu *vcpu)
{
	struct svm_nested *own = bv_host_alloc(sizeof(*own));

	if (!own)
		return -BV_ENOMEM;
	own->vmcb02 = bv_host_pages_alloc(0);
	own->guest = bv_host_pages_alloc(0);
	vcpu->nested->vendor = own;
	if (own->vmcb02 && own->guest) {
		own->vmcb02_pa = bv_host_pa(own->vmcb02);
		return 0;
	}
	svm_nesting_ops.fini(vcpu);
	return -BV_ENOMEM;
}

static void svm_nested_fini(struct bv_vcpu *vcpu)
{
	struct svm_nested *own = svm_nested_of(vcpu);

	if (own->vmcb02)
		bv_host_pages_free(own->vmcb02, 0);
	if (own->guest)
		bv_host_pages_free(own->guest, 0);
	bv_host_free(own);
}

/* ---- around an entry ---- */

void svm_l2_before(struct bv_vcpu *vcpu)
{
	struct svm_vmcb *vmcb = svm_of(vcpu)->vmcb;

	vcpu->nested->host_tpr = vcpu->cr8;
	if (vcpu->nested->own_tpr)
		vmcb->int_ctl = (vmcb->int_ctl & ~SVM_V_TPR) | vcpu->nested->tpr;
}

static bool svm_l1_intercepts(const struct svm_vmcb *guest, u64 code)
{
	return code < VMEXIT_INTERCEPTS && guest->intercept[code / 32] >> (code % 32) & 1;
}

/*
 * L1's virtual interrupt is not in vmcb02: a window of ours is in its place, or L2 is stepped over
 * an instruction in a shadow, which one emulator of AMD-V forgets (core/event.c).
 */
static bool svm_l1_irq_hidden(const struct bv_vcpu *vcpu)
{
	const struct bv_wishes *wishes = &svm_of(vcpu)->wishes;

	return wishes->irq_window || wishes->single_step;
}

/* Whether the exit may be one that L1 wants; of ports and MSRs its maps have to be asked. */
static bool svm_l2_exit_wanted(const struct bv_vcpu *vcpu, const struct svm_vmcb *vmcb)
{
	const struct svm_vmcb *guest = svm_nested_of(vcpu)->guest;
	u64 code = vmcb->exit_code;

	if (code >= VMEXIT_INTR && code <= VMEXIT_INIT)
		return false; /* the host's own */
	if (code == VMEXIT_VINTR && (svm_l1_irq_hidden(vcpu) || vmcb->int_state & 1))
		return false; /* our window, or one in a shadow: L1 has to have it later */
	if (code == VMEXIT_EXCEPTION_DE + BV_EXC_MC)
		return false;
	if (code == VMEXIT_EXCEPTION_DE + BV_EXC_DB && vcpu->stepping && !vcpu->step_guest_tf)
		return false; /* our step */
	if (vcpu->exit.kind == BV_EXIT_ENTRY_FAILED)
		return true;
	return svm_l1_intercepts(guest, code);
}

void svm_l2_after(struct bv_vcpu *vcpu)
{
	struct svm_vmcb *vmcb = svm_of(vcpu)->vmcb, *guest = svm_nested_of(vcpu)->guest;
	struct bv_nested *nested = vcpu->nested;
	struct bv_exit *exit = &vcpu->exit;

	if (nested->own_tpr) {
		nested->tpr = vmcb->int_ctl & SVM_V_TPR;
		vcpu->cr8 = nested->host_tpr;
	}
	/* Unless the virtual interrupt was ours: whether L1's has been taken. */
	if (!svm_l1_irq_hidden(vcpu))
		guest->int_ctl = (guest->int_ctl & ~SVM_V_IRQ) | (vmcb->int_ctl & SVM_V_IRQ);
	nested->kind = exit->kind;
	nested->cr = (vmcb->exit_code - VMEXIT_CR0_WRITE) & 15;
	if (exit->kind == BV_EXIT_NESTED_FAULT && nested->paging)
		exit->kind = BV_EXIT_L2_FAULT;
	else if (svm_l2_exit_wanted(vcpu, vmcb))
		exit->kind = BV_EXIT_L2;
}

/* ---- intercepts: ours or L1's ---- */

void svm_l2_wish_begin(struct bv_vcpu *vcpu)
{
	struct svm_nested *own = svm_nested_of(vcpu);

	__builtin_memcpy(own->vmcb02->intercept, own->ours, sizeof(own->ours));
}

void svm_l2_wish_end(struct bv_vcpu *vcpu)
{
	struct svm_nested *own = svm_nested_of(vcpu);
	struct svm_vmcb *vmcb = own->vmcb02;
	const struct svm_vmcb *guest = own->guest;

	__builtin_memcpy(own->ours, vmcb->intercept, sizeof(own->ours));
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(own->ours); i++)
		vmcb->intercept[i] |= guest->intercept[i];
	if (!svm_of(vcpu)->wishes.irq_window)
		vmcb->int_ctl &= ~SVM_V_IRQ_BITS;
	if (!svm_l1_irq_hidden(vcpu)) {
		vmcb->int_ctl |= guest->int_ctl & SVM_V_IRQ_BITS;
		vmcb->int_vector = guest->int_vector;
		/* See svm_virtual_irq. */
		if (guest->int_ctl & SVM_V_IRQ)
			svm_intercept_set(vmcb, SVM_I_CR8_WRITE, true);
	}
	/* Without a filter of its own, L1 sees every PAUSE. */
	if (svm_l1_intercepts(guest, VMEXIT_PAUSE))
		vmcb->pause_count = 0;
	vmcb->clean = 0;
}

/* ---- from one VMCB to the other ---- */

/* What VMRUN and #VMEXIT leave in the processor. */
static void svm_move_shared(struct svm_vmcb *to, const struct svm_vmcb *from)
{
	to->fs = from->fs;
	to->gs = from->gs;
	to->ldtr = from->ldtr;
	to->tr = from->tr;
	to->star = from->star;
	to->lstar = from->lstar;
	to->cstar = from->cstar;
	to->sfmask = from->sfmask;
	to->kernel_gs_base = from->kernel_gs_base;
	to->sysenter_cs = from->sysenter_cs;
	to->sysenter_esp = from->sysenter_esp;
	to->sysenter_eip = from->sysenter_eip;
}

/* What VMRUN loads from vmcb12, and #VMEXIT stores there. */
static void svm_move_switched(struct svm_vmcb *to, const struct svm_vmcb *from)
{
	to->es = from->es;
	to->cs = from->cs;
	to->ss = from->ss;
	to->ds = from->ds;
	to->gdtr = from->gdtr;
	to->idtr = from->idtr;
	to->cpl = from->cpl;
	to->efer = from->efer;
	to->cr4 = from->cr4;
	to->cr3 = from->cr3;
	to->cr0 = from->cr0;
	to->dr7 = from->dr7;
	to->dr6 = from->dr6;
	to->rflags = from->rflags;
	to->rip = from->rip;
	to->rsp = from->rsp;
	to->rax = from->rax;
	to->cr2 = from->cr2;
}

static void svm_gprs_from(struct bv_vcpu *vcpu, const struct svm_vmcb *vmcb)
{
	vcpu->gprs.gpr[BV_RAX] = vmcb->rax;
	vcpu->gprs.gpr[BV_RSP] = vmcb->rsp;
	vcpu->gprs.rip = vmcb->rip;
	vcpu->gprs.rflags = vmcb->rflags | BV_RFLAGS_ONE;
}

/* Registers that the core has, to the VMCB that is on. */
static void svm_sync(struct bv_vcpu *vcpu)
{
	struct svm_vmcb *vmcb = svm_of(vcpu)->vmcb;

	if (vcpu->dirty)
		svm_push(vcpu, vcpu->dirty);
	vcpu->dirty = 0;
	vcpu->valid = 0;
	vmcb->rax = vcpu->gprs.gpr[BV_RAX];
	vmcb->rsp = vcpu->gprs.gpr[BV_RSP];
	vmcb->rip = vcpu->gprs.rip;
	vmcb->rflags = vcpu->gprs.rflags;
}

/* The other VMCB is on from now: the core has nothing of its registers. */
static void svm_switch(struct bv_vcpu *vcpu, struct svm_vmcb *vmcb, u64 pa)
{
	struct svm_vcpu *own = svm_of(vcpu);

	own->vmcb = vmcb;
	own->vmcb_pa = pa;
	own->before |= SVM_BEFORE_ASID;
	own->efer_shown = ~0ull;
	vmcb->clean = 0;
	svm_gprs_from(vcpu, vmcb);
	vcpu->code_memo.page = ~0ull;
	vcpu->nmi_iret = false;
	vcpu->shadow_step = false;
	bv_vcpu_request(vcpu, BV_REQ_RELOAD);
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
}

/* ---- in ---- */

static void svm_l2_control(struct bv_vcpu *vcpu, struct svm_nested *own)
{
	struct svm_vmcb *vmcb = own->vmcb02;
	const struct svm_vmcb *guest = own->guest;

	svm_intercepts_init(vmcb);
	__builtin_memcpy(own->ours, vmcb->intercept, sizeof(own->ours));
	/* Every port and every MSR exits: of all pages, the map of ports has all bits set. */
	vmcb->iopm_pa = vmcb->msrpm_pa = bv_host_pa(svm.iopm);
	vmcb->tsc_offset = vcpu->tsc_offset + guest->tsc_offset;
	vmcb->int_ctl = SVM_V_INTR_MASKING;
	vmcb->int_state = guest->int_state & 1;
	vmcb->event_inj = guest->event_inj;
	vmcb->exit_int_info = 0;
	vmcb->np_enable = 1;
	vmcb->n_cr3 =
		bv_host_pa(vcpu->nested->paging ? vcpu->nested->shadow.root : vcpu->vm->nest.root);
	vmcb->virt_ext = 0;
	vmcb->next_rip = guest->next_rip;
}

/* What the core has to know. */
static void svm_l2_facts(struct bv_vcpu *vcpu, const struct svm_vmcb *guest)
{
	struct bv_nested *nested = vcpu->nested;
	const struct svm_vmcb *host = svm_of(vcpu)->vmcb01;

	nested->irq_exits = svm_l1_intercepts(guest, VMEXIT_INTR);
	nested->nmi_exits = svm_l1_intercepts(guest, VMEXIT_NMI);
	nested->init_exits = svm_l1_intercepts(guest, VMEXIT_INIT);
	nested->shutdown_exits = svm_l1_intercepts(guest, VMEXIT_SHUTDOWN);
	nested->exception_exits = guest->intercept[SVM_WORD_EXCEPTION];
	nested->own_tpr = guest->int_ctl & SVM_V_INTR_MASKING;
	nested->tpr = guest->int_ctl & SVM_V_TPR;
	nested->host_if = host->rflags & BV_RFLAGS_IF;
	nested->tsc_offset = guest->tsc_offset;
	nested->paging = guest->np_enable & 1;
	nested->table = guest->n_cr3;
	nested->cr4 = host->cr4 & (BV_CR4_PAE | BV_CR4_PSE | BV_CR4_LA57);
	nested->efer = host->efer & (BV_EFER_NXE | BV_EFER_LMA);
}

/* 15.16: translations outlive an entry if the ASID, and what they are made by, are the same. */
static void svm_l2_shadow(struct bv_vcpu *vcpu, struct svm_nested *own)
{
	struct bv_nested *nested = vcpu->nested;

	if (!nested->paging)
		return;
	if (own->guest->tlb_control != SVM_TLB_NOTHING || own->asid != own->guest->asid ||
	    own->table != nested->table || own->cr4 != nested->cr4 || own->efer != nested->efer)
		bv_shadow_forget(&nested->shadow);
	own->asid = own->guest->asid;
	own->table = nested->table;
	own->cr4 = nested->cr4;
	own->efer = nested->efer;
}

void svm_l2_enter(struct bv_vcpu *vcpu)
{
	struct svm_vcpu *vendor = svm_of(vcpu);
	struct svm_nested *own = svm_nested_of(vcpu);
	struct svm_vmcb *vmcb = own->vmcb02;

	svm_sync(vcpu);
	vendor->vmcb01->int_state = 0;
	own->wishes01 = vendor->wishes;
	svm_l2_facts(vcpu, own->guest);
	svm_l2_shadow(vcpu, own);
	svm_move_shared(vmcb, vendor->vmcb01);
	svm_move_switched(vmcb, own->guest);
	vmcb->g_pat = vcpu->nested->paging ? own->guest->g_pat : vendor->vmcb01->g_pat;
	svm_l2_control(vcpu, own);
	svm_switch(vcpu, vmcb, own->vmcb02_pa);
	vcpu->nesting = BV_NESTING_L2;
	vcpu->at_entry |= BV_AT_ENTRY_L2;
	vendor->before |= SVM_BEFORE_L2;
	vendor->after |= SVM_AFTER_L2;
	__builtin_memset(&vendor->wishes, 0, sizeof(vendor->wishes));
	svm_wish(vcpu, &vcpu->wishes);
}

/* ---- out ---- */

/* An event that has still to be delivered, as L1 finds it (15.7.2). */
static u64 svm_event_of(const struct bv_vcpu *vcpu)
{
	const struct bv_events *events = &vcpu->events;

	if (events->exception.injected)
		return SVM_EVENT_VALID | SVM_EVENT_EXCEPTION << SVM_EVENT_TYPE_SHIFT |
		       events->exception.vector |
		       (events->exception.has_error ?
				SVM_EVENT_HAS_ERROR | (u64)events->exception.error << 32 :
				0);
	if (events->nmi.injected)
		return SVM_EVENT_VALID | SVM_EVENT_NMI << SVM_EVENT_TYPE_SHIFT | BV_EXC_NMI;
	if (events->interrupt.injected)
		return SVM_EVENT_VALID | events->interrupt.vector |
		       (events->interrupt.soft ? SVM_EVENT_SOFT : SVM_EVENT_IRQ)
			       << SVM_EVENT_TYPE_SHIFT;
	return 0;
}

/* Of an exit by the hardware its own word counts, which knows more kinds. */
static u64 svm_l2_exit_int_info(const struct bv_vcpu *vcpu, const struct svm_vmcb *vmcb,
				bool direct)
{
	u64 info = vmcb->exit_int_info;

	if (vmcb->event_inj & SVM_EVENT_VALID)
		return vmcb->event_inj;
	if (!direct || !(info & SVM_EVENT_VALID))
		return svm_event_of(vcpu);
	/* See svm_exit_vectoring. */
	if ((info >> SVM_EVENT_TYPE_SHIFT & SVM_EVENT_TYPE) == SVM_EVENT_EXCEPTION &&
	    (info & SVM_EVENT_VECTOR) >= BV_FIRST_IRQ)
		info &= ~((u64)SVM_EVENT_TYPE << SVM_EVENT_TYPE_SHIFT);
	return info;
}

/* The parts of vmcb12 that #VMEXIT writes. */
static const struct svm_part svm_written[] = {
	SVM_PART(int_ctl, int_ctl),
	SVM_PART(int_state, exit_int_info),
	SVM_PART(event_inj, event_inj),
	SVM_PART(next_rip, next_rip),
	SVM_PART(es, ds),
	SVM_PART(gdtr, gdtr),
	SVM_PART(idtr, idtr),
	SVM_PART(cpl, cpl),
	SVM_PART(efer, efer),
	SVM_PART(cr4, rip),
	SVM_PART(rsp, rsp),
	SVM_PART(rax, rax),
	SVM_PART(cr2, cr2),
	SVM_PART(g_pat, g_pat),
};

static void svm_l2_write(struct bv_vcpu *vcpu, const struct svm_nested *own)
{
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(svm_written); i++) {
		u16 from = svm_written[i].from, bytes = svm_written[i].to - from;

		if (!bv_mem_write_locked(vcpu->vm, vcpu, own->guest_pa + from,
					 (const u8 *)own->guest + from, bytes))
			continue;
		bv_refuse(&vcpu->vm->why, BV_EFAULT,
			  "vCPU %u: its VMCB at %#llx is no memory any more", vcpu->index,
			  own->guest_pa);
		bv_vcpu_request(vcpu, BV_REQ_TRIPLE_FAULT);
		return;
	}
}

static void svm_l2_store(struct bv_vcpu *vcpu, struct svm_nested *own, u64 exit_int_info)
{
	struct svm_vmcb *vmcb = own->vmcb02, *guest = own->guest;

	svm_move_switched(guest, vmcb);
	guest->efer &= svm_of(vcpu)->efer_shown;
	if (vcpu->nested->paging)
		guest->g_pat = vmcb->g_pat;
	if (vcpu->nested->own_tpr)
		guest->int_ctl = (guest->int_ctl & ~SVM_V_TPR) | vcpu->nested->tpr;
	guest->int_state = vmcb->int_state & 1;
	guest->exit_int_info = exit_int_info;
	guest->event_inj &= ~SVM_EVENT_VALID;
	guest->next_rip = svm.features & SVM_FEATURE_NRIP ? vmcb->next_rip : 0;
}

/* Nothing of L2 is under way any more. */
static void svm_events_forget(struct bv_vcpu *vcpu)
{
	vcpu->events.exception.pending = false;
	vcpu->events.exception.injected = false;
	vcpu->events.nmi.injected = false;
	vcpu->events.interrupt.injected = false;
	vcpu->events.interrupt.soft = false;
	vcpu->stepping = false;
	vcpu->wait.kind = BV_WAIT_NOTHING;
	bv_ioreplay_reset(&vcpu->replay);
	vcpu->mp_state = BV_MP_RUNNABLE;
}

/* L1's registers, with what is left of L2's in the processor. */
void svm_l2_abandon(struct bv_vcpu *vcpu)
{
	struct svm_vcpu *vendor = svm_of(vcpu);
	struct svm_nested *own = svm_nested_of(vcpu);
	struct svm_vmcb *vmcb = vendor->vmcb01;

	svm_sync(vcpu);
	own->vmcb02->event_inj = 0;
	svm_move_shared(vmcb, own->vmcb02);
	if (!vcpu->nested->paging)
		vmcb->g_pat = own->vmcb02->g_pat;
	vmcb->cr2 = own->vmcb02->cr2;
	vmcb->dr6 = own->vmcb02->dr6;
	vmcb->dr7 = BV_DR7_FIXED_ONES;
	vmcb->rflags &= ~BV_RFLAGS_VM;
	svm_events_forget(vcpu);
	svm_switch(vcpu, vmcb, vendor->vmcb01_pa);
	vcpu->nesting = BV_NESTING_HELD;
	vcpu->at_entry &= ~BV_AT_ENTRY_L2;
	vendor->before &= ~SVM_BEFORE_L2;
	vendor->after &= ~SVM_AFTER_L2;
	vendor->wishes = own->wishes01;
	vmcb->tsc_offset = vcpu->tsc_offset;
	svm_wish(vcpu, &vcpu->wishes);
}

static void svm_l2_leave_by(struct bv_vcpu *vcpu, u64 code, u64 info1, u64 info2, bool direct)
{
	struct svm_nested *own = svm_nested_of(vcpu);

	svm_sync(vcpu);
	own->guest->exit_code = code;
	own->guest->exit_info_1 = info1;
	own->guest->exit_info_2 = info2;
	svm_l2_store(vcpu, own, svm_l2_exit_int_info(vcpu, own->vmcb02, direct));
	svm_l2_write(vcpu, own);
	svm_l2_abandon(vcpu);
}

void svm_l2_leave(struct bv_vcpu *vcpu, u64 code, u64 info1, u64 info2)
{
	svm_l2_leave_by(vcpu, code, info1, info2, false);
}

static void svm_leave_exception(struct bv_vcpu *vcpu)
{
	struct bv_events *events = &vcpu->events;
	u8 vector = events->exception.vector;
	u64 error = events->exception.has_error ? events->exception.error : 0;
	u64 address = vector == BV_EXC_PF ? events->exception.payload : 0;

	/* DR6 is written before the exit, CR2 is not. */
	if (vector == BV_EXC_DB)
		bv_vcpu_exception_payload(vcpu);
	events->exception.pending = false;
	svm_l2_leave(vcpu, VMEXIT_EXCEPTION_DE + vector, error, address);
}

static void svm_leave(struct bv_vcpu *vcpu, enum bv_l2_event event, u32 error)
{
	const struct svm_vmcb *vmcb = svm_of(vcpu)->vmcb;
	const u64 where = SVM_NPF_FINAL | SVM_NPF_TABLE;

	switch (event) {
	case BV_L2_IRQ:
		svm_l2_leave(vcpu, VMEXIT_INTR, 0, 0);
		break;
	case BV_L2_NMI:
		svm_l2_leave(vcpu, VMEXIT_NMI, 0, 0);
		break;
	case BV_L2_INIT:
		svm_l2_leave(vcpu, VMEXIT_INIT, 0, 0);
		break;
	case BV_L2_SHUTDOWN:
		svm_l2_leave(vcpu, VMEXIT_SHUTDOWN, 0, 0);
		break;
	case BV_L2_EXCEPTION:
		svm_leave_exception(vcpu);
		break;
	case BV_L2_NESTED_FAULT:
		svm_l2_leave_by(vcpu, VMEXIT_NPF, (vmcb->exit_info_1 & where) | error,
				vmcb->exit_info_2, true);
		break;
	}
}

/* ---- whose exit ---- */

/* 15.10.1: a bit a port; an access of several bytes looks at as many bits. */
static bool svm_l1_wants_port(struct bv_vcpu *vcpu, const struct svm_vmcb *guest)
{
	u32 port = vcpu->exit.port.port;
	u64 map = (guest->iopm_pa & BV_PAGE_MASK) + port / 8;
	u8 bits[2];

	if (bv_mem_read_locked(vcpu->vm, vcpu, map, bits, sizeof(bits)))
		return true;
	return (bits[0] | bits[1] << 8) >> (port % 8) & ((1u << vcpu->exit.port.bytes) - 1);
}

/* 15.11: MSRs outside of the three ranges exit. */
static bool svm_l1_wants_msr(struct bv_vcpu *vcpu, const struct svm_vmcb *guest, bool write)
{
	u64 map = guest->msrpm_pa & BV_PAGE_MASK;
	u32 bit;
	u8 bits;

	if (!svm_msrpm_position(vcpu->gprs.gpr[BV_RCX], &bit))
		return true;
	bit += write;
	if (bv_mem_read_locked(vcpu->vm, vcpu, map + bit / 8, &bits, 1))
		return true;
	return bits >> (bit % 8) & 1;
}

/* One emulator of AMD-V fails an entry at a MOV to CR3 or CR4 with reserved bits (core/exit.c). */
static bool svm_failed_at_move(struct bv_vcpu *vcpu)
{
	const struct svm_vmcb *vmcb = svm_of(vcpu)->vmcb;
	unsigned int length;
	u8 next;

	if (bv_exit_opcode(vcpu, &length, &next) != 0x0f22 || (next >> 3 & 6) == 0)
		return false;
	return vmcb->rip != svm_nested_of(vcpu)->guest->rip;
}

static bool svm_exit(struct bv_vcpu *vcpu)
{
	const struct svm_vmcb *vmcb = svm_of(vcpu)->vmcb;
	const struct svm_vmcb *guest = svm_nested_of(vcpu)->guest;
	enum bv_exit_kind kind = vcpu->nested->kind;

	if (kind == BV_EXIT_PORT && !svm_l1_wants_port(vcpu, guest))
		return false;
	if ((kind == BV_EXIT_RDMSR || kind == BV_EXIT_WRMSR) &&
	    !svm_l1_wants_msr(vcpu, guest, kind == BV_EXIT_WRMSR))
		return false;
	if (kind == BV_EXIT_ENTRY_FAILED) {
		if (svm_failed_at_move(vcpu))
			return false;
		svm_l2_leave(vcpu, VMEXIT_INVALID, 0, 0);
		return true;
	}
	svm_l2_leave_by(vcpu, vmcb->exit_code, vmcb->exit_info_1, vmcb->exit_info_2, true);
	return true;
}

static bool svm_injecting(const struct bv_vcpu *vcpu)
{
	return svm_of(vcpu)->vmcb->event_inj & SVM_EVENT_VALID;
}

static bool svm_virtual_irq_ready(const struct bv_vcpu *vcpu)
{
	const struct svm_vmcb *guest = svm_nested_of(vcpu)->guest;
	u8 tpr = vcpu->nested->own_tpr ? vcpu->nested->tpr : vcpu->cr8;

	return guest->int_ctl & SVM_V_IRQ && vcpu->gprs.rflags & BV_RFLAGS_IF &&
	       (guest->int_ctl & SVM_V_IGN_TPR ||
		(guest->int_ctl & SVM_V_PRIO) >> SVM_V_PRIO_SHIFT > tpr);
}

const struct bv_nesting_ops svm_nesting_ops = {
	.init = svm_nested_init,
	.fini = svm_nested_fini,
	.instruction = svm_instruction,
	.exit = svm_exit,
	.leave = svm_leave,
	.abandon = svm_l2_abandon,
	.injecting = svm_injecting,
	.virtual_irq = svm_virtual_irq_ready,
};
