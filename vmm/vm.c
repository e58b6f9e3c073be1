// SPDX-License-Identifier: GPL-2.0-or-later
/* One VM from beginning to end: see vm.h, and vmm.h for who calls. */
#include "vmm/vm.h"
#include "vmm/boot.h"
#include "vmm/chipset.h"
#include "vmm/console.h"
#include "vmm/control.h"
#include "vmm/flash.h"
#include "vmm/fwcfg.h"
#include "vmm/gdb.h"
#include "vmm/pci.h"
#include "vmm/pm.h"
#include "vmm/rtc.h"
#include "vmm/sandbox.h"
#include "vmm/serial.h"
#include "vmm/snapshot.h"
#include "vmm/virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define MEMORY_MIN (16ull << 20)
#define MEMORY_UNIT (2ull << 20)

const char *vmm_end_word(enum vmm_end_kind kind)
{
	static const char *const WORDS[] = {
		[VMM_END_POWEROFF] = "poweroff", [VMM_END_RESET] = "reset",
		[VMM_END_DEBUG] = "debug",	 [VMM_END_QUIT] = "quit",
		[VMM_END_SAVED] = "saved",	 [VMM_END_PANIC] = "panic",
		[VMM_END_REFUSED] = "refused",	 [VMM_END_FAILED] = "failed",
	};

	return WORDS[kind];
}

void vm_device_add(struct vm *vm, struct vm_device *device)
{
	device->next = NULL;
	*vm->devices_end = device;
	vm->devices_end = &device->next;
}

void vm_device_remove(struct vm *vm, struct vm_device *device)
{
	struct vm_device **at = &vm->devices;

	while (*at && *at != device)
		at = &(*at)->next;
	if (*at)
		*at = device->next;
	for (vm->devices_end = &vm->devices; *vm->devices_end;)
		vm->devices_end = &(*vm->devices_end)->next;
}

void vm_end(struct vm *vm, enum vmm_end_kind kind, int code, const char *format, ...)
{
	va_list arguments;

	if (vm->state == VM_ENDED)
		return;
	vm->state = VM_ENDED;
	vm->end.kind = kind;
	vm->end.code = code;
	va_start(arguments, format);
	vsnprintf(vm->end.why, sizeof(vm->end.why), format, arguments);
	va_end(arguments);
	loop_stop(&vm->loop);
}

void vm_reset(struct vm *vm)
{
	if (vm->config->reset_ends) {
		vm_end(vm, VMM_END_RESET, 0, "the guest reset its machine");
		return;
	}
	vm->reset_wanted = true;
	loop_kick(&vm->loop);
}

uint64_t vm_process_resident(const struct vm *vm)
{
	unsigned long long size, resident;
	char text[128] = "";

	if (vm->statm < 0 || pread(vm->statm, text, sizeof(text) - 1, 0) <= 0 ||
	    sscanf(text, "%llu %llu", &size, &resident) != 2)
		return 0;
	return resident * 4096;
}

static void quiesce(struct vm *vm, bool on)
{
	struct vm_device *device;

	for (device = vm->devices; device; device = device->next)
		if (device->quiesce)
			device->quiesce(device->owner, on);
}

void vm_pause(struct vm *vm)
{
	if (vm->state != VM_RUNNING)
		return;
	cpus_hold(&vm->cpus);
	quiesce(vm, true);
	if (vm->state == VM_RUNNING)
		vm->state = VM_PAUSED;
	vm_event(vm, "paused", "{}");
}

void vm_resume(struct vm *vm)
{
	if (vm->state != VM_PAUSED)
		return;
	vm->state = VM_RUNNING;
	quiesce(vm, false);
	cpus_release(&vm->cpus);
	vm_event(vm, "resumed", "{}");
}

/* ---- a machine as after power-on ----------------------------------------------------------- */

struct machine {
	struct vm vm;
	struct boot boot;
	struct snap fresh; /* vCPUs and chips as they were made */
};

void vm_cpuid_state(struct vm *vm, struct snap *snap)
{
	unsigned int i;

	for (i = 0; i < vm->cpus.count && !snap->bad; i++)
		hv_vcpu_cpuid_state(vm->cpus.all[i].hv, snap);
}

void vm_cpus_state(struct vm *vm, struct snap *snap)
{
	unsigned int i;

	hv_chips_state(vm->hv, snap);
	for (i = 0; i < vm->cpus.count; i++)
		hv_vcpu_state(vm->cpus.all[i].hv, snap);
}

void vm_reset_parts(struct vm *vm)
{
	struct vm_device *device;

	for (device = vm->devices; device; device = device->next)
		if (device->reset)
			device->reset(device->owner);
}

static struct vm_device *last_device(struct vm *vm)
{
	struct vm_device *device = vm->devices;

	while (device && device->next)
		device = device->next;
	return device;
}

/* The last made goes first: it may use those before it. */
void vm_free_parts(struct vm *vm)
{
	struct vm_device *device;

	while ((device = last_device(vm)) != NULL) {
		vm_device_remove(vm, device);
		if (device->destroy)
			device->destroy(device->owner);
	}
}

static int power_on(struct machine *machine, struct why *why)
{
	struct vm *vm = &machine->vm;
	struct hv_start start;

	vm_reset_parts(vm);
	if (boot_load(&machine->boot, vm, &start, why))
		return -1;
	if (hv_vcpu_start(vm->cpus.all[0].hv, &start))
		return why_set(why, "vCPU 0 refuses its first state: %s", strerror(errno));
	return 0;
}

static void do_reset(struct machine *machine)
{
	struct vm *vm = &machine->vm;
	struct why why = { 0 };

	vm->reset_wanted = false;
	cpus_hold(&vm->cpus);
	quiesce(vm, true);
	machine->fresh.load = true;
	machine->fresh.at = 0;
	machine->fresh.limit = machine->fresh.size;
	vm_cpus_state(vm, &machine->fresh);
	if (machine->fresh.bad)
		vm_end(vm, VMM_END_FAILED, 0, "the reset failed: %s", machine->fresh.why.text);
	else if (power_on(machine, &why))
		vm_end(vm, VMM_END_FAILED, 0, "the reset failed: %s", why.text);
	vm->resets++;
	vm->panicked = false;
	vm_event(vm, "reset", "{}");
	if (vm->state != VM_RUNNING)
		return;
	quiesce(vm, false);
	cpus_release(&vm->cpus);
}

static int reset_fill(void *owner, struct pollfd *set, int room, int *timeout)
{
	struct machine *machine = owner;

	(void)set;
	(void)room;
	if (machine->vm.reset_wanted)
		*timeout = 0;
	return 0;
}

static void reset_done(void *owner, struct pollfd *set, int count, bool error)
{
	struct machine *machine = owner;

	(void)set;
	(void)count;
	(void)error;
	if (machine->vm.reset_wanted && machine->vm.state != VM_ENDED)
		do_reset(machine);
	virtio_reap(&machine->vm);
}

/* ---- signals ------------------------------------------------------------------------------- */

static void signal_ready(void *owner, uint32_t events)
{
	struct vm *vm = owner;
	struct signalfd_siginfo info;

	(void)events;
	if (read(vm->signals.fd, &info, sizeof(info)) != sizeof(info))
		return;
	vm_end(vm, VMM_END_QUIT, 0, "bv was ended by the signal %s",
	       info.ssi_signo == SIGINT	 ? "SIGINT" :
	       info.ssi_signo == SIGTERM ? "SIGTERM" :
					   "SIGHUP");
}

static int open_signals(struct vm *vm)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	vm->signals = (struct loop_fd){ .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
					.ready = signal_ready,
					.owner = vm };
	if (vm->signals.fd < 0)
		return -1;
	return loop_add(&vm->loop, &vm->signals, EPOLLIN);
}

/* ---- making and unmaking ------------------------------------------------------------------- */

static int check_config(const struct vmm_config *config, struct why *why)
{
	if (config->cpus < 1 || config->cpus > VMM_CPUS_MAX)
		return why_set(why, "a VM has 1 to %u CPUs, not %u", VMM_CPUS_MAX, config->cpus);
	if (config->memory < MEMORY_MIN || config->memory % MEMORY_UNIT)
		return why_set(why, "a VM has at least 16 MiB of memory, in units of 2 MiB");
	if (config->disks_count > VMM_DISKS_MAX)
		return why_set(why, "a VM has at most %u disks", VMM_DISKS_MAX);
	if (config->nets_count > VMM_NETS_MAX)
		return why_set(why, "a VM has at most %u nets", VMM_NETS_MAX);
	if (config->shares_count > VMM_SHARES_MAX)
		return why_set(why, "a VM has at most %u shares", VMM_SHARES_MAX);
	return 0;
}

static int check_host(struct vm *vm, struct why *why)
{
	struct vmm_host host;

	if (!vmm_host_probe(&host)) {
		why_set(why, "%s", host.why);
		return why_hint(why, "%s", host.hint);
	}
	if (vm->config->cpus > host.cpus_max)
		return why_set(why, "this machine's hypervisor gives a VM at most %u CPUs",
			       host.cpus_max);
	return 0;
}

int vm_make_parts(struct vm *vm, struct why *why)
{
	vm->pci = pci_create(vm);
	vm->pm = pm_create(vm);
	vm->rtc = rtc_create(vm);
	vm->serial = serial_create(vm);
	if (!vm->pci || !vm->pm || !vm->rtc || !vm->serial || chipset_create(vm) ||
	    i8042_create(vm) || misc_create(vm) || (vm->config->firmware && fwcfg_create(vm)))
		return why_set(why, "no memory");
	vm->console = console_create(vm, why);
	if (!vm->console)
		return -1;
	return virtio_create_all(vm, why);
}

static int make_cpus(struct machine *machine, struct why *why)
{
	if (cpus_init(&machine->vm.cpus, &machine->vm, why))
		return -1;
	snap_init_save(&machine->fresh);
	vm_cpus_state(&machine->vm, &machine->fresh);
	machine->fresh.size = machine->fresh.at;
	if (machine->fresh.bad)
		return why_set(why, "%s", machine->fresh.why.text);
	return 0;
}

/* Helper processes serve devices on the guest's memory, so it must be one that can be shared. */
static bool has_helpers(const struct vmm_config *config)
{
	unsigned int i;

	for (i = 0; i < config->disks_count; i++)
		if (config->disks[i].format == VMM_DISK_QCOW2)
			return true;
	return config->shares_count > 0;
}

static int make_machine(struct machine *machine, struct why *why)
{
	struct vm *vm = &machine->vm;

	vm->bivisor = hv_is_bivisor();
	vm->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	vm->hv = hv_open(why);
	if (!vm->hv || mem_init(&vm->mem, vm->config->memory, has_helpers(vm->config), why) ||
	    mem_attach(&vm->mem, vm->hv, why) || boot_open(&machine->boot, vm, why) ||
	    vm_make_parts(vm, why) || make_cpus(machine, why))
		return -1;
	return control_create(vm, why) || gdb_create(vm, why) ? -1 : 0;
}

static void unmake_machine(struct machine *machine)
{
	struct vm *vm = &machine->vm;

	cpus_stop(&vm->cpus);
	loop_lock(&vm->loop);
	gdb_destroy(vm);
	virtio_destroy_all(vm);
	if (vm->console)
		console_destroy(vm->console);
	vm->console = NULL;
	flash_close(vm);
	vm_free_parts(vm);
	loop_unlock(&vm->loop);
	cpus_fini(&vm->cpus);
	boot_close(&machine->boot);
	if (vm->hv)
		hv_close(vm->hv);
	if (vm->mem.host)
		mem_fini(&vm->mem);
	if (vm->statm >= 0)
		close(vm->statm);
	snap_fini(&machine->fresh);
}

static int start(struct machine *machine, struct why *why)
{
	struct vm *vm = &machine->vm;
	bool run = !vm->config->start_paused;

	if (power_on(machine, why))
		return -1;
	if (vm->config->restore && snapshot_restore(vm, vm->config->restore, &run, why))
		return -1;
	if (!vm->config->no_sandbox && sandbox_enter(vm, why))
		return -1;
	if (cpus_start(&vm->cpus, why))
		return -1;
	vm->started_at = loop_now();
	vm->state = run && !vm->config->start_paused ? VM_RUNNING : VM_PAUSED;
	if (vm->state == VM_PAUSED)
		quiesce(vm, true);
	else
		cpus_release(&vm->cpus);
	vm_event(vm, "started", "{s:i}", "pid", getpid());
	return 0;
}

static void run(struct machine *machine, struct why *why)
{
	struct loop_poller resets = { .fill = reset_fill, .done = reset_done, .owner = machine };
	struct vm *vm = &machine->vm;

	loop_lock(&vm->loop);
	loop_poller_add(&vm->loop, &resets);
	if (make_machine(machine, why) == 0 && start(machine, why) == 0)
		loop_run(&vm->loop);
	else
		vm_end(vm, VMM_END_REFUSED, 0, "%s", why->text);
	loop_unlock(&vm->loop);
}

void vm_init(struct vm *vm, const struct vmm_config *config)
{
	memset(vm, 0, sizeof(*vm));
	vm->config = config;
	vm->devices_end = &vm->devices;
	vm->statm = -1;
}

int vmm_run(const struct vmm_config *config, struct vmm_end *end)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	struct vm *vm = &machine->vm;
	struct why why = { 0 };

	memset(end, 0, sizeof(*end));
	end->kind = VMM_END_REFUSED;
	if (!machine)
		return -1;
	vm_init(vm, config);
	machine->boot = (struct boot){ -1, -1, 0, 0 };
	if (loop_init(&vm->loop) || open_signals(vm) || check_config(config, &why) ||
	    check_host(vm, &why))
		vm_end(vm, VMM_END_REFUSED, 0, "%s", why.text);
	else
		run(machine, &why);
	snprintf(vm->end.hint, sizeof(vm->end.hint), "%s", why.hint);
	unmake_machine(machine);
	control_ended(vm);
	loop_fini(&vm->loop);
	*end = vm->end;
	free(machine);
	return end->kind >= VMM_END_PANIC ? -1 : 0;
}
