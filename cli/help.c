// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands help, version and completion: made from the table of commands. */
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/definition.h"
#include "cli/image.h"
#include "cli/out.h"
#include "cli/places.h"
#include "cli/vm.h"

#ifndef BV_VERSION
#define BV_VERSION "0.1"
#endif

static void print_options(const struct bv_option *options)
{
	char left[64], letter[8];

	for (; options && options->name; options++) {
		snprintf(letter, sizeof(letter), "-%c, ", options->letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", options->letter ? letter : "    ",
			 options->name, options->value ? " " : "", options->value ?: "");
		printf("  %-28s %s\n", left, options->help);
	}
}

static void help_command(const struct bv_command *command)
{
	bool options = command->options && command->options->name;

	printf("bv %s%s%s%s: %s\n", command->name, options ? " [OPTION...]" : "",
	       command->operands[0] ? " " : "", command->operands, command->summary);
	if (command->details)
		printf("\n%s\n", command->details);
	printf("\nOptions:\n");
	print_options(command->options);
	print_options(bv_common_options);
	if (!command->examples)
		return;
	printf("\nExamples:\n");
	for (const char *const *at = command->examples; at[0]; at += 2)
		printf("  %s\n      %s\n", at[0], at[1]);
}

static void help_all(void)
{
	printf("bv runs virtual machines.\n\n"
	       "  bv run debian     the first one: makes it, starts it, takes you to its console\n"
	       "  bv doctor         whether this machine can, and what to do if not\n\n"
	       "Commands:\n");
	for (const struct bv_command *command = bv_commands; command->name; command++)
		if (!command->hidden)
			printf("  %-11s %s\n", command->name, command->summary);
	printf("\n'bv help COMMAND' has options and examples. All take --json and --quiet.\n"
	       "Exit codes: 0 good, 1 failed, 2 usage, 3 no such VM, 4 exists, 5 runs or runs "
	       "not,\n"
	       "6 no virtualization, 7 no permission, 8 busy, 9 the VM ended by a failure. See "
	       "bv(1).\n");
}

static void help_keys(void)
{
	const char *section, *help, *key;

	printf("Keys of a definition (bv set, bv create --set; bv-vm(5)):\n");
	for (unsigned int i = 0; (key = bv_key_name(i, &section, &help)); i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s%s%s", strcmp(section, "vm") ? section : "",
			 strcmp(section, "vm") ? "N." : "", key);
		printf("  %-18s %s\n", name, help);
	}
}

void bv_help(const struct bv_command *command)
{
	if (command)
		help_command(command);
	else
		help_all();
}

static json_t *options_json(const struct bv_option *options)
{
	json_t *list = json_array();

	for (; options && options->name; options++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s?, s:s}", "name", options->name, "value",
						options->value, "help", options->help));
	return list;
}

static json_t *help_json(void)
{
	json_t *list = json_array();

	for (const struct bv_command *command = bv_commands; command->name; command++)
		if (!command->hidden)
			json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "name",
							      command->name, "operands",
							      command->operands, "summary",
							      command->summary, "options",
							      options_json(command->options)));
	return json_pack("{s:o}", "commands", list);
}

int bv_cmd_help(struct bv_call *call, struct bv_error *error)
{
	const struct bv_command *command = NULL;

	if (call->json)
		return bv_json_out(help_json(), error);
	if (call->operands_count && !strcmp(call->operands[0], "keys")) {
		help_keys();
		return 0;
	}
	if (call->operands_count) {
		command = bv_command_find(call->operands[0]);
		if (!command)
			return bv_error_set(error, BV_USAGE, "there is no command '%.60s'",
					    call->operands[0]);
	}
	bv_help(command);
	return 0;
}

int bv_cmd_version(struct bv_call *call, struct bv_error *error)
{
	if (call->json)
		return bv_json_out(json_pack("{s:s}", "version", BV_VERSION), error);
	puts("bv " BV_VERSION);
	return 0;
}

/* --- completion ------------------------------------------------------------------------------ */

/* The script only asks back: so it is always the one that fits. */
static const char bash_script[] =
	"# bash completion of bv; from: bv completion bash\n"
	"_bv() {\n"
	"\tlocal words\n"
	"\tCOMPREPLY=()\n"
	"\twords=$(bv completion words -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
	"\t[[ $words != *:files* ]] || COMPREPLY=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
	"\tCOMPREPLY+=($(compgen -W \"${words//:files/}\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
	"}\n"
	"complete -o filenames -F _bv bv\n";

static void print_names(char **names, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		puts(names[i]);
	bv_names_free(names, count);
}

static void complete_commands(void)
{
	for (const struct bv_command *command = bv_commands; command->name; command++)
		if (!command->hidden)
			puts(command->name);
}

static void complete_options(const struct bv_option *options)
{
	for (; options && options->name; options++)
		printf("--%s\n", options->name);
}

/* What may stand as the nth operand. */
static void complete_operand(const struct bv_command *command, unsigned int place)
{
	unsigned int count;
	char **names;

	if (command->operand == BV_OPERAND_COMMAND)
		complete_commands();
	if (command->operand == BV_OPERAND_VMS || (command->operand == BV_OPERAND_VM && !place)) {
		names = bv_vm_names(&count);
		print_names(names, count);
	}
	if (command->operand == BV_OPERAND_SOURCE ||
	    (command->run == bv_cmd_create && place == 1)) {
		names = bv_image_names(&count);
		print_names(names, count);
		puts("debian\ndebian-12\ndebian-13\n:files");
	}
	if (command->run == bv_cmd_image && !place)
		puts("list\nbuild\nimport\ndelete");
	if (command->run == bv_cmd_image && place == 1)
		puts("debian\n:files");
	if (command->run == bv_cmd_completion)
		puts("bash");
}

/* Keys, once a VM is named. */
static void complete_keys(void)
{
	const char *section, *help, *key;

	for (unsigned int i = 0; (key = bv_key_name(i, &section, &help)); i++)
		printf("%s%s%s=\n", strcmp(section, "vm") ? section : "",
		       strcmp(section, "vm") ? "0." : "", key);
}

static void complete_snapshots(const char *name)
{
	unsigned int count;
	struct bv_vm vm;
	char **names;

	bv_vm_name(&vm, name);
	names = bv_dir_names(bv_vm_file(&vm, "snapshots").text, "", &count);
	print_names(names, count);
}

static bool takes_value(const struct bv_command *command, const char *word)
{
	for (const struct bv_option *option = command->options; option && option->name; option++)
		if (option->value &&
		    ((!strncmp(word, "--", 2) && !strcmp(word + 2, option->name)) ||
		     (word[0] == '-' && word[1] == option->letter && !word[2])))
			return true;
	return false;
}

/* The words typed so far, the last one being typed. */
static void complete(const char *const *words, unsigned int count)
{
	const struct bv_command *command = count > 1 ? bv_command_find(words[0]) : NULL;
	const char *current = count ? words[count - 1] : "";
	unsigned int place = 0;

	if (count <= 1) {
		complete_commands();
		return;
	}
	if (!command)
		return;
	if (takes_value(command, words[count - 2])) {
		puts(":files");
		return;
	}
	if (current[0] == '-') {
		complete_options(command->options);
		complete_options(bv_common_options);
		return;
	}
	for (unsigned int i = 1; i + 1 < count; i++)
		place += words[i][0] != '-' && !takes_value(command, words[i - 1]);
	complete_operand(command, place);
	if (command->run == bv_cmd_set && place)
		complete_keys();
	if ((command->run == bv_cmd_restore || command->run == bv_cmd_snapshot) && place == 1)
		complete_snapshots(words[1]);
}

int bv_cmd_completion(struct bv_call *call, struct bv_error *error)
{
	if (!strcmp(call->operands[0], "words")) {
		if (bv_places_init(error))
			return -1;
		complete(call->operands + 1, call->operands_count - 1);
		return 0;
	}
	if (strcmp(call->operands[0], "bash"))
		return bv_error_set(error, BV_USAGE,
				    "there is completion for bash, not for '%.30s'",
				    call->operands[0]);
	fputs(bash_script, stdout);
	return 0;
}
