// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Small ports: port 0x92, the debug exit, pvpanic.
 */
#include "vmm/chipset.h"
#include "vmm/vm.h"

#include <stdlib.h>

#define DEBUG_EXIT 0xf4u
#define PVPANIC 0x505u
#define PVPANIC_PANICKED 1u
#define PVPANIC_LOADED 2u /* the guest's crash kernel takes over */

static uint64_t system_control_read(void *owner, uint64_t offset, unsigned int size)
{
	(void)owner;
	(void)offset;
	(void)size;
	return 2; /* address line 20 is on */
}

static void system_control_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	(void)offset;
	(void)size;
	if (value & 1)
		vm_reset(owner);
}

static uint64_t debug_read(void *owner, uint64_t offset, unsigned int size)
{
	(void)owner;
	(void)offset;
	(void)size;
	return 0;
}

static void debug_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	(void)offset;
	(void)size;
	vm_end(owner, VMM_END_DEBUG, (int)(value & 0xff), "the guest wrote %u to its exit port",
	       (unsigned int)(value & 0xff));
}

static uint64_t pvpanic_read(void *owner, uint64_t offset, unsigned int size)
{
	(void)owner;
	(void)offset;
	(void)size;
	return PVPANIC_PANICKED | PVPANIC_LOADED;
}

static void pvpanic_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	struct vm *vm = owner;

	(void)offset;
	(void)size;
	if (!(value & PVPANIC_PANICKED) || vm->panicked)
		return;
	vm->panicked = true;
	vm_event(vm, "panicked", "{}");
}

static const struct bus_ops SYSTEM_CONTROL_OPS = { system_control_read, system_control_write };
static const struct bus_ops DEBUG_OPS = { debug_read, debug_write };
static const struct bus_ops PVPANIC_OPS = { pvpanic_read, pvpanic_write };

void vm_reset_port(struct vm *vm, uint8_t value)
{
	if (value & 4)
		vm_reset(vm);
}

int misc_create(struct vm *vm)
{
	bus_add(&vm->ports, 0x92, 1, &SYSTEM_CONTROL_OPS, vm);
	if (vm->config->debug_exit)
		bus_add(&vm->ports, DEBUG_EXIT, 4, &DEBUG_OPS, vm);
	bus_add(&vm->ports, PVPANIC, 1, &PVPANIC_OPS, vm);
	return 0;
}
