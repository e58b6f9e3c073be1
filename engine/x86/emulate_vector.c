// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/*
 * The emulator's vector moves: what compilers and firmware use to copy to and from device memory.
 * No vector arithmetic. Also the few x87 instructions that store control words, and EMMS.
 */
#include "x86/emulate_parts.h"

#define BV_VEC_MAX 32

static bool bv_vec_is_vex(const struct bv_emul *emul)
{
	return emul->insn.prefixes & BV_PREFIX_VEX;
}

static enum bv_emul_rc bv_vec_get(struct bv_emul *emul, unsigned int reg, void *buffer,
				  unsigned int size)
{
	return emul->ops->vec_get ? emul->ops->vec_get(emul, reg, buffer, size) : BV_EMUL_UNHANDLED;
}

static enum bv_emul_rc bv_vec_set(struct bv_emul *emul, unsigned int reg, const void *buffer,
				  unsigned int size)
{
	if (!emul->ops->vec_set)
		return BV_EMUL_UNHANDLED;
	return emul->ops->vec_set(emul, reg, buffer, size, bv_vec_is_vex(emul));
}

static unsigned int bv_vec_size(const struct bv_emul *emul)
{
	return emul->insn.vex_l ? 32 : 16;
}

static enum bv_emul_rc bv_vec_address(struct bv_emul *emul, unsigned int size, unsigned int access,
				      u64 *linear)
{
	bool aligned = emul->insn.row.flags & BV_OPF_ALIGNED;
	enum bv_emul_rc rc;

	rc = bv_emul_modrm(emul, size, access | (aligned ? BV_ACCESS_ALIGNED : 0), linear);
	if (!rc && aligned && (*linear & (size - 1)))
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	return rc;
}

static enum bv_emul_rc bv_vec_read(struct bv_emul *emul, void *buffer, unsigned int size)
{
	u64 linear;
	enum bv_emul_rc rc = bv_vec_address(emul, size, 0, &linear);

	return rc ? rc : emul->ops->read(emul, linear, buffer, size, 0);
}

static enum bv_emul_rc bv_vec_write(struct bv_emul *emul, const void *buffer, unsigned int size)
{
	u64 linear;
	enum bv_emul_rc rc = bv_vec_address(emul, size, BV_ACCESS_WRITE, &linear);

	return rc ? rc : emul->ops->write(emul, linear, buffer, size, BV_ACCESS_WRITE);
}

/* The r/m operand of .size bytes, register or memory. */
static enum bv_emul_rc bv_vec_source(struct bv_emul *emul, u8 buffer[BV_VEC_MAX], unsigned int size)
{
	if (emul->insn.mod != 3)
		return bv_vec_read(emul, buffer, size);
	return bv_vec_get(emul, emul->insn.rm, buffer, size < 16 ? 16 : size);
}

enum bv_emul_rc bv_op_vec_load(struct bv_emul *emul)
{
	unsigned int size = bv_vec_size(emul);
	u8 buffer[BV_VEC_MAX];
	enum bv_emul_rc rc;

	rc = bv_vec_source(emul, buffer, size);
	return rc ? rc : bv_vec_set(emul, emul->insn.reg, buffer, size);
}

enum bv_emul_rc bv_op_vec_store(struct bv_emul *emul)
{
	unsigned int size = bv_vec_size(emul);
	u8 buffer[BV_VEC_MAX];
	enum bv_emul_rc rc;

	rc = bv_vec_get(emul, emul->insn.reg, buffer, size);
	if (rc)
		return rc;
	if (emul->insn.mod == 3)
		return bv_vec_set(emul, emul->insn.rm, buffer, size);
	return bv_vec_write(emul, buffer, size);
}

/* MOVQ xmm, xmm/m64 */
enum bv_emul_rc bv_op_vec_load_zero(struct bv_emul *emul)
{
	u8 buffer[BV_VEC_MAX] = { 0 };
	enum bv_emul_rc rc;

	rc = bv_vec_source(emul, buffer, 8);
	if (rc)
		return rc;
	bv_bytes_zero(buffer + 8, 8);
	return bv_vec_set(emul, emul->insn.reg, buffer, 16);
}

/* MOVQ xmm/m64, xmm; MOVLPS, MOVLPD to memory */
enum bv_emul_rc bv_op_vec_store_low(struct bv_emul *emul)
{
	u8 buffer[BV_VEC_MAX] = { 0 };
	enum bv_emul_rc rc;

	rc = bv_vec_get(emul, emul->insn.reg, buffer, 16);
	if (rc)
		return rc;
	if (emul->insn.mod != 3)
		return bv_vec_write(emul, buffer, 8);
	bv_bytes_zero(buffer + 8, 8);
	return bv_vec_set(emul, emul->insn.rm, buffer, 16);
}

/*
 * MOVSS and MOVSD between registers: .low's first bytes over the first source, which is VEX.vvvv
 * or, without VEX, the destination itself.
 */
static enum bv_emul_rc bv_vec_merge(struct bv_emul *emul, unsigned int to, unsigned int low,
				    unsigned int size)
{
	unsigned int rest = bv_vec_is_vex(emul) ? emul->insn.vex_reg : to;
	u8 buffer[BV_VEC_MAX], part[BV_VEC_MAX];
	enum bv_emul_rc rc;

	rc = bv_vec_get(emul, rest, buffer, 16);
	if (!rc)
		rc = bv_vec_get(emul, low, part, 16);
	if (rc)
		return rc;
	bv_bytes_copy(buffer, part, size);
	return bv_vec_set(emul, to, buffer, 16);
}

enum bv_emul_rc bv_op_vec_movs(struct bv_emul *emul)
{
	unsigned int size = emul->insn.size;
	u8 buffer[BV_VEC_MAX] = { 0 };
	enum bv_emul_rc rc;

	if (emul->insn.mod == 3)
		return bv_vec_merge(emul, emul->insn.reg, emul->insn.rm, size);
	rc = bv_vec_read(emul, buffer, size);
	return rc ? rc : bv_vec_set(emul, emul->insn.reg, buffer, 16);
}

enum bv_emul_rc bv_op_vec_store_s(struct bv_emul *emul)
{
	u8 buffer[BV_VEC_MAX];
	enum bv_emul_rc rc;

	if (emul->insn.mod == 3)
		return bv_vec_merge(emul, emul->insn.rm, emul->insn.reg, emul->insn.size);
	rc = bv_vec_get(emul, emul->insn.reg, buffer, 16);
	return rc ? rc : bv_vec_write(emul, buffer, emul->insn.size);
}

/*
 * MOVLPS, MOVHPS and their kin: eight bytes into one half, the other half from the first source.
 * Between registers they are MOVHLPS (the source's high half) and MOVLHPS (its low half).
 */
enum bv_emul_rc bv_op_vec_load_half(struct bv_emul *emul)
{
	bool high = emul->insn.row.op == BV_OP_VEC_LOAD_HI;
	unsigned int rest = bv_vec_is_vex(emul) ? emul->insn.vex_reg : emul->insn.reg;
	u8 buffer[BV_VEC_MAX], part[BV_VEC_MAX];
	enum bv_emul_rc rc;

	rc = bv_vec_source(emul, part, 8);
	if (!rc)
		rc = bv_vec_get(emul, rest, buffer, 16);
	if (rc)
		return rc;
	if (emul->insn.mod == 3 && !high)
		bv_bytes_copy(part, part + 8, 8);
	bv_bytes_copy(buffer + (high ? 8 : 0), part, 8);
	return bv_vec_set(emul, emul->insn.reg, buffer, 16);
}

enum bv_emul_rc bv_op_vec_store_hi(struct bv_emul *emul)
{
	u8 buffer[BV_VEC_MAX];
	enum bv_emul_rc rc;

	rc = bv_vec_get(emul, emul->insn.reg, buffer, 16);
	return rc ? rc : bv_vec_write(emul, buffer + 8, 8);
}

/* MOVD and MOVQ from a general register or memory; the general operand has been read. */
enum bv_emul_rc bv_op_vec_from_gpr(struct bv_emul *emul)
{
	u8 buffer[BV_VEC_MAX] = { 0 };

	bv_bytes_put(buffer, emul->src.value, emul->src.size);
	return bv_vec_set(emul, emul->insn.reg, buffer, 16);
}

enum bv_emul_rc bv_op_vec_to_gpr(struct bv_emul *emul)
{
	u8 buffer[BV_VEC_MAX];
	enum bv_emul_rc rc;

	rc = bv_vec_get(emul, emul->insn.reg, buffer, 16);
	emul->dst.value = bv_bytes_get(buffer, emul->dst.size);
	return rc;
}

/* --- MMX: a pending x87 exception comes before any memory access --- */

static enum bv_emul_rc bv_mmx_check(struct bv_emul *emul)
{
	if (!emul->ops->mmx_get || !emul->ops->mmx_set)
		return BV_EMUL_UNHANDLED;
	return emul->ops->fpu_check ? emul->ops->fpu_check(emul) : BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_mmx_load(struct bv_emul *emul)
{
	enum bv_emul_rc rc = bv_mmx_check(emul);
	u64 value = 0;

	if (rc)
		return rc;
	if (emul->insn.mod == 3)
		rc = emul->ops->mmx_get(emul, emul->insn.rm & 7, &value);
	else
		rc = bv_vec_read(emul, &value, 8);
	return rc ? rc : emul->ops->mmx_set(emul, emul->insn.reg & 7, value);
}

enum bv_emul_rc bv_op_mmx_store(struct bv_emul *emul)
{
	enum bv_emul_rc rc = bv_mmx_check(emul);
	u64 value;

	if (!rc)
		rc = emul->ops->mmx_get(emul, emul->insn.reg & 7, &value);
	if (rc)
		return rc;
	if (emul->insn.mod == 3)
		return emul->ops->mmx_set(emul, emul->insn.rm & 7, value);
	return bv_vec_write(emul, &value, 8);
}

enum bv_emul_rc bv_op_mmx_from_gpr(struct bv_emul *emul)
{
	enum bv_emul_rc rc = bv_mmx_check(emul);

	return rc ? rc : emul->ops->mmx_set(emul, emul->insn.reg & 7, emul->src.value);
}

enum bv_emul_rc bv_op_mmx_to_gpr(struct bv_emul *emul)
{
	enum bv_emul_rc rc = bv_mmx_check(emul);

	return rc ? rc : emul->ops->mmx_get(emul, emul->insn.reg & 7, &emul->dst.value);
}

/*
 * 0F 77: without VEX EMMS; with it VZEROUPPER and VZEROALL, which touch no memory and never come
 * here.
 */
enum bv_emul_rc bv_op_emms(struct bv_emul *emul)
{
	enum bv_emul_rc rc = bv_mmx_check(emul);

	if (rc)
		return rc;
	return emul->ops->fpu_emms ? emul->ops->fpu_emms(emul) : BV_EMUL_UNHANDLED;
}

/* --- x87: control and status words --- */

static enum bv_emul_rc bv_fpu_store(struct bv_emul *emul, enum bv_fpu_word which)
{
	enum bv_emul_rc rc;
	u16 word;

	if (!emul->ops->fpu_get)
		return BV_EMUL_UNHANDLED;
	rc = emul->ops->fpu_get(emul, which, &word);
	return rc ? rc : bv_vec_write(emul, &word, 2);
}

static enum bv_emul_rc bv_fpu_load_control(struct bv_emul *emul)
{
	enum bv_emul_rc rc = BV_EMUL_DONE;
	u16 word;

	if (!emul->ops->fpu_control)
		return BV_EMUL_UNHANDLED;
	if (emul->ops->fpu_check)
		rc = emul->ops->fpu_check(emul);
	if (!rc)
		rc = bv_vec_read(emul, &word, 2);
	return rc ? rc : emul->ops->fpu_control(emul, word);
}

static enum bv_emul_rc bv_fpu_status_to_ax(struct bv_emul *emul)
{
	enum bv_emul_rc rc;
	u16 word;

	if (!emul->ops->fpu_get)
		return BV_EMUL_UNHANDLED;
	rc = emul->ops->fpu_get(emul, BV_FPU_STATUS, &word);
	if (!rc)
		bv_gpr_set(emul->gpr, BV_RAX, 2, true, word);
	return rc;
}

enum bv_emul_rc bv_op_fpu(struct bv_emul *emul)
{
	const struct bv_insn *insn = &emul->insn;
	unsigned int which = (insn->opcode & 7u) << 8 | insn->modrm;

	if (insn->mod == 3) {
		if (which == 0x3e3) /* DB E3 */
			return emul->ops->fpu_init ? emul->ops->fpu_init(emul) : BV_EMUL_UNHANDLED;
		if (which == 0x7e0) /* DF E0 */
			return bv_fpu_status_to_ax(emul);
		return BV_EMUL_UNHANDLED;
	}
	switch (which & 0x738) {
	case 0x128: /* D9 /5 FLDCW */
		return bv_fpu_load_control(emul);
	case 0x138: /* D9 /7 FNSTCW */
		return bv_fpu_store(emul, BV_FPU_CONTROL);
	case 0x538: /* DD /7 FNSTSW */
		return bv_fpu_store(emul, BV_FPU_STATUS);
	default:
		return BV_EMUL_UNHANDLED;
	}
}

enum bv_emul_rc bv_op_fwait(struct bv_emul *emul)
{
	if ((emul->cr0 & (BV_CR0_MP | BV_CR0_TS)) == (BV_CR0_MP | BV_CR0_TS))
		return bv_emul_raise(emul, BV_EXC_NM);
	return emul->ops->fpu_check ? emul->ops->fpu_check(emul) : BV_EMUL_UNHANDLED;
}
