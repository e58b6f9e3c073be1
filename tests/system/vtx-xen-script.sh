# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by Dom0 (xen-dom0.sh) in vtx-xen, behind xen-guests-script.sh.

linux_comes_up() {
	config linux "$1" 192 "panic=-1 quiet" 'on_poweroff = "destroy"'
	create linux && says linux 300 "^UP: Linux .* $1 CPUs" && is_gone linux
}

for cpus in ${linux_cpus:-}; do
	check "Debian's kernel comes up as a DomU with $cpus CPUs" linux_comes_up "$cpus"
done
check "all memory is back" all_memory_is_back
cp -r log /job/out
