/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 256 entries of 16 bytes, one way into C, and the two calls that come back when what they call
 * faults.
 */
#include "start.h"

	.text
	.code64
	.balign 16
	.globl trap_entries
trap_entries:
	vector = 0
	.rept 256
	.balign 16
	.if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21) || \
	    (vector == 29) || (vector == 30)
	.else
	pushq	$0
	.endif
	pushq	$vector
	jmp	trap_common
	vector = vector + 1
	.endr

trap_common:
	pushq	%rax
	pushq	%rbx
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%rbp
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	cld
	movq	%rsp, %rdi
	call	trap_dispatch
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rbp
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rbx
	popq	%rax
	addq	$16, %rsp
	iretq

.macro SAVE_FOR_FAULT
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushfq
	popq	%gs:CPU_FAULT_FLAGS
	pushq	%gs:CPU_FAULT_RSP	/* one call may stand inside another */
	movq	%rsp, %gs:CPU_FAULT_RSP
.endm

	/* void fault_call(void (*body)(void *), void *argument) */
	.globl fault_call
fault_call:
	SAVE_FOR_FAULT
	movq	%rdi, %rax
	movq	%rsi, %rdi
	call	*%rax
	/* trap_dispatch() goes on here after a fault, with RSP as saved. */
	.globl fault_return
fault_return:
	cld
	popq	%gs:CPU_FAULT_RSP
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	/* void fault_call_user(void (*body)(void *), void *argument, u64 stack) */
	.globl fault_call_user
fault_call_user:
	SAVE_FOR_FAULT
	movq	$user_end, -8(%rdx)
	subq	$8, %rdx
	pushq	$SEL_UDATA
	pushq	%rdx
	pushq	$0x202
	pushq	$SEL_UCODE
	pushq	%rdi
	movq	%rsi, %rdi
	iretq
user_end:
	int	$0x81

	/* void fault_call_user32(void *code, void *unused, u64 stack) */
	.globl fault_call_user32
fault_call_user32:
	SAVE_FOR_FAULT
	pushq	$SEL_UDATA
	pushq	%rdx
	pushq	$0x202
	pushq	$SEL_UCODE32
	pushq	%rdi
	movl	$SEL_UDATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	iretq
	.section .note.GNU-stack, "", @progbits
