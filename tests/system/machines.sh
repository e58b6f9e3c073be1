# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For system tests, sourced by the script in the emulated PC after inside.sh: guests with names,
# busy with data whose sums they check (busy.sh). A machine NAME has its serial port's output in
# /tmp/NAME.serial and its monitor at /tmp/NAME.monitor; vm_pid[NAME] is its process.

declare -A vm_pid=()
vm_accel=kvm

# vm_start NAME ARG...: Linux with the files vmlinuz and initrd on 2 CPUs, in the background. It
# does not watch for lockups: how long a virtual CPU stands still is the emulated PC's load.
vm_start() {
	local vm=$1
	shift
	: >"/tmp/$vm.serial"
	rm -f "/tmp/$vm.monitor"
	qemu-system-x86_64 -accel "$vm_accel" -cpu host -smp 2 -m 128 -nodefaults -display none \
		-no-reboot -kernel vmlinuz -initrd initrd \
		-append "console=ttyS0 panic=-1 nowatchdog ${vm_words:-}" \
		-serial "file:/tmp/$vm.serial" -monitor "unix:/tmp/$vm.monitor,server=on,wait=off" \
		"$@" >"/tmp/$vm.qemu" 2>&1 </dev/null &
	vm_pid[$vm]=$!
}

# vm_end [NAME...]: at once, as by a kill; without a name all of them
vm_end() {
	local vm
	[[ $# -gt 0 ]] || set -- "${!vm_pid[@]}"
	for vm; do
		kill -KILL "${vm_pid[$vm]}"
		wait "${vm_pid[$vm]}"
		unset "vm_pid[$vm]"
	done 2>/dev/null
}

# vm_monitor NAME COMMAND: what the monitor answers
vm_monitor() {
	socat -t 120 - "unix-connect:/tmp/$1.monitor" <<<"$2" | tr -d '\r' | sed 1,2d
}

vm_rounds() {
	grep -acE '^round' "/tmp/$1.serial"
}

vm_show() {
	tail -n 20 "/tmp/$1.serial"
	echo
	echo "--- QEMU: $(tail -n 5 "/tmp/$1.qemu")"
	reasons
	dmesg | tail -n 5
}

# No sum was wrong, and no kernel complains, but of sizes in CPUID that are the emulator's (with
# Debian's module it does, too).
vm_sound() {
	! grep -aE '^BAD|Oops|WARNING: |BUG: |Kernel panic' "/tmp/$1.serial" |
		grep -avE 'fpu__init_system_xstate|srso'
}

# vm_goes_on NAME SECONDS [ROUNDS]: it says so many rounds more (6), all good
vm_goes_on() {
	local end=$((SECONDS + $2)) want=$(($(vm_rounds "$1") + ${3:-6}))
	while [[ $(vm_rounds "$1") -lt $want ]]; do
		if [[ $SECONDS -ge $end ]] || ! kill -0 "${vm_pid[$1]}" 2>/dev/null; then
			echo "$1: $(vm_rounds "$1") rounds, not $want"
			vm_show "$1"
			return 1
		fi
		sleep 0.2
	done
	vm_sound "$1"
}
