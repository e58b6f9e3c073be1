/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The remote stub for GDB, on a Unix socket: registers, memory, breakpoints, watchpoints, steps. */
#ifndef VMM_GDB_H
#define VMM_GDB_H

#include "vmm/vm.h"

int gdb_create(struct vm *vm, struct why *why);
void gdb_destroy(struct vm *vm);

/* By a vCPU's thread, lock held: it met a breakpoint, a watchpoint, or has made its step. */
void gdb_stopped(struct vm *vm);

#endif
