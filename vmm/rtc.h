/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MC146818 clock with its CMOS memory, ports 0x70 and 0x71, interrupt 8. UTC. */
#ifndef VMM_RTC_H
#define VMM_RTC_H

#include "vmm/vm.h"

struct rtc {
	struct vm *vm;
	uint8_t index;
	uint8_t memory[128];
	int64_t offset; /* seconds that the guest's clock is ahead of the host's */
	uint64_t periodic_at;
	struct loop_timer timer;
	struct vm_device device;
};

struct rtc *rtc_create(struct vm *vm);

#endif
