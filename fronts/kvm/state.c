// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Registers of a vCPU in KVM's layouts: general, segment and control, debug; events, processor
 * state, debugging, time and the small rest. All under the vCPU's lock. FPU and vector state is in
 * xstate.c, MSRs in msr.c, CPUID in cpuid.c.
 */
#include "front.h"

/* ---- general registers ---- */

/* KVM's order is not that of the encodings. */
#define FOR_EACH_GPR(X) \
	X(rax, BV_RAX)  \
	X(rbx, BV_RBX)  \
	X(rcx, BV_RCX)  \
	X(rdx, BV_RDX)  \
	X(rsi, BV_RSI)  \
	X(rdi, BV_RDI)  \
	X(rsp, BV_RSP)  \
	X(rbp, BV_RBP)  \
	X(r8, BV_R8)    \
	X(r9, BV_R9)    \
	X(r10, BV_R10)  \
	X(r11, BV_R11)  \
	X(r12, BV_R12)  \
	X(r13, BV_R13)  \
	X(r14, BV_R14)  \
	X(r15, BV_R15)

void bvk_regs_to_user(struct bvk_vcpu *vcpu, struct kvm_regs *regs)
{
	struct bv_gprs gprs;

	bv_vcpu_gprs_get(vcpu->vcpu, &gprs);
#define TO_USER(field, number) regs->field = gprs.gpr[number];
	FOR_EACH_GPR(TO_USER)
	regs->rip = gprs.rip;
	regs->rflags = gprs.rflags;
}

void bvk_regs_from_user(struct bvk_vcpu *vcpu, const struct kvm_regs *regs)
{
	struct bv_gprs gprs;

#define FROM_USER(field, number) gprs.gpr[number] = regs->field;
	FOR_EACH_GPR(FROM_USER)
	gprs.rip = regs->rip;
	gprs.rflags = regs->rflags | BV_RFLAGS_ONE;
	bv_vcpu_gprs_set(vcpu->vcpu, &gprs);
}

long bvk_get_regs(struct bvk_call *call)
{
	bvk_regs_to_user(call->vcpu, call->data);
	return 0;
}

long bvk_set_regs(struct bvk_call *call)
{
	bvk_regs_from_user(call->vcpu, call->data);
	return 0;
}

/* ---- segments and control registers ---- */

static void seg_to_user(const struct bv_seg *seg, struct kvm_segment *user)
{
	*user = (struct kvm_segment){
		.base = seg->base,
		.limit = seg->limit,
		.selector = seg->sel,
		.type = seg->attr & BV_SEG_TYPE,
		.s = !!(seg->attr & BV_SEG_S),
		.dpl = (seg->attr & BV_SEG_DPL) >> BV_SEG_DPL_SHIFT,
		.present = !!(seg->attr & BV_SEG_P),
		.avl = !!(seg->attr & BV_SEG_AVL),
		.l = !!(seg->attr & BV_SEG_L),
		.db = !!(seg->attr & BV_SEG_DB),
		.g = !!(seg->attr & BV_SEG_G),
		.unusable = !(seg->attr & BV_SEG_P),
	};
}

static void seg_from_user(struct bv_seg *seg, const struct kvm_segment *user)
{
	seg->base = user->base;
	seg->limit = user->limit;
	seg->sel = user->selector;
	seg->attr = (u16)((user->type & BV_SEG_TYPE) | (user->s ? BV_SEG_S : 0) |
			  ((user->dpl & 3u) << BV_SEG_DPL_SHIFT) |
			  (user->present && !user->unusable ? BV_SEG_P : 0) |
			  (user->avl ? BV_SEG_AVL : 0) | (user->l ? BV_SEG_L : 0) |
			  (user->db ? BV_SEG_DB : 0) | (user->g ? BV_SEG_G : 0));
}

#define FOR_EACH_SEG(X)  \
	X(cs, BV_SEG_CS) \
	X(ds, BV_SEG_DS) \
	X(es, BV_SEG_ES) \
	X(fs, BV_SEG_FS) \
	X(gs, BV_SEG_GS) \
	X(ss, BV_SEG_SS) \
	X(tr, BV_SEG_TR) \
	X(ldt, BV_SEG_LDTR)

/* kvm_sregs2 begins as kvm_sregs does; only what follows apic_base differs. */
BV_STATIC_ASSERT(offsetof(struct kvm_sregs, apic_base) == offsetof(struct kvm_sregs2, apic_base));
BV_STATIC_ASSERT(offsetof(struct kvm_sregs, interrupt_bitmap) ==
		 offsetof(struct kvm_sregs2, flags));

static void common_sregs_to_user(const struct bv_sregs *sregs, struct kvm_sregs *user)
{
#define SEG_TO_USER(field, number) seg_to_user(&sregs->seg[number], &user->field);
	FOR_EACH_SEG(SEG_TO_USER)
	user->gdt = (struct kvm_dtable){ .base = sregs->gdt.base, .limit = sregs->gdt.limit };
	user->idt = (struct kvm_dtable){ .base = sregs->idt.base, .limit = sregs->idt.limit };
	user->cr0 = sregs->cr0;
	user->cr2 = sregs->cr2;
	user->cr3 = sregs->cr3;
	user->cr4 = sregs->cr4;
	user->cr8 = sregs->cr8;
	user->efer = sregs->efer;
	user->apic_base = sregs->apic_base;
}

static void common_sregs_from_user(struct bv_sregs *sregs, const struct kvm_sregs *user)
{
#define SEG_FROM_USER(field, number) seg_from_user(&sregs->seg[number], &user->field);
	FOR_EACH_SEG(SEG_FROM_USER)
	sregs->gdt = (struct bv_desc_table){ .base = user->gdt.base, .limit = user->gdt.limit };
	sregs->idt = (struct bv_desc_table){ .base = user->idt.base, .limit = user->idt.limit };
	sregs->cr0 = user->cr0;
	sregs->cr2 = user->cr2;
	sregs->cr3 = user->cr3;
	sregs->cr4 = user->cr4;
	sregs->cr8 = user->cr8;
	sregs->efer = user->efer;
	sregs->apic_base = user->apic_base;
}

void bvk_sregs_to_user(struct bvk_vcpu *vcpu, struct kvm_sregs *user)
{
	struct bv_sregs sregs;
	struct bv_events events;

	bv_vcpu_sregs_get(vcpu->vcpu, &sregs);
	bv_vcpu_events_get(vcpu->vcpu, &events);
	common_sregs_to_user(&sregs, user);
	bvk_zero(user->interrupt_bitmap, sizeof(user->interrupt_bitmap));
	if (events.interrupt.injected && !events.interrupt.soft)
		user->interrupt_bitmap[events.interrupt.vector / 64] =
			BV_BIT(events.interrupt.vector % 64);
}

/* The lowest vector in the bitmap, or -1. */
static int bitmap_vector(const __u64 *bitmap)
{
	for (unsigned int word = 0; word < KVM_NR_INTERRUPTS / 64; word++)
		if (bitmap[word])
			return (int)(word * 64) + __builtin_ctzll(bitmap[word]);
	return -1;
}

int bvk_sregs_from_user(struct bvk_call *call, const struct kvm_sregs *user)
{
	struct bv_vcpu *vcpu = call->vcpu->vcpu;
	int vector = bitmap_vector(user->interrupt_bitmap);
	struct bv_events events;
	struct bv_sregs sregs;
	int error;

	common_sregs_from_user(&sregs, user);
	error = bv_vcpu_sregs_set(vcpu, &sregs);
	if (error || vector < 0)
		return error;
	bv_vcpu_events_get(vcpu, &events);
	events.interrupt.injected = true;
	events.interrupt.soft = false;
	events.interrupt.vector = (u8)vector;
	return bv_vcpu_events_set(vcpu, &events);
}

long bvk_get_sregs(struct bvk_call *call)
{
	bvk_sregs_to_user(call->vcpu, call->data);
	return 0;
}

long bvk_set_sregs(struct bvk_call *call)
{
	return bvk_sregs_from_user(call, call->data);
}

/*
 * PDPTRs are not state of the vCPU: AMD-V walks them in memory. They are not told, and not taken.
 */
long bvk_get_sregs2(struct bvk_call *call)
{
	struct kvm_sregs2 *user = call->data;
	struct kvm_sregs first;
	struct bv_sregs sregs;

	bv_vcpu_sregs_get(call->vcpu->vcpu, &sregs);
	common_sregs_to_user(&sregs, &first);
	bvk_zero(user, sizeof(*user));
	bvk_copy(user, &first, offsetof(struct kvm_sregs, interrupt_bitmap));
	return 0;
}

long bvk_set_sregs2(struct bvk_call *call)
{
	const struct kvm_sregs2 *user = call->data;
	struct kvm_sregs first;
	struct bv_sregs sregs;

	if (user->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return bvk_refuse(call, BV_EINVAL,
				  "flags = %#llx: only KVM_SREGS2_FLAGS_PDPTRS_VALID is known",
				  user->flags);
	bvk_copy(&first, user, offsetof(struct kvm_sregs, interrupt_bitmap));
	common_sregs_from_user(&sregs, &first);
	return bv_vcpu_sregs_set(call->vcpu->vcpu, &sregs);
}

long bvk_get_debugregs(struct bvk_call *call)
{
	struct kvm_debugregs *user = call->data;
	struct bv_debugregs regs;

	bv_vcpu_debugregs_get(call->vcpu->vcpu, &regs);
	bvk_zero(user, sizeof(*user));
	bvk_copy(user->db, regs.db, sizeof(user->db));
	user->dr6 = regs.dr6;
	user->dr7 = regs.dr7;
	return 0;
}

long bvk_set_debugregs(struct bvk_call *call)
{
	const struct kvm_debugregs *user = call->data;
	struct bv_debugregs regs = { .dr6 = user->dr6, .dr7 = user->dr7 };

	if (user->flags)
		return bvk_refuse(call, BV_EINVAL, "flags = %#llx: must be 0", user->flags);
	if (user->dr6 >> 32 || user->dr7 >> 32)
		return bvk_refuse(call, BV_EINVAL, "dr6 = %#llx, dr7 = %#llx: have 32 bits",
				  user->dr6, user->dr7);
	bvk_copy(regs.db, user->db, sizeof(regs.db));
	return bv_vcpu_debugregs_set(call->vcpu->vcpu, &regs);
}

/* ---- events ---- */

/*
 * Without KVM_CAP_EXCEPTION_PAYLOAD a pending exception is shown as injected: the ABI has no other
 * word for it, and its payload goes to the register before. With the capability the two are told
 * apart.
 */
static void exception_to_user(const struct bvk_vcpu *vcpu, const struct bv_events *events,
			      struct kvm_vcpu_events *user)
{
	bool payload = vcpu->vm->exception_payload;

	user->exception.injected =
		events->exception.injected || (!payload && events->exception.pending);
	user->exception.pending = payload && events->exception.pending;
	user->exception.nr = events->exception.vector;
	user->exception.has_error_code = events->exception.has_error;
	user->exception.error_code = events->exception.error;
	if (!payload)
		return;
	user->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	user->exception_has_payload = events->exception.has_payload;
	user->exception_payload = events->exception.payload;
}

void bvk_events_to_user(struct bvk_vcpu *vcpu, struct kvm_vcpu_events *user)
{
	struct bv_events events;

	if (!vcpu->vm->exception_payload)
		bv_vcpu_exception_payload(vcpu->vcpu);
	bv_vcpu_events_get(vcpu->vcpu, &events);
	bvk_zero(user, sizeof(*user));
	user->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	exception_to_user(vcpu, &events, user);
	user->interrupt.injected = events.interrupt.injected && !events.interrupt.soft;
	user->interrupt.nr = events.interrupt.vector;
	user->interrupt.shadow = events.interrupt.shadow;
	user->nmi.injected = events.nmi.injected;
	user->nmi.pending = events.nmi.pending;
	user->nmi.masked = events.nmi.masked;
	user->sipi_vector = events.sipi_vector;
	if (vcpu->vm->triple_fault_event) {
		user->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
		user->triple_fault.pending = events.triple_fault;
	}
}

static int check_events(struct bvk_call *call, const struct kvm_vcpu_events *user)
{
	u32 known = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
		    KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM;

	if (call->vm->exception_payload)
		known |= KVM_VCPUEVENT_VALID_PAYLOAD;
	if (call->vm->triple_fault_event)
		known |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	if (user->flags & ~known)
		return bvk_refuse(call, BV_EINVAL, "flags = %#x: only %#x are known here",
				  user->flags, known);
	if ((user->exception.injected || user->exception.pending) &&
	    (user->exception.nr > 31 || user->exception.nr == BV_EXC_NMI))
		return bvk_refuse(call, BV_EINVAL,
				  "exception.nr = %u: no exception has this vector",
				  user->exception.nr);
	if (call->vm->exception_payload && user->exception.injected && user->exception.pending)
		return bvk_refuse(call, BV_EINVAL,
				  "exception: injected and pending exclude each other");
	if ((user->flags & KVM_VCPUEVENT_VALID_SMM) &&
	    (user->smi.smm || user->smi.pending || user->smi.smm_inside_nmi))
		return bvk_refuse(call, BV_EINVAL, "smi: there is no system management mode");
	return 0;
}

static void exception_from_user(const struct bvk_vm *vm, const struct kvm_vcpu_events *user,
				struct bv_events *events)
{
	bool told = vm->exception_payload && (user->flags & KVM_VCPUEVENT_VALID_PAYLOAD);

	events->exception.injected = user->exception.injected;
	events->exception.pending = told && user->exception.pending;
	events->exception.vector = user->exception.nr;
	events->exception.has_error = user->exception.has_error_code;
	events->exception.error = user->exception.error_code;
	events->exception.has_payload = told && user->exception_has_payload;
	events->exception.payload = told ? user->exception_payload : 0;
}

int bvk_events_from_user(struct bvk_call *call, const struct kvm_vcpu_events *user)
{
	struct bv_vcpu *vcpu = call->vcpu->vcpu;
	struct bv_events events;
	int error = check_events(call, user);

	if (error)
		return error;
	bv_vcpu_events_get(vcpu, &events);
	exception_from_user(call->vm, user, &events);
	events.interrupt.injected = user->interrupt.injected;
	events.interrupt.vector = user->interrupt.nr;
	events.interrupt.soft = user->interrupt.soft;
	if (user->flags & KVM_VCPUEVENT_VALID_SHADOW)
		events.interrupt.shadow = user->interrupt.shadow;
	events.nmi.injected = user->nmi.injected;
	events.nmi.masked = user->nmi.masked;
	if (user->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		events.nmi.pending = user->nmi.pending > 2 ? 2 : user->nmi.pending;
	if (user->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR)
		events.sipi_vector = user->sipi_vector;
	if (user->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT)
		events.triple_fault = user->triple_fault.pending;
	return bv_vcpu_events_set(vcpu, &events);
}

long bvk_get_events(struct bvk_call *call)
{
	bvk_events_to_user(call->vcpu, call->data);
	return 0;
}

long bvk_set_events(struct bvk_call *call)
{
	return bvk_events_from_user(call, call->data);
}

long bvk_interrupt(struct bvk_call *call)
{
	const struct kvm_interrupt *interrupt = call->data;

	if (interrupt->irq >= KVM_NR_INTERRUPTS)
		return bvk_refuse(call, BV_EINVAL, "irq = %u: vectors end at 255", interrupt->irq);
	if (bv_irqchip_full(call->vm->vm))
		return bvk_refuse(call, BV_ENXIO,
				  "irq = %u: the VM's interrupt controllers are here",
				  interrupt->irq);
	return bv_vcpu_interrupt(call->vcpu->vcpu, (u8)interrupt->irq);
}

long bvk_nmi(struct bvk_call *call)
{
	bv_vcpu_nmi(call->vcpu->vcpu);
	return 0;
}

long bvk_setup_mce(struct bvk_call *call)
{
	u64 cap = *(const __u64 *)call->data, supported = bv_mce_supported();

	if (!(cap & 0xff) || (cap & 0xff) > (supported & 0xff) || (cap & ~supported & ~0xffULL))
		return bvk_refuse(call, BV_EINVAL,
				  "mcg_cap = %#llx: from one bank up to what %#llx has", cap,
				  supported);
	return bv_vcpu_mce_setup(call->vcpu->vcpu, cap);
}

long bvk_raise_mce(struct bvk_call *call)
{
	const struct kvm_x86_mce *user = call->data;
	const struct bv_mce mce = {
		.bank = user->bank,
		.status = user->status,
		.addr = user->addr,
		.misc = user->misc,
		.mcg_status = user->mcg_status,
	};

	return bv_vcpu_mce_raise(call->vcpu->vcpu, &mce);
}

/* ---- the local APIC, the processor's state ---- */

BV_STATIC_ASSERT(sizeof(struct bv_lapic_state) == sizeof(struct kvm_lapic_state));

long bvk_get_lapic(struct bvk_call *call)
{
	return bv_lapic_get(call->vcpu->vcpu, call->data);
}

long bvk_set_lapic(struct bvk_call *call)
{
	return bv_lapic_set(call->vcpu->vcpu, call->data);
}

static const u8 mp_states[] = {
	[BV_MP_RUNNABLE] = KVM_MP_STATE_RUNNABLE,
	[BV_MP_UNINITIALIZED] = KVM_MP_STATE_UNINITIALIZED,
	[BV_MP_INIT_RECEIVED] = KVM_MP_STATE_INIT_RECEIVED,
	[BV_MP_HALTED] = KVM_MP_STATE_HALTED,
	[BV_MP_SIPI_RECEIVED] = KVM_MP_STATE_SIPI_RECEIVED,
};

long bvk_get_mp_state(struct bvk_call *call)
{
	struct kvm_mp_state *user = call->data;

	user->mp_state = mp_states[bv_vcpu_mp_get(call->vcpu->vcpu)];
	return 0;
}

long bvk_set_mp_state(struct bvk_call *call)
{
	const struct kvm_mp_state *user = call->data;
	unsigned int state = 0;

	while (state < BV_ARRAY_SIZE(mp_states) && mp_states[state] != user->mp_state)
		state++;
	if (state == BV_ARRAY_SIZE(mp_states))
		return bvk_refuse(call, BV_EINVAL, "mp_state = %u: not one of this architecture",
				  user->mp_state);
	if (state != BV_MP_RUNNABLE && !bv_irqchip_present(call->vm->vm))
		return bvk_refuse(call, BV_EINVAL,
				  "mp_state = %u: without a local APIC here only runnable",
				  user->mp_state);
	return bv_vcpu_mp_set(call->vcpu->vcpu, (enum bv_mp_state)state);
}

/*
 * The VAPIC page is Windows XP's need and is not offered; QEMU clears its address at every reset
 * all the same.
 */
long bvk_set_vapic_addr(struct bvk_call *call)
{
	const struct kvm_vapic_addr *user = call->data;

	if (user->vapic_addr)
		return bvk_refuse(call, BV_EINVAL,
				  "vapic_addr = %#llx: KVM_CAP_VAPIC is not offered",
				  user->vapic_addr);
	return 0;
}

long bvk_tpr_reporting(struct bvk_call *call)
{
	const struct kvm_tpr_access_ctl *user = call->data;

	if (user->flags)
		return bvk_refuse(call, BV_EINVAL, "flags = %#x: must be 0", user->flags);
	if (user->enabled)
		return bvk_refuse(call, BV_EINVAL, "enabled = %u: KVM_CAP_VAPIC is not offered",
				  user->enabled);
	return 0;
}

/* ---- time ---- */

long bvk_vcpu_set_tsc_khz(struct bvk_call *call)
{
	u32 khz = call->arg ? (u32)call->arg : bv_host_tsc_khz();

	if (call->arg >> 32)
		return bvk_refuse(call, BV_EINVAL, "%llu kHz: more than 32 bits", call->arg);
	return bv_vcpu_set_tsc_khz(call->vcpu->vcpu, khz);
}

long bvk_vcpu_get_tsc_khz(struct bvk_call *call)
{
	return bv_vcpu_tsc_khz(call->vcpu->vcpu);
}

long bvk_has_vcpu_attr(struct bvk_call *call)
{
	const struct kvm_device_attr *attr = call->data;

	if (attr->group != KVM_VCPU_TSC_CTRL || attr->attr != KVM_VCPU_TSC_OFFSET)
		return bvk_refuse(call, BV_ENXIO,
				  "group = %u, attr = %llu: there is only the TSC's offset",
				  attr->group, attr->attr);
	return 0;
}

long bvk_get_vcpu_attr(struct bvk_call *call)
{
	const struct kvm_device_attr *attr = call->data;
	s64 offset = bv_vcpu_tsc_offset_get(call->vcpu->vcpu);
	long error = bvk_has_vcpu_attr(call);

	if (error)
		return error;
	if (bv_host_copy_out(attr->addr, &offset, sizeof(offset)))
		return bvk_refuse(call, BV_EFAULT, "addr = %#llx: not the caller's memory",
				  attr->addr);
	return 0;
}

long bvk_set_vcpu_attr(struct bvk_call *call)
{
	const struct kvm_device_attr *attr = call->data;
	long error = bvk_has_vcpu_attr(call);
	s64 offset;

	if (error)
		return error;
	if (bv_host_copy_in(&offset, attr->addr, sizeof(offset)))
		return bvk_refuse(call, BV_EFAULT, "addr = %#llx: not the caller's memory",
				  attr->addr);
	bv_vcpu_tsc_offset_set(call->vcpu->vcpu, offset);
	return 0;
}

/* ---- debugging ---- */

long bvk_translate(struct bvk_call *call)
{
	struct kvm_translation *user = call->data;
	bool writable = false, user_mode = false;
	u64 gpa = ~0ULL;
	bool valid = !bv_vcpu_translate(call->vcpu->vcpu, user->linear_address, &gpa, &writable,
					&user_mode);

	user->physical_address = valid ? gpa : ~0ULL;
	user->valid = valid;
	user->writeable = writable;
	user->usermode = user_mode;
	return 0;
}

static int check_debug(struct bvk_call *call, u32 control)
{
	const u32 known = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP |
			  KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP |
			  KVM_GUESTDBG_BLOCKIRQ;
	struct bv_events events;

	if (control & ~known)
		return bvk_refuse(call, BV_EINVAL, "control = %#x: only %#x are known", control,
				  known);
	if (!(control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)))
		return 0;
	bv_vcpu_events_get(call->vcpu->vcpu, &events);
	if (events.exception.pending || events.exception.injected)
		return bvk_refuse(call, BV_EBUSY,
				  "control = %#x: exception %u is on its way already", control,
				  events.exception.vector);
	return 0;
}

long bvk_set_guest_debug(struct bvk_call *call)
{
	const struct kvm_guest_debug *user = call->data;
	u32 control = user->control;
	struct bv_guest_debug debug = {
		.enabled = control & KVM_GUESTDBG_ENABLE,
		.single_step = control & KVM_GUESTDBG_SINGLESTEP,
		.soft_breakpoints = control & KVM_GUESTDBG_USE_SW_BP,
		.hard_breakpoints = control & KVM_GUESTDBG_USE_HW_BP,
		.inject_db = control & KVM_GUESTDBG_INJECT_DB,
		.inject_bp = control & KVM_GUESTDBG_INJECT_BP,
		.block_irq = control & KVM_GUESTDBG_BLOCKIRQ,
		.dr7 = user->arch.debugreg[7],
	};
	int error = check_debug(call, control);

	if (error)
		return error;
	bvk_copy(debug.db, user->arch.debugreg, sizeof(debug.db));
	return bv_vcpu_guest_debug(call->vcpu->vcpu, &debug);
}
