/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI's static tables, as far as they are read or made here (ACPI 6.4, 5.2). */
#ifndef METAL_ACPI_H
#define METAL_ACPI_H

#include "bv/types.h"

#define ACPI_PACKED __attribute__((__packed__))

struct acpi_rsdp {
	char signature[8];
	u8 checksum;
	char oem[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 checksum2, reserved[3];
} ACPI_PACKED;

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem[6], oem_table[8];
	u32 oem_revision, creator, creator_revision;
} ACPI_PACKED;

struct acpi_madt {
	struct acpi_header header;
	u32 lapic_address, flags;
} ACPI_PACKED;

enum madt_kind {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_X2APIC = 9
};

struct madt_lapic {
	u8 kind, length, acpi_id, apic_id;
	u32 flags;
} ACPI_PACKED;

struct madt_ioapic {
	u8 kind, length, id, reserved;
	u32 address, gsi_base;
} ACPI_PACKED;

struct madt_override {
	u8 kind, length, bus, irq;
	u32 gsi;
	u16 flags;
} ACPI_PACKED;

struct madt_x2apic {
	u8 kind, length;
	u16 reserved;
	u32 apic_id, flags, acpi_id;
} ACPI_PACKED;

#define FADT_TIMER_32 BV_BIT(8)
#define FADT_RESET BV_BIT(10)

struct acpi_fadt {
	struct acpi_header header;
	u32 facs, dsdt;
	u8 model, profile;
	u16 sci;
	u32 smi_command;
	u8 acpi_enable, acpi_disable, s4bios, pstate;
	u32 pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
	u8 pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length;
	u8 other[17];
	u16 boot_flags;
	u8 reserved;
	u32 flags;
	u8 reset_space, reset_bits, reset_offset, reset_access;
	u64 reset_address;
	u8 reset_value;
} ACPI_PACKED;
BV_STATIC_ASSERT(offsetof(struct acpi_fadt, pm_timer) == 76);
BV_STATIC_ASSERT(offsetof(struct acpi_fadt, flags) == 112);
BV_STATIC_ASSERT(offsetof(struct acpi_fadt, reset_value) == 128);

struct acpi_hpet {
	struct acpi_header header;
	u32 id;
	u8 space, bits, offset, access;
	u64 address;
} ACPI_PACKED;

struct acpi_mcfg {
	struct acpi_header header;
	u64 reserved;
	u64 base;
	u16 segment;
	u8 first_bus, last_bus;
	u32 reserved2;
} ACPI_PACKED;

#endif
