// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/*
 * The emulator's stack instructions and near transfers of control. What several pushes of one
 * instruction write is composed first and written as one, so that the instruction happens whole or
 * not at all.
 */
#include "x86/emulate_parts.h"

unsigned int bv_emul_stack_size(struct bv_emul *emul)
{
	struct bv_seg ss;

	if (emul->code == BV_CODE64)
		return 8;
	emul->ops->seg_get(emul, BV_SEG_SS, &ss);
	return ss.attr & BV_SEG_DB ? 4 : 2;
}

enum bv_emul_rc bv_emul_stack_read(struct bv_emul *emul, u64 rsp, void *buffer, unsigned int size)
{
	return bv_emul_read(emul, BV_SEG_SS, rsp & bv_size_mask(bv_emul_stack_size(emul)), buffer,
			    size, BV_ACCESS_UNITS);
}

enum bv_emul_rc bv_emul_stack_write(struct bv_emul *emul, u64 rsp, const void *buffer,
				    unsigned int size)
{
	return bv_emul_write(emul, BV_SEG_SS, rsp & bv_size_mask(bv_emul_stack_size(emul)), buffer,
			     size, BV_ACCESS_UNITS);
}

void bv_emul_stack_set(struct bv_emul *emul, u64 rsp)
{
	u64 mask = bv_size_mask(bv_emul_stack_size(emul));

	emul->gpr[BV_RSP] = (emul->gpr[BV_RSP] & ~mask) | (rsp & mask);
}

enum bv_emul_rc bv_emul_push(struct bv_emul *emul, u64 value, unsigned int size)
{
	u64 rsp = emul->gpr[BV_RSP] - size;
	enum bv_emul_rc rc = bv_emul_stack_write(emul, rsp, &value, size);

	if (!rc)
		bv_emul_stack_set(emul, rsp);
	return rc;
}

enum bv_emul_rc bv_emul_jump(struct bv_emul *emul, u64 target)
{
	struct bv_seg cs;

	if (emul->insn.op_size != 8)
		target &= bv_size_mask(emul->insn.op_size);
	if (emul->code == BV_CODE64) {
		if (!bv_emul_canonical(emul, target))
			return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	} else {
		emul->ops->seg_get(emul, BV_SEG_CS, &cs);
		if (target > cs.limit)
			return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	}
	emul->next_rip = target;
	return BV_EMUL_DONE;
}

/* The operand of the instructions that have it in .dst in group 5 and elsewhere in .src. */
static u64 bv_stack_operand(const struct bv_emul *emul)
{
	return emul->insn.row.src ? emul->src.value : emul->dst.value;
}

enum bv_emul_rc bv_op_push(struct bv_emul *emul)
{
	return bv_emul_push(emul, bv_stack_operand(emul), emul->insn.op_size);
}

/* A memory operand that is addressed by rSP is addressed by the new one (APM volume 3, POP). */
enum bv_emul_rc bv_op_pop(struct bv_emul *emul)
{
	unsigned int size = emul->insn.op_size;
	u64 rsp = emul->gpr[BV_RSP], value = 0, linear;
	enum bv_emul_rc rc;

	emul->skip_write = true;
	rc = bv_emul_stack_read(emul, rsp, &value, size);
	if (rc)
		return rc;
	bv_emul_stack_set(emul, rsp + size);
	if (!emul->dst.memory) {
		bv_emul_gpr_set(emul, emul->dst.reg, size, value);
		return BV_EMUL_DONE;
	}
	rc = bv_emul_modrm(emul, size, BV_ACCESS_WRITE, &linear);
	if (!rc)
		rc = emul->ops->write(emul, linear, &value, size, BV_ACCESS_WRITE);
	if (rc)
		emul->gpr[BV_RSP] = rsp;
	return rc;
}

enum bv_emul_rc bv_op_pusha(struct bv_emul *emul)
{
	unsigned int size = emul->insn.op_size;
	u64 rsp = emul->gpr[BV_RSP] - 8 * size;
	enum bv_emul_rc rc;
	u8 frame[8 * 4];

	for (unsigned int reg = 0; reg < 8; reg++)
		bv_bytes_put(frame + (7 - reg) * size, emul->gpr[reg], size);
	rc = bv_emul_stack_write(emul, rsp, frame, 8 * size);
	if (!rc)
		bv_emul_stack_set(emul, rsp);
	return rc;
}

enum bv_emul_rc bv_op_popa(struct bv_emul *emul)
{
	unsigned int size = emul->insn.op_size;
	u64 rsp = emul->gpr[BV_RSP];
	enum bv_emul_rc rc;
	u8 frame[8 * 4];

	rc = bv_emul_stack_read(emul, rsp, frame, 8 * size);
	if (rc)
		return rc;
	for (unsigned int reg = 0; reg < 8; reg++)
		if (reg != BV_RSP)
			bv_gpr_set(emul->gpr, reg, size, true,
				   bv_bytes_get(frame + (7 - reg) * size, size));
	bv_emul_stack_set(emul, rsp + 8 * size);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_pushf(struct bv_emul *emul)
{
	u64 flags = emul->rflags & ~(BV_RFLAGS_VM | BV_RFLAGS_RF);

	if (bv_emul_vm86(emul) && !bv_emul_iopl_allows(emul)) {
		if (emul->cr4 & BV_CR4_VME)
			return BV_EMUL_UNHANDLED;
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	}
	return bv_emul_push(emul, flags, emul->insn.op_size);
}

/* What POPF may change at this privilege. */
static u64 bv_popf_mask(const struct bv_emul *emul)
{
	u64 mask = BV_FLAGS_ARITHMETIC | BV_RFLAGS_TF | BV_RFLAGS_DF | BV_RFLAGS_NT | BV_RFLAGS_RF |
		   BV_RFLAGS_AC | BV_RFLAGS_ID;

	if (!emul->cpl)
		mask |= BV_RFLAGS_IOPL;
	if (bv_emul_iopl_allows(emul))
		mask |= BV_RFLAGS_IF;
	return emul->insn.op_size == 2 ? mask & 0xffff : mask;
}

enum bv_emul_rc bv_op_popf(struct bv_emul *emul)
{
	unsigned int size = emul->insn.op_size;
	u64 rsp = emul->gpr[BV_RSP], flags = 0;
	enum bv_emul_rc rc;

	if (bv_emul_vm86(emul) && !bv_emul_iopl_allows(emul)) {
		if (emul->cr4 & BV_CR4_VME)
			return BV_EMUL_UNHANDLED;
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	}
	rc = bv_emul_stack_read(emul, rsp, &flags, size);
	if (rc)
		return rc;
	bv_emul_flags(emul, bv_popf_mask(emul), flags & ~BV_RFLAGS_RF);
	bv_emul_stack_set(emul, rsp + size);
	return BV_EMUL_DONE;
}

/*
 * Nesting levels above this need more than a cache line of frame pointers; no compiler makes them.
 */
#define BV_ENTER_LEVELS 6

enum bv_emul_rc bv_op_enter(struct bv_emul *emul)
{
	unsigned int size = emul->insn.op_size, level = emul->insn.imm2 & 31;
	unsigned int slots = level ? level + 1 : 1;
	u64 frame = emul->gpr[BV_RSP] - size, rbp = emul->gpr[BV_RBP];
	u64 rsp = frame - (slots - 1) * size - emul->insn.imm;
	u8 slot[(BV_ENTER_LEVELS + 1) * 8];
	enum bv_emul_rc rc = BV_EMUL_DONE;
	u64 linear;

	if (level > BV_ENTER_LEVELS)
		return BV_EMUL_UNHANDLED;
	/* from high to low: old rBP, the outer frames' pointers, this frame's own */
	bv_bytes_put(slot + (slots - 1) * size, rbp, size);
	if (level > 1)
		rc = bv_emul_stack_read(emul, rbp - (level - 1) * size, slot + size,
					(level - 1) * size);
	if (rc)
		return rc;
	if (level)
		bv_bytes_put(slot, frame, size);
	/*
	 * whether the new top can be written is the next push's business, but its segment and
	 * alignment are checked
	 */
	rc = bv_emul_linear(emul, BV_SEG_SS, rsp & bv_size_mask(bv_emul_stack_size(emul)), size,
			    BV_ACCESS_WRITE, &linear);
	if (!rc)
		rc = bv_emul_stack_write(emul, frame - (slots - 1) * size, slot, slots * size);
	if (rc)
		return rc;
	bv_gpr_set(emul->gpr, BV_RBP, size, true, frame);
	bv_emul_stack_set(emul, rsp);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_leave(struct bv_emul *emul)
{
	unsigned int size = emul->insn.op_size;
	u64 rbp = emul->gpr[BV_RBP], value = 0;
	enum bv_emul_rc rc = bv_emul_stack_read(emul, rbp, &value, size);

	if (rc)
		return rc;
	bv_emul_stack_set(emul, rbp + size);
	bv_gpr_set(emul->gpr, BV_RBP, size, true, value);
	return BV_EMUL_DONE;
}

/* --- near transfers --- */

/* The target of a near JMP or CALL: relative, or what group 5's operand holds. */
static u64 bv_near_target(const struct bv_emul *emul)
{
	return emul->insn.row.dst ? emul->dst.value : emul->next_rip + emul->insn.imm;
}

enum bv_emul_rc bv_op_jmp(struct bv_emul *emul)
{
	return bv_emul_jump(emul, bv_near_target(emul));
}

enum bv_emul_rc bv_op_call(struct bv_emul *emul)
{
	u64 back = emul->next_rip;
	enum bv_emul_rc rc = bv_emul_jump(emul, bv_near_target(emul));

	return rc ? rc : bv_emul_push(emul, back, emul->insn.op_size);
}

enum bv_emul_rc bv_op_ret(struct bv_emul *emul)
{
	u64 rsp = emul->gpr[BV_RSP], target = 0;
	unsigned int size = emul->insn.op_size;
	enum bv_emul_rc rc;

	rc = bv_emul_stack_read(emul, rsp, &target, size);
	if (!rc)
		rc = bv_emul_jump(emul, target);
	if (!rc)
		bv_emul_stack_set(emul, rsp + size + emul->insn.imm);
	return rc;
}

enum bv_emul_rc bv_op_jcc(struct bv_emul *emul)
{
	if (!bv_emul_condition(emul))
		return BV_EMUL_DONE;
	return bv_emul_jump(emul, emul->next_rip + emul->insn.imm);
}

enum bv_emul_rc bv_op_loop(struct bv_emul *emul)
{
	unsigned int size = emul->insn.addr_size;
	u64 count = bv_gpr_get(emul->gpr, BV_RCX, size, true) - 1;
	bool zero = emul->rflags & BV_RFLAGS_ZF;
	bool taken = count & bv_size_mask(size);
	enum bv_emul_rc rc = BV_EMUL_DONE;

	if (emul->insn.row.op == BV_OP_LOOPE)
		taken = taken && zero;
	if (emul->insn.row.op == BV_OP_LOOPNE)
		taken = taken && !zero;
	if (taken)
		rc = bv_emul_jump(emul, emul->next_rip + emul->insn.imm);
	if (!rc)
		bv_gpr_set(emul->gpr, BV_RCX, size, true, count);
	return rc;
}

enum bv_emul_rc bv_op_jcxz(struct bv_emul *emul)
{
	if (bv_gpr_get(emul->gpr, BV_RCX, emul->insn.addr_size, true))
		return BV_EMUL_DONE;
	return bv_emul_jump(emul, emul->next_rip + emul->insn.imm);
}
