/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the /dev/kvm front asks of its host beyond bv/host.h. Link-time, like that: hosts/linux and
 * hosts/fake define every function. Contexts are named as there: sleep, any.
 */
#ifndef BVK_OS_H
#define BVK_OS_H

#include "bv/host.h"
#include "bv/vm.h"

struct bvk_vm;
struct bvk_vcpu;

/* ---- the host's part of a VM and of a vCPU ---- */

/*
 * Makes what the host keeps for a VM, bound to the caller's address space: the host addresses of
 * the VM's memory are addresses in it. NULL: no memory. sleep.
 */
void *bvk_host_vm_new(void);
/*
 * The engine's VM is there: from now on what the address space takes back is told by
 * bv_mem_invalidate_*. Once, after new. -BV_ENOMEM, -BV_EINTR. sleep.
 */
int bvk_host_vm_start(void *host_vm, struct bv_vm *vm);
/*
 * No vCPU runs any more. Removes all mappings (bv_mem_release_all); after it no invalidate comes.
 * Only after start. sleep.
 */
void bvk_host_vm_stop(void *host_vm);
/* After the engine's VM was destroyed, or where start never succeeded. sleep. */
void bvk_host_vm_free(void *host_vm);
/* Whether the caller lives in the VM's address space; others may not control the VM. any. */
bool bvk_host_vm_is_ours(void *host_vm);

/*
 * What the host keeps for a vCPU; the pointer is given to bv_vcpu_create. NULL: no memory. sleep.
 */
void *bvk_host_vcpu_new(void *host_vm);
/* After the engine's vCPU is gone. sleep. */
void bvk_host_vcpu_free(void *host_vcpu);

/* ---- files ---- */

enum bvk_file {
	BVK_FILE_VM,
	BVK_FILE_VCPU,
	BVK_FILE_STATS
};

struct bvk_fd {
	int number;
	void *file; /* the host's */
};

/*
 * In two steps, so that what can fail comes first: reserve takes a number and a file without an
 * object; then either install gives it the object (from that moment other threads may use and close
 * it: the caller touches the object no more), or cancel takes both back. index is for the file's
 * name. -BV_EMFILE and others of the host. sleep.
 */
int bvk_host_fd_reserve(struct bvk_fd *fd, enum bvk_file kind, unsigned int index);
void bvk_host_fd_install(struct bvk_fd *fd, void *object);
void bvk_host_fd_cancel(struct bvk_fd *fd);

/* ---- memory shared with user space ---- */

/* Zeroed, page aligned memory whose pages can be mapped into a process; NULL: none. sleep. */
void *bvk_host_shared_alloc(size_t bytes);
/* NULL is allowed. Pages that are still mapped somewhere live on until they are not. sleep. */
void bvk_host_shared_free(void *memory);
/* Whether [addr, addr + bytes) can be a range of the caller's address space at all. any. */
bool bvk_host_user_range(u64 addr, u64 bytes);

/* ---- eventfds ---- */

/*
 * A reference to the eventfd behind a file descriptor of the caller. -BV_EBADF, -BV_EINVAL (another
 * kind of file). sleep.
 */
int bvk_host_eventfd_get(s32 fd, void **eventfd);
/* sleep. */
void bvk_host_eventfd_put(void *eventfd);
/* Adds one to its counter. any. */
void bvk_host_eventfd_signal(void *eventfd);

/*
 * Listens to an eventfd. The callbacks:
 *	signaled	it was signaled; its counter was read back to zero. any, interrupts off.
 *	hung_up		its last file is being closed. any, interrupts off.
 *	ended		listening is over, nothing runs any more: frees the listener. sleep.
 */
struct bvk_listener {
	u64 opaque[32]; /* the host's */
	void (*signaled)(struct bvk_listener *listener);
	void (*hung_up)(struct bvk_listener *listener);
	void (*ended)(struct bvk_listener *listener);
};

/*
 * Starts to listen; an eventfd that is signaled already calls `signaled` before this returns.
 * Errors as bvk_host_eventfd_get; then `ended` is not called. The listener holds its own reference
 * to the eventfd. sleep.
 */
int bvk_host_listen(struct bvk_listener *listener, s32 fd);
/* Whether the listener listens to this eventfd. any. */
bool bvk_host_listens_to(const struct bvk_listener *listener, void *eventfd);
/*
 * Begins to end it, once for each listener: returns at once, `ended` comes later from a context
 * that may sleep. any.
 */
void bvk_host_listen_end(struct bvk_listener *listener);
/* Waits until every listener that was told to end has ended. Not from `ended`. sleep. */
void bvk_host_listen_flush(void);

/* ---- the caller ---- */

/* Size of a signal set in this ABI. */
#define BVK_SIGSET_BYTES 8
/*
 * Puts the calling thread's blocked signals to *mask and returns the old set in *old; and back.
 * sleep.
 */
void bvk_host_signals_swap(const u64 *mask, u64 *old);
void bvk_host_signals_restore(const u64 *old);
/* Nanoseconds of the clock that user space calls CLOCK_MONOTONIC. any. */
u64 bvk_host_monotonic_ns(void);

#endif
