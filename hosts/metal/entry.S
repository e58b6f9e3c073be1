/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the loader to C. Every loader enters in 32-bit protected mode without paging: Multiboot 1
 * and 2 with a magic number in EAX and the information in EBX, PVH with its information in EBX.
 * Application processors come from real mode through the trampoline.
 */
#include "hosts/metal/layout.h"

/* The machine address of a symbol. */
#define MACHINE(symbol) (symbol - IMAGE_BASE + IMAGE_LOAD)

	.section .head, "ax"
	.code32
	.globl boot_start
boot_start:
	jmp boot_multiboot
	.balign 16
	jmp boot_pvh

	/* Multiboot 1: modules on page boundaries, with memory information. */
	.balign 8
	.long 0x1badb002, 0x00000003, -(0x1badb002 + 0x00000003)

	/*
	 * Multiboot 2: modules on page boundaries; a framebuffer of any kind, if there is one; the
	 * end.
	 */
	.balign 8
multiboot2:
	.long 0xe85250d6, 0, multiboot2_end - multiboot2
	.long -(0xe85250d6 + (multiboot2_end - multiboot2))
	.balign 8
	.word 6, 0
	.long 8
	.balign 8
	.word 5, 1
	.long 20, 0, 0, 0
	.balign 8
	.word 0, 0
	.long 8
multiboot2_end:

boot_pvh:
	mov $BOOT_PVH, %esi
	jmp boot_common
boot_multiboot:
	mov $BOOT_MULTIBOOT1, %esi
	cmp $0x2badb002, %eax
	je boot_common
	mov $BOOT_MULTIBOOT2, %esi
	cmp $0x36d76289, %eax
	je boot_common
	/* No loader that we know. */
1:	hlt
	jmp 1b

boot_common:
	cli
	cld
	mov $MACHINE(boot_stack_end), %esp

	/* 4 GiB by 2 MiB pages, at 0 and at DIRECT_BASE; the image at IMAGE_BASE. */
	mov $MACHINE(boot_pd), %edi
	mov $0x83, %eax
	xor %ecx, %ecx
1:	mov %eax, (%edi, %ecx, 8)
	add $0x200000, %eax
	inc %ecx
	cmp $2048, %ecx
	jne 1b
	mov $MACHINE(boot_pd) + 3, %eax
	mov $MACHINE(boot_pdpt), %edi
	mov %eax, (%edi)
	add $4096, %eax
	mov %eax, 8(%edi)
	add $4096, %eax
	mov %eax, 16(%edi)
	add $4096, %eax
	mov %eax, 24(%edi)
	movl $(IMAGE_LOAD + 0x83), MACHINE(boot_image_pd)
	movl $(IMAGE_LOAD + 0x200083), MACHINE(boot_image_pd) + 8
	movl $MACHINE(boot_image_pd) + 3, MACHINE(boot_image_pdpt) + 8 * IMAGE_PDPT_SLOT
	mov $MACHINE(boot_pml4), %edi
	movl $MACHINE(boot_pdpt) + 3, (%edi)
	movl $MACHINE(boot_pdpt) + 3, 8 * DIRECT_SLOT(%edi)
	movl $MACHINE(boot_image_pdpt) + 3, 8 * IMAGE_SLOT(%edi)

	call to_long_mode
	lgdt MACHINE(boot_gdt_pointer)
	ljmp $SEL_CODE64, $MACHINE(boot_long)

/* Paging on, with the tables at boot_pml4. Changes EAX, ECX, EDX. */
to_long_mode:
	mov $0x20, %eax /* PAE */
	mov %eax, %cr4
	mov $MACHINE(boot_pml4), %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $0x900, %eax /* LME, NXE */
	wrmsr
	mov $0x80010033, %eax /* PG, WP, NE, ET, MP, PE */
	mov %eax, %cr0
	ret

	.code64
boot_long:
	mov $SEL_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	movabs $1f, %rax
	jmp *%rax
1:	lea boot_stack_end(%rip), %rsp
	xor %ebp, %ebp
	mov %esi, %edi
	mov %ebx, %esi
	call metal_main
	ud2

/* ---- application processors ---- */

	/* Copied to TRAMPOLINE, entered in real mode at its start. */
	.code16
	.globl trampoline_start, trampoline_end
trampoline_start:
	cli
	cld
	xor %ax, %ax
	mov %ax, %ds
	lgdtl TRAMPOLINE + (trampoline_gdt_pointer - trampoline_start)
	mov $0x11, %eax
	mov %eax, %cr0
	ljmpl $SEL_CODE32, $MACHINE(ap_protected)
trampoline_gdt_pointer:
	.word boot_gdt_end - boot_gdt - 1
	.long MACHINE(boot_gdt)
trampoline_end:

	.code32
ap_protected:
	mov $SEL_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $MACHINE(ap_stack_end), %esp
	call to_long_mode
	ljmp $SEL_CODE64, $MACHINE(ap_long)
	.code64
ap_long:
	movabs $1f, %rax
	jmp *%rax
1:	mov ap_stack(%rip), %rsp
	xor %ebp, %ebp
	mov %ebp, %fs
	mov %ebp, %gs
	call metal_ap_main
	ud2

	.balign 8
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* SEL_CODE64 */
	.quad 0x00cf93000000ffff /* SEL_DATA */
	.quad 0x00cf9b000000ffff /* SEL_CODE32 */
boot_gdt_end:
boot_gdt_pointer:
	.word boot_gdt_end - boot_gdt - 1
	.long MACHINE(boot_gdt)

	.bss
	.balign 4096
	.globl boot_pml4, boot_pdpt, boot_pd, boot_image_pd, boot_image_pdpt
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_image_pdpt: .skip 4096
boot_image_pd: .skip 4096
boot_pd: .skip 4 * 4096
	.globl boot_stack, boot_stack_end, ap_stack
boot_stack: .skip STACK_BYTES
boot_stack_end:
	.skip 64
ap_stack_end: /* for one return address, before paging is on */
ap_stack: .quad 0

	.section .note.GNU-stack, "", @progbits
