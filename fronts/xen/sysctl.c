// SPDX-License-Identifier: GPL-2.0-or-later
/* The hypercall sysctl: what the tools ask about the machine and the hypervisor as a whole. */
#include "tools.h"

/* ---- bitmaps and CPUs ---- */

int bvx_bitmap_in(struct bvx_call *call, const struct xenctl_bitmap *from, struct bvx_cpumask *mask)
{
	u32 bits = from->nr_bits < BVX_MAX_CPUS ? from->nr_bits : BVX_MAX_CPUS;

	__builtin_memset(mask, 0, sizeof(*mask));
	if (bits &&
	    bvx_copy_in(call->vcpu, mask, (u64)(unsigned long)from->bitmap.p, (bits + 7) / 8))
		return -XEN_EFAULT;
	for (u32 i = bits; i < ((bits + 7) & ~7u); i++)
		mask->bits[i / 64] &= ~BV_BIT(i % 64);
	return 0;
}

int bvx_bitmap_out(struct bvx_call *call, const struct xenctl_bitmap *to,
		   const struct bvx_cpumask *mask)
{
	u64 bytes = ((u64)to->nr_bits + 7) / 8, have = sizeof(*mask), part;
	struct bvx_cpumask cut = *mask;
	u64 at = (u64)(unsigned long)to->bitmap.p;
	const u8 zero[64] = { 0 };

	for (u32 i = to->nr_bits; i < BVX_MAX_CPUS; i++)
		cut.bits[i / 64] &= ~BV_BIT(i % 64);
	if (bytes && bvx_copy_out(call->vcpu, at, &cut, bytes < have ? bytes : have))
		return -XEN_EFAULT;
	for (u64 done = have; done < bytes; done += part) {
		part = bytes - done < sizeof(zero) ? bytes - done : sizeof(zero);
		if (bvx_copy_out(call->vcpu, at + done, zero, part) || bvx_call_breathe(call))
			return -XEN_EFAULT;
	}
	return 0;
}

void bvx_cpus_online(struct bvx_cpumask *mask)
{
	struct bvx_host_machine machine;
	struct bvx_host_cpu cpu;

	bvx_host_machine(&machine);
	__builtin_memset(mask, 0, sizeof(*mask));
	for (u32 i = 0; i < machine.max_cpu && i < BVX_MAX_CPUS; i++)
		if (bvx_host_cpu_info(i, &cpu) && cpu.online)
			mask->bits[i / 64] |= BV_BIT(i % 64);
}

bool bvx_cpumask_empty(const struct bvx_cpumask *mask)
{
	for (u32 i = 0; i < BV_ARRAY_SIZE(mask->bits); i++)
		if (mask->bits[i])
			return false;
	return true;
}

/* ---- the log ---- */

static long readconsole(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	struct xen_sysctl_readconsole *op = &sysctl->u.readconsole;
	u64 index = op->incremental ? op->index : 0, buffer = (u64)(unsigned long)op->buffer.p;
	char text[256];
	u32 done = 0;

	while (done < op->count) {
		size_t room = op->count - done;
		size_t length =
			bvx_host_log_read(&index, text, room < sizeof(text) ? room : sizeof(text));

		if (!length)
			break;
		if (bvx_copy_out(call->vcpu, buffer + done, text, length))
			return -XEN_EFAULT;
		done += (u32)length;
		if (bvx_call_breathe(call))
			break;
	}
	op->index = (u32)index;
	op->count = done;
	if (op->clear)
		bvx_host_log_clear();
	return 0;
}

static long debug_keys(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	const struct xen_sysctl_debug_keys *op = &sysctl->u.debug_keys;

	for (u32 i = 0; i < op->nr_keys; i++) {
		char key;

		if (bvx_item_in(call, &key, op->keys.p, i, 1))
			return -XEN_EFAULT;
		bvx_host_debug_key(key);
	}
	return 0;
}

/* ---- the machine ---- */

/* CPUID's words as Xen has them: 1.d, 80000001.d, -, -, 1.c, -, 80000001.c, 7.b */
static void hw_caps(u32 caps[8])
{
	u32 out[4];

	bvx_host_cpuid(1, 0, out);
	caps[0] = out[BV_CPUID_EDX];
	caps[1] = out[BV_CPUID_ECX];
	bvx_host_cpuid(0x80000001, 0, out);
	caps[2] = out[BV_CPUID_EDX];
	caps[3] = out[BV_CPUID_ECX];
	bvx_host_cpuid(0xd, 1, out);
	caps[4] = out[BV_CPUID_EAX];
	bvx_host_cpuid(7, 0, out);
	caps[5] = out[BV_CPUID_EBX];
	caps[6] = out[BV_CPUID_ECX];
	bvx_host_cpuid(0x80000007, 0, out);
	caps[7] = out[BV_CPUID_EDX];
}

static long physinfo(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	struct xen_sysctl_physinfo *op = &sysctl->u.physinfo;
	struct bvx_host_machine machine;
	struct bvx_host_memory memory;

	(void)call;
	bvx_host_machine(&machine);
	bvx_host_memory(&memory);
	__builtin_memset(op, 0, sizeof(*op));
	op->threads_per_core = machine.threads_per_core;
	op->cores_per_socket = machine.cores_per_socket;
	op->nr_cpus = machine.cpus;
	op->max_cpu_id = machine.max_cpu - 1;
	op->nr_nodes = machine.nodes;
	op->max_node_id = machine.nodes - 1;
	op->cpu_khz = machine.khz;
	op->capabilities = XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_hap |
			   XEN_SYSCTL_PHYSCAP_gnttab_v1 | XEN_SYSCTL_PHYSCAP_gnttab_v2;
	op->total_pages = memory.total;
	op->free_pages = memory.free;
	op->scrub_pages = memory.unscrubbed;
	op->outstanding_pages = __atomic_load_n(&bvx.claimed, __ATOMIC_RELAXED);
	op->max_mfn = memory.max_mfn - 1;
	hw_caps(op->hw_cap);
	return 0;
}

static long sched_id(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	(void)call;
	sysctl->u.sched_id.sched_id = XEN_SCHEDULER_CREDIT2;
	return 0;
}

static long getcpuinfo(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	struct xen_sysctl_getcpuinfo *op = &sysctl->u.getcpuinfo;
	struct bvx_host_machine machine;
	u32 i;

	bvx_host_machine(&machine);
	for (i = 0; i < op->max_cpus && i < machine.max_cpu; i++) {
		struct xen_sysctl_cpuinfo info = { 0 };
		struct bvx_host_cpu cpu;

		if (bvx_host_cpu_info(i, &cpu))
			info.idletime = cpu.idle_ns;
		if (bvx_item_out(call, op->info.p, i, &info, sizeof(info)))
			return -XEN_EFAULT;
	}
	op->nr_cpus = i;
	return 0;
}

static long availheap(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	struct bvx_host_memory memory;

	(void)call;
	bvx_host_memory(&memory);
	sysctl->u.availheap.avail_bytes = memory.free << BV_PAGE_SHIFT;
	return 0;
}

static long cputopoinfo(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	struct xen_sysctl_cputopoinfo *op = &sysctl->u.cputopoinfo;
	struct bvx_host_machine machine;

	bvx_host_machine(&machine);
	for (u32 i = 0; op->cputopo.p && i < op->num_cpus && i < machine.max_cpu; i++) {
		struct xen_sysctl_cputopo topo = { XEN_INVALID_CORE_ID, XEN_INVALID_SOCKET_ID,
						   XEN_INVALID_NODE_ID };
		struct bvx_host_cpu cpu;

		if (bvx_host_cpu_info(i, &cpu) && cpu.present)
			topo = (struct xen_sysctl_cputopo){ cpu.core, cpu.socket, cpu.node };
		if (bvx_item_out(call, op->cputopo.p, i, &topo, sizeof(topo)))
			return -XEN_EFAULT;
	}
	if (!op->cputopo.p || op->num_cpus > machine.max_cpu)
		op->num_cpus = machine.max_cpu;
	return 0;
}

/* One node is all there is. */
static long numainfo(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	struct xen_sysctl_numainfo *op = &sysctl->u.numainfo;
	struct bvx_host_memory memory;
	xen_sysctl_meminfo_t info;
	const u32 distance = 10;

	bvx_host_memory(&memory);
	info.memsize = memory.total << BV_PAGE_SHIFT;
	info.memfree = memory.free << BV_PAGE_SHIFT;
	if (op->num_nodes && op->meminfo.p &&
	    bvx_item_out(call, op->meminfo.p, 0, &info, sizeof(info)))
		return -XEN_EFAULT;
	if (op->num_nodes && op->distance.p &&
	    bvx_item_out(call, op->distance.p, 0, &distance, sizeof(distance)))
		return -XEN_EFAULT;
	op->num_nodes = 1;
	return 0;
}

static long pcitopoinfo(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	struct xen_sysctl_pcitopoinfo *op = &sysctl->u.pcitopoinfo;
	u32 i;

	if (!op->devs.p || !op->nodes.p)
		return -XEN_EINVAL;
	for (i = 0; i < op->num_devs; i++) {
		physdev_pci_device_t device;
		u32 node = XEN_INVALID_DEV;

		if (bvx_item_in(call, &device, op->devs.p, i, sizeof(device)))
			return -XEN_EFAULT;
		if (bvx_host_pci_node((struct bvx_pci){ device.seg, device.bus, device.devfn },
				      &node))
			node = XEN_INVALID_DEV;
		if (bvx_item_out(call, op->nodes.p, i, &node, sizeof(node)))
			return -XEN_EFAULT;
		if (bvx_call_breathe(call))
			break;
	}
	op->num_devs = i;
	return 0;
}

/* ---- domains, pools, scheduling ---- */

static long getdomaininfolist(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	struct xen_sysctl_getdomaininfolist *op = &sysctl->u.getdomaininfolist;
	struct bvx_domain *domain;
	u32 count = 0;

	for (u32 id = op->first_domain; count < op->max_domains; id++) {
		struct xen_domctl_getdomaininfo info;
		int error;

		domain = bvx_domain_get_from(id);
		if (!domain)
			break;
		id = domain->id;
		bvx_domain_info(domain, &info);
		bvx_domain_put(domain);
		error = bvx_item_out(call, op->buffer.p, count, &info, sizeof(info));
		if (error)
			return -XEN_EFAULT;
		count++;
	}
	op->num_domains = count;
	return 0;
}

static u32 domains_count(void)
{
	struct bvx_domain *domain;
	u32 count = 0;

	for (u32 id = 0; (domain = bvx_domain_get_from(id)); id++) {
		id = domain->id;
		bvx_domain_put(domain);
		count++;
	}
	return count;
}

/* There is one pool, number 0, with all CPUs. */
static long pool_info(struct bvx_call *call, struct xen_sysctl_cpupool_op *op)
{
	struct bvx_cpumask cpus;

	if (op->cpupool_id && op->cpupool_id != XEN_SYSCTL_CPUPOOL_PAR_ANY)
		return -XEN_ENOENT;
	op->cpupool_id = 0;
	op->sched_id = XEN_SCHEDULER_CREDIT2;
	op->n_dom = domains_count();
	bvx_cpus_online(&cpus);
	return bvx_bitmap_out(call, &op->cpumap, &cpus);
}

static long cpupool_op(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	struct xen_sysctl_cpupool_op *op = &sysctl->u.cpupool_op;
	const struct bvx_cpumask none = { 0 };

	switch (op->op) {
	case XEN_SYSCTL_CPUPOOL_OP_INFO:
		return pool_info(call, op);
	case XEN_SYSCTL_CPUPOOL_OP_FREEINFO:
		return bvx_bitmap_out(call, &op->cpumap, &none);
	case XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN:
		return op->cpupool_id ? -XEN_ENOENT : 0;
	default:
		return bvx_call_refuse(call, XEN_EOPNOTSUPP, "there is one CPU pool, operation %u",
				       op->op);
	}
}

#define RATELIMIT_US 1000

static long scheduler_op(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	struct xen_sysctl_scheduler_op *op = &sysctl->u.scheduler_op;

	if (op->sched_id != XEN_SCHEDULER_CREDIT2 || op->cpupool_id)
		return bvx_call_refuse(call, XEN_EINVAL, "scheduler %u, pool %u", op->sched_id,
				       op->cpupool_id);
	if (op->cmd == XEN_SYSCTL_SCHEDOP_putinfo &&
	    op->u.sched_credit2.ratelimit_us != RATELIMIT_US)
		return bvx_call_refuse(call, XEN_EOPNOTSUPP, "a rate limit of %u us",
				       op->u.sched_credit2.ratelimit_us);
	op->u.sched_credit2.ratelimit_us = RATELIMIT_US;
	return 0;
}

/* ---- what CPUID can tell ---- */

static long levelling_caps(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	(void)call;
	sysctl->u.cpu_levelling_caps.caps = 0;
	return 0;
}

/* Of the machine, of what guests can have, and what they have by default: here all the same. */
static bool policy_known(u32 index)
{
	return index == XEN_SYSCTL_cpu_policy_raw || index == XEN_SYSCTL_cpu_policy_host ||
	       index == XEN_SYSCTL_cpu_policy_hvm_max || index == XEN_SYSCTL_cpu_policy_hvm_default;
}

static long featureset_out(struct bvx_call *call, struct xen_sysctl_cpu_featureset *op)
{
	struct bvx_policy *policy = bvx_policy_most();
	u32 words[BVX_FEATURE_WORDS];

	if (!policy)
		return -XEN_ENOMEM;
	bvx_policy_featureset(policy, words);
	bv_host_free(policy);
	if (op->nr_features > BVX_FEATURE_WORDS)
		op->nr_features = BVX_FEATURE_WORDS;
	return bvx_copy_out(call->vcpu, (u64)(unsigned long)op->features.p, words,
			    op->nr_features * sizeof(*words)) ?
		       -XEN_EFAULT :
		       0;
}

static long featureset(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	struct xen_sysctl_cpu_featureset *op = &sysctl->u.cpu_featureset;
	bool enough = op->nr_features >= BVX_FEATURE_WORDS;
	long error;

	if (op->index == XEN_SYSCTL_cpu_featureset_pv ||
	    op->index == XEN_SYSCTL_cpu_featureset_pv_max)
		return bvx_call_refuse(call, XEN_EOPNOTSUPP, "there are no PV guests");
	if (op->index > XEN_SYSCTL_cpu_featureset_hvm_max)
		return -XEN_EINVAL;
	if (!op->features.p) {
		op->nr_features = BVX_FEATURE_WORDS;
		return 0;
	}
	error = featureset_out(call, op);
	if (!error && !enough)
		error = -XEN_ENOBUFS;
	op->nr_features = BVX_FEATURE_WORDS;
	return error;
}

/* The most that either side has: the tools make buffers of that size. */
#define LEAVES_MOST BV_CPUID_MAX
#define MSRS_MOST 2u

static const xen_msr_entry_t policy_msrs[MSRS_MOST] = {
	{ .idx = 0xce }, /* PLATFORM_INFO: no CPUID faulting */
	{ .idx = 0x10a }, /* ARCH_CAPABILITIES */
};

long bvx_policy_out(struct bvx_call *call, const struct bvx_policy *policy, u32 *leaves, u32 *msrs,
		    const void *leaf_handle, const void *msr_handle)
{
	xen_cpuid_leaf_t leaf;
	u32 i;

	for (i = 0; leaf_handle && bvx_policy_leaf(policy, i, &leaf); i++) {
		if (i >= *leaves)
			return -XEN_ENOBUFS;
		if (bvx_item_out(call, leaf_handle, i, &leaf, sizeof(leaf)))
			return -XEN_EFAULT;
	}
	*leaves = leaf_handle ? i : LEAVES_MOST;
	if (msr_handle) {
		if (*msrs < MSRS_MOST)
			return -XEN_ENOBUFS;
		if (bvx_copy_out(call->vcpu, (u64)(unsigned long)msr_handle, policy_msrs,
				 sizeof(policy_msrs)))
			return -XEN_EFAULT;
	}
	*msrs = MSRS_MOST;
	return 0;
}

static long cpu_policy(struct bvx_call *call, struct xen_sysctl *sysctl)
{
	struct xen_sysctl_cpu_policy *op = &sysctl->u.cpu_policy;
	struct bvx_policy *policy;
	long error;

	if (op->_rsvd || op->index > XEN_SYSCTL_cpu_policy_hvm_default)
		return -XEN_EINVAL;
	if (!policy_known(op->index))
		return -XEN_EOPNOTSUPP;
	policy = bvx_policy_most();
	if (!policy)
		return -XEN_ENOMEM;
	error = bvx_policy_out(call, policy, &op->nr_leaves, &op->nr_msrs, op->leaves.p,
			       op->msrs.p);
	bv_host_free(policy);
	return error;
}

/* ---- the table ---- */

static const struct {
	const char *name;
	long (*perform)(struct bvx_call *call, struct xen_sysctl *sysctl);
} ops[] = {
	[XEN_SYSCTL_readconsole] = { "sysctl readconsole", readconsole },
	[XEN_SYSCTL_physinfo] = { "sysctl physinfo", physinfo },
	[XEN_SYSCTL_sched_id] = { "sysctl sched_id", sched_id },
	[XEN_SYSCTL_getdomaininfolist] = { "sysctl getdomaininfolist", getdomaininfolist },
	[XEN_SYSCTL_debug_keys] = { "sysctl debug_keys", debug_keys },
	[XEN_SYSCTL_getcpuinfo] = { "sysctl getcpuinfo", getcpuinfo },
	[XEN_SYSCTL_availheap] = { "sysctl availheap", availheap },
	[XEN_SYSCTL_cputopoinfo] = { "sysctl cputopoinfo", cputopoinfo },
	[XEN_SYSCTL_numainfo] = { "sysctl numainfo", numainfo },
	[XEN_SYSCTL_cpupool_op] = { "sysctl cpupool_op", cpupool_op },
	[XEN_SYSCTL_scheduler_op] = { "sysctl scheduler_op", scheduler_op },
	[XEN_SYSCTL_pcitopoinfo] = { "sysctl pcitopoinfo", pcitopoinfo },
	[XEN_SYSCTL_get_cpu_levelling_caps] = { "sysctl get_cpu_levelling_caps", levelling_caps },
	[XEN_SYSCTL_get_cpu_featureset] = { "sysctl get_cpu_featureset", featureset },
	[XEN_SYSCTL_get_cpu_policy] = { "sysctl get_cpu_policy", cpu_policy },
};

/* args: argument */
long bvx_sysctl(struct bvx_call *call)
{
	struct xen_sysctl *op = call->data;
	u64 gva = call->args[0];
	long result;

	BV_STATIC_ASSERT(sizeof(*op) <= BVX_ARG_BYTES);
	if (!call->domain->privileged)
		return -XEN_EPERM;
	if (bvx_copy_in(call->vcpu, op, gva, sizeof(*op)))
		return bvx_call_refuse(call, XEN_EFAULT, "no argument at %#llx", gva);
	if (op->interface_version != XEN_SYSCTL_INTERFACE_VERSION)
		return bvx_call_refuse(call, XEN_EACCES, "version %#x, not %#x",
				       op->interface_version, XEN_SYSCTL_INTERFACE_VERSION);
	if (op->cmd >= BV_ARRAY_SIZE(ops) || !ops[op->cmd].name)
		return bvx_call_refuse(call, XEN_EOPNOTSUPP, "there is no operation %u", op->cmd);
	call->name = ops[op->cmd].name;
	result = ops[op->cmd].perform(call, op);
	/* Some tell how much there is along with a refusal. */
	if ((!result || result == -XEN_ENOBUFS) && bvx_copy_out(call->vcpu, gva, op, sizeof(*op)))
		return -XEN_EFAULT;
	return result;
}
