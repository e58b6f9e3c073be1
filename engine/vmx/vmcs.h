/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * VT-x's numbers as Intel's manual has them: Software Developer's Manual volume 3, chapters 24 to
 * 28 (of edition 079; later ones have renumbered them), appendices A (capabilities), B (field
 * encodings), C (exit reasons). Each list is a table whose rows carry the manual's words, so that
 * what is said of a field or a control can be found there. Only this folder includes it.
 */
#ifndef BV_VMX_VMCS_H
#define BV_VMX_VMCS_H

#include "bv/types.h"

/* ---- MSRs ---- */

#define MSR_FEATURE_CONTROL 0x3au
#define FEATURE_CONTROL_LOCK BV_BIT(0)
#define FEATURE_CONTROL_VMXON BV_BIT(2) /* outside of SMX */
#define MSR_SYSENTER_CS 0x174u
#define MSR_SYSENTER_ESP 0x175u
#define MSR_SYSENTER_EIP 0x176u
#define MSR_MISC_ENABLE 0x1a0u
#define VMX_FAST_STRINGS BV_BIT(0) /* of MISC_ENABLE: SDM 3, 7.3.9.3 */
#define MSR_DEBUGCTL 0x1d9u
#define MSR_PERF_GLOBAL_CTRL 0x38fu
#define MSR_X2APIC_EOI 0x80bu
#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_SFMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u

/* Appendix A: MSR(member, index, "name") */
#define VMX_CAPABILITY_MSRS(MSR)                              \
	MSR(basic, 0x480, "IA32_VMX_BASIC")                   \
	MSR(pin, 0x481, "IA32_VMX_PINBASED_CTLS")             \
	MSR(proc, 0x482, "IA32_VMX_PROCBASED_CTLS")           \
	MSR(exit, 0x483, "IA32_VMX_EXIT_CTLS")                \
	MSR(entry, 0x484, "IA32_VMX_ENTRY_CTLS")              \
	MSR(misc, 0x485, "IA32_VMX_MISC")                     \
	MSR(cr0_fixed0, 0x486, "IA32_VMX_CR0_FIXED0")         \
	MSR(cr0_fixed1, 0x487, "IA32_VMX_CR0_FIXED1")         \
	MSR(cr4_fixed0, 0x488, "IA32_VMX_CR4_FIXED0")         \
	MSR(cr4_fixed1, 0x489, "IA32_VMX_CR4_FIXED1")         \
	MSR(proc2, 0x48b, "IA32_VMX_PROCBASED_CTLS2")         \
	MSR(ept_vpid, 0x48c, "IA32_VMX_EPT_VPID_CAP")         \
	MSR(true_pin, 0x48d, "IA32_VMX_TRUE_PINBASED_CTLS")   \
	MSR(true_proc, 0x48e, "IA32_VMX_TRUE_PROCBASED_CTLS") \
	MSR(true_exit, 0x48f, "IA32_VMX_TRUE_EXIT_CTLS")      \
	MSR(true_entry, 0x490, "IA32_VMX_TRUE_ENTRY_CTLS")

/* A.1 */
#define VMX_BASIC_REVISION 0x7fffffffu
#define VMX_BASIC_BYTES_SHIFT 32
#define VMX_BASIC_BYTES 0x1fffu
#define VMX_BASIC_32_BITS BV_BIT(48)
#define VMX_BASIC_TYPE_SHIFT 50
#define VMX_BASIC_TYPE 0xfu
#define VMX_BASIC_TYPE_WB 6u
#define VMX_BASIC_TRUE BV_BIT(55)
/* A.6 */
#define VMX_MISC_TIMER_SHIFT 0x1f /* the preemption timer's ticks, in those of the TSC */
#define VMX_MISC_STORES_LMA BV_BIT(5)
#define VMX_MISC_HLT BV_BIT(6)
#define VMX_MISC_ZERO_LENGTH BV_BIT(30)
/* A.10 */
#define VMX_EPT_WALK_4 BV_BIT(6)
#define VMX_EPT_WB BV_BIT(14)
#define VMX_EPT_2M BV_BIT(16)
#define VMX_EPT_1G BV_BIT(17)
#define VMX_EPT_INVEPT BV_BIT(20)
#define VMX_EPT_AD BV_BIT(21)
#define VMX_EPT_INVEPT_SINGLE BV_BIT(25)
#define VMX_EPT_INVEPT_ALL BV_BIT(26)
#define VMX_VPID_INVVPID BV_BIT(32)
#define VMX_VPID_SINGLE BV_BIT(41)
#define VMX_VPID_ALL BV_BIT(42)

/* ---- controls (24.6 to 24.8) ---- */

/*
 * What is made of a control:
 *	NEED	always set; without it the processor is refused
 *	WANT	always set where the processor has it
 *	TIMES	set at times; the processor must be able to
 *	MAYBE	set at times where the processor has it
 *	NEVER	clear, unless the processor insists
 */
enum vmx_use {
	VMX_NEED,
	VMX_WANT,
	VMX_TIMES,
	VMX_MAYBE,
	VMX_NEVER
};

enum vmx_word {
	VMX_PIN,
	VMX_PROC,
	VMX_PROC2,
	VMX_EXIT,
	VMX_ENTRY,
	VMX_WORDS
};

/* CONTROL(word, NAME, bit, use, "name") */
#define VMX_CONTROLS(CONTROL)                                                        \
	CONTROL(PIN, EXTERNAL_INTERRUPT, 0, NEED, "external-interrupt exiting")      \
	CONTROL(PIN, NMI, 3, NEED, "NMI exiting")                                    \
	CONTROL(PIN, VIRTUAL_NMIS, 5, NEED, "virtual NMIs")                          \
	CONTROL(PIN, PREEMPTION_TIMER, 6, WANT, "activate VMX-preemption timer")     \
	CONTROL(PIN, POSTED_INTERRUPTS, 7, NEVER, "process posted interrupts")       \
	CONTROL(PROC, INTERRUPT_WINDOW, 2, TIMES, "interrupt-window exiting")        \
	CONTROL(PROC, TSC_OFFSETTING, 3, NEED, "use TSC offsetting")                 \
	CONTROL(PROC, HLT, 7, NEED, "HLT exiting")                                   \
	CONTROL(PROC, INVLPG, 9, NEVER, "INVLPG exiting")                            \
	CONTROL(PROC, MWAIT, 10, NEED, "MWAIT exiting")                              \
	CONTROL(PROC, RDPMC, 11, NEED, "RDPMC exiting")                              \
	CONTROL(PROC, RDTSC, 12, TIMES, "RDTSC exiting")                             \
	CONTROL(PROC, CR3_LOAD, 15, NEVER, "CR3-load exiting")                       \
	CONTROL(PROC, CR3_STORE, 16, NEVER, "CR3-store exiting")                     \
	CONTROL(PROC, CR8_LOAD, 19, TIMES, "CR8-load exiting")                       \
	CONTROL(PROC, CR8_STORE, 20, NEVER, "CR8-store exiting")                     \
	CONTROL(PROC, TPR_SHADOW, 21, NEED, "use TPR shadow")                        \
	CONTROL(PROC, NMI_WINDOW, 22, TIMES, "NMI-window exiting")                   \
	CONTROL(PROC, MOV_DR, 23, TIMES, "MOV-DR exiting")                           \
	CONTROL(PROC, UNCONDITIONAL_IO, 24, NEED, "unconditional I/O exiting")       \
	CONTROL(PROC, IO_BITMAPS, 25, NEVER, "use I/O bitmaps")                      \
	CONTROL(PROC, TRAP_FLAG, 27, NEVER, "monitor trap flag")                     \
	CONTROL(PROC, MSR_BITMAPS, 28, NEED, "use MSR bitmaps")                      \
	CONTROL(PROC, MONITOR, 29, NEED, "MONITOR exiting")                          \
	CONTROL(PROC, PAUSE, 30, NEVER, "PAUSE exiting")                             \
	CONTROL(PROC, SECONDARY, 31, NEED, "activate secondary controls")            \
	CONTROL(PROC2, APIC_ACCESSES, 0, NEVER, "virtualize APIC accesses")          \
	CONTROL(PROC2, EPT, 1, NEED, "enable EPT")                                   \
	CONTROL(PROC2, DESCRIPTOR_TABLE, 2, NEVER, "descriptor-table exiting")       \
	CONTROL(PROC2, RDTSCP, 3, WANT, "enable RDTSCP")                             \
	CONTROL(PROC2, X2APIC_MODE, 4, MAYBE, "virtualize x2APIC mode")              \
	CONTROL(PROC2, VPID, 5, MAYBE, "enable VPID")                                \
	CONTROL(PROC2, WBINVD, 6, WANT, "WBINVD exiting")                            \
	CONTROL(PROC2, UNRESTRICTED_GUEST, 7, NEED, "unrestricted guest")            \
	CONTROL(PROC2, APIC_REGISTERS, 8, NEVER, "APIC-register virtualization")     \
	CONTROL(PROC2, INTERRUPT_DELIVERY, 9, MAYBE, "virtual-interrupt delivery")   \
	CONTROL(PROC2, PAUSE_LOOP, 10, WANT, "PAUSE-loop exiting")                   \
	CONTROL(PROC2, INVPCID, 12, WANT, "enable INVPCID")                          \
	CONTROL(PROC2, VM_FUNCTIONS, 13, NEVER, "enable VM functions")               \
	CONTROL(PROC2, VMCS_SHADOWING, 14, NEVER, "VMCS shadowing")                  \
	CONTROL(PROC2, PML, 17, MAYBE, "enable PML")                                 \
	CONTROL(PROC2, EPT_VE, 18, NEVER, "EPT-violation #VE")                       \
	CONTROL(PROC2, XSAVES, 20, NEVER, "enable XSAVES/XRSTORS")                   \
	CONTROL(EXIT, SAVE_DEBUG, 2, NEED, "save debug controls")                    \
	CONTROL(EXIT, HOST_64, 9, NEED, "host address-space size")                   \
	CONTROL(EXIT, LOAD_PERF, 12, MAYBE, "load IA32_PERF_GLOBAL_CTRL (exit)")     \
	CONTROL(EXIT, ACKNOWLEDGE, 15, NEVER, "acknowledge interrupt on exit")       \
	CONTROL(EXIT, SAVE_PAT, 18, NEVER, "save IA32_PAT")                          \
	CONTROL(EXIT, LOAD_PAT, 19, NEVER, "load IA32_PAT (exit)")                   \
	CONTROL(EXIT, SAVE_EFER, 20, NEVER, "save IA32_EFER")                        \
	CONTROL(EXIT, LOAD_EFER, 21, NEED, "load IA32_EFER (exit)")                  \
	CONTROL(EXIT, SAVE_TIMER, 22, NEVER, "save VMX-preemption timer value")      \
	CONTROL(ENTRY, LOAD_DEBUG, 2, NEED, "load debug controls")                   \
	CONTROL(ENTRY, LONG_MODE, 9, TIMES, "IA-32e mode guest")                     \
	CONTROL(ENTRY, SMM, 10, NEVER, "entry to SMM")                               \
	CONTROL(ENTRY, DUAL_MONITOR, 11, NEVER, "deactivate dual-monitor treatment") \
	CONTROL(ENTRY, LOAD_PERF, 13, MAYBE, "load IA32_PERF_GLOBAL_CTRL (entry)")   \
	CONTROL(ENTRY, LOAD_PAT, 14, NEVER, "load IA32_PAT (entry)")                 \
	CONTROL(ENTRY, LOAD_EFER, 15, NEED, "load IA32_EFER (entry)")

#define VMX_CONTROL_ENUM(word, name, bit, use, text) VMX_##word##_##name = 1u << (bit),
enum vmx_control {
	VMX_CONTROLS(VMX_CONTROL_ENUM)
};

/* ---- fields (appendix B): FIELD(NAME, encoding, "name") ---- */

#define VMX_FIELDS_16(FIELD)                                  \
	FIELD(VPID, 0x0000, "virtual-processor identifier")   \
	FIELD(GUEST_ES, 0x0800, "guest ES selector")          \
	FIELD(GUEST_CS, 0x0802, "guest CS selector")          \
	FIELD(GUEST_SS, 0x0804, "guest SS selector")          \
	FIELD(GUEST_DS, 0x0806, "guest DS selector")          \
	FIELD(GUEST_FS, 0x0808, "guest FS selector")          \
	FIELD(GUEST_GS, 0x080a, "guest GS selector")          \
	FIELD(GUEST_LDTR, 0x080c, "guest LDTR selector")      \
	FIELD(GUEST_TR, 0x080e, "guest TR selector")          \
	FIELD(GUEST_STATUS, 0x0810, "guest interrupt status") \
	FIELD(PML_INDEX, 0x0812, "PML index")                 \
	FIELD(HOST_ES, 0x0c00, "host ES selector")            \
	FIELD(HOST_CS, 0x0c02, "host CS selector")            \
	FIELD(HOST_SS, 0x0c04, "host SS selector")            \
	FIELD(HOST_DS, 0x0c06, "host DS selector")            \
	FIELD(HOST_FS, 0x0c08, "host FS selector")            \
	FIELD(HOST_GS, 0x0c0a, "host GS selector")            \
	FIELD(HOST_TR, 0x0c0c, "host TR selector")

#define VMX_FIELDS_64(FIELD)                                           \
	FIELD(MSR_BITMAP, 0x2004, "address of MSR bitmaps")            \
	FIELD(EXIT_STORE_ADDRESS, 0x2006, "VM-exit MSR-store address") \
	FIELD(EXIT_LOAD_ADDRESS, 0x2008, "VM-exit MSR-load address")   \
	FIELD(ENTRY_LOAD_ADDRESS, 0x200a, "VM-entry MSR-load address") \
	FIELD(PML_ADDRESS, 0x200e, "PML address")                      \
	FIELD(TSC_OFFSET, 0x2010, "TSC offset")                        \
	FIELD(VIRTUAL_APIC, 0x2012, "virtual-APIC address")            \
	FIELD(EPTP, 0x201a, "EPT pointer")                             \
	FIELD(EOI_EXIT0, 0x201c, "EOI-exit bitmap 0")                  \
	FIELD(EOI_EXIT1, 0x201e, "EOI-exit bitmap 1")                  \
	FIELD(EOI_EXIT2, 0x2020, "EOI-exit bitmap 2")                  \
	FIELD(EOI_EXIT3, 0x2022, "EOI-exit bitmap 3")                  \
	FIELD(GUEST_PHYSICAL, 0x2400, "guest-physical address")        \
	FIELD(LINK, 0x2800, "VMCS link pointer")                       \
	FIELD(GUEST_DEBUGCTL, 0x2802, "guest IA32_DEBUGCTL")           \
	FIELD(GUEST_EFER, 0x2806, "guest IA32_EFER")                   \
	FIELD(GUEST_PERF, 0x2808, "guest IA32_PERF_GLOBAL_CTRL")       \
	FIELD(GUEST_PDPTE0, 0x280a, "guest PDPTE0")                    \
	FIELD(GUEST_PDPTE1, 0x280c, "guest PDPTE1")                    \
	FIELD(GUEST_PDPTE2, 0x280e, "guest PDPTE2")                    \
	FIELD(GUEST_PDPTE3, 0x2810, "guest PDPTE3")                    \
	FIELD(HOST_EFER, 0x2c02, "host IA32_EFER")                     \
	FIELD(HOST_PERF, 0x2c04, "host IA32_PERF_GLOBAL_CTRL")

#define VMX_FIELDS_32(FIELD)                                                             \
	FIELD(PIN_CONTROLS, 0x4000, "pin-based VM-execution controls")                   \
	FIELD(PROC_CONTROLS, 0x4002, "primary processor-based VM-execution controls")    \
	FIELD(EXCEPTIONS, 0x4004, "exception bitmap")                                    \
	FIELD(PF_MASK, 0x4006, "page-fault error-code mask")                             \
	FIELD(PF_MATCH, 0x4008, "page-fault error-code match")                           \
	FIELD(CR3_TARGETS, 0x400a, "CR3-target count")                                   \
	FIELD(EXIT_CONTROLS, 0x400c, "VM-exit controls")                                 \
	FIELD(EXIT_STORE_COUNT, 0x400e, "VM-exit MSR-store count")                       \
	FIELD(EXIT_LOAD_COUNT, 0x4010, "VM-exit MSR-load count")                         \
	FIELD(ENTRY_CONTROLS, 0x4012, "VM-entry controls")                               \
	FIELD(ENTRY_LOAD_COUNT, 0x4014, "VM-entry MSR-load count")                       \
	FIELD(ENTRY_EVENT, 0x4016, "VM-entry interruption-information")                  \
	FIELD(ENTRY_ERROR, 0x4018, "VM-entry exception error code")                      \
	FIELD(ENTRY_LENGTH, 0x401a, "VM-entry instruction length")                       \
	FIELD(TPR_THRESHOLD, 0x401c, "TPR threshold")                                    \
	FIELD(PROC2_CONTROLS, 0x401e, "secondary processor-based VM-execution controls") \
	FIELD(PLE_GAP, 0x4020, "PLE_Gap")                                                \
	FIELD(PLE_WINDOW, 0x4022, "PLE_Window")                                          \
	FIELD(INSTRUCTION_ERROR, 0x4400, "VM-instruction error")                         \
	FIELD(REASON, 0x4402, "exit reason")                                             \
	FIELD(EXIT_EVENT, 0x4404, "VM-exit interruption information")                    \
	FIELD(EXIT_ERROR, 0x4406, "VM-exit interruption error code")                     \
	FIELD(VECTORING, 0x4408, "IDT-vectoring information")                            \
	FIELD(VECTORING_ERROR, 0x440a, "IDT-vectoring error code")                       \
	FIELD(EXIT_LENGTH, 0x440c, "VM-exit instruction length")                         \
	FIELD(GUEST_ES_LIMIT, 0x4800, "guest ES limit")                                  \
	FIELD(GUEST_CS_LIMIT, 0x4802, "guest CS limit")                                  \
	FIELD(GUEST_SS_LIMIT, 0x4804, "guest SS limit")                                  \
	FIELD(GUEST_DS_LIMIT, 0x4806, "guest DS limit")                                  \
	FIELD(GUEST_FS_LIMIT, 0x4808, "guest FS limit")                                  \
	FIELD(GUEST_GS_LIMIT, 0x480a, "guest GS limit")                                  \
	FIELD(GUEST_LDTR_LIMIT, 0x480c, "guest LDTR limit")                              \
	FIELD(GUEST_TR_LIMIT, 0x480e, "guest TR limit")                                  \
	FIELD(GUEST_GDTR_LIMIT, 0x4810, "guest GDTR limit")                              \
	FIELD(GUEST_IDTR_LIMIT, 0x4812, "guest IDTR limit")                              \
	FIELD(GUEST_ES_RIGHTS, 0x4814, "guest ES access rights")                         \
	FIELD(GUEST_CS_RIGHTS, 0x4816, "guest CS access rights")                         \
	FIELD(GUEST_SS_RIGHTS, 0x4818, "guest SS access rights")                         \
	FIELD(GUEST_DS_RIGHTS, 0x481a, "guest DS access rights")                         \
	FIELD(GUEST_FS_RIGHTS, 0x481c, "guest FS access rights")                         \
	FIELD(GUEST_GS_RIGHTS, 0x481e, "guest GS access rights")                         \
	FIELD(GUEST_LDTR_RIGHTS, 0x4820, "guest LDTR access rights")                     \
	FIELD(GUEST_TR_RIGHTS, 0x4822, "guest TR access rights")                         \
	FIELD(GUEST_BLOCKING, 0x4824, "guest interruptibility state")                    \
	FIELD(GUEST_ACTIVITY, 0x4826, "guest activity state")                            \
	FIELD(GUEST_SYSENTER_CS, 0x482a, "guest IA32_SYSENTER_CS")                       \
	FIELD(TIMER, 0x482e, "VMX-preemption timer value")                               \
	FIELD(HOST_SYSENTER_CS, 0x4c00, "host IA32_SYSENTER_CS")

#define VMX_FIELDS_NATURAL(FIELD)                                            \
	FIELD(CR0_MASK, 0x6000, "CR0 guest/host mask")                       \
	FIELD(CR4_MASK, 0x6002, "CR4 guest/host mask")                       \
	FIELD(CR0_SHADOW, 0x6004, "CR0 read shadow")                         \
	FIELD(CR4_SHADOW, 0x6006, "CR4 read shadow")                         \
	FIELD(QUALIFICATION, 0x6400, "exit qualification")                   \
	FIELD(GUEST_LINEAR, 0x640a, "guest-linear address")                  \
	FIELD(GUEST_CR0, 0x6800, "guest CR0")                                \
	FIELD(GUEST_CR3, 0x6802, "guest CR3")                                \
	FIELD(GUEST_CR4, 0x6804, "guest CR4")                                \
	FIELD(GUEST_ES_BASE, 0x6806, "guest ES base")                        \
	FIELD(GUEST_CS_BASE, 0x6808, "guest CS base")                        \
	FIELD(GUEST_SS_BASE, 0x680a, "guest SS base")                        \
	FIELD(GUEST_DS_BASE, 0x680c, "guest DS base")                        \
	FIELD(GUEST_FS_BASE, 0x680e, "guest FS base")                        \
	FIELD(GUEST_GS_BASE, 0x6810, "guest GS base")                        \
	FIELD(GUEST_LDTR_BASE, 0x6812, "guest LDTR base")                    \
	FIELD(GUEST_TR_BASE, 0x6814, "guest TR base")                        \
	FIELD(GUEST_GDTR_BASE, 0x6816, "guest GDTR base")                    \
	FIELD(GUEST_IDTR_BASE, 0x6818, "guest IDTR base")                    \
	FIELD(GUEST_DR7, 0x681a, "guest DR7")                                \
	FIELD(GUEST_RSP, 0x681c, "guest RSP")                                \
	FIELD(GUEST_RIP, 0x681e, "guest RIP")                                \
	FIELD(GUEST_RFLAGS, 0x6820, "guest RFLAGS")                          \
	FIELD(GUEST_PENDING_DEBUG, 0x6822, "guest pending debug exceptions") \
	FIELD(GUEST_SYSENTER_ESP, 0x6824, "guest IA32_SYSENTER_ESP")         \
	FIELD(GUEST_SYSENTER_EIP, 0x6826, "guest IA32_SYSENTER_EIP")         \
	FIELD(HOST_CR0, 0x6c00, "host CR0")                                  \
	FIELD(HOST_CR3, 0x6c02, "host CR3")                                  \
	FIELD(HOST_CR4, 0x6c04, "host CR4")                                  \
	FIELD(HOST_FS_BASE, 0x6c06, "host FS base")                          \
	FIELD(HOST_GS_BASE, 0x6c08, "host GS base")                          \
	FIELD(HOST_TR_BASE, 0x6c0a, "host TR base")                          \
	FIELD(HOST_GDTR_BASE, 0x6c0c, "host GDTR base")                      \
	FIELD(HOST_IDTR_BASE, 0x6c0e, "host IDTR base")                      \
	FIELD(HOST_SYSENTER_ESP, 0x6c10, "host IA32_SYSENTER_ESP")           \
	FIELD(HOST_SYSENTER_EIP, 0x6c12, "host IA32_SYSENTER_EIP")           \
	FIELD(HOST_RSP, 0x6c14, "host RSP")                                  \
	FIELD(HOST_RIP, 0x6c16, "host RIP")

#define VMX_FIELDS(FIELD) \
	VMX_FIELDS_16(FIELD) VMX_FIELDS_64(FIELD) VMX_FIELDS_32(FIELD) VMX_FIELDS_NATURAL(FIELD)

#define VMX_FIELD_ENUM(name, encoding, text) VMCS_##name = (encoding),
enum vmcs_field {
	VMX_FIELDS(VMX_FIELD_ENUM)
};

/* ---- exit reasons (appendix C) ---- */

#define VMX_REASON_ENTRY_FAILED BV_BIT(31)

/* REASON(NAME, number, kind of core/exit.h, whether the instruction's length is told, "name") */
#define VMX_REASONS(REASON)                                                                   \
	REASON(EXCEPTION, 0, EXCEPTION, false, "exception or NMI")                            \
	REASON(EXTERNAL_INTERRUPT, 1, HOST, false, "external interrupt")                      \
	REASON(TRIPLE_FAULT, 2, TRIPLE_FAULT, false, "triple fault")                          \
	REASON(INIT, 3, INIT, false, "INIT signal")                                           \
	REASON(SIPI, 4, HOST, false, "start-up IPI")                                          \
	REASON(IO_SMI, 5, UNKNOWN, false, "I/O system-management interrupt")                  \
	REASON(OTHER_SMI, 6, UNKNOWN, false, "other SMI")                                     \
	REASON(INTERRUPT_WINDOW, 7, IRQ_WINDOW, false, "interrupt window")                    \
	REASON(NMI_WINDOW, 8, IRQ_WINDOW, false, "NMI window")                                \
	REASON(TASK_SWITCH, 9, TASK_SWITCH, false, "task switch")                             \
	REASON(CPUID, 10, CPUID, true, "CPUID")                                               \
	REASON(GETSEC, 11, UNDEFINED, false, "GETSEC")                                        \
	REASON(HLT, 12, HLT, true, "HLT")                                                     \
	REASON(INVD, 13, CACHE, true, "INVD")                                                 \
	REASON(INVLPG, 14, UNKNOWN, true, "INVLPG")                                           \
	REASON(RDPMC, 15, RDPMC, true, "RDPMC")                                               \
	REASON(RDTSC, 16, RDTSC, true, "RDTSC")                                               \
	REASON(RSM, 17, UNDEFINED, false, "RSM")                                              \
	REASON(VMCALL, 18, HYPERCALL, true, "VMCALL")                                         \
	REASON(VMCLEAR, 19, UNDEFINED, false, "VMCLEAR")                                      \
	REASON(VMLAUNCH, 20, UNDEFINED, false, "VMLAUNCH")                                    \
	REASON(VMPTRLD, 21, UNDEFINED, false, "VMPTRLD")                                      \
	REASON(VMPTRST, 22, UNDEFINED, false, "VMPTRST")                                      \
	REASON(VMREAD, 23, UNDEFINED, false, "VMREAD")                                        \
	REASON(VMRESUME, 24, UNDEFINED, false, "VMRESUME")                                    \
	REASON(VMWRITE, 25, UNDEFINED, false, "VMWRITE")                                      \
	REASON(VMXOFF, 26, UNDEFINED, false, "VMXOFF")                                        \
	REASON(VMXON, 27, UNDEFINED, false, "VMXON")                                          \
	REASON(CR, 28, CR_WRITE, true, "control-register accesses")                           \
	REASON(MOV_DR, 29, DR_ACCESS, true, "MOV DR")                                         \
	REASON(IO, 30, PORT, true, "I/O instruction")                                         \
	REASON(RDMSR, 31, RDMSR, true, "RDMSR")                                               \
	REASON(WRMSR, 32, WRMSR, true, "WRMSR")                                               \
	REASON(GUEST_STATE, 33, ENTRY_FAILED, false, "invalid guest state")                   \
	REASON(MSR_LOADING, 34, ENTRY_FAILED, false, "MSR loading")                           \
	REASON(MWAIT, 36, MWAIT, true, "MWAIT")                                               \
	REASON(TRAP_FLAG, 37, UNKNOWN, false, "monitor trap flag")                            \
	REASON(MONITOR, 39, MONITOR, true, "MONITOR")                                         \
	REASON(PAUSE, 40, PAUSE, true, "PAUSE")                                               \
	REASON(MACHINE_CHECK, 41, ENTRY_FAILED, false, "machine-check event during VM entry") \
	REASON(TPR, 43, IRQ_WINDOW, false, "TPR below threshold")                             \
	REASON(APIC_ACCESS, 44, UNKNOWN, false, "APIC access")                                \
	REASON(EOI, 45, EOI, false, "virtualized EOI")                                        \
	REASON(GDTR_IDTR, 46, UNKNOWN, true, "access to GDTR or IDTR")                        \
	REASON(LDTR_TR, 47, UNKNOWN, true, "access to LDTR or TR")                            \
	REASON(EPT_VIOLATION, 48, NESTED_FAULT, false, "EPT violation")                       \
	REASON(EPT_MISCONFIGURATION, 49, UNKNOWN, false, "EPT misconfiguration")              \
	REASON(INVEPT, 50, UNDEFINED, false, "INVEPT")                                        \
	REASON(RDTSCP, 51, RDTSC, true, "RDTSCP")                                             \
	REASON(TIMER, 52, TURN_OVER, false, "VMX-preemption timer expired")                   \
	REASON(INVVPID, 53, UNDEFINED, false, "INVVPID")                                      \
	REASON(WBINVD, 54, CACHE, true, "WBINVD or WBNOINVD")                                 \
	REASON(XSETBV, 55, XSETBV, true, "XSETBV")                                            \
	REASON(APIC_WRITE, 56, UNKNOWN, false, "APIC write")                                  \
	REASON(RDRAND, 57, UNKNOWN, true, "RDRAND")                                           \
	REASON(INVPCID, 58, UNKNOWN, true, "INVPCID")                                         \
	REASON(VMFUNC, 59, UNDEFINED, false, "VMFUNC")                                        \
	REASON(ENCLS, 60, UNDEFINED, false, "ENCLS")                                          \
	REASON(RDSEED, 61, UNKNOWN, true, "RDSEED")                                           \
	REASON(PML_FULL, 62, LOG_FULL, false, "page-modification log full")                   \
	REASON(XSAVES, 63, UNDEFINED, false, "XSAVES")                                        \
	REASON(XRSTORS, 64, UNDEFINED, false, "XRSTORS")

#define VMX_REASON_ENUM(name, number, kind, length, text) VMX_REASON_##name = (number),
enum vmx_reason {
	VMX_REASONS(VMX_REASON_ENUM) VMX_REASON_COUNT
};

/* ---- VM-instruction errors (30.4): ERROR(number, "text") ---- */

#define VMX_ERRORS(ERROR)                                                                \
	ERROR(1, "VMCALL executed in VMX root operation")                                \
	ERROR(2, "VMCLEAR with invalid physical address")                                \
	ERROR(3, "VMCLEAR with VMXON pointer")                                           \
	ERROR(4, "VMLAUNCH with non-clear VMCS")                                         \
	ERROR(5, "VMRESUME with non-launched VMCS")                                      \
	ERROR(6, "VMRESUME after VMXOFF")                                                \
	ERROR(7, "VM entry with invalid control fields")                                 \
	ERROR(8, "VM entry with invalid host-state fields")                              \
	ERROR(9, "VMPTRLD with invalid physical address")                                \
	ERROR(10, "VMPTRLD with VMXON pointer")                                          \
	ERROR(11, "VMPTRLD with incorrect VMCS revision identifier")                     \
	ERROR(12, "VMREAD or VMWRITE from or to unsupported VMCS component")             \
	ERROR(13, "VMWRITE to read-only VMCS component")                                 \
	ERROR(15, "VMXON executed in VMX root operation")                                \
	ERROR(16, "VM entry with invalid executive-VMCS pointer")                        \
	ERROR(17, "VM entry with non-launched executive VMCS")                           \
	ERROR(18, "VM entry with executive-VMCS pointer not VMXON pointer")              \
	ERROR(19, "VMCALL with non-clear VMCS")                                          \
	ERROR(20, "VMCALL with invalid VM-exit control fields")                          \
	ERROR(22, "VMCALL with incorrect MSEG revision identifier")                      \
	ERROR(23, "VMXOFF under dual-monitor treatment")                                 \
	ERROR(24, "VMCALL with invalid SMM-monitor features")                            \
	ERROR(25, "VM entry with invalid VM-execution control fields in executive VMCS") \
	ERROR(26, "VM entry with events blocked by MOV SS")                              \
	ERROR(28, "invalid operand to INVEPT or INVVPID")

/* ---- the insides of fields ---- */

/* Interruption information: entry 24.8.3, exit 24.9.2, IDT-vectoring 24.9.3 */
#define VMX_EVENT_VECTOR 0xffu
#define VMX_EVENT_TYPE_SHIFT 8
#define VMX_EVENT_TYPE 7u
#define VMX_EVENT_IRQ 0u
#define VMX_EVENT_NMI 2u
#define VMX_EVENT_EXCEPTION 3u
#define VMX_EVENT_SOFT_IRQ 4u
#define VMX_EVENT_ICEBP 5u /* privileged software exception */
#define VMX_EVENT_SOFT_EXCEPTION 6u
#define VMX_EVENT_HAS_ERROR BV_BIT(11)
#define VMX_EVENT_NMI_UNBLOCKED BV_BIT(12) /* exit only */
#define VMX_EVENT_VALID BV_BIT(31)

/* Interruptibility (24.4.2) */
#define VMX_BLOCKING_STI 1u
#define VMX_BLOCKING_MOV_SS 2u
#define VMX_BLOCKING_SMI 4u
#define VMX_BLOCKING_NMI 8u

/* Pending debug exceptions (24.4.2) */
#define VMX_PENDING_BS BV_BIT(14)

/* Exit qualification (27.2.1) */
#define VMX_Q_TASK_SELECTOR 0xffffu
#define VMX_Q_TASK_SOURCE_SHIFT 30
#define VMX_Q_TASK_SOURCE 3u
#define VMX_Q_IO_BYTES 7u
#define VMX_Q_IO_IN BV_BIT(3)
#define VMX_Q_IO_STRING BV_BIT(4)
#define VMX_Q_IO_PORT_SHIFT 16
#define VMX_Q_EPT_READ BV_BIT(0)
#define VMX_Q_EPT_WRITE BV_BIT(1)
#define VMX_Q_EPT_FETCH BV_BIT(2)
#define VMX_Q_EPT_RIGHTS (7u << 3) /* of the entry that refused */
#define VMX_Q_EPT_LINEAR BV_BIT(7)
#define VMX_Q_EPT_FINAL BV_BIT(8) /* not a table of the guest's */
#define VMX_Q_EPT_NMI_UNBLOCKED BV_BIT(12)
#define VMX_Q_DEBUG_TRAPS 0xfu
#define VMX_Q_DEBUG_BD BV_BIT(13)
#define VMX_Q_DEBUG_BS BV_BIT(14)

/* Access rights (24.4.1) */
#define VMX_RIGHTS_TYPE 0xfu
#define VMX_RIGHTS_S BV_BIT(4)
#define VMX_RIGHTS_DPL_SHIFT 5
#define VMX_RIGHTS_P BV_BIT(7)
#define VMX_RIGHTS_L BV_BIT(13)
#define VMX_RIGHTS_DB BV_BIT(14)
#define VMX_RIGHTS_G BV_BIT(15)
#define VMX_RIGHTS_UNUSABLE BV_BIT(16)
#define VMX_RIGHTS_RESERVED 0xfffe0f00u

/* EPT pointer (24.6.11) and entries (28.3.2) */
#define VMX_EPTP_WB 6u
#define VMX_EPTP_WALK_4 (3u << 3)
#define VMX_EPTP_AD BV_BIT(6)
#define VMX_EPT_READ BV_BIT(0)
#define VMX_EPT_WRITE BV_BIT(1)
#define VMX_EPT_EXEC BV_BIT(2)
#define VMX_EPT_TYPE_WB (6u << 3)
#define VMX_EPT_IGNORE_PAT BV_BIT(6)
#define VMX_EPT_LARGE BV_BIT(7)
#define VMX_EPT_ACCESSED BV_BIT(8)
#define VMX_EPT_DIRTY BV_BIT(9)

/* The virtual-APIC page (29.1): 256 bits are eight words, 16 bytes apart. */
#define VMX_VAPIC_TPR 0x80
#define VMX_VAPIC_ISR 0x100

/* Guest interrupt status (24.4.2) */
#define VMX_STATUS_SVI_SHIFT 8

/* The page-modification log (28.3.6) is filled from its end. */
#define VMX_PML_ENTRIES 512u

#endif
