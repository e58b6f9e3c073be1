/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * A vCPU's state: what RESET and INIT leave, reading it out and writing it back, and the rules that
 * control registers obey. Running is in run.c, events in event.c.
 */
#include "core/vcpu.h"

/* ---- RESET and INIT: volume 2, 14.1.3 ---- */

#define RESET_PAT 0x0007040600070406ull

static const struct bv_seg reset_code = { 0xffff0000, 0xffff, 0xf000, 0x9b };
static const struct bv_seg reset_data = { 0, 0xffff, 0, 0x93 };
static const struct bv_seg reset_ldt = { 0, 0xffff, 0, 0x82 };
static const struct bv_seg reset_tss = { 0, 0xffff, 0, 0x8b };

static void reset_state(struct bv_cpu_state *state)
{
	for (unsigned int i = 0; i < BV_SEG_LDTR; i++)
		state->seg[i] = i == BV_SEG_CS ? reset_code : reset_data;
	state->seg[BV_SEG_LDTR] = reset_ldt;
	state->seg[BV_SEG_TR] = reset_tss;
	state->gdt = (struct bv_desc_table){ 0, 0xffff };
	state->idt = (struct bv_desc_table){ 0, 0xffff };
	state->cr2 = 0;
	state->cr3 = 0;
	state->cr4 = 0;
	state->efer = 0;
	state->dr6 = BV_DR6_FIXED_ONES;
	state->dr7 = BV_DR7_FIXED_ONES;
}

static u32 reset_signature(struct bv_vcpu *vcpu)
{
	struct bv_cpuid_live facts = { 0 };
	u32 out[4] = { 0 };

	if (vcpu->cpuid)
		bv_cpuid_lookup(vcpu->cpuid, vcpu->cpuid_count, 1, 0, &facts, out);
	return out[BV_CPUID_EAX] ? out[BV_CPUID_EAX] : 0x600;
}

void bv_vcpu_reset(struct bv_vcpu *vcpu, bool init)
{
	struct bv_cpu_state *state = &vcpu->state;
	u64 kept;

	bv_nested_reset(vcpu, init);
	bv_vcpu_touch(vcpu, BV_ST_ALL);
	kept = init ? state->cr0 & (BV_CR0_NW | BV_CR0_CD) : BV_CR0_NW | BV_CR0_CD;
	reset_state(state);
	state->cr0 = BV_CR0_ET | kept;
	__builtin_memset(&vcpu->gprs, 0, sizeof(vcpu->gprs));
	vcpu->gprs.gpr[BV_RDX] = reset_signature(vcpu);
	vcpu->gprs.rip = 0xfff0;
	vcpu->gprs.rflags = BV_RFLAGS_ONE;
	__builtin_memset(vcpu->db, 0, sizeof(vcpu->db));
	__builtin_memset(&vcpu->events, 0, sizeof(vcpu->events));
	vcpu->dr_live = false;
	vcpu->nmi_iret = false;
	vcpu->shadow_step = false;
	vcpu->front_irq = -1;
	vcpu->offered = -1;
	vcpu->wait.kind = BV_WAIT_NOTHING;
	bv_ioreplay_reset(&vcpu->replay);
	bv_vendor->uninject(vcpu);
	bv_vendor->shadow_set(vcpu, 0);
	bv_vendor->tlb_flush(vcpu);
	if (!init) {
		state->pat = RESET_PAT;
		state->star = state->lstar = state->cstar = state->sfmask = state->kernel_gs_base =
			0;
		state->sysenter_cs = state->sysenter_esp = state->sysenter_eip = 0;
		vcpu->xcr0 = BV_XCR0_X87;
		vcpu->mp_state = bv_vcpu_is_bsp(vcpu) || !vcpu->vm->intc ? BV_MP_RUNNABLE :
									   BV_MP_UNINITIALIZED;
	}
	if (vcpu->vm->pv && vcpu->vm->pv->vcpu_reset)
		vcpu->vm->pv->vcpu_reset(vcpu, init);
	if (vcpu->vm->intc)
		vcpu->vm->intc->vcpu_reset(vcpu, init);
	bv_vcpu_request(vcpu, BV_REQ_RELOAD);
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
}

/* ---- control registers, with a guest's checks ---- */

#define CR0_BITS                                                                             \
	(BV_CR0_PE | BV_CR0_MP | BV_CR0_EM | BV_CR0_TS | BV_CR0_ET | BV_CR0_NE | BV_CR0_WP | \
	 BV_CR0_AM | BV_CR0_NW | BV_CR0_CD | BV_CR0_PG)

static bool cr0_valid(u64 cr0)
{
	if (cr0 >> 32 || (cr0 & BV_CR0_PG && !(cr0 & BV_CR0_PE)))
		return false;
	return !(cr0 & BV_CR0_NW) || cr0 & BV_CR0_CD;
}

bool bv_vcpu_cr0_write(struct bv_vcpu *vcpu, u64 value)
{
	struct bv_cpu_state *state = &vcpu->state;
	u64 changed;

	if (!cr0_valid(value))
		return false;
	value = (value & CR0_BITS) | BV_CR0_ET;
	bv_vcpu_touch(vcpu, BV_ST_CR | BV_ST_SEG(BV_SEG_CS));
	changed = state->cr0 ^ value;
	if (changed & value & BV_CR0_PG && state->efer & BV_EFER_LME) {
		if (!(state->cr4 & BV_CR4_PAE) || state->seg[BV_SEG_CS].attr & BV_SEG_L)
			return false;
		state->efer |= BV_EFER_LMA;
	}
	if (changed & BV_CR0_PG && !(value & BV_CR0_PG)) {
		if (state->cr4 & BV_CR4_PCIDE ||
		    (state->efer & BV_EFER_LMA && state->seg[BV_SEG_CS].attr & BV_SEG_L))
			return false;
		state->efer &= ~BV_EFER_LMA;
	}
	if (changed & (BV_CR0_PG | BV_CR0_WP | BV_CR0_PE))
		bv_vendor->tlb_flush(vcpu);
	state->cr0 = value;
	return true;
}

bool bv_vcpu_cr3_write(struct bv_vcpu *vcpu, u64 value)
{
	struct bv_cpu_state *state = &vcpu->state;

	bv_vcpu_touch(vcpu, BV_ST_CR);
	if (state->cr4 & BV_CR4_PCIDE)
		value &= ~BV_CR3_NOFLUSH;
	if (state->efer & BV_EFER_LMA && value >> vcpu->caps.phys_bits)
		return false;
	state->cr3 = value;
	bv_vendor->tlb_flush(vcpu);
	return true;
}

bool bv_vcpu_cr4_write(struct bv_vcpu *vcpu, u64 value)
{
	struct bv_cpu_state *state = &vcpu->state;
	u64 changed;

	if (value & ~vcpu->caps.cr4)
		return false;
	bv_vcpu_touch(vcpu, BV_ST_CR);
	changed = state->cr4 ^ value;
	if (state->efer & BV_EFER_LMA && (!(value & BV_CR4_PAE) || changed & BV_CR4_LA57))
		return false;
	if (changed & value & BV_CR4_PCIDE &&
	    (!(state->efer & BV_EFER_LMA) || state->cr3 & BV_CR3_PCID))
		return false;
	if (changed & (BV_CR4_PSE | BV_CR4_PAE | BV_CR4_PGE | BV_CR4_PCIDE | BV_CR4_SMEP |
		       BV_CR4_SMAP | BV_CR4_PKE | BV_CR4_LA57))
		bv_vendor->tlb_flush(vcpu);
	state->cr4 = value;
	return true;
}

bool bv_vcpu_efer_write(struct bv_vcpu *vcpu, u64 value)
{
	struct bv_cpu_state *state = &vcpu->state;

	bv_vcpu_touch(vcpu, BV_ST_CR);
	/* LMA is read-only: what is written to it does not matter. */
	value = (value & ~BV_EFER_LMA) | (state->efer & BV_EFER_LMA);
	if (value & ~(vcpu->caps.efer | BV_EFER_LMA))
		return false;
	if (bv_unlikely((state->efer ^ value) & BV_EFER_SVME) && !bv_nested_switch(vcpu, value))
		return false;
	if (state->cr0 & BV_CR0_PG && (state->efer ^ value) & BV_EFER_LME)
		return false;
	if ((state->efer ^ value) & BV_EFER_NXE)
		bv_vendor->tlb_flush(vcpu);
	state->efer = value;
	return true;
}

static bool xcr0_valid(const struct bv_vcpu *vcpu, u64 xcr0)
{
	if (!(xcr0 & BV_XCR0_X87) || (xcr0 & BV_XCR0_AVX && !(xcr0 & BV_XCR0_SSE)))
		return false;
	/* The three AVX-512 parts come together and upon AVX. */
	if (xcr0 & 0xe0 && ((xcr0 & 0xe0) != 0xe0 || !(xcr0 & BV_XCR0_AVX)))
		return false;
	/* A vCPU without XSAVE has the reset value, too, which VMMs set. */
	return !(xcr0 & ~(vcpu->caps.xcr0 | BV_XCR0_X87));
}

bool bv_vcpu_xcr0_write(struct bv_vcpu *vcpu, u64 value)
{
	if (!xcr0_valid(vcpu, value))
		return false;
	vcpu->xcr0 = value;
	return true;
}

/* ---- state for fronts ---- */

/*
 * User space may answer a request by putting the CPU elsewhere (a reset): then nobody waits for the
 * answer.
 */
static void wait_forget_if_moved(struct bv_vcpu *vcpu)
{
	if (vcpu->wait.kind == BV_WAIT_NOTHING || vcpu->gprs.rip == vcpu->wait.rip)
		return;
	vcpu->wait.kind = BV_WAIT_NOTHING;
	bv_ioreplay_reset(&vcpu->replay);
}

void bv_vcpu_gprs_get(struct bv_vcpu *vcpu, struct bv_gprs *gprs)
{
	*gprs = vcpu->gprs;
}

void bv_vcpu_gprs_set(struct bv_vcpu *vcpu, const struct bv_gprs *gprs)
{
	vcpu->gprs = *gprs;
	vcpu->gprs.rflags |= BV_RFLAGS_ONE;
	wait_forget_if_moved(vcpu);
	vcpu->events.exception.pending = false;
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
}

void bv_vcpu_sregs_get(struct bv_vcpu *vcpu, struct bv_sregs *sregs)
{
	const struct bv_cpu_state *state = &vcpu->state;

	bv_vcpu_need(vcpu, BV_ST_SEGS | BV_ST_TABLES | BV_ST_CR);
	__builtin_memcpy(sregs->seg, state->seg, sizeof(sregs->seg));
	sregs->gdt = state->gdt;
	sregs->idt = state->idt;
	sregs->cr0 = state->cr0;
	sregs->cr2 = state->cr2;
	sregs->cr3 = state->cr3;
	sregs->cr4 = state->cr4;
	sregs->efer = state->efer;
	sregs->cr8 = bv_vcpu_cr8(vcpu);
	sregs->apic_base = bv_vcpu_apic_base(vcpu);
}

static int sregs_check(struct bv_vcpu *vcpu, const struct bv_sregs *sregs)
{
	struct bv_why *why = &vcpu->vm->why;
	bool paging = sregs->cr0 & BV_CR0_PG;

	if (!cr0_valid(sregs->cr0))
		return bv_refuse(why, BV_EINVAL,
				 "sregs: CR0 %#llx: reserved bits, PG without PE, or NW without CD",
				 sregs->cr0);
	if (sregs->cr4 & ~vcpu->caps.cr4)
		return bv_refuse(
			why, BV_EINVAL,
			"sregs: CR4 %#llx has bits that the vCPU's CPUID does not offer (%#llx)",
			sregs->cr4, sregs->cr4 & ~vcpu->caps.cr4);
	if (paging && sregs->efer & BV_EFER_LME) {
		if (!(sregs->cr4 & BV_CR4_PAE) || !(sregs->efer & BV_EFER_LMA))
			return bv_refuse(why, BV_EINVAL,
					 "sregs: paging with EFER.LME needs CR4.PAE and EFER.LMA "
					 "(EFER %#llx)",
					 sregs->efer);
		if (sregs->cr3 >> vcpu->caps.phys_bits && !(sregs->cr3 & BV_CR3_NOFLUSH))
			return bv_refuse(why, BV_EINVAL, "sregs: CR3 %#llx passes %u physical bits",
					 sregs->cr3, vcpu->caps.phys_bits);
	} else if (sregs->efer & BV_EFER_LMA || sregs->seg[BV_SEG_CS].attr & BV_SEG_L) {
		return bv_refuse(why, BV_EINVAL,
				 "sregs: EFER.LMA or CS.L without long mode (EFER %#llx)",
				 sregs->efer);
	}
	if (sregs->efer & BV_EFER_SVME && !vcpu->caps.svm)
		return bv_refuse(why, BV_EINVAL,
				 "sregs: EFER.SVME (%#llx) without SVM in the vCPU's CPUID",
				 sregs->efer);
	if (sregs->cr8 > 15)
		return bv_refuse(why, BV_EINVAL, "sregs: CR8 %#llx: above 15", sregs->cr8);
	return 0;
}

int bv_vcpu_sregs_set(struct bv_vcpu *vcpu, const struct bv_sregs *sregs)
{
	struct bv_cpu_state *state = &vcpu->state;
	int error = sregs_check(vcpu, sregs);

	if (error)
		return error;
	if (vcpu->vm->intc &&
	    vcpu->vm->intc->msr_write(vcpu, 0x1b, sregs->apic_base, true) == BV_ACCESS_FAULT)
		return bv_refuse(&vcpu->vm->why, BV_EINVAL,
				 "sregs: APIC base %#llx is no state of an APIC", sregs->apic_base);
	if (!(sregs->efer & BV_EFER_SVME))
		bv_nested_off(vcpu);
	bv_vcpu_touch(vcpu, BV_ST_SEGS | BV_ST_TABLES | BV_ST_CR);
	__builtin_memcpy(state->seg, sregs->seg, sizeof(sregs->seg));
	state->gdt = sregs->gdt;
	state->idt = sregs->idt;
	state->cr0 = sregs->cr0 | BV_CR0_ET;
	state->cr2 = sregs->cr2;
	state->cr3 = sregs->cr3;
	state->cr4 = sregs->cr4;
	state->efer = sregs->efer;
	bv_vcpu_set_cr8(vcpu, sregs->cr8);
	/* An application processor that user space starts itself, without SIPI. */
	if (bv_vcpu_is_bsp(vcpu) && state->seg[BV_SEG_CS].sel == 0xf000 &&
	    vcpu->gprs.rip == 0xfff0 && !(state->cr0 & BV_CR0_PE))
		vcpu->mp_state = BV_MP_RUNNABLE;
	bv_vendor->tlb_flush(vcpu);
	bv_vcpu_request(vcpu, BV_REQ_RELOAD);
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
	return 0;
}

void bv_vcpu_debugregs_get(struct bv_vcpu *vcpu, struct bv_debugregs *debugregs)
{
	bv_vcpu_need(vcpu, BV_ST_DR);
	__builtin_memcpy(debugregs->db, vcpu->db, sizeof(debugregs->db));
	debugregs->dr6 = vcpu->state.dr6;
	debugregs->dr7 = vcpu->state.dr7;
}

int bv_vcpu_debugregs_set(struct bv_vcpu *vcpu, const struct bv_debugregs *debugregs)
{
	if (debugregs->dr6 >> 32 || debugregs->dr7 >> 32)
		return bv_refuse(&vcpu->vm->why, BV_EINVAL,
				 "debug registers: DR6 %#llx or DR7 %#llx has high bits",
				 debugregs->dr6, debugregs->dr7);
	bv_vcpu_touch(vcpu, BV_ST_DR);
	__builtin_memcpy(vcpu->db, debugregs->db, sizeof(vcpu->db));
	vcpu->state.dr6 = debugregs->dr6 | BV_DR6_FIXED_ONES;
	vcpu->state.dr7 = debugregs->dr7 | BV_DR7_FIXED_ONES;
	bv_vcpu_request(vcpu, BV_REQ_RELOAD);
	return 0;
}

void bv_vcpu_events_get(struct bv_vcpu *vcpu, struct bv_events *events)
{
	*events = vcpu->events;
	events->nmi.pending += __atomic_load_n(&vcpu->nmi_queued, __ATOMIC_RELAXED);
	events->interrupt.shadow = bv_vendor->shadow_get(vcpu);
	events->sipi_vector = vcpu->sipi_vector;
	events->triple_fault = vcpu->requests & 1u << BV_REQ_TRIPLE_FAULT;
}

int bv_vcpu_events_set(struct bv_vcpu *vcpu, const struct bv_events *events)
{
	if ((events->exception.pending || events->exception.injected) &&
	    (events->exception.vector > 31 || events->exception.vector == BV_EXC_NMI))
		return bv_refuse(&vcpu->vm->why, BV_EINVAL, "events: %u is no exception's vector",
				 events->exception.vector);
	vcpu->events = *events;
	vcpu->sipi_vector = events->sipi_vector & 0xff;
	__atomic_store_n(&vcpu->nmi_queued, 0, __ATOMIC_RELAXED);
	vcpu->nmi_iret = false;
	bv_vendor->shadow_set(vcpu, events->interrupt.shadow);
	/* An instruction that waits for user space may still have to end it. */
	vcpu->exit.shadow = true;
	if (events->triple_fault)
		bv_vcpu_request(vcpu, BV_REQ_TRIPLE_FAULT);
	bv_vcpu_request(vcpu, BV_REQ_SOFT_IRQ);
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
	return 0;
}

enum bv_mp_state bv_vcpu_mp_get(struct bv_vcpu *vcpu)
{
	return vcpu->mp_state;
}

int bv_vcpu_mp_set(struct bv_vcpu *vcpu, enum bv_mp_state state)
{
	if (!vcpu->vm->intc && state != BV_MP_RUNNABLE)
		return bv_refuse(&vcpu->vm->why, BV_EINVAL,
				 "MP state %u: without local APICs here all vCPUs are runnable",
				 state);
	if (state == BV_MP_SIPI_RECEIVED) {
		vcpu->mp_state = BV_MP_INIT_RECEIVED;
		bv_vcpu_request(vcpu, BV_REQ_SIPI);
	} else {
		vcpu->mp_state = state;
	}
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
	return 0;
}

u64 bv_vcpu_xcr0_get(struct bv_vcpu *vcpu)
{
	return vcpu->xcr0;
}

int bv_vcpu_xcr0_set(struct bv_vcpu *vcpu, u64 xcr0)
{
	if (!bv_vcpu_xcr0_write(vcpu, xcr0))
		return bv_refuse(&vcpu->vm->why, BV_EINVAL,
				 "XCR0 %#llx: the vCPU's CPUID allows %#llx", xcr0,
				 vcpu->caps.xcr0);
	return 0;
}

u32 bv_vcpu_pkru_get(const struct bv_vcpu *vcpu)
{
	return vcpu->pkru;
}

void bv_vcpu_pkru_set(struct bv_vcpu *vcpu, u32 pkru)
{
	vcpu->pkru = pkru;
}

u64 bv_vcpu_cr8(struct bv_vcpu *vcpu)
{
	return vcpu->cr8;
}

void bv_vcpu_set_cr8(struct bv_vcpu *vcpu, u64 cr8)
{
	if (vcpu->vm->intc)
		vcpu->vm->intc->cr8_set(vcpu, cr8 & 15);
	else
		vcpu->cr8 = cr8 & 15;
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
}

u64 bv_vcpu_apic_base(struct bv_vcpu *vcpu)
{
	return vcpu->vm->intc ? vcpu->vm->intc->apic_base(vcpu) :
				0xfee00800ull | (bv_vcpu_is_bsp(vcpu) ? 0x100 : 0);
}

int bv_vcpu_guest_debug(struct bv_vcpu *vcpu, const struct bv_guest_debug *debug)
{
	if ((debug->inject_db || debug->inject_bp) && vcpu->events.exception.pending)
		return bv_refuse(&vcpu->vm->why, BV_EBUSY,
				 "guest debug: an exception is pending already");
	/*
	 * The hardware's DR7 was the debugger's while hard breakpoints were on: give the guest's
	 * own back.
	 */
	bv_vcpu_touch(vcpu, BV_ST_DR);
	if (vcpu->debug.hard_breakpoints)
		vcpu->state.dr7 = vcpu->debug_guest_dr7;
	if (debug->hard_breakpoints)
		vcpu->debug_guest_dr7 = vcpu->state.dr7;
	vcpu->debug = *debug;
	if (debug->inject_db)
		bv_event_raise(vcpu, BV_EXC_DB, false, 0, 0);
	else if (debug->inject_bp)
		bv_event_raise(vcpu, BV_EXC_BP, false, 0, 0);
	bv_vcpu_request(vcpu, BV_REQ_RELOAD);
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
	return 0;
}

/* ---- CPUID ---- */

static bool leaf_bit(struct bv_vcpu *vcpu, u32 leaf, enum bv_cpuid_register reg, unsigned int bit)
{
	struct bv_cpuid_live facts = { 0 };
	u32 out[4];

	bv_cpuid_lookup(vcpu->cpuid, vcpu->cpuid_count, leaf, 0, &facts, out);
	return out[reg] >> bit & 1;
}

/* CR4 and EFER bits that exist only with their CPUID bit. */
static const struct {
	u64 bit;
	bool efer;
	u8 reg, number;
	u32 leaf;
} optional_bits[] = {
	{ BV_CR4_LA57, false, BV_CPUID_ECX, 16, 7 },
	{ BV_CR4_FSGSBASE, false, BV_CPUID_EBX, 0, 7 },
	{ BV_CR4_PCIDE, false, BV_CPUID_ECX, 17, 1 },
	{ BV_CR4_OSXSAVE, false, BV_CPUID_ECX, 26, 1 },
	{ BV_CR4_SMEP, false, BV_CPUID_EBX, 7, 7 },
	{ BV_CR4_SMAP, false, BV_CPUID_EBX, 20, 7 },
	{ BV_CR4_PKE, false, BV_CPUID_ECX, 3, 7 },
	{ BV_CR4_UMIP, false, BV_CPUID_ECX, 2, 7 },
	{ BV_EFER_NXE, true, BV_CPUID_EDX, 20, 0x80000001 },
	{ BV_EFER_LME, true, BV_CPUID_EDX, 29, 0x80000001 },
	{ BV_EFER_SCE, true, BV_CPUID_EDX, 11, 0x80000001 },
	{ BV_EFER_FFXSR, true, BV_CPUID_EDX, 25, 0x80000001 },
	{ BV_EFER_SVME, true, BV_CPUID_ECX, 2, 0x80000001 },
};

static void caps_read(struct bv_vcpu *vcpu)
{
	struct bv_guest_caps *caps = &vcpu->caps;
	struct bv_cpuid_live facts = { 0 };
	u32 out[4];

	caps->cr4 = BV_CR4_VME | BV_CR4_PVI | BV_CR4_TSD | BV_CR4_DE | BV_CR4_PSE | BV_CR4_PAE |
		    BV_CR4_MCE | BV_CR4_PGE | BV_CR4_PCE | BV_CR4_OSFXSR | BV_CR4_OSXMMEXCPT;
	caps->efer = 0;
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(optional_bits); i++)
		if (leaf_bit(vcpu, optional_bits[i].leaf, optional_bits[i].reg,
			     optional_bits[i].number))
			*(optional_bits[i].efer ? &caps->efer : &caps->cr4) |= optional_bits[i].bit;
	caps->cr4 &= bv_vendor->cr4_supported();
	if (!vcpu->vm->nested)
		caps->efer &= ~BV_EFER_SVME;
	caps->svm = caps->efer & BV_EFER_SVME;
	bv_cpuid_lookup(vcpu->cpuid, vcpu->cpuid_count, 0xd, 0, &facts, out);
	caps->xcr0 = (out[BV_CPUID_EAX] | (u64)out[BV_CPUID_EDX] << 32) & bv_host_xcr0_supported();
	bv_cpuid_lookup(vcpu->cpuid, vcpu->cpuid_count, 0x80000008, 0, &facts, out);
	caps->phys_bits = out[BV_CPUID_EAX] & 0xff ? out[BV_CPUID_EAX] & 0xff : 36;
	bv_cpuid_lookup(vcpu->cpuid, vcpu->cpuid_count, 0, 0, &facts, out);
	/* "Auth"enticAMD, "Hygo"nGenuine */
	caps->amd = out[BV_CPUID_EBX] == 0x68747541 || out[BV_CPUID_EBX] == 0x6f677948;
	caps->x2apic = leaf_bit(vcpu, 1, BV_CPUID_ECX, 21);
	caps->tsc_deadline = leaf_bit(vcpu, 1, BV_CPUID_ECX, 24);
	caps->mtrr = leaf_bit(vcpu, 1, BV_CPUID_EDX, 12);
	caps->pat = leaf_bit(vcpu, 1, BV_CPUID_EDX, 16);
	caps->mce = leaf_bit(vcpu, 1, BV_CPUID_EDX, 7);
	caps->tsc_adjust = leaf_bit(vcpu, 7, BV_CPUID_EBX, 1);
	caps->invpcid = leaf_bit(vcpu, 7, BV_CPUID_EBX, 10);
	caps->rdtscp =
		leaf_bit(vcpu, 0x80000001, BV_CPUID_EDX, 27) || leaf_bit(vcpu, 7, BV_CPUID_ECX, 22);
}

int bv_vcpu_cpuid_set(struct bv_vcpu *vcpu, const struct bv_cpuid_leaf *leaves, unsigned int count)
{
	struct bv_cpuid_leaf *copy;
	u32 bad = 0;

	if (count > BV_CPUID_MAX)
		return bv_refuse(&vcpu->vm->why, BV_E2BIG, "CPUID: %u leaves, at most %u", count,
				 BV_CPUID_MAX);
	copy = bv_host_alloc((count ? count : 1) * sizeof(*copy));
	if (!copy)
		return -BV_ENOMEM;
	if (count)
		__builtin_memcpy(copy, leaves, count * sizeof(*copy));
	if (bv_cpuid_sort(copy, count, &bad)) {
		bv_host_free(copy);
		return bv_refuse(&vcpu->vm->why, BV_EINVAL,
				 "CPUID: leaf %#x is given twice, or with and without subleaves",
				 bad);
	}
	bv_host_free(vcpu->cpuid);
	vcpu->cpuid = copy;
	vcpu->cpuid_count = count;
	caps_read(vcpu);
	bv_vcpu_request(vcpu, BV_REQ_RELOAD);
	if (!vcpu->caps.svm || vcpu->nested || !bv_nested_init(vcpu))
		return 0;
	vcpu->caps.svm = false;
	vcpu->caps.efer &= ~BV_EFER_SVME;
	return -BV_ENOMEM;
}

void bv_cpuid_of(struct bv_vcpu *vcpu, u32 leaf, u32 subleaf, u32 out[4])
{
	struct bv_cpuid_live facts;

	bv_vcpu_need(vcpu, BV_ST_CR);
	facts.cr4 = vcpu->state.cr4;
	facts.xcr0 = vcpu->xcr0;
	facts.apic_base = bv_vcpu_apic_base(vcpu);
	bv_cpuid_lookup(vcpu->cpuid, vcpu->cpuid_count, leaf, subleaf, &facts, out);
}

unsigned int bv_vcpu_cpuid_get(struct bv_vcpu *vcpu, struct bv_cpuid_leaf *leaves, unsigned int max)
{
	unsigned int count = vcpu->cpuid_count < max ? vcpu->cpuid_count : max;

	if (count)
		__builtin_memcpy(leaves, vcpu->cpuid, count * sizeof(*leaves));
	return vcpu->cpuid_count;
}

/* ---- small questions ---- */

void *bv_vcpu_host(const struct bv_vcpu *vcpu)
{
	return vcpu->host;
}

struct bv_vm *bv_vcpu_vm(const struct bv_vcpu *vcpu)
{
	return vcpu->vm;
}

unsigned int bv_vcpu_index(const struct bv_vcpu *vcpu)
{
	return vcpu->index;
}

void bv_vcpu_set_pv(struct bv_vcpu *vcpu, void *data)
{
	vcpu->pv = data;
}

void *bv_vcpu_pv(const struct bv_vcpu *vcpu)
{
	return vcpu->pv;
}

void bv_vcpu_pv_request(struct bv_vcpu *vcpu)
{
	bv_vcpu_request(vcpu, BV_REQ_PV);
	bv_vcpu_kick(vcpu);
}

void bv_vcpu_pv_each_load(struct bv_vcpu *vcpu, bool each)
{
	vcpu->pv_each_load = each;
}

int bv_vcpu_mem_read(struct bv_vcpu *vcpu, u64 gpa, void *to, size_t bytes)
{
	return bv_mem_read_locked(vcpu->vm, vcpu, gpa, to, bytes);
}

int bv_vcpu_mem_write(struct bv_vcpu *vcpu, u64 gpa, const void *from, size_t bytes)
{
	return bv_mem_write_locked(vcpu->vm, vcpu, gpa, from, bytes);
}

u64 bv_vcpu_tsc_now(struct bv_vcpu *vcpu)
{
	return bv_vcpu_tsc(vcpu);
}

#define COUNTER_NAME(name, text) text,
static const char *const counter_names[] = { BV_EXITS(COUNTER_NAME) BV_COUNTS(COUNTER_NAME) };
BV_STATIC_ASSERT(BV_ARRAY_SIZE(counter_names) == BV_COUNTER_COUNT);

const char *bv_vcpu_counter(struct bv_vcpu *vcpu, unsigned int i, u64 *value)
{
	if (i >= BV_COUNTER_COUNT)
		return NULL;
	*value = BV_READ_ONCE(vcpu->counter[i]);
	return counter_names[i];
}

bool bv_vcpu_send_ipi(struct bv_vcpu *vcpu, u32 apic_id, u32 icr_low)
{
	return vcpu->vm->intc && vcpu->vm->intc->ipi(vcpu, apic_id, icr_low);
}

/* Spurious for the other one, if it does not wait: a HLT may always end. */
void bv_vcpu_wake_other(struct bv_vcpu *vcpu, u32 apic_id)
{
	struct bv_vcpu *other = bv_vm_vcpu(vcpu->vm, apic_id);

	if (!other)
		return;
	bv_vcpu_request(other, BV_REQ_UNHALT);
	bv_vcpu_kick(other);
}
