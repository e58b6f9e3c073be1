/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the tests that the linked file registered; see test.h. An argument runs only the tests whose
 * name has it.
 */
#include "test.h"

static struct test *first, **last = &first;
static int checks, failures, skipped;

void test_register(struct test *test)
{
	*last = test;
	last = &test->next;
}

void test_check(int good, const char *file, int line, const char *text)
{
	checks++;
	if (good)
		return;
	failures++;
	printf("%s:%d: not so: %s\n", file, line, text);
}

void test_check_eq(unsigned long long left, unsigned long long right, const char *file, int line,
		   const char *text)
{
	test_check(left == right, file, line, text);
	if (left != right)
		printf("\tleft %#llx, right %#llx\n", left, right);
}

void test_skip(const char *why)
{
	skipped = 1;
	printf("\tskipped: %s\n", why);
}

/* 0 passed, 1 failed, 2 skipped */
static int test_run(const struct test *test)
{
	checks = failures = skipped = 0;
	test->body();
	if (failures)
		return 1;
	if (skipped)
		return 2;
	if (!checks)
		printf("%s: checked nothing\n", test->name);
	return !checks;
}

int main(int argc, char **argv)
{
	static const char *const verdicts[] = { "ok", "FAILED", "skipped" };
	int counts[3] = { 0 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (struct test *test = first; test; test = test->next) {
		if (argc > 1 && !strstr(test->name, argv[1]))
			continue;
		int verdict = test_run(test);

		counts[verdict]++;
		printf("%-8s %s\n", verdicts[verdict], test->name);
	}
	printf("%d passed, %d failed, %d skipped\n", counts[0], counts[1], counts[2]);
	return counts[1] || !(counts[0] + counts[2]);
}
