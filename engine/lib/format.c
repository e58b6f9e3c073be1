/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
#include "lib/format.h"

struct output {
	char *at, *end; /* end: the last byte, kept for NUL */
};

struct conversion {
	bool prefix, zero, is_long;
	unsigned int width;
	char letter;
};

static void put(struct output *output, char c)
{
	if (output->at < output->end)
		*output->at++ = c;
}

static void put_text(struct output *output, const char *text)
{
	if (!text)
		text = "(none)";
	while (*text)
		put(output, *text++);
}

static void put_number(struct output *output, u64 value, unsigned int base,
		       const struct conversion *how)
{
	char digits[20];
	unsigned int count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	for (unsigned int i = count; i < how->width; i++)
		put(output, how->zero ? '0' : ' ');
	while (count)
		put(output, digits[--count]);
}

/* Reads the conversion that follows a '%'; returns where the format goes on. */
static const char *conversion_read(const char *format, struct conversion *how)
{
	*how = (struct conversion){ 0 };
	for (; *format == '#' || *format == '0'; format++) {
		how->prefix |= *format == '#';
		how->zero |= *format == '0';
	}
	for (; *format >= '0' && *format <= '9'; format++)
		how->width = how->width * 10 + (*format - '0');
	for (; *format == 'l' || *format == 'z'; format++)
		how->is_long = true;
	how->letter = *format;
	return *format ? format + 1 : format;
}

static void put_signed(struct output *output, long long value, const struct conversion *how)
{
	if (value < 0)
		put(output, '-');
	put_number(output, value < 0 ? -(u64)value : (u64)value, 10, how);
}

size_t bv_format_v(char *buffer, size_t size, const char *format, va_list arguments)
{
	struct output output = { buffer, buffer + size - 1 };
	struct conversion how;

	while (*format) {
		if (*format != '%') {
			put(&output, *format++);
			continue;
		}
		format = conversion_read(format + 1, &how);
		if (how.letter == 's') {
			put_text(&output, va_arg(arguments, const char *));
		} else if (how.letter == 'c') {
			put(&output, va_arg(arguments, int));
		} else if (how.letter == 'd') {
			put_signed(&output,
				   how.is_long ? va_arg(arguments, long long) :
						 va_arg(arguments, int),
				   &how);
		} else if (how.letter == 'u' || how.letter == 'x') {
			u64 value = how.is_long ? va_arg(arguments, u64) : va_arg(arguments, u32);

			if (how.prefix)
				put_text(&output, "0x");
			put_number(&output, value, how.letter == 'x' ? 16 : 10, &how);
		} else if (how.letter) {
			put(&output, how.letter);
		}
	}
	*output.at = '\0';
	return output.at - buffer;
}

size_t bv_format(char *buffer, size_t size, const char *format, ...)
{
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	length = bv_format_v(buffer, size, format, arguments);
	va_end(arguments);
	return length;
}
