// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A Multiboot kernel that starts another kernel by its PVH entry: for machines whose firmware knows
 * only GRUB. It spares an emulated CPU the decompression of Linux, which takes it minutes. The
 * first module is the kernel (an ELF file with the note XEN_ELFNOTE_PHYS32_ENTRY), the words behind
 * it its command line; the second module, if any, its initramfs.
 *
 * Entered by start (below) in 32-bit protected mode, paging off; the kernel is entered in the same
 * state, EBX with the start info. Built by tests/pc/bochs-disk. Sources: Multiboot specification
 * 0.6.96; Xen's public header arch-x86/hvm/start_info.h; the ELF specification.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define MODULES_TO \
	0x18000000u /* above what a kernel occupies; the machine has more memory than that */
#define NOTE_PHYS32_ENTRY 18
#define RAM_ENTRIES 32

struct multiboot_info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4],
		mmap_length, mmap_addr;
};

struct multiboot_module {
	u32 start, end, line, reserved;
};

struct multiboot_range {
	u32 size;
	u64 address, bytes;
	u32 type;
} __attribute__((packed));

struct elf_header {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
	u32 type, flags;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};

struct elf_note {
	u32 namesz, descsz, type;
	char name[4];
	u32 entry;
};

struct start_info {
	u32 magic, version, flags, nr_modules;
	u64 modlist_paddr, cmdline_paddr, rsdp_paddr, memmap_paddr;
	u32 memmap_entries, reserved;
};

struct start_module {
	u64 paddr, size, cmdline_paddr, reserved;
};

struct start_range {
	u64 address, bytes;
	u32 type, reserved;
};

static struct start_info info;
static struct start_module initrd;
static struct start_range ranges[RAM_ENTRIES];
static char line[2048];

u32 load(u32 magic, const struct multiboot_info *boot);

__asm__(".section .text.start, \"ax\"\n"
	".balign 4\n"
	".long 0x1badb002, 3, -(0x1badb002 + 3)\n"
	".globl start\n"
	"start:\n"
	"	mov $stack_end, %esp\n"
	"	push %ebx\n"
	"	push %eax\n"
	"	call load\n"
	"	mov $info, %ebx\n"
	"	jmp *%eax\n"
	".bss\n"
	".balign 16\n"
	".skip 16384\n"
	"stack_end:\n"
	".text\n");

/* Modules and what they become may overlap: whoever moves up begins at the end. */
static void move(u32 to, u32 from, u32 bytes)
{
	if (to <= from) {
		__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
		return;
	}
	to += bytes - 1;
	from += bytes - 1;
	__asm__ volatile("std; rep movsb; cld" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static void clear(u32 at, u32 bytes)
{
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(0) : "memory");
}

static void line_keep(const char *from)
{
	u32 i;

	/* GRUB gives the words after the module's file. */
	for (i = 0; i < sizeof(line) - 1 && from[i]; i++)
		line[i] = from[i];
}

static void ranges_keep(const struct multiboot_info *boot)
{
	u32 at = boot->mmap_addr, end = at + boot->mmap_length;

	while (at < end && info.memmap_entries < RAM_ENTRIES) {
		const struct multiboot_range *range = (const void *)at;

		ranges[info.memmap_entries++] =
			(struct start_range){ range->address, range->bytes, range->type, 0 };
		at += range->size + 4;
	}
	info.memmap_paddr = (u32)ranges;
}

static u32 note_entry(u32 at, u32 bytes)
{
	u32 end = at + bytes;

	while (at + sizeof(struct elf_note) <= end) {
		const struct elf_note *note = (const void *)at;

		if (note->type == NOTE_PHYS32_ENTRY && note->namesz == 4 && note->name[0] == 'X')
			return note->entry;
		at += 12 + ((note->namesz + 3) & ~3u) + ((note->descsz + 3) & ~3u);
	}
	return 0;
}

static u32 elf_load(u32 file)
{
	const struct elf_header *elf = (const void *)file;
	u32 entry = 0;

	for (u32 i = 0; i < elf->phnum; i++) {
		const struct elf_segment *segment =
			(const void *)(file + (u32)elf->phoff + i * elf->phentsize);

		if (segment->type == 4)
			entry = entry ? entry :
					note_entry(file + (u32)segment->offset, segment->filesz);
		if (segment->type != 1)
			continue;
		move(segment->paddr, file + (u32)segment->offset, segment->filesz);
		clear((u32)segment->paddr + (u32)segment->filesz, segment->memsz - segment->filesz);
	}
	return entry;
}

static void stop(const char *why)
{
	for (; *why; why++) {
		__asm__ volatile("outb %0, %1" : : "a"(*why), "Nd"((u16)0x3f8));
		__asm__ volatile("outb %0, %1" : : "a"(*why), "Nd"((u16)0xe9));
	}
	for (;;)
		__asm__ volatile("cli; hlt");
}

u32 load(u32 magic, const struct multiboot_info *boot)
{
	const struct multiboot_module *module = (const void *)boot->mods_addr;
	u32 bytes[2] = { 0, 0 }, at[2] = { MODULES_TO, 0 }, entry;

	if (magic != 0x2badb002 || !boot->mods_count || !(boot->flags & 1u << 6))
		stop("pvh-loader: no kernel, or no memory map\n");
	line_keep((const char *)module[0].line);
	ranges_keep(boot);
	bytes[0] = module[0].end - module[0].start;
	at[1] = (MODULES_TO + bytes[0] + 0xfff) & ~0xfffu;
	if (boot->mods_count > 1) {
		bytes[1] = module[1].end - module[1].start;
		/* The second lies behind the first, wherever they are. */
		move(at[1], module[1].start, bytes[1]);
	}
	move(at[0], module[0].start, bytes[0]);
	entry = elf_load(at[0]);
	if (!entry)
		stop("pvh-loader: the kernel has no PVH entry\n");
	initrd = (struct start_module){ at[1], bytes[1], 0, 0 };
	info.magic = 0x336ec578;
	info.version = 1;
	info.nr_modules = bytes[1] ? 1 : 0;
	info.modlist_paddr = (u32)&initrd;
	info.cmdline_paddr = (u32)line;
	return entry;
}
