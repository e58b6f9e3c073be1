// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hypercall event_channel_op: binding, closing, sending. The ports themselves are event.c's.
 *
 * A pair of ports is bound and closed with both domains' locks, in the order of their addresses.
 * Sending takes one after the other: the sender's to find the other end, and holds the other domain
 * meanwhile; the other end is looked at again under its own lock.
 */
#include "call.h"
#include "event.h"

/* ---- two domains' locks ---- */

static u64 lock_two(struct bvx_domain *a, struct bvx_domain *b)
{
	struct bvx_domain *first = a < b ? a : b, *second = a < b ? b : a;
	u64 flags = bv_host_spin_lock_irq(&first->events->lock);

	if (first != second)
		bv_host_spin_lock(&second->events->lock);
	return flags;
}

static void unlock_two(struct bvx_domain *a, struct bvx_domain *b, u64 flags)
{
	struct bvx_domain *first = a < b ? a : b, *second = a < b ? b : a;

	if (first != second)
		bv_host_spin_unlock(&second->events->lock);
	bv_host_spin_unlock_irq(&first->events->lock, flags);
}

/* ---- taking ports ---- */

/* Room for more ports, so that taking one allocates nothing. -XEN_ENOMEM. sleep. */
static int ports_prepare(struct bvx_domain *domain, u32 port)
{
	struct bvx_port **bucket = &domain->events->bucket[port / BVX_PORTS_A_BUCKET];
	struct bvx_port *fresh, *none = NULL;

	if (__atomic_load_n(bucket, __ATOMIC_ACQUIRE))
		return 0;
	fresh = bv_host_alloc(BVX_PORTS_A_BUCKET * sizeof(*fresh));
	if (!fresh)
		return -XEN_ENOMEM;
	for (u32 i = 0; i < BVX_PORTS_A_BUCKET; i++)
		fresh[i].priority = fresh[i].queued_priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
	if (!__atomic_compare_exchange_n(bucket, &none, fresh, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		bv_host_free(fresh);
	return 0;
}

static u32 port_limit(const struct bvx_domain *domain)
{
	u32 most = domain->events->fifo ? BVX_FIFO_PORTS : bvx_layout(domain)->ports;

	return domain->events->limit < most ? domain->events->limit : most;
}

/*
 * The lowest free port, 0: a bucket is missing (*missing says where), ~0: none left. Port 0 is
 * nobody's. Locked.
 */
static u32 port_free(struct bvx_domain *domain, u32 *missing)
{
	u32 limit = port_limit(domain);

	for (u32 port = 1; port < limit; port++) {
		const struct bvx_port *at = bvx_port_at(domain, port);

		if (!at) {
			*missing = port;
			return 0;
		}
		if (at->state == EVTCHNSTAT_closed)
			return port;
	}
	return ~0u;
}

/*
 * Takes a port with the domain's lock held; *flags are those of the lock. On an error the lock is
 * not held. -XEN_ENOSPC, -XEN_ENOMEM, -XEN_EINVAL (it is ending). sleep.
 */
static int port_take(struct bvx_domain *domain, u8 state, u32 *port, u64 *flags)
{
	for (;;) {
		u32 missing = 0;

		*flags = bv_host_spin_lock_irq(&domain->events->lock);
		*port = domain->events->closed ? ~0u : port_free(domain, &missing);
		if (*port && *port != ~0u) {
			struct bvx_port *at = bvx_port_at(domain, *port);

			at->state = state;
			at->vcpu = 0;
			at->remote = NULL;
			domain->events->used++;
			return 0;
		}
		bv_host_spin_unlock_irq(&domain->events->lock, *flags);
		if (*port)
			return bvx_refuse(domain, XEN_ENOSPC, "event channels: all %u ports used",
					  port_limit(domain));
		if (ports_prepare(domain, missing))
			return -XEN_ENOMEM;
	}
}

static void port_put(struct bvx_domain *domain, u32 port)
{
	struct bvx_port *at = bvx_port_at(domain, port);

	bvx_port_clear(domain, port);
	at->state = EVTCHNSTAT_closed;
	at->vcpu = 0;
	at->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
	at->pending_unseen = false;
	at->remote = NULL;
	domain->events->used--;
}

static struct bvx_port *port_used(struct bvx_domain *domain, u32 port)
{
	struct bvx_port *at = bvx_port_at(domain, port);

	return at && at->state != EVTCHNSTAT_closed ? at : NULL;
}

/* ---- binding ---- */

static long alloc_unbound(struct bvx_call *call)
{
	struct evtchn_alloc_unbound *op = call->data;
	struct bvx_domain *domain;
	u32 port;
	u64 flags;
	int error;

	domain = bvx_domain_named(call->vcpu, op->dom, &error);
	if (!domain)
		return error;
	error = port_take(domain, EVTCHNSTAT_unbound, &port, &flags);
	if (!error) {
		bvx_port_at(domain, port)->virq =
			op->remote_dom == DOMID_SELF ? (u16)call->domain->id : op->remote_dom;
		bv_host_spin_unlock_irq(&domain->events->lock, flags);
		op->port = port;
	}
	bvx_domain_put(domain);
	return error;
}

static int bind_locked(struct bvx_domain *local, u32 port, struct bvx_domain *remote,
		       u32 remote_port)
{
	struct bvx_port *here = port_used(local, port), *there = port_used(remote, remote_port);

	if (!here || here->state != EVTCHNSTAT_unbound || local->events->closed)
		return -XEN_EINVAL;
	if (!there || there->state != EVTCHNSTAT_unbound || there->virq != local->id ||
	    there == here || remote->events->closed)
		return -XEN_EINVAL;
	here->state = there->state = EVTCHNSTAT_interdomain;
	here->remote = remote;
	here->remote_port = remote_port;
	there->remote = local;
	there->remote_port = port;
	/* Something may have been sent before there was anybody to send it to. */
	bvx_port_set_pending(local, port);
	return 0;
}

static int bind_pair(struct bvx_domain *local, struct bvx_domain *remote,
		     struct evtchn_bind_interdomain *op)
{
	u32 port;
	u64 flags;
	int error = port_take(local, EVTCHNSTAT_unbound, &port, &flags);

	if (error)
		return error;
	/* Unbound for nobody, until both locks are held. */
	bvx_port_at(local, port)->virq = DOMID_INVALID;
	bv_host_spin_unlock_irq(&local->events->lock, flags);
	flags = lock_two(local, remote);
	error = bind_locked(local, port, remote, op->remote_port);
	if (error && port_used(local, port))
		port_put(local, port);
	unlock_two(local, remote, flags);
	op->local_port = port;
	if (error)
		return bvx_refuse(local, -error,
				  "bind_interdomain: port %u of d%u does not wait for it",
				  op->remote_port, remote->id);
	return 0;
}

static long bind_interdomain(struct bvx_call *call)
{
	struct evtchn_bind_interdomain *op = call->data;
	u32 id = op->remote_dom == DOMID_SELF ? call->domain->id : op->remote_dom;
	struct bvx_domain *remote = bvx_domain_get(id);
	int error;

	if (!remote)
		return bvx_call_refuse(call, XEN_ESRCH, "there is no domain %u", id);
	error = bind_pair(call->domain, remote, op);
	bvx_domain_put(remote);
	return error;
}

static bool virq_is_of_vcpu(u32 virq)
{
	return virq == VIRQ_TIMER || virq == VIRQ_DEBUG || virq == VIRQ_XENOPROF ||
	       virq == VIRQ_XENPMU;
}

static int vcpu_check(struct bvx_call *call, u32 index)
{
	if (index >= call->domain->max_vcpus || !call->domain->vcpu[index])
		return bvx_call_refuse(call, XEN_ENOENT, "no vCPU %u", index);
	return 0;
}

static long bind_virq(struct bvx_call *call)
{
	struct evtchn_bind_virq *op = call->data;
	struct bvx_vcpu *vcpu;
	u32 port;
	u64 flags;
	int error;

	if (op->virq >= NR_VIRQS)
		return bvx_call_refuse(call, XEN_EINVAL, "VIRQ %u: the highest is %u", op->virq,
				       NR_VIRQS - 1);
	if (!virq_is_of_vcpu(op->virq) && op->vcpu)
		return bvx_call_refuse(call, XEN_EINVAL, "VIRQ %u goes to vCPU 0 only", op->virq);
	error = vcpu_check(call, op->vcpu);
	if (!error)
		error = port_take(call->domain, EVTCHNSTAT_virq, &port, &flags);
	if (error)
		return error;
	vcpu = call->domain->vcpu[op->vcpu];
	if (vcpu->virq_port[op->virq]) {
		port_put(call->domain, port);
		error = -XEN_EEXIST;
	} else {
		vcpu->virq_port[op->virq] = port;
		bvx_port_at(call->domain, port)->virq = (u16)op->virq;
		bvx_port_at(call->domain, port)->vcpu = (u8)op->vcpu;
		op->port = port;
	}
	bv_host_spin_unlock_irq(&call->domain->events->lock, flags);
	return error;
}

static long bind_ipi(struct bvx_call *call)
{
	struct evtchn_bind_ipi *op = call->data;
	u32 port;
	u64 flags;
	int error = vcpu_check(call, op->vcpu);

	if (!error)
		error = port_take(call->domain, EVTCHNSTAT_ipi, &port, &flags);
	if (error)
		return error;
	bvx_port_at(call->domain, port)->vcpu = (u8)op->vcpu;
	op->port = port;
	bv_host_spin_unlock_irq(&call->domain->events->lock, flags);
	return 0;
}

static long bind_pirq(struct bvx_call *call)
{
	return bvx_call_refuse(call, XEN_EINVAL, "this guest has no physical interrupts as events");
}

/* Where its state allows, the port notifies another vCPU from now on. Locked. */
static int port_bind_vcpu(struct bvx_port *at, u32 vcpu)
{
	switch (at ? at->state : EVTCHNSTAT_closed) {
	case EVTCHNSTAT_virq:
		if (virq_is_of_vcpu(at->virq))
			return -XEN_EINVAL;
		bv_fallthrough;
	case EVTCHNSTAT_unbound:
	case EVTCHNSTAT_interdomain:
		at->vcpu = (u8)vcpu;
		return 0;
	default:
		return -XEN_EINVAL;
	}
}

static long bind_vcpu(struct bvx_call *call)
{
	const struct evtchn_bind_vcpu *op = call->data;
	int error = vcpu_check(call, op->vcpu);
	u64 flags;

	if (error)
		return error;
	flags = bv_host_spin_lock_irq(&call->domain->events->lock);
	error = port_bind_vcpu(port_used(call->domain, op->port), op->vcpu);
	bv_host_spin_unlock_irq(&call->domain->events->lock, flags);
	return error;
}

/* ---- closing ---- */

static void virq_unbind(struct bvx_domain *domain, u32 port)
{
	for (u32 i = 0; i < domain->max_vcpus; i++)
		for (u32 virq = 0; domain->vcpu[i] && virq < NR_VIRQS; virq++)
			if (domain->vcpu[i]->virq_port[virq] == port)
				domain->vcpu[i]->virq_port[virq] = 0;
}

/* Both locks are held, or there is no remote. */
static void close_locked(struct bvx_domain *domain, u32 port)
{
	struct bvx_port *at = bvx_port_at(domain, port), *there;

	if (at->state == EVTCHNSTAT_virq)
		virq_unbind(domain, port);
	if (at->state == EVTCHNSTAT_interdomain) {
		there = bvx_port_at(at->remote, at->remote_port);
		there->state = EVTCHNSTAT_unbound;
		there->virq = (u16)domain->id;
		there->remote = NULL;
	}
	port_put(domain, port);
}

/* The other end may change until both locks are held: then it is looked for again. */
static int port_close(struct bvx_domain *domain, u32 port)
{
	for (;;) {
		struct bvx_domain *remote = NULL;
		u64 flags = bv_host_spin_lock_irq(&domain->events->lock);
		struct bvx_port *at = port_used(domain, port);
		bool same;

		if (at && at->remote) {
			remote = at->remote;
			bvx_domain_hold(remote);
		} else if (at) {
			close_locked(domain, port);
		}
		bv_host_spin_unlock_irq(&domain->events->lock, flags);
		if (!remote)
			return at ? 0 : -XEN_EINVAL;
		flags = lock_two(domain, remote);
		same = at->remote == remote;
		if (same)
			close_locked(domain, port);
		unlock_two(domain, remote, flags);
		bvx_domain_put(remote);
		if (same)
			return 0;
	}
}

static long close_port(struct bvx_call *call)
{
	const struct evtchn_close *op = call->data;
	int error = port_close(call->domain, op->port);

	return error ? bvx_call_refuse(call, -error, "port %u is not open", op->port) : 0;
}

void bvx_ports_reset(struct bvx_domain *domain)
{
	for (u32 bucket = 0; bucket < BVX_BUCKETS; bucket++) {
		u32 first = bucket * BVX_PORTS_A_BUCKET;

		if (!domain->events->bucket[bucket])
			continue;
		for (u32 port = first; port < first + BVX_PORTS_A_BUCKET; port++)
			if (port_used(domain, port))
				port_close(domain, port);
	}
}

static long reset(struct bvx_call *call)
{
	const struct evtchn_reset *op = call->data;
	struct bvx_domain *domain;
	int error;

	if (call->vcpu->in_exit)
		return BVX_LATER;
	domain = bvx_domain_named(call->vcpu, op->dom, &error);
	if (!domain)
		return error;
	bvx_ports_reset(domain);
	bvx_fifo_free(domain);
	bvx_domain_put(domain);
	return 0;
}

/* ---- sending ---- */

static void send_remote(struct bvx_domain *local, u32 port, struct bvx_domain *remote,
			u32 remote_port)
{
	u64 flags = bv_host_spin_lock_irq(&remote->events->lock);
	const struct bvx_port *there = bvx_port_at(remote, remote_port);

	if (there && there->remote == local && there->remote_port == port)
		bvx_port_set_pending(remote, remote_port);
	bv_host_spin_unlock_irq(&remote->events->lock, flags);
}

int bvx_event_send(struct bvx_domain *domain, u32 port)
{
	u64 flags = bv_host_spin_lock_irq(&domain->events->lock);
	struct bvx_port *at = port_used(domain, port);
	struct bvx_domain *remote = NULL;
	u32 remote_port = 0;
	int error = 0;

	if (!at || at->state == EVTCHNSTAT_virq || at->state == EVTCHNSTAT_pirq) {
		error = -XEN_EINVAL;
	} else if (at->state == EVTCHNSTAT_ipi) {
		bvx_port_set_pending(domain, port);
	} else if (at->remote == domain) {
		bvx_port_set_pending(domain, at->remote_port);
	} else if (at->remote) {
		remote = at->remote;
		remote_port = at->remote_port;
		bvx_domain_hold(remote);
	}
	bv_host_spin_unlock_irq(&domain->events->lock, flags);
	if (!remote)
		return error;
	send_remote(domain, port, remote, remote_port);
	bvx_domain_put(remote);
	return 0;
}

static long send(struct bvx_call *call)
{
	const struct evtchn_send *op = call->data;
	int error = bvx_event_send(call->domain, op->port);

	return error ? bvx_call_refuse(call, -error, "port %u cannot be sent to", op->port) : 0;
}

static long unmask(struct bvx_call *call)
{
	const struct evtchn_unmask *op = call->data;
	u64 flags = bv_host_spin_lock_irq(&call->domain->events->lock);
	bool known = port_used(call->domain, op->port);

	if (known)
		bvx_port_unmask(call->domain, op->port);
	bv_host_spin_unlock_irq(&call->domain->events->lock, flags);
	return known ? 0 : -XEN_EINVAL;
}

/* ---- asking ---- */

static void status_fill(const struct bvx_port *at, struct evtchn_status *op)
{
	op->status = at->state;
	op->vcpu = at->vcpu;
	if (at->state == EVTCHNSTAT_unbound)
		op->u.unbound.dom = at->virq;
	if (at->state == EVTCHNSTAT_virq)
		op->u.virq = at->virq;
	if (at->state == EVTCHNSTAT_interdomain) {
		op->u.interdomain.dom = (domid_t)at->remote->id;
		op->u.interdomain.port = at->remote_port;
	}
}

static long status(struct bvx_call *call)
{
	struct evtchn_status *op = call->data;
	const struct bvx_port *at;
	struct bvx_domain *domain;
	u64 flags;
	int error;

	domain = bvx_domain_named(call->vcpu, op->dom, &error);
	if (!domain)
		return error;
	flags = bv_host_spin_lock_irq(&domain->events->lock);
	at = bvx_port_at(domain, op->port);
	if (at)
		status_fill(at, op);
	else if (op->port < port_limit(domain))
		op->status = EVTCHNSTAT_closed;
	else
		error = -XEN_EINVAL;
	bv_host_spin_unlock_irq(&domain->events->lock, flags);
	bvx_domain_put(domain);
	return error;
}

/* ---- FIFO ---- */

static long init_control(struct bvx_call *call)
{
	return bvx_fifo_init_control(call->vcpu, call->data);
}

static long expand_array(struct bvx_call *call)
{
	const struct evtchn_expand_array *op = call->data;

	return bvx_fifo_expand(call->domain, op->array_gfn);
}

static long set_priority(struct bvx_call *call)
{
	const struct evtchn_set_priority *op = call->data;
	u64 flags = bv_host_spin_lock_irq(&call->domain->events->lock);
	struct bvx_port *at = port_used(call->domain, op->port);
	int error = 0;

	if (!call->domain->events->fifo)
		error = -XEN_ENOSYS;
	else if (!at || op->priority > EVTCHN_FIFO_PRIORITY_MIN)
		error = -XEN_EINVAL;
	else
		at->priority = (u8)op->priority;
	bv_host_spin_unlock_irq(&call->domain->events->lock, flags);
	return error;
}

static const struct bvx_op ops[] = {
	BVX_OP(EVTCHNOP_bind_interdomain, struct evtchn_bind_interdomain, BVX_IN | BVX_OUT,
	       bind_interdomain),
	BVX_OP(EVTCHNOP_bind_virq, struct evtchn_bind_virq, BVX_IN | BVX_OUT, bind_virq),
	BVX_OP(EVTCHNOP_bind_pirq, struct evtchn_bind_pirq, BVX_IN | BVX_OUT, bind_pirq),
	BVX_OP(EVTCHNOP_close, struct evtchn_close, BVX_IN, close_port),
	BVX_OP(EVTCHNOP_send, struct evtchn_send, BVX_IN, send),
	BVX_OP(EVTCHNOP_status, struct evtchn_status, BVX_IN | BVX_OUT, status),
	BVX_OP(EVTCHNOP_alloc_unbound, struct evtchn_alloc_unbound, BVX_IN | BVX_OUT,
	       alloc_unbound),
	BVX_OP(EVTCHNOP_bind_ipi, struct evtchn_bind_ipi, BVX_IN | BVX_OUT, bind_ipi),
	BVX_OP(EVTCHNOP_bind_vcpu, struct evtchn_bind_vcpu, BVX_IN, bind_vcpu),
	BVX_OP(EVTCHNOP_unmask, struct evtchn_unmask, BVX_IN, unmask),
	BVX_OP(EVTCHNOP_reset, struct evtchn_reset, BVX_IN, reset),
	BVX_OP(EVTCHNOP_init_control, struct evtchn_init_control, BVX_IN | BVX_OUT, init_control),
	BVX_OP(EVTCHNOP_expand_array, struct evtchn_expand_array, BVX_IN, expand_array),
	BVX_OP(EVTCHNOP_set_priority, struct evtchn_set_priority, BVX_IN, set_priority),
};

/* args: subop, argument */
long bvx_event_channel_op(struct bvx_call *call)
{
	return bvx_subop(call, ops, BV_ARRAY_SIZE(ops), call->args[0], call->args[1]);
}
