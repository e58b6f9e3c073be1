/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Doorbells: a guest's write to a port or a device address that only has to be noticed, not
 * answered. The engine rings them on the exit path, without a return from run. A write that no
 * doorbell takes goes on as any port or MMIO access.
 */
#ifndef BV_DOORBELL_H
#define BV_DOORBELL_H

#include "bv/errno.h"
#include "bv/types.h"

struct bv_vm;

struct bv_doorbell {
	u64 opaque[3]; /* the engine's */
	u64 addr; /* port number, or guest physical address */
	u32 len; /* 1, 2, 4, 8: only a write of this size; 0: of any size and any value */
	bool port;
	bool match; /* only a write of exactly `value` */
	u64 value;
	/* any context, must not block; runs on the vCPU's thread */
	void (*ring)(struct bv_doorbell *bell);
};

/*
 * The caller's memory, filled but for `opaque`; stays in place until del. -BV_ENOMEM, -BV_ENOSPC:
 * too many. Clashing bells are the caller's to avoid. sleep; vCPUs may run.
 */
int bv_doorbell_add(struct bv_vm *vm, struct bv_doorbell *bell);
/* After it returns the bell neither rings nor will ring. sleep; vCPUs may run. */
void bv_doorbell_del(struct bv_vm *vm, struct bv_doorbell *bell);

#endif
