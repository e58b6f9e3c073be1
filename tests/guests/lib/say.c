// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Text out of the guest: the 16550 at 0x3f8 where there is one, else port 0xe9 (Xen's console for
 * guests without). Also the few functions that the compiler calls by itself.
 */
#include "cpu.h"
#include "start_info.h"

#define UART 0x3f8
#define UART_LINE (UART + 5)
#define UART_EMPTY 0x20
#define UART_SPARE (UART + 7)
#define DEBUG_PORT 0xe9

static bool has_uart;
static u32 say_lock;

void console_init(void)
{
	outb(UART_SPARE, 0x5a);
	has_uart = inb(UART_SPARE) == 0x5a;
	if (!has_uart)
		return;
	outb(UART + 1, 0); /* no interrupts */
	outb(UART + 3, 3); /* 8 bits, no parity */
	outb(UART + 4, 3);
}

/* A real UART that sends slowly is waited for, but not for ever. */
static void put(char c)
{
	u32 tries = 10000;

	if (!has_uart) {
		outb(DEBUG_PORT, (u8)c);
		return;
	}
	while (!(inb(UART_LINE) & UART_EMPTY) && --tries)
		cpu_pause();
	outb(UART, (u8)c);
}

static void put_number(u64 value, u32 base, u32 width, char fill)
{
	char digits[24];
	u32 count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	for (; width > count; width--)
		put(fill);
	while (count)
		put(digits[--count]);
}

static void put_signed(s64 value, u32 width, char fill)
{
	if (value < 0)
		put('-');
	put_number(value < 0 ? 0 - (u64)value : (u64)value, 10, width, fill);
}

static void put_string(const char *text, u32 width)
{
	u32 length = 0;

	for (; *text; text++, length++)
		put(*text);
	for (; length < width; length++)
		put(' ');
}

/* One conversion, `format` behind its % sign; where it ends. */
static const char *put_conversion(const char *format, va_list *args)
{
	char fill = *format == '0' ? '0' : ' ';
	u32 width = 0, longs = 0;

	for (; *format >= '0' && *format <= '9'; format++)
		width = width * 10 + (u32)(*format - '0');
	for (; *format == 'l'; format++)
		longs++;
	switch (*format) {
	case 'c':
		put((char)va_arg(*args, int));
		break;
	case 's':
		put_string(va_arg(*args, const char *), width);
		break;
	case 'd':
		put_signed(longs ? va_arg(*args, s64) : va_arg(*args, int), width, fill);
		break;
	case 'u':
		put_number(longs ? va_arg(*args, u64) : va_arg(*args, u32), 10, width, fill);
		break;
	case 'x':
		put_number(longs ? va_arg(*args, u64) : va_arg(*args, u32), 16, width, fill);
		break;
	default:
		put(*format);
	}
	return format + 1;
}

/* The lock is given up after a while: a CPU that faults while it prints must still be heard. */
static bool say_lock_take(void)
{
	u32 tries = 1000000;

	while (__atomic_exchange_n(&say_lock, 1, __ATOMIC_ACQUIRE)) {
		if (!--tries)
			return false;
		cpu_pause();
	}
	return true;
}

void say_list(const char *format, va_list args)
{
	u64 flags = read_flags();
	bool locked;
	va_list copy;

	cpu_cli();
	locked = say_lock_take();
	va_copy(copy, args);
	while (*format) {
		if (*format == '%')
			format = put_conversion(format + 1, &copy);
		else
			put(*format++);
	}
	va_end(copy);
	if (locked)
		__atomic_store_n(&say_lock, 0, __ATOMIC_RELEASE);
	if (flags & RFLAGS_IF)
		cpu_sti();
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_list(format, args);
	va_end(args);
}

u64 random_next(u64 *state)
{
	u64 x = *state ? *state : 0x9e3779b97f4a7c15ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * 0x2545f4914f6cdd1dull;
}

bool wait_for(const volatile u32 *word, u32 value, u64 ticks)
{
	u64 begin = rdtsc();

	while (load32(word) < value) {
		if (rdtsc() - begin > ticks)
			return false;
		cpu_pause();
	}
	return true;
}

void *memset(void *to, int value, size_t size)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size)::"memory");
	return to;
}

int memcmp(const void *left, const void *right, size_t size)
{
	const u8 *a = left, *b = right;

	for (; size; size--, a++, b++)
		if (*a != *b)
			return *a < *b ? -1 : 1;
	return 0;
}
