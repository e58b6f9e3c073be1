// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A triple fault is the end of the machine: the VM must shut down (QEMU: -no-reboot makes it end
 * with status 0). A guest that goes on says so and fails.
 */
#include "cpu.h"
#include "trap.h"

static void a_triple_fault_shuts_down(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) none = { 0, 0 };

	say("EXPECT shutdown\n");
	__asm__ volatile("lidt %0; ud2" ::"m"(none));
	CHECK(false);
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(a_triple_fault_shuts_down),
	GUEST_TESTS_END,
};
