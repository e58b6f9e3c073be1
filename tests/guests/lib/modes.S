/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way down from long mode and up again. All of it stands under 64 KiB, so that every mode can
 * run it.
 */
#include "start.h"

	.section .low.modes, "awx"
	.balign 16
saved_rsp:
	.quad	0
saved_cr3:
	.quad	0
saved_cr0:
	.quad	0
saved_cr4:
	.quad	0
saved_gs:
	.quad	0
saved_idt:
	.skip	16
saved_gdt:
	.skip	16
target:
	.long	0
target_cr3:
	.long	0
target_cr4:
	.long	0
real_idt:
	.word	0x3ff
	.long	0

	.code64
.macro LEAVE_LONG continue
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushfq
	cli
	movl	%edi, target
	movl	%esi, target_cr3
	movl	%edx, target_cr4
	movq	%rsp, saved_rsp
	movq	%cr3, %rax
	movq	%rax, saved_cr3
	movq	%cr4, %rax
	movq	%rax, saved_cr4
	movl	$0xc0000101, %ecx
	rdmsr
	movl	%eax, saved_gs
	movl	%edx, saved_gs + 4
	sidt	saved_idt
	sgdt	saved_gdt
	pushq	$SEL_KCODE32
	pushq	$\continue
	lretq
.endm

	/* Compatibility mode to protected mode without paging, long mode off. */
	.code32
.macro PAGING_OFF
	movl	$SEL_KDATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%cr0, %eax
	movl	%eax, saved_cr0
	andl	$0x7fffffff, %eax
	movl	%eax, %cr0
	movl	$0xc0000080, %ecx
	rdmsr
	andl	$~0x100, %eax
	wrmsr
.endm

	.code64
	.globl real_call
real_call:
	LEAVE_LONG real_from32
	.code32
real_from32:
	PAGING_OFF
	ljmp	$SEL_KCODE16, $1f
	.code16
1:	movw	$SEL_KDATA16, %ax	/* limits of 64 KiB, as real mode has them */
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%ax, %ss
	lidtl	real_idt
	movl	%cr0, %eax
	andb	$0xfe, %al
	movl	%eax, %cr0
	ljmp	$0, $1f
1:	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %fs
	movw	%ax, %gs
	movw	%ax, %ss
	movl	$0x7800, %esp
	call	*target
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	low_gdt_pointer
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$SEL_KCODE32, $back32

	.code64
	.globl protected_call
protected_call:
	LEAVE_LONG protected_from32
	.code32
protected_from32:
	PAGING_OFF
	movl	target_cr4, %eax
	movl	%eax, %cr4
	movl	$0x7800, %esp
	movl	target_cr3, %eax
	testl	%eax, %eax
	jz	1f
	movl	%eax, %cr3
	movl	saved_cr0, %eax
	movl	%eax, %cr0
	jmp	1f
1:	call	*target
	movl	%cr0, %eax
	andl	$0x7fffffff, %eax
	movl	%eax, %cr0

back32:
	movl	$SEL_KDATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	saved_cr3, %eax
	movl	%eax, %cr3
	movl	saved_cr4, %eax
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	saved_cr0, %eax
	movl	%eax, %cr0
	ljmp	$SEL_KCODE, $back64
	.code64
back64:
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	$0xc0000101, %ecx
	movl	saved_gs, %eax
	movl	saved_gs + 4, %edx
	wrmsr
	lidt	saved_idt
	lgdt	saved_gdt
	movq	saved_rsp, %rsp
	popfq
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	/* The caller stands above 64 KiB, but a near return reaches all. */
	ret
	.section .note.GNU-stack, "", @progbits
