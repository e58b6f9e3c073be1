/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hypervisor below the machine: all that vmm/ asks of it. Behind it is /dev/kvm (hv_kvm*.c);
 * nothing else in vmm/ includes its header.
 *
 * Interrupt controllers, timer chip and the CPUs' local APICs are the hypervisor's.
 */
#ifndef VMM_HV_H
#define VMM_HV_H

#include "vmm/why.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hv;
struct hv_vcpu;
struct snap;

#define HV_GSI_MSI 24 /* the first that is not a pin of the I/O APIC: for hv_msi_route() */
#define HV_GSI_MAX 512

/* ---- the VM -------------------------------------------------------------------------------- */

/**
 * hv_open() - Makes a VM without memory and vCPUs.
 *
 * Refuses in words where there is no usable hypervisor; then errno is that of the device, EPROTO if
 * it is no hypervisor of a kind that is known.
 */
struct hv *hv_open(struct why *why);
void hv_close(struct hv *hv);
unsigned int hv_cpus_max(struct hv *hv);
bool hv_is_bivisor(void);

/**
 * hv_memory_set() - Puts memory of this process where the guest sees it; size 0 takes it away.
 * @slot: which range of memory this is, for changes
 *
 * Return: 0, or -1 with errno.
 */
int hv_memory_set(struct hv *hv, unsigned int slot, uint64_t gpa, uint64_t size, void *host,
		  bool read_only);

/* The level of a pin of the interrupt controllers. */
void hv_irq_set(struct hv *hv, unsigned int gsi, bool level);
void hv_msi_send(struct hv *hv, uint64_t address, uint32_t data);

/*
 * A GSI of one's own that sends a message, for eventfds that the kernel signals (vhost).
 * hv_msi_alloc() returns the GSI, -1 if there are no more.
 */
int hv_msi_alloc(struct hv *hv);
void hv_msi_free(struct hv *hv, int gsi);
int hv_msi_route(struct hv *hv, int gsi, uint64_t address, uint32_t data);
int hv_irqfd(struct hv *hv, int gsi, int fd, bool on);

/* Guest writes of two bytes to the port signal the eventfd instead of reaching user space. */
int hv_ioeventfd(struct hv *hv, uint16_t port, int fd, bool on);

/* ---- vCPUs --------------------------------------------------------------------------------- */

enum hv_exit_kind {
	HV_EXIT_IO, /* a port access: write it, or put what is read into data */
	HV_EXIT_MMIO, /* the same of memory that is none */
	HV_EXIT_INTR, /* nothing: a signal, or hv_vcpu_kick() */
	HV_EXIT_SHUTDOWN, /* a triple fault */
	HV_EXIT_DEBUG, /* a breakpoint, watchpoint or step of the debugger's */
	HV_EXIT_OTHER, /* nothing to do; counted */
	HV_EXIT_FAILED, /* the vCPU cannot go on; why says more */
	HV_EXITS,
};

struct hv_exit {
	enum hv_exit_kind kind;
	bool write;
	uint8_t size; /* bytes of an access */
	uint32_t count; /* accesses one after the other, size bytes each in data (string I/O) */
	uint64_t address;
	void *data;
	uint64_t dr6; /* HV_EXIT_DEBUG: what it was, as DR6 */
};

/**
 * hv_vcpu_create() - A vCPU, in the state after a reset.
 * @cpus: of the VM, for the topology that CPUID shows
 */
struct hv_vcpu *hv_vcpu_create(struct hv *hv, unsigned int id, unsigned int cpus, struct why *why);
void hv_vcpu_close(struct hv_vcpu *vcpu);

/**
 * hv_vcpu_run() - Runs the guest until something is to do. By the vCPU's own thread only.
 */
void hv_vcpu_run(struct hv_vcpu *vcpu, struct hv_exit *exit, struct why *why);

/* Finishes the access of the last exit without running the guest any further. */
void hv_vcpu_finish(struct hv_vcpu *vcpu);

/* The next or the present hv_vcpu_run() returns at once. The thread needs a signal besides. */
void hv_vcpu_kick(struct hv_vcpu *vcpu);
void hv_vcpu_unkick(struct hv_vcpu *vcpu);

int hv_vcpu_nmi(struct hv_vcpu *vcpu);

/* How a loader wants the first vCPU to begin. */
struct hv_start {
	enum {
		HV_START_RESET,
		HV_START_PROTECTED,
		HV_START_LONG
	} mode;
	uint64_t rip, rsp, rbx, rsi;
	uint64_t cr3; /* HV_START_LONG */
	uint64_t gdt; /* gpa of a table with code at 0x10, data at 0x18 */
	uint16_t gdt_limit;
};

int hv_vcpu_start(struct hv_vcpu *vcpu, const struct hv_start *start);

/* ---- state: while no vCPU runs ------------------------------------------------------------- */

/*
 * Both ways, as the stream says: see snap.h. What CPUID shows is loaded before the rest, and before
 * the vCPU has run; a guest that was shown more than there is here spoils the stream.
 */
void hv_vcpu_cpuid_state(struct hv_vcpu *vcpu, struct snap *snap);
void hv_vcpu_state(struct hv_vcpu *vcpu, struct snap *snap);
void hv_chips_state(struct hv *hv, struct snap *snap);

/* ---- debugging ----------------------------------------------------------------------------- */

#define HV_REGS 26

/*
 * In GDB's order for x86-64: rax rbx rcx rdx rsi rdi rbp rsp r8-r15 rip eflags cs ss ds es fs gs;
 * then the bases of fs and gs.
 */
int hv_vcpu_regs_get(struct hv_vcpu *vcpu, uint64_t regs[HV_REGS]);
int hv_vcpu_regs_set(struct hv_vcpu *vcpu, const uint64_t regs[HV_REGS]);

/* It waits for an interrupt, or for another vCPU to start it. */
bool hv_vcpu_is_halted(struct hv_vcpu *vcpu);

/* A guest-virtual address through the vCPU's page tables. */
bool hv_vcpu_translate(struct hv_vcpu *vcpu, uint64_t gva, uint64_t *gpa);

struct hv_debug {
	bool on, step, int3; /* int3: the guest's breakpoint instructions are the debugger's */
	uint64_t address[4];
	uint64_t dr7;
};

int hv_vcpu_debug(struct hv_vcpu *vcpu, const struct hv_debug *debug);

#endif
