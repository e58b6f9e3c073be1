// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VT-x without a processor: what is made of the capability MSRs, and the checker that explains why
 * an entry failed, over VMCSs that are tables here. Entering itself is tested under Bochs.
 */
#include "test.h"

#include <string.h>

#include "bv/x86.h"
#include "vmx/vmx.h"

/* A server's processor of 2017 */
static const struct vmx_msrs skylake = {
	.basic = 0x00da040000000004,
	.pin = 0x0000007f00000016,
	.proc = 0xfff9fffe0401e172,
	.exit = 0x01ffffff00036dff,
	.entry = 0x0003ffff000011ff,
	.misc = 0x000000007004c1e7,
	.cr0_fixed0 = 0x80000021,
	.cr0_fixed1 = 0xffffffff,
	.cr4_fixed0 = 0x2000,
	.cr4_fixed1 = 0x3767ff,
	.proc2 = 0x001ffcff00000000,
	.ept_vpid = 0x00000f0106734141,
	.true_pin = 0x0000007f00000016,
	.true_proc = 0xfff9fffe04006172,
	.true_exit = 0x01ffffff00036dfb,
	.true_entry = 0x0003ffff000011fb,
	.phys_bits = 46,
};

static struct vmx_caps caps;

static bool computed(const struct vmx_msrs *msrs)
{
	return vmx_caps_compute(msrs, &caps);
}

static bool refused_for(const struct vmx_msrs *msrs, const char *word)
{
	return !computed(msrs) && strstr(caps.why, word);
}

/* ---- capabilities ---- */

TEST(controls_are_what_is_wanted_must_be_and_may_be)
{
	CHECK_EQ(vmx_control_make(0x000000f000000010, 0x20), 0x30);
	CHECK_EQ(vmx_control_make(0x000000f000000010, 0x01), 0x10);
	CHECK(computed(&skylake));
	CHECK_EQ(caps.control[VMX_PIN], 0x16 | 0x69);
	CHECK_EQ(caps.control[VMX_PROC] & (1u << 15 | 1u << 16), 0);
	CHECK(caps.control[VMX_PROC] & 1u << 31);
	CHECK_EQ(caps.control[VMX_PROC2],
		 1u << 1 | 1u << 3 | 1u << 6 | 1u << 7 | 1u << 10 | 1u << 12);
	CHECK_EQ(caps.control[VMX_ENTRY] & (1u << 9), 0);
	CHECK_EQ(caps.cr0_ones, BV_CR0_NE);
	CHECK_EQ(caps.cr4_ones, BV_CR4_VMXE);
	CHECK_EQ(caps.phys_bits, 46);
}

TEST(a_processor_that_lacks_something_is_refused_by_its_name)
{
	struct vmx_msrs msrs = skylake;

	msrs.proc2 &= ~(1ull << (32 + 1));
	CHECK(refused_for(&msrs, "enable EPT"));
	msrs = skylake;
	msrs.proc2 &= ~(1ull << (32 + 7));
	CHECK(refused_for(&msrs, "unrestricted guest"));
	msrs = skylake;
	msrs.true_pin &= ~(1ull << (32 + 5));
	CHECK(refused_for(&msrs, "virtual NMIs"));
	msrs = skylake;
	msrs.true_proc &= ~(1ull << (32 + 2));
	CHECK(refused_for(&msrs, "interrupt-window exiting"));
	msrs = skylake;
	msrs.proc &= ~(1ull << 63);
	CHECK(refused_for(&msrs, "secondary controls"));
	msrs = skylake;
	msrs.ept_vpid &= ~VMX_EPT_WALK_4;
	CHECK(refused_for(&msrs, "four levels"));
	msrs = skylake;
	msrs.ept_vpid &= ~(VMX_EPT_INVEPT_SINGLE | VMX_EPT_INVEPT_ALL);
	CHECK(refused_for(&msrs, "INVEPT"));
}

/* One control gone, or insisted on, in the MSRs that count on this processor. */
static struct vmx_msrs control_changed(enum vmx_word word, unsigned int bit, bool insist)
{
	struct vmx_msrs msrs = skylake;
	u64 *capability = word == VMX_PIN   ? &msrs.true_pin :
			  word == VMX_PROC  ? &msrs.true_proc :
			  word == VMX_PROC2 ? &msrs.proc2 :
			  word == VMX_EXIT  ? &msrs.true_exit :
					      &msrs.true_entry;

	if (insist)
		*capability |= 1ull << bit;
	else
		*capability &= ~(1ull << (32 + bit));
	return msrs;
}

TEST(each_control_of_the_table_is_needed_wanted_or_never_set_as_it_says)
{
	static const struct {
		enum vmx_word word;
		unsigned int bit, use;
		const char *name;
	} rows[] = {
#define CONTROL_TEST(word, name, bit, use, text) { VMX_##word, bit, VMX_##use, text },
		VMX_CONTROLS(CONTROL_TEST)
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vmx_msrs gone = control_changed(rows[i].word, rows[i].bit, false);
		struct vmx_msrs insists = control_changed(rows[i].word, rows[i].bit, true);

		if (rows[i].use == VMX_NEED || rows[i].use == VMX_TIMES) {
			CHECK(refused_for(&gone, rows[i].name));
		} else {
			CHECK(computed(&gone));
			CHECK_EQ(caps.control[rows[i].word] & 1u << rows[i].bit, 0);
		}
		if (rows[i].use == VMX_NEED || rows[i].use == VMX_WANT) {
			CHECK(computed(&insists));
			CHECK(caps.control[rows[i].word] & 1u << rows[i].bit);
		} else {
			CHECK(refused_for(&insists, rows[i].name));
		}
	}
}

TEST(a_processor_that_insists_on_what_is_not_wanted_is_refused)
{
	struct vmx_msrs msrs = skylake;

	/* Without the "true" MSRs, CR3 accesses would have to exit. */
	msrs.basic &= ~VMX_BASIC_TRUE;
	CHECK(refused_for(&msrs, "CR3-load exiting"));
	msrs.proc &= ~(1ull << 15 | 1ull << 16);
	CHECK(computed(&msrs));
}

TEST(what_a_processor_does_not_have_to_have_is_left_out)
{
	struct vmx_msrs msrs = skylake;

	msrs.proc2 &= ~(1ull << (32 + 3) | 1ull << (32 + 12));
	CHECK(computed(&msrs));
	CHECK_EQ(caps.control[VMX_PROC2] & (1u << 3 | 1u << 12), 0);
}

TEST(the_preemption_timer_never_ends_a_turn_too_early)
{
	const u64 misc = 5; /* a count where bit 5 changes */

	CHECK_EQ(vmx_timer_value(misc, 0, 1000), 0);
	CHECK_EQ(vmx_timer_value(misc, 1, 1000), 1);
	CHECK_EQ(vmx_timer_value(misc, 31, 1000), 1);
	CHECK_EQ(vmx_timer_value(misc, 32, 1000), 2);
	CHECK_EQ(vmx_timer_value(misc, 999 * 32 - 1, 1000), 999);
	CHECK_EQ(vmx_timer_value(misc, 999 * 32, 1000), 1000);
	CHECK_EQ(vmx_timer_value(misc, 1000 * 32, 1000), 1000);
	CHECK_EQ(vmx_timer_value(misc, BV_NO_TURN, 1000), 1000);
	CHECK_EQ(vmx_timer_value(0, 1ull << 40, ~0u), ~0u);
}

TEST(two_processors_differ_by_the_name_of_an_msr)
{
	struct vmx_msrs other = skylake;

	CHECK(!vmx_msrs_differ(&skylake, &other));
	other.ept_vpid ^= VMX_EPT_1G;
	CHECK(!strcmp(vmx_msrs_differ(&skylake, &other), "IA32_VMX_EPT_VPID_CAP"));
}

/* ---- the checker ---- */

static u64 vmcs[0x7000];
static char rules[8][80];
static unsigned int rule_count;

static u64 field_read(void *arg, u32 field)
{
	(void)arg;
	return vmcs[field];
}

static void rule_broken(void *arg, const char *rule, u64 value)
{
	(void)arg, (void)value;
	snprintf(rules[rule_count++ % 8], sizeof(rules[0]), "%s", rule);
}

static void segment(unsigned int number, u16 sel, u32 limit, u32 rights)
{
	vmcs[VMCS_GUEST_ES + 2 * number] = sel;
	vmcs[VMCS_GUEST_ES_LIMIT + 2 * number] = limit;
	vmcs[VMCS_GUEST_ES_RIGHTS + 2 * number] = rights;
	vmcs[VMCS_GUEST_ES_BASE + 2 * number] = 0;
}

static void host_good(void)
{
	vmcs[VMCS_HOST_CR0] = 0x80050033;
	vmcs[VMCS_HOST_CR3] = 0x1000;
	vmcs[VMCS_HOST_CR4] = 0x2620;
	vmcs[VMCS_HOST_EFER] = 0xd01;
	vmcs[VMCS_HOST_CS] = 0x10;
	vmcs[VMCS_HOST_SS] = 0x18;
	vmcs[VMCS_HOST_TR] = 0x40;
	vmcs[VMCS_HOST_RIP] = 0xffffffff81000000;
	vmcs[VMCS_HOST_GS_BASE] = 0xffff888000000000;
}

/* A VMCS with a guest in 64-bit mode that no rule refuses. */
static void vmcs_good(void)
{
	memset(vmcs, 0, sizeof(vmcs));
	computed(&skylake);
	vmcs[VMCS_PIN_CONTROLS] = caps.control[VMX_PIN];
	vmcs[VMCS_PROC_CONTROLS] = caps.control[VMX_PROC];
	vmcs[VMCS_PROC2_CONTROLS] = caps.control[VMX_PROC2] | VMX_PROC2_PML;
	vmcs[VMCS_PML_ADDRESS] = 0x8000;
	vmcs[VMCS_PML_INDEX] = VMX_PML_ENTRIES - 1;
	vmcs[VMCS_EXIT_CONTROLS] = caps.control[VMX_EXIT];
	vmcs[VMCS_ENTRY_CONTROLS] = caps.control[VMX_ENTRY] | VMX_ENTRY_LONG_MODE;
	vmcs[VMCS_EPTP] = 0x5000 | VMX_EPTP_WB | VMX_EPTP_WALK_4 | VMX_EPTP_AD;
	vmcs[VMCS_MSR_BITMAP] = 0x6000;
	vmcs[VMCS_VIRTUAL_APIC] = 0x7000;
	vmcs[VMCS_LINK] = ~0ull;
	host_good();
	vmcs[VMCS_GUEST_CR0] = 0x80000033;
	vmcs[VMCS_GUEST_CR4] = 0x2020;
	vmcs[VMCS_GUEST_EFER] = 0x500;
	vmcs[VMCS_GUEST_DR7] = 0x400;
	vmcs[VMCS_GUEST_RFLAGS] = 2;
	vmcs[VMCS_GUEST_RIP] = 0xffffffff80000000;
	for (unsigned int i = 0; i < BV_SEG_LDTR; i++)
		segment(i, 0x10, ~0u, 0xc093);
	segment(BV_SEG_CS, 8, ~0u, 0xa09b);
	segment(BV_SEG_LDTR, 0, 0, VMX_RIGHTS_UNUSABLE);
	segment(BV_SEG_TR, 0x18, 0x67, 0x8b);
}

static unsigned int checked(void)
{
	rule_count = 0;
	return vmx_check(&caps, field_read, rule_broken, NULL);
}

/* Whether it breaks one rule, and this. */
static bool breaks(const char *rule)
{
	bool good = checked() == 1 && !strcmp(rules[0], rule);

	for (unsigned int i = 0; !good && i < rule_count && i < 8; i++)
		printf("  broken: %s\n", rules[i]);
	return good;
}

TEST(a_good_vmcs_breaks_no_rule)
{
	vmcs_good();
	CHECK_EQ(checked(), 0);
}

TEST(a_guest_in_real_mode_breaks_none_either)
{
	vmcs_good();
	vmcs[VMCS_ENTRY_CONTROLS] &= ~(u64)VMX_ENTRY_LONG_MODE;
	vmcs[VMCS_GUEST_CR0] = 0x60000030;
	vmcs[VMCS_GUEST_CR4] = 0x2000;
	vmcs[VMCS_GUEST_EFER] = 0;
	vmcs[VMCS_GUEST_RIP] = 0xfff0;
	for (unsigned int i = 0; i < BV_SEG_LDTR; i++)
		segment(i, 0, 0xffff, 0x93);
	segment(BV_SEG_CS, 0xf000, 0xffff, 0x9b);
	CHECK_EQ(checked(), 0);
	vmcs[VMCS_PROC2_CONTROLS] &= ~(u64)VMX_PROC2_UNRESTRICTED_GUEST;
	CHECK(checked() > 0);
}

/* One change, the rule that it breaks. */
static const struct {
	u32 field;
	u64 value;
	const char *rule;
} changes[] = {
	{ VMCS_PIN_CONTROLS, 0x13f, "26.2.1.1: reserved pin-based controls (which)" },
	{ VMCS_EPTP, 0x501e | 0x20, "26.2.1.1: EPT pointer: walk length" },
	{ VMCS_EPTP, 0x505d, "26.2.1.1: EPT pointer: memory type" },
	{ VMCS_EPTP, 1ull << 46 | 0x1e, "26.2.1.1: EPT pointer: reserved bits" },
	{ VMCS_MSR_BITMAP, 0x6010, "26.2.1.1: address of MSR bitmaps" },
	{ VMCS_VIRTUAL_APIC, 0x7001, "26.2.1.1: virtual-APIC address" },
	{ VMCS_PML_ADDRESS, 0x8008, "26.2.1.1: PML address" },
	{ VMCS_PML_ADDRESS, 1ull << 46, "26.2.1.1: PML address" },
	{ VMCS_TPR_THRESHOLD, 16, "26.2.1.1: TPR threshold above 15" },
	{ VMCS_EXIT_LOAD_COUNT, 1, NULL }, /* address 0 is a good one */
	{ VMCS_ENTRY_EVENT, 0x80000100, "26.2.1.3: event: reserved type" },
	{ VMCS_ENTRY_EVENT, 0x80000203, "26.2.1.3: event: NMI's vector" },
	{ VMCS_ENTRY_EVENT, 0x8000030e, "26.2.1.3: event: deliver error code" },
	{ VMCS_ENTRY_EVENT, 0x80000b06, "26.2.1.3: event: deliver error code" },
	{ VMCS_ENTRY_EVENT, 0x80000b0e, NULL },
	{ VMCS_ENTRY_EVENT, 0x80000030, "26.3.1.4: RFLAGS: IF is clear, an interrupt is injected" },
	{ VMCS_HOST_CR4, 0x620, "26.2.2: host CR4" },
	{ VMCS_HOST_EFER, 1, "26.2.2: host IA32_EFER: LMA and LME" },
	{ VMCS_HOST_FS, 3, "26.2.3: host selector: RPL or TI" },
	{ VMCS_HOST_TR, 0, "26.2.3: host TR is null" },
	{ VMCS_HOST_GS_BASE, 1ull << 50, "26.2.3: host segment or table base" },
	{ VMCS_HOST_RIP, 1ull << 50, "26.2.4: host RIP" },
	{ VMCS_GUEST_CR0, 0x80000013, "26.3.1.1: CR0" },
	{ VMCS_GUEST_CR4, 0x20, "26.3.1.1: CR4" },
	{ VMCS_GUEST_CR3, 1ull << 46, "26.3.1.1: CR3" },
	{ VMCS_GUEST_DR7, 1ull << 32, "26.3.1.1: DR7" },
	{ VMCS_GUEST_EFER, 0x1500, "26.3.1.1: IA32_EFER: reserved bits" },
	{ VMCS_GUEST_SYSENTER_EIP, 1ull << 50, "26.3.1.1: IA32_SYSENTER_EIP" },
	{ VMCS_GUEST_CS_RIGHTS, 0xe09b, "26.3.1.2: CS access rights" },
	{ VMCS_GUEST_CS_RIGHTS, 0xa093, NULL },
	{ VMCS_GUEST_CS_RIGHTS, 0xa098, "26.3.1.2: CS access rights" },
	{ VMCS_GUEST_DS_RIGHTS, 0xc092, "26.3.1.2: DS access rights" },
	{ VMCS_GUEST_DS_RIGHTS, 0x4093, "26.3.1.2: DS access rights" },
	{ VMCS_GUEST_DS_RIGHTS, 0x10000, NULL },
	{ VMCS_GUEST_SS_BASE, 1ull << 32, "26.3.1.2: SS base" },
	{ VMCS_GUEST_GS_BASE, 1ull << 50, "26.3.1.2: GS base" },
	{ VMCS_GUEST_TR_RIGHTS, 0x89, "26.3.1.2: TR access rights" },
	{ VMCS_GUEST_TR_RIGHTS, 0x1008b, "26.3.1.2: TR access rights" },
	{ VMCS_GUEST_TR, 0x1c, "26.3.1.2: TR selector" },
	{ VMCS_GUEST_LDTR_RIGHTS, 0x92, "26.3.1.2: LDTR access rights" },
	{ VMCS_GUEST_GDTR_LIMIT, 0x10000, "26.3.1.3: GDTR limit" },
	{ VMCS_GUEST_IDTR_BASE, 1ull << 50, "26.3.1.3: IDTR base" },
	{ VMCS_GUEST_RIP, 1ull << 50, "26.3.1.4: RIP" },
	{ VMCS_GUEST_RFLAGS, 0, "26.3.1.4: RFLAGS: reserved bits" },
	{ VMCS_GUEST_BLOCKING, 0x20, "26.3.1.5: interruptibility: reserved bits" },
	{ VMCS_GUEST_BLOCKING, 1, "26.3.1.5: interruptibility: STI without IF" },
	{ VMCS_GUEST_BLOCKING, 2, NULL },
	{ VMCS_GUEST_ACTIVITY, 4, "26.3.1.5: activity state" },
	{ VMCS_GUEST_PENDING_DEBUG, 0x10, "26.3.1.5: pending debug exceptions: reserved bits" },
	{ VMCS_LINK, 1, "26.3.1.5: VMCS link pointer" },
};

TEST(each_change_breaks_the_rule_that_the_manual_names)
{
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(changes); i++) {
		bool good;

		vmcs_good();
		vmcs[changes[i].field] = changes[i].value;
		good = changes[i].rule ? breaks(changes[i].rule) : !checked();
		if (!good)
			printf("  field %#x = %#llx\n", changes[i].field, changes[i].value);
		CHECK(good);
	}
}

TEST(the_processor_serves_interrupts_with_what_that_needs)
{
	vmcs_good();
	caps.may[VMX_PROC2] |= VMX_PROC2_INTERRUPT_DELIVERY;
	vmcs[VMCS_PROC2_CONTROLS] |= VMX_PROC2_X2APIC_MODE | VMX_PROC2_INTERRUPT_DELIVERY;
	vmcs[VMCS_GUEST_STATUS] = 0x5030;
	CHECK_EQ(checked(), 0);
	vmcs[VMCS_PROC2_CONTROLS] |= VMX_PROC2_APIC_ACCESSES;
	CHECK(breaks("26.2.1.1: x2APIC mode and APIC accesses are both virtualized"));
	vmcs[VMCS_PROC2_CONTROLS] &= ~(u64)VMX_PROC2_APIC_ACCESSES;
	vmcs[VMCS_PROC_CONTROLS] &= ~(u64)VMX_PROC_TPR_SHADOW;
	CHECK(breaks("26.2.1.1: APIC virtualization without TPR shadow"));
	vmcs[VMCS_PROC_CONTROLS] |= VMX_PROC_TPR_SHADOW;
	vmcs[VMCS_PIN_CONTROLS] &= ~(u64)VMX_PIN_EXTERNAL_INTERRUPT;
	CHECK(breaks("26.2.1.1: virtual-interrupt delivery without external-interrupt exiting"));
}

TEST(a_single_step_over_a_shadow_must_be_pending)
{
	vmcs_good();
	vmcs[VMCS_GUEST_BLOCKING] = VMX_BLOCKING_MOV_SS;
	vmcs[VMCS_GUEST_RFLAGS] |= BV_RFLAGS_TF;
	CHECK(breaks("26.3.1.5: pending debug exceptions: BS is not TF"));
	vmcs[VMCS_GUEST_PENDING_DEBUG] = VMX_PENDING_BS;
	CHECK_EQ(checked(), 0);
}

TEST(an_nmi_goes_in_only_where_none_is_blocked)
{
	vmcs_good();
	vmcs[VMCS_ENTRY_EVENT] = 0x80000202;
	CHECK_EQ(checked(), 0);
	vmcs[VMCS_GUEST_BLOCKING] = VMX_BLOCKING_NMI;
	CHECK(breaks("26.3.1.5: interruptibility: an NMI is injected where they are blocked"));
}

TEST(page_directory_pointers_are_looked_at_with_pae)
{
	vmcs_good();
	vmcs[VMCS_ENTRY_CONTROLS] &= ~(u64)VMX_ENTRY_LONG_MODE;
	vmcs[VMCS_GUEST_EFER] = 0;
	vmcs[VMCS_GUEST_RIP] = 0x1000;
	vmcs[VMCS_GUEST_CS_RIGHTS] = 0xc09b;
	vmcs[VMCS_GUEST_PDPTE2] = 0x4001;
	CHECK_EQ(checked(), 0);
	vmcs[VMCS_GUEST_PDPTE2] = 0x4003;
	CHECK(breaks("26.3.1.6: PDPTE"));
}

TEST(reasons_and_errors_have_the_manuals_names)
{
	CHECK(!strcmp(vmx_reason_name(48), "EPT violation"));
	CHECK(!vmx_reason_name(35));
	CHECK(!vmx_reason_name(1000));
	CHECK(!strcmp(vmx_error_name(7), "VM entry with invalid control fields"));
	CHECK(!strcmp(vmx_error_name(14), "unknown error"));
}
