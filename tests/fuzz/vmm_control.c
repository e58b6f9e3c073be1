// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests on the control socket: the input's lines, each a request, as JSON or as anything. A
 * refusal must have words, and every answer must say whether it is good.
 */
#include "tests/vmm/fake.h"
#include "vmm/requests.h"

#include <stdlib.h>
#include <string.h>

static void serve(struct fake *fake, const uint8_t *line, size_t size)
{
	json_error_t error;
	json_t *request = json_loadb((const char *)line, size, JSON_REJECT_DUPLICATES, &error);
	const char *words;
	bool events = false;
	int fd = -1;
	json_t *answer = requests_serve(&fake->vm, request, &fd, &events);

	if (!json_is_boolean(json_object_get(answer, "ok")))
		abort();
	words = json_string_value(json_object_get(answer, "error"));
	if (json_is_false(json_object_get(answer, "ok")) && (!words || !*words))
		abort();
	json_decref(answer);
	json_decref(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake *fake;
	const uint8_t *end;

	if (!fake)
		fake = fake_make(NULL);
	fake->vm.state = VM_RUNNING;
	fake->vm.loop.stop = false;
	while (size) {
		end = memchr(data, '\n', size);
		serve(fake, data, end ? (size_t)(end - data) : size);
		if (!end)
			break;
		size -= (size_t)(end + 1 - data);
		data = end + 1;
	}
	fake_settle(fake);
	return 0;
}
