/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a guest comes to life: the PVH entry (32-bit, no paging, EBX = start info) and the other
 * CPUs' entry by SIPI. Both build nothing that C can build: the identity map, long mode, a stack.
 */
#include "start.h"

	/*
	 * The ELF note that makes an image a PVH kernel: type 18, the physical address of the
	 * entry.
	 */
	.section .note.Xen, "a", @note
	.balign 4
	.long 2f - 1f
	.long 4f - 3f
	.long 18
1:	.asciz "Xen"
2:	.balign 4
3:	.long guest_entry
4:	.balign 4

	.section .text.start, "ax"
	.code32
	.globl guest_entry
guest_entry:
	cli
	cld
	movl	$boot_stack_end, %esp
	movl	%ebx, start_info_address

	/*
	 * Four page directories, one after the other, map 4 GiB by 2 MiB; the last GiB (chips)
	 * uncached.
	 */
	movl	$boot_pd, %edi
	movl	$0x87, %eax
	xorl	%ecx, %ecx
1:	movl	%eax, (%edi)
	cmpl	$1536, %ecx
	jb	2f
	orl	$0x10, (%edi)
2:	movl	$0, 4(%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	incl	%ecx
	cmpl	$2048, %ecx
	jb	1b

	movl	$boot_pd + 0x007, boot_pdpt
	movl	$boot_pd + 0x1007, boot_pdpt + 8
	movl	$boot_pd + 0x2007, boot_pdpt + 16
	movl	$boot_pd + 0x3007, boot_pdpt + 24
	movl	$boot_pdpt + 7, boot_pml4

	lgdt	gdt_pointer
	ENTER_LONG boot_start64
	.code64
boot_start64:
	movq	$boot_stack_end, %rsp
	call	guest_start
1:	hlt
	jmp	1b

	/* Another CPU: SIPI vector 8 begins here, at 0x8000, in real mode. */
	.section .low.trampoline, "awx"
	.code16
	.globl ap_entry
ap_entry:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	low_gdt_pointer
	movl	%cr0, %eax
	andl	$0x9fffffff, %eax /* INIT leaves the caches off */
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$SEL_KCODE32, $ap_start32
	.code32
ap_start32:
	movw	$SEL_KDATA, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	ENTER_LONG ap_start64
	.code64
ap_start64:
	movl	$1, %edi
	lock xaddl %edi, ap_next
	leal	1(%edi), %eax
	imull	$STACK_SIZE, %eax
	leaq	cpu_stacks(%rax), %rsp
	call	ap_main
1:	hlt
	jmp	1b

	.balign 8
	.globl low_gdt_pointer
low_gdt_pointer:
	.word	GDT_BYTES - 1
	.long	gdt
	.globl ap_next
	.balign 4
ap_next:
	.long	1

	.data
	.balign 8
gdt_pointer:
	.word	GDT_BYTES - 1
	.quad	gdt
	.globl start_info_address
	.balign 4
start_info_address:
	.long	0

	.bss
	.balign 4096
	.globl boot_pml4
boot_pml4:
	.skip	4096
boot_pdpt:
	.skip	4096
boot_pd:
	.skip	4 * 4096
boot_stack:
	.skip	STACK_SIZE
boot_stack_end:
	.section .note.GNU-stack, "", @progbits
