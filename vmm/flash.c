// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Firmware and its flash: see flash.h.
 *
 * The code is read-only memory that ends at 4 GiB. The variable store lies below it and behaves as
 * Intel's command set for flash wants it (JEDEC's Common Flash Interface; Intel StrataFlash
 * datasheets), with blocks of 4 KiB. While it reads as an array it is memory, so that reads cost
 * nothing; any write comes here, and in the other modes reads do, too.
 */
#include "vmm/flash.h"
#include "vmm/snap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOP 0x100000000ull
#define SHADOW_SIZE 0x20000u
#define SHADOW_AT 0xe0000u
#define FIRMWARE_MAX (16u << 20)
#define BLOCK 4096u
#define SLOT_CODE 8
#define SLOT_VARS 9

#define STATUS_READY 0x80u
#define STATUS_ERROR 0x30u

enum command {
	PROGRAM_2 = 0x10,
	ERASE = 0x20,
	PROGRAM = 0x40,
	CLEAR_STATUS = 0x50,
	READ_STATUS = 0x70,
	READ_ID = 0x90,
	CONFIRM = 0xd0,
	BUFFER = 0xe8, /* a count less one follows, then that many to program, then CONFIRM */
	BUFFER_DATA = 0xe9, /* (ours) the count has come */
	READ_ARRAY = 0xff,
};

struct flash {
	struct vm *vm;
	void *code;
	uint64_t code_size;
	uint8_t *vars; /* a shared mapping of the store's file; NULL: none */
	uint64_t vars_size;
	uint64_t vars_at;
	uint8_t command; /* READ_ARRAY when it is memory */
	uint8_t status;
	uint16_t left; /* of BUFFER_DATA */
	bool is_memory;
	struct vm_device device;
};

static void show_as_memory(struct flash *flash, bool on)
{
	if (!flash->vars || on == flash->is_memory)
		return;
	hv_memory_set(flash->vm->hv, SLOT_VARS, flash->vars_at, on ? flash->vars_size : 0,
		      flash->vars, true);
	flash->is_memory = on;
}

static uint64_t flash_read(void *owner, uint64_t offset, unsigned int size)
{
	struct flash *flash = owner;
	uint64_t value = 0;

	switch (flash->command) {
	case READ_ARRAY:
		memcpy(&value, flash->vars + offset, size);
		return value;
	case READ_ID:
		return 0;
	default:
		return flash->status * 0x0101010101010101ull;
	}
}

/* Bits go from one to zero. */
static void program(struct flash *flash, uint64_t offset, unsigned int size, uint64_t value)
{
	unsigned int i;

	for (i = 0; i < size; i++)
		flash->vars[offset + i] &= (uint8_t)(value >> 8 * i);
	flash->status |= STATUS_READY;
}

static void erase(struct flash *flash, uint64_t offset, uint64_t value)
{
	if ((uint8_t)value == CONFIRM)
		memset(flash->vars + (offset & ~(uint64_t)(BLOCK - 1)), 0xff, BLOCK);
	else
		flash->status |= STATUS_ERROR;
	flash->status |= STATUS_READY;
	flash->command = READ_STATUS;
}

static void buffered(struct flash *flash, uint64_t offset, unsigned int size, uint64_t value)
{
	if (flash->left) {
		flash->left--;
		program(flash, offset, size, value);
		return;
	}
	if ((uint8_t)value != CONFIRM)
		flash->status |= STATUS_ERROR;
	flash->command = READ_STATUS;
}

/*
 * A cleared status is 0, as OVMF wants it that looks whether this is flash; the same firmware then
 * writes back the byte that it tried this on: what is no command leads back to the array.
 */
static void command(struct flash *flash, uint8_t value)
{
	flash->command = value;
	switch (value) {
	case PROGRAM_2:
		flash->command = PROGRAM;
		return;
	case BUFFER:
		flash->status |= STATUS_READY;
		return;
	case ERASE:
	case PROGRAM:
	case READ_STATUS:
	case READ_ID:
		return;
	case CLEAR_STATUS:
		flash->status = 0;
	}
	flash->command = READ_ARRAY;
}

static void flash_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	struct flash *flash = owner;

	switch (flash->command) {
	case PROGRAM:
		program(flash, offset, size, value);
		flash->command = READ_STATUS;
		break;
	case ERASE:
		erase(flash, offset, value);
		break;
	case BUFFER:
		flash->left = (uint16_t)((value & 0xff) + 1);
		flash->command = BUFFER_DATA;
		break;
	case BUFFER_DATA:
		buffered(flash, offset, size, value);
		break;
	default:
		command(flash, (uint8_t)value);
	}
	show_as_memory(flash, flash->command == READ_ARRAY);
}

static const struct bus_ops FLASH_OPS = { flash_read, flash_write };

/* ---- files --------------------------------------------------------------------------------- */

static int open_sized(const char *path, int flags, uint64_t *size, struct why *why)
{
	struct stat status;
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		return why_set(why, "the firmware %s cannot be opened: %s", path, strerror(errno));
	if (fstat(fd, &status) || status.st_size <= 0 || status.st_size % BLOCK ||
	    status.st_size > FIRMWARE_MAX) {
		close(fd);
		return why_set(why,
			       "%s is no firmware: its size must be a multiple of 4 KiB, up to "
			       "16 MiB",
			       path);
	}
	*size = (uint64_t)status.st_size;
	return fd;
}

static int open_code(struct flash *flash, struct why *why)
{
	int fd = open_sized(flash->vm->config->firmware, O_RDONLY, &flash->code_size, why);

	if (fd < 0)
		return -1;
	flash->code = mmap(NULL, flash->code_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (flash->code == MAP_FAILED)
		return why_set(why, "the firmware cannot be read: %s", strerror(errno));
	return hv_memory_set(flash->vm->hv, SLOT_CODE, TOP - flash->code_size, flash->code_size,
			     flash->code, true) ?
		       why_set(why, "the hypervisor refuses the firmware: %s", strerror(errno)) :
		       0;
}

static int open_vars(struct flash *flash, struct why *why)
{
	const char *path = flash->vm->config->firmware_vars;
	int fd;

	if (!path)
		return 0;
	fd = open_sized(path, O_RDWR, &flash->vars_size, why);
	if (fd < 0)
		return -1;
	flash->vars = mmap(NULL, flash->vars_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (flash->vars == MAP_FAILED) {
		flash->vars = NULL;
		return why_set(why, "the variable store cannot be mapped: %s", strerror(errno));
	}
	flash->vars_at = TOP - flash->code_size - flash->vars_size;
	bus_add(&flash->vm->mmio, flash->vars_at, flash->vars_size, &FLASH_OPS, flash);
	return 0;
}

static void flash_reset(void *owner)
{
	struct flash *flash = owner;

	flash->command = READ_ARRAY;
	flash->status = STATUS_READY;
	show_as_memory(flash, true);
}

static void flash_state(void *owner, struct snap *snap)
{
	struct flash *flash = owner;

	snap_value(snap, &flash->command);
	snap_value(snap, &flash->status);
	snap_value(snap, &flash->left);
	if (snap->load && !snap->bad)
		show_as_memory(flash, flash->command == READ_ARRAY);
}

int flash_open(struct vm *vm, struct why *why)
{
	struct flash *flash = calloc(1, sizeof(*flash));

	if (!flash)
		return why_set(why, "no memory");
	vm->flash = flash;
	flash->vm = vm;
	flash->command = READ_ARRAY;
	flash->device = (struct vm_device){ .name = "flash",
					    .version = 1,
					    .reset = flash_reset,
					    .state = flash_state,
					    .owner = flash };
	if (open_code(flash, why) || open_vars(flash, why))
		return -1;
	vm_device_add(vm, &flash->device);
	return 0;
}

/* On a PC the end of the firmware is seen below 1 MiB, too; here it is a copy in RAM. */
void flash_load(struct vm *vm)
{
	const struct flash *flash = vm->flash;
	uint64_t size = flash->code_size < SHADOW_SIZE ? flash->code_size : SHADOW_SIZE;

	mem_write(&vm->mem, SHADOW_AT + SHADOW_SIZE - size,
		  (const uint8_t *)flash->code + flash->code_size - size, size);
}

void flash_close(struct vm *vm)
{
	struct flash *flash = vm->flash;

	if (!flash)
		return;
	vm_device_remove(vm, &flash->device);
	if (flash->vars)
		munmap(flash->vars, flash->vars_size);
	if (flash->code && flash->code != MAP_FAILED)
		munmap(flash->code, flash->code_size);
	free(flash);
	vm->flash = NULL;
}
