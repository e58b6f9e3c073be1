// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Snapshots that came by mail. The input changes bytes of a good one (place and value), or cuts it;
 * what it says is loaded, saved again if it was taken, and then the machine is used: ports are read,
 * doorbells rung.
 */
#include "tests/vmm/fake.h"
#include "vmm/snapshot.h"

#include <stdlib.h>
#include <string.h>

static struct snap good;

static void use(struct fake *fake)
{
	const struct bus *ports = &fake->vm.ports, *mmio = &fake->vm.mmio;
	struct snap snap;
	unsigned int i;

	for (i = 0; i < ports->count; i++)
		bus_read(ports, ports->ranges[i].start, 1);
	for (i = 0; i < mmio->count; i++)
		bus_read(mmio, mmio->ranges[i].start + 20, 4);
	for (i = 0; i < ports->count; i++)
		if (ports->ranges[i].start >= PCI_IO_START)
			bus_write(ports, ports->ranges[i].start, 2, 0);
	fake_settle(fake);
	snapshot_save_stream(&fake->vm, &snap, true);
	if (snap.bad)
		abort();
	snap_fini(&snap);
}

static void load(struct fake *fake, uint8_t *state, const uint8_t *data, size_t size)
{
	size_t whole = good.at, i;
	struct why why = { 0 };
	bool run = false;

	memcpy(state, good.data, whole);
	if (size && data[0] == 0xff)
		whole = whole * data[1 % size] / 256;
	for (i = 0; i + 3 <= size; i += 3)
		state[(data[i] | data[i + 1] << 8) % good.at] ^= data[i + 2];
	if (snapshot_load_stream(&fake->vm, state, whole, &run, &why) == 0)
		use(fake);
	else if (!why.text[0])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake *fake;
	static uint8_t *state;

	if (!fake) {
		fake = fake_make(NULL);
		fake_start(fake_device(fake, VIRTIO_BLOCK), VIRTIO_RING_EVENT);
		fake_start(fake_device(fake, VIRTIO_NET), 0);
		snapshot_save_stream(&fake->vm, &good, true);
		state = malloc(good.at);
	}
	vm_reset_parts(&fake->vm);
	pci_place_all(fake->vm.pci);
	load(fake, state, data, size);
	return 0;
}
