/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of hosts/metal offer each other. What each is, its head says; contexts are named
 * as in bv/host.h.
 */
#ifndef METAL_METAL_H
#define METAL_METAL_H

#include "bv/host.h"
#include "bv/vm.h"
#include "fronts/xen/os.h"
#include "hosts/metal/cpu.h"
#include "hosts/metal/layout.h"
#include "lib/list.h"

/* ---- boot.c: what the loader said, copied to where it stays ---- */

#define BOOT_RANGES 128
#define BOOT_MODULES 4

enum range_kind {
	RANGE_RAM = 1,
	RANGE_RESERVED = 2,
	RANGE_ACPI = 3,
	RANGE_NVS = 4,
	RANGE_BAD = 5
};

struct range {
	u64 start, end; /* machine addresses, end exclusive */
	u32 kind; /* as in E820 */
};

struct boot_module {
	u64 start, end;
	char text[1024];
};

struct boot {
	char text[1024]; /* the hypervisor's command line */
	struct range range[BOOT_RANGES]; /* sorted, without overlaps */
	u32 ranges;
	struct boot_module module[BOOT_MODULES];
	u32 modules;
	u64 rsdp; /* machine address of ACPI's root pointer, 0: not told */
	struct bvx_screen screen; /* as the loader left it */
};

extern struct boot boot;

void boot_read(u32 kind, u64 info);

/* ---- options.c ---- */

struct options {
	char console[32], com1[64], com2[64], loglvl[24], guest_loglvl[24], sched[16], dom0_mem[64],
		acpi[8], mitigations[64], spec_ctrl[16], iommu[32];
	u32 dom0_max_vcpus, maxcpus, watchdog_timeout;
	u64 isolcpus; /* a bit a CPU */
	bool noreboot, watchdog;
};

extern struct options options;

void options_parse(const char *text);
/* A number with K, M, G; *end is what follows. */
u64 parse_size(const char *text, const char **end);
u64 parse_number(const char *text, const char **end);
/* As Xen: all but no, off, false and 0 is true. */
bool parse_bool(const char *value);

/* ---- text.c ---- */

size_t text_length(const char *text);
bool text_equal(const char *a, const char *b);
bool text_starts(const char *text, const char *start);
void text_copy(char *to, const char *from, size_t size);
void page_clear(void *page);

/* ---- console.c ---- */

void console_init(void);
/* Interrupts from the serial port; after the I/O APIC is there. */
void console_input_init(void);
void console_interrupt(void);
/* The line of its interrupt, ~0: none. */
u32 console_gsi(void);
/* A line of the hypervisor's own. any. */
void say(enum bv_log_level level, const char *format, ...) bv_printf_like(2, 3);
/* What somebody has asked for: whatever the level. any. */
void say_answer(const char *format, ...) bv_printf_like(1, 2);
#define say_info(...) say(BV_LOG_INFO, __VA_ARGS__)
#define say_error(...) say(BV_LOG_ERROR, __VA_ARGS__)
#define say_warning(...) say(BV_LOG_WARNING, __VA_ARGS__)
/* Text as it is, from a domain. any. */
void console_write(const char *text, size_t length);
/* From now on the console is for last words: no locks. */
void console_panic(void);
/* The port that is ours, 0 none: Dom0 gets none of these eight. */
u16 console_port(void);

/* ---- keys.c ---- */

/* A key for the hypervisor: what it asks for is done soon. irqs off. */
void key_pressed(char key);

/* ---- frames.c: machine memory by frames ---- */

/* Owners of frames besides domains. */
#define FRAME_FREE 0xffffu
#define FRAME_OURS 0xfffeu
#define FRAME_NONE 0xfffdu /* no memory, or the firmware's */
#define FRAME_SCRUBBED 0xfffcu /* free again in a moment */

void frames_init(void);
/* Memory above 4 GiB, once it is mapped. */
void frames_init_high(void);
/* Dom0's memory was taken: no need to spare the low frames any more. */
void frames_dom0_done(void);
/* 2^order frames, aligned, not cleared; ~0: none. any. */
u64 frame_alloc(unsigned int order, u16 owner);
void frame_free(u64 mfn, unsigned int order);
/* Takes these very frames out of the free ones; false: one is not free. any. */
bool frame_take(u64 mfn, u64 count, u16 owner);
u16 frame_owner(u64 mfn);
u64 frames_free_count(void);
u64 frames_total(void);
/* Free frames with what a guest left in them. any. */
u64 frames_dirty_count(void);
/* Scrubs some of those; false: there are none. Gives up when somebody else wants the CPU. sleep. */
bool frames_scrub(void);
/* One past the highest frame of memory. */
u64 frames_end(void);

static inline void *direct(u64 pa)
{
	return (void *)(DIRECT_BASE + pa);
}

/* ---- paging.c ---- */

/* All memory at DIRECT_BASE, the image with its rights. */
void paging_init(void);
/* The direct address of a device's registers, mapped uncached. sleep. */
void *map_device(u64 pa, u64 bytes);
/* Away with the mapping at address 0, once all processors run. */
void paging_drop_low(void);

/* ---- lock.c ---- */

/* Before the first lock is taken. */
void locks_init(void);

/* ---- trap.c ---- */

void cpu_tables_init(struct metal_cpu *cpu);
_Noreturn void panic(const char *format, ...) bv_printf_like(1, 2);
void backtrace(u64 rip, u64 rbp);
const char *symbol_at(u64 address, u64 *offset);

/* ---- smp.c ---- */

extern struct metal_cpu *metal_cpus[METAL_MAX_CPUS];
extern u32 metal_cpu_count;

/* A bit a CPU. */
u64 metal_online_mask(void);
void smp_init_boot(void);
void smp_start(void);
/*
 * Runs fn(arg) on each of the CPUs of the mask but this one, waits until all have. Interrupts on.
 */
void metal_call_cpus(u64 mask, void (*fn)(void *arg), void *arg);
void smp_call_interrupt(void);
/* Stops all others, for good. any. */
void smp_stop_others(void);

/* ---- acpi.c ---- */

struct acpi_cpu {
	u32 apic_id;
};

struct acpi_ioapic {
	u64 address;
	u32 gsi_base;
	u8 id;
};

struct acpi_override {
	u8 irq;
	u32 gsi;
	u16 flags;
};

struct acpi {
	u64 rsdp;
	struct acpi_cpu cpu[METAL_MAX_CPUS];
	u32 cpus;
	struct acpi_ioapic ioapic[4];
	u32 ioapics;
	struct acpi_override override[24];
	u32 overrides;
	u64 lapic;
	u64 hpet; /* 0: none */
	u16 pm_timer; /* port, 0: none */
	bool pm_timer32;
	u16 pm1a_control, pm1b_control;
	u64 reset_address;
	u8 reset_space, reset_value;
	u64 mcfg_base;
	u8 mcfg_first_bus, mcfg_last_bus;
};

extern struct acpi acpi;

void acpi_init(void);
/* The table with this signature, the n-th; NULL. */
const void *acpi_table(const char *signature, unsigned int n);
/* The n-th entry of the root table; 0: past the end. */
u64 acpi_entry(unsigned int n);

/* ---- apic.c ---- */

void apic_init_cpu(void);
void apic_eoi(void);
u32 apic_read(u32 reg);
void apic_write(u32 reg, u32 value);
void apic_send(u32 apic_id, u32 low);
void apic_send_vector(u32 cpu, u8 vector);
void ioapic_init(void);
u32 ioapic_pins(void);
/* Whether the I/O APIC has that many pins. */
bool ioapic_is_pin(u32 which, u32 pin);
/* Writes a redirection entry; reads it. any. */
void ioapic_write(u32 gsi, u64 entry);
u64 ioapic_read(u32 gsi);
void ioapic_write_low(u32 gsi, u32 low);
u64 ioapic_isa(u8 irq, u32 *gsi);
#define RTE_MASKED BV_BIT(16)
#define RTE_LEVEL BV_BIT(15)
#define RTE_LOW BV_BIT(13)
#define RTE_LOGICAL BV_BIT(11)

/* ---- time.c ---- */

void time_init(void);
void time_init_cpu(void);
void timer_interrupt(void);
void delay_us(u32 us);

/* ---- sched.c ---- */

enum thread_state {
	THREAD_READY,
	THREAD_BLOCKED,
	THREAD_DEAD
};

/* What the threads of a domain have in common, all under the scheduler's lock. */
struct sched_group {
	u32 cap; /* percent of a CPU; 0: none */
	s64 budget; /* ns that are left of this period's */
	u64 refill_at; /* 0: full, no timer */
	struct bv_timer refill;
};

struct thread {
	/* constant after creation */
	void *stack;
	char name[16];
	struct sched_group *group; /* NULL: no vCPU */

	/* guarded by the scheduler's lock */
	u64 rsp; /* while it does not run */
	struct bv_list node; /* in the run queue */
	bool queued;
	struct metal_cpu *cpu; /* where it runs or ran last */
	u64 affinity, soft; /* a bit a CPU: where it may run, and where it would rather */
	u32 weight;
	u64 vtime; /* ns on a CPU, the longer the smaller the weight; against the CPU's clock */
	bool offline; /* its waits are not counted as such */
	enum bvx_host_state counted; /* what the time from since_ns on counts as */
	u64 since_ns, ns[BVX_STATES];

	/* any, atomically */
	u32 state; /* enum thread_state */
	bool running; /* on a CPU, its stack in use */

	/* the thread itself */
	struct bv_vcpu *vcpu; /* loaded when the thread is on a CPU */
	void *fpu; /* the guest's FPU state, NULL: a thread without */
	struct metal_cpu *fpu_cpu; /* where that was in the registers last */
};

void sched_init(void);
void sched_init_cpu(void);
/* NULL: no memory. sleep. */
struct thread *thread_create(const char *name, void (*fn)(void *arg), void *arg);
void thread_start(struct thread *thread);
/* After it has ended: its function returned. sleep. */
void thread_free(struct thread *thread);
/* Interrupts on, no spin lock held. */
void schedule(void);
/* The same, but another thread that waits goes before this one, whatever their shares. */
void thread_yield(void);
/* any. */
void thread_wake(struct thread *thread);
/*
 * The next schedule() of the current thread sleeps, unless it is woken before; and takes that
 * back. any.
 */
void thread_prepare_block(void);
void thread_unblock_self(void);
void thread_runtime(struct thread *thread, struct bvx_host_runtime *runtime);
void thread_offline(struct thread *thread, bool offline);
void thread_affinity(struct thread *thread, u64 mask, u64 soft);
void sched_group_init(struct sched_group *group);
void sched_group_fini(struct sched_group *group); /* sleep */
void sched_group_cap(struct sched_group *group, u32 percent); /* any */
u64 sched_idle_ns(struct metal_cpu *cpu);
_Noreturn void sched_idle(void);

static inline struct thread *current_thread(void)
{
	return this_cpu()->current;
}

/* ---- works.c ---- */

void works_init(void);

/* ---- vcpu.c: the host's part of a domain and of a vCPU ---- */

/* Where vCPUs run that are pinned nowhere: all that are not isolated; all, if that leaves none. */
u64 vcpu_cpus(void);
struct metal_domain {
	u32 domid;
	u32 weight;
	struct sched_group group;
	struct bv_list vcpus;
};

struct metal_vcpu {
	struct metal_domain *domain;
	struct bv_list node; /* of the domain's */
	struct bvx_vcpu *front;
	struct bv_vcpu *engine; /* from start on */
	struct thread *thread;
	bool started;
	/* any, atomically */
	bool signal, in_guest, ended;
	struct bvx_waitq end;
};

/* ---- fpu.c ---- */

void fpu_init_cpu(void);
void *fpu_alloc(void);
void fpu_release(void *area);
/*
 * The thread is about to be freed: no CPU takes its registers for those of another at the same
 * address.
 */
void fpu_forget(struct thread *thread);
/* The thread's state is in the registers when it returns. irqs off. */
void fpu_load(struct thread *thread);
void fpu_leave(struct thread *thread);

/* ---- passthrough.c: Dom0 and the hardware ---- */

/* A device's interrupt. irqs off. */
void passthrough_interrupt(u8 vector);
void passthrough_init(struct bvx_domain *dom0);
/* Whether Dom0 may have this address as it is: a device's, or the firmware's. */
bool passthrough_address(u64 start, u64 end);

/* ---- iommu.c ---- */

/* Finds the machine's; before Dom0's memory is mapped. sleep. */
void iommu_init(void);
/* From now on devices are held to what was mapped: after Dom0's memory is. sleep. */
void iommu_enable(void);
bool iommu_on(void);
/* Whether registers of one lie there. any. */
bool iommu_address(u64 start, u64 end);

/* ---- dom0.c ---- */

void dom0_start(void);

/* ---- elf.c ---- */

struct elf_load {
	u64 start, end; /* what the segments take, in guest-physical addresses */
	u32 entry; /* of the PVH boot protocol */
};

/* Reads the headers of a kernel; NULL, or in words why it cannot be Dom0's. */
const char *elf_read(const void *file, u64 bytes, struct elf_load *load);
/* Copies the segments to where they belong; after elf_read. */
void elf_load(const void *file);

/* ---- watchdog.c ---- */

/* After sched_init_cpu; nothing without the option. */
void watchdog_init_cpu(void);
/* Whether an NMI on this CPU is the watchdog's. any. */
bool watchdog_suspects(void);

/* ---- power.c ---- */

_Noreturn void machine_reboot(void);
_Noreturn void machine_halt(void);
_Noreturn void machine_off(void);

#endif
