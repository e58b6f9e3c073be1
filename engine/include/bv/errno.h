/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Error numbers that the engine and the fronts return, negated. The values are those of Linux on
 * x86, which Xen's ABI uses too; the names carry a prefix because OS headers are included beside
 * this one.
 */
#ifndef BV_ERRNO_H
#define BV_ERRNO_H

enum bv_errno {
	BV_EPERM = 1,
	BV_ENOENT = 2,
	BV_EINTR = 4,
	BV_EIO = 5,
	BV_ENXIO = 6,
	BV_E2BIG = 7,
	BV_EBADF = 9,
	BV_EAGAIN = 11,
	BV_ENOMEM = 12,
	BV_EACCES = 13,
	BV_EFAULT = 14,
	BV_EBUSY = 16,
	BV_EEXIST = 17,
	BV_ENODEV = 19,
	BV_EINVAL = 22,
	BV_ENOTTY = 25,
	BV_ENOSPC = 28,
	BV_ERANGE = 34,
	BV_ENOSYS = 38,
	BV_EOPNOTSUPP = 95,
};

#endif
