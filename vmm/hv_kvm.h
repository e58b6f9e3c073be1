/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the /dev/kvm back end share: hv_kvm.c, hv_kvm_vcpu.c, hv_kvm_state.c. */
#ifndef VMM_HV_KVM_H
#define VMM_HV_KVM_H

#include "vmm/hv.h"

#include <linux/kvm.h>
#include <pthread.h>

#define CPUID_ENTRIES 256

struct hv_route {
	bool used;
	uint64_t address;
	uint32_t data;
};

struct hv {
	int kvm;
	int vm;
	int run_size;
	pthread_mutex_t routes_lock;
	struct hv_route routes[HV_GSI_MAX - HV_GSI_MSI];
	struct kvm_cpuid2 *cpuid; /* what the hypervisor can show, constant after hv_open() */
	struct kvm_msr_list *msrs;
	bool xsave; /* XSAVE area and XCRs can be had */
	bool tsc_deadline;
};

struct hv_vcpu {
	struct hv *hv;
	int fd;
	unsigned int id;
	struct kvm_run *run;
	struct kvm_cpuid2 *cpuid; /* what it shows */
	struct kvm_msr_entry *first_msrs; /* before the guest ran; by place in hv->msrs */
	uint64_t io; /* an access of at most 8 bytes, for MMIO */
};

/* The identity of this machine that stock KVM wants on Intel, out of everybody's way. */
#define HV_TSS_ADDRESS 0xfeffd000u
#define HV_IDENTITY_MAP 0xfeffc000u

int hv_kvm_cpuid_set(struct hv_vcpu *vcpu, unsigned int cpus);

#endif
