/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The interrupt controllers and the timer chip of a VM, from inside: shared by the files of this
 * folder alone. Fronts see bv/irq.h, the core sees core/intc.h.
 *
 * How an interrupt travels. A device's line (gsi) goes through the routes to pins of the 8259 pair
 * and of the I/O APIC, or becomes a message. The I/O APIC turns a pin into a message; other CPUs
 * send messages too (IPIs). A message ends as a bit in the IRR of one or more local APICs, set by
 * whoever brings it; only the owning vCPU moves it from there to the ISR.
 *
 *	bv_irq_line -> route -> pic ---------------------------> INTR, asked for by pending/take
 *	                  |---> ioapic -> bv_lapic_deliver -> IRR ----^
 *	                  '---> message ---^     IPIs ---^
 *
 * Locks, outermost first, all of them taken with interrupts off:
 *	ack_lock	the list of ack notifiers, held while they run; they may set lines.
 *	lock		routes, I/O APIC and the 8259 pair. Messages are delivered while it is held.
 *	map_lock	the map of destinations, for writing; a leaf.
 *	pit->lock	the 8254; a leaf, so not held while its line is set.
 *	lapic->timer_lock	one local APIC's timer; a leaf.
 * IRR and TMR take no lock: their words are changed atomically.
 */
#ifndef BV_CHIPS_CHIPS_H
#define BV_CHIPS_CHIPS_H

#include "bv/host.h"
#include "bv/irq.h"
#include "bv/vm.h"
#include "chips/lapic_regs.h"
#include "core/vcpu.h"

#define IOAPIC_PINS 24
#define PIC_PINS 16
#define NO_GSI 0xffffu
#define NS_PER_S 1000000000ULL

/*
 * A periodic timer that a guest sets up does not come more often than this: the host's CPU is not
 * the guest's to burn.
 */
#define TIMER_MIN_PERIOD_NS 200000ULL

struct bv_chips;

/* ---- 256 vectors, a bit each ---- */

struct apic_vectors {
	u64 word[4];
};

static inline bool vectors_test(const struct apic_vectors *vectors, u8 vector)
{
	return (BV_READ_ONCE(vectors->word[vector >> 6]) >> (vector & 63)) & 1;
}

static inline void vectors_set(struct apic_vectors *vectors, u8 vector)
{
	vectors->word[vector >> 6] |= BV_BIT(vector & 63);
}

static inline void vectors_clear(struct apic_vectors *vectors, u8 vector)
{
	vectors->word[vector >> 6] &= ~BV_BIT(vector & 63);
}

/* The highest vector in the set, -1: empty. */
static inline int vectors_highest(const struct apic_vectors *vectors)
{
	for (int i = 3; i >= 0; i--) {
		u64 word = BV_READ_ONCE(vectors->word[i]);

		if (word)
			return i * 64 + 63 - __builtin_clzll(word);
	}
	return -1;
}

/* Whether no other bit is set. */
static inline bool vectors_only(const struct apic_vectors *vectors, u8 vector)
{
	u64 others = 0;

	for (u32 i = 0; i < 4; i++)
		others |= BV_READ_ONCE(vectors->word[i]) &
			  ~(i == vector >> 6 ? BV_BIT(vector & 63) : 0);
	return !others;
}

/* ---- the local APIC ---- */

struct bv_lapic {
	/* constant after creation */
	struct bv_vcpu *vcpu;
	struct bv_chips *chips;
	u32 x2apic_id; /* and the first xAPIC ID */
	u32 version;

	/*
	 * any thread, atomically. irr_hint is false only if IRR is empty, or somebody is about to
	 * set it.
	 */
	bool irr_hint;
	struct apic_vectors irr, tmr;
	u32 errors; /* ESR bits gathered since ESR was written last */

	/* owning vCPU; others read them one word at a time to find destinations */
	u64 base;
	u32 id; /* as a register of xAPIC mode: shifted by 24 */
	u32 ldr, dfr, spiv;
	u8 tpr;
	u8 ppr;
	u32 lvt[LVT_COUNT];

	/* owning vCPU */
	struct apic_vectors isr;
	int isr_top; /* the highest vector in service, -1: none */
	u32 esr;
	u64 icr;

	/* guarded by timer_lock */
	struct bv_spinlock timer_lock;
	struct bv_timer timer;
	bool armed;
	u64 due_ns; /* when armed and not in TSC-deadline mode */
	u64 period_ns; /* initial count in time, as the guest set it */
	u32 tmict, tdcr;
	u64 tsc_deadline;
};

static inline struct bv_lapic *vcpu_lapic(const struct bv_vcpu *vcpu)
{
	return vcpu->intc;
}

static inline bool lapic_present(const struct bv_lapic *lapic)
{
	return BV_READ_ONCE(lapic->base) & APIC_BASE_ENABLED;
}

static inline bool lapic_x2apic(const struct bv_lapic *lapic)
{
	return BV_READ_ONCE(lapic->base) & APIC_BASE_X2APIC;
}

static inline bool lapic_enabled(const struct bv_lapic *lapic)
{
	return BV_READ_ONCE(lapic->spiv) & SPIV_ENABLED;
}

/*
 * The APIC ID by which interrupts find it.
 */
static inline u32 lapic_id(const struct bv_lapic *lapic)
{
	return lapic_x2apic(lapic) ? lapic->x2apic_id : BV_READ_ONCE(lapic->id) >> 24;
}

/* lapic.c. Owning vCPU unless said otherwise. */
void bv_lapic_init(struct bv_lapic *lapic, struct bv_vcpu *vcpu, struct bv_chips *chips);
void bv_lapic_reset(struct bv_lapic *lapic, bool init);
u32 bv_lapic_version(const struct bv_lapic *lapic);
/* The processor priority, and with it what may be delivered, may have changed. */
void bv_lapic_update_ppr(struct bv_lapic *lapic);
/* The task priority, and CR8 with it; who calls updates the PPR. Owning vCPU. */
void bv_lapic_set_tpr(struct bv_lapic *lapic, u8 tpr);
void bv_lapic_set_spiv(struct bv_lapic *lapic, u32 value);
void bv_lapic_eoi(struct bv_lapic *lapic);
int bv_lapic_pending(struct bv_vcpu *vcpu);
int bv_lapic_take(struct bv_vcpu *vcpu);
int bv_lapic_offer(struct bv_vcpu *vcpu);
void bv_lapic_offer_end(struct bv_vcpu *vcpu, u8 vector, bool delivered);
bool bv_lapic_service(struct bv_vcpu *vcpu, struct bv_service *service);
void bv_lapic_served(struct bv_vcpu *vcpu, const struct bv_service *service);
enum bv_eoi bv_lapic_eoi_next(struct bv_vcpu *vcpu);
void bv_lapic_eoi_seen(struct bv_vcpu *vcpu);
bool bv_lapic_masked_by_tpr(struct bv_vcpu *vcpu);
void bv_lapic_cr8_set(struct bv_vcpu *vcpu, u8 cr8);
/*
 * Whether the 8259's interrupt reaches this CPU, through LINT0 or because there is no local APIC.
 * any.
 */
bool bv_lapic_takes_extint(struct bv_vcpu *vcpu);
u32 bv_lapic_reg_read(struct bv_lapic *lapic, u32 reg);

/* lapic_access.c: the page and the MSRs */
/* The bits of an LVT entry that can be set. */
u32 bv_lapic_lvt_writable(enum apic_lvt lvt);
enum bv_access_result bv_lapic_mmio_read(struct bv_vcpu *vcpu, u64 gpa, u32 bytes, void *data);
enum bv_access_result bv_lapic_mmio_write(struct bv_vcpu *vcpu, u64 gpa, u32 bytes,
					  const void *data);
enum bv_access_result bv_lapic_msr_read(struct bv_vcpu *vcpu, u32 index, u64 *value, bool host);
enum bv_access_result bv_lapic_msr_write(struct bv_vcpu *vcpu, u32 index, u64 value, bool host);
u64 bv_lapic_base(struct bv_vcpu *vcpu);

/* lapic_timer.c. Owning vCPU, or the vCPU does not run. */
void bv_lapic_timer_init(struct bv_lapic *lapic);
void bv_lapic_timer_fini(struct bv_lapic *lapic);
void bv_lapic_timer_reset(struct bv_lapic *lapic);
void bv_lapic_timer_set_count(struct bv_lapic *lapic, u32 count);
u32 bv_lapic_timer_count(struct bv_lapic *lapic);
void bv_lapic_timer_set_divide(struct bv_lapic *lapic, u32 tdcr);
void bv_lapic_timer_set_lvt(struct bv_lapic *lapic, u32 lvt);
void bv_lapic_timer_set_deadline(struct bv_lapic *lapic, u64 deadline, bool host);
u64 bv_lapic_timer_deadline(struct bv_lapic *lapic);
/* Between stop and restore no interrupt comes from it; its registers stay. */
void bv_lapic_timer_stop(struct bv_lapic *lapic);
void bv_lapic_timer_restore(struct bv_lapic *lapic, u32 lvt, u32 tdcr, u32 initial, u32 current);
void bv_lapic_tsc_changed(struct bv_vcpu *vcpu);
void bv_lapic_timer_turn_over(struct bv_vcpu *vcpu);
void bv_lapic_timer_sleep(struct bv_vcpu *vcpu);
void bv_lapic_timer_awake(struct bv_vcpu *vcpu);

/* ---- messages ---- */

struct apic_message {
	u32 dest;
	u8 vector;
	u8 mode; /* enum apic_mode */
	bool logical;
	bool level; /* trigger mode */
	bool deassert;
	bool outside; /* from a device: in x2APIC mode, 0xff may still mean all */
};

/*
 * Who has which ID, so that a message need not ask everybody; sets of local APICs are bits by vCPU
 * index. Written under map_lock; readers compare `sequence` before and after. Where the local APICs
 * do not agree on one logical model, `logical` says nothing, and each is asked.
 */
enum apic_logical_model {
	LOGICAL_NONE,
	LOGICAL_FLAT,
	LOGICAL_CLUSTER,
	LOGICAL_X2APIC,
	LOGICAL_MIXED
};

struct apic_map {
	u32 sequence; /* odd while being written */
	u32 model; /* enum apic_logical_model */
	u64 xapic, x2apic; /* those in each mode */
	u64 physical[256];
	u64 logical[16][16]; /* by cluster (0 in the flat model) and bit */
};

BV_STATIC_ASSERT(BV_MAX_VCPUS <= 64);

/* lapic_ipi.c. any. */
void bv_lapic_map_update(struct bv_chips *chips);
/*
 * Gives the message to everybody it is for. Returns how many took it in, 0 where it was already
 * waiting in each of them, -1 where nobody listens.
 */
int bv_lapic_deliver(struct bv_chips *chips, const struct apic_message *message);
/* Which local APICs a message is for (NULL: all), by its destination alone: bits by vCPU index. */
u64 bv_lapic_targets(struct bv_chips *chips, const struct apic_message *message);
/* Performs the ICR. Owning vCPU. */
void bv_lapic_send(struct bv_lapic *lapic, u64 icr);
bool bv_lapic_ipi(struct bv_vcpu *vcpu, u32 apic_id, u32 icr_low);
/* Requests a vector (16 to 255) here. Returns whether it was not yet requested. any. */
bool bv_lapic_request(struct bv_lapic *lapic, u8 vector, bool level);
/* The same by the owning vCPU, which is not in the guest now. */
bool bv_lapic_request_own(struct bv_lapic *lapic, u8 vector);
/* An interrupt source of the local vector table fires. any. */
void bv_lapic_local(struct bv_lapic *lapic, enum apic_lvt lvt);
void bv_lapic_error(struct bv_lapic *lapic, u32 error);

/* ---- the 8259 pair ---- */

struct pic_chip {
	u8 last_irr; /* lines, to see edges */
	u8 irr, imr, isr;
	u8 priority_add; /* the line that has the highest priority */
	u8 irq_base;
	u8 init_state; /* which ICW is expected: 0 none */
	u8 elcr; /* lines that are level-triggered */
	bool read_isr, poll, special_mask, auto_eoi, rotate_on_auto_eoi, special_nested, init4;
};

struct bv_pic {
	struct pic_chip chip[2];
	bool output; /* INTR; read without the lock */
	u64 source[PIC_PINS]; /* who holds the line up */
	struct bv_bus_device device[3]; /* master, slave, ELCR */
};

/*
 * Pins whose interrupt ended are added to *acked, for bv_irq_acked after the lock is dropped.
 * chips->lock held.
 */
int bv_pic_set_line(struct bv_chips *chips, u32 pin, bool level);
int bv_pic_peek(struct bv_chips *chips);
int bv_pic_acknowledge(struct bv_chips *chips, u32 *acked);
void bv_pic_reset(struct bv_pic *pic);
int bv_pic_attach(struct bv_vm *vm);
void bv_pic_detach(struct bv_vm *vm, unsigned int count);

/* ---- the I/O APIC ---- */

struct bv_ioapic {
	u8 select;
	u8 id;
	u32 irr; /* lines */
	u32 delivered; /* edges among irr that have become a message */
	u64 redirect[IOAPIC_PINS];
	u64 source[IOAPIC_PINS];
	u64 base;
	struct bv_bus_device device;
	/*
	 * A level interrupt that comes back at once after each EOI, again and again, gets a pause.
	 */
	u32 storm[IOAPIC_PINS];
	u32 paused; /* pins */
	struct bv_timer pause;
};

/* chips->lock held. -1: masked, 0: coalesced, else receivers. */
int bv_ioapic_set_line(struct bv_chips *chips, u32 pin, bool level);
/* The guest ended the vector. Not with chips->lock held. */
void bv_ioapic_eoi(struct bv_lapic *lapic, u8 vector, bool level);
/*
 * A local APIC listens that did not before: level interrupts that found nobody try again. Not with
 * chips->lock held.
 */
void bv_ioapic_retry(struct bv_chips *chips);
/* Which vectors' ends edge pins want to know. chips->lock held. */
void bv_ioapic_watch_update(struct bv_chips *chips);
void bv_ioapic_init(struct bv_chips *chips);
void bv_ioapic_fini(struct bv_chips *chips);
int bv_ioapic_attach(struct bv_vm *vm);

/* ---- the 8254 ---- */

struct pit_channel {
	u32 count; /* 1 to 65536 */
	u16 latched;
	u8 count_latched; /* what of it is still to be read: enum pit_access */
	bool status_latched;
	u8 status;
	u8 read_state, write_state, write_latch, rw_mode;
	u8 mode; /* 0 to 5; PIT_NO_MODE after reset */
	bool bcd, gate;
	bool null_count; /* a mode was set, and no count since */
	u64 load_ns; /* when counting began */
	u64 stop_ns; /* when the gate stopped it; 0: it counts */
};

struct bv_pit {
	struct bv_chips *chips;
	struct bv_spinlock lock;
	struct pit_channel channel[3];
	bool hpet_legacy, speaker, speaker_data, reinject;
	/* channel 0's interrupt */
	bool armed;
	u64 due_ns, period_ns; /* period 0: once */
	u32 missed; /* ticks that the guest is still to get */
	struct bv_timer timer;
	struct bv_ack_notifier ack;
	struct bv_bus_device device[2];
};

void bv_pit_free(struct bv_vm *vm);

/* ---- routes ---- */

struct route_table {
	u32 gsis; /* one past the highest gsi */
	u32 count;
	u32 *first; /* gsis + 1 entries: routes of gsi g are first[g] to first[g + 1] - 1 */
	struct bv_route *route; /* sorted by gsi */
};

int bv_route_default(struct bv_chips *chips);
void bv_route_free(struct bv_chips *chips);
/* As bv_irq_line, but -1 where it was masked, and 0 coalesced. */
int bv_route_line(struct bv_chips *chips, u32 gsi, unsigned int source, bool level);
void bv_route_message(const struct bv_chips *chips, const struct bv_msi *msi,
		      struct apic_message *message);
enum route_chip {
	CHIP_PIC,
	CHIP_IOAPIC
};
/* The guest ended the interrupts of these pins. No lock held. */
void bv_irq_acked(struct bv_chips *chips, enum route_chip chip, u32 pins);

/* ---- all of it ---- */

struct bv_chips {
	/* constant after creation */
	struct bv_vm *vm;
	bool full; /* 8259 pair and I/O APIC too */
	u32 split_pins;
	u64 tsc_ns_factor; /* nanoseconds a tick of the TSC, times 2^32 */
	u64 ns_tsc_factor; /* and the other way */
	bool turn_timer; /* the vendor ends turns in the guest */

	/* set before the first message */
	bool ids32, no_broadcast_quirk;

	/* slots set once, cleared under lock; read anywhere */
	struct bv_lapic *lapic[BV_MAX_VCPUS];
	u32 lapic_count; /* one past the highest */

	/*
	 * vectors of which the front (split) or edge pins with a notifier want to know the end;
	 * changed under lock
	 */
	struct apic_vectors eoi_exit, eoi_watch;

	struct bv_spinlock map_lock;
	struct apic_map map;

	struct bv_spinlock lock;
	struct route_table *routes;
	u16 pin_gsi[2][IOAPIC_PINS]; /* by enum route_chip: the gsi of a pin; NO_GSI */
	u32 notify[2]; /* pins whose gsi has a notifier */
	struct bv_pic pic;
	struct bv_ioapic ioapic;

	struct bv_spinlock ack_lock;
	struct bv_ack_notifier *notifiers;

	struct bv_pit *pit;
};

static inline struct bv_chips *vm_chips(const struct bv_vm *vm)
{
	return vm->chips;
}

extern const struct bv_intc_ops bv_chips_intc_ops;

#define bv_chips_for_each_lapic(i, lapic_at, chips)                                          \
	for ((i) = 0; (i) < __atomic_load_n(&(chips)->lapic_count, __ATOMIC_ACQUIRE); (i)++) \
		if (((lapic_at) = __atomic_load_n(&(chips)->lapic[i], __ATOMIC_ACQUIRE)))

#endif
