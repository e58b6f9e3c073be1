// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VCPUOP_initialise: a guest gives one of its vCPUs that has not run yet the state in which it
 * begins. Called by vcpu_op (time.c). It runs when VCPUOP_up says so; by INIT and SIPI, the other
 * way, a vCPU begins without any of this. Source: the public header hvm/hvm_vcpu.h.
 */
#include "call.h"

#include <xen/hvm/hvm_vcpu.h>

#define SEG_TYPE 0xfu
#define SEG_CODE 8u
#define SEG_WRITABLE 2u
#define SEG_S BV_BIT(4)
#define SEG_PRESENT BV_BIT(7)
#define SEG_GRANULARITY BV_BIT(11)
#define TSS_BUSY 11u /* a 32-bit one */
#define TSS_BYTES 0x67u

/*
 * As a descriptor's: fields that are not there are blank, a limit is what its granularity can say.
 */
static bool segment_fits(const struct bv_seg *seg)
{
	if (seg->attr >> 12)
		return false;
	if (!(seg->attr & SEG_PRESENT))
		return !seg->attr && !seg->limit && !seg->base;
	return seg->attr & SEG_GRANULARITY ? (seg->limit & 0xfff) == 0xfff : seg->limit <= 0xfffff;
}

static bool segments_fit(const struct bv_sregs *sregs)
{
	const struct bv_seg *code = &sregs->seg[BV_SEG_CS], *stack = &sregs->seg[BV_SEG_SS],
			    *task = &sregs->seg[BV_SEG_TR];
	static const u8 used[] = { BV_SEG_CS, BV_SEG_DS, BV_SEG_SS, BV_SEG_ES, BV_SEG_TR };

	for (u32 i = 0; i < sizeof(used); i++)
		if (!segment_fits(&sregs->seg[used[i]]))
			return false;
	return code->attr & SEG_PRESENT && code->attr & SEG_S && code->attr & SEG_CODE &&
	       (!(stack->attr & SEG_PRESENT) ||
		(stack->attr & SEG_S &&
		 (stack->attr & (SEG_CODE | SEG_WRITABLE)) == SEG_WRITABLE)) &&
	       task->attr & SEG_PRESENT && !(task->attr & SEG_S) &&
	       (task->attr & SEG_TYPE) == TSS_BUSY;
}

static struct bv_seg seg_make(u32 base, u32 limit, u16 attr)
{
	return (struct bv_seg){ .base = base, .limit = limit, .attr = attr };
}

static void begin_32(const struct vcpu_hvm_x86_32 *from, struct bv_gprs *gprs,
		     struct bv_sregs *sregs)
{
	gprs->gpr[BV_RAX] = from->eax;
	gprs->gpr[BV_RCX] = from->ecx;
	gprs->gpr[BV_RDX] = from->edx;
	gprs->gpr[BV_RBX] = from->ebx;
	gprs->gpr[BV_RSP] = from->esp;
	gprs->gpr[BV_RBP] = from->ebp;
	gprs->gpr[BV_RSI] = from->esi;
	gprs->gpr[BV_RDI] = from->edi;
	gprs->rip = from->eip;
	gprs->rflags = from->eflags | BV_RFLAGS_ONE;
	sregs->cr0 = from->cr0 | BV_CR0_ET;
	sregs->cr3 = from->cr3;
	sregs->cr4 = from->cr4;
	sregs->efer = from->efer;
	sregs->seg[BV_SEG_CS] = seg_make(from->cs_base, from->cs_limit, from->cs_ar);
	sregs->seg[BV_SEG_DS] = seg_make(from->ds_base, from->ds_limit, from->ds_ar);
	sregs->seg[BV_SEG_SS] = seg_make(from->ss_base, from->ss_limit, from->ss_ar);
	sregs->seg[BV_SEG_ES] = seg_make(from->es_base, from->es_limit, from->es_ar);
	sregs->seg[BV_SEG_TR] = seg_make(from->tr_base, from->tr_limit, from->tr_ar);
}

static void begin_64(const struct vcpu_hvm_x86_64 *from, struct bv_gprs *gprs,
		     struct bv_sregs *sregs)
{
	gprs->gpr[BV_RAX] = from->rax;
	gprs->gpr[BV_RCX] = from->rcx;
	gprs->gpr[BV_RDX] = from->rdx;
	gprs->gpr[BV_RBX] = from->rbx;
	gprs->gpr[BV_RSP] = from->rsp;
	gprs->gpr[BV_RBP] = from->rbp;
	gprs->gpr[BV_RSI] = from->rsi;
	gprs->gpr[BV_RDI] = from->rdi;
	gprs->rip = from->rip;
	gprs->rflags = from->rflags | BV_RFLAGS_ONE;
	sregs->cr0 = from->cr0 | BV_CR0_ET;
	sregs->cr3 = from->cr3;
	sregs->cr4 = from->cr4;
	sregs->efer = from->efer;
	/* Flat ones, as the mode has them: code is of 64 bits. */
	sregs->seg[BV_SEG_CS] = seg_make(0, ~0u, 0xa9b);
	sregs->seg[BV_SEG_DS] = sregs->seg[BV_SEG_SS] = sregs->seg[BV_SEG_ES] =
		seg_make(0, ~0u, 0xc93);
	sregs->seg[BV_SEG_TR] = seg_make(0, TSS_BYTES, SEG_PRESENT | TSS_BUSY);
}

/* The mode has to be the one that the context is for. */
static bool mode_fits(const struct vcpu_hvm_context *context, const struct bv_sregs *sregs)
{
	bool long_mode = sregs->efer & BV_EFER_LME;

	if (context->mode == VCPU_HVM_MODE_32B)
		return segments_fit(sregs);
	return long_mode && sregs->efer & BV_EFER_LMA && sregs->cr0 & BV_CR0_PG &&
	       sregs->cr4 & BV_CR4_PAE;
}

/* Its thread is parked. */
static int state_set(struct bvx_call *call, struct bvx_vcpu *vcpu,
		     const struct vcpu_hvm_context *context)
{
	struct bv_gprs gprs = { 0 };
	struct bv_sregs sregs;

	bv_vcpu_sregs_get(vcpu->vcpu, &sregs);
	__builtin_memset(sregs.seg, 0, sizeof(sregs.seg));
	if (context->mode == VCPU_HVM_MODE_32B)
		begin_32(&context->cpu_regs.x86_32, &gprs, &sregs);
	else
		begin_64(&context->cpu_regs.x86_64, &gprs, &sregs);
	if (!mode_fits(context, &sregs) || bv_vcpu_sregs_set(vcpu->vcpu, &sregs))
		return bvx_call_refuse(call, XEN_EINVAL,
				       "vCPU %u: CR0 %#llx, CR4 %#llx, EFER %#llx, code %#x, stack "
				       "%#x, task %#x go not together",
				       vcpu->index, (u64)sregs.cr0, (u64)sregs.cr4, (u64)sregs.efer,
				       sregs.seg[BV_SEG_CS].attr, sregs.seg[BV_SEG_SS].attr,
				       sregs.seg[BV_SEG_TR].attr);
	bv_vcpu_gprs_set(vcpu->vcpu, &gprs);
	/* Not up yet: VCPUOP_up takes this stop back. */
	__atomic_store_n(&vcpu->withdrawn, true, __ATOMIC_SEQ_CST);
	bvx_vcpu_stop(vcpu);
	bv_vcpu_mp_set(vcpu->vcpu, BV_MP_RUNNABLE);
	return 0;
}

long bvx_vcpu_initialise(struct bvx_call *call, struct bvx_vcpu *vcpu)
{
	const struct vcpu_hvm_context context = *(struct vcpu_hvm_context *)call->data;
	int error;

	if (context.mode > VCPU_HVM_MODE_64B || context.pad)
		return bvx_call_refuse(call, XEN_EINVAL, "mode %u, %#x behind it", context.mode,
				       context.pad);
	if (call->vcpu->in_exit)
		return BVX_LATER;
	/*
	 * One that has run may itself wait for the caller here: it is refused before anybody waits.
	 * One that is told to begin by SIPI meanwhile is noticed when it stands still.
	 */
	if (!bvx_vcpu_never_ran(vcpu) ||
	    __atomic_exchange_n(&vcpu->initialising, true, __ATOMIC_SEQ_CST))
		return bvx_call_refuse(call, XEN_EEXIST, "vCPU %u has begun already", vcpu->index);
	bvx_vcpu_stop_sync(vcpu);
	error = bvx_vcpu_never_ran(vcpu) ? state_set(call, vcpu, &context) : -XEN_EEXIST;
	bvx_vcpu_go(vcpu);
	__atomic_store_n(&vcpu->initialising, false, __ATOMIC_SEQ_CST);
	return error;
}
