// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * x87, SSE and AVX registers: they are the guest's over every kind of exit, on every virtual CPU,
 * and XCR0 is too.
 */
#include "apic.h"
#include "cpu.h"
#include "paging.h"

#define VECTOR 0x40
#define XCR0_X87 1
#define XCR0_SSE 2
#define XCR0_AVX 4

static bool has_xsave, has_avx;

struct vectors {
	u64 words[16][4] __attribute__((aligned(32)));
};

static void vectors_fill(struct vectors *vectors, u64 seed)
{
	u32 i, j;

	for (i = 0; i < 16; i++)
		for (j = 0; j < 4; j++)
			vectors->words[i][j] = random_next(&seed);
}

#define EACH_REGISTER(op)                                                                       \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) \
		op(14) op(15)
#define LOAD_XMM(n) "movups 32*" #n "(%0), %%xmm" #n "\n"
#define STORE_XMM(n) "movups %%xmm" #n ", 32*" #n "(%0)\n"
#define LOAD_YMM(n) "vmovups 32*" #n "(%0), %%ymm" #n "\n"
#define STORE_YMM(n) "vmovups %%ymm" #n ", 32*" #n "(%0)\n"

static void vectors_load(const struct vectors *vectors)
{
	if (has_avx)
		__asm__ volatile(EACH_REGISTER(LOAD_YMM)::"r"(vectors) : "memory");
	else
		__asm__ volatile(EACH_REGISTER(LOAD_XMM)::"r"(vectors) : "memory");
}

static void vectors_store(struct vectors *vectors)
{
	if (has_avx)
		__asm__ volatile(EACH_REGISTER(STORE_YMM)::"r"(vectors) : "memory");
	else
		__asm__ volatile(EACH_REGISTER(STORE_XMM)::"r"(vectors) : "memory");
}

/* Without AVX the upper halves were never loaded: only the lower are compared. */
static bool vectors_equal(const struct vectors *left, const struct vectors *right)
{
	u32 i;

	for (i = 0; i < 16; i++)
		if (memcmp(left->words[i], right->words[i], has_avx ? 32 : 16))
			return false;
	return true;
}

static u64 xgetbv(void)
{
	u32 low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (u64)high << 32 | low;
}

static void xsave_on(void)
{
	struct cpuid leaf = cpuid(1, 0);

	has_xsave = leaf.ecx >> 26 & 1;
	if (!has_xsave)
		return;
	write_cr4(read_cr4() | CR4_OSXSAVE);
	has_avx = leaf.ecx >> 28 & 1;
	__asm__ volatile("xsetbv" ::"c"(0), "a"(has_avx ? 7 : 3), "d"(0));
	/* Where XCR0 does not outlive an exit, a test says so; the others do without AVX. */
	cpuid(0, 0);
	has_avx = has_avx && xgetbv() == 7;
}

static void exit_cpuid(void)
{
	cpuid(0, 0);
}

static void exit_to_vmm(void)
{
	outb(0x80, 0);
	inb(0x61);
}

static void exit_by_hlt(void)
{
	u32 before = this_cpu()->irqs[VECTOR];

	apic_write(APIC_INITIAL, 20000);
	while (this_cpu()->irqs[VECTOR] == before)
		cpu_halt();
}

static void exit_by_fresh_memory(void)
{
	*(volatile u32 *)pages_alloc(1, 4096) = 1;
}

static void vectors_live_over_exits(void)
{
	static void (*const exits[])(void) = { exit_cpuid, exit_to_vmm, exit_by_hlt,
					       exit_by_fresh_memory };
	static struct vectors in, out;
	u32 i, round;

	xsave_on();
	trap_handle(VECTOR, irq_count);
	apic_write(APIC_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, VECTOR);
	for (i = 0; i < ARRAY_SIZE(exits); i++) {
		for (round = 0; round < 20; round++) {
			vectors_fill(&in, i * 100 + round + 1);
			vectors_load(&in);
			exits[i]();
			vectors_store(&out);
			if (!vectors_equal(&in, &out))
				break;
		}
		CHECK_EQ(round, 20);
	}
}

static void x87_lives_over_exits(void)
{
	static const u16 control = 0x27f;
	u16 control_back, status;
	u64 value;

	__asm__ volatile("fninit; fldcw %0; fldpi; fldl2e; fld1" ::"m"(control));
	cpuid(0, 0);
	outb(0x80, 0);
	__asm__ volatile("fnstcw %0; fnstsw %1; fistpll %2"
			 : "=m"(control_back), "=m"(status), "=m"(value));
	CHECK_EQ(control_back, control);
	CHECK_EQ(status >> 11 & 7, 5); /* three pushes */
	CHECK_EQ(value, 1);
	__asm__ volatile("fistpll %0" : "=m"(value));
	CHECK_EQ(value, 1); /* log2(e), rounded */
	__asm__ volatile("fistpll %0; fninit" : "=m"(value));
	CHECK_EQ(value, 3);
}

static void mxcsr_lives_over_exits(void)
{
	u32 value = 0x1fa0 | 0x6000, back;

	__asm__ volatile("ldmxcsr %0" ::"m"(value));
	cpuid(0, 0);
	outb(0x80, 0);
	__asm__ volatile("stmxcsr %0" : "=m"(back));
	CHECK_EQ(back, value);
	value = 0x1f80;
	__asm__ volatile("ldmxcsr %0" ::"m"(value));
}

static volatile u32 mixed_up;

/*
 * What each CPU runs: its own pattern, checked again and again, with all kinds of exits in between.
 */
static void keep_pattern(void *argument)
{
	static struct vectors in[MAX_CPUS], out[MAX_CPUS];
	u32 me = this_cpu()->index, i;

	(void)argument;
	xsave_on();
	vectors_fill(&in[me], me + 1000);
	vectors_load(&in[me]);
	for (i = 0; i < 3000; i++) {
		if (i % 16 == 0)
			exit_cpuid();
		if (i % 64 == 0)
			exit_to_vmm();
		vectors_store(&out[me]);
		if (!vectors_equal(&in[me], &out[me]))
			__atomic_add_fetch(&mixed_up, 1, __ATOMIC_SEQ_CST);
	}
}

static void cpus_do_not_mix_their_registers(void)
{
	u32 count = smp_start(), i;

	for (i = 1; i < count; i++)
		smp_call(i, keep_pattern, NULL);
	keep_pattern(NULL);
	for (i = 1; i < count; i++)
		CHECK(smp_wait(i));
	CHECK_EQ(mixed_up, 0);
}

static void do_xsetbv(void *argument)
{
	u64 value = (u64)argument;

	__asm__ volatile("xsetbv" ::"c"((u32)(value >> 63)), "a"((u32)value),
			 "d"((u32)(value >> 32) & 0x7fffffff));
}

static void xcr0_refuses_bad_values(void)
{
	if (!has_xsave) {
		check_skip("no XSAVE");
		return;
	}
	CHECK_EQ(fault_of(do_xsetbv, (void *)0).vector, TRAP_GP); /* x87 is a must */
	CHECK_EQ(fault_of(do_xsetbv, (void *)(XCR0_X87 | XCR0_AVX)).vector,
		 TRAP_GP); /* AVX without SSE */
	CHECK_EQ(fault_of(do_xsetbv, (void *)(1ull << 62 | 3)).vector, TRAP_GP);
	CHECK_EQ(fault_of(do_xsetbv, (void *)(1ull << 63 | 3)).vector, TRAP_GP); /* XCR1 */
	CHECK_EQ(fault_of_user(do_xsetbv, (void *)3).vector, TRAP_GP);
	CHECK_EQ(fault_of(do_xsetbv, (void *)3).vector, TRAP_NONE);
	xsave_on();
}

static void xcr0_lives_over_exits(void)
{
	static const u64 values[] = { 1, 3, 7, 3, 1 };
	u32 i;

	if (!has_xsave) {
		check_skip("no XSAVE");
		return;
	}
	for (i = 0; i < ARRAY_SIZE(values); i++) {
		if (values[i] & ~(u64)cpuid(13, 0).eax)
			continue;
		do_xsetbv((void *)values[i]);
		cpuid(0, 0);
		outb(0x80, 0);
		exit_by_fresh_memory();
		CHECK_EQ(xgetbv(), values[i]);
	}
	xsave_on();
}

static void do_avx(void *argument)
{
	(void)argument;
	__asm__ volatile("vxorps %ymm0, %ymm0, %ymm0");
}

static void avx_follows_xcr0_and_cr4(void)
{
	if (!has_avx) {
		check_skip("no AVX");
		return;
	}
	CHECK_EQ(fault_of(do_avx, NULL).vector, TRAP_NONE);
	do_xsetbv((void *)3);
	cpuid(0, 0);
	CHECK_EQ(fault_of(do_avx, NULL).vector, TRAP_UD);
	do_xsetbv((void *)7);
	CHECK_EQ(fault_of(do_avx, NULL).vector, TRAP_NONE);
	write_cr4(read_cr4() & ~(u64)CR4_OSXSAVE);
	CHECK_EQ(fault_of(do_avx, NULL).vector, TRAP_UD);
	xsave_on();
}

static u8 area[2][4096] __attribute__((aligned(64)));

static void xsave_and_xrstor(void)
{
	static struct vectors in, out;

	if (!has_xsave || xgetbv() != (has_avx ? 7 : 3)) {
		check_skip("no XSAVE, or an XCR0 that is not ours");
		return;
	}
	vectors_fill(&in, 77);
	vectors_load(&in);
	__asm__ volatile("xsave64 %0" : "+m"(area[0]) : "a"(7), "d"(0) : "memory");
	vectors_fill(&out, 78);
	vectors_load(&out);
	cpuid(0, 0);
	__asm__ volatile("xrstor64 %0" ::"m"(area[0]), "a"(7), "d"(0) : "memory");
	vectors_store(&out);
	CHECK(vectors_equal(&in, &out));
	CHECK_EQ(*(u64 *)(area[0] + 512) & 2, 2);
}

static void fxsave_and_fxrstor(void)
{
	static struct vectors in, out;
	bool avx = has_avx;

	has_avx = false;
	vectors_fill(&in, 99);
	vectors_load(&in);
	__asm__ volatile("fxsave64 %0" : "=m"(area[1])::"memory");
	vectors_fill(&out, 98);
	vectors_load(&out);
	outb(0x80, 0);
	__asm__ volatile("fxrstor64 %0" ::"m"(area[1]) : "memory");
	vectors_store(&out);
	CHECK(vectors_equal(&in, &out));
	has_avx = avx;
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(vectors_live_over_exits),  GUEST_TEST(x87_lives_over_exits),
	GUEST_TEST(mxcsr_lives_over_exits),   GUEST_TEST(cpus_do_not_mix_their_registers),
	GUEST_TEST(xcr0_refuses_bad_values),  GUEST_TEST(xcr0_lives_over_exits),
	GUEST_TEST(avx_follows_xcr0_and_cr4), GUEST_TEST(xsave_and_xrstor),
	GUEST_TEST(fxsave_and_fxrstor),	      GUEST_TESTS_END,
};
