/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processor: its instructions, what is kept for each one, and the frame of a trap. */
#ifndef METAL_CPU_H
#define METAL_CPU_H

#include "bv/host.h"
#include "bv/types.h"

#define METAL_MAX_CPUS 64

struct thread;

/* Vectors. Dom0's devices have all from 0x20 up to the first of these (see passthrough.c). */
#define VECTOR_FIRST_OURS 0xf0
#define VECTOR_TIMER 0xf0
#define VECTOR_WAKE 0xf1 /* nothing but an exit from the guest, or from HLT */
#define VECTOR_CALL 0xf2 /* metal_call_cpus */
#define VECTOR_SERIAL 0xf3
#define VECTOR_STOP 0xf4
#define VECTOR_SPURIOUS 0xff

#define MSR_APIC_BASE 0x1b
#define MSR_EFER 0xc0000080
#define MSR_GS_BASE 0xc0000101
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_PAT 0x277

/* A processor's own data, at GS. */
struct metal_cpu {
	struct metal_cpu *self; /* first: read at gs:0 */
	struct thread *current;
	struct thread *idle;
	struct thread
		*fpu_owner; /* whose state is in the registers, if it did not run elsewhere since */
	u32 index;
	u32 apic_id;
	bool resched; /* another thread should run */
	bool online;
	u32 interrupts_deep;
	struct bv_timer *timer_running;
	void *ist_stack[3];
	u64 gdt[6];
	u8 tss[104];
};

/* What vectors.S leaves on the stack. */
struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

static inline struct metal_cpu *this_cpu(void)
{
	struct metal_cpu *cpu;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

static inline u64 irq_save(void)
{
	u64 flags;

	__asm__ volatile("pushf; pop %0; cli" : "=r"(flags) : : "memory");
	return flags;
}

static inline void irq_restore(u64 flags)
{
	if (flags & 0x200)
		__asm__ volatile("sti" : : : "memory");
}

static inline bool irqs_on(void)
{
	u64 flags;

	__asm__ volatile("pushf; pop %0" : "=r"(flags));
	return flags & 0x200;
}

static inline void irq_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void irq_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

#define PORT_ACCESS(type, letter)                                                    \
	static inline type in_##type(u16 port)                                       \
	{                                                                            \
		type value;                                                          \
                                                                                     \
		__asm__ volatile("in" letter " %1, %0" : "=a"(value) : "Nd"(port));  \
		return value;                                                        \
	}                                                                            \
                                                                                     \
	static inline void out_##type(u16 port, type value)                          \
	{                                                                            \
		__asm__ volatile("out" letter " %0, %1" : : "a"(value), "Nd"(port)); \
	}

PORT_ACCESS(u8, "b")
PORT_ACCESS(u16, "w")
PORT_ACCESS(u32, "l")

static inline u64 rdmsr(u32 index)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return low | (u64)high << 32;
}

static inline void wrmsr(u32 index, u64 value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(index), "a"((u32)value), "d"((u32)(value >> 32))
			 : "memory");
}

static inline u64 rdtsc(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (u64)high << 32;
}

static inline void cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
			 : "a"(leaf), "c"(subleaf));
}

static inline u64 read_cr4(void)
{
	u64 value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static inline void write_cr4(u64 value)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

static inline u64 read_cr2(void)
{
	u64 value;

	__asm__ volatile("mov %%cr2, %0" : "=r"(value));
	return value;
}

static inline void write_cr3(u64 value)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

static inline void invlpg(u64 address)
{
	__asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline u32 mmio_read(u64 address)
{
	return *(volatile u32 *)address;
}

static inline void mmio_write(u64 address, u32 value)
{
	*(volatile u32 *)address = value;
}

#endif
