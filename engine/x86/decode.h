/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The instruction decoder: bytes in, struct bv_insn out. It has no state, reaches no guest memory
 * and knows no register contents. The emulator calls it; an exit handler that only wants to know
 * what a faulting access was may call it alone, with bv_insn_as_mmio().
 */
#ifndef BV_X86_DECODE_H
#define BV_X86_DECODE_H

#include "data/opcodes.h"
#include "bv/x86.h"

/* The longest instruction (APM volume 3, 1.1). A longer one is #GP. */
#define BV_INSN_MAX 15

/*
 * Size of the buffer that the decoder is given. It may look at bytes past the valid ones before it
 * finds that they are missing, never past this. Their values do not matter.
 */
#define BV_INSN_WINDOW 40

/* What the code segment says. The values are the default address size. */
enum bv_code_size {
	BV_CODE16 = 2,
	BV_CODE32 = 4,
	BV_CODE64 = 8,
};

enum bv_decode_rc {
	BV_DECODE_OK,
	BV_DECODE_SHORT, /* more bytes are needed than there are */
	BV_DECODE_LONG, /* longer than 15 bytes: #GP(0) */
	BV_DECODE_INVALID, /* #UD */
	BV_DECODE_UNKNOWN, /* an instruction that is not in the tables: length not found */
};

#define BV_REX_W 0x8
#define BV_REX_R 0x4
#define BV_REX_X 0x2
#define BV_REX_B 0x1

#define BV_INSN_NO_REG 0xff

/* struct bv_insn.prefixes */
#define BV_PREFIX_LOCK 0x01
#define BV_PREFIX_REPNE 0x02
#define BV_PREFIX_REP 0x04
#define BV_PREFIX_66 0x08
#define BV_PREFIX_67 0x10
#define BV_PREFIX_SEG 0x20
#define BV_PREFIX_REX 0x40
#define BV_PREFIX_VEX 0x80

struct bv_insn {
	struct bv_opcode
		row; /* group and prefix sets resolved, operands of the group's row inherited */
	u8 len;
	u8 opcode; /* the last opcode byte */
	u8 code; /* enum bv_code_size */
	u8 prefixes;
	u8 rex; /* low four bits of REX, or the same from VEX */
	u8 op_size; /* 2, 4 or 8 */
	u8 addr_size;
	u8 size; /* bytes of the operation: that of .row.dst's width */

	u8 modrm;
	u8 mod;
	u8 reg; /* with REX.R */
	u8 rm; /* with REX.B, if mod is 3 */
	u8 base; /* or BV_INSN_NO_REG */
	u8 index; /* or BV_INSN_NO_REG */
	u8 scale; /* 0 to 3 */
	u8 seg; /* of the memory operand, overrides applied */

	bool rip_relative;
	u8 vex_l;
	u8 vex_reg; /* VEX.vvvv */
	u8 imm2; /* ENTER's level */
	u16 sel; /* of a far pointer */
	s64 disp; /* or the address of BV_AT_MOFFS */
	u64 imm;
};

/*
 * Decodes one instruction. .count of the .bytes are valid. Only after BV_DECODE_OK is .insn whole.
 * The privilege level and mode checks of row.flags are left to the emulator; NO64, ONLY64, MEMORY,
 * REGISTER and LOCK are done.
 */
enum bv_decode_rc bv_insn_decode(struct bv_insn *insn, const u8 bytes[BV_INSN_WINDOW],
				 unsigned int count, enum bv_code_size code);

/*
 * The same, remembering the instruction: devices are reached from few places in a guest's code, and
 * comparing fifteen bytes is much cheaper than decoding them. The key belongs to the insn; zeroed
 * it matches nothing. Nobody may write to the insn in between.
 */
struct bv_insn_key {
	u64 bytes[2];
	u16 what; /* code size and count */
};

static inline enum bv_decode_rc bv_insn_decode_again(struct bv_insn *insn, struct bv_insn_key *key,
						     const u8 bytes[BV_INSN_WINDOW],
						     unsigned int count, enum bv_code_size code)
{
	u16 what = (u16)(code | count << 8);
	enum bv_decode_rc rc;
	u64 low, high;

	__builtin_memcpy(&low, bytes, 8);
	__builtin_memcpy(&high, bytes + 8, 8);
	high &= ~0ULL >> 8; /* of fifteen bytes */
	if (key->what == what && key->bytes[0] == low && key->bytes[1] == high)
		return BV_DECODE_OK;
	rc = bv_insn_decode(insn, bytes, count, code);
	key->what = rc == BV_DECODE_OK ? what : 0;
	key->bytes[0] = low;
	key->bytes[1] = high;
	return rc;
}

/* The bytes that an operand of this width takes. */
unsigned int bv_insn_width(const struct bv_insn *insn, u8 operand);

/*
 * The offset that the ModRM or moffs operand names, wrapped to the address size. .rip is the
 * instruction's.
 */
static inline u64 bv_insn_address(const struct bv_insn *insn, const u64 *gpr, u64 rip)
{
	u64 address = (u64)insn->disp;

	if (insn->base != BV_INSN_NO_REG)
		address += gpr[insn->base];
	if (insn->index != BV_INSN_NO_REG)
		address += gpr[insn->index] << insn->scale;
	if (insn->rip_relative)
		address += rip + insn->len;
	if (insn->addr_size == 8)
		return address;
	return insn->addr_size == 4 ? (u32)address : (u16)address;
}

/* Reads a general register; without REX, 1-byte registers 4 to 7 are AH, CH, DH, BH. */
static inline u64 bv_gpr_get(const u64 *gpr, unsigned int reg, unsigned int size, bool rex)
{
	switch (size) {
	case 8:
		return gpr[reg];
	case 4:
		return (u32)gpr[reg];
	case 2:
		return (u16)gpr[reg];
	default:
		return (u8)(rex || reg < 4 || reg > 7 ? gpr[reg] : gpr[reg - 4] >> 8);
	}
}

/* Writes one: four bytes clear the upper half, one or two leave the rest as it is. */
static inline void bv_gpr_set(u64 *gpr, unsigned int reg, unsigned int size, bool rex, u64 value)
{
	switch (size) {
	case 8:
		gpr[reg] = value;
		break;
	case 4:
		gpr[reg] = (u32)value;
		break;
	case 2:
		gpr[reg] = (gpr[reg] & ~0xffffULL) | (u16)value;
		break;
	default:
		if (rex || reg < 4 || reg > 7)
			gpr[reg] = (gpr[reg] & ~0xffULL) | (u8)value;
		else
			gpr[reg - 4] = (gpr[reg - 4] & ~0xff00ULL) | (u64)(u8)value << 8;
	}
}

/*
 * The quick way for the access that most MMIO is: one MOV, MOVZX or MOVSX between a general
 * register (or an immediate) and memory, no more than eight bytes. The caller knows the guest
 * physical address from its exit, does the access and, for a read, hands the bytes to
 * bv_mmio_finish(). RIP advances by insn->len.
 */
struct bv_mmio {
	bool write;
	u8 size; /* of the access in memory */
	u8 reg; /* for a read: where it goes, */
	u8 reg_size; /* how wide, */
	bool rex;
	bool sign; /* and how extended */
	u64 value; /* for a write */
};

/* False: not such an instruction, run the emulator. */
bool bv_insn_as_mmio(const struct bv_insn *insn, const u64 *gpr, struct bv_mmio *mmio);
void bv_mmio_finish(const struct bv_mmio *mmio, u64 *gpr, u64 value);

/*
 * True if the instruction accesses memory in one place only, that of its ModRM or moffs operand, in
 * at most one read and one write: a guest physical address from the exit is then that operand's.
 * Not so for strings, bit strings, and what reaches the stack or descriptors besides.
 */
bool bv_insn_one_access(const struct bv_insn *insn);

#endif
