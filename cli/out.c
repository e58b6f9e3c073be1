// SPDX-License-Identifier: GPL-2.0-or-later
/* Tables, sizes, times, progress, JSON; see out.h. */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/out.h"

void bv_say(const struct bv_call *call, const char *format, ...)
{
	va_list list;

	if (call->quiet || call->json)
		return;
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
}

static json_t *error_json(const struct bv_error *error)
{
	return json_pack("{s:{s:i, s:s, s:s, s:s*}}", "error", "exit", (int)error->status, "kind",
			 bv_status_word(error->status), "message", error->text, "advice",
			 error->advice[0] ? error->advice : NULL);
}

void bv_complain(bool json, const struct bv_error *error)
{
	struct bv_error ignored;

	fprintf(stderr, "bv: %s\n", error->text);
	if (error->advice[0])
		fprintf(stderr, "    %s\n", error->advice);
	if (json)
		bv_json_out(error_json(error), &ignored);
}

int bv_json_out(json_t *value, struct bv_error *error)
{
	int status;

	if (!value)
		return bv_error_set(error, BV_FAILED, "this cannot be put in JSON");
	status = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	json_decref(value);
	if (status || putchar('\n') == EOF || fflush(stdout))
		return bv_error_errno(error, "cannot write the output");
	return 0;
}

const char *bv_human_size(uint64_t bytes, char text[static 16])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = bytes;
	int unit = 0;

	while (value >= 1024 && unit < 4) {
		value /= 1024;
		unit++;
	}
	snprintf(text, 16, value < 10 && unit && value != (int)value ? "%.1f %s" : "%.0f %s", value,
		 units[unit]);
	return text;
}

const char *bv_human_time(double seconds, char text[static 24])
{
	unsigned long all = seconds < 0 ? 0 : (unsigned long)seconds;
	unsigned int days = all / 86400, hours = all / 3600 % 24, minutes = all / 60 % 60;

	if (days)
		snprintf(text, 24, "%u d %u h", days, hours);
	else if (hours)
		snprintf(text, 24, "%u h %u min", hours, minutes);
	else if (minutes)
		snprintf(text, 24, "%u min %lu s", minutes, all % 60);
	else
		snprintf(text, 24, "%lu s", all);
	return text;
}

const char *bv_human_ago(time_t when, char text[static 48])
{
	time_t now = time(NULL);
	struct tm parts;
	char span[24];

	if (now >= when && now - when < 86400)
		snprintf(text, 48, "%s ago", bv_human_time(now - when, span));
	else if (localtime_r(&when, &parts))
		strftime(text, 48, "on %Y-%m-%d at %H:%M:%S", &parts);
	else
		snprintf(text, 48, "at some time");
	return text;
}

const char *bv_plain(const char *text, char *out, size_t size)
{
	size_t i;

	for (i = 0; text[i] && i + 1 < size; i++)
		out[i] = iscntrl((unsigned char)text[i]) ? '.' : text[i];
	out[i] = 0;
	return out;
}

/* --- tables ---------------------------------------------------------------------------------- */

#define CELL 80

struct bv_table {
	const char *const *heads;
	unsigned int columns, cells, room;
	char (*texts)[CELL];
};

struct bv_table *bv_table_new(const char *const *heads, unsigned int columns)
{
	struct bv_table *table = calloc(1, sizeof(*table));

	if (table) {
		table->heads = heads;
		table->columns = columns;
	}
	return table;
}

void bv_table_cell(struct bv_table *table, const char *format, ...)
{
	char raw[CELL];
	va_list list;

	if (table->cells == table->room) {
		unsigned int room = table->room * 2 + 64;
		void *more = realloc(table->texts, room * sizeof(*table->texts));

		if (!more)
			return;
		table->texts = more;
		table->room = room;
	}
	va_start(list, format);
	vsnprintf(raw, sizeof(raw), format, list);
	va_end(list);
	bv_plain(raw, table->texts[table->cells++], CELL);
}

static int column_width(const struct bv_table *table, unsigned int column)
{
	size_t width = strlen(table->heads[column]);

	for (unsigned int i = column; i < table->cells; i += table->columns)
		if (strlen(table->texts[i]) > width)
			width = strlen(table->texts[i]);
	return column == table->columns - 1 ? 0 : (int)width;
}

void bv_table_print(struct bv_table *table, FILE *out)
{
	for (unsigned int i = 0; i < table->columns; i++)
		fprintf(out, "%-*s%s", column_width(table, i), table->heads[i],
			i == table->columns - 1 ? "\n" : "  ");
	for (unsigned int i = 0; i < table->cells; i++)
		fprintf(out, "%-*s%s", column_width(table, i % table->columns), table->texts[i],
			i % table->columns == table->columns - 1 ? "\n" : "  ");
}

void bv_table_free(struct bv_table *table)
{
	if (!table)
		return;
	free(table->texts);
	free(table);
}

/* --- progress -------------------------------------------------------------------------------- */

double bv_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

double bv_wall_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

void bv_progress_begin(struct bv_progress *progress, const struct bv_call *call, const char *what)
{
	*progress = (struct bv_progress){ .what = what, .percent = 101, .began = bv_now() };
	progress->wanted = !call->quiet && !call->json && isatty(STDERR_FILENO);
}

static unsigned int terminal_columns(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < 40 ? 80 : size.ws_col;
}

void bv_progress_show(struct bv_progress *progress, unsigned int percent, const char *text)
{
	static const char full[] = "##############################";
	char line[256];

	if (!progress->wanted || (percent == progress->percent && !text))
		return;
	progress->percent = percent > 100 ? 100 : percent;
	progress->shown = true;
	snprintf(line, sizeof(line), "%s [%-30.*s] %3u %% %s", progress->what,
		 (int)(progress->percent * 30 / 100), full, progress->percent, text ?: "");
	fprintf(stderr, "\r\033[K%.*s", (int)terminal_columns() - 1, line);
	fflush(stderr);
}

void bv_progress_end(struct bv_progress *progress)
{
	if (progress->shown)
		fprintf(stderr, "\r\033[K");
	fflush(stderr);
	progress->shown = false;
}

/* What is done at once needs no bar. */
void bv_progress_bytes(void *context, uint64_t done, uint64_t total)
{
	struct bv_progress *progress = context;

	if (bv_now() - progress->began > 0.5)
		bv_progress_show(progress, total ? done * 100 / total : 0, NULL);
}
