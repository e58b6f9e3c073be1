/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the loader says: command lines, memory, modules. Three forms are read (Multiboot 1,
 * Multiboot 2, PVH), and copied at once: what they lie in is memory that is used again later.
 *
 * Sources: Multiboot Specification 0.6.96, 3.3; Multiboot2 Specification 2.0, 3.6; Xen's
 * public/arch-x86/hvm/start_info.h; of the BIOS data area, IBM's PS/2 and PC BIOS Interface
 * Technical Reference.
 */
#include <stdint.h>

#include <xen/xen.h>
#include <xen/arch-x86/hvm/start_info.h>

#include "hosts/metal/metal.h"

struct boot boot;

/* ---- ranges ---- */

static void range_add(u64 start, u64 bytes, u32 kind)
{
	const u64 limit = BV_PAGE_SIZE << BVX_MFN_BITS;

	if (boot.ranges == BOOT_RANGES || !bytes || start >= limit)
		return;
	bytes = bytes < limit - start ? bytes : limit - start;
	boot.range[boot.ranges++] = (struct range){ start, start + bytes, kind };
}

static void ranges_sort(void)
{
	for (u32 i = 1; i < boot.ranges; i++)
		for (u32 j = i; j && boot.range[j].start < boot.range[j - 1].start; j--) {
			struct range swap = boot.range[j];

			boot.range[j] = boot.range[j - 1];
			boot.range[j - 1] = swap;
		}
	/* Where two overlap, what is no RAM has its way. */
	for (u32 i = 0; i + 1 < boot.ranges; i++) {
		struct range *a = &boot.range[i], *b = a + 1;

		if (a->end <= b->start)
			continue;
		if (a->kind == RANGE_RAM)
			a->end = b->start;
		else
			b->start = a->end < b->end ? a->end : b->end;
	}
}

static void module_add(u64 start, u64 end, const char *text)
{
	struct boot_module *module = &boot.module[boot.modules];

	if (boot.modules == BOOT_MODULES)
		return;
	boot.modules++;
	module->start = start;
	module->end = end;
	text_copy(module->text, text, sizeof(module->text));
}

/* The loader's first word may be the file's name. */
static const char *without_name(const char *text)
{
	const char *at = text;

	for (; *at == ' '; at++)
		;
	if (*at != '/' && *at != '(')
		for (const char *c = at; *c && *c != ' '; c++)
			if (*c == '=')
				return at;
	for (; *at && *at != ' '; at++)
		;
	for (; *at == ' '; at++)
		;
	return at;
}

/* ---- Multiboot 1 ---- */

struct mb1_info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4],
		mmap_length, mmap_addr;
};

struct mb1_module {
	u32 start, end, text, reserved;
};

struct mb1_map {
	u32 size;
	u64 base, bytes;
	u32 kind;
} __attribute__((__packed__));

static void read_mb1(const struct mb1_info *info)
{
	const struct mb1_module *module = direct(info->mods_addr);

	if (info->flags & 4)
		text_copy(boot.text, without_name(direct(info->cmdline)), sizeof(boot.text));
	for (u32 i = 0; info->flags & 8 && i < info->mods_count; i++)
		module_add(module[i].start, module[i].end,
			   module[i].text ? direct(module[i].text) : "");
	if (!(info->flags & 64))
		return;
	for (u32 at = 0; at < info->mmap_length;) {
		const struct mb1_map *map = direct(info->mmap_addr + at);

		range_add(map->base, map->bytes, map->kind);
		at += map->size + 4;
	}
}

/* ---- Multiboot 2 ---- */

enum mb2_kind {
	MB2_END = 0,
	MB2_TEXT = 1,
	MB2_MODULE = 3,
	MB2_MAP = 6,
	MB2_FRAMEBUFFER = 8,
	MB2_EFI32 = 11,
	MB2_EFI64 = 12,
	MB2_ACPI_OLD = 14,
	MB2_ACPI_NEW = 15
};

struct mb2_tag {
	u32 kind, size;
};

struct mb2_module {
	struct mb2_tag tag;
	u32 start, end;
	char text[];
};

struct mb2_map {
	struct mb2_tag tag;
	u32 entry_size, version;
};

struct mb2_entry {
	u64 base, bytes;
	u32 kind, reserved;
};

#define MB2_FRAMEBUFFER_RGB 1

struct mb2_framebuffer {
	struct mb2_tag tag;
	u64 address;
	u32 pitch, width, height;
	u8 depth, kind;
	u16 reserved;
	u8 color[6];
} __attribute__((__packed__));

static void mb2_take_map(const struct mb2_map *map)
{
	for (u32 at = sizeof(*map); at + map->entry_size <= map->tag.size; at += map->entry_size) {
		const struct mb2_entry *entry = (const void *)((const u8 *)map + at);

		range_add(entry->base, entry->bytes, entry->kind);
	}
}

static void mb2_take_framebuffer(const struct mb2_framebuffer *buffer)
{
	if (buffer->kind != MB2_FRAMEBUFFER_RGB || buffer->tag.size < sizeof(*buffer))
		return;
	boot.screen = (struct bvx_screen){
		.kind = BVX_SCREEN_RGB,
		.efi = boot.screen.efi,
		.width = buffer->width,
		.height = buffer->height,
		.pitch = buffer->pitch,
		.depth = buffer->depth,
		.address = buffer->address,
	};
	__builtin_memcpy(boot.screen.color, buffer->color, sizeof(boot.screen.color));
}

static void mb2_take(const struct mb2_tag *tag, u64 pa)
{
	const struct mb2_module *module = (const void *)tag;

	switch (tag->kind) {
	case MB2_TEXT:
		text_copy(boot.text, without_name((const char *)(tag + 1)), sizeof(boot.text));
		break;
	case MB2_MODULE:
		module_add(module->start, module->end, module->text);
		break;
	case MB2_MAP:
		mb2_take_map((const void *)tag);
		break;
	case MB2_FRAMEBUFFER:
		mb2_take_framebuffer((const void *)tag);
		break;
	case MB2_EFI32:
	case MB2_EFI64:
		boot.screen.efi = true;
		break;
	case MB2_ACPI_OLD:
	case MB2_ACPI_NEW:
		/*
		 * A copy in the loader's memory: taken at once by acpi_init, which comes before
		 * that is used again.
		 */
		boot.rsdp = pa + sizeof(*tag);
		break;
	default:
		break;
	}
}

static void read_mb2(u64 pa)
{
	u32 total = *(u32 *)direct(pa);

	for (u64 at = pa + 8; at < pa + total;) {
		const struct mb2_tag *tag = direct(at);

		if (tag->kind == MB2_END)
			break;
		mb2_take(tag, at);
		at += (tag->size + 7) & ~7u;
	}
}

/* ---- PVH ---- */

static void read_pvh(const struct hvm_start_info *info)
{
	const struct hvm_modlist_entry *module = direct(info->modlist_paddr);
	const struct hvm_memmap_table_entry *map = direct(info->memmap_paddr);

	if (info->cmdline_paddr)
		text_copy(boot.text, direct(info->cmdline_paddr), sizeof(boot.text));
	for (u32 i = 0; i < info->nr_modules; i++)
		module_add(module[i].paddr, module[i].paddr + module[i].size,
			   module[i].cmdline_paddr ? direct(module[i].cmdline_paddr) : "");
	for (u32 i = 0; info->version >= 1 && i < info->memmap_entries; i++)
		range_add(map[i].addr, map[i].size, map[i].type);
	boot.rsdp = info->rsdp_paddr;
}

/* ---- the BIOS's own notes ---- */

#define BIOS_DATA 0x400
#define TEXT_MODE_3 3

/* Interrupt 10h's part of the BIOS data area. */
struct bios_video {
	u8 before[0x49], mode;
	u16 columns, bytes, start;
	struct {
		u8 x, y;
	} cursor[8];
	u16 shape;
	u8 page;
	u16 controller;
	u8 unused[0x84 - 0x65], last_row;
	u16 font_height;
} __attribute__((__packed__));

static void read_text_screen(void)
{
	const struct bios_video *video = direct(BIOS_DATA);

	if (video->mode != TEXT_MODE_3 || !video->columns)
		return;
	boot.screen = (struct bvx_screen){
		.kind = BVX_SCREEN_TEXT,
		.width = video->columns,
		.height = video->last_row + 1u,
		.font_height = (u8)video->font_height,
		.cursor_x = video->cursor[0].x,
		.cursor_y = video->cursor[0].y,
	};
}

void boot_read(u32 kind, u64 info)
{
	if (kind == BOOT_MULTIBOOT1)
		read_mb1(direct(info));
	else if (kind == BOOT_MULTIBOOT2)
		read_mb2(info);
	else
		read_pvh(direct(info));
	if (kind != BOOT_PVH && !boot.screen.efi && boot.screen.kind == BVX_SCREEN_NONE)
		read_text_screen();
	ranges_sort();
}
