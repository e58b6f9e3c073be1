/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The end of it all: halt, reboot, power off. */
#include "hosts/metal/metal.h"

void machine_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

/*
 * In the order in which they are the most likely to work: ACPI's register, the chipset's, the
 * keyboard controller, a triple fault.
 */
void machine_reboot(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((__packed__)) no_idt = { 0, 0 };

	irq_off();
	if (acpi.reset_address && acpi.reset_space == 1)
		out_u8((u16)acpi.reset_address, acpi.reset_value);
	delay_us(50000);
	out_u8(0xcf9, 0x02);
	out_u8(0xcf9, 0x06);
	delay_us(50000);
	out_u8(0x64, 0xfe);
	delay_us(50000);
	__asm__ volatile("lidt %0; int3" : : "m"(no_idt));
	machine_halt();
}

/*
 * The values for S5 stand in AML, which we do not read: Dom0 turns the machine off itself. What
 * comes here is a Dom0 that went away without ACPI; then the machine halts.
 */
void machine_off(void)
{
	say_info("halted: it is safe to turn the machine off");
	smp_stop_others();
	machine_halt();
}
