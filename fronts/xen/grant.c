// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A domain's grant table: its frames, the use of its entries, and the version. Maps and copies that
 * use entries are in grant_op.c.
 *
 * Theory. The table is shared: the guest writes who may use which of its frames; we write only the
 * marks that say that somebody does (in the entry itself, or in version 2's status words). An entry
 * is read once, checked, and marked by a compare-and-exchange with what was checked; so a guest
 * that takes an offer back at the same moment either comes first, and the use is refused, or sees
 * the mark. Each use has a hold of its own on the frame: what the guest does with entry and frame
 * afterwards harms nobody else.
 */
#include "grant_use.h"

#include "call.h"

/* ---- frames ---- */

static u32 refs_a_frame(const struct bvx_grants *grants)
{
	return grants->version == 2 ? BVX_GRANTS_V2 : BVX_GRANTS_V1;
}

/* Room for one more frame, made before the lock is taken. */
struct grant_room {
	struct bvx_shared frame;
	struct bvx_active *active;
};

static int room_make(struct grant_room *room)
{
	*room = (struct grant_room){ .active = bv_host_alloc(BVX_GRANTS_V1 *
							     sizeof(struct bvx_active)) };
	if (!room->active)
		return -XEN_ENOMEM;
	if (!bvx_shared_new(&room->frame))
		return 0;
	bv_host_free(room->active);
	return -XEN_ENOMEM;
}

static void room_free(struct bvx_domain *domain, struct grant_room *room)
{
	bvx_shared_drop(domain, &room->frame);
	bv_host_free(room->active);
}

/* Grows the table up to a frame. sleep. */
static int table_grow(struct bvx_domain *domain, u32 index)
{
	struct bvx_grants *grants = domain->grants;

	while (BV_READ_ONCE(grants->frames) <= index) {
		struct grant_room room;

		if (index >= grants->max_frames)
			return -XEN_EINVAL;
		if (room_make(&room))
			return -XEN_ENOMEM;
		bv_host_spin_lock(&grants->lock);
		if (grants->frames <= index) {
			grants->frame[grants->frames] = room.frame;
			grants->active[grants->frames] = room.active;
			__atomic_store_n(&grants->frames, grants->frames + 1, __ATOMIC_RELEASE);
			room = (struct grant_room){ 0 };
		}
		bv_host_spin_unlock(&grants->lock);
		room_free(domain, &room);
	}
	return 0;
}

static u32 status_frames_due(const struct bvx_grants *grants)
{
	return (grants->frames * BVX_GRANTS_V2 + BVX_STATUS_A_FRAME - 1) / BVX_STATUS_A_FRAME;
}

/* As many status frames as the table has need of. sleep. */
static int status_grow(struct bvx_domain *domain)
{
	struct bvx_grants *grants = domain->grants;

	while (BV_READ_ONCE(grants->status_frames) < status_frames_due(grants)) {
		struct bvx_shared fresh;

		if (bvx_shared_new(&fresh))
			return -XEN_ENOMEM;
		bv_host_spin_lock(&grants->lock);
		if (grants->status_frames < status_frames_due(grants)) {
			grants->status[grants->status_frames++] = fresh;
			fresh.va = NULL;
		}
		bv_host_spin_unlock(&grants->lock);
		bvx_shared_drop(domain, &fresh);
	}
	return 0;
}

int bvx_grants_frame(struct bvx_domain *domain, bool status, u32 index, struct bvx_shared *frame)
{
	struct bvx_grants *grants = domain->grants;
	int error = status ? 0 : table_grow(domain, index);

	if (!error && grants->version == 2)
		error = status_grow(domain);
	if (!error && status && (grants->version != 2 || index >= grants->status_frames))
		error = -XEN_EINVAL;
	if (error)
		return bvx_refuse(domain, -error, "grant table: no %s frame %u",
				  status ? "status" : "shared", index);
	*frame = status ? grants->status[index] : grants->frame[index];
	return 0;
}

/* ---- entries ---- */

static struct bvx_active *active_of(const struct bvx_grants *grants, u32 ref)
{
	u32 a_frame = refs_a_frame(grants);

	if (ref / a_frame >= grants->frames)
		return NULL;
	return &grants->active[ref / a_frame][ref % a_frame];
}

static u32 *head_of(const struct bvx_grants *grants, u32 ref)
{
	u32 a_frame = refs_a_frame(grants);

	return (u32 *)(grants->frame[ref / a_frame].va + ref % a_frame * (BV_PAGE_SIZE / a_frame));
}

static u16 *status_of(const struct bvx_grants *grants, u32 ref)
{
	return (u16 *)grants->status[ref / BVX_STATUS_A_FRAME].va + ref % BVX_STATUS_A_FRAME;
}

/* What an entry says beside its head. */
static void entry_read(const struct bvx_grants *grants, u32 ref, u16 flags, struct bvx_use *use)
{
	const u32 *head = head_of(grants, ref);

	use->offset = 0;
	use->length = BV_PAGE_SIZE;
	if (grants->version == 1) {
		use->gfn = BV_READ_ONCE(head[1]);
		return;
	}
	use->gfn = BV_READ_ONCE(*(const u64 *)&head[2]);
	if (flags & GTF_sub_page) {
		u32 part = BV_READ_ONCE(head[1]);

		use->offset = (u16)part;
		use->length = part >> 16;
	}
}

static s16 entry_check(const struct bvx_grants *grants, u32 head, const struct bvx_use *use)
{
	u16 flags = (u16)head;

	if ((flags & GTF_type_mask) != GTF_permit_access || head >> 16 != use->user)
		return GNTST_general_error;
	if (use->write && flags & GTF_readonly)
		return GNTST_general_error;
	if (flags & GTF_sub_page && (grants->version == 1 || !use->part_allowed))
		return GNTST_general_error;
	return GNTST_okay;
}

/* Marks the entry, if it still is what was checked. */
static bool entry_mark(const struct bvx_grants *grants, u32 ref, u32 head, bool write)
{
	u16 marks = GTF_reading | (write ? GTF_writing : 0);
	u32 *at = head_of(grants, ref);

	if (grants->version == 1)
		return __atomic_compare_exchange_n(at, &head, head | marks, false, __ATOMIC_SEQ_CST,
						   __ATOMIC_SEQ_CST);
	__atomic_fetch_or(status_of(grants, ref), marks, __ATOMIC_SEQ_CST);
	return __atomic_load_n(at, __ATOMIC_SEQ_CST) == head;
}

/* Takes back marks of uses that are over. Locked. */
static void entry_unmark(const struct bvx_grants *grants, u32 ref, const struct bvx_active *active)
{
	u16 gone = (active->writers ? 0 : GTF_writing) |
		   (active->writers || active->readers ? 0 : GTF_reading);
	u16 *at = grants->version == 2 ? status_of(grants, ref) : (u16 *)head_of(grants, ref);

	if (gone)
		__atomic_fetch_and(at, (u16)~gone, __ATOMIC_SEQ_CST);
}

static s16 use_begin_locked(const struct bvx_grants *grants, struct bvx_use *use)
{
	struct bvx_active *active = active_of(grants, use->ref);

	if (!active ||
	    (grants->version == 2 && use->ref / BVX_STATUS_A_FRAME >= grants->status_frames))
		return GNTST_bad_gntref;
	/* A guest that changes its entry all the time loses. */
	for (u32 tries = 0; tries < 5; tries++) {
		u32 head = __atomic_load_n(head_of(grants, use->ref), __ATOMIC_SEQ_CST);
		s16 status = entry_check(grants, head, use);

		if (status)
			return status;
		entry_read(grants, use->ref, (u16)head, use);
		if (entry_mark(grants, use->ref, head, use->write)) {
			active->readers += !use->write;
			active->writers += use->write;
			return GNTST_okay;
		}
		entry_unmark(grants, use->ref, active);
	}
	return GNTST_eagain;
}

static void use_end_marks(struct bvx_use *use)
{
	struct bvx_grants *grants = use->granter->grants;
	struct bvx_active *active;

	bv_host_spin_lock(&grants->lock);
	active = active_of(grants, use->ref);
	active->readers -= !use->write;
	active->writers -= use->write;
	entry_unmark(grants, use->ref, active);
	bv_host_spin_unlock(&grants->lock);
}

s16 bvx_use_begin(struct bvx_use *use)
{
	struct bvx_grants *grants = use->granter->grants;
	struct bvx_entry entry;
	s16 status;

	bv_host_spin_lock(&grants->lock);
	status = bvx_domain_dying(use->granter) ? GNTST_bad_domain : use_begin_locked(grants, use);
	bv_host_spin_unlock(&grants->lock);
	if (status)
		return status;
	if (bvx_p2m_hold(use->granter, use->gfn, false, &entry)) {
		use_end_marks(use);
		return GNTST_bad_page;
	}
	use->mfn = entry.mfn;
	if (!use->write || entry.type != BVX_RAM_READONLY)
		return GNTST_okay;
	bvx_use_end(use);
	return GNTST_general_error;
}

void bvx_use_end(struct bvx_use *use)
{
	bvx_frame_release(use->mfn);
	if (use->write)
		bvx_dirtied(use->granter, use->gfn);
	use_end_marks(use);
}

/* ---- versions ---- */

static u16 marks_of(const struct bvx_active *active)
{
	return (active->readers || active->writers ? GTF_reading : 0) |
	       (active->writers ? GTF_writing : 0);
}

/*
 * Whether an entry is in use that a switch would forget. The reserved ones, which the tools filled
 * in and the daemons have mapped, are kept.
 */
static bool any_active(const struct bvx_grants *grants)
{
	for (u32 i = 0; i < grants->frames; i++)
		for (u32 j = i ? 0 : GNTTAB_NR_RESERVED_ENTRIES; j < BVX_GRANTS_V1; j++)
			if (marks_of(&grants->active[i][j]))
				return true;
	return false;
}

/* All entries but the reserved ones are forgotten; these are written in the other form. */
static void table_convert(struct bvx_grants *grants, u32 version)
{
	struct grant_entry_v1 kept[GNTTAB_NR_RESERVED_ENTRIES];
	struct grant_entry_v1 *v1 = (struct grant_entry_v1 *)grants->frame[0].va;
	union grant_entry_v2 *v2 = (union grant_entry_v2 *)grants->frame[0].va;

	for (u32 i = 0; i < GNTTAB_NR_RESERVED_ENTRIES; i++) {
		if (grants->version == 1)
			kept[i] = v1[i];
		else
			kept[i] = (struct grant_entry_v1){ v2[i].hdr.flags, v2[i].hdr.domid,
							   (u32)v2[i].full_page.frame };
		if ((kept[i].flags & GTF_type_mask) != GTF_permit_access)
			kept[i] = (struct grant_entry_v1){ 0 };
	}
	for (u32 i = 0; i < grants->frames; i++)
		__builtin_memset(grants->frame[i].va, 0, BV_PAGE_SIZE);
	for (u32 i = 0; i < grants->status_frames; i++)
		__builtin_memset(grants->status[i].va, 0, BV_PAGE_SIZE);
	grants->version = version;
	for (u32 i = 0; i < GNTTAB_NR_RESERVED_ENTRIES; i++) {
		u16 marks = marks_of(active_of(grants, i));

		kept[i].flags &= (u16) ~(GTF_reading | GTF_writing);
		if (version == 1) {
			kept[i].flags |= marks;
			v1[i] = kept[i];
			continue;
		}
		v2[i].full_page.frame = kept[i].frame;
		v2[i].hdr.domid = kept[i].domid;
		v2[i].hdr.flags = kept[i].flags;
		*status_of(grants, i) = marks;
	}
}

static int version_switch(struct bvx_domain *domain, u32 version)
{
	struct bvx_grants *grants = domain->grants;
	int error = version == 2 ? status_grow(domain) : 0;

	if (error)
		return error;
	bv_host_spin_lock(&grants->lock);
	if (grants->version == version)
		error = 0;
	else if (any_active(grants))
		error = -XEN_EBUSY;
	else if (version == 2 && grants->status_frames < status_frames_due(grants))
		error = -XEN_EAGAIN;
	else
		table_convert(grants, version);
	bv_host_spin_unlock(&grants->lock);
	return error;
}

int bvx_grants_set_version(struct bvx_domain *domain, u32 version)
{
	struct bvx_grants *grants = domain->grants;
	int error;

	if (version != 1 && version != 2)
		return bvx_refuse(domain, XEN_EINVAL, "grant table: version %u", version);
	if (version > grants->max_version)
		return bvx_refuse(domain, XEN_ENOSYS, "grant table: version %u, offered is %u",
				  version, grants->max_version);
	do {
		error = version_switch(domain, version);
	} while (error == -XEN_EAGAIN);
	if (error == -XEN_EBUSY)
		return bvx_refuse(domain, XEN_EBUSY, "grant table: entries are in use");
	return error;
}

/* ---- birth and death ---- */

static u32 limited(s32 asked, u32 most)
{
	return asked < 0 || (u32)asked > most ? most : (u32)asked;
}

int bvx_grants_init(struct bvx_domain *domain, const struct xen_domctl_createdomain *spec)
{
	struct bvx_grants *grants = bv_host_alloc(sizeof(*grants));
	u32 version = XEN_DOMCTL_GRANT_version(spec->grant_opts);

	if (!grants)
		return -XEN_ENOMEM;
	domain->grants = grants;
	bv_host_spin_init(&grants->lock);
	bv_host_spin_init(&grants->map_lock);
	grants->max_frames = limited(spec->max_grant_frames, BVX_GRANT_FRAMES);
	grants->max_maps = limited(spec->max_maptrack_frames, BVX_MAPTRACK_FRAMES) * 256;
	grants->max_version = version ? version : 2;
	grants->version = 1;
	grants->free_map = ~0u;
	__builtin_memset(grants->frame_gfn, 0xff, sizeof(grants->frame_gfn));
	__builtin_memset(grants->status_gfn, 0xff, sizeof(grants->status_gfn));
	return grants->max_frames ? table_grow(domain, 0) : 0;
}

void bvx_grants_fini(struct bvx_domain *domain)
{
	struct bvx_grants *grants = domain->grants;

	if (!grants)
		return;
	for (u32 i = 0; i < grants->frames; i++) {
		bvx_shared_drop(domain, &grants->frame[i]);
		bv_host_free(grants->active[i]);
	}
	for (u32 i = 0; i < grants->status_frames; i++)
		bvx_shared_drop(domain, &grants->status[i]);
	for (u32 i = 0; i < grants->map_blocks; i++)
		bv_host_pages_free(grants->map_block[i], 0);
	bv_host_free(grants->map_block);
	bv_host_free(grants);
	domain->grants = NULL;
}
