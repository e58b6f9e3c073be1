/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * VMs and virtual CPUs, as hosts and fronts see them: create, run, read out and write back. Memory
 * is in bv/mem.h, interrupts and chips in bv/irq.h, CPUID in bv/cpuid.h.
 *
 * Errors are 0 or a negative enum bv_errno; each refusal leaves its reason in the VM's ring
 * (bv/why.h). Unless said otherwise functions may sleep, and those with a vCPU need that vCPU not
 * to run: the front holds the vCPU's mutex.
 */
#ifndef BV_VM_H
#define BV_VM_H

#include "bv/errno.h"
#include "bv/host.h"
#include "bv/types.h"
#include "bv/why.h"
#include "bv/x86.h"

#define BV_MAX_VCPUS 64

struct bv_vm;
struct bv_vcpu;

/* ---- the engine as a whole ---- */

/* The name of the vendor that was chosen, for people. */
const char *bv_engine_vendor(void);
/*
 * Chooses the vendor; -BV_ENODEV with the reason in bv_why_global() where the CPU lacks what is
 * needed.
 */
int bv_engine_init(void);
void bv_engine_fini(void);
/*
 * Chooses the mitigations of processors' flaws (docs/mitigations.md), between bv_engine_init and
 * the first CPU that is enabled: by words as "auto", "off" or "auto,-l1d". safe_returns: the host's
 * code is compiled with return thunks. Those in force go to text. -BV_EINVAL: not understood, or
 * the CPU cannot; the reason is in bv_why_global().
 */
int bv_engine_mitigate(const char *words, bool safe_returns, char *text, size_t size);
/*
 * Whether guests that run guests themselves are wanted: then bv_cpuid_supported offers it, where
 * the vendor can do it (bv_engine_nests). Before the first VM.
 */
void bv_engine_nesting(bool on);
bool bv_engine_nests(void);
/* Turns virtualization on or off on the CPU at hand. irqs off. */
int bv_engine_cpu_enable(void);
void bv_engine_cpu_disable(void);

/* ---- VMs ---- */

struct bv_vm *bv_vm_create(void *host_cookie); /* NULL: no memory */
/* All vCPUs stopped, nobody else holds the VM. Destroys its vCPUs too. */
void bv_vm_destroy(struct bv_vm *vm);
void *bv_vm_host(const struct bv_vm *vm); /* the cookie given at creation */
void bv_vm_set_front(struct bv_vm *vm, void *front);
void *bv_vm_front(const struct bv_vm *vm);
struct bv_why *bv_vm_why(struct bv_vm *vm);
/* Ends the VM: no vCPU enters the guest again. The first reason is kept. any. */
void bv_vm_kill(struct bv_vm *vm, const char *format, ...) bv_printf_like(2, 3);
bool bv_vm_dead(const struct bv_vm *vm);
/*
 * The guest reaches these ports of the machine itself, without exits; all others exit. Before the
 * first vCPU. -BV_EOPNOTSUPP: the vendor has no way, -BV_EINVAL, -BV_ENOMEM.
 */
int bv_vm_ports_direct(struct bv_vm *vm, u16 first, u32 count);
/* Its vCPUs may run guests if their CPUID says so, and bv_engine_nests. Before the first vCPU. */
void bv_vm_set_nested(struct bv_vm *vm);
struct bv_vcpu *bv_vm_vcpu(struct bv_vm *vm, unsigned int index); /* NULL: none with that index */
unsigned int bv_vm_vcpu_count(struct bv_vm *vm);

/* ---- vCPUs ---- */

/*
 * index: 0 to BV_MAX_VCPUS-1, not in use; apic_id: its initial APIC ID. io_page: a page that
 * outlives the vCPU, through which data of port and MMIO requests passes (the front may share it
 * with user space). The vCPU is as after RESET; index 0 (or bv_vm_set_bsp) is the boot processor,
 * the others wait for SIPI where there is a local APIC.
 */
struct bv_vcpu *bv_vcpu_create(struct bv_vm *vm, unsigned int index, void *host_cookie,
			       void *io_page, int *error);
void bv_vm_set_bsp(struct bv_vm *vm, unsigned int index);
void *bv_vcpu_host(const struct bv_vcpu *vcpu);
struct bv_vm *bv_vcpu_vm(const struct bv_vcpu *vcpu);
unsigned int bv_vcpu_index(const struct bv_vcpu *vcpu);

/*
 * The host calls these when the running thread goes onto a CPU, and off it. irqs off or preemption
 * off; any.
 */
void bv_vcpu_load(struct bv_vcpu *vcpu);
void bv_vcpu_unload(struct bv_vcpu *vcpu);

/* ---- running ---- */

enum bv_run_reason {
	BV_RUN_INTERRUPTED, /* a signal, or bv_vcpu_stop_request */
	BV_RUN_IO, /* answer .io, then run again */
	BV_RUN_MMIO, /* answer .mmio, then run again */
	BV_RUN_HALTED, /* HLT, and no local APIC here to wake it; or pv_ops->halt_off said so */
	BV_RUN_SHUTDOWN, /* triple fault */
	BV_RUN_IRQ_WINDOW, /* an interrupt asked for by irq_window_wanted can be given now */
	BV_RUN_EOI, /* EOI of .vector, of interest to a user-space I/O APIC */
	BV_RUN_DEBUG, /* .debug: an event that the debugger wants */
	BV_RUN_TPR, /* CR8 was written and user space has the interrupt controller */
	BV_RUN_MSR_READ, /* .msr: a filtered or unknown MSR that user space asked for */
	BV_RUN_MSR_WRITE,
	BV_RUN_HYPERCALL,
	BV_RUN_DIRTY_RING_FULL,
	BV_RUN_ENTRY_FAILED, /* the CPU refused the state: .fail_code */
	BV_RUN_INTERNAL, /* the engine could not go on (unknown instruction): reason in the ring */
	BV_RUN_DEAD, /* the VM was killed */
};

struct bv_hypercall {
	u64 nr, args[6];
	u64 result;
	bool long_mode; /* 64-bit code; else registers are cut to 32 bits */
	u8 cpl;
};

/*
 * What a run returned, and the answer on the way back. For IO and MMIO reads, the front fills
 * `data` before the next run; io data is at the vCPU's io_page, `count` items of `size` bytes.
 */
struct bv_run {
	enum bv_run_reason reason;
	/* in: return BV_RUN_IRQ_WINDOW as soon as an interrupt can be taken */
	bool irq_window_wanted;
	/* in: complete a pending request, then return INTERRUPTED without entering the guest */
	bool immediate_exit;
	union {
		struct {
			u16 port;
			u8 size;
			bool write;
			u32 count;
		} io;
		struct {
			u64 gpa;
			u32 len; /* 1 to 8 */
			bool write;
			u8 data[8];
		} mmio;
		struct {
			u32 vector; /* exception: BV_EXC_DB or BV_EXC_BP */
			u64 pc, dr6, dr7;
		} debug;
		struct {
			u32 index;
			u64 data;
			bool error; /* answer: inject #GP */
			u8 why; /* BV_MSR_* */
		} msr;
		struct bv_hypercall hypercall;
		u8 vector;
		u64 fail_code;
	};
};

/* Runs the vCPU until somebody else is needed. The thread holds the vCPU's mutex. */
void bv_vcpu_run(struct bv_vcpu *vcpu, struct bv_run *run);
/* Makes a running vCPU notice new requests: exits the guest, wakes from HLT. any. */
void bv_vcpu_kick(struct bv_vcpu *vcpu);

/* Facts that go with every return of run. */
bool bv_vcpu_irq_open(struct bv_vcpu *vcpu); /* an interrupt given now would be taken at once */
bool bv_vcpu_if_flag(struct bv_vcpu *vcpu);
u64 bv_vcpu_cr8(struct bv_vcpu *vcpu);
void bv_vcpu_set_cr8(struct bv_vcpu *vcpu, u64 cr8);
u64 bv_vcpu_apic_base(struct bv_vcpu *vcpu);

/* ---- state: the neutral form ---- */

struct bv_gprs {
	u64 gpr[BV_GPR_COUNT];
	u64 rip;
	u64 rflags;
};

struct bv_sregs {
	struct bv_seg seg[BV_SEG_COUNT];
	struct bv_desc_table gdt, idt;
	u64 cr0, cr2, cr3, cr4, cr8, efer, apic_base;
};

struct bv_debugregs {
	u64 db[4];
	u64 dr6, dr7;
};

/* An event on its way: being injected, or waiting to be. */
struct bv_events {
	struct {
		bool pending; /* raised, not yet taken; may still be replaced by a double fault */
		bool injected; /* taken: must be delivered at the next entry */
		u8 vector;
		bool has_error;
		u32 error;
		bool has_payload; /* #PF: CR2, #DB: DR6 bits, not yet written to the register */
		u64 payload;
	} exception;
	struct {
		bool injected;
		u8 vector;
		bool soft;
		u8 shadow; /* 1 after MOV SS, 2 after STI; 0 none */
	} interrupt;
	struct {
		bool injected;
		u8 pending; /* 0 to 2 */
		bool masked;
	} nmi;
	u32 sipi_vector;
	bool triple_fault;
};

enum bv_mp_state {
	BV_MP_RUNNABLE,
	BV_MP_UNINITIALIZED, /* an application processor before INIT */
	BV_MP_INIT_RECEIVED, /* waits for SIPI */
	BV_MP_HALTED,
	BV_MP_SIPI_RECEIVED,
};

void bv_vcpu_gprs_get(struct bv_vcpu *vcpu, struct bv_gprs *gprs);
void bv_vcpu_gprs_set(struct bv_vcpu *vcpu, const struct bv_gprs *gprs);
void bv_vcpu_sregs_get(struct bv_vcpu *vcpu, struct bv_sregs *sregs);
/* -BV_EINVAL: a combination that no CPU can have; nothing was changed. */
int bv_vcpu_sregs_set(struct bv_vcpu *vcpu, const struct bv_sregs *sregs);
void bv_vcpu_debugregs_get(struct bv_vcpu *vcpu, struct bv_debugregs *debugregs);
int bv_vcpu_debugregs_set(struct bv_vcpu *vcpu, const struct bv_debugregs *debugregs);
void bv_vcpu_events_get(struct bv_vcpu *vcpu, struct bv_events *events);
/*
 * Writes what a pending exception brings to CR2 or DR6 there, for a front that has no word for it:
 * before it reads events and registers out.
 */
void bv_vcpu_exception_payload(struct bv_vcpu *vcpu);
int bv_vcpu_events_set(struct bv_vcpu *vcpu, const struct bv_events *events);
enum bv_mp_state bv_vcpu_mp_get(struct bv_vcpu *vcpu);
int bv_vcpu_mp_set(struct bv_vcpu *vcpu, enum bv_mp_state state);
/*
 * Of a vCPU that may run guests: whether its interrupts are held (AMD's GIF is clear). get:
 * -BV_EBUSY while its guest is on. set: that is left; -BV_EINVAL: its CPUID offers no guests.
 */
int bv_vcpu_nested_get(struct bv_vcpu *vcpu, bool *held);
int bv_vcpu_nested_set(struct bv_vcpu *vcpu, bool held);
u64 bv_vcpu_xcr0_get(struct bv_vcpu *vcpu);
int bv_vcpu_xcr0_set(struct bv_vcpu *vcpu, u64 xcr0);
/*
 * PKRU is no part of what the host keeps of the FPU: the engine switches it. For hosts' xsave_get
 * and _set.
 */
u32 bv_vcpu_pkru_get(const struct bv_vcpu *vcpu);
void bv_vcpu_pkru_set(struct bv_vcpu *vcpu, u32 pkru);

/*
 * An interrupt from a user-space interrupt controller: one at a time, -BV_EEXIST while one waits.
 */
int bv_vcpu_interrupt(struct bv_vcpu *vcpu, u8 vector);
/* any. */
void bv_vcpu_nmi(struct bv_vcpu *vcpu);
/* Raises an exception at the next entry. */
void bv_vcpu_inject_exception(struct bv_vcpu *vcpu, u8 vector, bool has_error, u32 error);

/* ---- MSRs ---- */

/*
 * Host-initiated: not subject to the guest's own permissions. -BV_ENOENT: no such MSR; -BV_EINVAL:
 * no such value.
 */
int bv_vcpu_msr_get(struct bv_vcpu *vcpu, u32 index, u64 *value);
int bv_vcpu_msr_set(struct bv_vcpu *vcpu, u32 index, u64 value);
/* The i-th MSR that save and restore has to carry; false past the last. */
bool bv_msr_saved(unsigned int i, u32 *index);
/* The i-th MSR that tells features, and the value this host supports; false past the last. */
bool bv_msr_feature(unsigned int i, u32 *index, u64 *value);
/*
 * Why an access of the guest's to an MSR comes to the front: a bit each, in struct bv_run and in
 * the policy.
 */
#define BV_MSR_FILTERED 1u
#define BV_MSR_UNKNOWN 2u
#define BV_MSR_INVALID 4u
/*
 * The MSR filter of user space: may the guest itself access this MSR? any; returns to run as
 * BV_RUN_MSR_* with why.
 */
typedef bool bv_msr_filter(void *front, u32 index, bool write);
void bv_vm_msr_policy(struct bv_vm *vm, u32 user_reasons, bv_msr_filter *filter);

/* ---- paravirtualization: the front's language between guest and host ---- */

/*
 * What a front may add to the engine's exits. All are called by the vCPU's own thread, may sleep,
 * hold no lock but the VM's memory lock for reading. Any may be NULL.
 */
struct bv_pv_ops {
	/* true: done, .result is for the guest. false: to the front as BV_RUN_HYPERCALL. */
	bool (*hypercall)(struct bv_vcpu *vcpu, struct bv_hypercall *call);
	/* MSRs that the engine does not know. 0, -BV_ENOENT (not ours either), -BV_EINVAL (#GP). */
	int (*msr_get)(struct bv_vcpu *vcpu, u32 index, u64 *value, bool host);
	int (*msr_set)(struct bv_vcpu *vcpu, u32 index, u64 value, bool host);
	/*
	 * bv_vcpu_pv_request was called, or the vCPU came onto another CPU: bring shared pages up
	 * to date before entry.
	 */
	void (*refresh)(struct bv_vcpu *vcpu);
	void (*vcpu_reset)(struct bv_vcpu *vcpu, bool init);
	/*
	 * A vector that the front has for the vCPU, before those of any interrupt controller; -1:
	 * none. With `take` it is delivered at the entry at hand. any.
	 */
	int (*irq)(struct bv_vcpu *vcpu, bool take);
	/*
	 * The bit by which the guest ends interrupts without an exit (bv_vcpu_eoi_page): sets or
	 * clears it, false if it cannot; and whether it is set, true if that cannot be told.
	 */
	bool (*eoi_put)(struct bv_vcpu *vcpu, bool on);
	bool (*eoi_get)(struct bv_vcpu *vcpu);
	/*
	 * HLT with interrupts off, and nothing pending that ends it. true: back to the front as
	 * BV_RUN_HALTED.
	 */
	bool (*halt_off)(struct bv_vcpu *vcpu);
};

void bv_vm_set_pv(struct bv_vm *vm, const struct bv_pv_ops *ops);
void bv_vcpu_set_pv(struct bv_vcpu *vcpu, void *data);
void *bv_vcpu_pv(const struct bv_vcpu *vcpu);
/* Asks for ops->refresh before the next entry. any. */
void bv_vcpu_pv_request(struct bv_vcpu *vcpu);
/*
 * Whether refresh is to be called each time that the vCPU comes onto a CPU, not only onto another
 * one. Owning vCPU.
 */
void bv_vcpu_pv_each_load(struct bv_vcpu *vcpu, bool each);
/*
 * Whether ops->eoi_put has a place to put it, from now on. Before a place is given up: it is
 * cleared. Owning vCPU, with the memory lock held for reading if that runs.
 */
void bv_vcpu_eoi_page(struct bv_vcpu *vcpu, bool on);
/* Copies with the memory lock held for reading, as it is inside bv_pv_ops. */
int bv_vcpu_mem_read(struct bv_vcpu *vcpu, u64 gpa, void *to, size_t bytes);
int bv_vcpu_mem_write(struct bv_vcpu *vcpu, u64 gpa, const void *from, size_t bytes);
/*
 * Copies at linear addresses of the vCPU's guest, with the rights of its kernel (CPL 0; WP, SMAP
 * and the like hold). -BV_EFAULT. The first two as bv_vcpu_mem_read, the others take the lock.
 * Owning vCPU; sleep.
 */
int bv_vcpu_linear_read_locked(struct bv_vcpu *vcpu, u64 gva, void *to, size_t bytes);
int bv_vcpu_linear_write_locked(struct bv_vcpu *vcpu, u64 gva, const void *from, size_t bytes);
int bv_vcpu_linear_read(struct bv_vcpu *vcpu, u64 gva, void *to, size_t bytes);
int bv_vcpu_linear_write(struct bv_vcpu *vcpu, u64 gva, const void *from, size_t bytes);
/*
 * bv_pv_ops.irq has, or may have, a vector: the vCPU looks before it enters the guest, wakes from
 * HLT. any.
 */
void bv_vcpu_irq_arrived(struct bv_vcpu *vcpu);
/*
 * Sends an IPI (fixed or NMI, as in the low word of ICR) for a guest's hypercall; false: no such
 * CPU.
 */
bool bv_vcpu_send_ipi(struct bv_vcpu *vcpu, u32 apic_id, u32 icr_low);
/* Wakes the vCPU with that APIC ID from HLT. */
void bv_vcpu_wake_other(struct bv_vcpu *vcpu, u32 apic_id);

/* ---- machine checks ---- */

/* MCG_CAP as far as it can be offered: the number of banks in bits 7:0. */
u64 bv_mce_supported(void);
/*
 * Gives the vCPU its MCG_CAP and clears its banks. -BV_EINVAL: more banks or other bits than
 * supported.
 */
int bv_vcpu_mce_setup(struct bv_vcpu *vcpu, u64 mcg_cap);

struct bv_mce {
	u8 bank;
	u64 status, addr, misc, mcg_status;
};

/*
 * Writes the error into its bank and, where it is uncorrected, raises #MC. -BV_EINVAL: no such
 * bank, not valid.
 */
int bv_vcpu_mce_raise(struct bv_vcpu *vcpu, const struct bv_mce *mce);

/* ---- time ---- */

/* The guest's TSC at this moment. any. */
u64 bv_vcpu_tsc_now(struct bv_vcpu *vcpu);

/* Whether guests may have a TSC frequency other than the host's. */
bool bv_tsc_scalable(void);

u32 bv_vcpu_tsc_khz(struct bv_vcpu *vcpu);
/* -BV_EINVAL: not the host's frequency and the CPU cannot scale. */
int bv_vcpu_set_tsc_khz(struct bv_vcpu *vcpu, u32 khz);
s64 bv_vcpu_tsc_offset_get(struct bv_vcpu *vcpu);
void bv_vcpu_tsc_offset_set(struct bv_vcpu *vcpu, s64 offset);

/* ---- debugging from outside ---- */

struct bv_guest_debug {
	bool enabled;
	bool single_step;
	bool soft_breakpoints; /* #BP goes to the debugger */
	bool hard_breakpoints; /* db and dr7 are the debugger's */
	bool inject_db, inject_bp;
	bool block_irq;
	u64 db[4];
	u64 dr7;
};

int bv_vcpu_guest_debug(struct bv_vcpu *vcpu, const struct bv_guest_debug *debug);
/* Guest virtual to guest physical, by the vCPU's tables; -BV_ENOENT where not mapped. */
int bv_vcpu_translate(struct bv_vcpu *vcpu, u64 gva, u64 *gpa, bool *writable, bool *user);
/* The same with the memory lock held for reading, as inside bv_pv_ops. */
int bv_vcpu_translate_locked(struct bv_vcpu *vcpu, u64 gva, u64 *gpa, bool *writable, bool *user);

/* ---- counters ---- */

/*
 * Name and value of the i-th counter (exits by kind, events…) of a vCPU; NULL past the last. any.
 */
const char *bv_vcpu_counter(struct bv_vcpu *vcpu, unsigned int i, u64 *value);

#endif
