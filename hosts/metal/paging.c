/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our own page tables: memory and devices at DIRECT_BASE, the image with the rights that its parts
 * need.
 */
#include "hosts/metal/metal.h"

#define PTE_P BV_BIT(0)
#define PTE_W BV_BIT(1)
#define PTE_PWT BV_BIT(3)
#define PTE_PCD BV_BIT(4)
#define PTE_LARGE BV_BIT(7)
#define PTE_G BV_BIT(8)
#define PTE_NX BV_BIT(63)
#define PTE_ADDR 0x000ffffffffff000ull
#define LARGE_BYTES 0x200000ull
#define DATA_RIGHTS (PTE_P | PTE_W | PTE_NX)

extern u64 boot_pml4[512], boot_pdpt[512], boot_pd[2048], boot_image_pd[512];
extern char image_begin[], rodata_begin[], data_begin[], image_end[];

static u64 image_table[2][512] __attribute__((__aligned__(4096)));

static void *table_new(void)
{
	void *page = bv_host_pages_alloc(0);

	if (!page)
		panic("no memory for page tables");
	return page;
}

/* The table under an entry, made where it is missing. */
static u64 *table_under(u64 *entry)
{
	if (!(*entry & PTE_P))
		*entry = bv_host_pa(table_new()) | PTE_P | PTE_W;
	return direct(*entry & PTE_ADDR);
}

static u64 *direct_entry(u64 pa)
{
	u64 *pdpt = table_under(&boot_pml4[DIRECT_SLOT + (pa >> 39)]);
	u64 *pd = table_under(&pdpt[pa >> 30 & 511]);

	return &pd[pa >> 21 & 511];
}

static bool has_ram(u64 start, u64 end)
{
	for (u32 i = 0; i < boot.ranges; i++)
		if (boot.range[i].kind != RANGE_RESERVED && boot.range[i].start < end &&
		    start < boot.range[i].end)
			return true;
	return false;
}

/*
 * Devices are what is no memory; large pages with both are left as they are: the MTRRs tell them
 * apart.
 */
static void map_low(void)
{
	for (u64 i = 0; i < 2048; i++) {
		u64 pa = i * LARGE_BYTES;

		boot_pd[i] =
			pa | DATA_RIGHTS | PTE_LARGE |
			(pa >= 0x100000 && !has_ram(pa, pa + LARGE_BYTES) ? PTE_PCD | PTE_PWT : 0);
	}
	/* Application processors begin in the first of them. */
	boot_pd[0] &= ~PTE_NX;
	boot_pd[IMAGE_LOAD / LARGE_BYTES] &= ~PTE_NX;
}

static void map_high(void)
{
	for (u32 i = 0; i < boot.ranges; i++) {
		const struct range *range = &boot.range[i];

		if (range->kind == RANGE_RESERVED || range->end <= 1ull << 32)
			continue;
		for (u64 pa = range->start & ~(LARGE_BYTES - 1); pa < range->end; pa += LARGE_BYTES)
			if (pa >= 1ull << 32)
				*direct_entry(pa) = pa | DATA_RIGHTS | PTE_LARGE;
	}
}

static void map_image(void)
{
	u64 pages = (u64)(image_end - image_begin) >> BV_PAGE_SHIFT;

	if (pages > 1024)
		panic("the image is too large");
	for (u64 i = 0; i < pages; i++) {
		char *at = image_begin + (i << BV_PAGE_SHIFT);
		u64 rights = at < rodata_begin ? PTE_P :
			     at < data_begin   ? PTE_P | PTE_NX :
						 DATA_RIGHTS;

		image_table[i / 512][i % 512] = (IMAGE_LOAD + (i << BV_PAGE_SHIFT)) | rights;
	}
	for (u64 i = 0; i < 2; i++)
		boot_image_pd[i] = bv_host_pa(image_table[i]) | PTE_P | PTE_W;
}

void paging_init(void)
{
	map_low();
	map_high();
	map_image();
	write_cr3(bv_host_pa(boot_pml4));
}

void *map_device(u64 pa, u64 bytes)
{
	for (u64 at = pa & ~(LARGE_BYTES - 1); at < pa + bytes; at += LARGE_BYTES)
		if (at >= 1ull << 32 && !(*direct_entry(at) & PTE_P))
			*direct_entry(at) = at | DATA_RIGHTS | PTE_LARGE | PTE_PCD | PTE_PWT;
	return direct(pa);
}

static void flush_all(void *unused)
{
	(void)unused;
	write_cr3(bv_host_pa(boot_pml4));
}

void paging_drop_low(void)
{
	boot_pml4[0] = 0;
	boot_pd[0] |= PTE_NX;
	boot_pd[IMAGE_LOAD / LARGE_BYTES] |= PTE_NX;
	bv_host_each_cpu(flush_all, NULL);
}
