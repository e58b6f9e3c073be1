/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI: one root bus with up to 32 devices of one function, reached by ports 0xcf8/0xcfc and through
 * the memory-mapped configuration space (PCI Local Bus 3.0, PCI Express 4.0 section 7.2.2), with
 * MSI-X and the four interrupt pins.
 *
 * A device fills a struct pci_dev, gives its BARs, and is plugged in. Where its BARs lie and
 * whether they are on is the guest's doing; here they come and go on the buses accordingly.
 */
#ifndef VMM_PCI_H
#define VMM_PCI_H

#include "vmm/vm.h"

#define PCI_SLOTS 32
#define PCI_BARS 6
#define PCI_CONFIG 256
#define PCI_VECTORS 64
#define PCI_INTX_GSI 16 /* pin A of slot n is GSI 16 + n % 8 */
#define PCI_ECAM_SIZE (256u << 20)
#define PCI_IO_START 0xc000u /* BARs that we place ourselves, where there is no firmware */
#define PCI_MMIO_START 0xc0000000u
#define PCI_ECAM_START 0xe0000000u

enum {
	PCI_VENDOR = 0x00,
	PCI_DEVICE = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION = 0x08,
	PCI_CLASS = 0x09, /* programming interface, subclass, class */
	PCI_HEADER = 0x0e,
	PCI_BAR0 = 0x10,
	PCI_SUBSYSTEM_VENDOR = 0x2c,
	PCI_SUBSYSTEM = 0x2e,
	PCI_ROM = 0x30,
	PCI_CAPABILITIES = 0x34,
	PCI_IRQ_LINE = 0x3c,
	PCI_IRQ_PIN = 0x3d,
};

enum {
	PCI_COMMAND_IO = 1,
	PCI_COMMAND_MEMORY = 2,
	PCI_COMMAND_MASTER = 4,
	PCI_COMMAND_NO_INTX = 0x400,
	PCI_STATUS_INTX = 0x08,
	PCI_STATUS_CAPABILITIES = 0x10,
};

struct pci_bar {
	uint32_t size; /* a power of two; 0: none */
	bool io;
	bool mapped;
	uint32_t address; /* if mapped */
	const struct bus_ops *ops;
	void *owner;
};

struct pci_vector {
	uint64_t address;
	uint32_t data;
	uint32_t control; /* bit 0: masked */
	bool pending;
};

struct pci_dev {
	struct pci *pci;
	unsigned int slot;
	uint8_t config[PCI_CONFIG];
	uint8_t writable[PCI_CONFIG]; /* bits that the guest may change */
	uint8_t first[PCI_CONFIG]; /* the configuration after a reset */
	unsigned int next_capability; /* where the next goes */
	struct pci_bar bars[PCI_BARS];

	unsigned int vectors; /* of MSI-X; 0: none */
	unsigned int msix_at; /* the capability */
	struct pci_vector table[PCI_VECTORS];
	bool intx;

	void *owner;
	/* Before the guest reads from the configuration, after it wrote to it; or NULL. */
	void (*config_reading)(void *owner, unsigned int offset, unsigned int size);
	void (*config_written)(void *owner, unsigned int offset, unsigned int size);
	/* The guest changed where a vector goes, or whether it does; or NULL. */
	void (*vector_changed)(void *owner, unsigned int vector);
	void (*bar_moved)(void *owner, unsigned int bar, bool mapped); /* or NULL */
	void (*ejected)(void *owner); /* the guest let go of it: free it; or NULL */
};

struct pci {
	struct vm *vm;
	struct pci_dev *slots[PCI_SLOTS];
	uint32_t address; /* 0xcf8 */
	uint64_t ecam; /* 0: off */
	unsigned int intx[8];
	uint32_t io_next, mmio_next; /* where the next BAR goes that we place */
	/* hot-plug: a bit a slot */
	uint32_t plugged, unplug_asked;
	struct vm_device device;
};

struct pci *pci_create(struct vm *vm);

/* Makes the fields of a configuration header; then capabilities, BARs, and pci_plug(). */
void pci_dev_init(struct pci_dev *dev, uint16_t vendor, uint16_t device, uint32_t class_code,
		  void *owner);
/* Room for a capability of that many bytes, its id and link set; its offset. */
unsigned int pci_capability_add(struct pci_dev *dev, uint8_t id, unsigned int size);
void pci_bar_set(struct pci_dev *dev, unsigned int bar, uint32_t size, bool io,
		 const struct bus_ops *ops, void *owner);
/* A memory BAR of 4 KiB with the table of that many vectors. */
void pci_msix_add(struct pci_dev *dev, unsigned int bar, unsigned int vectors);

/**
 * pci_plug() - Puts a device into a slot.
 * @slot: or -1 for the next free one
 *
 * Return: the slot, -1 if none is free.
 */
int pci_plug(struct pci *pci, struct pci_dev *dev, int slot);
void pci_unplug(struct pci_dev *dev);

/* For a VM that starts without firmware: BARs get addresses and are switched on. */
void pci_place_all(struct pci *pci);

/* A message, or nothing if the vector is masked or MSI-X is off; then it is pending. */
void pci_msix_notify(struct pci_dev *dev, unsigned int vector);
bool pci_msix_enabled(const struct pci_dev *dev);
/* Whether, and how, a vector that the kernel is to signal goes out now. */
bool pci_msix_target(const struct pci_dev *dev, unsigned int vector, uint64_t *address,
		     uint32_t *data);
/* After a reset, and after the guest wrote to the configuration. */
void pci_msix_reset(struct pci_dev *dev);
void pci_msix_update(struct pci_dev *dev);
void pci_intx_set(struct pci_dev *dev, bool level);

/* Where the memory-mapped configuration space lies; 0 takes it away. */
void pci_ecam_set(struct pci *pci, uint64_t address);

void pci_dev_state(struct pci_dev *dev, struct snap *snap);
void pci_dev_reset(struct pci_dev *dev);

static inline uint16_t pci_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t pci_get32(const uint8_t *at)
{
	return pci_get16(at) | (uint32_t)pci_get16(at + 2) << 16;
}

static inline void pci_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static inline void pci_put32(uint8_t *at, uint32_t value)
{
	pci_put16(at, (uint16_t)value);
	pci_put16(at + 2, (uint16_t)(value >> 16));
}

#endif
