/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The use of one grant entry, for a map or a copy; see grant.c. */
#ifndef BVX_GRANT_USE_H
#define BVX_GRANT_USE_H

#include "grant.h"

struct bvx_use {
	/* asked for */
	struct bvx_domain *granter; /* the caller holds it meanwhile */
	u32 ref;
	u32 user; /* domain id */
	bool write, part_allowed;
	/* found */
	u64 gfn; /* of the granter */
	struct bv_mfn mfn; /* with a hold */
	u32 offset, length; /* the part of the frame that is offered */
};

/* GNTST_okay: in use until use_end. sleep. */
s16 bvx_use_begin(struct bvx_use *use);
/* granter, ref, write, gfn and mfn are as begin left them. sleep. */
void bvx_use_end(struct bvx_use *use);
int bvx_grants_set_version(struct bvx_domain *domain, u32 version);

#endif
