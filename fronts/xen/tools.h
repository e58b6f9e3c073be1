/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two hypercalls of the tools, domctl and sysctl, share. */
#ifndef BVX_TOOLS_H
#define BVX_TOOLS_H

#include "call.h"
#include "policy.h"

#include <xen/sysctl.h>

/* A bitmap of the tools': of at most BVX_MAX_CPUS bits here. -XEN_EFAULT. */
int bvx_bitmap_in(struct bvx_call *call, const struct xenctl_bitmap *from,
		  struct bvx_cpumask *mask);
int bvx_bitmap_out(struct bvx_call *call, const struct xenctl_bitmap *to,
		   const struct bvx_cpumask *mask);
/* The CPUs that are online. */
void bvx_cpus_online(struct bvx_cpumask *mask);
bool bvx_cpumask_empty(const struct bvx_cpumask *mask);

void bvx_domain_info(struct bvx_domain *domain, struct xen_domctl_getdomaininfo *info);
/* Copies a policy out in the tools' form; counts of 0 ask how much there is. */
long bvx_policy_out(struct bvx_call *call, const struct bvx_policy *policy, u32 *leaves, u32 *msrs,
		    const void *leaf_handle, const void *msr_handle);

/* domctl_state.c: what a guest is, out and in */
long bvx_domctl_gethvmcontext(struct bvx_call *call, struct xen_domctl *op,
			      struct bvx_domain *domain);
long bvx_domctl_sethvmcontext(struct bvx_call *call, struct xen_domctl *op,
			      struct bvx_domain *domain);
long bvx_domctl_gethvmcontext_partial(struct bvx_call *call, struct xen_domctl *op,
				      struct bvx_domain *domain);
long bvx_domctl_getvcpucontext(struct bvx_call *call, struct xen_domctl *op,
			       struct bvx_domain *domain);
long bvx_domctl_setvcpucontext(struct bvx_call *call, struct xen_domctl *op,
			       struct bvx_domain *domain);
long bvx_domctl_shadow_op(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain);

#endif
