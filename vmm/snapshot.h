/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A VM in a file: see docs/snapshot.md for the format. */
#ifndef VMM_SNAPSHOT_H
#define VMM_SNAPSHOT_H

#include "vmm/snap.h"
#include "vmm/vm.h"

/* The VM is paused, lock held. How many bytes the file has; -1 with why. */
int64_t snapshot_save(struct vm *vm, int fd, struct why *why);

/**
 * snapshot_restore() - Instead of power-on: the machine is made, no vCPU runs yet.
 * @run: set to whether it ran when it was saved
 */
int snapshot_restore(struct vm *vm, const char *path, bool *run, struct why *why);

/* vCPUs and the hypervisor's chips: vm.c. */
void vm_cpus_state(struct vm *vm, struct snap *snap);

#endif
