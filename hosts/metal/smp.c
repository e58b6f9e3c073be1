/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other processors: brought up by INIT and SIPI one after the other, and interrupted. */
#include "hosts/metal/metal.h"

struct metal_cpu *metal_cpus[METAL_MAX_CPUS];
u32 metal_cpu_count;

static struct metal_cpu *cpu_new(u32 apic_id)
{
	struct metal_cpu *cpu = bv_host_alloc(sizeof(*cpu));

	for (u32 i = 0; cpu && i < BV_ARRAY_SIZE(cpu->ist_stack); i++)
		cpu->ist_stack[i] = bv_host_pages_alloc(0);
	if (!cpu || !cpu->ist_stack[2])
		panic("no memory for a CPU");
	cpu->self = cpu;
	cpu->index = metal_cpu_count;
	cpu->apic_id = apic_id;
	metal_cpus[metal_cpu_count++] = cpu;
	return cpu;
}

void smp_init_boot(void)
{
	struct metal_cpu *cpu = cpu_new(0);

	cpu_tables_init(cpu);
	cpu->online = true;
}

/* ---- bring-up ---- */

extern u64 ap_stack;
extern char trampoline_start[], trampoline_end[];
void metal_ap_main(void);

static struct metal_cpu *starting;

void metal_ap_main(void)
{
	struct metal_cpu *cpu = starting;

	cpu_tables_init(cpu);
	apic_init_cpu();
	fpu_init_cpu();
	time_init_cpu();
	sched_init_cpu();
	watchdog_init_cpu();
	if (bv_engine_cpu_enable())
		panic("CPU %u: virtualization could not be turned on", cpu->index);
	__atomic_store_n(&cpu->online, true, __ATOMIC_RELEASE);
	sched_idle();
}

static bool wait_online(struct metal_cpu *cpu, u32 ms)
{
	for (u32 i = 0; i < ms * 10; i++) {
		if (__atomic_load_n(&cpu->online, __ATOMIC_ACQUIRE))
			return true;
		delay_us(100);
	}
	return false;
}

/* Intel SDM volume 3, 9.4.4: INIT, then SIPI, and another where nothing came of the first. */
static void cpu_start(u32 apic_id)
{
	struct metal_cpu *cpu = cpu_new(apic_id);
	u8 *stack = bv_host_pages_alloc(STACK_ORDER);

	starting = cpu;
	ap_stack = (u64)stack + STACK_BYTES;
	apic_send(apic_id, 0x4500);
	delay_us(10000);
	apic_send(apic_id, 0x4600 | TRAMPOLINE >> 12);
	if (!wait_online(cpu, 100))
		apic_send(apic_id, 0x4600 | TRAMPOLINE >> 12);
	if (!wait_online(cpu, 5000))
		panic("CPU with APIC ID %u does not answer", apic_id);
}

void smp_start(void)
{
	u32 max = options.maxcpus ? options.maxcpus : METAL_MAX_CPUS;

	__builtin_memcpy(direct(TRAMPOLINE), trampoline_start,
			 (size_t)(trampoline_end - trampoline_start));
	for (u32 i = 0; i < acpi.cpus && metal_cpu_count < max; i++)
		if (acpi.cpu[i].apic_id != metal_cpus[0]->apic_id)
			cpu_start(acpi.cpu[i].apic_id);
	paging_drop_low();
	say_info("CPUs: %u", metal_cpu_count);
}

/* ---- calls ---- */

static struct {
	struct bv_spinlock lock; /* one caller at a time; others wait with interrupts on */
	void (*fn)(void *arg);
	void *arg;
	u64 pending; /* a bit a CPU that has not yet called */
} call;

void smp_call_interrupt(void)
{
	u64 bit = BV_BIT(this_cpu()->index);

	if (!(__atomic_load_n(&call.pending, __ATOMIC_ACQUIRE) & bit))
		return;
	call.fn(call.arg);
	__atomic_fetch_and(&call.pending, ~bit, __ATOMIC_RELEASE);
}

void metal_call_cpus(u64 mask, void (*fn)(void *arg), void *arg)
{
	mask &= ~BV_BIT(this_cpu()->index);
	if (!mask)
		return;
	bv_assert(irqs_on());
	bv_host_spin_lock(&call.lock);
	call.fn = fn;
	call.arg = arg;
	__atomic_store_n(&call.pending, mask, __ATOMIC_RELEASE);
	for (u32 i = 0; i < metal_cpu_count; i++)
		if (mask >> i & 1)
			apic_send_vector(i, VECTOR_CALL);
	while (__atomic_load_n(&call.pending, __ATOMIC_ACQUIRE))
		cpu_relax();
	bv_host_spin_unlock(&call.lock);
}

u64 metal_online_mask(void)
{
	u64 mask = 0;

	for (u32 i = 0; i < metal_cpu_count; i++)
		if (__atomic_load_n(&metal_cpus[i]->online, __ATOMIC_ACQUIRE))
			mask |= BV_BIT(i);
	return mask;
}

void bv_host_each_cpu(void (*fn)(void *arg), void *arg)
{
	u64 flags;

	metal_call_cpus(metal_online_mask(), fn, arg);
	flags = irq_save();
	fn(arg);
	irq_restore(flags);
}

void bv_host_cpu_call(unsigned int cpu, void (*fn)(void *arg), void *arg)
{
	u64 flags;

	if (cpu != this_cpu()->index) {
		metal_call_cpus(metal_online_mask() & BV_BIT(cpu), fn, arg);
		return;
	}
	flags = irq_save();
	fn(arg);
	irq_restore(flags);
}

/* Threads leave their CPU only where they sleep or enter the guest. */
void bv_host_pin(void)
{
}

void bv_host_unpin(void)
{
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

unsigned int bv_host_cpu(void)
{
	return this_cpu()->index;
}

unsigned int bv_host_cpu_count(void)
{
	return acpi.cpus > metal_cpu_count ? acpi.cpus : metal_cpu_count;
}

void smp_stop_others(void)
{
	for (u32 i = 0; i < metal_cpu_count; i++)
		if (metal_cpus[i] != this_cpu() && metal_cpus[i]->online)
			apic_send_vector(i, VECTOR_STOP);
}
