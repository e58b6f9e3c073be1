// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hostile: tables of the CPU with nonsense in them, or where no memory is. Option case takes one of
 * the ends below after the rest, each of which is likely the last thing the guest does.
 */
#include "hostile.h"

static void do_touch(void *argument)
{
	volatile u64 *at = argument;

	*at = *at + 1;
}

static void do_run(void *argument)
{
	((void (*)(void))argument)();
}

static u64 bad_entry(void)
{
	u64 entry = hostile_value() & PTE_ADDR;

	if (hostile_random() % 2)
		entry = hostile_random() % ram_end() & PTE_ADDR;
	return entry | (hostile_random() & 0xfff) | PTE_P | (hostile_random() & PTE_NX);
}

static void page_table_entries_at_random(void)
{
	u32 i;

	hostile_seed();
	for (i = 0; i < 2000; i++) {
		u64 va = TEST_VA + (hostile_random() & 0xffff000);

		*page_entry(va, 1) = bad_entry() & ~0x100000ull << 20;
		cpu_invlpg(va);
		/* Touch what is not the guest's own image. */
		if ((*page_entry(va, 1) & PTE_ADDR) > 0x1000000)
			fault_of(do_touch, (void *)va);
		fault_of_user(do_touch, (void *)va);
	}
	CHECK(true);
}

/* Tables of each level where a chip, firmware, a hole or nothing at all is. */
static void tables_where_no_memory_is(void)
{
	static const u64 places[] = { 0xfee00000,     0xfec00000,     0xfed00000, 0xfffff000,
				      0xf0000,	      0xd0000000,     0xa0000,	  0xb0000000,
				      0x7ffffffff000, 0xffffffffff000 };
	u32 i, level;

	for (i = 0; i < ARRAY_SIZE(places); i++)
		for (level = 2; level <= 4; level++) {
			u64 va = TEST_VA + (8ull << 39), *entry = page_entry(va, level);

			*entry = places[i] | PTE_P | PTE_W | PTE_U;
			write_cr3(read_cr3());
			fault_of(do_touch, (void *)(va + 8));
			fault_of(do_run, (void *)(va + 0x1000));
			*entry = 0;
			write_cr3(read_cr3());
		}
	CHECK(true);
}

static void code_where_no_memory_is(void)
{
	static const u64 places[] = { 0xfee00000, 0xfee00020, 0xfec00000, 0xfed00000, 0xd0000000,
				      0xa0000,	  0xffff0000, 0xffffffff, 0xb0000000, 0xfeeffffc };
	u32 i;

	hostile_watchdog();
	cpu_sti();
	for (i = 0; i < ARRAY_SIZE(places); i++)
		fault_of_user(do_run, (void *)places[i]);
	cpu_cli();
	CHECK(true); /* the watchdog stays on */
}

static void descriptors_at_random(void)
{
	u8 *code = page_alloc();
	u32 i, j;

	for (i = 0; i < GUEST_PAGE_SIZE; i++)
		code[i] = (u8)hostile_random();
	hostile_hide();
	hostile_allow(code, true);
	for (i = 0; i < 2000; i++) {
		for (j = 0; j < 4; j++)
			gdt[GDT_FREE + j] =
				hostile_random() | (hostile_random() % 4 ? 1ull << 47 : 0);
		__asm__ volatile("lar %1, %0; lsl %1, %0"
				 : "+r"(j)
				 : "r"((u32)SEL_FREE + 8 * (i & 3))
				 : "cc");
		fault_of_user32(code + hostile_random() % GUEST_PAGE_SIZE);
	}
	CHECK(true);
}

static void gates_at_random(void)
{
	u32 i;

	for (i = 0; i < 1000; i++) {
		u64 *gate = (u64 *)&idt[0x40];

		gate[0] = hostile_random() | 1ull << 47;
		gate[1] = hostile_random();
		if (gate[0] >> 40 & 0x10)
			continue;
		gate[0] &= ~(0x1full << 40); /* no type that exists: #GP each time */
		fault_of(do_touch, (void *)0x8000000000000000);
		__asm__ volatile("" ::: "memory");
	}
	CHECK(true);
}

struct pointer {
	u16 limit;
	u64 base;
} __attribute__((packed));

static void end_idt(u64 where)
{
	struct pointer pointer = { 0xfff, where };

	__asm__ volatile("lidt %0; int3" ::"m"(pointer));
}

static void end_gdt(u64 where)
{
	struct pointer pointer = { 0xffff, where };

	__asm__ volatile("lgdt %0; movl %1, %%ds; int3; pushq $0x8; pushq $0; lretq" ::"m"(pointer),
			 "r"(0x10));
}

static void end_stack(u64 where)
{
	__asm__ volatile("movq %0, %%rsp; pushq $1; int3; ud2" ::"r"(where));
}

static void end_cr3(u64 where)
{
	write_cr3(where);
	__asm__ volatile("ud2");
}

static void end_tss(u64 where)
{
	this_cpu()->tss.ist[0] = where;
	trap_set_ist(TRAP_UD, 1);
	trap_set_ist(TRAP_DF, 1);
	__asm__ volatile("ud2");
}

static void end_apic_moves(u64 where)
{
	wrmsr(MSR_APIC_BASE, (where & ~0xfffull) | APIC_BASE_ENABLE | APIC_BASE_BSP);
	apic_write(APIC_SPIV, 0x1ff);
	apic_ipi_shorthand(ICR_SELF | HOSTILE_TICK);
	cpu_sti();
	cpuid(0, 0);
	cpu_cli();
}

static void end_halt(u64 where)
{
	(void)where;
	__asm__ volatile("cli; hlt; jmp .-1");
}

static void the_end(void)
{
	static void (*const ends[])(u64) = { end_idt, end_gdt,	      end_stack, end_cr3,
					     end_tss, end_apic_moves, end_halt };
	static const u64 places[] = { 0xfee00000, 0xd0000000, 0x7ffffffff000,
				      0xffffffff, 0x1000000,  0xfed00000 };
	u64 number = guest_option("case", 0);

	CHECK(true);
	if (!number)
		return;
	say("END %llu\n", number);
	ends[number % ARRAY_SIZE(ends)](places[number / ARRAY_SIZE(ends) % ARRAY_SIZE(places)]);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(page_table_entries_at_random),
	GUEST_TEST(tables_where_no_memory_is),
	GUEST_TEST(code_where_no_memory_is),
	GUEST_TEST(descriptors_at_random),
	GUEST_TEST(gates_at_random),
	GUEST_TEST(the_end),
	GUEST_TESTS_END,
};
