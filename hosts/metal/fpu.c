/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guests' FPU and vector state. We use none ourselves: while a vCPU's thread is on a CPU its
 * state is in the registers, also outside of the guest. It is saved whenever the thread leaves the
 * CPU, and loaded when it comes, unless it is still there.
 */
#include "hosts/metal/metal.h"

#define CR4_OSFXSR BV_BIT(9)
#define CR4_OSXMMEXCPT BV_BIT(10)
#define CR4_OSXSAVE BV_BIT(18)
#define CR4_PKE BV_BIT(22)
#define LEGACY_BYTES 512
#define AREA_ORDER 1
#define AREA_BYTES (BV_PAGE_SIZE << AREA_ORDER)
#define XSTATE_BV 64 /* of the header behind the legacy part */

static struct {
	u64 xcr0; /* what guests may have; PKRU, which the engine switches, is in it */
	u32 bytes; /* of that in XSAVE's standard format */
	u32 pkru_at;
} fpu;

/* ---- birth ---- */

static bool has_xsave(void)
{
	u32 id[4];

	cpuid(1, 0, id);
	return id[2] >> 26 & 1;
}

static bool has_pku(void)
{
	u32 id[4];

	cpuid(0, 0, id);
	if (id[0] < 7)
		return false;
	cpuid(7, 0, id);
	return id[2] >> 3 & 1;
}

void fpu_init_cpu(void)
{
	u64 cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT, mask;
	u32 id[4];

	fpu.bytes = LEGACY_BYTES;
	if (!has_xsave()) {
		write_cr4(cr4);
		return;
	}
	write_cr4(cr4 | CR4_OSXSAVE | (has_pku() ? CR4_PKE : 0));
	cpuid(0xd, 0, id);
	/* x87, SSE, AVX, AVX-512, PKRU */
	mask = 0x2e7 & (id[0] | (u64)id[3] << 32);
	if (!has_pku())
		mask &= ~BV_XCR0_PKRU;
	__asm__ volatile("xsetbv" : : "c"(0), "a"((u32)mask), "d"((u32)(mask >> 32)));
	cpuid(0xd, 0, id);
	fpu.xcr0 = mask;
	fpu.bytes = id[1];
	if (mask & BV_XCR0_PKRU) {
		cpuid(0xd, 9, id);
		fpu.pkru_at = id[1];
	}
	bv_assert(fpu.bytes <= AREA_BYTES);
}

static void fpu_reset(u8 *area)
{
	*(u16 *)area = 0x37f; /* x87 control word */
	*(u32 *)(area + 24) = 0x1f80; /* MXCSR */
	*(u64 *)(area + LEGACY_BYTES) = fpu.xcr0 ? 3 : 0;
}

void *fpu_alloc(void)
{
	void *area = bv_host_pages_alloc(AREA_ORDER);

	if (area)
		fpu_reset(area);
	return area;
}

void fpu_release(void *area)
{
	bv_host_pages_free(area, AREA_ORDER);
}

/* ---- registers and memory ---- */

static void registers_save(void *area)
{
	u64 mask = fpu.xcr0 & ~BV_XCR0_PKRU;

	if (fpu.xcr0)
		__asm__ volatile("xsave64 (%0)"
				 :
				 : "r"(area), "a"((u32)mask), "d"((u32)(mask >> 32))
				 : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static void registers_load(const void *area)
{
	u64 mask = fpu.xcr0 & ~BV_XCR0_PKRU;

	if (fpu.xcr0)
		__asm__ volatile("xrstor64 (%0)"
				 :
				 : "r"(area), "a"((u32)mask), "d"((u32)(mask >> 32))
				 : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

void fpu_load(struct thread *thread)
{
	struct metal_cpu *cpu = this_cpu();

	if (cpu->fpu_owner == thread && thread->fpu_cpu == cpu)
		return;
	registers_load(thread->fpu);
	cpu->fpu_owner = thread;
	thread->fpu_cpu = cpu;
}

void fpu_leave(struct thread *thread)
{
	registers_save(thread->fpu);
}

void fpu_forget(struct thread *thread)
{
	for (u32 i = 0; i < metal_cpu_count; i++)
		if (metal_cpus[i]->fpu_owner == thread)
			metal_cpus[i]->fpu_owner = NULL;
}

/* The memory has the state, and what is in a CPU's registers is old. */
static void fpu_to_memory(struct metal_vcpu *own)
{
	if (own->thread == current_thread())
		registers_save(own->thread->fpu);
}

static void fpu_from_memory(struct metal_vcpu *own)
{
	own->thread->fpu_cpu = NULL;
	if (own->thread == current_thread())
		registers_load(own->thread->fpu);
}

/* ---- what the engine asks ---- */

u32 bv_host_xsave_size(void)
{
	return fpu.bytes < 576 ? 576 : fpu.bytes;
}

u64 bv_host_xcr0_supported(void)
{
	return fpu.xcr0;
}

int bv_host_xsave_get(struct bv_vcpu *vcpu, void *area, u32 size)
{
	struct metal_vcpu *own = bv_vcpu_host(vcpu);
	u32 pkru = bv_vcpu_pkru_get(vcpu), bytes = size < fpu.bytes ? size : fpu.bytes;
	u64 *present = (u64 *)((u8 *)area + LEGACY_BYTES);

	fpu_to_memory(own);
	__builtin_memset(area, 0, size);
	__builtin_memcpy(area, own->thread->fpu, bytes);
	if (!fpu.xcr0 && size >= 576)
		*present = 3;
	if (fpu.pkru_at && fpu.pkru_at + 4 <= size) {
		*(u32 *)((u8 *)area + fpu.pkru_at) = pkru;
		*present |= BV_XCR0_PKRU;
	}
	return 0;
}

int bv_host_xsave_set(struct bv_vcpu *vcpu, const void *area, u32 size)
{
	struct metal_vcpu *own = bv_vcpu_host(vcpu);
	const u64 *header = (const u64 *)((const u8 *)area + LEGACY_BYTES);
	u8 *to = own->thread->fpu;

	if (size < bv_host_xsave_size() || header[0] & ~(fpu.xcr0 ? fpu.xcr0 : 3))
		return -BV_EINVAL;
	/*
	 * Neither the compacted form nor reserved bits of the header and of MXCSR: XRSTOR would
	 * fault on them.
	 */
	for (u32 i = 1; i < 8; i++)
		if (header[i])
			return -BV_EINVAL;
	if (*(const u32 *)((const u8 *)area + 24) & 0xffff0000u)
		return -BV_EINVAL;
	__builtin_memcpy(to, area, fpu.bytes);
	if (fpu.pkru_at)
		bv_vcpu_pkru_set(vcpu,
				 header[0] & BV_XCR0_PKRU ? *(const u32 *)(to + fpu.pkru_at) : 0);
	fpu_from_memory(own);
	return 0;
}

/* ---- single registers of the current thread ---- */

#define EACH_REGISTER(how)                                                                    \
	how(0) how(1) how(2) how(3) how(4) how(5) how(6) how(7) how(8) how(9) how(10) how(11) \
		how(12) how(13) how(14) how(15)

#define XMM_GET(number)                                                                   \
	case number:                                                                      \
		__asm__ volatile("movdqu %%xmm" #number ", (%0)" : : "r"(to) : "memory"); \
		break;
#define XMM_SET(number)                                                                  \
	case number:                                                                     \
		__asm__ volatile("movdqu (%0), %%xmm" #number : : "r"(from) : "memory"); \
		break;
#define YMM_GET(number)                                                                    \
	case number:                                                                       \
		__asm__ volatile("vmovdqu %%ymm" #number ", (%0)" : : "r"(to) : "memory"); \
		break;
#define YMM_SET(number)                                                                   \
	case number:                                                                      \
		__asm__ volatile("vmovdqu (%0), %%ymm" #number : : "r"(from) : "memory"); \
		break;

void bv_host_vector_get(struct bv_vcpu *vcpu, unsigned int index, void *to, unsigned int bytes)
{
	(void)vcpu;
	if (bytes == 16) {
		switch (index) {
			EACH_REGISTER(XMM_GET)
		}
	} else {
		switch (index) {
			EACH_REGISTER(YMM_GET)
		}
	}
}

void bv_host_vector_set(struct bv_vcpu *vcpu, unsigned int index, const void *from,
			unsigned int bytes)
{
	(void)vcpu;
	if (bytes == 16) {
		switch (index) {
			EACH_REGISTER(XMM_SET)
		}
	} else {
		switch (index) {
			EACH_REGISTER(YMM_SET)
		}
	}
}

#define EACH_MMX(how) how(0) how(1) how(2) how(3) how(4) how(5) how(6) how(7)

#define MMX_GET(number)                                                      \
	case number:                                                         \
		__asm__ volatile("movq %%mm" #number ", %0" : "=m"(*value)); \
		break;
#define MMX_SET(number)                                                   \
	case number:                                                      \
		__asm__ volatile("movq %0, %%mm" #number : : "m"(value)); \
		break;

void bv_host_mmx_get(struct bv_vcpu *vcpu, unsigned int index, u64 *value)
{
	(void)vcpu;
	switch (index & 7) {
		EACH_MMX(MMX_GET)
	}
}

void bv_host_mmx_set(struct bv_vcpu *vcpu, unsigned int index, u64 value)
{
	(void)vcpu;
	switch (index & 7) {
		EACH_MMX(MMX_SET)
	}
}

void bv_host_x87_get(struct bv_vcpu *vcpu, u16 *control, u16 *status)
{
	(void)vcpu;
	__asm__ volatile("fnstcw %0\n\tfnstsw %1" : "=m"(*control), "=m"(*status));
}

void bv_host_x87_set_control(struct bv_vcpu *vcpu, u16 control)
{
	(void)vcpu;
	__asm__ volatile("fldcw %0" : : "m"(control));
}

void bv_host_x87_init(struct bv_vcpu *vcpu)
{
	(void)vcpu;
	__asm__ volatile("fninit");
}

void bv_host_x87_emms(struct bv_vcpu *vcpu)
{
	(void)vcpu;
	__asm__ volatile("emms");
}
