// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest's neutral state under both vendors: what one of them is given, and takes out of its VMCB
 * or VMCS again, the other one is given and takes out alike. No guest runs. VMREAD, VMWRITE, RDMSR
 * and WRMSR, which a program must not use, are played by a signal handler, with tables.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <ucontext.h>

#include "machine.h"
#include "svm/svm.h"
#include "vmx/vmx.h"

#define FIELDS 0x8000u
#define MSRS 16

static u64 fields[FIELDS];
static struct {
	u32 index;
	u64 value;
} msrs[MSRS];

/* ---- the instructions ---- */

static u64 *msr_of(u32 index)
{
	unsigned int i = 0;

	while (msrs[i].index && msrs[i].index != index)
		if (++i == MSRS)
			abort();
	msrs[i].index = index;
	return &msrs[i].value;
}

/* A register by its number in an instruction. */
static greg_t *reg_of(ucontext_t *context, unsigned int number)
{
	static const int places[] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				      REG_RSI, REG_RDI, REG_R8,	 REG_R9,  REG_R10, REG_R11,
				      REG_R12, REG_R13, REG_R14, REG_R15 };

	return &context->uc_mcontext.gregs[places[number]];
}

static void play_msr(ucontext_t *context, bool write)
{
	greg_t *gregs = context->uc_mcontext.gregs;
	u64 *value = msr_of((u32)gregs[REG_RCX]);

	if (write)
		*value = (u32)gregs[REG_RAX] | (u64)gregs[REG_RDX] << 32;
	gregs[REG_RAX] = (u32)*value;
	gregs[REG_RDX] = (greg_t)(*value >> 32);
}

/* 0F 78 /r: VMREAD r/m, reg. 0F 79 /r: VMWRITE reg, r/m. Between registers alone. */
static void play_vmcs(ucontext_t *context, u8 rex, u8 modrm, bool write)
{
	greg_t *reg = reg_of(context, (modrm >> 3 & 7) | (rex & 4) << 1);
	greg_t *rm = reg_of(context, (modrm & 7) | (rex & 1) << 3);

	if (modrm >> 6 != 3 || (u64)*reg >= FIELDS)
		abort();
	if (write)
		fields[*reg] = (u64)*rm;
	else
		*rm = (greg_t)fields[*reg];
}

static void play(int signal, siginfo_t *info, void *argument)
{
	ucontext_t *context = argument;
	const u8 *at = (const u8 *)context->uc_mcontext.gregs[REG_RIP], *begin = at;
	u8 rex = (*at & 0xf0) == 0x40 ? *at++ : 0;

	(void)signal;
	(void)info;
	if (*at++ != 0x0f)
		abort();
	switch (*at++) {
	case 0x30:
	case 0x32:
		play_msr(context, at[-1] == 0x30);
		break;
	case 0x78:
	case 0x79:
		play_vmcs(context, rex, *at, at[-1] == 0x79);
		at++;
		break;
	default:
		abort();
	}
	context->uc_mcontext.gregs[REG_RIP] += at - begin;
}

static void play_begin(void)
{
	struct sigaction action = { .sa_sigaction = play, .sa_flags = SA_SIGINFO };

	sigaction(SIGILL, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

/* ---- a guest's states ---- */

#define CODE (BV_SEG_P | BV_SEG_S | 0xbu)
#define DATA (BV_SEG_P | BV_SEG_S | 0x3u)
#define FLAT (BV_SEG_G | BV_SEG_DB)
#define USER (3u << BV_SEG_DPL_SHIFT)

static struct bv_cpu_state common(void)
{
	struct bv_cpu_state state = {
		.gdt = { 0xfffffe0000001000, 0x7f },
		.idt = { 0xfffffe0000000000, 0xfff },
		.cr2 = 0x7f0012345678,
		.cr3 = 0x123456000,
		.dr6 = 0xffff0ff1,
		.dr7 = 0x455,
		.star = 0x0023001000000000,
		.lstar = 0xffffffff81a00080,
		.cstar = 0xffffffff81a01ab0,
		.sfmask = 0x257fd5,
		.kernel_gs_base = 0xffff88803ec00000,
		.sysenter_cs = 0x10,
		.sysenter_esp = 0xfffffe0000003200,
		.sysenter_eip = 0xffffffff81a01510,
		.pat = 0x0407050600070106,
	};

	state.seg[BV_SEG_TR] = (struct bv_seg){ 0xfffffe0000003000, 0x4087, 0x40, BV_SEG_P | 0xbu };
	return state;
}

static struct bv_cpu_state long_mode(void)
{
	struct bv_cpu_state state = common();

	state.cr0 = 0x80050033;
	state.cr4 = BV_CR4_PAE | BV_CR4_PGE | BV_CR4_OSFXSR;
	state.efer = BV_EFER_SCE | BV_EFER_LME | BV_EFER_LMA | BV_EFER_NXE;
	state.seg[BV_SEG_CS] = (struct bv_seg){ 0, ~0u, 0x33, CODE | USER | BV_SEG_L | BV_SEG_G };
	state.seg[BV_SEG_SS] = (struct bv_seg){ 0, ~0u, 0x2b, DATA | USER | FLAT };
	state.seg[BV_SEG_FS] = (struct bv_seg){ 0x7f0000001740, ~0u, 0x2b, DATA | USER | FLAT };
	state.seg[BV_SEG_GS] = (struct bv_seg){ 0x7f0000009000, ~0u, 0x2b, DATA | USER | FLAT };
	return state;
}

static struct bv_cpu_state protected_mode(void)
{
	struct bv_cpu_state state = common();

	state.cr0 = 0x80010031;
	state.cr4 = BV_CR4_PGE;
	for (unsigned int i = BV_SEG_ES; i <= BV_SEG_GS; i++)
		state.seg[i] = (struct bv_seg){ 0x1000 * i, 0xfffff, 0x10 + 8 * i,
						(i == BV_SEG_CS ? CODE : DATA) | BV_SEG_DB };
	state.seg[BV_SEG_LDTR] = (struct bv_seg){ 0xc0001000, 0xff, 0x48, BV_SEG_P | 0x2u };
	return state;
}

static struct bv_cpu_state real_mode(void)
{
	struct bv_cpu_state state = common();

	state.cr0 = 0x30;
	for (unsigned int i = BV_SEG_ES; i <= BV_SEG_GS; i++)
		state.seg[i] =
			(struct bv_seg){ 0x12340, 0xffff, 0x1234, i == BV_SEG_CS ? CODE : DATA };
	return state;
}

/* ---- the vendors ---- */

static struct machine machine;
static struct svm_vmcb vmcb __attribute__((aligned(4096)));
static struct svm_vcpu svm_own = { .vmcb = &vmcb };
static struct vmx_vcpu vmx_own;

/* What it takes out again is vcpu->state: it begins with other values everywhere. */
static void through_svm(struct bv_vcpu *vcpu)
{
	vcpu->vendor = &svm_own;
	svm_push(vcpu, BV_ST_ALL);
	memset(&vcpu->state, 0xa5, sizeof(vcpu->state));
	svm_pull(vcpu, BV_ST_ALL);
}

static void through_vmx(struct bv_vcpu *vcpu)
{
	vmx.caps.cr0_may = 0xffffffff;
	vmx.caps.cr0_ones = BV_CR0_NE;
	vmx.caps.cr4_may = 0x3767ff;
	vmx.caps.cr4_ones = BV_CR4_VMXE;
	vcpu->caps.cr4 = 0x3767ff & ~BV_CR4_VMXE;
	vcpu->vendor = &vmx_own;
	vcpu->loaded = true;
	vmx_masks_push(vcpu);
	vmx_push(vcpu, BV_ST_ALL);
	memset(&vcpu->state, 0xa5, sizeof(vcpu->state));
	vmx_pull(vcpu, BV_ST_ALL);
	vcpu->loaded = false;
}

/* One struct has no holes of chance in it: both come from the same vcpu->state. */
static void state_check(const struct bv_cpu_state *got, const struct bv_cpu_state *want)
{
	for (unsigned int i = 0; i < BV_SEG_COUNT; i++) {
		CHECK_EQ(got->seg[i].base, want->seg[i].base);
		CHECK_EQ(got->seg[i].limit, want->seg[i].limit);
		CHECK_EQ(got->seg[i].sel, want->seg[i].sel);
		CHECK_EQ(got->seg[i].attr, want->seg[i].attr);
	}
	CHECK_EQ(got->gdt.base, want->gdt.base);
	CHECK_EQ(got->gdt.limit, want->gdt.limit);
	CHECK_EQ(got->idt.base, want->idt.base);
	CHECK_EQ(got->idt.limit, want->idt.limit);
	for (const u64 *a = &got->cr0, *b = &want->cr0; a <= &got->pat; a++, b++)
		CHECK_EQ(*a, *b);
}

static void both_ways(struct bv_cpu_state want)
{
	struct bv_vcpu *vcpu;
	void *vendor;

	play_begin();
	machine_start(&machine, 1, CHIPS_FULL);
	vcpu = machine.cpu[0];
	vendor = vcpu->vendor;
	vcpu->state = want;
	through_svm(vcpu);
	state_check(&vcpu->state, &want);
	through_vmx(vcpu);
	state_check(&vcpu->state, &want);
	through_svm(vcpu);
	state_check(&vcpu->state, &want);
	vcpu->vendor = vendor;
	machine_stop(&machine);
}

TEST(a_guest_in_long_mode_is_the_same_under_both_vendors)
{
	both_ways(long_mode());
}

TEST(so_is_one_in_protected_mode)
{
	both_ways(protected_mode());
}

TEST(so_is_one_in_real_mode)
{
	both_ways(real_mode());
}

TEST(what_the_hardware_insists_on_the_guest_does_not_see)
{
	struct bv_cpu_state state = long_mode();

	both_ways(state);
	CHECK(vmcb.efer & BV_EFER_SVME);
	CHECK(fields[VMCS_GUEST_CR4] & BV_CR4_VMXE);
	both_ways(real_mode());
	CHECK(fields[VMCS_GUEST_CR0] & BV_CR0_NE);
}
