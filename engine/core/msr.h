/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* What a vCPU keeps of MSRs that are no part of the CPU's running state. */
#ifndef BV_CORE_MSR_H
#define BV_CORE_MSR_H

#include "bv/types.h"

#define BV_MTRR_VARIABLE 8
#define BV_MCE_BANKS 32

/* MCG_CAP (volume 2, 9.3.1) */
#define BV_MCG_CTL_P BV_BIT(8)
#define BV_MCG_SER_P BV_BIT(24)
/* MCi_STATUS (volume 2, 9.3.2) */
#define BV_MCE_VALID BV_BIT(63)
#define BV_MCE_OVERFLOW BV_BIT(62)
#define BV_MCE_UNCORRECTED BV_BIT(61)

struct bv_msr_store {
	u64 mtrr_default;
	u64 mtrr_fixed[11];
	u64 mtrr_variable[2 * BV_MTRR_VARIABLE]; /* base and mask, by turns */
	u64 mcg_cap, mcg_status, mcg_ctl;
	u64 mce[4 * BV_MCE_BANKS]; /* CTL, STATUS, ADDR, MISC of each bank */
	u64 misc_enable, debug_ctl, patch_level, hwcr, osvw_length, osvw_status, de_cfg;
};

#endif
