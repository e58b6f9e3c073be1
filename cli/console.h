/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A person at a VM's console. */
#ifndef CLI_CONSOLE_H
#define CLI_CONSOLE_H

#include "cli/vm.h"

enum bv_console_end {
	BV_CONSOLE_LEFT, /* the person left; the VM runs on */
	BV_CONSOLE_ENDED, /* the VM did */
};

#define BV_CONSOLE_ESCAPE 0x1d /* Control and ] */

/* Passes keys and output between this terminal (or whatever input and output are) and the
 * console until one of them ends, or the escape key is pressed. At the input's end it only
 * listens on, unless `leave_at_end`. */
int bv_console_attach(const struct bv_vm *vm, int escape, bool leave_at_end,
		      enum bv_console_end *end, struct bv_error *error);

#endif
