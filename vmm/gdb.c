// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmm/gdb.h"

int gdb_create(struct vm *vm, struct why *why)
{
	return vm->config->gdb_socket ? why_set(why, "no GDB stub yet") : 0;
}

void gdb_destroy(struct vm *vm)
{
	(void)vm;
}

void gdb_stopped(struct vm *vm)
{
	(void)vm;
}
