/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Text from a format, into a buffer: the few conversions that the engine's and the fronts' messages
 * need.
 */
#ifndef BV_FORMAT_H
#define BV_FORMAT_H

#include <stdarg.h>

#include "bv/types.h"

/*
 * %s %c %d %u %x with l or ll, # before x for the prefix 0x, a width with leading 0 for x, and %%.
 * Writes at most size bytes with the ending NUL (size at least 1) and returns the length written
 * without it: text that does not fit is cut.
 */
size_t bv_format_v(char *buffer, size_t size, const char *format, va_list arguments)
	bv_printf_like(3, 0);
size_t bv_format(char *buffer, size_t size, const char *format, ...) bv_printf_like(3, 4);

#endif
