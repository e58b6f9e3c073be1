// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hypercall grant_table_op: maps, unmaps, copies of granted frames, and questions about tables.
 *
 * Each op takes an array; its items carry a status of their own. A failed item is no failure of the
 * call. Maps are remembered by handle: with a reference to the granter, a use of the entry and the
 * place in the mapper's guest memory.
 */
#include "call.h"
#include "grant_use.h"

#define MAPS_A_BLOCK ((u32)(BV_PAGE_SIZE / sizeof(struct bvx_map)))
#define NO_MAP ~0u

/* ---- handles ---- */

static struct bvx_map *map_at(const struct bvx_grants *grants, u32 handle)
{
	return &grants->map_block[handle / MAPS_A_BLOCK][handle % MAPS_A_BLOCK];
}

/* One more block of free handles. sleep. */
static int maps_grow(struct bvx_grants *grants)
{
	u32 most = grants->max_maps / MAPS_A_BLOCK;
	struct bvx_map **blocks = NULL, *block;

	if (BV_READ_ONCE(grants->map_blocks) >= most)
		return -XEN_ENOSPC;
	if (!grants->map_block)
		blocks = bv_host_alloc(most * sizeof(*blocks));
	block = bv_host_pages_alloc(0);
	bv_host_spin_lock(&grants->map_lock);
	if (!grants->map_block && blocks) {
		grants->map_block = blocks;
		blocks = NULL;
	}
	if (block && grants->map_block && grants->map_blocks < most) {
		u32 first = grants->map_blocks * MAPS_A_BLOCK;

		grants->map_block[grants->map_blocks++] = block;
		for (u32 i = MAPS_A_BLOCK; i--;) {
			block[i].next_free = grants->free_map;
			grants->free_map = first + i;
		}
		block = NULL;
	}
	bv_host_spin_unlock(&grants->map_lock);
	bv_host_free(blocks);
	if (!block)
		return 0;
	bv_host_pages_free(block, 0);
	return -XEN_ENOMEM;
}

/* A handle, NO_MAP: none left. It names nothing before map_store. sleep. */
static u32 handle_take(struct bvx_grants *grants)
{
	for (;;) {
		u32 handle;

		bv_host_spin_lock(&grants->map_lock);
		handle = grants->free_map;
		if (handle != NO_MAP)
			grants->free_map = map_at(grants, handle)->next_free;
		bv_host_spin_unlock(&grants->map_lock);
		if (handle != NO_MAP || (maps_grow(grants) && grants->free_map == NO_MAP))
			return handle;
	}
}

static void handle_put(struct bvx_grants *grants, u32 handle)
{
	bv_host_spin_lock(&grants->map_lock);
	map_at(grants, handle)->next_free = grants->free_map;
	grants->free_map = handle;
	bv_host_spin_unlock(&grants->map_lock);
}

/* Takes a map out of its handle, so that only one can end it. */
static bool map_take(struct bvx_grants *grants, u32 handle, const u64 *host_addr,
		     struct bvx_map *map)
{
	bool found = false;

	bv_host_spin_lock(&grants->map_lock);
	if (handle < grants->map_blocks * MAPS_A_BLOCK) {
		struct bvx_map *at = map_at(grants, handle);

		found = at->granter && (!host_addr || at->gfn << BV_PAGE_SHIFT == *host_addr);
		if (found) {
			*map = *at;
			at->granter = NULL;
		}
	}
	bv_host_spin_unlock(&grants->map_lock);
	return found;
}

static void map_store(struct bvx_grants *grants, u32 handle, const struct bvx_map *map)
{
	bv_host_spin_lock(&grants->map_lock);
	*map_at(grants, handle) = *map;
	bv_host_spin_unlock(&grants->map_lock);
}

/* ---- map ---- */

static s16 map_place(struct bvx_call *call, const struct bvx_use *use, u64 gfn)
{
	const struct bvx_entry entry = {
		.mfn = use->mfn,
		.type = use->write ? BVX_GRANT : BVX_GRANT_READONLY,
	};
	struct bvx_entry old;
	int error = bvx_p2m_set_where(call->domain, gfn, &entry, BVX_NONE, &old);

	if (!error)
		return GNTST_okay;
	bvx_call_refuse(call, XEN_EBUSY, "gfn %#llx is taken (error %d)", gfn, -error);
	return GNTST_general_error;
}

static s16 map_into(struct bvx_call *call, struct bvx_use *use, struct gnttab_map_grant_ref *op)
{
	struct bvx_grants *grants = call->domain->grants;
	struct bvx_map map = { .granter = use->granter, .ref = op->ref, .flags = op->flags };
	u32 handle = handle_take(grants);
	s16 status;

	if (handle == NO_MAP)
		return GNTST_no_space;
	map.gfn = op->host_addr >> BV_PAGE_SHIFT;
	status = bvx_use_begin(use);
	if (!status) {
		map.mfn = use->mfn;
		status = map_place(call, use, map.gfn);
		if (status)
			bvx_use_end(use);
	}
	if (status) {
		handle_put(grants, handle);
		return status;
	}
	bvx_domain_hold(use->granter);
	map.entry_gfn = use->gfn;
	map_store(grants, handle, &map);
	op->handle = handle;
	op->dev_bus_addr = use->mfn.n << BV_PAGE_SHIFT;
	return GNTST_okay;
}

static s16 map_one(struct bvx_call *call, struct gnttab_map_grant_ref *op)
{
	struct bvx_use use = {
		.ref = op->ref,
		.user = call->domain->id,
		.write = !(op->flags & GNTMAP_readonly),
	};
	s16 status;

	if (!(op->flags & GNTMAP_host_map) || op->flags & GNTMAP_contains_pte ||
	    op->host_addr & ~BV_PAGE_MASK) {
		bvx_call_refuse(call, XEN_EINVAL, "flags %#x, address %#llx", op->flags,
				(u64)op->host_addr);
		return op->host_addr & ~BV_PAGE_MASK ? GNTST_bad_virt_addr : GNTST_general_error;
	}
	use.granter = bvx_domain_get(op->dom == DOMID_SELF ? call->domain->id : op->dom);
	if (!use.granter)
		return GNTST_bad_domain;
	status = map_into(call, &use, op);
	bvx_domain_put(use.granter);
	return status;
}

/* ---- unmap ---- */

/* Maps that were taken out of their handles, so many that their pages are left at once. */
struct ending {
	struct bvx_map map[BVX_CLEAR_PAGES];
	u32 handle[BVX_CLEAR_PAGES];
	u32 count;
};

static void maps_end(struct bvx_domain *domain, struct ending *ending)
{
	enum bvx_type types[BVX_CLEAR_PAGES];
	u64 gfns[BVX_CLEAR_PAGES];

	for (u32 i = 0; i < ending->count; i++) {
		bool readonly = ending->map[i].flags & GNTMAP_readonly;

		gfns[i] = ending->map[i].gfn;
		types[i] = readonly ? BVX_GRANT_READONLY : BVX_GRANT;
	}
	bvx_p2m_clear_pages(domain, gfns, types, ending->count);
	for (u32 i = 0; i < ending->count; i++) {
		const struct bvx_map *map = &ending->map[i];
		struct bvx_use use = {
			.granter = map->granter,
			.ref = map->ref,
			.write = types[i] == BVX_GRANT,
			.gfn = map->entry_gfn,
			.mfn = map->mfn,
		};

		bvx_use_end(&use);
		bvx_domain_put(map->granter);
		handle_put(domain->grants, ending->handle[i]);
	}
	ending->count = 0;
}

/* Takes a map out; it ends with those before and after it. */
static s16 unmap_begin(struct bvx_call *call, const struct gnttab_unmap_grant_ref *op,
		       struct ending *ending)
{
	struct bvx_grants *grants = call->domain->grants;
	const u64 host_addr = op->host_addr;

	if (!map_take(grants, op->handle, &host_addr, &ending->map[ending->count])) {
		bvx_call_refuse(call, XEN_EINVAL, "handle %u is no map at %#llx", op->handle,
				(u64)op->host_addr);
		return op->handle < grants->map_blocks * MAPS_A_BLOCK ? GNTST_bad_virt_addr :
									GNTST_bad_handle;
	}
	ending->handle[ending->count++] = op->handle;
	return GNTST_okay;
}

/* One pass of BVX_CLEAR_PAGES items at most: their statuses are told when the maps have ended. */
static int unmap_some(struct bvx_call *call, u64 gva, u32 count)
{
	struct gnttab_unmap_grant_ref op[BVX_CLEAR_PAGES];
	struct ending ending = { .count = 0 };
	int error = 0;

	for (u32 i = 0; i < count && !error; i++) {
		error = bvx_copy_in(call->vcpu, &op[i], gva + i * sizeof(*op), sizeof(*op));
		if (!error)
			op[i].status = unmap_begin(call, &op[i], &ending);
		else
			count = i;
	}
	maps_end(call->domain, &ending);
	if (bvx_copy_out(call->vcpu, gva, op, count * sizeof(*op)))
		error = -XEN_EFAULT;
	return error ? bvx_call_refuse(call, XEN_EFAULT, "items at %#llx", gva) : 0;
}

static long unmap_items(struct bvx_call *call, u64 gva, u32 count)
{
	for (u32 done = 0; done < count; done += BVX_CLEAR_PAGES) {
		u32 some = count - done < BVX_CLEAR_PAGES ? count - done : BVX_CLEAR_PAGES;
		int error = unmap_some(
			call, gva + (u64)done * sizeof(struct gnttab_unmap_grant_ref), some);

		if (error)
			return error;
		if (bvx_call_breathe(call))
			return 0;
	}
	return 0;
}

void bvx_grants_release(struct bvx_domain *domain)
{
	struct bvx_grants *grants = domain->grants;
	struct ending ending = { .count = 0 };

	for (u32 handle = 0; handle < grants->map_blocks * MAPS_A_BLOCK; handle++) {
		if (!map_take(grants, handle, NULL, &ending.map[ending.count]))
			continue;
		ending.handle[ending.count++] = handle;
		if (ending.count == BVX_CLEAR_PAGES)
			maps_end(domain, &ending);
	}
	maps_end(domain, &ending);
}

/* ---- copy ---- */

/* One end of a copy: a granted frame, or a page of the domain's own. */
struct copy_end {
	struct bvx_use use;
	bool granted;
	u8 *va;
};

static s16 end_own(struct bvx_call *call, struct copy_end *end, const struct gnttab_copy_ptr *ptr)
{
	struct bvx_entry entry;

	if (bvx_p2m_hold(end->use.granter, ptr->u.gmfn, true, &entry))
		return GNTST_bad_page;
	end->use.mfn = entry.mfn;
	end->use.gfn = ptr->u.gmfn;
	end->use.length = BV_PAGE_SIZE;
	if (!end->use.write || (entry.type != BVX_RAM_READONLY && entry.type != BVX_GRANT_READONLY))
		return GNTST_okay;
	bvx_call_refuse(call, XEN_EINVAL, "gfn %#llx is read-only", (u64)ptr->u.gmfn);
	bvx_frame_release(entry.mfn);
	return GNTST_general_error;
}

static void end_close(struct copy_end *end)
{
	if (end->granted) {
		bvx_use_end(&end->use);
	} else {
		bvx_frame_release(end->use.mfn);
		if (end->use.write)
			bvx_dirtied(end->use.granter, end->use.gfn);
	}
	bvx_domain_put(end->use.granter);
}

static s16 end_open(struct bvx_call *call, struct copy_end *end, const struct gnttab_copy_ptr *ptr,
		    bool write, bool granted)
{
	u32 id = ptr->domid == DOMID_SELF ? call->domain->id : ptr->domid;
	s16 status;

	*end = (struct copy_end){
		.granted = granted,
		.use = { .ref = ptr->u.ref,
			 .user = call->domain->id,
			 .write = write,
			 .part_allowed = true },
	};
	if (!granted && id != call->domain->id && !call->domain->privileged)
		return GNTST_permission_denied;
	end->use.granter = bvx_domain_get(id);
	if (!end->use.granter)
		return GNTST_bad_domain;
	status = granted ? bvx_use_begin(&end->use) : end_own(call, end, ptr);
	if (status) {
		bvx_domain_put(end->use.granter);
		return status;
	}
	end->va = bvx_host_frame_va(end->use.mfn);
	return GNTST_okay;
}

static bool in_offer(const struct copy_end *end, u32 offset, u32 length)
{
	return offset >= end->use.offset && offset + length <= end->use.offset + end->use.length &&
	       offset + length <= BV_PAGE_SIZE;
}

static s16 copy_one(struct bvx_call *call, const struct gnttab_copy *op)
{
	struct copy_end from, to;
	s16 status;

	if (op->source.offset + op->len > BV_PAGE_SIZE || op->dest.offset + op->len > BV_PAGE_SIZE)
		return GNTST_bad_copy_arg;
	status = end_open(call, &from, &op->source, false, op->flags & GNTCOPY_source_gref);
	if (status)
		return status;
	status = end_open(call, &to, &op->dest, true, op->flags & GNTCOPY_dest_gref);
	if (!status) {
		if (in_offer(&from, op->source.offset, op->len) &&
		    in_offer(&to, op->dest.offset, op->len))
			__builtin_memmove(to.va + op->dest.offset, from.va + op->source.offset,
					  op->len);
		else
			status = GNTST_general_error;
		end_close(&to);
	}
	end_close(&from);
	return status;
}

/* ---- arrays of items ---- */

static long map_item(struct bvx_call *call, void *item)
{
	struct gnttab_map_grant_ref *op = item;

	op->status = map_one(call, op);
	return 0;
}

static long copy_item(struct bvx_call *call, void *item)
{
	struct gnttab_copy *op = item;

	op->status = copy_one(call, op);
	return 0;
}

/* The domain whose table is asked about. */
static struct bvx_domain *table_owner(struct bvx_call *call, u32 id, s16 *status)
{
	int error;
	struct bvx_domain *domain = bvx_domain_named(call->vcpu, id, &error);

	*status = domain	      ? GNTST_okay :
		  error == -XEN_ESRCH ? GNTST_bad_domain :
					GNTST_permission_denied;
	return domain;
}

static long query_size(struct bvx_call *call, void *item)
{
	struct gnttab_query_size *op = item;
	struct bvx_domain *domain = table_owner(call, op->dom, &op->status);

	if (!domain)
		return 0;
	op->nr_frames = domain->grants->frames;
	op->max_nr_frames = domain->grants->max_frames;
	bvx_domain_put(domain);
	return 0;
}

/* Guests whose memory is translated map the frames by add_to_physmap; here they only grow. */
static long setup_table(struct bvx_call *call, void *item)
{
	struct gnttab_setup_table *op = item;
	struct bvx_domain *domain = table_owner(call, op->dom, &op->status);
	struct bvx_shared frame;

	if (!domain)
		return 0;
	if (op->nr_frames > domain->grants->max_frames ||
	    (op->nr_frames && bvx_grants_frame(domain, false, op->nr_frames - 1, &frame)))
		op->status = GNTST_general_error;
	for (u32 i = 0; !op->status && i < op->nr_frames; i++) {
		xen_pfn_t gfn = domain->grants->frame_gfn[i];

		if (bvx_long_out(call, op->frame_list.p, i, gfn))
			op->status = GNTST_bad_virt_addr;
	}
	bvx_domain_put(domain);
	return 0;
}

static long set_version(struct bvx_call *call, void *item)
{
	struct gnttab_set_version *op = item;
	int error = bvx_grants_set_version(call->domain, op->version);

	op->version = call->domain->grants->version;
	return error;
}

static long get_version(struct bvx_call *call, void *item)
{
	struct gnttab_get_version *op = item;
	int error;
	struct bvx_domain *domain = bvx_domain_named(call->vcpu, op->dom, &error);

	if (!domain)
		return error;
	op->version = domain->grants->version;
	bvx_domain_put(domain);
	return 0;
}

static long get_status_frames(struct bvx_call *call, void *item)
{
	struct gnttab_get_status_frames *op = item;
	struct bvx_domain *domain = table_owner(call, op->dom, &op->status);

	if (!domain)
		return 0;
	if (domain->grants->version != 2 || op->nr_frames > domain->grants->status_frames)
		op->status = GNTST_general_error;
	for (u32 i = 0; !op->status && i < op->nr_frames; i++) {
		uint64_t gfn = domain->grants->status_gfn[i];

		if (bvx_item_out(call, op->frame_list.p, i, &gfn, sizeof(gfn)))
			op->status = GNTST_bad_virt_addr;
	}
	bvx_domain_put(domain);
	return 0;
}

struct grant_op {
	const char *name;
	u16 size;
	bool single; /* the count must be 1 */
	long (*perform)(struct bvx_call *call, void *item);
	const char *narrow; /* as struct bvx_op has it */
	long (*array)(struct bvx_call *call, u64 gva, u32 count); /* in the place of perform */
};

static const struct grant_op ops[] = {
	[GNTTABOP_map_grant_ref] = { "GNTTABOP_map_grant_ref", sizeof(struct gnttab_map_grant_ref),
				     false, map_item, NULL, NULL },
	[GNTTABOP_unmap_grant_ref] = { "GNTTABOP_unmap_grant_ref",
				       sizeof(struct gnttab_unmap_grant_ref), false, NULL, NULL,
				       unmap_items },
	[GNTTABOP_setup_table] = { "GNTTABOP_setup_table", sizeof(struct gnttab_setup_table), true,
				   setup_table, "242p", NULL },
	[GNTTABOP_copy] = { "GNTTABOP_copy", sizeof(struct gnttab_copy), false, copy_item,
			    "p22|p22|222", NULL },
	[GNTTABOP_query_size] = { "GNTTABOP_query_size", sizeof(struct gnttab_query_size), true,
				  query_size, NULL, NULL },
	[GNTTABOP_set_version] = { "GNTTABOP_set_version", sizeof(struct gnttab_set_version), true,
				   set_version, NULL, NULL },
	[GNTTABOP_get_status_frames] = { "GNTTABOP_get_status_frames",
					 sizeof(struct gnttab_get_status_frames), true,
					 get_status_frames, "422p", NULL },
	[GNTTABOP_get_version] = { "GNTTABOP_get_version", sizeof(struct gnttab_get_version), true,
				   get_version, NULL, NULL },
};

static long items(struct bvx_call *call, const struct grant_op *op, u64 gva, u32 count)
{
	size_t stride = bvx_arg_stride(call, op->size, op->narrow);

	for (u32 i = 0; i < count; i++) {
		u64 at = gva + (u64)i * stride;
		long result;

		if (bvx_arg_in(call, at, call->data, op->size, op->narrow))
			return bvx_call_refuse(call, XEN_EFAULT, "item %u at %#llx", i, at);
		result = op->perform(call, call->data);
		if (bvx_arg_out(call, at, call->data, op->size, op->narrow))
			return bvx_call_refuse(call, XEN_EFAULT, "item %u at %#llx", i, at);
		if (result < 0)
			return result;
		if (bvx_call_breathe(call))
			return 0;
	}
	return 0;
}

/* args: subop, items, their number */
long bvx_grant_table_op(struct bvx_call *call)
{
	u64 cmd = call->args[0];
	u32 count = (u32)call->args[2];

	if (cmd >= BV_ARRAY_SIZE(ops) || !ops[cmd].name)
		return bvx_call_refuse(call, XEN_ENOSYS, "there is no subop %llu", cmd);
	call->name = ops[cmd].name;
	if ((s32)count < 0 || (ops[cmd].single && count != 1))
		return bvx_call_refuse(call, XEN_EINVAL, "%u items", count);
	/* Long arrays give way between items. */
	if (count > 32 && call->vcpu->in_exit)
		return BVX_LATER;
	return ops[cmd].array ? ops[cmd].array(call, call->args[1], count) :
				items(call, &ops[cmd], call->args[1], count);
}
