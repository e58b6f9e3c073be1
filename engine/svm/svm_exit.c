/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * From the VMCB's exit code to the neutral record. Manual: volume 2, 15.10 (I/O), 15.20 (event
 * delivery), 15.25.6 (nested faults).
 */
#include "svm/svm.h"

/* The codes that stand for one thing each, from VMEXIT_INTR on. */
static const u8 kinds[] = {
	/* never asked for */
	[0x65 - VMEXIT_INTR... 0x6d - VMEXIT_INTR] = BV_EXIT_UNKNOWN,
	[0x70 - VMEXIT_INTR... 0x71 - VMEXIT_INTR] = BV_EXIT_UNKNOWN,
	[0x75 - VMEXIT_INTR] = BV_EXIT_UNKNOWN,
	[0x79 - VMEXIT_INTR] = BV_EXIT_UNKNOWN,
	[0x7d - VMEXIT_INTR... 0x7e - VMEXIT_INTR] = BV_EXIT_UNKNOWN,
	/* asked for */
	[VMEXIT_INTR - VMEXIT_INTR] = BV_EXIT_HOST,
	[VMEXIT_NMI - VMEXIT_INTR] = BV_EXIT_HOST,
	[VMEXIT_SMI - VMEXIT_INTR] = BV_EXIT_HOST,
	[VMEXIT_INIT - VMEXIT_INTR] = BV_EXIT_HOST,
	[VMEXIT_VINTR - VMEXIT_INTR] = BV_EXIT_IRQ_WINDOW,
	[VMEXIT_RDTSC - VMEXIT_INTR] = BV_EXIT_RDTSC,
	[VMEXIT_RDPMC - VMEXIT_INTR] = BV_EXIT_RDPMC,
	[VMEXIT_CPUID - VMEXIT_INTR] = BV_EXIT_CPUID,
	[VMEXIT_RSM - VMEXIT_INTR] = BV_EXIT_UNDEFINED,
	[VMEXIT_IRET - VMEXIT_INTR] = BV_EXIT_NMI_WINDOW,
	[VMEXIT_INVD - VMEXIT_INTR] = BV_EXIT_CACHE,
	[VMEXIT_PAUSE - VMEXIT_INTR] = BV_EXIT_PAUSE,
	[VMEXIT_HLT - VMEXIT_INTR] = BV_EXIT_HLT,
	[VMEXIT_INVLPGA - VMEXIT_INTR] = BV_EXIT_VIRT,
	[VMEXIT_IOIO - VMEXIT_INTR] = BV_EXIT_PORT,
	[VMEXIT_MSR - VMEXIT_INTR] = BV_EXIT_RDMSR,
	[VMEXIT_SHUTDOWN - VMEXIT_INTR] = BV_EXIT_TRIPLE_FAULT,
	[VMEXIT_VMRUN - VMEXIT_INTR] = BV_EXIT_VIRT,
	[VMEXIT_VMMCALL - VMEXIT_INTR] = BV_EXIT_HYPERCALL,
	[VMEXIT_VMLOAD - VMEXIT_INTR... VMEXIT_CLGI - VMEXIT_INTR] = BV_EXIT_VIRT,
	[VMEXIT_SKINIT - VMEXIT_INTR] = BV_EXIT_UNDEFINED,
	[VMEXIT_RDTSCP - VMEXIT_INTR] = BV_EXIT_RDTSC,
	[VMEXIT_WBINVD - VMEXIT_INTR] = BV_EXIT_CACHE,
	[VMEXIT_MONITOR - VMEXIT_INTR] = BV_EXIT_MONITOR,
	[VMEXIT_MWAIT - VMEXIT_INTR] = BV_EXIT_MWAIT,
	[VMEXIT_MWAIT_ARMED - VMEXIT_INTR] = BV_EXIT_MWAIT,
	[VMEXIT_XSETBV - VMEXIT_INTR] = BV_EXIT_XSETBV,
	[VMEXIT_RDPRU - VMEXIT_INTR] = BV_EXIT_UNDEFINED,
};

static enum bv_exit_kind svm_exit_kind(const struct svm_vmcb *vmcb)
{
	u64 code = vmcb->exit_code;

	if (code == VMEXIT_NPF)
		return BV_EXIT_NESTED_FAULT;
	if (bv_likely(code - VMEXIT_INTR < BV_ARRAY_SIZE(kinds))) {
		enum bv_exit_kind kind = kinds[code - VMEXIT_INTR];

		return kind == BV_EXIT_RDMSR && vmcb->exit_info_1 ? BV_EXIT_WRMSR : kind;
	}
	if (code >= VMEXIT_CR0_WRITE && code <= VMEXIT_CR15_WRITE)
		return BV_EXIT_CR_WRITE;
	if (code >= VMEXIT_DR0_READ && code <= VMEXIT_DR15_WRITE)
		return BV_EXIT_DR_ACCESS;
	if (code >= VMEXIT_EXCEPTION_DE && code <= VMEXIT_EXCEPTION_LAST)
		return BV_EXIT_EXCEPTION;
	return (u32)code == 0xffffffffu ? BV_EXIT_ENTRY_FAILED : BV_EXIT_UNKNOWN;
}

static void svm_exit_fault(const struct svm_vmcb *vmcb, struct bv_exit *exit)
{
	u64 info = vmcb->exit_info_1;

	exit->fault.gpa = vmcb->exit_info_2;
	exit->fault.present = info & BV_PF_PRESENT;
	exit->fault.write = info & BV_PF_WRITE;
	exit->fault.user = vmcb->cpl == 3;
	exit->fault.fetch = info & BV_PF_FETCH;
	exit->fault.table_walk = info & SVM_NPF_TABLE;
	if (svm.features & SVM_FEATURE_DECODE && !exit->fault.fetch) {
		exit->bytes_count = vmcb->insn_bytes & 0xf;
		__builtin_memcpy(exit->bytes, vmcb->insn, 15);
	}
}

static void svm_exit_port(const struct svm_vmcb *vmcb, struct bv_exit *exit)
{
	u64 info = vmcb->exit_info_1;

	exit->port.port = info >> SVM_IO_PORT_SHIFT;
	exit->port.bytes = info >> SVM_IO_SIZE_SHIFT & 7;
	exit->port.in = info & SVM_IO_IN;
	exit->port.string = info & SVM_IO_STRING;
	exit->length = vmcb->exit_info_2 - vmcb->rip;
}

#define SVM_EXCEPTIONS_WITH_ERROR                                                                  \
	(1u << BV_EXC_DF | 1u << BV_EXC_TS | 1u << BV_EXC_NP | 1u << BV_EXC_SS | 1u << BV_EXC_GP | \
	 1u << BV_EXC_PF | 1u << BV_EXC_AC | 1u << BV_EXC_CP)

static void svm_exit_exception(const struct svm_vmcb *vmcb, struct bv_exit *exit)
{
	exit->exception.vector = vmcb->exit_code - VMEXIT_EXCEPTION_DE;
	exit->exception.has_error = SVM_EXCEPTIONS_WITH_ERROR >> exit->exception.vector & 1;
	exit->exception.error = vmcb->exit_info_1;
	exit->exception.address = vmcb->exit_info_2;
}

/*
 * An event whose delivery did not finish. INT3 and INTO are not among them: RIP still points to the
 * instruction, which raises the event again when the guest goes on. No interrupt may come before
 * it, since none could when it began. One emulator of AMD-V calls them software interrupts; the
 * core looks at the instruction.
 */
static void svm_exit_vectoring(struct svm_vmcb *vmcb, struct bv_exit *exit)
{
	u64 info = vmcb->exit_int_info;
	u32 type = info >> SVM_EVENT_TYPE_SHIFT & SVM_EVENT_TYPE;
	u8 vector = info & SVM_EVENT_VECTOR;

	exit->vectoring.vector = vector;
	exit->vectoring.has_error = info & SVM_EVENT_HAS_ERROR;
	exit->vectoring.error = info >> 32;
	/* A virtual interrupt that was cut off is an exception to one emulator of AMD-V. */
	if (type == SVM_EVENT_IRQ || (type == SVM_EVENT_EXCEPTION && vector >= BV_FIRST_IRQ))
		exit->vectoring.kind = BV_VECTORING_IRQ;
	else if (type == SVM_EVENT_NMI)
		exit->vectoring.kind = BV_VECTORING_NMI;
	else if (type == SVM_EVENT_EXCEPTION && vector != BV_EXC_BP && vector != BV_EXC_OF)
		exit->vectoring.kind = BV_VECTORING_EXCEPTION;
	else
		vmcb->int_state |= 1;
	if (type == SVM_EVENT_SOFT)
		exit->vectoring.kind = BV_VECTORING_SOFT_IRQ;
}

void svm_exit_decode(struct bv_vcpu *vcpu)
{
	struct svm_vmcb *vmcb = svm_of(vcpu)->vmcb;
	struct bv_exit *exit = &vcpu->exit;

	exit->kind = svm_exit_kind(vmcb);
	exit->length = 0;
	exit->bytes_count = 0;
	exit->vectoring.kind = BV_VECTORING_NONE;
	if (bv_unlikely(vmcb->exit_int_info & SVM_EVENT_VALID))
		svm_exit_vectoring(vmcb, exit);
	exit->shadow = vmcb->int_state & 1;
	if (svm.features & SVM_FEATURE_NRIP)
		exit->length = vmcb->next_rip - vmcb->rip;
	switch (exit->kind) {
	case BV_EXIT_NESTED_FAULT:
		svm_exit_fault(vmcb, exit);
		break;
	case BV_EXIT_PORT:
		svm_exit_port(vmcb, exit);
		break;
	case BV_EXIT_EXCEPTION:
		svm_exit_exception(vmcb, exit);
		break;
	case BV_EXIT_VIRT:
		/* VMRUN is 0F 01 D8; its kin follow in the order of the codes. */
		exit->virt = vmcb->exit_code == VMEXIT_INVLPGA ?
				     SVM_OPCODE_INVLPGA :
				     SVM_OPCODE_VMRUN + (vmcb->exit_code - VMEXIT_VMRUN);
		break;
	case BV_EXIT_ENTRY_FAILED:
	case BV_EXIT_UNKNOWN:
		exit->raw.code = vmcb->exit_code;
		exit->raw.info1 = vmcb->exit_info_1;
		exit->raw.info2 = vmcb->exit_info_2;
		break;
	default:
		break;
	}
}
