// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The FIFO event ABI. Called by event.c and evtchn_op.c, with the domain's event lock.
 *
 * Theory. A port has a word in an array of pages that the guest gives: bits PENDING, MASKED, LINKED
 * and the number of the next port in its queue. Each vCPU has 16 queues, one a priority; a control
 * block in guest memory has their heads and a word of which are not empty. We put ports in at the
 * tail, the guest takes them out at the head. Only we know the tail.
 *
 * A port is in a queue while LINKED is set: the guest clears it as it takes the port out, together
 * with the link. A tail that is no more linked when we want to append was taken out: then the queue
 * is empty, and the new port is its head. A guest that spoils its words loses its own events: all
 * numbers that we follow are our own.
 */
#include "event.h"

#define PENDING (1u << EVTCHN_FIFO_PENDING)
#define MASKED (1u << EVTCHN_FIFO_MASKED)
#define LINKED (1u << EVTCHN_FIFO_LINKED)

event_word_t *bvx_fifo_word(struct bvx_domain *domain, u32 port)
{
	const struct bvx_fifo *fifo = domain->events->fifo;
	u32 page = port / BVX_FIFO_WORDS;

	if (!fifo || page >= fifo->pages)
		return NULL;
	return (event_word_t *)fifo->array[page].va + port % BVX_FIFO_WORDS;
}

bool bvx_fifo_pending_set(struct bvx_domain *domain, struct bvx_port *at, u32 port)
{
	event_word_t *word = bvx_fifo_word(domain, port);

	if (!word) {
		at->pending_unseen = true;
		return true;
	}
	return __atomic_fetch_or(word, PENDING, __ATOMIC_SEQ_CST) & PENDING;
}

/* Marks it linked, at the end of a queue; false: it is linked already, or masked. */
static bool word_link(event_word_t *word)
{
	event_word_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST);

	do {
		if (old & (MASKED | LINKED))
			return false;
	} while (!__atomic_compare_exchange_n(word, &old,
					      (old & ~(event_word_t)EVTCHN_FIFO_LINK_MASK) | LINKED,
					      true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return true;
}

/* Lets the tail point to the new port; false: the tail was taken out. */
static bool tail_append(event_word_t *tail, u32 port)
{
	event_word_t old = __atomic_load_n(tail, __ATOMIC_SEQ_CST);

	do {
		if (!(old & LINKED))
			return false;
	} while (!__atomic_compare_exchange_n(tail, &old,
					      (old & ~(event_word_t)EVTCHN_FIFO_LINK_MASK) | port,
					      true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return true;
}

/* The tail of a queue that the port was last in and has left is no tail any more. */
static void forget_old_tail(struct bvx_fifo *fifo, const struct bvx_port *at, u32 port)
{
	u32 *tail = &fifo->vcpu[at->queued_vcpu].tail[at->queued_priority];

	if (*tail == port)
		*tail = 0;
}

void bvx_fifo_queue(struct bvx_domain *domain, struct bvx_port *at, u32 port)
{
	struct bvx_fifo *fifo = domain->events->fifo;
	struct bvx_fifo_vcpu *queues = &fifo->vcpu[at->vcpu];
	event_word_t *word = bvx_fifo_word(domain, port), *tail;
	u8 priority = at->priority;

	if (!word || !queues->control || !word_link(word))
		return;
	forget_old_tail(fifo, at, port);
	at->queued_vcpu = at->vcpu;
	at->queued_priority = priority;
	tail = queues->tail[priority] ? bvx_fifo_word(domain, queues->tail[priority]) : NULL;
	queues->tail[priority] = port;
	if (tail && tail_append(tail, port))
		return;
	__atomic_store_n(&queues->control->head[priority], port, __ATOMIC_SEQ_CST);
	if (!(__atomic_fetch_or(&queues->control->ready, 1u << priority, __ATOMIC_SEQ_CST) &
	      1u << priority))
		bvx_vcpu_upcall(domain->vcpu[at->vcpu]);
}

/* ---- setting up ---- */

/* A page that the guest shares for this, held. sleep. */
static int page_hold(struct bvx_domain *domain, u64 gfn, struct bvx_shared *page)
{
	struct bvx_entry entry;
	int error = bvx_p2m_hold(domain, gfn, false, &entry);

	if (error)
		return bvx_refuse(domain, -error, "FIFO events: no memory at gfn %#llx", gfn);
	if (entry.type != BVX_RAM) {
		bvx_frame_release(entry.mfn);
		return bvx_refuse(domain, XEN_EINVAL,
				  "FIFO events: gfn %#llx is not the guest's own", gfn);
	}
	page->mfn = entry.mfn;
	page->va = bvx_host_frame_va(entry.mfn);
	return 0;
}

/* Ports that were used with two levels keep what is pending and masked. Locked. */
static void ports_to_fifo(struct bvx_domain *domain)
{
	for (u32 port = 1; port < bvx_layout(domain)->ports; port++) {
		struct bvx_port *at = bvx_port_at(domain, port);

		if (!at)
			continue;
		at->priority = at->queued_priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
		at->queued_vcpu = at->vcpu;
		if (at->state != EVTCHNSTAT_closed && bvx_port_is_pending(domain, port))
			at->pending_unseen = true;
	}
}

static void control_set(struct bvx_fifo_vcpu *queues, struct bvx_shared *page, u32 offset)
{
	queues->page = *page;
	queues->control = (struct evtchn_fifo_control_block *)(page->va + offset);
	__builtin_memset(queues->tail, 0, sizeof(queues->tail));
}

int bvx_fifo_init_control(struct bvx_vcpu *caller, struct evtchn_init_control *op)
{
	struct bvx_domain *domain = caller->domain;
	struct bvx_events *events = domain->events;
	struct bvx_fifo *fresh;
	struct bvx_shared page;
	int error;
	u64 flags;

	op->link_bits = EVTCHN_FIFO_LINK_BITS;
	if (op->vcpu >= domain->max_vcpus || !domain->vcpu[op->vcpu])
		return -XEN_ENOENT;
	if (op->offset > BV_PAGE_SIZE - sizeof(struct evtchn_fifo_control_block) || op->offset & 7)
		return bvx_refuse(domain, XEN_EINVAL, "FIFO control block at %#x of its page",
				  op->offset);
	error = page_hold(domain, op->control_gfn, &page);
	if (error)
		return error;
	fresh = bv_host_alloc(sizeof(*fresh));
	flags = bv_host_spin_lock_irq(&events->lock);
	if (events->fifo && events->fifo->vcpu[op->vcpu].control)
		error = -XEN_EINVAL;
	else if ((!fresh && !events->fifo) || events->closed)
		error = -XEN_ENOMEM;
	if (!error && !events->fifo) {
		events->fifo = fresh;
		fresh = NULL;
		ports_to_fifo(domain);
	}
	if (!error)
		control_set(&events->fifo->vcpu[op->vcpu], &page, op->offset);
	bv_host_spin_unlock_irq(&events->lock, flags);
	bv_host_free(fresh);
	if (error)
		bvx_frame_release(page.mfn);
	return error;
}

/* What was pending before the guest gave words for these ports shows now. */
static void show_pending(struct bvx_domain *domain, u32 first)
{
	for (u32 port = first; port < first + BVX_FIFO_WORDS; port++) {
		struct bvx_port *at = bvx_port_at(domain, port);

		if (!at || !at->pending_unseen)
			continue;
		at->pending_unseen = false;
		if (at->state != EVTCHNSTAT_closed)
			bvx_port_set_pending(domain, port);
	}
}

int bvx_fifo_expand(struct bvx_domain *domain, u64 gfn)
{
	struct bvx_events *events = domain->events;
	struct bvx_shared page;
	int error = page_hold(domain, gfn, &page);
	u64 flags;

	if (error)
		return error;
	flags = bv_host_spin_lock_irq(&events->lock);
	if (!events->fifo)
		error = -XEN_ENOSYS;
	else if (events->fifo->pages >= BVX_FIFO_PAGES)
		error = -XEN_ENOSPC;
	else if (events->closed)
		error = -XEN_EINVAL;
	if (!error) {
		/* As the ABI has it: all masked, nothing pending. */
		for (u32 i = 0; i < BVX_FIFO_WORDS; i++)
			((event_word_t *)page.va)[i] = MASKED;
		events->fifo->array[events->fifo->pages++] = page;
		show_pending(domain, (events->fifo->pages - 1) * BVX_FIFO_WORDS);
	}
	bv_host_spin_unlock_irq(&events->lock, flags);
	if (error)
		bvx_frame_release(page.mfn);
	return error;
}

void bvx_fifo_free(struct bvx_domain *domain)
{
	u64 flags = bv_host_spin_lock_irq(&domain->events->lock);
	struct bvx_fifo *fifo = domain->events->fifo;

	domain->events->fifo = NULL;
	bv_host_spin_unlock_irq(&domain->events->lock, flags);
	if (!fifo)
		return;
	for (u32 i = 0; i < fifo->pages; i++)
		bvx_frame_release(fifo->array[i].mfn);
	for (u32 i = 0; i < BVX_MAX_VCPUS; i++)
		if (fifo->vcpu[i].control)
			bvx_frame_release(fifo->vcpu[i].page.mfn);
	bv_host_free(fifo);
}
