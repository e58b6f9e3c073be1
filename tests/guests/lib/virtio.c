// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A virtio device over PCI (virtio 1.2, sections 2.7, 3.1.1 and 4.1.4), by the ports 0xcf8 and
 * 0xcfc, its interrupt by MSI-X.
 */
#include "cpu.h"
#include "paging.h"
#include "virtio.h"

#define PCI_COMMAND 0x04
#define PCI_BAR 0x10
#define PCI_CAPABILITIES 0x34
#define PCI_IO_MEMORY_MASTER 7u
#define CAP_VENDOR 9
#define CAP_MSIX 0x11
#define MSIX_ON (1u << 31) /* in the capability's first word */
#define CAP_COMMON 1
#define CAP_NOTIFY 2

/* Where BARs are put that nobody has put anywhere, as under QEMU. */
#define PORTS_AT 0xc000u
#define MEMORY_AT 0xfe000000u
#define BAR_ROOM 0x100000u

/* The common configuration's registers. */
#define DRIVER_FEATURE_SELECT 8
#define DRIVER_FEATURE 12
#define STATUS 20
#define QUEUE_SELECT 22
#define QUEUE_SIZE 24
#define QUEUE_MSIX 26
#define QUEUE_ENABLE 28
#define QUEUE_NOTIFY_OFF 30
#define QUEUE_DESC 32
#define QUEUE_DRIVER 40
#define QUEUE_DEVICE 48

#define QUEUE_LENGTH 8
#define DESC_WRITE 2

#define S_ACKNOWLEDGE 1
#define S_DRIVER 2
#define S_DRIVER_OK 4
#define S_FEATURES_OK 8

/* A structure that a capability points to: memory or ports. */
struct place {
	bool is_ports;
	u32 at;
};

/* A split queue, in one page. */
struct ring {
	struct {
		u64 address;
		u32 size;
		u16 flags, next;
	} desc[QUEUE_LENGTH];
	struct {
		u16 flags, index, ring[QUEUE_LENGTH];
	} avail;
	u8 pad[1024];
	struct {
		u16 flags, index;
		struct {
			u32 id, length;
		} ring[QUEUE_LENGTH];
	} used;
};

static u32 function;
static struct place doorbell;
static volatile struct ring *ring;

static u32 config_read(u32 offset)
{
	outl(0xcf8, 1u << 31 | function << 8 | (offset & ~3u));
	return inl(0xcfc) >> (offset & 3) * 8;
}

static void config_write(u32 offset, u32 value)
{
	outl(0xcf8, 1u << 31 | function << 8 | offset);
	outl(0xcfc, value);
}

static bool find(u32 id)
{
	for (function = 0; function < 256; function++)
		if (config_read(0) == id)
			return true;
	return false;
}

static struct place bar_place(u32 bar, u32 offset)
{
	u32 low = config_read(PCI_BAR + 4 * bar);

	return low & 1 ? (struct place){ true, (low & ~3u) + offset } :
			 (struct place){ false, (low & ~15u) + offset };
}

static void place_bars(void)
{
	u32 bar, low;

	for (bar = 0; bar < 6; bar++) {
		low = config_read(PCI_BAR + 4 * bar);
		if (!(low & ~15u))
			config_write(PCI_BAR + 4 * bar,
				     low & 1 ? PORTS_AT + bar * 0x400 : MEMORY_AT + bar * BAR_ROOM);
		if (!(low & 1) && (low & 6) == 4) /* of 64 bits */
			bar++;
	}
	config_write(PCI_COMMAND, PCI_IO_MEMORY_MASTER);
}

/* Where the capability stands, 0 if there is none; a type if it is virtio's. */
static u32 capability(u32 id, u32 type)
{
	u32 at = config_read(PCI_CAPABILITIES) & 0xfc;

	while (at && ((config_read(at) & 0xff) != id ||
		      (id == CAP_VENDOR && (config_read(at + 3) & 0xff) != type)))
		at = config_read(at + 1) & 0xfc;
	return at;
}

static u32 common_place(void)
{
	u32 at = capability(CAP_VENDOR, CAP_COMMON);
	struct place place = bar_place(config_read(at + 4) & 0xff, config_read(at + 8));

	if (!at || place.is_ports)
		guest_panic("no common configuration in memory");
	return place.at;
}

/* The registers take no access that is wider than they are. */
static void write16(u32 at, u16 value)
{
	*(volatile u16 *)(u64)at = value;
}

static void write8(u32 at, u8 value)
{
	*(volatile u8 *)(u64)at = value;
}

static void set_address(u32 at, volatile void *to)
{
	mmio_write32(at, (u32)(u64)to);
	mmio_write32(at + 4, 0);
}

static void set_up_msix(u8 vector)
{
	u32 at = capability(CAP_MSIX, 0), table = config_read(at + 4);
	struct place place = bar_place(table & 7, table & ~7u);

	mmio_write32(place.at, 0xfee00000); /* the CPU with APIC ID 0 */
	mmio_write32(place.at + 4, 0);
	mmio_write32(place.at + 8, vector);
	mmio_write32(place.at + 12, 0);
	config_write(at, config_read(at) | MSIX_ON);
}

static void set_up_queue(u32 common)
{
	ring = page_alloc();
	write16(common + QUEUE_SELECT, 0);
	write16(common + QUEUE_SIZE, QUEUE_LENGTH);
	write16(common + QUEUE_MSIX, 0);
	set_address(common + QUEUE_DESC, ring->desc);
	set_address(common + QUEUE_DRIVER, &ring->avail);
	set_address(common + QUEUE_DEVICE, &ring->used);
	write16(common + QUEUE_ENABLE, 1);
}

void virtio_start(u32 type, u8 vector)
{
	u32 common, notify;

	if (!find((0x1040 + type) << 16 | 0x1af4))
		guest_panic("no virtio device of type %u", type);
	place_bars();
	common = common_place();
	write8(common + STATUS, 0);
	write8(common + STATUS, S_ACKNOWLEDGE | S_DRIVER);
	mmio_write32(common + DRIVER_FEATURE_SELECT, 0);
	mmio_write32(common + DRIVER_FEATURE, 0);
	mmio_write32(common + DRIVER_FEATURE_SELECT, 1);
	mmio_write32(common + DRIVER_FEATURE, 1); /* VERSION_1 */
	write8(common + STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK);
	set_up_msix(vector);
	set_up_queue(common);
	write8(common + STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
	notify = capability(CAP_VENDOR, CAP_NOTIFY);
	doorbell = bar_place(config_read(notify + 4) & 0xff, config_read(notify + 8));
	doorbell.at += *(volatile u16 *)(u64)(common + QUEUE_NOTIFY_OFF) * config_read(notify + 16);
}

static void kick(void)
{
	if (doorbell.is_ports)
		outw((u16)doorbell.at, 0);
	else
		write16(doorbell.at, 0);
}

void virtio_ask(void *buffer, u32 size)
{
	u16 index = ring->avail.index;

	ring->desc[0].address = (u64)buffer;
	ring->desc[0].size = size;
	ring->desc[0].flags = DESC_WRITE;
	ring->avail.ring[index % QUEUE_LENGTH] = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	ring->avail.index = ++index;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	kick();
	while (ring->used.index != index)
		cpu_halt();
}
