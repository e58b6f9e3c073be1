// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Host bridge (Intel 3 Series datasheet, 316966, chapter 5) and LPC bridge (ICH9 datasheet, 316972,
 * chapter 13): registers that firmware programs and reads back. What they would switch is fixed
 * here, but for the place of the configuration space and of the power management ports.
 */
#include "vmm/chipset.h"
#include "vmm/pci.h"
#include "vmm/pm.h"
#include "vmm/snap.h"

#include <stdlib.h>
#include <string.h>

#define HOST_PCIEXBAR 0x60u
#define HOST_PAM 0x90u
#define HOST_SMRAM 0x9du
#define LPC_PMBASE 0x40u
#define LPC_ACPI_CONTROL 0x44u
#define LPC_RCBA 0xf0u
#define LPC_SLOT 31
/* By these in the host bridge, firmware for PCs of QEMU's kind knows that it is on one. */
#define SUBSYSTEM_VENDOR 0x1af4u
#define SUBSYSTEM 0x1100u

struct chipset {
	struct vm *vm;
	struct pci_dev host, lpc;
	struct vm_device device;
};

static void host_written(void *owner, unsigned int offset, unsigned int size)
{
	struct chipset *chipset = owner;
	uint64_t bar = pci_get32(chipset->host.config + HOST_PCIEXBAR) |
		       (uint64_t)pci_get32(chipset->host.config + HOST_PCIEXBAR + 4) << 32;

	if (offset + size <= HOST_PCIEXBAR || offset >= HOST_PCIEXBAR + 8)
		return;
	pci_ecam_set(chipset->vm->pci, bar & 1 ? bar & 0xff0000000ull : 0);
}

static void lpc_written(void *owner, unsigned int offset, unsigned int size)
{
	struct chipset *chipset = owner;
	const uint8_t *config = chipset->lpc.config;

	if (offset + size <= LPC_PMBASE || offset > LPC_ACPI_CONTROL)
		return;
	pm_place(chipset->vm->pm,
		 config[LPC_ACPI_CONTROL] & 0x80 ? pci_get16(config + LPC_PMBASE) & 0xff80 : 0);
}

static void bridge_init(struct chipset *chipset, struct pci_dev *dev, uint16_t id, uint32_t class)
{
	pci_dev_init(dev, 0x8086, id, class, chipset);
	pci_put16(dev->config + PCI_SUBSYSTEM_VENDOR, SUBSYSTEM_VENDOR);
	pci_put16(dev->config + PCI_SUBSYSTEM, SUBSYSTEM);
}

static void host_init(struct chipset *chipset)
{
	struct pci_dev *dev = &chipset->host;

	bridge_init(chipset, dev, 0x29c0, 0x060000);
	pci_put32(dev->writable + HOST_PCIEXBAR, 0xf0000007);
	pci_put32(dev->writable + HOST_PCIEXBAR + 4, 0xf);
	/*
	 * The shadow is RAM, whatever stands here. After a reset it says ROM: from that SeaBIOS
	 * learns that it has to copy itself there; the processor's first instructions find the end
	 * of it in place (flash_load()), but it is larger.
	 */
	memset(dev->writable + HOST_PAM, 0x33, 7);
	dev->config[HOST_SMRAM] = 0x02;
	dev->config_written = host_written;
}

static void lpc_init(struct chipset *chipset)
{
	struct pci_dev *dev = &chipset->lpc;

	bridge_init(chipset, dev, 0x2918, 0x060100);
	dev->config[PCI_REVISION] = 2;
	pci_put32(dev->config + LPC_PMBASE, 1);
	pci_put32(dev->writable + LPC_PMBASE, 0xff80);
	dev->writable[LPC_ACPI_CONTROL] = 0x87;
	memset(dev->config + 0x60, 0x80, 4); /* PIRQA to H: not routed to the 8259s */
	memset(dev->config + 0x68, 0x80, 4);
	memset(dev->writable + 0x60, 0x8f, 4);
	memset(dev->writable + 0x68, 0x8f, 4);
	pci_put32(dev->writable + LPC_RCBA, 0xffffc001);
	dev->config_written = lpc_written;
}

static void chipset_reset(void *owner)
{
	struct chipset *chipset = owner;

	pci_dev_reset(&chipset->host);
	pci_dev_reset(&chipset->lpc);
}

static void chipset_state(void *owner, struct snap *snap)
{
	struct chipset *chipset = owner;

	pci_dev_state(&chipset->host, snap);
	pci_dev_state(&chipset->lpc, snap);
}

int chipset_create(struct vm *vm)
{
	struct chipset *chipset = calloc(1, sizeof(*chipset));

	if (!chipset)
		return -1;
	chipset->vm = vm;
	host_init(chipset);
	lpc_init(chipset);
	pci_plug(vm->pci, &chipset->host, 0);
	pci_plug(vm->pci, &chipset->lpc, LPC_SLOT);
	chipset->device = (struct vm_device){ .name = "chipset",
					      .version = 1,
					      .reset = chipset_reset,
					      .state = chipset_state,
					      .owner = chipset,
					      .destroy = free };
	vm_device_add(vm, &chipset->device);
	return 0;
}
