// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/*
 * The emulator's arithmetic and logic, bit operations and moves. Operations here work on dst.value
 * and src.value, whose bits above the operand's size may hold anything; only what goes into flags
 * is cut to size.
 */
#include "x86/emulate_parts.h"

/* --- flags --- */

static u64 bv_flags_of(u64 result, unsigned int size)
{
	u64 flags = 0;

	if (!(result & bv_size_mask(size)))
		flags |= BV_RFLAGS_ZF;
	if (result >> (size * 8 - 1) & 1)
		flags |= BV_RFLAGS_SF;
	if (!__builtin_parity((u8)result))
		flags |= BV_RFLAGS_PF;
	return flags;
}

/* CF, OF and AF from the carries (or borrows) out of each bit. */
static u64 bv_flags_of_carries(u64 carries, unsigned int size)
{
	unsigned int top = size * 8 - 1;
	u64 flags = 0;

	if (carries >> top & 1)
		flags |= BV_RFLAGS_CF;
	if ((carries >> top ^ carries >> (top - 1)) & 1)
		flags |= BV_RFLAGS_OF;
	if (carries >> 3 & 1)
		flags |= BV_RFLAGS_AF;
	return flags;
}

static u64 bv_alu_add(struct bv_emul *emul, u64 left, u64 right, unsigned int carry, u64 mask)
{
	u64 result = left + right + carry;
	u64 carries = (left & right) | ((left | right) & ~result);
	unsigned int size = emul->dst.size;

	bv_emul_flags(emul, mask, bv_flags_of(result, size) | bv_flags_of_carries(carries, size));
	return result;
}

static u64 bv_alu_sub(struct bv_emul *emul, u64 left, u64 right, unsigned int carry, u64 mask,
		      unsigned int size)
{
	u64 result = left - right - carry;
	u64 borrows = (~left & right) | ((~left | right) & result);

	bv_emul_flags(emul, mask, bv_flags_of(result, size) | bv_flags_of_carries(borrows, size));
	return result;
}

static enum bv_emul_rc bv_alu_logic(struct bv_emul *emul, u64 result)
{
	bv_emul_flags(emul, BV_FLAGS_ARITHMETIC, bv_flags_of(result, emul->dst.size));
	emul->dst.value = result;
	return BV_EMUL_DONE;
}

void bv_emul_compare(struct bv_emul *emul, u64 left, u64 right, unsigned int size)
{
	bv_alu_sub(emul, left, right, 0, BV_FLAGS_ARITHMETIC, size);
}

bool bv_emul_condition(const struct bv_emul *emul)
{
	u64 flags = emul->rflags;
	bool sign = !(flags & BV_RFLAGS_SF) != !(flags & BV_RFLAGS_OF);
	bool met = false;

	switch ((emul->insn.opcode >> 1) & 7) {
	case 0:
		met = flags & BV_RFLAGS_OF;
		break;
	case 1:
		met = flags & BV_RFLAGS_CF;
		break;
	case 2:
		met = flags & BV_RFLAGS_ZF;
		break;
	case 3:
		met = flags & (BV_RFLAGS_CF | BV_RFLAGS_ZF);
		break;
	case 4:
		met = flags & BV_RFLAGS_SF;
		break;
	case 5:
		met = flags & BV_RFLAGS_PF;
		break;
	case 6:
		met = sign;
		break;
	case 7:
		met = sign || (flags & BV_RFLAGS_ZF);
		break;
	}
	return met != (emul->insn.opcode & 1);
}

/* --- arithmetic and logic --- */

enum bv_emul_rc bv_op_add(struct bv_emul *emul)
{
	emul->dst.value =
		bv_alu_add(emul, emul->dst.value, emul->src.value, 0, BV_FLAGS_ARITHMETIC);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_adc(struct bv_emul *emul)
{
	emul->dst.value = bv_alu_add(emul, emul->dst.value, emul->src.value,
				     emul->rflags & BV_RFLAGS_CF, BV_FLAGS_ARITHMETIC);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_sub(struct bv_emul *emul)
{
	emul->dst.value = bv_alu_sub(emul, emul->dst.value, emul->src.value, 0, BV_FLAGS_ARITHMETIC,
				     emul->dst.size);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_sbb(struct bv_emul *emul)
{
	emul->dst.value =
		bv_alu_sub(emul, emul->dst.value, emul->src.value, emul->rflags & BV_RFLAGS_CF,
			   BV_FLAGS_ARITHMETIC, emul->dst.size);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_cmp(struct bv_emul *emul)
{
	bv_emul_compare(emul, emul->dst.value, emul->src.value, emul->dst.size);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_or(struct bv_emul *emul)
{
	return bv_alu_logic(emul, emul->dst.value | emul->src.value);
}

enum bv_emul_rc bv_op_and(struct bv_emul *emul)
{
	return bv_alu_logic(emul, emul->dst.value & emul->src.value);
}

enum bv_emul_rc bv_op_xor(struct bv_emul *emul)
{
	return bv_alu_logic(emul, emul->dst.value ^ emul->src.value);
}

enum bv_emul_rc bv_op_test(struct bv_emul *emul)
{
	return bv_alu_logic(emul, emul->dst.value & emul->src.value);
}

enum bv_emul_rc bv_op_not(struct bv_emul *emul)
{
	emul->dst.value = ~emul->dst.value;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_neg(struct bv_emul *emul)
{
	emul->dst.value =
		bv_alu_sub(emul, 0, emul->dst.value, 0, BV_FLAGS_ARITHMETIC, emul->dst.size);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_inc(struct bv_emul *emul)
{
	emul->dst.value =
		bv_alu_add(emul, emul->dst.value, 1, 0, BV_FLAGS_ARITHMETIC & ~BV_RFLAGS_CF);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_dec(struct bv_emul *emul)
{
	emul->dst.value = bv_alu_sub(emul, emul->dst.value, 1, 0,
				     BV_FLAGS_ARITHMETIC & ~BV_RFLAGS_CF, emul->dst.size);
	return BV_EMUL_DONE;
}

/* --- shifts and rotates: a count of zero changes no flag --- */

static unsigned int bv_shift_count(const struct bv_emul *emul, u64 count)
{
	return count & (emul->dst.size == 8 ? 63 : 31);
}

static bool bv_top_bit(u64 value, unsigned int size)
{
	return value >> (size * 8 - 1) & 1;
}

/* OF is defined for a count of one only; it is set the same way for others. */
static void bv_shift_flags(struct bv_emul *emul, u64 result, bool carry, bool overflow)
{
	bv_emul_flags(emul, BV_FLAGS_ARITHMETIC & ~BV_RFLAGS_AF,
		      bv_flags_of(result, emul->dst.size) | (carry ? BV_RFLAGS_CF : 0) |
			      (overflow ? BV_RFLAGS_OF : 0));
	emul->dst.value = result;
}

static void bv_rotate_flags(struct bv_emul *emul, u64 result, bool carry, bool overflow)
{
	bv_emul_flags(emul, BV_RFLAGS_CF | BV_RFLAGS_OF,
		      (carry ? BV_RFLAGS_CF : 0) | (overflow ? BV_RFLAGS_OF : 0));
	emul->dst.value = result;
}

enum bv_emul_rc bv_op_shl(struct bv_emul *emul)
{
	unsigned int count = bv_shift_count(emul, emul->src.value);
	unsigned int bits = emul->dst.size * 8u;
	u64 value = emul->dst.value & bv_size_mask(emul->dst.size);
	u64 result;
	bool carry;

	if (!count)
		return BV_EMUL_DONE;
	result = value << count; /* count < 64; what leaves the operand's size is cut off later */
	carry = count <= bits && (value >> (bits - count) & 1);
	bv_shift_flags(emul, result, carry, bv_top_bit(result, emul->dst.size) != carry);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_shr(struct bv_emul *emul)
{
	unsigned int count = bv_shift_count(emul, emul->src.value);
	u64 value = emul->dst.value & bv_size_mask(emul->dst.size);

	if (count)
		bv_shift_flags(emul, value >> count, value >> (count - 1) & 1,
			       bv_top_bit(value, emul->dst.size));
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_sar(struct bv_emul *emul)
{
	unsigned int count = bv_shift_count(emul, emul->src.value);
	s64 value = (s64)bv_sign_extend(emul->dst.value, emul->dst.size);

	if (count)
		bv_shift_flags(emul, (u64)(value >> count), value >> (count - 1) & 1, false);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_rol(struct bv_emul *emul)
{
	unsigned int count = bv_shift_count(emul, emul->src.value);
	unsigned int bits = emul->dst.size * 8u, turn = count & (bits - 1);
	u64 value = emul->dst.value & bv_size_mask(emul->dst.size);

	if (!count)
		return BV_EMUL_DONE;
	if (turn)
		value = value << turn | value >> (bits - turn);
	bv_rotate_flags(emul, value, value & 1, bv_top_bit(value, emul->dst.size) != (value & 1));
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_ror(struct bv_emul *emul)
{
	unsigned int count = bv_shift_count(emul, emul->src.value);
	unsigned int bits = emul->dst.size * 8u, turn = count & (bits - 1);
	u64 value = emul->dst.value & bv_size_mask(emul->dst.size);

	if (!count)
		return BV_EMUL_DONE;
	if (turn)
		value = value >> turn | value << (bits - turn);
	bv_rotate_flags(emul, value, bv_top_bit(value, emul->dst.size),
			bv_top_bit(value ^ value << 1, emul->dst.size));
	return BV_EMUL_DONE;
}

/*
 * Rotating through carry by count is rotating count times; rare enough not to be clever about it.
 */
enum bv_emul_rc bv_op_rcl(struct bv_emul *emul)
{
	unsigned int count = bv_shift_count(emul, emul->src.value);
	unsigned int size = emul->dst.size;
	u64 value = emul->dst.value;
	bool carry = emul->rflags & BV_RFLAGS_CF;

	if (!count)
		return BV_EMUL_DONE;
	while (count--) {
		bool out = bv_top_bit(value, size);

		value = value << 1 | carry;
		carry = out;
	}
	bv_rotate_flags(emul, value, carry, bv_top_bit(value, size) != carry);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_rcr(struct bv_emul *emul)
{
	unsigned int count = bv_shift_count(emul, emul->src.value);
	unsigned int size = emul->dst.size;
	u64 value = emul->dst.value & bv_size_mask(size);
	bool carry = emul->rflags & BV_RFLAGS_CF;

	if (!count)
		return BV_EMUL_DONE;
	while (count--) {
		bool out = value & 1;

		value = value >> 1 | (u64)carry << (size * 8 - 1);
		carry = out;
	}
	bv_rotate_flags(emul, value, carry, bv_top_bit(value ^ value << 1, size));
	return BV_EMUL_DONE;
}

static unsigned int bv_double_shift_count(const struct bv_emul *emul)
{
	u64 count = emul->insn.row.imm ? emul->insn.imm : emul->gpr[BV_RCX];

	return bv_shift_count(emul, count);
}

/*
 * With 16-bit operands a count above 16 is undefined. The value is what processors do: the rotated
 * pair of dst:src:dst moves on.
 */
enum bv_emul_rc bv_op_shld(struct bv_emul *emul)
{
	unsigned int count = bv_double_shift_count(emul);
	unsigned int size = emul->dst.size, bits = size * 8;
	u64 value = emul->dst.value & bv_size_mask(size);
	u64 fill = emul->src.value & bv_size_mask(size);
	u64 result;
	bool carry;

	if (!count)
		return BV_EMUL_DONE;
	if (count <= bits) {
		result = count == bits ? fill : value << count | fill >> (bits - count);
		carry = value >> (bits - count) & 1;
	} else {
		result = fill << (count - bits) | value >> (2 * bits - count);
		carry = fill >> (2 * bits - count) & 1;
	}
	bv_shift_flags(emul, result, carry, bv_top_bit(result ^ value, size));
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_shrd(struct bv_emul *emul)
{
	unsigned int count = bv_double_shift_count(emul);
	unsigned int size = emul->dst.size, bits = size * 8;
	u64 value = emul->dst.value & bv_size_mask(size);
	u64 fill = emul->src.value & bv_size_mask(size);
	u64 result;
	bool carry;

	if (!count)
		return BV_EMUL_DONE;
	if (count <= bits) {
		result = count == bits ? fill : value >> count | fill << (bits - count);
		carry = value >> (count - 1) & 1;
	} else {
		result = fill >> (count - bits) | value << (2 * bits - count);
		carry = fill >> (count - bits - 1) & 1;
	}
	bv_shift_flags(emul, result, carry, bv_top_bit(result ^ value, size));
	return BV_EMUL_DONE;
}

/* --- bits --- */

/* The tested bit, into CF; the memory operand has been moved to the bit's word already. */
static u64 bv_bit_test(struct bv_emul *emul)
{
	u64 bit = 1ULL << (emul->src.value & (emul->dst.size * 8u - 1));

	bv_emul_flags(emul, BV_RFLAGS_CF, emul->dst.value & bit ? BV_RFLAGS_CF : 0);
	return bit;
}

enum bv_emul_rc bv_op_bt(struct bv_emul *emul)
{
	bv_bit_test(emul);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_bts(struct bv_emul *emul)
{
	emul->dst.value |= bv_bit_test(emul);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_btr(struct bv_emul *emul)
{
	emul->dst.value &= ~bv_bit_test(emul);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_btc(struct bv_emul *emul)
{
	emul->dst.value ^= bv_bit_test(emul);
	return BV_EMUL_DONE;
}

/* With a source of zero the destination keeps all its bits, as AMD documents and Intel does. */
enum bv_emul_rc bv_op_bsf(struct bv_emul *emul)
{
	u64 value = emul->src.value & bv_size_mask(emul->src.size);

	bv_emul_flags(emul, BV_RFLAGS_ZF, value ? 0 : BV_RFLAGS_ZF);
	emul->skip_write = !value;
	if (value)
		emul->dst.value = (u64)__builtin_ctzll(value);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_bsr(struct bv_emul *emul)
{
	u64 value = emul->src.value & bv_size_mask(emul->src.size);

	bv_emul_flags(emul, BV_RFLAGS_ZF, value ? 0 : BV_RFLAGS_ZF);
	emul->skip_write = !value;
	if (value)
		emul->dst.value = 63 - (u64)__builtin_clzll(value);
	return BV_EMUL_DONE;
}

static enum bv_emul_rc bv_bit_count(struct bv_emul *emul, u64 result)
{
	u64 flags = result ? 0 : BV_RFLAGS_ZF;

	if (result == emul->dst.size * 8u)
		flags |= BV_RFLAGS_CF;
	bv_emul_flags(emul, BV_RFLAGS_CF | BV_RFLAGS_ZF, flags);
	emul->dst.value = result;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_tzcnt(struct bv_emul *emul)
{
	u64 value = emul->src.value & bv_size_mask(emul->src.size);

	return bv_bit_count(emul, value ? (u64)__builtin_ctzll(value) : emul->dst.size * 8u);
}

enum bv_emul_rc bv_op_lzcnt(struct bv_emul *emul)
{
	u64 value = emul->src.value & bv_size_mask(emul->src.size);
	unsigned int bits = emul->dst.size * 8u;

	return bv_bit_count(emul, value ? (u64)__builtin_clzll(value) - (64 - bits) : bits);
}

enum bv_emul_rc bv_op_popcnt(struct bv_emul *emul)
{
	u64 value = emul->src.value & bv_size_mask(emul->src.size);
	unsigned int count = 0;

	bv_emul_flags(emul, BV_FLAGS_ARITHMETIC, value ? 0 : BV_RFLAGS_ZF);
	for (; value; value &= value - 1)
		count++;
	emul->dst.value = count;
	return BV_EMUL_DONE;
}

/* --- moves --- */

enum bv_emul_rc bv_op_mov(struct bv_emul *emul)
{
	emul->dst.value = emul->src.value;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_movsx(struct bv_emul *emul)
{
	emul->dst.value = bv_sign_extend(emul->src.value, emul->src.size);
	return BV_EMUL_DONE;
}

static u64 bv_swap_bytes(u64 value, unsigned int size)
{
	return __builtin_bswap64(value) >> (64 - size * 8);
}

enum bv_emul_rc bv_op_movbe(struct bv_emul *emul)
{
	emul->dst.value = bv_swap_bytes(emul->src.value, emul->dst.size);
	return BV_EMUL_DONE;
}

/* BSWAP of 16 bits is undefined; processors write zero. */
enum bv_emul_rc bv_op_bswap(struct bv_emul *emul)
{
	emul->dst.value = emul->dst.size == 2 ? 0 : bv_swap_bytes(emul->dst.value, emul->dst.size);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_lea(struct bv_emul *emul)
{
	emul->dst.value = bv_insn_address(&emul->insn, emul->gpr, emul->rip);
	return BV_EMUL_DONE;
}

/* 90 without REX.B is NOP: it does not even clear the upper half of RAX. */
enum bv_emul_rc bv_op_xchg(struct bv_emul *emul)
{
	u64 value = emul->dst.value;
	enum bv_emul_rc rc;

	if (emul->insn.opcode == 0x90 && emul->dst.reg == BV_RAX) {
		emul->skip_write = true;
		return BV_EMUL_DONE;
	}
	emul->dst.value = emul->src.value;
	emul->locked = true; /* by itself */
	rc = bv_emul_write_back(emul);
	if (!rc)
		bv_emul_gpr_set(emul, emul->src.reg, emul->src.size, value);
	return rc;
}

enum bv_emul_rc bv_op_xadd(struct bv_emul *emul)
{
	u64 value = emul->dst.value;
	enum bv_emul_rc rc;

	emul->dst.value = bv_alu_add(emul, value, emul->src.value, 0, BV_FLAGS_ARITHMETIC);
	if (!emul->dst.memory) {
		/* the sum wins where both are the same register */
		bv_emul_gpr_set(emul, emul->src.reg, emul->src.size, value);
		return BV_EMUL_DONE;
	}
	rc = bv_emul_write_back(emul);
	if (!rc)
		bv_emul_gpr_set(emul, emul->src.reg, emul->src.size, value);
	return rc;
}

enum bv_emul_rc bv_op_cmpxchg(struct bv_emul *emul)
{
	unsigned int size = emul->dst.size;
	u64 expected = bv_emul_gpr(emul, BV_RAX, size);

	bv_emul_compare(emul, expected, emul->dst.value, size);
	if (expected == emul->dst.value) {
		emul->dst.value = emul->src.value;
		return BV_EMUL_DONE;
	}
	emul->skip_write = true;
	bv_emul_gpr_set(emul, BV_RAX, size, emul->dst.value);
	return BV_EMUL_DONE;
}

/* The pair rDX:rAX or rCX:rBX, as it lies in memory. */
static void bv_register_pair(const struct bv_emul *emul, unsigned int low, unsigned int high,
			     u8 *pair, unsigned int half)
{
	bv_bytes_put(pair, emul->gpr[low], half);
	bv_bytes_put(pair + half, emul->gpr[high], half);
}

enum bv_emul_rc bv_op_cmpxchg8b(struct bv_emul *emul)
{
	unsigned int half = emul->insn.rex & BV_REX_W ? 8 : 4;
	u8 old[16], expected[16], new[16];
	enum bv_emul_rc rc;
	bool equal;
	u64 linear;

	rc = bv_emul_modrm(emul, half * 2, BV_ACCESS_RMW | (half == 8 ? BV_ACCESS_ALIGNED : 0),
			   &linear);
	if (rc)
		return rc;
	if (half == 8 && (linear & 15))
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	rc = emul->ops->read(emul, linear, old, half * 2, BV_ACCESS_RMW);
	if (rc)
		return rc;
	bv_register_pair(emul, BV_RAX, BV_RDX, expected, half);
	bv_register_pair(emul, BV_RBX, BV_RCX, new, half);
	equal = !__builtin_memcmp(old, expected, half * 2);
	if (equal && (emul->insn.prefixes & BV_PREFIX_LOCK))
		rc = emul->ops->cmpxchg(emul, linear, old, new, half * 2);
	else if (equal)
		rc = emul->ops->write(emul, linear, new, half * 2, BV_ACCESS_WRITE);
	if (rc)
		return rc;
	if (!equal) {
		bv_gpr_set(emul->gpr, BV_RAX, half, true, bv_bytes_get(old, half));
		bv_gpr_set(emul->gpr, BV_RDX, half, true, bv_bytes_get(old + half, half));
	}
	bv_emul_flags(emul, BV_RFLAGS_ZF, equal ? BV_RFLAGS_ZF : 0);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_cmov(struct bv_emul *emul)
{
	if (bv_emul_condition(emul))
		emul->dst.value = emul->src.value;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_setcc(struct bv_emul *emul)
{
	emul->dst.value = bv_emul_condition(emul);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_xlat(struct bv_emul *emul)
{
	u64 offset = emul->gpr[BV_RBX] + (u8)emul->gpr[BV_RAX];
	u8 value;
	enum bv_emul_rc rc;

	if (emul->insn.addr_size != 8)
		offset &= bv_size_mask(emul->insn.addr_size);
	rc = bv_emul_read(emul, emul->insn.seg, offset, &value, 1, 0);
	if (!rc)
		bv_gpr_set(emul->gpr, BV_RAX, 1, true, value);
	return rc;
}

enum bv_emul_rc bv_op_cbw(struct bv_emul *emul)
{
	unsigned int size = emul->insn.op_size;
	u64 value = bv_sign_extend(emul->gpr[BV_RAX], size / 2);

	bv_gpr_set(emul->gpr, BV_RAX, size, true, value);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_cwd(struct bv_emul *emul)
{
	unsigned int size = emul->insn.op_size;

	bv_gpr_set(emul->gpr, BV_RDX, size, true, bv_top_bit(emul->gpr[BV_RAX], size) ? ~0ULL : 0);
	return BV_EMUL_DONE;
}

/* --- flags as operands --- */

#define BV_FLAGS_IN_AH (BV_RFLAGS_CF | BV_RFLAGS_PF | BV_RFLAGS_AF | BV_RFLAGS_ZF | BV_RFLAGS_SF)

enum bv_emul_rc bv_op_lahf(struct bv_emul *emul)
{
	u64 flags = (emul->rflags & BV_FLAGS_IN_AH) | BV_RFLAGS_ONE;

	bv_gpr_set(emul->gpr, BV_RSP, 1, false, flags); /* 4 without REX is AH */
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_sahf(struct bv_emul *emul)
{
	bv_emul_flags(emul, BV_FLAGS_IN_AH, emul->gpr[BV_RAX] >> 8);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_clc(struct bv_emul *emul)
{
	emul->flags &= ~BV_RFLAGS_CF;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_stc(struct bv_emul *emul)
{
	emul->flags |= BV_RFLAGS_CF;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_cmc(struct bv_emul *emul)
{
	emul->flags ^= BV_RFLAGS_CF;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_cld(struct bv_emul *emul)
{
	emul->flags &= ~BV_RFLAGS_DF;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_std(struct bv_emul *emul)
{
	emul->flags |= BV_RFLAGS_DF;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_salc(struct bv_emul *emul)
{
	bv_gpr_set(emul->gpr, BV_RAX, 1, true, emul->rflags & BV_RFLAGS_CF ? 0xff : 0);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_nop(struct bv_emul *emul)
{
	(void)emul;
	return BV_EMUL_DONE;
}
