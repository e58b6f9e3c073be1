// SPDX-License-Identifier: GPL-2.0-or-later
/* A queue that somebody else serves: see outer_queue.h. */
#include "vmm/outer_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

static void call_ready(void *owner, uint32_t events)
{
	struct outer_queue *queue = owner;
	struct virtio_dev *dev = queue->virtq->dev;
	uint64_t count;

	(void)events;
	if (read(queue->call.fd, &count, sizeof(count)) < 0)
		return;
	if (pci_msix_enabled(&dev->pci)) {
		pci_msix_notify(&dev->pci, queue->virtq->vector);
		return;
	}
	dev->isr |= 1;
	pci_intx_set(&dev->pci, true);
}

int outer_queue_init(struct outer_queue *queue, struct virtq *virtq, struct why *why)
{
	struct vm *vm = virtq->dev->vm;

	*queue = (struct outer_queue){ .virtq = virtq };
	queue->call = (struct loop_fd){ eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), call_ready, queue };
	queue->gsi = hv_msi_alloc(vm->hv);
	if (queue->gsi < 0 || queue->call.fd < 0 || loop_add(&vm->loop, &queue->call, EPOLLIN))
		return why_set(why, "too many interrupts for the device %s", virtq->dev->name);
	return 0;
}

void outer_queue_fini(struct outer_queue *queue)
{
	struct vm *vm = queue->virtq->dev->vm;

	if (queue->call.fd >= 0) {
		loop_remove(&vm->loop, &queue->call);
		close(queue->call.fd);
	}
	if (queue->gsi >= 0)
		hv_msi_free(vm->hv, queue->gsi);
}

void outer_queue_lend(struct outer_queue *queue, bool lent)
{
	loop_change(&queue->virtq->dev->vm->loop, &queue->virtq->kick, lent ? 0 : EPOLLIN);
}

/*
 * A vector that goes out is a route in the kernel; one that is masked, or a pin, is told here,
 * where what is pending can be noted.
 */
void outer_queue_route(struct outer_queue *queue, bool running)
{
	struct virtio_dev *dev = queue->virtq->dev;
	struct vm *vm = dev->vm;
	uint64_t address = 0;
	uint32_t data = 0;
	bool direct = running && pci_msix_target(&dev->pci, queue->virtq->vector, &address, &data);

	if (direct)
		hv_msi_route(vm->hv, queue->gsi, address, data);
	if (direct == queue->by_kernel)
		return;
	if (direct) {
		loop_change(&vm->loop, &queue->call, 0);
		queue->by_kernel = !hv_irqfd(vm->hv, queue->gsi, queue->call.fd, true);
	} else {
		hv_irqfd(vm->hv, queue->gsi, queue->call.fd, false);
		queue->by_kernel = false;
	}
	if (!queue->by_kernel)
		loop_change(&vm->loop, &queue->call, EPOLLIN);
}
