/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What went wrong, in words: what a function of cli/ hands back beside -1. The words say which
 * argument broke which rule; the advice, where there is one, what to do about it. The code is what
 * `bv` exits with.
 */
#ifndef CLI_ERROR_H
#define CLI_ERROR_H

/* Exit codes: part of the interface, see bv(1). None ever changes its meaning. */
enum bv_status {
	BV_OK = 0,
	BV_FAILED = 1, /* an operation failed: I/O, memory, a helper */
	BV_USAGE = 2, /* the command line or a definition breaks a rule */
	BV_UNKNOWN = 3, /* no such VM, image or snapshot */
	BV_EXISTS = 4, /* there is one of that name already */
	BV_STATE = 5, /* not possible while the VM runs, or while it does not */
	BV_NO_VIRT = 6, /* this machine cannot run guests now */
	BV_DENIED = 7, /* no permission */
	BV_BUSY = 8, /* another command works on it, or something still uses it */
	BV_ENDED = 9, /* the VM started, but ended by a failure */
};

struct bv_error {
	enum bv_status status;
	char text[1024];
	char advice[512];
};

/* Fills in the error and returns -1, so that a caller can return it. */
int bv_error_set(struct bv_error *error, enum bv_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int bv_error_advise(struct bv_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same for a failed system call: appends errno's words, chooses the status by it, and gives
 * advice for the errors that a user can do something about. */
int bv_error_errno(struct bv_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The word for a status in JSON: "usage", "unknown" and so on. */
const char *bv_status_word(enum bv_status status);

#endif
