/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The I/O APIC: 24 pins, each with a redirection entry that turns its line into a message. Facts:
 * Intel 82093AA data sheet; version 0x11, so without an EOI register.
 *
 * An edge becomes a message once, if the pin is not masked at that moment. A level becomes a
 * message when the pin is high, unmasked and its remote IRR clear; that sets remote IRR, and the
 * EOI of the vector clears it and looks at the line again.
 *
 * All under chips->lock.
 */
#include "chips/chips.h"

#define IOAPIC_BASE 0xfec00000ULL
#define IOAPIC_BYTES 0x100

#define IOREGSEL 0x00
#define IOWIN 0x10

#define REG_ID 0x00
#define REG_VERSION 0x01
#define REG_ARBITRATION 0x02
#define REG_REDIRECT 0x10

#define IOAPIC_VERSION (0x11u | (IOAPIC_PINS - 1) << 16)

#define RTE_VECTOR 0xffULL
#define RTE_MODE_SHIFT 8
#define RTE_LOGICAL BV_BIT(11)
#define RTE_REMOTE_IRR BV_BIT(14)
#define RTE_LEVEL BV_BIT(15)
#define RTE_MASKED BV_BIT(16)
#define RTE_DEST_SHIFT 56
#define RTE_WRITABLE 0xff0000000001afffULL

/*
 * So many level interrupts in a row that came back at their EOI are a storm; then each waits a
 * while.
 */
#define STORM_COUNT 10000
#define STORM_PAUSE_NS 10000000ULL

/* ---- from line to message ---- */

static void rte_message(u64 entry, struct apic_message *message)
{
	*message = (struct apic_message){
		.dest = (u32)(entry >> RTE_DEST_SHIFT),
		.vector = entry & RTE_VECTOR,
		.mode = (entry >> RTE_MODE_SHIFT) & 7,
		.logical = entry & RTE_LOGICAL,
		.level = entry & RTE_LEVEL,
		.outside = true,
	};
}

/* Sends the pin's message if its entry allows. -1: masked, or nobody listens. */
static int ioapic_service(struct bv_chips *chips, u32 pin)
{
	struct bv_ioapic *ioapic = &chips->ioapic;
	u64 entry = ioapic->redirect[pin];
	struct apic_message message;
	int result;

	if (entry & RTE_MASKED)
		return -1;
	if (entry & RTE_LEVEL && entry & RTE_REMOTE_IRR)
		return 0;
	rte_message(entry, &message);
	result = bv_lapic_deliver(chips, &message);
	if (!(entry & RTE_LEVEL))
		ioapic->delivered |= 1u << pin;
	else if (result >= 0 && message.mode <= MODE_LOWEST)
		ioapic->redirect[pin] |= RTE_REMOTE_IRR;
	return result;
}

int bv_ioapic_set_line(struct bv_chips *chips, u32 pin, bool level)
{
	struct bv_ioapic *ioapic = &chips->ioapic;
	u32 mask = 1u << pin;
	bool was = ioapic->irr & mask;

	if (!level) {
		ioapic->irr &= ~mask;
		ioapic->storm[pin] = 0;
		return 1;
	}
	ioapic->irr |= mask;
	if (!(ioapic->redirect[pin] & RTE_LEVEL)) {
		if (was)
			return 0;
		ioapic->delivered &= ~mask;
	}
	return ioapic_service(chips, pin);
}

/* Looks again at level pins that are high and do not wait for an EOI. */
static void ioapic_service_levels(struct bv_chips *chips, u32 pins)
{
	for (pins &= chips->ioapic.irr; pins; pins &= pins - 1) {
		u32 pin = (u32)__builtin_ctz(pins);

		if (chips->ioapic.redirect[pin] & RTE_LEVEL)
			ioapic_service(chips, pin);
	}
}

void bv_ioapic_retry(struct bv_chips *chips)
{
	u64 flags = bv_host_spin_lock_irq(&chips->lock);

	ioapic_service_levels(chips, ~chips->ioapic.paused);
	bv_host_spin_unlock_irq(&chips->lock, flags);
}

/* ---- EOI ---- */

/*
 * A level pin whose interrupt ended: still high, it interrupts again; after very many times in a
 * row only after a pause.
 */
static void ioapic_rearm(struct bv_chips *chips, u32 pin)
{
	struct bv_ioapic *ioapic = &chips->ioapic;

	ioapic->redirect[pin] &= ~RTE_REMOTE_IRR;
	if (!(ioapic->irr >> pin & 1)) {
		ioapic->storm[pin] = 0;
		return;
	}
	if (++ioapic->storm[pin] < STORM_COUNT) {
		ioapic_service(chips, pin);
		return;
	}
	ioapic->storm[pin] = 0;
	if (!ioapic->paused)
		bv_host_timer_set(&ioapic->pause, bv_host_ns() + STORM_PAUSE_NS);
	ioapic->paused |= 1u << pin;
}

static void ioapic_pause_over(struct bv_timer *timer)
{
	struct bv_chips *chips = BV_CONTAINER(timer, struct bv_chips, ioapic.pause);
	u64 flags = bv_host_spin_lock_irq(&chips->lock);
	u32 pins = chips->ioapic.paused;

	chips->ioapic.paused = 0;
	ioapic_service_levels(chips, pins);
	bv_host_spin_unlock_irq(&chips->lock, flags);
}

/*
 * Pins that the end of a vector concerns: level ones that wait for it, edge ones that a notifier
 * watches.
 */
static u32 ioapic_pins_ended(struct bv_lapic *lapic, u8 vector, bool level)
{
	struct bv_chips *chips = lapic->chips;
	u32 pins = 0;

	for (u32 pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 entry = chips->ioapic.redirect[pin];
		struct apic_message message;

		if ((entry & RTE_VECTOR) != vector || !!(entry & RTE_LEVEL) != level)
			continue;
		rte_message(entry, &message);
		if (level ? entry & RTE_REMOTE_IRR :
			    chips->notify[CHIP_IOAPIC] >> pin & 1 &&
				    bv_lapic_targets(chips, &message) & BV_BIT(lapic->vcpu->index))
			pins |= 1u << pin;
	}
	return pins;
}

/*
 * First the notifiers, without the lock: they may take the line down. Then the pins are looked at
 * again. A pin whose entry was changed meanwhile has had its remote IRR cleared by that, or waits
 * for another vector.
 */
void bv_ioapic_eoi(struct bv_lapic *lapic, u8 vector, bool level)
{
	struct bv_chips *chips = lapic->chips;
	u64 flags = bv_host_spin_lock_irq(&chips->lock);
	u32 pins = ioapic_pins_ended(lapic, vector, level);
	u32 noted = pins & chips->notify[CHIP_IOAPIC];

	if (noted) {
		bv_host_spin_unlock_irq(&chips->lock, flags);
		bv_irq_acked(chips, CHIP_IOAPIC, noted);
		flags = bv_host_spin_lock_irq(&chips->lock);
		if (level)
			pins &= ioapic_pins_ended(lapic, vector, level);
	}
	for (; level && pins; pins &= pins - 1)
		ioapic_rearm(chips, (u32)__builtin_ctz(pins));
	bv_host_spin_unlock_irq(&chips->lock, flags);
}

void bv_ioapic_watch_update(struct bv_chips *chips)
{
	struct apic_vectors watch = { { 0 } };

	for (u32 pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 entry = chips->ioapic.redirect[pin];

		if (chips->notify[CHIP_IOAPIC] >> pin & 1 && !(entry & RTE_LEVEL))
			vectors_set(&watch, entry & RTE_VECTOR);
	}
	for (u32 i = 0; i < BV_ARRAY_SIZE(watch.word); i++)
		BV_WRITE_ONCE(chips->eoi_watch.word[i], watch.word[i]);
}

/* ---- registers ---- */

static u32 ioapic_read_window(const struct bv_ioapic *ioapic)
{
	u32 index = ioapic->select - REG_REDIRECT;

	switch (ioapic->select) {
	case REG_ID:
	case REG_ARBITRATION:
		return (u32)ioapic->id << 24;
	case REG_VERSION:
		return IOAPIC_VERSION;
	default:
		if (index >= 2 * IOAPIC_PINS)
			return 0;
		return (u32)(ioapic->redirect[index >> 1] >> 32 * (index & 1));
	}
}

static void ioapic_write_entry(struct bv_chips *chips, u32 index, u32 value)
{
	u32 pin = index >> 1;
	u64 *entry = &chips->ioapic.redirect[pin];
	u64 kept = *entry & RTE_REMOTE_IRR;

	if (index & 1)
		*entry = (*entry & 0xffffffffULL) | (u64)value << 32;
	else
		*entry = (*entry & ~0xffffffffULL) | value;
	*entry = (*entry & RTE_WRITABLE) | kept;
	/* Guests count on this: to edge and back frees a pin whose EOI got lost. */
	if (!(*entry & RTE_LEVEL))
		*entry &= ~RTE_REMOTE_IRR;
	else
		chips->ioapic.delivered &= ~(1u << pin);
	bv_ioapic_watch_update(chips);
	ioapic_service_levels(chips, 1u << pin);
}

static void ioapic_write_window(struct bv_chips *chips, u32 value)
{
	struct bv_ioapic *ioapic = &chips->ioapic;
	u32 index = ioapic->select - REG_REDIRECT;

	if (ioapic->select == REG_ID)
		ioapic->id = (value >> 24) & 15;
	else if (index < 2 * IOAPIC_PINS)
		ioapic_write_entry(chips, index, value);
}

static enum bv_access_result ioapic_bus_read(struct bv_bus_device *device, struct bv_vcpu *vcpu,
					     u64 addr, u32 bytes, void *data)
{
	struct bv_chips *chips = vm_chips(vcpu->vm);
	u64 flags = bv_host_spin_lock_irq(&chips->lock);
	u32 value = 0;

	if (addr - device->base == IOREGSEL)
		value = chips->ioapic.select;
	else if (addr - device->base == IOWIN)
		value = ioapic_read_window(&chips->ioapic);
	bv_host_spin_unlock_irq(&chips->lock, flags);
	for (u32 i = 0; i < bytes; i++)
		((u8 *)data)[i] = i < 4 ? (u8)(value >> 8 * i) : 0;
	return BV_ACCESS_DONE;
}

static enum bv_access_result ioapic_bus_write(struct bv_bus_device *device, struct bv_vcpu *vcpu,
					      u64 addr, u32 bytes, const void *data)
{
	struct bv_chips *chips = vm_chips(vcpu->vm);
	u32 value = 0;
	u64 flags;

	for (u32 i = 0; i < bytes && i < 4; i++)
		value |= (u32)((const u8 *)data)[i] << 8 * i;
	flags = bv_host_spin_lock_irq(&chips->lock);
	if (addr - device->base == IOREGSEL)
		chips->ioapic.select = (u8)value;
	else if (addr - device->base == IOWIN)
		ioapic_write_window(chips, value);
	bv_host_spin_unlock_irq(&chips->lock, flags);
	return BV_ACCESS_DONE;
}

static const struct bv_bus_ops ioapic_bus_ops = { .read = ioapic_bus_read,
						  .write = ioapic_bus_write };

void bv_ioapic_init(struct bv_chips *chips)
{
	chips->ioapic.base = IOAPIC_BASE;
	for (u32 pin = 0; pin < IOAPIC_PINS; pin++)
		chips->ioapic.redirect[pin] = RTE_MASKED;
	bv_host_timer_init(&chips->ioapic.pause, ioapic_pause_over);
}

void bv_ioapic_fini(struct bv_chips *chips)
{
	bv_host_timer_cancel(&chips->ioapic.pause);
}

int bv_ioapic_attach(struct bv_vm *vm)
{
	struct bv_ioapic *ioapic = &vm_chips(vm)->ioapic;

	ioapic->device = (struct bv_bus_device){ &ioapic_bus_ops, ioapic->base, IOAPIC_BYTES };
	return bv_bus_add(vm, BV_BUS_MMIO, &ioapic->device);
}

/* ---- state ---- */

int bv_ioapic_get(struct bv_vm *vm, struct bv_ioapic_state *state)
{
	struct bv_chips *chips = vm_chips(vm);
	u64 flags;

	if (!chips || !chips->full)
		return bv_refuse(&vm->why, BV_ENXIO,
				 "I/O APIC state: this VM has none in the engine");
	flags = bv_host_spin_lock_irq(&chips->lock);
	*state = (struct bv_ioapic_state){
		.base = chips->ioapic.base,
		.ioregsel = chips->ioapic.select,
		.id = chips->ioapic.id,
		.irr = chips->ioapic.irr & ~chips->ioapic.delivered,
	};
	for (u32 pin = 0; pin < IOAPIC_PINS; pin++)
		state->redirect[pin] = chips->ioapic.redirect[pin];
	bv_host_spin_unlock_irq(&chips->lock, flags);
	return 0;
}

/* Lines in the state that have not become a message become one now. */
int bv_ioapic_set(struct bv_vm *vm, const struct bv_ioapic_state *state)
{
	struct bv_chips *chips = vm_chips(vm);
	struct bv_ioapic *ioapic;
	u64 flags;

	if (!chips || !chips->full)
		return bv_refuse(&vm->why, BV_ENXIO,
				 "I/O APIC state: this VM has none in the engine");
	ioapic = &chips->ioapic;
	flags = bv_host_spin_lock_irq(&chips->lock);
	ioapic->select = (u8)state->ioregsel;
	ioapic->id = state->id & 15;
	ioapic->irr = 0;
	ioapic->delivered = 0;
	for (u32 pin = 0; pin < IOAPIC_PINS; pin++) {
		ioapic->redirect[pin] = state->redirect[pin] & (RTE_WRITABLE | RTE_REMOTE_IRR);
		ioapic->storm[pin] = 0;
		ioapic->source[pin] = 0;
	}
	bv_ioapic_watch_update(chips);
	for (u32 pin = 0; pin < IOAPIC_PINS; pin++)
		if (state->irr >> pin & 1)
			bv_ioapic_set_line(chips, pin, true);
	bv_host_spin_unlock_irq(&chips->lock, flags);
	return 0;
}
