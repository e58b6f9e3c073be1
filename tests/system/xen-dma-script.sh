# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by Dom0 (xen-dom0.sh) in xen-dma, which says what has to come, and what a device reaches.
: "${sum:?} ${reaches:?} ${kind:?}"

# The machine's card is a port of the bridge, and nothing else of Dom0's.
bridged() {
	ip link set eth0 master xenbr0 && ip link set eth0 up
}

disk_of() {
	local device model
	for device in /sys/block/sd*; do
		read -r model <"$device/device/model"
		[[ $model != "$1" ]] || echo "/dev/${device##*/}"
	done
}

starts() {
	runs wire 2 192 devices "disk = ['phy:$(disk_of pc-data),xvda,r'," \
		"	'phy:$(disk_of pc-scratch),xvdb,w']" \
		"vif = ['bridge=xenbr0,mac=00:16:3e:01:02:03']"
}

# Dom0 has copied what is another's, or does not have to.
copies() {
	[[ $(grep -c swiotlb=force /proc/cmdline) = "$([[ $kind = none ]] && echo 1 || echo 0)" ]]
}

arrives() {
	says wire 600 "^SUM $1: $sum"
}

# The DomU's kernel lies in a page of which nobody was given anything.
page_of_domu() {
	local frame id
	id=$(xl domid wire)
	xl debug-keys q
	frame=$(xl dmesg | tail -n 40 |
		sed -n "s/.*d$id: .*, gfn 0x1000 at mfn \(0x[0-9a-f]*\),.*/\1/p")
	[[ -n $frame ]] && printf '0x%x\n' $((frame * 4096))
}

strays() {
	local page
	page=$(page_of_domu) && ./dma "$page" | tee /tmp/strays &&
		grep -q "^own memory: reached" /tmp/strays &&
		grep -q "^that page: $reaches" /tmp/strays
}

uses_devices() {
	check "a guest with two whole disks" starts
	lists wire || return
	check "its disk reads right" arrives "read"
	check "what it wrote is read again" arrives "read back"
	check "what comes by the card is right" arrives "fetched"
	check "all of it is sent" says wire 600 '^SENT'
	check "a page that it granted to nobody: $reaches by a device" strays
}

check "its card on the bridge" bridged
check "Dom0 copies what is others', or has no need to" copies
uses_devices
check "xl destroy" quiet xl destroy wire
check "it is gone" is_gone wire
check "all memory is back" all_memory_is_back
