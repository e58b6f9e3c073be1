/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dom0's kernel: an unpacked 64-bit ELF file with a note that tells its PVH entry. The file is the
 * user's and is checked like any input.
 */
#include <stdint.h>

#include <xen/elfnote.h>

#include "hosts/metal/metal.h"

struct elf_header {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	u64 entry, segments_at, sections_at;
	u32 flags;
	u16 header_bytes, segment_bytes, segments, section_bytes, sections, names;
};

struct elf_segment {
	u32 kind, flags;
	u64 offset, vaddr, paddr, file_bytes, memory_bytes, align;
};

struct elf_note {
	u32 name_bytes, data_bytes, kind;
};

#define ELF_MACHINE_X86_64 62
#define SEGMENT_LOAD 1
#define SEGMENT_NOTE 4

static bool inside(u64 at, u64 bytes, u64 size)
{
	return at <= size && bytes <= size - at;
}

static u32 note_entry(const u8 *notes, u64 bytes)
{
	for (u64 at = 0; inside(at, sizeof(struct elf_note), bytes);) {
		const struct elf_note *note = (const void *)(notes + at);
		u64 name = at + sizeof(*note), data = name + ((note->name_bytes + 3ull) & ~3ull);

		at = data + ((note->data_bytes + 3ull) & ~3ull);
		if (at > bytes)
			break;
		if (note->name_bytes == 4 && note->kind == XEN_ELFNOTE_PHYS32_ENTRY &&
		    note->data_bytes >= 4 && !__builtin_memcmp(notes + name, "Xen", 4))
			return *(const u32 *)(notes + data);
	}
	return 0;
}

const char *elf_read(const void *file, u64 bytes, struct elf_load *load)
{
	const struct elf_header *header = file;
	const struct elf_segment *segment;

	if (bytes < sizeof(*header) || __builtin_memcmp(header->ident, "\177ELF\2\1", 6) ||
	    header->machine != ELF_MACHINE_X86_64)
		return "it is no 64-bit ELF file (a packed vmlinuz has to be unpacked first)";
	if (header->segment_bytes != sizeof(*segment) ||
	    !inside(header->segments_at, (u64)header->segments * sizeof(*segment), bytes))
		return "its table of segments lies outside of the file";
	segment = (const void *)((const u8 *)file + header->segments_at);
	*load = (struct elf_load){ .start = ~0ull };
	for (u32 i = 0; i < header->segments; i++, segment++) {
		if (!inside(segment->offset, segment->file_bytes, bytes) ||
		    segment->file_bytes > segment->memory_bytes)
			return "a segment lies outside of the file";
		if (segment->kind == SEGMENT_NOTE && !load->entry)
			load->entry =
				note_entry((const u8 *)file + segment->offset, segment->file_bytes);
		if (segment->kind != SEGMENT_LOAD)
			continue;
		if (segment->paddr + segment->memory_bytes > 1ull << 32 ||
		    segment->memory_bytes > 1ull << 32)
			return "a segment does not lie below 4 GiB";
		if (segment->paddr < load->start)
			load->start = segment->paddr;
		if (segment->paddr + segment->memory_bytes > load->end)
			load->end = segment->paddr + segment->memory_bytes;
	}
	if (!load->entry)
		return "it has no PVH entry (the ELF note XEN_ELFNOTE_PHYS32_ENTRY)";
	return load->end ? NULL : "it has nothing to load";
}

void elf_load(const void *file)
{
	const struct elf_header *header = file;
	const struct elf_segment *segment = (const void *)((const u8 *)file + header->segments_at);

	for (u32 i = 0; i < header->segments; i++, segment++) {
		if (segment->kind != SEGMENT_LOAD)
			continue;
		__builtin_memcpy(direct(segment->paddr), (const u8 *)file + segment->offset,
				 segment->file_bytes);
		__builtin_memset(direct(segment->paddr + segment->file_bytes), 0,
				 segment->memory_bytes - segment->file_bytes);
	}
}
