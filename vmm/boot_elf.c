// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ELF kernels with a PVH entry: a note of owner "Xen" and type 18 names a 32-bit entry point,
 * entered in protected mode without paging, EBX at a structure with memory map, modules and
 * command line (Xen's public header arch-x86/hvm/start_info.h describes it).
 */
#include "vmm/boot.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PVH_NOTE 18
#define PVH_MAGIC 0x336ec578u
#define PVH_MODULE (BOOT_START_INFO + 0x100)
#define PVH_MAP (BOOT_START_INFO + 0x200)
#define HEADERS_MAX 64

struct start_info {
	uint32_t magic, version, flags, modules_count;
	uint64_t modules, cmdline, rsdp, map;
	uint32_t map_entries, reserved;
};

struct start_module {
	uint64_t address, size, cmdline, reserved;
};

struct start_map {
	uint64_t address, size;
	uint32_t type, reserved;
};

/* What of the two classes' headers matters here. */
struct segment {
	uint32_t type;
	uint64_t offset, gpa, in_file, in_memory, align;
};

struct elf {
	int fd;
	uint64_t size;
	bool wide;
	unsigned int count;
	struct segment segments[HEADERS_MAX];
	uint64_t end; /* of what it fills */
};

bool boot_is_elf(const struct boot *boot)
{
	char magic[4];

	return pread(boot->kernel, magic, 4, 0) == 4 && !memcmp(magic, ELFMAG, 4);
}

static void segment_from_64(struct segment *segment, const Elf64_Phdr *header)
{
	*segment = (struct segment){ header->p_type,   header->p_offset, header->p_paddr,
				     header->p_filesz, header->p_memsz,	 header->p_align };
}

static void segment_from_32(struct segment *segment, const Elf32_Phdr *header)
{
	*segment = (struct segment){ header->p_type,   header->p_offset, header->p_paddr,
				     header->p_filesz, header->p_memsz,	 header->p_align };
}

static int read_segments(struct elf *elf, uint64_t at, size_t size)
{
	union {
		Elf64_Phdr wide;
		Elf32_Phdr narrow;
	} header;
	size_t want = elf->wide ? sizeof(header.wide) : sizeof(header.narrow);
	unsigned int i;

	if (size != want || elf->count > HEADERS_MAX)
		return -1;
	for (i = 0; i < elf->count; i++) {
		if (pread(elf->fd, &header, want, (off_t)(at + i * want)) != (ssize_t)want)
			return -1;
		if (elf->wide)
			segment_from_64(&elf->segments[i], &header.wide);
		else
			segment_from_32(&elf->segments[i], &header.narrow);
	}
	return 0;
}

static int read_elf(struct elf *elf)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf64_Ehdr wide;
		Elf32_Ehdr narrow;
	} header = { { 0 } };

	if (pread(elf->fd, &header, sizeof(header), 0) < (ssize_t)sizeof(header.narrow))
		return -1;
	elf->wide = header.ident[EI_CLASS] == ELFCLASS64;
	if (elf->wide) {
		elf->count = header.wide.e_phnum;
		return read_segments(elf, header.wide.e_phoff, header.wide.e_phentsize);
	}
	elf->count = header.narrow.e_phnum;
	return read_segments(elf, header.narrow.e_phoff, header.narrow.e_phentsize);
}

static bool note_entry(const uint8_t *notes, size_t size, size_t align, uint32_t *entry)
{
	size_t at = 0;

	while (size - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		size_t name, data, next;

		memcpy(&note, notes + at, sizeof(note));
		if (note.n_namesz > size || note.n_descsz > size)
			return false;
		name = at + sizeof(note);
		data = name + ((note.n_namesz + align - 1) & ~(align - 1));
		next = data + ((note.n_descsz + align - 1) & ~(align - 1));
		if (data > size || note.n_descsz > size - data)
			return false;
		if (note.n_type == PVH_NOTE && note.n_namesz == 4 && note.n_descsz >= 4 &&
		    !memcmp(notes + name, "Xen", 4)) {
			memcpy(entry, notes + data, 4);
			return true;
		}
		if (next > size)
			return false;
		at = next;
	}
	return false;
}

static bool find_entry(const struct elf *elf, uint32_t *entry)
{
	bool found = false;
	unsigned int i;

	for (i = 0; i < elf->count && !found; i++) {
		const struct segment *segment = &elf->segments[i];
		uint8_t *notes;

		if (segment->type != PT_NOTE || segment->in_file > 65536)
			continue;
		notes = malloc(segment->in_file + 1);
		if (notes && pread(elf->fd, notes, segment->in_file, (off_t)segment->offset) ==
				     (ssize_t)segment->in_file)
			found = note_entry(notes, segment->in_file, segment->align == 8 ? 8 : 4,
					   entry);
		free(notes);
	}
	return found;
}

static int load_segments(struct elf *elf, struct vm *vm, struct why *why)
{
	unsigned int i;

	for (i = 0; i < elf->count; i++) {
		const struct segment *segment = &elf->segments[i];
		uint8_t *room;

		if (segment->type != PT_LOAD || !segment->in_memory)
			continue;
		room = mem_at(&vm->mem, segment->gpa, segment->in_memory);
		if (!room || segment->in_file > segment->in_memory || segment->gpa < 0x100000)
			return why_set(why,
				       "the kernel's part at 0x%llx, %llu KiB, does not fit "
				       "into %llu MiB of memory",
				       (unsigned long long)segment->gpa,
				       (unsigned long long)segment->in_memory >> 10,
				       (unsigned long long)vm->mem.size >> 20);
		if (boot_read(vm, elf->fd, segment->offset, segment->gpa, segment->in_file))
			return why_set(why, "the kernel is cut off");
		memset(room + segment->in_file, 0, segment->in_memory - segment->in_file);
		if (segment->gpa + segment->in_memory > elf->end)
			elf->end = segment->gpa + segment->in_memory;
	}
	return 0;
}

static void place_start_info(struct boot *boot, struct vm *vm, uint64_t initrd)
{
	struct start_info info = { .magic = PVH_MAGIC,
				   .version = 1,
				   .modules_count = initrd ? 1 : 0,
				   .modules = initrd ? PVH_MODULE : 0,
				   .cmdline = BOOT_CMDLINE,
				   .rsdp = BOOT_ACPI,
				   .map = PVH_MAP };
	struct start_module module = { .address = initrd, .size = boot->initrd_size };
	struct boot_region regions[BOOT_REGIONS];
	unsigned int i;

	info.map_entries = boot_regions(vm, regions);
	for (i = 0; i < info.map_entries; i++) {
		struct start_map map = { regions[i].start, regions[i].size, regions[i].type, 0 };

		mem_write(&vm->mem, PVH_MAP + i * sizeof(map), &map, sizeof(map));
	}
	mem_write(&vm->mem, PVH_MODULE, &module, sizeof(module));
	mem_write(&vm->mem, BOOT_START_INFO, &info, sizeof(info));
}

int boot_load_elf(struct boot *boot, struct vm *vm, struct hv_start *start, struct why *why)
{
	struct elf elf = { .fd = boot->kernel, .size = boot->kernel_size };
	uint64_t initrd;
	uint32_t entry;

	if (read_elf(&elf))
		return why_set(why, "the kernel is an ELF file with damaged headers");
	if (!find_entry(&elf, &entry)) {
		why_set(why, "the kernel is an ELF file without a PVH entry");
		return why_hint(why, "use the bzImage, or build the kernel with CONFIG_PVH=y");
	}
	if (load_segments(&elf, vm, why) || boot_place_cmdline(vm, BOOT_CMDLINE_MAX, why) ||
	    boot_place_initrd(boot, vm, 0xffffffff, &initrd, why))
		return -1;
	if (initrd && initrd < elf.end)
		return why_set(why, "kernel and initrd do not both fit into %llu MiB of memory",
			       (unsigned long long)vm->mem.size >> 20);
	place_start_info(boot, vm, initrd);
	boot_place_gdt(vm, false, start);
	start->mode = HV_START_PROTECTED;
	start->rip = entry;
	start->rbx = BOOT_START_INFO;
	start->rsp = BOOT_STACK;
	return 0;
}
