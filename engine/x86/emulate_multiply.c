// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/*
 * The emulator's multiplication, division and decimal adjustments.
 *
 * Multiplication leaves SF, ZF, AF and PF undefined, division all flags: they are left as they
 * were.
 */
#include "x86/emulate_parts.h"

/* A product or dividend twice as wide as the operand. */
struct bv_wide {
	u64 low;
	u64 high;
};

/* rDX:rAX, or AX for bytes (then .high is AH). */
static struct bv_wide bv_wide_get(const struct bv_emul *emul)
{
	unsigned int size = emul->dst.size;
	u64 rax = emul->gpr[BV_RAX];

	if (size == 1)
		return (struct bv_wide){ .low = (u8)rax, .high = (u8)(rax >> 8) };
	return (struct bv_wide){ .low = rax & bv_size_mask(size),
				 .high = emul->gpr[BV_RDX] & bv_size_mask(size) };
}

static void bv_wide_set(struct bv_emul *emul, u64 low, u64 high)
{
	unsigned int size = emul->dst.size;

	if (size == 1) {
		bv_gpr_set(emul->gpr, BV_RAX, 2, true, (u8)low | (high & 0xff) << 8);
		return;
	}
	bv_gpr_set(emul->gpr, BV_RAX, size, true, low);
	bv_gpr_set(emul->gpr, BV_RDX, size, true, high);
}

static void bv_multiply_flags(struct bv_emul *emul, bool overflow)
{
	bv_emul_flags(emul, BV_RFLAGS_CF | BV_RFLAGS_OF,
		      overflow ? BV_RFLAGS_CF | BV_RFLAGS_OF : 0);
}

enum bv_emul_rc bv_op_mul(struct bv_emul *emul)
{
	unsigned int size = emul->dst.size, bits = size * 8;
	u64 left = bv_gpr_get(emul->gpr, BV_RAX, size, true);
	unsigned __int128 product = (unsigned __int128)left * emul->dst.value;
	u64 high = (u64)(product >> bits);

	bv_wide_set(emul, (u64)product, high);
	bv_multiply_flags(emul, high);
	return BV_EMUL_DONE;
}

/* Signed product; true if it does not fit the operand's size. */
static bool bv_multiply_signed(u64 left, u64 right, unsigned int size, struct bv_wide *wide)
{
	__int128 product =
		(__int128)(s64)bv_sign_extend(left, size) * (s64)bv_sign_extend(right, size);

	wide->low = (u64)product;
	wide->high = (u64)(product >> (size * 8));
	return (s64)bv_sign_extend(wide->low, size) != product;
}

enum bv_emul_rc bv_op_imul_wide(struct bv_emul *emul)
{
	struct bv_wide wide;
	bool overflow =
		bv_multiply_signed(emul->gpr[BV_RAX], emul->dst.value, emul->dst.size, &wide);

	bv_wide_set(emul, wide.low, wide.high);
	bv_multiply_flags(emul, overflow);
	return BV_EMUL_DONE;
}

/* Two operands: dst *= src; three: dst = src * imm. */
enum bv_emul_rc bv_op_imul(struct bv_emul *emul)
{
	u64 left = emul->insn.row.imm ? emul->insn.imm : emul->dst.value;
	struct bv_wide wide;

	bv_multiply_flags(emul, bv_multiply_signed(left, emul->src.value, emul->dst.size, &wide));
	emul->dst.value = wide.low;
	return BV_EMUL_DONE;
}

/*
 * 128 by 64 bits; the quotient must fit, which .high < divisor ensures. In assembly because C has
 * no such operation short of a library call for 128 by 128.
 */
static u64 bv_divide_128(struct bv_wide dividend, u64 divisor, u64 *remainder)
{
	u64 quotient;

	__asm__("divq %4"
		: "=a"(quotient), "=d"(*remainder)
		: "a"(dividend.low), "d"(dividend.high), "r"(divisor)
		: "cc");
	return quotient;
}

/* False: the quotient does not fit the size. */
static bool bv_divide(struct bv_wide dividend, u64 divisor, unsigned int size, u64 *quotient,
		      u64 *remainder)
{
	u64 whole;

	if (dividend.high >= divisor) /* includes division by zero */
		return false;
	if (size == 8) {
		*quotient = bv_divide_128(dividend, divisor, remainder);
		return true;
	}
	whole = dividend.high << (size * 8) | dividend.low;
	*quotient = whole / divisor;
	*remainder = whole % divisor;
	return true;
}

enum bv_emul_rc bv_op_div(struct bv_emul *emul)
{
	u64 quotient, remainder;

	if (!bv_divide(bv_wide_get(emul), emul->dst.value, emul->dst.size, &quotient, &remainder))
		return bv_emul_raise(emul, BV_EXC_DE);
	bv_wide_set(emul, quotient, remainder);
	return BV_EMUL_DONE;
}

static struct bv_wide bv_wide_negate(struct bv_wide wide, unsigned int size)
{
	u64 mask = bv_size_mask(size);
	u64 low = -wide.low & mask;

	return (struct bv_wide){ .low = low, .high = (~wide.high + !low) & mask };
}

/*
 * Divides the magnitudes, then gives the results their signs: the remainder has that of the
 * dividend.
 */
enum bv_emul_rc bv_op_idiv(struct bv_emul *emul)
{
	unsigned int size = emul->dst.size;
	u64 sign = 1ULL << (size * 8 - 1), divisor = emul->dst.value, quotient, remainder;
	struct bv_wide dividend = bv_wide_get(emul);
	bool negative = dividend.high & sign, opposite = !(divisor & sign) == negative;

	if (negative)
		dividend = bv_wide_negate(dividend, size);
	if (divisor & sign)
		divisor = -divisor & bv_size_mask(size);
	if (!bv_divide(dividend, divisor, size, &quotient, &remainder) ||
	    quotient > sign - !opposite)
		return bv_emul_raise(emul, BV_EXC_DE);
	bv_wide_set(emul, opposite ? -quotient : quotient, negative ? -remainder : remainder);
	return BV_EMUL_DONE;
}

/* --- decimal adjustments (APM volume 3): outside 64-bit code only --- */

static void bv_decimal_flags(struct bv_emul *emul, u8 result, u64 flags)
{
	if (!result)
		flags |= BV_RFLAGS_ZF;
	if (result & 0x80)
		flags |= BV_RFLAGS_SF;
	if (!__builtin_parity(result))
		flags |= BV_RFLAGS_PF;
	bv_emul_flags(emul, BV_FLAGS_ARITHMETIC & ~BV_RFLAGS_OF, flags);
}

/* DAA and DAS: which corrections the old AL and flags ask for, applied upwards or downwards. */
static enum bv_emul_rc bv_decimal_adjust(struct bv_emul *emul, bool subtract)
{
	u8 al = (u8)emul->gpr[BV_RAX], correction = 0;
	u64 flags = 0;

	if ((al & 0xf) > 9 || (emul->rflags & BV_RFLAGS_AF)) {
		correction = 6;
		flags |= BV_RFLAGS_AF;
		/* DAS: a borrow out of the first step stays in CF */
		if (subtract && al < 6)
			flags |= BV_RFLAGS_CF;
	}
	if (al > 0x99 || (emul->rflags & BV_RFLAGS_CF)) {
		correction |= 0x60;
		flags |= BV_RFLAGS_CF;
	}
	al = (u8)(subtract ? al - correction : al + correction);
	bv_gpr_set(emul->gpr, BV_RAX, 1, true, al);
	bv_decimal_flags(emul, al, flags);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_daa(struct bv_emul *emul)
{
	return bv_decimal_adjust(emul, false);
}

enum bv_emul_rc bv_op_das(struct bv_emul *emul)
{
	return bv_decimal_adjust(emul, true);
}

/* AAA and AAS: 106h is one in AH and six in AL. */
static enum bv_emul_rc bv_ascii_adjust(struct bv_emul *emul, u16 correction)
{
	u16 ax = (u16)emul->gpr[BV_RAX];
	u64 flags = 0;

	if ((ax & 0xf) > 9 || (emul->rflags & BV_RFLAGS_AF)) {
		ax = (u16)(ax + correction);
		flags = BV_RFLAGS_AF | BV_RFLAGS_CF;
	}
	bv_gpr_set(emul->gpr, BV_RAX, 2, true, ax & 0xff0f);
	bv_emul_flags(emul, BV_RFLAGS_AF | BV_RFLAGS_CF, flags);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_aaa(struct bv_emul *emul)
{
	return bv_ascii_adjust(emul, 0x106);
}

enum bv_emul_rc bv_op_aas(struct bv_emul *emul)
{
	return bv_ascii_adjust(emul, (u16)-0x106);
}

enum bv_emul_rc bv_op_aam(struct bv_emul *emul)
{
	u8 al = (u8)emul->gpr[BV_RAX], base = (u8)emul->insn.imm;

	if (!base)
		return bv_emul_raise(emul, BV_EXC_DE);
	bv_gpr_set(emul->gpr, BV_RAX, 2, true, (u64)(al / base) << 8 | al % base);
	bv_decimal_flags(emul, al % base, 0);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_aad(struct bv_emul *emul)
{
	u16 ax = (u16)emul->gpr[BV_RAX];
	u8 al = (u8)((ax & 0xff) + (ax >> 8) * (u8)emul->insn.imm);

	bv_gpr_set(emul->gpr, BV_RAX, 2, true, al);
	bv_decimal_flags(emul, al, 0);
	return BV_EMUL_DONE;
}
