# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For tests of bv's machine in the emulated PC, sourced after inside.sh by the script there, which
# has the program "machine". The guests are looked after by what inside.sh has for QEMU's.

# machine_start ARG...: in the background, its pid in $guest, what it says in $serial, what there is
# to say about it in $serial.qemu. Its control socket is ctl.
machine_start() {
	guest_terminal
	# shellcheck disable=SC2154 # inside.sh has it
	./machine --control ctl --events "$@" <&"$keys" >>"$serial" 2>>"$serial.qemu" &
	guest=$!
}

# machine_does COMMAND...: good if the command is; the machine that it started is shown if not, and
# ended
machine_does() {
	local status=0
	"$@" || { status=1; guest_show; }
	guest_stop
	return $status
}

# ask REQUEST [FILE MODE]
ask() {
	./ask ctl "$@"
}

# counts N: a guest that runs bv-boot-guest.sh has come to that count, each one good
counts() {
	wait_for 120 "$serial" "^count $1 good" "$guest" && ! grep -a '^count.*bad' "$serial"
}

# Up to where it has said that it came
last_count() {
	sed -n 's/^count \([0-9]*\) good.*/\1/p' "$serial" | tail -n 1
}

# From the first word to the power button's effect: it ended as it wished itself.
machine_went_off() {
	wait "$guest" && grep -q '"kind":"poweroff"' "$serial.qemu"
}
