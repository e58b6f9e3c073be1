# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run by Dom0 (xen-dom0.sh) in xen-domu, which says how many MiB and with how many vCPUs.
: "${mib:?} ${vcpus:?}"
data=/var/tmp/data copy=/var/tmp/copy

# What the guest does: the same bytes over every way, while each CPU has something else to do.
job() {
	cat <<-'JOB'
		busy=
		for _ in $(seq "$(nproc)"); do yes >/dev/null & busy="$busy $!"; done
		say() { set -- "$1" "$(md5sum)"; echo "SUM $1: ${2%% *}"; }
		drop() { sync; echo 3 >/proc/sys/vm/drop_caches; }
		busybox ping -c 3 10.9.0.1 >/dev/null && echo "PING answered"
		say "from a file's disk" </dev/xvdb
		dd if=/dev/xvdb of=/dev/xvdc bs=1M 2>/dev/null
		drop
		say "back from a file's disk" </dev/xvdc
		dd if=/dev/xvdb of=/root/copy bs=1M 2>/dev/null
		drop
		say "back from a whole disk" </root/copy
		busybox wget -qO- http://10.9.0.1/data | say "from the net"
		busybox nc 10.9.0.1 9000 </dev/xvdb
		kill $busy
		echo "DONE on $(nproc) CPUs"
	JOB
}

serve() {
	head -c "${mib}M" /dev/urandom >$data
	truncate -s "${mib}M" $copy
	sum=$(md5sum <$data)
	sum=${sum%% *}
	mkdir -p /tmp/www
	ln -s $data /tmp/www/data
	job >/tmp/www/job
	quiet busybox httpd -h /tmp/www
}

# The console as a terminal: what is typed comes from $keys, what is said goes to the file $said.
console() {
	said=/tmp/$1.said
	rm -f "$said" "$said.keys"
	mkfifo "$said.keys"
	exec {keys}<>"$said.keys"
	socat - "EXEC:xl console $1,pty,setsid,ctty,rawer,stderr" <&"$keys" >"$said" &
}

type_in() {
	printf '%b' "$1" >&"$keys"
}

seen() {
	wait_for "$1" "$said" "$2" && return
	echo "--- the end of its console:"
	tail -n 30 "$said"
	return 1
}

login() {
	console "$1"
	seen 600 '^guest login: ' && type_in 'root\r' && seen 200 'guest:~# '
}

# Again and again: when networkd comes to the card, it takes away what it does not know.
begins() {
	type_in 'add="ip addr add 10.9.0.2/24 dev eth0"; '
	type_in 'get="busybox wget -qO /job http://10.9.0.1/job"; '
	# shellcheck disable=SC2016 # expanded in the guest
	type_in 'until $add 2>&-; $get; do sleep 1; done; sh /job\r'
	seen 300 'PING answered'
}

arrives() {
	seen 1500 "^SUM $1: $sum"
}

received() {
	seen 1500 "^DONE on $1 CPUs" && wait "$listener" && [[ $(</tmp/sent) = "$sum "* ]]
}

copied() {
	[[ $(md5sum <$copy) = "$sum "* ]]
}

shuts_down() {
	quiet xl shutdown "$1" && is_gone "$1"
}

debian() {
	config debian "$1" 384 "root=LABEL=pc-guest ro net.ifnames=0" \
		"disk = ['phy:/dev/vdb,xvda,w'," \
		"	'format=raw,vdev=xvdb,access=r,target=$data'," \
		"	'format=raw,vdev=xvdc,access=w,target=$copy']" \
		"vif = ['bridge=xenbr0,mac=00:16:3e:01:02:03']"
	socat -u TCP-LISTEN:9000,reuseaddr - </dev/null | md5sum >/tmp/sent &
	listener=$!
	check "xl create: Debian with $1 vCPUs, disks and a net" create debian
	lists debian || return
	check "a login on its console" login debian
	check "ping, and what it has to do by the net" begins
	check "$mib MiB read from a file's disk" arrives "from a file's disk"
	check "$mib MiB written to a file's disk and read" arrives "back from a file's disk"
	check "$mib MiB written to a whole disk and read" arrives "back from a whole disk"
	check "$mib MiB fetched by the net" arrives "from the net"
	check "$mib MiB sent by the net" received "$1"
	check "what it wrote, seen from outside" copied
	check "xl shutdown ends it" shuts_down debian
	check "all memory is back" all_memory_is_back
}

# The first guest that has used all of its memory for disks and net leaves counts of its frames, and
# tables for where Dom0 had them; those after it leave nothing.
check "data and who serves it" serve
slack=3
for count in $vcpus; do
	debian "$count"
	# shellcheck disable=SC2034 # all_memory_is_back reads it
	free=$(field free_memory) slack=0
done
