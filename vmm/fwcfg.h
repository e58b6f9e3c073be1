/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The firmware configuration device as QEMU has it (its document specs/fw_cfg): files that firmware
 * reads, by port 0x510/0x511 or by DMA through 0x514. Only VMs that start firmware have it.
 */
#ifndef VMM_FWCFG_H
#define VMM_FWCFG_H

#include "vmm/vm.h"

int fwcfg_create(struct vm *vm);

#endif
