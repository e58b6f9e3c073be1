/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Mitigations of processors' flaws, for both vendors: which are needed, and the pieces of code that
 * the world switches are made of. Sources: Intel's "Speculative Execution Side Channel
 * Mitigations" and the articles on L1TF, MDS, MMIO stale data, RFDS, retbleed and BHI; AMD's
 * "Software Techniques for Managing Speculation", bulletins 1037 (retbleed), 7005 (SRSO) and 7029
 * (TSA).
 */
#ifndef BV_X86_MITIGATE_H
#define BV_X86_MITIGATE_H

#include "bv/types.h"
#include "data/mitigations.h"

/* What the choice depends on, read off the processor or played by a test. */
struct bv_mitigation_facts {
	bool intel, amd; /* AMD or Hygon */
	u32 family, model;
	u32 leaf7_ebx, leaf7_edx; /* CPUID 7 */
	u32 ext8_ebx; /* CPUID 8000_0008 */
	u32 ext21_eax, ext21_ecx; /* CPUID 8000_0021 */
	u64 arch_caps; /* IA32_ARCH_CAPABILITIES, 0 where there is none */
	u64 spec_ctrl; /* as the host runs with it */
	bool safe_returns; /* the host's code is compiled with return thunks, which SRSO asks for */
};

void bv_mitigation_facts(struct bv_mitigation_facts *facts);
/* The mitigations that this processor asks for: 1 << enum bv_mitigation. */
u32 bv_mitigations_choose(const struct bv_mitigation_facts *facts);

/* Those that it can do at all. */
u32 bv_mitigations_possible(const struct bv_mitigation_facts *facts);

/* "a,b,c" into text, for people. */
void bv_mitigations_say(u32 set, char *text, size_t size);
/* Takes a list such as "auto", "off", "auto,-l1d", "ibpb,rsb": false: not understood. */
bool bv_mitigations_parse(const char *words, u32 automatic, u32 *set);

/*
 * In force: set once before the first entry, constant after. The world switches' assembly reads
 * them by name.
 */
extern u32 bv_mitigate;
extern u64 bv_mitigate_spec_ctrl; /* what IBRS means on this host */
extern u16 bv_mitigate_selector; /* VERW wants a segment that can be written */

void bv_mitigations_set(u32 set);

static inline bool bv_mitigates(enum bv_mitigation which)
{
	return bv_mitigate >> which & 1;
}

/* Anything that the world switch itself has to do: else a switch without it is taken. */
#define BV_MITIGATE_SWITCH                                                         \
	(1u << BV_MITIGATE_VERW | 1u << BV_MITIGATE_RSB | 1u << BV_MITIGATE_IBRS | \
	 1u << BV_MITIGATE_BHB | 1u << BV_MITIGATE_EXIT_IBPB)

/* Between entries, where it need not be the last moment. Interrupts off. */
void bv_mitigate_before_entry(void);
/* A vCPU of another VM than last time comes to this CPU. Preemption off. */
void bv_mitigate_other_vm(void);

/*
 * The last thing before an entry: VERW with memory as its operand clears what loads, stores and
 * fills have left in buffers. Changes flags only.
 */
#define BV_MITIGATE_ENTER_ASM "verw bv_mitigate_selector(%%rip)\n\t"

/*
 * The first thing after an exit, once the guest's registers are stored: no RET may come before
 * it, and RAX, RCX and RDX are lost. The return stack is filled by 32 calls that go nowhere;
 * history is overwritten by 200 branches that are taken; what depends on a choice is followed by
 * LFENCE, so that a wrong guess ends there. (The sections are for Linux's stack checker; others
 * drop them.)
 */
#define BV_MITIGATE_EXIT_ASM                                 \
	".rept 32\n\t"                                       \
	".pushsection .discard.intra_function_calls\n\t"     \
	".quad 771f\n\t"                                     \
	".popsection\n"                                      \
	"771:\tcall 772f\n\t"                                \
	"int3\n"                                             \
	"772:\n\t"                                           \
	".endr\n\t"                                          \
	"add $(32 * 8), %%rsp\n\t"                           \
	"testl $%c[ibrs], bv_mitigate(%%rip)\n\t"            \
	"jz 773f\n\t"                                        \
	"mov $0x48, %%ecx\n\t"                               \
	"mov bv_mitigate_spec_ctrl(%%rip), %%eax\n\t"        \
	"mov 4+bv_mitigate_spec_ctrl(%%rip), %%edx\n\t"      \
	"wrmsr\n"                                            \
	"773:\ttestl $%c[exit_ibpb], bv_mitigate(%%rip)\n\t" \
	"jz 774f\n\t"                                        \
	"mov $0x49, %%ecx\n\t"                               \
	"mov $1, %%eax\n\t"                                  \
	"xor %%edx, %%edx\n\t"                               \
	"wrmsr\n"                                            \
	"774:\ttestl $%c[bhb], bv_mitigate(%%rip)\n\t"       \
	"jz 777f\n\t"                                        \
	"mov $100, %%eax\n"                                  \
	"775:\tjmp 776f\n\t"                                 \
	"int3\n"                                             \
	"776:\tdec %%eax\n\t"                                \
	"jnz 775b\n"                                         \
	"777:\tlfence\n\t"

/* Its operands, which an asm statement with BV_MITIGATE_EXIT_ASM has among its inputs. */
#define BV_MITIGATE_OPERANDS                                                            \
	[ibrs] "i"(1 << BV_MITIGATE_IBRS), [exit_ibpb] "i"(1 << BV_MITIGATE_EXIT_IBPB), \
		[bhb] "i"(1 << BV_MITIGATE_BHB)

#endif
