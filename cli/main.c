// SPDX-License-Identifier: GPL-2.0-or-later
/* bv: the table of its commands, and which of them runs. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/commands.h"
#include "cli/out.h"
#include "cli/places.h"

#define OPTIONS(name) static const struct bv_option name[]
#define EXAMPLES(name) static const char *const name[]
#define END_OPTION                  \
	{                           \
		NULL, 0, NULL, NULL \
	}

/* clang-format off */
OPTIONS(run_options) = {
	BV_DESCRIBE_OPTIONS,
	{ "name", 0, "NAME", "the VM's name (the image's or file's, with a number if need be)" },
	{ "detach", 'D', NULL, "do not go to the console" },
	{ "remove", 'r', NULL, "delete the VM when it has ended" },
	{ "gdb", 0, NULL, "with a socket for a debugger" },
	{ "escape", 'e', "^KEY", "the key that leaves the console (^]), or none" },
	{ "force", 0, NULL, "try it although this machine looks unfit" },
	END_OPTION
};
EXAMPLES(run_examples) = {
	"bv run debian",
		"a Debian guest, built from packages the first time; you are at its console",
	"bv run debian -c 4 -m 4G -f tcp:2222:22",
		"with more CPUs and memory, and its port 22 on 2222 here",
	"bv run disk.qcow2", "a VM with a copy of that disk",
	"bv run --in-place disk.img", "with that disk itself",
	"bv run debian-netinst.iso -d 20G", "an installer, and an empty disk for it",
	"bv run -k vmlinuz -i initrd.img -a 'console=ttyS0' -r",
		"a kernel, and nothing is left when it ends",
	"bv run ./rootfs.tar", "a root file system with a kernel in it",
	NULL
};
OPTIONS(create_options) = { BV_DESCRIBE_OPTIONS, END_OPTION };
EXAMPLES(create_examples) = {
	"bv create web debian -m 2G -f tcp:8080:80", "defines a VM of the image debian",
	"bv create bare -k vmlinuz -d 10G", "a kernel and an empty disk",
	NULL
};
OPTIONS(start_options) = {
	{ "console", 'C', NULL, "go to its console" },
	{ "paused", 0, NULL, "its CPUs wait for 'bv resume'" },
	{ "gdb", 0, NULL, "with a socket for a debugger" },
	{ "escape", 'e', "^KEY", "the key that leaves the console (^]), or none" },
	{ "force", 0, NULL, "try it although this machine looks unfit" },
	END_OPTION
};
EXAMPLES(start_examples) = {
	"bv start web", "starts it",
	"bv start -C web", "and takes you to its console",
	NULL
};
OPTIONS(stop_options) = {
	{ "timeout", 't', "SECONDS", "how long the guest has to shut down (30); 0: none" },
	END_OPTION
};
EXAMPLES(stop_examples) = {
	"bv stop web", "asks the guest to shut down; after 30 s its plug is pulled",
	"bv stop -t 300 web db", "two of them, with more patience",
	NULL
};
OPTIONS(shutdown_options) = {
	{ "timeout", 't', "SECONDS", "how long to wait for it (90); 0: not at all" },
	END_OPTION
};
OPTIONS(reboot_options) = {
	{ "hard", 0, NULL, "press the reset button instead of asking the guest" },
	{ "timeout", 't', "SECONDS", "how long the guest has to shut down (90)" },
	END_OPTION
};
OPTIONS(kill_options) = {
	{ "hard", 0, NULL, "kill its process, without flushing disks" },
	END_OPTION
};
OPTIONS(list_options) = {
	{ "running", 0, NULL, "only those that run" },
	END_OPTION
};
EXAMPLES(list_examples) = {
	"bv list", "all VMs: state, CPUs, memory, uptime, the guest's address",
	"bv list --json | jq -r '.vms[].name'", "for programs",
	NULL
};
OPTIONS(console_options) = {
	{ "escape", 'e', "^KEY", "the key that leaves it (^]), or none" },
	END_OPTION
};
EXAMPLES(console_examples) = {
	"bv console web", "all it has said since its start, then what it says; Ctrl-] leaves",
	"bv console -e ^a web", "with another key to leave",
	NULL
};
OPTIONS(log_options) = {
	{ "follow", 'f', NULL, "go on while the VM runs" },
	{ "lines", 'n', "N", "only the last ones" },
	{ "previous", 0, NULL, "of the run before" },
	{ "events", 0, NULL, "not what the guest said, but what happened to the VM (JSON lines)" },
	{ "process", 0, NULL, "what the VM's process said" },
	END_OPTION
};
EXAMPLES(log_examples) = {
	"bv log web", "what the guest has said on its console since its start",
	"bv log -f -n 20 web", "its last lines, and those to come",
	NULL
};
OPTIONS(set_options) = {
	{ "add", 0, "SECTION", "disk, net or share, with keys: disk:file=/x,format=raw" },
	{ "remove", 0, "SECTION", "disk1, net0 and so on" },
	END_OPTION
};
EXAMPLES(set_examples) = {
	"bv set web cpus=4 memory=2G", "from its next start on",
	"bv set web net0.forward=tcp:8080:80", "the ports that lead to the guest",
	"bv set web --add disk:file=/srv/data.img", "one disk more",
	"bv set web --remove disk1", "and away with it",
	"bv set web description=", "back to what stands for it by default",
	NULL
};
EXAMPLES(copy_examples) = { "bv copy web web2", "with its disks", NULL };
OPTIONS(delete_options) = {
	{ "yes", 'y', NULL, "do not ask" },
	END_OPTION
};
OPTIONS(snapshot_options) = {
	{ "list", 'l', NULL, "which there are" },
	{ "delete", 0, "SNAPSHOT", "delete one" },
	{ "note", 0, "TEXT", "a line about it, for people" },
	{ "stop", 0, NULL, "end the VM with it" },
	END_OPTION
};
EXAMPLES(snapshot_examples) = {
	"bv snapshot web before-upgrade",
		"memory, devices and disks of a VM that runs, or the disks of one that does not",
	"bv snapshot web --list", "which there are",
	"bv snapshot web --delete before-upgrade", "deletes one",
	NULL
};
OPTIONS(restore_options) = {
	{ "kill", 0, NULL, "end the VM first if it runs" },
	{ "paused", 0, NULL, "its CPUs wait for 'bv resume'" },
	{ "force", 0, NULL, "try it although this machine looks unfit" },
	END_OPTION
};
EXAMPLES(restore_examples) = {
	"bv restore web before-upgrade", "as it was then, disks and all",
	"bv restore --kill web", "to its latest snapshot, although it runs",
	NULL
};
OPTIONS(image_options) = {
	{ "mirror", 0, "URI", "build: where packages come from" },
	{ "size", 0, "SIZE", "build: of the disk (8G)" },
	END_OPTION
};
EXAMPLES(image_examples) = {
	"bv image list", "what VMs can be made from",
	"bv image build debian", "from packages; takes some minutes",
	"bv image import disk.qcow2 web", "takes a disk in",
	"bv image delete web", "and out",
	NULL
};
OPTIONS(top_options) = {
	{ "interval", 'i', "SECONDS", "between two looks (1)" },
	{ "once", '1', NULL, "one table" },
	END_OPTION
};
EXAMPLES(completion_examples) = { "source <(bv completion bash)", "in ~/.bashrc", NULL };
OPTIONS(process_options) = {
	{ "alive", 0, "FD", "" }, { "restore", 0, "FILE", "" }, { "paused", 0, NULL, "" },
	{ "gdb", 0, NULL, "" }, END_OPTION
};

const struct bv_command bv_commands[] = {
	{ "run", "[IMAGE|FILE|DIRECTORY]", "makes a VM, starts it, takes you to its console",
	  "IMAGE is one of 'bv image list', or debian, debian-12, debian-13, which are built\n"
	  "from packages the first time. FILE is a disk image (raw, qcow2), an ISO, a kernel or\n"
	  "a tar file with a root file system. The VM stays defined when it has ended;\n"
	  "'bv start' starts it again.",
	  run_examples, run_options, 0, 1, BV_OPERAND_SOURCE, false, bv_cmd_run },
	{ "create", "NAME [IMAGE|FILE|DIRECTORY]", "defines a VM without starting it", NULL,
	  create_examples, create_options, 1, 2, BV_OPERAND_WORD, false, bv_cmd_create },
	{ "start", "NAME...", "starts VMs", NULL,
	  start_examples, start_options, 1, 64, BV_OPERAND_VMS, false, bv_cmd_start },
	{ "stop", "NAME...", "shuts VMs down, or else pulls their plug", NULL,
	  stop_examples, stop_options, 1, 64, BV_OPERAND_VMS, false, bv_cmd_stop },
	{ "shutdown", "NAME...", "asks guests to shut down, and waits for it", NULL,
	  NULL, shutdown_options, 1, 64, BV_OPERAND_VMS, false, bv_cmd_shutdown },
	{ "reboot", "NAME...", "shuts VMs down and starts them again", NULL,
	  NULL, reboot_options, 1, 64, BV_OPERAND_VMS, false, bv_cmd_reboot },
	{ "kill", "NAME...", "ends VMs at once, as pulling the plug", NULL,
	  NULL, kill_options, 1, 64, BV_OPERAND_VMS, false, bv_cmd_kill },
	{ "pause", "NAME...", "stops the CPUs of VMs for a while", NULL,
	  NULL, NULL, 1, 64, BV_OPERAND_VMS, false, bv_cmd_pause },
	{ "resume", "NAME...", "lets paused VMs go on", NULL,
	  NULL, NULL, 1, 64, BV_OPERAND_VMS, false, bv_cmd_resume },
	{ "list", "", "the VMs there are", NULL,
	  list_examples, list_options, 0, 0, BV_OPERAND_NONE, false, bv_cmd_list },
	{ "show", "NAME", "a VM's definition and state", NULL,
	  NULL, NULL, 1, 1, BV_OPERAND_VM, false, bv_cmd_show },
	{ "console", "NAME", "takes you to a VM's console", NULL,
	  console_examples, console_options, 1, 1, BV_OPERAND_VM, false, bv_cmd_console },
	{ "log", "NAME", "what a VM has said on its console", NULL,
	  log_examples, log_options, 1, 1, BV_OPERAND_VM, false, bv_cmd_log },
	{ "set", "NAME [KEY=VALUE...]", "changes a VM's definition",
	  "Keys of disks, nets and shares are written with their place: disk0.cache, net1.mac.\n"
	  "An empty value puts back the default. 'bv help keys' lists all keys.",
	  set_examples, set_options, 1, 64, BV_OPERAND_VM, false, bv_cmd_set },
	{ "copy", "NAME NEW", "makes a VM like another, with its disks", NULL,
	  copy_examples, NULL, 2, 2, BV_OPERAND_VM, false, bv_cmd_copy },
	{ "delete", "NAME...", "deletes VMs with their disks and snapshots", NULL,
	  NULL, delete_options, 1, 64, BV_OPERAND_VMS, false, bv_cmd_delete },
	{ "snapshot", "NAME [SNAPSHOT]", "keeps a VM as it is now", NULL,
	  snapshot_examples, snapshot_options, 1, 2, BV_OPERAND_VM, false, bv_cmd_snapshot },
	{ "restore", "NAME [SNAPSHOT]", "returns a VM to a snapshot, or the latest", NULL,
	  restore_examples, restore_options, 1, 2, BV_OPERAND_VM, false, bv_cmd_restore },
	{ "image", "list|build|import|delete [...]", "the disks that VMs are made from", NULL,
	  image_examples, image_options, 1, 3, BV_OPERAND_WORD, false, bv_cmd_image },
	{ "top", "", "what running VMs do: CPU, exits, memory, disk, net", NULL,
	  NULL, top_options, 0, 0, BV_OPERAND_NONE, false, bv_cmd_top },
	{ "why", "NAME", "why a VM ended, or a request was refused", NULL,
	  NULL, NULL, 1, 1, BV_OPERAND_VM, false, bv_cmd_why },
	{ "doctor", "", "what this machine can do, and what stands in the way", NULL,
	  NULL, NULL, 0, 0, BV_OPERAND_NONE, false, bv_cmd_doctor },
	{ "completion", "bash", "a script by which bash completes bv's commands", NULL,
	  completion_examples, NULL, 1, 256, BV_OPERAND_WORD, false, bv_cmd_completion },
	{ "help", "[COMMAND|keys]", "this, or about a command", NULL,
	  NULL, NULL, 0, 1, BV_OPERAND_COMMAND, false, bv_cmd_help },
	{ "version", "", "which bv this is", NULL,
	  NULL, NULL, 0, 0, BV_OPERAND_NONE, false, bv_cmd_version },
	{ "vm-process", "NAME", "a VM's own process", NULL,
	  NULL, process_options, 1, 1, BV_OPERAND_VM, true, bv_cmd_vm_process },
	{ NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, BV_OPERAND_NONE, false, NULL },
};
/* clang-format on */

const struct bv_command *bv_command_find(const char *name)
{
	for (const struct bv_command *command = bv_commands; command->name; command++)
		if (!strcmp(command->name, name))
			return command;
	return NULL;
}

static const struct bv_command *find_command(const char *name, struct bv_error *error)
{
	const struct bv_command *command;

	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	if (!strcmp(name, "--version"))
		name = "version";
	command = bv_command_find(name);
	if (command)
		return command;
	bv_error_set(error, BV_USAGE, "there is no command '%.60s'", name);
	bv_error_advise(error, "'bv help' shows those there are.");
	return NULL;
}

/* Those that need no place to keep anything: they work also where none can be made. */
static bool needs_places(const struct bv_command *command)
{
	return command->run != bv_cmd_help && command->run != bv_cmd_version &&
	       command->run != bv_cmd_completion;
}

static int run_command(struct bv_call *call, const struct bv_command *command, int argc,
		       const char **argv, struct bv_error *error)
{
	if (bv_call_parse(call, command, argc, argv, error))
		return -1;
	if (bv_call_option(call, "help")) {
		bv_help(command);
		return 0;
	}
	if (needs_places(command) && bv_places_init(error))
		return -1;
	return command->run(call, error);
}

/* So that a wrong command line, too, is answered in JSON. */
static bool wants_json(int argc, const char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--json"))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	const char **words = (const char **)argv;
	bool json = wants_json(argc, words);
	const struct bv_command *command;
	struct bv_error error = { 0 };
	static struct bv_call call;

	umask(077);
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN); /* a VM that ends must not end us */
	if (argc < 2) {
		bv_help(NULL);
		return BV_USAGE;
	}
	command = find_command(words[1], &error);
	if (command && !run_command(&call, command, argc - 2, words + 2, &error)) {
		if (fflush(stdout) == 0)
			return call.exit;
		bv_error_errno(&error, "cannot write the output");
	}
	bv_complain(json, &error);
	return error.status;
}
