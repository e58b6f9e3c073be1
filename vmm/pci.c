// SPDX-License-Identifier: GPL-2.0-or-later
/* PCI: configuration space, BARs, slots. See pci.h; MSI-X is in pci_msix.c. */
#include "vmm/pci.h"
#include "vmm/snap.h"

#include <stdlib.h>
#include <string.h>

#define CONFIG_ENABLE 0x80000000u
#define BAR_IO 1u

void pci_dev_init(struct pci_dev *dev, uint16_t vendor, uint16_t device, uint32_t class_code,
		  void *owner)
{
	memset(dev, 0, sizeof(*dev));
	dev->owner = owner;
	dev->next_capability = 0x40;
	pci_put16(dev->config + PCI_VENDOR, vendor);
	pci_put16(dev->config + PCI_DEVICE, device);
	dev->config[PCI_CLASS] = (uint8_t)class_code;
	dev->config[PCI_CLASS + 1] = (uint8_t)(class_code >> 8);
	dev->config[PCI_CLASS + 2] = (uint8_t)(class_code >> 16);
	pci_put16(dev->writable + PCI_COMMAND,
		  PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_NO_INTX);
	dev->writable[PCI_IRQ_LINE] = 0xff;
}

unsigned int pci_capability_add(struct pci_dev *dev, uint8_t id, unsigned int size)
{
	unsigned int at = dev->next_capability;

	dev->config[at] = id;
	dev->config[at + 1] = dev->config[PCI_CAPABILITIES];
	dev->config[PCI_CAPABILITIES] = (uint8_t)at;
	dev->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
	dev->next_capability = (at + size + 3) & ~3u;
	return at;
}

void pci_bar_set(struct pci_dev *dev, unsigned int bar, uint32_t size, bool io,
		 const struct bus_ops *ops, void *owner)
{
	dev->bars[bar] = (struct pci_bar){ .size = size, .io = io, .ops = ops, .owner = owner };
	pci_put32(dev->config + PCI_BAR0 + 4 * bar, io ? BAR_IO : 0);
	/* All of a port's 32 bits, too: SeaBIOS takes those that stay 0 for a part of the size. */
	pci_put32(dev->writable + PCI_BAR0 + 4 * bar, ~(size - 1));
}

static struct bus *bus_of(struct pci_dev *dev, const struct pci_bar *bar)
{
	return bar->io ? &dev->pci->vm->ports : &dev->pci->vm->mmio;
}

static void bar_unmap(struct pci_dev *dev, unsigned int index)
{
	struct pci_bar *bar = &dev->bars[index];

	if (!bar->mapped)
		return;
	if (dev->bar_moved)
		dev->bar_moved(dev->owner, index, false);
	bus_remove(bus_of(dev, bar), bar->address, bar->owner);
	bar->mapped = false;
}

/* A BAR that is being sized, or lies on top of something else, answers nowhere. */
static void bar_map(struct pci_dev *dev, unsigned int index)
{
	struct pci_bar *bar = &dev->bars[index];
	uint32_t value = pci_get32(dev->config + PCI_BAR0 + 4 * index);
	uint32_t address = value & ~(bar->io ? 3u : 15u);
	uint16_t need = bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
	bool on = bar->size && address && (pci_get16(dev->config + PCI_COMMAND) & need);

	if (bar->mapped && on && bar->address == address)
		return;
	bar_unmap(dev, index);
	if (!on || (bar->io && address > 0x10000 - bar->size))
		return;
	bar->address = address;
	bar->mapped = bus_add(bus_of(dev, bar), address, bar->size, bar->ops, bar->owner) == 0;
	if (bar->mapped && dev->bar_moved)
		dev->bar_moved(dev->owner, index, true);
}

static void bars_update(struct pci_dev *dev)
{
	unsigned int i;

	for (i = 0; i < PCI_BARS; i++)
		bar_map(dev, i);
}

static void bars_unmap(struct pci_dev *dev)
{
	unsigned int i;

	for (i = 0; i < PCI_BARS; i++)
		bar_unmap(dev, i);
}

static uint32_t config_read(struct pci_dev *dev, unsigned int offset, unsigned int size)
{
	uint32_t value = 0;

	if (offset + size > PCI_CONFIG)
		return 0;
	if (dev->config_reading)
		dev->config_reading(dev->owner, offset, size);
	memcpy(&value, dev->config + offset, size);
	return value;
}

static void config_write(struct pci_dev *dev, unsigned int offset, unsigned int size,
			 uint32_t value)
{
	unsigned int i;

	if (offset + size > PCI_CONFIG)
		return;
	for (i = 0; i < size; i++) {
		uint8_t mask = dev->writable[offset + i];
		uint8_t byte = (uint8_t)(value >> 8 * i);

		dev->config[offset + i] =
			(uint8_t)((dev->config[offset + i] & ~mask) | (byte & mask));
	}
	if (offset < PCI_BAR0 + 4 * PCI_BARS && offset + size > PCI_COMMAND)
		bars_update(dev);
	if (offset + size > PCI_COMMAND && offset < PCI_STATUS && dev->intx)
		pci_intx_set(dev, true);
	if (dev->vectors && offset < dev->msix_at + 4 && offset + size > PCI_COMMAND)
		pci_msix_update(dev);
	if (dev->config_written)
		dev->config_written(dev->owner, offset, size);
}

/* ---- the two ways to configuration space --------------------------------------------------- */

static struct pci_dev *at_slot(struct pci *pci, unsigned int bus, unsigned int devfn)
{
	return bus == 0 && (devfn & 7) == 0 ? pci->slots[devfn >> 3] : NULL;
}

static struct pci_dev *addressed(struct pci *pci)
{
	if (!(pci->address & CONFIG_ENABLE))
		return NULL;
	return at_slot(pci, pci->address >> 16 & 0xff, pci->address >> 8 & 0xff);
}

static uint64_t port_read(void *owner, uint64_t offset, unsigned int size)
{
	struct pci *pci = owner;
	struct pci_dev *dev = addressed(pci);

	if (offset < 4)
		return size == 4 ? pci->address : UINT64_MAX;
	if (!dev)
		return UINT64_MAX;
	return config_read(dev, (pci->address & 0xfc) + (unsigned int)(offset - 4), size);
}

static void port_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pci *pci = owner;
	struct pci_dev *dev = addressed(pci);

	if (offset == 0 && size == 4)
		pci->address = (uint32_t)value;
	else if (offset == 1 && size == 1)
		vm_reset_port(pci->vm, (uint8_t)value);
	else if (offset >= 4 && dev)
		config_write(dev, (pci->address & 0xfc) + (unsigned int)(offset - 4), size,
			     (uint32_t)value);
}

static const struct bus_ops PORT_OPS = { port_read, port_write };

static uint64_t ecam_read(void *owner, uint64_t offset, unsigned int size)
{
	struct pci_dev *dev = at_slot(owner, offset >> 20 & 0xff, offset >> 12 & 0xff);

	return dev ? config_read(dev, offset & 0xfff, size > 4 ? 4 : size) : UINT64_MAX;
}

static void ecam_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pci_dev *dev = at_slot(owner, offset >> 20 & 0xff, offset >> 12 & 0xff);

	if (dev)
		config_write(dev, offset & 0xfff, size > 4 ? 4 : size, (uint32_t)value);
}

static const struct bus_ops ECAM_OPS = { ecam_read, ecam_write };

void pci_ecam_set(struct pci *pci, uint64_t address)
{
	if (address == pci->ecam)
		return;
	if (pci->ecam)
		bus_remove(&pci->vm->mmio, pci->ecam, pci);
	pci->ecam = address;
	if (address && bus_add(&pci->vm->mmio, address, PCI_ECAM_SIZE, &ECAM_OPS, pci))
		pci->ecam = 0;
}

/* ---- slots --------------------------------------------------------------------------------- */

static int free_slot(const struct pci *pci)
{
	int slot;

	for (slot = 1; slot < PCI_SLOTS - 1; slot++)
		if (!pci->slots[slot])
			return slot;
	return -1;
}

int pci_plug(struct pci *pci, struct pci_dev *dev, int slot)
{
	if (slot < 0)
		slot = free_slot(pci);
	if (slot < 0)
		return -1;
	dev->pci = pci;
	dev->slot = (unsigned int)slot;
	if (dev->config[PCI_IRQ_PIN])
		dev->config[PCI_IRQ_LINE] = 10;
	memcpy(dev->first, dev->config, sizeof(dev->first));
	pci->slots[slot] = dev;
	return slot;
}

void pci_unplug(struct pci_dev *dev)
{
	pci_intx_set(dev, false);
	bars_unmap(dev);
	dev->pci->slots[dev->slot] = NULL;
}

static void place(struct pci_dev *dev, unsigned int index)
{
	struct pci_bar *bar = &dev->bars[index];
	uint32_t *next = bar->io ? &dev->pci->io_next : &dev->pci->mmio_next;

	if (!bar->size)
		return;
	*next = (*next + bar->size - 1) & ~(bar->size - 1);
	pci_put32(dev->config + PCI_BAR0 + 4 * index, *next | (bar->io ? BAR_IO : 0));
	*next += bar->size;
}

void pci_place_all(struct pci *pci)
{
	unsigned int slot, i;

	pci->io_next = PCI_IO_START;
	pci->mmio_next = PCI_MMIO_START;
	for (slot = 0; slot < PCI_SLOTS; slot++) {
		struct pci_dev *dev = pci->slots[slot];

		if (!dev)
			continue;
		for (i = 0; i < PCI_BARS; i++)
			place(dev, i);
		dev->config[PCI_COMMAND] |= PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
		bars_update(dev);
	}
	pci_ecam_set(pci, PCI_ECAM_START);
}

void pci_intx_set(struct pci_dev *dev, bool level)
{
	struct pci *pci = dev->pci;
	unsigned int line = dev->slot & 7, i, high = 0;

	dev->intx = level;
	dev->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTX;
	dev->config[PCI_STATUS] |= level ? PCI_STATUS_INTX : 0;
	for (i = line; i < PCI_SLOTS; i += 8)
		if (pci->slots[i] && pci->slots[i]->intx &&
		    !(pci_get16(pci->slots[i]->config + PCI_COMMAND) & PCI_COMMAND_NO_INTX))
			high = 1;
	if (pci->intx[line] != high)
		hv_irq_set(pci->vm->hv, PCI_INTX_GSI + line, high);
	pci->intx[line] = high;
}

void pci_dev_reset(struct pci_dev *dev)
{
	pci_intx_set(dev, false);
	bars_unmap(dev);
	memcpy(dev->config, dev->first, sizeof(dev->config));
	pci_msix_reset(dev);
}

static void pci_reset(void *owner)
{
	struct pci *pci = owner;

	pci->address = 0;
	pci_ecam_set(pci, 0);
}

void pci_dev_state(struct pci_dev *dev, struct snap *snap)
{
	uint8_t intx = dev->intx;

	snap_value(snap, &dev->config);
	snap_value(snap, &dev->table);
	snap_value(snap, &intx);
	if (!snap->load || snap->bad)
		return;
	bars_update(dev);
	pci_intx_set(dev, intx);
}

static void pci_state(void *owner, struct snap *snap)
{
	struct pci *pci = owner;
	uint64_t ecam = pci->ecam;

	snap_value(snap, &pci->address);
	snap_value(snap, &ecam);
	snap_value(snap, &pci->plugged);
	snap_value(snap, &pci->unplug_asked);
	if (snap->load && !snap->bad)
		pci_ecam_set(pci, ecam);
}

struct pci *pci_create(struct vm *vm)
{
	struct pci *pci = calloc(1, sizeof(*pci));

	if (!pci)
		return NULL;
	pci->vm = vm;
	bus_add(&vm->ports, 0xcf8, 8, &PORT_OPS, pci);
	pci->device = (struct vm_device){ .name = "pci",
					  .version = 1,
					  .reset = pci_reset,
					  .state = pci_state,
					  .owner = pci,
					  .destroy = free };
	vm_device_add(vm, &pci->device);
	return pci;
}
