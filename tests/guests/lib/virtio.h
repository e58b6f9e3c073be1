/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One virtio 1.x device over PCI, with its first queue: a request at a time. */
#ifndef GUEST_VIRTIO_H
#define GUEST_VIRTIO_H

#include "guest.h"

#define VIRTIO_RNG 4

/*
 * Finds the device on bus 0, gives its BARs places if they have none, sets up its first queue,
 * whose interrupt is to be `vector` of the first CPU; panics without such a device.
 */
void virtio_start(u32 type, u8 vector);

/*
 * Gives the device a buffer to write to and kicks it; halts until it has done so, and has said so
 * by its interrupt.
 */
void virtio_ask(void *buffer, u32 size);

#endif
