/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The architecture's numbers: registers in the order that instruction encodings use, control bits,
 * exception vectors, segments. Facts of the manuals only; what the engine makes of them is
 * elsewhere.
 *
 * Sources: AMD64 Architecture Programmer's Manual, volume 2, chapters 3 (system resources), 4
 * (segmentation), 8 (exceptions); volume 3, chapter 1 (register numbers).
 */
#ifndef BV_X86_H
#define BV_X86_H

#include "bv/types.h"

enum bv_gpr {
	BV_RAX = 0,
	BV_RCX = 1,
	BV_RDX = 2,
	BV_RBX = 3,
	BV_RSP = 4,
	BV_RBP = 5,
	BV_RSI = 6,
	BV_RDI = 7,
	BV_R8 = 8,
	BV_R9 = 9,
	BV_R10 = 10,
	BV_R11 = 11,
	BV_R12 = 12,
	BV_R13 = 13,
	BV_R14 = 14,
	BV_R15 = 15,
	BV_GPR_COUNT = 16,
};

/* ES to GS are numbered as in encodings; the two system segments follow. */
enum bv_segment {
	BV_SEG_ES = 0,
	BV_SEG_CS = 1,
	BV_SEG_SS = 2,
	BV_SEG_DS = 3,
	BV_SEG_FS = 4,
	BV_SEG_GS = 5,
	BV_SEG_LDTR = 6,
	BV_SEG_TR = 7,
	BV_SEG_COUNT = 8,
};

/*
 * A segment register with its hidden part. The limit is in bytes, the granularity bit already
 * applied.
 */
struct bv_seg {
	u64 base;
	u32 limit;
	u16 sel;
	u16 attr;
};

/* GDTR or IDTR */
struct bv_desc_table {
	u64 base;
	u16 limit;
};

/*
 * struct bv_seg.attr: bits 40-47 and 52-55 of a descriptor, packed as in AMD's VMCB (volume 2,
 * 15.5.1)
 */
#define BV_SEG_TYPE 0x00fu
#define BV_SEG_S 0x010u /* code or data, not a system segment */
#define BV_SEG_DPL_SHIFT 5
#define BV_SEG_DPL 0x060u
#define BV_SEG_P 0x080u
#define BV_SEG_AVL 0x100u
#define BV_SEG_L 0x200u
#define BV_SEG_DB 0x400u
#define BV_SEG_G 0x800u

/* bits of the type of a code or data segment */
#define BV_SEG_TYPE_ACCESSED 0x1u
#define BV_SEG_TYPE_WRITE 0x2u /* data: writable */
#define BV_SEG_TYPE_READ 0x2u /* code: readable */
#define BV_SEG_TYPE_DOWN 0x4u /* data: expands down */
#define BV_SEG_TYPE_CONFORMING 0x4u /* code */
#define BV_SEG_TYPE_CODE 0x8u

/* types of system segments */
#define BV_SYS_TSS16 0x1u
#define BV_SYS_LDT 0x2u
#define BV_SYS_TSS16_BUSY 0x3u
#define BV_SYS_CALL_GATE16 0x4u
#define BV_SYS_TASK_GATE 0x5u
#define BV_SYS_INT_GATE16 0x6u
#define BV_SYS_TRAP_GATE16 0x7u
#define BV_SYS_TSS 0x9u /* 32-bit, and 64-bit in long mode */
#define BV_SYS_TSS_BUSY 0xbu
#define BV_SYS_CALL_GATE 0xcu
#define BV_SYS_INT_GATE 0xeu
#define BV_SYS_TRAP_GATE 0xfu

#define BV_SEL_RPL 0x3u
#define BV_SEL_TI 0x4u /* the selector names an LDT entry */

/* RFLAGS */
#define BV_RFLAGS_CF BV_BIT(0)
#define BV_RFLAGS_ONE BV_BIT(1) /* always set */
#define BV_RFLAGS_PF BV_BIT(2)
#define BV_RFLAGS_AF BV_BIT(4)
#define BV_RFLAGS_ZF BV_BIT(6)
#define BV_RFLAGS_SF BV_BIT(7)
#define BV_RFLAGS_TF BV_BIT(8)
#define BV_RFLAGS_IF BV_BIT(9)
#define BV_RFLAGS_DF BV_BIT(10)
#define BV_RFLAGS_OF BV_BIT(11)
#define BV_RFLAGS_IOPL_SHIFT 12
#define BV_RFLAGS_IOPL (3ULL << BV_RFLAGS_IOPL_SHIFT)
#define BV_RFLAGS_NT BV_BIT(14)
#define BV_RFLAGS_RF BV_BIT(16)
#define BV_RFLAGS_VM BV_BIT(17)
#define BV_RFLAGS_AC BV_BIT(18)
#define BV_RFLAGS_VIF BV_BIT(19)
#define BV_RFLAGS_VIP BV_BIT(20)
#define BV_RFLAGS_ID BV_BIT(21)

/* CR0 */
#define BV_CR0_PE BV_BIT(0)
#define BV_CR0_MP BV_BIT(1)
#define BV_CR0_EM BV_BIT(2)
#define BV_CR0_TS BV_BIT(3)
#define BV_CR0_ET BV_BIT(4)
#define BV_CR0_NE BV_BIT(5)
#define BV_CR0_WP BV_BIT(16)
#define BV_CR0_AM BV_BIT(18)
#define BV_CR0_NW BV_BIT(29)
#define BV_CR0_CD BV_BIT(30)
#define BV_CR0_PG BV_BIT(31)

/* CR3 */
#define BV_CR3_PWT BV_BIT(3)
#define BV_CR3_PCD BV_BIT(4)
#define BV_CR3_PCID 0xfffULL
#define BV_CR3_NOFLUSH BV_BIT(63) /* in the source of a MOV to CR3 with PCIDs on; never kept */

/* CR4 */
#define BV_CR4_VME BV_BIT(0)
#define BV_CR4_PVI BV_BIT(1)
#define BV_CR4_TSD BV_BIT(2)
#define BV_CR4_DE BV_BIT(3)
#define BV_CR4_PSE BV_BIT(4)
#define BV_CR4_PAE BV_BIT(5)
#define BV_CR4_MCE BV_BIT(6)
#define BV_CR4_PGE BV_BIT(7)
#define BV_CR4_PCE BV_BIT(8)
#define BV_CR4_OSFXSR BV_BIT(9)
#define BV_CR4_OSXMMEXCPT BV_BIT(10)
#define BV_CR4_UMIP BV_BIT(11)
#define BV_CR4_LA57 BV_BIT(12)
#define BV_CR4_VMXE BV_BIT(13)
#define BV_CR4_FSGSBASE BV_BIT(16)
#define BV_CR4_PCIDE BV_BIT(17)
#define BV_CR4_OSXSAVE BV_BIT(18)
#define BV_CR4_SMEP BV_BIT(20)
#define BV_CR4_SMAP BV_BIT(21)
#define BV_CR4_PKE BV_BIT(22)
#define BV_CR4_CET BV_BIT(23)
#define BV_CR4_FRED BV_BIT(32)

/* EFER */
#define BV_EFER_SCE BV_BIT(0)
#define BV_EFER_LME BV_BIT(8)
#define BV_EFER_LMA BV_BIT(10)
#define BV_EFER_NXE BV_BIT(11)
#define BV_EFER_SVME BV_BIT(12)
#define BV_EFER_LMSLE BV_BIT(13)
#define BV_EFER_FFXSR BV_BIT(14)
#define BV_EFER_TCE BV_BIT(15)

/* XCR0 and XSTATE_BV */
#define BV_XCR0_X87 BV_BIT(0)
#define BV_XCR0_SSE BV_BIT(1)
#define BV_XCR0_AVX BV_BIT(2)
#define BV_XCR0_PKRU BV_BIT(9)

/* DR6 and DR7 */
#define BV_DR6_FIXED_ONES 0xffff0ff0ULL
#define BV_DR6_BD BV_BIT(13)
#define BV_DR6_BS BV_BIT(14)
#define BV_DR6_BT BV_BIT(15)
#define BV_DR7_FIXED_ONES 0x400ULL
#define BV_DR7_GD BV_BIT(13)
#define BV_DR7_ENABLES 0xffULL
#define BV_DR7_RW_IO 2 /* of a breakpoint's two R/W bits, with CR4.DE */

/* exceptions */
enum bv_vector {
	BV_EXC_DE = 0,
	BV_EXC_DB = 1,
	BV_EXC_NMI = 2,
	BV_EXC_BP = 3,
	BV_EXC_OF = 4,
	BV_EXC_BR = 5,
	BV_EXC_UD = 6,
	BV_EXC_NM = 7,
	BV_EXC_DF = 8,
	BV_EXC_TS = 10,
	BV_EXC_NP = 11,
	BV_EXC_SS = 12,
	BV_EXC_GP = 13,
	BV_EXC_PF = 14,
	BV_EXC_MF = 16,
	BV_EXC_AC = 17,
	BV_EXC_MC = 18,
	BV_EXC_XM = 19,
	BV_EXC_CP = 21,
};

/* Vectors below are exceptions', in use or reserved. */
#define BV_FIRST_IRQ 32

/* the error code of a page fault (volume 2, 8.4.2) */
#define BV_PF_PRESENT 0x01u
#define BV_PF_WRITE 0x02u
#define BV_PF_USER 0x04u
#define BV_PF_RESERVED 0x08u
#define BV_PF_FETCH 0x10u
#define BV_PF_PKEY 0x20u

/* a page-table entry (volume 2, 5.4) */
#define BV_PTE_P BV_BIT(0)
#define BV_PTE_W BV_BIT(1)
#define BV_PTE_U BV_BIT(2)
#define BV_PTE_PWT BV_BIT(3)
#define BV_PTE_PCD BV_BIT(4)
#define BV_PTE_A BV_BIT(5)
#define BV_PTE_D BV_BIT(6)
#define BV_PTE_PS BV_BIT(7)
#define BV_PTE_G BV_BIT(8)
#define BV_PTE_PKEY_SHIFT 59
#define BV_PTE_NX BV_BIT(63)

/* A fault to be injected into the guest. */
struct bv_fault {
	u8 vector;
	bool has_error;
	u32 error;
	u64 cr2; /* the faulting linear address, where vector is #PF */
};

#endif
