// SPDX-License-Identifier: GPL-2.0-or-later
/* fronts/xen: event channels, timers, clocks. On hosts/fake. */
#include "fronts/xen/event.h"
#include "machine.h"
#include "xen_guest.h"

static bool pending_bit(const struct shared_info *info, u32 port)
{
	return info->evtchn_pending[port / 64] >> port % 64 & 1;
}

static u32 bind_ipi(struct bvx_vcpu *v, u32 vcpu)
{
	struct evtchn_bind_ipi op = { .vcpu = vcpu };

	CHECK_EQ(EVENT(v, EVTCHNOP_bind_ipi, &op), 0);
	return op.port;
}

static long send(struct bvx_vcpu *v, u32 port)
{
	struct evtchn_send op = { port };

	return EVENT(v, EVTCHNOP_send, &op);
}

/* The guest's vector past the local APIC. */
static void callback_vector(struct bvx_vcpu *v, u8 vector)
{
	u64 value = 2ULL << 56 | vector;

	CHECK_EQ(hvm_param(v, HVMOP_set_param, DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, &value), 0);
}

TEST(an_event_to_itself_raises_the_upcall)
{
	struct shared_info *info;
	u32 port;

	world_start();
	info = map_shared(&dom0);
	callback_vector(dom0.v[0], 0xf3);
	port = bind_ipi(dom0.v[0], 0);
	CHECK_EQ(bvx_upcall_vector(dom0.v[0], false), -1);
	CHECK_EQ(send(dom0.v[0], port), 0);
	CHECK(pending_bit(info, port));
	CHECK_EQ(info->vcpu_info[0].evtchn_upcall_pending, 1);
	CHECK_EQ(info->vcpu_info[0].evtchn_pending_sel, 1);
	CHECK_EQ(bvx_upcall_vector(dom0.v[0], true), 0xf3);
	CHECK_EQ(bvx_upcall_vector(dom0.v[0], false), -1);
	/* The guest clears it in its handler: the next event comes through again. */
	info->vcpu_info[0].evtchn_upcall_pending = 0;
	info->vcpu_info[0].evtchn_pending_sel = 0;
	info->evtchn_pending[0] = 0;
	CHECK_EQ(send(dom0.v[0], port), 0);
	CHECK_EQ(bvx_upcall_vector(dom0.v[0], false), 0xf3);
	world_stop();
}

/* Longs of 32 bits: 1024 ports, whose bits lie elsewhere, and a selector in front. */
TEST(what_32_bit_code_shares_has_short_longs)
{
	const struct {
		u16 domid, size;
		u32 space, idx, gpfn;
	} add = { DOMID_SELF, 0, XENMAPSPACE_shared_info, 0, SHARED_GFN };
	const u32 pending = 32 * 64, mask = pending + 128, wall = mask + 128;
	struct dom d;
	u32 port;
	u8 *info;

	world_start();
	domu_make(&d, 1, 128);
	memcpy(at(d.domain, ARG), &add, sizeof(add));
	CHECK_EQ(fake_hypercall32(d.v[0], __HYPERVISOR_memory_op, XENMEM_add_to_physmap, ARG, 0, 0,
				  0),
		 0);
	info = at(d.domain, SHARED_GFN << 12);
	CHECK(*(u32 *)(info + wall) && !(*(u32 *)(info + wall) & 1));
	for (u32 i = 0; i < 40; i++)
		port = bind_ipi(d.v[0], 0);
	CHECK_EQ(port, 40);
	CHECK_EQ(send(d.v[0], port), 0);
	CHECK_EQ(*(u32 *)(info + pending + 4), 1u << 8);
	CHECK_EQ(*(u32 *)(info + 4), 2);
	CHECK_EQ(info[0], 1);
	/* Masked, it is pending and nothing else. */
	info[0] = 0;
	*(u32 *)(info + 4) = 0;
	*(u32 *)(info + mask) = 1u << 7;
	CHECK_EQ(send(d.v[0], 7), 0);
	CHECK_EQ(*(u32 *)(info + pending), 1u << 7);
	CHECK_EQ(*(u32 *)(info + 4), 0);
	CHECK_EQ(info[0], 0);
	domu_destroy(&d);
	world_stop();
}

TEST(a_chosen_vector_comes_through_the_local_apic)
{
	struct xen_hvm_evtchn_upcall_vector op = { .vcpu = 1, .vector = 0xf3 };
	struct bv_vcpu *engine;
	struct shared_info *info;
	u32 port;

	world_start();
	info = map_shared(&dom0);
	engine = dom0.v[1]->vcpu;
	CHECK_EQ(call_arg(dom0.v[0], __HYPERVISOR_hvm_op, HVMOP_set_evtchn_upcall_vector, &op,
			  sizeof(op)),
		 0);
	port = bind_ipi(dom0.v[0], 1);
	/* Sent while the local APIC is off, it comes when that is on. */
	CHECK_EQ(send(dom0.v[0], port), 0);
	CHECK_EQ(bvx_upcall_vector(dom0.v[1], false), -1);
	CHECK_EQ(pending(engine), -1);
	apic_enable(engine);
	CHECK_EQ(bvx_upcall_vector(dom0.v[1], false), -1);
	CHECK_EQ(pending(engine), 0xf3);
	CHECK_EQ(take(engine), 0xf3);
	eoi(engine);
	CHECK_EQ(pending(engine), -1);
	info->vcpu_info[1].evtchn_upcall_pending = 0;
	info->vcpu_info[1].evtchn_pending_sel = 0;
	info->evtchn_pending[0] = 0;
	/* The same in x2APIC mode. */
	CHECK(wrmsr(engine, MSR_APIC_BASE, 0xfee00000ULL | 3 << 10));
	CHECK(wrmsr(engine, x2apic_msr(R_SPIV), 0x1ff));
	CHECK_EQ(send(dom0.v[0], port), 0);
	CHECK_EQ(pending(engine), 0xf3);
	world_stop();
}

TEST(a_masked_port_waits_for_unmask)
{
	struct evtchn_unmask unmask;
	struct shared_info *info;

	world_start();
	info = map_shared(&dom0);
	unmask.port = bind_ipi(dom0.v[0], 1);
	info->evtchn_mask[0] = ~0ULL;
	CHECK_EQ(send(dom0.v[0], unmask.port), 0);
	CHECK(pending_bit(info, unmask.port));
	CHECK_EQ(info->vcpu_info[1].evtchn_upcall_pending, 0);
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_unmask, &unmask), 0);
	CHECK_EQ(info->vcpu_info[1].evtchn_upcall_pending, 1);
	world_stop();
}

static void pair(struct dom *d, u32 *local, u32 *remote)
{
	struct evtchn_alloc_unbound alloc = { .dom = (domid_t)d->domain->id, .remote_dom = 0 };
	struct evtchn_bind_interdomain bind = { .remote_dom = (domid_t)d->domain->id };

	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_alloc_unbound, &alloc), 0);
	bind.remote_port = alloc.port;
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_bind_interdomain, &bind), 0);
	*local = bind.local_port;
	*remote = alloc.port;
}

TEST(two_domains_reach_each_other)
{
	struct evtchn_status status = { .dom = DOMID_SELF };
	struct shared_info *info0, *info;
	struct dom d;
	u32 local, remote;

	world_start();
	domu_make(&d, 1, 80);
	info0 = map_shared(&dom0);
	info = map_shared(&d);
	pair(&d, &local, &remote);
	CHECK(pending_bit(info0, local));
	status.port = local;
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_status, &status), 0);
	CHECK_EQ(status.status, EVTCHNSTAT_interdomain);
	CHECK_EQ(status.u.interdomain.dom, d.domain->id);
	CHECK_EQ(status.u.interdomain.port, remote);
	CHECK_EQ(send(dom0.v[0], local), 0);
	CHECK(pending_bit(info, remote));
	info0->evtchn_pending[0] = 0;
	CHECK_EQ(send(d.v[0], remote), 0);
	CHECK(pending_bit(info0, local));
	CHECK_EQ(send(d.v[0], 99), -XEN_EINVAL);
	world_stop();
}

TEST(a_dead_domains_partner_is_unbound)
{
	struct evtchn_status status = { .dom = DOMID_SELF };
	struct dom d;
	u32 local, remote;

	world_start();
	domu_make(&d, 1, 80);
	pair(&d, &local, &remote);
	domu_destroy(&d);
	status.port = local;
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_status, &status), 0);
	CHECK_EQ(status.status, EVTCHNSTAT_unbound);
	CHECK_EQ(send(dom0.v[0], local), 0);
	world_stop();
}

TEST(a_port_waits_for_its_domain_only)
{
	struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = 77 };
	struct evtchn_bind_interdomain bind = { .remote_dom = 0 };
	struct dom d;

	world_start();
	domu_make(&d, 1, 80);
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_alloc_unbound, &alloc), 0);
	bind.remote_port = alloc.port;
	CHECK_EQ(EVENT(d.v[0], EVTCHNOP_bind_interdomain, &bind), -XEN_EINVAL);
	bind.remote_port = 4095;
	CHECK_EQ(EVENT(d.v[0], EVTCHNOP_bind_interdomain, &bind), -XEN_EINVAL);
	CHECK_EQ(d.domain->events->used, 0);
	world_stop();
}

TEST(ports_come_to_an_end)
{
	struct evtchn_bind_ipi op = { 0 };
	struct evtchn_close close;
	struct dom d;
	u32 count = 0;

	world_start();
	domu_make(&d, 1, 80);
	while (!EVENT(d.v[0], EVTCHNOP_bind_ipi, &op))
		count++;
	CHECK_EQ(count, 1023);
	close.port = 500;
	CHECK_EQ(EVENT(d.v[0], EVTCHNOP_close, &close), 0);
	CHECK_EQ(EVENT(d.v[0], EVTCHNOP_close, &close), -XEN_EINVAL);
	CHECK_EQ(bind_ipi(d.v[0], 0), 500);
	world_stop();
}

TEST(a_virq_is_bound_once)
{
	struct evtchn_bind_virq op = { .virq = VIRQ_TIMER, .vcpu = 0 };
	struct shared_info *info;

	world_start();
	info = map_shared(&dom0);
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_bind_virq, &op), 0);
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_bind_virq, &op), -XEN_EEXIST);
	bvx_virq_vcpu(dom0.v[0], VIRQ_TIMER);
	CHECK(pending_bit(info, op.port));
	op.virq = VIRQ_DOM_EXC;
	op.vcpu = 1;
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_bind_virq, &op), -XEN_EINVAL);
	op.virq = NR_VIRQS;
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_bind_virq, &op), -XEN_EINVAL);
	world_stop();
}

TEST(the_end_of_a_domain_is_told_to_dom0)
{
	struct evtchn_bind_virq op = { .virq = VIRQ_DOM_EXC };
	struct sched_shutdown shutdown = { SHUTDOWN_crash };
	struct xen_domctl info = { 0 };
	struct shared_info *shared;
	struct dom d;

	world_start();
	domu_make(&d, 1, 80);
	shared = map_shared(&dom0);
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_bind_virq, &op), 0);
	CHECK_EQ(call_arg(d.v[0], __HYPERVISOR_sched_op, SCHEDOP_shutdown, &shutdown,
			  sizeof(shutdown)),
		 0);
	CHECK(pending_bit(shared, op.port));
	CHECK_EQ(domctl(&info, XEN_DOMCTL_getdomaininfo, d.domain->id), 0);
	CHECK(info.u.getdomaininfo.flags & XEN_DOMINF_shutdown);
	CHECK_EQ(info.u.getdomaininfo.flags >> XEN_DOMINF_shutdownshift & 0xff, SHUTDOWN_crash);
	world_stop();
}

/* ---- FIFO ---- */

#define CONTROL_GFN 0x50ULL
#define ARRAY_GFN 0x51ULL

static struct evtchn_fifo_control_block *fifo_start(struct dom *d)
{
	struct evtchn_init_control init = { .control_gfn = CONTROL_GFN, .vcpu = 0 };
	struct evtchn_expand_array expand = { .array_gfn = ARRAY_GFN };

	CHECK_EQ(EVENT(d->v[0], EVTCHNOP_init_control, &init), 0);
	CHECK_EQ(init.link_bits, EVTCHN_FIFO_LINK_BITS);
	CHECK_EQ(EVENT(d->v[0], EVTCHNOP_expand_array, &expand), 0);
	return at(d->domain, CONTROL_GFN << 12);
}

TEST(fifo_events_queue_in_order)
{
	struct evtchn_fifo_control_block *control;
	event_word_t *words;
	struct shared_info *info;
	u32 a, b, c;

	world_start();
	info = map_shared(&dom0);
	control = fifo_start(&dom0);
	words = at(dom0.domain, ARRAY_GFN << 12);
	a = bind_ipi(dom0.v[0], 0);
	b = bind_ipi(dom0.v[0], 0);
	c = bind_ipi(dom0.v[0], 0);
	words[a] = words[b] = 0;
	CHECK_EQ(send(dom0.v[0], b), 0);
	CHECK_EQ(send(dom0.v[0], a), 0);
	CHECK_EQ(send(dom0.v[0], c), 0);
	CHECK_EQ(control->ready, 1u << EVTCHN_FIFO_PRIORITY_DEFAULT);
	CHECK_EQ(control->head[EVTCHN_FIFO_PRIORITY_DEFAULT], b);
	CHECK_EQ(words[b] & EVTCHN_FIFO_LINK_MASK, a);
	CHECK_EQ(words[a] & EVTCHN_FIFO_LINK_MASK, 0);
	CHECK(words[a] >> EVTCHN_FIFO_LINKED & 1);
	/* c is masked: pending, in no queue. */
	CHECK(words[c] >> EVTCHN_FIFO_PENDING & 1);
	CHECK(!(words[c] >> EVTCHN_FIFO_LINKED & 1));
	CHECK_EQ(info->vcpu_info[0].evtchn_upcall_pending, 1);
	/* The guest takes both out; the next one is a head again. */
	words[a] = words[b] = 0;
	control->ready = 0;
	control->head[EVTCHN_FIFO_PRIORITY_DEFAULT] = 0;
	CHECK_EQ(send(dom0.v[0], a), 0);
	CHECK_EQ(control->head[EVTCHN_FIFO_PRIORITY_DEFAULT], a);
	CHECK_EQ(words[a] & EVTCHN_FIFO_LINK_MASK, 0);
	world_stop();
}

TEST(fifo_priorities_have_queues_of_their_own)
{
	struct evtchn_fifo_control_block *control;
	struct evtchn_set_priority op = { .priority = 3 };
	event_word_t *words;

	world_start();
	control = fifo_start(&dom0);
	words = at(dom0.domain, ARRAY_GFN << 12);
	op.port = bind_ipi(dom0.v[0], 0);
	words[op.port] = 0;
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_set_priority, &op), 0);
	CHECK_EQ(send(dom0.v[0], op.port), 0);
	CHECK_EQ(control->ready, 1u << 3);
	CHECK_EQ(control->head[3], op.port);
	op.priority = 16;
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_set_priority, &op), -XEN_EINVAL);
	world_stop();
}

TEST(events_before_the_fifo_array_show_when_it_comes)
{
	struct evtchn_init_control init = { .control_gfn = CONTROL_GFN, .vcpu = 0 };
	struct evtchn_expand_array expand = { .array_gfn = ARRAY_GFN };
	event_word_t *words;
	u32 port;

	world_start();
	port = bind_ipi(dom0.v[0], 0);
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_expand_array, &expand), -XEN_ENOSYS);
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_init_control, &init), 0);
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_init_control, &init), -XEN_EINVAL);
	CHECK_EQ(send(dom0.v[0], port), 0);
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_expand_array, &expand), 0);
	words = at(dom0.domain, ARRAY_GFN << 12);
	CHECK(words[port] >> EVTCHN_FIFO_PENDING & 1);
	init.vcpu = 1;
	init.offset = 4093;
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_init_control, &init), -XEN_EINVAL);
	world_stop();
}

/* ---- time ---- */

TEST(a_singleshot_timer_sends_its_virq)
{
	struct evtchn_bind_virq op = { .virq = VIRQ_TIMER };
	struct vcpu_set_singleshot_timer timer = { .flags = VCPU_SSHOTTMR_future };
	struct shared_info *info;

	world_start();
	info = map_shared(&dom0);
	CHECK_EQ(EVENT(dom0.v[0], EVTCHNOP_bind_virq, &op), 0);
	timer.timeout_abs_ns = fake_clock() - 1;
	memcpy(at(dom0.domain, ARG), &timer, sizeof(timer));
	CHECK_EQ(fake_hypercall(dom0.v[0], __HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0,
				ARG, 0, 0),
		 -XEN_ETIME);
	timer.timeout_abs_ns = fake_clock() + 1000;
	memcpy(at(dom0.domain, ARG), &timer, sizeof(timer));
	CHECK_EQ(fake_hypercall(dom0.v[0], __HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0,
				ARG, 0, 0),
		 0);
	fake_clock_advance(999);
	CHECK(!pending_bit(info, op.port));
	fake_clock_advance(1);
	CHECK(pending_bit(info, op.port));
	world_stop();
}

TEST(a_registered_vcpu_info_is_used)
{
	struct vcpu_register_vcpu_info op = { .mfn = 0x60, .offset = 0x100 };
	struct vcpu_info *info;
	u32 port;

	world_start();
	map_shared(&dom0);
	memcpy(at(dom0.domain, ARG), &op, sizeof(op));
	CHECK_EQ(fake_hypercall(dom0.v[0], __HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 1, ARG,
				0, 0),
		 0);
	CHECK_EQ(fake_hypercall(dom0.v[0], __HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 1, ARG,
				0, 0),
		 -XEN_EINVAL);
	info = at(dom0.domain, 0x60100);
	CHECK_EQ(info->evtchn_upcall_pending, 1);
	info->evtchn_upcall_pending = 0;
	info->evtchn_pending_sel = 0;
	port = bind_ipi(dom0.v[0], 1);
	CHECK_EQ(send(dom0.v[0], port), 0);
	CHECK_EQ(info->evtchn_upcall_pending, 1);
	CHECK_EQ(info->evtchn_pending_sel, 1);
	world_stop();
}

TEST(a_guest_computes_the_hosts_time)
{
	const struct vcpu_time_info *time;
	u64 tsc, ns;

	world_start();
	map_shared(&dom0);
	bvx_time_refresh(dom0.v[0]);
	time = &((struct shared_info *)at(dom0.domain, SHARED_GFN << 12))->vcpu_info[0].time;
	CHECK_EQ(time->version & 1, 0);
	CHECK(time->version != 0);
	fake_clock_advance(123456789);
	tsc = bv_vcpu_tsc_now(dom0.v[0]->vcpu) - time->tsc_timestamp;
	tsc = time->tsc_shift < 0 ? tsc >> -time->tsc_shift : tsc << time->tsc_shift;
	ns = time->system_time + (u64)((unsigned __int128)tsc * time->tsc_to_system_mul >> 32);
	CHECK(ns <= fake_clock() + 2 && ns + 2 >= fake_clock());
	world_stop();
}

TEST(a_poll_ends_with_its_port_or_its_time)
{
	struct sched_poll op = { .nr_ports = 1 };
	u64 before;
	u32 port;

	world_start();
	map_shared(&dom0);
	port = bind_ipi(dom0.v[0], 1);
	*(u32 *)at(dom0.domain, LIST) = port;
	op.ports.p = (void *)LIST;
	op.timeout = fake_clock() + 5000;
	before = fake_clock();
	CHECK_EQ(call_arg(dom0.v[0], __HYPERVISOR_sched_op, SCHEDOP_poll, &op, sizeof(op)), 0);
	CHECK(fake_clock() >= before + 5000);
	CHECK_EQ(send(dom0.v[0], port), 0);
	before = fake_clock();
	op.timeout = before + 5000;
	CHECK_EQ(call_arg(dom0.v[0], __HYPERVISOR_sched_op, SCHEDOP_poll, &op, sizeof(op)), 0);
	CHECK_EQ(fake_clock(), before);
	world_stop();
}

TEST(a_watchdog_that_is_not_fed_ends_the_guest)
{
	struct sched_watchdog op = { .id = 0, .timeout = 2 };
	struct dom d;

	world_start();
	domu_make(&d, 1, 80);
	CHECK_EQ(call_arg(d.v[0], __HYPERVISOR_sched_op, SCHEDOP_watchdog, &op, sizeof(op)), 1);
	fake_clock_advance(1900000000ULL);
	op.id = 1;
	CHECK_EQ(call_arg(d.v[0], __HYPERVISOR_sched_op, SCHEDOP_watchdog, &op, sizeof(op)), 0);
	fake_clock_advance(1900000000ULL);
	CHECK(!d.domain->shut_down);
	fake_clock_advance(200000000ULL);
	CHECK(d.domain->shut_down);
	CHECK_EQ(d.domain->shutdown_code, SHUTDOWN_watchdog);
	world_stop();
}
