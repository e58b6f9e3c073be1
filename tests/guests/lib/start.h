/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the assembly files share: numbers that trap.h and smp.h have too (start.c checks them), and
 * the way up.
 */
#ifndef GUEST_START_H
#define GUEST_START_H

#define STACK_SIZE 16384
#define SEL_KCODE 0x08
#define SEL_KDATA 0x10
#define SEL_KCODE32 0x18
#define SEL_UDATA 0x2b
#define SEL_UCODE 0x33
#define SEL_KCODE16 0x38
#define SEL_KDATA16 0x40
#define SEL_UCODE32 0x23
#define GDT_BYTES ((13 + 2 * 16) * 8)

#define CPU_FAULT_RSP 8
#define CPU_FAULT_FLAGS 16

#ifdef __ASSEMBLER__
/*
 * From 32-bit protected mode without paging, flat segments and the guest's GDT, to 64-bit code at
 * `target`.
 */
/* clang-format off */
.macro ENTER_LONG target
	movl	$boot_pml4, %eax
	movl	%eax, %cr3
	movl	$0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x901, %eax		/* LME, NXE, SCE */
	wrmsr
	movl	$0x80010033, %eax	/* PG, WP, NE, ET, MP, PE */
	movl	%eax, %cr0
	ljmp	$SEL_KCODE, $1f
	.code64
1:	movw	$SEL_KDATA, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	xorl	%eax, %eax
	movw	%ax, %fs
	movw	%ax, %gs
	movabsq	$\target, %rax
	jmp	*%rax
.endm
/* clang-format on */
#endif

#endif
