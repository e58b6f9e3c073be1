/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dom0 is built: its memory, where each frame lies under the guest frame of the same number; its
 * kernel and initrd, which the loader left as modules; its ACPI tables, the machine's own but for
 * those that name processors; and the start info of the PVH boot protocol.
 *
 * The modules may lie where the kernel has to go. So both are first copied to the end of memory,
 * their old places are freed, then Dom0's memory is taken, from its beginning on, and the kernel
 * and the initrd are put into it.
 */
#include <stdint.h>

#include <xen/xen.h>
#include <xen/arch-x86/hvm/start_info.h>

#include "fronts/xen/xen.h"
#include "hosts/metal/acpi.h"
#include "hosts/metal/metal.h"
#include "lib/bits.h"
#include "lib/format.h"

#define LOW_END 0xa0000ull /* of memory below the hole of PCs */
#define MIB 0x100000ull
#define INFO_PAGES 16
#define PAGES(bytes) (((bytes) + BV_PAGE_SIZE - 1) >> BV_PAGE_SHIFT)

struct copy {
	u64 mfn, pages; /* at the end of memory */
	u64 bytes;
};

/* What lies in the pages of information, at their beginning. */
struct info {
	struct hvm_start_info start;
	struct hvm_modlist_entry module;
	char text[1280];
	struct hvm_memmap_table_entry map[2 * BOOT_RANGES];
};

static struct {
	struct bvx_domain *domain;
	u32 vcpus;
	struct copy kernel, initrd;
	struct elf_load load;
	u64 pages; /* of memory */
	u64 low_top; /* end of the highest memory below 4 GiB */
	u64 initrd_pa, info_pa, acpi_pa, acpi_end;
	struct range ram[BOOT_RANGES]; /* what it has, sorted */
	u32 rams;
} dom0;

/* ---- modules out of the way ---- */

/* The last run of free frames that long. */
static u64 run_from_top(u64 count)
{
	u64 run = 0;

	for (u64 mfn = frames_end(); mfn-- > 0;) {
		run = frame_owner(mfn) == FRAME_FREE ? run + 1 : 0;
		if (run == count)
			return mfn;
	}
	panic("no free run of %llu frames for a copy of Dom0's kernel or initrd", count);
}

static void release(u64 start, u64 end)
{
	for (u64 mfn = start >> BV_PAGE_SHIFT; mfn < PAGES(end); mfn++)
		if (frame_owner(mfn) == FRAME_OURS)
			frame_free(mfn, 0);
}

static struct copy module_away(const struct boot_module *module)
{
	struct copy copy = { .bytes = module->end - module->start };

	copy.pages = PAGES(copy.bytes);
	copy.mfn = run_from_top(copy.pages);
	if (!frame_take(copy.mfn, copy.pages, FRAME_OURS))
		panic("frames of a copy are in use");
	__builtin_memcpy(direct(copy.mfn << BV_PAGE_SHIFT), direct(module->start), copy.bytes);
	return copy;
}

static void copy_free(const struct copy *copy)
{
	for (u64 i = 0; i < copy->pages; i++)
		frame_free(copy->mfn + i, 0);
}

static void modules_away(void)
{
	if (!boot.modules)
		panic("no Dom0 kernel: the loader gave no module (QEMU: -initrd \"vmlinux "
		      "ARGUMENTS,INITRD\")");
	dom0.kernel = module_away(&boot.module[0]);
	if (boot.modules > 1)
		dom0.initrd = module_away(&boot.module[1]);
	for (u32 i = 0; i < boot.modules; i++)
		release(boot.module[i].start, boot.module[i].end);
	boot.modules = 0;
}

/* ---- how much memory ---- */

/* dom0_mem=[min:]A,max:B: what it gets now; what it may have at most is told the front. */
static u64 pages_wanted(u64 *max)
{
	u64 reserve = frames_total() / 16, want, free = frames_free_count();
	const char *at = options.dom0_mem, *end;

	if (reserve > 128 * MIB / BV_PAGE_SIZE)
		reserve = 128 * MIB / BV_PAGE_SIZE;
	want = free > reserve ? free - reserve : free / 2;
	*max = ~0ull;
	for (; *at; at = *end ? end + 1 : end) {
		bool is_max = text_starts(at, "max:");
		u64 size = parse_size(at + (is_max || text_starts(at, "min:") ? 4 : 0), &end) >>
			   BV_PAGE_SHIFT;

		if (is_max)
			*max = size;
		else if (size && size < want)
			want = size;
	}
	return want;
}

static void ram_add(u64 first, u64 end)
{
	if (dom0.rams && dom0.ram[dom0.rams - 1].end == first << BV_PAGE_SHIFT)
		dom0.ram[dom0.rams - 1].end = end << BV_PAGE_SHIFT;
	else if (dom0.rams < BOOT_RANGES)
		dom0.ram[dom0.rams++] =
			(struct range){ first << BV_PAGE_SHIFT, end << BV_PAGE_SHIFT, RANGE_RAM };
	else
		panic("Dom0's memory is in too many pieces");
	dom0.pages += end - first;
	if (end << BV_PAGE_SHIFT <= 1ull << 32)
		dom0.low_top = end << BV_PAGE_SHIFT;
}

/*
 * Below 640 KiB all that is memory is Dom0's: nothing of ours is there any more, and its
 * processors begin there.
 */
static void take_low(void)
{
	for (u32 i = 0; i < boot.ranges; i++) {
		const struct range *range = &boot.range[i];
		u64 end = range->end < LOW_END ? range->end : LOW_END;

		if (range->kind == RANGE_RAM && range->start < LOW_END && end > range->start)
			ram_add(PAGES(range->start), end >> BV_PAGE_SHIFT);
	}
}

static void take_memory(u64 want)
{
	u64 first = 0x100;

	take_low();
	while (dom0.pages < want && first < frames_end()) {
		u64 end = first;

		while (end < frames_end() && dom0.pages + (end - first) < want &&
		       frame_owner(end) == FRAME_FREE)
			end++;
		if (end > first) {
			if (!frame_take(first, end - first, 0))
				panic("Dom0's memory is in use");
			ram_add(first, end);
		}
		first = end + 1;
	}
}

static bool has(u64 start, u64 end)
{
	for (u32 i = 0; i < dom0.rams; i++)
		if (start >= dom0.ram[i].start && end <= dom0.ram[i].end)
			return true;
	return false;
}

/* The highest place below 4 GiB, and below `limit`, that is Dom0's memory and not the kernel's. */
static u64 place(u64 bytes, u64 limit)
{
	for (u32 i = dom0.rams; i-- > 0;) {
		u64 end = dom0.ram[i].end < limit ? dom0.ram[i].end : limit, at;

		if (end < bytes || end - bytes < dom0.ram[i].start)
			continue;
		at = (end - bytes) & BV_PAGE_MASK;
		if (at < dom0.load.end && dom0.load.start < at + bytes)
			at = (dom0.load.start - bytes) & BV_PAGE_MASK;
		if (at >= MIB && has(at, at + bytes))
			return at;
	}
	panic("Dom0's memory (%llu MiB) is too small for its kernel and initrd", dom0.pages >> 8);
}

/* ---- ACPI ---- */

/* Tables that speak of what is ours, or is not so for Dom0. */
static bool table_hidden(const char *signature)
{
	static const char hidden[][5] = { "APIC", "DMAR", "IVRS", "SRAT", "SLIT", "MPST", "PMTT" };

	for (u32 i = 0; i < BV_ARRAY_SIZE(hidden); i++)
		if (!__builtin_memcmp(signature, hidden[i], 4))
			return true;
	return false;
}

static void checksum(void *table, u32 bytes, u8 *sum)
{
	const u8 *at = table;
	u8 total = 0;

	*sum = 0;
	for (u32 i = 0; i < bytes; i++)
		total += at[i];
	*sum = -total;
}

static u8 *madt_put(u8 *at, const void *entry, u8 bytes)
{
	__builtin_memcpy(at, entry, bytes);
	return at + bytes;
}

/* Processors by the machine's own numbers, which its DSDT names; what else it has but for NMIs. */
static u32 madt_make(struct acpi_madt *madt)
{
	const struct acpi_madt *old = acpi_table("APIC", 0);
	u8 *to = (u8 *)(madt + 1);
	u32 cpus = 0;

	*madt = *old;
	madt->flags = 0; /* no 8259s */
	for (u32 at = sizeof(*old); at + 2 <= old->header.length;) {
		const u8 *entry = (const u8 *)old + at;
		struct madt_lapic lapic = *(const struct madt_lapic *)entry;

		if (entry[1] < 2)
			break;
		if (entry[0] == MADT_LAPIC) {
			lapic.flags = lapic.apic_id < dom0.vcpus && cpus < dom0.vcpus;
			cpus += lapic.flags;
			to = madt_put(to, &lapic, sizeof(lapic));
		} else if (entry[0] == MADT_IOAPIC || entry[0] == MADT_OVERRIDE) {
			to = madt_put(to, entry, entry[1]);
		}
		at += entry[1];
	}
	madt->header.length = (u32)(to - (u8 *)madt);
	checksum(madt, madt->header.length, &madt->header.checksum);
	return madt->header.length;
}

static u64 acpi_make(void *pages)
{
	struct acpi_rsdp *rsdp = pages;
	struct acpi_header *xsdt = pages + 64;
	struct acpi_madt *madt = pages + BV_PAGE_SIZE;
	u64 *entry = (u64 *)(xsdt + 1), table;

	madt_make(madt);
	*xsdt = madt->header;
	__builtin_memcpy(xsdt->signature, "XSDT", 4);
	xsdt->revision = 1;
	for (u32 i = 0; (table = acpi_entry(i)); i++)
		if (!table_hidden(map_device(table, 4096)))
			__builtin_memcpy(entry++, &table, 8);
	table = bv_host_pa(madt);
	__builtin_memcpy(entry++, &table, 8);
	xsdt->length = (u32)((u8 *)entry - (u8 *)xsdt);
	checksum(xsdt, xsdt->length, &xsdt->checksum);
	*rsdp = (struct acpi_rsdp){
		.signature = "RSD PTR ",
		.oem = "BIVISO",
		.revision = 2,
		.length = sizeof(*rsdp),
		.xsdt = bv_host_pa(xsdt),
	};
	checksum(rsdp, 20, &rsdp->checksum);
	checksum(rsdp, sizeof(*rsdp), &rsdp->checksum2);
	return bv_host_pa(rsdp);
}

/* ---- the memory map ---- */

struct map {
	struct hvm_memmap_table_entry *entry;
	u32 count;
};

static void map_put(struct map *map, u64 start, u64 end, u32 kind)
{
	if (start < end)
		map->entry[map->count++] = (struct hvm_memmap_table_entry){ .addr = start,
									    .size = end - start,
									    .type = kind };
}

/* Memory of Dom0's, with the pages of ACPI tables cut out. */
static void map_put_ram(struct map *map, u64 start, u64 end)
{
	if (dom0.acpi_pa >= start && dom0.acpi_end <= end) {
		map_put(map, start, dom0.acpi_pa, RANGE_RAM);
		map_put(map, dom0.acpi_pa, dom0.acpi_end, RANGE_ACPI);
		start = dom0.acpi_end;
	}
	map_put(map, start, end, RANGE_RAM);
}

/*
 * The machine's map; memory that is not Dom0's is reserved, so that it takes nothing there for
 * free address space.
 */
static u32 map_make(struct hvm_memmap_table_entry *entry)
{
	struct map map = { .entry = entry };

	for (u32 i = 0; i < boot.ranges; i++) {
		const struct range *range = &boot.range[i];
		u64 at = range->start;

		for (u32 j = 0; range->kind == RANGE_RAM && j < dom0.rams; j++) {
			const struct range *ram = &dom0.ram[j];

			if (ram->start < at || ram->end > range->end + BV_PAGE_SIZE ||
			    ram->start >= range->end)
				continue;
			map_put(&map, at, ram->start, RANGE_RESERVED);
			map_put_ram(&map, ram->start, ram->end);
			at = ram->end;
		}
		map_put(&map, at, range->end,
			range->kind == RANGE_RAM ? RANGE_RESERVED : range->kind);
	}
	return map.count;
}

/* ---- the start info ---- */

/* The module's text is its file's name, then the kernel's command line. */
static const char *kernel_text(const char *text)
{
	for (; *text && *text != ' '; text++)
		;
	for (; *text == ' '; text++)
		;
	return text;
}

static void info_make(struct info *info)
{
	u64 pa = dom0.info_pa;

	dom0.acpi_pa = pa + 8 * BV_PAGE_SIZE;
	dom0.acpi_end = pa + INFO_PAGES * BV_PAGE_SIZE;
	bv_format(info->text, sizeof(info->text), "%s%s", kernel_text(boot.module[0].text),
		  iommu_on() ? "" : " swiotlb=force");
	info->module =
		(struct hvm_modlist_entry){ .paddr = dom0.initrd_pa, .size = dom0.initrd.bytes };
	info->start = (struct hvm_start_info){
		.magic = XEN_HVM_START_MAGIC_VALUE,
		.version = 1,
		.flags = SIF_PRIVILEGED | SIF_INITDOMAIN,
		.nr_modules = dom0.initrd.bytes ? 1 : 0,
		.modlist_paddr = pa + offsetof(struct info, module),
		.cmdline_paddr = pa + offsetof(struct info, text),
		.rsdp_paddr = acpi_make(direct(dom0.acpi_pa)),
		.memmap_paddr = pa + offsetof(struct info, map),
		.memmap_entries = map_make(info->map),
	};
	say_info("Dom0: command line '%s'", info->text);
}

static void load(void)
{
	const char *why =
		elf_read(direct(dom0.kernel.mfn << BV_PAGE_SHIFT), dom0.kernel.bytes, &dom0.load);

	if (why)
		panic("Dom0's kernel cannot be started: %s", why);
	if (!has(dom0.load.start, dom0.load.end))
		panic("Dom0's kernel wants memory from %#llx to %#llx, which Dom0 does not have",
		      dom0.load.start, dom0.load.end);
	elf_load(direct(dom0.kernel.mfn << BV_PAGE_SHIFT));
	copy_free(&dom0.kernel);
	dom0.initrd_pa = place(dom0.initrd.pages << BV_PAGE_SHIFT, 1ull << 32);
	if (dom0.initrd.bytes) {
		__builtin_memcpy(direct(dom0.initrd_pa), direct(dom0.initrd.mfn << BV_PAGE_SHIFT),
				 dom0.initrd.bytes);
		copy_free(&dom0.initrd);
	}
	dom0.info_pa = place(INFO_PAGES << BV_PAGE_SHIFT, dom0.initrd_pa);
	__builtin_memset(direct(dom0.info_pa), 0, INFO_PAGES << BV_PAGE_SHIFT);
	info_make(direct(dom0.info_pa));
}

/* ---- its address space ---- */

static void map_range(u64 start, u64 end, enum bvx_dom0_kind kind)
{
	u64 first = start >> BV_PAGE_SHIFT, count = PAGES(end) - first;

	if (bvx_dom0_map(dom0.domain, BV_GFN(first), BV_MFN(first), count, kind))
		panic("no memory for Dom0's page tables");
}

/* The firmware's memory and, below 4 GiB, all that is none: devices. */
static void map_devices(void)
{
	u64 at = LOW_END;

	for (u64 next; at < 1ull << 32; at = next) {
		next = at < 16 * MIB ? at + BV_PAGE_SIZE : at + 2 * MIB;
		if (passthrough_address(at, next)) {
			map_range(at, next, BVX_DOM0_MMIO);
			continue;
		}
		for (; at < next; at += BV_PAGE_SIZE)
			if (passthrough_address(at, at + BV_PAGE_SIZE))
				map_range(at, at + BV_PAGE_SIZE, BVX_DOM0_MMIO);
	}
	for (u32 i = 0; i < boot.ranges; i++)
		if (boot.range[i].kind != RANGE_RAM &&
		    (boot.range[i].start >= 1ull << 32 || boot.range[i].end <= LOW_END))
			map_range(boot.range[i].start, boot.range[i].end, BVX_DOM0_MMIO);
}

static void map_all(void)
{
	for (u32 i = 0; i < dom0.rams; i++)
		map_range(dom0.ram[i].start, dom0.ram[i].end, BVX_DOM0_RAM);
	map_devices();
}

/* ---- the whole ---- */

/* MSIs name CPUs by APIC IDs (passthrough.c): vCPU i has to find CPU i with the ID i. */
static u32 vcpus_wanted(void)
{
	u32 cpus = bv_popcount(vcpu_cpus()), most = 0;
	u32 want = options.dom0_max_vcpus ? options.dom0_max_vcpus : cpus;

	while (most < metal_cpu_count && metal_cpus[most]->apic_id == most)
		most++;
	if (want > most) {
		say_warning("Dom0 gets %u vCPUs: CPU %u has not that APIC ID, or is not there",
			    most, most);
		want = most;
	}
	if (!want)
		panic("the boot CPU's APIC ID is not 0: Dom0's interrupts could not reach it");
	return want > BV_MAX_VCPUS / 2 ? BV_MAX_VCPUS / 2 : want;
}

void dom0_start(void)
{
	struct bvx_dom0_spec spec;
	struct bvx_vcpu *first = NULL;
	u64 want;

	modules_away();
	want = pages_wanted(&spec.max_pages);
	take_memory(want);
	frames_dom0_done();
	spec.max_vcpus = dom0.vcpus = vcpus_wanted();
	iommu_init();
	load();
	dom0.domain = bvx_dom0_new(&spec);
	if (!dom0.domain)
		panic("Dom0 could not be made");
	map_all();
	iommu_enable();
	passthrough_init(dom0.domain);
	for (u32 i = 0; i < dom0.vcpus; i++) {
		struct bvx_vcpu *vcpu = bvx_vcpu_new(dom0.domain, i);

		if (!vcpu)
			panic("Dom0's vCPU %u could not be made", i);
		first = first ? first : vcpu;
	}
	bvx_vcpu_begin_pvh(first, dom0.load.entry, (u32)dom0.info_pa);
	say_info("Dom0: %u vCPUs, %llu MiB, kernel at %#llx, initrd at %#llx; %llu MiB are free",
		 dom0.vcpus, dom0.pages >> 8, dom0.load.start, dom0.initrd_pa,
		 frames_free_count() >> 8);
	bvx_domain_start(dom0.domain);
}
