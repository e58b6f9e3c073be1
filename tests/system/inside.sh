# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For system tests, sourced by the script in the emulated PC: checks that count, and guests under
# QEMU.

passed=0 failed=0 skipped=0

# check NAME COMMAND...: a test, good if the command is
check() {
	local name=$1 began=$SECONDS
	shift
	if "$@"; then
		passed=$((passed + 1))
		echo "ok       $name ($((SECONDS - began)) s)"
	else
		failed=$((failed + 1))
		echo "FAILED   $name ($((SECONDS - began)) s)"
	fi
}

skip() {
	skipped=$((skipped + 1))
	echo "skipped  $1: $2"
}

# The last thing a script does.
sum() {
	echo "$passed passed, $failed failed, $skipped skipped"
	[[ $failed = 0 ]]
	exit
}

# wait_for SECONDS FILE PATTERN [PID]: until the file has the pattern; in vain once the process is
# gone
wait_for() {
	local end=$((SECONDS + $1)) gone=
	until grep -aqE -- "$3" "$2"; do
		[[ -z $gone ]] || return 1
		[[ $SECONDS -lt $end ]] || return 1
		[[ -z ${4:-} ]] || kill -0 "$4" 2>/dev/null || gone=yes
		sleep 0.2
	done 2>/dev/null
}

# The files of a guest's terminal: what it says there is in $serial, what it hears comes from $keys.
guest_terminal() {
	serial=$(mktemp)
	mkfifo "$serial.keys"
	exec {keys}<>"$serial.keys"
}

# guest_start ARG...: QEMU in the background, its pid in $guest, with its serial port as a terminal.
guest_start() {
	guest_terminal
	qemu-system-x86_64 -accel kvm -cpu host -nodefaults -display none -no-reboot \
		-chardev stdio,id=serial,signal=off -serial chardev:serial "$@" \
		<&"$keys" >"$serial" 2>"$serial.qemu" &
	guest=$!
}

# guest_type TEXT: types it, \r is the return key
guest_type() {
	printf '%b' "$1" >&"$keys"
}

# guest_answers SECONDS PATTERN TEXT: types it once the pattern has come up
guest_answers() {
	wait_for "$1" "$serial" "$2" "$guest" || return
	guest_type "$3"
}

# The newest reasons of VMs that have ended; Debian's module has none.
reasons() {
	echo "--- reasons:"
	tail -n 4 /dev/kvm 2>/dev/null
}

# What a person wants to see of a guest that failed.
guest_show() {
	tail -n 30 "$serial"
	echo "--- QEMU: $(cat "$serial.qemu")"
	reasons
	echo "--- kernel:"
	dmesg | tail -n 15
}

guest_stop() {
	kill -KILL "$guest" 2>/dev/null
	wait "$guest" 2>/dev/null
	exec {keys}>&-
	rm -f "$serial" "$serial.qemu" "$serial.keys"
}

# guest_says SECONDS PATTERN ARG...: starts a guest, waits for what it says, ends it
guest_says() {
	local limit=$1 pattern=$2 status=0
	shift 2
	guest_start "$@"
	if wait_for "$limit" "$serial" "$pattern" "$guest"; then
		grep -aE -- "$pattern" "$serial" | head -n 3
	else
		status=1
		guest_show
	fi
	guest_stop
	return $status
}

# linux_says SECONDS PATTERN ARG...: the same for Linux with the files vmlinuz and initrd
linux_says() {
	local limit=$1 pattern=$2
	shift 2
	guest_says "$limit" "$pattern" -m 256 -kernel vmlinuz -initrd initrd \
		-append "console=ttyS0 panic=-1" "$@"
}
