/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Exits: one table, one small function each. The table says what a handler needs; bv_exit_handle
 * provides it.
 */
#include "core/vcpu.h"
#include "lib/format.h"

typedef enum bv_exit_next exit_handler(struct bv_vcpu *vcpu);

/* ---- the length of the instruction that exited ---- */

/*
 * Where the hardware does not tell it, a look at the bytes does: the instructions that exit by
 * themselves have fixed opcodes, so that only prefixes have to be passed over.
 */
struct opcode {
	u8 count;
	u8 bytes[3];
};

static bool is_prefix(u8 byte, bool long_mode)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64 ... 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return long_mode && (byte & 0xf0) == 0x40;
	}
}

static unsigned int length_with_prefixes(struct bv_vcpu *vcpu, const struct opcode *opcode)
{
	u8 bytes[15];
	unsigned int count = bv_code_read(vcpu, bytes, sizeof(bytes)), at = 0;

	bv_vcpu_need(vcpu, BV_ST_SEG(BV_SEG_CS));
	while (at < count && is_prefix(bytes[at], vcpu->state.seg[BV_SEG_CS].attr & BV_SEG_L))
		at++;
	if (at + opcode->count > count ||
	    __builtin_memcmp(bytes + at, opcode->bytes, opcode->count))
		return 0;
	return at + opcode->count;
}

u16 bv_exit_opcode(struct bv_vcpu *vcpu, unsigned int *length, u8 *next)
{
	u8 bytes[17] = { 0 };
	unsigned int count = bv_code_read(vcpu, bytes, 15), at = 0;
	u16 opcode;

	bv_vcpu_need(vcpu, BV_ST_SEG(BV_SEG_CS));
	while (at < count && is_prefix(bytes[at], vcpu->state.seg[BV_SEG_CS].attr & BV_SEG_L))
		at++;
	opcode = bytes[at++];
	if (opcode == 0x0f)
		opcode = opcode << 8 | bytes[at++];
	*length = at;
	*next = bytes[at];
	return count ? opcode : 0;
}

/*
 * 0: the bytes are others by now, or gone: the guest changed them meanwhile, and is to execute what
 * is there.
 */
static unsigned int known_length(struct bv_vcpu *vcpu, const struct opcode *opcode)
{
	u8 bytes[3];

	if (vcpu->exit.length)
		return vcpu->exit.length;
	if (bv_code_read(vcpu, bytes, opcode->count) == opcode->count) {
		unsigned int at = 0;

		while (at < opcode->count && bytes[at] == opcode->bytes[at])
			at++;
		if (bv_likely(at == opcode->count))
			return at;
	}
	return length_with_prefixes(vcpu, opcode);
}

static const struct opcode cpuid_opcode = { 2, { 0x0f, 0xa2 } };
static const struct opcode hlt_opcode = { 1, { 0xf4 } };
static const struct opcode vmmcall_opcode = { 3, { 0x0f, 0x01, 0xd9 } };
static const struct opcode vmcall_opcode = { 3, { 0x0f, 0x01, 0xc1 } };
static const struct opcode xsetbv_opcode = { 3, { 0x0f, 0x01, 0xd1 } };
static const struct opcode rdtsc_opcode = { 2, { 0x0f, 0x31 } };
static const struct opcode wbinvd_opcode = { 2, { 0x0f, 0x09 } };
static const struct opcode invd_opcode = { 2, { 0x0f, 0x08 } };
static const struct opcode rdmsr_opcode = { 2, { 0x0f, 0x32 } };
static const struct opcode wrmsr_opcode = { 2, { 0x0f, 0x30 } };

unsigned int bv_exit_virt_length(struct bv_vcpu *vcpu, u8 last)
{
	const struct opcode opcode = { 3, { 0x0f, 0x01, last } };

	return known_length(vcpu, &opcode);
}

unsigned int bv_exit_msr_length(struct bv_vcpu *vcpu, bool write)
{
	return known_length(vcpu, write ? &wrmsr_opcode : &rdmsr_opcode);
}

/*
 * A debugger's step sets TF in the flags only while the guest runs: it is told apart from the
 * guest's own at once.
 */
void bv_exit_stepped(struct bv_vcpu *vcpu)
{
	if (vcpu->debug.single_step) {
		vcpu->step_due = true;
		return;
	}
	bv_event_raise(vcpu, BV_EXC_DB, false, 0, BV_DR6_BS);
}

u64 bv_exit_rip_after(struct bv_vcpu *vcpu, unsigned int length)
{
	u64 rip = vcpu->gprs.rip, next = rip + length;

	/* Outside of 64-bit code RIP has 32 bits. */
	if (bv_unlikely((rip ^ next) >> 32)) {
		bv_vcpu_need(vcpu, BV_ST_SEG(BV_SEG_CS));
		if (!(vcpu->state.seg[BV_SEG_CS].attr & BV_SEG_L))
			next = (u32)next;
	}
	return next;
}

void bv_exit_skip(struct bv_vcpu *vcpu, unsigned int length)
{
	vcpu->gprs.rip = bv_exit_rip_after(vcpu, length);
	vcpu->gprs.rflags &= ~BV_RFLAGS_RF;
	if (bv_unlikely(vcpu->exit.shadow))
		bv_vendor->shadow_set(vcpu, 0);
	/* A single step over an instruction that we carried out ends here. */
	if (bv_unlikely(vcpu->gprs.rflags & BV_RFLAGS_TF) || vcpu->debug.single_step)
		bv_exit_stepped(vcpu);
}

/* ---- handlers ---- */

static enum bv_exit_next exit_host(struct bv_vcpu *vcpu)
{
	(void)vcpu;
	return BV_NEXT_GUEST;
}

/* It may have what a log that has ended left there. */
static enum bv_exit_next exit_log_full(struct bv_vcpu *vcpu)
{
	bv_regions_log_take(vcpu);
	return BV_NEXT_GUEST;
}

/* By the timer of a chip, or for no other reason than that it was long. */
static enum bv_exit_next exit_turn_over(struct bv_vcpu *vcpu)
{
	if (!bv_vcpu_turn_left(vcpu))
		vcpu->vm->intc->turn_over(vcpu);
	return BV_NEXT_GUEST;
}

static enum bv_exit_next exit_cpuid(struct bv_vcpu *vcpu)
{
	u64 *gpr = vcpu->gprs.gpr;
	unsigned int length = known_length(vcpu, &cpuid_opcode);
	u32 out[4];

	if (!length)
		return BV_NEXT_GUEST;
	bv_cpuid_of(vcpu, gpr[BV_RAX], gpr[BV_RCX], out);
	gpr[BV_RAX] = out[BV_CPUID_EAX];
	gpr[BV_RBX] = out[BV_CPUID_EBX];
	gpr[BV_RCX] = out[BV_CPUID_ECX];
	gpr[BV_RDX] = out[BV_CPUID_EDX];
	bv_exit_skip(vcpu, length);
	return BV_NEXT_GUEST;
}

static enum bv_exit_next exit_rdmsr(struct bv_vcpu *vcpu)
{
	return bv_msr_exit(vcpu, false);
}

static enum bv_exit_next exit_wrmsr(struct bv_vcpu *vcpu)
{
	return bv_msr_exit(vcpu, true);
}

static enum bv_exit_next exit_hlt(struct bv_vcpu *vcpu)
{
	unsigned int length = known_length(vcpu, &hlt_opcode);

	if (!length)
		return BV_NEXT_GUEST;
	bv_exit_skip(vcpu, length);
	if (vcpu->vm->intc) {
		vcpu->mp_state = BV_MP_HALTED;
		bv_vcpu_request(vcpu, BV_REQ_EVENT);
		if (bv_event_wakes(vcpu)) {
			vcpu->mp_state = BV_MP_RUNNABLE;
		} else if (bv_unlikely(!(vcpu->gprs.rflags & BV_RFLAGS_IF)) && !vcpu->nesting &&
			   vcpu->vm->pv && vcpu->vm->pv->halt_off && vcpu->vm->pv->halt_off(vcpu)) {
			vcpu->run->reason = BV_RUN_HALTED;
			return BV_NEXT_FRONT;
		}
		return BV_NEXT_GUEST;
	}
	vcpu->run->reason = BV_RUN_HALTED;
	return BV_NEXT_FRONT;
}

static enum bv_exit_next hypercall(struct bv_vcpu *vcpu, unsigned int length)
{
	u64 *gpr = vcpu->gprs.gpr;
	struct bv_hypercall *call = &vcpu->run->hypercall;

	/* L2 has L1 to ask, and L1 did not want to be asked. */
	if (!vcpu->vm->pv || !vcpu->vm->pv->hypercall || vcpu->nesting & BV_NESTING_L2) {
		bv_event_ud(vcpu);
		return BV_NEXT_GUEST;
	}
	bv_vcpu_need(vcpu, BV_ST_SEG(BV_SEG_CS));
	call->long_mode = vcpu->state.seg[BV_SEG_CS].attr & BV_SEG_L;
	call->cpl = bv_vcpu_cpl(vcpu);
	call->nr = gpr[BV_RAX];
	call->args[0] = gpr[BV_RBX];
	call->args[1] = gpr[BV_RCX];
	call->args[2] = gpr[BV_RDX];
	call->args[3] = gpr[BV_RSI];
	call->args[4] = gpr[BV_RDI];
	call->args[5] = gpr[BV_RBP];
	bv_exit_skip(vcpu, length);
	if (vcpu->vm->pv->hypercall(vcpu, call)) {
		gpr[BV_RAX] = call->long_mode ? call->result : (u32)call->result;
		return BV_NEXT_GUEST;
	}
	vcpu->wait.kind = BV_WAIT_HYPERCALL;
	vcpu->wait.rip = vcpu->gprs.rip;
	vcpu->run->reason = BV_RUN_HYPERCALL;
	return BV_NEXT_FRONT;
}

static enum bv_exit_next exit_hypercall(struct bv_vcpu *vcpu)
{
	unsigned int length = known_length(vcpu, &vmmcall_opcode);

	return length ? hypercall(vcpu, length) : BV_NEXT_GUEST;
}

/* AMD's SYSCALL and SYSRET, which Intel's processors have in 64-bit code alone. */
static bool at_syscall(struct bv_vcpu *vcpu)
{
	unsigned int length;
	u16 opcode;
	u8 next;

	if (!vcpu->caps.amd)
		return false;
	opcode = bv_exit_opcode(vcpu, &length, &next);
	return opcode == 0x0f05 || opcode == 0x0f07;
}

/*
 * #UD: the guest's own, unless it comes from a hypercall of a guest that was built for, or came
 * from, the other vendor, or from what such a guest's processor has.
 */
static enum bv_exit_next exit_undefined(struct bv_vcpu *vcpu)
{
	unsigned int length;

	vcpu->exit.length = 0;
	length = known_length(vcpu, &vmcall_opcode);
	if (!length)
		length = known_length(vcpu, &vmmcall_opcode);
	if (length)
		return hypercall(vcpu, length);
	if (at_syscall(vcpu))
		return bv_emulate(vcpu, ~0ull);
	bv_event_ud(vcpu);
	return BV_NEXT_GUEST;
}

static enum bv_exit_next exit_irq_window(struct bv_vcpu *vcpu)
{
	if (bv_unlikely(bv_vendor->shadow_get(vcpu))) {
		bv_host_rwsem_read(&vcpu->vm->mem_lock);
		bv_event_shadow_step(vcpu);
		bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
	}
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
	return BV_NEXT_GUEST;
}

static enum bv_exit_next exit_nmi_window(struct bv_vcpu *vcpu)
{
	bv_event_iret(vcpu);
	return BV_NEXT_GUEST;
}

static enum bv_exit_next exit_emulate(struct bv_vcpu *vcpu)
{
	return bv_emulate(vcpu, ~0ull);
}

/*
 * The first use of a debug register: from now on the hardware has the guest's, until it is found
 * not to use them.
 */
static enum bv_exit_next exit_dr_access(struct bv_vcpu *vcpu)
{
	if (vcpu->debug.hard_breakpoints)
		return bv_emulate(vcpu, ~0ull);
	vcpu->dr_live = true;
	bv_vcpu_request(vcpu, BV_REQ_RELOAD);
	return BV_NEXT_GUEST;
}

static enum bv_exit_next exit_xsetbv(struct bv_vcpu *vcpu)
{
	const u64 *gpr = vcpu->gprs.gpr;
	unsigned int length = known_length(vcpu, &xsetbv_opcode);

	if (!length)
		return BV_NEXT_GUEST;
	bv_vcpu_need(vcpu, BV_ST_CR);
	if (!(vcpu->state.cr4 & BV_CR4_OSXSAVE))
		bv_event_ud(vcpu);
	else if (bv_vcpu_cpl(vcpu) || (u32)gpr[BV_RCX] ||
		 !bv_vcpu_xcr0_write(vcpu, (u32)gpr[BV_RAX] | gpr[BV_RDX] << 32))
		bv_event_gp(vcpu);
	else
		bv_exit_skip(vcpu, length);
	return BV_NEXT_GUEST;
}

static enum bv_exit_next exit_rdtsc(struct bv_vcpu *vcpu)
{
	unsigned int length = known_length(vcpu, &rdtsc_opcode);
	u64 tsc = bv_vcpu_tsc(vcpu) + bv_l2_tsc_offset(vcpu);

	if (!length)
		return bv_emulate(vcpu, ~0ull);
	vcpu->gprs.gpr[BV_RAX] = (u32)tsc;
	vcpu->gprs.gpr[BV_RDX] = tsc >> 32;
	bv_exit_skip(vcpu, length);
	return BV_NEXT_GUEST;
}

static enum bv_exit_next exit_gp(struct bv_vcpu *vcpu)
{
	bv_event_gp(vcpu);
	return BV_NEXT_GUEST;
}

static enum bv_exit_next exit_ud(struct bv_vcpu *vcpu)
{
	bv_event_ud(vcpu);
	return BV_NEXT_GUEST;
}

/*
 * The last of many PAUSEs in a row: the vCPU waits for another one, which perhaps has no CPU. It is
 * not passed, for the next time it does not exit.
 */
static enum bv_exit_next exit_pause(struct bv_vcpu *vcpu)
{
	bv_host_vcpu_yield(vcpu);
	return BV_NEXT_GUEST;
}

/*
 * Guest memory is the host's ordinary memory, kept coherent by the hardware: there is nothing to
 * write back.
 */
static enum bv_exit_next exit_cache(struct bv_vcpu *vcpu)
{
	unsigned int length = known_length(vcpu, &wbinvd_opcode);

	if (!length)
		length = known_length(vcpu, &invd_opcode);
	if (length)
		bv_exit_skip(vcpu, length);
	return BV_NEXT_GUEST;
}

static enum bv_exit_next exit_debug(struct bv_vcpu *vcpu, u8 vector)
{
	struct bv_run *run = vcpu->run;

	bv_vcpu_need(vcpu, BV_ST_DR | BV_ST_SEG(BV_SEG_CS));
	run->reason = BV_RUN_DEBUG;
	run->debug.vector = vector;
	run->debug.pc = vcpu->state.seg[BV_SEG_CS].base + vcpu->gprs.rip;
	run->debug.dr6 = vcpu->state.dr6;
	run->debug.dr7 = vcpu->debug.hard_breakpoints ? vcpu->debug.dr7 : vcpu->state.dr7;
	return BV_NEXT_FRONT;
}

enum bv_exit_next bv_exit_step_report(struct bv_vcpu *vcpu)
{
	vcpu->step_due = false;
	exit_debug(vcpu, BV_EXC_DB);
	vcpu->run->debug.dr6 |= BV_DR6_BS;
	return BV_NEXT_FRONT;
}

/*
 * #DB: the hardware has written DR6 already. A step of ours is kept from the guest; what a debugger
 * asked for goes to it; the rest is the guest's own.
 */
static enum bv_exit_next exit_debug_exception(struct bv_vcpu *vcpu)
{
	bool hard_hit, ours;

	bv_vcpu_touch(vcpu, BV_ST_DR);
	hard_hit = vcpu->debug.hard_breakpoints && vcpu->state.dr6 & 0xf;
	ours = vcpu->state.dr6 & BV_DR6_BS && bv_event_step_done(vcpu);
	if (hard_hit || (vcpu->debug.single_step && vcpu->state.dr6 & BV_DR6_BS)) {
		enum bv_exit_next next = exit_debug(vcpu, BV_EXC_DB);

		vcpu->state.dr6 &= ~(BV_DR6_BS | 0xfull);
		return next;
	}
	if (ours) {
		vcpu->state.dr6 &= ~BV_DR6_BS;
		if (!(vcpu->state.dr6 & 0xf))
			return BV_NEXT_GUEST;
	}
	bv_event_raise(vcpu, BV_EXC_DB, false, 0, 0);
	return BV_NEXT_GUEST;
}

static enum bv_exit_next exit_exception(struct bv_vcpu *vcpu)
{
	switch (vcpu->exit.exception.vector) {
	case BV_EXC_DB:
		return exit_debug_exception(vcpu);
	case BV_EXC_BP:
		if (vcpu->debug.soft_breakpoints)
			return exit_debug(vcpu, BV_EXC_BP);
		break;
	case BV_EXC_UD:
		return exit_undefined(vcpu);
	case BV_EXC_MC: /* the host's own handler has seen to it */
		return BV_NEXT_GUEST;
	default:
		break;
	}
	bv_event_raise(vcpu, vcpu->exit.exception.vector, vcpu->exit.exception.has_error,
		       vcpu->exit.exception.error, vcpu->exit.exception.address);
	return BV_NEXT_GUEST;
}

/* #GP of what is not at CPL 0 the hardware has raised, most likely; it is looked at anyway. */
static enum bv_exit_next exit_virt(struct bv_vcpu *vcpu)
{
	unsigned int length;

	bv_vcpu_need(vcpu, BV_ST_CR);
	if (!vcpu->nested || !(vcpu->state.efer & BV_EFER_SVME) || !(vcpu->state.cr0 & BV_CR0_PE) ||
	    vcpu->gprs.rflags & BV_RFLAGS_VM) {
		bv_event_ud(vcpu);
		return BV_NEXT_GUEST;
	}
	if (bv_vcpu_cpl(vcpu)) {
		bv_event_gp(vcpu);
		return BV_NEXT_GUEST;
	}
	length = bv_exit_virt_length(vcpu, vcpu->exit.virt);
	return length ? bv_vendor->nesting->instruction(vcpu, length) : BV_NEXT_GUEST;
}

static enum bv_exit_next exit_triple_fault(struct bv_vcpu *vcpu)
{
	bv_vcpu_request(vcpu, BV_REQ_TRIPLE_FAULT);
	return BV_NEXT_GUEST;
}

/* A MOV to CR3 or CR4 is at RIP. */
static bool at_control_move(struct bv_vcpu *vcpu)
{
	u8 bytes[15];
	unsigned int count = bv_code_read(vcpu, bytes, sizeof(bytes)), at = 0;

	while (at < count && is_prefix(bytes[at], true))
		at++;
	if (at + 3 > count || bytes[at] != 0x0f || bytes[at + 1] != 0x22)
		return false;
	return (bytes[at + 2] >> 3 & 7) == 3 || (bytes[at + 2] >> 3 & 7) == 4;
}

/*
 * One emulator of AMD-V ends the guest's run with this code where a processor raises #GP: at a MOV
 * of reserved bits to CR3 or CR4. The instruction is emulated then, with its #GP; if it was not the
 * cause, the next entry fails without it.
 */
static enum bv_exit_next exit_entry_failed(struct bv_vcpu *vcpu)
{
	if (at_control_move(vcpu))
		return bv_emulate(vcpu, ~0ull);
	vcpu->run->reason = BV_RUN_ENTRY_FAILED;
	vcpu->run->fail_code = vcpu->exit.raw.code;
	bv_refuse(&vcpu->vm->why, BV_EIO, "vCPU %u: the processor refused its state at rip %#llx",
		  vcpu->index, vcpu->gprs.rip);
	return BV_NEXT_FRONT;
}

static enum bv_exit_next exit_unknown(struct bv_vcpu *vcpu)
{
	return bv_exit_internal(vcpu, "vCPU %u: exit %#llx (%#llx, %#llx) is not known",
				vcpu->index, vcpu->exit.raw.code, vcpu->exit.raw.info1,
				vcpu->exit.raw.info2);
}

static enum bv_exit_next exit_l2(struct bv_vcpu *vcpu);

enum bv_exit_next bv_exit_internal(struct bv_vcpu *vcpu, const char *format, ...)
{
	char text[BV_WHY_CHARS];
	va_list arguments;

	va_start(arguments, format);
	bv_format_v(text, sizeof(text), format, arguments);
	va_end(arguments);
	bv_refuse(&vcpu->vm->why, BV_EIO, "%s", text);
	vcpu->run->reason = BV_RUN_INTERNAL;
	return BV_NEXT_FRONT;
}

/* ---- the table ---- */

static const struct {
	exit_handler *handle;
	bool memory; /* looks at guest memory, or at buses: needs the memory lock */
} exits[BV_EXIT_KINDS] = {
	[BV_EXIT_HOST] = { exit_host, false },
	[BV_EXIT_TURN_OVER] = { exit_turn_over, false },
	[BV_EXIT_NESTED_FAULT] = { bv_fault_nested, true },
	[BV_EXIT_EOI] = { exit_host, false },
	[BV_EXIT_LOG_FULL] = { exit_log_full, false },
	[BV_EXIT_PORT] = { bv_port_exit, true },
	[BV_EXIT_CPUID] = { exit_cpuid, true },
	[BV_EXIT_RDMSR] = { exit_rdmsr, true },
	[BV_EXIT_WRMSR] = { exit_wrmsr, true },
	[BV_EXIT_HLT] = { exit_hlt, true },
	[BV_EXIT_HYPERCALL] = { exit_hypercall, true },
	[BV_EXIT_IRQ_WINDOW] = { exit_irq_window, false },
	[BV_EXIT_NMI_WINDOW] = { exit_nmi_window, false },
	[BV_EXIT_CR_WRITE] = { exit_emulate, true },
	[BV_EXIT_DR_ACCESS] = { exit_dr_access, true },
	[BV_EXIT_XSETBV] = { exit_xsetbv, true },
	[BV_EXIT_RDTSC] = { exit_rdtsc, true },
	[BV_EXIT_RDPMC] = { exit_gp, false },
	[BV_EXIT_PAUSE] = { exit_pause, false },
	[BV_EXIT_MONITOR] = { exit_ud, false },
	[BV_EXIT_MWAIT] = { exit_ud, false },
	[BV_EXIT_CACHE] = { exit_cache, true },
	[BV_EXIT_EXCEPTION] = { exit_exception, true },
	[BV_EXIT_UNDEFINED] = { exit_ud, false },
	[BV_EXIT_VIRT] = { exit_virt, true },
	[BV_EXIT_L2] = { exit_l2, false },
	[BV_EXIT_L2_FAULT] = { bv_fault_l2, true },
	[BV_EXIT_TASK_SWITCH] = { bv_emulate_task_switch, true },
	[BV_EXIT_TRIPLE_FAULT] = { exit_triple_fault, false },
	[BV_EXIT_INIT] = { exit_host, false },
	[BV_EXIT_ENTRY_FAILED] = { exit_entry_failed, true },
	[BV_EXIT_UNKNOWN] = { exit_unknown, false },
};

/* Inlined: every exit comes through here. */
static inline __attribute__((__always_inline__)) enum bv_exit_next
exit_dispatch(struct bv_vcpu *vcpu, enum bv_exit_kind kind)
{
	enum bv_exit_next next;

	if (!exits[kind].memory)
		return exits[kind].handle(vcpu);
	bv_host_rwsem_read(&vcpu->vm->mem_lock);
	next = exits[kind].handle(vcpu);
	bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
	return next;
}

/* What L1 does not want to know of L2 is dealt with as if L1 itself had done it. */
static enum bv_exit_next exit_l2(struct bv_vcpu *vcpu)
{
	bool told;

	bv_host_rwsem_read(&vcpu->vm->mem_lock);
	told = bv_vendor->nesting->exit(vcpu);
	bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
	if (told)
		return BV_NEXT_GUEST;
	vcpu->exit.kind = vcpu->nested->kind;
	return exit_dispatch(vcpu, vcpu->exit.kind);
}

enum bv_exit_next bv_exit_handle(struct bv_vcpu *vcpu)
{
	vcpu->counter[vcpu->exit.kind]++;
	return exit_dispatch(vcpu, vcpu->exit.kind);
}
