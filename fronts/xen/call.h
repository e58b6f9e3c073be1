/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hypercall on its way, and the tables of subops. The tables themselves stand in the files of
 * their subjects, call.c has the one of hypercalls.
 */
#ifndef BVX_CALL_H
#define BVX_CALL_H

#include "front.h"

struct bvx_call {
	struct bvx_vcpu *vcpu;
	struct bvx_domain *domain; /* the caller's */
	const char *name; /* of the hypercall, then of the subop */
	u64 args[6];
	u64 gva; /* of the argument that data was copied from */
	void *data;
	bool wide; /* from 64-bit code */
};

/*
 * No result of a guest's: the call was made inside the exit, and has to be made where it may sleep.
 */
#define BVX_LATER (-4096L)

#define BVX_IN 1u /* the argument is copied in before */
#define BVX_OUT 2u /* and out after success (a result that is not negative) */
#define BVX_PRIVILEGED 4u /* for Dom0 only */
#define BVX_WIDE 8u /* for 64-bit callers only */

/*
 * The argument is another structure for 32-bit callers: `narrow` has its fields in order, 2, 4 or 8
 * for integers of so many bytes, p for a long or a handle, | where a structure within it ends.
 * NULL: the same for both.
 */
struct bvx_op {
	const char *name; /* NULL: there is none of that number */
	u16 size;
	u16 flags;
	long (*perform)(struct bvx_call *call);
	const char *narrow;
};

#define BVX_OP(op, type, op_flags, handler)                 \
	[op] = {                                            \
		#op, sizeof(type), op_flags, handler, NULL, \
	}
#define BVX_OP_NARROW(op, type, op_flags, handler, fields)    \
	[op] = {                                              \
		#op, sizeof(type), op_flags, handler, fields, \
	}
#define BVX_OP_PLAIN(op, op_flags, handler)      \
	[op] = {                                 \
		#op, 0, op_flags, handler, NULL, \
	}

/* Carries out subop number cmd of a table, with its argument at gva. -XEN_ENOSYS: none such. */
long bvx_subop(struct bvx_call *call, const struct bvx_op *ops, u32 count, u64 cmd, u64 gva);
/* Refuses, naming call and domain. */
#define bvx_call_refuse(call, error, format, ...) \
	bvx_refuse((call)->domain, error, "%s: " format, (call)->name, ##__VA_ARGS__)

/* An array of a guest's, item by item. */
static inline int bvx_item_in(struct bvx_call *call, void *to, const void *handle, u64 index,
			      size_t bytes)
{
	return bvx_copy_in(call->vcpu, to, (u64)(unsigned long)handle + index * bytes, bytes);
}

static inline int bvx_item_out(struct bvx_call *call, const void *handle, u64 index,
			       const void *from, size_t bytes)
{
	return bvx_copy_out(call->vcpu, (u64)(unsigned long)handle + index * bytes, from, bytes);
}

/* The same of longs (frame numbers), which are half as long for 32-bit callers. */
static inline int bvx_long_in(struct bvx_call *call, unsigned long *to, const void *handle,
			      u64 index)
{
	*to = 0;
	return bvx_item_in(call, to, handle, index, call->wide ? 8 : 4);
}

static inline int bvx_long_out(struct bvx_call *call, const void *handle, u64 index,
			       unsigned long value)
{
	return bvx_item_out(call, handle, index, &value, call->wide ? 8 : 4);
}

/* An argument that 32-bit callers have in the form `narrow` (NULL: alike), in and out. */
int bvx_arg_in(struct bvx_call *call, u64 gva, void *arg, size_t size, const char *narrow);
int bvx_arg_out(struct bvx_call *call, u64 gva, const void *arg, size_t size, const char *narrow);
/* How many bytes it takes in the caller's form, in an array. */
size_t bvx_arg_stride(const struct bvx_call *call, size_t size, const char *narrow);

/* Between the steps of a long call: gives way. true: the caller is to stop soon (it is ending). */
bool bvx_call_breathe(struct bvx_call *call);

/* The hypercalls, by their numbers in call.c. */
long bvx_xen_version(struct bvx_call *call);
long bvx_memory_op(struct bvx_call *call);
long bvx_multicall(struct bvx_call *call);
long bvx_set_timer_op(struct bvx_call *call);
long bvx_console_io(struct bvx_call *call);
long bvx_grant_table_op(struct bvx_call *call);
long bvx_vm_assist(struct bvx_call *call);
long bvx_vcpu_op(struct bvx_call *call);
long bvx_sched_op(struct bvx_call *call);
long bvx_sched_op_wait(struct bvx_call *call);
long bvx_hvm_op(struct bvx_call *call);
long bvx_physdev_op(struct bvx_call *call);
long bvx_platform_op(struct bvx_call *call);
long bvx_sysctl(struct bvx_call *call);
long bvx_domctl(struct bvx_call *call);

/* bringup.c: VCPUOP_initialise of a vCPU of the caller's domain */
long bvx_vcpu_initialise(struct bvx_call *call, struct bvx_vcpu *vcpu);

#endif
