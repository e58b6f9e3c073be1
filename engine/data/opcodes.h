/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The instruction set as tables: one row an opcode, with the operation, where its operands come
 * from, and what the decoder and the emulator have to know before they start. The tables hold no
 * code; engine/x86/decode.c reads them, engine/x86/emulate.c acts on the operation.
 *
 * Source: AMD64 Architecture Programmer's Manual, volume 3, appendix A (opcode and operand
 * encodings). The letters in comments (Ev, Gb, Iz…) are that appendix's.
 */
#ifndef BV_DATA_OPCODES_H
#define BV_DATA_OPCODES_H

#include "bv/types.h"

/*
 * The first three runs of eight are in the order of the ModRM.reg field that selects them in a
 * group.
 */
enum bv_operation {
	BV_OP_UNKNOWN, /* an instruction that the emulator does not perform */
	BV_OP_UD, /* not an instruction: #UD */

	BV_OP_ADD,
	BV_OP_OR,
	BV_OP_ADC,
	BV_OP_SBB,
	BV_OP_AND,
	BV_OP_SUB,
	BV_OP_XOR,
	BV_OP_CMP,

	BV_OP_ROL,
	BV_OP_ROR,
	BV_OP_RCL,
	BV_OP_RCR,
	BV_OP_SHL,
	BV_OP_SHR,
	BV_OP_SAL,
	BV_OP_SAR,

	BV_OP_TEST,
	BV_OP_NOT,
	BV_OP_NEG,
	BV_OP_MUL,
	BV_OP_IMUL_WIDE, /* one operand, result in rDX:rAX */
	BV_OP_DIV,
	BV_OP_IDIV,
	BV_OP_IMUL, /* two or three operands */
	BV_OP_INC,
	BV_OP_DEC,

	BV_OP_MOV,
	BV_OP_MOVZX,
	BV_OP_MOVSX,
	BV_OP_MOVBE,
	BV_OP_BSWAP,
	BV_OP_LEA,
	BV_OP_XCHG,
	BV_OP_XADD,
	BV_OP_CMPXCHG,
	BV_OP_CMPXCHG8B, /* and CMPXCHG16B */
	BV_OP_CMOV,
	BV_OP_SETCC,
	BV_OP_BT,
	BV_OP_BTS,
	BV_OP_BTR,
	BV_OP_BTC,
	BV_OP_BSF,
	BV_OP_BSR,
	BV_OP_TZCNT,
	BV_OP_LZCNT,
	BV_OP_POPCNT,
	BV_OP_SHLD,
	BV_OP_SHRD,
	BV_OP_CBW, /* CBW, CWDE, CDQE */
	BV_OP_CWD, /* CWD, CDQ, CQO */
	BV_OP_LAHF,
	BV_OP_SAHF,
	BV_OP_CLC,
	BV_OP_STC,
	BV_OP_CMC,
	BV_OP_CLD,
	BV_OP_STD,
	BV_OP_DAA,
	BV_OP_DAS,
	BV_OP_AAA,
	BV_OP_AAS,
	BV_OP_AAM,
	BV_OP_AAD,
	BV_OP_SALC,
	BV_OP_XLAT,
	BV_OP_NOP,

	BV_OP_PUSH,
	BV_OP_POP,
	BV_OP_PUSH_SEG,
	BV_OP_POP_SEG,
	BV_OP_PUSHA,
	BV_OP_POPA,
	BV_OP_PUSHF,
	BV_OP_POPF,
	BV_OP_ENTER,
	BV_OP_LEAVE,

	BV_OP_CALL,
	BV_OP_JMP,
	BV_OP_JCC,
	BV_OP_RET,
	BV_OP_LOOP,
	BV_OP_LOOPE,
	BV_OP_LOOPNE,
	BV_OP_JCXZ,
	BV_OP_CALL_FAR,
	BV_OP_JMP_FAR,
	BV_OP_RET_FAR,
	BV_OP_IRET,
	BV_OP_INT3,
	BV_OP_INT,
	BV_OP_INTO,
	BV_OP_BOUND,

	BV_OP_MOVS,
	BV_OP_CMPS,
	BV_OP_STOS,
	BV_OP_LODS,
	BV_OP_SCAS,
	BV_OP_INS,
	BV_OP_OUTS,
	BV_OP_IN,
	BV_OP_OUT,

	BV_OP_MOV_FROM_SEG,
	BV_OP_MOV_TO_SEG,
	BV_OP_LOAD_FAR, /* LDS, LES, LFS, LGS, LSS: the segment is in .src */
	BV_OP_MOV_FROM_CR,
	BV_OP_MOV_TO_CR,
	BV_OP_MOV_FROM_DR,
	BV_OP_MOV_TO_DR,
	BV_OP_CLI,
	BV_OP_STI,
	BV_OP_HLT,
	BV_OP_CLTS,
	BV_OP_INVD,
	BV_OP_WBINVD,
	BV_OP_INVLPG,
	BV_OP_SGDT,
	BV_OP_SIDT,
	BV_OP_LGDT,
	BV_OP_LIDT,
	BV_OP_SMSW,
	BV_OP_LMSW,
	BV_OP_SLDT,
	BV_OP_STR,
	BV_OP_LLDT,
	BV_OP_LTR,
	BV_OP_VERR,
	BV_OP_VERW,
	BV_OP_LAR,
	BV_OP_LSL,
	BV_OP_ARPL,
	BV_OP_CPUID,
	BV_OP_RDMSR,
	BV_OP_WRMSR,
	BV_OP_RDTSC,
	BV_OP_RDTSCP,
	BV_OP_RDPMC,
	BV_OP_SWAPGS,
	BV_OP_SYSCALL,
	BV_OP_SYSRET,
	BV_OP_CACHE_LINE, /* CLFLUSH and kin: a read access to one byte, otherwise nothing */

	BV_OP_VEC_LOAD, /* a whole vector */
	BV_OP_VEC_STORE,
	BV_OP_VEC_LOAD_ZERO, /* .src's size, the rest of the register becomes zero */
	BV_OP_VEC_STORE_LOW, /* .dst's size, from the register's low end */
	BV_OP_VEC_MOVS, /* MOVSS, MOVSD: from memory as LOAD_ZERO, from a register a merge */
	BV_OP_VEC_STORE_S, /* MOVSS, MOVSD the other way */
	BV_OP_VEC_LOAD_LO, /* MOVLPS: eight bytes into the low half; MOVHLPS */
	BV_OP_VEC_LOAD_HI, /* MOVHPS, MOVLHPS */
	BV_OP_VEC_STORE_HI,
	BV_OP_VEC_FROM_GPR, /* MOVD, MOVQ xmm, r/m */
	BV_OP_VEC_TO_GPR,
	BV_OP_MMX_LOAD,
	BV_OP_MMX_STORE,
	BV_OP_MMX_FROM_GPR,
	BV_OP_MMX_TO_GPR,
	BV_OP_EMMS,
	BV_OP_FPU, /* D8 to DF; the second opcode byte is ModRM */
	BV_OP_FWAIT,

	BV_OP_COUNT,
};

/* Where an operand is: the low five bits of a row's .dst or .src. */
enum bv_place {
	BV_AT_NONE,
	BV_AT_RM, /* the register or memory that ModRM names */
	BV_AT_REG, /* the register in ModRM.reg */
	BV_AT_OPREG, /* the register in the opcode's low three bits */
	BV_AT_ACC, /* rAX */
	BV_AT_IMM,
	BV_AT_CL,
	BV_AT_ONE,
	BV_AT_MOFFS, /* memory at an immediate address */
	BV_AT_ADDRESS, /* memory that ModRM names; the operation reaches it itself */
	BV_AT_RM_LATE, /* as RM, but a memory operand is reached by the operation itself */
	BV_AT_RM16, /* as RM, but memory is two bytes wide whatever the operand size */
};

/* How large it is: the high three bits. */
enum bv_width {
	BV_SIZE_OP = 0 << 5, /* the operand size */
	BV_SIZE_1 = 1 << 5,
	BV_SIZE_2 = 2 << 5,
	BV_SIZE_4 = 3 << 5,
	BV_SIZE_8 = 4 << 5,
	BV_SIZE_Y = 5 << 5, /* 8 with REX.W, 4 without */
	BV_SIZE_VEC = 6 << 5, /* 16, or 32 with VEX.L */
	BV_SIZE_STACK = 7 << 5, /* the natural size: 8 in 64-bit code, else 4 */
};

#define BV_PLACE(operand) ((operand)&0x1f)
#define BV_WIDTH(operand) ((operand)&0xe0)

enum bv_immediate {
	BV_IMM_NONE,
	BV_IMM_8, /* Ib, sign-extended */
	BV_IMM_8U, /* Ib, zero-extended */
	BV_IMM_16, /* Iw, zero-extended */
	BV_IMM_Z, /* Iz: 1, 2 or 4 bytes by the instruction's size, sign-extended */
	BV_IMM_V, /* Iv: 2, 4 or 8 bytes */
	BV_IMM_FAR, /* Ap: offset by operand size, then a selector */
	BV_IMM_16_8, /* ENTER */
	BV_IMM_MOFFS, /* an address, by address size */
};

enum bv_opcode_flag {
	BV_OPF_MODRM = 1 << 0, /* a ModRM byte follows */
	BV_OPF_PREFIX = 1 << 1, /* not an opcode but a prefix */
	BV_OPF_GROUP = 1 << 2, /* .op is a group; ModRM.reg selects the row in it */
	BV_OPF_BY_PREFIX = 1 << 3, /* .op is a set of four rows; none, 66, F3, F2 selects */
	BV_OPF_ESCAPE = 1 << 4, /* 0F, or a VEX prefix: another map */
	BV_OPF_NO64 = 1 << 5, /* #UD in 64-bit code */
	BV_OPF_ONLY64 = 1 << 6,
	BV_OPF_DEFAULT64 = 1 << 7, /* in 64-bit code the operand size is 8, with 66 it is 2 */
	BV_OPF_LOCK = 1 << 8, /* LOCK is allowed if .dst is memory */
	BV_OPF_NO_READ = 1 << 9, /* .dst is not read */
	BV_OPF_NO_WRITE = 1 << 10, /* .dst is not written */
	BV_OPF_CPL0 = 1 << 11, /* #GP(0) elsewhere */
	BV_OPF_PROTECTED = 1 << 12, /* #UD in real and virtual 8086 mode */
	BV_OPF_MEMORY = 1 << 13, /* #UD with a register in ModRM.rm */
	BV_OPF_REGISTER = 1 << 14, /* #UD with memory in ModRM.rm */
	BV_OPF_BIT_STRING = 1 << 15, /* .src is a bit number that also moves the address */
	BV_OPF_ALIGNED = 1 << 16, /* #GP(0) if the vector operand is not aligned to its size */
	BV_OPF_SSE = 1 << 17, /* needs CR4.OSFXSR, #NM by CR0.TS */
	BV_OPF_MMX = 1 << 18, /* #NM by CR0.TS */
	BV_OPF_X87 = 1 << 19,
	BV_OPF_VEX = 1 << 20, /* exists with a VEX prefix too */
	BV_OPF_VEX128 = 1 << 21, /* with a VEX prefix only as VEX.L = 0 */
	BV_OPF_UMIP = 1 << 22, /* #GP(0) at CPL > 0 with CR4.UMIP */
	BV_OPF_REGISTER_ONLY = 1 << 23, /* ModRM.mod is ignored: always a register (MOV CRn) */
	BV_OPF_MORE = 1 << 24, /* reaches memory besides its operands: stack, descriptors */
	BV_OPF_STRING = 1 << 25, /* memory by rSI and rDI, REP */
	BV_OPF_NO_REX_W = 1 << 26, /* the operand size is never 8 */
	BV_OPF_SPECIAL = 1 << 27, /* ModRM.reg is a segment, control or debug register */
	BV_OPF_VEX_3 = 1 << 28, /* VEX.vvvv is a third operand; */
	BV_OPF_VEX_3R = 1 << 29, /* only if ModRM names a register */

	/* What the decoder's verdict depends on. */
	BV_OPF_VERDICT =
		BV_OPF_NO64 | BV_OPF_ONLY64 | BV_OPF_MEMORY | BV_OPF_REGISTER | BV_OPF_SPECIAL,

	/* What the emulator's common path need not look at one by one. */
	BV_OPF_CHECKS =
		BV_OPF_CPL0 | BV_OPF_PROTECTED | BV_OPF_SSE | BV_OPF_MMX | BV_OPF_X87 | BV_OPF_UMIP,
};

struct bv_opcode {
	u8 op; /* enum bv_operation, or a group or set by .flags */
	u8 dst; /* enum bv_place | enum bv_width */
	u8 src;
	u8 imm; /* enum bv_immediate */
	u32 flags; /* enum bv_opcode_flag */
};

enum bv_opcode_group {
	BV_GROUP_1,
	BV_GROUP_1A,
	BV_GROUP_2,
	BV_GROUP_3,
	BV_GROUP_4,
	BV_GROUP_5,
	BV_GROUP_6,
	BV_GROUP_7, /* ModRM names memory */
	BV_GROUP_7R, /* ModRM names a register: many rows are instructions by the whole byte */
	BV_GROUP_8,
	BV_GROUP_9,
	BV_GROUP_11,
	BV_GROUP_15,
	BV_GROUP_P, /* 0F 0D and 0F 18: prefetches and hint no-operations */
	BV_GROUP_COUNT,
};

enum bv_opcode_set {
	BV_SET_10,
	BV_SET_11,
	BV_SET_12,
	BV_SET_13,
	BV_SET_16,
	BV_SET_17,
	BV_SET_28,
	BV_SET_29,
	BV_SET_2B,
	BV_SET_6E,
	BV_SET_6F,
	BV_SET_7E,
	BV_SET_7F,
	BV_SET_B8,
	BV_SET_BC,
	BV_SET_BD,
	BV_SET_D6,
	BV_SET_E7,
	BV_SET_F0,
	BV_SET_38_2A,
	BV_SET_38_F0,
	BV_SET_38_F1,
	BV_SET_COUNT,
};

/*
 * The one-byte map, and the map after 0F. Of the map after 0F 38 only the BV_SET_38_* are known.
 */
extern const struct bv_opcode bv_opcodes[256];
extern const struct bv_opcode bv_opcodes_0f[256];

/* A group's row overrides the row that named it where it says anything: see bv_insn_decode(). */
extern const struct bv_opcode bv_opcode_groups[BV_GROUP_COUNT][8];
extern const struct bv_opcode bv_opcode_sets[BV_SET_COUNT][4];

#endif
