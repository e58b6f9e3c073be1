// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hypervisor behind /dev/kvm: what CPUID shows. All that the hypervisor offers, with this VM's
 * topology: one package, a core a vCPU, no threads. (AMD64 manual volume 3, appendix E; Intel SDM
 * volume 2, CPUID.)
 */
#include "vmm/hv_kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define ECX_1_TSC_DEADLINE (1u << 24)
#define ECX_1_HYPERVISOR (1u << 31)
#define ECX_1_VMX (1u << 5)
#define EDX_1_HTT (1u << 28)
#define ECX_80000001_CMP_LEGACY (1u << 1)
#define ECX_80000001_SVM (1u << 2)
#define ECX_80000001_TOPOLOGY (1u << 22)

static unsigned int bits_for(unsigned int cpus)
{
	return cpus > 1 ? 32 - (unsigned int)__builtin_clz(cpus - 1) : 0;
}

static void leaf_1(struct kvm_cpuid_entry2 *entry, struct hv_vcpu *vcpu, unsigned int cpus)
{
	entry->ebx = (entry->ebx & 0xffff) | cpus << 16 | vcpu->id << 24;
	entry->ecx = (entry->ecx | ECX_1_HYPERVISOR) & ~ECX_1_VMX;
	if (vcpu->hv->tsc_deadline)
		entry->ecx |= ECX_1_TSC_DEADLINE;
	entry->edx = cpus > 1 ? entry->edx | EDX_1_HTT : entry->edx & ~EDX_1_HTT;
}

/* Caches of the last level are everyone's, the others a core's own. */
static void leaf_4(struct kvm_cpuid_entry2 *entry, unsigned int cpus)
{
	unsigned int level = entry->eax >> 5 & 7;

	if (!(entry->eax & 0x1f))
		return;
	entry->eax &= 0x3fff;
	if (level >= 3)
		entry->eax |= (cpus - 1) << 14;
	entry->eax |= ((1u << bits_for(cpus)) - 1) << 26;
}

static void leaf_b(struct kvm_cpuid_entry2 *entry, struct hv_vcpu *vcpu, unsigned int cpus)
{
	entry->eax = entry->index == 0 ? 0 : bits_for(cpus);
	entry->ebx = entry->index == 0 ? 1 : cpus;
	entry->ecx = entry->index | (entry->index == 0 ? 1u : 2u) << 8;
	if (entry->index > 1)
		entry->eax = entry->ebx = 0, entry->ecx = entry->index;
	entry->edx = vcpu->id;
}

static void patch(struct kvm_cpuid_entry2 *entry, struct hv_vcpu *vcpu, unsigned int cpus)
{
	switch (entry->function) {
	case 0x1:
		return leaf_1(entry, vcpu, cpus);
	case 0x4:
		return leaf_4(entry, cpus);
	case 0xb:
	case 0x1f:
		return leaf_b(entry, vcpu, cpus);
	case 0x80000001:
		entry->ecx &= ~(ECX_80000001_SVM | ECX_80000001_CMP_LEGACY);
		if (cpus > 1)
			entry->ecx |= ECX_80000001_CMP_LEGACY;
		return;
	case 0x80000008:
		entry->ecx = (entry->ecx & ~0xf0ffu) | bits_for(cpus) << 12 | (cpus - 1);
		return;
	case 0x8000001d:
		entry->eax &= 0x3fff;
		if ((entry->eax >> 5 & 7) >= 3)
			entry->eax |= (cpus - 1) << 14;
		return;
	case 0x8000001e:
		entry->eax = vcpu->id;
		entry->ebx = vcpu->id;
		entry->ecx = 0;
		return;
	}
}

static bool has_leaf(const struct kvm_cpuid2 *table, uint32_t function, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < table->nent; i++)
		if (table->entries[i].function == function && table->entries[i].index == index)
			return true;
	return false;
}

/* Leaf 0xb, if there is one, must have both levels. */
static void complete_leaf_b(struct kvm_cpuid2 *table, uint32_t room)
{
	uint32_t index;

	for (index = 0; index < 2 && has_leaf(table, 0xb, 0); index++)
		if (!has_leaf(table, 0xb, index) && table->nent < room)
			table->entries[table->nent++] = (struct kvm_cpuid_entry2){
				.function = 0xb,
				.index = index,
				.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			};
}

int hv_kvm_cpuid_set(struct hv_vcpu *vcpu, unsigned int cpus)
{
	const struct kvm_cpuid2 *all = vcpu->hv->cpuid;
	size_t size = sizeof(*all) + (all->nent + 2) * sizeof(all->entries[0]);
	struct kvm_cpuid2 *table = calloc(1, size);
	uint32_t i;
	int error;

	if (!table)
		return -1;
	memcpy(table, all, sizeof(*all) + all->nent * sizeof(all->entries[0]));
	complete_leaf_b(table, all->nent + 2);
	for (i = 0; i < table->nent; i++)
		patch(&table->entries[i], vcpu, cpus);
	error = ioctl(vcpu->fd, KVM_SET_CPUID2, table);
	free(table);
	return error;
}
