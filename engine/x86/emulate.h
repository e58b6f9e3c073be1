/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The emulator: performs one guest instruction on registers in an array, with everything else
 * reached through a table of operations. It is used where the hardware cannot go on by itself:
 * accesses to memory that is a device, string I/O, and intercepted instructions whose exit does not
 * say enough.
 *
 * It is stateless. Registers, flags and RIP change only when an instruction (of a REP instruction:
 * a repetition) is complete; with any other outcome they are as before. An instruction that waits
 * for a device in user space is run again from its start; see ioreplay.h.
 *
 * It does not see interrupts, breakpoints or single-step: .trap and .shadow tell the caller what to
 * do.
 */
#ifndef BV_X86_EMULATE_H
#define BV_X86_EMULATE_H

#include "x86/decode.h"
#include "x86/ioreplay.h"
#include "bv/x86.h"

enum bv_emul_rc {
	BV_EMUL_DONE, /* performed: registers, flags and RIP are the new ones */
	BV_EMUL_FAULT, /* .fault is to be injected; nothing else happened */
	BV_EMUL_IO, /* a device's answer is awaited: ioreplay's pending entry */
	BV_EMUL_AGAIN, /* memory changed under a locked access: just enter the guest again */
	BV_EMUL_UNHANDLED, /* not performed: it, or this case of it, is not emulated */
	BV_EMUL_STOP, /* an operation said so: the VM is dead, or the vCPU must leave */
};

/* What an access is for; bits of the .access arguments. */
#define BV_ACCESS_WRITE 0x1u
#define BV_ACCESS_RMW 0x2u /* a read that a write of the same bytes follows: check for both */
#define BV_ACCESS_FETCH 0x4u /* an instruction fetch */
#define BV_ACCESS_IMPLICIT 0x8u /* a descriptor or TSS access: supervisor whatever the CPL */
/* the emulator's own, no matter for the operations: */
#define BV_ACCESS_ALIGNED 0x10u /* never #AC, as misalignment is #GP */
#define BV_ACCESS_UNITS 0x20u /* several elements of insn.size, whose alignment counts */

struct bv_emul;

/*
 * What holds interrupts for one instruction. VT-x tells them apart: STI's goes with RFLAGS.IF
 * alone.
 */
enum bv_irq_shadow {
	BV_SHADOW_NONE,
	BV_SHADOW_MOV_SS, /* POP SS, too */
	BV_SHADOW_STI,
};

/* What SYSCALL and SYSRET go by: the MSRs of these names. */
struct bv_syscall {
	u64 star, lstar, cstar, sfmask;
};

enum bv_fpu_word {
	BV_FPU_CONTROL,
	BV_FPU_STATUS,
};

/*
 * How the emulator reaches the guest. Each returns BV_EMUL_DONE or what the emulator then returns
 * itself; with BV_EMUL_FAULT it has filled in emul->fault (bv_emul_raise() and its kin do both). An
 * operation must not change emul->gpr, .rip, .rflags.
 *
 * An access may cross a page boundary: it must not have changed memory if it then fails. Of an
 * access that lies half in memory and half in a device the device's half comes first: if that
 * waits, the next run must find memory as this one did. The linear address is checked by the
 * emulator for segmentation and canonical form, by the operation for paging.
 *
 * NULL is allowed where "optional" stands: instructions that need it are BV_EMUL_UNHANDLED.
 */
struct bv_emul_ops {
	/*
	 * Up to .size bytes of code, fewer only at the end of a page; the count in *got, at least
	 * 1.
	 */
	enum bv_emul_rc (*fetch)(struct bv_emul *emul, u64 linear, void *buffer, unsigned int size,
				 unsigned int *got);
	/* .size from 1 to 64, for strings to BV_IOREPLAY_BYTES where .probe has said RAM */
	enum bv_emul_rc (*read)(struct bv_emul *emul, u64 linear, void *buffer, unsigned int size,
				unsigned int access);
	enum bv_emul_rc (*write)(struct bv_emul *emul, u64 linear, const void *buffer,
				 unsigned int size, unsigned int access);
	/*
	 * Atomic, size 1, 2, 4, 8 or 16. BV_EMUL_AGAIN: memory was not as in .old. A device is just
	 * written.
	 */
	enum bv_emul_rc (*cmpxchg)(struct bv_emul *emul, u64 linear, const void *old,
				   const void *new, unsigned int size);
	/* Would the access succeed, and is all of it RAM? Touches nothing. Within one page. */
	enum bv_emul_rc (*probe)(struct bv_emul *emul, u64 linear, unsigned int size,
				 unsigned int access, bool *ram);

	/* .size * .count bytes between a port and the buffer */
	enum bv_emul_rc (*port_in)(struct bv_emul *emul, u16 port, unsigned int size,
				   unsigned int count, void *buffer);
	enum bv_emul_rc (*port_out)(struct bv_emul *emul, u16 port, unsigned int size,
				    unsigned int count, const void *buffer);

	/* Cannot fail. */
	void (*seg_get)(struct bv_emul *emul, enum bv_segment seg, struct bv_seg *value);
	void (*seg_set)(struct bv_emul *emul, enum bv_segment seg, const struct bv_seg *value);
	void (*table_get)(struct bv_emul *emul, bool idt, struct bv_desc_table *value);
	void (*table_set)(struct bv_emul *emul, bool idt, const struct bv_desc_table *value);
	void (*cpl_set)(struct bv_emul *emul, unsigned int cpl);

	/* .cr 0, 2, 3, 4, 8; .dr 0 to 7. Writes check the value and raise #GP. Optional. */
	enum bv_emul_rc (*cr_get)(struct bv_emul *emul, unsigned int cr, u64 *value);
	enum bv_emul_rc (*cr_set)(struct bv_emul *emul, unsigned int cr, u64 value);
	enum bv_emul_rc (*dr_get)(struct bv_emul *emul, unsigned int dr, u64 *value);
	enum bv_emul_rc (*dr_set)(struct bv_emul *emul, unsigned int dr, u64 value);
	enum bv_emul_rc (*msr_get)(struct bv_emul *emul, u32 msr, u64 *value);
	enum bv_emul_rc (*msr_set)(struct bv_emul *emul, u32 msr, u64 value);
	void (*syscall_get)(struct bv_emul *emul, struct bv_syscall *value); /* cannot fail */
	enum bv_emul_rc (*pmc_get)(struct bv_emul *emul, u32 counter, u64 *value);
	enum bv_emul_rc (*tsc_get)(struct bv_emul *emul, u64 *tsc, u32 *aux);
	/* regs: eax, ebx, ecx, edx; in: leaf in [0], subleaf in [2] */
	enum bv_emul_rc (*cpuid)(struct bv_emul *emul, u32 regs[4]);

	/*
	 * Vector registers: the low .size bytes, 16 or 32. vec_set() with .zero_rest clears what is
	 * above them (VEX), without keeps it. mmx_get() and mmx_set() raise a pending #MF, and mark
	 * the register in use. Optional.
	 */
	enum bv_emul_rc (*vec_get)(struct bv_emul *emul, unsigned int reg, void *buffer,
				   unsigned int size);
	enum bv_emul_rc (*vec_set)(struct bv_emul *emul, unsigned int reg, const void *buffer,
				   unsigned int size, bool zero_rest);
	enum bv_emul_rc (*mmx_get)(struct bv_emul *emul, unsigned int reg, u64 *value);
	enum bv_emul_rc (*mmx_set)(struct bv_emul *emul, unsigned int reg, u64 value);
	enum bv_emul_rc (*fpu_get)(struct bv_emul *emul, enum bv_fpu_word word, u16 *value);
	enum bv_emul_rc (*fpu_control)(struct bv_emul *emul, u16 control);
	enum bv_emul_rc (*fpu_init)(struct bv_emul *emul); /* FNINIT */
	enum bv_emul_rc (*fpu_emms)(struct bv_emul *emul);
	enum bv_emul_rc (*fpu_check)(struct bv_emul *emul); /* a pending #MF? */

	/* Optional. */
	enum bv_emul_rc (*invlpg)(struct bv_emul *emul, u64 linear);
	enum bv_emul_rc (*wbinvd)(struct bv_emul *emul);
	enum bv_emul_rc (*halt)(struct bv_emul *emul);
};

/* One a vCPU, zeroed once and then kept. */
struct bv_emul {
	/* Set up by the caller; .gpr is the vCPU's own array and is changed in place. */
	u64 *gpr;
	u64 rip;
	u64 rflags;
	u64 cr0;
	u64 cr4;
	u64 efer;
	u8 cpl; /* 3 in virtual 8086 mode */
	u8 code; /* enum bv_code_size: of CS, with EFER.LMA */
	bool amd; /* by CPUID: of two instructions that differ between the vendors, AMD's */
	const struct bv_emul_ops *ops;
	void *owner; /* the caller's */
	struct bv_ioreplay *replay; /* or NULL: emptied when the instruction is complete */
	unsigned int repeat_max; /* repetitions a run, or 0; the rest is left for the next */

	/*
	 * The instruction's bytes where the caller has them (decode assists), and how many; 0
	 * otherwise. bv_emul_run() fetches what is missing, and leaves 0 for the next instruction.
	 */
	u8 bytes_count;
	u8 bytes[BV_INSN_WINDOW] __attribute__((aligned(8)));

	/* Results: after BV_EMUL_FAULT the first, after BV_EMUL_DONE the others. */
	struct bv_fault fault;
	u8 shadow; /* interrupts are held for one instruction: BV_SHADOW_ */
	bool trap; /* TF was set: #DB with DR6.BS is due */
	bool repeats; /* a REP instruction that is not finished: RIP is still at it */

	/*
	 * For the operations, during the run: the instruction has one memory operand and no other
	 * data access, so that the exit's guest physical address belongs to it. See
	 * bv_insn_one_access().
	 */
	bool one_access;

	/*
	 * The instruction at hand. Private, but .insn may be looked at after a run. Both last from
	 * run to run.
	 */
	struct bv_insn insn;
	struct bv_insn_key key;
	struct bv_emul_operand {
		u64 value;
		u64 old; /* as it was read, for a locked write */
		u64 linear;
		u8 size;
		u8 reg;
		bool memory;
	} dst, src;
	u64 next_rip;
	u64 flags; /* RFLAGS as they will be */
	bool skip_write; /* the operation has written, or does not want to */
	bool locked; /* writes to memory are compare and exchange */
};

/* Performs the instruction at .rip. */
enum bv_emul_rc bv_emul_run(struct bv_emul *emul);

/* Fetches and decodes it only: BV_EMUL_DONE, then .insn is valid; or as bv_emul_run(). */
enum bv_emul_rc bv_emul_decode(struct bv_emul *emul);

/* What asks for a task switch. */
enum bv_task_source {
	BV_TASK_CALL,
	BV_TASK_IRET,
	BV_TASK_JMP,
	BV_TASK_GATE, /* an interrupt or exception, by a task gate in the IDT */
};

struct bv_task_switch {
	enum bv_task_source source;
	u16 sel; /* of the new task's TSS; a gate and privileges are checked already */
	bool has_error; /* the exception's error code, for the new task's stack */
	u32 error;
	bool entered; /* result: the new task is there, whether with a fault or not */
};

/*
 * Switches tasks; .rip is where the old one goes on later. BV_EMUL_DONE: .trap says whether the new
 * task wants #DB (DR6.BT). BV_EMUL_FAULT, BV_EMUL_UNHANDLED: .entered tells in which of the two;
 * BV_EMUL_AGAIN only in the old one. Not in long mode, which has no task switches.
 */
enum bv_emul_rc bv_emul_task_switch(struct bv_emul *emul, struct bv_task_switch *what);

/* Fill in .fault, return BV_EMUL_FAULT. */
enum bv_emul_rc bv_emul_raise(struct bv_emul *emul, enum bv_vector vector);
enum bv_emul_rc bv_emul_raise_error(struct bv_emul *emul, enum bv_vector vector, u32 error);
enum bv_emul_rc bv_emul_raise_page(struct bv_emul *emul, u64 linear, u32 error);

static inline bool bv_emul_protected(const struct bv_emul *emul)
{
	return (emul->cr0 & BV_CR0_PE) && !(emul->rflags & BV_RFLAGS_VM);
}

#endif
