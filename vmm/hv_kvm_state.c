// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hypervisor behind /dev/kvm: state of vCPUs and chips, into and out of a stream. The layouts
 * are the ABI's own, so a snapshot fits stock KVM and bivisor alike.
 *
 * Order of loading: special registers before those that depend on the mode, the APIC's base before
 * the APIC, the TSC and the APIC before the TSC's deadline, events last.
 */
#include "vmm/hv_kvm.h"
#include "vmm/snap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define STATE_MSRS 512
#define MSR_TSC 0x10u
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_HYPERV_FIRST 0x40000000u
#define MSR_HYPERV_LAST 0x400001ffu
#define MSR_KVM_POLL 0x4b564d05u

struct vcpu_state {
	struct kvm_mp_state mp;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;
	struct kvm_xsave xsave;
	struct kvm_debugregs debug;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	uint32_t has_xsave;
	uint32_t msrs_count;
	struct kvm_msr_entry msrs[STATE_MSRS];
};

static void one(struct hv_vcpu *vcpu, struct snap *snap, unsigned long request, void *what,
		const char *name)
{
	if (!snap->bad && ioctl(vcpu->fd, request, what) < 0)
		snap_spoil(snap, "vCPU %u: %s: %s", vcpu->id, name, strerror(errno));
}

/* One call of many MSRs ends at the first that the vCPU has not: so one by one. */
static bool msr_call(struct hv_vcpu *vcpu, unsigned long request, struct kvm_msr_entry *entry)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} call = {
		.head.nmsrs = 1,
		.entry = { .index = entry->index, .data = entry->data },
	};

	if (ioctl(vcpu->fd, request, &call) != 1)
		return false;
	*entry = call.entry;
	return true;
}

/* Hyper-V's count by themselves, and no guest is shown them. */
static bool is_hidden(uint32_t msr)
{
	return msr == MSR_KVM_POLL || (msr >= MSR_HYPERV_FIRST && msr <= MSR_HYPERV_LAST);
}

/*
 * The first time is before the guest has run. Later what is as it was then is marked: it matters
 * only to a hypervisor that has it, too. By its place in the list, as a vCPU may come to have
 * others when it is shown another CPUID.
 */
static bool is_untouched(struct hv_vcpu *vcpu, uint32_t place, const struct kvm_msr_entry *entry)
{
	const struct kvm_msr_entry *first = &vcpu->first_msrs[place];

	return first->index == entry->index && first->data == entry->data;
}

static void msrs_get(struct hv_vcpu *vcpu, struct vcpu_state *state, struct snap *snap)
{
	const struct kvm_msr_list *list = vcpu->hv->msrs;
	bool is_first = !vcpu->first_msrs;
	uint32_t i;

	if (is_first)
		vcpu->first_msrs = calloc(list->nmsrs, sizeof(vcpu->first_msrs[0]));
	if (!vcpu->first_msrs)
		return snap_spoil(snap, "no memory");
	for (i = 0; i < list->nmsrs && state->msrs_count < STATE_MSRS; i++) {
		struct kvm_msr_entry *entry = &state->msrs[state->msrs_count];

		entry->index = list->indices[i];
		if (is_hidden(entry->index) || !msr_call(vcpu, KVM_GET_MSRS, entry))
			continue;
		state->msrs_count++;
		if (is_first)
			vcpu->first_msrs[i] = *entry;
		entry->reserved = is_untouched(vcpu, i, entry);
	}
}

static void msrs_set(struct hv_vcpu *vcpu, struct vcpu_state *state, struct snap *snap)
{
	uint32_t i;

	for (i = 0; i < state->msrs_count; i++) {
		struct kvm_msr_entry *entry = &state->msrs[i];
		bool untouched = entry->reserved || !entry->data;

		if (entry->index != MSR_TSC_DEADLINE && !msr_call(vcpu, KVM_SET_MSRS, entry) &&
		    !untouched)
			snap_spoil(snap, "vCPU %u: MSR 0x%x cannot be set to 0x%llx here", vcpu->id,
				   entry->index, (unsigned long long)entry->data);
	}
}

/*
 * After the TSC, by which it is measured, and after the APIC: stock KVM takes no deadline for a
 * timer that is not in that mode, and an idle guest then waits for ever.
 */
static void deadline_set(struct hv_vcpu *vcpu, struct vcpu_state *state)
{
	uint32_t i;

	for (i = 0; i < state->msrs_count; i++)
		if (state->msrs[i].index == MSR_TSC_DEADLINE)
			msr_call(vcpu, KVM_SET_MSRS, &state->msrs[i]);
}

static void vcpu_get(struct hv_vcpu *vcpu, struct vcpu_state *state, struct snap *snap)
{
	one(vcpu, snap, KVM_GET_MP_STATE, &state->mp, "run state");
	one(vcpu, snap, KVM_GET_REGS, &state->regs, "registers");
	one(vcpu, snap, KVM_GET_SREGS, &state->sregs, "special registers");
	state->has_xsave = vcpu->hv->xsave;
	if (state->has_xsave) {
		one(vcpu, snap, KVM_GET_XCRS, &state->xcrs, "XCRs");
		one(vcpu, snap, KVM_GET_XSAVE, &state->xsave, "XSAVE area");
	} else {
		one(vcpu, snap, KVM_GET_FPU, &state->xsave, "FPU");
	}
	one(vcpu, snap, KVM_GET_DEBUGREGS, &state->debug, "debug registers");
	one(vcpu, snap, KVM_GET_LAPIC, &state->lapic, "local APIC");
	one(vcpu, snap, KVM_GET_VCPU_EVENTS, &state->events, "events");
	msrs_get(vcpu, state, snap);
}

static void vcpu_set(struct hv_vcpu *vcpu, struct vcpu_state *state, struct snap *snap)
{
	one(vcpu, snap, KVM_SET_REGS, &state->regs, "registers");
	if (state->has_xsave && vcpu->hv->xsave) {
		one(vcpu, snap, KVM_SET_XSAVE, &state->xsave, "XSAVE area");
		one(vcpu, snap, KVM_SET_XCRS, &state->xcrs, "XCRs");
	} else {
		one(vcpu, snap, KVM_SET_FPU, &state->xsave, "FPU");
	}
	one(vcpu, snap, KVM_SET_SREGS, &state->sregs, "special registers");
	msrs_set(vcpu, state, snap);
	one(vcpu, snap, KVM_SET_LAPIC, &state->lapic, "local APIC");
	deadline_set(vcpu, state);
	one(vcpu, snap, KVM_SET_MP_STATE, &state->mp, "run state");
	one(vcpu, snap, KVM_SET_VCPU_EVENTS, &state->events, "events");
	one(vcpu, snap, KVM_SET_DEBUGREGS, &state->debug, "debug registers");
}

void hv_vcpu_state(struct hv_vcpu *vcpu, struct snap *snap)
{
	struct vcpu_state *state = calloc(1, sizeof(*state));

	if (!state) {
		snap_spoil(snap, "no memory");
		return;
	}
	if (!snap->load)
		vcpu_get(vcpu, state, snap);
	snap_bytes(snap, state, offsetof(struct vcpu_state, msrs));
	if (state->msrs_count > STATE_MSRS)
		snap_spoil(snap, "%u MSRs are too many", state->msrs_count);
	else
		snap_bytes(snap, state->msrs, state->msrs_count * sizeof(state->msrs[0]));
	if (snap->load && !snap->bad)
		vcpu_set(vcpu, state, snap);
	free(state);
}

static void chip(struct hv *hv, struct snap *snap, unsigned long request, void *what,
		 const char *name)
{
	if (!snap->bad && ioctl(hv->vm, request, what))
		snap_spoil(snap, "%s: %s", name, strerror(errno));
}

static void clock_state(struct hv *hv, struct snap *snap)
{
	struct kvm_clock_data clock = { 0 };

	if (!snap->load)
		chip(hv, snap, KVM_GET_CLOCK, &clock, "clock");
	snap_value(snap, &clock.clock);
	clock.flags = 0;
	if (snap->load)
		chip(hv, snap, KVM_SET_CLOCK, &clock, "clock");
}

void hv_chips_state(struct hv *hv, struct snap *snap)
{
	struct kvm_pit_state2 pit = { 0 };
	uint32_t id;

	for (id = KVM_IRQCHIP_PIC_MASTER; id <= KVM_IRQCHIP_IOAPIC; id++) {
		struct kvm_irqchip state = { .chip_id = id };

		if (!snap->load)
			chip(hv, snap, KVM_GET_IRQCHIP, &state, "interrupt controller");
		snap_value(snap, &state.chip);
		if (snap->load)
			chip(hv, snap, KVM_SET_IRQCHIP, &state, "interrupt controller");
	}
	if (!snap->load)
		chip(hv, snap, KVM_GET_PIT2, &pit, "timer chip");
	snap_value(snap, &pit);
	if (snap->load)
		chip(hv, snap, KVM_SET_PIT2, &pit, "timer chip");
	clock_state(hv, snap);
}
