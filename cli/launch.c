// SPDX-License-Identifier: GPL-2.0-or-later
/* Starting a VM's process; see launch.h. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/history.h"
#include "cli/host.h"
#include "cli/launch.h"
#include "cli/out.h"
#include "cli/places.h"
#include "vmm/vmm.h"

#define ALIVE_WAIT_S 3 /* for a process that is just ending */

int bv_host_check(bool force, struct bv_error *error)
{
	struct bv_host host;

	bv_host_look(&host);
	if (force || !host.trouble)
		return 0;
	bv_error_set(error, BV_NO_VIRT, "this machine cannot run guests now: %s", host.why);
	return bv_error_advise(error, "%s%s%s", host.advice, host.advice[0] ? " " : "",
			       BV_HOST_OTHERWISE);
}

/* --- before the start ------------------------------------------------------------------------ */

/* A file of the definition that must be there; what the VM's process would say is later and of
 * less help. */
static int check_file(const struct bv_vm *vm, const char *key, const char *file, int mode,
		      struct bv_error *error)
{
	struct bv_path path;

	if (!file[0])
		return 0;
	path = bv_vm_resolve(vm, file);
	if (!access(path.text, mode))
		return 0;
	bv_error_errno(error, "%s of VM '%s', %s, cannot be used", key, vm->name, path.text);
	if (error->advice[0])
		return -1;
	if (!access(path.text, F_OK))
		return bv_error_advise(error, "Its owner can allow it: chown, chmod%s.",
				       mode & W_OK ? "; or make the disk read-only: bv set" : "");
	return bv_error_advise(error, "'bv set %s %s=FILE' names another one.", vm->name, key);
}

static int check_files(const struct bv_vm *vm, struct bv_error *error)
{
	const struct bv_definition *definition = &vm->definition;
	char key[32];

	if (check_file(vm, "kernel", definition->kernel, R_OK, error) ||
	    check_file(vm, "initrd", definition->initrd, R_OK, error) ||
	    check_file(vm, "firmware-file", definition->firmware_file, R_OK, error))
		return -1;
	for (unsigned int i = 0; i < definition->disks_count; i++) {
		const struct bv_disk *disk = &definition->disks[i];

		snprintf(key, sizeof(key), "disk%u.file", i);
		if (check_file(vm, key, disk->file, disk->read_only ? R_OK : R_OK | W_OK, error))
			return -1;
	}
	for (unsigned int i = 0; i < definition->shares_count; i++) {
		snprintf(key, sizeof(key), "share%u.directory", i);
		if (check_file(vm, key, definition->shares[i].directory, R_OK | X_OK, error))
			return -1;
	}
	return 0;
}

static int check_firmware(const struct bv_vm *vm, struct bv_error *error)
{
	enum bv_firmware firmware = vm->definition.firmware;

	if (firmware == BV_FIRMWARE_NONE || vm->definition.firmware_file[0] ||
	    bv_firmware_find(firmware, NULL))
		return 0;
	bv_error_set(error, BV_FAILED, "the firmware that VM '%s' starts with is not installed",
		     vm->name);
	return bv_error_advise(error, "apt install %s", bv_firmware_package(firmware));
}

/* The last run's console stays for a look back. */
static int prepare_files(const struct bv_vm *vm, struct bv_error *error)
{
	struct bv_path log = bv_vm_file(vm, "console.log");

	bv_history_trim(vm);
	if (rename(log.text, bv_path("%s.1", log.text).text) && errno != ENOENT)
		return bv_error_errno(error, "cannot put %s aside", log.text);
	bv_vm_sweep(vm);
	return bv_dir_make(vm->run.text, error);
}

static int note_launch(const struct bv_vm *vm, const struct bv_launch *how, struct bv_error *error)
{
	char boot[40];

	bv_boot_id(boot);
	return bv_history_add(vm,
			      json_pack("{s:s, s:s, s:b}", "event", "launch", "boot", boot,
					"restored", how->restore != NULL),
			      error);
}

/* --- the process ----------------------------------------------------------------------------- */

/* In the child: it has its own session, no input, and a log for what it says. */
static void become_process(const struct bv_vm *vm, const struct bv_launch *how, int alive)
{
	const char *arguments[12] = { "bv", "vm-process", vm->name, "--alive" };
	struct bv_path log = bv_vm_file(vm, "bv.log");
	unsigned int count = 4;
	char number[12];
	int null, out;

	snprintf(number, sizeof(number), "%d", alive);
	arguments[count++] = number;
	if (how->restore) {
		arguments[count++] = "--restore";
		arguments[count++] = how->restore;
	}
	if (how->paused)
		arguments[count++] = "--paused";
	if (how->gdb)
		arguments[count++] = "--gdb";
	setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	out = open(log.text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (null < 0 || out < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
	    fcntl(alive, F_SETFD, 0) || chdir("/"))
		_exit(125);
	execv("/proc/self/exe",
	      (char **)arguments); /* this program, even if it was replaced since */
	_exit(126);
}

/* What the process said before it could write history: its log's first lines. */
static void explain_silent_end(const struct bv_vm *vm, int status, struct bv_error *error)
{
	struct bv_error ignored;
	char *text = bv_file_read(bv_vm_file(vm, "bv.log").text, 1 << 20, NULL, &ignored);
	char plain[600] = "";

	if (text)
		bv_plain(text, plain, sizeof(plain));
	free(text);
	if (WIFSIGNALED(status))
		bv_error_set(error, BV_FAILED, "VM '%s' was ended by signal %d (%s) before it ran",
			     vm->name, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		bv_error_set(error, BV_FAILED, "VM '%s' ended before it ran, with status %d: %s",
			     vm->name, WEXITSTATUS(status), plain);
}

/* The VM's own refusal; where it is the machine's fault, that is another status. */
static int explain_end(const struct bv_history *history, const struct bv_vm *vm,
		       struct bv_error *error)
{
	struct vmm_host host;

	bv_error_set(error, BV_FAILED, "VM '%s' did not start: %s", vm->name, history->why);
	bv_error_advise(error, "%s", history->hint);
	if (strcmp(history->kind, "refused") || vmm_host_probe(&host))
		return -1;
	bv_error_set(error, BV_NO_VIRT, "this machine cannot run guests now: %s", host.why);
	return bv_error_advise(error, "%s%s%s", host.hint, host.hint[0] ? " " : "",
			       BV_HOST_OTHERWISE);
}

/* Returns 1 while it is not settled whether the VM runs. */
static int look_at_start(const struct bv_vm *vm, pid_t child, struct bv_error *error)
{
	struct bv_history history;
	int status, over = waitpid(child, &status, WNOHANG) == child;

	if (bv_history_read(vm, &history, error))
		return -1;
	if (history.ended && !history.started)
		return explain_end(&history, vm, error);
	if (history.started)
		return 0;
	if (!over)
		return 1;
	explain_silent_end(vm, status, error);
	return -1;
}

/* A change of the history, or the child's end, wakes us. */
static int wait_for_start(const struct bv_vm *vm, pid_t child, int watch, struct bv_error *error)
{
	struct pollfd waits[2] = { { .fd = watch, .events = POLLIN },
				   { .fd = pidfd_open(child, 0), .events = POLLIN } };
	char events[4096];
	int status;

	while ((status = look_at_start(vm, child, error)) > 0) {
		if (poll(waits, 2, -1) < 0 && errno != EINTR) {
			status = bv_error_errno(error, "cannot wait for the VM");
			break;
		}
		if (waits[0].revents & POLLIN && read(watch, events, sizeof(events)) < 0)
			break;
	}
	close(waits[1].fd);
	return status;
}

static int start_process(const struct bv_vm *vm, const struct bv_launch *how, int alive,
			 struct bv_error *error)
{
	int watch = inotify_init1(IN_CLOEXEC), status = -1;
	pid_t child;

	if (watch < 0 || inotify_add_watch(watch, bv_vm_file(vm, "history").text, IN_MODIFY) < 0) {
		bv_error_errno(error, "cannot watch the history");
	} else {
		child = fork();
		if (!child)
			become_process(vm, how, alive);
		close(alive); /* the child has it now */
		alive = -1;
		if (child < 0)
			bv_error_errno(error, "cannot start a process");
		else
			status = wait_for_start(vm, child, watch, error);
	}
	if (alive >= 0)
		close(alive);
	if (watch >= 0)
		close(watch);
	return status;
}

/* The VM's lock to live. A process that has said its last word is waited for; one that runs on
 * is not. */
static int take_life(const struct bv_vm *vm, struct bv_error *error)
{
	struct bv_history history;
	char words[128];
	int alive, wait = ALIVE_WAIT_S;

	snprintf(words, sizeof(words), "VM '%s' runs already", vm->name);
	if (bv_history_read(vm, &history, error))
		return -1;
	if (history.started && !history.ended)
		wait = 0;
	alive = bv_lock_take(bv_vm_file(vm, "alive").text, wait, words, error);
	if (alive < 0 && error->status == BV_BUSY)
		error->status = BV_STATE;
	return alive;
}

static int launch(struct bv_vm *vm, const struct bv_launch *how, struct bv_error *error)
{
	int alive = take_life(vm, error);

	if (alive < 0)
		return -1;
	if (bv_host_check(how->force, error) || check_firmware(vm, error) ||
	    check_files(vm, error) || prepare_files(vm, error) || note_launch(vm, how, error)) {
		close(alive);
		return -1;
	}
	return start_process(vm, how, alive, error);
}

int bv_launch(struct bv_vm *vm, const struct bv_launch *how, struct bv_error *error)
{
	if (!launch(vm, how, error))
		return 0;
	if (error->status != BV_STATE)
		bv_history_refused(vm, how->restore ? "restore" : "start", error);
	return -1;
}

/* --- its end --------------------------------------------------------------------------------- */

int bv_process_handle(const struct bv_control *control)
{
	return control->pid > 0 ? pidfd_open(control->pid, 0) : -1;
}

/* Whether the process has the file open. */
static bool has_open(const char *process, const struct stat *file)
{
	struct bv_path path = bv_path("/proc/%s/fd", process);
	DIR *list = opendir(path.text);
	struct dirent *entry;
	struct stat found;
	bool has = false;

	while (list && !has && (entry = readdir(list)))
		has = !stat(bv_path("%s/%s", path.text, entry->d_name).text, &found) &&
		      found.st_dev == file->st_dev && found.st_ino == file->st_ino;
	if (list)
		closedir(list);
	return has;
}

/* Whose lock it is cannot be asked; but only the VM's process keeps the file open. It is looked
 * at again once we have a handle: then the number cannot have become another's. */
int bv_process_find(const struct bv_vm *vm)
{
	DIR *list = opendir("/proc");
	struct dirent *entry;
	struct stat file;
	int handle = -1;

	if (stat(bv_vm_file(vm, "alive").text, &file)) {
		if (list)
			closedir(list);
		return -1;
	}
	while (list && handle < 0 && (entry = readdir(list))) {
		if (!isdigit((unsigned char)entry->d_name[0]) || !has_open(entry->d_name, &file))
			continue;
		handle = pidfd_open(atoi(entry->d_name), 0);
		if (handle >= 0 && !has_open(entry->d_name, &file)) {
			close(handle);
			handle = -1;
		}
	}
	if (list)
		closedir(list);
	return handle;
}

bool bv_process_wait(int handle, double seconds)
{
	struct pollfd wait = { .fd = handle, .events = POLLIN };
	double end = bv_now() + seconds, left;

	if (handle < 0)
		return true;
	while ((left = end - bv_now()) > 0)
		if (poll(&wait, 1, left > 3600 ? 3600000 : (int)(left * 1000) + 1) > 0)
			return true;
	return poll(&wait, 1, 0) > 0;
}
