/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For guests that are Xen's Dom0: they make other domains (PVH, one vCPU), fill and end them.
 * Numbers and layouts are those of Xen 4.17's public headers, or 4.20's. What fails ends the guest.
 */
#ifndef GUEST_XEN_DOMAIN_H
#define GUEST_XEN_DOMAIN_H

#include "xen.h"

/* The CPU's record of a domain's saved state. */
struct xen_cpu {
	u8 fpu[512];
	u64 rax, rbx, rcx, rdx, rbp, rsi, rdi, rsp, r8_to_r15[8];
	u64 rip, rflags, cr0, cr2, cr3, cr4, dr[6];
	u32 selector[8]; /* CS DS ES FS GS SS TR LDTR */
	u32 limit[10]; /* these, IDTR, GDTR */
	u64 base[10];
	u32 rights[8];
	u64 sysenter[3], shadow_gs, flags, lstar, star, cstar, mask, efer, tsc_aux, tsc;
	u32 event, error, valid, pad;
};

/* A new one, without memory and vCPUs, paused. */
u16 domain_new(void);
/* Gives it one vCPU, and memory from 0 on: a multiple of 2 MiB. */
void domain_populate(u16 domid, u64 bytes);
/* Copies into its memory. */
void domain_copy(u16 domid, u64 to, const void *from, u64 bytes);
/* Where it starts, with flat segments: in 64-bit code if efer is set, else in 32-bit code. */
void domain_cpu(u16 domid, const struct xen_cpu *start);
void domain_run(u16 domid);
void domain_destroy(u16 domid);

#endif
