// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/*
 * Doorbells as devices on the VM's buses; see bv/doorbell.h. Whether a new bell clashes with an old
 * one is the front's to see: bells of several owners may lie at one address and differ in length or
 * value.
 */
#include "bv/doorbell.h"
#include "core/bus.h"

struct doorbell_device {
	struct bv_bus_device device;
};

BV_STATIC_ASSERT(sizeof(struct doorbell_device) <= sizeof(((struct bv_doorbell *)0)->opaque));

static u64 written_value(const void *data, u32 bytes)
{
	u64 value = 0;

	__builtin_memcpy(&value, data, bytes < sizeof(value) ? bytes : sizeof(value));
	return value;
}

static enum bv_access_result doorbell_write(struct bv_bus_device *device, struct bv_vcpu *vcpu,
					    u64 addr, u32 bytes, const void *data)
{
	struct bv_doorbell *bell = BV_CONTAINER(device, struct bv_doorbell, opaque);

	(void)vcpu;
	if (addr != bell->addr || (bell->len && bytes != bell->len))
		return BV_ACCESS_NOT_MINE;
	if (bell->match && written_value(data, bytes) != bell->value)
		return BV_ACCESS_NOT_MINE;
	bell->ring(bell);
	return BV_ACCESS_DONE;
}

static const struct bv_bus_ops doorbell_ops = { .write = doorbell_write };

int bv_doorbell_add(struct bv_vm *vm, struct bv_doorbell *bell)
{
	struct bv_bus_device *device = (struct bv_bus_device *)bell->opaque;

	device->ops = &doorbell_ops;
	device->base = bell->addr;
	device->bytes = bell->len;
	return bv_bus_add(vm, bell->port ? BV_BUS_PORT : BV_BUS_MMIO, device);
}

void bv_doorbell_del(struct bv_vm *vm, struct bv_doorbell *bell)
{
	bv_bus_del(vm, bell->port ? BV_BUS_PORT : BV_BUS_MMIO,
		   (struct bv_bus_device *)bell->opaque);
}
