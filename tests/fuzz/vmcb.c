// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest's VMCBs, and what its guest does, from the fuzzer: the first bytes say which exits come,
 * the rest is written over a good VMCB. After each entry the played processor asks that nothing of
 * ours got lost (tests/unit/svm_guest.h).
 */
#include <stdlib.h>

#include "input.h"

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)
#define CHECK_EQ(left, right) CHECK((u64)(left) == (u64)(right))
#include "tests/unit/svm_guest.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static bool fuzzed(struct svm_vmcb *vmcb, bool l2)
{
	static const u16 codes[] = {
		VMEXIT_VMRUN,  VMEXIT_VMLOAD,	 VMEXIT_VMSAVE,	  VMEXIT_STGI,
		VMEXIT_CLGI,   VMEXIT_INVLPGA,	 VMEXIT_NPF,	  VMEXIT_MSR,
		VMEXIT_IOIO,   VMEXIT_VINTR,	 VMEXIT_CPUID,	  VMEXIT_HLT,
		VMEXIT_XSETBV, VMEXIT_CR0_WRITE, VMEXIT_SHUTDOWN, VMEXIT_VMMCALL,
	};
	u8 which = next_byte();

	(void)l2;
	if (guest.entries > 30 || input.left < 8)
		return false;
	exit_with(vmcb, which & 0x80 ? VMEXIT_EXCEPTION_DE + (which & 0x1f) :
				       codes[which % BV_ARRAY_SIZE(codes)]);
	vmcb->exit_info_1 = next_byte() | (u64)(next_byte() & 3) << 32;
	vmcb->exit_info_2 = (u64)next_byte() << 12;
	vmcb->rax = which & 0x40 ? (u64)(u16)next_u32() << 8 : VMCB12;
	if (which & 0x20)
		vmcb->exit_int_info = SVM_EVENT_VALID | (u16)next_u32();
	if (vmcb->exit_code == VMEXIT_MSR)
		vmcb->exit_info_1 &= 1;
	/* A processor's accesses to ports are of 1, 2 or 4 bytes. */
	if (vmcb->exit_code == VMEXIT_IOIO) {
		vmcb->exit_info_1 = (which & 1) | 0x10u << which % 3 | (u64)(u16)next_u32() << 16;
		vmcb->exit_info_2 = vmcb->rip + 2;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	guest_start();
	fake_log_quiet = true;
	input.at = data;
	input.left = size;
	vmcb12_init();
	for (unsigned int i = next_byte() % 32; i; i--) {
		u16 at = (u16)next_u32() % sizeof(struct svm_vmcb);

		((u8 *)vmcb12())[at] = next_byte();
	}
	for (unsigned int i = next_byte() % 8; i; i--)
		((u64 *)(guest.memory + TABLES))[(u16)next_u32() % 2048] =
			(u64)(u16)next_u32() << 12 | next_byte() | BV_PTE_P | BV_PTE_U;
	for (unsigned int i = 0; i < 8 && input.left >= 8; i++) {
		guest.entries = 0;
		guest_run(fuzzed);
	}
	guest_stop();
	return 0;
}
