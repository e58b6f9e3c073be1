// SPDX-License-Identifier: GPL-2.0-or-later
/* The virtio devices of a VM, as its configuration names them. */
#include "vmm/block.h"
#include "vmm/net.h"
#include "vmm/share.h"
#include "vmm/virtio_small.h"
#include "vmm/vsock.h"

#include <string.h>

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

static bool reap_block(struct vm *vm)
{
	struct block *block;
	char id[32];

	for (block = vm->blocks; block && !block->leaving; block = block->next)
		;
	if (!block)
		return false;
	memcpy(id, block->id, sizeof(id));
	block_destroy(block);
	vm_event(vm, "detached", "{s:s}", "id", id);
	return true;
}

static bool reap_net(struct vm *vm)
{
	struct net *net;
	char id[32];

	for (net = vm->nets; net && !net->leaving; net = net->next)
		;
	if (!net)
		return false;
	memcpy(id, net->id, sizeof(id));
	net_destroy(net);
	vm_event(vm, "detached", "{s:s}", "id", id);
	return true;
}

void virtio_reap(struct vm *vm)
{
	while (reap_block(vm) || reap_net(vm))
		;
}
