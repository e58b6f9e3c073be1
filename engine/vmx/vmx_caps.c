/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* What a processor's VT-x can do. Manual: volume 3, appendix A; 31.5.1 (computing controls). */
#include "vmx/vmx_caps.h"

#include "lib/format.h"
#include "x86/native.h"

#define MSR_ROW(member, index, name) { offsetof(struct vmx_msrs, member), index, name },

static const struct {
	size_t offset;
	u32 index;
	const char *name;
} capability_msrs[] = { VMX_CAPABILITY_MSRS(MSR_ROW) };

static const struct {
	u8 word, bit, use;
	const char *name;
} controls[] = {
#define CONTROL_ROW(word, name, bit, use, text) { VMX_##word, bit, VMX_##use, text },
	VMX_CONTROLS(CONTROL_ROW)
};

static u64 *msr_member(struct vmx_msrs *msrs, unsigned int i)
{
	return (u64 *)((char *)msrs + capability_msrs[i].offset);
}

/* A processor without an MSR raises #GP where it is read: those that depend on others come last. */
static bool msr_exists(const struct vmx_msrs *msrs, u32 index)
{
	bool secondary = msrs->proc >> 63;
	u32 proc2 = msrs->proc2 >> 32;

	if (index == 0x48b)
		return secondary;
	if (index == 0x48c)
		return secondary && proc2 & (VMX_PROC2_EPT | VMX_PROC2_VPID);
	return index < 0x48d || msrs->basic & VMX_BASIC_TRUE;
}

void vmx_msrs_read(struct vmx_msrs *msrs)
{
	u32 id[4];

	native_cpuid(0x80000008u, 0, id);
	msrs->phys_bits = id[0] & 0xff;
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(capability_msrs); i++) {
		bool there = msr_exists(msrs, capability_msrs[i].index);

		*msr_member(msrs, i) = there ? native_rdmsr(capability_msrs[i].index) : 0;
	}
}

const char *vmx_msrs_differ(const struct vmx_msrs *one, const struct vmx_msrs *other)
{
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(capability_msrs); i++) {
		size_t offset = capability_msrs[i].offset;

		if (__builtin_memcmp((char *)one + offset, (char *)other + offset, sizeof(u64)))
			return capability_msrs[i].name;
	}
	return NULL;
}

const char *vmx_control_name(enum vmx_word word, unsigned int bit)
{
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(controls); i++)
		if (controls[i].word == word && controls[i].bit == bit)
			return controls[i].name;
	return "unknown";
}

static bool missing(struct vmx_caps *caps, const char *what)
{
	bv_format(caps->why, sizeof(caps->why), "this CPU's VT-x does not suffice: it has no %s",
		  what);
	return false;
}

/* The "true" MSRs tell more exactly which bits must be one; a processor may not have them. */
static u64 capability_of(const struct vmx_msrs *msrs, enum vmx_word word)
{
	bool exact = msrs->basic & VMX_BASIC_TRUE;

	switch (word) {
	case VMX_PIN:
		return exact ? msrs->true_pin : msrs->pin;
	case VMX_PROC:
		return exact ? msrs->true_proc : msrs->proc;
	case VMX_PROC2:
		return msrs->proc2;
	case VMX_EXIT:
		return exact ? msrs->true_exit : msrs->exit;
	default:
		return exact ? msrs->true_entry : msrs->entry;
	}
}

/* What must never be set is refused where the processor insists on it. */
static bool control_suits(struct vmx_caps *caps, u32 may, u32 must, unsigned int i)
{
	u32 bit = 1u << controls[i].bit;

	if ((controls[i].use == VMX_NEED || controls[i].use == VMX_TIMES) && !(may & bit))
		return missing(caps, controls[i].name);
	if (controls[i].use == VMX_NEED || controls[i].use == VMX_WANT || !(must & bit))
		return true;
	bv_format(caps->why, sizeof(caps->why), "this CPU's VT-x does not suit: it insists on %s",
		  controls[i].name);
	return false;
}

static bool controls_compute(const struct vmx_msrs *msrs, struct vmx_caps *caps)
{
	u32 wanted[VMX_WORDS] = { 0 };

	for (unsigned int i = 0; i < BV_ARRAY_SIZE(controls); i++) {
		u64 capability = capability_of(msrs, controls[i].word);

		if (!control_suits(caps, capability >> 32, capability, i))
			return false;
		if (controls[i].use == VMX_NEED || controls[i].use == VMX_WANT)
			wanted[controls[i].word] |= 1u << controls[i].bit;
	}
	for (unsigned int word = 0; word < VMX_WORDS; word++) {
		u64 capability = capability_of(msrs, word);

		caps->control[word] = vmx_control_make(capability, wanted[word]);
		caps->must[word] = capability;
		caps->may[word] = capability >> 32;
	}
	return true;
}

static bool ept_suits(struct vmx_caps *caps, u64 ept)
{
	static const struct {
		u64 bit;
		const char *name;
	} needs[] = {
		{ VMX_EPT_WALK_4, "EPT page walks of four levels" },
		{ VMX_EPT_WB, "write-back EPT structures" },
		{ VMX_EPT_INVEPT, "INVEPT" },
	};

	for (unsigned int i = 0; i < BV_ARRAY_SIZE(needs); i++)
		if (!(ept & needs[i].bit))
			return missing(caps, needs[i].name);
	if (!(ept & (VMX_EPT_INVEPT_SINGLE | VMX_EPT_INVEPT_ALL)))
		return missing(caps, "type of INVEPT that flushes a table");
	return true;
}

bool vmx_caps_compute(const struct vmx_msrs *msrs, struct vmx_caps *caps)
{
	u64 basic = msrs->basic;

	*caps = (struct vmx_caps){ 0 };
	if ((basic >> VMX_BASIC_BYTES_SHIFT & VMX_BASIC_BYTES) > BV_PAGE_SIZE)
		return missing(caps, "VMCS that fits a page");
	if ((basic >> VMX_BASIC_TYPE_SHIFT & VMX_BASIC_TYPE) != VMX_BASIC_TYPE_WB)
		return missing(caps, "write-back VMCS");
	if (!(msrs->proc >> 63))
		return missing(caps, "secondary controls (so neither EPT nor unrestricted guests)");
	if (!controls_compute(msrs, caps) || !ept_suits(caps, msrs->ept_vpid))
		return false;
	caps->revision = basic & VMX_BASIC_REVISION;
	caps->ept_vpid = msrs->ept_vpid;
	caps->misc = msrs->misc;
	/* An unrestricted guest may have PE and PG clear (23.8). */
	caps->phys_bits = basic & VMX_BASIC_32_BITS ? 32 : msrs->phys_bits;
	caps->cr0_ones = msrs->cr0_fixed0 & ~(u64)(1u << 0 | 1u << 31);
	caps->cr4_ones = msrs->cr4_fixed0;
	caps->cr0_may = msrs->cr0_fixed1;
	caps->cr4_may = msrs->cr4_fixed1;
	return true;
}
