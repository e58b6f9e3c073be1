/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* The checks on the guest's state at an entry: volume 3, 26.3.1. Called by vmx_check.c. */
#include "vmx/vmx_check.h"

/* ---- 26.3.1.1: control registers, debug registers, MSRs ---- */

static void paging_check(struct vmx_checked *c)
{
	u64 cr0 = check_get(c, VMCS_GUEST_CR0), cr4 = check_get(c, VMCS_GUEST_CR4);
	u64 cr3 = check_get(c, VMCS_GUEST_CR3);
	u64 ones = c->caps->cr0_ones | (c->unrestricted ? 0 : BV_CR0_PE | BV_CR0_PG);

	check_must(c, (cr0 & ones) == ones && !(cr0 & ~c->caps->cr0_may), "26.3.1.1: CR0", cr0);
	check_must(c, !(cr0 & BV_CR0_PG) || cr0 & BV_CR0_PE, "26.3.1.1: CR0: PG without PE", cr0);
	check_must(c, (cr4 & c->caps->cr4_ones) == c->caps->cr4_ones && !(cr4 & ~c->caps->cr4_may),
		   "26.3.1.1: CR4", cr4);
	check_must(c, !c->long_mode || (cr0 & BV_CR0_PG && cr4 & BV_CR4_PAE),
		   "26.3.1.1: IA-32e mode needs CR0.PG and CR4.PAE (CR0)", cr0);
	check_must(c, c->long_mode || !(cr4 & BV_CR4_PCIDE),
		   "26.3.1.1: CR4.PCIDE without IA-32e mode", cr4);
	check_must(c, check_fits(c, cr3), "26.3.1.1: CR3", cr3);
}

static void msrs_check(struct vmx_checked *c)
{
	u64 efer = check_get(c, VMCS_GUEST_EFER), cr0 = check_get(c, VMCS_GUEST_CR0);

	if (c->entry & VMX_ENTRY_LOAD_DEBUG) {
		check_must(c, !(check_get(c, VMCS_GUEST_DEBUGCTL) & ~0xffc3ull),
			   "26.3.1.1: IA32_DEBUGCTL", check_get(c, VMCS_GUEST_DEBUGCTL));
		check_must(c, !(check_get(c, VMCS_GUEST_DR7) >> 32), "26.3.1.1: DR7",
			   check_get(c, VMCS_GUEST_DR7));
	}
	check_must(c, check_canonical(check_get(c, VMCS_GUEST_SYSENTER_ESP)),
		   "26.3.1.1: IA32_SYSENTER_ESP", check_get(c, VMCS_GUEST_SYSENTER_ESP));
	check_must(c, check_canonical(check_get(c, VMCS_GUEST_SYSENTER_EIP)),
		   "26.3.1.1: IA32_SYSENTER_EIP", check_get(c, VMCS_GUEST_SYSENTER_EIP));
	if (!(c->entry & VMX_ENTRY_LOAD_EFER))
		return;
	check_must(c, !(efer & ~(BV_EFER_SCE | BV_EFER_LME | BV_EFER_LMA | BV_EFER_NXE)),
		   "26.3.1.1: IA32_EFER: reserved bits", efer);
	check_must(c, !!(efer & BV_EFER_LMA) == c->long_mode,
		   "26.3.1.1: IA32_EFER: LMA is not the IA-32e mode guest control", efer);
	check_must(c, !(cr0 & BV_CR0_PG) || !(efer & BV_EFER_LMA) == !(efer & BV_EFER_LME),
		   "26.3.1.1: IA32_EFER: LMA is not LME, with paging", efer);
}

/* ---- 26.3.1.2: segments ---- */

struct segment {
	u64 base, limit;
	u32 sel, rights, type, dpl;
	bool usable;
};

/* A segment's rules, by number; the texts name ES, and the reader is told which by what follows. */
static const struct {
	const char *selector, *base, *limit, *rights;
} rules[BV_SEG_COUNT] = {
#define SEGMENT_RULES(name)                                                             \
	[BV_SEG_##name] = { "26.3.1.2: " #name " selector", "26.3.1.2: " #name " base", \
			    "26.3.1.2: " #name " limit", "26.3.1.2: " #name " access rights" }
	SEGMENT_RULES(ES), SEGMENT_RULES(CS), SEGMENT_RULES(SS),   SEGMENT_RULES(DS),
	SEGMENT_RULES(FS), SEGMENT_RULES(GS), SEGMENT_RULES(LDTR), SEGMENT_RULES(TR),
};

static struct segment segment_get(struct vmx_checked *c, unsigned int number)
{
	struct segment segment = {
		.base = check_get(c, VMCS_GUEST_ES_BASE + 2 * number),
		.limit = check_get(c, VMCS_GUEST_ES_LIMIT + 2 * number),
		.sel = check_get(c, VMCS_GUEST_ES + 2 * number),
		.rights = check_get(c, VMCS_GUEST_ES_RIGHTS + 2 * number),
	};

	segment.type = segment.rights & VMX_RIGHTS_TYPE;
	segment.dpl = segment.rights >> VMX_RIGHTS_DPL_SHIFT & 3;
	segment.usable = !(segment.rights & VMX_RIGHTS_UNUSABLE);
	return segment;
}

static bool limit_good(const struct segment *segment)
{
	bool pages = segment->rights & VMX_RIGHTS_G;

	return !((segment->limit & 0xfff) != 0xfff && pages) && !(segment->limit >> 20 && !pages);
}

static bool code_good(const struct vmx_checked *c, const struct segment *cs,
		      const struct segment *ss)
{
	if (cs->type == 3)
		return c->unrestricted && !cs->dpl;
	if (cs->type == 9 || cs->type == 11)
		return cs->dpl == ss->dpl;
	return (cs->type == 13 || cs->type == 15) && cs->dpl <= ss->dpl;
}

static bool stack_good(struct vmx_checked *c, const struct segment *cs, const struct segment *ss)
{
	if (ss->usable && ss->type != 3 && ss->type != 7)
		return false;
	if (!c->unrestricted && ss->dpl != (ss->sel & 3))
		return false;
	return !(cs->type == 3 || !(check_get(c, VMCS_GUEST_CR0) & BV_CR0_PE)) || !ss->dpl;
}

static bool data_good(const struct vmx_checked *c, const struct segment *segment)
{
	if (!(segment->type & 1) || (segment->type & 8 && !(segment->type & 2)))
		return false;
	return c->unrestricted || segment->type > 11 || segment->dpl >= (segment->sel & 3);
}

static bool rights_good(struct vmx_checked *c, unsigned int number, const struct segment *segment)
{
	struct segment cs = segment_get(c, BV_SEG_CS), ss = segment_get(c, BV_SEG_SS);
	u32 rights = segment->rights;

	if (c->virtual_8086)
		return rights == 0xf3;
	if (number == BV_SEG_SS && !stack_good(c, &cs, &ss))
		return false;
	if (number != BV_SEG_CS && !segment->usable)
		return true;
	if (!(rights & VMX_RIGHTS_S) || !(rights & VMX_RIGHTS_P) || rights & VMX_RIGHTS_RESERVED ||
	    !limit_good(segment))
		return false;
	if (number != BV_SEG_CS)
		return number == BV_SEG_SS || data_good(c, segment);
	if (c->long_mode && rights & VMX_RIGHTS_L && rights & VMX_RIGHTS_DB)
		return false;
	return segment->usable && code_good(c, &cs, &ss);
}

static void data_segment_check(struct vmx_checked *c, unsigned int number)
{
	struct segment segment = segment_get(c, number);
	bool wide = number == BV_SEG_FS || number == BV_SEG_GS;

	if (c->virtual_8086) {
		check_must(c, segment.base == segment.sel << 4, rules[number].base, segment.base);
		check_must(c, segment.limit == 0xffff, rules[number].limit, segment.limit);
	} else if (wide) {
		check_must(c, check_canonical(segment.base), rules[number].base, segment.base);
	} else if (segment.usable || number == BV_SEG_CS) {
		check_must(c, !(segment.base >> 32), rules[number].base, segment.base);
	}
	check_must(c, rights_good(c, number, &segment), rules[number].rights, segment.rights);
}

static void system_segment_check(struct vmx_checked *c, unsigned int number)
{
	struct segment segment = segment_get(c, number);
	u32 rights = segment.rights;
	bool type = number == BV_SEG_LDTR ?
			    segment.type == 2 :
			    segment.type == 11 || (segment.type == 3 && !c->long_mode);

	if (number == BV_SEG_LDTR && !segment.usable)
		return;
	check_must(c, !(segment.sel & BV_SEL_TI), rules[number].selector, segment.sel);
	check_must(c, check_canonical(segment.base), rules[number].base, segment.base);
	check_must(c, limit_good(&segment), rules[number].limit, segment.limit);
	check_must(c,
		   type && segment.usable && !(rights & VMX_RIGHTS_S) && rights & VMX_RIGHTS_P &&
			   !(rights & VMX_RIGHTS_RESERVED),
		   rules[number].rights, rights);
}

static void segments_check(struct vmx_checked *c)
{
	u64 cs = check_get(c, VMCS_GUEST_CS), ss = check_get(c, VMCS_GUEST_SS);

	check_must(c, c->virtual_8086 || c->unrestricted || !((cs ^ ss) & 3),
		   "26.3.1.2: SS selector: RPL is not CS's", ss);
	for (unsigned int i = 0; i < BV_SEG_LDTR; i++)
		data_segment_check(c, i);
	system_segment_check(c, BV_SEG_LDTR);
	system_segment_check(c, BV_SEG_TR);
}

/* ---- 26.3.1.3 ---- */

static void tables_check(struct vmx_checked *c)
{
	check_must(c, check_canonical(check_get(c, VMCS_GUEST_GDTR_BASE)), "26.3.1.3: GDTR base",
		   check_get(c, VMCS_GUEST_GDTR_BASE));
	check_must(c, check_canonical(check_get(c, VMCS_GUEST_IDTR_BASE)), "26.3.1.3: IDTR base",
		   check_get(c, VMCS_GUEST_IDTR_BASE));
	check_must(c, !(check_get(c, VMCS_GUEST_GDTR_LIMIT) >> 16), "26.3.1.3: GDTR limit",
		   check_get(c, VMCS_GUEST_GDTR_LIMIT));
	check_must(c, !(check_get(c, VMCS_GUEST_IDTR_LIMIT) >> 16), "26.3.1.3: IDTR limit",
		   check_get(c, VMCS_GUEST_IDTR_LIMIT));
}

/* ---- 26.3.1.4 ---- */

#define FLAGS_RESERVED (~0x3fffffull | BV_BIT(15) | BV_BIT(5) | BV_BIT(3))

static bool event_is(const struct vmx_checked *c, u32 type)
{
	return c->event & VMX_EVENT_VALID &&
	       (c->event >> VMX_EVENT_TYPE_SHIFT & VMX_EVENT_TYPE) == type;
}

static void rip_check(struct vmx_checked *c)
{
	u64 rip = check_get(c, VMCS_GUEST_RIP), flags = check_get(c, VMCS_GUEST_RFLAGS);
	bool wide = c->long_mode && check_get(c, VMCS_GUEST_CS_RIGHTS) & VMX_RIGHTS_L;
	bool protected = check_get(c, VMCS_GUEST_CR0) & BV_CR0_PE;

	/* In 64-bit code the bit below the sign may differ: an instruction can end there. */
	check_must(c, wide ? !(rip >> 48) || (s64)rip >> 48 == -1 : !(rip >> 32), "26.3.1.4: RIP",
		   rip);
	check_must(c, !(flags & FLAGS_RESERVED) && flags & BV_RFLAGS_ONE,
		   "26.3.1.4: RFLAGS: reserved bits", flags);
	check_must(c, !c->virtual_8086 || (!c->long_mode && protected),
		   "26.3.1.4: RFLAGS: VM needs protected mode", flags);
	check_must(c, !event_is(c, VMX_EVENT_IRQ) || flags & BV_RFLAGS_IF,
		   "26.3.1.4: RFLAGS: IF is clear, an interrupt is injected", flags);
}

/* ---- 26.3.1.5 ---- */

static void blocking_check(struct vmx_checked *c, u32 blocking)
{
	u64 flags = check_get(c, VMCS_GUEST_RFLAGS);
	bool sti = blocking & VMX_BLOCKING_STI, mov_ss = blocking & VMX_BLOCKING_MOV_SS;

	check_must(c, !(blocking >> 5), "26.3.1.5: interruptibility: reserved bits", blocking);
	check_must(c, !sti || !mov_ss, "26.3.1.5: interruptibility: STI and MOV SS", blocking);
	check_must(c, !sti || flags & BV_RFLAGS_IF, "26.3.1.5: interruptibility: STI without IF",
		   blocking);
	check_must(c, !event_is(c, VMX_EVENT_IRQ) || !(sti || mov_ss),
		   "26.3.1.5: interruptibility: an interrupt is injected", blocking);
	check_must(c, !event_is(c, VMX_EVENT_NMI) || !mov_ss,
		   "26.3.1.5: interruptibility: an NMI is injected", blocking);
	check_must(c, !(blocking & VMX_BLOCKING_SMI), "26.3.1.5: interruptibility: SMI", blocking);
	check_must(c,
		   !event_is(c, VMX_EVENT_NMI) || !(c->pin & VMX_PIN_VIRTUAL_NMIS) ||
			   !(blocking & VMX_BLOCKING_NMI),
		   "26.3.1.5: interruptibility: an NMI is injected where they are blocked",
		   blocking);
}

static void activity_check(struct vmx_checked *c)
{
	u64 activity = check_get(c, VMCS_GUEST_ACTIVITY), link = check_get(c, VMCS_LINK);
	u64 pending = check_get(c, VMCS_GUEST_PENDING_DEBUG);
	u64 flags = check_get(c, VMCS_GUEST_RFLAGS);
	u32 blocking = check_get(c, VMCS_GUEST_BLOCKING);
	bool held = blocking & (VMX_BLOCKING_STI | VMX_BLOCKING_MOV_SS);
	bool step = flags & BV_RFLAGS_TF && !(check_get(c, VMCS_GUEST_DEBUGCTL) & BV_BIT(1));

	check_must(c, !activity || (activity < 4 && c->caps->misc >> (5 + activity) & 1),
		   "26.3.1.5: activity state", activity);
	check_must(c, !held || !activity, "26.3.1.5: activity state: interrupts are held off",
		   activity);
	blocking_check(c, blocking);
	check_must(c, !(pending & ~0x1500full), "26.3.1.5: pending debug exceptions: reserved bits",
		   pending);
	check_must(c, !(held || activity == 1) || !!(pending & VMX_PENDING_BS) == step,
		   "26.3.1.5: pending debug exceptions: BS is not TF", pending);
	check_must(c, link == ~0ull || check_page(c, link), "26.3.1.5: VMCS link pointer", link);
}

/* ---- 26.3.1.6 ---- */

static void pdptes_check(struct vmx_checked *c)
{
	u64 cr0 = check_get(c, VMCS_GUEST_CR0), cr4 = check_get(c, VMCS_GUEST_CR4);

	if (!(cr0 & BV_CR0_PG) || !(cr4 & BV_CR4_PAE) || c->long_mode)
		return;
	for (unsigned int i = 0; i < 4; i++) {
		u64 entry = check_get(c, VMCS_GUEST_PDPTE0 + 2 * i);

		check_must(c, !(entry & BV_PTE_P) || (!(entry & 0x1e6) && check_fits(c, entry)),
			   "26.3.1.6: PDPTE", entry);
	}
}

void vmx_check_guest(struct vmx_checked *c)
{
	paging_check(c);
	msrs_check(c);
	segments_check(c);
	tables_check(c);
	rip_check(c);
	activity_check(c);
	pdptes_check(c);
}
