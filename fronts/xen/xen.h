/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The entry header of the Xen front: what its host calls. What the front asks back is in os.h.
 *
 * In order: bvx_init once; bvx_dom0_new, its memory by bvx_dom0_map, its vCPUs by bvx_vcpu_new and
 * their first registers by the engine's functions; bvx_domain_start. From then on Dom0 makes the
 * others by hypercalls. Exits, hypercalls, CPUID and MSRs of a guest reach the front through the
 * engine, on the vCPU's thread: a host has nothing to do for them.
 */
#ifndef BVX_XEN_H
#define BVX_XEN_H

#include "bv/host.h"
#include "bv/types.h"
#include "bv/vm.h"
#include "os.h"

struct bvx_domain;
struct bvx_vcpu;

/* After bv_engine_init, once. -BV_ENOMEM. sleep. */
int bvx_init(void);
/* For tests: all domains are ended; and, when they are gone, the rest is given back. */
void bvx_fini(void);
void bvx_fini_frames(void);

/* ---- Dom0 ---- */

struct bvx_dom0_spec {
	u32 max_vcpus; /* 1 to BV_MAX_VCPUS */
	u64 max_pages; /* how much it may have at most; ~0: no limit */
};
/*
 * Makes domain 0, without memory, vCPUs or I/O ports, paused. It has local APICs in the engine
 * (bv_irqchip_create_split: the machine's I/O APICs are the host's). NULL with the reason in the
 * log. sleep.
 */
struct bvx_domain *bvx_dom0_new(const struct bvx_dom0_spec *spec);

enum bvx_dom0_kind {
	BVX_DOM0_RAM, /* frames from bvx_host_frames_alloc, which Dom0 owns from now on */
	BVX_DOM0_MMIO, /* a device's, or the firmware's: mapped as it is, owned by nobody */
};
/*
 * Puts machine frames [mfn, mfn + count) under guest frames [gfn, gfn + count). Large blocks where
 * both are aligned alike cost nothing. Also later, when a device's place is moved. -BV_ENOMEM.
 * sleep.
 */
int bvx_dom0_map(struct bvx_domain *dom0, struct bv_gfn gfn, struct bv_mfn mfn, u64 count,
		 enum bvx_dom0_kind kind);
/* Takes MMIO mappings away again. sleep. */
void bvx_dom0_unmap(struct bvx_domain *dom0, struct bv_gfn gfn, u64 count);

/* vCPU `index` (0 first, then in order), as after RESET. NULL: no memory. sleep. */
struct bvx_vcpu *bvx_vcpu_new(struct bvx_domain *domain, unsigned int index);
/*
 * vCPU 0 of Dom0 begins as the PVH boot protocol says: 32-bit, paging off, at entry, EBX the
 * guest-physical address of the start info. sleep.
 */
void bvx_vcpu_begin_pvh(struct bvx_vcpu *vcpu, u32 entry, u32 start_info);
/* Lets it run: its vCPUs' threads go. sleep. */
void bvx_domain_start(struct bvx_domain *domain);

/* ---- what the host may ask. any ---- */

struct bv_vm *bvx_domain_vm(struct bvx_domain *domain);
u32 bvx_domain_id(const struct bvx_domain *domain);
struct bv_vcpu *bvx_vcpu_engine(struct bvx_vcpu *vcpu);
struct bvx_domain *bvx_vcpu_domain(struct bvx_vcpu *vcpu);
unsigned int bvx_vcpu_index(const struct bvx_vcpu *vcpu);

/* ---- what the host must call ---- */

/* Runs the vCPU: the body of its thread. Returns when the vCPU is no more to run. sleep. */
void bvx_vcpu_thread(struct bvx_vcpu *vcpu);

/*
 * The memory behind guests: the host's bv_host_frame_get, _read, _write and _cmpxchg hand their
 * arguments on to these (a "host address" is the guest-physical address). -BV_ENXIO: no frame
 * there, the engine takes it for a device's. sleep.
 */
int bvx_frame_get(struct bv_vm *vm, u64 gpa, bool write, struct bv_host_frame *frame);
void bvx_frame_put(struct bv_host_frame *frame, bool dirtied);
int bvx_guest_read(struct bv_vm *vm, u64 gpa, void *to, size_t bytes);
int bvx_guest_write(struct bv_vm *vm, u64 gpa, const void *from, size_t bytes);
int bvx_guest_cmpxchg(struct bv_vm *vm, u64 gpa, unsigned int bytes, void *old,
		      const void *new_value);

/* Something was typed for Dom0; bvx_host_console_read has it. any. */
void bvx_console_input(void);
/* The log has new lines (VIRQ_CON_RING). any. */
void bvx_log_written(void);
/* A key of Xen's that the console's user pressed for the hypervisor (VIRQ_DEBUG and such). any. */
void bvx_debug_virq(void);
/* The wall clock was set, or the TSC's rate is known better: guests' clock pages are due. any. */
void bvx_time_changed(void);

/*
 * One line about a domain after the other, for the host's debug keys; any number of calls. sleep.
 */
void bvx_dump(void (*line)(const char *text));

#endif
