/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What requests on the control socket do (docs/control-socket.md). */
#ifndef VMM_REQUESTS_H
#define VMM_REQUESTS_H

#include "vmm/vm.h"

#include <jansson.h>

/**
 * requests_serve() - Serves one.
 * @request: NULL if the line was no JSON
 * @fd: a descriptor that came with it; set to -1 if it was taken
 * @events: set if the connection wants events
 *
 * Return: the answer, the caller's to let go of.
 */
json_t *requests_serve(struct vm *vm, json_t *request, int *fd, bool *events);

#endif
