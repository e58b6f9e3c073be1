// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands at a VM's console: console, log, and the rest of run once the VM is started. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "cli/cmd_console.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/history.h"
#include "cli/launch.h"
#include "cli/out.h"

#define END_WAIT_S 20 /* from the console's end to the process's */

/* "^]", "^a", or "none" */
static int parse_escape(const struct bv_call *call, int *escape, struct bv_error *error)
{
	const char *text = bv_call_option(call, "escape");

	*escape = BV_CONSOLE_ESCAPE;
	if (!text)
		return 0;
	if (!strcmp(text, "none")) {
		*escape = 0;
		return 0;
	}
	if (text[0] != '^' || !text[1] || text[2] || toupper((unsigned char)text[1]) < '@' ||
	    toupper((unsigned char)text[1]) > '_')
		return bv_error_set(error, BV_USAGE,
				    "--escape is '%s'; it must be ^ and a letter or one of []\\^_, "
				    "or none",
				    text);
	*escape = toupper((unsigned char)text[1]) & 31;
	return 0;
}

/* The process writes its end into the history, then goes. It may run again at once, by a restore
 * or a start: what counts is the launch that the console belonged to. */
static int wait_for_end(const struct bv_vm *vm, double launched_at, struct bv_history *history,
			struct bv_error *error)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	double end = bv_now() + END_WAIT_S;
	bool alive;

	do {
		alive = bv_vm_is_alive(vm);
		if (bv_history_read_launch(vm, launched_at, history, error))
			return -1;
	} while (alive && !history->followed && bv_now() < end && !nanosleep(&pause, NULL));
	return 0;
}

static int report_end(const struct bv_call *call, const struct bv_vm *vm, double launched_at,
		      struct bv_error *error)
{
	struct bv_history history;
	struct bv_ending ending;

	if (wait_for_end(vm, launched_at, &history, error))
		return -1;
	bv_vm_tidy(vm);
	bv_history_ending(&history, &ending);
	if (ending.good) {
		bv_say(call, "\nVM '%s' has ended. %s", vm->name, ending.text);
		if (history.followed)
			bv_say(call, "It was started again since. 'bv console %s' returns to it.",
			       vm->name);
		return 0;
	}
	fputc('\n', stderr);
	bv_error_set(error, BV_ENDED, "VM '%s' has ended. %s", vm->name, ending.text);
	return bv_error_advise(error, "%s", ending.advice);
}

int bv_console_session(struct bv_call *call, const struct bv_vm *vm, bool leave_at_end,
		       enum bv_console_end *end, struct bv_error *error)
{
	struct bv_history before;
	int escape;

	if (parse_escape(call, &escape, error) || bv_history_read(vm, &before, error))
		return -1;
	if (isatty(STDIN_FILENO) && escape)
		bv_say(call,
		       "You are at the console of VM '%s'. To leave it: Ctrl-%c; the VM runs "
		       "on.\n",
		       vm->name, escape | 64);
	if (bv_console_attach(vm, escape, leave_at_end, end, error))
		return -1;
	if (*end == BV_CONSOLE_ENDED)
		return report_end(call, vm, before.launched_at, error);
	bv_say(call, "\nVM '%s' runs on. 'bv console %s' returns to it, 'bv stop %s' ends it.",
	       vm->name, vm->name, vm->name);
	return 0;
}

int bv_cmd_console(struct bv_call *call, struct bv_error *error)
{
	enum bv_console_end end;
	struct bv_vm vm;
	int status = -1;

	if (!bv_vm_open(&vm, call->operands[0], BV_VM_LOOK_BROKEN, error))
		status = bv_console_session(call, &vm, false, &end, error);
	bv_vm_close(&vm);
	return status;
}

/* --- log ------------------------------------------------------------------------------------- */

/* Prints from the place on; the new place, or -1. */
static off_t print_from(int fd, off_t from)
{
	char data[65536];
	ssize_t got;

	while ((got = pread(fd, data, sizeof(data), from)) > 0) {
		if (fwrite(data, 1, got, stdout) != (size_t)got)
			return -1;
		from += got;
	}
	return fflush(stdout) ? -1 : from;
}

/* Until the VM ends: the file is looked at whenever it changes, and now and then for the VM's
 * end. */
static int follow(const struct bv_vm *vm, const char *path, int fd, off_t from,
		  struct bv_error *error)
{
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct pollfd wait = { .fd = watch, .events = POLLIN };
	char events[4096];
	bool alive = true;

	if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY) < 0) {
		bv_error_errno(error, "cannot watch %s", path);
		alive = false;
	}
	while (alive && from >= 0) {
		alive = bv_vm_is_alive(vm);
		from = print_from(fd, from);
		if (alive && poll(&wait, 1, 500) > 0 && read(watch, events, sizeof(events)) < 0)
			break;
	}
	if (watch >= 0)
		close(watch);
	return error->text[0] ? -1 : 0;
}

/* Where the last lines begin. */
static off_t last_lines(int fd, long lines)
{
	off_t end = lseek(fd, 0, SEEK_END), at = end;
	char data[4096];

	while (at > 0) {
		size_t want = at < (off_t)sizeof(data) ? (size_t)at : sizeof(data);

		if (pread(fd, data, want, at - want) != (ssize_t)want)
			return 0;
		for (size_t i = want; i-- > 0;)
			if (data[i] == '\n' && at - (off_t)(want - i) != end - 1 && !--lines)
				return at - (want - i) + 1;
		at -= want;
		if (end - at > (64 << 20))
			break;
	}
	return at > 0 ? at : 0;
}

static const char *log_file(const struct bv_call *call)
{
	if (bv_call_option(call, "events"))
		return "history";
	if (bv_call_option(call, "process"))
		return "bv.log";
	return bv_call_option(call, "previous") ? "console.log.1" : "console.log";
}

static int log_json(struct bv_path path, struct bv_error *error)
{
	size_t size;
	char *text = bv_file_read(path.text, 256 << 20, &size, error);
	json_t *said;

	if (!text)
		return -1;
	/* JSON is text, a console need not be: other bytes become question marks. */
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] >= 0x80 || !text[i])
			text[i] = '?';
	said = json_stringn(text, size);
	free(text);
	return bv_json_out(json_pack("{s:s, s:o}", "file", path.text, "text", said), error);
}

static int log_print(struct bv_call *call, const struct bv_vm *vm, struct bv_error *error)
{
	struct bv_path path = bv_vm_file(vm, log_file(call));
	long lines;
	off_t at = 0;
	int fd;

	if (bv_call_number(call, "lines", 0, 1, 1000000, &lines, error))
		return -1;
	fd = open(path.text, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		bv_error_set(error, BV_UNKNOWN, "VM '%s' has no such log yet", vm->name);
		return bv_error_advise(error, "It begins when the VM is started: bv start %s",
				       vm->name);
	}
	if (lines)
		at = last_lines(fd, lines);
	at = print_from(fd, at);
	error->text[0] = 0;
	if (at < 0)
		bv_error_errno(error, "cannot write the log");
	else if (bv_call_option(call, "follow"))
		follow(vm, path.text, fd, at, error);
	close(fd);
	return error->text[0] ? -1 : 0;
}

int bv_cmd_log(struct bv_call *call, struct bv_error *error)
{
	struct bv_vm vm;
	int status = -1;

	if (!bv_vm_open(&vm, call->operands[0], BV_VM_LOOK_BROKEN, error))
		status = call->json ? log_json(bv_vm_file(&vm, log_file(call)), error) :
				      log_print(call, &vm, error);
	bv_vm_close(&vm);
	return status;
}
