/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What runs when a command is given: one function each, named in the table in main.c. 0, or -1
 * with the error. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/command.h"

int bv_cmd_run(struct bv_call *call, struct bv_error *error);
int bv_cmd_create(struct bv_call *call, struct bv_error *error);
int bv_cmd_start(struct bv_call *call, struct bv_error *error);
int bv_cmd_stop(struct bv_call *call, struct bv_error *error);
int bv_cmd_shutdown(struct bv_call *call, struct bv_error *error);
int bv_cmd_reboot(struct bv_call *call, struct bv_error *error);
int bv_cmd_kill(struct bv_call *call, struct bv_error *error);
int bv_cmd_pause(struct bv_call *call, struct bv_error *error);
int bv_cmd_resume(struct bv_call *call, struct bv_error *error);
int bv_cmd_list(struct bv_call *call, struct bv_error *error);
int bv_cmd_show(struct bv_call *call, struct bv_error *error);
int bv_cmd_console(struct bv_call *call, struct bv_error *error);
int bv_cmd_log(struct bv_call *call, struct bv_error *error);
int bv_cmd_set(struct bv_call *call, struct bv_error *error);
int bv_cmd_copy(struct bv_call *call, struct bv_error *error);
int bv_cmd_delete(struct bv_call *call, struct bv_error *error);
int bv_cmd_snapshot(struct bv_call *call, struct bv_error *error);
int bv_cmd_restore(struct bv_call *call, struct bv_error *error);
int bv_cmd_image(struct bv_call *call, struct bv_error *error);
int bv_cmd_top(struct bv_call *call, struct bv_error *error);
int bv_cmd_why(struct bv_call *call, struct bv_error *error);
int bv_cmd_doctor(struct bv_call *call, struct bv_error *error);
int bv_cmd_completion(struct bv_call *call, struct bv_error *error);
int bv_cmd_help(struct bv_call *call, struct bv_error *error);
int bv_cmd_version(struct bv_call *call, struct bv_error *error);
int bv_cmd_vm_process(struct bv_call *call, struct bv_error *error);

/* The options that describe a VM, for run and create. */
#define BV_DESCRIBE_OPTIONS                                                                      \
	{ "cpus", 'c', "N", "virtual CPUs (2)" },                                                \
		{ "memory", 'm', "SIZE", "memory, such as 512M or 4G (1G)" },                    \
		{ "disk", 'd', "FILE|SIZE", "one disk more: a file as it is, or an empty one" }, \
		{ "disk-size", 0, "SIZE", "grow the first disk to it" },                         \
		{ "in-place", 0, NULL, "use the disk image itself, not a copy of it" },          \
		{ "kernel", 'k', "FILE", "a kernel to start, bzImage or ELF" },                  \
		{ "initrd", 'i', "FILE", "its initramfs" },                                      \
		{ "append", 'a', "WORDS", "its command line" },                                  \
		{ "firmware", 0, "KIND", "uefi or bios" },                                       \
		{ "net", 'n', "KIND", "user (which there is without this), tap:NAME, or none" }, \
		{ "forward", 'f', "SPEC", "tcp:[ADDRESS:]PORT:GUESTPORT, or udp:" },             \
		{ "share", 0, "DIR[:TAG]", "a directory that the guest can mount (virtiofs)" },  \
	{                                                                                        \
		"set", 's', "KEY=VALUE", "any key of the definition ('bv help keys')"            \
	}

#endif
