// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/*
 * The emulator's string instructions and port accesses.
 *
 * Each repetition is an instruction of its own: it either completes, and rSI, rDI, rCX and the
 * replay log say so, or changes nothing. A run does no more repetitions than repeat_max and leaves
 * the rest, with RIP still at the instruction, so that interrupts get their turn. INS and OUTS move
 * as many elements at a time as lie in one page of plain memory and fit the replay log.
 */
#include "x86/emulate_parts.h"

#define BV_REPEAT_DEFAULT 1024

static u64 bv_string_offset(const struct bv_emul *emul, unsigned int reg)
{
	return bv_gpr_get(emul->gpr, reg, emul->insn.addr_size, true);
}

static void bv_string_advance(struct bv_emul *emul, unsigned int reg, unsigned int bytes)
{
	u64 offset = emul->gpr[reg];

	offset = emul->rflags & BV_RFLAGS_DF ? offset - bytes : offset + bytes;
	bv_gpr_set(emul->gpr, reg, emul->insn.addr_size, true, offset);
}

static bool bv_string_repeats(const struct bv_emul *emul)
{
	return emul->insn.prefixes & (BV_PREFIX_REP | BV_PREFIX_REPNE);
}

/*
 * After .done repetitions, which stay done whatever comes next: counts rCX, keeps the flags of the
 * comparison, and empties the log, as their accesses will not come again.
 */
static void bv_string_count(struct bv_emul *emul, unsigned int done)
{
	if (bv_string_repeats(emul))
		bv_gpr_set(emul->gpr, BV_RCX, emul->insn.addr_size, true, emul->gpr[BV_RCX] - done);
	emul->rflags = emul->flags;
	if (emul->replay)
		bv_ioreplay_reset(emul->replay);
}

/* One element from DS:rSI, or the segment that overrides it. */
static enum bv_emul_rc bv_string_load(struct bv_emul *emul, u64 *value)
{
	*value = 0;
	return bv_emul_read(emul, emul->insn.seg, bv_string_offset(emul, BV_RSI), value,
			    emul->insn.size, 0);
}

static enum bv_emul_rc bv_string_store(struct bv_emul *emul, u64 value)
{
	return bv_emul_write(emul, BV_SEG_ES, bv_string_offset(emul, BV_RDI), &value,
			     emul->insn.size, 0);
}

static enum bv_emul_rc bv_string_load_es(struct bv_emul *emul, u64 *value)
{
	*value = 0;
	return bv_emul_read(emul, BV_SEG_ES, bv_string_offset(emul, BV_RDI), value, emul->insn.size,
			    0);
}

/* --- one repetition of each: .done is how many it was --- */

typedef enum bv_emul_rc bv_string_step(struct bv_emul *emul, unsigned int *done);

static enum bv_emul_rc bv_step_movs(struct bv_emul *emul, unsigned int *done)
{
	u64 value;
	enum bv_emul_rc rc = bv_string_load(emul, &value);

	(void)done;
	if (!rc)
		rc = bv_string_store(emul, value);
	if (rc)
		return rc;
	bv_string_advance(emul, BV_RSI, emul->insn.size);
	bv_string_advance(emul, BV_RDI, emul->insn.size);
	return BV_EMUL_DONE;
}

static enum bv_emul_rc bv_step_stos(struct bv_emul *emul, unsigned int *done)
{
	enum bv_emul_rc rc = bv_string_store(emul, emul->gpr[BV_RAX]);

	(void)done;
	if (!rc)
		bv_string_advance(emul, BV_RDI, emul->insn.size);
	return rc;
}

static enum bv_emul_rc bv_step_lods(struct bv_emul *emul, unsigned int *done)
{
	u64 value;
	enum bv_emul_rc rc = bv_string_load(emul, &value);

	(void)done;
	if (rc)
		return rc;
	bv_gpr_set(emul->gpr, BV_RAX, emul->insn.size, true, value);
	bv_string_advance(emul, BV_RSI, emul->insn.size);
	return BV_EMUL_DONE;
}

static enum bv_emul_rc bv_step_cmps(struct bv_emul *emul, unsigned int *done)
{
	u64 left, right;
	enum bv_emul_rc rc = bv_string_load(emul, &left);

	(void)done;
	if (!rc)
		rc = bv_string_load_es(emul, &right);
	if (rc)
		return rc;
	bv_emul_compare(emul, left, right, emul->insn.size);
	bv_string_advance(emul, BV_RSI, emul->insn.size);
	bv_string_advance(emul, BV_RDI, emul->insn.size);
	return BV_EMUL_DONE;
}

static enum bv_emul_rc bv_step_scas(struct bv_emul *emul, unsigned int *done)
{
	u64 right;
	enum bv_emul_rc rc = bv_string_load_es(emul, &right);

	(void)done;
	if (rc)
		return rc;
	bv_emul_compare(emul, emul->gpr[BV_RAX], right, emul->insn.size);
	bv_string_advance(emul, BV_RDI, emul->insn.size);
	return BV_EMUL_DONE;
}

/*
 * How many elements may move at once between a port and memory at the linear address: one, unless
 * the instruction repeats upwards over plain memory.
 */
static enum bv_emul_rc bv_string_batch(struct bv_emul *emul, unsigned int reg, u64 linear,
				       unsigned int access, unsigned int *count)
{
	unsigned int size = emul->insn.size;
	u64 left = bv_string_offset(emul, BV_RCX), room;
	bool ram = false;
	enum bv_emul_rc rc;

	room = (BV_PAGE_SIZE - (linear & (BV_PAGE_SIZE - 1))) / size;
	/*
	 * the segment's limit has been checked for one element only: batches are for flat segments
	 */
	if (!bv_string_repeats(emul) || (emul->rflags & BV_RFLAGS_DF) || left < 2 || room < 2 ||
	    !emul->ops->probe)
		return BV_EMUL_DONE;
	if (room > BV_IOREPLAY_BYTES / size)
		room = BV_IOREPLAY_BYTES / size;
	if (left > room)
		left = room;
	room = bv_size_mask(emul->insn.addr_size) - bv_string_offset(emul, reg);
	if (left * size > room)
		return BV_EMUL_DONE;
	rc = emul->ops->probe(emul, linear, (unsigned int)left * size, access, &ram);
	if (!rc && ram)
		*count = (unsigned int)left;
	return rc;
}

static enum bv_emul_rc bv_step_ins(struct bv_emul *emul, unsigned int *done)
{
	u64 offset = bv_string_offset(emul, BV_RDI), linear;
	unsigned int count = 1, size = emul->insn.size;
	u8 buffer[BV_IOREPLAY_BYTES / 2];
	enum bv_emul_rc rc;

	rc = bv_emul_linear(emul, BV_SEG_ES, offset, size, BV_ACCESS_WRITE, &linear);
	if (!rc)
		rc = bv_string_batch(emul, BV_RDI, linear, BV_ACCESS_WRITE, &count);
	if (rc)
		return rc;
	if (count > sizeof(buffer) / size)
		count = sizeof(buffer) / size;
	if (count > 1) /* the limit, over the whole */
		rc = bv_emul_linear(emul, BV_SEG_ES, offset, size * count,
				    BV_ACCESS_WRITE | BV_ACCESS_UNITS, &linear);
	if (rc) /* not all of it lies in the segment */
		count = 1;
	rc = emul->ops->port_in(emul, (u16)emul->gpr[BV_RDX], size, count, buffer);
	if (!rc)
		rc = emul->ops->write(emul, linear, buffer, size * count, BV_ACCESS_WRITE);
	if (rc)
		return rc;
	bv_string_advance(emul, BV_RDI, size * count);
	*done = count;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc bv_step_outs(struct bv_emul *emul, unsigned int *done)
{
	u64 offset = bv_string_offset(emul, BV_RSI), linear;
	unsigned int count = 1, size = emul->insn.size, seg = emul->insn.seg;
	u8 buffer[BV_IOREPLAY_BYTES / 2];
	enum bv_emul_rc rc;

	rc = bv_emul_linear(emul, seg, offset, size, 0, &linear);
	if (!rc)
		rc = bv_string_batch(emul, BV_RSI, linear, 0, &count);
	if (rc)
		return rc;
	if (count > sizeof(buffer) / size)
		count = sizeof(buffer) / size;
	if (count > 1)
		rc = bv_emul_linear(emul, seg, offset, size * count, BV_ACCESS_UNITS, &linear);
	if (rc)
		count = 1;
	rc = emul->ops->read(emul, linear, buffer, size * count, 0);
	if (!rc)
		rc = emul->ops->port_out(emul, (u16)emul->gpr[BV_RDX], size, count, buffer);
	if (rc)
		return rc;
	bv_string_advance(emul, BV_RSI, size * count);
	*done = count;
	return BV_EMUL_DONE;
}

/* --- the repetition --- */

/* Leaves the instruction unfinished: the next run, or the guest itself, goes on. */
static void bv_string_pause(struct bv_emul *emul)
{
	emul->repeats = true;
	emul->next_rip = emul->rip;
}

/* Of CMPS and SCAS: does the comparison end the repetition? */
static bool bv_string_ends(const struct bv_emul *emul)
{
	bool zero = emul->flags & BV_RFLAGS_ZF;

	if (emul->insn.row.op != BV_OP_CMPS && emul->insn.row.op != BV_OP_SCAS)
		return false;
	return emul->insn.prefixes & BV_PREFIX_REPNE ? zero : !zero;
}

static enum bv_emul_rc bv_string_repeat(struct bv_emul *emul, bv_string_step *step)
{
	unsigned int left = emul->repeat_max ? emul->repeat_max : BV_REPEAT_DEFAULT;
	enum bv_emul_rc rc;

	if (emul->rflags & BV_RFLAGS_TF)
		left = 1;
	while (bv_string_offset(emul, BV_RCX)) {
		unsigned int done = 1;

		if (!left) {
			bv_string_pause(emul);
			return BV_EMUL_DONE;
		}
		rc = step(emul, &done);
		if (rc)
			return rc;
		bv_string_count(emul, done);
		if (bv_string_ends(emul))
			return BV_EMUL_DONE;
		left -= left < done ? left : done;
	}
	return BV_EMUL_DONE;
}

static enum bv_emul_rc bv_string_run(struct bv_emul *emul, bv_string_step *step)
{
	unsigned int done = 1;

	if (bv_string_repeats(emul))
		return bv_string_repeat(emul, step);
	return step(emul, &done);
}

enum bv_emul_rc bv_op_movs(struct bv_emul *emul)
{
	return bv_string_run(emul, bv_step_movs);
}

enum bv_emul_rc bv_op_cmps(struct bv_emul *emul)
{
	return bv_string_run(emul, bv_step_cmps);
}

enum bv_emul_rc bv_op_stos(struct bv_emul *emul)
{
	return bv_string_run(emul, bv_step_stos);
}

enum bv_emul_rc bv_op_lods(struct bv_emul *emul)
{
	return bv_string_run(emul, bv_step_lods);
}

enum bv_emul_rc bv_op_scas(struct bv_emul *emul)
{
	return bv_string_run(emul, bv_step_scas);
}

/* --- ports --- */

/* The I/O permission bitmap of the TSS (APM volume 2, 12.2.4), read with supervisor rights. */
static enum bv_emul_rc bv_port_bitmap(struct bv_emul *emul, u16 port, unsigned int size)
{
	u16 base, bits, mask = (u16)(((1u << size) - 1) << (port & 7));
	struct bv_seg tr;
	enum bv_emul_rc rc;

	emul->ops->seg_get(emul, BV_SEG_TR, &tr);
	if (!(tr.attr & BV_SEG_P) || (tr.attr & 0x9) != 0x9 || tr.limit < 103)
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	rc = emul->ops->read(emul, tr.base + 102, &base, 2, BV_ACCESS_IMPLICIT);
	if (rc)
		return rc;
	/* two bytes are read, as the ports may lie in both */
	if (base + port / 8u + 1 > tr.limit)
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	rc = emul->ops->read(emul, tr.base + base + port / 8u, &bits, 2, BV_ACCESS_IMPLICIT);
	if (rc)
		return rc;
	return bits & mask ? bv_emul_raise_error(emul, BV_EXC_GP, 0) : BV_EMUL_DONE;
}

enum bv_emul_rc bv_emul_port_check(struct bv_emul *emul, u16 port, unsigned int size)
{
	if (!(emul->cr0 & BV_CR0_PE))
		return BV_EMUL_DONE;
	if (!(emul->rflags & BV_RFLAGS_VM) && bv_emul_iopl_allows(emul))
		return BV_EMUL_DONE;
	return bv_port_bitmap(emul, port, size);
}

static enum bv_emul_rc bv_port_string(struct bv_emul *emul, bv_string_step *step)
{
	enum bv_emul_rc rc;

	if (!emul->ops->port_in || !emul->ops->port_out)
		return BV_EMUL_UNHANDLED;
	rc = bv_emul_port_check(emul, (u16)emul->gpr[BV_RDX], emul->insn.size);
	return rc ? rc : bv_string_run(emul, step);
}

enum bv_emul_rc bv_op_ins(struct bv_emul *emul)
{
	return bv_port_string(emul, bv_step_ins);
}

enum bv_emul_rc bv_op_outs(struct bv_emul *emul)
{
	return bv_port_string(emul, bv_step_outs);
}

static u16 bv_port_number(const struct bv_emul *emul)
{
	return (u16)(emul->insn.row.imm ? emul->insn.imm : emul->gpr[BV_RDX]);
}

enum bv_emul_rc bv_op_in(struct bv_emul *emul)
{
	enum bv_emul_rc rc;

	if (!emul->ops->port_in)
		return BV_EMUL_UNHANDLED;
	rc = bv_emul_port_check(emul, bv_port_number(emul), emul->insn.size);
	emul->dst.value = 0;
	if (!rc)
		rc = emul->ops->port_in(emul, bv_port_number(emul), emul->insn.size, 1,
					&emul->dst.value);
	return rc;
}

enum bv_emul_rc bv_op_out(struct bv_emul *emul)
{
	enum bv_emul_rc rc;

	if (!emul->ops->port_out)
		return BV_EMUL_UNHANDLED;
	rc = bv_emul_port_check(emul, bv_port_number(emul), emul->insn.size);
	if (!rc)
		rc = emul->ops->port_out(emul, bv_port_number(emul), emul->insn.size, 1,
					 &emul->dst.value);
	return rc;
}
