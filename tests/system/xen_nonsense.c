// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Run in Dom0 by xen-fuzz: hypercalls with nonsense, each with the error that has to come, and a
 * word of the reason that has to be in the log. Prints a line for each: "NAME|good or bad|WORD".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/memory.h>
#include <xen/platform.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/vcpu.h>

/* Linux's include/uapi/xen/privcmd.h, of which no package has a copy */
struct call {
	uint64_t number, argument[5];
};
#define MAKE_CALL _IOC(_IOC_NONE, 'P', 0, sizeof(struct call))

#define NOBODY 1234
#define FAR ((void *)0x123456789000)

static int device;

static long call(uint64_t number, uint64_t a, uint64_t b, uint64_t c)
{
	struct call call = { number, { a, b, c, 0, 0 } };
	int result = ioctl(device, MAKE_CALL, &call);

	return result < 0 ? -errno : result;
}

static long subop(uint64_t number, uint64_t cmd, void *argument)
{
	return call(number, cmd, (uintptr_t)argument, 0);
}

static void tell(const char *name, long result, long wanted, const char *word)
{
	printf("%s: %s|%s|%s\n", name, strerror((int)-wanted), result == wanted ? "good" : "bad",
	       word);
	if (result != wanted)
		fprintf(stderr, "%s: %ld, not %ld\n", name, result, wanted);
}

/* ---- domctl and its kin ---- */

static long domctl(uint32_t cmd, domid_t domain, uint32_t version, struct xen_domctl op)
{
	op.cmd = cmd;
	op.domain = domain;
	op.interface_version = version;
	return call(__HYPERVISOR_domctl, (uintptr_t)&op, 0, 0);
}

static void domctls(void)
{
	const uint32_t version = XEN_DOMCTL_INTERFACE_VERSION;
	struct xen_domctl none = { 0 }, create = { 0 };

	tell("a domctl of another version", domctl(XEN_DOMCTL_pausedomain, 0, 1, none), -EACCES,
	     "version 0x1");
	tell("a domctl that there is not", domctl(9999, 0, version, none), -EOPNOTSUPP,
	     "there is no operation 9999");
	tell("a domctl from nowhere", call(__HYPERVISOR_domctl, (uintptr_t)FAR, 0, 0), -EFAULT,
	     "no argument at 0x123456789000");
	tell("nobody is paused", domctl(XEN_DOMCTL_pausedomain, NOBODY, version, none), -ESRCH,
	     "no domain 1234");
	tell("the caller is destroyed", domctl(XEN_DOMCTL_destroydomain, 0, version, none), -EINVAL,
	     "d0 is the caller");
	create.u.createdomain.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap;
	create.u.createdomain.max_vcpus = 9999;
	tell("a domain of 9999 vCPUs", domctl(XEN_DOMCTL_createdomain, NOBODY, version, create),
	     -EINVAL, "9999 vCPUs");
	create.u.createdomain.max_vcpus = 1;
	create.u.createdomain.flags |= 0x40000000;
	tell("a domain with flags of nobody's",
	     domctl(XEN_DOMCTL_createdomain, NOBODY, version, create), -EINVAL, "flags 0x40000003");
}

static void systems(void)
{
	struct xen_sysctl control = { .cmd = 9999, .interface_version = 1 };
	struct xen_platform_op platform = { .cmd = 9999, .interface_version = 1 };

	tell("a sysctl of another version", call(__HYPERVISOR_sysctl, (uintptr_t)&control, 0, 0),
	     -EACCES, "sysctl: version 0x1");
	control.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
	tell("a sysctl that there is not", call(__HYPERVISOR_sysctl, (uintptr_t)&control, 0, 0),
	     -EOPNOTSUPP, "sysctl: there is no operation 9999");
	tell("a platform_op of another version",
	     call(__HYPERVISOR_platform_op, (uintptr_t)&platform, 0, 0), -EACCES,
	     "platform_op: version 0x1");
	platform.interface_version = XENPF_INTERFACE_VERSION;
	tell("a platform_op that there is not",
	     call(__HYPERVISOR_platform_op, (uintptr_t)&platform, 0, 0), -ENOSYS,
	     "platform_op: there is no operation 9999");
}

/* ---- memory ---- */

static void memory(void)
{
	xen_pfn_t frame = 1ul << 50;
	struct xen_memory_reservation some = { .nr_extents = 1, .domid = NOBODY };
	struct xen_add_to_physmap add = { .domid = DOMID_SELF, .space = 77 };

	set_xen_guest_handle(some.extent_start, &frame);
	tell("memory for nobody", subop(__HYPERVISOR_memory_op, XENMEM_populate_physmap, &some),
	     -ESRCH, "no domain 1234");
	some.domid = DOMID_SELF;
	tell("a frame beyond all",
	     subop(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, &some), 0,
	     "gfn 0x4000000000000");
	some.extent_order = 40;
	tell("2^40 pages in one", subop(__HYPERVISOR_memory_op, XENMEM_populate_physmap, &some),
	     -EPERM, "order 40");
	tell("pages from a space of nobody's",
	     subop(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, &add), -ENOSYS, "space 77");
	tell("an unknown memory_op", subop(__HYPERVISOR_memory_op, 60, &add), -ENOSYS,
	     "memory_op: there is no subop 60");
	tell("memory from nowhere", subop(__HYPERVISOR_memory_op, XENMEM_populate_physmap, FAR),
	     -EFAULT, "XENMEM_populate_physmap: no argument at");
}

/* ---- events and grants ---- */

static void events(void)
{
	struct evtchn_send send = { .port = 99999 };
	struct evtchn_bind_virq virq = { .virq = 99 };
	struct evtchn_bind_ipi ipi = { .vcpu = 99 };
	struct evtchn_bind_interdomain bind = { .remote_dom = NOBODY, .remote_port = 1 };
	struct evtchn_alloc_unbound open = { .dom = NOBODY };

	tell("an event to no port", subop(__HYPERVISOR_event_channel_op, EVTCHNOP_send, &send),
	     -EINVAL, "port 99999 cannot be sent to");
	tell("an unknown VIRQ", subop(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, &virq),
	     -EINVAL, "VIRQ 99");
	tell("an IPI to no vCPU", subop(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, &ipi),
	     -ENOENT, "no vCPU 99");
	tell("a port of nobody's",
	     subop(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain, &bind), -ESRCH,
	     "EVTCHNOP_bind_interdomain: there is no domain 1234");
	tell("a port for nobody",
	     subop(__HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, &open), -ESRCH,
	     "no domain 1234");
	tell("an unknown event_channel_op", subop(__HYPERVISOR_event_channel_op, 77, &open),
	     -ENOSYS, "event_channel_op: there is no subop 77");
}

static void granting(void)
{
	struct gnttab_map_grant_ref map = { .host_addr = 1 << 30,
					    .flags = GNTMAP_host_map,
					    .dom = NOBODY };
	struct gnttab_unmap_grant_ref unmap = { .handle = 0xffffff };

	tell("a map of nobody's grant",
	     call(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (uintptr_t)&map, 1), 0, "");
	tell("and its status", map.status, GNTST_bad_domain, "");
	tell("an end of no map",
	     call(__HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, (uintptr_t)&unmap, 1), 0,
	     "");
	tell("and its status", unmap.status, GNTST_bad_handle, "");
	tell("less than no grants",
	     call(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (uintptr_t)&map, ~0u),
	     -EINVAL, "items");
	tell("an unknown grant_table_op", call(__HYPERVISOR_grant_table_op, 77, 0, 0), -ENOSYS,
	     "grant_table_op: there is no subop 77");
}

/* ---- vCPUs, and what is left ---- */

static void others(void)
{
	struct vcpu_set_periodic_timer period = { .period_ns = 1 };
	struct sched_remote_shutdown remote = { .domain_id = NOBODY };
	struct xen_hvm_param param = { .domid = DOMID_SELF, .index = 999 };

	tell("a vCPU that there is not", call(__HYPERVISOR_vcpu_op, VCPUOP_is_up, 77, 0), -ENOENT,
	     "no vCPU 77");
	tell("a tick each nanosecond",
	     call(__HYPERVISOR_vcpu_op, VCPUOP_set_periodic_timer, 0, (uintptr_t)&period), -EINVAL,
	     "a period of 1 ns");
	tell("a shutdown of nobody", subop(__HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, &remote),
	     -ESRCH, "no domain 1234");
	tell("an unknown sched_op", subop(__HYPERVISOR_sched_op, 77, &remote), -ENOSYS,
	     "sched_op: there is no subop 77");
	tell("an unknown parameter", subop(__HYPERVISOR_hvm_op, HVMOP_set_param, &param), -EINVAL,
	     "no parameter 999");
	tell("calls from nowhere", call(__HYPERVISOR_multicall, (uintptr_t)FAR, 3, 0), -EFAULT,
	     "multicall: entry 0");
	tell("a number of nobody's", call(60, 0, 0, 0), -ENOSYS, "");
}

int main(void)
{
	device = open("/dev/xen/privcmd", O_RDWR);
	if (device < 0)
		return 1;
	domctls();
	systems();
	memory();
	events();
	granting();
	others();
	return 0;
}
