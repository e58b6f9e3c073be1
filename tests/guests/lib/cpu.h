/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions as functions, and the bits of the registers they touch (names of the AMD manual,
 * volume 2, chapter 3).
 */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#include "guest.h"

#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)

#define CR4_TSD (1u << 2)
#define CR4_DE (1u << 3)
#define CR4_PSE (1u << 4)
#define CR4_PAE (1u << 5)
#define CR4_PGE (1u << 7)
#define CR4_OSFXSR (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP (1u << 11)
#define CR4_FSGSBASE (1u << 16)
#define CR4_OSXSAVE (1u << 18)
#define CR4_SMEP (1u << 20)
#define CR4_SMAP (1u << 21)

#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)

#define RFLAGS_CF (1ull << 0)
#define RFLAGS_ZF (1ull << 6)
#define RFLAGS_TF (1ull << 8)
#define RFLAGS_IF (1ull << 9)
#define RFLAGS_DF (1ull << 10)
#define RFLAGS_RF (1ull << 16)
#define RFLAGS_AC (1ull << 18)

#define MSR_TSC 0x00000010
#define MSR_APIC_BASE 0x0000001b
#define MSR_TSC_ADJUST 0x0000003b
#define MSR_MTRRCAP 0x000000fe
#define MSR_SYSENTER_CS 0x00000174
#define MSR_SYSENTER_ESP 0x00000175
#define MSR_SYSENTER_EIP 0x00000176
#define MSR_MCG_CAP 0x00000179
#define MSR_MTRR_PHYSBASE0 0x00000200
#define MSR_MTRR_PHYSMASK0 0x00000201
#define MSR_MTRR_FIX64K 0x00000250
#define MSR_PAT 0x00000277
#define MSR_MTRR_DEF_TYPE 0x000002ff
#define MSR_TSC_DEADLINE 0x000006e0
#define MSR_X2APIC 0x00000800
#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_CSTAR 0xc0000083
#define MSR_SFMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_TSC_AUX 0xc0000103

struct cpuid {
	u32 eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf)
			 : "memory");
	return r;
}

static inline u64 rdmsr(u32 msr)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (u64)high << 32 | low;
}

static inline void wrmsr(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline u64 rdtsc(void)
{
	u32 low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
	return (u64)high << 32 | low;
}

#define PORT_FUNCTIONS(suffix, type)                                                            \
	static inline type in##suffix(u16 port)                                                 \
	{                                                                                       \
		type value;                                                                     \
                                                                                                \
		__asm__ volatile("in" #suffix " %1, %0" : "=a"(value) : "Nd"(port) : "memory"); \
		return value;                                                                   \
	}                                                                                       \
	static inline void out##suffix(u16 port, type value)                                    \
	{                                                                                       \
		__asm__ volatile("out" #suffix " %0, %1" ::"a"(value), "Nd"(port) : "memory");  \
	}
PORT_FUNCTIONS(b, u8)
PORT_FUNCTIONS(w, u16)
PORT_FUNCTIONS(l, u32)
#undef PORT_FUNCTIONS

#define REGISTER_FUNCTIONS(name)                                                 \
	static inline u64 read_##name(void)                                      \
	{                                                                        \
		u64 value;                                                       \
                                                                                 \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(value)::"memory"); \
		return value;                                                    \
	}                                                                        \
	static inline void write_##name(u64 value)                               \
	{                                                                        \
		__asm__ volatile("mov %0, %%" #name ::"r"(value) : "memory");    \
	}
REGISTER_FUNCTIONS(cr0)
REGISTER_FUNCTIONS(cr2)
REGISTER_FUNCTIONS(cr3)
REGISTER_FUNCTIONS(cr4)
REGISTER_FUNCTIONS(cr8)
REGISTER_FUNCTIONS(dr0)
REGISTER_FUNCTIONS(dr1)
REGISTER_FUNCTIONS(dr2)
REGISTER_FUNCTIONS(dr3)
REGISTER_FUNCTIONS(dr6)
REGISTER_FUNCTIONS(dr7)
#undef REGISTER_FUNCTIONS

static inline u64 read_flags(void)
{
	u64 flags;

	__asm__ volatile("pushfq; pop %0" : "=r"(flags)::"memory");
	return flags;
}

static inline void write_flags(u64 flags)
{
	__asm__ volatile("push %0; popfq" ::"r"(flags) : "memory", "cc");
}

static inline void cpu_sti(void)
{
	__asm__ volatile("sti" ::: "memory");
}

static inline void cpu_cli(void)
{
	__asm__ volatile("cli" ::: "memory");
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause" ::: "memory");
}

static inline void cpu_invlpg(u64 va)
{
	__asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}

/* Opens the interrupt window for exactly one instruction and closes it. */
static inline void cpu_window(void)
{
	__asm__ volatile("sti; nop; cli" ::: "memory");
}

/* Halts with interrupts on: STI's shadow makes the check before it and the halt one step. */
static inline void cpu_halt(void)
{
	__asm__ volatile("sti; hlt; cli" ::: "memory");
}

static inline u8 mmio_read8(u64 address)
{
	u8 value;

	__asm__ volatile("movb (%1), %0" : "=q"(value) : "r"(address) : "memory");
	return value;
}

static inline u32 mmio_read32(u64 address)
{
	u32 value;

	__asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void mmio_write32(u64 address, u32 value)
{
	__asm__ volatile("movl %0, (%1)" ::"r"(value), "r"(address) : "memory");
}

static inline u64 load64(const volatile u64 *from)
{
	return __atomic_load_n(from, __ATOMIC_SEQ_CST);
}

static inline u32 load32(const volatile u32 *from)
{
	return __atomic_load_n(from, __ATOMIC_SEQ_CST);
}

static inline void store32(volatile u32 *to, u32 value)
{
	__atomic_store_n(to, value, __ATOMIC_SEQ_CST);
}

/* Waits until *word is at least `value`, at most about `ticks` of the TSC. True if it came. */
bool wait_for(const volatile u32 *word, u32 value, u64 ticks);

/* Generous: some seconds on any TSC; only a lost event waits that long. */
#define LONG_WAIT (8ull << 30)
/* Long enough for an event that must not come to have come. */
#define SHORT_WAIT (1ull << 22)

#endif
