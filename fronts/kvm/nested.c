// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * KVM_GET_NESTED_STATE and KVM_SET_NESTED_STATE: of a vCPU that may run guests, in the format for
 * AMD-V. While its guest is on, it is refused: the VMM lets it run on and asks again.
 */
#include "front.h"

u32 bvk_nested_state_size(void)
{
	return sizeof(struct kvm_nested_state);
}

long bvk_get_nested_state(struct bvk_call *call)
{
	const struct kvm_nested_state *head = call->data;
	struct kvm_nested_state state = {
		.format = KVM_STATE_NESTED_FORMAT_SVM,
		.size = sizeof(state),
	};
	bool held;
	int error;

	if (!bv_engine_nests())
		return bvk_refuse(call, BV_EINVAL, "no guest runs guests here (nested=0)");
	if (head->size < sizeof(state))
		return bvk_refuse(call, BV_E2BIG, "size = %u: it needs %u", head->size,
				  (u32)sizeof(state));
	error = bv_vcpu_nested_get(call->vcpu->vcpu, &held);
	if (error)
		return error;
	if (!held)
		state.flags = KVM_STATE_NESTED_GIF_SET;
	if (bv_host_copy_out(call->arg, &state, sizeof(state)))
		return bvk_copy_failed(call, "the answer");
	return 0;
}

#define FLAGS \
	(KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING | KVM_STATE_NESTED_GIF_SET)

long bvk_set_nested_state(struct bvk_call *call)
{
	const struct kvm_nested_state *state = call->data;

	if (!bv_engine_nests())
		return bvk_refuse(call, BV_EINVAL, "no guest runs guests here (nested=0)");
	if (state->format != KVM_STATE_NESTED_FORMAT_SVM)
		return bvk_refuse(call, BV_EINVAL, "format = %u: must be %u (SVM)", state->format,
				  KVM_STATE_NESTED_FORMAT_SVM);
	if (state->size < sizeof(*state) || state->flags & ~FLAGS)
		return bvk_refuse(call, BV_EINVAL, "size = %u (at least %u), flags = %#x",
				  state->size, (u32)sizeof(*state), state->flags);
	if (state->flags & (KVM_STATE_NESTED_GUEST_MODE | KVM_STATE_NESTED_RUN_PENDING))
		return bvk_refuse(call, BV_EINVAL,
				  "flags = %#x: a vCPU whose guest is on cannot be restored here",
				  state->flags);
	return bv_vcpu_nested_set(call->vcpu->vcpu, !(state->flags & KVM_STATE_NESTED_GIF_SET));
}
