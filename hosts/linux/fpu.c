/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's FPU and vector state, which Linux keeps for us as it keeps a task's. */
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/preempt.h>
#include <linux/thread_info.h>
#include <linux/wait.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/fpu/xstate.h>

#include "hosts/linux/host.h"

/* x87, SSE, AVX, AVX-512, PKRU: what needs no permission of the process. */
#define GUEST_XCR0 0x2e7ull

static u32 xsave_size;
static u64 xcr0_supported;

int bv_linux_fpu_alloc(struct bv_linux_vcpu *own)
{
	return fpu_alloc_guest_fpstate(&own->fpu) ? 0 : -BV_ENOMEM;
}

void bv_linux_fpu_free(struct bv_linux_vcpu *own)
{
	fpu_free_guest_fpstate(&own->fpu);
}

int bv_linux_fpu_init(void)
{
	struct fpu_guest probe = {};

	if (!fpu_alloc_guest_fpstate(&probe))
		return -BV_ENOMEM;
	xsave_size = probe.uabi_size;
	fpu_free_guest_fpstate(&probe);
	if (boot_cpu_has(X86_FEATURE_OSXSAVE))
		xcr0_supported = xgetbv(XCR_XFEATURE_ENABLED_MASK) & GUEST_XCR0;
	return 0;
}

u32 bv_host_xsave_size(void)
{
	return xsave_size;
}

u64 bv_host_xcr0_supported(void)
{
	return xcr0_supported;
}

int bv_host_xsave_get(struct bv_vcpu *vcpu, void *area, u32 size)
{
	struct bv_linux_vcpu *own = bv_linux_vcpu_of(vcpu);

	fpu_copy_guest_fpstate_to_uabi(&own->fpu, area, size, own->fpu.fpstate->user_xfeatures,
				       bv_vcpu_pkru_get(vcpu));
	return 0;
}

int bv_host_xsave_set(struct bv_vcpu *vcpu, const void *area, u32 size)
{
	u32 pkru = bv_vcpu_pkru_get(vcpu);

	if (size < xsave_size)
		return -BV_EINVAL;
	if (fpu_copy_uabi_to_guest_fpstate(&bv_linux_vcpu_of(vcpu)->fpu, area, xcr0_supported,
					   &pkru))
		return -BV_EINVAL;
	bv_vcpu_pkru_set(vcpu, pkru);
	return 0;
}

/* ---- single registers, while the thread has the guest's state ---- */

/* The registers are the guest's from here to registers_put. */
static void registers_get(void)
{
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
}

static void registers_put(void)
{
	fpregs_unlock();
}

#define EACH_REGISTER(how)                                                                    \
	how(0) how(1) how(2) how(3) how(4) how(5) how(6) how(7) how(8) how(9) how(10) how(11) \
		how(12) how(13) how(14) how(15)

#define XMM_GET(number)                                                               \
	case number:                                                                  \
		asm volatile("movdqu %%xmm" #number ", (%0)" : : "r"(to) : "memory"); \
		break;
#define XMM_SET(number)                                                              \
	case number:                                                                 \
		asm volatile("movdqu (%0), %%xmm" #number : : "r"(from) : "memory"); \
		break;
#define YMM_GET(number)                                                                \
	case number:                                                                   \
		asm volatile("vmovdqu %%ymm" #number ", (%0)" : : "r"(to) : "memory"); \
		break;
#define YMM_SET(number)                                                               \
	case number:                                                                  \
		asm volatile("vmovdqu (%0), %%ymm" #number : : "r"(from) : "memory"); \
		break;

void bv_host_vector_get(struct bv_vcpu *vcpu, unsigned int index, void *to, unsigned int bytes)
{
	registers_get();
	if (bytes == 16) {
		switch (index) {
			EACH_REGISTER(XMM_GET)
		}
	} else {
		switch (index) {
			EACH_REGISTER(YMM_GET)
		}
	}
	registers_put();
}

void bv_host_vector_set(struct bv_vcpu *vcpu, unsigned int index, const void *from,
			unsigned int bytes)
{
	registers_get();
	if (bytes == 16) {
		switch (index) {
			EACH_REGISTER(XMM_SET)
		}
	} else {
		switch (index) {
			EACH_REGISTER(YMM_SET)
		}
	}
	registers_put();
}

#define EACH_MMX(how) how(0) how(1) how(2) how(3) how(4) how(5) how(6) how(7)

#define MMX_GET(number)                                                  \
	case number:                                                     \
		asm volatile("movq %%mm" #number ", %0" : "=m"(*value)); \
		break;
#define MMX_SET(number)                                               \
	case number:                                                  \
		asm volatile("movq %0, %%mm" #number : : "m"(value)); \
		break;

void bv_host_mmx_get(struct bv_vcpu *vcpu, unsigned int index, u64 *value)
{
	registers_get();
	switch (index & 7) {
		EACH_MMX(MMX_GET)
	}
	registers_put();
}

void bv_host_mmx_set(struct bv_vcpu *vcpu, unsigned int index, u64 value)
{
	registers_get();
	switch (index & 7) {
		EACH_MMX(MMX_SET)
	}
	registers_put();
}

void bv_host_x87_get(struct bv_vcpu *vcpu, u16 *control, u16 *status)
{
	registers_get();
	asm volatile("fnstcw %0\n\tfnstsw %1" : "=m"(*control), "=m"(*status));
	registers_put();
}

void bv_host_x87_set_control(struct bv_vcpu *vcpu, u16 control)
{
	registers_get();
	asm volatile("fldcw %0" : : "m"(control));
	registers_put();
}

void bv_host_x87_init(struct bv_vcpu *vcpu)
{
	registers_get();
	asm volatile("fninit");
	registers_put();
}

void bv_host_x87_emms(struct bv_vcpu *vcpu)
{
	registers_get();
	asm volatile("emms");
	registers_put();
}
