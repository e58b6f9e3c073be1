// SPDX-License-Identifier: GPL-2.0-or-later
/* Causes in words: see why.h. */
#include "vmm/why.h"

#include <stdarg.h>
#include <stdio.h>

int why_set(struct why *why, const char *format, ...)
{
	va_list arguments;

	if (!why)
		return -1;
	va_start(arguments, format);
	vsnprintf(why->text, sizeof(why->text), format, arguments);
	va_end(arguments);
	why->hint[0] = 0;
	return -1;
}

int why_hint(struct why *why, const char *format, ...)
{
	va_list arguments;

	if (!why)
		return -1;
	va_start(arguments, format);
	vsnprintf(why->hint, sizeof(why->hint), format, arguments);
	va_end(arguments);
	return -1;
}
