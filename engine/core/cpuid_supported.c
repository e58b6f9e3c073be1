/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* What the CPU at hand can offer a guest: the filter of x86/cpuid.h on the real instruction. */
#include "bv/cpuid.h"
#include "bv/host.h"
#include "bv/vm.h"
#include "core/vendor.h"
#include "x86/cpuid.h"
#include "x86/native.h"

static void read_native(const struct bv_cpuid_host *host, u32 leaf, u32 subleaf, u32 out[4])
{
	(void)host;
	native_cpuid(leaf, subleaf, out);
}

unsigned int bv_cpuid_supported(struct bv_cpuid_leaf *leaves, unsigned int max)
{
	const struct bv_cpuid_host host = { .read = read_native,
					    .xcr0 = bv_host_xcr0_supported(),
					    .nested = bv_engine_nests(),
					    .slow_strings = bv_vendor->slow_strings &&
							    bv_vendor->slow_strings() };

	return bv_cpuid_filter(&host, leaves, max);
}
