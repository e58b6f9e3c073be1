# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by Dom0 (xen-dom0.sh) in xen-guests, which says which guests.
: "${names=}"
# shellcheck disable=SC2034
MODULE=xen

is_over() {
	no lists tiny || xl dmesg | grep -qE '^\(d[0-9]+\) VERDICT'
}

# As in run-guests, but as a DomU: what it says is what it writes to port 0xe9, in the hypervisor's
# log. The verdict's port is not there; a guest that has given it stops.
guest_boot() {
	local name=$1 log=$2 cpus=$3 memory=$4 limit=$5 words='' nested
	shift 5
	[[ ${1-} != -append ]] || words=$2
	# One that runs guests itself.
	nested=0
	[[ $name != svm ]] || nested=1
	cat >/tmp/tiny.cfg <<-CFG
		name = "tiny"
		type = "pvh"
		kernel = "/dom0/guests/$name"
		extra = "$words"
		vcpus = $cpus
		nestedhvm = $nested
		memory = $memory
		on_poweroff = "destroy"
		on_reboot = "destroy"
		on_crash = "destroy"
	CFG
	xl dmesg -c >/dev/null
	quiet xl create /tmp/tiny.cfg >"$log.qemu" || return 1
	until_so "$limit" is_over
	xl dmesg >"$log.qemu"
	sed -nE 's/^\(d[0-9]+\) //p' "$log.qemu" >"$log"
	! lists tiny || quiet xl destroy tiny || return 137
	grep -q '^VERDICT pass' "$log" && return 33
	grep -q '^VERDICT' "$log" && return 35
	return 0
}

mkdir guests && tar -C guests -mxf guests.tar
# shellcheck disable=SC1091
source ./run-guests
# shellcheck disable=SC2086
guests_run $names
check "all memory is back" all_memory_is_back
