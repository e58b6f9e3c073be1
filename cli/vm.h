/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMs that are defined: where each one's files are, and the locks on them.
 *
 * A VM exists when its definition does. Two locks, both held by the kernel for as long as their
 * holder lives: `lock` by a command that changes the VM or its files, `alive` by the VM's own
 * process all its life, so that whether it runs needs no number of a process. Order: the store's
 * lock (making and deleting names), a VM's lock, its alive lock.
 */
#ifndef CLI_VM_H
#define CLI_VM_H

#include "cli/definition.h"
#include "cli/files.h"

struct bv_vm {
	char name[BV_NAME_MAX + 1];
	struct bv_path definition_file;
	struct bv_path data; /* its directory: disks, logs, snapshots */
	struct bv_path run; /* its directory for sockets */
	char *text; /* the definition as it stands in the file */
	struct bv_definition definition;
	bool broken; /* the definition cannot be used: `trouble` says why */
	struct bv_error trouble;
	int lock; /* -1: not held */
};

enum bv_vm_how {
	BV_VM_LOOK, /* to read */
	BV_VM_CHANGE, /* its lock is taken */
	BV_VM_CHANGE_BROKEN, /* the same, also where the definition is broken */
	BV_VM_LOOK_BROKEN,
};

/* Opens a VM that exists. To be closed with bv_vm_close(), also if this fails. */
int bv_vm_open(struct bv_vm *vm, const char *name, enum bv_vm_how how, struct bv_error *error);
void bv_vm_close(struct bv_vm *vm);

/* The paths of a VM that need not exist. */
void bv_vm_name(struct bv_vm *vm, const char *name);
struct bv_path bv_vm_file(const struct bv_vm *vm, const char *name);
struct bv_path bv_vm_socket(const struct bv_vm *vm, const char *name);
/* What a path in the definition means. */
struct bv_path bv_vm_resolve(const struct bv_vm *vm, const char *path);

bool bv_vm_exists(const char *name);
/* Whether its process lives. */
bool bv_vm_is_alive(const struct bv_vm *vm);
/* Removes what a killed process has left; to be called where it is not alive. */
void bv_vm_sweep(const struct bv_vm *vm);
/* The same, if it is not alive and nobody is working on it; else nothing, for the next one who
 * looks tidies up. */
void bv_vm_tidy(const struct bv_vm *vm);

/* Makes a VM, in two steps: the directory for its data under a name of its own, to be filled;
 * then, once all is there, the VM itself. bv_vm_abandon() instead of the second removes what
 * was made. */
int bv_vm_prepare(struct bv_vm *vm, const char *name, struct bv_error *error);
int bv_vm_commit(struct bv_vm *vm, struct bv_error *error);
void bv_vm_abandon(struct bv_vm *vm);

/* Writes the definition, which is checked before; `text` NULL: from vm->definition. */
int bv_vm_write(struct bv_vm *vm, const char *text, struct bv_error *error);
/* With all its files. Its lock is held. */
int bv_vm_delete(struct bv_vm *vm, struct bv_error *error);

/* The names of all VMs, sorted, each to be freed, and the array too. NULL: none, *count is 0. */
char **bv_vm_names(unsigned int *count);
/* The same for the directories in a directory: images, snapshots. */
char **bv_dir_names(const char *path, const char *suffix, unsigned int *count);
void bv_names_free(char **names, unsigned int count);

/* The name closest to one that does not exist; NULL if none is close. */
const char *bv_name_close(const char *name, char **names, unsigned int count);

/* The store's lock: -1 on failure. */
int bv_store_lock(struct bv_error *error);

#endif
