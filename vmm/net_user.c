// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * User-mode nets by libslirp: the guest at 10.0.2.15 by DHCP, this machine at 10.0.2.2, DNS at
 * 10.0.2.3. No privilege is needed. The MTU is as large as it can be, since nothing here is a wire.
 */
#include "vmm/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MTU 65520u
#define BACKLOG 64
#define FORWARDS_MAX 64
#define HEADER_DATA_VALID 2u

struct frame {
	struct frame *next;
	size_t size;
	uint8_t bytes[];
};

struct forward {
	bool udp;
	struct in_addr host;
	uint16_t host_port, guest_port;
};

struct user {
	struct net *net;
	Slirp *slirp;
	struct loop_poller poller;
	struct pollfd *set;
	int room, count;
	struct frame *first, **last; /* frames that the guest had no buffers for */
	unsigned int waiting;
	struct forward forwards[FORWARDS_MAX];
	unsigned int forwards_count;
	uint8_t out[NET_FRAME_MAX];
};

/* ---- what libslirp asks for ---------------------------------------------------------------- */

static void keep(struct user *user, const uint8_t *bytes, size_t size)
{
	struct frame *frame;

	if (user->waiting == BACKLOG) {
		user->net->stats.dropped++;
		return;
	}
	frame = malloc(sizeof(*frame) + size);
	if (!frame)
		return;
	frame->next = NULL;
	frame->size = size;
	memcpy(frame->bytes, bytes, size);
	*user->last = frame;
	user->last = &frame->next;
	user->waiting++;
}

/* What comes from a socket of this machine is whole: the guest need not compute checksums. */
static ssize_t send_packet(const void *bytes, size_t size, void *opaque)
{
	struct user *user = opaque;
	uint8_t *frame = user->out;

	if (size + NET_HEADER > sizeof(user->out))
		return (ssize_t)size;
	memset(frame, 0, NET_HEADER);
	frame[0] = user->net->dev.chosen & 2 ? HEADER_DATA_VALID : 0; /* GUEST_CSUM */
	memcpy(frame + NET_HEADER, bytes, size);
	if (user->first || !net_deliver(user->net, 0, frame, size + NET_HEADER))
		keep(user, frame, size + NET_HEADER);
	return (ssize_t)size;
}

static void guest_error(const char *message, void *opaque)
{
	(void)message;
	(void)opaque;
}

static int64_t clock_ns(void *opaque)
{
	(void)opaque;
	return (int64_t)loop_now();
}

struct timer {
	struct loop_timer timer;
	SlirpTimerCb callback;
	void *argument;
};

static void timer_expired(void *owner)
{
	struct timer *timer = owner;

	timer->callback(timer->argument);
}

static void *timer_new(SlirpTimerCb callback, void *argument, void *opaque)
{
	struct user *user = opaque;
	struct timer *timer = calloc(1, sizeof(*timer));

	if (!timer)
		return NULL;
	timer->callback = callback;
	timer->argument = argument;
	loop_timer_init(&user->net->vm->loop, &timer->timer, timer_expired, timer);
	return timer;
}

static void timer_free(void *which, void *opaque)
{
	struct user *user = opaque;
	struct timer *timer = which;

	if (!timer)
		return;
	loop_timer_remove(&user->net->vm->loop, &timer->timer);
	free(timer);
}

static void timer_mod(void *which, int64_t ms, void *opaque)
{
	struct user *user = opaque;
	struct timer *timer = which;

	loop_timer_set(&user->net->vm->loop, &timer->timer, (uint64_t)ms * 1000000);
}

static void poll_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void notify(void *opaque)
{
	(void)opaque; /* all runs in the loop, which asks anew each time */
}

static const SlirpCb CALLBACKS = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = clock_ns,
	.timer_new = timer_new,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = poll_fd,
	.unregister_poll_fd = poll_fd,
	.notify = notify,
};

/* ---- its descriptors in the loop ----------------------------------------------------------- */

static int add_poll(int fd, int events, void *opaque)
{
	struct user *user = opaque;
	short wanted = 0;

	if (user->count == user->room)
		return -1;
	wanted |= events & SLIRP_POLL_IN ? POLLIN : 0;
	wanted |= events & SLIRP_POLL_OUT ? POLLOUT : 0;
	wanted |= events & SLIRP_POLL_PRI ? POLLPRI : 0;
	user->set[user->count] = (struct pollfd){ .fd = fd, .events = wanted };
	return user->count++;
}

static int get_revents(int index, void *opaque)
{
	struct user *user = opaque;
	short seen;

	if (index < 0 || index >= user->count)
		return 0;
	seen = user->set[index].revents;
	return (seen & POLLIN ? SLIRP_POLL_IN : 0) | (seen & POLLOUT ? SLIRP_POLL_OUT : 0) |
	       (seen & POLLPRI ? SLIRP_POLL_PRI : 0) | (seen & POLLERR ? SLIRP_POLL_ERR : 0) |
	       (seen & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static int fill(void *owner, struct pollfd *set, int room, int *timeout)
{
	struct user *user = owner;
	uint32_t wait = *timeout < 0 ? UINT32_MAX : (uint32_t)*timeout;

	user->set = set;
	user->room = room;
	user->count = 0;
	slirp_pollfds_fill(user->slirp, &wait, add_poll, user);
	*timeout = wait > INT32_MAX ? -1 : (int)wait;
	return user->count;
}

static void done(void *owner, struct pollfd *set, int count, bool error)
{
	struct user *user = owner;

	user->set = set;
	user->count = count;
	slirp_pollfds_poll(user->slirp, error, get_revents, user);
}

/* ---- the back end -------------------------------------------------------------------------- */

static bool user_send(struct net *net, unsigned int pair, const struct iovec *iov,
		      unsigned int count)
{
	static uint8_t frame[NET_FRAME_MAX]; /* the machine's lock guards it */
	struct user *user = net->user;
	size_t size = 0;
	unsigned int i;

	(void)pair;
	for (i = 0; i < count; i++) {
		memcpy(frame + size, iov[i].iov_base, iov[i].iov_len);
		size += iov[i].iov_len;
	}
	slirp_input(user->slirp, frame + NET_HEADER, (int)(size - NET_HEADER));
	return true;
}

static void user_room(struct net *net, unsigned int pair)
{
	struct user *user = net->user;
	struct frame *frame;

	(void)pair;
	while ((frame = user->first) && net_deliver(net, 0, frame->bytes, frame->size)) {
		user->first = frame->next;
		if (!user->first)
			user->last = &user->first;
		user->waiting--;
		free(frame);
	}
	virtq_wants_kicks(&net->dev.queues[0]);
}

static void user_destroy(struct net *net)
{
	struct user *user = net->user;
	struct frame *frame;

	loop_poller_remove(&net->vm->loop, &user->poller);
	if (user->slirp)
		slirp_cleanup(user->slirp);
	while ((frame = user->first)) {
		user->first = frame->next;
		free(frame);
	}
	free(user);
}

static const struct net_back USER_BACK = {
	.send = user_send,
	.room = user_room,
	.destroy = user_destroy,
};

static struct forward *find_forward(struct user *user, const struct forward *like)
{
	unsigned int i;

	for (i = 0; i < user->forwards_count; i++)
		if (user->forwards[i].udp == like->udp &&
		    user->forwards[i].host_port == like->host_port &&
		    user->forwards[i].host.s_addr == like->host.s_addr)
			return &user->forwards[i];
	return NULL;
}

static int add_forward(struct user *user, const struct forward *forward, struct why *why)
{
	const struct in_addr guest = { 0 };

	if (user->forwards_count == FORWARDS_MAX)
		return why_set(why, "a net has at most %u forwards", FORWARDS_MAX);
	if (slirp_add_hostfwd(user->slirp, forward->udp, forward->host, forward->host_port, guest,
			      forward->guest_port))
		return why_set(why, "the %s port %u of %s cannot be forwarded: %s",
			       forward->udp ? "UDP" : "TCP", forward->host_port,
			       inet_ntoa(forward->host), strerror(errno));
	user->forwards[user->forwards_count++] = *forward;
	return 0;
}

static int remove_forward(struct user *user, const struct forward *forward, struct why *why)
{
	struct forward *found = find_forward(user, forward);

	if (!found)
		return why_set(why, "there is no such forward");
	slirp_remove_hostfwd(user->slirp, forward->udp, forward->host, forward->host_port);
	*found = user->forwards[--user->forwards_count];
	return 0;
}

int net_user_forward(struct net *net, const struct vmm_forward *config, bool add, struct why *why)
{
	struct forward forward = { .udp = config->udp,
				   .host_port = config->host_port,
				   .guest_port = config->guest_port };

	if (inet_pton(AF_INET, config->host ? config->host : "127.0.0.1", &forward.host) != 1)
		return why_set(why, "%s is no IPv4 address", config->host);
	return add ? add_forward(net->user, &forward, why) :
		     remove_forward(net->user, &forward, why);
}

unsigned int net_user_forwards(struct net *net, struct vmm_forward *list, unsigned int room)
{
	struct user *user = net->user;
	unsigned int i;

	for (i = 0; i < user->forwards_count && i < room; i++)
		list[i] = (struct vmm_forward){ .udp = user->forwards[i].udp,
						.host = NULL,
						.host_port = user->forwards[i].host_port,
						.guest_port = user->forwards[i].guest_port };
	return i;
}

static Slirp *open_slirp(struct user *user, const struct vmm_net *config)
{
	SlirpConfig slirp = { .version = 1,
			      .restricted = config->restricted,
			      .in_enabled = true,
			      .in6_enabled = true,
			      .vprefix_len = 64,
			      .vhostname = user->net->vm->config->name,
			      .if_mtu = MTU,
			      .if_mru = MTU };

	inet_pton(AF_INET, "10.0.2.0", &slirp.vnetwork);
	inet_pton(AF_INET, "255.255.255.0", &slirp.vnetmask);
	inet_pton(AF_INET, "10.0.2.2", &slirp.vhost);
	inet_pton(AF_INET, "10.0.2.15", &slirp.vdhcp_start);
	inet_pton(AF_INET, "10.0.2.3", &slirp.vnameserver);
	inet_pton(AF_INET6, "fec0::", &slirp.vprefix_addr6);
	inet_pton(AF_INET6, "fec0::2", &slirp.vhost6);
	inet_pton(AF_INET6, "fec0::3", &slirp.vnameserver6);
	return slirp_new(&slirp, &CALLBACKS, user);
}

int net_user_create(struct net *net, const struct vmm_net *config, struct why *why)
{
	struct user *user = calloc(1, sizeof(*user));
	unsigned int i;

	if (!user)
		return why_set(why, "no memory");
	net->user = user;
	net->back = &USER_BACK;
	user->net = net;
	user->last = &user->first;
	user->slirp = open_slirp(user, config);
	if (!user->slirp)
		return why_set(why, "the user-mode net %s cannot be made", net->id);
	user->poller = (struct loop_poller){ .fill = fill, .done = done, .owner = user };
	loop_poller_add(&net->vm->loop, &user->poller);
	for (i = 0; i < config->forwards_count; i++)
		if (net_user_forward(net, &config->forwards[i], true, why))
			return -1;
	return 0;
}
