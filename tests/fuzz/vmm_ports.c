// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ports and MMIO against a hostile guest: chips, PCI configuration in both ways, BARs that move,
 * MSI-X, virtio's registers, firmware's configuration device with its DMA, flash. The input is a
 * row of accesses: a byte of what and how large, two or three of where, the value.
 */
#include "tests/vmm/fake.h"

#include <string.h>

struct input {
	const uint8_t *data;
	size_t size;
};

static uint64_t take(struct input *input, size_t bytes)
{
	uint64_t value = 0;

	if (bytes > input->size)
		bytes = input->size;
	memcpy(&value, input->data, bytes);
	input->data += bytes;
	input->size -= bytes;
	return value;
}

/* Places where something is; anywhere else is dull. */
static uint64_t mmio_place(struct fake *fake, struct input *input)
{
	static const uint64_t PLACES[] = { 0xe0000000, 0xfffff000, 0xfffd0000, 0xa0000 };
	unsigned int where = (unsigned int)take(input, 1);
	const struct bus *bus = &fake->vm.mmio;

	if (where < 4)
		return PLACES[where] + take(input, 2);
	if (!bus->count)
		return take(input, 4);
	return bus->ranges[where % bus->count].start + (take(input, 2) & 0xfff);
}

static uint64_t port_place(struct fake *fake, struct input *input)
{
	unsigned int where = (unsigned int)take(input, 1);
	const struct bus *bus = &fake->vm.ports;

	return bus->ranges[where % bus->count].start + (where >> 5);
}

static void access_one(struct fake *fake, struct input *input)
{
	unsigned int what = (unsigned int)take(input, 1), size = 1u << (what >> 2 & 3);
	bool write = what & 1;

	if (what & 2) {
		uint64_t at = mmio_place(fake, input);

		if (write)
			bus_write(&fake->vm.mmio, at, size, take(input, size));
		else
			bus_read(&fake->vm.mmio, at, size);
		return;
	}
	size = size > 4 ? 4 : size;
	if (write)
		bus_write(&fake->vm.ports, port_place(fake, input), size, take(input, size));
	else
		bus_read(&fake->vm.ports, port_place(fake, input), size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake *fake;
	struct input input = { data, size };

	if (!fake)
		fake = fake_make_firmware(128 << 10, 64 << 10);
	fake->vm.state = VM_STARTING;
	fake->vm.loop.stop = false;
	vm_reset_parts(&fake->vm);
	pci_place_all(fake->vm.pci);
	while (input.size)
		access_one(fake, &input);
	fake_settle(fake);
	return 0;
}
