/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Into the guest and back. What a VM entry does not switch is switched here, around it and with
 * interrupts off: general registers, CR2, XCR0, PKRU and, for guests that use them, DR0 to DR3 and
 * DR6. System-call MSRs and TSC_AUX are switched when the thread comes and goes (vmx_load.c).
 * Manual: volume 3, chapters 26 and 27.
 */
#include "vmx/vmx.h"
#include "x86/mitigate.h"
#include "x86/native.h"

/*
 * Linux's objtool wants ENDBR at code whose address is taken, since indirect calls might go there.
 * This note tells it that none does; it is in no other program's image.
 */
#define NOT_CALLED(label) ".pushsection .discard.noendbr\n\t.quad " label "\n\t.popsection\n\t"

/*
 * A failed entry goes on at the instruction behind; an exit comes to HOST_RIP, which is the same
 * place, the landing: flags tell which it was (30.2), since an exit clears them. The general
 * registers are cleared on the way back, so that no guest value is left for the host to speculate
 * on. Returns whether the entry failed. There are two, one with what mitigations ask for.
 */
#define VMX_SWITCH(name, landing, enter, leave)                                                   \
	static __attribute__((__noinline__)) bool name(struct bv_gprs *gprs, bool launched,       \
						       u64 *host_rsp)                             \
	{                                                                                         \
		bool failed;                                                                      \
                                                                                                  \
		__asm__ volatile(                                                                 \
			"push %%rbp\n\t"                                                          \
			"push %%rdi\n\t"                                                          \
			"push %%rsi\n\t"                                                          \
			"cmp %%rsp, (%%rdx)\n\t"                                                  \
			"je 1f\n\t"                                                               \
			"mov %%rsp, (%%rdx)\n\t"                                                  \
			"mov %[field], %%eax\n\t"                                                 \
			"vmwrite %%rsp, %%rax\n"                                                  \
			"1:\n\t"                                                                  \
			"mov %c[rax](%%rdi), %%rax\n\t"                                           \
			"mov %c[rcx](%%rdi), %%rcx\n\t"                                           \
			"mov %c[rdx](%%rdi), %%rdx\n\t"                                           \
			"mov %c[rbx](%%rdi), %%rbx\n\t"                                           \
			"mov %c[rbp](%%rdi), %%rbp\n\t"                                           \
			"mov %c[rsi](%%rdi), %%rsi\n\t"                                           \
			"mov %c[r8](%%rdi), %%r8\n\t"                                             \
			"mov %c[r9](%%rdi), %%r9\n\t"                                             \
			"mov %c[r10](%%rdi), %%r10\n\t"                                           \
			"mov %c[r11](%%rdi), %%r11\n\t"                                           \
			"mov %c[r12](%%rdi), %%r12\n\t"                                           \
			"mov %c[r13](%%rdi), %%r13\n\t"                                           \
			"mov %c[r14](%%rdi), %%r14\n\t"                                           \
			"mov %c[r15](%%rdi), %%r15\n\t"                                           \
			"mov %c[rdi](%%rdi), %%rdi\n\t" enter "testb $1, (%%rsp)\n\t"             \
			"jne 1f\n\t"                                                              \
			"vmlaunch\n\t"                                                            \
			"jmp " landing "\n"                                                       \
			"1:\tvmresume\n"                                                          \
			".globl " landing "\n" landing                                            \
			":\n\t" NOT_CALLED(landing) "push %%rax\n\t"                              \
						    "mov 16(%%rsp), %%rax\n\t"                    \
						    "popq %c[rax](%%rax)\n\t"                     \
						    "mov %%rcx, %c[rcx](%%rax)\n\t"               \
						    "mov %%rdx, %c[rdx](%%rax)\n\t"               \
						    "mov %%rbx, %c[rbx](%%rax)\n\t"               \
						    "mov %%rbp, %c[rbp](%%rax)\n\t"               \
						    "mov %%rsi, %c[rsi](%%rax)\n\t"               \
						    "mov %%rdi, %c[rdi](%%rax)\n\t"               \
						    "mov %%r8, %c[r8](%%rax)\n\t"                 \
						    "mov %%r9, %c[r9](%%rax)\n\t"                 \
						    "mov %%r10, %c[r10](%%rax)\n\t"               \
						    "mov %%r11, %c[r11](%%rax)\n\t"               \
						    "mov %%r12, %c[r12](%%rax)\n\t"               \
						    "mov %%r13, %c[r13](%%rax)\n\t"               \
						    "mov %%r14, %c[r14](%%rax)\n\t"               \
						    "mov %%r15, %c[r15](%%rax)\n\t"               \
						    "setna %%al\n\t"                              \
						    "mov %%al, (%%rsp)\n\t" leave "pop %%rax\n\t" \
						    "pop %%rdi\n\t"                               \
						    "pop %%rbp\n\t"                               \
						    "xor %%ecx, %%ecx\n\t"                        \
						    "xor %%edx, %%edx\n\t"                        \
						    "xor %%ebx, %%ebx\n\t"                        \
						    "xor %%esi, %%esi\n\t"                        \
						    "xor %%r8d, %%r8d\n\t"                        \
						    "xor %%r9d, %%r9d\n\t"                        \
						    "xor %%r10d, %%r10d\n\t"                      \
						    "xor %%r11d, %%r11d\n\t"                      \
						    "xor %%r12d, %%r12d\n\t"                      \
						    "xor %%r13d, %%r13d\n\t"                      \
						    "xor %%r14d, %%r14d\n\t"                      \
						    "xor %%r15d, %%r15d"                          \
			: "=a"(failed), "+D"(gprs), "+S"(launched), "+d"(host_rsp)                \
			: [field] "i"(VMCS_HOST_RSP), [rax] "i"(8 * BV_RAX),                      \
			  [rcx] "i"(8 * BV_RCX), [rdx] "i"(8 * BV_RDX), [rbx] "i"(8 * BV_RBX),    \
			  [rbp] "i"(8 * BV_RBP), [rsi] "i"(8 * BV_RSI), [rdi] "i"(8 * BV_RDI),    \
			  [r8] "i"(8 * BV_R8), [r9] "i"(8 * BV_R9), [r10] "i"(8 * BV_R10),        \
			  [r11] "i"(8 * BV_R11), [r12] "i"(8 * BV_R12), [r13] "i"(8 * BV_R13),    \
			  [r14] "i"(8 * BV_R14), [r15] "i"(8 * BV_R15), BV_MITIGATE_OPERANDS      \
			: "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",     \
			  "cc", "memory");                                                        \
		return failed;                                                                    \
	}

VMX_SWITCH(switch_plain, "vmx_landing", "", "")
VMX_SWITCH(switch_mitigated, "vmx_landing_mitigated", BV_MITIGATE_ENTER_ASM, BV_MITIGATE_EXIT_ASM)

static bool vmx_switch(struct bv_gprs *gprs, bool launched, u64 *host_rsp)
{
	if (bv_unlikely(bv_mitigate & BV_MITIGATE_SWITCH))
		return switch_mitigated(gprs, launched, host_rsp);
	return switch_plain(gprs, launched, host_rsp);
}

BV_STATIC_ASSERT(offsetof(struct bv_gprs, gpr) == 0);

/* ---- translations (28.4.3) ---- */

static void tlb_prepare(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	bool single = vmx.caps.ept_vpid & VMX_EPT_INVEPT_SINGLE;
	struct {
		u64 eptp, reserved;
	} what = { vmx_eptp(vcpu->vm), 0 };

	/*
	 * With EPT all of a guest's translations hang on the EPT pointer, whatever its VPID. On a
	 * CPU where the vCPU was not the last time, what it left there may be out of date.
	 */
	__asm__ volatile("invept %0, %1" : : "m"(what), "r"(single ? 1ull : 2ull) : "cc", "memory");
	own->tlb_cpu = vcpu->cpu;
	own->tlb_flush = false;
}

/* ---- the host's state that changes at any time ---- */

static void host_write(struct vmx_vcpu *own)
{
	u64 cr3 = native_read_cr3(), cr4 = native_read_cr4();
	if (cr3 != own->cr3_there)
		vmx_write(VMCS_HOST_CR3, own->cr3_there = cr3);
	if (cr4 != own->cr4_there)
		vmx_write(VMCS_HOST_CR4, own->cr4_there = cr4);
	if (vmx.has_perf) {
		u64 perf = native_rdmsr(MSR_PERF_GLOBAL_CTRL);

		if (perf != own->perf_there)
			vmx_write(VMCS_HOST_PERF, own->perf_there = perf);
	}
}

/* ---- the guest's ---- */

/*
 * 26.3.1.5: with interrupts held off by STI or MOV SS, TF and the pending single step must agree.
 */
static void pending_step_write(struct bv_vcpu *vcpu)
{
	u64 pending = vmx_read(VMCS_GUEST_PENDING_DEBUG) & ~VMX_PENDING_BS;

	if (vcpu->gprs.rflags & BV_RFLAGS_TF)
		pending |= VMX_PENDING_BS;
	vmx_write(VMCS_GUEST_PENDING_DEBUG, pending);
}

static void event_write(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	u32 type = own->event >> VMX_EVENT_TYPE_SHIFT & VMX_EVENT_TYPE;

	vmx_write(VMCS_ENTRY_EVENT, own->event);
	if (own->event & VMX_EVENT_HAS_ERROR)
		vmx_write(VMCS_ENTRY_ERROR, own->event_error);
	if (type == VMX_EVENT_SOFT_IRQ)
		vmx_write(VMCS_ENTRY_LENGTH, (vcpu->soft_next_rip - vcpu->gprs.rip) & 0xf);
	/* What is delivered ends the blocking of what it was blocked by. */
	own->blocking &= ~(VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS);
}

static void guest_write(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	bool nmi_under_way = own->event &&
			     (own->event >> VMX_EVENT_TYPE_SHIFT & VMX_EVENT_TYPE) == VMX_EVENT_NMI;

	if (own->event)
		event_write(vcpu, own);
	own->blocking &= ~VMX_BLOCKING_NMI;
	if (vcpu->events.nmi.masked && !nmi_under_way)
		own->blocking |= VMX_BLOCKING_NMI;
	if (bv_unlikely(own->blocking != own->blocking_there))
		vmx_write(VMCS_GUEST_BLOCKING, own->blocking);
	if (bv_unlikely(own->blocking & (VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS)))
		pending_step_write(vcpu);
	if (vcpu->gprs.rip != own->rip_there)
		vmx_write(VMCS_GUEST_RIP, vcpu->gprs.rip);
	if (vcpu->gprs.gpr[BV_RSP] != own->rsp_there)
		vmx_write(VMCS_GUEST_RSP, vcpu->gprs.gpr[BV_RSP]);
	if (vcpu->gprs.rflags != own->rflags_there)
		vmx_write(VMCS_GUEST_RFLAGS, vcpu->gprs.rflags);
}

static void tpr_write(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	u32 threshold = own->wishes.cr8_writes && vcpu->vm->intc ? vcpu->cr8 : 0;

	own->vapic[VMX_VAPIC_TPR] = vcpu->cr8 << 4;
	if (threshold != own->threshold_there)
		vmx_write(VMCS_TPR_THRESHOLD, own->threshold_there = threshold);
}

/* A turn that is no more set ends once as it was (timer_expired in vmx_exit.c). */
static void turn_write(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	u32 value = vmx_timer_value(vmx.caps.misc, bv_vcpu_turn_left(vcpu), vmx.timer_longest);

	if (value != own->timer_there)
		vmx_write(VMCS_TIMER, own->timer_there = value);
}

static void controls_write(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	if (own->proc != own->proc_there)
		vmx_write(VMCS_PROC_CONTROLS, own->proc_there = own->proc);
	if (bv_unlikely(own->tsc_changed)) {
		vmx_write(VMCS_TSC_OFFSET, vcpu->tsc_offset);
		own->tsc_changed = false;
	}
	if (bv_unlikely(__atomic_load_n(&own->wishes_changed, __ATOMIC_ACQUIRE)))
		vmx_wishes_push(vcpu);
}

/* ---- what few guests have ---- */

static void debug_load(struct bv_vcpu *vcpu, const struct vmx_vcpu *own)
{
	const u64 *db = vcpu->db;

	if (vcpu->debug.hard_breakpoints) {
		db = vcpu->debug.db;
		vmx_write(VMCS_GUEST_DR7, vcpu->debug.dr7);
	}
	native_write_dr0(db[0]);
	native_write_dr1(db[1]);
	native_write_dr2(db[2]);
	native_write_dr3(db[3]);
	native_write_dr6(own->dr6);
}

static void debug_store(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	if (vcpu->debug.hard_breakpoints) {
		vmx_write(VMCS_GUEST_DR7, own->dr7);
		return;
	}
	vcpu->db[0] = native_read_dr0();
	vcpu->db[1] = native_read_dr1();
	vcpu->db[2] = native_read_dr2();
	vcpu->db[3] = native_read_dr3();
	own->dr6 = native_read_dr6();
	own->dr7 = vmx_read(VMCS_GUEST_DR7);
}

/* XSETBV exits always, so XCR0 comes back as it went. */
static void xcr0_switch(const struct bv_vcpu *vcpu, bool enter)
{
	if (bv_unlikely(vcpu->xcr0 != vmx.host_xcr0) && vmx.host_xcr0)
		native_xsetbv(0, enter ? vcpu->xcr0 : vmx.host_xcr0);
}

static bool switch_with_extras(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	bool debug = vcpu->dr_live || vcpu->debug.hard_breakpoints, failed;
	u32 host_pkru = vmx.has_pku ? native_rdpkru() : 0;

	if (debug)
		debug_load(vcpu, own);
	if (vmx.has_pku && host_pkru != vcpu->pkru)
		native_wrpkru(vcpu->pkru);
	failed = vmx_switch(&vcpu->gprs, own->launched, &own->host_rsp);
	if (vmx.has_pku) {
		vcpu->pkru = native_rdpkru();
		if (vcpu->pkru != host_pkru)
			native_wrpkru(host_pkru);
	}
	if (debug)
		debug_store(vcpu, own);
	return failed;
}

/* ---- once round ---- */

void vmx_enter(struct bv_vcpu *vcpu)
{
	struct vmx_vcpu *own = vmx_of(vcpu);
	bool extras = vmx.has_pku || vcpu->dr_live || vcpu->debug.hard_breakpoints, failed;
	u32 reason;

	own->entered = true;
	host_write(own);
	controls_write(vcpu, own);
	guest_write(vcpu, own);
	tpr_write(vcpu, own);
	if (bv_vcpu_turn_is_set(vcpu))
		turn_write(vcpu, own);
	if (bv_unlikely(own->serve_due))
		vmx_serve_write(vcpu, own);
	if (own->tlb_flush || own->tlb_cpu != vcpu->cpu)
		tlb_prepare(vcpu, own);
	if (native_read_cr2() != own->cr2)
		native_write_cr2(own->cr2);
	xcr0_switch(vcpu, true);
	bv_mitigate_before_entry();
	failed = extras ? switch_with_extras(vcpu, own) :
			  vmx_switch(&vcpu->gprs, own->launched, &own->host_rsp);
	xcr0_switch(vcpu, false);
	own->cr2 = native_read_cr2();
	if (bv_unlikely(own->host_debugctl))
		native_wrmsr(MSR_DEBUGCTL, own->host_debugctl);
	reason = failed ? 0 : vmx_read(VMCS_REASON);
	own->launched |= !failed;
	own->rip_there = vcpu->gprs.rip = vmx_read(VMCS_GUEST_RIP);
	own->rsp_there = vcpu->gprs.gpr[BV_RSP] = vmx_read(VMCS_GUEST_RSP);
	own->rflags_there = vcpu->gprs.rflags = vmx_read(VMCS_GUEST_RFLAGS);
	own->blocking = own->blocking_there = vmx_read(VMCS_GUEST_BLOCKING);
	vcpu->cr8 = own->vapic[VMX_VAPIC_TPR] >> 4;
	vmx_exit_decode(vcpu, failed, reason);
	own->event = 0;
	if (bv_unlikely(own->serving))
		vmx_serve_read(vcpu, own);
}
