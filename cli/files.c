// SPDX-License-Identifier: GPL-2.0-or-later
/* Files that must not be lost; see files.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/files.h"

#define COPY_CHUNK (1 << 20)
#define COPY_BLOCK (64 << 10) /* of zeroes, left out */
#define LOCK_PAUSE_NS 20000000

struct bv_path bv_path(const char *format, ...)
{
	struct bv_path path;
	va_list list;
	int size;

	va_start(list, format);
	size = vsnprintf(path.text, sizeof(path.text), format, list);
	va_end(list);
	if (size < 0 || (size_t)size >= sizeof(path.text))
		path.text[0] = 0;
	return path;
}

/* Reads until the end or until the buffer is full; the count, or -1. */
static ssize_t read_all(int fd, char *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = read(fd, data + done, size - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		done += got;
	}
	return done;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t got = write(fd, data, size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		data += got;
		size -= got;
	}
	return 0;
}

static char *read_open(int fd, const char *path, size_t most, size_t *size, struct bv_error *error)
{
	struct stat stat;
	ssize_t got;
	char *data;

	if (fstat(fd, &stat)) {
		bv_error_errno(error, "cannot look at %s", path);
		return NULL;
	}
	if (!S_ISREG(stat.st_mode)) {
		bv_error_set(error, BV_USAGE, "%s is not a plain file", path);
		return NULL;
	}
	/* Its size may change under us: one byte more than allowed tells. */
	data = malloc(most + 2);
	got = data ? read_all(fd, data, most + 1) : -1;
	if (got < 0) {
		bv_error_errno(error, "cannot read %s", path);
	} else if ((size_t)got > most) {
		bv_error_set(error, BV_USAGE, "%s has more than %zu bytes", path, most);
	} else {
		data[got] = 0;
		if (size)
			*size = got;
		return data;
	}
	free(data);
	return NULL;
}

char *bv_file_read(const char *path, size_t most, size_t *size, struct bv_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *data;

	if (fd < 0) {
		bv_error_errno(error, "cannot open %s", path);
		if (errno == ENOENT)
			error->status = BV_UNKNOWN;
		return NULL;
	}
	data = read_open(fd, path, most, size, error);
	close(fd);
	return data;
}

int bv_dir_sync(const char *path, struct bv_error *error)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int status = fd < 0 ? -1 : fsync(fd);

	/* A few file systems cannot sync a directory; what they can do is done then. */
	if (status && errno != EINVAL)
		bv_error_errno(error, "cannot bring the directory %s to the disk", path);
	else
		status = 0;
	if (fd >= 0)
		close(fd);
	return status;
}

static int sync_parent(const char *path, struct bv_error *error)
{
	struct bv_path dir = bv_path("%s", path);
	char *slash = strrchr(dir.text, '/');

	if (!slash)
		return bv_dir_sync(".", error);
	slash[slash == dir.text] = 0;
	return bv_dir_sync(dir.text, error);
}

/* Fills the new file and brings it to the disk. */
static int write_new(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int status, number;

	if (fd < 0)
		return -1;
	status = write_all(fd, data, size) || fsync(fd) ? -1 : 0;
	number = errno;
	if (close(fd) && !status)
		return -1;
	errno = number;
	return status;
}

int bv_file_write(const char *path, const void *data, size_t size, struct bv_error *error)
{
	struct bv_path fresh = bv_path("%s.new.%d", path, (int)getpid());

	if (write_new(fresh.text, data, size) || rename(fresh.text, path)) {
		bv_error_errno(error, "cannot write %s", path);
		unlink(fresh.text);
		return -1;
	}
	return sync_parent(path, error);
}

int bv_file_append(const char *path, const void *data, size_t size, struct bv_error *error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	int status = fd < 0 || write_all(fd, data, size) || fdatasync(fd) ? -1 : 0;

	if (status)
		bv_error_errno(error, "cannot add to %s", path);
	if (fd >= 0)
		close(fd);
	return status;
}

int bv_dir_make(const char *path, struct bv_error *error)
{
	struct bv_path part = bv_path("%s", path);
	struct stat stat_now;

	for (char *at = part.text + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = 0;
		mkdir(part.text, 0700);
		*at = '/';
	}
	if (mkdir(path, 0700) && errno != EEXIST)
		return bv_error_errno(error, "cannot make the directory %s", path);
	if (stat(path, &stat_now) || !S_ISDIR(stat_now.st_mode))
		return bv_error_set(error, BV_FAILED, "%s is in the way: it is no directory", path);
	return 0;
}

static int delete_at(int dir, const char *name, int depth);

static int delete_inside(int dir, const char *name, int depth)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int status = 0;

	if (!list) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (!status && (entry = readdir(list)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			status = delete_at(fd, entry->d_name, depth);
	closedir(list);
	return status;
}

/* Directories are only a few deep here; a deeper one is not ours and stays, with what holds it. */
static int delete_at(int dir, const char *name, int depth)
{
	if (!unlinkat(dir, name, 0) || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	if (depth > 8) {
		errno = ELOOP;
		return -1;
	}
	if (delete_inside(dir, name, depth + 1))
		return -1;
	return unlinkat(dir, name, AT_REMOVEDIR);
}

int bv_dir_delete(const char *path, struct bv_error *error)
{
	if (delete_at(AT_FDCWD, path, 0))
		return bv_error_errno(error, "cannot delete %s", path);
	return 0;
}

/* Locks are on files that may be deleted (with their VM) by who held them before: a lock on a
 * file that has no name any more, or another's name, is none. */
static bool lock_is_current(int fd, const char *path)
{
	struct stat held, named;

	return !fstat(fd, &held) && !stat(path, &named) && held.st_ino == named.st_ino &&
	       held.st_dev == named.st_dev;
}

/* Locks are of the open file, not of the process: a child that inherits the descriptor holds it
 * on. */
static const struct flock whole_file = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

/* The descriptor, -1 with errno. EAGAIN: another has it. */
static int lock_try(const char *path)
{
	for (;;) {
		struct flock lock = whole_file;
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		int number = 0;

		if (fd < 0)
			return -1;
		if (fcntl(fd, F_OFD_SETLK, &lock))
			number = errno == EACCES ? EAGAIN : errno;
		else if (lock_is_current(fd, path))
			return fd;
		close(fd);
		errno = number;
		if (number)
			return -1;
	}
}

int bv_lock_take(const char *path, int wait_s, const char *what, struct bv_error *error)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
	struct timespec now;
	time_t end;
	int fd;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec + wait_s;
	while ((fd = lock_try(path)) < 0 && errno == EAGAIN && now.tv_sec < end) {
		nanosleep(&pause, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
	if (fd >= 0)
		return fd;
	if (errno != EAGAIN)
		return bv_error_errno(error, "cannot lock %s", path);
	return bv_error_set(error, BV_BUSY, "%s", what);
}

bool bv_lock_is_taken(const char *path)
{
	struct flock lock = whole_file;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool taken;

	if (fd < 0)
		return false;
	taken = !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
	close(fd);
	return taken;
}

bool bv_file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

uint64_t bv_file_allocated(const char *path)
{
	struct stat stat_now;

	return stat(path, &stat_now) ? 0 : (uint64_t)stat_now.st_blocks * 512;
}

static bool is_zero(const char *data, size_t size)
{
	return size && !data[0] && !memcmp(data, data + 1, size - 1);
}

/* Writes what is not zero: the new file is a hole to begin with. */
static int write_sparse(int out, const char *data, size_t size, off_t at)
{
	while (size) {
		size_t part = size < COPY_BLOCK ? size : COPY_BLOCK;

		if (!is_zero(data, part) && pwrite(out, data, part, at) != (ssize_t)part)
			return -1;
		data += part;
		size -= part;
		at += part;
	}
	return 0;
}

/* The bytes [from, to) of one stretch that is no hole. */
static int copy_stretch(int in, int out, char *buffer, off_t from, off_t to)
{
	while (from < to) {
		size_t want = to - from < COPY_CHUNK ? (size_t)(to - from) : COPY_CHUNK;
		ssize_t got = pread(in, buffer, want, from);

		if (got <= 0)
			return got ? -1 : 0;
		if (write_sparse(out, buffer, got, from))
			return -1;
		from += got;
	}
	return 0;
}

/* Where the data at or behind `from` begins and ends. Block devices, and some file systems,
 * know of no holes. */
static bool next_stretch(int in, off_t *from, off_t *to, off_t size)
{
	off_t data = lseek(in, *from, SEEK_DATA);

	if (data < 0 && errno == ENXIO)
		return false; /* nothing but a hole from here on */
	*from = data < 0 ? *from : data;
	*to = data < 0 ? size : lseek(in, *from, SEEK_HOLE);
	if (*to < 0)
		*to = size;
	if (*to - *from > 64 * COPY_CHUNK)
		*to = *from + 64 * COPY_CHUNK; /* so that progress is seen */
	return true;
}

static int copy_sparse(int in, int out, off_t size, bv_progress_fn *done, void *context)
{
	char *buffer = malloc(COPY_CHUNK);
	off_t from = 0, to;
	int status = 0;

	while (buffer && !status && from < size && next_stretch(in, &from, &to, size)) {
		status = copy_stretch(in, out, buffer, from, to);
		from = to;
		if (done)
			done(context, from, size);
	}
	free(buffer);
	return buffer ? status : -1;
}

static int copy_content(int in, int out, bv_progress_fn *done, void *context)
{
	off_t size = lseek(in, 0, SEEK_END);

	if (!ioctl(out, FICLONE, in))
		return fsync(out);
	if (size < 0 || ftruncate(out, size))
		return -1;
	if (copy_sparse(in, out, size, done, context))
		return -1;
	return fsync(out);
}

int bv_file_copy(const char *from, const char *to, bv_progress_fn *done, void *context,
		 struct bv_error *error)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out, status;

	if (in < 0)
		return bv_error_errno(error, "cannot open %s", from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0) {
		bv_error_errno(error, "cannot make %s", to);
		close(in);
		return -1;
	}
	status = copy_content(in, out, done, context);
	if (status) {
		bv_error_errno(error, "cannot copy %s to %s", from, to);
		unlink(to);
	}
	close(in);
	close(out);
	return status;
}
