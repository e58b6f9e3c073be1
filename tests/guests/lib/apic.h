/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interrupt chips as a guest sees them: local APIC in both modes, I/O APIC, 8259 pair, 8254.
 */
#ifndef GUEST_APIC_H
#define GUEST_APIC_H

#include "smp.h"

/* Register offsets of the local APIC's page; x2APIC's MSR is 0x800 + offset / 16. */
#define APIC_PAGE 0xfee00000ull
#define APIC_ID 0x020
#define APIC_VERSION 0x030
#define APIC_TPR 0x080
#define APIC_PPR 0x0a0
#define APIC_EOI 0x0b0
#define APIC_LDR 0x0d0
#define APIC_DFR 0x0e0
#define APIC_SPIV 0x0f0
#define APIC_ISR 0x100
#define APIC_TMR 0x180
#define APIC_IRR 0x200
#define APIC_ESR 0x280
#define APIC_ICR 0x300
#define APIC_ICR2 0x310
#define APIC_LVT_TIMER 0x320
#define APIC_LVT_LINT0 0x350
#define APIC_LVT_LINT1 0x360
#define APIC_LVT_ERROR 0x370
#define APIC_INITIAL 0x380
#define APIC_CURRENT 0x390
#define APIC_DIVIDE 0x3e0
#define APIC_SELF_IPI 0x3f0 /* x2APIC only */

#define APIC_BASE_BSP (1u << 8)
#define APIC_BASE_X2 (1u << 10)
#define APIC_BASE_ENABLE (1u << 11)

#define ICR_FIXED 0x00000
#define ICR_LOWEST 0x00100
#define ICR_NMI 0x00400
#define ICR_INIT 0x00500
#define ICR_SIPI 0x00600
#define ICR_LOGICAL 0x00800
#define ICR_PENDING 0x01000
#define ICR_ASSERT 0x04000
#define ICR_LEVEL 0x08000
#define ICR_SELF 0x40000
#define ICR_ALL 0x80000
#define ICR_OTHERS 0xc0000

#define LVT_MASKED (1u << 16)
#define LVT_PERIODIC (1u << 17)
#define LVT_TSC_DEADLINE (1u << 18)

#define IOAPIC_PAGE 0xfec00000ull
#define IOAPIC_PINS 24

#define IOAPIC_LEVEL (1u << 15)
#define IOAPIC_MASKED (1u << 16)

/* What ACPI's MADT says of the machine; guest_start() fills it. */
struct machine {
	u32 cpus;
	u32 apic_ids[MAX_CPUS];
	u32 gsi[16]; /* the I/O APIC's pin of an ISA interrupt */
};
extern struct machine machine;

void apic_init_cpu(void);
bool apic_has_x2(void);
void apic_set_x2(bool on);
u32 apic_read(u32 offset);
void apic_write(u32 offset, u32 value);
void apic_eoi(void);
void apic_ipi(u32 apic_id, u32 icr);
/* A shorthand (ICR_SELF, ICR_ALL, ICR_OTHERS) is part of icr. */
void apic_ipi_shorthand(u32 icr);
/*
 * True if the bit of `vector` is set in one of the three 256-bit registers, APIC_ISR, APIC_TMR or
 * APIC_IRR.
 */
bool apic_bit(u32 offset, u32 vector);

/* Whether there are an I/O APIC, 8259s and an 8254; if not, the test is skipped. */
bool has_pc_chips(void);
u32 ioapic_read(u32 index);
void ioapic_write(u32 index, u32 value);
void ioapic_route(u32 pin, u32 apic_id, u32 low);

void pic_mask_all(void);
void pic_init(u8 base);
void pit_start(u8 channel, u8 mode, u16 count);
u16 pit_read(u8 channel);

/* A handler that counts in the CPU's irqs[] and ends the interrupt at the local APIC. */
void irq_count(struct trap_frame *frame);

#endif
