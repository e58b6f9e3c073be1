/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The host seam: what the engine and the fronts ask of the place where they run. Exactly one host
 * is linked (hosts/linux, hosts/metal, hosts/fake) and defines every function of this page.
 *
 * Contexts, named at each function:
 *	sleep	may block; never called with a spin lock held or interrupts off
 *	any	does not block; callable under spin locks and with interrupts off
 *	irqs off	the caller has interrupts off and stays on its CPU
 */
#ifndef BV_HOST_H
#define BV_HOST_H

#include "bv/types.h"

struct bv_vm;
struct bv_vcpu;

/* ---- memory of our own ---- */

/* Zeroed memory, charged to the VM's owner; NULL where there is none. sleep. */
void *bv_host_alloc(size_t bytes);
/* NULL is allowed. any. */
void bv_host_free(void *memory);
/*
 * 2^order zeroed pages, contiguous and aligned to their size in machine memory; NULL where there
 * are none. sleep.
 */
void *bv_host_pages_alloc(unsigned int order);
void bv_host_pages_free(void *pages, unsigned int order);
/* The machine address of memory from bv_host_pages_alloc, and back. any. */
u64 bv_host_pa(const void *page);
void *bv_host_va(u64 pa);

/* ---- locks ---- */

struct bv_spinlock {
	u64 opaque[10];
};

struct bv_mutex {
	u64 opaque[24];
};

/* Many readers or one writer; both may sleep while holding it. */
struct bv_rwsem {
	u64 opaque[28];
};

void bv_host_spin_init(struct bv_spinlock *lock);
/* Leaves interrupts as they are: for locks that no interrupt handler takes. any. */
void bv_host_spin_lock(struct bv_spinlock *lock);
void bv_host_spin_unlock(struct bv_spinlock *lock);
/* Turns interrupts off and returns what unlock needs to restore them. any. */
u64 bv_host_spin_lock_irq(struct bv_spinlock *lock);
void bv_host_spin_unlock_irq(struct bv_spinlock *lock, u64 flags);

void bv_host_mutex_init(struct bv_mutex *mutex);
void bv_host_mutex_lock(struct bv_mutex *mutex);
/* -BV_EINTR where a fatal or other signal came first. sleep. */
int bv_host_mutex_lock_killable(struct bv_mutex *mutex);
void bv_host_mutex_unlock(struct bv_mutex *mutex);

void bv_host_rwsem_init(struct bv_rwsem *sem);
void bv_host_rwsem_read(struct bv_rwsem *sem);
void bv_host_rwsem_read_done(struct bv_rwsem *sem);
void bv_host_rwsem_write(struct bv_rwsem *sem);
void bv_host_rwsem_write_done(struct bv_rwsem *sem);

/* ---- time ---- */

/* Nanoseconds since the host started, never backwards, counting suspension. any. */
u64 bv_host_ns(void);
/* Nanoseconds since 1970. any. */
u64 bv_host_wall_ns(void);
/* The time stamp counter, and its frequency in kHz as far as the host knows it. any. */
u64 bv_host_tsc(void);
u32 bv_host_tsc_khz(void);
/*
 * Whether all CPUs count alike, at one rate, without stops: then guests may derive time from the
 * TSC. any.
 */
bool bv_host_tsc_stable(void);

/*
 * A one-shot timer. `fire` runs in interrupt context (interrupts off) on any CPU, may set the timer
 * again.
 */
struct bv_timer {
	u64 opaque[16];
	void (*fire)(struct bv_timer *timer);
};

void bv_host_timer_init(struct bv_timer *timer, void (*fire)(struct bv_timer *timer));
/*
 * Fires once when bv_host_ns() reaches the deadline; a past deadline fires soon, from interrupt
 * context. any.
 */
void bv_host_timer_set(struct bv_timer *timer, u64 deadline_ns);
/*
 * After it returns the timer neither runs nor will run. Waits for a running `fire`, so: not from
 * `fire` itself, nor with a lock that `fire` takes.
 */
void bv_host_timer_cancel(struct bv_timer *timer);

/* ---- the thread that runs a vCPU ---- */

/*
 * Begins and ends a stretch of running: binds the vCPU to the calling thread, makes the guest's FPU
 * state that of the thread. Between them the host calls bv_vcpu_load and bv_vcpu_unload (bv/vm.h)
 * whenever the thread goes onto or off a CPU. sleep.
 */
int bv_host_run_begin(struct bv_vcpu *vcpu);
void bv_host_run_end(struct bv_vcpu *vcpu);

/*
 * Makes the CPU ready to enter the guest: does what the host has pending for the thread (may
 * sleep), then turns interrupts off, with the guest's FPU state in the registers. 0: interrupts are
 * off. -BV_EINTR: a signal is pending, interrupts are on. sleep.
 */
int bv_host_guest_enter(struct bv_vcpu *vcpu);
/* Turns interrupts on again, letting pending ones in. irqs off. */
void bv_host_guest_leave(struct bv_vcpu *vcpu);
/* Sleeps until ready(vcpu) says so (checked after each wake), or a signal: -BV_EINTR. sleep. */
int bv_host_vcpu_wait(struct bv_vcpu *vcpu, bool (*ready)(struct bv_vcpu *vcpu));
/* Wakes a vCPU that waits. any. */
void bv_host_vcpu_wake(struct bv_vcpu *vcpu);
/*
 * The vCPU spins, most likely for another one of its VM: lets those run that have no CPU, as far as
 * the host's sharing out of CPUs allows it. sleep.
 */
void bv_host_vcpu_yield(struct bv_vcpu *vcpu);
/* Interrupts the CPU on which the vCPU is in the guest, so that it exits. Does not wait. any. */
void bv_host_vcpu_interrupt(struct bv_vcpu *vcpu);
/*
 * Interrupts every CPU on which a vCPU of the VM is in the guest and waits until each has left it
 * once. Interrupts on; a spin lock may be held that is never taken with interrupts off.
 */
void bv_host_vm_interrupt_wait(struct bv_vm *vm);
/* Whether the calling thread is the one that runs this vCPU now. any. */
bool bv_host_vcpu_is_current(struct bv_vcpu *vcpu);
/* Nanoseconds that the vCPU's thread was ready to run but did not: steal time. any. */
u64 bv_host_vcpu_steal_ns(struct bv_vcpu *vcpu);
/* Runs fn(arg) on every CPU and waits. sleep. */
void bv_host_each_cpu(void (*fn)(void *arg), void *arg);
/*
 * Binds the calling thread to the CPU at hand until unpin, without sleeping between; nests. any.
 */
void bv_host_pin(void);
void bv_host_unpin(void);
/*
 * Runs fn(arg) on that CPU with interrupts off, and waits; where the CPU is offline it does not
 * run. Interrupts on, preemption may be off.
 */
void bv_host_cpu_call(unsigned int cpu, void (*fn)(void *arg), void *arg);
/* Whether that may be called from bv_vcpu_load. any. */
bool bv_host_calls_at_load(void);
/*
 * Changes bits of this CPU's CR4 in a way that the host knows of, so that they stay. irqs off.
 */
void bv_host_cr4_change(u64 set, u64 clear);
/*
 * A guest's exit has left wrong limits in GDTR, IDTR and TR, and a null GS: the host puts them
 * right. `gs` is the selector that user space has there, the base behind it is in KERNEL_GS_BASE.
 * Preemption off.
 */
void bv_host_segments_restore(u16 gs);
/* The CPU at hand, a number below bv_host_cpu_count(). irqs off or a bound thread. */
unsigned int bv_host_cpu(void);
/* One more than the highest number that bv_host_cpu can return. any. */
unsigned int bv_host_cpu_count(void);

/* ---- the guest's FPU and vector state ---- */

/*
 * Size of the state in XSAVE's standard format for all components that the guest may be given. any.
 */
u32 bv_host_xsave_size(void);
/* Components that the host can hold for a guest: a mask as in XCR0. any. */
u64 bv_host_xcr0_supported(void);
/*
 * The whole state in XSAVE's standard format, for save and restore; the vCPU does not run. sleep.
 */
int bv_host_xsave_get(struct bv_vcpu *vcpu, void *area, u32 size);
/* -BV_EINVAL: reserved bits, or components outside xcr0_supported. */
int bv_host_xsave_set(struct bv_vcpu *vcpu, const void *area, u32 size);
/*
 * Vector register `index` (XMM 16, YMM 32 bytes) of a vCPU between run_begin and run_end. Setting
 * 16 keeps the upper part. sleep.
 */
void bv_host_vector_get(struct bv_vcpu *vcpu, unsigned int index, void *to, unsigned int bytes);
void bv_host_vector_set(struct bv_vcpu *vcpu, unsigned int index, const void *from,
			unsigned int bytes);

/*
 * MMX register and x87 words of the same vCPU. No x87 exception may be pending (status bit 7): ask
 * that first. sleep.
 */
void bv_host_mmx_get(struct bv_vcpu *vcpu, unsigned int index, u64 *value);
void bv_host_mmx_set(struct bv_vcpu *vcpu, unsigned int index, u64 value);
void bv_host_x87_get(struct bv_vcpu *vcpu, u16 *control, u16 *status);
void bv_host_x87_set_control(struct bv_vcpu *vcpu, u16 control);
void bv_host_x87_init(struct bv_vcpu *vcpu); /* FNINIT */
void bv_host_x87_emms(struct bv_vcpu *vcpu);

/* ---- the memory behind a guest's pages ---- */

/* A frame found for the guest, and held until put. */
struct bv_host_frame {
	struct bv_mfn mfn;
	/* the naturally aligned block of 2^order frames around mfn is contiguous, mapped alike */
	u8 order;
	bool writable;
	void *hold; /* the host's own */
};

/*
 * Finds the frame that backs a host address (page aligned), bringing it in where needed. With
 * `write` it is made writable (copy on write is broken). Not -BV_EFAULT but `writable` false where
 * only reading is allowed and `write` is false. Errors: -BV_EFAULT (nothing there), -BV_EINTR,
 * -BV_ENOMEM, -BV_EIO (hardware poison). sleep.
 */
int bv_host_frame_get(struct bv_vm *vm, u64 host_addr, bool write, struct bv_host_frame *frame);
void bv_host_frame_put(struct bv_host_frame *frame, bool dirtied);
/*
 * Copies between our memory and memory behind host addresses. -BV_EFAULT: some of it is not there.
 * sleep.
 */
int bv_host_read(struct bv_vm *vm, u64 host_addr, void *to, size_t bytes);
int bv_host_write(struct bv_vm *vm, u64 host_addr, const void *from, size_t bytes);
/*
 * Replaces `bytes` (1, 2, 4, 8 or 16, naturally aligned) at a host address if they equal *old, in
 * one atomic step. 0: done. -BV_EAGAIN: not equal, *old has what is there. -BV_EFAULT. sleep.
 */
int bv_host_cmpxchg(struct bv_vm *vm, u64 host_addr, unsigned int bytes, void *old,
		    const void *new_value);

/*
 * Copies from and to the caller of a front's request (an ioctl's or hypercall's argument).
 * -BV_EFAULT. sleep.
 */
int bv_host_copy_in(void *to, u64 user_addr, size_t bytes);
int bv_host_copy_out(u64 user_addr, const void *from, size_t bytes);

/* ---- words ---- */

enum bv_log_level {
	BV_LOG_ERROR,
	BV_LOG_WARNING,
	BV_LOG_INFO,
	BV_LOG_DEBUG
};

/*
 * A line in the host's log (no newline in text). Guests must not be able to cause one without
 * limit. any.
 */
void bv_host_log(enum bv_log_level level, const char *text);
/* Our bug: says what and where, and stops as safely as the host can. any. */
_Noreturn void bv_host_bug(const char *file, int line, const char *text);

/* An assertion that no guest, hypercall, ioctl or file can reach. */
#define bv_assert(condition)                                         \
	do {                                                         \
		if (bv_unlikely(!(condition)))                       \
			bv_host_bug(__FILE__, __LINE__, #condition); \
	} while (0)

#endif
