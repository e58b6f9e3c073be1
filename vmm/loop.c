// SPDX-License-Identifier: GPL-2.0-or-later
/* The event loop: see loop.h. */
#include "vmm/loop.h"

#include <errno.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

uint64_t loop_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void wake_ready(void *owner, uint32_t events)
{
	struct loop *loop = owner;
	uint64_t count;

	(void)events;
	while (read(loop->wake.fd, &count, sizeof(count)) > 0)
		;
}

int loop_init(struct loop *loop)
{
	pthread_mutex_init(&loop->lock, NULL);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->wake = (struct loop_fd){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
				       .ready = wake_ready,
				       .owner = loop };
	loop->stop = false;
	loop->timers = NULL;
	loop->pollers = NULL;
	loop->ready_count = 0;
	loop->thread = pthread_self();
	if (loop->epoll < 0 || loop->wake.fd < 0)
		return -1;
	return loop_add(loop, &loop->wake, EPOLLIN);
}

void loop_fini(struct loop *loop)
{
	close(loop->wake.fd);
	close(loop->epoll);
	pthread_mutex_destroy(&loop->lock);
}

void loop_kick(struct loop *loop)
{
	uint64_t one = 1;

	if (write(loop->wake.fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake already */
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
	loop_kick(loop);
}

int loop_add(struct loop *loop, struct loop_fd *fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = fd };

	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd->fd, &event);
}

void loop_change(struct loop *loop, struct loop_fd *fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = fd };

	epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd->fd, &event);
}

/* What this round has still to serve must not name a handler that is gone. */
void loop_remove(struct loop *loop, struct loop_fd *fd)
{
	int i;

	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd->fd, NULL);
	for (i = 0; i < loop->ready_count; i++)
		if (loop->ready[i].data.ptr == fd)
			loop->ready[i].data.ptr = NULL;
}

void loop_timer_init(struct loop *loop, struct loop_timer *timer, void (*expired)(void *),
		     void *owner)
{
	timer->deadline = LOOP_NEVER;
	timer->expired = expired;
	timer->owner = owner;
	timer->next = loop->timers;
	loop->timers = timer;
}

void loop_timer_remove(struct loop *loop, struct loop_timer *timer)
{
	struct loop_timer **at = &loop->timers;

	while (*at && *at != timer)
		at = &(*at)->next;
	if (*at)
		*at = timer->next;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline)
{
	timer->deadline = deadline;
	if (!pthread_equal(pthread_self(), loop->thread))
		loop_kick(loop);
}

void loop_poller_add(struct loop *loop, struct loop_poller *poller)
{
	poller->next = loop->pollers;
	poller->count = 0;
	loop->pollers = poller;
}

void loop_poller_remove(struct loop *loop, struct loop_poller *poller)
{
	struct loop_poller **at = &loop->pollers;

	while (*at && *at != poller)
		at = &(*at)->next;
	if (*at)
		*at = poller->next;
}

static int until_timers(struct loop *loop)
{
	uint64_t first = LOOP_NEVER, now = loop_now();
	struct loop_timer *timer;

	for (timer = loop->timers; timer; timer = timer->next)
		if (timer->deadline < first)
			first = timer->deadline;
	if (first == LOOP_NEVER)
		return -1;
	return first <= now ? 0 : (int)((first - now) / 1000000 + 1);
}

static int fill_polls(struct loop *loop, int *timeout)
{
	struct loop_poller *poller;
	int count = 1;

	loop->polls[0] = (struct pollfd){ .fd = loop->epoll, .events = POLLIN };
	for (poller = loop->pollers; poller; poller = poller->next) {
		poller->first = count;
		poller->count = poller->fill(poller->owner, loop->polls + count, LOOP_POLLS - count,
					     timeout);
		count += poller->count;
	}
	return count;
}

static void serve_pollers(struct loop *loop, bool error)
{
	struct loop_poller *poller, *next;

	for (poller = loop->pollers; poller; poller = next) {
		next = poller->next;
		poller->done(poller->owner, loop->polls + poller->first, poller->count, error);
	}
}

static void serve_timers(struct loop *loop)
{
	uint64_t now = loop_now();
	struct loop_timer *timer;

	do {
		for (timer = loop->timers; timer && timer->deadline > now; timer = timer->next)
			;
		if (timer) { /* its handler may change the list */
			timer->deadline = LOOP_NEVER;
			timer->expired(timer->owner);
		}
	} while (timer);
}

static void serve_descriptors(struct loop *loop)
{
	int i;

	for (i = 0; i < loop->ready_count; i++) {
		struct loop_fd *fd = loop->ready[i].data.ptr;

		if (fd)
			fd->ready(fd->owner, loop->ready[i].events);
	}
	loop->ready_count = 0;
}

/* Where no library has descriptors of its own, one call does. */
static void wait_for_events(struct loop *loop, int polls, int timeout, bool *error)
{
	int count = 0;

	*error = false;
	if (polls > 1) {
		count = poll(loop->polls, (nfds_t)polls, timeout);
		*error = count < 0;
		timeout = 0;
	}
	if (polls == 1 || (count > 0 && loop->polls[0].revents))
		count = epoll_wait(loop->epoll, loop->ready, LOOP_EVENTS, timeout);
	else
		count = 0;
	loop->ready_count = count > 0 ? count : 0;
}

static void once(struct loop *loop, bool wait)
{
	int timeout = until_timers(loop), polls = fill_polls(loop, &timeout);
	bool error;

	loop_unlock(loop);
	wait_for_events(loop, polls, wait ? timeout : 0, &error);
	loop_lock(loop);
	serve_timers(loop);
	serve_pollers(loop, error);
	serve_descriptors(loop);
}

void loop_run(struct loop *loop)
{
	while (!loop->stop)
		once(loop, true);
}

void loop_step(struct loop *loop)
{
	once(loop, false);
}
