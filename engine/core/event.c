/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Events: exceptions, NMIs and interrupts on their way into the guest.
 *
 * An event is first pending (it may still be merged or wait), then injected (the entry at hand
 * delivers it). After each exit the hardware says whether a delivery was cut off; then the event is
 * injected again, else it is forgotten. Priorities at an entry: what must be delivered again,
 * exceptions, NMIs, interrupts. What cannot be delivered now makes a wish for an exit at the moment
 * when it can.
 *
 * NMIs without help of the hardware. The guest's NMI handler ends with IRET, and until then no
 * further NMI may come. So IRET exits once an NMI was injected. At that exit the IRET is still to
 * be executed; if another NMI waits, the guest is stepped over it.
 *
 * Stepping (for NMIs, for a debugger, over a shadow) borrows the guest's TF flag for one entry and
 * takes it back at the exit.
 *
 * The shadow of STI and MOV SS is the hardware's: no interrupt window opens in it. One emulator of
 * AMD-V forgets it at an entry, so that an interrupt would come between STI and HLT, and a guest
 * that looked for work before would sleep. Where a window opens in a shadow, the guest is stepped
 * over the instruction.
 *
 * An interrupt that the guest cannot take yet is offered to the hardware, where it can deliver one
 * by itself. The offer holds for one entry: after the exit it has been taken, or is looked at anew.
 * Else, and where something else is to be done first, the window opens with an exit.
 *
 * Where the hardware can, it also ends interrupts: it has the vectors in service (struct
 * bv_service), and the local APIC learns after an exit which of them are left. Whatever changes the
 * local APIC otherwise makes the vCPU look (BV_REQ_EVENT), so that the hardware gets to know it.
 *
 * A software interrupt (INT n) whose delivery was cut off is raised again by its instruction, which
 * is in a shadow until then. It is injected only where that shadow is forgotten, since it cannot be
 * stepped over: the flags that it saves would have our TF.
 */
#include "core/vcpu.h"

/* ---- raising ---- */

enum exception_class {
	BENIGN,
	CONTRIBUTORY,
	PAGE_FAULT
};

/* Volume 2, table 8-3 */
static enum exception_class exception_class(u8 vector)
{
	switch (vector) {
	case BV_EXC_PF:
		return PAGE_FAULT;
	case BV_EXC_DE:
	case BV_EXC_TS:
	case BV_EXC_NP:
	case BV_EXC_SS:
	case BV_EXC_GP:
	case BV_EXC_CP:
		return CONTRIBUTORY;
	default:
		return BENIGN;
	}
}

static bool makes_double_fault(u8 first, u8 second)
{
	enum exception_class a = exception_class(first), b = exception_class(second);

	return (a == CONTRIBUTORY && b == CONTRIBUTORY) || (a == PAGE_FAULT && b != BENIGN);
}

void bv_event_raise(struct bv_vcpu *vcpu, u8 vector, bool has_error, u32 error, u64 payload)
{
	struct bv_events *events = &vcpu->events;
	bool busy = events->exception.pending || events->exception.injected;

	bv_vcpu_request(vcpu, BV_REQ_EVENT);
	if (busy && events->exception.vector == BV_EXC_DF) {
		bv_vcpu_request(vcpu, BV_REQ_TRIPLE_FAULT);
		return;
	}
	if (busy && makes_double_fault(events->exception.vector, vector)) {
		vector = BV_EXC_DF;
		has_error = true;
		error = 0;
		payload = 0;
	}
	/* One #DB tells of all that led to it. */
	if (events->exception.pending && events->exception.has_payload &&
	    events->exception.vector == BV_EXC_DB && vector == BV_EXC_DB)
		payload |= events->exception.payload;
	/*
	 * Of two that do not combine, the second comes first: the first is raised again by its
	 * instruction.
	 */
	events->exception.pending = true;
	events->exception.injected = false;
	events->exception.vector = vector;
	events->exception.has_error = has_error;
	events->exception.error = error;
	events->exception.has_payload = vector == BV_EXC_PF || (vector == BV_EXC_DB && payload);
	events->exception.payload = payload;
}

void bv_event_raise_fault(struct bv_vcpu *vcpu, const struct bv_fault *fault)
{
	bv_event_raise(vcpu, fault->vector, fault->has_error, fault->error, fault->cr2);
}

void bv_vcpu_inject_exception(struct bv_vcpu *vcpu, u8 vector, bool has_error, u32 error)
{
	bv_event_raise(vcpu, vector, has_error, error, 0);
}

int bv_vcpu_interrupt(struct bv_vcpu *vcpu, u8 vector)
{
	if (vcpu->front_irq >= 0)
		return bv_refuse(&vcpu->vm->why, BV_EEXIST,
				 "interrupt %u: vector %d is still waiting", vector,
				 vcpu->front_irq);
	vcpu->front_irq = vector;
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
	return 0;
}

void bv_vcpu_nmi(struct bv_vcpu *vcpu)
{
	/* More than two are as two: one under way and one latched. */
	if (__atomic_load_n(&vcpu->nmi_queued, __ATOMIC_RELAXED) < 2)
		__atomic_fetch_add(&vcpu->nmi_queued, 1, __ATOMIC_SEQ_CST);
	bv_vcpu_irq_arrived(vcpu);
}

void bv_vcpu_irq_arrived(struct bv_vcpu *vcpu)
{
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
	bv_vcpu_kick(vcpu);
}

void bv_vcpu_init_signal(struct bv_vcpu *vcpu)
{
	bv_vcpu_request(vcpu, BV_REQ_INIT);
	bv_vcpu_kick(vcpu);
}

void bv_vcpu_sipi_signal(struct bv_vcpu *vcpu, u8 vector)
{
	__atomic_store_n(&vcpu->sipi_vector, vector, __ATOMIC_SEQ_CST);
	bv_vcpu_request(vcpu, BV_REQ_SIPI);
	bv_vcpu_kick(vcpu);
}

/* ---- what can be delivered now ---- */

/* With local APICs in the engine and the 8259 in the front, LINT0 decides. */
bool bv_event_front_irq_taken(struct bv_vcpu *vcpu)
{
	return !vcpu->vm->intc || vcpu->vm->intc->takes_extint(vcpu);
}

static int pv_irq(struct bv_vcpu *vcpu, bool take)
{
	const struct bv_pv_ops *pv = vcpu->vm->pv;

	return pv && pv->irq ? pv->irq(vcpu, take) : -1;
}

static int irq_pending(struct bv_vcpu *vcpu)
{
	int vector = pv_irq(vcpu, false);

	if (vector >= 0)
		return vector;
	if (vcpu->front_irq >= 0 && bv_event_front_irq_taken(vcpu))
		return vcpu->front_irq;
	return vcpu->vm->intc ? vcpu->vm->intc->pending(vcpu) : -1;
}

static int irq_take(struct bv_vcpu *vcpu)
{
	int vector = pv_irq(vcpu, true);

	if (vector >= 0)
		return vector;
	vector = vcpu->front_irq;
	if (vector < 0 || !bv_event_front_irq_taken(vcpu))
		return vcpu->vm->intc ? vcpu->vm->intc->take(vcpu) : -1;
	vcpu->front_irq = -1;
	return vector;
}

/*
 * In L2. Where it has a task priority of its own, L1's flag counts, by which L2 was entered; exits
 * to L1 are not held off by a shadow.
 */
static bool l2_irq_flag(const struct bv_vcpu *vcpu)
{
	return vcpu->nested->own_tpr ? vcpu->nested->host_if : vcpu->gprs.rflags & BV_RFLAGS_IF;
}

static bool nesting_irq_allowed(struct bv_vcpu *vcpu)
{
	if (vcpu->nesting & BV_NESTING_HELD || !l2_irq_flag(vcpu) || vcpu->debug.block_irq)
		return false;
	return vcpu->nested->irq_exits || !bv_vendor->shadow_get(vcpu);
}

bool bv_event_irq_allowed(struct bv_vcpu *vcpu)
{
	if (bv_unlikely(vcpu->nesting))
		return nesting_irq_allowed(vcpu);
	return vcpu->gprs.rflags & BV_RFLAGS_IF && !bv_vendor->shadow_get(vcpu) &&
	       !vcpu->debug.block_irq;
}

/* L1 with all held, or L2. */
static bool nesting_wakes(struct bv_vcpu *vcpu)
{
	if (vcpu->nesting & BV_NESTING_HELD)
		return false;
	return (l2_irq_flag(vcpu) && irq_pending(vcpu) >= 0) ||
	       bv_vendor->nesting->virtual_irq(vcpu);
}

bool bv_event_wakes(struct bv_vcpu *vcpu)
{
	const struct bv_events *events = &vcpu->events;

	if (events->exception.pending || events->exception.injected || events->nmi.injected ||
	    events->interrupt.injected)
		return true;
	if ((events->nmi.pending || __atomic_load_n(&vcpu->nmi_queued, __ATOMIC_ACQUIRE)) &&
	    !events->nmi.masked && !(vcpu->nesting & BV_NESTING_HELD))
		return true;
	if (bv_unlikely(vcpu->nesting))
		return nesting_wakes(vcpu);
	return vcpu->gprs.rflags & BV_RFLAGS_IF && irq_pending(vcpu) >= 0;
}

/*
 * Takes in the NMIs that other threads have queued: at most two wait, one where the handler is
 * running.
 */
static void nmi_collect(struct bv_vcpu *vcpu)
{
	struct bv_events *events = &vcpu->events;
	u32 most = events->nmi.masked || events->nmi.injected ? 1 : 2;
	u32 sum;

	if (!__atomic_load_n(&vcpu->nmi_queued, __ATOMIC_ACQUIRE))
		return;
	sum = events->nmi.pending + __atomic_exchange_n(&vcpu->nmi_queued, 0, __ATOMIC_SEQ_CST);
	events->nmi.pending = sum < most ? sum : most;
}

/* ---- at an entry ---- */

void bv_vcpu_exception_payload(struct bv_vcpu *vcpu)
{
	struct bv_events *events = &vcpu->events;

	if (!events->exception.pending || !events->exception.has_payload)
		return;
	events->exception.has_payload = false;
	if (events->exception.vector == BV_EXC_PF) {
		bv_vcpu_touch(vcpu, BV_ST_CR);
		vcpu->state.cr2 = events->exception.payload;
	} else if (events->exception.vector == BV_EXC_DB) {
		bv_vcpu_touch(vcpu, BV_ST_DR);
		vcpu->state.dr6 = (vcpu->state.dr6 & ~0xfull) | events->exception.payload;
	}
}

/* Entering the handler of #DB clears general detect, with or without news for DR6. */
static void exception_general_detect(struct bv_vcpu *vcpu)
{
	if (vcpu->events.exception.vector != BV_EXC_DB)
		return;
	bv_vcpu_need(vcpu, BV_ST_DR);
	if (vcpu->state.dr7 & BV_DR7_GD) {
		bv_vcpu_touch(vcpu, BV_ST_DR);
		vcpu->state.dr7 &= ~BV_DR7_GD;
	}
}

/*
 * Faults (all but traps and aborts) are delivered with RF set in the saved flags, so that the
 * instruction runs on its return.
 */
static void exception_resume_flag(struct bv_vcpu *vcpu)
{
	u8 vector = vcpu->events.exception.vector;

	if (vector != BV_EXC_DB && vector != BV_EXC_BP && vector != BV_EXC_OF &&
	    vector != BV_EXC_DF && vector != BV_EXC_MC)
		vcpu->gprs.rflags |= BV_RFLAGS_RF;
}

/*
 * A software interrupt is delivered again only from where its INT n is, and if nothing comes first.
 * Else it is forgotten: the instruction is still to be executed, and raises it again.
 */
static void soft_irq_check(struct bv_vcpu *vcpu)
{
	struct bv_events *events = &vcpu->events;

	if (bv_likely(!events->interrupt.soft))
		return;
	if (!events->exception.injected && !events->nmi.injected &&
	    vcpu->gprs.rip == vcpu->soft_rip && vcpu->soft_next_rip != vcpu->soft_rip)
		return;
	events->interrupt.soft = false;
	events->interrupt.injected = false;
}

/* Gives the vendor what has to be delivered; false if nothing has. */
static bool inject_first(struct bv_vcpu *vcpu)
{
	struct bv_events *events = &vcpu->events;

	if (events->exception.pending && !events->exception.injected) {
		bv_vcpu_exception_payload(vcpu);
		exception_general_detect(vcpu);
		exception_resume_flag(vcpu);
		events->exception.pending = false;
		events->exception.injected = true;
		vcpu->counter[BV_COUNT_EXCEPTIONS_INJECTED]++;
	}
	soft_irq_check(vcpu);
	if (events->exception.injected)
		bv_vendor->inject(vcpu, BV_EVENT_EXCEPTION, events->exception.vector,
				  events->exception.has_error && vcpu->state_protected,
				  events->exception.error);
	else if (events->nmi.injected)
		bv_vendor->inject(vcpu, BV_EVENT_NMI, BV_EXC_NMI, false, 0);
	else if (events->interrupt.injected)
		bv_vendor->inject(vcpu, events->interrupt.soft ? BV_EVENT_SOFT_IRQ : BV_EVENT_IRQ,
				  events->interrupt.vector, false, 0);
	else
		return false;
	return true;
}

static bool inject_nmi(struct bv_vcpu *vcpu)
{
	struct bv_events *events = &vcpu->events;

	if (!events->nmi.pending || events->nmi.masked || bv_vendor->shadow_get(vcpu))
		return false;
	events->nmi.pending--;
	events->nmi.injected = true;
	events->nmi.masked = true;
	vcpu->counter[BV_COUNT_NMIS_INJECTED]++;
	bv_vendor->inject(vcpu, BV_EVENT_NMI, BV_EXC_NMI, false, 0);
	return true;
}

static bool inject_irq(struct bv_vcpu *vcpu)
{
	struct bv_events *events = &vcpu->events;
	int vector;

	if (!bv_event_irq_allowed(vcpu))
		return false;
	vector = irq_take(vcpu);
	if (vector < 0)
		return false;
	events->interrupt.injected = true;
	events->interrupt.soft = false;
	events->interrupt.vector = vector;
	vcpu->counter[BV_COUNT_IRQS_INJECTED]++;
	bv_vendor->inject(vcpu, BV_EVENT_IRQ, vector, false, 0);
	return true;
}

static void step_begin(struct bv_vcpu *vcpu)
{
	vcpu->stepping = true;
	vcpu->step_guest_tf = vcpu->gprs.rflags & BV_RFLAGS_TF;
	vcpu->gprs.rflags |= BV_RFLAGS_TF;
	if (vcpu->debug.single_step)
		vcpu->gprs.rflags |= vcpu->debug.block_irq ? BV_RFLAGS_RF : 0;
}

/*
 * Whether an interrupt may be left to the hardware. The shadow at RIP may be forgotten, and steps
 * would be seen in the flags that the delivery saves.
 */
static bool irq_may_be_offered(struct bv_vcpu *vcpu)
{
	const struct bv_vm *vm = vcpu->vm;

	return bv_vendor->offer && vm->intc && vcpu->front_irq < 0 &&
	       !vcpu->run->irq_window_wanted && !(vm->pv && vm->pv->irq) &&
	       !vcpu->events.nmi.pending && !vcpu->debug.single_step && !vcpu->debug.block_irq &&
	       !vcpu->shadow_step && !bv_vendor->shadow_get(vcpu) && !vcpu->nesting;
}

static bool irq_offer(struct bv_vcpu *vcpu)
{
	if (!irq_may_be_offered(vcpu))
		return false;
	vcpu->offered = vcpu->vm->intc->offer(vcpu);
	if (vcpu->offered < 0)
		return false;
	bv_vendor->offer(vcpu, vcpu->offered);
	return true;
}

bool bv_event_may_serve(struct bv_vcpu *vcpu)
{
	const struct bv_vm *vm = vcpu->vm;

	return vcpu->x2apic && vm->serves && !vm->msr_filter &&
	       vm->intc->service(vcpu, &vcpu->service);
}

/* With the guest's word for ends (eoi.c) in use, the hardware would not see them all. */
static void service_begin(struct bv_vcpu *vcpu)
{
	bool before = vcpu->served;

	vcpu->served = bv_event_may_serve(vcpu) && !vcpu->eoi_offered;
	if (vcpu->served || before)
		bv_vendor->serve(vcpu, vcpu->served);
}

/*
 * Whether a window opens by what the guest does: not while all is held, and not in L2 where L1's
 * flag decides, which stays as it is.
 */
static bool irq_window_opens(const struct bv_vcpu *vcpu)
{
	return !vcpu->nesting || (vcpu->nesting == BV_NESTING_L2 && !vcpu->nested->own_tpr);
}

/* Which exits the state of things asks for. */
static void wishes_make(struct bv_vcpu *vcpu, bool injected)
{
	const struct bv_events *events = &vcpu->events;
	struct bv_wishes wishes = vcpu->wishes;
	bool nmi_waits = events->nmi.pending && !(vcpu->nesting & BV_NESTING_HELD);
	bool irq_waits = (irq_pending(vcpu) >= 0 ||
			  (vcpu->run->irq_window_wanted && bv_event_front_irq_taken(vcpu))) &&
			 irq_window_opens(vcpu);

	wishes.irq_window = irq_waits && !vcpu->debug.block_irq && !vcpu->shadow_step &&
			    (injected || !irq_offer(vcpu));
	wishes.nmi_window = bv_vendor->nmi_windows ? events->nmi.pending != 0 :
						     events->nmi.masked && !vcpu->nmi_iret;
	wishes.cr8_writes = vcpu->vm->intc ? vcpu->vm->intc->masked_by_tpr(vcpu) : true;
	/* An NMI that waits for the end of an IRET, or of a shadow, is brought there by a step. */
	if (!bv_vendor->nmi_windows && nmi_waits && !injected &&
	    (!events->nmi.masked || vcpu->nmi_iret))
		step_begin(vcpu);
	else if (!bv_vendor->nmi_windows && nmi_waits && !events->nmi.masked)
		bv_host_vcpu_interrupt(vcpu); /* it exits once the event has been delivered */
	else if (vcpu->debug.single_step || (vcpu->shadow_step && !injected))
		step_begin(vcpu);
	vcpu->shadow_step = false;
	wishes.single_step = vcpu->stepping;
	if (__builtin_memcmp(&wishes, &vcpu->wishes, sizeof(wishes))) {
		vcpu->wishes = wishes;
		bv_vendor->wish(vcpu, &wishes);
	}
}

/*
 * Gone from where the IRET was: the handler has ended. Looked at after exits, since a HLT that
 * comes next may be ended by an NMI, and before entries, since the front may have moved the CPU.
 */
static void nmi_iret_passed(struct bv_vcpu *vcpu)
{
	if (bv_unlikely(vcpu->nmi_iret) && vcpu->gprs.rip != vcpu->iret_rip) {
		vcpu->nmi_iret = false;
		vcpu->events.nmi.masked = false;
	}
}

/* ---- while L2 is on: what takes it back to L1 ---- */

static bool l2_exit_due(struct bv_vcpu *vcpu, enum bv_l2_event *event)
{
	const struct bv_nested *nested = vcpu->nested;
	const struct bv_events *events = &vcpu->events;

	if (events->exception.pending && nested->exception_exits >> events->exception.vector & 1)
		*event = BV_L2_EXCEPTION;
	else if (vcpu->nesting & BV_NESTING_HELD)
		return false;
	else if (nested->nmi_exits && events->nmi.pending && !events->nmi.masked)
		*event = BV_L2_NMI;
	else if (nested->irq_exits && nesting_irq_allowed(vcpu) && irq_pending(vcpu) >= 0)
		*event = BV_L2_IRQ;
	else
		return false;
	return true;
}

/* An event that is to be delivered first. */
static bool l2_delivers(struct bv_vcpu *vcpu)
{
	const struct bv_events *events = &vcpu->events;

	return events->exception.injected || events->nmi.injected || events->interrupt.injected ||
	       bv_vendor->nesting->injecting(vcpu);
}

void bv_event_l2_prepare(struct bv_vcpu *vcpu)
{
	enum bv_l2_event event;

	nmi_collect(vcpu);
	if (l2_delivers(vcpu) || !l2_exit_due(vcpu, &event))
		return;
	bv_host_rwsem_read(&vcpu->vm->mem_lock);
	bv_vendor->nesting->leave(vcpu, event, 0);
	bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
}

/*
 * Whether nothing new is injected by this entry. What came too late for bv_event_l2_prepare, or
 * behind an event that has to be delivered first, makes L2 exit at once, and is looked at then.
 */
static bool nesting_holds(struct bv_vcpu *vcpu)
{
	const struct bv_events *events = &vcpu->events;
	bool injecting;
	enum bv_l2_event event;

	if (!(vcpu->nesting & BV_NESTING_L2))
		return true;
	injecting = bv_vendor->nesting->injecting(vcpu);
	if (l2_exit_due(vcpu, &event) ||
	    (injecting && (events->exception.pending || events->nmi.pending ||
			   (nesting_irq_allowed(vcpu) && irq_pending(vcpu) >= 0)))) {
		bv_vcpu_request(vcpu, BV_REQ_EVENT);
		bv_host_vcpu_interrupt(vcpu);
		return true;
	}
	return injecting || vcpu->nesting & BV_NESTING_HELD;
}

/* In L2 an exception that is L1's to know stays pending. */
static bool inject_nested(struct bv_vcpu *vcpu)
{
	enum bv_l2_event event;
	bool holds = nesting_holds(vcpu);

	if (holds && vcpu->nesting & BV_NESTING_L2 &&
	    (bv_vendor->nesting->injecting(vcpu) ||
	     (l2_exit_due(vcpu, &event) && event == BV_L2_EXCEPTION)))
		return true;
	return inject_first(vcpu) || (!holds && (inject_nmi(vcpu) || inject_irq(vcpu)));
}

void bv_event_prepare(struct bv_vcpu *vcpu)
{
	bool injected;

	nmi_iret_passed(vcpu);
	nmi_collect(vcpu);
	bv_vcpu_need(vcpu, BV_ST_CR);
	vcpu->state_protected = vcpu->state.cr0 & BV_CR0_PE;
	if (bv_unlikely(vcpu->nesting))
		injected = inject_nested(vcpu);
	else
		injected = inject_first(vcpu) || inject_nmi(vcpu) || inject_irq(vcpu);
	if (bv_unlikely(vcpu->x2apic || vcpu->served))
		service_begin(vcpu);
	wishes_make(vcpu, injected);
}

/* ---- after an exit ---- */

static void vectoring_keep(struct bv_vcpu *vcpu)
{
	struct bv_events *events = &vcpu->events;
	const struct bv_exit *exit = &vcpu->exit;

	bv_vcpu_request(vcpu, BV_REQ_EVENT);
	switch (exit->vectoring.kind) {
	case BV_VECTORING_IRQ:
		events->interrupt.injected = true;
		events->interrupt.soft = false;
		events->interrupt.vector = exit->vectoring.vector;
		break;
	case BV_VECTORING_SOFT_IRQ:
		/* One of ours may have begun behind its instruction, which raises it again. */
		if (events->interrupt.soft && vcpu->gprs.rip == vcpu->soft_next_rip)
			vcpu->gprs.rip = vcpu->soft_rip;
		break;
	case BV_VECTORING_NMI:
		events->nmi.injected = true;
		break;
	default:
		events->exception.injected = true;
		events->exception.has_payload = false;
		events->exception.vector = exit->vectoring.vector;
		events->exception.has_error = exit->vectoring.has_error;
		events->exception.error = exit->vectoring.error;
		break;
	}
}

/* The entry was given the first of these (inject_first); one after it still waits. */
static void injected_forget(struct bv_vcpu *vcpu)
{
	struct bv_events *events = &vcpu->events;

	if (bv_likely(!events->exception.injected && !events->nmi.injected)) {
		events->interrupt.injected = false;
		return;
	}
	if (events->exception.injected)
		events->exception.injected = false;
	else
		events->nmi.injected = false;
	if (events->nmi.injected || events->interrupt.injected)
		bv_vcpu_request(vcpu, BV_REQ_EVENT);
}

/* The step's own #DB, which bv_event_step_done ends it with; a breakpoint's is another. */
static bool step_came(struct bv_vcpu *vcpu)
{
	if (vcpu->exit.kind != BV_EXIT_EXCEPTION || vcpu->exit.exception.vector != BV_EXC_DB)
		return false;
	bv_vcpu_need(vcpu, BV_ST_DR);
	return vcpu->state.dr6 & BV_DR6_BS;
}

/* One whose delivery was cut off has been taken, too: it is injected again. */
static void offer_end(struct bv_vcpu *vcpu)
{
	const struct bv_exit *exit = &vcpu->exit;
	u8 vector = vcpu->offered;
	bool taken = exit->offer_taken ||
		     (exit->vectoring.kind == BV_VECTORING_IRQ && exit->vectoring.vector == vector);

	vcpu->offered = -1;
	vcpu->vm->intc->offer_end(vcpu, vector, taken);
	if (taken)
		vcpu->counter[BV_COUNT_IRQS_INJECTED]++;
	else
		bv_vcpu_request(vcpu, BV_REQ_EVENT);
}

void bv_event_exited(struct bv_vcpu *vcpu)
{
	const struct bv_events *events = &vcpu->events;

	injected_forget(vcpu);
	if (bv_unlikely(vcpu->offered >= 0))
		offer_end(vcpu);
	if (bv_unlikely(vcpu->served) && vcpu->exit.served)
		vcpu->vm->intc->served(vcpu, &vcpu->service);
	nmi_iret_passed(vcpu);
	if (bv_unlikely(vcpu->exit.vectoring.kind))
		vectoring_keep(vcpu);
	if (bv_unlikely(events->interrupt.soft && !events->interrupt.injected))
		vcpu->events.interrupt.soft = false;
	if (bv_unlikely(events->nmi.masked || events->nmi.pending || vcpu->debug.single_step))
		bv_vcpu_request(vcpu, BV_REQ_EVENT);
	if (bv_unlikely(vcpu->stepping) && !step_came(vcpu)) {
		/* Something else came before the step was done: it is asked for again. */
		vcpu->stepping = false;
		if (!vcpu->step_guest_tf)
			vcpu->gprs.rflags &= ~BV_RFLAGS_TF;
		bv_vcpu_request(vcpu, BV_REQ_EVENT);
	}
}

bool bv_event_step_done(struct bv_vcpu *vcpu)
{
	bool ours = vcpu->stepping && !vcpu->step_guest_tf;

	if (!vcpu->stepping)
		return false;
	vcpu->stepping = false;
	if (ours)
		vcpu->gprs.rflags &= ~BV_RFLAGS_TF;
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
	return ours;
}

void bv_event_iret(struct bv_vcpu *vcpu)
{
	vcpu->nmi_iret = true;
	vcpu->iret_rip = vcpu->gprs.rip;
	bv_vcpu_request(vcpu, BV_REQ_EVENT);
}

void bv_event_soft_prepare(struct bv_vcpu *vcpu)
{
	struct bv_events *events = &vcpu->events;
	unsigned int length;
	u8 vector;

	if (!events->interrupt.injected || !events->interrupt.soft)
		return;
	vcpu->soft_rip = vcpu->gprs.rip;
	vcpu->soft_next_rip = vcpu->soft_rip;
	if (bv_exit_opcode(vcpu, &length, &vector) == 0xcd && vector == events->interrupt.vector)
		vcpu->soft_next_rip = bv_exit_rip_after(vcpu, length + 1);
}

/*
 * Instructions that save the flags, or load them, are not stepped over: TF would be seen or lost.
 * There the shadow ends early, as the hardware has it. No event is under way where a window opens.
 */
void bv_event_shadow_step(struct bv_vcpu *vcpu)
{
	struct bv_events *events = &vcpu->events;
	unsigned int length;
	u8 next;

	switch (bv_exit_opcode(vcpu, &length, &next)) {
	case 0xcd: /* INT n */
		vcpu->soft_rip = vcpu->gprs.rip;
		vcpu->soft_next_rip = bv_exit_rip_after(vcpu, length + 1);
		events->interrupt.injected = true;
		events->interrupt.soft = true;
		events->interrupt.vector = next;
		break;
	case 0x9c ... 0x9d: /* PUSHF, POPF */
	case 0xcc: /* INT3 */
	case 0xce ... 0xcf: /* INTO, IRET */
	case 0xf1: /* ICEBP */
	case 0x0f05: /* SYSCALL */
	case 0: /* none there */
		bv_vendor->shadow_set(vcpu, 0);
		break;
	default:
		vcpu->shadow_step = true;
		break;
	}
}
