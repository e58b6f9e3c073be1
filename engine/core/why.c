/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* The rings of reasons; see bv/why.h. */
#include "bv/why.h"
#include "lib/format.h"

static struct bv_why global;

struct bv_why *bv_why_global(void)
{
	return &global;
}

void bv_why_init(struct bv_why *why)
{
	bv_host_spin_init(&why->lock);
	why->written = 0;
}

int bv_refuse(struct bv_why *why, int error, const char *format, ...)
{
	va_list arguments;
	u64 flags;

	va_start(arguments, format);
	flags = bv_host_spin_lock_irq(&why->lock);
	bv_format_v(why->line[why->written++ % BV_WHY_LINES], BV_WHY_CHARS, format, arguments);
	bv_host_spin_unlock_irq(&why->lock, flags);
	va_end(arguments);
	return -error;
}

static size_t why_length(const char *line)
{
	size_t length = 0;

	while (line[length])
		length++;
	return length;
}

size_t bv_why_read(struct bv_why *why, char *text, size_t size)
{
	u64 flags = bv_host_spin_lock_irq(&why->lock);
	u32 first = why->written > BV_WHY_LINES ? why->written - BV_WHY_LINES : 0;
	size_t length = 0, total = 0;

	for (u32 i = first; i < why->written; i++)
		total += why_length(why->line[i % BV_WHY_LINES]) + 1;
	for (; total + 1 > size && first < why->written; first++)
		total -= why_length(why->line[first % BV_WHY_LINES]) + 1;
	for (u32 i = first; i < why->written; i++)
		length += bv_format(text + length, size - length, "%s\n",
				    why->line[i % BV_WHY_LINES]);
	bv_host_spin_unlock_irq(&why->lock, flags);
	text[length] = '\0';
	return length;
}
