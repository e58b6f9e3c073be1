/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What we need of ACPI's static tables: processors, I/O APICs, timers, how to turn the machine
 * off. No AML is read: that is Dom0's. Source: ACPI 6.4, chapter 5.2.
 */
#include "hosts/metal/metal.h"
#include "hosts/metal/acpi.h"

struct acpi acpi;

static struct acpi_rsdp rsdp;

static bool checks(const void *table, u32 bytes)
{
	u8 sum = 0;

	for (u32 i = 0; i < bytes; i++)
		sum += ((const u8 *)table)[i];
	return !sum;
}

static bool rsdp_at(u64 pa)
{
	const struct acpi_rsdp *found = direct(pa);

	if (__builtin_memcmp(found->signature, "RSD PTR ", 8) || !checks(found, 20))
		return false;
	rsdp = *found;
	return true;
}

/* As PCs without another way have it: in the first KiB of the EBDA, or below 1 MiB. */
static bool rsdp_search(void)
{
	u64 ebda = (u64) * (u16 *)direct(0x40e) << 4;

	for (u64 at = ebda; ebda && at < ebda + 1024; at += 16)
		if (rsdp_at(at))
			return true;
	for (u64 at = 0xe0000; at < 0x100000; at += 16)
		if (rsdp_at(at))
			return true;
	return false;
}

static const struct acpi_header *root(void)
{
	return rsdp.revision >= 2 && rsdp.xsdt ? map_device(rsdp.xsdt, 4096) :
						 map_device(rsdp.rsdt, 4096);
}

u64 acpi_entry(unsigned int n)
{
	const struct acpi_header *table = root();
	const u8 *entries = (const u8 *)(table + 1);
	u32 size = rsdp.revision >= 2 && rsdp.xsdt ? 8 : 4;
	u64 entry = 0;

	if (sizeof(*table) + (n + 1) * size > table->length)
		return 0;
	__builtin_memcpy(&entry, entries + n * size, size);
	return entry;
}

const void *acpi_table(const char *signature, unsigned int n)
{
	u64 entry;

	for (unsigned int i = 0; (entry = acpi_entry(i)); i++) {
		const struct acpi_header *table = map_device(entry, 4096);

		if (!__builtin_memcmp(table->signature, signature, 4) && !n--)
			return table;
	}
	return NULL;
}

/* ---- MADT ---- */

static void madt_cpu(u32 apic_id, u32 flags)
{
	if (!(flags & 1) || acpi.cpus == METAL_MAX_CPUS)
		return;
	acpi.cpu[acpi.cpus++].apic_id = apic_id;
}

static void madt_take(const u8 *entry)
{
	const struct madt_lapic *lapic = (const void *)entry;
	const struct madt_x2apic *x2apic = (const void *)entry;
	const struct madt_ioapic *ioapic = (const void *)entry;
	const struct madt_override *override = (const void *)entry;

	if (entry[0] == MADT_LAPIC)
		madt_cpu(lapic->apic_id, lapic->flags);
	else if (entry[0] == MADT_X2APIC)
		madt_cpu(x2apic->apic_id, x2apic->flags);
	else if (entry[0] == MADT_IOAPIC && acpi.ioapics < BV_ARRAY_SIZE(acpi.ioapic))
		acpi.ioapic[acpi.ioapics++] =
			(struct acpi_ioapic){ ioapic->address, ioapic->gsi_base, ioapic->id };
	else if (entry[0] == MADT_OVERRIDE && acpi.overrides < BV_ARRAY_SIZE(acpi.override))
		acpi.override[acpi.overrides++] =
			(struct acpi_override){ override->irq, override->gsi, override->flags };
}

static void madt_read(void)
{
	const struct acpi_madt *madt = acpi_table("APIC", 0);

	if (!madt)
		panic("ACPI has no MADT: this machine's processors and interrupt controllers are "
		      "unknown");
	for (u32 at = sizeof(*madt); at + 2 <= madt->header.length;) {
		const u8 *entry = (const u8 *)madt + at;

		if (entry[1] < 2)
			break;
		madt_take(entry);
		at += entry[1];
	}
}

/* ---- FADT ---- */

static void fadt_read(void)
{
	const struct acpi_fadt *fadt = acpi_table("FACP", 0);

	if (!fadt)
		return;
	acpi.pm1a_control = (u16)fadt->pm1a_control;
	acpi.pm1b_control = (u16)fadt->pm1b_control;
	if (fadt->pm_timer && fadt->pm_timer_length == 4)
		acpi.pm_timer = (u16)fadt->pm_timer;
	acpi.pm_timer32 = fadt->flags & FADT_TIMER_32;
	if (fadt->header.length >= 129 && fadt->flags & FADT_RESET) {
		acpi.reset_space = fadt->reset_space;
		acpi.reset_address = fadt->reset_address;
		acpi.reset_value = fadt->reset_value;
	}
}

static void mcfg_read(void)
{
	const struct acpi_mcfg *mcfg = acpi_table("MCFG", 0);

	if (!mcfg || mcfg->header.length < sizeof(*mcfg))
		return;
	acpi.mcfg_base = mcfg->base;
	acpi.mcfg_first_bus = mcfg->first_bus;
	acpi.mcfg_last_bus = mcfg->last_bus;
}

static void hpet_read(void)
{
	const struct acpi_hpet *hpet = acpi_table("HPET", 0);

	if (hpet && hpet->header.length >= sizeof(*hpet) && hpet->space == 0)
		acpi.hpet = hpet->address;
}

void acpi_init(void)
{
	if (!(boot.rsdp && rsdp_at(boot.rsdp)) && !rsdp_search())
		panic("no ACPI tables found");
	madt_read();
	fadt_read();
	mcfg_read();
	hpet_read();
	say_info("ACPI: %u CPUs, %u I/O APICs", acpi.cpus, acpi.ioapics);
}
