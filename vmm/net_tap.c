// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Nets by a tap device (the kernel's Documentation/networking/tuntap.rst): frames go in and out
 * with virtio's header, so checksums and segmentation are left to whoever is at the end.
 */
#include "vmm/net.h"
#include "vmm/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BIT(feature) (1ull << (feature))

/* No more frames are read while the guest has no buffers: the kernel's queue fills, and drops. */
static void wait_for_room(struct net *net, unsigned int pair, bool wait)
{
	if (net->taps[pair].waits == wait || net->vhost)
		return;
	net->taps[pair].waits = wait;
	loop_change(&net->vm->loop, &net->taps[pair].fd, wait ? 0 : EPOLLIN);
}

static void tap_is_gone(struct net *net, unsigned int pair, int error)
{
	net_error(net, "the tap is gone", error);
	loop_remove(&net->vm->loop, &net->taps[pair].fd);
}

static void tap_read(struct net *net, unsigned int pair)
{
	static uint8_t frame[NET_FRAME_MAX]; /* the machine's lock guards it */
	struct virtq *queue = &net->dev.queues[2 * pair];
	unsigned int budget = 64;

	while (budget--) {
		ssize_t size;

		if (!virtq_has_more(queue) && !virtq_wants_kicks(queue))
			return wait_for_room(net, pair, true);
		virtq_no_kicks(queue);
		size = read(net->taps[pair].fd.fd, frame, sizeof(frame));
		if (size < 0) {
			if (errno != EAGAIN && errno != EINTR)
				tap_is_gone(net, pair, errno);
			return;
		}
		if (size > NET_HEADER && !net_deliver(net, pair, frame, (size_t)size))
			net->stats.dropped++;
	}
}

static void tap_ready(void *owner, uint32_t events)
{
	struct tap *tap = owner;
	unsigned int pair = (unsigned int)(tap - tap->net->taps);

	/* Of this epoll tells whether it was asked or not. */
	if (events & (EPOLLERR | EPOLLHUP))
		tap_is_gone(tap->net, pair, ENODEV);
	else if (virtio_is_ready(&tap->net->dev) && !tap->net->dev.quiet)
		tap_read(tap->net, pair);
	else
		wait_for_room(tap->net, pair, true);
}

static bool tap_send(struct net *net, unsigned int pair, const struct iovec *iov,
		     unsigned int count)
{
	ssize_t sent = writev(net->taps[pair].fd.fd, iov, (int)count);

	if (sent < 0 && errno != EAGAIN && errno != EINVAL && errno != EIO)
		net_error(net, "the tap does not take frames", errno);
	return sent >= 0;
}

static void tap_room(struct net *net, unsigned int pair)
{
	wait_for_room(net, pair, false);
}

static void tap_offloads(struct net *net, uint64_t features)
{
	unsigned int flags = 0, i;

	if (features & BIT(VIRTIO_NET_F_GUEST_CSUM)) {
		flags |= TUN_F_CSUM;
		flags |= features & BIT(VIRTIO_NET_F_GUEST_TSO4) ? TUN_F_TSO4 : 0;
		flags |= features & BIT(VIRTIO_NET_F_GUEST_TSO6) ? TUN_F_TSO6 : 0;
		flags |= features & BIT(VIRTIO_NET_F_GUEST_ECN) && flags != TUN_F_CSUM ?
				 TUN_F_TSO_ECN :
				 0;
	}
	for (i = 0; i < net->pairs; i++)
		ioctl(net->taps[i].fd.fd, TUNSETOFFLOAD, flags);
}

/* Queues that the guest does not use must not get frames. */
static void tap_pairs(struct net *net)
{
	unsigned int i;

	for (i = 0; i < net->pairs && net->pairs > 1; i++) {
		struct ifreq request = { .ifr_flags = i < net->pairs_on ? IFF_ATTACH_QUEUE :
									  IFF_DETACH_QUEUE };

		ioctl(net->taps[i].fd.fd, TUNSETQUEUE, &request);
	}
}

static void tap_destroy(struct net *net)
{
	unsigned int i;

	for (i = 0; i < net->pairs; i++)
		if (net->taps[i].fd.fd >= 0) {
			loop_remove(&net->vm->loop, &net->taps[i].fd);
			close(net->taps[i].fd.fd);
		}
}

static const struct net_back TAP_BACK = {
	.send = tap_send,
	.room = tap_room,
	.offloads = tap_offloads,
	.pairs = tap_pairs,
	.destroy = tap_destroy,
};

static int refused(const struct vmm_net *config, int error, struct why *why)
{
	why_set(why, "the tap %s cannot be used: %s", config->tap ? config->tap : "(no name)",
		strerror(error));
	if (error == ENOENT || error == ENODEV)
		return why_hint(why, "modprobe tun");
	if (error == EPERM || error == EACCES)
		return why_hint(why,
				"make it for this user: sudo ip tuntap add %s mode tap "
				"user $USER",
				config->tap);
	return -1;
}

static int open_tap(const struct vmm_net *config, bool many, struct why *why)
{
	struct ifreq request = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
						      (many ? IFF_MULTI_QUEUE : 0)) };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return refused(config, errno, why);
	if (!config->tap || strlen(config->tap) >= sizeof(request.ifr_name))
		errno = EINVAL;
	else {
		strcpy(request.ifr_name, config->tap);
		if (ioctl(fd, TUNSETIFF, &request) == 0)
			return fd;
	}
	refused(config, errno, why);
	close(fd);
	return -1;
}

static int use_tap(struct net *net, unsigned int pair, int fd, struct why *why)
{
	int header = NET_HEADER;

	net->taps[pair].fd.fd = fd;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header))
		return why_set(why, "the net %s is no tap with virtio's header: %s", net->id,
			       strerror(errno));
	return loop_add(&net->vm->loop, &net->taps[pair].fd, net->vhost ? 0 : EPOLLIN);
}

int net_tap_create(struct net *net, const struct vmm_net *config, int fd, struct why *why)
{
	unsigned int i;

	net->back = &TAP_BACK;
	for (i = 0; i < NET_PAIRS_MAX; i++)
		net->taps[i] = (struct tap){ { -1, tap_ready, &net->taps[i] }, net, false };
	if (config->vhost) {
		net->vhost = vhost_open("/dev/vhost-net", net->vm, why);
		if (!net->vhost)
			return -1;
	}
	for (i = 0; i < net->pairs; i++) {
		int tap = i == 0 && fd >= 0 ? fd : open_tap(config, net->pairs > 1, why);

		if (tap < 0 || use_tap(net, i, tap, why))
			return -1;
		if (net->vhost)
			vhost_net_backend(net->vhost, i, tap);
	}
	return 0;
}
