// SPDX-License-Identifier: GPL-2.0-or-later
/* Who answers at which address: see bus.h. */
#include "vmm/bus.h"

#include <stddef.h>
#include <string.h>

/* The first range that begins above the address. */
static unsigned int after(const struct bus *bus, uint64_t address)
{
	unsigned int low = 0, high = bus->count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (bus->ranges[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int bus_add(struct bus *bus, uint64_t start, uint64_t size, const struct bus_ops *ops, void *owner)
{
	unsigned int at = after(bus, start);

	if (bus->count == BUS_RANGES || size == 0 || start + size < start)
		return -1;
	if (at > 0 && start - bus->ranges[at - 1].start < bus->ranges[at - 1].size)
		return -1;
	if (at < bus->count && bus->ranges[at].start - start < size)
		return -1;
	memmove(&bus->ranges[at + 1], &bus->ranges[at], (bus->count - at) * sizeof(*bus->ranges));
	bus->ranges[at] = (struct bus_range){ start, size, ops, owner };
	bus->count++;
	return 0;
}

void bus_remove(struct bus *bus, uint64_t start, const void *owner)
{
	unsigned int at = after(bus, start);

	if (at == 0 || bus->ranges[at - 1].start != start || bus->ranges[at - 1].owner != owner)
		return;
	memmove(&bus->ranges[at - 1], &bus->ranges[at], (bus->count - at) * sizeof(*bus->ranges));
	bus->count--;
}

static const struct bus_range *find(const struct bus *bus, uint64_t address, unsigned int size)
{
	unsigned int at = after(bus, address);
	const struct bus_range *range = at ? &bus->ranges[at - 1] : NULL;

	if (!range || address - range->start >= range->size ||
	    size > range->size - (address - range->start))
		return NULL;
	return range;
}

uint64_t bus_read(const struct bus *bus, uint64_t address, unsigned int size)
{
	const struct bus_range *range = find(bus, address, size);

	return range ? range->ops->read(range->owner, address - range->start, size) : UINT64_MAX;
}

void bus_write(const struct bus *bus, uint64_t address, unsigned int size, uint64_t value)
{
	const struct bus_range *range = find(bus, address, size);

	if (range)
		range->ops->write(range->owner, address - range->start, size, value);
}
