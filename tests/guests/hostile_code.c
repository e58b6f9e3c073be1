// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hostile: random code with registers full of bad addresses, first for the user, then with all
 * privileges. Options: seed, rounds, kernel (rounds of the second kind). In the second kind the
 * guest is likely to ruin itself.
 */
#include "hostile.h"

#define CODE_SIZE 64

/* In the order of the instruction encoding; 4 (RSP) is not loaded for the user. */
u64 entry_registers[16] __attribute__((aligned(4096)));
u8 *code __attribute__((aligned(4096)));

/* Loads all registers but RSP and jumps to the code. */
static void code_enter(void *argument)
{
	(void)argument;
	__asm__ volatile(
		"movq code(%%rip), %%rax; pushq %%rax; leaq entry_registers(%%rip), %%rax\n"
		"movq 8(%%rax), %%rcx; movq 16(%%rax), %%rdx; movq 24(%%rax), %%rbx\n"
		"movq 40(%%rax), %%rbp; movq 48(%%rax), %%rsi; movq 56(%%rax), %%rdi\n"
		"movq 64(%%rax), %%r8; movq 72(%%rax), %%r9; movq 80(%%rax), %%r10\n"
		"movq 88(%%rax), %%r11; movq 96(%%rax), %%r12; movq 104(%%rax), %%r13\n"
		"movq 112(%%rax), %%r14; movq 120(%%rax), %%r15; movq (%%rax), %%rax\n"
		"ret" ::
			: "memory");
}

/* Opcodes that are worth more than chance: those that reach a hypervisor. */
/* clang-format off */
static const u8 prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x48, 0x4c, 0x41 };
static const u8 openings[][4] = {
	{ 0x8a, 0x00 }, { 0x88, 0x01 }, { 0x8b, 0x02 }, { 0x89, 0x03 }, { 0x48, 0x8b, 0x06 },
	{ 0x48, 0x89, 0x07 }, { 0x01, 0x01 }, { 0xf0, 0x01, 0x02 }, { 0x87, 0x03 }, { 0xff, 0x06 },
	{ 0x0f, 0xb6, 0x01 }, { 0x0f, 0xbe, 0x02 }, { 0x0f, 0xb1, 0x0b },
	{ 0xf0, 0x0f, 0xb1, 0x0e }, { 0x0f, 0xc7, 0x0b }, { 0xa4 }, { 0xf3, 0xa4 }, { 0xa5 },
	{ 0xf3, 0xab }, { 0xae }, { 0xa7 }, { 0x0f, 0x10, 0x01 }, { 0x0f, 0x11, 0x02 },
	{ 0x0f, 0xa2 }, { 0x0f, 0x01, 0xd9 }, { 0x0f, 0x01, 0xc1 }, { 0x6c }, { 0xf3, 0x6e },
	{ 0xec }, { 0xee }, { 0xef }, { 0xe4, 0x40 }, { 0xe6, 0x43 }, { 0xf4 }, { 0x0f, 0x30 },
	{ 0x0f, 0x32 }, { 0x0f, 0x20, 0xc0 }, { 0x0f, 0x22, 0xc0 }, { 0x0f, 0x22, 0xe1 },
	{ 0x0f, 0x22, 0xda }, { 0x0f, 0x23, 0xf8 }, { 0x0f, 0x21, 0xf9 }, { 0x0f, 0x01, 0x18 },
	{ 0x0f, 0x01, 0x10 }, { 0x0f, 0x01, 0xd8 }, { 0x0f, 0x01, 0xda }, { 0x0f, 0x01, 0xdb },
	{ 0x0f, 0x01, 0xdc }, { 0x0f, 0x01, 0xdd }, { 0x0f, 0x01, 0xde }, { 0x0f, 0x01, 0xdf },
	{ 0x0f, 0x01, 0xd1 }, { 0x0f, 0x01, 0xf8 }, { 0x0f, 0x01, 0x38 }, { 0x0f, 0x08 },
	{ 0x0f, 0x09 }, { 0x0f, 0x01, 0xc8 }, { 0x0f, 0x01, 0xc9 }, { 0xcd, 0x80 }, { 0xcf },
	{ 0xcb }, { 0xff, 0x28 }, { 0x8e, 0xd8 }, { 0x8e, 0xd1 }, { 0x0f, 0x00, 0xd8 },
	{ 0x0f, 0x00, 0xd0 }, { 0x0f, 0xc7, 0x31 }, { 0x0f, 0x01, 0xf0 }, { 0x0f, 0x05 },
	{ 0x0f, 0x07 }, { 0x0f, 0x35 }, { 0x9d }, { 0xfb }, { 0xfa }, { 0xf1 }, { 0xcc },
	{ 0x0f, 0x0b }, { 0xc8, 0xff, 0xff, 0x1f }, { 0x0f, 0xae, 0x00 }, { 0x0f, 0xae, 0x21 },
	{ 0x0f, 0xae, 0x2a }, { 0x0f, 0x31 }, { 0x0f, 0x33 }, { 0x0f, 0x01, 0xf9 },
};
/* clang-format on */

static void code_make(void)
{
	u32 at = 0, i;

	for (i = 0; i < CODE_SIZE; i++)
		code[i] = (u8)hostile_random();
	while (at + 8 < CODE_SIZE) {
		const u8 *opening = openings[hostile_random() % ARRAY_SIZE(openings)];

		if (hostile_random() % 4 == 0)
			code[at++] = prefixes[hostile_random() % ARRAY_SIZE(prefixes)];
		for (i = 0; i < 4 && (i == 0 || opening[i]); i++)
			code[at++] = opening[i];
		at += hostile_random() % 3;
	}
	for (i = 0; i < 16; i++)
		entry_registers[i] = hostile_value();
}

static u32 vectors_seen[257];

static void report(const char *kind)
{
	u32 i;

	say("%s:", kind);
	for (i = 0; i < 257; i++)
		if (vectors_seen[i])
			say(" %u*%u", i, vectors_seen[i]);
	say("\n");
	memset(vectors_seen, 0, sizeof(vectors_seen));
}

/* What the user runs on; the rest of the guest is out of reach. */
static void hide_the_guest(void)
{
	hostile_hide();
	hostile_allow((void *)(u64)code_enter, true);
	hostile_allow(entry_registers, true);
	hostile_allow(&code, true);
	hostile_allow(code, true);
	*page_entry((u64)code_enter, 1) &= ~PTE_W;
	write_cr3(read_cr3());
}

static void random_code_of_the_user(void)
{
	u64 rounds = guest_option("rounds", 3000), i;

	code = page_alloc();
	hide_the_guest();
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(u64)EFER_SCE); /* no way in on the user's stack */
	hostile_watchdog();
	for (i = 0; i < rounds; i++) {
		code_make();
		vectors_seen[fault_of_user(code_enter, NULL).vector & 0x1ff]++;
	}
	report("user");
	CHECK(true);
}

/* All faults and the timer on stacks of their own, since RSP may be anything. */
static void random_code_of_the_kernel(void)
{
	u64 rounds = guest_option("kernel", 2000), i, cr3 = read_cr3(), gs = rdmsr(MSR_GS_BASE);
	u32 vector;

	for (vector = 0; vector < 32; vector++)
		trap_set_ist(vector, 1);
	trap_set_ist(HOSTILE_TICK, 2);
	for (i = 0; i < rounds; i++) {
		code_make();
		cpu_sti();
		vector = fault_of(code_enter, NULL).vector;
		cpu_cli();
		write_cr3(cr3);
		wrmsr(MSR_GS_BASE, gs);
		trap_load_idt();
		vectors_seen[vector & 0x1ff]++;
		if (i % 500 == 0)
			say("kernel round %llu\n", i);
	}
	report("kernel");
	CHECK(true);
}

static void begin(void)
{
	hostile_seed();
	CHECK(true);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(begin),
	GUEST_TEST(random_code_of_the_user),
	GUEST_TEST(random_code_of_the_kernel),
	GUEST_TESTS_END,
};
