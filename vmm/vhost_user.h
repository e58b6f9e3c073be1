/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queues that another process serves (QEMU's documentation of the vhost-user protocol, version 1):
 * the device's registers are here, its requests are served there, on the guest's memory, which the
 * two share. The helper is trusted as this process is.
 */
#ifndef VMM_VHOST_USER_H
#define VMM_VHOST_USER_H

#include "vmm/helper.h"
#include "vmm/virtio.h"

struct vhost_user;

/**
 * vhost_user_open() - Talks to a helper for the first time.
 * @helper: from now on this one's to end, also on failure
 * @name: its, for messages
 */
struct vhost_user *vhost_user_open(struct vm *vm, const struct helper *helper, const char *name,
				   struct why *why);
void vhost_user_close(struct vhost_user *user);

/* What the device is, as its helper says. */
uint64_t vhost_user_features(const struct vhost_user *user);
int vhost_user_config(struct vhost_user *user, void *config, uint32_t size, struct why *why);

/**
 * vhost_user_attach() - Between virtio_init() and plugging: all queues, and the verbs about them,
 * are its from now on. Of those given to virtio_init() state, ejected and destroy stay.
 */
int vhost_user_attach(struct vhost_user *user, struct virtio_dev *dev, struct why *why);

#endif
