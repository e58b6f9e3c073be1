// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A device that a helper serves: what the helper is told, that its interrupts arrive, that its ring
 * is given back at a stop, and what its end does. The helper is a thread here, which follows the
 * protocol's document by itself.
 */
#include "tests/unit/test.h"
#include "tests/vmm/fake.h"
#include "vmm/vhost_user.h"

#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER 0x400000u
#define FEATURES (1ull << 32 | 1ull << 30 | 1ull << 28 | 1)
#define PROTOCOL (1ull << 3 | 1ull << 9 | 1ull << 40)

struct message {
	uint32_t request, flags, size;
	uint8_t body[512];
} __attribute__((packed));

struct helper_side {
	int fd;
	pthread_t thread;
	uint64_t features, protocol;
	uint32_t order[64], told; /* the requests, as they came */
	uint64_t used_address;
	uint64_t regions[3][4];
	uint32_t regions_count;
	int memory_fd, kick, call;
	uint32_t base;
	bool enabled;
};

static uint64_t number_in(const struct message *message, unsigned int at)
{
	uint64_t value;

	memcpy(&value, message->body + at, sizeof(value));
	return value;
}

static uint32_t word_in(const struct message *message, unsigned int at)
{
	return (uint32_t)number_in(message, at);
}

static void take_memory(struct helper_side *side, const struct message *message, int fd)
{
	side->memory_fd = fd;
	side->regions_count = word_in(message, 0);
	memcpy(side->regions, message->body + 8, side->regions_count * sizeof(side->regions[0]));
}

/* An answer's body, if the request is one that is answered; else the confirmation. */
static void answer(struct helper_side *side, struct message *message)
{
	uint64_t number = 0;

	if (message->request == 1)
		number = FEATURES;
	else if (message->request == 15)
		number = PROTOCOL;
	else if (message->request == 11)
		number = (uint64_t)side->base << 32;
	else if (message->request == 24)
		memset(message->body + 12, 0x77, message->size - 12);
	else if (!(message->flags & 8))
		return;
	if (message->request != 24) {
		message->size = 8;
		memcpy(message->body, &number, 8);
	}
	message->flags = 1 | 4;
	if (write(side->fd, message, 12 + message->size) < 0)
		return;
}

static void note(struct helper_side *side, const struct message *message, int fd)
{
	side->order[side->told++ % 64] = message->request;
	switch (message->request) {
	case 2:
		side->features = number_in(message, 0);
		break;
	case 5:
		return take_memory(side, message, fd);
	case 9:
		side->used_address = number_in(message, 16);
		break;
	case 10:
		side->base = word_in(message, 4);
		break;
	case 12:
		side->kick = fd;
		break;
	case 13:
		side->call = fd;
		break;
	case 16:
		side->protocol = number_in(message, 0);
		break;
	case 18:
		side->enabled = word_in(message, 4);
	}
}

static int receive(struct helper_side *side, struct message *message)
{
	char control[CMSG_SPACE(3 * sizeof(int))];
	struct iovec iov = { message, 12 };
	struct msghdr head = { .msg_iov = &iov,
			       .msg_iovlen = 1,
			       .msg_control = control,
			       .msg_controllen = sizeof(control) };
	struct cmsghdr *rights;
	int fd = -1;

	if (recvmsg(side->fd, &head, 0) != 12)
		return -2;
	rights = CMSG_FIRSTHDR(&head);
	if (rights)
		memcpy(&fd, CMSG_DATA(rights), sizeof(fd));
	if (message->size && recv(side->fd, message->body, message->size, MSG_WAITALL) < 0)
		return -2;
	return fd;
}

static void *serve(void *argument)
{
	struct helper_side *side = argument;
	struct message message;
	int fd;

	while ((fd = receive(side, &message)) != -2) {
		note(side, &message, fd);
		answer(side, &message);
	}
	return NULL;
}

/* ---- the device ---------------------------------------------------------------------------- */

struct device {
	struct fake *fake;
	struct helper_side side;
	struct vhost_user *user;
	struct virtio_dev dev;
};

/* It has no verbs of its own. */
static const struct virtio_ops OPS;

static void quiesce(struct device *device, bool on)
{
	device->dev.ops->quiesce(device->dev.owner, on);
}

static void begin(struct device *device)
{
	struct helper helper;
	struct why why = { 0 };
	int pair[2];

	memset(device, 0, sizeof(*device));
	device->fake = fake_make(NULL);
	device->fake->vm.mem.fd = memfd_create("guest", MFD_CLOEXEC); /* to be sent */
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	helper = (struct helper){ pair[0], 0 };
	device->side.fd = pair[1];
	pthread_create(&device->side.thread, NULL, serve, &device->side);
	device->user = vhost_user_open(&device->fake->vm, &helper, "a thread", &why);
	CHECK(device->user != NULL);
	virtio_init(&device->dev, &device->fake->vm, VIRTIO_FS, "outer", &OPS, device, 3, 1, 16);
	CHECK_EQ(vhost_user_attach(device->user, &device->dev, &why), 0);
	CHECK_EQ(virtio_plug(&device->dev, &why), 0);
	pci_place_all(device->fake->vm.pci);
}

static void end(struct device *device)
{
	virtio_unplug(&device->dev);
	vhost_user_close(device->user);
	shutdown(device->side.fd, SHUT_RDWR);
	pthread_join(device->side.thread, NULL);
	close(device->side.fd);
	fake_free(device->fake);
}

TEST(a_helper_is_told_all_that_it_needs)
{
	struct device device;
	struct helper_side *side = &device.side;
	struct mem *mem;
	uint8_t config[8] = "";
	struct why why = { 0 };

	begin(&device);
	mem = &device.fake->vm.mem;
	CHECK_EQ(side->protocol, PROTOCOL & 0xffff);
	CHECK_EQ(vhost_user_config(device.user, config, sizeof(config), &why), 0);
	CHECK_EQ(config[7], 0x77);
	CHECK(fake_start(&device.dev, 1));
	CHECK_EQ(side->features, 1ull << 32 | 1ull << 30 | 1);
	CHECK_EQ(side->regions_count, mem->parts_count);
	CHECK_EQ(side->regions[1][0], mem->parts[1].gpa);
	CHECK_EQ(side->regions[1][1], mem->parts[1].size);
	CHECK_EQ(side->regions[1][3], mem->parts[1].offset);
	CHECK_EQ(side->used_address, (uintptr_t)device.dev.queues[0].used);
	CHECK(side->enabled && side->kick >= 0 && side->call >= 0);
	end(&device);
}

TEST(a_helpers_interrupt_arrives_and_its_place_is_taken_over)
{
	struct device device;
	struct helper_side *side = &device.side;

	begin(&device);
	CHECK(fake_start(&device.dev, 0));
	eventfd_write(side->call, 1);
	fake_settle(device.fake);
	CHECK_EQ(device.dev.isr & 1, 1);
	device.dev.queues[0].used[1] = 7;
	side->base = 9;
	quiesce(&device, true);
	CHECK_EQ(device.dev.queues[0].last_avail, 9);
	CHECK_EQ(device.dev.queues[0].last_used, 7);
	side->base = 0;
	quiesce(&device, false);
	CHECK_EQ(side->base, 9);
	end(&device);
}

TEST(a_device_breaks_when_its_helper_ends)
{
	struct device device;

	begin(&device);
	CHECK(fake_start(&device.dev, 0));
	shutdown(device.side.fd, SHUT_RDWR);
	fake_settle(device.fake);
	CHECK(device.dev.status & VIRTIO_STATUS_NEEDS_RESET);
	quiesce(&device, true); /* asks nobody */
	end(&device);
}

TEST(what_is_no_helper_is_refused)
{
	struct fake *fake = fake_make(NULL);
	struct helper helper;
	struct why why = { 0 };
	int pair[2];

	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	close(pair[1]);
	helper = (struct helper){ pair[0], 0 };
	CHECK(vhost_user_open(&fake->vm, &helper, "nobody", &why) == NULL);
	CHECK(strstr(why.text, "nobody ended before it answered") != NULL);
	fake_free(fake);
}
