/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Into the guest and back. What VMRUN does not switch is switched here, around it and with
 * interrupts off: general registers, what VMLOAD and VMSAVE cover, XCR0, PKRU and, for guests that
 * use them, DR0 to DR3. TSC_AUX is switched when the thread comes and goes. Manual: volume 2, 15.5,
 * 15.16 (ASIDs).
 */
#include "svm/svm.h"
#include "svm/svm_nested.h"
#include "x86/mitigate.h"
#include "x86/native.h"

/*
 * GIF is clear from CLGI to STGI: the host's interrupts and NMIs wait, or end the guest's run
 * because RFLAGS.IF is set when VMRUN saves it. The general registers are cleared on the way back,
 * so that no guest value is left for the host to speculate on. There are two, one with what
 * mitigations ask for.
 */
#define SVM_SWITCH(name, enter, leave)                                                         \
	static inline __attribute__((__always_inline__)) void name(struct bv_gprs *gprs,       \
								   u64 guest_pa, u64 host_pa)  \
	{                                                                                      \
		__asm__ volatile(                                                              \
			"push %%rbp\n\t"                                                       \
			"push %%rdx\n\t"                                                       \
			"push %%rdi\n\t"                                                       \
			"mov %%rsi, %%rax\n\t"                                                 \
			"mov %c[rcx](%%rdi), %%rcx\n\t"                                        \
			"mov %c[rdx](%%rdi), %%rdx\n\t"                                        \
			"mov %c[rbx](%%rdi), %%rbx\n\t"                                        \
			"mov %c[rbp](%%rdi), %%rbp\n\t"                                        \
			"mov %c[rsi](%%rdi), %%rsi\n\t"                                        \
			"mov %c[r8](%%rdi), %%r8\n\t"                                          \
			"mov %c[r9](%%rdi), %%r9\n\t"                                          \
			"mov %c[r10](%%rdi), %%r10\n\t"                                        \
			"mov %c[r11](%%rdi), %%r11\n\t"                                        \
			"mov %c[r12](%%rdi), %%r12\n\t"                                        \
			"mov %c[r13](%%rdi), %%r13\n\t"                                        \
			"mov %c[r14](%%rdi), %%r14\n\t"                                        \
			"mov %c[r15](%%rdi), %%r15\n\t"                                        \
			"mov %c[rdi](%%rdi), %%rdi\n\t" enter "clgi\n\t"                       \
			"sti\n\t"                                                              \
			"vmload %%rax\n\t"                                                     \
			"vmrun %%rax\n\t"                                                      \
			"vmsave %%rax\n\t"                                                     \
			"mov (%%rsp), %%rax\n\t"                                               \
			"mov %%rcx, %c[rcx](%%rax)\n\t"                                        \
			"mov %%rdx, %c[rdx](%%rax)\n\t"                                        \
			"mov %%rbx, %c[rbx](%%rax)\n\t"                                        \
			"mov %%rbp, %c[rbp](%%rax)\n\t"                                        \
			"mov %%rsi, %c[rsi](%%rax)\n\t"                                        \
			"mov %%rdi, %c[rdi](%%rax)\n\t"                                        \
			"mov %%r8, %c[r8](%%rax)\n\t"                                          \
			"mov %%r9, %c[r9](%%rax)\n\t"                                          \
			"mov %%r10, %c[r10](%%rax)\n\t"                                        \
			"mov %%r11, %c[r11](%%rax)\n\t"                                        \
			"mov %%r12, %c[r12](%%rax)\n\t"                                        \
			"mov %%r13, %c[r13](%%rax)\n\t"                                        \
			"mov %%r14, %c[r14](%%rax)\n\t"                                        \
			"mov %%r15, %c[r15](%%rax)\n\t"                                        \
			"mov 8(%%rsp), %%rax\n\t"                                              \
			"vmload %%rax\n\t" leave "cli\n\t"                                     \
			"stgi\n\t"                                                             \
			"xor %%ecx, %%ecx\n\t"                                                 \
			"xor %%ebx, %%ebx\n\t"                                                 \
			"xor %%esi, %%esi\n\t"                                                 \
			"xor %%r8d, %%r8d\n\t"                                                 \
			"xor %%r9d, %%r9d\n\t"                                                 \
			"xor %%r10d, %%r10d\n\t"                                               \
			"xor %%r11d, %%r11d\n\t"                                               \
			"xor %%r12d, %%r12d\n\t"                                               \
			"xor %%r13d, %%r13d\n\t"                                               \
			"xor %%r14d, %%r14d\n\t"                                               \
			"xor %%r15d, %%r15d\n\t"                                               \
			"pop %%rdi\n\t"                                                        \
			"pop %%rdx\n\t"                                                        \
			"pop %%rbp"                                                            \
			: "+D"(gprs), "+S"(guest_pa), "+d"(host_pa)                            \
			: [rcx] "i"(8 * BV_RCX), [rdx] "i"(8 * BV_RDX), [rbx] "i"(8 * BV_RBX), \
			  [rbp] "i"(8 * BV_RBP), [rsi] "i"(8 * BV_RSI), [rdi] "i"(8 * BV_RDI), \
			  [r8] "i"(8 * BV_R8), [r9] "i"(8 * BV_R9), [r10] "i"(8 * BV_R10),     \
			  [r11] "i"(8 * BV_R11), [r12] "i"(8 * BV_R12), [r13] "i"(8 * BV_R13), \
			  [r14] "i"(8 * BV_R14), [r15] "i"(8 * BV_R15), BV_MITIGATE_OPERANDS   \
			: "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",  \
			  "r15", "cc", "memory");                                              \
	}

SVM_SWITCH(switch_plain, "", "")
SVM_SWITCH(switch_mitigated, BV_MITIGATE_ENTER_ASM, BV_MITIGATE_EXIT_ASM)

BV_STATIC_ASSERT(offsetof(struct bv_gprs, gpr) == 0);

/*
 * A new ASID of this CPU has no translations; when they run out, all are flushed and counting
 * begins again. Others can take ASIDs only while this vCPU is not loaded: whether its own is still
 * good is looked at when it is.
 */
static void svm_asid_take(struct svm_vcpu *own, struct svm_cpu *cpu, u32 number)
{
	struct svm_vmcb *vmcb = own->vmcb;

	if (cpu->asid_next >= svm.asids) {
		cpu->asid_next = 1;
		cpu->asid_generation++;
		vmcb->tlb_control = SVM_TLB_ALL;
	}
	own->asid_cpu = number;
	own->asid_generation = cpu->asid_generation;
	vmcb->asid = cpu->asid_next++;
	vmcb->clean &= ~SVM_CLEAN_ASID;
}

static void svm_asid_prepare(struct bv_vcpu *vcpu, struct svm_vcpu *own, struct svm_cpu *cpu)
{
	if (own->before & SVM_BEFORE_ASID || !(svm.features & SVM_FEATURE_FLUSH_ASID))
		svm_asid_take(own, cpu, vcpu->cpu);
	else
		own->vmcb->tlb_control = SVM_TLB_ASID;
	own->before &= ~(SVM_BEFORE_ASID | SVM_BEFORE_FLUSH);
}

static void svm_before(struct bv_vcpu *vcpu, struct svm_vcpu *own, struct svm_cpu *cpu)
{
	if (own->before & (SVM_BEFORE_ASID | SVM_BEFORE_FLUSH))
		svm_asid_prepare(vcpu, own, cpu);
	if (bv_unlikely(own->before & SVM_BEFORE_L2))
		svm_l2_before(vcpu);
}

/* Where more is to be done than to look at the exit. */
static void svm_after(struct bv_vcpu *vcpu, struct svm_vcpu *own)
{
	if (own->after & SVM_AFTER_OFFER)
		vcpu->exit.offer_taken = svm_offer_end(vcpu);
	svm_exit_decode(vcpu);
	if (bv_unlikely(own->after & SVM_AFTER_L2))
		svm_l2_after(vcpu);
}

/*
 * XCR0 is the guest's whenever the guest runs: it may set CR4.OSXSAVE and read it without an exit.
 * XSETBV exits, so that it should come back as it went; but one emulator of AMD-V lets XSETBV
 * through. What the processor has is what counts: the guest keeps it, and the host gets its own
 * back.
 */
static void svm_xcr0_enter(const struct bv_vcpu *vcpu)
{
	if (bv_unlikely(vcpu->xcr0 != svm.host_xcr0) && svm.host_xcr0)
		native_xsetbv(0, vcpu->xcr0);
}

static void svm_xcr0_leave(struct bv_vcpu *vcpu)
{
	if (!svm.host_xcr0)
		return;
	vcpu->xcr0 = native_xgetbv(0);
	if (bv_unlikely(vcpu->xcr0 != svm.host_xcr0))
		native_xsetbv(0, svm.host_xcr0);
}

static void svm_debug_load(struct bv_vcpu *vcpu, struct svm_vmcb *vmcb)
{
	const u64 *db = vcpu->db;

	if (vcpu->debug.hard_breakpoints) {
		db = vcpu->debug.db;
		vmcb->dr7 = vcpu->debug.dr7;
		vmcb->clean &= ~SVM_CLEAN_DR;
	}
	native_write_dr0(db[0]);
	native_write_dr1(db[1]);
	native_write_dr2(db[2]);
	native_write_dr3(db[3]);
}

static void svm_debug_store(struct bv_vcpu *vcpu)
{
	if (vcpu->debug.hard_breakpoints)
		return;
	vcpu->db[0] = native_read_dr0();
	vcpu->db[1] = native_read_dr1();
	vcpu->db[2] = native_read_dr2();
	vcpu->db[3] = native_read_dr3();
}

/* The parts that few guests have: done around the world switch only where needed. */
static bool svm_has_extras(const struct bv_vcpu *vcpu)
{
	return svm.has_pku || vcpu->dr_live || vcpu->debug.hard_breakpoints;
}

/* Returns the host's PKRU. */
static __attribute__((__noinline__)) u32 svm_extras_enter(struct bv_vcpu *vcpu,
							  struct svm_vmcb *vmcb)
{
	u32 host_pkru = svm.has_pku ? native_rdpkru() : 0;

	if (vcpu->dr_live || vcpu->debug.hard_breakpoints)
		svm_debug_load(vcpu, vmcb);
	if (svm.has_pku && host_pkru != vcpu->pkru)
		native_wrpkru(vcpu->pkru);
	return host_pkru;
}

static __attribute__((__noinline__)) void svm_extras_leave(struct bv_vcpu *vcpu, u32 host_pkru)
{
	if (svm.has_pku) {
		vcpu->pkru = native_rdpkru();
		if (vcpu->pkru != host_pkru)
			native_wrpkru(host_pkru);
	}
	if (vcpu->dr_live || vcpu->debug.hard_breakpoints)
		svm_debug_store(vcpu);
}

/*
 * The entry was made in an interrupt shadow, and the instruction in it has not been executed: the
 * shadow holds. The hardware says so, but one emulator of AMD-V forgets it. A #DB that left RIP
 * where it was came after an instruction.
 */
static void svm_shadow_keep(struct svm_vmcb *vmcb, u64 entry_rip)
{
	if (vmcb->rip == entry_rip && vmcb->exit_code != VMEXIT_EXCEPTION_DE + BV_EXC_DB)
		vmcb->int_state |= 1;
}

void svm_enter(struct bv_vcpu *vcpu)
{
	struct svm_vcpu *own = svm_of(vcpu);
	struct svm_vmcb *vmcb = own->vmcb;
	struct svm_cpu *cpu = &svm.cpu[vcpu->cpu];
	u64 host_pa = cpu->host_pa, rip = vcpu->gprs.rip;
	bool shadow = vmcb->int_state & 1, extras = svm_has_extras(vcpu);
	u32 host_pkru = 0;

	vmcb->tlb_control = SVM_TLB_NOTHING;
	vmcb->rax = vcpu->gprs.gpr[BV_RAX];
	vmcb->rsp = vcpu->gprs.gpr[BV_RSP];
	vmcb->rip = rip;
	vmcb->rflags = vcpu->gprs.rflags;
	vmcb->int_ctl = (vmcb->int_ctl & ~SVM_V_TPR) | vcpu->cr8;
	if (bv_unlikely(own->before))
		svm_before(vcpu, own, cpu);
	svm_xcr0_enter(vcpu);
	if (bv_unlikely(extras))
		host_pkru = svm_extras_enter(vcpu, vmcb);
	if (bv_unlikely(bv_mitigate & BV_MITIGATE_SWITCH))
		switch_mitigated(&vcpu->gprs, own->vmcb_pa, host_pa);
	else
		switch_plain(&vcpu->gprs, own->vmcb_pa, host_pa);
	if (bv_unlikely(extras))
		svm_extras_leave(vcpu, host_pkru);
	svm_xcr0_leave(vcpu);
	if (bv_unlikely(shadow))
		svm_shadow_keep(vmcb, rip);
	vcpu->gprs.gpr[BV_RAX] = vmcb->rax;
	vcpu->gprs.gpr[BV_RSP] = vmcb->rsp;
	vcpu->gprs.rip = vmcb->rip;
	vcpu->gprs.rflags = vmcb->rflags;
	vcpu->cr8 = vmcb->int_ctl & SVM_V_TPR;
	vmcb->clean = svm.features & SVM_FEATURE_CLEAN ? 0x3ff & ~SVM_CLEAN_TPR : 0;
	vmcb->event_inj = 0;
	if (bv_unlikely(own->after))
		svm_after(vcpu, own);
	else
		svm_exit_decode(vcpu);
}

void svm_load(struct bv_vcpu *vcpu)
{
	struct svm_cpu *cpu = &svm.cpu[vcpu->cpu];
	struct svm_vcpu *own = svm_of(vcpu);

	if (own->asid_generation != cpu->asid_generation || own->asid_cpu != vcpu->cpu)
		own->before |= SVM_BEFORE_ASID;
	if (cpu->last_vm != vcpu->vm->serial) {
		cpu->last_vm = vcpu->vm->serial;
		bv_mitigate_other_vm();
	}
	__asm__ volatile("vmsave %%rax" : : "a"(cpu->host_pa) : "memory");
	/* Another vCPU, or this one elsewhere, may have used the CPU's cache of VMCBs since. */
	own->vmcb->clean = 0;
	if (svm.has_rdtscp) {
		vcpu->host_tsc_aux = native_rdmsr(MSR_TSC_AUX);
		if (vcpu->host_tsc_aux != vcpu->tsc_aux)
			native_wrmsr(MSR_TSC_AUX, vcpu->tsc_aux);
	}
}

void svm_unload(struct bv_vcpu *vcpu)
{
	if (svm.has_rdtscp && vcpu->host_tsc_aux != vcpu->tsc_aux)
		native_wrmsr(MSR_TSC_AUX, vcpu->host_tsc_aux);
}

void svm_tsc_aux(struct bv_vcpu *vcpu, u32 value)
{
	vcpu->tsc_aux = value;
	if (svm.has_rdtscp && vcpu->loaded)
		native_wrmsr(MSR_TSC_AUX, value);
}
