// SPDX-License-Identifier: GPL-2.0-or-later
/* CPUID in KVM's layouts. What is offered and how it is looked up is the engine's (bv/cpuid.h). */
#include "front.h"

/*
 * The API document: the TSC deadline timer is told by its own capability and never here, because it
 * depends on KVM_CREATE_IRQCHIP.
 */
#define LEAF1_ECX_TSC_DEADLINE (1u << 24)

static void leaf_to_user(const struct bv_cpuid_leaf *leaf, struct kvm_cpuid_entry2 *user)
{
	*user = (struct kvm_cpuid_entry2){
		.function = leaf->leaf,
		.index = leaf->subleaf,
		.flags = leaf->indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
		.eax = leaf->eax,
		.ebx = leaf->ebx,
		.ecx = leaf->ecx,
		.edx = leaf->edx,
	};
}

static void leaf_from_user(struct bv_cpuid_leaf *leaf, const struct kvm_cpuid_entry2 *user)
{
	*leaf = (struct bv_cpuid_leaf){
		.leaf = user->function,
		.subleaf = user->index,
		.indexed = user->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = user->eax,
		.ebx = user->ebx,
		.ecx = user->ecx,
		.edx = user->edx,
	};
	if (!leaf->indexed)
		leaf->subleaf = 0;
}

/* Gives the caller count leaves where it has room for them; the count in any case of success. */
static long give_leaves(struct bvk_call *call, const struct bv_cpuid_leaf *leaves, u32 count)
{
	const struct kvm_cpuid2 *head = call->data;
	u64 at = call->arg + offsetof(struct kvm_cpuid2, entries);
	struct kvm_cpuid_entry2 entry;
	bool fits = head->nent >= count;

	if (bv_host_copy_out(call->arg + offsetof(struct kvm_cpuid2, nent), &count, sizeof(count)))
		return bvk_copy_failed(call, "nent");
	if (!fits)
		return bvk_refuse(call, BV_E2BIG, "nent = %u: there are %u", head->nent, count);
	for (u32 i = 0; i < count; i++, at += sizeof(entry)) {
		leaf_to_user(&leaves[i], &entry);
		if (bv_host_copy_out(at, &entry, sizeof(entry)))
			return bvk_copy_failed(call, "entries");
	}
	return 0;
}

long bvk_get_cpuid_supported(struct bvk_call *call)
{
	struct bv_cpuid_leaf *leaves = bv_host_alloc(BV_CPUID_MAX * sizeof(*leaves));
	unsigned int count;
	long result;

	if (!leaves)
		return -BV_ENOMEM;
	count = bv_cpuid_supported(leaves, BV_CPUID_MAX);
	if (count > BV_CPUID_MAX)
		count = BV_CPUID_MAX;
	for (unsigned int i = 0; i < count; i++)
		if (leaves[i].leaf == 1)
			leaves[i].ecx &= ~LEAF1_ECX_TSC_DEADLINE;
	result = give_leaves(call, leaves, count);
	bv_host_free(leaves);
	return result;
}

long bvk_get_cpuid2(struct bvk_call *call)
{
	struct bv_cpuid_leaf *leaves = bv_host_alloc(BV_CPUID_MAX * sizeof(*leaves));
	long result;

	if (!leaves)
		return -BV_ENOMEM;
	result = give_leaves(call, leaves,
			     bv_vcpu_cpuid_get(call->vcpu->vcpu, leaves, BV_CPUID_MAX));
	bv_host_free(leaves);
	return result;
}

static int check_count(struct bvk_call *call, u32 count)
{
	if (count <= BVK_MAX_CPUID)
		return 0;
	return bvk_refuse(call, BV_E2BIG, "nent = %u: at most %u", count, BVK_MAX_CPUID);
}

static long set_leaves(struct bvk_call *call, const struct kvm_cpuid_entry2 *entries, u32 count)
{
	struct bv_cpuid_leaf *leaves = bv_host_alloc((count + 1) * sizeof(*leaves));
	long result;

	if (!leaves)
		return -BV_ENOMEM;
	for (u32 i = 0; i < count; i++)
		leaf_from_user(&leaves[i], &entries[i]);
	result = bv_vcpu_cpuid_set(call->vcpu->vcpu, leaves, count);
	bv_host_free(leaves);
	return result;
}

long bvk_set_cpuid2(struct bvk_call *call)
{
	const struct kvm_cpuid2 *head = call->data;
	u64 at = call->arg + offsetof(struct kvm_cpuid2, entries);
	struct kvm_cpuid_entry2 *entries;
	long result;
	int error = check_count(call, head->nent);

	if (error)
		return error;
	entries = bvk_copy_array_in(call, at, head->nent, sizeof(*entries), &error);
	if (!entries)
		return error;
	result = set_leaves(call, entries, head->nent);
	bv_host_free(entries);
	return result;
}

/* The old form, without subleaves. */
static void widen(struct kvm_cpuid_entry2 *to, const struct kvm_cpuid_entry *from)
{
	*to = (struct kvm_cpuid_entry2){
		.function = from->function,
		.eax = from->eax,
		.ebx = from->ebx,
		.ecx = from->ecx,
		.edx = from->edx,
	};
}

long bvk_set_cpuid(struct bvk_call *call)
{
	const struct kvm_cpuid *head = call->data;
	u64 at = call->arg + offsetof(struct kvm_cpuid, entries);
	struct kvm_cpuid_entry2 *wide;
	struct kvm_cpuid_entry *entries;
	long result = -BV_ENOMEM;
	int error = check_count(call, head->nent);

	if (error)
		return error;
	entries = bvk_copy_array_in(call, at, head->nent, sizeof(*entries), &error);
	if (!entries)
		return error;
	wide = bv_host_alloc((head->nent + 1) * sizeof(*wide));
	for (u32 i = 0; wide && i < head->nent; i++)
		widen(&wide[i], &entries[i]);
	if (wide)
		result = set_leaves(call, wide, head->nent);
	bv_host_free(wide);
	bv_host_free(entries);
	return result;
}
