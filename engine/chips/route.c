/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Interrupt routing: what a line (gsi) is connected to, messages of devices, and who wants to hear
 * of an interrupt's end. The contract is in bv/irq.h.
 *
 * The table is replaced as a whole under chips->lock, and read under it; a line's message is
 * delivered while it is held, so that after a replacement no message of the old table is on its
 * way.
 */
#include "chips/chips.h"

/* ---- messages ---- */

#define MSI_DEST_SHIFT 12
#define MSI_REDIRECTION_HINT BV_BIT(3)
#define MSI_LOGICAL BV_BIT(2)
#define MSI_DATA_ASSERT (1u << 14)
#define MSI_DATA_LEVEL (1u << 15)

void bv_route_message(const struct bv_chips *chips, const struct bv_msi *msi,
		      struct apic_message *message)
{
	*message = (struct apic_message){
		.dest = (msi->address >> MSI_DEST_SHIFT) & 0xff,
		.vector = (u8)msi->data,
		.mode = (msi->data >> 8) & 7,
		.logical = msi->address & MSI_LOGICAL,
		.level = msi->data & MSI_DATA_LEVEL,
		.outside = true,
	};
	/* The bits above 7 of the ID are those above 39 of the address. */
	if (chips->ids32)
		message->dest |= (u32)(msi->address >> 32) & 0xffffff00u;
	if (msi->address & MSI_REDIRECTION_HINT && message->mode == MODE_FIXED)
		message->mode = MODE_LOWEST;
}

static int route_message(struct bv_chips *chips, const struct bv_msi *msi)
{
	struct apic_message message;

	bv_route_message(chips, msi, &message);
	return bv_lapic_deliver(chips, &message);
}

int bv_irq_msi(struct bv_vm *vm, const struct bv_msi *msi)
{
	struct bv_chips *chips = vm_chips(vm);
	int result;

	if (!chips)
		return -BV_EINVAL;
	result = route_message(chips, msi);
	return result < 0 ? 0 : result;
}

/* ---- lines ---- */

/* Wired OR: the pin is high while any source holds it. */
static bool route_wire(u64 *sources, unsigned int source, bool level)
{
	if (level)
		*sources |= BV_BIT(source);
	else
		*sources &= ~BV_BIT(source);
	return *sources;
}

static int route_pin(struct bv_chips *chips, const struct bv_route *route, unsigned int source,
		     bool level)
{
	u32 pin = route->pin;

	switch (route->kind) {
	case BV_ROUTE_PIC_SLAVE:
		pin += 8;
		bv_fallthrough;
	case BV_ROUTE_PIC_MASTER:
		level = route_wire(&chips->pic.source[pin], source, level);
		return bv_pic_set_line(chips, pin, level);
	case BV_ROUTE_IOAPIC:
		level = route_wire(&chips->ioapic.source[pin], source, level);
		return bv_ioapic_set_line(chips, pin, level);
	default:
		return level ? route_message(chips, &route->msi) : 0;
	}
}

static int route_line_locked(struct bv_chips *chips, u32 gsi, unsigned int source, bool level)
{
	const struct route_table *table = chips->routes;
	int result = -1;

	if (!table || gsi >= table->gsis || table->first[gsi] == table->first[gsi + 1])
		return -BV_EINVAL;
	for (u32 i = table->first[gsi]; i < table->first[gsi + 1]; i++) {
		int reached = route_pin(chips, &table->route[i], source, level);

		if (reached >= 0)
			result = result < 0 ? reached : result + reached;
	}
	return result;
}

int bv_route_line(struct bv_chips *chips, u32 gsi, unsigned int source, bool level)
{
	u64 flags = bv_host_spin_lock_irq(&chips->lock);
	int result = route_line_locked(chips, gsi, source, level);

	bv_host_spin_unlock_irq(&chips->lock, flags);
	return result;
}

int bv_irq_line(struct bv_vm *vm, u32 gsi, unsigned int source, bool level)
{
	struct bv_chips *chips = vm_chips(vm);
	int result;

	if (!chips || source > 63)
		return -BV_EINVAL;
	result = bv_route_line(chips, gsi, source, level);
	return result == -1 ? 0 : result;
}

/* ---- the table ---- */

static bool route_is_pin(const struct bv_route *route)
{
	return route->kind != BV_ROUTE_MSI;
}

/* Why one route cannot be, or NULL. */
static const char *route_fault(const struct bv_chips *chips, const struct bv_route *route)
{
	if (route->gsi >= BV_MAX_ROUTES)
		return "its gsi is not below 4096";
	if (route->kind > BV_ROUTE_MSI)
		return "there is no such kind of route";
	if (!route_is_pin(route))
		return NULL;
	if (!chips->full)
		return "its chip is not in the engine";
	if (route->pin >= (route->kind == BV_ROUTE_IOAPIC ? IOAPIC_PINS : 8))
		return "the chip has no such pin";
	return NULL;
}

/*
 * Whether two routes of one gsi exclude each other: a message stands alone, and each chip has the
 * gsi once.
 */
static bool routes_clash(const struct bv_route *one, const struct bv_route *two)
{
	return !route_is_pin(one) || !route_is_pin(two) || one->kind == two->kind;
}

static u32 routes_gsis(const struct bv_route *routes, unsigned int count)
{
	u32 gsis = 0;

	for (u32 i = 0; i < count; i++)
		if (routes[i].gsi >= gsis)
			gsis = routes[i].gsi + 1;
	return gsis;
}

/* Sorts the routes, which have been checked one by one, by gsi. NULL: no memory. */
static struct route_table *table_build(const struct bv_route *routes, unsigned int count)
{
	u32 gsis = routes_gsis(routes, count);
	struct route_table *table =
		bv_host_alloc(sizeof(*table) + count * sizeof(*routes) + (gsis + 2) * sizeof(u32));

	if (!table)
		return NULL;
	table->gsis = gsis;
	table->count = count;
	table->route = (struct bv_route *)(table + 1);
	table->first = (u32 *)(table->route + count);
	/*
	 * Count each gsi two places on; sums then are starts one place on; placing moves them to
	 * their own place.
	 */
	for (u32 i = 0; i < count; i++)
		table->first[routes[i].gsi + 2 > gsis + 1 ? gsis + 1 : routes[i].gsi + 2]++;
	for (u32 i = 2; i <= gsis + 1; i++)
		table->first[i] += table->first[i - 1];
	for (u32 i = 0; i < count; i++)
		table->route[table->first[routes[i].gsi + 1]++] = routes[i];
	return table;
}

/* Two routes of one gsi that clash; false: none. */
static bool table_clash(const struct route_table *table, u32 *gsi)
{
	for (u32 i = 0; i < table->count; i++)
		for (u32 j = i + 1; j < table->count && table->route[j].gsi == table->route[i].gsi;
		     j++)
			if (routes_clash(&table->route[i], &table->route[j])) {
				*gsi = table->route[i].gsi;
				return true;
			}
	return false;
}

/*
 * What follows from the table: which gsi each pin has, and which vectors' ends the front wants to
 * hear of.
 */
static void routes_derive(struct bv_chips *chips)
{
	const struct route_table *table = chips->routes;
	struct apic_vectors exits = { { 0 } };

	for (u32 pin = 0; pin < IOAPIC_PINS; pin++)
		chips->pin_gsi[CHIP_PIC][pin] = chips->pin_gsi[CHIP_IOAPIC][pin] = NO_GSI;
	for (u32 i = 0; i < table->count; i++) {
		const struct bv_route *route = &table->route[i];

		if (route->kind == BV_ROUTE_IOAPIC)
			chips->pin_gsi[CHIP_IOAPIC][route->pin] = (u16)route->gsi;
		else if (route_is_pin(route))
			chips->pin_gsi[CHIP_PIC]
				      [route->pin + 8 * (route->kind == BV_ROUTE_PIC_SLAVE)] =
				(u16)route->gsi;
		else if (route->gsi < chips->split_pins && route->msi.data & MSI_DATA_LEVEL)
			vectors_set(&exits, (u8)route->msi.data);
	}
	for (u32 i = 0; i < BV_ARRAY_SIZE(exits.word); i++)
		BV_WRITE_ONCE(chips->eoi_exit.word[i], exits.word[i]);
}

static bool gsi_has_notifier(const struct bv_chips *chips, u32 gsi)
{
	const struct bv_ack_notifier *notifier;

	for (notifier = chips->notifiers; notifier; notifier = notifier->next)
		if (notifier->gsi == gsi)
			return true;
	return false;
}

/* Which pins' ends a notifier wants to hear of. Both locks held. */
static void notify_derive(struct bv_chips *chips)
{
	for (u32 chip = CHIP_PIC; chip <= CHIP_IOAPIC; chip++) {
		u32 pins = 0;

		for (u32 pin = 0; pin < IOAPIC_PINS; pin++)
			if (gsi_has_notifier(chips, chips->pin_gsi[chip][pin]))
				pins |= 1u << pin;
		BV_WRITE_ONCE(chips->notify[chip], pins);
	}
	bv_ioapic_watch_update(chips);
}

static void routes_replace(struct bv_chips *chips, struct route_table *table)
{
	u64 ack_flags = bv_host_spin_lock_irq(&chips->ack_lock);
	u64 flags = bv_host_spin_lock_irq(&chips->lock);
	struct route_table *old = chips->routes;

	chips->routes = table;
	routes_derive(chips);
	notify_derive(chips);
	bv_host_spin_unlock_irq(&chips->lock, flags);
	bv_host_spin_unlock_irq(&chips->ack_lock, ack_flags);
	bv_host_free(old);
}

int bv_irq_routes_set(struct bv_vm *vm, const struct bv_route *routes, unsigned int count)
{
	struct bv_chips *chips = vm_chips(vm);
	struct route_table *table;
	u32 gsi;

	if (!chips)
		return bv_refuse(&vm->why, BV_EINVAL,
				 "routes: this VM has no interrupt controllers in the engine");
	if (count > BV_MAX_ROUTES)
		return bv_refuse(&vm->why, BV_EINVAL, "routes: %u, at most %u can be", count,
				 BV_MAX_ROUTES);
	for (u32 i = 0; i < count; i++) {
		const char *fault = route_fault(chips, &routes[i]);

		if (fault)
			return bv_refuse(&vm->why, BV_EINVAL,
					 "route %u (gsi %u, kind %u, pin %u): %s", i, routes[i].gsi,
					 (u32)routes[i].kind, routes[i].pin, fault);
	}
	table = table_build(routes, count);
	if (!table)
		return bv_refuse(&vm->why, BV_ENOMEM, "routes: no memory for %u", count);
	if (table_clash(table, &gsi)) {
		bv_host_free(table);
		return bv_refuse(&vm->why, BV_EINVAL, "routes: two of gsi %u exclude each other",
				 gsi);
	}
	routes_replace(chips, table);
	return 0;
}

/*
 * As PCs are wired: lines 0 to 15 to both chips, the rest to the I/O APIC; the timer's line is its
 * pin 2.
 */
static u32 route_defaults(struct bv_route *routes)
{
	u32 count = 0;

	for (u32 gsi = 0; gsi < IOAPIC_PINS; gsi++) {
		if (gsi < PIC_PINS)
			routes[count++] = (struct bv_route){
				.gsi = gsi,
				.kind = gsi < 8 ? BV_ROUTE_PIC_MASTER : BV_ROUTE_PIC_SLAVE,
				.pin = gsi & 7,
			};
		if (gsi != 2)
			routes[count++] = (struct bv_route){
				.gsi = gsi,
				.kind = BV_ROUTE_IOAPIC,
				.pin = gsi ? gsi : 2,
			};
	}
	return count;
}

int bv_route_default(struct bv_chips *chips)
{
	struct bv_route *routes = bv_host_alloc((PIC_PINS + IOAPIC_PINS) * sizeof(*routes));
	struct route_table *table;

	if (!routes)
		return -BV_ENOMEM;
	table = table_build(routes, chips->full ? route_defaults(routes) : 0);
	bv_host_free(routes);
	if (!table)
		return -BV_ENOMEM;
	routes_replace(chips, table);
	return 0;
}

void bv_route_free(struct bv_chips *chips)
{
	bv_host_free(chips->routes);
	chips->routes = NULL;
}

/* ---- ack notifiers ---- */

static void notifiers_changed(struct bv_chips *chips)
{
	u64 flags = bv_host_spin_lock_irq(&chips->lock);

	notify_derive(chips);
	bv_host_spin_unlock_irq(&chips->lock, flags);
}

void bv_irq_ack_notifier_add(struct bv_vm *vm, struct bv_ack_notifier *notifier)
{
	struct bv_chips *chips = vm_chips(vm);
	u64 flags;

	if (!chips)
		return;
	flags = bv_host_spin_lock_irq(&chips->ack_lock);
	notifier->next = chips->notifiers;
	chips->notifiers = notifier;
	notifiers_changed(chips);
	bv_host_spin_unlock_irq(&chips->ack_lock, flags);
}

void bv_irq_ack_notifier_del(struct bv_vm *vm, struct bv_ack_notifier *notifier)
{
	struct bv_chips *chips = vm_chips(vm);
	struct bv_ack_notifier **at;
	u64 flags;

	if (!chips)
		return;
	flags = bv_host_spin_lock_irq(&chips->ack_lock);
	at = &chips->notifiers;
	while (*at && *at != notifier)
		at = &(*at)->next;
	if (*at)
		*at = notifier->next;
	notifiers_changed(chips);
	bv_host_spin_unlock_irq(&chips->ack_lock, flags);
}

static void notifiers_call(struct bv_chips *chips, u32 gsi)
{
	struct bv_ack_notifier *notifier;

	for (notifier = chips->notifiers; notifier; notifier = notifier->next)
		if (notifier->gsi == gsi)
			notifier->acked(notifier);
}

void bv_irq_acked(struct bv_chips *chips, enum route_chip chip, u32 pins)
{
	u64 flags;

	pins &= BV_READ_ONCE(chips->notify[chip]);
	if (bv_likely(!pins))
		return;
	flags = bv_host_spin_lock_irq(&chips->ack_lock);
	for (; pins; pins &= pins - 1) {
		u32 gsi = BV_READ_ONCE(chips->pin_gsi[chip][__builtin_ctz(pins)]);

		if (gsi != NO_GSI)
			notifiers_call(chips, gsi);
	}
	bv_host_spin_unlock_irq(&chips->ack_lock, flags);
}
