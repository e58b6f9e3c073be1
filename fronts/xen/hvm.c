// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hypercall hvm_op: parameters of a guest, memory types, the upcall vector of a vCPU.
 */
#include "call.h"
#include "event.h"

#include <xen/hvm/hvm_op.h>

/* Who may set a parameter. */
enum param_rule {
	PARAM_NONE, /* not known */
	PARAM_GUEST, /* the guest itself, too */
	PARAM_TOOLS, /* only the tools; the guest may read it */
	PARAM_SECRET, /* only the tools, both */
	PARAM_ONCE, /* only the tools, once */
};

static const u8 rules[HVM_NR_PARAMS] = {
	[HVM_PARAM_CALLBACK_IRQ] = PARAM_GUEST,
	[HVM_PARAM_STORE_PFN] = PARAM_TOOLS,
	[HVM_PARAM_STORE_EVTCHN] = PARAM_TOOLS,
	[HVM_PARAM_PAE_ENABLED] = PARAM_TOOLS,
	[HVM_PARAM_IOREQ_PFN] = PARAM_SECRET,
	[HVM_PARAM_BUFIOREQ_PFN] = PARAM_SECRET,
	[HVM_PARAM_VIRIDIAN] = PARAM_TOOLS,
	[HVM_PARAM_TIMER_MODE] = PARAM_TOOLS,
	[HVM_PARAM_HPET_ENABLED] = PARAM_TOOLS,
	[HVM_PARAM_IDENT_PT] = PARAM_TOOLS,
	[HVM_PARAM_DM_DOMAIN] = PARAM_SECRET,
	[HVM_PARAM_ACPI_S_STATE] = PARAM_TOOLS,
	[HVM_PARAM_VM86_TSS] = PARAM_GUEST,
	[HVM_PARAM_VPT_ALIGN] = PARAM_TOOLS,
	[HVM_PARAM_CONSOLE_PFN] = PARAM_TOOLS,
	[HVM_PARAM_CONSOLE_EVTCHN] = PARAM_TOOLS,
	[HVM_PARAM_ACPI_IOPORTS_LOCATION] = PARAM_GUEST,
	[HVM_PARAM_PAGING_RING_PFN] = PARAM_SECRET,
	[HVM_PARAM_MONITOR_RING_PFN] = PARAM_SECRET,
	[HVM_PARAM_SHARING_RING_PFN] = PARAM_SECRET,
	[HVM_PARAM_TRIPLE_FAULT_REASON] = PARAM_TOOLS,
	[HVM_PARAM_IOREQ_SERVER_PFN] = PARAM_SECRET,
	[HVM_PARAM_NR_IOREQ_SERVER_PAGES] = PARAM_SECRET,
	[HVM_PARAM_VM_GENERATION_ID_ADDR] = PARAM_GUEST,
	[HVM_PARAM_ALTP2M] = PARAM_SECRET,
	[HVM_PARAM_X87_FIP_WIDTH] = PARAM_SECRET,
	[HVM_PARAM_VM86_TSS_SIZED] = PARAM_SECRET,
	[HVM_PARAM_MCA_CAP] = PARAM_SECRET,
};

static int value_check(struct bvx_call *call, u32 index, u64 value)
{
	bool good = true;

	switch (index) {
	case HVM_PARAM_CALLBACK_IRQ:
		good = value >> 56 <= HVM_PARAM_CALLBACK_TYPE_VECTOR;
		break;
	case HVM_PARAM_TRIPLE_FAULT_REASON:
		good = value <= SHUTDOWN_MAX;
		break;
	case HVM_PARAM_TIMER_MODE:
		good = value <= HVMPTM_one_missed_tick_pending;
		break;
	case HVM_PARAM_VIRIDIAN:
	case HVM_PARAM_ALTP2M:
	case HVM_PARAM_MCA_CAP:
		good = !value;
		break;
	default:
		break;
	}
	return good ? 0 : bvx_call_refuse(call, XEN_EINVAL, "%u = %#llx", index, value);
}

static int may_set(struct bvx_call *call, const struct xen_hvm_param *op)
{
	u8 rule = op->index < HVM_NR_PARAMS ? rules[op->index] : PARAM_NONE;

	if (rule == PARAM_NONE)
		return bvx_call_refuse(call, XEN_EINVAL, "there is no parameter %u", op->index);
	if (rule != PARAM_GUEST && !call->domain->privileged)
		return bvx_call_refuse(call, XEN_EPERM, "parameter %u", op->index);
	return value_check(call, op->index, op->value);
}

/* What was pending may be told from now on. */
static void callback_changed(struct bvx_domain *domain)
{
	for (u32 i = 0; i < domain->max_vcpus; i++)
		if (domain->vcpu[i])
			bv_vcpu_irq_arrived(domain->vcpu[i]->vcpu);
}

static long set_param(struct bvx_call *call)
{
	const struct xen_hvm_param *op = call->data;
	int error = may_set(call, op);
	struct bvx_domain *domain = error ? NULL : bvx_domain_named(call->vcpu, op->domid, &error);

	if (!domain)
		return error;
	__atomic_store_n(&domain->params[op->index], op->value, __ATOMIC_RELEASE);
	if (op->index == HVM_PARAM_CALLBACK_IRQ && domain == call->domain)
		bvx_layout_set(domain, !call->wide);
	if (op->index == HVM_PARAM_CALLBACK_IRQ)
		callback_changed(domain);
	bvx_domain_put(domain);
	return 0;
}

static long get_param(struct bvx_call *call)
{
	struct xen_hvm_param *op = call->data;
	u8 rule = op->index < HVM_NR_PARAMS ? rules[op->index] : PARAM_NONE;
	struct bvx_domain *domain;
	int error;

	if (rule == PARAM_NONE)
		return bvx_call_refuse(call, XEN_EINVAL, "there is no parameter %u", op->index);
	if (rule == PARAM_SECRET && !call->domain->privileged)
		return bvx_call_refuse(call, XEN_EPERM, "parameter %u", op->index);
	domain = bvx_domain_named(call->vcpu, op->domid, &error);
	if (!domain)
		return error;
	op->value = __atomic_load_n(&domain->params[op->index], __ATOMIC_ACQUIRE);
	bvx_domain_put(domain);
	return 0;
}

/* The engine flushes what it changes by itself. */
static long flush_tlbs(struct bvx_call *call)
{
	return call->args[1] ? -XEN_EINVAL : 0;
}

static long get_time(struct bvx_call *call)
{
	struct xen_hvm_get_time *op = call->data;

	op->now = bv_host_ns();
	return 0;
}

static long get_mem_type(struct bvx_call *call)
{
	struct xen_hvm_get_mem_type *op = call->data;
	struct bvx_domain *domain;
	struct bvx_entry entry;
	int error;

	domain = bvx_domain_named(call->vcpu, op->domid, &error);
	if (!domain)
		return error;
	bv_host_spin_lock(&domain->p2m.lock);
	entry = bvx_p2m_look(&domain->p2m, op->pfn);
	bv_host_spin_unlock(&domain->p2m.lock);
	bvx_domain_put(domain);
	op->mem_type = HVMMEM_ram_rw;
	if (entry.type == BVX_NONE || entry.type == BVX_MMIO)
		op->mem_type = HVMMEM_mmio_dm;
	else if (entry.type == BVX_RAM_READONLY || entry.type == BVX_GRANT_READONLY)
		op->mem_type = HVMMEM_ram_ro;
	return 0;
}

static long set_upcall_vector(struct bvx_call *call)
{
	const struct xen_hvm_evtchn_upcall_vector *op = call->data;
	struct bvx_vcpu *vcpu;

	if (op->vector < 0x10)
		return bvx_call_refuse(call, XEN_EINVAL, "vector %#x", op->vector);
	if (op->vcpu >= call->domain->max_vcpus || !call->domain->vcpu[op->vcpu])
		return bvx_call_refuse(call, XEN_ENOENT, "no vCPU %u", op->vcpu);
	vcpu = call->domain->vcpu[op->vcpu];
	__atomic_store_n(&vcpu->upcall_vector, op->vector, __ATOMIC_SEQ_CST);
	bvx_upcall_again(vcpu);
	return 0;
}

static const struct bvx_op ops[] = {
	BVX_OP(HVMOP_set_param, struct xen_hvm_param, BVX_IN, set_param),
	BVX_OP(HVMOP_get_param, struct xen_hvm_param, BVX_IN | BVX_OUT, get_param),
	BVX_OP_PLAIN(HVMOP_flush_tlbs, 0, flush_tlbs),
	BVX_OP(HVMOP_get_time, struct xen_hvm_get_time, BVX_OUT, get_time),
	BVX_OP(HVMOP_get_mem_type, struct xen_hvm_get_mem_type, BVX_IN | BVX_OUT, get_mem_type),
	BVX_OP(HVMOP_set_evtchn_upcall_vector, struct xen_hvm_evtchn_upcall_vector, BVX_IN,
	       set_upcall_vector),
};

/* args: subop, argument */
long bvx_hvm_op(struct bvx_call *call)
{
	return bvx_subop(call, ops, BV_ARRAY_SIZE(ops), call->args[0], call->args[1]);
}
