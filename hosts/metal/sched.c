/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads and who of them runs. Every vCPU is a thread with a stack of its own; so are works of
 * the front, and each CPU's idle thread.
 *
 * One queue for all CPUs, under one lock. Each thread has a virtual time, which grows while it
 * runs, the slower the larger its weight. Each CPU has a clock of virtual time. What counts is how
 * far a thread is ahead of the clock of the CPU where it ran last: its lead. Who has the smallest
 * goes next, and who wakes has not less than -SLEEP_BONUS, however long it slept. A thread runs
 * until it sleeps, yields, or its slice is over and another waits: then it gives way before it
 * enters the guest again. Code of ours is not preempted.
 *
 * The clocks. Where even the smallest lead is above zero, the clocks move on by it: those of all
 * CPUs on which its thread may run, by a part of it each. So where all threads may run everywhere
 * the clocks go alike, and shares are as the weights on all CPUs together; where threads are
 * pinned, they are so on each CPU, and what one CPU's threads have had says nothing on another. A
 * thread that comes to another CPU keeps its lead. Where the smallest is below -SLEEP_BONUS, which
 * others' steps of the clock can bring about, the clock goes back to it: who comes new is never
 * behind.
 *
 * What a thread had while nobody waited for its CPU took nothing from anybody: it brings no more of
 * a lead than one slice does.
 *
 * Caps. A domain with a cap has a budget, filled at each period's end, that its vCPUs use together;
 * what they overdraw is taken from the next. Without any left its threads stay in the queue and are
 * passed over. A domain that used nothing has no timer.
 *
 * Soft affinity. A thread is not taken by a CPU out of its soft mask while one in it is idle, and a
 * CPU that becomes idle calls those who would rather run there.
 *
 * States. A thread that wants to sleep says BLOCKED first (thread_prepare_block), then looks once
 * more whether it has to, then calls schedule(). A wake turns BLOCKED into READY: before the
 * switch, schedule() then queues it again; after it, the wake queues it. Both happen under the
 * lock, which is held over the switch: the thread that comes releases it.
 */
#include "hosts/metal/metal.h"

#define SLICE_NS 5000000ull
#define SLEEP_BONUS_NS 10000000ull
#define WEIGHT_UNIT 256
#define CAP_PERIOD_NS 10000000ull

void thread_switch(u64 *save_rsp, u64 rsp);
extern char thread_begin[];
void metal_thread_first(void);
void metal_thread_exit(void);

static struct {
	struct bv_spinlock lock;
	struct bv_list queue; /* who could run */
	u64 clock[METAL_MAX_CPUS]; /* ns of virtual time */
	struct bv_timer slice[METAL_MAX_CPUS];
	u64 slice_end[METAL_MAX_CPUS]; /* when that fires, or did; 0: nobody waits for the CPU */
	u64 started_ns[METAL_MAX_CPUS]; /* when the thread at hand was charged last */
} sched;

/* ---- accounting ---- */

static void count(struct thread *thread, enum bvx_host_state state)
{
	u64 now = bv_host_ns();

	thread->ns[thread->counted] += now - thread->since_ns;
	thread->since_ns = now;
	thread->counted = state;
}

static enum bvx_host_state waiting_as(const struct thread *thread)
{
	return thread->offline ? BVX_OFFLINE : BVX_BLOCKED;
}

/* ns that a domain has in each period. */
static s64 quota(const struct sched_group *group)
{
	return (s64)(CAP_PERIOD_NS * group->cap / 100);
}

static void group_charge(struct sched_group *group, u64 ns)
{
	if (!group || !group->cap)
		return;
	group->budget -= (s64)ns;
	if (group->refill_at)
		return;
	group->refill_at = bv_host_ns() + CAP_PERIOD_NS;
	bv_host_timer_set(&group->refill, group->refill_at);
}

static u64 virtual_time(const struct thread *thread, u64 ns)
{
	return ns * WEIGHT_UNIT / thread->weight;
}

static void charge(struct metal_cpu *cpu, struct thread *thread)
{
	u64 now = bv_host_ns(), start = sched.started_ns[cpu->index];
	u64 ns = now > start ? now - start : 0;

	thread->vtime += virtual_time(thread, ns);
	group_charge(thread->group, ns);
	sched.started_ns[cpu->index] = now;
}

void thread_runtime(struct thread *thread, struct bvx_host_runtime *runtime)
{
	u64 flags = bv_host_spin_lock_irq(&sched.lock);

	runtime->state = thread->counted;
	runtime->since_ns = thread->since_ns;
	for (u32 i = 0; i < BVX_STATES; i++)
		runtime->ns[i] = thread->ns[i];
	runtime->ns[thread->counted] += bv_host_ns() - thread->since_ns;
	runtime->cpu = thread->cpu ? thread->cpu->index : 0;
	bv_host_spin_unlock_irq(&sched.lock, flags);
}

void thread_offline(struct thread *thread, bool offline)
{
	u64 flags = bv_host_spin_lock_irq(&sched.lock);

	thread->offline = offline;
	if (thread->counted == BVX_BLOCKED || thread->counted == BVX_OFFLINE)
		count(thread, waiting_as(thread));
	bv_host_spin_unlock_irq(&sched.lock, flags);
}

u64 sched_idle_ns(struct metal_cpu *cpu)
{
	struct bvx_host_runtime runtime;

	thread_runtime(cpu->idle, &runtime);
	return runtime.ns[BVX_RUNNING];
}

/* ---- the queue, all under the lock ---- */

static bool may_run(const struct thread *thread, const struct metal_cpu *cpu)
{
	return thread->affinity >> cpu->index & 1;
}

/*
 * Whether this CPU is one of those it would rather run on; all are, if it may run on none of them.
 */
static bool prefers(const struct thread *thread, const struct metal_cpu *cpu)
{
	u64 wanted = thread->affinity & thread->soft;

	return !wanted || wanted >> cpu->index & 1;
}

static bool is_capped(const struct thread *thread)
{
	return thread->group && thread->group->cap && thread->group->budget <= 0;
}

static s64 lead(const struct thread *thread)
{
	return (s64)(thread->vtime - sched.clock[thread->cpu->index]);
}

/* The thread at hand on a CPU is charged for what it had since the last time. */
static void account(struct metal_cpu *cpu)
{
	struct thread *thread = cpu->current;
	u64 most = virtual_time(thread, SLICE_NS);

	charge(cpu, thread);
	if (!sched.slice_end[cpu->index] && lead(thread) > (s64)most)
		thread->vtime = sched.clock[cpu->index] + most;
}

/* The thread is of that CPU from now on, and keeps its lead. */
static void move_to(struct thread *thread, struct metal_cpu *cpu)
{
	if (thread->cpu != cpu)
		thread->vtime += sched.clock[cpu->index] - sched.clock[thread->cpu->index];
	thread->cpu = cpu;
}

static void not_behind(struct thread *thread)
{
	if (lead(thread) < -(s64)SLEEP_BONUS_NS)
		thread->vtime = sched.clock[thread->cpu->index] - SLEEP_BONUS_NS;
}

/* A CPU where the thread may run: the first, if it is new or was sent away from where it was. */
static void settle(struct thread *thread)
{
	u32 i = 0;

	if (thread->cpu && may_run(thread, thread->cpu))
		return;
	while (i + 1 < metal_cpu_count && !may_run(thread, metal_cpus[i]))
		i++;
	if (thread->cpu) {
		move_to(thread, metal_cpus[i]);
		return;
	}
	thread->cpu = metal_cpus[i];
	thread->vtime = sched.clock[i];
}

static void enqueue(struct thread *thread)
{
	settle(thread);
	bv_list_add_tail(&sched.queue, &thread->node);
	thread->queued = true;
	count(thread, BVX_RUNNABLE);
}

static void dequeue(struct thread *thread)
{
	bv_list_del(&thread->node);
	thread->queued = false;
}

static void interrupt_for(struct metal_cpu *cpu)
{
	cpu->resched = true;
	if (cpu != this_cpu())
		apic_send_vector(cpu->index, VECTOR_WAKE);
}

static bool is_idle(const struct metal_cpu *cpu)
{
	return cpu->current && cpu->current == cpu->idle && !cpu->resched;
}

/* An idle CPU for it, one that it prefers or any; NULL: none. */
static struct metal_cpu *idle_for(const struct thread *thread, bool preferred)
{
	if (thread->cpu && may_run(thread, thread->cpu) && is_idle(thread->cpu) &&
	    (!preferred || prefers(thread, thread->cpu)))
		return thread->cpu;
	for (u32 i = 0; i < metal_cpu_count; i++)
		if (may_run(thread, metal_cpus[i]) && is_idle(metal_cpus[i]) &&
		    (!preferred || prefers(thread, metal_cpus[i])))
			return metal_cpus[i];
	return NULL;
}

/* Whether a CPU that the thread prefers to this one is free for it, and is told so. */
static bool goes_elsewhere(const struct thread *thread, const struct metal_cpu *cpu)
{
	struct metal_cpu *better = prefers(thread, cpu) ? NULL : idle_for(thread, true);

	if (better)
		interrupt_for(better);
	return better;
}

/* The one that waits with the smallest lead; NULL: none. */
static struct thread *best_for(const struct metal_cpu *cpu)
{
	struct thread *best = NULL;
	struct bv_list *node;

	bv_list_for_each(node, &sched.queue) {
		struct thread *thread = bv_list_entry(node, struct thread, node);

		if (!may_run(thread, cpu) || is_capped(thread) ||
		    (best && lead(thread) >= lead(best)) || goes_elsewhere(thread, cpu))
			continue;
		best = thread;
	}
	return best;
}

/* The clocks follow who was taken: see the head of this file. */
static void clocks_follow(const struct thread *thread)
{
	s64 ahead = lead(thread);
	u32 cpus = 0;

	if (ahead < -(s64)SLEEP_BONUS_NS)
		sched.clock[thread->cpu->index] = thread->vtime + SLEEP_BONUS_NS;
	if (ahead <= 0)
		return;
	for (u32 i = 0; i < metal_cpu_count; i++)
		cpus += may_run(thread, metal_cpus[i]);
	for (u32 i = 0; i < metal_cpu_count; i++)
		if (may_run(thread, metal_cpus[i]))
			sched.clock[i] += (u64)ahead / cpus;
}

static struct thread *take_best(struct metal_cpu *cpu)
{
	struct thread *best = best_for(cpu);

	if (!best)
		return NULL;
	dequeue(best);
	move_to(best, cpu);
	clocks_follow(best);
	return best;
}

/* The thread at hand on that CPU has to look by then whether it is to give way. */
static void slice_ends(const struct metal_cpu *cpu, u64 when)
{
	u64 *end = &sched.slice_end[cpu->index];

	if (*end && *end <= when)
		return;
	*end = when;
	bv_host_timer_set(&sched.slice[cpu->index], when);
}

/*
 * Finds a CPU for who has just become ready: an idle one, or the one whose thread has had the most.
 */
static void place(struct thread *thread)
{
	struct metal_cpu *found = idle_for(thread, true);
	s64 most = 0;

	if (is_capped(thread))
		return;
	if (!found)
		found = idle_for(thread, false);
	if (found) {
		interrupt_for(found);
		return;
	}
	for (u32 i = 0; i < metal_cpu_count; i++) {
		struct metal_cpu *cpu = metal_cpus[i];

		if (!cpu->current || cpu->current == cpu->idle || !may_run(thread, cpu))
			continue;
		account(cpu);
		if (!found || lead(cpu->current) > most) {
			found = cpu;
			most = lead(cpu->current);
		}
	}
	if (found && most > lead(thread) + (s64)SLICE_NS / 2)
		interrupt_for(found);
	else if (found)
		slice_ends(found, bv_host_ns() + SLICE_NS);
}

/* ---- caps ---- */

/* Those that waited for it wait for a CPU again. */
static void group_go(const struct sched_group *group)
{
	struct bv_list *node;

	bv_list_for_each(node, &sched.queue) {
		struct thread *thread = bv_list_entry(node, struct thread, node);

		if (thread->group != group)
			continue;
		not_behind(thread);
		place(thread);
	}
}

static void refill(struct bv_timer *timer)
{
	struct sched_group *group = BV_CONTAINER(timer, struct sched_group, refill);
	u64 flags = bv_host_spin_lock_irq(&sched.lock), now = bv_host_ns();
	bool was_empty = group->budget <= 0;

	for (; group->refill_at && group->refill_at <= now; group->refill_at += CAP_PERIOD_NS)
		group->budget += quota(group);
	/* Only what it left unused is lost: not what came late. */
	if (!was_empty && group->budget >= quota(group)) {
		group->budget = quota(group);
		group->refill_at = 0;
	}
	if (group->refill_at)
		bv_host_timer_set(timer, group->refill_at);
	if (was_empty && group->budget > 0)
		group_go(group);
	bv_host_spin_unlock_irq(&sched.lock, flags);
}

void sched_group_init(struct sched_group *group)
{
	bv_host_timer_init(&group->refill, refill);
}

void sched_group_fini(struct sched_group *group)
{
	bv_host_timer_cancel(&group->refill);
}

void sched_group_cap(struct sched_group *group, u32 percent)
{
	u64 flags = bv_host_spin_lock_irq(&sched.lock);
	bool waits = group->cap && group->budget <= 0;

	group->cap = percent;
	group->budget = quota(group);
	if (waits)
		group_go(group);
	bv_host_spin_unlock_irq(&sched.lock, flags);
}

/* ---- the switch ---- */

static void slice_over(struct bv_timer *timer)
{
	struct metal_cpu *cpu = metal_cpus[timer - sched.slice];
	u64 flags = bv_host_spin_lock_irq(&sched.lock);

	interrupt_for(cpu);
	bv_host_spin_unlock_irq(&sched.lock, flags);
}

/* Until when the thread may run that has just got the CPU. */
static void slice_begins(struct metal_cpu *cpu, const struct thread *thread)
{
	u64 now = bv_host_ns();

	sched.slice_end[cpu->index] = 0;
	if (thread == cpu->idle)
		return;
	if (!bv_list_empty(&sched.queue))
		slice_ends(cpu, now + SLICE_NS);
	if (thread->group && thread->group->cap)
		slice_ends(cpu, now + (u64)thread->group->budget);
}

/* A CPU without work calls those who would rather run on it. */
static void invite(const struct metal_cpu *cpu)
{
	for (u32 i = 0; i < metal_cpu_count; i++) {
		struct metal_cpu *other = metal_cpus[i];

		if (other == cpu || !other->current || other->current == other->idle)
			continue;
		if (may_run(other->current, cpu) && prefers(other->current, cpu) &&
		    !prefers(other->current, other))
			interrupt_for(other);
	}
}

static void leave_cpu(struct thread *thread)
{
	if (thread->vcpu)
		bv_vcpu_unload(thread->vcpu);
	if (thread->fpu)
		fpu_leave(thread);
}

static void come_to_cpu(struct thread *thread)
{
	if (thread->fpu)
		fpu_load(thread);
	if (thread->vcpu)
		bv_vcpu_load(thread->vcpu);
}

/* What the thread that comes does first, on its own stack. The lock is held, interrupts are off. */
static void switched(void)
{
	come_to_cpu(current_thread());
	bv_host_spin_unlock(&sched.lock);
}

static void switch_to(struct metal_cpu *cpu, struct thread *from, struct thread *to)
{
	leave_cpu(from);
	__atomic_store_n(&from->running, false, __ATOMIC_RELEASE);
	to->running = true;
	to->cpu = cpu;
	cpu->current = to;
	count(to, BVX_RUNNING);
	thread_switch(&from->rsp, to->rsp);
	switched();
}

/* Away: any other goes first. */
static void reschedule(bool away)
{
	struct metal_cpu *cpu;
	struct thread *from, *to = NULL;
	u64 flags;

	bv_assert(irqs_on());
	flags = bv_host_spin_lock_irq(&sched.lock);
	cpu = this_cpu();
	from = cpu->current;
	account(cpu);
	cpu->resched = false;
	if (away)
		to = take_best(cpu);
	if (from != cpu->idle && from->state == THREAD_READY)
		enqueue(from);
	else if (from != cpu->idle)
		count(from, waiting_as(from));
	if (!to)
		to = take_best(cpu);
	/* Its mask was changed while it ran: those that it may run on now do not know of it. */
	if (from->queued && !may_run(from, cpu))
		place(from);
	if (!to) {
		to = cpu->idle;
		invite(cpu);
	}
	slice_begins(cpu, to);
	if (to == from) {
		count(to, BVX_RUNNING);
		bv_host_spin_unlock(&sched.lock);
	} else {
		switch_to(cpu, from, to);
	}
	irq_restore(flags);
}

void schedule(void)
{
	reschedule(false);
}

void thread_yield(void)
{
	reschedule(true);
}

void thread_prepare_block(void)
{
	__atomic_store_n(&current_thread()->state, THREAD_BLOCKED, __ATOMIC_SEQ_CST);
}

void thread_unblock_self(void)
{
	__atomic_store_n(&current_thread()->state, THREAD_READY, __ATOMIC_SEQ_CST);
}

void thread_wake(struct thread *thread)
{
	u64 flags = bv_host_spin_lock_irq(&sched.lock);

	if (thread->state == THREAD_BLOCKED) {
		__atomic_store_n(&thread->state, THREAD_READY, __ATOMIC_SEQ_CST);
		if (!thread->running) {
			enqueue(thread);
			not_behind(thread);
			place(thread);
		}
	}
	bv_host_spin_unlock_irq(&sched.lock, flags);
}

void bvx_host_yield(void)
{
	if (this_cpu()->resched)
		schedule();
}

void bvx_host_give_way(void)
{
	thread_yield();
}

/* A look without the lock: who comes meanwhile finds the CPU by himself. */
bool bvx_host_is_waited_for(void)
{
	return !bv_list_empty(&sched.queue);
}

void thread_affinity(struct thread *thread, u64 mask, u64 soft)
{
	u64 flags = bv_host_spin_lock_irq(&sched.lock);

	thread->affinity = mask;
	thread->soft = soft;
	if (thread->queued) {
		settle(thread);
		place(thread);
	} else if (thread->running &&
		   !(may_run(thread, thread->cpu) && prefers(thread, thread->cpu))) {
		interrupt_for(thread->cpu);
	}
	bv_host_spin_unlock_irq(&sched.lock, flags);
}

/* ---- birth and end ---- */

void metal_thread_first(void)
{
	switched();
	irq_on();
}

void metal_thread_exit(void)
{
	__atomic_store_n(&current_thread()->state, THREAD_DEAD, __ATOMIC_SEQ_CST);
	schedule();
}

static struct thread *thread_new(const char *name)
{
	struct thread *thread = bv_host_alloc(sizeof(*thread));

	if (!thread)
		return NULL;
	text_copy(thread->name, name, sizeof(thread->name));
	thread->affinity = ~0ull;
	thread->soft = ~0ull;
	thread->weight = WEIGHT_UNIT;
	thread->counted = BVX_OFFLINE;
	thread->since_ns = bv_host_ns();
	thread->state = THREAD_BLOCKED;
	return thread;
}

struct thread *thread_create(const char *name, void (*fn)(void *arg), void *arg)
{
	struct thread *thread = thread_new(name);
	u64 *top;

	if (!thread)
		return NULL;
	thread->stack = bv_host_pages_alloc(STACK_ORDER);
	if (!thread->stack) {
		bv_host_free(thread);
		return NULL;
	}
	/* What thread_switch takes off: r15, r14, r13, r12, rbx, rbp, the return address. */
	top = (u64 *)((u8 *)thread->stack + STACK_BYTES) - 8;
	top[2] = (u64)arg;
	top[3] = (u64)fn;
	top[6] = (u64)thread_begin;
	thread->rsp = (u64)top;
	return thread;
}

void thread_start(struct thread *thread)
{
	thread_wake(thread);
}

void thread_free(struct thread *thread)
{
	while (__atomic_load_n(&thread->running, __ATOMIC_ACQUIRE))
		cpu_relax();
	bv_host_pages_free(thread->stack, STACK_ORDER);
	bv_host_free(thread);
}

void sched_init(void)
{
	bv_host_spin_init(&sched.lock);
	bv_list_init(&sched.queue);
	for (u32 i = 0; i < METAL_MAX_CPUS; i++)
		bv_host_timer_init(&sched.slice[i], slice_over);
	sched_init_cpu();
}

/* The code that runs here becomes the CPU's idle thread. */
void sched_init_cpu(void)
{
	struct metal_cpu *cpu = this_cpu();
	struct thread *idle = thread_new("idle");

	if (!idle)
		panic("no memory for the idle thread");
	idle->state = THREAD_READY;
	idle->running = true;
	idle->affinity = BV_BIT(cpu->index);
	idle->cpu = cpu;
	idle->counted = BVX_RUNNING;
	sched.started_ns[cpu->index] = bv_host_ns();
	cpu->idle = idle;
	cpu->current = idle;
}

void sched_idle(void)
{
	irq_on();
	for (;;) {
		schedule();
		if (frames_scrub())
			continue;
		irq_off();
		if (this_cpu()->resched)
			irq_on();
		else
			__asm__ volatile("sti; hlt" : : : "memory");
	}
}
