/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * What a hypervisor is asked to do against flaws of processors: one line each,
 * MITIGATION(NAME, "name", "against"). Which processor needs which is decided by x86/mitigate.c;
 * docs/mitigations.md is the same for users.
 */
#ifndef BV_DATA_MITIGATIONS_H
#define BV_DATA_MITIGATIONS_H

#define BV_MITIGATIONS(MITIGATION)                                                            \
	MITIGATION(L1D, "l1d", "L1TF: the L1 data cache is flushed before each entry")        \
	MITIGATION(VERW, "verw", "MDS, TAA, MMIO stale data, RFDS, TSA: buffers are cleared") \
	MITIGATION(IBPB, "ibpb", "Spectre v2: predictors are cleared between two VMs")        \
	MITIGATION(RSB, "rsb", "Spectre v2: the return stack is filled after each exit")      \
	MITIGATION(IBRS, "ibrs", "retbleed (Intel): IBRS is written again after each exit")   \
	MITIGATION(BHB, "bhb", "BHI: the branch history is overwritten after each exit")      \
	MITIGATION(EXIT_IBPB, "exit-ibpb",                                                    \
		   "retbleed, SRSO (AMD): predictors are cleared after each exit")

#define BV_MITIGATION_ENUM(name, word, against) BV_MITIGATE_##name,
enum bv_mitigation {
	BV_MITIGATIONS(BV_MITIGATION_ENUM) BV_MITIGATION_COUNT
};

#endif
