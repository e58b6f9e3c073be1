/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Works of the front: done one after the other by a thread that may sleep. */
#include "hosts/metal/metal.h"

struct work {
	struct bvx_work *next;
};
BV_STATIC_ASSERT(sizeof(struct work) <= sizeof(((struct bvx_work *)0)->opaque));

static struct {
	struct bv_spinlock lock;
	struct bvx_work *first, **last;
	struct bvx_waitq queue;
} works;

static struct work *work_of(struct bvx_work *work)
{
	return (struct work *)work->opaque;
}

void bvx_host_work(struct bvx_work *work)
{
	u64 flags = bv_host_spin_lock_irq(&works.lock);

	work_of(work)->next = NULL;
	*works.last = work;
	works.last = &work_of(work)->next;
	bv_host_spin_unlock_irq(&works.lock, flags);
	bvx_host_wake(&works.queue);
}

static struct bvx_work *work_take(void)
{
	u64 flags = bv_host_spin_lock_irq(&works.lock);
	struct bvx_work *work = works.first;

	if (work) {
		works.first = work_of(work)->next;
		if (!works.first)
			works.last = &works.first;
	}
	bv_host_spin_unlock_irq(&works.lock, flags);
	return work;
}

static bool any_work(void *unused)
{
	(void)unused;
	return BV_READ_ONCE(works.first);
}

static void works_body(void *unused)
{
	(void)unused;
	for (;;) {
		struct bvx_work *work = work_take();

		if (work)
			work->perform(work);
		else
			bvx_host_wait(&works.queue, any_work, NULL);
	}
}

void works_init(void)
{
	struct thread *thread;

	bv_host_spin_init(&works.lock);
	works.last = &works.first;
	thread = thread_create("works", works_body, NULL);
	if (!thread)
		panic("no memory for the thread of works");
	thread_start(thread);
}
