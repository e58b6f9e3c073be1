// SPDX-License-Identifier: GPL-2.0-or-later
/* Text from formats: each conversion, and the cut at the buffer's end. */
#include "lib/format.h"
#include "test.h"

static char text[64];

#define CHECK_TEXT(want, ...)                                                           \
	do {                                                                            \
		CHECK_EQ(bv_format(text, sizeof(text), __VA_ARGS__), sizeof(want) - 1); \
		CHECK(!strcmp(text, want));                                             \
	} while (0)

TEST(numbers_are_written_in_their_base)
{
	CHECK_TEXT("0", "%u", 0u);
	CHECK_TEXT("4294967295", "%u", ~0u);
	CHECK_TEXT("-1", "%d", -1);
	CHECK_TEXT("-2147483648", "%d", -2147483647 - 1);
	CHECK_TEXT("deadbeef", "%x", 0xdeadbeefu);
	CHECK_TEXT("18446744073709551615", "%llu", ~0ULL);
	CHECK_TEXT("-9223372036854775808", "%lld", -9223372036854775807LL - 1);
	CHECK_TEXT("ffffffffffffffff", "%llx", ~0ULL);
	CHECK_TEXT("7 8", "%lu %ld", 7ul, 8l);
}

TEST(a_prefix_and_a_width_are_kept)
{
	CHECK_TEXT("0x1f", "%#x", 0x1fu);
	CHECK_TEXT("0x0", "%#x", 0u);
	CHECK_TEXT("0000001f", "%08x", 0x1fu);
	CHECK_TEXT("12345", "%02u", 12345u);
	CHECK_TEXT("   7", "%4u", 7u);
}

TEST(text_and_letters)
{
	CHECK_TEXT("a-bc-d", "a-%s-%c", "bc", 'd');
	CHECK_TEXT("100%", "100%%");
	CHECK_TEXT("", "%s", "");
}

TEST(what_does_not_fit_is_cut)
{
	char small[5] = "....";

	CHECK_EQ(bv_format(small, sizeof(small), "%s", "abcdef"), 4);
	CHECK(!strcmp(small, "abcd"));
	CHECK_EQ(bv_format(small, 4, "%u", 123456u), 3);
	CHECK(!strcmp(small, "123"));
	CHECK_EQ(bv_format(small, 1, "x"), 0);
	CHECK_EQ(small[0], 0);
}
