/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a VM's process, and waiting for its end. The process is bv itself, started anew with
 * the hidden command vm-process (process.c), in a session of its own, so that it stays when the
 * shell goes.
 */
#ifndef CLI_LAUNCH_H
#define CLI_LAUNCH_H

#include "cli/control.h"
#include "cli/vm.h"

struct bv_launch {
	const char *restore; /* a snapshot's state; NULL: from the beginning */
	bool paused;
	bool gdb; /* with the socket for a debugger */
	bool force; /* although this machine looks as if guests did not run on it */
};

/* Starts a VM whose lock is held, and returns when its CPUs run, or with the cause why they do
 * not. */
int bv_launch(struct bv_vm *vm, const struct bv_launch *how, struct bv_error *error);

/* Whether guests can run here, as far as that can be told at once; what is wrong, and the way
 * out. */
int bv_host_check(bool force, struct bv_error *error);

/* A handle on a VM's process that can be waited for: from the control connection's peer. -1: it
 * is gone. */
int bv_process_handle(const struct bv_control *control);
/* The same without a connection, by the file that the process keeps open. */
int bv_process_find(const struct bv_vm *vm);
/* Whether it ended within the time. */
bool bv_process_wait(int handle, double seconds);

/* Definition to machine: see process.c. */
struct bv_machine;
struct bv_machine *bv_machine_new(const struct bv_vm *vm, const struct bv_launch *how,
				  struct bv_error *error);
void bv_machine_free(struct bv_machine *machine);

/* A firmware's file on this machine, and for uefi the template of its variables; NULL: not
 * installed. */
const char *bv_firmware_find(enum bv_firmware firmware, const char **variables);
/* What to install for it. */
const char *bv_firmware_package(enum bv_firmware firmware);

#endif
