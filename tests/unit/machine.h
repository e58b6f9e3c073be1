/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM on hosts/fake for tests of the chips: vCPUs with local APICs, reached as a guest and a front
 * reach them. Nothing runs: a test plays the vCPUs, one step at a time.
 */
#ifndef TESTS_UNIT_MACHINE_H
#define TESTS_UNIT_MACHINE_H

#include "bv/irq.h"
#include "core/vcpu.h"
#include "hosts/fake/fake.h"
#include "test.h"

#define APIC_PAGE 0xfee00000ULL
#define IOAPIC_PAGE 0xfec00000ULL

/* Local APIC registers, by offset */
enum {
	R_ID = 0x20,
	R_VERSION = 0x30,
	R_TPR = 0x80,
	R_PPR = 0xa0,
	R_EOI = 0xb0,
	R_LDR = 0xd0,
	R_DFR = 0xe0,
	R_SPIV = 0xf0,
	R_ISR = 0x100,
	R_TMR = 0x180,
	R_IRR = 0x200,
	R_ESR = 0x280,
	R_ICR = 0x300,
	R_ICR2 = 0x310,
	R_LVT_TIMER = 0x320,
	R_LINT0 = 0x350,
	R_LINT1 = 0x360,
	R_LVT_ERROR = 0x370,
	R_TMICT = 0x380,
	R_TMCCT = 0x390,
	R_TDCR = 0x3e0,
	R_SELF_IPI = 0x3f0,
};

#define MSR_APIC_BASE 0x1b
#define MSR_TSC_DEADLINE 0x6e0

struct machine {
	struct bv_vm *vm;
	struct bv_vcpu *cpu[8];
	unsigned int cpus;
};

enum machine_chips {
	CHIPS_FULL,
	CHIPS_SPLIT
};

/* A machine with CPUID bits that let the chips do all they can; of the vendor that is chosen. */
static inline void machine_make(struct machine *m, unsigned int cpus, enum machine_chips chips)
{
	static u8 io_page[8][4096];

	*m = (struct machine){ .vm = bv_vm_create(NULL), .cpus = cpus };
	if (!m->vm ||
	    (chips == CHIPS_FULL ? bv_irqchip_create(m->vm) : bv_irqchip_create_split(m->vm, 24)))
		abort();
	for (unsigned int i = 0; i < cpus; i++) {
		int error;

		m->cpu[i] = bv_vcpu_create(m->vm, i, NULL, io_page[i], &error);
		if (!m->cpu[i])
			abort();
		m->cpu[i]->caps.x2apic = true;
		m->cpu[i]->caps.tsc_deadline = true;
		m->cpu[i]->caps.phys_bits = 40;
	}
}

static inline void machine_build(struct machine *m, unsigned int cpus, enum machine_chips chips)
{
	fake_vendor_use();
	machine_make(m, cpus, chips);
}

static inline void machine_start(struct machine *m, unsigned int cpus, enum machine_chips chips)
{
	fake_reset();
	machine_build(m, cpus, chips);
}

static inline void machine_stop(struct machine *m)
{
	bv_vm_destroy(m->vm);
	CHECK_EQ(fake_allocs(), 0);
	CHECK_EQ(fake_timers(), 0);
}

/* ---- the guest's accesses ---- */

static inline u32 apic_read(struct bv_vcpu *cpu, u32 reg)
{
	u32 value = 0xdeadbeef;

	cpu->vm->intc->mmio_read(cpu, APIC_PAGE + reg, 4, &value);
	return value;
}

static inline void apic_write(struct bv_vcpu *cpu, u32 reg, u32 value)
{
	cpu->vm->intc->mmio_write(cpu, APIC_PAGE + reg, 4, &value);
}

/* False: #GP. */
static inline bool wrmsr(struct bv_vcpu *cpu, u32 index, u64 value)
{
	return cpu->vm->intc->msr_write(cpu, index, value, false) != BV_ACCESS_FAULT;
}

static inline bool rdmsr(struct bv_vcpu *cpu, u32 index, u64 *value)
{
	return cpu->vm->intc->msr_read(cpu, index, value, false) != BV_ACCESS_FAULT;
}

static inline u64 msr(struct bv_vcpu *cpu, u32 index)
{
	u64 value = ~0ULL;

	CHECK(rdmsr(cpu, index, &value));
	return value;
}

static inline u32 x2apic_msr(u32 reg)
{
	return 0x800 + (reg >> 4);
}

static inline void bus_write(struct bv_vcpu *cpu, enum bv_bus_kind kind, u64 addr, u32 bytes,
			     u64 value)
{
	bv_host_rwsem_read(&cpu->vm->mem_lock);
	bv_bus_write(cpu, kind, addr, bytes, &value);
	bv_host_rwsem_read_done(&cpu->vm->mem_lock);
}

static inline u64 bus_read(struct bv_vcpu *cpu, enum bv_bus_kind kind, u64 addr, u32 bytes)
{
	u64 value = 0;

	bv_host_rwsem_read(&cpu->vm->mem_lock);
	if (bv_bus_read(cpu, kind, addr, bytes, &value) != BV_ACCESS_DONE)
		value = ~0ULL;
	bv_host_rwsem_read_done(&cpu->vm->mem_lock);
	return value;
}

static inline void out(struct bv_vcpu *cpu, u16 port, u8 value)
{
	bus_write(cpu, BV_BUS_PORT, port, 1, value);
}

static inline u8 in(struct bv_vcpu *cpu, u16 port)
{
	return (u8)bus_read(cpu, BV_BUS_PORT, port, 1);
}

static inline void ioapic_write(struct bv_vcpu *cpu, u8 index, u32 value)
{
	bus_write(cpu, BV_BUS_MMIO, IOAPIC_PAGE, 4, index);
	bus_write(cpu, BV_BUS_MMIO, IOAPIC_PAGE + 0x10, 4, value);
}

static inline u32 ioapic_read(struct bv_vcpu *cpu, u8 index)
{
	bus_write(cpu, BV_BUS_MMIO, IOAPIC_PAGE, 4, index);
	return (u32)bus_read(cpu, BV_BUS_MMIO, IOAPIC_PAGE + 0x10, 4);
}

#define RTE_LOGICAL 0x800u
#define RTE_REMOTE_IRR 0x4000u
#define RTE_LEVEL 0x8000u
#define RTE_MASKED 0x10000u

static inline void ioapic_pin(struct bv_vcpu *cpu, u8 pin, u32 low, u8 dest)
{
	ioapic_write(cpu, (u8)(0x11 + 2 * pin), (u32)dest << 24);
	ioapic_write(cpu, (u8)(0x10 + 2 * pin), low);
}

/* ---- the CPU's side ---- */

static inline int pending(struct bv_vcpu *cpu)
{
	return cpu->vm->intc->pending(cpu);
}

static inline int take(struct bv_vcpu *cpu)
{
	return cpu->vm->intc->take(cpu);
}

static inline void eoi(struct bv_vcpu *cpu)
{
	apic_write(cpu, R_EOI, 0);
}

/* Whether somebody told the vCPU to look for interrupts since the last question. */
static inline bool told(struct bv_vcpu *cpu)
{
	return bv_vcpu_take_request(cpu, BV_REQ_EVENT);
}

static inline bool vector_bit(struct bv_vcpu *cpu, u32 base, u8 vector)
{
	return apic_read(cpu, base + (vector >> 5) * 16) >> (vector & 31) & 1;
}

static inline void apic_enable(struct bv_vcpu *cpu)
{
	apic_write(cpu, R_SPIV, 0x1ff);
}

static inline void machine_enable_apics(struct machine *m)
{
	for (unsigned int i = 0; i < m->cpus; i++)
		apic_enable(m->cpu[i]);
}

#endif
