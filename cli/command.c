// SPDX-License-Identifier: GPL-2.0-or-later
/* Command lines: fitted to a command's tables; see command.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"

const struct bv_option bv_common_options[] = {
	{ "json", 0, NULL, "answer in JSON" },
	{ "quiet", 'q', NULL, "say only what was asked for" },
	{ "help", 'h', NULL, "this help" },
	{ NULL, 0, NULL, NULL },
};

static const struct bv_option *find_long(const struct bv_option *options, const char *name,
					 size_t size)
{
	for (; options && options->name; options++)
		if (strlen(options->name) == size && !strncmp(options->name, name, size))
			return options;
	return NULL;
}

static const struct bv_option *find_short(const struct bv_option *options, char letter)
{
	for (; options && options->name; options++)
		if (options->letter == letter)
			return options;
	return NULL;
}

static int fail_usage(const struct bv_command *command, struct bv_error *error)
{
	return bv_error_advise(error, "'bv help %s' shows what it takes.", command->name);
}

static int add_option(struct bv_call *call, const struct bv_option *option, const char *value,
		      struct bv_error *error)
{
	if (call->options_count == BV_CALL_OPTIONS)
		return bv_error_set(error, BV_USAGE, "more than %d options", BV_CALL_OPTIONS);
	call->options[call->options_count].option = option;
	call->options[call->options_count++].value = value ?: "";
	if (!strcmp(option->name, "json"))
		call->json = true;
	if (!strcmp(option->name, "quiet"))
		call->quiet = true;
	return 0;
}

/* "--name", "--name=value", "--name value"; the number of arguments it takes up, -1 for none
 * that is known. */
static int parse_long(struct bv_call *call, const char *argument, const char *next,
		      struct bv_error *error)
{
	const char *equals = strchr(argument, '=');
	size_t size = equals ? (size_t)(equals - argument) - 2 : strlen(argument) - 2;
	const struct bv_option *option = find_long(call->command->options, argument + 2, size);

	option = option ?: find_long(bv_common_options, argument + 2, size);
	if (!option) {
		bv_error_set(error, BV_USAGE, "bv %s has no option %s", call->command->name,
			     argument);
		return fail_usage(call->command, error);
	}
	if (!option->value && equals)
		return bv_error_set(error, BV_USAGE, "--%s takes no value", option->name);
	if (option->value && !equals && !next)
		return bv_error_set(error, BV_USAGE, "--%s needs a value: --%s %s", option->name,
				    option->name, option->value);
	if (add_option(call, option, equals ? equals + 1 : option->value ? next : NULL, error))
		return -1;
	return option->value && !equals ? 2 : 1;
}

/* "-x", "-xVALUE", "-x VALUE" */
static int parse_short(struct bv_call *call, const char *argument, const char *next,
		       struct bv_error *error)
{
	const struct bv_option *option = find_short(call->command->options, argument[1]);
	const char *attached = argument[2] ? argument + 2 : NULL;

	option = option ?: find_short(bv_common_options, argument[1]);
	if (!option || (!option->value && attached)) {
		bv_error_set(error, BV_USAGE, "bv %s has no option %s", call->command->name,
			     argument);
		return fail_usage(call->command, error);
	}
	if (option->value && !attached && !next)
		return bv_error_set(error, BV_USAGE, "-%c needs a value: -%c %s", option->letter,
				    option->letter, option->value);
	if (add_option(call, option, attached ?: option->value ? next : NULL, error))
		return -1;
	return option->value && !attached ? 2 : 1;
}

static int check_operands(const struct bv_call *call, struct bv_error *error)
{
	const struct bv_command *command = call->command;

	if (call->operands_count < command->least)
		bv_error_set(error, BV_USAGE, "bv %s lacks an operand: bv %s %s", command->name,
			     command->name, command->operands);
	else if (call->operands_count > command->most)
		bv_error_set(error, BV_USAGE, "bv %s takes no '%s': bv %s %s", command->name,
			     call->operands[command->most], command->name, command->operands);
	else
		return 0;
	return fail_usage(command, error);
}

int bv_call_parse(struct bv_call *call, const struct bv_command *command, int argc,
		  const char **argv, struct bv_error *error)
{
	bool only_operands = false;

	memset(call, 0, sizeof(*call));
	call->command = command;
	call->operands = argv; /* gathered at the front, which has been read by then */
	for (int i = 0, used; i < argc; i += used) {
		const char *argument = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;

		used = 1;
		if (!only_operands && !strcmp(argument, "--"))
			only_operands = true;
		else if (!only_operands && !strncmp(argument, "--", 2))
			used = parse_long(call, argument, next, error);
		else if (!only_operands && argument[0] == '-' && argument[1])
			used = parse_short(call, argument, next, error);
		else
			call->operands[call->operands_count++] = argument;
		if (used < 0)
			return -1;
	}
	if (bv_call_option(call, "help"))
		return 0;
	return check_operands(call, error);
}

const char *bv_call_option(const struct bv_call *call, const char *name)
{
	for (unsigned int i = call->options_count; i-- > 0;)
		if (!strcmp(call->options[i].option->name, name))
			return call->options[i].value;
	return NULL;
}

const char *bv_call_each(const struct bv_call *call, const char *name, unsigned int *at)
{
	while (*at < call->options_count) {
		unsigned int i = (*at)++;

		if (!strcmp(call->options[i].option->name, name))
			return call->options[i].value;
	}
	return NULL;
}

int bv_call_number(const struct bv_call *call, const char *name, long otherwise, long least,
		   long most, long *number, struct bv_error *error)
{
	const char *text = bv_call_option(call, name);
	char *end;

	*number = otherwise;
	if (!text)
		return 0;
	errno = 0;
	*number = strtol(text, &end, 10);
	if (errno || end == text || *end || *number < least || *number > most)
		return bv_error_set(error, BV_USAGE,
				    "--%s is '%s'; it must be a number from %ld to %ld", name, text,
				    least, most);
	return 0;
}
