// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzzes the emulator: any instruction in any mode on any registers and memory, with a device page
 * beside the memory. Besides not crashing it has to keep its promises: what is not done leaves no
 * trace, and a device that answers late makes no difference.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../unit/emul_guest.h"

#define REQUIRE(condition) ((condition) ? (void)0 : broken(__LINE__, #condition))

static void broken(int line, const char *condition)
{
	fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, line, condition);
	abort();
}

#define BASE 0x10000u
#define SIZE 0x3000u
#define DEVICE (BASE + SIZE)
#define CODE_AT (BASE + 0xff8) /* crosses a page */

struct input {
	u8 mode;
	u8 options;
	u8 gpr_kind[16]; /* how each register is made from .gpr */
	u64 gpr[16];
	u32 rflags;
	u32 cr0;
	u32 cr4;
	u8 code[20];
	u16 seg_attr[8];
	u8 memory[];
};

static struct guest guest, before, late;
static u8 memory[SIZE], memory_before[SIZE], memory_late[SIZE];

static u64 make_register(u8 kind, u64 value)
{
	switch (kind & 7) {
	case 0:
		return BASE + value % SIZE;
	case 1:
		return DEVICE + value % 0x1000;
	case 2:
		return DEVICE - (value & 15);
	case 3:
		return value & 0xff;
	case 4:
		return BASE + SIZE + 0x1000 - (value & 31);
	default:
		return value;
	}
}

static void make_mode(const struct input *input)
{
	static const struct {
		enum bv_code_size code;
		bool protected;
		u8 cpl;
	} modes[] = {
		{ BV_CODE64, true, 0 }, { BV_CODE64, true, 3 }, { BV_CODE32, true, 0 },
		{ BV_CODE32, true, 3 }, { BV_CODE16, true, 0 }, { BV_CODE16, false, 0 },
	};
	unsigned int mode = input->mode % BV_ARRAY_SIZE(modes);

	guest_init(&guest, modes[mode].code, modes[mode].protected, modes[mode].cpl);
	guest.emul.cr0 ^= input->cr0 & (BV_CR0_EM | BV_CR0_TS | BV_CR0_MP | BV_CR0_AM);
	guest.emul.cr4 ^= input->cr4 & (BV_CR4_UMIP | BV_CR4_DE | BV_CR4_OSFXSR | BV_CR4_TSD |
					BV_CR4_VME | BV_CR4_PVI | BV_CR4_LA57);
	guest.emul.rflags |= input->rflags & 0x244dd5; /* no VM */
	if (mode == 3 && (input->options & 1))
		guest.emul.rflags |= BV_RFLAGS_VM;
	if (input->options & 2)
		guest.read_only = BASE + 0x2000;
	if (input->options & 4)
		guest.cmpxchg_fails = true;
	if (input->options & 8)
		for (int seg = 0; seg < BV_SEG_COUNT; seg++) {
			guest.seg[seg].attr = input->seg_attr[seg] & 0xfff;
			guest.seg[seg].limit = seg == BV_SEG_CS ? ~0u : input->seg_attr[seg] * 8u;
		}
	guest.emul.amd = input->options & 16;
	if (input->options & 32) /* compatibility mode */
		guest.emul.efer |= BV_EFER_SCE | (modes[mode].protected ? BV_EFER_LMA : 0);
	guest.syscall = (struct bv_syscall){ input->gpr[0], input->gpr[1], input->gpr[2],
					     (u32)input->gpr[3] };
	if (!modes[mode].protected)
		for (int seg = 0; seg <= BV_SEG_GS; seg++)
			guest.seg[seg].base = BASE;
}

static void make(const struct input *input, size_t size)
{
	size_t extra = size - sizeof(*input);

	make_mode(input);
	for (size_t at = 0; at < SIZE; at++)
		memory[at] = extra ? input->memory[at % extra] : (u8)at;
	guest.memory = memory;
	guest.base = BASE;
	guest.size = SIZE;
	guest.device = DEVICE;
	guest.gdt = guest.idt = (struct bv_desc_table){ .base = BASE, .limit = 0xfff };
	for (int reg = 0; reg < 16; reg++)
		guest.gpr[reg] = make_register(input->gpr_kind[reg], input->gpr[reg]);
	if (guest.emul.code != BV_CODE64)
		for (int reg = 0; reg < 16; reg++)
			guest.gpr[reg] = (u32)guest.gpr[reg];
	guest.emul.rip = CODE_AT - guest.seg[BV_SEG_CS].base;
	guest.emul.repeat_max = 20;
	memcpy(memory + (CODE_AT - BASE), input->code, sizeof(input->code));
}

/* An outcome that is not "done" must leave everything as the last complete repetition left it. */
static void check_outcome(enum bv_emul_rc rc)
{
	struct bv_emul *emul = &guest.emul;
	bool string = emul->insn.row.flags & BV_OPF_STRING;

	REQUIRE(rc <= BV_EMUL_STOP);
	if (rc == BV_EMUL_DONE) {
		REQUIRE(guest.replay.count == 0);
		REQUIRE(emul->code == BV_CODE64 || emul->rip <= 0xffffffff);
		return;
	}
	if (rc == BV_EMUL_FAULT)
		REQUIRE(emul->fault.vector < 32);
	REQUIRE(emul->rip == before.emul.rip);
	if (string)
		return;
	REQUIRE(emul->rflags == before.emul.rflags);
	REQUIRE(!memcmp(guest.gpr, before.gpr, sizeof(guest.gpr)));
	REQUIRE(!memcmp(guest.vec, before.vec, sizeof(guest.vec)));
	REQUIRE(!memcmp(guest.cr, before.cr, sizeof(guest.cr)));
}

/* Nothing but the accessed or busy bit of a descriptor has changed. */
static bool untouched(void)
{
	u8 changed = 0;

	for (size_t at = 0; at < SIZE; at++)
		changed |= memory[at] ^ memory_before[at];
	return !(changed & ~3);
}

/* The state that an unfinished instruction has to leave alone. */
static void remember(void)
{
	before = guest;
	memcpy(memory_before, memory, SIZE);
}

static enum bv_emul_rc run_late(void)
{
	enum bv_emul_rc rc;

	for (unsigned int asked = 0; asked < 300; asked++) {
		rc = bv_emul_run(&guest.emul);
		check_outcome(rc);
		if (rc == BV_EMUL_DONE && guest.emul.repeats) {
			remember();
			continue;
		}
		if (rc != BV_EMUL_IO)
			return rc;
		if (!(guest.emul.insn.row.flags & BV_OPF_STRING))
			REQUIRE(untouched());
		guest_device_answer(&guest);
		if (guest.emul.insn.row.flags & BV_OPF_STRING)
			remember();
	}
	return BV_EMUL_IO;
}

/* All of a string instruction, however many runs that takes. */
static enum bv_emul_rc run_at_once(void)
{
	enum bv_emul_rc rc;

	guest.at_once = true;
	for (unsigned int runs = 0; runs < 300; runs++) {
		rc = bv_emul_run(&guest.emul);
		if (rc != BV_EMUL_DONE || !guest.emul.repeats)
			break;
	}
	return rc;
}

static void check_same(const struct guest *one, const struct guest *other)
{
	REQUIRE(!memcmp(one->gpr, other->gpr, sizeof(one->gpr)));
	REQUIRE(one->emul.rip == other->emul.rip && one->emul.rflags == other->emul.rflags);
	REQUIRE(one->event_count == other->event_count);
	REQUIRE(!memcmp(one->events, other->events, sizeof(one->events)));
	REQUIRE(!memcmp(one->vec, other->vec, sizeof(one->vec)));
	REQUIRE(!memcmp(one->seg, other->seg, sizeof(one->seg)));
}

/* A string instruction that overwrites itself depends on when it is fetched again. */
static bool overwrote_itself(const struct input *input)
{
	return memcmp(memory + (CODE_AT - BASE), input->code, sizeof(input->code));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static union {
		struct input input;
		u8 bytes[4096];
	} copy;
	enum bv_emul_rc rc;

	if (size < sizeof(struct input) || size > sizeof(copy))
		return 0;
	memcpy(copy.bytes, data, size);
	make(&copy.input, size);
	remember();
	rc = run_late();
	late = guest;
	memcpy(memory_late, memory, SIZE);
	if (overwrote_itself(&copy.input))
		return 0;
	make(&copy.input, size);
	if (rc != BV_EMUL_IO && rc != BV_EMUL_AGAIN) {
		REQUIRE(run_at_once() == rc);
		check_same(&guest, &late);
		REQUIRE(!memcmp(memory, memory_late, SIZE));
	}
	return 0;
}
