// SPDX-License-Identifier: GPL-2.0-or-later
/* A new VM as a command line describes it; see describe.h. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/describe.h"
#include "cli/launch.h"

/* What is being made. */
struct making {
	const struct bv_call *call;
	struct bv_vm *vm;
	struct bv_definition *definition;
	struct bv_error *error;
};

static int set(struct making *making, const char *key, const char *value)
{
	return bv_definition_set(making->definition, key, value, making->error);
}

static int set_place(struct making *making, const char *section, unsigned int place,
		     const char *key, const char *value)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%u.%s", section, place, key);
	return set(making, name, value);
}

/* A path as typed means the same tomorrow, from another directory. */
static int absolute(struct making *making, const char *option, const char *path, char *out,
		    size_t size)
{
	char *real = realpath(path, NULL);
	int status = 0;

	if (!real)
		return bv_error_errno(making->error, "--%s: %s", option, path);
	if (strlen(real) >= size)
		status =
			bv_error_set(making->error, BV_USAGE, "--%s: the path is too long", option);
	else
		strcpy(out, real);
	free(real);
	return status;
}

/* --- the source ------------------------------------------------------------------------------ */

/* Without a wish: UEFI where it is installed. */
static void choose_firmware(struct making *making, const char *disk, bool qcow2)
{
	int fd = open(disk, O_RDONLY | O_CLOEXEC);
	char mark[8] = "";
	bool gpt = qcow2;

	if (fd >= 0) {
		gpt |= pread(fd, mark, 8, 512) == 8 && !memcmp(mark, "EFI PART", 8);
		close(fd);
	}
	making->definition->firmware = gpt && bv_firmware_find(BV_FIRMWARE_UEFI, NULL) ?
					       BV_FIRMWARE_UEFI :
					       BV_FIRMWARE_BIOS;
}

/* A file of the image into the VM's own directory, so that the image can go. */
static int take_file(struct making *making, const struct bv_image *image, const char *name,
		     char *key)
{
	struct bv_path from = bv_path("%s/%s", image->directory.text, name);

	strcpy(key, name);
	return bv_file_copy(from.text, bv_vm_file(making->vm, name).text, NULL, NULL,
			    making->error);
}

/* The image's command line, %n in it the VM's name, as far as that is one for a computer. */
static void append_named(char *out, size_t size, const char *append, const char *name)
{
	const char *at = strstr(append, "%n");
	char host[BV_NAME_MAX + 1];

	snprintf(host, sizeof(host), "%s", name);
	for (char *c = host; *c; c++)
		if (*c == '_' || *c == '.')
			*c = '-';
	if (at)
		snprintf(out, size, "%.*s%s%s", (int)(at - append), append, host, at + 2);
	else
		snprintf(out, size, "%s", append);
}

static int from_image(struct making *making, const char *name)
{
	struct bv_definition *definition = making->definition;
	struct bv_image image;
	unsigned int place;

	if (bv_image_open(&image, name, making->error) ||
	    bv_definition_add(definition, "disk", &place, making->error) ||
	    bv_disk_from(making->call, image.disk.text, image.format, making->vm->data.text,
			 &definition->disks[place], making->error))
		return -1;
	snprintf(definition->image, sizeof(definition->image), "%s", name);
	definition->firmware = image.firmware;
	if (bv_call_option(making->call, "firmware"))
		return 0;
	if (image.firmware != BV_FIRMWARE_NONE || bv_call_option(making->call, "kernel"))
		return 0;
	append_named(definition->append, sizeof(definition->append), image.append,
		     making->vm->name);
	if (take_file(making, &image, "vmlinuz", definition->kernel))
		return -1;
	return image.initrd ? take_file(making, &image, "initrd.img", definition->initrd) : 0;
}

/* What must be built first is built under its name, and used from there on. */
static int from_built(struct making *making, const struct bv_source *source)
{
	struct bv_image image;

	if (!bv_image_open(&image, source->name, making->error)) {
		bv_say(making->call,
		       "Using the image '%s'. ('bv image delete %s' to have it "
		       "built anew.)",
		       source->name, source->name);
		return from_image(making, source->name);
	}
	if (making->error->status != BV_UNKNOWN)
		return -1;
	bv_say(making->call, "Building the image '%s': this takes some minutes, once.",
	       source->name);
	if (bv_image_build(making->call, source->name, source, NULL, making->error))
		return -1;
	return from_image(making, source->name);
}

static int from_disk(struct making *making, const struct bv_source *source)
{
	bool qcow2 = source->kind == BV_SOURCE_QCOW2, cd = source->kind == BV_SOURCE_ISO;
	struct bv_disk *disk;
	unsigned int place;

	if (bv_definition_add(making->definition, "disk", &place, making->error))
		return -1;
	disk = &making->definition->disks[place];
	choose_firmware(making, source->path.text, qcow2 || cd);
	if (!cd && !bv_call_option(making->call, "in-place")) {
		if (qcow2 && bv_qcow2_has_backing(source->path.text))
			return bv_error_set(making->error, BV_USAGE,
					    "%s needs another file below it; convert it with "
					    "qemu-img first, or use it with --in-place",
					    source->path.text);
		return bv_disk_from(making->call, source->path.text,
				    qcow2 ? BV_DISK_QCOW2 : BV_DISK_RAW, making->vm->data.text,
				    disk, making->error);
	}
	disk->read_only = cd;
	if (set_place(making, "disk", place, "format", qcow2 ? "qcow2" : "raw"))
		return -1;
	return set_place(making, "disk", place, "file", source->path.text);
}

static int from_source(struct making *making, const struct bv_source *source)
{
	switch (source->kind) {
	case BV_SOURCE_IMAGE:
		return from_image(making, source->name);
	case BV_SOURCE_RECIPE:
	case BV_SOURCE_TREE:
	case BV_SOURCE_TAR:
		return from_built(making, source);
	case BV_SOURCE_KERNEL:
		return set(making, "kernel", source->path.text);
	default:
		return from_disk(making, source);
	}
}

/* --- the options ----------------------------------------------------------------------------- */

static int take_kernel(struct making *making)
{
	const char *kernel = bv_call_option(making->call, "kernel");
	const char *initrd = bv_call_option(making->call, "initrd");
	const char *append = bv_call_option(making->call, "append");
	const char *firmware = bv_call_option(making->call, "firmware");
	struct bv_definition *definition = making->definition;

	if (kernel) {
		definition->firmware = BV_FIRMWARE_NONE;
		if (absolute(making, "kernel", kernel, definition->kernel,
			     sizeof(definition->kernel)))
			return -1;
	}
	if (initrd &&
	    absolute(making, "initrd", initrd, definition->initrd, sizeof(definition->initrd)))
		return -1;
	if (append && set(making, "append", append))
		return -1;
	if (kernel && !append && !definition->append[0] && set(making, "append", "console=ttyS0"))
		return -1;
	return firmware ? set(making, "firmware", firmware) : 0;
}

/* An empty disk in the VM's directory. */
static int empty_disk(struct making *making, unsigned int place, uint64_t bytes)
{
	char name[32];
	struct bv_path path;
	int fd;

	snprintf(name, sizeof(name), "disk%u.raw", place);
	path = bv_vm_file(making->vm, name);
	fd = open(path.text, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, bytes)) {
		bv_error_errno(making->error, "cannot make %s", path.text);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	close(fd);
	return set_place(making, "disk", place, "file", name);
}

static int take_disk(struct making *making, const char *value)
{
	struct bv_error ignored;
	enum bv_source_kind kind = BV_SOURCE_RAW;
	unsigned int place;
	uint64_t bytes;

	if (bv_definition_add(making->definition, "disk", &place, making->error))
		return -1;
	if (isdigit((unsigned char)value[0]) && access(value, F_OK) &&
	    !bv_size_parse(value, &bytes, &ignored))
		return empty_disk(making, place, bytes);
	bv_source_examine(value, &kind, &ignored);
	if (kind == BV_SOURCE_QCOW2 && set_place(making, "disk", place, "format", "qcow2"))
		return -1;
	making->definition->disks[place].read_only = kind == BV_SOURCE_ISO;
	return absolute(making, "disk", value, making->definition->disks[place].file, BV_TEXT_MAX);
}

static int take_net(struct making *making, const char *value)
{
	unsigned int place;

	if (!strcmp(value, "none"))
		return 0;
	if (strcmp(value, "user") && strncmp(value, "tap:", 4))
		return bv_error_set(making->error, BV_USAGE,
				    "--net is '%s'; it must be user, tap:NAME or none", value);
	if (bv_definition_add(making->definition, "net", &place, making->error))
		return -1;
	if (!strcmp(value, "user"))
		return 0;
	return set_place(making, "net", place, "kind", "tap") ||
			       set_place(making, "net", place, "tap", value + 4) ?
		       -1 :
		       0;
}

static int take_forward(struct making *making, const char *value)
{
	struct bv_net *net = &making->definition->nets[0];

	if (!making->definition->nets_count || net->kind != BV_NET_USER)
		return bv_error_set(making->error, BV_USAGE, "--forward needs --net user");
	if (net->forwards_count == BV_FORWARDS)
		return bv_error_set(making->error, BV_USAGE, "more than %d --forward", BV_FORWARDS);
	return bv_forward_parse(value, &net->forwards[net->forwards_count++], making->error);
}

/* "DIR[:TAG]"; the tag is the directory's name if none is given */
static int take_share(struct making *making, const char *value)
{
	const char *colon = strrchr(value, ':');
	char directory[BV_TEXT_MAX];
	unsigned int place;
	const char *tag;

	snprintf(directory, sizeof(directory), "%.*s",
		 (int)(colon ? colon - value : (long)strlen(value)), value);
	if (bv_definition_add(making->definition, "share", &place, making->error) ||
	    absolute(making, "share", directory, making->definition->shares[place].directory,
		     BV_TEXT_MAX))
		return -1;
	tag = strrchr(making->definition->shares[place].directory, '/');
	return set_place(making, "share", place, "tag", colon ? colon + 1 : tag + 1);
}

static int take_set(struct making *making, const char *value)
{
	const char *equals = strchr(value, '=');
	char key[64];

	if (!equals || equals - value >= (long)sizeof(key))
		return bv_error_set(making->error, BV_USAGE, "--set is '%s'; it must be KEY=VALUE",
				    value);
	snprintf(key, sizeof(key), "%.*s", (int)(equals - value), value);
	return set(making, key, equals + 1);
}

static int take_each(struct making *making, const char *option,
		     int (*take)(struct making *making, const char *value))
{
	unsigned int at = 0;
	const char *value;

	while ((value = bv_call_each(making->call, option, &at)))
		if (take(making, value))
			return -1;
	return 0;
}

static int take_disk_size(struct making *making)
{
	const char *text = bv_call_option(making->call, "disk-size");
	const struct bv_disk *disk = &making->definition->disks[0];
	uint64_t bytes;

	if (!text)
		return 0;
	if (!making->definition->disks_count || disk->read_only || disk->file[0] == '/')
		return bv_error_set(making->error, BV_USAGE,
				    "--disk-size grows a VM's own disk, and this one has none");
	if (bv_size_parse(text, &bytes, making->error))
		return -1;
	return bv_disk_grow(bv_vm_resolve(making->vm, disk->file).text, disk->format, bytes,
			    making->error);
}

static int take_options(struct making *making)
{
	const char *cpus = bv_call_option(making->call, "cpus");
	const char *memory = bv_call_option(making->call, "memory");
	unsigned int place;

	if (set(making, "cpus", cpus ?: "2") || set(making, "memory", memory ?: "1G") ||
	    take_kernel(making) || take_disk_size(making) || take_each(making, "disk", take_disk) ||
	    take_each(making, "net", take_net))
		return -1;
	if (!bv_call_option(making->call, "net") &&
	    bv_definition_add(making->definition, "net", &place, making->error))
		return -1;
	return take_each(making, "forward", take_forward) ||
			       take_each(making, "share", take_share) ||
			       take_each(making, "set", take_set) ?
		       -1 :
		       0;
}

int bv_describe(const struct bv_call *call, struct bv_vm *vm, const struct bv_source *source,
		struct bv_error *error)
{
	struct making making = { call, vm, &vm->definition, error };

	bv_definition_init(&vm->definition);
	if (source && from_source(&making, source))
		return -1;
	if (take_options(&making))
		return -1;
	return bv_definition_check(&vm->definition, error);
}

void bv_describe_login(const struct bv_vm *vm, char *text, size_t size)
{
	struct bv_error ignored;
	struct bv_image image;

	text[0] = 0;
	if (vm->definition.image[0] && !bv_image_open(&image, vm->definition.image, &ignored))
		snprintf(text, size, "%s", image.login);
}
