/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The virtual machine control block and the codes around it, as AMD's manual has them: AMD64
 * Architecture Programmer's Manual volume 2, chapter 15 and appendices B (layout) and C (exit
 * codes). Only this folder includes it.
 */
#ifndef BV_SVM_VMCB_H
#define BV_SVM_VMCB_H

#include "bv/types.h"

/* MSRs (15.30) */
#define MSR_EFER 0xc0000080u
#define MSR_VM_CR 0xc0010114u
#define MSR_VM_HSAVE_PA 0xc0010117u
#define MSR_TSC_AUX 0xc0000103u
#define VM_CR_SVMDIS BV_BIT(4)

/* CPUID 8000_000A EDX (15.31.1 and appendix of volume 3) */
#define SVM_FEATURE_NP BV_BIT(0)
#define SVM_FEATURE_NRIP BV_BIT(3)
#define SVM_FEATURE_CLEAN BV_BIT(5)
#define SVM_FEATURE_FLUSH_ASID BV_BIT(6)
#define SVM_FEATURE_DECODE BV_BIT(7)
#define SVM_FEATURE_PAUSE_FILTER BV_BIT(10)
#define SVM_FEATURE_PAUSE_THRESHOLD BV_BIT(12)
#define SVM_FEATURE_VGIF BV_BIT(16)

/* intercepts, vmcb->intercept[]: word and bit as one number, word * 32 + bit */
enum svm_intercept {
	SVM_I_CR0_WRITE = 0 * 32 + 16,
	SVM_I_CR4_WRITE = 0 * 32 + 20,
	SVM_I_CR8_WRITE = 0 * 32 + 24,
	SVM_I_INTR = 3 * 32,
	SVM_I_NMI,
	SVM_I_SMI,
	SVM_I_INIT,
	SVM_I_VINTR,
	SVM_I_RDTSC = 3 * 32 + 14,
	SVM_I_RDPMC,
	SVM_I_CPUID = 3 * 32 + 18,
	SVM_I_RSM,
	SVM_I_IRET,
	SVM_I_INVD = 3 * 32 + 22,
	SVM_I_PAUSE,
	SVM_I_HLT,
	SVM_I_INVLPGA = 3 * 32 + 26,
	SVM_I_IOIO,
	SVM_I_MSR,
	SVM_I_FERR = 3 * 32 + 30,
	SVM_I_SHUTDOWN,
	SVM_I_VMRUN = 4 * 32,
	SVM_I_VMMCALL,
	SVM_I_VMLOAD,
	SVM_I_VMSAVE,
	SVM_I_STGI,
	SVM_I_CLGI,
	SVM_I_SKINIT,
	SVM_I_RDTSCP,
	SVM_I_ICEBP,
	SVM_I_WBINVD,
	SVM_I_MONITOR,
	SVM_I_MWAIT,
	SVM_I_MWAIT_ARMED,
	SVM_I_XSETBV,
	SVM_I_RDPRU,
};

#define SVM_WORD_DR 1 /* vmcb->intercept[]: reads of DR0 to 15, then writes */
#define SVM_WORD_EXCEPTION 2
#define SVM_DR_ALL 0x00ff00ffu

/* tlb_control */
#define SVM_TLB_NOTHING 0
#define SVM_TLB_ALL 1
#define SVM_TLB_ASID 3

/* int_ctl */
#define SVM_V_TPR 0xfu
#define SVM_V_IRQ BV_BIT(8)
#define SVM_V_GIF BV_BIT(9)
#define SVM_V_PRIO_SHIFT 16
#define SVM_V_PRIO (0xfu << SVM_V_PRIO_SHIFT)
#define SVM_V_IGN_TPR BV_BIT(20)
#define SVM_V_INTR_MASKING BV_BIT(24)
#define SVM_V_GIF_ENABLE BV_BIT(25)

/* event_inj and exit_int_info (15.20) */
#define SVM_EVENT_VECTOR 0xffu
#define SVM_EVENT_TYPE_SHIFT 8
#define SVM_EVENT_TYPE 7u
#define SVM_EVENT_IRQ 0u
#define SVM_EVENT_NMI 2u
#define SVM_EVENT_EXCEPTION 3u
#define SVM_EVENT_SOFT 4u
#define SVM_EVENT_HAS_ERROR BV_BIT(11)
#define SVM_EVENT_VALID BV_BIT(31)

/* clean bits (15.15.3) */
#define SVM_CLEAN_INTERCEPTS BV_BIT(0)
#define SVM_CLEAN_PERMISSIONS BV_BIT(1)
#define SVM_CLEAN_ASID BV_BIT(2)
#define SVM_CLEAN_TPR BV_BIT(3)
#define SVM_CLEAN_NP BV_BIT(4)
#define SVM_CLEAN_CR BV_BIT(5)
#define SVM_CLEAN_DR BV_BIT(6)
#define SVM_CLEAN_DT BV_BIT(7)
#define SVM_CLEAN_SEG BV_BIT(8)
#define SVM_CLEAN_CR2 BV_BIT(9)

/* the last byte of these instructions, after 0F 01 (volume 3) */
#define SVM_OPCODE_VMRUN 0xd8
#define SVM_OPCODE_VMLOAD 0xda
#define SVM_OPCODE_VMSAVE 0xdb
#define SVM_OPCODE_STGI 0xdc
#define SVM_OPCODE_CLGI 0xdd
#define SVM_OPCODE_INVLPGA 0xdf

/* exit codes (appendix C) */
enum svm_exit_code {
	VMEXIT_CR0_WRITE = 0x10,
	VMEXIT_CR15_WRITE = 0x1f,
	VMEXIT_DR0_READ = 0x20,
	VMEXIT_DR15_WRITE = 0x3f,
	VMEXIT_EXCEPTION_DE = 0x40,
	VMEXIT_EXCEPTION_LAST = 0x5f,
	VMEXIT_INTR = 0x60,
	VMEXIT_NMI = 0x61,
	VMEXIT_SMI = 0x62,
	VMEXIT_INIT = 0x63,
	VMEXIT_VINTR = 0x64,
	VMEXIT_RDTSC = 0x6e,
	VMEXIT_RDPMC = 0x6f,
	VMEXIT_CPUID = 0x72,
	VMEXIT_RSM = 0x73,
	VMEXIT_IRET = 0x74,
	VMEXIT_INVD = 0x76,
	VMEXIT_PAUSE = 0x77,
	VMEXIT_HLT = 0x78,
	VMEXIT_INVLPGA = 0x7a,
	VMEXIT_IOIO = 0x7b,
	VMEXIT_MSR = 0x7c,
	VMEXIT_SHUTDOWN = 0x7f,
	VMEXIT_VMRUN = 0x80,
	VMEXIT_VMMCALL = 0x81,
	VMEXIT_VMLOAD = 0x82,
	VMEXIT_VMSAVE = 0x83,
	VMEXIT_STGI = 0x84,
	VMEXIT_CLGI = 0x85,
	VMEXIT_SKINIT = 0x86,
	VMEXIT_RDTSCP = 0x87,
	VMEXIT_ICEBP = 0x88,
	VMEXIT_WBINVD = 0x89,
	VMEXIT_MONITOR = 0x8a,
	VMEXIT_MWAIT = 0x8b,
	VMEXIT_MWAIT_ARMED = 0x8c,
	VMEXIT_XSETBV = 0x8d,
	VMEXIT_RDPRU = 0x8e,
	VMEXIT_INTERCEPTS = 0xc0, /* below, each code has its bit among the intercepts */
	VMEXIT_NPF = 0x400,
	VMEXIT_CODES = 0x401,
};

/* exit_info_1 of VMEXIT_IOIO (15.10.2) */
#define SVM_IO_IN BV_BIT(0)
#define SVM_IO_STRING BV_BIT(2)
#define SVM_IO_SIZE_SHIFT 4
#define SVM_IO_PORT_SHIFT 16

#define VMEXIT_INVALID 0xffffffffffffffffull

/* exit_info_1 of VMEXIT_NPF (15.25.6), above a page fault's own bits */
#define SVM_NPF_FINAL BV_BIT(32)
#define SVM_NPF_TABLE BV_BIT(33)

struct svm_seg {
	u16 sel;
	u16 attr;
	u32 limit;
	u64 base;
};

struct svm_vmcb {
	/* the control area */
	u32 intercept[6];
	u8 reserved_018[0x3c - 0x18];
	u16 pause_threshold;
	u16 pause_count;
	u64 iopm_pa;
	u64 msrpm_pa;
	u64 tsc_offset;
	u32 asid;
	u8 tlb_control;
	u8 reserved_05d[3];
	u32 int_ctl;
	u8 int_vector;
	u8 reserved_065[3];
	u64 int_state; /* bit 0: interrupt shadow */
	u64 exit_code;
	u64 exit_info_1;
	u64 exit_info_2;
	u64 exit_int_info;
	u64 np_enable;
	u8 reserved_098[0xa8 - 0x98];
	u64 event_inj;
	u64 n_cr3;
	u64 virt_ext;
	u32 clean;
	u32 reserved_0c4;
	u64 next_rip;
	u8 insn_bytes;
	u8 insn[15];
	u8 reserved_0e0[0x400 - 0xe0];

	/* the state save area */
	struct svm_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
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
	u64 g_pat, dbgctl, br_from, br_to, last_excp_from, last_excp_to;
	u8 reserved_698[0x1000 - 0x698];
};

#define SVM_OFFSET(field, offset) BV_STATIC_ASSERT(offsetof(struct svm_vmcb, field) == (offset))
SVM_OFFSET(pause_threshold, 0x3c);
SVM_OFFSET(asid, 0x58);
SVM_OFFSET(int_ctl, 0x60);
SVM_OFFSET(int_state, 0x68);
SVM_OFFSET(exit_int_info, 0x88);
SVM_OFFSET(event_inj, 0xa8);
SVM_OFFSET(clean, 0xc0);
SVM_OFFSET(insn_bytes, 0xd0);
SVM_OFFSET(es, 0x400);
SVM_OFFSET(tr, 0x490);
SVM_OFFSET(cpl, 0x4cb);
SVM_OFFSET(efer, 0x4d0);
SVM_OFFSET(cr4, 0x548);
SVM_OFFSET(rsp, 0x5d8);
SVM_OFFSET(rax, 0x5f8);
SVM_OFFSET(cr2, 0x640);
SVM_OFFSET(g_pat, 0x668);
BV_STATIC_ASSERT(sizeof(struct svm_vmcb) == 4096);

#endif
