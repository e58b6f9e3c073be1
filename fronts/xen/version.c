// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xen_version and vm_assist: what this hypervisor says of itself. The numbers are those of the Xen
 * whose ABI it speaks, since the tools look at them.
 */
#include "call.h"

#include <xen/domctl.h>
#include <xen/version.h>

/* Debian's: 12 has 4.17, 13 has 4.20. What else they differ in is in the headers. */
#define MAJOR 4
#if XEN_DOMCTL_INTERFACE_VERSION == 0x15
#define MINOR 17
#elif XEN_DOMCTL_INTERFACE_VERSION == 0x17
#define MINOR 20
#else
#error "libxen-dev is neither that of Xen 4.17 nor that of 4.20"
#endif
#define EXTRA ".7-bivisor"
#define CHANGESET "unavailable"

static const char capabilities[] = "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ";

static const struct xen_compile_info compile_info = {
	.compiler = "gcc " __VERSION__,
	.compile_by = "bivisor",
	.compile_domain = "",
	.compile_date = "",
};

static long version(struct bvx_call *call)
{
	(void)call;
	return MAJOR << 16 | MINOR;
}

/* A text of fixed length, the rest of it zero. */
static long text(struct bvx_call *call, const char *from, size_t length, size_t size)
{
	char buffer[64] = { 0 };
	u64 at = call->args[1];

	for (size_t done = 0; done < size; done += sizeof(buffer)) {
		size_t left = length > done ? length - done : 0;
		size_t part = size - done < sizeof(buffer) ? size - done : sizeof(buffer);

		__builtin_memset(buffer, 0, sizeof(buffer));
		__builtin_memcpy(buffer, from + (left ? done : 0), left < part ? left : part);
		if (bvx_copy_out(call->vcpu, at + done, buffer, part))
			return -XEN_EFAULT;
	}
	return 0;
}

static long extraversion(struct bvx_call *call)
{
	return text(call, EXTRA, sizeof(EXTRA), sizeof(xen_extraversion_t));
}

static long get_compile_info(struct bvx_call *call)
{
	return text(call, (const char *)&compile_info, sizeof(compile_info), sizeof(compile_info));
}

static long get_capabilities(struct bvx_call *call)
{
	return text(call, capabilities, sizeof(capabilities), sizeof(xen_capabilities_info_t));
}

static long changeset(struct bvx_call *call)
{
	return text(call, CHANGESET, sizeof(CHANGESET), sizeof(xen_changeset_info_t));
}

/* Where PV guests find the hypervisor; the tools show it. */
static long platform_parameters(struct bvx_call *call)
{
	const u64 start = 0xffff800000000000ULL;

	return bvx_copy_out(call->vcpu, call->args[1], &start, call->wide ? 8 : 4) ? -XEN_EFAULT :
										     0;
}

static u32 features(const struct bvx_domain *domain)
{
	return BV_BIT(XENFEAT_auto_translated_physmap) | BV_BIT(XENFEAT_hvm_callback_vector) |
	       BV_BIT(XENFEAT_hvm_safe_pvclock) | BV_BIT(XENFEAT_not_direct_mapped) |
	       (domain->hardware ? BV_BIT(XENFEAT_dom0) : 0);
}

static long get_features(struct bvx_call *call)
{
	struct xen_feature_info *info = call->data;

	if (info->submap_idx >= XENFEAT_NR_SUBMAPS)
		return -XEN_EINVAL;
	info->submap = features(call->domain);
	return 0;
}

static long pagesize(struct bvx_call *call)
{
	(void)call;
	return BV_PAGE_SIZE;
}

static long guest_handle(struct bvx_call *call)
{
	return text(call, (const char *)call->domain->handle, sizeof(call->domain->handle),
		    sizeof(call->domain->handle));
}

/* What the administrator wrote is no guest's business. */
static const char *command_line(const struct bvx_domain *domain, size_t *length)
{
	const char *words = domain->privileged ? bvx_host_command_line() : "<denied>";

	for (*length = 0; words[*length];)
		++*length;
	return words;
}

static long commandline(struct bvx_call *call)
{
	size_t length;
	const char *words = command_line(call->domain, &length);

	if (length > sizeof(xen_commandline_t) - 1)
		length = sizeof(xen_commandline_t) - 1;
	return text(call, words, length, sizeof(xen_commandline_t));
}

static long build_id(struct bvx_call *call)
{
	return call->domain->privileged ? -XEN_ENODATA : -XEN_EPERM;
}

#ifdef XENVER_extraversion2
/*
 * Since Xen 4.18: a text whole and without an end mark, into a buffer that begins with its size.
 * Without a buffer, and with it: how many bytes the text has.
 */
static long whole_text(struct bvx_call *call, const char *from, size_t length)
{
	u64 at = call->args[1];
	u32 size;

	if (!at)
		return (long)length;
	if (bvx_copy_in(call->vcpu, &size, at, sizeof(size)))
		return -XEN_EFAULT;
	if (size < length)
		return bvx_call_refuse(call, XEN_ENOBUFS, "%u bytes for a text of %llu", size,
				       (u64)length);
	return bvx_copy_out(call->vcpu, at + sizeof(size), from, length) ? -XEN_EFAULT :
									   (long)length;
}

static long whole_extraversion(struct bvx_call *call)
{
	return whole_text(call, EXTRA, sizeof(EXTRA) - 1);
}

static long whole_capabilities(struct bvx_call *call)
{
	return whole_text(call, capabilities, sizeof(capabilities) - 1);
}

static long whole_changeset(struct bvx_call *call)
{
	return whole_text(call, CHANGESET, sizeof(CHANGESET) - 1);
}

static long whole_commandline(struct bvx_call *call)
{
	size_t length;
	const char *words = command_line(call->domain, &length);

	return whole_text(call, words, length);
}
#endif

static const struct bvx_op ops[] = {
	BVX_OP_PLAIN(XENVER_version, 0, version),
	BVX_OP_PLAIN(XENVER_extraversion, 0, extraversion),
	BVX_OP_PLAIN(XENVER_compile_info, 0, get_compile_info),
	BVX_OP_PLAIN(XENVER_capabilities, 0, get_capabilities),
	BVX_OP_PLAIN(XENVER_changeset, 0, changeset),
	BVX_OP_PLAIN(XENVER_platform_parameters, 0, platform_parameters),
	BVX_OP(XENVER_get_features, struct xen_feature_info, BVX_IN | BVX_OUT, get_features),
	BVX_OP_PLAIN(XENVER_pagesize, 0, pagesize),
	BVX_OP_PLAIN(XENVER_guest_handle, 0, guest_handle),
	BVX_OP_PLAIN(XENVER_commandline, 0, commandline),
	BVX_OP_PLAIN(XENVER_build_id, 0, build_id),
#ifdef XENVER_extraversion2
	BVX_OP_PLAIN(XENVER_extraversion2, 0, whole_extraversion),
	BVX_OP_PLAIN(XENVER_capabilities2, 0, whole_capabilities),
	BVX_OP_PLAIN(XENVER_changeset2, 0, whole_changeset),
	BVX_OP_PLAIN(XENVER_commandline2, 0, whole_commandline),
#endif
};

/* args: subop, argument */
long bvx_xen_version(struct bvx_call *call)
{
	return bvx_subop(call, ops, BV_ARRAY_SIZE(ops), call->args[0], call->args[1]);
}

/* args: command, type */
long bvx_vm_assist(struct bvx_call *call)
{
	bool enable = call->args[0] == VMASST_CMD_enable;

	if (call->args[0] > VMASST_CMD_disable)
		return -XEN_ENOSYS;
	if (call->args[1] != VMASST_TYPE_runstate_update_flag)
		return bvx_call_refuse(call, XEN_EINVAL, "type %llu", call->args[1]);
	__atomic_store_n(&call->domain->runstate_flag, enable, __ATOMIC_RELEASE);
	return 0;
}
