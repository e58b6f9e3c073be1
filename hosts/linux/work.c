/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Work that Linux has for a thread before it may enter the guest: rescheduling, task work,
 * restartable sequences. The kernel's function for it wants a vCPU of its own KVM, to note in it
 * that a signal came. It gets one that nobody reads.
 */
#include <linux/kvm_host.h>
#include <linux/entry-kvm.h>

#include "hosts/linux/host_work.h"

static struct kvm_run unread_run;
static struct kvm_vcpu unread = { .run = &unread_run };

int bv_linux_work(void)
{
	if (signal_pending(current))
		return -EINTR;
	return xfer_to_guest_mode_handle_work(&unread);
}
