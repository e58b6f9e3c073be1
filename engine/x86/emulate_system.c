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

/* --- SYSCALL and SYSRET: APM volume 3; where Intel's differ, SDM volume 2 --- */

#define BV_FLAGS_SYSRET                                                                      \
	(BV_FLAGS_ARITHMETIC | BV_RFLAGS_TF | BV_RFLAGS_IF | BV_RFLAGS_DF | BV_RFLAGS_IOPL | \
	 BV_RFLAGS_NT | BV_RFLAGS_AC | BV_RFLAGS_VIF | BV_RFLAGS_VIP | BV_RFLAGS_ID)

#define BV_SEG_FLAT (BV_SEG_P | BV_SEG_S | BV_SEG_G)
#define BV_SEG_FLAT_CODE (BV_SEG_FLAT | BV_SEG_TYPE_CODE | BV_SEG_TYPE_READ | BV_SEG_TYPE_ACCESSED)
#define BV_SEG_FLAT_STACK (BV_SEG_FLAT | BV_SEG_TYPE_WRITE | BV_SEG_TYPE_ACCESSED | BV_SEG_DB)

static void bv_flat_set(struct bv_emul *emul, enum bv_segment seg, u16 sel, u16 attr)
{
	const struct bv_seg value = { .sel = sel, .attr = attr, .limit = ~0u };

	emul->ops->seg_set(emul, seg, &value);
}

static void bv_flat_code_set(struct bv_emul *emul, u16 sel, bool wide, unsigned int cpl)
{
	emul->code = wide ? BV_CODE64 : BV_CODE32;
	bv_flat_set(emul, BV_SEG_CS, sel,
		    BV_SEG_FLAT_CODE | (wide ? BV_SEG_L : BV_SEG_DB) | cpl << BV_SEG_DPL_SHIFT);
}

/* Intel's are there in 64-bit code alone. */
static bool bv_syscall_is_there(const struct bv_emul *emul)
{
	return emul->efer & BV_EFER_SCE && (emul->amd || emul->code == BV_CODE64);
}

/* Outside of long mode only VM and IF change, and the target is 32-bit code. */
enum bv_emul_rc bv_op_syscall(struct bv_emul *emul)
{
	bool wide = emul->efer & BV_EFER_LMA;
	struct bv_syscall regs;
	u64 next = emul->next_rip;
	u16 sel;

	if (!bv_syscall_is_there(emul))
		return bv_emul_raise(emul, BV_EXC_UD);
	if (!emul->ops->syscall_get)
		return BV_EMUL_UNHANDLED;
	emul->ops->syscall_get(emul, &regs);
	emul->gpr[BV_RCX] = emul->code == BV_CODE64 ? next : (u32)next;
	if (wide) {
		emul->gpr[BV_R11] = emul->flags & ~BV_RFLAGS_RF;
		emul->flags = (emul->flags & ~regs.sfmask) | BV_RFLAGS_ONE;
		emul->next_rip = emul->code == BV_CODE64 ? regs.lstar : regs.cstar;
	} else {
		emul->flags &= ~(BV_RFLAGS_VM | BV_RFLAGS_IF);
		emul->next_rip = (u32)regs.star;
	}
	sel = (u16)(regs.star >> 32);
	bv_flat_code_set(emul, sel & 0xfffc, wide, 0);
	bv_flat_set(emul, BV_SEG_SS, (u16)(sel + 8), BV_SEG_FLAT_STACK);
	return BV_EMUL_DONE;
}

/* AMD's SYSRET changes nothing of SS but the selector, and the level, which is kept in it here. */
static void bv_sysret_stack_set(struct bv_emul *emul, u16 sel)
{
	struct bv_seg ss;

	if (!emul->amd) {
		bv_flat_set(emul, BV_SEG_SS, sel | 3, BV_SEG_FLAT_STACK | BV_SEG_DPL);
		return;
	}
	emul->ops->seg_get(emul, BV_SEG_SS, &ss);
	ss.sel = sel;
	ss.attr |= BV_SEG_DPL;
	emul->ops->seg_set(emul, BV_SEG_SS, &ss);
}

/*
 * A target that is not canonical AMD's jumps to all the same, to a #GP there; no vendor's hardware
 * is entered so.
 */
enum bv_emul_rc bv_op_sysret(struct bv_emul *emul)
{
	bool from64 = emul->code == BV_CODE64, to64 = from64 && emul->insn.op_size == 8;
	u64 target = to64 ? emul->gpr[BV_RCX] : (u32)emul->gpr[BV_RCX];
	struct bv_syscall regs;
	u16 sel;

	if (!bv_syscall_is_there(emul))
		return bv_emul_raise(emul, BV_EXC_UD);
	if (!bv_emul_protected(emul) || emul->cpl || !bv_emul_canonical(emul, target))
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	if (!emul->ops->syscall_get)
		return BV_EMUL_UNHANDLED;
	emul->ops->syscall_get(emul, &regs);
	if (from64)
		emul->flags = (emul->gpr[BV_R11] & BV_FLAGS_SYSRET) | BV_RFLAGS_ONE;
	else
		emul->flags |= BV_RFLAGS_IF;
	emul->next_rip = target;
	sel = (u16)(regs.star >> 48);
	bv_flat_code_set(emul, (u16)(to64 ? sel + 16 : sel) | 3, to64, 3);
	bv_sysret_stack_set(emul, (u16)(sel + 8));
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
