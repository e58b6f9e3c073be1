// SPDX-License-Identifier: GPL-2.0-or-later
#include "vmm/requests.h"

json_t *requests_serve(struct vm *vm, json_t *request, int *fd, bool *events)
{
	(void)vm;
	(void)request;
	(void)fd;
	(void)events;
	return json_pack("{s:b, s:s}", "ok", 0, "error", "not yet");
}
