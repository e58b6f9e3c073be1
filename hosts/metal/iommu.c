/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IOMMUs: devices are Dom0's, and reach what Dom0 reaches. One table for all of them has what lies
 * under Dom0's guest frames: its own memory, where that number is the machine's, and pages of other
 * domains while Dom0 has them mapped, where it is not. So no copy is needed for those, and a device
 * that is told nonsense, or tells it to itself, hits neither the hypervisor nor other guests.
 *
 * The front tells of each change (bvx_host_dom0_dma), under its mutex, so one at a time. Interrupts
 * are not remapped.
 *
 * What is taken away is gone from the units' caches when the front is told so
 * (bvx_host_dom0_dma_done): it gives frames back only then. Where there is no memory to cut a
 * block, the whole block goes: a device that loses what it should have fails, one that keeps what
 * it should not is worse.
 */
#include "hosts/metal/metal.h"
#include "hosts/metal/iommu.h"

#define FAN 512u
#define BLOCK 512ull /* pages of one entry at level 2 */
#define PTE_ADDR 0x000ffffffffff000ull
#define UNITIES 16u

static struct {
	/* constant after init */
	const struct iommu_kind *kind; /* NULL: none */
	u64 *root;
	u32 levels;
	bool blocks;
	struct owned {
		u64 start, end;
	} owned[IOMMU_MAX_UNITS]; /* the units' registers */
	u32 owneds;
	bool enabled;
	/* only during init */
	struct unity {
		u64 start, end;
		u32 rights;
	} unity[UNITIES];
	u32 unities;
	/* guarded by the front's mutex */
	bool told; /* of a lack of memory */
} iommu;

static const struct iommu_kind *const kinds[] = { &iommu_amd, &iommu_intel };

bool iommu_on(void)
{
	return iommu.kind;
}

void iommu_wait(const char *what, const volatile u32 *reg, u32 mask, u32 value)
{
	for (u32 i = 0; i < 100000; i++) {
		if ((*reg & mask) == value)
			return;
		delay_us(10);
	}
	panic("IOMMU: %s does not end; 'iommu=no' does without", what);
}

void iommu_owns(u64 start, u64 bytes)
{
	bv_assert(iommu.owneds < IOMMU_MAX_UNITS);
	iommu.owned[iommu.owneds++] = (struct owned){ start, start + bytes };
}

bool iommu_address(u64 start, u64 end)
{
	for (u32 i = 0; i < iommu.owneds; i++)
		if (start < iommu.owned[i].end && iommu.owned[i].start < end)
			return true;
	return false;
}

void iommu_unity(u64 start, u64 end, u32 rights)
{
	if (iommu.unities < UNITIES)
		iommu.unity[iommu.unities++] = (struct unity){ start, end, rights };
	else
		say_warning("IOMMU: the firmware wants more ranges mapped than are taken");
}

/* ---- the table ---- */

static void entry_set(u64 *entry, u64 value)
{
	*(volatile u64 *)entry = value;
	iommu.kind->written(entry, sizeof(*entry));
}

/* A table in the place of an entry: empty, or with what the block had. */
static u64 *table_new(u64 *entry, u32 level)
{
	u64 *table = bv_host_pages_alloc(0), old = *entry;

	if (!table)
		return NULL;
	for (u32 i = 0; old && i < FAN; i++)
		table[i] = iommu.kind->leaf((old & PTE_ADDR) + ((u64)i << BV_PAGE_SHIFT), false,
					    DMA_READ | DMA_WRITE);
	iommu.kind->written(table, BV_PAGE_SIZE);
	entry_set(entry, iommu.kind->table(bv_host_pa(table), level));
	return table;
}

/* Blocks are remembered by a bit that both kinds of unit ignore. */
#define IS_BLOCK BV_BIT(63)

static u64 *slot_at(u64 gfn, u32 wanted, bool make)
{
	u64 *table = iommu.root;

	for (u32 level = iommu.levels; level > wanted; level--) {
		u64 *entry = &table[gfn >> 9 * (level - 1) & (FAN - 1)];

		if (*entry && !(*entry & IS_BLOCK)) {
			table = direct(*entry & PTE_ADDR);
			continue;
		}
		if (!*entry && !make)
			return NULL;
		table = table_new(entry, level - 1);
		if (!table) {
			entry_set(entry, 0);
			return NULL;
		}
	}
	return &table[gfn >> 9 * (wanted - 1) & (FAN - 1)];
}

/* Puts one block or page; how many pages that was. */
static u64 put(u64 gfn, u64 mfn, u64 count, u32 rights)
{
	bool block = iommu.blocks && count >= BLOCK && !(gfn % BLOCK) &&
		     (!rights || (!(mfn % BLOCK) && rights == (DMA_READ | DMA_WRITE)));
	u64 *slot = slot_at(gfn, block ? 2 : 1, rights);

	if (block && slot && *slot && !(*slot & IS_BLOCK)) {
		/* Pages one by one lie there already: the table under it stays. */
		block = false;
		slot = slot_at(gfn, 1, rights);
	}
	if (!slot && rights && !iommu.told) {
		iommu.told = true;
		say_error("IOMMU: no memory for its table: devices will not reach all of Dom0's");
	}
	if (slot)
		entry_set(slot, rights ? iommu.kind->leaf(mfn << BV_PAGE_SHIFT, block, rights) |
						 (block ? IS_BLOCK : 0) :
					 0);
	return block ? BLOCK : 1;
}

static void change(u64 gfn, u64 mfn, u64 count, u32 rights)
{
	u64 limit = 1ull << 9 * iommu.levels;

	for (u64 done = 0; done < count && gfn + done < limit;)
		done += put(gfn + done, mfn + done, count - done, rights);
}

void bvx_host_dom0_dma(struct bv_gfn gfn, struct bv_mfn mfn, u64 count, bool read, bool write)
{
	if (!iommu.kind)
		return;
	change(gfn.n, mfn.n, count, (read ? DMA_READ : 0) | (write ? DMA_WRITE : 0));
}

void bvx_host_dom0_dma_done(void)
{
	if (iommu.enabled)
		iommu.kind->flush();
}

/* ---- birth ---- */

static bool begin(const struct iommu_kind *kind)
{
	if (!kind->find())
		return false;
	iommu.levels = kind->levels();
	iommu.blocks = kind->blocks();
	if (frames_end() > 1ull << 9 * iommu.levels) {
		say_warning("IOMMU: it cannot address all memory, and is not used");
		return false;
	}
	iommu.kind = kind;
	iommu.root = bv_host_pages_alloc(0);
	if (!iommu.root)
		panic("no memory for the IOMMU's table");
	kind->written(iommu.root, BV_PAGE_SIZE);
	return true;
}

void iommu_init(void)
{
	if (options.iommu[0] && !parse_bool(options.iommu))
		return;
	for (u32 i = 0; i < BV_ARRAY_SIZE(kinds) && !iommu.kind; i++)
		begin(kinds[i]);
}

/* What the firmware wants for itself is no memory of Dom0's, so nothing changes it later. */
static void unity_map(void)
{
	for (u32 i = 0; i < iommu.unities; i++)
		change(iommu.unity[i].start >> BV_PAGE_SHIFT, iommu.unity[i].start >> BV_PAGE_SHIFT,
		       (iommu.unity[i].end - iommu.unity[i].start + BV_PAGE_SIZE - 1) >>
			       BV_PAGE_SHIFT,
		       iommu.unity[i].rights);
}

void iommu_enable(void)
{
	if (!iommu.kind) {
		say_info("IOMMU: none is used; devices reach all memory, and Dom0 copies what is "
			 "other domains' (swiotlb=force)");
		return;
	}
	unity_map();
	iommu.kind->enable(bv_host_pa(iommu.root), iommu.levels);
	iommu.enabled = true;
	say_info("IOMMU: %s, %u levels%s: devices reach what Dom0 reaches", iommu.kind->name,
		 iommu.levels, iommu.blocks ? ", blocks of 2 MiB" : "");
}
