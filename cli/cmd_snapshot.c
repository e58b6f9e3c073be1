// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Commands snapshot and restore. A snapshot is a directory below the VM's: the definition, its
 * disks, and of a VM that ran `state`, written by its process: memory, devices, CPUs. The disks
 * are copied while the VM is paused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/launch.h"
#include "cli/out.h"

#define STATE_WAIT_S 1800 /* writing much memory to a slow disk */

static struct bv_path snapshots_path(const struct bv_vm *vm)
{
	return bv_vm_file(vm, "snapshots");
}

static struct bv_path snapshot_path(const struct bv_vm *vm, const char *snapshot)
{
	return bv_path("%s/%s", snapshots_path(vm).text, snapshot);
}

static int fail_unknown(const struct bv_vm *vm, const char *snapshot, struct bv_error *error)
{
	bv_error_set(error, BV_UNKNOWN, "VM '%s' has no snapshot '%s'", vm->name, snapshot);
	return bv_error_advise(error, "'bv snapshot %s --list' shows those it has.", vm->name);
}

/* Every file of the VM that the guest writes to, in turn; NULL behind the last one. What is not
 * in the VM's directory is not the VM's alone. */
static int own_files(const struct bv_vm *vm, const char *files[BV_DISKS + 2],
		     struct bv_error *error)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < vm->definition.disks_count; i++) {
		const struct bv_disk *disk = &vm->definition.disks[i];

		if (disk->read_only)
			continue;
		if (strchr(disk->file, '/')) {
			bv_error_set(error, BV_USAGE,
				     "disk%u, %s, is not in the VM's directory; a snapshot cannot "
				     "keep what is on it",
				     i, disk->file);
			return bv_error_advise(error,
					       "'bv set %s disk%u.read-only=yes', or take "
					       "the disk away.",
					       vm->name, i);
		}
		files[count++] = disk->file;
	}
	if (vm->definition.firmware == BV_FIRMWARE_UEFI &&
	    bv_file_exists(bv_vm_file(vm, "uefi-vars.fd").text))
		files[count++] = "uefi-vars.fd";
	files[count] = NULL;
	return 0;
}

static int copy_files(const struct bv_call *call, const char *const *files, const char *from,
		      const char *to, struct bv_error *error)
{
	struct bv_progress progress;
	int status = 0;

	bv_progress_begin(&progress, call, "copying the disks");
	for (; *files && !status; files++)
		status = bv_file_copy(bv_path("%s/%s", from, *files).text,
				      bv_path("%s/%s", to, *files).text, bv_progress_bytes,
				      &progress, error);
	bv_progress_end(&progress);
	return status;
}

/* --- taking ---------------------------------------------------------------------------------- */

/* A snapshot that is being taken. */
struct taking {
	struct bv_call *call;
	struct bv_vm *vm;
	const char *const *files;
	struct bv_path directory;
	bool was_paused;
};

static json_t *ask(struct bv_control *control, json_t *request, int fd, int wait_s,
		   struct bv_error *error)
{
	return bv_control_ask(control, request, fd, wait_s, error);
}

static int ask_simple(struct bv_control *control, const char *what, struct bv_error *error)
{
	json_t *answer = ask(control, json_pack("{s:s}", "do", what), -1, 30, error);

	json_decref(answer);
	return answer ? 0 : -1;
}

/* The VM's process writes to the file that it is handed; it is paused then. */
static int write_state(struct taking *taking, struct bv_control *control, struct bv_error *error)
{
	struct bv_path path = bv_path("%s/state", taking->directory.text);
	int fd = open(path.text, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	json_t *answer;
	int status;

	if (fd < 0)
		return bv_error_errno(error, "cannot make %s", path.text);
	answer = ask(control, json_pack("{s:s, s:s}", "do", "snapshot", "then", "pause"), fd,
		     STATE_WAIT_S, error);
	status = answer ? 0 : -1;
	if (answer && fsync(fd))
		status = bv_error_errno(error, "cannot bring %s to the disk", path.text);
	json_decref(answer);
	close(fd);
	return status;
}

static int take_paused(struct taking *taking, struct bv_control *control, struct bv_error *error)
{
	if (write_state(taking, control, error))
		return -1;
	return copy_files(taking->call, taking->files, taking->vm->data.text,
			  taking->directory.text, error);
}

/* Whatever came of it, the VM goes on as it was, or ends if that was wanted and the snapshot is
 * there. */
static int take_alive(struct taking *taking, struct bv_error *error)
{
	struct bv_control *control = calloc(1, sizeof(*control));
	bool stop = bv_call_option(taking->call, "stop");
	struct bv_error ignored;
	json_t *answer;
	int status = -1;

	if (!control || bv_control_open(control, taking->vm, error)) {
		free(control);
		return -1;
	}
	answer = ask(control, json_pack("{s:s}", "do", "status"), -1, 10, error);
	if (answer) {
		const char *state = json_string_value(json_object_get(answer, "state"));

		taking->was_paused = state && !strcmp(state, "paused");
		status = take_paused(taking, control, error);
		if (stop && !status)
			status = ask_simple(control, "quit", error);
		else if (!taking->was_paused)
			ask_simple(control, "resume", status ? &ignored : error);
	}
	json_decref(answer);
	bv_control_close(control);
	free(control);
	return status;
}

static int write_info(struct taking *taking, bool alive, struct bv_error *error)
{
	const char *note = bv_call_option(taking->call, "note");
	json_t *info = json_pack("{s:f, s:b, s:s}", "taken", bv_wall_clock(), "running", alive,
				 "note", note ?: "");
	char *text = info ? json_dumps(info, JSON_INDENT(2)) : NULL;
	int status = -1;

	if (!text)
		bv_error_set(error, BV_FAILED, "the note is no text");
	else if (!bv_file_write(bv_path("%s/definition.vm", taking->directory.text).text,
				taking->vm->text, strlen(taking->vm->text), error))
		status = bv_file_write(bv_path("%s/snapshot.json", taking->directory.text).text,
				       text, strlen(text), error);
	free(text);
	json_decref(info);
	return status;
}

static int take(struct bv_call *call, struct bv_vm *vm, const char *name, struct bv_error *error)
{
	struct bv_path final = snapshot_path(vm, name);
	const char *files[BV_DISKS + 2];
	struct taking taking = { call, vm, files, bv_path("%s/.making", snapshots_path(vm).text),
				 false };
	bool alive = bv_vm_is_alive(vm);
	struct bv_error ignored;
	int status = -1;

	if (bv_file_exists(final.text))
		return bv_error_set(error, BV_EXISTS, "VM '%s' has a snapshot '%s' already",
				    vm->name, name);
	if (own_files(vm, files, error) || bv_dir_delete(taking.directory.text, error) ||
	    bv_dir_make(taking.directory.text, error))
		return -1;
	if (alive)
		status = take_alive(&taking, error);
	else
		status = copy_files(call, files, vm->data.text, taking.directory.text, error);
	if (!status)
		status = write_info(&taking, alive, error);
	if (!status && rename(taking.directory.text, final.text))
		status = bv_error_errno(error, "cannot name the snapshot");
	if (status)
		bv_dir_delete(taking.directory.text, &ignored);
	else
		status = bv_dir_sync(snapshots_path(vm).text, error);
	return status;
}

/* "2026-11-22-171500", and with -2 behind it if there were two in a second */
static void name_by_time(const struct bv_vm *vm, char name[BV_NAME_MAX + 1])
{
	time_t now = time(NULL);
	struct tm parts;
	size_t used;

	localtime_r(&now, &parts);
	used = strftime(name, BV_NAME_MAX, "%Y-%m-%d-%H%M%S", &parts);
	for (int i = 2; bv_file_exists(snapshot_path(vm, name).text) && i < 1000; i++)
		snprintf(name + used, BV_NAME_MAX - used, "-%d", i);
}

static int take_named(struct bv_call *call, struct bv_vm *vm, struct bv_error *error)
{
	char name[BV_NAME_MAX + 1];
	double began = bv_now();

	if (call->operands_count > 1) {
		if (bv_name_check(call->operands[1], "a snapshot", error))
			return -1;
		snprintf(name, sizeof(name), "%s", call->operands[1]);
	} else {
		name_by_time(vm, name);
	}
	if (take(call, vm, name, error))
		return -1;
	bv_say(call, "Snapshot '%s' of VM '%s' in %.1f s. 'bv restore %s %s' returns to it.", name,
	       vm->name, bv_now() - began, vm->name, name);
	return call->json ? bv_json_out(json_pack("{s:s, s:s}", "name", vm->name, "snapshot", name),
					error) :
			    0;
}

/* --- listing and deleting -------------------------------------------------------------------- */

static json_t *snapshot_info(const struct bv_vm *vm, const char *name)
{
	struct bv_error ignored;
	struct bv_path path = bv_path("%s/snapshot.json", snapshot_path(vm, name).text);
	char *text = bv_file_read(path.text, 64 << 10, NULL, &ignored);
	json_t *info = text ? json_loads(text, 0, NULL) : NULL;

	free(text);
	info = info ?: json_object();
	json_object_set_new(info, "snapshot", json_string(name));
	json_object_set_new(info, "bytes",
			    json_integer(bv_file_allocated(
				    bv_path("%s/state", snapshot_path(vm, name).text).text)));
	return info;
}

static int list(struct bv_call *call, struct bv_vm *vm, struct bv_error *error)
{
	static const char *const heads[] = { "SNAPSHOT", "TAKEN", "OF", "STATE", "NOTE" };
	unsigned int count;
	char **names = bv_dir_names(snapshots_path(vm).text, "", &count);
	struct bv_table *table = bv_table_new(heads, 5);
	json_t *all = json_array();
	char ago[48], size[16];

	for (unsigned int i = 0; i < count && table; i++) {
		json_t *info = snapshot_info(vm, names[i]);
		bool running = json_is_true(json_object_get(info, "running"));

		bv_table_cell(table, "%s", names[i]);
		bv_table_cell(table, "%s",
			      bv_human_ago(json_number_value(json_object_get(info, "taken")), ago));
		bv_table_cell(table, "%s", running ? "running VM" : "disks");
		bv_table_cell(
			table, "%s",
			bv_human_size(json_integer_value(json_object_get(info, "bytes")), size));
		bv_table_cell(table, "%s", json_string_value(json_object_get(info, "note")) ?: "");
		json_array_append_new(all, info);
	}
	bv_names_free(names, count);
	if (!call->json && count && table)
		bv_table_print(table, stdout);
	else if (!call->json)
		bv_say(call, "VM '%s' has no snapshots.", vm->name);
	bv_table_free(table);
	if (call->json)
		return bv_json_out(json_pack("{s:s, s:o}", "name", vm->name, "snapshots", all),
				   error);
	json_decref(all);
	return 0;
}

static int delete (struct bv_call *call, struct bv_vm *vm, const char *name, struct bv_error *error)
{
	struct bv_path doomed = bv_path("%s/.making", snapshots_path(vm).text);

	if (bv_name_check(name, "a snapshot", error))
		return -1;
	if (!bv_file_exists(snapshot_path(vm, name).text))
		return fail_unknown(vm, name, error);
	if (bv_dir_delete(doomed.text, error))
		return -1;
	if (rename(snapshot_path(vm, name).text, doomed.text))
		return bv_error_errno(error, "cannot delete the snapshot");
	if (bv_dir_delete(doomed.text, error))
		return -1;
	bv_say(call, "Deleted snapshot '%s' of VM '%s'.", name, vm->name);
	return call->json ? bv_json_out(json_pack("{s:s, s:s}", "name", vm->name, "deleted", name),
					error) :
			    0;
}

int bv_cmd_snapshot(struct bv_call *call, struct bv_error *error)
{
	const char *doomed = bv_call_option(call, "delete");
	bool listing = bv_call_option(call, "list");
	struct bv_vm vm;
	int status;

	status = bv_vm_open(&vm, call->operands[0], listing ? BV_VM_LOOK_BROKEN : BV_VM_CHANGE,
			    error);
	if (!status && listing)
		status = list(call, &vm, error);
	else if (!status && doomed)
		status = delete (call, &vm, doomed, error);
	else if (!status)
		status = take_named(call, &vm, error);
	bv_vm_close(&vm);
	return status;
}

/* --- restoring ------------------------------------------------------------------------------- */

/* The latest by its time. */
static int find_latest(const struct bv_vm *vm, char name[BV_NAME_MAX + 1], struct bv_error *error)
{
	unsigned int count;
	char **names = bv_dir_names(snapshots_path(vm).text, "", &count);
	double best = -1;

	for (unsigned int i = 0; i < count; i++) {
		json_t *info = snapshot_info(vm, names[i]);
		double taken = json_number_value(json_object_get(info, "taken"));

		if (taken >= best) {
			best = taken;
			snprintf(name, BV_NAME_MAX + 1, "%s", names[i]);
		}
		json_decref(info);
	}
	bv_names_free(names, count);
	if (count)
		return 0;
	bv_error_set(error, BV_UNKNOWN, "VM '%s' has no snapshot", vm->name);
	return bv_error_advise(error, "'bv snapshot %s' takes one.", vm->name);
}

static int check_stopped(struct bv_call *call, const struct bv_vm *vm, struct bv_error *error)
{
	json_t *answer;

	if (!bv_vm_is_alive(vm))
		return 0;
	if (!bv_call_option(call, "kill")) {
		bv_error_set(error, BV_STATE, "VM '%s' runs; restoring would lose what it does",
			     vm->name);
		return bv_error_advise(error, "'bv restore --kill %s' ends it first.", vm->name);
	}
	answer = bv_control_do(vm, "quit", error);
	json_decref(answer);
	return answer ? 0 : -1; /* bv_launch waits for its end */
}

/* The definition that the snapshot was taken of, in place of the present one. */
static int take_definition(struct bv_vm *vm, const char *directory, struct bv_error *error)
{
	struct bv_path path = bv_path("%s/definition.vm", directory);
	size_t size;
	char *text = bv_file_read(path.text, BV_DEFINITION_MOST, &size, error);

	if (!text)
		return -1;
	free(vm->text);
	vm->text = text;
	return bv_definition_parse(&vm->definition, text, size, path.text, error);
}

/* All copies first, then the renames. */
static int put_back(struct bv_call *call, struct bv_vm *vm, const char *directory,
		    struct bv_error *error)
{
	struct bv_path fresh = bv_vm_file(vm, ".restoring");
	const char *files[BV_DISKS + 2];
	int status;

	if (own_files(vm, files, error) || bv_dir_delete(fresh.text, error) ||
	    bv_dir_make(fresh.text, error))
		return -1;
	status = copy_files(call, files, directory, fresh.text, error);
	for (unsigned int i = 0; files[i] && !status; i++)
		if (rename(bv_path("%s/%s", fresh.text, files[i]).text,
			   bv_vm_file(vm, files[i]).text))
			status = bv_error_errno(error, "cannot put %s back", files[i]);
	if (!status)
		status = bv_vm_write(vm, vm->text, error);
	if (!status)
		return bv_dir_delete(fresh.text, error);
	bv_dir_delete(fresh.text, &(struct bv_error){ 0 });
	return -1;
}

static int wait_stopped(const struct bv_vm *vm, struct bv_error *error)
{
	int fd = bv_lock_take(bv_vm_file(vm, "alive").text, 30, "the VM's process does not end",
			      error);

	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int restore(struct bv_call *call, struct bv_vm *vm, const char *name, struct bv_error *error)
{
	struct bv_path directory = snapshot_path(vm, name);
	struct bv_path state = bv_path("%s/state", directory.text);
	struct bv_launch how = { .restore = state.text,
				 .paused = bv_call_option(call, "paused"),
				 .force = bv_call_option(call, "force") };

	if (!bv_file_exists(directory.text))
		return fail_unknown(vm, name, error);
	if (check_stopped(call, vm, error) || wait_stopped(vm, error) ||
	    take_definition(vm, directory.text, error) || put_back(call, vm, directory.text, error))
		return -1;
	if (!bv_file_exists(state.text)) {
		bv_say(call, "The disks of VM '%s' are as they were. 'bv start %s' starts it.",
		       vm->name, vm->name);
		return 0;
	}
	if (bv_launch(vm, &how, error))
		return -1;
	bv_say(call, "VM '%s' goes on from snapshot '%s'.", vm->name, name);
	return 0;
}

int bv_cmd_restore(struct bv_call *call, struct bv_error *error)
{
	char name[BV_NAME_MAX + 1] = "";
	struct bv_vm vm;
	int status = -1;

	if (call->operands_count > 1 && bv_name_check(call->operands[1], "a snapshot", error))
		return -1;
	if (call->operands_count > 1)
		snprintf(name, sizeof(name), "%s", call->operands[1]);
	if (!bv_vm_open(&vm, call->operands[0], BV_VM_CHANGE, error) &&
	    (name[0] || !find_latest(&vm, name, error)))
		status = restore(call, &vm, name, error);
	bv_vm_close(&vm);
	if (!status && call->json)
		return bv_json_out(json_pack("{s:s, s:s, s:b}", "name", vm.name, "snapshot", name,
					     "running", bv_vm_is_alive(&vm)),
				   error);
	return status;
}
