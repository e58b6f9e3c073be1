// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The virtio devices as their driver sees them, and what happens to a driver that breaks the
 * rules.
 */
#include "tests/unit/test.h"
#include "tests/vmm/fake.h"
#include "vmm/block.h"
#include "vmm/net.h"
#include "vmm/snapshot.h"

#include <string.h>
#include <unistd.h>

#define BUFFER 0x400000u
#define NEXT 1
#define WRITE 2
#define INDIRECT 4

struct request {
	uint32_t type, reserved;
	uint64_t sector;
};

/* Header, data, status: as a driver's three descriptors. */
static uint8_t disk_request(struct fake *fake, uint32_t type, uint64_t sector, uint32_t size)
{
	struct virtio_dev *dev = fake_device(fake, VIRTIO_BLOCK);
	struct request request = { type, 0, sector };
	struct fake_desc descs[3] = {
		{ BUFFER, 16, NEXT, 1 },
		{ BUFFER + 0x1000, size, (uint16_t)(NEXT | (type == 0 || type == 8 ? WRITE : 0)),
		  2 },
		{ BUFFER + 0x800, 1, WRITE, 0 },
	};
	uint8_t *status = mem_at(&fake->vm.mem, BUFFER + 0x800, 1);
	int i;

	*status = 0xff;
	mem_write(&fake->vm.mem, BUFFER, &request, sizeof(request));
	fake_request(dev, 0, descs, 3);
	for (i = 0; i < 10000 && *status == 0xff; i++) {
		fake_settle(fake);
		usleep(i ? 1000 : 0);
	}
	return *status;
}

TEST(a_disk_keeps_what_is_written)
{
	struct fake *fake = fake_make(NULL);
	uint8_t *data = mem_at(&fake->vm.mem, BUFFER + 0x1000, 4096);

	CHECK(fake_start(fake_device(fake, VIRTIO_BLOCK), 0));
	memset(data, 0x5a, 4096);
	CHECK_EQ(disk_request(fake, 1, 8, 4096), 0);
	memset(data, 0, 4096);
	CHECK_EQ(disk_request(fake, 0, 8, 4096), 0);
	CHECK_EQ(data[0], 0x5a);
	CHECK_EQ(data[4095], 0x5a);
	CHECK_EQ(disk_request(fake, 8, 0, 20), 0);
	CHECK(memcmp(data, "disk0", 6) == 0);
	fake_free(fake);
}

TEST(a_disk_refuses_what_lies_beyond_its_end)
{
	struct fake *fake = fake_make(NULL);

	CHECK(fake_start(fake_device(fake, VIRTIO_BLOCK), 0));
	CHECK_EQ(disk_request(fake, 0, FAKE_DISK / 512 - 7, 4096), 1);
	CHECK_EQ(disk_request(fake, 1, UINT64_MAX - 1, 4096), 1);
	CHECK_EQ(disk_request(fake, 0, 0, 100), 1);
	CHECK_EQ(disk_request(fake, 77, 0, 512), 2);
	CHECK_EQ(disk_request(fake, 0, FAKE_DISK / 512 - 8, 4096), 0);
	fake_free(fake);
}

static bool broken(struct fake *fake, const struct fake_desc *descs, unsigned int count,
		   uint64_t features)
{
	struct virtio_dev *dev = fake_device(fake, VIRTIO_BLOCK);

	if (!fake_start(dev, features))
		return false;
	fake_request(dev, 0, descs, count);
	fake_settle(fake);
	return dev->status & VIRTIO_STATUS_NEEDS_RESET;
}

TEST(a_driver_that_breaks_the_rules_finds_the_device_broken)
{
	struct fake *fake = fake_make(NULL);

	CHECK(broken(fake, (struct fake_desc[]){ { BUFFER, 16, NEXT, 0 } }, 1, 0));
	CHECK(broken(fake, (struct fake_desc[]){ { BUFFER, 16, NEXT, 900 } }, 1, 0));
	CHECK(broken(fake, (struct fake_desc[]){ { 0xa0000, 16, 0, 0 } }, 1, 0));
	CHECK(broken(fake, (struct fake_desc[]){ { FAKE_MEMORY - 8, 16, 0, 0 } }, 1, 0));
	CHECK(broken(fake, (struct fake_desc[]){ { UINT64_MAX - 7, 16, 0, 0 } }, 1, 0));
	CHECK(broken(fake, (struct fake_desc[]){ { BUFFER, 0, 0, 0 } }, 1, 0));
	CHECK(broken(fake, (struct fake_desc[]){ { BUFFER, 16, INDIRECT, 0 } }, 1, 0));
	CHECK(broken(fake, (struct fake_desc[]){ { BUFFER, 17, INDIRECT, 0 } }, 1,
		     VIRTIO_RING_INDIRECT));
	CHECK(broken(fake,
		     (struct fake_desc[]){ { BUFFER, 16, NEXT | WRITE, 1 }, { BUFFER, 16, 0, 0 } },
		     2, 0));
	CHECK(!broken(fake,
		      (struct fake_desc[]){ { BUFFER, 16, NEXT, 1 }, { BUFFER, 513, WRITE, 0 } }, 2,
		      0));
	fake_free(fake);
}

TEST(features_that_were_not_offered_are_refused)
{
	struct fake *fake = fake_make(NULL);

	CHECK(!fake_start(fake_device(fake, VIRTIO_BLOCK), 1ull << 40));
	CHECK(fake_start(fake_device(fake, VIRTIO_BLOCK), VIRTIO_RING_EVENT));
	fake_free(fake);
}

TEST(entropy_differs)
{
	struct fake *fake = fake_make(NULL);
	struct virtio_dev *dev = fake_device(fake, VIRTIO_RNG);
	uint8_t *bytes = mem_at(&fake->vm.mem, BUFFER, 128);
	uint32_t length = 0;

	CHECK(fake_start(dev, 0));
	fake_request(dev, 0, (struct fake_desc[]){ { BUFFER, 64, WRITE, 0 } }, 1);
	fake_settle(fake);
	CHECK_EQ(fake_used(dev, 0, &length), 1);
	CHECK_EQ(length, 64);
	memcpy(bytes + 64, bytes, 64);
	fake_request(dev, 0, (struct fake_desc[]){ { BUFFER, 64, WRITE, 0 } }, 1);
	fake_settle(fake);
	CHECK_EQ(fake_used(dev, 0, NULL), 2);
	CHECK(memcmp(bytes, bytes + 64, 64) != 0);
	fake_free(fake);
}

/* An interrupt while the vector is masked comes once it is not. */
TEST(a_masked_vector_waits)
{
	struct fake *fake = fake_make(NULL);
	struct virtio_dev *dev = fake_device(fake, VIRTIO_RNG);
	uint64_t table = dev->pci.bars[1].address;

	CHECK(fake_start(dev, 0));
	bus_write(&fake->vm.ports, 0xcf8, 4, 0x80000000 | dev->pci.slot << 11 | 4);
	bus_write(&fake->vm.ports, 0xcfc, 2, 7);
	bus_write(&fake->vm.ports, 0xcf8, 4, 0x80000000 | dev->pci.slot << 11 | dev->pci.msix_at);
	bus_write(&fake->vm.ports, 0xcfe, 2, 0x8000);
	bus_write(&fake->vm.mmio, table + 16, 4, 0xfee00000);
	bus_write(&fake->vm.mmio, table + 24, 4, 0x41);
	dev->queues[0].vector = 1;
	fake_request(dev, 0, (struct fake_desc[]){ { BUFFER, 64, WRITE, 0 } }, 1);
	fake_settle(fake);
	CHECK_EQ(fake_told.messages, 0);
	CHECK_EQ(bus_read(&fake->vm.mmio, table + 0x800, 4), 2);
	bus_write(&fake->vm.mmio, table + 28, 4, 0);
	CHECK_EQ(fake_told.messages, 1);
	CHECK_EQ(fake_told.address, 0xfee00000);
	CHECK_EQ(fake_told.data, 0x41);
	fake_free(fake);
}

/* Where in the configuration the capability of that kind of virtio's lies. */
static unsigned int capability_at(const struct virtio_dev *dev, uint8_t kind)
{
	unsigned int at = dev->pci.config[PCI_CAPABILITIES];

	while (at && !(dev->pci.config[at] == 9 && dev->pci.config[at + 3] == kind))
		at = dev->pci.config[at + 1];
	return at;
}

static void config_write(struct fake *fake, struct virtio_dev *dev, unsigned int at, uint32_t value)
{
	bus_write(&fake->vm.ports, 0xcf8, 4, 0x80000000 | dev->pci.slot << 11 | (at & 0xfc));
	bus_write(&fake->vm.ports, 0xcfc, 4, value);
}

static uint32_t config_read(struct fake *fake, struct virtio_dev *dev, unsigned int at)
{
	bus_write(&fake->vm.ports, 0xcf8, 4, 0x80000000 | dev->pci.slot << 11 | (at & 0xfc));
	return (uint32_t)bus_read(&fake->vm.ports, 0xcfc, 4);
}

static void aim(struct fake *fake, struct virtio_dev *dev, uint32_t bar, uint32_t offset,
		uint32_t length)
{
	unsigned int at = capability_at(dev, 5);

	config_write(fake, dev, at + 4, bar);
	config_write(fake, dev, at + 8, offset);
	config_write(fake, dev, at + 12, length);
}

/* The number of queues and the status are at 18 and 20 of the device's registers, in BAR 2. */
TEST(registers_are_reached_through_the_configuration)
{
	struct fake *fake = fake_make(NULL);
	struct virtio_dev *dev = fake_device(fake, VIRTIO_NET);
	unsigned int data = capability_at(dev, 5) + 16;

	CHECK(capability_at(dev, 5));
	aim(fake, dev, 2, 18, 2);
	CHECK_EQ(config_read(fake, dev, data), dev->queues_count);
	aim(fake, dev, 2, 20, 1);
	config_write(fake, dev, data, 0xffffff03);
	CHECK_EQ(dev->status, 3);
	CHECK_EQ(config_read(fake, dev, data) & 0xff, 3);
	fake_free(fake);
}

TEST(a_place_outside_of_a_BAR_is_not_reached)
{
	static const uint32_t PLACES[][3] = {
		{ 2, 4096, 4 }, { 2, 0xfffffffc, 4 }, { 2, 19, 2 }, { 2, 20, 3 },
		{ 2, 20, 0 },	{ 3, 0, 1 },	      { 6, 20, 1 }, { 255, 20, 1 },
	};
	struct fake *fake = fake_make(NULL);
	struct virtio_dev *dev = fake_device(fake, VIRTIO_NET);
	unsigned int data = capability_at(dev, 5) + 16, i;

	dev->status = 3;
	for (i = 0; i < sizeof(PLACES) / sizeof(PLACES[0]); i++) {
		aim(fake, dev, PLACES[i][0], PLACES[i][1], PLACES[i][2]);
		config_write(fake, dev, data, 0x5a5a5a00 + i);
		CHECK_EQ(config_read(fake, dev, data), 0x5a5a5a00 + i);
		CHECK_EQ(dev->status, 3);
	}
	fake_free(fake);
}

/* The number that the next file would get. */
static int next_file(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

TEST(a_device_that_finds_no_slot_leaves_nothing_behind)
{
	struct vmm_net config = { .kind = VMM_NET_USER, .mac = { 0x52, 0x54, 0, 1, 2, 3 } };
	struct fake *fake = fake_make(NULL);
	struct why why = { 0 };
	unsigned int plugged = 0;
	char id[8];
	int next;

	config.id = id;
	do {
		next = next_file();
		snprintf(id, sizeof(id), "n%u", plugged);
	} while (net_create(&fake->vm, &config, 0, -1, &why) && ++plugged < 100);
	CHECK(plugged > 3 && plugged < 100);
	CHECK(strstr(why.text, "no PCI slot is free"));
	CHECK_EQ(next_file(), next);
	fake_free(fake);
}

TEST(a_saved_machine_loads_and_a_damaged_one_does_not)
{
	struct fake *fake = fake_make(NULL);
	struct why why = { 0 };
	struct snap snap;
	bool run = true;
	size_t size;

	CHECK(fake_start(fake_device(fake, VIRTIO_BLOCK), 0));
	snapshot_save_stream(&fake->vm, &snap, true);
	CHECK(!snap.bad);
	size = snap.at;
	CHECK_EQ(snapshot_load_stream(&fake->vm, snap.data, size, &run, &why), 0);
	CHECK(run);
	CHECK_EQ(disk_request(fake, 0, 0, 512), 0);
	CHECK_EQ(snapshot_load_stream(&fake->vm, snap.data, size - 1, &run, &why), -1);
	CHECK(why.text[0]);
	CHECK_EQ(snapshot_load_stream(&fake->vm, snap.data, 0, &run, &why), -1);
	snap.data[0] ^= 1;
	CHECK_EQ(snapshot_load_stream(&fake->vm, snap.data, size, &run, &why), -1);
	snap_fini(&snap);
	fake_free(fake);
}
