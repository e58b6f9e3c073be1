/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A look at this machine: what stands between it and guests. What only a guest can show is
 * vmm_host_probe()'s; here is what reading /proc and trying the device tells, at once.
 */
#ifndef CLI_HOST_H
#define CLI_HOST_H

#include <stdbool.h>
#include <stdint.h>

struct bv_host {
	bool svm, vmx; /* /proc/cpuinfo */
	char cpu[64];
	bool device, readable; /* /dev/kvm */
	bool trouble; /* guests will not run */
	char why[512];
	char advice[256];
	uint64_t memory, memory_free;
	unsigned int cpus;
	char module[64]; /* what provides the device, as far as can be told */
};

void bv_host_look(struct bv_host *host);

/* What there is without virtualization. */
#define BV_HOST_OTHERWISE                                                                         \
	"Without virtualization: 'make run' in Bivisor's source tree starts an emulated PC with " \
	"a "                                                                                      \
	"Debian guest in it, slower, on any machine."

#endif
