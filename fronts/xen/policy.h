/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPU policies: what CPUID tells guests, and the forms in which the tools read and write it. */
#ifndef BVX_POLICY_H
#define BVX_POLICY_H

#include "front.h"

#define BVX_FEATURE_WORDS 16u

/* All that the engine can offer a guest here; the caller frees it. NULL: no memory. sleep. */
struct bvx_policy *bvx_policy_most(void);
/* The same for a domain, which may have been made to run guests. */
struct bvx_policy *bvx_policy_most_of(const struct bvx_domain *domain);
/* Puts a leaf of the tools' in, cut down to what is there. */
void bvx_policy_put(struct bvx_policy *policy, const xen_cpuid_leaf_t *from);
/* The index-th leaf in the tools' form; false past the last. */
bool bvx_policy_leaf(const struct bvx_policy *policy, u32 index, xen_cpuid_leaf_t *out);
void bvx_policy_featureset(struct bvx_policy *policy, u32 out[BVX_FEATURE_WORDS]);

#endif
