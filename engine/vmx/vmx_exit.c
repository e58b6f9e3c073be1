/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * From the VMCS's exit to the neutral record. Manual: volume 3, 24.9 and 27.2 (what an exit tells),
 * appendix C (reasons), 27.2.4 (events under delivery).
 */
#include "vmx/vmx.h"

/* The reasons, as core/exit.h knows them. */
static const struct {
	u8 kind;
	bool length;
} reasons[VMX_REASON_COUNT] = {
#define REASON_ROW(name, number, kind, length, text) [number] = { BV_EXIT_##kind, length },
	VMX_REASONS(REASON_ROW)
};

static enum bv_exit_kind reason_kind(u32 reason)
{
	/* There are numbers that the manual leaves out. */
	return vmx_reason_name(reason) ? reasons[reason].kind : BV_EXIT_UNKNOWN;
}

static void exit_fault(struct bv_exit *exit, u64 qualification)
{
	exit->fault.gpa = vmx_read(VMCS_GUEST_PHYSICAL);
	exit->fault.write = qualification & VMX_Q_EPT_WRITE;
	exit->fault.fetch = qualification & VMX_Q_EPT_FETCH;
	exit->fault.present = qualification & VMX_Q_EPT_RIGHTS;
	exit->fault.user = false;
	exit->fault.table_walk =
		qualification & VMX_Q_EPT_LINEAR && !(qualification & VMX_Q_EPT_FINAL);
}

static void exit_port(struct bv_exit *exit, u64 qualification)
{
	exit->port.port = qualification >> VMX_Q_IO_PORT_SHIFT;
	exit->port.bytes = (qualification & VMX_Q_IO_BYTES) + 1;
	exit->port.in = qualification & VMX_Q_IO_IN;
	exit->port.string = qualification & VMX_Q_IO_STRING;
}

/*
 * A #DB that exits has changed neither DR6 nor DR7 (27.2.1): the qualification has what would be
 * in DR6. INT1 comes before its instruction, though it is a trap.
 */
static void exit_debug(struct bv_vcpu *vcpu, struct vmx_vcpu *own, u32 event)
{
	u64 qualification = vmx_read(VMCS_QUALIFICATION);

	if ((event >> VMX_EVENT_TYPE_SHIFT & VMX_EVENT_TYPE) == VMX_EVENT_ICEBP) {
		vcpu->gprs.rip += vmx_read(VMCS_EXIT_LENGTH);
		return;
	}
	own->dr6 &= ~(u64)VMX_Q_DEBUG_TRAPS;
	own->dr6 |= qualification & (VMX_Q_DEBUG_TRAPS | VMX_Q_DEBUG_BD | VMX_Q_DEBUG_BS);
	if (qualification & VMX_Q_DEBUG_BD) {
		own->dr7 &= ~BV_DR7_GD;
		vmx_write(VMCS_GUEST_DR7, own->dr7);
	}
}

/* NMIs and machine checks are the host's: its own handlers are called, as if no guest had been. */
static void exit_exception(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	struct bv_exit *exit = &vcpu->exit;
	u32 event = vmx_read(VMCS_EXIT_EVENT);

	exit->exception.vector = event & VMX_EVENT_VECTOR;
	exit->exception.has_error = event & VMX_EVENT_HAS_ERROR;
	exit->exception.error = exit->exception.has_error ? vmx_read(VMCS_EXIT_ERROR) : 0;
	exit->exception.address = 0;
	if ((event >> VMX_EVENT_TYPE_SHIFT & VMX_EVENT_TYPE) == VMX_EVENT_NMI) {
		exit->kind = BV_EXIT_HOST;
		__asm__ volatile("int $2" : : : "memory");
		return;
	}
	if (exit->exception.vector == BV_EXC_MC)
		__asm__ volatile("int $18" : : : "memory");
	if (exit->exception.vector == BV_EXC_DB)
		exit_debug(vcpu, own, event);
	/* An IRET that faults has let NMIs in already, which its second try must find masked. */
	if (event & VMX_EVENT_NMI_UNBLOCKED && !exit->vectoring.kind &&
	    exit->exception.vector != BV_EXC_DF)
		own->blocking |= VMX_BLOCKING_NMI;
}

/*
 * An event whose delivery did not finish. INT n, INT3, INTO and INT1 are not among them: RIP still
 * points to the instruction, which raises the event again when the guest goes on.
 */
static void exit_vectoring(struct bv_vcpu *vcpu, struct vmx_vcpu *own, u32 info)
{
	struct bv_exit *exit = &vcpu->exit;

	exit->vectoring.vector = info & VMX_EVENT_VECTOR;
	exit->vectoring.has_error = info & VMX_EVENT_HAS_ERROR;
	exit->vectoring.error = exit->vectoring.has_error ? vmx_read(VMCS_VECTORING_ERROR) : 0;
	switch (info >> VMX_EVENT_TYPE_SHIFT & VMX_EVENT_TYPE) {
	case VMX_EVENT_IRQ:
		exit->vectoring.kind = BV_VECTORING_IRQ;
		break;
	case VMX_EVENT_NMI:
		exit->vectoring.kind = BV_VECTORING_NMI;
		own->blocking |= VMX_BLOCKING_NMI;
		break;
	case VMX_EVENT_EXCEPTION:
		exit->vectoring.kind = BV_VECTORING_EXCEPTION;
		break;
	default:
		break;
	}
}

/* ---- entries that failed ---- */

struct explanation {
	struct bv_vcpu *vcpu;
};

static u64 explain_read(void *arg, u32 field)
{
	(void)arg;
	return vmx_read(field);
}

static void explain_broken(void *arg, const char *rule, u64 value)
{
	struct explanation *explanation = arg;

	bv_refuse(&explanation->vcpu->vm->why, BV_EIO, "VM entry: %s (%#llx)", rule, value);
}

static void entry_failed(struct bv_vcpu *vcpu, bool at_once, u32 reason)
{
	struct explanation explanation = { vcpu };
	struct bv_exit *exit = &vcpu->exit;
	u32 error = at_once ? vmx_read(VMCS_INSTRUCTION_ERROR) : 0;

	exit->kind = BV_EXIT_ENTRY_FAILED;
	exit->raw.code = at_once ? error : reason;
	exit->raw.info1 = at_once ? 0 : vmx_read(VMCS_QUALIFICATION);
	exit->raw.info2 = 0;
	bv_refuse(&vcpu->vm->why, BV_EIO, "VM entry failed: %s",
		  at_once ? vmx_error_name(error) : vmx_reason_name(reason & 0xffff));
	if (!vmx_check(&vmx.caps, explain_read, explain_broken, &explanation))
		bv_refuse(&vcpu->vm->why, BV_EIO, "VM entry: no check is known that it breaks");
}

static void exit_raw(struct bv_vcpu *vcpu, u32 reason)
{
	struct bv_exit *exit = &vcpu->exit;

	exit->raw.code = reason;
	exit->raw.info1 = vmx_read(VMCS_QUALIFICATION);
	exit->raw.info2 = vmx_read(VMCS_GUEST_PHYSICAL);
	bv_refuse(&vcpu->vm->why, BV_EIO, "vCPU %u: %s", vcpu->index,
		  vmx_reason_name(reason & 0xffff) ? vmx_reason_name(reason & 0xffff) :
						     "a reason that is not in the manual");
}

static void timer_expired(struct vmx_vcpu *own)
{
	if (own->timer_there != vmx.timer_longest)
		vmx_write(VMCS_TIMER, own->timer_there = vmx.timer_longest);
}

/*
 * The length is that of the instruction; an event that is none's has no length (27.2.5). The
 * sources' numbers are those of enum bv_task_source.
 */
static void exit_task_switch(struct bv_exit *exit, u64 qualification)
{
	BV_STATIC_ASSERT(BV_TASK_CALL == 0 && BV_TASK_IRET == 1 && BV_TASK_JMP == 2 &&
			 BV_TASK_GATE == 3);
	exit->task.sel = qualification & VMX_Q_TASK_SELECTOR;
	exit->task.source = qualification >> VMX_Q_TASK_SOURCE_SHIFT & VMX_Q_TASK_SOURCE;
	if (!exit->vectoring.kind)
		exit->length = vmx_read(VMCS_EXIT_LENGTH);
}

/* ---- all of it ---- */

static void decode_kind(struct bv_vcpu *vcpu, struct vmx_vcpu *own, u32 reason)
{
	struct bv_exit *exit = &vcpu->exit;
	u64 qualification;

	switch (exit->kind) {
	case BV_EXIT_NESTED_FAULT:
		qualification = vmx_read(VMCS_QUALIFICATION);
		exit_fault(exit, qualification);
		if (qualification & VMX_Q_EPT_NMI_UNBLOCKED && !exit->vectoring.kind)
			own->blocking |= VMX_BLOCKING_NMI;
		break;
	case BV_EXIT_LOG_FULL:
		if (vmx_read(VMCS_QUALIFICATION) & VMX_Q_EPT_NMI_UNBLOCKED && !exit->vectoring.kind)
			own->blocking |= VMX_BLOCKING_NMI;
		break;
	case BV_EXIT_TURN_OVER:
		timer_expired(own);
		break;
	case BV_EXIT_PORT:
		exit_port(exit, vmx_read(VMCS_QUALIFICATION));
		break;
	case BV_EXIT_EXCEPTION:
		exit_exception(vcpu, own);
		break;
	case BV_EXIT_TASK_SWITCH:
		exit_task_switch(exit, vmx_read(VMCS_QUALIFICATION));
		break;
	case BV_EXIT_UNKNOWN:
		exit_raw(vcpu, reason);
		break;
	default:
		break;
	}
}

void vmx_exit_decode(struct bv_vcpu *vcpu, bool failed, u32 reason)
{
	struct vmx_vcpu *own = vmx_of(vcpu);
	struct bv_exit *exit = &vcpu->exit;
	u32 vectoring;

	exit->length = 0;
	exit->bytes_count = 0;
	exit->vectoring.kind = BV_VECTORING_NONE;
	if (bv_unlikely(failed || reason & VMX_REASON_ENTRY_FAILED)) {
		entry_failed(vcpu, failed, reason);
		return;
	}
	exit->kind = reason_kind(reason);
	vectoring = vmx_read(VMCS_VECTORING);
	if (bv_unlikely(vectoring & VMX_EVENT_VALID))
		exit_vectoring(vcpu, own, vectoring);
	if (reason < VMX_REASON_COUNT && reasons[reason].length)
		exit->length = vmx_read(VMCS_EXIT_LENGTH);
	decode_kind(vcpu, own, reason);
	exit->shadow = own->blocking & (VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS);
	vcpu->events.nmi.masked = own->blocking & VMX_BLOCKING_NMI;
}
