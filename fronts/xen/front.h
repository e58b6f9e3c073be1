/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Xen front from inside: domains, vCPUs, guest memory, a hypercall on its way through. Not for
 * hosts, which see xen.h. Event channels and grants have headers of their own.
 *
 * How a hypercall goes (call.c): the table of numbers, then the table of the call's subops, say how
 * many bytes of argument are copied in and out and who may ask. The handler finds the argument in
 * our memory, checks all of it, then does what cannot fail. Its result is the guest's RAX.
 */
#ifndef BVX_FRONT_H
#define BVX_FRONT_H

#define __XEN_TOOLS__ 1
#include <stdint.h>
#include <xen/xen.h>
#include <xen/errno.h>
#include <xen/domctl.h>
#include <xen/hvm/params.h>
#include <xen/sched.h>

#include "bv/cpuid.h"
#include "bv/errno.h"
#include "bv/format.h"
#include "bv/irq.h"
#include "bv/mem.h"
#include "bv/vm.h"
#include "bv/why.h"
#include "os.h"
#include "xen.h"

/* Of one domain. The engine numbers vCPUs by APIC ID, which is twice the index for most. */
#define BVX_MAX_VCPUS (BV_MAX_VCPUS / 2)
#define BVX_HASH 64
/* Guest frame numbers lie below this: 48 bits of address. */
#define BVX_MAX_GFN (1ULL << 36)

struct bvx_call;

/* ---- guest memory (p2m.c, guest.c) ---- */

enum bvx_type {
	BVX_NONE,
	BVX_RAM, /* the domain's own */
	BVX_RAM_READONLY,
	BVX_SHARED, /* a frame of the front's for this domain: shared info, grant table */
	BVX_GRANT, /* another's frame, by a grant */
	BVX_GRANT_READONLY,
	BVX_FOREIGN, /* another's frame, by privilege */
	BVX_MMIO, /* a device's */
	BVX_POD, /* memory of its own that has no frame yet (pod.c) */
};

struct bvx_entry {
	struct bv_mfn mfn;
	enum bvx_type type;
	u8 order; /* 0, 9 or 18: a whole aligned block is alike */
};

/*
 * Pages that were copied from or to lately, by the gfn's low bits: one word each, so that it is
 * read whole. Bits 33 to 63 the gfn's others, 1 to 32 the mfn, 0 whether it may be written. 0:
 * none.
 */
#define BVX_HOT_BITS 5
#define BVX_HOT_PAGES (1u << BVX_HOT_BITS)

struct bvx_p2m {
	struct bv_mutex change; /* who changes the tree, for the whole of a change */
	struct bv_spinlock lock; /* entries, and that what they name stays */
	u64 hot[BVX_HOT_PAGES]; /* written under lock, emptied by each change */
	u64 generation; /* counts changes: before what was taken away is released */
	u64 *root; /* nodes are published once, freed with the domain */
	u64 nodes;
	u64 end; /* one more than the highest guest frame that ever had something */
};

/* ---- domains ---- */

enum bvx_dying {
	BVX_ALIVE,
	BVX_DYING, /* being torn down */
	BVX_DEAD, /* torn down; others still hold frames of it */
};

/* Population on demand: guarded by the p2m's `change`. */
struct bvx_pod {
	u64 entries; /* pages of the p2m that have no frame; read without */
	u64 pooled; /* frames that wait for them; read without */
	struct bv_mfn pages, blocks; /* the first of each; 0: none */
};

struct bvx_events;
struct bvx_grants;

/*
 * A page of the front's that a guest shares: shared info, a page of vCPU infos, of an event array.
 */
struct bvx_shared {
	struct bv_mfn mfn;
	u8 *va; /* NULL: none */
};

/* The vCPU policy of a domain, as domctl and sysctl know it. */
struct bvx_policy {
	u32 leaves;
	struct bv_cpuid_leaf leaf[BV_CPUID_MAX];
};

struct bvx_domain {
	/* constant after creation */
	u32 id;
	bool hardware; /* Dom0 */
	bool privileged;
	struct bv_vm *vm;
	void *host;
	u32 max_vcpus;
	u32 flags; /* XEN_DOMCTL_CDF_* */
	u32 emulation;
	u32 max_port;
	u64 created_ns;
	struct bvx_shared shared_info;
	struct bvx_events *events; /* has its own lock */
	struct bvx_grants *grants; /* has its own lock */

	/* guarded by the list's lock */
	struct bvx_domain *next;
	bool listed;

	u32 refs; /* atomic */
	u64 live; /* atomic: frames charged to it, plus one until it is dead */
	struct bvx_work end; /* the last reference is gone */
	struct bvx_work over; /* Dom0 has shut down */

	struct bvx_p2m p2m; /* has its own locks */
	struct bvx_pod pod;

	/* guarded by lock, which domctl and the like hold for long */
	struct bv_mutex lock;
	xen_domain_handle_t handle;
	u64 params[HVM_NR_PARAMS]; /* read without */
	struct bvx_policy *policy;
	struct bvx_host_share share;
	bool logging; /* dirty pages; read without */
	u64 mempool; /* bytes, as the tools set it */
	u32 tsc_mode, incarnation;
	s64 time_offset; /* seconds */
	char *text; /* a line that the guest is writing to the console */
	u32 text_length;

	/* guarded by e820_lock */
	struct bv_mutex e820_lock;
	u32 e820_count;
	struct bvx_e820 *e820;

	u64 shared_gfn; /* where the guest has its shared info; only told again */

	/* guarded by count_lock */
	struct bv_spinlock count_lock;
	u64 max_pages;
	u64 claimed; /* pages that are promised and not there yet */

	/* atomic */
	u32 dying; /* enum bvx_dying */
	u32 stops; /* reasons why none of its vCPUs may run */
	u32 pauses; /* those of them that the tools are */
	bool finished; /* the tools have let it run once */
	bool shut_down;
	u32 shutdown_code;
	u64 text_tokens, text_ns; /* limits what a guest can say */

	struct bvx_waitq parked; /* those who wait for vCPUs to stop */
	struct bvx_watchdog *watchdogs; /* of the domain's; NULL: never used */
	bool narrow; /* what it shares with us has 32-bit longs (event.h) */
	bool runstate_flag; /* VMASST_TYPE_runstate_update_flag */
	struct bvx_vcpu *vcpu[BVX_MAX_VCPUS]; /* set once */
};

/* ---- vCPUs ---- */

/* A place in a guest's memory that the front writes to now and then. */
struct bvx_area {
	u64 gva; /* 0: none */
	u64 gpa[2]; /* of its first byte, and of the page after */
	u32 first; /* bytes in the first page */
	bool narrow; /* 32-bit code's */
};

struct bvx_timer {
	struct bv_timer timer;
	struct bvx_vcpu *vcpu;
	u64 deadline; /* 0: not set */
};

/* The largest argument that is copied in as a whole. */
#define BVX_ARG_BYTES 256

struct bvx_vcpu {
	/* constant after creation */
	struct bvx_domain *domain;
	struct bv_vcpu *vcpu;
	void *host;
	void *io_page;
	u32 index;

	/* atomic */
	u32 stops; /* reasons why it may not run */
	bool parked; /* its thread is outside of the engine and will look at stops */
	bool ended; /* its thread is to return */
	bool down; /* halted for good: interrupts off */
	bool withdrawn; /* VCPUOP_down: one of its stops, until VCPUOP_up */
	bool initialising; /* in VCPUOP_initialise, by another one */
	bool upcall_due; /* its local APIC did not take the vector */
	bool upcall_taken; /* the vector was delivered since upcall_pending was set last */
	bool polling; /* in SCHEDOP_poll */
	u8 upcall_vector; /* HVMOP_set_evtchn_upcall_vector; 0: none */
	struct bvx_waitq queue; /* its thread, parked or polling */

	/* guarded by the domain's event lock; the words in it are shared with the guest */
	struct vcpu_info *info; /* never NULL: at first in the shared info, or a page of nobody's */
	struct bvx_shared info_page; /* of a registered one */
	u32 virq_port[NR_VIRQS]; /* 0: not bound */
	u32 poll_port; /* ~0: several */
	struct bvx_area runstate, time_area;

	/* owning vCPU */
	struct bv_run run;
	struct bvx_timer singleshot, periodic, poll;
	u64 period;
	u64 told_ns; /* when its clock was written last, and on which CPU */
	u32 told_cpu;
	bool clock_due; /* atomic */
	u32 time_version;
	bool in_exit; /* the engine holds its memory lock */
	struct bvx_cpumask hard, soft;
	u64 arg[BVX_ARG_BYTES / 8];
};

/* ---- the front as a whole ---- */

struct bvx_state {
	struct bv_spinlock lock; /* the list of domains */
	struct bvx_domain *hash[BVX_HASH];
	struct bvx_domain *hardware;
	u32 next_id;
	struct bv_mutex control; /* domctl, sysctl that change things */
	u64 claimed; /* guarded by lock: pages promised to domains */
	struct bvx_domain *virq_handler[NR_VIRQS]; /* guarded by lock; NULL: Dom0 */
	struct bv_why why;
	struct bv_spinlock log_lock; /* the budget of lines */
	u64 log_tokens, log_ns;
};
extern struct bvx_state bvx;

/* domain.c */
struct bvx_domain *bvx_domain_new(const struct xen_domctl_createdomain *spec, u32 id, int *error);
/* A reference; NULL: none of that id. any. */
struct bvx_domain *bvx_domain_get(u32 id);
/* The next domain with an id of at least `id`, with a reference; NULL: none. any. */
struct bvx_domain *bvx_domain_get_from(u32 id);
void bvx_domain_hold(struct bvx_domain *domain);
void bvx_domain_put(struct bvx_domain *domain); /* any */
/* As an argument says: DOMID_SELF or an id. NULL: no such domain, or the caller may not. any. */
struct bvx_domain *bvx_domain_named(struct bvx_vcpu *caller, u32 id, int *error);
int bvx_domain_add_vcpus(struct bvx_domain *domain, u32 count);
/* Tears down; the list has it no more when all references are gone. May take long. sleep. */
void bvx_domain_kill(struct bvx_domain *domain);
/* The guest is over with this code: stops, and tells the tools. any. */
void bvx_domain_shutdown(struct bvx_domain *domain, u32 code);
void bvx_domain_resume(struct bvx_domain *domain);
bool bvx_domain_dying(const struct bvx_domain *domain);

/* frames.c: the count of what others hold */
int bvx_frames_init(void);
void bvx_frames_fini(void);
/* Frames for a domain, charged to it. -XEN_ENOMEM with the reason. sleep. */
int bvx_pages_alloc(struct bvx_domain *domain, unsigned int order, u64 below, struct bv_mfn *mfn);
/* Charges `count` pages; false: beyond its maximum, or promised to others. any. */
bool bvx_pages_charge(struct bvx_domain *domain, u64 count);
void bvx_pages_uncharge(struct bvx_domain *domain, u64 count); /* any */
u64 bvx_pages_of(const struct bvx_domain *domain);
/* Room for a frame's count: before get, without locks. -XEN_ENOMEM. sleep. */
int bvx_frame_prepare(struct bv_mfn mfn);
bool bvx_frame_prepared(struct bv_mfn mfn);
/* One more holder; the caller knows that the frame stays meanwhile. Prepared. any. */
void bvx_frame_hold(struct bv_mfn mfn);
/* Whether anybody holds it besides its owner; what is in no p2m gains no holder. any. */
bool bvx_frame_held(struct bv_mfn mfn);
/* A holder less. any. */
void bvx_frame_release(struct bv_mfn mfn);
/*
 * The owner has it no more: freed now, or by the last holder. charged: counts for its owner. any.
 */
void bvx_frame_drop(struct bvx_domain *owner, struct bv_mfn mfn, bool charged);
/* A page of the front's own for a domain; not charged. sleep. */
int bvx_shared_new(struct bvx_shared *shared);
void bvx_shared_drop(struct bvx_domain *owner, struct bvx_shared *shared);

/* p2m.c */
int bvx_p2m_init(struct bvx_p2m *p2m);
void bvx_p2m_fini(struct bvx_p2m *p2m);
/* What lies there now. Under p2m->lock, or for what may be stale. any. */
struct bvx_entry bvx_p2m_look(const struct bvx_p2m *p2m, u64 gfn);
/*
 * Finds memory (RAM, shared, and with `any` grants and foreign frames) and takes a hold on its
 * frame. -XEN_EINVAL: none there. sleep.
 */
int bvx_p2m_hold(struct bvx_domain *domain, u64 gfn, bool any, struct bvx_entry *entry);
/*
 * Puts an entry in place of what is there, which is told in *old. order 0, 9 or 18. The frame's
 * reference goes with it. -XEN_ENOMEM. sleep.
 */
int bvx_p2m_set(struct bvx_domain *domain, u64 gfn, const struct bvx_entry *entry,
		struct bvx_entry *old);
/* The same, only where `type` lies there now: -XEN_EBUSY else. */
int bvx_p2m_set_where(struct bvx_domain *domain, u64 gfn, const struct bvx_entry *entry,
		      enum bvx_type type, struct bvx_entry *old);
/* As set_where, by who holds the p2m's `change`. */
int bvx_p2m_set_locked(struct bvx_domain *domain, u64 gfn, const struct bvx_entry *entry, int type,
		       struct bvx_entry *old);
/*
 * Empties pages that have `type` each; the holds of what lay there are the caller's. At most
 * BVX_CLEAR_PAGES, which is what a guest's TLBs are flushed once for. sleep.
 */
#define BVX_CLEAR_PAGES 16u
void bvx_p2m_clear_pages(struct bvx_domain *domain, const u64 *gfns, const enum bvx_type *types,
			 u32 count);
/* Gives back what an entry that was taken out stood for. sleep. */
void bvx_p2m_release(struct bvx_domain *domain, const struct bvx_entry *old);
/* Empties a page and releases it. */
int bvx_p2m_clear(struct bvx_domain *domain, u64 gfn);
/* Empties all from *gfn on, *steps pages at most; false: there is more. For teardown. sleep. */
bool bvx_p2m_empty(struct bvx_domain *domain, u64 *gfn, u32 steps);
/* The highest guest frame in use. */
u64 bvx_p2m_max(struct bvx_domain *domain);
/* Cuts a large block into pages, so that one of them can be changed. */
int bvx_p2m_split(struct bvx_domain *domain, u64 gfn);

/* guest.c: copies; gva is an address in the caller's kernel */
int bvx_copy_in(struct bvx_vcpu *vcpu, void *to, u64 gva, size_t bytes);
int bvx_copy_out(struct bvx_vcpu *vcpu, u64 gva, const void *from, size_t bytes);
int bvx_translate(struct bvx_vcpu *vcpu, u64 gva, u64 *gpa);
/* Guest-physical copies. -XEN_EFAULT. */
int bvx_copy_from_gpa(struct bvx_domain *domain, u64 gpa, void *to, size_t bytes);
int bvx_copy_to_gpa(struct bvx_domain *domain, u64 gpa, const void *from, size_t bytes);
int bvx_domain_log(struct bvx_domain *domain, bool on);
int bvx_regions_set(struct bvx_domain *domain);
/*
 * The dirty bitmap of a logged domain, a bit a guest frame; the caller frees it. NULL: no memory.
 */
u64 *bvx_log_fetch(struct bvx_domain *domain, bool clear, u64 *words);
/* Notes a page written by the front or by another domain. */
void bvx_dirtied(struct bvx_domain *domain, u64 gfn);

/* vcpu.c */
/* One more reason for a vCPU or a domain to stand still; sync: returns when it does. */
void bvx_vcpu_stop(struct bvx_vcpu *vcpu);
void bvx_vcpu_stop_sync(struct bvx_vcpu *vcpu);
void bvx_vcpu_go(struct bvx_vcpu *vcpu);
void bvx_domain_stop(struct bvx_domain *domain); /* any */
void bvx_domain_stop_sync(struct bvx_domain *domain, const struct bvx_vcpu *but);
void bvx_domain_go(struct bvx_domain *domain); /* any */
void bvx_vcpu_free(struct bvx_vcpu *vcpu);
void bvx_vcpu_end(struct bvx_vcpu *vcpu);
bool bvx_vcpu_online(struct bvx_vcpu *vcpu);
/* Neither SIPI nor VCPUOP_initialise has told it where to begin. */
bool bvx_vcpu_never_ran(struct bvx_vcpu *vcpu);
bool bvx_vcpu_may_run(const struct bvx_vcpu *vcpu);
/* Fills a page of the guest's with the hypercalls' entries. */
int bvx_hypercall_page(struct bvx_domain *domain, u64 gpa);
extern const struct bv_pv_ops bvx_pv_ops;

/* time.c */
void bvx_time_refresh(struct bvx_vcpu *vcpu);
void bvx_time_init(struct bvx_vcpu *vcpu);
void bvx_time_fini(struct bvx_vcpu *vcpu);
void bvx_wall_update(struct bvx_domain *domain);
void bvx_clock_due(struct bvx_vcpu *vcpu); /* any */
void bvx_timer_once(struct bvx_vcpu *vcpu, u64 deadline); /* 0: none */
void bvx_timer_period(struct bvx_vcpu *vcpu, u64 period); /* 0: none */
/* An area at an address of the caller's. */
int bvx_area_set(struct bvx_call *call, struct bvx_area *area, u64 gva, u32 bytes);

/* sched.c */
void bvx_watchdogs_fini(struct bvx_domain *domain);

/* cpuid.c */
bool bvx_calls_by_vmmcall(void); /* else VMCALL */
int bvx_policy_init(struct bvx_domain *domain);
int bvx_policy_apply(struct bvx_vcpu *vcpu);

/* console.c */
/*
 * Says why something is refused, where the user can read it (xl dmesg), and returns -error. What
 * guests can cause is limited in number. any.
 */
int bvx_refuse(const struct bvx_domain *domain, int error, const char *format, ...)
	bv_printf_like(3, 4);
void bvx_note(const char *format, ...) bv_printf_like(1, 2);
void bvx_console_guest(struct bvx_domain *domain, const char *text, size_t length);

/* call.c */
bool bvx_hypercall(struct bv_vcpu *vcpu, struct bv_hypercall *call);
void bvx_hypercall_slow(struct bvx_vcpu *vcpu);

/* The host hands devices' messages on by APIC ID: Dom0 has those that the machine's CPUs have. */
static inline u32 bvx_apic_id(const struct bvx_vcpu *vcpu)
{
	return vcpu->domain->hardware ? vcpu->index : 2 * vcpu->index;
}

#endif
