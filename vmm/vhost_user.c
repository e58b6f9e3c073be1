// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The side of the machine in vhost-user: see vhost_user.h. Messages go one way, with an answer to
 * those that ask for one; nothing is in flight between two calls of this file.
 */
#include "vmm/vhost_user.h"
#include "vmm/outer_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>

#define ANSWER_SECONDS 10 /* a helper reads its disk's head before its first one */
#define FLAGS_VERSION 1u
#define FLAG_REPLY 4u
#define FLAG_NEED_REPLY 8u
#define CONFIG_MAX 256u
#define FEATURE_PROTOCOL (1ull << 30)
#define PROTOCOL_MQ (1ull << 0)
#define PROTOCOL_REPLY_ACK (1ull << 3)
#define PROTOCOL_CONFIG (1ull << 9)

enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	SET_VRING_ENABLE = 18,
	GET_CONFIG = 24,
};

struct vring_state {
	uint32_t index, number;
};

struct vring_address {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

struct memory_region {
	uint64_t gpa, size, address, offset;
};

struct memory_table {
	uint32_t count, padding;
	struct memory_region regions[MEM_PARTS];
};

struct config_part {
	uint32_t offset, size, flags;
	uint8_t bytes[CONFIG_MAX];
};

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t number;
		struct vring_state state;
		struct vring_address address;
		struct memory_table memory;
		struct config_part config;
	} body;
} __attribute__((packed));

#define HEAD_SIZE 12u

_Static_assert(offsetof(struct message, body) == HEAD_SIZE, "a message's head");

struct vhost_user {
	struct vm *vm;
	struct virtio_dev *dev; /* NULL: not attached yet */
	/* The device's own verbs, and whose they are. */
	const struct virtio_ops *ops;
	void *owner;
	const char *name;
	struct helper helper;
	struct loop_fd fd; /* only for its end */
	uint64_t features, protocol;
	bool running;
	bool gone;
	unsigned int queues_count;
	struct outer_queue queues[VIRTIO_QUEUES_MAX];
};

/* ---- messages ------------------------------------------------------------------------------ */

static void give_up(struct vhost_user *user, const char *cause)
{
	if (user->gone)
		return;
	user->gone = true;
	if (!user->dev)
		return;
	loop_remove(&user->vm->loop, &user->fd);
	virtio_break(user->dev, cause);
}

static bool send_message(struct vhost_user *user, const struct message *message, const int *fds,
			 unsigned int count)
{
	union {
		char bytes[CMSG_SPACE(MEM_PARTS * sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { (void *)(uintptr_t)message, HEAD_SIZE + message->size };
	struct msghdr head = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *rights;

	if (count) {
		head.msg_control = control.bytes;
		head.msg_controllen = CMSG_SPACE(count * sizeof(int));
		rights = CMSG_FIRSTHDR(&head);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
	}
	return sendmsg(user->fd.fd, &head, MSG_NOSIGNAL) == (ssize_t)iov.iov_len;
}

static bool receive_bytes(int fd, void *bytes, size_t size)
{
	uint8_t *to = bytes;

	while (size) {
		ssize_t count = recv(fd, to, size, 0);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return false;
		to += count;
		size -= (size_t)count;
	}
	return true;
}

static bool receive_answer(struct vhost_user *user, uint32_t request, struct message *answer)
{
	if (!receive_bytes(user->fd.fd, answer, HEAD_SIZE))
		return false;
	return answer->request == request && (answer->flags & FLAG_REPLY) &&
	       answer->size <= sizeof(answer->body) &&
	       receive_bytes(user->fd.fd, &answer->body, answer->size);
}

/* A message that is answered with one; the answer comes in its place. */
static bool ask(struct vhost_user *user, struct message *message)
{
	uint32_t request = message->request;

	if (user->gone)
		return false;
	message->flags = FLAGS_VERSION;
	if (send_message(user, message, NULL, 0) && receive_answer(user, request, message))
		return true;
	give_up(user, "the device's helper has ended, or does not answer");
	return false;
}

static bool ask_number(struct vhost_user *user, uint32_t request, uint64_t *number)
{
	struct message message = { .request = request };

	if (!ask(user, &message) || message.size != sizeof(*number))
		return false;
	*number = message.body.number;
	return true;
}

/* A message that says something; that it was understood is asked for where that can be had. */
static bool tell(struct vhost_user *user, struct message *message, const int *fds,
		 unsigned int count)
{
	bool confirmed = user->protocol & PROTOCOL_REPLY_ACK;
	struct message answer;

	if (user->gone)
		return false;
	message->flags = FLAGS_VERSION | (confirmed ? FLAG_NEED_REPLY : 0);
	if (!send_message(user, message, fds, count) ||
	    (confirmed && (!receive_answer(user, message->request, &answer) ||
			   answer.size != sizeof(uint64_t) || answer.body.number))) {
		give_up(user, "the device's helper has ended, or refuses what it is told");
		return false;
	}
	return true;
}

static bool tell_number(struct vhost_user *user, uint32_t request, uint64_t number)
{
	struct message message = { .request = request,
				   .size = sizeof(number),
				   .body.number = number };

	return tell(user, &message, NULL, 0);
}

static bool tell_state(struct vhost_user *user, uint32_t request, uint32_t index, uint32_t number)
{
	struct message message = { .request = request,
				   .size = sizeof(struct vring_state),
				   .body.state = { index, number } };

	return tell(user, &message, NULL, 0);
}

static bool tell_eventfd(struct vhost_user *user, uint32_t request, uint32_t index, int fd)
{
	struct message message = { .request = request,
				   .size = sizeof(uint64_t),
				   .body.number = index };

	return tell(user, &message, &fd, 1);
}

static bool tell_memory(struct vhost_user *user)
{
	struct message message = { .request = SET_MEM_TABLE };
	const struct mem *mem = &user->vm->mem;
	int fds[MEM_PARTS];
	unsigned int i;

	message.body.memory.count = mem->parts_count;
	for (i = 0; i < mem->parts_count; i++) {
		const struct mem_part *part = &mem->parts[i];

		message.body.memory.regions[i] = (struct memory_region){
			part->gpa, part->size, (uintptr_t)(mem->host + part->offset), part->offset
		};
		fds[i] = mem->fd;
	}
	message.size = (uint32_t)(offsetof(struct memory_table, regions) +
				  mem->parts_count * sizeof(struct memory_region));
	return tell(user, &message, fds, mem->parts_count);
}

/* ---- running ------------------------------------------------------------------------------- */

static bool start_queue(struct vhost_user *user, unsigned int index)
{
	struct outer_queue *queue = &user->queues[index];
	const struct virtq *virtq = queue->virtq;
	struct message address = {
		.request = SET_VRING_ADDR,
		.size = sizeof(struct vring_address),
		.body.address = { .index = index,
				  .desc = (uintptr_t)virtq->desc,
				  .used = (uintptr_t)virtq->used,
				  .avail = (uintptr_t)virtq->avail },
	};

	return tell_state(user, SET_VRING_NUM, index, virtq->size) &&
	       tell_state(user, SET_VRING_BASE, index, virtq->last_avail) &&
	       tell(user, &address, NULL, 0) &&
	       tell_eventfd(user, SET_VRING_CALL, index, queue->call.fd) &&
	       tell_eventfd(user, SET_VRING_KICK, index, virtq->kick.fd) &&
	       (!(user->features & FEATURE_PROTOCOL) ||
		tell_state(user, SET_VRING_ENABLE, index, 1));
}

static void start(struct vhost_user *user)
{
	uint64_t features = user->dev->chosen | (user->features & FEATURE_PROTOCOL);
	unsigned int i;

	if (user->running || !tell_number(user, SET_FEATURES, features) || !tell_memory(user))
		return;
	user->running = true;
	for (i = 0; i < user->queues_count; i++) {
		struct outer_queue *queue = &user->queues[i];

		outer_queue_lend(queue, true);
		outer_queue_route(queue, true);
		if (queue->virtq->enabled && !start_queue(user, i))
			return;
		/* What the guest rang for before, or a helper before this one did not hear. */
		if (queue->virtq->enabled)
			eventfd_write(queue->virtq->kick.fd, 1);
	}
}

/* By its answer, all that was taken from the ring was given back. */
static void stop_queue(struct vhost_user *user, unsigned int index)
{
	struct message message = { .request = GET_VRING_BASE,
				   .size = sizeof(struct vring_state),
				   .body.state = { index, 0 } };
	struct virtq *virtq = user->queues[index].virtq;

	if (virtq->enabled && ask(user, &message) && message.size == sizeof(struct vring_state)) {
		virtq->last_avail = (uint16_t)message.body.state.number;
		virtq->last_used = virtq->used[1];
		virtq->told_used = virtq->last_used;
	}
}

static void stop(struct vhost_user *user)
{
	unsigned int i;

	if (!user->running)
		return;
	for (i = 0; i < user->queues_count; i++)
		stop_queue(user, i);
	user->running = false;
	for (i = 0; i < user->queues_count; i++) {
		outer_queue_route(&user->queues[i], false);
		outer_queue_lend(&user->queues[i], false);
	}
}

/* ---- the device's verbs -------------------------------------------------------------------- */

static void device_kicked(void *owner, struct virtq *queue)
{
	(void)owner;
	(void)queue; /* the helper has its own ear for it */
}

static void device_ready(void *owner)
{
	start(owner);
}

static void device_reset(void *owner)
{
	stop(owner);
}

static void device_quiesce(void *owner, bool on)
{
	struct vhost_user *user = owner;

	if (on)
		stop(user);
	else if (virtio_is_ready(user->dev))
		start(user);
}

static void device_vector_changed(void *owner, unsigned int vector)
{
	struct vhost_user *user = owner;
	unsigned int i;

	for (i = 0; i < user->queues_count && user->running; i++)
		if (user->queues[i].virtq->vector == vector || user->queues[i].by_kernel)
			outer_queue_route(&user->queues[i], true);
}

static void device_state(void *owner, struct snap *snap)
{
	struct vhost_user *user = owner;

	if (user->ops->state)
		user->ops->state(user->owner, snap);
}

/* These two may close the helper. */
static void device_ejected(void *owner)
{
	struct vhost_user *user = owner;

	if (user->ops->ejected)
		user->ops->ejected(user->owner);
}

static void device_destroy(void *owner)
{
	struct vhost_user *user = owner;

	if (user->ops->destroy)
		user->ops->destroy(user->owner);
}

static const struct virtio_ops DEVICE_OPS = {
	.kicked = device_kicked,
	.ready = device_ready,
	.reset = device_reset,
	.quiesce = device_quiesce,
	.state = device_state,
	.vector_changed = device_vector_changed,
	.ejected = device_ejected,
	.destroy = device_destroy,
};

/* ---- beginning and end --------------------------------------------------------------------- */

static void connection_ready(void *owner, uint32_t events)
{
	struct vhost_user *user = owner;

	if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))
		give_up(user, "the device's helper has ended");
}

static bool negotiate(struct vhost_user *user)
{
	const uint64_t wanted = PROTOCOL_MQ | PROTOCOL_REPLY_ACK | PROTOCOL_CONFIG;
	uint64_t protocol = 0;

	if (!ask_number(user, GET_FEATURES, &user->features))
		return false;
	if ((user->features & FEATURE_PROTOCOL) &&
	    (!ask_number(user, GET_PROTOCOL_FEATURES, &protocol) ||
	     !tell_number(user, SET_PROTOCOL_FEATURES, protocol & wanted)))
		return false;
	user->protocol = protocol & wanted;
	return tell(user, &(struct message){ .request = SET_OWNER }, NULL, 0);
}

struct vhost_user *vhost_user_open(struct vm *vm, const struct helper *helper, const char *name,
				   struct why *why)
{
	struct vhost_user *user = calloc(1, sizeof(*user));
	struct timeval limit = { .tv_sec = ANSWER_SECONDS };

	if (!user) {
		why_set(why, "no memory");
		return NULL;
	}
	user->helper = *helper;
	user->vm = vm;
	user->name = name;
	user->fd = (struct loop_fd){ helper->fd, connection_ready, user };
	setsockopt(helper->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (negotiate(user))
		return user;
	why_set(why, "%s ended before it answered, or is no helper for devices", name);
	vhost_user_close(user);
	return NULL;
}

uint64_t vhost_user_features(const struct vhost_user *user)
{
	return user->features;
}

int vhost_user_config(struct vhost_user *user, void *config, uint32_t size, struct why *why)
{
	struct message message = { .request = GET_CONFIG,
				   .size = offsetof(struct config_part, bytes) + size,
				   .body.config.size = size };

	if (!(user->protocol & PROTOCOL_CONFIG) || !ask(user, &message) ||
	    message.size != offsetof(struct config_part, bytes) + size)
		return why_set(why, "%s does not say what its device is like", user->name);
	memcpy(config, message.body.config.bytes, size);
	return 0;
}

int vhost_user_attach(struct vhost_user *user, struct virtio_dev *dev, struct why *why)
{
	unsigned int i;

	dev->features &= user->features;
	if (!(dev->features & VIRTIO_VERSION_1))
		return why_set(why, "%s knows no device of virtio 1", user->name);
	for (i = 0; i < dev->queues_count; i++)
		if (outer_queue_init(&user->queues[user->queues_count++], &dev->queues[i], why))
			return -1;
	user->ops = dev->ops;
	user->owner = dev->owner;
	dev->ops = &DEVICE_OPS;
	dev->owner = user;
	user->dev = dev;
	return loop_add(&user->vm->loop, &user->fd, EPOLLRDHUP);
}

void vhost_user_close(struct vhost_user *user)
{
	unsigned int i;

	if (user->dev && !user->gone)
		loop_remove(&user->vm->loop, &user->fd);
	for (i = 0; i < user->queues_count; i++)
		outer_queue_fini(&user->queues[i]);
	helper_end(&user->helper);
	free(user);
}
