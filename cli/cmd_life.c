// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands of a VM's life: start, stop, shutdown, reboot, kill, pause, resume. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/history.h"
#include "cli/launch.h"
#include "cli/out.h"

#define QUIT_WAIT_S 15 /* for disks to be flushed */

/* A VM that runs, and its process. Without a connection there is only the process. */
struct running {
	struct bv_vm vm;
	struct bv_control control;
	int process;
};

static struct running *running_open(const char *name, struct bv_error *error)
{
	struct running *running = calloc(1, sizeof(*running));

	if (!running) {
		bv_error_set(error, BV_FAILED, "no memory");
		return NULL;
	}
	running->process = -1;
	running->control.fd = -1;
	if (bv_vm_open(&running->vm, name, BV_VM_LOOK_BROKEN, error) ||
	    bv_control_open(&running->control, &running->vm, error)) {
		bv_vm_close(&running->vm);
		free(running);
		return NULL;
	}
	running->process = bv_process_handle(&running->control);
	return running;
}

static void running_close(struct running *running)
{
	bv_control_close(&running->control);
	if (running->process >= 0)
		close(running->process);
	bv_vm_tidy(&running->vm);
	bv_vm_close(&running->vm);
	free(running);
}

static int ask(struct running *running, const char *what, struct bv_error *error)
{
	json_t *answer =
		bv_control_ask(&running->control, json_pack("{s:s}", "do", what), -1, 10, error);

	if (!answer && error->status == BV_FAILED)
		bv_history_refused(&running->vm, what, error);
	json_decref(answer);
	return answer ? 0 : -1;
}

/* Every operand in turn; the first failure is the command's, but the others are tried. */
static int for_each(struct bv_call *call, const char *state,
		    int (*act)(struct bv_call *call, const char *name, struct bv_error *error),
		    struct bv_error *error)
{
	json_t *list = json_array();
	struct bv_error one;
	int status = 0;

	for (unsigned int i = 0; i < call->operands_count; i++) {
		const char *name = call->operands[i];

		if (!act(call, name, &one)) {
			json_array_append_new(
				list, json_pack("{s:s, s:s}", "name", name, "state", state));
			continue;
		}
		if (status)
			bv_complain(false, &one);
		else
			*error = one;
		status = -1;
	}
	if (!status && call->json)
		return bv_json_out(json_pack("{s:o}", "vms", list), error);
	json_decref(list);
	return status;
}

/* --- start ----------------------------------------------------------------------------------- */

static int start_one(struct bv_call *call, const char *name, struct bv_error *error)
{
	struct bv_launch how = { .paused = bv_call_option(call, "paused"),
				 .gdb = bv_call_option(call, "gdb"),
				 .force = bv_call_option(call, "force") };
	struct bv_vm vm;
	int status = -1;

	if (!bv_vm_open(&vm, name, BV_VM_CHANGE, error))
		status = bv_launch(&vm, &how, error);
	bv_vm_close(&vm);
	if (!status)
		bv_say(call, "VM '%s' runs. 'bv console %s' takes you to it.", name, name);
	if (!status && how.gdb)
		bv_say(call, "In gdb: target remote %s", bv_vm_socket(&vm, "gdb").text);
	return status;
}

int bv_cmd_start(struct bv_call *call, struct bv_error *error)
{
	const char *paused = bv_call_option(call, "paused");

	if (for_each(call, paused ? "paused" : "running", start_one, error))
		return -1;
	if (!bv_call_option(call, "console"))
		return 0;
	return bv_cmd_console(call, error);
}

/* --- ends ------------------------------------------------------------------------------------ */

/* The last resort: its process does not even answer. */
static int kill_process(struct running *running, struct bv_error *error)
{
	if (running->process < 0)
		return 0;
	if (pidfd_send_signal(running->process, SIGKILL, NULL, 0))
		return bv_error_errno(error, "cannot end the process of VM '%s'", running->vm.name);
	if (bv_process_wait(running->process, QUIT_WAIT_S))
		return 0;
	return bv_error_set(error, BV_FAILED,
			    "the process of VM '%s' does not end: it waits in "
			    "the kernel, for a disk perhaps",
			    running->vm.name);
}

static int pull_plug(struct running *running, struct bv_error *error)
{
	struct bv_error ignored;

	if (!ask(running, "quit", &ignored) && bv_process_wait(running->process, QUIT_WAIT_S))
		return 0;
	return kill_process(running, error);
}

/* Presses the button and waits. 1: it did not end in time. */
static int press_and_wait(struct bv_call *call, struct running *running, long seconds,
			  struct bv_error *error)
{
	struct bv_progress progress;
	double end = bv_now() + seconds;
	bool over = false;
	char text[48];

	if (ask(running, "powerdown", error))
		return bv_process_wait(running->process, 0) ? 0 : -1;
	bv_progress_begin(&progress, call, "waiting for the guest to shut down");
	while (!over && bv_now() < end) {
		double left = end - bv_now();

		over = bv_process_wait(running->process, left < 0.5 ? left : 0.5);
		snprintf(text, sizeof(text), "%.0f s left", left);
		bv_progress_show(&progress, 100 - left * 100 / seconds, text);
	}
	bv_progress_end(&progress);
	return over || bv_process_wait(running->process, 0) ? 0 : 1;
}

static int fail_no_shutdown(const struct running *running, long seconds, struct bv_error *error)
{
	bv_error_set(error, BV_BUSY, "VM '%s' has not shut down in %ld s; it runs on",
		     running->vm.name, seconds);
	bv_error_advise(error, "'bv stop %s' or 'bv kill %s' pulls its plug.", running->vm.name,
			running->vm.name);
	bv_history_refused(&running->vm, "shutdown", error);
	return -1;
}

/* A paused guest hears no button. */
static int wake(struct running *running, struct bv_error *error)
{
	return ask(running, "resume", error);
}

static int shutdown_one(struct bv_call *call, const char *name, struct bv_error *error)
{
	struct running *running;
	int status = -1;
	long seconds;

	if (bv_call_number(call, "timeout", 90, 0, 86400, &seconds, error))
		return -1;
	running = running_open(name, error);
	if (!running)
		return -1;
	if (!wake(running, error))
		status = press_and_wait(call, running, seconds, error);
	if (status > 0)
		status = seconds ? fail_no_shutdown(running, seconds, error) : 0;
	running_close(running);
	return status;
}

int bv_cmd_shutdown(struct bv_call *call, struct bv_error *error)
{
	return for_each(call, "stopped", shutdown_one, error);
}

static int stop_one(struct bv_call *call, const char *name, struct bv_error *error)
{
	struct running *running;
	int status;
	long seconds;

	if (bv_call_number(call, "timeout", 30, 0, 86400, &seconds, error))
		return -1;
	running = running_open(name, error);
	if (!running)
		return -1;
	status = seconds && !wake(running, error) ? press_and_wait(call, running, seconds, error) :
						    1;
	if (status > 0 && seconds)
		bv_say(call, "VM '%s' has not shut down in %ld s; its plug is pulled.", name,
		       seconds);
	if (status)
		status = pull_plug(running, error);
	running_close(running);
	return status;
}

int bv_cmd_stop(struct bv_call *call, struct bv_error *error)
{
	return for_each(call, "stopped", stop_one, error);
}

/* A process whose socket is gone, or that accepts nobody. */
static int kill_unreachable(const char *name, struct bv_error *error)
{
	struct running *running = calloc(1, sizeof(*running));
	int status = -1;

	if (!running)
		return -1;
	running->control.fd = -1;
	running->process = -1;
	if (!bv_vm_open(&running->vm, name, BV_VM_LOOK_BROKEN, error)) {
		running->process = bv_process_find(&running->vm);
		if (running->process >= 0)
			status = kill_process(running, error);
	}
	running_close(running);
	return status;
}

static int kill_one(struct bv_call *call, const char *name, struct bv_error *error)
{
	struct running *running = running_open(name, error);
	int status;

	if (!running && (error->status == BV_STATE || error->status == BV_UNKNOWN))
		return -1;
	if (!running)
		return kill_unreachable(name, error);
	status = bv_call_option(call, "hard") ? kill_process(running, error) :
						pull_plug(running, error);
	running_close(running);
	return status;
}

int bv_cmd_kill(struct bv_call *call, struct bv_error *error)
{
	return for_each(call, "stopped", kill_one, error);
}

/* --- reboot, pause, resume ------------------------------------------------------------------- */

static int do_one(const char *name, const char *what, struct bv_error *error)
{
	struct running *running = running_open(name, error);
	int status;

	if (!running)
		return -1;
	status = ask(running, what, error);
	running_close(running);
	return status;
}

static int reboot_one(struct bv_call *call, const char *name, struct bv_error *error)
{
	if (bv_call_option(call, "hard"))
		return do_one(name, "reset", error);
	if (shutdown_one(call, name, error))
		return -1;
	return start_one(call, name, error);
}

int bv_cmd_reboot(struct bv_call *call, struct bv_error *error)
{
	return for_each(call, "running", reboot_one, error);
}

static int pause_one(struct bv_call *call, const char *name, struct bv_error *error)
{
	(void)call;
	return do_one(name, "pause", error);
}

int bv_cmd_pause(struct bv_call *call, struct bv_error *error)
{
	return for_each(call, "paused", pause_one, error);
}

static int resume_one(struct bv_call *call, const char *name, struct bv_error *error)
{
	(void)call;
	return do_one(name, "resume", error);
}

int bv_cmd_resume(struct bv_call *call, struct bv_error *error)
{
	return for_each(call, "running", resume_one, error);
}
