// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The definition block. The PCI root with its windows and interrupt pins, a device a slot for
 * hot-plug, the serial port and the clock, pvpanic, and how to go to S5:
 *
 *	\_GPE._E01 fires when slots have news: PCIU are those plugged, PCID those to leave.
 *	_EJ0 of a slot's device lets go of it.
 */
#include "vmm/acpi_dsdt.h"
#include "vmm/aml.h"
#include "vmm/pci.h"
#include "vmm/pm.h"

#include <stdio.h>

#define WINDOW_END 0xfebfffffu /* below the I/O APIC */

static const char *slot_name(unsigned int slot, char name[5])
{
	snprintf(name, 5, "S%03X", slot & 0xfff);
	return name;
}

static void windows(struct buf *buf, struct vm *vm)
{
	uint32_t first =
		vm->mem.low_end < MEM_LOW_LIMIT ? MEM_LOW_LIMIT : (uint32_t)vm->mem.low_end;
	uint32_t ecam = (uint32_t)vm->pci->ecam;
	size_t at;

	aml_name(buf, "_CRS");
	at = aml_resources(buf);
	aml_res_bus_numbers(buf, 0, 255);
	aml_res_ports(buf, 0xcf8, 8);
	aml_res_port_window(buf, 0, 0xcf7);
	aml_res_port_window(buf, 0xd00, 0xffff);
	aml_res_memory_window(buf, MEM_VGA_START, MEM_VGA_END - 1);
	if (ecam && ecam > first) {
		aml_res_memory_window(buf, first, ecam - 1);
		first = ecam + PCI_ECAM_SIZE;
	}
	aml_res_memory_window(buf, first, WINDOW_END);
	aml_resources_end(buf, at);
}

static void pins(struct buf *buf)
{
	size_t all, one;
	unsigned int slot;

	aml_name(buf, "_PRT");
	all = aml_package(buf, PCI_SLOTS);
	for (slot = 0; slot < PCI_SLOTS; slot++) {
		one = aml_package(buf, 4);
		aml_integer(buf, slot << 16 | 0xffff);
		aml_integer(buf, 0);
		aml_integer(buf, 0);
		aml_integer(buf, PCI_INTX_GSI + slot % 8);
		aml_end(buf, one);
	}
	aml_end(buf, all);
}

static void slots(struct buf *buf)
{
	unsigned int slot;
	size_t device, method;
	char name[5];

	for (slot = 1; slot < PCI_SLOTS - 1; slot++) {
		device = aml_device(buf, slot_name(slot, name));
		aml_name_integer(buf, "_ADR", slot << 16);
		aml_name_integer(buf, "_SUN", slot);
		method = aml_method(buf, "_EJ0", 1);
		buf_u8(buf, AML_STORE);
		aml_integer(buf, 1u << slot);
		aml_path(buf, "EJEC");
		aml_end(buf, method);
		aml_end(buf, device);
	}
}

/* TELL(slots, what): a Notify() to each slot's device of the mask */
static void tell(struct buf *buf)
{
	size_t method = aml_method(buf, "TELL", 2), branch;
	unsigned int slot;
	char name[5];

	for (slot = 1; slot < PCI_SLOTS - 1; slot++) {
		branch = aml_if(buf);
		buf_u8(buf, AML_AND);
		buf_u8(buf, AML_ARG0);
		aml_integer(buf, 1u << slot);
		buf_u8(buf, 0); /* the result goes nowhere else */
		buf_u8(buf, AML_NOTIFY);
		aml_path(buf, slot_name(slot, name));
		buf_u8(buf, AML_ARG1);
		aml_end(buf, branch);
	}
	aml_end(buf, method);
}

static void root(struct buf *buf, struct vm *vm)
{
	static const char *const WORDS[] = { "PCIU", "PCID", "EJEC" };
	size_t device = aml_device(buf, "PCI0");

	aml_name_eisa(buf, "_HID", "PNP0A08");
	aml_name_eisa(buf, "_CID", "PNP0A03");
	aml_name_integer(buf, "_SEG", 0);
	aml_name_integer(buf, "_BBN", 0);
	aml_name_integer(buf, "_UID", 0);
	windows(buf, vm);
	pins(buf);
	aml_port_words(buf, "HPRT", PM_HOTPLUG, WORDS, 3);
	slots(buf);
	tell(buf);
	aml_end(buf, device);
}

static void simple_device(struct buf *buf, const char *name, const char *id, uint16_t port,
			  uint8_t ports, int irq)
{
	size_t device = aml_device(buf, name), resources;

	aml_name_eisa(buf, "_HID", id);
	aml_name_integer(buf, "_UID", 0);
	aml_name(buf, "_CRS");
	resources = aml_resources(buf);
	aml_res_ports(buf, port, ports);
	if (irq >= 0)
		aml_res_irq(buf, (unsigned int)irq);
	aml_resources_end(buf, resources);
	aml_end(buf, device);
}

/* The configuration space is memory that nobody else may use. */
static void reserved(struct buf *buf, struct vm *vm)
{
	size_t device = aml_device(buf, "RES0"), resources;

	aml_name_eisa(buf, "_HID", "PNP0C02");
	aml_name_integer(buf, "_UID", 1);
	aml_name(buf, "_CRS");
	resources = aml_resources(buf);
	if (vm->pci->ecam)
		aml_res_fixed_memory(buf, (uint32_t)vm->pci->ecam, PCI_ECAM_SIZE);
	aml_res_ports(buf, vm->pm->base ? vm->pm->base : PM_BASE, PM_SIZE);
	aml_res_ports(buf, PM_HOTPLUG, 12);
	aml_resources_end(buf, resources);
	aml_end(buf, device);
}

/* Linux's pvpanic driver looks for this name and takes the port from its resources. */
static void pvpanic(struct buf *buf)
{
	size_t device = aml_device(buf, "PEVT"), resources;

	aml_name(buf, "_HID");
	aml_string(buf, "QEMU0001");
	aml_name_integer(buf, "_STA", 0xf);
	aml_name(buf, "_CRS");
	resources = aml_resources(buf);
	aml_res_ports(buf, 0x505, 1);
	aml_resources_end(buf, resources);
	aml_end(buf, device);
}

static void sleep_state(struct buf *buf)
{
	size_t package;

	aml_name(buf, "\\_S5_");
	package = aml_package(buf, 4);
	buf_zeros(buf, 4);
	aml_end(buf, package);
}

static void slot_event(struct buf *buf)
{
	size_t scope = aml_scope(buf, "\\_GPE"), method = aml_method(buf, "_E01", 0);

	aml_path(buf, "\\_SB_.PCI0.TELL");
	aml_path(buf, "\\_SB_.PCI0.PCIU");
	aml_integer(buf, 1); /* look anew */
	aml_path(buf, "\\_SB_.PCI0.TELL");
	aml_path(buf, "\\_SB_.PCI0.PCID");
	aml_integer(buf, 3); /* please let go */
	aml_end(buf, method);
	aml_end(buf, scope);
}

void acpi_dsdt(struct buf *buf, struct vm *vm)
{
	size_t scope = aml_scope(buf, "\\_SB_");

	root(buf, vm);
	reserved(buf, vm);
	simple_device(buf, "COM1", "PNP0501", 0x3f8, 8, 4);
	simple_device(buf, "RTC0", "PNP0B00", 0x70, 2, 8);
	pvpanic(buf);
	aml_end(buf, scope);
	sleep_state(buf);
	slot_event(buf);
}
