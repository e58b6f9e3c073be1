/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What has happened to a VM: the file `history` in its directory, one JSON object a line. bv adds
 * a line "launch" before it starts the VM's process, and "refused" where it did not come to that;
 * the process adds its events (docs/control-socket.md). A launch without an end, whose process is
 * gone, tells of a kill or of a crash.
 */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#include <jansson.h>

#include "cli/vm.h"

/* The last launch, and what came of it. */
struct bv_history {
	bool launched, started, ended, panicked;
	bool followed; /* by another launch: only by bv_history_read_launch() */
	double launched_at, started_at, ended_at; /* seconds since 1970; 0: not known */
	char boot[40]; /* the host's, as of the launch */
	char kind[16]; /* of the end */
	int code;
	char why[480];
	char hint[240];
	unsigned int resets;
	char trouble[480]; /* the last error of a disk or net */
	unsigned int troubles;
	/* A request that bv refused after that. */
	bool refused;
	char refused_do[32], refused_why[1024], refused_hint[512];
	double refused_at;
};

/* 0, also if there is none: all of it is zero then. */
int bv_history_read(const struct bv_vm *vm, struct bv_history *history, struct bv_error *error);
/* The same of an earlier launch, by its `launched_at`; nothing but `followed` where that launch
 * is in the file no more. */
int bv_history_read_launch(const struct bv_vm *vm, double launched_at, struct bv_history *history,
			   struct bv_error *error);
/* Adds a line; the object is taken over, and gets a time. */
int bv_history_add(const struct bv_vm *vm, json_t *event, struct bv_error *error);
/* A line "refused" with what the error says; what fails here is let go, for the error counts. */
void bv_history_refused(const struct bv_vm *vm, const char *request, const struct bv_error *why);
/* Begins anew where the file has grown long. */
void bv_history_trim(const struct bv_vm *vm);

/* How it ended, in a sentence, and what would help. To be called where the VM is not alive.
 * `good`: by somebody's wish. */
struct bv_ending {
	bool good, gone; /* gone: its process ended without a word */
	const char *kind;
	char text[1024];
	char advice[512];
};

void bv_history_ending(const struct bv_history *history, struct bv_ending *ending);
/* An id of the host's present boot. */
void bv_boot_id(char id[static 40]);

#endif
