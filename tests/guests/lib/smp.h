/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUs: the record of each, starting them, giving them work.
 */
#ifndef GUEST_SMP_H
#define GUEST_SMP_H

#include "trap.h"

#define STACK_SIZE 16384

/* trap.S knows the offsets of the first three. */
struct cpu {
	struct cpu *self;
	u64 fault_rsp; /* where fault_of() goes on; 0: none expected */
	u64 fault_flags;
	struct fault fault;
	u32 index;
	u32 apic_id;
	volatile u32 up;
	void (*volatile work)(void *argument);
	void *volatile argument;
	volatile u32 work_done;
	struct tss tss;
	volatile u32 irqs[256]; /* counted by irq_count() */
};

extern struct cpu cpus[MAX_CPUS];
extern u8 cpu_stacks[MAX_CPUS][STACK_SIZE];

static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

/* Starts all CPUs of the MADT by INIT and SIPI; the number that runs. Waits for each. */
u32 smp_start(void);
/* Runs fn(argument) on another CPU, which waits in HLT; smp_wait() waits for its end. */
void smp_call(u32 index, void (*fn)(void *argument), void *argument);
bool smp_wait(u32 index);
/* The same on all CPUs but this, and waits. */
bool smp_call_all(void (*fn)(void *argument), void *argument);

#define SMP_WAKE_VECTOR 0xf8

#endif
