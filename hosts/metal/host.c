/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the front asks of the machine as a whole (os.h), and does not concern a vCPU or Dom0's
 * devices.
 */
#include "hosts/metal/metal.h"
#include "fronts/xen/xen.h"

void bvx_host_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
	cpuid(leaf, subleaf, out);
}

/* The few that tell features; an unknown one would be a #GP of ours. */
bool bvx_host_msr(u32 index, u64 *value)
{
	(void)index, (void)value;
	return false;
}

static u32 threads_per_core(void)
{
	u32 id[4];

	cpuid(0x80000000, 0, id);
	if (id[0] >= 0x8000001e) {
		cpuid(0x8000001e, 0, id);
		return (id[1] >> 8 & 0xff) + 1;
	}
	return 1;
}

void bvx_host_machine(struct bvx_host_machine *machine)
{
	u32 threads = threads_per_core();

	*machine = (struct bvx_host_machine){
		.cpus = metal_cpu_count,
		.max_cpu = metal_cpu_count,
		.threads_per_core = threads,
		.cores_per_socket = (metal_cpu_count + threads - 1) / threads,
		.nodes = 1,
		.khz = bv_host_tsc_khz(),
		.iommu = iommu_on(),
	};
}

bool bvx_host_cpu_info(unsigned int cpu, struct bvx_host_cpu *info)
{
	if (cpu >= metal_cpu_count)
		return false;
	*info = (struct bvx_host_cpu){
		.present = true,
		.online = true,
		.core = cpu / threads_per_core(),
		.apic_id = metal_cpus[cpu]->apic_id,
		.acpi_id = cpu,
		.idle_ns = sched_idle_ns(metal_cpus[cpu]),
	};
	return true;
}

const char *bvx_host_command_line(void)
{
	return boot.text;
}

void bvx_host_end(enum bvx_host_end how)
{
	static const char *const words[] = {
		[BVX_END_POWEROFF] = "has powered off",
		[BVX_END_REBOOT] = "reboots",
		[BVX_END_CRASH] = "has crashed",
		[BVX_END_WATCHDOG] = "did not answer the watchdog",
	};

	say_info("Dom0 %s", words[how]);
	if (how == BVX_END_POWEROFF)
		machine_off();
	if (options.noreboot && how != BVX_END_REBOOT) {
		say_info("stopped: 'noreboot' is given. Reset the machine by hand.");
		smp_stop_others();
		machine_halt();
	}
	machine_reboot();
}

const struct bvx_screen *bvx_host_screen(void)
{
	return &boot.screen;
}

int bvx_host_acpi_sleep(u32 state, u32 pm1a, u32 pm1b)
{
	if (state != 5)
		return -BV_EOPNOTSUPP;
	out_u16(acpi.pm1a_control, (u16)pm1a);
	if (acpi.pm1b_control)
		out_u16(acpi.pm1b_control, (u16)pm1b);
	return 0;
}
