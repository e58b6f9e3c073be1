/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries of all 256 vectors, and the switch from one thread's stack to another's. */

	.text
	.altmacro
	.macro entry vector
	.balign 16
	/* Those for which the processor has pushed an error code itself. */
	.if (\vector == 8) || (\vector >= 10 && \vector <= 14) || (\vector == 17)
	.elseif (\vector == 21) || (\vector == 29) || (\vector == 30)
	.else
	push $0
	.endif
	push $\vector
	jmp trap_common
	.endm

	.balign 16
	.globl trap_entries
trap_entries:
	.set number, 0
	.rept 256
	entry %number
	.set number, number + 1
	.endr

trap_common:
	cld
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, %rdi
	mov %rsp, %rbp
	and $-16, %rsp
	call metal_trap
	mov %rbp, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

	/*
	 * void thread_switch(u64 *save_rsp, u64 rsp): what a C function expects to find again is
	 * kept on the stack.
	 */
	.globl thread_switch
thread_switch:
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, (%rdi)
	mov %rsi, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	ret

	/* The first return address of a new thread: r12 is its function, r13 the argument. */
	.globl thread_begin
thread_begin:
	call metal_thread_first
	mov %r13, %rdi
	xor %ebp, %ebp
	call *%r12
	call metal_thread_exit
	ud2

	.section .note.GNU-stack, "", @progbits
