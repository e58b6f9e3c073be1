/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the Xen front asks of its host beyond bv/host.h. Link-time, like that: hosts/metal and
 * hosts/fake define every function. Contexts are named as there: sleep, any, irqs off.
 *
 * The host's picture of a guest: a domain is a bag of vCPUs for the scheduler; a vCPU is a thread
 * with a stack of its own, in which the front runs (bvx_vcpu_thread in xen.h) and which may sleep.
 * Threads give way where they sleep, at bvx_host_yield, and before they enter the guest; a thread
 * in the guest can be preempted at any moment.
 */
#ifndef BVX_OS_H
#define BVX_OS_H

#include "bv/host.h"
#include "bv/types.h"

struct bv_run;
struct bvx_domain;
struct bvx_vcpu;

/* ---- frames ---- */

/*
 * 2^order machine frames for a guest, contiguous, aligned to their size, zeroed: what another guest
 * had in them is gone. Never frames that a device or the firmware owns. below: the machine address
 * that all of it must lie below; 0: anywhere. -BV_ENOMEM. Larger orders may give way between pages
 * that have to be zeroed. sleep.
 */
int bvx_host_frames_alloc(unsigned int order, u64 below, struct bv_mfn *mfn);
/*
 * The same for this very frame: Dom0's memory stays where its devices reach it, so what it gave up
 * it gets back only so. -BV_EBUSY: it is in use. sleep.
 */
int bvx_host_frame_take(struct bv_mfn mfn);
/*
 * Gives frames back: any frames, not only whole allocations. Their contents are the guest's until
 * the host has scrubbed them (now, when idle, or before they are given out again). any.
 */
void bvx_host_frames_free(struct bv_mfn mfn, unsigned int order);
/* Where a frame of RAM lies in our address space: constant, always mapped. NULL: not RAM. any. */
void *bvx_host_frame_va(struct bv_mfn mfn);

/* Frame numbers have at most as many bits: 16 TiB. */
#define BVX_MFN_BITS 32
struct bvx_host_memory {
	u64 total; /* frames of RAM in the machine */
	u64 free; /* can be allocated now, the unscrubbed ones too */
	u64 unscrubbed; /* of the free ones */
	u64 max_mfn; /* highest frame number of RAM, plus one */
};
void bvx_host_memory(struct bvx_host_memory *memory); /* any */

/* ---- CPUs ---- */

/* Highest number of physical CPUs, for masks. */
#define BVX_MAX_CPUS 256
struct bvx_cpumask {
	u64 bits[BVX_MAX_CPUS / 64];
};

struct bvx_host_machine {
	u32 cpus; /* online */
	u32 max_cpu; /* one more than the highest CPU number, online or not */
	u32 threads_per_core, cores_per_socket, nodes; /* at least 1 each */
	u32 khz; /* of a CPU: the TSC's frequency */
	bool iommu; /* devices reach only what Dom0 was given */
};
void bvx_host_machine(struct bvx_host_machine *machine); /* any */

struct bvx_host_cpu {
	bool present, online;
	u32 core, socket, node, apic_id, acpi_id;
	u64 idle_ns; /* time in which it had nothing to run */
};
/* false: no such CPU. any. */
bool bvx_host_cpu_info(unsigned int cpu, struct bvx_host_cpu *info);
/* The CPUID instruction of the machine itself: EAX, EBX, ECX, EDX. any. */
void bvx_host_cpuid(u32 leaf, u32 subleaf, u32 out[4]);
/* An MSR of the machine that tells features; false: it has none of that number. any. */
bool bvx_host_msr(u32 index, u64 *value);

/* ---- scheduling ---- */

/* The host's part of a domain; NULL: no memory. sleep. */
void *bvx_host_domain_new(u32 domid);
void bvx_host_domain_free(void *host_domain); /* all its vCPUs are freed. sleep */

struct bvx_host_share {
	u16 weight; /* 1 to 65535; 256 is the default */
	u16 cap; /* percent of one CPU; 0: none */
};
void bvx_host_domain_share(void *host_domain, const struct bvx_host_share *share); /* any */

/*
 * A thread for a vCPU; it does not run before start. The pointer is the engine vCPU's host cookie
 * too (bv_vcpu_host). NULL: no memory. sleep.
 */
void *bvx_host_vcpu_new(void *host_domain, struct bvx_vcpu *vcpu);
/* The engine's vCPU is there: from now on the thread runs bvx_vcpu_thread(vcpu). Once. sleep. */
void bvx_host_vcpu_start(void *host_vcpu, struct bv_vcpu *vcpu);
/* Waits until bvx_vcpu_thread has returned; at once if start was never called. sleep. */
void bvx_host_vcpu_join(void *host_vcpu);
/* After join and after the engine's vCPU is gone. sleep. */
void bvx_host_vcpu_free(void *host_vcpu);
/*
 * Raises or takes back "a signal is pending": as long as it stands, bv_host_guest_enter and
 * bv_host_vcpu_wait return -BV_EINTR on that thread. Raising wakes the vCPU from bv_host_vcpu_wait
 * and interrupts it in the guest. any.
 */
void bvx_host_vcpu_signal(void *host_vcpu, bool pending);
/* Where it may run, and where it is best (soft: only wishes). Moves it now where it must. sleep. */
void bvx_host_vcpu_affinity(void *host_vcpu, const struct bvx_cpumask *hard,
			    const struct bvx_cpumask *soft);

enum bvx_host_state {
	BVX_RUNNING, /* on a CPU */
	BVX_RUNNABLE, /* waits for one */
	BVX_BLOCKED, /* in bv_host_vcpu_wait or bvx_host_wait */
	BVX_OFFLINE, /* not started, or told so by bvx_host_vcpu_offline */
	BVX_STATES
};
struct bvx_host_runtime {
	enum bvx_host_state state;
	u64 since_ns; /* bv_host_ns() when it went into that state */
	u64 ns[BVX_STATES]; /* in each so far, up to now */
	u32 cpu; /* where it is, or was last */
};
void bvx_host_vcpu_runtime(void *host_vcpu, struct bvx_host_runtime *runtime); /* any */
/* From now on its waits count as offline (paused, not brought up), or as blocked again. any. */
void bvx_host_vcpu_offline(void *host_vcpu, bool offline);

/*
 * Gives way to whoever waits for this CPU. Also what a long hypercall calls between its steps:
 * cheap where nobody waits. sleep.
 */
void bvx_host_yield(void);
/*
 * The caller has nothing to do that matters: whoever else waits for this CPU goes first, however
 * much he has had. sleep.
 */
void bvx_host_give_way(void);
/* Whether somebody may wait for this CPU. any. */
bool bvx_host_is_waited_for(void);

/* Threads that wait until something is so. All zero is a queue on which nobody waits. */
struct bvx_waitq {
	u64 opaque[4];
};
/*
 * Sleeps until ready(arg): checked before sleeping, and after each wake; ready takes no locks that
 * sleep. Signals do not end it. sleep.
 */
void bvx_host_wait(struct bvx_waitq *queue, bool (*ready)(void *arg), void *arg);
/* All that wait look again. any. */
void bvx_host_wake(struct bvx_waitq *queue);

/* Something to be done soon in a thread of the host's, which may sleep. */
struct bvx_work {
	u64 opaque[4]; /* the host's; zeroed before the first use */
	void (*perform)(struct bvx_work *work);
};
/* Queues it; not again before perform was called. perform may free it. any. */
void bvx_host_work(struct bvx_work *work);

/* ---- words ---- */

/* A guest's text to the console (Dom0 raw, others by the front in lines); length bytes. any. */
void bvx_host_console_write(const char *text, size_t length);
/* A line about a guest, or of one (BV_LOG_DEBUG), with its end; as loud as guests may be. any. */
void bvx_host_guest_log(enum bv_log_level level, const char *text, size_t length);
/* Takes what was typed for Dom0: returns how many bytes. bvx_console_input tells of more. any. */
size_t bvx_host_console_read(char *text, size_t size);
/*
 * The log's ring (what bv_host_log and console_write put out, newest kept). *index: where to go on,
 * counted from the start of all; older than the oldest kept: there. Copies size bytes at most,
 * moves *index on, returns how many. any.
 */
size_t bvx_host_log_read(u64 *index, char *text, size_t size);
/* A reader with index 0 finds nothing of what was written until now. any. */
void bvx_host_log_clear(void);
u64 bvx_host_log_size(void); /* bytes that the ring can hold */
/* What Xen's debug keys do, as far as the host has it (registers, dump of its queues…). sleep. */
void bvx_host_debug_key(char key);

/* ---- the machine as a whole ---- */

enum bvx_host_end {
	BVX_END_POWEROFF,
	BVX_END_REBOOT,
	BVX_END_CRASH,
	BVX_END_WATCHDOG
};
/* Dom0 is gone: the machine ends so (or, with noreboot, stops and says why). sleep. */
void bvx_host_end(enum bvx_host_end how);
/*
 * Dom0's ACPI goes to sleep (XENPF_enter_acpi_sleep): state 3 or 5, with the values it read for
 * PM1A and PM1B control. Returns only after a wake-up or with an error. sleep.
 */
int bvx_host_acpi_sleep(u32 state, u32 pm1a, u32 pm1b);
/* A display of the machine. */
enum bvx_screen_kind {
	BVX_SCREEN_NONE,
	BVX_SCREEN_TEXT, /* VGA's text mode 3 */
	BVX_SCREEN_RGB /* a linear framebuffer */
};
struct bvx_screen {
	enum bvx_screen_kind kind;
	bool efi; /* the firmware is UEFI */
	u32 width, height; /* in characters, or in pixels */
	u32 pitch, depth; /* RGB: bytes a line, bits a pixel */
	u64 address; /* RGB: of its first pixel */
	u8 color[6]; /* RGB: position and bits of red, green, blue in a pixel */
	u8 font_height; /* text: lines of a character */
	u8 cursor_x, cursor_y; /* text */
};
/* The display as the loader left it. any. */
const struct bvx_screen *bvx_host_screen(void);
/* Sets the wall clock: bv_host_wall_ns() at the moment when bv_host_ns() was system_ns. any. */
void bvx_host_wall_set(u64 wall_ns, u64 system_ns);
/* The command line of the hypervisor. any. */
const char *bvx_host_command_line(void);

/* ---- Dom0's hardware ---- */

/*
 * Dom0 touched a port or an address that no device of the engine has and that no frame lies under
 * (run->reason BV_RUN_IO with data at io_page, or BV_RUN_MMIO): the host carries it out and puts
 * the answer where bv/vm.h says. What nobody has reads as ones. sleep.
 */
void bvx_host_dom0_access(struct bvx_vcpu *vcpu, struct bv_run *run, void *io_page);
/*
 * A vCPU of Dom0 ended a level interrupt (BV_RUN_EOI with this vector): the host's I/O APICs go on.
 * Dom0's engine VM is made with bv_irqchip_create_split(vm, bvx_host_gsis()) and the host sets its
 * routes. any.
 */
void bvx_host_dom0_eoi(u8 vector);

/*
 * What lies under Dom0's guest frames [gfn, gfn + count) has changed: its devices may read or write
 * [mfn, mfn + count) there, or nothing. One call at a time. sleep.
 */
void bvx_host_dom0_dma(struct bv_gfn gfn, struct bv_mfn mfn, u64 count, bool read, bool write);
/*
 * When it returns, no device reaches what was there before the calls until now. One at a time, with
 * those. sleep.
 */
void bvx_host_dom0_dma_done(void);

struct bvx_pci {
	u16 segment;
	u8 bus, devfn;
};
/* A device that Dom0 found (PHYSDEVOP_pci_device_add), or lost. sleep. */
struct bvx_pci_info {
	bool extended_function, virtual_function;
	struct bvx_pci physical; /* of a virtual function: its physical one */
	u32 node; /* ~0: unknown */
};
int bvx_host_pci_add(struct bvx_pci pci, const struct bvx_pci_info *info);
int bvx_host_pci_remove(struct bvx_pci pci);
/* PCI configuration space of a segment's buses lies at `address` in memory (or no more). sleep. */
int bvx_host_pci_mmcfg(u64 address, u16 segment, u8 first_bus, u8 last_bus, bool used);
/* The NUMA node of a known device; -BV_ENODEV. any. */
int bvx_host_pci_node(struct bvx_pci pci, u32 *node);
/* Before and after an MSI-X device is given to a driver outside of its own. sleep. */
int bvx_host_pci_msix(struct bvx_pci pci, bool prepare);
/* How many interrupt lines (GSIs) the machine's I/O APICs have. any. */
u32 bvx_host_gsis(void);

#endif
