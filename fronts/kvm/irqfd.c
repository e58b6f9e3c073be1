// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * irqfds: an eventfd whose signal raises an interrupt line of the VM, without user space in
 * between.
 *
 * Plain: a signal is an edge on the line of the gsi. Resampling: a signal raises a level line and
 * leaves it so; when the guest has ended the interrupt, the line falls and the second eventfd is
 * signaled, whose owner signals again if its device still wants service. Each resampling irqfd
 * drives a line source of its own, so that one cannot lower what another raised.
 *
 * Lifetime. An irqfd is in vm->irqfds from its assignment until it is unlinked, under irqfd_lock,
 * by whoever comes first: user space (deassign), a hang-up of its eventfd, or the VM's end. Who
 * unlinks it tells its listener to end, once; the host then calls irqfd_ended, which frees it. VM
 * end waits for that (bvk_host_listen_flush), so an irqfd never outlives its VM.
 */
#include "front.h"

struct bvk_irqfd {
	struct bvk_listener listener;
	struct bvk_irqfd *next; /* guarded by irqfd_lock */

	/* constant after assignment */
	struct bvk_vm *vm;
	u32 gsi;
	bool resamples;
	unsigned int source;
	struct bv_ack_notifier notifier;
	void *resample_eventfd;
};

static void irqfd_signaled(struct bvk_listener *listener)
{
	struct bvk_irqfd *irqfd = BV_CONTAINER(listener, struct bvk_irqfd, listener);
	struct bv_vm *vm = irqfd->vm->vm;

	bv_irq_line(vm, irqfd->gsi, irqfd->source, true);
	if (!irqfd->resamples)
		bv_irq_line(vm, irqfd->gsi, irqfd->source, false);
}

/* The guest has ended an interrupt of the gsi. */
static void irqfd_acked(struct bv_ack_notifier *notifier)
{
	struct bvk_irqfd *irqfd = BV_CONTAINER(notifier, struct bvk_irqfd, notifier);

	bv_irq_line(irqfd->vm->vm, irqfd->gsi, irqfd->source, false);
	bvk_host_eventfd_signal(irqfd->resample_eventfd);
}

static void source_release(struct bvk_vm *vm, unsigned int source)
{
	u64 flags = bv_host_spin_lock_irq(&vm->irqfd_lock);

	vm->sources &= ~BV_BIT(source);
	bv_host_spin_unlock_irq(&vm->irqfd_lock, flags);
}

static unsigned int source_take(struct bvk_vm *vm)
{
	u64 flags = bv_host_spin_lock_irq(&vm->irqfd_lock);
	unsigned int source = BVK_SOURCE_RESAMPLE;

	while (source < BVK_SOURCE_RESAMPLE + BVK_MAX_RESAMPLERS && vm->sources & BV_BIT(source))
		source++;
	if (source < BVK_SOURCE_RESAMPLE + BVK_MAX_RESAMPLERS)
		vm->sources |= BV_BIT(source);
	else
		source = 0;
	bv_host_spin_unlock_irq(&vm->irqfd_lock, flags);
	return source;
}

static void resampling_end(struct bvk_irqfd *irqfd)
{
	bv_irq_ack_notifier_del(irqfd->vm->vm, &irqfd->notifier);
	bv_irq_line(irqfd->vm->vm, irqfd->gsi, irqfd->source, false);
	source_release(irqfd->vm, irqfd->source);
	bvk_host_eventfd_put(irqfd->resample_eventfd);
}

static void irqfd_ended(struct bvk_listener *listener)
{
	struct bvk_irqfd *irqfd = BV_CONTAINER(listener, struct bvk_irqfd, listener);

	if (irqfd->resamples)
		resampling_end(irqfd);
	bv_host_free(irqfd);
}

/* Takes an irqfd off the list, if it is there. irqfd_lock held. */
static bool irqfd_unlink_locked(struct bvk_irqfd *irqfd)
{
	for (struct bvk_irqfd **at = &irqfd->vm->irqfds; *at; at = &(*at)->next) {
		if (*at != irqfd)
			continue;
		*at = irqfd->next;
		return true;
	}
	return false;
}

static void irqfd_hung_up(struct bvk_listener *listener)
{
	struct bvk_irqfd *irqfd = BV_CONTAINER(listener, struct bvk_irqfd, listener);
	struct bvk_vm *vm = irqfd->vm;
	u64 flags = bv_host_spin_lock_irq(&vm->irqfd_lock);
	bool ours = irqfd_unlink_locked(irqfd);

	bv_host_spin_unlock_irq(&vm->irqfd_lock, flags);
	if (ours)
		bvk_host_listen_end(listener);
}

/*
 * Ends the first irqfd that listens to the eventfd on the gsi; NULL and any gsi: the first of all.
 */
static bool irqfd_end_one(struct bvk_vm *vm, void *eventfd, u32 gsi)
{
	u64 flags = bv_host_spin_lock_irq(&vm->irqfd_lock);
	struct bvk_irqfd *irqfd = vm->irqfds;

	while (irqfd && eventfd &&
	       (irqfd->gsi != gsi || !bvk_host_listens_to(&irqfd->listener, eventfd)))
		irqfd = irqfd->next;
	if (irqfd)
		irqfd_unlink_locked(irqfd);
	bv_host_spin_unlock_irq(&vm->irqfd_lock, flags);
	if (irqfd)
		bvk_host_listen_end(&irqfd->listener);
	return irqfd;
}

void bvk_irqfds_end(struct bvk_vm *vm)
{
	while (irqfd_end_one(vm, NULL, 0))
		;
	bvk_host_listen_flush();
}

/* User space may ask to end one that is not there: the eventfd's hang-up may have been first. */
static long irqfd_deassign(struct bvk_call *call, const struct kvm_irqfd *args)
{
	void *eventfd;
	int error = bvk_host_eventfd_get((s32)args->fd, &eventfd);

	if (error)
		return bvk_refuse(call, -error, "fd = %d: not an eventfd", (s32)args->fd);
	while (irqfd_end_one(call->vm, eventfd, args->gsi))
		;
	bvk_host_eventfd_put(eventfd);
	bvk_host_listen_flush();
	return 0;
}

static int resampling_begin(struct bvk_call *call, struct bvk_irqfd *irqfd,
			    const struct kvm_irqfd *args)
{
	int error = bvk_host_eventfd_get((s32)args->resamplefd, &irqfd->resample_eventfd);

	if (error)
		return bvk_refuse(call, -error, "resamplefd = %d: not an eventfd",
				  (s32)args->resamplefd);
	irqfd->source = source_take(irqfd->vm);
	if (!irqfd->source) {
		bvk_host_eventfd_put(irqfd->resample_eventfd);
		return bvk_refuse(call, BV_ENOSPC, "%u resampling irqfds exist: no more than that",
				  BVK_MAX_RESAMPLERS);
	}
	irqfd->resamples = true;
	irqfd->notifier.gsi = irqfd->gsi;
	irqfd->notifier.acked = irqfd_acked;
	bv_irq_ack_notifier_add(irqfd->vm->vm, &irqfd->notifier);
	return 0;
}

/* An eventfd drives one gsi of a VM, once. */
static int check_not_assigned(struct bvk_call *call, const struct kvm_irqfd *args)
{
	struct bvk_irqfd *irqfd;
	void *eventfd;
	u64 flags;
	int error = bvk_host_eventfd_get((s32)args->fd, &eventfd);

	if (error)
		return bvk_refuse(call, -error, "fd = %d: not an eventfd", (s32)args->fd);
	flags = bv_host_spin_lock_irq(&call->vm->irqfd_lock);
	for (irqfd = call->vm->irqfds; irqfd; irqfd = irqfd->next)
		if (bvk_host_listens_to(&irqfd->listener, eventfd))
			break;
	bv_host_spin_unlock_irq(&call->vm->irqfd_lock, flags);
	bvk_host_eventfd_put(eventfd);
	if (irqfd)
		return bvk_refuse(call, BV_EBUSY, "fd = %d: this eventfd drives a gsi already",
				  (s32)args->fd);
	return 0;
}

static void irqfd_link(struct bvk_irqfd *irqfd)
{
	struct bvk_vm *vm = irqfd->vm;
	u64 flags = bv_host_spin_lock_irq(&vm->irqfd_lock);

	irqfd->next = vm->irqfds;
	vm->irqfds = irqfd;
	bv_host_spin_unlock_irq(&vm->irqfd_lock, flags);
}

static void irqfd_unlink(struct bvk_irqfd *irqfd)
{
	u64 flags = bv_host_spin_lock_irq(&irqfd->vm->irqfd_lock);

	irqfd_unlink_locked(irqfd);
	bv_host_spin_unlock_irq(&irqfd->vm->irqfd_lock, flags);
}

static long irqfd_assign(struct bvk_call *call, const struct kvm_irqfd *args)
{
	struct bvk_irqfd *irqfd;
	int error = check_not_assigned(call, args);

	if (error)
		return error;
	irqfd = bv_host_alloc(sizeof(*irqfd));
	if (!irqfd)
		return -BV_ENOMEM;
	irqfd->vm = call->vm;
	irqfd->gsi = args->gsi;
	irqfd->source = BVK_SOURCE_USER;
	irqfd->listener.signaled = irqfd_signaled;
	irqfd->listener.hung_up = irqfd_hung_up;
	irqfd->listener.ended = irqfd_ended;
	if (args->flags & KVM_IRQFD_FLAG_RESAMPLE)
		error = resampling_begin(call, irqfd, args);
	if (error)
		goto undo;
	/* On the list before it listens: a hang-up that comes at once has to find it there. */
	irqfd_link(irqfd);
	error = bvk_host_listen(&irqfd->listener, (s32)args->fd);
	if (!error)
		return 0;
	irqfd_unlink(irqfd);
	if (irqfd->resamples)
		resampling_end(irqfd);
undo:
	bv_host_free(irqfd);
	return error;
}

long bvk_irqfd(struct bvk_call *call)
{
	const struct kvm_irqfd *args = call->data;
	const u32 known = KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE;

	if (args->flags & ~known)
		return bvk_refuse(call, BV_EINVAL, "flags = %#x: only %#x are known", args->flags,
				  known);
	if (args->gsi >= BV_MAX_ROUTES)
		return bvk_refuse(call, BV_EINVAL, "gsi = %u: must be below %u", args->gsi,
				  BV_MAX_ROUTES);
	if (args->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return irqfd_deassign(call, args);
	if (!bv_irqchip_present(call->vm->vm))
		return bvk_refuse(call, BV_EINVAL, "the VM has no interrupt controllers here");
	if ((args->flags & KVM_IRQFD_FLAG_RESAMPLE) && !bv_irqchip_full(call->vm->vm))
		return bvk_refuse(call, BV_EINVAL, "flags: resampling needs the I/O APIC here");
	return irqfd_assign(call, args);
}
