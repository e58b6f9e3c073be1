// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmm/snapshot.h"

int snapshot_restore(struct vm *vm, const char *path, bool *run, struct why *why)
{
	(void)vm;
	(void)path;
	(void)run;
	return why_set(why, "snapshots are not supported yet");
}
