/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client's side of a VM's control socket (docs/control-socket.md). */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include <jansson.h>
#include <sys/types.h>

#include "cli/vm.h"

struct bv_control {
	int fd;
	pid_t pid; /* of the VM's process, as the kernel tells it */
	char buffer[1 << 16];
	size_t used;
};

/* Connects to a VM that runs. -1, status BV_STATE: it does not. */
int bv_control_open(struct bv_control *control, const struct bv_vm *vm, struct bv_error *error);
void bv_control_close(struct bv_control *control);

/* Sends a request (taken over) with a descriptor (-1: none), and waits for its answer, which is
 * the caller's; NULL with the error, also if the VM refused: then with its words. Events that
 * come between are let go. */
json_t *bv_control_ask(struct bv_control *control, json_t *request, int fd, int wait_s,
		       struct bv_error *error);

/* The same in one go: connects, asks {"do": what}, closes. */
json_t *bv_control_do(const struct bv_vm *vm, const char *what, struct bv_error *error);

/* One line of the VM's, parsed; NULL at its end (error->text is "" then), or on an error. */
json_t *bv_control_line(struct bv_control *control, int wait_s, struct bv_error *error);

#endif
