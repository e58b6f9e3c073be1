# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by Dom0 (xen-dom0.sh) in xen-tools.

# sees NAME PATTERN: what the guest says of its machine is so, from now on
sees() {
	until_so 60 last_seen "$@" && return
	tail -n 5 "/var/log/xen/guest-$1.log"
	return 1
}

last_seen() {
	tr -d '\r' <"/var/log/xen/guest-$1.log" | grep -a '^SEES' | tail -n 1 | grep -qE "$2"
}

# listed NAME COLUMN VALUE
listed() {
	[[ $(xl list "$1" | awk -v column="$2" '{ value = $column } END { print value }') = "$3" ]]
}

# Of its second vCPU.
affinity_is() {
	xl vcpu-list one | grep -qE "^one +[0-9]+ +1 .* $1\$"
}

pinned() {
	quiet xl vcpu-pin one 1 1 && affinity_is '1 / all' &&
		quiet xl vcpu-pin one 1 all 1 && affinity_is 'all / 1' &&
		until_so 20 runs_on 1
}

runs_on() {
	xl vcpu-list one | grep -qE "^one +[0-9]+ +1 +$1 "
}

vcpus_set() {
	quiet xl vcpu-set one 1 && sees one 'cpus=1 ' &&
		quiet xl vcpu-set one 2 && sees one 'cpus=2 '
}

ballooned() {
	local before
	before=$(field free_memory)
	quiet xl mem-set one 128 && until_so 60 listed one 3 128 &&
		until_so 10 test "$(field free_memory)" = $((before + 64)) &&
		quiet xl mem-set one 192 && until_so 60 listed one 3 192
}

# It is told of 256 MiB, has 160 of them, and gives back what it has no use for; later it has more.
has_less_than_told() {
	local before
	before=$(field free_memory)
	runs part 1 160 tell "maxmem = 256" && until_so 60 listed part 3 160 &&
		[[ $(field free_memory) -ge $((before - 170)) ]] &&
		quiet xl mem-set part 224 && until_so 60 listed part 3 224 && sees part 'cpus=1 ' &&
		quiet xl mem-set part 160 && until_so 60 listed part 3 160 &&
		quiet xl destroy part && is_gone part
}

# More than its maximum it does not get.
maximum_set() {
	no quiet xl mem-set one 512 && quiet xl mem-max one 256 &&
		[[ $(xl list -l one | grep -c '"max_memkb": 262144') = 1 ]] &&
		quiet xl mem-max one 192
}

shares_set() {
	quiet xl sched-credit2 -d one -w 512 -c 50 &&
		xl sched-credit2 -d one | grep -qE '^one +[0-9]+ +512 +50' &&
		quiet xl sched-credit2 -d one -w 256 -c 0 && quiet xl sched-credit2 -s
}

top_shows() {
	quiet xentop -b -i 2 -d 1 -v -n -x && grep -qE '^ *one ' /tmp/said && return
	cat /tmp/said
	return 1
}

disk_comes_and_goes() {
	head -c 4M /dev/urandom >/tmp/disk
	sum=$(md5sum </tmp/disk)
	runs disk 1 160 disk && quiet xl block-attach disk \
		'format=raw,vdev=xvdz,access=rw,target=/tmp/disk' &&
		says disk 60 "^SUM of xvdz: ${sum%% *}" && sees disk 'disks=xvdz ' &&
		[[ $(xl block-list disk | grep -c ' /local/domain') = 1 ]] &&
		quiet xl block-detach disk xvdz && sees disk 'disks=xvd\* ' && losetup_gone
}

losetup_gone() {
	until_so 10 test -z "$(losetup -a)"
}

net_comes_and_goes() {
	quiet xl network-attach disk bridge=xenbr0 mac=00:16:3e:00:00:09 &&
		sees disk 'nets=eth0\.' &&
		xl network-list disk | grep -q 00:16:3e:00:00:09 &&
		quiet xl network-detach disk 00:16:3e:00:00:09 && sees disk 'nets=eth\*\.'
}

renamed() {
	local id
	id=$(xl domid one) && quiet xl rename one other && [[ $(xl domid other) = "$id" ]] &&
		[[ $(xl domname "$id") = other ]] && quiet xl rename other one
}

pools() {
	xl cpupool-list | grep -qE "^Pool-0 +$(field nr_cpus) +credit2 +y" &&
		xl cpupool-list -c | grep -q '0,1,2'
}

reboots() {
	local id
	id=$(xl domid one)
	: >/var/log/xen/guest-one.log
	quiet xl reboot one && says one 60 'GOES by reboot' && until_so 120 came_again one "$id" &&
		says one 240 '^UP: Linux .* 2 CPUs'
}

# came_again NAME ID: it has another id now
came_again() {
	local id
	id=$(xl domid "$1" 2>/dev/null) && [[ $id -gt $2 ]]
}

shuts_down() {
	quiet xl shutdown -w one && is_gone one && says one 1 'GOES by poweroff'
}

uptime_known() {
	xl uptime one | grep -qE '^one +[0-9]+ +0?0:0[0-9]:[0-9]+'
}

nmi_arrives() {
	quiet xl trigger one nmi && says one 20 'NMI' && sees one 'cpus=2 '
}

# A guest panics, and the tools do what its configuration says.
panics() {
	runs "$1" 1 160 panic "on_crash = \"$2\""
}

crash_destroys() {
	panics bad destroy && is_gone bad
}

crash_preserves() {
	panics bad preserve && until_so 60 is bad c && quiet xl destroy bad && is_gone bad
}

crash_restarts() {
	panics bad restart && until_so 60 came_again bad "$(xl domid bad)" &&
		quiet xl destroy bad && is_gone bad
}

# The tool asks for each page below the guest's last one, which is just below 4 GiB.
crash_dumps() {
	mkdir -p /var/lib/xen/dump
	panics bad coredump-destroy && until_so 1500 no lists bad &&
		[[ -s $(echo /var/lib/xen/dump/*bad*) ]] &&
		rm -f /var/lib/xen/dump/*
}

check "a guest that tells what it sees" runs one 2 192 tell
check "xl vcpu-pin, hard and soft" pinned
check "xl vcpu-set: a CPU goes and comes" vcpus_set
check "xl mem-set: memory goes and comes" ballooned
check "xl mem-max" maximum_set
check "maxmem above memory: population on demand" has_less_than_told
check "xl sched-credit2" shares_set
check "xl uptime" uptime_known
check "xl top" top_shows
check "xl rename, domid, domname" renamed
check "xl cpupool-list" pools
check "xl trigger nmi" nmi_arrives
check "xl block-attach and block-detach" disk_comes_and_goes
check "xl network-attach and network-detach" net_comes_and_goes
check "xl destroy" quiet xl destroy disk
check "xl reboot" reboots
check "xl shutdown" shuts_down
check "on_crash: destroy" crash_destroys
check "on_crash: preserve" crash_preserves
check "on_crash: restart" crash_restarts
check "on_crash: coredump-destroy" crash_dumps
check "xl dmesg tells what was refused" test "$(xl dmesg | grep -c bivisor)" -gt 5
check "all memory is back" all_memory_is_back
