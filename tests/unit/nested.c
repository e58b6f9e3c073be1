// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guests of guests on AMD-V: what VMRUN makes of a VMCB, however hostile, who gets which exit, and
 * that no shadow keeps what the host took back.
 */
#include "test.h"

#include "svm_guest.h"

static bool vmrun(void)
{
	guest.entries = 0;
	guest_run(executes_vmrun);
	return guest.cpu->nesting & BV_NESTING_L2;
}

static u64 exit_code;

static bool l2_exits(struct svm_vmcb *vmcb, bool l2)
{
	return l2 && guest.entries == 1 && exit_with(vmcb, exit_code);
}

/* L2 exits so once; whether it went to L1. */
static bool goes_to_l1(u64 code)
{
	exit_code = code;
	guest.entries = 0;
	vmcb12()->exit_code = 0;
	guest_run(l2_exits);
	return !(guest.cpu->nesting & BV_NESTING_L2);
}

TEST(vmrun_and_back)
{
	struct bv_gprs gprs;

	guest_start();
	vmcb12_init();
	vmcb12()->tsc_offset = 1000;
	bv_vcpu_gprs_get(guest.cpu, &gprs);
	gprs.rip = 0x5000;
	gprs.gpr[BV_RSP] = 0x6000;
	bv_vcpu_gprs_set(guest.cpu, &gprs);
	CHECK(vmrun());
	CHECK_EQ(guest.cpu->gprs.rip, 0x7000);
	CHECK_EQ(guest.cpu->gprs.gpr[BV_RSP], 0x8000);
	CHECK_EQ(svm_of(guest.cpu)->vmcb->tsc_offset, guest.cpu->tsc_offset + 1000);
	CHECK(goes_to_l1(VMEXIT_VMMCALL));
	CHECK_EQ(vmcb12()->exit_code, VMEXIT_VMMCALL);
	CHECK_EQ(vmcb12()->rip, 0x7000);
	CHECK_EQ(vmcb12()->next_rip, 0x7003);
	CHECK_EQ(guest.cpu->gprs.rip, 0x5003);
	CHECK_EQ(guest.cpu->gprs.gpr[BV_RSP], 0x6000);
	CHECK_EQ(guest.cpu->gprs.gpr[BV_RAX], VMCB12);
	CHECK_EQ(guest.cpu->nesting, BV_NESTING_HELD);
	guest_stop();
}

TEST(without_svme_it_is_undefined)
{
	struct bv_sregs sregs;

	guest_start();
	bv_vcpu_sregs_get(guest.cpu, &sregs);
	sregs.efer &= ~BV_EFER_SVME;
	CHECK_EQ(bv_vcpu_sregs_set(guest.cpu, &sregs), 0);
	vmcb12_init();
	CHECK(!vmrun());
	CHECK_EQ(guest.cpu->counter[BV_COUNT_EXCEPTIONS_INJECTED], 1);
	guest_stop();
}

TEST(a_vmcb_outside_of_memory_is_a_protection_fault)
{
	struct bv_region_spec none = { .pages = 0 };

	guest_start();
	CHECK_EQ(bv_mem_region_set(guest.vm, &none), 0);
	CHECK(!vmrun());
	CHECK_EQ(guest.cpu->counter[BV_COUNT_EXCEPTIONS_INJECTED], 1);
	CHECK_EQ(guest.cpu->nesting, 0);
	guest_stop();
}

TEST(the_memory_of_a_vmcb_may_go_while_its_guest_is_on)
{
	struct bv_region_spec none = { .pages = 0 };

	guest_start();
	vmcb12_init();
	CHECK(vmrun());
	CHECK_EQ(bv_mem_region_set(guest.vm, &none), 0);
	exit_code = VMEXIT_VMMCALL;
	guest.entries = 0;
	CHECK_EQ(guest_run(l2_exits), BV_RUN_SHUTDOWN);
	CHECK(!(guest.cpu->nesting & BV_NESTING_L2));
	guest_stop();
}

TEST(a_vmcb_that_changes_after_vmrun_does_not_matter)
{
	guest_start();
	vmcb12_init();
	CHECK(vmrun());
	memset(vmcb12(), 0xff, sizeof(struct svm_vmcb));
	CHECK(goes_to_l1(VMEXIT_VMMCALL));
	/* What #VMEXIT does not write is as it was made. */
	CHECK_EQ(vmcb12()->asid, ~0u);
	CHECK_EQ(vmcb12()->fs.base, ~0ull);
	CHECK_EQ(vmcb12()->rip, 0x7000);
	guest_stop();
}

TEST(exits_go_to_whom_they_belong)
{
	guest_start();
	vmcb12_init();
	svm_intercept_set(vmcb12(), SVM_I_HLT, true);
	CHECK(vmrun());
	/* Nobody but us wants these. */
	CHECK(!goes_to_l1(VMEXIT_CPUID));
	CHECK(!goes_to_l1(VMEXIT_INTR));
	CHECK(!goes_to_l1(VMEXIT_EXCEPTION_DE + BV_EXC_MC));
	CHECK(goes_to_l1(VMEXIT_HLT));
	CHECK_EQ(vmcb12()->exit_code, VMEXIT_HLT);
	guest_stop();
}

TEST(a_vmmcall_that_nobody_wants_is_undefined)
{
	guest_start();
	vmcb12_init();
	svm_intercept_set(vmcb12(), SVM_I_VMMCALL, false);
	svm_intercept_set(vmcb12(), SVM_WORD_EXCEPTION * 32 + BV_EXC_UD, true);
	CHECK(vmrun());
	CHECK(goes_to_l1(VMEXIT_VMMCALL));
	CHECK_EQ(vmcb12()->exit_code, VMEXIT_EXCEPTION_DE + BV_EXC_UD);
	guest_stop();
}

TEST(an_interrupt_takes_it_back_and_waits)
{
	struct bv_msi msi = { 0xfee00000, 0x40 };
	u32 spiv = 0x1ff;

	guest_start();
	guest.vm->intc->mmio_write(guest.cpu, 0xfee000f0, 4, &spiv);
	vmcb12_init();
	vmcb12()->int_ctl = SVM_V_INTR_MASKING;
	svm_intercept_set(vmcb12(), SVM_I_INTR, true);
	guest.cpu->gprs.rflags |= BV_RFLAGS_IF;
	CHECK(vmrun());
	bv_irq_msi(guest.vm, &msi);
	guest_run(NULL);
	CHECK_EQ(guest.cpu->nesting, BV_NESTING_HELD);
	CHECK_EQ(vmcb12()->exit_code, VMEXIT_INTR);
	CHECK_EQ(guest.vm->intc->pending(guest.cpu), 0x40);
	bv_nested_hold(guest.cpu, false);
	guest_run(NULL);
	CHECK_EQ(guest.vm->intc->pending(guest.cpu), -1);
	guest_stop();
}

/* As one emulator has it, which forgets the shadow at an entry. */
static bool l2_window_in_a_shadow(struct svm_vmcb *vmcb, bool l2)
{
	if (!l2 || guest.entries > 2)
		return false;
	/* The second time it is stepped over the instruction. */
	CHECK_EQ(guest.entries == 2, !(vmcb->int_ctl & SVM_V_IRQ));
	CHECK_EQ(guest.entries == 2, (vmcb->rflags & BV_RFLAGS_TF) != 0);
	vmcb->int_state = guest.entries == 1;
	if (guest.entries == 2)
		return exit_with(vmcb, VMEXIT_INTR);
	return exit_with(vmcb, VMEXIT_VINTR);
}

TEST(a_virtual_interrupt_waits_for_the_end_of_a_shadow)
{
	guest_start();
	vmcb12_init();
	/* Without paging, so that the code is found: NOPs. */
	vmcb12()->cr0 = BV_CR0_PE | BV_CR0_ET;
	vmcb12()->efer = BV_EFER_SVME;
	vmcb12()->cs.attr = 0xc9b;
	memset(guest.memory + 0x7000, 0x90, 16);
	svm_intercept_set(vmcb12(), SVM_I_VINTR, true);
	vmcb12()->int_ctl = SVM_V_INTR_MASKING | SVM_V_IRQ | SVM_V_IGN_TPR;
	vmcb12()->rflags |= BV_RFLAGS_IF;
	CHECK(vmrun());
	guest.entries = 0;
	guest_run(l2_window_in_a_shadow);
	CHECK(guest.cpu->nesting & BV_NESTING_L2);
	CHECK_EQ(guest.cpu->gprs.rflags & BV_RFLAGS_TF, 0);
	CHECK(svm_nested_of(guest.cpu)->guest->int_ctl & SVM_V_IRQ);
	CHECK(goes_to_l1(VMEXIT_VINTR));
	CHECK(vmcb12()->int_ctl & SVM_V_IRQ);
	guest_stop();
}

TEST(a_reset_ends_it)
{
	guest_start();
	vmcb12_init();
	CHECK(vmrun());
	bv_vcpu_init_signal(guest.cpu);
	guest_run(NULL);
	CHECK_EQ(guest.cpu->nesting, 0);
	CHECK_EQ(svm_of(guest.cpu)->vmcb, svm_of(guest.cpu)->vmcb01);
	CHECK_EQ(guest.cpu->gprs.rip, 0xfff0);
	guest_stop();
}

TEST(it_is_saved_only_while_its_guest_is_off)
{
	bool held;

	guest_start();
	vmcb12_init();
	CHECK_EQ(bv_vcpu_nested_get(guest.cpu, &held), 0);
	CHECK(!held);
	CHECK(vmrun());
	CHECK_EQ(bv_vcpu_nested_get(guest.cpu, &held), -BV_EBUSY);
	CHECK(goes_to_l1(VMEXIT_VMMCALL));
	CHECK_EQ(bv_vcpu_nested_get(guest.cpu, &held), 0);
	CHECK(held);
	CHECK_EQ(bv_vcpu_nested_set(guest.cpu, false), 0);
	CHECK_EQ(guest.cpu->nesting, 0);
	CHECK(vmrun());
	CHECK_EQ(bv_vcpu_nested_set(guest.cpu, true), 0);
	CHECK_EQ(guest.cpu->nesting, BV_NESTING_HELD);
	CHECK_EQ(svm_of(guest.cpu)->vmcb, svm_of(guest.cpu)->vmcb01);
	guest_stop();
}

TEST(its_msrs)
{
	u64 value;

	guest_start();
	CHECK_EQ(bv_msr_write(guest.cpu, 0xc0010117, 0x3000, false), BV_ACCESS_DONE);
	CHECK_EQ(bv_msr_write(guest.cpu, 0xc0010117, 0x3008, false), BV_ACCESS_FAULT);
	CHECK_EQ(bv_msr_write(guest.cpu, 0xc0010117, 1ull << 40, false), BV_ACCESS_FAULT);
	CHECK_EQ(bv_msr_read(guest.cpu, 0xc0010117, &value, false), BV_ACCESS_DONE);
	CHECK_EQ(value, 0x3000);
	/* SVMDIS not with SVME on; LOCK keeps both. */
	CHECK_EQ(bv_msr_write(guest.cpu, 0xc0010114, 0x10, false), BV_ACCESS_FAULT);
	CHECK_EQ(bv_msr_write(guest.cpu, 0xc0010114, 0x02, false), BV_ACCESS_FAULT);
	CHECK_EQ(bv_msr_write(guest.cpu, 0xc0010114, 0x08, false), BV_ACCESS_DONE);
	CHECK(bv_vcpu_efer_write(guest.cpu, BV_EFER_LME | BV_EFER_LMA));
	CHECK_EQ(bv_msr_write(guest.cpu, 0xc0010114, 0x10, false), BV_ACCESS_DONE);
	CHECK_EQ(bv_msr_read(guest.cpu, 0xc0010114, &value, false), BV_ACCESS_DONE);
	CHECK_EQ(value, 0x08);
	CHECK_EQ(bv_vcpu_msr_set(guest.cpu, 0xc0010114, 0x10), 0);
	CHECK(!bv_vcpu_efer_write(guest.cpu, BV_EFER_LME | BV_EFER_LMA | BV_EFER_SVME));
	guest_stop();
}

/* ---- nested paging ---- */

static u64 *table(unsigned int level)
{
	return (u64 *)(guest.memory + TABLES + (4 - level) * BV_PAGE_SIZE);
}

/* L2's page 0 is L1's page at `gpa`. */
static void nested_map(u64 gpa, u64 flags)
{
	for (unsigned int level = 4; level > 1; level--)
		table(level)[0] =
			(TABLES + (5 - level) * BV_PAGE_SIZE) | BV_PTE_P | BV_PTE_W | BV_PTE_U;
	table(1)[0] = gpa | flags;
}

static u64 fault_info;

static bool l2_faults(struct svm_vmcb *vmcb, bool l2)
{
	if (!l2 || guest.entries > 1)
		return false;
	vmcb->exit_code = VMEXIT_NPF;
	vmcb->exit_info_1 = fault_info;
	vmcb->exit_info_2 = 0x123;
	return true;
}

/* L2 touches its page 0. */
static void l2_touches(u64 info)
{
	fault_info = info | SVM_NPF_FINAL | BV_PF_USER;
	guest.entries = 0;
	guest_run(l2_faults);
}

/* The leaf of the shadow for L2's page 0; 0: none. */
static u64 shadow_leaf(void)
{
	const u64 *at = guest.cpu->nested->shadow.root;

	for (unsigned int level = 4; level > 1; level--) {
		if (!(at[0] & BV_PTE_P))
			return 0;
		at = bv_host_va(at[0] & 0xffffffffff000);
	}
	return at[0];
}

static u64 frame_of(u64 gpa)
{
	return (u64)(guest.memory + gpa) & BV_PAGE_MASK;
}

static void nested_start(void)
{
	guest_start();
	vmcb12_init();
	vmcb12()->np_enable = 1;
	vmcb12()->n_cr3 = TABLES;
	nested_map(DATA, BV_PTE_P | BV_PTE_W | BV_PTE_U);
	CHECK(vmrun());
}

TEST(the_shadow_leads_to_the_frame)
{
	nested_start();
	CHECK_EQ(shadow_leaf(), 0);
	l2_touches(0);
	CHECK_EQ(shadow_leaf() & 0xffffffffff000, frame_of(DATA));
	/* Rights come with the accesses that have left their marks in L1's table. */
	CHECK(!(shadow_leaf() & BV_PTE_W));
	CHECK(shadow_leaf() & BV_PTE_NX);
	CHECK_EQ(table(1)[0] & (BV_PTE_A | BV_PTE_D), BV_PTE_A);
	l2_touches(BV_PF_WRITE);
	CHECK(shadow_leaf() & BV_PTE_W);
	CHECK(table(1)[0] & BV_PTE_D);
	l2_touches(BV_PF_FETCH);
	CHECK_EQ(shadow_leaf() & (BV_PTE_W | BV_PTE_NX), BV_PTE_W);
	guest_stop();
}

TEST(a_fault_by_its_own_table_is_l1s)
{
	nested_start();
	nested_map(DATA, BV_PTE_P | BV_PTE_U);
	l2_touches(BV_PF_WRITE);
	CHECK(!(guest.cpu->nesting & BV_NESTING_L2));
	CHECK_EQ(vmcb12()->exit_code, VMEXIT_NPF);
	CHECK_EQ(vmcb12()->exit_info_1, SVM_NPF_FINAL | BV_PF_USER | BV_PF_WRITE | BV_PF_PRESENT);
	CHECK_EQ(vmcb12()->exit_info_2, 0x123);
	CHECK_EQ(shadow_leaf(), 0);
	guest_stop();
}

TEST(what_the_host_takes_back_leaves_the_shadow)
{
	u64 at;

	nested_start();
	l2_touches(0);
	CHECK(shadow_leaf());
	at = (u64)guest.memory + DATA;
	bv_mem_invalidate_begin(guest.vm, at, at + BV_PAGE_SIZE);
	bv_mem_invalidate_end(guest.vm, at, at + BV_PAGE_SIZE);
	guest_run(NULL);
	CHECK_EQ(shadow_leaf(), 0);
	CHECK(guest.cpu->nesting & BV_NESTING_L2);
	guest_stop();
}

TEST(also_while_l1_is_on)
{
	u64 at;

	nested_start();
	l2_touches(0);
	CHECK(goes_to_l1(VMEXIT_VMMCALL));
	CHECK(shadow_leaf());
	at = (u64)guest.memory + DATA;
	bv_mem_invalidate_begin(guest.vm, at, at + BV_PAGE_SIZE);
	bv_mem_invalidate_end(guest.vm, at, at + BV_PAGE_SIZE);
	guest_run(NULL);
	CHECK_EQ(shadow_leaf(), 0);
	guest_stop();
}

TEST(a_cleared_log_takes_the_right_to_write)
{
	struct bv_region_spec spec = { .pages = GUEST_PAGES, .flags = BV_REGION_LOG };
	u64 bitmap[GUEST_PAGES / 64] = { 0 };

	guest_start();
	spec.host_addr = (u64)guest.memory;
	CHECK_EQ(bv_mem_region_set(guest.vm, &spec), 0);
	vmcb12_init();
	vmcb12()->np_enable = 1;
	vmcb12()->n_cr3 = TABLES;
	nested_map(DATA, BV_PTE_P | BV_PTE_W | BV_PTE_U);
	CHECK(vmrun());
	l2_touches(BV_PF_WRITE);
	CHECK(shadow_leaf() & BV_PTE_W);
	CHECK_EQ(bv_mem_dirty_fetch(guest.vm, 0, bitmap, true), 0);
	CHECK(bitmap[0] >> (DATA >> BV_PAGE_SHIFT) & 1);
	guest_run(NULL);
	CHECK(!(shadow_leaf() & BV_PTE_W));
	/* A read brings it back without, and the next write is logged. */
	l2_touches(0);
	CHECK_EQ(shadow_leaf() & (BV_PTE_P | BV_PTE_W), BV_PTE_P);
	l2_touches(BV_PF_WRITE);
	CHECK(shadow_leaf() & BV_PTE_W);
	CHECK_EQ(bv_mem_dirty_fetch(guest.vm, 0, bitmap, false), 0);
	CHECK(bitmap[0] >> (DATA >> BV_PAGE_SHIFT) & 1);
	guest_stop();
}

/* The host takes the frame back between its answer and the mapping. */
static void take_back(u64 host_addr)
{
	fake_frame_found = NULL;
	bv_mem_invalidate_begin(guest.vm, host_addr, host_addr + BV_PAGE_SIZE);
	bv_mem_invalidate_end(guest.vm, host_addr, host_addr + BV_PAGE_SIZE);
}

TEST(a_frame_that_is_taken_back_meanwhile_is_not_mapped)
{
	nested_start();
	fake_frame_found = take_back;
	l2_touches(0);
	CHECK(!fake_frame_found);
	CHECK_EQ(shadow_leaf(), 0);
	l2_touches(0);
	CHECK(shadow_leaf());
	guest_stop();
}

TEST(the_same_translations_outlive_an_exit)
{
	nested_start();
	l2_touches(0);
	CHECK(goes_to_l1(VMEXIT_VMMCALL));
	CHECK(vmrun());
	CHECK(shadow_leaf());
	CHECK(goes_to_l1(VMEXIT_VMMCALL));
	vmcb12()->tlb_control = SVM_TLB_ASID;
	CHECK(vmrun());
	CHECK_EQ(shadow_leaf(), 0);
	vmcb12()->tlb_control = SVM_TLB_NOTHING;
	l2_touches(0);
	CHECK(goes_to_l1(VMEXIT_VMMCALL));
	vmcb12()->asid = 2;
	CHECK(vmrun());
	CHECK_EQ(shadow_leaf(), 0);
	l2_touches(0);
	CHECK(goes_to_l1(VMEXIT_VMMCALL));
	vmcb12()->n_cr3 = TABLES + BV_PAGE_SIZE;
	CHECK(vmrun());
	CHECK_EQ(shadow_leaf(), 0);
	guest_stop();
}

/* More tables than it may have: it begins anew. */
TEST(the_shadow_is_bounded)
{
	u64 most = 0;

	nested_start();
	for (u64 i = 0; i < 2 * BV_SHADOW_TABLES; i++) {
		struct bv_shadow *shadow = &guest.cpu->nested->shadow;
		struct bv_exit *exit = &guest.cpu->exit;

		/* Each 2 MiB further: L1's table leads all of them to one page. */
		for (unsigned int level = 4; level > 1; level--)
			for (unsigned int entry = 0; entry < 512; entry++)
				table(level)[entry] = table(level)[0];
		exit->fault.gpa = i << 21;
		exit->fault.write = exit->fault.fetch = false;
		bv_host_rwsem_read(&guest.vm->mem_lock);
		bv_fault_l2(guest.cpu);
		bv_host_rwsem_read_done(&guest.vm->mem_lock);
		CHECK(shadow->used && shadow->count <= BV_SHADOW_TABLES);
		most = shadow->count > most ? shadow->count : most;
	}
	CHECK(most > BV_SHADOW_TABLES - 8);
	guest_stop();
}

/* ---- hostile ---- */

static u64 seed = 1;

static u32 chance(u32 below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(seed >> 33) % below;
}

static bool anything(struct svm_vmcb *vmcb, bool l2)
{
	static const u16 codes[] = { VMEXIT_VMRUN,    VMEXIT_VMLOAD, VMEXIT_VMSAVE, VMEXIT_STGI,
				     VMEXIT_CLGI,     VMEXIT_NPF,    VMEXIT_MSR,    VMEXIT_IOIO,
				     VMEXIT_INVLPGA,  VMEXIT_VINTR,  VMEXIT_CPUID,  VMEXIT_VMMCALL,
				     VMEXIT_SHUTDOWN, 0x10,	     0x46,	    0x4e };

	(void)l2;
	if (guest.entries > 20)
		return false;
	exit_with(vmcb, codes[chance(BV_ARRAY_SIZE(codes))]);
	vmcb->exit_info_1 = chance(64) | (u64)chance(4) << 32;
	vmcb->exit_info_2 = (u64)chance(256) << 12;
	/* A processor's accesses to ports are of 1, 2 or 4 bytes; an instruction is short. */
	if (vmcb->exit_code == VMEXIT_IOIO) {
		vmcb->exit_info_1 = chance(2) | 1u << (4 + chance(3)) | chance(0x10000) << 16;
		vmcb->exit_info_2 = vmcb->rip + 2;
	}
	vmcb->rax = chance(8) ? VMCB12 : (u64)chance(1 << 20) << 8;
	if (chance(8) == 0)
		vmcb->exit_int_info = SVM_EVENT_VALID | chance(0x1000);
	return true;
}

TEST(a_vmcb_of_nonsense_does_no_harm)
{
	u32 entered = 0;

	guest_start();
	fake_log_quiet = true;
	for (unsigned int round = 0; round < 3000; round++) {
		u8 *bytes = (u8 *)vmcb12();

		vmcb12_init();
		vmcb12()->np_enable = chance(2);
		vmcb12()->n_cr3 = TABLES;
		for (unsigned int i = chance(12); i; i--)
			bytes[chance(2) ? chance(0x100) : 0x400 + chance(0x280)] = (u8)chance(256);
		nested_map((u64)chance(GUEST_PAGES * 2) << 12, chance(256));
		guest.entries = 0;
		guest_run(anything);
		entered += guest.cpu->nesting & BV_NESTING_L2;
		bv_vcpu_reset(guest.cpu, false);
		guest_state(guest.cpu);
	}
	CHECK(entered > 100);
	guest_stop();
}
