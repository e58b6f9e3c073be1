// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Drivers of the interrupt chips: as small as the tests allow, with no policy.
 */
#include "apic.h"
#include "cpu.h"

#define PIC1 0x20
#define PIC2 0xa0
#define PIT 0x40

bool apic_has_x2(void)
{
	return cpuid(1, 0).ecx >> 21 & 1;
}

static bool is_x2(void)
{
	return rdmsr(MSR_APIC_BASE) & APIC_BASE_X2;
}

/* Which mode a CPU is in is kept here: to ask the MSR costs an exit at each access. */
static bool x2_mode[MAX_CPUS];

void apic_set_x2(bool on)
{
	u64 base = rdmsr(MSR_APIC_BASE) & ~(u64)(APIC_BASE_X2 | APIC_BASE_ENABLE);

	if (!on && is_x2())
		wrmsr(MSR_APIC_BASE, base); /* the only way back leads through "off" */
	wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE | (on ? APIC_BASE_X2 : 0));
	x2_mode[this_cpu()->index] = on;
	apic_write(APIC_SPIV, 0x1ff);
}

u32 apic_read(u32 offset)
{
	if (x2_mode[this_cpu()->index])
		return (u32)rdmsr(MSR_X2APIC + offset / 16);
	return mmio_read32(APIC_PAGE + offset);
}

void apic_write(u32 offset, u32 value)
{
	if (x2_mode[this_cpu()->index])
		wrmsr(MSR_X2APIC + offset / 16, value);
	else
		mmio_write32(APIC_PAGE + offset, value);
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

void apic_ipi(u32 apic_id, u32 icr)
{
	if (x2_mode[this_cpu()->index]) {
		wrmsr(MSR_X2APIC + APIC_ICR / 16, (u64)apic_id << 32 | icr);
		return;
	}
	apic_write(APIC_ICR2, apic_id << 24);
	apic_write(APIC_ICR, icr);
}

void apic_ipi_shorthand(u32 icr)
{
	apic_ipi(0, icr);
}

bool apic_bit(u32 offset, u32 vector)
{
	return apic_read(offset + vector / 32 * 16) >> vector % 32 & 1;
}

void apic_init_cpu(void)
{
	x2_mode[this_cpu()->index] = is_x2();
	apic_write(APIC_SPIV, 0x1ff);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
	apic_write(APIC_LVT_LINT1, LVT_MASKED);
	this_cpu()->apic_id = apic_read(APIC_ID) >> (is_x2() ? 0 : 24);
}

bool has_pc_chips(void)
{
	/* its version; a PVH DomU has nothing there, nor any of the others */
	if (ioapic_read(1) != ~0u)
		return true;
	check_skip("no I/O APIC, 8259s and 8254");
	return false;
}

u32 ioapic_read(u32 index)
{
	mmio_write32(IOAPIC_PAGE, index);
	return mmio_read32(IOAPIC_PAGE + 0x10);
}

void ioapic_write(u32 index, u32 value)
{
	mmio_write32(IOAPIC_PAGE, index);
	mmio_write32(IOAPIC_PAGE + 0x10, value);
}

void ioapic_route(u32 pin, u32 apic_id, u32 low)
{
	ioapic_write(0x11 + 2 * pin, apic_id << 24);
	ioapic_write(0x10 + 2 * pin, low);
}

void pic_mask_all(void)
{
	outb(PIC1 + 1, 0xff);
	outb(PIC2 + 1, 0xff);
}

void pic_init(u8 base)
{
	outb(PIC1, 0x11);
	outb(PIC2, 0x11);
	outb(PIC1 + 1, base);
	outb(PIC2 + 1, base + 8);
	outb(PIC1 + 1, 4);
	outb(PIC2 + 1, 2);
	outb(PIC1 + 1, 1);
	outb(PIC2 + 1, 1);
	pic_mask_all();
}

void pit_start(u8 channel, u8 mode, u16 count)
{
	outb(PIT + 3, (u8)(channel << 6 | 0x30 | mode << 1));
	outb(PIT + channel, (u8)count);
	outb(PIT + channel, (u8)(count >> 8));
}

u16 pit_read(u8 channel)
{
	u16 low;

	outb(PIT + 3, (u8)(channel << 6));
	low = inb(PIT + channel);
	return (u16)(low | inb(PIT + channel) << 8);
}

void irq_count(struct trap_frame *frame)
{
	struct cpu *cpu = this_cpu();

	store32(&cpu->irqs[frame->vector], cpu->irqs[frame->vector] + 1);
	apic_eoi();
}
