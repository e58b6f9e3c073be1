/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Linux host's plain services: memory of our own, locks, log. The contracts are in bv/host.h.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>

#include "bv/host.h"

void *bv_host_alloc(size_t bytes)
{
	return kvzalloc(bytes, GFP_KERNEL_ACCOUNT);
}

void bv_host_free(void *memory)
{
	kvfree(memory);
}

void *bv_host_pages_alloc(unsigned int order)
{
	return (void *)__get_free_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO, order);
}

void bv_host_pages_free(void *pages, unsigned int order)
{
	free_pages((unsigned long)pages, order);
}

u64 bv_host_pa(const void *page)
{
	return virt_to_phys((void *)page);
}

void *bv_host_va(u64 pa)
{
	return phys_to_virt(pa);
}

static_assert(sizeof(spinlock_t) <= sizeof(struct bv_spinlock));
static_assert(sizeof(struct mutex) <= sizeof(struct bv_mutex));
static_assert(sizeof(struct rw_semaphore) <= sizeof(struct bv_rwsem));

void bv_host_spin_init(struct bv_spinlock *lock)
{
	spin_lock_init((spinlock_t *)lock);
}

void bv_host_spin_lock(struct bv_spinlock *lock)
{
	spin_lock((spinlock_t *)lock);
}

void bv_host_spin_unlock(struct bv_spinlock *lock)
{
	spin_unlock((spinlock_t *)lock);
}

u64 bv_host_spin_lock_irq(struct bv_spinlock *lock)
{
	unsigned long flags;

	spin_lock_irqsave((spinlock_t *)lock, flags);
	return flags;
}

void bv_host_spin_unlock_irq(struct bv_spinlock *lock, u64 flags)
{
	spin_unlock_irqrestore((spinlock_t *)lock, (unsigned long)flags);
}

void bv_host_mutex_init(struct bv_mutex *mutex)
{
	mutex_init((struct mutex *)mutex);
}

void bv_host_mutex_lock(struct bv_mutex *mutex)
{
	mutex_lock((struct mutex *)mutex);
}

int bv_host_mutex_lock_killable(struct bv_mutex *mutex)
{
	return mutex_lock_killable((struct mutex *)mutex);
}

void bv_host_mutex_unlock(struct bv_mutex *mutex)
{
	mutex_unlock((struct mutex *)mutex);
}

void bv_host_rwsem_init(struct bv_rwsem *sem)
{
	init_rwsem((struct rw_semaphore *)sem);
}

void bv_host_rwsem_read(struct bv_rwsem *sem)
{
	down_read((struct rw_semaphore *)sem);
}

void bv_host_rwsem_read_done(struct bv_rwsem *sem)
{
	up_read((struct rw_semaphore *)sem);
}

void bv_host_rwsem_write(struct bv_rwsem *sem)
{
	down_write((struct rw_semaphore *)sem);
}

void bv_host_rwsem_write_done(struct bv_rwsem *sem)
{
	up_write((struct rw_semaphore *)sem);
}

void bv_host_each_cpu(void (*fn)(void *arg), void *arg)
{
	on_each_cpu(fn, arg, 1);
}

unsigned int bv_host_cpu(void)
{
	return raw_smp_processor_id();
}

unsigned int bv_host_cpu_count(void)
{
	return nr_cpu_ids;
}

void bv_host_log(enum bv_log_level level, const char *text)
{
	static const char *const prefix[] = {
		[BV_LOG_ERROR] = KERN_ERR,
		[BV_LOG_WARNING] = KERN_WARNING,
		[BV_LOG_INFO] = KERN_INFO,
		[BV_LOG_DEBUG] = KERN_DEBUG,
	};

	printk("%sbivisor: %s\n", prefix[level], text);
}

void bv_host_bug(const char *file, int line, const char *text)
{
	pr_emerg("bivisor: %s:%d: not so: %s\n", file, line, text);
	BUG();
}
