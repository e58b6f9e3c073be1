// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's clock: nanoseconds since the VM's creation or as user space last set it.
 * KVM_GET_CLOCK tells it, kvmclock's pages (pv.c) let the guest compute it.
 *
 * Where the host's TSCs can be trusted, the clock is defined by the TSC alone, from one base pair
 * (TSC, nanoseconds) for the whole VM: every vCPU computes the same time from its page, and user
 * space reads that very time. Else it is the host's own clock plus an offset; a vCPU's page then
 * holds a pair taken on the CPU it runs on, and the guest keeps it monotonic. A host may lose its
 * trust in the TSC at any moment: the clock goes on from where it was.
 */
#include "front.h"

#define NS_PER_SECOND 1000000000ULL

/* ns = ((ticks shifted left by shift, right where negative) * mul) >> 32; mul is at least 2^31. */
void bvk_clock_scale(u32 tsc_khz, u32 *mul, s8 *shift)
{
	u64 hertz = (tsc_khz ? tsc_khz : 1) * 1000ULL;
	s8 by = 0;

	for (; hertz > 2 * NS_PER_SECOND; hertz >>= 1)
		by--;
	for (; hertz <= NS_PER_SECOND; hertz <<= 1)
		by++;
	*mul = (u32)((NS_PER_SECOND << 32) / hertz);
	*shift = by;
}

u64 bvk_clock_ticks_to_ns(u64 ticks, u32 mul, s8 shift)
{
	unsigned __int128 wide = shift < 0 ? ticks >> -shift : (unsigned __int128)ticks << shift;

	return (u64)((wide * mul) >> 32);
}

static u64 by_tsc(const struct bvk_clock *clock, u64 tsc)
{
	return clock->base_ns +
	       bvk_clock_ticks_to_ns(tsc - clock->base_tsc, clock->mul, clock->shift);
}

/* Sets the clock to ns at this moment. clock->lock held. */
static void set_base(struct bvk_clock *clock, u64 ns)
{
	clock->by_tsc = bv_host_tsc_stable();
	clock->base_tsc = bv_host_tsc();
	clock->base_ns = ns;
	clock->host_offset = ns - bv_host_ns();
}

/* The clock goes on by the host's own where the TSC is not trusted any more. clock->lock held. */
static void leave_tsc(struct bvk_clock *clock)
{
	if (clock->by_tsc && !bv_host_tsc_stable())
		set_base(clock, by_tsc(clock, bv_host_tsc()));
}

void bvk_clock_init(struct bvk_clock *clock)
{
	bv_host_spin_init(&clock->lock);
	bvk_clock_scale(bv_host_tsc_khz(), &clock->mul, &clock->shift);
	set_base(clock, 0);
}

void bvk_clock_read(struct bvk_clock *clock, struct bvk_clock_now *now)
{
	bv_host_spin_lock(&clock->lock);
	leave_tsc(clock);
	now->by_tsc = clock->by_tsc;
	now->base_tsc = clock->base_tsc;
	now->base_ns = clock->base_ns;
	now->tsc = bv_host_tsc();
	now->wall_ns = bv_host_wall_ns();
	now->ns = clock->by_tsc ? by_tsc(clock, now->tsc) : bv_host_ns() + clock->host_offset;
	bv_host_spin_unlock(&clock->lock);
}

static void clock_set(struct bvk_clock *clock, u64 ns)
{
	bv_host_spin_lock(&clock->lock);
	set_base(clock, ns);
	bv_host_spin_unlock(&clock->lock);
}

long bvk_get_clock(struct bvk_call *call)
{
	struct kvm_clock_data *user = call->data;
	struct bvk_clock_now now;

	bvk_clock_read(&call->vm->clock, &now);
	user->clock = now.ns;
	user->realtime = now.wall_ns;
	user->host_tsc = now.tsc;
	user->flags =
		KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC | (now.by_tsc ? KVM_CLOCK_TSC_STABLE : 0);
	return 0;
}

long bvk_set_clock(struct bvk_call *call)
{
	const struct kvm_clock_data *user = call->data;
	const u32 known = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
	u64 ns = user->clock, now = bv_host_wall_ns();

	if (user->flags & ~known)
		return bvk_refuse(call, BV_EINVAL, "flags = %#x: only %#x are known", user->flags,
				  known);
	/*
	 * The value was read when it was `realtime`; a wall clock that went backwards does not
	 * count.
	 */
	if ((user->flags & KVM_CLOCK_REALTIME) && now > user->realtime)
		ns += now - user->realtime;
	clock_set(&call->vm->clock, ns);
	bvk_pv_clock_changed(call->vm);
	return 0;
}
