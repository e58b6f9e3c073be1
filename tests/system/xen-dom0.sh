#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Dom0's init in tests of the Xen way: starts Xen's daemons, runs /dom0/script, powers off. What is
# said goes to the hypervisor's console. Here, too, is what the scripts share. Under Bochs
# (vtx-xen) tests/pc/init is the first process, has set up most, and takes the output.
xen_bin=$(echo /usr/lib/xen-4.*/bin)
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$xen_bin HOME=/root TERM=vt100 LC_ALL=C
cd /dom0 || exit
mount_here() {
	mkdir -p "$2"
	mount -t "$1" none "$2"
}

if [[ $$ = 1 ]]; then
	mount_here tmpfs /run
	mount_here tmpfs /tmp
	mount_here devpts /dev/pts
	for link in fd: stdin:/0 stdout:/1 stderr:/2; do
		ln -sf "/proc/self/fd${link#*:}" "/dev/${link%:*}"
	done
	exec >/dev/hvc0 2>&1 </dev/null
fi
mount_here xenfs /proc/xen
# shellcheck source=tests/system/inside.sh
source ./inside.sh

mkdir -p /run/xen /run/xenstored /run/lock /var/lib/xenstored /var/lib/xen /var/log/xen

# quiet COMMAND...: what it says is shown if it fails, or takes more than $patience seconds (300)
quiet() {
	timeout "${patience:-300}" "$@" >/tmp/said 2>&1 || {
		echo "$*: status $?"
		cat /tmp/said
		return 1
	}
}

daemons() {
	quiet oxenstored --pid-file /run/xenstored.pid && quiet xen-init-dom0 &&
		quiet xenconsoled --pid-file=/run/xenconsoled.pid --log=guest --log-dir=/var/log/xen
}

# A bridge with an address of Dom0's, and addresses for guests.
network() {
	ip link set lo up && ip link add xenbr0 type bridge &&
		ip address add 10.9.0.1/24 dev xenbr0 && ip link set xenbr0 up
}

field() {
	xl info | sed -n "s/^$1 *: //p"
}

lists() {
	xl list | grep -qE "^$1 "
}

# is NAME STATE: one of xl list's six letters is there
is() {
	xl list "$1" 2>/dev/null | grep -qE "^$1 .* [-a-z]*$2[-a-z]* "
}

# until_so SECONDS COMMAND...: waits for it to succeed
until_so() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[[ $SECONDS -lt $end ]] || return 1
		sleep 0.3
	done
}

no() {
	! "$@"
}

is_gone() {
	until_so 120 no lists "$1"
}

# config NAME VCPUS MEMORY WORDS [LINE...]: /tmp/NAME.cfg, a PVH guest with its console on hvc0 and
# WORDS on its kernel's command line
config() {
	local name=$1 line
	cat >"/tmp/$name.cfg" <<-CFG
		name = "$1"
		type = "pvh"
		kernel = "/dom0/vmlinuz"
		ramdisk = "/dom0/initrd"
		vcpus = $2
		memory = $3
		extra = "console=hvc0 $4"
	CFG
	shift 4
	for line in "$@"; do
		echo "$line"
	done >>"/tmp/$name.cfg"
	rm -f "/var/log/xen/guest-$name.log"
}

# runs NAME VCPUS MEMORY JOB [LINE...]: a small guest, at its job (xen-guest.sh)
runs() {
	local name=$1 vcpus=$2 memory=$3 job=$4
	shift 4
	config "$name" "$vcpus" "$memory" "job=$job" "$@"
	create "$name" && says "$name" 240 "^UP: Linux .* $vcpus CPUs"
}

create() {
	quiet xl create "/tmp/$1.cfg"
}

# says NAME SECONDS PATTERN: its console does, in time
says() {
	wait_for "$2" "/var/log/xen/guest-$1.log" "$3" && return
	echo "--- the end of the console of $1:"
	tail -n 25 "/var/log/xen/guest-$1.log"
	return 1
}

rounds() {
	grep -ac "^round $1 " "$busy_log"
}

more_rounds() {
	[[ $(rounds 0) -gt $((zero + 2)) && $(rounds 1) -gt $((one + 2)) ]]
}

# works [LOG]: both workers of the guest "busy" (busy.sh) go on from here, and no sum was wrong
works() {
	busy_log=${1:-/var/log/xen/guest-busy.log}
	zero=$(rounds 0) one=$(rounds 1)
	until_so 240 more_rounds && ! grep -a BAD "$busy_log" && return
	tail -n 15 "$busy_log"
	return 1
}

# Within 1 MiB, or $slack: the counts of who holds frames stay where Dom0 has once mapped a guest's
# frames, a page for 2 MiB (fronts/xen/frames.c).
memory_is_back() {
	[[ $(field free_memory) -ge $((free - ${slack:-1})) && $(field free_memory) -le $free ]]
}

all_memory_is_back() {
	until_so 10 memory_is_back || {
		echo "free: $(field free_memory) MiB, before: $free MiB"
		return 1
	}
}

check "Xen's daemons start" daemons
check "a bridge for guests" network
free=$(field free_memory)
# shellcheck disable=SC1091
source ./script
sum_line=$(sum)
[[ $failed = 0 ]] || {
	echo "--- xl dmesg:"
	xl dmesg | tail -n 30
	echo "--- kernel:"
	dmesg | tail -n 20
}
echo "$sum_line"
[[ $$ = 1 ]] || exit "$failed"
echo o >/proc/sysrq-trigger
sleep 60
