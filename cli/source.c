// SPDX-License-Identifier: GPL-2.0-or-later
/* What a VM can be made from: found by its name, known by a look into it. See image.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/image.h"
#include "cli/places.h"

/* Bytes at a place by which a kind of file is known. Compressed files are taken for tar files:
 * a disk image that is compressed must be unpacked first, and the maker of the image says so. */
static const struct {
	enum bv_source_kind kind;
	unsigned int offset, size;
	const char *bytes;
} marks[] = {
	{ BV_SOURCE_QCOW2, 0, 4, "QFI\xfb" },
	{ BV_SOURCE_KERNEL, 0, 4,
	  "\x7f"
	  "ELF" },
	{ BV_SOURCE_KERNEL, 0x202, 4, "HdrS" },
	{ BV_SOURCE_TAR, 257, 5, "ustar" },
	{ BV_SOURCE_TAR, 0, 2, "\x1f\x8b" },
	{ BV_SOURCE_TAR, 0, 6,
	  "\xfd"
	  "7zXZ\0" },
	{ BV_SOURCE_TAR, 0, 4, "\x28\xb5\x2f\xfd" },
	{ BV_SOURCE_ISO, 0x8001, 5, "CD001" },
	{ BV_SOURCE_RAW, 510, 2, "\x55\xaa" },
	{ BV_SOURCE_RAW, 512, 8, "EFI PART" },
	{ BV_SOURCE_RAW, 0x438, 2, "\x53\xef" }, /* ext2, 3, 4 without partitions */
};

static int examine_bytes(int fd, enum bv_source_kind *kind)
{
	char bytes[8];

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		if (pread(fd, bytes, marks[i].size, marks[i].offset) != (ssize_t)marks[i].size ||
		    memcmp(bytes, marks[i].bytes, marks[i].size))
			continue;
		*kind = marks[i].kind;
		return 0;
	}
	return -1;
}

int bv_source_examine(const char *path, enum bv_source_kind *kind, struct bv_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat stat_now;
	int status = 0;

	if (fd < 0 || fstat(fd, &stat_now)) {
		bv_error_errno(error, "cannot open %s", path);
		status = -1;
	} else if (S_ISDIR(stat_now.st_mode)) {
		*kind = BV_SOURCE_TREE;
	} else if (!S_ISREG(stat_now.st_mode) && !S_ISBLK(stat_now.st_mode)) {
		status = bv_error_set(error, BV_USAGE, "%s is no file and no block device", path);
	} else if (examine_bytes(fd, kind)) {
		bv_error_set(error, BV_USAGE, "%s is nothing that a VM can be made from", path);
		status = bv_error_advise(error, "It takes a disk image (raw, qcow2), an ISO, a "
						"kernel, a directory or a tar file with a root "
						"file system.");
	}
	if (fd >= 0)
		close(fd);
	return status;
}

/* A name for what is made of a file: the file's, as far as it is fit for one. */
static void name_after(char *name, const char *path)
{
	const char *base = strrchr(path, '/');
	size_t used = 0;

	base = base ? base + 1 : path;
	for (; *base && *base != '.' && used < BV_NAME_MAX - 8; base++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-",
			   *base) &&
		    (used || (*base != '_' && *base != '-')))
			name[used++] = *base;
	name[used] = 0;
	if (!used)
		strcpy(name, "vm");
}

static bool is_recipe(const char *word)
{
	static const char *const recipes[] = { "debian", "debian-12", "debian-13" };

	for (size_t i = 0; i < sizeof(recipes) / sizeof(recipes[0]); i++)
		if (!strcmp(word, recipes[i]))
			return true;
	return false;
}

static int find_named(struct bv_source *source, const char *word)
{
	struct bv_error ignored;

	if (strchr(word, '/') || bv_name_check(word, "an image", &ignored))
		return -1;
	source->path = bv_path("%s/images/%s", bv_places()->data, word);
	snprintf(source->name, sizeof(source->name), "%s", word);
	if (bv_file_exists(bv_path("%s/image.json", source->path.text).text))
		source->kind = BV_SOURCE_IMAGE;
	else if (is_recipe(word))
		source->kind = BV_SOURCE_RECIPE;
	else
		return -1;
	return 0;
}

int bv_source_find(struct bv_source *source, const char *word, struct bv_error *error)
{
	char *absolute;

	memset(source, 0, sizeof(*source));
	if (!find_named(source, word))
		return 0;
	absolute = realpath(word, NULL);
	if (!absolute) {
		bv_error_errno(error, "'%s' is neither an image nor a file", word);
		if (errno == ENOENT)
			error->status = BV_UNKNOWN;
		return bv_error_advise(error, "'bv image list' shows the images; 'bv run debian' "
					      "makes one.");
	}
	source->path = bv_path("%s", absolute);
	free(absolute);
	name_after(source->name, source->path.text);
	return bv_source_examine(source->path.text, &source->kind, error);
}
