/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI's fixed hardware (ACPI 6.4, section 4.8) where the ICH9 has it: power management events with
 * the power button, control with sleep, the timer, and a general event for hot-plug; besides, the
 * ports by which the guest's AML learns what was plugged and ejects it.
 */
#ifndef VMM_PM_H
#define VMM_PM_H

#include "vmm/vm.h"

#define PM_BASE 0x600u /* where firmware for q35 puts it, and we without firmware */
#define PM_GPE_AT 0x20u
#define PM_SIZE 0x80u
#define PM_SCI 9u /* its interrupt: level, high */
#define PM_HOTPLUG 0xae00u /* see pm.c */
#define PM_HOTPLUG_GPE 1u

struct pm {
	struct vm *vm;
	uint16_t base; /* 0: nowhere */
	uint16_t status, enable, control;
	uint8_t gpe_status[2], gpe_enable[2];
	uint64_t timer_zero; /* loop_now() when the timer was 0 */
	uint32_t up, down; /* slots with news, until they are read */
	bool level;
	struct vm_device device;
};

struct pm *pm_create(struct vm *vm);
void pm_place(struct pm *pm, uint16_t base);
void pm_power_button(struct pm *pm);

/* A device came into a slot, or is asked to leave it. */
void pm_hotplug(struct pm *pm, unsigned int slot, bool up);

#endif
