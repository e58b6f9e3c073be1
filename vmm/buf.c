// SPDX-License-Identifier: GPL-2.0-or-later
/* Bytes that grow: see buf.h. */
#include "vmm/buf.h"

#include <stdlib.h>
#include <string.h>

void buf_fini(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){ 0 };
}

static bool reserve(struct buf *buf, size_t count)
{
	size_t room = (buf->size + count) * 2 + 256;
	uint8_t *data;

	if (buf->room - buf->size >= count)
		return true;
	data = realloc(buf->data, room);
	if (!data) {
		buf->failed = true;
		return false;
	}
	buf->data = data;
	buf->room = room;
	return true;
}

void buf_bytes(struct buf *buf, const void *bytes, size_t count)
{
	if (!count || !reserve(buf, count))
		return;
	memcpy(buf->data + buf->size, bytes, count);
	buf->size += count;
}

void buf_zeros(struct buf *buf, size_t count)
{
	if (!count || !reserve(buf, count))
		return;
	memset(buf->data + buf->size, 0, count);
	buf->size += count;
}

void buf_align(struct buf *buf, size_t to)
{
	buf_zeros(buf, (to - buf->size % to) % to);
}

void buf_text(struct buf *buf, const char *text)
{
	buf_bytes(buf, text, strlen(text));
}
