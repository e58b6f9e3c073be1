// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hypercall sched_op: yield, block, poll, shutdown, watchdogs. What decides who runs is the
 * host's scheduler.
 */
#include "call.h"
#include "event.h"

#define WATCHDOGS 2
#define SECOND 1000000000ULL

struct bvx_watchdog {
	struct bv_timer timer;
	struct bvx_domain *domain;
	bool used;
};

static long yield(struct bvx_call *call)
{
	if (call->vcpu->in_exit && bvx_host_is_waited_for())
		return BVX_LATER;
	if (!call->vcpu->in_exit)
		bvx_host_give_way();
	return 0;
}

/* ---- poll ---- */

#define POLL_PORTS 128

static bool poll_over(void *arg)
{
	const struct bvx_vcpu *vcpu = arg;

	return !__atomic_load_n(&vcpu->polling, __ATOMIC_SEQ_CST) || !bvx_vcpu_may_run(vcpu) ||
	       __atomic_load_n(&vcpu->ended, __ATOMIC_SEQ_CST);
}

/* 1: one of the ports is pending already. */
static int poll_look(struct bvx_call *call, const struct sched_poll *op)
{
	u64 at = (u64)(unsigned long)op->ports.p;

	for (u32 i = 0; i < op->nr_ports; i++) {
		evtchn_port_t port;
		bool pending;
		u64 flags;

		if (bvx_copy_in(call->vcpu, &port, at + i * sizeof(port), sizeof(port)))
			return -XEN_EFAULT;
		flags = bv_host_spin_lock_irq(&call->domain->events->lock);
		if (!bvx_port_at(call->domain, port)) {
			bv_host_spin_unlock_irq(&call->domain->events->lock, flags);
			return bvx_call_refuse(call, XEN_EINVAL, "port %u", port);
		}
		pending = bvx_port_is_pending(call->domain, port);
		bv_host_spin_unlock_irq(&call->domain->events->lock, flags);
		if (pending)
			return 1;
		call->vcpu->poll_port = op->nr_ports == 1 ? port : ~0u;
	}
	return 0;
}

static long poll(struct bvx_call *call)
{
	const struct sched_poll op = *(struct sched_poll *)call->data;
	struct bvx_vcpu *vcpu = call->vcpu;
	int found;

	if (op.nr_ports > POLL_PORTS)
		return bvx_call_refuse(call, XEN_EINVAL, "%u ports, at most %u", op.nr_ports,
				       POLL_PORTS);
	if (vcpu->in_exit)
		return BVX_LATER;
	vcpu->poll_port = 0;
	/* Said before looking, so that who sets a port pending meanwhile ends the poll. */
	if (op.nr_ports > 1)
		vcpu->poll_port = ~0u;
	if (op.nr_ports == 1 &&
	    bvx_copy_in(vcpu, &vcpu->poll_port, (u64)(unsigned long)op.ports.p, 4))
		return -XEN_EFAULT;
	__atomic_store_n(&vcpu->polling, true, __ATOMIC_SEQ_CST);
	found = poll_look(call, &op);
	if (!found && !BV_READ_ONCE(vcpu->info->evtchn_upcall_pending)) {
		if (op.timeout)
			bv_host_timer_set(&vcpu->poll.timer, op.timeout);
		bvx_host_wait(&vcpu->queue, poll_over, vcpu);
		if (op.timeout)
			bv_host_timer_cancel(&vcpu->poll.timer);
	}
	__atomic_store_n(&vcpu->polling, false, __ATOMIC_SEQ_CST);
	return found < 0 ? found : 0;
}

/* ---- shutdown ---- */

static long shutdown(struct bvx_call *call)
{
	const struct sched_shutdown *op = call->data;
	u32 reason = op->reason;

	if (reason > SHUTDOWN_MAX)
		return bvx_call_refuse(call, XEN_EINVAL, "reason %u", reason);
	if (call->vcpu->in_exit)
		return BVX_LATER;
	bvx_domain_shutdown(call->domain, reason);
	return 0;
}

static long shutdown_code(struct bvx_call *call)
{
	const struct sched_shutdown *op = call->data;

	if (op->reason > SHUTDOWN_MAX)
		return bvx_call_refuse(call, XEN_EINVAL, "reason %u", op->reason);
	__atomic_store_n(&call->domain->shutdown_code, op->reason, __ATOMIC_RELEASE);
	return 0;
}

static long remote_shutdown(struct bvx_call *call)
{
	const struct sched_remote_shutdown *op = call->data;
	u32 reason = op->reason;
	struct bvx_domain *domain;
	int error;

	if (call->vcpu->in_exit)
		return BVX_LATER;
	domain = bvx_domain_named(call->vcpu, op->domain_id, &error);
	if (!domain)
		return error;
	if (reason > SHUTDOWN_MAX)
		error = bvx_call_refuse(call, XEN_EINVAL, "reason %u", reason);
	else
		bvx_domain_shutdown(domain, reason);
	bvx_domain_put(domain);
	return error;
}

/* ---- watchdogs ---- */

static void watchdog_fire(struct bv_timer *timer)
{
	struct bvx_watchdog *dog = BV_CONTAINER(timer, struct bvx_watchdog, timer);

	bvx_note("d%u: its watchdog was not fed", dog->domain->id);
	bvx_domain_shutdown(dog->domain, SHUTDOWN_watchdog);
}

static struct bvx_watchdog *watchdogs(struct bvx_domain *domain)
{
	struct bvx_watchdog *none = NULL, *fresh;

	if (__atomic_load_n(&domain->watchdogs, __ATOMIC_ACQUIRE))
		return domain->watchdogs;
	fresh = bv_host_alloc(WATCHDOGS * sizeof(*fresh));
	if (!fresh)
		return NULL;
	for (u32 i = 0; i < WATCHDOGS; i++) {
		fresh[i].domain = domain;
		bv_host_timer_init(&fresh[i].timer, watchdog_fire);
	}
	if (!__atomic_compare_exchange_n(&domain->watchdogs, &none, fresh, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		bv_host_free(fresh);
	return domain->watchdogs;
}

void bvx_watchdogs_fini(struct bvx_domain *domain)
{
	for (u32 i = 0; domain->watchdogs && i < WATCHDOGS; i++)
		bv_host_timer_cancel(&domain->watchdogs[i].timer);
	bv_host_free(domain->watchdogs);
	domain->watchdogs = NULL;
}

/* id 0 asks for a new one, and returns its number; timeout 0 ends one. */
static long watchdog(struct bvx_call *call)
{
	const struct sched_watchdog *op = call->data;
	struct bvx_watchdog *dogs;
	u32 id = op->id;

	if (id > WATCHDOGS || (!id && !op->timeout))
		return bvx_call_refuse(call, XEN_EINVAL, "id %u, timeout %u", id, op->timeout);
	dogs = watchdogs(call->domain);
	if (!dogs)
		return -XEN_ENOMEM;
	while (!op->id && id < WATCHDOGS &&
	       __atomic_exchange_n(&dogs[id].used, true, __ATOMIC_SEQ_CST))
		id++;
	if (!op->id && id == WATCHDOGS)
		return bvx_call_refuse(call, XEN_ENOSPC, "all %u are used", WATCHDOGS);
	id = op->id ? op->id : id + 1;
	if (!dogs[id - 1].used)
		return bvx_call_refuse(call, XEN_EEXIST, "there is no watchdog %u", id);
	if (op->timeout) {
		bv_host_timer_set(&dogs[id - 1].timer, bv_host_ns() + op->timeout * SECOND);
	} else {
		bv_host_timer_cancel(&dogs[id - 1].timer);
		dogs[id - 1].used = false;
	}
	return op->id ? 0 : id;
}

/* Only Dom0, and never for long: for firmware that must run on one CPU. */
static long pin_override(struct bvx_call *call)
{
	const struct sched_pin_override *op = call->data;
	struct bvx_host_machine machine;
	struct bvx_cpumask mask = { 0 };

	bvx_host_machine(&machine);
	if (op->pcpu >= (s32)machine.max_cpu)
		return bvx_call_refuse(call, XEN_EINVAL, "CPU %d", op->pcpu);
	if (call->vcpu->in_exit)
		return BVX_LATER;
	if (op->pcpu >= 0)
		mask.bits[op->pcpu / 64] = BV_BIT(op->pcpu % 64);
	bvx_host_vcpu_affinity(call->vcpu->host, op->pcpu >= 0 ? &mask : &call->vcpu->hard,
			       &call->vcpu->soft);
	return 0;
}

/*
 * Where a translated guest waits, it executes HLT: block is a PV guest's, and answers as to one
 * that has nothing to wait for.
 */
static long block(struct bvx_call *call)
{
	(void)call;
	return 0;
}

static const struct bvx_op ops[] = {
	BVX_OP_PLAIN(SCHEDOP_yield, 0, yield),
	BVX_OP_PLAIN(SCHEDOP_block, 0, block),
	BVX_OP(SCHEDOP_shutdown, struct sched_shutdown, BVX_IN, shutdown),
	BVX_OP_NARROW(SCHEDOP_poll, struct sched_poll, BVX_IN, poll, "p48"),
	BVX_OP(SCHEDOP_remote_shutdown, struct sched_remote_shutdown, BVX_IN | BVX_PRIVILEGED,
	       remote_shutdown),
	BVX_OP(SCHEDOP_shutdown_code, struct sched_shutdown, BVX_IN, shutdown_code),
	BVX_OP(SCHEDOP_watchdog, struct sched_watchdog, BVX_IN, watchdog),
	BVX_OP(SCHEDOP_pin_override, struct sched_pin_override, BVX_IN | BVX_PRIVILEGED,
	       pin_override),
};

/* args: subop, argument */
long bvx_sched_op(struct bvx_call *call)
{
	return bvx_subop(call, ops, BV_ARRAY_SIZE(ops), call->args[0], call->args[1]);
}
