/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Domains on hosts/fake for tests of fronts/xen: a Dom0 with some memory, DomUs as the tools make
 * them, and the calls of both. Guests run with paging off, so an address is a physical one.
 */
#ifndef TESTS_UNIT_XEN_GUEST_H
#define TESTS_UNIT_XEN_GUEST_H

#include "fronts/xen/front.h"
#include "hosts/fake/fake.h"
#include "hosts/fake/xen.h"
#include "test.h"

#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/memory.h>
#include <xen/sysctl.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#define DOM0_PAGES 1024
#define FRAMES 16384
/* Where a guest has its arguments, and other things. */
#define ARG 0x10000ULL
#define LIST 0x20000ULL
#define LIST2 0x28000ULL
#define LIST3 0x30000ULL

struct dom {
	struct bvx_domain *domain;
	struct bvx_vcpu *v[4];
};

static struct dom dom0;

/* A guest's memory in ours. */
static inline void *at(struct bvx_domain *domain, u64 gpa)
{
	struct bvx_entry entry = bvx_p2m_look(&domain->p2m, gpa >> 12);
	u8 *va = entry.type == BVX_NONE ? NULL : bvx_host_frame_va(entry.mfn);

	if (!va) {
		fprintf(stderr, "no memory at %#llx\n", gpa);
		abort();
	}
	return va + (gpa & 0xfff);
}

static inline void dom0_make(u32 vcpus)
{
	const struct bvx_dom0_spec spec = { .max_vcpus = vcpus, .max_pages = ~0ULL };
	struct bv_mfn mfn;

	dom0 = (struct dom){ .domain = bvx_dom0_new(&spec) };
	for (u32 i = 0; i < DOM0_PAGES; i += 512)
		if (bvx_host_frames_alloc(9, 0, &mfn) ||
		    bvx_dom0_map(dom0.domain, BV_GFN(i), mfn, 512, BVX_DOM0_RAM))
			abort();
	for (u32 i = 0; i < vcpus; i++)
		dom0.v[i] = bvx_vcpu_new(dom0.domain, i);
	bvx_domain_start(dom0.domain);
}

static inline void world_start(void)
{
	fake_reset();
	fake_log_quiet = true;
	fake_xen_start(FRAMES);
	dom0_make(2);
}

static inline void world_stop(void)
{
	fake_xen_stop();
	CHECK_EQ(fake_allocs(), 0);
	CHECK_EQ(fake_timers(), 0);
}

/* A call whose argument is a structure: copied in and back. */
static inline long call_arg(struct bvx_vcpu *v, u32 nr, u64 cmd, void *arg, size_t size)
{
	void *there = at(v->domain, ARG);
	long result;

	memcpy(there, arg, size);
	result = fake_hypercall(v, nr, cmd, ARG, 0, 0, 0);
	memcpy(arg, there, size);
	return result;
}

static inline long event_op(struct bvx_vcpu *v, u64 cmd, void *arg, size_t size)
{
	return call_arg(v, __HYPERVISOR_event_channel_op, cmd, arg, size);
}
#define EVENT(v, cmd, arg) event_op(v, cmd, arg, sizeof(*(arg)))

static inline long memory_op(struct bvx_vcpu *v, u64 cmd, void *arg, size_t size)
{
	return call_arg(v, __HYPERVISOR_memory_op, cmd, arg, size);
}
#define MEMORY(v, cmd, arg) memory_op(v, cmd, arg, sizeof(*(arg)))

static inline long hvm_param(struct bvx_vcpu *v, u64 cmd, u32 domid, u32 index, u64 *value)
{
	struct xen_hvm_param op = { .domid = (domid_t)domid, .index = index, .value = *value };
	long result = call_arg(v, __HYPERVISOR_hvm_op, cmd, &op, sizeof(op));

	*value = op.value;
	return result;
}

static inline long grant_op(struct bvx_vcpu *v, u64 cmd, void *items, size_t size, u32 count)
{
	void *there = at(v->domain, ARG);
	long result;

	memcpy(there, items, size * count);
	result = fake_hypercall(v, __HYPERVISOR_grant_table_op, cmd, ARG, count, 0, 0);
	memcpy(items, there, size * count);
	return result;
}
#define GRANT(v, cmd, item) grant_op(v, cmd, item, sizeof(*(item)), 1)

static inline long domctl(struct xen_domctl *op, u32 cmd, u32 domid)
{
	op->cmd = cmd;
	op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	op->domain = (domid_t)domid;
	memcpy(at(dom0.domain, ARG), op, sizeof(*op));
	{
		long result = fake_hypercall(dom0.v[0], __HYPERVISOR_domctl, ARG, 0, 0, 0, 0);

		memcpy(op, at(dom0.domain, ARG), sizeof(*op));
		return result;
	}
}

static inline long sysctl(struct xen_sysctl *op, u32 cmd)
{
	long result;

	op->cmd = cmd;
	op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
	memcpy(at(dom0.domain, ARG), op, sizeof(*op));
	result = fake_hypercall(dom0.v[0], __HYPERVISOR_sysctl, ARG, 0, 0, 0, 0);
	memcpy(op, at(dom0.domain, ARG), sizeof(*op));
	return result;
}

/* Fills [0, pages) of a domain's memory, asked for by Dom0. */
static inline long populate(struct dom *d, u64 first, u64 pages)
{
	struct xen_memory_reservation op = { .nr_extents = pages, .domid = (domid_t)d->domain->id };

	for (u64 i = 0; i < pages; i++)
		((xen_pfn_t *)at(dom0.domain, LIST))[i % 512] = first + i;
	op.extent_start.p = (void *)LIST;
	return MEMORY(dom0.v[0], XENMEM_populate_physmap, &op);
}

/* A DomU as the tools make one: created, vCPUs, memory; paused. */
static inline void domu_make(struct dom *d, u32 vcpus, u64 pages)
{
	struct xen_domctl op = { 0 };

	op.u.createdomain = (struct xen_domctl_createdomain){
		.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
		.max_vcpus = vcpus,
		.max_evtchn_port = 1023,
		.max_grant_frames = 32,
		.max_maptrack_frames = 64,
		.grant_opts = XEN_DOMCTL_GRANT_version(2),
		.arch = { .emulation_flags = XEN_X86_EMU_LAPIC },
	};
	CHECK_EQ(domctl(&op, XEN_DOMCTL_createdomain, 0), 0);
	d->domain = bvx_domain_get(op.domain);
	if (!d->domain)
		abort();
	bvx_domain_put(d->domain);
	op.u.max_vcpus.max = vcpus;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_max_vcpus, d->domain->id), 0);
	for (u32 i = 0; i < vcpus; i++)
		d->v[i] = d->domain->vcpu[i];
	op.u.max_mem.max_memkb = pages * 4 + 64;
	CHECK_EQ(domctl(&op, XEN_DOMCTL_max_mem, d->domain->id), 0);
	for (u64 done = 0; done < pages; done += 256)
		CHECK_EQ(populate(d, done, pages - done < 256 ? pages - done : 256),
			 pages - done < 256 ? pages - done : 256);
}

static inline void domu_destroy(struct dom *d)
{
	struct xen_domctl op = { 0 };

	CHECK_EQ(domctl(&op, XEN_DOMCTL_destroydomain, d->domain->id), 0);
}

/* The guest puts its shared info and grant table frame 0 at these pages. */
#define SHARED_GFN 0x40ULL
#define GRANT_GFN 0x41ULL

static inline struct shared_info *map_shared(struct dom *d)
{
	struct xen_add_to_physmap op = { .domid = DOMID_SELF,
					 .space = XENMAPSPACE_shared_info,
					 .gpfn = SHARED_GFN };

	CHECK_EQ(MEMORY(d->v[0], XENMEM_add_to_physmap, &op), 0);
	return at(d->domain, SHARED_GFN << 12);
}

static inline void *map_grants(struct dom *d)
{
	struct xen_add_to_physmap op = { .domid = DOMID_SELF,
					 .space = XENMAPSPACE_grant_table,
					 .gpfn = GRANT_GFN };

	CHECK_EQ(MEMORY(d->v[0], XENMEM_add_to_physmap, &op), 0);
	return at(d->domain, GRANT_GFN << 12);
}

#endif
