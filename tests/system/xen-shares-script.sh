# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by Dom0 (xen-dom0.sh) in xen-shares. Times are those that xl list tells, in tenths of a
# second.
seconds=20

# spins NAME VCPUS: a guest whose vCPUs never sleep
spins() {
	runs "$1" "$2" 128 spin && says "$1" 240 '^SPINS'
}

# used NAME: what it has had until the list in $list
used() {
	awk -v name="$1" '$1 == name { print int($6 * 10 + 0.5) }' <<<"$list"
}

# The time of a list is the middle of the command.
take_list() {
	local before=${EPOCHREALTIME/./}
	list=$(xl list)
	at=$(((before + ${EPOCHREALTIME/./}) / 200000))
}

# measure A B COMMAND...: what both have while it runs, in $a and $b, and how long it was, in $took,
# all in tenths of a second
measure() {
	local one=$1 other=$2 began
	shift 2
	take_list
	a=$(used "$one") b=$(used "$other") began=$at
	"$@"
	take_list
	a=$(($(used "$one") - a)) b=$(($(used "$other") - b)) took=$((at - began))
	echo "figure   $one $a, $other $b of $took tenths of a second"
}

# near VALUE WANTED: within 10 %
near() {
	[[ $((10 * $1)) -ge $((9 * $2)) && $((10 * $1)) -le $((11 * $2)) ]]
}

on_one_cpu() {
	local guest
	for guest in "$@"; do
		quiet xl vcpu-pin "$guest" all 2 || return
	done
}

everywhere() {
	local guest
	for guest in "$@"; do
		quiet xl vcpu-pin "$guest" all all || return
	done
}

# Twice as much for b as for a, of the CPU that both are on.
one_to_two() {
	quiet xl sched-credit2 -d a -w 256 && quiet xl sched-credit2 -d b -w 512 &&
		measure a b sleep $seconds && near "$b" $((2 * a))
}

# Dom0's other vCPU has the other CPU.
shares_of_one_cpu() {
	on_one_cpu a b && quiet xl vcpu-pin Domain-0 all 1 && one_to_two &&
		[[ $((a + b)) -ge $((8 * took / 10)) ]]
}

shares_everywhere() {
	everywhere a b && quiet xl vcpu-pin Domain-0 all all && one_to_two
}

capped() {
	quiet xl sched-credit2 -d a -w 256 -c 25 && measure a b sleep $seconds &&
		near "$a" $((took / 4)) && quiet xl sched-credit2 -d a -c 0
}

# It comes from CPU 1 to the one where it would rather run, and stays while that is free.
soft_alone() {
	quiet xl pause a && quiet xl pause b && quiet xl vcpu-pin Domain-0 all 1 &&
		quiet xl vcpu-pin c all 1 && quiet xl vcpu-pin c all all 2 && sleep 1 &&
		on_cpu_mostly c 2
}

# However that came out, the others go on.
soft() {
	local status=0 guest
	soft_alone || status=1
	quiet xl pause c && quiet xl vcpu-pin Domain-0 all all || status=1
	for guest in a b; do
		quiet xl unpause $guest || status=1
	done
	return $status
}

on_cpu_mostly() {
	local i there=0
	for ((i = 0; i < 20; i++)); do
		[[ $(xl vcpu-list "$1" | awk 'END { print $4 }') != "$2" ]] || there=$((there + 1))
		sleep 0.1
	done
	echo "figure   $1 was on CPU $2 $there times of 20"
	[[ $there -ge 17 ]]
}

work_of_dom0() {
	local i
	for ((i = 0; i < 20; i++)); do
		md5sum /dom0/vmlinuz >/dev/null
		sleep 0.05
	done
}

# What Dom0 has while it has something to do is no less than its weight gives to a vCPU of it: of
# two CPUs, where 256 is to 256 + 2 x 256 + 2 x 512, so 2 in 7.
not_starved() {
	measure Domain-0 a work_of_dom0
	[[ $((10 * 7 * a)) -ge $((9 * 2 * (took - 10))) ]]
}

# Not a twentieth of what a busy one has.
idle_costs_nothing() {
	runs idle 2 128 idle && says idle 240 '^IDLES' && sleep 5 &&
		measure idle a sleep $seconds && [[ $((20 * a)) -le $b ]]
}

all_destroyed() {
	local guest
	for guest in a b c idle; do
		quiet xl destroy $guest || return
	done
}

check "a guest that spins on 2 vCPUs" spins a 2
check "another" spins b 2
check "weights 256 and 512 on one CPU: 1 to 2" shares_of_one_cpu
check "the same on all CPUs" shares_everywhere
check "a cap of 25 gives a quarter of a CPU" capped
check "Dom0 is not starved by them" not_starved
check "a third one" spins c 1
check "soft affinity" soft
check "an idle guest costs nothing" idle_costs_nothing
check "they are destroyed" all_destroyed
check "all memory is back" all_memory_is_back
