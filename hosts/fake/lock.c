/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Locks that know who holds them, and what each thread may do now. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "hosts/fake/state.h"

#define MAGIC 0x626976696c6f636bULL
#define IRQS_WERE_ON 1
#define IRQS_WERE_OFF 2

/* How deep each thread is in what it must not sleep in. */
static _Thread_local unsigned int spin_depth, irq_depth, rwsem_depth;
static _Thread_local bool irqs_off;

_Noreturn void fake_misuse(const char *text)
{
	fprintf(stderr, "hosts/fake: misuse: %s\n", text);
	abort();
}

bool fake_irqs_off(void)
{
	return irqs_off || irq_depth;
}

unsigned int fake_locks_held(void)
{
	return spin_depth;
}

void fake_irq_enter(void)
{
	irq_depth++;
}

void fake_irq_exit(void)
{
	irq_depth--;
}

void fake_may_sleep(const char *function)
{
	if (!spin_depth && !irqs_off && !irq_depth)
		return;
	fprintf(stderr, "hosts/fake: %s: %u spin locks held, interrupts %s\n", function, spin_depth,
		fake_irqs_off() ? "off" : "on");
	fake_misuse("a function that may sleep was called where sleeping is not allowed");
}

/* ---- spin locks ---- */

struct fake_spin {
	u64 magic;
	const void *owner; /* &spin_depth of the thread that holds it */
	u32 id; /* of its initialization: never used twice */
	bool irq, irqs_on; /* was taken by an interrupt handler; with interrupts on */
};

BV_STATIC_ASSERT(sizeof(struct fake_spin) <= sizeof(struct bv_spinlock));

void bv_host_spin_init(struct bv_spinlock *lock)
{
	static u32 ids;

	*(struct fake_spin *)lock = (struct fake_spin){
		.magic = MAGIC,
		.id = __atomic_add_fetch(&ids, 1, __ATOMIC_RELAXED),
	};
}

static struct fake_spin *spin_checked(struct bv_spinlock *lock)
{
	struct fake_spin *spin = (struct fake_spin *)lock;

	if (spin->magic != MAGIC)
		fake_misuse("a spin lock that was never initialized");
	return spin;
}

/*
 * The order of locks: pairs (outer << 32 | inner) that were ever held together, in a hash table. A
 * pair in both orders is two threads' chance to wait for each other for ever.
 */
#define PAIRS 16384
static u64 pairs[PAIRS];

static u64 *pair_slot(u64 pair)
{
	u64 hash = pair * 0x9e3779b97f4a7c15ULL >> 50;

	for (u32 i = 0; i < 64; i++) {
		u64 *slot = &pairs[(hash + i) % PAIRS];
		u64 there = __atomic_load_n(slot, __ATOMIC_RELAXED);

		if (there == pair || !there)
			return slot;
	}
	return NULL;
}

static bool pair_known(u64 pair)
{
	const u64 *slot = pair_slot(pair);

	return slot && __atomic_load_n(slot, __ATOMIC_RELAXED) == pair;
}

#define HELD_MAX 8
static _Thread_local struct fake_spin *held[HELD_MAX];

static void spin_check_order(const struct fake_spin *spin)
{
	for (u32 i = 0; i < spin_depth && i < HELD_MAX; i++) {
		u64 pair = (u64)held[i]->id << 32 | spin->id;
		u64 *slot = pair_slot(pair);

		if (pair_known((u64)spin->id << 32 | held[i]->id))
			fake_misuse("two spin locks taken in one order and in the other");
		if (slot)
			__atomic_store_n(slot, pair, __ATOMIC_RELAXED);
	}
}

/* What an interrupt handler takes may not be held while interrupts can come. */
static void spin_check_context(struct fake_spin *spin)
{
	if (irq_depth)
		spin->irq = true;
	else if (!irqs_off)
		spin->irqs_on = true;
	if (spin->irq && spin->irqs_on)
		fake_misuse("a spin lock taken by an interrupt handler, and elsewhere with "
			    "interrupts on");
}

static void spin_forget(const struct fake_spin *spin)
{
	u32 i = spin_depth < HELD_MAX ? spin_depth : HELD_MAX;

	while (i && held[i - 1] != spin)
		i--;
	for (; i && i < HELD_MAX; i++)
		held[i - 1] = held[i];
	spin_depth--;
}

void bv_host_spin_lock(struct bv_spinlock *lock)
{
	struct fake_spin *spin = spin_checked(lock);
	const void *nobody = NULL;

	spin_check_context(spin);
	spin_check_order(spin);

	if (__atomic_load_n(&spin->owner, __ATOMIC_RELAXED) == &spin_depth)
		fake_misuse("a spin lock taken twice by one thread");
	while (!__atomic_compare_exchange_n(&spin->owner, &nobody, &spin_depth, false,
					    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		nobody = NULL;
		sched_yield();
	}
	if (spin_depth < HELD_MAX)
		held[spin_depth] = spin;
	spin_depth++;
}

void bv_host_spin_unlock(struct bv_spinlock *lock)
{
	struct fake_spin *spin = spin_checked(lock);

	if (spin->owner != &spin_depth)
		fake_misuse("a spin lock unlocked by one who does not hold it");
	spin_forget(spin);
	__atomic_store_n(&spin->owner, NULL, __ATOMIC_RELEASE);
}

u64 bv_host_spin_lock_irq(struct bv_spinlock *lock)
{
	u64 flags = irqs_off ? IRQS_WERE_OFF : IRQS_WERE_ON;

	irqs_off = true;
	bv_host_spin_lock(lock);
	return flags;
}

void bv_host_spin_unlock_irq(struct bv_spinlock *lock, u64 flags)
{
	if (flags != IRQS_WERE_OFF && flags != IRQS_WERE_ON)
		fake_misuse("bv_host_spin_unlock_irq: not the flags that locking gave");
	if (!irqs_off)
		fake_misuse("bv_host_spin_unlock_irq with interrupts on");
	bv_host_spin_unlock(lock);
	irqs_off = flags == IRQS_WERE_OFF;
}

/* ---- sleeping locks ---- */

struct fake_mutex {
	pthread_mutex_t mutex;
	u64 magic;
	const void *owner;
};

struct fake_rwsem {
	pthread_rwlock_t lock;
	u64 magic;
	const void *writer;
	u32 readers;
};

BV_STATIC_ASSERT(sizeof(struct fake_mutex) <= sizeof(struct bv_mutex));
BV_STATIC_ASSERT(sizeof(struct fake_rwsem) <= sizeof(struct bv_rwsem));

static struct fake_mutex *mutex_checked(struct bv_mutex *lock)
{
	struct fake_mutex *mutex = (struct fake_mutex *)lock;

	if (mutex->magic != MAGIC)
		fake_misuse("a mutex that was never initialized");
	return mutex;
}

void bv_host_mutex_init(struct bv_mutex *lock)
{
	struct fake_mutex *mutex = (struct fake_mutex *)lock;

	*mutex = (struct fake_mutex){ .magic = MAGIC };
	pthread_mutex_init(&mutex->mutex, NULL);
}

void bv_host_mutex_lock(struct bv_mutex *lock)
{
	struct fake_mutex *mutex = mutex_checked(lock);

	fake_may_sleep(__func__);
	if (__atomic_load_n(&mutex->owner, __ATOMIC_RELAXED) == &spin_depth)
		fake_misuse("a mutex taken twice by one thread");
	pthread_mutex_lock(&mutex->mutex);
	__atomic_store_n(&mutex->owner, &spin_depth, __ATOMIC_RELAXED);
}

int bv_host_mutex_lock_killable(struct bv_mutex *lock)
{
	bv_host_mutex_lock(lock);
	return 0;
}

void bv_host_mutex_unlock(struct bv_mutex *lock)
{
	struct fake_mutex *mutex = mutex_checked(lock);

	if (mutex->owner != &spin_depth)
		fake_misuse("a mutex unlocked by one who does not hold it");
	__atomic_store_n(&mutex->owner, NULL, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&mutex->mutex);
}

static struct fake_rwsem *rwsem_checked(struct bv_rwsem *lock)
{
	struct fake_rwsem *sem = (struct fake_rwsem *)lock;

	if (sem->magic != MAGIC)
		fake_misuse("a semaphore that was never initialized");
	return sem;
}

void bv_host_rwsem_init(struct bv_rwsem *lock)
{
	struct fake_rwsem *sem = (struct fake_rwsem *)lock;

	*sem = (struct fake_rwsem){ .magic = MAGIC };
	pthread_rwlock_init(&sem->lock, NULL);
}

/*
 * A thread that reads twice may meet a writer in between and wait for itself: not allowed, as in a
 * kernel.
 */
void bv_host_rwsem_read(struct bv_rwsem *lock)
{
	struct fake_rwsem *sem = rwsem_checked(lock);

	fake_may_sleep(__func__);
	if (__atomic_load_n(&sem->writer, __ATOMIC_RELAXED) == &spin_depth)
		fake_misuse("a semaphore taken for reading by its writer");
	pthread_rwlock_rdlock(&sem->lock);
	__atomic_fetch_add(&sem->readers, 1, __ATOMIC_RELAXED);
	rwsem_depth++;
}

void bv_host_rwsem_read_done(struct bv_rwsem *lock)
{
	struct fake_rwsem *sem = rwsem_checked(lock);

	if (!sem->readers || !rwsem_depth)
		fake_misuse("a semaphore given back by one who does not read");
	rwsem_depth--;
	__atomic_fetch_sub(&sem->readers, 1, __ATOMIC_RELAXED);
	pthread_rwlock_unlock(&sem->lock);
}

void bv_host_rwsem_write(struct bv_rwsem *lock)
{
	struct fake_rwsem *sem = rwsem_checked(lock);

	fake_may_sleep(__func__);
	if (__atomic_load_n(&sem->writer, __ATOMIC_RELAXED) == &spin_depth)
		fake_misuse("a semaphore taken twice for writing by one thread");
	if (rwsem_depth && sem->readers)
		fake_misuse("a semaphore taken for writing by a thread that reads");
	pthread_rwlock_wrlock(&sem->lock);
	__atomic_store_n(&sem->writer, &spin_depth, __ATOMIC_RELAXED);
}

void bv_host_rwsem_write_done(struct bv_rwsem *lock)
{
	struct fake_rwsem *sem = rwsem_checked(lock);

	if (sem->writer != &spin_depth)
		fake_misuse("a semaphore given back by one who does not write");
	__atomic_store_n(&sem->writer, NULL, __ATOMIC_RELAXED);
	pthread_rwlock_unlock(&sem->lock);
}

/* ---- the guest's entry ---- */

int bv_host_guest_enter(struct bv_vcpu *vcpu)
{
	struct fake_vcpu *fake = fake_vcpu(vcpu);

	fake_may_sleep(__func__);
	if (!bv_host_vcpu_is_current(vcpu))
		fake_misuse("bv_host_guest_enter outside of run_begin and run_end");
	if (__atomic_load_n(&fake->signal, __ATOMIC_SEQ_CST))
		return -BV_EINTR;
	fake->enters++;
	irqs_off = true;
	return 0;
}

void bv_host_guest_leave(struct bv_vcpu *vcpu)
{
	struct fake_vcpu *fake = fake_vcpu(vcpu);

	if (!irqs_off || spin_depth)
		fake_misuse("bv_host_guest_leave without bv_host_guest_enter");
	fake->leaves++;
	irqs_off = false;
}
