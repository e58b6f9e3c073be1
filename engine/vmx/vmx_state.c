/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Register groups from the VMCS to vcpu->state, and back. Manual: volume 3, 24.4 (guest-state
 * area), 26.3.1 (what an entry checks of it), 24.6.6 (masks and shadows of CR0 and CR4).
 */
#include "vmx/vmx.h"

/*
 * CR0 and CR4 in a guest. A bit that is in the mask is ours: the guest reads it from the shadow,
 * and a write that would change it exits. Ours are those that decide on more than themselves (PE,
 * PG, with EFER.LMA), those that VT-x insists on (NE, VMXE), and those that this guest must not
 * set.
 */
#define CR0_GUEST (BV_CR0_MP | BV_CR0_EM | BV_CR0_TS | BV_CR0_WP | BV_CR0_AM)

static void masks_make(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	own->cr0_mask = ~CR0_GUEST;
	own->cr4_mask = ~vcpu->caps.cr4 | vmx.caps.cr4_ones | ~vmx.caps.cr4_may | BV_CR4_LA57;
}

/* After the wishes changed, which they do when CPUID does. The VMCS is current. */
void vmx_masks_push(struct bv_vcpu *vcpu)
{
	struct vmx_vcpu *own = vmx_of(vcpu);
	u64 cr4 = (vmx_read(VMCS_GUEST_CR4) & ~own->cr4_mask) |
		  (vmx_read(VMCS_CR4_SHADOW) & own->cr4_mask);

	masks_make(vcpu, own);
	vmx_write(VMCS_CR0_MASK, own->cr0_mask);
	vmx_write(VMCS_CR4_MASK, own->cr4_mask);
	vmx_write(VMCS_CR4_SHADOW, cr4);
}

/* ---- segments ---- */

/* Fields of the segments lie two apart, in the order of their numbers. */
static enum vmcs_field seg_field(enum vmcs_field first, unsigned int number)
{
	return first + 2 * number;
}

static void pull_seg(unsigned int number, struct bv_seg *to)
{
	u32 rights = vmx_read(seg_field(VMCS_GUEST_ES_RIGHTS, number));

	to->base = vmx_read(seg_field(VMCS_GUEST_ES_BASE, number));
	to->limit = vmx_read(seg_field(VMCS_GUEST_ES_LIMIT, number));
	to->sel = vmx_read(seg_field(VMCS_GUEST_ES, number));
	to->attr = (rights & 0xff) | (rights >> 4 & 0xf00);
	if (rights & VMX_RIGHTS_UNUSABLE)
		to->attr &= ~BV_SEG_P;
}

/*
 * What other hardware leaves in a segment may not suit the checks of 26.3.1.2: a loaded code or
 * data segment is accessed, a task register busy and there, a limit agrees with its granularity.
 */
static u32 seg_rights(unsigned int number, const struct bv_seg *seg, bool long_mode)
{
	u32 attr = seg->attr;

	if (number == BV_SEG_TR) {
		attr = (attr & ~BV_SEG_S) | BV_SEG_P | 2;
		if (long_mode)
			attr |= BV_SYS_TSS_BUSY;
	} else if (number != BV_SEG_LDTR && attr & BV_SEG_P) {
		attr |= BV_SEG_TYPE_ACCESSED;
	}
	if (seg->limit >> 20)
		attr |= BV_SEG_G;
	else if ((seg->limit & 0xfff) != 0xfff)
		attr &= ~BV_SEG_G;
	return (attr & 0xff) | (attr & 0xf00) << 4 |
	       (attr & BV_SEG_P ? 0 : (u32)VMX_RIGHTS_UNUSABLE);
}

static void push_seg(unsigned int number, const struct bv_seg *from, bool long_mode)
{
	vmx_write(seg_field(VMCS_GUEST_ES_BASE, number), from->base);
	vmx_write(seg_field(VMCS_GUEST_ES_LIMIT, number), from->limit);
	vmx_write(seg_field(VMCS_GUEST_ES, number), from->sel);
	vmx_write(seg_field(VMCS_GUEST_ES_RIGHTS, number), seg_rights(number, from, long_mode));
}

/* ---- control registers ---- */

static void pull_cr(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	struct bv_cpu_state *state = &vcpu->state;

	state->cr0 = (vmx_read(VMCS_GUEST_CR0) & ~own->cr0_mask) |
		     (vmx_read(VMCS_CR0_SHADOW) & own->cr0_mask);
	state->cr2 = own->cr2;
	state->cr3 = vmx_read(VMCS_GUEST_CR3);
	state->cr4 = (vmx_read(VMCS_GUEST_CR4) & ~own->cr4_mask) |
		     (vmx_read(VMCS_CR4_SHADOW) & own->cr4_mask);
	state->efer = own->efer;
}

static bool pae_tables(const struct bv_cpu_state *state)
{
	return state->cr0 & BV_CR0_PG && state->cr4 & BV_CR4_PAE && !(state->efer & BV_EFER_LMA);
}

static void push_cr(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	const struct bv_cpu_state *state = &vcpu->state;
	u32 entry = vmx_read(VMCS_ENTRY_CONTROLS) & ~VMX_ENTRY_LONG_MODE;

	vmx_write(VMCS_GUEST_CR0, (state->cr0 & vmx.caps.cr0_may) | vmx.caps.cr0_ones);
	vmx_write(VMCS_CR0_SHADOW, state->cr0);
	vmx_write(VMCS_GUEST_CR3, state->cr3);
	vmx_write(VMCS_GUEST_CR4, (state->cr4 & vmx.caps.cr4_may) | vmx.caps.cr4_ones);
	vmx_write(VMCS_CR4_SHADOW, state->cr4);
	vmx_write(VMCS_GUEST_EFER, state->efer);
	if (state->efer & BV_EFER_LMA)
		entry |= VMX_ENTRY_LONG_MODE;
	vmx_write(VMCS_ENTRY_CONTROLS, entry);
	own->cr2 = state->cr2;
	own->efer = state->efer;
	if (!own->pdptes_changed)
		return;
	own->pdptes_changed = false;
	for (unsigned int i = 0; i < 4; i++)
		vmx_write(VMCS_GUEST_PDPTE0 + 2 * i, own->pdpte[i]);
}

/*
 * With PAE's tables an entry loads the four highest entries from the VMCS (26.3.2.4). A guest's own
 * MOV to CR3 has the processor read them; where we change a control register, we have to.
 */
void vmx_prepare(struct bv_vcpu *vcpu)
{
	struct vmx_vcpu *own = vmx_of(vcpu);
	const struct bv_cpu_state *state = &vcpu->state;
	u64 reserved = ~0ull << vcpu->caps.phys_bits | 0x1e6;
	bool same = state->cr0 == own->cr0 && state->cr3 == own->cr3 && state->cr4 == own->cr4 &&
		    state->efer == own->pdpte_efer;

	own->cr0 = state->cr0;
	own->cr3 = state->cr3;
	own->cr4 = state->cr4;
	own->pdpte_efer = state->efer;
	if (!pae_tables(state) || same)
		return;
	bv_host_rwsem_read(&vcpu->vm->mem_lock);
	if (bv_vcpu_mem_read(vcpu, state->cr3 & 0xffffffe0u, own->pdpte, sizeof(own->pdpte)))
		__builtin_memset(own->pdpte, 0, sizeof(own->pdpte));
	bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
	/* An entry fails where one that is present has reserved bits. */
	for (unsigned int i = 0; i < 4; i++)
		own->pdpte[i] = own->pdpte[i] & BV_PTE_P ? own->pdpte[i] & ~reserved : 0;
	own->pdptes_changed = true;
}

/* ---- groups ---- */

#define IN_VMCS (BV_ST_SEGS | BV_ST_TABLES | BV_ST_CR | BV_ST_SYSCALL)

static void pull_vmcs(struct bv_vcpu *vcpu, u32 groups)
{
	struct bv_cpu_state *state = &vcpu->state;

	for (u32 segs = groups & BV_ST_SEGS; segs; segs &= segs - 1)
		pull_seg(__builtin_ctz(segs), &state->seg[__builtin_ctz(segs)]);
	if (groups & BV_ST_TABLES) {
		state->gdt.base = vmx_read(VMCS_GUEST_GDTR_BASE);
		state->gdt.limit = vmx_read(VMCS_GUEST_GDTR_LIMIT);
		state->idt.base = vmx_read(VMCS_GUEST_IDTR_BASE);
		state->idt.limit = vmx_read(VMCS_GUEST_IDTR_LIMIT);
	}
	if (groups & BV_ST_CR)
		pull_cr(vcpu, vmx_of(vcpu));
	if (groups & BV_ST_SYSCALL) {
		vmx_msrs_pull(vcpu);
		state->sysenter_cs = vmx_read(VMCS_GUEST_SYSENTER_CS);
		state->sysenter_esp = vmx_read(VMCS_GUEST_SYSENTER_ESP);
		state->sysenter_eip = vmx_read(VMCS_GUEST_SYSENTER_EIP);
	}
}

/*
 * A vCPU that runs nowhere may have its VMCS on any CPU: it is brought to this one. While it is
 * loaded, its VMCS is current, whenever its thread is on a CPU at all.
 */
void vmx_pull(struct bv_vcpu *vcpu, u32 groups)
{
	struct vmx_vcpu *own = vmx_of(vcpu);

	if (groups & IN_VMCS && vcpu->loaded) {
		pull_vmcs(vcpu, groups);
	} else if (groups & IN_VMCS) {
		bv_host_pin();
		vmx_make_current(own);
		pull_vmcs(vcpu, groups);
		vmx_release(own);
		bv_host_unpin();
	}
	if (groups & BV_ST_DR) {
		vcpu->state.dr6 = own->dr6;
		vcpu->state.dr7 = own->dr7;
	}
	if (groups & BV_ST_PAT)
		vcpu->state.pat = own->pat;
}

void vmx_push(struct bv_vcpu *vcpu, u32 groups)
{
	struct vmx_vcpu *own = vmx_of(vcpu);
	const struct bv_cpu_state *state = &vcpu->state;

	if (groups & BV_ST_CR)
		push_cr(vcpu, own);
	for (u32 segs = groups & BV_ST_SEGS; segs; segs &= segs - 1)
		push_seg(__builtin_ctz(segs), &state->seg[__builtin_ctz(segs)],
			 own->efer & BV_EFER_LMA);
	if (groups & BV_ST_TABLES) {
		vmx_write(VMCS_GUEST_GDTR_BASE, state->gdt.base);
		vmx_write(VMCS_GUEST_GDTR_LIMIT, state->gdt.limit);
		vmx_write(VMCS_GUEST_IDTR_BASE, state->idt.base);
		vmx_write(VMCS_GUEST_IDTR_LIMIT, state->idt.limit);
	}
	if (groups & BV_ST_DR) {
		own->dr6 = state->dr6;
		own->dr7 = state->dr7;
		vmx_write(VMCS_GUEST_DR7, own->dr7);
	}
	if (groups & BV_ST_SYSCALL) {
		vmx_msrs_push(vcpu);
		vmx_write(VMCS_GUEST_SYSENTER_CS, state->sysenter_cs);
		vmx_write(VMCS_GUEST_SYSENTER_ESP, state->sysenter_esp);
		vmx_write(VMCS_GUEST_SYSENTER_EIP, state->sysenter_eip);
	}
	if (groups & BV_ST_PAT)
		own->pat = state->pat;
}
