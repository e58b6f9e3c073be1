# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A disk with a Debian root file system that GRUB starts, on BIOS and on UEFI. Sourced, after
# common.sh. Partitions: 1 GRUB's core for BIOS, 2 the EFI system partition, 3 the root.

core_at=1 efi_at=2 root_at=34 # where the partitions begin, in MiB; each ends where the next begins
bios_boot=21686148-6449-6E6F-744E-656564454649 # the type of GRUB's partition
grub_modules=(normal linux multiboot multiboot2 part_gpt ext2 fat serial terminal search
	search_label search_fs_uuid echo configfile ls cat test sleep reboot halt boot minicmd
	smbios all_video gzio loadenv)

# disk_make DIR LABEL: DIR/image from DIR/root, an ext4 image with that label and with
# /boot/grub/grub.cfg
disk_make() {
	disk_grub "$1" "$2"
	disk_esp "$1"
	disk_partitions "$1"
	disk_boot_sector "$1"
	rm "$1"/{esp,early.cfg,core.img,boot.img,BOOTX64.EFI}
}

# disk_grub DIR LABEL: core.img and BOOTX64.EFI, each with all the modules and a way to the menu
disk_grub() {
	local dir=$1 label=$2
	cat >"$dir/early.cfg" <<-CFG
		search --no-floppy --label $label --set=root
		set prefix=(\$root)/boot/grub
		configfile \$prefix/grub.cfg
	CFG
	grub-mkimage -O i386-pc -p /boot/grub -c "$dir/early.cfg" -o "$dir/core.img" \
		biosdisk "${grub_modules[@]}"
	grub-mkimage -O x86_64-efi -p /boot/grub -c "$dir/early.cfg" -o "$dir/BOOTX64.EFI" \
		efi_gop "${grub_modules[@]}"
}

disk_esp() {
	truncate -s $((root_at - efi_at))M "$1/esp"
	mkfs.vfat -n EFI "$1/esp" >/dev/null
	mmd -i "$1/esp" ::EFI ::EFI/BOOT
	mcopy -i "$1/esp" "$1/BOOTX64.EFI" ::EFI/BOOT/
}

# What grub-bios-setup writes on a real disk: the boot sector learns where core.img is, and
# core.img's first sector where the rest of it is.
disk_boot_sector() {
	local dir=$1 sector=$((core_at * 2048))
	cp /usr/lib/grub/i386-pc/boot.img "$dir/boot.img"
	put_number "$dir/boot.img" 0x5c $sector
	put_number "$dir/core.img" 0x1f4 $((sector + 1))
	dd if="$dir/boot.img" of="$dir/image" bs=440 count=1 conv=notrunc status=none
	put_at "$dir/core.img" "$dir/image" $core_at
}

# put_number FILE OFFSET NUMBER: eight bytes, the lowest first
put_number() {
	local i number=$3 bytes=
	for ((i = 0; i < 8; i++)); do
		bytes+=$(printf '\\x%02x' $((number >> 8 * i & 255)))
	done
	printf '%b' "$bytes" | dd of="$1" bs=1 seek=$(($2)) conv=notrunc status=none
}

put_at() {
	dd if="$1" of="$2" bs=1M seek="$3" conv=notrunc,sparse status=none
}

disk_partitions() {
	local dir=$1 root_size
	root_size=$(($(stat -c %s "$dir/root") / 1048576))
	truncate -s $((root_at + root_size + 1))M "$dir/image"
	sfdisk -q "$dir/image" <<-TABLE
		label: gpt
		start=${core_at}MiB, size=$((efi_at - core_at))MiB, type=$bios_boot
		start=${efi_at}MiB, size=$((root_at - efi_at))MiB, type=uefi
		start=${root_at}MiB, size=${root_size}MiB, type=linux
	TABLE
	put_at "$dir/esp" "$dir/image" $efi_at
	put_at "$dir/root" "$dir/image" $root_at
}
