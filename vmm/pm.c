// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ACPI's fixed hardware: see pm.h. Registers, from the base:
 *
 *	0  events' status (2), enable (2)	4  control (2)		8  timer (4)
 *	0x20  general events' status (2)	0x22... enable (at half of the block of 16)
 *	0x30  SMI enable: says that firmware needs no SMM
 *
 * Hot-plug, at PM_HOTPLUG: 0 slots plugged (read, then cleared), 4 slots to leave (read, then
 * cleared), 8 eject: a bit a slot (write).
 */
#include "vmm/pm.h"
#include "vmm/pci.h"
#include "vmm/snap.h"

#include <stdlib.h>

#define TIMER_HZ 3579545u
#define STATUS_TIMER 0x1u
#define STATUS_BUTTON 0x100u
#define STATUS_WAKE 0x8000u
#define CONTROL_SCI 0x1u
#define CONTROL_SLEEP 0x2000u
#define GPE_SIZE 16u
#define SMI_AT 0x30u
#define SMI_APMC 0x20u

static void update_level(struct pm *pm)
{
	bool level = (pm->status & pm->enable & ~STATUS_TIMER) ||
		     (pm->gpe_status[0] & pm->gpe_enable[0]) ||
		     (pm->gpe_status[1] & pm->gpe_enable[1]);

	if (level != pm->level)
		hv_irq_set(pm->vm->hv, PM_SCI, level);
	pm->level = level;
}

static uint32_t timer_value(const struct pm *pm)
{
	unsigned __int128 ns = loop_now() - pm->timer_zero;

	return (uint32_t)(ns * TIMER_HZ / 1000000000u) & 0xffffff;
}

static uint8_t byte_read(struct pm *pm, uint64_t at)
{
	if (at < 2)
		return (uint8_t)(pm->status >> 8 * at);
	if (at < 4)
		return (uint8_t)(pm->enable >> 8 * (at - 2));
	if (at < 6)
		return (uint8_t)(pm->control >> 8 * (at - 4));
	if (at >= PM_GPE_AT && at < PM_GPE_AT + 2)
		return pm->gpe_status[at - PM_GPE_AT];
	if (at >= PM_GPE_AT + GPE_SIZE / 2 && at < PM_GPE_AT + GPE_SIZE / 2 + 2)
		return pm->gpe_enable[at - PM_GPE_AT - GPE_SIZE / 2];
	return at == SMI_AT ? SMI_APMC : 0;
}

static uint64_t pm_read(void *owner, uint64_t offset, unsigned int size)
{
	struct pm *pm = owner;
	uint64_t value = 0;
	unsigned int i;

	if (offset >= 8 && offset < 12)
		return timer_value(pm) >> 8 * (offset - 8);
	for (i = 0; i < size; i++)
		value |= (uint64_t)byte_read(pm, offset + i) << 8 * i;
	return value;
}

/* Going to sleep is S5, whatever type is asked for: no other state is offered. */
static void control_written(struct pm *pm)
{
	if (pm->control & CONTROL_SLEEP)
		vm_end(pm->vm, VMM_END_POWEROFF, 0, "%s", "");
	pm->control = (uint16_t)((pm->control & ~CONTROL_SLEEP) | CONTROL_SCI);
}

static void byte_write(struct pm *pm, uint64_t at, uint8_t value)
{
	unsigned int shift = at & 1 ? 8 : 0;

	if (at < 2)
		pm->status &= (uint16_t) ~(value << shift);
	else if (at < 4)
		pm->enable = (uint16_t)((pm->enable & ~(0xff << shift)) | value << shift);
	else if (at < 6)
		pm->control = (uint16_t)((pm->control & ~(0xff << shift)) | value << shift);
	else if (at >= PM_GPE_AT && at < PM_GPE_AT + 2)
		pm->gpe_status[at - PM_GPE_AT] &= (uint8_t)~value;
	else if (at >= PM_GPE_AT + GPE_SIZE / 2 && at < PM_GPE_AT + GPE_SIZE / 2 + 2)
		pm->gpe_enable[at - PM_GPE_AT - GPE_SIZE / 2] = value;
}

static void pm_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pm *pm = owner;
	unsigned int i;

	for (i = 0; i < size; i++)
		byte_write(pm, offset + i, (uint8_t)(value >> 8 * i));
	if (offset < 6 && offset + size > 4)
		control_written(pm);
	update_level(pm);
}

static const struct bus_ops PM_OPS = { pm_read, pm_write };

void pm_place(struct pm *pm, uint16_t base)
{
	if (base == pm->base)
		return;
	if (pm->base)
		bus_remove(&pm->vm->ports, pm->base, pm);
	pm->base = base;
	if (base && bus_add(&pm->vm->ports, base, PM_SIZE, &PM_OPS, pm))
		pm->base = 0;
}

void pm_power_button(struct pm *pm)
{
	pm->status |= STATUS_BUTTON;
	update_level(pm);
}

static void take(uint32_t *word, uint64_t *value)
{
	*value = *word;
	*word = 0;
}

static uint64_t hotplug_read(void *owner, uint64_t offset, unsigned int size)
{
	struct pm *pm = owner;
	uint64_t value = 0;

	if (size == 4 && offset == 0)
		take(&pm->up, &value);
	else if (size == 4 && offset == 4)
		take(&pm->down, &value);
	return value;
}

static void hotplug_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pm *pm = owner;
	unsigned int slot;

	if (offset != 8 || size != 4)
		return;
	for (slot = 1; slot < PCI_SLOTS - 1; slot++) {
		struct pci_dev *dev = pm->vm->pci->slots[slot];

		if ((value >> slot & 1) && dev && dev->ejected)
			dev->ejected(dev->owner);
	}
}

static const struct bus_ops HOTPLUG_OPS = { hotplug_read, hotplug_write };

void pm_hotplug(struct pm *pm, unsigned int slot, bool up)
{
	*(up ? &pm->up : &pm->down) |= 1u << slot;
	pm->gpe_status[0] |= 1u << PM_HOTPLUG_GPE;
	update_level(pm);
}

static void pm_reset(void *owner)
{
	struct pm *pm = owner;

	pm->status = pm->enable = 0;
	pm->control = CONTROL_SCI;
	pm->gpe_status[0] = pm->gpe_status[1] = 0;
	pm->gpe_enable[0] = pm->gpe_enable[1] = 0;
	pm->up = pm->down = 0;
	pm->timer_zero = loop_now();
	pm_place(pm, pm->vm->config->firmware ? 0 : PM_BASE);
	update_level(pm);
}

static void pm_state(void *owner, struct snap *snap)
{
	struct pm *pm = owner;
	uint64_t ticks = loop_now() - pm->timer_zero;
	uint16_t base = pm->base;

	snap_value(snap, &base);
	snap_value(snap, &pm->status);
	snap_value(snap, &pm->enable);
	snap_value(snap, &pm->control);
	snap_value(snap, &pm->gpe_status);
	snap_value(snap, &pm->gpe_enable);
	snap_value(snap, &pm->up);
	snap_value(snap, &pm->down);
	snap_value(snap, &ticks);
	if (!snap->load || snap->bad)
		return;
	pm->timer_zero = loop_now() - ticks;
	pm_place(pm, base & 0xff80);
	update_level(pm);
}

struct pm *pm_create(struct vm *vm)
{
	struct pm *pm = calloc(1, sizeof(*pm));

	if (!pm)
		return NULL;
	pm->vm = vm;
	bus_add(&vm->ports, PM_HOTPLUG, 12, &HOTPLUG_OPS, pm);
	pm->device = (struct vm_device){ .name = "pm",
					 .version = 1,
					 .reset = pm_reset,
					 .state = pm_state,
					 .owner = pm,
					 .destroy = free };
	vm_device_add(vm, &pm->device);
	return pm;
}
