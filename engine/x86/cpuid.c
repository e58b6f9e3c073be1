/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * CPUID: filters what the host's CPU tells by the policy (data/cpuid_policy.h), and looks up what a
 * guest gets. Pure: asks only the struct bv_cpuid_host that it is given, keeps nothing.
 */
#include "x86/cpuid.h"
#include "bv/errno.h"
#include "bv/x86.h"
#include "data/cpuid_policy.h"

#define XSAVE_LEGACY_AND_HEADER 576u
#define FIRST_EXTENDED 2u /* components 0 and 1 lie in the legacy area */

/* ---- filtering ---- */

struct filter {
	const struct bv_cpuid_host *host;
	u64 xcr0; /* what of the host's components is offered */
	struct bv_cpuid_leaf *leaves;
	unsigned int max, count;
};

static void emit(struct filter *filter, const struct bv_cpuid_row *row, u32 subleaf,
		 const u32 regs[4])
{
	if (filter->count < filter->max)
		filter->leaves[filter->count] = (struct bv_cpuid_leaf){
			.leaf = row->leaf,
			.subleaf = subleaf,
			.indexed = row->shape != BV_CPUID_PLAIN,
			.eax = regs[BV_CPUID_EAX],
			.ebx = regs[BV_CPUID_EBX],
			.ecx = regs[BV_CPUID_ECX],
			.edx = regs[BV_CPUID_EDX],
		};
	filter->count++;
}

static bool feature_offered(const struct filter *filter, const struct bv_cpuid_feature *feature,
			    const u32 host[4])
{
	if (feature->needs & ~filter->xcr0)
		return false;
	if (feature->source >= BV_CPUID_NESTED && !filter->host->nested)
		return false;
	if (feature->source == BV_CPUID_STRINGS && filter->host->slow_strings)
		return false;
	return feature->source == BV_CPUID_ALWAYS || feature->source == BV_CPUID_NESTED ||
	       host[feature->reg] & (1u << feature->bit);
}

/* The row's values and features of one subleaf. */
static void filter_regs(const struct filter *filter, const struct bv_cpuid_row *row, u32 subleaf,
			const u32 host[4], u32 out[4])
{
	for (unsigned int reg = 0; reg < 4; reg++)
		out[reg] = (host[reg] & row->keep[reg]) | row->set[reg];
	for (unsigned int i = 0; i < bv_cpuid_feature_count; i++) {
		const struct bv_cpuid_feature *feature = &bv_cpuid_features[i];

		if (feature->leaf == row->leaf && feature->subleaf == subleaf &&
		    feature_offered(filter, feature, host))
			out[feature->reg] |= 1u << feature->bit;
	}
}

/* The highest leaf of a class (leaf >> 16) in the policy that the host has too. */
static u32 highest_leaf(u32 class, u32 host_highest)
{
	u32 highest = 0;

	for (unsigned int i = 0; i < bv_cpuid_row_count; i++)
		if (bv_cpuid_rows[i].leaf >> 16 == class && bv_cpuid_rows[i].leaf <= host_highest)
			highest = bv_cpuid_rows[i].leaf;
	return highest;
}

static void filter_one(struct filter *filter, const struct bv_cpuid_row *row)
{
	u32 host[4], out[4];

	filter->host->read(filter->host, row->leaf, row->subleaf, host);
	filter_regs(filter, row, row->subleaf, host, out);
	if (row->leaf == 0x8000000au && !filter->host->nested)
		out[BV_CPUID_EAX] = out[BV_CPUID_EBX] = 0;
	if (row->leaf == 0 || row->leaf == 0x80000000u)
		out[BV_CPUID_EAX] = highest_leaf(row->leaf >> 16, host[BV_CPUID_EAX]);
	emit(filter, row, row->subleaf, out);
}

#define MAX_CACHES 16u

static void filter_caches(struct filter *filter, const struct bv_cpuid_row *row)
{
	u32 host[4], out[4];

	for (u32 subleaf = 0; subleaf < MAX_CACHES; subleaf++) {
		filter->host->read(filter->host, row->leaf, subleaf, host);
		if (!(host[BV_CPUID_EAX] & 0x1f))
			return;
		filter_regs(filter, row, subleaf, host, out);
		emit(filter, row, subleaf, out);
	}
}

/*
 * Components of the XSAVE area. Offsets and sizes are the hardware's own: the guest's XSAVE is
 * executed by it. EBX of subleaf 0 and 1 depends on XCR0 and is filled at look-up.
 */
static void filter_xstate(struct filter *filter, const struct bv_cpuid_row *row)
{
	u32 host[4], out[4] = { (u32)filter->xcr0, 0, XSAVE_LEGACY_AND_HEADER,
				(u32)(filter->xcr0 >> 32) };
	unsigned int first = filter->count;

	if (!filter->xcr0)
		return;
	emit(filter, row, 0, out);
	filter->host->read(filter->host, row->leaf, 1, host);
	filter_regs(filter, row, 1, host, out);
	emit(filter, row, 1, out);
	for (u32 component = FIRST_EXTENDED; component < 63; component++) {
		if (!(filter->xcr0 & BV_BIT(component)))
			continue;
		filter->host->read(filter->host, row->leaf, component, host);
		host[BV_CPUID_ECX] &= 2; /* aligned in the compacted form; not a supervisor's */
		host[BV_CPUID_EDX] = 0;
		emit(filter, row, component, host);
		if (first < filter->max && host[0] + host[1] > filter->leaves[first].ecx)
			filter->leaves[first].ecx = host[0] + host[1];
	}
}

/* Leaves of the hypervisor's own range are there whatever the host has. */
static bool row_in_range(const struct bv_cpuid_row *row, u32 highest_basic, u32 highest_extended)
{
	if (row->leaf >> 16 == 0)
		return row->leaf <= highest_basic;
	if (row->leaf >> 16 == 0x8000)
		return row->leaf <= highest_extended;
	return true;
}

static void filter_row(struct filter *filter, const struct bv_cpuid_row *row)
{
	switch (row->shape) {
	case BV_CPUID_CACHES:
		filter_caches(filter, row);
		break;
	case BV_CPUID_XSTATE:
		filter_xstate(filter, row);
		break;
	default:
		filter_one(filter, row);
		break;
	}
}

/*
 * The components to offer: of the policy, held by the host for a guest, and with a place in its
 * CPU's XSAVE area.
 */
static u64 offered_components(const struct bv_cpuid_host *host)
{
	u64 components = host->xcr0 & BV_CPUID_XCR0;
	u32 regs[4];

	for (u32 component = FIRST_EXTENDED; component < 63; component++) {
		if (!(components & BV_BIT(component)))
			continue;
		host->read(host, 0xd, component, regs);
		if (!regs[BV_CPUID_EAX])
			components &= ~BV_BIT(component);
	}
	return components;
}

unsigned int bv_cpuid_filter(const struct bv_cpuid_host *host, struct bv_cpuid_leaf *leaves,
			     unsigned int max)
{
	struct filter filter = {
		.host = host,
		.xcr0 = offered_components(host),
		.leaves = leaves,
		.max = max,
	};
	u32 basic[4], extended[4];

	host->read(host, 0, 0, basic);
	host->read(host, 0x80000000u, 0, extended);
	for (unsigned int i = 0; i < bv_cpuid_row_count; i++)
		if (row_in_range(&bv_cpuid_rows[i], basic[BV_CPUID_EAX], extended[BV_CPUID_EAX]))
			filter_row(&filter, &bv_cpuid_rows[i]);
	return filter.count;
}

/* ---- sorting ---- */

static int compare(const struct bv_cpuid_leaf *a, const struct bv_cpuid_leaf *b)
{
	if (a->leaf != b->leaf)
		return a->leaf < b->leaf ? -1 : 1;
	if (a->subleaf != b->subleaf)
		return a->subleaf < b->subleaf ? -1 : 1;
	return 0;
}

/* Insertion: user space gives leaves nearly in order, and at most BV_CPUID_MAX of them. */
int bv_cpuid_sort(struct bv_cpuid_leaf *leaves, unsigned int count, u32 *bad)
{
	for (unsigned int i = 1; i < count; i++) {
		struct bv_cpuid_leaf leaf = leaves[i];
		unsigned int at = i;

		for (; at && compare(&leaves[at - 1], &leaf) > 0; at--)
			leaves[at] = leaves[at - 1];
		leaves[at] = leaf;
	}
	for (unsigned int i = 1; i < count; i++) {
		const struct bv_cpuid_leaf *a = &leaves[i - 1], *b = &leaves[i];

		if (a->leaf != b->leaf || (a->subleaf != b->subleaf && a->indexed && b->indexed))
			continue;
		*bad = b->leaf;
		return -BV_EINVAL;
	}
	return 0;
}

/* ---- looking up ---- */

/* The first entry that is not below (leaf, subleaf). */
static unsigned int lower_bound(const struct bv_cpuid_leaf *leaves, unsigned int count, u32 leaf,
				u32 subleaf)
{
	u64 key = (u64)leaf << 32 | subleaf;
	unsigned int low = 0, high = count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (((u64)leaves[middle].leaf << 32 | leaves[middle].subleaf) < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct bv_cpuid_leaf *find(const struct bv_cpuid_leaf *leaves, unsigned int count,
					u32 leaf, u32 subleaf)
{
	unsigned int at = lower_bound(leaves, count, leaf, subleaf);

	if (at < count && leaves[at].leaf == leaf && leaves[at].subleaf == subleaf)
		return &leaves[at];
	/* A leaf without subleaves is the only one of its number, and stands at subleaf 0. */
	if (at && leaves[at - 1].leaf == leaf && !leaves[at - 1].indexed)
		return &leaves[at - 1];
	return NULL;
}

/* AMD's and Hygon's CPUs give zeros out of range, by their names in leaf 0. */
static bool zeros_out_of_range(const struct bv_cpuid_leaf *leaf0)
{
	static const u32 names[][3] = {
		{ 0x68747541, 0x69746e65, 0x444d4163 }, /* "AuthenticAMD": EBX, EDX, ECX */
		{ 0x6f677948, 0x6e65476e, 0x656e6975 }, /* "HygonGenuine" */
	};

	for (unsigned int i = 0; i < BV_ARRAY_SIZE(names); i++)
		if (leaf0->ebx == names[i][0] && leaf0->edx == names[i][1] &&
		    leaf0->ecx == names[i][2])
			return true;
	return false;
}

/* The leaf that tells the highest of the range that a leaf is in. */
static u32 range_start(u32 leaf)
{
	if (leaf >= 0x80000000u)
		return leaf & 0xffff0000u;
	if (leaf >= 0x40000000u && leaf < 0x50000000u)
		return leaf & 0xffffff00u;
	return 0;
}

/* Not found: what stands in for it, or NULL for zeros. */
static const struct bv_cpuid_leaf *stand_in(const struct bv_cpuid_leaf *leaves, unsigned int count,
					    u32 leaf, u32 subleaf)
{
	const struct bv_cpuid_leaf *leaf0 = find(leaves, count, 0, 0);
	const struct bv_cpuid_leaf *start = find(leaves, count, range_start(leaf), 0);

	if (!leaf0 || zeros_out_of_range(leaf0))
		return NULL;
	if (start && leaf <= start->eax)
		return NULL; /* in range, only empty */
	return find(leaves, count, leaf0->eax, subleaf);
}

u32 bv_cpuid_xsave_bytes(const struct bv_cpuid_leaf *leaves, unsigned int count, u64 components,
			 bool compacted)
{
	u32 bytes = XSAVE_LEGACY_AND_HEADER;
	unsigned int at = lower_bound(leaves, count, 0xd, FIRST_EXTENDED);

	for (; at < count && leaves[at].leaf == 0xd && leaves[at].subleaf < 64; at++) {
		const struct bv_cpuid_leaf *component = &leaves[at];
		u32 offset = component->ebx;

		if (!(components & BV_BIT(component->subleaf)))
			continue;
		if (compacted)
			offset = component->ecx & 2 ? (bytes + 63) & ~63u : bytes;
		if (compacted || offset + component->eax > bytes)
			bytes = offset + component->eax;
	}
	return bytes;
}

static void set_bit(u32 *reg, u32 bit, bool value)
{
	*reg = value ? *reg | bit : *reg & ~bit;
}

/*
 * What of the answer follows the vCPU's state. A feature that the guest does not have does not
 * appear.
 */
static void apply_live(const struct bv_cpuid_leaf *leaves, unsigned int count,
		       const struct bv_cpuid_leaf *found, const struct bv_cpuid_live *live,
		       u32 out[4])
{
	const u32 apic = 1u << 9, osxsave = 1u << 27, xsave = 1u << 26, ospke = 1u << 4,
		  pku = 1u << 3;
	bool apic_on = live->apic_base & BV_BIT(11);

	switch (found->leaf) {
	case 0x1:
		set_bit(&out[BV_CPUID_ECX], osxsave,
			found->ecx & xsave && live->cr4 & BV_CR4_OSXSAVE);
		set_bit(&out[BV_CPUID_EDX], apic, found->edx & apic && apic_on);
		break;
	case 0x80000001u:
		set_bit(&out[BV_CPUID_EDX], apic, found->edx & apic && apic_on);
		break;
	case 0x7:
		if (found->subleaf == 0)
			set_bit(&out[BV_CPUID_ECX], ospke,
				found->ecx & pku && live->cr4 & BV_CR4_PKE);
		break;
	case 0xd:
		if (found->subleaf == 0)
			out[BV_CPUID_EBX] = bv_cpuid_xsave_bytes(leaves, count, live->xcr0, false);
		if (found->subleaf == 1 && found->eax & (1u << 1 | 1u << 3))
			out[BV_CPUID_EBX] = bv_cpuid_xsave_bytes(leaves, count, live->xcr0, true);
		break;
	default:
		break;
	}
}

void bv_cpuid_lookup(const struct bv_cpuid_leaf *leaves, unsigned int count, u32 leaf, u32 subleaf,
		     const struct bv_cpuid_live *live, u32 out[4])
{
	const struct bv_cpuid_leaf *found = find(leaves, count, leaf, subleaf);

	if (!found)
		found = stand_in(leaves, count, leaf, subleaf);
	if (!found) {
		out[BV_CPUID_EAX] = out[BV_CPUID_EBX] = out[BV_CPUID_EDX] = 0;
		/* The topology leaves echo the level asked for. */
		out[BV_CPUID_ECX] = leaf == 0xb || leaf == 0x1f ? subleaf & 0xff : 0;
		return;
	}
	out[BV_CPUID_EAX] = found->eax;
	out[BV_CPUID_EBX] = found->ebx;
	out[BV_CPUID_ECX] = found->ecx;
	out[BV_CPUID_EDX] = found->edx;
	apply_live(leaves, count, found, live, out);
}
