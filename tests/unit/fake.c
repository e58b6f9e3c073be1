/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host in user space: its clock, its memory, and that it sees misuse, for the tests of all else
 * stand on it.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hosts/fake/fake.h"
#include "test.h"

/* ---- misuse ends the process ---- */

static struct bv_spinlock one, two;
static struct bv_mutex mutex;
static struct bv_rwsem sem;
static struct bv_timer timer;

static bool ends(void (*misuse)(void))
{
	pid_t child;
	int status;

	fake_reset();
	bv_host_spin_init(&one);
	bv_host_spin_init(&two);
	bv_host_mutex_init(&mutex);
	bv_host_rwsem_init(&sem);
	fflush(stdout);
	child = fork();
	if (!child) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		misuse();
		_exit(0);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void nothing(void)
{
	u64 flags = bv_host_spin_lock_irq(&one);

	bv_host_spin_lock(&two);
	bv_host_spin_unlock(&two);
	bv_host_spin_unlock_irq(&one, flags);
	bv_host_mutex_lock(&mutex);
	bv_host_rwsem_read(&sem);
	bv_host_free(bv_host_alloc(10));
	bv_host_rwsem_read_done(&sem);
	bv_host_mutex_unlock(&mutex);
}

static void unlock_unlocked(void)
{
	bv_host_spin_unlock(&one);
}

static void lock_twice(void)
{
	bv_host_spin_lock(&one);
	bv_host_spin_lock(&one);
}

static void lock_in_both_orders(void)
{
	bv_host_spin_lock(&one);
	bv_host_spin_lock(&two);
	bv_host_spin_unlock(&two);
	bv_host_spin_unlock(&one);
	bv_host_spin_lock(&two);
	bv_host_spin_lock(&one);
}

static void sleep_with_a_lock(void)
{
	bv_host_spin_lock(&one);
	bv_host_alloc(10);
}

static void mutex_with_a_lock(void)
{
	bv_host_spin_lock(&one);
	bv_host_mutex_lock(&mutex);
}

static void write_while_reading(void)
{
	bv_host_rwsem_read(&sem);
	bv_host_rwsem_write(&sem);
}

static void fire_locks(struct bv_timer *fired)
{
	(void)fired;
	bv_host_spin_lock(&one);
	bv_host_spin_unlock(&one);
}

static void lock_of_an_interrupt_handler(void)
{
	bv_host_timer_init(&timer, fire_locks);
	bv_host_timer_set(&timer, 0);
	fake_clock_advance(1);
	bv_host_spin_lock(&one);
}

static void cancel_with_a_lock(void)
{
	bv_host_timer_init(&timer, fire_locks);
	bv_host_spin_lock(&one);
	bv_host_timer_cancel(&timer);
}

static void never_initialized(void)
{
	struct bv_spinlock lock = { { 0 } };

	bv_host_spin_lock(&lock);
}

TEST(misuse_of_locks_is_seen)
{
	CHECK(!ends(nothing));
	CHECK(ends(unlock_unlocked));
	CHECK(ends(lock_twice));
	CHECK(ends(lock_in_both_orders));
	CHECK(ends(sleep_with_a_lock));
	CHECK(ends(mutex_with_a_lock));
	CHECK(ends(write_while_reading));
	CHECK(ends(lock_of_an_interrupt_handler));
	CHECK(ends(cancel_with_a_lock));
	CHECK(ends(never_initialized));
}

/* ---- time ---- */

static unsigned int order[4], fired;

struct numbered {
	struct bv_timer timer;
	unsigned int number;
};

static void fire_number(struct bv_timer *at)
{
	order[fired++] = BV_CONTAINER(at, struct numbered, timer)->number;
	CHECK(fake_irqs_off());
}

TEST(timers_fire_in_order_at_their_time)
{
	struct numbered timers[3];

	fake_reset();
	fired = 0;
	for (unsigned int i = 0; i < 3; i++) {
		timers[i].number = i;
		bv_host_timer_init(&timers[i].timer, fire_number);
		bv_host_timer_set(&timers[i].timer, fake_clock() + 300 - 100 * i);
	}
	bv_host_timer_set(&timers[1].timer, fake_clock() + 500);
	CHECK_EQ(fake_timers(), 3);
	fake_clock_advance(99);
	CHECK_EQ(fired, 0);
	fake_clock_advance(1);
	CHECK_EQ(fired, 1);
	fake_clock_advance(1000);
	CHECK_EQ(fired, 3);
	CHECK_EQ(order[0], 2);
	CHECK_EQ(order[1], 0);
	CHECK_EQ(order[2], 1);
	bv_host_timer_set(&timers[0].timer, fake_clock() + 10);
	bv_host_timer_cancel(&timers[0].timer);
	fake_clock_advance(100);
	CHECK_EQ(fired, 3);
}

TEST(the_tsc_goes_with_the_clock)
{
	u64 before;

	fake_reset();
	before = bv_host_tsc();
	fake_clock_advance(1000000);
	CHECK_EQ(bv_host_tsc() - before, bv_host_tsc_khz());
}

/* ---- memory ---- */

TEST(allocations_fail_when_told)
{
	void *block;

	fake_reset();
	fake_fail_alloc_after(2);
	block = bv_host_alloc(8);
	CHECK(block);
	CHECK(!bv_host_alloc(8));
	CHECK(!bv_host_pages_alloc(0));
	CHECK_EQ(fake_allocs(), 1);
	bv_host_free(block);
	fake_fail_alloc_after(0);
	block = bv_host_pages_alloc(2);
	CHECK(block && !((u64)block & 0x3fff));
	CHECK(bv_host_va(bv_host_pa(block)) == block);
	bv_host_pages_free(block, 2);
	CHECK_EQ(fake_allocs(), 0);
}

TEST(frames_of_guest_memory)
{
	struct bv_host_frame frame;
	u64 good, readonly;
	u32 old = 5, new = 7, word;

	fake_reset();
	good = (u64)fake_memory_new(4, true);
	readonly = (u64)fake_memory_new(4, false);
	CHECK_EQ(bv_host_frame_get(NULL, good + 0x1000, true, &frame), 0);
	CHECK_EQ(frame.mfn.n, (good >> 12) + 1);
	CHECK_EQ(fake_frames_held(), 1);
	bv_host_frame_put(&frame, true);
	CHECK(fake_frame_dirtied((void *)(good + 0x1000)));
	CHECK(!fake_frame_dirtied((void *)good));
	CHECK_EQ(bv_host_frame_get(NULL, readonly, true, &frame), -BV_EFAULT);
	CHECK_EQ(bv_host_frame_get(NULL, readonly, false, &frame), 0);
	CHECK(!frame.writable);
	bv_host_frame_put(&frame, false);
	CHECK_EQ(bv_host_frame_get(NULL, 0x1000, false, &frame), -BV_EFAULT);
	CHECK_EQ(bv_host_write(NULL, good + 0x3ffe, &old, 4), -BV_EFAULT);
	CHECK_EQ(bv_host_write(NULL, good + 0x3ffc, &old, 4), 0);
	CHECK_EQ(bv_host_cmpxchg(NULL, good + 0x3ffc, 4, &old, &new), 0);
	CHECK_EQ(bv_host_cmpxchg(NULL, good + 0x3ffc, 4, &old, &new), -BV_EAGAIN);
	CHECK_EQ(old, 7);
	CHECK_EQ(bv_host_read(NULL, good + 0x3ffc, &word, 4), 0);
	CHECK_EQ(word, 7);
	fake_memory_free((void *)good);
	CHECK_EQ(bv_host_read(NULL, good, &word, 4), -BV_EFAULT);
}

TEST(copies_of_bad_addresses_fail)
{
	u32 word = 3, copy = 0;

	fake_reset();
	CHECK_EQ(bv_host_copy_in(&copy, (u64)&word, 4), 0);
	CHECK_EQ(copy, 3);
	CHECK_EQ(bv_host_copy_in(&copy, 8, 4), -BV_EFAULT);
	CHECK_EQ(bv_host_copy_out((u64)&word, &copy, 4), 0);
	CHECK_EQ(bv_host_copy_out(~0ULL << 12, &copy, 4), -BV_EFAULT);
}
