// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * KVM's clock for guests (the kernel's document virt/kvm/x86/msr): the page of each CPU, that time
 * does not go backwards, and that it is the time of day, by the PC's own clock.
 */
#include "apic.h"
#include "cpu.h"

#define LEAF_SIGNATURE 0x40000000
#define LEAF_FEATURES 0x40000001
#define FEATURE_CLOCK_NEW (1u << 3)
#define MSR_WALL_CLOCK_OLD 0x11
#define MSR_SYSTEM_TIME_OLD 0x12
#define MSR_WALL_CLOCK 0x4b564d00
#define MSR_SYSTEM_TIME 0x4b564d01
#define FLAG_STABLE 1

struct time_info {
	u32 version, pad;
	u64 tsc, ns;
	u32 mul;
	s8 shift;
	u8 flags, pad2[2];
};

struct wall_clock {
	u32 version, seconds, nanoseconds;
};

static struct time_info pages[MAX_CPUS] __attribute__((aligned(32)));
static struct wall_clock wall __attribute__((aligned(4)));

static bool no_clock(void)
{
	struct cpuid id = cpuid(LEAF_SIGNATURE, 0);

	if (id.ebx == 0x4b4d564b && cpuid(LEAF_FEATURES, 0).eax & FEATURE_CLOCK_NEW)
		return false;
	check_skip("no clock by KVM's interface");
	return true;
}

static bool no_stable_clock(void)
{
	if (no_clock())
		return true;
	wrmsr(MSR_SYSTEM_TIME, (u64)&pages[0] | 1);
	if (pages[0].flags & FLAG_STABLE)
		return false;
	check_skip("the host does not trust its TSCs");
	return true;
}

static u64 clock_of(const volatile struct time_info *page)
{
	u64 delta, ns;
	u32 version;

	do {
		version = page->version;
		delta = rdtsc() - page->tsc;
		delta = page->shift < 0 ? delta >> -page->shift : delta << page->shift;
		ns = page->ns + (u64)((unsigned __int128)delta * page->mul >> 32);
	} while (version & 1 || version != page->version);
	return ns;
}

static void start_clock(void *argument)
{
	(void)argument;
	wrmsr(MSR_SYSTEM_TIME, (u64)&pages[this_cpu()->index] | 1);
}

static void the_page_is_there_after_the_write(void)
{
	if (no_clock())
		return;
	memset(&pages[0], 0, sizeof(pages[0]));
	start_clock(NULL);
	CHECK(pages[0].version != 0);
	CHECK_EQ(pages[0].version & 1, 0);
	CHECK(pages[0].mul >> 31 == 1);
	CHECK_EQ(pages[0].flags & ~FLAG_STABLE, 0);
	CHECK_EQ(rdmsr(MSR_SYSTEM_TIME), (u64)&pages[0] | 1);
}

static void the_old_numbers_are_the_same_clock(void)
{
	if (no_clock())
		return;
	wrmsr(MSR_SYSTEM_TIME_OLD, (u64)&pages[1] | 1);
	CHECK(pages[1].version != 0);
	CHECK_EQ(rdmsr(MSR_SYSTEM_TIME), (u64)&pages[1] | 1);
	wall.seconds = 0;
	wrmsr(MSR_WALL_CLOCK_OLD, (u64)&wall);
	CHECK(wall.seconds != 0);
}

/* A page that already tells of earlier writes: its readers must not take old for new. */
static void the_version_goes_on_from_what_the_page_says(void)
{
	if (no_clock())
		return;
	wrmsr(MSR_SYSTEM_TIME, 0);
	pages[0].version = 0x1000;
	start_clock(NULL);
	CHECK(pages[0].version > 0x1000);
	CHECK_EQ(pages[0].version & 1, 0);
}

static u8 rtc(u8 index)
{
	outb(0x70, index);
	return inb(0x71);
}

static u32 rtc_number(u8 index)
{
	u8 value = rtc(index);

	return rtc(0x0b) & 4 ? value : (value >> 4) * 10u + (value & 15);
}

#define RTC_IN_UPDATE 0x80

/* The seconds of the day by the PC's clock, whose registers must not be read in an update. */
static u32 rtc_seconds_of_day(void)
{
	u32 seconds, again;

	do {
		while (rtc(0x0a) & RTC_IN_UPDATE)
			cpu_pause();
		seconds = rtc_number(4) * 3600 + rtc_number(2) * 60 + rtc_number(0);
		again = rtc_number(4) * 3600 + rtc_number(2) * 60 + rtc_number(0);
	} while (seconds != again);
	return seconds;
}

static bool no_pc_clock(void)
{
	if (rtc(0x0b) != 0xff)
		return false;
	check_skip("this machine has no clock of its own");
	return true;
}

#define DAY 86400u

/* How far `late` is behind `early`, both seconds of a day, modulo the day. */
static s32 seconds_after(u32 late, u32 early)
{
	s32 span = (s32)((late + DAY - early) % DAY);

	return span > (s32)DAY / 2 ? span - (s32)DAY : span;
}

/*
 * However long the machine is away meanwhile: the time lies between two looks at the PC's clock. A
 * second more on both sides, since that clock turns over at another moment.
 */
static void it_is_the_time_of_day(void)
{
	u32 before, after, seconds;
	u64 ns;

	if (no_clock() || no_pc_clock())
		return;
	start_clock(NULL);
	before = rtc_seconds_of_day();
	wrmsr(MSR_WALL_CLOCK, (u64)&wall);
	CHECK(wall.version != 0);
	CHECK_EQ(wall.version & 1, 0);
	CHECK(wall.nanoseconds < 1000000000);
	ns = wall.nanoseconds + clock_of(&pages[0]);
	seconds = (u32)((wall.seconds + ns / 1000000000) % DAY);
	after = rtc_seconds_of_day();
	CHECK(seconds_after(seconds, before) >= -1);
	CHECK(seconds_after(after, seconds) >= -1);
}

/* A turn of the PC's clock, caught between two looks at ours; which second began. */
struct turn {
	u64 before, after;
	u32 second;
};

static struct turn wait_for_turn(void)
{
	u32 start = rtc_seconds_of_day();
	struct turn turn;

	do {
		turn.before = clock_of(&pages[0]);
		turn.second = rtc_seconds_of_day();
	} while (turn.second == start);
	turn.after = clock_of(&pages[0]);
	return turn;
}

static void a_second_is_a_second(void)
{
	const u64 inexact = 20000000;
	struct turn first, last;
	u64 span;

	if (no_clock() || no_pc_clock())
		return;
	start_clock(NULL);
	first = wait_for_turn();
	last = wait_for_turn();
	span = (u64)seconds_after(last.second, first.second) * 1000000000;
	CHECK(last.after - first.before + inexact >= span);
	CHECK(last.before - first.after <= span + inexact);
}

struct race {
	u64 last, backwards;
	volatile u32 lock, started;
};

#define RACE_LOOKS 20000

static void look_in_turn(void *argument)
{
	struct race *race = argument;

	start_clock(NULL);
	__atomic_add_fetch(&race->started, 1, __ATOMIC_SEQ_CST);
	while (race->started < 2)
		cpu_pause();
	for (u32 i = 0; i < RACE_LOOKS; i++) {
		u64 now;

		while (__atomic_exchange_n(&race->lock, 1, __ATOMIC_ACQUIRE))
			cpu_pause();
		now = clock_of(&pages[this_cpu()->index]);
		race->backwards += now < race->last;
		race->last = now;
		__atomic_store_n(&race->lock, 0, __ATOMIC_RELEASE);
	}
}

static void two_cpus_see_one_clock(void)
{
	struct race race = { 0 };

	if (smp_start() < 2) {
		check_skip("one CPU");
		return;
	}
	if (no_stable_clock())
		return;
	smp_call(1, look_in_turn, &race);
	look_in_turn(&race);
	CHECK(smp_wait(1));
	CHECK_EQ(race.backwards, 0);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(the_page_is_there_after_the_write),
	GUEST_TEST(the_old_numbers_are_the_same_clock),
	GUEST_TEST(the_version_goes_on_from_what_the_page_says),
	GUEST_TEST(it_is_the_time_of_day),
	GUEST_TEST(a_second_is_a_second),
	GUEST_TEST(two_cpus_see_one_clock),
	GUEST_TESTS_END,
};
