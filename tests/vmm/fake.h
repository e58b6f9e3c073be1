/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bv's machine without a hypervisor, for tests and fuzzers: a VM whose devices are all there, on a
 * hypervisor that only notes what is asked of it. The test plays the guest: it reads and writes
 * ports, MMIO and memory, and steps the loop.
 */
#ifndef TESTS_VMM_FAKE_H
#define TESTS_VMM_FAKE_H

#include "vmm/pci.h"
#include "vmm/virtio.h"
#include "vmm/vm.h"

#define FAKE_MEMORY (16u << 20)
#define FAKE_DISK (1u << 20)

struct fake {
	struct vm vm;
	struct vmm_config config;
	struct vmm_disk disk;
	struct vmm_net net;
	int disk_fd;
};

struct fake_told {
	unsigned int messages; /* MSIs sent */
	uint64_t address;
	uint32_t data;
	uint32_t lines; /* levels of the first 32 */
};

extern struct fake_told fake_told;

/* One at a time. Firmware: its file, or NULL for direct boot's layout. */
struct fake *fake_make(const char *firmware);
/* The same with files of zeroes of these sizes as firmware and as its variable store. */
struct fake *fake_make_firmware(size_t code_size, size_t vars_size);
void fake_free(struct fake *fake);

/* Some rounds of the loop, until nothing more happens. */
void fake_settle(struct fake *fake);

/* ---- a driver ------------------------------------------------------------------------------ */

#define FAKE_RING 16
#define FAKE_RING_AT 0x200000u /* a queue's rings: 64 KiB each; buffers from 4 MiB on */

struct fake_desc {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};

/* The n-th virtio device of a type; NULL if there is none. */
struct virtio_dev *fake_device(struct fake *fake, enum virtio_type type);

/* As a driver does: features, queues, DRIVER_OK. False if the device refuses. */
bool fake_start(struct virtio_dev *dev, uint64_t features);

/* A chain of descriptors in a queue, then a kick. */
void fake_request(struct virtio_dev *dev, unsigned int queue, const struct fake_desc *descs,
		  unsigned int count);
/* What the used ring has: how many; the last one's length. */
uint16_t fake_used(struct virtio_dev *dev, unsigned int queue, uint32_t *length);

#endif
