/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dom0 and the machine's hardware: ports, device memory, I/O APICs, interrupts.
 *
 * Interrupts keep their vectors. Dom0's vCPU i has the APIC ID of CPU i, and CPUs have the logical
 * IDs that Dom0 gives its vCPUs. So what Dom0 writes into a device's MSI registers is right as it
 * stands: the message comes to CPU i with the vector that Dom0 chose, and is handed on to vCPU i,
 * wherever that runs. Nothing of PCI has to be watched. Our own vectors lie above those that
 * Dom0's devices have.
 *
 * The I/O APICs' registers are emulated, each entry written through to the chip. A level interrupt
 * is masked in the chip when it comes and unmasked at Dom0's EOI, so that it cannot keep a CPU
 * from everything else. The engine tells of EOIs for vectors that stand in its routes as level
 * (BV_RUN_EOI); the front hands that on to bvx_host_dom0_eoi.
 */
#include "hosts/metal/metal.h"
#include "bv/irq.h"
#include "fronts/xen/xen.h"

#define MAX_PINS 240
#define RTE_VECTOR 0xffull
#define RTE_MODE 0x700ull
#define RTE_MODE_LOWEST 0x100ull
#define RTE_REMOTE_IRR BV_BIT(14)
#define RTE_DEST_SHIFT 56
#define RTE_WRITABLE 0xff0000000001afffull
#define IOAPIC_BYTES 0x100
#define FIRST_VECTOR 0x20

struct pin {
	u64 entry; /* as Dom0 wrote it */
	bool live; /* the chip has it unmasked, or masked only until the EOI */
	bool waits; /* for the EOI */
};

static struct {
	struct bv_spinlock lock;
	struct bvx_domain *dom0; /* constant after init; NULL before */
	struct bv_vm *vm;
	u32 pins; /* constant after init */
	u32 console_gsi;
	/* guarded by lock */
	struct pin pin[MAX_PINS];
	u32 select[4];
	/* of the vCPU's thread that writes an entry: route_mutex */
	struct bv_mutex route_mutex;
	struct bv_route route[MAX_PINS];
} pass;

/* ---- an entry ---- */

static bool entry_for_device(u64 entry)
{
	return !(entry & RTE_MASKED) && (entry & RTE_MODE) <= RTE_MODE_LOWEST &&
	       (entry & RTE_VECTOR) >= FIRST_VECTOR && (entry & RTE_VECTOR) < VECTOR_FIRST_OURS;
}

static struct bv_msi entry_message(u64 entry)
{
	return (struct bv_msi){
		.address = 0xfee00000 | (entry >> RTE_DEST_SHIFT) << 12 |
			   (entry & RTE_LOGICAL ? 4 : 0),
		.data = (u32)(entry & (RTE_VECTOR | RTE_MODE)) | (entry & RTE_LEVEL ? 0xc000 : 0),
	};
}

static bool entry_reaches(u64 entry, const struct metal_cpu *cpu)
{
	u64 dest = entry >> RTE_DEST_SHIFT;

	if (entry & RTE_LOGICAL)
		return dest >> cpu->index & 1;
	return dest == cpu->apic_id || dest == 0xff;
}

/* What the chip has of a pin. Under the lock. */
static void pin_program(u32 gsi)
{
	struct pin *pin = &pass.pin[gsi];

	pin->live = entry_for_device(pin->entry) && gsi != pass.console_gsi;
	if (gsi == pass.console_gsi)
		return;
	if (!(pin->entry & RTE_LEVEL))
		pin->waits = false;
	ioapic_write(gsi,
		     (pin->entry & RTE_WRITABLE) | (pin->live && !pin->waits ? 0 : RTE_MASKED));
}

/* So that the engine tells of the EOI of level interrupts. */
static void routes_update(void)
{
	u32 count = 0;

	bv_host_mutex_lock(&pass.route_mutex);
	for (u32 gsi = 0; gsi < pass.pins; gsi++) {
		u64 entry = BV_READ_ONCE(pass.pin[gsi].entry);

		if (entry_for_device(entry) && entry & RTE_LEVEL)
			pass.route[count++] = (struct bv_route){
				.gsi = gsi,
				.kind = BV_ROUTE_MSI,
				.msi = entry_message(entry),
			};
	}
	if (bv_irq_routes_set(pass.vm, pass.route, count))
		say_error("Dom0: routes of level interrupts could not be set");
	bv_host_mutex_unlock(&pass.route_mutex);
}

/* ---- an I/O APIC's registers, as Dom0 sees them ---- */

static bool window_pin(u32 which, u32 *gsi, bool *high)
{
	u32 index = pass.select[which] - 0x10;

	*gsi = acpi.ioapic[which].gsi_base + index / 2;
	*high = index & 1;
	return index < 2 * MAX_PINS && *gsi < pass.pins;
}

static u32 window_read(u32 which)
{
	u32 pins = 0, gsi;
	bool high;
	u64 entry;

	for (; ioapic_is_pin(which, pins); pins++)
		;
	if (pass.select[which] == 0 || pass.select[which] == 2)
		return (u32)acpi.ioapic[which].id << 24;
	if (pass.select[which] == 1)
		return 0x11 | (pins - 1) << 16;
	if (!window_pin(which, &gsi, &high))
		return 0;
	entry = pass.pin[gsi].entry | (pass.pin[gsi].waits ? RTE_REMOTE_IRR : 0);
	return (u32)(entry >> 32 * high);
}

/* Returns whether routes may have changed. */
static bool window_write(u32 which, u32 value)
{
	u64 old, entry;
	bool high;
	u32 gsi;

	if (!window_pin(which, &gsi, &high))
		return false;
	old = pass.pin[gsi].entry;
	entry = high ? (old & 0xffffffff) | (u64)value << 32 : (old & ~0xffffffffull) | value;
	pass.pin[gsi].entry = entry & RTE_WRITABLE;
	pin_program(gsi);
	return (entry_for_device(old) && old & RTE_LEVEL) ||
	       (entry_for_device(entry) && entry & RTE_LEVEL);
}

static void ioapic_access(u32 which, struct bv_run *run)
{
	u32 reg = (u32)(run->mmio.gpa - acpi.ioapic[which].address), value = 0;
	bool routes = false;
	u64 flags = bv_host_spin_lock_irq(&pass.lock);

	if (run->mmio.write) {
		__builtin_memcpy(&value, run->mmio.data, run->mmio.len < 4 ? run->mmio.len : 4);
		if (reg == 0)
			pass.select[which] = value & 0xff;
		else if (reg == 0x10)
			routes = window_write(which, value);
	} else {
		value = reg == 0 ? pass.select[which] : reg == 0x10 ? window_read(which) : 0;
		__builtin_memset(run->mmio.data, 0, sizeof(run->mmio.data));
		__builtin_memcpy(run->mmio.data, &value, 4);
	}
	bv_host_spin_unlock_irq(&pass.lock, flags);
	if (routes)
		routes_update();
}

/* ---- interrupts ---- */

/*
 * Takes note of the level pins with this vector that reach this CPU; *entry is one of them, or of
 * the edge ones.
 */
static bool pins_raised(u8 vector, const struct metal_cpu *cpu, u64 *entry)
{
	bool found = false;

	bv_host_spin_lock(&pass.lock);
	for (u32 gsi = 0; gsi < pass.pins; gsi++) {
		struct pin *pin = &pass.pin[gsi];

		if (!pin->live || pin->waits || (pin->entry & RTE_VECTOR) != vector ||
		    !entry_reaches(pin->entry, cpu))
			continue;
		found = true;
		*entry = pin->entry;
		if (pin->entry & RTE_LEVEL) {
			pin->waits = true;
			ioapic_write_low(gsi, (u32)(pin->entry & RTE_WRITABLE) | RTE_MASKED);
		}
	}
	bv_host_spin_unlock(&pass.lock);
	return found;
}

void passthrough_interrupt(u8 vector)
{
	struct bv_msi message = { .address = 0xfee00000 | (u64)this_cpu()->apic_id << 12,
				  .data = vector };
	u64 entry;

	if (pass.dom0 && pins_raised(vector, this_cpu(), &entry)) {
		message = entry_message(entry);
		/* To this CPU's vCPU: the chip has chosen among several. */
		message.address = 0xfee00000 | (u64)this_cpu()->apic_id << 12;
		message.data &= ~(u32)RTE_MODE;
	}
	apic_eoi();
	if (pass.dom0)
		bv_irq_msi(pass.vm, &message);
}

void bvx_host_dom0_eoi(u8 vector)
{
	u64 flags = bv_host_spin_lock_irq(&pass.lock);

	for (u32 gsi = 0; gsi < pass.pins; gsi++) {
		struct pin *pin = &pass.pin[gsi];

		if (!pin->waits || (pin->entry & RTE_VECTOR) != vector)
			continue;
		pin->waits = false;
		if (pin->live)
			ioapic_write_low(gsi, (u32)(pin->entry & RTE_WRITABLE));
	}
	bv_host_spin_unlock_irq(&pass.lock, flags);
}

u32 bvx_host_gsis(void)
{
	return ioapic_pins();
}

/* ---- ports ---- */

/* Ours: the console, the 8259s. */
static bool port_ours(u16 port)
{
	if (console_port() && port >= console_port() && port < console_port() + 8)
		return true;
	return port == 0x20 || port == 0x21 || port == 0xa0 || port == 0xa1;
}

static void port_in(u16 port, u32 bytes, void *to)
{
	u32 value = ~0u;

	if (!port_ours(port))
		value = bytes == 1 ? in_u8(port) : bytes == 2 ? in_u16(port) : in_u32(port);
	__builtin_memcpy(to, &value, bytes);
}

static void port_out(u16 port, u32 bytes, const void *from)
{
	u32 value = 0;

	__builtin_memcpy(&value, from, bytes);
	if (port_ours(port))
		return;
	if (bytes == 1)
		out_u8(port, (u8)value);
	else if (bytes == 2)
		out_u16(port, (u16)value);
	else
		out_u32(port, value);
}

static void port_access(struct bv_run *run, u8 *data)
{
	for (u32 i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.write)
			port_out(run->io.port, run->io.size, data);
		else
			port_in(run->io.port, run->io.size, data);
	}
}

/* All others are Dom0's without exits, where the processor can do that; else port_access. */
static void ports_direct(void)
{
	u32 first = 0;

	for (u32 port = 0; port <= 0x10000; port++) {
		if (port < 0x10000 && !port_ours((u16)port))
			continue;
		if (port > first && bv_vm_ports_direct(pass.vm, (u16)first, port - first))
			return;
		first = port + 1;
	}
}

/* ---- memory ---- */

bool passthrough_address(u64 start, u64 end)
{
	for (u32 i = 0; i < boot.ranges; i++)
		if (boot.range[i].kind == RANGE_RAM && boot.range[i].start < end &&
		    start < boot.range[i].end)
			return false;
	for (u32 i = 0; i < acpi.ioapics; i++)
		if (acpi.ioapic[i].address < end && start < acpi.ioapic[i].address + BV_PAGE_SIZE)
			return false;
	return !iommu_address(start, end) && (end <= 0xfee00000 || start >= 0xfee01000);
}

/*
 * A device's address that Dom0 touches for the first time (only those below 4 GiB are mapped
 * beforehand): mapped, as much of 2 MiB as may be passed through, and carried out by hand this
 * once.
 */
static void device_access(struct bv_run *run)
{
	u64 gpa = run->mmio.gpa, first = gpa & ~0x1fffffull, page = gpa & BV_PAGE_MASK;
	volatile u8 *at;

	if (!passthrough_address(gpa, gpa + run->mmio.len)) {
		if (!run->mmio.write)
			__builtin_memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		return;
	}
	if (passthrough_address(first, first + 0x200000))
		bvx_dom0_map(pass.dom0, BV_GFN(first >> 12), BV_MFN(first >> 12), 512,
			     BVX_DOM0_MMIO);
	else
		bvx_dom0_map(pass.dom0, BV_GFN(page >> 12), BV_MFN(page >> 12), 1, BVX_DOM0_MMIO);
	at = map_device(gpa, run->mmio.len);
	if (run->mmio.len == 8)
		run->mmio.write ? (void)(*(volatile u64 *)at = *(u64 *)run->mmio.data) :
				  (void)(*(u64 *)run->mmio.data = *(volatile u64 *)at);
	else if (run->mmio.len == 4)
		run->mmio.write ? (void)(*(volatile u32 *)at = *(u32 *)run->mmio.data) :
				  (void)(*(u32 *)run->mmio.data = *(volatile u32 *)at);
	else
		for (u32 i = 0; i < run->mmio.len; i++)
			run->mmio.write ? (void)(at[i] = run->mmio.data[i]) :
					  (void)(run->mmio.data[i] = at[i]);
}

static void memory_access(struct bv_run *run)
{
	for (u32 i = 0; i < acpi.ioapics; i++)
		if (run->mmio.gpa - acpi.ioapic[i].address < IOAPIC_BYTES) {
			ioapic_access(i, run);
			return;
		}
	device_access(run);
}

void bvx_host_dom0_access(struct bvx_vcpu *vcpu, struct bv_run *run, void *io_page)
{
	(void)vcpu;
	if (run->reason == BV_RUN_IO)
		port_access(run, io_page);
	else
		memory_access(run);
}

/* ---- PCI: devices are Dom0's, nothing has to be known of them ---- */

int bvx_host_pci_add(struct bvx_pci pci, const struct bvx_pci_info *info)
{
	(void)pci, (void)info;
	return 0;
}

int bvx_host_pci_remove(struct bvx_pci pci)
{
	(void)pci;
	return 0;
}

int bvx_host_pci_mmcfg(u64 address, u16 segment, u8 first_bus, u8 last_bus, bool used)
{
	(void)address, (void)segment, (void)first_bus, (void)last_bus, (void)used;
	return 0;
}

int bvx_host_pci_node(struct bvx_pci pci, u32 *node)
{
	(void)pci;
	*node = 0;
	return 0;
}

int bvx_host_pci_msix(struct bvx_pci pci, bool prepare)
{
	(void)pci, (void)prepare;
	return 0;
}

/* ---- birth ---- */

void passthrough_init(struct bvx_domain *dom0)
{
	bv_host_spin_init(&pass.lock);
	bv_host_mutex_init(&pass.route_mutex);
	pass.pins = ioapic_pins() < MAX_PINS ? ioapic_pins() : MAX_PINS;
	pass.console_gsi = console_gsi();
	for (u32 gsi = 0; gsi < pass.pins; gsi++)
		pass.pin[gsi].entry = RTE_MASKED;
	pass.vm = bvx_domain_vm(dom0);
	ports_direct();
	__atomic_store_n(&pass.dom0, dom0, __ATOMIC_RELEASE);
}
