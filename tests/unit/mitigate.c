// SPDX-License-Identifier: GPL-2.0-or-later
/* Which processor asks for which mitigations, and how a person chooses them. */
#include "test.h"

#include <string.h>

#include "x86/mitigate.h"

#define IS(name) (1u << BV_MITIGATE_##name)

/* Facts of some processors, as their CPUID and IA32_ARCH_CAPABILITIES have them. */
static const struct {
	const char *name;
	struct bv_mitigation_facts facts;
	u32 wanted;
} processors[] = {
	{ "Skylake server, microcode of 2019, IBRS in the kernel",
	  { .intel = true,
	    .family = 6,
	    .model = 0x55,
	    .leaf7_ebx = 1u << 11,
	    .leaf7_edx = 1u << 10 | 1u << 26 | 1u << 28,
	    .spec_ctrl = 1 },
	  IS(L1D) | IS(VERW) | IS(IBPB) | IS(RSB) | IS(IBRS) },
	{ "Skylake server, microcode of 2017",
	  { .intel = true, .family = 6, .model = 0x55 },
	  IS(RSB) },
	{ "Ice Lake server",
	  { .intel = true,
	    .family = 6,
	    .model = 0x6a,
	    .leaf7_edx = 1u << 10 | 1u << 26 | 1u << 28 | 1u << 29,
	    .arch_caps = 1 | 2 | 8 | 1u << 5 | 1u << 6 | 1u << 8 },
	  IS(VERW) | IS(IBPB) | IS(RSB) | IS(BHB) },
	{ "Sapphire Rapids, BHI_DIS_S set by the host",
	  { .intel = true,
	    .family = 6,
	    .model = 0x8f,
	    .leaf7_edx = 1u << 10 | 1u << 26 | 1u << 28 | 1u << 29,
	    .arch_caps = 1 | 2 | 8 | 1u << 5 | 1u << 6 | 1u << 8 | 7u << 13 | 1u << 24,
	    .spec_ctrl = 1 | 1u << 10 },
	  IS(IBPB) },
	{ "Zen 2",
	  { .amd = true, .family = 0x17, .model = 0x31, .ext8_ebx = 1u << 12 },
	  IS(IBPB) | IS(RSB) | IS(EXIT_IBPB) },
	{ "Zen 3 with return thunks",
	  { .amd = true,
	    .family = 0x19,
	    .model = 1,
	    .ext8_ebx = 1u << 12 | 1u << 14,
	    .ext21_eax = 1u << 5,
	    .safe_returns = true },
	  IS(VERW) | IS(IBPB) | IS(RSB) },
	{ "Zen 3 without",
	  { .amd = true, .family = 0x19, .model = 1, .ext8_ebx = 1u << 12 | 1u << 14 },
	  IS(IBPB) | IS(RSB) | IS(EXIT_IBPB) },
	{ "Zen 5",
	  { .amd = true,
	    .family = 0x1a,
	    .ext8_ebx = 1u << 12 | 1u << 14,
	    .ext21_eax = 1u << 5 | 1u << 8 | 1u << 29,
	    .ext21_ecx = 3u << 1 },
	  IS(IBPB) },
};

TEST(each_processor_gets_what_its_vendor_asks_for)
{
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(processors); i++) {
		u32 set = bv_mitigations_choose(&processors[i].facts);
		char text[80];

		bv_mitigations_say(set, text, sizeof(text));
		if (set != processors[i].wanted)
			printf("  %s: %s\n", processors[i].name, text);
		CHECK_EQ(set, processors[i].wanted);
	}
}

TEST(none_is_chosen_that_the_processor_cannot_do)
{
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(processors); i++) {
		const struct bv_mitigation_facts *facts = &processors[i].facts;

		CHECK_EQ(bv_mitigations_choose(facts) & ~bv_mitigations_possible(facts), 0);
	}
}

TEST(words_choose)
{
	u32 set;

	CHECK(bv_mitigations_parse("auto", 5, &set) && set == 5);
	CHECK(bv_mitigations_parse("off", 5, &set) && !set);
	CHECK(bv_mitigations_parse("", 5, &set) && !set);
	CHECK(bv_mitigations_parse("rsb,ibpb", 5, &set) && set == (IS(RSB) | IS(IBPB)));
	CHECK(bv_mitigations_parse("auto,-l1d\n", IS(L1D) | IS(RSB), &set) && set == IS(RSB));
	CHECK(bv_mitigations_parse("auto,exit-ibpb", 0, &set) && set == IS(EXIT_IBPB));
	CHECK(!bv_mitigations_parse("rsbx", 5, &set));
	CHECK(!bv_mitigations_parse("auto,rs", 5, &set));
	CHECK(!bv_mitigations_parse("-", 5, &set));
	CHECK(!bv_mitigations_parse(",", 5, &set));
}

TEST(what_is_in_force_can_be_said_and_fits)
{
	char text[16];

	bv_mitigations_say(0, text, sizeof(text));
	CHECK(!*text);
	bv_mitigations_say(IS(VERW) | IS(RSB), text, sizeof(text));
	CHECK(!strcmp(text, "verw,rsb"));
	bv_mitigations_say(~0u >> 1, text, sizeof(text));
	CHECK_EQ(strlen(text), sizeof(text) - 1);
}
