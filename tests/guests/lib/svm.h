/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AMD-V as a guest uses it: the VMCB and the codes that the tests need (AMD manual, volume 2,
 * chapter 15 and appendices B and C), and a guest of our own in our own address space.
 */
#ifndef GUEST_SVM_H
#define GUEST_SVM_H

#include "guest.h"

#define EFER_SVME (1u << 12)
#define MSR_VM_CR 0xc0010114
#define MSR_VM_HSAVE_PA 0xc0010117

#define EXIT_CR0_WRITE 0x10
#define EXIT_EXCEPTION 0x40
#define EXIT_INTR 0x60
#define EXIT_NMI 0x61
#define EXIT_VINTR 0x64
#define EXIT_RDTSC 0x6e
#define EXIT_CPUID 0x72
#define EXIT_HLT 0x78
#define EXIT_INVLPG 0x79
#define EXIT_IOIO 0x7b
#define EXIT_MSR 0x7c
#define EXIT_SHUTDOWN 0x7f
#define EXIT_VMRUN 0x80
#define EXIT_VMMCALL 0x81
#define EXIT_VMLOAD 0x82
#define EXIT_STGI 0x84
#define EXIT_NPF 0x400
#define EXIT_INVALID 0xffffffffffffffffull

#define INT_V_TPR 0xfu
#define INT_V_IRQ (1u << 8)
#define INT_V_PRIO_SHIFT 16
#define INT_V_IGN_TPR (1u << 20)
#define INT_V_MASKING (1u << 24)

#define EVENT_IRQ (0u << 8)
#define EVENT_NMI (2u << 8)
#define EVENT_EXCEPTION (3u << 8)
#define EVENT_SOFT (4u << 8)
#define EVENT_ERROR (1u << 11)
#define EVENT_VALID (1ull << 31)

#define NPF_FINAL (1ull << 32)
#define NPF_TABLE (1ull << 33)

struct vmcb_seg {
	u16 sel, attr;
	u32 limit;
	u64 base;
};

struct vmcb {
	u32 intercept[6];
	u8 reserved_018[0x40 - 0x18];
	u64 iopm, msrpm, tsc_offset;
	u32 asid;
	u8 tlb_control;
	u8 reserved_05d[3];
	u32 int_ctl;
	u32 int_vector;
	u64 int_state, exit_code, exit_info_1, exit_info_2, exit_int_info, np_enable;
	u8 reserved_098[0xa8 - 0x98];
	u64 event_inj, n_cr3, virt_ext;
	u64 clean, next_rip;
	u8 reserved_0d0[0x400 - 0xd0];
	struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	u8 reserved_4a0[0x4cb - 0x4a0];
	u8 cpl;
	u32 reserved_4cc;
	u64 efer;
	u8 reserved_4d8[0x548 - 0x4d8];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
	u8 reserved_580[0x5d8 - 0x580];
	u64 rsp;
	u8 reserved_5e0[0x5f8 - 0x5e0];
	u64 rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp,
		sysenter_eip, cr2;
	u8 reserved_648[0x668 - 0x648];
	u64 g_pat;
	u8 reserved_670[0x1000 - 0x670];
};
_Static_assert(sizeof(struct vmcb) == 4096, "the VMCB is a page");

/* Whether the CPU has AMD-V; says that the test is skipped if it has not. EFER.SVME is on then. */
bool svm_begin(void);
/* Clears or sets the intercept of an exit code below 0xc0. */
void svm_intercept(struct vmcb *vmcb, u32 code, bool on);
/*
 * A VMCB by which our guest begins in `code`, with a stack of its own, in our address space, with
 * what VMRUN and VMMCALL intercepted and interrupts off.
 */
struct vmcb *svm_guest(void (*code)(void));
/* Runs it until its next exit, interrupts held over it; returns the exit's code. */
u64 svm_run(struct vmcb *vmcb);
/* The same, but the global interrupt flag stays as #VMEXIT leaves it. */
void svm_run_held(struct vmcb *vmcb);

static inline void svm_clgi(void)
{
	__asm__ volatile("clgi" ::: "memory");
}

static inline void svm_stgi(void)
{
	__asm__ volatile("stgi" ::: "memory");
}

static inline void svm_vmmcall(void)
{
	__asm__ volatile("vmmcall" ::: "memory");
}

#endif
