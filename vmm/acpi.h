/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ACPI tables, in the form in which firmware for QEMU takes them: two files and a script that
 * says how to put them into memory (allocate, add pointers, add checksums). Without firmware the
 * script is run here.
 */
#ifndef VMM_ACPI_H
#define VMM_ACPI_H

#include "vmm/buf.h"
#include "vmm/vm.h"

struct acpi {
	struct buf rsdp; /* "etc/acpi/rsdp" */
	struct buf tables; /* "etc/acpi/tables" */
	struct buf script; /* "etc/table-loader" */
};

/* As the machine is now: where the configuration space lies matters. -1: no memory. */
int acpi_build(struct acpi *acpi, struct vm *vm);
void acpi_fini(struct acpi *acpi);

/* Puts them at a guest address with 64 KiB of room; the RSDP first. */
int acpi_install(const struct acpi *acpi, struct vm *vm, uint64_t gpa);

#endif
