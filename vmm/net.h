/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Nets: the virtio device and what is behind it, user-mode (libslirp), a tap, or a tap served by
 * the kernel's vhost-net.
 */
#ifndef VMM_NET_H
#define VMM_NET_H

#include "vmm/virtio.h"

#include <netinet/in.h>

#define NET_PAIRS_MAX 8
#define NET_FRAME_MAX 65600
#define NET_HEADER 12 /* struct virtio_net_hdr_v1 */

struct net;
struct vhost;

/* What is behind a net. */
struct net_back {
	/*
	 * A frame, behind NET_HEADER bytes; false: there is no room now, it will be offered again.
	 */
	bool (*send)(struct net *net, unsigned int pair, const struct iovec *iov,
		     unsigned int count);
	/* The guest takes frames again; or NULL. */
	void (*room)(struct net *net, unsigned int pair);
	/* Which offloads the driver takes; or NULL. */
	void (*offloads)(struct net *net, uint64_t features);
	void (*pairs)(struct net *net); /* net->pairs_on changed; or NULL */
	void (*destroy)(struct net *net);
};

struct tap {
	struct loop_fd fd;
	struct net *net;
	bool waits; /* for the guest's buffers */
};

struct net_stats {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, dropped;
};

struct net {
	struct vm *vm;
	struct virtio_dev dev;
	char id[32];
	enum vmm_net_kind kind;
	const char *tap;
	uint8_t mac[6];
	uint32_t guest_ip; /* network order; 0: not seen */
	unsigned int pairs, pairs_on;
	bool leaving;
	const struct net_back *back;
	void *user; /* libslirp's */
	struct tap taps[NET_PAIRS_MAX];
	struct vhost *vhost; /* NULL: not by vhost */
	struct net_stats stats;
	char error[160];
	struct net *next;
};

/**
 * net_create() - A net more, plugged in.
 * @fd: of a tap that is open; -1: opened by its name
 */
struct net *net_create(struct vm *vm, const struct vmm_net *config, unsigned int place, int fd,
		       struct why *why);
void net_destroy(struct net *net);
struct net *net_find(struct vm *vm, const char *id);

/**
 * net_deliver() - Gives the guest a frame, which begins with a header of NET_HEADER bytes.
 *
 * Return: false if the guest has no buffers for it now.
 */
bool net_deliver(struct net *net, unsigned int pair, uint8_t *frame, size_t size);
void net_error(struct net *net, const char *what, int error);

/* The back ends. */
int net_user_create(struct net *net, const struct vmm_net *config, struct why *why);
int net_user_forward(struct net *net, const struct vmm_forward *forward, bool add, struct why *why);
unsigned int net_user_forwards(struct net *net, struct vmm_forward *list, unsigned int room);
int net_tap_create(struct net *net, const struct vmm_net *config, int fd, struct why *why);

#endif
