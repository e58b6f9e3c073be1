/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* Counting bits without a call into the compiler's own library, which a kernel does not have. */
#ifndef BV_LIB_BITS_H
#define BV_LIB_BITS_H

#include "bv/types.h"

static inline unsigned int bv_popcount(u64 value)
{
	unsigned int count = 0;

	for (; value; value &= value - 1)
		count++;
	return count;
}

#endif
