/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queues that the kernel serves (linux/vhost.h): vhost-net and vhost-vsock. While one runs, kicks
 * go to it by the queues' own eventfds and interrupts come from it without passing through here.
 */
#ifndef VMM_VHOST_H
#define VMM_VHOST_H

#include "vmm/virtio.h"

struct vhost;

struct vhost *vhost_open(const char *path, struct vm *vm, struct why *why);
void vhost_close(struct vhost *vhost);

/* Before plugging: the first queues of the device are its; features are cut to what it can. */
int vhost_attach(struct vhost *vhost, struct virtio_dev *dev, unsigned int queues, struct why *why);
void vhost_net_backend(struct vhost *vhost, unsigned int pair, int tap);
int vhost_vsock_cid(struct vhost *vhost, uint64_t cid, struct why *why);

int vhost_start(struct vhost *vhost);
/* The queues' places are the device's again. */
void vhost_stop(struct vhost *vhost);
void vhost_vector_changed(struct vhost *vhost, unsigned int vector);

#endif
