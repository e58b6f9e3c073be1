# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs in a guest of bv-data that is killed: keeps files on its disk, each with its number and its
# sum as its name, which it has only once it is on the disk. "found: last N, B bad" says the highest
# number of those that were there, and how many had a wrong sum, "kept N" that a file more is there
# to stay.
mkdir /m
mount -t ext4 /dev/vda /m || exit

sum() {
	set -- "$(md5sum)"
	echo "${1%% *}"
}

last=0 bad=0
for file in /m/*.kept; do
	[ -e "$file" ] || continue
	name=${file##*/} number=${name%%.*}
	[ "$name" = "$number.$(sum <"$file").kept" ] || bad=$((bad + 1))
	[ "$number" -le "$last" ] || last=$number
done
echo "found: last $last, $bad bad"

number=$last
while :; do
	number=$((number + 1))
	head -c 400000 /dev/urandom >/m/new
	sync
	mv /m/new "/m/$number.$(sum </m/new).kept"
	sync
	echo "kept $number"
	rm -f "/m/$((number - 20))".*
done
