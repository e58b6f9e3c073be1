// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * KVM_RUN: from the run page into the engine, and from the engine's reason to return back to the
 * run page.
 *
 * The run page is shared with user space, which may change any word of it at any moment from
 * another thread. So every word is read once, and what the engine works with (vcpu->run) is a copy
 * of ours.
 *
 * A port, MMIO or MSR access takes two calls: the first returns with the request in the run page,
 * the second brings the answer (data for reads, the error flag for MSRs) and completes the guest's
 * instruction.
 */
#include "front.h"

/*
 * The byte before padding1: newer kernel headers hide its name from kernel code, so that it is not
 * read carelessly.
 */
#define IMMEDIATE_EXIT_OFFSET (offsetof(struct kvm_run, padding1) - 1)
BV_STATIC_ASSERT(IMMEDIATE_EXIT_OFFSET == offsetof(struct kvm_run, request_interrupt_window) + 1);
BV_STATIC_ASSERT(sizeof(struct kvm_run) <= BV_PAGE_SIZE);

static bool immediate_exit(const struct kvm_run *page)
{
	return BV_READ_ONCE(((const u8 *)page)[IMMEDIATE_EXIT_OFFSET]);
}

/* ---- into the engine ---- */

/* The answer to what the last return asked. */
static void take_answer(struct bvk_vcpu *vcpu)
{
	const struct kvm_run *page = vcpu->page;
	struct bv_run *run = &vcpu->run;

	if (!vcpu->answer_due)
		return;
	vcpu->answer_due = false;
	switch (run->reason) {
	case BV_RUN_MMIO:
		if (!run->mmio.write)
			bvk_copy(run->mmio.data, page->mmio.data, sizeof(run->mmio.data));
		break;
	case BV_RUN_MSR_READ:
		run->msr.data = BV_READ_ONCE(page->msr.data);
		run->msr.error = BV_READ_ONCE(page->msr.error);
		break;
	case BV_RUN_MSR_WRITE:
		run->msr.error = BV_READ_ONCE(page->msr.error);
		break;
	default:
		break;
	}
}

static int take_dirty_registers(struct bvk_call *call)
{
	struct kvm_run *page = call->vcpu->page;
	const struct kvm_sync_regs *regs = &page->s.regs;
	u64 dirty = BV_READ_ONCE(page->kvm_dirty_regs);
	union {
		struct kvm_regs regs;
		struct kvm_sregs sregs;
		struct kvm_vcpu_events events;
	} copy;
	int error = 0;

	if (dirty & KVM_SYNC_X86_REGS) {
		bvk_copy(&copy.regs, &regs->regs, sizeof(copy.regs));
		bvk_regs_from_user(call->vcpu, &copy.regs);
	}
	if (dirty & KVM_SYNC_X86_SREGS) {
		bvk_copy(&copy.sregs, &regs->sregs, sizeof(copy.sregs));
		error = bvk_sregs_from_user(call, &copy.sregs);
	}
	if (!error && (dirty & KVM_SYNC_X86_EVENTS)) {
		bvk_copy(&copy.events, &regs->events, sizeof(copy.events));
		error = bvk_events_from_user(call, &copy.events);
	}
	page->kvm_dirty_regs = 0;
	return error;
}

static int check_register_sets(struct bvk_call *call)
{
	const struct kvm_run *page = call->vcpu->page;
	u64 known = KVM_SYNC_X86_VALID_FIELDS;
	u64 valid = BV_READ_ONCE(page->kvm_valid_regs), dirty = BV_READ_ONCE(page->kvm_dirty_regs);

	if (valid & ~known)
		return bvk_refuse(call, BV_EINVAL, "kvm_valid_regs = %#llx: only %#llx are known",
				  valid, known);
	if (dirty & ~known)
		return bvk_refuse(call, BV_EINVAL, "kvm_dirty_regs = %#llx: only %#llx are known",
				  dirty, known);
	return 0;
}

static int prepare(struct bvk_call *call)
{
	struct bvk_vcpu *vcpu = call->vcpu;
	struct kvm_run *page = vcpu->page;
	int error = bvk_no_argument(call);

	if (!error)
		error = check_register_sets(call);
	if (!error && page->kvm_dirty_regs)
		error = take_dirty_registers(call);
	if (error)
		return error;
	if (!bv_irqchip_present(vcpu->vm->vm))
		bv_vcpu_set_cr8(vcpu->vcpu, BV_READ_ONCE(page->cr8) & 0xf);
	take_answer(vcpu);
	vcpu->run.irq_window_wanted = BV_READ_ONCE(page->request_interrupt_window);
	vcpu->run.immediate_exit = immediate_exit(page);
	return 0;
}

/* ---- back from the engine: one function a reason ---- */

static long exit_intr(struct bvk_vcpu *vcpu)
{
	vcpu->page->exit_reason = KVM_EXIT_INTR;
	return -BV_EINTR;
}

static long exit_io(struct bvk_vcpu *vcpu)
{
	struct kvm_run *page = vcpu->page;
	const struct bv_run *run = &vcpu->run;

	page->exit_reason = KVM_EXIT_IO;
	page->io.direction = run->io.write ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
	page->io.size = run->io.size;
	page->io.port = run->io.port;
	page->io.count = run->io.count;
	page->io.data_offset = KVM_PIO_PAGE_OFFSET * BV_PAGE_SIZE;
	vcpu->answer_due = true;
	return 0;
}

static long exit_mmio(struct bvk_vcpu *vcpu)
{
	struct kvm_run *page = vcpu->page;
	const struct bv_run *run = &vcpu->run;

	page->exit_reason = KVM_EXIT_MMIO;
	page->mmio.phys_addr = run->mmio.gpa;
	page->mmio.len = run->mmio.len;
	page->mmio.is_write = run->mmio.write;
	bvk_copy(page->mmio.data, run->mmio.data, sizeof(page->mmio.data));
	vcpu->answer_due = true;
	return 0;
}

static long exit_halted(struct bvk_vcpu *vcpu)
{
	vcpu->page->exit_reason = KVM_EXIT_HLT;
	return 0;
}

static long exit_shutdown(struct bvk_vcpu *vcpu)
{
	vcpu->page->exit_reason = KVM_EXIT_SHUTDOWN;
	return 0;
}

static long exit_irq_window(struct bvk_vcpu *vcpu)
{
	vcpu->page->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	return 0;
}

static long exit_eoi(struct bvk_vcpu *vcpu)
{
	vcpu->page->exit_reason = KVM_EXIT_IOAPIC_EOI;
	vcpu->page->eoi.vector = vcpu->run.vector;
	return 0;
}

static long exit_debug(struct bvk_vcpu *vcpu)
{
	struct kvm_debug_exit_arch *debug = &vcpu->page->debug.arch;
	const struct bv_run *run = &vcpu->run;

	vcpu->page->exit_reason = KVM_EXIT_DEBUG;
	debug->exception = run->debug.vector;
	debug->pc = run->debug.pc;
	debug->dr6 = run->debug.dr6;
	debug->dr7 = run->debug.dr7;
	return 0;
}

static long exit_tpr(struct bvk_vcpu *vcpu)
{
	vcpu->page->exit_reason = KVM_EXIT_SET_TPR;
	return 0;
}

static u32 msr_reason_to_user(u8 why)
{
	return (why & BV_MSR_FILTERED ? KVM_MSR_EXIT_REASON_FILTER : 0) |
	       (why & BV_MSR_UNKNOWN ? KVM_MSR_EXIT_REASON_UNKNOWN : 0) |
	       (why & BV_MSR_INVALID ? KVM_MSR_EXIT_REASON_INVAL : 0);
}

static long exit_msr(struct bvk_vcpu *vcpu)
{
	struct kvm_run *page = vcpu->page;
	const struct bv_run *run = &vcpu->run;
	bool write = run->reason == BV_RUN_MSR_WRITE;

	page->exit_reason = write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR;
	page->msr.error = 0;
	bvk_zero(page->msr.pad, sizeof(page->msr.pad));
	page->msr.reason = msr_reason_to_user(run->msr.why);
	page->msr.index = run->msr.index;
	page->msr.data = write ? run->msr.data : 0;
	vcpu->answer_due = true;
	return 0;
}

static long exit_ring_full(struct bvk_vcpu *vcpu)
{
	vcpu->page->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
	return 0;
}

static long exit_entry_failed(struct bvk_vcpu *vcpu)
{
	vcpu->page->exit_reason = KVM_EXIT_FAIL_ENTRY;
	vcpu->page->fail_entry.hardware_entry_failure_reason = vcpu->run.fail_code;
	vcpu->page->fail_entry.cpu = 0;
	return 0;
}

static long exit_internal(struct bvk_vcpu *vcpu)
{
	bool dead = vcpu->run.reason == BV_RUN_DEAD;

	vcpu->page->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	vcpu->page->internal.suberror =
		dead ? KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON : KVM_INTERNAL_ERROR_EMULATION;
	vcpu->page->internal.ndata = 0;
	return 0;
}

static long (*const exits[])(struct bvk_vcpu *vcpu) = {
	[BV_RUN_INTERRUPTED] = exit_intr,
	[BV_RUN_IO] = exit_io,
	[BV_RUN_MMIO] = exit_mmio,
	[BV_RUN_HALTED] = exit_halted,
	[BV_RUN_SHUTDOWN] = exit_shutdown,
	[BV_RUN_IRQ_WINDOW] = exit_irq_window,
	[BV_RUN_EOI] = exit_eoi,
	[BV_RUN_DEBUG] = exit_debug,
	[BV_RUN_TPR] = exit_tpr,
	[BV_RUN_MSR_READ] = exit_msr,
	[BV_RUN_MSR_WRITE] = exit_msr,
	[BV_RUN_HYPERCALL] = exit_internal, /* does not come: pv.c answers all */
	[BV_RUN_DIRTY_RING_FULL] = exit_ring_full,
	[BV_RUN_ENTRY_FAILED] = exit_entry_failed,
	[BV_RUN_INTERNAL] = exit_internal,
	[BV_RUN_DEAD] = exit_internal,
};

static void give_registers(struct bvk_vcpu *vcpu)
{
	struct kvm_run *page = vcpu->page;
	u64 valid = BV_READ_ONCE(page->kvm_valid_regs);

	if (valid & KVM_SYNC_X86_REGS)
		bvk_regs_to_user(vcpu, &page->s.regs.regs);
	if (valid & KVM_SYNC_X86_SREGS)
		bvk_sregs_to_user(vcpu, &page->s.regs.sregs);
	if (valid & KVM_SYNC_X86_EVENTS)
		bvk_events_to_user(vcpu, &page->s.regs.events);
}

/* Facts that go with every return. */
static void give_facts(struct bvk_vcpu *vcpu)
{
	struct kvm_run *page = vcpu->page;

	page->if_flag = bv_vcpu_if_flag(vcpu->vcpu);
	page->flags = 0;
	page->cr8 = bv_vcpu_cr8(vcpu->vcpu);
	page->apic_base = bv_vcpu_apic_base(vcpu->vcpu);
	page->ready_for_interrupt_injection =
		bv_irqchip_full(vcpu->vm->vm) || bv_vcpu_irq_open(vcpu->vcpu);
	if (BV_READ_ONCE(page->kvm_valid_regs))
		give_registers(vcpu);
}

static long run_vcpu(struct bvk_call *call)
{
	struct bvk_vcpu *vcpu = call->vcpu;
	long result = prepare(call);

	if (result)
		return result;
	bv_vcpu_run(vcpu->vcpu, &vcpu->run);
	result = exits[vcpu->run.reason](vcpu);
	give_facts(vcpu);
	return result;
}

long bvk_run(struct bvk_call *call)
{
	struct bvk_vcpu *vcpu = call->vcpu;
	u64 old_mask;
	long result;

	if (!vcpu->masks_signals)
		return run_vcpu(call);
	bvk_host_signals_swap(&vcpu->signal_mask, &old_mask);
	result = run_vcpu(call);
	bvk_host_signals_restore(&old_mask);
	return result;
}

/* An argument of 0 ends the masking. */
long bvk_set_signal_mask(struct bvk_call *call)
{
	struct bvk_vcpu *vcpu = call->vcpu;
	u64 set_at = call->arg + offsetof(struct kvm_signal_mask, sigset);
	struct kvm_signal_mask head;
	u64 mask;

	if (!call->arg) {
		vcpu->masks_signals = false;
		return 0;
	}
	if (bv_host_copy_in(&head, call->arg, sizeof(head)))
		return bvk_copy_failed(call, "the argument");
	if (head.len != BVK_SIGSET_BYTES)
		return bvk_refuse(call, BV_EINVAL, "len = %u: a signal set has %u bytes", head.len,
				  BVK_SIGSET_BYTES);
	if (bv_host_copy_in(&mask, set_at, sizeof(mask)))
		return bvk_copy_failed(call, "the signal set");
	vcpu->signal_mask = mask;
	vcpu->masks_signals = true;
	return 0;
}
