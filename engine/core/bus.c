/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* The tables of who answers ports and MMIO; see bus.h. */
#include "core/vcpu.h"

#define BUS_MAX 1024

static int bus_replace(struct bv_bus *bus, struct bv_bus_device *added,
		       struct bv_bus_device *removed)
{
	struct bv_bus_device **table = bv_host_alloc((bus->count + 1) * sizeof(*table));
	u32 to = 0;

	if (!table)
		return -BV_ENOMEM;
	for (u32 from = 0; from < bus->count; from++) {
		if (added && added->base < bus->device[from]->base) {
			table[to++] = added;
			added = NULL;
		}
		if (bus->device[from] != removed)
			table[to++] = bus->device[from];
	}
	if (added)
		table[to++] = added;
	bv_host_free(bus->device);
	bus->device = table;
	bus->count = to;
	bus->generation++;
	return 0;
}

int bv_bus_add(struct bv_vm *vm, enum bv_bus_kind kind, struct bv_bus_device *device)
{
	struct bv_bus *bus = &vm->bus[kind];
	int error;

	bv_host_rwsem_write(&vm->mem_lock);
	error = bus->count < BUS_MAX ?
			bus_replace(bus, device, NULL) :
			bv_refuse(&vm->why, BV_ENOSPC,
				  "no more than %u devices and ioeventfds on a bus", BUS_MAX);
	bv_host_rwsem_write_done(&vm->mem_lock);
	return error;
}

/* Needs no memory, so that it cannot fail. */
void bv_bus_del(struct bv_vm *vm, enum bv_bus_kind kind, struct bv_bus_device *device)
{
	struct bv_bus *bus = &vm->bus[kind];
	u32 to = 0;

	bv_host_rwsem_write(&vm->mem_lock);
	for (u32 from = 0; from < bus->count; from++)
		if (bus->device[from] != device)
			bus->device[to++] = bus->device[from];
	bus->count = to;
	bus->generation++;
	bv_host_rwsem_write_done(&vm->mem_lock);
}

/* How long an access that begins at addr may be for the device to be meant; 0: it is not. */
static u32 bus_room(const struct bv_bus_device *device, u64 addr)
{
	u64 left = device->bytes - (addr - device->base);

	if (!device->bytes)
		return addr == device->base ? ~0u : 0;
	if (addr - device->base >= device->bytes)
		return 0;
	return left < ~0u ? left : ~0u;
}

/*
 * The first entry of the table that could have addr: ranges are short, so a few entries below the
 * last base <= addr.
 */
static u32 bus_search(const struct bv_bus *bus, u64 addr)
{
	u32 low = 0, high = bus->count;

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (bus->device[middle]->base +
			    (bus->device[middle]->bytes ? bus->device[middle]->bytes - 1 : 0) <
		    addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct bv_bus_device *bus_only(const struct bv_bus *bus, u32 first, u64 addr)
{
	bool one = first < bus->count && bus->device[first]->base <= addr &&
		   (first + 1 == bus->count || bus->device[first + 1]->base > addr);

	return one ? bus->device[first] : NULL;
}

static void bus_memo_fill(struct bv_bus_memo *memo, const struct bv_bus *bus, u64 addr)
{
	memo->first = bus_search(bus, addr);
	memo->only = bus_only(bus, memo->first, addr);
	memo->room = memo->only ? bus_room(memo->only, addr) : 0;
	memo->addr = addr;
	memo->generation = bus->generation;
}

/* Whether what the memo says is of this place, and of today's table. */
static inline bool bus_memo_good(struct bv_vcpu *vcpu, enum bv_bus_kind kind, u64 addr)
{
	const struct bv_bus_memo *memo = &vcpu->bus_memo[kind];

	return memo->addr == addr && memo->generation == vcpu->vm->bus[kind].generation;
}

static enum bv_access_result bus_read_one(struct bv_bus_device *device, struct bv_vcpu *vcpu,
					  u64 addr, u32 bytes, void *data)
{
	if (bytes > bus_room(device, addr) || !device->ops->read)
		return BV_ACCESS_NOT_MINE;
	return device->ops->read(device, vcpu, addr, bytes, data);
}

static enum bv_access_result bus_write_one(struct bv_bus_device *device, struct bv_vcpu *vcpu,
					   u64 addr, u32 bytes, const void *data)
{
	if (bytes > bus_room(device, addr) || !device->ops->write)
		return BV_ACCESS_NOT_MINE;
	return device->ops->write(device, vcpu, addr, bytes, data);
}

static __attribute__((__noinline__)) enum bv_access_result
bus_read_any(struct bv_vcpu *vcpu, enum bv_bus_kind kind, u64 addr, u32 bytes, void *data)
{
	const struct bv_bus *bus = &vcpu->vm->bus[kind];
	struct bv_bus_memo *memo = &vcpu->bus_memo[kind];
	enum bv_access_result result = BV_ACCESS_NOT_MINE;

	if (!bus_memo_good(vcpu, kind, addr))
		bus_memo_fill(memo, bus, addr);
	for (u32 i = memo->first; i < bus->count && bus->device[i]->base <= addr; i++) {
		result = bus_read_one(bus->device[i], vcpu, addr, bytes, data);
		if (result != BV_ACCESS_NOT_MINE)
			break;
	}
	return result;
}

static __attribute__((__noinline__)) enum bv_access_result
bus_write_any(struct bv_vcpu *vcpu, enum bv_bus_kind kind, u64 addr, u32 bytes, const void *data)
{
	const struct bv_bus *bus = &vcpu->vm->bus[kind];
	struct bv_bus_memo *memo = &vcpu->bus_memo[kind];
	enum bv_access_result result = BV_ACCESS_NOT_MINE;

	if (!bus_memo_good(vcpu, kind, addr))
		bus_memo_fill(memo, bus, addr);
	for (u32 i = memo->first; i < bus->count && bus->device[i]->base <= addr; i++) {
		result = bus_write_one(bus->device[i], vcpu, addr, bytes, data);
		if (result != BV_ACCESS_NOT_MINE)
			break;
	}
	return result;
}

/* A guest that polls a port, and most do, gets its answer without a search. */
enum bv_access_result bv_bus_read(struct bv_vcpu *vcpu, enum bv_bus_kind kind, u64 addr, u32 bytes,
				  void *data)
{
	const struct bv_bus_memo *memo = &vcpu->bus_memo[kind];

	if (bv_likely(bus_memo_good(vcpu, kind, addr) && bytes <= memo->room &&
		      memo->only->ops->read))
		return memo->only->ops->read(memo->only, vcpu, addr, bytes, data);
	return bus_read_any(vcpu, kind, addr, bytes, data);
}

enum bv_access_result bv_bus_write(struct bv_vcpu *vcpu, enum bv_bus_kind kind, u64 addr, u32 bytes,
				   const void *data)
{
	const struct bv_bus_memo *memo = &vcpu->bus_memo[kind];

	if (bv_likely(bus_memo_good(vcpu, kind, addr) && bytes <= memo->room &&
		      memo->only->ops->write))
		return memo->only->ops->write(memo->only, vcpu, addr, bytes, data);
	return bus_write_any(vcpu, kind, addr, bytes, data);
}
