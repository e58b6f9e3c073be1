/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Spin locks, and everything that sleeps: queues of waiting threads, mutexes, read-write locks.
 * The contracts are in bv/host.h.
 */
#include "hosts/metal/metal.h"

/*
 * ---- spin locks ----
 *
 * Tickets, so that each gets its turn. But where this machine's CPUs are themselves scheduled, in
 * an emulator, the one whose turn it is may not run for long, and all wait for it: there who comes
 * first gets the lock.
 */

struct spin {
	u32 next, serving; /* tickets */
	u32 owner; /* CPU + 1; 0: nobody */
};
BV_STATIC_ASSERT(sizeof(struct spin) <= sizeof(struct bv_spinlock));

static bool by_turns = true; /* constant once there is a second CPU */

void locks_init(void)
{
	u32 id[4];

	cpuid(1, 0, id);
	by_turns = !(id[2] >> 31); /* the bit that hypervisors set */
}

void bv_host_spin_init(struct bv_spinlock *lock)
{
	*(struct spin *)lock = (struct spin){ 0 };
}

static u32 cpu_mark(void)
{
	return metal_cpu_count ? this_cpu()->index + 1 : 1;
}

static bool spin_try(struct spin *spin, u32 mark)
{
	u32 nobody = 0;

	return __atomic_compare_exchange_n(&spin->owner, &nobody, mark, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static void spin_lock(struct spin *spin)
{
	u32 mark = cpu_mark(), ticket;

	if (!by_turns) {
		while (!spin_try(spin, mark))
			cpu_relax();
		return;
	}
	ticket = __atomic_fetch_add(&spin->next, 1, __ATOMIC_ACQUIRE);
	while (__atomic_load_n(&spin->serving, __ATOMIC_ACQUIRE) != ticket)
		cpu_relax();
	spin->owner = mark;
}

static void spin_unlock(struct spin *spin)
{
	bv_assert(spin->owner == cpu_mark());
	__atomic_store_n(&spin->owner, 0, __ATOMIC_RELEASE);
	if (by_turns)
		__atomic_store_n(&spin->serving, spin->serving + 1, __ATOMIC_RELEASE);
}

void bv_host_spin_lock(struct bv_spinlock *lock)
{
	spin_lock((struct spin *)lock);
}

void bv_host_spin_unlock(struct bv_spinlock *lock)
{
	spin_unlock((struct spin *)lock);
}

u64 bv_host_spin_lock_irq(struct bv_spinlock *lock)
{
	u64 flags = irq_save();

	spin_lock((struct spin *)lock);
	return flags;
}

void bv_host_spin_unlock_irq(struct bv_spinlock *lock, u64 flags)
{
	spin_unlock((struct spin *)lock);
	irq_restore(flags);
}

/* ---- queues ---- */

struct waiter {
	struct waiter *next;
	struct thread *thread;
};

/* All zero is an empty queue. */
struct waitq {
	struct spin lock;
	struct waiter *first;
};
BV_STATIC_ASSERT(sizeof(struct waitq) <= sizeof(struct bvx_waitq));

static void waitq_add(struct waitq *queue, struct waiter *waiter)
{
	u64 flags = irq_save();

	spin_lock(&queue->lock);
	waiter->next = queue->first;
	queue->first = waiter;
	spin_unlock(&queue->lock);
	irq_restore(flags);
}

static void waitq_remove(struct waitq *queue, struct waiter *waiter)
{
	u64 flags = irq_save();
	struct waiter **at;

	spin_lock(&queue->lock);
	for (at = &queue->first; *at != waiter; at = &(*at)->next)
		;
	*at = waiter->next;
	spin_unlock(&queue->lock);
	irq_restore(flags);
}

static void waitq_wait(struct waitq *queue, bool (*ready)(void *arg), void *arg)
{
	struct waiter waiter = { .thread = current_thread() };

	if (ready(arg))
		return;
	waitq_add(queue, &waiter);
	for (;;) {
		thread_prepare_block();
		if (ready(arg))
			break;
		schedule();
	}
	thread_unblock_self();
	waitq_remove(queue, &waiter);
}

static void waitq_wake(struct waitq *queue)
{
	u64 flags;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!BV_READ_ONCE(queue->first))
		return;
	flags = irq_save();
	spin_lock(&queue->lock);
	for (struct waiter *waiter = queue->first; waiter; waiter = waiter->next)
		thread_wake(waiter->thread);
	spin_unlock(&queue->lock);
	irq_restore(flags);
}

void bvx_host_wait(struct bvx_waitq *queue, bool (*ready)(void *arg), void *arg)
{
	waitq_wait((struct waitq *)queue, ready, arg);
}

void bvx_host_wake(struct bvx_waitq *queue)
{
	waitq_wake((struct waitq *)queue);
}

/* ---- mutexes ---- */

struct mutex {
	struct thread *owner;
	struct waitq queue;
};
BV_STATIC_ASSERT(sizeof(struct mutex) <= sizeof(struct bv_mutex));

static bool mutex_try(void *arg)
{
	struct mutex *mutex = arg;
	struct thread *nobody = NULL;

	return __atomic_compare_exchange_n(&mutex->owner, &nobody, current_thread(), false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

void bv_host_mutex_init(struct bv_mutex *mutex)
{
	*(struct mutex *)mutex = (struct mutex){ 0 };
}

void bv_host_mutex_lock(struct bv_mutex *mutex)
{
	bv_assert(((struct mutex *)mutex)->owner != current_thread());
	waitq_wait(&((struct mutex *)mutex)->queue, mutex_try, mutex);
}

int bv_host_mutex_lock_killable(struct bv_mutex *mutex)
{
	bv_host_mutex_lock(mutex);
	return 0;
}

void bv_host_mutex_unlock(struct bv_mutex *mutex)
{
	struct mutex *own = (struct mutex *)mutex;

	bv_assert(own->owner == current_thread());
	__atomic_store_n(&own->owner, NULL, __ATOMIC_SEQ_CST);
	waitq_wake(&own->queue);
}

/* ---- many readers or one writer ---- */

#define WRITING 0x80000000u

struct rwsem {
	u32 count; /* readers, or WRITING */
	u32 writers; /* that wait: no new readers meanwhile */
	struct waitq queue;
};
BV_STATIC_ASSERT(sizeof(struct rwsem) <= sizeof(struct bv_rwsem));

static bool read_try(void *arg)
{
	struct rwsem *sem = arg;
	u32 count = __atomic_load_n(&sem->count, __ATOMIC_RELAXED);

	if (__atomic_load_n(&sem->writers, __ATOMIC_SEQ_CST))
		return false;
	while (!(count & WRITING))
		if (__atomic_compare_exchange_n(&sem->count, &count, count + 1, false,
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			return true;
	return false;
}

static bool write_try(void *arg)
{
	struct rwsem *sem = arg;
	u32 none = 0;

	return __atomic_compare_exchange_n(&sem->count, &none, WRITING, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

void bv_host_rwsem_init(struct bv_rwsem *sem)
{
	*(struct rwsem *)sem = (struct rwsem){ 0 };
}

void bv_host_rwsem_read(struct bv_rwsem *sem)
{
	waitq_wait(&((struct rwsem *)sem)->queue, read_try, sem);
}

void bv_host_rwsem_read_done(struct bv_rwsem *sem)
{
	struct rwsem *own = (struct rwsem *)sem;

	if (__atomic_sub_fetch(&own->count, 1, __ATOMIC_SEQ_CST) == 0 && BV_READ_ONCE(own->writers))
		waitq_wake(&own->queue);
}

void bv_host_rwsem_write(struct bv_rwsem *sem)
{
	struct rwsem *own = (struct rwsem *)sem;

	__atomic_fetch_add(&own->writers, 1, __ATOMIC_SEQ_CST);
	waitq_wait(&own->queue, write_try, own);
	__atomic_fetch_sub(&own->writers, 1, __ATOMIC_SEQ_CST);
}

void bv_host_rwsem_write_done(struct bv_rwsem *sem)
{
	struct rwsem *own = (struct rwsem *)sem;

	__atomic_store_n(&own->count, 0, __ATOMIC_SEQ_CST);
	waitq_wake(&own->queue);
}
