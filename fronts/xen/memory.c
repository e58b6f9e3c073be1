// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hypercall memory_op: guests give memory back and ask for more, the tools fill a guest's
 * memory and map it, and both put the front's own pages (shared info, grant table) where they want
 * them.
 *
 * Long arrays give way between extents. The number of the first extent to do may come in the upper
 * bits of the subop's number, as Xen's continuations have it.
 */
#include "call.h"
#include "event.h"
#include "grant.h"
#include "pod.h"

#include <xen/memory.h>

#define EXTENT_SHIFT 6
#define SUBOP_MASK ((1u << EXTENT_SHIFT) - 1)
/* The largest extents, as Xen has them: for Dom0, and for others. */
#define MOST_ORDER_TOOLS 18
#define MOST_ORDER_GUEST 9

static const struct bvx_entry nothing = { .type = BVX_NONE };

/* ---- extents ---- */

struct reservation {
	struct bvx_call *call;
	struct bvx_domain *domain;
	const struct xen_memory_reservation *op;
};

/* One page of it may go: not a grant's map, whose handle would be left. */
static bool removable(enum bvx_type type)
{
	return type == BVX_RAM || type == BVX_RAM_READONLY || type == BVX_POD;
}

static int page_remove(struct bvx_domain *domain, u64 gfn)
{
	struct bvx_entry old;
	enum bvx_type type;

	bv_host_spin_lock(&domain->p2m.lock);
	type = bvx_p2m_look(&domain->p2m, gfn).type;
	bv_host_spin_unlock(&domain->p2m.lock);
	if (!removable(type))
		return -XEN_EINVAL;
	if (bvx_p2m_set_where(domain, gfn, &nothing, type, &old))
		return -XEN_EINVAL;
	if (!bvx_pod_keep(domain, &old))
		bvx_p2m_release(domain, &old);
	return 0;
}

/* Puts fresh frames there, or what has none yet, as a block where that can be. */
static int block_place(struct bvx_domain *domain, u64 gfn, struct bv_mfn mfn, u32 order,
		       enum bvx_type type)
{
	struct bvx_entry entry = { .mfn = mfn, .type = type, .order = (u8)order };
	struct bvx_entry old;
	int error = -XEN_EBUSY;
	u64 placed = 0;

	if (order % 9 == 0)
		error = bvx_p2m_set_where(domain, gfn, &entry, BVX_NONE, &old);
	if (error != -XEN_EBUSY || !order)
		return error;
	for (entry.order = 0; placed < 1ULL << order; placed++) {
		entry.mfn = BV_MFN(mfn.n + placed);
		error = bvx_p2m_set_where(domain, gfn + placed, &entry, BVX_NONE, &old);
		if (error)
			break;
	}
	if (!error)
		return 0;
	while (placed--)
		bvx_p2m_set_where(domain, gfn + placed, &nothing, type, &old);
	return error;
}

/*
 * Dom0's memory lies one to one, where its devices reach it: it gets back its own frame, or none.
 */
static int own_page_populate(struct bvx_domain *domain, u64 gfn)
{
	const struct bvx_entry entry = { .mfn = BV_MFN(gfn), .type = BVX_RAM };
	struct bvx_entry old;
	int error;

	if (!bvx_pages_charge(domain, 1))
		return -XEN_ENOMEM;
	error = bvx_host_frame_take(entry.mfn);
	if (error) {
		bvx_pages_uncharge(domain, 1);
		return error;
	}
	error = bvx_p2m_set_where(domain, gfn, &entry, BVX_NONE, &old);
	if (error)
		bvx_frame_drop(domain, entry.mfn, true);
	return error;
}

static int own_extent_populate(struct reservation *res, u64 gfn)
{
	for (u64 i = 0; i < 1ULL << res->op->extent_order; i++) {
		int error = own_page_populate(res->domain, gfn + i);

		if (!error)
			continue;
		bvx_call_refuse(res->call, -error, "frame %#llx is not free", gfn + i);
		while (i--)
			page_remove(res->domain, gfn + i);
		return error;
	}
	return 0;
}

/* Memory that has no frame before it is touched: the tools', while a guest is being made. */
static int extent_promise(struct reservation *res, u64 gfn)
{
	u32 order = res->op->extent_order;
	int error;

	if (!res->call->domain->privileged || res->domain == res->call->domain)
		return bvx_call_refuse(res->call, XEN_EINVAL,
				       "population on demand is for the tools");
	error = block_place(res->domain, gfn, BV_MFN(0), order, BVX_POD);
	return error ? bvx_call_refuse(res->call, -error, "gfn %#llx, order %u: something is there",
				       gfn, order) :
		       0;
}

static int extent_populate(struct reservation *res, u64 index)
{
	struct bvx_domain *domain = res->domain;
	u32 order = res->op->extent_order, bits = XENMEMF_get_address_bits(res->op->mem_flags);
	struct bv_mfn mfn;
	xen_pfn_t gfn;
	int error;

	if (bvx_long_in(res->call, &gfn, res->op->extent_start.p, index))
		return -XEN_EFAULT;
	if (gfn >= BVX_MAX_GFN || gfn & ((1ULL << order) - 1) ||
	    gfn + (1ULL << order) > BVX_MAX_GFN)
		return bvx_call_refuse(res->call, XEN_EINVAL, "gfn %#llx, order %u", (u64)gfn,
				       order);
	if (domain->hardware)
		return own_extent_populate(res, gfn);
	if (res->op->mem_flags & XENMEMF_populate_on_demand)
		return extent_promise(res, gfn);
	error = bvx_pages_alloc(domain, order, bits && bits < 52 ? 1ULL << bits : 0, &mfn);
	if (error)
		return bvx_call_refuse(res->call, -error,
				       "d%u has %llu of %llu pages, and no room for order %u",
				       domain->id, bvx_pages_of(domain), domain->max_pages, order);
	error = block_place(domain, gfn, mfn, order, BVX_RAM);
	if (!error)
		return 0;
	for (u64 i = 0; i < 1ULL << order; i++)
		bvx_frame_drop(domain, BV_MFN(mfn.n + i), true);
	return bvx_call_refuse(res->call, -error, "gfn %#llx, order %u: something is there",
			       (u64)gfn, order);
}

static int extent_decrease(struct reservation *res, u64 index)
{
	xen_pfn_t gfn;

	if (bvx_long_in(res->call, &gfn, res->op->extent_start.p, index))
		return -XEN_EFAULT;
	if (gfn >= BVX_MAX_GFN)
		return bvx_call_refuse(res->call, XEN_EINVAL, "gfn %#llx", (u64)gfn);
	for (u64 i = 0; i < 1ULL << res->op->extent_order; i++) {
		if (page_remove(res->domain, gfn + i))
			return bvx_call_refuse(res->call, XEN_EINVAL,
					       "gfn %#llx is no memory of its own", (u64)gfn + i);
		if (!(i % 64) && bvx_call_breathe(res->call))
			return -XEN_EAGAIN;
	}
	return 0;
}

/* As many as can be done; their number is the result. */
static long extents(struct bvx_call *call, int (*one)(struct reservation *, u64))
{
	const struct xen_memory_reservation op = *(struct xen_memory_reservation *)call->data;
	struct reservation res = { .call = call, .op = &op };
	u32 most = call->domain->privileged ? MOST_ORDER_TOOLS : MOST_ORDER_GUEST;
	u64 i = call->args[0] >> EXTENT_SHIFT;
	int error;

	if (op.extent_order > most)
		return bvx_call_refuse(call, XEN_EPERM, "order %u, at most %u", op.extent_order,
				       most);
	if (i > op.nr_extents || op.nr_extents > ~0UL >> EXTENT_SHIFT)
		return -XEN_EINVAL;
	res.domain = bvx_domain_named(call->vcpu, op.domid, &error);
	if (!res.domain)
		return error;
	for (; i < op.nr_extents; i++)
		if (one(&res, i) || bvx_call_breathe(call))
			break;
	bvx_domain_put(res.domain);
	return (long)i;
}

static long populate(struct bvx_call *call)
{
	return extents(call, extent_populate);
}

static long decrease(struct bvx_call *call)
{
	return extents(call, extent_decrease);
}

/* ---- how much ---- */

static long maximum_ram_page(struct bvx_call *call)
{
	struct bvx_host_memory memory;

	(void)call;
	bvx_host_memory(&memory);
	return (long)memory.max_mfn;
}

enum amount {
	CURRENT,
	MAXIMUM,
	HIGHEST
};

static long amount(struct bvx_call *call, enum amount which)
{
	const struct xen_memory_domain *op = call->data;
	struct bvx_domain *domain;
	long result;
	int error;

	domain = bvx_domain_named(call->vcpu, op->domid, &error);
	if (!domain)
		return error;
	result = which == CURRENT ? (long)bvx_pages_of(domain) :
		 which == MAXIMUM ? (long)(domain->max_pages & ~0ULL >> 1) :
				    (long)bvx_p2m_max(domain);
	bvx_domain_put(domain);
	return result;
}

static long current_reservation(struct bvx_call *call)
{
	return amount(call, CURRENT);
}

static long maximum_reservation(struct bvx_call *call)
{
	return amount(call, MAXIMUM);
}

static long maximum_gpfn(struct bvx_call *call)
{
	return amount(call, HIGHEST);
}

static int claim(struct bvx_domain *domain, u64 pages)
{
	u64 have = bvx_pages_of(domain), wanted = pages > have ? pages - have : 0;
	struct bvx_host_memory memory;
	int error = 0;
	u64 flags;

	bvx_host_memory(&memory);
	flags = bv_host_spin_lock_irq(&domain->count_lock);
	if (pages && pages > domain->max_pages)
		error = -XEN_EINVAL;
	else if (wanted && memory.free < bvx.claimed - domain->claimed + wanted)
		error = -XEN_ENOMEM;
	if (!error) {
		__atomic_add_fetch(&bvx.claimed, wanted - domain->claimed, __ATOMIC_SEQ_CST);
		domain->claimed = wanted;
	}
	bv_host_spin_unlock_irq(&domain->count_lock, flags);
	return error;
}

/* Promises memory to a domain that is being made. 0 pages end the promise. */
static long claim_pages(struct bvx_call *call)
{
	const struct xen_memory_reservation *op = call->data;
	struct bvx_domain *domain;
	int error;

	if (op->extent_start.p || op->extent_order || op->mem_flags)
		return bvx_call_refuse(call, XEN_EINVAL, "extents are not for this");
	domain = bvx_domain_named(call->vcpu, op->domid, &error);
	if (!domain)
		return error;
	error = claim(domain, op->nr_extents);
	if (error)
		bvx_call_refuse(call, -error, "%lu pages for d%u", op->nr_extents, domain->id);
	bvx_domain_put(domain);
	return error;
}

static long pod_target(struct bvx_call *call, bool set)
{
	struct xen_pod_target *op = call->data;
	struct bvx_domain *domain;
	int error;

	domain = bvx_domain_named(call->vcpu, op->domid, &error);
	if (!domain)
		return error;
	if (set)
		error = bvx_pod_target(domain, op->target_pages);
	if (error)
		bvx_call_refuse(call, -error, "no memory for d%u to have %llu pages", domain->id,
				(u64)op->target_pages);
	op->tot_pages = bvx_pages_of(domain);
	op->pod_cache_pages = domain->pod.pooled;
	op->pod_entries = domain->pod.entries;
	bvx_domain_put(domain);
	return error;
}

static long set_pod_target(struct bvx_call *call)
{
	return pod_target(call, true);
}

static long get_pod_target(struct bvx_call *call)
{
	return pod_target(call, false);
}

/* No guest has NUMA nodes of its own: the tools ask before they save it. */
static long no_vnuma(struct bvx_call *call)
{
	const struct xen_vnuma_topology_info *op = call->data;
	struct bvx_domain *domain;
	int error;

	domain = bvx_domain_named(call->vcpu, op->domid, &error);
	if (!domain)
		return error;
	bvx_domain_put(domain);
	return -XEN_EOPNOTSUPP;
}

static long no_sharing(struct bvx_call *call)
{
	(void)call;
	return 0;
}

/* ---- putting pages into a guest's memory ---- */

/* Replaces what is there; a grant's map may not be replaced. The entry's hold goes with it. */
static int place(struct bvx_domain *domain, u64 gfn, const struct bvx_entry *entry)
{
	struct bvx_entry old;
	enum bvx_type type;
	int error;

	if (gfn >= BVX_MAX_GFN)
		return -XEN_EINVAL;
	do {
		bv_host_spin_lock(&domain->p2m.lock);
		type = bvx_p2m_look(&domain->p2m, gfn).type;
		bv_host_spin_unlock(&domain->p2m.lock);
		if (type == BVX_GRANT || type == BVX_GRANT_READONLY || type == BVX_MMIO)
			return bvx_refuse(domain, XEN_EBUSY, "gfn %#llx is a map of type %u", gfn,
					  type);
		error = bvx_p2m_set_where(domain, gfn, entry, type, &old);
	} while (error == -XEN_EBUSY);
	if (!error)
		bvx_p2m_release(domain, &old);
	return error;
}

/* A page of the front's own lies in one place at a time: the old one is emptied. */
static int place_shared(struct bvx_domain *domain, u64 gfn, const struct bvx_shared *page,
			u64 *where)
{
	const struct bvx_entry entry = { .mfn = page->mfn, .type = BVX_SHARED };
	u64 before = *where;
	struct bvx_entry old;
	int error;

	bvx_frame_hold(page->mfn);
	error = place(domain, gfn, &entry);
	if (error) {
		bvx_frame_release(page->mfn);
		return error;
	}
	*where = gfn;
	if (before == gfn || before >= BVX_MAX_GFN)
		return 0;
	bv_host_spin_lock(&domain->p2m.lock);
	old = bvx_p2m_look(&domain->p2m, before);
	bv_host_spin_unlock(&domain->p2m.lock);
	if (old.type == BVX_SHARED && old.mfn.n == page->mfn.n &&
	    !bvx_p2m_set_where(domain, before, &nothing, BVX_SHARED, &old))
		bvx_p2m_release(domain, &old);
	return 0;
}

static int place_grant_frame(struct bvx_domain *domain, u64 index, u64 gfn)
{
	bool status = index & XENMAPIDX_grant_table_status;
	u32 frame_index = (u32)(index & ~(u64)XENMAPIDX_grant_table_status);
	struct bvx_shared frame;
	int error;

	if (index >> 32)
		return -XEN_EINVAL;
	error = bvx_grants_frame(domain, status, frame_index, &frame);
	if (error)
		return error;
	return place_shared(domain, gfn, &frame,
			    status ? &domain->grants->status_gfn[frame_index] :
				     &domain->grants->frame_gfn[frame_index]);
}

/* Moves a page of the guest's own. */
static int move_page(struct bvx_domain *domain, u64 from, u64 to)
{
	struct bvx_entry entry;
	int error;

	if (from == to)
		return 0;
	if (bvx_p2m_set_where(domain, from, &nothing, BVX_RAM, &entry))
		return bvx_refuse(domain, XEN_EINVAL, "gfn %#llx is no memory of its own", from);
	entry.order = 0;
	error = place(domain, to, &entry);
	if (error)
		bvx_p2m_release(domain, &entry);
	return error;
}

static int place_foreign(struct bvx_call *call, struct bvx_domain *domain, u32 foreign_id, u64 gfn,
			 u64 foreign_gfn)
{
	struct bvx_entry entry;
	int error;
	struct bvx_domain *foreign;

	if (!call->domain->privileged)
		return bvx_call_refuse(call, XEN_EPERM, "maps of other domains are Dom0's");
	foreign = bvx_domain_get(foreign_id);
	if (!foreign || foreign == domain) {
		if (foreign)
			bvx_domain_put(foreign);
		return foreign ? -XEN_EINVAL : -XEN_ESRCH;
	}
	error = bvx_p2m_hold(foreign, foreign_gfn, false, &entry);
	bvx_domain_put(foreign);
	if (error)
		return error;
	entry.type = BVX_FOREIGN;
	entry.order = 0;
	error = place(domain, gfn, &entry);
	if (error)
		bvx_frame_release(entry.mfn);
	return error;
}

static int add_one(struct bvx_call *call, struct bvx_domain *domain, u32 space, u64 index, u64 gfn)
{
	switch (space) {
	case XENMAPSPACE_shared_info:
		if (index)
			return -XEN_EINVAL;
		if (domain == call->domain)
			bvx_layout_set(domain, !call->wide);
		return place_shared(domain, gfn, &domain->shared_info, &domain->shared_gfn);
	case XENMAPSPACE_grant_table:
		return place_grant_frame(domain, index, gfn);
	case XENMAPSPACE_gmfn:
	case XENMAPSPACE_gmfn_range:
		return move_page(domain, index, gfn);
	default:
		return bvx_call_refuse(call, XEN_ENOSYS, "space %u", space);
	}
}

static long add_to_physmap(struct bvx_call *call)
{
	const struct xen_add_to_physmap op = *(struct xen_add_to_physmap *)call->data;
	u32 count = op.space == XENMAPSPACE_gmfn_range ? op.size : 1;
	struct bvx_domain *domain;
	int error;

	domain = bvx_domain_named(call->vcpu, op.domid, &error);
	if (!domain)
		return error;
	for (u32 i = 0; i < count && !error; i++)
		error = add_one(call, domain, op.space, op.idx + i, op.gpfn + i);
	bvx_domain_put(domain);
	return error;
}

static int batch_one(struct bvx_call *call, struct bvx_domain *domain,
		     const struct xen_add_to_physmap_batch *op, u32 i)
{
	xen_ulong_t index;
	xen_pfn_t gfn;
	int error;

	if (bvx_long_in(call, &index, op->idxs.p, i) || bvx_long_in(call, &gfn, op->gpfns.p, i))
		return -XEN_EFAULT;
	if (op->space == XENMAPSPACE_gmfn_foreign)
		error = place_foreign(call, domain, op->u.foreign_domid, gfn, index);
	else
		error = add_one(call, domain, op->space, index, gfn);
	return bvx_item_out(call, op->errs.p, i, &error, sizeof(error)) ? -XEN_EFAULT : 0;
}

static long add_to_physmap_batch(struct bvx_call *call)
{
	const struct xen_add_to_physmap_batch op = *(struct xen_add_to_physmap_batch *)call->data;
	struct bvx_domain *domain;
	int error;

	if (op.space == XENMAPSPACE_gmfn_range)
		return -XEN_EINVAL;
	domain = bvx_domain_named(call->vcpu, op.domid, &error);
	if (!domain)
		return error;
	for (u32 i = (u32)(call->args[0] >> EXTENT_SHIFT); i < op.size && !error; i++) {
		error = batch_one(call, domain, &op, i);
		if (bvx_call_breathe(call))
			break;
	}
	bvx_domain_put(domain);
	return error;
}

static long remove_from_physmap(struct bvx_call *call)
{
	const struct xen_remove_from_physmap *op = call->data;
	struct bvx_domain *domain;
	int error;

	domain = bvx_domain_named(call->vcpu, op->domid, &error);
	if (!domain)
		return error;
	error = place(domain, op->gpfn, &nothing);
	bvx_domain_put(domain);
	return error;
}

/* ---- memory maps ---- */

struct bvx_e820 {
	u64 start, size;
	u32 type;
} __attribute__((__packed__));

#define E820_MOST 128

static long set_memory_map(struct bvx_call *call)
{
	const struct xen_foreign_memory_map op = *(struct xen_foreign_memory_map *)call->data;
	struct bvx_e820 *map;
	struct bvx_domain *domain;
	int error;

	if (op.map.nr_entries > E820_MOST)
		return bvx_call_refuse(call, XEN_EINVAL, "%u entries, at most %u",
				       op.map.nr_entries, E820_MOST);
	map = bv_host_alloc(op.map.nr_entries * sizeof(*map));
	if (!map)
		return -XEN_ENOMEM;
	if (bvx_copy_in(call->vcpu, map, (u64)(unsigned long)op.map.buffer.p,
			op.map.nr_entries * sizeof(*map))) {
		bv_host_free(map);
		return -XEN_EFAULT;
	}
	domain = bvx_domain_named(call->vcpu, op.domid, &error);
	if (domain) {
		struct bvx_e820 *old;

		bv_host_mutex_lock(&domain->e820_lock);
		old = domain->e820;
		domain->e820 = map;
		domain->e820_count = op.map.nr_entries;
		bv_host_mutex_unlock(&domain->e820_lock);
		map = old;
		bvx_domain_put(domain);
	}
	bv_host_free(map);
	return error;
}

static long memory_map(struct bvx_call *call)
{
	struct xen_memory_map *op = call->data;
	struct bvx_domain *domain = call->domain;
	long error = 0;

	bv_host_mutex_lock(&domain->e820_lock);
	if (!domain->e820)
		error = -XEN_ENOSYS;
	else if (op->nr_entries < domain->e820_count)
		error = -XEN_EINVAL;
	else if (bvx_copy_out(call->vcpu, (u64)(unsigned long)op->buffer.p, domain->e820,
			      domain->e820_count * sizeof(*domain->e820)))
		error = -XEN_EFAULT;
	op->nr_entries = domain->e820_count;
	bv_host_mutex_unlock(&domain->e820_lock);
	return error;
}

static long reserved_device_memory(struct bvx_call *call)
{
	struct xen_reserved_device_memory_map *op = call->data;

	op->nr_entries = 0;
	return 0;
}

/* ---- resources ---- */

static int resource_frame(struct bvx_call *call, struct bvx_domain *domain,
			  const struct xen_mem_acquire_resource *op, u32 i)
{
	struct bvx_entry entry = { .type = BVX_FOREIGN };
	struct bvx_shared frame;
	xen_pfn_t gfn;
	int error;

	if (bvx_item_in(call, &gfn, op->frame_list.p, i, sizeof(gfn)))
		return -XEN_EFAULT;
	error = bvx_grants_frame(domain, op->id == XENMEM_resource_grant_table_id_status,
				 (u32)op->frame + i, &frame);
	if (error)
		return error;
	bvx_frame_hold(frame.mfn);
	entry.mfn = frame.mfn;
	error = place(call->domain, gfn, &entry);
	if (error)
		bvx_frame_release(frame.mfn);
	return error;
}

static int resource_check(struct bvx_call *call, const struct xen_mem_acquire_resource *op)
{
	if (op->pad)
		return -XEN_EINVAL;
	if (op->type != XENMEM_resource_grant_table)
		return bvx_call_refuse(call, XEN_EOPNOTSUPP, "resource of type %u", op->type);
	if (op->id > XENMEM_resource_grant_table_id_status)
		return bvx_call_refuse(call, XEN_EINVAL, "grant table resource %u", op->id);
	if (op->frame >> 32 || op->nr_frames > BVX_GRANT_FRAMES)
		return bvx_call_refuse(call, XEN_EINVAL, "frames %llu + %u", (u64)op->frame,
				       op->nr_frames);
	return 0;
}

static long acquire_resource(struct bvx_call *call)
{
	struct xen_mem_acquire_resource *op = call->data;
	int error = resource_check(call, op);
	struct bvx_domain *domain = error ? NULL : bvx_domain_named(call->vcpu, op->domid, &error);

	if (!domain)
		return error;
	if (!op->frame_list.p) {
		/* A question for its size. */
		if (op->nr_frames)
			error = -XEN_EINVAL;
		op->nr_frames = op->id == XENMEM_resource_grant_table_id_shared ?
					domain->grants->max_frames :
					BV_ARRAY_SIZE(domain->grants->status) - 1;
	} else {
		for (u32 i = 0; i < op->nr_frames && !error; i++)
			error = resource_frame(call, domain, op, i);
	}
	bvx_domain_put(domain);
	return error;
}

#define INOUT (BVX_IN | BVX_OUT)
#define TOOLS (INOUT | BVX_PRIVILEGED | BVX_WIDE)
#define RESERVATION "pp442"

static const struct bvx_op ops[] = {
	BVX_OP_NARROW(XENMEM_decrease_reservation, struct xen_memory_reservation, BVX_IN, decrease,
		      RESERVATION),
	BVX_OP_PLAIN(XENMEM_maximum_ram_page, 0, maximum_ram_page),
	BVX_OP(XENMEM_current_reservation, struct xen_memory_domain, BVX_IN, current_reservation),
	BVX_OP(XENMEM_maximum_reservation, struct xen_memory_domain, BVX_IN, maximum_reservation),
	BVX_OP_NARROW(XENMEM_populate_physmap, struct xen_memory_reservation, BVX_IN, populate,
		      RESERVATION),
	BVX_OP_NARROW(XENMEM_add_to_physmap, struct xen_add_to_physmap, BVX_IN, add_to_physmap,
		      "224pp"),
	BVX_OP_NARROW(XENMEM_memory_map, struct xen_memory_map, INOUT, memory_map, "4p"),
	BVX_OP(XENMEM_set_memory_map, struct xen_foreign_memory_map, BVX_IN | BVX_WIDE,
	       set_memory_map),
	BVX_OP(XENMEM_maximum_gpfn, struct xen_memory_domain, BVX_IN, maximum_gpfn),
	BVX_OP_NARROW(XENMEM_remove_from_physmap, struct xen_remove_from_physmap, BVX_IN,
		      remove_from_physmap, "2p"),
	BVX_OP(XENMEM_set_pod_target, struct xen_pod_target, TOOLS, set_pod_target),
	BVX_OP(XENMEM_get_pod_target, struct xen_pod_target, TOOLS, get_pod_target),
	BVX_OP_PLAIN(XENMEM_get_sharing_freed_pages, 0, no_sharing),
	BVX_OP_PLAIN(XENMEM_get_sharing_shared_pages, 0, no_sharing),
	BVX_OP_NARROW(XENMEM_add_to_physmap_batch, struct xen_add_to_physmap_batch, BVX_IN,
		      add_to_physmap_batch, "2222ppp"),
	BVX_OP(XENMEM_claim_pages, struct xen_memory_reservation,
	       BVX_IN | BVX_PRIVILEGED | BVX_WIDE, claim_pages),
	BVX_OP(XENMEM_reserved_device_memory_map, struct xen_reserved_device_memory_map,
	       INOUT | BVX_WIDE, reserved_device_memory),
	BVX_OP(XENMEM_get_vnumainfo, struct xen_vnuma_topology_info, BVX_IN | BVX_WIDE, no_vnuma),
	BVX_OP(XENMEM_acquire_resource, struct xen_mem_acquire_resource, TOOLS, acquire_resource),
};

/* args: subop and first extent, argument */
long bvx_memory_op(struct bvx_call *call)
{
	return bvx_subop(call, ops, BV_ARRAY_SIZE(ops), call->args[0] & SUBOP_MASK, call->args[1]);
}
