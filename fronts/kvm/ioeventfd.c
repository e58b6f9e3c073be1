// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ioeventfds: a guest's write to a port or a device address that signals an eventfd, and is then
 * done.
 */
#include "front.h"

struct bvk_ioeventfd {
	struct bv_doorbell bell;
	struct bvk_ioeventfd *next; /* guarded by the VM's lock */
	void *eventfd;
};

static void ioeventfd_rung(struct bv_doorbell *bell)
{
	bvk_host_eventfd_signal(BV_CONTAINER(bell, struct bvk_ioeventfd, bell)->eventfd);
}

static void ioeventfd_free(struct bvk_vm *vm, struct bvk_ioeventfd *ioeventfd)
{
	bv_doorbell_del(vm->vm, &ioeventfd->bell);
	bvk_host_eventfd_put(ioeventfd->eventfd);
	bv_host_free(ioeventfd);
}

void bvk_ioeventfds_end(struct bvk_vm *vm)
{
	while (vm->ioeventfds) {
		struct bvk_ioeventfd *first = vm->ioeventfds;

		vm->ioeventfds = first->next;
		ioeventfd_free(vm, first);
	}
}

static int check_length(struct bvk_call *call, const struct kvm_ioeventfd *args)
{
	switch (args->len) {
	case 0:
		if (!(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH))
			return 0;
		return bvk_refuse(call, BV_EINVAL,
				  "len = 0: cannot go with KVM_IOEVENTFD_FLAG_DATAMATCH");
	case 1:
	case 2:
	case 4:
	case 8:
		return 0;
	default:
		return bvk_refuse(call, BV_EINVAL, "len = %u: must be 0, 1, 2, 4 or 8", args->len);
	}
}

static int check(struct bvk_call *call, const struct kvm_ioeventfd *args)
{
	const u32 known =
		KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN;

	if (args->flags & ~known)
		return bvk_refuse(call, BV_EINVAL, "flags = %#x: only %#x are known", args->flags,
				  known);
	if (args->addr + args->len < args->addr)
		return bvk_refuse(call, BV_EINVAL, "addr = %#llx: its end is past 2^64",
				  args->addr);
	return check_length(call, args);
}

/*
 * A bell for any value is in the way of every other one of its length at its address, and so is one
 * of any length.
 */
static bool clash(const struct bv_doorbell *a, const struct bv_doorbell *b)
{
	if (a->port != b->port || a->addr != b->addr)
		return false;
	if (a->len && b->len && a->len != b->len)
		return false;
	return !a->match || !b->match || a->value == b->value;
}

static long assign(struct bvk_call *call, const struct bv_doorbell *bell, void *eventfd)
{
	struct bvk_ioeventfd *ioeventfd;
	int error;

	for (ioeventfd = call->vm->ioeventfds; ioeventfd; ioeventfd = ioeventfd->next)
		if (clash(&ioeventfd->bell, bell))
			return bvk_refuse(call, BV_EEXIST,
					  "addr = %#llx, len = %u: clashes with another",
					  bell->addr, bell->len);
	ioeventfd = bv_host_alloc(sizeof(*ioeventfd));
	if (!ioeventfd)
		return -BV_ENOMEM;
	ioeventfd->bell = *bell;
	ioeventfd->eventfd = eventfd;
	error = bv_doorbell_add(call->vm->vm, &ioeventfd->bell);
	if (error) {
		bv_host_free(ioeventfd);
		return error;
	}
	ioeventfd->next = call->vm->ioeventfds;
	call->vm->ioeventfds = ioeventfd;
	return 0;
}

static bool same(const struct bvk_ioeventfd *ioeventfd, const struct bv_doorbell *bell,
		 const void *eventfd)
{
	const struct bv_doorbell *other = &ioeventfd->bell;

	return ioeventfd->eventfd == eventfd && other->port == bell->port &&
	       other->addr == bell->addr && other->len == bell->len &&
	       other->match == bell->match && (!bell->match || other->value == bell->value);
}

static long deassign(struct bvk_call *call, const struct bv_doorbell *bell, const void *eventfd)
{
	struct bvk_ioeventfd **at = &call->vm->ioeventfds, *found;

	while (*at && !same(*at, bell, eventfd))
		at = &(*at)->next;
	found = *at;
	if (!found)
		return bvk_refuse(call, BV_ENOENT, "addr = %#llx, len = %u: no such ioeventfd",
				  bell->addr, bell->len);
	*at = found->next;
	ioeventfd_free(call->vm, found);
	return 0;
}

long bvk_ioeventfd(struct bvk_call *call)
{
	const struct kvm_ioeventfd *args = call->data;
	const struct bv_doorbell bell = {
		.addr = args->addr,
		.len = args->len,
		.port = args->flags & KVM_IOEVENTFD_FLAG_PIO,
		.match = args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH,
		.value = args->datamatch,
		.ring = ioeventfd_rung,
	};
	void *eventfd;
	long error = check(call, args);

	if (error)
		return error;
	error = bvk_host_eventfd_get(args->fd, &eventfd);
	if (error)
		return bvk_refuse(call, (int)-error, "fd = %d: not an eventfd", args->fd);
	if (!(args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN))
		error = assign(call, &bell, eventfd);
	else
		error = deassign(call, &bell, eventfd);
	/* An assigned one keeps the reference. */
	if (error || (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN))
		bvk_host_eventfd_put(eventfd);
	return error;
}
