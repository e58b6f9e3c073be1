/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Differences between the kernels that the module builds against, from 6.1 on. The only place with
 * #if for a kernel version.
 */
#ifndef BV_LINUX_COMPAT_H
#define BV_LINUX_COMPAT_H

#include <linux/eventfd.h>
#include <linux/version.h>

/* 6.8 took the count away: it was 1 everywhere. */
static inline void bv_compat_eventfd_signal(struct eventfd_ctx *eventfd)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(eventfd);
#else
	eventfd_signal(eventfd, 1);
#endif
}

/* 6.9 renamed the test for a large entry of a page table. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
#define bv_compat_pud_leaf pud_leaf
#define bv_compat_pmd_leaf pmd_leaf
#else
#define bv_compat_pud_leaf pud_large
#define bv_compat_pmd_leaf pmd_large
#endif

/* 6.7 took the CPU's number away. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
#define bv_compat_rcu_note() rcu_virt_note_context_switch()
#else
#define bv_compat_rcu_note() rcu_virt_note_context_switch(smp_processor_id())
#endif

#endif
