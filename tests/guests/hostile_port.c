// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hostile: ports at random, in all sizes and forms, and the chips' pages too. Ports by which a
 * machine resets or powers off are left out unless option all=1.
 */
#include "hostile.h"

static u8 buffer[256];

static bool ends_the_machine(u16 port)
{
	return (port & ~3) == 0xf4 || port == 0x64 || port == 0x92 || (port & ~7) == 0xcf8 ||
	       port == 0xb2 || port == 0xb3 || (port & 0xff80) == 0x600 ||
	       (port & 0xff80) == 0x680 || (port & ~7) == 0x3f8;
}

static u16 random_port(void)
{
	static const u16 chips[] = { 0x20, 0x21,  0xa0,	 0xa1, 0x40, 0x41,  0x42, 0x43,
				     0x61, 0x4d0, 0x4d1, 0x70, 0x71, 0x510, 0x511 };
	u16 port;

	do
		port = hostile_random() % 2 ? chips[hostile_random() % ARRAY_SIZE(chips)] :
					      (u16)hostile_random();
	while (ends_the_machine(port) && !guest_option("all", 0));
	return port;
}

static void port_once(void)
{
	u16 port = random_port();
	u64 at = (u64)buffer, count = hostile_random() % 64;
	u32 value = (u32)hostile_random();

	switch (hostile_random() % 10) {
	case 0:
		inb(port);
		break;
	case 1:
		inw(port);
		break;
	case 2:
		inl(port);
		break;
	case 3:
		outw(port, (u16)value);
		break;
	case 4:
		outl(port, value);
		break;
	case 5:
		__asm__ volatile("rep insb" : "+D"(at), "+c"(count) : "d"(port) : "memory");
		break;
	case 6:
		__asm__ volatile("rep outsw" : "+S"(at), "+c"(count) : "d"(port) : "memory");
		break;
	default:
		outb(port, (u8)value);
	}
}

static void ports_at_random(void)
{
	u64 rounds = guest_option("rounds", 20000), i;

	hostile_seed();
	for (i = 0; i < rounds; i++)
		port_once();
	CHECK(true);
}

static void chip_pages_at_random(void)
{
	static const u64 pages[] = { IOAPIC_PAGE, APIC_PAGE, 0xfed00000 };
	u32 i;

	trap_handle(HOSTILE_TICK, irq_count);
	for (i = 0; i < 20000; i++) {
		u64 at = pages[hostile_random() % 3] + (hostile_random() & 0xffc);

		if (at == APIC_PAGE + APIC_ICR)
			continue; /* that is hostile_irq's */
		if (hostile_random() % 2)
			mmio_write32(at, (u32)hostile_random());
		else
			mmio_read32(at);
	}
	CHECK(true);
}

/*
 * With option endless=1: a string instruction where no device is, some hundred million repetitions,
 * each of which a VMM answers. Others must have their turn, and it must be possible to end it.
 */
static void a_string_where_nothing_is(void)
{
	u64 at = 0xd0000000, count = 0x10000000;

	if (!guest_option("endless", 0)) {
		check_skip("it is not asked for");
		return;
	}
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(0) : "memory");
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(a_string_where_nothing_is),
	GUEST_TEST(ports_at_random),
	GUEST_TEST(chip_pages_at_random),
	GUEST_TESTS_END,
};
