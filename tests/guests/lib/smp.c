// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The other CPUs: INIT, SIPI, and a loop that halts until it is given work.
 */
#include "apic.h"
#include "cpu.h"

extern u32 ap_next;
void ap_main(u32 index);

u8 cpu_stacks[MAX_CPUS][STACK_SIZE] __attribute__((aligned(16)));

#define SIPI_PAGE 8

static void work_do(struct cpu *cpu)
{
	cpu->work(cpu->argument);
	cpu->work = NULL;
	store32(&cpu->work_done, 1);
}

void ap_main(u32 index)
{
	struct cpu *cpu = &cpus[index];

	trap_init_cpu(index);
	apic_init_cpu();
	store32(&cpu->up, 1);
	for (;;) {
		if (cpu->work)
			work_do(cpu);
		else
			cpu_halt();
		cpu_cli();
	}
}

/* CPUs take their index as they come, so one is started after the other. */
static bool cpu_start(u32 apic_id)
{
	u32 index = load32(&ap_next);

	apic_ipi(apic_id, ICR_INIT | ICR_ASSERT);
	apic_ipi(apic_id, ICR_SIPI | ICR_ASSERT | SIPI_PAGE);
	if (!wait_for(&cpus[index].up, 1, SHORT_WAIT))
		apic_ipi(apic_id, ICR_SIPI | ICR_ASSERT | SIPI_PAGE);
	return wait_for(&cpus[index].up, 1, LONG_WAIT);
}

u32 smp_start(void)
{
	static u32 started;
	u32 i;

	if (started)
		return started;
	trap_handle(SMP_WAKE_VECTOR, irq_count);
	for (i = 0, started = 1; i < machine.cpus; i++)
		if (machine.apic_ids[i] != cpus[0].apic_id)
			started += cpu_start(machine.apic_ids[i]);
	return started;
}

void smp_call(u32 index, void (*fn)(void *argument), void *argument)
{
	struct cpu *cpu = &cpus[index];

	cpu->argument = argument;
	store32(&cpu->work_done, 0);
	__atomic_store_n(&cpu->work, fn, __ATOMIC_SEQ_CST);
	apic_ipi(cpu->apic_id, SMP_WAKE_VECTOR | ICR_ASSERT);
}

bool smp_wait(u32 index)
{
	return wait_for(&cpus[index].work_done, 1, LONG_WAIT);
}

bool smp_call_all(void (*fn)(void *argument), void *argument)
{
	u32 count = smp_start(), i;
	bool good = true;

	for (i = 1; i < count; i++)
		smp_call(i, fn, argument);
	for (i = 1; i < count; i++)
		good &= smp_wait(i);
	return good;
}
