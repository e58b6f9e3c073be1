/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The module's beginning and end: virtualization is turned on on every CPU while the module is
 * loaded.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/module.h>
#include <linux/mmu_notifier.h>
#include <linux/preempt.h>
#include <linux/reboot.h>
#include <linux/syscore_ops.h>
#include <linux/wait.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>

#include "bv/vm.h"
#include "hosts/linux/compat/compat.h"
#include "hosts/linux/host.h"
#include "hosts/linux/linux.h"

/* ---- CPUs ---- */

static int cpu_on(unsigned int cpu)
{
	int error;

	local_irq_disable();
	error = bv_engine_cpu_enable();
	local_irq_enable();
	if (error)
		pr_err("bivisor: CPU %u: virtualization is in use by somebody else (kvm_amd?), or "
		       "not there\n",
		       cpu);
	return error;
}

static int cpu_off(unsigned int cpu)
{
	local_irq_disable();
	bv_engine_cpu_disable();
	local_irq_enable();
	return 0;
}

static void cpu_off_now(void *unused)
{
	bv_engine_cpu_disable();
}

static int engine_suspend(void)
{
	bv_engine_cpu_disable();
	return 0;
}

static void engine_resume(void)
{
	if (bv_engine_cpu_enable())
		pr_err("bivisor: virtualization could not be turned on again after suspend\n");
}

/* The CPU that suspends and resumes the machine takes no part in hot-plug. */
BV_COMPAT_SYSCORE(engine_syscore, engine_suspend, engine_resume);

/* A firmware or kernel that starts next must find the CPUs as it expects them. */
static int engine_reboot(struct notifier_block *block, unsigned long what, void *unused)
{
	if (bv_linux_run_stop())
		on_each_cpu(cpu_off_now, NULL, 1);
	else
		pr_err("bivisor: a guest does not stop; the CPUs are left as they are\n");
	return NOTIFY_OK;
}

static struct notifier_block reboot_block = { .notifier_call = engine_reboot };

static int cpuhp_state;

static int cpus_on(void)
{
	int state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "bivisor:online", cpu_on, cpu_off);

	if (state < 0)
		return state;
	cpuhp_state = state;
	bv_compat_register_syscore(&engine_syscore);
	register_reboot_notifier(&reboot_block);
	return 0;
}

static void cpus_off(void)
{
	unregister_reboot_notifier(&reboot_block);
	bv_compat_unregister_syscore(&engine_syscore);
	cpuhp_remove_state(cpuhp_state);
}

/* ---- the module ---- */

static void say_reasons(void)
{
	static char text[4096];

	bv_why_read(bv_why_global(), text, sizeof(text));
	pr_err("bivisor: %s", text);
}

static char *mitigations = "auto";
module_param(mitigations, charp, 0444);
MODULE_PARM_DESC(mitigations, "auto, off, or names (docs/mitigations.md)");

static int nested;
module_param(nested, int, 0444);
MODULE_PARM_DESC(nested, "guests may run guests (AMD-V)");

/* "auto" is off where the kernel is told to have none itself. */
static int mitigate(void)
{
	bool off = !strcmp(mitigations, "auto") && cpu_mitigations_off();
	bool safe_returns = IS_ENABLED(CONFIG_RETHUNK) || IS_ENABLED(CONFIG_MITIGATION_RETHUNK);
	char text[80];
	int error = bv_engine_mitigate(off ? "off" : mitigations, safe_returns, text, sizeof(text));

	if (!error)
		pr_info("bivisor: mitigations: %s\n", *text ? text : "none");
	return error;
}

static int __init bivisor_init(void)
{
	int error = bv_engine_init();

	if (error) {
		say_reasons();
		return error;
	}
	bv_engine_nesting(nested);
	if (nested && !bv_engine_nests())
		pr_warn("bivisor: nested=1: not on %s\n", bv_engine_vendor());
	error = mitigate();
	if (error)
		goto no_fpu;
	error = bv_linux_fpu_init();
	if (error)
		goto no_fpu;
	error = cpus_on();
	if (error)
		goto no_cpus;
	/* Once, not for each VM: it changes the kernel's code, which interrupts every CPU. */
	preempt_notifier_inc();
	error = bv_linux_eventfd_init();
	if (error)
		goto no_eventfd;
	error = bv_linux_dev_init();
	if (error)
		goto no_dev;
	pr_info("bivisor: ready, on %s\n", bv_engine_vendor());
	return 0;
no_dev:
	bv_linux_eventfd_fini();
no_eventfd:
	preempt_notifier_dec();
	cpus_off();
no_cpus:
no_fpu:
	say_reasons();
	bv_engine_fini();
	return error;
}

static void __exit bivisor_exit(void)
{
	bv_linux_dev_fini();
	bv_linux_eventfd_fini();
	preempt_notifier_dec();
	cpus_off();
	bv_engine_fini();
}

module_init(bivisor_init);
module_exit(bivisor_exit);
MODULE_DESCRIPTION("Bivisor: virtual machines by /dev/kvm");
MODULE_AUTHOR("The Bivisor developers");
MODULE_LICENSE("GPL");
