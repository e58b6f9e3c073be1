// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hostile: a DomU on Xen's interface whose CPUs all make hypercalls with nonsense at once: every
 * number, every subop, pointers to anywhere and arrays of what calls look at first; besides storms
 * of events and grants, and rings to Dom0's back ends with garbage in them. Options seed and
 * seconds (2^30 ticks of the TSC each). What could end it on purpose is left out; what ends it all
 * the same is its own affair.
 */
#include "hostile.h"
#include "smp.h"
#include "xen.h"

/* Memory with which calls may do what they like: nothing of the guest is there. */
#define PLAY_BEGIN (32ull << 20)
#define PLAY_BYTES (16ull << 20)
#define WORDS 64u /* of an argument */

/* Where each CPU's calls find arguments: the first for them, the second for what they point to. */
static u64 arguments[MAX_CPUS][2][GUEST_PAGE_SIZE / 8] __attribute__((aligned(4096)));
static volatile struct xen_shared_info shared __attribute__((aligned(4096)));
static u64 grants[GUEST_PAGE_SIZE / 8] __attribute__((aligned(4096)));
static volatile u32 calls_made, calls_done_well;
static u64 until;

static u64 call5(u64 number, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	register u64 r10 __asm__("r10") = d;
	register u64 r8 __asm__("r8") = e;

	__asm__ volatile("vmmcall"
			 : "+a"(number), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
			 :
			 : "memory");
	return number;
}

struct player {
	u64 random;
	u64 *words, *list;
	u32 index;
	bool spares; /* small numbers may be frames of the guest itself: fewer of them */
};

static u64 any(struct player *player, u64 below)
{
	return random_next(&player->random) % below;
}

static u64 play_gfn(struct player *player)
{
	return (PLAY_BEGIN + any(player, PLAY_BYTES)) / GUEST_PAGE_SIZE;
}

/* What calls have a use for, or trip over. */
static u64 number(struct player *player)
{
	static const u64 odd[] = {
		DOMID_SELF,
		0x7ff1,
		0x7ff4,
		0x7fff,
		0xffff,
		~0u,
		1ull << 31,
		0x800000000000ull,
		1ull << 52,
		~0ull,
		1ull << 63,
		0xfee00,
		0xffff800000000000,
		4095,
		4096,
	};

	switch (any(player, 8)) {
	case 0:
		return odd[any(player, ARRAY_SIZE(odd))];
	case 1:
		return play_gfn(player);
	case 2:
		return PLAY_BEGIN + any(player, PLAY_BYTES);
	case 3:
		return (u64)player->list;
	case 4:
		return any(player, 8) ? (u64)player->words + any(player, GUEST_PAGE_SIZE) :
					random_next(&player->random);
	default:
		return player->spares && any(player, 8) ? play_gfn(player) : any(player, 24);
	}
}

/* Words, or halves of them: structures have both. */
static void fill(struct player *player, u64 *words, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++)
		words[i] = any(player, 3) ? number(player) :
					    (u32)number(player) | number(player) << 32;
}

/* ---- the calls ---- */

enum shape {
	SUBOP_ARG, /* subop, argument, and whatever */
	SUBOP_ARG_COUNT,
	SUBOP_NUMBER_ARG,
	ARG_COUNT,
	WITH_VERSION, /* the argument begins with the subop, and the interface's version */
	NUMBERS,
};

static const struct kind {
	u8 number, subops;
	enum shape shape;
	u32 version;
} kinds[] = {
	{ HC_MEMORY, 30, SUBOP_ARG, 0 },	{ HC_GRANT, 13, SUBOP_ARG_COUNT, 0 },
	{ HC_EVENT, 15, SUBOP_ARG, 0 },		{ HC_VCPU, 14, SUBOP_NUMBER_ARG, 0 },
	{ HC_SCHED, 8, SUBOP_ARG, 0 },		{ HC_HVM, 26, SUBOP_ARG, 0 },
	{ HC_VERSION, 13, SUBOP_ARG, 0 },	{ HC_SYSCTL, 30, WITH_VERSION, 0x15 },
	{ HC_DOMCTL, 90, WITH_VERSION, 0x15 },	{ HC_PLATFORM, 66, WITH_VERSION, 0x03000001 },
	{ HC_PHYSDEV, 32, SUBOP_ARG, 0 },	{ HC_MULTICALL, 1, ARG_COUNT, 0 },
	{ HC_CONSOLE, 3, SUBOP_NUMBER_ARG, 0 }, { HC_SET_TIMER, 1, NUMBERS, 0 },
	{ HC_VM_ASSIST, 8, SUBOP_ARG, 0 },
};

/*
 * What the guest would not come back from: its end, a poll without one, upcalls that look like
 * exceptions with an error code, and CPU 0, which tells how it went, taken out of service.
 */
static bool is_the_end(struct player *player, u64 number, u64 subop, u64 arg, u64 second)
{
	if (number == HC_SCHED && subop == 3)
		player->words[2] = 1 + any(player, 1ull << 30);
	if (number == HC_HVM && subop == 0 && !(player->words[0] >> 32))
		player->words[1] = 2ull << 56 | (0x20 + any(player, 0x60));
	if (number == HC_HVM && subop == 23)
		player->words[0] = any(player, 5) | (0x20 + any(player, 0x60)) << 32;
	return (number == HC_SCHED && subop == 2) || (number == HC_VCPU && subop == 2 && !second) ||
	       (number == HC_SCHED && subop == 3 && arg != (u64)player->words);
}

static u64 call_kind(struct player *player, const struct kind *kind)
{
	u64 subop = any(player, kind->subops), arg = (u64)player->words, count = any(player, 5);

	if (!any(player, 32))
		arg = number(player);
	/*
	 * Its own text must have room, too; and what arrays overwrite must not be the guest itself.
	 */
	if (!any(player, 64) && kind->number != HC_CONSOLE) {
		count = number(player);
		if (kind->shape == ARG_COUNT || kind->shape == SUBOP_ARG_COUNT) {
			arg = PLAY_BEGIN + any(player, PLAY_BYTES);
			count = any(player, 8) ? any(player, 2000) : count;
		}
	}
	if (is_the_end(player, kind->number, subop, arg, count))
		return 0;
	switch (kind->shape) {
	case SUBOP_NUMBER_ARG:
		return call5(kind->number, subop, count, arg, 0, 0);
	case ARG_COUNT:
		return call5(kind->number, arg, count, 0, 0, 0);
	case WITH_VERSION:
		player->words[0] = subop | (u64)kind->version << 32;
		return call5(kind->number, arg, 0, 0, 0, 0);
	case NUMBERS:
		return call5(kind->number, number(player), number(player), 0, 0, 0);
	default:
		return call5(kind->number, subop, arg, count, number(player), number(player));
	}
}

/* Entries of a multicall are calls, too: those that end the guest must not be among them. */
static void multicall_fill(struct player *player)
{
	u32 i;

	for (i = 0; i + 8 <= WORDS; i += 8) {
		const struct kind *kind = &kinds[any(player, ARRAY_SIZE(kinds))];

		player->words[i] = kind->number == HC_SCHED || kind->number == HC_CONSOLE ?
					   HC_VERSION :
					   kind->number;
		player->words[i + 2] = any(player, kind->subops);
		if (kind->number == HC_VCPU && player->words[i + 2] == 2)
			player->words[i + 2] = 3;
		player->words[i + 3] = (u64)player->list;
		player->words[i + 4] = any(player, 5);
	}
}

static u64 call_something(struct player *player)
{
	const struct kind *kind = &kinds[any(player, ARRAY_SIZE(kinds))];

	player->spares = kind->number == HC_MEMORY;
	fill(player, player->words, WORDS);
	/* Of reservations the order is here: from frame 0 on, a large one has the guest in it. */
	if (player->spares && any(player, 64))
		player->words[2] = (player->words[2] & ~0xffffffffull) | any(player, 3);
	player->spares = true;
	if (!any(player, 4))
		fill(player, player->list, WORDS);
	player->spares = false;
	if (kind->number == HC_MULTICALL)
		multicall_fill(player);
	return call_kind(player, kind);
}

/* Any number at all, but those with shapes of their own. */
static u64 call_unknown(struct player *player)
{
	u64 which = any(player, 8) ? 36 + any(player, 28) : number(player);

	if ((u32)which <= HC_DOMCTL)
		which = HC_NOBODYS;
	return call5(which, number(player), number(player), number(player), number(player),
		     number(player));
}

/* ---- storms ---- */

/* Events to all ports that there may be, unmasked, so that upcalls come as well. */
static u64 event_storm(struct player *player)
{
	u64 i;

	shared.mask[any(player, 4)] = random_next(&player->random);
	for (i = 0; i < 200; i++) {
		u32 port = (u32)any(player, 64);

		hypercall(HC_EVENT, 4, (u64)&port, 0);
		hypercall(HC_EVENT, 9, (u64)&port, 0);
	}
	shared.vcpu[player->index].upcall_pending = 0;
	cpu_window();
	return 0;
}

/* Ports that lead to itself, or that anybody else may bind. */
static u64 ports_open(struct player *player)
{
	struct {
		u16 domid, peer;
		u32 port;
	} open = { DOMID_SELF, (u16)(any(player, 2) ? DOMID_SELF : any(player, 8)), 0 };
	struct {
		u16 peer;
		u32 port, own;
	} bind = { DOMID_SELF, 0, 0 };

	hypercall(HC_EVENT, 6, (u64)&open, 0);
	bind.port = open.port;
	return hypercall(HC_EVENT, 0, (u64)&bind, 0);
}

/* Offers its pages to itself and to others, uses what it is offered, and changes its mind. */
static u64 grant_storm(struct player *player)
{
	u64 *words = player->words;
	u32 i;

	for (i = 0; i < 64; i++) {
		u32 entry = (u32)any(player, 64);

		/* flags, domain, frame: version 1 */
		grants[entry] = any(player, 8) | any(player, 4) << 16 |
				(any(player, 3) ? play_gfn(player) : number(player)) << 32;
		words[0] = PLAY_BEGIN + any(player, 64) * GUEST_PAGE_SIZE;
		words[1] = any(player, 16) | (u64)entry << 32;
		words[2] = any(player, 4) ? DOMID_SELF : any(player, 4);
		hypercall(HC_GRANT, 0, (u64)words, 1);
		words[2] = any(player, 4) ? words[2] >> 32 : any(player, 64);
		words[1] = 0;
		if (any(player, 2))
			hypercall(HC_GRANT, 1, (u64)words, 1);
	}
	return 0;
}

static u64 param(u32 index)
{
	struct {
		u16 domid;
		u32 index;
		u64 value;
	} get = { DOMID_SELF, index, 0 };

	xen_must("get_param", hypercall(HC_HVM, 1, (u64)&get, 0));
	return get.value;
}

/*
 * The rings of the store and the console (parameters 1, 2 and 17, 18), and their back ends' ports.
 */
static u64 ring_storm(struct player *player)
{
	u32 first = any(player, 2) ? 1 : 17, port = (u32)param(first + 1), i;
	volatile u32 *ring = (volatile u32 *)(param(first) * GUEST_PAGE_SIZE);

	for (i = 0; i < 32; i++)
		ring[any(player, GUEST_PAGE_SIZE / 4)] = (u32)number(player);
	/* consumers and producers lie behind the rings' bytes */
	for (i = 0x800; i < 0x840; i += 4)
		if (any(player, 2))
			ring[i / 4] = (u32)number(player);
	return hypercall(HC_EVENT, 4, (u64)&port, 0);
}

/* ---- all at once ---- */

static u64 play_once(struct player *player)
{
	switch (any(player, 64)) {
	case 0:
		return event_storm(player);
	case 1:
		return grant_storm(player);
	case 2:
		return any(player, 16) ? ports_open(player) : ring_storm(player);
	case 3:
	case 4:
		return call_unknown(player);
	case 5:
		cpu_window();
		return 0;
	default:
		return call_something(player);
	}
}

static void play(void *argument)
{
	u32 index = (u32)(u64)argument;
	struct player player = { .random = (u64)index * 77 + 1 + hostile_state,
				 .words = arguments[index][0],
				 .list = arguments[index][1],
				 .index = index };

	while (rdtsc() < until) {
		if (!play_once(&player))
			__atomic_add_fetch(&calls_done_well, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&calls_made, 1, __ATOMIC_RELAXED);
	}
}

static void on_any(struct trap_frame *frame)
{
	if (frame->vector != TRAP_NMI)
		apic_eoi();
}

static void handle_all(void)
{
	u32 i;

	trap_handle(TRAP_NMI, on_any);
	trap_set_ist(TRAP_NMI, 2);
	for (i = 32; i < 256; i++)
		if (i != TRAP_USER_RETURN && i != SMP_WAKE_VECTOR)
			trap_handle(i, on_any);
}

static void all_cpus_call_nonsense(void)
{
	u32 count = smp_start(), i;
	u64 quiet;

	hostile_seed();
	handle_all();
	xen_events_begin(&shared);
	xen_map(grants, XEN_GRANT_TABLE);
	until = rdtsc() + (guest_option("seconds", 5) << 30);
	for (i = 1; i < count; i++)
		smp_call(i, play, (void *)(u64)i);
	play(NULL);
	/* A guest may say only so much a second: what comes now is to be seen. */
	quiet = rdtsc() + (3ull << 30);
	while (rdtsc() < quiet)
		cpu_pause();
	/* Others may be out of service: nobody waits for them. */
	say("\nCALLS %u, done well: %u, on %u CPUs\n", calls_made, calls_done_well, count);
	CHECK(calls_made > 0);
	CHECK(calls_done_well > 0);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(all_cpus_call_nonsense),
	GUEST_TESTS_END,
};
