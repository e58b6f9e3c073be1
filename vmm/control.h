/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket (docs/control-socket.md) and the events. */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include "vmm/vm.h"

int control_create(struct vm *vm, struct why *why);

/* Tells how the VM ended, and closes all. */
void control_ended(struct vm *vm);

#endif
