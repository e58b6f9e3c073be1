/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The thread that runs a vCPU: what the engine (bv/host.h) and the front (os.h) ask about it. */
#include "hosts/metal/metal.h"
#include "fronts/xen/xen.h"
#include "lib/format.h"

static struct metal_vcpu *own_of(struct bv_vcpu *vcpu)
{
	return bv_vcpu_host(vcpu);
}

/* ---- domains ---- */

void *bvx_host_domain_new(u32 domid)
{
	struct metal_domain *domain = bv_host_alloc(sizeof(*domain));

	if (!domain)
		return NULL;
	domain->domid = domid;
	domain->weight = 256;
	sched_group_init(&domain->group);
	bv_list_init(&domain->vcpus);
	return domain;
}

void bvx_host_domain_free(void *host_domain)
{
	struct metal_domain *domain = host_domain;

	bv_assert(bv_list_empty(&domain->vcpus));
	sched_group_fini(&domain->group);
	bv_host_free(domain);
}

void bvx_host_domain_share(void *host_domain, const struct bvx_host_share *share)
{
	struct metal_domain *domain = host_domain;
	struct bv_list *node;

	domain->weight = share->weight;
	sched_group_cap(&domain->group, share->cap);
	bv_list_for_each(node, &domain->vcpus)
		bv_list_entry(node, struct metal_vcpu, node)->thread->weight = share->weight;
}

/* ---- where vCPUs run ---- */

u64 vcpu_cpus(void)
{
	u64 online = metal_online_mask();

	return online & ~options.isolcpus ? online & ~options.isolcpus : online;
}

/* ---- birth and end of a vCPU ---- */

static void vcpu_body(void *arg)
{
	struct metal_vcpu *own = arg;

	bvx_vcpu_thread(own->front);
	__atomic_store_n(&own->ended, true, __ATOMIC_SEQ_CST);
	bvx_host_wake(&own->end);
}

void *bvx_host_vcpu_new(void *host_domain, struct bvx_vcpu *vcpu)
{
	struct metal_domain *domain = host_domain;
	struct metal_vcpu *own = bv_host_alloc(sizeof(*own));
	char name[16];

	if (!own)
		return NULL;
	own->domain = domain;
	own->front = vcpu;
	bv_format(name, sizeof(name), "d%uv%u", domain->domid, bvx_vcpu_index(vcpu));
	own->thread = thread_create(name, vcpu_body, own);
	if (own->thread)
		own->thread->fpu = fpu_alloc();
	if (!own->thread || !own->thread->fpu) {
		if (own->thread)
			thread_free(own->thread);
		bv_host_free(own);
		return NULL;
	}
	own->thread->affinity = vcpu_cpus();
	own->thread->weight = domain->weight;
	own->thread->group = &domain->group;
	own->thread->offline = true;
	bv_list_add_tail(&domain->vcpus, &own->node);
	return own;
}

void bvx_host_vcpu_start(void *host_vcpu, struct bv_vcpu *vcpu)
{
	struct metal_vcpu *own = host_vcpu;

	own->engine = vcpu;
	own->started = true;
	thread_start(own->thread);
}

static bool has_ended(void *arg)
{
	return __atomic_load_n(&((struct metal_vcpu *)arg)->ended, __ATOMIC_SEQ_CST);
}

void bvx_host_vcpu_join(void *host_vcpu)
{
	struct metal_vcpu *own = host_vcpu;

	if (!own->started)
		return;
	bvx_host_wait(&own->end, has_ended, own);
	while (__atomic_load_n(&own->thread->state, __ATOMIC_SEQ_CST) != THREAD_DEAD)
		schedule();
}

void bvx_host_vcpu_free(void *host_vcpu)
{
	struct metal_vcpu *own = host_vcpu;

	bv_list_del(&own->node);
	fpu_forget(own->thread);
	fpu_release(own->thread->fpu);
	thread_free(own->thread);
	bv_host_free(own);
}

/* ---- from outside ---- */

void bvx_host_vcpu_signal(void *host_vcpu, bool pending)
{
	struct metal_vcpu *own = host_vcpu;

	__atomic_store_n(&own->signal, pending, __ATOMIC_SEQ_CST);
	if (!pending)
		return;
	thread_wake(own->thread);
	if (__atomic_load_n(&own->in_guest, __ATOMIC_SEQ_CST) && own->thread != current_thread())
		apic_send_vector(own->thread->cpu->index, VECTOR_WAKE);
}

void bvx_host_vcpu_affinity(void *host_vcpu, const struct bvx_cpumask *hard,
			    const struct bvx_cpumask *soft)
{
	struct metal_vcpu *own = host_vcpu;
	u64 online = metal_online_mask();
	u64 mask = hard->bits[0] & online;

	/* Isolated CPUs are for those that name them. */
	thread_affinity(own->thread, mask && mask != online ? mask : vcpu_cpus(),
			soft->bits[0] & online);
}

void bvx_host_vcpu_runtime(void *host_vcpu, struct bvx_host_runtime *runtime)
{
	thread_runtime(((struct metal_vcpu *)host_vcpu)->thread, runtime);
}

void bvx_host_vcpu_offline(void *host_vcpu, bool offline)
{
	thread_offline(((struct metal_vcpu *)host_vcpu)->thread, offline);
}

/* ---- into the guest and out of it ---- */

int bv_host_run_begin(struct bv_vcpu *vcpu)
{
	u64 flags = irq_save();

	current_thread()->vcpu = vcpu;
	bv_vcpu_load(vcpu);
	irq_restore(flags);
	return 0;
}

void bv_host_run_end(struct bv_vcpu *vcpu)
{
	u64 flags = irq_save();

	bv_vcpu_unload(vcpu);
	current_thread()->vcpu = NULL;
	irq_restore(flags);
}

int bv_host_guest_enter(struct bv_vcpu *vcpu)
{
	struct metal_vcpu *own = own_of(vcpu);

	for (;;) {
		irq_off();
		__atomic_store_n(&own->in_guest, true, __ATOMIC_SEQ_CST);
		if (bv_likely(!this_cpu()->resched &&
			      !__atomic_load_n(&own->signal, __ATOMIC_SEQ_CST)))
			return 0;
		__atomic_store_n(&own->in_guest, false, __ATOMIC_RELEASE);
		irq_on();
		if (__atomic_load_n(&own->signal, __ATOMIC_SEQ_CST))
			return -BV_EINTR;
		schedule();
	}
}

void bv_host_guest_leave(struct bv_vcpu *vcpu)
{
	__atomic_store_n(&own_of(vcpu)->in_guest, false, __ATOMIC_RELEASE);
	irq_on();
}

int bv_host_vcpu_wait(struct bv_vcpu *vcpu, bool (*ready)(struct bv_vcpu *vcpu))
{
	struct metal_vcpu *own = own_of(vcpu);
	int result = 0;

	for (;;) {
		thread_prepare_block();
		if (ready(vcpu))
			break;
		if (__atomic_load_n(&own->signal, __ATOMIC_SEQ_CST)) {
			result = -BV_EINTR;
			break;
		}
		schedule();
	}
	thread_unblock_self();
	return result;
}

void bv_host_vcpu_wake(struct bv_vcpu *vcpu)
{
	thread_wake(own_of(vcpu)->thread);
}

void bv_host_vcpu_yield(struct bv_vcpu *vcpu)
{
	(void)vcpu;
	thread_yield();
}

void bv_host_vcpu_interrupt(struct bv_vcpu *vcpu)
{
	struct metal_cpu *cpu = BV_READ_ONCE(own_of(vcpu)->thread->cpu);

	if (cpu && cpu != this_cpu())
		apic_send_vector(cpu->index, VECTOR_WAKE);
}

static void nothing(void *unused)
{
	(void)unused;
}

void bv_host_vm_interrupt_wait(struct bv_vm *vm)
{
	u64 mask = 0;

	for (unsigned int i = 0; i < bv_vm_vcpu_count(vm); i++) {
		struct bv_vcpu *vcpu = bv_vm_vcpu(vm, i);
		struct metal_vcpu *own = vcpu ? own_of(vcpu) : NULL;

		if (own && __atomic_load_n(&own->in_guest, __ATOMIC_SEQ_CST))
			mask |= BV_BIT(BV_READ_ONCE(own->thread->cpu)->index);
	}
	metal_call_cpus(mask, nothing, NULL);
}

bool bv_host_vcpu_is_current(struct bv_vcpu *vcpu)
{
	return own_of(vcpu)->thread == current_thread();
}

u64 bv_host_vcpu_steal_ns(struct bv_vcpu *vcpu)
{
	struct bvx_host_runtime runtime;

	thread_runtime(own_of(vcpu)->thread, &runtime);
	return runtime.ns[BVX_RUNNABLE];
}

/* ---- memory behind guests: the front has it ---- */

int bv_host_frame_get(struct bv_vm *vm, u64 host_addr, bool write, struct bv_host_frame *frame)
{
	return bvx_frame_get(vm, host_addr, write, frame);
}

void bv_host_frame_put(struct bv_host_frame *frame, bool dirtied)
{
	bvx_frame_put(frame, dirtied);
}

int bv_host_read(struct bv_vm *vm, u64 host_addr, void *to, size_t bytes)
{
	return bvx_guest_read(vm, host_addr, to, bytes);
}

int bv_host_write(struct bv_vm *vm, u64 host_addr, const void *from, size_t bytes)
{
	return bvx_guest_write(vm, host_addr, from, bytes);
}

int bv_host_cmpxchg(struct bv_vm *vm, u64 host_addr, unsigned int bytes, void *old,
		    const void *new_value)
{
	return bvx_guest_cmpxchg(vm, host_addr, bytes, old, new_value);
}
