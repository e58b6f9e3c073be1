/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * A vCPU's VMCS: made and given its constant fields; and what the core asks for between entries,
 * which is kept beside it (see vmx.h). Manual: volume 3, 24.6 (controls), 24.8.3 (event injection).
 */
#include "vmx/vmx.h"

/*
 * #MC belongs to the host. #AC and #DB exit because a guest that makes their delivery raise them
 * again would never let the CPU take an interrupt; the core injects them. #UD exits because it may
 * be the other vendor's hypercall.
 */
#define EXCEPTIONS_ALWAYS (1u << BV_EXC_MC | 1u << BV_EXC_AC | 1u << BV_EXC_DB | 1u << BV_EXC_UD)

/*
 * 24.6.13, in TSC ticks: PAUSEs less than the gap apart are of one loop, which exits when it has
 * gone on for the window, some 10 times what a lock is held.
 */
#define PLE_GAP 128
#define PLE_WINDOW 4096

/* Without their controls, instructions are #UD that the guest's CPUID does not have. */
static u32 proc2_controls(const struct bv_vcpu *vcpu, const struct vmx_vcpu *own)
{
	u32 proc2 = vmx.caps.control[VMX_PROC2];

	if (!vcpu->caps.rdtscp)
		proc2 &= ~(u32)VMX_PROC2_RDTSCP;
	if (!vcpu->caps.invpcid)
		proc2 &= ~(u32)VMX_PROC2_INVPCID;
	proc2 |= own->vpid ? VMX_PROC2_VPID : 0;
	proc2 |= own->pml ? VMX_PROC2_PML : 0;
	return proc2 | (own->serving ? VMX_PROC2_X2APIC_MODE | VMX_PROC2_INTERRUPT_DELIVERY : 0);
}

/* A VM's own bitmap has the EOI register exit: the local APIC ends the interrupt then. */
static const u8 *msr_bitmap(const struct bv_vcpu *vcpu, const struct vmx_vcpu *own)
{
	const struct vmx_vm *vm = vcpu->vm->vendor;

	if (vm->msr_bitmap)
		return vm->msr_bitmap;
	return own->serving ? vmx.msr_bitmap_serving : vmx.msr_bitmap;
}

/* The VMCS is current. */
void vmx_wishes_push(struct bv_vcpu *vcpu)
{
	struct vmx_vcpu *own = vmx_of(vcpu);

	__atomic_store_n(&own->wishes_changed, false, __ATOMIC_SEQ_CST);
	vmx_write(VMCS_EXCEPTIONS,
		  EXCEPTIONS_ALWAYS | (own->wishes.bp_exits ? 1u << BV_EXC_BP : 0));
	vmx_write(VMCS_MSR_BITMAP, bv_host_pa(msr_bitmap(vcpu, own)));
	vmx_write(VMCS_PROC2_CONTROLS, proc2_controls(vcpu, own));
	vmx_masks_push(vcpu);
}

/* ---- virtual-processor identifiers ---- */

static u16 vpid_take(void)
{
	u64 flags = bv_host_spin_lock_irq(&vmx.vpid_lock);
	u32 vpid = 0;

	while (vpid < VMX_VPIDS && vmx.vpids[vpid / 8] >> vpid % 8 & 1)
		vpid++;
	/* All taken: this one goes without, and every entry and exit flushes. */
	if (vpid == VMX_VPIDS || !vmx.has_vpid)
		vpid = 0;
	vmx.vpids[vpid / 8] |= 1u << vpid % 8;
	bv_host_spin_unlock_irq(&vmx.vpid_lock, flags);
	return vpid;
}

static void vpid_give(u16 vpid)
{
	u64 flags = bv_host_spin_lock_irq(&vmx.vpid_lock);

	if (vpid)
		vmx.vpids[vpid / 8] &= ~(1u << vpid % 8);
	bv_host_spin_unlock_irq(&vmx.vpid_lock, flags);
}

/* ---- birth and end ---- */

u64 vmx_eptp(const struct bv_vm *vm)
{
	return bv_host_pa(vm->nest.root) | VMX_EPTP_WB | VMX_EPTP_WALK_4 |
	       (vmx.has_ad ? VMX_EPTP_AD : 0);
}

static void vmcs_controls_write(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	const u32 *control = vmx.caps.control;
	u32 perf_exit = vmx.has_perf ? VMX_EXIT_LOAD_PERF : 0;
	u32 perf_entry = vmx.has_perf ? VMX_ENTRY_LOAD_PERF : 0;

	vmx_write(VMCS_PIN_CONTROLS, control[VMX_PIN]);
	vmx_write(VMCS_PROC_CONTROLS, own->proc);
	vmx_write(VMCS_PROC2_CONTROLS, proc2_controls(vcpu, own));
	vmx_write(VMCS_EXIT_CONTROLS, control[VMX_EXIT] | perf_exit);
	vmx_write(VMCS_ENTRY_CONTROLS, control[VMX_ENTRY] | perf_entry);
	vmx_write(VMCS_VIRTUAL_APIC, bv_host_pa(own->vapic));
	vmx_write(VMCS_EPTP, vmx_eptp(vcpu->vm));
	if (own->vpid)
		vmx_write(VMCS_VPID, own->vpid);
	if (own->pml) {
		vmx_write(VMCS_PML_ADDRESS, bv_host_pa(own->pml));
		vmx_write(VMCS_PML_INDEX, VMX_PML_ENTRIES - 1);
	}
	if (control[VMX_PROC2] & VMX_PROC2_PAUSE_LOOP) {
		vmx_write(VMCS_PLE_GAP, PLE_GAP);
		vmx_write(VMCS_PLE_WINDOW, PLE_WINDOW);
	}
	if (control[VMX_PIN] & VMX_PIN_PREEMPTION_TIMER)
		vmx_write(VMCS_TIMER, own->timer_there = vmx.timer_longest);
	vmx_write(VMCS_TPR_THRESHOLD, 0);
	if (vmx.has_service) {
		vmx_write(VMCS_GUEST_STATUS, 0);
		for (unsigned int i = 0; i < 4; i++)
			vmx_write(VMCS_EOI_EXIT0 + 2 * i, 0);
	}
}

/* Fields that stay as they are. No MSR is switched by the lists: all have controls or are cheap. */
static void vmcs_rest_write(void)
{
	static const enum vmcs_field zero[] = {
		VMCS_PF_MASK,
		VMCS_PF_MATCH,
		VMCS_CR3_TARGETS,
		VMCS_EXIT_STORE_COUNT,
		VMCS_EXIT_LOAD_COUNT,
		VMCS_ENTRY_LOAD_COUNT,
		VMCS_ENTRY_EVENT,
		VMCS_GUEST_DEBUGCTL,
		VMCS_GUEST_ACTIVITY,
		VMCS_GUEST_BLOCKING,
		VMCS_GUEST_PENDING_DEBUG,
	};

	for (unsigned int i = 0; i < BV_ARRAY_SIZE(zero); i++)
		vmx_write(zero[i], 0);
	vmx_write(VMCS_LINK, ~0ull);
	if (vmx.has_perf)
		vmx_write(VMCS_GUEST_PERF, 0); /* the host's counters stand still in guests */
}

static int vcpu_pages_alloc(struct vmx_vcpu *own)
{
	own->vmcs = bv_host_pages_alloc(0);
	own->vapic = bv_host_pages_alloc(0);
	own->pml = vmx.has_pml ? bv_host_pages_alloc(0) : NULL;
	return own->vmcs && own->vapic && (own->pml || !vmx.has_pml) ? 0 : -BV_ENOMEM;
}

static void vcpu_free(struct vmx_vcpu *own)
{
	if (own->vmcs)
		bv_host_pages_free(own->vmcs, 0);
	if (own->vapic)
		bv_host_pages_free(own->vapic, 0);
	if (own->pml)
		bv_host_pages_free(own->pml, 0);
	bv_host_free(own);
}

int vmx_vcpu_init(struct bv_vcpu *vcpu)
{
	struct vmx_vcpu *own = bv_host_alloc(sizeof(*own));

	if (!own)
		return -BV_ENOMEM;
	if (vcpu_pages_alloc(own)) {
		vcpu_free(own);
		return -BV_ENOMEM;
	}
	*(u32 *)own->vmcs = vmx.caps.revision;
	own->vmcs_pa = bv_host_pa(own->vmcs);
	own->vpid = vpid_take();
	own->active_cpu = own->tlb_cpu = ~0u;
	bv_list_init(&own->active);
	own->proc = own->proc_there = vmx.caps.control[VMX_PROC];
	own->wishes_changed = own->tsc_changed = true;
	own->dr7 = BV_DR7_FIXED_ONES;
	own->dr6 = BV_DR6_FIXED_ONES;
	own->cr0_mask = own->cr4_mask = ~0ull;
	own->rip_there = own->rsp_there = own->rflags_there = ~0ull;
	vcpu->vendor = own;
	bv_host_pin();
	vmx_make_current(own);
	vmcs_controls_write(vcpu, own);
	vmcs_rest_write();
	vmx_release(own);
	bv_host_unpin();
	return 0;
}

void vmx_vcpu_fini(struct bv_vcpu *vcpu)
{
	struct vmx_vcpu *own = vmx_of(vcpu);

	vmx_clear(own);
	vpid_give(own->vpid);
	vcpu_free(own);
}

/* ---- events ---- */

/* Whether an exception pushes an error code in protected mode (volume 3, table 6-1). */
static bool pushes_error(u8 vector)
{
	const u32 vectors = 1u << BV_EXC_DF | 1u << BV_EXC_TS | 1u << BV_EXC_NP | 1u << BV_EXC_SS |
			    1u << BV_EXC_GP | 1u << BV_EXC_PF | 1u << BV_EXC_AC;

	return vector < 32 && vectors >> vector & 1;
}

/*
 * An entry fails where an exception has an error code and ought not to, or the other way round
 * (26.2.1.3); user space may ask for either. INT3 and INTO are injected as faults are: their
 * instruction is passed already.
 */
void vmx_inject(struct bv_vcpu *vcpu, enum bv_event_kind kind, u8 vector, bool has_error, u32 error)
{
	static const u8 types[] = {
		[BV_EVENT_IRQ] = VMX_EVENT_IRQ,
		[BV_EVENT_NMI] = VMX_EVENT_NMI,
		[BV_EVENT_EXCEPTION] = VMX_EVENT_EXCEPTION,
		[BV_EVENT_SOFT_IRQ] = VMX_EVENT_SOFT_IRQ,
	};
	struct vmx_vcpu *own = vmx_of(vcpu);

	own->event = (u32)VMX_EVENT_VALID | vector | types[kind] << VMX_EVENT_TYPE_SHIFT;
	if (kind == BV_EVENT_EXCEPTION && vcpu->state_protected && pushes_error(vector)) {
		own->event |= VMX_EVENT_HAS_ERROR;
		own->event_error = has_error ? error & 0x7fff : 0;
	}
}

void vmx_uninject(struct bv_vcpu *vcpu)
{
	vmx_of(vcpu)->event = 0;
}

/* ---- wishes ---- */

/*
 * CR8: with local APICs in the engine a write that lowers it below what it is now exits after the
 * instruction; the front, which has them otherwise, wants to know every write.
 */
void vmx_wish(struct bv_vcpu *vcpu, const struct bv_wishes *wishes)
{
	struct vmx_vcpu *own = vmx_of(vcpu);
	u32 proc = vmx.caps.control[VMX_PROC], proc2 = proc2_controls(vcpu, own);

	if (wishes->irq_window)
		proc |= VMX_PROC_INTERRUPT_WINDOW;
	if (wishes->nmi_window)
		proc |= VMX_PROC_NMI_WINDOW;
	if (wishes->cr8_writes && !vcpu->vm->intc)
		proc |= VMX_PROC_CR8_LOAD;
	if (wishes->dr_accesses)
		proc |= VMX_PROC_MOV_DR;
	if (wishes->rdtsc)
		proc |= VMX_PROC_RDTSC;
	own->proc = proc;
	own->wishes_changed |= wishes->bp_exits != own->wishes.bp_exits ||
			       vcpu->caps.cr4 != own->cr4_offered || proc2 != own->proc2_offered;
	own->cr4_offered = vcpu->caps.cr4;
	own->proc2_offered = proc2;
	own->wishes = *wishes;
}

/* ---- the rest ---- */

u8 vmx_shadow_get(struct bv_vcpu *vcpu)
{
	u32 blocking = vmx_of(vcpu)->blocking;

	return blocking & VMX_BLOCKING_MOV_SS ? 1 : blocking & VMX_BLOCKING_STI ? 2 : 0;
}

void vmx_shadow_set(struct bv_vcpu *vcpu, u8 shadow)
{
	struct vmx_vcpu *own = vmx_of(vcpu);

	own->blocking &= ~(VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS);
	if (shadow)
		own->blocking |= shadow == 1 ? VMX_BLOCKING_MOV_SS : VMX_BLOCKING_STI;
}

/* 28.3.6: the index is of the entry to be filled next, or out of range where the log is full. */
const u64 *vmx_log_take(struct bv_vcpu *vcpu, u32 *count)
{
	const struct vmx_vcpu *own = vmx_of(vcpu);
	u32 index = vmx_read(VMCS_PML_INDEX), first = index < VMX_PML_ENTRIES ? index + 1 : 0;

	*count = VMX_PML_ENTRIES - first;
	if (*count)
		vmx_write(VMCS_PML_INDEX, VMX_PML_ENTRIES - 1);
	return own->pml + first;
}

void vmx_tlb_flush(struct bv_vcpu *vcpu)
{
	vmx_of(vcpu)->tlb_flush = true;
}

void vmx_tsc_offset(struct bv_vcpu *vcpu, u64 offset)
{
	(void)offset; /* vcpu->tsc_offset has it */
	vmx_of(vcpu)->tsc_changed = true;
}
