/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The front from inside: its VM and vCPU, a call on its way through, and the tables of ioctls. Not
 * for hosts, which see kvm.h.
 *
 * How an ioctl goes (call.c): the table of the file's kind is searched for its number; the row says
 * how many bytes of argument are copied in before and out after, and which lock is held. The
 * handler finds the argument in our memory, checks all of it, then does what cannot fail. It
 * returns what the ioctl returns.
 */
#ifndef BVK_FRONT_H
#define BVK_FRONT_H

#include <linux/kvm.h>

#include "bv/cpuid.h"
#include "bv/doorbell.h"
#include "bv/errno.h"
#include "bv/irq.h"
#include "bv/mem.h"
#include "bv/vm.h"
#include "bv/why.h"
#include "kvm.h"
#include "os.h"

/* Limits of this front; docs/kvm-way.md names them. */
#define BVK_MAX_VCPUS 16
#define BVK_MAX_RESAMPLERS 62
#define BVK_MAX_CPUID BV_CPUID_MAX
#define BVK_MAX_MSRS 256
#define BVK_MAX_RING_ENTRIES 65536
#define BVK_MIN_RING_ENTRIES 256

/*
 * Who drives an interrupt line: numbers for bv_irq_line. Resampling irqfds have one each, from the
 * third on.
 */
enum bvk_line_source {
	BVK_SOURCE_USER,
	BVK_SOURCE_UNUSED,
	BVK_SOURCE_RESAMPLE
};

struct bvk_irqfd;
struct bvk_ioeventfd;
struct bvk_msr_filter;

/* The guest's clock; theory in clock.c. */
struct bvk_clock {
	struct bv_spinlock lock; /* guards all but mul and shift, which are constant */
	bool by_tsc; /* the TSC defines it, from the base pair */
	u64 base_tsc; /* of the host */
	u64 base_ns;
	u64 host_offset; /* else: bv_host_ns() plus this */
	u32 mul;
	s8 shift;
};

struct bvk_clock_now {
	u64 ns; /* the clock at tsc and at wall_ns */
	u64 tsc, wall_ns; /* of the host */
	bool by_tsc;
	u64 base_tsc, base_ns;
};

/* What the guest asked for by KVM's MSRs, and what its pages were last told. Owning vCPU. */
struct bvk_pv {
	u64 system_time, wall_clock, steal_time, eoi; /* the MSRs */
	u64 steal_seen; /* bv_host_vcpu_steal_ns() as told */
	bool wall_clock_due;
	bool stopped; /* the next page says that the guest was stopped */
};

struct bvk_vm {
	/* constant after creation */
	struct bv_vm *vm;
	void *host;

	struct bvk_clock clock; /* has its own lock */

	/* atomic: files of this VM and of its vCPUs and statistics */
	u32 users;

	/* guarded by lock */
	struct bv_mutex lock;
	u32 vcpu_count;
	u32 max_vcpu_id; /* 0: not limited further by the user */
	u32 ring_entries; /* of each vCPU's dirty ring; 0: none */
	u32 tsc_khz; /* for vCPUs to come; 0: the host's */
	u32 manual_protect; /* KVM_DIRTY_LOG_* as enabled */
	struct bvk_ioeventfd *ioeventfds;

	/* written under lock, read under a vCPU's lock */
	bool exception_payload;
	bool triple_fault_event;
	u32 msr_user_reasons; /* KVM_MSR_EXIT_REASON_* */
	struct bvk_vcpu *vcpu[BV_MAX_VCPUS]; /* by id; set once */

	/* guarded by irqfd_lock, which hang-ups of eventfds take with interrupts off */
	struct bv_spinlock irqfd_lock;
	struct bvk_irqfd *irqfds;
	u64 sources; /* taken line sources, a bit each */

	/* guarded by filter_lock */
	struct bv_spinlock filter_lock;
	struct bvk_msr_filter *filter;
};

struct bvk_vcpu {
	/* constant after creation */
	struct bvk_vm *vm;
	struct bv_vcpu *vcpu;
	void *host;
	u32 id;
	struct kvm_run *page; /* shared with user space: every word of it is read once */
	void *io_page; /* shared with user space */
	void *ring; /* shared with user space; NULL: none */
	u32 ring_pages;

	/* guarded by lock */
	struct bv_mutex lock;
	struct bv_run run;
	bool answer_due; /* run holds a request of the guest's that user space has been told of */
	bool masks_signals;
	u64 signal_mask;
	struct bvk_pv pv;
};

/* ---- calls ---- */

struct bvk_call {
	const char *name; /* the ioctl's */
	const struct bvk_request *request;
	u64 arg; /* as given: a number or a user address */
	void *data; /* the argument, copied in; what of it is copied out */
	struct bvk_vm *vm; /* NULL on the device */
	struct bvk_vcpu *vcpu; /* NULL but on a vCPU */
};

enum bvk_lock {
	BVK_NO_LOCK,
	BVK_VM_LOCK,
	BVK_VCPU_LOCK
};

struct bvk_op {
	const char *name;
	u32 cmd;
	u16 in, out; /* bytes at `arg`: copied in before, out after success */
	u8 lock;
	long (*perform)(struct bvk_call *call);
};

#define BVK_OP(ioctl, in_bytes, out_bytes, which_lock, handler)                \
	{                                                                      \
#ioctl, (u32)(ioctl), in_bytes, out_bytes, which_lock, handler \
	}

/* The tables' rows come from several files: each gives its handlers here. */
long bvk_get_api_version(struct bvk_call *call);
long bvk_get_mmap_size(struct bvk_call *call);
long bvk_check_extension(struct bvk_call *call);
long bvk_vm_enable_cap(struct bvk_call *call);
long bvk_create_vm(struct bvk_call *call);
long bvk_get_cpuid_supported(struct bvk_call *call);
long bvk_get_msr_list(struct bvk_call *call);
long bvk_get_feature_msr_list(struct bvk_call *call);
long bvk_get_feature_msrs(struct bvk_call *call);
long bvk_get_dev_attr(struct bvk_call *call);
long bvk_has_dev_attr(struct bvk_call *call);
long bvk_get_mce_cap(struct bvk_call *call);

long bvk_create_vcpu(struct bvk_call *call);
long bvk_set_tss_addr(struct bvk_call *call);
long bvk_set_identity_map_addr(struct bvk_call *call);
long bvk_set_boot_cpu(struct bvk_call *call);
long bvk_get_clock(struct bvk_call *call);
long bvk_set_clock(struct bvk_call *call);
long bvk_vm_set_tsc_khz(struct bvk_call *call);
long bvk_vm_get_tsc_khz(struct bvk_call *call);
long bvk_set_msr_filter(struct bvk_call *call);
long bvk_get_stats_fd(struct bvk_call *call);

long bvk_set_memory_region(struct bvk_call *call);
long bvk_get_dirty_log(struct bvk_call *call);
long bvk_clear_dirty_log(struct bvk_call *call);
long bvk_reset_dirty_rings(struct bvk_call *call);

long bvk_create_irqchip(struct bvk_call *call);
long bvk_create_pit(struct bvk_call *call);
long bvk_create_pit2(struct bvk_call *call);
long bvk_irq_line(struct bvk_call *call);
long bvk_irq_line_status(struct bvk_call *call);
long bvk_signal_msi(struct bvk_call *call);
long bvk_set_routing(struct bvk_call *call);
long bvk_get_irqchip(struct bvk_call *call);
long bvk_set_irqchip(struct bvk_call *call);
long bvk_get_pit(struct bvk_call *call);
long bvk_set_pit(struct bvk_call *call);
long bvk_get_pit2(struct bvk_call *call);
long bvk_set_pit2(struct bvk_call *call);
long bvk_reinject_control(struct bvk_call *call);
long bvk_irqfd(struct bvk_call *call);
long bvk_ioeventfd(struct bvk_call *call);

long bvk_run(struct bvk_call *call);
long bvk_set_signal_mask(struct bvk_call *call);
long bvk_get_regs(struct bvk_call *call);
long bvk_set_regs(struct bvk_call *call);
long bvk_get_sregs(struct bvk_call *call);
long bvk_set_sregs(struct bvk_call *call);
long bvk_get_sregs2(struct bvk_call *call);
long bvk_set_sregs2(struct bvk_call *call);
long bvk_get_debugregs(struct bvk_call *call);
long bvk_set_debugregs(struct bvk_call *call);
long bvk_get_fpu(struct bvk_call *call);
long bvk_set_fpu(struct bvk_call *call);
long bvk_get_xsave(struct bvk_call *call);
long bvk_get_xsave2(struct bvk_call *call);
long bvk_set_xsave(struct bvk_call *call);
long bvk_get_xcrs(struct bvk_call *call);
long bvk_set_xcrs(struct bvk_call *call);
long bvk_get_msrs(struct bvk_call *call);
long bvk_set_msrs(struct bvk_call *call);
long bvk_set_cpuid(struct bvk_call *call);
long bvk_set_cpuid2(struct bvk_call *call);
long bvk_get_cpuid2(struct bvk_call *call);
long bvk_get_nested_state(struct bvk_call *call);
long bvk_set_nested_state(struct bvk_call *call);
long bvk_get_lapic(struct bvk_call *call);
long bvk_set_lapic(struct bvk_call *call);
long bvk_get_events(struct bvk_call *call);
long bvk_set_events(struct bvk_call *call);
long bvk_get_mp_state(struct bvk_call *call);
long bvk_set_mp_state(struct bvk_call *call);
long bvk_interrupt(struct bvk_call *call);
long bvk_nmi(struct bvk_call *call);
long bvk_setup_mce(struct bvk_call *call);
long bvk_raise_mce(struct bvk_call *call);
long bvk_vcpu_set_tsc_khz(struct bvk_call *call);
long bvk_vcpu_get_tsc_khz(struct bvk_call *call);
long bvk_clock_paused(struct bvk_call *call);
long bvk_translate(struct bvk_call *call);
long bvk_set_guest_debug(struct bvk_call *call);
long bvk_tpr_reporting(struct bvk_call *call);
long bvk_set_vapic_addr(struct bvk_call *call);
long bvk_has_vcpu_attr(struct bvk_call *call);
long bvk_get_vcpu_attr(struct bvk_call *call);
long bvk_set_vcpu_attr(struct bvk_call *call);

/* ---- shared between files ---- */

/*
 * Registers as user space sees them; also used by the run page (vcpu.c). set: -BV_EINVAL with a
 * reason.
 */
void bvk_regs_to_user(struct bvk_vcpu *vcpu, struct kvm_regs *regs);
void bvk_regs_from_user(struct bvk_vcpu *vcpu, const struct kvm_regs *regs);
void bvk_sregs_to_user(struct bvk_vcpu *vcpu, struct kvm_sregs *sregs);
int bvk_sregs_from_user(struct bvk_call *call, const struct kvm_sregs *sregs);
void bvk_events_to_user(struct bvk_vcpu *vcpu, struct kvm_vcpu_events *events);
int bvk_events_from_user(struct bvk_call *call, const struct kvm_vcpu_events *events);

void bvk_vm_get(struct bvk_vm *vm);
void bvk_vm_put(struct bvk_vm *vm);
void bvk_clock_init(struct bvk_clock *clock);
void bvk_clock_read(struct bvk_clock *clock, struct bvk_clock_now *now);
/* The factors by which ticks of a TSC become nanoseconds, and their use. */
void bvk_clock_scale(u32 tsc_khz, u32 *mul, s8 *shift);
u64 bvk_clock_ticks_to_ns(u64 ticks, u32 mul, s8 shift);

void bvk_pv_vm_init(struct bvk_vm *vm);
void bvk_pv_vcpu_init(struct bvk_vcpu *vcpu);
/* The VM's clock was set: guests' pages are to be written again. any. */
void bvk_pv_clock_changed(struct bvk_vm *vm);
/* The i-th MSR of KVM's own that save and restore has to carry; false past the last. */
bool bvk_pv_msr_saved(unsigned int i, u32 *index);

/* Takes the VM's irqfds, or ioeventfds, away. sleep. */
void bvk_irqfds_end(struct bvk_vm *vm);
void bvk_ioeventfds_end(struct bvk_vm *vm);
/* Frees the filter at the VM's end. */
void bvk_msr_filter_end(struct bvk_vm *vm);
/* Tells the engine what the VM's filter and reasons are now. */
void bvk_msr_policy_update(struct bvk_vm *vm);
/* Whether the user asked for a dirty ring: then there is no dirty bitmap. */
static inline bool bvk_has_ring(const struct bvk_vm *vm)
{
	return vm->ring_entries != 0;
}

/* -BV_EINVAL unless the ioctl's argument is 0. */
int bvk_no_argument(struct bvk_call *call);
/* Size of what KVM_GET_XSAVE2 and KVM_SET_XSAVE carry. */
u32 bvk_xsave_size(void);
u32 bvk_nested_state_size(void); /* what KVM_GET_NESTED_STATE needs at most */

static inline struct bv_why *bvk_why(const struct bvk_call *call)
{
	return call->vm ? bv_vm_why(call->vm->vm) : bv_why_global();
}

/*
 * Refuses with a reason that begins with the ioctl's name: `return bvk_refuse(call, BV_EINVAL,
 * "flags = %#x: …", flags)`.
 */
#define bvk_refuse(call, error, format, ...) \
	bv_refuse(bvk_why(call), error, "%s: " format, (call)->name, ##__VA_ARGS__)
/* Passes on an error of the engine's or host's; they have said why, or it speaks for itself. */
int bvk_copy_failed(struct bvk_call *call, const char *what);

/* Copies of user arrays behind a header; NULL with *error set. Freed with bv_host_free. */
void *bvk_copy_array_in(struct bvk_call *call, u64 addr, u32 count, u32 item, int *error);

static inline void bvk_copy(void *to, const void *from, size_t bytes)
{
	__builtin_memcpy(to, from, bytes);
}

static inline void bvk_zero(void *memory, size_t bytes)
{
	__builtin_memset(memory, 0, bytes);
}

/* True if all bytes are zero: for reserved fields. */
bool bvk_all_zero(const void *memory, size_t bytes);

#endif
