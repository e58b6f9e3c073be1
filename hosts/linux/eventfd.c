// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Eventfds for the front: signaling them, and listening to them from their wait queue, in the
 * context of who signals.
 *
 * A listener keeps a reference to the eventfd's context, not to its file: when user space closes
 * the last file, the wait queue is woken with EPOLLHUP, which tells the front. Ending a listener
 * means leaving the wait queue and waiting for a wake-up under way, which may sleep, so a work does
 * it.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "hosts/linux/compat/compat.h"
#include "fronts/kvm/os.h"

#include "hosts/linux/linux.h"

struct listening {
	struct eventfd_ctx *eventfd;
	wait_queue_head_t *head;
	wait_queue_entry_t entry;
	poll_table table;
	struct work_struct end;
};

static struct workqueue_struct *queue;

static struct listening *listening_of(const struct bvk_listener *listener)
{
	BUILD_BUG_ON(sizeof(struct listening) > sizeof(listener->opaque));
	return (struct listening *)listener->opaque;
}

static struct bvk_listener *listener_of(struct listening *listening)
{
	return container_of((void *)listening, struct bvk_listener, opaque);
}

/* ---- plain eventfds ---- */

int bvk_host_eventfd_get(s32 fd, void **eventfd)
{
	struct eventfd_ctx *ctx = eventfd_ctx_fdget(fd);

	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	*eventfd = ctx;
	return 0;
}

void bvk_host_eventfd_put(void *eventfd)
{
	eventfd_ctx_put(eventfd);
}

void bvk_host_eventfd_signal(void *eventfd)
{
	bv_compat_eventfd_signal(eventfd);
}

/* ---- listening ---- */

/* Runs with the wait queue's lock held and interrupts off. */
static int woken(wait_queue_entry_t *entry, unsigned int mode, int sync, void *key)
{
	struct listening *listening = container_of(entry, struct listening, entry);
	struct bvk_listener *listener = listener_of(listening);
	__poll_t events = key_to_poll(key);
	__u64 count;

	if (events & EPOLLIN) {
		eventfd_ctx_do_read(listening->eventfd, &count);
		listener->signaled(listener);
	}
	if (events & EPOLLHUP)
		listener->hung_up(listener);
	return 0;
}

static void enqueue(struct file *file, wait_queue_head_t *head, poll_table *table)
{
	struct listening *listening = container_of(table, struct listening, table);

	listening->head = head;
	add_wait_queue(head, &listening->entry);
}

static void end(struct work_struct *work)
{
	struct listening *listening = container_of(work, struct listening, end);
	struct bvk_listener *listener = listener_of(listening);
	__u64 count;

	eventfd_ctx_remove_wait_queue(listening->eventfd, &listening->entry, &count);
	eventfd_ctx_put(listening->eventfd);
	listener->ended(listener);
}

/* What was signaled before we listened. */
static void take_early_signal(struct bvk_listener *listener)
{
	struct listening *listening = listening_of(listener);
	unsigned long flags;
	__u64 count;

	spin_lock_irqsave(&listening->head->lock, flags);
	eventfd_ctx_do_read(listening->eventfd, &count);
	if (count)
		listener->signaled(listener);
	spin_unlock_irqrestore(&listening->head->lock, flags);
}

static int listen_to(struct bvk_listener *listener, struct file *file)
{
	struct listening *listening = listening_of(listener);
	struct eventfd_ctx *eventfd = eventfd_ctx_fileget(file);

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	listening->eventfd = eventfd;
	INIT_WORK(&listening->end, end);
	init_waitqueue_func_entry(&listening->entry, woken);
	init_poll_funcptr(&listening->table, enqueue);
	if (vfs_poll(file, &listening->table) & EPOLLIN)
		take_early_signal(listener);
	return 0;
}

int bvk_host_listen(struct bvk_listener *listener, s32 fd)
{
	struct file *file = fget(fd);
	int error;

	if (!file)
		return -EBADF;
	error = listen_to(listener, file);
	/* Only now may the eventfd hang up, and the listener go. */
	fput(file);
	return error;
}

bool bvk_host_listens_to(const struct bvk_listener *listener, void *eventfd)
{
	return listening_of(listener)->eventfd == eventfd;
}

void bvk_host_listen_end(struct bvk_listener *listener)
{
	queue_work(queue, &listening_of(listener)->end);
}

void bvk_host_listen_flush(void)
{
	flush_workqueue(queue);
}

/* ---- birth and end ---- */

int bv_linux_eventfd_init(void)
{
	queue = alloc_workqueue("bivisor-eventfd", 0, 0);
	return queue ? 0 : -ENOMEM;
}

void bv_linux_eventfd_fini(void)
{
	destroy_workqueue(queue);
}
