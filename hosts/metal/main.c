/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hypervisor's beginning, in order; entry.S calls metal_main on the boot processor. */
#include "hosts/metal/metal.h"
#include "bv/why.h"
#include "fronts/xen/xen.h"

void metal_main(u32 kind, u64 info);

/* mitigations=WORDS as docs/mitigations.md has them, or Xen's spec-ctrl=no. */
static int mitigate(char *text, size_t size)
{
	const char *words = options.mitigations[0] ? options.mitigations :
			    options.spec_ctrl[0] && !parse_bool(options.spec_ctrl) ? "off" :
										     "auto";
	int error = bv_engine_mitigate(words, false, text, size);

	if (!error)
		say_info("mitigations: %s", *text ? text : "none");
	return error;
}

static void engine_start(void)
{
	static char text[1024];

	if (bv_engine_init() == 0 && mitigate(text, sizeof(text)) == 0 &&
	    bv_engine_cpu_enable() == 0)
		return;
	bv_why_read(bv_why_global(), text, sizeof(text));
	panic("no virtual machines on this processor: %s", text);
}

/* The rest may sleep: a thread. */
static void begin(void *unused)
{
	(void)unused;
	smp_start();
	console_input_init();
	works_init();
	if (bvx_init())
		panic("the Xen front could not be started");
	dom0_start();
}

void metal_main(u32 kind, u64 info)
{
	struct thread *thread;

	locks_init();
	boot_read(kind, info);
	options_parse(boot.text);
	console_init();
	say_info("Bivisor, a hypervisor, started by %s", kind == BOOT_MULTIBOOT1 ? "Multiboot" :
							 kind == BOOT_MULTIBOOT2 ? "Multiboot 2" :
										   "PVH");
	say_info("command line '%s'", boot.text);
	frames_init();
	smp_init_boot();
	paging_init();
	frames_init_high();
	acpi_init();
	apic_init_cpu();
	fpu_init_cpu();
	ioapic_init();
	time_init();
	sched_init();
	watchdog_init_cpu();
	say_info("memory: %llu MiB, %llu MiB free", frames_total() >> 8, frames_free_count() >> 8);
	engine_start();
	thread = thread_create("begin", begin, NULL);
	if (!thread)
		panic("no memory for the first thread");
	thread_start(thread);
	sched_idle();
}
