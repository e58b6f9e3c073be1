// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every refusal of fronts/kvm has the right error, and its reason names the field, the rule and the
 * value.
 */
#include "kvm_helpers.h"

static struct vmm vmm;

/* ---- the device ---- */

#define DEV(cmd, arg, error, words) \
	REFUSED(FAKE_KVM_DEVICE, fake_ioctl(FAKE_KVM_DEVICE, cmd, (u64)(arg)), error, words)
#define VM(cmd, arg, error, words) \
	REFUSED(vmm.vm, fake_ioctl(vmm.vm, cmd, (u64)(arg)), error, words)
#define VCPU(cmd, arg, error, words) \
	REFUSED(vmm.vm, fake_ioctl(vmm.vcpu, cmd, (u64)(arg)), error, words)

TEST(device_refusals)
{
	struct kvm_device_attr attr = { .group = 3 };
	struct kvm_msr_list list = { .nmsrs = 0 };
	struct kvm_msrs msrs = { .nmsrs = 257 };
	struct kvm_cpuid2 cpuid = { .nent = 1 };

	vmm_open(&vmm, VMM_PLAIN);
	DEV(KVM_GET_API_VERSION, 1, BV_EINVAL, "argument 0x1: must be 0");
	DEV(KVM_GET_VCPU_MMAP_SIZE, 7, BV_EINVAL, "argument 0x7: must be 0");
	DEV(KVM_CREATE_VM, 1, BV_EINVAL, "machine type 0x1");
	DEV(KVM_RUN, 0, BV_ENOTTY, "not one of this kind of file");
	DEV(KVM_GET_SUPPORTED_CPUID, 16, BV_EFAULT,
	    "KVM_GET_SUPPORTED_CPUID: the argument at 0x10");
	DEV(KVM_GET_SUPPORTED_CPUID, &cpuid, BV_E2BIG, "nent = 1: there are");
	DEV(KVM_GET_MSR_INDEX_LIST, &list, BV_E2BIG, "nmsrs = 0: there are");
	DEV(KVM_GET_MSRS, &msrs, BV_E2BIG, "nmsrs = 257: at most 256");
	DEV(KVM_HAS_DEVICE_ATTR, &attr, BV_ENXIO, "group = 3");
	attr = (struct kvm_device_attr){ .attr = 5 };
	DEV(KVM_GET_DEVICE_ATTR, &attr, BV_ENXIO, "attr = 5");
	attr = (struct kvm_device_attr){ .addr = 8 };
	DEV(KVM_GET_DEVICE_ATTR, &attr, BV_EFAULT, "addr = 0x8");
	fake_kvm_limit_files(2);
	CHECK_EQ(fake_ioctl(FAKE_KVM_DEVICE, KVM_CREATE_VM, 0), -24);
	fake_kvm_limit_files(FAKE_KVM_FILES);
	vmm_close(&vmm);
}

/* Without the parameter nested, or where the vendor cannot. */
TEST(nested_state_refusals)
{
	struct kvm_nested_state state = { .size = sizeof(state), .format = 1 };

	vmm_open(&vmm, VMM_VCPU);
	CHECK_EQ(fake_ioctl(vmm.vm, KVM_CHECK_EXTENSION, KVM_CAP_NESTED_STATE), 0);
	VCPU(KVM_GET_NESTED_STATE, &state, BV_EINVAL, "nested=0");
	VCPU(KVM_SET_NESTED_STATE, &state, BV_EINVAL, "nested=0");
	vmm_close(&vmm);
}

/* ---- VMs ---- */

TEST(another_process_may_not_control_a_vm)
{
	vmm_open(&vmm, VMM_VCPU);
	fake_kvm_other_process(true);
	VM(KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP, BV_EIO, "not in the address space");
	VCPU(KVM_RUN, 0, BV_EIO, "not in the address space");
	fake_kvm_other_process(false);
	vmm_close(&vmm);
}

TEST(vcpu_creation_refusals)
{
	vmm_open(&vmm, VMM_VCPU);
	VM(KVM_CREATE_VCPU, 64, BV_EINVAL, "id 64: must be below 64");
	VM(KVM_CREATE_VCPU, 0, BV_EEXIST, "id 0: that vCPU exists");
	for (u64 id = 1; id < 16; id++)
		CHECK(fake_ioctl(vmm.vm, KVM_CREATE_VCPU, id) > 0);
	VM(KVM_CREATE_VCPU, 20, BV_EINVAL, "16 vCPUs exist");
	vmm_close(&vmm);
}

TEST(what_must_come_before_the_first_vcpu)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	u64 address = 0xfeffc000;

	vmm_open(&vmm, VMM_VCPU);
	VM(KVM_CREATE_IRQCHIP, 0, BV_EINVAL, "1 vCPUs exist");
	VM(KVM_SET_BOOT_CPU_ID, 0, BV_EBUSY, "1 vCPUs exist");
	VM(KVM_SET_IDENTITY_MAP_ADDR, &address, BV_EINVAL, "1 vCPUs exist");
	VM(KVM_SET_TSC_KHZ, 0, BV_EINVAL, "1 vCPUs exist");
	VM(KVM_ENABLE_CAP, &cap, BV_EEXIST, "1 vCPUs exist");
	cap.cap = KVM_CAP_DIRTY_LOG_RING;
	VM(KVM_ENABLE_CAP, &cap, BV_EINVAL, "1 vCPUs exist");
	cap.cap = KVM_CAP_MAX_VCPU_ID;
	VM(KVM_ENABLE_CAP, &cap, BV_EINVAL, "1 vCPUs exist");
	vmm_close(&vmm);
}

TEST(capability_refusals)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_IRQCHIP };

	vmm_open(&vmm, VMM_PLAIN);
	VM(KVM_ENABLE_CAP, &cap, BV_EINVAL, "cap = 0: nothing to enable");
	cap.flags = 2;
	VM(KVM_ENABLE_CAP, &cap, BV_EINVAL, "flags = 0x2");
	cap = (struct kvm_enable_cap){ .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 4 } };
	VM(KVM_ENABLE_CAP, &cap, BV_EINVAL, "args[0] = 0x4");
	cap.args[0] = KVM_DIRTY_LOG_INITIALLY_SET;
	VM(KVM_ENABLE_CAP, &cap, BV_EINVAL, "initially-set needs manual protect");
	cap = (struct kvm_enable_cap){ .cap = KVM_CAP_DIRTY_LOG_RING, .args = { 5000 } };
	VM(KVM_ENABLE_CAP, &cap, BV_EINVAL, "args[0] = 5000 bytes: must be a power of two");
	cap.args[0] = 1ULL << 40;
	VM(KVM_ENABLE_CAP, &cap, BV_E2BIG, "bytes: at most 1048576");
	cap.args[0] = 65536;
	CHECK_EQ(do_ioctl(vmm.vm, KVM_ENABLE_CAP, &cap), 0);
	VM(KVM_ENABLE_CAP, &cap, BV_EINVAL, "4096 entries already");
	cap = (struct kvm_enable_cap){ .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 5000 } };
	VM(KVM_ENABLE_CAP, &cap, BV_EINVAL, "args[0] = 5000 pins");
	cap = (struct kvm_enable_cap){ .cap = KVM_CAP_X2APIC_API, .args = { 8 } };
	VM(KVM_ENABLE_CAP, &cap, BV_EINVAL, "args[0] = 0x8");
	cap = (struct kvm_enable_cap){ .cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { 8 } };
	VM(KVM_ENABLE_CAP, &cap, BV_EINVAL, "args[0] = 0x8");
	cap = (struct kvm_enable_cap){ .cap = KVM_CAP_MAX_VCPU_ID, .args = { 65 } };
	VM(KVM_ENABLE_CAP, &cap, BV_EINVAL, "args[0] = 65: must be from 1 to 64");
	cap.args[0] = 8;
	CHECK_EQ(do_ioctl(vmm.vm, KVM_ENABLE_CAP, &cap), 0);
	cap.args[0] = 9;
	VM(KVM_ENABLE_CAP, &cap, BV_EINVAL, "the limit is 8 already");
	VM(KVM_CREATE_VCPU, 8, BV_EINVAL, "id 8: must be below 8");
	vmm_close(&vmm);
}

TEST(vm_setting_refusals)
{
	struct kvm_clock_data clock = { .flags = 1 };

	vmm_open(&vmm, VMM_PLAIN);
	VM(KVM_SET_TSS_ADDR, 0xffffe000, BV_EINVAL, "three pages must end below 4 GiB");
	VM(KVM_SET_BOOT_CPU_ID, 64, BV_EINVAL, "id 64");
	VM(KVM_SET_CLOCK, &clock, BV_EINVAL, "flags = 0x1");
	VM(KVM_SET_TSC_KHZ, 1000, BV_EINVAL, "1000 kHz: this CPU cannot scale the TSC");
	VM(KVM_SIGNAL_MSI, 0, BV_EFAULT, "KVM_SIGNAL_MSI: the argument at 0");
	VM(KVM_GET_REGS, 0, BV_ENOTTY, "not one of this kind of file");
	vmm_close(&vmm);
}

/* ---- slots ---- */

TEST(slot_refusals)
{
	struct kvm_userspace_memory_region good = {
		.slot = 1,
		.guest_phys_addr = 0x100000,
		.memory_size = 0x10000,
	};
	struct kvm_userspace_memory_region slot;

	vmm_open(&vmm, VMM_MEMORY);
	good.userspace_addr = (u64)vmm.memory;
#define SLOT(field, value, error, words)                             \
	do {                                                         \
		slot = good;                                         \
		slot.field = (value);                                \
		VM(KVM_SET_USER_MEMORY_REGION, &slot, error, words); \
	} while (0)
	SLOT(slot, 0x10001, BV_EINVAL, "slot = 0x10001: there is only address space 0");
	SLOT(slot, 512, BV_EINVAL, "slot = 512: must be below 512");
	SLOT(flags, 4, BV_EINVAL, "flags = 0x4");
	SLOT(memory_size, 0x1001, BV_EINVAL, "memory_size = 0x1001");
	SLOT(memory_size, 1ULL << 43, BV_EINVAL, "memory_size = 0x80000000000: more than");
	SLOT(memory_size, 0, BV_EINVAL, "slot 1 does not exist");
	SLOT(guest_phys_addr, 0x100, BV_EINVAL, "guest_phys_addr = 0x100");
	SLOT(guest_phys_addr, 0xffffffffffff8000, BV_EINVAL, "its end is past 2^64");
	SLOT(userspace_addr, (u64)vmm.memory + 1, BV_EINVAL, "userspace_addr");
	SLOT(userspace_addr, 0xffff800000000000, BV_EINVAL, "not an address of a process");
	SLOT(guest_phys_addr, 0x1000, BV_EEXIST, "");
	CHECK_EQ(do_ioctl(vmm.vm, KVM_SET_USER_MEMORY_REGION, &good), 0);
	SLOT(memory_size, 0x20000, BV_EINVAL, "slot 1 exists with 0x10 pages");
	SLOT(userspace_addr, (u64)vmm.memory + 0x1000, BV_EINVAL, "delete it first");
	SLOT(flags, KVM_MEM_READONLY, BV_EINVAL, "KVM_MEM_READONLY cannot change");
	vmm_close(&vmm);
}

TEST(dirty_log_refusals)
{
	struct kvm_dirty_log log = { .slot = 3 };
	struct kvm_clear_dirty_log clear = { .slot = 0, .first_page = 1 };
	struct kvm_userspace_memory_region slot = {
		.memory_size = VMM_PAGES * 4096,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
	};

	vmm_open(&vmm, VMM_MEMORY);
	VM(KVM_GET_DIRTY_LOG, &log, BV_ENOENT, "slot = 3: does not exist");
	log.slot = 0;
	VM(KVM_GET_DIRTY_LOG, &log, BV_ENOENT, "slot = 0: without KVM_MEM_LOG_DIRTY_PAGES");
	log.slot = 0x10000;
	VM(KVM_GET_DIRTY_LOG, &log, BV_EINVAL, "slot = 0x10000");
	slot.userspace_addr = (u64)vmm.memory;
	CHECK_EQ(do_ioctl(vmm.vm, KVM_SET_USER_MEMORY_REGION, &slot), 0);
	log.slot = 0;
	VM(KVM_GET_DIRTY_LOG, &log, BV_EFAULT, "dirty_bitmap = 0x0: not all of it");
	VM(KVM_CLEAR_DIRTY_LOG, &clear, BV_EINVAL, "first_page = 1: not a multiple");
	clear.first_page = 128;
	VM(KVM_CLEAR_DIRTY_LOG, &clear, BV_EINVAL, "first_page = 128, num_pages = 0: past");
	clear.first_page = 0;
	clear.num_pages = 3;
	VM(KVM_CLEAR_DIRTY_LOG, &clear, BV_EINVAL, "num_pages = 3: neither");
	clear.num_pages = 64;
	VM(KVM_CLEAR_DIRTY_LOG, &clear, BV_EFAULT, "KVM_CLEAR_DIRTY_LOG: the array");
	VM(KVM_RESET_DIRTY_RINGS, 0, BV_EINVAL, "no dirty rings");
	vmm_close(&vmm);
}

TEST(with_a_dirty_ring_there_is_no_bitmap)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .args = { 65536 } };
	struct kvm_dirty_log log = { .slot = 0 };

	vmm_open(&vmm, VMM_MEMORY);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_ENABLE_CAP, &cap), 0);
	VM(KVM_GET_DIRTY_LOG, &log, BV_ENXIO, "dirty rings, so there is no bitmap");
	vmm_close(&vmm);
}

/* ---- interrupts ---- */

TEST(interrupt_refusals_without_controllers)
{
	struct kvm_irq_level line = { .irq = 4, .level = 1 };
	struct kvm_msi msi = { .address_lo = 0xfee00000 };
	struct kvm_irqchip chip = { .chip_id = 0 };
	struct kvm_pit_state2 pit = { .flags = 0 };
	struct kvm_pit_config config = { .flags = 0 };
	struct kvm_irq_routing routing = { .nr = 0 };
	struct kvm_irqfd irqfd = { .gsi = 1 };

	vmm_open(&vmm, VMM_PLAIN);
	VM(KVM_IRQ_LINE, &line, BV_ENXIO, "irq = 4: the VM has no interrupt controllers");
	VM(KVM_IRQ_LINE_STATUS, &line, BV_ENXIO, "irq = 4");
	VM(KVM_SIGNAL_MSI, &msi, BV_EINVAL, "no local APICs");
	VM(KVM_GET_IRQCHIP, &chip, BV_ENXIO, "no 8259");
	VM(KVM_SET_IRQCHIP, &chip, BV_ENXIO, "no 8259");
	VM(KVM_GET_PIT2, &pit, BV_ENXIO, "no timer chip");
	VM(KVM_CREATE_PIT2, &config, BV_ENOENT, "no 8259");
	VM(KVM_SET_GSI_ROUTING, &routing, BV_EINVAL, "no interrupt controllers");
	VM(KVM_IRQFD, &irqfd, BV_EINVAL, "no interrupt controllers");
	vmm_close(&vmm);
}

TEST(interrupt_refusals_with_controllers)
{
	struct kvm_msi msi = { .flags = KVM_MSI_VALID_DEVID };
	struct kvm_irqchip chip = { .chip_id = 3 };
	struct kvm_pit_config config = { .flags = 2 };
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} routing = { .head = { .nr = 4097 } };

	vmm_open(&vmm, VMM_IRQCHIP);
	VM(KVM_CREATE_IRQCHIP, 0, BV_EEXIST, "already");
	VM(KVM_SIGNAL_MSI, &msi, BV_EINVAL, "flags = 0x1");
	VM(KVM_GET_IRQCHIP, &chip, BV_EINVAL, "chip_id = 3");
	VM(KVM_CREATE_PIT2, &config, BV_EINVAL, "flags = 0x2");
	config.flags = 0;
	CHECK_EQ(do_ioctl(vmm.vm, KVM_CREATE_PIT2, &config), 0);
	VM(KVM_CREATE_PIT2, &config, BV_EEXIST, "already");
	VM(KVM_SET_GSI_ROUTING, &routing, BV_EINVAL, "nr = 4097: at most 4096");
	routing.head.nr = 1;
	routing.head.flags = 1;
	VM(KVM_SET_GSI_ROUTING, &routing, BV_EINVAL, "flags = 0x1");
	routing.head.flags = 0;
	routing.entry.type = KVM_IRQ_ROUTING_HV_SINT;
	VM(KVM_SET_GSI_ROUTING, &routing, BV_EINVAL, "entries[0].type = 4");
	routing.entry.type = KVM_IRQ_ROUTING_IRQCHIP;
	routing.entry.gsi = 4096;
	VM(KVM_SET_GSI_ROUTING, &routing, BV_EINVAL, "entries[0].gsi = 4096");
	routing.entry.gsi = 1;
	routing.entry.flags = 1;
	VM(KVM_SET_GSI_ROUTING, &routing, BV_EINVAL, "entries[0].flags = 0x1");
	routing.entry.flags = 0;
	routing.entry.u.irqchip.irqchip = 3;
	VM(KVM_SET_GSI_ROUTING, &routing, BV_EINVAL, "entries[0].irqchip = 3");
	routing.entry.u.irqchip.irqchip = 0;
	routing.entry.u.irqchip.pin = 8;
	VM(KVM_SET_GSI_ROUTING, &routing, BV_EINVAL, "entries[0].pin = 8");
	VM(KVM_SET_GSI_ROUTING, 0, BV_EFAULT, "the argument at 0");
	vmm_close(&vmm);
}

TEST(irqfd_refusals)
{
	struct kvm_irqfd irqfd = { .fd = 60, .gsi = 5 };
	int eventfd;

	vmm_open(&vmm, VMM_IRQCHIP);
	eventfd = fake_eventfd();
	VM(KVM_IRQFD, &irqfd, BV_EBADF, "fd = 60: not an eventfd");
	irqfd.fd = (u32)vmm.vm;
	VM(KVM_IRQFD, &irqfd, BV_EINVAL, "not an eventfd");
	irqfd.fd = (u32)eventfd;
	irqfd.flags = 4;
	VM(KVM_IRQFD, &irqfd, BV_EINVAL, "flags = 0x4");
	irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE;
	irqfd.resamplefd = 61;
	VM(KVM_IRQFD, &irqfd, BV_EBADF, "resamplefd = 61");
	irqfd.flags = 0;
	irqfd.gsi = 4096;
	VM(KVM_IRQFD, &irqfd, BV_EINVAL, "gsi = 4096");
	irqfd.gsi = 5;
	CHECK_EQ(do_ioctl(vmm.vm, KVM_IRQFD, &irqfd), 0);
	VM(KVM_IRQFD, &irqfd, BV_EBUSY, "drives a gsi already");
	vmm_close(&vmm);
}

TEST(ioeventfd_refusals)
{
	struct kvm_ioeventfd bell = { .addr = 0x600, .len = 3, .flags = KVM_IOEVENTFD_FLAG_PIO };

	vmm_open(&vmm, VMM_PLAIN);
	bell.fd = fake_eventfd();
	VM(KVM_IOEVENTFD, &bell, BV_EINVAL, "len = 3");
	bell.len = 0;
	bell.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	VM(KVM_IOEVENTFD, &bell, BV_EINVAL, "len = 0: cannot go with");
	bell.flags = 0x80;
	VM(KVM_IOEVENTFD, &bell, BV_EINVAL, "flags = 0x80");
	bell.flags = 0;
	bell.addr = ~0ULL;
	bell.len = 4;
	VM(KVM_IOEVENTFD, &bell, BV_EINVAL, "its end is past 2^64");
	bell.addr = 0x600;
	bell.flags = KVM_IOEVENTFD_FLAG_PIO;
	bell.fd = 50;
	VM(KVM_IOEVENTFD, &bell, BV_EBADF, "fd = 50");
	bell.fd = fake_eventfd();
	CHECK_EQ(do_ioctl(vmm.vm, KVM_IOEVENTFD, &bell), 0);
	VM(KVM_IOEVENTFD, &bell, BV_EEXIST, "clashes with another");
	bell.len = 0;
	VM(KVM_IOEVENTFD, &bell, BV_EEXIST, "clashes with another");
	bell.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	VM(KVM_IOEVENTFD, &bell, BV_ENOENT, "no such ioeventfd");
	vmm_close(&vmm);
}

/* ---- vCPUs ---- */

TEST(vcpu_refusals)
{
	struct {
		struct kvm_signal_mask head;
		u8 set[8];
	} mask = { .head = { .len = 4 } };
	struct kvm_mp_state mp = { .mp_state = 7 };
	struct kvm_guest_debug debug = { .control = 0x100 };
	struct kvm_debugregs debugregs = { .flags = 1 };
	struct kvm_xcrs xcrs = { .nr_xcrs = 17 };
	struct kvm_vapic_addr vapic = { .vapic_addr = 0x1000 };
	struct kvm_tpr_access_ctl tpr = { .enabled = 1 };
	struct kvm_device_attr attr = { .group = 1 };
	struct kvm_cpuid2 cpuid = { .nent = 257 };
	struct kvm_interrupt interrupt = { .irq = 256 };
	u64 mcg_cap = 200;

	vmm_open(&vmm, VMM_VCPU);
	VCPU(KVM_CREATE_VCPU, 0, BV_ENOTTY, "not one of this kind of file");
	VCPU(KVM_RUN, 1, BV_EINVAL, "KVM_RUN: argument 0x1: must be 0");
	VCPU(KVM_SET_SIGNAL_MASK, &mask, BV_EINVAL, "len = 4: a signal set has 8 bytes");
	VCPU(KVM_SET_MP_STATE, &mp, BV_EINVAL, "mp_state = 7");
	mp.mp_state = KVM_MP_STATE_HALTED;
	VCPU(KVM_SET_MP_STATE, &mp, BV_EINVAL, "without a local APIC here only runnable");
	VCPU(KVM_SET_GUEST_DEBUG, &debug, BV_EINVAL, "control = 0x100");
	VCPU(KVM_SET_DEBUGREGS, &debugregs, BV_EINVAL, "flags = 0x1");
	debugregs = (struct kvm_debugregs){ .dr7 = 1ULL << 32 };
	VCPU(KVM_SET_DEBUGREGS, &debugregs, BV_EINVAL, "have 32 bits");
	VCPU(KVM_SET_XCRS, &xcrs, BV_EINVAL, "nr_xcrs = 17");
	xcrs = (struct kvm_xcrs){ .flags = 1 };
	VCPU(KVM_SET_XCRS, &xcrs, BV_EINVAL, "flags = 0x1");
	/* What a CPU without XSAVE has from reset on is taken, more is not. */
	xcrs = (struct kvm_xcrs){ .nr_xcrs = 1, .xcrs[0].value = 3 };
	VCPU(KVM_SET_XCRS, &xcrs, BV_EINVAL, "XCR0 0x3: the vCPU's CPUID allows 0x0");
	xcrs.xcrs[0].value = 1;
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_XCRS, &xcrs), 0);
	VCPU(KVM_SET_VAPIC_ADDR, &vapic, BV_EINVAL,
	     "vapic_addr = 0x1000: KVM_CAP_VAPIC is not offered");
	vapic.vapic_addr = 0;
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_VAPIC_ADDR, &vapic), 0);
	VCPU(KVM_TPR_ACCESS_REPORTING, &tpr, BV_EINVAL, "enabled = 1");
	VCPU(KVM_HAS_DEVICE_ATTR, &attr, BV_ENXIO, "group = 1");
	VCPU(KVM_SET_CPUID2, &cpuid, BV_E2BIG, "nent = 257: at most 256");
	VCPU(KVM_INTERRUPT, &interrupt, BV_EINVAL, "irq = 256");
	VCPU(KVM_X86_SETUP_MCE, &mcg_cap, BV_EINVAL, "mcg_cap = 0xc8");
	VCPU(KVM_KVMCLOCK_CTRL, 0, BV_EINVAL, "does not use kvmclock");
	vmm_close(&vmm);
}

TEST(event_refusals)
{
	struct kvm_vcpu_events events = { .flags = KVM_VCPUEVENT_VALID_PAYLOAD };

	vmm_open(&vmm, VMM_VCPU);
	VCPU(KVM_SET_VCPU_EVENTS, &events, BV_EINVAL, "flags = 0x10");
	events.flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	VCPU(KVM_SET_VCPU_EVENTS, &events, BV_EINVAL, "flags = 0x20");
	events.flags = KVM_VCPUEVENT_VALID_SMM;
	events.smi.smm = 1;
	VCPU(KVM_SET_VCPU_EVENTS, &events, BV_EINVAL, "smi: there is no system management mode");
	events = (struct kvm_vcpu_events){ .exception = { .injected = 1, .nr = 2 } };
	VCPU(KVM_SET_VCPU_EVENTS, &events, BV_EINVAL, "exception.nr = 2");
	events.exception.nr = 32;
	VCPU(KVM_SET_VCPU_EVENTS, &events, BV_EINVAL, "exception.nr = 32");
	vmm_close(&vmm);
}

TEST(an_injected_exception_is_not_overwritten_by_the_debugger)
{
	struct kvm_vcpu_events events = { .exception = { .injected = 1, .nr = 13 } };
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_BP };

	vmm_open(&vmm, VMM_VCPU);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_VCPU_EVENTS, &events), 0);
	VCPU(KVM_SET_GUEST_DEBUG, &debug, BV_EBUSY, "exception 13 is on its way");
	vmm_close(&vmm);
}

TEST(a_missing_msr_ends_the_list_and_says_which)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[2];
	} msrs = { .head = { .nmsrs = 2 },
		   .entry = { { .index = 0x10 }, { .index = 0xdead0000 } } };

	vmm_open(&vmm, VMM_VCPU);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_MSRS, &msrs), 1);
	CHECK(strstr(last_reason(vmm.vm), "MSR 0xdead0000: there is none") != NULL);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_MSRS, &msrs), 1);
	CHECK(strstr(last_reason(vmm.vm), "MSR 0xdead0000 = 0") != NULL);
	vmm_close(&vmm);
}

TEST(msr_filter_refusals)
{
	struct kvm_msr_filter filter = { .flags = 2 };
	u8 bitmap[1] = { 0 };

	vmm_open(&vmm, VMM_PLAIN);
	VM(KVM_X86_SET_MSR_FILTER, 0, BV_EFAULT, "the argument at 0");
	VM(KVM_X86_SET_MSR_FILTER, &filter, BV_EINVAL, "flags = 0x2");
	filter.flags = KVM_MSR_FILTER_DEFAULT_DENY;
	VM(KVM_X86_SET_MSR_FILTER, &filter, BV_EINVAL, "needs a range that allows");
	filter.ranges[0] = (struct kvm_msr_filter_range){ .nmsrs = 8, .bitmap = bitmap };
	VM(KVM_X86_SET_MSR_FILTER, &filter, BV_EINVAL, "ranges[0].flags = 0");
	filter.ranges[0].flags = KVM_MSR_FILTER_READ;
	filter.ranges[0].nmsrs = 0x3001;
	VM(KVM_X86_SET_MSR_FILTER, &filter, BV_EINVAL, "ranges[0].nmsrs = 12289");
	filter.ranges[0].nmsrs = 8;
	filter.ranges[0].bitmap = (u8 *)8;
	VM(KVM_X86_SET_MSR_FILTER, &filter, BV_EFAULT, "the array behind");
	vmm_close(&vmm);
}

/* ---- memory that runs out ---- */

TEST(a_vm_that_cannot_be_made_leaves_nothing)
{
	long result = -BV_ENOMEM;

	for (long n = 1; result == -BV_ENOMEM && n < 1000; n++) {
		fake_reset();
		fake_kvm_reset();
		fake_vendor_use();
		fake_fail_alloc_after(n);
		result = fake_ioctl(FAKE_KVM_DEVICE, KVM_CREATE_VM, 0);
		fake_fail_alloc_after(0);
		if (result < 0)
			CHECK_EQ(fake_allocs(), 0);
	}
	CHECK(result > 0);
	fake_kvm_reset();
	CHECK_EQ(fake_allocs(), 0);
}

TEST(a_vcpu_that_cannot_be_made_leaves_the_vm_whole)
{
	long result = -BV_ENOMEM;
	long before;

	vmm_open(&vmm, VMM_IRQCHIP);
	before = fake_allocs();
	for (long n = 1; result == -BV_ENOMEM && n < 1000; n++) {
		fake_fail_alloc_after(n);
		result = fake_ioctl(vmm.vm, KVM_CREATE_VCPU, 0);
		fake_fail_alloc_after(0);
		if (result < 0)
			CHECK_EQ(fake_allocs(), before);
	}
	CHECK(result > 0);
	vmm_close(&vmm);
}
