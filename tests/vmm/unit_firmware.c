// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What firmware sees of the machine: it knows the host bridge, sizes BARs, moves the configuration
 * space, and reads files whose sizes it was told before; the keyboard controller answers.
 */
#include "tests/unit/test.h"
#include "tests/vmm/fake.h"

#include <string.h>

#define CONFIG_ADDRESS 0xcf8u
#define CONFIG_DATA 0xcfcu
#define FWCFG_SELECT 0x510u
#define FWCFG_DATA 0x511u
#define FWCFG_DIRECTORY 0x19u

struct entry {
	uint32_t size;
	uint16_t key;
	char name[57];
};

#define CODE_SIZE (256u << 10)
#define VARS_SIZE (64u << 10)
#define VARS_AT (0x100000000ull - CODE_SIZE - VARS_SIZE)

static struct fake *make(void)
{
	return fake_make_firmware(CODE_SIZE, VARS_SIZE);
}

static uint32_t config_get(struct fake *fake, unsigned int slot, unsigned int offset)
{
	bus_write(&fake->vm.ports, CONFIG_ADDRESS, 4, 0x80000000u | slot << 11 | offset);
	return (uint32_t)bus_read(&fake->vm.ports, CONFIG_DATA, 4);
}

static void config_put(struct fake *fake, unsigned int slot, unsigned int offset, uint32_t value)
{
	bus_write(&fake->vm.ports, CONFIG_ADDRESS, 4, 0x80000000u | slot << 11 | offset);
	bus_write(&fake->vm.ports, CONFIG_DATA, 4, value);
}

static uint64_t take(struct fake *fake, unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | bus_read(&fake->vm.ports, FWCFG_DATA, 1);
	return value;
}

/* Size 0: there is none of that name. */
static struct entry find_file(struct fake *fake, const char *name)
{
	struct entry entry = { 0 };
	uint32_t count, i, at;

	bus_write(&fake->vm.ports, FWCFG_SELECT, 2, FWCFG_DIRECTORY);
	count = (uint32_t)take(fake, 4);
	for (i = 0; i < count; i++) {
		entry.size = (uint32_t)take(fake, 4);
		entry.key = (uint16_t)take(fake, 2);
		take(fake, 2);
		for (at = 0; at < 56; at++)
			entry.name[at] = (char)take(fake, 1);
		if (strcmp(entry.name, name) == 0)
			return entry;
	}
	return (struct entry){ 0 };
}

TEST(the_host_bridge_is_known_to_firmware)
{
	struct fake *fake = make();

	CHECK_EQ(config_get(fake, 0, 0), 0x29c08086);
	CHECK_EQ(config_get(fake, 0, 0x2c), 0x11001af4);
	fake_free(fake);
}

/* SeaBIOS copies itself only if the shadow is not RAM yet, and it is larger than our copy. */
TEST(the_shadow_is_rom_after_a_reset)
{
	struct fake *fake = make();

	CHECK_EQ(config_get(fake, 0, 0x90) & 0x10, 0);
	config_put(fake, 0, 0x90, 0x33333330);
	CHECK_EQ(config_get(fake, 0, 0x90), 0x33333330);
	vm_reset_parts(&fake->vm);
	CHECK_EQ(config_get(fake, 0, 0x90) & 0x10, 0);
	fake_free(fake);
}

TEST(a_bar_of_ports_has_all_its_bits)
{
	struct fake *fake = make();

	config_put(fake, 1, PCI_BAR0, ~0u);
	CHECK_EQ(~(config_get(fake, 1, PCI_BAR0) & ~3u) + 1, 64);
	config_put(fake, 1, PCI_BAR0, 0xfffffff0u);
	config_put(fake, 1, PCI_COMMAND, PCI_COMMAND_IO);
	CHECK(!fake->vm.pci->slots[1]->bars[0].mapped);
	fake_free(fake);
}

/*
 * The tables say where the configuration space lies, which firmware decides after it has read
 * sizes.
 */
TEST(files_keep_their_sizes)
{
	struct fake *fake = make();
	struct entry tables = find_file(fake, "etc/acpi/tables");
	struct entry script = find_file(fake, "etc/table-loader");
	uint64_t sum = 0;
	uint32_t i;

	CHECK(tables.size && script.size);
	config_put(fake, 0, 0x60, 0xb0000001);
	CHECK_EQ(fake->vm.pci->ecam, 0xb0000000);
	bus_write(&fake->vm.ports, FWCFG_SELECT, 2, tables.key);
	CHECK_EQ(find_file(fake, "etc/acpi/tables").size, tables.size);
	CHECK_EQ(find_file(fake, "etc/table-loader").size, script.size);
	bus_write(&fake->vm.ports, FWCFG_SELECT, 2, tables.key);
	for (i = 0; i < tables.size; i++)
		sum += take(fake, 1);
	CHECK(sum);
	CHECK_EQ(take(fake, 8), 0); /* nothing behind its end */
	fake_free(fake);
}

TEST(the_serial_port_stands_for_the_screen)
{
	struct fake *fake = make();
	struct entry port = find_file(fake, "etc/sercon-port");

	CHECK_EQ(port.size, 2);
	bus_write(&fake->vm.ports, FWCFG_SELECT, 2, port.key);
	CHECK_EQ(take(fake, 2), 0xf803);
	fake_free(fake);
}

static uint8_t flash_get(struct fake *fake, unsigned int offset)
{
	return (uint8_t)bus_read(&fake->vm.mmio, VARS_AT + offset, 1);
}

static void flash_put(struct fake *fake, unsigned int offset, uint8_t value)
{
	bus_write(&fake->vm.mmio, VARS_AT + offset, 1, value);
}

/* As OVMF looks whether it is flash, and not RAM or ROM; what it tried that on is as before. */
TEST(the_variable_store_is_known_as_flash)
{
	struct fake *fake = make();
	unsigned int i;

	flash_put(fake, 0, 0x20);
	flash_put(fake, 0, 0xd0); /* a block of ones */
	flash_put(fake, 0x100, 0x10);
	flash_put(fake, 0x100, 0x8d);
	flash_put(fake, 0x100, 0xff);
	for (i = 0; i < 2; i++) {
		CHECK_EQ(flash_get(fake, 0x100), 0x8d);
		flash_put(fake, 0x100, 0x50);
		CHECK_EQ(flash_get(fake, 0x100), 0x8d);
		flash_put(fake, 0x100, 0x70);
		CHECK_EQ(flash_get(fake, 0x100), 0);
		flash_put(fake, 0x100, 0x8d);
	}
	CHECK_EQ(flash_get(fake, 0x100), 0x8d);
	CHECK_EQ(flash_get(fake, 0x101), 0xff);
	fake_free(fake);
}

TEST(the_variable_store_is_written_by_the_buffer)
{
	struct fake *fake = make();
	unsigned int i;

	flash_put(fake, 0x1000, 0x20);
	flash_put(fake, 0x1000, 0xd0);
	flash_put(fake, 0x1000, 0xe8);
	CHECK_EQ(flash_get(fake, 0x1000) & 0x80, 0x80);
	flash_put(fake, 0x1000, 3);
	for (i = 0; i < 4; i++)
		flash_put(fake, 0x1000 + i, (uint8_t)(0x40 + i));
	flash_put(fake, 0x1000, 0xd0);
	CHECK_EQ(flash_get(fake, 0x1000), 0x80);
	flash_put(fake, 0x1000, 0xff);
	for (i = 0; i < 4; i++)
		CHECK_EQ(flash_get(fake, 0x1000 + i), 0x40 + i);
	CHECK_EQ(flash_get(fake, 0x1004), 0xff);
	CHECK_EQ(flash_get(fake, 0), 0);
	fake_free(fake);
}

/* Who waits for it waits not for ever, though there is no keyboard. */
TEST(the_keyboard_controller_answers)
{
	struct fake *fake = make();
	struct bus *ports = &fake->vm.ports;

	CHECK_EQ(bus_read(ports, 0x64, 1) & 3, 0);
	bus_write(ports, 0x64, 1, 0xaa);
	CHECK_EQ(bus_read(ports, 0x64, 1) & 1, 1);
	CHECK_EQ(bus_read(ports, 0x60, 1), 0x55);
	CHECK_EQ(bus_read(ports, 0x64, 1) & 1, 0);
	bus_write(ports, 0x64, 1, 0x60);
	bus_write(ports, 0x60, 1, 0x45);
	bus_write(ports, 0x64, 1, 0x20);
	CHECK_EQ(bus_read(ports, 0x60, 1), 0x45);
	bus_write(ports, 0x60, 1, 0xed);
	CHECK_EQ(bus_read(ports, 0x60, 1), 0xfe);
	CHECK(!fake->vm.reset_wanted);
	bus_write(ports, 0x64, 1, 0xfe);
	CHECK(fake->vm.reset_wanted);
	fake_free(fake);
}
