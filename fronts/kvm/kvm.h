/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The entry header of the /dev/kvm front: what its host calls when a user opens, controls, maps,
 * reads or closes one of the front's files. What the front asks back is in os.h.
 *
 * There are four kinds of files: the device, a VM, a vCPU, and binary statistics. The host keeps
 * one pointer a file, which it got at bvk_host_fd_install, and hands it back here. Every function
 * may sleep.
 */
#ifndef BVK_KVM_H
#define BVK_KVM_H

#include "bv/types.h"

struct bvk_vm;
struct bvk_vcpu;
struct bvk_stats;

/* Where an ioctl comes from: the host fills it. */
struct bvk_request {
	u32 cmd;
	u64 arg;
	bool compat; /* from a 32-bit process: pointers inside structures have 32 bits */
};

/*
 * The ioctls. The result is the ioctl's: not negative, or a negative enum bv_errno; -BV_ENOTTY: no
 * such ioctl here.
 */
long bvk_dev_ioctl(const struct bvk_request *request);
long bvk_vm_ioctl(struct bvk_vm *vm, const struct bvk_request *request);
long bvk_vcpu_ioctl(struct bvk_vcpu *vcpu, const struct bvk_request *request);

/* The last reference to a file is gone. */
void bvk_vm_release(struct bvk_vm *vm);
void bvk_vcpu_release(struct bvk_vcpu *vcpu);
void bvk_stats_release(struct bvk_stats *stats);

/*
 * The page of ours (from bvk_host_shared_alloc) that lies at page `index` of a vCPU's file, or
 * NULL. It lives as long as the vCPU's file does.
 */
void *bvk_vcpu_page(struct bvk_vcpu *vcpu, u64 index);

/*
 * The reasons for refusals, newest last, a line each: those of a VM, or (vm NULL) those that
 * concern no VM. text always ends in NUL; returns its length.
 */
size_t bvk_reasons(struct bvk_vm *vm, char *text, size_t size);
/* Enough for any answer of bvk_reasons. */
#define BVK_REASONS_SIZE 4096

/*
 * Reads binary statistics at a file offset into to[bytes]: returns how many bytes, 0 past the end.
 */
size_t bvk_stats_read(struct bvk_stats *stats, u64 offset, void *to, size_t bytes);

#endif
