/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Differences between the kernels that the module builds against, from 6.1 on. The only place with
 * #if for a kernel version.
 */
#ifndef BV_LINUX_COMPAT_H
#define BV_LINUX_COMPAT_H

#include <linux/eventfd.h>
#include <linux/syscore_ops.h>
#include <linux/version.h>

/* From 6.4 on smp_send_reschedule is a macro that leaves a trace, and needs this. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include <trace/events/ipi.h>
#endif

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

/*
 * 6.19, and stable kernels after it, give suspend and resume an argument. Which stable kernels do
 * is asked of the header (Kbuild). Defines `name` with two functions that take none.
 */
#ifdef BV_SYSCORE_TAKES_DATA
#define BV_COMPAT_SYSCORE(name, on_suspend, on_resume) \
	static int name##_suspend(void *unused)        \
	{                                              \
		return on_suspend();                   \
	}                                              \
	static void name##_resume(void *unused)        \
	{                                              \
		on_resume();                           \
	}                                              \
	static const struct syscore_ops name##_ops = { \
		.suspend = name##_suspend,             \
		.resume = name##_resume,               \
	};                                             \
	static struct syscore name = { .ops = &name##_ops }
#define bv_compat_register_syscore register_syscore
#define bv_compat_unregister_syscore unregister_syscore
#else
#define BV_COMPAT_SYSCORE(name, on_suspend, on_resume) \
	static struct syscore_ops name = {             \
		.suspend = on_suspend,                 \
		.resume = on_resume,                   \
	}
#define bv_compat_register_syscore register_syscore_ops
#define bv_compat_unregister_syscore unregister_syscore_ops
#endif

#endif
