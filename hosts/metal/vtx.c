/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What VT-x asks of the bare machine (bv/host.h): calls of other CPUs, CR4, tables after exits. */
#include "hosts/metal/metal.h"

/* Code of ours is not preempted. */
void bv_host_pin(void)
{
}

void bv_host_unpin(void)
{
}

void bv_host_cpu_call(unsigned int cpu, void (*fn)(void *arg), void *arg)
{
	u64 flags;

	if (cpu != this_cpu()->index) {
		metal_call_cpus(BV_BIT(cpu), fn, arg);
		return;
	}
	flags = irq_save();
	fn(arg);
	irq_restore(flags);
}

/* Threads come to a CPU with the scheduler's lock held. */
bool bv_host_calls_at_load(void)
{
	return false;
}

void bv_host_cr4_change(u64 set, u64 clear)
{
	write_cr4((read_cr4() | set) & ~clear);
}

struct table_register {
	u16 limit;
	u64 base;
} __attribute__((__packed__));

/* TR's limit is that of our TSS anyway, and nothing of ours is behind GS's selector. */
void bv_host_segments_restore(u16 gs)
{
	struct table_register gdt, idt;

	(void)gs;
	__asm__ volatile("sgdt %0" : "=m"(gdt));
	__asm__ volatile("sidt %0" : "=m"(idt));
	gdt.limit = sizeof(this_cpu()->gdt) - 1;
	idt.limit = 256 * 16 - 1;
	__asm__ volatile("lgdt %0" : : "m"(gdt));
	__asm__ volatile("lidt %0" : : "m"(idt));
}
