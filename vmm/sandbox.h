/* SPDX-License-Identifier: GPL-2.0-or-later */
/* After the start: this process can do what a running VM needs, and no more. */
#ifndef VMM_SANDBOX_H
#define VMM_SANDBOX_H

#include "vmm/vm.h"

/* For the calling thread and those that it starts from now on. There is no way back. */
int sandbox_enter(struct vm *vm, struct why *why);

#endif
