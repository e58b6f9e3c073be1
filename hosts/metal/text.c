/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Strings, and the memory functions that the compiler counts on. */
#include "hosts/metal/metal.h"

void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
void page_clear(void *page)
{
	u64 words = BV_PAGE_SIZE / 8;

	__asm__ volatile("rep stosq" : "+D"(page), "+c"(words) : "a"(0ull) : "memory");
}

void *memmove(void *to, const void *from, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

/*
 * Eight bytes at a time, and the rest: whole pages are what is copied and cleared most, and not
 * every CPU is quick at single bytes.
 */
void *memcpy(void *to, const void *from, size_t bytes)
{
	size_t words = bytes / 8, rest = bytes % 8;
	void *at = to;

	__asm__ volatile("rep movsq" : "+D"(at), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(rest) : : "memory");
	return to;
}

void *memset(void *to, int value, size_t bytes)
{
	size_t words = bytes / 8, rest = bytes % 8;
	u64 pattern = (u8)value * 0x0101010101010101ULL;
	void *at = to;

	__asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(rest) : "a"(pattern) : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
	u8 *d = to;
	const u8 *s = from;

	if (d <= s || d >= s + bytes)
		return memcpy(to, from, bytes);
	while (bytes--)
		*(volatile u8 *)(d + bytes) = s[bytes];
	return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const u8 *x = a, *y = b;

	for (; bytes; bytes--, x++, y++)
		if (*x != *y)
			return *x < *y ? -1 : 1;
	return 0;
}

size_t text_length(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

bool text_equal(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return *a == *b;
}

bool text_starts(const char *text, const char *start)
{
	for (; *start; text++, start++)
		if (*text != *start)
			return false;
	return true;
}

void text_copy(char *to, const char *from, size_t size)
{
	for (; size > 1 && *from; size--)
		*to++ = *from++;
	*to = 0;
}
