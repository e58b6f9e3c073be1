// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ioctls of the device itself, but for capabilities (caps.c), CPUID (cpuid.c) and MSRs (msr.c).
 */
#include "front.h"

int bvk_no_argument(struct bvk_call *call)
{
	if (!call->arg)
		return 0;
	return bvk_refuse(call, BV_EINVAL, "argument %#llx: must be 0", call->arg);
}

long bvk_get_api_version(struct bvk_call *call)
{
	int error = bvk_no_argument(call);

	return error ? error : KVM_API_VERSION;
}

/* The run page, and behind it the page of port data. */
long bvk_get_mmap_size(struct bvk_call *call)
{
	int error = bvk_no_argument(call);

	return error ? error : (long)((KVM_PIO_PAGE_OFFSET + 1) * BV_PAGE_SIZE);
}

long bvk_get_mce_cap(struct bvk_call *call)
{
	*(__u64 *)call->data = bv_mce_supported();
	return 0;
}

/* ---- attributes of the device: group 0 only ---- */

long bvk_has_dev_attr(struct bvk_call *call)
{
	const struct kvm_device_attr *attr = call->data;

	if (attr->group)
		return bvk_refuse(call, BV_ENXIO, "group = %u: there is only 0", attr->group);
	if (attr->attr != KVM_X86_XCOMP_GUEST_SUPP)
		return bvk_refuse(call, BV_ENXIO,
				  "attr = %llu: there is only KVM_X86_XCOMP_GUEST_SUPP",
				  attr->attr);
	return 0;
}

long bvk_get_dev_attr(struct bvk_call *call)
{
	const struct kvm_device_attr *attr = call->data;
	__u64 components = bv_host_xcr0_supported();
	long error = bvk_has_dev_attr(call);

	if (error)
		return error;
	if (bv_host_copy_out(attr->addr, &components, sizeof(components)))
		return bvk_refuse(call, BV_EFAULT, "addr = %#llx: not the caller's memory",
				  attr->addr);
	return 0;
}
