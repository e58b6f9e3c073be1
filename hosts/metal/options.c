/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line: Xen's options where there is one for what we have. An option that we do not
 * know is named on the console and ignored, as is the value of one whose value cannot be.
 */
#include "hosts/metal/metal.h"

struct options options;

enum option_kind {
	OPTION_TEXT,
	OPTION_NUMBER,
	OPTION_BOOL,
	OPTION_CPUS,
	OPTION_IGNORED
};

static const struct option {
	const char *name;
	enum option_kind kind;
	void *to;
	u32 size;
} table[] = {
	{ "acpi", OPTION_TEXT, options.acpi, sizeof(options.acpi) },
	{ "com1", OPTION_TEXT, options.com1, sizeof(options.com1) },
	{ "com2", OPTION_TEXT, options.com2, sizeof(options.com2) },
	{ "console", OPTION_TEXT, options.console, sizeof(options.console) },
	{ "dom0_max_vcpus", OPTION_NUMBER, &options.dom0_max_vcpus, 0 },
	{ "dom0_mem", OPTION_TEXT, options.dom0_mem, sizeof(options.dom0_mem) },
	{ "guest_loglvl", OPTION_TEXT, options.guest_loglvl, sizeof(options.guest_loglvl) },
	{ "loglvl", OPTION_TEXT, options.loglvl, sizeof(options.loglvl) },
	{ "iommu", OPTION_TEXT, options.iommu, sizeof(options.iommu) },
	{ "isolcpus", OPTION_CPUS, &options.isolcpus, 0 },
	{ "maxcpus", OPTION_NUMBER, &options.maxcpus, 0 },
	{ "mitigations", OPTION_TEXT, options.mitigations, sizeof(options.mitigations) },
	{ "noreboot", OPTION_BOOL, &options.noreboot, 0 },
	{ "sched", OPTION_TEXT, options.sched, sizeof(options.sched) },
	{ "spec-ctrl", OPTION_TEXT, options.spec_ctrl, sizeof(options.spec_ctrl) },
	{ "watchdog", OPTION_BOOL, &options.watchdog, 0 },
	{ "watchdog_timeout", OPTION_NUMBER, &options.watchdog_timeout, 0 },
	/* Xen's, for what is always so here. */
	{ "cpuidle", OPTION_IGNORED, NULL, 0 },
	{ "dom0", OPTION_IGNORED, NULL, 0 },
	{ "placeholder", OPTION_IGNORED, NULL, 0 },
	{ "ucode", OPTION_IGNORED, NULL, 0 },
};

u64 parse_number(const char *text, const char **end)
{
	u64 base = 10, value = 0;

	if (text[0] == '0' && (text[1] | 32) == 'x') {
		base = 16;
		text += 2;
	}
	for (;; text++) {
		u64 digit = *text >= '0' && *text <= '9' ? (u64)(*text - '0') :
			    (*text | 32) >= 'a' && (*text | 32) <= 'f' ?
							   (u64)((*text | 32) - 'a' + 10) :
							   99;

		if (digit >= base)
			break;
		value = value * base + digit;
	}
	*end = text;
	return value;
}

u64 parse_size(const char *text, const char **end)
{
	u64 value = parse_number(text, end);
	static const char units[] = "bkmgt";

	for (u32 i = 0; units[i]; i++)
		if ((**end | 32) == units[i]) {
			(*end)++;
			return value << 10 * i;
		}
	return value << 10; /* as Xen: kilobytes */
}

bool parse_bool(const char *value)
{
	return !(text_equal(value, "0") || text_equal(value, "no") || text_equal(value, "off") ||
		 text_equal(value, "false"));
}

/* CPU numbers and ranges, with commas between: a bit a CPU; 0 if it is no such list. */
static u64 parse_cpus(const char *value)
{
	const char *at = value, *end;
	u64 mask = 0;

	for (;; at = end + 1) {
		u64 first = parse_number(at, &end), last = first;

		if (end != at && *end == '-') {
			at = end + 1;
			last = parse_number(at, &end);
		}
		if (end == at || (*end && *end != ',') || first > last) {
			say_warning("command line: '%s' is no list of CPUs, and ignored", value);
			return 0;
		}
		for (u64 cpu = first; cpu <= last && cpu < METAL_MAX_CPUS; cpu++)
			mask |= BV_BIT(cpu);
		if (!*end)
			return mask;
	}
}

static void option_set(const struct option *option, const char *value)
{
	const char *end;
	u64 cpus;

	if (option->kind == OPTION_TEXT)
		text_copy(option->to, value, option->size);
	else if (option->kind == OPTION_NUMBER)
		*(u32 *)option->to = (u32)parse_number(value, &end);
	else if (option->kind == OPTION_CPUS && (cpus = parse_cpus(value)))
		*(u64 *)option->to = cpus;
	else if (option->kind == OPTION_BOOL)
		*(bool *)option->to = !*value || parse_bool(value);
}

static void option_take(char *word)
{
	char *value = word;

	while (*value && *value != '=')
		value++;
	if (*value)
		*value++ = 0;
	for (u32 i = 0; i < BV_ARRAY_SIZE(table); i++)
		if (text_equal(word, table[i].name)) {
			option_set(&table[i], value);
			return;
		}
	say_warning("command line: '%s' is not known here, and ignored", word);
}

void options_parse(const char *text)
{
	char word[128];

	while (*text) {
		size_t length = 0;

		for (; *text == ' ' || *text == '\t'; text++)
			;
		for (; *text && *text != ' ' && *text != '\t'; text++)
			if (length + 1 < sizeof(word))
				word[length++] = *text;
		word[length] = 0;
		if (length)
			option_take(word);
	}
}
