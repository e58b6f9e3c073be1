# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For tests of the Xen way, run in small guests (tests/pc/guest-initrd): what job=NAME on the
# kernel's command line says.

# The kernel starts these when the tools ask for an end.
mkdir -p /sbin
for end in poweroff reboot; do
	printf "#!/bin/sh\necho GOES by %s >/dev/console\nexec /bin/%s -f\n" $end $end >/sbin/$end
	chmod 755 /sbin/$end
done

# What it sees of its machine, again and again. A CPU that has come is put to use here: the kernel
# leaves that to udev.
tell() {
	while :; do
		for online in /sys/devices/system/cpu/cpu*/online; do
			grep -q 1 "$online" || echo 1 >"$online"
		done 2>/dev/null
		echo "SEES cpus=$(grep -c ^processor /proc/cpuinfo)" \
			"disks=$(cd /sys/block && echo xvd*)" \
			"nets=$(cd /sys/class/net && echo eth*)."
		sleep 1
	done
}

# A sum of what is on a disk that may come later.
disk() {
	until [ -b /dev/xvdz ]; do sleep 1; done
	echo "SUM of xvdz: $(md5sum </dev/xvdz)"
	tell
}

# Everything by devices of the machine: a disk that is a whole one, a net that is bridged to a card.
# What serves there, and takes, is QEMU's.
devices() {
	ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0
	echo "SUM read: $(md5sum </dev/xvda)"
	dd if=/dev/xvda of=/dev/xvdb bs=1M conv=fsync 2>/dev/null
	echo 3 >/proc/sys/vm/drop_caches
	echo "SUM read back: $(md5sum </dev/xvdb)"
	until ping -c 1 -W 2 10.0.2.2 >/dev/null; do :; done
	echo "SUM fetched: $(nc 10.0.2.100 9000 </dev/null | md5sum)"
	nc 10.0.2.101 9000 </dev/xvda && echo "SENT"
	sleep 100000
}

# All CPUs have something to do, for ever.
spin() {
	cpu=$(grep -c ^processor /proc/cpuinfo)
	while [ "$cpu" -gt 0 ]; do
		(while :; do :; done) &
		cpu=$((cpu - 1))
	done
	echo "SPINS"
	wait
}

case $(sed -n 's/.*job=\([a-z]*\).*/\1/p' /proc/cmdline) in
tell) tell ;;
disk) disk ;;
devices) devices ;;
spin) spin ;;
idle)
	echo "IDLES"
	exec sleep 100000
	;;
busy) sh /busy.sh ;;
panic)
	sleep 1
	echo c >/proc/sysrq-trigger
	;;
esac
