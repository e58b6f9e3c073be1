// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The emulator against the processor that runs the tests. Each form of an instruction is built many
 * times with random operands, prefixes, addressing and flags, executed here by the processor itself
 * and then, from the same state, by the emulator. Registers, flags, memory, RIP and faults have to
 * agree, but for flags that the manuals leave undefined. Only what user code in 64-bit mode may try
 * can be compared so; emulate_modes.c has the rest.
 *
 * The seed is fixed. With EMUL_ROUNDS in the environment each form is tried that often.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "emul_guest.h"
#include "test.h"

/*
 * All below 2 GiB, so that 32-bit displacements and addresses reach it, amid address space that is
 * reserved.
 */
#define RESERVED 0x10000000ul
#define RESERVED_SIZE 0x60000000ul
#define CODE 0x20000000ul
#define CODE_SIZE 0x1000ul
#define CONTROL 0x20010000ul
#define DATA 0x20020000ul
#define DATA_SIZE 0x2000ul
#define OTHER_EXIT 0x80 /* offset in CODE of the place where branches go */

/* What the trampoline loads and stores; it knows the offsets. */
struct native {
	u64 gpr[16]; /* 0 */
	u64 rflags; /* 128 */
	u64 code; /* 136 */
	u64 host_rsp; /* 144 */
	u64 use_vec; /* 152 */
	u64 mmx[8]; /* 160 */
	u8 vec[16][32]; /* 224 */
	u64 trap; /* 736 */
	u64 fault_rip;
	u64 fault_rsp;
	u64 error;
	u64 cr2;
};

BV_STATIC_ASSERT(offsetof(struct native, vec) == 224);

struct native native_state __attribute__((aligned(64)));
void native_enter(void);
void native_exit(void);

__asm__(".text\n"
	".globl native_enter, native_exit\n"
	"native_enter:\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"lea native_state(%rip), %rax\n"
	"mov %rsp, 144(%rax)\n"
	"cmpq $0, 152(%rax); je 1f\n"
	".altmacro\n"
	".macro vec_load n\n vmovdqu 224+32*\\n(%rax), %ymm\\n\n .endm\n"
	".macro vec_store n\n vmovdqu %ymm\\n, 224+32*\\n(%rax)\n .endm\n"
	".macro mmx_load n\n movq 160+8*\\n(%rax), %mm\\n\n .endm\n"
	".macro mmx_store n\n movq %mm\\n, 160+8*\\n(%rax)\n .endm\n"
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n vec_load \\n\n .endr\n"
	".irp n,0,1,2,3,4,5,6,7\n mmx_load \\n\n .endr\n"
	"1: pushq 128(%rax); popfq\n"
	"mov 8(%rax), %rcx; mov 16(%rax), %rdx; mov 24(%rax), %rbx; mov 32(%rax), %rsp\n"
	"mov 40(%rax), %rbp; mov 48(%rax), %rsi; mov 56(%rax), %rdi\n"
	"mov 64(%rax), %r8; mov 72(%rax), %r9; mov 80(%rax), %r10; mov 88(%rax), %r11\n"
	"mov 96(%rax), %r12; mov 104(%rax), %r13; mov 112(%rax), %r14; mov 120(%rax), %r15\n"
	"mov (%rax), %rax\n"
	"jmp *native_state+136(%rip)\n"
	"native_exit:\n"
	"mov %rax, native_state(%rip)\n"
	"lea native_state(%rip), %rax\n"
	"mov %rcx, 8(%rax); mov %rdx, 16(%rax); mov %rbx, 24(%rax); mov %rsp, 32(%rax)\n"
	"mov %rbp, 40(%rax); mov %rsi, 48(%rax); mov %rdi, 56(%rax)\n"
	"mov %r8, 64(%rax); mov %r9, 72(%rax); mov %r10, 80(%rax); mov %r11, 88(%rax)\n"
	"mov %r12, 96(%rax); mov %r13, 104(%rax); mov %r14, 112(%rax); mov %r15, 120(%rax)\n"
	"mov 144(%rax), %rsp\n"
	"pushfq; popq 128(%rax)\n"
	"pushq $2; popfq\n"
	"cmpq $0, 152(%rax); je 1f\n"
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n vec_store \\n\n .endr\n"
	".irp n,0,1,2,3,4,5,6,7\n mmx_store \\n\n .endr\n"
	"emms; vzeroupper\n"
	"1: pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"ret\n");

/*
 * A fault ends the run as the exit stub does, with the registers as they were at the fault. But for
 * rSP: there are processors whose IRET checks that it is canonical, and the way back is an IRET.
 */
__attribute__((no_sanitize("address", "undefined"))) static void
native_fault(int signal, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)signal;
	(void)info;
	__asm__ volatile("pushfq; andq $~0x40000, (%%rsp); popfq" ::: "cc", "memory");
	native_state.trap = (u64)regs[REG_TRAPNO] + 1;
	native_state.error = (u64)regs[REG_ERR];
	native_state.cr2 = (u64)regs[REG_CR2];
	native_state.fault_rip = (u64)regs[REG_RIP];
	native_state.fault_rsp = (u64)regs[REG_RSP];
	regs[REG_RSP] = (greg_t)native_state.host_rsp;
	regs[REG_RIP] = (greg_t)(uintptr_t)native_exit;
	regs[REG_EFL] &= ~(greg_t)BV_RFLAGS_TF; /* which a POPF may have set */
}

/* --- the forms --- */

#define AR BV_FLAGS_ALL
#define BV_FLAGS_ALL \
	(BV_RFLAGS_CF | BV_RFLAGS_PF | BV_RFLAGS_AF | BV_RFLAGS_ZF | BV_RFLAGS_SF | BV_RFLAGS_OF)
#define AF BV_RFLAGS_AF
#define NOT_CF_OF (BV_RFLAGS_PF | BV_RFLAGS_AF | BV_RFLAGS_ZF | BV_RFLAGS_SF)
#define NOT_ZF (BV_FLAGS_ALL & ~BV_RFLAGS_ZF)
#define NOT_ZF_CF (BV_FLAGS_ALL & ~(BV_RFLAGS_ZF | BV_RFLAGS_CF))
#define NOT_CF_ZF_BT (BV_FLAGS_ALL & ~(BV_RFLAGS_CF | BV_RFLAGS_ZF))

enum {
	F_NO_MODRM = 1 << 0,
	F_MEM = 1 << 1, /* memory operand only */
	F_REG = 1 << 2,
	F_LOCKS = 1 << 3, /* LOCK is worth trying */
	F_BITS = 1 << 4, /* the reg operand is a bit number */
	F_SHIFT = 1 << 5, /* OF defined for a count of 1 only */
	F_DOUBLE = 1 << 6, /* 16-bit form: count at most 16 */
	F_NO_66 = 1 << 7,
	F_NO_W = 1 << 8,
	F_VEC = 1 << 9,
	F_STRING = 1 << 10,
	F_BRANCH = 1 << 11, /* the immediate is a displacement */
	F_STACK = 1 << 12, /* rSP points to memory */
	F_TARGET = 1 << 13, /* the operand should be a good address to go to */
	F_DIVIDE = 1 << 14, /* make quotients that fit likely */
	F_ENTER = 1 << 15,
	F_MOFFS = 1 << 16,
	F_RBP = 1 << 17, /* rBP points to memory */
	F_VEX = 1 << 18, /* has a VEX form */
	F_XLAT = 1 << 19,
	F_POPF = 1 << 20,
	F_ORDER = 1 << 21, /* of two faults either may come first */
	F_UNALIGNED = 1 << 22, /* moves 16 bytes or more from and to any address */
};

struct form {
	const char *name;
	u8 prefix; /* mandatory */
	u8 map; /* 0, 1 for 0F, 2 for 0F38 */
	u8 opcode;
	s8 reg; /* ModRM.reg, or -1 */
	char imm; /* 0, 'b', 'w', 'z', 'v' */
	u64 undefined;
	u32 flags;
};

#define ALU_FORMS(name, at, digit, lock)                                  \
	{ name " Eb,Gb", 0, 0, at, -1, 0, 0, lock },                      \
		{ name " Ev,Gv", 0, 0, at + 1, -1, 0, 0, lock },          \
		{ name " Gb,Eb", 0, 0, at + 2, -1, 0, 0, 0 },             \
		{ name " Gv,Ev", 0, 0, at + 3, -1, 0, 0, 0 },             \
		{ name " AL,Ib", 0, 0, at + 4, -1, 'b', 0, F_NO_MODRM },  \
		{ name " rAX,Iz", 0, 0, at + 5, -1, 'z', 0, F_NO_MODRM }, \
		{ name " Eb,Ib", 0, 0, 0x80, digit, 'b', 0, lock },       \
		{ name " Ev,Iz", 0, 0, 0x81, digit, 'z', 0, lock },       \
	{                                                                 \
		name " Ev,Ib", 0, 0, 0x83, digit, 'b', 0, lock            \
	}

#define ALU_LOGIC(name, at, digit)                                         \
	{ name " Eb,Gb", 0, 0, at, -1, 0, AF, F_LOCKS },                   \
		{ name " Ev,Gv", 0, 0, at + 1, -1, 0, AF, F_LOCKS },       \
		{ name " Gb,Eb", 0, 0, at + 2, -1, 0, AF, 0 },             \
		{ name " Gv,Ev", 0, 0, at + 3, -1, 0, AF, 0 },             \
		{ name " AL,Ib", 0, 0, at + 4, -1, 'b', AF, F_NO_MODRM },  \
		{ name " rAX,Iz", 0, 0, at + 5, -1, 'z', AF, F_NO_MODRM }, \
		{ name " Eb,Ib", 0, 0, 0x80, digit, 'b', AF, F_LOCKS },    \
		{ name " Ev,Iz", 0, 0, 0x81, digit, 'z', AF, F_LOCKS },    \
	{                                                                  \
		name " Ev,Ib", 0, 0, 0x83, digit, 'b', AF, F_LOCKS         \
	}

#define SHIFT_FORMS(name, digit, undefined)                                    \
	{ name " Eb,Ib", 0, 0, 0xc0, digit, 'b', undefined, F_SHIFT },         \
		{ name " Ev,Ib", 0, 0, 0xc1, digit, 'b', undefined, F_SHIFT }, \
		{ name " Eb,1", 0, 0, 0xd0, digit, 0, undefined, F_SHIFT },    \
		{ name " Ev,1", 0, 0, 0xd1, digit, 0, undefined, F_SHIFT },    \
		{ name " Eb,CL", 0, 0, 0xd2, digit, 0, undefined, F_SHIFT },   \
	{                                                                      \
		name " Ev,CL", 0, 0, 0xd3, digit, 0, undefined, F_SHIFT        \
	}

#define STRING_FORMS_ORDER(name, at, order)                                           \
	{ name "B", 0, 0, at, -1, 0, 0, F_NO_MODRM | F_STRING | (order) },            \
	{                                                                             \
		name "W/D/Q", 0, 0, at + 1, -1, 0, 0, F_NO_MODRM | F_STRING | (order) \
	}
#define STRING_FORMS(name, at) STRING_FORMS_ORDER(name, at, 0)

static const struct form integer_forms[] = {
	ALU_FORMS("ADD", 0x00, 0, F_LOCKS),
	ALU_LOGIC("OR", 0x08, 1),
	ALU_FORMS("ADC", 0x10, 2, F_LOCKS),
	ALU_FORMS("SBB", 0x18, 3, F_LOCKS),
	ALU_LOGIC("AND", 0x20, 4),
	ALU_FORMS("SUB", 0x28, 5, F_LOCKS),
	ALU_LOGIC("XOR", 0x30, 6),
	ALU_FORMS("CMP", 0x38, 7, F_LOCKS),
	{ "TEST Eb,Gb", 0, 0, 0x84, -1, 0, AF, F_LOCKS },
	{ "TEST Ev,Gv", 0, 0, 0x85, -1, 0, AF, 0 },
	{ "TEST AL,Ib", 0, 0, 0xa8, -1, 'b', AF, F_NO_MODRM },
	{ "TEST rAX,Iz", 0, 0, 0xa9, -1, 'z', AF, F_NO_MODRM },
	{ "TEST Eb,Ib", 0, 0, 0xf6, 0, 'b', AF, 0 },
	{ "TEST Ev,Iz", 0, 0, 0xf7, 0, 'z', AF, 0 },
	{ "NOT Eb", 0, 0, 0xf6, 2, 0, 0, F_LOCKS },
	{ "NOT Ev", 0, 0, 0xf7, 2, 0, 0, F_LOCKS },
	{ "NEG Eb", 0, 0, 0xf6, 3, 0, 0, F_LOCKS },
	{ "NEG Ev", 0, 0, 0xf7, 3, 0, 0, F_LOCKS },
	{ "INC Eb", 0, 0, 0xfe, 0, 0, 0, F_LOCKS },
	{ "INC Ev", 0, 0, 0xff, 0, 0, 0, F_LOCKS },
	{ "DEC Eb", 0, 0, 0xfe, 1, 0, 0, F_LOCKS },
	{ "DEC Ev", 0, 0, 0xff, 1, 0, 0, F_LOCKS },
	{ "MUL Eb", 0, 0, 0xf6, 4, 0, NOT_CF_OF, 0 },
	{ "MUL Ev", 0, 0, 0xf7, 4, 0, NOT_CF_OF, 0 },
	{ "IMUL Eb", 0, 0, 0xf6, 5, 0, NOT_CF_OF, 0 },
	{ "IMUL Ev", 0, 0, 0xf7, 5, 0, NOT_CF_OF, 0 },
	{ "DIV Eb", 0, 0, 0xf6, 6, 0, AR, F_DIVIDE },
	{ "DIV Ev", 0, 0, 0xf7, 6, 0, AR, F_DIVIDE },
	{ "IDIV Eb", 0, 0, 0xf6, 7, 0, AR, F_DIVIDE },
	{ "IDIV Ev", 0, 0, 0xf7, 7, 0, AR, F_DIVIDE },
	{ "IMUL Gv,Ev", 0, 1, 0xaf, -1, 0, NOT_CF_OF, 0 },
	{ "IMUL Gv,Ev,Iz", 0, 0, 0x69, -1, 'z', NOT_CF_OF, 0 },
	{ "IMUL Gv,Ev,Ib", 0, 0, 0x6b, -1, 'b', NOT_CF_OF, 0 },
	SHIFT_FORMS("ROL", 0, 0),
	SHIFT_FORMS("ROR", 1, 0),
	SHIFT_FORMS("RCL", 2, 0),
	SHIFT_FORMS("RCR", 3, 0),
	SHIFT_FORMS("SHL", 4, AF),
	SHIFT_FORMS("SHR", 5, AF),
	SHIFT_FORMS("SAL", 6, AF),
	SHIFT_FORMS("SAR", 7, AF),
	{ "SHLD Ev,Gv,Ib", 0, 1, 0xa4, -1, 'b', AF, F_SHIFT | F_DOUBLE },
	{ "SHLD Ev,Gv,CL", 0, 1, 0xa5, -1, 0, AF, F_SHIFT | F_DOUBLE },
	{ "SHRD Ev,Gv,Ib", 0, 1, 0xac, -1, 'b', AF, F_SHIFT | F_DOUBLE },
	{ "SHRD Ev,Gv,CL", 0, 1, 0xad, -1, 0, AF, F_SHIFT | F_DOUBLE },
	{ "BT Ev,Gv", 0, 1, 0xa3, -1, 0, NOT_CF_ZF_BT, F_BITS },
	{ "BTS Ev,Gv", 0, 1, 0xab, -1, 0, NOT_CF_ZF_BT, F_BITS | F_LOCKS },
	{ "BTR Ev,Gv", 0, 1, 0xb3, -1, 0, NOT_CF_ZF_BT, F_BITS | F_LOCKS },
	{ "BTC Ev,Gv", 0, 1, 0xbb, -1, 0, NOT_CF_ZF_BT, F_BITS | F_LOCKS },
	{ "BT Ev,Ib", 0, 1, 0xba, 4, 'b', NOT_CF_ZF_BT, 0 },
	{ "BTS Ev,Ib", 0, 1, 0xba, 5, 'b', NOT_CF_ZF_BT, F_LOCKS },
	{ "BTR Ev,Ib", 0, 1, 0xba, 6, 'b', NOT_CF_ZF_BT, F_LOCKS },
	{ "BTC Ev,Ib", 0, 1, 0xba, 7, 'b', NOT_CF_ZF_BT, F_LOCKS },
	{ "BSF Gv,Ev", 0, 1, 0xbc, -1, 0, NOT_ZF, 0 },
	{ "BSR Gv,Ev", 0, 1, 0xbd, -1, 0, NOT_ZF, 0 },
	{ "POPCNT Gv,Ev", 0xf3, 1, 0xb8, -1, 0, 0, 0 },
	{ "TZCNT Gv,Ev", 0xf3, 1, 0xbc, -1, 0, NOT_ZF_CF, 0 },
	{ "LZCNT Gv,Ev", 0xf3, 1, 0xbd, -1, 0, NOT_ZF_CF, 0 },
	{ "MOV Eb,Gb", 0, 0, 0x88, -1, 0, 0, 0 },
	{ "MOV Ev,Gv", 0, 0, 0x89, -1, 0, 0, F_LOCKS },
	{ "MOV Gb,Eb", 0, 0, 0x8a, -1, 0, 0, 0 },
	{ "MOV Gv,Ev", 0, 0, 0x8b, -1, 0, 0, 0 },
	{ "MOV Eb,Ib", 0, 0, 0xc6, 0, 'b', 0, 0 },
	{ "MOV Ev,Iz", 0, 0, 0xc7, 0, 'z', 0, 0 },
	{ "MOV r8,Ib", 0, 0, 0xb3, -1, 'b', 0, F_NO_MODRM },
	{ "MOV AH,Ib", 0, 0, 0xb4, -1, 'b', 0, F_NO_MODRM },
	{ "MOV rv,Iv", 0, 0, 0xbe, -1, 'v', 0, F_NO_MODRM },
	{ "MOV AL,Ob", 0, 0, 0xa0, -1, 0, 0, F_NO_MODRM | F_MOFFS },
	{ "MOV rAX,Ov", 0, 0, 0xa1, -1, 0, 0, F_NO_MODRM | F_MOFFS },
	{ "MOV Ob,AL", 0, 0, 0xa2, -1, 0, 0, F_NO_MODRM | F_MOFFS },
	{ "MOV Ov,rAX", 0, 0, 0xa3, -1, 0, 0, F_NO_MODRM | F_MOFFS },
	{ "MOVZX Gv,Eb", 0, 1, 0xb6, -1, 0, 0, 0 },
	{ "MOVZX Gv,Ew", 0, 1, 0xb7, -1, 0, 0, 0 },
	{ "MOVSX Gv,Eb", 0, 1, 0xbe, -1, 0, 0, 0 },
	{ "MOVSX Gv,Ew", 0, 1, 0xbf, -1, 0, 0, 0 },
	{ "MOVSXD Gv,Ed", 0, 0, 0x63, -1, 0, 0, 0 },
	{ "MOVBE Gv,M", 0, 2, 0xf0, -1, 0, 0, F_MEM },
	{ "MOVBE M,Gv", 0, 2, 0xf1, -1, 0, 0, F_MEM },
	{ "MOVBE with a register", 0, 2, 0xf0, -1, 0, 0, F_REG },
	{ "MOVNTI", 0, 1, 0xc3, -1, 0, 0, F_MEM | F_NO_66 },
	{ "MOV Ev,Sw", 0, 0, 0x8c, 2, 0, 0, 0 },
	{ "MOV Ev,CS", 0, 0, 0x8c, 1, 0, 0, 0 },
	{ "MOV Ev,Sw 6", 0, 0, 0x8c, 6, 0, 0, 0 },
	{ "MOV CS,Ew", 0, 0, 0x8e, 1, 0, 0, F_REG },
	{ "LEA", 0, 0, 0x8d, -1, 0, 0, F_MEM },
	{ "LEA with a register", 0, 0, 0x8d, -1, 0, 0, F_REG },
	{ "XCHG Eb,Gb", 0, 0, 0x86, -1, 0, 0, F_LOCKS },
	{ "XCHG Ev,Gv", 0, 0, 0x87, -1, 0, 0, F_LOCKS },
	{ "NOP/XCHG", 0, 0, 0x90, -1, 0, 0, F_NO_MODRM },
	{ "XCHG rv,rAX", 0, 0, 0x93, -1, 0, 0, F_NO_MODRM },
	{ "XADD Eb,Gb", 0, 1, 0xc0, -1, 0, 0, F_LOCKS },
	{ "XADD Ev,Gv", 0, 1, 0xc1, -1, 0, 0, F_LOCKS },
	{ "CMPXCHG Eb,Gb", 0, 1, 0xb0, -1, 0, 0, F_LOCKS },
	{ "CMPXCHG Ev,Gv", 0, 1, 0xb1, -1, 0, 0, F_LOCKS },
	{ "CMPXCHG8B/16B", 0, 1, 0xc7, 1, 0, 0, F_LOCKS | F_MEM | F_NO_66 },
	{ "CMPXCHG8B with a register", 0, 1, 0xc7, 1, 0, 0, F_REG | F_NO_66 },
	{ "BSWAP", 0, 1, 0xca, -1, 0, 0, F_NO_MODRM | F_NO_66 },
	{ "CMOVO", 0, 1, 0x40, -1, 0, 0, 0 },
	{ "CMOVAE", 0, 1, 0x43, -1, 0, 0, 0 },
	{ "CMOVZ", 0, 1, 0x44, -1, 0, 0, 0 },
	{ "CMOVA", 0, 1, 0x47, -1, 0, 0, 0 },
	{ "CMOVS", 0, 1, 0x48, -1, 0, 0, 0 },
	{ "CMOVP", 0, 1, 0x4a, -1, 0, 0, 0 },
	{ "CMOVL", 0, 1, 0x4c, -1, 0, 0, 0 },
	{ "CMOVG", 0, 1, 0x4f, -1, 0, 0, 0 },
	{ "SETNO", 0, 1, 0x91, -1, 0, 0, 0 },
	{ "SETB", 0, 1, 0x92, -1, 0, 0, 0 },
	{ "SETBE", 0, 1, 0x96, -1, 0, 0, 0 },
	{ "SETNP", 0, 1, 0x9b, -1, 0, 0, 0 },
	{ "SETGE", 0, 1, 0x9d, -1, 0, 0, 0 },
	{ "SETLE", 0, 1, 0x9e, -1, 0, 0, 0 },
	{ "CBW", 0, 0, 0x98, -1, 0, 0, F_NO_MODRM },
	{ "CWD", 0, 0, 0x99, -1, 0, 0, F_NO_MODRM },
	{ "LAHF", 0, 0, 0x9f, -1, 0, 0, F_NO_MODRM },
	{ "SAHF", 0, 0, 0x9e, -1, 0, 0, F_NO_MODRM },
	{ "CMC", 0, 0, 0xf5, -1, 0, 0, F_NO_MODRM },
	{ "CLC", 0, 0, 0xf8, -1, 0, 0, F_NO_MODRM },
	{ "STC", 0, 0, 0xf9, -1, 0, 0, F_NO_MODRM },
	{ "CLD", 0, 0, 0xfc, -1, 0, 0, F_NO_MODRM },
	{ "STD", 0, 0, 0xfd, -1, 0, 0, F_NO_MODRM },
	{ "XLAT", 0, 0, 0xd7, -1, 0, 0, F_NO_MODRM | F_XLAT },
	{ "NOP Ev", 0, 1, 0x1f, -1, 0, 0, 0 },
	{ "PREFETCH", 0, 1, 0x18, 1, 0, 0, F_MEM },
	{ "SFENCE", 0, 1, 0xae, 7, 0, 0, F_REG | F_NO_66 },
	{ "CLFLUSH", 0, 1, 0xae, 7, 0, 0, F_MEM | F_NO_66 },
	{ "UD2", 0, 1, 0x0b, -1, 0, 0, F_NO_MODRM },
	{ "PUSH in 64-bit code: 06", 0, 0, 0x06, -1, 0, 0, F_NO_MODRM },
	{ "AAM in 64-bit code", 0, 0, 0xd4, -1, 'b', 0, F_NO_MODRM },
	{ "group 11, bad digit", 0, 0, 0xc7, 1, 'z', 0, F_REG },
	{ "group 5, bad digit", 0, 0, 0xff, 7, 0, 0, 0 },
	{ "group 8, bad digit", 0, 1, 0xba, 2, 'b', 0, 0 },
};

static const struct form stack_forms[] = {
	{ "PUSH r", 0, 0, 0x51, -1, 0, 0, F_NO_MODRM | F_STACK },
	{ "PUSH rSP", 0, 0, 0x54, -1, 0, 0, F_NO_MODRM | F_STACK },
	{ "POP r", 0, 0, 0x5e, -1, 0, 0, F_NO_MODRM | F_STACK },
	{ "POP rSP", 0, 0, 0x5c, -1, 0, 0, F_NO_MODRM | F_STACK },
	{ "PUSH Iz", 0, 0, 0x68, -1, 'z', 0, F_NO_MODRM | F_STACK },
	{ "PUSH Ib", 0, 0, 0x6a, -1, 'b', 0, F_NO_MODRM | F_STACK },
	{ "PUSH Ev", 0, 0, 0xff, 6, 0, 0, F_STACK },
	{ "POP Ev", 0, 0, 0x8f, 0, 0, 0, F_STACK },
	{ "PUSH FS", 0, 1, 0xa0, -1, 0, 0, F_NO_MODRM | F_STACK },
	{ "PUSH GS", 0, 1, 0xa8, -1, 0, 0, F_NO_MODRM | F_STACK },
	{ "PUSHF", 0, 0, 0x9c, -1, 0, 0, F_NO_MODRM | F_STACK },
	{ "POPF", 0, 0, 0x9d, -1, 0, 0, F_NO_MODRM | F_STACK | F_POPF },
	{ "LEAVE", 0, 0, 0xc9, -1, 0, 0, F_NO_MODRM | F_STACK | F_RBP },
	{ "ENTER", 0, 0, 0xc8, -1, 'w', 0, F_NO_MODRM | F_STACK | F_RBP | F_ENTER | F_ORDER },
	{ "JMP Jb", 0, 0, 0xeb, -1, 'b', 0, F_NO_MODRM | F_BRANCH | F_NO_66 },
	{ "JMP Jz", 0, 0, 0xe9, -1, 'z', 0, F_NO_MODRM | F_BRANCH | F_NO_66 },
	{ "CALL Jz", 0, 0, 0xe8, -1, 'z', 0, F_NO_MODRM | F_BRANCH | F_STACK | F_NO_66 },
	{ "JO", 0, 0, 0x70, -1, 'b', 0, F_NO_MODRM | F_BRANCH | F_NO_66 },
	{ "JAE", 0, 0, 0x73, -1, 'b', 0, F_NO_MODRM | F_BRANCH | F_NO_66 },
	{ "JE", 0, 0, 0x74, -1, 'b', 0, F_NO_MODRM | F_BRANCH | F_NO_66 },
	{ "JA", 0, 0, 0x77, -1, 'b', 0, F_NO_MODRM | F_BRANCH | F_NO_66 },
	{ "JS Jz", 0, 1, 0x88, -1, 'z', 0, F_NO_MODRM | F_BRANCH | F_NO_66 },
	{ "JP Jz", 0, 1, 0x8a, -1, 'z', 0, F_NO_MODRM | F_BRANCH | F_NO_66 },
	{ "JL Jz", 0, 1, 0x8c, -1, 'z', 0, F_NO_MODRM | F_BRANCH | F_NO_66 },
	{ "JG Jz", 0, 1, 0x8f, -1, 'z', 0, F_NO_MODRM | F_BRANCH | F_NO_66 },
	{ "LOOPNE", 0, 0, 0xe0, -1, 'b', 0, F_NO_MODRM | F_BRANCH | F_NO_66 },
	{ "LOOPE", 0, 0, 0xe1, -1, 'b', 0, F_NO_MODRM | F_BRANCH | F_NO_66 },
	{ "LOOP", 0, 0, 0xe2, -1, 'b', 0, F_NO_MODRM | F_BRANCH | F_NO_66 },
	{ "JCXZ", 0, 0, 0xe3, -1, 'b', 0, F_NO_MODRM | F_BRANCH | F_NO_66 },
	{ "JMP Ev", 0, 0, 0xff, 4, 0, 0, F_TARGET | F_NO_66 },
	{ "CALL Ev", 0, 0, 0xff, 2, 0, 0, F_TARGET | F_STACK | F_NO_66 | F_ORDER },
	{ "RET", 0, 0, 0xc3, -1, 0, 0, F_NO_MODRM | F_STACK | F_TARGET | F_NO_66 },
	{ "RET Iw", 0, 0, 0xc2, -1, 'w', 0, F_NO_MODRM | F_STACK | F_TARGET | F_NO_66 },
};

static const struct form string_forms[] = {
	STRING_FORMS("MOVS", 0xa4), STRING_FORMS_ORDER("CMPS", 0xa6, F_ORDER),
	STRING_FORMS("STOS", 0xaa), STRING_FORMS("LODS", 0xac),
	STRING_FORMS("SCAS", 0xae),
};

/* All of these end in a fault at CPL 3. */
static const struct form privileged_forms[] = {
	{ "HLT", 0, 0, 0xf4, -1, 0, 0, F_NO_MODRM },
	{ "CLI", 0, 0, 0xfa, -1, 0, 0, F_NO_MODRM },
	{ "STI", 0, 0, 0xfb, -1, 0, 0, F_NO_MODRM },
	{ "CLTS", 0, 1, 0x06, -1, 0, 0, F_NO_MODRM },
	{ "INVD", 0, 1, 0x08, -1, 0, 0, F_NO_MODRM },
	{ "WBINVD", 0, 1, 0x09, -1, 0, 0, F_NO_MODRM },
	{ "RDMSR", 0, 1, 0x32, -1, 0, 0, F_NO_MODRM },
	{ "WRMSR", 0, 1, 0x30, -1, 0, 0, F_NO_MODRM },
	{ "MOV r,CR0", 0, 1, 0x20, 0, 0, 0, F_NO_66 },
	{ "MOV r,CR8", 0, 1, 0x20, 4, 0, 0, F_NO_66 },
	{ "MOV CR3,r", 0, 1, 0x22, 3, 0, 0, F_NO_66 },
	{ "MOV r,DR7", 0, 1, 0x21, 7, 0, 0, F_NO_66 },
	{ "MOV DR0,r", 0, 1, 0x23, 0, 0, 0, F_NO_66 },
	{ "INVLPG", 0, 1, 0x01, 7, 0, 0, F_MEM | F_NO_66 },
	{ "LGDT", 0, 1, 0x01, 2, 0, 0, F_MEM | F_NO_66 },
	{ "LIDT", 0, 1, 0x01, 3, 0, 0, F_MEM | F_NO_66 },
	{ "LMSW", 0, 1, 0x01, 6, 0, 0, F_NO_66 },
	{ "LLDT", 0, 1, 0x00, 2, 0, 0, F_NO_66 },
	{ "LTR", 0, 1, 0x00, 3, 0, 0, F_NO_66 },
	{ "IN AL,Ib", 0, 0, 0xe4, -1, 'b', 0, F_NO_MODRM },
	{ "IN eAX,DX", 0, 0, 0xed, -1, 0, 0, F_NO_MODRM },
	{ "OUT Ib,eAX", 0, 0, 0xe7, -1, 'b', 0, F_NO_MODRM },
	{ "OUT DX,AL", 0, 0, 0xee, -1, 0, 0, F_NO_MODRM },
	{ "INSB", 0, 0, 0x6c, -1, 0, 0, F_NO_MODRM | F_STRING },
	{ "OUTSD", 0, 0, 0x6f, -1, 0, 0, F_NO_MODRM | F_STRING },
};

#define V (F_VEC | F_VEX)
#define V_NO_W (F_VEC | F_VEX | F_NO_W)

static const struct form vector_forms[] = {
	{ "MOVUPS load", 0, 1, 0x10, -1, 0, 0, V | F_UNALIGNED },
	{ "MOVUPD load", 0x66, 1, 0x10, -1, 0, 0, V | F_UNALIGNED },
	{ "MOVSS load", 0xf3, 1, 0x10, -1, 0, 0, V },
	{ "MOVSD load", 0xf2, 1, 0x10, -1, 0, 0, V },
	{ "MOVUPS store", 0, 1, 0x11, -1, 0, 0, V | F_UNALIGNED },
	{ "MOVUPD store", 0x66, 1, 0x11, -1, 0, 0, V | F_UNALIGNED },
	{ "MOVSS store", 0xf3, 1, 0x11, -1, 0, 0, V },
	{ "MOVSD store", 0xf2, 1, 0x11, -1, 0, 0, V },
	{ "MOVLPS load", 0, 1, 0x12, -1, 0, 0, V },
	{ "MOVLPD load", 0x66, 1, 0x12, -1, 0, 0, V },
	{ "MOVLPS store", 0, 1, 0x13, -1, 0, 0, V },
	{ "MOVLPD store", 0x66, 1, 0x13, -1, 0, 0, V },
	{ "MOVHPS load", 0, 1, 0x16, -1, 0, 0, V },
	{ "MOVHPD load", 0x66, 1, 0x16, -1, 0, 0, V },
	{ "MOVHPS store", 0, 1, 0x17, -1, 0, 0, V },
	{ "MOVHPD store", 0x66, 1, 0x17, -1, 0, 0, V },
	{ "MOVAPS load", 0, 1, 0x28, -1, 0, 0, V },
	{ "MOVAPD load", 0x66, 1, 0x28, -1, 0, 0, V },
	{ "MOVAPS store", 0, 1, 0x29, -1, 0, 0, V },
	{ "MOVAPD store", 0x66, 1, 0x29, -1, 0, 0, V },
	{ "MOVNTPS", 0, 1, 0x2b, -1, 0, 0, V },
	{ "MOVNTPD", 0x66, 1, 0x2b, -1, 0, 0, V },
	{ "MOVD xmm,Ey", 0x66, 1, 0x6e, -1, 0, 0, V },
	{ "MOVD Ey,xmm", 0x66, 1, 0x7e, -1, 0, 0, V },
	{ "MOVDQA load", 0x66, 1, 0x6f, -1, 0, 0, V },
	{ "MOVDQU load", 0xf3, 1, 0x6f, -1, 0, 0, V | F_UNALIGNED },
	{ "MOVDQA store", 0x66, 1, 0x7f, -1, 0, 0, V },
	{ "MOVDQU store", 0xf3, 1, 0x7f, -1, 0, 0, V | F_UNALIGNED },
	{ "MOVQ xmm,W", 0xf3, 1, 0x7e, -1, 0, 0, V },
	{ "MOVQ W,xmm", 0x66, 1, 0xd6, -1, 0, 0, V },
	{ "MOVNTDQ", 0x66, 1, 0xe7, -1, 0, 0, V },
	{ "LDDQU", 0xf2, 1, 0xf0, -1, 0, 0, V | F_UNALIGNED },
	{ "MOVNTDQA", 0x66, 2, 0x2a, -1, 0, 0, V },
	{ "MOVD mm,Ey", 0, 1, 0x6e, -1, 0, 0, F_VEC | F_NO_66 },
	{ "MOVD Ey,mm", 0, 1, 0x7e, -1, 0, 0, F_VEC | F_NO_66 },
	{ "MOVQ mm,Q", 0, 1, 0x6f, -1, 0, 0, F_VEC | F_NO_66 },
	{ "MOVQ Q,mm", 0, 1, 0x7f, -1, 0, 0, F_VEC | F_NO_66 },
	{ "MOVNTQ", 0, 1, 0xe7, -1, 0, 0, F_VEC | F_NO_66 },
};

/* --- building instances --- */

static u64 seed;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

static void put_random(u8 *at)
{
	u64 value = rnd();

	memcpy(at, &value, 8);
}

static bool chance(unsigned int in)
{
	return (rnd() >> 33) % in == 0;
}

/* Values that sit at edges more often than chance would have it. */
static u64 rnd_value(void)
{
	static const u64 edges[] = {
		0,
		1,
		2,
		0x7f,
		0x80,
		0xff,
		0x7fff,
		0x8000,
		0xffff,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x100000000,
		0x7fffffffffffffff,
		0x8000000000000000,
		~0ull,
		~1ull,
		0xffffffff80000000,
		0xffffffffffff8000,
		0xffffffffffffff80,
	};

	switch ((rnd() >> 40) % 4) {
	case 0:
		return edges[(rnd() >> 33) % BV_ARRAY_SIZE(edges)];
	case 1:
		return rnd() >> (rnd() >> 58);
	default:
		return rnd();
	}
}

struct instance {
	const struct form *form;
	u8 bytes[32];
	unsigned int len;
	struct native before;
	u8 data[DATA_SIZE];
	bool prefix_66, prefix_67, lock;
	u8 rex;
	u64 target; /* linear address of the memory operand, if there is one */
	bool memory;
	unsigned int count; /* of a shift */
	bool ends_at_other;
};

static void put(struct instance *x, u8 byte)
{
	x->bytes[x->len++] = byte;
}

static void put_value(struct instance *x, u64 value, unsigned int size)
{
	while (size--) {
		put(x, (u8)value);
		value >>= 8;
	}
}

/* An address in the data, sometimes close to its ends or beyond them. */
static u64 pick_address(const struct instance *x)
{
	u64 middle = DATA + 0x800 + (rnd() >> 20) % 0x1000;

	(void)x;
	if (chance(64))
		return DATA + DATA_SIZE - (rnd() >> 40) % 9;
	if (chance(64))
		return DATA - (rnd() >> 40) % 9;
	if (chance(3))
		return middle;
	return middle & ~31ull;
}

/*
 * ModRM, SIB and displacement for the address; base and index registers get the values that make
 * it.
 */
static void build_memory(struct instance *x, unsigned int reg, unsigned int imm_size)
{
	unsigned int mod = (unsigned int)(rnd() >> 40) % 3, base = (unsigned int)(rnd() >> 40) & 15;
	unsigned int index = (unsigned int)(rnd() >> 40) & 15,
		     scale = (unsigned int)(rnd() >> 40) & 3;
	bool sib = chance(2) || (base & 7) == 4;
	s64 disp = mod == 1 ? (s8)rnd() : mod == 2 ? (s32)rnd() >> 4 : 0;
	u64 at = x->target;

	if ((x->rex & BV_REX_B) == 0)
		base &= 7;
	else
		base |= 8;
	if ((x->rex & BV_REX_X) == 0)
		index &= 7;
	else
		index |= 8;
	sib = sib || (base & 7) == 4;
	if (!sib && mod == 0 && (base & 7) == 5) { /* RIP-relative */
		put(x, (u8)((reg & 7) << 3 | 5));
		put_value(x, at - (CODE + x->len + 4 + imm_size), 4);
		return;
	}
	if (sib && mod == 0 && (base & 7) == 5) { /* index and displacement only */
		put(x, (u8)((reg & 7) << 3 | 4));
		put(x, (u8)(scale << 6 | (index & 7) << 3 | 5));
		if (index != 4) {
			x->before.gpr[index] = rnd() & 0xff;
			at -= x->before.gpr[index] << scale;
		}
		put_value(x, at, 4);
		return;
	}
	put(x, (u8)(mod << 6 | (reg & 7) << 3 | (sib ? 4 : base & 7)));
	if (sib) {
		put(x, (u8)(scale << 6 | (index & 7) << 3 | (base & 7)));
		if (index != 4 && index != base) {
			x->before.gpr[index] = (u64)(s64)(s16)rnd();
			at -= x->before.gpr[index] << scale;
		}
	}
	at -= (u64)disp;
	if (sib && index == base && index != 4) { /* one register twice: the address must divide */
		u64 parts = 1 + (1u << scale);

		x->target -= at % parts;
		at /= parts;
	}
	x->before.gpr[base] = at;
	if (x->prefix_67 && chance(2)) /* the upper half must not matter */
		x->before.gpr[base] |= rnd() << 32;
	put_value(x, (u64)disp, mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

static unsigned int imm_bytes(const struct instance *x)
{
	switch (x->form->imm) {
	case 'b':
		return 1;
	case 'w':
		return x->form->flags & F_ENTER ? 3 : 2;
	case 'z':
		return x->prefix_66 && !(x->rex & BV_REX_W) ? 2 : 4;
	case 'v':
		return x->rex & BV_REX_W ? 8 : x->prefix_66 ? 2 : 4;
	}
	return 0;
}

static void build_imm(struct instance *x)
{
	unsigned int size = imm_bytes(x);
	u64 value = rnd_value();

	if (x->form->flags & F_DOUBLE)
		value &= x->prefix_66 ? 15 : 255;
	if (x->form->flags & F_BRANCH)
		value = OTHER_EXIT - x->len - size;
	if (x->form->flags & F_ENTER) {
		put_value(x, value & 0x3ff, 2);
		put(x, chance(2) ? 0 : (u8)(rnd() >> 40) % 7);
		return;
	}
	if (x->form->imm == 'w')
		value &= 0x1ff;
	x->count = (u8)value;
	put_value(x, value, size);
}

/* C4 or C5 instead of the prefix and the escape bytes. */
static void build_vex(struct instance *x)
{
	u8 last = x->form->prefix == 0x66 ? 1 :
		  x->form->prefix == 0xf3 ? 2 :
		  x->form->prefix == 0xf2 ? 3 :
					    0;
	unsigned int vvvv = chance(3) ? (unsigned int)(rnd() >> 40) & 15 : 0;

	last |= (u8)((~vvvv & 15) << 3 | (chance(2) ? 4 : 0));
	if (x->form->map == 1 && !(x->rex & 0xb) && chance(2)) {
		put(x, 0xc5);
		put(x, (u8)(last | (x->rex & BV_REX_R ? 0 : 0x80)));
		x->rex &= BV_REX_R;
		return;
	}
	put(x, 0xc4);
	put(x, (u8)(x->form->map | (x->rex & BV_REX_R ? 0 : 0x80) | (x->rex & BV_REX_X ? 0 : 0x40) |
		    (x->rex & BV_REX_B ? 0 : 0x20)));
	put(x, (u8)(last | (x->rex & BV_REX_W ? 0x80 : 0)));
}

static void build_prefixes(struct instance *x)
{
	u32 flags = x->form->flags;
	bool vex = (flags & F_VEX) && chance(2);
	bool rex = chance(2);

	x->prefix_66 = !(flags & (F_NO_66 | F_VEC)) && chance(3);
	x->prefix_67 = chance(5);
	x->lock = !vex && (flags & F_LOCKS ? chance(3) : chance(200));
	x->rex = rex || vex ? (rnd() >> 40) & 15 : 0;
	if (x->prefix_67)
		put(x, 0x67);
	if (chance(10))
		put(x, 0x3e); /* DS: no effect */
	if (x->lock)
		put(x, 0xf0);
	if (vex) {
		build_vex(x);
		return;
	}
	if (x->prefix_66)
		put(x, 0x66);
	if (x->form->prefix)
		put(x, x->form->prefix);
	else if ((flags & F_STRING) && chance(2))
		put(x, chance(2) ? 0xf2 : 0xf3);
	if (rex)
		put(x, (u8)(0x40 | x->rex));
	if (x->form->map)
		put(x, 0x0f);
	if (x->form->map == 2)
		put(x, 0x38);
}

static void build_modrm(struct instance *x)
{
	u32 flags = x->form->flags;
	unsigned int reg =
		x->form->reg >= 0 ? (unsigned int)x->form->reg : (unsigned int)(rnd() >> 40) & 7;
	unsigned int rm = (unsigned int)(rnd() >> 40) & 7;
	unsigned int whole_reg = reg | (x->rex & BV_REX_R ? 8 : 0);

	x->memory = (flags & F_MEM) || (!(flags & F_REG) && chance(2));
	if (flags & F_BITS) /* before the address, which may need the register for itself */
		x->before.gpr[whole_reg] = x->memory ? (rnd() >> 30) % 4096 - 2048 : rnd_value();
	if (x->memory) {
		build_memory(x, reg, imm_bytes(x));
		return;
	}
	put(x, (u8)(0xc0 | reg << 3 | rm));
	if ((flags & F_TARGET) && rm != BV_RSP)
		x->before.gpr[rm | (x->rex & BV_REX_B ? 8 : 0)] =
			chance(8) ? rnd() : CODE + OTHER_EXIT;
}

static void build_state(struct instance *x)
{
	u32 flags = x->form->flags;

	for (int reg = 0; reg < 16; reg++)
		x->before.gpr[reg] = rnd_value();
	if (flags & F_DOUBLE)
		x->before.gpr[BV_RCX] = (rnd() >> 40) & 15;
	if (flags & F_DIVIDE) {
		x->before.gpr[BV_RDX] = chance(2) ? 0 : x->before.gpr[BV_RDX] >> (rnd() >> 58);
		if (chance(2))
			x->before.gpr[BV_RAX] = rnd() & 0xffff;
		if (chance(4)) {
			x->before.gpr[BV_RDX] = ~0ull;
			x->before.gpr[BV_RAX] |= 1ull << 63 | 1u << 31 | 1u << 15;
		}
	}
	if (flags & F_STRING) {
		x->before.gpr[BV_RSI] = pick_address(x);
		x->before.gpr[BV_RDI] = chance(4) ? x->before.gpr[BV_RSI] : pick_address(x);
		x->before.gpr[BV_RCX] = chance(4) ? (rnd() >> 40) & 3 : (rnd() >> 40) & 63;
	}
	if (flags & F_STACK)
		x->before.gpr[BV_RSP] = pick_address(x);
	if (flags & F_POPF) /* the flags must be ours: TF would go astray */
		x->before.gpr[BV_RSP] = DATA + 0x800 + (rnd() >> 40) % 0x800;
	if (flags & F_RBP)
		x->before.gpr[BV_RBP] = pick_address(x);
	if (flags & F_ENTER) /* frames that overlap the new one are copied in another order */
		x->before.gpr[BV_RBP] = DATA + 0x1c00 + (rnd() >> 40) % 0x400;
	if (flags & F_XLAT)
		x->before.gpr[BV_RBX] = pick_address(x);
	if (flags & F_BRANCH && chance(2))
		x->before.gpr[BV_RCX] = (rnd() >> 40) & 1;
	x->before.rflags = BV_RFLAGS_ONE | BV_RFLAGS_IF | (rnd() & BV_FLAGS_ALL);
	if (chance(3))
		x->before.rflags |= BV_RFLAGS_DF;
	if (chance(16))
		x->before.rflags |= BV_RFLAGS_AC;
	for (int at = 0; at < 16; at++)
		for (int byte = 0; byte < 32; byte += 8)
			put_random(x->before.vec[at] + byte);
	for (int at = 0; at < 8; at++)
		x->before.mmx[at] = rnd();
	x->before.use_vec = flags & F_VEC;
	x->before.trap = 0;
}

static void put_in_data(struct instance *x, u64 address, u64 value)
{
	if (address - DATA <= DATA_SIZE - 8)
		memcpy(x->data + (address - DATA), &value, 8);
}

static void build_data(struct instance *x)
{
	for (unsigned int at = 0; at < DATA_SIZE; at += 8)
		put_random(x->data + at);
	if (x->memory || (x->form->flags & F_MOFFS))
		put_in_data(x, x->target, rnd_value());
	if (x->form->flags & F_STRING && chance(2)) /* so that comparisons go on for a while */
		memset(x->data, (int)x->before.gpr[BV_RAX], DATA_SIZE);
	if ((x->form->flags & F_TARGET) && !chance(8)) {
		if (x->memory)
			put_in_data(x, x->target, CODE + OTHER_EXIT);
		if (x->form->flags & F_NO_MODRM)
			put_in_data(x, x->before.gpr[BV_RSP], CODE + OTHER_EXIT);
	}
	if (x->form->flags & F_POPF)
		put_in_data(x, x->before.gpr[BV_RSP], rnd() & ~(BV_RFLAGS_TF | BV_RFLAGS_NT));
	if (chance(4) && x->memory) { /* compare and exchange should find what it looks for */
		put_in_data(x, x->target, x->before.gpr[BV_RAX]);
		put_in_data(x, x->target + 8, x->before.gpr[BV_RDX]);
		if (x->form->opcode == 0xc7 && !(x->rex & BV_REX_W))
			put_in_data(x, x->target,
				    (u32)x->before.gpr[BV_RAX] | x->before.gpr[BV_RDX] << 32);
	}
}

/*
 * A 16-bit double shift by more than 16, which is undefined; or a stack that lies in the
 * trampoline's pages, which the emulator's guest does not have.
 */
static bool is_unfair(const struct instance *x)
{
	u64 rsp = x->before.gpr[BV_RSP];

	if ((x->form->flags & F_STACK) && rsp < DATA - 64)
		return true;
	/*
	 * ENTER: the processor tries the new top, and copies frames that overlap in another order
	 */
	if ((x->form->flags & F_ENTER) && (rsp - DATA < 0x500 || rsp - DATA > 0x1b00))
		return true;
	return (x->form->flags & F_DOUBLE) && x->prefix_66 && !(x->rex & BV_REX_W) &&
	       (x->count & 31) > 16;
}

static void build_one(struct instance *x, const struct form *form)
{
	memset(x, 0, offsetof(struct instance, data));
	x->form = form;
	x->len = 0;
	x->memory = false;
	build_state(x);
	x->target = pick_address(x);
	build_prefixes(x);
	put(x, form->opcode);
	if (!(form->flags & F_NO_MODRM))
		build_modrm(x);
	x->count = 1;
	if (form->flags & F_MOFFS)
		put_value(x, x->target, x->prefix_67 ? 4 : 8);
	else if (form->imm)
		build_imm(x);
	else if ((form->flags & F_SHIFT) && (form->opcode != 0xd0 && form->opcode != 0xd1))
		x->count = (u8)x->before.gpr[BV_RCX];
	build_data(x);
}

static void build(struct instance *x, const struct form *form)
{
	do
		build_one(x, form);
	while (is_unfair(x));
}

/* --- running them --- */

static void put_exit(u8 *at, u32 id)
{
	u64 exit_address = (u64)(uintptr_t)native_exit;
	u32 control = CONTROL, pointer = CONTROL + 8;

	/* movl $id, CONTROL; jmp *CONTROL+8 */
	at[0] = 0xc7, at[1] = 0x04, at[2] = 0x25;
	memcpy(at + 3, &control, 4);
	memcpy(at + 7, &id, 4);
	at[11] = 0xff, at[12] = 0x24, at[13] = 0x25;
	memcpy(at + 14, &pointer, 4);
	memcpy((void *)(CONTROL + 8), &exit_address, 8);
}

static void run_native_once(const struct instance *x, struct native *after, u8 *data, u64 *rip)
{
	memcpy((void *)DATA, x->data, DATA_SIZE);
	memcpy((void *)CODE, x->bytes, x->len);
	put_exit((u8 *)CODE + x->len, 0);
	put_exit((u8 *)CODE + OTHER_EXIT, 1);
	native_state = x->before;
	native_state.code = CODE;
	native_enter();
	*after = native_state;
	memcpy(data, (void *)DATA, DATA_SIZE);
	*rip = *(u32 *)CONTROL ? CODE + OTHER_EXIT : CODE + x->len;
	if (after->trap)
		after->gpr[BV_RSP] = after->fault_rsp;
	if (after->trap && after->fault_rip != CODE) { /* the instruction itself was done */
		after->trap = 0;
		*rip = after->fault_rip;
	}
}

/*
 * Where IRET checks rSP, the kernel's return from an interrupt, too, raises #GP when rSP is not
 * canonical. That is the instruction's own fault only if it comes again.
 */
static void run_native(const struct instance *x, struct native *after, u8 *data, u64 *rip)
{
	run_native_once(x, after, data, rip);
	for (int again = 0; again < 3; again++) {
		bool canonical = (s64)(after->fault_rsp << 16) >> 16 == (s64)after->fault_rsp;

		if (after->trap != BV_EXC_GP + 1 || canonical)
			break;
		run_native_once(x, after, data, rip);
	}
}

static struct guest guest;

static enum bv_emul_rc run_emulated(const struct instance *x)
{
	guest_init(&guest, BV_CODE64, true, 3);
	guest.seg[BV_SEG_TR].limit = 102; /* no map of ports that programs may use */
	guest.emul.rip = CODE;
	guest.emul.rflags = x->before.rflags;
	memcpy(guest.gpr, x->before.gpr, sizeof(guest.gpr));
	memcpy(guest.vec, x->before.vec, sizeof(guest.vec));
	memcpy(guest.mmx, x->before.mmx, sizeof(guest.mmx));
	for (int seg = BV_SEG_ES; seg <= BV_SEG_GS; seg++)
		guest.seg[seg].sel = 0;
	__asm__("mov %%cs, %0" : "=r"(guest.seg[BV_SEG_CS].sel));
	__asm__("mov %%ss, %0" : "=r"(guest.seg[BV_SEG_SS].sel));
	memcpy(guest.emul.bytes, x->bytes, x->len > BV_INSN_MAX ? BV_INSN_MAX : x->len);
	guest.emul.bytes_count = (u8)(x->len > BV_INSN_MAX ? BV_INSN_MAX : x->len);
	memcpy((void *)DATA, x->data, DATA_SIZE);
	guest.memory = (u8 *)DATA;
	guest.base = DATA;
	guest.size = DATA_SIZE;
	return guest_run(&guest);
}

/* --- comparing --- */

static u64 undefined_flags(const struct instance *x)
{
	u64 mask = x->form->undefined;

	if ((x->form->flags & F_SHIFT) && (x->count & 63) != 1)
		mask |= BV_RFLAGS_OF;
	/* SHL and SHR by more than the operand's size leave CF undefined */
	if ((x->form->flags & F_SHIFT) && x->form->reg >= 4 && x->form->reg != 7)
		mask |= BV_RFLAGS_CF;
	return mask;
}

static void show(const struct instance *x, const char *what)
{
	printf("\t%s: %s:", x->form->name, what);
	for (unsigned int at = 0; at < x->len; at++)
		printf(" %02x", x->bytes[at]);
	printf("\n");
}

static bool same_fault(const struct instance *x, const struct native *after)
{
	const struct bv_fault *fault = &guest.emul.fault;
	u32 error = fault->has_error ? fault->error : 0;

	if (after->trap - 1 != fault->vector)
		return x->form->flags & F_ORDER;
	if (fault->vector != BV_EXC_PF)
		return after->error == error;
	if (after->cr2 != fault->cr2)
		return x->form->flags & F_ORDER;
	/* Linux hides from programs whether a kernel page is present */
	return after->cr2 >> 47 || (after->error & 0x17) == error;
}

/* Of moves by 16 bytes a processor may check the alignment or not (SDM volume 3, 6.15). */
static bool fault_is_optional(const struct instance *x)
{
	return (x->form->flags & F_UNALIGNED) && guest.emul.fault.vector == BV_EXC_AC;
}

/* Before CALL and ENTER fault, a processor may have pushed something; the emulator never has. */
static bool memory_may_differ(const struct instance *x, const struct native *after)
{
	u32 flags = x->form->flags;

	return after->trap &&
	       ((flags & F_ENTER) || (flags & (F_TARGET | F_STACK)) == (F_TARGET | F_STACK));
}

static const char *compare_registers(const struct instance *x, const struct native *after)
{
	u64 mask = ~(undefined_flags(x) | BV_RFLAGS_RF);

	/* Repeated comparisons that fault may take back what the flags were since. */
	if (after->trap && (x->form->flags & F_STRING) && after->rflags == x->before.rflags)
		mask &= ~(u64)BV_FLAGS_ALL;

	if (memcmp(after->gpr, guest.gpr, sizeof(guest.gpr)))
		return "general registers differ";
	if ((after->rflags ^ guest.emul.rflags) & mask)
		return "flags differ";
	if (x->before.use_vec && memcmp(after->vec, guest.vec, sizeof(guest.vec)))
		return "vector registers differ";
	if (x->before.use_vec && memcmp(after->mmx, guest.mmx, sizeof(guest.mmx)))
		return "MMX registers differ";
	return NULL;
}

static const char *compare(const struct instance *x)
{
	static u8 data[DATA_SIZE];
	struct native after;
	enum bv_emul_rc rc;
	u64 rip;

	run_native(x, &after, data, &rip);
	rc = run_emulated(x);
	if (rc == BV_EMUL_UNHANDLED)
		return "not handled";
	if (rc == BV_EMUL_FAULT && fault_is_optional(x))
		return NULL;
	if ((rc == BV_EMUL_FAULT) != (after.trap != 0))
		return rc == BV_EMUL_FAULT ? "a fault too many" : "a fault is missing";
	if (rc == BV_EMUL_FAULT && !same_fault(x, &after))
		return "another fault";
	if (rc != BV_EMUL_FAULT && rc != BV_EMUL_DONE)
		return "an unexpected outcome";
	if (rc == BV_EMUL_DONE && guest.emul.rip != rip)
		return "RIP differs";
	if (memcmp(data, (void *)DATA, DATA_SIZE) && !memory_may_differ(x, &after))
		return "memory differs";
	return compare_registers(x, &after);
}

static void print_difference(const struct instance *x)
{
	const struct native *after = &native_state;

	for (int reg = 0; reg < 16; reg++)
		if (after->gpr[reg] != guest.gpr[reg])
			printf("\tr%d: before %#llx, CPU %#llx, emulator %#llx\n", reg,
			       x->before.gpr[reg], after->gpr[reg], guest.gpr[reg]);
	printf("\tflags: before %#llx, CPU %#llx, emulator %#llx\n", x->before.rflags,
	       after->rflags, guest.emul.rflags);
	printf("\tCPU: trap %lld error %#llx cr2 %#llx; emulator: %u %#x %#llx\n",
	       (long long)after->trap - 1, after->error, after->cr2, guest.emul.fault.vector,
	       guest.emul.fault.error, guest.emul.fault.cr2);
	printf("\toperand at %#llx\n", x->target);
}

static bool setup(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	static u8 stack[65536];
	static bool done;
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = native_fault,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	int fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	if (done)
		return true;
	if (mmap((void *)RESERVED, RESERVED_SIZE, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
		 0) != (void *)RESERVED)
		return false;
	mmap((void *)CODE, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, fixed, -1, 0);
	mmap((void *)CONTROL, 0x1000, PROT_READ | PROT_WRITE, fixed, -1, 0);
	mmap((void *)DATA, DATA_SIZE, PROT_READ | PROT_WRITE, fixed, -1, 0);
	alarm(120); /* an endless loop of the processor's own is a failure, too */
	sigaltstack(&alternate, NULL);
	for (unsigned int at = 0; at < BV_ARRAY_SIZE(signals); at++)
		sigaction(signals[at], &action, NULL);
	done = true;
	return true;
}

static unsigned int rounds(void)
{
	const char *text = getenv("EMUL_ROUNDS");

	return text ? (unsigned int)strtoul(text, NULL, 0) : 150;
}

static unsigned int try_form(const struct form *form)
{
	static struct instance x;
	unsigned int bad = 0;

	for (unsigned int round = rounds(); round && bad < 3; round--) {
		const char *difference;

		build(&x, form);
		difference = compare(&x);
		if (!difference)
			continue;
		show(&x, difference);
		print_difference(&x);
		bad++;
	}
	return bad;
}

static void try_forms(const struct form *forms, unsigned int count)
{
	if (!setup()) {
		test_skip("the address space that the trampoline needs is taken");
		return;
	}
	seed = 0x9e3779b97f4a7c15ull;
	for (unsigned int at = 0; at < count; at++)
		CHECK_EQ(try_form(&forms[at]), 0);
}

TEST(integer_instructions_do_what_the_processor_does)
{
	try_forms(integer_forms, BV_ARRAY_SIZE(integer_forms));
}

TEST(stack_and_branch_instructions_do_what_the_processor_does)
{
	try_forms(stack_forms, BV_ARRAY_SIZE(stack_forms));
}

TEST(string_instructions_do_what_the_processor_does)
{
	try_forms(string_forms, BV_ARRAY_SIZE(string_forms));
}

TEST(privileged_instructions_fault_as_on_the_processor)
{
	try_forms(privileged_forms, BV_ARRAY_SIZE(privileged_forms));
}

TEST(vector_moves_do_what_the_processor_does)
{
	unsigned int eax, ebx, ecx = 0, edx;

	__get_cpuid(1, &eax, &ebx, &ecx, &edx);
	if (!(ecx & bit_OSXSAVE) || !(ecx & bit_AVX)) {
		test_skip("no AVX here");
		return;
	}
	try_forms(vector_forms, BV_ARRAY_SIZE(vector_forms));
}
