/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread that runs a vCPU, on Linux. The preemption notifier tells the engine when the thread
 * leaves a CPU and comes to one; signals, rescheduling and task work are dealt with before each
 * entry.
 */
#include <linux/context_tracking.h>
#include <linux/entry-kvm.h>
#include <linux/hw_breakpoint.h>
#include <linux/mmu_notifier.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/vtime.h>
#include <linux/wait.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>

#include "fronts/kvm/os.h"
#include "hosts/linux/compat/compat.h"
#include "hosts/linux/host.h"
#include "hosts/linux/host_work.h"
#include "hosts/linux/linux.h"

#define STOP_WAIT (30 * HZ) /* for a thread that reads the guest's memory from a slow disk */

static LIST_HEAD(all_vcpus);
static DEFINE_SPINLOCK(all_vcpus_lock);

/* Set once, when the machine goes down; run_begin and run_end look with preemption off. */
static bool stopped;
static DECLARE_WAIT_QUEUE_HEAD(stop_queue);

/* ---- onto a CPU and off it ---- */

static void notifier_in(struct preempt_notifier *notifier, int cpu)
{
	struct bv_linux_vcpu *own = container_of(notifier, struct bv_linux_vcpu, notifier);

	WRITE_ONCE(own->cpu, cpu);
	bv_vcpu_load(own->vcpu);
}

static void notifier_out(struct preempt_notifier *notifier, struct task_struct *next)
{
	struct bv_linux_vcpu *own = container_of(notifier, struct bv_linux_vcpu, notifier);

	bv_vcpu_unload(own->vcpu);
	WRITE_ONCE(own->cpu, -1);
}

static struct preempt_ops notifier_ops = {
	.sched_in = notifier_in,
	.sched_out = notifier_out,
};

void *bvk_host_vcpu_new(void *host_vm)
{
	struct bv_linux_vcpu *own = kzalloc(sizeof(*own), GFP_KERNEL_ACCOUNT);

	if (!own)
		return NULL;
	if (bv_linux_fpu_alloc(own)) {
		kfree(own);
		return NULL;
	}
	init_waitqueue_head(&own->queue);
	preempt_notifier_init(&own->notifier, &notifier_ops);
	own->cpu = -1;
	spin_lock(&all_vcpus_lock);
	list_add(&own->all, &all_vcpus);
	spin_unlock(&all_vcpus_lock);
	return own;
}

void bvk_host_vcpu_free(void *host_vcpu)
{
	struct bv_linux_vcpu *own = host_vcpu;

	spin_lock(&all_vcpus_lock);
	list_del(&own->all);
	spin_unlock(&all_vcpus_lock);
	bv_linux_fpu_free(own);
	kfree(own);
}

int bv_host_run_begin(struct bv_vcpu *vcpu)
{
	struct bv_linux_vcpu *own = bv_linux_vcpu_of(vcpu);

	own->vcpu = vcpu;
	preempt_disable();
	if (unlikely(READ_ONCE(stopped))) {
		preempt_enable();
		wait_event_interruptible(stop_queue, false);
		return -BV_EINTR;
	}
	WRITE_ONCE(own->task, current);
	WRITE_ONCE(own->cpu, smp_processor_id());
	preempt_notifier_register(&own->notifier);
	bv_vcpu_load(vcpu);
	preempt_enable();
	fpu_swap_kvm_fpstate(&own->fpu, true);
	return 0;
}

void bv_host_run_end(struct bv_vcpu *vcpu)
{
	struct bv_linux_vcpu *own = bv_linux_vcpu_of(vcpu);

	fpu_swap_kvm_fpstate(&own->fpu, false);
	preempt_disable();
	bv_vcpu_unload(vcpu);
	preempt_notifier_unregister(&own->notifier);
	WRITE_ONCE(own->cpu, -1);
	WRITE_ONCE(own->task, NULL);
	if (unlikely(READ_ONCE(stopped)))
		wake_up(&stop_queue);
	preempt_enable();
}

/* Those that have not come out are told to. */
static bool all_came_out(void)
{
	struct bv_linux_vcpu *own;
	bool all = true;

	spin_lock(&all_vcpus_lock);
	list_for_each_entry(own, &all_vcpus, all)
	{
		if (!READ_ONCE(own->task))
			continue;
		all = false;
		wake_up(&own->queue);
		bv_host_vcpu_interrupt(own->vcpu);
	}
	spin_unlock(&all_vcpus_lock);
	return all;
}

bool bv_linux_run_stop(void)
{
	WRITE_ONCE(stopped, true);
	synchronize_rcu(); /* whoever has not seen it is in the list by now, with its task */
	return wait_event_timeout(stop_queue, all_came_out(), STOP_WAIT);
}

/* ---- into the guest and out of it ---- */

int bv_host_guest_enter(struct bv_vcpu *vcpu)
{
	struct bv_linux_vcpu *own = bv_linux_vcpu_of(vcpu);

	for (;;) {
		if (unlikely(__xfer_to_guest_mode_work_pending()) && bv_linux_work())
			return -BV_EINTR;
		if (unlikely(READ_ONCE(stopped)))
			return -BV_EINTR;
		preempt_disable();
		local_irq_disable();
		if (likely(!__xfer_to_guest_mode_work_pending()))
			break;
		local_irq_enable();
		preempt_enable();
	}
	WRITE_ONCE(own->in_guest, true);
	if (unlikely(test_thread_flag(TIF_NEED_FPU_LOAD)))
		switch_fpu_return();
	vtime_account_guest_enter();
	/* Once a tick is as often as RCU can make use of it. */
	if (!context_tracking_guest_enter() && own->noted != jiffies) {
		own->noted = jiffies;
		bv_compat_rcu_note();
	}
	return 0;
}

void bv_host_guest_leave(struct bv_vcpu *vcpu)
{
	context_tracking_guest_exit();
	WRITE_ONCE(bv_linux_vcpu_of(vcpu)->in_guest, false);
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
	/*
	 * The interrupt that ended the guest's run comes now, and a tick finds the guest to
	 * account.
	 */
	local_irq_enable();
	local_irq_disable();
	vtime_account_guest_exit();
	local_irq_enable();
	preempt_enable();
}

int bv_host_vcpu_wait(struct bv_vcpu *vcpu, bool (*ready)(struct bv_vcpu *vcpu))
{
	struct bv_linux_vcpu *own = bv_linux_vcpu_of(vcpu);
	int error = wait_event_interruptible(own->queue, ready(vcpu) || READ_ONCE(stopped));

	return error || READ_ONCE(stopped) ? -BV_EINTR : 0;
}

void bv_host_vcpu_wake(struct bv_vcpu *vcpu)
{
	struct bv_linux_vcpu *own = bv_linux_vcpu_of(vcpu);

	if (wq_has_sleeper(&own->queue))
		wake_up(&own->queue);
}

/* The thread of a vCPU that runs but has no CPU, with a reference; NULL: there is none. */
static struct task_struct *preempted_task(struct bv_vcpu *vcpu)
{
	struct bv_linux_vcpu *own = bv_linux_vcpu_of(vcpu);
	struct task_struct *task;

	if (READ_ONCE(own->cpu) >= 0)
		return NULL;
	/*
	 * A thread that is still in run_begin to run_end outlives this section, if it ends at all.
	 */
	rcu_read_lock();
	task = READ_ONCE(own->task);
	if (task && task_is_running(task))
		get_task_struct(task);
	else
		task = NULL;
	rcu_read_unlock();
	return task;
}

/* The next one behind it is helped first: so each gets its turn. */
void bv_host_vcpu_yield(struct bv_vcpu *vcpu)
{
	struct bv_vm *vm = bv_vcpu_vm(vcpu);
	unsigned int i, count = bv_vm_vcpu_count(vm), self = bv_vcpu_index(vcpu);

	for (i = 1; i < count; i++) {
		struct bv_vcpu *other = bv_vm_vcpu(vm, (self + i) % count);
		struct task_struct *task = other ? preempted_task(other) : NULL;
		bool gone;

		if (!task)
			continue;
		gone = yield_to(task, true) > 0;
		put_task_struct(task);
		if (gone)
			return;
	}
	cond_resched();
}

void bv_host_vcpu_interrupt(struct bv_vcpu *vcpu)
{
	int cpu = READ_ONCE(bv_linux_vcpu_of(vcpu)->cpu);

	if (cpu >= 0)
		smp_send_reschedule(cpu);
}

static void nothing(void *unused)
{
}

static DEFINE_PER_CPU(cpumask_t, interrupt_mask);

void bv_host_vm_interrupt_wait(struct bv_vm *vm)
{
	cpumask_t *mask;
	unsigned int i;

	preempt_disable();
	mask = this_cpu_ptr(&interrupt_mask);
	cpumask_clear(mask);
	for (i = 0; i < bv_vm_vcpu_count(vm); i++) {
		struct bv_vcpu *vcpu = bv_vm_vcpu(vm, i);
		int cpu = vcpu ? READ_ONCE(bv_linux_vcpu_of(vcpu)->cpu) : -1;

		if (cpu >= 0 && READ_ONCE(bv_linux_vcpu_of(vcpu)->in_guest))
			cpumask_set_cpu(cpu, mask);
	}
	smp_call_function_many(mask, nothing, NULL, true);
	preempt_enable();
}

bool bv_host_vcpu_is_current(struct bv_vcpu *vcpu)
{
	return READ_ONCE(bv_linux_vcpu_of(vcpu)->task) == current;
}

u64 bv_host_vcpu_steal_ns(struct bv_vcpu *vcpu)
{
	return current->sched_info.run_delay;
}

/* ---- CPUs ---- */

void bv_host_pin(void)
{
	preempt_disable();
}

void bv_host_unpin(void)
{
	preempt_enable();
}

void bv_host_cpu_call(unsigned int cpu, void (*fn)(void *arg), void *arg)
{
	smp_call_function_single(cpu, fn, arg, 1);
}

bool bv_host_calls_at_load(void)
{
	return true;
}

/* Linux writes CR4 from a copy of its own, in which the bits have to be. */
void bv_host_cr4_change(u64 set, u64 clear)
{
	cr4_set_bits_irqsoff(set);
	cr4_clear_bits_irqsoff(clear);
}

/* The I/O bitmap lies behind the TSS that an exit's limit leaves: Linux reloads TR where needed. */
void bv_host_segments_restore(u16 gs)
{
	u64 base;

	load_fixmap_gdt(smp_processor_id());
	invalidate_tss_limit();
	if (likely(!gs))
		return;
	rdmsrl(MSR_KERNEL_GS_BASE, base);
	load_gs_index(gs);
	wrmsrl(MSR_KERNEL_GS_BASE, base);
}
