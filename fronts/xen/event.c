// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ports, what sets them pending, and the upcall that tells the guest. Called by the hypercalls, by
 * timers, and by whatever sends a VIRQ.
 *
 * An event's way: the port's bit (two levels) or word (FIFO) in memory shared with the guest; then,
 * where it is not masked, the selector or the queue; then the vCPU's upcall_pending, and if that
 * was clear, the upcall itself: a vector that the guest chose, through its local APIC
 * (HVMOP_set_evtchn_upcall_vector) or past it (HVM_PARAM_CALLBACK_IRQ). The latter is a level in
 * Xen's eyes; here it is delivered once each time upcall_pending is set, and again after a HLT: a
 * guest clears it first thing in its handler.
 *
 * Everything shared is changed by atomic operations, and nothing read from it is believed.
 */
#include "event.h"

#define VCPU_INFOS (XEN_LEGACY_MAX_VCPUS * (u32)sizeof(struct vcpu_info))
#define NARROW_BITS 32u /* of a long of 32-bit code, of which there are as many in an array */
#define NARROW_BYTES (NARROW_BITS * 4)
#define NARROW_WALL (VCPU_INFOS + 2 * NARROW_BYTES)

const struct bvx_layout bvx_layouts[2] = {
	{
		.ports = 4096,
		.word_bits = 64,
		.selector = offsetof(struct vcpu_info, evtchn_pending_sel),
		.pending = offsetof(struct shared_info, evtchn_pending),
		.mask = offsetof(struct shared_info, evtchn_mask),
		.wall = offsetof(struct shared_info, wc_version),
		.wall_high = offsetof(struct shared_info, wc_sec_hi),
	},
	{
		.ports = NARROW_BITS * NARROW_BITS,
		.word_bits = NARROW_BITS,
		.selector = 4,
		.pending = VCPU_INFOS,
		.mask = VCPU_INFOS + NARROW_BYTES,
		.wall = NARROW_WALL,
		/* behind the wall clock's three words six longs of the architecture's */
		.wall_high = NARROW_WALL + 3 * 4 + 6 * 4,
	},
};
/* The rest of a vCPU's info lies alike in both. */
BV_STATIC_ASSERT(sizeof(struct vcpu_info) == 64 && offsetof(struct vcpu_info, time) == 32);

static u32 *pending(struct bvx_domain *domain)
{
	return (u32 *)(domain->shared_info.va + bvx_layout(domain)->pending);
}

static u32 *mask(struct bvx_domain *domain)
{
	return (u32 *)(domain->shared_info.va + bvx_layout(domain)->mask);
}

/* Bits of an array in memory that the guest shares: in steps that suit both layouts. */
#define STEP_BITS 32

static bool bit_set(u32 *words, u32 bit)
{
	return __atomic_fetch_or(words + bit / STEP_BITS, 1u << bit % STEP_BITS,
				 __ATOMIC_SEQ_CST) >>
		       bit % STEP_BITS &
	       1;
}

static bool bit_clear(u32 *words, u32 bit)
{
	return __atomic_fetch_and(words + bit / STEP_BITS, ~(1u << bit % STEP_BITS),
				  __ATOMIC_SEQ_CST) >>
		       bit % STEP_BITS &
	       1;
}

static bool bit_test(const u32 *words, u32 bit)
{
	return __atomic_load_n(words + bit / STEP_BITS, __ATOMIC_SEQ_CST) >> bit % STEP_BITS & 1;
}

struct bvx_port *bvx_port_at(struct bvx_domain *domain, u32 port)
{
	struct bvx_port *bucket;

	if (port >= BVX_FIFO_PORTS)
		return NULL;
	bucket = domain->events->bucket[port / BVX_PORTS_A_BUCKET];
	return bucket ? &bucket[port % BVX_PORTS_A_BUCKET] : NULL;
}

/* ---- the upcall ---- */

/*
 * A local APIC that is not enabled yet takes nothing. In Xen the vector waits there all the same;
 * here it is sent again when the vCPU next looks for interrupts.
 */
static void upcall_by_lapic(struct bvx_vcpu *vcpu, u8 vector)
{
	const struct bv_msi msi = {
		.address = 0xfee00000ULL | (u64)bvx_apic_id(vcpu) << 12,
		.data = vector,
	};

	__atomic_store_n(&vcpu->upcall_due, bv_irq_msi(vcpu->domain->vm, &msi) <= 0,
			 __ATOMIC_SEQ_CST);
}

void bvx_vcpu_upcall(struct bvx_vcpu *vcpu)
{
	u8 vector = __atomic_load_n(&vcpu->upcall_vector, __ATOMIC_RELAXED);

	if (__atomic_exchange_n(&vcpu->info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST)) {
		if (__atomic_load_n(&vcpu->upcall_due, __ATOMIC_SEQ_CST))
			bv_vcpu_irq_arrived(vcpu->vcpu);
		return;
	}
	__atomic_store_n(&vcpu->upcall_taken, false, __ATOMIC_SEQ_CST);
	if (vector)
		upcall_by_lapic(vcpu, vector);
	else
		bv_vcpu_irq_arrived(vcpu->vcpu);
}

int bvx_upcall_vector(struct bvx_vcpu *vcpu, bool take)
{
	u64 via = __atomic_load_n(&vcpu->domain->params[HVM_PARAM_CALLBACK_IRQ], __ATOMIC_RELAXED);

	if (bv_unlikely(__atomic_load_n(&vcpu->upcall_due, __ATOMIC_SEQ_CST)) &&
	    BV_READ_ONCE(vcpu->info->evtchn_upcall_pending))
		upcall_by_lapic(vcpu, vcpu->upcall_vector);
	if (via >> 56 != HVM_PARAM_CALLBACK_TYPE_VECTOR || vcpu->upcall_vector ||
	    __atomic_load_n(&vcpu->upcall_taken, __ATOMIC_SEQ_CST) ||
	    !BV_READ_ONCE(vcpu->info->evtchn_upcall_pending))
		return -1;
	if (take)
		__atomic_store_n(&vcpu->upcall_taken, true, __ATOMIC_SEQ_CST);
	return via & 0xff;
}

void bvx_upcall_again(struct bvx_vcpu *vcpu)
{
	u64 flags = bv_host_spin_lock_irq(&vcpu->domain->events->lock);

	if (__atomic_exchange_n(&vcpu->info->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST))
		bvx_vcpu_upcall(vcpu);
	bv_host_spin_unlock_irq(&vcpu->domain->events->lock, flags);
}

static void wake_pollers(struct bvx_domain *domain, u32 port)
{
	for (u32 i = 0; i < domain->max_vcpus; i++) {
		struct bvx_vcpu *vcpu = domain->vcpu[i];

		if (!vcpu || !vcpu->polling || (vcpu->poll_port != port && vcpu->poll_port != ~0u))
			continue;
		__atomic_store_n(&vcpu->polling, false, __ATOMIC_SEQ_CST);
		bvx_host_wake(&vcpu->queue);
	}
}

/* ---- pending ---- */

/* Selects the port's word for its vCPU; false: it was selected already. */
static bool select_word(struct bvx_vcpu *vcpu, u32 port)
{
	const struct bvx_layout *layout = bvx_layout(vcpu->domain);

	return !bit_set((u32 *)((u8 *)vcpu->info + layout->selector), port / layout->word_bits);
}

void bvx_selector_fill(struct bvx_vcpu *vcpu)
{
	const struct bvx_layout *layout = bvx_layout(vcpu->domain);
	u32 *selector = (u32 *)((u8 *)vcpu->info + layout->selector);

	for (u32 i = 0; i < layout->word_bits / STEP_BITS; i++)
		__atomic_store_n(selector + i, ~0u, __ATOMIC_SEQ_CST);
}

void bvx_layout_set(struct bvx_domain *domain, bool narrow)
{
	if (__atomic_exchange_n(&domain->narrow, narrow, __ATOMIC_SEQ_CST) != narrow)
		bvx_wall_update(domain);
}

static void two_level_tell(struct bvx_domain *domain, const struct bvx_port *at, u32 port)
{
	struct bvx_vcpu *vcpu = domain->vcpu[at->vcpu];

	if (!bit_test(mask(domain), port) && select_word(vcpu, port))
		bvx_vcpu_upcall(vcpu);
}

void bvx_port_set_pending(struct bvx_domain *domain, u32 port)
{
	struct bvx_port *at = bvx_port_at(domain, port);

	if (!domain->vcpu[at->vcpu])
		return;
	if (domain->events->fifo) {
		if (bvx_fifo_pending_set(domain, at, port))
			return;
		bvx_fifo_queue(domain, at, port);
	} else {
		if (port >= bvx_layout(domain)->ports || bit_set(pending(domain), port))
			return;
		two_level_tell(domain, at, port);
	}
	wake_pollers(domain, port);
}

void bvx_port_unmask(struct bvx_domain *domain, u32 port)
{
	struct bvx_port *at = bvx_port_at(domain, port);
	event_word_t *word;

	if (!domain->vcpu[at->vcpu])
		return;
	if (domain->events->fifo) {
		word = bvx_fifo_word(domain, port);
		if (word &&
		    __atomic_fetch_and(word, ~(1u << EVTCHN_FIFO_MASKED), __ATOMIC_SEQ_CST) &
			    1u << EVTCHN_FIFO_PENDING)
			bvx_fifo_queue(domain, at, port);
		return;
	}
	if (port < bvx_layout(domain)->ports && bit_clear(mask(domain), port) &&
	    bit_test(pending(domain), port) && select_word(domain->vcpu[at->vcpu], port))
		bvx_vcpu_upcall(domain->vcpu[at->vcpu]);
}

void bvx_port_clear(struct bvx_domain *domain, u32 port)
{
	event_word_t *word;

	if (!domain->events->fifo) {
		if (port < bvx_layout(domain)->ports)
			bit_clear(pending(domain), port);
		return;
	}
	word = bvx_fifo_word(domain, port);
	if (word)
		__atomic_fetch_and(word, ~(1u << EVTCHN_FIFO_PENDING), __ATOMIC_SEQ_CST);
}

bool bvx_port_is_pending(struct bvx_domain *domain, u32 port)
{
	const event_word_t *word;

	if (!domain->events->fifo)
		return port < bvx_layout(domain)->ports && bit_test(pending(domain), port);
	word = bvx_fifo_word(domain, port);
	return word && BV_READ_ONCE(*word) >> EVTCHN_FIFO_PENDING & 1;
}

/* ---- VIRQs ---- */

static void virq_locked(struct bvx_vcpu *vcpu, u32 virq)
{
	if (vcpu && vcpu->virq_port[virq])
		bvx_port_set_pending(vcpu->domain, vcpu->virq_port[virq]);
}

void bvx_virq_vcpu(struct bvx_vcpu *vcpu, u32 virq)
{
	struct bv_spinlock *lock = &vcpu->domain->events->lock;
	u64 flags = bv_host_spin_lock_irq(lock);

	virq_locked(vcpu, virq);
	bv_host_spin_unlock_irq(lock, flags);
}

void bvx_virq_domain(struct bvx_domain *domain, u32 virq)
{
	u64 flags = bv_host_spin_lock_irq(&domain->events->lock);

	virq_locked(domain->vcpu[0], virq);
	bv_host_spin_unlock_irq(&domain->events->lock, flags);
}

void bvx_virq_global(u32 virq)
{
	u64 flags = bv_host_spin_lock_irq(&bvx.lock);
	struct bvx_domain *domain = bvx.virq_handler[virq] ? bvx.virq_handler[virq] : bvx.hardware;

	if (domain)
		bvx_domain_hold(domain);
	bv_host_spin_unlock_irq(&bvx.lock, flags);
	if (!domain)
		return;
	bvx_virq_domain(domain, virq);
	bvx_domain_put(domain);
}

void bvx_console_input(void)
{
	if (bvx.hardware)
		bvx_virq_domain(bvx.hardware, VIRQ_CONSOLE);
}

void bvx_log_written(void)
{
	if (bvx.hardware)
		bvx_virq_global(VIRQ_CON_RING);
}

void bvx_debug_virq(void)
{
	if (bvx.hardware)
		bvx_virq_domain(bvx.hardware, VIRQ_DEBUG);
}

/* ---- birth and death ---- */

int bvx_events_init(struct bvx_domain *domain)
{
	struct bvx_events *events = bv_host_alloc(sizeof(*events));

	if (!events)
		return -XEN_ENOMEM;
	bv_host_spin_init(&events->lock);
	events->limit = domain->max_port < BVX_FIFO_PORTS ? domain->max_port + 1 : BVX_FIFO_PORTS;
	domain->events = events;
	return 0;
}

/* Where its info is until the guest has one elsewhere. */
static struct vcpu_info *shared_info_of(struct bvx_vcpu *vcpu)
{
	return (struct vcpu_info *)vcpu->domain->shared_info.va + vcpu->index;
}

void bvx_events_vcpu_init(struct bvx_vcpu *vcpu)
{
	vcpu->info = shared_info_of(vcpu);
	vcpu->poll_port = 0;
}

void bvx_events_vcpu_fini(struct bvx_vcpu *vcpu)
{
	if (vcpu->info_page.va)
		bvx_frame_release(vcpu->info_page.mfn);
	vcpu->info_page.va = NULL;
}

/* Every page of the guest's that is held is let go; the ports' own memory stays until the end. */
void bvx_events_close(struct bvx_domain *domain)
{
	u64 flags = bv_host_spin_lock_irq(&domain->events->lock);

	domain->events->closed = true;
	bv_host_spin_unlock_irq(&domain->events->lock, flags);
	bvx_ports_reset(domain);
	bvx_fifo_free(domain);
	for (u32 i = 0; i < domain->max_vcpus; i++) {
		struct bvx_vcpu *vcpu = domain->vcpu[i];

		if (!vcpu)
			continue;
		flags = bv_host_spin_lock_irq(&domain->events->lock);
		vcpu->info = shared_info_of(vcpu);
		bv_host_spin_unlock_irq(&domain->events->lock, flags);
		bvx_events_vcpu_fini(vcpu);
	}
}

void bvx_events_fini(struct bvx_domain *domain)
{
	if (!domain->events)
		return;
	bvx_fifo_free(domain);
	for (u32 i = 0; i < BVX_BUCKETS; i++)
		bv_host_free(domain->events->bucket[i]);
	bv_host_free(domain->events);
	domain->events = NULL;
}
