// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The real-time clock: see rtc.h (Motorola MC146818A datasheet). Time is the host's plus an offset,
 * computed when read; a timer runs only while the guest wants interrupts.
 */
#include "vmm/rtc.h"
#include "vmm/snap.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	RTC_SECONDS = 0x00,
	RTC_SECONDS_ALARM = 0x01,
	RTC_MINUTES = 0x02,
	RTC_MINUTES_ALARM = 0x03,
	RTC_HOURS = 0x04,
	RTC_HOURS_ALARM = 0x05,
	RTC_WEEKDAY = 0x06,
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
	RTC_CENTURY = 0x32,
};

#define A_UPDATING 0x80u
#define B_SET 0x80u
#define B_24_HOURS 0x02u
#define B_BINARY 0x04u
#define C_IRQ 0x80u
#define C_PERIODIC 0x40u
#define C_ALARM 0x20u
#define C_UPDATE 0x10u
#define D_VALID 0x80u
#define RTC_IRQ 8u
#define NS 1000000000ull

static uint64_t host_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
}

static uint8_t encode(const struct rtc *rtc, int value)
{
	return (uint8_t)(rtc->memory[RTC_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static int decode(const struct rtc *rtc, uint8_t value)
{
	return rtc->memory[RTC_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static uint8_t encode_hour(const struct rtc *rtc, int hour)
{
	if (rtc->memory[RTC_B] & B_24_HOURS)
		return encode(rtc, hour);
	return (uint8_t)(encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0));
}

static int decode_hour(const struct rtc *rtc, uint8_t value)
{
	if (rtc->memory[RTC_B] & B_24_HOURS)
		return decode(rtc, value);
	return decode(rtc, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

/* The registers of time, from the clock. */
static void time_load(struct rtc *rtc)
{
	time_t now = (time_t)(host_ns() / NS) + rtc->offset;
	struct tm tm;
	int year;

	if (rtc->memory[RTC_B] & B_SET)
		return;
	gmtime_r(&now, &tm);
	year = tm.tm_year > -1900 ? tm.tm_year + 1900 : 0; /* a guest may be before all years */
	rtc->memory[RTC_SECONDS] = encode(rtc, tm.tm_sec);
	rtc->memory[RTC_MINUTES] = encode(rtc, tm.tm_min);
	rtc->memory[RTC_HOURS] = encode_hour(rtc, tm.tm_hour);
	rtc->memory[RTC_WEEKDAY] = encode(rtc, tm.tm_wday + 1);
	rtc->memory[RTC_DAY] = encode(rtc, tm.tm_mday);
	rtc->memory[RTC_MONTH] = encode(rtc, tm.tm_mon + 1);
	rtc->memory[RTC_YEAR] = encode(rtc, year % 100);
	rtc->memory[RTC_CENTURY] = encode(rtc, year / 100);
}

/* The clock, from the registers that the guest wrote. */
static void time_store(struct rtc *rtc)
{
	struct tm tm = {
		.tm_sec = decode(rtc, rtc->memory[RTC_SECONDS]),
		.tm_min = decode(rtc, rtc->memory[RTC_MINUTES]),
		.tm_hour = decode_hour(rtc, rtc->memory[RTC_HOURS]),
		.tm_mday = decode(rtc, rtc->memory[RTC_DAY]),
		.tm_mon = decode(rtc, rtc->memory[RTC_MONTH]) - 1,
		.tm_year = decode(rtc, rtc->memory[RTC_YEAR]) +
			   (decode(rtc, rtc->memory[RTC_CENTURY]) - 19) * 100,
	};

	rtc->offset = (int64_t)timegm(&tm) - (int64_t)(host_ns() / NS);
}

static bool alarm_field(uint8_t alarm, uint8_t now)
{
	return (alarm & 0xc0) == 0xc0 || alarm == now;
}

static bool alarm_now(const struct rtc *rtc)
{
	return alarm_field(rtc->memory[RTC_SECONDS_ALARM], rtc->memory[RTC_SECONDS]) &&
	       alarm_field(rtc->memory[RTC_MINUTES_ALARM], rtc->memory[RTC_MINUTES]) &&
	       alarm_field(rtc->memory[RTC_HOURS_ALARM], rtc->memory[RTC_HOURS]);
}

static void raise_flags(struct rtc *rtc, uint8_t flags)
{
	rtc->memory[RTC_C] |= flags;
	if (!(rtc->memory[RTC_C] & rtc->memory[RTC_B] & (C_PERIODIC | C_ALARM | C_UPDATE)))
		return;
	if (!(rtc->memory[RTC_C] & C_IRQ))
		hv_irq_set(rtc->vm->hv, RTC_IRQ, true);
	rtc->memory[RTC_C] |= C_IRQ;
}

/* Nanoseconds between periodic interrupts; 0: none. */
static uint64_t period(const struct rtc *rtc)
{
	unsigned int rate = rtc->memory[RTC_A] & 15;

	if (!rate || !(rtc->memory[RTC_B] & C_PERIODIC))
		return 0;
	return NS * (1u << ((rate < 3 ? rate + 7 : rate) - 1)) / 32768;
}

static void timer_arm(struct rtc *rtc)
{
	uint64_t now = loop_now(), next = LOOP_NEVER;

	if (rtc->memory[RTC_B] & (C_ALARM | C_UPDATE))
		next = now + NS - host_ns() % NS;
	if (!period(rtc))
		rtc->periodic_at = LOOP_NEVER;
	else if (rtc->periodic_at == LOOP_NEVER || rtc->periodic_at + NS < now)
		rtc->periodic_at = now + period(rtc);
	if (rtc->periodic_at < next)
		next = rtc->periodic_at;
	loop_timer_set(&rtc->vm->loop, &rtc->timer, next);
}

static void timer_expired(void *owner)
{
	struct rtc *rtc = owner;
	uint64_t now = loop_now();
	uint8_t second = rtc->memory[RTC_SECONDS];

	if (rtc->periodic_at <= now) {
		rtc->periodic_at += period(rtc);
		raise_flags(rtc, C_PERIODIC);
	}
	time_load(rtc);
	if (rtc->memory[RTC_SECONDS] != second)
		raise_flags(rtc, (uint8_t)(C_UPDATE | (alarm_now(rtc) ? C_ALARM : 0)));
	timer_arm(rtc);
}

/* An update is "in progress" for the last 244 microseconds of a second. */
static uint8_t read_a(const struct rtc *rtc)
{
	bool updating = NS - host_ns() % NS < 244000 && !(rtc->memory[RTC_B] & B_SET);

	return (uint8_t)((rtc->memory[RTC_A] & 0x7f) | (updating ? A_UPDATING : 0));
}

static uint8_t read_c(struct rtc *rtc)
{
	uint8_t value = rtc->memory[RTC_C];

	rtc->memory[RTC_C] = 0;
	if (value & C_IRQ)
		hv_irq_set(rtc->vm->hv, RTC_IRQ, false);
	return value;
}

static uint64_t rtc_read(void *owner, uint64_t offset, unsigned int size)
{
	struct rtc *rtc = owner;

	(void)size;
	if (offset == 0)
		return 0xff;
	time_load(rtc);
	switch (rtc->index) {
	case RTC_A:
		return read_a(rtc);
	case RTC_C:
		return read_c(rtc);
	case RTC_D:
		return D_VALID;
	default:
		return rtc->memory[rtc->index];
	}
}

static bool is_time(uint8_t index)
{
	return index == RTC_SECONDS || index == RTC_MINUTES || index == RTC_HOURS ||
	       (index >= RTC_WEEKDAY && index <= RTC_YEAR) || index == RTC_CENTURY;
}

static void register_write(struct rtc *rtc, uint8_t index, uint8_t value)
{
	bool was_set = rtc->memory[RTC_B] & B_SET;

	if (index == RTC_C || index == RTC_D)
		return;
	time_load(rtc);
	rtc->memory[index] = value;
	if ((is_time(index) && !was_set) || (index == RTC_B && was_set && !(value & B_SET)))
		time_store(rtc);
	if (index == RTC_B)
		raise_flags(rtc, 0);
	timer_arm(rtc);
}

static void rtc_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	struct rtc *rtc = owner;

	(void)size;
	if (offset == 0)
		rtc->index = value & 0x7f;
	else
		register_write(rtc, rtc->index, (uint8_t)value);
}

static const struct bus_ops RTC_OPS = { rtc_read, rtc_write };

/*
 * What firmware for QEMU finds there: memory below 4 GiB above 16 MiB in 64 KiB, above in the
 * same.
 */
static void memory_sizes(struct rtc *rtc)
{
	uint64_t low = rtc->vm->mem.low_end, high = rtc->vm->mem.size - low;
	uint64_t above_16m = low > 16u << 20 ? (low - (16u << 20)) >> 16 : 0;
	uint64_t kib = low > 64u << 20 ? 65535 : (low >> 10) - 1024;

	rtc->memory[0x15] = 640 & 0xff;
	rtc->memory[0x16] = 640 >> 8;
	rtc->memory[0x17] = rtc->memory[0x30] = (uint8_t)kib;
	rtc->memory[0x18] = rtc->memory[0x31] = (uint8_t)(kib >> 8);
	rtc->memory[0x34] = (uint8_t)above_16m;
	rtc->memory[0x35] = (uint8_t)(above_16m >> 8);
	rtc->memory[0x5b] = (uint8_t)(high >> 16);
	rtc->memory[0x5c] = (uint8_t)(high >> 24);
	rtc->memory[0x5d] = (uint8_t)(high >> 32);
	rtc->memory[0x5f] = (uint8_t)(rtc->vm->config->cpus - 1);
}

static void rtc_reset(void *owner)
{
	struct rtc *rtc = owner;

	rtc->memory[RTC_A] = 0x26;
	rtc->memory[RTC_B] = B_24_HOURS;
	read_c(rtc);
	memory_sizes(rtc);
	rtc->periodic_at = LOOP_NEVER;
	timer_arm(rtc);
}

static void rtc_state(void *owner, struct snap *snap)
{
	struct rtc *rtc = owner;

	snap_value(snap, &rtc->index);
	snap_value(snap, &rtc->memory);
	snap_value(snap, &rtc->offset);
	rtc->index &= 0x7f;
	if (!snap->load || snap->bad)
		return;
	rtc->periodic_at = LOOP_NEVER;
	hv_irq_set(rtc->vm->hv, RTC_IRQ, rtc->memory[RTC_C] & C_IRQ);
	timer_arm(rtc);
}

struct rtc *rtc_create(struct vm *vm)
{
	struct rtc *rtc = calloc(1, sizeof(*rtc));

	if (!rtc)
		return NULL;
	rtc->vm = vm;
	loop_timer_init(&vm->loop, &rtc->timer, timer_expired, rtc);
	bus_add(&vm->ports, 0x70, 2, &RTC_OPS, rtc);
	rtc->device = (struct vm_device){ .name = "rtc",
					  .version = 1,
					  .reset = rtc_reset,
					  .state = rtc_state,
					  .owner = rtc,
					  .destroy = free };
	vm_device_add(vm, &rtc->device);
	return rtc;
}
