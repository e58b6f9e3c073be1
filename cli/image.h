/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images: disks that VMs are made from, each a directory in the data place with `image.json`, the
 * disk, and where it is entered without firmware, `vmlinuz` and `initrd.img`. Images are never
 * written to once they are there.
 */
#ifndef CLI_IMAGE_H
#define CLI_IMAGE_H

#include <jansson.h>

#include "cli/command.h"
#include "cli/definition.h"
#include "cli/files.h"
#include "cli/out.h"

struct bv_image {
	char name[BV_NAME_MAX + 1];
	struct bv_path directory, disk;
	enum bv_disk_format format;
	enum bv_firmware firmware;
	bool kernel; /* vmlinuz lies beside it; initrd: initrd.img too */
	bool initrd;
	char append[BV_APPEND_MAX];
	char login[128]; /* how to log in, for people */
	char from[256];
	double made_at;
	uint64_t size; /* what the guest sees */
};

/* What a file or directory is, by a look into it. */
enum bv_source_kind {
	BV_SOURCE_IMAGE, /* in the store */
	BV_SOURCE_RECIPE, /* can be built: debian */
	BV_SOURCE_RAW,
	BV_SOURCE_QCOW2,
	BV_SOURCE_ISO,
	BV_SOURCE_KERNEL,
	BV_SOURCE_TREE, /* a directory with a root file system */
	BV_SOURCE_TAR,
};

struct bv_source {
	enum bv_source_kind kind;
	char name[BV_NAME_MAX + 1]; /* for what is made from it */
	struct bv_path path; /* absolute */
};

int bv_source_find(struct bv_source *source, const char *word, struct bv_error *error);
/* What a file is; -1 if it is nothing that a VM can be made from. */
int bv_source_examine(const char *path, enum bv_source_kind *kind, struct bv_error *error);
/* Whether a qcow2 file needs another file below it. */
bool bv_qcow2_has_backing(const char *path);

int bv_image_open(struct bv_image *image, const char *name, struct bv_error *error);
/* Builds an image from packages, a directory or a tar file; takes minutes, shows progress. */
int bv_image_build(const struct bv_call *call, const char *name, const struct bv_source *source,
		   const char *const *arguments, struct bv_error *error);
int bv_image_import(const struct bv_call *call, const char *name, const struct bv_source *source,
		    struct bv_error *error);
int bv_image_delete(const char *name, struct bv_error *error);
char **bv_image_names(unsigned int *count);
json_t *bv_image_json(const struct bv_image *image);
const char *bv_firmware_word(enum bv_firmware firmware);

/* Gives a new VM's directory the image's disk: blocks are shared where the file system can; what is
 * qcow2 becomes raw. Sets the disk's file and format. */
int bv_disk_from(const struct bv_call *call, const char *from, enum bv_disk_format format,
		 const char *directory, struct bv_disk *disk, struct bv_error *error);
/* Grows a disk file; it does not shrink one. */
int bv_disk_grow(const char *file, enum bv_disk_format format, uint64_t size,
		 struct bv_error *error);
/* The size that a guest sees; 0: not known. */
uint64_t bv_disk_size(const char *file, enum bv_disk_format format);
/* Runs a program, its output to the log file (NULL: thrown away). Its status; -1: could not be
 * run. */
int bv_tool_run(const char *const *arguments, const char *log);
bool bv_tool_exists(const char *name);

#endif
