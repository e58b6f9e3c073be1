/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel's IOMMU (VT-d). Source: Intel Virtualization Technology for Directed I/O, D51397: 8 (DMAR),
 * 9 (tables), 6.5 (invalidation by registers), 11.4 (registers).
 */
#include "hosts/metal/metal.h"
#include "hosts/metal/acpi.h"
#include "hosts/metal/iommu.h"

#define DMAR_BLOCKS 48 /* where they begin */
#define DMAR_UNIT 0
#define DMAR_RESERVED 1

struct dmar_unit {
	u16 kind, length;
	u8 flags, size;
	u16 segment;
	u64 base;
} ACPI_PACKED;

struct dmar_reserved {
	u16 kind, length, reserved, segment;
	u64 start, last;
} ACPI_PACKED;

#define REG_CAP 0x08
#define REG_ECAP 0x10
#define REG_COMMAND 0x18
#define REG_STATUS 0x1c
#define REG_ROOT 0x20
#define REG_CONTEXT 0x28
#define CAP_WRITE_BUFFER BV_BIT(4)
#define CAP_3_LEVELS BV_BIT(9)
#define CAP_4_LEVELS BV_BIT(10)
#define CAP_BLOCKS BV_BIT(34)
#define ECAP_COHERENT BV_BIT(0)
#define ECAP_IOTLB(ecap) ((u32)((ecap) >> 8 & 0x3ff) * 16 + 8)
/* In the command register one-shot bits are not repeated. */
#define STATUS_KEPT 0x96ffffffu
#define COMMAND_TRANSLATE (1u << 31)
#define COMMAND_ROOT (1u << 30)
#define COMMAND_WRITE_BUFFER (1u << 27)
#define CONTEXT_GO BV_BIT(63)
#define CONTEXT_GLOBAL BV_BIT(61)
#define IOTLB_GO BV_BIT(63)
#define IOTLB_GLOBAL BV_BIT(60)
#define IOTLB_DRAIN (BV_BIT(49) | BV_BIT(48))

#define ENTRY_READ BV_BIT(0)
#define ENTRY_WRITE BV_BIT(1)
#define ENTRY_BLOCK BV_BIT(7)
#define PRESENT BV_BIT(0)
#define DOMAIN 1ull
#define DOMAIN_SHIFT 8
#define LINE 64

static struct {
	struct bv_spinlock lock;
	u32 units;
	struct unit {
		u64 regs; /* where they are mapped */
		u64 cap, ecap;
	} unit[IOMMU_MAX_UNITS];
	bool incoherent;
} intel;

static volatile u32 *reg32(const struct unit *unit, u32 reg)
{
	return (volatile u32 *)(unit->regs + reg);
}

static volatile u64 *reg64(const struct unit *unit, u32 reg)
{
	return (volatile u64 *)(unit->regs + reg);
}

/* ---- the ACPI table ---- */

static void unit_add(const struct dmar_unit *found)
{
	struct unit *unit = &intel.unit[intel.units];

	if (intel.units == IOMMU_MAX_UNITS)
		panic("more IOMMUs than %u; 'iommu=no' does without", IOMMU_MAX_UNITS);
	intel.units++;
	unit->regs = (u64)map_device(found->base, 0x4000);
	iommu_owns(found->base, BV_PAGE_SIZE);
	unit->cap = *reg64(unit, REG_CAP);
	unit->ecap = *reg64(unit, REG_ECAP);
	intel.incoherent |= !(unit->ecap & ECAP_COHERENT);
}

static u32 find(void)
{
	const struct acpi_header *table = acpi_table("DMAR", 0);

	for (u32 at = DMAR_BLOCKS; table && at + 4 <= table->length;) {
		const void *block = (const u8 *)table + at;
		const struct dmar_unit *unit = block;
		const struct dmar_reserved *reserved = block;

		if (unit->length < 4 || at + unit->length > table->length)
			break;
		if (unit->kind == DMAR_UNIT)
			unit_add(unit);
		else if (unit->kind == DMAR_RESERVED)
			iommu_unity(reserved->start, reserved->last + 1, DMA_READ | DMA_WRITE);
		at += unit->length;
	}
	bv_host_spin_init(&intel.lock);
	return intel.units;
}

static bool all_have(u64 capability)
{
	for (u32 i = 0; i < intel.units; i++)
		if (!(intel.unit[i].cap & capability))
			return false;
	return true;
}

/* ---- the table ---- */

static u32 levels(void)
{
	if (all_have(CAP_4_LEVELS))
		return 4;
	if (all_have(CAP_3_LEVELS))
		return 3;
	panic("the IOMMUs have no number of levels in common; 'iommu=no' does without");
}

static bool blocks(void)
{
	return all_have(CAP_BLOCKS);
}

static u64 table_entry(u64 pa, u32 level)
{
	(void)level;
	return pa | ENTRY_READ | ENTRY_WRITE;
}

static u64 leaf(u64 pa, bool block, u32 rights)
{
	return pa | (block ? ENTRY_BLOCK : 0) | (rights & DMA_READ ? ENTRY_READ : 0) |
	       (rights & DMA_WRITE ? ENTRY_WRITE : 0);
}

static void written(const void *entry, u64 bytes)
{
	const u8 *at = entry;

	for (u64 i = 0; intel.incoherent && i < bytes; i += LINE)
		__asm__ volatile("clflush (%0)" : : "r"(at + i) : "memory");
	__asm__ volatile("mfence" : : : "memory");
}

/* ---- commands: each unit does one at a time ---- */

static void command(const struct unit *unit, u32 bit, bool stays)
{
	*reg32(unit, REG_COMMAND) = (*reg32(unit, REG_STATUS) & STATUS_KEPT) | bit;
	iommu_wait("a command of Intel's", reg32(unit, REG_STATUS), bit, stays ? bit : 0);
}

/* A register whose highest bit falls when it is done. */
static void invalidate(const struct unit *unit, u32 reg, u64 value)
{
	*reg64(unit, reg) = value;
	iommu_wait("an invalidation of Intel's", reg32(unit, reg + 4), 1u << 31, 0);
}

static void unit_flush(const struct unit *unit)
{
	if (unit->cap & CAP_WRITE_BUFFER)
		command(unit, COMMAND_WRITE_BUFFER, false);
	invalidate(unit, ECAP_IOTLB(unit->ecap), IOTLB_GO | IOTLB_GLOBAL | IOTLB_DRAIN);
}

static void flush(void)
{
	u64 flags = bv_host_spin_lock_irq(&intel.lock);

	for (u32 i = 0; i < intel.units; i++)
		unit_flush(&intel.unit[i]);
	bv_host_spin_unlock_irq(&intel.lock, flags);
}

/* ---- on ---- */

/* All buses have one table of contexts, all its devices the same one. Returns its address. */
static u64 roots_make(u64 root, u32 depth)
{
	u64(*roots)[2] = bv_host_pages_alloc(0), (*contexts)[2] = bv_host_pages_alloc(0);

	if (!roots || !contexts)
		panic("no memory for the IOMMU's table of devices");
	for (u32 i = 0; i < 256; i++) {
		contexts[i][0] = root | PRESENT;
		contexts[i][1] = (depth - 2) | DOMAIN << DOMAIN_SHIFT;
		roots[i][0] = bv_host_pa(contexts) | PRESENT;
	}
	written(roots, BV_PAGE_SIZE);
	written(contexts, BV_PAGE_SIZE);
	return bv_host_pa(roots);
}

static void enable(u64 root, u32 depth)
{
	u64 roots = roots_make(root, depth);

	for (u32 i = 0; i < intel.units; i++) {
		const struct unit *unit = &intel.unit[i];

		*reg64(unit, REG_ROOT) = roots;
		command(unit, COMMAND_ROOT, true);
		invalidate(unit, REG_CONTEXT, CONTEXT_GO | CONTEXT_GLOBAL);
		unit_flush(unit);
		command(unit, COMMAND_TRANSLATE, true);
	}
}

const struct iommu_kind iommu_intel = {
	.name = "Intel",
	.find = find,
	.levels = levels,
	.blocks = blocks,
	.table = table_entry,
	.leaf = leaf,
	.enable = enable,
	.flush = flush,
	.written = written,
};
