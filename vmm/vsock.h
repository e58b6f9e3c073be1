/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets between guest and host: the kernel's vhost-vsock. */
#ifndef VMM_VSOCK_H
#define VMM_VSOCK_H

#include "vmm/vm.h"

int vsock_create(struct vm *vm, uint32_t cid, struct why *why);

#endif
