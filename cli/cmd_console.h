/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session at a VM's console, for console and run: says how to leave, and at the VM's end why
 * it ended. */
#ifndef CLI_CMD_CONSOLE_H
#define CLI_CMD_CONSOLE_H

#include "cli/command.h"
#include "cli/console.h"

int bv_console_session(struct bv_call *call, const struct bv_vm *vm, bool leave_at_end,
		       enum bv_console_end *end, struct bv_error *error);

#endif
