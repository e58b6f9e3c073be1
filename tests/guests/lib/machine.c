// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the loader and the firmware say of the machine: PVH's memory map, ACPI's MADT. Page frames
 * are handed out here.
 */
#include "apic.h"
#include "cpu.h"
#include "paging.h"
#include "start_info.h"

struct machine machine;

extern u8 guest_image_end[];
extern u64 boot_pml4[];

static u64 rsdp_hint;
static const struct start_info_module *modules;
static u64 ram_top = 32ull << 20; /* what every loader gives, where there is no map */
static u64 page_next;

static void memmap_read(const struct start_info_memmap *map, u32 count)
{
	u64 image = (u64)guest_image_end;
	u32 i;

	for (i = 0; i < count; i++) {
		u64 end = map[i].address + map[i].size;

		if (map[i].type == START_INFO_RAM && map[i].address < image && end > image)
			ram_top = end < (3ull << 30) ? end : 3ull << 30;
	}
}

void start_info_read(const struct start_info *info)
{
	page_next = (u64)guest_image_end;
	if (!info || info->magic != START_INFO_MAGIC)
		return;
	rsdp_hint = info->rsdp_paddr;
	modules = info->nr_modules ? (const void *)info->modlist_paddr : NULL;
	if (info->version >= 1 && info->memmap_paddr)
		memmap_read((const struct start_info_memmap *)info->memmap_paddr,
			    info->memmap_entries);
}

const void *first_module(void)
{
	if (!modules)
		guest_panic("this guest needs a module");
	return (const void *)modules->address;
}

u64 ram_end(void)
{
	return ram_top;
}

void *pages_alloc(u64 count, u64 align)
{
	u64 at = (page_next + align - 1) & ~(align - 1);

	page_next = at + count * GUEST_PAGE_SIZE;
	if (page_next > ram_top)
		guest_panic("out of memory: %llu pages wanted, RAM ends at 0x%llx", count, ram_top);
	return (void *)at;
}

void *page_alloc(void)
{
	return memset(pages_alloc(1, GUEST_PAGE_SIZE), 0, GUEST_PAGE_SIZE);
}

/* Splits a large page into 512 entries of the next level, or makes an empty table. */
static void table_make(u64 *entry, u32 level)
{
	u64 step = GUEST_PAGE_SIZE << 9 * (level - 2), i;
	u64 *table = page_alloc();
	u64 flags = *entry & 0xfff;

	if (level == 2)
		flags &= ~PTE_PS;
	if (*entry & PTE_P)
		for (i = 0; i < 512; i++)
			table[i] = ((*entry & PTE_ADDR) + i * step) | flags;
	*entry = (u64)table | PTE_P | PTE_W | PTE_U;
}

u64 *page_entry(u64 va, u32 level)
{
	u64 *table = (u64 *)(read_cr3() & PTE_ADDR);
	u32 at;

	for (at = 4; at > level; at--) {
		u64 *entry = &table[va >> (12 + 9 * (at - 1)) & 511];

		if (!(*entry & PTE_P) || *entry & PTE_PS)
			table_make(entry, at);
		table = (u64 *)(*entry & PTE_ADDR);
	}
	return &table[va >> (12 + 9 * (level - 1)) & 511];
}

void page_map(u64 va, u64 pa, u64 flags)
{
	*page_entry(va, 1) = pa | flags;
	cpu_invlpg(va);
}

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	u8 ids[26];
} __attribute__((packed));

struct acpi_rsdp {
	char signature[8];
	u8 checksum, oem[6], revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
} __attribute__((packed));

static const struct acpi_rsdp *rsdp_find(void)
{
	u64 at;

	if (rsdp_hint)
		return (const struct acpi_rsdp *)rsdp_hint;
	for (at = 0xe0000; at < 0x100000; at += 16)
		if (!memcmp((const void *)at, "RSD PTR ", 8))
			return (const struct acpi_rsdp *)at;
	return NULL;
}

static const struct acpi_header *acpi_table(const struct acpi_rsdp *rsdp, const char *signature)
{
	bool wide = rsdp->revision >= 2 && rsdp->xsdt;
	const struct acpi_header *root = (const void *)(wide ? rsdp->xsdt : (u64)rsdp->rsdt);
	const u8 *entry = (const u8 *)(root + 1), *end = (const u8 *)root + root->length;

	for (; entry < end; entry += wide ? 8 : 4) {
		const struct acpi_header *table;
		u64 address = 0;

		memcpy(&address, entry, wide ? 8 : 4);
		table = (const void *)address;
		if (!memcmp(table->signature, signature, 4))
			return table;
	}
	return NULL;
}

static void cpu_found(u32 apic_id, u32 flags)
{
	if (flags & 1 && machine.cpus < MAX_CPUS)
		machine.apic_ids[machine.cpus++] = apic_id;
}

static void madt_entry(const u8 *entry)
{
	u32 wide[3];

	switch (entry[0]) {
	case 0: /* local APIC */
		memcpy(wide, entry + 4, 4);
		cpu_found(entry[3], wide[0]);
		break;
	case 2: /* an ISA interrupt at another pin */
		memcpy(wide, entry + 4, 4);
		machine.gsi[entry[3] & 15] = wide[0];
		break;
	case 9: /* local x2APIC */
		memcpy(wide, entry + 4, 8);
		cpu_found(wide[0], wide[1]);
		break;
	}
}

void machine_find(void)
{
	const struct acpi_rsdp *rsdp = rsdp_find();
	const struct acpi_header *madt = rsdp ? acpi_table(rsdp, "APIC") : NULL;
	const u8 *entry, *end;
	u32 i;

	for (i = 0; i < 16; i++)
		machine.gsi[i] = i;
	if (!madt)
		return;
	end = (const u8 *)madt + madt->length;
	for (entry = (const u8 *)(madt + 1) + 8; entry + 2 <= end && entry[1]; entry += entry[1])
		madt_entry(entry);
}
