/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes that serve a device of the VM over a socket of their own (vhost_user.h). They are
 * started before this process shuts itself in, and end with it.
 */
#ifndef VMM_HELPER_H
#define VMM_HELPER_H

#include "vmm/why.h"

#include <sys/types.h>

#define HELPER_FD "3" /* the socket on which a helper listens, for its command line */

struct vm;

struct helper {
	int fd; /* the connection */
	pid_t pid; /* 0: no process of ours */
};

/**
 * helper_start() - Starts a program and connects to it.
 * @argv: the program's path first; one argument says that it listens at HELPER_FD
 *
 * Whether it came up, its first answer says. It gets SIGTERM when this process ends, however that
 * is.
 *
 * Return: 0 or -1.
 */
int helper_start(struct vm *vm, char *const argv[], struct helper *helper, struct why *why);

/* Closes the connection, and waits a while until the process has put its things in order. */
void helper_end(struct helper *helper);

#endif
