// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzzes the hypercalls: the input is a program of calls by Dom0 and by guests that it makes, of
 * writes to their memory (grant tables and event words among it), and of time. Played on fronts/xen
 * and the engine over hosts/fake. Nothing may crash, hold a lock or sleep in the wrong place, and
 * when all domains are gone, every frame and allocation must have been given back.
 */
#include <stdlib.h>
#include <string.h>

#include "fronts/xen/front.h"
#include "hosts/fake/fake.h"
#include "hosts/fake/xen.h"
#include "tests/fuzz/input.h"

#include <xen/sysctl.h>

#define FRAMES 4096
#define DOM0_PAGES 512
#define GUESTS 3
#define MAX_STEPS 120
/* Arguments lie here, and things that they point to. */
#define ARG 0x10000ULL
#define LIST 0x20000ULL

/* Numbers that calls have a use for, more often than any other. */
static u64 next_number(void)
{
	static const u64 known[] = {
		0,	1,     2,    ARG,	 LIST,	 LIST + 0x1000, 0x7ff0,
		0x1000, ~0ULL, 4095, 0x80000000, 0x7fff, 1ULL << 40,	0x200
	};
	u8 which = next_byte();

	if (which < BV_ARRAY_SIZE(known))
		return known[which];
	return which & 1 ? next_byte() : next_u32();
}

/* ---- the world ---- */

static struct bvx_vcpu *current;

static struct bvx_vcpu *vcpu_of(u32 id, u32 index)
{
	struct bvx_domain *domain = bvx_domain_get(id);
	struct bvx_vcpu *vcpu = NULL;

	if (domain && !bvx_domain_dying(domain) && index < domain->max_vcpus)
		vcpu = domain->vcpu[index];
	if (domain)
		bvx_domain_put(domain);
	return vcpu;
}

static void memory_write(struct bvx_domain *domain, u64 gpa, const void *from, size_t bytes)
{
	bvx_copy_to_gpa(domain, gpa, from, bytes);
}

static void dom0_make(void)
{
	const struct bvx_dom0_spec spec = { .max_vcpus = 2, .max_pages = ~0ULL };
	struct bvx_domain *domain = bvx_dom0_new(&spec);
	struct bv_mfn mfn;

	if (!domain || bvx_host_frames_alloc(9, 0, &mfn) ||
	    bvx_dom0_map(domain, BV_GFN(0), mfn, DOM0_PAGES, BVX_DOM0_RAM))
		abort();
	bvx_vcpu_new(domain, 0);
	bvx_vcpu_new(domain, 1);
	bvx_domain_start(domain);
}

static long domctl(u32 cmd, u32 domid, struct xen_domctl *op)
{
	op->cmd = cmd;
	op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	op->domain = (domid_t)domid;
	memory_write(current->domain, ARG, op, sizeof(*op));
	return fake_hypercall(current, __HYPERVISOR_domctl, ARG, 0, 0, 0, 0);
}

/* A guest with some memory, as a beginning; what becomes of it is the input's. */
static void guest_make(u32 id)
{
	struct xen_domctl op = { 0 };
	struct bvx_domain *domain;
	struct bvx_entry old;

	op.u.createdomain = (struct xen_domctl_createdomain){
		.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
		.max_vcpus = 2,
		.max_evtchn_port = 1023,
		.max_grant_frames = 4,
		.max_maptrack_frames = 4,
		.arch = { .emulation_flags = XEN_X86_EMU_LAPIC },
	};
	if (domctl(XEN_DOMCTL_createdomain, id, &op))
		return;
	memset(&op.u, 0, sizeof(op.u));
	op.u.max_vcpus.max = 2;
	domctl(XEN_DOMCTL_max_vcpus, id, &op);
	op.u.max_mem.max_memkb = 1024;
	domctl(XEN_DOMCTL_max_mem, id, &op);
	domain = bvx_domain_get(id);
	if (!domain)
		return;
	for (u64 gfn = 0; gfn < 64; gfn++) {
		struct bvx_entry entry = { .type = BVX_RAM };

		if (bvx_pages_alloc(domain, 0, 0, &entry.mfn))
			break;
		if (bvx_p2m_set_where(domain, gfn, &entry, BVX_NONE, &old))
			bvx_frame_drop(domain, entry.mfn, true);
	}
	bvx_domain_put(domain);
}

/* Nothing would end a poll: the vCPU is stopped, as the tools could. */
static bool stopped;
static void idle(void)
{
	stopped = true;
	bvx_vcpu_stop(current);
}

/* ---- steps ---- */

static const u8 numbers[] = {
	__HYPERVISOR_memory_op,	       __HYPERVISOR_event_channel_op, __HYPERVISOR_grant_table_op,
	__HYPERVISOR_domctl,	       __HYPERVISOR_sysctl,	      __HYPERVISOR_hvm_op,
	__HYPERVISOR_vcpu_op,	       __HYPERVISOR_sched_op,	      __HYPERVISOR_multicall,
	__HYPERVISOR_xen_version,      __HYPERVISOR_console_io,	      __HYPERVISOR_physdev_op,
	__HYPERVISOR_platform_op,      __HYPERVISOR_set_timer_op,     __HYPERVISOR_vm_assist,
	__HYPERVISOR_event_channel_op, __HYPERVISOR_memory_op,
};

/* An argument with what the call looks at first already right. */
static void argument_make(u32 nr, u32 cmd, u8 *argument, size_t bytes)
{
	u32 version = nr == __HYPERVISOR_domctl ? XEN_DOMCTL_INTERFACE_VERSION :
		      nr == __HYPERVISOR_sysctl ? XEN_SYSCTL_INTERFACE_VERSION :
						  0x03000001;

	for (size_t i = 0; i + 8 <= bytes; i += 8) {
		u64 value = next_number();

		if (!input.left)
			break;
		memcpy(argument + i, &value, next_byte() & 1 ? 4 : 8);
	}
	if (nr != __HYPERVISOR_domctl && nr != __HYPERVISOR_sysctl &&
	    nr != __HYPERVISOR_platform_op)
		return;
	memcpy(argument, &cmd, 4);
	memcpy(argument + 4, &version, 4);
	if (nr == __HYPERVISOR_domctl)
		argument[9] = 0, argument[8] &= 7;
}

static void step_call(void)
{
	u8 nr = numbers[next_byte() % sizeof(numbers)], cmd = next_byte() % 96;
	u8 argument[160] = { 0 };
	u64 first = cmd;

	argument_make(nr, cmd, argument, sizeof(argument));
	memory_write(current->domain, ARG, argument, sizeof(argument));
	if (nr == __HYPERVISOR_domctl || nr == __HYPERVISOR_sysctl ||
	    nr == __HYPERVISOR_platform_op || nr == __HYPERVISOR_multicall)
		fake_hypercall(current, nr, ARG, next_byte() % 4, 0, 0, 0);
	else if (nr == __HYPERVISOR_vcpu_op)
		fake_hypercall(current, nr, first, next_byte() % 3, ARG, 0, 0);
	else if (next_byte() & 1)
		fake_hypercall(current, nr, first, ARG, next_number(), next_number(), 0);
	else
		fake_hypercall32(current, nr, cmd, ARG, next_u32(), next_u32(), 0);
}

static void step_memory(void)
{
	u8 bytes[64];
	u64 page = next_byte() % 64;

	next_bytes(bytes, sizeof(bytes));
	memory_write(current->domain, page << 12 | (next_u32() & 0xfff), bytes, next_byte() % 64);
}

/* A list of small numbers, where calls look for lists. */
static void step_list(void)
{
	for (u32 i = 0; i < 16; i++) {
		u64 value = next_number();

		memory_write(current->domain, LIST + i * 8, &value, 8);
	}
}

static void step(void)
{
	u8 what = next_byte();

	current = vcpu_of(what % (GUESTS + 1), what >> 7);
	if (!current)
		current = vcpu_of(0, 0);
	if (!current)
		return;
	switch (what >> 2 & 7) {
	case 0:
		step_memory();
		break;
	case 1:
		step_list();
		break;
	case 2:
		fake_clock_advance(next_u32() % 1000000000);
		break;
	case 3:
		current = vcpu_of(0, 0);
		guest_make(next_byte() % GUESTS + 1);
		break;
	default:
		step_call();
		break;
	}
	if (stopped)
		bvx_vcpu_go(current);
	stopped = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input.at = data;
	input.left = size;
	fake_reset();
	fake_log_quiet = true;
	fake_xen_idle = idle;
	fake_xen_start(FRAMES);
	dom0_make();
	current = vcpu_of(0, 0);
	for (u32 id = 1; id <= 2; id++)
		guest_make(id);
	for (u32 i = 0; i < MAX_STEPS && input.left; i++)
		step();
	fake_xen_stop();
	if (fake_allocs() || fake_timers())
		abort();
	return 0;
}
