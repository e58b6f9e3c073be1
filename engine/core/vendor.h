/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The vendor seam: what the engine asks of a way to run guest code. One const table, chosen once by
 * bv_engine_init; until then bv_vendor is NULL. Verbs ask for meaning, not for registers; a raw
 * code of SVM or VMX never leaves its folder. Nothing here assumes nested paging: a vendor with
 * `nest` NULL keeps the guest's translations in another way.
 */
#ifndef BV_CORE_VENDOR_H
#define BV_CORE_VENDOR_H

#include "bv/types.h"

struct bv_vm;
struct bv_vcpu;
struct bv_nest_format;
struct bv_nesting_ops;

enum bv_event_kind {
	BV_EVENT_IRQ,
	BV_EVENT_NMI,
	BV_EVENT_EXCEPTION,
	BV_EVENT_SOFT_IRQ
};

/* Exits that are wanted only at times. */
struct bv_wishes {
	bool irq_window; /* exit as soon as the guest can take an interrupt */
	bool nmi_window; /* exit when an NMI handler is about to end; see nmi_windows */
	bool cr8_writes;
	bool cr4_writes; /* the guest could set bits that its CPUID does not have */
	bool dr_accesses;
	bool single_step; /* TF is ours: exceptions exit, so that no flags are saved with it */
	bool bp_exits; /* #BP */
	bool rdtsc;
};

/* What the hardware is to know of a local APIC, to end its interrupts without an exit. */
struct bv_service {
	u64 isr[4]; /* vectors in service, a bit each */
	u64 told[4]; /* those whose end exits */
};

struct bv_vendor {
	const char *name;

	/* Whether this machine has it; *why says in words what is missing. sleep. */
	bool (*probe)(const char **why);
	int (*init)(void); /* after a good probe; 0 or -BV_ENOMEM. sleep. */
	void (*fini)(void);
	int (*cpu_enable)(void); /* the CPU at hand. irqs off. */
	void (*cpu_disable)(void);

	int (*vm_init)(struct bv_vm *vm);
	void (*vm_fini)(struct bv_vm *vm);
	/* bv_vm_ports_direct, its arguments checked; NULL: no way. */
	int (*ports_direct)(struct bv_vm *vm, u16 first, u32 count);
	int (*vcpu_init)(struct bv_vcpu *vcpu);
	void (*vcpu_fini)(struct bv_vcpu *vcpu);

	/*
	 * The vCPU's thread comes onto a CPU (vcpu->cpu is the last one), or leaves it. Preemption
	 * off.
	 */
	void (*load)(struct bv_vcpu *vcpu);
	void (*unload)(struct bv_vcpu *vcpu);

	/*
	 * Before an entry, where control registers were changed (BV_ST_CR is dirty). NULL: nothing
	 * to do. sleep.
	 */
	void (*prepare)(struct bv_vcpu *vcpu);
	/*
	 * Enters the guest with vcpu->cr8 and comes back with vcpu->exit filled, gprs and cr8
	 * current. irqs off.
	 */
	void (*enter)(struct bv_vcpu *vcpu);

	/* Register groups (BV_ST_*) from the vendor to vcpu->state, and back. */
	void (*pull)(struct bv_vcpu *vcpu, u32 groups);
	void (*push)(struct bv_vcpu *vcpu, u32 groups);

	/* Delivers this event at the next entry. irqs off. */
	void (*inject)(struct bv_vcpu *vcpu, enum bv_event_kind kind, u8 vector, bool has_error,
		       u32 error);
	/* Takes back an injection that no entry has carried out. */
	void (*uninject)(struct bv_vcpu *vcpu);
	void (*wish)(struct bv_vcpu *vcpu, const struct bv_wishes *wishes);

	/*
	 * The hardware delivers this interrupt by itself as soon as the guest can take it, over the
	 * coming entry alone; vcpu->exit.offer_taken then says whether it did. Not together with
	 * inject or an irq_window. NULL: it cannot.
	 */
	void (*offer)(struct bv_vcpu *vcpu, u8 vector);
	/*
	 * The hardware carries out the guest's writes to the EOI MSR of x2APIC mode by
	 * vcpu->service, until this is called again; vcpu->exit.served says that vcpu->service.isr
	 * has changed. False: no more. Only where `serves` says that it can; NULL: it cannot.
	 */
	bool (*serves)(void);
	void (*serve)(struct bv_vcpu *vcpu, bool on);

	/*
	 * Whether the hardware ends the guest's turn, with the exit TURN_OVER, when what
	 * bv_vcpu_turn_left says at an entry is over; NULL: it does not.
	 */
	bool (*turn_timer)(void);

	/*
	 * Whether the hardware logs pages: those of which it sets a leaf's dirty flag. NULL: it
	 * does not.
	 */
	bool (*logs_pages)(void);
	/*
	 * Takes out what it has logged: *count guest-physical addresses, which stay until the next
	 * entry. The vCPU is loaded.
	 */
	const u64 *(*log_take)(struct bv_vcpu *vcpu, u32 *count);

	/*
	 * Whether this CPU's fast string operations are turned off, whatever its CPUID says of
	 * them; NULL: they cannot be.
	 */
	bool (*slow_strings)(void);

	/* Interrupts held off for one instruction, after STI or MOV SS. */
	u8 (*shadow_get)(struct bv_vcpu *vcpu); /* 0 none, 1 MOV SS, 2 STI, where told apart */
	void (*shadow_set)(struct bv_vcpu *vcpu, u8 shadow);

	/* Forget the guest's translations before the next entry of this vCPU. */
	void (*tlb_flush)(struct bv_vcpu *vcpu);
	void (*tsc_offset)(struct bv_vcpu *vcpu, u64 offset);
	/* The guest's TSC_AUX, for its RDTSCP: kept in vcpu->tsc_aux. */
	void (*tsc_aux)(struct bv_vcpu *vcpu, u32 value);
	/* The MSR filter of the VM changed: which MSRs exit. */
	void (*msr_filter)(struct bv_vm *vm);
	/* The physical address bits and control bits a guest may use with this vendor. */
	u64 (*cr4_supported)(void);

	const struct bv_nest_format *nest;
	/* Guests that run guests (core/nested.h). NULL: it cannot. */
	const struct bv_nesting_ops *nesting;
	/*
	 * The hardware keeps NMIs out until IRET: events.nmi.masked is current after each exit, and
	 * the wish nmi_window asks for an exit as soon as an NMI can be taken.
	 */
	bool nmi_windows;
};

extern const struct bv_vendor *bv_vendor;
extern const struct bv_vendor bv_svm_vendor;
extern const struct bv_vendor bv_vmx_vendor;

#endif
