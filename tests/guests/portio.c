// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ports: all sizes and forms, string instructions that cross pages or fault in the middle, and who
 * may.
 *
 * The serial port's scratch register (a byte that keeps what is written) and PCI's address port (32
 * bits that do).
 */
#include "cpu.h"
#include "paging.h"
#include "smp.h"

#define SCRATCH 0x3ff
#define PCI_ADDR 0xcf8
#define PCI_DATA 0xcfc

static void bytes_words_and_double_words(void)
{
	outb(SCRATCH, 0x3c);
	CHECK_EQ(inb(SCRATCH), 0x3c);
	outl(PCI_ADDR, 0x80000000);
	CHECK_EQ(inl(PCI_ADDR), 0x80000000);
	CHECK_EQ(inl(PCI_DATA) & 0xffff, inw(PCI_DATA));
	CHECK_EQ(inl(PCI_DATA) >> 24, inb(PCI_DATA + 3));
}

static void the_rest_of_the_register_stays_or_not(void)
{
	u64 rax = 0x1111111111111111;

	outb(SCRATCH, 0x22);
	__asm__ volatile("inb %%dx, %%al" : "+a"(rax) : "d"(SCRATCH));
	CHECK_EQ(rax, 0x1111111111111122);
	rax = ~0ull;
	outl(PCI_ADDR, 0x80000004);
	__asm__ volatile("inl %%dx, %%eax" : "+a"(rax) : "d"(PCI_ADDR));
	CHECK_EQ(rax, 0x80000004);
}

static void ports_in_the_instruction(void)
{
	u8 value;

	outb(0x61, inb(0x61) & ~3);
	__asm__ volatile("inb $0x61, %0" : "=a"(value));
	CHECK_EQ(value & 3, 0);
	__asm__ volatile("outb %0, $0x80" ::"a"(value));
}

static void a_port_of_nobody_does_no_harm(void)
{
	outl(0x2345, 0x1234);
	CHECK(inl(0x2345) != 0x1234); /* what it reads is the VMM's choice */
	inw(0x2345);
	CHECK_EQ(inb(0x2345), 0xff);
}

static void strings_out(void)
{
	static const u8 bytes[] = { 1, 2, 3, 4, 5 };
	u64 from = (u64)bytes, count = sizeof(bytes);

	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(SCRATCH) : "memory");
	CHECK_EQ(count, 0);
	CHECK_EQ(from, (u64)bytes + 5);
	CHECK_EQ(inb(SCRATCH), 5);
	from = (u64)bytes + 1;
	__asm__ volatile("std; outsb; cld" : "+S"(from) : "d"(SCRATCH) : "memory");
	CHECK_EQ(from, (u64)bytes);
	CHECK_EQ(inb(SCRATCH), 2);
}

static void strings_in(void)
{
	static u8 bytes[300];
	u64 to = (u64)bytes, count = sizeof(bytes) - 1;

	outb(SCRATCH, 0x77);
	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(SCRATCH) : "memory");
	CHECK_EQ(count, 0);
	CHECK_EQ(to, (u64)bytes + sizeof(bytes) - 1);
	CHECK_EQ(bytes[0], 0x77);
	CHECK_EQ(bytes[sizeof(bytes) - 2], 0x77);
	CHECK_EQ(bytes[sizeof(bytes) - 1], 0);
	to = (u64)bytes + 99;
	count = 10;
	outb(SCRATCH, 0x66);
	__asm__ volatile("std; rep insb; cld" : "+D"(to), "+c"(count) : "d"(SCRATCH) : "memory");
	CHECK_EQ(to, (u64)bytes + 89);
	CHECK_EQ(bytes[89], 0x77);
	CHECK_EQ(bytes[90], 0x66);
	CHECK_EQ(bytes[99], 0x66);
	CHECK_EQ(bytes[100], 0x77);
}

static void wide_strings(void)
{
	static u32 words[8];
	u64 to = (u64)words, count = 8;

	outl(PCI_ADDR, 0x80001234 & ~3u);
	__asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(PCI_ADDR) : "memory");
	CHECK_EQ(words[0], 0x80001234);
	CHECK_EQ(words[7], 0x80001234);
	words[0] = 0x80000008;
	__asm__ volatile("outsl" : "=S"(to) : "0"(words), "d"(PCI_ADDR) : "memory");
	CHECK_EQ(inl(PCI_ADDR), 0x80000008);
}

static void none_is_none(void)
{
	u64 to = TEST_VA + 0x700000, count = 0; /* not mapped: must not be touched */

	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(SCRATCH) : "memory");
	CHECK_EQ(to, TEST_VA + 0x700000);
	__asm__ volatile("rep outsb" : "+S"(to), "+c"(count) : "d"(SCRATCH) : "memory");
	CHECK_EQ(to, TEST_VA + 0x700000);
}

static void addresses_of_32_bits(void)
{
	static u8 byte;
	u64 to = (u64)&byte | 0xabcd00000000, count = 0x100000001;

	outb(SCRATCH, 0x99);
	__asm__ volatile("addr32 rep insb" : "+D"(to), "+c"(count) : "d"(SCRATCH) : "memory");
	CHECK_EQ(byte, 0x99);
	CHECK_EQ(to, (u64)&byte + 1);
	CHECK_EQ(count, 0);
}

static u64 string_rdi, string_rcx;

static void on_string_fault(struct trap_frame *frame)
{
	string_rdi = frame->rdi;
	string_rcx = frame->rcx;
	page_map(read_cr2() & ~0xfffull, (u64)page_alloc(), PTE_P | PTE_W);
}

static void a_fault_in_the_middle_goes_on_where_it_was(void)
{
	u64 to = TEST_VA + 0xff0, count = 32;

	page_map(TEST_VA, (u64)page_alloc(), PTE_P | PTE_W);
	page_map(TEST_VA + 0x1000, 0, 0);
	trap_handle(TRAP_PF, on_string_fault);
	outb(SCRATCH, 0x44);
	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(SCRATCH) : "memory");
	trap_handle(TRAP_PF, NULL);
	CHECK_EQ(count, 0);
	CHECK_EQ(to, TEST_VA + 0x1010);
	CHECK_EQ(string_rdi, TEST_VA + 0x1000);
	CHECK_EQ(string_rcx, 16);
	CHECK_EQ(*(u8 *)(TEST_VA + 0xfff), 0x44);
	CHECK_EQ(*(u8 *)(TEST_VA + 0x100f), 0x44);
	CHECK_EQ(*(u8 *)(TEST_VA + 0x1010), 0);
}

static void do_insb(void *argument)
{
	u64 count = 1;

	__asm__ volatile("rep insb" : "+D"(argument), "+c"(count) : "d"(SCRATCH) : "memory");
}

static void a_string_into_a_read_only_page_faults(void)
{
	struct fault fault;

	page_map(TEST_VA + 0x2000, (u64)page_alloc(), PTE_P);
	fault = fault_of(do_insb, (void *)(TEST_VA + 0x2000));
	CHECK_EQ(fault.vector, TRAP_PF);
	CHECK_EQ(fault.error, PF_P | PF_W);
	CHECK_EQ(fault.cr2, TEST_VA + 0x2000);
	fault = fault_of(do_insb, (void *)0x8000000000000000);
	CHECK_EQ(fault.vector, TRAP_GP);
}

static void do_in(void *argument)
{
	(void)argument;
	inb(SCRATCH);
}

static void do_in_16(void *argument)
{
	(void)argument;
	inw(SCRATCH);
}

static void the_permission_bitmap_decides_for_the_user(void)
{
	static struct {
		struct tss tss;
		u8 bitmap[8192 + 1];
	} __attribute__((aligned(16))) big;
	u64 base = (u64)&big, limit = sizeof(big) - 1, *entry = &gdt[GDT_FREE];

	CHECK_EQ(fault_of_user(do_in, NULL).vector, TRAP_GP);
	big.tss = this_cpu()->tss;
	big.tss.iomap = sizeof(struct tss);
	memset(big.bitmap, 0xff, sizeof(big.bitmap));
	big.bitmap[SCRATCH / 8] &= (u8) ~(1u << SCRATCH % 8);
	entry[0] = (limit & 0xffff) | (base & 0xffffff) << 16 | 0x89ull << 40 |
		   (base >> 24 & 0xff) << 56;
	entry[1] = base >> 32;
	__asm__ volatile("ltr %w0" ::"r"(SEL_FREE));
	CHECK_EQ(fault_of_user(do_in, NULL).vector, TRAP_NONE);
	CHECK_EQ(fault_of_user(do_in_16, NULL).vector,
		 TRAP_GP); /* the second port is not allowed */
	gdt[GDT_TSS] &= ~(2ull << 40);
	__asm__ volatile("ltr %w0" ::"r"(SEL_TSS));
	CHECK_EQ(fault_of_user(do_in, NULL).vector, TRAP_GP);
}

static void many_in_a_row(void)
{
	u32 i, bad = 0;

	for (i = 0; i < 3000; i++) {
		outb(SCRATCH, (u8)i);
		bad += inb(SCRATCH) != (u8)i;
	}
	CHECK_EQ(bad, 0);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(bytes_words_and_double_words),
	GUEST_TEST(the_rest_of_the_register_stays_or_not),
	GUEST_TEST(ports_in_the_instruction),
	GUEST_TEST(a_port_of_nobody_does_no_harm),
	GUEST_TEST(strings_out),
	GUEST_TEST(strings_in),
	GUEST_TEST(wide_strings),
	GUEST_TEST(none_is_none),
	GUEST_TEST(addresses_of_32_bits),
	GUEST_TEST(a_fault_in_the_middle_goes_on_where_it_was),
	GUEST_TEST(a_string_into_a_read_only_page_faults),
	GUEST_TEST(the_permission_bitmap_decides_for_the_user),
	GUEST_TEST(many_in_a_row),
	GUEST_TESTS_END,
};
