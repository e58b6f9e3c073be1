/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a person reads: tables, sizes, times, progress; and JSON for programs. */
#ifndef CLI_OUT_H
#define CLI_OUT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "cli/command.h"

/* A line to the user about what happens, not on the output but beside it; not with --quiet or
 * --json. */
void bv_say(const struct bv_call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The error on the standard error, and with --json as an object on the output. */
void bv_complain(bool json, const struct bv_error *error);

/* Writes the value as the command's whole output and lets go of it. 0, or -1 with the error. */
int bv_json_out(json_t *value, struct bv_error *error);

/* "1.5 GiB" */
const char *bv_human_size(uint64_t bytes, char text[static 16]);
/* "3 d 4 h", "5 min 2 s" */
const char *bv_human_time(double seconds, char text[static 24]);
/* "5 minutes ago", or the date if that is long ago */
const char *bv_human_ago(time_t when, char text[static 48]);

/* A table whose columns are as wide as they must be. Cells are copied; a row is added by its
 * cells in order. */
struct bv_table;
struct bv_table *bv_table_new(const char *const *heads, unsigned int columns);
void bv_table_cell(struct bv_table *table, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void bv_table_print(struct bv_table *table, FILE *out);
void bv_table_free(struct bv_table *table);

/* Text from a guest or a file, safe to show on a terminal: control characters become dots. */
const char *bv_plain(const char *text, char *out, size_t size);

/* A bar on the terminal for what takes long; nothing where the standard error is none, or with
 * --quiet. */
struct bv_progress {
	const char *what;
	bool shown, wanted;
	unsigned int percent;
	double began;
};

void bv_progress_begin(struct bv_progress *progress, const struct bv_call *call, const char *what);
/* `text` says what is being done now; NULL: nothing more than `what`. */
void bv_progress_show(struct bv_progress *progress, unsigned int percent, const char *text);
void bv_progress_end(struct bv_progress *progress);
/* For bv_file_copy(): the context is a struct bv_progress. */
void bv_progress_bytes(void *context, uint64_t done, uint64_t total);

double bv_now(void); /* seconds, of a clock that never jumps */
double bv_wall_clock(void); /* seconds since 1970 */

#endif
