/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * MSRs. Which of them a guest reaches without an exit: those that the VMCS switches, and
 * KERNEL_GS_BASE, which SWAPGS writes anyhow. The system-call MSRs are the CPU's own: it has the
 * guest's while a vCPU is loaded, and what the guest writes to them exits, so that their values are
 * always known. Manual: volume 3, 24.6.9.
 */
#include "vmx/vmx.h"
#include "x86/native.h"

static const u32 passed[] = {
	MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
	MSR_FS_BASE,	 MSR_GS_BASE,	   MSR_KERNEL_GS_BASE,
};

static const u32 syscall_msrs[VMX_SYSCALL_MSRS] = {
	[VMX_STAR] = MSR_STAR,
	[VMX_LSTAR] = MSR_LSTAR,
	[VMX_CSTAR] = MSR_CSTAR,
	[VMX_SFMASK] = MSR_SFMASK,
	[VMX_KERNEL_GS] = MSR_KERNEL_GS_BASE,
};

/* A bit an MSR, set where it exits: reads of the low 8192, of those at C0000000H, then writes. */
static void bitmap_set(u8 *bitmap, u32 index, bool read_exits, bool write_exits)
{
	u32 byte = (index >> 31 ? 1024 : 0) + (index & 0x1fff) / 8;
	u8 bit = 1u << index % 8;

	bitmap[byte] = read_exits ? bitmap[byte] | bit : bitmap[byte] & ~bit;
	byte += 2048;
	bitmap[byte] = write_exits ? bitmap[byte] | bit : bitmap[byte] & ~bit;
}

/* serving: the EOI register of x2APIC mode is the processor's. */
u8 *vmx_msr_bitmap_alloc(bool serving)
{
	u8 *bitmap = bv_host_pages_alloc(0);

	if (!bitmap)
		return NULL;
	__builtin_memset(bitmap, 0xff, BV_PAGE_SIZE);
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(passed); i++)
		bitmap_set(bitmap, passed[i], false, false);
	if (serving)
		bitmap_set(bitmap, MSR_X2APIC_EOI, true, false);
	return bitmap;
}

/* What the front's filter forbids has to exit, to be refused. */
void vmx_msr_bitmap_filter(u8 *bitmap, struct bv_vm *vm)
{
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(passed); i++) {
		bool read = !vm->msr_filter || vm->msr_filter(vm->front, passed[i], false);
		bool write = !vm->msr_filter || vm->msr_filter(vm->front, passed[i], true);

		bitmap_set(bitmap, passed[i], !read, !write);
	}
}

/* ---- system calls ---- */

/* KERNEL_GS_BASE is the user's GS base on a host that has swapped: it differs by thread. */
void vmx_msrs_load(struct vmx_vcpu *own)
{
	for (unsigned int i = 0; i < VMX_SYSCALL_MSRS; i++) {
		own->host_msr[i] = native_rdmsr(syscall_msrs[i]);
		if (own->host_msr[i] != own->msr[i])
			native_wrmsr(syscall_msrs[i], own->msr[i]);
	}
}

void vmx_msrs_unload(struct vmx_vcpu *own)
{
	own->msr[VMX_KERNEL_GS] = native_rdmsr(MSR_KERNEL_GS_BASE);
	for (unsigned int i = 0; i < VMX_SYSCALL_MSRS; i++)
		if (own->host_msr[i] != own->msr[i])
			native_wrmsr(syscall_msrs[i], own->host_msr[i]);
}

void vmx_msrs_pull(struct bv_vcpu *vcpu)
{
	struct vmx_vcpu *own = vmx_of(vcpu);
	struct bv_cpu_state *state = &vcpu->state;

	if (vcpu->loaded)
		own->msr[VMX_KERNEL_GS] = native_rdmsr(MSR_KERNEL_GS_BASE);
	state->star = own->msr[VMX_STAR];
	state->lstar = own->msr[VMX_LSTAR];
	state->cstar = own->msr[VMX_CSTAR];
	state->sfmask = own->msr[VMX_SFMASK];
	state->kernel_gs_base = own->msr[VMX_KERNEL_GS];
}

void vmx_msrs_push(struct bv_vcpu *vcpu)
{
	struct vmx_vcpu *own = vmx_of(vcpu);
	const struct bv_cpu_state *state = &vcpu->state;
	const u64 msr[VMX_SYSCALL_MSRS] = {
		[VMX_STAR] = state->star,
		[VMX_LSTAR] = state->lstar,
		[VMX_CSTAR] = state->cstar,
		[VMX_SFMASK] = state->sfmask,
		[VMX_KERNEL_GS] = state->kernel_gs_base,
	};

	own->msr[VMX_KERNEL_GS] = native_rdmsr(MSR_KERNEL_GS_BASE);
	for (unsigned int i = 0; i < VMX_SYSCALL_MSRS; i++) {
		if (own->msr[i] != msr[i])
			native_wrmsr(syscall_msrs[i], msr[i]);
		own->msr[i] = msr[i];
	}
}
