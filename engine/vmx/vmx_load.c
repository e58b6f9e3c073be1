/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * A VMCS on its way between CPUs, and what the CPU holds of the guest and of the host from the
 * moment a vCPU's thread comes to it until it leaves. Manual: volume 3, 24.1, 24.11.
 */
#include "vmx/vmx.h"
#include "x86/mitigate.h"
#include "x86/native.h"

struct __attribute__((packed)) table_register {
	u16 limit;
	u64 base;
};

/* ---- active, current, clear ---- */

/* On the CPU where it is active, under that CPU's lock. */
static void clear_locked(struct vmx_cpu *cpu, struct vmx_vcpu *own)
{
	__asm__ volatile("vmclear %0" : : "m"(own->vmcs_pa) : "cc", "memory");
	bv_list_del(&own->active);
	own->launched = false;
	if (cpu->current_vmcs == own)
		cpu->current_vmcs = NULL;
	__atomic_store_n(&own->active_cpu, ~0u, __ATOMIC_RELEASE);
}

static void clear_here(void *arg)
{
	struct vmx_vcpu *own = arg;
	struct vmx_cpu *cpu = &vmx.cpu[bv_host_cpu()];
	u64 flags = bv_host_spin_lock_irq(&cpu->lock);

	/* A CPU that went offline meanwhile has cleared all of its own. */
	if (own->active_cpu == bv_host_cpu())
		clear_locked(cpu, own);
	bv_host_spin_unlock_irq(&cpu->lock, flags);
}

void vmx_clear(struct vmx_vcpu *own)
{
	u32 at;

	bv_host_pin();
	at = __atomic_load_n(&own->active_cpu, __ATOMIC_ACQUIRE);
	if (at == bv_host_cpu())
		clear_here(own);
	else if (at != ~0u)
		bv_host_cpu_call(at, clear_here, own);
	bv_host_unpin();
}

void vmx_cpu_clear_all(struct vmx_cpu *cpu)
{
	u64 flags = bv_host_spin_lock_irq(&cpu->lock);
	struct bv_list *node, *after;

	bv_list_for_each_safe(node, after, &cpu->active)
		clear_locked(cpu, bv_list_entry(node, struct vmx_vcpu, active));
	bv_host_spin_unlock_irq(&cpu->lock, flags);
}

/* Pinned. */
void vmx_make_current(struct vmx_vcpu *own)
{
	unsigned int number = bv_host_cpu();
	struct vmx_cpu *cpu = &vmx.cpu[number];
	u64 flags;

	if (own->active_cpu != number)
		vmx_clear(own);
	flags = bv_host_spin_lock_irq(&cpu->lock);
	if (own->active_cpu != number) {
		/* A VMCS must be cleared once before its first use, too. */
		__asm__ volatile("vmclear %0" : : "m"(own->vmcs_pa) : "cc", "memory");
		own->launched = false;
		own->host_known = false;
		bv_list_add_tail(&cpu->active, &own->active);
		own->active_cpu = number;
	}
	if (cpu->current_vmcs != own) {
		__asm__ volatile("vmptrld %0" : : "m"(own->vmcs_pa) : "cc", "memory");
		cpu->current_vmcs = own;
	}
	bv_host_spin_unlock_irq(&cpu->lock, flags);
}

/*
 * The VMCS is not needed for now. Where a CPU that needs it next could not call this one, it is
 * cleared at once. Pinned.
 */
void vmx_release(struct vmx_vcpu *own)
{
	if (!bv_host_calls_at_load())
		clear_here(own);
}

/* ---- the host's state that is one CPU's ---- */

static u64 tss_base(u64 gdt, u16 selector)
{
	const u16 *entry = (const u16 *)(gdt + (selector & ~7u));
	u64 low, high;

	__builtin_memcpy(&low, entry, 8);
	__builtin_memcpy(&high, entry + 4, 8);
	return (low >> 16 & 0xffffff) | (low >> 56) << 24 | high << 32;
}

static void host_tables_write(void)
{
	struct table_register gdt, idt;
	u16 tr;

	__asm__("sgdt %0" : "=m"(gdt));
	__asm__("sidt %0" : "=m"(idt));
	__asm__("str %0" : "=r"(tr));
	vmx_write(VMCS_HOST_GDTR_BASE, gdt.base);
	vmx_write(VMCS_HOST_IDTR_BASE, idt.base);
	vmx_write(VMCS_HOST_TR, tr);
	vmx_write(VMCS_HOST_TR_BASE, tss_base(gdt.base, tr));
}

static void host_cpu_write(struct vmx_vcpu *own)
{
	u16 cs, ss;

	__asm__("mov %%cs, %0" : "=r"(cs));
	__asm__("mov %%ss, %0" : "=r"(ss));
	host_tables_write();
	vmx_write(VMCS_HOST_RIP,
		  bv_mitigate & BV_MITIGATE_SWITCH ? (u64)vmx_landing_mitigated : (u64)vmx_landing);
	vmx_write(VMCS_HOST_CS, cs);
	vmx_write(VMCS_HOST_SS, ss & ~7u);
	/* The others are null while the guest runs: a host of 64 bits has nothing in them. */
	vmx_write(VMCS_HOST_DS, 0);
	vmx_write(VMCS_HOST_ES, 0);
	vmx_write(VMCS_HOST_FS, 0);
	vmx_write(VMCS_HOST_GS, 0);
	vmx_write(VMCS_HOST_CR0, native_read_cr0());
	vmx_write(VMCS_HOST_GS_BASE, native_rdmsr(MSR_GS_BASE));
	vmx_write(VMCS_HOST_SYSENTER_CS, native_rdmsr(MSR_SYSENTER_CS));
	vmx_write(VMCS_HOST_SYSENTER_ESP, native_rdmsr(MSR_SYSENTER_ESP));
	vmx_write(VMCS_HOST_SYSENTER_EIP, native_rdmsr(MSR_SYSENTER_EIP));
	vmx_write(VMCS_HOST_EFER, native_rdmsr(MSR_EFER));
	own->cr3_there = own->cr4_there = own->host_rsp = 0;
	own->perf_there = ~0ull;
	own->host_known = true;
}

/* ---- the thread comes and goes ---- */

#define SELECTOR_GET(name)                                                \
	static u16 name##_get(void)                                       \
	{                                                                 \
		u16 selector;                                             \
                                                                          \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(selector)); \
		return selector;                                          \
	}
SELECTOR_GET(ds)
SELECTOR_GET(es)
SELECTOR_GET(fs)
SELECTOR_GET(gs)

/* A thread of user space may have an LDT and selectors of its own; few do. */
static void thread_segments_keep(struct vmx_vcpu *own)
{
	__asm__ volatile("sldt %0" : "=r"(own->host_ldt));
	own->host_ds = ds_get();
	own->host_es = es_get();
	own->host_fs = fs_get();
	own->host_gs = gs_get();
	own->host_fs_base = native_rdmsr(MSR_FS_BASE);
	vmx_write(VMCS_HOST_FS_BASE, own->host_fs_base);
}

/* Loading FS or GS changes its base: the base comes after it. */
static void thread_segments_restore(const struct vmx_vcpu *own)
{
	if (bv_unlikely(own->host_ldt))
		__asm__ volatile("lldt %0" : : "r"(own->host_ldt));
	if (bv_unlikely(own->host_ds | own->host_es)) {
		__asm__ volatile("mov %0, %%ds" : : "r"(own->host_ds));
		__asm__ volatile("mov %0, %%es" : : "r"(own->host_es));
	}
	if (bv_unlikely(own->host_fs)) {
		__asm__ volatile("mov %0, %%fs" : : "r"(own->host_fs));
		native_wrmsr(MSR_FS_BASE, own->host_fs_base);
	}
}

void vmx_load(struct bv_vcpu *vcpu)
{
	struct vmx_vcpu *own = vmx_of(vcpu);

	struct vmx_cpu *cpu = &vmx.cpu[bv_host_cpu()];

	vmx_make_current(own);
	if (cpu->last_vm != vcpu->vm->serial) {
		cpu->last_vm = vcpu->vm->serial;
		bv_mitigate_other_vm();
	}
	if (!own->host_known)
		host_cpu_write(own);
	thread_segments_keep(own);
	own->host_debugctl = vmx.has_debugctl ? native_rdmsr(MSR_DEBUGCTL) : 0;
	vmx_msrs_load(own);
	if (vmx.has_rdtscp) {
		vcpu->host_tsc_aux = native_rdmsr(MSR_TSC_AUX);
		if (vcpu->host_tsc_aux != vcpu->tsc_aux)
			native_wrmsr(MSR_TSC_AUX, vcpu->tsc_aux);
	}
	own->entered = false;
}

void vmx_unload(struct bv_vcpu *vcpu)
{
	struct vmx_vcpu *own = vmx_of(vcpu);

	if (vmx.has_rdtscp && vcpu->host_tsc_aux != vcpu->tsc_aux)
		native_wrmsr(MSR_TSC_AUX, vcpu->host_tsc_aux);
	vmx_msrs_unload(own);
	vmx_release(own);
	if (!own->entered)
		return;
	/* What an exit leaves is the limits of GDTR, IDTR and TR, and null selectors (27.5.2). */
	thread_segments_restore(own);
	bv_host_segments_restore(own->host_gs);
}

void vmx_tsc_aux(struct bv_vcpu *vcpu, u32 value)
{
	vcpu->tsc_aux = value;
	if (vmx.has_rdtscp && vcpu->loaded)
		native_wrmsr(MSR_TSC_AUX, value);
}
