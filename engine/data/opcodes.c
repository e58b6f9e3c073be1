// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/*
 * The opcode maps. See opcodes.h for the columns; the decoder is the only reader.
 *
 * A row that is absent is BV_OP_UNKNOWN without operands: the decoder cannot tell its length, and the emulator
 * hands it back as not performed.
 */
#include "data/opcodes.h"

/* Shorthand for this file: the operand letters of the manual's opcode maps. */
#define Eb (BV_AT_RM | BV_SIZE_1)
#define Ew (BV_AT_RM | BV_SIZE_2)
#define Ev (BV_AT_RM | BV_SIZE_OP)
#define Ey (BV_AT_RM | BV_SIZE_Y)
#define Ed (BV_AT_RM | BV_SIZE_4)
#define Ew_Rv (BV_AT_RM16 | BV_SIZE_OP) /* a word in memory, but a whole register */
#define El (BV_AT_RM_LATE | BV_SIZE_OP)
#define Gb (BV_AT_REG | BV_SIZE_1)
#define Gw (BV_AT_REG | BV_SIZE_2)
#define Gv (BV_AT_REG | BV_SIZE_OP)
#define Gy (BV_AT_REG | BV_SIZE_Y)
#define Zb (BV_AT_OPREG | BV_SIZE_1)
#define Zv (BV_AT_OPREG | BV_SIZE_OP)
#define AL (BV_AT_ACC | BV_SIZE_1)
#define rAX (BV_AT_ACC | BV_SIZE_OP)
#define I (BV_AT_IMM | BV_SIZE_OP)
#define CL (BV_AT_CL | BV_SIZE_1)
#define One (BV_AT_ONE | BV_SIZE_1)
#define Ob (BV_AT_MOFFS | BV_SIZE_1)
#define Ov (BV_AT_MOFFS | BV_SIZE_OP)
#define M (BV_AT_ADDRESS | BV_SIZE_OP)
#define Mb (BV_AT_ADDRESS | BV_SIZE_1)
#define Md (BV_AT_ADDRESS | BV_SIZE_4)
#define Mq (BV_AT_ADDRESS | BV_SIZE_8)
#define Mx (BV_AT_ADDRESS | BV_SIZE_VEC)
#define Rs (BV_AT_RM | BV_SIZE_STACK) /* the register of a CR or DR move */
#define B (BV_AT_NONE | BV_SIZE_1) /* no operand, only a size */
#define None 0

#define ROW(op_, dst_, src_, imm_, flags_)                                                         \
	{                                                                                          \
		.op = (op_), .dst = (dst_), .src = (src_), .imm = (imm_), .flags = (flags_),       \
	}
#define PLAIN(op_) ROW(op_, None, None, BV_IMM_NONE, 0)
#define FLAGGED(op_, flags_) ROW(op_, None, None, BV_IMM_NONE, flags_)
#define PREFIX FLAGGED(BV_OP_UNKNOWN, BV_OPF_PREFIX)
#define INVALID PLAIN(BV_OP_UD)
#define INVALID_RM FLAGGED(BV_OP_UD, BV_OPF_MODRM)
#define UNKNOWN_RM FLAGGED(BV_OP_UNKNOWN, BV_OPF_MODRM)
#define UNKNOWN_RM_IB ROW(BV_OP_UNKNOWN, None, None, BV_IMM_8U, BV_OPF_MODRM)

#define MRM BV_OPF_MODRM
#define GROUP (BV_OPF_MODRM | BV_OPF_GROUP)
#define SET (BV_OPF_MODRM | BV_OPF_BY_PREFIX)
#define D64 BV_OPF_DEFAULT64

/* The six forms of an arithmetic instruction. */
#define ALU(at, op, flags)                                                                         \
	[(at) + 0] = ROW(op, Eb, Gb, BV_IMM_NONE, MRM | BV_OPF_LOCK | (flags)),                    \
	[(at) + 1] = ROW(op, Ev, Gv, BV_IMM_NONE, MRM | BV_OPF_LOCK | (flags)),                    \
	[(at) + 2] = ROW(op, Gb, Eb, BV_IMM_NONE, MRM | (flags)),                                  \
	[(at) + 3] = ROW(op, Gv, Ev, BV_IMM_NONE, MRM | (flags)),                                  \
	[(at) + 4] = ROW(op, AL, I, BV_IMM_8, flags), [(at) + 5] = ROW(op, rAX, I, BV_IMM_Z, flags)

#define EIGHT(at, ...)                                                                             \
	[(at) + 0] = __VA_ARGS__, [(at) + 1] = __VA_ARGS__, [(at) + 2] = __VA_ARGS__,              \
	[(at) + 3] = __VA_ARGS__, [(at) + 4] = __VA_ARGS__, [(at) + 5] = __VA_ARGS__,              \
	[(at) + 6] = __VA_ARGS__, [(at) + 7] = __VA_ARGS__

#define SIXTEEN(at, ...) EIGHT(at, __VA_ARGS__), EIGHT((at) + 8, __VA_ARGS__)

#define PUSH_SEG ROW(BV_OP_PUSH_SEG, None, None, BV_IMM_NONE, BV_OPF_NO64 | BV_OPF_STACK)
#define POP_SEG ROW(BV_OP_POP_SEG, None, None, BV_IMM_NONE, BV_OPF_NO64 | BV_OPF_STACK)
#define STRING(op, size) ROW(op, size, None, BV_IMM_NONE, BV_OPF_STRING)
#define STRING_IO(op, size) ROW(op, size, None, BV_IMM_NONE, BV_OPF_STRING | BV_OPF_NO_REX_W)
#define SHIFT(dst, count, imm) ROW(BV_GROUP_2, dst, count, imm, GROUP)
#define FPU ROW(BV_OP_FPU, M, None, BV_IMM_NONE, MRM | BV_OPF_X87)

const struct bv_opcode bv_opcodes[256] = {
	ALU(0x00, BV_OP_ADD, 0),
	[0x06] = PUSH_SEG,
	[0x07] = POP_SEG,
	ALU(0x08, BV_OP_OR, 0),
	[0x0e] = PUSH_SEG,
	[0x0f] = FLAGGED(BV_OP_UNKNOWN, BV_OPF_ESCAPE),
	ALU(0x10, BV_OP_ADC, 0),
	[0x16] = PUSH_SEG,
	[0x17] = POP_SEG,
	ALU(0x18, BV_OP_SBB, 0),
	[0x1e] = PUSH_SEG,
	[0x1f] = POP_SEG,
	ALU(0x20, BV_OP_AND, 0),
	[0x26] = PREFIX,
	[0x27] = FLAGGED(BV_OP_DAA, BV_OPF_NO64),
	ALU(0x28, BV_OP_SUB, 0),
	[0x2e] = PREFIX,
	[0x2f] = FLAGGED(BV_OP_DAS, BV_OPF_NO64),
	ALU(0x30, BV_OP_XOR, 0),
	[0x36] = PREFIX,
	[0x37] = FLAGGED(BV_OP_AAA, BV_OPF_NO64),
	/* CMP, which takes no LOCK */
	[0x38] = ROW(BV_OP_CMP, Eb, Gb, BV_IMM_NONE, MRM | BV_OPF_NO_WRITE),
	[0x39] = ROW(BV_OP_CMP, Ev, Gv, BV_IMM_NONE, MRM | BV_OPF_NO_WRITE),
	[0x3a] = ROW(BV_OP_CMP, Gb, Eb, BV_IMM_NONE, MRM | BV_OPF_NO_WRITE),
	[0x3b] = ROW(BV_OP_CMP, Gv, Ev, BV_IMM_NONE, MRM | BV_OPF_NO_WRITE),
	[0x3c] = ROW(BV_OP_CMP, AL, I, BV_IMM_8, BV_OPF_NO_WRITE),
	[0x3d] = ROW(BV_OP_CMP, rAX, I, BV_IMM_Z, BV_OPF_NO_WRITE),
	[0x3e] = PREFIX,
	[0x3f] = FLAGGED(BV_OP_AAS, BV_OPF_NO64),
	/* in 64-bit code these sixteen are REX, which the decoder sees first */
	EIGHT(0x40, ROW(BV_OP_INC, Zv, None, BV_IMM_NONE, BV_OPF_NO64)),
	EIGHT(0x48, ROW(BV_OP_DEC, Zv, None, BV_IMM_NONE, BV_OPF_NO64)),
	EIGHT(0x50, ROW(BV_OP_PUSH, None, Zv, BV_IMM_NONE, D64 | BV_OPF_STACK)),
	EIGHT(0x58, ROW(BV_OP_POP, Zv, None, BV_IMM_NONE, D64 | BV_OPF_STACK | BV_OPF_NO_READ)),
	[0x60] = FLAGGED(BV_OP_PUSHA, BV_OPF_NO64 | BV_OPF_STACK),
	[0x61] = FLAGGED(BV_OP_POPA, BV_OPF_NO64 | BV_OPF_STACK),
	[0x62] = ROW(BV_OP_BOUND, M, Gv, BV_IMM_NONE,
		     MRM | BV_OPF_NO64 | BV_OPF_MEMORY | BV_OPF_NO_WRITE),
	/* 63 is ARPL outside 64-bit code: the decoder changes the row */
	[0x63] = ROW(BV_OP_MOVSX, Gv, Ed, BV_IMM_NONE, MRM | BV_OPF_NO_READ),
	[0x64] = PREFIX,
	[0x65] = PREFIX,
	[0x66] = PREFIX,
	[0x67] = PREFIX,
	[0x68] = ROW(BV_OP_PUSH, None, I, BV_IMM_Z, D64 | BV_OPF_STACK),
	[0x69] = ROW(BV_OP_IMUL, Gv, Ev, BV_IMM_Z, MRM | BV_OPF_NO_READ),
	[0x6a] = ROW(BV_OP_PUSH, None, I, BV_IMM_8, D64 | BV_OPF_STACK),
	[0x6b] = ROW(BV_OP_IMUL, Gv, Ev, BV_IMM_8, MRM | BV_OPF_NO_READ),
	[0x6c] = STRING_IO(BV_OP_INS, B),
	[0x6d] = STRING_IO(BV_OP_INS, None),
	[0x6e] = STRING_IO(BV_OP_OUTS, B),
	[0x6f] = STRING_IO(BV_OP_OUTS, None),
	SIXTEEN(0x70, ROW(BV_OP_JCC, None, None, BV_IMM_8, D64)),
	[0x80] = ROW(BV_GROUP_1, Eb, I, BV_IMM_8, GROUP),
	[0x81] = ROW(BV_GROUP_1, Ev, I, BV_IMM_Z, GROUP),
	[0x82] = ROW(BV_GROUP_1, Eb, I, BV_IMM_8, GROUP | BV_OPF_NO64),
	[0x83] = ROW(BV_GROUP_1, Ev, I, BV_IMM_8, GROUP),
	[0x84] = ROW(BV_OP_TEST, Eb, Gb, BV_IMM_NONE, MRM | BV_OPF_NO_WRITE),
	[0x85] = ROW(BV_OP_TEST, Ev, Gv, BV_IMM_NONE, MRM | BV_OPF_NO_WRITE),
	[0x86] = ROW(BV_OP_XCHG, Eb, Gb, BV_IMM_NONE, MRM | BV_OPF_LOCK),
	[0x87] = ROW(BV_OP_XCHG, Ev, Gv, BV_IMM_NONE, MRM | BV_OPF_LOCK),
	[0x88] = ROW(BV_OP_MOV, Eb, Gb, BV_IMM_NONE, MRM | BV_OPF_NO_READ),
	[0x89] = ROW(BV_OP_MOV, Ev, Gv, BV_IMM_NONE, MRM | BV_OPF_NO_READ),
	[0x8a] = ROW(BV_OP_MOV, Gb, Eb, BV_IMM_NONE, MRM | BV_OPF_NO_READ),
	[0x8b] = ROW(BV_OP_MOV, Gv, Ev, BV_IMM_NONE, MRM | BV_OPF_NO_READ),
	[0x8c] = ROW(BV_OP_MOV_FROM_SEG, Ew_Rv, None, BV_IMM_NONE, MRM | BV_OPF_NO_READ),
	[0x8d] = ROW(BV_OP_LEA, Gv, M, BV_IMM_NONE, MRM | BV_OPF_NO_READ | BV_OPF_MEMORY),
	[0x8e] = ROW(BV_OP_MOV_TO_SEG, None, Ew, BV_IMM_NONE, MRM),
	[0x8f] = ROW(BV_GROUP_1A, El, None, BV_IMM_NONE, GROUP | D64),
	EIGHT(0x90, ROW(BV_OP_XCHG, Zv, rAX, BV_IMM_NONE, 0)), /* 90 itself: see the operation */
	[0x98] = ROW(BV_OP_CBW, None, None, BV_IMM_NONE, 0),
	[0x99] = ROW(BV_OP_CWD, None, None, BV_IMM_NONE, 0),
	[0x9a] = ROW(BV_OP_CALL_FAR, None, None, BV_IMM_FAR, BV_OPF_NO64 | BV_OPF_STACK),
	[0x9b] = FLAGGED(BV_OP_FWAIT, 0),
	[0x9c] = FLAGGED(BV_OP_PUSHF, D64 | BV_OPF_STACK),
	[0x9d] = FLAGGED(BV_OP_POPF, D64 | BV_OPF_STACK),
	[0x9e] = PLAIN(BV_OP_SAHF),
	[0x9f] = PLAIN(BV_OP_LAHF),
	[0xa0] = ROW(BV_OP_MOV, AL, Ob, BV_IMM_MOFFS, BV_OPF_NO_READ),
	[0xa1] = ROW(BV_OP_MOV, rAX, Ov, BV_IMM_MOFFS, BV_OPF_NO_READ),
	[0xa2] = ROW(BV_OP_MOV, Ob, AL, BV_IMM_MOFFS, BV_OPF_NO_READ),
	[0xa3] = ROW(BV_OP_MOV, Ov, rAX, BV_IMM_MOFFS, BV_OPF_NO_READ),
	[0xa4] = STRING(BV_OP_MOVS, B),
	[0xa5] = STRING(BV_OP_MOVS, None),
	[0xa6] = STRING(BV_OP_CMPS, B),
	[0xa7] = STRING(BV_OP_CMPS, None),
	[0xa8] = ROW(BV_OP_TEST, AL, I, BV_IMM_8, BV_OPF_NO_WRITE),
	[0xa9] = ROW(BV_OP_TEST, rAX, I, BV_IMM_Z, BV_OPF_NO_WRITE),
	[0xaa] = STRING(BV_OP_STOS, B),
	[0xab] = STRING(BV_OP_STOS, None),
	[0xac] = STRING(BV_OP_LODS, B),
	[0xad] = STRING(BV_OP_LODS, None),
	[0xae] = STRING(BV_OP_SCAS, B),
	[0xaf] = STRING(BV_OP_SCAS, None),
	EIGHT(0xb0, ROW(BV_OP_MOV, Zb, I, BV_IMM_8, BV_OPF_NO_READ)),
	EIGHT(0xb8, ROW(BV_OP_MOV, Zv, I, BV_IMM_V, BV_OPF_NO_READ)),
	[0xc0] = SHIFT(Eb, I, BV_IMM_8U),
	[0xc1] = SHIFT(Ev, I, BV_IMM_8U),
	[0xc2] = ROW(BV_OP_RET, None, None, BV_IMM_16, D64 | BV_OPF_STACK),
	[0xc3] = ROW(BV_OP_RET, None, None, BV_IMM_NONE, D64 | BV_OPF_STACK),
	/* in 64-bit code, or with mod = 3, C4 and C5 are VEX: the decoder looks */
	[0xc4] = ROW(BV_OP_LOAD_FAR, Gv, M, BV_IMM_NONE,
		     MRM | BV_OPF_MEMORY | BV_OPF_NO64 | BV_OPF_NO_READ | BV_OPF_ESCAPE),
	[0xc5] = ROW(BV_OP_LOAD_FAR, Gv, M, BV_IMM_NONE,
		     MRM | BV_OPF_MEMORY | BV_OPF_NO64 | BV_OPF_NO_READ | BV_OPF_ESCAPE),
	[0xc6] = ROW(BV_GROUP_11, Eb, I, BV_IMM_8, GROUP),
	[0xc7] = ROW(BV_GROUP_11, Ev, I, BV_IMM_Z, GROUP),
	[0xc8] = ROW(BV_OP_ENTER, None, None, BV_IMM_16_8, D64 | BV_OPF_STACK),
	[0xc9] = ROW(BV_OP_LEAVE, None, None, BV_IMM_NONE, D64 | BV_OPF_STACK),
	[0xca] = ROW(BV_OP_RET_FAR, None, None, BV_IMM_16, BV_OPF_STACK),
	[0xcb] = ROW(BV_OP_RET_FAR, None, None, BV_IMM_NONE, BV_OPF_STACK),
	[0xcc] = FLAGGED(BV_OP_INT3, BV_OPF_STACK),
	[0xcd] = ROW(BV_OP_INT, None, None, BV_IMM_8U, BV_OPF_STACK),
	[0xce] = FLAGGED(BV_OP_INTO, BV_OPF_STACK | BV_OPF_NO64),
	[0xcf] = FLAGGED(BV_OP_IRET, BV_OPF_STACK),
	[0xd0] = SHIFT(Eb, One, BV_IMM_NONE),
	[0xd1] = SHIFT(Ev, One, BV_IMM_NONE),
	[0xd2] = SHIFT(Eb, CL, BV_IMM_NONE),
	[0xd3] = SHIFT(Ev, CL, BV_IMM_NONE),
	[0xd4] = ROW(BV_OP_AAM, None, None, BV_IMM_8U, BV_OPF_NO64),
	[0xd5] = ROW(BV_OP_AAD, None, None, BV_IMM_8U, BV_OPF_NO64),
	[0xd6] = FLAGGED(BV_OP_SALC, BV_OPF_NO64),
	[0xd7] = PLAIN(BV_OP_XLAT),
	EIGHT(0xd8, FPU),
	[0xe0] = ROW(BV_OP_LOOPNE, None, None, BV_IMM_8, D64),
	[0xe1] = ROW(BV_OP_LOOPE, None, None, BV_IMM_8, D64),
	[0xe2] = ROW(BV_OP_LOOP, None, None, BV_IMM_8, D64),
	[0xe3] = ROW(BV_OP_JCXZ, None, None, BV_IMM_8, D64),
	[0xe4] = ROW(BV_OP_IN, AL, None, BV_IMM_8U, BV_OPF_NO_READ),
	[0xe5] = ROW(BV_OP_IN, rAX, None, BV_IMM_8U, BV_OPF_NO_READ | BV_OPF_NO_REX_W),
	[0xe6] = ROW(BV_OP_OUT, AL, None, BV_IMM_8U, BV_OPF_NO_WRITE),
	[0xe7] = ROW(BV_OP_OUT, rAX, None, BV_IMM_8U, BV_OPF_NO_WRITE | BV_OPF_NO_REX_W),
	[0xe8] = ROW(BV_OP_CALL, None, None, BV_IMM_Z, D64 | BV_OPF_STACK),
	[0xe9] = ROW(BV_OP_JMP, None, None, BV_IMM_Z, D64),
	[0xea] = ROW(BV_OP_JMP_FAR, None, None, BV_IMM_FAR, BV_OPF_NO64),
	[0xeb] = ROW(BV_OP_JMP, None, None, BV_IMM_8, D64),
	[0xec] = ROW(BV_OP_IN, AL, None, BV_IMM_NONE, BV_OPF_NO_READ),
	[0xed] = ROW(BV_OP_IN, rAX, None, BV_IMM_NONE, BV_OPF_NO_READ | BV_OPF_NO_REX_W),
	[0xee] = ROW(BV_OP_OUT, AL, None, BV_IMM_NONE, BV_OPF_NO_WRITE),
	[0xef] = ROW(BV_OP_OUT, rAX, None, BV_IMM_NONE, BV_OPF_NO_WRITE | BV_OPF_NO_REX_W),
	[0xf0] = PREFIX,
	[0xf1] = PLAIN(BV_OP_UNKNOWN), /* INT1 */
	[0xf2] = PREFIX,
	[0xf3] = PREFIX,
	[0xf4] = FLAGGED(BV_OP_HLT, BV_OPF_CPL0),
	[0xf5] = PLAIN(BV_OP_CMC),
	[0xf6] = ROW(BV_GROUP_3, Eb, I, BV_IMM_NONE, GROUP),
	[0xf7] = ROW(BV_GROUP_3, Ev, I, BV_IMM_NONE, GROUP),
	[0xf8] = PLAIN(BV_OP_CLC),
	[0xf9] = PLAIN(BV_OP_STC),
	[0xfa] = PLAIN(BV_OP_CLI),
	[0xfb] = PLAIN(BV_OP_STI),
	[0xfc] = PLAIN(BV_OP_CLD),
	[0xfd] = PLAIN(BV_OP_STD),
	[0xfe] = ROW(BV_GROUP_4, Eb, None, BV_IMM_NONE, GROUP),
	[0xff] = ROW(BV_GROUP_5, Ev, None, BV_IMM_NONE, GROUP),
};

#define VSET(which) ROW(which, None, None, BV_IMM_NONE, SET)
#define LOAD_FAR ROW(BV_OP_LOAD_FAR, Gv, M, BV_IMM_NONE, MRM | BV_OPF_MEMORY | BV_OPF_NO_READ)
#define BITS(op, flags) ROW(op, Ev, Gv, BV_IMM_NONE, MRM | BV_OPF_BIT_STRING | (flags))

const struct bv_opcode bv_opcodes_0f[256] = {
	[0x00] = ROW(BV_GROUP_6, None, None, BV_IMM_NONE, GROUP),
	[0x01] = ROW(BV_GROUP_7, None, None, BV_IMM_NONE, GROUP),
	[0x02] = ROW(BV_OP_LAR, Gv, Ew, BV_IMM_NONE, MRM | BV_OPF_PROTECTED),
	[0x03] = ROW(BV_OP_LSL, Gv, Ew, BV_IMM_NONE, MRM | BV_OPF_PROTECTED),
	[0x04] = INVALID,
	[0x05] = PLAIN(BV_OP_UNKNOWN), /* SYSCALL */
	[0x06] = FLAGGED(BV_OP_CLTS, BV_OPF_CPL0),
	[0x07] = PLAIN(BV_OP_UNKNOWN), /* SYSRET */
	[0x08] = FLAGGED(BV_OP_INVD, BV_OPF_CPL0),
	[0x09] = FLAGGED(BV_OP_WBINVD, BV_OPF_CPL0),
	[0x0a] = INVALID,
	[0x0b] = INVALID,
	[0x0c] = INVALID,
	[0x0d] = ROW(BV_GROUP_P, None, None, BV_IMM_NONE, GROUP),
	[0x10] = VSET(BV_SET_10),
	[0x11] = VSET(BV_SET_11),
	[0x12] = VSET(BV_SET_12),
	[0x13] = VSET(BV_SET_13),
	[0x14] = UNKNOWN_RM,
	[0x15] = UNKNOWN_RM,
	[0x16] = VSET(BV_SET_16),
	[0x17] = VSET(BV_SET_17),
	EIGHT(0x18, ROW(BV_GROUP_P, None, None, BV_IMM_NONE, GROUP)),
	[0x20] = ROW(BV_OP_MOV_FROM_CR, Rs, None, BV_IMM_NONE,
		     MRM | BV_OPF_CPL0 | BV_OPF_NO_READ | BV_OPF_REGISTER_ONLY),
	[0x21] = ROW(BV_OP_MOV_FROM_DR, Rs, None, BV_IMM_NONE,
		     MRM | BV_OPF_CPL0 | BV_OPF_NO_READ | BV_OPF_REGISTER_ONLY),
	[0x22] = ROW(BV_OP_MOV_TO_CR, None, Rs, BV_IMM_NONE,
		     MRM | BV_OPF_CPL0 | BV_OPF_REGISTER_ONLY),
	[0x23] = ROW(BV_OP_MOV_TO_DR, None, Rs, BV_IMM_NONE,
		     MRM | BV_OPF_CPL0 | BV_OPF_REGISTER_ONLY),
	[0x28] = VSET(BV_SET_28),
	[0x29] = VSET(BV_SET_29),
	[0x2a] = UNKNOWN_RM,
	[0x2b] = VSET(BV_SET_2B),
	[0x2c] = UNKNOWN_RM,
	[0x2d] = UNKNOWN_RM,
	[0x2e] = UNKNOWN_RM,
	[0x2f] = UNKNOWN_RM,
	[0x30] = FLAGGED(BV_OP_WRMSR, BV_OPF_CPL0),
	[0x31] = PLAIN(BV_OP_RDTSC),
	[0x32] = FLAGGED(BV_OP_RDMSR, BV_OPF_CPL0),
	[0x33] = PLAIN(BV_OP_RDPMC),
	[0x36] = INVALID,
	[0x38] = FLAGGED(BV_OP_UNKNOWN, BV_OPF_ESCAPE),
	[0x3a] = FLAGGED(BV_OP_UNKNOWN, BV_OPF_ESCAPE),
	SIXTEEN(0x40, ROW(BV_OP_CMOV, Gv, Ev, BV_IMM_NONE, MRM)),
	SIXTEEN(0x50, UNKNOWN_RM),
	EIGHT(0x60, UNKNOWN_RM),
	[0x68] = UNKNOWN_RM,
	[0x69] = UNKNOWN_RM,
	[0x6a] = UNKNOWN_RM,
	[0x6b] = UNKNOWN_RM,
	[0x6c] = UNKNOWN_RM,
	[0x6d] = UNKNOWN_RM,
	[0x6e] = VSET(BV_SET_6E),
	[0x6f] = VSET(BV_SET_6F),
	[0x70] = UNKNOWN_RM_IB,
	[0x71] = UNKNOWN_RM_IB,
	[0x72] = UNKNOWN_RM_IB,
	[0x73] = UNKNOWN_RM_IB,
	[0x74] = UNKNOWN_RM,
	[0x75] = UNKNOWN_RM,
	[0x76] = UNKNOWN_RM,
	[0x77] = FLAGGED(BV_OP_EMMS, BV_OPF_MMX),
	[0x7c] = UNKNOWN_RM,
	[0x7d] = UNKNOWN_RM,
	[0x7e] = VSET(BV_SET_7E),
	[0x7f] = VSET(BV_SET_7F),
	SIXTEEN(0x80, ROW(BV_OP_JCC, None, None, BV_IMM_Z, D64)),
	SIXTEEN(0x90, ROW(BV_OP_SETCC, Eb, None, BV_IMM_NONE, MRM | BV_OPF_NO_READ)),
	[0xa0] = ROW(BV_OP_PUSH_SEG, None, None, BV_IMM_NONE, D64 | BV_OPF_STACK),
	[0xa1] = ROW(BV_OP_POP_SEG, None, None, BV_IMM_NONE, D64 | BV_OPF_STACK),
	[0xa2] = PLAIN(BV_OP_CPUID),
	[0xa3] = BITS(BV_OP_BT, BV_OPF_NO_WRITE),
	[0xa4] = ROW(BV_OP_SHLD, Ev, Gv, BV_IMM_8U, MRM),
	[0xa5] = ROW(BV_OP_SHLD, Ev, Gv, BV_IMM_NONE, MRM),
	[0xa8] = ROW(BV_OP_PUSH_SEG, None, None, BV_IMM_NONE, D64 | BV_OPF_STACK),
	[0xa9] = ROW(BV_OP_POP_SEG, None, None, BV_IMM_NONE, D64 | BV_OPF_STACK),
	[0xaa] = PLAIN(BV_OP_UNKNOWN), /* RSM */
	[0xab] = BITS(BV_OP_BTS, BV_OPF_LOCK),
	[0xac] = ROW(BV_OP_SHRD, Ev, Gv, BV_IMM_8U, MRM),
	[0xad] = ROW(BV_OP_SHRD, Ev, Gv, BV_IMM_NONE, MRM),
	[0xae] = ROW(BV_GROUP_15, None, None, BV_IMM_NONE, GROUP),
	[0xaf] = ROW(BV_OP_IMUL, Gv, Ev, BV_IMM_NONE, MRM),
	[0xb0] = ROW(BV_OP_CMPXCHG, Eb, Gb, BV_IMM_NONE, MRM | BV_OPF_LOCK),
	[0xb1] = ROW(BV_OP_CMPXCHG, Ev, Gv, BV_IMM_NONE, MRM | BV_OPF_LOCK),
	[0xb2] = LOAD_FAR,
	[0xb3] = BITS(BV_OP_BTR, BV_OPF_LOCK),
	[0xb4] = LOAD_FAR,
	[0xb5] = LOAD_FAR,
	[0xb6] = ROW(BV_OP_MOVZX, Gv, Eb, BV_IMM_NONE, MRM | BV_OPF_NO_READ),
	[0xb7] = ROW(BV_OP_MOVZX, Gv, Ew, BV_IMM_NONE, MRM | BV_OPF_NO_READ),
	[0xb8] = VSET(BV_SET_B8),
	[0xb9] = INVALID_RM,
	[0xba] = ROW(BV_GROUP_8, Ev, I, BV_IMM_8U, GROUP),
	[0xbb] = BITS(BV_OP_BTC, BV_OPF_LOCK),
	[0xbc] = VSET(BV_SET_BC),
	[0xbd] = VSET(BV_SET_BD),
	[0xbe] = ROW(BV_OP_MOVSX, Gv, Eb, BV_IMM_NONE, MRM | BV_OPF_NO_READ),
	[0xbf] = ROW(BV_OP_MOVSX, Gv, Ew, BV_IMM_NONE, MRM | BV_OPF_NO_READ),
	[0xc0] = ROW(BV_OP_XADD, Eb, Gb, BV_IMM_NONE, MRM | BV_OPF_LOCK),
	[0xc1] = ROW(BV_OP_XADD, Ev, Gv, BV_IMM_NONE, MRM | BV_OPF_LOCK),
	[0xc2] = UNKNOWN_RM_IB,
	/* MOVNTI: a plain store but for the caches */
	[0xc3] = ROW(BV_OP_MOV, Ey, Gy, BV_IMM_NONE, MRM | BV_OPF_NO_READ | BV_OPF_MEMORY),
	[0xc4] = UNKNOWN_RM_IB,
	[0xc5] = UNKNOWN_RM_IB,
	[0xc6] = UNKNOWN_RM_IB,
	[0xc7] = ROW(BV_GROUP_9, None, None, BV_IMM_NONE, GROUP),
	EIGHT(0xc8, ROW(BV_OP_BSWAP, Zv, None, BV_IMM_NONE, 0)),
	[0xd0] = UNKNOWN_RM,
	[0xd1] = UNKNOWN_RM,
	[0xd2] = UNKNOWN_RM,
	[0xd3] = UNKNOWN_RM,
	[0xd4] = UNKNOWN_RM,
	[0xd5] = UNKNOWN_RM,
	[0xd6] = VSET(BV_SET_D6),
	[0xd7] = UNKNOWN_RM,
	EIGHT(0xd8, UNKNOWN_RM),
	[0xe0] = UNKNOWN_RM,
	[0xe1] = UNKNOWN_RM,
	[0xe2] = UNKNOWN_RM,
	[0xe3] = UNKNOWN_RM,
	[0xe4] = UNKNOWN_RM,
	[0xe5] = UNKNOWN_RM,
	[0xe6] = UNKNOWN_RM,
	[0xe7] = VSET(BV_SET_E7),
	EIGHT(0xe8, UNKNOWN_RM),
	[0xf0] = VSET(BV_SET_F0),
	[0xf1] = UNKNOWN_RM,
	[0xf2] = UNKNOWN_RM,
	[0xf3] = UNKNOWN_RM,
	[0xf4] = UNKNOWN_RM,
	[0xf5] = UNKNOWN_RM,
	[0xf6] = UNKNOWN_RM,
	[0xf7] = UNKNOWN_RM,
	EIGHT(0xf8, UNKNOWN_RM),
};

#define RMW(op) ROW(op, None, None, BV_IMM_NONE, BV_OPF_LOCK)
#define OF_GROUP(op) PLAIN(op) /* operands are those of the row that named the group */

const struct bv_opcode bv_opcode_groups[BV_GROUP_COUNT][8] = {
	[BV_GROUP_1] = {
		RMW(BV_OP_ADD), RMW(BV_OP_OR), RMW(BV_OP_ADC), RMW(BV_OP_SBB),
		RMW(BV_OP_AND), RMW(BV_OP_SUB), RMW(BV_OP_XOR), FLAGGED(BV_OP_CMP, BV_OPF_NO_WRITE),
	},
	[BV_GROUP_1A] = {
		FLAGGED(BV_OP_POP, BV_OPF_STACK | BV_OPF_NO_READ),
		INVALID, INVALID, INVALID, INVALID, INVALID, INVALID, INVALID,
	},
	[BV_GROUP_2] = {
		OF_GROUP(BV_OP_ROL), OF_GROUP(BV_OP_ROR), OF_GROUP(BV_OP_RCL), OF_GROUP(BV_OP_RCR),
		OF_GROUP(BV_OP_SHL), OF_GROUP(BV_OP_SHR), OF_GROUP(BV_OP_SAL), OF_GROUP(BV_OP_SAR),
	},
	/* TEST alone has an immediate: BV_IMM_Z, which is one byte in the byte form */
	[BV_GROUP_3] = {
		ROW(BV_OP_TEST, None, None, BV_IMM_Z, BV_OPF_NO_WRITE),
		ROW(BV_OP_TEST, None, None, BV_IMM_Z, BV_OPF_NO_WRITE),
		RMW(BV_OP_NOT), RMW(BV_OP_NEG),
		FLAGGED(BV_OP_MUL, BV_OPF_NO_WRITE), FLAGGED(BV_OP_IMUL_WIDE, BV_OPF_NO_WRITE),
		FLAGGED(BV_OP_DIV, BV_OPF_NO_WRITE), FLAGGED(BV_OP_IDIV, BV_OPF_NO_WRITE),
	},
	[BV_GROUP_4] = {
		RMW(BV_OP_INC), RMW(BV_OP_DEC), INVALID, INVALID,
		INVALID, INVALID, INVALID, INVALID,
	},
	[BV_GROUP_5] = {
		RMW(BV_OP_INC), RMW(BV_OP_DEC),
		FLAGGED(BV_OP_CALL, D64 | BV_OPF_STACK | BV_OPF_NO_WRITE),
		ROW(BV_OP_CALL_FAR, M, None, BV_IMM_NONE,
		    BV_OPF_MEMORY | BV_OPF_STACK | BV_OPF_NO_WRITE),
		FLAGGED(BV_OP_JMP, D64 | BV_OPF_NO_WRITE),
		ROW(BV_OP_JMP_FAR, M, None, BV_IMM_NONE, BV_OPF_MEMORY | BV_OPF_NO_WRITE),
		FLAGGED(BV_OP_PUSH, D64 | BV_OPF_STACK | BV_OPF_NO_WRITE), INVALID,
	},
	[BV_GROUP_6] = {
		ROW(BV_OP_SLDT, Ew_Rv, None, BV_IMM_NONE,
		    BV_OPF_PROTECTED | BV_OPF_NO_READ | BV_OPF_UMIP),
		ROW(BV_OP_STR, Ew_Rv, None, BV_IMM_NONE,
		    BV_OPF_PROTECTED | BV_OPF_NO_READ | BV_OPF_UMIP),
		ROW(BV_OP_LLDT, None, Ew, BV_IMM_NONE, BV_OPF_PROTECTED | BV_OPF_CPL0),
		ROW(BV_OP_LTR, None, Ew, BV_IMM_NONE, BV_OPF_PROTECTED | BV_OPF_CPL0),
		ROW(BV_OP_VERR, None, Ew, BV_IMM_NONE, BV_OPF_PROTECTED),
		ROW(BV_OP_VERW, None, Ew, BV_IMM_NONE, BV_OPF_PROTECTED),
		INVALID, INVALID,
	},
	[BV_GROUP_7] = {
		ROW(BV_OP_SGDT, M, None, BV_IMM_NONE, BV_OPF_UMIP | BV_OPF_NO_WRITE),
		ROW(BV_OP_SIDT, M, None, BV_IMM_NONE, BV_OPF_UMIP | BV_OPF_NO_WRITE),
		ROW(BV_OP_LGDT, M, None, BV_IMM_NONE, BV_OPF_CPL0 | BV_OPF_NO_WRITE),
		ROW(BV_OP_LIDT, M, None, BV_IMM_NONE, BV_OPF_CPL0 | BV_OPF_NO_WRITE),
		ROW(BV_OP_SMSW, Ew_Rv, None, BV_IMM_NONE, BV_OPF_NO_READ | BV_OPF_UMIP),
		PLAIN(BV_OP_UNKNOWN),
		ROW(BV_OP_LMSW, None, Ew, BV_IMM_NONE, BV_OPF_CPL0),
		ROW(BV_OP_INVLPG, Mb, None, BV_IMM_NONE, BV_OPF_CPL0 | BV_OPF_NO_WRITE),
	},
	[BV_GROUP_7R] = {
		PLAIN(BV_OP_UNKNOWN), PLAIN(BV_OP_UNKNOWN),
		PLAIN(BV_OP_UNKNOWN), PLAIN(BV_OP_UNKNOWN),
		ROW(BV_OP_SMSW, Ew_Rv, None, BV_IMM_NONE, BV_OPF_NO_READ | BV_OPF_UMIP),
		PLAIN(BV_OP_UNKNOWN),
		ROW(BV_OP_LMSW, None, Ew, BV_IMM_NONE, BV_OPF_CPL0),
		PLAIN(BV_OP_SWAPGS), /* F8; F9 is RDTSCP, the others are not known: the operation looks */
	},
	[BV_GROUP_8] = {
		INVALID, INVALID, INVALID, INVALID,
		FLAGGED(BV_OP_BT, BV_OPF_NO_WRITE),
		RMW(BV_OP_BTS), RMW(BV_OP_BTR), RMW(BV_OP_BTC),
	},
	[BV_GROUP_9] = {
		INVALID,
		ROW(BV_OP_CMPXCHG8B, M, None, BV_IMM_NONE,
		    BV_OPF_MEMORY | BV_OPF_LOCK | BV_OPF_NO_WRITE),
		INVALID, PLAIN(BV_OP_UNKNOWN), PLAIN(BV_OP_UNKNOWN), PLAIN(BV_OP_UNKNOWN),
		PLAIN(BV_OP_UNKNOWN), PLAIN(BV_OP_UNKNOWN),
	},
	[BV_GROUP_11] = {
		FLAGGED(BV_OP_MOV, BV_OPF_NO_READ),
		INVALID, INVALID, INVALID, INVALID, INVALID, INVALID, INVALID,
	},
	/* with a register 5, 6 and 7 are the fences; the operation looks */
	[BV_GROUP_15] = {
		PLAIN(BV_OP_UNKNOWN), PLAIN(BV_OP_UNKNOWN), PLAIN(BV_OP_UNKNOWN),
		PLAIN(BV_OP_UNKNOWN), PLAIN(BV_OP_UNKNOWN),
		ROW(BV_OP_CACHE_LINE, Mb, None, BV_IMM_NONE, BV_OPF_NO_WRITE),
		ROW(BV_OP_CACHE_LINE, Mb, None, BV_IMM_NONE, BV_OPF_NO_WRITE),
		ROW(BV_OP_CACHE_LINE, Mb, None, BV_IMM_NONE, BV_OPF_NO_WRITE),
	},
	[BV_GROUP_P] = {
		PLAIN(BV_OP_NOP), PLAIN(BV_OP_NOP), PLAIN(BV_OP_NOP), PLAIN(BV_OP_NOP),
		PLAIN(BV_OP_NOP), PLAIN(BV_OP_NOP), PLAIN(BV_OP_NOP), PLAIN(BV_OP_NOP),
	},
};

#define SSE (BV_OPF_SSE | BV_OPF_VEX)
#define SSE128 (BV_OPF_SSE | BV_OPF_VEX | BV_OPF_VEX128)
#define VLOAD(flags) ROW(BV_OP_VEC_LOAD, None, Mx, BV_IMM_NONE, SSE | (flags))
#define VSTORE(flags) ROW(BV_OP_VEC_STORE, Mx, None, BV_IMM_NONE, SSE | (flags))
#define VROW(op, memory, flags) ROW(op, memory, None, BV_IMM_NONE, flags)
#define GPR(op, flags) ROW(op, Gv, Ev, BV_IMM_NONE, flags)

const struct bv_opcode bv_opcode_sets[BV_SET_COUNT][4] = {
	[BV_SET_10] = { VLOAD(0), VLOAD(0), VROW(BV_OP_VEC_MOVS, Md, SSE),
			VROW(BV_OP_VEC_MOVS, Mq, SSE) },
	[BV_SET_11] = { VSTORE(0), VSTORE(0), VROW(BV_OP_VEC_STORE_S, Md, SSE),
			VROW(BV_OP_VEC_STORE_S, Mq, SSE) },
	[BV_SET_12] = { VROW(BV_OP_VEC_LOAD_LO, Mq, SSE128),
			VROW(BV_OP_VEC_LOAD_LO, Mq, SSE128 | BV_OPF_MEMORY),
			PLAIN(BV_OP_UNKNOWN), PLAIN(BV_OP_UNKNOWN) },
	[BV_SET_13] = { VROW(BV_OP_VEC_STORE_LOW, Mq, SSE128 | BV_OPF_MEMORY),
			VROW(BV_OP_VEC_STORE_LOW, Mq, SSE128 | BV_OPF_MEMORY), INVALID, INVALID },
	[BV_SET_16] = { VROW(BV_OP_VEC_LOAD_HI, Mq, SSE128),
			VROW(BV_OP_VEC_LOAD_HI, Mq, SSE128 | BV_OPF_MEMORY),
			PLAIN(BV_OP_UNKNOWN), INVALID },
	[BV_SET_17] = { VROW(BV_OP_VEC_STORE_HI, Mq, SSE128 | BV_OPF_MEMORY),
			VROW(BV_OP_VEC_STORE_HI, Mq, SSE128 | BV_OPF_MEMORY), INVALID, INVALID },
	[BV_SET_28] = { VLOAD(BV_OPF_ALIGNED), VLOAD(BV_OPF_ALIGNED), INVALID, INVALID },
	[BV_SET_29] = { VSTORE(BV_OPF_ALIGNED), VSTORE(BV_OPF_ALIGNED), INVALID, INVALID },
	[BV_SET_2B] = { VSTORE(BV_OPF_ALIGNED | BV_OPF_MEMORY),
			VSTORE(BV_OPF_ALIGNED | BV_OPF_MEMORY),
			PLAIN(BV_OP_UNKNOWN), PLAIN(BV_OP_UNKNOWN) }, /* MOVNTSS, MOVNTSD of SSE4A */
	[BV_SET_6E] = { ROW(BV_OP_MMX_FROM_GPR, None, Ey, BV_IMM_NONE, BV_OPF_MMX),
			ROW(BV_OP_VEC_FROM_GPR, None, Ey, BV_IMM_NONE, SSE128), INVALID, INVALID },
	[BV_SET_6F] = { VROW(BV_OP_MMX_LOAD, Mq, BV_OPF_MMX), VLOAD(BV_OPF_ALIGNED), VLOAD(0),
			INVALID },
	[BV_SET_7E] = { ROW(BV_OP_MMX_TO_GPR, Ey, None, BV_IMM_NONE, BV_OPF_MMX | BV_OPF_NO_READ),
			ROW(BV_OP_VEC_TO_GPR, Ey, None, BV_IMM_NONE, SSE128 | BV_OPF_NO_READ),
			VROW(BV_OP_VEC_LOAD_ZERO, Mq, SSE128), INVALID },
	[BV_SET_7F] = { VROW(BV_OP_MMX_STORE, Mq, BV_OPF_MMX), VSTORE(BV_OPF_ALIGNED), VSTORE(0),
			INVALID },
	[BV_SET_B8] = { INVALID, INVALID, GPR(BV_OP_POPCNT, BV_OPF_NO_READ), INVALID },
	[BV_SET_BC] = { GPR(BV_OP_BSF, 0), GPR(BV_OP_BSF, 0), GPR(BV_OP_TZCNT, 0),
			GPR(BV_OP_BSF, 0) },
	[BV_SET_BD] = { GPR(BV_OP_BSR, 0), GPR(BV_OP_BSR, 0), GPR(BV_OP_LZCNT, 0),
			GPR(BV_OP_BSR, 0) },
	[BV_SET_D6] = { INVALID, VROW(BV_OP_VEC_STORE_LOW, Mq, SSE128), PLAIN(BV_OP_UNKNOWN),
			PLAIN(BV_OP_UNKNOWN) },
	[BV_SET_E7] = { VROW(BV_OP_MMX_STORE, Mq, BV_OPF_MMX | BV_OPF_MEMORY),
			VSTORE(BV_OPF_ALIGNED | BV_OPF_MEMORY), PLAIN(BV_OP_UNKNOWN), INVALID },
	[BV_SET_F0] = { INVALID, INVALID, INVALID, VLOAD(BV_OPF_MEMORY) },
	[BV_SET_38_2A] = { INVALID, VLOAD(BV_OPF_ALIGNED | BV_OPF_MEMORY), INVALID, INVALID },
	/* with F2 these two are CRC32 */
	[BV_SET_38_F0] = { ROW(BV_OP_MOVBE, Gv, Ev, BV_IMM_NONE, BV_OPF_NO_READ | BV_OPF_MEMORY),
			   ROW(BV_OP_MOVBE, Gv, Ev, BV_IMM_NONE, BV_OPF_NO_READ | BV_OPF_MEMORY),
			   INVALID, PLAIN(BV_OP_UNKNOWN) },
	[BV_SET_38_F1] = { ROW(BV_OP_MOVBE, Ev, Gv, BV_IMM_NONE, BV_OPF_NO_READ | BV_OPF_MEMORY),
			   ROW(BV_OP_MOVBE, Ev, Gv, BV_IMM_NONE, BV_OPF_NO_READ | BV_OPF_MEMORY),
			   INVALID, PLAIN(BV_OP_UNKNOWN) },
};
