/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The /dev/kvm front in user space: a table of files and eventfds in place of the kernel's, so that
 * tests and fuzzers can make the calls of a VMM. fake_kvm_reset first, after fake_reset.
 */
#ifndef HOSTS_FAKE_KVM_H
#define HOSTS_FAKE_KVM_H

#include "bv/types.h"
#include "fronts/kvm/kvm.h"

/* The number under which the device is open, always. */
#define FAKE_KVM_DEVICE 0
#define FAKE_KVM_FILES 64

/* Closes all files, ends what hangs on them. */
void fake_kvm_reset(void);

long fake_ioctl(int fd, u32 cmd, u64 arg);
long fake_ioctl_compat(int fd, u32 cmd, u64 arg);
/* -BV_EBADF. The last file of an eventfd hangs up its listeners. */
int fake_close(int fd);
/* The page at an index of a vCPU's file; NULL: none. */
void *fake_mmap(int fd, u64 index);
/* Statistics: as pread. -BV_EBADF. */
long fake_stats_read(int fd, u64 offset, void *to, size_t bytes);

struct bvk_vm *fake_kvm_vm(int fd); /* NULL: not a VM */
struct bvk_vcpu *fake_kvm_vcpu(int fd); /* NULL: not a vCPU */

int fake_eventfd(void); /* a new eventfd with counter 0; -BV_EMFILE */
void fake_eventfd_signal(int fd);
/* Reads the counter and clears it. */
u64 fake_eventfd_read(int fd);

/* No number at or above this is given out: -BV_EMFILE. */
void fake_kvm_limit_files(int limit);
/* Calls come from another process than the one that made the VM. */
void fake_kvm_other_process(bool other);
/* Signal mask of the calling thread, as bvk_host_signals_swap sees it. */
u64 fake_signal_mask(void);

#endif
