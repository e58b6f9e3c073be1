/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chips under a guest, devices, a front and a clock that do anything at all, in any order:
 * register accesses, lines, messages, interrupts taken and ended, states read out and written back.
 *
 * What must hold: no misuse of the host, no access outside of memory; requested and in-service
 * vectors as the registers show them; what `pending` offers is what `take` gives; an interrupt that
 * is offered again and again comes to an end; the host's timers are bounded.
 */
#include <stdlib.h>
#include <string.h>

#include "bv/irq.h"
#include "core/vcpu.h"
#include "hosts/fake/fake.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define CPUS 3

#define MUST(condition)                   \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

struct input {
	const u8 *at, *end;
};

static struct {
	struct bv_vm *vm;
	struct bv_vcpu *cpu[CPUS];
	struct bv_ack_notifier notifier;
	bool notifying, split;
	u8 page[CPUS][4096];
} world;

static u64 take_bytes(struct input *input, unsigned int bytes)
{
	u64 value = 0;

	for (unsigned int i = 0; i < bytes && input->at < input->end; i++)
		value |= (u64)*input->at++ << 8 * i;
	return value;
}

static u8 take_byte(struct input *input)
{
	return (u8)take_bytes(input, 1);
}

static struct bv_vcpu *take_cpu(struct input *input)
{
	return world.cpu[take_byte(input) % CPUS];
}

/* A notifier that may lower its line, as resampling does. */
static void acked(struct bv_ack_notifier *notifier)
{
	MUST(fake_irqs_off());
	bv_irq_line(world.vm, notifier->gsi, 2, false);
}

/* ---- the guest ---- */

static const u16 ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x4d0, 0x4d1 };

static void bus_access(struct bv_vcpu *cpu, enum bv_bus_kind kind, u64 addr, u32 bytes, bool write,
		       u64 value)
{
	u64 buffer[2] = { value, 0 };

	bv_host_rwsem_read(&world.vm->mem_lock);
	if (write)
		bv_bus_write(cpu, kind, addr, bytes, buffer);
	else
		bv_bus_read(cpu, kind, addr, bytes, buffer);
	bv_host_rwsem_read_done(&world.vm->mem_lock);
}

static void do_port(struct input *input)
{
	struct bv_vcpu *cpu = take_cpu(input);
	u8 what = take_byte(input);
	u16 port = ports[(what >> 1) % BV_ARRAY_SIZE(ports)];

	bus_access(cpu, BV_BUS_PORT, port, 1u << (what >> 6 & 1), what & 1, take_bytes(input, 2));
}

static void do_ioapic(struct input *input)
{
	struct bv_vcpu *cpu = take_cpu(input);
	u8 index = take_byte(input);

	if (index & 0x80) {
		bus_access(cpu, BV_BUS_MMIO, 0xfec00000 + (index & 0x7f),
			   1u << (take_byte(input) & 3), index & 1, take_bytes(input, 8));
		return;
	}
	bus_access(cpu, BV_BUS_MMIO, 0xfec00000, 4, true, index);
	bus_access(cpu, BV_BUS_MMIO, 0xfec00010, 4, true, take_bytes(input, 4));
	bus_access(cpu, BV_BUS_MMIO, 0xfec00010, 4, false, 0);
}

static void do_apic_write(struct input *input)
{
	struct bv_vcpu *cpu = take_cpu(input);
	u32 reg = take_byte(input) & 0x3f;
	u64 value = take_bytes(input, 4);

	if (bv_vcpu_apic_base(cpu) & 1u << 10)
		world.vm->intc->msr_write(cpu, 0x800 + reg,
					  reg == 0x30 ? value | take_bytes(input, 4) << 32 : value,
					  false);
	else
		world.vm->intc->mmio_write(cpu, (bv_vcpu_apic_base(cpu) & ~0xfffULL) + reg * 16, 4,
					   &value);
}

static void do_apic_odd(struct input *input)
{
	struct bv_vcpu *cpu = take_cpu(input);
	u8 what = take_byte(input);
	u64 addr = (bv_vcpu_apic_base(cpu) & ~0xfffULL) + (take_bytes(input, 2) & 0xfff);
	u64 buffer[2] = { 0, 0 };

	if (what & 1)
		world.vm->intc->mmio_read(cpu, addr, 1u << (what >> 1 & 3), buffer);
	else
		world.vm->intc->mmio_write(cpu, addr, 1u << (what >> 1 & 3), buffer);
}

static void do_msr(struct input *input)
{
	struct bv_vcpu *cpu = take_cpu(input);
	u8 what = take_byte(input);
	u32 index = what & 1 ? 0x6e0 : what & 2 ? 0x1b : 0x800 + take_byte(input);
	u64 value = take_bytes(input, 8);

	if (index == 0x6e0 && what & 4)
		value = bv_vcpu_tsc(cpu) + (value & 0xffffff);
	if (index == 0x1b && what & 4)
		value = 0xfee00000 | (value & 0xd00);
	world.vm->intc->msr_write(cpu, index, value, what & 8);
	world.vm->intc->msr_read(cpu, index, &value, what & 16);
}

/* ---- the CPU ---- */

static u32 apic_word(struct bv_vcpu *cpu, u32 base, u8 vector)
{
	struct bv_lapic_state state;

	MUST(!bv_lapic_get(cpu, &state));
	return state.reg[(base + (vector >> 5) * 16) / 4] >> (vector & 31) & 1;
}

static void do_take(struct input *input)
{
	struct bv_vcpu *cpu = take_cpu(input);
	const struct bv_intc_ops *intc = world.vm->intc;
	int offered = intc->pending(cpu);
	bool extint = intc->takes_extint(cpu);
	int taken, hardware = intc->offer(cpu);

	if (hardware >= 0) {
		MUST(hardware == offered && hardware >= 32);
		intc->offer_end(cpu, (u8)hardware, take_byte(input) & 1);
		offered = intc->pending(cpu);
	}
	taken = intc->take(cpu);
	MUST(offered == taken);
	if (taken >= 16 && !extint && !world.split)
		MUST(apic_word(cpu, 0x100, (u8)taken));
	if (taken >= 0 && !extint)
		MUST((u64)(taken >> 4) > bv_vcpu_cr8(cpu));
	if (taken >= 0 && !extint)
		MUST(intc->eoi_next(cpu) != BV_EOI_NONE);
	intc->masked_by_tpr(cpu);
}

static void do_eoi(struct input *input)
{
	struct bv_vcpu *cpu = take_cpu(input);
	u32 zero = 0;

	if (bv_vcpu_apic_base(cpu) & 1u << 10)
		world.vm->intc->msr_write(cpu, 0x80b, 0, false);
	else
		world.vm->intc->mmio_write(cpu, (bv_vcpu_apic_base(cpu) & ~0xfffULL) + 0xb0, 4,
					   &zero);
}

static void do_cr8(struct input *input)
{
	struct bv_vcpu *cpu = take_cpu(input);
	u8 cr8 = take_byte(input) & 15;

	world.vm->intc->cr8_set(cpu, cr8);
	MUST(bv_vcpu_cr8(cpu) == cr8);
}

static void do_reset(struct input *input)
{
	struct bv_vcpu *cpu = take_cpu(input);

	world.vm->intc->vcpu_reset(cpu, take_byte(input) & 1);
}

/* ---- devices and time ---- */

static void do_line(struct input *input)
{
	u8 what = take_byte(input);

	bv_irq_line(world.vm, what & 31, what >> 5 & 3, what & 0x80);
}

static void do_message(struct input *input)
{
	struct bv_msi message = { 0xfee00000 | take_bytes(input, 3), (u32)take_bytes(input, 2) };

	bv_irq_msi(world.vm, &message);
}

static void do_time(struct input *input)
{
	u64 steps = take_bytes(input, 2);
	u8 scale = take_byte(input) % 16;
	u64 until = fake_clock() + (steps << scale);
	unsigned int fired = 0;

	/* No guest makes the host's timers come more often than every 200 µs each. */
	while (fake_timer_next() <= until) {
		fake_clock_set(fake_timer_next() > fake_clock() ? fake_timer_next() : fake_clock());
		MUST(++fired < 2 * CPUS + 4 + (CPUS + 2) * ((steps << scale) / 100000 + 1));
	}
	fake_clock_set(until);
}

/* ---- the front ---- */

static void do_state(struct input *input)
{
	struct bv_vcpu *cpu = take_cpu(input);
	struct bv_lapic_state lapic;
	struct bv_ioapic_state ioapic;
	struct bv_pic_state pic;
	struct bv_pit_state pit;
	u8 what = take_byte(input);
	u32 word = (u32)take_bytes(input, 4);

	switch (what & 3) {
	case 0:
		MUST(!bv_lapic_get(cpu, &lapic));
		lapic.reg[(what >> 2) * 4 % 256] ^= word;
		bv_lapic_set(cpu, &lapic);
		break;
	case 1:
		if (bv_ioapic_get(world.vm, &ioapic))
			break;
		((u32 *)&ioapic)[(what >> 2) % (sizeof(ioapic) / 4)] ^= word;
		bv_ioapic_set(world.vm, &ioapic);
		break;
	case 2:
		if (bv_pic_get(world.vm, what >> 2 & 1, &pic))
			break;
		((u8 *)&pic)[(what >> 3) % sizeof(pic)] ^= word;
		bv_pic_set(world.vm, what >> 2 & 1, &pic);
		break;
	case 3:
		if (bv_pit_get(world.vm, &pit))
			break;
		if (what & 4)
			pit.channel[word % 3].load_ns -= word;
		else
			memset((u8 *)&pit + (what >> 3) % 24, (u8)word, 1);
		pit.hpet_legacy = word & 1;
		bv_pit_set(world.vm, &pit);
		break;
	}
}

static void do_routes(struct input *input)
{
	struct bv_route routes[8];
	unsigned int count = take_byte(input) % 9;

	for (unsigned int i = 0; i < count; i++) {
		u8 kind = take_byte(input);

		routes[i] = (struct bv_route){
			.gsi = take_byte(input) & 31,
			.kind = kind % 5,
			.pin = take_byte(input) & 31,
			.msi = { 0xfee00000 | take_bytes(input, 2), (u32)take_bytes(input, 2) },
		};
	}
	bv_irq_routes_set(world.vm, routes, count);
}

static void do_notifier(struct input *input)
{
	u8 what = take_byte(input);

	if (world.notifying)
		bv_irq_ack_notifier_del(world.vm, &world.notifier);
	world.notifying = what & 1;
	world.notifier.gsi = what >> 1 & 31;
	if (world.notifying)
		bv_irq_ack_notifier_add(world.vm, &world.notifier);
	if (what & 0x40)
		bv_irqchip_x2apic_mode(world.vm, what & 0x80, what & 0x20);
	if (what & 0x10)
		bv_pit_reinject(world.vm, what & 0x80);
}

static void (*const actions[])(struct input *input) = {
	do_port, do_port,    do_ioapic, do_apic_write, do_apic_write, do_apic_odd, do_msr,
	do_take, do_take,    do_eoi,	do_eoi,	       do_cr8,	      do_reset,	   do_line,
	do_line, do_message, do_time,	do_time,       do_state,      do_routes,   do_notifier,
};

/* ---- what always holds ---- */

static void check_cpu(struct bv_vcpu *cpu)
{
	const struct bv_intc_ops *intc = world.vm->intc;
	int vector = intc->pending(cpu);
	struct bv_lapic_state state;
	u32 in_service = 0;

	MUST(vector >= -1 && vector < 256);
	MUST(!bv_lapic_get(cpu, &state));
	for (u32 i = 0; i < 8; i++)
		for (u32 bit = 0; bit < 32; bit++)
			if (state.reg[(0x100 + 16 * i) / 4] >> bit & 1)
				in_service = 32 * i + bit;
	/* PPR, by its definition */
	MUST((state.reg[0xa0 / 4] & 0xf0) == ((state.reg[0x80 / 4] & 0xf0) > (in_service & 0xf0) ?
						      state.reg[0x80 / 4] & 0xf0 :
						      in_service & 0xf0));
	MUST(!fake_irqs_off());
}

/* Pins that lost their route keep their level: each gets one again, so that it can be lowered. */
static void connect_all(void)
{
	struct bv_route routes[40];

	for (u32 i = 0; i < 24; i++)
		routes[i] = (struct bv_route){ .gsi = i, .kind = BV_ROUTE_IOAPIC, .pin = i };
	for (u32 i = 0; i < 16; i++)
		routes[24 + i] = (struct bv_route){
			.gsi = i,
			.kind = i < 8 ? BV_ROUTE_PIC_MASTER : BV_ROUTE_PIC_SLAVE,
			.pin = i & 7,
		};
	bv_irq_routes_set(world.vm, routes, 40);
}

/* With all lines low, a CPU that takes and ends what it is offered comes to an end. */
static void settle(void)
{
	u32 rounds = 0;
	bool busy;

	connect_all();
	for (u32 gsi = 0; gsi < 32; gsi++)
		for (u32 source = 0; source < 4; source++)
			bv_irq_line(world.vm, gsi, source, false);
	do {
		busy = false;
		for (u32 i = 0; i < CPUS; i++) {
			u8 byte = (u8)i;
			struct input input = { &byte, &byte + 1 };

			bus_access(world.cpu[i], BV_BUS_PORT, 0xa0, 1, true, 0x20);
			bus_access(world.cpu[i], BV_BUS_PORT, 0x20, 1, true, 0x20);
			busy |= world.vm->intc->take(world.cpu[i]) >= 0;
			do_eoi(&input);
		}
	} while (busy && ++rounds < 100000);
	MUST(!busy);
}

static void world_make(u8 kind)
{
	int error;

	fake_reset();
	fake_log_quiet = true;
	fake_vendor_use();
	world.split = kind & 1;
	world.notifying = false;
	world.notifier.acked = acked;
	world.vm = bv_vm_create(NULL);
	MUST(world.vm &&
	     !(world.split ? bv_irqchip_create_split(world.vm, 24) : bv_irqchip_create(world.vm)));
	if (!world.split)
		MUST(!bv_pit_create(world.vm, true));
	for (unsigned int i = 0; i < CPUS; i++) {
		u32 spiv = 0x1ff;

		world.cpu[i] = bv_vcpu_create(world.vm, i, NULL, world.page[i], &error);
		MUST(world.cpu[i]);
		world.cpu[i]->caps.x2apic = world.cpu[i]->caps.tsc_deadline = true;
		world.cpu[i]->caps.phys_bits = 40;
		if (kind & 2)
			world.vm->intc->mmio_write(world.cpu[i], 0xfee000f0, 4, &spiv);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input input = { data, data + size };

	world_make(take_byte(&input));
	while (input.at < input.end) {
		actions[take_byte(&input) % BV_ARRAY_SIZE(actions)](&input);
		for (unsigned int i = 0; i < CPUS; i++)
			check_cpu(world.cpu[i]);
	}
	settle();
	if (world.notifying)
		bv_irq_ack_notifier_del(world.vm, &world.notifier);
	bv_vm_destroy(world.vm);
	MUST(!fake_allocs() && !fake_timers());
	return 0;
}
