// SPDX-License-Identifier: GPL-2.0-or-later
/* Command image: list, build, import, delete. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/image.h"
#include "cli/out.h"
#include "cli/vm.h"

static int need(const struct bv_call *call, unsigned int least, unsigned int most,
		const char *operands, struct bv_error *error)
{
	if (call->operands_count - 1 >= least && call->operands_count - 1 <= most)
		return 0;
	return bv_error_set(error, BV_USAGE, "it is: bv image %s %s", call->operands[0], operands);
}

static int image_list(struct bv_call *call, struct bv_error *error)
{
	static const char *const heads[] = { "IMAGE", "SIZE", "ON DISK", "STARTS BY", "MADE" };
	struct bv_table *table = bv_table_new(heads, 5);
	unsigned int count, shown = 0;
	char **names = bv_image_names(&count), size[16], ago[48];
	json_t *all = json_array();

	for (unsigned int i = 0; i < count && table; i++) {
		struct bv_error ignored;
		struct bv_image image;

		if (bv_image_open(&image, names[i], &ignored))
			continue;
		bv_table_cell(table, "%s", image.name);
		bv_table_cell(table, "%s", bv_human_size(image.size, size));
		bv_table_cell(table, "%s", bv_human_size(bv_file_allocated(image.disk.text), size));
		bv_table_cell(table, "%s",
			      image.firmware == BV_FIRMWARE_NONE ?
				      "its kernel" :
				      bv_firmware_word(image.firmware));
		bv_table_cell(table, "%s", bv_human_ago(image.made_at, ago));
		json_array_append_new(all, bv_image_json(&image));
		shown++;
	}
	bv_names_free(names, count);
	if (!call->json && shown)
		bv_table_print(table, stdout);
	else if (!call->json)
		bv_say(call, "There are no images. 'bv image build debian' makes one.");
	bv_table_free(table);
	if (call->json)
		return bv_json_out(json_pack("{s:o}", "images", all), error);
	json_decref(all);
	return 0;
}

static int image_done(struct bv_call *call, const char *name, struct bv_error *error)
{
	struct bv_image image;

	if (bv_image_open(&image, name, error))
		return -1;
	bv_say(call, "The image '%s' is there. 'bv run %s' runs a VM of it.", name, name);
	return call->json ? bv_json_out(bv_image_json(&image), error) : 0;
}

static int image_build(struct bv_call *call, struct bv_error *error)
{
	const char *arguments[5], *mirror = bv_call_option(call, "mirror");
	const char *size = bv_call_option(call, "size");
	struct bv_source source;
	unsigned int count = 0;
	const char *name;

	if (need(call, 1, 2, "debian|debian-12|debian-13|DIRECTORY|TAR [NAME]", error) ||
	    bv_source_find(&source, call->operands[1], error))
		return -1;
	if (source.kind == BV_SOURCE_IMAGE)
		return bv_error_set(
			error, BV_EXISTS,
			"there is an image '%s' already; delete it to have it built anew",
			source.name);
	if (source.kind != BV_SOURCE_RECIPE && source.kind != BV_SOURCE_TREE &&
	    source.kind != BV_SOURCE_TAR)
		return bv_error_set(error, BV_USAGE, "%s is a disk; 'bv image import' takes it",
				    call->operands[1]);
	if (mirror) {
		arguments[count++] = "--mirror";
		arguments[count++] = mirror;
	}
	if (size) {
		arguments[count++] = "--size";
		arguments[count++] = size;
	}
	arguments[count] = NULL;
	name = call->operands_count > 2 ? call->operands[2] : source.name;
	if (bv_image_build(call, name, &source, arguments, error))
		return -1;
	return image_done(call, name, error);
}

static int image_import(struct bv_call *call, struct bv_error *error)
{
	struct bv_source source;
	const char *name;

	if (need(call, 1, 2, "FILE [NAME]", error))
		return -1;
	memset(&source, 0, sizeof(source));
	source.path = bv_path("%s", call->operands[1]);
	if (!strchr(call->operands[1], '/')) /* the name of an image means nothing here */
		source.path = bv_path("./%s", call->operands[1]);
	if (bv_source_find(&source, bv_path("%s", source.path.text).text, error))
		return -1;
	if (source.kind != BV_SOURCE_RAW && source.kind != BV_SOURCE_QCOW2)
		return bv_error_set(error, BV_USAGE, "%s is no disk image (raw or qcow2)",
				    call->operands[1]);
	name = call->operands_count > 2 ? call->operands[2] : source.name;
	if (bv_image_import(call, name, &source, error))
		return -1;
	return image_done(call, name, error);
}

static int image_delete(struct bv_call *call, struct bv_error *error)
{
	if (need(call, 1, 1, "NAME", error) || bv_image_delete(call->operands[1], error))
		return -1;
	bv_say(call, "Deleted the image '%s'.", call->operands[1]);
	return call->json ? bv_json_out(json_pack("{s:s}", "deleted", call->operands[1]), error) :
			    0;
}

int bv_cmd_image(struct bv_call *call, struct bv_error *error)
{
	static const struct {
		const char *name;
		int (*act)(struct bv_call *call, struct bv_error *error);
	} actions[] = {
		{ "list", image_list },
		{ "build", image_build },
		{ "import", image_import },
		{ "delete", image_delete },
	};

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (!strcmp(actions[i].name, call->operands[0]))
			return actions[i].act(call, error);
	return bv_error_set(error, BV_USAGE,
			    "bv image does not know '%s'; it knows list, build, import, delete",
			    call->operands[0]);
}
