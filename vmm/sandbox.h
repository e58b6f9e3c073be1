/* SPDX-License-Identifier: GPL-2.0-or-later */
/* After the start: this process can do what a running VM needs, and no more. */
#ifndef VMM_SANDBOX_H
#define VMM_SANDBOX_H

#include "vmm/vm.h"

/* For the calling thread and those that it starts from now on. There is no way back. */
int sandbox_enter(struct vm *vm, struct why *why);

/* Whether it leaves room for a user-mode net: only if the VM has one from the start. */
bool sandbox_has_sockets(const struct vm *vm);

#endif
