// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vsock (virtio 1.2, section 5.10): receive and transmit are the kernel's, events ours. A restored
 * guest is told by an event that its connections are gone.
 */
#include "vmm/vsock.h"
#include "vmm/vhost.h"

#include <stdlib.h>
#include <string.h>

#define VSOCK_QUEUES 3
#define VSOCK_EVENT 2
#define QUEUE_SIZE 128

struct vsock {
	struct virtio_dev dev;
	struct vhost *vhost;
	uint64_t cid;
};

static void vsock_kicked(void *owner, struct virtq *queue)
{
	(void)owner;
	virtq_wants_kicks(queue); /* buffers for events wait */
}

static void vsock_ready(void *owner)
{
	struct vsock *vsock = owner;

	if (vhost_start(vsock->vhost))
		virtio_break(&vsock->dev, "vhost-vsock does not start");
}

static void vsock_reset(void *owner)
{
	struct vsock *vsock = owner;

	vhost_stop(vsock->vhost);
}

static void vsock_quiesce(void *owner, bool on)
{
	struct vsock *vsock = owner;

	if (!virtio_is_ready(&vsock->dev))
		return;
	if (on)
		vhost_stop(vsock->vhost);
	else
		vhost_start(vsock->vhost);
}

static void vsock_vector_changed(void *owner, unsigned int vector)
{
	struct vsock *vsock = owner;

	vhost_vector_changed(vsock->vhost, vector);
}

static void vsock_destroy(void *owner)
{
	struct vsock *vsock = owner;

	vhost_close(vsock->vhost);
	free(vsock);
}

static const struct virtio_ops VSOCK_OPS = {
	.kicked = vsock_kicked,
	.ready = vsock_ready,
	.reset = vsock_reset,
	.quiesce = vsock_quiesce,
	.vector_changed = vsock_vector_changed,
	.destroy = vsock_destroy,
};

int vsock_create(struct vm *vm, uint32_t cid, struct why *why)
{
	struct vsock *vsock = calloc(1, sizeof(*vsock));

	if (!vsock)
		return why_set(why, "no memory");
	if (cid < 3)
		return why_set(why, "a vsock address is 3 or more, not %u", cid);
	vsock->cid = cid;
	vsock->vhost = vhost_open("/dev/vhost-vsock", vm, why);
	if (!vsock->vhost || vhost_vsock_cid(vsock->vhost, cid, why))
		return -1;
	virtio_init(&vsock->dev, vm, VIRTIO_VSOCK, "vsock", &VSOCK_OPS, vsock, 0, VSOCK_QUEUES,
		    QUEUE_SIZE);
	memcpy(vsock->dev.config, &vsock->cid, sizeof(vsock->cid));
	vsock->dev.config_size = sizeof(vsock->cid);
	if (vhost_attach(vsock->vhost, &vsock->dev, VSOCK_EVENT, why))
		return -1;
	return virtio_plug(&vsock->dev, why);
}
