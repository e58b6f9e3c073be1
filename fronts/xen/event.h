/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event channels: a domain's ports and how they reach it. event.c has the ports and what sets them
 * pending, evtchn_op.c the hypercalls, fifo.c the FIFO ABI.
 *
 * The lock of a domain's events guards its ports and everything that is shared with the guest for
 * them. Two are taken in the order of their addresses. It is taken with interrupts off, as timers
 * send events.
 */
#ifndef BVX_EVENT_H
#define BVX_EVENT_H

#include "front.h"

#include <xen/event_channel.h>

/*
 * How the shared info is laid out, and the word of a vCPU's info that selects among the pending
 * ones: for guests whose longs are of 64 bits, or of 32 (the public xen.h). Bits are numbered
 * alike.
 */
struct bvx_layout {
	u32 ports; /* with two levels */
	u32 word_bits; /* a bit of the selector is for so many ports */
	u32 selector; /* its offset in a vCPU's info */
	u32 pending, mask, wall, wall_high; /* offsets in the shared info */
};
extern const struct bvx_layout bvx_layouts[2]; /* by domain->narrow */

static inline const struct bvx_layout *bvx_layout(const struct bvx_domain *domain)
{
	return &bvx_layouts[__atomic_load_n(&domain->narrow, __ATOMIC_RELAXED)];
}

#define BVX_FIFO_PORTS ((u32)EVTCHN_FIFO_NR_CHANNELS)
#define BVX_PORTS_A_BUCKET 128u
#define BVX_BUCKETS (BVX_FIFO_PORTS / BVX_PORTS_A_BUCKET)
#define BVX_FIFO_WORDS ((u32)(BV_PAGE_SIZE / sizeof(event_word_t)))
#define BVX_FIFO_PAGES (BVX_FIFO_PORTS / BVX_FIFO_WORDS)

struct bvx_port {
	u8 state; /* EVTCHNSTAT_* */
	u8 priority, queued_priority;
	u8 vcpu, queued_vcpu; /* whom it notifies; on whose queue it was put last */
	bool pending_unseen; /* FIFO: pending, but the guest has given no word for it yet */
	u16 virq; /* or the domain that may bind to an unbound one */
	u32 remote_port;
	struct bvx_domain *remote; /* of an interdomain one */
};

/* The FIFO queues of a vCPU. */
struct bvx_fifo_vcpu {
	struct evtchn_fifo_control_block *control; /* in `page`; NULL: not set up */
	struct bvx_shared page;
	u32 tail[EVTCHN_FIFO_MAX_QUEUES];
};

struct bvx_fifo {
	struct bvx_shared array[BVX_FIFO_PAGES];
	u32 pages;
	struct bvx_fifo_vcpu vcpu[BVX_MAX_VCPUS];
};

struct bvx_events {
	struct bv_spinlock lock;
	bool closed; /* the domain is going: nothing is bound any more */
	u32 limit; /* ports that it may have */
	u32 used;
	struct bvx_fifo *fifo; /* NULL: two levels */
	struct bvx_port *bucket[BVX_BUCKETS];
};

int bvx_events_init(struct bvx_domain *domain);
/* Closes all ports; nobody sends any more. sleep. */
void bvx_events_close(struct bvx_domain *domain);
void bvx_events_fini(struct bvx_domain *domain);
void bvx_events_vcpu_init(struct bvx_vcpu *vcpu);
void bvx_events_vcpu_fini(struct bvx_vcpu *vcpu);

/* The port, or NULL: no such number, or never used. Locked. */
struct bvx_port *bvx_port_at(struct bvx_domain *domain, u32 port);
/* Sets a port pending, and tells its vCPU. Locked. any. */
void bvx_port_set_pending(struct bvx_domain *domain, u32 port);
/* The same where it is pending already and was masked. */
void bvx_port_unmask(struct bvx_domain *domain, u32 port);
void bvx_port_clear(struct bvx_domain *domain, u32 port);
bool bvx_port_is_pending(struct bvx_domain *domain, u32 port);
/*
 * The guest is told of pending ports by this word of the vCPU's info: a bit for each of its words.
 */
void bvx_selector_fill(struct bvx_vcpu *vcpu);
/*
 * Which layout it is follows the code that sets events up, as in Xen: 64-bit code, or 32-bit code.
 * any.
 */
void bvx_layout_set(struct bvx_domain *domain, bool narrow);
/* Something is pending for the vCPU. Locked. any. */
void bvx_vcpu_upcall(struct bvx_vcpu *vcpu);
/* The vector of the upcall that is due, -1: none; take: it is being delivered. any. */
int bvx_upcall_vector(struct bvx_vcpu *vcpu, bool take);
/* How it is told has changed: what is pending is told that way. any. */
void bvx_upcall_again(struct bvx_vcpu *vcpu);

/* Sends a VIRQ to a vCPU, to a domain (its vCPU 0), or to whoever handles it. any. */
void bvx_virq_vcpu(struct bvx_vcpu *vcpu, u32 virq);
void bvx_virq_domain(struct bvx_domain *domain, u32 virq);
void bvx_virq_global(u32 virq);

/* evtchn_op.c */
long bvx_event_channel_op(struct bvx_call *call);
/* As the hypercall; also for domctl and the save format. */
int bvx_event_send(struct bvx_domain *domain, u32 port);
void bvx_ports_reset(struct bvx_domain *domain);

/* fifo.c. Locked but where they say sleep. */
bool bvx_fifo_pending_set(struct bvx_domain *domain, struct bvx_port *at, u32 port);
void bvx_fifo_queue(struct bvx_domain *domain, struct bvx_port *at, u32 port);
event_word_t *bvx_fifo_word(struct bvx_domain *domain, u32 port);
int bvx_fifo_init_control(struct bvx_vcpu *caller, struct evtchn_init_control *op); /* sleep */
int bvx_fifo_expand(struct bvx_domain *domain, u64 gfn); /* sleep */
void bvx_fifo_free(struct bvx_domain *domain); /* sleep; not locked */

#endif
