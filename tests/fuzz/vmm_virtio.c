// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtio devices against a hostile driver. Of the input: a byte that chooses the device, one the
 * ring's features, one the queue; the rest lies in guest memory where the rings and the buffers are,
 * so that descriptors, indices and requests are whatever it says. Several kicks, with what remains
 * of the input moved on in between.
 */
#include "tests/vmm/fake.h"

#include <string.h>

#define ROUNDS 3

static const enum virtio_type TYPES[] = { VIRTIO_BLOCK, VIRTIO_NET, VIRTIO_RNG, VIRTIO_BALLOON,
					  VIRTIO_CONSOLE };

/* A descriptor in a few bytes, so that a good one is not one in a million. */
static size_t fill_ring(struct virtio_dev *dev, unsigned int queue, const uint8_t *data,
			size_t size)
{
	uint64_t at = FAKE_RING_AT + queue * 0x10000ull;
	struct fake_desc *table = mem_at(&dev->vm->mem, at, 4096);
	uint16_t *avail = mem_at(&dev->vm->mem, at + 0x1000, 4096);
	size_t i, used = 0;

	for (i = 0; i < FAKE_RING && used + 6 <= size; i++, used += 6) {
		table[i].address = 0x400000u + (data[used] << 8) + (data[used + 1] & 0xf0);
		table[i].length = (uint32_t)(data[used + 2] << (data[used + 3] & 15));
		table[i].flags = data[used + 4] & 7;
		table[i].next = data[used + 5] & 31;
		if ((data[used + 1] & 15) == 15)
			table[i].address = (uint64_t)data[used] << 56;
	}
	if (used < size) {
		avail[1] = (uint16_t)(avail[1] + (data[used] & 31));
		for (i = 0; i < FAKE_RING; i++)
			avail[2 + i] = (uint16_t)((data[used] + i) & 31) % (FAKE_RING + 1);
		used++;
	}
	return used;
}

static void fuzz(struct fake *fake, const uint8_t *data, size_t size)
{
	struct virtio_dev *dev = fake_device(fake, TYPES[data[0] % 5]);
	uint64_t features = 0;
	unsigned int queue = data[2] % dev->queues_count, round;
	size_t used;

	features |= data[1] & 1 ? VIRTIO_RING_INDIRECT : 0;
	features |= data[1] & 2 ? VIRTIO_RING_EVENT : 0;
	features |= data[1] & 4 ? dev->features & 0xffffff : 0;
	if (!fake_start(dev, features))
		return;
	data += 3;
	size -= 3;
	for (round = 0; round < ROUNDS; round++) {
		used = fill_ring(dev, queue, data, size);
		data += used;
		size -= used;
		mem_write(&fake->vm.mem, 0x400000u, data, size < 0x10000 ? size : 0x10000);
		bus_write(&fake->vm.ports, dev->pci.bars[0].address + 4 * queue, 2, queue);
		fake_settle(fake);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake *fake;

	if (size < 8)
		return 0;
	if (!fake)
		fake = fake_make(NULL);
	vm_reset_parts(&fake->vm);
	pci_place_all(fake->vm.pci);
	fuzz(fake, data, size);
	return 0;
}
