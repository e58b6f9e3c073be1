/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks: the virtio device over a raw image or block device, by io_uring, or over a qcow2 image, by
 * a helper (block_qcow2.c).
 */
#ifndef VMM_BLOCK_H
#define VMM_BLOCK_H

#include "vmm/virtio.h"

#include <liburing.h>

#define BLOCK_REQUESTS 128

struct block;

struct block_request {
	struct block *block;
	struct virtq *queue;
	uint32_t type;
	uint16_t head;
	uint16_t count; /* of data's buffers */
	struct iovec *data; /* in the chain */
	uint64_t offset; /* in the file */
	size_t left; /* bytes not yet done */
	size_t written; /* bytes for the used ring, if all goes well */
	uint8_t *status; /* in guest memory */
	void *bounce; /* where data does not suit the file */
	size_t bounce_size;
	uint32_t flags; /* of write-zeroes */
	struct virtq_chain chain;
	struct block_request *next;
};

struct block_stats {
	uint64_t reads, read_bytes, writes, write_bytes, flushes, discards, errors;
};

struct vhost_user;

struct block {
	struct vm *vm;
	struct virtio_dev dev;
	char id[32];
	char serial[21];
	const char *path;
	int fd;
	bool read_only, direct;
	bool leaving; /* the guest let go: freed in the loop */
	uint64_t size;
	struct io_uring ring;
	bool ring_made;
	struct loop_fd ready;
	unsigned int in_flight;
	struct block_request *requests; /* all */
	struct block_request *free;
	struct block_stats stats;
	struct vhost_user *helper; /* serves the requests; NULL: all that stands above does */
	char error[160]; /* the last one, in words */
	struct block *next;
};

/**
 * block_create() - A disk more, plugged in.
 * @fd: its file, now the device's; -1: opened from the path
 */
struct block *block_create(struct vm *vm, const struct vmm_disk *disk, unsigned int place, int fd,
			   struct why *why);
void block_destroy(struct block *block);
struct block *block_find(struct vm *vm, const char *id);

/* For block.c: makes block->dev and its helper. */
int block_qcow2_open(struct block *block, const struct vmm_disk *disk, struct why *why);

/* The guest let go of it: freed soon, in the loop. */
void block_leave(void *owner);

#endif
