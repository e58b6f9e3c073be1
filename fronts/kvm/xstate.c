// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * FPU and vector state: KVM_GET_FPU's own layout and XSAVE's standard format. The host keeps the
 * state (bv_host_xsave_get); here it is only laid out.
 *
 * Source of the XSAVE area's layout: Intel SDM volume 1, 13.4; AMD APM volume 2, 11.5.
 */
#include "front.h"

#define XSTATE_BV_OFFSET 512 /* in the XSAVE header, behind the legacy area */

/* The legacy area, as FXSAVE64 writes it. */
struct fxsave {
	u16 fcw, fsw;
	u8 ftw, reserved1;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 st[8][16];
	u8 xmm[16][16];
};

BV_STATIC_ASSERT(offsetof(struct fxsave, st) == 32);
BV_STATIC_ASSERT(offsetof(struct fxsave, xmm) == 160);

u32 bvk_xsave_size(void)
{
	u32 size = bv_host_xsave_size();

	return size > sizeof(struct kvm_xsave) ? size : sizeof(struct kvm_xsave);
}

/* The whole state in memory of ours, to be freed; NULL with *error set. */
static void *xsave_get(struct bvk_vcpu *vcpu, int *error)
{
	void *area = bv_host_alloc(bvk_xsave_size());

	if (!area) {
		*error = -BV_ENOMEM;
		return NULL;
	}
	*error = bv_host_xsave_get(vcpu->vcpu, area, bvk_xsave_size());
	if (!*error)
		return area;
	bv_host_free(area);
	return NULL;
}

long bvk_get_fpu(struct bvk_call *call)
{
	struct kvm_fpu *user = call->data;
	const struct fxsave *fx;
	int error;

	fx = xsave_get(call->vcpu, &error);
	if (!fx)
		return error;
	bvk_zero(user, sizeof(*user));
	bvk_copy(user->fpr, fx->st, sizeof(user->fpr));
	bvk_copy(user->xmm, fx->xmm, sizeof(user->xmm));
	user->fcw = fx->fcw;
	user->fsw = fx->fsw;
	user->ftwx = fx->ftw;
	user->last_opcode = fx->fop;
	user->last_ip = fx->fip;
	user->last_dp = fx->fdp;
	user->mxcsr = fx->mxcsr;
	bv_host_free((void *)fx);
	return 0;
}

long bvk_set_fpu(struct bvk_call *call)
{
	const struct kvm_fpu *user = call->data;
	struct fxsave *fx;
	int error;

	fx = xsave_get(call->vcpu, &error);
	if (!fx)
		return error;
	bvk_copy(fx->st, user->fpr, sizeof(user->fpr));
	bvk_copy(fx->xmm, user->xmm, sizeof(user->xmm));
	fx->fcw = user->fcw;
	fx->fsw = user->fsw;
	fx->ftw = user->ftwx;
	fx->fop = user->last_opcode;
	fx->fip = user->last_ip;
	fx->fdp = user->last_dp;
	fx->mxcsr = user->mxcsr;
	*(u64 *)((char *)fx + XSTATE_BV_OFFSET) |= BV_XCR0_X87 | BV_XCR0_SSE;
	error = bv_host_xsave_set(call->vcpu->vcpu, fx, bvk_xsave_size());
	bv_host_free(fx);
	if (error)
		return bvk_refuse(call, -error, "mxcsr = %#x: has bits that this CPU does not have",
				  user->mxcsr);
	return 0;
}

static long get_xsave(struct bvk_call *call, u32 bytes)
{
	int error;
	void *area = xsave_get(call->vcpu, &error);

	if (!area)
		return error;
	if (bv_host_copy_out(call->arg, area, bytes))
		error = bvk_copy_failed(call, "the answer");
	bv_host_free(area);
	return error;
}

long bvk_get_xsave(struct bvk_call *call)
{
	if (bvk_xsave_size() > sizeof(struct kvm_xsave))
		return bvk_refuse(call, BV_EINVAL, "the state has %u bytes: use KVM_GET_XSAVE2",
				  bvk_xsave_size());
	return get_xsave(call, sizeof(struct kvm_xsave));
}

long bvk_get_xsave2(struct bvk_call *call)
{
	return get_xsave(call, bvk_xsave_size());
}

long bvk_set_xsave(struct bvk_call *call)
{
	u64 components;
	int error;
	u8 *area = bvk_copy_array_in(call, call->arg, bvk_xsave_size(), 1, &error);

	if (!area)
		return error;
	bvk_copy(&components, area + XSTATE_BV_OFFSET, sizeof(components));
	error = bv_host_xsave_set(call->vcpu->vcpu, area, bvk_xsave_size());
	bv_host_free(area);
	if (error)
		return bvk_refuse(call, -error,
				  "XSTATE_BV = %#llx: %#llx can be held, or a reserved bit is set",
				  components, bv_host_xcr0_supported());
	return 0;
}

long bvk_get_xcrs(struct bvk_call *call)
{
	struct kvm_xcrs *user = call->data;

	bvk_zero(user, sizeof(*user));
	user->nr_xcrs = 1;
	user->xcrs[0].value = bv_vcpu_xcr0_get(call->vcpu->vcpu);
	return 0;
}

long bvk_set_xcrs(struct bvk_call *call)
{
	const struct kvm_xcrs *user = call->data;

	if (user->flags)
		return bvk_refuse(call, BV_EINVAL, "flags = %#x: must be 0", user->flags);
	if (user->nr_xcrs > KVM_MAX_XCRS)
		return bvk_refuse(call, BV_EINVAL, "nr_xcrs = %u: at most %u", user->nr_xcrs,
				  KVM_MAX_XCRS);
	for (unsigned int i = 0; i < user->nr_xcrs; i++)
		if (user->xcrs[i].xcr == 0)
			return bv_vcpu_xcr0_set(call->vcpu->vcpu, user->xcrs[i].value);
	return 0;
}
