// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM of the front: birth and end, its vCPUs' birth. Its clock is in clock.c.
 *
 * Lifetime. Every file of a VM (its own, its vCPUs', statistics) holds one count in vm->users; the
 * last one gone ends the VM, in the reverse order of its creation. irqfds end with the VM's own
 * file, because a hang-up of an eventfd must find a VM that somebody still wants. vCPUs live as
 * long as the VM, not as long as their files: the guest has them.
 */
#include "front.h"

void bvk_vm_get(struct bvk_vm *vm)
{
	__atomic_add_fetch(&vm->users, 1, __ATOMIC_RELAXED);
}

static void vcpu_free(struct bvk_vcpu *vcpu)
{
	if (!vcpu)
		return;
	bvk_host_shared_free(vcpu->ring);
	bvk_host_shared_free(vcpu->io_page);
	bvk_host_shared_free(vcpu->page);
	if (vcpu->host)
		bvk_host_vcpu_free(vcpu->host);
	bv_host_free(vcpu);
}

#define LAST_REASONS 4

/* Goes back from the end of text over so many whole lines. */
static char *last_lines(char *text, size_t length, unsigned int lines)
{
	char *at = text + length;

	while (at > text && (at[-1] != '\n' || lines--))
		at--;
	return at;
}

/* A VMM that gave up takes its VM's ring with it: the newest reasons stay, in the device's. */
static void keep_last_reasons(struct bvk_vm *vm)
{
	char *text = bv_host_alloc(BVK_REASONS_SIZE), *line, *end;

	if (!text)
		return;
	line = last_lines(text, bvk_reasons(vm, text, BVK_REASONS_SIZE), LAST_REASONS);
	for (; *line; line = end + 1) {
		for (end = line; *end != '\n'; end++)
			;
		*end = 0;
		bv_refuse(bv_why_global(), 0, "a VM that ended: %s", line);
	}
	bv_host_free(text);
}

static void vm_end(struct bvk_vm *vm)
{
	keep_last_reasons(vm);
	bvk_irqfds_end(vm);
	bvk_ioeventfds_end(vm);
	bvk_host_vm_stop(vm->host);
	bv_vm_destroy(vm->vm);
	for (unsigned int id = 0; id < BV_MAX_VCPUS; id++)
		vcpu_free(vm->vcpu[id]);
	bvk_msr_filter_end(vm);
	bvk_host_vm_free(vm->host);
	bv_host_free(vm);
}

void bvk_vm_put(struct bvk_vm *vm)
{
	if (!__atomic_sub_fetch(&vm->users, 1, __ATOMIC_ACQ_REL))
		vm_end(vm);
}

void bvk_vm_release(struct bvk_vm *vm)
{
	bvk_irqfds_end(vm);
	bvk_vm_put(vm);
}

void bvk_vcpu_release(struct bvk_vcpu *vcpu)
{
	bvk_vm_put(vcpu->vm);
}

static struct bvk_vm *vm_new(void)
{
	struct bvk_vm *vm = bv_host_alloc(sizeof(*vm));

	if (!vm)
		return NULL;
	vm->users = 1;
	bv_host_mutex_init(&vm->lock);
	bv_host_spin_init(&vm->irqfd_lock);
	bv_host_spin_init(&vm->filter_lock);
	vm->host = bvk_host_vm_new();
	if (!vm->host)
		goto no_host;
	vm->vm = bv_vm_create(vm->host);
	if (!vm->vm)
		goto no_vm;
	bv_vm_set_front(vm->vm, vm);
	bv_vm_set_nested(vm->vm);
	bvk_pv_vm_init(vm);
	bvk_clock_init(&vm->clock);
	return vm;

no_vm:
	bvk_host_vm_free(vm->host);
no_host:
	bv_host_free(vm);
	return NULL;
}

/* Before start: there is no notifier to stop and nothing hangs on the VM. */
static void vm_undo(struct bvk_vm *vm)
{
	bv_vm_destroy(vm->vm);
	bvk_host_vm_free(vm->host);
	bv_host_free(vm);
}

long bvk_create_vm(struct bvk_call *call)
{
	struct bvk_vm *vm;
	struct bvk_fd fd;
	int error;

	if (call->arg)
		return bvk_refuse(call, BV_EINVAL, "machine type %#llx: there is only 0",
				  call->arg);
	error = bvk_host_fd_reserve(&fd, BVK_FILE_VM, 0);
	if (error)
		return error;
	vm = vm_new();
	if (!vm) {
		bvk_host_fd_cancel(&fd);
		return bvk_refuse(call, BV_ENOMEM, "no memory for a VM");
	}
	error = bvk_host_vm_start(vm->host, vm->vm);
	if (error) {
		vm_undo(vm);
		bvk_host_fd_cancel(&fd);
		return error;
	}
	bvk_host_fd_install(&fd, vm);
	return fd.number;
}

/* ---- vCPUs ---- */

static int check_vcpu_id(struct bvk_call *call)
{
	struct bvk_vm *vm = call->vm;
	u32 limit = vm->max_vcpu_id ? vm->max_vcpu_id : BV_MAX_VCPUS;

	if (call->arg >= limit)
		return bvk_refuse(call, BV_EINVAL, "id %llu: must be below %u", call->arg, limit);
	if (vm->vcpu_count >= BVK_MAX_VCPUS)
		return bvk_refuse(call, BV_EINVAL, "%u vCPUs exist: no more than that",
				  vm->vcpu_count);
	if (vm->vcpu[call->arg])
		return bvk_refuse(call, BV_EEXIST, "id %llu: that vCPU exists", call->arg);
	return 0;
}

static int vcpu_add_pages(struct bvk_vcpu *vcpu, u32 ring_entries)
{
	size_t bytes = (size_t)ring_entries * sizeof(struct kvm_dirty_gfn);

	vcpu->page = bvk_host_shared_alloc(BV_PAGE_SIZE);
	vcpu->io_page = bvk_host_shared_alloc(BV_PAGE_SIZE);
	if (!vcpu->page || !vcpu->io_page)
		return -BV_ENOMEM;
	if (!bytes)
		return 0;
	vcpu->ring = bvk_host_shared_alloc(bytes);
	vcpu->ring_pages = (u32)(bytes / BV_PAGE_SIZE);
	return vcpu->ring ? 0 : -BV_ENOMEM;
}

static struct bvk_vcpu *vcpu_new(struct bvk_vm *vm, u32 id, int *error)
{
	struct bvk_vcpu *vcpu = bv_host_alloc(sizeof(*vcpu));

	*error = -BV_ENOMEM;
	if (!vcpu)
		return NULL;
	vcpu->vm = vm;
	vcpu->id = id;
	bv_host_mutex_init(&vcpu->lock);
	vcpu->host = bvk_host_vcpu_new(vm->host);
	if (!vcpu->host)
		goto undo;
	*error = vcpu_add_pages(vcpu, vm->ring_entries);
	if (*error)
		goto undo;
	vcpu->vcpu = bv_vcpu_create(vm->vm, id, vcpu->host, vcpu->io_page, error);
	if (!vcpu->vcpu)
		goto undo;
	return vcpu;

undo:
	vcpu_free(vcpu);
	return NULL;
}

/*
 * What the user set for vCPUs to come. Both were checked when they were set: they cannot fail here.
 */
static void vcpu_apply_vm_settings(struct bvk_vcpu *vcpu)
{
	const struct bvk_vm *vm = vcpu->vm;

	if (vcpu->ring)
		bv_vcpu_dirty_ring_set(vcpu->vcpu, vcpu->ring, vm->ring_entries);
	if (vm->tsc_khz)
		bv_vcpu_set_tsc_khz(vcpu->vcpu, vm->tsc_khz);
}

long bvk_create_vcpu(struct bvk_call *call)
{
	struct bvk_vm *vm = call->vm;
	struct bvk_vcpu *vcpu;
	struct bvk_fd fd;
	int error = check_vcpu_id(call);

	if (error)
		return error;
	error = bvk_host_fd_reserve(&fd, BVK_FILE_VCPU, (unsigned int)call->arg);
	if (error)
		return error;
	vcpu = vcpu_new(vm, (u32)call->arg, &error);
	if (!vcpu) {
		bvk_host_fd_cancel(&fd);
		return error;
	}
	bvk_pv_vcpu_init(vcpu);
	vcpu_apply_vm_settings(vcpu);
	__atomic_store_n(&vm->vcpu[vcpu->id], vcpu, __ATOMIC_RELEASE);
	vm->vcpu_count++;
	bvk_vm_get(vm);
	bvk_host_fd_install(&fd, vcpu);
	return fd.number;
}

void *bvk_vcpu_page(struct bvk_vcpu *vcpu, u64 index)
{
	if (index == 0)
		return vcpu->page;
	if (index == KVM_PIO_PAGE_OFFSET)
		return vcpu->io_page;
	if (index < KVM_DIRTY_LOG_PAGE_OFFSET ||
	    index - KVM_DIRTY_LOG_PAGE_OFFSET >= vcpu->ring_pages)
		return NULL;
	return (char *)vcpu->ring + (index - KVM_DIRTY_LOG_PAGE_OFFSET) * BV_PAGE_SIZE;
}

long bvk_set_boot_cpu(struct bvk_call *call)
{
	if (call->vm->vcpu_count)
		return bvk_refuse(call, BV_EBUSY, "%u vCPUs exist: only before the first one",
				  call->vm->vcpu_count);
	if (call->arg >= BV_MAX_VCPUS)
		return bvk_refuse(call, BV_EINVAL, "id %llu: must be below %u", call->arg,
				  BV_MAX_VCPUS);
	bv_vm_set_bsp(call->vm->vm, (unsigned int)call->arg);
	return 0;
}

/*
 * Addresses at which Intel's CPUs without "unrestricted guest" need pages of ours in the guest's
 * space. No CPU that this engine runs on does: they are checked and forgotten.
 */
long bvk_set_tss_addr(struct bvk_call *call)
{
	const u64 last = 0xffffffffULL - 3 * BV_PAGE_SIZE;

	if (call->arg > last)
		return bvk_refuse(call, BV_EINVAL,
				  "address %#llx: three pages must end below 4 GiB", call->arg);
	return 0;
}

long bvk_set_identity_map_addr(struct bvk_call *call)
{
	if (call->vm->vcpu_count)
		return bvk_refuse(call, BV_EINVAL, "%u vCPUs exist: only before the first one",
				  call->vm->vcpu_count);
	return 0;
}

/* ---- time ---- */

long bvk_vm_set_tsc_khz(struct bvk_call *call)
{
	u32 host = bv_host_tsc_khz();

	if (call->vm->vcpu_count)
		return bvk_refuse(call, BV_EINVAL, "%u vCPUs exist: only before the first one",
				  call->vm->vcpu_count);
	if (call->arg && call->arg != host && !bv_tsc_scalable())
		return bvk_refuse(call, BV_EINVAL,
				  "%llu kHz: this CPU cannot scale the TSC from its %u kHz",
				  call->arg, host);
	if (call->arg > 0xffffffffULL)
		return bvk_refuse(call, BV_EINVAL, "%llu kHz: more than 32 bits", call->arg);
	call->vm->tsc_khz = (u32)call->arg;
	return 0;
}

long bvk_vm_get_tsc_khz(struct bvk_call *call)
{
	return call->vm->tsc_khz ? call->vm->tsc_khz : bv_host_tsc_khz();
}
