// SPDX-License-Identifier: GPL-2.0-or-later
/* The virtio devices of a VM, as its configuration names them. */
#include "vmm/block.h"
#include "vmm/net.h"
#include "vmm/share.h"
#include "vmm/virtio_small.h"
#include "vmm/vsock.h"

static int create_configured(struct vm *vm, struct why *why)
{
	const struct vmm_config *config = vm->config;
	unsigned int i;

	for (i = 0; i < config->disks_count; i++)
		if (!block_create(vm, &config->disks[i], i, -1, why))
			return -1;
	for (i = 0; i < config->nets_count; i++)
		if (!net_create(vm, &config->nets[i], i, -1, why))
			return -1;
	for (i = 0; i < config->shares_count; i++)
		if (share_create(vm, &config->shares[i], i, why))
			return -1;
	return config->vsock_cid ? vsock_create(vm, config->vsock_cid, why) : 0;
}

int virtio_create_all(struct vm *vm, struct why *why)
{
	if (create_configured(vm, why) || virtio_console_create(vm, why) ||
	    virtio_rng_create(vm, why) || virtio_balloon_create(vm, why))
		return -1;
	return 0;
}

void virtio_destroy_all(struct vm *vm)
{
	while (vm->blocks)
		block_destroy(vm->blocks);
	while (vm->nets)
		net_destroy(vm->nets);
}
