# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In a guest of bv-boot: work whose sums are checked, for ever.
n=0
while :; do
	n=$((n + 1))
	head -c 200000 /dev/urandom >/tmp/a
	cp /tmp/a /tmp/b
	if [ "$(md5sum </tmp/a)" = "$(md5sum </tmp/b)" ]; then
		echo "count $n good"
	else
		echo "count $n bad"
	fi
done
