// SPDX-License-Identifier: GPL-2.0-or-later
/* Domains that a Dom0 makes: see xen_domain.h. */
#include "xen_domain.h"

struct domctl {
	u32 command, version;
	u16 domid, pad[3];
	union {
		struct {
			u32 ssid;
			u8 handle[16];
			u32 flags, iommu, vcpus, last_port, grant_frames, maptrack_frames;
			u32 grant_version, trace, pool, emulated, misc;
		} create;
		struct {
			u32 as_before[11];
			u32 grant_version, altp2m, trace, pool, emulated, misc;
		} create_4_20;
		u64 max_kib;
		u32 vcpus;
		struct {
			u32 op, mode, mib;
		} paging;
		struct {
			u32 bytes;
			u64 buffer;
		} context;
		u8 room[128];
	};
};

enum domctl_command {
	DOMCTL_CREATE = 1,
	DOMCTL_DESTROY = 2,
	DOMCTL_UNPAUSE = 4,
	DOMCTL_PAGING = 10,
	DOMCTL_MAX_MEM = 11,
	DOMCTL_MAX_VCPUS = 15,
	DOMCTL_GET_CONTEXT = 33,
	DOMCTL_SET_CONTEXT = 34
};

static bool xen_is_4_17(void)
{
	return hypercall(HC_VERSION, 0, 0, 0) == (4 << 16 | 17);
}

static s64 domctl(u32 command, u16 domid, struct domctl *op)
{
	op->command = command;
	op->version = xen_is_4_17() ? 0x15 : 0x17;
	op->domid = domid;
	return (s64)hypercall(HC_DOMCTL, (u64)op, 0, 0);
}

static void domctl_must(const char *what, u32 command, u16 domid, struct domctl *op)
{
	xen_must(what, (u64)domctl(command, domid, op));
}

u16 domain_new(void)
{
	struct domctl op = { 0 };

	op.create.flags = 3; /* HVM, with nested paging */
	/* a local APIC, which makes it PVH */
	*(xen_is_4_17() ? &op.create.emulated : &op.create_4_20.emulated) = 1;
	op.create.vcpus = 1;
	op.create.last_port = 1023;
	op.create.grant_frames = 64;
	op.create.maptrack_frames = 1024;
	op.create.grant_version = 2;
	domctl_must("createdomain", DOMCTL_CREATE, 0, &op);
	return op.domid;
}

static void domain_limits(u16 domid, u64 bytes)
{
	struct domctl op = { 0 };

	op.vcpus = 1;
	domctl_must("max_vcpus", DOMCTL_MAX_VCPUS, domid, &op);
	op.max_kib = bytes / 1024 + 1024;
	domctl_must("max_mem", DOMCTL_MAX_MEM, domid, &op);
	op = (struct domctl){ 0 };
	op.paging.op = 31; /* set the memory for nested page tables */
	op.paging.mib = 4;
	domctl_must("shadow_op", DOMCTL_PAGING, domid, &op);
}

void domain_populate(u16 domid, u64 bytes)
{
	u64 frame;
	struct xen_reservation ask = { (u64)&frame, 1, 9, 0, domid };

	domain_limits(domid, bytes);
	for (frame = 0; frame < bytes / GUEST_PAGE_SIZE; frame += 512)
		if (hypercall(HC_MEMORY, XEN_POPULATE, (u64)&ask, 0) != 1)
			guest_panic("no memory for domain %d", domid);
}

static u8 window[4096] __attribute__((aligned(4096)));

/* The DomU's page in the window's place. */
static void window_open(u16 domid, u64 gfn)
{
	u64 at = (u64)window / GUEST_PAGE_SIZE;
	s32 error = 0;
	struct {
		u16 domid, space, count, foreign;
		u64 from, to, errors;
	} add = { DOMID_SELF, 4, 1, domid, (u64)&gfn, (u64)&at, (u64)&error };

	xen_must("add_to_physmap_batch", hypercall(HC_MEMORY, 23, (u64)&add, 0));
	xen_must("add_to_physmap of a foreign page", (u64)error);
}

static void window_close(void)
{
	struct {
		u16 domid;
		u64 gfn;
	} remove = { DOMID_SELF, (u64)window / GUEST_PAGE_SIZE };

	xen_must("remove_from_physmap", hypercall(HC_MEMORY, 15, (u64)&remove, 0));
}

void domain_copy(u16 domid, u64 to, const void *from, u64 bytes)
{
	const u8 *at = from, *end = at + bytes;

	while (at < end) {
		u64 room = GUEST_PAGE_SIZE - to % GUEST_PAGE_SIZE;
		u64 count = (u64)(end - at) < room ? (u64)(end - at) : room;

		window_open(domid, to / GUEST_PAGE_SIZE);
		memcpy(window + to % GUEST_PAGE_SIZE, at, count);
		window_close();
		to += count;
		at += count;
	}
}

/* ---- its CPU's context ---- */

struct record {
	u16 type, instance;
	u32 bytes;
};

static void cpu_fill(struct xen_cpu *cpu)
{
	u32 i;

	cpu->rflags = 2;
	cpu->dr[4] = 0xffff0ff0;
	cpu->dr[5] = 0x400;
	for (i = 0; i < 6; i++) {
		cpu->selector[i] = i ? 0x10 : 8;
		cpu->limit[i] = ~0u;
		cpu->rights[i] = i ? 0xc93 : cpu->efer ? 0xa9b : 0xc9b;
	}
	cpu->limit[6] = 0x67;
	cpu->rights[6] = 0x8b;
}

/* In conventional memory, for the image is small where the hypervisor lies behind it. */
#define CONTEXT_BYTES 0x20000u
static u8 *const context = (u8 *)0x40000;

/* Behind the header, which is the hypervisor's: a CPU and the end. It has none while it is down. */
static u32 context_make(const struct xen_cpu *start)
{
	struct record *record = (void *)context;

	record = (void *)((u8 *)(record + 1) + record->bytes);
	*record = (struct record){ 2, 0, sizeof(*start) };
	memcpy(record + 1, start, sizeof(*start));
	cpu_fill((struct xen_cpu *)(record + 1));
	record = (void *)((u8 *)(record + 1) + record->bytes);
	*record = (struct record){ 0 };
	return (u32)((u8 *)(record + 1) - context);
}

void domain_cpu(u16 domid, const struct xen_cpu *start)
{
	struct domctl op = { 0 };

	op.context.bytes = CONTEXT_BYTES;
	op.context.buffer = (u64)context;
	domctl_must("gethvmcontext", DOMCTL_GET_CONTEXT, domid, &op);
	op.context.bytes = context_make(start);
	domctl_must("sethvmcontext", DOMCTL_SET_CONTEXT, domid, &op);
}

void domain_run(u16 domid)
{
	struct domctl op = { 0 };

	domctl_must("unpausedomain", DOMCTL_UNPAUSE, domid, &op);
}

void domain_destroy(u16 domid)
{
	struct domctl op = { 0 };

	while (domctl(DOMCTL_DESTROY, domid, &op) == -11) /* it asks for another call */
		;
}
