/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest for the emulator's tests and fuzzers: registers, some memory at a linear address, a page
 * of device memory whose device sits in "user space", ports, and a log of what was done to devices.
 * Paging is a range check. Only what an including test uses is set up by it.
 */
#ifndef TESTS_UNIT_EMUL_GUEST_H
#define TESTS_UNIT_EMUL_GUEST_H

#include <stdint.h>
#include <string.h>

#include "x86/bytes.h"
#include "x86/emulate.h"

#define GUEST_DEVICE_EVENTS 64

struct guest_event {
	u8 kind; /* enum bv_io_kind */
	u8 size;
	u16 count;
	u64 address;
	u64 value; /* the first element */
};

struct guest {
	struct bv_emul emul;
	u64 gpr[16];
	struct bv_seg seg[BV_SEG_COUNT];
	struct bv_desc_table gdt, idt;
	u64 cr[9], dr[8], msr_value;
	struct bv_syscall syscall;
	u8 vec[16][32];
	u64 mmx[8];
	u16 fpu_control, fpu_status;
	u8 *memory; /* that the guest sees at .base */
	u64 base;
	u64 size;
	u64 read_only; /* below this linear address writes fault */
	u64 device; /* linear address of the device's page, 0 for none */
	struct bv_ioreplay replay;
	struct guest_event events[GUEST_DEVICE_EVENTS];
	unsigned int event_count;
	u64 device_value; /* what the next device read gives; then it changes */
	unsigned int halts, flushes, exits;
	bool vec_used;
	bool cmpxchg_fails; /* as if another CPU had been faster */
	bool at_once; /* the device answers within the run */
};

static struct guest *guest_of(struct bv_emul *emul)
{
	return emul->owner;
}

static bool guest_in_device(const struct guest *guest, u64 linear)
{
	return guest->device && linear - guest->device < BV_PAGE_SIZE;
}

/* One byte's permission; bytes are looked at one by one so that page crossings need no care. */
static enum bv_emul_rc guest_check(struct guest *guest, u64 linear, unsigned int size,
				   unsigned int access)
{
	bool write = access & (BV_ACCESS_WRITE | BV_ACCESS_RMW);
	bool user = guest->emul.cpl == 3 && !(access & BV_ACCESS_IMPLICIT);
	u32 error = (write ? BV_PF_WRITE : 0) | (user ? BV_PF_USER : 0) |
		    (access & BV_ACCESS_FETCH ? BV_PF_FETCH : 0);

	for (unsigned int at = 0; at < size; at++) {
		u64 byte = linear + at;

		if (guest_in_device(guest, byte))
			continue;
		if (byte - guest->base >= guest->size)
			return bv_emul_raise_page(&guest->emul, byte, error);
		if (write && byte < guest->read_only)
			return bv_emul_raise_page(&guest->emul, byte, error | BV_PF_PRESENT);
	}
	return BV_EMUL_DONE;
}

static void guest_log(struct guest *guest, enum bv_io_kind kind, u64 address, unsigned int size,
		      unsigned int count, const void *data)
{
	struct guest_event *event = &guest->events[guest->event_count % GUEST_DEVICE_EVENTS];

	*event = (struct guest_event){
		.kind = (u8)kind, .size = (u8)size, .count = (u16)count, .address = address
	};
	memcpy(&event->value, data, size > 8 ? 8 : size);
	guest->event_count++;
}

static u64 guest_device_next(struct guest *guest)
{
	guest->device_value = guest->device_value * 6364136223846793005ull + 1442695040888963407ull;
	return guest->device_value;
}

/* The pending access reaches the device, which answers. */
static void guest_device_answer(struct guest *guest)
{
	struct bv_io_entry *entry = bv_ioreplay_pending(&guest->replay);
	u8 *data;

	if (!entry)
		return;
	data = bv_ioreplay_data(&guest->replay, entry);
	if (entry->kind == BV_IO_MMIO_READ || entry->kind == BV_IO_PORT_READ)
		for (unsigned int at = 0; at < (unsigned int)entry->size * entry->count; at++)
			data[at] = (u8)(guest_device_next(guest) >> 56);
	guest_log(guest, entry->kind, entry->address, entry->size, entry->count, data);
	bv_ioreplay_answer(&guest->replay, NULL);
}

static enum bv_emul_rc guest_device(struct guest *guest, enum bv_io_kind kind, u64 address,
				    unsigned int size, unsigned int count, void *data)
{
	switch (bv_ioreplay_access(&guest->replay, kind, address, size, count, data)) {
	case BV_IOREPLAY_DONE:
		return BV_EMUL_DONE;
	case BV_IOREPLAY_NEW:
		if (!guest->at_once)
			return BV_EMUL_IO;
		guest_device_answer(guest);
		if (kind == BV_IO_MMIO_READ || kind == BV_IO_PORT_READ)
			memcpy(data, guest->replay.bytes + guest->replay.used - size * count,
			       size * count);
		return BV_EMUL_DONE;
	default:
		return BV_EMUL_UNHANDLED;
	}
}

/*
 * Those parts of an access that are memory, byte by byte, or those that are the device, in pieces
 * of up to eight.
 */
static enum bv_emul_rc guest_access_part(struct guest *guest, u64 linear, u8 *buffer,
					 unsigned int size, bool write, bool device)
{
	enum bv_emul_rc rc;

	while (size) {
		unsigned int part = 1;

		if (guest_in_device(guest, linear)) {
			part = size > 8 ? 8 : size;
			if (!guest_in_device(guest, linear + part - 1))
				part = (unsigned int)(guest->device + BV_PAGE_SIZE - linear);
			rc = !device ?
				     BV_EMUL_DONE :
				     guest_device(guest, write ? BV_IO_MMIO_WRITE : BV_IO_MMIO_READ,
						  linear, part, 1, buffer);
			if (rc)
				return rc;
		} else if (device) {
			part = 1;
		} else if (write) {
			guest->memory[linear - guest->base] = *buffer;
		} else {
			*buffer = guest->memory[linear - guest->base];
		}
		linear += part;
		buffer += part;
		size -= part;
	}
	return BV_EMUL_DONE;
}

/*
 * The device comes first: if it makes the instruction wait, memory must not have changed, or the
 * next run would read what this one has written.
 */
static enum bv_emul_rc guest_access(struct guest *guest, u64 linear, u8 *buffer, unsigned int size,
				    bool write)
{
	enum bv_emul_rc rc = guest_access_part(guest, linear, buffer, size, write, true);

	return rc ? rc : guest_access_part(guest, linear, buffer, size, write, false);
}

static enum bv_emul_rc guest_fetch(struct bv_emul *emul, u64 linear, void *buffer,
				   unsigned int size, unsigned int *got)
{
	struct guest *guest = guest_of(emul);
	unsigned int room = BV_PAGE_SIZE - (linear & (BV_PAGE_SIZE - 1));
	enum bv_emul_rc rc;

	if (size > room)
		size = room;
	rc = guest_check(guest, linear, 1, BV_ACCESS_FETCH);
	if (rc)
		return rc;
	if (guest_in_device(guest, linear))
		return BV_EMUL_UNHANDLED;
	for (*got = 0; *got < size && linear + *got - guest->base < guest->size; ++*got)
		((u8 *)buffer)[*got] = guest->memory[linear + *got - guest->base];
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_read(struct bv_emul *emul, u64 linear, void *buffer, unsigned int size,
				  unsigned int access)
{
	struct guest *guest = guest_of(emul);
	enum bv_emul_rc rc = guest_check(guest, linear, size, access);

	return rc ? rc : guest_access(guest, linear, buffer, size, false);
}

static enum bv_emul_rc guest_write(struct bv_emul *emul, u64 linear, const void *buffer,
				   unsigned int size, unsigned int access)
{
	struct guest *guest = guest_of(emul);
	enum bv_emul_rc rc = guest_check(guest, linear, size, access | BV_ACCESS_WRITE);
	u8 copy[BV_IOREPLAY_BYTES];

	if (rc)
		return rc;
	memcpy(copy, buffer, size);
	return guest_access(guest, linear, copy, size, true);
}

static enum bv_emul_rc guest_cmpxchg(struct bv_emul *emul, u64 linear, const void *old,
				     const void *new, unsigned int size)
{
	struct guest *guest = guest_of(emul);
	enum bv_emul_rc rc = guest_check(guest, linear, size, BV_ACCESS_WRITE);
	u8 copy[16];

	if (rc)
		return rc;
	if (guest->cmpxchg_fails)
		return BV_EMUL_AGAIN;
	if (!guest_in_device(guest, linear) && !guest_in_device(guest, linear + size - 1) &&
	    memcmp(guest->memory + (linear - guest->base), old, size))
		return BV_EMUL_AGAIN;
	memcpy(copy, new, size);
	return guest_access(guest, linear, copy, size, true);
}

static enum bv_emul_rc guest_probe(struct bv_emul *emul, u64 linear, unsigned int size,
				   unsigned int access, bool *ram)
{
	struct guest *guest = guest_of(emul);

	*ram = !guest_in_device(guest, linear);
	return guest_check(guest, linear, size, access);
}

static enum bv_emul_rc guest_port_in(struct bv_emul *emul, u16 port, unsigned int size,
				     unsigned int count, void *buffer)
{
	return guest_device(guest_of(emul), BV_IO_PORT_READ, port, size, count, buffer);
}

static enum bv_emul_rc guest_port_out(struct bv_emul *emul, u16 port, unsigned int size,
				      unsigned int count, const void *buffer)
{
	u8 copy[BV_IOREPLAY_BYTES];

	memcpy(copy, buffer, size * count);
	return guest_device(guest_of(emul), BV_IO_PORT_WRITE, port, size, count, copy);
}

static void guest_seg_get(struct bv_emul *emul, enum bv_segment seg, struct bv_seg *value)
{
	*value = guest_of(emul)->seg[seg];
}

static void guest_seg_set(struct bv_emul *emul, enum bv_segment seg, const struct bv_seg *value)
{
	guest_of(emul)->seg[seg] = *value;
}

static void guest_table_get(struct bv_emul *emul, bool idt, struct bv_desc_table *value)
{
	*value = idt ? guest_of(emul)->idt : guest_of(emul)->gdt;
}

static void guest_table_set(struct bv_emul *emul, bool idt, const struct bv_desc_table *value)
{
	*(idt ? &guest_of(emul)->idt : &guest_of(emul)->gdt) = *value;
}

static enum bv_emul_rc guest_cr_get(struct bv_emul *emul, unsigned int cr, u64 *value)
{
	*value = guest_of(emul)->cr[cr];
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_cr_set(struct bv_emul *emul, unsigned int cr, u64 value)
{
	guest_of(emul)->cr[cr] = value;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_dr_get(struct bv_emul *emul, unsigned int dr, u64 *value)
{
	*value = guest_of(emul)->dr[dr];
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_dr_set(struct bv_emul *emul, unsigned int dr, u64 value)
{
	guest_of(emul)->dr[dr] = value;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_msr_get(struct bv_emul *emul, u32 msr, u64 *value)
{
	*value = guest_of(emul)->msr_value ^ msr;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_msr_set(struct bv_emul *emul, u32 msr, u64 value)
{
	guest_of(emul)->msr_value = value ^ msr;
	return BV_EMUL_DONE;
}

static void guest_syscall_get(struct bv_emul *emul, struct bv_syscall *value)
{
	*value = guest_of(emul)->syscall;
}

static enum bv_emul_rc guest_tsc_get(struct bv_emul *emul, u64 *tsc, u32 *aux)
{
	*tsc = 0x123456789abcdef0ull;
	*aux = emul->cpl;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_cpuid(struct bv_emul *emul, u32 regs[4])
{
	(void)emul;
	for (int at = 0; at < 4; at++)
		regs[at] = ~regs[at];
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_vec_get(struct bv_emul *emul, unsigned int reg, void *buffer,
				     unsigned int size)
{
	memcpy(buffer, guest_of(emul)->vec[reg], size);
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_vec_set(struct bv_emul *emul, unsigned int reg, const void *buffer,
				     unsigned int size, bool zero_rest)
{
	memcpy(guest_of(emul)->vec[reg], buffer, size);
	if (zero_rest)
		memset(guest_of(emul)->vec[reg] + size, 0, 32 - size);
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_mmx_get(struct bv_emul *emul, unsigned int reg, u64 *value)
{
	*value = guest_of(emul)->mmx[reg];
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_mmx_set(struct bv_emul *emul, unsigned int reg, u64 value)
{
	guest_of(emul)->mmx[reg] = value;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_fpu_get(struct bv_emul *emul, enum bv_fpu_word word, u16 *value)
{
	*value = word == BV_FPU_CONTROL ? guest_of(emul)->fpu_control : guest_of(emul)->fpu_status;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_fpu_control(struct bv_emul *emul, u16 control)
{
	guest_of(emul)->fpu_control = control;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_fpu_init(struct bv_emul *emul)
{
	guest_of(emul)->fpu_control = 0x37f;
	guest_of(emul)->fpu_status = 0;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_fpu_nothing(struct bv_emul *emul)
{
	(void)emul;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_invlpg(struct bv_emul *emul, u64 linear)
{
	(void)linear;
	guest_of(emul)->flushes++;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc guest_halt(struct bv_emul *emul)
{
	guest_of(emul)->halts++;
	return BV_EMUL_DONE;
}

static const struct bv_emul_ops guest_ops = {
	.fetch = guest_fetch,
	.read = guest_read,
	.write = guest_write,
	.cmpxchg = guest_cmpxchg,
	.probe = guest_probe,
	.port_in = guest_port_in,
	.port_out = guest_port_out,
	.seg_get = guest_seg_get,
	.seg_set = guest_seg_set,
	.table_get = guest_table_get,
	.table_set = guest_table_set,
	.cr_get = guest_cr_get,
	.cr_set = guest_cr_set,
	.dr_get = guest_dr_get,
	.dr_set = guest_dr_set,
	.msr_get = guest_msr_get,
	.msr_set = guest_msr_set,
	.syscall_get = guest_syscall_get,
	.tsc_get = guest_tsc_get,
	.cpuid = guest_cpuid,
	.vec_get = guest_vec_get,
	.vec_set = guest_vec_set,
	.mmx_get = guest_mmx_get,
	.mmx_set = guest_mmx_set,
	.fpu_get = guest_fpu_get,
	.fpu_control = guest_fpu_control,
	.fpu_init = guest_fpu_init,
	.fpu_emms = guest_fpu_nothing,
	.fpu_check = guest_fpu_nothing,
	.invlpg = guest_invlpg,
	.halt = guest_halt,
};

static inline void guest_segments(struct guest *guest, u16 code_attr, u16 data_attr, u32 limit)
{
	for (int at = 0; at < BV_SEG_COUNT; at++)
		guest->seg[at] = (struct bv_seg){ .limit = limit, .attr = data_attr };
	guest->seg[BV_SEG_CS].attr = code_attr;
	guest->seg[BV_SEG_LDTR] = (struct bv_seg){ .attr = 0 };
	guest->seg[BV_SEG_TR] = (struct bv_seg){ .attr = BV_SEG_P | BV_SYS_TSS_BUSY, .limit = 103 };
}

/* Long mode, or protected mode with flat segments, or real mode. */
static inline void guest_init(struct guest *guest, enum bv_code_size code, bool protected,
			      unsigned int cpl)
{
	u16 level = (u16)(cpl << BV_SEG_DPL_SHIFT);
	u16 width = code == BV_CODE64 ? BV_SEG_L : code == BV_CODE32 ? BV_SEG_DB : 0;

	memset(guest, 0, sizeof(*guest));
	guest->emul.gpr = guest->gpr;
	guest->emul.ops = &guest_ops;
	guest->emul.owner = guest;
	guest->emul.replay = &guest->replay;
	guest->emul.code = (u8)code;
	guest->emul.cpl = (u8)cpl;
	guest->emul.rflags = BV_RFLAGS_ONE;
	guest->emul.cr0 = BV_CR0_ET | BV_CR0_NE;
	guest->emul.cr4 = BV_CR4_PAE | BV_CR4_OSFXSR | BV_CR4_OSXMMEXCPT | BV_CR4_OSXSAVE;
	if (protected)
		guest->emul.cr0 |= BV_CR0_PE | BV_CR0_PG | BV_CR0_AM | BV_CR0_WP | BV_CR0_MP;
	if (code == BV_CODE64)
		guest->emul.efer = BV_EFER_LMA | BV_EFER_LME | BV_EFER_NXE | BV_EFER_SCE;
	guest_segments(guest, (u16)(BV_SEG_P | BV_SEG_S | BV_SEG_G | 0xb | level | width),
		       (u16)(BV_SEG_P | BV_SEG_S | BV_SEG_G | 0x3 | level | (width & BV_SEG_DB)),
		       protected ? 0xffffffff : 0xffff);
	guest->replay.count = 0;
}

/* Runs one instruction, the device in "user space" answering as often as it is asked. */
static inline enum bv_emul_rc guest_run(struct guest *guest)
{
	enum bv_emul_rc rc;

	for (unsigned int asked = 0; asked < 5000; asked++) {
		rc = bv_emul_run(&guest->emul);
		if (rc != BV_EMUL_IO)
			return rc;
		guest->exits++;
		guest_device_answer(guest);
	}
	return rc;
}

#endif
