// SPDX-License-Identifier: GPL-2.0-or-later
/* Errors in words; see error.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/error.h"

static const char *const words[] = {
	[BV_OK] = "ok",		  [BV_FAILED] = "failed", [BV_USAGE] = "usage",
	[BV_UNKNOWN] = "unknown", [BV_EXISTS] = "exists", [BV_STATE] = "state",
	[BV_NO_VIRT] = "no-virt", [BV_DENIED] = "denied", [BV_BUSY] = "busy",
	[BV_ENDED] = "ended",
};

/* What errno values mean to a user: which status, and what to do. */
static const struct {
	int number;
	enum bv_status status;
	const char *advice;
} meanings[] = {
	{ EACCES, BV_DENIED, NULL },
	{ EPERM, BV_DENIED, NULL },
	{ EROFS, BV_DENIED, "The file system is mounted read-only." },
	{ ENOSPC, BV_FAILED, "The disk is full; nothing was changed. 'df -h' shows which." },
	{ EDQUOT, BV_FAILED, "Your disk quota is used up; nothing was changed." },
	{ EMFILE, BV_FAILED, "Raise the limit of open files: ulimit -n 4096." },
};

const char *bv_status_word(enum bv_status status)
{
	return words[status];
}

int bv_error_set(struct bv_error *error, enum bv_status status, const char *format, ...)
{
	va_list list;

	error->status = status;
	error->advice[0] = 0;
	va_start(list, format);
	vsnprintf(error->text, sizeof(error->text), format, list);
	va_end(list);
	return -1;
}

int bv_error_advise(struct bv_error *error, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(error->advice, sizeof(error->advice), format, list);
	va_end(list);
	return -1;
}

int bv_error_errno(struct bv_error *error, const char *format, ...)
{
	int number = errno;
	size_t used;
	va_list list;

	error->status = BV_FAILED;
	error->advice[0] = 0;
	va_start(list, format);
	vsnprintf(error->text, sizeof(error->text), format, list);
	va_end(list);
	used = strlen(error->text);
	snprintf(error->text + used, sizeof(error->text) - used, ": %s", strerror(number));
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].number != number)
			continue;
		error->status = meanings[i].status;
		if (meanings[i].advice)
			bv_error_advise(error, "%s", meanings[i].advice);
	}
	return -1;
}
