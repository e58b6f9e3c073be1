/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Copying and clearing of memory, by the compiler's own means: where it emits a call, each host has
 * the callee.
 */
#ifndef BV_X86_BYTES_H
#define BV_X86_BYTES_H

#include "bv/types.h"

static inline void bv_bytes_copy(void *to, const void *from, size_t count)
{
	__builtin_memcpy(to, from, count);
}

static inline void bv_bytes_zero(void *at, size_t count)
{
	__builtin_memset(at, 0, count);
}

/* Little-endian value of .size bytes, 1, 2, 4 or 8. */
static inline u64 bv_bytes_get(const void *at, unsigned int size)
{
	u64 value = 0;

	switch (size) {
	case 1:
		return *(const u8 *)at;
	case 2:
		__builtin_memcpy(&value, at, 2);
		break;
	case 4:
		__builtin_memcpy(&value, at, 4);
		break;
	default:
		__builtin_memcpy(&value, at, 8);
	}
	return value;
}

static inline void bv_bytes_put(void *at, u64 value, unsigned int size)
{
	switch (size) {
	case 1:
		*(u8 *)at = (u8)value;
		break;
	case 2:
		__builtin_memcpy(at, &value, 2);
		break;
	case 4:
		__builtin_memcpy(at, &value, 4);
		break;
	default:
		__builtin_memcpy(at, &value, 8);
	}
}

#endif
