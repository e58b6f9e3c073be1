/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * What the core asks of interrupt controllers that live in the engine. The core knows no chip:
 * whoever brings local APICs (engine/chips) gives the VM this table, and the core calls it through
 * vm->intc. Without a table, interrupts come from the front, one at a time (bv_vcpu_interrupt).
 */
#ifndef BV_CORE_INTC_H
#define BV_CORE_INTC_H

#include "bv/types.h"

struct bv_service;
struct bv_vcpu;
struct bv_vm;

enum bv_access_result {
	BV_ACCESS_DONE, /* answered */
	BV_ACCESS_NOT_MINE, /* nobody here; ask the next, at last the front */
	BV_ACCESS_FAULT, /* MSRs: #GP */
};

enum bv_eoi {
	BV_EOI_NONE, /* nothing is in service, nothing waits */
	BV_EOI_SILENT, /* it concerns this CPU alone, and nothing waits for it */
	BV_EOI_TOLD, /* it must be noticed when it comes */
};

struct bv_intc_ops {
	/* Makes and frees the vCPU's controller (vcpu->intc). May sleep; 0 or -BV_ENOMEM. */
	int (*vcpu_init)(struct bv_vcpu *vcpu);
	void (*vcpu_fini)(struct bv_vcpu *vcpu);
	/* After RESET, or INIT. */
	void (*vcpu_reset)(struct bv_vcpu *vcpu, bool init);
	/* Frees what belongs to the VM; its vCPUs are gone. */
	void (*vm_fini)(struct bv_vm *vm);

	/*
	 * The vector that the CPU would take now were its interrupts on: the highest one requested
	 * that the processor priority allows, or one that the 8259 offers; -1 none. No side effect.
	 * Owning vCPU.
	 */
	int (*pending)(struct bv_vcpu *vcpu);
	/*
	 * The CPU takes an interrupt: acknowledges (IRR to ISR, or the 8259's INTA) and returns the
	 * vector; -1 if none is left.
	 */
	int (*take)(struct bv_vcpu *vcpu);
	/*
	 * Takes out, for vcpu->offered, what `pending` says, if the hardware may deliver it by
	 * itself: no INTA is needed, and the vector cannot be an exception's. -1: it may not. What
	 * is requested from now on is another interrupt, also by the same vector. Then, whether it
	 * was delivered. Owning vCPU.
	 */
	int (*offer)(struct bv_vcpu *vcpu);
	void (*offer_end)(struct bv_vcpu *vcpu, u8 vector, bool delivered);
	/*
	 * Fills what the hardware needs to end interrupts by itself; false: it may not, for a lower
	 * task priority is waited for. Then, what is in service after it has. Asked in x2APIC mode
	 * (vcpu->x2apic, which the controller sets). Owning vCPU.
	 */
	bool (*service)(struct bv_vcpu *vcpu, struct bv_service *service);
	void (*served)(struct bv_vcpu *vcpu, const struct bv_service *service);
	/* Whether the next end of an interrupt needs anybody's notice; and such an end. */
	enum bv_eoi (*eoi_next)(struct bv_vcpu *vcpu);
	void (*eoi)(struct bv_vcpu *vcpu);
	/*
	 * Whether something waits that only a lower task priority would let through: then CR8
	 * writes must be seen.
	 */
	bool (*masked_by_tpr)(struct bv_vcpu *vcpu);
	/*
	 * Whether this CPU takes interrupts of an 8259 (LINT0 is ExtINT, or there is no local APIC
	 * in use): with an 8259 of user space's, whether an interrupt given by bv_vcpu_interrupt is
	 * to be taken. any.
	 */
	bool (*takes_extint)(struct bv_vcpu *vcpu);
	/* CR8: bits 7:4 of the task priority, which the controller keeps in vcpu->cr8. */
	void (*cr8_set)(struct bv_vcpu *vcpu, u8 cr8);

	/*
	 * The APIC page: 1, 2, 4 or 8 bytes at gpa, if this vCPU's APIC is there and in xAPIC mode.
	 */
	enum bv_access_result (*mmio_read)(struct bv_vcpu *vcpu, u64 gpa, u32 bytes, void *data);
	enum bv_access_result (*mmio_write)(struct bv_vcpu *vcpu, u64 gpa, u32 bytes,
					    const void *data);
	/*
	 * MSRs 0x800-0x8ff, APIC_BASE and TSC_DEADLINE. `host`: set by the front, for restoring
	 * state.
	 */
	enum bv_access_result (*msr_read)(struct bv_vcpu *vcpu, u32 index, u64 *value, bool host);
	enum bv_access_result (*msr_write)(struct bv_vcpu *vcpu, u32 index, u64 value, bool host);
	u64 (*apic_base)(struct bv_vcpu *vcpu);
	/*
	 * The guest's TSC changed against the host's: a deadline in TSC ticks has another host time
	 * now.
	 */
	void (*tsc_changed)(struct bv_vcpu *vcpu);
	/*
	 * The turn that the controller has set (bv_vcpu_turn_set) is over. Owning vCPU, which does
	 * not sleep: `sleep` and `awake` stand around its sleep where a turn is set. Not irqs off.
	 */
	void (*turn_over)(struct bv_vcpu *vcpu);
	void (*sleep)(struct bv_vcpu *vcpu);
	void (*awake)(struct bv_vcpu *vcpu);
	/* Sends an IPI for the guest's hypercall (PV IPI): fixed or NMI, to an APIC ID. */
	bool (*ipi)(struct bv_vcpu *vcpu, u32 apic_id, u32 icr_low);
};

#endif
