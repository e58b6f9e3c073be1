// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands that define VMs: create, set, copy, delete. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/describe.h"
#include "cli/history.h"
#include "cli/launch.h"
#include "cli/out.h"

/* --- create ---------------------------------------------------------------------------------- */

static int create(struct bv_call *call, struct bv_vm *vm, struct bv_error *error)
{
	struct bv_source source;

	if (call->operands_count > 1 && bv_source_find(&source, call->operands[1], error))
		return -1;
	if (bv_vm_prepare(vm, call->operands[0], error))
		return -1;
	if (bv_describe(call, vm, call->operands_count > 1 ? &source : NULL, error) ||
	    bv_vm_commit(vm, error)) {
		bv_vm_abandon(vm);
		return -1;
	}
	return 0;
}

int bv_cmd_create(struct bv_call *call, struct bv_error *error)
{
	struct bv_vm vm = { .lock = -1 };

	if (create(call, &vm, error))
		return -1;
	bv_vm_close(&vm);
	bv_say(call, "Defined VM '%s' in %s. 'bv start %s' starts it.", vm.name,
	       vm.definition_file.text, vm.name);
	return call->json ? bv_json_out(json_pack("{s:s, s:s}", "name", vm.name, "definition",
						  vm.definition_file.text),
					error) :
			    0;
}

/* --- set ------------------------------------------------------------------------------------- */

/* Changes the definition and, step by step, its text. */
struct change {
	struct bv_vm *vm;
	struct bv_definition definition;
	char *text;
	unsigned int changes;
	struct bv_error *error;
};

static int change_take(struct change *change, char *text)
{
	if (!text) {
		if (!change->error->text[0])
			bv_error_set(change->error, BV_FAILED, "no memory");
		return -1;
	}
	free(change->text);
	change->text = text;
	change->changes++;
	return 0;
}

static int change_key(struct change *change, const char *key, const char *value)
{
	if (bv_definition_set(&change->definition, key, value, change->error))
		return -1;
	return change_take(change, bv_text_set(change->text, key, value, change->error));
}

static int change_assignment(struct change *change, const char *word)
{
	const char *equals = strchr(word, '=');
	char key[64];

	if (!equals || equals - word >= (long)sizeof(key)) {
		bv_error_set(change->error, BV_USAGE, "'%s' is no KEY=VALUE", word);
		return bv_error_advise(change->error, "For example: bv set %s memory=2G",
				       change->vm->name);
	}
	snprintf(key, sizeof(key), "%.*s", (int)(equals - word), word);
	return change_key(change, key, equals + 1);
}

/* "disk:file=/x,format=raw", "net:kind=tap,tap=tap0", "net" */
static int change_add(struct change *change, const char *word)
{
	char section[16], list[2048], *rest, *item, key[96];
	const char *colon = strchr(word, ':');
	unsigned int place;

	snprintf(section, sizeof(section), "%.*s", colon ? (int)(colon - word) : (int)strlen(word),
		 word);
	if (bv_definition_add(&change->definition, section, &place, change->error) ||
	    change_take(change, bv_text_add(change->text, section)))
		return -1;
	snprintf(list, sizeof(list), "%s", colon ? colon + 1 : "");
	for (rest = list; (item = strsep(&rest, ","));) {
		char *equals = strchr(item, '=');

		if (!*item)
			continue;
		if (!equals)
			return bv_error_set(change->error, BV_USAGE, "'%s' is no KEY=VALUE", item);
		*equals = 0;
		snprintf(key, sizeof(key), "%s%u.%s", section, place, item);
		if (change_key(change, key, equals + 1))
			return -1;
	}
	return 0;
}

/* The definition without the section is read from the text without it. */
static int change_remove(struct change *change, const char *word)
{
	if (change_take(change, bv_text_remove(change->text, word, change->error)))
		return -1;
	if (bv_definition_parse(&change->definition, change->text, strlen(change->text),
				"the changed definition", change->error))
		return -1;
	return 0;
}

static int change_all(struct change *change, struct bv_call *call)
{
	unsigned int at = 0;
	const char *value;

	while ((value = bv_call_each(call, "add", &at)))
		if (change_add(change, value))
			return -1;
	for (unsigned int i = 1; i < call->operands_count; i++)
		if (change_assignment(change, call->operands[i]))
			return -1;
	for (at = 0; (value = bv_call_each(call, "remove", &at));)
		if (change_remove(change, value))
			return -1;
	if (!change->changes)
		return bv_error_set(change->error, BV_USAGE,
				    "nothing to change: give KEY=VALUE, --add or --remove");
	/* What will be read is what counts. */
	return bv_definition_parse(&change->definition, change->text, strlen(change->text),
				   "the changed definition", change->error);
}

static int set_locked(struct bv_call *call, struct bv_vm *vm, struct bv_error *error)
{
	struct change *change = calloc(1, sizeof(*change));
	int status = -1;

	if (!change)
		return bv_error_set(error, BV_FAILED, "no memory");
	change->vm = vm;
	change->definition = vm->definition;
	change->text = strdup(vm->text);
	change->error = error;
	if (change->text && !change_all(change, call))
		status = bv_vm_write(vm, change->text, error);
	free(change->text);
	free(change);
	return status;
}

int bv_cmd_set(struct bv_call *call, struct bv_error *error)
{
	struct bv_vm vm;
	int status = -1;
	bool alive;

	if (!bv_vm_open(&vm, call->operands[0], BV_VM_CHANGE, error))
		status = set_locked(call, &vm, error);
	alive = !status && bv_vm_is_alive(&vm);
	bv_vm_close(&vm);
	if (alive)
		bv_say(call, "VM '%s' runs; this takes effect when it is started the next time.",
		       vm.name);
	if (!status && call->json)
		return bv_json_out(
			json_pack("{s:s, s:b}", "name", vm.name, "takes-effect-at-start", alive),
			error);
	return status;
}

/* --- copy ------------------------------------------------------------------------------------ */

/* Disks in the VM's directory are copied; others, which both would write to, are refused. */
static int copy_disk(struct bv_call *call, const struct bv_vm *from, const struct bv_vm *to,
		     unsigned int place, struct bv_error *error)
{
	const struct bv_disk *disk = &from->definition.disks[place];
	struct bv_progress progress;
	int status;

	if (disk->file[0] == '/' || strchr(disk->file, '/')) {
		if (disk->read_only)
			return 0;
		bv_error_set(error, BV_USAGE,
			     "disk%u of VM '%s', %s, is not in its directory: two VMs would "
			     "write to it",
			     place, from->name, disk->file);
		return bv_error_advise(error, "bv set %s disk%u.read-only=yes, or remove it.",
				       from->name, place);
	}
	bv_progress_begin(&progress, call, "copying the disk");
	status = bv_file_copy(bv_vm_resolve(from, disk->file).text,
			      bv_vm_resolve(to, disk->file).text, bv_progress_bytes, &progress,
			      error);
	bv_progress_end(&progress);
	return status;
}

static int copy_own(const struct bv_vm *from, const struct bv_vm *to, const char *file,
		    struct bv_error *error)
{
	struct bv_path source = bv_vm_file(from, file);

	if (!file[0] || strchr(file, '/') || !bv_file_exists(source.text))
		return 0;
	return bv_file_copy(source.text, bv_vm_file(to, file).text, NULL, NULL, error);
}

static int copy_files(struct bv_call *call, const struct bv_vm *from, const struct bv_vm *to,
		      struct bv_error *error)
{
	for (unsigned int i = 0; i < from->definition.disks_count; i++)
		if (copy_disk(call, from, to, i, error))
			return -1;
	return copy_own(from, to, from->definition.kernel, error) ||
			       copy_own(from, to, from->definition.initrd, error) ||
			       copy_own(from, to, "uefi-vars.fd", error) ?
		       -1 :
		       0;
}

/* Two machines of one address or UUID would quarrel; a forward can be had once only. */
static void copy_differ(const struct bv_call *call, struct bv_definition *definition)
{
	unsigned int forwards = 0;

	memset(definition->uuid, 0, sizeof(definition->uuid));
	definition->vsock = 0;
	for (unsigned int i = 0; i < definition->nets_count; i++) {
		memset(definition->nets[i].mac, 0, sizeof(definition->nets[i].mac));
		forwards += definition->nets[i].forwards_count;
		definition->nets[i].forwards_count = 0;
	}
	if (forwards)
		bv_say(call, "The copy has none of the %u forwards: a port leads to one VM only.",
		       forwards);
}

static int copy_to(struct bv_call *call, const struct bv_vm *from, struct bv_error *error)
{
	struct bv_vm to;
	int status = -1;

	if (bv_vm_is_alive(from)) {
		bv_error_set(error, BV_STATE,
			     "VM '%s' runs: its disks change while they are copied", from->name);
		return bv_error_advise(error, "'bv stop %s' first.", from->name);
	}
	if (bv_vm_prepare(&to, call->operands[1], error)) {
		bv_vm_close(&to);
		return -1;
	}
	to.definition = from->definition;
	copy_differ(call, &to.definition);
	if (!copy_files(call, from, &to, error))
		status = bv_vm_commit(&to, error);
	if (status)
		bv_vm_abandon(&to);
	bv_vm_close(&to);
	return status;
}

int bv_cmd_copy(struct bv_call *call, struct bv_error *error)
{
	struct bv_vm vm;
	int status = -1;

	if (!bv_vm_open(&vm, call->operands[0], BV_VM_CHANGE, error))
		status = copy_to(call, &vm, error);
	bv_vm_close(&vm);
	if (!status)
		bv_say(call, "VM '%s' is a copy of '%s'.", call->operands[1], call->operands[0]);
	if (!status && call->json)
		return bv_json_out(json_pack("{s:s, s:s}", "name", call->operands[1], "copy-of",
					     call->operands[0]),
				   error);
	return status;
}

/* --- delete ---------------------------------------------------------------------------------- */

static int confirm(const struct bv_vm *vm, struct bv_error *error)
{
	char answer[16] = "";

	if (!isatty(STDIN_FILENO))
		return bv_error_set(error, BV_USAGE,
				    "deleting VM '%s' with its disks needs --yes where nobody can "
				    "be asked",
				    vm->name);
	fprintf(stderr, "Delete VM '%s' with its disks and snapshots (%s)? [y/N] ", vm->name,
		vm->data.text);
	if (!fgets(answer, sizeof(answer), stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
		return bv_error_set(error, BV_FAILED, "not deleted");
	return 0;
}

static int delete_one(struct bv_call *call, const char *name, struct bv_error *error)
{
	struct bv_vm vm;
	int status = -1;

	if (!bv_vm_open(&vm, name, BV_VM_CHANGE_BROKEN, error)) {
		if (bv_vm_is_alive(&vm)) {
			bv_error_set(error, BV_STATE, "VM '%s' runs", name);
			bv_error_advise(error, "'bv stop %s' first, or 'bv kill %s'.", name, name);
		} else if (bv_call_option(call, "yes") || !confirm(&vm, error)) {
			status = bv_vm_delete(&vm, error);
		}
	}
	bv_vm_close(&vm);
	if (!status)
		bv_say(call, "Deleted VM '%s'.", name);
	return status;
}

int bv_cmd_delete(struct bv_call *call, struct bv_error *error)
{
	json_t *names = json_array();

	for (unsigned int i = 0; i < call->operands_count; i++) {
		if (delete_one(call, call->operands[i], error)) {
			json_decref(names);
			return -1;
		}
		json_array_append_new(names, json_string(call->operands[i]));
	}
	if (call->json)
		return bv_json_out(json_pack("{s:o}", "deleted", names), error);
	json_decref(names);
	return 0;
}
