// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Protected mode with PAE's three levels. A guest of its own: QEMU's TCG spins on it under nested
 * paging.
 */
#include "cpu.h"
#include "modes.h"
#include "paging.h"

LOW_DATA u32 pae_read;

extern const u8 pae_code[];

__asm__(".text\n"
	".code32\n"
	"pae_code:\n"
	"	movl 0x40000000, %eax\n"
	"	addl 0x40200010, %eax\n"
	"	movl %eax, pae_read\n"
	"	movl $0x77777777, 0x40001000\n"
	"	ret\n"
	".code64\n");

static void with_three_levels(void)
{
	u64 *pointers = page_alloc(), *low = page_alloc(), *high = page_alloc(),
	    *table = page_alloc(), i;

	for (i = 0; i < 32; i++)
		low[i] = i << 21 | 0x83;
	high[0] = (u64)table | 3;
	high[1] = 0x83;
	table[0] = 0x900003;
	table[1] = 0x901003;
	pointers[0] = (u64)low | 1;
	pointers[1] = (u64)high | 1;
	*(volatile u32 *)0x900000 = 5;
	*(volatile u32 *)0x901000 = 0;
	*(volatile u32 *)0x10 = 7;
	protected_call(pae_code, (u32)(u64)pointers, CR4_PAE);
	CHECK_EQ(pae_read, 12);
	CHECK_EQ(*(volatile u32 *)0x901000, 0x77777777);
	CHECK_EQ(table[0] & (PTE_A | PTE_D), PTE_A);
	CHECK_EQ(table[1] & (PTE_A | PTE_D), PTE_A | PTE_D);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(with_three_levels),
	GUEST_TESTS_END,
};
