// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Can VMs run here? Looks at /dev/kvm and tries it out with a tiny guest, because there are
 * machines whose /dev/kvm answers and yet runs no ordinary guest.
 *
 * The guest is in long mode, asks CPUID and an MSR, loads CR3, takes an exception, and writes a
 * byte to a port after each step. What it writes is what its writer expects, or the hypervisor is
 * no good.
 */
#include "vmm/hv.h"
#include "vmm/vmm.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PROBE_MEMORY (2u << 20)
#define PROBE_WAITS 150
#define PROBE_WAIT_NS 10000000
#define PROBE_PML4 0x1000
#define PROBE_PDPT 0x2000
#define PROBE_PD 0x3000
#define PROBE_GDT 0x4000
#define PROBE_IDT 0x5000
#define PROBE_CODE 0x6000
#define PROBE_STACK 0x8000
#define PROBE_PORT 0xf4

/*
 *	xor eax, eax; cpuid; mov al, 1; out 0xf4, al
 *	mov ecx, 0xc0000080; rdmsr; and eax, 0x500; shr eax, 8; out 0xf4, al	(EFER: 5)
 *	mov rax, cr3; mov cr3, rax; mov al, 2; out 0xf4, al
 *	ud2	(goes to the handler)
 */
static const uint8_t CODE[] = {
	0x31, 0xc0, 0x0f, 0xa2, 0xb0,	    0x01, 0xe6, PROBE_PORT, 0xb9, 0x80,
	0x00, 0x00, 0xc0, 0x0f, 0x32,	    0x25, 0x00, 0x05,	    0x00, 0x00,
	0xc1, 0xe8, 0x08, 0xe6, PROBE_PORT, 0x0f, 0x20, 0xd8,	    0x0f, 0x22,
	0xd8, 0xb0, 0x02, 0xe6, PROBE_PORT, 0x0f, 0x0b,
};

/* mov al, 3; out 0xf4, al; hlt; jmp back */
static const uint8_t HANDLER[] = { 0xb0, 0x03, 0xe6, PROBE_PORT, 0xf4, 0xeb, 0xfd };
static const uint8_t EXPECTED[] = { 1, 5, 2, 3 };

struct probe {
	struct hv *hv;
	struct hv_vcpu *vcpu;
	uint8_t *memory;
	uint8_t said[sizeof(EXPECTED)];
	size_t count;
	_Atomic bool stop;
	struct why why;
};

static void put64(struct probe *probe, size_t at, uint64_t value)
{
	memcpy(probe->memory + at, &value, sizeof(value));
}

static void fill_memory(struct probe *probe)
{
	uint64_t handler = PROBE_CODE + 0x100;

	put64(probe, PROBE_PML4, PROBE_PDPT | 3);
	put64(probe, PROBE_PDPT, PROBE_PD | 3);
	put64(probe, PROBE_PD, 0x83);
	put64(probe, PROBE_GDT + 0x10, 0x00af9b000000ffff);
	put64(probe, PROBE_GDT + 0x18, 0x00cf93000000ffff);
	put64(probe, PROBE_IDT + 6 * 16, (handler & 0xffff) | 0x10u << 16 | 0x8e00ull << 32);
	/* lidt [PROBE_IDT - 16]: the descriptor lies before the table */
	put64(probe, PROBE_IDT - 16, 0xfff | (uint64_t)PROBE_IDT << 16);
	memcpy(probe->memory + PROBE_CODE,
	       (uint8_t[]){ 0x0f, 0x01, 0x1c, 0x25, (PROBE_IDT - 16) & 0xff,
			    (PROBE_IDT - 16) >> 8 & 0xff, 0, 0 },
	       8);
	memcpy(probe->memory + PROBE_CODE + 8, CODE, sizeof(CODE));
	memcpy(probe->memory + handler, HANDLER, sizeof(HANDLER));
}

static void *run_probe(void *argument)
{
	struct probe *probe = argument;
	struct hv_exit exit = { .kind = HV_EXIT_OTHER };

	while (probe->count < sizeof(EXPECTED) && !probe->stop) {
		hv_vcpu_run(probe->vcpu, &exit, &probe->why);
		if (exit.kind == HV_EXIT_INTR) /* a signal of anybody's says nothing of the guest */
			continue;
		if (exit.kind != HV_EXIT_IO || exit.address != PROBE_PORT || !exit.write)
			break;
		probe->said[probe->count++] = *(uint8_t *)exit.data;
	}
	return NULL;
}

static void nothing(int number)
{
	(void)number;
}

/* Whether it ended within a short while. */
static bool has_ended(pthread_t thread)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += PROBE_WAIT_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	return pthread_timedjoin_np(thread, NULL, &until) == 0;
}

/*
 * At most 1.5 s, in many short waits: on a machine that is so busy that the guest does not get
 * its turn, this thread does not get its own either.
 */
static void run_bounded(struct probe *probe)
{
	struct sigaction action = { .sa_handler = nothing };
	pthread_t thread;
	unsigned int i;

	sigaction(SIGUSR1, &action, NULL);
	if (pthread_create(&thread, NULL, run_probe, probe))
		return;
	for (i = 0; i < PROBE_WAITS; i++)
		if (has_ended(thread))
			return;
	probe->stop = true;
	hv_vcpu_kick(probe->vcpu);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
}

static int start_probe(struct probe *probe, struct why *why)
{
	struct hv_start start = {
		.mode = HV_START_LONG,
		.rip = PROBE_CODE,
		.rsp = PROBE_STACK,
		.cr3 = PROBE_PML4,
		.gdt = PROBE_GDT,
		.gdt_limit = 0x1f,
	};

	fill_memory(probe);
	if (hv_memory_set(probe->hv, 0, 0, PROBE_MEMORY, probe->memory, false))
		return why_set(why, "/dev/kvm refuses memory: %s", strerror(errno));
	probe->vcpu = hv_vcpu_create(probe->hv, 0, 1, why);
	if (!probe->vcpu)
		return -1;
	if (hv_vcpu_start(probe->vcpu, &start))
		return why_set(why, "/dev/kvm refuses 64-bit mode: %s", strerror(errno));
	return 0;
}

static int judge(const struct probe *probe, struct why *why)
{
	if (probe->count == sizeof(EXPECTED) && !memcmp(probe->said, EXPECTED, sizeof(EXPECTED)))
		return 0;
	why_set(why,
		"/dev/kvm answers, but a small 64-bit guest does not run on it (%zu of %zu "
		"steps%s%s)",
		probe->count, sizeof(EXPECTED), probe->why.text[0] ? ": " : "", probe->why.text);
	return why_hint(why, "this is no processor's virtualization: use a machine with AMD-V or "
			     "VT-x, or a VM with nested virtualization");
}

static int try_guest(struct hv *hv, struct why *why)
{
	struct probe probe = { .hv = hv };
	int error = -1;

	probe.memory = mmap(NULL, PROBE_MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	if (probe.memory == MAP_FAILED)
		return why_set(why, "no memory");
	if (start_probe(&probe, why) == 0) {
		run_bounded(&probe);
		error = judge(&probe, why);
	}
	if (probe.vcpu)
		hv_vcpu_close(probe.vcpu);
	munmap(probe.memory, PROBE_MEMORY);
	return error;
}

/*
 * A /dev/kvm on a processor that shows neither extension is a software kind, on which stock kernels
 * hang, whatever a tiny guest does. A word of /proc/cpuinfo's flags line is asked for.
 */
static bool has_extension(void)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[8192];
	bool found = false;

	if (!file)
		return true;
	while (!found && fgets(line, sizeof(line), file))
		found = !strncmp(line, "flags", 5) &&
			(strstr(line, " svm ") || strstr(line, " vmx ") || strstr(line, " svm\n") ||
			 strstr(line, " vmx\n"));
	fclose(file);
	return found;
}

static int probe_guest(struct vmm_host *host, struct hv *hv, struct why *why)
{
	int error = try_guest(hv, why);

	if (!error && !has_extension()) {
		why_set(why, "/dev/kvm answers, but the processor shows neither AMD-V nor VT-x: "
			     "ordinary kernels do not run on such a device");
		error = why_hint(why, "use a machine with AMD-V or VT-x, or a VM with nested "
				      "virtualization");
	}
	host->state = error ? VMM_HOST_CANNOT_RUN : VMM_HOST_READY;
	return error;
}

static enum vmm_host_state state_of(int error)
{
	switch (error) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return VMM_HOST_NO_DEVICE;
	case EACCES:
	case EPERM:
		return VMM_HOST_NO_PERMISSION;
	case EPROTO:
		return VMM_HOST_NOT_KVM;
	default:
		return VMM_HOST_LACKS;
	}
}

bool vmm_host_probe(struct vmm_host *host)
{
	struct why why = { 0 };
	struct hv *hv;

	memset(host, 0, sizeof(*host));
	host->bivisor = hv_is_bivisor();
	errno = 0;
	hv = hv_open(&why);
	if (hv) {
		host->cpus_max = hv_cpus_max(hv);
		probe_guest(host, hv, &why);
		hv_close(hv);
	} else {
		host->state = state_of(errno);
	}
	snprintf(host->why, sizeof(host->why), "%s", why.text);
	snprintf(host->hint, sizeof(host->hint), "%s", why.hint);
	return host->state == VMM_HOST_READY;
}
