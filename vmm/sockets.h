/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unix stream sockets that a VM listens on: its console, its control, its debugger's stub. */
#ifndef VMM_SOCKETS_H
#define VMM_SOCKETS_H

#include "vmm/why.h"

/* For this user only; one that nobody listens on any more is replaced. -1 with why. */
int sockets_listen(const char *path, struct why *why);

/* Closes it and, where that is still allowed, removes its name. */
void sockets_close(int fd, const char *path);

#endif
