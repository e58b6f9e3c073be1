/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One VM: what the parts of the machine share. A part is a file (a chip, a device, a server of a
 * socket) that is made once at the start, hangs itself in the buses and in the list of devices, and
 * finds everything else through struct vm.
 *
 * All but what is marked is guarded by the machine's lock (loop.h).
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include "vmm/bus.h"
#include "vmm/hv.h"
#include "vmm/loop.h"
#include "vmm/mem.h"
#include "vmm/vcpu.h"
#include "vmm/vmm.h"
#include "vmm/why.h"

#include <sys/types.h>

struct snap;
struct pci;
struct pm;
struct serial;
struct rtc;
struct console;
struct control;
struct fwcfg;
struct flash;
struct gdb;
struct block;
struct net;
struct balloon;
struct acpi;

/* What has state to be reset, saved and loaded, in the order of being made. */
struct vm_device {
	const char *name; /* of its section in a snapshot: unique */
	unsigned int version;
	void (*reset)(void *owner); /* or NULL */
	void (*state)(void *owner, struct snap *snap); /* or NULL */
	void (*quiesce)(void *owner, bool on); /* or NULL: no more work from outside */
	void (*destroy)(void *owner); /* or NULL: somebody else does */
	void *owner;
	struct vm_device *next;
};

enum vm_state {
	VM_STARTING,
	VM_RUNNING,
	VM_PAUSED,
	VM_ENDED,
};

struct vm {
	const struct vmm_config *config; /* constant */
	struct hv *hv; /* constant after start */
	struct mem mem; /* constant after start */
	struct cpus cpus; /* has a lock of its own */
	struct loop loop;
	struct bus ports;
	struct bus mmio;
	struct vm_device *devices;
	struct vm_device **devices_end;
	enum vm_state state;
	bool bivisor; /* the hypervisor is ours */
	int statm; /* /proc/self/statm, open; -1: not to be had */
	bool panicked;
	bool reset_wanted;
	unsigned int resets;
	uint64_t started_at; /* loop_now() */
	struct vmm_end end;
	struct loop_fd signals;
	pid_t helpers[VMM_DISKS_MAX + VMM_SHARES_MAX]; /* processes; constant after start */
	unsigned int helpers_count;

	/* The parts; NULL: this VM has none. */
	struct pci *pci;
	struct pm *pm;
	struct serial *serial;
	struct rtc *rtc;
	struct console *console;
	struct control *control;
	struct fwcfg *fwcfg;
	struct flash *flash;
	struct gdb *gdb;
	struct balloon *balloon;
	struct block *blocks;
	struct net *nets;
};

/* For vm.c, and for tests of the parts: an empty VM; all its devices; as after power-on. */
void vm_init(struct vm *vm, const struct vmm_config *config);
int vm_make_parts(struct vm *vm, struct why *why);
void vm_reset_parts(struct vm *vm);
void vm_free_parts(struct vm *vm);

void vm_device_add(struct vm *vm, struct vm_device *device);
void vm_device_remove(struct vm *vm, struct vm_device *device);

/**
 * vm_end() - Ends the VM; the first end counts. From any thread, lock held.
 */
void vm_end(struct vm *vm, enum vmm_end_kind kind, int code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Resets the machine, or ends it, as configured: soon, in the loop. Lock held. */
void vm_reset(struct vm *vm);

/* Bytes of this process in the host's memory, the guest's with them. */
uint64_t vm_process_resident(const struct vm *vm);

/* What was written to port 0xcf9, the reset register. */
void vm_reset_port(struct vm *vm, uint8_t value);

/*
 * In the loop's thread, lock held; the lock is let go while vCPUs come to rest.
 */
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);

/*
 * Tells all who listen. The members are in the form of jansson's json_pack(): "{s:s}" and so on,
 * "{}" for none.
 */
void vm_event(struct vm *vm, const char *event, const char *members, ...);

#endif
