# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by Dom0 (xen-dom0.sh) in xen-save, which says how often.
: "${times:?}" "${free:?}"
state=/var/tmp/state

starts() {
	runs busy 2 192 "busy busy=8" "vif = ['bridge=xenbr0']" && works
}

saved() {
	quiet xl save busy $state && no lists busy
}

restored() {
	quiet xl restore $state && works
}

checkpointed() {
	quiet xl save -c busy $state && lists busy && works
}

# xenconsoled has opened its log while it had another name.
moved() {
	local id
	id=$(xl domid busy)
	patience=1200 quiet xl migrate -s '' busy 'xl migrate-receive' &&
		[[ $(xl domid busy) -gt $id ]] && works /var/log/xen/guest-busy--incoming.log
}

check "a busy guest with 2 vCPUs" starts
for ((turn = 1; turn <= times; turn++)); do
	check "xl save" saved
	check "all memory is back" all_memory_is_back
	check "xl restore, and its work is right" restored
	check "xl save -c, and it goes on" checkpointed
	check "xl migrate, live, and its work is right" moved
done
check "xl destroy" quiet xl destroy busy
check "it is gone" is_gone busy
check "all memory is back" all_memory_is_back
