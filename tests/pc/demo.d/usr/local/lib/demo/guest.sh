# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Sourced by the demonstrations of both ways: the guest is on the second disk.
guest_disk=/dev/disk/by-id/virtio-guest

# Its kernel into /run, where it is started from.
take_kernel() {
	mkdir -p guest &&
		mount -o ro "$guest_disk-part3" guest &&
		cp -L guest/vmlinuz guest/initrd.img . &&
		umount guest
}
