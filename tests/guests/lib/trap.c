// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Descriptor tables and the dispatch of exceptions and interrupts. A fault that nobody expects ends
 * the guest.
 */
#include "apic.h"
#include "cpu.h"

/* The entries of trap.S and its calls. */
extern u8 trap_entries[];
extern u8 fault_return[];
void fault_call(void (*body)(void *argument), void *argument);
void fault_call_user(void (*body)(void *argument), void *argument, u64 stack);
void fault_call_user32(void *code, void *argument, u64 stack);
void trap_dispatch(struct trap_frame *frame);

u64 gdt[GDT_ENTRIES] __attribute__((aligned(16))) = {
	[SEL_KCODE / 8] = 0x00af9b000000ffff,	[SEL_KDATA / 8] = 0x00cf93000000ffff,
	[SEL_KCODE32 / 8] = 0x00cf9b000000ffff, [SEL_UCODE32 / 8] = 0x00cffb000000ffff,
	[SEL_UDATA / 8] = 0x00cff3000000ffff,	[SEL_UCODE / 8] = 0x00affb000000ffff,
	[SEL_KCODE16 / 8] = 0x00009b000000ffff, [SEL_KDATA16 / 8] = 0x000093000000ffff,
};
struct gate idt[256] __attribute__((aligned(4096)));
struct cpu cpus[MAX_CPUS];

static trap_handler handlers[256];

#define TRAP_STACK 8192
static u8 trap_stacks[MAX_CPUS][4][TRAP_STACK] __attribute__((aligned(16)));
static u8 user_stacks[MAX_CPUS][TRAP_STACK] __attribute__((aligned(4096)));

static void gate_set(u32 vector, u8 type)
{
	u64 entry = (u64)trap_entries + 16ull * vector;

	idt[vector] = (struct gate){
		.offset_low = (u16)entry,
		.selector = SEL_KCODE,
		.type = type,
		.offset_mid = (u16)(entry >> 16),
		.offset_high = (u32)(entry >> 32),
	};
}

static void tss_set(struct cpu *cpu)
{
	u64 base = (u64)&cpu->tss, limit = sizeof(cpu->tss) - 1;
	u32 i;

	cpu->tss.iomap = sizeof(cpu->tss);
	cpu->tss.rsp[0] = (u64)trap_stacks[cpu->index][0] + TRAP_STACK;
	for (i = 0; i < 3; i++)
		cpu->tss.ist[i] = (u64)trap_stacks[cpu->index][1 + i] + TRAP_STACK;
	gdt[GDT_TSS + 2 * cpu->index] =
		limit | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	gdt[GDT_TSS + 2 * cpu->index + 1] = base >> 32;
	__asm__ volatile("ltr %w0" ::"r"(SEL_TSS + 16 * cpu->index));
}

void trap_load_idt(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) pointer = { sizeof(idt) - 1, (u64)idt };

	__asm__ volatile("lidt %0" ::"m"(pointer));
}

void trap_init_cpu(u32 index)
{
	struct cpu *cpu = &cpus[index];
	u32 vector;

	for (vector = 0; index == 0 && vector < 256; vector++)
		gate_set(vector, GATE_INTERRUPT);
	idt[TRAP_USER_RETURN].type |= GATE_DPL3;
	cpu->self = cpu;
	cpu->index = index;
	wrmsr(MSR_GS_BASE, (u64)cpu);
	tss_set(cpu);
	trap_load_idt();
}

void trap_handle(u32 vector, trap_handler handler)
{
	handlers[vector] = handler;
}

void trap_set_ist(u32 vector, u8 ist)
{
	idt[vector].ist = ist;
}

void trap_set_dpl(u32 vector, u8 dpl)
{
	idt[vector].type = (u8)((idt[vector].type & ~GATE_DPL3) | dpl << 5);
}

static void fault_note(struct cpu *cpu, struct trap_frame *frame)
{
	cpu->fault = (struct fault){
		.vector = frame->vector == TRAP_USER_RETURN ? TRAP_NONE : (u32)frame->vector,
		.error = (u32)frame->error,
		.rip = frame->rip,
		.cr2 = read_cr2(),
		.rflags = frame->rflags,
		.dr6 = read_dr6(),
	};
	frame->rip = (u64)fault_return;
	frame->rsp = cpu->fault_rsp;
	frame->rflags = cpu->fault_flags;
	frame->cs = SEL_KCODE;
	frame->ss = SEL_KDATA;
}

bool fault_abort(struct trap_frame *frame)
{
	if (!this_cpu()->fault_rsp)
		return false;
	fault_note(this_cpu(), frame);
	return true;
}

void trap_dispatch(struct trap_frame *frame)
{
	struct cpu *cpu = this_cpu();

	if (handlers[frame->vector]) {
		handlers[frame->vector](frame);
		return;
	}
	if (cpu->fault_rsp && (frame->vector < 32 || frame->vector == TRAP_USER_RETURN)) {
		fault_note(cpu, frame);
		return;
	}
	guest_panic("vector %llu error 0x%llx at %llx:0x%llx flags 0x%llx rsp 0x%llx cr2 0x%llx",
		    frame->vector, frame->error, frame->cs, frame->rip, frame->rflags, frame->rsp,
		    read_cr2());
}

static void fault_expect(struct cpu *cpu)
{
	cpu->fault = (struct fault){ .vector = TRAP_NONE };
}

struct fault fault_of(void (*body)(void *argument), void *argument)
{
	fault_expect(this_cpu());
	fault_call(body, argument);
	return this_cpu()->fault;
}

u64 user_stack(void)
{
	return (u64)user_stacks[this_cpu()->index] + TRAP_STACK;
}

struct fault fault_of_user(void (*body)(void *argument), void *argument)
{
	fault_expect(this_cpu());
	fault_call_user(body, argument, user_stack());
	return this_cpu()->fault;
}

struct fault fault_of_user32(void *code)
{
	fault_expect(this_cpu());
	fault_call_user32(code, NULL, user_stack());
	__asm__ volatile("mov %0, %%ds; mov %0, %%es" ::"r"(SEL_KDATA));
	return this_cpu()->fault;
}

struct msr_access {
	u32 msr;
	u64 value;
};

static void msr_read(void *argument)
{
	struct msr_access *access = argument;

	access->value = rdmsr(access->msr);
}

static void msr_write(void *argument)
{
	struct msr_access *access = argument;

	wrmsr(access->msr, access->value);
}

u32 try_rdmsr(u32 msr, u64 *value)
{
	struct msr_access access = { .msr = msr };
	u32 vector = fault_of(msr_read, &access).vector;

	*value = access.value;
	return vector;
}

u32 try_wrmsr(u32 msr, u64 value)
{
	struct msr_access access = { .msr = msr, .value = value };

	return fault_of(msr_write, &access).vector;
}
