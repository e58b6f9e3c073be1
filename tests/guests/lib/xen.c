// SPDX-License-Identifier: GPL-2.0-or-later
/* Xen's interface: see xen.h. */
#include "xen.h"

void xen_must(const char *what, u64 result)
{
	if ((s64)result < 0)
		guest_panic("%s: %lld", what, (s64)result);
}

void xen_map(void *page, u32 space)
{
	struct {
		u16 domid, size;
		u32 space;
		u64 index, gfn;
	} add = { DOMID_SELF, 0, space, 0, (u64)page / GUEST_PAGE_SIZE };

	xen_must("add_to_physmap", hypercall(HC_MEMORY, 7, (u64)&add, 0));
}
