/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Messages to local APICs: who they are for, and what they do there. From other CPUs (the ICR), the
 * I/O APIC, devices (MSI), and from the sources of the local vector table.
 */
#include "chips/chips.h"
#include "lib/bits.h"

/* ---- arriving ---- */

/* Sets the bit, and tells nobody. */
static bool lapic_set_irr(struct bv_lapic *lapic, u8 vector, bool level)
{
	u64 *tmr = &lapic->tmr.word[vector >> 6];
	u64 bit = BV_BIT(vector & 63);

	if (level != !!(BV_READ_ONCE(*tmr) & bit))
		__atomic_fetch_xor(tmr, bit, __ATOMIC_SEQ_CST);
	if (__atomic_fetch_or(&lapic->irr.word[vector >> 6], bit, __ATOMIC_SEQ_CST) & bit)
		return false;
	BV_WRITE_ONCE(lapic->irr_hint, true);
	return true;
}

bool bv_lapic_request(struct bv_lapic *lapic, u8 vector, bool level)
{
	if (!lapic_set_irr(lapic, vector, level))
		return false;
	bv_vcpu_irq_arrived(lapic->vcpu);
	return true;
}

bool bv_lapic_request_own(struct bv_lapic *lapic, u8 vector)
{
	if (!lapic_set_irr(lapic, vector, false))
		return false;
	bv_vcpu_request(lapic->vcpu, BV_REQ_EVENT);
	return true;
}

void bv_lapic_error(struct bv_lapic *lapic, u32 error)
{
	u32 lvt = BV_READ_ONCE(lapic->lvt[LVT_ERROR]);

	if (__atomic_fetch_or(&lapic->errors, error, __ATOMIC_SEQ_CST) & error)
		return;
	if (!(lvt & LVT_MASKED) && (lvt & LVT_VECTOR) >= 16)
		bv_lapic_request(lapic, lvt & LVT_VECTOR, false);
}

/* 1 taken in, 0 already waiting, -1 not listening. */
static int lapic_accept_vector(struct bv_lapic *lapic, u8 vector, bool level)
{
	if (!lapic_enabled(lapic))
		return -1;
	if (vector < 16) {
		bv_lapic_error(lapic, ESR_RECEIVE_VECTOR);
		return -1;
	}
	return bv_lapic_request(lapic, vector, level);
}

static int lapic_accept(struct bv_lapic *lapic, const struct apic_message *message)
{
	switch (message->mode) {
	case MODE_FIXED:
	case MODE_LOWEST:
		/* A level-triggered message with the level low says nothing new. */
		if (message->level && message->deassert)
			return 0;
		return lapic_accept_vector(lapic, message->vector, message->level);
	case MODE_NMI:
		bv_vcpu_nmi(lapic->vcpu);
		return 1;
	case MODE_INIT:
		/* De-assert once synchronized arbitration IDs; there are none any more. */
		if (!message->level || !message->deassert)
			bv_vcpu_init_signal(lapic->vcpu);
		return 1;
	case MODE_SIPI:
		bv_vcpu_sipi_signal(lapic->vcpu, message->vector);
		return 1;
	default: /* SMI: no SMM here. ExtINT: the 8259 comes by LINT0 alone. */
		return -1;
	}
}

void bv_lapic_local(struct bv_lapic *lapic, enum apic_lvt lvt)
{
	u32 value = BV_READ_ONCE(lapic->lvt[lvt]);
	u8 vector = value & LVT_VECTOR;

	if (value & LVT_MASKED || !lapic_present(lapic))
		return;
	switch ((value & LVT_MODE) >> LVT_MODE_SHIFT) {
	case MODE_FIXED:
		if (vector < 16)
			bv_lapic_error(lapic, ESR_RECEIVE_VECTOR);
		else
			bv_lapic_request(lapic, vector, lvt == LVT_LINT0 && value & LVT_LEVEL);
		break;
	case MODE_NMI:
		bv_vcpu_nmi(lapic->vcpu);
		break;
	case MODE_INIT:
		bv_vcpu_init_signal(lapic->vcpu);
		break;
	case MODE_EXTINT:
		bv_vcpu_irq_arrived(lapic->vcpu);
		break;
	default:
		break;
	}
}

/* ---- the map of destinations ---- */

static enum apic_logical_model lapic_model(const struct bv_lapic *lapic)
{
	if (lapic_x2apic(lapic))
		return LOGICAL_X2APIC;
	return BV_READ_ONCE(lapic->dfr) == DFR_FLAT ? LOGICAL_FLAT : LOGICAL_CLUSTER;
}

/* The cluster and the members that a logical ID or destination names. */
struct logical_name {
	u32 cluster;
	u32 members;
};

static struct logical_name logical_name(enum apic_logical_model model, u32 id)
{
	switch (model) {
	case LOGICAL_FLAT:
		return (struct logical_name){ id >> 8, id & 0xff };
	case LOGICAL_CLUSTER:
		return (struct logical_name){ id >> 4, id & 0xf };
	default:
		return (struct logical_name){ id >> 16, id & 0xffff };
	}
}

static struct logical_name lapic_name(const struct bv_lapic *lapic, enum apic_logical_model model)
{
	u32 ldr = BV_READ_ONCE(lapic->ldr);

	return logical_name(model, model == LOGICAL_X2APIC ? ldr : ldr >> 24);
}

static void map_add(struct apic_map *map, const struct bv_lapic *lapic)
{
	u64 bit = BV_BIT(lapic->vcpu->index);
	enum apic_logical_model model = lapic_model(lapic);
	struct logical_name name = lapic_name(lapic, model);

	map->physical[lapic_id(lapic) & 0xff] |= bit;
	if (model == LOGICAL_X2APIC)
		map->x2apic |= bit;
	else
		map->xapic |= bit;
	if (!name.members)
		return;
	if (map->model == LOGICAL_NONE)
		map->model = model;
	else if (map->model != model)
		map->model = LOGICAL_MIXED;
	for (u32 i = 0; i < 16; i++)
		if (name.members >> i & 1)
			map->logical[name.cluster & 15][i] |= bit;
}

void bv_lapic_map_update(struct bv_chips *chips)
{
	struct apic_map *map = &chips->map;
	u64 flags = bv_host_spin_lock_irq(&chips->map_lock);
	const struct bv_lapic *lapic;
	u32 i;

	__atomic_fetch_add(&map->sequence, 1, __ATOMIC_SEQ_CST);
	map->model = LOGICAL_NONE;
	map->xapic = map->x2apic = 0;
	__builtin_memset(map->physical, 0, sizeof(map->physical));
	__builtin_memset(map->logical, 0, sizeof(map->logical));
	bv_chips_for_each_lapic(i, lapic, chips)
	{
		if (lapic_present(lapic))
			map_add(map, lapic);
	}
	__atomic_fetch_add(&map->sequence, 1, __ATOMIC_SEQ_CST);
	bv_host_spin_unlock_irq(&chips->map_lock, flags);
}

/* ---- destinations ---- */

static bool lapic_matches_logical(const struct bv_lapic *lapic, u32 dest)
{
	enum apic_logical_model model = lapic_model(lapic);
	struct logical_name own = lapic_name(lapic, model);
	struct logical_name asked = logical_name(model, dest);

	return own.cluster == asked.cluster && own.members & asked.members;
}

/* Asks each local APIC by its own model. */
static u64 targets_logical_slow(struct bv_chips *chips, u32 dest)
{
	const struct bv_lapic *lapic;
	u64 targets = 0;
	u32 i;

	bv_chips_for_each_lapic(i, lapic, chips)
	{
		if (lapic_present(lapic) && lapic_matches_logical(lapic, dest))
			targets |= BV_BIT(i);
	}
	return targets;
}

static u64 map_logical(struct bv_chips *chips, u32 dest)
{
	const struct apic_map *map = &chips->map;
	enum apic_logical_model model = BV_READ_ONCE(map->model);
	struct logical_name asked;
	u64 targets = 0;

	if (model == LOGICAL_MIXED)
		return targets_logical_slow(chips, dest);
	asked = logical_name(model, dest);
	if (asked.cluster > 15)
		return 0;
	for (; asked.members; asked.members &= asked.members - 1)
		targets |= BV_READ_ONCE(map->logical[asked.cluster][__builtin_ctz(asked.members)]);
	return targets;
}

static u64 map_one(struct bv_chips *chips, const struct apic_message *message)
{
	if (message->logical)
		return map_logical(chips, message->dest);
	return message->dest < 256 ? BV_READ_ONCE(chips->map.physical[message->dest]) : 0;
}

/*
 * All ones mean everybody: eight bits of them to local APICs in xAPIC mode, 32 bits to the others.
 * Devices and I/O APICs without 32-bit IDs have no way to say the latter, so that their 0xff
 * reaches all, unless the front wants ID 255 to be an ID.
 */
static u64 map_targets(struct bv_chips *chips, const struct apic_message *message)
{
	const struct apic_map *map = &chips->map;

	if (bv_likely(message->dest != XAPIC_BROADCAST && message->dest != X2APIC_BROADCAST))
		return map_one(chips, message);
	if (message->dest == X2APIC_BROADCAST || (message->outside && !chips->no_broadcast_quirk))
		return BV_READ_ONCE(map->xapic) | BV_READ_ONCE(map->x2apic);
	return BV_READ_ONCE(map->xapic) | (map_one(chips, message) & BV_READ_ONCE(map->x2apic));
}

/*
 * What the map says; read again where it is just being written. An INIT makes its target write it,
 * while the sender goes on to the SIPI.
 */
u64 bv_lapic_targets(struct bv_chips *chips, const struct apic_message *message)
{
	const struct apic_map *map = &chips->map;

	for (;;) {
		u32 before = __atomic_load_n(&map->sequence, __ATOMIC_ACQUIRE);
		u64 targets = message ? map_targets(chips, message) :
					BV_READ_ONCE(map->xapic) | BV_READ_ONCE(map->x2apic);

		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (bv_likely(!(before & 1) && before == BV_READ_ONCE(map->sequence)))
			return targets;
		__builtin_ia32_pause();
	}
}

/* ---- delivering ---- */

static struct bv_lapic *lapic_at(struct bv_chips *chips, u32 index)
{
	return __atomic_load_n(&chips->lapic[index], __ATOMIC_ACQUIRE);
}

/*
 * Of several, the one at the lowest processor priority; among equals the vector chooses, so that an
 * interrupt stays with its CPU and its caches.
 */
static u64 targets_lowest(struct bv_chips *chips, u64 targets, u8 vector)
{
	u32 skip = vector % (u32)bv_popcount(targets);
	u64 later = targets, best = 0;
	u32 best_priority = 256;

	while (skip--)
		later &= later - 1;
	for (u64 part = later; targets; targets &= ~part, part = targets) {
		for (u64 left = part; left; left &= left - 1) {
			const struct bv_lapic *lapic = lapic_at(chips, (u32)__builtin_ctzll(left));

			if (!lapic || !lapic_enabled(lapic) ||
			    BV_READ_ONCE(lapic->ppr) >= best_priority)
				continue;
			best_priority = BV_READ_ONCE(lapic->ppr);
			best = left & -left;
		}
	}
	return best;
}

static int deliver_to(struct bv_chips *chips, u64 targets, const struct apic_message *message)
{
	int result = -1;

	if (message->mode == MODE_LOWEST && targets & (targets - 1))
		targets = targets_lowest(chips, targets, message->vector);
	for (; targets; targets &= targets - 1) {
		struct bv_lapic *lapic = lapic_at(chips, (u32)__builtin_ctzll(targets));
		int accepted = lapic ? lapic_accept(lapic, message) : -1;

		if (accepted >= 0)
			result = result < 0 ? accepted : result + accepted;
	}
	return result;
}

int bv_lapic_deliver(struct bv_chips *chips, const struct apic_message *message)
{
	return deliver_to(chips, bv_lapic_targets(chips, message), message);
}

/* ---- the ICR ---- */

static u64 icr_targets(struct bv_lapic *lapic, u32 low, const struct apic_message *message)
{
	u64 self = BV_BIT(lapic->vcpu->index);

	switch ((low & ICR_SHORTHAND) >> ICR_SHORTHAND_SHIFT) {
	case TO_SELF:
		return self;
	case TO_ALL:
		return bv_lapic_targets(lapic->chips, NULL);
	case TO_OTHERS:
		return bv_lapic_targets(lapic->chips, NULL) & ~self;
	default:
		return bv_lapic_targets(lapic->chips, message);
	}
}

static void icr_message(struct apic_message *message, u32 low, u32 dest)
{
	*message = (struct apic_message){
		.dest = dest,
		.vector = (u8)low,
		.mode = (low & ICR_MODE) >> ICR_MODE_SHIFT,
		.logical = low & ICR_LOGICAL,
		.level = low & ICR_LEVEL,
		.deassert = !(low & ICR_ASSERT),
	};
}

/*
 * The usual case, done quickly: an edge-triggered vector for one local APIC by its ID. One word of
 * the map says whose it is; where it names nobody, or several, or is just being written, the long
 * way finds out.
 */
static bool icr_send_one(struct bv_lapic *lapic, u32 low, u32 dest)
{
	struct bv_lapic *target;
	u64 targets;

	if (low & (ICR_MODE | ICR_LOGICAL | ICR_SHORTHAND | ICR_LEVEL) || (low & 0xff) < 16 ||
	    dest >= XAPIC_BROADCAST)
		return false;
	targets = BV_READ_ONCE(lapic->chips->map.physical[dest]);
	if (!targets || targets & (targets - 1))
		return false;
	target = lapic_at(lapic->chips, (u32)__builtin_ctzll(targets));
	if (!target)
		return false;
	if (target != lapic)
		lapic_accept_vector(target, (u8)low, false);
	else if (lapic_enabled(lapic))
		bv_lapic_request_own(lapic, (u8)low);
	return true;
}

void bv_lapic_send(struct bv_lapic *lapic, u64 icr)
{
	u32 low = (u32)icr;
	u32 dest = lapic_x2apic(lapic) ? (u32)(icr >> 32) : (u32)(icr >> 56);
	struct apic_message message;

	if (bv_likely(icr_send_one(lapic, low, dest)))
		return;
	icr_message(&message, low, dest);
	if (message.mode <= MODE_LOWEST && message.vector < 16) {
		bv_lapic_error(lapic, ESR_SEND_VECTOR);
		return;
	}
	deliver_to(lapic->chips, icr_targets(lapic, low, &message), &message);
}

bool bv_lapic_ipi(struct bv_vcpu *vcpu, u32 apic_id, u32 icr_low)
{
	struct apic_message message;

	icr_message(&message, icr_low | ICR_ASSERT, apic_id);
	return bv_lapic_deliver(vcpu_lapic(vcpu)->chips, &message) >= 0;
}
