// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * MSI-X (PCI Local Bus 3.0, section 6.8.2): the table and the pending bits in a BAR of 4 KiB, the
 * table at 0, the bits at 0x800.
 */
#include "vmm/pci.h"

#include <string.h>

#define MSIX_ID 0x11
#define MSIX_SIZE 12
#define MSIX_ENABLE 0x8000u
#define MSIX_MASK_ALL 0x4000u
#define PBA_AT 0x800u

static uint16_t control_of(const struct pci_dev *dev)
{
	return dev->vectors ? pci_get16(dev->config + dev->msix_at + 2) : 0;
}

bool pci_msix_enabled(const struct pci_dev *dev)
{
	return control_of(dev) & MSIX_ENABLE;
}

static bool goes_out(const struct pci_dev *dev, unsigned int vector)
{
	return (control_of(dev) & (MSIX_ENABLE | MSIX_MASK_ALL)) == MSIX_ENABLE &&
	       !(dev->table[vector].control & 1) &&
	       (pci_get16(dev->config + PCI_COMMAND) & PCI_COMMAND_MASTER);
}

void pci_msix_notify(struct pci_dev *dev, unsigned int vector)
{
	struct pci_vector *entry;

	if (vector >= dev->vectors)
		return;
	entry = &dev->table[vector];
	if (goes_out(dev, vector))
		hv_msi_send(dev->pci->vm->hv, entry->address, entry->data);
	else
		entry->pending = true;
}

bool pci_msix_target(const struct pci_dev *dev, unsigned int vector, uint64_t *address,
		     uint32_t *data)
{
	if (vector >= dev->vectors || !goes_out(dev, vector))
		return false;
	*address = dev->table[vector].address;
	*data = dev->table[vector].data;
	return true;
}

static void vector_update(struct pci_dev *dev, unsigned int vector)
{
	struct pci_vector *entry = &dev->table[vector];

	if (entry->pending && goes_out(dev, vector)) {
		entry->pending = false;
		hv_msi_send(dev->pci->vm->hv, entry->address, entry->data);
	}
	if (dev->vector_changed)
		dev->vector_changed(dev->owner, vector);
}

void pci_msix_update(struct pci_dev *dev)
{
	unsigned int i;

	for (i = 0; i < dev->vectors; i++)
		vector_update(dev, i);
}

void pci_msix_reset(struct pci_dev *dev)
{
	unsigned int i;

	for (i = 0; i < PCI_VECTORS; i++)
		dev->table[i] = (struct pci_vector){ .control = 1 };
	pci_msix_update(dev);
}

static uint32_t pending_word(const struct pci_dev *dev, unsigned int first)
{
	uint32_t word = 0;
	unsigned int i;

	for (i = first; i < dev->vectors && i < first + 32; i++)
		word |= (uint32_t)dev->table[i].pending << (i - first);
	return word;
}

/* A word of the BAR; all accesses are made of these. */
static uint32_t word_read(const struct pci_dev *dev, uint64_t offset)
{
	uint64_t vector = offset / 16;

	if (offset >= PBA_AT)
		return offset - PBA_AT < PCI_VECTORS / 8 ?
			       pending_word(dev, (unsigned int)(offset - PBA_AT) * 8) :
			       0;
	if (vector >= dev->vectors)
		return 0;
	switch (offset & 12) {
	case 0:
		return (uint32_t)dev->table[vector].address;
	case 4:
		return (uint32_t)(dev->table[vector].address >> 32);
	case 8:
		return dev->table[vector].data;
	default:
		return dev->table[vector].control;
	}
}

static void word_write(struct pci_dev *dev, uint64_t offset, uint32_t value)
{
	struct pci_vector *entry;

	if (offset >= PBA_AT || offset / 16 >= dev->vectors)
		return;
	entry = &dev->table[offset / 16];
	if ((offset & 12) == 0)
		entry->address = (entry->address & ~0xffffffffull) | (value & ~3u);
	else if ((offset & 12) == 4)
		entry->address = (uint32_t)entry->address | (uint64_t)value << 32;
	else if ((offset & 12) == 8)
		entry->data = value;
	else
		entry->control = value & 1;
	vector_update(dev, (unsigned int)(offset / 16));
}

static uint64_t table_read(void *owner, uint64_t offset, unsigned int size)
{
	uint64_t value = word_read(owner, offset & ~3ull);

	if (size == 8)
		return value | (uint64_t)word_read(owner, (offset & ~3ull) + 4) << 32;
	return value >> 8 * (offset & 3);
}

static void table_write(void *owner, uint64_t offset, unsigned int size, uint64_t value)
{
	if (size < 4 || (offset & 3))
		return; /* the guest must write whole words */
	word_write(owner, offset, (uint32_t)value);
	if (size == 8)
		word_write(owner, offset + 4, (uint32_t)(value >> 32));
}

static const struct bus_ops TABLE_OPS = { table_read, table_write };

void pci_msix_add(struct pci_dev *dev, unsigned int bar, unsigned int vectors)
{
	unsigned int at = pci_capability_add(dev, MSIX_ID, MSIX_SIZE);

	dev->msix_at = at;
	dev->vectors = vectors;
	pci_put16(dev->config + at + 2, (uint16_t)(vectors - 1));
	pci_put16(dev->writable + at + 2, MSIX_ENABLE | MSIX_MASK_ALL);
	pci_put32(dev->config + at + 4, bar);
	pci_put32(dev->config + at + 8, PBA_AT | bar);
	pci_bar_set(dev, bar, 4096, false, &TABLE_OPS, dev);
	for (at = 0; at < PCI_VECTORS; at++)
		dev->table[at].control = 1;
}
