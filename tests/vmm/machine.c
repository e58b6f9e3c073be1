// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The machine alone (vmm/), described by options: for its tests and for its makers. Users have bv.
 *
 *	machine [--cpus N] [--memory MIB] [--kernel F [--initrd F] [--append S]]
 *		[--firmware F [--vars F]] [--disk F[,ro][,direct]]...
 *		[--user-net [tcp:HOST:GUEST]]...
 *		[--tap NAME[,vhost][,QUEUES]]... [--share TAG=DIR] [--vsock CID]
 *		[--control SOCKET] [--console SOCKET] [--log F] [--gdb SOCKET] [--restore F]
 *		[--paused] [--no-reboot] [--debug-exit] [--no-sandbox] [--events] [--probe]
 *
 * The guest's serial port is on standard input and output. What ended it comes last, on standard
 * error; the status is 0 for a power-off, the byte for a debug exit, 1 else.
 */
#include "vmm/vmm.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
	struct vmm_config config;
	struct vmm_disk disks[VMM_DISKS_MAX];
	struct vmm_net nets[VMM_NETS_MAX];
	struct vmm_forward forwards[VMM_NETS_MAX];
	struct vmm_share shares[VMM_SHARES_MAX];
};

enum {
	OPT_CPUS = 1,
	OPT_MEMORY,
	OPT_KERNEL,
	OPT_INITRD,
	OPT_APPEND,
	OPT_FIRMWARE,
	OPT_VARS,
	OPT_DISK,
	OPT_USER_NET,
	OPT_TAP,
	OPT_SHARE,
	OPT_VSOCK,
	OPT_CONTROL,
	OPT_CONSOLE,
	OPT_LOG,
	OPT_GDB,
	OPT_RESTORE,
	OPT_PAUSED,
	OPT_NO_REBOOT,
	OPT_DEBUG_EXIT,
	OPT_NO_SANDBOX,
	OPT_EVENTS,
	OPT_PROBE,
	OPT_NAME,
};

static const struct option OPTIONS[] = {
	{ "cpus", 1, NULL, OPT_CPUS },
	{ "memory", 1, NULL, OPT_MEMORY },
	{ "kernel", 1, NULL, OPT_KERNEL },
	{ "initrd", 1, NULL, OPT_INITRD },
	{ "append", 1, NULL, OPT_APPEND },
	{ "firmware", 1, NULL, OPT_FIRMWARE },
	{ "vars", 1, NULL, OPT_VARS },
	{ "disk", 1, NULL, OPT_DISK },
	{ "user-net", 2, NULL, OPT_USER_NET },
	{ "tap", 1, NULL, OPT_TAP },
	{ "share", 1, NULL, OPT_SHARE },
	{ "vsock", 1, NULL, OPT_VSOCK },
	{ "control", 1, NULL, OPT_CONTROL },
	{ "console", 1, NULL, OPT_CONSOLE },
	{ "log", 1, NULL, OPT_LOG },
	{ "gdb", 1, NULL, OPT_GDB },
	{ "restore", 1, NULL, OPT_RESTORE },
	{ "paused", 0, NULL, OPT_PAUSED },
	{ "no-reboot", 0, NULL, OPT_NO_REBOOT },
	{ "debug-exit", 0, NULL, OPT_DEBUG_EXIT },
	{ "no-sandbox", 0, NULL, OPT_NO_SANDBOX },
	{ "events", 0, NULL, OPT_EVENTS },
	{ "probe", 0, NULL, OPT_PROBE },
	{ "name", 1, NULL, OPT_NAME },
	{ 0 },
};

/* The word after the comma is there: and cut off. */
static bool has_word(char *text, const char *word)
{
	char *comma = strchr(text, ',');

	for (; comma; comma = strchr(comma + 1, ','))
		if (!strncmp(comma + 1, word, strlen(word)))
			return true;
	return false;
}

static void cut(char *text)
{
	text[strcspn(text, ",")] = 0;
}

static void add_disk(struct options *options, char *text)
{
	struct vmm_disk *disk = &options->disks[options->config.disks_count++];

	disk->read_only = has_word(text, "ro");
	disk->direct = has_word(text, "direct");
	disk->format = has_word(text, "qcow2") ? VMM_DISK_QCOW2 : VMM_DISK_RAW;
	cut(text);
	disk->path = text;
}

static void add_user_net(struct options *options, const char *text)
{
	unsigned int place = options->config.nets_count++;
	struct vmm_net *net = &options->nets[place];
	struct vmm_forward *forward = &options->forwards[place];
	char kind[4];

	net->kind = VMM_NET_USER;
	if (!text ||
	    sscanf(text, "%3[a-z]:%hu:%hu", kind, &forward->host_port, &forward->guest_port) != 3)
		return;
	forward->udp = !strcmp(kind, "udp");
	net->forwards = forward;
	net->forwards_count = 1;
}

static void add_tap(struct options *options, char *text)
{
	struct vmm_net *net = &options->nets[options->config.nets_count++];
	char *queues = strrchr(text, ',');

	net->kind = VMM_NET_TAP;
	net->vhost = has_word(text, "vhost");
	net->queues = queues ? (unsigned int)atoi(queues + 1) : 0;
	cut(text);
	net->tap = text;
}

static void add_share(struct options *options, char *text)
{
	struct vmm_share *share = &options->shares[options->config.shares_count++];

	share->read_only = has_word(text, "ro");
	cut(text);
	share->tag = text;
	share->path = strchr(text, '=') + 1;
	text[strcspn(text, "=")] = 0;
}

static int probe(void)
{
	struct vmm_host host;
	bool ready = vmm_host_probe(&host);

	printf("%s%s%s%s\n", ready ? "ready" : host.why, host.hint[0] ? "; " : "", host.hint,
	       ready && host.bivisor ? " (bivisor)" : "");
	return ready ? 0 : 1;
}

static void take_device(struct options *options, int option, char *text)
{
	switch (option) {
	case OPT_DISK:
		return add_disk(options, text);
	case OPT_USER_NET:
		return add_user_net(options, text);
	case OPT_TAP:
		return add_tap(options, text);
	case OPT_SHARE:
		return add_share(options, text);
	case OPT_VSOCK:
		options->config.vsock_cid = (uint32_t)atoi(text);
	}
}

static void take_path(struct vmm_config *config, int option, const char *text)
{
	const char **const PLACES[] = {
		[OPT_KERNEL] = &config->kernel,
		[OPT_INITRD] = &config->initrd,
		[OPT_APPEND] = &config->append,
		[OPT_FIRMWARE] = &config->firmware,
		[OPT_VARS] = &config->firmware_vars,
		[OPT_CONTROL] = &config->control_socket,
		[OPT_CONSOLE] = &config->console_socket,
		[OPT_LOG] = &config->console_log,
		[OPT_GDB] = &config->gdb_socket,
		[OPT_RESTORE] = &config->restore,
		[OPT_NAME] = &config->name,
	};

	if ((size_t)option < sizeof(PLACES) / sizeof(PLACES[0]) && PLACES[option])
		*PLACES[option] = text;
}

static void take(struct options *options, int option, char *text)
{
	struct vmm_config *config = &options->config;

	config->cpus = option == OPT_CPUS ? (unsigned int)atoi(text) : config->cpus;
	config->memory = option == OPT_MEMORY ? (uint64_t)atoi(text) << 20 : config->memory;
	config->start_paused |= option == OPT_PAUSED;
	config->reset_ends |= option == OPT_NO_REBOOT;
	config->debug_exit |= option == OPT_DEBUG_EXIT;
	config->no_sandbox |= option == OPT_NO_SANDBOX;
	config->event_fd = option == OPT_EVENTS ? 2 : config->event_fd;
	take_path(config, option, text);
	take_device(options, option, text);
}

int main(int count, char **arguments)
{
	static struct options options = { .config = { .name = "machine",
						      .cpus = 1,
						      .memory = 256ull << 20,
						      .console_fd = 0,
						      .console_out_fd = 1,
						      .event_fd = -1 } };
	struct vmm_end end;
	int option, error;

	options.config.disks = options.disks;
	options.config.nets = options.nets;
	options.config.shares = options.shares;
	while ((option = getopt_long(count, arguments, "", OPTIONS, NULL)) > 0) {
		if (option == '?')
			return 2;
		if (option == OPT_PROBE)
			return probe();
		take(&options, option, optarg);
	}
	error = vmm_run(&options.config, &end);
	fprintf(stderr, "\nmachine: %s%s%s%s%s\n", vmm_end_word(end.kind), end.why[0] ? ": " : "",
		end.why, end.hint[0] ? "; " : "", end.hint);
	return end.kind == VMM_END_DEBUG ? end.code : error ? 1 : 0;
}
