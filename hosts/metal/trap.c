/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptor tables, exceptions and interrupts, and the end: what a fault of ours prints. */
#include "hosts/metal/metal.h"
#include "fronts/xen/xen.h"
#include "lib/format.h"

struct gate {
	u16 offset_low, selector;
	u8 ist, kind;
	u16 offset_middle;
	u32 offset_high, reserved;
};
BV_STATIC_ASSERT(sizeof(struct gate) == 16);

#define GATE_INTERRUPT 0x8e
#define TRAP_NMI 2

static struct gate idt[256] __attribute__((__aligned__(16)));

/* ---- tables ---- */

static void idt_fill(void)
{
	extern char trap_entries[];

	for (u32 i = 0; i < 256; i++) {
		u64 entry = (u64)trap_entries + 16 * i;

		idt[i] = (struct gate){
			.offset_low = (u16)entry,
			.selector = SEL_CODE64,
			.kind = GATE_INTERRUPT,
			.offset_middle = (u16)(entry >> 16),
			.offset_high = (u32)(entry >> 32),
		};
	}
	idt[2].ist = 1;
	idt[8].ist = 2;
	idt[18].ist = 3;
}

static void tss_fill(struct metal_cpu *cpu)
{
	u64 base = (u64)cpu->tss;

	for (u32 i = 0; i < 3; i++) {
		u64 top = (u64)cpu->ist_stack[i] + BV_PAGE_SIZE;

		__builtin_memcpy(cpu->tss + 36 + 8 * i, &top, 8);
	}
	*(u16 *)(cpu->tss + 102) = sizeof(cpu->tss); /* no I/O map */
	cpu->gdt[0] = 0;
	cpu->gdt[SEL_CODE64 / 8] = 0x00af9b000000ffff;
	cpu->gdt[SEL_DATA / 8] = 0x00cf93000000ffff;
	cpu->gdt[SEL_CODE32 / 8] = 0x00cf9b000000ffff;
	cpu->gdt[SEL_TSS / 8] = (sizeof(cpu->tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 |
				(base >> 24 & 0xff) << 56;
	cpu->gdt[SEL_TSS / 8 + 1] = base >> 32;
}

struct table_pointer {
	u16 limit;
	u64 base;
} __attribute__((__packed__));

static void tables_load(struct metal_cpu *cpu)
{
	struct table_pointer gdt_pointer = { sizeof(cpu->gdt) - 1, (u64)cpu->gdt };
	struct table_pointer idt_pointer = { sizeof(idt) - 1, (u64)idt };

	__asm__ volatile("lgdt %0" : : "m"(gdt_pointer));
	__asm__ volatile("lidt %0" : : "m"(idt_pointer));
}

/* GS is no segment of anybody's here, and nothing lies behind the TSS. */
void bv_host_segments_restore(u16 gs)
{
	(void)gs;
	tables_load(this_cpu());
}

void cpu_tables_init(struct metal_cpu *cpu)
{
	if (!idt[0].kind)
		idt_fill();
	tss_fill(cpu);
	tables_load(cpu);
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss; mov %1, %%fs; mov %1, %%gs"
			 :
			 : "r"(SEL_DATA), "r"(0));
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
	wrmsr(MSR_GS_BASE, (u64)cpu);
}

/* ---- last words ---- */

struct symbol {
	u32 offset; /* from the image's begin */
	u32 name; /* in the text behind the table */
};

/* symbols.S, made by tools/symbols from the linked image. */
extern const u32 symbol_count;
extern const struct symbol symbol_table[];
extern const char symbol_text[];
extern char image_begin[], rodata_begin[];

const char *symbol_at(u64 address, u64 *offset)
{
	u32 low = 0, high = symbol_count;

	if (address < (u64)image_begin || address >= (u64)rodata_begin)
		return NULL;
	while (low + 1 < high) {
		u32 middle = (low + high) / 2;

		if (symbol_table[middle].offset <= address - (u64)image_begin)
			low = middle;
		else
			high = middle;
	}
	if (!symbol_count)
		return NULL;
	*offset = address - (u64)image_begin - symbol_table[low].offset;
	return symbol_text + symbol_table[low].name;
}

static void backtrace_line(u64 rip)
{
	u64 offset = 0;
	const char *name = symbol_at(rip, &offset);

	say_error("  %#016llx %s+%#llx", rip, name ? name : "?", offset);
}

static bool is_stack(u64 rbp)
{
	return !(rbp & 7) &&
	       (rbp >= DIRECT_BASE || (rbp >= IMAGE_BASE && rbp < IMAGE_BASE + 0x400000));
}

void backtrace(u64 rip, u64 rbp)
{
	say_error("calls, the innermost first:");
	backtrace_line(rip);
	for (u32 depth = 0; depth < 24 && is_stack(rbp); depth++) {
		const u64 *frame = (const u64 *)rbp;

		if (!frame[1])
			break;
		backtrace_line(frame[1]);
		if (frame[0] <= rbp)
			break;
		rbp = frame[0];
	}
}

static _Noreturn void the_end(void)
{
	smp_stop_others();
	if (options.noreboot) {
		say_error("stopped: 'noreboot' is given. Reset the machine by hand.");
		machine_halt();
	}
	say_error("the machine starts again in 5 seconds");
	delay_us(5000000);
	machine_reboot();
}

void panic(const char *format, ...)
{
	char text[256];
	va_list arguments;

	irq_off();
	console_panic();
	va_start(arguments, format);
	bv_format_v(text, sizeof(text), format, arguments);
	va_end(arguments);
	say_error("THE HYPERVISOR HAS FAILED: %s", text);
	backtrace((u64)__builtin_return_address(0), (u64)__builtin_frame_address(0));
	the_end();
}

void bv_host_bug(const char *file, int line, const char *text)
{
	irq_off();
	console_panic();
	say_error("THE HYPERVISOR HAS FAILED: %s:%d: not so: %s", file, line, text);
	backtrace((u64)__builtin_return_address(0), *(u64 *)__builtin_frame_address(0));
	the_end();
}

static _Noreturn void fatal(const struct trap_frame *frame)
{
	static const char *const names[] = {
		"divide error",
		"debug",
		"NMI",
		"breakpoint",
		"overflow",
		"bound",
		"invalid opcode",
		"no FPU",
		"double fault",
		"",
		"invalid TSS",
		"segment not present",
		"stack",
		"general protection",
		"page fault",
	};

	irq_off();
	console_panic();
	if (frame->vector == TRAP_NMI && watchdog_suspects())
		say_error("THE HYPERVISOR HAS FAILED: the watchdog finds that CPU %u is stuck",
			  this_cpu()->index);
	else
		say_error("THE HYPERVISOR HAS FAILED: exception %llu (%s), error %#llx, on CPU %u",
			  frame->vector,
			  frame->vector < BV_ARRAY_SIZE(names) ? names[frame->vector] : "",
			  frame->error, this_cpu()->index);
	say_error("rip %#016llx rsp %#016llx rflags %#llx cr2 %#llx cs %#llx", frame->rip,
		  frame->rsp, frame->rflags, read_cr2(), frame->cs);
	say_error("rax %#016llx rbx %#016llx rcx %#016llx rdx %#016llx", frame->rax, frame->rbx,
		  frame->rcx, frame->rdx);
	say_error("rsi %#016llx rdi %#016llx rbp %#016llx r8  %#016llx", frame->rsi, frame->rdi,
		  frame->rbp, frame->r8);
	say_error("r9  %#016llx r10 %#016llx r11 %#016llx r12 %#016llx", frame->r9, frame->r10,
		  frame->r11, frame->r12);
	say_error("r13 %#016llx r14 %#016llx r15 %#016llx thread %s", frame->r13, frame->r14,
		  frame->r15, this_cpu()->current ? this_cpu()->current->name : "none");
	backtrace(frame->rip, frame->rbp);
	the_end();
}

/* ---- interrupts ---- */

void metal_trap(struct trap_frame *frame);

static void interrupt(u8 vector)
{
	switch (vector) {
	case VECTOR_TIMER:
		apic_eoi();
		timer_interrupt();
		break;
	case VECTOR_WAKE:
		apic_eoi();
		break;
	case VECTOR_CALL:
		apic_eoi();
		smp_call_interrupt();
		break;
	case VECTOR_SERIAL:
		apic_eoi();
		console_interrupt();
		break;
	case VECTOR_STOP:
		machine_halt();
	case VECTOR_SPURIOUS:
		break;
	default:
		passthrough_interrupt(vector);
		break;
	}
}

void metal_trap(struct trap_frame *frame)
{
	if (frame->vector < 32)
		fatal(frame);
	interrupt((u8)frame->vector);
}
