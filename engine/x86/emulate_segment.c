// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/*
 * The emulator's segment registers, far transfers and descriptor instructions.
 *
 * What it does: real mode and virtual 8086 mode; in protected and long mode, loads of every segment
 * register with all checks, and far transfers within one privilege level. What it leaves to the
 * hardware (BV_EMUL_UNHANDLED): gates, task switches by an instruction that it is given whole, and
 * transfers between privilege levels. None of them has a reason to reach the emulator.
 *
 * Source: APM volume 2, 4.7 to 4.12 (descriptors and checks), volume 3 for the instructions.
 */
#include "x86/emulate_parts.h"

static bool bv_emul_long_mode(const struct bv_emul *emul)
{
	return emul->efer & BV_EFER_LMA;
}

enum bv_emul_rc bv_selector_fault(struct bv_emul *emul, enum bv_vector vector, u16 sel)
{
	return bv_emul_raise_error(emul, vector, sel & 0xfffcu);
}

static void bv_descriptor_parse(struct bv_descriptor *descriptor, u16 sel)
{
	u64 low = descriptor->low;
	struct bv_seg *seg = &descriptor->seg;

	seg->sel = sel;
	seg->attr = (u16)((low >> 40 & 0xff) | (low >> 52 & 0xf) << 8);
	seg->base = (low >> 16 & 0xffffff) | (low >> 56) << 24;
	seg->limit = (u32)((low & 0xffff) | (low >> 48 & 0xf) << 16);
	if (seg->attr & BV_SEG_G)
		seg->limit = seg->limit << 12 | 0xfff;
}

enum bv_emul_rc bv_descriptor_read(struct bv_emul *emul, u16 sel, enum bv_vector vector,
				   struct bv_descriptor *descriptor)
{
	struct bv_desc_table gdt;
	struct bv_seg ldt;
	u64 base;
	u32 limit;
	enum bv_emul_rc rc;

	if (sel & BV_SEL_TI) {
		emul->ops->seg_get(emul, BV_SEG_LDTR, &ldt);
		if (!(ldt.attr & BV_SEG_P))
			return bv_selector_fault(emul, vector, sel);
		base = ldt.base;
		limit = ldt.limit;
	} else {
		emul->ops->table_get(emul, false, &gdt);
		base = gdt.base;
		limit = gdt.limit;
	}
	if ((sel | 7u) > limit)
		return bv_selector_fault(emul, vector, sel);
	descriptor->linear = base + (sel & 0xfff8u);
	if (!bv_emul_long_mode(emul))
		descriptor->linear = (u32)descriptor->linear;
	rc = emul->ops->read(emul, descriptor->linear, &descriptor->low, 8, BV_ACCESS_IMPLICIT);
	if (!rc)
		bv_descriptor_parse(descriptor, sel);
	return rc;
}

/* The second half of a system descriptor in long mode, with the base's upper bits. */
static enum bv_emul_rc bv_descriptor_extend(struct bv_emul *emul, struct bv_descriptor *descriptor)
{
	struct bv_seg *seg = &descriptor->seg;
	enum bv_emul_rc rc;

	if (!bv_emul_long_mode(emul))
		return BV_EMUL_DONE;
	rc = emul->ops->read(emul, descriptor->linear + 8, &descriptor->high, 8,
			     BV_ACCESS_IMPLICIT);
	if (rc)
		return rc;
	seg->base |= descriptor->high << 32;
	if ((descriptor->high >> 40 & 0x1f) || !bv_emul_canonical(emul, seg->base))
		return bv_selector_fault(emul, BV_EXC_GP, seg->sel);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_descriptor_mark(struct bv_emul *emul, struct bv_descriptor *descriptor, u16 bits)
{
	u64 new = descriptor->low | (u64)bits << 40;

	if (new == descriptor->low)
		return BV_EMUL_DONE;
	descriptor->seg.attr |= bits;
	return emul->ops->cmpxchg(emul, descriptor->linear, &descriptor->low, &new, 8);
}

static void bv_segment_real(struct bv_emul *emul, unsigned int index, u16 sel)
{
	struct bv_seg seg;

	emul->ops->seg_get(emul, index, &seg);
	seg.sel = sel;
	seg.base = (u64)sel << 4;
	if (bv_emul_vm86(emul)) {
		seg.limit = 0xffff;
		seg.attr =
			BV_SEG_P | BV_SEG_DPL | BV_SEG_S | BV_SEG_TYPE_WRITE | BV_SEG_TYPE_ACCESSED;
	}
	emul->ops->seg_set(emul, index, &seg);
}

static enum bv_emul_rc bv_segment_null(struct bv_emul *emul, unsigned int index, u16 sel)
{
	struct bv_seg seg = { .sel = sel };

	if (index == BV_SEG_SS) {
		if (emul->code != BV_CODE64 || emul->cpl == 3 || (sel & BV_SEL_RPL) != emul->cpl)
			return bv_emul_raise_error(emul, BV_EXC_GP, 0);
		/* the CPL lives on in SS.DPL */
		seg.attr = (u16)(emul->cpl << BV_SEG_DPL_SHIFT);
	}
	emul->ops->seg_set(emul, index, &seg);
	return BV_EMUL_DONE;
}

bool bv_segment_good_stack(const struct bv_emul *emul, const struct bv_seg *seg)
{
	u16 kind = seg->attr & (BV_SEG_S | BV_SEG_TYPE_CODE | BV_SEG_TYPE_WRITE);

	return kind == (BV_SEG_S | BV_SEG_TYPE_WRITE) && (seg->sel & BV_SEL_RPL) == emul->cpl &&
	       bv_descriptor_dpl(seg) == emul->cpl;
}

bool bv_segment_good_data(const struct bv_emul *emul, const struct bv_seg *seg)
{
	bool code = seg->attr & BV_SEG_TYPE_CODE;
	unsigned int dpl = bv_descriptor_dpl(seg);

	if (!(seg->attr & BV_SEG_S) || (code && !(seg->attr & BV_SEG_TYPE_READ)))
		return false;
	if (code && (seg->attr & BV_SEG_TYPE_CONFORMING))
		return true;
	return (seg->sel & BV_SEL_RPL) <= dpl && emul->cpl <= dpl;
}

/* Checks a selector for a data or stack segment and reads its descriptor, accessed bit set. */
static enum bv_emul_rc bv_segment_prepare(struct bv_emul *emul, unsigned int index, u16 sel,
					  struct bv_descriptor *descriptor)
{
	enum bv_emul_rc rc = bv_descriptor_read(emul, sel, BV_EXC_GP, descriptor);
	const struct bv_seg *seg = &descriptor->seg;
	bool stack = index == BV_SEG_SS;

	if (rc)
		return rc;
	if (stack ? !bv_segment_good_stack(emul, seg) : !bv_segment_good_data(emul, seg))
		return bv_selector_fault(emul, BV_EXC_GP, sel);
	if (!(seg->attr & BV_SEG_P))
		return bv_selector_fault(emul, stack ? BV_EXC_SS : BV_EXC_NP, sel);
	return bv_descriptor_mark(emul, descriptor, BV_SEG_TYPE_ACCESSED);
}

enum bv_emul_rc bv_emul_segment_load(struct bv_emul *emul, unsigned int index, u16 sel)
{
	struct bv_descriptor descriptor;
	enum bv_emul_rc rc;

	if (!bv_emul_protected(emul)) {
		bv_segment_real(emul, index, sel);
		return BV_EMUL_DONE;
	}
	if (!(sel & 0xfffcu))
		return bv_segment_null(emul, index, sel);
	rc = bv_segment_prepare(emul, index, sel, &descriptor);
	if (!rc)
		emul->ops->seg_set(emul, index, &descriptor.seg);
	return rc;
}

/* --- MOV, PUSH and POP of segment registers --- */

enum bv_emul_rc bv_op_mov_from_seg(struct bv_emul *emul)
{
	struct bv_seg seg;

	emul->ops->seg_get(emul, emul->insn.reg & 7, &seg);
	emul->dst.value = seg.sel;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_mov_to_seg(struct bv_emul *emul)
{
	unsigned int index = emul->insn.reg & 7;
	enum bv_emul_rc rc;

	rc = bv_emul_segment_load(emul, index, (u16)emul->src.value);
	emul->shadow = !rc && index == BV_SEG_SS ? BV_SHADOW_MOV_SS : BV_SHADOW_NONE;
	return rc;
}

/* 06, 0E, 16, 1E and 0F A0, A8; each pop is one above its push. */
static unsigned int bv_opcode_segment(const struct bv_emul *emul)
{
	return (emul->insn.opcode >> 3) & (emul->insn.opcode & 0x80 ? 1 : 3);
}

static unsigned int bv_push_pop_segment(const struct bv_emul *emul)
{
	unsigned int number = bv_opcode_segment(emul);

	return emul->insn.opcode & 0x80 ? BV_SEG_FS + number : number;
}

enum bv_emul_rc bv_op_push_seg(struct bv_emul *emul)
{
	struct bv_seg seg;

	emul->ops->seg_get(emul, bv_push_pop_segment(emul), &seg);
	return bv_emul_push(emul, seg.sel, emul->insn.op_size);
}

enum bv_emul_rc bv_op_pop_seg(struct bv_emul *emul)
{
	unsigned int index = bv_push_pop_segment(emul), size = emul->insn.op_size;
	/* the stack's width is that of the old SS */
	u64 mask = bv_size_mask(bv_emul_stack_size(emul));
	u64 rsp = emul->gpr[BV_RSP], sel = 0;
	enum bv_emul_rc rc;

	rc = bv_emul_stack_read(emul, rsp, &sel, size);
	if (!rc)
		rc = bv_emul_segment_load(emul, index, (u16)sel);
	if (rc)
		return rc;
	emul->gpr[BV_RSP] = (rsp & ~mask) | ((rsp + size) & mask);
	emul->shadow = index == BV_SEG_SS ? BV_SHADOW_MOV_SS : BV_SHADOW_NONE;
	return BV_EMUL_DONE;
}

/* --- far transfers --- */

/* A far pointer in memory: offset of the operand size, then the selector. */
static enum bv_emul_rc bv_far_pointer(struct bv_emul *emul, u64 *offset, u16 *sel)
{
	unsigned int size = emul->insn.op_size;
	enum bv_emul_rc rc;
	u8 pointer[10];
	u64 linear;

	rc = bv_emul_modrm(emul, size + 2, 0, &linear);
	if (!rc)
		rc = emul->ops->read(emul, linear, pointer, size + 2, 0);
	if (rc)
		return rc;
	*offset = bv_bytes_get(pointer, size);
	*sel = (u16)bv_bytes_get(pointer + size, 2);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_load_far(struct bv_emul *emul)
{
	static const u8 segments[8] = { [0xb2 & 7] = BV_SEG_SS,
					[0xb4 & 7] = BV_SEG_FS,
					[0xb5 & 7] = BV_SEG_GS };
	unsigned int index = segments[emul->insn.opcode & 7];
	enum bv_emul_rc rc;
	u16 sel;

	if (emul->insn.opcode == 0xc4)
		index = BV_SEG_ES;
	else if (emul->insn.opcode == 0xc5)
		index = BV_SEG_DS;
	rc = bv_far_pointer(emul, &emul->dst.value, &sel);
	return rc ? rc : bv_emul_segment_load(emul, index, sel);
}

static enum bv_code_size bv_segment_code_size(const struct bv_emul *emul, const struct bv_seg *cs)
{
	if (bv_emul_long_mode(emul) && (cs->attr & BV_SEG_L))
		return BV_CODE64;
	return cs->attr & BV_SEG_DB ? BV_CODE32 : BV_CODE16;
}

static bool bv_segment_good_code(const struct bv_emul *emul, const struct bv_seg *seg, bool back)
{
	unsigned int dpl = bv_descriptor_dpl(seg), rpl = seg->sel & BV_SEL_RPL;

	if ((seg->attr & (BV_SEG_L | BV_SEG_DB)) == (BV_SEG_L | BV_SEG_DB) &&
	    bv_emul_long_mode(emul))
		return false;
	if (seg->attr & BV_SEG_TYPE_CONFORMING)
		return dpl <= emul->cpl;
	return dpl == emul->cpl && (back || rpl <= emul->cpl);
}

/*
 * Checks the target of a far transfer: afterwards .cs is what is to be loaded, and nothing can fail
 * any more. .back is true for returns, whose selector's RPL says the level to return to.
 */
static enum bv_emul_rc bv_far_check(struct bv_emul *emul, u16 sel, u64 offset, bool back,
				    struct bv_seg *cs)
{
	struct bv_descriptor descriptor;
	enum bv_emul_rc rc;

	if (!bv_emul_protected(emul)) {
		emul->ops->seg_get(emul, BV_SEG_CS, cs);
		cs->sel = sel;
		cs->base = (u64)sel << 4;
		return offset > cs->limit ? bv_emul_raise_error(emul, BV_EXC_GP, 0) : BV_EMUL_DONE;
	}
	if (!(sel & 0xfffcu))
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	if (back && (sel & BV_SEL_RPL) < emul->cpl)
		return bv_selector_fault(emul, BV_EXC_GP, sel);
	rc = bv_descriptor_read(emul, sel, BV_EXC_GP, &descriptor);
	if (rc)
		return rc;
	if ((back && (sel & BV_SEL_RPL) > emul->cpl) || !(descriptor.seg.attr & BV_SEG_S))
		return BV_EMUL_UNHANDLED; /* another level, or a gate or TSS */
	if (!(descriptor.seg.attr & BV_SEG_TYPE_CODE) ||
	    !bv_segment_good_code(emul, &descriptor.seg, back))
		return bv_selector_fault(emul, BV_EXC_GP, sel);
	if (!(descriptor.seg.attr & BV_SEG_P))
		return bv_selector_fault(emul, BV_EXC_NP, sel);
	if (bv_segment_code_size(emul, &descriptor.seg) == BV_CODE64 ?
		    !bv_emul_canonical(emul, offset) :
		    offset > descriptor.seg.limit)
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	rc = bv_descriptor_mark(emul, &descriptor, BV_SEG_TYPE_ACCESSED);
	*cs = descriptor.seg;
	cs->sel = (u16)((sel & ~BV_SEL_RPL) | emul->cpl);
	return rc;
}

static void bv_far_commit(struct bv_emul *emul, const struct bv_seg *cs, u64 offset)
{
	emul->ops->seg_set(emul, BV_SEG_CS, cs);
	if (bv_emul_protected(emul))
		emul->code = (u8)bv_segment_code_size(emul, cs);
	emul->next_rip = offset;
}

/* The target of JMP and CALL: in the instruction, or in memory. */
static enum bv_emul_rc bv_far_target(struct bv_emul *emul, u64 *offset, u16 *sel)
{
	if (emul->insn.row.dst)
		return bv_far_pointer(emul, offset, sel);
	*offset = emul->insn.imm;
	*sel = emul->insn.sel;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_jmp_far(struct bv_emul *emul)
{
	enum bv_emul_rc rc;
	struct bv_seg cs;
	u64 offset;
	u16 sel;

	rc = bv_far_target(emul, &offset, &sel);
	if (!rc)
		rc = bv_far_check(emul, sel, offset, false, &cs);
	if (!rc)
		bv_far_commit(emul, &cs, offset);
	return rc;
}

enum bv_emul_rc bv_op_call_far(struct bv_emul *emul)
{
	unsigned int size = emul->insn.op_size;
	u64 offset, rsp = emul->gpr[BV_RSP] - 2 * size;
	struct bv_seg cs, old;
	enum bv_emul_rc rc;
	u8 frame[16];
	u16 sel;

	rc = bv_far_target(emul, &offset, &sel);
	if (!rc)
		rc = bv_far_check(emul, sel, offset, false, &cs);
	if (rc)
		return rc;
	emul->ops->seg_get(emul, BV_SEG_CS, &old);
	bv_bytes_put(frame, emul->next_rip, size);
	bv_bytes_put(frame + size, old.sel, size);
	rc = bv_emul_stack_write(emul, rsp, frame, 2 * size);
	if (rc)
		return rc;
	bv_emul_stack_set(emul, rsp);
	bv_far_commit(emul, &cs, offset);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_ret_far(struct bv_emul *emul)
{
	unsigned int size = emul->insn.op_size;
	u64 offset, rsp = emul->gpr[BV_RSP];
	enum bv_emul_rc rc;
	struct bv_seg cs;
	u8 frame[16];

	rc = bv_emul_stack_read(emul, rsp, frame, 2 * size);
	if (rc)
		return rc;
	offset = bv_bytes_get(frame, size);
	rc = bv_far_check(emul, (u16)bv_bytes_get(frame + size, 2), offset, true, &cs);
	if (rc)
		return rc;
	bv_emul_stack_set(emul, rsp + 2 * size + emul->insn.imm);
	bv_far_commit(emul, &cs, offset);
	return BV_EMUL_DONE;
}

/* --- interrupts and IRET --- */

/* What IRET loads into RFLAGS; VM, VIF and VIP stay as they are. */
static u64 bv_iret_mask(const struct bv_emul *emul)
{
	u64 mask = BV_FLAGS_ARITHMETIC | BV_RFLAGS_TF | BV_RFLAGS_DF | BV_RFLAGS_NT;

	if (emul->insn.op_size != 2)
		mask |= BV_RFLAGS_RF | BV_RFLAGS_AC | BV_RFLAGS_ID;
	if (!emul->cpl)
		mask |= BV_RFLAGS_IOPL;
	if (bv_emul_iopl_allows(emul))
		mask |= BV_RFLAGS_IF;
	return mask;
}

/* In 64-bit code five items are popped whatever the level; here the level stays. */
static enum bv_emul_rc bv_iret64(struct bv_emul *emul)
{
	unsigned int size = emul->insn.op_size;
	enum bv_emul_rc rc;
	struct bv_seg cs, ss;
	u64 offset;
	u8 frame[5 * 8];

	rc = bv_emul_stack_read(emul, emul->gpr[BV_RSP], frame, 5 * size);
	if (rc)
		return rc;
	offset = bv_bytes_get(frame, size);
	rc = bv_far_check(emul, (u16)bv_bytes_get(frame + size, 2), offset, true, &cs);
	if (rc)
		return rc;
	emul->ops->seg_get(emul, BV_SEG_SS, &ss);
	if (bv_segment_code_size(emul, &cs) != BV_CODE64 ||
	    ss.sel != (u16)bv_bytes_get(frame + 4 * size, 2))
		return BV_EMUL_UNHANDLED;
	bv_emul_flags(emul, bv_iret_mask(emul), bv_bytes_get(frame + 2 * size, size));
	bv_gpr_set(emul->gpr, BV_RSP, size == 2 ? 2 : 8, true,
		   bv_bytes_get(frame + 3 * size, size));
	bv_far_commit(emul, &cs, offset);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_iret(struct bv_emul *emul)
{
	unsigned int size = emul->insn.op_size;
	u64 offset, flags, rsp = emul->gpr[BV_RSP];
	enum bv_emul_rc rc;
	struct bv_seg cs;
	u8 frame[3 * 8];

	if (bv_emul_vm86(emul) && !bv_emul_iopl_allows(emul))
		return emul->cr4 & BV_CR4_VME ? BV_EMUL_UNHANDLED :
						bv_emul_raise_error(emul, BV_EXC_GP, 0);
	if (bv_emul_protected(emul) && (emul->rflags & BV_RFLAGS_NT))
		return bv_emul_long_mode(emul) ? bv_emul_raise_error(emul, BV_EXC_GP, 0) :
						 BV_EMUL_UNHANDLED;
	if (emul->code == BV_CODE64)
		return bv_iret64(emul);
	rc = bv_emul_stack_read(emul, rsp, frame, 3 * size);
	if (rc)
		return rc;
	offset = bv_bytes_get(frame, size);
	flags = bv_bytes_get(frame + 2 * size, size);
	if (bv_emul_protected(emul) && size == 4 && (flags & BV_RFLAGS_VM))
		return BV_EMUL_UNHANDLED;
	rc = bv_far_check(emul, (u16)bv_bytes_get(frame + size, 2), offset, true, &cs);
	if (rc)
		return rc;
	bv_emul_flags(emul, bv_iret_mask(emul), flags);
	bv_emul_stack_set(emul, rsp + 3 * size);
	bv_far_commit(emul, &cs, offset);
	return BV_EMUL_DONE;
}

/* A software interrupt in real mode: through the table that IDTR points to. */
static enum bv_emul_rc bv_interrupt_real(struct bv_emul *emul, unsigned int vector)
{
	u64 rsp = emul->gpr[BV_RSP] - 6;
	struct bv_desc_table idt;
	struct bv_seg cs, old;
	enum bv_emul_rc rc;
	u16 entry[2], frame[3];

	emul->ops->table_get(emul, true, &idt);
	if (vector * 4 + 3 > idt.limit)
		return bv_emul_raise_error(emul, BV_EXC_GP, vector * 8 + 2);
	rc = emul->ops->read(emul, (u32)(idt.base + vector * 4), entry, 4, BV_ACCESS_IMPLICIT);
	if (!rc)
		rc = bv_far_check(emul, entry[1], entry[0], false, &cs);
	if (rc)
		return rc;
	emul->ops->seg_get(emul, BV_SEG_CS, &old);
	frame[0] = (u16)emul->next_rip;
	frame[1] = old.sel;
	frame[2] = (u16)emul->rflags;
	rc = bv_emul_stack_write(emul, rsp, frame, 6);
	if (rc)
		return rc;
	bv_emul_stack_set(emul, rsp);
	emul->flags &= ~(BV_RFLAGS_IF | BV_RFLAGS_TF | BV_RFLAGS_AC);
	bv_far_commit(emul, &cs, entry[0]);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_int(struct bv_emul *emul)
{
	if (emul->cr0 & BV_CR0_PE)
		return BV_EMUL_UNHANDLED;
	return bv_interrupt_real(emul, emul->insn.opcode == 0xcc ? BV_EXC_BP : (u8)emul->insn.imm);
}

enum bv_emul_rc bv_op_into(struct bv_emul *emul)
{
	if (!(emul->rflags & BV_RFLAGS_OF))
		return BV_EMUL_DONE;
	if (emul->cr0 & BV_CR0_PE)
		return BV_EMUL_UNHANDLED;
	return bv_interrupt_real(emul, BV_EXC_OF);
}

/* Two signed bounds in memory; outside of them #BR. */
enum bv_emul_rc bv_op_bound(struct bv_emul *emul)
{
	unsigned int size = emul->insn.op_size;
	s64 index = (s64)bv_sign_extend(emul->src.value, size);
	enum bv_emul_rc rc;
	u8 bounds[8];
	u64 linear;

	rc = bv_emul_modrm(emul, 2 * size, BV_ACCESS_UNITS, &linear);
	if (!rc)
		rc = emul->ops->read(emul, linear, bounds, 2 * size, 0);
	if (rc)
		return rc;
	if (index < (s64)bv_sign_extend(bv_bytes_get(bounds, size), size) ||
	    index > (s64)bv_sign_extend(bv_bytes_get(bounds + size, size), size))
		return bv_emul_raise(emul, BV_EXC_BR);
	return BV_EMUL_DONE;
}

/* --- system segments --- */

static enum bv_emul_rc bv_system_selector(struct bv_emul *emul, enum bv_segment index)
{
	struct bv_seg seg;

	emul->ops->seg_get(emul, index, &seg);
	emul->dst.value = seg.sel;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_sldt(struct bv_emul *emul)
{
	return bv_system_selector(emul, BV_SEG_LDTR);
}

enum bv_emul_rc bv_op_str(struct bv_emul *emul)
{
	return bv_system_selector(emul, BV_SEG_TR);
}

/* The descriptor of an LDT or TSS: in the GDT, of the right type, present. */
static enum bv_emul_rc bv_system_descriptor(struct bv_emul *emul, u16 sel, bool task,
					    struct bv_descriptor *descriptor)
{
	enum bv_emul_rc rc;
	unsigned int type;
	bool good;

	if (sel & BV_SEL_TI)
		return bv_selector_fault(emul, BV_EXC_GP, sel);
	rc = bv_descriptor_read(emul, sel, BV_EXC_GP, descriptor);
	if (rc)
		return rc;
	type = descriptor->seg.attr & (BV_SEG_S | BV_SEG_TYPE);
	good = task ? type == BV_SYS_TSS || (type == BV_SYS_TSS16 && !bv_emul_long_mode(emul)) :
		      type == BV_SYS_LDT;
	if (!good)
		return bv_selector_fault(emul, BV_EXC_GP, sel);
	if (!(descriptor->seg.attr & BV_SEG_P))
		return bv_selector_fault(emul, BV_EXC_NP, sel);
	return bv_descriptor_extend(emul, descriptor);
}

enum bv_emul_rc bv_op_lldt(struct bv_emul *emul)
{
	u16 sel = (u16)emul->src.value;
	struct bv_descriptor descriptor = { .seg = { .sel = sel } };
	enum bv_emul_rc rc = BV_EMUL_DONE;

	if (sel & 0xfffcu)
		rc = bv_system_descriptor(emul, sel, false, &descriptor);
	if (!rc)
		emul->ops->seg_set(emul, BV_SEG_LDTR, &descriptor.seg);
	return rc;
}

enum bv_emul_rc bv_op_ltr(struct bv_emul *emul)
{
	u16 sel = (u16)emul->src.value;
	struct bv_descriptor descriptor;
	enum bv_emul_rc rc;

	if (!(sel & 0xfffcu))
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	rc = bv_system_descriptor(emul, sel, true, &descriptor);
	if (!rc)
		rc = bv_descriptor_mark(emul, &descriptor, BV_TSS_BUSY);
	if (!rc)
		emul->ops->seg_set(emul, BV_SEG_TR, &descriptor.seg);
	return rc;
}

/* --- inspection: ZF says whether the selector may be used so --- */

static void bv_inspection_result(struct bv_emul *emul, bool good)
{
	bv_emul_flags(emul, BV_RFLAGS_ZF, good ? BV_RFLAGS_ZF : 0);
	emul->skip_write = !good;
}

/*
 * Reads the descriptor that an inspecting instruction asks about. *found is false for null
 * selectors and those outside the tables; only paging faults are raised.
 */
static enum bv_emul_rc bv_inspect(struct bv_emul *emul, struct bv_descriptor *descriptor,
				  bool *found)
{
	u16 sel = (u16)emul->src.value;
	enum bv_emul_rc rc;

	*found = false;
	if (!(sel & 0xfffcu))
		return BV_EMUL_DONE;
	rc = bv_descriptor_read(emul, sel, BV_EXC_GP, descriptor);
	if (rc == BV_EMUL_FAULT && emul->fault.vector == BV_EXC_GP)
		return BV_EMUL_DONE;
	*found = !rc;
	return rc;
}

static bool bv_inspection_privileged(const struct bv_emul *emul, const struct bv_seg *seg)
{
	unsigned int dpl = bv_descriptor_dpl(seg);

	if ((seg->attr & (BV_SEG_S | BV_SEG_TYPE_CODE | BV_SEG_TYPE_CONFORMING)) ==
	    (BV_SEG_S | BV_SEG_TYPE_CODE | BV_SEG_TYPE_CONFORMING))
		return true;
	return emul->cpl <= dpl && (seg->sel & BV_SEL_RPL) <= dpl;
}

enum bv_emul_rc bv_op_verr(struct bv_emul *emul)
{
	bool write = emul->insn.row.op == BV_OP_VERW, good;
	struct bv_descriptor descriptor;
	enum bv_emul_rc rc = bv_inspect(emul, &descriptor, &good);

	if (rc)
		return rc;
	if (good) {
		u16 attr = descriptor.seg.attr;
		bool code = attr & BV_SEG_TYPE_CODE;

		good = (attr & BV_SEG_S) && bv_inspection_privileged(emul, &descriptor.seg);
		if (write)
			good = good && !code && (attr & BV_SEG_TYPE_WRITE);
		else
			good = good && (!code || (attr & BV_SEG_TYPE_READ));
	}
	bv_inspection_result(emul, good);
	return BV_EMUL_DONE;
}

/* Which system descriptors LAR and LSL know (APM volume 3); in long mode fewer. */
#define BV_LAR_TYPES 0x1a3eu /* 1 to 5, 9, B, C */
#define BV_LAR_TYPES_LONG 0x1a04u /* 2, 9, B, C */
#define BV_LSL_TYPES 0x0a0eu /* 1 to 3, 9, B */
#define BV_LSL_TYPES_LONG 0x0a04u /* 2, 9, B */

static bool bv_inspection_type(const struct bv_emul *emul, const struct bv_seg *seg, u32 types,
			       u32 types_long)
{
	if (seg->attr & BV_SEG_S)
		return true;
	return (bv_emul_long_mode(emul) ? types_long : types) >> (seg->attr & BV_SEG_TYPE) & 1;
}

enum bv_emul_rc bv_op_lar(struct bv_emul *emul)
{
	struct bv_descriptor descriptor;
	bool good;
	enum bv_emul_rc rc = bv_inspect(emul, &descriptor, &good);

	if (rc)
		return rc;
	good = good && bv_inspection_type(emul, &descriptor.seg, BV_LAR_TYPES, BV_LAR_TYPES_LONG) &&
	       bv_inspection_privileged(emul, &descriptor.seg);
	if (good)
		emul->dst.value = descriptor.low >> 32 & 0x00f0ff00;
	bv_inspection_result(emul, good);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_lsl(struct bv_emul *emul)
{
	struct bv_descriptor descriptor;
	bool good;
	enum bv_emul_rc rc = bv_inspect(emul, &descriptor, &good);

	if (rc)
		return rc;
	good = good && bv_inspection_type(emul, &descriptor.seg, BV_LSL_TYPES, BV_LSL_TYPES_LONG) &&
	       bv_inspection_privileged(emul, &descriptor.seg);
	if (good)
		emul->dst.value = descriptor.seg.limit;
	bv_inspection_result(emul, good);
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_arpl(struct bv_emul *emul)
{
	u64 rpl = emul->src.value & BV_SEL_RPL;
	bool lower = (emul->dst.value & BV_SEL_RPL) < rpl;

	if (lower)
		emul->dst.value = (emul->dst.value & ~(u64)BV_SEL_RPL) | rpl;
	bv_inspection_result(emul, lower);
	return BV_EMUL_DONE;
}
