/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixed parts of the PC: as much of Intel's 82G33 host bridge and ICH9 LPC bridge as firmware
 * for QEMU's q35 looks at, so that stock OVMF and SeaBIOS find their way; and the small ports.
 */
#ifndef VMM_CHIPSET_H
#define VMM_CHIPSET_H

struct vm;

/* 0, or -1: no memory. */
int chipset_create(struct vm *vm);
int i8042_create(struct vm *vm);
int misc_create(struct vm *vm);

#endif
