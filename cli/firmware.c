// SPDX-License-Identifier: GPL-2.0-or-later
/* Where distributions put firmware for guests. */
#include <stddef.h>
#include <unistd.h>

#include "cli/launch.h"

static const struct {
	enum bv_firmware firmware;
	const char *code, *variables;
} known[] = {
	{ BV_FIRMWARE_UEFI, "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd" },
	{ BV_FIRMWARE_UEFI, "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd" },
	{ BV_FIRMWARE_UEFI, "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
	  "/usr/share/edk2/x64/OVMF_VARS.4m.fd" },
	{ BV_FIRMWARE_UEFI, "/usr/share/edk2/ovmf/OVMF_CODE.fd",
	  "/usr/share/edk2/ovmf/OVMF_VARS.fd" },
	{ BV_FIRMWARE_BIOS, "/usr/share/seabios/bios-256k.bin", NULL },
	{ BV_FIRMWARE_BIOS, "/usr/share/qemu/bios-256k.bin", NULL },
};

const char *bv_firmware_find(enum bv_firmware firmware, const char **variables)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].firmware != firmware || access(known[i].code, R_OK))
			continue;
		if (variables)
			*variables = known[i].variables;
		return known[i].code;
	}
	return NULL;
}

const char *bv_firmware_package(enum bv_firmware firmware)
{
	return firmware == BV_FIRMWARE_UEFI ? "ovmf" : "seabios";
}
