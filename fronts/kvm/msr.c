// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * MSRs: lists, reading and writing them for user space, and user space's filter. Which MSRs there
 * are is the engine's.
 */
#include "front.h"

/* ---- lists ---- */

/* The engine's, and behind them KVM's own. */
static bool saved_index(unsigned int i, u32 *index)
{
	unsigned int engine = 0;

	if (bv_msr_saved(i, index))
		return true;
	while (bv_msr_saved(engine, index))
		engine++;
	return bvk_pv_msr_saved(i - engine, index);
}

static bool feature_index(unsigned int i, u32 *index)
{
	u64 value;

	return bv_msr_feature(i, index, &value);
}

static u32 count_msrs(bool (*get)(unsigned int i, u32 *index))
{
	u32 count = 0, index;

	while (get(count, &index))
		count++;
	return count;
}

/* How many there are is told in any case; a caller with too little room is refused. */
static long list_msrs(struct bvk_call *call, bool (*get)(unsigned int i, u32 *index))
{
	const struct kvm_msr_list *list = call->data;
	u64 at = call->arg + offsetof(struct kvm_msr_list, indices);
	u32 room = list->nmsrs, count = count_msrs(get), index;

	if (bv_host_copy_out(call->arg, &count, sizeof(count)))
		return bvk_copy_failed(call, "nmsrs");
	if (room < count)
		return bvk_refuse(call, BV_E2BIG, "nmsrs = %u: there are %u", room, count);
	for (u32 i = 0; i < count; i++, at += sizeof(index)) {
		get(i, &index);
		if (bv_host_copy_out(at, &index, sizeof(index)))
			return bvk_copy_failed(call, "indices");
	}
	return 0;
}

long bvk_get_msr_list(struct bvk_call *call)
{
	return list_msrs(call, saved_index);
}

long bvk_get_feature_msr_list(struct bvk_call *call)
{
	return list_msrs(call, feature_index);
}

/* ---- values: each ioctl does as many as it can, in order, and returns how many those were ---- */

typedef int msr_access(struct bvk_call *call, struct kvm_msr_entry *entry);

static int get_feature(struct bvk_call *call, struct kvm_msr_entry *entry)
{
	u32 index;
	u64 value;

	for (unsigned int i = 0; bv_msr_feature(i, &index, &value); i++) {
		if (index != entry->index)
			continue;
		entry->data = value;
		return 0;
	}
	return bvk_refuse(call, BV_ENOENT, "MSR %#x: tells no feature", entry->index);
}

static int get_msr(struct bvk_call *call, struct kvm_msr_entry *entry)
{
	u64 value;

	if (bv_vcpu_msr_get(call->vcpu->vcpu, entry->index, &value))
		return bvk_refuse(call, BV_EINVAL, "MSR %#x: there is none", entry->index);
	entry->data = value;
	return 0;
}

static int set_msr(struct bvk_call *call, struct kvm_msr_entry *entry)
{
	int error = bv_vcpu_msr_set(call->vcpu->vcpu, entry->index, entry->data);

	if (!error)
		return 0;
	return bvk_refuse(call, -error, "MSR %#x = %#llx: %s", entry->index, entry->data,
			  error == -BV_ENOENT ? "there is no such MSR" :
						"it cannot have this value");
}

static long access_msrs(struct bvk_call *call, msr_access *access, bool writes_back)
{
	const struct kvm_msrs *head = call->data;
	u64 at = call->arg + offsetof(struct kvm_msrs, entries);
	u32 count = head->nmsrs, done = 0;
	struct kvm_msr_entry *entries;
	int error;

	if (count > BVK_MAX_MSRS)
		return bvk_refuse(call, BV_E2BIG, "nmsrs = %u: at most %u", count, BVK_MAX_MSRS);
	entries = bvk_copy_array_in(call, at, count, sizeof(*entries), &error);
	if (!entries)
		return error;
	while (done < count && !access(call, &entries[done]))
		done++;
	if (writes_back && done && bv_host_copy_out(at, entries, count * sizeof(*entries)))
		error = bvk_copy_failed(call, "entries");
	else
		error = 0;
	bv_host_free(entries);
	return error ? error : (long)done;
}

long bvk_get_feature_msrs(struct bvk_call *call)
{
	return access_msrs(call, get_feature, true);
}

long bvk_get_msrs(struct bvk_call *call)
{
	return access_msrs(call, get_msr, true);
}

long bvk_set_msrs(struct bvk_call *call)
{
	return access_msrs(call, set_msr, false);
}

/* ---- the filter ---- */

struct filter_range {
	u32 flags; /* KVM_MSR_FILTER_READ, _WRITE */
	u32 base, count;
	u8 *allowed; /* a bit an MSR */
};

/* A filter is constant once it is in place; it is replaced as a whole. */
struct bvk_msr_filter {
	bool deny_others;
	u32 count;
	struct filter_range range[KVM_MSR_FILTER_MAX_RANGES];
};

static void filter_free(struct bvk_msr_filter *filter)
{
	if (!filter)
		return;
	for (u32 i = 0; i < filter->count; i++)
		bv_host_free(filter->range[i].allowed);
	bv_host_free(filter);
}

static bool filter_allows(const struct bvk_msr_filter *filter, u32 index, bool write)
{
	u32 wanted = write ? KVM_MSR_FILTER_WRITE : KVM_MSR_FILTER_READ;

	for (u32 i = 0; i < filter->count; i++) {
		const struct filter_range *range = &filter->range[i];
		u32 bit = index - range->base;

		if (bit < range->count && range->flags & wanted)
			return range->allowed[bit / 8] & (1u << (bit % 8));
	}
	return !filter->deny_others;
}

/*
 * x2APIC registers are never filtered: the ABI says so, because the hardware may handle them alone.
 */
static bool is_x2apic(u32 index)
{
	return index >= 0x800 && index <= 0x8ff;
}

static bool guest_may(void *front, u32 index, bool write)
{
	struct bvk_vm *vm = front;
	bool may = true;
	u64 flags;

	if (is_x2apic(index))
		return true;
	flags = bv_host_spin_lock_irq(&vm->filter_lock);
	if (vm->filter)
		may = filter_allows(vm->filter, index, write);
	bv_host_spin_unlock_irq(&vm->filter_lock, flags);
	return may;
}

void bvk_msr_policy_update(struct bvk_vm *vm)
{
	u32 user = vm->msr_user_reasons;
	u32 reasons = (user & KVM_MSR_EXIT_REASON_FILTER ? BV_MSR_FILTERED : 0) |
		      (user & KVM_MSR_EXIT_REASON_UNKNOWN ? BV_MSR_UNKNOWN : 0) |
		      (user & KVM_MSR_EXIT_REASON_INVAL ? BV_MSR_INVALID : 0);

	bv_vm_msr_policy(vm->vm, reasons, vm->filter ? guest_may : NULL);
}

static struct bvk_msr_filter *filter_swap(struct bvk_vm *vm, struct bvk_msr_filter *filter)
{
	u64 flags = bv_host_spin_lock_irq(&vm->filter_lock);
	struct bvk_msr_filter *old = vm->filter;

	vm->filter = filter;
	bv_host_spin_unlock_irq(&vm->filter_lock, flags);
	return old;
}

void bvk_msr_filter_end(struct bvk_vm *vm)
{
	filter_free(filter_swap(vm, NULL));
}

static int filter_add_range(struct bvk_call *call, struct bvk_msr_filter *filter, u32 i,
			    const struct kvm_msr_filter_range *user)
{
	struct filter_range *range = &filter->range[filter->count];
	u32 bytes = (user->nmsrs + 7) / 8;
	int error;

	if (!user->nmsrs)
		return 0;
	if (!user->flags || user->flags & ~(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE))
		return bvk_refuse(call, BV_EINVAL, "ranges[%u].flags = %#x: read, write or both", i,
				  user->flags);
	if (user->nmsrs > KVM_MSR_FILTER_MAX_BITMAP_SIZE * 8)
		return bvk_refuse(call, BV_EINVAL, "ranges[%u].nmsrs = %u: at most %u", i,
				  user->nmsrs, KVM_MSR_FILTER_MAX_BITMAP_SIZE * 8);
	range->allowed = bvk_copy_array_in(call, (unsigned long)user->bitmap, bytes, 1, &error);
	if (!range->allowed)
		return error;
	range->flags = user->flags;
	range->base = user->base;
	range->count = user->nmsrs;
	filter->count++;
	return 0;
}

static int fill_filter(struct bvk_call *call, struct bvk_msr_filter *filter,
		       const struct kvm_msr_filter *user)
{
	int error = 0;

	if (user->flags & ~KVM_MSR_FILTER_DEFAULT_DENY)
		return bvk_refuse(call, BV_EINVAL,
				  "flags = %#x: only KVM_MSR_FILTER_DEFAULT_DENY is known",
				  user->flags);
	filter->deny_others = user->flags & KVM_MSR_FILTER_DEFAULT_DENY;
	for (u32 i = 0; i < KVM_MSR_FILTER_MAX_RANGES && !error; i++)
		error = filter_add_range(call, filter, i, &user->ranges[i]);
	if (!error && filter->deny_others && !filter->count)
		error = bvk_refuse(call, BV_EINVAL,
				   "flags: denying by default needs a range that allows");
	return error;
}

/* As a 32-bit process lays the structure out. */
struct compat_range {
	u32 flags, nmsrs, base, bitmap;
};

static int copy_compat_filter(struct bvk_call *call, struct kvm_msr_filter *user)
{
	struct {
		u32 flags;
		struct compat_range range[KVM_MSR_FILTER_MAX_RANGES];
	} compat;

	if (bv_host_copy_in(&compat, call->arg, sizeof(compat)))
		return bvk_copy_failed(call, "the argument");
	user->flags = compat.flags;
	for (u32 i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		user->ranges[i].flags = compat.range[i].flags;
		user->ranges[i].nmsrs = compat.range[i].nmsrs;
		user->ranges[i].base = compat.range[i].base;
		user->ranges[i].bitmap = (__u8 *)(unsigned long)compat.range[i].bitmap;
	}
	return 0;
}

static int copy_filter(struct bvk_call *call, struct kvm_msr_filter *user)
{
	if (call->request->compat)
		return copy_compat_filter(call, user);
	if (bv_host_copy_in(user, call->arg, sizeof(*user)))
		return bvk_copy_failed(call, "the argument");
	return 0;
}

long bvk_set_msr_filter(struct bvk_call *call)
{
	struct bvk_msr_filter *filter = bv_host_alloc(sizeof(*filter));
	struct kvm_msr_filter *user = bv_host_alloc(sizeof(*user));
	int error = filter && user ? 0 : -BV_ENOMEM;

	if (!error)
		error = copy_filter(call, user);
	if (!error)
		error = fill_filter(call, filter, user);
	if (!error) {
		/* Neither ranges nor a default: the filter is taken away. */
		bool nothing = !filter->count && !filter->deny_others;
		struct bvk_msr_filter *old = filter_swap(call->vm, nothing ? NULL : filter);

		bvk_msr_policy_update(call->vm);
		filter = nothing ? filter : NULL;
		filter_free(old);
	}
	filter_free(filter);
	bv_host_free(user);
	return error;
}
