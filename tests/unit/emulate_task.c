// SPDX-License-Identifier: GPL-2.0-or-later
/* The emulator's task switches: what is saved, what is loaded, and whose a fault is. */
#include "emul_guest.h"
#include "test.h"

#define BASE 0x10000u
#define SIZE 0x8000u
#define GDT_AT (BASE + 0x1000)
#define OLD_AT (BASE + 0x2000)
#define NEW_AT (BASE + 0x3000)
#define STACK_AT (BASE + 0x5000)

#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_CODE3 0x1b
#define SEL_DATA3 0x23
#define SEL_OLD 0x28
#define SEL_NEW 0x30
#define SEL_LDT 0x38

#define BUSY (2ull << 40)
#define PRESENT (1ull << 47)

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

static u64 system_descriptor(u64 base, u64 limit, u64 type)
{
	return limit | (base & 0xffffff) << 16 | type << 40 | PRESENT | base >> 24 << 56;
}

static u64 descriptor_of(u16 sel)
{
	return peek(GDT_AT + (sel & 0xfff8u), 8);
}

static void descriptor_set(u16 sel, u64 descriptor)
{
	poke(GDT_AT + (sel & 0xfff8u), descriptor, 8);
}

static void new_task_make(void)
{
	static const u16 sel[] = { SEL_DATA, SEL_CODE, SEL_DATA, SEL_DATA, 0, SEL_DATA };

	poke(NEW_AT + 0x1c, 0x77000, 4);
	poke(NEW_AT + 0x20, 0x12345678, 4);
	poke(NEW_AT + 0x24, 0x202, 4);
	for (unsigned int reg = 0; reg < 8; reg++)
		poke(NEW_AT + 0x28 + 4 * reg, 0xa0000000 + reg, 4);
	poke(NEW_AT + 0x28 + 4 * BV_RSP, STACK_AT, 4);
	for (unsigned int index = 0; index < 6; index++)
		poke(NEW_AT + 0x48 + 4 * index, sel[index], 4);
}

/* In the old task, with recognisable registers. */
static void begin(void)
{
	memset(memory, 0, sizeof(memory));
	guest_init(&guest, BV_CODE32, true, 0);
	guest.memory = memory;
	guest.base = BASE;
	guest.size = SIZE;
	guest.gdt = (struct bv_desc_table){ GDT_AT, 0x3f };
	descriptor_set(SEL_CODE, 0x00cf9a000000ffffull);
	descriptor_set(SEL_DATA, 0x00cf92000000ffffull);
	descriptor_set(SEL_CODE3, 0x00cffa000000ffffull);
	descriptor_set(SEL_DATA3, 0x00cff2000000ffffull);
	descriptor_set(SEL_OLD, system_descriptor(OLD_AT, 103, BV_SYS_TSS_BUSY));
	descriptor_set(SEL_NEW, system_descriptor(NEW_AT, 103, BV_SYS_TSS));
	guest.seg[BV_SEG_TR].sel = SEL_OLD;
	guest.seg[BV_SEG_TR].base = OLD_AT;
	guest.seg[BV_SEG_CS].sel = SEL_CODE;
	guest.seg[BV_SEG_SS].sel = guest.seg[BV_SEG_FS].sel = SEL_DATA;
	for (unsigned int reg = 0; reg < 8; reg++)
		guest.gpr[reg] = 0xb0000000 + reg;
	guest.emul.rip = 0x1111;
	guest.emul.rflags = BV_RFLAGS_ONE | BV_RFLAGS_CF;
	guest.dr[7] = 0x455;
	new_task_make();
}

static struct bv_task_switch what;

static enum bv_emul_rc go(enum bv_task_source source)
{
	what.source = source;
	what.sel = SEL_NEW;
	what.entered = false;
	return bv_emul_task_switch(&guest.emul, &what);
}

static void check_in_new_task(void)
{
	CHECK(what.entered);
	CHECK_EQ(guest.emul.rip, 0x12345678);
	CHECK_EQ(guest.gpr[BV_RDI], 0xa0000000 + BV_RDI);
	CHECK_EQ(guest.gpr[BV_RSP], STACK_AT);
	CHECK_EQ(guest.seg[BV_SEG_TR].sel, SEL_NEW);
	CHECK_EQ(guest.seg[BV_SEG_TR].base, NEW_AT);
	CHECK_EQ(guest.seg[BV_SEG_TR].attr, BV_SEG_P | BV_SYS_TSS_BUSY);
	CHECK_EQ(guest.seg[BV_SEG_DS].sel, SEL_DATA);
	CHECK_EQ(guest.seg[BV_SEG_DS].limit, ~0u);
	CHECK_EQ(guest.seg[BV_SEG_FS].attr & BV_SEG_P, 0);
	CHECK_EQ(guest.cr[3], 0x77000);
	CHECK(guest.cr[0] & BV_CR0_TS);
	CHECK_EQ(guest.dr[7], 0x400);
	CHECK_EQ(descriptor_of(SEL_CODE) >> 40 & 1, 1); /* accessed */
}

TEST(a_jump_leaves_the_old_task_for_good)
{
	begin();
	CHECK_EQ(go(BV_TASK_JMP), BV_EMUL_DONE);
	check_in_new_task();
	CHECK_EQ(guest.emul.rflags, 0x202);
	CHECK_EQ(peek(OLD_AT + 0x20, 4), 0x1111);
	CHECK_EQ(peek(OLD_AT + 0x24, 4), BV_RFLAGS_ONE | BV_RFLAGS_CF);
	for (unsigned int reg = 0; reg < 8; reg++)
		CHECK_EQ(peek(OLD_AT + 0x28 + 4 * reg, 4), 0xb0000000 + reg);
	CHECK_EQ(peek(OLD_AT + 0x4c, 4), SEL_CODE);
	CHECK_EQ(peek(OLD_AT + 0x58, 4), SEL_DATA);
	CHECK_EQ(peek(OLD_AT + 0x1c, 4), 0); /* CR3 is not saved */
	CHECK_EQ(descriptor_of(SEL_OLD) & BUSY, 0);
	CHECK_EQ(descriptor_of(SEL_NEW) & BUSY, BUSY);
	CHECK_EQ(peek(NEW_AT, 2), 0);
}

TEST(a_call_nests_and_iret_comes_back)
{
	begin();
	CHECK_EQ(go(BV_TASK_CALL), BV_EMUL_DONE);
	check_in_new_task();
	CHECK_EQ(guest.emul.rflags, 0x202 | BV_RFLAGS_NT);
	CHECK_EQ(peek(NEW_AT, 2), SEL_OLD);
	CHECK_EQ(descriptor_of(SEL_OLD) & BUSY, BUSY);

	what = (struct bv_task_switch){ .source = BV_TASK_IRET, .sel = SEL_OLD };
	poke(OLD_AT + 0x48, SEL_DATA, 4); /* DS and others were null */
	CHECK_EQ(bv_emul_task_switch(&guest.emul, &what), BV_EMUL_DONE);
	CHECK_EQ(guest.emul.rip, 0x1111);
	CHECK_EQ(guest.gpr[BV_RBX], 0xb0000000 + BV_RBX);
	CHECK_EQ(guest.emul.rflags, BV_RFLAGS_ONE | BV_RFLAGS_CF);
	CHECK_EQ(peek(NEW_AT + 0x24, 4) & BV_RFLAGS_NT, 0);
	CHECK_EQ(descriptor_of(SEL_NEW) & BUSY, 0);
	CHECK_EQ(descriptor_of(SEL_OLD) & BUSY, BUSY);
}

static void check_old_fault(enum bv_task_source source, u8 vector, u16 sel, int line)
{
	u64 rip = guest.emul.rip;

	test_check_eq(go(source), BV_EMUL_FAULT, __FILE__, line, "a fault");
	test_check_eq(guest.emul.fault.vector, vector, __FILE__, line, "its vector");
	test_check_eq(guest.emul.fault.error, sel, __FILE__, line, "its error code");
	test_check_eq(what.entered, false, __FILE__, line, "in the old task");
	test_check_eq(guest.emul.rip, rip, __FILE__, line, "RIP");
	test_check_eq(guest.seg[BV_SEG_TR].sel, SEL_OLD, __FILE__, line, "TR");
}

TEST(what_is_no_task_faults_in_the_old_one)
{
	begin();
	check_old_fault(BV_TASK_IRET, BV_EXC_TS, SEL_NEW, __LINE__); /* it is not busy */
	descriptor_set(SEL_NEW, descriptor_of(SEL_NEW) | BUSY);
	check_old_fault(BV_TASK_CALL, BV_EXC_GP, SEL_NEW, __LINE__);
	descriptor_set(SEL_NEW, system_descriptor(NEW_AT, 103, BV_SYS_LDT));
	check_old_fault(BV_TASK_JMP, BV_EXC_GP, SEL_NEW, __LINE__);
	descriptor_set(SEL_NEW, system_descriptor(NEW_AT, 102, BV_SYS_TSS));
	check_old_fault(BV_TASK_JMP, BV_EXC_TS, SEL_NEW, __LINE__);
	descriptor_set(SEL_NEW, system_descriptor(NEW_AT, 103, BV_SYS_TSS) & ~PRESENT);
	check_old_fault(BV_TASK_GATE, BV_EXC_NP, SEL_NEW, __LINE__);
	guest.gdt.limit = SEL_NEW + 6;
	check_old_fault(BV_TASK_JMP, BV_EXC_GP, SEL_NEW, __LINE__);
	CHECK_EQ(peek(OLD_AT + 0x20, 4), 0);
}

TEST(a_state_that_is_not_mapped_faults_in_the_old_task)
{
	begin();
	descriptor_set(SEL_NEW, system_descriptor(BASE + SIZE - 80, 103, BV_SYS_TSS));
	CHECK_EQ(go(BV_TASK_JMP), BV_EMUL_FAULT);
	CHECK_EQ(guest.emul.fault.vector, BV_EXC_PF);
	CHECK_EQ(guest.emul.fault.cr2, BASE + SIZE);
	CHECK(!what.entered);
	CHECK_EQ(descriptor_of(SEL_NEW) & BUSY, 0);
}

static void check_new_fault(u8 vector, u32 error, int line)
{
	test_check_eq(go(BV_TASK_JMP), BV_EMUL_FAULT, __FILE__, line, "a fault");
	test_check_eq(guest.emul.fault.vector, vector, __FILE__, line, "its vector");
	test_check_eq(guest.emul.fault.error, error, __FILE__, line, "its error code");
	test_check_eq(what.entered, true, __FILE__, line, "in the new task");
	test_check_eq(guest.emul.rip, 0x12345678, __FILE__, line, "RIP");
}

TEST(a_bad_segment_faults_in_the_new_task)
{
	begin();
	poke(NEW_AT + 0x4c, SEL_DATA, 2);
	check_new_fault(BV_EXC_TS, SEL_DATA, __LINE__);
	CHECK_EQ(guest.seg[BV_SEG_CS].attr & BV_SEG_P, 0);
	begin();
	poke(NEW_AT + 0x50, SEL_DATA3, 2);
	check_new_fault(BV_EXC_TS, SEL_DATA3 & ~3, __LINE__);
	begin();
	poke(NEW_AT + 0x50, 0, 2);
	check_new_fault(BV_EXC_TS, 0, __LINE__);
	begin();
	descriptor_set(SEL_DATA3, descriptor_of(SEL_DATA3) & ~PRESENT);
	poke(NEW_AT + 0x54, SEL_DATA3, 2);
	check_new_fault(BV_EXC_NP, SEL_DATA3 & ~3, __LINE__);
	begin();
	poke(NEW_AT + 0x60, SEL_DATA, 2);
	check_new_fault(BV_EXC_TS, SEL_DATA, __LINE__);
	begin();
	descriptor_set(SEL_CODE, 0x00409a0000000fffull);
	check_new_fault(BV_EXC_GP, 0, __LINE__);
}

TEST(a_local_table_comes_before_segments)
{
	begin();
	poke(BASE + 0x4008, 0x00cf92000000ffffull, 8);
	descriptor_set(SEL_LDT, system_descriptor(BASE + 0x4000, 15, BV_SYS_LDT));
	poke(NEW_AT + 0x60, SEL_LDT, 2);
	poke(NEW_AT + 0x58, 8 | BV_SEL_TI, 2);
	CHECK_EQ(go(BV_TASK_JMP), BV_EMUL_DONE);
	CHECK_EQ(guest.seg[BV_SEG_LDTR].sel, SEL_LDT);
	CHECK(guest.seg[BV_SEG_FS].attr & BV_SEG_P);
}

TEST(another_level)
{
	begin();
	poke(NEW_AT + 0x4c, SEL_CODE3, 2);
	for (unsigned int at = 0x48; at <= 0x5c; at += 4)
		if (at != 0x4c)
			poke(NEW_AT + at, SEL_DATA3, 2);
	CHECK_EQ(go(BV_TASK_JMP), BV_EMUL_DONE);
	CHECK_EQ(guest.emul.cpl, 3);
	CHECK_EQ(guest.seg[BV_SEG_SS].sel, SEL_DATA3);
}

TEST(virtual_8086_mode)
{
	begin();
	poke(NEW_AT + 0x20, 0x100, 4);
	poke(NEW_AT + 0x24, BV_RFLAGS_VM | 0x202, 4);
	poke(NEW_AT + 0x4c, 0x1234, 2);
	CHECK_EQ(go(BV_TASK_JMP), BV_EMUL_DONE);
	CHECK_EQ(guest.emul.cpl, 3);
	CHECK_EQ(guest.seg[BV_SEG_CS].base, 0x12340);
	CHECK_EQ(guest.emul.code, BV_CODE16);
}

TEST(an_error_code_lies_on_the_new_stack)
{
	begin();
	what = (struct bv_task_switch){ .has_error = true, .error = 0x1234 };
	CHECK_EQ(go(BV_TASK_GATE), BV_EMUL_DONE);
	CHECK_EQ(guest.gpr[BV_RSP], STACK_AT - 4);
	CHECK_EQ(peek(STACK_AT - 4, 4), 0x1234);
	CHECK_EQ(peek(NEW_AT, 2), SEL_OLD);
	what.has_error = false;
}

TEST(a_task_that_wants_to_be_debugged)
{
	begin();
	CHECK_EQ(go(BV_TASK_JMP), BV_EMUL_DONE);
	CHECK(!guest.emul.trap);
	begin();
	poke(NEW_AT + 0x64, 1, 2);
	CHECK_EQ(go(BV_TASK_JMP), BV_EMUL_DONE);
	CHECK(guest.emul.trap);
}

TEST(a_state_of_16_bits)
{
	static const u16 sel[] = { SEL_DATA, SEL_CODE, SEL_DATA, SEL_DATA };

	begin();
	descriptor_set(SEL_NEW, system_descriptor(NEW_AT, 43, BV_SYS_TSS16));
	memset(memory + (NEW_AT - BASE), 0, 104);
	poke(NEW_AT + 0x0e, 0x4321, 2);
	poke(NEW_AT + 0x10, 0x2, 2);
	poke(NEW_AT + 0x12 + 2 * BV_RDX, 0xdddd, 2);
	for (unsigned int index = 0; index < 4; index++)
		poke(NEW_AT + 0x22 + 2 * index, sel[index], 2);
	CHECK_EQ(go(BV_TASK_CALL), BV_EMUL_DONE);
	CHECK_EQ(guest.emul.rip, 0x4321);
	CHECK_EQ(guest.gpr[BV_RDX] & 0xffff, 0xdddd);
	CHECK_EQ(guest.cr[3], 0); /* it has none */
	CHECK_EQ(guest.seg[BV_SEG_FS].attr & BV_SEG_P, 0);
	CHECK_EQ(guest.seg[BV_SEG_TR].attr, BV_SEG_P | BV_SYS_TSS16_BUSY);

	/* and back from it: it is saved as it is */
	guest.emul.rip = 0x4444;
	what = (struct bv_task_switch){ .source = BV_TASK_IRET, .sel = SEL_OLD };
	CHECK_EQ(bv_emul_task_switch(&guest.emul, &what), BV_EMUL_DONE);
	CHECK_EQ(peek(NEW_AT + 0x0e, 2), 0x4444);
	CHECK_EQ(peek(NEW_AT + 0x24, 2), SEL_CODE);
	CHECK_EQ(peek(NEW_AT + 0x2a, 2), 0);
}

TEST(long_mode_has_none)
{
	begin();
	guest.emul.efer = BV_EFER_LMA | BV_EFER_LME;
	CHECK_EQ(go(BV_TASK_JMP), BV_EMUL_UNHANDLED);
	CHECK(!what.entered);
}
