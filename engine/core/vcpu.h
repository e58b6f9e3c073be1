/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The virtual CPU and the VM from inside: for core, chips and vendors. Hosts and fronts see
 * bv/vm.h.
 *
 * Where a vCPU's registers are. General registers, RIP and RFLAGS are in vcpu->gprs whenever the
 * guest does not run. All else (segments, control registers, system MSRs) stays with the vendor and
 * is brought here on demand: bv_vcpu_need() makes a group valid in vcpu->state, bv_vcpu_touch()
 * also says that it will be changed and must go back before the next entry.
 */
#ifndef BV_CORE_VCPU_H
#define BV_CORE_VCPU_H

#include "bv/cpuid.h"
#include "bv/doorbell.h"
#include "bv/mem.h"
#include "bv/vm.h"
#include "core/bus.h"
#include "core/exit.h"
#include "core/nest.h"
#include "core/nested.h"
#include "core/region.h"
#include "core/vendor.h"
#include "x86/emulate.h"

/*
 * Work that a vCPU must notice before it enters the guest: bits of vcpu->requests, set by anybody
 * (bv_vcpu_request).
 */
enum bv_request {
	BV_REQ_EVENT, /* interrupts, NMIs or exceptions to look at */
	BV_REQ_TLB_FLUSH,
	BV_REQ_PV, /* pages shared with the guest are to be brought up to date */
	BV_REQ_DEAD,
	BV_REQ_TRIPLE_FAULT,
	BV_REQ_EOI_EXIT, /* vcpu->eoi_vector: tell the front */
	BV_REQ_RELOAD, /* intercepts depend on something that changed */
	BV_REQ_INIT, /* INIT arrived */
	BV_REQ_SIPI,
	BV_REQ_UNHALT, /* ends HLT without an event */
	BV_REQ_SOFT_IRQ, /* user space restored a software interrupt: its length has to be found */
};

/*
 * Groups of registers that move between vcpu->state and the vendor together. Bits 0 to 7: one
 * segment each.
 */
#define BV_ST_SEG(number) (1u << (number))
#define BV_ST_SEGS 0xffu
#define BV_ST_TABLES 0x100u /* gdt, idt */
#define BV_ST_CR 0x200u /* cr0, cr2, cr3, cr4, efer */
#define BV_ST_DR 0x400u /* dr6, dr7 */
#define BV_ST_SYSCALL 0x800u /* star … kernel_gs_base, sysenter_* */
#define BV_ST_PAT 0x1000u
#define BV_ST_ALL 0x1fffu

struct bv_cpu_state {
	struct bv_seg seg[BV_SEG_COUNT];
	struct bv_desc_table gdt, idt;
	u64 cr0, cr2, cr3, cr4, efer;
	u64 dr6, dr7;
	u64 star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat;
};

/* What the vCPU's CPUID says, where the engine has to know. */
struct bv_guest_caps {
	u64 cr4; /* bits that CR4 may have */
	u64 efer;
	u64 xcr0;
	u8 phys_bits;
	bool amd; /* the vendor string is AMD's or Hygon's */
	bool x2apic, rdtscp, invpcid, tsc_adjust, tsc_deadline, mtrr, pat, mce;
	bool svm; /* it may run guests of its own */
};

/* The walk that led to the page of the last instruction that exited; see emul.c. */
#define BV_CODE_MEMO_LEVELS 5
struct bv_code_memo {
	u64 page, cr0, cr3, cr4, efer; /* of these, */
	u32 cpl, generation;
	u64 gpa; /* the result was this, */
	u32 count;
	bool recording;
	u64 host_addr[BV_CODE_MEMO_LEVELS], entry[BV_CODE_MEMO_LEVELS]; /* by these table entries */
};

/* An instruction that was decoded, for the next time. */
struct bv_quick {
	u64 rip;
	struct bv_insn insn;
	struct bv_insn_key key;
};

#define BV_QUICKS 4

/* A request that user space must answer before the instruction can finish. */
enum bv_io_wait {
	BV_WAIT_NOTHING,
	BV_WAIT_PORT_IN,
	BV_WAIT_MMIO_READ, /* by one plain move */
	BV_WAIT_EMULATOR,
	BV_WAIT_MSR_READ,
	BV_WAIT_MSR_WRITE,
	BV_WAIT_HYPERCALL,
};

/* What run_once has to do before an entry with BV_REQ_EVENT: bits of vcpu->at_entry. */
#define BV_AT_ENTRY_EOI 1u /* the guest has a word for ends of interrupts */
#define BV_AT_ENTRY_L2 2u /* its guest is on: what comes may take it back to L1 */

enum bv_guest_mode {
	BV_OUTSIDE_GUEST,
	BV_IN_GUEST
};

struct bv_vcpu {
	/* constant after creation */
	struct bv_vm *vm;
	unsigned int index;
	void *host;
	void *intc; /* the local APIC, if the VM has them */
	void *vendor; /* the vendor's per-vCPU data */
	u8 *io_page;

	/* any thread, atomically */
	u32 requests; /* 1 << enum bv_request */
	u32 guest_mode; /* enum bv_guest_mode */
	u32 nmi_queued; /* NMIs not yet taken in by the owning thread, at most 2 */
	u32 sipi_vector; /* with BV_REQ_SIPI */

	/* owning vCPU only (the thread in bv_vcpu_run, or the holder of the vCPU's mutex) */
	struct bv_gprs gprs;
	struct bv_cpu_state state;
	u32 valid, dirty; /* BV_ST_* groups: in `state`, and changed there */
	struct bv_exit exit;
	u32 port_data; /* of IN or OUT, on its way */
	u32 cpu; /* where it last ran */
	bool loaded;
	enum bv_mp_state mp_state;
	u64 xcr0;
	u64 db[4]; /* the guest's DR0 to DR3 */
	bool dr_live; /* the guest uses debug registers: the hardware has them while it runs */
	u32 pkru;
	u64 tsc_offset; /* guest's TSC = host's + offset */
	u64 tsc_adjust;
	u32 tsc_generation; /* of its last write from outside */
	u64 tsc_aux, host_tsc_aux;
	u64 turn_begin, turn_ticks; /* see bv_vcpu_turn_set */
	struct bv_events events;
	struct bv_msr_store *msrs;
	struct bv_guest_debug debug;
	u64 debug_guest_dr7; /* the guest's own, while the debugger has the register */
	u8 cr8; /* kept by the local APIC, if the VM has them */
	struct bv_ioreplay replay;
	struct {
		enum bv_io_wait kind;
		u64 rip; /* of the instruction: if it has changed, nobody waits any more */
		u8 length;
		u8 bytes;
		u8 hits; /* breakpoints that the access met, as in DR6 */
		struct bv_mmio mmio;
	} wait;
	struct bv_run *run; /* while in bv_vcpu_run */
	struct bv_wishes wishes; /* what the vendor was told */
	int front_irq; /* a vector from bv_vcpu_interrupt, -1 none */
	int offered; /* a vector that the hardware may deliver in this entry, -1 none */
	bool x2apic; /* the local APIC is in x2APIC mode: kept by it */
	struct bv_service service; /* where the hardware ends interrupts: */
	bool served; /* it does in the coming entry */
	u8 at_entry; /* BV_AT_ENTRY_* */
	bool eoi_offered; /* the bit of the guest's word for ends of interrupts is set (eoi.c) */
	bool nmi_iret; /* the NMI handler's IRET is at iret_rip, about to be executed */
	u64 iret_rip;
	bool stepping; /* TF is ours for the next instruction */
	bool shadow_step; /* the instruction at RIP is in a shadow that the hardware forgot */
	/* Of a software interrupt that is delivered again: at it, and behind it. */
	u64 soft_rip, soft_next_rip;
	bool state_protected; /* CR0.PE at this entry: exceptions have error codes */
	bool step_due; /* the debugger's step is over: tell it before the next entry */
	bool step_guest_tf; /* and the guest had it set itself */
	u32 eoi_vector;
	u64 one_gpa; /* where the emulated instruction's only data access goes, ~0 unknown */
	bool tpr_lowered; /* user space, which has the interrupt controllers, is to be told */
	struct bv_emul emul;
	struct bv_code_memo code_memo;
	struct bv_bus_memo bus_memo[BV_BUS_COUNT];
	struct bv_quick quick[BV_QUICKS]; /* the last plain accesses to devices */
	u8 quick_next; /* that one is given up next */
	struct bv_cpuid_leaf *cpuid;
	u32 cpuid_count;
	struct bv_guest_caps caps; /* read off cpuid when it is set */
	struct bv_nest_cache cache; /* pages kept for the next nested fault */
	bool pv_each_load; /* the front's refresh is wanted at every load */
	void *pv; /* the front's paravirtual helps in use */
	struct bv_dirty_ring *ring;
	u32 region_hint; /* the region found last */
	u8 nesting; /* BV_NESTING_* */
	struct bv_nested *nested; /* NULL: the guest runs no guests */
	u64 counter[BV_COUNTER_COUNT];
};

struct bv_vm {
	/* constant after creation */
	u64 serial; /* no other VM has had it; not 0 */
	void *host;
	void *front;
	void *vendor;
	struct bv_why why;

	/* set before the first vCPU, constant after */
	const struct bv_intc_ops *intc; /* NULL: the front has the interrupt controllers */
	void *chips; /* the chips' per-VM data */
	bool serves; /* the vendor's hardware can end interrupts */

	/*
	 * guarded by mem_lock: a sleeping lock, held for reading over an exit's work, for writing
	 * to change the map
	 */
	struct bv_rwsem mem_lock;
	struct bv_bus bus[BV_BUS_COUNT];
	struct bv_regions regions; /* changed under both mem_lock for writing and nest.lock */

	struct bv_nest nest; /* has its own lock */

	/* guarded by vcpu_lock for writing; read anywhere, slots are set once */
	struct bv_mutex vcpu_lock;
	struct bv_vcpu *vcpu[BV_MAX_VCPUS];
	u32 vcpu_count; /* one past the highest slot in use */
	u32 bsp;

	/* any thread, atomically */
	u32 dead;

	/* guarded by tsc_lock: matching the TSCs of vCPUs that are written one after the other */
	struct bv_spinlock tsc_lock;
	u64 tsc_last_write_ns, tsc_last_value, tsc_last_offset;
	u32 tsc_generation; /* of writes that got one offset */

	const struct bv_pv_ops *pv;
	bool nested; /* guests may be offered to run guests */
	u32 msr_user_reasons;
	bv_msr_filter *msr_filter;
	bool dirty_manual, dirty_init_all;
};

/* Makes the groups valid in vcpu->state. Owning vCPU. */
static inline void bv_vcpu_need(struct bv_vcpu *vcpu, u32 groups)
{
	u32 missing = groups & ~vcpu->valid;

	if (missing) {
		bv_vendor->pull(vcpu, missing);
		vcpu->valid |= missing;
	}
}

/* The same, and they will be changed. */
static inline void bv_vcpu_touch(struct bv_vcpu *vcpu, u32 groups)
{
	bv_vcpu_need(vcpu, groups);
	vcpu->dirty |= groups;
}

/* Sets a request without making a running vCPU notice it; bv_vcpu_kick does that. any. */
static inline void bv_vcpu_request(struct bv_vcpu *vcpu, enum bv_request request)
{
	__atomic_fetch_or(&vcpu->requests, 1u << request, __ATOMIC_SEQ_CST);
}

/* Takes a request: true once for each time it was set. */
static inline bool bv_vcpu_take_request(struct bv_vcpu *vcpu, enum bv_request request)
{
	if (!(__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & (1u << request)))
		return false;
	return __atomic_fetch_and(&vcpu->requests, ~(1u << request), __ATOMIC_SEQ_CST) &
	       (1u << request);
}

/* ---- between the files of core ---- */

/* vcpu.c: what RESET, or INIT, leaves. */
void bv_vcpu_reset(struct bv_vcpu *vcpu, bool init);
static inline unsigned int bv_vcpu_cpl(struct bv_vcpu *vcpu)
{
	bv_vcpu_need(vcpu, BV_ST_SEG(BV_SEG_SS));
	return (vcpu->state.seg[BV_SEG_SS].attr & BV_SEG_DPL) >> BV_SEG_DPL_SHIFT;
}
/* Sets CR0, CR4, EFER with the checks of a guest's MOV: false where it is #GP. */
bool bv_vcpu_cr0_write(struct bv_vcpu *vcpu, u64 value);
bool bv_vcpu_cr3_write(struct bv_vcpu *vcpu, u64 value);
bool bv_vcpu_cr4_write(struct bv_vcpu *vcpu, u64 value);
bool bv_vcpu_xcr0_write(struct bv_vcpu *vcpu, u64 value);
bool bv_vcpu_efer_write(struct bv_vcpu *vcpu, u64 value);

/* CPUID as this vCPU sees it, into out[] by enum bv_cpuid_register. */
void bv_cpuid_of(struct bv_vcpu *vcpu, u32 leaf, u32 subleaf, u32 out[4]);

/* event.c */
/*
 * Raises an exception, as the instruction at hand: merged with one under delivery into #DF or a
 * triple fault.
 */
void bv_event_raise(struct bv_vcpu *vcpu, u8 vector, bool has_error, u32 error, u64 payload);
void bv_event_raise_fault(struct bv_vcpu *vcpu, const struct bv_fault *fault);
static inline void bv_event_gp(struct bv_vcpu *vcpu)
{
	bv_event_raise(vcpu, BV_EXC_GP, true, 0, 0);
}
static inline void bv_event_ud(struct bv_vcpu *vcpu)
{
	bv_event_raise(vcpu, BV_EXC_UD, false, 0, 0);
}
/* Chooses what is injected by the coming entry and which exits it needs. irqs off. */
void bv_event_prepare(struct bv_vcpu *vcpu);
/* Takes stock after an exit: what was delivered, what must be again. */
void bv_event_exited(struct bv_vcpu *vcpu);
/* Whether the hardware can end the guest's interrupts (bv_vendor->serve). */
bool bv_event_may_serve(struct bv_vcpu *vcpu);
/* Something waits that would end HLT. */
bool bv_event_wakes(struct bv_vcpu *vcpu);
/* Whether an interrupt could be delivered at this instruction boundary. */
bool bv_event_irq_allowed(struct bv_vcpu *vcpu);
/*
 * L2 is on, and something may have arrived: exits to L1 that it makes, made before the entry. May
 * sleep.
 */
void bv_event_l2_prepare(struct bv_vcpu *vcpu);
/* Whether an interrupt that the front gives (bv_vcpu_interrupt) is taken at all. */
bool bv_event_front_irq_taken(struct bv_vcpu *vcpu);
/* The NMI handler's IRET is about to be executed. */
void bv_event_iret(struct bv_vcpu *vcpu);
/* A software interrupt waits to be delivered again. Under the memory lock. */
void bv_event_soft_prepare(struct bv_vcpu *vcpu);
/*
 * The interrupt window opened although the instruction at RIP is in a shadow. Under the memory
 * lock.
 */
void bv_event_shadow_step(struct bv_vcpu *vcpu);
/* #DB came: true if it was for us alone. */
bool bv_event_step_done(struct bv_vcpu *vcpu);

/* eoi.c: ends of interrupts that the guest writes into its memory. May sleep. */
/* Before an entry: whether the guest may end its interrupt so. */
void bv_eoi_prepare(struct bv_vcpu *vcpu);
/* After an exit, where it was allowed to: whether it has. */
void bv_eoi_look(struct bv_vcpu *vcpu);
/* It may not any more. */
void bv_eoi_withdraw(struct bv_vcpu *vcpu);

/* exit.c */
enum bv_exit_next bv_exit_handle(struct bv_vcpu *vcpu);
/* RIP past an instruction of this length. */
u64 bv_exit_rip_after(struct bv_vcpu *vcpu, unsigned int length);
/* The length of the VMMCALL's kin 0F 01 `last` at RIP; 0: another instruction is there by now. */
unsigned int bv_exit_virt_length(struct bv_vcpu *vcpu, u8 last);
/* Moves RIP past the instruction that exited. */
void bv_exit_skip(struct bv_vcpu *vcpu, unsigned int length);
/*
 * An instruction that was carried out here ended with a single step due: by TF, or for the
 * debugger.
 */
void bv_exit_stepped(struct bv_vcpu *vcpu);
/* Tells the debugger of such a step. */
enum bv_exit_next bv_exit_step_report(struct bv_vcpu *vcpu);
/*
 * The opcode at RIP, two bytes for those that begin with 0F; 0: no code is there. *length: with its
 * prefixes. Under the memory lock.
 */
u16 bv_exit_opcode(struct bv_vcpu *vcpu, unsigned int *length, u8 *next);
/* The length of the RDMSR or WRMSR at RIP; 0: another instruction is there by now. */
unsigned int bv_exit_msr_length(struct bv_vcpu *vcpu, bool write);
/* Returns to the front because the engine is at its end; the reason goes to the ring. */
enum bv_exit_next bv_exit_internal(struct bv_vcpu *vcpu, const char *format, ...)
	bv_printf_like(2, 3);

/* fault.c: a guest-physical page has no mapping, or not enough. */
enum bv_exit_next bv_fault_nested(struct bv_vcpu *vcpu);

/* emul.c */
/*
 * Emulates the instruction at RIP. one_gpa: the guest-physical address of its only data access, or
 * ~0.
 */
enum bv_exit_next bv_emulate(struct bv_vcpu *vcpu, u64 one_gpa);
/* Makes the task switch that the exit tells of, and takes its event as delivered. */
enum bv_exit_next bv_emulate_task_switch(struct bv_vcpu *vcpu);
/* bv_emulate() for an access to a device at gpa. */
enum bv_exit_next bv_emulate_mmio(struct bv_vcpu *vcpu, u64 gpa);
/*
 * Copies up to `count` bytes of code at RIP; returns how many, 0: none (a fault may be raised by
 * running on).
 */
unsigned int bv_code_read(struct bv_vcpu *vcpu, u8 *bytes, unsigned int count);
/* Goes on with what waited for user space. NEXT_GUEST: finished. */
enum bv_exit_next bv_wait_finish(struct bv_vcpu *vcpu);

/* port.c */
enum bv_exit_next bv_port_exit(struct bv_vcpu *vcpu);
/* User space has answered an IN: its data is at io_page. */
void bv_port_in_finish(struct bv_vcpu *vcpu);

/* msr.c */
enum bv_access_result bv_msr_read(struct bv_vcpu *vcpu, u32 index, u64 *value, bool host);
enum bv_access_result bv_msr_write(struct bv_vcpu *vcpu, u32 index, u64 value, bool host);
enum bv_exit_next bv_msr_exit(struct bv_vcpu *vcpu, bool write);
int bv_msr_store_init(struct bv_vcpu *vcpu);
/* User space has answered an access: vcpu->run->msr. */
void bv_msr_finish(struct bv_vcpu *vcpu);
void bv_tsc_set_offset(struct bv_vcpu *vcpu, u64 offset);

/* An interrupt may have become deliverable: for chips. any. */
void bv_vcpu_irq_arrived(struct bv_vcpu *vcpu);
/* INIT and SIPI from another CPU's local APIC. any. */
void bv_vcpu_init_signal(struct bv_vcpu *vcpu);
void bv_vcpu_sipi_signal(struct bv_vcpu *vcpu, u8 vector);
/* Whether the boot processor flag of APIC_BASE is this vCPU's. */
static inline bool bv_vcpu_is_bsp(const struct bv_vcpu *vcpu)
{
	return vcpu->index == vcpu->vm->bsp;
}

/* The guest's TSC now. any (a racing change of the offset gives either value). */
static inline u64 bv_vcpu_tsc(const struct bv_vcpu *vcpu)
{
	return bv_host_tsc() + vcpu->tsc_offset;
}

/*
 * How long the guest may have the CPU at a stretch, in ticks of the host's TSC from now on, where
 * the vendor has a timer for that (turn_timer): so a timer of the guest's needs none of the host's
 * while the vCPU does not sleep. A TSC that went back ends the turn. Owning vCPU.
 */
#define BV_NO_TURN (~0ull)
static inline void bv_vcpu_turn_set(struct bv_vcpu *vcpu, u64 ticks)
{
	vcpu->turn_begin = bv_host_tsc();
	vcpu->turn_ticks = ticks;
}

static inline bool bv_vcpu_turn_is_set(const struct bv_vcpu *vcpu)
{
	return vcpu->turn_ticks != BV_NO_TURN;
}

/* What is left of it, 0: it is over. */
static inline u64 bv_vcpu_turn_left(const struct bv_vcpu *vcpu)
{
	u64 gone;

	if (!bv_vcpu_turn_is_set(vcpu))
		return BV_NO_TURN;
	gone = bv_host_tsc() - vcpu->turn_begin;
	return gone < vcpu->turn_ticks ? vcpu->turn_ticks - gone : 0;
}

/* What L2's TSC has more than L1's, while it is on. */
static inline u64 bv_l2_tsc_offset(const struct bv_vcpu *vcpu)
{
	return bv_unlikely(vcpu->nesting & BV_NESTING_L2) ? vcpu->nested->tsc_offset : 0;
}

#define bv_vm_for_each_vcpu(i, v, vm)                                                    \
	for ((i) = 0; (i) < __atomic_load_n(&(vm)->vcpu_count, __ATOMIC_ACQUIRE); (i)++) \
		if (((v) = __atomic_load_n(&(vm)->vcpu[i], __ATOMIC_ACQUIRE)))

#endif
