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

void xen_events_begin(volatile struct xen_shared_info *shared)
{
	xen_map((void *)shared, XEN_SHARED_INFO);
	shared->mask[0] = ~0ull;
}

void xen_event_wait(volatile struct xen_shared_info *shared, u32 port)
{
	struct {
		u64 ports;
		u32 count;
		u64 timeout;
	} poll = { (u64)&port, 1, 0 };

	while (!(__atomic_load_n(&shared->pending[0], __ATOMIC_SEQ_CST) >> port & 1))
		xen_must("poll", hypercall(HC_SCHED, 3, (u64)&poll, 0));
	__atomic_fetch_and(&shared->pending[0], ~(1ull << port), __ATOMIC_SEQ_CST);
}
