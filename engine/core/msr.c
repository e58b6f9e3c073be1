/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * MSRs: one table, a row each. A row says where the value lives and which values are good; an MSR
 * that has no row is asked of the local APIC (0x800 to 0x8ff and its kin), then of the front
 * (paravirtual ones), and is else unknown: #GP for the guest. None reaches the hardware.
 */
#include "core/vcpu.h"
#include "core/msr.h"

enum msr_flags {
	SAVED = 1, /* part of a vCPU's state, for save and restore */
	FEATURE = 2, /* tells what this host supports */
	IGNORE_WRITE = 4, /* what the guest writes is not kept */
	NESTED = 8, /* only where guests may run guests */
};

struct msr_row {
	u32 index;
	u32 flags;
	/*
	 * Either a function pair, or the offset of a u64 in struct bv_msr_store, with the bits that
	 * may be set.
	 */
	u64 (*get)(struct bv_vcpu *vcpu);
	bool (*set)(struct bv_vcpu *vcpu, u64 value, bool host);
	u16 offset;
	u64 allowed;
};

/* ---- those that live in the CPU's state ---- */

#define STATE_MSR(name, group, field, check)                               \
	static u64 name##_get(struct bv_vcpu *vcpu)                        \
	{                                                                  \
		bv_vcpu_need(vcpu, group);                                 \
		return vcpu->state.field;                                  \
	}                                                                  \
                                                                           \
	static bool name##_set(struct bv_vcpu *vcpu, u64 value, bool host) \
	{                                                                  \
		(void)host;                                                \
		if (!check(vcpu, value))                                   \
			return false;                                      \
		bv_vcpu_touch(vcpu, group);                                \
		vcpu->state.field = value;                                 \
		return true;                                               \
	}

static bool any_value(struct bv_vcpu *vcpu, u64 value)
{
	(void)vcpu, (void)value;
	return true;
}

static bool canonical(struct bv_vcpu *vcpu, u64 value)
{
	unsigned int unused;

	bv_vcpu_need(vcpu, BV_ST_CR);
	unused = vcpu->state.cr4 & BV_CR4_LA57 ? 7 : 16;
	return (u64)((s64)(value << unused) >> unused) == value;
}

static bool low_half(struct bv_vcpu *vcpu, u64 value)
{
	(void)vcpu;
	return !(value >> 32);
}

/* Each byte a memory type: 0, 1, 4, 5, 6 or 7. */
static bool pat_valid(struct bv_vcpu *vcpu, u64 value)
{
	(void)vcpu;
	for (unsigned int i = 0; i < 64; i += 8) {
		u8 type = value >> i;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

STATE_MSR(star, BV_ST_SYSCALL, star, any_value)
STATE_MSR(lstar, BV_ST_SYSCALL, lstar, canonical)
STATE_MSR(cstar, BV_ST_SYSCALL, cstar, canonical)
STATE_MSR(sfmask, BV_ST_SYSCALL, sfmask, low_half)
STATE_MSR(kernel_gs, BV_ST_SYSCALL, kernel_gs_base, canonical)
STATE_MSR(fs_base, BV_ST_SEG(BV_SEG_FS), seg[BV_SEG_FS].base, canonical)
STATE_MSR(gs_base, BV_ST_SEG(BV_SEG_GS), seg[BV_SEG_GS].base, canonical)
STATE_MSR(sysenter_cs, BV_ST_SYSCALL, sysenter_cs, any_value)
STATE_MSR(sysenter_esp, BV_ST_SYSCALL, sysenter_esp, canonical)
STATE_MSR(sysenter_eip, BV_ST_SYSCALL, sysenter_eip, canonical)
STATE_MSR(pat, BV_ST_PAT, pat, pat_valid)

static u64 efer_get(struct bv_vcpu *vcpu)
{
	bv_vcpu_need(vcpu, BV_ST_CR);
	return vcpu->state.efer;
}

static bool efer_set(struct bv_vcpu *vcpu, u64 value, bool host)
{
	if (host) {
		/* Restoring: LMA comes with the value, in whatever order with CR0. */
		if (value & ~(vcpu->caps.efer | BV_EFER_LMA))
			return false;
		if (!(value & BV_EFER_SVME))
			bv_nested_off(vcpu);
		bv_vcpu_touch(vcpu, BV_ST_CR);
		vcpu->state.efer = value;
		bv_vendor->tlb_flush(vcpu);
		return true;
	}
	return bv_vcpu_efer_write(vcpu, value);
}

/* ---- time ---- */

void bv_tsc_set_offset(struct bv_vcpu *vcpu, u64 offset)
{
	if (offset == vcpu->tsc_offset)
		return;
	vcpu->tsc_offset = offset;
	bv_vendor->tsc_offset(vcpu, offset);
	bv_vcpu_request(vcpu, BV_REQ_PV);
	if (vcpu->vm->intc)
		vcpu->vm->intc->tsc_changed(vcpu);
}

static u64 tsc_get(struct bv_vcpu *vcpu)
{
	return bv_vcpu_tsc(vcpu) + bv_l2_tsc_offset(vcpu);
}

/*
 * User space writes the TSCs of a VM's vCPUs one after the other, with values that it read one
 * after the other, and on a busy machine that takes seconds. Those that time spent on reading and
 * writing explains, give or take a second, get one offset, so that they stay equal: such writes are
 * a generation, which has one of each vCPU. So do those that are made 0, as at the birth of a vCPU,
 * and one that is written anew within a second. Also where the host does not trust its TSC: a busy
 * machine is enough for that, and one offset for all is the best that can be had then.
 */
static bool tsc_joins(const struct bv_vcpu *vcpu, u64 value, u64 ns)
{
	const struct bv_vm *vm = vcpu->vm;
	u64 second = bv_host_tsc_khz() * 1000ull, elapsed = ns - vm->tsc_last_write_ns;
	u64 expected = vm->tsc_last_value + elapsed / 1000 * (bv_host_tsc_khz() / 1000);

	if (!vm->tsc_last_write_ns)
		return false;
	if (!value)
		return true;
	if (vcpu->tsc_generation == vm->tsc_generation)
		return elapsed < 1000000000ull && value - expected + second < 2 * second;
	return value - vm->tsc_last_value + second < expected - vm->tsc_last_value + 2 * second;
}

static u64 tsc_offset_for(struct bv_vcpu *vcpu, u64 value)
{
	struct bv_vm *vm = vcpu->vm;
	u64 flags = bv_host_spin_lock_irq(&vm->tsc_lock);
	u64 offset = value - bv_host_tsc(), ns = bv_host_ns();
	bool joins = tsc_joins(vcpu, value, ns);

	if (joins)
		offset = vm->tsc_last_offset;
	else
		vm->tsc_generation++;
	vcpu->tsc_generation = vm->tsc_generation;
	if (value || !joins) {
		vm->tsc_last_write_ns = ns;
		vm->tsc_last_value = value;
		vm->tsc_last_offset = offset;
	}
	bv_host_spin_unlock_irq(&vm->tsc_lock, flags);
	return offset;
}

static bool tsc_set(struct bv_vcpu *vcpu, u64 value, bool host)
{
	u64 offset = host ? tsc_offset_for(vcpu, value) : value - bv_host_tsc();

	/* A guest's write of the TSC moves TSC_ADJUST along; volume 3 of Intel's manual, 18.17.3 */
	if (!host)
		vcpu->tsc_adjust += offset - vcpu->tsc_offset;
	bv_tsc_set_offset(vcpu, offset);
	return true;
}

static u64 tsc_adjust_get(struct bv_vcpu *vcpu)
{
	return vcpu->tsc_adjust;
}

static bool tsc_adjust_set(struct bv_vcpu *vcpu, u64 value, bool host)
{
	if (!host)
		bv_tsc_set_offset(vcpu, vcpu->tsc_offset + value - vcpu->tsc_adjust);
	vcpu->tsc_adjust = value;
	return true;
}

static u64 tsc_aux_get(struct bv_vcpu *vcpu)
{
	return vcpu->tsc_aux;
}

static bool tsc_aux_set(struct bv_vcpu *vcpu, u64 value, bool host)
{
	(void)host;
	if (value >> 32)
		return false;
	bv_vendor->tsc_aux(vcpu, value);
	return true;
}

s64 bv_vcpu_tsc_offset_get(struct bv_vcpu *vcpu)
{
	return vcpu->tsc_offset;
}

void bv_vcpu_tsc_offset_set(struct bv_vcpu *vcpu, s64 offset)
{
	bv_tsc_set_offset(vcpu, offset);
}

u32 bv_vcpu_tsc_khz(struct bv_vcpu *vcpu)
{
	(void)vcpu;
	return bv_host_tsc_khz();
}

bool bv_tsc_scalable(void)
{
	return false;
}

int bv_vcpu_set_tsc_khz(struct bv_vcpu *vcpu, u32 khz)
{
	u32 host = bv_host_tsc_khz();

	/* As exact as a frequency can be measured: 250 parts in a million. */
	if (!khz || khz - host + host / 4000 <= host / 2000)
		return 0;
	return bv_refuse(&vcpu->vm->why, BV_EINVAL,
			 "TSC frequency %u kHz: the host has %u kHz and this CPU cannot scale", khz,
			 host);
}

/* ---- MTRRs: kept for the guest; memory is write-back whatever they say ---- */

static bool mtrr_type(u8 type)
{
	return type <= 6 && type != 2 && type != 3;
}

static bool mtrr_fixed_valid(u64 value)
{
	for (unsigned int i = 0; i < 64; i += 8)
		if (!mtrr_type(value >> i))
			return false;
	return true;
}

/* The address of the store's word for a fixed or variable range, or NULL. */
static u64 *mtrr_word(struct bv_msr_store *store, u32 index)
{
	if (index >= 0x200 && index < 0x200 + 2 * BV_MTRR_VARIABLE)
		return &store->mtrr_variable[index - 0x200];
	if (index == 0x250)
		return &store->mtrr_fixed[0];
	if (index == 0x258 || index == 0x259)
		return &store->mtrr_fixed[1 + index - 0x258];
	if (index >= 0x268 && index <= 0x26f)
		return &store->mtrr_fixed[3 + index - 0x268];
	return NULL;
}

static bool mtrr_valid(const struct bv_vcpu *vcpu, u32 index, u64 value)
{
	u64 reserved = ~0ull << vcpu->caps.phys_bits;

	if (index >= 0x250)
		return mtrr_fixed_valid(value);
	if (index & 1)
		return !(value & (reserved | 0x7ff));
	return mtrr_type(value) && !(value & (reserved | 0xf00));
}

static bool mtrr_default_set(struct bv_vcpu *vcpu, u64 value, bool host)
{
	(void)host;
	if (value & ~0xcffull || !mtrr_type(value))
		return false;
	vcpu->msrs->mtrr_default = value;
	return true;
}

static u64 mtrr_default_get(struct bv_vcpu *vcpu)
{
	return vcpu->msrs->mtrr_default;
}

/* ---- the rest ---- */

static u64 zero_get(struct bv_vcpu *vcpu)
{
	(void)vcpu;
	return 0;
}

static u64 mtrr_cap_get(struct bv_vcpu *vcpu)
{
	(void)vcpu;
	return 0x500 | BV_MTRR_VARIABLE; /* fixed ranges, write-combining */
}

static bool never_set(struct bv_vcpu *vcpu, u64 value, bool host)
{
	(void)vcpu, (void)value;
	return host;
}

static bool zero_set(struct bv_vcpu *vcpu, u64 value, bool host)
{
	(void)vcpu, (void)host;
	return !value;
}

static bool drop_set(struct bv_vcpu *vcpu, u64 value, bool host)
{
	(void)vcpu, (void)value, (void)host;
	return true;
}

static bool mcg_status_set(struct bv_vcpu *vcpu, u64 value, bool host)
{
	(void)host;
	vcpu->msrs->mcg_status = value;
	return true;
}

static u64 mcg_status_get(struct bv_vcpu *vcpu)
{
	return vcpu->msrs->mcg_status;
}

static u64 mcg_cap_get(struct bv_vcpu *vcpu)
{
	return vcpu->msrs->mcg_cap;
}

static bool mcg_ctl_set(struct bv_vcpu *vcpu, u64 value, bool host)
{
	if (!(vcpu->msrs->mcg_cap & BV_MCG_CTL_P))
		return host &&
		       !value; /* saved and restored with the others, though it is not there */
	if (value && ~value && !host)
		return false;
	vcpu->msrs->mcg_ctl = value;
	return true;
}

static u64 mcg_ctl_get(struct bv_vcpu *vcpu)
{
	return vcpu->msrs->mcg_ctl;
}

static u64 vm_cr_get(struct bv_vcpu *vcpu)
{
	return vcpu->nested ? vcpu->nested->vm_cr : 0;
}

static u64 hsave_get(struct bv_vcpu *vcpu)
{
	return vcpu->nested ? vcpu->nested->hsave_pa : 0;
}

static bool hsave_set(struct bv_vcpu *vcpu, u64 value, bool host)
{
	(void)host;
	return bv_nested_hsave_write(vcpu, value);
}

#define STORED(field) NULL, NULL, offsetof(struct bv_msr_store, field)

/* Ordered by index: looked up by halving. Names as the manuals have them. */
static const struct msr_row rows[] = {
	{ 0x00000010, SAVED, tsc_get, tsc_set, 0, 0 }, /* TSC */
	{ 0x00000017, 0, zero_get, never_set, 0, 0 }, /* PLATFORM_ID */
	{ 0x0000003b, SAVED, tsc_adjust_get, tsc_adjust_set, 0, 0 }, /* TSC_ADJUST */
	{ 0x00000079, 0, zero_get, drop_set, 0, 0 }, /* BIOS_UPDT_TRIG */
	{ 0x0000008b, FEATURE | IGNORE_WRITE, STORED(patch_level),
	  ~0ull }, /* PATCH_LEVEL, BIOS_SIGN_ID */
	{ 0x000000fe, 0, mtrr_cap_get, never_set, 0, 0 }, /* MTRRcap */
	{ 0x00000174, SAVED, sysenter_cs_get, sysenter_cs_set, 0, 0 },
	{ 0x00000175, SAVED, sysenter_esp_get, sysenter_esp_set, 0, 0 },
	{ 0x00000176, SAVED, sysenter_eip_get, sysenter_eip_set, 0, 0 },
	{ 0x00000179, 0, mcg_cap_get, never_set, 0, 0 }, /* MCG_CAP */
	{ 0x0000017a, SAVED, mcg_status_get, mcg_status_set, 0, 0 }, /* MCG_STATUS */
	{ 0x0000017b, SAVED, mcg_ctl_get, mcg_ctl_set, 0, 0 }, /* MCG_CTL */
	{ 0x00000198, 0, zero_get, never_set, 0, 0 }, /* PERF_STATUS */
	{ 0x00000199, 0, zero_get, never_set, 0, 0 }, /* PERF_CTL */
	{ 0x000001a0, SAVED, STORED(misc_enable), ~0ull }, /* MISC_ENABLE */
	{ 0x000001d9, SAVED, STORED(debug_ctl), 3 }, /* DebugCtl: LBR, BTF, without effect */
	{ 0x000001db, 0, zero_get, never_set, 0, 0 }, /* LastBranchFromIP */
	{ 0x000001dc, 0, zero_get, never_set, 0, 0 },
	{ 0x000001dd, 0, zero_get, never_set, 0, 0 },
	{ 0x000001de, 0, zero_get, never_set, 0, 0 },
	{ 0x00000277, SAVED, pat_get, pat_set, 0, 0 }, /* PAT */
	{ 0x000002ff, SAVED, mtrr_default_get, mtrr_default_set, 0, 0 }, /* MTRRdefType */
	{ 0xc0000080, SAVED, efer_get, efer_set, 0, 0 }, /* EFER */
	{ 0xc0000081, SAVED, star_get, star_set, 0, 0 },
	{ 0xc0000082, SAVED, lstar_get, lstar_set, 0, 0 },
	{ 0xc0000083, SAVED, cstar_get, cstar_set, 0, 0 },
	{ 0xc0000084, SAVED, sfmask_get, sfmask_set, 0, 0 },
	{ 0xc0000100, SAVED, fs_base_get, fs_base_set, 0, 0 },
	{ 0xc0000101, SAVED, gs_base_get, gs_base_set, 0, 0 },
	{ 0xc0000102, SAVED, kernel_gs_get, kernel_gs_set, 0, 0 },
	{ 0xc0000103, SAVED, tsc_aux_get, tsc_aux_set, 0, 0 }, /* TSC_AUX */
	{ 0xc0010000, 0, zero_get, zero_set, 0,
	  0 }, /* PerfEvtSel0 to 3, PerfCtr0 to 3: no counters here */
	{ 0xc0010001, 0, zero_get, zero_set, 0, 0 },
	{ 0xc0010002, 0, zero_get, zero_set, 0, 0 },
	{ 0xc0010003, 0, zero_get, zero_set, 0, 0 },
	{ 0xc0010004, 0, zero_get, drop_set, 0, 0 },
	{ 0xc0010005, 0, zero_get, drop_set, 0, 0 },
	{ 0xc0010006, 0, zero_get, drop_set, 0, 0 },
	{ 0xc0010007, 0, zero_get, drop_set, 0, 0 },
	{ 0xc0010010, 0, zero_get, zero_set, 0, 0 }, /* SYSCFG */
	{ 0xc0010015, SAVED, STORED(hwcr), 0x1000048 }, /* HWCR: FFDIS, McStatusWrEn, TscFreqSel */
	{ 0xc001001f, 0, zero_get, drop_set, 0, 0 }, /* NB_CFG */
	{ 0xc0010055, 0, zero_get, drop_set, 0, 0 }, /* INT_PENDING */
	{ 0xc0010058, 0, zero_get, zero_set, 0, 0 }, /* MMIO configuration base: none */
	{ 0xc0010112, 0, zero_get, zero_set, 0, 0 }, /* SMM address: no SMM here */
	{ 0xc0010113, 0, zero_get, zero_set, 0, 0 },
	{ 0xc0010114, SAVED | NESTED, vm_cr_get, bv_nested_vm_cr_write, 0, 0 }, /* VM_CR */
	{ 0xc0010117, SAVED | NESTED, hsave_get, hsave_set, 0, 0 }, /* VM_HSAVE_PA */
	{ 0xc0010140, SAVED, STORED(osvw_length), ~0ull }, /* OSVW_ID_LENGTH */
	{ 0xc0010141, SAVED, STORED(osvw_status), ~0ull }, /* OSVW_STATUS */
	{ 0xc0011020, 0, zero_get, zero_set, 0, 0 }, /* LS_CFG */
	{ 0xc0011022, 0, zero_get, drop_set, 0, 0 }, /* DC_CFG */
	{ 0xc0011023, 0, zero_get, drop_set, 0, 0 }, /* BU_CFG */
	{ 0xc0011029, FEATURE | IGNORE_WRITE, STORED(de_cfg),
	  ~0ull }, /* DE_CFG: LFENCE is serializing */
	{ 0xc001102a, 0, zero_get, drop_set, 0, 0 }, /* BU_CFG2 */
};

static const struct msr_row *msr_find(u32 index)
{
	u32 low = 0, high = BV_ARRAY_SIZE(rows);

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (rows[middle].index == index)
			return &rows[middle];
		if (rows[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Those that exist only with their CPUID bit; the front may reach them before CPUID is set. */
static bool msr_exists(const struct bv_vcpu *vcpu, u32 index)
{
	switch (index) {
	case 0x3b:
		return vcpu->caps.tsc_adjust;
	case 0xc0000103:
		return vcpu->caps.rdtscp;
	case 0xc0010114:
	case 0xc0010117:
		return vcpu->caps.svm;
	default:
		return true;
	}
}

static bool is_apic_msr(u32 index)
{
	return index == 0x1b || index == 0x6e0 || (index >= 0x800 && index <= 0x8ff);
}

/* ---- machine-check banks ---- */

static u64 *mce_word(struct bv_vcpu *vcpu, u32 index)
{
	u32 word = index - 0x400;

	return word < (vcpu->msrs->mcg_cap & 0xff) * 4 ? &vcpu->msrs->mce[word] : NULL;
}

static bool mce_write(struct bv_vcpu *vcpu, u32 index, u64 value, bool host)
{
	u64 *word = mce_word(vcpu, index);

	/*
	 * MCi_CTL takes all ones or all zeroes (Linux clears bit 10 of bank 4); MCi_STATUS only
	 * zero, unless HWCR says so.
	 */
	if (!host && !(index & 3) && value && (value | 1ull << 10 | 1) != ~0ull)
		return false;
	if (!host && (index & 3) == 1 && value && !(vcpu->msrs->hwcr & 1ull << 18))
		return false;
	*word = value;
	return true;
}

u64 bv_mce_supported(void)
{
	return BV_MCG_CTL_P | BV_MCG_SER_P | BV_MCE_BANKS;
}

int bv_vcpu_mce_setup(struct bv_vcpu *vcpu, u64 mcg_cap)
{
	u32 banks = mcg_cap & 0xff;

	if (!banks || banks > BV_MCE_BANKS || mcg_cap & ~(bv_mce_supported() | 0xffull))
		return bv_refuse(
			&vcpu->vm->why, BV_EINVAL,
			"machine checks: MCG_CAP %#llx: 1 to %u banks, other bits of %#llx",
			mcg_cap, BV_MCE_BANKS, bv_mce_supported());
	vcpu->msrs->mcg_cap = mcg_cap;
	vcpu->msrs->mcg_ctl = mcg_cap & BV_MCG_CTL_P ? ~0ull : 0;
	for (u32 i = 0; i < banks; i++)
		vcpu->msrs->mce[i * 4] = ~0ull;
	return 0;
}

int bv_vcpu_mce_raise(struct bv_vcpu *vcpu, const struct bv_mce *mce)
{
	u64 *bank =
		mce->bank < (vcpu->msrs->mcg_cap & 0xff) ? &vcpu->msrs->mce[mce->bank * 4] : NULL;
	bool uncorrected = mce->status & BV_MCE_UNCORRECTED;

	if (!bank || !(mce->status & BV_MCE_VALID))
		return bv_refuse(&vcpu->vm->why, BV_EINVAL,
				 "machine check: bank %u of %u, status %#llx (bit 63 must be set)",
				 mce->bank, (u32)(vcpu->msrs->mcg_cap & 0xff), mce->status);
	/* Reporting is off, for all or for the bank. */
	if (uncorrected && (vcpu->msrs->mcg_ctl != ~0ull || bank[0] != ~0ull))
		return 0;
	bv_vcpu_need(vcpu, BV_ST_CR);
	if (uncorrected && (vcpu->msrs->mcg_status & 4 || !(vcpu->state.cr4 & BV_CR4_MCE))) {
		bv_vcpu_request(vcpu, BV_REQ_TRIPLE_FAULT);
		return 0;
	}
	bank[1] = mce->status | (bank[1] & BV_MCE_VALID ? BV_MCE_OVERFLOW : 0);
	bank[2] = mce->addr;
	bank[3] = mce->misc;
	vcpu->msrs->mcg_status = mce->mcg_status;
	if (uncorrected)
		bv_event_raise(vcpu, BV_EXC_MC, false, 0, 0);
	return 0;
}

/* ---- reading and writing ---- */

static enum bv_access_result msr_read_front(struct bv_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	int error = vcpu->vm->pv && vcpu->vm->pv->msr_get ?
			    vcpu->vm->pv->msr_get(vcpu, index, value, host) :
			    -BV_ENOENT;

	return !error ? BV_ACCESS_DONE : error == -BV_ENOENT ? BV_ACCESS_NOT_MINE : BV_ACCESS_FAULT;
}

enum bv_access_result bv_msr_read(struct bv_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	const struct msr_row *row;
	const u64 *word;

	if (is_apic_msr(index))
		return vcpu->vm->intc ? vcpu->vm->intc->msr_read(vcpu, index, value, host) :
					BV_ACCESS_NOT_MINE;
	row = msr_find(index);
	if (row && (host || msr_exists(vcpu, index))) {
		*value = row->get ? row->get(vcpu) : *(u64 *)((char *)vcpu->msrs + row->offset);
		return BV_ACCESS_DONE;
	}
	word = mtrr_word(vcpu->msrs, index);
	if (!word)
		word = mce_word(vcpu, index);
	if (!word)
		return msr_read_front(vcpu, index, value, host);
	*value = *word;
	return BV_ACCESS_DONE;
}

static enum bv_access_result msr_write_row(struct bv_vcpu *vcpu, const struct msr_row *row,
					   u64 value, bool host)
{
	if (row->set)
		return row->set(vcpu, value, host) ? BV_ACCESS_DONE : BV_ACCESS_FAULT;
	if (row->flags & IGNORE_WRITE && !host)
		return BV_ACCESS_DONE;
	if (value & ~row->allowed)
		return BV_ACCESS_FAULT;
	*(u64 *)((char *)vcpu->msrs + row->offset) = value;
	return BV_ACCESS_DONE;
}

static enum bv_access_result msr_write_front(struct bv_vcpu *vcpu, u32 index, u64 value, bool host)
{
	int error = vcpu->vm->pv && vcpu->vm->pv->msr_set ?
			    vcpu->vm->pv->msr_set(vcpu, index, value, host) :
			    -BV_ENOENT;

	return !error ? BV_ACCESS_DONE : error == -BV_ENOENT ? BV_ACCESS_NOT_MINE : BV_ACCESS_FAULT;
}

enum bv_access_result bv_msr_write(struct bv_vcpu *vcpu, u32 index, u64 value, bool host)
{
	const struct msr_row *row;
	u64 *word;

	if (is_apic_msr(index))
		return vcpu->vm->intc ? vcpu->vm->intc->msr_write(vcpu, index, value, host) :
					BV_ACCESS_NOT_MINE;
	row = msr_find(index);
	if (row && (host || msr_exists(vcpu, index)))
		return msr_write_row(vcpu, row, value, host);
	word = mtrr_word(vcpu->msrs, index);
	if (word) {
		if (!mtrr_valid(vcpu, index, value))
			return BV_ACCESS_FAULT;
		*word = value;
		return BV_ACCESS_DONE;
	}
	if (mce_word(vcpu, index))
		return mce_write(vcpu, index, value, host) ? BV_ACCESS_DONE : BV_ACCESS_FAULT;
	return msr_write_front(vcpu, index, value, host);
}

/* ---- the guest's RDMSR and WRMSR ---- */

static enum bv_exit_next msr_to_front(struct bv_vcpu *vcpu, bool write, u8 why)
{
	struct bv_run *run = vcpu->run;

	run->reason = write ? BV_RUN_MSR_WRITE : BV_RUN_MSR_READ;
	run->msr.index = vcpu->gprs.gpr[BV_RCX];
	run->msr.data = write ? (u32)vcpu->gprs.gpr[BV_RAX] | vcpu->gprs.gpr[BV_RDX] << 32 : 0;
	run->msr.error = false;
	run->msr.why = why;
	vcpu->wait.kind = write ? BV_WAIT_MSR_WRITE : BV_WAIT_MSR_READ;
	vcpu->wait.rip = vcpu->gprs.rip;
	vcpu->wait.length = 2;
	return BV_NEXT_FRONT;
}

static enum bv_exit_next msr_refused(struct bv_vcpu *vcpu, bool write, u8 why)
{
	if (vcpu->vm->msr_user_reasons & why)
		return msr_to_front(vcpu, write, why);
	bv_event_gp(vcpu);
	return BV_NEXT_GUEST;
}

void bv_msr_finish(struct bv_vcpu *vcpu)
{
	const struct bv_run *run = vcpu->run;

	if (run->msr.error) {
		bv_event_gp(vcpu);
		return;
	}
	if (vcpu->wait.kind == BV_WAIT_MSR_READ) {
		vcpu->gprs.gpr[BV_RAX] = (u32)run->msr.data;
		vcpu->gprs.gpr[BV_RDX] = run->msr.data >> 32;
	}
	bv_exit_skip(vcpu, vcpu->wait.length);
}

enum bv_exit_next bv_msr_exit(struct bv_vcpu *vcpu, bool write)
{
	u64 *gpr = vcpu->gprs.gpr, value = (u32)gpr[BV_RAX] | gpr[BV_RDX] << 32;
	u32 index = gpr[BV_RCX];
	unsigned int length = bv_exit_msr_length(vcpu, write);
	enum bv_access_result result;

	if (!length)
		return BV_NEXT_GUEST;
	if (bv_unlikely(vcpu->vm->msr_filter) &&
	    !vcpu->vm->msr_filter(vcpu->vm->front, index, write))
		return msr_refused(vcpu, write, BV_MSR_FILTERED);
	result = write ? bv_msr_write(vcpu, index, value, false) :
			 bv_msr_read(vcpu, index, &value, false);
	if (bv_unlikely(result == BV_ACCESS_NOT_MINE || result == BV_ACCESS_FAULT))
		return msr_refused(vcpu, write,
				   result == BV_ACCESS_FAULT ? BV_MSR_INVALID : BV_MSR_UNKNOWN);
	if (!write) {
		gpr[BV_RAX] = (u32)value;
		gpr[BV_RDX] = value >> 32;
	}
	bv_exit_skip(vcpu, length);
	return BV_NEXT_GUEST;
}

/* ---- for fronts ---- */

int bv_vcpu_msr_get(struct bv_vcpu *vcpu, u32 index, u64 *value)
{
	enum bv_access_result result = bv_msr_read(vcpu, index, value, true);

	return result == BV_ACCESS_DONE ? 0 : result == BV_ACCESS_FAULT ? -BV_EINVAL : -BV_ENOENT;
}

int bv_vcpu_msr_set(struct bv_vcpu *vcpu, u32 index, u64 value)
{
	enum bv_access_result result = bv_msr_write(vcpu, index, value, true);

	if (result == BV_ACCESS_FAULT)
		return bv_refuse(&vcpu->vm->why, BV_EINVAL, "MSR %#x cannot have the value %#llx",
				 index, value);
	if (result == BV_ACCESS_NOT_MINE)
		return bv_refuse(&vcpu->vm->why, BV_ENOENT, "MSR %#x does not exist here", index);
	return 0;
}

/* The rows of the table first, then what is no row: APIC base and deadline, MTRRs. */
static const u32 saved_beside[] = {
	0x1b,  0x6e0, 0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207,
	0x208, 0x209, 0x20a, 0x20b, 0x20c, 0x20d, 0x20e, 0x20f, 0x250, 0x258,
	0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
};

static const struct msr_row *msr_flagged(unsigned int *i, u32 flag)
{
	for (unsigned int at = 0; at < BV_ARRAY_SIZE(rows); at++) {
		if (!(rows[at].flags & flag) || (rows[at].flags & NESTED && !bv_engine_nests()))
			continue;
		if (!(*i)--)
			return &rows[at];
	}
	return NULL;
}

bool bv_msr_saved(unsigned int i, u32 *index)
{
	const struct msr_row *row = msr_flagged(&i, SAVED);

	if (row) {
		*index = row->index;
		return true;
	}
	if (i >= BV_ARRAY_SIZE(saved_beside))
		return false;
	*index = saved_beside[i];
	return true;
}

bool bv_msr_feature(unsigned int i, u32 *index, u64 *value)
{
	const struct msr_row *row = msr_flagged(&i, FEATURE);

	if (!row)
		return false;
	*index = row->index;
	*value = row->index == 0xc0011029 ? 2 : 0x1000065;
	return true;
}

int bv_msr_store_init(struct bv_vcpu *vcpu)
{
	vcpu->msrs = bv_host_alloc(sizeof(*vcpu->msrs));
	if (!vcpu->msrs)
		return -BV_ENOMEM;
	vcpu->msrs->misc_enable = 1; /* fast string operations */
	vcpu->msrs->patch_level = 0x1000065;
	vcpu->msrs->de_cfg = 2;
	vcpu->msrs->mcg_cap = BV_MCE_BANKS;
	return 0;
}

void bv_vm_msr_policy(struct bv_vm *vm, u32 user_reasons, bv_msr_filter *filter)
{
	bv_host_rwsem_write(&vm->mem_lock);
	vm->msr_user_reasons = user_reasons;
	vm->msr_filter = filter;
	bv_host_rwsem_write_done(&vm->mem_lock);
	if (filter)
		bv_vendor->msr_filter(vm);
}
