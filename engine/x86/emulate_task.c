// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/*
 * Task switches of protected mode, which one vendor's hardware never makes in a guest.
 *
 * A switch has two parts. First all that can fail while the old task still runs: the new task's
 * descriptor and state are read, the old one's state is written, descriptors are marked. Then the
 * new task is there, with every segment register null, and its segments are loaded one by one: a
 * fault among them is the new task's own, and leaves those that come after it null.
 *
 * Gates and privileges were checked before, by who says that a switch is due.
 *
 * Source: SDM volume 3, 7.2 (structures), 7.3 (the order of things, table 7-1: checks).
 */
#include "x86/emulate_parts.h"

/* Where a field is in a TSS of 32 bits, and in one of 16 bits. */
struct bv_tss_layout {
	u8 bytes; /* of a field */
	u8 size; /* of all of it */
	u8 rip; /* from here on is what a switch saves: RIP, flags, eight registers, segments */
	u8 segments; /* how many */
	u8 ldt;
};

static const struct bv_tss_layout bv_tss32 = { 4, 104, 0x20, 6, 0x60 };
static const struct bv_tss_layout bv_tss16 = { 2, 44, 0x0e, 4, 0x2a };

#define BV_TSS32_CR3 0x1c
#define BV_TSS32_TRAP 0x64
#define BV_TSS_SAVED 64 /* bytes at the most */
#define BV_DR7_LOCAL 0x155u /* breakpoints of one task: L0 to L3, LE */

/* The order of segment registers in a TSS is that of the emulator. */
static const struct bv_tss_layout *bv_tss_layout(const struct bv_seg *seg)
{
	return (seg->attr & BV_SEG_TYPE) >= BV_SYS_TSS ? &bv_tss32 : &bv_tss16;
}

/* --- the old task --- */

/* An IRET goes back to a task that is busy, all else to one that is not. */
static enum bv_emul_rc bv_task_descriptor(struct bv_emul *emul, const struct bv_task_switch *what,
					  struct bv_descriptor *descriptor)
{
	bool back = what->source == BV_TASK_IRET;
	enum bv_vector vector = back ? BV_EXC_TS : BV_EXC_GP;
	const struct bv_seg *seg = &descriptor->seg;
	enum bv_emul_rc rc;
	unsigned int type;

	if (!(what->sel & 0xfffcu) || what->sel & BV_SEL_TI)
		return bv_selector_fault(emul, vector, what->sel);
	rc = bv_descriptor_read(emul, what->sel, vector, descriptor);
	if (rc)
		return rc;
	type = seg->attr & (BV_SEG_S | BV_SEG_TYPE);
	if ((type & ~(BV_SYS_TSS ^ BV_SYS_TSS16)) != (BV_SYS_TSS16 | (back ? BV_TSS_BUSY : 0)))
		return bv_selector_fault(emul, vector, what->sel);
	if (!(seg->attr & BV_SEG_P))
		return bv_selector_fault(emul, BV_EXC_NP, what->sel);
	if (seg->limit + 1u < bv_tss_layout(seg)->size && seg->limit != ~0u)
		return bv_selector_fault(emul, BV_EXC_TS, what->sel);
	return BV_EMUL_DONE;
}

static enum bv_emul_rc bv_task_read(struct bv_emul *emul, const struct bv_seg *seg, u8 *image)
{
	unsigned int size = bv_tss_layout(seg)->size, part = size > 64 ? 64 : size;
	enum bv_emul_rc rc;

	rc = emul->ops->read(emul, seg->base, image, part, BV_ACCESS_IMPLICIT);
	if (!rc && size > part)
		rc = emul->ops->read(emul, seg->base + part, image + part, size - part,
				     BV_ACCESS_IMPLICIT);
	return rc;
}

static enum bv_emul_rc bv_task_save(struct bv_emul *emul, const struct bv_seg *tr, bool back)
{
	const struct bv_tss_layout *layout = bv_tss_layout(tr);
	u64 flags = emul->rflags & ~(back ? BV_RFLAGS_NT : 0);
	u8 image[BV_TSS_SAVED], *to = image;
	struct bv_seg seg;

	bv_bytes_put(to, emul->rip, layout->bytes);
	bv_bytes_put(to += layout->bytes, flags, layout->bytes);
	for (unsigned int reg = BV_RAX; reg <= BV_RDI; reg++)
		bv_bytes_put(to += layout->bytes, emul->gpr[reg], layout->bytes);
	for (unsigned int index = 0; index < layout->segments; index++) {
		emul->ops->seg_get(emul, index, &seg);
		bv_bytes_put(to += layout->bytes, seg.sel, layout->bytes);
	}
	return emul->ops->write(emul, tr->base + layout->rip, image,
				(unsigned int)(to - image) + layout->bytes, BV_ACCESS_IMPLICIT);
}

/* The old task is left for good: it may be entered again. */
static enum bv_emul_rc bv_task_release(struct bv_emul *emul, const struct bv_seg *tr)
{
	struct bv_descriptor descriptor;
	enum bv_emul_rc rc;
	u64 new;

	rc = bv_descriptor_read(emul, tr->sel, BV_EXC_TS, &descriptor);
	if (rc)
		return rc;
	new = descriptor.low & ~((u64)BV_TSS_BUSY << 40);
	return emul->ops->cmpxchg(emul, descriptor.linear, &descriptor.low, &new, 8);
}

static enum bv_emul_rc bv_task_leave(struct bv_emul *emul, const struct bv_task_switch *what,
				     struct bv_descriptor *descriptor, u8 *image)
{
	bool back = what->source == BV_TASK_IRET, jump = what->source == BV_TASK_JMP;
	enum bv_emul_rc rc;
	struct bv_seg tr;
	u8 link[2];

	emul->ops->seg_get(emul, BV_SEG_TR, &tr);
	rc = bv_task_read(emul, &descriptor->seg, image);
	if (!rc)
		rc = bv_task_save(emul, &tr, back);
	if (!rc && !back && !jump) {
		bv_bytes_put(link, tr.sel, sizeof(link));
		rc = emul->ops->write(emul, descriptor->seg.base, link, sizeof(link),
				      BV_ACCESS_IMPLICIT);
	}
	if (!rc && !back)
		rc = bv_descriptor_mark(emul, descriptor, BV_TSS_BUSY);
	if (!rc && (back || jump))
		rc = bv_task_release(emul, &tr);
	return rc;
}

/* --- the new task --- */

static enum bv_emul_rc bv_task_cr3(struct bv_emul *emul, const u8 *image)
{
	if (!(emul->cr0 & BV_CR0_PG))
		return BV_EMUL_DONE;
	return emul->ops->cr_set(emul, 3, bv_bytes_get(image + BV_TSS32_CR3, 4));
}

static enum bv_emul_rc bv_task_control(struct bv_emul *emul, const u8 *image,
				       const struct bv_tss_layout *layout)
{
	enum bv_emul_rc rc;
	u64 dr7;

	emul->cr0 |= BV_CR0_TS;
	rc = emul->ops->cr_set(emul, 0, emul->cr0);
	if (!rc)
		rc = emul->ops->dr_get(emul, 7, &dr7);
	if (!rc && dr7 & BV_DR7_LOCAL)
		rc = emul->ops->dr_set(emul, 7, dr7 & ~(u64)BV_DR7_LOCAL);
	if (!rc && layout == &bv_tss32)
		rc = bv_task_cr3(emul, image);
	return rc;
}

#define BV_TASK_FLAGS                                                                        \
	(BV_FLAGS_ARITHMETIC | BV_RFLAGS_TF | BV_RFLAGS_IF | BV_RFLAGS_DF | BV_RFLAGS_IOPL | \
	 BV_RFLAGS_NT | BV_RFLAGS_RF | BV_RFLAGS_VM | BV_RFLAGS_AC | BV_RFLAGS_VIF |         \
	 BV_RFLAGS_VIP | BV_RFLAGS_ID)

/* Registers of 16 bits leave the upper half of ones of 32 undefined; the first ones set it. */
static void bv_task_registers(struct bv_emul *emul, const struct bv_task_switch *what,
			      const u8 *image, const struct bv_tss_layout *layout)
{
	bool nested = what->source == BV_TASK_CALL || what->source == BV_TASK_GATE;
	u64 upper = layout->bytes == 2 ? 0xffff0000u : 0;
	const u8 *from = image + layout->rip;

	emul->rip = bv_bytes_get(from, layout->bytes);
	from += layout->bytes;
	emul->rflags = (bv_bytes_get(from, layout->bytes) & BV_TASK_FLAGS) | BV_RFLAGS_ONE |
		       (nested ? BV_RFLAGS_NT : 0);
	for (unsigned int reg = BV_RAX; reg <= BV_RDI; reg++)
		emul->gpr[reg] = upper | bv_bytes_get(from += layout->bytes, layout->bytes);
}

static enum bv_emul_rc bv_task_ldt(struct bv_emul *emul, u16 sel)
{
	struct bv_descriptor descriptor;
	enum bv_emul_rc rc;

	if (!(sel & 0xfffcu))
		return BV_EMUL_DONE;
	if (sel & BV_SEL_TI)
		return bv_selector_fault(emul, BV_EXC_TS, sel);
	rc = bv_descriptor_read(emul, sel, BV_EXC_TS, &descriptor);
	if (rc)
		return rc;
	if ((descriptor.seg.attr & (BV_SEG_S | BV_SEG_TYPE)) != BV_SYS_LDT ||
	    !(descriptor.seg.attr & BV_SEG_P))
		return bv_selector_fault(emul, BV_EXC_TS, sel);
	emul->ops->seg_set(emul, BV_SEG_LDTR, &descriptor.seg);
	return BV_EMUL_DONE;
}

static bool bv_task_good_code(const struct bv_seg *seg)
{
	unsigned int dpl = bv_descriptor_dpl(seg), rpl = seg->sel & BV_SEL_RPL;

	if ((seg->attr & (BV_SEG_S | BV_SEG_TYPE_CODE)) != (BV_SEG_S | BV_SEG_TYPE_CODE))
		return false;
	return seg->attr & BV_SEG_TYPE_CONFORMING ? dpl <= rpl : dpl == rpl;
}

static bool bv_task_good(const struct bv_emul *emul, unsigned int index, const struct bv_seg *seg)
{
	if (index == BV_SEG_CS)
		return bv_task_good_code(seg);
	return index == BV_SEG_SS ? bv_segment_good_stack(emul, seg) :
				    bv_segment_good_data(emul, seg);
}

static enum bv_emul_rc bv_task_segment(struct bv_emul *emul, unsigned int index, u16 sel)
{
	struct bv_descriptor descriptor;
	enum bv_emul_rc rc;

	if (!(sel & 0xfffcu))
		return index == BV_SEG_CS || index == BV_SEG_SS ?
			       bv_selector_fault(emul, BV_EXC_TS, sel) :
			       BV_EMUL_DONE;
	rc = bv_descriptor_read(emul, sel, BV_EXC_TS, &descriptor);
	if (rc)
		return rc;
	if (!bv_task_good(emul, index, &descriptor.seg))
		return bv_selector_fault(emul, BV_EXC_TS, sel);
	if (!(descriptor.seg.attr & BV_SEG_P))
		return bv_selector_fault(emul, index == BV_SEG_SS ? BV_EXC_SS : BV_EXC_NP, sel);
	rc = bv_descriptor_mark(emul, &descriptor, BV_SEG_TYPE_ACCESSED);
	/* Another CPU changes it at this moment: the new task is here, and cannot be begun anew. */
	if (rc == BV_EMUL_AGAIN)
		rc = BV_EMUL_UNHANDLED;
	if (!rc)
		emul->ops->seg_set(emul, index, &descriptor.seg);
	return rc;
}

/* The level is that of CS, before there is one: what fails from here on fails at that level. */
static void bv_task_level(struct bv_emul *emul, const u16 *sel)
{
	struct bv_seg seg = { 0 };

	emul->cpl = emul->rflags & BV_RFLAGS_VM ? 3 : sel[BV_SEG_CS] & BV_SEL_RPL;
	emul->ops->seg_set(emul, BV_SEG_LDTR, &seg);
	for (unsigned int index = BV_SEG_ES; index <= BV_SEG_GS; index++) {
		seg.sel = sel[index];
		seg.attr = (u16)(emul->cpl << BV_SEG_DPL_SHIFT);
		emul->ops->seg_set(emul, index, &seg);
	}
}

static enum bv_emul_rc bv_task_segments(struct bv_emul *emul, const u16 *sel, u16 ldt)
{
	static const u8 order[] = {
		BV_SEG_CS, BV_SEG_SS, BV_SEG_ES, BV_SEG_DS, BV_SEG_FS, BV_SEG_GS
	};
	enum bv_emul_rc rc = bv_task_ldt(emul, ldt);
	struct bv_seg cs;

	for (unsigned int at = 0; !rc && at < BV_ARRAY_SIZE(order); at++) {
		if (emul->rflags & BV_RFLAGS_VM)
			rc = bv_emul_segment_load(emul, order[at], sel[order[at]]);
		else
			rc = bv_task_segment(emul, order[at], sel[order[at]]);
	}
	if (rc)
		return rc;
	emul->ops->seg_get(emul, BV_SEG_CS, &cs);
	emul->code = cs.attr & BV_SEG_DB ? BV_CODE32 : BV_CODE16;
	return emul->rip > cs.limit ? bv_emul_raise_error(emul, BV_EXC_GP, 0) : BV_EMUL_DONE;
}

static enum bv_emul_rc bv_task_error_code(struct bv_emul *emul, u32 error, unsigned int bytes)
{
	u64 rsp = emul->gpr[BV_RSP] - bytes;
	enum bv_emul_rc rc;
	u8 pushed[8]; /* the compiler does not know that .bytes is 4 at the most */

	bv_bytes_put(pushed, error, bytes);
	rc = bv_emul_stack_write(emul, rsp, pushed, bytes);
	if (!rc)
		bv_emul_stack_set(emul, rsp);
	return rc;
}

enum bv_emul_rc bv_emul_task_switch(struct bv_emul *emul, struct bv_task_switch *what)
{
	u8 image[104];
	u16 sel[BV_SEG_GS + 1] = { 0 };
	struct bv_descriptor descriptor;
	const struct bv_tss_layout *layout;
	enum bv_emul_rc rc;
	u16 ldt;

	emul->shadow = BV_SHADOW_NONE;
	emul->trap = false;
	what->entered = false;
	if (!(emul->cr0 & BV_CR0_PE) || emul->efer & BV_EFER_LMA)
		return BV_EMUL_UNHANDLED;
	rc = bv_task_descriptor(emul, what, &descriptor);
	if (!rc)
		rc = bv_task_leave(emul, what, &descriptor, image);
	if (rc)
		return rc;
	layout = bv_tss_layout(&descriptor.seg);
	descriptor.seg.attr |= BV_TSS_BUSY;
	emul->ops->seg_set(emul, BV_SEG_TR, &descriptor.seg);
	what->entered = true;
	bv_task_registers(emul, what, image, layout);
	for (unsigned int index = 0; index < layout->segments; index++)
		sel[index] =
			(u16)bv_bytes_get(image + layout->rip + (10 + index) * layout->bytes, 2);
	ldt = (u16)bv_bytes_get(image + layout->ldt, 2);
	bv_task_level(emul, sel);
	rc = bv_task_control(emul, image, layout);
	if (!rc)
		rc = bv_task_segments(emul, sel, ldt);
	if (!rc && what->has_error)
		rc = bv_task_error_code(emul, what->error, layout->bytes);
	emul->trap = !rc && layout == &bv_tss32 && image[BV_TSS32_TRAP] & 1;
	return rc;
}
