// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Interrupt controllers and the timer chip: creation, lines, messages, routes, state. The chips are
 * the engine's.
 */
#include "front.h"

/* ---- creation ---- */

static int refuse_after_vcpus(struct bvk_call *call)
{
	if (!call->vm->vcpu_count)
		return 0;
	return bvk_refuse(call, BV_EINVAL, "%u vCPUs exist: only before the first one",
			  call->vm->vcpu_count);
}

long bvk_create_irqchip(struct bvk_call *call)
{
	if (bv_irqchip_present(call->vm->vm))
		return bvk_refuse(call, BV_EEXIST, "the VM has interrupt controllers already");
	if (refuse_after_vcpus(call))
		return -BV_EINVAL;
	return bv_irqchip_create(call->vm->vm);
}

static long create_pit(struct bvk_call *call, bool speaker)
{
	if (bv_pit_present(call->vm->vm))
		return bvk_refuse(call, BV_EEXIST, "the VM has a timer chip already");
	if (!bv_irqchip_full(call->vm->vm))
		return bvk_refuse(call, BV_ENOENT, "the VM has no 8259 here (KVM_CREATE_IRQCHIP)");
	return bv_pit_create(call->vm->vm, speaker);
}

long bvk_create_pit(struct bvk_call *call)
{
	return create_pit(call, false);
}

long bvk_create_pit2(struct bvk_call *call)
{
	const struct kvm_pit_config *config = call->data;

	if (config->flags & ~KVM_PIT_SPEAKER_DUMMY)
		return bvk_refuse(call, BV_EINVAL,
				  "flags = %#x: only KVM_PIT_SPEAKER_DUMMY is known",
				  config->flags);
	return create_pit(call, config->flags & KVM_PIT_SPEAKER_DUMMY);
}

/* ---- lines and messages ---- */

static int set_line(struct bvk_call *call, const struct kvm_irq_level *line)
{
	if (!bv_irqchip_present(call->vm->vm))
		return bvk_refuse(call, BV_ENXIO,
				  "irq = %u: the VM has no interrupt controllers here", line->irq);
	return bv_irq_line(call->vm->vm, line->irq, BVK_SOURCE_USER, line->level);
}

/*
 * A line without a route goes nowhere, which is not the caller's mistake here: there is no status
 * to tell it in.
 */
long bvk_irq_line(struct bvk_call *call)
{
	int reached = set_line(call, call->data);

	return reached == -BV_ENXIO ? reached : 0;
}

long bvk_irq_line_status(struct bvk_call *call)
{
	struct kvm_irq_level *line = call->data;
	int reached = set_line(call, line);

	if (reached == -BV_ENXIO)
		return reached;
	line->status = reached < 0 ? -1 : reached;
	return 0;
}

static u64 msi_address(u32 low, u32 high)
{
	return (u64)high << 32 | low;
}

long bvk_signal_msi(struct bvk_call *call)
{
	const struct kvm_msi *user = call->data;
	struct bv_msi msi = {
		.address = msi_address(user->address_lo, user->address_hi),
		.data = user->data,
	};

	if (!bv_irqchip_present(call->vm->vm))
		return bvk_refuse(call, BV_EINVAL, "the VM has no local APICs here");
	if (user->flags)
		return bvk_refuse(call, BV_EINVAL, "flags = %#x: must be 0", user->flags);
	return bv_irq_msi(call->vm->vm, &msi);
}

/* ---- routes ---- */

static const enum bv_route_kind chip_kinds[KVM_NR_IRQCHIPS] = {
	[KVM_IRQCHIP_PIC_MASTER] = BV_ROUTE_PIC_MASTER,
	[KVM_IRQCHIP_PIC_SLAVE] = BV_ROUTE_PIC_SLAVE,
	[KVM_IRQCHIP_IOAPIC] = BV_ROUTE_IOAPIC,
};

static int chip_route(struct bvk_call *call, u32 i, const struct kvm_irq_routing_entry *entry,
		      struct bv_route *route)
{
	u32 chip = entry->u.irqchip.irqchip, pin = entry->u.irqchip.pin;

	if (!bv_irqchip_full(call->vm->vm))
		return bvk_refuse(call, BV_EINVAL,
				  "entries[%u].type: the VM has no 8259 and I/O APIC here", i);
	if (chip >= KVM_NR_IRQCHIPS)
		return bvk_refuse(call, BV_EINVAL, "entries[%u].irqchip = %u: there are 0, 1 and 2",
				  i, chip);
	if (pin >= (chip == KVM_IRQCHIP_IOAPIC ? KVM_IOAPIC_NUM_PINS : 8))
		return bvk_refuse(call, BV_EINVAL, "entries[%u].pin = %u: chip %u has no such pin",
				  i, pin, chip);
	route->kind = chip_kinds[chip];
	route->pin = pin;
	return 0;
}

static int one_route(struct bvk_call *call, u32 i, const struct kvm_irq_routing_entry *entry,
		     struct bv_route *route)
{
	if (entry->gsi >= BV_MAX_ROUTES)
		return bvk_refuse(call, BV_EINVAL, "entries[%u].gsi = %u: must be below %u", i,
				  entry->gsi, BV_MAX_ROUTES);
	if (entry->flags)
		return bvk_refuse(call, BV_EINVAL, "entries[%u].flags = %#x: must be 0", i,
				  entry->flags);
	route->gsi = entry->gsi;
	if (entry->type == KVM_IRQ_ROUTING_IRQCHIP)
		return chip_route(call, i, entry, route);
	if (entry->type != KVM_IRQ_ROUTING_MSI)
		return bvk_refuse(call, BV_EINVAL,
				  "entries[%u].type = %u: only irqchip and MSI are known", i,
				  entry->type);
	route->kind = BV_ROUTE_MSI;
	route->msi.address = msi_address(entry->u.msi.address_lo, entry->u.msi.address_hi);
	route->msi.data = entry->u.msi.data;
	return 0;
}

static int set_routes(struct bvk_call *call, const struct kvm_irq_routing_entry *entries, u32 count)
{
	struct bv_route *routes = bv_host_alloc((count + 1) * sizeof(*routes));
	int error = 0;

	if (!routes)
		return -BV_ENOMEM;
	for (u32 i = 0; i < count && !error; i++)
		error = one_route(call, i, &entries[i], &routes[i]);
	if (!error)
		error = bv_irq_routes_set(call->vm->vm, routes, count);
	bv_host_free(routes);
	return error;
}

long bvk_set_routing(struct bvk_call *call)
{
	struct kvm_irq_routing routing = *(struct kvm_irq_routing *)call->data;
	struct kvm_irq_routing_entry *entries;
	int error;

	if (!bv_irqchip_present(call->vm->vm))
		return bvk_refuse(call, BV_EINVAL, "the VM has no interrupt controllers here");
	if (routing.nr > BV_MAX_ROUTES)
		return bvk_refuse(call, BV_EINVAL, "nr = %u: at most %u", routing.nr,
				  BV_MAX_ROUTES);
	if (routing.flags)
		return bvk_refuse(call, BV_EINVAL, "flags = %#x: must be 0", routing.flags);
	entries = bvk_copy_array_in(call, call->arg + sizeof(routing), routing.nr, sizeof(*entries),
				    &error);
	if (!entries)
		return error;
	error = set_routes(call, entries, routing.nr);
	bv_host_free(entries);
	return error;
}

/* ---- state of the chips ---- */

BV_STATIC_ASSERT(sizeof(struct bv_pic_state) == sizeof(struct kvm_pic_state));
BV_STATIC_ASSERT(offsetof(struct bv_pic_state, auto_eoi) ==
		 offsetof(struct kvm_pic_state, auto_eoi));
BV_STATIC_ASSERT(offsetof(struct bv_pic_state, elcr_mask) ==
		 offsetof(struct kvm_pic_state, elcr_mask));

static void ioapic_to_user(const struct bv_ioapic_state *state, struct kvm_ioapic_state *user)
{
	bvk_zero(user, sizeof(*user));
	user->base_address = state->base;
	user->ioregsel = state->ioregsel;
	user->id = state->id;
	user->irr = state->irr;
	for (unsigned int pin = 0; pin < KVM_IOAPIC_NUM_PINS; pin++)
		user->redirtbl[pin].bits = state->redirect[pin];
}

static void ioapic_from_user(struct bv_ioapic_state *state, const struct kvm_ioapic_state *user)
{
	state->base = user->base_address;
	state->ioregsel = user->ioregsel;
	state->id = user->id;
	state->irr = user->irr;
	for (unsigned int pin = 0; pin < KVM_IOAPIC_NUM_PINS; pin++)
		state->redirect[pin] = user->redirtbl[pin].bits;
}

static int check_chip(struct bvk_call *call, u32 chip)
{
	if (!bv_irqchip_full(call->vm->vm))
		return bvk_refuse(call, BV_ENXIO, "the VM has no 8259 and I/O APIC here");
	if (chip >= KVM_NR_IRQCHIPS)
		return bvk_refuse(call, BV_EINVAL, "chip_id = %u: there are 0, 1 and 2", chip);
	return 0;
}

long bvk_get_irqchip(struct bvk_call *call)
{
	struct kvm_irqchip *chip = call->data;
	struct bv_ioapic_state state;
	int error = check_chip(call, chip->chip_id);

	if (error)
		return error;
	bvk_zero(&chip->chip, sizeof(chip->chip));
	if (chip->chip_id != KVM_IRQCHIP_IOAPIC)
		return bv_pic_get(call->vm->vm, chip->chip_id,
				  (struct bv_pic_state *)&chip->chip.pic);
	error = bv_ioapic_get(call->vm->vm, &state);
	if (!error)
		ioapic_to_user(&state, &chip->chip.ioapic);
	return error;
}

long bvk_set_irqchip(struct bvk_call *call)
{
	const struct kvm_irqchip *chip = call->data;
	struct bv_ioapic_state state;
	int error = check_chip(call, chip->chip_id);

	if (error)
		return error;
	if (chip->chip_id != KVM_IRQCHIP_IOAPIC)
		return bv_pic_set(call->vm->vm, chip->chip_id,
				  (const struct bv_pic_state *)&chip->chip.pic);
	ioapic_from_user(&state, &chip->chip.ioapic);
	return bv_ioapic_set(call->vm->vm, &state);
}

/*
 * ---- the timer chip's state: its times are the engine's clock here, CLOCK_MONOTONIC in user space
 * ----
 */

static void channel_to_user(const struct bv_pit_channel_state *state,
			    struct kvm_pit_channel_state *user)
{
	*user = (struct kvm_pit_channel_state){
		.count = state->count,
		.latched_count = state->latched_count,
		.count_latched = state->count_latched,
		.status_latched = state->status_latched,
		.status = state->status,
		.read_state = state->read_state,
		.write_state = state->write_state,
		.write_latch = state->write_latch,
		.rw_mode = state->rw_mode,
		.mode = state->mode,
		.bcd = state->bcd,
		.gate = state->gate,
		.count_load_time = (s64)(state->load_ns + bvk_host_monotonic_ns() - bv_host_ns()),
	};
}

static void channel_from_user(struct bv_pit_channel_state *state,
			      const struct kvm_pit_channel_state *user)
{
	*state = (struct bv_pit_channel_state){
		.count = user->count,
		.latched_count = user->latched_count,
		.count_latched = user->count_latched,
		.status_latched = user->status_latched,
		.status = user->status,
		.read_state = user->read_state,
		.write_state = user->write_state,
		.write_latch = user->write_latch,
		.rw_mode = user->rw_mode,
		.mode = user->mode,
		.bcd = user->bcd,
		.gate = user->gate,
		.load_ns = (u64)user->count_load_time + bv_host_ns() - bvk_host_monotonic_ns(),
	};
}

static int check_pit(struct bvk_call *call)
{
	if (bv_pit_present(call->vm->vm))
		return 0;
	return bvk_refuse(call, BV_ENXIO, "the VM has no timer chip here (KVM_CREATE_PIT2)");
}

long bvk_get_pit(struct bvk_call *call)
{
	struct kvm_pit_state *user = call->data;
	struct bv_pit_state state;
	int error = check_pit(call);

	if (!error)
		error = bv_pit_get(call->vm->vm, &state);
	for (unsigned int i = 0; i < 3 && !error; i++)
		channel_to_user(&state.channel[i], &user->channels[i]);
	return error;
}

/* The old form has no flags: they stay as they are. */
long bvk_set_pit(struct bvk_call *call)
{
	const struct kvm_pit_state *user = call->data;
	struct bv_pit_state state;
	int error = check_pit(call);

	if (!error)
		error = bv_pit_get(call->vm->vm, &state);
	if (error)
		return error;
	for (unsigned int i = 0; i < 3; i++)
		channel_from_user(&state.channel[i], &user->channels[i]);
	return bv_pit_set(call->vm->vm, &state);
}

long bvk_get_pit2(struct bvk_call *call)
{
	struct kvm_pit_state2 *user = call->data;
	struct bv_pit_state state;
	int error = check_pit(call);

	if (!error)
		error = bv_pit_get(call->vm->vm, &state);
	if (error)
		return error;
	bvk_zero(user, sizeof(*user));
	for (unsigned int i = 0; i < 3; i++)
		channel_to_user(&state.channel[i], &user->channels[i]);
	user->flags = (state.hpet_legacy ? KVM_PIT_FLAGS_HPET_LEGACY : 0) |
		      (state.speaker_data_on ? KVM_PIT_FLAGS_SPEAKER_DATA_ON : 0);
	return 0;
}

long bvk_set_pit2(struct bvk_call *call)
{
	const struct kvm_pit_state2 *user = call->data;
	struct bv_pit_state state;
	int error = check_pit(call);

	if (error)
		return error;
	bvk_zero(&state, sizeof(state));
	for (unsigned int i = 0; i < 3; i++)
		channel_from_user(&state.channel[i], &user->channels[i]);
	state.hpet_legacy = user->flags & KVM_PIT_FLAGS_HPET_LEGACY;
	state.speaker_data_on = user->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	return bv_pit_set(call->vm->vm, &state);
}

long bvk_reinject_control(struct bvk_call *call)
{
	const struct kvm_reinject_control *control = call->data;
	int error = check_pit(call);

	return error ? error : bv_pit_reinject(call->vm->vm, control->pit_reinject);
}
