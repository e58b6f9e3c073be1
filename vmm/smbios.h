/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SMBIOS 3: what the machine calls itself. */
#ifndef VMM_SMBIOS_H
#define VMM_SMBIOS_H

#include "vmm/buf.h"
#include "vmm/vm.h"

/*
 * The entry point wants the address of the tables at 16 and its checksum at 5, if not firmware's.
 */
int smbios_build(struct buf *entry, struct buf *tables, struct vm *vm);

/* Puts both at a guest address. */
int smbios_install(struct vm *vm, uint64_t gpa);

#endif
