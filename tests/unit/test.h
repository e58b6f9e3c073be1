/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The frame of a unit test: one program a subject, a function a behaviour.
 *
 *	TEST(an_nmi_is_held_until_iret) { ... CHECK(x == y); CHECK_EQ(x, y); }
 *
 * Tests register themselves. The program ends with the line "N passed, N failed, N skipped", and
 * with status 1 if a test failed or none ran. A test that calls neither CHECK nor CHECK_EQ has
 * failed: silence proves nothing.
 */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
	const char *name;
	void (*body)(void);
	struct test *next;
};

void test_register(struct test *test);
void test_check(int good, const char *file, int line, const char *text);
void test_check_eq(unsigned long long left, unsigned long long right, const char *file, int line,
		   const char *text);
void test_skip(const char *why);

#define TEST(test_name)                                                                           \
	static void test_body_##test_name(void);                                                  \
	static struct test test_record_##test_name = { #test_name, test_body_##test_name, NULL }; \
	__attribute__((constructor)) static void test_add_##test_name(void)                       \
	{                                                                                         \
		test_register(&test_record_##test_name);                                          \
	}                                                                                         \
	static void test_body_##test_name(void)

#define CHECK(condition) test_check(!!(condition), __FILE__, __LINE__, #condition)
#define CHECK_EQ(left, right)                                                                      \
	test_check_eq((unsigned long long)(left), (unsigned long long)(right), __FILE__, __LINE__, \
		      #left " == " #right)

#endif
