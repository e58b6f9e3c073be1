# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the scripts of the emulated PC share: where the cache is, how to speak, how to build a thing
# once. Sourced.

pc_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
pc_cache=$(realpath -m "${BV_CACHE:-$pc_top/.cache}")
# The Debian of the emulated PC is this machine's: what is built here runs there. 12 where this is
# neither.
pc_release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[[ $pc_release = trixie ]] || pc_release=bookworm
# mke2fs, depmod and others live there, and a user's PATH may not have it.
PATH=$PATH:/usr/sbin:/sbin

say() {
	echo "${0##*/}: $*" >&2
}

die() {
	say "$*"
	exit 1
}

# pc_once DIR COMMAND...: has COMMAND fill the directory that its last argument names, then calls it
# DIR. Does nothing where DIR exists. Others who want the same DIR wait; a build that fails or is
# killed leaves no DIR.
pc_once() {
	local dir=$1 lock began status
	shift
	[[ -d $dir ]] && return
	mkdir -p "$(dirname "$dir")"
	exec {lock}>"$dir.lock"
	flock "$lock"
	if [[ ! -d $dir ]]; then
		began=$SECONDS
		rm -rf "$dir.part"
		mkdir "$dir.part"
		set +e # in an "or" list, errors inside of the command would go by unnoticed
		(
			set -e
			"$@" "$dir.part"
		) >"$dir.log" 2>&1 {lock}>&-
		status=$?
		set -e
		if [[ $status != 0 ]]; then
			rm -rf "$dir.part"
			tail -n 20 "$dir.log" >&2
			die "building ${dir#"$pc_cache/"} failed; all of its log is $dir.log"
		fi
		mv "$dir.part" "$dir"
		say "built ${dir#"$pc_cache/"} in $((SECONDS - began)) s"
	fi
	exec {lock}>&-
}

# pc_key THING...: a short name of contents: of the files named, and of the words that name no file.
pc_key() {
	local thing
	for thing in "$@"; do
		if [[ -f $thing ]]; then grep -av '^[[:space:]]*#' "$thing"; else echo "$thing"; fi
	done | sha256sum | cut -c1-12
}

# pc_packages LIST: the packages of a list, by commas. A line that begins with a release in brackets
# is for that one alone.
pc_packages() {
	sed -E -e "s/^\\[$pc_release\\] *//" -e '/^\[/d' -e 's/#.*//' "$1" | xargs | tr ' ' ,
}

# The package of the kernel 6.12.
pc_newer_kernel() {
	case $pc_release in
	bookworm) echo linux-image-6.12-amd64 ;;
	*) echo linux-image-amd64 ;;
	esac
}

# pc_as_root COMMAND...: for what only makes files that belong to root, in an image.
pc_as_root() {
	if [[ $(id -u) = 0 ]]; then "$@"; else fakeroot -- "$@"; fi
}

# pc_cpio DIR: an initramfs with what is in the directory
pc_cpio() {
	(cd "$1" && find . | LC_ALL=C sort | cpio --quiet -R 0:0 -o -H newc)
}
