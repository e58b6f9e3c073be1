// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hypercall platform_op: what Dom0's kernel knows of the machine and the hypervisor does not
 * (C and P states, sleep, the wall clock), and the other way round.
 */
#include "call.h"

#include <xen/platform.h>

#define SECOND 1000000000ULL
/* Xen 4.18 and later have it; Linux since 6.4 asks for it as a PVH Dom0. */
#ifndef XENPF_get_dom0_console
#define XENPF_get_dom0_console 64
#endif

static long settime(u64 seconds, u32 nanoseconds, u64 system_time)
{
	if (nanoseconds >= SECOND)
		return -XEN_EINVAL;
	bvx_host_wall_set(seconds * SECOND + nanoseconds, system_time);
	bvx_time_changed();
	return 0;
}

static long settime32(struct bvx_call *call, struct xen_platform_op *op)
{
	(void)call;
	return settime(op->u.settime32.secs, op->u.settime32.nsecs, op->u.settime32.system_time);
}

static long settime64(struct bvx_call *call, struct xen_platform_op *op)
{
	(void)call;
	if (op->u.settime64.mbz)
		return -XEN_EINVAL;
	return settime(op->u.settime64.secs, op->u.settime64.nsecs, op->u.settime64.system_time);
}

/* The BIOS's tables of disks and displays: whoever wants them asks the firmware. */
static long firmware_info(struct bvx_call *call, struct xen_platform_op *op)
{
	(void)call;
	switch (op->u.firmware_info.type) {
	case XEN_FW_DISK_INFO:
	case XEN_FW_DISK_MBR_SIGNATURE:
		return -XEN_ENOENT;
	case XEN_FW_VBEDDC_INFO:
		return -XEN_ESRCH;
	case XEN_FW_KBD_SHIFT_FLAGS:
		op->u.firmware_info.u.kbd_shift_flags = 0;
		return 0;
	default:
		return -XEN_EINVAL;
	}
}

static long acpi_sleep(struct bvx_call *call, struct xen_platform_op *op)
{
	const struct xenpf_enter_acpi_sleep *sleep = &op->u.enter_acpi_sleep;

	if (sleep->flags & ~XENPF_ACPI_SLEEP_EXTENDED || sleep->sleep_state > 5)
		return bvx_call_refuse(call, XEN_EINVAL, "state %u, flags %#x", sleep->sleep_state,
				       sleep->flags);
	if (sleep->flags & XENPF_ACPI_SLEEP_EXTENDED)
		return bvx_call_refuse(call, XEN_EOPNOTSUPP, "hardware-reduced ACPI");
	return bvx_host_acpi_sleep(sleep->sleep_state, sleep->val_a, sleep->val_b);
}

/* What a processor could do to save power. We halt it, which needs none of this. */
static long pminfo(struct bvx_call *call, struct xen_platform_op *op)
{
	(void)call, (void)op;
	return 0;
}

static long cpuinfo(struct bvx_call *call, struct xen_platform_op *op)
{
	struct xenpf_pcpuinfo *info = &op->u.pcpu_info;
	struct bvx_host_machine machine;
	struct bvx_host_cpu cpu;

	(void)call;
	bvx_host_machine(&machine);
	info->max_present = machine.max_cpu ? machine.max_cpu - 1 : 0;
	info->flags = 0;
	if (!bvx_host_cpu_info(info->xen_cpuid, &cpu) || !cpu.present) {
		info->flags = XEN_PCPU_FLAGS_INVALID;
		return 0;
	}
	info->flags = cpu.online ? XEN_PCPU_FLAGS_ONLINE : 0;
	info->apic_id = cpu.apic_id;
	info->acpi_id = cpu.acpi_id;
	return 0;
}

static void screen_text(struct dom0_vga_console_info *info, const struct bvx_screen *screen)
{
	info->video_type = XEN_VGATYPE_TEXT_MODE_3;
	info->u.text_mode_3.font_height = screen->font_height;
	info->u.text_mode_3.cursor_x = screen->cursor_x;
	info->u.text_mode_3.cursor_y = screen->cursor_y;
	info->u.text_mode_3.rows = (u16)screen->height;
	info->u.text_mode_3.columns = (u16)screen->width;
}

static void screen_rgb(struct dom0_vga_console_info *info, const struct bvx_screen *screen)
{
	info->video_type = screen->efi ? XEN_VGATYPE_EFI_LFB : XEN_VGATYPE_VESA_LFB;
	info->u.vesa_lfb.width = (u16)screen->width;
	info->u.vesa_lfb.height = (u16)screen->height;
	info->u.vesa_lfb.bytes_per_line = (u16)screen->pitch;
	info->u.vesa_lfb.bits_per_pixel = (u16)screen->depth;
	info->u.vesa_lfb.lfb_base = (u32)screen->address;
	info->u.vesa_lfb.ext_lfb_base = (u32)(screen->address >> 32);
	info->u.vesa_lfb.lfb_size = (u32)(((u64)screen->pitch * screen->height + 0xffff) >> 16);
	info->u.vesa_lfb.red_pos = screen->color[0];
	info->u.vesa_lfb.red_size = screen->color[1];
	info->u.vesa_lfb.green_pos = screen->color[2];
	info->u.vesa_lfb.green_size = screen->color[3];
	info->u.vesa_lfb.blue_pos = screen->color[4];
	info->u.vesa_lfb.blue_size = screen->color[5];
}

/* Says how many bytes it has put there. */
static long dom0_console(struct bvx_call *call, struct xen_platform_op *op)
{
	struct dom0_vga_console_info *info = (void *)&op->u;
	const struct bvx_screen *screen = bvx_host_screen();

	BV_STATIC_ASSERT(sizeof(*info) <= sizeof(op->u));
	*info = (struct dom0_vga_console_info){ 0 };
	switch (screen->kind) {
	case BVX_SCREEN_TEXT:
		screen_text(info, screen);
		break;
	case BVX_SCREEN_RGB:
		screen_rgb(info, screen);
		break;
	case BVX_SCREEN_NONE:
		return bvx_call_refuse(call, XEN_ENODEV, "the loader told of no display");
	}
	return sizeof(*info);
}

static long unsupported(struct bvx_call *call, struct xen_platform_op *op)
{
	return bvx_call_refuse(call, XEN_EOPNOTSUPP, "operation %u", op->cmd);
}

static const struct {
	u32 cmd;
	bool out;
	long (*perform)(struct bvx_call *call, struct xen_platform_op *op);
} ops[] = {
	{ XENPF_settime32, false, settime32 },
	{ XENPF_settime64, false, settime64 },
	{ XENPF_firmware_info, true, firmware_info },
	{ XENPF_enter_acpi_sleep, false, acpi_sleep },
	{ XENPF_set_processor_pminfo, false, pminfo },
	{ XENPF_get_cpuinfo, true, cpuinfo },
	{ XENPF_get_dom0_console, true, dom0_console },
	{ XENPF_cpu_online, false, unsupported },
	{ XENPF_cpu_offline, false, unsupported },
	{ XENPF_cpu_hotadd, false, unsupported },
	{ XENPF_mem_hotadd, false, unsupported },
	{ XENPF_core_parking, false, unsupported },
	{ XENPF_efi_runtime_call, false, unsupported },
	{ XENPF_microcode_update, false, unsupported },
};

/* args: argument */
long bvx_platform_op(struct bvx_call *call)
{
	struct xen_platform_op *op = call->data;

	BV_STATIC_ASSERT(sizeof(*op) <= BVX_ARG_BYTES);
	if (!call->domain->privileged)
		return -XEN_EPERM;
	if (bvx_copy_in(call->vcpu, op, call->args[0], sizeof(*op)))
		return -XEN_EFAULT;
	if (op->interface_version != XENPF_INTERFACE_VERSION)
		return bvx_call_refuse(call, XEN_EACCES, "version %#x, not %#x",
				       op->interface_version, XENPF_INTERFACE_VERSION);
	for (u32 i = 0; i < BV_ARRAY_SIZE(ops); i++) {
		long result;

		if (ops[i].cmd != op->cmd)
			continue;
		result = ops[i].perform(call, op);
		if (result >= 0 && ops[i].out &&
		    bvx_copy_out(call->vcpu, call->args[0], op, sizeof(*op)))
			return -XEN_EFAULT;
		return result;
	}
	return bvx_call_refuse(call, XEN_ENOSYS, "there is no operation %u", op->cmd);
}
