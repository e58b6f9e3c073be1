/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * What the emulator's files share; nobody else includes this. The files, by family of instructions:
 *
 *	emulate.c		fetch, checks, operands, commit; memory with segmentation; dispatch
 *	emulate_alu.c		arithmetic, logic, shifts, bits, moves between registers
 *	emulate_multiply.c	MUL, DIV, decimal adjustments
 *	emulate_stack.c		PUSH, POP, near CALL, JMP, RET, ENTER, LEAVE, flags
 *	emulate_segment.c	segment registers, far transfers, IRET, descriptor inspection
 *	emulate_task.c		task switches, which are no instruction's own
 *	emulate_string.c	string instructions and ports
 *	emulate_system.c	control and debug registers, tables, MSRs, CPUID, HLT
 *	emulate_vector.c	SSE, AVX and MMX moves, a little x87
 *
 * An operation (bv_op_*) gets its operands in emul->dst and emul->src, leaves the result in
 * dst.value, flags in emul->flags and another RIP in emul->next_rip. It may change general
 * registers only when nothing can fail any more: if it has to write memory too, it calls
 * bv_emul_write_back() first.
 */
#ifndef BV_X86_EMULATE_PARTS_H
#define BV_X86_EMULATE_PARTS_H

#include "x86/bytes.h"
#include "x86/emulate.h"

#define BV_FLAGS_ARITHMETIC \
	(BV_RFLAGS_CF | BV_RFLAGS_PF | BV_RFLAGS_AF | BV_RFLAGS_ZF | BV_RFLAGS_SF | BV_RFLAGS_OF)

typedef enum bv_emul_rc bv_emul_operation(struct bv_emul *emul);

/* Memory by segment and offset, with all checks of segmentation. */
enum bv_emul_rc bv_emul_linear(struct bv_emul *emul, unsigned int seg, u64 offset,
			       unsigned int size, unsigned int access, u64 *linear);
enum bv_emul_rc bv_emul_read(struct bv_emul *emul, unsigned int seg, u64 offset, void *buffer,
			     unsigned int size, unsigned int access);
enum bv_emul_rc bv_emul_write(struct bv_emul *emul, unsigned int seg, u64 offset,
			      const void *buffer, unsigned int size, unsigned int access);

/* Linear address of the ModRM operand, for operations that reach it themselves. */
enum bv_emul_rc bv_emul_modrm(struct bv_emul *emul, unsigned int size, unsigned int access,
			      u64 *linear);

/* Writes .dst where it belongs, with the LOCK prefix as a compare and exchange against dst.old. */
enum bv_emul_rc bv_emul_write_back(struct bv_emul *emul);

bool bv_emul_canonical(const struct bv_emul *emul, u64 address);

/* Gives next_rip the value, cut to the operand size and checked. */
enum bv_emul_rc bv_emul_jump(struct bv_emul *emul, u64 target);

/* The stack, at the offset .rsp, which wraps as SS says. Several elements are one access. */
unsigned int bv_emul_stack_size(struct bv_emul *emul);
enum bv_emul_rc bv_emul_stack_read(struct bv_emul *emul, u64 rsp, void *buffer, unsigned int size);
enum bv_emul_rc bv_emul_stack_write(struct bv_emul *emul, u64 rsp, const void *buffer,
				    unsigned int size);
void bv_emul_stack_set(struct bv_emul *emul, u64 rsp);

enum bv_emul_rc bv_emul_push(struct bv_emul *emul, u64 value, unsigned int size);

/* Loads a segment register as MOV and POP do; nothing changes on a fault. */
enum bv_emul_rc bv_emul_segment_load(struct bv_emul *emul, unsigned int seg, u16 sel);

struct bv_descriptor {
	u64 low;
	u64 high; /* of a system descriptor in long mode */
	u64 linear; /* where it was read */
	struct bv_seg seg; /* as it would be loaded */
};

#define BV_TSS_BUSY 0x2u /* in the type of a TSS's descriptor */

/* Raises a fault whose error code names a selector. */
enum bv_emul_rc bv_selector_fault(struct bv_emul *emul, enum bv_vector vector, u16 sel);
/* Finds and reads the descriptor of a selector that is not null; .vector if there is none. */
enum bv_emul_rc bv_descriptor_read(struct bv_emul *emul, u16 sel, enum bv_vector vector,
				   struct bv_descriptor *descriptor);
/* Sets bits in the type of a descriptor in memory, accessed or busy. */
enum bv_emul_rc bv_descriptor_mark(struct bv_emul *emul, struct bv_descriptor *descriptor,
				   u16 bits);

/* May the level at hand load SS, or another data segment register, with this? */
bool bv_segment_good_stack(const struct bv_emul *emul, const struct bv_seg *seg);
bool bv_segment_good_data(const struct bv_emul *emul, const struct bv_seg *seg);

static inline unsigned int bv_descriptor_dpl(const struct bv_seg *seg)
{
	return (seg->attr & BV_SEG_DPL) >> BV_SEG_DPL_SHIFT;
}

/* May the code at hand reach .size ports from this one? */
enum bv_emul_rc bv_emul_port_check(struct bv_emul *emul, u16 port, unsigned int size);

/* May IF be changed, and do PUSHF and the like work, at this privilege? */
static inline bool bv_emul_iopl_allows(const struct bv_emul *emul)
{
	return emul->cpl <= ((emul->rflags & BV_RFLAGS_IOPL) >> BV_RFLAGS_IOPL_SHIFT);
}

static inline bool bv_emul_vm86(const struct bv_emul *emul)
{
	return (emul->rflags & BV_RFLAGS_VM) && (emul->cr0 & BV_CR0_PE);
}

static inline u64 bv_size_mask(unsigned int size)
{
	return ~0ULL >> (64 - size * 8);
}

static inline u64 bv_sign_extend(u64 value, unsigned int size)
{
	unsigned int spare = 64 - size * 8;

	return (u64)((s64)(value << spare) >> spare);
}

static inline u64 bv_emul_gpr(const struct bv_emul *emul, unsigned int reg, unsigned int size)
{
	return bv_gpr_get(emul->gpr, reg, size, emul->insn.prefixes & BV_PREFIX_REX);
}

static inline void bv_emul_gpr_set(struct bv_emul *emul, unsigned int reg, unsigned int size,
				   u64 value)
{
	bv_gpr_set(emul->gpr, reg, size, emul->insn.prefixes & BV_PREFIX_REX, value);
}

static inline void bv_emul_flags(struct bv_emul *emul, u64 mask, u64 bits)
{
	emul->flags = (emul->flags & ~mask) | (bits & mask);
}

/* The condition of Jcc, SETcc and CMOVcc: the low four bits of the opcode. */
bool bv_emul_condition(const struct bv_emul *emul);

/* Sets the arithmetic flags of left - right. */
void bv_emul_compare(struct bv_emul *emul, u64 left, u64 right, unsigned int size);

bv_emul_operation bv_op_add, bv_op_or, bv_op_adc, bv_op_sbb, bv_op_and, bv_op_sub, bv_op_xor,
	bv_op_cmp, bv_op_rol, bv_op_ror, bv_op_rcl, bv_op_rcr, bv_op_shl, bv_op_shr, bv_op_sar,
	bv_op_test, bv_op_not, bv_op_neg, bv_op_inc, bv_op_dec, bv_op_mov, bv_op_movsx, bv_op_movbe,
	bv_op_bswap, bv_op_lea, bv_op_xchg, bv_op_xadd, bv_op_cmpxchg, bv_op_cmpxchg8b, bv_op_cmov,
	bv_op_setcc, bv_op_bt, bv_op_bts, bv_op_btr, bv_op_btc, bv_op_bsf, bv_op_bsr, bv_op_tzcnt,
	bv_op_lzcnt, bv_op_popcnt, bv_op_shld, bv_op_shrd, bv_op_cbw, bv_op_cwd, bv_op_lahf,
	bv_op_sahf, bv_op_clc, bv_op_stc, bv_op_cmc, bv_op_cld, bv_op_std, bv_op_salc, bv_op_xlat,
	bv_op_nop;

bv_emul_operation bv_op_mul, bv_op_imul_wide, bv_op_div, bv_op_idiv, bv_op_imul, bv_op_daa,
	bv_op_das, bv_op_aaa, bv_op_aas, bv_op_aam, bv_op_aad;

bv_emul_operation bv_op_push, bv_op_pop, bv_op_pusha, bv_op_popa, bv_op_pushf, bv_op_popf,
	bv_op_enter, bv_op_leave, bv_op_call, bv_op_jmp, bv_op_jcc, bv_op_ret, bv_op_loop,
	bv_op_jcxz;

bv_emul_operation bv_op_push_seg, bv_op_pop_seg, bv_op_call_far, bv_op_jmp_far, bv_op_ret_far,
	bv_op_iret, bv_op_int, bv_op_into, bv_op_bound, bv_op_mov_from_seg, bv_op_mov_to_seg,
	bv_op_load_far, bv_op_sldt, bv_op_str, bv_op_lldt, bv_op_ltr, bv_op_verr, bv_op_lar,
	bv_op_lsl, bv_op_arpl;

bv_emul_operation bv_op_movs, bv_op_cmps, bv_op_stos, bv_op_lods, bv_op_scas, bv_op_ins, bv_op_outs,
	bv_op_in, bv_op_out;

bv_emul_operation bv_op_mov_from_cr, bv_op_mov_to_cr, bv_op_mov_from_dr, bv_op_mov_to_dr, bv_op_cli,
	bv_op_sti, bv_op_hlt, bv_op_clts, bv_op_wbinvd, bv_op_invlpg, bv_op_sgdt, bv_op_lgdt,
	bv_op_smsw, bv_op_lmsw, bv_op_cpuid, bv_op_rdmsr, bv_op_wrmsr, bv_op_rdtsc, bv_op_rdpmc,
	bv_op_swapgs, bv_op_syscall, bv_op_sysret, bv_op_cache_line;

bv_emul_operation bv_op_vec_load, bv_op_vec_store, bv_op_vec_load_zero, bv_op_vec_store_low,
	bv_op_vec_movs, bv_op_vec_store_s, bv_op_vec_load_half, bv_op_vec_store_hi,
	bv_op_vec_from_gpr, bv_op_vec_to_gpr, bv_op_mmx_load, bv_op_mmx_store, bv_op_mmx_from_gpr,
	bv_op_mmx_to_gpr, bv_op_emms, bv_op_fpu, bv_op_fwait;

#endif
