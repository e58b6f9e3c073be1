# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For tests of bv in the emulated PC, sourced after inside.sh by the script there: VMs at their
# consoles. All that bv keeps is in /tmp/home.

export BV_HOME=/tmp/home PATH=$PATH:.

# says NAME SECONDS PATTERN: until the guest has said it
says() {
	local end=$((SECONDS + $2))
	until bv log "$1" 2>/dev/null | grep -aqE -- "$3"; do
		[[ $SECONDS -lt $end ]] || {
			echo "$1 has not said $3:"
			bv log -n 20 "$1"
			bv why "$1"
			bv log --process "$1"
			return 1
		}
		sleep 0.3
	done
}

# types NAME TEXT: at its console
types() {
	printf '%s\n' "$2" |
		timeout 60 socat -t 1 - "UNIX-CONNECT:/tmp/home/run/$1/console" >/dev/null
}

state() {
	bv list | awk -v name="$1" '$1 == name { print $2 }'
}
