/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that must not be lost: read whole with a bound, written whole or not at all, locked by the
 * kernel (so that no lock outlives its holder). Functions return 0, or -1 with the error filled
 * in, unless they say otherwise.
 */
#ifndef CLI_FILES_H
#define CLI_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/error.h"

/* A path put together. Paths that do not fit come out cut and unusable: "" . */
struct bv_path {
	char text[PATH_MAX];
};

struct bv_path bv_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The whole file, with a zero behind it, to be freed; *size may be NULL. A file of more than
 * `most` bytes, or what is no plain file, is refused. */
char *bv_file_read(const char *path, size_t most, size_t *size, struct bv_error *error);

/* Replaces the file: a new one is written beside it, brought to the disk, then renamed. On an
 * error the old one stays as it was. */
int bv_file_write(const char *path, const void *data, size_t size, struct bv_error *error);

/* Adds to the end of the file in one write, and brings it to the disk. */
int bv_file_append(const char *path, const void *data, size_t size, struct bv_error *error);

/* The directory with those above it; new ones are for the user alone. */
int bv_dir_make(const char *path, struct bv_error *error);
/* Deletes it with all it holds; links are not followed. No error if it is not there. */
int bv_dir_delete(const char *path, struct bv_error *error);
/* Brings a directory's names to the disk. */
int bv_dir_sync(const char *path, struct bv_error *error);

/* An exclusive lock on a file that is made if need be: its descriptor, which is not inherited
 * over exec; closing it unlocks. -1 with status BV_BUSY if another has it; `wait_s` is for how
 * long to wait for that one. */
int bv_lock_take(const char *path, int wait_s, const char *what, struct bv_error *error);
/* Whether someone holds it. */
bool bv_lock_is_taken(const char *path);

bool bv_file_exists(const char *path);
/* What the file takes up on the disk, in bytes; 0 if there is none. */
uint64_t bv_file_allocated(const char *path);

/* Copies a file's content into a new file, sharing blocks where the file system can, and
 * leaving holes where the source has them. `done` is told how many bytes of how many are
 * through; it may be NULL. */
typedef void bv_progress_fn(void *context, uint64_t done, uint64_t total);
int bv_file_copy(const char *from, const char *to, bv_progress_fn *done, void *context,
		 struct bv_error *error);

#endif
