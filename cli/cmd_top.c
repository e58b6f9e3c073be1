// SPDX-License-Identifier: GPL-2.0-or-later
/* Command top: what the running VMs do, as a table that is drawn anew each second. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/control.h"
#include "cli/out.h"

#define TOP_VMS 256

/* Counters of a VM at a time. */
struct sample {
	char name[BV_NAME_MAX + 1];
	double when, cpu_seconds;
	double exits[7], exits_all;
	double disk_read, disk_written, net_in, net_out;
	uint64_t memory, resident, overhead;
	unsigned int cpus;
};

/* As in docs/control-socket.md; those that have a column have a head. */
static const struct {
	const char *name, *head;
} exit_kinds[7] = {
	{ "io", "IO" },	      { "mmio", "MMIO" },   { "intr", "INTR" },	    { "debug", "DEBUG" },
	{ "other", "OTHER" }, { "shutdown", NULL }, { "failed", "FAILED" },
};

static double number_of(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

/* A counter summed over all devices of a kind. */
static double sum_of(const json_t *list, const char *name)
{
	double sum = 0;
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item) sum += number_of(item, name);
	return sum;
}

static void sample_fill(struct sample *sample, const char *name, const json_t *stats)
{
	const json_t *memory = json_object_get(stats, "memory");
	const json_t *exits = json_object_get(stats, "exits");

	memset(sample, 0, sizeof(*sample));
	snprintf(sample->name, sizeof(sample->name), "%s", name);
	sample->when = bv_now();
	sample->cpu_seconds = number_of(stats, "cpu_seconds");
	sample->cpus = json_array_size(json_object_get(stats, "cpus"));
	for (int i = 0; i < 7; i++) {
		sample->exits[i] = number_of(exits, exit_kinds[i].name);
		sample->exits_all += sample->exits[i];
	}
	sample->memory = number_of(memory, "size");
	sample->resident = number_of(memory, "resident");
	sample->overhead = number_of(memory, "overhead");
	sample->disk_read = sum_of(json_object_get(stats, "disks"), "read_bytes");
	sample->disk_written = sum_of(json_object_get(stats, "disks"), "write_bytes");
	sample->net_in = sum_of(json_object_get(stats, "nets"), "rx_bytes");
	sample->net_out = sum_of(json_object_get(stats, "nets"), "tx_bytes");
}

/* All VMs that run; with --json their answers as they are. */
static unsigned int sample_all(struct sample *samples, json_t *answers)
{
	unsigned int count, taken = 0;
	char **names = bv_vm_names(&count);

	for (unsigned int i = 0; i < count && taken < TOP_VMS; i++) {
		struct bv_error ignored;
		struct bv_vm vm;
		json_t *stats;

		bv_vm_name(&vm, names[i]);
		stats = bv_vm_is_alive(&vm) ? bv_control_do(&vm, "stats", &ignored) : NULL;
		if (!stats)
			continue;
		sample_fill(&samples[taken++], names[i], stats);
		json_object_del(stats, "ok");
		json_object_set_new(stats, "name", json_string(names[i]));
		if (answers)
			json_array_append(answers, stats);
		json_decref(stats);
	}
	bv_names_free(names, count);
	return taken;
}

static const struct sample *sample_before(const struct sample *before, unsigned int count,
					  const char *name)
{
	for (unsigned int i = 0; i < count; i++)
		if (!strcmp(before[i].name, name))
			return &before[i];
	return NULL;
}

/* Per second, between two samples; counters begin anew with a process. */
static double rate(double before, double now, double seconds)
{
	return now >= before && seconds > 0 ? (now - before) / seconds : 0;
}

static void add_rate(struct bv_table *table, double before, double now, double seconds)
{
	char text[16];

	bv_table_cell(table, "%s/s", bv_human_size(rate(before, now, seconds), text));
}

static void add_row(struct bv_table *table, const struct sample *now, const struct sample *before)
{
	static const struct sample nothing;
	double seconds = before ? now->when - before->when : 0;
	char text[16];

	before = before ?: &nothing;
	bv_table_cell(table, "%s", now->name);
	bv_table_cell(table, "%.0f %%", 100 * rate(before->cpu_seconds, now->cpu_seconds, seconds));
	bv_table_cell(table, "%u", now->cpus);
	bv_table_cell(table, "%s", bv_human_size(now->resident, text));
	bv_table_cell(table, "%s", bv_human_size(now->overhead, text));
	bv_table_cell(table, "%.0f", rate(before->exits_all, now->exits_all, seconds));
	for (int i = 0; i < 7; i++)
		if (exit_kinds[i].head)
			bv_table_cell(table, "%.0f",
				      rate(before->exits[i], now->exits[i], seconds));
	add_rate(table, before->disk_read, now->disk_read, seconds);
	add_rate(table, before->disk_written, now->disk_written, seconds);
	add_rate(table, before->net_in, now->net_in, seconds);
	add_rate(table, before->net_out, now->net_out, seconds);
}

static void draw(const struct sample *now, unsigned int count, const struct sample *before,
		 unsigned int count_before)
{
	static const char *const heads[] = { "NAME", "CPU",   "CPUS", "MEMORY", "BESIDE", "EXITS/S",
					     "IO",   "MMIO",  "INTR", "DEBUG",	"OTHER",  "FAILED",
					     "READ", "WRITE", "IN",   "OUT" };
	struct bv_table *table = bv_table_new(heads, 16);

	if (!table)
		return;
	for (unsigned int i = 0; i < count; i++)
		add_row(table, &now[i], sample_before(before, count_before, now[i].name));
	bv_table_print(table, stdout);
	if (!count)
		puts("No VM runs.");
	bv_table_free(table);
}

/* Waits; true if a key says to end. */
static bool wait_for_key(double seconds)
{
	struct pollfd wait = { .fd = STDIN_FILENO, .events = POLLIN };
	char key;

	if (poll(&wait, 1, (int)(seconds * 1000)) <= 0)
		return false;
	return read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 3;
}

/* Keys come at once and unseen; Ctrl-C ends by its signal, with the terminal put back after. */
static void top_live(struct sample *now, struct sample *before, double seconds)
{
	unsigned int count = sample_all(before, NULL), count_before = count;
	struct termios old, raw;

	if (tcgetattr(STDIN_FILENO, &old))
		return;
	raw = old;
	raw.c_lflag &= ~(ICANON | ECHO | ISIG);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	printf("\033[?25l");
	memcpy(now, before, count * sizeof(*now));
	do {
		printf("\033[H\033[2Jbv top: %u VMs run. q ends.\n\n", count);
		draw(now, count, before, count_before);
		fflush(stdout);
		memcpy(before, now, count * sizeof(*now));
		count_before = count;
		if (wait_for_key(seconds))
			break;
		count = sample_all(now, NULL);
	} while (true);
	printf("\033[?25h");
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &old);
}

/* Two samples, so that there are rates. */
static int top_once(struct bv_call *call, struct sample *now, struct sample *before, long seconds,
		    struct bv_error *error)
{
	const struct timespec pause = { .tv_sec = seconds };
	unsigned int count_before, count;
	json_t *answers = json_array();

	if (call->json) {
		sample_all(now, answers);
		return bv_json_out(json_pack("{s:o}", "vms", answers), error);
	}
	json_decref(answers);
	count_before = sample_all(before, NULL);
	if (count_before)
		nanosleep(&pause, NULL);
	count = sample_all(now, NULL);
	draw(now, count, before, count_before);
	return 0;
}

int bv_cmd_top(struct bv_call *call, struct bv_error *error)
{
	struct sample *now = calloc(TOP_VMS, sizeof(*now));
	struct sample *before = calloc(TOP_VMS, sizeof(*before));
	int status = -1;
	long seconds;

	if (!now || !before)
		bv_error_set(error, BV_FAILED, "no memory");
	else if (!bv_call_number(call, "interval", 1, 1, 3600, &seconds, error)) {
		status = 0;
		if (call->json || bv_call_option(call, "once") || !isatty(STDOUT_FILENO) ||
		    !isatty(STDIN_FILENO))
			status = top_once(call, now, before, seconds, error);
		else
			top_live(now, before, seconds);
	}
	free(now);
	free(before);
	return status;
}
