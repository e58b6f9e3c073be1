// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/*
 * The emulator's trunk: fetch, decode, check, read operands, perform, write back, commit. The
 * families of instructions are in emulate_*.c, the interface and its promises in emulate.h.
 *
 * The order is that of the hardware as far as a guest can see it: #UD before #GP by privilege, that
 * before #NM, that before anything that memory raises. A run either reaches bv_emul_commit() or
 * changes nothing.
 */
#include "x86/emulate_parts.h"

enum bv_emul_rc bv_emul_raise(struct bv_emul *emul, enum bv_vector vector)
{
	emul->fault = (struct bv_fault){ .vector = (u8)vector };
	return BV_EMUL_FAULT;
}

enum bv_emul_rc bv_emul_raise_error(struct bv_emul *emul, enum bv_vector vector, u32 error)
{
	emul->fault = (struct bv_fault){ .vector = (u8)vector, .has_error = true, .error = error };
	return BV_EMUL_FAULT;
}

enum bv_emul_rc bv_emul_raise_page(struct bv_emul *emul, u64 linear, u32 error)
{
	emul->fault = (struct bv_fault){
		.vector = BV_EXC_PF, .has_error = true, .error = error, .cr2 = linear
	};
	return BV_EMUL_FAULT;
}

bool bv_emul_canonical(const struct bv_emul *emul, u64 address)
{
	unsigned int shift = emul->cr4 & BV_CR4_LA57 ? 7 : 16;

	return (u64)((s64)(address << shift) >> shift) == address;
}

static enum bv_emul_rc bv_emul_segment_fault(struct bv_emul *emul, unsigned int seg)
{
	return bv_emul_raise_error(emul, seg == BV_SEG_SS ? BV_EXC_SS : BV_EXC_GP, 0);
}

/* May a segment of this kind be read, or written? Real mode does not ask. */
static bool bv_segment_permits(const struct bv_seg *seg, unsigned int access)
{
	if (!(seg->attr & BV_SEG_P))
		return false;
	if (seg->attr & BV_SEG_TYPE_CODE)
		return !(access & (BV_ACCESS_WRITE | BV_ACCESS_RMW)) &&
		       ((access & BV_ACCESS_FETCH) || (seg->attr & BV_SEG_TYPE_READ));
	return !(access & (BV_ACCESS_WRITE | BV_ACCESS_RMW)) || (seg->attr & BV_SEG_TYPE_WRITE);
}

static bool bv_segment_contains(const struct bv_seg *seg, u64 first, u64 last)
{
	u32 top = seg->attr & BV_SEG_DB ? 0xffffffffu : 0xffffu;

	if ((seg->attr & (BV_SEG_TYPE_CODE | BV_SEG_TYPE_DOWN)) == BV_SEG_TYPE_DOWN)
		return first > seg->limit && last <= top;
	return last <= seg->limit;
}

static enum bv_emul_rc bv_emul_linear_legacy(struct bv_emul *emul, unsigned int index, u64 offset,
					     unsigned int size, unsigned int access, u64 *linear)
{
	struct bv_seg seg;

	emul->ops->seg_get(emul, index, &seg);
	if (bv_emul_protected(emul) && !bv_segment_permits(&seg, access))
		return bv_emul_segment_fault(emul, index);
	if (!bv_segment_contains(&seg, offset, offset + size - 1))
		return bv_emul_segment_fault(emul, index);
	*linear = (u32)(seg.base + offset);
	return BV_EMUL_DONE;
}

static bool bv_emul_misaligned(const struct bv_emul *emul, u64 linear, unsigned int size)
{
	if (emul->cpl != 3 || !(emul->cr0 & BV_CR0_AM) || !(emul->rflags & BV_RFLAGS_AC))
		return false;
	if (size > 16)
		size = 16;
	return !(size & (size - 1)) && (linear & (size - 1));
}

enum bv_emul_rc bv_emul_linear(struct bv_emul *emul, unsigned int seg, u64 offset,
			       unsigned int size, unsigned int access, u64 *linear)
{
	enum bv_emul_rc rc;

	if (bv_likely(emul->code == BV_CODE64)) {
		*linear = offset;
		if (seg >= BV_SEG_FS) {
			struct bv_seg value;

			emul->ops->seg_get(emul, seg, &value);
			*linear += value.base;
		}
		/*
		 * the last byte needs a look only in another page: what is not canonical starts
		 * there
		 */
		if (!bv_emul_canonical(emul, *linear) ||
		    ((*linear & (BV_PAGE_SIZE - 1)) + size > BV_PAGE_SIZE &&
		     !bv_emul_canonical(emul, *linear + size - 1)))
			return bv_emul_segment_fault(emul, seg);
	} else {
		rc = bv_emul_linear_legacy(emul, seg, offset, size, access, linear);
		if (rc)
			return rc;
	}
	if (access & BV_ACCESS_UNITS)
		size = emul->insn.size;
	if (bv_unlikely(bv_emul_misaligned(emul, *linear, size)) && !(access & BV_ACCESS_ALIGNED))
		return bv_emul_raise_error(emul, BV_EXC_AC, 0);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_emul_read(struct bv_emul *emul, unsigned int seg, u64 offset, void *buffer,
			     unsigned int size, unsigned int access)
{
	u64 linear;
	enum bv_emul_rc rc = bv_emul_linear(emul, seg, offset, size, access, &linear);

	return rc ? rc : emul->ops->read(emul, linear, buffer, size, access);
}

enum bv_emul_rc bv_emul_write(struct bv_emul *emul, unsigned int seg, u64 offset,
			      const void *buffer, unsigned int size, unsigned int access)
{
	u64 linear;
	enum bv_emul_rc rc;

	access |= BV_ACCESS_WRITE;
	rc = bv_emul_linear(emul, seg, offset, size, access, &linear);
	return rc ? rc : emul->ops->write(emul, linear, buffer, size, access);
}

enum bv_emul_rc bv_emul_modrm(struct bv_emul *emul, unsigned int size, unsigned int access,
			      u64 *linear)
{
	const struct bv_insn *insn = &emul->insn;
	u64 offset = bv_insn_address(insn, emul->gpr, emul->rip);

	return bv_emul_linear(emul, insn->seg, offset, size, access, linear);
}

/* --- fetch --- */

/*
 * Linear address of the code byte at RIP + ahead, and how many bytes the code segment has from
 * there.
 */
static enum bv_emul_rc bv_emul_code_linear(struct bv_emul *emul, unsigned int ahead, u64 *linear,
					   unsigned int *room)
{
	struct bv_seg cs;
	u64 offset = emul->rip + ahead;

	*linear = offset;
	if (emul->code == BV_CODE64)
		return BV_EMUL_DONE;
	emul->ops->seg_get(emul, BV_SEG_CS, &cs);
	offset = (u32)offset;
	if (offset > cs.limit)
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	if (cs.limit - offset < *room - 1)
		*room = (unsigned int)(cs.limit - offset) + 1;
	*linear = (u32)(cs.base + offset);
	return BV_EMUL_DONE;
}

/* Adds at least one byte to the .have ones. */
static enum bv_emul_rc bv_emul_fetch(struct bv_emul *emul, unsigned int *have)
{
	unsigned int want = BV_INSN_MAX - *have, got = 0;
	enum bv_emul_rc rc;
	u64 linear;

	rc = bv_emul_code_linear(emul, *have, &linear, &want);
	if (rc)
		return rc;
	rc = emul->ops->fetch(emul, linear, emul->bytes + *have, want, &got);
	if (rc)
		return rc;
	if (!got || got > want)
		return BV_EMUL_UNHANDLED;
	*have += got;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_emul_decode(struct bv_emul *emul)
{
	unsigned int have = emul->bytes_count;
	enum bv_decode_rc decoded = BV_DECODE_SHORT;
	enum bv_emul_rc rc;

	emul->bytes_count = 0;
	if (have > BV_INSN_MAX)
		have = BV_INSN_MAX;
	if (have)
		decoded = bv_insn_decode_again(&emul->insn, &emul->key, emul->bytes, have,
					       emul->code);
	while (decoded == BV_DECODE_SHORT) {
		rc = bv_emul_fetch(emul, &have);
		if (rc)
			return rc;
		decoded = bv_insn_decode_again(&emul->insn, &emul->key, emul->bytes, have,
					       emul->code);
	}
	switch (decoded) {
	case BV_DECODE_OK:
		return BV_EMUL_DONE;
	case BV_DECODE_LONG:
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	case BV_DECODE_INVALID:
		return bv_emul_raise(emul, BV_EXC_UD);
	default:
		return BV_EMUL_UNHANDLED;
	}
}

/* --- checks before an instruction --- */

static enum bv_emul_rc bv_emul_check_fpu(struct bv_emul *emul)
{
	u32 flags = emul->insn.row.flags;
	u64 cr0 = emul->cr0;

	if (flags & BV_OPF_X87)
		return cr0 & (BV_CR0_EM | BV_CR0_TS) ? bv_emul_raise(emul, BV_EXC_NM) :
						       BV_EMUL_DONE;
	if (emul->insn.prefixes & BV_PREFIX_VEX) {
		if (!bv_emul_protected(emul) || !(emul->cr4 & BV_CR4_OSXSAVE))
			return bv_emul_raise(emul, BV_EXC_UD);
	} else if ((cr0 & BV_CR0_EM) || ((flags & BV_OPF_SSE) && !(emul->cr4 & BV_CR4_OSFXSR))) {
		return bv_emul_raise(emul, BV_EXC_UD);
	}
	return cr0 & BV_CR0_TS ? bv_emul_raise(emul, BV_EXC_NM) : BV_EMUL_DONE;
}

/* The checks that a row's flags ask for and that the decoder could not do. */
static enum bv_emul_rc bv_emul_check(struct bv_emul *emul)
{
	u32 flags = emul->insn.row.flags;

	if ((flags & BV_OPF_PROTECTED) && !bv_emul_protected(emul))
		return bv_emul_raise(emul, BV_EXC_UD);
	if ((flags & BV_OPF_CPL0) && emul->cpl)
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	if ((flags & BV_OPF_UMIP) && emul->cpl && (emul->cr4 & BV_CR4_UMIP))
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	if (flags & (BV_OPF_SSE | BV_OPF_MMX | BV_OPF_X87))
		return bv_emul_check_fpu(emul);
	return BV_EMUL_DONE;
}

/* --- operands --- */

static void bv_operand_register(struct bv_emul *emul, struct bv_emul_operand *operand,
				unsigned int reg, bool read)
{
	operand->memory = false;
	operand->reg = (u8)reg;
	if (read)
		operand->value = bv_emul_gpr(emul, reg, operand->size);
}

static enum bv_emul_rc bv_operand_memory(struct bv_emul *emul, struct bv_emul_operand *operand,
					 bool read, unsigned int access)
{
	const struct bv_insn *insn = &emul->insn;
	u64 offset = bv_insn_address(insn, emul->gpr, emul->rip);
	enum bv_emul_rc rc;

	if (insn->row.flags & BV_OPF_BIT_STRING) {
		u64 bit = bv_sign_extend(emul->src.value, emul->src.size);

		offset += (u64)((s64)bit >> 3) & ~(u64)(operand->size - 1);
		if (insn->addr_size != 8)
			offset &= bv_size_mask(insn->addr_size);
	}
	operand->memory = true;
	rc = bv_emul_linear(emul, insn->seg, offset, operand->size, access, &operand->linear);
	if (rc || !read)
		return rc;
	operand->old = 0;
	rc = emul->ops->read(emul, operand->linear, &operand->old, operand->size, access);
	operand->value = operand->old;
	return rc;
}

/*
 * Finds an operand, and reads it if asked to. .access is what will be done to it, if it is memory.
 */
static enum bv_emul_rc bv_emul_operand(struct bv_emul *emul, struct bv_emul_operand *operand,
				       u8 kind, bool read, unsigned int access)
{
	const struct bv_insn *insn = &emul->insn;

	operand->size = (u8)bv_insn_width(insn, kind);
	switch (BV_PLACE(kind)) {
	case BV_AT_RM16:
		if (insn->mod != 3)
			operand->size = 2;
		bv_fallthrough;
	case BV_AT_RM:
		if (insn->mod != 3)
			return bv_operand_memory(emul, operand, read, access);
		bv_operand_register(emul, operand, insn->rm, read);
		break;
	case BV_AT_REG:
		bv_operand_register(emul, operand, insn->reg, read);
		break;
	case BV_AT_IMM:
		operand->value = insn->imm;
		break;
	case BV_AT_MOFFS:
		return bv_operand_memory(emul, operand, read, access);
	case BV_AT_ACC:
		bv_operand_register(emul, operand, BV_RAX, read);
		break;
	case BV_AT_OPREG:
		bv_operand_register(emul, operand,
				    (insn->opcode & 7) | (insn->rex & BV_REX_B ? 8 : 0), read);
		break;
	case BV_AT_CL:
		operand->value = (u8)emul->gpr[BV_RCX];
		break;
	case BV_AT_ONE:
		operand->value = 1;
		break;
	case BV_AT_RM_LATE:
		operand->memory = insn->mod != 3;
		operand->reg = insn->rm;
		break;
	}
	return BV_EMUL_DONE;
}

static enum bv_emul_rc bv_emul_operands(struct bv_emul *emul)
{
	const struct bv_opcode *row = &emul->insn.row;
	unsigned int access = 0;
	enum bv_emul_rc rc = BV_EMUL_DONE;
	bool read = !(row->flags & BV_OPF_NO_READ);

	if (row->src)
		rc = bv_emul_operand(emul, &emul->src, row->src, true, 0);
	if (rc || !row->dst)
		return rc;
	if (!(row->flags & BV_OPF_NO_WRITE))
		access = read ? BV_ACCESS_RMW : BV_ACCESS_WRITE;
	return bv_emul_operand(emul, &emul->dst, row->dst, read, access);
}

enum bv_emul_rc bv_emul_write_back(struct bv_emul *emul)
{
	struct bv_emul_operand *dst = &emul->dst;

	emul->skip_write = true;
	if (!dst->memory) {
		bv_emul_gpr_set(emul, dst->reg, dst->size, dst->value);
		return BV_EMUL_DONE;
	}
	if (emul->locked)
		return emul->ops->cmpxchg(emul, dst->linear, &dst->old, &dst->value, dst->size);
	return emul->ops->write(emul, dst->linear, &dst->value, dst->size, BV_ACCESS_WRITE);
}

static bool bv_place_is_written(u8 operand)
{
	switch (BV_PLACE(operand)) {
	case BV_AT_RM:
	case BV_AT_REG:
	case BV_AT_OPREG:
	case BV_AT_ACC:
	case BV_AT_MOFFS:
	case BV_AT_RM16:
		return true;
	default:
		return false;
	}
}

/* --- dispatch --- */

static bv_emul_operation *const bv_emul_operations[BV_OP_COUNT] = {
	[BV_OP_ADD] = bv_op_add,
	[BV_OP_OR] = bv_op_or,
	[BV_OP_ADC] = bv_op_adc,
	[BV_OP_SBB] = bv_op_sbb,
	[BV_OP_AND] = bv_op_and,
	[BV_OP_SUB] = bv_op_sub,
	[BV_OP_XOR] = bv_op_xor,
	[BV_OP_CMP] = bv_op_cmp,
	[BV_OP_ROL] = bv_op_rol,
	[BV_OP_ROR] = bv_op_ror,
	[BV_OP_RCL] = bv_op_rcl,
	[BV_OP_RCR] = bv_op_rcr,
	[BV_OP_SHL] = bv_op_shl,
	[BV_OP_SHR] = bv_op_shr,
	[BV_OP_SAL] = bv_op_shl,
	[BV_OP_SAR] = bv_op_sar,
	[BV_OP_TEST] = bv_op_test,
	[BV_OP_NOT] = bv_op_not,
	[BV_OP_NEG] = bv_op_neg,
	[BV_OP_MUL] = bv_op_mul,
	[BV_OP_IMUL_WIDE] = bv_op_imul_wide,
	[BV_OP_DIV] = bv_op_div,
	[BV_OP_IDIV] = bv_op_idiv,
	[BV_OP_IMUL] = bv_op_imul,
	[BV_OP_INC] = bv_op_inc,
	[BV_OP_DEC] = bv_op_dec,
	[BV_OP_MOV] = bv_op_mov,
	[BV_OP_MOVZX] = bv_op_mov,
	[BV_OP_MOVSX] = bv_op_movsx,
	[BV_OP_MOVBE] = bv_op_movbe,
	[BV_OP_BSWAP] = bv_op_bswap,
	[BV_OP_LEA] = bv_op_lea,
	[BV_OP_XCHG] = bv_op_xchg,
	[BV_OP_XADD] = bv_op_xadd,
	[BV_OP_CMPXCHG] = bv_op_cmpxchg,
	[BV_OP_CMPXCHG8B] = bv_op_cmpxchg8b,
	[BV_OP_CMOV] = bv_op_cmov,
	[BV_OP_SETCC] = bv_op_setcc,
	[BV_OP_BT] = bv_op_bt,
	[BV_OP_BTS] = bv_op_bts,
	[BV_OP_BTR] = bv_op_btr,
	[BV_OP_BTC] = bv_op_btc,
	[BV_OP_BSF] = bv_op_bsf,
	[BV_OP_BSR] = bv_op_bsr,
	[BV_OP_TZCNT] = bv_op_tzcnt,
	[BV_OP_LZCNT] = bv_op_lzcnt,
	[BV_OP_POPCNT] = bv_op_popcnt,
	[BV_OP_SHLD] = bv_op_shld,
	[BV_OP_SHRD] = bv_op_shrd,
	[BV_OP_CBW] = bv_op_cbw,
	[BV_OP_CWD] = bv_op_cwd,
	[BV_OP_LAHF] = bv_op_lahf,
	[BV_OP_SAHF] = bv_op_sahf,
	[BV_OP_CLC] = bv_op_clc,
	[BV_OP_STC] = bv_op_stc,
	[BV_OP_CMC] = bv_op_cmc,
	[BV_OP_CLD] = bv_op_cld,
	[BV_OP_STD] = bv_op_std,
	[BV_OP_DAA] = bv_op_daa,
	[BV_OP_DAS] = bv_op_das,
	[BV_OP_AAA] = bv_op_aaa,
	[BV_OP_AAS] = bv_op_aas,
	[BV_OP_AAM] = bv_op_aam,
	[BV_OP_AAD] = bv_op_aad,
	[BV_OP_SALC] = bv_op_salc,
	[BV_OP_XLAT] = bv_op_xlat,
	[BV_OP_NOP] = bv_op_nop,
	[BV_OP_PUSH] = bv_op_push,
	[BV_OP_POP] = bv_op_pop,
	[BV_OP_PUSH_SEG] = bv_op_push_seg,
	[BV_OP_POP_SEG] = bv_op_pop_seg,
	[BV_OP_PUSHA] = bv_op_pusha,
	[BV_OP_POPA] = bv_op_popa,
	[BV_OP_PUSHF] = bv_op_pushf,
	[BV_OP_POPF] = bv_op_popf,
	[BV_OP_ENTER] = bv_op_enter,
	[BV_OP_LEAVE] = bv_op_leave,
	[BV_OP_CALL] = bv_op_call,
	[BV_OP_JMP] = bv_op_jmp,
	[BV_OP_JCC] = bv_op_jcc,
	[BV_OP_RET] = bv_op_ret,
	[BV_OP_LOOP] = bv_op_loop,
	[BV_OP_LOOPE] = bv_op_loop,
	[BV_OP_LOOPNE] = bv_op_loop,
	[BV_OP_JCXZ] = bv_op_jcxz,
	[BV_OP_CALL_FAR] = bv_op_call_far,
	[BV_OP_JMP_FAR] = bv_op_jmp_far,
	[BV_OP_RET_FAR] = bv_op_ret_far,
	[BV_OP_IRET] = bv_op_iret,
	[BV_OP_INT3] = bv_op_int,
	[BV_OP_INT] = bv_op_int,
	[BV_OP_INTO] = bv_op_into,
	[BV_OP_BOUND] = bv_op_bound,
	[BV_OP_MOVS] = bv_op_movs,
	[BV_OP_CMPS] = bv_op_cmps,
	[BV_OP_STOS] = bv_op_stos,
	[BV_OP_LODS] = bv_op_lods,
	[BV_OP_SCAS] = bv_op_scas,
	[BV_OP_INS] = bv_op_ins,
	[BV_OP_OUTS] = bv_op_outs,
	[BV_OP_IN] = bv_op_in,
	[BV_OP_OUT] = bv_op_out,
	[BV_OP_MOV_FROM_SEG] = bv_op_mov_from_seg,
	[BV_OP_MOV_TO_SEG] = bv_op_mov_to_seg,
	[BV_OP_LOAD_FAR] = bv_op_load_far,
	[BV_OP_MOV_FROM_CR] = bv_op_mov_from_cr,
	[BV_OP_MOV_TO_CR] = bv_op_mov_to_cr,
	[BV_OP_MOV_FROM_DR] = bv_op_mov_from_dr,
	[BV_OP_MOV_TO_DR] = bv_op_mov_to_dr,
	[BV_OP_CLI] = bv_op_cli,
	[BV_OP_STI] = bv_op_sti,
	[BV_OP_HLT] = bv_op_hlt,
	[BV_OP_CLTS] = bv_op_clts,
	[BV_OP_INVD] = bv_op_wbinvd,
	[BV_OP_WBINVD] = bv_op_wbinvd,
	[BV_OP_INVLPG] = bv_op_invlpg,
	[BV_OP_SGDT] = bv_op_sgdt,
	[BV_OP_SIDT] = bv_op_sgdt,
	[BV_OP_LGDT] = bv_op_lgdt,
	[BV_OP_LIDT] = bv_op_lgdt,
	[BV_OP_SMSW] = bv_op_smsw,
	[BV_OP_LMSW] = bv_op_lmsw,
	[BV_OP_SLDT] = bv_op_sldt,
	[BV_OP_STR] = bv_op_str,
	[BV_OP_LLDT] = bv_op_lldt,
	[BV_OP_LTR] = bv_op_ltr,
	[BV_OP_VERR] = bv_op_verr,
	[BV_OP_VERW] = bv_op_verr,
	[BV_OP_LAR] = bv_op_lar,
	[BV_OP_LSL] = bv_op_lsl,
	[BV_OP_ARPL] = bv_op_arpl,
	[BV_OP_CPUID] = bv_op_cpuid,
	[BV_OP_RDMSR] = bv_op_rdmsr,
	[BV_OP_WRMSR] = bv_op_wrmsr,
	[BV_OP_RDTSC] = bv_op_rdtsc,
	[BV_OP_RDTSCP] = bv_op_rdtsc,
	[BV_OP_RDPMC] = bv_op_rdpmc,
	[BV_OP_SWAPGS] = bv_op_swapgs,
	[BV_OP_SYSCALL] = bv_op_syscall,
	[BV_OP_SYSRET] = bv_op_sysret,
	[BV_OP_CACHE_LINE] = bv_op_cache_line,
	[BV_OP_VEC_LOAD] = bv_op_vec_load,
	[BV_OP_VEC_STORE] = bv_op_vec_store,
	[BV_OP_VEC_LOAD_ZERO] = bv_op_vec_load_zero,
	[BV_OP_VEC_STORE_LOW] = bv_op_vec_store_low,
	[BV_OP_VEC_MOVS] = bv_op_vec_movs,
	[BV_OP_VEC_STORE_S] = bv_op_vec_store_s,
	[BV_OP_VEC_LOAD_LO] = bv_op_vec_load_half,
	[BV_OP_VEC_LOAD_HI] = bv_op_vec_load_half,
	[BV_OP_VEC_STORE_HI] = bv_op_vec_store_hi,
	[BV_OP_VEC_FROM_GPR] = bv_op_vec_from_gpr,
	[BV_OP_VEC_TO_GPR] = bv_op_vec_to_gpr,
	[BV_OP_MMX_LOAD] = bv_op_mmx_load,
	[BV_OP_MMX_STORE] = bv_op_mmx_store,
	[BV_OP_MMX_FROM_GPR] = bv_op_mmx_from_gpr,
	[BV_OP_MMX_TO_GPR] = bv_op_mmx_to_gpr,
	[BV_OP_EMMS] = bv_op_emms,
	[BV_OP_FPU] = bv_op_fpu,
	[BV_OP_FWAIT] = bv_op_fwait,
};

/*
 * The point of no return: all that could fail has been done. RF is cleared by every instruction but
 * IRET, which loads it, and by the unfinished repetitions of a string instruction. The single step
 * is due by TF as it was, but for SYSCALL and SYSRET, of which the TF counts that they leave.
 */
static void bv_emul_commit(struct bv_emul *emul)
{
	u8 op = emul->insn.row.op;

	emul->trap = (op == BV_OP_SYSCALL || op == BV_OP_SYSRET ? emul->flags : emul->rflags) &
		     BV_RFLAGS_TF;
	if (op != BV_OP_IRET)
		emul->flags &= ~BV_RFLAGS_RF;
	emul->rflags = emul->flags;
	emul->rip = emul->code == BV_CODE64 ? emul->next_rip : (u32)emul->next_rip;
	if (emul->replay)
		bv_ioreplay_reset(emul->replay);
}

static void bv_emul_begin(struct bv_emul *emul)
{
	emul->shadow = BV_SHADOW_NONE;
	emul->trap = false;
	emul->repeats = false;
	emul->skip_write = false;
	emul->one_access = false;
	emul->flags = emul->rflags;
	if (emul->replay)
		bv_ioreplay_rewind(emul->replay);
}

/* The moves that most device accesses are, without the generality of operands. */
static enum bv_emul_rc bv_emul_move(struct bv_emul *emul, const struct bv_mmio *move)
{
	const struct bv_insn *insn = &emul->insn;
	u64 offset = bv_insn_address(insn, emul->gpr, emul->rip), linear, value = 0;
	unsigned int access = move->write ? BV_ACCESS_WRITE : 0;
	enum bv_emul_rc rc;

	rc = bv_emul_linear(emul, insn->seg, offset, move->size, access, &linear);
	if (rc)
		return rc;
	if (move->write) {
		rc = emul->ops->write(emul, linear, &move->value, move->size, access);
	} else {
		rc = emul->ops->read(emul, linear, &value, move->size, access);
		if (!rc)
			bv_mmio_finish(move, emul->gpr, value);
	}
	if (!rc)
		bv_emul_commit(emul);
	return rc;
}

enum bv_emul_rc bv_emul_run(struct bv_emul *emul)
{
	struct bv_insn *insn = &emul->insn;
	bv_emul_operation *operation;
	struct bv_mmio move;
	enum bv_emul_rc rc;

	bv_emul_begin(emul);
	rc = bv_emul_decode(emul);
	if (rc)
		return rc;
	emul->next_rip = emul->rip + insn->len;
	if (bv_insn_as_mmio(insn, emul->gpr, &move)) {
		emul->one_access = true;
		return bv_emul_move(emul, &move);
	}
	emul->one_access = bv_insn_one_access(insn);
	if (insn->row.flags & BV_OPF_CHECKS) {
		rc = bv_emul_check(emul);
		if (rc)
			return rc;
	}
	emul->locked = insn->prefixes & BV_PREFIX_LOCK;
	rc = bv_emul_operands(emul);
	if (rc)
		return rc;
	operation = bv_emul_operations[insn->row.op];
	if (!operation)
		return BV_EMUL_UNHANDLED;
	rc = operation(emul);
	if (rc)
		return rc;
	if (!emul->skip_write && !(insn->row.flags & BV_OPF_NO_WRITE) &&
	    bv_place_is_written(insn->row.dst)) {
		rc = bv_emul_write_back(emul);
		if (rc)
			return rc;
	}
	bv_emul_commit(emul);
	return BV_EMUL_DONE;
}
