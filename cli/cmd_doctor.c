// SPDX-License-Identifier: GPL-2.0-or-later
/* Command doctor: what this machine can do, what stands in the way, and what to do about it. */
#include <errno.h>
#include <stdarg.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/host.h"
#include "cli/image.h"
#include "cli/launch.h"
#include "cli/out.h"
#include "cli/places.h"
#include "vmm/vmm.h"

enum verdict {
	GOOD,
	NOTE,
	BAD
};

struct finding {
	const char *what;
	enum verdict verdict;
	char text[640], advice[400];
};

static void good(struct finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void good(struct finding *finding, const char *format, ...)
{
	va_list list;

	finding->verdict = GOOD;
	va_start(list, format);
	vsnprintf(finding->text, sizeof(finding->text), format, list);
	va_end(list);
}

static void ill(struct finding *finding, enum verdict verdict, const char *text, const char *advice)
{
	finding->verdict = verdict;
	snprintf(finding->text, sizeof(finding->text), "%s", text);
	snprintf(finding->advice, sizeof(finding->advice), "%s", advice);
}

static void check_cpu(struct finding *finding, const struct bv_host *host)
{
	finding->what = "processor";
	if (host->svm || host->vmx)
		good(finding, "%s, %u CPUs, with %s", host->cpu, host->cpus,
		     host->svm ? "AMD-V (svm)" : "VT-x (vmx)");
	else
		ill(finding, BAD,
		    "it shows no virtualization: neither svm nor vmx in /proc/cpuinfo",
		    "Switch it on in the firmware's setup (SVM, AMD-V, VT-x); in a virtual "
		    "machine, "
		    "ask for nested virtualization.");
}

static void check_module(struct finding *finding, const struct bv_host *host)
{
	finding->what = "module";
	if (host->module[0])
		good(finding, "%s is loaded", host->module);
	else if (host->device)
		ill(finding, NOTE,
		    "/dev/kvm is there, but none of bivisor, kvm_amd, kvm_intel is "
		    "loaded: it is built in, or something else",
		    "");
	else
		ill(finding, BAD, "none is loaded: there is no /dev/kvm",
		    "As root: modprobe bivisor, or kvm_amd, or kvm_intel.");
}

static void check_permission(struct finding *finding, const struct bv_host *host)
{
	finding->what = "permission";
	if (!host->device)
		ill(finding, BAD, "there is no /dev/kvm to be allowed to use", "");
	else if (host->readable)
		good(finding, "you may use /dev/kvm");
	else
		ill(finding, BAD, "you may not use /dev/kvm",
		    "As root: adduser YOU kvm; then log in anew.");
}

/* A device on which ordinary guests do not run answers all questions well, and a tiny guest may
 * run on it: where the processor lacks what it takes, there is nothing to be learnt from
 * trying. */
static void check_guest(struct finding *finding, const struct bv_host *host)
{
	struct vmm_host probe;

	finding->what = "a guest";
	if (host->trouble)
		ill(finding, BAD, host->why, host->advice);
	else if (!vmm_host_probe(&probe))
		ill(finding, BAD, probe.why, probe.hint);
	else
		good(finding, "a tiny guest runs; up to %u CPUs a VM%s", probe.cpus_max,
		     probe.bivisor ? ", on Bivisor's module" : "");
}

static void check_memory(struct finding *finding, const struct bv_host *host)
{
	char all[16], left[16], text[128];

	finding->what = "memory";
	bv_human_size(host->memory, all);
	bv_human_size(host->memory_free, left);
	good(finding, "%s of %s are free", left, all);
	snprintf(text, sizeof(text), "only %s of %s are free", left, all);
	if (host->memory_free < 768ull << 20)
		ill(finding, NOTE, text, "Give VMs less: --memory 256M.");
}

static void check_disk(struct finding *finding)
{
	const char *place = bv_places()->data;
	struct statvfs fs;
	char text[128], left[16];

	finding->what = "disk";
	if (statvfs(place, &fs)) {
		ill(finding, BAD, "the place for disks cannot be looked at", strerror(errno));
		return;
	}
	bv_human_size((uint64_t)fs.f_bavail * fs.f_frsize, left);
	good(finding, "%s are free in %.300s", left, place);
	snprintf(text, sizeof(text), "only %s are free where disks are kept", left);
	if ((uint64_t)fs.f_bavail * fs.f_frsize < 4ull << 30)
		ill(finding, NOTE, text, "BV_HOME=DIRECTORY keeps all of it elsewhere; see bv(1).");
}

static void check_tun(struct finding *finding)
{
	finding->what = "tap nets";
	if (!access("/dev/net/tun", R_OK | W_OK))
		good(finding, "/dev/net/tun can be used; user nets need nothing");
	else
		ill(finding, NOTE,
		    errno == ENOENT ? "there is no /dev/net/tun; user nets work without" :
				      "you may not use /dev/net/tun; user nets work without",
		    errno == ENOENT ? "As root: modprobe tun." :
				      "A tap that root made for you: ip tuntap add mode tap user "
				      "YOU name tap0.");
}

static void check_firmware(struct finding *finding)
{
	bool uefi = bv_firmware_find(BV_FIRMWARE_UEFI, NULL);
	bool bios = bv_firmware_find(BV_FIRMWARE_BIOS, NULL);

	finding->what = "firmware";
	if (uefi && bios)
		good(finding, "UEFI (ovmf) and BIOS (seabios) are installed");
	else
		ill(finding, NOTE,
		    uefi ? "BIOS is not installed" :
		    bios ? "UEFI is not installed" :
			   "neither UEFI nor BIOS is installed; kernels start without",
		    uefi ? "apt install seabios" :
		    bios ? "apt install ovmf" :
			   "apt install ovmf seabios");
}

static void check_tools(struct finding *finding)
{
	static const struct {
		const char *program, *package;
	} tools[] = {
		{ "mmdebstrap", "mmdebstrap" },
		{ "mke2fs", "e2fsprogs" },
		{ "sfdisk", "fdisk" },
		{ "mkfs.vfat", "dosfstools" },
		{ "mcopy", "mtools" },
		{ "grub-mkimage", "grub-common" },
		{ "fakeroot", "fakeroot" },
		{ "qemu-img", "qemu-utils" },
		{ "qemu-storage-daemon", "qemu-system-common" },
	};
	char missing[256] = "apt install";
	unsigned int count = 0;

	finding->what = "tools";
	for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
		size_t used = strlen(missing);

		if (bv_tool_exists(tools[i].program))
			continue;
		count++;
		snprintf(missing + used, sizeof(missing) - used, " %s", tools[i].package);
	}
	if (count)
		ill(finding, NOTE, "some that build images and serve qcow2 disks are missing",
		    missing);
	else
		good(finding, "all that build images and serve qcow2 disks are there");
}

static void print_finding(const struct finding *finding)
{
	static const char *const words[] = { "ok", "note", "BAD" };

	printf("%-5s %-11s %s\n", words[finding->verdict], finding->what, finding->text);
	if (finding->advice[0])
		printf("%17s -> %s\n", "", finding->advice);
}

static json_t *finding_json(const struct finding *finding)
{
	static const char *const words[] = { "ok", "note", "bad" };

	return json_pack("{s:s, s:s, s:s, s:s}", "what", finding->what, "verdict",
			 words[finding->verdict], "text", finding->text, "advice", finding->advice);
}

static int report(struct bv_call *call, const struct finding *findings, unsigned int count,
		  bool usable, struct bv_error *error)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < count; i++) {
		if (!call->json)
			print_finding(&findings[i]);
		json_array_append_new(list, finding_json(&findings[i]));
	}
	if (call->json)
		return bv_json_out(json_pack("{s:b, s:o}", "usable", usable, "findings", list),
				   error);
	json_decref(list);
	if (usable)
		puts("\nVMs run on this machine. The first one: bv run debian");
	else
		puts("\nVMs do not run on this machine as it is. " BV_HOST_OTHERWISE);
	return 0;
}

int bv_cmd_doctor(struct bv_call *call, struct bv_error *error)
{
	struct finding findings[9];
	unsigned int count = 0;
	bool usable = true;
	struct bv_host host;

	memset(findings, 0, sizeof(findings));
	bv_host_look(&host);
	check_cpu(&findings[count++], &host);
	check_module(&findings[count++], &host);
	check_permission(&findings[count++], &host);
	check_guest(&findings[count++], &host);
	check_memory(&findings[count++], &host);
	check_disk(&findings[count++]);
	check_tun(&findings[count++]);
	check_firmware(&findings[count++]);
	check_tools(&findings[count++]);
	for (unsigned int i = 0; i < count; i++)
		usable &= findings[i].verdict != BAD;
	call->exit = usable ? BV_OK : BV_NO_VIRT;
	return report(call, findings, count, usable, error);
}
