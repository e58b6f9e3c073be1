// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hypervisor behind /dev/kvm: what CPUID shows. All that the hypervisor offers, with this VM's
 * topology: one package, a core a vCPU, no threads. (AMD64 manual volume 3, appendix E; Intel SDM
 * volume 2, CPUID.) What a snapshot's guest was shown it is shown again, be the hypervisor another.
 */
#include "vmm/hv_kvm.h"
#include "vmm/snap.h"

#include <errno.h>
#include <linux/kvm_para.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define ECX_1_TSC_DEADLINE (1u << 24)
#define ECX_1_HYPERVISOR (1u << 31)
#define ECX_1_VMX (1u << 5)
#define EDX_1_HTT (1u << 28)
#define EDX_7_ARCH_CAPABILITIES (1u << 29)
#define EBX_0_AMD 0x68747541u /* "Auth", of AuthenticAMD */
/* What stock KVM alone shows, whatever the processor. */
#define EBX_80000008_VIRT_SSBD (1u << 25)
#define EAX_80000021_LFENCE (1u << 2)
#define EAX_80000021_NO_SMM_CTL (1u << 9)
#define ECX_80000001_CMP_LEGACY (1u << 1)
#define ECX_80000001_SVM (1u << 2)
#define ECX_80000001_TOPOLOGY (1u << 22)

enum reg {
	EAX,
	EBX,
	ECX,
	EDX
};

static uint32_t word_of(const struct kvm_cpuid2 *table, uint32_t function, uint32_t index,
			enum reg reg)
{
	uint32_t i;

	for (i = 0; i < table->nent; i++) {
		const struct kvm_cpuid_entry2 *entry = &table->entries[i];
		const uint32_t words[] = { entry->eax, entry->ebx, entry->ecx, entry->edx };

		if (entry->function == function && entry->index == index)
			return words[reg];
	}
	return 0;
}

/* What /dev/kvm has for its guests under every module, so that a VM can go from one to another. */
#define KVM_FEATURES                                                      \
	(1u << KVM_FEATURE_CLOCKSOURCE | 1u << KVM_FEATURE_NOP_IO_DELAY | \
	 1u << KVM_FEATURE_CLOCKSOURCE2 | 1u << KVM_FEATURE_STEAL_TIME |  \
	 1u << KVM_FEATURE_PV_EOI | 1u << KVM_FEATURE_PV_SEND_IPI |       \
	 1u << KVM_FEATURE_CLOCKSOURCE_STABLE_BIT)

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

/* Stock KVM shows AMD's processors with a list of faults that only Intel's have. */
static void leaf_7(struct kvm_cpuid_entry2 *entry, struct hv_vcpu *vcpu)
{
	if (entry->index == 0 && word_of(vcpu->hv->cpuid, 0, 0, EBX) == EBX_0_AMD)
		entry->edx &= ~EDX_7_ARCH_CAPABILITIES;
}

static void patch(struct kvm_cpuid_entry2 *entry, struct hv_vcpu *vcpu, unsigned int cpus)
{
	switch (entry->function) {
	case 0x1:
		return leaf_1(entry, vcpu, cpus);
	case 0x4:
		return leaf_4(entry, cpus);
	case 0x7:
		return leaf_7(entry, vcpu);
	case 0xb:
	case 0x1f:
		return leaf_b(entry, vcpu, cpus);
	case KVM_CPUID_FEATURES:
		entry->eax &= KVM_FEATURES;
		return;
	case 0x80000001:
		entry->ecx &= ~(ECX_80000001_SVM | ECX_80000001_CMP_LEGACY);
		if (cpus > 1)
			entry->ecx |= ECX_80000001_CMP_LEGACY;
		return;
	case 0x80000008:
		entry->ebx &= ~EBX_80000008_VIRT_SSBD;
		entry->ecx = (entry->ecx & ~0xf0ffu) | bits_for(cpus) << 12 | (cpus - 1);
		return;
	case 0x8000000a: /* SVM's */
		entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
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
	case 0x80000021:
		entry->eax &= ~(EAX_80000021_LFENCE | EAX_80000021_NO_SMM_CTL);
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

static struct kvm_cpuid2 *make_table(uint32_t room)
{
	return calloc(1, sizeof(struct kvm_cpuid2) + room * sizeof(struct kvm_cpuid_entry2));
}

int hv_kvm_cpuid_set(struct hv_vcpu *vcpu, unsigned int cpus)
{
	const struct kvm_cpuid2 *all = vcpu->hv->cpuid;
	struct kvm_cpuid2 *table = make_table(all->nent + 2);
	uint32_t i;

	if (!table)
		return -1;
	memcpy(table, all, sizeof(*all) + all->nent * sizeof(all->entries[0]));
	complete_leaf_b(table, all->nent + 2);
	for (i = 0; i < table->nent; i++)
		patch(&table->entries[i], vcpu, cpus);
	vcpu->cpuid = table;
	return ioctl(vcpu->fd, KVM_SET_CPUID2, table);
}

/* ---- of a snapshot ------------------------------------------------------------------------- */

/* The words of CPUID in which a bit is a feature that programs use once they have seen it. */
static const struct feature_word {
	uint32_t function, index;
	enum reg reg;
	uint32_t but; /* bits that tell of something else */
} FEATURE_WORDS[] = {
	{ 0x1, 0, ECX, 1u << 27 /* OSXSAVE: what the guest has set */ },
	{ 0x1, 0, EDX, 0 },
	{ 0x6, 0, EAX, 0 },
	{ 0x7, 0, EBX, 0 },
	{ 0x7, 0, ECX, 1u << 4 /* OSPKE */ },
	{ 0x7, 0, EDX, 0 },
	{ 0x7, 1, EAX, 0 },
	{ 0x7, 1, EDX, 0 },
	{ 0x7, 2, EDX, 0 },
	{ 0xd, 0, EAX, 0 },
	{ 0xd, 0, EDX, 0 },
	{ 0xd, 1, EAX, 0 },
	{ KVM_CPUID_FEATURES, 0, EAX, 0 },
	{ 0x80000001, 0, ECX, 0 },
	{ 0x80000001, 0, EDX, 0 },
	{ 0x80000007, 0, EDX, 0 },
	{ 0x80000008, 0, EBX, 0 },
	{ 0x80000021, 0, EAX, 0 },
};

/* Of a processor of another vendor, or one that could do more, is nothing that can go on here. */
static bool fits(const struct kvm_cpuid2 *wanted, const struct kvm_cpuid2 *offered,
		 struct snap *snap)
{
	static const char *const REGS[] = { "EAX", "EBX", "ECX", "EDX" };
	size_t i;

	for (i = EBX; i <= EDX; i++)
		if (word_of(wanted, 0, 0, (enum reg)i) != word_of(offered, 0, 0, (enum reg)i)) {
			snap_spoil(snap, "it is of a processor of another vendor");
			return false;
		}
	for (i = 0; i < sizeof(FEATURE_WORDS) / sizeof(FEATURE_WORDS[0]); i++) {
		const struct feature_word *word = &FEATURE_WORDS[i];
		uint32_t lacks = word_of(wanted, word->function, word->index, word->reg) &
				 ~word_of(offered, word->function, word->index, word->reg) &
				 ~word->but;

		if (lacks) {
			snap_spoil(snap,
				   "its guest was shown features that are not here: CPUID leaf "
				   "0x%x.%u, %s, bits 0x%x",
				   word->function, word->index, REGS[word->reg], lacks);
			return false;
		}
	}
	return true;
}

/* In the place of what the vCPU was made with. */
static void show_again(struct hv_vcpu *vcpu, struct kvm_cpuid2 *table, struct snap *snap)
{
	if (!fits(table, vcpu->cpuid, snap)) {
		free(table);
		return;
	}
	free(vcpu->cpuid);
	vcpu->cpuid = table;
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, table))
		snap_spoil(snap, "vCPU %u: CPUID: %s", vcpu->id, strerror(errno));
}

void hv_vcpu_cpuid_state(struct hv_vcpu *vcpu, struct snap *snap)
{
	struct kvm_cpuid2 *table = vcpu->cpuid;
	uint32_t count = table->nent;

	snap_value(snap, &count);
	if (!snap->load)
		return snap_bytes(snap, table->entries, count * sizeof(table->entries[0]));
	if (count > CPUID_ENTRIES + 2)
		return snap_spoil(snap, "%u entries of CPUID are too many", count);
	table = make_table(count);
	if (!table)
		return snap_spoil(snap, "no memory");
	table->nent = count;
	snap_bytes(snap, table->entries, count * sizeof(table->entries[0]));
	if (snap->bad)
		free(table);
	else
		show_again(vcpu, table, snap);
}
