/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine's local APICs and I/O APICs. Sources: Intel SDM volume 3, chapter 11 (APIC); 82093AA
 * data sheet.
 *
 * Local APICs work as Dom0 believes its own to do (passthrough.c): the flat logical model, CPU i
 * with logical ID 1 << i.
 */
#include "hosts/metal/metal.h"

#define APIC_ID 0x20
#define APIC_TPR 0x80
#define APIC_EOI 0xb0
#define APIC_LDR 0xd0
#define APIC_DFR 0xe0
#define APIC_SPURIOUS 0xf0
#define APIC_ICR 0x300
#define APIC_ICR_HIGH 0x310
#define APIC_LVT_LINT0 0x350
#define APIC_LVT_LINT1 0x360
#define APIC_LVT_ERROR 0x370
#define APIC_BASE_ENABLED BV_BIT(11)
#define APIC_BASE_X2APIC BV_BIT(10)
#define ICR_BUSY BV_BIT(12)

static u64 lapic_base; /* where its registers are mapped; 0: x2APIC, by MSRs */

u32 apic_read(u32 reg)
{
	return lapic_base ? mmio_read(lapic_base + reg) : (u32)rdmsr(0x800 + reg / 16);
}

void apic_write(u32 reg, u32 value)
{
	if (lapic_base)
		mmio_write(lapic_base + reg, value);
	else
		wrmsr(0x800 + reg / 16, value);
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

void apic_send(u32 apic_id, u32 low)
{
	u64 flags = irq_save();

	if (lapic_base) {
		while (apic_read(APIC_ICR) & ICR_BUSY)
			cpu_relax();
		apic_write(APIC_ICR_HIGH, apic_id << 24);
		apic_write(APIC_ICR, low);
	} else {
		wrmsr(0x830, low | (u64)apic_id << 32);
	}
	irq_restore(flags);
}

void apic_send_vector(u32 cpu, u8 vector)
{
	apic_send(metal_cpus[cpu]->apic_id, 0x4000 | vector);
}

/* Before the local APIC lets go of their line: one emulator would keep what they had raised. */
static void pic_silence(void)
{
	out_u8(0x21, 0xff);
	out_u8(0xa1, 0xff);
}

static void apic_find(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	if (!(base & APIC_BASE_X2APIC))
		lapic_base = (u64)map_device(base & 0xffffff000, BV_PAGE_SIZE);
}

void apic_init_cpu(void)
{
	u32 index = this_cpu()->index;

	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLED);
	if (!index) {
		pic_silence();
		apic_find();
	}
	if (lapic_base) {
		apic_write(APIC_DFR, ~0u);
		apic_write(APIC_LDR, index < 8 ? 1u << (24 + index) : 0);
	}
	apic_write(APIC_TPR, 0);
	apic_write(APIC_SPURIOUS, 0x100 | VECTOR_SPURIOUS);
	apic_write(APIC_LVT_LINT0, 0x10700);
	apic_write(APIC_LVT_LINT1, 0x10000);
	apic_write(APIC_LVT_ERROR, 0x10000);
	this_cpu()->apic_id = lapic_base ? apic_read(APIC_ID) >> 24 : apic_read(APIC_ID);
}

/* ---- I/O APICs ---- */

#define IOAPIC_SELECT 0x00
#define IOAPIC_WINDOW 0x10
#define IOAPIC_REDIRECT 0x10

static struct {
	struct bv_spinlock lock;
	u64 base[4];
	u32 pins[4];
} ioapics;

static u32 window_read(u32 which, u32 reg)
{
	mmio_write(ioapics.base[which] + IOAPIC_SELECT, reg);
	return mmio_read(ioapics.base[which] + IOAPIC_WINDOW);
}

static void window_write(u32 which, u32 reg, u32 value)
{
	mmio_write(ioapics.base[which] + IOAPIC_SELECT, reg);
	mmio_write(ioapics.base[which] + IOAPIC_WINDOW, value);
}

static bool ioapic_of(u32 gsi, u32 *which, u32 *pin)
{
	for (u32 i = 0; i < acpi.ioapics; i++)
		if (gsi - acpi.ioapic[i].gsi_base < ioapics.pins[i]) {
			*which = i;
			*pin = gsi - acpi.ioapic[i].gsi_base;
			return true;
		}
	return false;
}

bool ioapic_is_pin(u32 which, u32 pin)
{
	return pin < ioapics.pins[which];
}

u32 ioapic_pins(void)
{
	u32 end = 0;

	for (u32 i = 0; i < acpi.ioapics; i++)
		if (acpi.ioapic[i].gsi_base + ioapics.pins[i] > end)
			end = acpi.ioapic[i].gsi_base + ioapics.pins[i];
	return end;
}

/* Masked first, so that no half-written entry is live. */
void ioapic_write(u32 gsi, u64 entry)
{
	u64 flags = bv_host_spin_lock_irq(&ioapics.lock);
	u32 which, pin;

	if (ioapic_of(gsi, &which, &pin)) {
		window_write(which, IOAPIC_REDIRECT + 2 * pin, RTE_MASKED);
		window_write(which, IOAPIC_REDIRECT + 2 * pin + 1, (u32)(entry >> 32));
		window_write(which, IOAPIC_REDIRECT + 2 * pin, (u32)entry);
	}
	bv_host_spin_unlock_irq(&ioapics.lock, flags);
}

/*
 * The lower half alone: the mask of a level pin, which a switch to edge and back would make forget
 * its state.
 */
void ioapic_write_low(u32 gsi, u32 low)
{
	u64 flags = bv_host_spin_lock_irq(&ioapics.lock);
	u32 which, pin;

	if (ioapic_of(gsi, &which, &pin))
		window_write(which, IOAPIC_REDIRECT + 2 * pin, low);
	bv_host_spin_unlock_irq(&ioapics.lock, flags);
}

u64 ioapic_read(u32 gsi)
{
	u64 flags = bv_host_spin_lock_irq(&ioapics.lock), entry = RTE_MASKED;
	u32 which, pin;

	if (ioapic_of(gsi, &which, &pin))
		entry = window_read(which, IOAPIC_REDIRECT + 2 * pin) |
			(u64)window_read(which, IOAPIC_REDIRECT + 2 * pin + 1) << 32;
	bv_host_spin_unlock_irq(&ioapics.lock, flags);
	return entry;
}

/* The line of an ISA interrupt, with the trigger that ACPI tells. */
u64 ioapic_isa(u8 irq, u32 *gsi)
{
	*gsi = irq;
	for (u32 i = 0; i < acpi.overrides; i++)
		if (acpi.override[i].irq == irq) {
			u16 flags = acpi.override[i].flags;

			*gsi = acpi.override[i].gsi;
			return ((flags & 3) == 3 ? RTE_LOW : 0) |
			       ((flags >> 2 & 3) == 3 ? RTE_LEVEL : 0);
		}
	return 0;
}

void ioapic_init(void)
{
	bv_host_spin_init(&ioapics.lock);
	for (u32 i = 0; i < acpi.ioapics; i++) {
		ioapics.base[i] = (u64)map_device(acpi.ioapic[i].address, BV_PAGE_SIZE);
		ioapics.pins[i] = (window_read(i, 1) >> 16 & 0xff) + 1;
		for (u32 pin = 0; pin < ioapics.pins[i]; pin++)
			ioapic_write(acpi.ioapic[i].gsi_base + pin, RTE_MASKED);
	}
}
