// SPDX-License-Identifier: GPL-2.0-or-later
/* Queues that the kernel serves: see vhost.h. One vhost descriptor serves two queues. */
#include "vmm/vhost.h"
#include "vmm/outer_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define UNITS_MAX 8

struct vhost {
	struct vm *vm;
	struct virtio_dev *dev;
	const char *path;
	int units[UNITS_MAX];
	int taps[UNITS_MAX];
	unsigned int units_count;
	bool vsock;
	bool running;
	uint64_t features;
	unsigned int queues_count;
	struct outer_queue queues[2 * UNITS_MAX];
};

static int open_unit(struct vhost *vhost, struct why *why)
{
	int fd = open(vhost->path, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		why_set(why, "%s cannot be opened: %s", vhost->path, strerror(errno));
		why_hint(why, errno == ENOENT ? "modprobe %s" : "give this user access to %s",
			 errno == ENOENT ? strrchr(vhost->path, '/') + 1 : vhost->path);
		return -1;
	}
	if (ioctl(fd, VHOST_SET_OWNER, 0) || ioctl(fd, VHOST_GET_FEATURES, &vhost->features)) {
		why_set(why, "%s does not answer: %s", vhost->path, strerror(errno));
		close(fd);
		return -1;
	}
	vhost->units[vhost->units_count++] = fd;
	return 0;
}

struct vhost *vhost_open(const char *path, struct vm *vm, struct why *why)
{
	struct vhost *vhost = calloc(1, sizeof(*vhost));
	unsigned int i;

	if (!vhost) {
		why_set(why, "no memory");
		return NULL;
	}
	for (i = 0; i < UNITS_MAX; i++)
		vhost->taps[i] = -1;
	vhost->vm = vm;
	vhost->path = path;
	if (open_unit(vhost, why)) {
		free(vhost);
		return NULL;
	}
	return vhost;
}

void vhost_vector_changed(struct vhost *vhost, unsigned int vector)
{
	unsigned int i;

	for (i = 0; i < vhost->queues_count && vhost->running; i++)
		if (vhost->queues[i].virtq->vector == vector || vhost->queues[i].by_kernel)
			outer_queue_route(&vhost->queues[i], true);
}

int vhost_attach(struct vhost *vhost, struct virtio_dev *dev, unsigned int queues, struct why *why)
{
	unsigned int i;

	vhost->dev = dev;
	while (vhost->units_count < queues / 2)
		if (vhost->units_count == UNITS_MAX || open_unit(vhost, why))
			return -1;
	dev->features &= vhost->features | ~(VIRTIO_RING_INDIRECT | VIRTIO_RING_EVENT);
	for (i = 0; i < queues; i++)
		if (outer_queue_init(&vhost->queues[vhost->queues_count++], &dev->queues[i], why))
			return -1;
	return 0;
}

void vhost_net_backend(struct vhost *vhost, unsigned int pair, int tap)
{
	vhost->taps[pair] = tap;
}

int vhost_vsock_cid(struct vhost *vhost, uint64_t cid, struct why *why)
{
	vhost->vsock = true;
	if (ioctl(vhost->units[0], VHOST_VSOCK_SET_GUEST_CID, &cid))
		return why_set(why, "the vsock address %llu cannot be had: %s",
			       (unsigned long long)cid, strerror(errno));
	return 0;
}

static int set_memory(struct vhost *vhost, int unit)
{
	struct {
		struct vhost_memory head;
		struct vhost_memory_region regions[MEM_PARTS];
	} table = { 0 };
	const struct mem *mem = &vhost->vm->mem;
	unsigned int i;

	table.head.nregions = mem->parts_count;
	for (i = 0; i < mem->parts_count; i++)
		table.regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = mem->parts[i].gpa,
			.memory_size = mem->parts[i].size,
			.userspace_addr = (uintptr_t)(mem->host + mem->parts[i].offset),
		};
	return ioctl(unit, VHOST_SET_MEM_TABLE, &table);
}

static int start_queue(int unit, unsigned int index, struct outer_queue *queue)
{
	const struct virtq *virtq = queue->virtq;
	struct vhost_vring_state size = { index, virtq->size }, base = { index, virtq->last_avail };
	struct vhost_vring_addr address = {
		.index = index,
		.desc_user_addr = (uintptr_t)virtq->desc,
		.avail_user_addr = (uintptr_t)virtq->avail,
		.used_user_addr = (uintptr_t)virtq->used,
	};
	struct vhost_vring_file kick = { index, virtq->kick.fd }, call = { index, queue->call.fd };

	if (ioctl(unit, VHOST_SET_VRING_NUM, &size) || ioctl(unit, VHOST_SET_VRING_BASE, &base) ||
	    ioctl(unit, VHOST_SET_VRING_ADDR, &address) ||
	    ioctl(unit, VHOST_SET_VRING_KICK, &kick) || ioctl(unit, VHOST_SET_VRING_CALL, &call))
		return -1;
	return 0;
}

static int start_unit(struct vhost *vhost, unsigned int unit)
{
	uint64_t features = vhost->dev->chosen & vhost->features;
	int fd = vhost->units[unit], on = 1;
	unsigned int i;

	if (ioctl(fd, VHOST_SET_FEATURES, &features) || set_memory(vhost, fd))
		return -1;
	for (i = 0; i < 2; i++) {
		struct outer_queue *queue = &vhost->queues[2 * unit + i];
		struct vhost_vring_file back = { i, vhost->taps[unit] };

		if (!queue->virtq->enabled)
			return 0;
		if (start_queue(fd, i, queue))
			return -1;
		if (!vhost->vsock && ioctl(fd, VHOST_NET_SET_BACKEND, &back))
			return -1;
	}
	return vhost->vsock ? ioctl(fd, VHOST_VSOCK_SET_RUNNING, &on) : 0;
}

int vhost_start(struct vhost *vhost)
{
	unsigned int i;

	if (vhost->running)
		return 0;
	for (i = 0; i < vhost->queues_count; i++)
		outer_queue_lend(&vhost->queues[i], true);
	for (i = 0; i < vhost->units_count; i++)
		if (start_unit(vhost, i))
			return -1;
	vhost->running = true;
	for (i = 0; i < vhost->queues_count; i++)
		outer_queue_route(&vhost->queues[i], true);
	return 0;
}

static void stop_queue(struct vhost *vhost, unsigned int unit, unsigned int index)
{
	struct outer_queue *queue = &vhost->queues[2 * unit + index];
	struct vhost_vring_file none = { index, -1 };
	struct vhost_vring_state base = { index, 0 };
	struct virtq *virtq = queue->virtq;

	if (!vhost->vsock)
		ioctl(vhost->units[unit], VHOST_NET_SET_BACKEND, &none);
	if (virtq->enabled && ioctl(vhost->units[unit], VHOST_GET_VRING_BASE, &base) == 0) {
		virtq->last_avail = (uint16_t)base.num;
		virtq->last_used = virtq->used[1]; /* all that was taken was given back */
		virtq->told_used = virtq->last_used;
	}
	outer_queue_lend(queue, false);
}

void vhost_stop(struct vhost *vhost)
{
	int off = 0;
	unsigned int i;

	if (!vhost->running)
		return;
	vhost->running = false;
	for (i = 0; i < vhost->units_count; i++) {
		if (vhost->vsock)
			ioctl(vhost->units[i], VHOST_VSOCK_SET_RUNNING, &off);
		stop_queue(vhost, i, 0);
		stop_queue(vhost, i, 1);
	}
	for (i = 0; i < vhost->queues_count; i++)
		outer_queue_route(&vhost->queues[i], false);
}

void vhost_close(struct vhost *vhost)
{
	unsigned int i;

	for (i = 0; i < vhost->queues_count; i++)
		outer_queue_fini(&vhost->queues[i]);
	while (vhost->units_count)
		close(vhost->units[--vhost->units_count]);
	free(vhost);
}
