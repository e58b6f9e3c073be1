// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The benchmark's guest of a Xen hypervisor: what hypercalls and exits cost, with bench/xen, which
 * starts it as PVH Dom0, so that no Linux runs beside it. Rows are as in bench.c.
 */
#include "apic.h"
#include "cpu.h"
#include "paging.h"
#include "rows.h"
#include "xen.h"

#define UPCALL_VECTOR 0x50

static void *map_special(u32 space)
{
	void *page = page_alloc();

	xen_map(page, space);
	return page;
}

static volatile struct xen_shared_info *shared;

/* ---- calls and exits ---- */

static void do_version(void)
{
	hypercall(HC_VERSION, 0, 0, 0);
}

static void do_nobodys(void)
{
	hypercall(HC_NOBODYS, 0, 0, 0);
}

static void do_features(void)
{
	struct {
		u32 index, map;
	} features = { 0, 0 };

	hypercall(HC_VERSION, 6, (u64)&features, 0);
}

static void do_yield(void)
{
	hypercall(HC_SCHED, 0, 0, 0);
}

static void do_set_timer(void)
{
	hypercall(HC_SET_TIMER, 1ull << 42, 0, 0); /* more than an hour */
}

static void do_cpuid(void)
{
	cpuid(1, 0);
}

static void do_rdmsr(void)
{
	rdmsr(MSR_APIC_BASE);
}

static void do_wrmsr(void)
{
	wrmsr(MSR_MTRR_DEF_TYPE, 0xc06);
}

static void do_lapic_read(void)
{
	mmio_read32(APIC_PAGE + APIC_ID);
}

static void do_lapic_write(void)
{
	mmio_write32(APIC_PAGE + APIC_LVT_ERROR, LVT_MASKED);
}

static void do_eoi(void)
{
	mmio_write32(APIC_PAGE + APIC_EOI, 0);
}

static void do_ioapic(void)
{
	mmio_read32(IOAPIC_PAGE);
}

static void do_port(void)
{
	inb(0x20);
}

static void do_cr4(void)
{
	u64 cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	write_cr4(cr4 | CR4_PGE);
	write_cr4(cr4);
}

static void do_query_size(void)
{
	struct {
		u16 domid;
		u32 frames, most;
		s16 status;
	} query = { .domid = DOMID_SELF };

	hypercall(HC_GRANT, 6, (u64)&query, 1);
}

/* ---- events ---- */

static u32 port;
static volatile u32 upcalls;

static void send(void)
{
	hypercall(HC_EVENT, 4, (u64)&port, 0);
}

static void events_clear(void)
{
	shared->vcpu[0].upcall_pending = 0;
	shared->vcpu[0].pending_sel = 0;
	shared->pending[0] = 0;
}

static void upcall(struct trap_frame *frame)
{
	(void)frame;
	events_clear();
	upcalls++;
	apic_eoi();
}

static void do_send_masked(void)
{
	shared->pending[0] = 0;
	send();
}

static void do_send_upcall(void)
{
	u32 before = upcalls;

	send();
	while (upcalls == before)
		cpu_window();
}

static void do_timer_upcall(void)
{
	struct {
		u64 ns;
		u32 flags;
	} timer = { 1, 0 };
	u32 before = upcalls;

	hypercall(HC_VCPU, 8, 0, (u64)&timer);
	while (upcalls == before)
		cpu_window();
}

static void begin_masked(void)
{
	shared->mask[0] = ~0ull;
}

static void begin_open(void)
{
	events_clear();
	shared->mask[0] = 0;
}

static void end_open(void)
{
	shared->mask[0] = ~0ull;
	cpu_window();
	events_clear();
}

static void events_begin(void)
{
	struct {
		u32 vcpu, port;
	} ipi = { 0, 0 };
	struct {
		u32 virq, vcpu, port;
	} virq = { 0, 0, 0 }; /* the timer's */
	struct {
		u32 vcpu;
		u8 vector;
	} vector = { 0, UPCALL_VECTOR };

	shared = map_special(XEN_SHARED_INFO);
	trap_handle(UPCALL_VECTOR, upcall);
	xen_must("set_evtchn_upcall_vector", hypercall(HC_HVM, 23, (u64)&vector, 0));
	xen_must("bind_ipi", hypercall(HC_EVENT, 7, (u64)&ipi, 0));
	xen_must("bind_virq", hypercall(HC_EVENT, 1, (u64)&virq, 0));
	port = ipi.port;
	shared->vcpu[0].upcall_mask = 0;
}

/* ---- memory and grants ---- */

static u64 given_gfn;

static void reserve(u32 subop)
{
	struct xen_reservation ask = { (u64)&given_gfn, 1, 0, 0, DOMID_SELF };

	if (hypercall(HC_MEMORY, subop, (u64)&ask, 0) != 1)
		guest_panic("memory_op %u refused", subop);
}

/* A page goes and comes again: at its own place, as Dom0's memory must. */
static void do_balloon(void)
{
	reserve(XEN_DECREASE);
	reserve(XEN_POPULATE);
}

static void begin_balloon(void)
{
	given_gfn = (u64)page_alloc() / GUEST_PAGE_SIZE;
}

struct grant_entry {
	u16 flags, domid;
	u32 frame;
};

struct grant_map {
	u64 address;
	u32 flags, ref;
	u16 domid;
	s16 status;
	u32 handle;
	u64 bus;
};

struct grant_unmap {
	u64 address, bus;
	u32 handle;
	s16 status;
};

struct grant_place {
	u64 gfn;
	u16 domid, offset;
};

struct grant_copy {
	struct grant_place from, to;
	u16 length, flags;
	s16 status;
};

#define GRANT_REF 8

static bool grant_map(void)
{
	struct grant_map map = { .address = given_gfn * GUEST_PAGE_SIZE,
				 .flags = 2,
				 .ref = GRANT_REF };
	struct grant_unmap unmap = { .address = map.address };

	if (hypercall(HC_GRANT, 0, (u64)&map, 1) || map.status)
		return false;
	unmap.handle = map.handle;
	return !hypercall(HC_GRANT, 1, (u64)&unmap, 1) && !unmap.status;
}

static void do_grant_map(void)
{
	grant_map();
}

static u16 copy_bytes;
static struct grant_place copy_from, copy_to;

static bool grant_copy(void)
{
	struct grant_copy copy = { copy_from, copy_to, copy_bytes, 0, 0 };

	return !hypercall(HC_GRANT, 5, (u64)&copy, 1) && !copy.status;
}

static void do_grant_copy(void)
{
	grant_copy();
}

static const struct row exits[] = {
	{ "hypercall", do_version, NULL, NULL },
	{ "hypercall-nobodys", do_nobodys, NULL, NULL },
	{ "hypercall-with-argument", do_features, NULL, NULL },
	{ "yield", do_yield, NULL, NULL },
	{ "timer-set", do_set_timer, NULL, NULL },
	{ "cpuid", do_cpuid, NULL, NULL },
	{ "rdmsr-apic-base", do_rdmsr, NULL, NULL },
	{ "wrmsr-mtrr", do_wrmsr, NULL, NULL },
	{ "lapic-read", do_lapic_read, NULL, NULL },
	{ "lapic-write", do_lapic_write, NULL, NULL },
	{ "lapic-eoi", do_eoi, NULL, NULL },
	{ "ioapic-read", do_ioapic, NULL, NULL },
	{ "port-in", do_port, NULL, NULL },
	{ "cr4-twice", do_cr4, NULL, NULL },
	{ "grant-query-size", do_query_size, NULL, NULL },
	{ "balloon-page", do_balloon, begin_balloon, NULL },
};

static const struct row events[] = {
	{ "event-masked", do_send_masked, begin_masked, NULL },
	{ "event-pending", send, begin_masked, NULL },
	{ "event-upcall", do_send_upcall, begin_open, end_open },
	{ "timer-upcall", do_timer_upcall, begin_open, end_open },
};

static const struct row map_rows[] = {
	{ "grant-map-unmap", do_grant_map, NULL, NULL },
};

static const struct row copy_rows[] = {
	{ "grant-copy-page", do_grant_copy, NULL, NULL },
};

/* A page of its own that it grants to itself. What is refused has no row. */
static void grants(void)
{
	volatile struct grant_entry *entry = map_special(XEN_GRANT_TABLE);
	u64 page = (u64)page_alloc() / GUEST_PAGE_SIZE;

	entry[GRANT_REF].domid = 0;
	entry[GRANT_REF].frame = (u32)page;
	entry[GRANT_REF].flags = 1;
	copy_bytes = GUEST_PAGE_SIZE;
	copy_from = (struct grant_place){ page, DOMID_SELF, 0 };
	copy_to = (struct grant_place){ (u64)page_alloc() / GUEST_PAGE_SIZE, DOMID_SELF, 0 };
	if (grant_copy())
		rows_run(copy_rows, ARRAY_SIZE(copy_rows));
	reserve(XEN_DECREASE);
	if (grant_map())
		rows_run(map_rows, ARRAY_SIZE(map_rows));
}

/* ---- memory of the hypervisor ---- */

struct physinfo {
	u32 command, version;
	u32 threads, cores, cpus, max_cpu, nodes, max_node, khz, capabilities, arch, pad;
	u64 total, free, scrub, outstanding, max_mfn;
	u32 hw_cap[8];
	u64 room[16];
};

static void memory_taken(void)
{
	struct physinfo info = { .command = 3, .version = 0x15 };
	u16 self = DOMID_SELF;
	u64 own;

	xen_must("physinfo", hypercall(HC_SYSCTL, (u64)&info, 0, 0));
	own = hypercall(HC_MEMORY, 3, (u64)&self, 0);
	say("COUNT memory-taken-kib %llu\n", (info.total - info.free - own) * 4);
}

static void xenbench(void)
{
	memory_taken();
	rows_run(exits, ARRAY_SIZE(exits));
	events_begin();
	rows_run(events, ARRAY_SIZE(events));
	grants();
	CHECK(true);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(xenbench),
	GUEST_TESTS_END,
};
