/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Routes, messages, notifiers of an interrupt's end, and the two ways of making the chips. */
#include "machine.h"

#define MSI(dest, vector)                          \
	{                                          \
		0xfee00000u | (dest) << 12, vector \
	}

TEST(creation_has_its_rules)
{
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	CHECK(bv_irqchip_present(m.vm) && bv_irqchip_full(m.vm));
	CHECK_EQ(bv_irqchip_create(m.vm), -BV_EEXIST);
	CHECK_EQ(bv_irqchip_create_split(m.vm, 24), -BV_EEXIST);
	machine_stop(&m);

	machine_start(&m, 0, CHIPS_SPLIT);
	CHECK(bv_irqchip_present(m.vm) && !bv_irqchip_full(m.vm));
	machine_stop(&m);

	fake_reset();
	m.vm = bv_vm_create(NULL);
	CHECK_EQ(bv_irqchip_create_split(m.vm, 4097), -BV_EINVAL);
	CHECK(!bv_irqchip_present(m.vm));
	CHECK_EQ(bv_irq_line(m.vm, 3, 0, true), -BV_EINVAL);
	machine_stop(&m);
}

TEST(no_memory_leaves_nothing_behind)
{
	struct bv_vm *vm;
	long fails;
	int error;

	for (fails = 1; fails < 30; fails++) {
		fake_reset();
		fake_vendor_use();
		vm = bv_vm_create(NULL);
		fake_fail_alloc_after(fails);
		error = bv_irqchip_create(vm);
		CHECK(error == 0 || error == -BV_ENOMEM);
		CHECK_EQ(bv_irqchip_present(vm), !error);
		bv_vm_destroy(vm);
		CHECK_EQ(fake_allocs(), 0);
	}
	CHECK_EQ(error, 0);
}

TEST(a_line_goes_to_both_chips)
{
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	machine_enable_apics(&m);
	ioapic_pin(m.cpu[0], 4, 0x61, 0);
	CHECK_EQ(bv_irq_line(m.vm, 4, 0, true), 2);
	ioapic_pin(m.cpu[0], 2, 0x62, 0);
	CHECK_EQ(bv_irq_line(m.vm, 0, 0, true), 2); /* the timer's line is pin 2 */
	CHECK_EQ(bv_irq_line(m.vm, 23, 0, true), 0); /* masked */
	CHECK_EQ(bv_irq_line(m.vm, 24, 0, true), -BV_EINVAL);
	CHECK_EQ(bv_irq_line(m.vm, 4, 64, true), -BV_EINVAL);
	machine_stop(&m);
}

TEST(routes_that_cannot_be_are_refused)
{
	const struct bv_route good[] = {
		{ .gsi = 5, .kind = BV_ROUTE_IOAPIC, .pin = 7 },
		{ .gsi = 5, .kind = BV_ROUTE_PIC_MASTER, .pin = 5 },
		{ .gsi = 30, .kind = BV_ROUTE_MSI, .msi = MSI(0, 0x55) },
	};
	struct bv_route bad[3];
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	machine_enable_apics(&m);
	CHECK_EQ(bv_irq_routes_set(m.vm, good, 3), 0);
	memcpy(bad, good, sizeof(bad));
	bad[1].kind = BV_ROUTE_IOAPIC;
	CHECK_EQ(bv_irq_routes_set(m.vm, bad, 3), -BV_EINVAL);
	bad[1].kind = BV_ROUTE_MSI;
	CHECK_EQ(bv_irq_routes_set(m.vm, bad, 3), -BV_EINVAL);
	memcpy(bad, good, sizeof(bad));
	bad[0].pin = 24;
	CHECK_EQ(bv_irq_routes_set(m.vm, bad, 3), -BV_EINVAL);
	bad[0].pin = 7;
	bad[1].pin = 8;
	CHECK_EQ(bv_irq_routes_set(m.vm, bad, 3), -BV_EINVAL);
	bad[1].pin = 5;
	bad[2].gsi = 4096;
	CHECK_EQ(bv_irq_routes_set(m.vm, bad, 3), -BV_EINVAL);
	bad[2].gsi = 30;
	bad[2].kind = 9;
	CHECK_EQ(bv_irq_routes_set(m.vm, bad, 3), -BV_EINVAL);
	fake_fail_alloc_after(1);
	CHECK_EQ(bv_irq_routes_set(m.vm, good, 3), -BV_ENOMEM);
	fake_fail_alloc_after(0);
	/* After all that the good ones are in force. */
	CHECK_EQ(bv_irq_line(m.vm, 30, 0, true), 1);
	CHECK_EQ(take(m.cpu[0]), 0x55);
	CHECK_EQ(bv_irq_line(m.vm, 4, 0, true), -BV_EINVAL);
	ioapic_pin(m.cpu[0], 7, 0x61, 0);
	CHECK_EQ(bv_irq_line(m.vm, 5, 0, true), 2);
	CHECK_EQ(bv_irq_routes_set(m.vm, NULL, 0), 0);
	CHECK_EQ(bv_irq_line(m.vm, 5, 0, true), -BV_EINVAL);
	machine_stop(&m);
}

TEST(many_routes_in_any_order)
{
	static struct bv_route routes[BV_MAX_ROUTES];
	struct machine m;

	machine_start(&m, 1, CHIPS_SPLIT);
	machine_enable_apics(&m);
	for (u32 i = 0; i < BV_MAX_ROUTES; i++)
		routes[i] = (struct bv_route){
			.gsi = i * 1001 % BV_MAX_ROUTES,
			.kind = BV_ROUTE_MSI,
			.msi = MSI(0u, 0x20 + i * 1001 % BV_MAX_ROUTES % 0xe0),
		};
	CHECK_EQ(bv_irq_routes_set(m.vm, routes, BV_MAX_ROUTES), 0);
	for (u32 gsi = 0; gsi < BV_MAX_ROUTES; gsi += 131) {
		CHECK_EQ(bv_irq_line(m.vm, gsi, 0, true), 1);
		CHECK_EQ(take(m.cpu[0]), 0x20 + gsi % 0xe0);
		eoi(m.cpu[0]);
		CHECK_EQ(bv_irq_line(m.vm, gsi, 0, false), 0);
	}
	CHECK_EQ(bv_irq_routes_set(m.vm, routes, BV_MAX_ROUTES + 1), -BV_EINVAL);
	machine_stop(&m);
}

TEST(a_split_chip_has_no_pins)
{
	const struct bv_route pin = { .gsi = 5, .kind = BV_ROUTE_IOAPIC, .pin = 5 };
	struct bv_ioapic_state state;
	struct machine m;

	machine_start(&m, 1, CHIPS_SPLIT);
	CHECK_EQ(bv_irq_routes_set(m.vm, &pin, 1), -BV_EINVAL);
	CHECK_EQ(bv_ioapic_get(m.vm, &state), -BV_ENXIO);
	CHECK_EQ(bus_read(m.cpu[0], BV_BUS_PORT, 0x20, 1), ~0ULL);
	machine_stop(&m);
}

/* ---- ends ---- */

struct watcher {
	struct bv_ack_notifier notifier;
	struct bv_vm *vm;
	unsigned int acked;
	bool lower;
};

static void watcher_acked(struct bv_ack_notifier *notifier)
{
	struct watcher *watcher = BV_CONTAINER(notifier, struct watcher, notifier);

	watcher->acked++;
	CHECK(fake_irqs_off());
	if (watcher->lower)
		bv_irq_line(watcher->vm, notifier->gsi, 1, false);
}

TEST(a_notifier_hears_the_end_and_may_lower_the_line)
{
	struct watcher watcher = { .notifier = { .gsi = 5, .acked = watcher_acked },
				   .lower = true };
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	machine_enable_apics(&m);
	watcher.vm = m.vm;
	out(m.cpu[0], 0x21, 0xff);
	bv_irq_ack_notifier_add(m.vm, &watcher.notifier);
	ioapic_pin(m.cpu[0], 5, 0x61 | RTE_LEVEL, 0);
	bv_irq_line(m.vm, 5, 1, true);
	take(m.cpu[0]);
	CHECK_EQ(watcher.acked, 0);
	eoi(m.cpu[0]);
	CHECK_EQ(watcher.acked, 1);
	CHECK_EQ(pending(m.cpu[0]), -1);
	watcher.lower = false;
	bv_irq_line(m.vm, 5, 1, true);
	take(m.cpu[0]);
	eoi(m.cpu[0]);
	CHECK_EQ(take(m.cpu[0]), 0x61); /* still high: again */
	bv_irq_ack_notifier_del(m.vm, &watcher.notifier);
	eoi(m.cpu[0]);
	CHECK_EQ(watcher.acked, 2);
	machine_stop(&m);
}

TEST(a_notifier_hears_the_end_at_the_8259)
{
	struct watcher watcher = { .notifier = { .gsi = 11, .acked = watcher_acked } };
	struct machine m;

	machine_start(&m, 1, CHIPS_FULL);
	bv_irq_ack_notifier_add(m.vm, &watcher.notifier);
	bv_irq_line(m.vm, 11, 0, true);
	CHECK_EQ(take(m.cpu[0]), 3);
	CHECK_EQ(watcher.acked, 0);
	out(m.cpu[0], 0xa0, 0x20);
	CHECK_EQ(watcher.acked, 1);
	out(m.cpu[0], 0xa0, 0x20);
	CHECK_EQ(watcher.acked, 1);
	bv_irq_ack_notifier_del(m.vm, &watcher.notifier);
	machine_stop(&m);
}

TEST(a_notifier_of_an_edge_hears_its_end_alone)
{
	struct watcher watcher = { .notifier = { .gsi = 5, .acked = watcher_acked } };
	struct bv_msi message = MSI(1u, 0x61);
	struct machine m;

	machine_start(&m, 2, CHIPS_FULL);
	machine_enable_apics(&m);
	out(m.cpu[0], 0x21, 0xff);
	ioapic_pin(m.cpu[0], 5, 0x61, 0);
	bv_irq_ack_notifier_add(m.vm, &watcher.notifier);
	bv_irq_line(m.vm, 5, 0, true);
	take(m.cpu[0]);
	bv_irq_msi(m.vm, &message);
	take(m.cpu[1]);
	eoi(m.cpu[1]);
	CHECK_EQ(watcher.acked, 0);
	eoi(m.cpu[0]);
	CHECK_EQ(watcher.acked, 1);
	bv_irq_ack_notifier_del(m.vm, &watcher.notifier);
	machine_stop(&m);
}

TEST(the_front_hears_the_end_of_its_own_levels)
{
	const struct bv_route routes[] = {
		{ .gsi = 5, .kind = BV_ROUTE_MSI, .msi = MSI(0, 0xc000 | 0x61) },
		{ .gsi = 6, .kind = BV_ROUTE_MSI, .msi = MSI(0, 0x71) },
		{ .gsi = 30, .kind = BV_ROUTE_MSI, .msi = MSI(0, 0xc000 | 0x81) },
	};
	const u8 vectors[] = { 0x61, 0x71, 0x81 };
	const bool heard[] = { true, false, false }; /* level; edge; no pin of the front's chip */
	struct machine m;

	machine_start(&m, 1, CHIPS_SPLIT);
	machine_enable_apics(&m);
	CHECK_EQ(bv_irq_routes_set(m.vm, routes, 3), 0);
	for (u32 i = 0; i < 3; i++) {
		CHECK_EQ(bv_irq_line(m.vm, routes[i].gsi, 0, true), 1);
		CHECK_EQ(take(m.cpu[0]), vectors[i]);
		eoi(m.cpu[0]);
		CHECK_EQ(bv_vcpu_take_request(m.cpu[0], BV_REQ_EOI_EXIT), heard[i]);
		if (heard[i])
			CHECK_EQ(m.cpu[0]->eoi_vector, vectors[i]);
	}
	apic_write(m.cpu[0], R_SPIV, 0x11ff); /* no broadcast */
	bv_irq_line(m.vm, 5, 0, true);
	take(m.cpu[0]);
	eoi(m.cpu[0]);
	CHECK(!bv_vcpu_take_request(m.cpu[0], BV_REQ_EOI_EXIT));
	machine_stop(&m);
}

/* ---- messages ---- */

TEST(the_redirection_hint_is_lowest_priority)
{
	struct bv_msi message = { 0xfee00000 | 3 << 12 | 0xc, 0x61 };
	struct machine m;

	machine_start(&m, 2, CHIPS_FULL);
	machine_enable_apics(&m);
	apic_write(m.cpu[0], R_LDR, 1u << 24);
	apic_write(m.cpu[1], R_LDR, 2u << 24);
	CHECK_EQ(bv_irq_msi(m.vm, &message), 1);
	message.address &= ~8ULL;
	message.data = 0x62;
	CHECK_EQ(bv_irq_msi(m.vm, &message), 2);
	machine_stop(&m);
}

TEST(wide_destinations_only_where_asked_for)
{
	struct bv_msi message = { 0xfee00000 | 1 << 12 | 1ULL << 40, 0x61 };
	struct machine m;

	machine_start(&m, 2, CHIPS_FULL);
	machine_enable_apics(&m);
	CHECK_EQ(bv_irq_msi(m.vm, &message), 1);
	bv_irqchip_x2apic_mode(m.vm, true, false);
	message.data = 0x62;
	CHECK_EQ(bv_irq_msi(m.vm, &message), 0);
	machine_stop(&m);
}
