// SPDX-License-Identifier: GPL-2.0-or-later
/* A guest's own guests, by AMD-V: see svm.h. */
#include "svm.h"
#include "cpu.h"
#include "paging.h"
#include "trap.h"

#define STACK 8192

bool svm_begin(void)
{
	static void *host_save;

	if (cpuid(0x80000000, 0).eax < 0x8000000a || !(cpuid(0x80000001, 0).ecx & 4)) {
		check_skip("no AMD-V here");
		return false;
	}
	if (!host_save)
		host_save = page_alloc();
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, (u64)host_save);
	return true;
}

void svm_intercept(struct vmcb *vmcb, u32 code, bool on)
{
	u32 bit = 1u << code % 32;

	vmcb->intercept[code / 32] &= ~bit;
	if (on)
		vmcb->intercept[code / 32] |= bit;
}

static struct vmcb_seg table(const char *which)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) value;

	if (*which == 'g')
		__asm__ volatile("sgdt %0" : "=m"(value));
	else
		__asm__ volatile("sidt %0" : "=m"(value));
	return (struct vmcb_seg){ .limit = value.limit, .base = value.base };
}

struct vmcb *svm_guest(void (*code)(void))
{
	static const struct vmcb_seg data = { SEL_KDATA, 0xc93, 0xffffffff, 0 };
	struct vmcb *vmcb = page_alloc();
	u8 *stack = pages_alloc(STACK / GUEST_PAGE_SIZE, GUEST_PAGE_SIZE);

	svm_intercept(vmcb, EXIT_VMRUN, true);
	svm_intercept(vmcb, EXIT_VMMCALL, true);
	vmcb->asid = 1;
	vmcb->cs = (struct vmcb_seg){ SEL_KCODE, 0xa9b, 0xffffffff, 0 };
	vmcb->ss = vmcb->ds = vmcb->es = data;
	vmcb->gdtr = table("gdt");
	vmcb->idtr = table("idt");
	vmcb->efer = rdmsr(MSR_EFER);
	vmcb->cr0 = read_cr0();
	vmcb->cr3 = read_cr3();
	vmcb->cr4 = read_cr4();
	vmcb->dr6 = 0xffff0ff0;
	vmcb->dr7 = 0x400;
	vmcb->rflags = 2;
	vmcb->g_pat = 0x0007040600070406ull;
	vmcb->rip = (u64)code;
	/* As after a call: the ABI's alignment. */
	vmcb->rsp = (u64)stack + STACK - 8;
	return vmcb;
}

/* What VMRUN leaves to software: RAX and RSP are the VMCB's. */
static u64 registers[14];

void svm_run_held(struct vmcb *vmcb)
{
	static struct vmcb *last;

	if (vmcb != last)
		memset(registers, 0, sizeof(registers));
	last = vmcb;
	__asm__ volatile("push %%rbp\n\t"
			 "mov registers, %%rbx\n\t"
			 "mov registers+8, %%rcx\n\t"
			 "mov registers+16, %%rdx\n\t"
			 "mov registers+24, %%rsi\n\t"
			 "mov registers+32, %%rdi\n\t"
			 "mov registers+40, %%rbp\n\t"
			 "mov registers+48, %%r8\n\t"
			 "mov registers+56, %%r9\n\t"
			 "mov registers+64, %%r10\n\t"
			 "mov registers+72, %%r11\n\t"
			 "mov registers+80, %%r12\n\t"
			 "mov registers+88, %%r13\n\t"
			 "mov registers+96, %%r14\n\t"
			 "mov registers+104, %%r15\n\t"
			 "clgi\n\t"
			 "vmrun %%rax\n\t"
			 "mov %%rbx, registers\n\t"
			 "mov %%rcx, registers+8\n\t"
			 "mov %%rdx, registers+16\n\t"
			 "mov %%rsi, registers+24\n\t"
			 "mov %%rdi, registers+32\n\t"
			 "mov %%rbp, registers+40\n\t"
			 "mov %%r8, registers+48\n\t"
			 "mov %%r9, registers+56\n\t"
			 "mov %%r10, registers+64\n\t"
			 "mov %%r11, registers+72\n\t"
			 "mov %%r12, registers+80\n\t"
			 "mov %%r13, registers+88\n\t"
			 "mov %%r14, registers+96\n\t"
			 "mov %%r15, registers+104\n\t"
			 "pop %%rbp"
			 : "+a"(vmcb)
			 :
			 : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
			   "r13", "r14", "r15", "memory", "cc");
}

u64 svm_run(struct vmcb *vmcb)
{
	svm_run_held(vmcb);
	svm_stgi();
	/* Some write 32 bits of this code alone. */
	return (u32)vmcb->exit_code == 0xffffffff ? EXIT_INVALID : vmcb->exit_code;
}
