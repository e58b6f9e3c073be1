/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A space of addresses (ports, or memory that is none) and who answers where. The machine's lock
 * guards it. What nobody answers reads as ones, and writes to it are lost.
 */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <stdbool.h>
#include <stdint.h>

#define BUS_RANGES 160

struct bus_ops {
	/* Accesses never cross a range's end; size is 1, 2, 4 or 8. */
	uint64_t (*read)(void *owner, uint64_t offset, unsigned int size);
	void (*write)(void *owner, uint64_t offset, unsigned int size, uint64_t value);
};

struct bus_range {
	uint64_t start, size;
	const struct bus_ops *ops;
	void *owner;
};

struct bus {
	struct bus_range ranges[BUS_RANGES]; /* by address */
	unsigned int count;
};

/* -1 if it would overlap another, or there are too many. */
int bus_add(struct bus *bus, uint64_t start, uint64_t size, const struct bus_ops *ops, void *owner);
void bus_remove(struct bus *bus, uint64_t start, const void *owner);

uint64_t bus_read(const struct bus *bus, uint64_t address, unsigned int size);
void bus_write(const struct bus *bus, uint64_t address, unsigned int size, uint64_t value);

#endif
