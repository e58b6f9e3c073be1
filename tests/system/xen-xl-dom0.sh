#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Dom0's part of xen-xl: its init. Starts Xen's daemons and tries the stock tools on PVH guests.
# What it says goes to the hypervisor's console.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/xen-4.17/bin HOME=/root TERM=vt100 LC_ALL=C
cd /dom0 || exit
for mount in "tmpfs /run" "tmpfs /tmp" "devpts /dev/pts" "xenfs /proc/xen"; do
	mkdir -p "${mount#* }"
	mount -t "${mount% *}" none "${mount#* }"
done
exec >/dev/hvc0 2>&1 </dev/null
# shellcheck source=tests/system/inside.sh
source ./inside.sh

mkdir -p /run/xen /run/xenstored /run/lock /var/lib/xenstored /var/log/xen

# xl COMMAND...: what it says is shown if it fails
quiet() {
	timeout 120 "$@" >/tmp/said 2>&1 || {
		cat /tmp/said
		return 1
	}
}

daemons() {
	quiet oxenstored --pid-file /run/xenstored.pid && quiet xen-init-dom0 &&
		quiet xenconsoled --pid-file=/run/xenconsoled.pid --log=guest --log-dir=/var/log/xen
}

field() {
	xl info | sed -n "s/^$1 *: //p"
}

lists() {
	xl list | grep -qE "^$1 "
}

# guest NAME VCPUS: made and started
guest() {
	cat >/tmp/"$1".cfg <<-END
		name = "$1"
		type = "pvh"
		kernel = "/dom0/vmlinuz"
		ramdisk = "/dom0/initrd"
		memory = 160
		vcpus = $2
		extra = "console=hvc0"
	END
	rm -f "/var/log/xen/guest-$1.log"
	quiet xl create "/tmp/$1.cfg"
}

comes_up() {
	wait_for 120 "/var/log/xen/guest-$1.log" "^UP: Linux .* $2 CPUs" && return
	tail -n 20 "/var/log/xen/guest-$1.log"
	return 1
}

is_gone() {
	local end=$((SECONDS + 120))
	while lists "$1"; do
		[[ $SECONDS -lt $end ]] || return 1
		sleep 0.5
	done
}

# The guest is ended in the middle of its start.
destroyed() {
	guest "$1" 1 && lists "$1" && quiet xl destroy "$1" && is_gone "$1"
}

paused() {
	guest "$1" 1 && quiet xl pause "$1" && xl list "$1" | grep -q -- '--p---' &&
		quiet xl unpause "$1"
}

all_memory_is_back() {
	[[ $(field free_memory) = "$free" ]] || {
		echo "free: $(field free_memory) MiB, before: $free MiB"
		return 1
	}
}

check "Xen's daemons start" daemons
check "xl info knows the hypervisor" test "$(field xen_version | grep -c bivisor)" = 1
check "xl list has Dom0" lists Domain-0
check "xl vcpu-list has its vCPUs" test "$(xl vcpu-list | grep -c ^Domain-0)" = "$(nproc)"
free=$(field free_memory)
check "xl create starts a PVH guest with 1 vCPU" guest one 1
check "Linux comes up in it" comes_up one 1
check "its power-off ends it" is_gone one
check "xl create starts a PVH guest with 2 vCPUs" guest two 2
check "Linux comes up in it on 2 CPUs" comes_up two 2
check "its power-off ends it, too" is_gone two
check "a guest is paused and goes on" paused three
check "and comes up" comes_up three 1
check "and is gone" is_gone three
check "a guest is destroyed in the middle of its start" destroyed four
check "all memory is back" all_memory_is_back
sum_line=$(sum)
[[ $failed = 0 ]] || xl dmesg | tail -n 20
echo "$sum_line"
echo o >/proc/sysrq-trigger
sleep 60
