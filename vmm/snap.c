// SPDX-License-Identifier: GPL-2.0-or-later
/* The stream of a VM's state: see snap.h. */
#include "vmm/snap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct head {
	char name[32];
	uint32_t version;
	uint32_t length; /* without this head */
};

void snap_init_save(struct snap *snap)
{
	memset(snap, 0, sizeof(*snap));
}

void snap_init_load(struct snap *snap, const void *data, size_t size)
{
	memset(snap, 0, sizeof(*snap));
	snap->load = true;
	snap->data = malloc(size ? size : 1);
	snap->size = snap->limit = size;
	if (snap->data)
		memcpy(snap->data, data, size);
	else
		snap_spoil(snap, "no memory");
}

void snap_fini(struct snap *snap)
{
	free(snap->data);
	snap->data = NULL;
}

void snap_spoil(struct snap *snap, const char *format, ...)
{
	va_list arguments;
	char text[360];

	if (snap->bad)
		return;
	snap->bad = true;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (snap->section[0])
		why_set(&snap->why, "in the part %s: %s", snap->section, text);
	else
		why_set(&snap->why, "%s", text);
}

static void grow(struct snap *snap, size_t size)
{
	size_t want = snap->at + size;
	uint8_t *data;

	if (want <= snap->size)
		return;
	want = want * 2 + 4096;
	data = realloc(snap->data, want);
	if (!data) {
		snap_spoil(snap, "no memory");
		return;
	}
	snap->data = data;
	snap->size = want;
}

void snap_bytes(struct snap *snap, void *bytes, size_t size)
{
	if (!snap->load)
		grow(snap, size);
	else if (size > snap->limit - snap->at)
		snap_spoil(snap, "it ends too early");
	if (snap->bad) {
		if (snap->load)
			memset(bytes, 0, size);
		return;
	}
	if (snap->load)
		memcpy(bytes, snap->data + snap->at, size);
	else
		memcpy(snap->data + snap->at, bytes, size);
	snap->at += size;
}

void snap_bool(struct snap *snap, void *value, size_t size)
{
	uint8_t byte = 0;

	(void)size;
	if (!snap->load)
		byte = *(bool *)value;
	snap_bytes(snap, &byte, sizeof(byte));
	if (byte > 1)
		snap_spoil(snap, "%u in the place of yes or no", byte);
	*(bool *)value = byte == 1;
}

static unsigned int begin_load(struct snap *snap, const char *name, unsigned int version)
{
	struct head head;

	snap->limit = snap->size;
	snap_value(snap, &head);
	head.name[sizeof(head.name) - 1] = 0;
	if (snap->bad)
		return version;
	if (strcmp(head.name, name))
		snap_spoil(snap, "the part %s is expected, here is %s", name, head.name);
	else if (head.version == 0 || head.version > version)
		snap_spoil(snap, "%s is of version %u, known is %u", name, head.version, version);
	else if (head.length > snap->size - snap->at)
		snap_spoil(snap, "%s is cut off", name);
	else
		snap->limit = snap->at + head.length;
	return head.version;
}

unsigned int snap_begin(struct snap *snap, const char *name, unsigned int version)
{
	struct head head = { .version = version };

	snap->section[0] = 0;
	if (snap->load) {
		version = begin_load(snap, name, version);
	} else {
		snap->begin = snap->at;
		snprintf(head.name, sizeof(head.name), "%s", name);
		snap_value(snap, &head);
	}
	snprintf(snap->section, sizeof(snap->section), "%s", name);
	return version;
}

void snap_end(struct snap *snap)
{
	uint32_t length = (uint32_t)(snap->at - snap->begin - sizeof(struct head));

	if (!snap->bad && snap->load && snap->at != snap->limit)
		snap_spoil(snap, "%zu bytes too many", snap->limit - snap->at);
	if (!snap->bad && !snap->load)
		memcpy(snap->data + snap->begin + offsetof(struct head, length), &length,
		       sizeof(length));
	snap->limit = snap->size;
	snap->section[0] = 0;
}

bool snap_peek(struct snap *snap, char *name)
{
	if (snap->bad || snap->size - snap->at < sizeof(struct head))
		return false;
	memcpy(name, snap->data + snap->at, 32);
	name[31] = 0;
	return true;
}
