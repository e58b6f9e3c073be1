// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hypercall physdev_op, as a translated Dom0 uses it: what it tells of PCI devices. Its
 * interrupts come through its local APICs, not as events; so nothing is offered here for those.
 */
#include "call.h"

#include <xen/physdev.h>

static long device_add(struct bvx_call *call)
{
	const struct physdev_pci_device_add *op = call->data;
	const struct bvx_pci pci = { op->seg, op->bus, op->devfn };
	struct bvx_pci_info info = {
		.extended_function = op->flags & XEN_PCI_DEV_EXTFN,
		.virtual_function = op->flags & XEN_PCI_DEV_VIRTFN,
		.physical = { op->seg, op->physfn.bus, op->physfn.devfn },
		.node = ~0u,
	};
	u64 after = call->gva + offsetof(struct physdev_pci_device_add, optarr);

	if (op->flags & XEN_PCI_DEV_PXM && bvx_copy_in(call->vcpu, &info.node, after, 4))
		return -XEN_EFAULT;
	return bvx_host_pci_add(pci, &info);
}

static struct bvx_pci pci_of(const struct bvx_call *call)
{
	const struct physdev_pci_device *op = call->data;

	return (struct bvx_pci){ op->seg, op->bus, op->devfn };
}

static long device_remove(struct bvx_call *call)
{
	return bvx_host_pci_remove(pci_of(call));
}

static long prepare_msix(struct bvx_call *call)
{
	return bvx_host_pci_msix(pci_of(call), true);
}

static long release_msix(struct bvx_call *call)
{
	return bvx_host_pci_msix(pci_of(call), false);
}

static long mmcfg_reserved(struct bvx_call *call)
{
	const struct physdev_pci_mmcfg_reserved *op = call->data;

	if (op->start_bus > op->end_bus)
		return bvx_call_refuse(call, XEN_EINVAL, "buses %u to %u", op->start_bus,
				       op->end_bus);
	return bvx_host_pci_mmcfg(op->address, op->segment, op->start_bus, op->end_bus,
				  op->flags & XEN_PCI_MMCFG_RESERVED);
}

/* A debug port of USB's that we do not use. */
static long dbgp(struct bvx_call *call)
{
	(void)call;
	return 0;
}

#define DOM0_IN (BVX_IN | BVX_PRIVILEGED)

static const struct bvx_op ops[] = {
	BVX_OP(PHYSDEVOP_pci_mmcfg_reserved, struct physdev_pci_mmcfg_reserved, DOM0_IN,
	       mmcfg_reserved),
	BVX_OP(PHYSDEVOP_pci_device_add, struct physdev_pci_device_add, DOM0_IN, device_add),
	BVX_OP(PHYSDEVOP_pci_device_remove, struct physdev_pci_device, DOM0_IN, device_remove),
	BVX_OP(PHYSDEVOP_dbgp_op, struct physdev_dbgp_op, DOM0_IN, dbgp),
	BVX_OP(PHYSDEVOP_prepare_msix, struct physdev_pci_device, DOM0_IN, prepare_msix),
	BVX_OP(PHYSDEVOP_release_msix, struct physdev_pci_device, DOM0_IN, release_msix),
};

/* args: subop, argument */
long bvx_physdev_op(struct bvx_call *call)
{
	return bvx_subop(call, ops, BV_ARRAY_SIZE(ops), call->args[0], call->args[1]);
}
