/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small VMM for the tests of fronts/kvm: one VM, one vCPU, on hosts/fake. */
#ifndef TESTS_UNIT_KVM_HELPERS_H
#define TESTS_UNIT_KVM_HELPERS_H

#include <linux/kvm.h>

#include "bv/vm.h"
#include "fronts/kvm/kvm.h"
#include "hosts/fake/fake.h"
#include "hosts/fake/kvm.h"
#include "test.h"

struct vmm {
	int vm, vcpu; /* file numbers; negative: none */
	struct kvm_run *run;
	u8 *memory; /* slot 0, at guest physical 0 */
};

enum {
	VMM_PLAIN = 0,
	VMM_IRQCHIP = 1,
	VMM_VCPU = 2,
	VMM_MEMORY = 4
};
#define VMM_PAGES 64

static inline long do_ioctl(int fd, u32 cmd, const void *arg)
{
	return fake_ioctl(fd, cmd, (u64)arg);
}

static inline void vmm_open(struct vmm *vmm, unsigned int what)
{
	fake_reset();
	fake_kvm_reset();
	fake_vendor_use();
	fake_log_quiet = true;
	bv_why_init(bv_why_global());
	*vmm = (struct vmm){ .vm = (int)fake_ioctl(FAKE_KVM_DEVICE, KVM_CREATE_VM, 0), .vcpu = -1 };
	CHECK(vmm->vm > 0);
	if (what & VMM_MEMORY) {
		struct kvm_userspace_memory_region slot = { .memory_size = VMM_PAGES * 4096 };

		vmm->memory = fake_memory_new(VMM_PAGES, true);
		slot.userspace_addr = (u64)vmm->memory;
		CHECK_EQ(do_ioctl(vmm->vm, KVM_SET_USER_MEMORY_REGION, &slot), 0);
	}
	if (what & VMM_IRQCHIP)
		CHECK_EQ(fake_ioctl(vmm->vm, KVM_CREATE_IRQCHIP, 0), 0);
	if (what & VMM_VCPU) {
		vmm->vcpu = (int)fake_ioctl(vmm->vm, KVM_CREATE_VCPU, 0);
		CHECK(vmm->vcpu > 0);
		vmm->run = fake_mmap(vmm->vcpu, 0);
	}
}

/* Ends the VM and checks that nothing of it is left. */
static inline void vmm_close(struct vmm *vmm)
{
	fake_kvm_reset();
	CHECK_EQ(fake_allocs(), 0);
	CHECK_EQ(fake_frames_held(), 0);
	if (vmm->memory)
		fake_memory_free(vmm->memory);
}

static inline struct bv_vcpu *vmm_engine_vcpu(const struct vmm *vmm)
{
	return bv_vm_vcpu(*(struct bv_vm **)fake_kvm_vm(vmm->vm), 0);
}

/* The newest reason of a file's ring. */
static inline const char *last_reason(int fd)
{
	static char text[BVK_REASONS_SIZE];
	char *newline;

	bvk_reasons(fd == FAKE_KVM_DEVICE ? NULL : fake_kvm_vm(fd), text, sizeof(text));
	newline = strrchr(text, '\n');
	if (!newline)
		return text;
	*newline = 0;
	newline = strrchr(text, '\n');
	return newline ? newline + 1 : text;
}

/* The call is refused with this error, and the newest reason says these words. */
static inline void check_refused(const char *file, int line, int reasons_fd, long result, int error,
				 const char *words)
{
	const char *reason = last_reason(reasons_fd);

	test_check_eq((unsigned long long)result, (unsigned long long)-(long long)error, file, line,
		      words);
	test_check(strstr(reason, words) != NULL, file, line, words);
	if (!strstr(reason, words))
		printf("\tthe reason is: %s\n", reason);
}

#define REFUSED(reasons_fd, result, error, words) \
	check_refused(__FILE__, __LINE__, reasons_fd, result, error, words)

#endif
