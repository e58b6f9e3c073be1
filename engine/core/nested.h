/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * A guest that runs guests. L1 is our guest, L2 is L1's; both run on L1's vCPU, one at a time.
 * While L2 is on, vcpu->state and the vendor's registers are L2's, and what L1 wants to be told of
 * takes the vCPU back to L1 (an exit to L1). The mechanism is the vendor's (struct
 * bv_nesting_ops); what events do meanwhile is in event.c, memory is here.
 *
 * L2's memory. Without nested paging of L1's, what L2 calls physical is what L1 calls so, and the
 * VM's nested table serves both. With it, L1 has a table of its own, which leads from L2's
 * addresses to L1's. Each vCPU then has a shadow: a table for the hardware that leads from L2's
 * addresses to frames at once, filled at faults. Invariants:
 *
 * (1) A leaf of the shadow was made, under nest.lock, from a leaf that the VM's nested table had
 *     then, with no more rights than that.
 * (2) Whoever takes rights from a leaf of the VM's table asks every vCPU for a flush, under the
 *     same lock, and waits until it is out of the guest (bv_nest_flush). A vCPU that is about to
 *     flush forgets its shadow as a whole before it enters any guest.
 * (3) The shadow is touched by its vCPU's thread alone, outside of the guest.
 *
 * So a frame that the host took back is in no shadow when a guest runs, by whatever L1 does: L1's
 * table only chooses among what the VM's table had. A leaf gets the right to write, or execute,
 * when an access has been found good by L1's table, which has its accessed and dirty bits by then.
 * That L1's table may have changed since is L1's to say, by a flush or another ASID: then the
 * shadow is forgotten, too. Tables are kept for the next filling, at most BV_SHADOW_TABLES a vCPU;
 * when those are used up, the shadow is forgotten and begun anew.
 */
#ifndef BV_CORE_NESTED_H
#define BV_CORE_NESTED_H

#include "core/exit.h"
#include "core/nest.h"

struct bv_vcpu;
struct bv_vm;

/* vcpu->nesting: 0 for all guests that run no guests. */
#define BV_NESTING_L2 1u /* L2 is on */
#define BV_NESTING_HELD 2u /* interrupts, NMIs and INITs wait (AMD's global interrupt flag) */

#define BV_SHADOW_TABLES 512

struct bv_shadow {
	u64 *root;
	u64 *table[BV_SHADOW_TABLES]; /* the first `used` are linked, those up to `count` kept */
	u32 count, used;
};

struct bv_nested {
	bool init_held; /* an INIT came while INITs were held */
	u64 vm_cr, hsave_pa; /* MSRs of AMD's */
	/* While L2 is on: what L1 asked for. */
	bool irq_exits, nmi_exits, init_exits, shutdown_exits;
	u32 exception_exits; /* a bit a vector */
	bool own_tpr; /* L2 has a task priority of its own; L1's RFLAGS.IF masks interrupts */
	u8 tpr, host_tpr; /* L2's; and L1's, over an entry */
	bool host_if; /* L1's RFLAGS.IF */
	u64 tsc_offset; /* of L2's TSC against L1's */
	bool paging; /* L2's addresses are led to L1's by a table of L1's, */
	u64 table, cr4, efer; /* which is there, and to be read as these say */
	bool missed; /* the last translation met a page that L1's table does not have */
	/* The exit at hand. */
	enum bv_exit_kind kind; /* if it turns out to be ours */
	u8 cr; /* which control register was written */
	struct bv_shadow shadow;
	void *vendor;
};

/* What makes an exit to L1 that the hardware did not make. */
enum bv_l2_event {
	BV_L2_IRQ,
	BV_L2_NMI,
	BV_L2_INIT,
	BV_L2_SHUTDOWN,
	BV_L2_EXCEPTION, /* of vcpu->events, which is taken out there */
	BV_L2_NESTED_FAULT, /* .error as of a page fault; of the exit at hand */
};

/*
 * What the core asks of a vendor that knows nesting. Under the memory lock and owning vCPU, but
 * where something else is said; sleep.
 */
struct bv_nesting_ops {
	/* Makes vcpu->nested->vendor. -BV_ENOMEM. No lock. */
	int (*init)(struct bv_vcpu *vcpu);
	void (*fini)(struct bv_vcpu *vcpu);
	/* vcpu->exit.virt: the instruction, `length` bytes at RIP, by one who may. */
	enum bv_exit_next (*instruction)(struct bv_vcpu *vcpu, unsigned int length);
	/* An exit of kind BV_EXIT_L2. True: it went to L1; false: it is ours. */
	bool (*exit)(struct bv_vcpu *vcpu);
	void (*leave)(struct bv_vcpu *vcpu, enum bv_l2_event event, u32 error);
	/* Back to L1 without a word: the vCPU is reset, or set from outside. No lock. any. */
	void (*abandon)(struct bv_vcpu *vcpu);
	/* Whether the coming entry delivers an event that L1 gave. No lock. any. */
	bool (*injecting)(const struct bv_vcpu *vcpu);
	/* Whether L2 has a virtual interrupt of L1's that it can take. No lock. any. */
	bool (*virtual_irq)(const struct bv_vcpu *vcpu);
};

int bv_nested_init(struct bv_vcpu *vcpu);
void bv_nested_fini(struct bv_vcpu *vcpu);

/* RESET or INIT: it runs no guest any more. */
void bv_nested_reset(struct bv_vcpu *vcpu, bool init);
/* The guest turns EFER.SVME on or off; false: it may not. */
bool bv_nested_switch(struct bv_vcpu *vcpu, u64 efer);
/* Interrupts, NMIs and INITs wait, or come again. */
void bv_nested_hold(struct bv_vcpu *vcpu, bool on);
/* EFER.SVME is made 0 from outside. */
void bv_nested_off(struct bv_vcpu *vcpu);

/*
 * The shadow forgets all it has. Owning vCPU, outside of the guest; its TLB must be flushed. any.
 */
void bv_shadow_forget(struct bv_shadow *shadow);

/* The exit BV_EXIT_L2_FAULT. */
enum bv_exit_next bv_fault_l2(struct bv_vcpu *vcpu);
/*
 * While L2 is on, with L1's paging: its address to L1's, as for the access (BV_ACCESS_*). False:
 * L1's table does not allow it; ->missed says so, and the shadow has been forgotten, so that the
 * guest finds it out by itself. Under the memory lock.
 */
bool bv_l2_translate(struct bv_vcpu *vcpu, u64 *gpa, u32 access);

/* Values of MSRs that a guest writes: false is #GP. */
bool bv_nested_vm_cr_write(struct bv_vcpu *vcpu, u64 value, bool host);
bool bv_nested_hsave_write(struct bv_vcpu *vcpu, u64 value);

#endif
