// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands that look: list, show, why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/control.h"
#include "cli/history.h"
#include "cli/launch.h"
#include "cli/out.h"

/* The VM's own answer to "status", or {"state": ...} where there is none. Never NULL but
 * without memory. */
static json_t *vm_status(const struct bv_vm *vm)
{
	struct bv_error ignored;
	json_t *answer;

	if (!bv_vm_is_alive(vm))
		return json_pack("{s:s}", "state", vm->broken ? "broken" : "stopped");
	answer = bv_control_do(vm, "status", &ignored);
	if (answer)
		return answer;
	/* It may have ended since, or be starting; or it hangs. */
	return json_pack("{s:s}", "state", bv_vm_is_alive(vm) ? "unresponsive" : "stopped");
}

static const char *text_of(const json_t *object, const char *name, const char *otherwise)
{
	return json_string_value(json_object_get(object, name)) ?: otherwise;
}

/* --- list ------------------------------------------------------------------------------------ */

static json_t *list_entry(const struct bv_vm *vm)
{
	json_t *status = vm_status(vm);
	json_t *entry = json_pack("{s:s, s:s, s:I, s:I, s:s}", "name", vm->name, "state",
				  text_of(status, "state", "unknown"), "cpus",
				  (json_int_t)vm->definition.cpus, "memory",
				  (json_int_t)vm->definition.memory, "image", vm->definition.image);
	static const char *const taken[] = { "uptime", "guest_ip", "pid" };

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		json_object_set(entry, taken[i], json_object_get(status, taken[i]) ?: json_null());
	if (vm->broken)
		json_object_set_new(entry, "trouble", json_string(vm->trouble.text));
	json_decref(status);
	return entry;
}

static json_t *list_all(void)
{
	json_t *list = json_array();
	unsigned int count;
	char **names = bv_vm_names(&count);

	for (unsigned int i = 0; i < count; i++) {
		struct bv_error ignored;
		struct bv_vm vm;

		/* One that was deleted just now is none. */
		if (!bv_vm_open(&vm, names[i], BV_VM_LOOK_BROKEN, &ignored))
			json_array_append_new(list, list_entry(&vm));
		bv_vm_close(&vm);
	}
	bv_names_free(names, count);
	return list;
}

static void list_row(struct bv_table *table, const json_t *entry)
{
	char memory[16], uptime[24] = "-";
	const json_t *up = json_object_get(entry, "uptime");

	bv_human_size(json_integer_value(json_object_get(entry, "memory")), memory);
	if (json_is_number(up))
		bv_human_time(json_number_value(up), uptime);
	bv_table_cell(table, "%s", text_of(entry, "name", ""));
	bv_table_cell(table, "%s", text_of(entry, "state", ""));
	bv_table_cell(table, "%lld", (long long)json_integer_value(json_object_get(entry, "cpus")));
	bv_table_cell(table, "%s", memory);
	bv_table_cell(table, "%s", uptime);
	bv_table_cell(table, "%s", text_of(entry, "guest_ip", "-"));
}

int bv_cmd_list(struct bv_call *call, struct bv_error *error)
{
	static const char *const heads[] = { "NAME", "STATE", "CPUS", "MEMORY", "UPTIME", "IP" };
	bool running = bv_call_option(call, "running");
	json_t *list = list_all(), *entry;
	struct bv_table *table;
	size_t i;

	for (i = json_array_size(list); running && i-- > 0;)
		if (json_is_null(json_object_get(json_array_get(list, i), "pid")))
			json_array_remove(list, i);
	if (call->json)
		return bv_json_out(json_pack("{s:o}", "vms", list), error);
	table = json_array_size(list) ? bv_table_new(heads, 6) : NULL;
	json_array_foreach(list, i, entry) if (table) list_row(table, entry);
	if (table)
		bv_table_print(table, stdout);
	else
		bv_say(call, running ? "No VM runs." :
				       "No VM is defined. 'bv run debian' makes "
				       "one.");
	bv_table_free(table);
	json_decref(list);
	return 0;
}

/* --- show ------------------------------------------------------------------------------------ */

static void add_key(void *context, const char *section, unsigned int place, const char *key,
		    const char *value)
{
	json_t *all = context, *item = all;
	char list[16];

	if (strcmp(section, "vm")) {
		snprintf(list, sizeof(list), "%ss", section);
		if (!json_object_get(all, list))
			json_object_set_new(all, list, json_array());
		while (json_array_size(json_object_get(all, list)) <= place)
			json_array_append_new(json_object_get(all, list), json_object());
		item = json_array_get(json_object_get(all, list), place);
	}
	json_object_set_new(item, key, json_string(value));
}

static json_t *show_json(const struct bv_vm *vm)
{
	json_t *definition = json_object(), *status = vm_status(vm);

	bv_definition_each(&vm->definition, true, add_key, definition);
	json_object_del(status, "ok");
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "name", vm->name, "file",
			 vm->definition_file.text, "directory", vm->data.text, "console",
			 bv_vm_socket(vm, "console").text, "definition", definition, "status",
			 status);
}

static void show_text(const struct bv_vm *vm)
{
	json_t *status = vm_status(vm);
	const json_t *up = json_object_get(status, "uptime");
	char uptime[24];

	printf("# VM:         %s\n", vm->name);
	printf("# State:      %s", text_of(status, "state", "unknown"));
	if (json_is_number(up))
		printf(", for %s", bv_human_time(json_number_value(up), uptime));
	printf("\n# Definition: %s\n# Files:      %s\n", vm->definition_file.text, vm->data.text);
	if (text_of(status, "guest_ip", NULL))
		printf("# Guest's IP: %s\n", text_of(status, "guest_ip", ""));
	if (vm->broken)
		printf("# Trouble:    %s\n", vm->trouble.text);
	printf("\n%s", vm->text);
	json_decref(status);
}

int bv_cmd_show(struct bv_call *call, struct bv_error *error)
{
	struct bv_vm vm;
	int status = bv_vm_open(&vm, call->operands[0], BV_VM_LOOK_BROKEN, error);

	if (!status && call->json)
		status = bv_json_out(show_json(&vm), error);
	else if (!status)
		show_text(&vm);
	bv_vm_close(&vm);
	return status;
}

/* --- why ------------------------------------------------------------------------------------- */

/* In what state it is, in a sentence. */
static void why_running(const struct bv_vm *vm, const struct bv_history *history, char *text,
			size_t size)
{
	json_t *status = vm_status(vm);
	const char *state = text_of(status, "state", "unknown");
	char ago[48];

	bv_human_ago(history->started_at, ago);
	if (!strcmp(state, "unresponsive"))
		snprintf(text, size, "Its process lives, but does not answer.");
	else if (history->panicked)
		snprintf(text, size, "It runs, but the guest in it has crashed. Started %s.", ago);
	else
		snprintf(text, size, "It is %s. Started %s.", state, ago);
	json_decref(status);
}

struct why {
	char text[1024], advice[512];
	const char *kind;
	bool alive;
};

static void why_find(const struct bv_vm *vm, const struct bv_history *history, struct why *why)
{
	struct bv_ending ending;

	memset(why, 0, sizeof(*why));
	why->alive = bv_vm_is_alive(vm);
	if (why->alive) {
		why->kind = "running";
		why_running(vm, history, why->text, sizeof(why->text));
		return;
	}
	bv_history_ending(history, &ending);
	why->kind = ending.kind;
	strcpy(why->text, ending.text);
	strcpy(why->advice, ending.advice);
}

static json_t *time_or_null(double when)
{
	return when > 0 ? json_real(when) : json_null();
}

static json_t *why_json(const struct bv_vm *vm, const struct bv_history *history,
			const struct why *why)
{
	json_t *all = json_pack("{s:s, s:b, s:s, s:s, s:s, s:i, s:i, s:o, s:o}", "name", vm->name,
				"alive", why->alive, "kind", why->kind, "why", why->text, "advice",
				why->advice, "code", history->code, "resets", (int)history->resets,
				"started", time_or_null(history->started_at), "ended",
				time_or_null(history->ended_at));

	if (history->troubles)
		json_object_set_new(all, "trouble", json_string(history->trouble));
	if (history->refused)
		json_object_set_new(all, "refused",
				    json_pack("{s:s, s:s, s:s, s:f}", "do", history->refused_do,
					      "why", history->refused_why, "advice",
					      history->refused_hint, "time", history->refused_at));
	if (vm->broken)
		json_object_set_new(all, "definition", json_string(vm->trouble.text));
	return all;
}

static void why_print(const struct bv_vm *vm, const struct bv_history *history,
		      const struct why *why)
{
	char ago[48], plain[512];

	printf("%s: %s\n", vm->name, bv_plain(why->text, plain, sizeof(plain)));
	if (why->advice[0])
		printf("    %s\n", why->advice);
	if (!why->alive && history->ended_at > 0)
		printf("    That was %s.\n", bv_human_ago(history->ended_at, ago));
	if (history->troubles)
		printf("A device had errors (%u), the last one: %s\n", history->troubles,
		       history->trouble);
	if (history->refused) {
		printf("Refused %s, %s: %s\n", bv_human_ago(history->refused_at, ago),
		       history->refused_do, history->refused_why);
		if (history->refused_hint[0])
			printf("    %s\n", history->refused_hint);
	}
	if (vm->broken)
		printf("It cannot be started: %s\n", vm->trouble.text);
}

int bv_cmd_why(struct bv_call *call, struct bv_error *error)
{
	struct bv_history history;
	struct bv_vm vm;
	struct why why;
	int status = -1;

	if (!bv_vm_open(&vm, call->operands[0], BV_VM_LOOK_BROKEN, error) &&
	    !bv_history_read(&vm, &history, error)) {
		why_find(&vm, &history, &why);
		status = 0;
		if (call->json)
			status = bv_json_out(why_json(&vm, &history, &why), error);
		else
			why_print(&vm, &history, &why);
	}
	bv_vm_close(&vm);
	return status;
}
