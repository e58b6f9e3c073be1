// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hypercall domctl: how the tools make, change, look at and end domains. What is about a
 * guest's state is in domctl_state.c.
 *
 * One lock, bvx.control, makes the operations that change something come one after the other, but
 * for those that take long (destroy).
 */
#include "event.h"
#include "tools.h"

#define DOMCTL_FLAGS                                                          \
	(XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap | XEN_DOMCTL_CDF_xs_domain | \
	 XEN_DOMCTL_CDF_oos_off | XEN_DOMCTL_CDF_s3_integrity | XEN_DOMCTL_CDF_nested_virt)

/* ---- birth, life, death ---- */

/* Asked for here since Xen 4.19, by a parameter before. */
static u32 altp2m_options(const struct xen_domctl_createdomain *spec)
{
#ifdef XEN_DOMCTL_ALTP2M_mode_mask
	return spec->altp2m_opts;
#else
	(void)spec;
	return 0;
#endif
}

static int create_check(struct bvx_call *call, const struct xen_domctl_createdomain *spec)
{
	if (!(spec->flags & XEN_DOMCTL_CDF_hvm))
		return bvx_call_refuse(call, XEN_EINVAL, "PV guests are not supported");
	if (!(spec->flags & XEN_DOMCTL_CDF_hap))
		return bvx_call_refuse(call, XEN_EINVAL, "shadow paging (hap=0) is not supported");
	if (spec->flags & ~DOMCTL_FLAGS)
		return bvx_call_refuse(call, XEN_EINVAL, "flags %#x: not supported are %#x",
				       spec->flags, spec->flags & ~DOMCTL_FLAGS);
	if (spec->flags & XEN_DOMCTL_CDF_nested_virt && !bv_engine_nests())
		return bvx_call_refuse(call, XEN_EINVAL, "nested guests are not supported on %s",
				       bv_engine_vendor());
	if (!spec->max_vcpus || spec->max_vcpus > BVX_MAX_VCPUS)
		return bvx_call_refuse(call, XEN_EINVAL, "%u vCPUs: it can have 1 to %u",
				       spec->max_vcpus, BVX_MAX_VCPUS);
	if (spec->arch.emulation_flags & ~XEN_X86_EMU_LAPIC)
		return bvx_call_refuse(call, XEN_EINVAL,
				       "emulated devices %#x: PVH guests only, for now",
				       spec->arch.emulation_flags);
	if (altp2m_options(spec))
		return bvx_call_refuse(call, XEN_EINVAL, "altp2m options %#x: there is none",
				       altp2m_options(spec));
	if (spec->vmtrace_size || spec->cpupool_id ||
	    XEN_DOMCTL_GRANT_version(spec->grant_opts) > 2)
		return bvx_call_refuse(call, XEN_EINVAL, "vmtrace %u, CPU pool %u, grants %#x",
				       spec->vmtrace_size, spec->cpupool_id, spec->grant_opts);
	return 0;
}

static long createdomain(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *none)
{
	struct xen_domctl_createdomain spec = op->u.createdomain;
	u32 id = op->domain && op->domain < DOMID_FIRST_RESERVED ? op->domain : DOMID_INVALID;
	struct bvx_domain *domain;
	int error = create_check(call, &spec);

	(void)none;
	if (error)
		return error;
	domain = bvx_domain_new(&spec, id, &error);
	if (!domain)
		return bvx_call_refuse(call, -error, "no memory, or domain %u exists", id);
	op->domain = (domid_t)domain->id;
	return 0;
}

/* Nobody may stop or end himself by this. */
static int not_self(struct bvx_call *call, const struct bvx_domain *domain)
{
	if (domain != call->domain)
		return 0;
	return bvx_call_refuse(call, XEN_EINVAL, "d%u is the caller", domain->id);
}

static long destroydomain(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	int error = not_self(call, domain);

	(void)op;
	if (!error)
		bvx_domain_kill(domain);
	return error;
}

static long pausedomain(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	int error = not_self(call, domain);

	(void)op;
	if (error)
		return error;
	__atomic_add_fetch(&domain->pauses, 1, __ATOMIC_SEQ_CST);
	bvx_domain_stop_sync(domain, NULL);
	return 0;
}

static long unpausedomain(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	u32 pauses = __atomic_load_n(&domain->pauses, __ATOMIC_SEQ_CST);

	(void)op;
	do {
		if (!pauses)
			return bvx_call_refuse(call, XEN_EINVAL, "d%u is not paused", domain->id);
	} while (!__atomic_compare_exchange_n(&domain->pauses, &pauses, pauses - 1, true,
					      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	__atomic_store_n(&domain->finished, true, __ATOMIC_SEQ_CST);
	bvx_domain_go(domain);
	return 0;
}

static long resumedomain(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	int error = not_self(call, domain);

	(void)op;
	if (!error)
		bvx_domain_resume(domain);
	return error;
}

static long max_vcpus(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	if (op->u.max_vcpus.max > domain->max_vcpus)
		return bvx_call_refuse(call, XEN_EINVAL, "%u vCPUs: d%u was made for %u",
				       op->u.max_vcpus.max, domain->id, domain->max_vcpus);
	return bvx_domain_add_vcpus(domain, op->u.max_vcpus.max);
}

static long max_mem(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	u64 flags = bv_host_spin_lock_irq(&domain->count_lock);

	(void)call;
	domain->max_pages = op->u.max_mem.max_memkb >> (BV_PAGE_SHIFT - 10);
	bv_host_spin_unlock_irq(&domain->count_lock, flags);
	return 0;
}

static long setdomainhandle(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	(void)call;
	__builtin_memcpy(domain->handle, op->u.setdomainhandle.handle, sizeof(domain->handle));
	return 0;
}

/* ---- looking ---- */

static void info_vcpus(struct bvx_domain *domain, struct xen_domctl_getdomaininfo *info)
{
	bool blocked = true, running = false;

	info->max_vcpu_id = XEN_INVALID_MAX_VCPU_ID;
	for (u32 i = 0; i < domain->max_vcpus; i++) {
		struct bvx_vcpu *vcpu = domain->vcpu[i];
		struct bvx_host_runtime runtime;

		if (!vcpu)
			continue;
		bvx_host_vcpu_runtime(vcpu->host, &runtime);
		info->cpu_time += runtime.ns[BVX_RUNNING];
		info->max_vcpu_id = i;
		if (!bvx_vcpu_online(vcpu))
			continue;
		info->nr_online_vcpus++;
		running |= runtime.state == BVX_RUNNING;
		blocked &= runtime.state == BVX_BLOCKED;
	}
	info->flags |= (blocked ? XEN_DOMINF_blocked : 0) | (running ? XEN_DOMINF_running : 0);
}

void bvx_domain_info(struct bvx_domain *domain, struct xen_domctl_getdomaininfo *info)
{
	bool shut = __atomic_load_n(&domain->shut_down, __ATOMIC_ACQUIRE);

	__builtin_memset(info, 0, sizeof(*info));
	info->domain = (domid_t)domain->id;
	info_vcpus(domain, info);
	info->flags |= XEN_DOMINF_hvm_guest | XEN_DOMINF_hap;
	info->flags |= bvx_domain_dying(domain) ? XEN_DOMINF_dying : 0;
	info->flags |= shut ? XEN_DOMINF_shutdown : 0;
	info->flags |= __atomic_load_n(&domain->pauses, __ATOMIC_ACQUIRE) ? XEN_DOMINF_paused : 0;
	info->flags |= domain->flags & XEN_DOMCTL_CDF_xs_domain ? XEN_DOMINF_xs_domain : 0;
	info->flags |= shut ? domain->shutdown_code << XEN_DOMINF_shutdownshift : 0;
	info->tot_pages = bvx_pages_of(domain);
	info->max_pages = domain->max_pages;
	info->outstanding_pages = domain->claimed;
	info->shared_info_frame = domain->shared_gfn;
	info->gpaddr_bits = 48;
	info->arch_config.emulation_flags = domain->emulation;
	__builtin_memcpy(info->handle, domain->handle, sizeof(info->handle));
}

/* The first domain with that number or a higher one. */
static long getdomaininfo(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *none)
{
	u32 id = op->domain == DOMID_SELF ? call->domain->id : op->domain;
	struct bvx_domain *domain = bvx_domain_get_from(id);

	(void)none;
	if (!domain)
		return -XEN_ESRCH;
	bvx_domain_info(domain, &op->u.getdomaininfo);
	op->domain = op->u.getdomaininfo.domain;
	bvx_domain_put(domain);
	return 0;
}

static struct bvx_vcpu *vcpu_of(struct bvx_domain *domain, u32 index)
{
	return index < domain->max_vcpus ? domain->vcpu[index] : NULL;
}

static long getvcpuinfo(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	struct xen_domctl_getvcpuinfo *info = &op->u.getvcpuinfo;
	struct bvx_vcpu *vcpu = vcpu_of(domain, info->vcpu);
	struct bvx_host_runtime runtime;

	(void)call;
	if (info->vcpu >= domain->max_vcpus)
		return -XEN_EINVAL;
	if (!vcpu)
		return -XEN_ESRCH;
	bvx_host_vcpu_runtime(vcpu->host, &runtime);
	info->online = bvx_vcpu_online(vcpu);
	info->blocked = runtime.state == BVX_BLOCKED;
	info->running = runtime.state == BVX_RUNNING;
	info->cpu_time = runtime.ns[BVX_RUNNING];
	info->cpu = runtime.cpu;
	return 0;
}

/* ---- scheduling ---- */

static int affinity_one(struct bvx_call *call, const struct xenctl_bitmap *from,
			struct bvx_cpumask *mask)
{
	struct bvx_cpumask online, meet;
	int error = bvx_bitmap_in(call, from, mask);

	if (error)
		return error;
	bvx_cpus_online(&online);
	for (u32 i = 0; i < BV_ARRAY_SIZE(meet.bits); i++)
		meet.bits[i] = mask->bits[i] & online.bits[i];
	if (bvx_cpumask_empty(&meet))
		return bvx_call_refuse(call, XEN_EINVAL, "no CPU of the mask is online");
	return 0;
}

static long setvcpuaffinity(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	struct xen_domctl_vcpuaffinity *aff = &op->u.vcpuaffinity;
	struct bvx_vcpu *vcpu = vcpu_of(domain, aff->vcpu);
	struct bvx_cpumask hard, soft;
	int error = 0;

	if (!vcpu)
		return aff->vcpu < domain->max_vcpus ? -XEN_ESRCH : -XEN_EINVAL;
	if (!(aff->flags & (XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT)))
		return -XEN_EINVAL;
	hard = vcpu->hard;
	soft = vcpu->soft;
	if (aff->flags & XEN_VCPUAFFINITY_HARD)
		error = affinity_one(call, &aff->cpumap_hard, &hard);
	if (!error && aff->flags & XEN_VCPUAFFINITY_SOFT)
		error = affinity_one(call, &aff->cpumap_soft, &soft);
	if (error)
		return error;
	vcpu->hard = hard;
	vcpu->soft = soft;
	bvx_host_vcpu_affinity(vcpu->host, &hard, &soft);
	/* What is in force now is told back. */
	if (aff->flags & XEN_VCPUAFFINITY_HARD)
		error = bvx_bitmap_out(call, &aff->cpumap_hard, &hard);
	if (!error && aff->flags & XEN_VCPUAFFINITY_SOFT)
		error = bvx_bitmap_out(call, &aff->cpumap_soft, &soft);
	return error;
}

static long getvcpuaffinity(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	struct xen_domctl_vcpuaffinity *aff = &op->u.vcpuaffinity;
	struct bvx_vcpu *vcpu = vcpu_of(domain, aff->vcpu);
	int error = 0;

	if (!vcpu)
		return aff->vcpu < domain->max_vcpus ? -XEN_ESRCH : -XEN_EINVAL;
	if (aff->flags & XEN_VCPUAFFINITY_HARD)
		error = bvx_bitmap_out(call, &aff->cpumap_hard, &vcpu->hard);
	if (!error && aff->flags & XEN_VCPUAFFINITY_SOFT)
		error = bvx_bitmap_out(call, &aff->cpumap_soft, &vcpu->soft);
	return error;
}

/* There is one node, so that every mask that has it means the same. */
static long setnodeaffinity(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	struct bvx_cpumask nodes;
	int error = bvx_bitmap_in(call, &op->u.nodeaffinity.nodemap, &nodes);

	(void)domain;
	if (!error && !(nodes.bits[0] & 1))
		error = bvx_call_refuse(call, XEN_EINVAL, "node 0 is the only one");
	return error;
}

static long getnodeaffinity(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	const struct bvx_cpumask nodes = { .bits = { 1 } };

	(void)domain;
	return bvx_bitmap_out(call, &op->u.nodeaffinity.nodemap, &nodes);
}

static long scheduler_op(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	struct xen_domctl_scheduler_op *sched = &op->u.scheduler_op;
	struct xen_domctl_sched_credit2 *credit2 = &sched->u.credit2;

	if (sched->sched_id != XEN_SCHEDULER_CREDIT2)
		return bvx_call_refuse(call, XEN_EINVAL, "scheduler %u: here is credit2 (%u)",
				       sched->sched_id, XEN_SCHEDULER_CREDIT2);
	if (sched->cmd == XEN_DOMCTL_SCHEDOP_getinfo) {
		credit2->weight = domain->share.weight;
		credit2->cap = domain->share.cap;
		return 0;
	}
	if (sched->cmd != XEN_DOMCTL_SCHEDOP_putinfo)
		return bvx_call_refuse(call, XEN_EINVAL, "shares are of domains, not of vCPUs");
	if (credit2->weight)
		domain->share.weight = credit2->weight;
	if (credit2->cap != (u16)~0)
		domain->share.cap = credit2->cap;
	bvx_host_domain_share(domain->host, &domain->share);
	return 0;
}

/* ---- time ---- */

static long settimeoffset(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	(void)call;
	domain->time_offset = op->u.settimeoffset.time_offset_seconds;
	bvx_wall_update(domain);
	return 0;
}

/* Modes as in Xen: 0 default, 1 always emulated, 2 native, 3 (no more). Ours is native always. */
static long settscinfo(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	const struct xen_domctl_tsc_info *info = &op->u.tsc_info;

	if (info->tsc_mode > 2)
		return bvx_call_refuse(call, XEN_EINVAL, "TSC mode %u", info->tsc_mode);
	domain->tsc_mode = info->tsc_mode;
	domain->incarnation = info->incarnation;
	for (u32 i = 0; i < domain->max_vcpus; i++)
		if (domain->vcpu[i])
			bvx_policy_apply(domain->vcpu[i]);
	return 0;
}

static long gettscinfo(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	struct xen_domctl_tsc_info *info = &op->u.tsc_info;

	(void)call;
	__builtin_memset(info, 0, sizeof(*info));
	info->tsc_mode = domain->tsc_mode;
	info->gtsc_khz = bv_host_tsc_khz();
	info->incarnation = domain->incarnation;
	info->elapsed_nsec = bv_host_ns() - domain->created_ns;
	return 0;
}

/* ---- CPU policy ---- */

static long get_cpu_policy(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	struct xen_domctl_cpu_policy *policy = &op->u.cpu_policy;

	return bvx_policy_out(call, domain->policy, &policy->nr_leaves, &policy->nr_msrs,
			      policy->leaves.p, policy->msrs.p);
}

static int policy_msrs_check(struct bvx_call *call, struct xen_domctl_cpu_policy *op)
{
	for (u32 i = 0; i < op->nr_msrs; i++) {
		xen_msr_entry_t entry;

		if (bvx_item_in(call, &entry, op->msrs.p, i, sizeof(entry)))
			return -XEN_EFAULT;
		if (!entry.flags && !entry.val)
			continue;
		op->err_msr = entry.idx;
		return bvx_call_refuse(call, XEN_EINVAL, "MSR %#x = %#llx cannot be given",
				       entry.idx, (u64)entry.val);
	}
	return 0;
}

static int policy_read(struct bvx_call *call, const struct xen_domctl_cpu_policy *op,
		       struct bvx_policy *policy)
{
	for (u32 i = 0; i < op->nr_leaves; i++) {
		xen_cpuid_leaf_t leaf;

		if (bvx_item_in(call, &leaf, op->leaves.p, i, sizeof(leaf)))
			return -XEN_EFAULT;
		bvx_policy_put(policy, &leaf);
	}
	return 0;
}

static long set_cpu_policy(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	struct xen_domctl_cpu_policy *given = &op->u.cpu_policy;
	struct bvx_policy *policy;
	int error;

	given->err_leaf = given->err_subleaf = given->err_msr = XEN_CPUID_INPUT_UNUSED;
	if (domain->finished)
		return bvx_call_refuse(call, XEN_EEXIST, "d%u has run already", domain->id);
	if (given->nr_leaves > BV_CPUID_MAX || given->nr_msrs > 64)
		return bvx_call_refuse(call, XEN_E2BIG, "%u leaves, %u MSRs", given->nr_leaves,
				       given->nr_msrs);
	error = policy_msrs_check(call, given);
	policy = error ? NULL : bvx_policy_most_of(domain);
	if (!policy)
		return error ? error : -XEN_ENOMEM;
	error = policy_read(call, given, policy);
	if (error) {
		bv_host_free(policy);
		return error;
	}
	bv_host_free(domain->policy);
	domain->policy = policy;
	for (u32 i = 0; i < domain->max_vcpus && !error; i++)
		if (domain->vcpu[i])
			error = bvx_policy_apply(domain->vcpu[i]);
	return error;
}

/* ---- memory ---- */

/* Nothing is taken from a pool of the guest's own: the size is only told again. */
static long set_mempool(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	if (op->u.paging_mempool.size & ~BV_PAGE_MASK)
		return bvx_call_refuse(call, XEN_EINVAL, "%llu bytes are no whole pages",
				       (u64)op->u.paging_mempool.size);
	domain->mempool = op->u.paging_mempool.size;
	return 0;
}

static long get_mempool(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	(void)call;
	op->u.paging_mempool.size = domain->mempool;
	return 0;
}

#define PAGE_INFOS 1024

/* Which of these guest frames are memory that has to be saved. */
static long getpageframeinfo3(struct bvx_call *call, struct xen_domctl *op,
			      struct bvx_domain *domain)
{
	const struct xen_domctl_getpageframeinfo3 *info = &op->u.getpageframeinfo3;

	if (info->num > PAGE_INFOS)
		return bvx_call_refuse(call, XEN_E2BIG, "%llu frames, at most %u", (u64)info->num,
				       PAGE_INFOS);
	for (u32 i = 0; i < info->num; i++) {
		struct bvx_entry entry;
		xen_pfn_t gfn;

		if (bvx_item_in(call, &gfn, info->array.p, i, sizeof(gfn)))
			return -XEN_EFAULT;
		bv_host_spin_lock(&domain->p2m.lock);
		entry = bvx_p2m_look(&domain->p2m, gfn);
		bv_host_spin_unlock(&domain->p2m.lock);
		gfn = entry.type == BVX_RAM || entry.type == BVX_RAM_READONLY ||
				      entry.type == BVX_POD ?
			      XEN_DOMCTL_PFINFO_NOTAB :
			      XEN_DOMCTL_PFINFO_XTAB;
		if (bvx_item_out(call, info->array.p, i, &gfn, sizeof(gfn)))
			return -XEN_EFAULT;
	}
	return 0;
}

static long hypercall_init(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	struct bvx_vcpu *vcpu = vcpu_of(domain, 0);

	(void)call;
	if (!vcpu)
		return -XEN_ESRCH;
	return bvx_hypercall_page(domain, op->u.hypercall_init.gmfn << BV_PAGE_SHIFT);
}

static long get_address_size(struct bvx_call *call, struct xen_domctl *op,
			     struct bvx_domain *domain)
{
	(void)call, (void)domain;
	op->u.address_size.size = 64;
	return 0;
}

/* ---- others ---- */

static long sendtrigger(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	const struct xen_domctl_sendtrigger *trigger = &op->u.sendtrigger;
	struct bvx_vcpu *vcpu = vcpu_of(domain, trigger->vcpu);

	if (!vcpu)
		return -XEN_ESRCH;
	if (trigger->trigger != XEN_DOMCTL_SENDTRIGGER_NMI)
		return bvx_call_refuse(call, XEN_EOPNOTSUPP, "trigger %u: this guest has no ACPI",
				       trigger->trigger);
	bv_vcpu_nmi(vcpu->vcpu);
	return 0;
}

static long set_virq_handler(struct bvx_call *call, struct xen_domctl *op,
			     struct bvx_domain *domain)
{
	u32 virq = op->u.set_virq_handler.virq;
	u64 flags;

	if (virq >= NR_VIRQS || virq == VIRQ_TIMER || virq == VIRQ_DEBUG || virq == VIRQ_XENOPROF ||
	    virq == VIRQ_XENPMU)
		return bvx_call_refuse(call, XEN_EINVAL, "VIRQ %u is none of the whole machine",
				       virq);
	flags = bv_host_spin_lock_irq(&bvx.lock);
	bvx.virq_handler[virq] = domain->hardware ? NULL : domain;
	bv_host_spin_unlock_irq(&bvx.lock, flags);
	return 0;
}

/* Where nothing is passed through, forbidding is done and allowing cannot be. */
static long permission(struct bvx_call *call, u64 what, bool allow)
{
	if (!allow)
		return 0;
	return bvx_call_refuse(call, XEN_EOPNOTSUPP, "%#llx: devices are Dom0's alone", what);
}

static long irq_permission(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	(void)domain;
	return permission(call, op->u.irq_permission.pirq, op->u.irq_permission.allow_access);
}

static long iomem_permission(struct bvx_call *call, struct xen_domctl *op,
			     struct bvx_domain *domain)
{
	(void)domain;
	return permission(call, op->u.iomem_permission.first_mfn,
			  op->u.iomem_permission.allow_access);
}

static long ioport_permission(struct bvx_call *call, struct xen_domctl *op,
			      struct bvx_domain *domain)
{
	(void)domain;
	return permission(call, op->u.ioport_permission.first_port,
			  op->u.ioport_permission.allow_access);
}

static long setdebugging(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain)
{
	(void)domain;
	if (!op->u.setdebugging.enable)
		return 0;
	return bvx_call_refuse(call, XEN_EOPNOTSUPP, "debugging of guests from Dom0");
}

/* ---- the table ---- */

#define ANY 1u /* no domain has to be named */
#define FREE 2u /* without the control lock */

#define DOMCTL(op, flags, handler) \
	[XEN_DOMCTL_##op] = {      \
		"domctl " #op,     \
		flags,             \
		handler,           \
	}

static const struct {
	const char *name;
	u32 flags;
	long (*perform)(struct bvx_call *call, struct xen_domctl *op, struct bvx_domain *domain);
} ops[] = {
	DOMCTL(createdomain, ANY, createdomain),
	DOMCTL(destroydomain, FREE, destroydomain),
	DOMCTL(pausedomain, FREE, pausedomain),
	DOMCTL(unpausedomain, FREE, unpausedomain),
	DOMCTL(getdomaininfo, ANY | FREE, getdomaininfo),
	DOMCTL(setvcpuaffinity, 0, setvcpuaffinity),
	DOMCTL(shadow_op, 0, bvx_domctl_shadow_op),
	DOMCTL(max_mem, 0, max_mem),
	DOMCTL(setvcpucontext, 0, bvx_domctl_setvcpucontext),
	DOMCTL(getvcpucontext, 0, bvx_domctl_getvcpucontext),
	DOMCTL(getvcpuinfo, FREE, getvcpuinfo),
	DOMCTL(max_vcpus, 0, max_vcpus),
	DOMCTL(scheduler_op, 0, scheduler_op),
	DOMCTL(setdomainhandle, 0, setdomainhandle),
	DOMCTL(setdebugging, 0, setdebugging),
	DOMCTL(irq_permission, 0, irq_permission),
	DOMCTL(iomem_permission, 0, iomem_permission),
	DOMCTL(ioport_permission, 0, ioport_permission),
	DOMCTL(hypercall_init, 0, hypercall_init),
	DOMCTL(settimeoffset, 0, settimeoffset),
	DOMCTL(getvcpuaffinity, 0, getvcpuaffinity),
	DOMCTL(resumedomain, 0, resumedomain),
	DOMCTL(sendtrigger, 0, sendtrigger),
	DOMCTL(gethvmcontext, 0, bvx_domctl_gethvmcontext),
	DOMCTL(sethvmcontext, 0, bvx_domctl_sethvmcontext),
	DOMCTL(get_address_size, 0, get_address_size),
	DOMCTL(gethvmcontext_partial, 0, bvx_domctl_gethvmcontext_partial),
	DOMCTL(gettscinfo, 0, gettscinfo),
	DOMCTL(settscinfo, 0, settscinfo),
	DOMCTL(getpageframeinfo3, FREE, getpageframeinfo3),
	DOMCTL(set_virq_handler, 0, set_virq_handler),
	DOMCTL(setnodeaffinity, 0, setnodeaffinity),
	DOMCTL(getnodeaffinity, 0, getnodeaffinity),
	DOMCTL(get_cpu_policy, 0, get_cpu_policy),
	DOMCTL(set_cpu_policy, 0, set_cpu_policy),
	DOMCTL(get_paging_mempool_size, 0, get_mempool),
	DOMCTL(set_paging_mempool_size, 0, set_mempool),
};

static long domctl_domain(struct bvx_call *call, struct xen_domctl *op)
{
	struct bvx_domain *domain = NULL;
	u32 flags = ops[op->cmd].flags;
	int error = 0;
	long result;

	if (!(flags & ANY)) {
		domain = bvx_domain_named(call->vcpu, op->domain, &error);
		if (!domain)
			return error;
	}
	if (!(flags & FREE))
		bv_host_mutex_lock(&bvx.control);
	result = ops[op->cmd].perform(call, op, domain);
	if (!(flags & FREE))
		bv_host_mutex_unlock(&bvx.control);
	if (domain)
		bvx_domain_put(domain);
	return result;
}

/* args: argument */
long bvx_domctl(struct bvx_call *call)
{
	struct xen_domctl *op = call->data;
	u64 gva = call->args[0];
	long result;

	BV_STATIC_ASSERT(sizeof(*op) <= BVX_ARG_BYTES);
	if (!call->domain->privileged)
		return -XEN_EPERM;
	if (bvx_copy_in(call->vcpu, op, gva, sizeof(*op)))
		return bvx_call_refuse(call, XEN_EFAULT, "no argument at %#llx", gva);
	if (op->interface_version != XEN_DOMCTL_INTERFACE_VERSION)
		return bvx_call_refuse(call, XEN_EACCES, "version %#x, not %#x",
				       op->interface_version, XEN_DOMCTL_INTERFACE_VERSION);
	if (op->cmd >= BV_ARRAY_SIZE(ops) || !ops[op->cmd].name)
		return bvx_call_refuse(call, XEN_EOPNOTSUPP, "there is no operation %u", op->cmd);
	call->name = ops[op->cmd].name;
	result = domctl_domain(call, op);
	/* Some tell how much there is, or what was wrong, along with a refusal. */
	if (result != -XEN_EFAULT && bvx_copy_out(call->vcpu, gva, op, sizeof(*op)))
		return -XEN_EFAULT;
	return result;
}
