// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Time as guests are told it: the clock of each vCPU, the wall clock, run states, and the timers
 * that a guest sets. Called before entries (the engine's refresh) and by hypercalls.
 *
 * The clock. System time is bv_host_ns(): nanoseconds since the hypervisor started. A vCPU's
 * vcpu_time_info gives system time at a value of its TSC, and the TSC's rate as a multiplier and a
 * shift: ns = ((ticks << shift) * mul) >> 32. The guest reads it with the version as a sequence
 * lock: odd while we write. It is written anew when the vCPU comes to another CPU, and at least
 * once a second while it comes and goes, so that the rounding of the rate does not add up.
 */
#include "call.h"
#include "event.h"

#include <xen/hvm/hvm_vcpu.h>
#include <xen/vcpu.h>

#define SECOND 1000000000ULL
/* Timers that a guest sets further away than this, or in the past by as much, are a wrap of it. */
#define FAR (1ULL << 50)
#define SOON (100 * 1000000ULL)

/* ---- the rate ---- */

static void rate_of(u32 khz, u32 *mul, s8 *shift)
{
	u64 ticks = (u64)khz * 1000, scaled = ticks;

	*shift = 0;
	/* A multiplier between 1/2 and 1 has the most digits. */
	while (scaled > SECOND * 2) {
		scaled >>= 1;
		(*shift)--;
	}
	while (scaled <= SECOND) {
		scaled <<= 1;
		(*shift)++;
	}
	*mul = (u32)((SECOND << 32) / scaled);
}

/* ---- a vCPU's clock ---- */

/* Writes one copy: the version is odd meanwhile. */
static void time_write(struct vcpu_time_info *to, const struct vcpu_time_info *from)
{
	u32 version = BV_READ_ONCE(to->version) | 1;

	__atomic_store_n(&to->version, version, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	to->tsc_timestamp = from->tsc_timestamp;
	to->system_time = from->system_time;
	to->tsc_to_system_mul = from->tsc_to_system_mul;
	to->tsc_shift = from->tsc_shift;
	to->flags = from->flags;
	__atomic_store_n(&to->version, version + 1, __ATOMIC_SEQ_CST);
}

/* One vCPU may register another's area. */
static struct bvx_area area_load(struct bvx_vcpu *vcpu, const struct bvx_area *area)
{
	u64 flags = bv_host_spin_lock_irq(&vcpu->domain->events->lock);
	struct bvx_area value = *area;

	bv_host_spin_unlock_irq(&vcpu->domain->events->lock, flags);
	return value;
}

static void area_write(struct bvx_vcpu *vcpu, const struct bvx_area *area, u32 offset,
		       const void *from, u32 bytes)
{
	u32 here = offset < area->first ? area->first - offset : 0;

	here = here < bytes ? here : bytes;
	if (here)
		bvx_copy_to_gpa(vcpu->domain, area->gpa[0] + offset, from, here);
	if (here < bytes)
		bvx_copy_to_gpa(vcpu->domain, area->gpa[1] + (offset + here - area->first),
				(const u8 *)from + here, bytes - here);
}

/* The same, into an area of the guest's choice: three writes, as it may read at any moment. */
static void time_area_write(struct bvx_vcpu *vcpu, struct vcpu_time_info *time)
{
	const struct bvx_area loaded = area_load(vcpu, &vcpu->time_area), *area = &loaded;

	if (!area->gva)
		return;
	vcpu->time_version = (vcpu->time_version | 1) + 2;
	time->version = vcpu->time_version;
	area_write(vcpu, area, 0, &time->version, sizeof(time->version));
	area_write(vcpu, area, 8, (u8 *)time + 8, sizeof(*time) - 8);
	time->version = ++vcpu->time_version;
	area_write(vcpu, area, 0, &time->version, sizeof(time->version));
}

static void clock_update(struct bvx_vcpu *vcpu)
{
	struct vcpu_time_info time = { 0 };
	u64 flags;

	time.tsc_timestamp = bv_vcpu_tsc_now(vcpu->vcpu);
	time.system_time = bv_host_ns();
	rate_of(bv_vcpu_tsc_khz(vcpu->vcpu), &time.tsc_to_system_mul, &time.tsc_shift);
	vcpu->told_ns = time.system_time;
	flags = bv_host_spin_lock_irq(&vcpu->domain->events->lock);
	time_write(&vcpu->info->time, &time);
	bv_host_spin_unlock_irq(&vcpu->domain->events->lock, flags);
	if (BV_READ_ONCE(vcpu->time_area.gva))
		time_area_write(vcpu, &time);
}

/* ---- run states ---- */

static void runstate_fill(struct bvx_vcpu *vcpu, struct vcpu_runstate_info *info)
{
	struct bvx_host_runtime runtime;

	bvx_host_vcpu_runtime(vcpu->host, &runtime);
	info->state = runtime.state;
	info->state_entry_time = runtime.since_ns;
	for (u32 i = 0; i < BVX_STATES; i++)
		info->time[i] = runtime.ns[i];
}

/* For 32-bit code nothing is aligned to more than 4 bytes: the times follow the state at once. */
#define RUNSTATE_TIMES offsetof(struct vcpu_runstate_info, state_entry_time)
#define RUNSTATE_NARROW (sizeof(struct vcpu_runstate_info) - 4)

static void runstate_update(struct bvx_vcpu *vcpu)
{
	const struct bvx_area loaded = area_load(vcpu, &vcpu->runstate), *area = &loaded;
	struct vcpu_runstate_info info = { 0 };
	u32 at = loaded.narrow ? 4 : RUNSTATE_TIMES;
	u64 entry;

	if (!area->gva)
		return;
	runstate_fill(vcpu, &info);
	entry = info.state_entry_time;
	if (vcpu->domain->runstate_flag) {
		info.state_entry_time |= XEN_RUNSTATE_UPDATE;
		area_write(vcpu, area, at, &info.state_entry_time, sizeof(entry));
	}
	area_write(vcpu, area, 0, &info.state, sizeof(info.state));
	area_write(vcpu, area, at, &info.state_entry_time, sizeof(info) - RUNSTATE_TIMES);
	if (vcpu->domain->runstate_flag)
		area_write(vcpu, area, at, &entry, sizeof(entry));
}

void bvx_time_refresh(struct bvx_vcpu *vcpu)
{
	u32 cpu = bv_host_cpu();

	if (vcpu->told_cpu != cpu || bv_host_ns() - vcpu->told_ns > SECOND ||
	    __atomic_exchange_n(&vcpu->clock_due, false, __ATOMIC_SEQ_CST)) {
		vcpu->told_cpu = cpu;
		clock_update(vcpu);
	}
	if (BV_READ_ONCE(vcpu->runstate.gva))
		runstate_update(vcpu);
}

static void area_store(struct bvx_vcpu *vcpu, struct bvx_area *area, const struct bvx_area *value)
{
	u64 flags = bv_host_spin_lock_irq(&vcpu->domain->events->lock);

	*area = *value;
	bv_host_spin_unlock_irq(&vcpu->domain->events->lock, flags);
}

/* An area at an address of the guest's kernel, found once: it stays where it is. 0: none. */
int bvx_area_set(struct bvx_call *call, struct bvx_area *area, u64 gva, u32 bytes)
{
	struct bvx_vcpu *vcpu = call->vcpu;
	struct bvx_area found = { .gva = call->wide ? gva : (u32)gva, .narrow = !call->wide };
	u8 byte;

	gva = found.gva;
	if (!gva) {
		area_store(vcpu, area, &found);
		return 0;
	}
	found.first = BV_PAGE_SIZE - (u32)(gva & ~BV_PAGE_MASK);
	for (u32 i = 0; i < (bytes > found.first ? 2 : 1); i++) {
		u64 at = i ? (gva & BV_PAGE_MASK) + BV_PAGE_SIZE : gva;

		/* Touching it by a copy checks the guest's rights. */
		if (bvx_copy_in(vcpu, &byte, at, 1) || bvx_copy_out(vcpu, at, &byte, 1) ||
		    bvx_translate(vcpu, at, &found.gpa[i]))
			return bvx_refuse(vcpu->domain, XEN_EFAULT, "no area at address %#llx", at);
	}
	area_store(vcpu, area, &found);
	return 0;
}

/* ---- the wall clock ---- */

void bvx_wall_update(struct bvx_domain *domain)
{
	const struct bvx_layout *layout = bvx_layout(domain);
	u32 *wall = (u32 *)(domain->shared_info.va + layout->wall);
	u64 start = bv_host_wall_ns() - bv_host_ns() + (u64)domain->time_offset * SECOND;
	u64 flags = bv_host_spin_lock_irq(&bvx.lock);

	/* version, seconds, nanoseconds */
	__atomic_add_fetch(&wall[0], 1, __ATOMIC_SEQ_CST);
	wall[1] = (u32)(start / SECOND);
	wall[2] = (u32)(start % SECOND);
	*(u32 *)(domain->shared_info.va + layout->wall_high) = (u32)(start / SECOND >> 32);
	__atomic_add_fetch(&wall[0], 1, __ATOMIC_SEQ_CST);
	bv_host_spin_unlock_irq(&bvx.lock, flags);
}

void bvx_clock_due(struct bvx_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->clock_due, true, __ATOMIC_SEQ_CST);
	bv_vcpu_pv_request(vcpu->vcpu);
}

void bvx_time_changed(void)
{
	struct bvx_domain *domain;

	for (u32 id = 0; (domain = bvx_domain_get_from(id)); id++) {
		id = domain->id;
		bvx_wall_update(domain);
		for (u32 i = 0; i < domain->max_vcpus; i++)
			if (domain->vcpu[i])
				bvx_clock_due(domain->vcpu[i]);
		bvx_domain_put(domain);
	}
}

/* ---- timers ---- */

static struct bvx_timer *timer_of(struct bv_timer *timer)
{
	return BV_CONTAINER(timer, struct bvx_timer, timer);
}

static void singleshot_fire(struct bv_timer *timer)
{
	bvx_virq_vcpu(timer_of(timer)->vcpu, VIRQ_TIMER);
}

static void periodic_fire(struct bv_timer *timer)
{
	struct bvx_timer *own = timer_of(timer);
	u64 period = __atomic_load_n(&own->vcpu->period, __ATOMIC_RELAXED), now = bv_host_ns();

	bvx_virq_vcpu(own->vcpu, VIRQ_TIMER);
	if (!period)
		return;
	/* Ticks that were missed are lost. */
	own->deadline += period * ((now - own->deadline) / period + 1);
	bv_host_timer_set(timer, own->deadline);
}

static void poll_fire(struct bv_timer *timer)
{
	struct bvx_vcpu *vcpu = timer_of(timer)->vcpu;

	__atomic_store_n(&vcpu->polling, false, __ATOMIC_SEQ_CST);
	bvx_host_wake(&vcpu->queue);
}

void bvx_time_init(struct bvx_vcpu *vcpu)
{
	vcpu->singleshot.vcpu = vcpu->periodic.vcpu = vcpu->poll.vcpu = vcpu;
	bv_host_timer_init(&vcpu->singleshot.timer, singleshot_fire);
	bv_host_timer_init(&vcpu->periodic.timer, periodic_fire);
	bv_host_timer_init(&vcpu->poll.timer, poll_fire);
	vcpu->told_cpu = ~0u;
}

void bvx_time_fini(struct bvx_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->period, 0, __ATOMIC_RELAXED);
	bv_host_timer_cancel(&vcpu->singleshot.timer);
	bv_host_timer_cancel(&vcpu->periodic.timer);
	bv_host_timer_cancel(&vcpu->poll.timer);
}

void bvx_timer_period(struct bvx_vcpu *vcpu, u64 period)
{
	__atomic_store_n(&vcpu->period, 0, __ATOMIC_RELAXED);
	bv_host_timer_cancel(&vcpu->periodic.timer);
	if (!period)
		return;
	vcpu->periodic.deadline = bv_host_ns() + period;
	__atomic_store_n(&vcpu->period, period, __ATOMIC_RELAXED);
	bv_host_timer_set(&vcpu->periodic.timer, vcpu->periodic.deadline);
}

void bvx_timer_once(struct bvx_vcpu *vcpu, u64 deadline)
{
	vcpu->singleshot.deadline = deadline;
	if (deadline)
		bv_host_timer_set(&vcpu->singleshot.timer, deadline);
	else
		bv_host_timer_cancel(&vcpu->singleshot.timer);
}

/* args: deadline; 0: none. A deadline far off is a wrap of the guest's arithmetic: soon. */
long bvx_set_timer_op(struct bvx_call *call)
{
	u64 deadline = call->wide ? call->args[0] : call->args[0] | call->args[1] << 32;
	u64 now = bv_host_ns();

	if ((s64)deadline < 0 || (deadline > now && deadline - now > FAR))
		deadline = now + SOON;
	bvx_timer_once(call->vcpu, deadline);
	return 0;
}

/* ---- vcpu_op ---- */

/* The calls below are about vCPU number args[1] of the caller's domain. */
static struct bvx_vcpu *target(struct bvx_call *call)
{
	return call->domain->vcpu[call->args[1]];
}

static long is_up(struct bvx_call *call)
{
	return bvx_vcpu_online(target(call));
}

static bool others_online(const struct bvx_vcpu *vcpu)
{
	const struct bvx_domain *domain = vcpu->domain;

	for (u32 i = 0; i < domain->max_vcpus; i++)
		if (domain->vcpu[i] && domain->vcpu[i] != vcpu && bvx_vcpu_online(domain->vcpu[i]))
			return true;
	return false;
}

/* A restored guest has its other vCPUs down for a moment, while it tells of their shared pages. */
static long down(struct bvx_call *call)
{
	struct bvx_vcpu *vcpu = target(call);

	if (!others_online(vcpu)) {
		bvx_domain_shutdown(call->domain, SHUTDOWN_poweroff);
		return 0;
	}
	if (!__atomic_exchange_n(&vcpu->withdrawn, true, __ATOMIC_SEQ_CST))
		bvx_vcpu_stop(vcpu);
	return 0;
}

static long initialise(struct bvx_call *call)
{
	return bvx_vcpu_initialise(call, target(call));
}

static long up(struct bvx_call *call)
{
	struct bvx_vcpu *vcpu = target(call);

	if (__atomic_exchange_n(&vcpu->withdrawn, false, __ATOMIC_SEQ_CST)) {
		bvx_vcpu_go(vcpu);
		return 0;
	}
	if (!bvx_vcpu_online(vcpu))
		return bvx_call_refuse(call, XEN_EINVAL,
				       "vCPU %u was not told where to begin: by "
				       "VCPUOP_initialise, or by INIT and SIPI",
				       vcpu->index);
	return 0;
}

static long get_runstate(struct bvx_call *call)
{
	struct vcpu_runstate_info *info = call->data;

	__builtin_memset(info, 0, sizeof(*info));
	runstate_fill(target(call), info);
	return 0;
}

static long register_runstate(struct bvx_call *call)
{
	const struct vcpu_register_runstate_memory_area *op = call->data;
	struct bvx_vcpu *vcpu = target(call);
	int error = bvx_area_set(call, &vcpu->runstate, op->addr.p,
				 call->wide ? sizeof(struct vcpu_runstate_info) : RUNSTATE_NARROW);

	if (error)
		return error;
	bv_vcpu_pv_each_load(vcpu->vcpu, vcpu->runstate.gva);
	runstate_update(vcpu);
	return 0;
}

static long register_time_area(struct bvx_call *call)
{
	const struct vcpu_register_time_memory_area *op = call->data;
	int error = bvx_area_set(call, &target(call)->time_area, op->addr.p,
				 sizeof(struct vcpu_time_info));

	if (!error)
		bvx_clock_due(target(call));
	return error;
}

static long set_periodic(struct bvx_call *call)
{
	const struct vcpu_set_periodic_timer *op = call->data;

	/* Xen's bound, too: a millisecond. */
	if (op->period_ns < 1000000 || op->period_ns > FAR)
		return bvx_call_refuse(call, XEN_EINVAL, "a period of %llu ns", (u64)op->period_ns);
	bvx_timer_period(target(call), op->period_ns);
	return 0;
}

static long stop_periodic(struct bvx_call *call)
{
	bvx_timer_period(target(call), 0);
	return 0;
}

static long set_singleshot(struct bvx_call *call)
{
	const struct vcpu_set_singleshot_timer *op = call->data;

	if (target(call) != call->vcpu)
		return -XEN_EINVAL;
	if (op->flags & VCPU_SSHOTTMR_future && op->timeout_abs_ns < bv_host_ns())
		return -XEN_ETIME;
	bvx_timer_once(call->vcpu, op->timeout_abs_ns ? op->timeout_abs_ns : 1);
	return 0;
}

static long stop_singleshot(struct bvx_call *call)
{
	if (target(call) != call->vcpu)
		return -XEN_EINVAL;
	bvx_timer_once(call->vcpu, 0);
	return 0;
}

static long send_nmi(struct bvx_call *call)
{
	bv_vcpu_nmi(target(call)->vcpu);
	return 0;
}

static long get_physid(struct bvx_call *call)
{
	return bvx_call_refuse(call, XEN_EINVAL, "this guest is not pinned to a CPU");
}

/* The guest's place for a vCPU's info: what was told in the old place is kept. */
static void info_move(struct bvx_vcpu *vcpu, const struct bvx_shared *page, u32 offset)
{
	u64 flags = bv_host_spin_lock_irq(&vcpu->domain->events->lock);
	struct vcpu_info *info = (struct vcpu_info *)(page->va + offset);

	if (vcpu->info->evtchn_upcall_mask)
		info->evtchn_upcall_mask = vcpu->info->evtchn_upcall_mask;
	info->time = vcpu->info->time;
	info->time.version &= ~1u;
	vcpu->info_page = *page;
	vcpu->info = info;
	/* Whatever came until now may have been told in the old place only. */
	info->evtchn_upcall_pending = 0;
	bvx_selector_fill(vcpu);
	bvx_vcpu_upcall(vcpu);
	bv_host_spin_unlock_irq(&vcpu->domain->events->lock, flags);
}

static long register_info(struct bvx_call *call)
{
	const struct vcpu_register_vcpu_info *op = call->data;
	struct bvx_vcpu *vcpu = target(call);
	struct bvx_shared page;
	struct bvx_entry entry;

	if (op->offset > BV_PAGE_SIZE - sizeof(struct vcpu_info) || op->offset & 7)
		return bvx_call_refuse(call, XEN_EINVAL, "at %#x of its page", op->offset);
	if (vcpu->info_page.va)
		return bvx_call_refuse(call, XEN_EINVAL, "vCPU %u has one", vcpu->index);
	if (bvx_p2m_hold(call->domain, op->mfn, false, &entry))
		return bvx_call_refuse(call, XEN_EINVAL, "no memory at gfn %#llx", (u64)op->mfn);
	page.mfn = entry.mfn;
	page.va = bvx_host_frame_va(entry.mfn);
	bvx_layout_set(call->domain, !call->wide);
	info_move(vcpu, &page, op->offset);
	bvx_clock_due(vcpu);
	return 0;
}

static const struct bvx_op ops[] = {
	BVX_OP(VCPUOP_initialise, struct vcpu_hvm_context, BVX_IN, initialise),
	BVX_OP_PLAIN(VCPUOP_up, 0, up),
	BVX_OP_PLAIN(VCPUOP_down, 0, down),
	BVX_OP_PLAIN(VCPUOP_is_up, 0, is_up),
	BVX_OP_NARROW(VCPUOP_get_runstate_info, struct vcpu_runstate_info, BVX_OUT, get_runstate,
		      "488888"),
	BVX_OP(VCPUOP_register_runstate_memory_area, struct vcpu_register_runstate_memory_area,
	       BVX_IN, register_runstate),
	BVX_OP(VCPUOP_set_periodic_timer, struct vcpu_set_periodic_timer, BVX_IN, set_periodic),
	BVX_OP_PLAIN(VCPUOP_stop_periodic_timer, 0, stop_periodic),
	BVX_OP_NARROW(VCPUOP_set_singleshot_timer, struct vcpu_set_singleshot_timer, BVX_IN,
		      set_singleshot, "84"),
	BVX_OP_PLAIN(VCPUOP_stop_singleshot_timer, 0, stop_singleshot),
	BVX_OP(VCPUOP_register_vcpu_info, struct vcpu_register_vcpu_info, BVX_IN, register_info),
	BVX_OP_PLAIN(VCPUOP_send_nmi, 0, send_nmi),
	BVX_OP(VCPUOP_get_physid, struct vcpu_get_physid, BVX_OUT, get_physid),
	BVX_OP(VCPUOP_register_vcpu_time_memory_area, struct vcpu_register_time_memory_area, BVX_IN,
	       register_time_area),
};

/* args: subop, vCPU, argument */
long bvx_vcpu_op(struct bvx_call *call)
{
	if (call->args[1] >= call->domain->max_vcpus || !call->domain->vcpu[call->args[1]])
		return bvx_call_refuse(call, XEN_ENOENT, "no vCPU %llu", call->args[1]);
	return bvx_subop(call, ops, BV_ARRAY_SIZE(ops), call->args[0], call->args[2]);
}
