/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The chips of a VM together: made before its first vCPU, and given to the core as its interrupt
 * controllers.
 */
#include "chips/chips.h"

/* ---- a vCPU's local APIC ---- */

static void chips_publish(struct bv_chips *chips, u32 index, struct bv_lapic *lapic)
{
	u64 flags = bv_host_spin_lock_irq(&chips->lock);

	__atomic_store_n(&chips->lapic[index], lapic, __ATOMIC_RELEASE);
	if (index >= chips->lapic_count)
		__atomic_store_n(&chips->lapic_count, index + 1, __ATOMIC_RELEASE);
	bv_lapic_map_update(chips);
	bv_host_spin_unlock_irq(&chips->lock, flags);
}

static int chips_vcpu_init(struct bv_vcpu *vcpu)
{
	struct bv_chips *chips = vm_chips(vcpu->vm);
	struct bv_lapic *lapic;

	if (chips->lapic[vcpu->index])
		return bv_refuse(&vcpu->vm->why, BV_EEXIST, "vCPU %u: its APIC ID is in use",
				 vcpu->index);
	lapic = bv_host_alloc(sizeof(*lapic));
	if (!lapic)
		return -BV_ENOMEM;
	bv_lapic_init(lapic, vcpu, chips);
	vcpu->intc = lapic;
	chips_publish(chips, vcpu->index, lapic);
	return 0;
}

/* Once it is not published, and the lock was free, no line or timer reaches it any more. */
static void chips_vcpu_fini(struct bv_vcpu *vcpu)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);

	if (!lapic)
		return;
	chips_publish(lapic->chips, vcpu->index, NULL);
	bv_lapic_timer_fini(lapic);
	vcpu->intc = NULL;
	bv_host_free(lapic);
}

static void chips_vcpu_reset(struct bv_vcpu *vcpu, bool init)
{
	bv_lapic_reset(vcpu_lapic(vcpu), init);
}

/* ---- the VM's chips ---- */

static void chips_free(struct bv_vm *vm)
{
	struct bv_chips *chips = vm_chips(vm);

	bv_ioapic_fini(chips);
	bv_route_free(chips);
	vm->intc = NULL;
	vm->chips = NULL;
	bv_host_free(chips);
}

static void chips_vm_fini(struct bv_vm *vm)
{
	struct bv_chips *chips = vm_chips(vm);

	bv_pit_free(vm);
	if (chips->full) {
		bv_bus_del(vm, BV_BUS_MMIO, &chips->ioapic.device);
		bv_pic_detach(vm, BV_ARRAY_SIZE(chips->pic.device));
	}
	chips_free(vm);
}

const struct bv_intc_ops bv_chips_intc_ops = {
	.vcpu_init = chips_vcpu_init,
	.vcpu_fini = chips_vcpu_fini,
	.vcpu_reset = chips_vcpu_reset,
	.vm_fini = chips_vm_fini,
	.pending = bv_lapic_pending,
	.take = bv_lapic_take,
	.offer = bv_lapic_offer,
	.offer_end = bv_lapic_offer_end,
	.service = bv_lapic_service,
	.served = bv_lapic_served,
	.eoi_next = bv_lapic_eoi_next,
	.eoi = bv_lapic_eoi_seen,
	.masked_by_tpr = bv_lapic_masked_by_tpr,
	.takes_extint = bv_lapic_takes_extint,
	.cr8_set = bv_lapic_cr8_set,
	.mmio_read = bv_lapic_mmio_read,
	.mmio_write = bv_lapic_mmio_write,
	.msr_read = bv_lapic_msr_read,
	.msr_write = bv_lapic_msr_write,
	.apic_base = bv_lapic_base,
	.tsc_changed = bv_lapic_tsc_changed,
	.turn_over = bv_lapic_timer_turn_over,
	.sleep = bv_lapic_timer_sleep,
	.awake = bv_lapic_timer_awake,
	.ipi = bv_lapic_ipi,
};

/* Turns are measured by the TSC, so that it must be one that all CPUs have, and its rate known. */
static void chips_clocks_init(struct bv_chips *chips)
{
	u32 khz = bv_host_tsc_khz();

	chips->turn_timer =
		khz && bv_host_tsc_stable() && bv_vendor->turn_timer && bv_vendor->turn_timer();
	khz = khz ? khz : 1000000;
	chips->tsc_ns_factor = (1000000ULL << 32) / khz;
	chips->ns_tsc_factor = ((u64)khz << 32) / 1000000;
}

static int chips_create(struct bv_vm *vm, bool full, u32 split_pins)
{
	struct bv_chips *chips;
	int error;

	if (vm->chips)
		return bv_refuse(&vm->why, BV_EEXIST, "interrupt controllers: the VM has them");
	if (vm->vcpu_count)
		return bv_refuse(&vm->why, BV_EINVAL,
				 "interrupt controllers: after the first vCPU is too late");
	chips = bv_host_alloc(sizeof(*chips));
	if (!chips)
		return bv_refuse(&vm->why, BV_ENOMEM, "interrupt controllers: no memory");
	chips->vm = vm;
	chips->full = full;
	chips->split_pins = split_pins;
	chips_clocks_init(chips);
	bv_host_spin_init(&chips->map_lock);
	bv_host_spin_init(&chips->lock);
	bv_host_spin_init(&chips->ack_lock);
	bv_ioapic_init(chips);
	vm->chips = chips;
	vm->intc = &bv_chips_intc_ops;
	error = bv_route_default(chips);
	if (error) {
		chips_free(vm);
		return bv_refuse(&vm->why, -error, "interrupt controllers: no memory for routes");
	}
	return 0;
}

static int chips_attach(struct bv_vm *vm)
{
	int error = bv_pic_attach(vm);

	if (error)
		return error;
	error = bv_ioapic_attach(vm);
	if (error)
		bv_pic_detach(vm, BV_ARRAY_SIZE(vm_chips(vm)->pic.device));
	return error;
}

int bv_irqchip_create(struct bv_vm *vm)
{
	int error = chips_create(vm, true, 0);

	if (error)
		return error;
	error = chips_attach(vm);
	if (error) {
		chips_free(vm);
		return bv_refuse(&vm->why, -error,
				 "interrupt controllers: ports or page could not be attached");
	}
	return 0;
}

int bv_irqchip_create_split(struct bv_vm *vm, u32 pins)
{
	if (pins > BV_MAX_ROUTES)
		return bv_refuse(&vm->why, BV_EINVAL,
				 "split interrupt controllers: %u pins, at most %u can be", pins,
				 BV_MAX_ROUTES);
	return chips_create(vm, false, pins);
}

bool bv_irqchip_present(struct bv_vm *vm)
{
	return vm->chips;
}

bool bv_irqchip_full(struct bv_vm *vm)
{
	return vm->chips && vm_chips(vm)->full;
}

void bv_irqchip_x2apic_mode(struct bv_vm *vm, bool ids32, bool no_broadcast_quirk)
{
	struct bv_chips *chips = vm_chips(vm);

	if (!chips)
		return;
	chips->ids32 = ids32;
	chips->no_broadcast_quirk = no_broadcast_quirk;
}
