# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs in the guest of the test "data": moves the same bytes over every way, and says their sums.
# All the while each virtual CPU has something else to do.
for _ in $(seq "$(nproc)"); do
	yes >/dev/null &
done
ip link set eth0 up
ip addr add 10.9.0.2/24 dev eth0

say_sum() {
	set -- "$1" "$(md5sum)"
	echo "SUM $1: ${2%% *}"
}

say_sum "from the disk" </dev/vda
dd if=/dev/vda of=/dev/vdb bs=1M 2>/dev/null
sync
echo 3 >/proc/sys/vm/drop_caches
say_sum "back from the other disk" </dev/vdb
wget -qO- http://10.9.0.1/data | say_sum "from the net"
eighth=$(($(cat /sys/block/vda/size) / 2048 / 8))
for part in 0 1 2 3 4 5 6 7; do
	dd if=/dev/vda bs=1M skip=$((part * eighth)) count=$eighth 2>/dev/null
	echo "sent: $((part + 1)) of 8, up $(cut -d ' ' -f 1 /proc/uptime) s" >&2
done | nc 10.9.0.1 9000
