/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* IN and OUT of one item: asked of the bus, then of the front. String forms are the emulator's. */
#include "core/vcpu.h"

static void port_to_front(struct bv_vcpu *vcpu, bool write)
{
	struct bv_run *run = vcpu->run;

	run->reason = BV_RUN_IO;
	run->io.port = vcpu->exit.port.port;
	run->io.size = vcpu->exit.port.bytes;
	run->io.write = write;
	run->io.count = 1;
}

/* IN to AL and AX keeps the rest of RAX, IN to EAX clears the upper half. */
static void port_set_rax(struct bv_vcpu *vcpu, unsigned int bytes, u32 value)
{
	u64 *rax = &vcpu->gprs.gpr[BV_RAX];

	if (bytes == 4)
		*rax = value;
	else if (bytes == 2)
		*rax = (*rax & ~0xffffull) | (u16)value;
	else
		*rax = (*rax & ~0xffull) | (u8)value;
}

/*
 * The processor looks for breakpoints at ports where an access does not exit. Those that this one
 * hits, as DR6 has them (volume 2, 13.1.1).
 */
static u8 port_breakpoints(struct bv_vcpu *vcpu, u16 port, unsigned int bytes)
{
	static const u8 lengths[] = { 1, 2, 8, 4 };
	u8 hits = 0;

	bv_vcpu_need(vcpu, BV_ST_DR | BV_ST_CR);
	if (!(vcpu->state.cr4 & BV_CR4_DE))
		return 0;
	for (unsigned int i = 0; i < 4; i++) {
		u64 enabled = vcpu->state.dr7 >> (2 * i) & 3;
		u64 control = vcpu->state.dr7 >> (16 + 4 * i);
		u64 length = lengths[control >> 2 & 3], at = vcpu->db[i] & ~(length - 1);

		if (enabled && (control & 3) == BV_DR7_RW_IO && port < at + length &&
		    port + bytes > at)
			hits |= 1u << i;
	}
	return hits;
}

/* Over the instruction, and to the trap that it met. */
static void port_skip(struct bv_vcpu *vcpu, unsigned int length, u8 hits)
{
	bv_exit_skip(vcpu, length);
	if (bv_unlikely(hits))
		bv_event_raise(vcpu, BV_EXC_DB, false, 0, hits);
}

static enum bv_exit_next port_in(struct bv_vcpu *vcpu, u8 hits)
{
	const struct bv_exit *exit = &vcpu->exit;

	vcpu->port_data = 0;
	if (bv_bus_read(vcpu, BV_BUS_PORT, exit->port.port, exit->port.bytes, &vcpu->port_data) ==
	    BV_ACCESS_DONE) {
		port_set_rax(vcpu, exit->port.bytes, vcpu->port_data);
		port_skip(vcpu, exit->length, hits);
		return BV_NEXT_GUEST;
	}
	vcpu->wait.kind = BV_WAIT_PORT_IN;
	vcpu->wait.rip = vcpu->gprs.rip;
	vcpu->wait.length = exit->length;
	vcpu->wait.bytes = exit->port.bytes;
	vcpu->wait.hits = hits;
	port_to_front(vcpu, false);
	return BV_NEXT_FRONT;
}

static enum bv_exit_next port_out(struct bv_vcpu *vcpu, u8 hits)
{
	const struct bv_exit *exit = &vcpu->exit;

	vcpu->port_data = vcpu->gprs.gpr[BV_RAX];
	/*
	 * An OUT is over when it leaves: what user space does with it (a reset) must find RIP
	 * behind it.
	 */
	port_skip(vcpu, exit->length, hits);
	if (bv_bus_write(vcpu, BV_BUS_PORT, exit->port.port, exit->port.bytes, &vcpu->port_data) ==
	    BV_ACCESS_DONE)
		return BV_NEXT_GUEST;
	__builtin_memcpy(vcpu->io_page, &vcpu->port_data, sizeof(vcpu->port_data));
	port_to_front(vcpu, true);
	return BV_NEXT_FRONT;
}

enum bv_exit_next bv_port_exit(struct bv_vcpu *vcpu)
{
	u8 hits = 0;

	if (vcpu->exit.port.string)
		return bv_emulate(vcpu, ~0ull);
	if (bv_unlikely(vcpu->dr_live) && !vcpu->debug.hard_breakpoints)
		hits = port_breakpoints(vcpu, vcpu->exit.port.port, vcpu->exit.port.bytes);
	return vcpu->exit.port.in ? port_in(vcpu, hits) : port_out(vcpu, hits);
}

void bv_port_in_finish(struct bv_vcpu *vcpu)
{
	u32 value = 0;

	__builtin_memcpy(&value, vcpu->io_page, vcpu->wait.bytes);
	port_set_rax(vcpu, vcpu->wait.bytes, value);
	port_skip(vcpu, vcpu->wait.length, vcpu->wait.hits);
}
