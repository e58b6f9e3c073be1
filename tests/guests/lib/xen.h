/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For guests that run on Xen's interface, as a PVH domain: hypercalls and the shared page. Numbers
 * and layouts are those of Xen's public headers, for 64-bit guests.
 */
#ifndef GUEST_XEN_H
#define GUEST_XEN_H

#include "guest.h"

#define DOMID_SELF 0x7ff0

enum hypercall_number {
	HC_PLATFORM = 7,
	HC_MEMORY = 12,
	HC_MULTICALL = 13,
	HC_SET_TIMER = 15,
	HC_VERSION = 17,
	HC_CONSOLE = 18,
	HC_GRANT = 20,
	HC_VM_ASSIST = 21,
	HC_VCPU = 24,
	HC_SCHED = 29,
	HC_EVENT = 32,
	HC_PHYSDEV = 33,
	HC_HVM = 34,
	HC_SYSCTL = 35,
	HC_DOMCTL = 36,
	HC_NOBODYS = 46
};

static inline u64 hypercall(u64 number, u64 a, u64 b, u64 c)
{
	register u64 r10 __asm__("r10") = 0;

	__asm__ volatile("vmmcall"
			 : "+a"(number), "+D"(a), "+S"(b), "+d"(c), "+r"(r10)
			 :
			 : "memory", "r8");
	return number;
}

/* For what must work: without it the rest means nothing. */
void xen_must(const char *what, u64 result);

struct xen_vcpu_info {
	u8 upcall_pending, upcall_mask;
	u64 pending_sel;
	u64 other[6];
};

struct xen_shared_info {
	struct xen_vcpu_info vcpu[32];
	u64 pending[64];
	u64 mask[64];
};

/*
 * For guests without upcalls: all ports of the first word are masked, and awaited by polling. The
 * page is one of the guest's, for the hypervisor's.
 */
void xen_events_begin(volatile struct xen_shared_info *shared);
/* Sleeps until the port is pending, and takes it. */
void xen_event_wait(volatile struct xen_shared_info *shared, u32 port);

/* memory_op's numbers of what can be mapped */
#define XEN_SHARED_INFO 0
#define XEN_GRANT_TABLE 1

/* Puts a page of the hypervisor's in the place of one of the guest's. */
void xen_map(void *page, u32 space);

struct xen_reservation {
	u64 frames, count;
	u32 order, flags;
	u16 domid;
};

#define XEN_DECREASE 1
#define XEN_POPULATE 6

#endif
