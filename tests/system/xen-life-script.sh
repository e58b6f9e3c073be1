# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by Dom0 (xen-dom0.sh) in xen-life, which says how often.
: "${times:?}"

# Made, and destroyed after as many tenths of a second as its number says.
one_life() {
	create life && sleep "0.$(($1 % 10))" && quiet xl destroy life && no lists life
}

lives() {
	local turn
	config life 2 96 "job=spin" "vif = ['bridge=xenbr0']"
	for ((turn = 0; turn < times; turn++)); do
		one_life $turn || {
			echo "turn $turn of $times"
			return 1
		}
	done
}

# Destroyed while xl is at making it: that may fail, and nothing is left.
unborn() {
	local turn maker
	for ((turn = 0; turn < 5; turn++)); do
		xl create /tmp/life.cfg >/tmp/said 2>&1 &
		maker=$!
		until_so 60 lists life || return
		sleep "0.$((turn * 2))"
		xl destroy life >/dev/null 2>&1
		wait $maker
		! lists life || quiet xl destroy life
		is_gone life || return
	done
}

eight_at_once() {
	local guest
	for guest in 1 2 3 4 5 6 7 8; do
		config "many$guest" 1 112 "job=tell"
		create "many$guest" || return
	done
	for guest in 1 2 3 4 5 6 7 8; do
		says "many$guest" 600 '^SEES' || return
	done
	[[ $(xl list | grep -c '^many') = 8 ]]
}

all_eight_go() {
	local guest
	for guest in 1 2 3 4 5 6 7 8; do
		quiet xl destroy "many$guest" || return
	done
}

check "$times lives, each ended at another moment" lives
check "all memory is back" all_memory_is_back
check "guests are destroyed before they are ready" unborn
check "all memory is back" all_memory_is_back
check "eight guests at once" eight_at_once
check "they are destroyed" all_eight_go
check "all memory is back" all_memory_is_back
