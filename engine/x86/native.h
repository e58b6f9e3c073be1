/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The processor's own instructions that C has no words for. Privileged ones #GP outside ring 0: for
 * vendors and hosts.
 */
#ifndef BV_X86_NATIVE_H
#define BV_X86_NATIVE_H

#include "bv/types.h"

static inline void native_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
			 : "a"(leaf), "c"(subleaf));
}

static inline u64 native_rdmsr(u32 index)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return low | (u64)high << 32;
}

static inline void native_wrmsr(u32 index, u64 value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(index), "a"((u32)value), "d"((u32)(value >> 32))
			 : "memory");
}

static inline u64 native_read_cr0(void)
{
	u64 value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	return value;
}

static inline u64 native_read_cr2(void)
{
	u64 value;

	__asm__ volatile("mov %%cr2, %0" : "=r"(value));
	return value;
}

static inline void native_write_cr2(u64 value)
{
	__asm__ volatile("mov %0, %%cr2" : : "r"(value));
}

static inline u64 native_read_cr3(void)
{
	u64 value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value));
	return value;
}

static inline u64 native_read_cr4(void)
{
	u64 value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static inline u64 native_xgetbv(u32 index)
{
	u32 low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
	return low | (u64)high << 32;
}

static inline void native_xsetbv(u32 index, u64 value)
{
	__asm__ volatile("xsetbv"
			 :
			 : "c"(index), "a"((u32)value), "d"((u32)(value >> 32))
			 : "memory");
}

static inline u32 native_rdpkru(void)
{
	u32 value, zero;

	__asm__ volatile("rdpkru" : "=a"(value), "=d"(zero) : "c"(0));
	return value;
}

static inline void native_wrpkru(u32 value)
{
	__asm__ volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
}

#define NATIVE_DR(number)                                                  \
	static inline u64 native_read_dr##number(void)                     \
	{                                                                  \
		u64 value;                                                 \
                                                                           \
		__asm__ volatile("mov %%dr" #number ", %0" : "=r"(value)); \
		return value;                                              \
	}                                                                  \
                                                                           \
	static inline void native_write_dr##number(u64 value)              \
	{                                                                  \
		__asm__ volatile("mov %0, %%dr" #number : : "r"(value));   \
	}

NATIVE_DR(0)
NATIVE_DR(1)
NATIVE_DR(2)
NATIVE_DR(3)
NATIVE_DR(6)

#endif
