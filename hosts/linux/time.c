/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clocks and timers of the Linux host. The contracts are in bv/host.h. */
#include <linux/hrtimer.h>
#include <linux/timekeeping.h>
#include <asm/cpufeature.h>
#include <asm/tsc.h>

#include "bv/host.h"

u64 bv_host_ns(void)
{
	return ktime_get_boottime_ns();
}

u64 bv_host_wall_ns(void)
{
	return ktime_get_real_ns();
}

u64 bv_host_tsc(void)
{
	return rdtsc();
}

u32 bv_host_tsc_khz(void)
{
	return tsc_khz;
}

bool bv_host_tsc_stable(void)
{
	return !check_tsc_unstable();
}

static_assert(sizeof(struct hrtimer) <= sizeof_field(struct bv_timer, opaque));

static enum hrtimer_restart timer_fire(struct hrtimer *hrtimer)
{
	struct bv_timer *timer = container_of((void *)hrtimer, struct bv_timer, opaque);

	timer->fire(timer);
	return HRTIMER_NORESTART;
}

void bv_host_timer_init(struct bv_timer *timer, void (*fire)(struct bv_timer *timer))
{
	struct hrtimer *hrtimer = (struct hrtimer *)timer->opaque;

	timer->fire = fire;
	hrtimer_init(hrtimer, CLOCK_BOOTTIME, HRTIMER_MODE_ABS_HARD);
	hrtimer->function = timer_fire;
}

void bv_host_timer_set(struct bv_timer *timer, u64 deadline_ns)
{
	/* Past KTIME_MAX is never, as far as anybody will see. */
	hrtimer_start((struct hrtimer *)timer->opaque, min_t(u64, deadline_ns, KTIME_MAX),
		      HRTIMER_MODE_ABS_HARD);
}

void bv_host_timer_cancel(struct bv_timer *timer)
{
	hrtimer_cancel((struct hrtimer *)timer->opaque);
}
