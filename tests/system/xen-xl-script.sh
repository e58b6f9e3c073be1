# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by Dom0 (xen-dom0.sh) in xen-xl.

# guest NAME VCPUS: made and started
guest() {
	config "$1" "$2" 160 ""
	create "$1"
}

comes_up() {
	says "$1" 120 "^UP: Linux .* $2 CPUs"
}

# The guest is ended in the middle of its start.
destroyed() {
	guest "$1" 1 && lists "$1" && quiet xl destroy "$1" && is_gone "$1"
}

paused() {
	guest "$1" 1 && quiet xl pause "$1" && is "$1" p && quiet xl unpause "$1"
}

# other_kernel KIND: another of Debian's kernels
other_kernel() {
	config "$1" 2 192 ""
	sed -i "s/vmlinuz/vmlinuz-$1/" "/tmp/$1.cfg"
	create "$1" && comes_up "$1" 2 && is_gone "$1"
}

check "xl info knows the hypervisor" test "$(field xen_version | grep -c bivisor)" = 1
check "xl list has Dom0" lists Domain-0
check "xl vcpu-list has its vCPUs" test "$(xl vcpu-list | grep -c ^Domain-0)" = "$(nproc)"
check "xl create starts a PVH guest with 1 vCPU" guest one 1
check "Linux comes up in it" comes_up one 1
check "its power-off ends it" is_gone one
check "xl create starts a PVH guest with 2 vCPUs" guest two 2
check "Linux comes up in it on 2 CPUs" comes_up two 2
check "its power-off ends it, too" is_gone two
check "a guest is paused and goes on" paused three
check "and comes up" comes_up three 1
check "and is gone" is_gone three
check "a guest with Debian's generic kernel" other_kernel generic
check "a guest with Debian's kernel 6.12" other_kernel 6.12
check "a guest is destroyed in the middle of its start" destroyed four
check "all memory is back" all_memory_is_back
