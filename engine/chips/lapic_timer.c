/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The local APIC's timer: one-shot and periodic (a count of bus cycles of one nanosecond, divided),
 * and TSC deadline. One host timer serves all three. Disarming only says so (`armed`): a host timer
 * that still fires finds nothing due, or a later time, and sets itself again. Interrupts come from
 * the host timer's callback.
 *
 * Where the vendor can end the guest's turn at a given time, the armed timer is such a time
 * instead, and the host's timer is set only while the vCPU sleeps. A vCPU that is in the front, or
 * waits for a CPU, could not take the interrupt; its next turn ends at once.
 */
#include "chips/chips.h"

#define DUE_NEVER (1ULL << 62)

/* ---- arithmetic ---- */

static enum apic_timer_mode timer_mode(u32 lvt)
{
	return (lvt & LVT_TIMER_MODE) >> LVT_TIMER_MODE_SHIFT;
}

/* Divide configuration: bits 3, 1, 0 name 2, 4 … 128, and at last 1. */
static u32 timer_shift(u32 tdcr)
{
	return (((tdcr & 3) | (tdcr & 8) >> 1) + 1) & 7;
}

static u64 timer_tsc_to_ns(const struct bv_lapic *lapic, u64 ticks)
{
	unsigned __int128 ns = (unsigned __int128)ticks * lapic->chips->tsc_ns_factor >> 32;

	return ns < DUE_NEVER ? (u64)ns : DUE_NEVER;
}

static u64 timer_ns_to_tsc(const struct bv_lapic *lapic, u64 ns)
{
	unsigned __int128 ticks = (unsigned __int128)ns * lapic->chips->ns_tsc_factor >> 32;

	return ticks < BV_NO_TURN ? (u64)ticks : BV_NO_TURN - 1;
}

static u64 timer_repeat_ns(const struct bv_lapic *lapic)
{
	return lapic->period_ns < TIMER_MIN_PERIOD_NS ? TIMER_MIN_PERIOD_NS : lapic->period_ns;
}

/* ---- expiry ---- */

/* Nanoseconds until the armed timer is due; 0: now. */
static u64 timer_left(const struct bv_lapic *lapic, u64 now)
{
	u64 tsc;

	if (timer_mode(lapic->lvt[LVT_TIMER]) != TIMER_TSC_DEADLINE)
		return lapic->due_ns > now ? lapic->due_ns - now : 0;
	tsc = bv_vcpu_tsc(lapic->vcpu);
	if (tsc >= lapic->tsc_deadline)
		return 0;
	return timer_tsc_to_ns(lapic, lapic->tsc_deadline - tsc) + 1;
}

/* Has the timer looked at when what is left is over. `own` as in timer_check_locked. */
static void timer_watch_locked(struct bv_lapic *lapic, u64 now, u64 left, bool own)
{
	if (own && lapic->chips->turn_timer)
		bv_vcpu_turn_set(lapic->vcpu, timer_ns_to_tsc(lapic, left));
	else
		bv_host_timer_set(&lapic->timer, now + left);
}

/*
 * The next period that is not yet over; those that were missed are one interrupt, as in hardware.
 */
static void timer_next_period_locked(struct bv_lapic *lapic, u64 now, bool own)
{
	u64 period = timer_repeat_ns(lapic);

	lapic->due_ns += period;
	if (lapic->due_ns <= now)
		lapic->due_ns += ((now - lapic->due_ns) / period + 1) * period;
	timer_watch_locked(lapic, now, lapic->due_ns - now, own);
}

/* The owning vCPU needs not be woken to see it. */
static void timer_interrupt(struct bv_lapic *lapic, bool own)
{
	u32 lvt = BV_READ_ONCE(lapic->lvt[LVT_TIMER]);

	if (!own || lvt & LVT_MASKED || (lvt & LVT_VECTOR) < 16 || !lapic_present(lapic))
		bv_lapic_local(lapic, LVT_TIMER);
	else
		bv_lapic_request_own(lapic, lvt & LVT_VECTOR);
}

/*
 * Looks at the armed timer: fires if it is due, else has it looked at again in time. `own`: by
 * the owning vCPU, or while it does not run; else the vCPU sleeps, or has no turns.
 */
static void timer_check_locked(struct bv_lapic *lapic, bool own)
{
	u64 now = bv_host_ns();
	u64 left = timer_left(lapic, now);

	if (left) {
		timer_watch_locked(lapic, now, left, own);
		return;
	}
	if (timer_mode(lapic->lvt[LVT_TIMER]) == TIMER_PERIODIC) {
		timer_next_period_locked(lapic, now, own);
	} else {
		lapic->armed = false;
		lapic->tsc_deadline = 0;
		if (own)
			lapic->vcpu->turn_ticks = BV_NO_TURN;
	}
	timer_interrupt(lapic, own);
}

static void timer_fire(struct bv_timer *timer)
{
	struct bv_lapic *lapic = BV_CONTAINER(timer, struct bv_lapic, timer);
	u64 flags = bv_host_spin_lock_irq(&lapic->timer_lock);

	if (lapic->armed)
		timer_check_locked(lapic, false);
	bv_host_spin_unlock_irq(&lapic->timer_lock, flags);
}

/* ---- registers ---- */

void bv_lapic_timer_init(struct bv_lapic *lapic)
{
	bv_host_spin_init(&lapic->timer_lock);
	bv_host_timer_init(&lapic->timer, timer_fire);
}

static void timer_unarm_locked(struct bv_lapic *lapic)
{
	lapic->armed = false;
	lapic->vcpu->turn_ticks = BV_NO_TURN;
}

static void timer_disarm_locked(struct bv_lapic *lapic)
{
	timer_unarm_locked(lapic);
	lapic->tmict = 0;
	lapic->period_ns = 0;
	lapic->tsc_deadline = 0;
}

void bv_lapic_timer_fini(struct bv_lapic *lapic)
{
	u64 flags = bv_host_spin_lock_irq(&lapic->timer_lock);

	timer_disarm_locked(lapic);
	bv_host_spin_unlock_irq(&lapic->timer_lock, flags);
	bv_host_timer_cancel(&lapic->timer);
}

void bv_lapic_timer_reset(struct bv_lapic *lapic)
{
	u64 flags = bv_host_spin_lock_irq(&lapic->timer_lock);

	timer_disarm_locked(lapic);
	lapic->tdcr = 0;
	BV_WRITE_ONCE(lapic->lvt[LVT_TIMER], LVT_MASKED);
	bv_host_spin_unlock_irq(&lapic->timer_lock, flags);
}

void bv_lapic_timer_stop(struct bv_lapic *lapic)
{
	u64 flags = bv_host_spin_lock_irq(&lapic->timer_lock);

	timer_unarm_locked(lapic);
	bv_host_spin_unlock_irq(&lapic->timer_lock, flags);
}

/* Starts counting `count` down from now; periods after the first have tmict. */
static void timer_start_locked(struct bv_lapic *lapic, u32 count)
{
	u32 shift = timer_shift(lapic->tdcr);
	u64 first = (u64)count << shift, now = bv_host_ns();

	lapic->period_ns = (u64)lapic->tmict << shift;
	if (timer_mode(lapic->lvt[LVT_TIMER]) == TIMER_PERIODIC && first == lapic->period_ns)
		first = timer_repeat_ns(lapic);
	lapic->due_ns = now + first;
	lapic->armed = true;
	timer_watch_locked(lapic, now, first, true);
}

void bv_lapic_timer_set_count(struct bv_lapic *lapic, u32 count)
{
	u64 flags = bv_host_spin_lock_irq(&lapic->timer_lock);

	if (timer_mode(lapic->lvt[LVT_TIMER]) != TIMER_TSC_DEADLINE) {
		lapic->tmict = count;
		if (count)
			timer_start_locked(lapic, count);
		else
			timer_disarm_locked(lapic);
	}
	bv_host_spin_unlock_irq(&lapic->timer_lock, flags);
}

/*
 * What is left of the count. A timer that is due fires here, so that zero is never seen before its
 * interrupt.
 */
static u32 timer_count_locked(struct bv_lapic *lapic)
{
	u32 shift = timer_shift(lapic->tdcr);
	u64 left, ticks;

	if (!lapic->armed || timer_mode(lapic->lvt[LVT_TIMER]) == TIMER_TSC_DEADLINE)
		return 0;
	left = timer_left(lapic, bv_host_ns());
	if (!left) {
		timer_check_locked(lapic, true);
		left = lapic->armed ? timer_left(lapic, bv_host_ns()) : 0;
	}
	ticks = (left + (1u << shift) - 1) >> shift;
	return ticks < lapic->tmict ? (u32)ticks : lapic->tmict;
}

u32 bv_lapic_timer_count(struct bv_lapic *lapic)
{
	u64 flags = bv_host_spin_lock_irq(&lapic->timer_lock);
	u32 count = timer_count_locked(lapic);

	bv_host_spin_unlock_irq(&lapic->timer_lock, flags);
	return count;
}

/* What is left of the count is counted at the new rate. */
void bv_lapic_timer_set_divide(struct bv_lapic *lapic, u32 tdcr)
{
	u64 flags = bv_host_spin_lock_irq(&lapic->timer_lock);
	u32 left = timer_count_locked(lapic);

	lapic->tdcr = tdcr & 0xb;
	if (left)
		timer_start_locked(lapic, left);
	bv_host_spin_unlock_irq(&lapic->timer_lock, flags);
}

/*
 * Going to TSC-deadline mode or from it stops the timer; between one-shot and periodic it counts
 * on.
 */
void bv_lapic_timer_set_lvt(struct bv_lapic *lapic, u32 lvt)
{
	u64 flags = bv_host_spin_lock_irq(&lapic->timer_lock);
	enum apic_timer_mode old = timer_mode(lapic->lvt[LVT_TIMER]);
	enum apic_timer_mode mode = timer_mode(lvt);

	if ((old == TIMER_TSC_DEADLINE) != (mode == TIMER_TSC_DEADLINE))
		timer_disarm_locked(lapic);
	BV_WRITE_ONCE(lapic->lvt[LVT_TIMER], lvt);
	bv_host_spin_unlock_irq(&lapic->timer_lock, flags);
}

static void timer_start_deadline_locked(struct bv_lapic *lapic)
{
	lapic->armed = lapic->tsc_deadline != 0;
	if (lapic->armed)
		timer_check_locked(lapic, true);
	else
		timer_unarm_locked(lapic);
}

void bv_lapic_timer_set_deadline(struct bv_lapic *lapic, u64 deadline, bool host)
{
	u64 flags = bv_host_spin_lock_irq(&lapic->timer_lock);
	bool in_mode = timer_mode(lapic->lvt[LVT_TIMER]) == TIMER_TSC_DEADLINE;

	/*
	 * In other modes a guest's write has no effect; a restored value waits for its mode to be
	 * restored.
	 */
	if (in_mode || host)
		lapic->tsc_deadline = deadline;
	if (in_mode && lapic_present(lapic))
		timer_start_deadline_locked(lapic);
	bv_host_spin_unlock_irq(&lapic->timer_lock, flags);
}

u64 bv_lapic_timer_deadline(struct bv_lapic *lapic)
{
	u64 flags = bv_host_spin_lock_irq(&lapic->timer_lock);
	u64 deadline =
		timer_mode(lapic->lvt[LVT_TIMER]) == TIMER_TSC_DEADLINE ? lapic->tsc_deadline : 0;

	bv_host_spin_unlock_irq(&lapic->timer_lock, flags);
	return deadline;
}

/*
 * Some user spaces keep the initial count but not the current one, which then is 0: the timer may
 * have had its end before the state was saved, or not. It is taken for not: an interrupt too many
 * does less harm than one that never comes.
 */
void bv_lapic_timer_restore(struct bv_lapic *lapic, u32 lvt, u32 tdcr, u32 initial, u32 current)
{
	u64 flags = bv_host_spin_lock_irq(&lapic->timer_lock);
	u64 deadline = lapic->tsc_deadline;
	bool periodic = timer_mode(lvt) == TIMER_PERIODIC;

	timer_disarm_locked(lapic);
	BV_WRITE_ONCE(lapic->lvt[LVT_TIMER], lvt);
	lapic->tdcr = tdcr & 0xb;
	lapic->tmict = initial;
	if (timer_mode(lvt) == TIMER_TSC_DEADLINE) {
		lapic->tsc_deadline = deadline;
		timer_start_deadline_locked(lapic);
	} else if (initial) {
		if (current > initial || (periodic && !current))
			current = initial;
		timer_start_locked(lapic, current);
	}
	bv_host_spin_unlock_irq(&lapic->timer_lock, flags);
}

void bv_lapic_tsc_changed(struct bv_vcpu *vcpu)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);
	u64 flags = bv_host_spin_lock_irq(&lapic->timer_lock);

	if (lapic->armed && timer_mode(lapic->lvt[LVT_TIMER]) == TIMER_TSC_DEADLINE)
		timer_check_locked(lapic, true);
	bv_host_spin_unlock_irq(&lapic->timer_lock, flags);
}

/* ---- turns ---- */

void bv_lapic_timer_turn_over(struct bv_vcpu *vcpu)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);
	u64 flags = bv_host_spin_lock_irq(&lapic->timer_lock);

	if (lapic->armed)
		timer_check_locked(lapic, true);
	bv_host_spin_unlock_irq(&lapic->timer_lock, flags);
}

void bv_lapic_timer_sleep(struct bv_vcpu *vcpu)
{
	struct bv_lapic *lapic = vcpu_lapic(vcpu);
	u64 flags = bv_host_spin_lock_irq(&lapic->timer_lock), now = bv_host_ns();

	vcpu->turn_ticks = BV_NO_TURN;
	if (lapic->armed)
		bv_host_timer_set(&lapic->timer, now + timer_left(lapic, now));
	bv_host_spin_unlock_irq(&lapic->timer_lock, flags);
}

void bv_lapic_timer_awake(struct bv_vcpu *vcpu)
{
	bv_host_timer_cancel(&vcpu_lapic(vcpu)->timer);
	bv_lapic_timer_turn_over(vcpu);
}
