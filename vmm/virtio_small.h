/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The small virtio devices: console, entropy, balloon. */
#ifndef VMM_VIRTIO_SMALL_H
#define VMM_VIRTIO_SMALL_H

#include "vmm/virtio.h"

struct balloon {
	struct vm *vm;
	struct virtio_dev dev;
	uint64_t reported; /* bytes that were given back by free-page reporting, ever */
};

int virtio_console_create(struct vm *vm, struct why *why);
int virtio_rng_create(struct vm *vm, struct why *why);
int virtio_balloon_create(struct vm *vm, struct why *why);

/* How much the guest is asked to give back, and has given back, in bytes. */
void balloon_set(struct balloon *balloon, uint64_t bytes);
uint64_t balloon_actual(const struct balloon *balloon);

#endif
