// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Rarer instructions against a chip's page. A hypervisor that does not know one has to end the VM,
 * so these are not in mmio.c; the order is from the likely to the unlikely.
 */
#include "apic.h"
#include "cpu.h"

#define BRIDGE 0xb0000000ull
#define BRIDGE_ID 0x29c08086u
#define COUNT (APIC_PAGE + APIC_INITIAL)

static u32 buffer[8] __attribute__((aligned(32)));

static bool no_bridge(void)
{
	if (mmio_read32(BRIDGE) == BRIDGE_ID)
		return false;
	check_skip("no q35 host bridge at 0xb0000000");
	return true;
}

static void double_shifts_and_bit_scans(void)
{
	u64 position;

	apic_write(APIC_LVT_TIMER, LVT_MASKED | 0x40);
	apic_write(APIC_INITIAL, 0x100);
	__asm__ volatile("bsfl (%1), %k0" : "=r"(position) : "r"(COUNT) : "cc");
	CHECK_EQ((u32)position, 8);
	__asm__ volatile("bsrl (%1), %k0" : "=r"(position) : "r"(COUNT) : "cc");
	CHECK_EQ((u32)position, 8);
	__asm__ volatile("shldl $4, %1, (%0)" ::"r"(COUNT), "r"(0xf0000000) : "memory", "cc");
	CHECK_EQ(apic_read(APIC_INITIAL), 0x100f);
}

static void multiplications(void)
{
	u32 low = 3, high;

	apic_write(APIC_INITIAL, 0x10000000);
	__asm__ volatile("mull (%2)" : "+a"(low), "=d"(high) : "r"(COUNT) : "cc");
	CHECK_EQ(low, 0x30000000);
	CHECK_EQ(high, 0);
}

static void compare_and_exchange_of_8_bytes(void)
{
	u32 low = 1, high = 2;

	if (no_bridge())
		return;
	__asm__ volatile("lock cmpxchg8b (%2)"
			 : "+a"(low), "+d"(high)
			 : "r"(BRIDGE), "b"(0), "c"(0)
			 : "memory", "cc");
	CHECK_EQ(low, BRIDGE_ID); /* not equal: it loads */
}

static void store_past_the_caches(void)
{
	apic_write(APIC_INITIAL, 0);
	__asm__ volatile("movnti %1, (%0)" ::"r"(COUNT), "r"(0x1234) : "memory");
	CHECK_EQ(apic_read(APIC_INITIAL), 0x1234);
}

static void parts_of_sse_registers(void)
{
	if (no_bridge())
		return;
	__asm__ volatile(
		"pcmpeqd %%xmm1, %%xmm1; movd (%0), %%xmm1; movups %%xmm1, %1" ::"r"(BRIDGE),
		"m"(buffer)
		: "memory");
	CHECK_EQ(buffer[0], BRIDGE_ID);
	CHECK_EQ(buffer[1], 0);
	__asm__ volatile("movq (%0), %%xmm1; movups %%xmm1, %1" ::"r"(BRIDGE), "m"(buffer)
			 : "memory");
	CHECK_EQ(buffer[0], BRIDGE_ID);
	CHECK_EQ(buffer[2], 0);
}

static void mmx_moves(void)
{
	if (no_bridge())
		return;
	__asm__ volatile("movq (%0), %%mm0; movq %%mm0, %1; emms" ::"r"(BRIDGE), "m"(buffer)
			 : "memory");
	CHECK_EQ(buffer[0], BRIDGE_ID);
}

static void avx_moves(void)
{
	if ((cpuid(1, 0).ecx >> 26 & 5) != 5 || no_bridge()) {
		check_skip("no AVX, or no q35 host bridge");
		return;
	}
	write_cr4(read_cr4() | CR4_OSXSAVE);
	__asm__ volatile("xsetbv" ::"c"(0), "a"(7), "d"(0));
	__asm__ volatile("vmovdqu (%0), %%ymm0; vmovdqa %%ymm0, %1; vzeroupper" ::"r"(BRIDGE),
			 "m"(buffer)
			 : "memory");
	CHECK_EQ(buffer[0], BRIDGE_ID);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(double_shifts_and_bit_scans),
	GUEST_TEST(multiplications),
	GUEST_TEST(compare_and_exchange_of_8_bytes),
	GUEST_TEST(store_past_the_caches),
	GUEST_TEST(parts_of_sse_registers),
	GUEST_TEST(mmx_moves),
	GUEST_TEST(avx_moves),
	GUEST_TESTS_END,
};
