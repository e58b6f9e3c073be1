/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host in user space, as tests and fuzzers steer it: bv/host.h over malloc, pthreads and a
 * virtual clock, and a vendor whose hardware is a script.
 *
 * Time stands still until a test moves it (or a vCPU waits and nobody else is there: then it jumps
 * to the next timer). Timers fire in order while it moves, "with interrupts off". Misuse that a
 * kernel would only show under load (unlocking what is not locked, sleeping with a spin lock held,
 * cancelling a timer under its lock, freeing a held lock) ends the process at once.
 */
#ifndef HOSTS_FAKE_FAKE_H
#define HOSTS_FAKE_FAKE_H

#include "bv/host.h"
#include "bv/types.h"
#include "bv/vm.h"
#include "core/vcpu.h"

/*
 * Forgets everything: clock at one second, no timers, no limits, no memory. For the start of a
 * test.
 */
void fake_reset(void);

/* ---- the clock ---- */

u64 fake_clock(void);
/* Moves the clock on, to a time or by some nanoseconds; timers that are due fire on the way. */
void fake_clock_set(u64 ns);
void fake_clock_advance(u64 ns);
/*
 * Every look at the clock moves it by so much: for guests that wait for time to pass. Timers fire
 * only on advance.
 */
void fake_clock_tick(u64 ns);
/* When the next timer fires; ~0: none is set. */
u64 fake_timer_next(void);
/* Timers fire so late, the clock moved on accordingly. */
void fake_timers_late(u64 ns);
unsigned int fake_timers(void); /* how many are set */
extern u32 fake_tsc_khz; /* 2100000 */
extern bool fake_tsc_unstable;

/* ---- memory ---- */

/* The n-th allocation from now (1: the next) fails, and all after it; 0: none does. */
void fake_fail_alloc_after(long n);
/* Allocations (of either kind) not freed. */
long fake_allocs(void);
/* Allocations made since the start, failed ones not counted. */
long fake_allocs_made(void);

/*
 * Pages that can be a guest's memory: page aligned, zeroed, known to bv_host_frame_get and its kin.
 */
void *fake_memory_new(u64 pages, bool writable);
void fake_memory_free(void *memory);
/* How many frames are held, and whether a page's was given back as written. */
long fake_frames_held(void);
bool fake_frame_dirtied(const void *page);
/*
 * Called after a frame was found and before its finder has it; NULL: not. For races with
 * invalidates.
 */
extern void (*fake_frame_found)(u64 host_addr);

/*
 * Who answers for guests' memory instead of the above: a front that knows each page. NULL: nobody.
 */
struct fake_backing {
	int (*get)(struct bv_vm *vm, u64 addr, bool write, struct bv_host_frame *frame);
	int (*read)(struct bv_vm *vm, u64 addr, void *to, size_t bytes);
	int (*write)(struct bv_vm *vm, u64 addr, const void *from, size_t bytes);
	int (*cmpxchg)(struct bv_vm *vm, u64 addr, unsigned int bytes, void *old,
		       const void *new_value);
};
extern const struct fake_backing *fake_backing;

/* ---- threads and CPUs ---- */

#define FAKE_CPUS 4
/* The CPU that the calling thread is on. */
void fake_cpu_set(unsigned int cpu);
/* Whether the calling thread has interrupts off (or holds a spin lock). */
bool fake_irqs_off(void);

/* What the host knows of a vCPU. */
struct fake_vcpu {
	struct bv_vcpu *vcpu;
	struct fake_vcpu *next;
	/* counted */
	u32 wakes, yields, interrupts, enters, leaves;
	/* steered by the test */
	bool signal; /* a signal is pending for its thread */
	u64 steal_ns;
	u8 *xsave;
	struct fake_hw *hw;
};

struct fake_vcpu *fake_vcpu(struct bv_vcpu *vcpu);

/* ---- the log ---- */

extern bool fake_log_quiet; /* true: lines are counted, not printed */
unsigned int fake_log_lines(enum bv_log_level level);

/* ---- the vendor ---- */

/* The hardware of a vCPU, as the scripted vendor plays it. */
struct fake_hw {
	struct bv_cpu_state state;
	struct bv_wishes wishes;
	u64 tsc_offset;
	u32 tsc_aux;
	u8 shadow;
	bool serving; /* it ends interrupts of vcpu->service */
	int offer; /* a vector that the next entry may deliver, -1 none */
	/* what the next entry delivers */
	bool injected;
	enum bv_event_kind kind;
	u8 vector;
	bool has_error;
	u32 error;
	/* what entries have delivered, newest last; older ones fall out */
	struct {
		enum bv_event_kind kind;
		u8 vector;
	} delivered[64];
	u32 deliveries;
	u64 log[512]; /* pages that it has logged, */
	u32 logged; /* so many */
	u32 entries, pulls, pushes, tlb_flushes;
	/* exits to come */
	struct bv_exit queue[64];
	u32 queued, taken;
	/*
	 * plays the guest instead of the queue: fills vcpu->exit. Returns false for "nothing more":
	 * as an empty queue.
	 */
	bool (*guest)(struct bv_vcpu *vcpu, void *arg);
	void *guest_arg;
};

extern const struct bv_vendor fake_vendor;
/* Makes it the vendor (bv_vendor), without a probe. */
void fake_vendor_use(void);
/* The same, with hardware that delivers offered interrupts: once the entry's guest has IF set. */
void fake_vendor_use_offers(void);
/* The same, with hardware that ends turns: the script says when (BV_EXIT_TURN_OVER). */
void fake_vendor_use_turns(void);
/* The same, with hardware that logs pages: the script fills hw->log. */
void fake_vendor_use_log(void);
/* The same, with hardware that ends interrupts. */
void fake_vendor_use_service(void);
struct fake_hw *fake_hw(struct bv_vcpu *vcpu);
/* One more exit at the end of the queue. When the queue is empty, an entry ends by a signal. */
void fake_exit(struct bv_vcpu *vcpu, const struct bv_exit *exit);
void fake_guest(struct bv_vcpu *vcpu, bool (*guest)(struct bv_vcpu *vcpu, void *arg), void *arg);
/* The vector of the last event delivered, -1 none. */
int fake_last_delivered(struct bv_vcpu *vcpu);

#endif
