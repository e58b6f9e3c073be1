/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * CPUID's policy; see cpuid_policy.h. Sources: AMD APM volume 3, appendix E; Intel SDM volume 2,
 * CPUID; for 0x40000000 and up the Linux kernel's document virt/kvm/x86/cpuid.
 *
 * Never offered, because the engine does not do it for a guest: MONITOR/MWAIT (leaf 1, 5), VMX,
 * SMX, performance counters (leaf 0xa), perfmon extensions, IBS, LWP, OSVW,
 * SGX, TSX, MPX, CET, XSAVES (no MSR IA32_XSS), processor trace (0x14), resource control (0xf,
 * 0x10), AMX (0x1d), topology of the host (leaves 4 and 0x8000001d keep only the caches; 0xb and
 * 0x8000001e are the VMM's to fill), speculation control (SPEC_CTRL, PRED_CMD and their kin are not
 * given to guests yet), five-level paging, memory encryption (0x8000001f).
 */
#include "data/cpuid_policy.h"

#define ALL 0xffffffffu
/* clang-format off */
#define KEEP_ALL { ALL, ALL, ALL, ALL }
#define NOTHING { 0, 0, 0, 0 }
/* clang-format on */

/* "KVMKVMKVM" */
#define KVM_EBX 0x4b4d564bu
#define KVM_ECX 0x564b4d56u
#define KVM_EDX 0x0000004du

/*
 * In ascending order. The highest basic, hypervisor and extended leaf here is what leaf 0 and its
 * two sisters tell at most.
 */
const struct bv_cpuid_row bv_cpuid_rows[] = {
	/* leaf, subleaf, shape, kept from the host {eax, ebx, ecx, edx}, always set */
	{ 0x0, 0, BV_CPUID_PLAIN, KEEP_ALL, NOTHING }, /* highest leaf, vendor */
	/* signature; brand, CLFLUSH size */
	{ 0x1, 0, BV_CPUID_PLAIN, { ALL, 0x0000ffff, 0, 0 }, NOTHING },
	{ 0x2, 0, BV_CPUID_PLAIN, KEEP_ALL, NOTHING }, /* caches, Intel's old form */
	{ 0x4, 0, BV_CPUID_CACHES, { 0x000003ff, ALL, ALL, 0x7 }, NOTHING },
	{ 0x6, 0, BV_CPUID_PLAIN, NOTHING, NOTHING },
	{ 0x7, 0, BV_CPUID_ONE, NOTHING, { 1, 0, 0, 0 } }, /* EAX: the highest subleaf */
	{ 0x7, 1, BV_CPUID_ONE, NOTHING, NOTHING },
	{ 0xb, 0, BV_CPUID_ONE, NOTHING, NOTHING },
	{ 0xd, 0, BV_CPUID_XSTATE, NOTHING, NOTHING },
	{ 0x40000000, 0, BV_CPUID_PLAIN, NOTHING, { 0x40000001, KVM_EBX, KVM_ECX, KVM_EDX } },
	{ 0x40000001, 0, BV_CPUID_PLAIN, NOTHING, NOTHING },
	{ 0x80000000, 0, BV_CPUID_PLAIN, KEEP_ALL, NOTHING }, /* highest leaf, vendor */
	/* signature; brand, package */
	{ 0x80000001, 0, BV_CPUID_PLAIN, { ALL, ALL, 0, 0 }, NOTHING },
	{ 0x80000002, 0, BV_CPUID_PLAIN, KEEP_ALL, NOTHING }, /* the name, 48 characters */
	{ 0x80000003, 0, BV_CPUID_PLAIN, KEEP_ALL, NOTHING },
	{ 0x80000004, 0, BV_CPUID_PLAIN, KEEP_ALL, NOTHING },
	{ 0x80000005, 0, BV_CPUID_PLAIN, KEEP_ALL, NOTHING }, /* first-level caches and TLBs */
	{ 0x80000006, 0, BV_CPUID_PLAIN, KEEP_ALL, NOTHING }, /* second level and third */
	{ 0x80000007, 0, BV_CPUID_PLAIN, NOTHING, NOTHING },
	/* address sizes */
	{ 0x80000008, 0, BV_CPUID_PLAIN, { 0x000000ff, 0, 0, 0 }, { 48 << 8, 0, 0, 0 } },
	/* nested guests: revision, ASIDs; cleared where they are not offered */
	{ 0x8000000a, 0, BV_CPUID_PLAIN, NOTHING, { 1, 16, 0, 0 } },
	{ 0x80000019, 0, BV_CPUID_PLAIN, KEEP_ALL, NOTHING }, /* TLBs for 1 GiB pages */
	{ 0x8000001a, 0, BV_CPUID_PLAIN, KEEP_ALL, NOTHING }, /* widths that are fast */
	{ 0x8000001d, 0, BV_CPUID_CACHES, { 0x000003ff, ALL, ALL, 0x3 }, NOTHING },
	{ 0x8000001e, 0, BV_CPUID_PLAIN, NOTHING, NOTHING },
	{ 0x80000021, 0, BV_CPUID_PLAIN, NOTHING, NOTHING },
};
const unsigned int bv_cpuid_row_count = BV_ARRAY_SIZE(bv_cpuid_rows);

#define EAX 0
#define EBX 1
#define ECX 2
#define EDX 3
#define HOST BV_CPUID_HOST
#define ALWAYS BV_CPUID_ALWAYS
#define STRINGS BV_CPUID_STRINGS
#define NESTED BV_CPUID_NESTED
#define NESTED_HOST BV_CPUID_NESTED_HOST

#define AVX 0x004
#define AVX512 0x0e4
#define PKRU 0x200
#define SSE 0x002 /* XSAVE at all */

const struct bv_cpuid_feature bv_cpuid_features[] = {
	/* leaf, subleaf, register, bit, where from, XSAVE components needed, name */
	{ 0x1, 0, ECX, 0, HOST, 0, "sse3" },
	{ 0x1, 0, ECX, 1, HOST, 0, "pclmulqdq" },
	{ 0x1, 0, ECX, 9, HOST, 0, "ssse3" },
	{ 0x1, 0, ECX, 12, HOST, AVX, "fma" },
	{ 0x1, 0, ECX, 13, HOST, 0, "cx16" },
	{ 0x1, 0, ECX, 17, HOST, 0, "pcid" },
	{ 0x1, 0, ECX, 19, HOST, 0, "sse4.1" },
	{ 0x1, 0, ECX, 20, HOST, 0, "sse4.2" },
	{ 0x1, 0, ECX, 21, ALWAYS, 0, "x2apic" },
	{ 0x1, 0, ECX, 22, HOST, 0, "movbe" },
	{ 0x1, 0, ECX, 23, HOST, 0, "popcnt" },
	{ 0x1, 0, ECX, 24, ALWAYS, 0, "tsc-deadline" },
	{ 0x1, 0, ECX, 25, HOST, 0, "aes" },
	{ 0x1, 0, ECX, 26, HOST, SSE, "xsave" },
	{ 0x1, 0, ECX, 27, HOST, SSE, "osxsave" }, /* in the guest: CR4.OSXSAVE */
	{ 0x1, 0, ECX, 28, HOST, AVX, "avx" },
	{ 0x1, 0, ECX, 29, HOST, AVX, "f16c" },
	{ 0x1, 0, ECX, 30, HOST, 0, "rdrand" },
	{ 0x1, 0, ECX, 31, ALWAYS, 0, "hypervisor" },

	{ 0x1, 0, EDX, 0, HOST, 0, "fpu" },
	{ 0x1, 0, EDX, 1, HOST, 0, "vme" },
	{ 0x1, 0, EDX, 2, HOST, 0, "de" },
	{ 0x1, 0, EDX, 3, HOST, 0, "pse" },
	{ 0x1, 0, EDX, 4, HOST, 0, "tsc" },
	{ 0x1, 0, EDX, 5, HOST, 0, "msr" },
	{ 0x1, 0, EDX, 6, HOST, 0, "pae" },
	{ 0x1, 0, EDX, 7, ALWAYS, 0, "mce" },
	{ 0x1, 0, EDX, 8, HOST, 0, "cx8" },
	{ 0x1, 0, EDX, 9, ALWAYS, 0, "apic" }, /* in the guest: APIC_BASE's enable bit */
	{ 0x1, 0, EDX, 11, HOST, 0, "sep" },
	{ 0x1, 0, EDX, 12, ALWAYS, 0, "mtrr" },
	{ 0x1, 0, EDX, 13, HOST, 0, "pge" },
	{ 0x1, 0, EDX, 14, ALWAYS, 0, "mca" },
	{ 0x1, 0, EDX, 15, HOST, 0, "cmov" },
	{ 0x1, 0, EDX, 16, HOST, 0, "pat" },
	{ 0x1, 0, EDX, 17, HOST, 0, "pse36" },
	{ 0x1, 0, EDX, 19, HOST, 0, "clflush" },
	{ 0x1, 0, EDX, 23, HOST, 0, "mmx" },
	{ 0x1, 0, EDX, 24, HOST, 0, "fxsr" },
	{ 0x1, 0, EDX, 25, HOST, 0, "sse" },
	{ 0x1, 0, EDX, 26, HOST, 0, "sse2" },
	{ 0x1, 0, EDX, 27, HOST, 0, "ss" },

	{ 0x6, 0, EAX, 2, ALWAYS, 0, "arat" },

	{ 0x7, 0, EBX, 0, HOST, 0, "fsgsbase" },
	{ 0x7, 0, EBX, 1, ALWAYS, 0, "tsc-adjust" },
	{ 0x7, 0, EBX, 3, HOST, 0, "bmi1" },
	{ 0x7, 0, EBX, 5, HOST, AVX, "avx2" },
	{ 0x7, 0, EBX, 6, HOST, 0, "fdp-excptn-only" },
	{ 0x7, 0, EBX, 7, HOST, 0, "smep" },
	{ 0x7, 0, EBX, 8, HOST, 0, "bmi2" },
	{ 0x7, 0, EBX, 9, STRINGS, 0, "erms" },
	{ 0x7, 0, EBX, 10, HOST, 0, "invpcid" },
	{ 0x7, 0, EBX, 13, HOST, 0, "zero-fcs-fds" },
	{ 0x7, 0, EBX, 16, HOST, AVX512, "avx512f" },
	{ 0x7, 0, EBX, 17, HOST, AVX512, "avx512dq" },
	{ 0x7, 0, EBX, 18, HOST, 0, "rdseed" },
	{ 0x7, 0, EBX, 19, HOST, 0, "adx" },
	{ 0x7, 0, EBX, 20, HOST, 0, "smap" },
	{ 0x7, 0, EBX, 21, HOST, AVX512, "avx512ifma" },
	{ 0x7, 0, EBX, 23, HOST, 0, "clflushopt" },
	{ 0x7, 0, EBX, 24, HOST, 0, "clwb" },
	{ 0x7, 0, EBX, 26, HOST, AVX512, "avx512pf" },
	{ 0x7, 0, EBX, 27, HOST, AVX512, "avx512er" },
	{ 0x7, 0, EBX, 28, HOST, AVX512, "avx512cd" },
	{ 0x7, 0, EBX, 29, HOST, 0, "sha" },
	{ 0x7, 0, EBX, 30, HOST, AVX512, "avx512bw" },
	{ 0x7, 0, EBX, 31, HOST, AVX512, "avx512vl" },

	{ 0x7, 0, ECX, 1, HOST, AVX512, "avx512vbmi" },
	{ 0x7, 0, ECX, 2, HOST, 0, "umip" },
	{ 0x7, 0, ECX, 3, HOST, PKRU, "pku" },
	{ 0x7, 0, ECX, 4, HOST, PKRU, "ospke" }, /* in the guest: CR4.PKE */
	{ 0x7, 0, ECX, 6, HOST, AVX512, "avx512vbmi2" },
	{ 0x7, 0, ECX, 8, HOST, 0, "gfni" },
	{ 0x7, 0, ECX, 9, HOST, AVX, "vaes" },
	{ 0x7, 0, ECX, 10, HOST, AVX, "vpclmulqdq" },
	{ 0x7, 0, ECX, 11, HOST, AVX512, "avx512vnni" },
	{ 0x7, 0, ECX, 12, HOST, AVX512, "avx512bitalg" },
	{ 0x7, 0, ECX, 14, HOST, AVX512, "avx512vpopcntdq" },
	{ 0x7, 0, ECX, 22, HOST, 0, "rdpid" },
	{ 0x7, 0, ECX, 25, HOST, 0, "cldemote" },
	{ 0x7, 0, ECX, 27, HOST, 0, "movdiri" },
	{ 0x7, 0, ECX, 28, HOST, 0, "movdir64b" },

	{ 0x7, 0, EDX, 2, HOST, AVX512, "avx5124vnniw" },
	{ 0x7, 0, EDX, 3, HOST, AVX512, "avx5124fmaps" },
	{ 0x7, 0, EDX, 4, STRINGS, 0, "fsrm" },
	{ 0x7, 0, EDX, 8, HOST, AVX512, "avx512vp2intersect" },
	{ 0x7, 0, EDX, 14, HOST, 0, "serialize" },
	{ 0x7, 0, EDX, 23, HOST, AVX512, "avx512fp16" },

	{ 0x7, 1, EAX, 4, HOST, AVX, "avx-vnni" },
	{ 0x7, 1, EAX, 5, HOST, AVX512, "avx512bf16" },
	{ 0x7, 1, EAX, 10, HOST, 0, "fzrm" },
	{ 0x7, 1, EAX, 11, HOST, 0, "fsrs" },
	{ 0x7, 1, EAX, 12, HOST, 0, "fsrc" },
	{ 0x7, 1, EAX, 23, HOST, AVX, "avx-ifma" },

	{ 0xd, 1, EAX, 0, HOST, SSE, "xsaveopt" },
	{ 0xd, 1, EAX, 1, HOST, SSE, "xsavec" },
	{ 0xd, 1, EAX, 2, HOST, SSE, "xgetbv1" },

	/* what fronts/kvm/pv.c does */
	{ 0x40000001, 0, EAX, 0, ALWAYS, 0, "kvmclock-old" },
	{ 0x40000001, 0, EAX, 1, ALWAYS, 0, "kvm-nopiodelay" },
	{ 0x40000001, 0, EAX, 3, ALWAYS, 0, "kvmclock" },
	{ 0x40000001, 0, EAX, 5, ALWAYS, 0, "kvm-steal-time" },
	{ 0x40000001, 0, EAX, 6, ALWAYS, 0, "kvm-pv-eoi" },
	{ 0x40000001, 0, EAX, 11, ALWAYS, 0, "kvm-pv-ipi" },
	{ 0x40000001, 0, EAX, 24, ALWAYS, 0, "kvmclock-stable-bit" },

	{ 0x80000001, 0, ECX, 0, HOST, 0, "lahf-lm" },
	{ 0x80000001, 0, ECX, 2, NESTED_HOST, 0, "svm" },
	{ 0x80000001, 0, ECX, 4, HOST, 0, "cr8-legacy" },
	{ 0x80000001, 0, ECX, 5, HOST, 0, "abm" },
	{ 0x80000001, 0, ECX, 6, HOST, 0, "sse4a" },
	{ 0x80000001, 0, ECX, 7, HOST, 0, "misalignsse" },
	{ 0x80000001, 0, ECX, 8, HOST, 0, "3dnowprefetch" },
	{ 0x80000001, 0, ECX, 11, HOST, AVX, "xop" },
	{ 0x80000001, 0, ECX, 16, HOST, AVX, "fma4" },
	{ 0x80000001, 0, ECX, 21, HOST, 0, "tbm" },
	{ 0x80000001, 0, ECX, 22, HOST, 0, "topoext" },

	{ 0x80000001, 0, EDX, 0, HOST, 0, "fpu" },
	{ 0x80000001, 0, EDX, 1, HOST, 0, "vme" },
	{ 0x80000001, 0, EDX, 2, HOST, 0, "de" },
	{ 0x80000001, 0, EDX, 3, HOST, 0, "pse" },
	{ 0x80000001, 0, EDX, 4, HOST, 0, "tsc" },
	{ 0x80000001, 0, EDX, 5, HOST, 0, "msr" },
	{ 0x80000001, 0, EDX, 6, HOST, 0, "pae" },
	{ 0x80000001, 0, EDX, 7, HOST, 0, "mce" },
	{ 0x80000001, 0, EDX, 8, HOST, 0, "cx8" },
	{ 0x80000001, 0, EDX, 9, HOST, 0, "apic" }, /* in the guest: APIC_BASE's enable bit */
	{ 0x80000001, 0, EDX, 11, HOST, 0, "syscall" },
	{ 0x80000001, 0, EDX, 12, HOST, 0, "mtrr" },
	{ 0x80000001, 0, EDX, 13, HOST, 0, "pge" },
	{ 0x80000001, 0, EDX, 14, HOST, 0, "mca" },
	{ 0x80000001, 0, EDX, 15, HOST, 0, "cmov" },
	{ 0x80000001, 0, EDX, 16, HOST, 0, "pat" },
	{ 0x80000001, 0, EDX, 17, HOST, 0, "pse36" },
	{ 0x80000001, 0, EDX, 20, HOST, 0, "nx" },
	{ 0x80000001, 0, EDX, 22, HOST, 0, "mmxext" },
	{ 0x80000001, 0, EDX, 23, HOST, 0, "mmx" },
	{ 0x80000001, 0, EDX, 24, HOST, 0, "fxsr" },
	{ 0x80000001, 0, EDX, 25, HOST, 0, "fxsr-opt" },
	{ 0x80000001, 0, EDX, 26, HOST, 0, "pdpe1gb" },
	{ 0x80000001, 0, EDX, 27, HOST, 0, "rdtscp" },
	{ 0x80000001, 0, EDX, 29, HOST, 0, "lm" },
	{ 0x80000001, 0, EDX, 30, HOST, 0, "3dnowext" },
	{ 0x80000001, 0, EDX, 31, HOST, 0, "3dnow" },

	{ 0x80000007, 0, EDX, 8, HOST, 0, "invtsc" },
	{ 0x80000008, 0, EBX, 0, HOST, 0, "clzero" },
	{ 0x80000008, 0, EBX, 2, HOST, 0, "xsaveerptr" },
	{ 0x80000008, 0, EBX, 9, HOST, 0, "wbnoinvd" },
	{ 0x8000000a, 0, EDX, 0, NESTED_HOST, 0, "npt" },
	{ 0x8000000a, 0, EDX, 3, NESTED_HOST, 0, "nrip-save" },
	{ 0x8000000a, 0, EDX, 6, NESTED, 0, "flush-by-asid" },
	{ 0x80000021, 0, EAX, 0, HOST, 0, "no-nested-data-bp" },
	{ 0x80000021, 0, EAX, 2, HOST, 0, "lfence-always-serializing" },
	{ 0x80000021, 0, EAX, 6, HOST, 0, "null-sel-clr-base" },
};
const unsigned int bv_cpuid_feature_count = BV_ARRAY_SIZE(bv_cpuid_features);
