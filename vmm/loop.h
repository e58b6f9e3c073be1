/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop in which the devices live, and the machine's lock.
 *
 * One thread (the one that called vmm_run()) waits for descriptors and timers and calls their
 * handlers with the lock held. A vCPU's thread takes the same lock for an access to a device. So
 * all that devices own is guarded by this lock, and no device has another one.
 */
#ifndef VMM_LOOP_H
#define VMM_LOOP_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#define LOOP_EVENTS 32
#define LOOP_POLLS 256
#define LOOP_NEVER UINT64_MAX

struct loop_fd {
	int fd;
	void (*ready)(void *owner, uint32_t events); /* EPOLLIN... */
	void *owner;
};

struct loop_timer {
	uint64_t deadline; /* by loop_now(); LOOP_NEVER: not set */
	void (*expired)(void *owner);
	void *owner;
	struct loop_timer *next;
};

/*
 * For a library that keeps its own set of descriptors, which changes at any time: before each wait
 * it adds them to the set, and after it looks at them.
 */
struct loop_poller {
	/* Returns how many were added, at most room; may lower *timeout (ms, -1: for ever). */
	int (*fill)(void *owner, struct pollfd *set, int room, int *timeout);
	void (*done)(void *owner, struct pollfd *set, int count, bool error);
	void *owner;
	struct loop_poller *next;
	int first, count; /* its part of the set in this round */
};

struct loop {
	pthread_mutex_t lock;
	int epoll;
	struct loop_fd wake;
	bool stop;
	struct loop_timer *timers;
	struct loop_poller *pollers;
	struct epoll_event ready[LOOP_EVENTS];
	int ready_count;
	struct pollfd polls[LOOP_POLLS];
	pthread_t thread;
};

int loop_init(struct loop *loop);
void loop_fini(struct loop *loop);

/* All that follow want the lock held. */
int loop_add(struct loop *loop, struct loop_fd *fd, uint32_t events);
void loop_change(struct loop *loop, struct loop_fd *fd, uint32_t events);
void loop_remove(struct loop *loop, struct loop_fd *fd);
void loop_timer_init(struct loop *loop, struct loop_timer *timer, void (*expired)(void *),
		     void *owner);
void loop_timer_remove(struct loop *loop, struct loop_timer *timer);
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline);
void loop_poller_add(struct loop *loop, struct loop_poller *poller);
void loop_poller_remove(struct loop *loop, struct loop_poller *poller);

/**
 * loop_run() - Serves events until loop_stop(). Lock held on entry and return, not while waiting.
 */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* One round without waiting, for tests. */
void loop_step(struct loop *loop);

/* Makes the loop look at its timers and pollers anew. From any thread, also without the lock. */
void loop_kick(struct loop *loop);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t loop_now(void);

static inline void loop_lock(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
}

static inline void loop_unlock(struct loop *loop)
{
	pthread_mutex_unlock(&loop->lock);
}

#endif
