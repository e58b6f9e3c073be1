// SPDX-License-Identifier: GPL-2.0-or-later
/* A look at this machine; see host.h. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/host.h"

/* Whether the word stands in the line, with blanks around it. */
static bool has_word(const char *line, const char *word)
{
	size_t size = strlen(word);

	for (const char *at = strstr(line, word); at; at = strstr(at + 1, word))
		if ((at == line || isspace((unsigned char)at[-1])) &&
		    (!at[size] || isspace((unsigned char)at[size])))
			return true;
	return false;
}

static void look_at_cpu(struct bv_host *host)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char *line = NULL;
	size_t room = 0;

	while (file && getline(&line, &room, file) > 0) {
		char *colon = strchr(line, ':');

		if (!strncmp(line, "flags", 5)) {
			host->svm |= has_word(line, "svm");
			host->vmx |= has_word(line, "vmx");
		} else if (!strncmp(line, "model name", 10) && colon && !host->cpu[0]) {
			snprintf(host->cpu, sizeof(host->cpu), "%s", colon + 2);
			host->cpu[strcspn(host->cpu, "\n")] = 0;
		}
	}
	free(line);
	if (file)
		fclose(file);
}

static void look_at_memory(struct bv_host *host)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib;
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemTotal: %llu", &kib) == 1)
			host->memory = kib << 10;
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			host->memory_free = kib << 10;
	}
	if (file)
		fclose(file);
}

static void look_for_module(struct bv_host *host)
{
	static const char *const modules[] = { "bivisor", "kvm_amd", "kvm_intel" };

	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/sys/module/%s", modules[i]);
		if (!access(path, F_OK))
			snprintf(host->module, sizeof(host->module), "%s", modules[i]);
	}
}

static void say(struct bv_host *host, const char *why, const char *advice)
{
	host->trouble = true;
	snprintf(host->why, sizeof(host->why), "%s", why);
	snprintf(host->advice, sizeof(host->advice), "%s", advice);
}

static void judge_missing(struct bv_host *host)
{
	if (host->svm)
		say(host, "there is no /dev/kvm: no module provides it",
		    "modprobe bivisor, or modprobe kvm_amd, as root.");
	else if (host->vmx)
		say(host, "there is no /dev/kvm: no module provides it",
		    "modprobe kvm_intel, as root.");
	else
		say(host,
		    "the processor offers no virtualization (no svm or vmx in /proc/cpuinfo), and "
		    "there is no /dev/kvm",
		    "Switch it on in the firmware's setup (SVM, AMD-V, VT-x); in a virtual "
		    "machine, "
		    "ask for nested virtualization.");
}

static void judge(struct bv_host *host)
{
	if (!host->device)
		judge_missing(host);
	else if (!host->readable)
		say(host, "you may not use /dev/kvm",
		    "As root: adduser YOU kvm; then log in anew.");
	else if (!host->svm && !host->vmx)
		say(host,
		    "there is a /dev/kvm, but the processor has neither svm nor vmx. On such a "
		    "device small programs run, but operating systems hang soon after their loader",
		    "Use a machine with virtualization switched on. (--force tries it all the "
		    "same.)");
}

void bv_host_look(struct bv_host *host)
{
	memset(host, 0, sizeof(*host));
	look_at_cpu(host);
	look_at_memory(host);
	look_for_module(host);
	host->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	host->device = !access("/dev/kvm", F_OK);
	host->readable = !access("/dev/kvm", R_OK | W_OK);
	judge(host);
}
