/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A new VM as a command line describes it: for run and create. */
#ifndef CLI_DESCRIBE_H
#define CLI_DESCRIBE_H

#include "cli/command.h"
#include "cli/image.h"
#include "cli/vm.h"

/* Fills the definition and the directory of a VM that was prepared (bv_vm_prepare). `source`
 * NULL: all comes from options. Builds an image where the source is none yet. */
int bv_describe(const struct bv_call *call, struct bv_vm *vm, const struct bv_source *source,
		struct bv_error *error);

/* How to log in to it, for people; "" if that is not known. */
void bv_describe_login(const struct bv_vm *vm, char *text, size_t size);

#endif
