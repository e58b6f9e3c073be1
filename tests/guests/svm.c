// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest that runs guests by AMD-V: what VMRUN takes and refuses, which exits come with what,
 * events and interrupts, and nested paging.
 */
#include "apic.h"
#include "cpu.h"
#include "paging.h"
#include "svm.h"
#include "trap.h"

#define VECTOR 0x61
#define PORT 0xed

static volatile u64 seen, wanted;

/* ---- in and out ---- */

static void guest_calls(void)
{
	seen = 0x1234;
	svm_vmmcall();
	seen = 0x5678;
	svm_vmmcall();
}

static void a_guest_runs_and_calls(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = svm_guest(guest_calls);
	vmcb->rax = 0x1111;
	seen = 0;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 0x1234);
	CHECK_EQ(vmcb->exit_int_info & EVENT_VALID, 0);
	CHECK_EQ(*(u8 *)vmcb->rip, 0x0f);
	/* The exit is before the instruction: who goes on passes it. */
	vmcb->rip += 3;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 0x5678);
}

static void run_without_svme(void *argument)
{
	__asm__ volatile("vmrun %%rax" ::"a"(argument) : "memory");
}

static void stgi_only(void *argument)
{
	(void)argument;
	svm_stgi();
}

static void instructions_need_svme_and_a_page(void)
{
	if (!svm_begin())
		return;
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(u64)EFER_SVME);
	CHECK_EQ(fault_of(run_without_svme, page_alloc()).vector, TRAP_UD);
	CHECK_EQ(fault_of(stgi_only, NULL).vector, TRAP_UD);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	CHECK_EQ(fault_of(run_without_svme, (u8 *)page_alloc() + 8).vector, TRAP_GP);
	CHECK_EQ(fault_of(stgi_only, NULL).vector, TRAP_NONE);
}

static void its_msrs(void)
{
	u64 value;

	if (!svm_begin())
		return;
	CHECK_EQ(try_rdmsr(MSR_VM_CR, &value), TRAP_NONE);
	CHECK_EQ(value & 0x18, 0);
	CHECK_EQ(try_rdmsr(MSR_VM_HSAVE_PA, &value), TRAP_NONE);
	CHECK(value);
	CHECK_EQ(try_wrmsr(MSR_VM_HSAVE_PA, value | 8), TRAP_GP);
	CHECK_EQ(cpuid(0x8000000a, 0).eax & 0xff, 1);
	CHECK(cpuid(0x8000000a, 0).ebx > 1);
	CHECK(cpuid(0x8000000a, 0).edx & 1);
}

static void spoil(struct vmcb *vmcb, u32 which)
{
	switch (which) {
	case 0:
		svm_intercept(vmcb, EXIT_VMRUN, false);
		break;
	case 1:
		vmcb->asid = 0;
		break;
	case 2:
		vmcb->efer &= ~(u64)EFER_SVME;
		break;
	case 3:
		vmcb->cr0 = (vmcb->cr0 & ~(u64)CR0_CD) | CR0_NW;
		break;
	case 4:
		vmcb->cr0 |= 1ull << 32;
		break;
	case 5:
		vmcb->cr4 |= 1ull << 40;
		break;
	case 6:
		vmcb->dr6 |= 1ull << 32;
		break;
	case 7:
		vmcb->dr7 |= 1ull << 32;
		break;
	case 8:
		vmcb->efer |= 1ull << 40;
		break;
	case 9:
		vmcb->cr4 &= ~(u64)CR4_PAE;
		break;
	case 10:
		vmcb->cr0 &= ~(u64)CR0_PE;
		break;
	case 11:
		vmcb->cs.attr |= 1u << 10;
		break;
	case 12:
		svm_intercept(vmcb, EXIT_MSR, true);
		vmcb->msrpm = 1ull << 52;
		break;
	case 13:
		svm_intercept(vmcb, EXIT_IOIO, true);
		vmcb->iopm = 1ull << 52;
		break;
	case 14:
		vmcb->event_inj = EVENT_VALID | 1u << 8 | 3;
		break;
	default:
		vmcb->event_inj = EVENT_VALID | EVENT_EXCEPTION | TRAP_NMI;
		break;
	}
}

static void vmrun_refuses(u32 which)
{
	struct vmcb *vmcb = svm_guest(guest_calls);

	spoil(vmcb, which);
	seen = 0;
	if (svm_run(vmcb) == EXIT_INVALID)
		CHECK(true);
	else
		check_equal(vmcb->exit_code, which, __LINE__, "an exit's code, of this case");
	CHECK_EQ(seen, 0);
}

static void vmrun_refuses_what_it_must(void)
{
	if (!svm_begin())
		return;
	for (u32 which = 0; which <= 13; which++)
		vmrun_refuses(which);
}

static void vmrun_refuses_bad_events(void)
{
	if (!svm_begin())
		return;
	vmrun_refuses(14);
	vmrun_refuses(15);
}

/* ---- intercepts ---- */

static void guest_cpuid(void)
{
	seen = cpuid(0x80000000, 0).ebx;
	svm_vmmcall();
}

static void cpuid_exits_if_wanted(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = svm_guest(guest_cpuid);
	seen = 0;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, cpuid(0x80000000, 0).ebx);
	vmcb = svm_guest(guest_cpuid);
	svm_intercept(vmcb, EXIT_CPUID, true);
	CHECK_EQ(svm_run(vmcb), EXIT_CPUID);
	CHECK_EQ(vmcb->rax, 0x80000000);
	CHECK_EQ(*(u8 *)vmcb->rip, 0x0f);
}

static void guest_port(void)
{
	outb(PORT, 0x42);
	svm_vmmcall();
}

static void ports_exit_by_the_map(void)
{
	struct vmcb *vmcb;
	u8 *map;

	if (!svm_begin())
		return;
	map = pages_alloc(3, GUEST_PAGE_SIZE);
	memset(map, 0, 3 * GUEST_PAGE_SIZE);
	vmcb = svm_guest(guest_port);
	vmcb->iopm = (u64)map;
	svm_intercept(vmcb, EXIT_IOIO, true);
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	map[PORT / 8] |= 1u << PORT % 8;
	vmcb = svm_guest(guest_port);
	vmcb->iopm = (u64)map;
	svm_intercept(vmcb, EXIT_IOIO, true);
	CHECK_EQ(svm_run(vmcb), EXIT_IOIO);
	CHECK_EQ(vmcb->exit_info_1 >> 16, PORT);
	/* OUT of one byte. */
	CHECK_EQ(vmcb->exit_info_1 & 0x7d, 0x10);
	CHECK(vmcb->exit_info_2 > vmcb->rip && vmcb->exit_info_2 <= vmcb->rip + 2);
	CHECK_EQ(vmcb->rax & 0xff, 0x42);
	vmcb->rip = vmcb->exit_info_2;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
}

static void guest_msr(void)
{
	wrmsr(MSR_STAR, 0x123400000000);
	seen = rdmsr(MSR_STAR);
	svm_vmmcall();
}

static void msrs_exit_by_the_map(void)
{
	struct vmcb *vmcb;
	u64 old = rdmsr(MSR_STAR);
	u8 *map;

	if (!svm_begin())
		return;
	map = pages_alloc(2, GUEST_PAGE_SIZE);
	memset(map, 0, 2 * GUEST_PAGE_SIZE);
	vmcb = svm_guest(guest_msr);
	vmcb->msrpm = (u64)map;
	svm_intercept(vmcb, EXIT_MSR, true);
	seen = 0;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 0x123400000000);
	/* VMRUN and #VMEXIT leave it alone. */
	CHECK_EQ(rdmsr(MSR_STAR), 0x123400000000);
	wrmsr(MSR_STAR, old);
	/* Its writes exit: the second of its two bits in the second range. */
	map[0x800 + 0x81 * 2 / 8] |= 2u << 0x81 * 2 % 8;
	vmcb = svm_guest(guest_msr);
	vmcb->msrpm = (u64)map;
	svm_intercept(vmcb, EXIT_MSR, true);
	CHECK_EQ(svm_run(vmcb), EXIT_MSR);
	CHECK_EQ(vmcb->exit_info_1, 1);
	vmcb->rip += 2;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, old);
}

static void guest_breaks(void)
{
	__asm__ volatile("ud2");
}

static void guest_reads_nothing(void)
{
	*(volatile u32 *)TEST_VA = 1;
}

static void exceptions_exit_if_wanted(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = svm_guest(guest_breaks);
	svm_intercept(vmcb, EXIT_EXCEPTION + TRAP_UD, true);
	CHECK_EQ(svm_run(vmcb), EXIT_EXCEPTION + TRAP_UD);
	vmcb = svm_guest(guest_reads_nothing);
	vmcb->cr2 = 0x5555;
	svm_intercept(vmcb, EXIT_EXCEPTION + TRAP_PF, true);
	CHECK_EQ(svm_run(vmcb), EXIT_EXCEPTION + TRAP_PF);
	CHECK_EQ(vmcb->exit_info_1, PF_W);
	CHECK_EQ(vmcb->exit_info_2, TEST_VA);
	CHECK_EQ(vmcb->cr2, 0x5555);
}

static void guest_without_idt(void)
{
	__asm__ volatile("ud2");
}

static void a_triple_fault_is_a_shutdown(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = svm_guest(guest_without_idt);
	vmcb->idtr.limit = 0;
	svm_intercept(vmcb, EXIT_SHUTDOWN, true);
	CHECK_EQ(svm_run(vmcb), EXIT_SHUTDOWN);
}

static void guest_vmload(void)
{
	__asm__ volatile("vmload %%rax" ::"a"(0) : "memory");
}

static void its_own_guests_are_intercepted(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = svm_guest(guest_vmload);
	svm_intercept(vmcb, EXIT_VMLOAD, true);
	CHECK_EQ(svm_run(vmcb), EXIT_VMLOAD);
}

static void vmload_and_vmsave(void)
{
	struct vmcb *a, *b;
	u64 star = rdmsr(MSR_STAR), kernel_gs = rdmsr(MSR_KERNEL_GS_BASE);

	if (!svm_begin())
		return;
	a = page_alloc();
	b = page_alloc();
	__asm__ volatile("vmsave %%rax" ::"a"(a) : "memory");
	CHECK_EQ(a->gs.base, rdmsr(MSR_GS_BASE));
	CHECK_EQ(a->star, star);
	CHECK_EQ(a->rax, 0);
	*b = *a;
	b->star = 0x777700000000;
	b->kernel_gs_base = 0x123000;
	b->fs.base = 0x456000;
	__asm__ volatile("vmload %%rax" ::"a"(b) : "memory");
	CHECK_EQ(rdmsr(MSR_STAR), 0x777700000000);
	CHECK_EQ(rdmsr(MSR_KERNEL_GS_BASE), 0x123000);
	CHECK_EQ(rdmsr(MSR_FS_BASE), 0x456000);
	__asm__ volatile("vmload %%rax" ::"a"(a) : "memory");
	CHECK_EQ(rdmsr(MSR_KERNEL_GS_BASE), kernel_gs);
}

static void guest_time(void)
{
	seen = rdtsc();
	svm_vmmcall();
}

static void the_tsc_has_an_offset(void)
{
	struct vmcb *vmcb;
	u64 before, after;

	if (!svm_begin())
		return;
	vmcb = svm_guest(guest_time);
	vmcb->tsc_offset = 1ull << 50;
	before = rdtsc();
	svm_run(vmcb);
	after = rdtsc();
	CHECK(seen - (1ull << 50) >= before && seen - (1ull << 50) <= after);
}

/* ---- events ---- */

static struct gate *guest_idt;

/* Handlers of the guest: they say what came and call. */
extern const u8 guest_handler[], guest_handler_error[];
__asm__(".text\n"
	"guest_handler:\n"
	"	movq $1, seen\n"
	"	vmmcall\n"
	"	iretq\n"
	"guest_handler_error:\n"
	"	popq seen\n"
	"	vmmcall\n"
	"	iretq\n");

static void guest_gate(struct vmcb *vmcb, u32 vector, const u8 *handler)
{
	u64 at = (u64)handler;

	if (!guest_idt)
		guest_idt = page_alloc();
	guest_idt[vector] = (struct gate){ .offset_low = at,
					   .selector = SEL_KCODE,
					   .type = GATE_INTERRUPT,
					   .offset_mid = at >> 16,
					   .offset_high = at >> 32 };
	vmcb->idtr = (struct vmcb_seg){ .limit = 4095, .base = (u64)guest_idt };
}

static void events_are_injected(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = svm_guest(guest_calls);
	guest_gate(vmcb, VECTOR, guest_handler);
	vmcb->rflags |= RFLAGS_IF;
	vmcb->event_inj = EVENT_VALID | EVENT_IRQ | VECTOR;
	seen = 0;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 1);
	CHECK_EQ(vmcb->event_inj & EVENT_VALID, 0);
	vmcb->rip += 3;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 0x1234);

	vmcb = svm_guest(guest_calls);
	guest_gate(vmcb, TRAP_GP, guest_handler_error);
	vmcb->event_inj = EVENT_VALID | EVENT_EXCEPTION | EVENT_ERROR | TRAP_GP | 0x458ull << 32;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 0x458);
	vmcb->rip += 3;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 0x1234);
}

static void guest_waits(void)
{
	cpu_sti();
	while (!seen)
		cpu_pause();
	svm_vmmcall();
}

static volatile u32 irqs;

static void on_irq(struct trap_frame *frame)
{
	(void)frame;
	irqs++;
	apic_eoi();
}

static void self_ipi(void)
{
	apic_ipi_shorthand(ICR_SELF | ICR_FIXED | VECTOR);
}

static void held_interrupts_wait(void)
{
	if (!svm_begin())
		return;
	apic_init_cpu();
	trap_handle(VECTOR, on_irq);
	irqs = 0;
	cpu_sti();
	svm_clgi();
	self_ipi();
	for (u32 i = 0; i < 100; i++)
		cpu_pause();
	CHECK_EQ(irqs, 0);
	svm_stgi();
	CHECK(wait_for(&irqs, 1, LONG_WAIT));
	cpu_cli();
	trap_handle(VECTOR, NULL);
}

/* What is pending ends the guest at once where interrupts are intercepted, and waits for STGI. */
static void interrupts_end_the_guest(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	apic_init_cpu();
	trap_handle(VECTOR, on_irq);
	vmcb = svm_guest(guest_waits);
	svm_intercept(vmcb, EXIT_INTR, true);
	vmcb->int_ctl = INT_V_MASKING;
	irqs = 0;
	seen = 0;
	svm_clgi();
	cpu_sti();
	self_ipi();
	svm_run_held(vmcb);
	CHECK_EQ(vmcb->exit_code, EXIT_INTR);
	CHECK_EQ(irqs, 0);
	svm_stgi();
	CHECK(wait_for(&irqs, 1, LONG_WAIT));
	/* With our own flag off it waits until the guest has ended. */
	cpu_cli();
	self_ipi();
	seen = 1;
	svm_run_held(vmcb);
	CHECK_EQ(vmcb->exit_code, EXIT_VMMCALL);
	CHECK_EQ(irqs, 1);
	svm_stgi();
	cpu_sti();
	CHECK(wait_for(&irqs, 2, LONG_WAIT));
	CHECK_EQ(irqs, 2);
	cpu_cli();
	trap_handle(VECTOR, NULL);
}

/* Without V_INTR_MASKING the guest's flag counts. */
static void the_guests_flag_opens_the_window(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	apic_init_cpu();
	trap_handle(VECTOR, on_irq);
	vmcb = svm_guest(guest_waits);
	svm_intercept(vmcb, EXIT_INTR, true);
	irqs = 0;
	seen = 0;
	svm_clgi();
	self_ipi();
	svm_run_held(vmcb);
	CHECK_EQ(vmcb->exit_code, EXIT_INTR);
	CHECK(vmcb->rflags & RFLAGS_IF);
	CHECK(vmcb->rip > (u64)guest_waits);
	svm_stgi();
	cpu_window();
	CHECK_EQ(irqs, 1);
	trap_handle(VECTOR, NULL);
}

/* Not intercepted, an interrupt is the guest's. */
static void interrupts_go_to_the_guest(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	apic_init_cpu();
	vmcb = svm_guest(guest_waits);
	guest_gate(vmcb, VECTOR, guest_handler);
	seen = 0;
	svm_clgi();
	self_ipi();
	svm_run_held(vmcb);
	CHECK_EQ(vmcb->exit_code, EXIT_VMMCALL);
	CHECK_EQ(seen, 1);
	apic_eoi();
	svm_stgi();
}

static void virtual_interrupts(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = svm_guest(guest_waits);
	guest_gate(vmcb, VECTOR, guest_handler);
	vmcb->int_ctl = INT_V_MASKING | INT_V_IRQ | INT_V_IGN_TPR | 0xf << INT_V_PRIO_SHIFT;
	vmcb->int_vector = VECTOR;
	seen = 0;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 1);
	CHECK_EQ(vmcb->int_ctl & INT_V_IRQ, 0);

	vmcb = svm_guest(guest_waits);
	guest_gate(vmcb, VECTOR, guest_handler);
	vmcb->int_ctl = INT_V_MASKING | INT_V_IRQ | INT_V_IGN_TPR | 0xf << INT_V_PRIO_SHIFT;
	vmcb->int_vector = VECTOR;
	svm_intercept(vmcb, EXIT_VINTR, true);
	seen = 0;
	CHECK_EQ(svm_run(vmcb), EXIT_VINTR);
	CHECK_EQ(seen, 0);
	CHECK(vmcb->rflags & RFLAGS_IF);
}

static void guest_priority(void)
{
	seen = read_cr8();
	write_cr8(5);
	svm_vmmcall();
}

static void a_task_priority_of_its_own(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = svm_guest(guest_priority);
	write_cr8(2);
	vmcb->int_ctl = INT_V_MASKING | 9;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 9);
	CHECK_EQ(vmcb->int_ctl & INT_V_TPR, 5);
	CHECK_EQ(read_cr8(), 2);
	vmcb = svm_guest(guest_priority);
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 2);
	CHECK_EQ(read_cr8(), 5);
	write_cr8(0);
}

static void guest_halts(void)
{
	__asm__ volatile("sti; hlt");
	svm_vmmcall();
}

static void halting(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = svm_guest(guest_halts);
	svm_intercept(vmcb, EXIT_HLT, true);
	CHECK_EQ(svm_run(vmcb), EXIT_HLT);
	CHECK_EQ(*(u8 *)vmcb->rip, 0xf4);
}

/* ---- nested paging ---- */

static u64 *nested_pml4;
static u64 *nested_pages; /* 4 KiB entries of the 2 MiB in which `window` lies */
static u8 *window; /* two pages that the tests map as they like */

/* One to one, in pages of 2 MiB but for one, which has a table. */
static void nested_tables(void)
{
	u64 *directories, base;

	if (nested_pml4)
		return;
	window = pages_alloc(512, 2u << 20);
	nested_pml4 = page_alloc();
	nested_pages = page_alloc();
	directories = page_alloc();
	nested_pml4[0] = (u64)directories | PTE_P | PTE_W | PTE_U;
	for (u64 i = 0; i < 4; i++) {
		u64 *directory = page_alloc();

		directories[i] = (u64)directory | PTE_P | PTE_W | PTE_U;
		for (u64 j = 0; j < 512; j++)
			directory[j] = i << 30 | j << 21 | PTE_P | PTE_W | PTE_U | PTE_PS;
		base = (u64)window >> 21;
		if (base >> 9 == i)
			directory[base & 511] = (u64)nested_pages | PTE_P | PTE_W | PTE_U;
	}
	for (u64 i = 0; i < 512; i++)
		nested_pages[i] = ((u64)window + i * GUEST_PAGE_SIZE) | PTE_P | PTE_W | PTE_U;
}

static struct vmcb *nested_guest(void (*code)(void))
{
	struct vmcb *vmcb = svm_guest(code);

	nested_tables();
	for (u64 i = 0; i < 4; i++)
		nested_pages[i] = ((u64)window + i * GUEST_PAGE_SIZE) | PTE_P | PTE_W | PTE_U;
	vmcb->np_enable = 1;
	vmcb->n_cr3 = (u64)nested_pml4;
	vmcb->tlb_control = 1;
	return vmcb;
}

static void guest_reads(void)
{
	for (;;) {
		seen = *(volatile u64 *)window;
		svm_vmmcall();
	}
}

static void guest_writes(void)
{
	for (;;) {
		*(volatile u64 *)window = wanted;
		svm_vmmcall();
	}
}

static void a_nested_table_leads_elsewhere(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = nested_guest(guest_reads);
	*(u64 *)window = 0xaaaa;
	*(u64 *)(window + GUEST_PAGE_SIZE) = 0xbbbb;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 0xaaaa);
	CHECK(nested_pages[0] & PTE_A);
	CHECK(!(nested_pages[0] & PTE_D));
	/* Another page, after a flush. */
	nested_pages[0] = ((u64)window + GUEST_PAGE_SIZE) | PTE_P | PTE_W | PTE_U;
	vmcb->rip += 3;
	vmcb->tlb_control = 1;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 0xbbbb);
	/* And back, with another ASID. */
	nested_pages[0] = (u64)window | PTE_P | PTE_W | PTE_U;
	vmcb->rip += 3;
	vmcb->tlb_control = 0;
	vmcb->asid = 2;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 0xaaaa);
}

static void writes_go_through_it(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = nested_guest(guest_writes);
	nested_pages[0] = ((u64)window + 2 * GUEST_PAGE_SIZE) | PTE_P | PTE_W | PTE_U;
	*(u64 *)window = 1;
	wanted = 0xcccc;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(*(u64 *)window, 1);
	CHECK_EQ(*(u64 *)(window + 2 * GUEST_PAGE_SIZE), 0xcccc);
	CHECK(nested_pages[0] & PTE_D);
}

static void what_it_lacks_is_a_nested_fault(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = nested_guest(guest_reads);
	nested_pages[0] = 0;
	CHECK_EQ(svm_run(vmcb), EXIT_NPF);
	CHECK_EQ(vmcb->exit_info_1, NPF_FINAL | PF_U);
	CHECK_EQ(vmcb->exit_info_2, window);
	*(u64 *)window = 0xdddd;
	nested_pages[0] = (u64)window | PTE_P | PTE_W | PTE_U;
	vmcb->tlb_control = 0;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 0xdddd);
}

static void what_it_forbids_is_a_nested_fault(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = nested_guest(guest_writes);
	nested_pages[0] = (u64)window | PTE_P | PTE_U;
	*(u64 *)window = 1;
	wanted = 2;
	CHECK_EQ(svm_run(vmcb), EXIT_NPF);
	CHECK_EQ(vmcb->exit_info_1, NPF_FINAL | PF_U | PF_W | PF_P);
	CHECK_EQ(*(u64 *)window, 1);
	/* A supervisor's page is none for a walk that counts as a user's. */
	nested_pages[0] = (u64)window | PTE_P | PTE_W;
	vmcb->tlb_control = 1;
	CHECK_EQ(svm_run(vmcb), EXIT_NPF);
	CHECK_EQ(vmcb->exit_info_1, NPF_FINAL | PF_U | PF_W | PF_P);
	nested_pages[0] = (u64)window | PTE_P | PTE_W | PTE_U;
	vmcb->tlb_control = 1;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(*(u64 *)window, 2);
}

static void code_can_be_forbidden(void)
{
	static const u8 call[] = { 0x0f, 0x01, 0xd9 };
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = nested_guest(guest_reads);
	memcpy(window, call, sizeof(call));
	nested_pages[0] = (u64)window | PTE_P | PTE_W | PTE_U | PTE_NX;
	vmcb->rip = (u64)window;
	CHECK_EQ(svm_run(vmcb), EXIT_NPF);
	CHECK_EQ(vmcb->exit_info_1, NPF_FINAL | PF_U | PF_I | PF_P);
	nested_pages[0] &= ~PTE_NX;
	vmcb->tlb_control = 1;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
}

/* The guest's own tables lie where the nested table leads to nothing. */
static void a_table_that_is_missing(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = nested_guest(guest_reads);
	memcpy(window, (void *)(read_cr3() & PTE_ADDR), GUEST_PAGE_SIZE);
	vmcb->cr3 = (u64)window;
	nested_pages[0] = 0;
	CHECK_EQ(svm_run(vmcb), EXIT_NPF);
	CHECK(vmcb->exit_info_1 & NPF_TABLE);
	CHECK_EQ(vmcb->exit_info_1 & PF_P, 0);
	CHECK_EQ(vmcb->exit_info_2 & PTE_ADDR, window);
	nested_pages[0] = (u64)window | PTE_P | PTE_W | PTE_U;
	vmcb->tlb_control = 1;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
}

static void guest_string(void)
{
	u64 count = 4;
	u8 *from = window;

	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(PORT) : "memory");
	seen = count;
	svm_vmmcall();
}

/* What its host does not intercept, ours carries out, through both tables. */
static void instructions_are_carried_out(void)
{
	struct vmcb *vmcb;

	if (!svm_begin())
		return;
	vmcb = nested_guest(guest_string);
	seen = 9;
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, 0);
	vmcb = nested_guest(guest_cpuid);
	CHECK_EQ(svm_run(vmcb), EXIT_VMMCALL);
	CHECK_EQ(seen, cpuid(0x80000000, 0).ebx);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(a_guest_runs_and_calls),
	GUEST_TEST(instructions_need_svme_and_a_page),
	GUEST_TEST(its_msrs),
	GUEST_TEST(vmrun_refuses_what_it_must),
	GUEST_TEST(vmrun_refuses_bad_events),
	GUEST_TEST(cpuid_exits_if_wanted),
	GUEST_TEST(ports_exit_by_the_map),
	GUEST_TEST(msrs_exit_by_the_map),
	GUEST_TEST(exceptions_exit_if_wanted),
	GUEST_TEST(a_triple_fault_is_a_shutdown),
	GUEST_TEST(its_own_guests_are_intercepted),
	GUEST_TEST(vmload_and_vmsave),
	GUEST_TEST(the_tsc_has_an_offset),
	GUEST_TEST(events_are_injected),
	GUEST_TEST(held_interrupts_wait),
	GUEST_TEST(interrupts_end_the_guest),
	GUEST_TEST(the_guests_flag_opens_the_window),
	GUEST_TEST(interrupts_go_to_the_guest),
	GUEST_TEST(virtual_interrupts),
	GUEST_TEST(a_task_priority_of_its_own),
	GUEST_TEST(halting),
	GUEST_TEST(a_nested_table_leads_elsewhere),
	GUEST_TEST(writes_go_through_it),
	GUEST_TEST(what_it_lacks_is_a_nested_fault),
	GUEST_TEST(what_it_forbids_is_a_nested_fault),
	GUEST_TEST(code_can_be_forbidden),
	GUEST_TEST(a_table_that_is_missing),
	GUEST_TEST(instructions_are_carried_out),
	GUEST_TESTS_END,
};
