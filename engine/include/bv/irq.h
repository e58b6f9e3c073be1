/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Interrupt controllers and the timer chip inside the engine, as fronts see them: create, raise
 * lines, send messages, routes, and their state for save and restore.
 *
 * Contexts: functions marked "any" may be called from interrupt handlers and under spin locks.
 */
#ifndef BV_IRQ_H
#define BV_IRQ_H

#include "bv/errno.h"
#include "bv/types.h"

struct bv_vm;
struct bv_vcpu;

/* ---- creation, before the first vCPU ---- */

/*
 * A local APIC for each vCPU, the 8259 pair and an I/O APIC of 24 pins, with the default routes.
 * -BV_EEXIST.
 */
int bv_irqchip_create(struct bv_vm *vm);
/*
 * Local APICs only; 8259 and I/O APIC (of `pins` pins, 0 to 4096) are user space's. -BV_EEXIST,
 * -BV_EINVAL.
 */
int bv_irqchip_create_split(struct bv_vm *vm, u32 pins);
bool bv_irqchip_present(struct bv_vm *vm); /* local APICs in the engine */
bool bv_irqchip_full(struct bv_vm *vm); /* 8259 and I/O APIC too */
/*
 * The 8254 (needs the full irqchip). With `speaker`, port 0x61 too. -BV_EEXIST, -BV_ENOENT (no
 * irqchip).
 */
int bv_pit_create(struct bv_vm *vm, bool speaker);
bool bv_pit_present(struct bv_vm *vm);
/* KVM_CAP_X2APIC_API: 32-bit destination IDs in messages and states; and 0xff not a broadcast. */
void bv_irqchip_x2apic_mode(struct bv_vm *vm, bool ids32, bool no_broadcast_quirk);

/* ---- raising ---- */

struct bv_msi {
	u64 address;
	u32 data;
};

/*
 * Sets an input line (gsi) for one of several sources (source: 0 to 63, wired-OR): through its
 * routes. Returns the number of vCPUs reached, 0 where it was masked or coalesced, -BV_EINVAL where
 * there is no such route. any.
 */
int bv_irq_line(struct bv_vm *vm, u32 gsi, unsigned int source, bool level);
/* Delivers a message; same returns. any. */
int bv_irq_msi(struct bv_vm *vm, const struct bv_msi *msi);

enum bv_route_kind {
	BV_ROUTE_PIC_MASTER,
	BV_ROUTE_PIC_SLAVE,
	BV_ROUTE_IOAPIC,
	BV_ROUTE_MSI
};

struct bv_route {
	u32 gsi;
	enum bv_route_kind kind;
	u32 pin; /* of the chip */
	struct bv_msi msi;
};

#define BV_MAX_ROUTES 4096

/* Replaces all routes. -BV_EINVAL: a pin that does not exist, two routes of one gsi that clash. */
int bv_irq_routes_set(struct bv_vm *vm, const struct bv_route *routes, unsigned int count);

/*
 * Called (any context, irqs off) when the guest ended a level interrupt of gsi: for resampling
 * irqfds.
 */
struct bv_ack_notifier {
	struct bv_ack_notifier *next; /* the engine's */
	u32 gsi;
	void (*acked)(struct bv_ack_notifier *notifier);
};
void bv_irq_ack_notifier_add(struct bv_vm *vm, struct bv_ack_notifier *notifier);
/* After it returns the notifier neither runs nor will run. sleep. */
void bv_irq_ack_notifier_del(struct bv_vm *vm, struct bv_ack_notifier *notifier);

/* ---- state, in neutral forms ---- */

/*
 * The local APIC's registers as the architecture lays them out: register at offset r is the u32 at
 * index r / 4.
 */
struct bv_lapic_state {
	u32 reg[256];
};
/* -BV_ENXIO: the vCPU has no local APIC here. The vCPU does not run. */
int bv_lapic_get(struct bv_vcpu *vcpu, struct bv_lapic_state *state);
int bv_lapic_set(struct bv_vcpu *vcpu, const struct bv_lapic_state *state);

struct bv_pic_state { /* one of the pair; fields as KVM's ABI and Xen's records have them */
	u8 last_irr, irr, imr, isr, priority_add, irq_base, read_reg_select, poll, special_mask,
		init_state, auto_eoi, rotate_on_auto_eoi, special_fully_nested_mode, init4, elcr,
		elcr_mask;
};
struct bv_ioapic_state {
	u64 base;
	u32 ioregsel, id, irr;
	u64 redirect[24];
};
int bv_pic_get(struct bv_vm *vm, unsigned int which,
	       struct bv_pic_state *state); /* which: 0 master, 1 slave */
int bv_pic_set(struct bv_vm *vm, unsigned int which, const struct bv_pic_state *state);
int bv_ioapic_get(struct bv_vm *vm, struct bv_ioapic_state *state);
int bv_ioapic_set(struct bv_vm *vm, const struct bv_ioapic_state *state);

struct bv_pit_channel_state {
	u32 count; /* 1 to 65536 */
	u16 latched_count;
	u8 count_latched, status_latched, status, read_state, write_state, write_latch, rw_mode,
		mode, bcd, gate;
	u64 load_ns; /* bv_host_ns() when the count was loaded */
};
struct bv_pit_state {
	struct bv_pit_channel_state channel[3];
	bool hpet_legacy; /* the HPET has taken over IRQ 0: the chip's own interrupt is off */
	bool speaker_data_on;
};
int bv_pit_get(struct bv_vm *vm, struct bv_pit_state *state);
int bv_pit_set(struct bv_vm *vm, const struct bv_pit_state *state);
/* Whether ticks that the guest missed are delivered later (true) or dropped. */
int bv_pit_reinject(struct bv_vm *vm, bool reinject);

#endif
