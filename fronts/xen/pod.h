/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Population on demand; see pod.c. */
#ifndef BVX_POD_H
#define BVX_POD_H

#include "front.h"

/* The page is given a frame, if it is one without. -XEN_ENOMEM: there is none left. sleep. */
int bvx_pod_fill(struct bvx_domain *domain, u64 gfn);
/*
 * A page that the guest gave back, and that is in its p2m no more, stays its own, for a page that
 * has none. false: it is to be released. sleep.
 */
bool bvx_pod_keep(struct bvx_domain *domain, const struct bvx_entry *old);
/* So many pages are what it may have. -XEN_ENOMEM. sleep. */
int bvx_pod_target(struct bvx_domain *domain, u64 target);
/* What waits for pages is given back. sleep. */
void bvx_pod_fini(struct bvx_domain *domain);

#endif
