// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a guest is, read out and written back for save, restore and birth: the records of Xen's HVM
 * context as a view of the engine's neutral state, and the log of dirty pages. Called by domctl.
 */
#include "tools.h"

#include <xen/hvm/save.h>

#define MSR_TSC 0x10u
#define MSR_TSC_ADJUST 0x3bu
#define MSR_SYSENTER_CS 0x174u
#define MSR_SYSENTER_ESP 0x175u
#define MSR_SYSENTER_EIP 0x176u
#define MSR_PAT 0x277u
#define MSR_MTRR_CAP 0xfeu
#define MSR_MTRR_DEF 0x2ffu
#define MSR_MTRR_VAR 0x200u
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_SFMASK 0xc0000084u
#define MSR_KERNEL_GS 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u
#define XSAVE_HEADER 512
#define EXTRA_MSRS 64

static const u32 mtrr_fixed[NUM_FIXED_MSR] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
					       0x26b, 0x26c, 0x26d, 0x26e, 0x26f };

/* A vCPU that has never run, or halted for good, is left out: it is down after a restore, too. */
static bool vcpu_saved(struct bvx_vcpu *vcpu)
{
	return vcpu && bvx_vcpu_online(vcpu);
}

static u64 msr(struct bvx_vcpu *vcpu, u32 index)
{
	u64 value;

	return bv_vcpu_msr_get(vcpu->vcpu, index, &value) ? 0 : value;
}

/* ---- registers ---- */

/* General registers in the record's order. */
static const u8 gpr_order[16] = { BV_RAX, BV_RBX, BV_RCX, BV_RDX, BV_RBP, BV_RSI, BV_RDI, BV_RSP,
				  BV_R8,  BV_R9,  BV_R10, BV_R11, BV_R12, BV_R13, BV_R14, BV_R15 };

/* Segments in the record's order: selectors, limits, bases and attributes each stand so. */
static const u8 seg_order[8] = { BV_SEG_CS, BV_SEG_DS, BV_SEG_ES, BV_SEG_FS,
				 BV_SEG_GS, BV_SEG_SS, BV_SEG_TR, BV_SEG_LDTR };

/* Bases and limits have GDTR and IDTR besides, in other places. */
static uint64_t *seg_base(struct hvm_hw_cpu *cpu, u32 i)
{
	return &cpu->cs_base + i;
}

BV_STATIC_ASSERT(offsetof(struct hvm_hw_cpu, r15) - offsetof(struct hvm_hw_cpu, rax) == 15 * 8);
BV_STATIC_ASSERT(offsetof(struct hvm_hw_cpu, ldtr_sel) - offsetof(struct hvm_hw_cpu, cs_sel) == 28);
BV_STATIC_ASSERT(offsetof(struct hvm_hw_cpu, ldtr_limit) - offsetof(struct hvm_hw_cpu, cs_limit) ==
		 28);
BV_STATIC_ASSERT(offsetof(struct hvm_hw_cpu, ldtr_base) - offsetof(struct hvm_hw_cpu, cs_base) ==
		 56);
BV_STATIC_ASSERT(offsetof(struct hvm_hw_cpu, ldtr_arbytes) -
			 offsetof(struct hvm_hw_cpu, cs_arbytes) ==
		 28);

static void segs_out(struct hvm_hw_cpu *cpu, const struct bv_sregs *sregs)
{
	for (u32 i = 0; i < 8; i++) {
		const struct bv_seg *seg = &sregs->seg[seg_order[i]];

		(&cpu->cs_sel)[i] = seg->sel;
		(&cpu->cs_limit)[i] = seg->limit;
		*seg_base(cpu, i) = seg->base;
		(&cpu->cs_arbytes)[i] = seg->attr;
	}
	cpu->gdtr_base = sregs->gdt.base;
	cpu->gdtr_limit = sregs->gdt.limit;
	cpu->idtr_base = sregs->idt.base;
	cpu->idtr_limit = sregs->idt.limit;
}

static void segs_in(struct hvm_hw_cpu *cpu, struct bv_sregs *sregs)
{
	for (u32 i = 0; i < 8; i++)
		sregs->seg[seg_order[i]] = (struct bv_seg){
			.sel = (u16)(&cpu->cs_sel)[i],
			.limit = (&cpu->cs_limit)[i],
			.base = *seg_base(cpu, i),
			.attr = (u16)(&cpu->cs_arbytes)[i] & 0xfff,
		};
	sregs->gdt = (struct bv_desc_table){ cpu->gdtr_base, (u16)cpu->gdtr_limit };
	sregs->idt = (struct bv_desc_table){ cpu->idtr_base, (u16)cpu->idtr_limit };
}

/* The MSRs that the record has places for. */
static const struct {
	u32 index;
	u32 offset;
} cpu_msrs[] = {
	{ MSR_SYSENTER_CS, offsetof(struct hvm_hw_cpu, sysenter_cs) },
	{ MSR_SYSENTER_ESP, offsetof(struct hvm_hw_cpu, sysenter_esp) },
	{ MSR_SYSENTER_EIP, offsetof(struct hvm_hw_cpu, sysenter_eip) },
	{ MSR_KERNEL_GS, offsetof(struct hvm_hw_cpu, shadow_gs) },
	{ MSR_LSTAR, offsetof(struct hvm_hw_cpu, msr_lstar) },
	{ MSR_STAR, offsetof(struct hvm_hw_cpu, msr_star) },
	{ MSR_CSTAR, offsetof(struct hvm_hw_cpu, msr_cstar) },
	{ MSR_SFMASK, offsetof(struct hvm_hw_cpu, msr_syscall_mask) },
	{ MSR_TSC_AUX, offsetof(struct hvm_hw_cpu, msr_tsc_aux) },
	{ MSR_TSC, offsetof(struct hvm_hw_cpu, tsc) },
};

static uint64_t *msr_place(struct hvm_hw_cpu *cpu, u32 i)
{
	return (uint64_t *)((u8 *)cpu + cpu_msrs[i].offset);
}

/* ---- events ---- */

enum {
	EVENT_IRQ = 0,
	EVENT_NMI = 2,
	EVENT_EXCEPTION = 3,
	EVENT_SOFT = 4
};

static void event_out(struct bvx_vcpu *vcpu, struct hvm_hw_cpu *cpu)
{
	struct bv_events events;

	bv_vcpu_events_get(vcpu->vcpu, &events);
	cpu->pending_event = 0;
	if (events.exception.injected || events.exception.pending) {
		cpu->pending_type = EVENT_EXCEPTION;
		cpu->pending_vector = events.exception.vector;
		cpu->pending_error_valid = events.exception.has_error;
		cpu->error_code = events.exception.error;
	} else if (events.nmi.injected || events.nmi.pending) {
		cpu->pending_type = EVENT_NMI;
		cpu->pending_vector = BV_EXC_NMI;
	} else if (events.interrupt.injected) {
		cpu->pending_type = events.interrupt.soft ? EVENT_SOFT : EVENT_IRQ;
		cpu->pending_vector = events.interrupt.vector;
	} else {
		return;
	}
	cpu->pending_valid = 1;
}

static int event_in(struct bvx_vcpu *vcpu, const struct hvm_hw_cpu *cpu)
{
	struct bv_events events = { 0 };

	if (!cpu->pending_valid)
		return bv_vcpu_events_set(vcpu->vcpu, &events);
	if (cpu->pending_type == EVENT_EXCEPTION) {
		events.exception.injected = true;
		events.exception.vector = cpu->pending_vector;
		events.exception.has_error = cpu->pending_error_valid;
		events.exception.error = cpu->error_code;
	} else if (cpu->pending_type == EVENT_NMI) {
		events.nmi.pending = 1;
	} else {
		events.interrupt.injected = true;
		events.interrupt.vector = cpu->pending_vector;
		events.interrupt.soft = cpu->pending_type == EVENT_SOFT;
	}
	return bv_vcpu_events_set(vcpu->vcpu, &events);
}

/* ---- the FPU ---- */

/* A zeroed area for the whole state; NULL: no memory. */
static u8 *xsave_alloc(void)
{
	return bv_host_alloc(bv_host_xsave_size());
}

static int fpu_out(struct bvx_vcpu *vcpu, struct hvm_hw_cpu *cpu)
{
	u8 *area = xsave_alloc();

	if (!area)
		return -XEN_ENOMEM;
	bv_host_xsave_get(vcpu->vcpu, area, bv_host_xsave_size());
	__builtin_memcpy(cpu->fpu_regs, area, sizeof(cpu->fpu_regs));
	cpu->flags = XEN_X86_FPU_INITIALISED;
	bv_host_free(area);
	return 0;
}

/* x87 and SSE only; a record of the whole state may follow. */
static int fpu_in(struct bvx_vcpu *vcpu, const struct hvm_hw_cpu *cpu)
{
	const u64 components = BV_XCR0_X87 | BV_XCR0_SSE;
	u8 *area;
	int error;

	if (!(cpu->flags & XEN_X86_FPU_INITIALISED))
		return 0;
	area = xsave_alloc();
	if (!area)
		return -XEN_ENOMEM;
	__builtin_memcpy(area, cpu->fpu_regs, sizeof(cpu->fpu_regs));
	__builtin_memcpy(area + XSAVE_HEADER, &components, sizeof(components));
	error = bv_host_xsave_set(vcpu->vcpu, area, bv_host_xsave_size());
	bv_host_free(area);
	return error;
}

/* ---- the records ---- */

static int cpu_out(struct bvx_vcpu *vcpu, void *body, u32 length)
{
	struct hvm_hw_cpu *cpu = body;
	struct bv_debugregs debug;
	struct bv_sregs sregs;
	struct bv_gprs gprs;

	(void)length;
	bv_vcpu_gprs_get(vcpu->vcpu, &gprs);
	for (u32 i = 0; i < 16; i++)
		(&cpu->rax)[i] = gprs.gpr[gpr_order[i]];
	cpu->rip = gprs.rip;
	cpu->rflags = gprs.rflags;
	bv_vcpu_sregs_get(vcpu->vcpu, &sregs);
	segs_out(cpu, &sregs);
	cpu->cr0 = sregs.cr0;
	cpu->cr2 = sregs.cr2;
	cpu->cr3 = sregs.cr3;
	cpu->cr4 = sregs.cr4;
	cpu->msr_efer = sregs.efer;
	bv_vcpu_debugregs_get(vcpu->vcpu, &debug);
	__builtin_memcpy(&cpu->dr0, debug.db, sizeof(debug.db));
	cpu->dr6 = debug.dr6;
	cpu->dr7 = debug.dr7;
	for (u32 i = 0; i < BV_ARRAY_SIZE(cpu_msrs); i++)
		*msr_place(cpu, i) = msr(vcpu, cpu_msrs[i].index);
	event_out(vcpu, cpu);
	return fpu_out(vcpu, cpu);
}

static int cpu_regs_in(struct bvx_vcpu *vcpu, struct hvm_hw_cpu *cpu)
{
	struct bv_debugregs debug = { .dr6 = (u32)cpu->dr6, .dr7 = (u32)cpu->dr7 };
	struct bv_sregs sregs;
	struct bv_gprs gprs = { .rip = cpu->rip, .rflags = cpu->rflags };
	int error;

	bv_vcpu_sregs_get(vcpu->vcpu, &sregs);
	segs_in(cpu, &sregs);
	sregs.cr0 = cpu->cr0;
	sregs.cr2 = cpu->cr2;
	sregs.cr3 = cpu->cr3;
	sregs.cr4 = cpu->cr4;
	sregs.efer = cpu->msr_efer;
	error = bv_vcpu_sregs_set(vcpu->vcpu, &sregs);
	if (error)
		return error;
	for (u32 i = 0; i < 16; i++)
		gprs.gpr[gpr_order[i]] = (&cpu->rax)[i];
	bv_vcpu_gprs_set(vcpu->vcpu, &gprs);
	__builtin_memcpy(debug.db, &cpu->dr0, sizeof(debug.db));
	return bv_vcpu_debugregs_set(vcpu->vcpu, &debug);
}

static int cpu_in(struct bvx_vcpu *vcpu, const void *body, u32 length)
{
	struct hvm_hw_cpu *cpu = (struct hvm_hw_cpu *)body;
	int error = cpu_regs_in(vcpu, cpu);

	(void)length;
	for (u32 i = 0; i < BV_ARRAY_SIZE(cpu_msrs) && !error; i++)
		error = bv_vcpu_msr_set(vcpu->vcpu, cpu_msrs[i].index, *msr_place(cpu, i));
	if (!error)
		error = fpu_in(vcpu, cpu);
	if (!error)
		error = event_in(vcpu, cpu);
	if (!error)
		error = bv_vcpu_mp_set(vcpu->vcpu, BV_MP_RUNNABLE);
	if (!error)
		__atomic_store_n(&vcpu->down, false, __ATOMIC_SEQ_CST);
	return error;
}

static int lapic_out(struct bvx_vcpu *vcpu, void *body, u32 length)
{
	struct hvm_hw_lapic *lapic = body;

	(void)length;
	lapic->apic_base_msr = bv_vcpu_apic_base(vcpu->vcpu);
	lapic->disabled = !(lapic->apic_base_msr & BV_BIT(11));
	lapic->tdt_msr = msr(vcpu, MSR_TSC_DEADLINE);
	return 0;
}

static int lapic_in(struct bvx_vcpu *vcpu, const void *body, u32 length)
{
	const struct hvm_hw_lapic *lapic = body;
	struct bv_sregs sregs;
	int error;

	(void)length;
	bv_vcpu_sregs_get(vcpu->vcpu, &sregs);
	sregs.apic_base = lapic->apic_base_msr;
	error = bv_vcpu_sregs_set(vcpu->vcpu, &sregs);
	if (!error && lapic->tdt_msr)
		error = bv_vcpu_msr_set(vcpu->vcpu, MSR_TSC_DEADLINE, lapic->tdt_msr);
	return error;
}

BV_STATIC_ASSERT(sizeof(struct bv_lapic_state) == sizeof(struct hvm_hw_lapic_regs));

static int lapic_regs_out(struct bvx_vcpu *vcpu, void *body, u32 length)
{
	(void)length;
	return bv_lapic_get(vcpu->vcpu, body);
}

static int lapic_regs_in(struct bvx_vcpu *vcpu, const void *body, u32 length)
{
	(void)length;
	return bv_lapic_set(vcpu->vcpu, body);
}

static int mtrr_out(struct bvx_vcpu *vcpu, void *body, u32 length)
{
	struct hvm_hw_mtrr *mtrr = body;

	(void)length;
	mtrr->msr_pat_cr = msr(vcpu, MSR_PAT);
	for (u32 i = 0; i < MTRR_VCNT * 2; i++)
		mtrr->msr_mtrr_var[i] = msr(vcpu, MSR_MTRR_VAR + i);
	for (u32 i = 0; i < NUM_FIXED_MSR; i++)
		mtrr->msr_mtrr_fixed[i] = msr(vcpu, mtrr_fixed[i]);
	mtrr->msr_mtrr_cap = msr(vcpu, MSR_MTRR_CAP);
	mtrr->msr_mtrr_def_type = msr(vcpu, MSR_MTRR_DEF);
	return 0;
}

static int mtrr_in(struct bvx_vcpu *vcpu, const void *body, u32 length)
{
	const struct hvm_hw_mtrr *mtrr = body;
	int error = bv_vcpu_msr_set(vcpu->vcpu, MSR_PAT, mtrr->msr_pat_cr);

	(void)length;
	for (u32 i = 0; i < MTRR_VCNT * 2 && !error; i++)
		error = bv_vcpu_msr_set(vcpu->vcpu, MSR_MTRR_VAR + i, mtrr->msr_mtrr_var[i]);
	for (u32 i = 0; i < NUM_FIXED_MSR && !error; i++)
		error = bv_vcpu_msr_set(vcpu->vcpu, mtrr_fixed[i], mtrr->msr_mtrr_fixed[i]);
	if (!error)
		error = bv_vcpu_msr_set(vcpu->vcpu, MSR_MTRR_DEF, mtrr->msr_mtrr_def_type);
	return error;
}

static u32 xsave_length(void)
{
	return (u32)offsetof(struct hvm_hw_cpu_xsave, save_area) + bv_host_xsave_size();
}

static int xsave_out(struct bvx_vcpu *vcpu, void *body, u32 length)
{
	struct hvm_hw_cpu_xsave *xsave = body;

	(void)length;
	xsave->xfeature_mask = bv_host_xcr0_supported();
	xsave->xcr0 = xsave->xcr0_accum = bv_vcpu_xcr0_get(vcpu->vcpu);
	return bv_host_xsave_get(vcpu->vcpu, &xsave->save_area, bv_host_xsave_size());
}

/* A shorter area lacks components that were never used. */
static int xsave_in(struct bvx_vcpu *vcpu, const void *body, u32 length)
{
	const struct hvm_hw_cpu_xsave *xsave = body;
	u32 head = offsetof(struct hvm_hw_cpu_xsave, save_area), most = bv_host_xsave_size();
	u8 *area;
	int error;

	if (length < sizeof(*xsave))
		return -XEN_EINVAL;
	area = xsave_alloc();
	if (!area)
		return -XEN_ENOMEM;
	__builtin_memcpy(area, &xsave->save_area, length - head < most ? length - head : most);
	error = bv_vcpu_xcr0_set(vcpu->vcpu, xsave->xcr0);
	if (!error)
		error = bv_host_xsave_set(vcpu->vcpu, area, most);
	bv_host_free(area);
	return error;
}

static int tsc_adjust_out(struct bvx_vcpu *vcpu, void *body, u32 length)
{
	(void)length;
	((struct hvm_tsc_adjust *)body)->tsc_adjust = msr(vcpu, MSR_TSC_ADJUST);
	return 0;
}

/* The TSC itself has come with the registers: the value is kept, not applied once more. */
static int tsc_adjust_in(struct bvx_vcpu *vcpu, const void *body, u32 length)
{
	u64 tsc = msr(vcpu, MSR_TSC);
	int error = bv_vcpu_msr_set(vcpu->vcpu, MSR_TSC_ADJUST,
				    ((const struct hvm_tsc_adjust *)body)->tsc_adjust);

	(void)length;
	return error ? error : bv_vcpu_msr_set(vcpu->vcpu, MSR_TSC, tsc);
}

/* Whether an MSR of the engine's list has its place in another record. */
static bool msr_elsewhere(u32 index)
{
	for (u32 i = 0; i < BV_ARRAY_SIZE(cpu_msrs); i++)
		if (cpu_msrs[i].index == index)
			return true;
	for (u32 i = 0; i < NUM_FIXED_MSR; i++)
		if (mtrr_fixed[i] == index)
			return true;
	return index == MSR_PAT || index == MSR_MTRR_CAP || index == MSR_MTRR_DEF ||
	       (index >= MSR_MTRR_VAR && index < MSR_MTRR_VAR + MTRR_VCNT * 2) ||
	       index == MSR_TSC_ADJUST || index == MSR_TSC_DEADLINE || index == 0x1b ||
	       index >> 8 == 0x4b564d;
}

static u32 msrs_length(void)
{
	return sizeof(struct hvm_msr) + EXTRA_MSRS * sizeof(struct hvm_one_msr);
}

static int msrs_out(struct bvx_vcpu *vcpu, void *body, u32 length)
{
	struct hvm_msr *record = body;
	u32 index;

	(void)length;
	for (u32 i = 0; bv_msr_saved(i, &index); i++) {
		u64 value;

		if (msr_elsewhere(index) || bv_vcpu_msr_get(vcpu->vcpu, index, &value) || !value)
			continue;
		if (record->count == EXTRA_MSRS)
			return -XEN_ENOSPC;
		record->msr[record->count].index = index;
		record->msr[record->count++].val = value;
	}
	return 0;
}

static int msrs_in(struct bvx_vcpu *vcpu, const void *body, u32 length)
{
	const struct hvm_msr *record = body;
	int error = 0;

	if (length < sizeof(*record) ||
	    record->count > (length - sizeof(*record)) / sizeof(struct hvm_one_msr))
		return -XEN_EINVAL;
	for (u32 i = 0; i < record->count && !error; i++)
		error = bv_vcpu_msr_set(vcpu->vcpu, record->msr[i].index, record->msr[i].val);
	return error;
}

#define RECORD(code, writes, reads)                                                  \
	{                                                                            \
		HVM_SAVE_CODE(code), (u32)HVM_SAVE_LENGTH(code), NULL, writes, reads \
	}

/* In the order in which they are written, a group a vCPU. */
static const struct record {
	u16 code;
	u32 length; /* the least that is read */
	u32 (*most)(void); /* how much is written, where it is not the same */
	int (*write)(struct bvx_vcpu *vcpu, void *body, u32 length);
	int (*read)(struct bvx_vcpu *vcpu, const void *body, u32 length);
} records[] = {
	RECORD(CPU, cpu_out, cpu_in),
	RECORD(LAPIC, lapic_out, lapic_in),
	RECORD(LAPIC_REGS, lapic_regs_out, lapic_regs_in),
	RECORD(MTRR, mtrr_out, mtrr_in),
	{ CPU_XSAVE_CODE, sizeof(struct hvm_hw_cpu_xsave), xsave_length, xsave_out, xsave_in },
	RECORD(TSC_ADJUST, tsc_adjust_out, tsc_adjust_in),
	{ CPU_MSR_CODE, sizeof(struct hvm_msr), msrs_length, msrs_out, msrs_in },
};

static u32 record_most(const struct record *record)
{
	return record->most ? record->most() : record->length;
}

/* ---- the whole context ---- */

static u32 context_size(struct bvx_domain *domain)
{
	u32 each = 0, vcpus = 0;

	for (u32 i = 0; i < BV_ARRAY_SIZE(records); i++)
		each += sizeof(struct hvm_save_descriptor) + record_most(&records[i]);
	for (u32 i = 0; i < domain->max_vcpus; i++)
		vcpus += !!domain->vcpu[i];
	return vcpus * each + 2 * sizeof(struct hvm_save_descriptor) +
	       sizeof(struct hvm_save_header);
}

static u8 *descriptor_put(u8 *at, u16 code, u32 instance, u32 length)
{
	const struct hvm_save_descriptor descriptor = { code, (u16)instance, length };

	__builtin_memcpy(at, &descriptor, sizeof(descriptor));
	return at + sizeof(descriptor);
}

/* How long the body turned out: lists are cut to what they have. */
static u32 body_length(const struct record *record, const u8 *body)
{
	if (record->code == CPU_MSR_CODE)
		return sizeof(struct hvm_msr) +
		       ((const struct hvm_msr *)body)->count * sizeof(struct hvm_one_msr);
	return record_most(record);
}

static u8 *vcpu_put(struct bvx_vcpu *vcpu, u8 *at, int *error)
{
	for (u32 i = 0; i < BV_ARRAY_SIZE(records) && !*error; i++) {
		u8 *body = at + sizeof(struct hvm_save_descriptor);
		u32 length;

		*error = records[i].write(vcpu, body, record_most(&records[i]));
		length = body_length(&records[i], body);
		if (records[i].code == CPU_MSR_CODE && length == sizeof(struct hvm_msr)) {
			__builtin_memset(at, 0, sizeof(struct hvm_save_descriptor) + length);
			continue;
		}
		descriptor_put(at, records[i].code, vcpu->index, length);
		at = body + length;
	}
	return at;
}

/* Fills a zeroed buffer of context_size; returns how much was used. */
static long context_put(struct bvx_domain *domain, u8 *buffer)
{
	struct hvm_save_header header = { .magic = HVM_FILE_MAGIC, .version = HVM_FILE_VERSION };
	u32 out[4];
	u8 *at;
	int error = 0;

	bvx_host_cpuid(1, 0, out);
	header.cpuid = out[0];
	header.gtsc_khz = bv_host_tsc_khz();
	at = descriptor_put(buffer, HVM_SAVE_CODE(HEADER), 0, sizeof(header));
	__builtin_memcpy(at, &header, sizeof(header));
	at += sizeof(header);
	for (u32 i = 0; i < domain->max_vcpus && !error; i++)
		if (vcpu_saved(domain->vcpu[i]))
			at = vcpu_put(domain->vcpu[i], at, &error);
	at = descriptor_put(at, HVM_SAVE_CODE(END), 0, 0);
	return error ? error : at - buffer;
}

long bvx_domctl_gethvmcontext(struct bvx_call *call, struct xen_domctl *op,
			      struct bvx_domain *domain)
{
	struct xen_domctl_hvmcontext *context = &op->u.hvmcontext;
	u32 size = context_size(domain);
	u8 *buffer;
	long length;

	if (domain == call->domain)
		return bvx_call_refuse(call, XEN_EINVAL, "the caller's own state");
	/* Its own guest may be on, and there is no record for that. */
	if (domain->flags & XEN_DOMCTL_CDF_nested_virt && domain->finished)
		return bvx_call_refuse(call, XEN_EOPNOTSUPP,
				       "d%u runs guests (nestedhvm=1): its state is not saved",
				       domain->id);
	if (!context->buffer.p) {
		context->size = size;
		return 0;
	}
	if (context->size < size)
		return bvx_call_refuse(call, XEN_ENOSPC, "%u bytes, it takes %u", context->size,
				       size);
	buffer = bv_host_alloc(size);
	if (!buffer)
		return -XEN_ENOMEM;
	bvx_domain_stop_sync(domain, NULL);
	length = context_put(domain, buffer);
	bvx_domain_go(domain);
	if (length >= 0 &&
	    bvx_copy_out(call->vcpu, (u64)(unsigned long)context->buffer.p, buffer, (size_t)length))
		length = -XEN_EFAULT;
	bv_host_free(buffer);
	if (length < 0)
		return length;
	context->size = (u32)length;
	return 0;
}

static int record_in(struct bvx_call *call, struct bvx_domain *domain,
		     const struct hvm_save_descriptor *descriptor, const u8 *body)
{
	struct bvx_vcpu *vcpu = descriptor->instance < domain->max_vcpus ?
					domain->vcpu[descriptor->instance] :
					NULL;
	char reasons[BV_WHY_CHARS];
	int error;

	for (u32 i = 0; i < BV_ARRAY_SIZE(records); i++) {
		if (records[i].code != descriptor->typecode)
			continue;
		if (!vcpu || descriptor->length < records[i].length)
			return bvx_call_refuse(call, XEN_EINVAL, "record %u of vCPU %u, %u bytes",
					       descriptor->typecode, descriptor->instance,
					       descriptor->length);
		error = records[i].read(vcpu, body, descriptor->length);
		if (!error)
			return 0;
		bv_why_read(bv_vm_why(domain->vm), reasons, sizeof(reasons));
		return bvx_call_refuse(call, -error, "record %u of vCPU %u: %s",
				       descriptor->typecode, descriptor->instance, reasons);
	}
	/* A record of a chip that this guest has not: nothing depends on it. */
	return 0;
}

static int context_in(struct bvx_call *call, struct bvx_domain *domain, const u8 *buffer, u32 size)
{
	struct hvm_save_descriptor descriptor;
	struct hvm_save_header header;
	u32 at = 0;

	for (bool first = true;; first = false) {
		int error;

		if (size - at < sizeof(descriptor))
			return bvx_call_refuse(call, XEN_EINVAL, "it ends without an end, at %u",
					       at);
		__builtin_memcpy(&descriptor, buffer + at, sizeof(descriptor));
		at += sizeof(descriptor);
		if (descriptor.length > size - at)
			return bvx_call_refuse(call, XEN_EINVAL, "record %u passes the end",
					       descriptor.typecode);
		if (first) {
			if (descriptor.typecode != HVM_SAVE_CODE(HEADER) ||
			    descriptor.length < sizeof(header))
				return bvx_call_refuse(call, XEN_EINVAL, "no header");
			__builtin_memcpy(&header, buffer + at, sizeof(header));
			if (header.magic != HVM_FILE_MAGIC || header.version != HVM_FILE_VERSION)
				return bvx_call_refuse(call, XEN_EINVAL, "magic %#x, version %u",
						       header.magic, header.version);
		} else if (descriptor.typecode == HVM_SAVE_CODE(END)) {
			return 0;
		}
		error = first ? 0 : record_in(call, domain, &descriptor, buffer + at);
		if (error)
			return error;
		at += descriptor.length;
	}
}

#define CONTEXT_MOST (1u << 20)

long bvx_domctl_sethvmcontext(struct bvx_call *call, struct xen_domctl *op,
			      struct bvx_domain *domain)
{
	const struct xen_domctl_hvmcontext *context = &op->u.hvmcontext;
	u8 *buffer;
	int error;

	if (domain == call->domain)
		return bvx_call_refuse(call, XEN_EINVAL, "the caller's own state");
	if (!context->size || context->size > CONTEXT_MOST)
		return bvx_call_refuse(call, XEN_EINVAL, "%u bytes", context->size);
	/* Records are read where they lie: room behind the last one for the largest head. */
	buffer = bv_host_alloc(context->size + sizeof(struct hvm_hw_cpu));
	if (!buffer)
		return -XEN_ENOMEM;
	error = bvx_copy_in(call->vcpu, buffer, (u64)(unsigned long)context->buffer.p,
			    context->size) ?
			-XEN_EFAULT :
			0;
	if (!error) {
		bvx_domain_stop_sync(domain, NULL);
		error = context_in(call, domain, buffer, context->size);
		bvx_domain_go(domain);
	}
	bv_host_free(buffer);
	return error;
}

static long partial_put(struct bvx_call *call, struct xen_domctl_hvmcontext_partial *partial,
			struct bvx_vcpu *vcpu, const struct record *record)
{
	u32 most = record_most(record), length;
	u8 *body;
	long error;

	if (!partial->buffer.p) {
		partial->bufsz = most;
		return 0;
	}
	body = bv_host_alloc(most);
	if (!body)
		return -XEN_ENOMEM;
	bvx_vcpu_stop_sync(vcpu);
	error = record->write(vcpu, body, most);
	bvx_vcpu_go(vcpu);
	length = body_length(record, body);
	if (!error && partial->bufsz < length)
		error = -XEN_ENOSPC;
	if (!error && bvx_copy_out(call->vcpu, (u64)(unsigned long)partial->buffer.p, body, length))
		error = -XEN_EFAULT;
	partial->bufsz = length;
	bv_host_free(body);
	return error;
}

long bvx_domctl_gethvmcontext_partial(struct bvx_call *call, struct xen_domctl *op,
				      struct bvx_domain *domain)
{
	struct xen_domctl_hvmcontext_partial *partial = &op->u.hvmcontext_partial;
	struct bvx_vcpu *vcpu =
		partial->instance < domain->max_vcpus ? domain->vcpu[partial->instance] : NULL;

	if (!vcpu_saved(vcpu) || domain == call->domain)
		return -XEN_ENOENT;
	for (u32 i = 0; i < BV_ARRAY_SIZE(records); i++)
		if (records[i].code == partial->type)
			return partial_put(call, partial, vcpu, &records[i]);
	return bvx_call_refuse(call, XEN_EINVAL, "record %u", partial->type);
}

/* ---- registers in the form of PV guests ---- */

static void user_regs_out(struct cpu_user_regs *regs, const struct bv_gprs *gprs,
			  const struct bv_sregs *sregs)
{
	const u64 *gpr = gprs->gpr;

	*regs = (struct cpu_user_regs){
		.r15 = gpr[BV_R15],
		.r14 = gpr[BV_R14],
		.r13 = gpr[BV_R13],
		.r12 = gpr[BV_R12],
		.rbp = gpr[BV_RBP],
		.rbx = gpr[BV_RBX],
		.r11 = gpr[BV_R11],
		.r10 = gpr[BV_R10],
		.r9 = gpr[BV_R9],
		.r8 = gpr[BV_R8],
		.rax = gpr[BV_RAX],
		.rcx = gpr[BV_RCX],
		.rdx = gpr[BV_RDX],
		.rsi = gpr[BV_RSI],
		.rdi = gpr[BV_RDI],
		.rip = gprs->rip,
		.cs = sregs->seg[BV_SEG_CS].sel,
		.rflags = gprs->rflags,
		.rsp = gpr[BV_RSP],
		.ss = sregs->seg[BV_SEG_SS].sel,
		.es = sregs->seg[BV_SEG_ES].sel,
		.ds = sregs->seg[BV_SEG_DS].sel,
		.fs = sregs->seg[BV_SEG_FS].sel,
		.gs = sregs->seg[BV_SEG_GS].sel,
	};
}

static struct bvx_vcpu *context_vcpu(struct bvx_domain *domain, const struct xen_domctl *op)
{
	u32 index = op->u.vcpucontext.vcpu;

	return index < domain->max_vcpus ? domain->vcpu[index] : NULL;
}

long bvx_domctl_getvcpucontext(struct bvx_call *call, struct xen_domctl *op,
			       struct bvx_domain *domain)
{
	struct bvx_vcpu *vcpu = context_vcpu(domain, op);
	struct vcpu_guest_context *context;
	struct bv_sregs sregs;
	struct bv_gprs gprs;
	long error;

	if (!vcpu || domain == call->domain)
		return vcpu ? -XEN_EINVAL : -XEN_ESRCH;
	context = bv_host_alloc(sizeof(*context));
	if (!context)
		return -XEN_ENOMEM;
	bvx_vcpu_stop_sync(vcpu);
	bv_vcpu_gprs_get(vcpu->vcpu, &gprs);
	bv_vcpu_sregs_get(vcpu->vcpu, &sregs);
	bvx_vcpu_go(vcpu);
	user_regs_out(&context->user_regs, &gprs, &sregs);
	context->flags = VGCF_in_kernel | (bvx_vcpu_online(vcpu) ? VGCF_online : 0);
	context->ctrlreg[0] = sregs.cr0;
	context->ctrlreg[2] = sregs.cr2;
	context->ctrlreg[3] = sregs.cr3;
	context->ctrlreg[4] = sregs.cr4;
	error = bvx_copy_out(call->vcpu, (u64)(unsigned long)op->u.vcpucontext.ctxt.p, context,
			     sizeof(*context)) ?
			-XEN_EFAULT :
			0;
	bv_host_free(context);
	return error;
}

static void user_regs_in(const struct cpu_user_regs *regs, struct bv_gprs *gprs)
{
	u64 *gpr = gprs->gpr;

	gpr[BV_R15] = regs->r15;
	gpr[BV_R14] = regs->r14;
	gpr[BV_R13] = regs->r13;
	gpr[BV_R12] = regs->r12;
	gpr[BV_RBP] = regs->rbp;
	gpr[BV_RBX] = regs->rbx;
	gpr[BV_R11] = regs->r11;
	gpr[BV_R10] = regs->r10;
	gpr[BV_R9] = regs->r9;
	gpr[BV_R8] = regs->r8;
	gpr[BV_RAX] = regs->rax;
	gpr[BV_RCX] = regs->rcx;
	gpr[BV_RDX] = regs->rdx;
	gpr[BV_RSI] = regs->rsi;
	gpr[BV_RDI] = regs->rdi;
	gpr[BV_RSP] = regs->rsp;
	gprs->rip = regs->rip;
	gprs->rflags = regs->rflags;
}

/* Of a translated guest only general registers are taken: what the tools change to resume it. */
long bvx_domctl_setvcpucontext(struct bvx_call *call, struct xen_domctl *op,
			       struct bvx_domain *domain)
{
	u64 at = (u64)(unsigned long)op->u.vcpucontext.ctxt.p +
		 offsetof(struct vcpu_guest_context, user_regs);
	struct bvx_vcpu *vcpu = context_vcpu(domain, op);
	struct cpu_user_regs regs;
	struct bv_gprs gprs;

	if (!vcpu || domain == call->domain)
		return vcpu ? -XEN_EINVAL : -XEN_ESRCH;
	if (bvx_copy_in(call->vcpu, &regs, at, sizeof(regs)))
		return -XEN_EFAULT;
	bvx_vcpu_stop_sync(vcpu);
	user_regs_in(&regs, &gprs);
	bv_vcpu_gprs_set(vcpu->vcpu, &gprs);
	bvx_vcpu_go(vcpu);
	return 0;
}

/* ---- dirty pages ---- */

static long log_switch(struct bvx_call *call, struct bvx_domain *domain, bool on)
{
	int error;

	bvx_domain_stop_sync(domain, NULL);
	error = bvx_domain_log(domain, on);
	bvx_domain_go(domain);
	return error ? bvx_call_refuse(call, -error, "no memory for the log") : 0;
}

static u32 bits_count(const u64 *bitmap, u64 words)
{
	u32 count = 0;

	for (u64 i = 0; i < words; i++)
		for (u64 left = bitmap[i]; left; left &= left - 1)
			count++;
	return count;
}

static long log_read(struct bvx_call *call, struct xen_domctl_shadow_op *op,
		     struct bvx_domain *domain)
{
	u64 words, bytes = (op->pages + 7) / 8;
	u64 *bitmap;
	long error;

	if (!domain->logging)
		return bvx_call_refuse(call, XEN_EINVAL, "d%u's pages are not logged", domain->id);
	bitmap = bvx_log_fetch(domain, op->op == XEN_DOMCTL_SHADOW_OP_CLEAN, &words);
	if (!bitmap)
		return -XEN_ENOMEM;
	op->stats.dirty_count = bits_count(bitmap, words);
	op->stats.fault_count = op->stats.dirty_count;
	if (bytes > words * 8) {
		bytes = words * 8;
		op->pages = words * 64;
	}
	error = op->dirty_bitmap.p &&
				bvx_copy_out(call->vcpu, (u64)(unsigned long)op->dirty_bitmap.p,
					     bitmap, bytes) ?
			-XEN_EFAULT :
			0;
	bv_host_free(bitmap);
	return error;
}

long bvx_domctl_shadow_op(struct bvx_call *call, struct xen_domctl *sysop,
			  struct bvx_domain *domain)
{
	struct xen_domctl_shadow_op *op = &sysop->u.shadow_op;

	if (domain == call->domain)
		return bvx_call_refuse(call, XEN_EINVAL, "the caller's own pages");
	switch (op->op) {
	case XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY:
		return log_switch(call, domain, true);
	case XEN_DOMCTL_SHADOW_OP_ENABLE:
		if (op->mode != XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY)
			return bvx_call_refuse(call, XEN_EINVAL, "mode %#x", op->mode);
		return log_switch(call, domain, true);
	case XEN_DOMCTL_SHADOW_OP_OFF:
		return log_switch(call, domain, false);
	case XEN_DOMCTL_SHADOW_OP_CLEAN:
	case XEN_DOMCTL_SHADOW_OP_PEEK:
		return log_read(call, op, domain);
	case XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION:
		op->mb = (u32)(domain->mempool >> 20);
		return 0;
	case XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION:
		domain->mempool = (u64)op->mb << 20;
		return 0;
	default:
		return bvx_call_refuse(call, XEN_EINVAL, "operation %u", op->op);
	}
}
