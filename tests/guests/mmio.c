// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions whose memory is not memory: every form a driver might use against a chip's page, in
 * all sizes.
 *
 * Two targets: the local APIC's initial count (32 bits that can be read back, the timer masked) and
 * the PCI configuration page of QEMU's q35 host bridge, which takes all sizes. The second is
 * skipped on another machine.
 */
#include "apic.h"
#include "cpu.h"
#include "paging.h"
#include "start.h"

#define COUNT (APIC_PAGE + APIC_INITIAL)
#define BRIDGE 0xb0000000ull
#define BRIDGE_ID 0x29c08086u
#define LINE (BRIDGE + 0x3c) /* the interrupt line: a byte of nobody's */

static void count_begin(u32 value)
{
	apic_write(APIC_LVT_TIMER, LVT_MASKED | 0x40);
	apic_write(APIC_INITIAL, value);
}

static u32 count_now(void)
{
	return apic_read(APIC_INITIAL);
}

#define COUNT_OP(instruction, ...) \
	__asm__ volatile(instruction : : "r"((u32 *)COUNT), ##__VA_ARGS__ : "memory", "cc")

static void stores_of_registers_and_constants(void)
{
	count_begin(0);
	COUNT_OP("movl $0x12345678, (%0)");
	CHECK_EQ(count_now(), 0x12345678);
	COUNT_OP("movl %1, (%0)", "r"(0x87654321));
	CHECK_EQ(count_now(), 0x87654321);
	__asm__ volatile("movl %0, %%r13d; movl %%r13d, (%1)" ::"r"(0x1313), "r"(COUNT)
			 : "r13", "memory");
	CHECK_EQ(count_now(), 0x1313);
	__asm__ volatile("movl %%eax, (%1,%2,4)" ::"a"(0x4242), "r"(COUNT - 64), "r"(16ull)
			 : "memory");
	CHECK_EQ(count_now(), 0x4242);
	__asm__ volatile("movl $0x777, (%q0)" ::"r"(COUNT) : "memory");
	CHECK_EQ(count_now(), 0x777);
	__asm__ volatile("movabsl %%eax, 0xfee00380" ::"a"(0x999) : "memory");
	CHECK_EQ(count_now(), 0x999);
}

static void loads_into_registers(void)
{
	u64 value = ~0ull;
	u32 low;

	count_begin(0x80018283);
	__asm__ volatile("movl (%1), %k0" : "+r"(value) : "r"(COUNT));
	CHECK_EQ(value, 0x80018283); /* 32 bits clear the upper half */
	__asm__ volatile("movslq (%1), %0" : "=r"(value) : "r"(COUNT));
	CHECK_EQ(value, 0xffffffff80018283);
	__asm__ volatile("movabsl 0xfee00380, %0" : "=a"(low));
	CHECK_EQ(low, 0x80018283);
	__asm__ volatile("movl $5, %0; addl (%1), %0" : "=&r"(low) : "r"(COUNT));
	CHECK_EQ(low, 0x80018288);
	__asm__ volatile("imull $3, (%1), %0" : "=r"(low) : "r"(COUNT));
	CHECK_EQ(low, (u32)(0x80018283u * 3u));
}

static void read_modify_write(void)
{
	count_begin(0x00ff00ff);
	COUNT_OP("addl $1, (%0)");
	CHECK_EQ(count_now(), 0x00ff0100);
	COUNT_OP("orl %1, (%0)", "r"(0x0f000000));
	CHECK_EQ(count_now(), 0x0fff0100);
	COUNT_OP("andl $0xffff0000, (%0)");
	CHECK_EQ(count_now(), 0x0fff0000);
	COUNT_OP("xorl $0xff, (%0)");
	CHECK_EQ(count_now(), 0x0fff00ff);
	COUNT_OP("subl %1, (%0)", "r"(0xff));
	CHECK_EQ(count_now(), 0x0fff0000);
	COUNT_OP("incl (%0)");
	COUNT_OP("notl (%0)");
	CHECK_EQ(count_now(), ~0x0fff0001u);
	COUNT_OP("negl (%0)");
	CHECK_EQ(count_now(), 0x0fff0002);
	COUNT_OP("shll $4, (%0)");
	CHECK_EQ(count_now(), 0xfff00020);
	COUNT_OP("rorl $8, (%0)");
	CHECK_EQ(count_now(), 0x20fff000);
	COUNT_OP("btsl $0, (%0)");
	CHECK_EQ(count_now(), 0x20fff001);
}

static void carry_goes_in_and_out(void)
{
	u8 carry;

	count_begin(0xffffffff);
	__asm__ volatile("stc; adcl $0, (%1); setc %0" : "=r"(carry) : "r"(COUNT) : "memory", "cc");
	CHECK_EQ(carry, 1);
	CHECK_EQ(count_now(), 0);
	__asm__ volatile("stc; sbbl $0, (%1); setc %0" : "=r"(carry) : "r"(COUNT) : "memory", "cc");
	CHECK_EQ(carry, 1);
	CHECK_EQ(count_now(), 0xffffffff);
}

static void comparisons_set_the_flags(void)
{
	u8 zero, below;

	count_begin(1000);
	__asm__ volatile("cmpl $1000, (%1); sete %0" : "=r"(zero) : "r"(COUNT) : "cc");
	CHECK_EQ(zero, 1);
	__asm__ volatile("cmpl %2, (%1); setb %0" : "=r"(below) : "r"(COUNT), "r"(1001) : "cc");
	CHECK_EQ(below, 1);
	__asm__ volatile("testl $7, (%1); sete %0" : "=r"(zero) : "r"(COUNT) : "cc");
	CHECK_EQ(zero, 1);
	__asm__ volatile("btl $3, (%1); setc %0" : "=r"(below) : "r"(COUNT) : "cc");
	CHECK_EQ(below, 1);
}

static void exchanges_and_locked_forms(void)
{
	u32 value = 0x1111;
	u8 equal;

	count_begin(0x2222);
	__asm__ volatile("xchgl %0, (%1)" : "+r"(value) : "r"(COUNT) : "memory");
	CHECK_EQ(value, 0x2222);
	CHECK_EQ(count_now(), 0x1111);
	__asm__ volatile("lock addl $1, (%0)" ::"r"(COUNT) : "memory", "cc");
	CHECK_EQ(count_now(), 0x1112);
	value = 5;
	__asm__ volatile("lock xaddl %0, (%1)" : "+r"(value) : "r"(COUNT) : "memory", "cc");
	CHECK_EQ(value, 0x1112);
	CHECK_EQ(count_now(), 0x1117);
	value = 0x1117;
	__asm__ volatile("lock cmpxchgl %3, (%2); sete %1"
			 : "+a"(value), "=q"(equal)
			 : "r"(COUNT), "r"(0x3333)
			 : "memory", "cc");
	CHECK_EQ(equal, 1);
	CHECK_EQ(count_now(), 0x3333);
	value = 1;
	__asm__ volatile("lock cmpxchgl %3, (%2); sete %1"
			 : "+a"(value), "=q"(equal)
			 : "r"(COUNT), "r"(0x4444)
			 : "memory", "cc");
	CHECK_EQ(equal, 0);
	CHECK_EQ(value, 0x3333);
}

static void string_instructions(void)
{
	static u32 buffer[4];
	u64 from = COUNT, to = (u64)buffer, times = 1;
	u8 equal;

	count_begin(0xcafe);
	__asm__ volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(times)::"memory");
	CHECK_EQ(buffer[0], 0xcafe);
	CHECK_EQ(from, COUNT + 4);
	CHECK_EQ(to, (u64)buffer + 4);
	CHECK_EQ(times, 0);
	buffer[1] = 0xbeef;
	from = (u64)&buffer[1];
	to = COUNT;
	__asm__ volatile("std; movsl; cld" : "+S"(from), "+D"(to)::"memory");
	CHECK_EQ(count_now(), 0xbeef);
	CHECK_EQ(to, COUNT - 4);
	to = COUNT;
	__asm__ volatile("stosl" : "+D"(to) : "a"(0x5050) : "memory");
	CHECK_EQ(count_now(), 0x5050);
	from = COUNT;
	__asm__ volatile("lodsl" : "+S"(from), "=a"(buffer[2])::"memory");
	CHECK_EQ(buffer[2], 0x5050);
	to = COUNT;
	__asm__ volatile("scasl; sete %1" : "+D"(to), "=q"(equal) : "a"(0x5050) : "cc");
	CHECK_EQ(equal, 1);
	from = (u64)&buffer[2];
	to = COUNT;
	__asm__ volatile("cmpsl; sete %2" : "+S"(from), "+D"(to), "=q"(equal)::"cc");
	CHECK_EQ(equal, 1);
}

static bool no_bridge(void)
{
	if (mmio_read32(BRIDGE) == BRIDGE_ID)
		return false;
	check_skip("no q35 host bridge at 0xb0000000");
	return true;
}

static void loads_of_all_sizes(void)
{
	u64 value;

	if (no_bridge())
		return;
	CHECK_EQ(mmio_read8(BRIDGE), 0x86);
	CHECK_EQ(mmio_read8(BRIDGE + 3), 0x29);
	__asm__ volatile("movzwl 2(%1), %k0" : "=r"(value) : "r"(BRIDGE));
	CHECK_EQ((u32)value, 0x29c0);
	__asm__ volatile("movzbl (%1), %k0" : "=r"(value) : "r"(BRIDGE));
	CHECK_EQ((u32)value, 0x86);
	__asm__ volatile("movsbq (%1), %0" : "=r"(value) : "r"(BRIDGE));
	CHECK_EQ(value, 0xffffffffffffff86);
	__asm__ volatile("movswl (%1), %k0" : "=r"(value) : "r"(BRIDGE));
	CHECK_EQ((u32)value, 0xffff8086);
	__asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(BRIDGE));
	CHECK_EQ((u32)value, BRIDGE_ID);
	value = 0x1111111111111111;
	__asm__ volatile("movb (%1), %h0" : "+Q"(value) : "Q"(BRIDGE)); /* AH and its like */
	CHECK_EQ(value, 0x1111111111118611);
}

static void stores_of_all_sizes(void)
{
	u32 before;

	if (no_bridge())
		return;
	before = mmio_read32(LINE);
	__asm__ volatile("movb $0x5a, (%0)" ::"r"(LINE) : "memory");
	CHECK_EQ(mmio_read8(LINE), 0x5a);
	__asm__ volatile("movw %w1, (%0)" ::"r"(LINE), "r"(0x00a5) : "memory");
	CHECK_EQ(mmio_read8(LINE), 0xa5);
	__asm__ volatile("movb %%ah, (%0)" ::"r"(LINE), "a"(0x3c00) : "memory");
	CHECK_EQ(mmio_read8(LINE), 0x3c);
	__asm__ volatile("incb (%0)" ::"r"(LINE) : "memory", "cc");
	CHECK_EQ(mmio_read8(LINE), 0x3d);
	__asm__ volatile("stc; setc (%0)" ::"r"(LINE) : "memory", "cc");
	CHECK_EQ(mmio_read8(LINE), 1);
	mmio_write32(LINE, before);
	CHECK_EQ(mmio_read32(LINE), before);
}

static void sse_moves(void)
{
	static u32 buffer[4] __attribute__((aligned(16)));

	if (no_bridge())
		return;
	__asm__ volatile("movdqu (%0), %%xmm0; movdqa %%xmm0, %1" ::"r"(BRIDGE), "m"(buffer)
			 : "memory");
	CHECK_EQ(buffer[0], BRIDGE_ID);
	buffer[0] = 0;
	__asm__ volatile("movaps (%0), %%xmm1; movups %%xmm1, %1" ::"r"(BRIDGE), "m"(buffer)
			 : "memory");
	CHECK_EQ(buffer[0], BRIDGE_ID);
}

static void pushes_and_pops(void)
{
	u64 value;

	if (no_bridge())
		return;
	__asm__ volatile("pushq (%1); popq %0" : "=r"(value) : "r"(BRIDGE) : "memory");
	CHECK_EQ((u32)value, BRIDGE_ID);
	__asm__ volatile("pushq %0; popw (%1); addq $6, %%rsp" ::"r"(0x77ull), "r"(LINE)
			 : "memory", "cc");
	CHECK_EQ(mmio_read8(LINE), 0x77);
}

/* With interrupts off: what holds them after MOV SS is not what holds them after STI. */
static void the_stack_segment_from_a_chip(void)
{
	u32 before, after;

	cpu_cli();
	__asm__ volatile("movl %%ss, %0" : "=r"(before));
	count_begin(before ? 0 : SEL_KDATA);
	__asm__ volatile("movw (%2), %%ss; nop; movl %%ss, %0; movl %1, %%ss"
			 : "=&r"(after)
			 : "r"(before), "r"(COUNT)
			 : "memory");
	CHECK_EQ(after, before ? 0 : SEL_KDATA);
}

static void across_from_ram_into_a_chip(void)
{
	u8 *ram;
	u64 value;

	if (no_bridge())
		return;
	ram = page_alloc();
	page_map(TEST_VA, (u64)ram, PTE_P | PTE_W);
	page_map(TEST_VA + 0x1000, BRIDGE, PTE_P | PTE_W | PTE_PCD);
	*(u32 *)(ram + 0xffc) = 0xaabbccdd;
	__asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(TEST_VA + 0xffc));
	CHECK_EQ(value, (u64)BRIDGE_ID << 32 | 0xaabbccdd);
	page_map(TEST_VA + 0x1000, 0, 0);
}

static void do_load(void *argument)
{
	mmio_read32((u64)argument);
}

static void protection_goes_before_the_chip(void)
{
	struct fault fault;

	page_map(TEST_VA, APIC_PAGE, PTE_P | PTE_PCD);
	CHECK_EQ(fault_of(do_load, (void *)(TEST_VA + APIC_VERSION)).vector, TRAP_NONE);
	fault = fault_of_user(do_load, (void *)(TEST_VA + APIC_VERSION));
	CHECK_EQ(fault.vector, TRAP_PF);
	CHECK_EQ(fault.error, PF_P | PF_U);
	page_map(TEST_VA, 0, 0);
}

static void a_chip_behind_another_address(void)
{
	page_map(TEST_VA, APIC_PAGE, PTE_P | PTE_W | PTE_PCD);
	count_begin(0x1234);
	CHECK_EQ(mmio_read32(TEST_VA + APIC_INITIAL), 0x1234);
	mmio_write32(TEST_VA + APIC_INITIAL, 0x4321);
	CHECK_EQ(count_now(), 0x4321);
	page_map(TEST_VA, 0, 0);
	apic_write(APIC_INITIAL, 0);
}

static void firmware_cannot_be_written(void)
{
	volatile u32 *rom = (u32 *)0xfffffff0ull;
	u32 before = *rom;

	*rom = ~before;
	CHECK_EQ(*rom, before);
	CHECK(before != 0);
}

static void a_hole_does_no_harm(void)
{
	u64 nowhere =
		0xd0000000; /* below the chips, above RAM, nothing mapped there by the firmware */

	mmio_write32(nowhere, 0x1234);
	CHECK(mmio_read32(nowhere) != 0x1234); /* what it reads is the VMM's choice */
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(stores_of_registers_and_constants),
	GUEST_TEST(loads_into_registers),
	GUEST_TEST(read_modify_write),
	GUEST_TEST(carry_goes_in_and_out),
	GUEST_TEST(comparisons_set_the_flags),
	GUEST_TEST(exchanges_and_locked_forms),
	GUEST_TEST(string_instructions),
	GUEST_TEST(loads_of_all_sizes),
	GUEST_TEST(stores_of_all_sizes),
	GUEST_TEST(sse_moves),
	GUEST_TEST(pushes_and_pops),
	GUEST_TEST(the_stack_segment_from_a_chip),
	GUEST_TEST(across_from_ram_into_a_chip),
	GUEST_TEST(protection_goes_before_the_chip),
	GUEST_TEST(a_chip_behind_another_address),
	GUEST_TEST(firmware_cannot_be_written),
	GUEST_TEST(a_hole_does_no_harm),
	GUEST_TESTS_END,
};
