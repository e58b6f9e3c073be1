// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/*
 * The instruction decoder; see decode.h. What an opcode means is in data/opcodes.c, this file knows
 * how instructions are put together: prefixes, REX and VEX, the opcode maps, ModRM and SIB,
 * displacement, immediate.
 *
 * It reads ahead of the number of valid bytes and checks once at the end: .bytes is larger than
 * anything that can be parsed (14 prefixes, 3 opcode bytes, ModRM, SIB, 8 of displacement, 8 of
 * immediate: 35). That keeps bounds checks out of the path that every MMIO access takes.
 */
#include "x86/decode.h"

static s64 bv_get_signed(const u8 *bytes, unsigned int size)
{
	u64 value = 0;

	switch (size) {
	case 1:
		return (s8)bytes[0];
	case 2:
		return (s16)(bytes[0] | bytes[1] << 8);
	case 4:
		return (s32)(bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (u32)bytes[3] << 24);
	default:
		for (unsigned int at = 0; at < 8; at++)
			value |= (u64)bytes[at] << (at * 8);
		return (s64)value;
	}
}

static void bv_insn_override(struct bv_insn *insn, enum bv_segment seg)
{
	/* 64-bit code ignores all but FS and GS */
	if (insn->code == BV_CODE64 && seg < BV_SEG_FS)
		return;
	insn->prefixes |= BV_PREFIX_SEG;
	insn->seg = seg;
}

static void bv_insn_prefix(struct bv_insn *insn, u8 byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		bv_insn_override(insn, (byte >> 3) & 3);
		break;
	case 0x64:
	case 0x65:
		bv_insn_override(insn, byte - 0x60);
		break;
	case 0x66:
		insn->prefixes |= BV_PREFIX_66;
		break;
	case 0x67:
		insn->prefixes |= BV_PREFIX_67;
		break;
	case 0xf0:
		insn->prefixes |= BV_PREFIX_LOCK;
		break;
	case 0xf2: /* of REP and REPNE the last one counts */
		insn->prefixes = (insn->prefixes & (u8)~BV_PREFIX_REP) | BV_PREFIX_REPNE;
		break;
	case 0xf3:
		insn->prefixes = (insn->prefixes & (u8)~BV_PREFIX_REPNE) | BV_PREFIX_REP;
		break;
	}
}

/* Returns the index of the first byte that is no prefix. */
static unsigned int bv_insn_prefixes(struct bv_insn *insn, const u8 *bytes, enum bv_code_size code)
{
	unsigned int at;

	for (at = 0; at < BV_INSN_MAX; at++) {
		u8 byte = bytes[at];

		if (code == BV_CODE64 && (byte & 0xf0) == 0x40) {
			insn->prefixes |= BV_PREFIX_REX;
			insn->rex = byte & 0xf;
			continue;
		}
		if (!(bv_opcodes[byte].flags & BV_OPF_PREFIX))
			break;
		/* REX counts only right before the opcode */
		insn->prefixes &= (u8)~BV_PREFIX_REX;
		insn->rex = 0;
		bv_insn_prefix(insn, byte);
	}
	return at;
}

static void bv_insn_sizes(struct bv_insn *insn)
{
	bool flip = insn->prefixes & BV_PREFIX_66;
	u32 flags = insn->row.flags;

	if (insn->code == BV_CODE16)
		insn->op_size = flip ? 4 : 2;
	else
		insn->op_size = flip ? 2 : 4;
	if (insn->code == BV_CODE64) {
		if ((flags & BV_OPF_DEFAULT64) && !flip)
			insn->op_size = 8;
		if ((insn->rex & BV_REX_W) && !(flags & BV_OPF_NO_REX_W))
			insn->op_size = 8;
	}
}

static void bv_insn_address_size(struct bv_insn *insn)
{
	bool flip = insn->prefixes & BV_PREFIX_67;

	if (!flip)
		insn->addr_size = insn->code;
	else
		insn->addr_size = insn->code == BV_CODE32 ? 2 : 4;
}

unsigned int bv_insn_width(const struct bv_insn *insn, u8 operand)
{
	unsigned int width = BV_WIDTH(operand);

	if (width == BV_SIZE_OP)
		return insn->op_size;
	if (width <= BV_SIZE_8) /* 1, 2, 4, 8 */
		return 1u << ((width >> 5) - 1);
	switch (width) {
	case BV_SIZE_Y:
		return insn->rex & BV_REX_W ? 8 : 4;
	case BV_SIZE_VEC:
		return insn->vex_l ? 32 : 16;
	default:
		return insn->code == BV_CODE64 ? 8 : 4;
	}
}

/* ModRM with 16-bit addresses (APM volume 3, table 1-10). */
static unsigned int bv_insn_memory16(struct bv_insn *insn, const u8 *bytes, unsigned int at)
{
	static const u8 bases[8] = {
		BV_RBX, BV_RBX, BV_RBP, BV_RBP, BV_RSI, BV_RDI, BV_RBP, BV_RBX
	};
	static const u8 indexes[8] = { BV_RSI,	       BV_RDI,	       BV_RSI,
				       BV_RDI,	       BV_INSN_NO_REG, BV_INSN_NO_REG,
				       BV_INSN_NO_REG, BV_INSN_NO_REG };
	unsigned int rm = insn->modrm & 7;
	unsigned int disp_size = insn->mod;

	insn->base = bases[rm];
	insn->index = indexes[rm];
	if (insn->mod == 0 && rm == 6) {
		insn->base = BV_INSN_NO_REG;
		disp_size = 2;
	}
	if (insn->base == BV_RBP && !(insn->prefixes & BV_PREFIX_SEG))
		insn->seg = BV_SEG_SS;
	if (disp_size) {
		insn->disp = bv_get_signed(bytes + at, disp_size);
		at += disp_size;
	}
	return at;
}

/* ModRM and SIB with 32-bit and 64-bit addresses. */
static unsigned int bv_insn_memory(struct bv_insn *insn, const u8 *bytes, unsigned int at)
{
	unsigned int disp_size = insn->mod == 2 ? 4 : insn->mod;
	unsigned int base = insn->modrm & 7;

	if (base == 4) {
		u8 sib = bytes[at++];

		insn->index = ((sib >> 3) & 7) | (insn->rex & BV_REX_X ? 8 : 0);
		if (insn->index == BV_RSP)
			insn->index = BV_INSN_NO_REG;
		insn->scale = sib >> 6;
		base = sib & 7;
	} else if (insn->mod == 0 && base == 5) {
		insn->rip_relative = insn->code == BV_CODE64;
	}
	if (insn->mod == 0 && base == 5) {
		disp_size = 4;
	} else {
		insn->base = base | (insn->rex & BV_REX_B ? 8 : 0);
		if ((insn->base == BV_RSP || insn->base == BV_RBP) &&
		    !(insn->prefixes & BV_PREFIX_SEG))
			insn->seg = BV_SEG_SS;
	}
	if (disp_size) {
		insn->disp = bv_get_signed(bytes + at, disp_size);
		at += disp_size;
	}
	return at;
}

/* Puts a group's row over the row that named it. */
static void bv_insn_group(struct bv_insn *insn)
{
	unsigned int group = insn->row.op;
	const struct bv_opcode *row;

	if (group == BV_GROUP_7 && insn->mod == 3)
		group = BV_GROUP_7R;
	row = &bv_opcode_groups[group][(insn->modrm >> 3) & 7];
	insn->row.op = row->op;
	insn->row.flags = (insn->row.flags & ~(u32)BV_OPF_GROUP) | row->flags;
	if (row->dst)
		insn->row.dst = row->dst;
	if (row->src)
		insn->row.src = row->src;
	if (row->imm)
		insn->row.imm = row->imm;
}

static void bv_insn_by_prefix(struct bv_insn *insn)
{
	unsigned int column = 0;
	u32 flags = insn->row.flags & ~(u32)BV_OPF_BY_PREFIX;

	if (insn->prefixes & BV_PREFIX_REP)
		column = 2;
	else if (insn->prefixes & BV_PREFIX_REPNE)
		column = 3;
	else if (insn->prefixes & BV_PREFIX_66)
		column = 1;
	insn->row = bv_opcode_sets[insn->row.op][column];
	insn->row.flags |= flags;
}

static unsigned int bv_insn_modrm(struct bv_insn *insn, const u8 *bytes, unsigned int at)
{
	insn->modrm = bytes[at++];
	insn->mod = insn->row.flags & BV_OPF_REGISTER_ONLY ? 3 : insn->modrm >> 6;
	insn->reg = ((insn->modrm >> 3) & 7) | (insn->rex & BV_REX_R ? 8 : 0);
	if (insn->row.flags & BV_OPF_GROUP)
		bv_insn_group(insn);
	if (insn->mod == 3) {
		insn->rm = (insn->modrm & 7) | (insn->rex & BV_REX_B ? 8 : 0);
		return at;
	}
	if (insn->addr_size == 2)
		return bv_insn_memory16(insn, bytes, at);
	return bv_insn_memory(insn, bytes, at);
}

static unsigned int bv_insn_far_pointer(struct bv_insn *insn, const u8 *bytes, unsigned int at)
{
	unsigned int size = insn->op_size == 2 ? 2 : 4;

	insn->imm = (u64)bv_get_signed(bytes + at, size);
	insn->imm &= size == 2 ? 0xffff : 0xffffffff;
	insn->sel = (u16)bv_get_signed(bytes + at + size, 2);
	return at + size + 2;
}

static unsigned int bv_insn_immediate(struct bv_insn *insn, const u8 *bytes, unsigned int at)
{
	unsigned int size = 1;

	switch (insn->row.imm) {
	case BV_IMM_8:
		break;
	case BV_IMM_8U:
		insn->imm = bytes[at];
		return at + 1;
	case BV_IMM_16:
		insn->imm = (u16)bv_get_signed(bytes + at, 2);
		return at + 2;
	case BV_IMM_Z:
		size = insn->size == 8 ? 4 : insn->size;
		break;
	case BV_IMM_V:
		size = insn->op_size;
		break;
	case BV_IMM_FAR:
		return bv_insn_far_pointer(insn, bytes, at);
	case BV_IMM_16_8:
		insn->imm = (u16)bv_get_signed(bytes + at, 2);
		insn->imm2 = bytes[at + 2];
		return at + 3;
	case BV_IMM_MOFFS:
		insn->disp = bv_get_signed(bytes + at, insn->addr_size);
		return at + insn->addr_size;
	default:
		return at;
	}
	insn->imm = (u64)bv_get_signed(bytes + at, size);
	return at + size;
}

/* The rows of the map after 0F 38 that exist. */
static void bv_insn_map_0f38(struct bv_insn *insn)
{
	insn->row = (struct bv_opcode){ .op = BV_OP_UNKNOWN, .flags = BV_OPF_MODRM };
	switch (insn->opcode) {
	case 0x2a:
		insn->row.op = BV_SET_38_2A;
		break;
	case 0xf0:
		insn->row.op = BV_SET_38_F0;
		break;
	case 0xf1:
		insn->row.op = BV_SET_38_F1;
		break;
	default:
		return;
	}
	insn->row.flags |= BV_OPF_BY_PREFIX;
}

/* The bytes after C4 or C5 (APM volume 3, 1.9). .at is the index of the byte after it. */
static unsigned int bv_insn_vex(struct bv_insn *insn, const u8 *bytes, unsigned int at)
{
	static const u8 pp[4] = { 0, BV_PREFIX_66, BV_PREFIX_REP, BV_PREFIX_REPNE };
	unsigned int map = 1;
	u8 byte = bytes[at++];

	/* no 66, F2, F3, LOCK or REX may stand before it */
	if (insn->prefixes &
	    (BV_PREFIX_66 | BV_PREFIX_REP | BV_PREFIX_REPNE | BV_PREFIX_LOCK | BV_PREFIX_REX))
		map = 0;
	insn->rex = byte & 0x80 ? 0 : BV_REX_R;
	if (insn->opcode == 0xc4) {
		insn->rex |= (byte & 0x40 ? 0 : BV_REX_X) | (byte & 0x20 ? 0 : BV_REX_B);
		map = map ? byte & 0x1f : 0;
		byte = bytes[at++];
		insn->rex |= byte & 0x80 ? BV_REX_W : 0;
	}
	insn->prefixes |= BV_PREFIX_VEX | pp[byte & 3];
	insn->vex_l = (byte >> 2) & 1;
	insn->vex_reg = (~byte >> 3) & 0xf;
	if (insn->code != BV_CODE64) {
		insn->rex = 0;
		insn->vex_reg &= 7;
	}
	insn->opcode = bytes[at++];
	if (map == 1)
		insn->row = bv_opcodes_0f[insn->opcode];
	else if (map == 2)
		bv_insn_map_0f38(insn);
	else
		insn->row = (struct bv_opcode){ .op = map ? BV_OP_UNKNOWN : BV_OP_UD };
	return at;
}

/* 0F and what follows it; C4 and C5 where they are VEX. */
static unsigned int bv_insn_escape(struct bv_insn *insn, const u8 *bytes, unsigned int at)
{
	if (insn->opcode != 0x0f) {
		if (insn->code == BV_CODE64 || bytes[at] >= 0xc0)
			return bv_insn_vex(insn, bytes, at);
		return at;
	}
	insn->opcode = bytes[at++];
	insn->row = bv_opcodes_0f[insn->opcode];
	if (!(insn->row.flags & BV_OPF_ESCAPE))
		return at;
	if (insn->opcode == 0x38) {
		insn->opcode = bytes[at++];
		bv_insn_map_0f38(insn);
	} else {
		insn->opcode = bytes[at++];
		insn->row = (struct bv_opcode){ .op = BV_OP_UNKNOWN,
						.imm = BV_IMM_8U,
						.flags = BV_OPF_MODRM };
	}
	return at;
}

/* The places where two instructions share an opcode. */
static void bv_insn_ambiguous(struct bv_insn *insn)
{
	if (insn->opcode == 0x63 && insn->row.op == BV_OP_MOVSX && insn->code != BV_CODE64)
		insn->row = (struct bv_opcode){ .op = BV_OP_ARPL,
						.dst = BV_AT_RM | BV_SIZE_2,
						.src = BV_AT_REG | BV_SIZE_2,
						.flags = BV_OPF_MODRM | BV_OPF_PROTECTED };
	/*
	 * LOCK MOV CR0 is another spelling of MOV CR8 for code that has no REX (APM volume 3, MOV
	 * CRn)
	 */
	if ((insn->row.flags & BV_OPF_REGISTER_ONLY) && (insn->prefixes & BV_PREFIX_LOCK) &&
	    !(insn->opcode & 1) && !insn->reg) {
		insn->reg = 8;
		insn->prefixes &= (u8)~BV_PREFIX_LOCK;
	}
}

static bool bv_insn_has_memory(const struct bv_insn *insn, u8 operand)
{
	unsigned int place = BV_PLACE(operand);

	if (place == BV_AT_MOFFS)
		return true;
	return insn->mod != 3 && (place == BV_AT_RM || place == BV_AT_ADDRESS ||
				  place == BV_AT_RM_LATE || place == BV_AT_RM16);
}

/* Does ModRM.reg name a segment, control or debug register that exists? */
static bool bv_insn_has_register(const struct bv_insn *insn)
{
	unsigned int seg = insn->reg & 7; /* REX.R does not reach segment registers */

	switch (insn->row.op) {
	case BV_OP_MOV_FROM_SEG:
		return seg <= BV_SEG_GS;
	case BV_OP_MOV_TO_SEG:
		return seg <= BV_SEG_GS && seg != BV_SEG_CS;
	case BV_OP_MOV_FROM_CR:
	case BV_OP_MOV_TO_CR:
		return BV_BIT(insn->reg) & 0x11d; /* 0, 2, 3, 4, 8 */
	case BV_OP_MOV_FROM_DR:
	case BV_OP_MOV_TO_DR:
		return insn->reg < 8;
	default:
		return true;
	}
}

/*
 * What only VEX brings in: VEX.L where it must be clear, VEX.vvvv where there is no third operand.
 */
static enum bv_decode_rc bv_insn_vex_verdict(const struct bv_insn *insn)
{
	u32 flags = insn->row.flags;
	bool third = (flags & BV_OPF_VEX_3) || ((flags & BV_OPF_VEX_3R) && insn->mod == 3);

	if (!(flags & BV_OPF_VEX))
		return BV_DECODE_UNKNOWN;
	if ((insn->vex_l && (flags & BV_OPF_VEX128)) || (insn->vex_reg && !third))
		return BV_DECODE_INVALID;
	return BV_DECODE_OK;
}

static enum bv_decode_rc bv_insn_verdict(const struct bv_insn *insn)
{
	u32 flags = insn->row.flags;

	if (insn->row.op <= BV_OP_UD)
		return insn->row.op == BV_OP_UD ? BV_DECODE_INVALID : BV_DECODE_UNKNOWN;
	if (bv_likely(!(flags & BV_OPF_VERDICT) &&
		      !(insn->prefixes & (BV_PREFIX_LOCK | BV_PREFIX_VEX))))
		return BV_DECODE_OK;
	if (insn->code == BV_CODE64 ? flags & BV_OPF_NO64 : flags & BV_OPF_ONLY64)
		/* 62 begins the encodings of AVX-512 there */
		return insn->row.op == BV_OP_BOUND ? BV_DECODE_UNKNOWN : BV_DECODE_INVALID;
	if (insn->mod == 3 ? flags & BV_OPF_MEMORY : flags & BV_OPF_REGISTER)
		return BV_DECODE_INVALID;
	if ((flags & BV_OPF_SPECIAL) && !bv_insn_has_register(insn))
		return BV_DECODE_INVALID;
	if ((insn->prefixes & BV_PREFIX_LOCK) &&
	    (!(flags & BV_OPF_LOCK) || !bv_insn_has_memory(insn, insn->row.dst)))
		return BV_DECODE_INVALID;
	return insn->prefixes & BV_PREFIX_VEX ? bv_insn_vex_verdict(insn) : BV_DECODE_OK;
}

static void bv_insn_clear(struct bv_insn *insn, enum bv_code_size code)
{
	*insn = (struct bv_insn){
		.mod = 3, .base = BV_INSN_NO_REG, .index = BV_INSN_NO_REG, .seg = BV_SEG_DS
	};
	insn->code = (u8)code;
}

enum bv_decode_rc bv_insn_decode(struct bv_insn *insn, const u8 bytes[BV_INSN_WINDOW],
				 unsigned int count, enum bv_code_size code)
{
	unsigned int at;

	bv_insn_clear(insn, code);
	at = bv_insn_prefixes(insn, bytes, code);
	bv_insn_address_size(insn);
	insn->opcode = bytes[at++];
	insn->row = bv_opcodes[insn->opcode];
	if (insn->row.flags & BV_OPF_ESCAPE)
		at = bv_insn_escape(insn, bytes, at);
	if (insn->row.flags & BV_OPF_BY_PREFIX)
		bv_insn_by_prefix(insn);
	if (insn->row.flags & BV_OPF_MODRM) {
		at = bv_insn_modrm(insn, bytes, at);
		if (insn->opcode == 0x63 || (insn->row.flags & BV_OPF_REGISTER_ONLY))
			bv_insn_ambiguous(insn);
	}
	bv_insn_sizes(insn);
	insn->size = (u8)bv_insn_width(insn, insn->row.dst);
	if (insn->row.imm)
		at = bv_insn_immediate(insn, bytes, at);
	insn->len = (u8)at;
	if (bv_unlikely(at > count || at > BV_INSN_MAX))
		return count >= BV_INSN_MAX ? BV_DECODE_LONG : BV_DECODE_SHORT;
	return bv_insn_verdict(insn);
}

static bool bv_insn_is_move(const struct bv_insn *insn)
{
	return insn->row.op == BV_OP_MOV || insn->row.op == BV_OP_MOVZX ||
	       insn->row.op == BV_OP_MOVSX;
}

static u64 bv_insn_source(const struct bv_insn *insn, const u64 *gpr)
{
	bool rex = insn->prefixes & BV_PREFIX_REX;

	switch (BV_PLACE(insn->row.src)) {
	case BV_AT_REG:
		return bv_gpr_get(gpr, insn->reg, insn->size, rex);
	case BV_AT_ACC:
		return bv_gpr_get(gpr, BV_RAX, insn->size, rex);
	default:
		return insn->imm;
	}
}

bool bv_insn_as_mmio(const struct bv_insn *insn, const u64 *gpr, struct bv_mmio *mmio)
{
	if (!bv_insn_is_move(insn))
		return false;
	if (bv_insn_has_memory(insn, insn->row.dst)) {
		mmio->write = true;
		mmio->size = insn->size;
		mmio->value = bv_insn_source(insn, gpr);
		return true;
	}
	if (!bv_insn_has_memory(insn, insn->row.src))
		return false;
	mmio->write = false;
	mmio->size = (u8)bv_insn_width(insn, insn->row.src);
	mmio->reg = BV_PLACE(insn->row.dst) == BV_AT_ACC ? BV_RAX : insn->reg;
	mmio->reg_size = insn->size;
	mmio->rex = insn->prefixes & BV_PREFIX_REX;
	mmio->sign = insn->row.op == BV_OP_MOVSX;
	return true;
}

void bv_mmio_finish(const struct bv_mmio *mmio, u64 *gpr, u64 value)
{
	unsigned int spare = 64 - mmio->size * 8u;

	if (mmio->sign)
		value = (u64)((s64)(value << spare) >> spare);
	else
		value = value << spare >> spare;
	bv_gpr_set(gpr, mmio->reg, mmio->reg_size, mmio->rex, value);
}

bool bv_insn_one_access(const struct bv_insn *insn)
{
	if (insn->row.flags & (BV_OPF_MORE | BV_OPF_STRING | BV_OPF_BIT_STRING))
		return false;
	return bv_insn_has_memory(insn, insn->row.dst) || bv_insn_has_memory(insn, insn->row.src);
}
