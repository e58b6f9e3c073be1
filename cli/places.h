/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where bv keeps things: a user's in the XDG directories, root's in /etc, /var/lib and /run; all
 * in one directory where BV_HOME names it. The layout below them is in bv(1), FILES.
 */
#ifndef CLI_PLACES_H
#define CLI_PLACES_H

#include "cli/error.h"
#include "cli/files.h"

struct bv_places {
	char config[2048]; /* definitions: NAME.vm */
	char data[2048]; /* vms/NAME/, images/NAME/ */
	char run[2048]; /* NAME/: sockets */
	char support[2048]; /* programs of bv that are no commands: make-image */
};

/* Finds the places and makes those that are not there. */
int bv_places_init(struct bv_error *error);
/* Constant once bv_places_init() has been called. */
const struct bv_places *bv_places(void);

#endif
