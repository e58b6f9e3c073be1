/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The run loop. Read bv_vcpu_run first: it is what the engine does.
 *
 * Entering. guest_mode says IN_GUEST before the requests are looked at, and whoever sets a request
 * looks at guest_mode after: so either this thread sees the request, or the other one sees a guest
 * to interrupt. An interrupt sent between the look and the entry is pending when the guest is
 * entered, and makes it exit at once.
 */
#include "core/vcpu.h"

/*
 * Requests that the last moment before entry deals with, interrupts off; all others are dealt with
 * before.
 */
#define LATE_REQUESTS (1u << BV_REQ_EVENT | 1u << BV_REQ_TLB_FLUSH)

static enum bv_exit_next run_return(struct bv_vcpu *vcpu, enum bv_run_reason reason)
{
	vcpu->run->reason = reason;
	return BV_NEXT_FRONT;
}

/* ---- requests ---- */

/* What exits depend on, all at once: after CPUID, debug settings or debug registers changed. */
static void wishes_reload(struct bv_vcpu *vcpu)
{
	struct bv_wishes *wishes = &vcpu->wishes;

	bv_vcpu_need(vcpu, BV_ST_DR);
	if (vcpu->state.dr7 & BV_DR7_ENABLES)
		vcpu->dr_live = true;
	wishes->cr4_writes = bv_vendor->cr4_supported() & ~vcpu->caps.cr4;
	wishes->dr_accesses = !vcpu->dr_live || vcpu->debug.hard_breakpoints;
	wishes->bp_exits = vcpu->debug.soft_breakpoints;
	bv_vendor->wish(vcpu, wishes);
}

static void sipi_take(struct bv_vcpu *vcpu)
{
	u8 vector = __atomic_load_n(&vcpu->sipi_vector, __ATOMIC_ACQUIRE);
	struct bv_seg *cs = &vcpu->state.seg[BV_SEG_CS];

	if (vcpu->mp_state != BV_MP_INIT_RECEIVED)
		return;
	bv_vcpu_touch(vcpu, BV_ST_SEG(BV_SEG_CS));
	cs->sel = vector << 8;
	cs->base = (u64)vector << 12;
	vcpu->gprs.rip = 0;
	vcpu->mp_state = BV_MP_RUNNABLE;
}

static void init_take(struct bv_vcpu *vcpu)
{
	bv_vcpu_reset(vcpu, true);
	vcpu->mp_state = bv_vcpu_is_bsp(vcpu) ? BV_MP_RUNNABLE : BV_MP_INIT_RECEIVED;
}

static void l2_leave(struct bv_vcpu *vcpu, enum bv_l2_event event)
{
	bv_host_rwsem_read(&vcpu->vm->mem_lock);
	bv_vendor->nesting->leave(vcpu, event, 0);
	bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
}

/* Whether an INIT waits: it is held, or L1 is told of it and holds it from then on. */
static bool init_nested(struct bv_vcpu *vcpu)
{
	if (vcpu->nesting == BV_NESTING_L2 && vcpu->nested->init_exits)
		l2_leave(vcpu, BV_L2_INIT);
	if (!(vcpu->nesting & BV_NESTING_HELD))
		return false;
	vcpu->nested->init_held = true;
	return true;
}

static bool triple_fault_nested(struct bv_vcpu *vcpu)
{
	if (!(vcpu->nesting & BV_NESTING_L2) || !vcpu->nested->shutdown_exits)
		return false;
	l2_leave(vcpu, BV_L2_SHUTDOWN);
	return true;
}

/* Guests restart themselves that way, too: what they were at is all that we can tell. */
static enum bv_exit_next triple_fault(struct bv_vcpu *vcpu)
{
	const struct bv_cpu_state *state = &vcpu->state;

	bv_vcpu_need(vcpu, BV_ST_SEG(BV_SEG_CS) | BV_ST_TABLES | BV_ST_CR);
	bv_refuse(&vcpu->vm->why, 0,
		  "vCPU %u: triple fault at %x:%#llx, CR0 %#llx CR2 %#llx CR3 %#llx CR4 %#llx, "
		  "IDT %#llx",
		  vcpu->index, state->seg[BV_SEG_CS].sel, vcpu->gprs.rip, state->cr0, state->cr2,
		  state->cr3, state->cr4, state->idt.base);
	return run_return(vcpu, BV_RUN_SHUTDOWN);
}

/*
 * Taken at once: of INIT and SIPI, which processors send one right after the other, the second is
 * never found without the first.
 */
static void start_requests_handle(struct bv_vcpu *vcpu)
{
	const u32 both = 1u << BV_REQ_INIT | 1u << BV_REQ_SIPI;
	u32 taken;

	if (bv_likely(!(__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & both)))
		return;
	taken = __atomic_fetch_and(&vcpu->requests, ~both, __ATOMIC_SEQ_CST);
	if (taken & 1u << BV_REQ_INIT && !init_nested(vcpu))
		init_take(vcpu);
	if (taken & 1u << BV_REQ_SIPI)
		sipi_take(vcpu);
}

static enum bv_exit_next requests_handle(struct bv_vcpu *vcpu)
{
	if (__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & 1u << BV_REQ_DEAD)
		return run_return(vcpu, BV_RUN_DEAD);
	if (bv_vcpu_take_request(vcpu, BV_REQ_EOI_EXIT)) {
		vcpu->run->vector = vcpu->eoi_vector;
		return run_return(vcpu, BV_RUN_EOI);
	}
	start_requests_handle(vcpu);
	if (bv_vcpu_take_request(vcpu, BV_REQ_TRIPLE_FAULT) && !triple_fault_nested(vcpu))
		return triple_fault(vcpu);
	if (bv_vcpu_take_request(vcpu, BV_REQ_UNHALT) && vcpu->mp_state == BV_MP_HALTED)
		vcpu->mp_state = BV_MP_RUNNABLE;
	if (bv_vcpu_take_request(vcpu, BV_REQ_RELOAD))
		wishes_reload(vcpu);
	if (bv_vcpu_take_request(vcpu, BV_REQ_SOFT_IRQ)) {
		bv_host_rwsem_read(&vcpu->vm->mem_lock);
		bv_event_soft_prepare(vcpu);
		bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
	}
	if (bv_vcpu_take_request(vcpu, BV_REQ_PV) && vcpu->vm->pv && vcpu->vm->pv->refresh) {
		bv_host_rwsem_read(&vcpu->vm->mem_lock);
		vcpu->vm->pv->refresh(vcpu);
		bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
	}
	return BV_NEXT_GUEST;
}

/* ---- waiting ---- */

static bool halted_ready(struct bv_vcpu *vcpu)
{
	u32 requests = __atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE);

	if (requests & ~LATE_REQUESTS)
		return true;
	return vcpu->mp_state == BV_MP_HALTED && bv_event_wakes(vcpu);
}

/* Sleeps until an event ends HLT, or a SIPI starts the processor. */
static enum bv_exit_next run_wait(struct bv_vcpu *vcpu)
{
	bool timed = bv_vcpu_turn_is_set(vcpu);
	int error;

	vcpu->counter[BV_COUNT_HALT_WAITS]++;
	if (timed)
		vcpu->vm->intc->sleep(vcpu);
	error = bv_host_vcpu_wait(vcpu, halted_ready);
	if (timed)
		vcpu->vm->intc->awake(vcpu);
	if (error)
		return run_return(vcpu, BV_RUN_INTERRUPTED);
	if (vcpu->mp_state == BV_MP_HALTED && bv_event_wakes(vcpu))
		vcpu->mp_state = BV_MP_RUNNABLE;
	return BV_NEXT_GUEST;
}

/* ---- one entry ---- */

/* CR8 is the task priority, which the local APIC is to hear of when the guest has changed it. */
static void run_enter_with_cr8(struct bv_vcpu *vcpu)
{
	u8 before = vcpu->cr8;

	bv_vendor->enter(vcpu);
	if (bv_unlikely(vcpu->cr8 != before))
		bv_vcpu_set_cr8(vcpu, vcpu->cr8);
}

/*
 * What has arrived since bv_eoi_prepare may need the guest's next EOI: then the guest comes back
 * before it has executed anything.
 */
static void run_check_eoi(struct bv_vcpu *vcpu)
{
	if (vcpu->eoi_offered && vcpu->vm->intc->eoi_next(vcpu) == BV_EOI_TOLD)
		bv_host_vcpu_interrupt(vcpu);
}

/* Interrupts are off. False: not entered, something has to be done first. */
static bool run_enter(struct bv_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->guest_mode, BV_IN_GUEST, __ATOMIC_SEQ_CST);
	if (bv_unlikely(__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST))) {
		if (__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) & ~LATE_REQUESTS) {
			__atomic_store_n(&vcpu->guest_mode, BV_OUTSIDE_GUEST, __ATOMIC_RELEASE);
			return false;
		}
		if (bv_vcpu_take_request(vcpu, BV_REQ_TLB_FLUSH)) {
			vcpu->counter[BV_COUNT_TLB_FLUSHES]++;
			bv_vendor->tlb_flush(vcpu);
			if (bv_unlikely(vcpu->nested))
				bv_shadow_forget(&vcpu->nested->shadow);
		}
		if (bv_vcpu_take_request(vcpu, BV_REQ_EVENT)) {
			bv_event_prepare(vcpu);
			run_check_eoi(vcpu);
		}
	}
	if (vcpu->dirty) {
		bv_vendor->push(vcpu, vcpu->dirty);
		vcpu->dirty = 0;
	}
	run_enter_with_cr8(vcpu);
	vcpu->valid = 0;
	__atomic_store_n(&vcpu->guest_mode, BV_OUTSIDE_GUEST, __ATOMIC_RELEASE);
	return true;
}

/* Whether the front asked to be told that an interrupt can be taken now. */
static bool irq_window_due(struct bv_vcpu *vcpu)
{
	return vcpu->run->irq_window_wanted && bv_vcpu_irq_open(vcpu);
}

/* What events need before the entry, while guest memory can still be written. */
static void run_prepare(struct bv_vcpu *vcpu)
{
	if (bv_unlikely(vcpu->at_entry & BV_AT_ENTRY_L2))
		bv_event_l2_prepare(vcpu);
	if (vcpu->at_entry & BV_AT_ENTRY_EOI)
		bv_eoi_prepare(vcpu);
}

static enum bv_exit_next run_once(struct bv_vcpu *vcpu)
{
	bool entered;

	if (bv_unlikely(__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & ~LATE_REQUESTS) &&
	    requests_handle(vcpu) == BV_NEXT_FRONT)
		return BV_NEXT_FRONT;
	if (bv_unlikely(vcpu->mp_state != BV_MP_RUNNABLE))
		return run_wait(vcpu);
	if (bv_unlikely(vcpu->step_due))
		return bv_exit_step_report(vcpu);
	if (bv_unlikely(irq_window_due(vcpu)))
		return run_return(vcpu, BV_RUN_IRQ_WINDOW);
	if (bv_unlikely(bv_dirty_ring_full(vcpu->ring)))
		return run_return(vcpu, BV_RUN_DIRTY_RING_FULL);
	if (bv_unlikely(vcpu->dirty & BV_ST_CR) && bv_vendor->prepare)
		bv_vendor->prepare(vcpu);
	if (bv_unlikely(vcpu->at_entry) &&
	    __atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & 1u << BV_REQ_EVENT)
		run_prepare(vcpu);
	if (bv_host_guest_enter(vcpu))
		return run_return(vcpu, BV_RUN_INTERRUPTED);
	entered = run_enter(vcpu);
	bv_host_guest_leave(vcpu);
	if (!entered)
		return BV_NEXT_GUEST;
	vcpu->counter[BV_COUNT_ENTRIES]++;
	bv_event_exited(vcpu);
	if (bv_unlikely(BV_READ_ONCE(vcpu->vm->regions.logged)))
		bv_regions_log_take(vcpu);
	if (bv_unlikely(vcpu->eoi_offered))
		bv_eoi_look(vcpu);
	return bv_exit_handle(vcpu);
}

void bv_vcpu_run(struct bv_vcpu *vcpu, struct bv_run *run)
{
	enum bv_exit_next next = BV_NEXT_GUEST;

	vcpu->run = run;
	if (run->irq_window_wanted != vcpu->wishes.irq_window)
		bv_vcpu_request(vcpu, BV_REQ_EVENT);
	if (bv_host_run_begin(vcpu)) {
		run_return(vcpu, BV_RUN_INTERRUPTED);
		return;
	}
	if (vcpu->wait.kind != BV_WAIT_NOTHING)
		next = bv_wait_finish(vcpu);
	if (next == BV_NEXT_GUEST && run->immediate_exit)
		next = run_return(vcpu, BV_RUN_INTERRUPTED);
	while (next == BV_NEXT_GUEST)
		next = run_once(vcpu);
	if (bv_unlikely(vcpu->eoi_offered))
		bv_eoi_withdraw(vcpu);
	vcpu->counter[BV_COUNT_TO_FRONT]++;
	bv_host_run_end(vcpu);
}

/* ---- from outside ---- */

void bv_vcpu_kick(struct bv_vcpu *vcpu)
{
	/* From the guest it comes to look at its requests before it can sleep. */
	if (__atomic_load_n(&vcpu->guest_mode, __ATOMIC_SEQ_CST) != BV_IN_GUEST)
		bv_host_vcpu_wake(vcpu);
	else if (!bv_host_vcpu_is_current(vcpu))
		bv_host_vcpu_interrupt(vcpu);
}

void bv_vcpu_load(struct bv_vcpu *vcpu)
{
	u32 cpu = bv_host_cpu();

	/*
	 * Its clock page tells of this CPU's time stamp counter; steal time grows while it is on
	 * none.
	 */
	if (vcpu->cpu != cpu || vcpu->pv_each_load)
		bv_vcpu_request(vcpu, BV_REQ_PV);
	vcpu->cpu = cpu;
	bv_vendor->load(vcpu);
	vcpu->loaded = true;
}

void bv_vcpu_unload(struct bv_vcpu *vcpu)
{
	vcpu->loaded = false;
	bv_vendor->unload(vcpu);
	/*
	 * Debug registers that hold no breakpoint need not be switched at every exit until they are
	 * used again.
	 */
	if (vcpu->dr_live && !vcpu->debug.hard_breakpoints) {
		bv_vcpu_need(vcpu, BV_ST_DR);
		if (!(vcpu->state.dr7 & BV_DR7_ENABLES)) {
			vcpu->dr_live = false;
			bv_vcpu_request(vcpu, BV_REQ_RELOAD);
		}
	}
}

bool bv_vcpu_if_flag(struct bv_vcpu *vcpu)
{
	return vcpu->gprs.rflags & BV_RFLAGS_IF;
}

bool bv_vcpu_irq_open(struct bv_vcpu *vcpu)
{
	const struct bv_events *events = &vcpu->events;

	return bv_event_irq_allowed(vcpu) && bv_event_front_irq_taken(vcpu) &&
	       vcpu->front_irq < 0 && !events->interrupt.injected && !events->exception.injected &&
	       !events->exception.pending && !events->nmi.injected;
}
