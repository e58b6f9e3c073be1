// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM's own process: reads the definition, makes of it what the machine takes (vmm/vmm.h), and is
 * the machine until it ends. Its input is nothing, its output the file `bv.log`; who started it
 * reads the history.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/launch.h"
#include "vmm/vmm.h"

/* The machine's description with all that it points to. */
struct bv_machine {
	struct vmm_config config;
	struct vmm_disk disks[BV_DISKS];
	struct vmm_net nets[BV_NETS];
	struct vmm_forward forwards[BV_NETS][BV_FORWARDS];
	struct vmm_share shares[BV_SHARES];
	struct bv_path disk_paths[BV_DISKS];
	struct bv_path share_paths[BV_SHARES];
	struct bv_path kernel, initrd, firmware, firmware_vars;
	struct bv_path control, console, log, gdb;
	struct bv_path restore;
};

static void fill_disks(struct bv_machine *machine, const struct bv_vm *vm)
{
	for (unsigned int i = 0; i < vm->definition.disks_count; i++) {
		const struct bv_disk *from = &vm->definition.disks[i];
		struct vmm_disk *to = &machine->disks[i];

		machine->disk_paths[i] = bv_vm_resolve(vm, from->file);
		to->path = machine->disk_paths[i].text;
		to->serial = from->serial[0] ? from->serial : NULL;
		to->format = from->format == BV_DISK_QCOW2 ? VMM_DISK_QCOW2 : VMM_DISK_RAW;
		to->read_only = from->read_only;
		to->direct = from->cache == BV_CACHE_DIRECT;
	}
	machine->config.disks = machine->disks;
	machine->config.disks_count = vm->definition.disks_count;
}

static void fill_forwards(struct vmm_forward *to, const struct bv_net *net)
{
	for (unsigned int i = 0; i < net->forwards_count; i++) {
		const struct bv_forward *from = &net->forwards[i];

		to[i].udp = from->udp;
		to[i].host = from->address[0] ? from->address : NULL;
		to[i].host_port = from->host_port;
		to[i].guest_port = from->guest_port;
	}
}

static void fill_nets(struct bv_machine *machine, const struct bv_vm *vm)
{
	for (unsigned int i = 0; i < vm->definition.nets_count; i++) {
		const struct bv_net *from = &vm->definition.nets[i];
		struct vmm_net *to = &machine->nets[i];

		to->kind = from->kind == BV_NET_TAP ? VMM_NET_TAP : VMM_NET_USER;
		memcpy(to->mac, from->mac, sizeof(to->mac));
		to->tap = from->tap[0] ? from->tap : NULL;
		to->vhost = from->vhost;
		to->queues = from->queues;
		to->restricted = from->restricted;
		fill_forwards(machine->forwards[i], from);
		to->forwards = machine->forwards[i];
		to->forwards_count = from->forwards_count;
	}
	machine->config.nets = machine->nets;
	machine->config.nets_count = vm->definition.nets_count;
}

static void fill_shares(struct bv_machine *machine, const struct bv_vm *vm)
{
	for (unsigned int i = 0; i < vm->definition.shares_count; i++) {
		const struct bv_share *from = &vm->definition.shares[i];

		machine->share_paths[i] = bv_vm_resolve(vm, from->directory);
		machine->shares[i].path = machine->share_paths[i].text;
		machine->shares[i].tag = from->tag;
		machine->shares[i].read_only = from->read_only;
	}
	machine->config.shares = machine->shares;
	machine->config.shares_count = vm->definition.shares_count;
}

static void fill_kernel(struct bv_machine *machine, const struct bv_vm *vm)
{
	const struct bv_definition *definition = &vm->definition;

	machine->kernel = bv_vm_resolve(vm, definition->kernel);
	machine->config.kernel = machine->kernel.text;
	if (definition->initrd[0]) {
		machine->initrd = bv_vm_resolve(vm, definition->initrd);
		machine->config.initrd = machine->initrd.text;
	}
	machine->config.append = definition->append;
}

/* The variables are the VM's own from its first start on. */
static int fill_firmware(struct bv_machine *machine, const struct bv_vm *vm, struct bv_error *error)
{
	const struct bv_definition *definition = &vm->definition;
	const char *template = NULL;
	const char *found = bv_firmware_find(definition->firmware, &template);

	if (definition->firmware_file[0])
		machine->firmware = bv_vm_resolve(vm, definition->firmware_file);
	else if (found)
		machine->firmware = bv_path("%s", found);
	else
		return bv_error_set(error, BV_FAILED, "the firmware's package, %s, is missing",
				    bv_firmware_package(definition->firmware));
	machine->config.firmware = machine->firmware.text;
	if (definition->firmware != BV_FIRMWARE_UEFI)
		return 0;
	machine->firmware_vars = bv_vm_file(vm, "uefi-vars.fd");
	machine->config.firmware_vars = machine->firmware_vars.text;
	if (bv_file_exists(machine->firmware_vars.text) || !template)
		return 0;
	return bv_file_copy(template, machine->firmware_vars.text, NULL, NULL, error);
}

static void fill_sockets(struct bv_machine *machine, const struct bv_vm *vm, bool gdb)
{
	machine->control = bv_vm_socket(vm, "control");
	machine->console = bv_vm_socket(vm, "console");
	machine->gdb = bv_vm_socket(vm, "gdb");
	machine->log = bv_vm_file(vm, "console.log");
	machine->config.control_socket = machine->control.text;
	machine->config.console_socket = machine->console.text;
	machine->config.console_log = machine->log.text;
	machine->config.gdb_socket = gdb ? machine->gdb.text : NULL;
}

struct bv_machine *bv_machine_new(const struct bv_vm *vm, const struct bv_launch *how,
				  struct bv_error *error)
{
	struct bv_machine *machine = calloc(1, sizeof(*machine));
	const struct bv_definition *definition = &vm->definition;

	if (!machine) {
		bv_error_set(error, BV_FAILED, "no memory");
		return NULL;
	}
	machine->config.name = vm->name;
	memcpy(machine->config.uuid, definition->uuid, sizeof(definition->uuid));
	machine->config.cpus = definition->cpus;
	machine->config.memory = definition->memory;
	machine->config.vsock_cid = definition->vsock;
	machine->config.reset_ends = definition->on_reset == BV_RESET_STOPS;
	machine->config.start_paused = how->paused;
	machine->config.console_fd = -1;
	machine->config.console_out_fd = -1;
	machine->config.event_fd = -1;
	if (how->restore) {
		machine->restore = bv_path("%s", how->restore);
		machine->config.restore = machine->restore.text;
	}
	fill_disks(machine, vm);
	fill_nets(machine, vm);
	fill_shares(machine, vm);
	fill_sockets(machine, vm, how->gdb);
	if (definition->firmware == BV_FIRMWARE_NONE) {
		fill_kernel(machine, vm);
	} else if (fill_firmware(machine, vm, error)) {
		free(machine);
		return NULL;
	}
	return machine;
}

void bv_machine_free(struct bv_machine *machine)
{
	free(machine);
}

static int run_machine(struct bv_machine *machine, const struct bv_vm *vm, struct bv_error *error)
{
	struct vmm_end end = { 0 };
	char title[16];

	snprintf(title, sizeof(title), "bv:%.12s", vm->name);
	prctl(PR_SET_NAME, title);
	machine->config.event_fd = open(bv_vm_file(vm, "history").text,
					O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (machine->config.event_fd < 0)
		return bv_error_errno(error, "cannot open the history");
	if (!vmm_run(&machine->config, &end))
		return 0;
	bv_error_set(error, BV_ENDED, "%s: %s", vmm_end_word(end.kind), end.why);
	return bv_error_advise(error, "%s", end.hint);
}

int bv_cmd_vm_process(struct bv_call *call, struct bv_error *error)
{
	struct bv_launch how = { .restore = bv_call_option(call, "restore"),
				 .paused = bv_call_option(call, "paused"),
				 .gdb = bv_call_option(call, "gdb") };
	struct bv_machine *machine;
	struct bv_vm vm;
	long alive;
	int status = -1;

	/* The descriptor with the lock must not go on to helpers that this process starts. */
	if (bv_call_number(call, "alive", -1, 3, 1 << 20, &alive, error) ||
	    fcntl(alive, F_SETFD, FD_CLOEXEC))
		return bv_error_set(error, BV_USAGE,
				    "vm-process is for bv's own use; use bv start");
	if (!bv_vm_open(&vm, call->operands[0], BV_VM_LOOK, error)) {
		machine = bv_machine_new(&vm, &how, error);
		status = machine ? run_machine(machine, &vm, error) : -1;
		bv_machine_free(machine);
	}
	bv_vm_close(&vm);
	return status;
}
