# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by Dom0 (xen-dom0.sh) in xen-libvirt.
export LIBVIRT_DEFAULT_URI=xen:///system
log=/var/log/xen/guest-one.log

# The daemon has a driver for QEMU, too, and does not start without that one's user, whom another
# package makes.
libvirt_starts() {
	mkdir -p /run/libvirt /var/log/libvirt
	echo "libvirt-qemu:x:64055:64055::/nonexistent:/bin/false" >>/etc/passwd
	echo "libvirt-qemu:x:64055:" >>/etc/group
	virtlogd -d && libvirtd -d && until_so 120 test -S /run/libvirt/libvirt-sock &&
		virsh version
}

# The guest "one", with a net and a disk that comes and goes.
defined() {
	head -c 4M /dev/urandom >/tmp/disk
	cat >/tmp/one.xml <<-XML
		<domain type='xen'>
		  <name>one</name>
		  <memory unit='MiB'>160</memory>
		  <vcpu>2</vcpu>
		  <os>
		    <type arch='x86_64' machine='xenpvh'>xenpvh</type>
		    <kernel>/dom0/vmlinuz</kernel>
		    <initrd>/dom0/initrd</initrd>
		    <cmdline>console=hvc0 job=disk</cmdline>
		  </os>
		  <on_reboot>restart</on_reboot>
		  <devices>
		    <interface type='bridge'><source bridge='xenbr0'/></interface>
		    <console type='pty'><target type='xen' port='0'/></console>
		  </devices>
		</domain>
	XML
	quiet virsh define /tmp/one.xml && state_is 'shut off' &&
		virsh dumpxml one | grep -q "machine='xenpvh'"
}

state_is() {
	[[ $(virsh domstate one | head -n 1) = "$1" ]] && return
	echo "state: $(virsh domstate one)"
	return 1
}

starts() {
	rm -f $log
	quiet virsh start one && says one 240 '^UP: Linux .* 2 CPUs' && state_is running &&
		lists one
}

known() {
	virsh dominfo one | grep -qE '^CPU\(s\): +2$' &&
		virsh dominfo one | grep -qE '^Max memory: +163840 KiB' &&
		virsh nodeinfo | grep -qE "^CPU\(s\): +$(field nr_cpus)\$" &&
		[[ $(virsh vcpucount one --live --active) = 2 ]]
}

# What the guest says from now on, by a terminal of libvirt's; left as a person does, by Ctrl-].
console_shows() {
	mkfifo /tmp/keys
	exec {keys}<>/tmp/keys
	socat EXEC:"virsh console one",pty,setsid,ctty - <&"$keys" >/tmp/terminal &
	wait_for 60 /tmp/terminal 'Connected to domain' $! &&
		quiet virsh attach-disk one /tmp/disk xvdz --sourcetype file &&
		wait_for 60 /tmp/terminal "SUM of xvdz: $(md5sum </tmp/disk | cut -c1-32)" $! &&
		printf '\x1d' >&"$keys" && wait $! && return
	kill $!
	cat /tmp/terminal
	return 1
}

disk_goes() {
	quiet virsh detach-disk one xvdz &&
		until_so 60 no eval "virsh domblklist one | grep -q xvdz"
}

suspended() {
	quiet virsh suspend one && state_is paused && is one p && quiet virsh resume one &&
		state_is running
}

vcpus_pinned() {
	quiet virsh vcpupin one 1 1 && xl vcpu-list one | grep -qE '^one +[0-9]+ +1 .* 1 / all$'
}

saved() {
	quiet virsh save one /var/tmp/one && state_is 'shut off' && no lists one &&
		quiet virsh restore /var/tmp/one && state_is running && rm /var/tmp/one
}

reboots() {
	: >$log
	quiet virsh reboot one && says one 60 'GOES by reboot' &&
		says one 240 '^UP: Linux .* 2 CPUs' && until_so 60 state_is running
}

# Its state says so before libvirt has done all that is to be done.
is_off() {
	state_is 'shut off' && [[ $(virsh domid one | head -n 1) = - ]]
}

shuts_down() {
	quiet virsh shutdown one && until_so 120 is_off >/dev/null &&
		says one 1 'GOES by poweroff'
}

destroyed() {
	starts && quiet virsh destroy one && state_is 'shut off' && no lists one
}

undefined() {
	quiet virsh undefine one && ! virsh list --all --name | grep -q one
}

check "libvirtd knows the hypervisor" libvirt_starts
check "virsh define" defined
check "virsh start, and Linux comes up" starts
check "virsh dominfo, nodeinfo, vcpucount" known
check "virsh console, and a disk attached" console_shows
check "virsh detach-disk" disk_goes
check "virsh suspend and resume" suspended
check "virsh vcpupin" vcpus_pinned
check "virsh save and restore" saved
check "virsh reboot" reboots
check "virsh shutdown" shuts_down
check "virsh destroy" destroyed
check "virsh undefine" undefined
check "all memory is back" all_memory_is_back
