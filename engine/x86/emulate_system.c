// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/*
 * The emulator's system instructions. Whether a value may be written to a control register, debug
 * register or MSR is for the operation behind it to say; privilege has been checked by the opcode's
 * row.
 */
#include "x86/emulate_parts.h"

enum bv_emul_rc bv_op_mov_from_cr(struct bv_emul *emul)
{
	if (!emul->ops->cr_get)
		return BV_EMUL_UNHANDLED;
	return emul->ops->cr_get(emul, emul->insn.reg, &emul->dst.value);
}

enum bv_emul_rc bv_op_mov_to_cr(struct bv_emul *emul)
{
	if (!emul->ops->cr_set)
		return BV_EMUL_UNHANDLED;
	return emul->ops->cr_set(emul, emul->insn.reg, emul->src.value);
}

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE is set, then they are #UD (APM volume 2, 13.1.1.2). */
static bool bv_dr_number(const struct bv_emul *emul, unsigned int *dr)
{
	*dr = emul->insn.reg;
	if (*dr == 4 || *dr == 5) {
		if (emul->cr4 & BV_CR4_DE)
			return false;
		*dr += 2;
	}
	return true;
}

enum bv_emul_rc bv_op_mov_from_dr(struct bv_emul *emul)
{
	unsigned int dr;

	if (!bv_dr_number(emul, &dr))
		return bv_emul_raise(emul, BV_EXC_UD);
	if (!emul->ops->dr_get)
		return BV_EMUL_UNHANDLED;
	return emul->ops->dr_get(emul, dr, &emul->dst.value);
}

enum bv_emul_rc bv_op_mov_to_dr(struct bv_emul *emul)
{
	unsigned int dr;

	if (!bv_dr_number(emul, &dr))
		return bv_emul_raise(emul, BV_EXC_UD);
	if (!emul->ops->dr_set)
		return BV_EMUL_UNHANDLED;
	return emul->ops->dr_set(emul, dr, emul->src.value);
}

/* CLI and STI without IOPL: #GP, or with VME or PVI a virtual flag, which is not emulated. */
static enum bv_emul_rc bv_interrupt_flag_denied(struct bv_emul *emul)
{
	if (emul->cr4 & (bv_emul_vm86(emul) ? BV_CR4_VME : BV_CR4_PVI))
		return BV_EMUL_UNHANDLED;
	return bv_emul_raise_error(emul, BV_EXC_GP, 0);
}

enum bv_emul_rc bv_op_cli(struct bv_emul *emul)
{
	if (!bv_emul_iopl_allows(emul))
		return bv_interrupt_flag_denied(emul);
	emul->flags &= ~BV_RFLAGS_IF;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_sti(struct bv_emul *emul)
{
	if (!bv_emul_iopl_allows(emul))
		return bv_interrupt_flag_denied(emul);
	emul->shadow = emul->rflags & BV_RFLAGS_IF ? BV_SHADOW_NONE : BV_SHADOW_STI;
	emul->flags |= BV_RFLAGS_IF;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_hlt(struct bv_emul *emul)
{
	return emul->ops->halt ? emul->ops->halt(emul) : BV_EMUL_UNHANDLED;
}

enum bv_emul_rc bv_op_wbinvd(struct bv_emul *emul)
{
	return emul->ops->wbinvd ? emul->ops->wbinvd(emul) : BV_EMUL_DONE;
}

/* No access takes place: neither limits nor canonical form are checked. */
enum bv_emul_rc bv_op_invlpg(struct bv_emul *emul)
{
	u64 linear = bv_insn_address(&emul->insn, emul->gpr, emul->rip);
	struct bv_seg seg;

	if (!emul->ops->invlpg)
		return BV_EMUL_UNHANDLED;
	if (emul->code != BV_CODE64 || emul->insn.seg >= BV_SEG_FS) {
		emul->ops->seg_get(emul, emul->insn.seg, &seg);
		linear += seg.base;
	}
	return emul->ops->invlpg(emul, emul->code == BV_CODE64 ? linear : (u32)linear);
}

static enum bv_emul_rc bv_cr0_set(struct bv_emul *emul, u64 value)
{
	return emul->ops->cr_set ? emul->ops->cr_set(emul, 0, value) : BV_EMUL_UNHANDLED;
}

enum bv_emul_rc bv_op_clts(struct bv_emul *emul)
{
	return bv_cr0_set(emul, emul->cr0 & ~BV_CR0_TS);
}

enum bv_emul_rc bv_op_smsw(struct bv_emul *emul)
{
	emul->dst.value = emul->cr0;
	return BV_EMUL_DONE;
}

/* Loads PE, MP, EM and TS, but cannot clear PE. */
enum bv_emul_rc bv_op_lmsw(struct bv_emul *emul)
{
	u64 loaded = BV_CR0_PE | BV_CR0_MP | BV_CR0_EM | BV_CR0_TS;
	u64 kept = emul->cr0 & (~loaded | BV_CR0_PE);

	return bv_cr0_set(emul, kept | (emul->src.value & loaded));
}

static bool bv_table_is_idt(const struct bv_emul *emul)
{
	return emul->insn.row.op == BV_OP_SIDT || emul->insn.row.op == BV_OP_LIDT;
}

/* SGDT and SIDT: limit, then base, the operand size regardless. */
enum bv_emul_rc bv_op_sgdt(struct bv_emul *emul)
{
	unsigned int base_size = emul->code == BV_CODE64 ? 8 : 4;
	struct bv_desc_table table;
	enum bv_emul_rc rc;
	u8 image[10];
	u64 linear;

	emul->ops->table_get(emul, bv_table_is_idt(emul), &table);
	bv_bytes_put(image, table.limit, 2);
	bv_bytes_put(image + 2, table.base, base_size);
	rc = bv_emul_modrm(emul, 2 + base_size, BV_ACCESS_WRITE, &linear);
	return rc ? rc : emul->ops->write(emul, linear, image, 2 + base_size, BV_ACCESS_WRITE);
}

/* LGDT and LIDT: with 16-bit operands the base has 24 bits. */
enum bv_emul_rc bv_op_lgdt(struct bv_emul *emul)
{
	unsigned int base_size = emul->code == BV_CODE64 ? 8 : 4;
	struct bv_desc_table table;
	enum bv_emul_rc rc;
	u8 image[10];
	u64 linear;

	rc = bv_emul_modrm(emul, 2 + base_size, 0, &linear);
	if (!rc)
		rc = emul->ops->read(emul, linear, image, 2 + base_size, 0);
	if (rc)
		return rc;
	table.limit = (u16)bv_bytes_get(image, 2);
	table.base = bv_bytes_get(image + 2, base_size);
	if (emul->code != BV_CODE64 && emul->insn.op_size == 2)
		table.base &= 0xffffff;
	if (emul->code == BV_CODE64 && !bv_emul_canonical(emul, table.base))
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	emul->ops->table_set(emul, bv_table_is_idt(emul), &table);
	return BV_EMUL_DONE;
}

/* --- CPUID, MSRs and counters: 32-bit halves in rAX and rDX --- */

static void bv_halves_set(struct bv_emul *emul, u64 value)
{
	emul->gpr[BV_RAX] = (u32)value;
	emul->gpr[BV_RDX] = value >> 32;
}

enum bv_emul_rc bv_op_cpuid(struct bv_emul *emul)
{
	u32 regs[4] = { (u32)emul->gpr[BV_RAX], (u32)emul->gpr[BV_RBX], (u32)emul->gpr[BV_RCX],
			(u32)emul->gpr[BV_RDX] };
	enum bv_emul_rc rc;

	if (!emul->ops->cpuid)
		return BV_EMUL_UNHANDLED;
	rc = emul->ops->cpuid(emul, regs);
	if (rc)
		return rc;
	emul->gpr[BV_RAX] = regs[0];
	emul->gpr[BV_RBX] = regs[1];
	emul->gpr[BV_RCX] = regs[2];
	emul->gpr[BV_RDX] = regs[3];
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_rdmsr(struct bv_emul *emul)
{
	enum bv_emul_rc rc;
	u64 value;

	if (!emul->ops->msr_get)
		return BV_EMUL_UNHANDLED;
	rc = emul->ops->msr_get(emul, (u32)emul->gpr[BV_RCX], &value);
	if (!rc)
		bv_halves_set(emul, value);
	return rc;
}

enum bv_emul_rc bv_op_wrmsr(struct bv_emul *emul)
{
	u64 value = (u32)emul->gpr[BV_RAX] | emul->gpr[BV_RDX] << 32;

	if (!emul->ops->msr_set)
		return BV_EMUL_UNHANDLED;
	return emul->ops->msr_set(emul, (u32)emul->gpr[BV_RCX], value);
}

enum bv_emul_rc bv_op_rdtsc(struct bv_emul *emul)
{
	enum bv_emul_rc rc;
	u64 tsc;
	u32 aux;

	if ((emul->cr4 & BV_CR4_TSD) && emul->cpl)
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	if (!emul->ops->tsc_get)
		return BV_EMUL_UNHANDLED;
	rc = emul->ops->tsc_get(emul, &tsc, &aux);
	if (rc)
		return rc;
	bv_halves_set(emul, tsc);
	if (emul->insn.opcode != 0x31) /* RDTSCP */
		emul->gpr[BV_RCX] = aux;
	return BV_EMUL_DONE;
}

enum bv_emul_rc bv_op_rdpmc(struct bv_emul *emul)
{
	enum bv_emul_rc rc;
	u64 value;

	if (!(emul->cr4 & BV_CR4_PCE) && emul->cpl)
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	if (!emul->ops->pmc_get)
		return BV_EMUL_UNHANDLED;
	rc = emul->ops->pmc_get(emul, (u32)emul->gpr[BV_RCX], &value);
	if (!rc)
		bv_halves_set(emul, value);
	return rc;
}

#define BV_MSR_KERNEL_GS_BASE 0xc0000102u

/* The row stands for all of 0F 01 /7 with a register: F8 is SWAPGS, F9 RDTSCP. */
enum bv_emul_rc bv_op_swapgs(struct bv_emul *emul)
{
	struct bv_seg gs;
	enum bv_emul_rc rc;
	u64 base;

	if (emul->insn.modrm == 0xf9)
		return bv_op_rdtsc(emul);
	if (emul->insn.modrm != 0xf8)
		return BV_EMUL_UNHANDLED;
	if (emul->code != BV_CODE64)
		return bv_emul_raise(emul, BV_EXC_UD);
	if (emul->cpl)
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	if (!emul->ops->msr_get || !emul->ops->msr_set)
		return BV_EMUL_UNHANDLED;
	emul->ops->seg_get(emul, BV_SEG_GS, &gs);
	rc = emul->ops->msr_get(emul, BV_MSR_KERNEL_GS_BASE, &base);
	if (!rc)
		rc = emul->ops->msr_set(emul, BV_MSR_KERNEL_GS_BASE, gs.base);
	if (rc)
		return rc;
	gs.base = base;
	emul->ops->seg_set(emul, BV_SEG_GS, &gs);
	return BV_EMUL_DONE;
}

/*
 * Group 15 from 5 on. With a register: the fences. With memory: CLFLUSH, CLFLUSHOPT, CLWB, for
 * which there is nothing to do beyond checking the address; XRSTOR and XSAVEOPT are not emulated.
 */
enum bv_emul_rc bv_op_cache_line(struct bv_emul *emul)
{
	unsigned int which = emul->insn.reg & 7;
	enum bv_emul_rc rc;
	u64 linear;
	bool ram;

	if (emul->insn.prefixes & (BV_PREFIX_REP | BV_PREFIX_REPNE))
		return BV_EMUL_UNHANDLED;
	if (emul->insn.mod == 3)
		return emul->insn.prefixes & BV_PREFIX_66 ? BV_EMUL_UNHANDLED : BV_EMUL_DONE;
	if (which == 5 || (which == 6 && !(emul->insn.prefixes & BV_PREFIX_66)))
		return BV_EMUL_UNHANDLED;
	rc = bv_emul_modrm(emul, 1, 0, &linear);
	if (rc || !emul->ops->probe)
		return rc;
	return emul->ops->probe(emul, linear, 1, 0, &ram);
}
