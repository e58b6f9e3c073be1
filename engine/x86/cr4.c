/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* Which bits of CR4 the processor at hand has. */
#include "x86/cr4.h"

#include "bv/x86.h"
#include "x86/native.h"

u64 bv_cr4_of_cpuid(void)
{
	static const struct {
		u64 cr4;
		u32 leaf;
		u8 reg, bit;
	} optional[] = {
		{ BV_CR4_LA57, 7, 2, 16 },  { BV_CR4_FSGSBASE, 7, 1, 0 },
		{ BV_CR4_PCIDE, 1, 2, 17 }, { BV_CR4_OSXSAVE, 1, 2, 26 },
		{ BV_CR4_SMEP, 7, 1, 7 },   { BV_CR4_SMAP, 7, 1, 20 },
		{ BV_CR4_PKE, 7, 2, 3 },    { BV_CR4_UMIP, 7, 2, 2 },
		{ BV_CR4_CET, 7, 2, 7 },
	};
	u64 bits = BV_CR4_VME | BV_CR4_PVI | BV_CR4_TSD | BV_CR4_DE | BV_CR4_PSE | BV_CR4_PAE |
		   BV_CR4_MCE | BV_CR4_PGE | BV_CR4_PCE | BV_CR4_OSFXSR | BV_CR4_OSXMMEXCPT;
	u32 id[4];

	for (unsigned int i = 0; i < BV_ARRAY_SIZE(optional); i++) {
		native_cpuid(optional[i].leaf, 0, id);
		if (id[optional[i].reg] & (1u << optional[i].bit))
			bits |= optional[i].cr4;
	}
	return bits;
}
