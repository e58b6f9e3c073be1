// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The emulator where the processor that runs the tests cannot be asked: real mode, 16-bit and
 * 32-bit code, segmentation, system instructions, and what it promises about faults and state.
 * Expected results by hand.
 */
#include "emul_guest.h"
#include "test.h"

#define BASE 0x10000u
#define SIZE 0x8000u
#define CODE_AT (BASE + 0x1000)
#define STACK_AT (BASE + 0x3000)
#define TABLES (BASE + 0x4000)
#define DATA_AT (BASE + 0x5000)

static u8 memory[SIZE];
static struct guest guest;

static u64 peek(u64 address, unsigned int size)
{
	return bv_bytes_get(memory + (address - BASE), size);
}

static void poke(u64 address, u64 value, unsigned int size)
{
	bv_bytes_put(memory + (address - BASE), value, size);
}

static void boot(enum bv_code_size code, bool protected, unsigned int cpl)
{
	memset(memory, 0, sizeof(memory));
	guest_init(&guest, code, protected, cpl);
	guest.memory = memory;
	guest.base = BASE;
	guest.size = SIZE;
	guest.emul.rip = CODE_AT;
	guest.gpr[BV_RSP] = STACK_AT;
	if (!protected) { /* CS = DS = SS = 1000h */
		for (int seg = 0; seg < 6; seg++) {
			guest.seg[seg].sel = 0x1000;
			guest.seg[seg].base = BASE;
		}
		guest.emul.rip = CODE_AT - BASE;
		guest.gpr[BV_RSP] = STACK_AT - BASE;
	}
}

/* Runs the bytes at RIP. */
static enum bv_emul_rc run(const char *bytes, unsigned int count)
{
	u64 at = guest.emul.rip;

	if (guest.emul.code != BV_CODE64)
		at = (u32)(at + guest.seg[BV_SEG_CS].base);
	memcpy(memory + (at - BASE), bytes, count);
	guest.emul.bytes_count = 0;
	return guest_run(&guest);
}

#define RUN(bytes) run(bytes, sizeof(bytes) - 1)
#define DOES(bytes) CHECK_EQ(RUN(bytes), BV_EMUL_DONE)

static void check_fault(enum bv_emul_rc rc, u8 vector, u32 error, int line)
{
	const struct bv_fault *fault = &guest.emul.fault;

	test_check_eq(rc, BV_EMUL_FAULT, __FILE__, line, "a fault");
	if (rc != BV_EMUL_FAULT)
		return;
	test_check_eq(fault->vector, vector, __FILE__, line, "its vector");
	test_check_eq(fault->error, error, __FILE__, line, "its error code");
	test_check_eq(fault->has_error,
		      vector == BV_EXC_DF || (vector >= BV_EXC_TS && vector != 16), __FILE__, line,
		      "with an error code");
}

#define FAULTS(bytes, vector, error) check_fault(RUN(bytes), vector, error, __LINE__)

/* --- 16-bit and 32-bit code --- */

TEST(real_mode_moves_by_segment)
{
	boot(BV_CODE16, false, 0);
	guest.gpr[BV_RBX] = 0xffff5000;
	guest.gpr[BV_RSI] = 0x12;
	poke(DATA_AT + 0x12 + 0x34, 0xabcd1234, 4);
	guest.gpr[BV_RAX] = 0x1111222233334444;
	DOES("\x8b\x40\x34"); /* mov ax, [bx+si+34h] */
	CHECK_EQ(guest.gpr[BV_RAX], 0x1111222233331234);
	CHECK_EQ(guest.emul.rip, CODE_AT - BASE + 3);
	DOES("\x66\x8b\x40\x34"); /* mov eax, … */
	CHECK_EQ(guest.gpr[BV_RAX], 0xabcd1234);
	DOES("\xa1\x46\x50"); /* mov ax, [5046h] */
	CHECK_EQ(guest.gpr[BV_RAX], 0xabcd1234);
	DOES("\xc7\x06\x00\x51\x78\x56"); /* mov word [5100h], 5678h */
	CHECK_EQ(peek(DATA_AT + 0x100, 4), 0x5678);
	guest.seg[BV_SEG_ES].base = BASE + 0x100;
	DOES("\x26\xc6\x06\x00\x50\x99"); /* mov byte es:[5000h], 99h */
	CHECK_EQ(peek(DATA_AT + 0x100, 1), 0x99);
	/* offsets wrap at 64 KiB, and an access beyond the limit is #GP or #SS */
	guest.gpr[BV_RBX] = 0xfff0;
	guest.gpr[BV_RSI] = 0x5110;
	DOES("\x8b\x00"); /* mov ax, [bx+si] */
	CHECK_EQ(guest.gpr[BV_RAX] & 0xffff, 0x5699);
	guest.gpr[BV_RBX] = 0xffff;
	FAULTS("\x8b\x07", BV_EXC_GP, 0);
	guest.gpr[BV_RBP] = 0xffff;
	FAULTS("\x8b\x46\x00", BV_EXC_SS, 0);
}

TEST(real_mode_loads_segments_without_descriptors)
{
	boot(BV_CODE16, false, 0);
	guest.gpr[BV_RAX] = 0x1234;
	DOES("\x8e\xc0"); /* mov es, ax */
	CHECK_EQ(guest.seg[BV_SEG_ES].sel, 0x1234);
	CHECK_EQ(guest.seg[BV_SEG_ES].base, 0x12340);
	CHECK_EQ(guest.seg[BV_SEG_ES].limit, 0xffff);
	CHECK(!guest.emul.shadow);
	guest.gpr[BV_RAX] = 0x1100;
	DOES("\x8e\xd0"); /* mov ss, ax */
	CHECK_EQ(guest.emul.shadow, BV_SHADOW_MOV_SS);
	poke(DATA_AT, 0x12345678, 4);
	DOES("\xc4\x1e\x00\x50"); /* les bx, [5000h] */
	CHECK_EQ(guest.gpr[BV_RBX], 0x5678);
	CHECK_EQ(guest.seg[BV_SEG_ES].base, 0x12340);
	DOES("\x1e"); /* push ds */
	DOES("\x0f\xa1"); /* pop fs */
	CHECK_EQ(guest.seg[BV_SEG_FS].sel, 0x1000);
	CHECK_EQ(guest.gpr[BV_RSP], STACK_AT - BASE);
}

TEST(real_mode_far_transfers)
{
	boot(BV_CODE16, false, 0);
	DOES("\x9a\x34\x12\x80\x10"); /* call 1080h:1234h */
	CHECK_EQ(guest.emul.rip, 0x1234);
	CHECK_EQ(guest.seg[BV_SEG_CS].sel, 0x1080);
	CHECK_EQ(guest.seg[BV_SEG_CS].base, 0x10800);
	CHECK_EQ(guest.gpr[BV_RSP], STACK_AT - BASE - 4);
	CHECK_EQ(peek(STACK_AT - 4, 4), 0x10001005);
	DOES("\xca\x06\x00"); /* retf 6 */
	CHECK_EQ(guest.emul.rip, 0x1005);
	CHECK_EQ(guest.seg[BV_SEG_CS].base, BASE);
	CHECK_EQ(guest.gpr[BV_RSP], STACK_AT - BASE + 6);
	poke(DATA_AT, 0x10902345, 4);
	DOES("\xff\x2e\x00\x50"); /* jmp far [5000h] */
	CHECK_EQ(guest.emul.rip, 0x2345);
	CHECK_EQ(guest.seg[BV_SEG_CS].base, 0x10900);
}

TEST(real_mode_interrupts_and_iret)
{
	boot(BV_CODE16, false, 0);
	guest.idt = (struct bv_desc_table){ .base = BASE, .limit = 0x3ff };
	poke(BASE + 0x15 * 4, 0x10202222, 4);
	guest.emul.rflags |= BV_RFLAGS_IF | BV_RFLAGS_CF | BV_RFLAGS_AC;
	DOES("\xcd\x15");
	CHECK_EQ(guest.emul.rip, 0x2222);
	CHECK_EQ(guest.seg[BV_SEG_CS].base, 0x10200);
	CHECK_EQ(guest.emul.rflags, BV_RFLAGS_ONE | BV_RFLAGS_CF);
	CHECK_EQ(peek(STACK_AT - 6, 2), CODE_AT - BASE + 2);
	CHECK_EQ(peek(STACK_AT - 2, 2), BV_RFLAGS_ONE | BV_RFLAGS_CF | BV_RFLAGS_IF);
	DOES("\xcf");
	CHECK_EQ(guest.emul.rip, CODE_AT - BASE + 2);
	CHECK_EQ(guest.seg[BV_SEG_CS].sel, 0x1000);
	CHECK_EQ(guest.emul.rflags, BV_RFLAGS_ONE | BV_RFLAGS_CF | BV_RFLAGS_IF);
	CHECK_EQ(guest.gpr[BV_RSP], STACK_AT - BASE);
	guest.idt.limit = 0x20;
	FAULTS("\xcd\x15", BV_EXC_GP, 0x15 * 8 + 2);
}

TEST(real_mode_has_no_protected_instructions)
{
	boot(BV_CODE16, false, 0);
	FAULTS("\x0f\x00\xd0", BV_EXC_UD, 0); /* lldt ax */
	FAULTS("\x0f\x02\xc0", BV_EXC_UD, 0); /* lar ax, ax */
	FAULTS("\x63\xc0", BV_EXC_UD, 0); /* arpl */
	FAULTS("\xc5\xf8\x28\xc1", BV_EXC_UD, 0); /* vmovaps */
}

TEST(code32_has_its_own_opcodes)
{
	boot(BV_CODE32, true, 0);
	guest.gpr[BV_RAX] = 0xffffffff;
	DOES("\x40"); /* inc eax */
	CHECK_EQ(guest.gpr[BV_RAX], 0);
	CHECK(guest.emul.rflags & BV_RFLAGS_ZF);
	DOES("\x4b"); /* dec ebx */
	CHECK_EQ(guest.gpr[BV_RBX], 0xffffffff);
	guest.gpr[BV_RAX] = 0x39;
	guest.gpr[BV_RCX] = 0x48;
	DOES("\x00\xc8"); /* add al, cl */
	DOES("\x27"); /* daa */
	CHECK_EQ(guest.gpr[BV_RAX], 0x87);
	guest.gpr[BV_RAX] = 0x305;
	DOES("\xd5\x0a"); /* aad */
	CHECK_EQ(guest.gpr[BV_RAX], 35);
	DOES("\xd4\x0a"); /* aam */
	CHECK_EQ(guest.gpr[BV_RAX], 0x305);
	FAULTS("\xd4\x00", BV_EXC_DE, 0);
	DOES("\x68\x78\x56\x34\x12"); /* push 12345678h */
	CHECK_EQ(guest.gpr[BV_RSP], STACK_AT - 4);
	CHECK_EQ(peek(STACK_AT - 4, 4), 0x12345678);
	DOES("\x60"); /* pusha */
	CHECK_EQ(guest.gpr[BV_RSP], STACK_AT - 36);
	CHECK_EQ(peek(STACK_AT - 36 + 12, 4), STACK_AT - 4); /* the old ESP */
	guest.gpr[BV_RBX] = 0;
	DOES("\x61"); /* popa */
	CHECK_EQ(guest.gpr[BV_RBX], 0xffffffff);
	CHECK_EQ(guest.gpr[BV_RSP], STACK_AT - 4);
}

TEST(decimal_adjustments)
{
	static const struct {
		u16 ax;
		u8 flags; /* AF 10h, CF 1 */
		char op;
		u16 result;
		u8 result_flags;
	} cases[] = {
		{ 0x9a, 0, 0x27, 0x00, 0x11 },	     { 0x99, 0x10, 0x27, 0x9f, 0x10 },
		{ 0x12, 0x01, 0x27, 0x72, 0x01 },    { 0xee, 0, 0x2f, 0x88, 0x11 },
		{ 0x05, 0x10, 0x2f, 0xff, 0x11 },    { 0x0f, 0, 0x37, 0x105, 0x11 },
		{ 0x00f9, 0x10, 0x37, 0x10f, 0x11 }, { 0x200, 0x10, 0x3f, 0x00a, 0x11 },
		{ 0x209, 0, 0x3f, 0x209, 0x00 },
	};

	for (unsigned int at = 0; at < BV_ARRAY_SIZE(cases); at++) {
		boot(BV_CODE32, true, 0);
		guest.gpr[BV_RAX] = cases[at].ax;
		guest.emul.rflags |= cases[at].flags;
		CHECK_EQ(run(&cases[at].op, 1), BV_EMUL_DONE);
		CHECK_EQ(guest.gpr[BV_RAX], cases[at].result);
		CHECK_EQ(guest.emul.rflags & 0x11, cases[at].result_flags);
	}
}

TEST(code32_wraps_addresses_and_instruction_pointers)
{
	boot(BV_CODE32, true, 0);
	guest.gpr[BV_RAX] = 0xfffffff0;
	guest.gpr[BV_RBX] = DATA_AT + 0x10;
	poke(DATA_AT, 0x55, 4);
	DOES("\x8b\x0c\x03"); /* mov ecx, [ebx+eax] */
	CHECK_EQ(guest.gpr[BV_RCX], 0x55);
	guest.emul.rip = CODE_AT;
	DOES("\xe9\xfb\xff\xff\xff"); /* jmp $ */
	CHECK_EQ(guest.emul.rip, CODE_AT);
	DOES("\x66\xe9\x00\x00"); /* a 16-bit jump cuts EIP */
	CHECK_EQ(guest.emul.rip, (CODE_AT + 4) & 0xffff);
}

/* --- segmentation --- */

TEST(protected_mode_checks_segments)
{
	boot(BV_CODE32, true, 0);
	guest.gpr[BV_RBX] = DATA_AT;
	guest.seg[BV_SEG_DS].limit = DATA_AT + 3;
	DOES("\x8b\x03"); /* mov eax, [ebx] */
	guest.seg[BV_SEG_DS].limit = DATA_AT + 2;
	FAULTS("\x8b\x03", BV_EXC_GP, 0);
	guest.seg[BV_SEG_DS].limit = ~0u;
	guest.seg[BV_SEG_DS].attr &= ~BV_SEG_TYPE_WRITE;
	DOES("\x8b\x03");
	FAULTS("\x89\x03", BV_EXC_GP, 0);
	FAULTS("\x01\x03", BV_EXC_GP, 0);
	DOES("\x39\x03"); /* cmp does not write */
	guest.seg[BV_SEG_DS].attr = 0; /* a null selector */
	FAULTS("\x8b\x03", BV_EXC_GP, 0);
	DOES("\x2e\x8b\x03"); /* mov eax, cs:[ebx] */
	FAULTS("\x2e\x89\x03", BV_EXC_GP, 0);
	guest.seg[BV_SEG_CS].attr &= ~BV_SEG_TYPE_READ;
	FAULTS("\x2e\x8b\x03", BV_EXC_GP, 0);
	/* expands down: valid above the limit */
	guest.seg[BV_SEG_SS].attr |= BV_SEG_TYPE_DOWN;
	guest.seg[BV_SEG_SS].limit = DATA_AT - 1;
	DOES("\x36\x8b\x03");
	guest.seg[BV_SEG_SS].limit = DATA_AT;
	FAULTS("\x36\x8b\x03", BV_EXC_SS, 0);
}

TEST(code_beyond_the_segment_is_not_fetched)
{
	boot(BV_CODE32, true, 0);
	guest.seg[BV_SEG_CS].limit = CODE_AT + 1;
	DOES("\x89\xc3");
	guest.emul.rip = CODE_AT;
	FAULTS("\xb8\x00\x00\x00\x00", BV_EXC_GP, 0);
	FAULTS("\xeb\x20", BV_EXC_GP, 0); /* a jump out of it */
	CHECK_EQ(guest.emul.rip, CODE_AT);
}

TEST(long_mode_uses_fs_and_gs_bases_only)
{
	boot(BV_CODE64, true, 0);
	guest.seg[BV_SEG_DS].base = 0x123;
	guest.seg[BV_SEG_GS].base = DATA_AT;
	poke(DATA_AT + 0x10, 0x1234567890, 8);
	DOES("\x65\x48\x8b\x04\x25\x10\x00\x00\x00"); /* mov rax, gs:[10h] */
	CHECK_EQ(guest.gpr[BV_RAX], 0x1234567890);
	guest.gpr[BV_RBX] = DATA_AT;
	DOES("\x48\x8b\x43\x10");
	CHECK_EQ(guest.gpr[BV_RAX], 0x1234567890);
	guest.gpr[BV_RBX] = 0x800000000000;
	FAULTS("\x48\x8b\x03", BV_EXC_GP, 0);
	guest.gpr[BV_RSP] = 0x800000000000;
	FAULTS("\x50", BV_EXC_PF, BV_PF_WRITE); /* push at the last canonical address */
	guest.gpr[BV_RSP] += 8;
	FAULTS("\x50", BV_EXC_SS, 0);
	guest.emul.cr4 |= BV_CR4_LA57;
	FAULTS("\x50", BV_EXC_PF, BV_PF_WRITE);
}

#define DESCRIPTOR(base, limit, attr)                                                      \
	(((u64)(limit)&0xffff) | ((u64)(base)&0xffffff) << 16 | ((u64)(attr)&0xff) << 40 | \
	 ((u64)(limit) >> 16 & 0xf) << 48 | ((u64)(attr) >> 8) << 52 |                     \
	 ((u64)(base) >> 24 & 0xff) << 56)

#define DATA_ATTR (BV_SEG_P | BV_SEG_S | BV_SEG_TYPE_WRITE | BV_SEG_DB | BV_SEG_G)
#define CODE_ATTR (BV_SEG_P | BV_SEG_S | BV_SEG_TYPE_CODE | BV_SEG_TYPE_READ)
#define DPL3 BV_SEG_DPL

/*
 * 8 data, 10 data DPL 3, 18 not present, 20 code32, 28 code64, 30 TSS, 40 LDT, 50 execute-only, 58
 * gate, 60 read-only
 */
static void descriptors(void)
{
	guest.gdt = (struct bv_desc_table){ .base = TABLES, .limit = 0x6f };
	poke(TABLES + 0x08, DESCRIPTOR(0x12345678, 0xabcde, DATA_ATTR), 8);
	poke(TABLES + 0x10, DESCRIPTOR(0, 0xfffff, DATA_ATTR | DPL3), 8);
	poke(TABLES + 0x18, DESCRIPTOR(0, 0xfffff, DATA_ATTR & ~BV_SEG_P), 8);
	poke(TABLES + 0x20, DESCRIPTOR(0, 0xfffff, CODE_ATTR | BV_SEG_DB | BV_SEG_G), 8);
	poke(TABLES + 0x28, DESCRIPTOR(0, 0, CODE_ATTR | BV_SEG_L), 8);
	poke(TABLES + 0x30, DESCRIPTOR(0x11223344, 0x67, BV_SEG_P | BV_SYS_TSS), 8);
	poke(TABLES + 0x38, 0x5566, 8);
	poke(TABLES + 0x40, DESCRIPTOR(TABLES + 0x100, 0xf, BV_SEG_P | BV_SYS_LDT), 8);
	poke(TABLES + 0x50, DESCRIPTOR(0, 0xfffff, (CODE_ATTR & ~BV_SEG_TYPE_READ) | BV_SEG_DB), 8);
	poke(TABLES + 0x58, DESCRIPTOR(0, 0, BV_SEG_P | BV_SYS_CALL_GATE), 8);
	poke(TABLES + 0x60, DESCRIPTOR(0, 0xfffff, (DATA_ATTR & ~BV_SEG_TYPE_WRITE)), 8);
	poke(TABLES + 0x108, DESCRIPTOR(0x777000, 0xff, DATA_ATTR & ~BV_SEG_G), 8);
}

static enum bv_emul_rc load(const char *bytes, u16 sel)
{
	guest.gpr[BV_RAX] = sel;
	return run(bytes, bytes[0] == 0x0f ? 3 : 2);
}

#define MOV_DS "\x8e\xd8"
#define MOV_SS "\x8e\xd0"
#define LLDT "\x0f\x00\xd0"
#define LTR "\x0f\x00\xd8"

TEST(protected_mode_loads_segments_from_descriptors)
{
	boot(BV_CODE32, true, 0);
	descriptors();
	CHECK_EQ(load(MOV_DS, 8), BV_EMUL_DONE);
	CHECK_EQ(guest.seg[BV_SEG_DS].base, 0x12345678);
	CHECK_EQ(guest.seg[BV_SEG_DS].limit, 0xabcdefff);
	CHECK_EQ(guest.seg[BV_SEG_DS].attr, DATA_ATTR | BV_SEG_TYPE_ACCESSED);
	CHECK_EQ(peek(TABLES + 8 + 5, 1) & 1, 1); /* accessed, in memory too */
	CHECK_EQ(load(MOV_DS, 2), BV_EMUL_DONE); /* null */
	CHECK(!(guest.seg[BV_SEG_DS].attr & BV_SEG_P));
	check_fault(load(MOV_DS, 0x18), BV_EXC_NP, 0x18, __LINE__);
	check_fault(load(MOV_DS, 0x73), BV_EXC_GP, 0x70, __LINE__); /* beyond the table */
	check_fault(load(MOV_DS, 0x50), BV_EXC_GP, 0x50, __LINE__); /* execute-only */
	check_fault(load(MOV_DS, 0x30), BV_EXC_GP, 0x30, __LINE__); /* a TSS */
	check_fault(load(MOV_DS, 0x0b), BV_EXC_GP, 0x08, __LINE__); /* RPL 3, DPL 0 */
	CHECK_EQ(load(MOV_DS, 0x13), BV_EMUL_DONE);
	CHECK_EQ(load(MOV_DS, 0x20), BV_EMUL_DONE); /* readable code */
	check_fault(load(MOV_SS, 0), BV_EXC_GP, 0, __LINE__);
	check_fault(load(MOV_SS, 0x10), BV_EXC_GP, 0x10, __LINE__); /* DPL is not CPL */
	check_fault(load(MOV_SS, 0x60), BV_EXC_GP, 0x60, __LINE__); /* read-only */
	check_fault(load(MOV_SS, 0x18), BV_EXC_SS, 0x18, __LINE__);
	CHECK(!guest.emul.shadow);
	CHECK_EQ(load(MOV_SS, 8), BV_EMUL_DONE);
	CHECK_EQ(guest.emul.shadow, BV_SHADOW_MOV_SS);
}

TEST(local_descriptors_need_a_local_table)
{
	boot(BV_CODE32, true, 0);
	descriptors();
	check_fault(load(MOV_DS, 0x0c), BV_EXC_GP, 0x0c, __LINE__);
	CHECK_EQ(load(LLDT, 0x40), BV_EMUL_DONE);
	CHECK_EQ(guest.seg[BV_SEG_LDTR].base, TABLES + 0x100);
	CHECK_EQ(load(MOV_DS, 0x0c), BV_EMUL_DONE);
	CHECK_EQ(guest.seg[BV_SEG_DS].base, 0x777000);
	check_fault(load(MOV_DS, 0x14), BV_EXC_GP, 0x14, __LINE__);
	check_fault(load(LLDT, 0x08), BV_EXC_GP, 0x08, __LINE__);
	CHECK_EQ(load(LLDT, 0), BV_EMUL_DONE);
	CHECK(!(guest.seg[BV_SEG_LDTR].attr & BV_SEG_P));
	CHECK_EQ(load(LTR, 0x30), BV_EMUL_DONE);
	CHECK_EQ(guest.seg[BV_SEG_TR].base, 0x11223344);
	CHECK_EQ(peek(TABLES + 0x35, 1) & 0xf, BV_SYS_TSS_BUSY);
	check_fault(load(LTR, 0x30), BV_EXC_GP, 0x30, __LINE__); /* busy now */
}

TEST(system_descriptors_are_wide_in_long_mode)
{
	boot(BV_CODE64, true, 0);
	descriptors();
	CHECK_EQ(load(LTR, 0x30), BV_EMUL_DONE);
	CHECK_EQ(guest.seg[BV_SEG_TR].base, 0x556611223344);
	CHECK_EQ(load(MOV_SS, 0), BV_EMUL_DONE); /* allowed here */
	DOES("\x66\x0f\x00\xc8"); /* str ax */
	CHECK_EQ(guest.gpr[BV_RAX], 0x30);
}

TEST(far_jumps_change_the_code_size)
{
	boot(BV_CODE32, true, 0);
	descriptors();
	guest.emul.efer = BV_EFER_LMA | BV_EFER_LME;
	DOES("\xea\x00\x20\x01\x00\x28\x00"); /* jmp 28h:12000h */
	CHECK_EQ(guest.emul.rip, 0x12000);
	CHECK_EQ(guest.seg[BV_SEG_CS].sel, 0x28);
	CHECK_EQ(guest.emul.code, BV_CODE64);
	poke(DATA_AT, CODE_AT, 8);
	poke(DATA_AT + 8, 0x20, 2);
	guest.gpr[BV_RBX] = DATA_AT;
	DOES("\x48\xff\x2b"); /* jmp far [rbx] */
	CHECK_EQ(guest.emul.code, BV_CODE32);
	CHECK_EQ(guest.emul.rip, CODE_AT);
	FAULTS("\xea\x00\x20\x01\x00\x08\x00", BV_EXC_GP, 8); /* data */
	FAULTS("\xea\x00\x20\x01\x00\x00\x00", BV_EXC_GP, 0);
	CHECK_EQ(RUN("\xea\x00\x20\x01\x00\x58\x00"), BV_EMUL_UNHANDLED); /* a gate */
	DOES("\x9a\x00\x20\x01\x00\x20\x00"); /* call 20h:12000h */
	CHECK_EQ(peek(STACK_AT - 8, 8), 0x2000000000ull | (CODE_AT + 7));
	DOES("\xcb");
	CHECK_EQ(guest.emul.rip, CODE_AT + 7);
}

TEST(descriptors_can_be_inspected)
{
	boot(BV_CODE32, true, 0);
	descriptors();
	guest.gpr[BV_RCX] = 8;
	DOES("\x0f\x02\xc1"); /* lar eax, ecx */
	CHECK_EQ(guest.gpr[BV_RAX], 0xc09200);
	CHECK(guest.emul.rflags & BV_RFLAGS_ZF);
	DOES("\x0f\x03\xc1"); /* lsl eax, ecx */
	CHECK_EQ(guest.gpr[BV_RAX], 0xabcdefff);
	guest.gpr[BV_RCX] = 0x50;
	DOES("\x0f\x00\xe1"); /* verr cx: execute-only */
	CHECK(!(guest.emul.rflags & BV_RFLAGS_ZF));
	guest.gpr[BV_RCX] = 0x58;
	DOES("\x0f\x03\xc1"); /* a gate has no limit */
	CHECK(!(guest.emul.rflags & BV_RFLAGS_ZF));
	CHECK_EQ(guest.gpr[BV_RAX], 0xabcdefff);
	guest.gpr[BV_RCX] = 0x10;
	DOES("\x0f\x00\xe9"); /* verw cx */
	CHECK(guest.emul.rflags & BV_RFLAGS_ZF);
	guest.gpr[BV_RAX] = 8;
	guest.gpr[BV_RCX] = 3;
	DOES("\x63\xc8"); /* arpl ax, cx */
	CHECK_EQ(guest.gpr[BV_RAX], 0xb);
	CHECK(guest.emul.rflags & BV_RFLAGS_ZF);
}

TEST(iret_within_a_level)
{
	boot(BV_CODE64, true, 0);
	descriptors();
	guest.seg[BV_SEG_SS].sel = 8;
	poke(STACK_AT, 0x12345, 8);
	poke(STACK_AT + 8, 0x28, 8);
	poke(STACK_AT + 16, BV_RFLAGS_ONE | BV_RFLAGS_IF | BV_RFLAGS_RF, 8);
	poke(STACK_AT + 24, STACK_AT + 0x100, 8);
	poke(STACK_AT + 32, 8, 8);
	DOES("\x48\xcf");
	CHECK_EQ(guest.emul.rip, 0x12345);
	CHECK_EQ(guest.gpr[BV_RSP], STACK_AT + 0x100);
	CHECK_EQ(guest.emul.rflags, BV_RFLAGS_ONE | BV_RFLAGS_IF | BV_RFLAGS_RF);
}

/* --- system instructions --- */

TEST(control_and_debug_registers_move)
{
	boot(BV_CODE64, true, 0);
	guest.cr[3] = 0x1234567890;
	DOES("\x0f\x20\xd8"); /* mov rax, cr3 */
	CHECK_EQ(guest.gpr[BV_RAX], 0x1234567890);
	DOES("\x44\x0f\x22\xc0"); /* mov cr8, rax */
	CHECK_EQ(guest.cr[8], 0x1234567890);
	FAULTS("\x0f\x20\xc8", BV_EXC_UD, 0); /* CR1 */
	DOES("\x0f\x23\xf8"); /* mov dr7, rax */
	CHECK_EQ(guest.dr[7], 0x1234567890);
	DOES("\x0f\x21\xe9"); /* mov rcx, dr5: DR7 */
	CHECK_EQ(guest.gpr[BV_RCX], 0x1234567890);
	guest.emul.cr4 |= BV_CR4_DE;
	FAULTS("\x0f\x21\xe9", BV_EXC_UD, 0);
	boot(BV_CODE32, true, 0);
	guest.gpr[BV_RAX] = 5;
	DOES("\xf0\x0f\x22\xc0"); /* lock mov cr0, eax: CR8 */
	CHECK_EQ(guest.cr[8], 5);
	FAULTS("\xf0\x0f\x22\xd8", BV_EXC_UD, 0);
}

TEST(machine_status_words)
{
	boot(BV_CODE32, true, 0);
	guest.gpr[BV_RAX] = 0xfffffff8;
	DOES("\x0f\x01\xf0"); /* lmsw ax */
	CHECK_EQ(guest.cr[0], (guest.emul.cr0 & ~0xeull) | 8 | BV_CR0_PE);
	DOES("\x0f\x01\xe3"); /* smsw ebx */
	CHECK_EQ(guest.gpr[BV_RBX], guest.emul.cr0);
	guest.gpr[BV_RBX] = DATA_AT;
	poke(DATA_AT, ~0ull, 8);
	DOES("\x0f\x01\x23"); /* smsw [ebx]: two bytes */
	CHECK_EQ(peek(DATA_AT, 4), 0xffff0000 | (guest.emul.cr0 & 0xffff));
	guest.emul.cr0 |= BV_CR0_TS;
	DOES("\x0f\x06"); /* clts */
	CHECK_EQ(guest.cr[0], guest.emul.cr0 & ~BV_CR0_TS);
}

TEST(descriptor_tables_move)
{
	boot(BV_CODE64, true, 0);
	guest.gpr[BV_RBX] = DATA_AT;
	poke(DATA_AT, 0x1234, 2);
	poke(DATA_AT + 2, 0xffff800012345678, 8);
	DOES("\x0f\x01\x13"); /* lgdt [rbx] */
	CHECK_EQ(guest.gdt.limit, 0x1234);
	CHECK_EQ(guest.gdt.base, 0xffff800012345678);
	DOES("\x0f\x01\x43\x20"); /* sgdt [rbx+20h] */
	CHECK(!memcmp(memory + (DATA_AT - BASE), memory + (DATA_AT - BASE) + 0x20, 10));
	poke(DATA_AT + 2, 0x800012345678, 8);
	FAULTS("\x0f\x01\x1b", BV_EXC_GP, 0); /* lidt of an address that is not canonical */
	boot(BV_CODE16, false, 0);
	poke(DATA_AT, 0x3ff, 2);
	poke(DATA_AT + 2, 0x89abcdef, 4);
	DOES("\x0f\x01\x1e\x00\x50"); /* lidt [5000h] */
	CHECK_EQ(guest.idt.base, 0xabcdef);
	DOES("\x66\x0f\x01\x1e\x00\x50");
	CHECK_EQ(guest.idt.base, 0x89abcdef);
}

TEST(user_mode_instruction_prevention)
{
	boot(BV_CODE64, true, 3);
	guest.gpr[BV_RBX] = DATA_AT;
	DOES("\x0f\x01\x03");
	guest.emul.cr4 |= BV_CR4_UMIP;
	FAULTS("\x0f\x01\x03", BV_EXC_GP, 0); /* sgdt */
	FAULTS("\x0f\x01\xe0", BV_EXC_GP, 0); /* smsw */
	FAULTS("\x0f\x00\xc0", BV_EXC_GP, 0); /* sldt */
}

TEST(msrs_cpuid_and_counters)
{
	boot(BV_CODE64, true, 0);
	guest.msr_value = 0x1122334455667788 ^ 0x10;
	guest.gpr[BV_RCX] = 0xffffffff00000010;
	guest.gpr[BV_RAX] = ~0ull;
	DOES("\x0f\x32");
	CHECK_EQ(guest.gpr[BV_RAX], 0x55667788);
	CHECK_EQ(guest.gpr[BV_RDX], 0x11223344);
	guest.gpr[BV_RAX] = 0xffffffff00000001;
	DOES("\x0f\x30");
	CHECK_EQ(guest.msr_value, 0x1122334400000001 ^ 0x10);
	guest.gpr[BV_RAX] = 0xffffffff00000001;
	DOES("\x0f\xa2");
	CHECK_EQ(guest.gpr[BV_RAX], 0xfffffffe);
	DOES("\x0f\x01\xf9"); /* rdtscp */
	CHECK_EQ(guest.gpr[BV_RAX], 0x9abcdef0);
	CHECK_EQ(guest.gpr[BV_RDX], 0x12345678);
	boot(BV_CODE64, true, 3);
	guest.emul.cr4 |= BV_CR4_TSD;
	FAULTS("\x0f\x31", BV_EXC_GP, 0);
}

TEST(the_interrupt_flag_and_its_shadow)
{
	boot(BV_CODE64, true, 0);
	DOES("\xfb");
	CHECK_EQ(guest.emul.shadow, BV_SHADOW_STI);
	CHECK(guest.emul.rflags & BV_RFLAGS_IF);
	DOES("\xfb"); /* already set: no shadow */
	CHECK(!guest.emul.shadow);
	DOES("\xfa");
	CHECK(!(guest.emul.rflags & BV_RFLAGS_IF));
	DOES("\xf4");
	CHECK_EQ(guest.halts, 1);
	boot(BV_CODE64, true, 3);
	FAULTS("\xfb", BV_EXC_GP, 0);
	guest.emul.rflags |= BV_RFLAGS_IOPL;
	DOES("\xfb");
}

TEST(popf_obeys_privilege)
{
	boot(BV_CODE64, true, 3);
	guest.emul.rflags |= BV_RFLAGS_IF;
	poke(STACK_AT, BV_RFLAGS_IOPL | BV_RFLAGS_CF | BV_RFLAGS_VM | BV_RFLAGS_RF | BV_RFLAGS_VIP,
	     8);
	DOES("\x9d");
	CHECK_EQ(guest.emul.rflags, BV_RFLAGS_ONE | BV_RFLAGS_IF | BV_RFLAGS_CF);
	boot(BV_CODE64, true, 0);
	guest.emul.rflags |= BV_RFLAGS_IF;
	poke(STACK_AT, BV_RFLAGS_IOPL, 8);
	DOES("\x9d");
	CHECK_EQ(guest.emul.rflags, BV_RFLAGS_ONE | BV_RFLAGS_IOPL);
}

TEST(ports_need_permission)
{
	boot(BV_CODE32, true, 3);
	guest.seg[BV_SEG_TR].base = TABLES;
	guest.seg[BV_SEG_TR].limit = 0x68 + 0x20;
	poke(TABLES + 102, 0x68, 2);
	guest.gpr[BV_RDX] = 0x0e;
	DOES("\xec"); /* in al, dx */
	poke(TABLES + 0x68 + 2, 1, 1); /* port 10h */
	DOES("\x66\xed"); /* two bytes at 0Eh */
	FAULTS("\xed", BV_EXC_GP, 0); /* four reach it */
	guest.gpr[BV_RDX] = 0x100;
	FAULTS("\xec", BV_EXC_GP, 0); /* beyond the map */
	guest.emul.rflags |= BV_RFLAGS_IOPL;
	DOES("\xec");
	guest.emul.rflags |= BV_RFLAGS_VM; /* there IOPL does not count */
	FAULTS("\xec", BV_EXC_GP, 0);
}

/* --- what holds for all --- */

TEST(lock_is_only_for_writes_to_memory)
{
	boot(BV_CODE64, true, 0);
	guest.gpr[BV_RBX] = DATA_AT;
	DOES("\xf0\x01\x03"); /* lock add [rbx], eax */
	FAULTS("\xf0\x01\xc3", BV_EXC_UD, 0); /* register */
	FAULTS("\xf0\x03\x03", BV_EXC_UD, 0); /* load */
	FAULTS("\xf0\x39\x03", BV_EXC_UD, 0); /* cmp */
	FAULTS("\xf0\x89\x03", BV_EXC_UD, 0); /* mov */
	FAULTS("\xf0\x90", BV_EXC_UD, 0);
	DOES("\xf0\x0f\xab\x03"); /* lock bts */
	FAULTS("\xf0\x0f\xa3\x03", BV_EXC_UD, 0); /* lock bt */
}

TEST(a_locked_access_that_loses_a_race_changes_nothing)
{
	boot(BV_CODE64, true, 0);
	guest.gpr[BV_RBX] = DATA_AT;
	guest.gpr[BV_RAX] = 5;
	guest.cmpxchg_fails = true;
	CHECK_EQ(RUN("\xf0\x0f\xc1\x03"), BV_EMUL_AGAIN); /* lock xadd */
	CHECK_EQ(RUN("\x87\x03"), BV_EMUL_AGAIN); /* xchg locks by itself */
	CHECK_EQ(guest.gpr[BV_RAX], 5);
	CHECK_EQ(guest.emul.rip, CODE_AT);
	CHECK_EQ(guest.emul.rflags, BV_RFLAGS_ONE);
	DOES("\x0f\xc1\x03");
	CHECK_EQ(guest.gpr[BV_RAX], 0);
	CHECK_EQ(peek(DATA_AT, 4), 5);
}

TEST(an_instruction_of_sixteen_bytes_faults)
{
	boot(BV_CODE64, true, 0);
	DOES("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90");
	FAULTS("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90", BV_EXC_GP, 0);
	FAULTS("\x3e\x3e\x3e\x3e\x3e\x3e\x3e\xc7\x84\x24\x00\x00\x00\x00\x00\x00\x00\x00",
	       BV_EXC_GP, 0);
}

TEST(an_instruction_may_cross_into_a_missing_page)
{
	boot(BV_CODE64, true, 3);
	guest.emul.rip = BASE + SIZE - 2;
	DOES("\x89\xc3");
	guest.emul.rip = BASE + SIZE - 1;
	FAULTS("\x89", BV_EXC_PF, BV_PF_USER | BV_PF_FETCH);
	CHECK_EQ(guest.emul.fault.cr2, BASE + SIZE);
	/* and over a boundary of pages that are there */
	guest.emul.rip = BASE + 0x2000 - 3;
	DOES("\x48\xb8\x88\x77\x66\x55\x44\x33\x22\x11");
	CHECK_EQ(guest.gpr[BV_RAX], 0x1122334455667788);
}

TEST(a_fault_of_the_write_leaves_registers_alone)
{
	boot(BV_CODE64, true, 0);
	guest.read_only = BASE + SIZE;
	guest.gpr[BV_RBX] = DATA_AT;
	guest.gpr[BV_RSI] = guest.gpr[BV_RDI] = DATA_AT;
	guest.gpr[BV_RCX] = 3;
	FAULTS("\x0f\xc1\x03", BV_EXC_PF, BV_PF_WRITE | BV_PF_PRESENT); /* xadd */
	FAULTS("\x0f\xb1\x0b", BV_EXC_PF, BV_PF_WRITE | BV_PF_PRESENT); /* cmpxchg */
	FAULTS("\x8f\x03", BV_EXC_PF, BV_PF_WRITE | BV_PF_PRESENT); /* pop [rbx] */
	FAULTS("\xf3\xa4", BV_EXC_PF, BV_PF_WRITE | BV_PF_PRESENT); /* rep movsb */
	FAULTS("\xff\x13", BV_EXC_PF, BV_PF_WRITE | BV_PF_PRESENT); /* call [rbx]: the push */
	CHECK_EQ(guest.gpr[BV_RSP], STACK_AT);
	CHECK_EQ(guest.gpr[BV_RCX], 3);
	CHECK_EQ(guest.gpr[BV_RSI], DATA_AT);
	CHECK_EQ(guest.emul.rip, CODE_AT);
}

TEST(single_step_is_reported)
{
	boot(BV_CODE64, true, 0);
	DOES("\x90");
	CHECK(!guest.emul.trap);
	guest.emul.rflags |= BV_RFLAGS_TF;
	DOES("\x90");
	CHECK(guest.emul.trap);
	guest.gpr[BV_RDI] = DATA_AT;
	guest.gpr[BV_RCX] = 3;
	DOES("\xf3\xaa"); /* rep stosb: a repetition at a time */
	CHECK(guest.emul.trap && guest.emul.repeats);
	CHECK_EQ(guest.gpr[BV_RCX], 2);
}

TEST(repetitions_are_done_in_batches)
{
	u64 rip;

	boot(BV_CODE64, true, 0);
	rip = guest.emul.rip;
	guest.gpr[BV_RDI] = DATA_AT;
	guest.gpr[BV_RAX] = 0x5a;
	guest.gpr[BV_RCX] = 100;
	guest.emul.repeat_max = 60;
	DOES("\xf3\xaa");
	CHECK(guest.emul.repeats);
	CHECK_EQ(guest.emul.rip, rip);
	CHECK_EQ(guest.gpr[BV_RCX], 40);
	DOES("\xf3\xaa");
	CHECK(!guest.emul.repeats);
	CHECK_EQ(guest.emul.rip, rip + 2);
	CHECK_EQ(guest.gpr[BV_RDI], DATA_AT + 100);
	CHECK_EQ(peek(DATA_AT + 99, 2), 0x5a);
	guest.gpr[BV_RCX] = 0;
	DOES("\xf3\xaa");
	CHECK_EQ(guest.gpr[BV_RDI], DATA_AT + 100);
}

TEST(vector_instructions_need_their_units)
{
	boot(BV_CODE64, true, 0);
	guest.emul.cr0 |= BV_CR0_TS;
	FAULTS("\x0f\x28\xc1", BV_EXC_NM, 0);
	FAULTS("\x0f\x6f\xc1", BV_EXC_NM, 0);
	FAULTS("\xd9\x3b", BV_EXC_NM, 0);
	FAULTS("\xc5\xf8\x28\xc1", BV_EXC_NM, 0);
	guest.emul.cr0 |= BV_CR0_EM;
	FAULTS("\x0f\x28\xc1", BV_EXC_UD, 0);
	FAULTS("\x0f\x6f\xc1", BV_EXC_UD, 0);
	FAULTS("\xd9\x3b", BV_EXC_NM, 0);
	guest.emul.cr0 &= ~(BV_CR0_EM | BV_CR0_TS);
	guest.emul.cr4 &= ~(BV_CR4_OSFXSR | BV_CR4_OSXSAVE);
	FAULTS("\x0f\x28\xc1", BV_EXC_UD, 0);
	FAULTS("\xc5\xf8\x28\xc1", BV_EXC_UD, 0);
	DOES("\x0f\x6f\xc1");
}

TEST(coprocessor_words_are_stored)
{
	boot(BV_CODE32, true, 0);
	guest.gpr[BV_RBX] = DATA_AT;
	guest.fpu_control = 0x127f;
	guest.fpu_status = 0x3800;
	poke(DATA_AT, ~0ull, 8);
	DOES("\xd9\x3b"); /* fnstcw [ebx] */
	CHECK_EQ(peek(DATA_AT, 4), 0xffff127f);
	DOES("\xdd\x7b\x04"); /* fnstsw [ebx+4] */
	CHECK_EQ(peek(DATA_AT + 4, 4), 0xffff3800);
	DOES("\xdf\xe0"); /* fnstsw ax */
	CHECK_EQ(guest.gpr[BV_RAX], 0x3800);
	poke(DATA_AT, 0x137f, 2);
	DOES("\xd9\x2b"); /* fldcw [ebx] */
	CHECK_EQ(guest.fpu_control, 0x137f);
	DOES("\xdb\xe3"); /* fninit */
	CHECK_EQ(guest.fpu_control, 0x37f);
	CHECK_EQ(RUN("\xd8\x03"), BV_EMUL_UNHANDLED); /* fadd [ebx] */
}

/* --- SYSCALL and SYSRET --- */

#define LSTAR 0xffffffff80001000ull
#define CSTAR 0xffffffff80002000ull
#define FLAT_CODE (BV_SEG_P | BV_SEG_S | BV_SEG_G | 0xb)
#define FLAT_STACK (BV_SEG_P | BV_SEG_S | BV_SEG_G | BV_SEG_DB | 0x3)

static void boot_for_syscall(enum bv_code_size code, bool long_mode, unsigned int cpl, bool amd)
{
	boot(code, true, cpl);
	guest.emul.amd = amd;
	guest.emul.efer = BV_EFER_SCE | (long_mode ? BV_EFER_LMA | BV_EFER_LME : 0);
	guest.emul.rflags |= BV_RFLAGS_IF | BV_RFLAGS_CF;
	guest.syscall = (struct bv_syscall){ .star = 0x0023001300005000, /* SYSRET's, SYSCALL's */
					     .lstar = LSTAR,
					     .cstar = CSTAR,
					     .sfmask = BV_RFLAGS_TF | BV_RFLAGS_IF };
}

static void check_flat(enum bv_segment number, u16 sel, u16 attr, int line)
{
	const struct bv_seg *seg = &guest.seg[number];

	test_check_eq(seg->sel, sel, __FILE__, line, "a selector");
	test_check_eq(seg->attr, attr, __FILE__, line, "its attributes");
	test_check_eq(seg->base, 0, __FILE__, line, "its base");
	test_check_eq(seg->limit, ~0u, __FILE__, line, "its limit");
}

#define FLAT(number, sel, attr) check_flat(number, sel, attr, __LINE__)

TEST(amds_syscall_in_compatibility_mode_enters_64_bit_code)
{
	boot_for_syscall(BV_CODE32, true, 3, true);
	guest.gpr[BV_R11] = guest.gpr[BV_RCX] = ~0ull;
	guest.emul.rflags |= BV_RFLAGS_RF;
	DOES("\x0f\x05");
	CHECK_EQ(guest.emul.rip, CSTAR);
	CHECK_EQ(guest.emul.code, BV_CODE64);
	CHECK_EQ(guest.gpr[BV_RCX], CODE_AT + 2);
	CHECK_EQ(guest.gpr[BV_R11], BV_RFLAGS_ONE | BV_RFLAGS_IF | BV_RFLAGS_CF);
	CHECK_EQ(guest.emul.rflags, BV_RFLAGS_ONE | BV_RFLAGS_CF);
	FLAT(BV_SEG_CS, 0x10, FLAT_CODE | BV_SEG_L);
	FLAT(BV_SEG_SS, 0x1b, FLAT_STACK);
}

TEST(amds_syscall_outside_of_long_mode_enters_32_bit_code)
{
	boot_for_syscall(BV_CODE16, false, 3, true);
	guest.gpr[BV_R11] = 11;
	guest.emul.rflags |= BV_RFLAGS_TF;
	DOES("\x0f\x05");
	CHECK_EQ(guest.emul.rip, 0x5000);
	CHECK_EQ(guest.emul.code, BV_CODE32);
	CHECK_EQ(guest.gpr[BV_RCX], CODE_AT + 2);
	CHECK_EQ(guest.gpr[BV_R11], 11);
	/* the mask is long mode's */
	CHECK_EQ(guest.emul.rflags, BV_RFLAGS_ONE | BV_RFLAGS_CF | BV_RFLAGS_TF);
	CHECK(guest.emul.trap);
	FLAT(BV_SEG_CS, 0x10, FLAT_CODE | BV_SEG_DB);
	FLAT(BV_SEG_SS, 0x1b, FLAT_STACK);
}

TEST(amds_syscall_leaves_virtual_8086_mode)
{
	boot_for_syscall(BV_CODE16, false, 3, true);
	guest.emul.rflags |= BV_RFLAGS_VM | BV_RFLAGS_RF;
	DOES("\x0f\x05");
	CHECK_EQ(guest.emul.rflags, BV_RFLAGS_ONE | BV_RFLAGS_CF);
	CHECK_EQ(guest.emul.code, BV_CODE32);
	boot_for_syscall(BV_CODE16, false, 3, true);
	guest.emul.rflags |= BV_RFLAGS_VM;
	FAULTS("\x0f\x07", BV_EXC_GP, 0); /* sysret */
}

TEST(a_syscall_that_masks_tf_is_not_stepped_and_a_sysret_that_sets_it_is)
{
	boot_for_syscall(BV_CODE32, true, 3, true);
	guest.emul.rflags |= BV_RFLAGS_TF;
	DOES("\x0f\x05");
	CHECK(!guest.emul.trap);
	CHECK(guest.gpr[BV_R11] & BV_RFLAGS_TF);
	boot_for_syscall(BV_CODE64, true, 0, true);
	guest.gpr[BV_R11] = BV_RFLAGS_TF;
	DOES("\x0f\x07");
	CHECK(guest.emul.trap);
}

TEST(intels_syscall_is_there_in_64_bit_code_alone)
{
	boot_for_syscall(BV_CODE32, true, 0, false);
	FAULTS("\x0f\x05", BV_EXC_UD, 0);
	FAULTS("\x0f\x07", BV_EXC_UD, 0);
	CHECK_EQ(guest.emul.rip, CODE_AT);
	boot_for_syscall(BV_CODE64, true, 3, false);
	DOES("\x0f\x05");
	CHECK_EQ(guest.emul.rip, LSTAR);
	CHECK_EQ(guest.gpr[BV_RCX], CODE_AT + 2);
	FLAT(BV_SEG_CS, 0x10, FLAT_CODE | BV_SEG_L);
}

TEST(without_its_bit_in_efer_syscall_is_undefined)
{
	for (int amd = 0; amd < 2; amd++) {
		boot_for_syscall(BV_CODE64, true, 0, amd);
		guest.emul.efer &= ~BV_EFER_SCE;
		FAULTS("\x0f\x05", BV_EXC_UD, 0);
		FAULTS("\x48\x0f\x07", BV_EXC_UD, 0);
	}
}

TEST(sysret_goes_to_code_of_either_width)
{
	boot_for_syscall(BV_CODE64, true, 0, false);
	guest.gpr[BV_RCX] = 0x7ffffffff000;
	guest.gpr[BV_R11] = ~0ull;
	DOES("\x48\x0f\x07"); /* sysretq */
	CHECK_EQ(guest.emul.rip, 0x7ffffffff000);
	CHECK_EQ(guest.emul.rflags, 0x3c7fd7); /* neither RF nor VM */
	FLAT(BV_SEG_CS, 0x33, FLAT_CODE | BV_SEG_L | BV_SEG_DPL);
	FLAT(BV_SEG_SS, 0x2b, FLAT_STACK | BV_SEG_DPL);

	boot_for_syscall(BV_CODE64, true, 0, true);
	guest.gpr[BV_RCX] = 0xffffffff00401000;
	guest.seg[BV_SEG_SS].limit = 5;
	DOES("\x0f\x07"); /* sysretl */
	CHECK_EQ(guest.emul.rip, 0x401000);
	CHECK_EQ(guest.emul.code, BV_CODE32);
	CHECK_EQ(guest.emul.rflags, BV_RFLAGS_ONE);
	FLAT(BV_SEG_CS, 0x23, FLAT_CODE | BV_SEG_DB | BV_SEG_DPL);
	CHECK_EQ(guest.seg[BV_SEG_SS].sel, 0x2b);
	CHECK_EQ(guest.seg[BV_SEG_SS].limit, 5); /* AMD's leaves it */
	CHECK_EQ(guest.seg[BV_SEG_SS].attr & BV_SEG_DPL, BV_SEG_DPL);
}

TEST(sysret_of_32_bit_code_changes_of_the_flags_only_if)
{
	boot_for_syscall(BV_CODE32, true, 0, true);
	guest.emul.rflags &= ~BV_RFLAGS_IF;
	guest.gpr[BV_RCX] = 0x401000;
	guest.gpr[BV_R11] = ~0ull;
	DOES("\x0f\x07");
	CHECK_EQ(guest.emul.rip, 0x401000);
	CHECK_EQ(guest.emul.rflags, BV_RFLAGS_ONE | BV_RFLAGS_IF | BV_RFLAGS_CF);
	FLAT(BV_SEG_CS, 0x23, FLAT_CODE | BV_SEG_DB | BV_SEG_DPL);
}

TEST(sysret_is_the_kernels_and_to_canonical_addresses)
{
	boot_for_syscall(BV_CODE64, true, 3, true);
	FAULTS("\x0f\x07", BV_EXC_GP, 0);
	boot_for_syscall(BV_CODE64, true, 0, false);
	guest.gpr[BV_RCX] = 0x800000000000;
	FAULTS("\x48\x0f\x07", BV_EXC_GP, 0);
	DOES("\x0f\x07");
	CHECK_EQ(guest.emul.rip, 0);
}

TEST(what_is_not_emulated_says_so)
{
	boot(BV_CODE64, true, 0);
	CHECK_EQ(RUN("\x0f\x58\xc1"), BV_EMUL_UNHANDLED); /* addps */
	CHECK_EQ(RUN("\x0f\x34"), BV_EMUL_UNHANDLED); /* sysenter */
	CHECK_EQ(RUN("\x62\xf1\x7c\x48\x10\x00"), BV_EMUL_UNHANDLED); /* EVEX */
	CHECK_EQ(RUN("\x0f\x3a\x0f\xc1\x03"), BV_EMUL_UNHANDLED);
	CHECK_EQ(RUN("\xcd\x80"), BV_EMUL_UNHANDLED); /* int in protected mode */
	CHECK_EQ(guest.emul.rip, CODE_AT);
	FAULTS("\x0f\x0b", BV_EXC_UD, 0);
	FAULTS("\x06", BV_EXC_UD, 0);
}
