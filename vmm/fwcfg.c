// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The firmware configuration device: see fwcfg.h. The ACPI tables are made when firmware first asks
 * for them, because by then it has said where the configuration space and the ports lie.
 */
#include "vmm/fwcfg.h"
#include "vmm/acpi.h"
#include "vmm/boot.h"
#include "vmm/pci.h"
#include "vmm/serial.h"
#include "vmm/smbios.h"
#include "vmm/snap.h"
#include "vmm/virtio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SIGNATURE 0x00
#define KEY_ID 0x01
#define KEY_CPUS 0x05
#define KEY_MAX_CPUS 0x0f
#define KEY_DIRECTORY 0x19
#define KEY_FILES 0x20
#define FILES 9
#define TABLES_SIZE 0x8000u
#define SCRIPT_SIZE 0x1000u
#define DMA_ERROR 1u
#define DMA_READ 2u
#define DMA_SKIP 4u
#define DMA_SELECT 8u
#define DMA_WRITE 16u
#define DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG" */

struct file {
	const char *name;
	struct buf data;
};

struct fwcfg {
	struct vm *vm;
	uint16_t key;
	uint32_t at;
	uint64_t dma;
	bool tables_made;
	struct file files[FILES];
	struct buf directory, signature, id, cpus;
	struct vm_device device;
};

enum {
	FILE_RSDP,
	FILE_TABLES,
	FILE_E820,
	FILE_SMBIOS_ANCHOR,
	FILE_SMBIOS_TABLES,
	FILE_STATES,
	FILE_SCRIPT,
	FILE_BOOT_ORDER,
	FILE_SERIAL_CONSOLE,
};

static void fill_up(struct buf *buf, size_t size)
{
	if (buf->size < size)
		buf_zeros(buf, size - buf->size);
}

/*
 * The directory, which firmware has read before, told the sizes: they must not change with what
 * stands in the tables. Zeros are no table, and no command of the script.
 */
static void make_tables(struct fwcfg *fwcfg)
{
	struct acpi acpi;

	if (fwcfg->tables_made || acpi_build(&acpi, fwcfg->vm))
		return;
	fwcfg->tables_made = true;
	buf_fini(&fwcfg->files[FILE_RSDP].data);
	buf_fini(&fwcfg->files[FILE_TABLES].data);
	buf_fini(&fwcfg->files[FILE_SCRIPT].data);
	fwcfg->files[FILE_RSDP].data = acpi.rsdp;
	fwcfg->files[FILE_TABLES].data = acpi.tables;
	fwcfg->files[FILE_SCRIPT].data = acpi.script;
	fill_up(&fwcfg->files[FILE_TABLES].data, TABLES_SIZE);
	fill_up(&fwcfg->files[FILE_SCRIPT].data, SCRIPT_SIZE);
}

/* Firmware reads the files one by one: their names need no order. */
static void make_directory(struct fwcfg *fwcfg)
{
	struct buf *buf = &fwcfg->directory;
	unsigned int i;

	buf_fini(buf);
	make_tables(fwcfg);
	buf_u32(buf, __builtin_bswap32(FILES));
	for (i = 0; i < FILES; i++) {
		char name[56] = "";

		snprintf(name, sizeof(name), "%s", fwcfg->files[i].name);
		buf_u32(buf, __builtin_bswap32((uint32_t)fwcfg->files[i].data.size));
		buf_u16(buf, __builtin_bswap16((uint16_t)(KEY_FILES + i)));
		buf_u16(buf, 0);
		buf_bytes(buf, name, sizeof(name));
	}
}

static const struct buf *item(struct fwcfg *fwcfg)
{
	switch (fwcfg->key) {
	case KEY_SIGNATURE:
		return &fwcfg->signature;
	case KEY_ID:
		return &fwcfg->id;
	case KEY_CPUS:
	case KEY_MAX_CPUS:
		return &fwcfg->cpus;
	case KEY_DIRECTORY:
		return &fwcfg->directory;
	}
	if (fwcfg->key >= KEY_FILES && fwcfg->key < KEY_FILES + FILES)
		return &fwcfg->files[fwcfg->key - KEY_FILES].data;
	return NULL;
}

static void select_key(struct fwcfg *fwcfg, uint16_t key)
{
	fwcfg->key = key;
	fwcfg->at = 0;
	if (key == KEY_FILES + FILE_SCRIPT || key == KEY_FILES + FILE_TABLES ||
	    key == KEY_FILES + FILE_RSDP) {
		fwcfg->tables_made = false;
		make_tables(fwcfg);
	}
}

/* Beyond the end, and of what is not there, come zeros. */
static void take(struct fwcfg *fwcfg, uint8_t *to, uint32_t count)
{
	const struct buf *data = item(fwcfg);
	uint32_t i;

	for (i = 0; i < count; i++, fwcfg->at += fwcfg->at != UINT32_MAX)
		to[i] = data && fwcfg->at < data->size ? data->data[fwcfg->at] : 0;
}

static void dma_run(struct fwcfg *fwcfg)
{
	struct {
		uint32_t control, length;
		uint64_t address;
	} request;
	uint32_t control, length, result = 0;
	uint8_t *to;

	if (!mem_read(&fwcfg->vm->mem, fwcfg->dma, &request, sizeof(request)))
		return;
	control = __builtin_bswap32(request.control);
	length = __builtin_bswap32(request.length);
	if (control & DMA_SELECT)
		select_key(fwcfg, (uint16_t)(control >> 16));
	to = mem_at(&fwcfg->vm->mem, __builtin_bswap64(request.address), length);
	if ((control & DMA_READ) && to)
		take(fwcfg, to, length);
	else if (control & DMA_SKIP)
		fwcfg->at = length > UINT32_MAX - fwcfg->at ? UINT32_MAX : fwcfg->at + length;
	else if (control & (DMA_READ | DMA_WRITE))
		result = __builtin_bswap32(DMA_ERROR);
	mem_write(&fwcfg->vm->mem, fwcfg->dma, &result, sizeof(result));
}

static uint64_t port_read(void *owner, uint64_t offset, unsigned int size)
{
	struct fwcfg *fwcfg = owner;
	uint8_t byte = 0;

	if (offset == 1 && size == 1)
		take(fwcfg, &byte, 1);
	return byte;
}

static void port_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	if (offset == 0 && size == 2)
		select_key(owner, (uint16_t)value);
}

static uint64_t dma_read(void *owner, uint64_t offset, unsigned int size)
{
	uint64_t signature = __builtin_bswap64(DMA_SIGNATURE) >> 8 * offset;

	(void)owner;
	(void)size;
	return signature;
}

static void dma_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	struct fwcfg *fwcfg = owner;

	if (size == 8 && offset == 0) {
		fwcfg->dma = __builtin_bswap64(value);
	} else if (size == 4 && offset == 0) {
		fwcfg->dma = (uint64_t)__builtin_bswap32((uint32_t)value) << 32;
		return;
	} else if (size == 4 && offset == 4) {
		fwcfg->dma |= __builtin_bswap32((uint32_t)value);
	} else {
		return;
	}
	dma_run(fwcfg);
	fwcfg->dma = 0;
}

static const struct bus_ops PORT_OPS = { port_read, port_write };
static const struct bus_ops DMA_OPS = { dma_read, dma_write };

/* ---- files --------------------------------------------------------------------------------- */

static void make_e820(struct fwcfg *fwcfg)
{
	struct buf *buf = &fwcfg->files[FILE_E820].data;
	const struct mem *mem = &fwcfg->vm->mem;

	buf_u64(buf, 0);
	buf_u64(buf, mem->low_end);
	buf_u32(buf, 1);
	if (mem->size == mem->low_end)
		return;
	buf_u64(buf, MEM_HIGH_START);
	buf_u64(buf, mem->size - mem->low_end);
	buf_u32(buf, 1);
}

/* Paths of Open Firmware, as SeaBIOS and OVMF read them: the disks first, then the nets. */
static void make_boot_order(struct fwcfg *fwcfg)
{
	struct buf *buf = &fwcfg->files[FILE_BOOT_ORDER].data;
	unsigned int slot;
	char line[64];

	for (slot = 1; slot < PCI_SLOTS; slot++)
		if (virtio_slot_type(fwcfg->vm, slot) == VIRTIO_BLOCK) {
			snprintf(line, sizeof(line), "/pci@i0cf8/scsi@%x/disk@0,0\n", slot);
			buf_text(buf, line);
		}
	for (slot = 1; slot < PCI_SLOTS; slot++)
		if (virtio_slot_type(fwcfg->vm, slot) == VIRTIO_NET) {
			snprintf(line, sizeof(line), "/pci@i0cf8/ethernet@%x/ethernet-phy@0\n",
				 slot);
			buf_text(buf, line);
		}
	buf_u8(buf, 0);
}

static void make_files(struct fwcfg *fwcfg)
{
	static const char *const NAMES[FILES] = {
		[FILE_RSDP] = "etc/acpi/rsdp",
		[FILE_TABLES] = "etc/acpi/tables",
		[FILE_E820] = "etc/e820",
		[FILE_SMBIOS_ANCHOR] = "etc/smbios/smbios-anchor",
		[FILE_SMBIOS_TABLES] = "etc/smbios/smbios-tables",
		[FILE_STATES] = "etc/system-states",
		[FILE_SCRIPT] = "etc/table-loader",
		[FILE_BOOT_ORDER] = "bootorder",
		[FILE_SERIAL_CONSOLE] = "etc/sercon-port",
	};
	unsigned int i;

	for (i = 0; i < FILES; i++)
		fwcfg->files[i].name = NAMES[i];
	make_e820(fwcfg);
	make_boot_order(fwcfg);
	smbios_build(&fwcfg->files[FILE_SMBIOS_ANCHOR].data, &fwcfg->files[FILE_SMBIOS_TABLES].data,
		     fwcfg->vm);
	buf_bytes(&fwcfg->files[FILE_STATES].data, (uint8_t[]){ 128, 0, 0, 0, 0, 128 }, 6);
	/* There is no display: SeaBIOS's services for the screen talk on the serial port. */
	buf_u16(&fwcfg->files[FILE_SERIAL_CONSOLE].data, SERIAL_PORT);
	buf_text(&fwcfg->signature, "QEMU");
	buf_u32(&fwcfg->id, 3);
	buf_u16(&fwcfg->cpus, fwcfg->vm->config->cpus);
}

/* The devices are all there by the first reset. */
static void fwcfg_reset(void *owner)
{
	struct fwcfg *fwcfg = owner;

	if (!fwcfg->signature.size)
		make_files(fwcfg);
	fwcfg->key = 0;
	fwcfg->at = 0;
	fwcfg->dma = 0;
	fwcfg->tables_made = false;
	make_directory(fwcfg);
}

static void fwcfg_state(void *owner, struct snap *snap)
{
	struct fwcfg *fwcfg = owner;

	snap_value(snap, &fwcfg->key);
	snap_value(snap, &fwcfg->at);
	snap_value(snap, &fwcfg->dma);
}

static void fwcfg_destroy(void *owner)
{
	struct fwcfg *fwcfg = owner;
	unsigned int i;

	for (i = 0; i < FILES; i++)
		buf_fini(&fwcfg->files[i].data);
	buf_fini(&fwcfg->directory);
	buf_fini(&fwcfg->signature);
	buf_fini(&fwcfg->id);
	buf_fini(&fwcfg->cpus);
	free(fwcfg);
}

int fwcfg_create(struct vm *vm)
{
	struct fwcfg *fwcfg = calloc(1, sizeof(*fwcfg));

	if (!fwcfg)
		return -1;
	fwcfg->vm = vm;
	vm->fwcfg = fwcfg;
	bus_add(&vm->ports, 0x510, 2, &PORT_OPS, fwcfg);
	bus_add(&vm->ports, 0x514, 8, &DMA_OPS, fwcfg);
	fwcfg->device = (struct vm_device){ .name = "fwcfg",
					    .version = 1,
					    .reset = fwcfg_reset,
					    .state = fwcfg_state,
					    .owner = fwcfg,
					    .destroy = fwcfg_destroy };
	vm_device_add(vm, &fwcfg->device);
	return 0;
}
