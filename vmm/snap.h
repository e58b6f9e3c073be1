/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stream of a VM's state. A device describes its state once, in a function that goes both ways:
 * saving, values go into the stream; loading, they come out of it. A stream is a row of sections,
 * each with a name, a version and a length.
 *
 * What is loaded is as trustworthy as a file that came by mail: whoever loads checks each value
 * that later is an index, a size or an address, and calls snap_spoil() if it cannot be.
 */
#ifndef VMM_SNAP_H
#define VMM_SNAP_H

#include "vmm/why.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snap {
	bool load;
	bool bad;
	uint8_t *data;
	size_t at; /* next byte */
	size_t size; /* of what is there */
	size_t limit; /* loading: the end of the section */
	size_t begin; /* of the section's head */
	char section[32];
	struct why why; /* if bad: the first fault */
};

void snap_init_save(struct snap *snap);
void snap_init_load(struct snap *snap, const void *data, size_t size);
void snap_fini(struct snap *snap);

/**
 * snap_begin() - Opens a section; each must be closed by snap_end().
 * @version: that this code writes, and the highest that it reads
 *
 * Return: the version of what is read; @version when saving.
 */
unsigned int snap_begin(struct snap *snap, const char *name, unsigned int version);
void snap_end(struct snap *snap);

/* Loading: the name of the next section into name (32 bytes), false at the end. */
bool snap_peek(struct snap *snap, char *name);

/* No bool may lie among the bytes: one that is read is true, false, or spoils the stream. */
void snap_bytes(struct snap *snap, void *bytes, size_t size);
void snap_bool(struct snap *snap, void *value, size_t size);
#define snap_value(snap, pointer)     \
	_Generic(*(pointer), bool     \
		 : snap_bool, default \
		 : snap_bytes)(snap, pointer, sizeof(*(pointer)))

void snap_spoil(struct snap *snap, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
