/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fuzzer's input, taken piece by piece; behind its end there are zeroes. For fuzzers that make
 * calls of it: ioctl.c, hypercall.c.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <string.h>

#include "bv/types.h"

static struct {
	const u8 *at;
	size_t left;
} input;

static inline u8 next_byte(void)
{
	if (!input.left)
		return 0;
	input.left--;
	return *input.at++;
}

static inline u32 next_u32(void)
{
	u32 value = next_byte();

	value |= (u32)next_byte() << 8;
	value |= (u32)next_byte() << 16;
	return value | (u32)next_byte() << 24;
}

static inline void next_bytes(void *to, size_t bytes)
{
	size_t given = bytes < input.left ? bytes : input.left;

	memcpy(to, input.at, given);
	memset((u8 *)to + given, 0, bytes - given);
	input.at += given;
	input.left -= given;
}

#endif
