// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest of bench/xen's: PVH Dom0 that boots Linux as a DomU, without tools, and ends when the
 * DomU has. Dom0's own module holds two numbers of eight bytes and so many bytes of each: the
 * DomU's kernel, an uncompressed one, and its initrd. With option dry=1 it makes the DomU, but does
 * not let it run.
 */
#include "start_info.h"
#include "xen_domain.h"

#define DOMU_BYTES (256ull << 20)
#define INITRD_AT (192ull << 20)
#define INFO_AT 0x90000ull
#define VIRQ_DOM_EXC 3

static const char command_line[] = "panic=-1 quiet";

/* ---- the kernel: an ELF with a PVH entry ---- */

struct elf {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	u64 entry, segments, sections;
	u32 flags;
	u16 bytes, segment_bytes, segment_count;
};

struct elf_segment {
	u32 type, flags;
	u64 offset, va, pa, file_bytes, bytes, align;
};

struct elf_note {
	u32 name_bytes, bytes, type;
};

#define ELF_LOAD 1
#define ELF_NOTE 4
#define NOTE_PVH_ENTRY 18

/* Its notes' PVH entry, or 0. */
static u32 entry_in(const u8 *notes, u64 bytes)
{
	const u8 *end = notes + bytes;

	while (notes + sizeof(struct elf_note) <= end) {
		const struct elf_note *note = (const void *)notes;
		const u8 *name = notes + sizeof(*note),
			 *value = name + ((note->name_bytes + 3) & ~3u);

		if (note->type == NOTE_PVH_ENTRY && note->name_bytes == 4 && name[0] == 'X')
			return *(const u32 *)value;
		notes = value + ((note->bytes + 3) & ~3u);
	}
	return 0;
}

static u32 kernel_load(u16 domid, const u8 *file)
{
	const struct elf *elf = (const void *)file;
	u32 entry = 0, i;

	for (i = 0; i < elf->segment_count; i++) {
		const struct elf_segment *segment =
			(const void *)(file + elf->segments + i * elf->segment_bytes);

		if (segment->type == ELF_LOAD)
			domain_copy(domid, segment->pa, file + segment->offset,
				    segment->file_bytes);
		else if (segment->type == ELF_NOTE && !entry)
			entry = entry_in(file + segment->offset, segment->file_bytes);
	}
	if (!entry)
		guest_panic("the kernel has no PVH entry");
	return entry;
}

/* ---- what a PVH kernel is told ---- */

struct acpi_header {
	char signature[4];
	u32 bytes;
	u8 revision, checksum;
	char oem[6], table[8];
	u32 table_revision;
	char creator[4];
	u32 creator_revision;
};

/* ACPI's tables: it has a local APIC, and nothing else. */
struct acpi {
	struct {
		char signature[8];
		u8 checksum;
		char oem[6];
		u8 revision;
		u32 rsdt, bytes;
		u64 xsdt;
		u8 all_checksum, reserved[3];
	} __attribute__((packed)) rsdp;
	struct {
		struct acpi_header header;
		u32 madt[2]; /* an address, low half first */
	} xsdt;
	struct {
		struct acpi_header header;
		u32 apic, flags;
		u8 type, bytes, processor, id;
		u32 enabled;
	} madt;
};

static struct {
	struct start_info info;
	struct start_info_module module;
	struct start_info_memmap memory[2];
	struct acpi acpi;
	char words[sizeof(command_line)];
} told;

#define TOLD_AT(member) (INFO_AT + offsetof(__typeof__(told), member))

static u8 checksum(const void *table, u32 bytes)
{
	const u8 *at = table;
	u8 sum = 0;

	while (bytes--)
		sum -= *at++;
	return sum;
}

static void table_begin(struct acpi_header *header, const char *signature, u32 bytes, u8 revision)
{
	memcpy(header->signature, signature, 4);
	header->bytes = bytes;
	header->revision = revision;
}

static void acpi_make(struct acpi *acpi)
{
	memcpy(acpi->rsdp.signature, "RSD PTR ", 8);
	acpi->rsdp.revision = 2;
	acpi->rsdp.bytes = sizeof(acpi->rsdp);
	acpi->rsdp.xsdt = TOLD_AT(acpi.xsdt);
	acpi->rsdp.checksum = checksum(&acpi->rsdp, 20);
	acpi->rsdp.all_checksum = checksum(&acpi->rsdp, sizeof(acpi->rsdp));
	table_begin(&acpi->xsdt.header, "XSDT", sizeof(acpi->xsdt), 1);
	acpi->xsdt.madt[0] = TOLD_AT(acpi.madt);
	acpi->xsdt.header.checksum = checksum(&acpi->xsdt, sizeof(acpi->xsdt));
	table_begin(&acpi->madt.header, "APIC", sizeof(acpi->madt), 4);
	acpi->madt.apic = 0xfee00000;
	acpi->madt.bytes = 8; /* of the entry: a local APIC with id 0 */
	acpi->madt.enabled = 1;
	acpi->madt.header.checksum = checksum(&acpi->madt, sizeof(acpi->madt));
}

static void info_load(u16 domid, u64 initrd_bytes)
{
	told.info = (struct start_info){
		.magic = START_INFO_MAGIC,
		.version = 1,
		.nr_modules = 1,
		.modlist_paddr = TOLD_AT(module),
		.cmdline_paddr = TOLD_AT(words),
		.rsdp_paddr = TOLD_AT(acpi.rsdp),
		.memmap_paddr = TOLD_AT(memory),
		.memmap_entries = ARRAY_SIZE(told.memory),
	};
	told.module = (struct start_info_module){ .address = INITRD_AT, .size = initrd_bytes };
	told.memory[0] = (struct start_info_memmap){ 0, INFO_AT, START_INFO_RAM, 0 };
	told.memory[1] =
		(struct start_info_memmap){ 1 << 20, DOMU_BYTES - (1 << 20), START_INFO_RAM, 0 };
	acpi_make(&told.acpi);
	memcpy(told.words, command_line, sizeof(command_line));
	domain_copy(domid, INFO_AT, &told, sizeof(told));
}

/* ---- its end ---- */

static volatile struct xen_shared_info shared __attribute__((aligned(4096)));

static u32 ends_begin(void)
{
	struct {
		u32 virq, vcpu, port;
	} bind = { VIRQ_DOM_EXC, 0, 0 };

	xen_events_begin(&shared);
	xen_must("bind_virq", hypercall(HC_EVENT, 1, (u64)&bind, 0));
	return bind.port;
}

static void xenboot(void)
{
	const u64 *module = first_module();
	u16 domid = domain_new();
	u32 port = ends_begin();
	struct xen_cpu cpu = { .rbx = INFO_AT, .cr0 = 0x11 };

	domain_populate(domid, DOMU_BYTES);
	cpu.rip = kernel_load(domid, (const u8 *)(module + 2));
	domain_copy(domid, INITRD_AT, (const u8 *)(module + 2) + module[0], module[1]);
	info_load(domid, module[1]);
	domain_cpu(domid, &cpu);
	if (!guest_option("dry", 0)) {
		domain_run(domid);
		xen_event_wait(&shared, port);
	}
	domain_destroy(domid);
	CHECK(true);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(xenboot),
	GUEST_TESTS_END,
};
