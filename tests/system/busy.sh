# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For system tests, run in a guest (tests/pc/guest-initrd): a worker a CPU copies random data and
# looks whether the copy still has the right sum. Each round says "round WORKER NUMBER", a wrong sum
# "BAD". busy=MIB on the kernel's command line is how much each has, 2 if it says nothing.
size=$(sed -n 's/.*busy=\([0-9]*\).*/\1/p' /proc/cmdline)

work() {
	dd if=/dev/urandom of="/tmp/$1" bs=64k count=$((${size:-2} * 16)) 2>/dev/null
	want=$(md5sum <"/tmp/$1")
	number=0
	while cp "/tmp/$1" "/tmp/$1.copy"; do
		number=$((number + 1))
		if [ "$(md5sum <"/tmp/$1.copy")" = "$want" ] &&
			[ "$(md5sum <"/tmp/$1")" = "$want" ]; then
			echo "round $1 $number"
		else
			echo "BAD sum, worker $1, round $number"
		fi
	done
	echo "BAD copy, worker $1"
}

worker=0
while [ $worker -lt "$(grep -c ^processor /proc/cpuinfo)" ]; do
	work $worker &
	worker=$((worker + 1))
done
wait
