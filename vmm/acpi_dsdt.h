/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The definition block: the machine as the guest's ACPI interpreter sees it. */
#ifndef VMM_ACPI_DSDT_H
#define VMM_ACPI_DSDT_H

#include "vmm/buf.h"

struct vm;

void acpi_dsdt(struct buf *buf, struct vm *vm);

#endif
