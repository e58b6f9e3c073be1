/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Directories of this machine that the guest can mount: virtio-fs, served by virtiofsd. */
#ifndef VMM_SHARE_H
#define VMM_SHARE_H

#include "vmm/vm.h"

int share_create(struct vm *vm, const struct vmm_share *config, unsigned int place,
		 struct why *why);

#endif
