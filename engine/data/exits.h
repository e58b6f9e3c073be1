/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Why a guest stopped running, and what is counted: one line each, EXIT(name, text). The text is
 * the counter's name for users. The vendors translate their codes to these (svm/svm_exit.c); the
 * handlers stand in the table of core/exit.c.
 */
#ifndef BV_DATA_EXITS_H
#define BV_DATA_EXITS_H

#define BV_EXITS(EXIT)                                                                         \
	EXIT(HOST, "host_interrupt") /* an interrupt or NMI of the host: nothing to do */      \
	EXIT(TURN_OVER, "turn_over") /* the guest has had the CPU for its turn */              \
	EXIT(NESTED_FAULT, "nested_fault") /* no or not enough mapping under a guest page */   \
	EXIT(EOI, "eoi") /* the hardware has ended an interrupt of which an exit was wanted */ \
	EXIT(LOG_FULL, "log_full") /* the hardware has logged as many pages as it can */       \
	EXIT(PORT, "port") /* IN or OUT of one item, or a string form */                       \
	EXIT(CPUID, "cpuid")                                                                   \
	EXIT(RDMSR, "rdmsr")                                                                   \
	EXIT(WRMSR, "wrmsr")                                                                   \
	EXIT(HLT, "hlt")                                                                       \
	EXIT(HYPERCALL, "hypercall")                                                           \
	EXIT(IRQ_WINDOW, "irq_window")                                                         \
	EXIT(NMI_WINDOW, "nmi_window") /* the guest is about to execute IRET */                \
	EXIT(CR_WRITE, "cr_write") /* MOV to CR0, CR4 or CR8, LMSW, CLTS */                    \
	EXIT(DR_ACCESS, "dr_access")                                                           \
	EXIT(XSETBV, "xsetbv")                                                                 \
	EXIT(RDTSC, "rdtsc")                                                                   \
	EXIT(RDPMC, "rdpmc")                                                                   \
	EXIT(PAUSE, "pause")                                                                   \
	EXIT(MONITOR, "monitor")                                                               \
	EXIT(MWAIT, "mwait")                                                                   \
	EXIT(CACHE, "cache_flush") /* WBINVD, INVD */                                          \
	EXIT(EXCEPTION, "exception")                                                           \
	EXIT(UNDEFINED, "undefined") /* an instruction that this VM does not have: #UD */      \
	EXIT(VIRT, "virtualization") /* an instruction of hypervisors: VMRUN and its kin */    \
	EXIT(L2, "guest_of_guest") /* one that the guest's guest may have made for it */       \
	EXIT(L2_FAULT, "guest_of_guest_fault") /* as nested_fault, by the guest's own table */ \
	EXIT(TASK_SWITCH, "task_switch")                                                       \
	EXIT(TRIPLE_FAULT, "triple_fault")                                                     \
	EXIT(INIT, "init")                                                                     \
	EXIT(ENTRY_FAILED, "entry_failed")                                                     \
	EXIT(UNKNOWN, "unknown")

/* Counters that are no exit. */
#define BV_COUNTS(COUNT)                                   \
	COUNT(ENTRIES, "entries")                          \
	COUNT(TO_FRONT, "exits_to_front")                  \
	COUNT(IRQS_INJECTED, "irq_injections")             \
	COUNT(NMIS_INJECTED, "nmi_injections")             \
	COUNT(EXCEPTIONS_INJECTED, "exception_injections") \
	COUNT(EMULATED, "instructions_emulated")           \
	COUNT(MMIO, "mmio_accesses")                       \
	COUNT(PAGES_4K, "pages_4k_mapped")                 \
	COUNT(PAGES_2M, "pages_2m_mapped")                 \
	COUNT(PAGES_1G, "pages_1g_mapped")                 \
	COUNT(TLB_FLUSHES, "tlb_flushes")                  \
	COUNT(HALT_WAITS, "halt_waits")

#endif
