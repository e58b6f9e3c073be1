# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run by busybox's shell in the guest of tests/system/nested, which has Debian's kvm_amd loaded: its
# own guests. Status 0: all ended as they must.
bad=0

# ends_with STATUS NAME: a tiny guest
ends_with() {
	timeout 100 /small_vmm -m 64 -kernel "/guests/$2" -serial file:/log \
		-device isa-debug-exit,iobase=0xf4,iosize=4
	status=$?
	echo "own guest $2: status $status, $(tail -n 1 /log)"
	[ $status = "$1" ] || bad=1
}

ends_with 33 msr
ends_with 33 mmio
ends_with 33 portio
ends_with 0 triplefault
# The emulator lets XSETBV through, so Debian's KVM does not know the XCR0 of its guests.
timeout 600 /small_vmm -m 192 -kernel /vmlinux -initrd /initrd \
	-append "console=ttyS0 panic=-1 quiet noxsave" -serial file:/log
echo "own guest Linux: status $?, $(grep -a ^UP: /log)"
grep -aq ^UP: /log || bad=1
[ $bad = 0 ]
