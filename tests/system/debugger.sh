# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For tests of debuggers in the emulated PC, sourced after inside.sh by the script there: visits of
# a real GDB to the guest tests/guests/debugged, whose stub is at the socket ./gdb.

# gdb_run COMMAND...: a debugger's visit; what it says goes to the file "said"
gdb_run() {
	local commands=() command
	for command in 'set pagination off' 'set confirm off' 'target remote ./gdb' "$@"; do
		commands+=(-ex "$command")
	done
	timeout -s INT -k 30 "${gdb_limit:-60}" \
		gdb -nx -batch "${commands[@]}" debugged >said 2>&1 </dev/null
}

# said PATTERN...: the debugger said all of them, in this order, each in a line
said() {
	local pattern missing
	missing=$(awk -v want="$(printf '%s\n' "$@")" '
		BEGIN { n = split(want, pattern, "\n"); i = 1 }
		i <= n && $0 ~ pattern[i] { i++ }
		END { if (i <= n) print pattern[i] }' said)
	[[ -z $missing ]] && return
	echo "never said, or not in order: $missing"
	cat said
	return 1
}

# The debugger sends the guest to code that it steps through, and back to where it was.
steps() {
	local commands=('set $pc = stepped' 'info symbol $pc') register i
	wait_for 60 "$serial" '^WAITING' "$guest" || return
	for ((i = 1; i <= 8; i++)); do commands+=(stepi 'info symbol $pc'); done
	for register in rax rcx rdx eflags rsp rip; do
		commands=("set \$old_$register = \$$register" "${commands[@]}"
			"set \$$register = \$old_$register")
	done
	gdb_run "${commands[@]}" 'info symbol $pc'
	said '^stepped in' '^step_1 in' '^step_2 in' '^step_3 in' '^step_4 in' '^step_5 in' \
		'^step_6 in' '^step_7 in' '^step_8 in' '^(turn|released_by_the_debugger)'
}

# The debugger steps, and looks at the memory after each.
watches_by_steps() {
	gdb_run 'set can-use-hw-watchpoints 0' 'watch turns' continue 'info symbol $pc' \
		continue 'info symbol $pc'
	said 'New value = ' '^(turn|released_by_the_debugger)' 'New value = ' \
		'^(turn|released_by_the_debugger)'
}

# CPU 1 waits for work in HLT.
both_cpus() {
	gdb_run 'info threads' 'thread 1' 'printf "CPU %d\n", ((struct cpu *)$gs_base)->index' \
		'thread 2' 'printf "CPU %d\n", ((struct cpu *)$gs_base)->index'
	said '\\* 1 .*CPU#0' '  2 .*CPU#1 .halted' '^CPU 0$' '^CPU 1$'
}

released() {
	gdb_run 'printf "released %d\n", released' 'set variable released = 7' \
		'set $r15 = 0x1234' 'printf "r15 %x\n", $r15'
	said '^released 0$' '^r15 1234$'
}

# A guest that is not stopped is so by gdb_run in the end.
breakpoints() {
	gdb_run 'break *marker' continue 'printf "marker %d\n", $rdi' \
		continue 'printf "marker %d\n", $rdi' backtrace
	said '^marker 1$' '^marker 2$' 'steps_and_breakpoints'
}

debug_registers() {
	gdb_run 'hbreak *turn' continue 'info symbol $pc' delete \
		'watch turns' continue 'info symbol $pc' delete 'rwatch turns' continue \
		'info symbol $pc' delete 'awatch turns' continue 'info symbol $pc'
	said '^turn in' 'New value = ' '^turn' 'Value = ' '^turn' 'alue = ' '^turn'
}

# may_fail WHY NAME COMMAND...: a check of something that QEMU's TCG lacks, and nobody else
may_fail() {
	local why=$1 name=$2
	shift 2
	if "$@" >failed 2>&1; then
		check "$name" true
	elif [[ $(</sys/class/dmi/id/sys_vendor) = QEMU ]]; then
		skip "$name" "$why"
	else
		check "$name" eval 'cat failed; false'
	fi
}

# A status is the guest's verdict, by default 33 as QEMU makes it: all of its own tests passed.
guest_passes() {
	local status=0
	wait "$guest" || status=$?
	tr -d '\r' <"$serial" | grep -aE '^(PASS|FAIL)'
	[[ $status = "${passed_status:-33}" ]]
}
