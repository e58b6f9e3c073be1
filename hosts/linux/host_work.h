/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BV_LINUX_HOST_WORK_H
#define BV_LINUX_HOST_WORK_H

/* Does what is pending for the calling thread; -EINTR: a signal is. sleep. */
int bv_linux_work(void);

#endif
