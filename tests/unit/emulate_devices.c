// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The emulator and devices that answer later: each access reaches the device once and in order,
 * however often the instruction has to be run again. Also the replay log alone, and the quick way
 * for plain moves.
 */
#include "emul_guest.h"
#include "test.h"

#define BASE 0x10000u
#define SIZE 0x4000u
#define CODE_AT (BASE + 0x1000)
#define DATA_AT (BASE + 0x2000)
#define DEVICE (BASE + SIZE) /* right after the memory */

static u8 memory[SIZE];
static struct guest guest;

static void boot(enum bv_code_size code)
{
	memset(memory, 0, sizeof(memory));
	guest_init(&guest, code, true, 0);
	guest.memory = memory;
	guest.base = BASE;
	guest.size = SIZE;
	guest.device = DEVICE;
	guest.device_value = 1;
	guest.emul.rip = CODE_AT;
	guest.gpr[BV_RBX] = DEVICE + 0x10;
	guest.gpr[BV_RSP] = DATA_AT + 0x800;
}

static enum bv_emul_rc run(const char *bytes, unsigned int count)
{
	guest.event_count = guest.exits = 0;
	memcpy(memory + (guest.emul.rip - BASE), bytes, count);
	guest.emul.bytes_count = 0;
	return guest_run(&guest);
}

#define DOES(bytes) CHECK_EQ(run(bytes, sizeof(bytes) - 1), BV_EMUL_DONE)

static void check_event(unsigned int at, enum bv_io_kind kind, u64 address, unsigned int size,
			int line)
{
	const struct guest_event *event = &guest.events[at];

	test_check_eq(event->kind, kind, __FILE__, line, "the kind of access");
	test_check_eq(event->address, address, __FILE__, line, "its address");
	test_check_eq(event->size, size, __FILE__, line, "its size");
}

#define EVENT(at, kind, address, size) check_event(at, kind, address, size, __LINE__)

TEST(a_store_reaches_the_device_once)
{
	boot(BV_CODE64);
	guest.gpr[BV_RAX] = 0x1122334455667788;
	DOES("\x89\x43\x04"); /* mov [rbx+4], eax */
	CHECK_EQ(guest.event_count, 1);
	CHECK_EQ(guest.exits, 1);
	EVENT(0, BV_IO_MMIO_WRITE, DEVICE + 0x14, 4);
	CHECK_EQ(guest.events[0].value, 0x55667788);
	CHECK_EQ(guest.emul.rip, CODE_AT + 3);
	CHECK_EQ(guest.replay.count, 0);
}

TEST(a_load_gets_the_answer)
{
	boot(BV_CODE64);
	guest.gpr[BV_RAX] = ~0ull;
	DOES("\x0f\xbe\x03"); /* movsx eax, byte [rbx] */
	CHECK_EQ(guest.event_count, 1);
	EVENT(0, BV_IO_MMIO_READ, DEVICE + 0x10, 1);
	CHECK_EQ(guest.gpr[BV_RAX], (u32)(s8)guest.events[0].value);
}

TEST(a_read_modify_write_is_one_read_and_one_write)
{
	boot(BV_CODE64);
	guest.gpr[BV_RAX] = 0x80;
	DOES("\xf0\x08\x03"); /* lock or [rbx], al */
	CHECK_EQ(guest.event_count, 2);
	CHECK_EQ(guest.exits, 2);
	EVENT(0, BV_IO_MMIO_READ, DEVICE + 0x10, 1);
	EVENT(1, BV_IO_MMIO_WRITE, DEVICE + 0x10, 1);
	CHECK_EQ(guest.events[1].value, guest.events[0].value | 0x80);
	DOES("\x87\x03"); /* xchg */
	CHECK_EQ(guest.event_count, 2);
	CHECK_EQ(guest.events[1].value, 0x80);
	CHECK_EQ(guest.gpr[BV_RAX], guest.events[0].value);
}

TEST(wide_accesses_come_in_pieces_of_eight)
{
	boot(BV_CODE64);
	memset(guest.vec[1], 0xab, 32);
	DOES("\x0f\x29\x0b"); /* movaps [rbx], xmm1 */
	CHECK_EQ(guest.event_count, 2);
	EVENT(0, BV_IO_MMIO_WRITE, DEVICE + 0x10, 8);
	EVENT(1, BV_IO_MMIO_WRITE, DEVICE + 0x18, 8);
	DOES("\xc5\xfe\x6f\x13"); /* vmovdqu ymm2, [rbx] */
	CHECK_EQ(guest.event_count, 4);
	CHECK_EQ(guest.exits, 4);
	EVENT(3, BV_IO_MMIO_READ, DEVICE + 0x28, 8);
	CHECK_EQ(bv_bytes_get(guest.vec[2] + 24, 8), guest.events[3].value);
}

TEST(an_access_may_lie_half_in_memory)
{
	boot(BV_CODE64);
	guest.gpr[BV_RBX] = DEVICE - 2;
	guest.gpr[BV_RAX] = 0x44332211;
	DOES("\x89\x03");
	CHECK_EQ(bv_bytes_get(memory + SIZE - 2, 2), 0x2211);
	CHECK_EQ(guest.event_count, 1);
	EVENT(0, BV_IO_MMIO_WRITE, DEVICE, 2);
	CHECK_EQ(guest.events[0].value, 0x4433);
}

TEST(push_pop_and_call_work_on_devices)
{
	boot(BV_CODE64);
	DOES("\xff\x33"); /* push [rbx] */
	EVENT(0, BV_IO_MMIO_READ, DEVICE + 0x10, 8);
	CHECK_EQ(bv_bytes_get(memory + (DATA_AT + 0x7f8 - BASE), 8), guest.events[0].value);
	DOES("\x8f\x03"); /* pop [rbx] */
	EVENT(0, BV_IO_MMIO_WRITE, DEVICE + 0x10, 8);
	CHECK_EQ(guest.gpr[BV_RSP], DATA_AT + 0x800);
	guest.gpr[BV_RSP] = DEVICE + 0x100;
	DOES("\x50"); /* the stack itself is a device */
	EVENT(0, BV_IO_MMIO_WRITE, DEVICE + 0xf8, 8);
	DOES("\x59");
	CHECK_EQ(guest.gpr[BV_RCX], guest.events[0].value);
	CHECK_EQ(guest.gpr[BV_RSP], DEVICE + 0x100);
}

TEST(a_repetition_is_complete_before_the_next_one_waits)
{
	enum bv_emul_rc rc;

	boot(BV_CODE64);
	for (unsigned int at = 0; at < 12; at++)
		memory[DATA_AT - BASE + at] = (u8)at;
	guest.gpr[BV_RSI] = DATA_AT;
	guest.gpr[BV_RDI] = DEVICE;
	guest.gpr[BV_RCX] = 3;
	memcpy(memory + (CODE_AT - BASE), "\xf3\xa5", 2); /* rep movsd */
	rc = bv_emul_run(&guest.emul);
	CHECK_EQ(rc, BV_EMUL_IO);
	CHECK_EQ(guest.gpr[BV_RCX], 3);
	guest_device_answer(&guest);
	rc = bv_emul_run(&guest.emul);
	CHECK_EQ(rc, BV_EMUL_IO);
	CHECK_EQ(guest.gpr[BV_RCX], 2);
	CHECK_EQ(guest.gpr[BV_RDI], DEVICE + 4);
	CHECK_EQ(guest.emul.rip, CODE_AT);
	guest_device_answer(&guest);
	CHECK_EQ(guest_run(&guest), BV_EMUL_DONE);
	CHECK_EQ(guest.event_count, 3);
	CHECK_EQ(guest.events[2].value, 0x0b0a0908);
	CHECK_EQ(guest.events[2].address, DEVICE + 8);
}

TEST(device_to_device_moves_keep_their_order)
{
	boot(BV_CODE64);
	guest.gpr[BV_RSI] = DEVICE;
	guest.gpr[BV_RDI] = DEVICE + 0x800;
	guest.gpr[BV_RCX] = 2;
	DOES("\xf3\x66\xa5"); /* rep movsw */
	CHECK_EQ(guest.event_count, 4);
	EVENT(0, BV_IO_MMIO_READ, DEVICE, 2);
	EVENT(1, BV_IO_MMIO_WRITE, DEVICE + 0x800, 2);
	EVENT(2, BV_IO_MMIO_READ, DEVICE + 2, 2);
	EVENT(3, BV_IO_MMIO_WRITE, DEVICE + 0x802, 2);
	CHECK_EQ(guest.events[1].value, guest.events[0].value);
}

TEST(port_strings_go_in_batches_over_memory)
{
	boot(BV_CODE64);
	guest.gpr[BV_RDX] = 0x1f0;
	guest.gpr[BV_RDI] = DATA_AT;
	guest.gpr[BV_RCX] = 256;
	DOES("\xf3\x66\x6d"); /* rep insw */
	CHECK_EQ(guest.event_count, 1);
	EVENT(0, BV_IO_PORT_READ, 0x1f0, 2);
	CHECK_EQ(guest.events[0].count, 256);
	CHECK_EQ(guest.gpr[BV_RCX], 0);
	CHECK_EQ(guest.gpr[BV_RDI], DATA_AT + 512);
	CHECK_EQ(bv_bytes_get(memory + (DATA_AT - BASE), 2), guest.events[0].value);
	/* a page's end, then the rest */
	guest.gpr[BV_RSI] = DATA_AT + 0x1000 - 6;
	guest.gpr[BV_RCX] = 5;
	DOES("\xf3\x66\x6f"); /* rep outsw */
	CHECK_EQ(guest.event_count, 2);
	CHECK_EQ(guest.events[0].count, 3);
	CHECK_EQ(guest.events[1].count, 2);
	CHECK_EQ(guest.gpr[BV_RSI], DATA_AT + 0x1000 + 4);
	/* downwards, or into a device, one by one */
	guest.gpr[BV_RDI] = DATA_AT + 0x100;
	guest.gpr[BV_RCX] = 3;
	guest.emul.rflags |= BV_RFLAGS_DF;
	DOES("\xf3\x6c"); /* rep insb */
	CHECK_EQ(guest.event_count, 3);
	CHECK_EQ(guest.gpr[BV_RDI], DATA_AT + 0xfd);
	guest.emul.rflags &= ~BV_RFLAGS_DF;
	guest.gpr[BV_RDI] = DEVICE;
	guest.gpr[BV_RCX] = 2;
	DOES("\xf3\x6c");
	CHECK_EQ(guest.event_count, 4);
	EVENT(0, BV_IO_PORT_READ, 0x1f0, 1);
	EVENT(1, BV_IO_MMIO_WRITE, DEVICE, 1);
	CHECK_EQ(guest.events[3].value, guest.events[2].value);
}

TEST(a_port_string_into_forbidden_memory_leaves_the_port_alone)
{
	boot(BV_CODE64);
	guest.read_only = BASE + SIZE;
	guest.gpr[BV_RDI] = DATA_AT;
	guest.gpr[BV_RCX] = 4;
	CHECK_EQ(run("\xf3\x6c", 2), BV_EMUL_FAULT);
	CHECK_EQ(guest.event_count, 0);
}

TEST(ports_by_immediate_and_by_register)
{
	boot(BV_CODE64);
	guest.gpr[BV_RAX] = 0x1122334455667788;
	guest.gpr[BV_RDX] = 0xcf8;
	DOES("\xef"); /* out dx, eax */
	EVENT(0, BV_IO_PORT_WRITE, 0xcf8, 4);
	CHECK_EQ(guest.events[0].value, 0x55667788);
	DOES("\x48\xe5\x80"); /* in eax, 80h: REX.W has no say */
	EVENT(0, BV_IO_PORT_READ, 0x80, 4);
	CHECK_EQ(guest.gpr[BV_RAX], guest.events[0].value);
	guest.gpr[BV_RAX] = ~0ull;
	DOES("\xec");
	CHECK_EQ(guest.gpr[BV_RAX], ~0xffull | (u8)guest.events[0].value);
}

/* --- the replay log --- */

TEST(the_log_answers_in_order)
{
	static struct bv_ioreplay log;
	u32 data = 7;

	bv_ioreplay_reset(&log);
	CHECK_EQ(bv_ioreplay_access(&log, BV_IO_MMIO_READ, 0x100, 4, 1, &data), BV_IOREPLAY_NEW);
	CHECK(bv_ioreplay_pending(&log) != NULL);
	data = 0xaabbccdd;
	bv_ioreplay_answer(&log, &data);
	CHECK(bv_ioreplay_pending(&log) == NULL);
	/* answered within the run, which goes on */
	CHECK_EQ(bv_ioreplay_access(&log, BV_IO_MMIO_WRITE, 0x104, 4, 1, &data), BV_IOREPLAY_NEW);
	CHECK_EQ(bv_bytes_get(bv_ioreplay_data(&log, bv_ioreplay_pending(&log)), 4), 0xaabbccdd);
	bv_ioreplay_answer(&log, NULL);
	bv_ioreplay_rewind(&log);
	data = 0;
	CHECK_EQ(bv_ioreplay_access(&log, BV_IO_MMIO_READ, 0x100, 4, 1, &data), BV_IOREPLAY_DONE);
	CHECK_EQ(data, 0xaabbccdd);
	CHECK_EQ(bv_ioreplay_access(&log, BV_IO_MMIO_WRITE, 0x104, 4, 1, &data), BV_IOREPLAY_DONE);
	CHECK_EQ(bv_ioreplay_access(&log, BV_IO_MMIO_READ, 0x108, 4, 1, &data), BV_IOREPLAY_NEW);
}

TEST(the_log_forgets_what_the_guest_no_longer_does)
{
	static struct bv_ioreplay log;
	u64 data = 1;

	bv_ioreplay_reset(&log);
	for (u64 address = 0; address < 3; address++) {
		bv_ioreplay_access(&log, BV_IO_MMIO_READ, address * 8, 8, 1, &data);
		bv_ioreplay_answer(&log, &data);
	}
	bv_ioreplay_rewind(&log);
	CHECK_EQ(bv_ioreplay_access(&log, BV_IO_MMIO_READ, 0, 8, 1, &data), BV_IOREPLAY_DONE);
	CHECK_EQ(bv_ioreplay_access(&log, BV_IO_MMIO_READ, 0x80, 8, 1, &data), BV_IOREPLAY_NEW);
	CHECK_EQ(log.count, 1);
	bv_ioreplay_answer(&log, &data);
	CHECK_EQ(bv_ioreplay_access(&log, BV_IO_MMIO_READ, 8, 8, 1, &data), BV_IOREPLAY_NEW);
}

TEST(the_log_has_an_end)
{
	static struct bv_ioreplay log;
	static u8 data[BV_IOREPLAY_BYTES + 8];
	unsigned int count = 0;

	bv_ioreplay_reset(&log);
	while (count < 100 &&
	       bv_ioreplay_access(&log, BV_IO_MMIO_WRITE, count, 8, 1, data) == BV_IOREPLAY_NEW) {
		bv_ioreplay_answer(&log, NULL);
		count++;
	}
	CHECK_EQ(count, BV_IOREPLAY_ENTRIES);
	bv_ioreplay_reset(&log);
	CHECK_EQ(bv_ioreplay_access(&log, BV_IO_PORT_READ, 0, 1, BV_IOREPLAY_BYTES, data),
		 BV_IOREPLAY_NEW);
	bv_ioreplay_answer(&log, data);
	CHECK_EQ(bv_ioreplay_access(&log, BV_IO_PORT_READ, 0, 1, 1, data), BV_IOREPLAY_FULL);
}

/* --- the quick way --- */

static bool as_mmio(const char *bytes, unsigned int count, struct bv_mmio *mmio,
		    struct bv_insn *insn)
{
	u8 window[BV_INSN_WINDOW] = { 0 };

	memcpy(window, bytes, count);
	CHECK_EQ(bv_insn_decode(insn, window, count, BV_CODE64), BV_DECODE_OK);
	CHECK_EQ(insn->len, count);
	return bv_insn_as_mmio(insn, guest.gpr, mmio);
}

#define AS_MMIO(bytes) as_mmio(bytes, sizeof(bytes) - 1, &mmio, &insn)

TEST(plain_moves_take_the_quick_way)
{
	struct bv_insn insn;
	struct bv_mmio mmio;

	boot(BV_CODE64);
	guest.gpr[BV_RAX] = 0x1122334455667788;
	guest.gpr[BV_RSI] = 0x5a;
	CHECK(AS_MMIO("\x89\x43\x04")); /* mov [rbx+4], eax */
	CHECK(mmio.write);
	CHECK_EQ(mmio.size, 4);
	CHECK_EQ(mmio.value, 0x55667788);
	CHECK(AS_MMIO("\xc7\x04\x25\xb0\xb0\x5f\xff\x01\x00\x00\x00")); /* mov dword [abs], 1 */
	CHECK_EQ(mmio.size, 4);
	CHECK_EQ(mmio.value, 1);
	CHECK(AS_MMIO("\x88\x23")); /* mov [rbx], ah */
	CHECK_EQ(mmio.size, 1);
	CHECK_EQ(mmio.value, 0x77);
	CHECK(AS_MMIO("\x40\x88\x33")); /* mov [rbx], sil */
	CHECK_EQ(mmio.value, 0x5a);
	CHECK(AS_MMIO("\x48\x0f\xbf\x0b")); /* movsx rcx, word [rbx] */
	CHECK(!mmio.write);
	CHECK_EQ(mmio.size, 2);
	bv_mmio_finish(&mmio, guest.gpr, 0xdead8000);
	CHECK_EQ(guest.gpr[BV_RCX], 0xffffffffffff8000);
	CHECK(AS_MMIO("\x0f\xb6\x0b")); /* movzx ecx, byte [rbx] */
	bv_mmio_finish(&mmio, guest.gpr, 0xfff);
	CHECK_EQ(guest.gpr[BV_RCX], 0xff);
	CHECK(AS_MMIO("\x8a\x2b")); /* mov ch, [rbx] */
	bv_mmio_finish(&mmio, guest.gpr, 0x12);
	CHECK_EQ(guest.gpr[BV_RCX], 0x12ff);
	CHECK(AS_MMIO("\xa1\x00\x00\x00\xfe\x00\x00\x00\x00")); /* mov eax, [abs] */
	bv_mmio_finish(&mmio, guest.gpr, ~0ull);
	CHECK_EQ(guest.gpr[BV_RAX], 0xffffffff);
	CHECK(!AS_MMIO("\x89\xc3")); /* no memory */
	CHECK(!AS_MMIO("\x01\x03")); /* not a move */
	CHECK(!AS_MMIO("\xa4"));
}

TEST(one_access_is_known_as_such)
{
	struct bv_insn insn;
	struct bv_mmio mmio;

	boot(BV_CODE64);
	AS_MMIO("\x89\x03");
	CHECK(bv_insn_one_access(&insn));
	AS_MMIO("\xf0\x01\x03");
	CHECK(bv_insn_one_access(&insn));
	AS_MMIO("\x89\xc3");
	CHECK(!bv_insn_one_access(&insn));
	AS_MMIO("\xa5");
	CHECK(!bv_insn_one_access(&insn));
	AS_MMIO("\xff\x33"); /* push [rbx] */
	CHECK(!bv_insn_one_access(&insn));
	AS_MMIO("\xff\x13"); /* call [rbx] */
	CHECK(!bv_insn_one_access(&insn));
	AS_MMIO("\x8e\x1b"); /* mov ds, [rbx]: reads a descriptor, too */
	CHECK(!bv_insn_one_access(&insn));
	AS_MMIO("\x0f\x00\x1b"); /* ltr [rbx] */
	CHECK(!bv_insn_one_access(&insn));
	AS_MMIO("\x48\xff\x2b"); /* jmp far [rbx] */
	CHECK(!bv_insn_one_access(&insn));
	AS_MMIO("\x0f\x01\x13"); /* lgdt [rbx] reads nothing but its operand */
	CHECK(bv_insn_one_access(&insn));
}

TEST(the_decoder_says_when_bytes_run_out)
{
	static const u8 whole[BV_INSN_WINDOW] = { 0x66, 0x41, 0xc7, 0x84, 0x24, 1, 2, 3, 4, 5, 6 };
	struct bv_insn insn;

	for (unsigned int count = 1; count < 11; count++)
		CHECK_EQ(bv_insn_decode(&insn, whole, count, BV_CODE64), BV_DECODE_SHORT);
	CHECK_EQ(bv_insn_decode(&insn, whole, 11, BV_CODE64), BV_DECODE_OK);
	CHECK_EQ(insn.len, 11);
	CHECK_EQ(insn.imm, 0x0605);
}
