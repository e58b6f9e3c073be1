// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every exception that software can raise: vector, error code, where it points to, and the double
 * fault.
 */
#include "cpu.h"
#include "paging.h"
#include "smp.h"

static void do_divide(void *argument)
{
	(void)argument;
	__asm__ volatile("xorl %%edx, %%edx; movl $1, %%eax; xorl %%ecx, %%ecx; divl %%ecx" ::
				 : "rax", "rcx", "rdx");
}

static void do_int3(void *argument)
{
	(void)argument;
	__asm__ volatile("int3");
}

static void do_icebp(void *argument)
{
	(void)argument;
	__asm__ volatile(".byte 0xf1");
}

static void do_ud2(void *argument)
{
	(void)argument;
	__asm__ volatile("ud2");
}

static void do_fpu(void *argument)
{
	(void)argument;
	__asm__ volatile("fnop");
}

static void do_sse(void *argument)
{
	(void)argument;
	__asm__ volatile("xorps %xmm0, %xmm0");
}

static void do_load_ds(void *argument)
{
	__asm__ volatile("mov %w0, %%ds; mov %w1, %%ds" ::"r"(argument), "r"(SEL_KDATA));
}

static void do_load_ss(void *argument)
{
	__asm__ volatile("mov %w0, %%ss; mov %w1, %%ss" ::"r"(argument), "r"(SEL_KDATA));
}

static void do_read(void *argument)
{
	__asm__ volatile("movb (%0), %%al" ::"r"(argument) : "rax");
}

static void do_write(void *argument)
{
	__asm__ volatile("movb $0, (%0)" ::"r"(argument) : "memory");
}

static void do_call(void *argument)
{
	__asm__ volatile("call *%0" ::"r"(argument) : "memory");
}

static void do_read_by_stack(void *argument)
{
	__asm__ volatile("xchg %0, %%rbp; movb (%%rbp), %%al; xchg %0, %%rbp" ::"r"(argument)
			 : "rax");
}

static void do_int(void *argument)
{
	(void)argument;
	__asm__ volatile("int $0x90");
}

static void do_misaligned(void *argument)
{
	static u64 words[2];
	u32 value;

	(void)argument;
	__asm__ volatile("pushfq; orl $0x40000, (%%rsp); popfq; movl (%1), %0"
			 : "=r"(value)
			 : "r"((u8 *)words + 1));
}

static void do_hlt(void *argument)
{
	(void)argument;
	__asm__ volatile("hlt");
}

static void do_cli(void *argument)
{
	(void)argument;
	__asm__ volatile("cli");
}

static void do_in(void *argument)
{
	(void)argument;
	inb(0x61);
}

static void divide_error(void)
{
	struct fault fault = fault_of(do_divide, NULL);

	CHECK_EQ(fault.vector, TRAP_DE);
	CHECK_EQ(*(u8 *)fault.rip, 0xf7); /* a fault: points to the DIV */
}

static void breakpoint(void)
{
	struct fault fault = fault_of(do_int3, NULL);

	CHECK_EQ(fault.vector, TRAP_BP);
	CHECK_EQ(*(u8 *)(fault.rip - 1), 0xcc); /* a trap: points behind */
}

static void icebp_is_a_debug_trap(void)
{
	struct fault fault = fault_of(do_icebp, NULL);

	CHECK_EQ(fault.vector, TRAP_DB);
	CHECK_EQ(*(u8 *)(fault.rip - 1), 0xf1);
}

static void invalid_opcode(void)
{
	struct fault fault = fault_of(do_ud2, NULL);

	CHECK_EQ(fault.vector, TRAP_UD);
	CHECK_EQ(*(u16 *)fault.rip, 0x0b0f);
}

static void overflow_and_bound_in_32_bit_code(void)
{
	static u8 into[] = { 0xb8, 0xff, 0xff, 0xff, 0x7f, 0x83, 0xc0, 0x01, 0xce, 0xcd, 0x81 };
	static u8 bound[] = { 0xb8, 5, 0, 0, 0, 0x62, 0x05, 0, 0, 0, 0, 0xcd, 0x81 };
	static const s32 limits[2] = { 0, 4 };
	u32 address = (u32)(u64)limits;

	trap_set_dpl(TRAP_OF, 3);
	CHECK_EQ(fault_of_user32(into).vector, TRAP_OF);
	trap_set_dpl(TRAP_OF, 0);
	memcpy(bound + 7, &address, 4);
	CHECK_EQ(fault_of_user32(bound).vector, TRAP_BR);
}

static void no_coprocessor(void)
{
	u64 cr0 = read_cr0();

	write_cr0(cr0 | CR0_TS);
	CHECK_EQ(fault_of(do_fpu, NULL).vector, TRAP_NM);
	CHECK_EQ(fault_of(do_sse, NULL).vector, TRAP_NM);
	write_cr0((cr0 & ~(u64)CR0_TS) | CR0_EM);
	CHECK_EQ(fault_of(do_sse, NULL).vector, TRAP_UD);
	write_cr0(cr0);
	CHECK_EQ(fault_of(do_fpu, NULL).vector, TRAP_NONE);
}

static void segment_not_present(void)
{
	struct fault fault;

	gdt[GDT_FREE] = 0x00cf13000000ffff; /* data, P clear */
	fault = fault_of(do_load_ds, (void *)SEL_FREE);
	CHECK_EQ(fault.vector, TRAP_NP);
	CHECK_EQ(fault.error, SEL_FREE);
	fault = fault_of(do_load_ss, (void *)SEL_FREE);
	CHECK_EQ(fault.vector, TRAP_SS);
	CHECK_EQ(fault.error, SEL_FREE);
	gdt[GDT_FREE] = 0;
}

static void stack_segment_by_an_address(void)
{
	struct fault fault = fault_of(do_read_by_stack, (void *)0x8000000000000000);

	CHECK_EQ(fault.vector, TRAP_SS);
	CHECK_EQ(fault.error, 0);
}

static void general_protection(void)
{
	struct fault fault = fault_of(do_read, (void *)0x8000000000000000);

	CHECK_EQ(fault.vector, TRAP_GP);
	CHECK_EQ(fault.error, 0);
	fault = fault_of(do_load_ds, (void *)0x7ff8);
	CHECK_EQ(fault.vector, TRAP_GP);
	CHECK_EQ(fault.error, 0x7ff8);
	CHECK_EQ(fault_of_user(do_hlt, NULL).vector, TRAP_GP);
	CHECK_EQ(fault_of_user(do_cli, NULL).vector, TRAP_GP);
	CHECK_EQ(fault_of_user(do_in, NULL).vector, TRAP_GP);
}

static void int_n_through_a_bad_gate(void)
{
	u8 type = idt[0x90].type;

	idt[0x90].type = type & ~GATE_PRESENT;
	CHECK_EQ(fault_of(do_int, NULL).vector, TRAP_NP);
	idt[0x90].type = type;
	CHECK_EQ(fault_of_user(do_int, NULL).vector, TRAP_GP); /* the gate's DPL is 0 */
}

static void int_n_through_a_bad_gate_names_it(void)
{
	u8 type = idt[0x90].type;

	idt[0x90].type = type & ~GATE_PRESENT;
	CHECK_EQ(fault_of(do_int, NULL).error, 0x90 * 8 + 2);
	idt[0x90].type = type;
	CHECK_EQ(fault_of_user(do_int, NULL).error, 0x90 * 8 + 2);
}

static void page_faults_say_what_was_wrong(void)
{
	u64 page = (u64)page_alloc(), va = TEST_VA;
	struct fault fault = fault_of(do_read, (void *)(va + 5));

	CHECK_EQ(fault.vector, TRAP_PF);
	CHECK_EQ(fault.error, 0);
	CHECK_EQ(fault.cr2, va + 5);
	CHECK_EQ(fault_of(do_write, (void *)va).error, PF_W);
	CHECK_EQ(fault_of_user(do_read, (void *)va).error, PF_U);

	page_map(va, page, PTE_P);
	CHECK_EQ(fault_of(do_read, (void *)va).vector, TRAP_NONE);
	CHECK_EQ(fault_of(do_write, (void *)va).error, PF_P | PF_W);
	CHECK_EQ(fault_of_user(do_read, (void *)va).error, PF_P | PF_U);
	CHECK_EQ(fault_of_user(do_write, (void *)va).error, PF_P | PF_U | PF_W);

	page_map(va, page, PTE_P | PTE_W | PTE_NX);
	fault = fault_of(do_call, (void *)va);
	CHECK_EQ(fault.vector, TRAP_PF);
	CHECK_EQ(fault.error, PF_P | PF_I);
	CHECK_EQ(fault.cr2, va);
	CHECK_EQ(fault.rip, va);
	page_map(va, 0, 0);
}

static void a_reserved_bit_in_an_entry_is_a_page_fault(void)
{
	page_map(TEST_VA, (u64)page_alloc() | 1ull << 51, PTE_P | PTE_W);
	CHECK_EQ(fault_of(do_write, (void *)TEST_VA).error, PF_P | PF_W | PF_R);
	page_map(TEST_VA, 0, 0);
}

static void write_protection_can_be_turned_off(void)
{
	u64 va = TEST_VA + 0x1000, cr0 = read_cr0();

	page_map(va, (u64)page_alloc(), PTE_P);
	write_cr0(cr0 & ~(u64)CR0_WP);
	CHECK_EQ(fault_of(do_write, (void *)va).vector, TRAP_NONE);
	write_cr0(cr0);
	CHECK_EQ(fault_of(do_write, (void *)va).error, PF_P | PF_W);
	CHECK(*page_entry(va, 1) & PTE_D);
}

static void smep_and_smap_where_offered(void)
{
	u32 features = cpuid(7, 0).ebx;
	u64 va = TEST_VA + 0x2000, cr4 = read_cr4(), page = (u64)page_alloc();

	*(u8 *)page = 0xc3;
	page_map(va, page, PTE_P | PTE_W | PTE_U);
	/*
	 * The image itself is a user's page in the identity map: it loses that for the time of the
	 * test.
	 */
	if (!(features >> 7 & 1) && !(features >> 20 & 1)) {
		check_skip("neither SMEP nor SMAP");
		return;
	}
	*page_entry(0x100000, 2) &= ~PTE_U;
	write_cr3(read_cr3());
	if (features >> 7 & 1) {
		write_cr4(cr4 | CR4_SMEP);
		CHECK_EQ(fault_of(do_call, (void *)va).error, PF_P | PF_I);
		write_cr4(cr4);
		CHECK_EQ(fault_of(do_call, (void *)va).vector, TRAP_NONE);
	}
	if (features >> 20 & 1) {
		write_cr4(cr4 | CR4_SMAP);
		CHECK_EQ(fault_of(do_read, (void *)va).error, PF_P);
		__asm__ volatile("stac");
		CHECK_EQ(fault_of(do_read, (void *)va).vector, TRAP_NONE);
		__asm__ volatile("clac");
		write_cr4(cr4);
	}
	*page_entry(0x100000, 2) |= PTE_U;
	write_cr3(read_cr3());
}

static void do_x87_divide(void *argument)
{
	static const u16 control = 0x360;

	(void)argument;
	__asm__ volatile(
		"fninit; fldcw %0; fld1; fldz; fdivrp %%st, %%st(1); fwait" ::"m"(control));
}

static void x87_divide_by_zero_is_mf(void)
{
	CHECK_EQ(fault_of(do_x87_divide, NULL).vector, TRAP_MF);
	__asm__ volatile("fninit");
	CHECK_EQ(fault_of(do_fpu, NULL).vector, TRAP_NONE);
}

static void do_sse_divide(void *argument)
{
	static const u32 control = 0x1f80 & ~0x200u; /* divide by zero not masked */
	static const u32 one[4] __attribute__((aligned(16))) = { 0x3f800000 };

	(void)argument;
	__asm__ volatile(
		"ldmxcsr %0; movaps %1, %%xmm0; xorps %%xmm1, %%xmm1; divss %%xmm1, %%xmm0" ::"m"(
			control),
		"m"(one));
}

static void sse_divide_by_zero_is_xf(void)
{
	static const u32 control = 0x1f80;

	CHECK_EQ(fault_of(do_sse_divide, NULL).vector, TRAP_XF);
	__asm__ volatile("ldmxcsr %0" ::"m"(control));
}

static void alignment_check(void)
{
	u64 cr0 = read_cr0();
	struct fault fault;

	write_cr0(cr0 | CR0_AM);
	fault = fault_of_user(do_misaligned, NULL);
	CHECK_EQ(fault.vector, TRAP_AC);
	CHECK_EQ(fault.error, 0);
	CHECK_EQ(fault_of(do_misaligned, NULL).vector, TRAP_NONE); /* not at CPL 0 */
	write_flags(read_flags() & ~RFLAGS_AC);
	write_cr0(cr0);
}

static void do_ud_without_gate(void *argument)
{
	(void)argument;
	idt[TRAP_UD].type &= ~GATE_PRESENT;
	idt[TRAP_NP].type &= ~GATE_PRESENT;
	__asm__ volatile("ud2");
}

static void double_fault_when_the_delivery_faults(void)
{
	struct fault fault;

	trap_set_ist(TRAP_DF, 1);
	fault = fault_of(do_ud_without_gate, NULL);
	idt[TRAP_UD].type |= GATE_PRESENT;
	idt[TRAP_NP].type |= GATE_PRESENT;
	CHECK_EQ(fault.vector, TRAP_DF);
	CHECK_EQ(fault.error, 0);
	trap_set_ist(TRAP_DF, 0);
}

static void do_lose_the_stack(void *argument)
{
	__asm__ volatile("movq %0, %%rsp; pushq $0" ::"r"(argument) : "memory");
}

static void double_fault_on_its_own_stack(void)
{
	struct fault fault;

	trap_set_ist(TRAP_DF, 1);
	fault = fault_of(do_lose_the_stack, (void *)(TEST_VA + 0x100000));
	trap_set_ist(TRAP_DF, 0);
	CHECK_EQ(fault.vector, TRAP_DF);
	CHECK_EQ(fault.cr2 & ~0xfffull, TEST_VA + 0xff000);
}

static void a_jump_to_nowhere_points_there(void)
{
	struct fault fault = fault_of(do_call, (void *)(TEST_VA + 0x300000));

	CHECK_EQ(fault.vector, TRAP_PF);
	CHECK_EQ(fault.rip, TEST_VA + 0x300000);
	CHECK_EQ(fault.cr2, TEST_VA + 0x300000);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(divide_error),
	GUEST_TEST(breakpoint),
	GUEST_TEST(icebp_is_a_debug_trap),
	GUEST_TEST(invalid_opcode),
	GUEST_TEST(overflow_and_bound_in_32_bit_code),
	GUEST_TEST(no_coprocessor),
	GUEST_TEST(segment_not_present),
	GUEST_TEST(stack_segment_by_an_address),
	GUEST_TEST(general_protection),
	GUEST_TEST(int_n_through_a_bad_gate),
	GUEST_TEST(int_n_through_a_bad_gate_names_it),
	GUEST_TEST(page_faults_say_what_was_wrong),
	GUEST_TEST(a_reserved_bit_in_an_entry_is_a_page_fault),
	GUEST_TEST(write_protection_can_be_turned_off),
	GUEST_TEST(smep_and_smap_where_offered),
	GUEST_TEST(x87_divide_by_zero_is_mf),
	GUEST_TEST(sse_divide_by_zero_is_xf),
	GUEST_TEST(alignment_check),
	GUEST_TEST(double_fault_when_the_delivery_faults),
	GUEST_TEST(double_fault_on_its_own_stack),
	GUEST_TEST(a_jump_to_nowhere_points_there),
	GUEST_TESTS_END,
};
