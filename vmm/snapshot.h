/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM in a file: see docs/snapshot.md for the format. */
#ifndef VMM_SNAPSHOT_H
#define VMM_SNAPSHOT_H

#include "vmm/snap.h"
#include "vmm/vm.h"

/**
 * snapshot_save() - Writes a paused VM. Lock held.
 * @running: whether it is to run when restored
 *
 * Return: how many bytes of disk the file takes; -1 with why.
 */
int64_t snapshot_save(struct vm *vm, int fd, bool running, struct why *why);

/**
 * snapshot_restore() - Instead of power-on: the machine is made, no vCPU runs yet.
 * @run: set to whether it is to run
 */
int snapshot_restore(struct vm *vm, const char *path, bool *run, struct why *why);

/* The state alone, not packed. */
int snapshot_load_stream(struct vm *vm, const void *state, size_t size, bool *run, struct why *why);
void snapshot_save_stream(struct vm *vm, struct snap *snap, bool run);

/* vCPUs and the hypervisor's chips: vm.c. */
void vm_cpuid_state(struct vm *vm, struct snap *snap);
void vm_cpus_state(struct vm *vm, struct snap *snap);

#endif
