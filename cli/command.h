/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A command of bv: what it takes, its help, and how what was typed reaches it. The table of all
 * commands is in main.c; help, completion and the check of a command line are made from it.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/error.h"

struct bv_option {
	const char *name; /* long, without dashes; NULL ends a table */
	char letter; /* short; 0: none */
	const char *value; /* what its value is called in the help; NULL: it takes none */
	const char *help;
};

/* What an operand may be, for completion and checks. */
enum bv_operand {
	BV_OPERAND_NONE,
	BV_OPERAND_VM,
	BV_OPERAND_VMS, /* several */
	BV_OPERAND_SOURCE, /* an image, or a file */
	BV_OPERAND_COMMAND,
	BV_OPERAND_WORD,
};

struct bv_call;

struct bv_command {
	const char *name;
	const char *operands; /* as the help shows them */
	const char *summary; /* one line */
	const char *details; /* paragraphs, may be NULL */
	const char *const *examples; /* pairs: a command, what it does; NULL ends it */
	const struct bv_option *options;
	unsigned int least, most; /* operands */
	enum bv_operand operand; /* the first one */
	bool hidden;
	int (*run)(struct bv_call *call, struct bv_error *error);
};

#define BV_CALL_OPTIONS 128

/* A command line that was understood. */
struct bv_call {
	const struct bv_command *command;
	const char **operands;
	unsigned int operands_count;
	struct {
		const struct bv_option *option;
		const char *value;
	} options[BV_CALL_OPTIONS];
	unsigned int options_count;
	bool json, quiet;
	int exit; /* what bv exits with when run() returns 0 */
};

/* NULL ends it. */
extern const struct bv_command bv_commands[];

/* Fits the arguments behind a command's name to its tables. `call` holds pointers to them. */
int bv_call_parse(struct bv_call *call, const struct bv_command *command, int argc,
		  const char **argv, struct bv_error *error);

/* The value of an option, "" for one that takes none; NULL if it was not given. The last one
 * counts. */
const char *bv_call_option(const struct bv_call *call, const char *name);
/* For options that may be given several times: each value in turn, NULL behind the last one.
 * *at begins at 0. */
const char *bv_call_each(const struct bv_call *call, const char *name, unsigned int *at);
/* A number of seconds and the like; `otherwise` if the option was not given. */
int bv_call_number(const struct bv_call *call, const char *name, long otherwise, long least,
		   long most, long *number, struct bv_error *error);

/* Options every command has. */
extern const struct bv_option bv_common_options[];

/* The help of a command, or, without one, of bv; in words on the output. */
void bv_help(const struct bv_command *command);
const struct bv_command *bv_command_find(const char *name);

#endif
