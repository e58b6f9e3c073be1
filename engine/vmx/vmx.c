/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * VT-x: finding it, turning it on and off, and the vendor's table. What it can do is computed in
 * vmx_caps.c, a VMCS's way between CPUs is in vmx_load.c, what a vCPU is to the hardware in
 * vmx_vcpu.c and vmx_state.c, entering and leaving in vmx_enter.c, exits in vmx_exit.c, MSRs in
 * vmx_msr.c, failed entries are explained by vmx_check.c. Manual: volume 3, chapter 23.
 */
#include "vmx/vmx.h"

#include "x86/cr4.h"
#include "x86/native.h"

struct vmx_globals vmx;

/* ---- is it there ---- */

static bool vmx_allowed(const char **why)
{
	u64 control = native_rdmsr(MSR_FEATURE_CONTROL);

	if (!(control & FEATURE_CONTROL_LOCK) || control & FEATURE_CONTROL_VMXON)
		return true;
	*why = "VT-x is turned off by the firmware (IA32_FEATURE_CONTROL is locked without it): "
	       "enable it in the firmware's setup";
	return false;
}

/*
 * 25.5.1: the longest that a guest has the CPU at a stretch, in ms. The interrupt that ends its
 * turn comes earlier, but for an emulator's fault (docs/caveats.md): Bochs keeps interrupts out
 * where a guest was entered with IF clear, until it changes IF.
 */
#define TIMER_MS 10

/* A rate that the host does not know makes it the longest. */
static u32 timer_longest(void)
{
	u64 ticks = (u64)bv_host_tsc_khz() * TIMER_MS >> (vmx.caps.misc & VMX_MISC_TIMER_SHIFT);

	return ticks && ticks < ~0u ? ticks : ~0u;
}

/* By Intel's specification updates the timer of these does not count at the rate that it tells. */
static bool timer_counts_wrongly(void)
{
	static const u32 signatures[] = { 0x20652, 0x20655, 0x306a8 };
	u32 id[4];

	native_cpuid(1, 0, id);
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(signatures); i++)
		if (id[0] == signatures[i])
			return true;
	return false;
}

static bool vmx_turn_timer(void)
{
	return vmx.has_turns;
}

static bool vmx_serves(void)
{
	return vmx.has_service;
}

static bool vmx_logs_pages(void)
{
	return vmx.has_pml;
}

static bool vmx_slow_strings(void)
{
	return !(native_rdmsr(MSR_MISC_ENABLE) & VMX_FAST_STRINGS);
}

static void vmx_features_find(void)
{
	u32 id[4];

	vmx.has_rdtscp = vmx.caps.control[VMX_PROC2] & VMX_PROC2_RDTSCP;
	vmx.has_vpid = vmx.caps.may[VMX_PROC2] & VMX_PROC2_VPID &&
		       vmx.caps.ept_vpid & VMX_VPID_INVVPID && vmx.caps.ept_vpid & VMX_VPID_ALL;
	vmx.has_debugctl = true;
	vmx.has_ad = vmx.caps.ept_vpid & VMX_EPT_AD;
	vmx.has_service = vmx.caps.may[VMX_PROC2] & VMX_PROC2_X2APIC_MODE &&
			  vmx.caps.may[VMX_PROC2] & VMX_PROC2_INTERRUPT_DELIVERY;
	/* 28.3.6: the flags are what is logged. */
	vmx.has_pml = vmx.has_ad && vmx.caps.may[VMX_PROC2] & VMX_PROC2_PML;
	vmx.has_turns =
		vmx.caps.control[VMX_PIN] & VMX_PIN_PREEMPTION_TIMER && !timer_counts_wrongly();
	native_cpuid(0, 0, id);
	if (id[0] < 0xa)
		return;
	native_cpuid(0xa, 0, id);
	/* IA32_PERF_GLOBAL_CTRL came with version 2 */
	vmx.has_perf = (id[0] & 0xff) >= 2 && vmx.caps.may[VMX_EXIT] & VMX_EXIT_LOAD_PERF &&
		       vmx.caps.may[VMX_ENTRY] & VMX_ENTRY_LOAD_PERF;
}

static bool vmx_probe(const char **why)
{
	u32 id[4];

	native_cpuid(1, 0, id);
	if (!(id[2] & BV_BIT(5))) {
		*why = "this CPU has no VT-x (CPUID 1 ECX bit 5, VMX, is clear)";
		return false;
	}
	if (!vmx_allowed(why))
		return false;
	vmx_msrs_read(&vmx.msrs);
	if (!vmx_caps_compute(&vmx.msrs, &vmx.caps)) {
		*why = vmx.caps.why;
		return false;
	}
	if (native_read_cr4() & BV_CR4_FRED) {
		*why = "the host's kernel uses FRED, which is not known here: boot it with "
		       "fred=off";
		return false;
	}
	vmx_features_find();
	return true;
}

/* ---- tables of our own ---- */

static void vmx_fini(void)
{
	for (unsigned int i = 0; vmx.cpu && i < VMX_MAX_CPUS; i++)
		if (vmx.cpu[i].vmxon)
			bv_host_pages_free(vmx.cpu[i].vmxon, 0);
	bv_host_free(vmx.cpu);
	bv_host_free(vmx.vpids);
	if (vmx.msr_bitmap)
		bv_host_pages_free(vmx.msr_bitmap, 0);
	if (vmx.msr_bitmap_serving)
		bv_host_pages_free(vmx.msr_bitmap_serving, 0);
	vmx.cpu = NULL;
	vmx.vpids = NULL;
	vmx.msr_bitmap = NULL;
	vmx.msr_bitmap_serving = NULL;
}

static int vmx_cpus_alloc(void)
{
	unsigned int count = bv_host_cpu_count();

	if (count > VMX_MAX_CPUS)
		return -BV_E2BIG;
	vmx.cpu = bv_host_alloc(VMX_MAX_CPUS * sizeof(*vmx.cpu));
	if (!vmx.cpu)
		return -BV_ENOMEM;
	for (unsigned int i = 0; i < count; i++) {
		struct vmx_cpu *cpu = &vmx.cpu[i];

		cpu->vmxon = bv_host_pages_alloc(0);
		if (!cpu->vmxon)
			return -BV_ENOMEM;
		*(u32 *)cpu->vmxon = vmx.caps.revision;
		bv_list_init(&cpu->active);
		bv_host_spin_init(&cpu->lock);
	}
	return 0;
}

/* 28.3.2: an entry is there if it may be read. Guest memory is write-back whatever the PAT says. */
static void vmx_nest_format(struct bv_nest_format *format)
{
	*format = (struct bv_nest_format){
		.present = VMX_EPT_READ,
		.write = VMX_EPT_WRITE,
		.exec = VMX_EPT_EXEC,
		.leaf = VMX_EPT_TYPE_WB | VMX_EPT_IGNORE_PAT,
		.table = VMX_EPT_WRITE,
		.large = VMX_EPT_LARGE,
		.accessed = VMX_EPT_ACCESSED,
		.dirty = VMX_EPT_DIRTY,
		.levels = vmx.caps.ept_vpid & VMX_EPT_1G ? 3 :
			  vmx.caps.ept_vpid & VMX_EPT_2M ? 2 :
							   1,
	};
}

static int vmx_init(void)
{
	int error = vmx_cpus_alloc();

	vmx.msr_bitmap = vmx_msr_bitmap_alloc(false);
	vmx.msr_bitmap_serving = vmx_msr_bitmap_alloc(true);
	vmx.vpids = bv_host_alloc(VMX_VPIDS / 8);
	if (!error && (!vmx.msr_bitmap || !vmx.msr_bitmap_serving || !vmx.vpids))
		error = -BV_ENOMEM;
	if (error) {
		vmx_fini();
		return error;
	}
	vmx.vpids[0] = 1; /* the host's */
	bv_host_spin_init(&vmx.vpid_lock);
	vmx_nest_format(&vmx.nest);
	vmx.host_xcr0 = native_read_cr4() & BV_CR4_OSXSAVE ? native_xgetbv(0) : 0;
	vmx.has_pku = native_read_cr4() & BV_CR4_PKE;
	vmx.timer_longest = timer_longest();
	return 0;
}

/* ---- a CPU ---- */

static bool vmxon(u64 pa)
{
	u8 failed;

	__asm__ volatile("vmxon %1\n\tsetna %0" : "=qm"(failed) : "m"(pa) : "cc", "memory");
	return !failed;
}

/* What a former user of this CPU left in its translations (28.4.3.3). */
static void vmx_translations_drop(void)
{
	struct {
		u64 what, reserved;
	} none = { 0, 0 };

	if (vmx.caps.ept_vpid & VMX_EPT_INVEPT_ALL)
		__asm__ volatile("invept %0, %1" : : "m"(none), "r"(2ull) : "cc", "memory");
	if (vmx.has_vpid)
		__asm__ volatile("invvpid %0, %1" : : "m"(none), "r"(2ull) : "cc", "memory");
}

/* Guests move between CPUs, so what one can do all must be able to. */
static int vmx_cpu_suits(void)
{
	struct bv_why *why = bv_why_global();
	u64 control = native_rdmsr(MSR_FEATURE_CONTROL);
	struct vmx_msrs msrs;
	const char *differs;

	if (!(control & FEATURE_CONTROL_LOCK))
		native_wrmsr(MSR_FEATURE_CONTROL,
			     control | FEATURE_CONTROL_VMXON | FEATURE_CONTROL_LOCK);
	else if (!(control & FEATURE_CONTROL_VMXON))
		return bv_refuse(why, BV_ENODEV, "CPU %u: the firmware turned VT-x off on it",
				 bv_host_cpu());
	vmx_msrs_read(&msrs);
	differs = vmx_msrs_differ(&msrs, &vmx.msrs);
	if (differs)
		return bv_refuse(why, BV_ENODEV, "CPU %u: its VT-x is not the boot CPU's: %s",
				 bv_host_cpu(), differs);
	return 0;
}

static int vmx_cpu_enable(void)
{
	struct vmx_cpu *cpu = &vmx.cpu[bv_host_cpu()];
	int error;

	if (cpu->enabled)
		return 0;
	if (!cpu->vmxon)
		return -BV_ENODEV;
	error = vmx_cpu_suits();
	if (error)
		return error;
	if (native_read_cr4() & BV_CR4_VMXE)
		return bv_refuse(bv_why_global(), BV_EBUSY, "CPU %u: VT-x is in use by another",
				 bv_host_cpu());
	bv_host_cr4_change(BV_CR4_VMXE, 0);
	if (!vmxon(bv_host_pa(cpu->vmxon))) {
		bv_host_cr4_change(0, BV_CR4_VMXE);
		return bv_refuse(bv_why_global(), BV_EBUSY, "CPU %u: VMXON failed", bv_host_cpu());
	}
	vmx_translations_drop();
	cpu->enabled = true;
	return 0;
}

static void vmx_cpu_disable(void)
{
	struct vmx_cpu *cpu = &vmx.cpu[bv_host_cpu()];

	if (!cpu->enabled)
		return;
	vmx_cpu_clear_all(cpu);
	__asm__ volatile("vmxoff" : : : "cc", "memory");
	bv_host_cr4_change(0, BV_CR4_VMXE);
	cpu->enabled = false;
}

/* ---- a VM ---- */

static int vmx_vm_init(struct bv_vm *vm)
{
	vm->vendor = bv_host_alloc(sizeof(struct vmx_vm));
	return vm->vendor ? 0 : -BV_ENOMEM;
}

static void vmx_vm_fini(struct bv_vm *vm)
{
	struct vmx_vm *own = vm->vendor;

	if (own && own->msr_bitmap)
		bv_host_pages_free(own->msr_bitmap, 0);
	bv_host_free(own);
}

/* The common bitmap's address is in VMCSs that may be in use: the host changes it at their load. */
static void vmx_msr_filter(struct bv_vm *vm)
{
	struct vmx_vm *own = vm->vendor;

	if (!own->msr_bitmap)
		own->msr_bitmap = vmx_msr_bitmap_alloc(false);
	if (!own->msr_bitmap) {
		bv_vm_kill(vm, "no memory for the MSR filter's bitmap");
		return;
	}
	vmx_msr_bitmap_filter(own->msr_bitmap, vm);
	for (unsigned int i = 0; i < vm->vcpu_count; i++)
		if (vm->vcpu[i])
			__atomic_store_n(&vmx_of(vm->vcpu[i])->wishes_changed, true,
					 __ATOMIC_RELEASE);
}

static u64 vmx_cr4_supported(void)
{
	return bv_cr4_of_cpuid() & vmx.caps.cr4_may & ~BV_CR4_VMXE;
}

const struct bv_vendor bv_vmx_vendor = {
	.name = "VT-x",
	.probe = vmx_probe,
	.init = vmx_init,
	.fini = vmx_fini,
	.cpu_enable = vmx_cpu_enable,
	.cpu_disable = vmx_cpu_disable,
	.vm_init = vmx_vm_init,
	.vm_fini = vmx_vm_fini,
	.vcpu_init = vmx_vcpu_init,
	.vcpu_fini = vmx_vcpu_fini,
	.load = vmx_load,
	.unload = vmx_unload,
	.prepare = vmx_prepare,
	.enter = vmx_enter,
	.pull = vmx_pull,
	.push = vmx_push,
	.inject = vmx_inject,
	.uninject = vmx_uninject,
	.wish = vmx_wish,
	.serve = vmx_serve,
	.serves = vmx_serves,
	.turn_timer = vmx_turn_timer,
	.logs_pages = vmx_logs_pages,
	.log_take = vmx_log_take,
	.slow_strings = vmx_slow_strings,
	.shadow_get = vmx_shadow_get,
	.shadow_set = vmx_shadow_set,
	.tlb_flush = vmx_tlb_flush,
	.tsc_offset = vmx_tsc_offset,
	.tsc_aux = vmx_tsc_aux,
	.msr_filter = vmx_msr_filter,
	.cr4_supported = vmx_cr4_supported,
	.nest = &vmx.nest,
	.nmi_windows = true,
};
