// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Definitions are anyone's: any bytes must be read or refused without harm; what was read must
 * write and read back as the same; a change of one key must change that one; a name that passes
 * must be fit for a path.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/definition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bv_definition first, second;

static void must(int good)
{
	if (!good)
		abort();
}

/* Written and read: the same. */
static void check_round(struct bv_error *error)
{
	char *text = bv_definition_format(&first);

	must(text && !bv_definition_parse(&second, text, strlen(text), "again", error));
	must(!memcmp(&first, &second, sizeof(first)));
	free(text);
}

/* A text without zero bytes can be edited: after that it says what was set. */
static void check_edit(const char *text, struct bv_error *error)
{
	char *changed = bv_text_set(text, "cpus", "7", error);

	must(changed && !bv_definition_parse(&second, changed, strlen(changed), "edited", error));
	must(second.cpus == 7 && second.memory == first.memory &&
	     second.disks_count == first.disks_count);
	free(changed);
	if (!first.nets_count)
		return;
	changed = bv_text_remove(text, "net0", error);
	must(changed && !bv_definition_parse(&second, changed, strlen(changed), "cut", error));
	must(second.nets_count == first.nets_count - 1);
	free(changed);
}

static void check_words(const char *text, struct bv_error *error)
{
	struct bv_forward forward;
	uint64_t bytes;

	bv_size_parse(text, &bytes, error);
	bv_forward_parse(text, &forward, error);
	if (!bv_name_check(text, "a VM", error))
		must(!strchr(text, '/') && text[0] != '.' && strlen(text) <= BV_NAME_MAX);
	bv_definition_set(&second, text, "1", error);
	bv_definition_set(&second, "net0.forward", text, error);
	free(bv_text_set(text, "disk0.file", "x", error));
	free(bv_text_remove(text, "disk0", error));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bv_error error = { 0 };
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	if (!bv_definition_parse(&first, text, size, "fuzz", &error)) {
		check_round(&error);
		check_edit(text, &error);
	}
	check_words(text, &error);
	free(text);
	return 0;
}
