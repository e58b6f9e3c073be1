/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What iommu.c asks of the two kinds of IOMMU (iommu_amd.c, iommu_intel.c). */
#ifndef METAL_IOMMU_H
#define METAL_IOMMU_H

#include "bv/types.h"

#define IOMMU_MAX_UNITS 8
#define DMA_READ 1u
#define DMA_WRITE 2u

struct iommu_kind {
	const char *name;
	/*
	 * Finds the units by ACPI's table, calls iommu_unity for what the firmware wants mapped;
	 * how many there are.
	 */
	u32 (*find)(void);
	/* What all units can: levels of the table; whether blocks of 2 MiB. After find. */
	u32 (*levels)(void);
	bool (*blocks)(void);
	/* Entries of the table: for a table at `pa` of that level, for memory. */
	u64 (*table)(u64 pa, u32 level);
	u64 (*leaf)(u64 pa, bool block, u32 rights);
	/* All devices behind all units see the table at `root` from now on. */
	void (*enable)(u64 root, u32 levels);
	/* Nothing that was cached of the table is used any more when it returns. */
	void (*flush)(void);
	/* An entry was written that a unit may read past the caches. */
	void (*written)(const void *entry, u64 bytes);
};

extern const struct iommu_kind iommu_amd, iommu_intel;

/* The firmware's devices need [start, end) as it is. From find. */
void iommu_unity(u64 start, u64 end, u32 rights);
/* A unit's registers are there: nobody else gets at them. From find. */
void iommu_owns(u64 start, u64 bytes);
/* Waits until (*reg & mask) == value; ends the hypervisor if that does not come. */
void iommu_wait(const char *what, const volatile u32 *reg, u32 mask, u32 value);

#endif
