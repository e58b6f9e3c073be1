# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For system tests, sourced: the part outside of the emulated PC. A test is an executable in this
# directory. It calls emulate, once or more, with a script on its input that sources inside.sh and
# ends with "sum": with one machine that sum is the test's last line, with more the test adds up
# with emulate_all. MODULE says which hypervisor is tested.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
name=${0##*/}
logs=$top/build/log
pc=$top/tests/pc
module=${MODULE:-bivisor}
mkdir -p "$logs"

# emulate [PC OPTION...]: runs its input as a script in an emulated PC with the module loaded
emulate() {
	"$pc/pc" --module "$module" --put "$top/tests/system/inside.sh" \
		--console "$logs/$name.console" "$@" -- -
}
