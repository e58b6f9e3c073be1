// SPDX-License-Identifier: GPL-2.0-or-later
/* The VMs that are defined; see vm.h. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/places.h"
#include "cli/vm.h"

#define LOCK_WAIT_S 10

void bv_vm_name(struct bv_vm *vm, const char *name)
{
	const struct bv_places *places = bv_places();

	memset(vm, 0, sizeof(*vm));
	vm->lock = -1;
	snprintf(vm->name, sizeof(vm->name), "%s", name);
	vm->definition_file = bv_path("%s/%s.vm", places->config, vm->name);
	vm->data = bv_path("%s/vms/%s", places->data, vm->name);
	vm->run = bv_path("%s/%s", places->run, vm->name);
}

struct bv_path bv_vm_file(const struct bv_vm *vm, const char *name)
{
	return bv_path("%s/%s", vm->data.text, name);
}

struct bv_path bv_vm_socket(const struct bv_vm *vm, const char *name)
{
	return bv_path("%s/%s", vm->run.text, name);
}

struct bv_path bv_vm_resolve(const struct bv_vm *vm, const char *path)
{
	if (path[0] == '/')
		return bv_path("%s", path);
	return bv_vm_file(vm, path);
}

bool bv_vm_exists(const char *name)
{
	return bv_file_exists(bv_path("%s/%s.vm", bv_places()->config, name).text);
}

bool bv_vm_is_alive(const struct bv_vm *vm)
{
	return bv_lock_is_taken(bv_vm_file(vm, "alive").text);
}

/* --- names ----------------------------------------------------------------------------------- */

static int compare_names(const void *one, const void *other)
{
	return strcmp(*(char *const *)one, *(char *const *)other);
}

/* The name without the suffix, if the entry is one of ours. */
static char *entry_name(const char *entry, const char *suffix)
{
	size_t size = strlen(entry), end = strlen(suffix);
	struct bv_error error;
	char *name;

	if (size <= end || strcmp(entry + size - end, suffix))
		return NULL;
	name = strndup(entry, size - end);
	if (name && bv_name_check(name, "it", &error)) {
		free(name);
		return NULL;
	}
	return name;
}

char **bv_dir_names(const char *path, const char *suffix, unsigned int *count)
{
	DIR *list = opendir(path);
	char **names = NULL, **more, *name;
	struct dirent *entry;

	*count = 0;
	while (list && (entry = readdir(list))) {
		name = entry_name(entry->d_name, suffix);
		more = name ? realloc(names, (*count + 1) * sizeof(*names)) : NULL;
		if (!more) {
			free(name);
			continue;
		}
		names = more;
		names[(*count)++] = name;
	}
	if (list)
		closedir(list);
	if (names)
		qsort(names, *count, sizeof(*names), compare_names);
	return names;
}

char **bv_vm_names(unsigned int *count)
{
	return bv_dir_names(bv_places()->config, ".vm", count);
}

void bv_names_free(char **names, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

/* How many letters must be changed, put in or left out to come from one to the other. */
static unsigned int name_distance(const char *one, const char *other)
{
	unsigned int row[BV_NAME_MAX + 2], last, kept;
	size_t width = strnlen(other, BV_NAME_MAX);

	for (size_t i = 0; i <= width; i++)
		row[i] = i;
	for (size_t i = 0; one[i] && i < BV_NAME_MAX; i++) {
		last = row[0]++;
		for (size_t j = 1; j <= width; j++) {
			unsigned int best = last + (one[i] != other[j - 1]);

			kept = row[j];
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (kept + 1 < best)
				best = kept + 1;
			last = kept;
			row[j] = best;
		}
	}
	return row[width];
}

const char *bv_name_close(const char *name, char **names, unsigned int count)
{
	unsigned int best = 3;
	const char *found = NULL;

	for (unsigned int i = 0; i < count; i++) {
		unsigned int distance = name_distance(name, names[i]);

		if (distance < best && distance < strlen(name)) {
			best = distance;
			found = names[i];
		}
	}
	return found;
}

/* --- opening --------------------------------------------------------------------------------- */

static int fail_unknown(const char *name, struct bv_error *error)
{
	unsigned int count;
	char **names = bv_vm_names(&count);
	const char *close = bv_name_close(name, names, count);

	bv_error_set(error, BV_UNKNOWN, "there is no VM '%s'", name);
	if (close)
		bv_error_advise(error, "Is it '%s'?", close);
	else if (count)
		bv_error_advise(error, "'bv list' shows those there are.");
	else
		bv_error_advise(error, "No VM is defined yet; 'bv run debian' makes one.");
	bv_names_free(names, count);
	return -1;
}

/* Not in the VM's directory, which may go while somebody waits for the lock. */
static struct bv_path lock_path(const struct bv_vm *vm)
{
	return bv_path("%s/vms/.%s.lock", bv_places()->data, vm->name);
}

static int vm_lock(struct bv_vm *vm, struct bv_error *error)
{
	char words[128];

	snprintf(words, sizeof(words), "another bv command has been working on VM '%s' for %d s",
		 vm->name, LOCK_WAIT_S);
	vm->lock = bv_lock_take(lock_path(vm).text, LOCK_WAIT_S, words, error);
	return vm->lock < 0 ? -1 : 0;
}

static int vm_read(struct bv_vm *vm, struct bv_error *error)
{
	size_t size;

	vm->text = bv_file_read(vm->definition_file.text, BV_DEFINITION_MOST, &size, error);
	if (!vm->text)
		return error->status == BV_UNKNOWN ? fail_unknown(vm->name, error) : -1;
	if (bv_definition_parse(&vm->definition, vm->text, size, vm->definition_file.text,
				&vm->trouble))
		vm->broken = true;
	return 0;
}

void bv_vm_tidy(const struct bv_vm *vm)
{
	struct bv_error ignored;
	int lock = -1;

	if (!bv_file_exists(vm->run.text) || bv_vm_is_alive(vm))
		return;
	if (vm->lock < 0)
		lock = bv_lock_take(lock_path(vm).text, 0, "", &ignored);
	/* Under that lock nobody starts it, so what is dead now stays so. */
	if ((vm->lock >= 0 || lock >= 0) && !bv_vm_is_alive(vm))
		bv_vm_sweep(vm);
	if (lock >= 0)
		close(lock);
}

int bv_vm_open(struct bv_vm *vm, const char *name, enum bv_vm_how how, struct bv_error *error)
{
	bool change = how == BV_VM_CHANGE || how == BV_VM_CHANGE_BROKEN;
	bool lenient = how == BV_VM_CHANGE_BROKEN || how == BV_VM_LOOK_BROKEN;

	memset(vm, 0, sizeof(*vm));
	vm->lock = -1;
	if (bv_name_check(name, "a VM", error))
		return -1;
	bv_vm_name(vm, name);
	if (!bv_vm_exists(name))
		return fail_unknown(name, error);
	if ((change && vm_lock(vm, error)) || vm_read(vm, error))
		return -1;
	if (change && bv_dir_make(vm->data.text, error))
		return -1;
	bv_vm_tidy(vm);
	if (vm->broken && !lenient) {
		*error = vm->trouble;
		return bv_error_advise(error, "Correct the file, or 'bv delete %s'.", name);
	}
	return 0;
}

void bv_vm_close(struct bv_vm *vm)
{
	free(vm->text);
	vm->text = NULL;
	if (vm->lock >= 0 && !bv_vm_exists(vm->name))
		unlink(lock_path(vm).text);
	if (vm->lock >= 0)
		close(vm->lock);
	vm->lock = -1;
}

void bv_vm_sweep(const struct bv_vm *vm)
{
	unlink(bv_vm_socket(vm, "control").text);
	unlink(bv_vm_socket(vm, "console").text);
	unlink(bv_vm_socket(vm, "gdb").text);
	rmdir(vm->run.text);
}

/* --- making and deleting --------------------------------------------------------------------- */

int bv_store_lock(struct bv_error *error)
{
	return bv_lock_take(bv_path("%s/lock", bv_places()->data).text, LOCK_WAIT_S,
			    "another bv command has been making or deleting VMs for 10 s", error);
}

static struct bv_path making_path(const struct bv_vm *vm)
{
	return bv_path("%s/vms/.making-%s", bv_places()->data, vm->name);
}

static int fail_exists(const struct bv_vm *vm, struct bv_error *error)
{
	bv_error_set(error, BV_EXISTS, "there is a VM '%s' already", vm->name);
	return bv_error_advise(error, "'bv start %s' starts it, 'bv delete %s' deletes it.",
			       vm->name, vm->name);
}

/* A directory without a definition is what is left where somebody deleted a definition by hand:
 * it may hold the only copy of a disk. */
static int check_free(const struct bv_vm *vm, struct bv_error *error)
{
	if (bv_vm_exists(vm->name))
		return fail_exists(vm, error);
	if (!bv_file_exists(vm->data.text))
		return 0;
	bv_error_set(error, BV_EXISTS, "%s is there, but no definition that it belongs to",
		     vm->data.text);
	return bv_error_advise(error, "Look what it holds; then move or delete it by hand.");
}

int bv_vm_prepare(struct bv_vm *vm, const char *name, struct bv_error *error)
{
	char words[128];

	memset(vm, 0, sizeof(*vm));
	vm->lock = -1;
	if (bv_name_check(name, "a VM", error))
		return -1;
	bv_vm_name(vm, name);
	if (check_free(vm, error))
		return -1;
	snprintf(words, sizeof(words), "another bv command is making VM '%s'", name);
	vm->lock = bv_lock_take(lock_path(vm).text, 0, words, error);
	if (vm->lock < 0)
		return -1;
	vm->data = making_path(vm);
	if (!bv_dir_delete(vm->data.text, error) && !bv_dir_make(vm->data.text, error))
		return 0;
	bv_vm_close(vm);
	return -1;
}

static int commit_locked(struct bv_vm *vm, struct bv_error *error)
{
	struct bv_path made = vm->data;

	vm->data = bv_path("%s/vms/%s", bv_places()->data, vm->name);
	if (check_free(vm, error)) {
		vm->data = made;
		return -1;
	}
	if (rename(made.text, vm->data.text)) {
		vm->data = made;
		return bv_error_errno(error, "cannot make %s", vm->name);
	}
	if (bv_vm_write(vm, NULL, error)) {
		rename(vm->data.text, made.text);
		vm->data = made;
		return -1;
	}
	return 0;
}

int bv_vm_commit(struct bv_vm *vm, struct bv_error *error)
{
	int store = bv_store_lock(error), status;

	if (store < 0)
		return -1;
	status = commit_locked(vm, error);
	close(store);
	return status;
}

void bv_vm_abandon(struct bv_vm *vm)
{
	struct bv_error error;

	if (vm->lock >= 0)
		bv_dir_delete(making_path(vm).text, &error);
	bv_vm_close(vm);
}

int bv_vm_write(struct bv_vm *vm, const char *text, struct bv_error *error)
{
	char *made = text ? NULL : bv_definition_format(&vm->definition);
	int status;

	if (!text && !made)
		return bv_error_set(error, BV_FAILED, "no memory");
	status = bv_file_write(vm->definition_file.text, text ?: made, strlen(text ?: made), error);
	free(made);
	return status;
}

/* What deletions that were cut short have left. */
static int delete_doomed(struct bv_error *error)
{
	struct bv_path vms = bv_path("%s/vms", bv_places()->data);
	DIR *list = opendir(vms.text);
	struct dirent *entry;
	int status = 0;

	if (!list)
		return bv_error_errno(error, "cannot read %s", vms.text);
	while (!status && (entry = readdir(list)))
		if (!strncmp(entry->d_name, ".deleted-", 9))
			status = bv_dir_delete(bv_path("%s/%s", vms.text, entry->d_name).text,
					       error);
	closedir(list);
	return status;
}

/* The definition goes last: cut short before that, the VM is still there to be deleted. */
int bv_vm_delete(struct bv_vm *vm, struct bv_error *error)
{
	struct bv_path doomed =
		bv_path("%s/vms/.deleted-%s-%d", bv_places()->data, vm->name, (int)getpid());
	int store = bv_store_lock(error), status = -1;

	if (store < 0)
		return -1;
	bv_vm_sweep(vm);
	if (rename(vm->data.text, doomed.text) && errno != ENOENT)
		bv_error_errno(error, "cannot delete %s", vm->data.text);
	else if (unlink(vm->definition_file.text))
		bv_error_errno(error, "cannot delete %s", vm->definition_file.text);
	else
		status = delete_doomed(error);
	close(store);
	return status;
}
