// SPDX-License-Identifier: GPL-2.0-or-later
/* What has happened to a VM; see history.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/history.h"
#include "cli/out.h"

#define HISTORY_MOST (4 << 20) /* bytes that are read */
#define HISTORY_LONG (256 << 10) /* a longer one begins anew */

static struct bv_path history_path(const struct bv_vm *vm)
{
	return bv_vm_file(vm, "history");
}

void bv_boot_id(char id[static 40])
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!file || !fgets(id, 40, file))
		strcpy(id, "unknown");
	if (file)
		fclose(file);
	id[strcspn(id, "\n")] = 0;
}

int bv_history_add(const struct bv_vm *vm, json_t *event, struct bv_error *error)
{
	char *text = NULL, *line = NULL;
	int status = -1, size = -1;

	if (event && !json_object_set_new(event, "time", json_real(bv_wall_clock())))
		text = json_dumps(event,
				  JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
	if (text)
		size = asprintf(&line, "%s\n", text);
	if (size >= 0)
		status = bv_file_append(history_path(vm).text, line, size, error);
	else
		bv_error_set(error, BV_FAILED, "no memory");
	if (size >= 0)
		free(line);
	free(text);
	json_decref(event);
	return status;
}

void bv_history_refused(const struct bv_vm *vm, const char *request, const struct bv_error *why)
{
	struct bv_error ignored;

	if (!bv_file_exists(vm->data.text))
		return;
	bv_history_add(vm,
		       json_pack("{s:s, s:s, s:s, s:s}", "event", "refused-request", "do", request,
				 "why", why->text, "hint", why->advice),
		       &ignored);
}

void bv_history_trim(const struct bv_vm *vm)
{
	struct bv_path path = history_path(vm);
	struct stat stat_now;

	if (!stat(path.text, &stat_now) && stat_now.st_size > HISTORY_LONG)
		rename(path.text, bv_path("%s.1", path.text).text);
}

/* --- reading --------------------------------------------------------------------------------- */

static void take_string(const json_t *event, const char *name, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(event, name));

	bv_plain(text ?: "", out, size);
}

static double take_time(const json_t *event)
{
	return json_number_value(json_object_get(event, "time"));
}

static void on_launch(struct bv_history *history, const json_t *event)
{
	memset(history, 0, sizeof(*history));
	history->launched = true;
	history->launched_at = take_time(event);
	take_string(event, "boot", history->boot, sizeof(history->boot));
}

static void on_started(struct bv_history *history, const json_t *event)
{
	history->started = true;
	history->started_at = take_time(event) ?: history->launched_at;
}

static void on_ended(struct bv_history *history, const json_t *event)
{
	history->ended = true;
	history->ended_at = take_time(event);
	history->code = json_integer_value(json_object_get(event, "code"));
	take_string(event, "kind", history->kind, sizeof(history->kind));
	take_string(event, "why", history->why, sizeof(history->why));
	take_string(event, "hint", history->hint, sizeof(history->hint));
}

static void on_reset(struct bv_history *history, const json_t *event)
{
	(void)event;
	history->resets++;
	history->panicked = false;
}

static void on_panicked(struct bv_history *history, const json_t *event)
{
	(void)event;
	history->panicked = true;
}

static void on_trouble(struct bv_history *history, const json_t *event)
{
	char id[32], why[400];

	take_string(event, "id", id, sizeof(id));
	take_string(event, "why", why, sizeof(why));
	snprintf(history->trouble, sizeof(history->trouble), "%s: %s", id, why);
	history->troubles++;
}

static void on_refused(struct bv_history *history, const json_t *event)
{
	history->refused = true;
	history->refused_at = take_time(event);
	take_string(event, "do", history->refused_do, sizeof(history->refused_do));
	take_string(event, "why", history->refused_why, sizeof(history->refused_why));
	take_string(event, "hint", history->refused_hint, sizeof(history->refused_hint));
}

static const struct {
	const char *event;
	void (*take)(struct bv_history *history, const json_t *event);
} takers[] = {
	{ "launch", on_launch },     { "started", on_started },
	{ "ended", on_ended },	     { "reset", on_reset },
	{ "panicked", on_panicked }, { "disk-error", on_trouble },
	{ "net-error", on_trouble }, { "refused-request", on_refused },
};

/* A line that is none, such as half of one at the end of a full disk, tells nothing. */
static void take_line(struct bv_history *history, double launch, const char *line, size_t size)
{
	json_t *event = json_loadb(line, size, 0, NULL);
	const char *name = json_string_value(json_object_get(event, "event")) ?: "";

	if (!strcmp(name, "launch") && history->launched && history->launched_at == launch)
		history->followed = true;
	for (size_t i = 0; i < sizeof(takers) / sizeof(takers[0]) && !history->followed; i++)
		if (!strcmp(name, takers[i].event))
			takers[i].take(history, event);
	json_decref(event);
}

int bv_history_read(const struct bv_vm *vm, struct bv_history *history, struct bv_error *error)
{
	return bv_history_read_launch(vm, -1, history, error);
}

int bv_history_read_launch(const struct bv_vm *vm, double launched_at, struct bv_history *history,
			   struct bv_error *error)
{
	struct bv_path path = history_path(vm);
	struct stat stat_now;
	char *text, *line;

	memset(history, 0, sizeof(*history));
	text = bv_file_read(path.text, HISTORY_MOST, NULL, error);
	if (!text)
		return error->status == BV_UNKNOWN ? 0 : -1;
	for (line = text; *line;) {
		size_t size = strcspn(line, "\n");

		take_line(history, launched_at, line, size);
		line += size + (line[size] ? 1 : 0);
	}
	free(text);
	if (launched_at >= 0 && history->launched_at != launched_at)
		*history = (struct bv_history){ .followed = true };
	if (history->ended && !history->ended_at && !stat(path.text, &stat_now))
		history->ended_at = stat_now.st_mtime;
	return 0;
}

/* --- the ending in words --------------------------------------------------------------------- */

static const struct {
	const char *kind, *text, *advice;
	bool good;
} kinds[] = {
	{ "poweroff", "The guest switched itself off.", "", true },
	{ "reset", "The guest asked for a reset, at which this VM is to stop.",
	  "'bv set NAME on-reset=restart' lets it start anew instead.", true },
	{ "debug", "The guest ended it through the debug port.", "", true },
	{ "quit", "It was ended from outside, by bv or by a signal.", "", true },
	{ "saved", "It was saved in a snapshot that was to end it.", "", true },
	{ "panic", "The guest crashed.", "'bv log NAME' shows what it said last.", false },
	{ "refused", "It never started.", "", false },
	{ "failed", "The machine under the guest failed.", "", false },
};

static void ending_gone(const struct bv_history *history, struct bv_ending *ending)
{
	char boot[40];

	ending->gone = true;
	ending->kind = "gone";
	bv_boot_id(boot);
	if (strcmp(boot, history->boot)) {
		strcpy(ending->text, "This computer was restarted, or went down, while the VM "
				     "ran.");
		strcpy(ending->advice, "A guest shut down before ('bv stop') loses nothing.");
		return;
	}
	strcpy(ending->text, "Its process was killed from outside, without a word: by SIGKILL, or "
			     "by the kernel for lack of memory.");
	strcpy(ending->advice, "'journalctl -k' or 'dmesg' tells of a lack of memory (oom-kill).");
}

void bv_history_ending(const struct bv_history *history, struct bv_ending *ending)
{
	memset(ending, 0, sizeof(*ending));
	ending->kind = "none";
	if (!history->launched) {
		if (!history->followed)
			strcpy(ending->text, "It was never started.");
		ending->good = true;
		return;
	}
	if (!history->ended) {
		ending_gone(history, ending);
		return;
	}
	ending->kind = history->kind;
	snprintf(ending->advice, sizeof(ending->advice), "%s", history->hint);
	snprintf(ending->text, sizeof(ending->text), "It ended, but its history does not say how.");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].kind, history->kind))
			continue;
		ending->good = kinds[i].good;
		snprintf(ending->text, sizeof(ending->text), "%s%s%s", kinds[i].text,
			 history->why[0] ? " " : "", history->why);
		if (!history->hint[0])
			snprintf(ending->advice, sizeof(ending->advice), "%s", kinds[i].advice);
	}
}
