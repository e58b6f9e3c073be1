// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Capabilities: what KVM_CHECK_EXTENSION answers and what KVM_ENABLE_CAP turns on, a row each. A
 * capability that is not whole has no row. What a number means stands in the kernel's API document.
 */
#include "front.h"

/* ---- answers that depend on the machine or the VM ---- */

static long answer_tsc_control(struct bvk_vm *vm)
{
	(void)vm;
	return bv_tsc_scalable();
}

static long answer_clock_flags(struct bvk_vm *vm)
{
	(void)vm;
	return KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC |
	       (bv_host_tsc_stable() ? KVM_CLOCK_TSC_STABLE : 0);
}

static long answer_mce_banks(struct bvk_vm *vm)
{
	(void)vm;
	return bv_mce_supported() & 0xff;
}

static long answer_xsave2(struct bvk_vm *vm)
{
	(void)vm;
	return bvk_xsave_size();
}

static long answer_nested_state(struct bvk_vm *vm)
{
	(void)vm;
	return bv_engine_nests() ? bvk_nested_state_size() : 0;
}

static long answer_vcpu_ids(struct bvk_vm *vm)
{
	return vm && vm->max_vcpu_id ? vm->max_vcpu_id : BV_MAX_VCPUS;
}

#define GUEST_DEBUG_FLAGS                                                           \
	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP |   \
	 KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP | \
	 KVM_GUESTDBG_BLOCKIRQ)

#define DIRTY_RING_BYTES (BVK_MAX_RING_ENTRIES * sizeof(struct kvm_dirty_gfn))

struct capability {
	u32 number;
	u32 answer;
	long (*ask)(struct bvk_vm *vm); /* instead of answer; vm is NULL on the device */
};

static const struct capability capabilities[] = {
	/* memory */
	{ KVM_CAP_USER_MEMORY, 1, NULL },
	{ KVM_CAP_NR_MEMSLOTS, BV_MAX_REGIONS, NULL },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1, NULL },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1, NULL },
	{ KVM_CAP_SYNC_MMU, 1, NULL },
	{ KVM_CAP_READONLY_MEM, 1, NULL },
	{ KVM_CAP_SET_TSS_ADDR, 1, NULL },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1, NULL },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
	  KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET, NULL },
	{ KVM_CAP_DIRTY_LOG_RING, DIRTY_RING_BYTES, NULL },
	{ KVM_CAP_DIRTY_LOG_RING_ACQ_REL, DIRTY_RING_BYTES, NULL },

	/* vCPUs and their state */
	{ KVM_CAP_NR_VCPUS, BVK_MAX_VCPUS, NULL },
	{ KVM_CAP_MAX_VCPUS, BVK_MAX_VCPUS, NULL },
	{ KVM_CAP_MAX_VCPU_ID, 0, answer_vcpu_ids },
	{ KVM_CAP_SET_BOOT_CPU_ID, 1, NULL },
	{ KVM_CAP_EXT_CPUID, 1, NULL },
	{ KVM_CAP_HLT, 1, NULL },
	{ KVM_CAP_MP_STATE, 1, NULL },
	{ KVM_CAP_VCPU_EVENTS, 1, NULL },
	{ KVM_CAP_EXCEPTION_PAYLOAD, 1, NULL },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1, NULL },
	{ KVM_CAP_INTR_SHADOW, 1, NULL },
	{ KVM_CAP_DEBUGREGS, 1, NULL },
	{ KVM_CAP_NESTED_STATE, 0, answer_nested_state },
	{ KVM_CAP_X86_ROBUST_SINGLESTEP, 1, NULL },
	{ KVM_CAP_XSAVE, 1, NULL },
	{ KVM_CAP_XSAVE2, 0, answer_xsave2 },
	{ KVM_CAP_XCRS, 1, NULL },
	{ KVM_CAP_SREGS2, 1, NULL },
	{ KVM_CAP_SYNC_REGS, KVM_SYNC_X86_VALID_FIELDS, NULL },
	{ KVM_CAP_MCE, 0, answer_mce_banks },
	{ KVM_CAP_GET_MSR_FEATURES, 1, NULL },
	{ KVM_CAP_X86_USER_SPACE_MSR,
	  KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER,
	  NULL },
	{ KVM_CAP_X86_MSR_FILTER, 1, NULL },
	{ KVM_CAP_IMMEDIATE_EXIT, 1, NULL },
	{ KVM_CAP_INTERNAL_ERROR_DATA, 1, NULL },
	{ KVM_CAP_SET_GUEST_DEBUG, 1, NULL },
	{ KVM_CAP_SET_GUEST_DEBUG2, GUEST_DEBUG_FLAGS, NULL },
	{ KVM_CAP_USER_NMI, 1, NULL },
	{ KVM_CAP_NOP_IO_DELAY, 1, NULL },
	{ KVM_CAP_VCPU_ATTRIBUTES, 1, NULL },
	{ KVM_CAP_BINARY_STATS_FD, 1, NULL },

	/* time */
	{ KVM_CAP_CLOCKSOURCE, 1, NULL },
	{ KVM_CAP_ADJUST_CLOCK, 0, answer_clock_flags },
	{ KVM_CAP_KVMCLOCK_CTRL, 1, NULL },
	{ KVM_CAP_GET_TSC_KHZ, 1, NULL },
	{ KVM_CAP_TSC_CONTROL, 0, answer_tsc_control },
	{ KVM_CAP_VM_TSC_CONTROL, 0, answer_tsc_control },
	{ KVM_CAP_TSC_DEADLINE_TIMER, 1, NULL },

	/* interrupts */
	{ KVM_CAP_IRQCHIP, 1, NULL },
	{ KVM_CAP_SPLIT_IRQCHIP, 1, NULL },
	{ KVM_CAP_PIT, 1, NULL },
	{ KVM_CAP_PIT2, 1, NULL },
	{ KVM_CAP_PIT_STATE2, 1, NULL },
	{ KVM_CAP_REINJECT_CONTROL, 1, NULL },
	{ KVM_CAP_IRQ_ROUTING, BV_MAX_ROUTES, NULL },
	{ KVM_CAP_IRQ_INJECT_STATUS, 1, NULL },
	{ KVM_CAP_IOAPIC_POLARITY_IGNORED, 1, NULL },
	{ KVM_CAP_SIGNAL_MSI, 1, NULL },
	{ KVM_CAP_IRQFD, 1, NULL },
	{ KVM_CAP_IRQFD_RESAMPLE, 1, NULL },
	{ KVM_CAP_IOEVENTFD, 1, NULL },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1, NULL },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1, NULL },
	{ KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK,
	  NULL },

	/* how to ask */
	{ KVM_CAP_CHECK_EXTENSION_VM, 1, NULL },
	{ KVM_CAP_ENABLE_CAP_VM, 1, NULL },
	{ KVM_CAP_SYS_ATTRIBUTES, 1, NULL },
};

long bvk_check_extension(struct bvk_call *call)
{
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(capabilities); i++) {
		const struct capability *cap = &capabilities[i];

		if (cap->number == call->arg)
			return cap->ask ? cap->ask(call->vm) : (long)cap->answer;
	}
	return 0;
}

/* ---- enabling, under the VM's lock ---- */

static int refuse_bits(struct bvk_call *call, u64 value, u64 allowed)
{
	if (!(value & ~allowed))
		return 0;
	return bvk_refuse(call, BV_EINVAL, "args[0] = %#llx: only bits %#llx are known", value,
			  allowed);
}

static int refuse_after_vcpus(struct bvk_call *call, int error)
{
	if (!call->vm->vcpu_count)
		return 0;
	return bvk_refuse(call, error, "%u vCPUs exist: only before the first one",
			  call->vm->vcpu_count);
}

static int enable_manual_protect(struct bvk_call *call, const struct kvm_enable_cap *cap)
{
	const u64 manual = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE,
		  all_ones = KVM_DIRTY_LOG_INITIALLY_SET;
	u64 bits = cap->args[0];
	int error = refuse_bits(call, bits, manual | all_ones);

	if (error)
		return error;
	if ((bits & all_ones) && !(bits & manual))
		return bvk_refuse(call, BV_EINVAL,
				  "args[0] = %#llx: initially-set needs manual protect", bits);
	call->vm->manual_protect = (u32)bits;
	bv_mem_dirty_mode(call->vm->vm, bits & manual, bits & all_ones);
	return 0;
}

static int enable_dirty_ring(struct bvk_call *call, const struct kvm_enable_cap *cap)
{
	const u64 item = sizeof(struct kvm_dirty_gfn);
	u64 bytes = cap->args[0];
	int error = refuse_after_vcpus(call, BV_EINVAL);

	if (error)
		return error;
	if (bytes & (bytes - 1) || bytes < BVK_MIN_RING_ENTRIES * item)
		return bvk_refuse(call, BV_EINVAL,
				  "args[0] = %llu bytes: must be a power of two, at least %llu",
				  bytes, BVK_MIN_RING_ENTRIES * item);
	if (bytes > DIRTY_RING_BYTES)
		return bvk_refuse(call, BV_E2BIG, "args[0] = %llu bytes: at most %llu", bytes,
				  (u64)DIRTY_RING_BYTES);
	if (bvk_has_ring(call->vm))
		return bvk_refuse(call, BV_EINVAL, "the ring has a size of %u entries already",
				  call->vm->ring_entries);
	call->vm->ring_entries = (u32)(bytes / item);
	return 0;
}

static int enable_split_irqchip(struct bvk_call *call, const struct kvm_enable_cap *cap)
{
	int error = refuse_after_vcpus(call, BV_EEXIST);

	if (error)
		return error;
	if (cap->args[0] > BV_MAX_ROUTES)
		return bvk_refuse(call, BV_EINVAL, "args[0] = %llu pins: at most %u", cap->args[0],
				  BV_MAX_ROUTES);
	return bv_irqchip_create_split(call->vm->vm, (u32)cap->args[0]);
}

static int enable_x2apic_api(struct bvk_call *call, const struct kvm_enable_cap *cap)
{
	const u64 ids32 = KVM_X2APIC_API_USE_32BIT_IDS,
		  no_quirk = KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
	int error = refuse_bits(call, cap->args[0], ids32 | no_quirk);

	if (error)
		return error;
	bv_irqchip_x2apic_mode(call->vm->vm, cap->args[0] & ids32, cap->args[0] & no_quirk);
	return 0;
}

static int enable_exception_payload(struct bvk_call *call, const struct kvm_enable_cap *cap)
{
	call->vm->exception_payload = cap->args[0];
	return 0;
}

static int enable_triple_fault_event(struct bvk_call *call, const struct kvm_enable_cap *cap)
{
	call->vm->triple_fault_event = cap->args[0];
	return 0;
}

static int enable_user_msrs(struct bvk_call *call, const struct kvm_enable_cap *cap)
{
	int error = refuse_bits(call, cap->args[0],
				KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN |
					KVM_MSR_EXIT_REASON_FILTER);

	if (error)
		return error;
	call->vm->msr_user_reasons = (u32)cap->args[0];
	bvk_msr_policy_update(call->vm);
	return 0;
}

static int enable_max_vcpu_id(struct bvk_call *call, const struct kvm_enable_cap *cap)
{
	struct bvk_vm *vm = call->vm;
	int error = refuse_after_vcpus(call, BV_EINVAL);

	if (error)
		return error;
	if (!cap->args[0] || cap->args[0] > BV_MAX_VCPUS)
		return bvk_refuse(call, BV_EINVAL, "args[0] = %llu: must be from 1 to %u",
				  cap->args[0], BV_MAX_VCPUS);
	if (vm->max_vcpu_id && vm->max_vcpu_id != cap->args[0])
		return bvk_refuse(call, BV_EINVAL, "the limit is %u already", vm->max_vcpu_id);
	vm->max_vcpu_id = (u32)cap->args[0];
	return 0;
}

struct enabler {
	u32 number;
	int (*enable)(struct bvk_call *call, const struct kvm_enable_cap *cap);
};

static const struct enabler enablers[] = {
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, enable_manual_protect },
	{ KVM_CAP_DIRTY_LOG_RING, enable_dirty_ring },
	{ KVM_CAP_DIRTY_LOG_RING_ACQ_REL, enable_dirty_ring },
	{ KVM_CAP_SPLIT_IRQCHIP, enable_split_irqchip },
	{ KVM_CAP_X2APIC_API, enable_x2apic_api },
	{ KVM_CAP_EXCEPTION_PAYLOAD, enable_exception_payload },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, enable_triple_fault_event },
	{ KVM_CAP_X86_USER_SPACE_MSR, enable_user_msrs },
	{ KVM_CAP_MAX_VCPU_ID, enable_max_vcpu_id },
};

long bvk_vm_enable_cap(struct bvk_call *call)
{
	const struct kvm_enable_cap *cap = call->data;

	if (cap->flags)
		return bvk_refuse(call, BV_EINVAL, "flags = %#x: must be 0", cap->flags);
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(enablers); i++)
		if (enablers[i].number == cap->cap)
			return enablers[i].enable(call, cap);
	return bvk_refuse(call, BV_EINVAL, "cap = %u: nothing to enable by this number", cap->cap);
}
