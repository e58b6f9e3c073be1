/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* Mitigations: which a processor asks for. See mitigate.h, and docs/mitigations.md for users. */
#include "x86/mitigate.h"

#include "x86/native.h"

#define MSR_SPEC_CTRL 0x48u
#define MSR_PRED_CMD 0x49u
#define MSR_ARCH_CAPABILITIES 0x10au
#define MSR_FLUSH_CMD 0x10bu

#define SPEC_CTRL_IBRS BV_BIT(0)
#define SPEC_CTRL_BHI_DIS_S BV_BIT(10)

/* CPUID 7 */
#define LEAF7_EBX_RTM BV_BIT(11)
#define LEAF7_EDX_MD_CLEAR BV_BIT(10)
#define LEAF7_EDX_IBPB BV_BIT(26)
#define LEAF7_EDX_FLUSH_L1D BV_BIT(28)
#define LEAF7_EDX_ARCH_CAPS BV_BIT(29)
/* CPUID 8000_0008 */
#define EXT8_EBX_IBPB BV_BIT(12)
#define EXT8_EBX_IBRS BV_BIT(14)
/* CPUID 8000_0021 */
#define EXT21_EAX_VERW_CLEAR BV_BIT(5)
#define EXT21_EAX_AUTO_IBRS BV_BIT(8)
#define EXT21_EAX_SRSO_NO BV_BIT(29)
#define EXT21_ECX_TSA_SQ_NO BV_BIT(1)
#define EXT21_ECX_TSA_L1_NO BV_BIT(2)
/* IA32_ARCH_CAPABILITIES */
#define CAPS_RDCL_NO BV_BIT(0)
#define CAPS_IBRS_ALL BV_BIT(1)
#define CAPS_SKIP_L1DFL BV_BIT(3)
#define CAPS_MDS_NO BV_BIT(5)
#define CAPS_TAA_NO BV_BIT(8)
#define CAPS_SBDR_SSDP_NO BV_BIT(13)
#define CAPS_FBSDP_NO BV_BIT(14)
#define CAPS_PSDP_NO BV_BIT(15)
#define CAPS_BHI_NO BV_BIT(20)
#define CAPS_PBRSB_NO BV_BIT(24)
#define CAPS_RFDS_NO BV_BIT(27)
#define CAPS_RFDS_CLEAR BV_BIT(28)

u32 bv_mitigate;
u64 bv_mitigate_spec_ctrl;
u16 bv_mitigate_selector;

/* ---- the processor at hand ---- */

static void signature_read(struct bv_mitigation_facts *facts)
{
	u32 id[4];

	native_cpuid(0, 0, id);
	facts->intel = id[1] == 0x756e6547; /* "Genu"ineIntel */
	facts->amd = id[1] == 0x68747541 || id[1] == 0x6f677948; /* "Auth", "Hygo" */
	native_cpuid(1, 0, id);
	facts->family = id[0] >> 8 & 0xf;
	facts->model = (id[0] >> 4 & 0xf) | (id[0] >> 12 & 0xf0);
	if (facts->family == 0xf)
		facts->family += id[0] >> 20 & 0xff;
}

void bv_mitigation_facts(struct bv_mitigation_facts *facts)
{
	u32 id[4], highest;

	*facts = (struct bv_mitigation_facts){ 0 };
	signature_read(facts);
	native_cpuid(0, 0, id);
	if (id[0] >= 7) {
		native_cpuid(7, 0, id);
		facts->leaf7_ebx = id[1];
		facts->leaf7_edx = id[3];
	}
	native_cpuid(0x80000000u, 0, id);
	highest = id[0];
	if (highest >= 0x80000008u) {
		native_cpuid(0x80000008u, 0, id);
		facts->ext8_ebx = id[1];
	}
	if (highest >= 0x80000021u) {
		native_cpuid(0x80000021u, 0, id);
		facts->ext21_eax = id[0];
		facts->ext21_ecx = id[2];
	}
	if (facts->leaf7_edx & LEAF7_EDX_ARCH_CAPS)
		facts->arch_caps = native_rdmsr(MSR_ARCH_CAPABILITIES);
	if (facts->leaf7_edx & LEAF7_EDX_IBPB || facts->ext8_ebx & EXT8_EBX_IBRS)
		facts->spec_ctrl = native_rdmsr(MSR_SPEC_CTRL);
}

/* ---- the choice ---- */

static bool has(const struct bv_mitigation_facts *facts, u64 caps)
{
	return (facts->arch_caps & caps) == caps;
}

/* Only with the MSR of the microcode that came with it. */
static bool wants_l1d(const struct bv_mitigation_facts *facts)
{
	return facts->intel && facts->family == 6 && facts->leaf7_edx & LEAF7_EDX_FLUSH_L1D &&
	       !has(facts, CAPS_RDCL_NO) && !has(facts, CAPS_SKIP_L1DFL);
}

static bool wants_verw(const struct bv_mitigation_facts *facts)
{
	bool taa = facts->leaf7_ebx & LEAF7_EBX_RTM && !has(facts, CAPS_TAA_NO);
	bool stale = !has(facts, CAPS_SBDR_SSDP_NO | CAPS_FBSDP_NO | CAPS_PSDP_NO);
	bool rfds = has(facts, CAPS_RFDS_CLEAR) && !has(facts, CAPS_RFDS_NO);

	if (facts->amd)
		return facts->ext21_eax & EXT21_EAX_VERW_CLEAR &&
		       (~facts->ext21_ecx & (EXT21_ECX_TSA_SQ_NO | EXT21_ECX_TSA_L1_NO));
	return facts->intel && facts->leaf7_edx & LEAF7_EDX_MD_CLEAR &&
	       (!has(facts, CAPS_MDS_NO) || taa || stale || rfds);
}

static bool has_ibpb(const struct bv_mitigation_facts *facts)
{
	return facts->leaf7_edx & LEAF7_EDX_IBPB || facts->ext8_ebx & EXT8_EBX_IBPB;
}

static bool wants_rsb(const struct bv_mitigation_facts *facts)
{
	if (facts->amd)
		return !(facts->ext21_eax & EXT21_EAX_AUTO_IBRS);
	return facts->intel && !has(facts, CAPS_IBRS_ALL | CAPS_PBRSB_NO);
}

/* IBRS of the old kind works only if it is written after the guest has run. */
static bool wants_ibrs(const struct bv_mitigation_facts *facts)
{
	return facts->intel && facts->spec_ctrl & SPEC_CTRL_IBRS && !has(facts, CAPS_IBRS_ALL);
}

static bool wants_bhb(const struct bv_mitigation_facts *facts)
{
	return facts->intel && has(facts, CAPS_IBRS_ALL) && !has(facts, CAPS_BHI_NO) &&
	       !(facts->spec_ctrl & SPEC_CTRL_BHI_DIS_S);
}

/*
 * Zen 1 and 2 predict returns by what the guest trained; Zen 3 and 4 too, unless the returns
 * themselves are of the safe kind.
 */
static bool wants_exit_ibpb(const struct bv_mitigation_facts *facts)
{
	if (!facts->amd || !has_ibpb(facts))
		return false;
	if (facts->family == 0x17 || facts->family == 0x18)
		return true;
	return facts->family == 0x19 && !(facts->ext21_eax & EXT21_EAX_SRSO_NO) &&
	       !facts->safe_returns;
}

u32 bv_mitigations_choose(const struct bv_mitigation_facts *facts)
{
	return (u32)wants_l1d(facts) << BV_MITIGATE_L1D |
	       (u32)wants_verw(facts) << BV_MITIGATE_VERW |
	       (u32)has_ibpb(facts) << BV_MITIGATE_IBPB | (u32)wants_rsb(facts) << BV_MITIGATE_RSB |
	       (u32)wants_ibrs(facts) << BV_MITIGATE_IBRS |
	       (u32)wants_bhb(facts) << BV_MITIGATE_BHB |
	       (u32)wants_exit_ibpb(facts) << BV_MITIGATE_EXIT_IBPB;
}

u32 bv_mitigations_possible(const struct bv_mitigation_facts *facts)
{
	u32 set = 1u << BV_MITIGATE_VERW | 1u << BV_MITIGATE_RSB | 1u << BV_MITIGATE_BHB;

	if (facts->intel && facts->leaf7_edx & LEAF7_EDX_FLUSH_L1D)
		set |= 1u << BV_MITIGATE_L1D;
	if (has_ibpb(facts))
		set |= 1u << BV_MITIGATE_IBPB | 1u << BV_MITIGATE_EXIT_IBPB;
	if (facts->leaf7_edx & LEAF7_EDX_IBPB)
		set |= 1u << BV_MITIGATE_IBRS;
	return set;
}

/* ---- names ---- */

static const char *const names[BV_MITIGATION_COUNT] = {
#define MITIGATION_NAME(name, word, against) word,
	BV_MITIGATIONS(MITIGATION_NAME)
};

void bv_mitigations_say(u32 set, char *text, size_t size)
{
	size_t at = 0;

	for (unsigned int i = 0; i < BV_MITIGATION_COUNT; i++) {
		if (!(set >> i & 1))
			continue;
		if (at && at + 1 < size)
			text[at++] = ',';
		for (const char *from = names[i]; *from && at + 1 < size; from++)
			text[at++] = *from;
	}
	text[at] = 0;
}

/* The length of the name that the text begins with, up to a comma or the end; 0: another. */
static size_t word_is(const char *text, const char *name)
{
	size_t length = 0;

	while (name[length] && text[length] == name[length])
		length++;
	return !name[length] && (!text[length] || text[length] == ',' || text[length] == '\n') ?
		       length :
		       0;
}

static size_t word_take(const char *words, u32 automatic, u32 *set)
{
	bool minus = *words == '-';
	size_t length;

	if ((length = word_is(words, "auto"))) {
		*set |= automatic;
		return length;
	}
	if ((length = word_is(words, "off"))) {
		*set = 0;
		return length;
	}
	for (unsigned int i = 0; i < BV_MITIGATION_COUNT; i++) {
		length = word_is(words + minus, names[i]);
		if (!length)
			continue;
		*set = minus ? *set & ~(1u << i) : *set | 1u << i;
		return length + minus;
	}
	return 0;
}

bool bv_mitigations_parse(const char *words, u32 automatic, u32 *set)
{
	*set = 0;
	while (*words && *words != '\n') {
		size_t length = word_take(words, automatic, set);

		if (!length)
			return false;
		words += length;
		if (*words == ',')
			words++;
	}
	return true;
}

/* ---- in force ---- */

void bv_mitigations_set(u32 set)
{
	__asm__ volatile("mov %%ss, %0" : "=r"(bv_mitigate_selector));
	if (set >> BV_MITIGATE_IBRS & 1)
		bv_mitigate_spec_ctrl = native_rdmsr(MSR_SPEC_CTRL);
	bv_mitigate = set;
}

void bv_mitigate_before_entry(void)
{
	if (bv_unlikely(bv_mitigates(BV_MITIGATE_L1D)))
		native_wrmsr(MSR_FLUSH_CMD, 1);
}

void bv_mitigate_other_vm(void)
{
	if (bv_mitigates(BV_MITIGATE_IBPB))
		native_wrmsr(MSR_PRED_CMD, 1);
}
