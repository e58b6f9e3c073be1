/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * What the files of this folder share.
 *
 * Where a VMCS is. A processor keeps VMCSs that are active on it, and only there they may be used
 * (24.11.1). So each CPU has a list of those that are active on it: a vCPU that comes to another
 * CPU has the old one clear it first, and a CPU that goes offline clears all of its own. Reading
 * and writing happen in the current VMCS: while a vCPU is loaded it is its own.
 *
 * What is in the VMCS, and what beside it. Whatever the core asks for at other times than an entry
 * (events, wishes, the TSC's offset, debug registers, system-call MSRs) is kept in struct vmx_vcpu,
 * and brought to the VMCS by the next entry. Segments, tables, CR0, CR3, CR4 and SYSENTER are in
 * the VMCS only; they are pulled on demand.
 */
#ifndef BV_VMX_VMX_H
#define BV_VMX_VMX_H

#include "core/vcpu.h"
#include "lib/list.h"
#include "vmx/vmx_caps.h"

/* One for each CPU of the host, used on that CPU alone. */
struct vmx_cpu {
	/* constant after vmx_init */
	void *vmxon;
	/* guarded by lock, so with interrupts off: another CPU's call may come at any time */
	struct bv_spinlock lock;
	struct bv_list active; /* vCPUs whose VMCS is active here */
	struct vmx_vcpu *current_vmcs; /* the one that VMREAD reads */
	/* the CPU at hand only */
	u64 last_vm; /* whose vCPU was here last */
	bool enabled;
};

/* System-call MSRs that no VMCS holds: the CPU has the guest's while a vCPU is loaded. */
enum vmx_syscall_msr {
	VMX_STAR,
	VMX_LSTAR,
	VMX_CSTAR,
	VMX_SFMASK,
	VMX_KERNEL_GS,
	VMX_SYSCALL_MSRS
};

struct vmx_vcpu {
	/* constant after creation */
	void *vmcs;
	u64 vmcs_pa;
	u8 *vapic; /* the virtual-APIC page: TPR, and where it serves (vmx_serve.c) ISR and IRR */
	u64 *pml; /* the page-modification log; NULL: the processor has none */
	u16 vpid; /* 0: none */
	/* the CPU on which it is active, interrupts off there */
	struct bv_list active;
	u32 active_cpu; /* ~0: on none */
	bool launched;
	bool host_known; /* the host-state area is this CPU's */
	/* owning vCPU */
	u32 tlb_cpu; /* where its translations are flushed as they ought to be */
	bool tlb_flush;
	struct bv_wishes wishes;
	bool wishes_changed;
	bool tsc_changed;
	u32 event, event_error; /* VM-entry interruption information; 0: none */
	u32 blocking; /* interruptibility */
	u32 blocking_there; /* what the VMCS has */
	u32 proc, proc_there; /* primary controls */
	u32 threshold_there;
	u32 timer_there; /* the VMX-preemption timer's value at entries */
	bool serving;
	bool serve_due; /* the VMCS does not have what the processor is to serve */
	u16 status_there;
	u64 told_there[4];
	u64 rip_there, rsp_there, rflags_there;
	u64 cr3_there, cr4_there, host_rsp; /* of the host */
	u64 perf_there;
	u64 cr0_mask, cr4_mask;
	u64 cr4_offered; /* by the guest's CPUID, */
	u32 proc2_offered; /* and what follows from it */
	u64 efer;
	u64 cr0, cr3, cr4, pdpte_efer; /* with which PDPTEs were read last */
	u64 cr2, dr6, dr7, pat;
	u64 pdpte[4];
	bool pdptes_changed;
	u64 msr[VMX_SYSCALL_MSRS], host_msr[VMX_SYSCALL_MSRS];
	u64 host_debugctl;
	bool entered; /* since it was loaded */
	u16 host_ldt, host_ds, host_es, host_fs, host_gs;
	u64 host_fs_base;
};

struct vmx_vm {
	u8 *msr_bitmap; /* NULL: the common one */
};

#define VMX_MAX_CPUS 512
#define VMX_VPIDS 65536

extern struct vmx_globals {
	struct vmx_msrs msrs; /* the boot CPU's */
	struct vmx_caps caps;
	struct vmx_cpu *cpu; /* one for each CPU of the host */
	u8 *msr_bitmap; /* the default permissions */
	u8 *msr_bitmap_serving; /* and those of a vCPU whose interrupts are ended by the hardware */
	struct bv_spinlock vpid_lock;
	u8 *vpids; /* a bit each, set: taken; guarded by vpid_lock */
	bool has_rdtscp, has_pku, has_perf, has_debugctl, has_vpid, has_ad, has_turns, has_pml;
	bool has_service;
	u32 timer_longest; /* the VMX-preemption timer's value where no turn is set */
	u64 host_xcr0;
	struct bv_nest_format nest;
} vmx;

static inline struct vmx_vcpu *vmx_of(const struct bv_vcpu *vcpu)
{
	return vcpu->vendor;
}

/* ---- instructions; the VMCS must be current, which its owner sees to ---- */

static inline u64 vmx_read(enum vmcs_field field)
{
	u64 value;

	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((u64)field) : "cc");
	return value;
}

/* A field that does not exist here is not written: the checker finds what then does not agree. */
static inline void vmx_write(enum vmcs_field field, u64 value)
{
	__asm__ volatile("vmwrite %0, %1" : : "r"(value), "r"((u64)field) : "cc");
}

/* vmx_msr.c */
u8 *vmx_msr_bitmap_alloc(bool serving);
void vmx_msr_bitmap_filter(u8 *bitmap, struct bv_vm *vm);
void vmx_msrs_load(struct vmx_vcpu *own);
void vmx_msrs_unload(struct vmx_vcpu *own);
void vmx_msrs_pull(struct bv_vcpu *vcpu);
void vmx_msrs_push(struct bv_vcpu *vcpu);

/* vmx_vcpu.c */
int vmx_vcpu_init(struct bv_vcpu *vcpu);
void vmx_vcpu_fini(struct bv_vcpu *vcpu);
void vmx_inject(struct bv_vcpu *vcpu, enum bv_event_kind kind, u8 vector, bool has_error,
		u32 error);
void vmx_uninject(struct bv_vcpu *vcpu);
void vmx_wishes_push(struct bv_vcpu *vcpu);
void vmx_wish(struct bv_vcpu *vcpu, const struct bv_wishes *wishes);
u8 vmx_shadow_get(struct bv_vcpu *vcpu);
void vmx_shadow_set(struct bv_vcpu *vcpu, u8 shadow);
const u64 *vmx_log_take(struct bv_vcpu *vcpu, u32 *count);
void vmx_tlb_flush(struct bv_vcpu *vcpu);
void vmx_tsc_offset(struct bv_vcpu *vcpu, u64 offset);

/* vmx_state.c */
void vmx_pull(struct bv_vcpu *vcpu, u32 groups);
void vmx_push(struct bv_vcpu *vcpu, u32 groups);
void vmx_prepare(struct bv_vcpu *vcpu);
void vmx_masks_push(struct bv_vcpu *vcpu);

/* vmx_load.c: a VMCS between CPUs */
void vmx_make_current(struct vmx_vcpu *own);
void vmx_release(struct vmx_vcpu *own);
void vmx_clear(struct vmx_vcpu *own);
void vmx_cpu_clear_all(struct vmx_cpu *cpu);
void vmx_load(struct bv_vcpu *vcpu);
void vmx_unload(struct bv_vcpu *vcpu);
void vmx_tsc_aux(struct bv_vcpu *vcpu, u32 value);

/* vmx_enter.c; an exit comes to vmx_landing */
extern const char vmx_landing[], vmx_landing_mitigated[];
void vmx_enter(struct bv_vcpu *vcpu);
u64 vmx_eptp(const struct bv_vm *vm);

/* vmx_serve.c: interrupts that the processor ends */
void vmx_serve(struct bv_vcpu *vcpu, bool on);
void vmx_serve_write(struct bv_vcpu *vcpu, struct vmx_vcpu *own);
void vmx_serve_read(struct bv_vcpu *vcpu, struct vmx_vcpu *own);

/* vmx_exit.c: the VMCS's exit in neutral words. */
void vmx_exit_decode(struct bv_vcpu *vcpu, bool failed, u32 reason);

/*
 * vmx_check.c: holds a VMCS to the manual's lists of checks on VM entries (26.2, 26.3), and says
 * each that it breaks. `read` gives a field's value. Returns how many are broken.
 */
unsigned int vmx_check(const struct vmx_caps *caps, u64 (*read)(void *arg, u32 field),
		       void (*broken)(void *arg, const char *rule, u64 value), void *arg);
const char *vmx_error_name(u32 error);
const char *vmx_reason_name(u32 reason);

#endif
