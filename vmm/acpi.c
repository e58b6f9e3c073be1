// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ACPI tables: see acpi.h (ACPI 6.4, chapter 5; the script is described in QEMU's fw_cfg
 * documentation as the firmware's linker and loader).
 */
#include "vmm/acpi.h"
#include "vmm/acpi_dsdt.h"
#include "vmm/pci.h"
#include "vmm/pm.h"

#include <stdio.h>
#include <string.h>

#define RSDP_FILE "etc/acpi/rsdp"
#define TABLES_FILE "etc/acpi/tables"
#define INSTALL_ROOM 0x10000u

enum script_command {
	SCRIPT_ALLOCATE = 1,
	SCRIPT_POINTER = 2,
	SCRIPT_CHECKSUM = 3
};
enum script_zone {
	ZONE_HIGH = 1,
	ZONE_BIOS = 2
};

struct script_entry {
	uint32_t command;
	union {
		struct {
			char file[56];
			uint32_t alignment;
			uint8_t zone;
		} __attribute__((packed)) allocate;
		struct {
			char file[56]; /* in which the pointer lies */
			char pointee[56]; /* to whose place it is relative until now */
			uint32_t offset;
			uint8_t size;
		} __attribute__((packed)) pointer;
		struct {
			char file[56];
			uint32_t offset, start, length;
		} __attribute__((packed)) checksum;
		uint8_t pad[124];
	};
} __attribute__((packed));

_Static_assert(sizeof(struct script_entry) == 128, "an entry of the loader's script");

static void script_allocate(struct acpi *acpi, const char *file, uint32_t alignment, uint8_t zone)
{
	struct script_entry entry = { .command = SCRIPT_ALLOCATE };

	snprintf(entry.allocate.file, sizeof(entry.allocate.file), "%s", file);
	entry.allocate.alignment = alignment;
	entry.allocate.zone = zone;
	buf_bytes(&acpi->script, &entry, sizeof(entry));
}

/* What stands at the offset now is an offset in the tables. */
static void script_pointer(struct acpi *acpi, const char *file, size_t offset, uint8_t size)
{
	struct script_entry entry = { .command = SCRIPT_POINTER };

	snprintf(entry.pointer.file, sizeof(entry.pointer.file), "%s", file);
	snprintf(entry.pointer.pointee, sizeof(entry.pointer.pointee), "%s", TABLES_FILE);
	entry.pointer.offset = (uint32_t)offset;
	entry.pointer.size = size;
	buf_bytes(&acpi->script, &entry, sizeof(entry));
}

static void script_checksum(struct acpi *acpi, const char *file, size_t offset, size_t start,
			    size_t length)
{
	struct script_entry entry = { .command = SCRIPT_CHECKSUM };

	snprintf(entry.checksum.file, sizeof(entry.checksum.file), "%s", file);
	entry.checksum.offset = (uint32_t)offset;
	entry.checksum.start = (uint32_t)start;
	entry.checksum.length = (uint32_t)length;
	buf_bytes(&acpi->script, &entry, sizeof(entry));
}

/* ---- tables -------------------------------------------------------------------------------- */

static size_t table_begin(struct acpi *acpi, const char *signature, uint8_t revision)
{
	struct buf *buf = &acpi->tables;
	size_t at;

	buf_align(buf, 16);
	at = buf->size;
	buf_bytes(buf, signature, 4);
	buf_u32(buf, 0);
	buf_u8(buf, revision);
	buf_u8(buf, 0);
	buf_text(buf, "BV    ");
	buf_text(buf, "BIVISOR ");
	buf_u32(buf, 1);
	buf_text(buf, "BV  ");
	buf_u32(buf, 1);
	return at;
}

static void table_end(struct acpi *acpi, size_t at)
{
	uint32_t length = (uint32_t)(acpi->tables.size - at);

	if (acpi->tables.failed)
		return;
	memcpy(acpi->tables.data + at + 4, &length, sizeof(length));
	script_checksum(acpi, TABLES_FILE, at + 9, at, length);
}

static size_t add_facs(struct acpi *acpi)
{
	size_t at;

	buf_align(&acpi->tables, 64);
	at = acpi->tables.size;
	buf_text(&acpi->tables, "FACS");
	buf_u32(&acpi->tables, 64);
	buf_zeros(&acpi->tables, 24);
	buf_u8(&acpi->tables, 2);
	buf_align(&acpi->tables, 64);
	return at;
}

static void put(struct acpi *acpi, size_t at, uint64_t value, size_t size)
{
	if (!acpi->tables.failed)
		memcpy(acpi->tables.data + at, &value, size);
}

/* A generic address of a port: space, bits, offset, access size, address. */
static void put_port(struct acpi *acpi, size_t at, uint8_t bits, uint8_t access, uint16_t port)
{
	put(acpi, at, 1 | bits << 8 | (uint64_t)access << 24, 4);
	put(acpi, at + 4, port, 8);
}

#define FADT_SIZE 276u
#define FADT_FLAGS 0x0465u /* WBINVD, C1, no sleep button, no RTC wake, reset register */

static void fill_fadt(struct acpi *acpi, size_t at, uint16_t base)
{
	put(acpi, at + 46, PM_SCI, 2);
	put(acpi, at + 56, base, 4);
	put(acpi, at + 64, base + 4u, 4);
	put(acpi, at + 76, base + 8u, 4);
	put(acpi, at + 80, base + PM_GPE_AT, 4);
	put(acpi, at + 88, 0x04000204, 4); /* lengths: events 4, control 2, none, timer 4 */
	put(acpi, at + 92, 16, 1);
	put(acpi, at + 96, 0x0fff0fff, 4); /* no C2, no C3 */
	put(acpi, at + 108, 0x32, 1); /* the century in CMOS */
	put(acpi, at + 109, 0x0004, 2); /* no VGA; no 8042 either */
	put(acpi, at + 112, FADT_FLAGS, 4);
	put_port(acpi, at + 116, 8, 1, 0xcf9);
	put(acpi, at + 128, 6, 1);
	put_port(acpi, at + 148, 32, 2, base);
	put_port(acpi, at + 172, 16, 2, (uint16_t)(base + 4));
	put_port(acpi, at + 208, 32, 3, (uint16_t)(base + 8));
	put_port(acpi, at + 220, 128, 1, (uint16_t)(base + PM_GPE_AT));
}

static size_t add_fadt(struct acpi *acpi, struct vm *vm, size_t facs, size_t dsdt)
{
	size_t at = table_begin(acpi, "FACP", 6);

	buf_zeros(&acpi->tables, FADT_SIZE - 36);
	fill_fadt(acpi, at, vm->pm->base ? vm->pm->base : PM_BASE);
	put(acpi, at + 36, facs, 4);
	put(acpi, at + 40, dsdt, 4);
	put(acpi, at + 140, dsdt, 8);
	script_pointer(acpi, TABLES_FILE, at + 36, 4);
	script_pointer(acpi, TABLES_FILE, at + 40, 4);
	script_pointer(acpi, TABLES_FILE, at + 140, 8);
	table_end(acpi, at);
	return at;
}

static void madt_override(struct buf *buf, uint8_t source, uint32_t gsi, uint16_t flags)
{
	buf_u8(buf, 2);
	buf_u8(buf, 10);
	buf_u8(buf, 0);
	buf_u8(buf, source);
	buf_u32(buf, gsi);
	buf_u16(buf, flags);
}

static size_t add_madt(struct acpi *acpi, struct vm *vm)
{
	size_t at = table_begin(acpi, "APIC", 4);
	struct buf *buf = &acpi->tables;
	unsigned int i;

	buf_u32(buf, 0xfee00000);
	buf_u32(buf, 1); /* there are 8259s, too */
	for (i = 0; i < vm->config->cpus; i++) {
		buf_u8(buf, 0);
		buf_u8(buf, 8);
		buf_u8(buf, i);
		buf_u8(buf, i);
		buf_u32(buf, 1);
	}
	buf_u8(buf, 1);
	buf_u8(buf, 12);
	buf_u16(buf, 0);
	buf_u32(buf, 0xfec00000);
	buf_u32(buf, 0);
	madt_override(buf, 0, 2, 0);
	madt_override(buf, PM_SCI, PM_SCI, 0xd); /* level, active high */
	buf_bytes(buf, (uint8_t[]){ 4, 6, 0xff, 0, 0, 1 }, 6); /* NMI: LINT1 everywhere */
	table_end(acpi, at);
	return at;
}

static size_t add_mcfg(struct acpi *acpi, struct vm *vm)
{
	size_t at = table_begin(acpi, "MCFG", 1);

	buf_zeros(&acpi->tables, 8);
	buf_u64(&acpi->tables, vm->pci->ecam);
	buf_u16(&acpi->tables, 0);
	buf_u8(&acpi->tables, 0);
	buf_u8(&acpi->tables, 255);
	buf_u32(&acpi->tables, 0);
	table_end(acpi, at);
	return at;
}

static size_t add_dsdt(struct acpi *acpi, struct vm *vm)
{
	size_t at = table_begin(acpi, "DSDT", 2);

	acpi_dsdt(&acpi->tables, vm);
	table_end(acpi, at);
	return at;
}

static size_t add_xsdt(struct acpi *acpi, const size_t *tables, unsigned int count)
{
	size_t at = table_begin(acpi, "XSDT", 1);
	unsigned int i;

	for (i = 0; i < count; i++) {
		script_pointer(acpi, TABLES_FILE, acpi->tables.size, 8);
		buf_u64(&acpi->tables, tables[i]);
	}
	table_end(acpi, at);
	return at;
}

static void add_rsdp(struct acpi *acpi, size_t xsdt)
{
	struct buf *buf = &acpi->rsdp;

	buf_text(buf, "RSD PTR ");
	buf_u8(buf, 0);
	buf_text(buf, "BV    ");
	buf_u8(buf, 2);
	buf_u32(buf, 0);
	buf_u32(buf, 36);
	buf_u64(buf, xsdt);
	buf_u32(buf, 0);
	script_pointer(acpi, RSDP_FILE, 24, 8);
	script_checksum(acpi, RSDP_FILE, 8, 0, 20);
	script_checksum(acpi, RSDP_FILE, 32, 0, 36);
}

int acpi_build(struct acpi *acpi, struct vm *vm)
{
	size_t tables[4], facs, dsdt;
	unsigned int count = 0;

	memset(acpi, 0, sizeof(*acpi));
	script_allocate(acpi, TABLES_FILE, 64, ZONE_HIGH);
	script_allocate(acpi, RSDP_FILE, 16, ZONE_BIOS);
	facs = add_facs(acpi);
	dsdt = add_dsdt(acpi, vm);
	tables[count++] = add_fadt(acpi, vm, facs, dsdt);
	tables[count++] = add_madt(acpi, vm);
	if (vm->pci->ecam)
		tables[count++] = add_mcfg(acpi, vm);
	add_rsdp(acpi, add_xsdt(acpi, tables, count));
	if (!acpi->rsdp.failed && !acpi->tables.failed && !acpi->script.failed)
		return 0;
	acpi_fini(acpi);
	return -1;
}

void acpi_fini(struct acpi *acpi)
{
	buf_fini(&acpi->rsdp);
	buf_fini(&acpi->tables);
	buf_fini(&acpi->script);
}

/* ---- where there is no firmware ------------------------------------------------------------ */

static void run_pointer(const struct script_entry *entry, uint8_t *file, uint64_t tables)
{
	uint64_t value = 0;

	memcpy(&value, file + entry->pointer.offset, entry->pointer.size);
	value += tables;
	memcpy(file + entry->pointer.offset, &value, entry->pointer.size);
}

static void run_checksum(const struct script_entry *entry, uint8_t *file)
{
	uint8_t sum = 0;
	uint32_t i;

	file[entry->checksum.offset] = 0;
	for (i = 0; i < entry->checksum.length; i++)
		sum = (uint8_t)(sum + file[entry->checksum.start + i]);
	file[entry->checksum.offset] = (uint8_t)-sum;
}

int acpi_install(const struct acpi *acpi, struct vm *vm, uint64_t gpa)
{
	uint8_t *room = mem_at(&vm->mem, gpa, INSTALL_ROOM);
	uint64_t tables = gpa + 64;
	size_t at;

	if (!room || acpi->tables.size > INSTALL_ROOM - 64)
		return -1;
	memcpy(room, acpi->rsdp.data, acpi->rsdp.size);
	memcpy(room + 64, acpi->tables.data, acpi->tables.size);
	for (at = 0; at < acpi->script.size; at += sizeof(struct script_entry)) {
		const struct script_entry *entry = (const void *)(acpi->script.data + at);
		bool rsdp = !strcmp(entry->pointer.file, RSDP_FILE);

		if (entry->command == SCRIPT_POINTER)
			run_pointer(entry, rsdp ? room : room + 64, tables);
		else if (entry->command == SCRIPT_CHECKSUM)
			run_checksum(entry, rsdp ? room : room + 64);
	}
	return 0;
}
