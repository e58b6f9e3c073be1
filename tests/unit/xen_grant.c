// SPDX-License-Identifier: GPL-2.0-or-later
/* fronts/xen: grant tables. On hosts/fake. */
#include "fronts/xen/grant.h"
#include "xen_guest.h"

/* Where Dom0 maps: nothing lies there. */
#define MAP_GPA 0x6000000ULL

static struct dom d;
static struct grant_entry_v1 *table;

static void grants_start(void)
{
	world_start();
	domu_make(&d, 1, 100);
	table = map_grants(&d);
}

static void offer(u32 ref, u64 gfn, u16 flags)
{
	table[ref] = (struct grant_entry_v1){ (u16)(GTF_permit_access | flags), 0, (u32)gfn };
}

static struct gnttab_map_grant_ref map_op(u32 ref, u32 flags)
{
	return (struct gnttab_map_grant_ref){ .host_addr = MAP_GPA + ref * 0x1000ULL,
					      .flags = GNTMAP_host_map | flags,
					      .ref = ref,
					      .dom = (domid_t)d.domain->id };
}

static s16 unmap(u32 ref, u32 handle)
{
	struct gnttab_unmap_grant_ref op = { .host_addr = MAP_GPA + ref * 0x1000ULL,
					     .handle = handle };

	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_unmap_grant_ref, &op), 0);
	return op.status;
}

TEST(a_granted_page_is_mapped_and_unmapped)
{
	struct gnttab_map_grant_ref op;

	grants_start();
	offer(9, 5, 0);
	*(u64 *)at(d.domain, 0x5008) = 77;
	op = map_op(9, 0);
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_map_grant_ref, &op), 0);
	CHECK_EQ(op.status, GNTST_okay);
	CHECK_EQ(table[9].flags, GTF_permit_access | GTF_reading | GTF_writing);
	CHECK_EQ(*(u64 *)at(dom0.domain, op.host_addr + 8), 77);
	CHECK_EQ(unmap(9, op.handle + 1), GNTST_bad_virt_addr);
	CHECK_EQ(unmap(8, op.handle), GNTST_bad_virt_addr);
	CHECK_EQ(unmap(9, op.handle), GNTST_okay);
	CHECK_EQ(unmap(9, op.handle), GNTST_bad_virt_addr);
	CHECK_EQ(table[9].flags, GTF_permit_access);
	CHECK_EQ(bvx_p2m_look(&dom0.domain->p2m, op.host_addr >> 12).type, BVX_NONE);
	world_stop();
}

TEST(what_is_not_offered_is_not_mapped)
{
	struct gnttab_map_grant_ref op;

	grants_start();
	op = map_op(9, 0);
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_map_grant_ref, &op), 0);
	CHECK_EQ(op.status, GNTST_general_error);
	offer(9, 5, GTF_readonly);
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_map_grant_ref, &op), 0);
	CHECK_EQ(op.status, GNTST_general_error);
	offer(9, 0x9999, 0);
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_map_grant_ref, &op), 0);
	CHECK_EQ(op.status, GNTST_bad_page);
	CHECK_EQ(table[9].flags, GTF_permit_access);
	table[9].domid = 5;
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_map_grant_ref, &op), 0);
	CHECK_EQ(op.status, GNTST_general_error);
	op.ref = 100000;
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_map_grant_ref, &op), 0);
	CHECK_EQ(op.status, GNTST_bad_gntref);
	op.dom = 99;
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_map_grant_ref, &op), 0);
	CHECK_EQ(op.status, GNTST_bad_domain);
	/* Over memory of one's own. */
	offer(9, 5, 0);
	op = map_op(9, 0);
	op.host_addr = 0x7000;
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_map_grant_ref, &op), 0);
	CHECK_EQ(op.status, GNTST_general_error);
	CHECK_EQ(table[9].flags, GTF_permit_access);
	world_stop();
}

TEST(a_readonly_map_cannot_be_written)
{
	struct gnttab_map_grant_ref op;
	struct bv_host_frame frame;

	grants_start();
	offer(9, 5, GTF_readonly);
	op = map_op(9, GNTMAP_readonly);
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_map_grant_ref, &op), 0);
	CHECK_EQ(op.status, GNTST_okay);
	CHECK_EQ(table[9].flags, GTF_permit_access | GTF_readonly | GTF_reading);
	CHECK_EQ(bvx_frame_get(dom0.domain->vm, op.host_addr, false, &frame), 0);
	CHECK(!frame.writable);
	CHECK_EQ(bvx_frame_get(dom0.domain->vm, op.host_addr, true, &frame), -BV_EACCES);
	CHECK_EQ(unmap(9, op.handle), GNTST_okay);
	world_stop();
}

TEST(a_mapped_page_outlives_its_domain_until_it_is_unmapped)
{
	struct gnttab_map_grant_ref op;
	struct xen_domctl info = { 0 };
	u32 id;

	grants_start();
	id = d.domain->id;
	offer(9, 5, 0);
	*(u64 *)at(d.domain, 0x5000) = 42;
	op = map_op(9, 0);
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_map_grant_ref, &op), 0);
	domu_destroy(&d);
	CHECK_EQ(*(u64 *)at(dom0.domain, op.host_addr), 42);
	CHECK_EQ(domctl(&info, XEN_DOMCTL_getdomaininfo, id), 0);
	CHECK_EQ(info.u.getdomaininfo.tot_pages, 1);
	CHECK_EQ(unmap(9, op.handle), GNTST_okay);
	CHECK_EQ(domctl(&info, XEN_DOMCTL_getdomaininfo, id), -XEN_ESRCH);
	world_stop();
}

TEST(a_dead_mapper_gives_its_maps_back)
{
	struct gnttab_map_grant_ref op = { .host_addr = MAP_GPA, .flags = GNTMAP_host_map };
	struct grant_entry_v1 *own;

	grants_start();
	own = map_grants(&dom0);
	own[9] = (struct grant_entry_v1){ GTF_permit_access, (domid_t)d.domain->id, 0x200 };
	op.ref = 9;
	CHECK_EQ(GRANT(d.v[0], GNTTABOP_map_grant_ref, &op), 0);
	CHECK_EQ(op.status, GNTST_okay);
	CHECK(own[9].flags & GTF_writing);
	domu_destroy(&d);
	CHECK_EQ(own[9].flags, GTF_permit_access);
	world_stop();
}

TEST(copies_go_between_grants_and_pages_of_ones_own)
{
	struct gnttab_copy op = { .len = 100, .flags = GNTCOPY_source_gref };

	grants_start();
	offer(9, 5, 0);
	memset(at(d.domain, 0x5010), 0x42, 100);
	op.source.u.ref = 9;
	op.source.domid = (domid_t)d.domain->id;
	op.source.offset = 0x10;
	op.dest.u.gmfn = 0x30;
	op.dest.domid = DOMID_SELF;
	op.dest.offset = 0x80;
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_copy, &op), 0);
	CHECK_EQ(op.status, GNTST_okay);
	CHECK_EQ(*(u8 *)at(dom0.domain, 0x30080), 0x42);
	CHECK_EQ(*(u8 *)at(dom0.domain, 0x30080 + 99), 0x42);
	CHECK_EQ(*(u8 *)at(dom0.domain, 0x30080 + 100), 0);
	CHECK_EQ(table[9].flags, GTF_permit_access);
	op.dest.offset = 4000;
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_copy, &op), 0);
	CHECK_EQ(op.status, GNTST_bad_copy_arg);
	/* A guest reaches nobody's pages but by grants. */
	op = (struct gnttab_copy){ .len = 8 };
	op.source.u.gmfn = 0x30;
	op.source.domid = 0;
	op.dest.u.gmfn = 6;
	op.dest.domid = DOMID_SELF;
	CHECK_EQ(GRANT(d.v[0], GNTTABOP_copy, &op), 0);
	CHECK_EQ(op.status, GNTST_permission_denied);
	world_stop();
}

TEST(version_2_has_its_marks_in_the_status_words)
{
	struct gnttab_set_version version = { 2 };
	struct xen_add_to_physmap add = { .domid = DOMID_SELF,
					  .space = XENMAPSPACE_grant_table,
					  .idx = XENMAPIDX_grant_table_status,
					  .gpfn = 0x42 };
	struct gnttab_map_grant_ref op;
	union grant_entry_v2 *v2;
	u16 *status;

	grants_start();
	table[0] = (struct grant_entry_v1){ GTF_permit_access, 0, 7 };
	CHECK_EQ(GRANT(d.v[0], GNTTABOP_set_version, &version), 0);
	v2 = (void *)table;
	CHECK_EQ(v2[0].full_page.frame, 7);
	CHECK_EQ(MEMORY(d.v[0], XENMEM_add_to_physmap, &add), 0);
	status = at(d.domain, 0x42000);
	v2[9].full_page.frame = 5;
	v2[9].hdr.domid = 0;
	v2[9].hdr.flags = GTF_permit_access;
	op = map_op(9, 0);
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_map_grant_ref, &op), 0);
	CHECK_EQ(op.status, GNTST_okay);
	CHECK_EQ(status[9], GTF_reading | GTF_writing);
	CHECK_EQ(v2[9].hdr.flags, GTF_permit_access);
	version.version = 1;
	CHECK_EQ(GRANT(d.v[0], GNTTABOP_set_version, &version), -XEN_EBUSY);
	CHECK_EQ(unmap(9, op.handle), GNTST_okay);
	CHECK_EQ(status[9], 0);
	version.version = 1;
	CHECK_EQ(GRANT(d.v[0], GNTTABOP_set_version, &version), 0);
	CHECK_EQ(table[0].frame, 7);
	world_stop();
}

/* As a kernel does at its start, when the daemons have its store and console mapped already. */
TEST(a_version_is_asked_for_while_reserved_entries_are_in_use)
{
	struct gnttab_set_version version = { 1 };
	struct gnttab_map_grant_ref op;
	union grant_entry_v2 *v2;

	grants_start();
	table[1] = (struct grant_entry_v1){ GTF_permit_access, 0, 7 };
	op = map_op(1, 0);
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_map_grant_ref, &op), 0);
	CHECK_EQ(op.status, GNTST_okay);
	CHECK_EQ(GRANT(d.v[0], GNTTABOP_set_version, &version), 0);
	CHECK_EQ(table[1].flags, GTF_permit_access | GTF_reading | GTF_writing);
	version.version = 2;
	CHECK_EQ(GRANT(d.v[0], GNTTABOP_set_version, &version), 0);
	v2 = (void *)table;
	CHECK_EQ(v2[1].hdr.flags, GTF_permit_access);
	CHECK_EQ(v2[1].full_page.frame, 7);
	version.version = 1;
	CHECK_EQ(GRANT(d.v[0], GNTTABOP_set_version, &version), 0);
	CHECK_EQ(table[1].flags, GTF_permit_access | GTF_reading | GTF_writing);
	CHECK_EQ(unmap(1, op.handle), GNTST_okay);
	CHECK_EQ(table[1].flags, GTF_permit_access);
	world_stop();
}

TEST(a_part_of_a_page_is_copied_and_not_mapped)
{
	struct gnttab_copy copy = { .len = 16, .flags = GNTCOPY_source_gref };
	struct gnttab_set_version version = { 2 };
	struct gnttab_map_grant_ref op;
	union grant_entry_v2 *v2;

	grants_start();
	CHECK_EQ(GRANT(d.v[0], GNTTABOP_set_version, &version), 0);
	v2 = (void *)table;
	v2[9].sub_page.frame = 5;
	v2[9].sub_page.page_off = 64;
	v2[9].sub_page.length = 32;
	v2[9].hdr.flags = GTF_permit_access | GTF_sub_page;
	op = map_op(9, 0);
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_map_grant_ref, &op), 0);
	CHECK_EQ(op.status, GNTST_general_error);
	copy.source.u.ref = 9;
	copy.source.domid = (domid_t)d.domain->id;
	copy.source.offset = 80;
	copy.dest.u.gmfn = 0x30;
	copy.dest.domid = DOMID_SELF;
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_copy, &copy), 0);
	CHECK_EQ(copy.status, GNTST_okay);
	copy.source.offset = 81;
	CHECK_EQ(GRANT(dom0.v[0], GNTTABOP_copy, &copy), 0);
	CHECK_EQ(copy.status, GNTST_general_error);
	world_stop();
}

TEST(the_tools_seed_a_table_through_the_resource)
{
	struct xen_mem_acquire_resource op = { .type = XENMEM_resource_grant_table };
	struct gnttab_query_size size = { .dom = DOMID_SELF };

	grants_start();
	op.domid = (domid_t)d.domain->id;
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_acquire_resource, &op), 0);
	CHECK_EQ(op.nr_frames, 32);
	op.nr_frames = 1;
	op.frame_list.p = (void *)LIST;
	*(u64 *)at(dom0.domain, LIST) = MAP_GPA >> 12;
	CHECK_EQ(MEMORY(dom0.v[0], XENMEM_acquire_resource, &op), 0);
	((struct grant_entry_v1 *)at(dom0.domain, MAP_GPA))[1].frame = 0x1234;
	CHECK_EQ(table[1].frame, 0x1234);
	CHECK_EQ(GRANT(d.v[0], GNTTABOP_query_size, &size), 0);
	CHECK_EQ(size.status, GNTST_okay);
	CHECK_EQ(size.nr_frames, 1);
	CHECK_EQ(size.max_nr_frames, 32);
	world_stop();
}
