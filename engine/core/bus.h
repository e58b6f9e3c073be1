/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Who answers a port or an address that is not memory. A VM has two buses, ports and MMIO, each a
 * sorted table of ranges that chips and the front's ioeventfds put there. What nobody answers goes
 * to the front.
 *
 * Readers are vCPUs; the table is replaced as a whole under the VM's memory lock held for writing
 * (bv_bus_add, bv_bus_del), read with it held for reading.
 */
#ifndef BV_CORE_BUS_H
#define BV_CORE_BUS_H

#include "core/intc.h"

enum bv_bus_kind {
	BV_BUS_PORT,
	BV_BUS_MMIO,
	BV_BUS_COUNT
};

struct bv_bus_device;

struct bv_bus_ops {
	/*
	 * May answer NOT_MINE: the next device with the same range is asked, then the front. NULL:
	 * not mine.
	 */
	enum bv_access_result (*read)(struct bv_bus_device *device, struct bv_vcpu *vcpu, u64 addr,
				      u32 bytes, void *data);
	enum bv_access_result (*write)(struct bv_bus_device *device, struct bv_vcpu *vcpu, u64 addr,
				       u32 bytes, const void *data);
};

struct bv_bus_device {
	const struct bv_bus_ops *ops;
	u64 base;
	u64 bytes; /* length of the range; 0: any access that starts at base, of any length */
};

struct bv_bus {
	struct bv_bus_device **device; /* sorted by base */
	u32 count;
	u32 generation; /* counts changes of the table */
};

/* Whom a vCPU's last access asked: guests poll the same port over and over. */
struct bv_bus_memo {
	u64 addr;
	u32 generation;
	u32 first; /* where in the table to begin */
	struct bv_bus_device *only; /* nobody else can be meant; NULL: several can, or none */
	u32 room; /* how many bytes from addr on are its own */
};

/*
 * The device is the caller's and stays until bv_bus_del has returned. May sleep. 0, -BV_ENOMEM,
 * -BV_ENOSPC.
 */
int bv_bus_add(struct bv_vm *vm, enum bv_bus_kind kind, struct bv_bus_device *device);
void bv_bus_del(struct bv_vm *vm, enum bv_bus_kind kind, struct bv_bus_device *device);

/* Called with the VM's memory lock held for reading. */
enum bv_access_result bv_bus_read(struct bv_vcpu *vcpu, enum bv_bus_kind kind, u64 addr, u32 bytes,
				  void *data);
enum bv_access_result bv_bus_write(struct bv_vcpu *vcpu, enum bv_bus_kind kind, u64 addr, u32 bytes,
				   const void *data);

#endif
