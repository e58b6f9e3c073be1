/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads and who of them runs. Every vCPU is a thread with a stack of its own; so are works of
 * the front, and each CPU's idle thread.
 *
 * One queue for all CPUs, under one lock. Each thread has a virtual time, which grows while it
 * runs, the slower the larger its weight; who has the least goes next, and who wakes does not get
 * more than SLEEP_BONUS of what it slept through. A thread runs until it sleeps, yields, or its
 * slice is over and another waits: then it gives way before it enters the guest again. Code of
 * ours is not preempted.
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

void thread_switch(u64 *save_rsp, u64 rsp);
extern char thread_begin[];
void metal_thread_first(void);
void metal_thread_exit(void);

static struct {
	struct bv_spinlock lock;
	struct bv_list queue; /* who could run */
	u64 vtime; /* of who ran last: never smaller than before */
	struct bv_timer slice[METAL_MAX_CPUS];
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

static void charge(struct metal_cpu *cpu, struct thread *thread)
{
	u64 now = bv_host_ns();

	thread->vtime += (now - sched.started_ns[cpu->index]) * WEIGHT_UNIT / thread->weight;
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

static void enqueue(struct thread *thread)
{
	bv_list_add_tail(&sched.queue, &thread->node);
	thread->queued = true;
	count(thread, BVX_RUNNABLE);
}

static void dequeue(struct thread *thread)
{
	bv_list_del(&thread->node);
	thread->queued = false;
}

/* The one that waits with the least virtual time; NULL: none. */
static struct thread *best_for(const struct metal_cpu *cpu)
{
	struct thread *best = NULL;
	struct bv_list *node;

	bv_list_for_each(node, &sched.queue) {
		struct thread *thread = bv_list_entry(node, struct thread, node);

		if (may_run(thread, cpu) && (!best || thread->vtime < best->vtime))
			best = thread;
	}
	return best;
}

static void interrupt_for(struct metal_cpu *cpu)
{
	cpu->resched = true;
	if (cpu != this_cpu())
		apic_send_vector(cpu->index, VECTOR_WAKE);
}

static bool is_idle(const struct metal_cpu *cpu)
{
	return cpu->current == cpu->idle && !cpu->resched;
}

/*
 * Finds a CPU for who has just become ready: the last one, another idle one, or the one whose
 * thread has had the most.
 */
static void place(struct thread *thread)
{
	struct metal_cpu *most = NULL;

	if (thread->cpu && may_run(thread, thread->cpu) && is_idle(thread->cpu)) {
		interrupt_for(thread->cpu);
		return;
	}
	for (u32 i = 0; i < metal_cpu_count; i++) {
		struct metal_cpu *cpu = metal_cpus[i];

		if (!cpu->current || !may_run(thread, cpu))
			continue;
		if (is_idle(cpu)) {
			interrupt_for(cpu);
			return;
		}
		if (cpu->current != cpu->idle &&
		    (!most || cpu->current->vtime > most->current->vtime))
			most = cpu;
	}
	if (most && most->current->vtime > thread->vtime + SLICE_NS / 2)
		interrupt_for(most);
	else if (most)
		bv_host_timer_set(&sched.slice[most->index], bv_host_ns() + SLICE_NS);
}

/* ---- the switch ---- */

static void slice_over(struct bv_timer *timer)
{
	metal_cpus[timer - sched.slice]->resched = true;
	if (metal_cpus[timer - sched.slice] != this_cpu())
		apic_send_vector((u32)(timer - sched.slice), VECTOR_WAKE);
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
	if (to->vtime > sched.vtime && to != cpu->idle)
		sched.vtime = to->vtime;
	thread_switch(&from->rsp, to->rsp);
	switched();
}

void schedule(void)
{
	struct metal_cpu *cpu;
	struct thread *from, *to;
	u64 flags;

	bv_assert(irqs_on());
	flags = bv_host_spin_lock_irq(&sched.lock);
	cpu = this_cpu();
	from = cpu->current;
	charge(cpu, from);
	cpu->resched = false;
	if (from != cpu->idle && from->state == THREAD_READY)
		enqueue(from);
	else if (from != cpu->idle)
		count(from, waiting_as(from));
	to = best_for(cpu);
	if (to)
		dequeue(to);
	else
		to = cpu->idle;
	if (!bv_list_empty(&sched.queue))
		bv_host_timer_set(&sched.slice[cpu->index], bv_host_ns() + SLICE_NS);
	if (to == from) {
		count(to, BVX_RUNNING);
		bv_host_spin_unlock(&sched.lock);
	} else {
		switch_to(cpu, from, to);
	}
	irq_restore(flags);
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
			if (thread->vtime + SLEEP_BONUS_NS < sched.vtime)
				thread->vtime = sched.vtime - SLEEP_BONUS_NS;
			enqueue(thread);
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

bool bvx_host_should_yield(void)
{
	return this_cpu()->resched;
}

void thread_affinity(struct thread *thread, u64 mask)
{
	u64 flags = bv_host_spin_lock_irq(&sched.lock);

	thread->affinity = mask;
	if (thread->queued)
		place(thread);
	else if (thread->running && !may_run(thread, thread->cpu))
		interrupt_for(thread->cpu);
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
