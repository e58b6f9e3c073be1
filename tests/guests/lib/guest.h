/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every tiny guest kernel starts from: types, printing, checks and the verdict.
 *
 * A guest is one file, tests/guests/NAME.c, linked with this library into a 64-bit PVH ELF. It is
 * not a unit test: it runs on the virtual CPU and says what it saw. It defines guest_tests[]; the
 * library sets up the CPU, runs each test, prints one line a test and gives the verdict by a write
 * to port 0xf4, which QEMU's isa-debug-exit turns into its exit status: GUEST_PASS gives 33,
 * GUEST_FAIL gives 35. Neither of both means that the guest did not end itself.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;

#define GUEST_VERDICT_PORT 0xf4
#define GUEST_PASS 0x10
#define GUEST_FAIL 0x11

#define GUEST_PAGE_SIZE 4096ull
#define MAX_CPUS 16

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

struct guest_test {
	const char *name;
	void (*body)(void);
};

/* The tests of this guest, in order; an entry without a body ends the list. */
extern const struct guest_test guest_tests[];

/* clang-format off */
#define GUEST_TEST(function) { #function, function }
#define GUEST_TESTS_END { NULL, NULL }
/* clang-format on */

/* Everything a check says belongs to the test that runs; a test without a check has failed. */
void check_that(bool good, int line, const char *text);
void check_equal(u64 left, u64 right, int line, const char *text);
void check_skip(const char *why);

#define CHECK(condition) check_that(!!(condition), __LINE__, #condition)
#define CHECK_EQ(left, right) check_equal((u64)(left), (u64)(right), __LINE__, #left " == " #right)

/* Prints to the serial port. Knows %c %s %d %u %x %lld %llu %llx %%, a width and a leading 0. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the VM with a verdict at once. */
__attribute__((noreturn)) void guest_end(bool good);
/*
 * A fault of the guest or of its machine that leaves nothing to go on with: says why, verdict FAIL.
 */
__attribute__((noreturn)) void guest_panic(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* The word after "key=" on the guest's command line as a number, or `otherwise`. */
u64 guest_option(const char *key, u64 otherwise);

/* Pseudo random numbers from a seed, the same in every run. */
u64 random_next(u64 *state);

/* The compiler calls these. */
void *memset(void *to, int value, size_t size);
void *memcpy(void *to, const void *from, size_t size);
int memcmp(const void *left, const void *right, size_t size);

#endif
