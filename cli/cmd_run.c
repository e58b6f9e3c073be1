// SPDX-License-Identifier: GPL-2.0-or-later
/* bv run: a VM from nothing to its console in one command. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cmd_console.h"
#include "cli/commands.h"
#include "cli/describe.h"
#include "cli/launch.h"
#include "cli/out.h"
#include "vmm/vmm.h"

/* debian, debian-2, debian-3... */
static void free_name(const char *wish, char *name, size_t size)
{
	snprintf(name, size, "%s", wish);
	for (unsigned int i = 2; bv_vm_exists(name) && i < 1000000; i++)
		snprintf(name, size, "%.32s-%u", wish, i);
}

/* Before anything is built: on a machine that cannot run guests, that is what to hear first. */
static int check_host(const struct bv_call *call, struct bv_error *error)
{
	struct vmm_host host;

	if (bv_call_option(call, "force"))
		return 0;
	if (bv_host_check(false, error))
		return -1;
	if (vmm_host_probe(&host))
		return 0;
	bv_error_set(error, BV_NO_VIRT, "this machine cannot run guests now: %s", host.why);
	return bv_error_advise(error,
			       "%s 'bv doctor' tells more. 'make run' in Bivisor's source "
			       "tree starts an emulated PC, on any machine.",
			       host.hint);
}

static int define(struct bv_call *call, struct bv_vm *vm, struct bv_error *error)
{
	const char *wish = bv_call_option(call, "name");
	struct bv_source source = { .name = "vm" };
	char name[BV_NAME_MAX + 1];

	if (!call->operands_count && !bv_call_option(call, "kernel") &&
	    !bv_call_option(call, "disk")) {
		bv_error_set(error, BV_USAGE,
			     "nothing to run: name an image or a file, or give "
			     "--kernel or --disk");
		return bv_error_advise(error, "The first VM: bv run debian");
	}
	if (call->operands_count && bv_source_find(&source, call->operands[0], error))
		return -1;
	if (wish)
		snprintf(name, sizeof(name), "%s", wish);
	else
		free_name(source.name, name, sizeof(name));
	if (wish && strlen(wish) > BV_NAME_MAX)
		return bv_name_check(wish, "a VM", error);
	if (bv_vm_prepare(vm, name, error))
		return -1;
	if (!bv_describe(call, vm, call->operands_count ? &source : NULL, error) &&
	    !bv_vm_commit(vm, error))
		return 0;
	bv_vm_abandon(vm);
	return -1;
}

/* What a VM that is to be removed leaves: nothing. */
static void remove_vm(const char *name)
{
	struct bv_error ignored;
	struct bv_vm vm;

	if (!bv_vm_open(&vm, name, BV_VM_CHANGE_BROKEN, &ignored) && !bv_vm_is_alive(&vm))
		bv_vm_delete(&vm, &ignored);
	bv_vm_close(&vm);
}

static void greet(const struct bv_call *call, const struct bv_vm *vm)
{
	char login[128], memory[24];

	bv_size_format(vm->definition.memory, memory);
	bv_describe_login(vm, login, sizeof(login));
	bv_say(call, "VM '%s': %u CPUs, %s of memory.%s%s", vm->name,
	       (unsigned int)vm->definition.cpus, memory, login[0] ? " " : "", login);
}

static int attend(struct bv_call *call, const struct bv_vm *vm, struct bv_error *error)
{
	enum bv_console_end end = BV_CONSOLE_LEFT;
	bool remove = bv_call_option(call, "remove");
	int status;

	if (bv_call_option(call, "detach")) {
		bv_say(call, "It runs. 'bv console %s' takes you to it.", vm->name);
		return 0;
	}
	status = bv_console_session(call, vm, false, &end, error);
	if (remove && end == BV_CONSOLE_ENDED)
		remove_vm(vm->name);
	else if (remove)
		bv_say(call, "It is kept, since it runs: 'bv delete %s' removes it later.",
		       vm->name);
	return status;
}

static int run(struct bv_call *call, struct bv_vm *vm, struct bv_error *error)
{
	struct bv_launch how = { .gdb = bv_call_option(call, "gdb"),
				 .force = bv_call_option(call, "force") };
	int status;

	status = bv_launch(vm, &how, error);
	bv_vm_close(vm); /* others may work on it while we watch */
	if (status) {
		if (bv_call_option(call, "remove"))
			remove_vm(vm->name);
		else if (error->advice[0] == 0)
			bv_error_advise(error,
					"The VM '%s' is defined: 'bv start %s' tries again, "
					"'bv delete %s' deletes it.",
					vm->name, vm->name, vm->name);
		return -1;
	}
	greet(call, vm);
	if (call->json &&
	    bv_json_out(json_pack("{s:s, s:s}", "name", vm->name, "state", "running"), error))
		return -1;
	return call->json ? 0 : attend(call, vm, error);
}

int bv_cmd_run(struct bv_call *call, struct bv_error *error)
{
	struct bv_vm vm = { .lock = -1 };

	if (check_host(call, error) || define(call, &vm, error))
		return -1;
	return run(call, &vm, error);
}
