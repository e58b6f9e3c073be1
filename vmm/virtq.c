// SPDX-License-Identifier: GPL-2.0-or-later
/* Split rings (virtio 1.2, section 2.7): see virtio.h. */
#include "vmm/virtio.h"

#include <string.h>

#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define DESC_INDIRECT 4u
#define AVAIL_NO_INTERRUPT 1u
#define USED_NO_NOTIFY 1u

struct virtq_desc {
	uint64_t address;
	uint32_t length;
	uint16_t flags;
	uint16_t next;
};

/* Avail: flags, index, ring[size], used_event. Used: flags, index, ring[size] of 8, avail_event. */
static uint16_t *avail_index(const struct virtq *queue)
{
	return queue->avail + 1;
}

static uint16_t *used_event(const struct virtq *queue)
{
	return queue->avail + 2 + queue->size;
}

static uint16_t *used_index(const struct virtq *queue)
{
	return queue->used + 1;
}

static uint16_t *avail_event(const struct virtq *queue)
{
	return queue->used + 2 + 4 * queue->size;
}

static bool has_event(const struct virtq *queue)
{
	return queue->dev->chosen & VIRTIO_RING_EVENT;
}

bool virtq_has_more(const struct virtq *queue)
{
	return queue->enabled && !(queue->dev->status & VIRTIO_STATUS_NEEDS_RESET) &&
	       __atomic_load_n(avail_index(queue), __ATOMIC_ACQUIRE) != queue->last_avail;
}

/* One checked buffer more. */
static const char *add_buffer(struct virtq *queue, struct virtq_chain *chain,
			      const struct virtq_desc *desc)
{
	unsigned int count = chain->out + chain->in;
	bool write = desc->flags & DESC_WRITE;
	void *at;

	if (desc->length == 0)
		return "a buffer of no bytes";
	if (count == VIRTQ_IOV)
		return "too many buffers in a request";
	if (!write && chain->in)
		return "a buffer to read after one to write";
	at = mem_at(&queue->dev->vm->mem, desc->address, desc->length);
	if (!at)
		return "a buffer outside of memory";
	chain->iov[count] = (struct iovec){ at, desc->length };
	if (write) {
		chain->in++;
		chain->in_size += desc->length;
	} else {
		chain->out++;
		chain->out_size += desc->length;
	}
	return NULL;
}

/* A table, the ring's own or an indirect one, from a first descriptor to the chain's end. */
static const char *walk_table(struct virtq *queue, struct virtq_chain *chain,
			      const struct virtq_desc *table, unsigned int size, uint16_t at,
			      struct virtq_desc *indirect)
{
	unsigned int steps;

	for (steps = 0; steps < size; steps++) {
		struct virtq_desc desc;
		const char *fault;

		if (at >= size)
			return "a descriptor outside of its table";
		memcpy(&desc, &table[at], sizeof(desc)); /* once: the guest may change it */
		__asm__ volatile("" : : : "memory");
		if (desc.flags & DESC_INDIRECT) {
			if (!indirect || (desc.flags & DESC_NEXT) || steps)
				return "an indirect table where none may be";
			*indirect = desc;
			return NULL;
		}
		fault = add_buffer(queue, chain, &desc);
		if (fault || !(desc.flags & DESC_NEXT))
			return fault;
		at = desc.next;
	}
	return "a chain without an end";
}

static const char *walk(struct virtq *queue, struct virtq_chain *chain)
{
	struct virtq_desc indirect = { 0 };
	bool may = queue->dev->chosen & VIRTIO_RING_INDIRECT;
	const struct virtq_desc *table;
	const char *fault;

	fault = walk_table(queue, chain, queue->desc, queue->size, chain->head,
			   may ? &indirect : NULL);
	if (fault || !indirect.length)
		return fault;
	if (indirect.length % sizeof(*table) || indirect.length > sizeof(*table) * 1024)
		return "an indirect table of a wrong size";
	table = mem_at(&queue->dev->vm->mem, indirect.address, indirect.length);
	if (!table)
		return "an indirect table outside of memory";
	return walk_table(queue, chain, table, indirect.length / sizeof(*table), 0, NULL);
}

bool virtq_pop(struct virtq *queue, struct virtq_chain *chain)
{
	const char *fault = NULL;
	uint16_t ahead;

	if (!virtq_has_more(queue))
		return false;
	ahead = (uint16_t)(*(volatile uint16_t *)avail_index(queue) - queue->last_avail);
	chain->head = *(volatile uint16_t *)&queue->avail[2 + queue->last_avail % queue->size];
	chain->out = chain->in = 0;
	chain->out_size = chain->in_size = 0;
	if (ahead > queue->size)
		fault = "more requests than the ring holds";
	else if (chain->head >= queue->size)
		fault = "a request outside of the ring";
	else
		fault = walk(queue, chain);
	if (fault) {
		virtio_break(queue->dev, fault);
		return false;
	}
	queue->last_avail++;
	return true;
}

void virtq_unpop(struct virtq *queue)
{
	queue->last_avail--;
}

void virtq_push(struct virtq *queue, uint16_t head, size_t written)
{
	uint32_t entry[2] = { head, (uint32_t)written };

	if (!queue->enabled)
		return;
	memcpy(queue->used + 2 + 4 * (queue->last_used % queue->size), entry, sizeof(entry));
	queue->last_used++;
	__atomic_store_n(used_index(queue), queue->last_used, __ATOMIC_RELEASE);
}

/* Has the index gone past the guest's mark since it was last looked at? */
static bool wants_interrupt(struct virtq *queue)
{
	uint16_t before = queue->told_used, now = queue->last_used, mark;

	queue->told_used = now;
	if (before == now)
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!has_event(queue))
		return !(*(volatile uint16_t *)queue->avail & AVAIL_NO_INTERRUPT);
	mark = *(volatile uint16_t *)used_event(queue);
	return (uint16_t)(now - mark - 1) < (uint16_t)(now - before);
}

static void interrupt(struct virtq *queue)
{
	struct virtio_dev *dev = queue->dev;

	if (pci_msix_enabled(&dev->pci)) {
		pci_msix_notify(&dev->pci, queue->vector);
		return;
	}
	dev->isr |= 1;
	pci_intx_set(&dev->pci, true);
}

void virtq_tell(struct virtq *queue)
{
	if (queue->enabled && wants_interrupt(queue))
		interrupt(queue);
}

bool virtq_wants_kicks(struct virtq *queue)
{
	if (!queue->enabled)
		return false;
	if (has_event(queue))
		*(volatile uint16_t *)avail_event(queue) = queue->last_avail;
	else
		*(volatile uint16_t *)queue->used = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return virtq_has_more(queue);
}

void virtq_no_kicks(struct virtq *queue)
{
	if (queue->enabled && !has_event(queue))
		*(volatile uint16_t *)queue->used = USED_NO_NOTIFY;
}

/* ---- bytes --------------------------------------------------------------------------------- */

static size_t copy(const struct iovec *iov, unsigned int count, size_t offset, uint8_t *bytes,
		   size_t size, bool to_guest)
{
	size_t done = 0;

	for (; count && done < size; iov++, count--) {
		size_t part = iov->iov_len;

		if (offset >= part) {
			offset -= part;
			continue;
		}
		part = part - offset < size - done ? part - offset : size - done;
		if (to_guest)
			memcpy((uint8_t *)iov->iov_base + offset, bytes + done, part);
		else
			memcpy(bytes + done, (uint8_t *)iov->iov_base + offset, part);
		done += part;
		offset = 0;
	}
	return done;
}

size_t chain_read(const struct virtq_chain *chain, size_t offset, void *to, size_t size)
{
	return copy(chain->iov, chain->out, offset, to, size, false);
}

size_t chain_write(const struct virtq_chain *chain, size_t offset, const void *from, size_t size)
{
	return copy(chain->iov + chain->out, chain->in, offset, (uint8_t *)(uintptr_t)from, size,
		    true);
}
