# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For system tests on VT-x, sourced behind outside.sh. Bochs takes too long for QEMU, so guests are
# started by a VMM of one file, small_vmm.c.

# shellcheck disable=SC2154
small_vmm=$top/build/tests/small_vmm
mkdir -p "${small_vmm%/*}"
gcc -static -O1 -Wall -Wextra -Werror -o "$small_vmm" "$top/tests/system/small_vmm.c" -lpthread

# emulate_vtx [PC OPTION...]: as emulate, in a PC with VT-x
emulate_vtx() {
	emulate --machine bochs --put "$small_vmm" "$@"
}
