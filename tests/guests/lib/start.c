// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The first C of a guest: reads what the loader left (PVH start info), makes the CPU ready, runs
 * the tests, ends.
 */
#include "apic.h"
#include "cpu.h"
#include "paging.h"
#include "start.h"
#include "start_info.h"

extern u8 low_load[], low_start[], low_end[];
extern u32 start_info_address;

/* The assembly's numbers are the C headers' numbers. */
_Static_assert(GDT_BYTES == GDT_ENTRIES * 8, "GDT_BYTES");
_Static_assert(CPU_FAULT_RSP == offsetof(struct cpu, fault_rsp), "CPU_FAULT_RSP");
_Static_assert(CPU_FAULT_FLAGS == offsetof(struct cpu, fault_flags), "CPU_FAULT_FLAGS");

static char command_line[256];
static const char *test_name;
static u32 checks, bad_checks, passed, failed, skipped;
static const char *skip_reason;

static void command_line_read(const struct start_info *info)
{
	const char *from = (const char *)info->cmdline_paddr;
	u32 i;

	for (i = 0; from && i < sizeof(command_line) - 1 && from[i]; i++)
		command_line[i] = from[i];
}

static bool word_is(const char *word, const char *key)
{
	while (*key && *word == *key) {
		word++;
		key++;
	}
	return !*key && *word == '=';
}

static u64 number_read(const char *text)
{
	u64 value = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (u64)(*text - '0');
	return value;
}

u64 guest_option(const char *key, u64 otherwise)
{
	const char *word = command_line;

	while (*word) {
		if (word_is(word, key)) {
			while (*word++ != '=')
				;
			return number_read(word);
		}
		while (*word && *word != ' ')
			word++;
		while (*word == ' ')
			word++;
	}
	return otherwise;
}

void check_that(bool good, int line, const char *text)
{
	checks++;
	if (good)
		return;
	bad_checks++;
	say("  %s:%d: not so: %s\n", test_name, line, text);
}

void check_equal(u64 left, u64 right, int line, const char *text)
{
	checks++;
	if (left == right)
		return;
	bad_checks++;
	say("  %s:%d: not so: %s (0x%llx, 0x%llx)\n", test_name, line, text, left, right);
}

void check_skip(const char *why)
{
	skip_reason = why;
}

static void test_run(const struct guest_test *test)
{
	test_name = test->name;
	checks = bad_checks = 0;
	skip_reason = NULL;
	test->body();
	if (bad_checks || (!checks && !skip_reason)) {
		say("FAIL %s%s\n", test->name, checks ? "" : ": it checked nothing");
		failed++;
	} else if (skip_reason) {
		say("SKIP %s: %s\n", test->name, skip_reason);
		skipped++;
	} else {
		say("PASS %s\n", test->name);
		passed++;
	}
}

void guest_start(void);
void guest_start(void)
{
	const struct guest_test *test;

	console_init();
	memcpy(low_start, low_load, (size_t)(low_end - low_start));
	start_info_read((const struct start_info *)(u64)start_info_address);
	command_line_read((const struct start_info *)(u64)start_info_address);
	trap_init_cpu(0);
	machine_find();
	pic_mask_all();
	apic_init_cpu();

	for (test = guest_tests; test->body; test++)
		test_run(test);
	say("SUM %u passed, %u failed, %u skipped\n", passed, failed, skipped);
	guest_end(!failed && passed);
}

void guest_end(bool good)
{
	say(good ? "VERDICT pass\n" : "VERDICT fail\n");
	for (;;) {
		outl(GUEST_VERDICT_PORT, good ? GUEST_PASS : GUEST_FAIL);
		cpu_cli();
		__asm__ volatile("hlt");
	}
}

void guest_panic(const char *format, ...)
{
	va_list args;

	say("\nPANIC in %s, CPU %u: ", test_name ? test_name : "start", this_cpu()->index);
	va_start(args, format);
	say_list(format, args);
	va_end(args);
	say("\nFAIL %s: panic\n", test_name ? test_name : "start");
	guest_end(false);
}
