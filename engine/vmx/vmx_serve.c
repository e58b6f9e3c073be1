/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Virtual-interrupt delivery, in x2APIC mode and for its second half alone: the processor carries
 * out the guest's writes to the EOI register. It has the vectors in service (VISR, SVI) and tells
 * after an exit which are left. None is requested of it (VIRR, RVI), so it delivers none: Bochs
 * does so with interrupts off, when an interrupt of the host's comes while one waits for IF.
 * Manual: volume 3, 29.1.4 (EOI), 29.5 (x2APIC mode).
 */
#include "vmx/vmx.h"

void vmx_serve(struct bv_vcpu *vcpu, bool on)
{
	struct vmx_vcpu *own = vmx_of(vcpu);

	if (on != own->serving)
		own->wishes_changed = true;
	own->serving = on;
	own->serve_due = on;
}

static u32 *isr_word(const struct vmx_vcpu *own, unsigned int word)
{
	return (u32 *)(own->vapic + VMX_VAPIC_ISR + 16 * word);
}

/* Returns SVI: the highest vector. */
static u8 isr_write(const struct bv_service *service, const struct vmx_vcpu *own)
{
	u8 highest = 0;

	for (unsigned int i = 0; i < 8; i++) {
		u32 bits = service->isr[i / 2] >> 32 * (i % 2);

		*isr_word(own, i) = bits;
		if (bits)
			highest = 32 * i + 31 - __builtin_clz(bits);
	}
	return highest;
}

void vmx_serve_write(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	const struct bv_service *service = &vcpu->service;
	u16 status = (u16)(isr_write(service, own) << VMX_STATUS_SVI_SHIFT);

	for (unsigned int i = 0; i < 4; i++)
		if (service->told[i] != own->told_there[i])
			vmx_write(VMCS_EOI_EXIT0 + 2 * i, own->told_there[i] = service->told[i]);
	if (status != own->status_there)
		vmx_write(VMCS_GUEST_STATUS, own->status_there = status);
	own->serve_due = false;
}

/* An end takes SVI away: if it has not changed, there was none. */
void vmx_serve_read(struct bv_vcpu *vcpu, struct vmx_vcpu *own)
{
	struct bv_service *service = &vcpu->service;
	u16 status = vmx_read(VMCS_GUEST_STATUS);

	vcpu->exit.served = status != own->status_there;
	own->status_there = status;
	if (bv_likely(!vcpu->exit.served))
		return;
	for (unsigned int i = 0; i < 4; i++)
		service->isr[i] = *isr_word(own, 2 * i) | (u64)*isr_word(own, 2 * i + 1) << 32;
}
