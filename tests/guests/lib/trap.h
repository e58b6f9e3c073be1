/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exceptions and interrupts of a guest: the table of handlers, and the way to ask "what does this
 * fault with?".
 */
#ifndef GUEST_TRAP_H
#define GUEST_TRAP_H

#include "guest.h"

enum vector {
	TRAP_DE = 0,
	TRAP_DB = 1,
	TRAP_NMI = 2,
	TRAP_BP = 3,
	TRAP_OF = 4,
	TRAP_BR = 5,
	TRAP_UD = 6,
	TRAP_NM = 7,
	TRAP_DF = 8,
	TRAP_TS = 10,
	TRAP_NP = 11,
	TRAP_SS = 12,
	TRAP_GP = 13,
	TRAP_PF = 14,
	TRAP_MF = 16,
	TRAP_AC = 17,
	TRAP_XF = 19,
	TRAP_USER_RETURN = 0x81, /* the end of code started by fault_of_user() */
	TRAP_NONE = 256, /* what fault_of() says when nothing faulted */
};

#define SEL_KCODE 0x08
#define SEL_KDATA 0x10
#define SEL_KCODE32 0x18
#define SEL_UCODE32 0x23
#define SEL_UDATA 0x2b
#define SEL_UCODE 0x33
#define SEL_KCODE16 0x38
#define SEL_KDATA16 0x40
#define SEL_FREE 0x48 /* four entries for the tests */
#define SEL_TSS 0x68 /* two entries a CPU */

#define GDT_FREE (SEL_FREE / 8)
#define GDT_TSS (SEL_TSS / 8)
#define GDT_ENTRIES (GDT_TSS + 2 * MAX_CPUS)

struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

/* One entry of the IDT in long mode. */
struct gate {
	u16 offset_low;
	u16 selector;
	u8 ist;
	u8 type;
	u16 offset_mid;
	u32 offset_high;
	u32 reserved;
};

#define GATE_INTERRUPT 0x8e
#define GATE_TRAP 0x8f
#define GATE_DPL3 0x60
#define GATE_PRESENT 0x80

struct fault {
	u32 vector; /* enum vector */
	u32 error;
	u64 rip, cr2, rflags, dr6;
};

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3;
	u16 iomap;
} __attribute__((packed));

extern u64 gdt[GDT_ENTRIES];
extern struct gate idt[256];

typedef void (*trap_handler)(struct trap_frame *frame);

/* Sets up IDT, TSS and GS base of the CPU that calls; index 0 is the boot CPU. */
void trap_init_cpu(u32 index);
/* Loads the shared IDT; also after a test had another one. */
void trap_load_idt(void);
/*
 * Calls `handler` for a vector, on all CPUs; NULL takes it away. An expected fault goes before
 * handlers.
 */
void trap_handle(u32 vector, trap_handler handler);
/* IST stack 1 to 3 for a vector, 0 for none. */
void trap_set_ist(u32 vector, u8 ist);
void trap_set_dpl(u32 vector, u8 dpl);

/*
 * Runs body(argument) and says what it faulted with; it does not come back to the body after a
 * fault.
 */
struct fault fault_of(void (*body)(void *argument), void *argument);
/* The same at CPL 3. The body may touch what is mapped for the user: all of the identity map. */
struct fault fault_of_user(void (*body)(void *argument), void *argument);
/* The top of the stack that such code has. */
u64 user_stack(void);
/* The same at CPL 3 in a 32-bit code segment; the code ends itself by INT 0x81. */
struct fault fault_of_user32(void *code);

/*
 * For handlers: takes what runs inside fault_of() away as if it had faulted. False if nothing does.
 */
bool fault_abort(struct trap_frame *frame);

/* RDMSR and WRMSR that may fault: the vector, or TRAP_NONE. */
u32 try_rdmsr(u32 msr, u64 *value);
u32 try_wrmsr(u32 msr, u64 value);

#endif
