// SPDX-License-Identifier: GPL-2.0-or-later
/* SMBIOS 3.0 (DSP0134): see smbios.h. */
#include "vmm/smbios.h"

#include <string.h>

#define ENTRY_SIZE 24
#define ENTRY_CHECKSUM 5
#define ENTRY_ADDRESS 16

/* A structure's head; its strings and the end follow its body. */
static void begin(struct buf *buf, uint8_t type, uint8_t length)
{
	buf_u8(buf, type);
	buf_u8(buf, length);
	buf_u16(buf, type * 0x100u);
}

static void end(struct buf *buf, const char *const *strings)
{
	size_t before = buf->size;

	for (; *strings; strings++)
		buf_bytes(buf, *strings, strlen(*strings) + 1);
	buf_zeros(buf, buf->size == before ? 2 : 1);
}

static void bios_information(struct buf *buf)
{
	begin(buf, 0, 24);
	buf_bytes(buf, (uint8_t[]){ 1, 2, 0, 0xe8, 3, 0 }, 6);
	buf_u64(buf, 8); /* characteristics are not given */
	buf_u16(buf, 0x1401); /* ACPI; a virtual machine */
	buf_bytes(buf, (uint8_t[]){ 1, 0, 0xff, 0xff }, 4);
	end(buf, (const char *const[]){ "Bivisor", "1", "01/01/2024", NULL });
}

static void system_information(struct buf *buf, const struct vmm_config *config)
{
	begin(buf, 1, 27);
	buf_bytes(buf, (uint8_t[]){ 1, 2, 0, 3 }, 4);
	buf_bytes(buf, config->uuid, 16);
	buf_bytes(buf, (uint8_t[]){ 6, 0, 0 }, 3); /* woken by the power switch */
	end(buf,
	    (const char *const[]){ "Bivisor", "bv", config->name ? config->name : "vm", NULL });
}

static void chassis(struct buf *buf)
{
	begin(buf, 3, 22);
	buf_bytes(buf, (uint8_t[]){ 1, 1, 0, 0, 0, 3, 3, 3, 2 }, 9);
	buf_zeros(buf, 9);
	end(buf, (const char *const[]){ "Bivisor", NULL });
}

static void processor(struct buf *buf, unsigned int cpus)
{
	begin(buf, 4, 48);
	buf_bytes(buf, (uint8_t[]){ 1, 3, 1, 2 }, 4);
	buf_zeros(buf, 8);
	buf_bytes(buf, (uint8_t[]){ 0, 0 }, 2);
	buf_zeros(buf, 6);
	buf_bytes(buf, (uint8_t[]){ 0x41, 1 }, 2); /* enabled; other upgrade */
	buf_u16(buf, 0xffff);
	buf_u16(buf, 0xffff);
	buf_u16(buf, 0xffff);
	buf_zeros(buf, 3);
	buf_u8(buf, cpus);
	buf_u8(buf, cpus);
	buf_u8(buf, cpus);
	buf_u16(buf, 4); /* 64 bits */
	buf_u16(buf, 1);
	buf_u16(buf, cpus);
	buf_u16(buf, cpus);
	buf_u16(buf, cpus);
	end(buf, (const char *const[]){ "CPU 0", NULL });
}

static void memory(struct buf *buf, uint64_t size)
{
	uint32_t mib = (uint32_t)(size >> 20);

	begin(buf, 16, 23);
	buf_bytes(buf, (uint8_t[]){ 1, 3, 3 }, 3);
	buf_u32(buf, 0x80000000);
	buf_u16(buf, 0xfffe);
	buf_u16(buf, 1);
	buf_u64(buf, size);
	end(buf, (const char *const[]){ NULL });
	begin(buf, 17, 40);
	buf_u16(buf, 0x1000);
	buf_u16(buf, 0xfffe);
	buf_u16(buf, 0xffff);
	buf_u16(buf, 0xffff);
	buf_u16(buf, mib < 0x7fff ? mib : 0x7fff);
	buf_bytes(buf, (uint8_t[]){ 9, 0, 1, 0, 7, 2, 0 }, 7);
	buf_zeros(buf, 7);
	buf_u32(buf, mib);
	buf_zeros(buf, 8);
	end(buf, (const char *const[]){ "DIMM 0", NULL });
}

int smbios_build(struct buf *entry, struct buf *tables, struct vm *vm)
{
	memset(entry, 0, sizeof(*entry));
	memset(tables, 0, sizeof(*tables));
	bios_information(tables);
	system_information(tables, vm->config);
	chassis(tables);
	processor(tables, vm->config->cpus);
	memory(tables, vm->mem.size);
	begin(tables, 127, 4);
	end(tables, (const char *const[]){ NULL });
	buf_text(entry, "_SM3_");
	buf_bytes(entry, (uint8_t[]){ 0, ENTRY_SIZE, 3, 0, 0, 1, 0 }, 7);
	buf_u32(entry, (uint32_t)tables->size);
	buf_u64(entry, 0);
	return entry->failed || tables->failed ? -1 : 0;
}

int smbios_install(struct vm *vm, uint64_t gpa)
{
	uint64_t at = gpa + 32;
	struct buf entry, tables;
	uint8_t sum = 0;
	int i, error = smbios_build(&entry, &tables, vm);

	if (!error) {
		memcpy(entry.data + ENTRY_ADDRESS, &at, sizeof(at));
		for (i = 0; i < ENTRY_SIZE; i++)
			sum = (uint8_t)(sum + entry.data[i]);
		entry.data[ENTRY_CHECKSUM] = (uint8_t)-sum;
		if (!mem_write(&vm->mem, gpa, entry.data, entry.size) ||
		    !mem_write(&vm->mem, at, tables.data, tables.size))
			error = -1;
	}
	buf_fini(&entry);
	buf_fini(&tables);
	return error;
}
