/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Why an entry failed: the manual's checks, walked over a VMCS. Here those on control fields
 * (26.2.1) and on the host's state (26.2.2 to 26.2.4); the guest's are in vmx_check_guest.c. Checks
 * on features that are never used here (VMX_NEVER) come down to that they are off.
 */
#include "vmx/vmx_check.h"

/* ---- 26.2.1.1, 26.2.1.2, 26.2.1.3: reserved controls ---- */

static void word_check(struct vmx_checked *c, enum vmx_word word, u32 value, const char *rule)
{
	u32 bad = (value & ~c->caps->may[word]) | (~value & c->caps->must[word]);

	check_must(c, !bad, rule, bad);
}

static void words_check(struct vmx_checked *c)
{
	word_check(c, VMX_PIN, c->pin, "26.2.1.1: reserved pin-based controls (which)");
	word_check(c, VMX_PROC, c->proc, "26.2.1.1: reserved primary controls (which)");
	if (c->proc & VMX_PROC_SECONDARY)
		word_check(c, VMX_PROC2, c->proc2, "26.2.1.1: reserved secondary controls (which)");
	word_check(c, VMX_EXIT, c->exit, "26.2.1.2: reserved VM-exit controls (which)");
	word_check(c, VMX_ENTRY, c->entry, "26.2.1.3: reserved VM-entry controls (which)");
}

/* ---- 26.2.1.1 ---- */

static void eptp_check(struct vmx_checked *c)
{
	u64 eptp = check_get(c, VMCS_EPTP), type = eptp & 7;

	check_must(c, type == VMX_EPTP_WB || !type, "26.2.1.1: EPT pointer: memory type", eptp);
	check_must(c, (eptp & 0x38) == VMX_EPTP_WALK_4, "26.2.1.1: EPT pointer: walk length", eptp);
	check_must(c, !(eptp & VMX_EPTP_AD) || c->caps->ept_vpid & VMX_EPT_AD,
		   "26.2.1.1: EPT pointer: accessed and dirty flags are not there", eptp);
	check_must(c, !(eptp & 0xf80) && check_fits(c, eptp),
		   "26.2.1.1: EPT pointer: reserved bits", eptp);
}

static void execution_check(struct vmx_checked *c)
{
	u64 targets = check_get(c, VMCS_CR3_TARGETS);

	check_must(c, targets <= (c->caps->misc >> 16 & 0x1ff), "26.2.1.1: CR3-target count",
		   targets);
	if (c->proc & VMX_PROC_MSR_BITMAPS)
		check_must(c, check_page(c, check_get(c, VMCS_MSR_BITMAP)),
			   "26.2.1.1: address of MSR bitmaps", check_get(c, VMCS_MSR_BITMAP));
	if (c->proc & VMX_PROC_TPR_SHADOW) {
		u64 threshold = check_get(c, VMCS_TPR_THRESHOLD);

		check_must(c, check_page(c, check_get(c, VMCS_VIRTUAL_APIC)),
			   "26.2.1.1: virtual-APIC address", check_get(c, VMCS_VIRTUAL_APIC));
		check_must(c, c->proc2 & VMX_PROC2_INTERRUPT_DELIVERY || !(threshold >> 4),
			   "26.2.1.1: TPR threshold above 15", threshold);
	}
	check_must(c,
		   c->proc & VMX_PROC_TPR_SHADOW ||
			   !(c->proc2 & (VMX_PROC2_X2APIC_MODE | VMX_PROC2_APIC_REGISTERS |
					 VMX_PROC2_INTERRUPT_DELIVERY)),
		   "26.2.1.1: APIC virtualization without TPR shadow", c->proc2);
	check_must(c, !(c->proc2 & VMX_PROC2_X2APIC_MODE && c->proc2 & VMX_PROC2_APIC_ACCESSES),
		   "26.2.1.1: x2APIC mode and APIC accesses are both virtualized", c->proc2);
	check_must(
		c,
		c->pin & VMX_PIN_EXTERNAL_INTERRUPT || !(c->proc2 & VMX_PROC2_INTERRUPT_DELIVERY),
		"26.2.1.1: virtual-interrupt delivery without external-interrupt exiting", c->pin);
	check_must(c, c->pin & VMX_PIN_NMI || !(c->pin & VMX_PIN_VIRTUAL_NMIS),
		   "26.2.1.1: virtual NMIs without NMI exiting", c->pin);
	check_must(c, c->pin & VMX_PIN_VIRTUAL_NMIS || !(c->proc & VMX_PROC_NMI_WINDOW),
		   "26.2.1.1: NMI-window exiting without virtual NMIs", c->proc);
	if (c->proc2 & VMX_PROC2_VPID)
		check_must(c, check_get(c, VMCS_VPID), "26.2.1.1: VPID is 0", 0);
	if (c->proc2 & VMX_PROC2_EPT)
		eptp_check(c);
	if (c->proc2 & VMX_PROC2_PML) {
		check_must(c, c->proc2 & VMX_PROC2_EPT, "26.2.1.1: PML without EPT", c->proc2);
		check_must(c, check_page(c, check_get(c, VMCS_PML_ADDRESS)),
			   "26.2.1.1: PML address", check_get(c, VMCS_PML_ADDRESS));
	}
	check_must(c, !c->unrestricted || c->proc2 & VMX_PROC2_EPT,
		   "26.2.1.1: unrestricted guest without EPT", c->proc2);
}

/* ---- 26.2.1.2, 26.2.1.3 ---- */

static void lists_check(struct vmx_checked *c)
{
	static const struct {
		enum vmcs_field count, address;
		const char *rule;
	} lists[] = {
		{ VMCS_EXIT_STORE_COUNT, VMCS_EXIT_STORE_ADDRESS,
		  "26.2.1.2: VM-exit MSR-store address" },
		{ VMCS_EXIT_LOAD_COUNT, VMCS_EXIT_LOAD_ADDRESS,
		  "26.2.1.2: VM-exit MSR-load address" },
		{ VMCS_ENTRY_LOAD_COUNT, VMCS_ENTRY_LOAD_ADDRESS,
		  "26.2.1.3: VM-entry MSR-load address" },
	};

	for (unsigned int i = 0; i < BV_ARRAY_SIZE(lists); i++) {
		u64 count = check_get(c, lists[i].count), address = check_get(c, lists[i].address);

		check_must(c, !count || (!(address & 0xf) && check_fits(c, address + count * 16)),
			   lists[i].rule, address);
	}
}

static bool has_error_code(u32 vector)
{
	return 1u << (vector & 31) &
	       (1u << BV_EXC_DF | 1u << BV_EXC_TS | 1u << BV_EXC_NP | 1u << BV_EXC_SS |
		1u << BV_EXC_GP | 1u << BV_EXC_PF | 1u << BV_EXC_AC);
}

static void event_check(struct vmx_checked *c)
{
	u32 event = c->event, vector = event & VMX_EVENT_VECTOR;
	u32 type = event >> VMX_EVENT_TYPE_SHIFT & VMX_EVENT_TYPE;
	u64 length = check_get(c, VMCS_ENTRY_LENGTH), error = check_get(c, VMCS_ENTRY_ERROR);
	bool protected = check_get(c, VMCS_GUEST_CR0) & BV_CR0_PE;
	bool wanted = type == VMX_EVENT_EXCEPTION && has_error_code(vector) && protected;

	if (!(event & VMX_EVENT_VALID))
		return;
	check_must(c, type != 1 && type != 7, "26.2.1.3: event: reserved type", event);
	check_must(c, type != VMX_EVENT_NMI || vector == 2, "26.2.1.3: event: NMI's vector", event);
	check_must(c, type != VMX_EVENT_EXCEPTION || vector < 32,
		   "26.2.1.3: event: exception's vector", event);
	check_must(c, !!(event & VMX_EVENT_HAS_ERROR) == wanted,
		   "26.2.1.3: event: deliver error code", event);
	check_must(c, !(event & 0x7ffff000), "26.2.1.3: event: reserved bits", event);
	check_must(c, !(event & VMX_EVENT_HAS_ERROR) || !(error >> 16),
		   "26.2.1.3: event: error code", error);
	if (type >= VMX_EVENT_SOFT_IRQ && type <= VMX_EVENT_SOFT_EXCEPTION)
		check_must(c, (length || c->caps->misc & VMX_MISC_ZERO_LENGTH) && length <= 15,
			   "26.2.1.3: event: instruction length", length);
}

/* ---- 26.2.2 ---- */

static void host_registers_check(struct vmx_checked *c)
{
	u64 cr0 = check_get(c, VMCS_HOST_CR0), cr4 = check_get(c, VMCS_HOST_CR4);
	u64 ones = c->caps->cr0_ones | BV_CR0_PE | BV_CR0_PG;
	u64 efer = check_get(c, VMCS_HOST_EFER), both = BV_EFER_LMA | BV_EFER_LME;

	check_must(c, (cr0 & ones) == ones && !(cr0 & ~c->caps->cr0_may), "26.2.2: host CR0", cr0);
	check_must(c, (cr4 & c->caps->cr4_ones) == c->caps->cr4_ones && !(cr4 & ~c->caps->cr4_may),
		   "26.2.2: host CR4", cr4);
	check_must(c, check_fits(c, check_get(c, VMCS_HOST_CR3)), "26.2.2: host CR3",
		   check_get(c, VMCS_HOST_CR3));
	check_must(c, check_canonical(check_get(c, VMCS_HOST_SYSENTER_ESP)),
		   "26.2.2: host IA32_SYSENTER_ESP", check_get(c, VMCS_HOST_SYSENTER_ESP));
	check_must(c, check_canonical(check_get(c, VMCS_HOST_SYSENTER_EIP)),
		   "26.2.2: host IA32_SYSENTER_EIP", check_get(c, VMCS_HOST_SYSENTER_EIP));
	if (c->exit & VMX_EXIT_LOAD_EFER)
		check_must(c, (efer & both) == (c->exit & VMX_EXIT_HOST_64 ? both : 0),
			   "26.2.2: host IA32_EFER: LMA and LME", efer);
}

/* ---- 26.2.3, 26.2.4 ---- */

static void host_segments_check(struct vmx_checked *c)
{
	static const enum vmcs_field selectors[] = { VMCS_HOST_ES, VMCS_HOST_CS, VMCS_HOST_SS,
						     VMCS_HOST_DS, VMCS_HOST_FS, VMCS_HOST_GS,
						     VMCS_HOST_TR };
	static const enum vmcs_field bases[] = { VMCS_HOST_FS_BASE, VMCS_HOST_GS_BASE,
						 VMCS_HOST_TR_BASE, VMCS_HOST_GDTR_BASE,
						 VMCS_HOST_IDTR_BASE };

	for (unsigned int i = 0; i < BV_ARRAY_SIZE(selectors); i++)
		check_must(c, !(check_get(c, selectors[i]) & (BV_SEL_RPL | BV_SEL_TI)),
			   "26.2.3: host selector: RPL or TI", check_get(c, selectors[i]));
	check_must(c, check_get(c, VMCS_HOST_CS), "26.2.3: host CS is null", 0);
	check_must(c, check_get(c, VMCS_HOST_TR), "26.2.3: host TR is null", 0);
	check_must(c, c->exit & VMX_EXIT_HOST_64 || check_get(c, VMCS_HOST_SS),
		   "26.2.3: host SS is null", 0);
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(bases); i++)
		check_must(c, check_canonical(check_get(c, bases[i])),
			   "26.2.3: host segment or table base", check_get(c, bases[i]));
}

static void host_size_check(struct vmx_checked *c)
{
	u64 rip = check_get(c, VMCS_HOST_RIP), cr4 = check_get(c, VMCS_HOST_CR4);

	check_must(c, c->exit & VMX_EXIT_HOST_64, "26.2.4: host address-space size is 32 bits",
		   c->exit);
	check_must(c, cr4 & BV_CR4_PAE, "26.2.4: host CR4.PAE", cr4);
	check_must(c, check_canonical(rip), "26.2.4: host RIP", rip);
}

unsigned int vmx_check(const struct vmx_caps *caps, u64 (*read)(void *arg, u32 field),
		       void (*broken)(void *arg, const char *rule, u64 value), void *arg)
{
	struct vmx_checked c = { .caps = caps, .read = read, .broken = broken, .arg = arg };

	c.pin = check_get(&c, VMCS_PIN_CONTROLS);
	c.proc = check_get(&c, VMCS_PROC_CONTROLS);
	c.proc2 = c.proc & VMX_PROC_SECONDARY ? check_get(&c, VMCS_PROC2_CONTROLS) : 0;
	c.exit = check_get(&c, VMCS_EXIT_CONTROLS);
	c.entry = check_get(&c, VMCS_ENTRY_CONTROLS);
	c.event = check_get(&c, VMCS_ENTRY_EVENT);
	c.long_mode = c.entry & VMX_ENTRY_LONG_MODE;
	c.unrestricted = c.proc2 & VMX_PROC2_UNRESTRICTED_GUEST;
	c.virtual_8086 = check_get(&c, VMCS_GUEST_RFLAGS) & BV_RFLAGS_VM;
	words_check(&c);
	execution_check(&c);
	lists_check(&c);
	event_check(&c);
	host_registers_check(&c);
	host_segments_check(&c);
	host_size_check(&c);
	vmx_check_guest(&c);
	return c.count;
}
