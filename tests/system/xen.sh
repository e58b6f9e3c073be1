# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For tests of the Xen way, sourced: the part outside of the emulated PC. It starts the hypervisor
# with Debian's kernel as Dom0 and Debian's xen-utils in it; what is tried there is a script that
# xen-dom0.sh, Dom0's init, runs.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
pc=$top/tests/pc
name=${0##*/}
log=$top/build/log/$name.console
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$top/build/log"

xen_memory=3072 xen_cpus=${XEN_CPUS:-2} xen_options=dom0_mem=1G
xen_seconds=900
xen_disks=() # files: Dom0's /dev/vdb, /dev/vdc...; nothing that is written to them is kept
xen_devices=() # QEMU's options for others

# What Dom0 has to have from its start on, and what the back ends for disks and nets are made of.
xen_modules=(virtio_pci virtio_blk ext4 xen-privcmd xen-evtchn xen-gntdev xen-gntalloc xenfs
	xen-blkback xen-netback bridge loop)

xen_initrd_init() {
	cat <<-'INIT'
		#!/bin/busybox sh
		/bin/busybox mount -t devtmpfs dev /dev
		/bin/busybox mount -t proc proc /proc
		/bin/busybox mount -t sysfs sys /sys
		while read -r module; do
			/bin/busybox insmod /modules/$module
		done </modules/order
		/bin/busybox mount -t ext4 -o noatime /dev/vda /root
		/bin/busybox mkdir -p /root/dom0
		/bin/busybox cp /dom0/* /root/dom0/
		for dir in dev proc sys; do
			/bin/busybox mount --move /$dir /root/$dir
		done
		exec /bin/busybox switch_root /root /dom0/init
	INIT
}

# xen_initrd SCRIPT [FILE NAME]...: Dom0's initramfs
xen_initrd() {
	local tree=$work/tree
	mkdir -p "$tree"/{bin,dev,proc,sys,root,dom0}
	cp /bin/busybox "$tree/bin/"
	cp -r "$("$pc/kernel" -i generic "${xen_modules[@]}")" "$tree/modules"
	cp "$top/tests/system/inside.sh" "$tree/dom0/"
	install "$top/tests/system/xen-dom0.sh" "$tree/dom0/init"
	cp "$1" "$tree/dom0/script"
	shift
	while [[ $# -gt 0 ]]; do
		cp "$1" "$tree/dom0/$2"
		shift 2
	done
	xen_initrd_init >"$tree/init"
	chmod 755 "$tree/init"
	(cd "$tree" && find . | cpio --quiet -o -H newc)
}

# xen_small SCRIPT [FILE NAME]...: as xen_dom0, with the kernel and the initramfs of small guests,
# whose jobs are in xen-guest.sh
xen_small() {
	local initrd
	initrd=$("$pc/guest-initrd" --modules "xen-blkfront xen-netfront" \
		--file "$top/tests/system/busy.sh" --script "$top/tests/system/xen-guest.sh")
	xen_dom0 "$@" "$("$pc/kernel" cloud)" vmlinuz "$initrd" initrd
}

# xen_guests KNOWN: in $work, what xen-guests-script.sh needs of the tiny guests, hostile ones and
# those of Xen's interface among them: guests.tar, guests.list, known.list. KNOWN says what the
# emulator does wrong.
xen_guests() {
	local guests=$top/tests/guests
	make -s --no-print-directory -C "$top" guests >&2
	cat "$guests/guests.list" "$guests/xen.list" >"$work/guests.list"
	cat "$1" "$guests/known-domu.list" >"$work/known.list"
	sed -nE 's/^([a-z]\S*).*/\1/p' "$work/guests.list" | sort -u |
		tar -C "$top/build/guests" -cf "$work/guests.tar" -T -
}

# xen_qemu LOG SECONDS MIB OPTIONS MODULES [QEMU OPTION...]: the hypervisor on the emulated machine,
# to its end. The first CPU runs no guests: tests/pc/pc says why.
xen_qemu() {
	local log=$1 seconds=$2 mib=$3 options=$4 modules=$5
	shift 5
	timeout "$seconds" qemu-system-x86_64 -machine q35 -cpu EPYC -m "$mib" \
		-smp $((xen_cpus + 1)) -nodefaults -display none -no-reboot -serial "file:$log" \
		-kernel "$top/build/hypervisor/bivisor" \
		-append "console=com1 noreboot isolcpus=0 $options" -initrd "$modules" "$@" \
		2>"$log.qemu"
}

xen_machine() {
	local disk i=0 devices=("${xen_devices[@]}")
	for disk in "$("$pc/root-dom0")" "${xen_disks[@]}"; do
		devices+=(-drive "if=none,id=disk$i,file=$disk,format=raw,snapshot=on")
		devices+=(-device "virtio-blk-pci,drive=disk$i")
		i=$((i + 1))
	done
	xen_qemu "$log" "$xen_seconds" "$xen_memory" "$xen_options" \
		"$("$pc/kernel" -x generic) console=hvc0 quiet panic=1,$work/initrd" "${devices[@]}"
}

# xen_dom0 SCRIPT [FILE NAME]...: runs the script in Dom0, where the files are /dom0/NAME; the last
# line is its sum
xen_dom0() {
	local status=0
	make -s --no-print-directory -C "$top" build/hypervisor/bivisor >&2
	xen_initrd "$@" >"$work/initrd"
	xen_machine || status=$?
	tr -d '\r' <"$log" | grep -aE '^(ok|FAILED|skipped|figure)  ' || true
	if [[ $status != 0 ]] ||
		! tr -d '\r' <"$log" | grep -aqE '^[1-9][0-9]* passed, 0 failed'; then
		tail -n 40 "$log"
		echo "FAILED   the machine ended with status $status"
		echo "0 passed, 1 failed, 0 skipped"
		exit 1
	fi
	tr -d '\r' <"$log" | grep -aE '^[0-9]+ passed, ' | tail -n 1
}
