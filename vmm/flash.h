/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Firmware at the end of the first 4 GiB: read-only, or with a variable store below it in flash
 * that the guest can write, kept in a file.
 */
#ifndef VMM_FLASH_H
#define VMM_FLASH_H

#include "vmm/vm.h"

int flash_open(struct vm *vm, struct why *why);

/* At the start and at each reset: the copy below 1 MiB, and the flash reads as memory. */
void flash_load(struct vm *vm);
void flash_close(struct vm *vm);

#endif
