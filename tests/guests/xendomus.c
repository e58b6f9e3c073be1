// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The other half of bench/xen's guest, where there are DomUs: PVH Dom0 makes copies of itself,
 * which answer its events, talk to each other, or just sleep. All share one CPU.
 */
#include "cpu.h"
#include "rows.h"
#include "xen_domain.h"

#define DOMU_BYTES (16ull << 20)
#define IMAGE_BEGIN 0x100000ull
#define ROUNDS 1000
#define LIVES 4

extern u8 guest_image_end[], boot_pml4[];

/* ---- events, awaited by polling ---- */

static volatile struct xen_shared_info shared __attribute__((aligned(4096)));

static void event_send(u32 port)
{
	xen_must("evtchn_send", hypercall(HC_EVENT, 4, (u64)&port, 0));
}

static void event_wait(u32 port)
{
	xen_event_wait(&shared, port);
}

/* A port that the peer may bind. */
static u32 event_open(u16 domid, u16 peer)
{
	struct {
		u16 domid, peer;
		u32 port;
	} open = { domid, peer, 0 };

	xen_must("alloc_unbound", hypercall(HC_EVENT, 6, (u64)&open, 0));
	return open.port;
}

/* The other end of a peer's port; it begins pending. */
static u32 event_bind(u16 peer, u32 port)
{
	struct {
		u16 peer;
		u32 port, own;
	} bind = { peer, port, 0 };

	xen_must("bind_interdomain", hypercall(HC_EVENT, 0, (u64)&bind, 0));
	event_wait(bind.own);
	return bind.own;
}

/* ---- a DomU ---- */

/* What a DomU is for; set in Dom0's memory before that is copied. */
static struct {
	u16 peer;
	u32 peer_port; /* of the peer's that it binds; 0: its own is there already */
	u32 own_port;
	u64 rounds; /* it begins, and tells Dom0 when it has had them; 0: it answers */
	u32 done_port; /* Dom0's, for that */
} job;

static u8 domu_stack[4096] __attribute__((aligned(16)));

static void domu_main(void)
{
	u32 port = job.own_port, done;
	u64 i;

	xen_events_begin(&shared);
	if (job.peer_port)
		port = event_bind(job.peer, job.peer_port);
	if (job.peer_port && !job.rounds)
		event_send(port); /* it is there */
	if (job.rounds) {
		done = event_bind(0, job.done_port);
		for (i = 0; i < job.rounds; i++) {
			event_send(port);
			event_wait(port);
		}
		event_send(done);
	}
	for (;;) {
		event_wait(port);
		event_send(port);
	}
}

/* ---- Dom0 ---- */

/* All of the image but the page that belongs to the hypervisor. */
static void domain_copy_image(u16 domid)
{
	u64 hole = (u64)&shared;

	domain_copy(domid, IMAGE_BEGIN, (void *)IMAGE_BEGIN, hole - IMAGE_BEGIN);
	hole += GUEST_PAGE_SIZE;
	domain_copy(domid, hole, (void *)hole, (u64)guest_image_end - hole);
}

static void domain_build(u16 domid)
{
	/* 64-bit code on the image's own tables, with a stack as behind a call */
	struct xen_cpu cpu = {
		.rip = (u64)domu_main,
		.rsp = (u64)(domu_stack + sizeof(domu_stack) - 8),
		.cr0 = 0x80000011, /* paging, ET, protection */
		.cr3 = (u64)boot_pml4,
		.cr4 = CR4_PAE,
		.efer = 0x500, /* long mode, enabled and active */
	};

	domain_populate(domid, DOMU_BYTES);
	domain_copy_image(domid);
	domain_cpu(domid, &cpu);
}

static u32 echo_port;

static void do_event_domu(void)
{
	event_send(echo_port);
	event_wait(echo_port);
}

static const struct row event_rows[] = {
	{ "event-domu", do_event_domu, NULL, NULL },
};

/* A DomU that answers each event of Dom0's. */
static u16 echo_make(void)
{
	u16 domid = domain_new();

	echo_port = event_open(DOMID_SELF, domid);
	job.peer = 0;
	job.peer_port = echo_port;
	job.rounds = 0;
	domain_build(domid);
	domain_run(domid);
	event_wait(echo_port);
	return domid;
}

static void event_domu(void)
{
	u16 domid = echo_make();

	rows_run(event_rows, ARRAY_SIZE(event_rows));
	domain_destroy(domid);
}

/* Two DomUs send each other an event in turns, while Dom0 sleeps: two switches a round. */
static void switch_domus(void)
{
	u16 one = domain_new(), other = domain_new();
	u32 done = event_open(DOMID_SELF, other);
	u64 begin;

	job.peer_port = 0;
	job.own_port = event_open(one, other);
	job.rounds = 0;
	domain_build(one);
	job.peer = one;
	job.peer_port = job.own_port;
	job.rounds = ROUNDS;
	job.done_port = done;
	domain_build(other);
	domain_run(one);
	begin = rdtsc();
	domain_run(other);
	event_wait(done);
	row_print("domus-in-turns", rdtsc() - begin, ROUNDS);
	domain_destroy(one);
	domain_destroy(other);
}

static void do_life(void)
{
	u16 domid = domain_new();

	domain_build(domid);
	domain_destroy(domid);
}

/* With so many others that sleep. */
static void lives(const char *name, u32 others)
{
	u16 domids[8];
	u64 begin, best = ~0ull;
	u32 i;

	for (i = 0; i < others; i++)
		domids[i] = echo_make();
	for (i = 0; i < LIVES; i++) {
		begin = rdtsc();
		do_life();
		if (rdtsc() - begin < best)
			best = rdtsc() - begin;
	}
	row_print(name, best, 1);
	for (i = 0; i < others; i++)
		domain_destroy(domids[i]);
}

static void xendomus(void)
{
	xen_events_begin(&shared);
	event_domu();
	switch_domus();
	lives("life-beside-1", 1);
	lives("life-beside-4", 4);
	lives("life-beside-8", 8);
	CHECK(true);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(xendomus),
	GUEST_TESTS_END,
};
