// SPDX-License-Identifier: GPL-2.0-or-later
/* The small virtio devices (virtio 1.2, sections 5.3 to 5.5): see virtio_small.h. */
#include "vmm/virtio_small.h"
#include "vmm/console.h"
#include "vmm/snap.h"

#include <linux/virtio_balloon.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PAGE 4096u
#define SMALL_QUEUE 64u

/* ---- console ------------------------------------------------------------------------------- */

enum {
	CONSOLE_RX = 0,
	CONSOLE_TX = 1
};

struct vconsole {
	struct vm *vm;
	struct virtio_dev dev;
};

static void vconsole_transmit(struct vconsole *console, struct virtq *queue)
{
	struct virtq_chain chain;
	unsigned int i;

	do {
		while (virtq_pop(queue, &chain)) {
			for (i = 0; i < chain.out; i++)
				console_output(console->vm->console, chain.iov[i].iov_base,
					       chain.iov[i].iov_len, CONSOLE_VIRTIO);
			virtq_push(queue, chain.head, 0);
		}
	} while (virtq_wants_kicks(queue));
	virtq_tell(queue);
}

static void vconsole_kicked(void *owner, struct virtq *queue)
{
	struct vconsole *console = owner;

	if (queue->index == CONSOLE_TX)
		vconsole_transmit(console, queue);
	else
		console_input_wanted(console->vm->console);
}

static unsigned int vconsole_room(void *owner)
{
	struct vconsole *console = owner;

	return virtq_has_more(&console->dev.queues[CONSOLE_RX]) ? 256 : 0;
}

static unsigned int vconsole_receive(void *owner, const uint8_t *bytes, unsigned int count)
{
	struct vconsole *console = owner;
	struct virtq *queue = &console->dev.queues[CONSOLE_RX];
	struct virtq_chain chain;
	unsigned int done = 0;

	while (done < count && virtq_pop(queue, &chain)) {
		size_t part = chain_write(&chain, 0, bytes + done, count - done);

		virtq_push(queue, chain.head, part);
		done += (unsigned int)part;
	}
	virtq_wants_kicks(queue);
	virtq_tell(queue);
	return done;
}

static void vconsole_ready(void *owner)
{
	struct vconsole *console = owner;

	console->vm->console->virtio = console;
	console->vm->console->virtio_room = vconsole_room;
	console->vm->console->virtio_receive = vconsole_receive;
}

static void vconsole_reset(void *owner)
{
	struct vconsole *console = owner;

	if (console->vm->console)
		console->vm->console->virtio = NULL;
}

static const struct virtio_ops VCONSOLE_OPS = {
	.kicked = vconsole_kicked,
	.ready = vconsole_ready,
	.reset = vconsole_reset,
	.destroy = free,
};

int virtio_console_create(struct vm *vm, struct why *why)
{
	struct vconsole *console = calloc(1, sizeof(*console));

	if (!console)
		return why_set(why, "no memory");
	console->vm = vm;
	virtio_init(&console->dev, vm, VIRTIO_CONSOLE, "virtio-console", &VCONSOLE_OPS, console, 0,
		    2, SMALL_QUEUE);
	console->dev.config_size = 12;
	return virtio_plug(&console->dev, why);
}

/* ---- entropy ------------------------------------------------------------------------------- */

static void rng_kicked(void *owner, struct virtq *queue)
{
	struct virtq_chain chain;
	uint8_t bytes[256];

	(void)owner;
	do {
		while (virtq_pop(queue, &chain)) {
			size_t want = chain.in_size < sizeof(bytes) ? chain.in_size : sizeof(bytes);
			ssize_t got = getrandom(bytes, want, 0);

			virtq_push(queue, chain.head,
				   got > 0 ? chain_write(&chain, 0, bytes, (size_t)got) : 0);
		}
	} while (virtq_wants_kicks(queue));
	virtq_tell(queue);
}

static const struct virtio_ops RNG_OPS = { .kicked = rng_kicked, .destroy = free };

int virtio_rng_create(struct vm *vm, struct why *why)
{
	struct virtio_dev *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return why_set(why, "no memory");
	virtio_init(dev, vm, VIRTIO_RNG, "virtio-rng", &RNG_OPS, dev, 0, 1, SMALL_QUEUE);
	return virtio_plug(dev, why);
}

/* ---- balloon ------------------------------------------------------------------------------- */

enum {
	BALLOON_INFLATE = 0,
	BALLOON_DEFLATE = 1,
	BALLOON_REPORT = 2
};

/*
 * Pages of one buffer that are given back. Drivers send 256; a longer list, each page a call to the
 * host's kernel, would keep all other devices and the control socket waiting.
 */
#define BALLOON_PAGES_AT_ONCE 1024u

static void release(struct balloon *balloon, uint64_t gpa, uint64_t size)
{
	void *at = mem_at(&balloon->vm->mem, gpa, size);

	if (at)
		mem_release(&balloon->vm->mem, at, size);
}

static void inflate(struct balloon *balloon, const struct virtq_chain *chain)
{
	size_t at, end = chain->out_size;
	uint32_t page;

	if (end > BALLOON_PAGES_AT_ONCE * sizeof(page))
		end = BALLOON_PAGES_AT_ONCE * sizeof(page);
	for (at = 0; at + sizeof(page) <= end; at += sizeof(page)) {
		chain_read(chain, at, &page, sizeof(page));
		release(balloon, (uint64_t)page << VIRTIO_BALLOON_PFN_SHIFT, PAGE);
	}
}

/* Reported pages come as buffers that the device could write to. */
static void report(struct balloon *balloon, const struct virtq_chain *chain)
{
	unsigned int i;

	for (i = chain->out; i < (unsigned int)chain->out + chain->in; i++) {
		uintptr_t from = ((uintptr_t)chain->iov[i].iov_base + PAGE - 1) & ~(PAGE - 1ul);
		uintptr_t to =
			((uintptr_t)chain->iov[i].iov_base + chain->iov[i].iov_len) & ~(PAGE - 1ul);

		if (from >= to)
			continue;
		mem_release(&balloon->vm->mem, (void *)from, to - from);
		balloon->reported += to - from;
	}
}

static void balloon_kicked(void *owner, struct virtq *queue)
{
	struct balloon *balloon = owner;
	struct virtq_chain chain;

	do {
		while (virtq_pop(queue, &chain)) {
			if (queue->index == BALLOON_INFLATE)
				inflate(balloon, &chain);
			else if (queue->index == BALLOON_REPORT)
				report(balloon, &chain);
			virtq_push(queue, chain.head, 0);
		}
	} while (virtq_wants_kicks(queue));
	virtq_tell(queue);
}

/* The driver writes how many pages it has given back: it lies in config already. */
static void balloon_written(void *owner, unsigned int offset, unsigned int size)
{
	(void)owner;
	(void)offset;
	(void)size;
}

static void balloon_state(void *owner, struct snap *snap)
{
	struct balloon *balloon = owner;

	snap_bytes(snap, balloon->dev.config, balloon->dev.config_size);
}

static void balloon_reset(void *owner)
{
	struct balloon *balloon = owner;

	memset(balloon->dev.config + 4, 0, 4);
}

static const struct virtio_ops BALLOON_OPS = {
	.kicked = balloon_kicked,
	.state = balloon_state,
	.reset = balloon_reset,
	.destroy = free,
	.config_written = balloon_written,
};

void balloon_set(struct balloon *balloon, uint64_t bytes)
{
	uint32_t pages = (uint32_t)(bytes / PAGE);

	memcpy(balloon->dev.config, &pages, sizeof(pages));
	virtio_config_changed(&balloon->dev);
}

uint64_t balloon_actual(const struct balloon *balloon)
{
	uint32_t pages;

	memcpy(&pages, balloon->dev.config + 4, sizeof(pages));
	return (uint64_t)pages * PAGE;
}

int virtio_balloon_create(struct vm *vm, struct why *why)
{
	struct balloon *balloon = calloc(1, sizeof(*balloon));

	if (!balloon)
		return why_set(why, "no memory");
	balloon->vm = vm;
	vm->balloon = balloon;
	virtio_init(&balloon->dev, vm, VIRTIO_BALLOON, "virtio-balloon", &BALLOON_OPS, balloon,
		    1ull << VIRTIO_BALLOON_F_DEFLATE_ON_OOM | 1ull << VIRTIO_BALLOON_F_REPORTING, 3,
		    SMALL_QUEUE);
	balloon->dev.config_size = 8;
	return virtio_plug(&balloon->dev, why);
}
