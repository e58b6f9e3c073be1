// SPDX-License-Identifier: GPL-2.0-or-later
/* ACPI machine language: see aml.h. */
#include "vmm/aml.h"

#include <stdlib.h>
#include <string.h>

#define OP_NAME 0x08
#define OP_BYTE 0x0a
#define OP_WORD 0x0b
#define OP_DWORD 0x0c
#define OP_STRING 0x0d
#define OP_QWORD 0x0e
#define OP_SCOPE 0x10
#define OP_BUFFER 0x11
#define OP_PACKAGE 0x12
#define OP_METHOD 0x14
#define OP_DUAL_NAME 0x2e
#define OP_MULTI_NAME 0x2f
#define OP_EXTENDED 0x5b
#define OP_REGION 0x80
#define OP_FIELD 0x81
#define OP_DEVICE 0x82
#define OP_IF 0xa0
#define SPACE_IO 1
#define FIELD_DWORDS 3

#define LENGTH_BYTES 3 /* a package length that holds 20 bits, whatever is needed */

/* Room for a length that aml_end() fills in. */
static size_t open_length(struct buf *buf)
{
	size_t at = buf->size;

	buf_zeros(buf, LENGTH_BYTES);
	return at;
}

void aml_end(struct buf *buf, size_t at)
{
	size_t length = buf->size - at;

	if (buf->failed)
		return;
	buf->data[at] = (uint8_t)(0x80 | (length & 15));
	buf->data[at + 1] = (uint8_t)(length >> 4);
	buf->data[at + 2] = (uint8_t)(length >> 12);
}

void aml_path(struct buf *buf, const char *path)
{
	size_t names;

	if (*path == '\\')
		buf_u8(buf, (uint8_t)*path++);
	names = (strlen(path) + 1) / 5;
	if (names == 2)
		buf_u8(buf, OP_DUAL_NAME);
	if (names > 2) {
		buf_u8(buf, OP_MULTI_NAME);
		buf_u8(buf, (unsigned int)names);
	}
	for (; names; names--, path += 5)
		buf_bytes(buf, path, 4);
}

void aml_integer(struct buf *buf, uint64_t value)
{
	if (value < 2) {
		buf_u8(buf, (unsigned int)value); /* ZeroOp, OneOp */
	} else if (value < 0x100) {
		buf_u8(buf, OP_BYTE);
		buf_u8(buf, (unsigned int)value);
	} else if (value < 0x10000) {
		buf_u8(buf, OP_WORD);
		buf_u16(buf, (unsigned int)value);
	} else if (value < 0x100000000) {
		buf_u8(buf, OP_DWORD);
		buf_u32(buf, (uint32_t)value);
	} else {
		buf_u8(buf, OP_QWORD);
		buf_u64(buf, value);
	}
}

void aml_string(struct buf *buf, const char *text)
{
	buf_u8(buf, OP_STRING);
	buf_bytes(buf, text, strlen(text) + 1);
}

size_t aml_scope(struct buf *buf, const char *path)
{
	size_t at;

	buf_u8(buf, OP_SCOPE);
	at = open_length(buf);
	aml_path(buf, path);
	return at;
}

size_t aml_device(struct buf *buf, const char *name)
{
	size_t at;

	buf_u8(buf, OP_EXTENDED);
	buf_u8(buf, OP_DEVICE);
	at = open_length(buf);
	aml_path(buf, name);
	return at;
}

size_t aml_method(struct buf *buf, const char *name, unsigned int arguments)
{
	size_t at;

	buf_u8(buf, OP_METHOD);
	at = open_length(buf);
	aml_path(buf, name);
	buf_u8(buf, arguments | 8); /* serialized */
	return at;
}

size_t aml_package(struct buf *buf, unsigned int elements)
{
	size_t at;

	buf_u8(buf, OP_PACKAGE);
	at = open_length(buf);
	buf_u8(buf, elements);
	return at;
}

size_t aml_if(struct buf *buf)
{
	buf_u8(buf, OP_IF);
	return open_length(buf);
}

void aml_name(struct buf *buf, const char *name)
{
	buf_u8(buf, OP_NAME);
	aml_path(buf, name);
}

void aml_name_integer(struct buf *buf, const char *name, uint64_t value)
{
	aml_name(buf, name);
	aml_integer(buf, value);
}

/* Three letters of five bits and four hexadecimal digits, in big-endian order. */
void aml_name_eisa(struct buf *buf, const char *name, const char *id)
{
	uint32_t value = (uint32_t)(id[0] & 31) << 26 | (uint32_t)(id[1] & 31) << 21 |
			 (uint32_t)(id[2] & 31) << 16 | (uint32_t)strtoul(id + 3, NULL, 16);

	aml_name(buf, name);
	aml_integer(buf, __builtin_bswap32(value));
}

void aml_port_words(struct buf *buf, const char *region, uint16_t port, const char *const *names,
		    unsigned int count)
{
	size_t at;
	unsigned int i;

	buf_u8(buf, OP_EXTENDED);
	buf_u8(buf, OP_REGION);
	aml_path(buf, region);
	buf_u8(buf, SPACE_IO);
	aml_integer(buf, port);
	aml_integer(buf, 4 * count);
	buf_u8(buf, OP_EXTENDED);
	buf_u8(buf, OP_FIELD);
	at = open_length(buf);
	aml_path(buf, region);
	buf_u8(buf, FIELD_DWORDS);
	for (i = 0; i < count; i++) {
		aml_path(buf, names[i]);
		buf_u8(buf, 0x40 | (32 & 15)); /* 32 bits, as a package length of two bytes */
		buf_u8(buf, 32 >> 4);
	}
	aml_end(buf, at);
}

/* A buffer whose size stands as a word. */
size_t aml_resources(struct buf *buf)
{
	size_t at;

	buf_u8(buf, OP_BUFFER);
	at = open_length(buf);
	buf_u8(buf, OP_WORD);
	buf_u16(buf, 0);
	return at;
}

void aml_resources_end(struct buf *buf, size_t at)
{
	size_t first = at + LENGTH_BYTES + 3, size;

	buf_u8(buf, 0x79); /* end tag, without a checksum */
	buf_u8(buf, 0);
	aml_end(buf, at);
	if (buf->failed)
		return;
	size = buf->size - first;
	buf->data[first - 2] = (uint8_t)size;
	buf->data[first - 1] = (uint8_t)(size >> 8);
}

void aml_res_ports(struct buf *buf, uint16_t first, uint8_t count)
{
	buf_u8(buf, 0x47);
	buf_u8(buf, 1);
	buf_u16(buf, first);
	buf_u16(buf, first);
	buf_u8(buf, 1);
	buf_u8(buf, count);
}

void aml_res_irq(struct buf *buf, unsigned int irq)
{
	buf_u8(buf, 0x22);
	buf_u16(buf, 1u << irq);
}

void aml_res_fixed_memory(struct buf *buf, uint32_t first, uint32_t count)
{
	buf_u8(buf, 0x86);
	buf_u16(buf, 9);
	buf_u8(buf, 1);
	buf_u32(buf, first);
	buf_u32(buf, count);
}

static void word_window(struct buf *buf, uint8_t type, uint8_t flags, uint16_t first, uint16_t last)
{
	buf_u8(buf, 0x88);
	buf_u16(buf, 13);
	buf_u8(buf, type);
	buf_u8(buf, 0x0c); /* both ends are fixed */
	buf_u8(buf, flags);
	buf_u16(buf, 0);
	buf_u16(buf, first);
	buf_u16(buf, last);
	buf_u16(buf, 0);
	buf_u16(buf, (unsigned int)last - first + 1);
}

void aml_res_bus_numbers(struct buf *buf, uint16_t first, uint16_t last)
{
	word_window(buf, 2, 0, first, last);
}

void aml_res_port_window(struct buf *buf, uint16_t first, uint16_t last)
{
	word_window(buf, 1, 3, first, last);
}

void aml_res_memory_window(struct buf *buf, uint32_t first, uint32_t last)
{
	buf_u8(buf, 0x87);
	buf_u16(buf, 23);
	buf_u8(buf, 0);
	buf_u8(buf, 0x0c);
	buf_u8(buf, 1); /* read and write */
	buf_u32(buf, 0);
	buf_u32(buf, first);
	buf_u32(buf, last);
	buf_u32(buf, 0);
	buf_u32(buf, last - first + 1);
}
