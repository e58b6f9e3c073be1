// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Disks in qcow2 images: the image, and what lies below it, is read and written by QEMU's storage
 * daemon, a process of its own; here are the registers.
 */
#include "vmm/block.h"
#include "vmm/helper.h"
#include "vmm/vhost_user.h"

#include <errno.h>
#include <jansson.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/qemu-storage-daemon"
#define QUEUES_MAX 4u
#define QUEUE_SIZE 128u
#define CONFIG_SIZE 60u
#define SECTOR 512u
#define BIT(feature) (1ull << (feature))
/* What this device passes on: not the write cache's switch, which would want words of its own. */
#define FEATURES                                                                             \
	(BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_RO) |     \
	 BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_FLUSH) | \
	 BIT(VIRTIO_BLK_F_MQ) | BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES))

static const struct virtio_ops QCOW2_OPS = {
	.ejected = block_leave,
};

static unsigned int queues_of(const struct block *block)
{
	unsigned int cpus = block->vm->config->cpus;

	return cpus < QUEUES_MAX ? cpus : QUEUES_MAX;
}

/* The image as the daemon's JSON names it. */
static char *node_text(const struct vmm_disk *disk)
{
	json_t *node = json_pack("{s:s, s:s, s:b, s:s, s:{s:s, s:s, s:{s:b}}}", "driver", "qcow2",
				 "node-name", "disk", "read-only", (int)disk->read_only, "discard",
				 "unmap", "file", "driver", "file", "filename", disk->path, "cache",
				 "direct", (int)disk->direct);
	char *text = node ? json_dumps(node, JSON_COMPACT) : NULL;

	json_decref(node);
	return text;
}

static int start_helper(struct block *block, const struct vmm_disk *disk, struct helper *helper,
			struct why *why)
{
	char *node = node_text(disk), *export = NULL;
	int error = -1;

	if (!node || asprintf(&export,
			      "type=vhost-user-blk,id=disk,node-name=disk,addr.type=fd,"
			      "addr.str=" HELPER_FD ",writable=%s,num-queues=%u",
			      disk->read_only ? "off" : "on", queues_of(block)) < 0) {
		why_set(why, "no memory");
	} else {
		char *const argv[] = { (char[]){ PROGRAM },
				       (char[]){ "--blockdev" },
				       node,
				       (char[]){ "--export" },
				       export,
				       NULL };

		error = helper_start(block->vm, argv, helper, why);
	}
	free(node);
	free(export);
	return error;
}

static int check(const struct vmm_disk *disk, struct why *why)
{
	if (access(PROGRAM, X_OK)) {
		why_set(why, "the disk %s is a qcow2 image, and there is no %s", disk->path,
			PROGRAM);
		return why_hint(why, "apt install qemu-system-common");
	}
	if (access(disk->path, disk->read_only ? R_OK : R_OK | W_OK))
		return why_set(why, "the disk %s cannot be opened%s: %s", disk->path,
			       disk->read_only ? "" : " for writing", strerror(errno));
	return 0;
}

int block_qcow2_open(struct block *block, const struct vmm_disk *disk, struct why *why)
{
	struct virtio_blk_config config = { 0 };
	struct virtio_dev *dev = &block->dev;
	struct helper helper;

	if (check(disk, why) || start_helper(block, disk, &helper, why))
		return -1;
	block->helper = vhost_user_open(block->vm, &helper, PROGRAM, why);
	if (!block->helper)
		return why_set(why,
			       "the disk %s cannot be used: %s does not serve it (its words "
			       "are in the VM's process log)",
			       disk->path, PROGRAM);
	if (vhost_user_config(block->helper, &config, CONFIG_SIZE, why))
		return -1;
	virtio_init(dev, block->vm, VIRTIO_BLOCK, block->id, &QCOW2_OPS, block, FEATURES,
		    queues_of(block), QUEUE_SIZE);
	memcpy(dev->config, &config, CONFIG_SIZE);
	dev->config_size = CONFIG_SIZE;
	block->size = config.capacity * SECTOR;
	return vhost_user_attach(block->helper, dev, why) || virtio_plug(dev, why) ? -1 : 0;
}
