// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tables of ioctls and the way through them. Called by the host with what a user asked; calls
 * the handlers, which are in the file of their subject.
 */
#include "front.h"

#define SIZE(type) sizeof(struct type)

static const struct bvk_op dev_ops[] = {
	BVK_OP(KVM_GET_API_VERSION, 0, 0, BVK_NO_LOCK, bvk_get_api_version),
	BVK_OP(KVM_GET_VCPU_MMAP_SIZE, 0, 0, BVK_NO_LOCK, bvk_get_mmap_size),
	BVK_OP(KVM_CHECK_EXTENSION, 0, 0, BVK_NO_LOCK, bvk_check_extension),
	BVK_OP(KVM_CREATE_VM, 0, 0, BVK_NO_LOCK, bvk_create_vm),
	BVK_OP(KVM_GET_SUPPORTED_CPUID, SIZE(kvm_cpuid2), 0, BVK_NO_LOCK, bvk_get_cpuid_supported),
	BVK_OP(KVM_GET_MSR_INDEX_LIST, SIZE(kvm_msr_list), 0, BVK_NO_LOCK, bvk_get_msr_list),
	BVK_OP(KVM_GET_MSR_FEATURE_INDEX_LIST, SIZE(kvm_msr_list), 0, BVK_NO_LOCK,
	       bvk_get_feature_msr_list),
	BVK_OP(KVM_GET_MSRS, SIZE(kvm_msrs), 0, BVK_NO_LOCK, bvk_get_feature_msrs),
	BVK_OP(KVM_X86_GET_MCE_CAP_SUPPORTED, 0, sizeof(__u64), BVK_NO_LOCK, bvk_get_mce_cap),
	BVK_OP(KVM_HAS_DEVICE_ATTR, SIZE(kvm_device_attr), 0, BVK_NO_LOCK, bvk_has_dev_attr),
	BVK_OP(KVM_GET_DEVICE_ATTR, SIZE(kvm_device_attr), 0, BVK_NO_LOCK, bvk_get_dev_attr),
};

static const struct bvk_op vm_ops[] = {
	BVK_OP(KVM_IRQ_LINE, SIZE(kvm_irq_level), 0, BVK_NO_LOCK, bvk_irq_line),
	BVK_OP(KVM_IRQ_LINE_STATUS, SIZE(kvm_irq_level), SIZE(kvm_irq_level), BVK_NO_LOCK,
	       bvk_irq_line_status),
	BVK_OP(KVM_SIGNAL_MSI, SIZE(kvm_msi), 0, BVK_NO_LOCK, bvk_signal_msi),
	BVK_OP(KVM_CHECK_EXTENSION, 0, 0, BVK_NO_LOCK, bvk_check_extension),
	BVK_OP(KVM_ENABLE_CAP, SIZE(kvm_enable_cap), 0, BVK_VM_LOCK, bvk_vm_enable_cap),
	BVK_OP(KVM_CREATE_VCPU, 0, 0, BVK_VM_LOCK, bvk_create_vcpu),
	BVK_OP(KVM_SET_TSS_ADDR, 0, 0, BVK_NO_LOCK, bvk_set_tss_addr),
	BVK_OP(KVM_SET_IDENTITY_MAP_ADDR, sizeof(__u64), 0, BVK_VM_LOCK, bvk_set_identity_map_addr),
	BVK_OP(KVM_SET_BOOT_CPU_ID, 0, 0, BVK_VM_LOCK, bvk_set_boot_cpu),
	BVK_OP(KVM_GET_CLOCK, 0, SIZE(kvm_clock_data), BVK_NO_LOCK, bvk_get_clock),
	BVK_OP(KVM_SET_CLOCK, SIZE(kvm_clock_data), 0, BVK_VM_LOCK, bvk_set_clock),
	BVK_OP(KVM_SET_TSC_KHZ, 0, 0, BVK_VM_LOCK, bvk_vm_set_tsc_khz),
	BVK_OP(KVM_GET_TSC_KHZ, 0, 0, BVK_VM_LOCK, bvk_vm_get_tsc_khz),
	BVK_OP(KVM_X86_SET_MSR_FILTER, 0, 0, BVK_VM_LOCK, bvk_set_msr_filter),
	BVK_OP(KVM_GET_STATS_FD, 0, 0, BVK_NO_LOCK, bvk_get_stats_fd),
	BVK_OP(KVM_SET_USER_MEMORY_REGION, SIZE(kvm_userspace_memory_region), 0, BVK_VM_LOCK,
	       bvk_set_memory_region),
	BVK_OP(KVM_GET_DIRTY_LOG, SIZE(kvm_dirty_log), 0, BVK_VM_LOCK, bvk_get_dirty_log),
	BVK_OP(KVM_CLEAR_DIRTY_LOG, SIZE(kvm_clear_dirty_log), 0, BVK_VM_LOCK, bvk_clear_dirty_log),
	BVK_OP(KVM_RESET_DIRTY_RINGS, 0, 0, BVK_VM_LOCK, bvk_reset_dirty_rings),
	BVK_OP(KVM_CREATE_IRQCHIP, 0, 0, BVK_VM_LOCK, bvk_create_irqchip),
	BVK_OP(KVM_CREATE_PIT, 0, 0, BVK_VM_LOCK, bvk_create_pit),
	BVK_OP(KVM_CREATE_PIT2, SIZE(kvm_pit_config), 0, BVK_VM_LOCK, bvk_create_pit2),
	BVK_OP(KVM_SET_GSI_ROUTING, SIZE(kvm_irq_routing), 0, BVK_VM_LOCK, bvk_set_routing),
	BVK_OP(KVM_GET_IRQCHIP, SIZE(kvm_irqchip), SIZE(kvm_irqchip), BVK_VM_LOCK, bvk_get_irqchip),
	BVK_OP(KVM_SET_IRQCHIP, SIZE(kvm_irqchip), 0, BVK_VM_LOCK, bvk_set_irqchip),
	BVK_OP(KVM_GET_PIT, 0, SIZE(kvm_pit_state), BVK_VM_LOCK, bvk_get_pit),
	BVK_OP(KVM_SET_PIT, SIZE(kvm_pit_state), 0, BVK_VM_LOCK, bvk_set_pit),
	BVK_OP(KVM_GET_PIT2, 0, SIZE(kvm_pit_state2), BVK_VM_LOCK, bvk_get_pit2),
	BVK_OP(KVM_SET_PIT2, SIZE(kvm_pit_state2), 0, BVK_VM_LOCK, bvk_set_pit2),
	BVK_OP(KVM_REINJECT_CONTROL, SIZE(kvm_reinject_control), 0, BVK_VM_LOCK,
	       bvk_reinject_control),
	BVK_OP(KVM_IRQFD, SIZE(kvm_irqfd), 0, BVK_VM_LOCK, bvk_irqfd),
	BVK_OP(KVM_IOEVENTFD, SIZE(kvm_ioeventfd), 0, BVK_VM_LOCK, bvk_ioeventfd),
};

static const struct bvk_op vcpu_ops[] = {
	BVK_OP(KVM_RUN, 0, 0, BVK_VCPU_LOCK, bvk_run),
	BVK_OP(KVM_GET_REGS, 0, SIZE(kvm_regs), BVK_VCPU_LOCK, bvk_get_regs),
	BVK_OP(KVM_SET_REGS, SIZE(kvm_regs), 0, BVK_VCPU_LOCK, bvk_set_regs),
	BVK_OP(KVM_GET_SREGS, 0, SIZE(kvm_sregs), BVK_VCPU_LOCK, bvk_get_sregs),
	BVK_OP(KVM_SET_SREGS, SIZE(kvm_sregs), 0, BVK_VCPU_LOCK, bvk_set_sregs),
	BVK_OP(KVM_GET_SREGS2, 0, SIZE(kvm_sregs2), BVK_VCPU_LOCK, bvk_get_sregs2),
	BVK_OP(KVM_SET_SREGS2, SIZE(kvm_sregs2), 0, BVK_VCPU_LOCK, bvk_set_sregs2),
	BVK_OP(KVM_GET_MSRS, SIZE(kvm_msrs), 0, BVK_VCPU_LOCK, bvk_get_msrs),
	BVK_OP(KVM_SET_MSRS, SIZE(kvm_msrs), 0, BVK_VCPU_LOCK, bvk_set_msrs),
	BVK_OP(KVM_GET_MP_STATE, 0, SIZE(kvm_mp_state), BVK_VCPU_LOCK, bvk_get_mp_state),
	BVK_OP(KVM_SET_MP_STATE, SIZE(kvm_mp_state), 0, BVK_VCPU_LOCK, bvk_set_mp_state),
	BVK_OP(KVM_GET_LAPIC, 0, SIZE(kvm_lapic_state), BVK_VCPU_LOCK, bvk_get_lapic),
	BVK_OP(KVM_SET_LAPIC, SIZE(kvm_lapic_state), 0, BVK_VCPU_LOCK, bvk_set_lapic),
	BVK_OP(KVM_GET_VCPU_EVENTS, 0, SIZE(kvm_vcpu_events), BVK_VCPU_LOCK, bvk_get_events),
	BVK_OP(KVM_SET_VCPU_EVENTS, SIZE(kvm_vcpu_events), 0, BVK_VCPU_LOCK, bvk_set_events),
	BVK_OP(KVM_GET_FPU, 0, SIZE(kvm_fpu), BVK_VCPU_LOCK, bvk_get_fpu),
	BVK_OP(KVM_SET_FPU, SIZE(kvm_fpu), 0, BVK_VCPU_LOCK, bvk_set_fpu),
	BVK_OP(KVM_GET_XSAVE, 0, 0, BVK_VCPU_LOCK, bvk_get_xsave),
	BVK_OP(KVM_GET_XSAVE2, 0, 0, BVK_VCPU_LOCK, bvk_get_xsave2),
	BVK_OP(KVM_SET_XSAVE, 0, 0, BVK_VCPU_LOCK, bvk_set_xsave),
	BVK_OP(KVM_GET_XCRS, 0, SIZE(kvm_xcrs), BVK_VCPU_LOCK, bvk_get_xcrs),
	BVK_OP(KVM_SET_XCRS, SIZE(kvm_xcrs), 0, BVK_VCPU_LOCK, bvk_set_xcrs),
	BVK_OP(KVM_GET_DEBUGREGS, 0, SIZE(kvm_debugregs), BVK_VCPU_LOCK, bvk_get_debugregs),
	BVK_OP(KVM_SET_DEBUGREGS, SIZE(kvm_debugregs), 0, BVK_VCPU_LOCK, bvk_set_debugregs),
	BVK_OP(KVM_GET_NESTED_STATE, SIZE(kvm_nested_state), 0, BVK_VCPU_LOCK,
	       bvk_get_nested_state),
	BVK_OP(KVM_SET_NESTED_STATE, SIZE(kvm_nested_state), 0, BVK_VCPU_LOCK,
	       bvk_set_nested_state),
	BVK_OP(KVM_SET_CPUID, SIZE(kvm_cpuid), 0, BVK_VCPU_LOCK, bvk_set_cpuid),
	BVK_OP(KVM_SET_CPUID2, SIZE(kvm_cpuid2), 0, BVK_VCPU_LOCK, bvk_set_cpuid2),
	BVK_OP(KVM_GET_CPUID2, SIZE(kvm_cpuid2), 0, BVK_VCPU_LOCK, bvk_get_cpuid2),
	BVK_OP(KVM_SET_SIGNAL_MASK, 0, 0, BVK_VCPU_LOCK, bvk_set_signal_mask),
	BVK_OP(KVM_INTERRUPT, SIZE(kvm_interrupt), 0, BVK_VCPU_LOCK, bvk_interrupt),
	BVK_OP(KVM_NMI, 0, 0, BVK_VCPU_LOCK, bvk_nmi),
	BVK_OP(KVM_X86_SETUP_MCE, sizeof(__u64), 0, BVK_VCPU_LOCK, bvk_setup_mce),
	BVK_OP(KVM_X86_SET_MCE, SIZE(kvm_x86_mce), 0, BVK_VCPU_LOCK, bvk_raise_mce),
	BVK_OP(KVM_SET_TSC_KHZ, 0, 0, BVK_VCPU_LOCK, bvk_vcpu_set_tsc_khz),
	BVK_OP(KVM_GET_TSC_KHZ, 0, 0, BVK_VCPU_LOCK, bvk_vcpu_get_tsc_khz),
	BVK_OP(KVM_KVMCLOCK_CTRL, 0, 0, BVK_VCPU_LOCK, bvk_clock_paused),
	BVK_OP(KVM_TRANSLATE, SIZE(kvm_translation), SIZE(kvm_translation), BVK_VCPU_LOCK,
	       bvk_translate),
	BVK_OP(KVM_SET_GUEST_DEBUG, SIZE(kvm_guest_debug), 0, BVK_VCPU_LOCK, bvk_set_guest_debug),
	BVK_OP(KVM_TPR_ACCESS_REPORTING, SIZE(kvm_tpr_access_ctl), SIZE(kvm_tpr_access_ctl),
	       BVK_VCPU_LOCK, bvk_tpr_reporting),
	BVK_OP(KVM_SET_VAPIC_ADDR, SIZE(kvm_vapic_addr), 0, BVK_VCPU_LOCK, bvk_set_vapic_addr),
	BVK_OP(KVM_HAS_DEVICE_ATTR, SIZE(kvm_device_attr), 0, BVK_VCPU_LOCK, bvk_has_vcpu_attr),
	BVK_OP(KVM_GET_DEVICE_ATTR, SIZE(kvm_device_attr), 0, BVK_VCPU_LOCK, bvk_get_vcpu_attr),
	BVK_OP(KVM_SET_DEVICE_ATTR, SIZE(kvm_device_attr), 0, BVK_VCPU_LOCK, bvk_set_vcpu_attr),
	BVK_OP(KVM_GET_STATS_FD, 0, 0, BVK_NO_LOCK, bvk_get_stats_fd),
};

int bvk_copy_failed(struct bvk_call *call, const char *what)
{
	return bvk_refuse(call, BV_EFAULT, "%s at %#llx: not all of it is the caller's memory",
			  what, call->arg);
}

void *bvk_copy_array_in(struct bvk_call *call, u64 addr, u32 count, u32 item, int *error)
{
	size_t bytes = (size_t)count * item;
	void *copy = bv_host_alloc(bytes ? bytes : 1);

	if (!copy) {
		*error = -BV_ENOMEM;
		return NULL;
	}
	if (bytes && bv_host_copy_in(copy, addr, bytes)) {
		bv_host_free(copy);
		*error = bvk_copy_failed(call, "the array behind the argument");
		return NULL;
	}
	return copy;
}

bool bvk_all_zero(const void *memory, size_t bytes)
{
	const u8 *byte = memory;

	while (bytes--)
		if (*byte++)
			return false;
	return true;
}

static const struct bvk_op *find_op(const struct bvk_op *ops, unsigned int count, u32 cmd)
{
	for (unsigned int i = 0; i < count; i++)
		if (ops[i].cmd == cmd)
			return &ops[i];
	return NULL;
}

static int call_lock(struct bvk_call *call, u8 which)
{
	if (which == BVK_VM_LOCK)
		return bv_host_mutex_lock_killable(&call->vm->lock);
	if (which == BVK_VCPU_LOCK)
		return bv_host_mutex_lock_killable(&call->vcpu->lock);
	return 0;
}

static void call_unlock(struct bvk_call *call, u8 which)
{
	if (which == BVK_VM_LOCK)
		bv_host_mutex_unlock(&call->vm->lock);
	if (which == BVK_VCPU_LOCK)
		bv_host_mutex_unlock(&call->vcpu->lock);
}

static long call_perform(struct bvk_call *call, const struct bvk_op *op)
{
	long result;

	if (op->in && bv_host_copy_in(call->data, call->arg, op->in))
		return bvk_copy_failed(call, "the argument");
	result = call_lock(call, op->lock);
	if (result)
		return result;
	result = op->perform(call);
	call_unlock(call, op->lock);
	if (result >= 0 && op->out && bv_host_copy_out(call->arg, call->data, op->out))
		return bvk_copy_failed(call, "the answer");
	return result;
}

/* Small arguments lie on the stack, large ones (a chip's state) are allocated. */
static long perform_with_data(struct bvk_call *call, const struct bvk_op *op)
{
	u32 bytes = op->in > op->out ? op->in : op->out;
	u64 small[48];
	long result;

	if (bytes <= sizeof(small)) {
		bvk_zero(small, bytes);
		call->data = small;
		return call_perform(call, op);
	}
	call->data = bv_host_alloc(bytes);
	if (!call->data)
		return -BV_ENOMEM;
	result = call_perform(call, op);
	bv_host_free(call->data);
	return result;
}

static long dispatch(struct bvk_call *call, const struct bvk_op *ops, unsigned int count)
{
	const struct bvk_op *op = find_op(ops, count, call->request->cmd);

	if (!op)
		return bv_refuse(bvk_why(call), BV_ENOTTY,
				 "ioctl %#x: not one of this kind of file", call->request->cmd);
	call->name = op->name;
	call->arg = call->request->arg;
	return perform_with_data(call, op);
}

/* Only the process that made a VM may control it: the VM's memory is that process's. */
static int check_owner(struct bvk_call *call)
{
	if (bvk_host_vm_is_ours(call->vm->host))
		return 0;
	return bv_refuse(bvk_why(call), BV_EIO,
			 "ioctl %#x: the caller is not in the address space that created the VM",
			 call->request->cmd);
}

long bvk_dev_ioctl(const struct bvk_request *request)
{
	struct bvk_call call = { .request = request };

	return dispatch(&call, dev_ops, BV_ARRAY_SIZE(dev_ops));
}

long bvk_vm_ioctl(struct bvk_vm *vm, const struct bvk_request *request)
{
	struct bvk_call call = { .request = request, .vm = vm };
	int error = check_owner(&call);

	return error ? error : dispatch(&call, vm_ops, BV_ARRAY_SIZE(vm_ops));
}

long bvk_vcpu_ioctl(struct bvk_vcpu *vcpu, const struct bvk_request *request)
{
	struct bvk_call call = { .request = request, .vm = vcpu->vm, .vcpu = vcpu };
	int error = check_owner(&call);

	return error ? error : dispatch(&call, vcpu_ops, BV_ARRAY_SIZE(vcpu_ops));
}

size_t bvk_reasons(struct bvk_vm *vm, char *text, size_t size)
{
	return bv_why_read(vm ? bv_vm_why(vm->vm) : bv_why_global(), text, size);
}
