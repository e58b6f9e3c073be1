/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtual clock and its timers. */
#include <pthread.h>

#include "hosts/fake/state.h"

#define START_NS 1000000000ULL
#define WALL_START_NS 1700000000000000000ULL
#define MAGIC 0x74696d6572ULL

struct fake_timer {
	u64 magic;
	u64 due;
	u64 order; /* of setting: equal times fire in this order */
	bool set;
	struct bv_timer *next;
};

BV_STATIC_ASSERT(sizeof(struct fake_timer) <= sizeof(((struct bv_timer *)0)->opaque));

static struct {
	u64 now, tick, late;
	u64 order;
	struct bv_timer *first; /* those that are set, in order */
	struct bv_timer *firing;
	unsigned int set;
} world = { .now = START_NS };

/* Guards `world` between threads; never held while a timer fires. */
static pthread_mutex_t world_lock = PTHREAD_MUTEX_INITIALIZER;

u32 fake_tsc_khz = 2100000;
bool fake_tsc_unstable;

static struct fake_timer *fake_of(struct bv_timer *timer)
{
	struct fake_timer *fake = (struct fake_timer *)timer->opaque;

	if (fake->magic != MAGIC)
		fake_misuse("a timer that was never initialized");
	return fake;
}

/* ---- looking ---- */

u64 fake_clock(void)
{
	return __atomic_load_n(&world.now, __ATOMIC_SEQ_CST);
}

u64 bv_host_ns(void)
{
	return __atomic_fetch_add(&world.now, world.tick, __ATOMIC_SEQ_CST);
}

u64 bv_host_wall_ns(void)
{
	return WALL_START_NS + bv_host_ns();
}

u64 bv_host_tsc(void)
{
	return (u64)((unsigned __int128)bv_host_ns() * fake_tsc_khz / 1000000);
}

u32 bv_host_tsc_khz(void)
{
	return fake_tsc_khz;
}

bool bv_host_tsc_stable(void)
{
	return !fake_tsc_unstable;
}

/* ---- timers ---- */

void bv_host_timer_init(struct bv_timer *timer, void (*fire)(struct bv_timer *timer))
{
	*(struct fake_timer *)timer->opaque = (struct fake_timer){ .magic = MAGIC };
	timer->fire = fire;
}

static bool timer_before(struct bv_timer *one, struct bv_timer *two)
{
	struct fake_timer *a = fake_of(one), *b = fake_of(two);

	return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void timer_unlink(struct bv_timer *timer)
{
	struct bv_timer **at = &world.first;

	if (!fake_of(timer)->set)
		return;
	while (*at != timer)
		at = &fake_of(*at)->next;
	*at = fake_of(timer)->next;
	fake_of(timer)->set = false;
	world.set--;
}

void bv_host_timer_set(struct bv_timer *timer, u64 deadline_ns)
{
	struct fake_timer *fake = fake_of(timer);
	struct bv_timer **at = &world.first;

	pthread_mutex_lock(&world_lock);
	timer_unlink(timer);
	fake->due = deadline_ns;
	fake->order = world.order++;
	while (*at && timer_before(*at, timer))
		at = &fake_of(*at)->next;
	fake->next = *at;
	*at = timer;
	fake->set = true;
	world.set++;
	pthread_mutex_unlock(&world_lock);
}

void bv_host_timer_cancel(struct bv_timer *timer)
{
	/* It might wait for a `fire` that wants the lock. */
	if (fake_locks_held())
		fake_misuse("bv_host_timer_cancel with a spin lock held");
	pthread_mutex_lock(&world_lock);
	timer_unlink(timer);
	if (world.firing == timer)
		fake_misuse("bv_host_timer_cancel from the timer itself");
	pthread_mutex_unlock(&world_lock);
}

void fake_timers_late(u64 ns)
{
	world.late = ns;
}

u64 fake_timer_next(void)
{
	return world.first ? fake_of(world.first)->due : ~0ULL;
}

unsigned int fake_timers(void)
{
	return world.set;
}

/* Takes out the first timer that is due by `until`, and moves the clock to its time. */
static struct bv_timer *timer_take(u64 until)
{
	struct bv_timer *timer;

	pthread_mutex_lock(&world_lock);
	timer = world.first;
	if (timer && fake_of(timer)->due <= until) {
		u64 at = fake_of(timer)->due + world.late;

		timer_unlink(timer);
		if (at > world.now)
			__atomic_store_n(&world.now, at, __ATOMIC_SEQ_CST);
	} else {
		timer = NULL;
	}
	world.firing = timer;
	pthread_mutex_unlock(&world_lock);
	return timer;
}

void fake_clock_set(u64 ns)
{
	struct bv_timer *timer;

	if (ns < world.now)
		fake_misuse("the clock does not go backwards");
	while ((timer = timer_take(ns))) {
		fake_irq_enter();
		timer->fire(timer);
		fake_irq_exit();
	}
	if (ns > world.now)
		__atomic_store_n(&world.now, ns, __ATOMIC_SEQ_CST);
}

void fake_clock_advance(u64 ns)
{
	fake_clock_set(world.now + ns);
}

void fake_clock_tick(u64 ns)
{
	world.tick = ns;
}

bool fake_clock_jump(void)
{
	u64 next = fake_timer_next();

	if (next == ~0ULL)
		return false;
	fake_clock_set(next > world.now ? next : world.now);
	return true;
}

void fake_reset_time(void)
{
	while (world.first)
		timer_unlink(world.first);
	world.now = START_NS;
	world.tick = 0;
	world.late = 0;
	fake_tsc_khz = 2100000;
	fake_tsc_unstable = false;
}
