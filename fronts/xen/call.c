// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Hypercalls: the table of numbers and the way through it. Called by the engine at a VMMCALL or
 * VMCALL, on the vCPU's thread.
 *
 * Two ways. A quick call is carried out inside the exit, with the engine's memory lock held for
 * reading: it takes a few locks and is done. A slow one may sleep, take long, or stop vCPUs; it
 * goes back to the thread (vcpu.c), which holds nothing. A call that is quick in most cases says so
 * by BVX_LATER, and is made again the slow way.
 *
 * Registers. 64-bit callers: number in RAX, arguments in RDI, RSI, RDX, R10, R8; 32-bit: EBX, ECX,
 * EDX, ESI, EDI. The result is in RAX.
 */
#include "call.h"
#include "event.h"

struct hypercall {
	const char *name; /* NULL: there is none of that number */
	bool quick;
	bool narrow; /* for 32-bit callers, too */
	long (*perform)(struct bvx_call *call);
};

#define CALL(number, is_quick, is_narrow, handler) \
	[__HYPERVISOR_##number] = {                \
		#number,                           \
		is_quick,                          \
		is_narrow,                         \
		handler,                           \
	}

/* What is not here answers -ENOSYS, as Xen built without it does. */
static const struct hypercall hypercalls[] = {
	CALL(platform_op, false, false, bvx_platform_op),
	CALL(memory_op, false, false, bvx_memory_op),
	CALL(multicall, false, false, bvx_multicall),
	CALL(set_timer_op, true, true, bvx_set_timer_op),
	CALL(xen_version, true, true, bvx_xen_version),
	CALL(console_io, true, true, bvx_console_io),
	CALL(grant_table_op, true, false, bvx_grant_table_op),
	CALL(vm_assist, true, true, bvx_vm_assist),
	CALL(vcpu_op, true, false, bvx_vcpu_op),
	CALL(sched_op, true, true, bvx_sched_op),
	CALL(event_channel_op, true, true, bvx_event_channel_op),
	CALL(physdev_op, false, false, bvx_physdev_op),
	CALL(hvm_op, true, true, bvx_hvm_op),
	CALL(sysctl, false, false, bvx_sysctl),
	CALL(domctl, false, false, bvx_domctl),
};

static const struct hypercall *hypercall_find(u64 nr)
{
	if (nr >= BV_ARRAY_SIZE(hypercalls) || !hypercalls[nr].name)
		return NULL;
	return &hypercalls[nr];
}

static long perform(struct bvx_call *call, const struct hypercall *hypercall)
{
	call->name = hypercall->name;
	call->data = call->vcpu->arg;
	if (!call->wide && !hypercall->narrow)
		return bvx_call_refuse(call, XEN_ENOSYS, "not offered to 32-bit code");
	return hypercall->perform(call);
}

static void call_fill(struct bvx_call *call, struct bvx_vcpu *vcpu, const struct bv_hypercall *from)
{
	struct bv_gprs gprs;

	call->vcpu = vcpu;
	call->domain = vcpu->domain;
	call->wide = from->long_mode;
	if (!from->long_mode) {
		for (u32 i = 0; i < 6; i++)
			call->args[i] = (u32)from->args[i];
		return;
	}
	bv_vcpu_gprs_get(vcpu->vcpu, &gprs);
	call->args[0] = gprs.gpr[BV_RDI];
	call->args[1] = gprs.gpr[BV_RSI];
	call->args[2] = gprs.gpr[BV_RDX];
	call->args[3] = gprs.gpr[BV_R10];
	call->args[4] = gprs.gpr[BV_R8];
	call->args[5] = gprs.gpr[BV_R9];
}

bool bvx_hypercall(struct bv_vcpu *engine, struct bv_hypercall *from)
{
	struct bvx_vcpu *vcpu = bv_vcpu_pv(engine);
	const struct hypercall *hypercall = hypercall_find((u32)from->nr);
	struct bvx_call call;
	long result;

	if (!hypercall || from->cpl) {
		from->result = hypercall ? -XEN_EPERM : -XEN_ENOSYS;
		return true;
	}
	if (!hypercall->quick)
		return false;
	call_fill(&call, vcpu, from);
	vcpu->in_exit = true;
	result = perform(&call, hypercall);
	vcpu->in_exit = false;
	if (result == BVX_LATER)
		return false;
	from->result = (u64)result;
	return true;
}

void bvx_hypercall_slow(struct bvx_vcpu *vcpu)
{
	struct bv_hypercall *from = &vcpu->run.hypercall;
	const struct hypercall *hypercall = hypercall_find((u32)from->nr);
	struct bvx_call call;

	call_fill(&call, vcpu, from);
	from->result = (u64)perform(&call, hypercall);
}

long bvx_subop(struct bvx_call *call, const struct bvx_op *ops, u32 count, u64 cmd, u64 gva)
{
	const struct bvx_op *op = cmd < count && ops[cmd].name ? &ops[cmd] : NULL;
	long result;

	if (!op)
		return bvx_call_refuse(call, XEN_ENOSYS, "there is no subop %llu", cmd);
	call->name = op->name;
	call->gva = gva;
	if (op->flags & BVX_PRIVILEGED && !call->domain->privileged)
		return bvx_call_refuse(call, XEN_EPERM, "for Dom0 only");
	if (op->flags & BVX_WIDE && !call->wide)
		return bvx_call_refuse(call, XEN_ENOSYS, "not offered to 32-bit code");
	if (op->flags & BVX_IN && bvx_copy_in(call->vcpu, call->data, gva, op->size))
		return bvx_call_refuse(call, XEN_EFAULT, "no argument at %#llx", gva);
	result = op->perform(call);
	if (op->flags & BVX_OUT && result >= 0 &&
	    bvx_copy_out(call->vcpu, gva, call->data, op->size))
		return bvx_call_refuse(call, XEN_EFAULT, "argument at %#llx is not writable", gva);
	return result;
}

bool bvx_call_breathe(struct bvx_call *call)
{
	if (!call->vcpu->in_exit)
		bvx_host_yield();
	return __atomic_load_n(&call->vcpu->ended, __ATOMIC_ACQUIRE);
}

/* ---- multicall ---- */

static long multicall_one(struct bvx_call *outer, const struct multicall_entry *entry)
{
	struct bvx_call call = { .vcpu = outer->vcpu, .domain = outer->domain, .wide = true };
	const struct hypercall *hypercall = hypercall_find(entry->op);
	long result;

	if (!hypercall || entry->op == __HYPERVISOR_multicall)
		return -XEN_ENOSYS;
	for (u32 i = 0; i < BV_ARRAY_SIZE(call.args); i++)
		call.args[i] = entry->args[i];
	result = perform(&call, hypercall);
	return result;
}

/* args: entries, their number */
long bvx_multicall(struct bvx_call *call)
{
	struct multicall_entry entry;
	u32 count = (u32)call->args[1];

	for (u32 i = 0; i < count; i++) {
		u64 at = call->args[0] + i * sizeof(entry);

		if (bvx_copy_in(call->vcpu, &entry, at, sizeof(entry)))
			return bvx_refuse(call->domain, XEN_EFAULT, "multicall: entry %u at %#llx",
					  i, at);
		entry.result = (u64)multicall_one(call, &entry);
		if (bvx_copy_out(call->vcpu, at + offsetof(struct multicall_entry, result),
				 &entry.result, sizeof(entry.result)))
			return -XEN_EFAULT;
		if (bvx_call_breathe(call))
			return 0;
	}
	return 0;
}
