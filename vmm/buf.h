/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes that grow at the end: tables and packets being made. Little endian. */
#ifndef VMM_BUF_H
#define VMM_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;
	size_t size;
	size_t room;
	bool failed; /* memory ran out: what is here is not whole */
};

void buf_fini(struct buf *buf);
void buf_bytes(struct buf *buf, const void *bytes, size_t count);
void buf_zeros(struct buf *buf, size_t count);
void buf_align(struct buf *buf, size_t to);
void buf_text(struct buf *buf, const char *text); /* without the 0 */

static inline void buf_u8(struct buf *buf, unsigned int value)
{
	buf_bytes(buf, &(uint8_t){ (uint8_t)value }, 1);
}

static inline void buf_u16(struct buf *buf, unsigned int value)
{
	buf_bytes(buf, &(uint16_t){ (uint16_t)value }, 2);
}

static inline void buf_u32(struct buf *buf, uint32_t value)
{
	buf_bytes(buf, &value, 4);
}

static inline void buf_u64(struct buf *buf, uint64_t value)
{
	buf_bytes(buf, &value, 8);
}

#endif
