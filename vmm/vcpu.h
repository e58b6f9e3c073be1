/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vCPUs' threads: each runs the guest and brings its accesses to the devices.
 *
 * A vCPU is held (its thread waits, its state can be read and set) or not. Whoever wants vCPUs held
 * asks in the loop's thread; a vCPU that is in the guest or in a device finishes its access first.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include "vmm/hv.h"
#include "vmm/vmm.h"

#include <pthread.h>
#include <stdatomic.h>

struct vm;

struct vcpu {
	struct vm *vm;
	struct hv_vcpu *hv;
	unsigned int id;
	pthread_t thread;
	atomic_bool attention; /* look at cpus before running on */
	bool held; /* under cpus->lock */
	bool stopped_by_debug; /* by its own thread, under the machine's lock */
	uint64_t dr6;
	atomic_ullong exits[HV_EXITS];
};

struct cpus {
	struct vm *vm;
	pthread_mutex_t lock; /* taken after the machine's */
	pthread_cond_t changed;
	bool hold;
	bool quit;
	struct vcpu all[VMM_CPUS_MAX];
	unsigned int count;
};

int cpus_init(struct cpus *cpus, struct vm *vm, struct why *why);

/* Starts the threads, all held. */
int cpus_start(struct cpus *cpus, struct why *why);

/* The machine's lock is let go meanwhile. */
void cpus_hold(struct cpus *cpus);
void cpus_release(struct cpus *cpus);

/* Ends the threads; the machine's lock is not held. */
void cpus_stop(struct cpus *cpus);
void cpus_fini(struct cpus *cpus);

/* Nanoseconds of processor time that the thread has used. */
uint64_t vcpu_time(const struct vcpu *vcpu);

#endif
