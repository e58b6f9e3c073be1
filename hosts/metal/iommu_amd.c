/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD's IOMMU. Source: AMD I/O Virtualization Technology (IOMMU) Specification, 48882: 2.2
 * (tables), 2.4 (commands), 3.4 (registers), 5.2 (IVRS).
 */
#include "hosts/metal/metal.h"
#include "hosts/metal/acpi.h"
#include "hosts/metal/iommu.h"

#define IVRS_BLOCKS 48 /* where they begin */
#define IVHD_FIRST 0x10
#define IVHD_LAST_A 0x11
#define IVHD_LAST_B 0x40
#define IVMD_ALL 0x20
#define IVMD_RANGE 0x22
#define IVMD_READ BV_BIT(1)
#define IVMD_WRITE BV_BIT(2)

struct ivhd {
	u8 kind, flags;
	u16 length, device, capability;
	u64 base;
} ACPI_PACKED;

struct ivmd {
	u8 kind, flags;
	u16 length, device, aux;
	u64 reserved, start, bytes;
} ACPI_PACKED;

#define REG_DEVICES 0x00
#define REG_COMMANDS 0x08
#define REG_CONTROL 0x18
#define REG_COMMAND_HEAD 0x2000
#define REG_COMMAND_TAIL 0x2008
#define CONTROL_ENABLE BV_BIT(0)
#define CONTROL_COMMANDS BV_BIT(12)

#define DEVICE_ORDER 9 /* 65536 entries of 32 bytes */
#define DEVICES 65536u
#define DTE_VALID BV_BIT(0)
#define DTE_TRANSLATE BV_BIT(1)
#define LEVEL_SHIFT 9
#define READ BV_BIT(61)
#define WRITE BV_BIT(62)
#define PRESENT BV_BIT(0)
#define COHERENT BV_BIT(60)
#define DOMAIN 1ull

#define COMMAND_BYTES 16
#define COMMAND_ENTRIES 256u
#define COMMAND_LENGTH (8ull << 56)
#define COMMAND(code) ((u64)(code) << 60)
#define COMPLETION_WAIT 1
#define INVALIDATE_DEVICE 2
#define INVALIDATE_PAGES 3
#define ALL_PAGES 0x7ffffffffffff003ull /* S and PDE: everything, tables too */

static struct {
	struct bv_spinlock lock;
	u32 units;
	struct unit {
		u64 regs; /* where they are mapped */
		u64 (*command)[2];
		u32 tail;
	} unit[IOMMU_MAX_UNITS];
	u64 (*device)[4];
	u64 done __attribute__((__aligned__(8))); /* a unit writes it when it has waited */
} amd;

static u64 reg_read(const struct unit *unit, u32 reg)
{
	return *(volatile u64 *)(unit->regs + reg);
}

static void reg_write(const struct unit *unit, u32 reg, u64 value)
{
	*(volatile u64 *)(unit->regs + reg) = value;
}

/* ---- the ACPI table ---- */

static void unit_add(const struct ivhd *ivhd)
{
	u64 regs = (u64)map_device(ivhd->base, 0x4000);

	for (u32 i = 0; i < amd.units; i++)
		if (amd.unit[i].regs == regs)
			return;
	if (amd.units == IOMMU_MAX_UNITS)
		panic("more IOMMUs than %u; 'iommu=no' does without", IOMMU_MAX_UNITS);
	amd.unit[amd.units++].regs = regs;
	iommu_owns(ivhd->base, 0x4000);
}

static void block_take(const u8 *block)
{
	const struct ivhd *ivhd = (const void *)block;
	const struct ivmd *ivmd = (const void *)block;

	if ((block[0] >= IVHD_FIRST && block[0] <= IVHD_LAST_A) || block[0] == IVHD_LAST_B)
		unit_add(ivhd);
	else if (block[0] >= IVMD_ALL && block[0] <= IVMD_RANGE)
		iommu_unity(ivmd->start, ivmd->start + ivmd->bytes,
			    (ivmd->flags & IVMD_READ ? DMA_READ : 0) |
				    (ivmd->flags & IVMD_WRITE ? DMA_WRITE : 0));
}

static u32 find(void)
{
	const struct acpi_header *table = acpi_table("IVRS", 0);

	for (u32 at = IVRS_BLOCKS; table && at + 4 <= table->length;) {
		const u8 *block = (const u8 *)table + at;
		u32 length = *(const u16 *)(block + 2);

		if (length < 4 || at + length > table->length)
			break;
		block_take(block);
		at += length;
	}
	bv_host_spin_init(&amd.lock);
	return amd.units;
}

/* ---- the table ---- */

static u32 levels(void)
{
	return 4;
}

static bool blocks(void)
{
	return true;
}

static u64 table_entry(u64 pa, u32 level)
{
	return pa | PRESENT | (u64)level << LEVEL_SHIFT | READ | WRITE;
}

static u64 leaf(u64 pa, bool block, u32 rights)
{
	(void)block; /* a next level of 0 is the end at any level */
	return pa | PRESENT | COHERENT | (rights & DMA_READ ? READ : 0) |
	       (rights & DMA_WRITE ? WRITE : 0);
}

static void written(const void *entry, u64 bytes)
{
	(void)entry, (void)bytes;
	__asm__ volatile("" : : : "memory");
}

/* ---- commands ---- */

static void command(struct unit *unit, u64 first, u64 second)
{
	unit->command[unit->tail][0] = first;
	unit->command[unit->tail][1] = second;
	unit->tail = (unit->tail + 1) % COMMAND_ENTRIES;
	__asm__ volatile("mfence" : : : "memory");
	reg_write(unit, REG_COMMAND_TAIL, unit->tail * COMMAND_BYTES);
}

/* Returns when all before it is done. */
static void command_wait(struct unit *unit)
{
	volatile u32 *done = (volatile u32 *)&amd.done;

	*done = 0;
	command(unit, COMMAND(COMPLETION_WAIT) | bv_host_pa(&amd.done) | 1, 1);
	iommu_wait("a command of AMD's", done, ~0u, 1);
}

static void flush(void)
{
	u64 flags = bv_host_spin_lock_irq(&amd.lock);

	for (u32 i = 0; i < amd.units; i++) {
		command(&amd.unit[i], COMMAND(INVALIDATE_PAGES) | DOMAIN << 32, ALL_PAGES);
		command_wait(&amd.unit[i]);
	}
	bv_host_spin_unlock_irq(&amd.lock, flags);
}

/* ---- on ---- */

static void devices_fill(u64 root, u32 depth)
{
	amd.device = bv_host_pages_alloc(DEVICE_ORDER);
	if (!amd.device)
		panic("no memory for the IOMMU's table of devices");
	for (u32 i = 0; i < DEVICES; i++) {
		amd.device[i][0] =
			root | DTE_VALID | DTE_TRANSLATE | (u64)depth << LEVEL_SHIFT | READ | WRITE;
		amd.device[i][1] = DOMAIN;
	}
}

static void unit_enable(struct unit *unit)
{
	unit->command = bv_host_pages_alloc(0);
	if (!unit->command)
		panic("no memory for an IOMMU's commands");
	reg_write(unit, REG_CONTROL,
		  reg_read(unit, REG_CONTROL) & ~(CONTROL_ENABLE | CONTROL_COMMANDS));
	reg_write(unit, REG_DEVICES, bv_host_pa(amd.device) | ((1ull << DEVICE_ORDER) - 1));
	reg_write(unit, REG_COMMANDS, bv_host_pa(unit->command) | COMMAND_LENGTH);
	reg_write(unit, REG_COMMAND_HEAD, 0);
	reg_write(unit, REG_COMMAND_TAIL, 0);
	reg_write(unit, REG_CONTROL,
		  reg_read(unit, REG_CONTROL) | CONTROL_COMMANDS | CONTROL_ENABLE);
	for (u32 i = 0; i < DEVICES; i++) {
		command(unit, COMMAND(INVALIDATE_DEVICE) | i, 0);
		if (i % (COMMAND_ENTRIES / 2) == 0)
			command_wait(unit);
	}
	command_wait(unit);
}

static void enable(u64 root, u32 depth)
{
	devices_fill(root, depth);
	for (u32 i = 0; i < amd.units; i++)
		unit_enable(&amd.unit[i]);
	flush();
}

const struct iommu_kind iommu_amd = {
	.name = "AMD",
	.find = find,
	.levels = levels,
	.blocks = blocks,
	.table = table_entry,
	.leaf = leaf,
	.enable = enable,
	.flush = flush,
	.written = written,
};
