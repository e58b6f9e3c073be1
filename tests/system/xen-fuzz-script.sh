# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by Dom0 (xen-dom0.sh) in xen-fuzz, which says for how long.
: "${seconds:?} ${seed:?} ${free:?}"

# ---- Dom0 ----

is_good() {
	[[ $1 = good ]] && grep -qF -- "$2" /tmp/dmesg
}

nonsense() {
	local name good word
	xl dmesg -c >/dev/null
	./nonsense >/tmp/nonsense || return
	xl dmesg >/tmp/dmesg
	while IFS='|' read -r name good word; do
		check "$name" is_good "$good" "$word"
	done </tmp/nonsense
}

# ---- the guest that stands beside ----

starts() {
	runs busy 2 192 "busy busy=4" && stands
}

# It works, and Dom0 reads what it always read.
stands() {
	works && [[ $(md5sum /dom0/vmlinuz) = "$kernel_sum" ]] && xl list busy >/dev/null
}

# ---- lives of the hostile one ----

is_over() {
	no lists hostile || xl dmesg | grep -qE '^\(d[0-9]+\) VERDICT'
}

# One that hangs has itself to blame, and is destroyed.
life() {
	config hostile 4 96 ""
	sed -i 's|^kernel.*|kernel = "/dom0/hostile_xen"|; /^ramdisk/d' /tmp/hostile.cfg
	cat >>/tmp/hostile.cfg <<-CFG
		extra = "seed=$1 seconds=$2"
		on_poweroff = "destroy"
		on_reboot = "destroy"
		on_crash = "destroy"
	CFG
	xl dmesg -c >/dev/null
	create hostile || return
	until_so $((4 * $2 + 60)) is_over || echo "hostile, seed $1: is not over, and is ended"
	xl dmesg >/tmp/dmesg
	quiet xl destroy hostile >/dev/null || no lists hostile || return
	echo "figure   seed $1: $(sed -nE 's/^\(d[0-9]+\) (CALLS .*)/\1/p' /tmp/dmesg)"
	is_gone hostile
}

lives() {
	local end=$((SECONDS + seconds)) count=0
	until [[ $SECONDS -ge $end ]]; do
		life "$((seed + count))" 15 || return
		count=$((count + 1))
		stands || return
	done
	[[ $count -gt 0 ]]
}

calls_were_made() {
	[[ $(grep -cE '^figure .*CALLS [0-9]{3}' /tmp/lives) -gt 0 ]]
}

lives_told() {
	lives >/tmp/lives
	local status=$?
	cat /tmp/lives
	return $status
}

kernel_sum=$(md5sum /dom0/vmlinuz)
check "hypercalls with nonsense from Dom0 end" nonsense
check "a busy guest stands beside" starts
check "hypercalls with nonsense from a guest for $seconds s harm nobody" lives_told
check "many calls were made" calls_were_made
check "the busy guest is destroyed" quiet xl destroy busy
check "it is gone" is_gone busy
check "all memory is back" all_memory_is_back
