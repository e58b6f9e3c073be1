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
	CALL(memory_op, false, true, bvx_memory_op),
	CALL(multicall, false, true, bvx_multicall),
	CALL(set_timer_op, true, true, bvx_set_timer_op),
	CALL(xen_version, true, true, bvx_xen_version),
	CALL(console_io, true, true, bvx_console_io),
	CALL(grant_table_op, true, true, bvx_grant_table_op),
	CALL(vm_assist, true, true, bvx_vm_assist),
	CALL(vcpu_op, true, true, bvx_vcpu_op),
	CALL(sched_op, true, true, bvx_sched_op),
	CALL(event_channel_op, true, true, bvx_event_channel_op),
	CALL(physdev_op, false, false, bvx_physdev_op),
	CALL(hvm_op, true, true, bvx_hvm_op),
	CALL(sysctl, false, true, bvx_sysctl),
	CALL(domctl, false, true, bvx_domctl),
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

/* ---- arguments of 32-bit callers ---- */

static u32 aligned(u32 at, u32 to)
{
	return (at + to - 1) & ~(to - 1);
}

/*
 * Goes through both forms of an argument, field by field, and copies: to the wide form, or from it.
 * Either may be NULL, to know the size only: of the narrow form in an array. On x86-32 nothing is
 * aligned to more than 4.
 */
static u32 narrow_walk(const char *fields, u8 *wide, u8 *narrow, bool widen)
{
	u32 to = 0, from = 0;

	for (; *fields; fields++) {
		u32 wide_size = *fields == 'p' ? 8 : (u32)(*fields - '0');
		u32 narrow_size = *fields == 'p' ? 4 : (u32)(*fields - '0');

		if (*fields == '|') {
			to = aligned(to, 8);
			from = aligned(from, 4);
			continue;
		}
		to = aligned(to, wide_size);
		from = aligned(from, narrow_size < 4 ? narrow_size : 4);
		if (wide && widen) {
			__builtin_memset(wide + to, 0, wide_size);
			__builtin_memcpy(wide + to, narrow + from, narrow_size);
		} else if (wide) {
			__builtin_memcpy(narrow + from, wide + to, narrow_size);
		}
		to += wide_size;
		from += narrow_size;
	}
	return aligned(from, 4);
}

size_t bvx_arg_stride(const struct bvx_call *call, size_t size, const char *narrow)
{
	return call->wide || !narrow ? size : narrow_walk(narrow, NULL, NULL, true);
}

int bvx_arg_in(struct bvx_call *call, u64 gva, void *arg, size_t size, const char *narrow)
{
	u8 form[BVX_ARG_BYTES];

	if (call->wide || !narrow)
		return bvx_copy_in(call->vcpu, arg, gva, size);
	if (bvx_copy_in(call->vcpu, form, gva, bvx_arg_stride(call, size, narrow)))
		return -XEN_EFAULT;
	__builtin_memset(arg, 0, size);
	narrow_walk(narrow, arg, form, true);
	return 0;
}

int bvx_arg_out(struct bvx_call *call, u64 gva, const void *arg, size_t size, const char *narrow)
{
	u8 form[BVX_ARG_BYTES] = { 0 };

	if (call->wide || !narrow)
		return bvx_copy_out(call->vcpu, gva, arg, size);
	return bvx_copy_out(call->vcpu, gva, form, narrow_walk(narrow, (u8 *)arg, form, false));
}

/* ---- subops ---- */

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
	if (op->flags & BVX_IN && bvx_arg_in(call, gva, call->data, op->size, op->narrow))
		return bvx_call_refuse(call, XEN_EFAULT, "no argument at %#llx", gva);
	result = op->perform(call);
	if (op->flags & BVX_OUT && result >= 0 &&
	    bvx_arg_out(call, gva, call->data, op->size, op->narrow))
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
	struct bvx_call call = { .vcpu = outer->vcpu,
				 .domain = outer->domain,
				 .wide = outer->wide };
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
	static const char narrow[] = "pppppppp";
	struct multicall_entry entry;
	u32 count = (u32)call->args[1];
	size_t stride = bvx_arg_stride(call, sizeof(entry), narrow);

	for (u32 i = 0; i < count; i++) {
		u64 at = call->args[0] + i * stride;

		if (bvx_arg_in(call, at, &entry, sizeof(entry), narrow))
			return bvx_refuse(call->domain, XEN_EFAULT, "multicall: entry %u at %#llx",
					  i, at);
		entry.result = (u64)multicall_one(call, &entry);
		if (bvx_long_out(call, (void *)(unsigned long)at, 1, entry.result))
			return -XEN_EFAULT;
		if (bvx_call_breathe(call))
			return 0;
	}
	return 0;
}
