// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The keyboard controller, an 8042, with nothing plugged in: it resets the machine, and answers
 * those who ask it what it is before they know better (the IBM PC AT's technical reference, 1985,
 * "Keyboard controller"). ACPI says that there is none.
 */
#include "vmm/chipset.h"
#include "vmm/snap.h"
#include "vmm/vm.h"

#include <stdlib.h>

#define DATA 0x60u
#define COMMAND 0x64u
#define STATUS_FULL 0x01u /* a byte waits to be read */
#define STATUS_SYSTEM 0x04u /* the self test was passed */
#define STATUS_UNLOCKED 0x10u
#define CONFIG_DISABLED 0x30u /* the keyboard's and the mouse's clocks stand still */
#define OUTPUT_RUNNING 0x01u /* low resets the processor */
#define OUTPUT_A20 0x02u
#define NO_KEYBOARD 0xfeu /* what it says in the place of a keyboard that does not answer */
#define TEST_GOOD 0x55u
#define LINE_HIGH 0x04u /* a line's test: the data line stays high */

enum command {
	READ_CONFIG = 0x20,
	WRITE_CONFIG = 0x60,
	TEST_MOUSE_LINE = 0xa9,
	TEST_SELF = 0xaa,
	TEST_KEYBOARD_LINE = 0xab,
	READ_OUTPUT = 0xd0,
	WRITE_OUTPUT = 0xd1,
	PULSE = 0xf0, /* and all above */
};

struct i8042 {
	struct vm *vm;
	uint8_t config;
	uint8_t data, full; /* what waits to be read, and whether anything does */
	uint8_t pending; /* the command whose byte comes next; 0: none */
	struct vm_device device;
};

static void answer(struct i8042 *chip, uint8_t data)
{
	chip->data = data;
	chip->full = 1;
}

static void command(struct i8042 *chip, uint8_t value)
{
	chip->pending = 0;
	if (value >= PULSE) {
		if (!(value & OUTPUT_RUNNING))
			vm_reset(chip->vm);
		return;
	}
	switch (value) {
	case READ_CONFIG:
		return answer(chip, chip->config);
	case TEST_SELF:
		return answer(chip, TEST_GOOD);
	case TEST_MOUSE_LINE:
	case TEST_KEYBOARD_LINE:
		return answer(chip, LINE_HIGH);
	case READ_OUTPUT:
		return answer(chip, OUTPUT_RUNNING | OUTPUT_A20);
	case WRITE_CONFIG:
	case WRITE_OUTPUT:
		chip->pending = value;
	}
}

static uint64_t command_read(void *owner, uint64_t offset, unsigned int size)
{
	const struct i8042 *chip = owner;

	(void)offset;
	(void)size;
	return STATUS_SYSTEM | STATUS_UNLOCKED | (chip->full ? STATUS_FULL : 0);
}

static void command_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	(void)offset;
	(void)size;
	command(owner, (uint8_t)value);
}

static uint64_t data_read(void *owner, uint64_t offset, unsigned int size)
{
	struct i8042 *chip = owner;

	(void)offset;
	(void)size;
	chip->full = 0;
	return chip->data;
}

static void data_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	struct i8042 *chip = owner;

	(void)offset;
	(void)size;
	if (chip->pending == WRITE_CONFIG)
		chip->config = (uint8_t)value;
	else if (chip->pending == WRITE_OUTPUT && !(value & OUTPUT_RUNNING))
		vm_reset(chip->vm);
	else if (!chip->pending)
		answer(chip, NO_KEYBOARD);
	chip->pending = 0;
}

static const struct bus_ops COMMAND_OPS = { command_read, command_write };
static const struct bus_ops DATA_OPS = { data_read, data_write };

static void i8042_reset(void *owner)
{
	struct i8042 *chip = owner;

	chip->config = CONFIG_DISABLED;
	chip->data = chip->full = chip->pending = 0;
}

static void i8042_state(void *owner, struct snap *snap)
{
	struct i8042 *chip = owner;

	snap_value(snap, &chip->config);
	snap_value(snap, &chip->data);
	snap_value(snap, &chip->full);
	snap_value(snap, &chip->pending);
}

int i8042_create(struct vm *vm)
{
	struct i8042 *chip = calloc(1, sizeof(*chip));

	if (!chip)
		return -1;
	chip->vm = vm;
	bus_add(&vm->ports, DATA, 1, &DATA_OPS, chip);
	bus_add(&vm->ports, COMMAND, 1, &COMMAND_OPS, chip);
	chip->device = (struct vm_device){ .name = "i8042",
					   .version = 1,
					   .reset = i8042_reset,
					   .state = i8042_state,
					   .owner = chip,
					   .destroy = free };
	vm_device_add(vm, &chip->device);
	return 0;
}
