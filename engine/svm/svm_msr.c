/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Which MSRs a guest reaches without an exit: those that VMLOAD and VMSAVE switch, or that the VMCB
 * holds. All others exit, so no guest touches a host's MSR. Manual: volume 2, 15.11.
 */
#include "svm/svm.h"

static const u32 passed[] = {
	0x174,	    0x175,	0x176, /* SYSENTER_CS, _ESP, _EIP */
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, /* STAR, LSTAR, CSTAR, SFMASK */
	0xc0000100, 0xc0000101, 0xc0000102, /* FS_BASE, GS_BASE, KERNEL_GS_BASE */
};

/* Two bits an MSR, read then write, set where it exits; three ranges of 8192 MSRs, 2 KiB each. */
bool svm_msrpm_position(u32 index, u32 *bit)
{
	static const u32 starts[] = { 0, 0xc0000000u, 0xc0010000u };

	for (u32 i = 0; i < BV_ARRAY_SIZE(starts); i++) {
		if (index - starts[i] < 8192) {
			*bit = i * 2048 * 8 + (index - starts[i]) * 2;
			return true;
		}
	}
	return false;
}

static void svm_msrpm_set(u8 *msrpm, u32 index, bool read_exits, bool write_exits)
{
	u32 bit;

	if (!svm_msrpm_position(index, &bit))
		return;
	msrpm[bit / 8] &= ~(3u << (bit % 8));
	msrpm[bit / 8] |= (read_exits | write_exits << 1) << (bit % 8);
}

u8 *svm_msrpm_alloc(void)
{
	u8 *msrpm = bv_host_pages_alloc(SVM_MSRPM_ORDER);

	if (!msrpm)
		return NULL;
	__builtin_memset(msrpm, 0xff, BV_PAGE_SIZE << SVM_MSRPM_ORDER);
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(passed); i++)
		svm_msrpm_set(msrpm, passed[i], false, false);
	return msrpm;
}

/* What the front's filter forbids has to exit, to be refused. */
void svm_msrpm_filter(u8 *msrpm, struct bv_vm *vm)
{
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(passed); i++) {
		bool read = !vm->msr_filter || vm->msr_filter(vm->front, passed[i], false);
		bool write = !vm->msr_filter || vm->msr_filter(vm->front, passed[i], true);

		svm_msrpm_set(msrpm, passed[i], !read, !write);
	}
}
