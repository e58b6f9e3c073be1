/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Linux host's part of a VM and of a vCPU. OS headers come before this one. */
#ifndef BV_LINUX_HOST_H
#define BV_LINUX_HOST_H

#include "bv/host.h"
#include "bv/vm.h"

struct bv_linux_vm {
	/*
	 * constant: host addresses are addresses in it; a reference to the struct, not to its
	 * memory
	 */
	struct mm_struct *mm;
	struct mmu_notifier notifier;
	struct bv_vm *vm; /* constant after start */
};

struct bv_linux_vcpu {
	struct bv_vcpu *vcpu; /* constant after the first run */
	struct list_head all; /* in run.c's list, under its lock */
	struct fpu_guest fpu;
	struct wait_queue_head queue;
	struct preempt_notifier notifier;
	struct task_struct *task; /* the running thread, between run_begin and run_end */
	int cpu; /* where that thread is, -1 when it is on none; written by it alone */
	unsigned long
		noted; /* jiffies when RCU was last told of a guest's run; that thread alone */
	bool in_guest; /* interrupts are off for the guest; written by that thread alone */
};

static inline struct bv_linux_vm *bv_linux_vm_of(struct bv_vm *vm)
{
	return bv_vm_host(vm);
}

static inline struct bv_linux_vcpu *bv_linux_vcpu_of(struct bv_vcpu *vcpu)
{
	return bv_vcpu_host(vcpu);
}

/* fpu.c */
int bv_linux_fpu_init(void);
int bv_linux_fpu_alloc(struct bv_linux_vcpu *own);
void bv_linux_fpu_free(struct bv_linux_vcpu *own);

#endif
