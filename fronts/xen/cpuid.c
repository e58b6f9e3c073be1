// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What CPUID tells a guest: the policy that the tools set for a domain, within what the engine can
 * offer, and the hypervisor's own leaves. Called at birth, by domctl and sysctl.
 */
#include "policy.h"

#include <xen/arch-x86/cpuid.h>

#define SIGNATURE_AMD 0x68747541u /* "Auth"enticAMD */
#define SIGNATURE_HYGON 0x6f677948u
#define XEN_LEAVES 6u
#define LEAF_EXT1_ECX_SVM BV_BIT(2)

bool bvx_calls_by_vmmcall(void)
{
	u32 out[4];

	bvx_host_cpuid(0, 0, out);
	return out[BV_CPUID_EBX] == SIGNATURE_AMD || out[BV_CPUID_EBX] == SIGNATURE_HYGON;
}

/* ---- policies ---- */

static bool is_hypervisor_leaf(u32 leaf)
{
	return leaf >> 28 == 4;
}

/* Guests of guests are offered only to the domain that is made for them. */
static void without_nesting(struct bv_cpuid_leaf *leaf)
{
	if (leaf->leaf == 0x80000001)
		leaf->ecx &= ~LEAF_EXT1_ECX_SVM;
	else if (leaf->leaf == 0x8000000a)
		leaf->eax = leaf->ebx = leaf->ecx = leaf->edx = 0;
}

static struct bvx_policy *policy_new(bool nesting)
{
	struct bvx_policy *policy = bv_host_alloc(sizeof(*policy));
	u32 count, kept = 0;

	if (!policy)
		return NULL;
	count = bv_cpuid_supported(policy->leaf, BV_CPUID_MAX);
	count = count < BV_CPUID_MAX ? count : BV_CPUID_MAX;
	for (u32 i = 0; i < count; i++)
		if (!is_hypervisor_leaf(policy->leaf[i].leaf))
			policy->leaf[kept++] = policy->leaf[i];
	policy->leaves = kept;
	for (u32 i = 0; i < kept && !nesting; i++)
		without_nesting(&policy->leaf[i]);
	return policy;
}

struct bvx_policy *bvx_policy_most(void)
{
	return policy_new(false);
}

static struct bv_cpuid_leaf *leaf_find(struct bvx_policy *policy, u32 leaf, u32 subleaf)
{
	for (u32 i = 0; i < policy->leaves; i++)
		if (policy->leaf[i].leaf == leaf &&
		    (!policy->leaf[i].indexed || policy->leaf[i].subleaf == subleaf))
			return &policy->leaf[i];
	return NULL;
}

struct bvx_policy *bvx_policy_most_of(const struct bvx_domain *domain)
{
	return policy_new(domain->flags & XEN_DOMCTL_CDF_nested_virt);
}

int bvx_policy_init(struct bvx_domain *domain)
{
	domain->policy = bvx_policy_most_of(domain);
	return domain->policy ? 0 : -XEN_ENOMEM;
}

/* Registers that hold features: a guest gets no more than there is. The others are information. */
static const struct {
	u32 leaf, subleaf;
	bool a, b, c, d;
} features[] = {
	{ 0x1, 0, false, false, true, true },	   { 0x7, 0, false, true, true, true },
	{ 0x7, 1, true, true, true, true },	   { 0xd, 0, true, false, false, true },
	{ 0xd, 1, true, false, true, true },	   { 0x80000001, 0, false, false, true, true },
	{ 0x80000007, 0, true, true, true, true }, { 0x80000008, 0, false, true, false, false },
	{ 0x80000021, 0, true, true, true, true },
};

static void leaf_limit(struct bv_cpuid_leaf *leaf, const xen_cpuid_leaf_t *from)
{
	struct bv_cpuid_leaf given = *leaf;

	given.eax = from->a;
	given.ebx = from->b;
	given.ecx = from->c;
	given.edx = from->d;
	for (u32 i = 0; i < BV_ARRAY_SIZE(features); i++) {
		if (features[i].leaf != leaf->leaf || features[i].subleaf != leaf->subleaf)
			continue;
		given.eax &= features[i].a ? leaf->eax : ~0u;
		given.ebx &= features[i].b ? leaf->ebx : ~0u;
		given.ecx &= features[i].c ? leaf->ecx : ~0u;
		given.edx &= features[i].d ? leaf->edx : ~0u;
	}
	/* The highest leaf of a class, and the width of addresses. */
	if (!(leaf->leaf & 0xffff) && given.eax > leaf->eax)
		given.eax = leaf->eax;
	if (leaf->leaf == 0x80000008 && (given.eax & 0xff) > (leaf->eax & 0xff))
		given.eax = leaf->eax;
	*leaf = given;
}

/* Leaves that have subleaves in the tools' form. */
static bool tools_indexed(u32 leaf)
{
	return leaf == 0x4 || leaf == 0x7 || leaf == 0xb || leaf == 0xd;
}

void bvx_policy_put(struct bvx_policy *policy, const xen_cpuid_leaf_t *from)
{
	bool indexed = from->subleaf != XEN_CPUID_NO_SUBLEAF;
	struct bv_cpuid_leaf *leaf = leaf_find(policy, from->leaf, indexed ? from->subleaf : 0);

	/*
	 * What the engine has not cannot be given; caches of AMD's form the tools know in part.
	 * What nested guests have they leave to the hypervisor: they begin with a policy without.
	 */
	if (leaf && leaf->indexed == indexed && leaf->leaf != 0x8000000a)
		leaf_limit(leaf, from);
}

/*
 * The tools read a policy into a structure of their own, and write that back into a buffer of as
 * many leaves as they were given. They write every leaf that the structure has room for: 14 basic
 * ones, of which four have 6, 3, 2 and 63 subleaves, 34 extended ones and two of the hypervisor's.
 * So they are given just as many (more they do not take), the last with nothing in it.
 */
#define TOOLS_LEAVES (10 + 6 + 3 + 2 + 63 + 34 + 2)

static const xen_cpuid_leaf_t no_leaf = { .leaf = 0x40000100, .subleaf = XEN_CPUID_NO_SUBLEAF };

bool bvx_policy_leaf(const struct bvx_policy *policy, u32 index, xen_cpuid_leaf_t *out)
{
	u32 count = 0;

	for (u32 i = 0; i < policy->leaves; i++) {
		const struct bv_cpuid_leaf *leaf = &policy->leaf[i];

		if (leaf->indexed && leaf->subleaf && !tools_indexed(leaf->leaf))
			continue;
		if (count++ != index)
			continue;
		*out = (xen_cpuid_leaf_t){
			.leaf = leaf->leaf,
			.subleaf = tools_indexed(leaf->leaf) ? leaf->subleaf : XEN_CPUID_NO_SUBLEAF,
			.a = leaf->eax,
			.b = leaf->ebx,
			.c = leaf->ecx,
			.d = leaf->edx,
		};
		return true;
	}
	*out = no_leaf;
	return index < TOOLS_LEAVES;
}

/* Where each word of a featureset comes from; see the public cpufeatureset.h. */
static const struct {
	u32 leaf, subleaf;
	enum bv_cpuid_register reg;
} words[] = {
	{ 0x1, 0, BV_CPUID_EDX },	 { 0x1, 0, BV_CPUID_ECX },
	{ 0x80000001, 0, BV_CPUID_EDX }, { 0x80000001, 0, BV_CPUID_ECX },
	{ 0xd, 1, BV_CPUID_EAX },	 { 0x7, 0, BV_CPUID_EBX },
	{ 0x7, 0, BV_CPUID_ECX },	 { 0x80000007, 0, BV_CPUID_EDX },
	{ 0x80000008, 0, BV_CPUID_EBX }, { 0x7, 0, BV_CPUID_EDX },
	{ 0x7, 1, BV_CPUID_EAX },	 { 0x80000021, 0, BV_CPUID_EAX },
	{ 0x7, 1, BV_CPUID_EBX },	 { 0x7, 2, BV_CPUID_EDX },
	{ 0x7, 1, BV_CPUID_ECX },	 { 0x7, 1, BV_CPUID_EDX },
};
BV_STATIC_ASSERT(BV_ARRAY_SIZE(words) <= BVX_FEATURE_WORDS);

void bvx_policy_featureset(struct bvx_policy *policy, u32 out[BVX_FEATURE_WORDS])
{
	__builtin_memset(out, 0, BVX_FEATURE_WORDS * sizeof(*out));
	for (u32 i = 0; i < BV_ARRAY_SIZE(words); i++) {
		const struct bv_cpuid_leaf *leaf =
			leaf_find(policy, words[i].leaf, words[i].subleaf);

		if (leaf)
			out[i] = words[i].reg == BV_CPUID_EAX ? leaf->eax :
				 words[i].reg == BV_CPUID_EBX ? leaf->ebx :
				 words[i].reg == BV_CPUID_ECX ? leaf->ecx :
								leaf->edx;
	}
}

/* ---- a vCPU's ---- */

static void xen_leaf(struct bvx_policy *policy, u32 leaf, u32 subleaf, const u32 regs[4])
{
	policy->leaf[policy->leaves++] = (struct bv_cpuid_leaf){
		.leaf = XEN_CPUID_LEAF(leaf),
		.subleaf = subleaf,
		.indexed = leaf == 3,
		.eax = regs[0],
		.ebx = regs[1],
		.ecx = regs[2],
		.edx = regs[3],
	};
}

/* Time: how the guest's TSC comes about. Subleaf 2 is the machine's rate. */
static void time_leaves(struct bvx_policy *policy, const struct bvx_vcpu *vcpu)
{
	const u32 mode[4] = { bv_host_tsc_stable() ? BV_BIT(1) : 0, vcpu->domain->tsc_mode,
			      bv_vcpu_tsc_khz(vcpu->vcpu), vcpu->domain->incarnation };
	const u32 rate[4] = { bv_host_tsc_khz() };

	xen_leaf(policy, 3, 0, mode);
	xen_leaf(policy, 3, 2, rate);
}

static void xen_leaves(struct bvx_policy *policy, const struct bvx_vcpu *vcpu)
{
	const u32 head[4] = { XEN_CPUID_LEAF(4), XEN_CPUID_SIGNATURE_EBX, XEN_CPUID_SIGNATURE_ECX,
			      XEN_CPUID_SIGNATURE_EDX };
	const u32 version[4] = { 4 << 16 | 17 };
	const u32 pages[4] = { 1, XEN_CPUID_FIRST_LEAF };
	const u32 hvm[4] = { XEN_HVM_CPUID_VCPU_ID_PRESENT | XEN_HVM_CPUID_DOMID_PRESENT |
				     XEN_HVM_CPUID_UPCALL_VECTOR,
			     vcpu->index, vcpu->domain->id };

	xen_leaf(policy, 0, 0, head);
	xen_leaf(policy, 1, 0, version);
	xen_leaf(policy, 2, 0, pages);
	time_leaves(policy, vcpu);
	xen_leaf(policy, 4, 0, hvm);
}

/* The leaves in which a CPU finds its own number. */
static void own_numbers(struct bvx_policy *policy, u32 apic_id)
{
	for (u32 i = 0; i < policy->leaves; i++) {
		struct bv_cpuid_leaf *leaf = &policy->leaf[i];

		if (leaf->leaf == 0x1)
			leaf->ebx = (leaf->ebx & 0x00ffffff) | apic_id << 24;
		else if (leaf->leaf == 0xb)
			leaf->edx = apic_id;
		else if (leaf->leaf == 0x8000001e)
			leaf->eax = apic_id;
	}
}

int bvx_policy_apply(struct bvx_vcpu *vcpu)
{
	struct bvx_policy *policy = bv_host_alloc(sizeof(*policy));
	int error;

	if (!policy)
		return -XEN_ENOMEM;
	*policy = *vcpu->domain->policy;
	if (policy->leaves > BV_CPUID_MAX - XEN_LEAVES)
		policy->leaves = BV_CPUID_MAX - XEN_LEAVES;
	own_numbers(policy, bvx_apic_id(vcpu));
	xen_leaves(policy, vcpu);
	error = bv_vcpu_cpuid_set(vcpu->vcpu, policy->leaf, policy->leaves);
	bv_host_free(policy);
	return error;
}
