// SPDX-License-Identifier: GPL-2.0-or-later
/* Disk files of VMs: made from images, grown, measured. See image.h. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/image.h"

/* The head of a qcow2 file: what is needed of it. Its numbers are big-endian. */
struct qcow2_head {
	uint32_t magic, version;
	uint64_t backing_offset;
	uint32_t backing_size, cluster_bits;
	uint64_t size;
};

#define QCOW2_MAGIC 0x514649fb /* "QFI" and 0xfb */

static bool read_head(const char *file, struct qcow2_head *head)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	bool good;

	if (fd < 0)
		return false;
	good = read(fd, head, sizeof(*head)) == sizeof(*head) &&
	       be32toh(head->magic) == QCOW2_MAGIC;
	close(fd);
	return good;
}

bool bv_qcow2_has_backing(const char *path)
{
	struct qcow2_head head;

	return read_head(path, &head) && head.backing_offset;
}

uint64_t bv_disk_size(const char *file, enum bv_disk_format format)
{
	struct qcow2_head head;
	uint64_t bytes = 0;
	struct stat stat_now;
	int fd;

	if (format == BV_DISK_QCOW2)
		return read_head(file, &head) ? be64toh(head.size) : 0;
	if (stat(file, &stat_now))
		return 0;
	if (S_ISREG(stat_now.st_mode))
		return stat_now.st_size;
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && ioctl(fd, BLKGETSIZE64, &bytes))
		bytes = 0;
	if (fd >= 0)
		close(fd);
	return bytes;
}

/* The machine's own disks are raw: what is in a qcow2 file is taken out of it. */
static int convert(const char *from, const char *to, struct bv_error *error)
{
	const char *arguments[] = { "qemu-img", "convert", "-f", "qcow2", "-O",
				    "raw",	from,	   to,	 NULL };

	if (!bv_tool_exists("qemu-img")) {
		bv_error_set(error, BV_FAILED, "qemu-img is missing, which unpacks %s", from);
		return bv_error_advise(error, "apt install qemu-utils");
	}
	if (!bv_tool_run(arguments, NULL))
		return 0;
	unlink(to);
	return bv_error_set(error, BV_FAILED, "qemu-img could not unpack %s", from);
}

int bv_disk_from(const struct bv_call *call, const char *from, enum bv_disk_format format,
		 const char *directory, struct bv_disk *disk, struct bv_error *error)
{
	struct bv_path to = bv_path("%s/disk0.raw", directory);
	struct bv_progress progress;
	int status;

	strcpy(disk->file, "disk0.raw");
	disk->format = BV_DISK_RAW;
	if (format == BV_DISK_QCOW2)
		return convert(from, to.text, error);
	bv_progress_begin(&progress, call, "copying the disk");
	status = bv_file_copy(from, to.text, bv_progress_bytes, &progress, error);
	bv_progress_end(&progress);
	return status;
}

int bv_disk_grow(const char *file, enum bv_disk_format format, uint64_t size,
		 struct bv_error *error)
{
	uint64_t now = bv_disk_size(file, format);
	char words[32], has[24], wanted[24];
	const char *arguments[] = { "qemu-img", "resize", "-q", "-f", "qcow2", file, words, NULL };

	bv_size_format(now, has);
	bv_size_format(size, wanted);
	if (size < now)
		return bv_error_set(error, BV_USAGE,
				    "the disk has %s already; it cannot shrink to %s", has, wanted);
	if (format == BV_DISK_RAW && truncate(file, size))
		return bv_error_errno(error, "cannot grow %s", file);
	snprintf(words, sizeof(words), "%" PRIu64, size);
	if (format == BV_DISK_QCOW2 && bv_tool_run(arguments, NULL))
		return bv_error_set(error, BV_FAILED, "qemu-img could not grow %s", file);
	return 0;
}
