/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the Linux host offer each other. OS headers come before this one. */
#ifndef BV_LINUX_H
#define BV_LINUX_H

/* dev.c: /dev/kvm. -EBUSY, with words in the log, where somebody else has it. sleep. */
int bv_linux_dev_init(void);
/* No file is open any more: the module's reference count saw to it. sleep. */
void bv_linux_dev_fini(void);

/*
 * run.c: from now on no vCPU runs; a thread that wants one to waits for a signal. False if some did
 * not come out in time: they wait for the guest's memory, perhaps. sleep.
 */
bool bv_linux_run_stop(void);

/* eventfd.c. -ENOMEM. sleep. */
int bv_linux_eventfd_init(void);
void bv_linux_eventfd_fini(void);

#endif
