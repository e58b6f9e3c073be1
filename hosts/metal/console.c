/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The serial console: a 16550 at COM1 (or COM2), 115200 baud 8N1 unless com1= says otherwise, and
 * the ring of all that was written, which `xl dmesg` reads. What the user types goes to Dom0;
 * Ctrl-A three times hands the keys to the hypervisor (keys.c), and back.
 *
 * What is said is said by somebody: the hypervisor of itself, or of and for a guest. Each has a
 * level up to which it is put out (loglvl=, guest_loglvl=).
 */
#include "hosts/metal/metal.h"
#include "fronts/xen/xen.h"
#include "lib/format.h"

#define UART_DATA 0
#define UART_INTERRUPTS 1
#define UART_FIFO 2
#define UART_LINE 3
#define UART_MODEM 4
#define UART_STATUS 5
#define UART_STATUS_DATA 0x01
#define UART_STATUS_ROOM 0x20

#define RING_BYTES 16384u
#define TYPED_BYTES 256u
#define SWITCH_KEY 1 /* Ctrl-A */
#define SWITCH_TIMES 3

static struct {
	struct bv_spinlock lock;
	/* constant after init */
	u16 port;
	u8 irq;
	enum bv_log_level level, guest_level;
	/* any */
	bool panic;
	/* guarded by lock */
	bool ours; /* what is typed is for the hypervisor */
	u32 switching; /* switch keys in a row, held back */
	u64 produced, cleared; /* bytes ever put into the ring; those before are not shown again */
	u32 typed_in, typed_out;
	char typed[TYPED_BYTES];
	char ring[RING_BYTES];
} console = { .level = BV_LOG_INFO };

u16 console_port(void)
{
	return console.port;
}

void console_panic(void)
{
	console.panic = true;
}

static void uart_put(char c)
{
	u32 patience = 1000000;

	while (!(in_u8(console.port + UART_STATUS) & UART_STATUS_ROOM) && --patience)
		cpu_relax();
	out_u8(console.port + UART_DATA, (u8)c);
}

static void uart_text(char c)
{
	if (!console.port)
		return;
	if (c == '\n')
		uart_put('\r');
	uart_put(c);
}

static void put_locked(const char *text, size_t length)
{
	for (; length; text++, length--) {
		uart_text(*text);
		console.ring[console.produced++ % RING_BYTES] = *text;
	}
}

void console_write(const char *text, size_t length)
{
	u64 flags = 0;

	if (!console.panic)
		flags = bv_host_spin_lock_irq(&console.lock);
	put_locked(text, length);
	if (!console.panic)
		bv_host_spin_unlock_irq(&console.lock, flags);
}

void bv_host_log(enum bv_log_level level, const char *text)
{
	say(level, "%s", text);
}

static void say_v(const char *mark, const char *format, va_list arguments)
{
	char text[256];
	size_t length = bv_format(text, sizeof(text), "(bivisor) %s", mark);

	length += bv_format_v(text + length, sizeof(text) - length - 1, format, arguments);
	text[length++] = '\n';
	console_write(text, length);
}

void say(enum bv_log_level level, const char *format, ...)
{
	static const char *const marks[] = { "error: ", "warning: ", "", "" };
	va_list arguments;

	if (level > console.level && !console.panic)
		return;
	va_start(arguments, format);
	say_v(marks[level], format, arguments);
	va_end(arguments);
}

void say_answer(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say_v("", format, arguments);
	va_end(arguments);
}

/* ---- what the front asks ---- */

void bvx_host_console_write(const char *text, size_t length)
{
	console_write(text, length);
}

void bvx_host_guest_log(enum bv_log_level level, const char *text, size_t length)
{
	if (level <= console.guest_level)
		console_write(text, length);
}

size_t bvx_host_log_read(u64 *index, char *text, size_t size)
{
	u64 flags = bv_host_spin_lock_irq(&console.lock), at = *index;
	size_t count = 0;

	if (at < console.cleared)
		at = console.cleared;
	if (console.produced - at > RING_BYTES)
		at = console.produced - RING_BYTES;
	for (; at != console.produced && count < size; at++)
		text[count++] = console.ring[at % RING_BYTES];
	*index = at;
	bv_host_spin_unlock_irq(&console.lock, flags);
	return count;
}

void bvx_host_log_clear(void)
{
	u64 flags = bv_host_spin_lock_irq(&console.lock);

	console.cleared = console.produced;
	bv_host_spin_unlock_irq(&console.lock, flags);
}

u64 bvx_host_log_size(void)
{
	return RING_BYTES;
}

size_t bvx_host_console_read(char *text, size_t size)
{
	u64 flags = bv_host_spin_lock_irq(&console.lock);
	size_t count = 0;

	for (; console.typed_out != console.typed_in && count < size; console.typed_out++)
		text[count++] = console.typed[console.typed_out % TYPED_BYTES];
	bv_host_spin_unlock_irq(&console.lock, flags);
	return count;
}

/* ---- birth ---- */

static const struct {
	const char *name;
	u16 port;
	u8 irq;
	const char *settings;
} ports[] = {
	{ "com1", 0x3f8, 4, options.com1 },
	{ "com2", 0x2f8, 3, options.com2 },
};

/* com1=BAUD[,8n1[,PORT,IRQ]] */
static u32 settings_read(const char *text)
{
	const char *end;
	u32 baud = (u32)parse_number(text, &end), field = 0;

	for (; *end; end++) {
		if (*end != ',')
			continue;
		field++;
		if (field == 2 && end[1] == '0')
			console.port = (u16)parse_number(end + 1, &text);
		if (field == 3)
			console.irq = (u8)parse_number(end + 1, &text);
	}
	return baud ? baud : 115200;
}

/* LEVEL[/LEVEL]: the first says what is put out; "all" is as "debug". Nothing: all but debug. */
static enum bv_log_level level_read(const char *text, enum bv_log_level otherwise)
{
	static const struct {
		const char *name;
		enum bv_log_level level;
	} names[] = {
		{ "none", BV_LOG_ERROR }, { "error", BV_LOG_ERROR }, { "warning", BV_LOG_WARNING },
		{ "info", BV_LOG_INFO },  { "debug", BV_LOG_DEBUG }, { "all", BV_LOG_DEBUG },
	};

	for (u32 i = 0; i < BV_ARRAY_SIZE(names); i++) {
		size_t length = text_length(names[i].name);

		if (text_starts(text, names[i].name) && (!text[length] || text[length] == '/'))
			return names[i].level;
	}
	return otherwise;
}

void console_init(void)
{
	u32 which = text_starts(options.console, "com2"), divisor;

	bv_host_spin_init(&console.lock);
	console.level = level_read(options.loglvl, BV_LOG_INFO);
	console.guest_level = level_read(options.guest_loglvl, BV_LOG_DEBUG);
	if (options.console[0] && !text_starts(options.console, "com"))
		return;
	console.port = ports[which].port;
	console.irq = ports[which].irq;
	divisor = 115200 / settings_read(ports[which].settings);
	out_u8(console.port + UART_INTERRUPTS, 0);
	out_u8(console.port + UART_LINE, 0x80);
	out_u8(console.port + UART_DATA, divisor ? (u8)divisor : 1);
	out_u8(console.port + 1, (u8)(divisor >> 8));
	out_u8(console.port + UART_LINE, 0x03);
	out_u8(console.port + UART_FIFO, 0x07);
	out_u8(console.port + UART_MODEM, 0x0b);
	if (in_u8(console.port + UART_LINE) != 0x03)
		console.port = 0; /* nobody there */
	/* What was said of the command line, which names the port. */
	for (u64 at = 0; at < console.produced; at++)
		uart_text(console.ring[at % RING_BYTES]);
}

/* ---- input ---- */

void console_input_init(void)
{
	u64 trigger;
	u32 gsi;

	if (!console.port)
		return;
	trigger = ioapic_isa(console.irq, &gsi);
	ioapic_write(gsi, VECTOR_SERIAL | trigger | (u64)metal_cpus[0]->apic_id << 56);
	out_u8(console.port + UART_INTERRUPTS, 1);
}

u32 console_gsi(void)
{
	u32 gsi = ~0u;

	if (console.port)
		ioapic_isa(console.irq, &gsi);
	return gsi;
}

static void say_who_listens(bool ours)
{
	say_answer("input goes to %s (Ctrl-A three times switches)",
		   ours ? "the hypervisor; h lists its keys" : "Dom0");
}

/* A character for whoever listens; true: it is Dom0's. */
static bool give_locked(char c)
{
	if (console.ours) {
		key_pressed(c);
		return false;
	}
	if (console.typed_in - console.typed_out < TYPED_BYTES)
		console.typed[console.typed_in++ % TYPED_BYTES] = c;
	return true;
}

/* Keys that might switch are held back until the next one tells; true: some are Dom0's. */
static bool typed_locked(char c, bool *switched)
{
	bool dom0 = false;

	if (c == SWITCH_KEY) {
		if (++console.switching == SWITCH_TIMES) {
			console.switching = 0;
			console.ours = !console.ours;
			*switched = true;
		}
		return false;
	}
	for (; console.switching; console.switching--)
		dom0 |= give_locked(SWITCH_KEY);
	return give_locked(c) || dom0;
}

void console_interrupt(void)
{
	u64 flags = bv_host_spin_lock_irq(&console.lock);
	bool switched = false, ours, dom0 = false;

	while (in_u8(console.port + UART_STATUS) & UART_STATUS_DATA)
		dom0 |= typed_locked((char)in_u8(console.port + UART_DATA), &switched);
	in_u8(console.port + UART_FIFO);
	ours = console.ours;
	bv_host_spin_unlock_irq(&console.lock, flags);
	if (switched)
		say_who_listens(ours);
	if (dom0)
		bvx_console_input();
}
