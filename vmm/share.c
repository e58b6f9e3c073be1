// SPDX-License-Identifier: GPL-2.0-or-later
/* Shared directories: see share.h. */
#include "vmm/share.h"

int share_create(struct vm *vm, const struct vmm_share *config, unsigned int place, struct why *why)
{
	(void)vm;
	(void)config;
	(void)place;
	return why_set(why, "shared directories are not supported yet");
}
