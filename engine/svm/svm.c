/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * AMD-V: finding it, turning it on and off, and the vendor's table. What a vCPU is to the hardware
 * is in svm_vcpu.c, entering and leaving in svm_enter.c, exits in svm_exit.c, MSR permissions in
 * svm_msr.c.
 */
#include "svm/svm.h"
#include "svm/svm_nested.h"
#include "x86/cr4.h"
#include "x86/native.h"

struct svm_globals svm;

static bool svm_probe(const char **why)
{
	u32 id[4];

	native_cpuid(0x80000000u, 0, id);
	if (id[0] < 0x8000000au) {
		*why = "this CPU has no AMD-V (CPUID has no leaf 8000000A)";
		return false;
	}
	native_cpuid(0x80000001u, 0, id);
	if (!(id[2] & BV_BIT(2))) {
		*why = "this CPU has no AMD-V (CPUID 80000001 ECX bit 2, SVM, is clear)";
		return false;
	}
	svm.has_rdtscp = id[3] & BV_BIT(27);
	if (native_rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) {
		*why = "AMD-V is turned off by the firmware (VM_CR.SVMDIS is set): enable SVM in "
		       "the firmware's setup";
		return false;
	}
	native_cpuid(0x8000000au, 0, id);
	svm.features = id[3];
	svm.asids = id[1];
	if (!(svm.features & SVM_FEATURE_NP)) {
		*why = "this CPU's AMD-V has no nested paging (CPUID 8000000A EDX bit 0 is clear)";
		return false;
	}
	if (svm.asids < 2) {
		*why = "this CPU's AMD-V offers no address space identifier for guests (CPUID "
		       "8000000A EBX)";
		return false;
	}
	return true;
}

static void svm_fini(void)
{
	for (unsigned int i = 0; svm.cpu && i < SVM_MAX_CPUS; i++) {
		if (svm.cpu[i].hsave)
			bv_host_pages_free(svm.cpu[i].hsave, 0);
		if (svm.cpu[i].host)
			bv_host_pages_free(svm.cpu[i].host, 0);
	}
	bv_host_free(svm.cpu);
	if (svm.iopm)
		bv_host_pages_free(svm.iopm, SVM_IOPM_ORDER);
	if (svm.msrpm)
		bv_host_pages_free(svm.msrpm, SVM_MSRPM_ORDER);
	svm.cpu = NULL;
	svm.iopm = NULL;
	svm.msrpm = NULL;
}

static int svm_cpus_alloc(void)
{
	unsigned int count = bv_host_cpu_count();

	if (count > SVM_MAX_CPUS)
		return -BV_E2BIG;
	svm.cpu = bv_host_alloc(SVM_MAX_CPUS * sizeof(*svm.cpu));
	if (!svm.cpu)
		return -BV_ENOMEM;
	for (unsigned int i = 0; i < count; i++) {
		svm.cpu[i].hsave = bv_host_pages_alloc(0);
		svm.cpu[i].host = bv_host_pages_alloc(0);
		if (!svm.cpu[i].hsave || !svm.cpu[i].host)
			return -BV_ENOMEM;
		svm.cpu[i].host_pa = bv_host_pa(svm.cpu[i].host);
	}
	return 0;
}

static int svm_init(void)
{
	int error = svm_cpus_alloc();

	svm.iopm = bv_host_pages_alloc(SVM_IOPM_ORDER);
	svm.msrpm = svm_msrpm_alloc();
	if (!error && (!svm.iopm || !svm.msrpm))
		error = -BV_ENOMEM;
	if (error) {
		svm_fini();
		return error;
	}
	__builtin_memset(svm.iopm, 0xff, BV_PAGE_SIZE << SVM_IOPM_ORDER);
	svm.host_xcr0 = native_read_cr4() & BV_CR4_OSXSAVE ? native_xgetbv(0) : 0;
	svm.has_pku = native_read_cr4() & BV_CR4_PKE;
	return 0;
}

static int svm_cpu_enable(void)
{
	struct svm_cpu *cpu = &svm.cpu[bv_host_cpu()];
	u64 efer = native_rdmsr(MSR_EFER);

	if (cpu->enabled)
		return 0;
	if (!cpu->hsave)
		return -BV_ENODEV;
	if (efer & BV_EFER_SVME)
		return -BV_EBUSY;
	native_wrmsr(MSR_EFER, efer | BV_EFER_SVME);
	native_wrmsr(MSR_VM_HSAVE_PA, bv_host_pa(cpu->hsave));
	/*
	 * A new generation, so that ASIDs left by a former user of this CPU go with its first
	 * flush.
	 */
	cpu->asid_generation++;
	cpu->asid_next = svm.asids;
	cpu->enabled = true;
	return 0;
}

static void svm_cpu_disable(void)
{
	struct svm_cpu *cpu = &svm.cpu[bv_host_cpu()];

	if (!cpu->enabled)
		return;
	native_wrmsr(MSR_VM_HSAVE_PA, 0);
	native_wrmsr(MSR_EFER, native_rdmsr(MSR_EFER) & ~BV_EFER_SVME);
	cpu->enabled = false;
}

static int svm_vm_init(struct bv_vm *vm)
{
	vm->vendor = bv_host_alloc(sizeof(struct svm_vm));
	return vm->vendor ? 0 : -BV_ENOMEM;
}

static void svm_vm_fini(struct bv_vm *vm)
{
	struct svm_vm *own = vm->vendor;

	if (own && own->msrpm)
		bv_host_pages_free(own->msrpm, SVM_MSRPM_ORDER);
	if (own && own->iopm)
		bv_host_pages_free(own->iopm, SVM_IOPM_ORDER);
	bv_host_free(own);
}

/* 15.10.1: a bit a port, set where an access exits. */
static int svm_ports_direct(struct bv_vm *vm, u16 first, u32 count)
{
	struct svm_vm *own = vm->vendor;

	if (!own->iopm) {
		own->iopm = bv_host_pages_alloc(SVM_IOPM_ORDER);
		if (!own->iopm)
			return -BV_ENOMEM;
		__builtin_memset(own->iopm, 0xff, BV_PAGE_SIZE << SVM_IOPM_ORDER);
	}
	for (u32 port = first; port < first + count; port++)
		own->iopm[port / 8] &= (u8) ~(1u << port % 8);
	return 0;
}

static void svm_msr_filter(struct bv_vm *vm)
{
	struct svm_vm *own = vm->vendor;

	if (!own->msrpm)
		own->msrpm = svm_msrpm_alloc();
	if (!own->msrpm) {
		bv_vm_kill(vm, "no memory for the MSR filter's permission map");
		return;
	}
	svm_msrpm_filter(own->msrpm, vm);
	for (unsigned int i = 0; i < vm->vcpu_count; i++) {
		if (!vm->vcpu[i])
			continue;
		svm_of(vm->vcpu[i])->vmcb01->msrpm_pa = bv_host_pa(own->msrpm);
		svm_of(vm->vcpu[i])->vmcb01->clean = 0;
	}
}

/* 15.25.5: nested entries are ordinary long-mode entries, walked as user accesses. */
static const struct bv_nest_format svm_nest_format = {
	.present = BV_PTE_P,
	.write = BV_PTE_W,
	.no_exec = BV_PTE_NX,
	.leaf = BV_PTE_U,
	.table = BV_PTE_U | BV_PTE_W,
	.large = BV_PTE_PS,
	.accessed = BV_PTE_A,
	.dirty = BV_PTE_D,
	.levels = 3,
};

const struct bv_vendor bv_svm_vendor = {
	.name = "AMD-V",
	.probe = svm_probe,
	.init = svm_init,
	.fini = svm_fini,
	.cpu_enable = svm_cpu_enable,
	.cpu_disable = svm_cpu_disable,
	.vm_init = svm_vm_init,
	.vm_fini = svm_vm_fini,
	.ports_direct = svm_ports_direct,
	.vcpu_init = svm_vcpu_init,
	.vcpu_fini = svm_vcpu_fini,
	.load = svm_load,
	.unload = svm_unload,
	.enter = svm_enter,
	.pull = svm_pull,
	.push = svm_push,
	.inject = svm_inject,
	.uninject = svm_uninject,
	.wish = svm_wish,
	.offer = svm_offer,
	.shadow_get = svm_shadow_get,
	.shadow_set = svm_shadow_set,
	.tlb_flush = svm_tlb_flush,
	.tsc_offset = svm_tsc_offset,
	.tsc_aux = svm_tsc_aux,
	.msr_filter = svm_msr_filter,
	.cr4_supported = bv_cr4_of_cpuid,
	.nest = &svm_nest_format,
	.nesting = &svm_nesting_ops,
};
