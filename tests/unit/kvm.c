// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fronts/kvm as a VMM sees it: files, state in and out, the run page, eventfds, the clock. On
 * hosts/fake.
 */
#include "kvm_helpers.h"

#include <linux/kvm_para.h>

#include "bv/irq.h"

static struct vmm vmm;

/* ---- files ---- */

TEST(the_device_speaks_version_12)
{
	vmm_open(&vmm, VMM_PLAIN);
	CHECK_EQ(fake_ioctl(FAKE_KVM_DEVICE, KVM_GET_API_VERSION, 0), 12);
	CHECK_EQ(fake_ioctl(FAKE_KVM_DEVICE, KVM_GET_VCPU_MMAP_SIZE, 0), 8192);
	CHECK_EQ(fake_ioctl(FAKE_KVM_DEVICE, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS), 16);
	CHECK_EQ(fake_ioctl(FAKE_KVM_DEVICE, KVM_CHECK_EXTENSION, KVM_CAP_X86_SMM), 0);
	CHECK_EQ(fake_ioctl(vmm.vm, KVM_CHECK_EXTENSION, KVM_CAP_NESTED_STATE), 0);
	CHECK_EQ(fake_ioctl(vmm.vm, KVM_CHECK_EXTENSION, 0xffffffff), 0);
	vmm_close(&vmm);
}

TEST(files_may_be_closed_in_any_order)
{
	vmm_open(&vmm, VMM_VCPU | VMM_IRQCHIP | VMM_MEMORY);
	CHECK_EQ(fake_close(vmm.vm), 0);
	CHECK(fake_allocs() > 0);
	CHECK_EQ(fake_ioctl(vmm.vcpu, KVM_NMI, 0), 0);
	CHECK_EQ(fake_close(vmm.vcpu), 0);
	CHECK_EQ(fake_allocs(), 0);
	vmm_close(&vmm);
	vmm_open(&vmm, VMM_VCPU | VMM_IRQCHIP);
	CHECK_EQ(fake_close(vmm.vcpu), 0);
	CHECK_EQ(fake_ioctl(vmm.vm, KVM_CREATE_VCPU, 0), -BV_EEXIST); /* the guest still has it */
	CHECK_EQ(fake_close(vmm.vm), 0);
	vmm_close(&vmm);
}

TEST(pages_of_a_vcpus_file)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { 8192 } };
	int vcpu;

	vmm_open(&vmm, VMM_PLAIN);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_ENABLE_CAP, &cap), 0);
	vcpu = (int)fake_ioctl(vmm.vm, KVM_CREATE_VCPU, 3);
	CHECK(fake_mmap(vcpu, 0) && fake_mmap(vcpu, KVM_PIO_PAGE_OFFSET));
	CHECK(!fake_mmap(vcpu, 2) && !fake_mmap(vcpu, 63));
	CHECK(fake_mmap(vcpu, 64) && fake_mmap(vcpu, 65));
	CHECK(!fake_mmap(vcpu, 66) && !fake_mmap(vcpu, ~0ULL));
	vmm_close(&vmm);
}

TEST(statistics_tell_names_and_values)
{
	static char file[16384];
	const struct kvm_stats_header *header = (void *)file;
	const struct kvm_stats_desc *first;
	int stats;
	long size;

	vmm_open(&vmm, VMM_VCPU);
	stats = (int)fake_ioctl(vmm.vcpu, KVM_GET_STATS_FD, 0);
	size = fake_stats_read(stats, 0, file, sizeof(file));
	CHECK(size > (long)sizeof(*header));
	CHECK(header->num_desc > 10);
	CHECK_EQ(size, header->data_offset + header->num_desc * 8);
	CHECK(!strcmp(file + header->id_offset, "bivisor-vcpu-00"));
	first = (void *)(file + header->desc_offset);
	CHECK_EQ(first->size, 1);
	CHECK(first->name[0]);
	/* Any part of it can be read alone. */
	for (long at = 0; at < size; at += 7) {
		char part[7];
		long expect = size - at < 7 ? size - at : 7;

		CHECK_EQ(fake_stats_read(stats, (u64)at, part, 7), expect);
		CHECK_EQ(memcmp(part, file + at, (size_t)expect), 0);
	}
	CHECK_EQ(fake_stats_read(stats, (u64)size, file, 1), 0);
	vmm_close(&vmm);
}

TEST(a_vms_statistics_outlive_its_other_files)
{
	static char file[16384];
	int stats;

	vmm_open(&vmm, VMM_VCPU);
	stats = (int)fake_ioctl(vmm.vm, KVM_GET_STATS_FD, 0);
	fake_close(vmm.vm);
	fake_close(vmm.vcpu);
	CHECK(fake_stats_read(stats, 0, file, sizeof(file)) > 0);
	vmm_close(&vmm);
}

TEST(an_ended_vms_newest_reasons_stay_with_the_device)
{
	static char text[BVK_REASONS_SIZE];

	vmm_open(&vmm, VMM_PLAIN);
	for (u64 id = 100; id < 106; id++)
		CHECK_EQ(fake_ioctl(vmm.vm, KVM_SET_BOOT_CPU_ID, id), -BV_EINVAL);
	vmm_close(&vmm);
	bvk_reasons(NULL, text, sizeof(text));
	CHECK(!strstr(text, "id 101:"));
	for (u64 id = 102; id < 106; id++) {
		char words[64];

		snprintf(words, sizeof(words),
			 "a VM that ended: KVM_SET_BOOT_CPU_ID: id %llu:", id);
		CHECK(strstr(text, words) != NULL);
	}
}

/* ---- state ---- */

TEST(registers_come_back_as_set)
{
	struct kvm_regs regs, back;

	vmm_open(&vmm, VMM_VCPU);
	for (unsigned int i = 0; i < sizeof(regs) / 8; i++)
		((u64 *)&regs)[i] = 0x1000 + i;
	regs.rflags = 2;
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_REGS, &regs), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_REGS, &back), 0);
	CHECK_EQ(memcmp(&regs, &back, sizeof(regs)), 0);
	vmm_close(&vmm);
}

TEST(segments_and_control_registers_come_back_as_set)
{
	struct kvm_sregs sregs, back;
	struct kvm_sregs2 second;

	vmm_open(&vmm, VMM_VCPU | VMM_IRQCHIP);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_SREGS, &sregs), 0);
	CHECK_EQ(sregs.cs.base, 0xffff0000);
	CHECK_EQ(sregs.cs.selector, 0xf000);
	sregs.ds.base = 0x12340;
	sregs.ds.selector = 0x1234;
	sregs.ds.limit = 0xabcdef;
	sregs.gs.unusable = 1;
	sregs.gs.present = 0;
	sregs.cr2 = 0xdead000;
	sregs.cr3 = 0x5000;
	sregs.idt.base = 0x777;
	sregs.idt.limit = 0x3ff;
	sregs.interrupt_bitmap[1] = 1; /* vector 64 */
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_SREGS, &sregs), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_SREGS, &back), 0);
	CHECK_EQ(memcmp(&sregs, &back, sizeof(sregs)), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_SREGS2, &second), 0);
	CHECK_EQ(memcmp(&sregs, &second, offsetof(struct kvm_sregs, interrupt_bitmap)), 0);
	CHECK_EQ(second.flags, 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_SREGS2, &second), 0);
	vmm_close(&vmm);
}

TEST(fpu_and_xsave_are_views_of_one_state)
{
	static struct kvm_fpu fpu, back;
	static struct kvm_xsave area;

	vmm_open(&vmm, VMM_VCPU);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_FPU, &fpu), 0);
	CHECK_EQ(fpu.fcw, 0x37f);
	CHECK_EQ(fpu.mxcsr, 0x1f80);
	fpu.xmm[3][5] = 0x5a;
	fpu.fpr[7][9] = 0x77;
	fpu.ftwx = 0x80;
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_FPU, &fpu), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_XSAVE, &area), 0);
	CHECK_EQ(((u8 *)&area)[160 + 3 * 16 + 5], 0x5a);
	((u8 *)&area)[160 + 4 * 16] = 0x11;
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_XSAVE, &area), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_FPU, &back), 0);
	CHECK_EQ(back.xmm[4][0], 0x11);
	CHECK_EQ(back.fpr[7][9], 0x77);
	((u8 *)&area)[512] = 0xff; /* components that are not there */
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_XSAVE, &area), -BV_EINVAL);
	CHECK(strstr(last_reason(vmm.vm), "XSTATE_BV = 0xff") != NULL);
	CHECK_EQ(fake_ioctl(vmm.vm, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2), 4096);
	vmm_close(&vmm);
}

TEST(events_come_back_as_set)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = { 1 } };
	struct kvm_vcpu_events events = {
		.exception = { .pending = 1, .nr = 14, .has_error_code = 1, .error_code = 6 },
		.exception_has_payload = 1,
		.exception_payload = 0x1234000,
		.nmi = { .pending = 1, .masked = 1 },
		.flags = KVM_VCPUEVENT_VALID_PAYLOAD | KVM_VCPUEVENT_VALID_NMI_PENDING,
	};
	struct kvm_vcpu_events back;

	vmm_open(&vmm, VMM_VCPU);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_ENABLE_CAP, &cap), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_VCPU_EVENTS, &events), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_VCPU_EVENTS, &back), 0);
	CHECK_EQ(memcmp(&events.exception, &back.exception, sizeof(back.exception)), 0);
	CHECK_EQ(back.exception_has_payload, 1);
	CHECK_EQ(back.exception_payload, 0x1234000);
	CHECK_EQ(back.nmi.pending, 1);
	CHECK_EQ(back.nmi.masked, 1);
	vmm_close(&vmm);
}

/* Where user space has no word for a payload, it finds it in CR2. */
TEST(a_payload_is_in_its_register_when_events_are_read_without_it)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = { 1 } };
	struct kvm_vcpu_events events = {
		.exception = { .pending = 1, .nr = 14, .has_error_code = 1, .error_code = 6 },
		.exception_has_payload = 1,
		.exception_payload = 0x1234000,
		.flags = KVM_VCPUEVENT_VALID_PAYLOAD,
	};
	struct kvm_sregs sregs;

	vmm_open(&vmm, VMM_VCPU);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_ENABLE_CAP, &cap), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_VCPU_EVENTS, &events), 0);
	cap.args[0] = 0;
	CHECK_EQ(do_ioctl(vmm.vm, KVM_ENABLE_CAP, &cap), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_SREGS, &sregs), 0);
	CHECK_EQ(sregs.cr2, 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_VCPU_EVENTS, &events), 0);
	CHECK_EQ(events.exception.injected, 1);
	CHECK_EQ(events.exception.nr, 14);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_SREGS, &sregs), 0);
	CHECK_EQ(sregs.cr2, 0x1234000);
	vmm_close(&vmm);
}

TEST(processor_states_come_back_as_set)
{
	static const u32 states[] = { KVM_MP_STATE_HALTED, KVM_MP_STATE_UNINITIALIZED,
				      KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_RUNNABLE };

	vmm_open(&vmm, VMM_VCPU | VMM_IRQCHIP);
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(states); i++) {
		struct kvm_mp_state state = { .mp_state = states[i] }, back;

		CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_MP_STATE, &state), 0);
		CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_MP_STATE, &back), 0);
		CHECK_EQ(back.mp_state, states[i]);
	}
	vmm_close(&vmm);
}

TEST(cpuid_as_offered_can_be_set_and_read_back)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} cpuid, back;

	vmm_open(&vmm, VMM_VCPU);
	cpuid.head.nent = 256;
	CHECK_EQ(do_ioctl(FAKE_KVM_DEVICE, KVM_GET_SUPPORTED_CPUID, &cpuid), 0);
	CHECK(cpuid.head.nent > 10 && cpuid.head.nent < 256);
	for (u32 i = 0; i < cpuid.head.nent; i++)
		if (cpuid.entry[i].function == 1)
			CHECK_EQ(cpuid.entry[i].ecx & (1u << 24),
				 0); /* told by a capability instead */
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_CPUID2, &cpuid), 0);
	back.head.nent = 256;
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_CPUID2, &back), 0);
	CHECK_EQ(back.head.nent, cpuid.head.nent);
	CHECK_EQ(memcmp(cpuid.entry, back.entry, cpuid.head.nent * sizeof(cpuid.entry[0])), 0);
	vmm_close(&vmm);
}

TEST(every_listed_msr_can_be_saved_and_restored)
{
	static struct {
		struct kvm_msr_list head;
		u32 index[512];
	} list = { .head = { .nmsrs = 512 } };
	bool kvmclock = false;

	vmm_open(&vmm, VMM_VCPU | VMM_IRQCHIP);
	CHECK_EQ(do_ioctl(FAKE_KVM_DEVICE, KVM_GET_MSR_INDEX_LIST, &list), 0);
	CHECK(list.head.nmsrs > 10);
	for (u32 i = 0; i < list.head.nmsrs; i++) {
		struct {
			struct kvm_msrs head;
			struct kvm_msr_entry entry;
		} msr = { .head = { .nmsrs = 1 }, .entry = { .index = list.index[i] } };

		kvmclock |= list.index[i] == MSR_KVM_SYSTEM_TIME_NEW;
		CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_MSRS, &msr), 1);
		CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_MSRS, &msr), 1);
	}
	CHECK(kvmclock);
	vmm_close(&vmm);
}

TEST(chips_come_back_as_set)
{
	static const u32 chips[] = { KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE,
				     KVM_IRQCHIP_IOAPIC };
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
	static struct kvm_lapic_state lapic, lapic_back;
	struct kvm_pit_state2 pit, pit_back;

	vmm_open(&vmm, VMM_VCPU | VMM_IRQCHIP);
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(chips); i++) {
		struct kvm_irqchip chip = { .chip_id = chips[i] }, back = { .chip_id = chips[i] };

		CHECK_EQ(do_ioctl(vmm.vm, KVM_GET_IRQCHIP, &chip), 0);
		CHECK_EQ(do_ioctl(vmm.vm, KVM_SET_IRQCHIP, &chip), 0);
		CHECK_EQ(do_ioctl(vmm.vm, KVM_GET_IRQCHIP, &back), 0);
		CHECK_EQ(memcmp(&chip, &back, sizeof(chip)), 0);
	}
	CHECK_EQ(do_ioctl(vmm.vm, KVM_CREATE_PIT2, &config), 0);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_GET_PIT2, &pit), 0);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_SET_PIT2, &pit), 0);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_GET_PIT2, &pit_back), 0);
	CHECK_EQ(memcmp(&pit, &pit_back, sizeof(pit)), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_LAPIC, &lapic), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_LAPIC, &lapic), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_LAPIC, &lapic_back), 0);
	CHECK_EQ(memcmp(&lapic, &lapic_back, sizeof(lapic)), 0);
	vmm_close(&vmm);
}

/* ---- running ---- */

static void guest_exit(enum bv_exit_kind kind, u8 length)
{
	struct bv_exit exit = { .kind = kind, .length = length };

	fake_exit(vmm_engine_vcpu(&vmm), &exit);
}

static void guest_port(u16 port, u8 bytes, bool in)
{
	struct bv_exit exit = {
		.kind = BV_EXIT_PORT,
		.length = 1,
		.port = { .port = port, .bytes = bytes, .in = in },
	};

	fake_exit(vmm_engine_vcpu(&vmm), &exit);
}

static long run(void)
{
	return fake_ioctl(vmm.vcpu, KVM_RUN, 0);
}

TEST(immediate_exit_does_not_enter_the_guest)
{
	vmm_open(&vmm, VMM_VCPU);
	vmm.run->immediate_exit = 1;
	CHECK_EQ(run(), -BV_EINTR);
	CHECK_EQ(vmm.run->exit_reason, KVM_EXIT_INTR);
	CHECK_EQ(fake_hw(vmm_engine_vcpu(&vmm))->entries, 0);
	vmm_close(&vmm);
}

TEST(a_signal_ends_the_run)
{
	vmm_open(&vmm, VMM_VCPU);
	CHECK_EQ(run(), -BV_EINTR);
	CHECK_EQ(fake_hw(vmm_engine_vcpu(&vmm))->entries, 1);
	vmm_close(&vmm);
}

TEST(the_signal_mask_holds_during_the_run_only)
{
	struct {
		struct kvm_signal_mask head;
		u64 set;
	} __attribute__((packed)) mask = { .head = { .len = 8 }, .set = 0x1234 };

	vmm_open(&vmm, VMM_VCPU);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_SIGNAL_MASK, &mask), 0);
	CHECK_EQ(run(), -BV_EINTR);
	CHECK_EQ(fake_signal_mask(), 0);
	CHECK_EQ(fake_ioctl(vmm.vcpu, KVM_SET_SIGNAL_MASK, 0), 0);
	vmm_close(&vmm);
}

TEST(a_halt_is_told_where_the_front_has_no_apic)
{
	vmm_open(&vmm, VMM_VCPU);
	guest_exit(BV_EXIT_HLT, 1);
	CHECK_EQ(run(), 0);
	CHECK_EQ(vmm.run->exit_reason, KVM_EXIT_HLT);
	vmm_close(&vmm);
}

TEST(a_port_write_is_told_with_its_data)
{
	struct kvm_regs regs = { .rax = 0x11223344, .rip = 0x1000, .rflags = 2 };

	vmm_open(&vmm, VMM_VCPU);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_REGS, &regs), 0);
	guest_port(0x3f8, 2, false);
	CHECK_EQ(run(), 0);
	CHECK_EQ(vmm.run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(vmm.run->io.direction, KVM_EXIT_IO_OUT);
	CHECK_EQ(vmm.run->io.port, 0x3f8);
	CHECK_EQ(vmm.run->io.size, 2);
	CHECK_EQ(vmm.run->io.count, 1);
	CHECK_EQ(vmm.run->io.data_offset, 4096);
	CHECK_EQ(*(u16 *)fake_mmap(vmm.vcpu, 1), 0x3344);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_REGS, &regs), 0);
	CHECK_EQ(regs.rip, 0x1001);
	vmm_close(&vmm);
}

TEST(a_port_read_is_completed_by_the_next_run)
{
	struct kvm_regs regs = { .rax = 0xffffffff, .rip = 0x1000, .rflags = 2 };

	vmm_open(&vmm, VMM_VCPU);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_REGS, &regs), 0);
	guest_port(0x60, 1, true);
	CHECK_EQ(run(), 0);
	CHECK_EQ(vmm.run->io.direction, KVM_EXIT_IO_IN);
	*(u8 *)fake_mmap(vmm.vcpu, 1) = 0x5a;
	vmm.run->immediate_exit = 1;
	CHECK_EQ(run(), -BV_EINTR);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_REGS, &regs), 0);
	CHECK_EQ(regs.rax, 0xffffff5a);
	CHECK_EQ(regs.rip, 0x1001);
	vmm_close(&vmm);
}

TEST(a_triple_fault_is_a_shutdown_that_says_where)
{
	struct kvm_regs regs = { .rip = 0x1234, .rflags = 2 };

	vmm_open(&vmm, VMM_VCPU);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_REGS, &regs), 0);
	guest_exit(BV_EXIT_TRIPLE_FAULT, 0);
	CHECK_EQ(run(), 0);
	CHECK_EQ(vmm.run->exit_reason, KVM_EXIT_SHUTDOWN);
	CHECK(strstr(last_reason(vmm.vm), "triple fault at f000:0x1234"));
	vmm_close(&vmm);
}

TEST(registers_travel_in_the_run_page)
{
	struct kvm_regs regs;

	vmm_open(&vmm, VMM_VCPU);
	vmm.run->kvm_valid_regs = KVM_SYNC_X86_VALID_FIELDS;
	vmm.run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	vmm.run->s.regs.regs = (struct kvm_regs){ .rax = 77, .rip = 0x500, .rflags = 2 };
	vmm.run->immediate_exit = 1;
	CHECK_EQ(run(), -BV_EINTR);
	CHECK_EQ(vmm.run->kvm_dirty_regs, 0);
	CHECK_EQ(vmm.run->s.regs.regs.rax, 77);
	CHECK_EQ(vmm.run->s.regs.sregs.cs.selector, 0xf000);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_REGS, &regs), 0);
	CHECK_EQ(regs.rax, 77);
	vmm.run->kvm_valid_regs = 8;
	REFUSED(vmm.vm, run(), BV_EINVAL, "kvm_valid_regs = 0x8");
	vmm.run->kvm_valid_regs = 0;
	vmm.run->kvm_dirty_regs = 16;
	REFUSED(vmm.vm, run(), BV_EINVAL, "kvm_dirty_regs = 0x10");
	vmm_close(&vmm);
}

TEST(an_interrupt_from_user_space_is_delivered)
{
	struct kvm_interrupt interrupt = { .irq = 0x31 };
	struct kvm_regs regs = { .rflags = 0x202 };

	vmm_open(&vmm, VMM_VCPU);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_REGS, &regs), 0);
	vmm.run->request_interrupt_window = 1;
	CHECK_EQ(run(), 0);
	CHECK_EQ(vmm.run->exit_reason, KVM_EXIT_IRQ_WINDOW_OPEN);
	CHECK_EQ(vmm.run->ready_for_interrupt_injection, 1);
	CHECK_EQ(vmm.run->if_flag, 1);
	vmm.run->request_interrupt_window = 0;
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_INTERRUPT, &interrupt), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_INTERRUPT, &interrupt), -BV_EEXIST);
	CHECK_EQ(run(), -BV_EINTR);
	CHECK_EQ(fake_last_delivered(vmm_engine_vcpu(&vmm)), 0x31);
	vmm_close(&vmm);
}

TEST(a_filtered_msr_goes_to_user_space)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_USER_SPACE_MSR,
		.args = { KVM_MSR_EXIT_REASON_FILTER },
	};
	u8 nothing_allowed[1] = { 0 };
	struct kvm_msr_filter filter = { .ranges = { {
						 .flags = KVM_MSR_FILTER_READ,
						 .base = 0x174,
						 .nmsrs = 8,
						 .bitmap = nothing_allowed,
					 } } };
	struct kvm_regs regs = { .rcx = 0x174, .rip = 0x1000, .rflags = 2 };

	vmm_open(&vmm, VMM_VCPU);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_ENABLE_CAP, &cap), 0);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_X86_SET_MSR_FILTER, &filter), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_REGS, &regs), 0);
	guest_exit(BV_EXIT_RDMSR, 2);
	CHECK_EQ(run(), 0);
	CHECK_EQ(vmm.run->exit_reason, KVM_EXIT_X86_RDMSR);
	CHECK_EQ(vmm.run->msr.index, 0x174);
	CHECK_EQ(vmm.run->msr.reason, KVM_MSR_EXIT_REASON_FILTER);
	vmm.run->msr.data = 0x1122334455667788;
	vmm.run->immediate_exit = 1;
	CHECK_EQ(run(), -BV_EINTR);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_REGS, &regs), 0);
	CHECK_EQ(regs.rax, 0x55667788);
	CHECK_EQ(regs.rdx, 0x11223344);
	CHECK_EQ(regs.rip, 0x1002);
	/* An empty filter takes it away again. */
	filter.ranges[0].nmsrs = 0;
	CHECK_EQ(do_ioctl(vmm.vm, KVM_X86_SET_MSR_FILTER, &filter), 0);
	vmm_close(&vmm);
}

TEST(a_killed_vm_runs_no_more_and_says_why)
{
	vmm_open(&vmm, VMM_VCPU);
	bv_vm_kill(*(struct bv_vm **)fake_kvm_vm(vmm.vm), "the test %s", "ends it");
	CHECK_EQ(run(), 0);
	CHECK_EQ(vmm.run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	CHECK(strstr(last_reason(vmm.vm), "the test ends it") != NULL);
	vmm_close(&vmm);
}

/* ---- eventfds ---- */

static u32 apic_irr(unsigned int vector)
{
	static struct kvm_lapic_state lapic;

	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_LAPIC, &lapic), 0);
	return ((u32 *)lapic.regs)[(0x200 + vector / 32 * 16) / 4] >> vector % 32 & 1;
}

/* The local APIC on, and gsi 20 routed as a message with this vector. */
static void route_message(unsigned int vector)
{
	static struct kvm_lapic_state lapic;
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} routing = {
		.head = { .nr = 1 },
		.entry = { .gsi = 20, .type = KVM_IRQ_ROUTING_MSI },
	};

	routing.entry.u.msi.address_lo = 0xfee00000;
	routing.entry.u.msi.data = vector;
	CHECK_EQ(do_ioctl(vmm.vm, KVM_SET_GSI_ROUTING, &routing), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_LAPIC, &lapic), 0);
	((u32 *)lapic.regs)[0xf0 / 4] |= 0x100;
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_LAPIC, &lapic), 0);
}

TEST(an_irqfd_raises_its_message)
{
	struct kvm_irqfd irqfd = { .gsi = 20 };

	vmm_open(&vmm, VMM_VCPU | VMM_IRQCHIP);
	route_message(0x51);
	irqfd.fd = (u32)fake_eventfd();
	CHECK_EQ(do_ioctl(vmm.vm, KVM_IRQFD, &irqfd), 0);
	CHECK_EQ(apic_irr(0x51), 0);
	fake_eventfd_signal((int)irqfd.fd);
	CHECK_EQ(apic_irr(0x51), 1);
	CHECK_EQ(fake_eventfd_read((int)irqfd.fd), 0); /* taken */
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	CHECK_EQ(do_ioctl(vmm.vm, KVM_IRQFD, &irqfd), 0);
	fake_eventfd_signal((int)irqfd.fd);
	CHECK_EQ(fake_eventfd_read((int)irqfd.fd), 1);
	vmm_close(&vmm);
}

TEST(an_eventfd_signaled_early_raises_at_once)
{
	struct kvm_irqfd irqfd = { .gsi = 20 };

	vmm_open(&vmm, VMM_VCPU | VMM_IRQCHIP);
	route_message(0x52);
	irqfd.fd = (u32)fake_eventfd();
	fake_eventfd_signal((int)irqfd.fd);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_IRQFD, &irqfd), 0);
	CHECK_EQ(apic_irr(0x52), 1);
	vmm_close(&vmm);
}

TEST(a_closed_eventfd_takes_its_irqfd_away)
{
	struct kvm_irqfd irqfd = { .gsi = 20 };
	long before;

	vmm_open(&vmm, VMM_VCPU | VMM_IRQCHIP);
	route_message(0x53);
	before = fake_allocs();
	irqfd.fd = (u32)fake_eventfd();
	CHECK_EQ(do_ioctl(vmm.vm, KVM_IRQFD, &irqfd), 0);
	CHECK(fake_allocs() > before);
	CHECK_EQ(fake_close((int)irqfd.fd), 0);
	CHECK_EQ(fake_allocs(), before);
	vmm_close(&vmm);
}

TEST(a_vms_end_takes_its_irqfds_away)
{
	struct kvm_irqfd irqfd = { .gsi = 20, .flags = KVM_IRQFD_FLAG_RESAMPLE };

	vmm_open(&vmm, VMM_VCPU | VMM_IRQCHIP);
	for (int i = 0; i < 5; i++) {
		irqfd.fd = (u32)fake_eventfd();
		irqfd.resamplefd = (u32)fake_eventfd();
		CHECK_EQ(do_ioctl(vmm.vm, KVM_IRQFD, &irqfd), 0);
	}
	CHECK_EQ(fake_close(vmm.vm), 0);
	fake_eventfd_signal((int)irqfd.fd);
	CHECK_EQ(fake_close(vmm.vcpu), 0);
	CHECK_EQ(fake_allocs(), 0);
	vmm_close(&vmm);
}

TEST(an_ioeventfd_swallows_matching_writes)
{
	struct kvm_ioeventfd bell = {
		.addr = 0xc050,
		.len = 2,
		.flags = KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH,
		.datamatch = 7,
	};
	struct kvm_regs regs = { .rax = 7, .rflags = 2 };

	vmm_open(&vmm, VMM_VCPU);
	bell.fd = fake_eventfd();
	CHECK_EQ(do_ioctl(vmm.vm, KVM_IOEVENTFD, &bell), 0);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_REGS, &regs), 0);
	guest_port(0xc050, 2, false);
	CHECK_EQ(run(), -BV_EINTR); /* the script's end */
	CHECK_EQ(fake_eventfd_read(bell.fd), 1);
	fake_vcpu(vmm_engine_vcpu(&vmm))->signal = false;
	guest_port(0xc050, 4, false); /* another size */
	CHECK_EQ(run(), 0);
	CHECK_EQ(vmm.run->exit_reason, KVM_EXIT_IO);
	regs.rax = 8; /* another value */
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_REGS, &regs), 0);
	guest_port(0xc050, 2, false);
	CHECK_EQ(run(), 0);
	CHECK_EQ(fake_eventfd_read(bell.fd), 0);
	bell.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	CHECK_EQ(do_ioctl(vmm.vm, KVM_IOEVENTFD, &bell), 0);
	regs.rax = 7;
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_REGS, &regs), 0);
	guest_port(0xc050, 2, false);
	CHECK_EQ(run(), 0);
	CHECK_EQ(vmm.run->exit_reason, KVM_EXIT_IO);
	vmm_close(&vmm);
}

/* ---- memory ---- */

TEST(what_user_space_logs_is_what_was_written)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = VMM_PAGES * 4096,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
	};
	u64 bitmap[1];
	struct kvm_dirty_log log = { .dirty_bitmap = bitmap };

	vmm_open(&vmm, VMM_MEMORY);
	slot.userspace_addr = (u64)vmm.memory;
	CHECK_EQ(do_ioctl(vmm.vm, KVM_SET_USER_MEMORY_REGION, &slot), 0);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_GET_DIRTY_LOG, &log), 0);
	CHECK_EQ(bitmap[0], 0);
	CHECK_EQ(bv_mem_write(*(struct bv_vm **)fake_kvm_vm(vmm.vm), 0x3004, "x", 1), 0);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_GET_DIRTY_LOG, &log), 0);
	CHECK_EQ(bitmap[0], 8);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_GET_DIRTY_LOG, &log), 0);
	CHECK_EQ(bitmap[0], 0);
	slot.memory_size = 0;
	CHECK_EQ(do_ioctl(vmm.vm, KVM_SET_USER_MEMORY_REGION, &slot), 0);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_GET_DIRTY_LOG, &log), -BV_ENOENT);
	vmm_close(&vmm);
}

TEST(manual_protection_keeps_bits_until_cleared)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
	};
	struct kvm_userspace_memory_region slot = {
		.memory_size = VMM_PAGES * 4096,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
	};
	u64 bitmap[1];
	struct kvm_dirty_log log = { .dirty_bitmap = bitmap };
	struct kvm_clear_dirty_log clear = { .num_pages = 64, .dirty_bitmap = bitmap };

	vmm_open(&vmm, VMM_MEMORY);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_ENABLE_CAP, &cap), 0);
	slot.userspace_addr = (u64)vmm.memory;
	CHECK_EQ(do_ioctl(vmm.vm, KVM_SET_USER_MEMORY_REGION, &slot), 0);
	CHECK_EQ(bv_mem_write(*(struct bv_vm **)fake_kvm_vm(vmm.vm), 0x5000, "x", 1), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(do_ioctl(vmm.vm, KVM_GET_DIRTY_LOG, &log), 0);
		CHECK_EQ(bitmap[0], 0x20);
	}
	CHECK_EQ(do_ioctl(vmm.vm, KVM_CLEAR_DIRTY_LOG, &clear), 0);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_GET_DIRTY_LOG, &log), 0);
	CHECK_EQ(bitmap[0], 0);
	vmm_close(&vmm);
}

/* ---- time ---- */

TEST(the_clock_goes_on_from_where_it_was_set)
{
	struct kvm_clock_data clock = { .clock = 5000000000 };

	vmm_open(&vmm, VMM_PLAIN);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_SET_CLOCK, &clock), 0);
	fake_clock_advance(1000000000);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_GET_CLOCK, &clock), 0);
	CHECK(clock.clock >= 5999990000 && clock.clock <= 6000010000);
	CHECK_EQ(clock.flags, KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC | KVM_CLOCK_TSC_STABLE);
	/* Restored a second later by the wall clock. */
	clock.flags = KVM_CLOCK_REALTIME;
	clock.clock = 100;
	fake_clock_advance(1000000000);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_SET_CLOCK, &clock), 0);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_GET_CLOCK, &clock), 0);
	CHECK(clock.clock >= 1000000000 && clock.clock < 1000100000);
	vmm_close(&vmm);
}

TEST(the_clock_survives_a_tsc_that_turns_bad)
{
	struct kvm_clock_data clock = { .clock = 5000000000 };

	vmm_open(&vmm, VMM_PLAIN);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_SET_CLOCK, &clock), 0);
	fake_clock_advance(1000000000);
	fake_tsc_unstable = true;
	CHECK_EQ(do_ioctl(vmm.vm, KVM_GET_CLOCK, &clock), 0);
	fake_tsc_unstable = false;
	CHECK(clock.clock >= 5999990000 && clock.clock <= 6000010000);
	CHECK_EQ(clock.flags & KVM_CLOCK_TSC_STABLE, 0);
	vmm_close(&vmm);
}

static void set_msr(u32 index, u64 value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = { .head = { .nmsrs = 1 }, .entry = { .index = index, .data = value } };

	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_MSRS, &msr), 1);
}

struct time_info {
	u32 version, pad;
	u64 tsc, ns;
	u32 mul;
	s8 shift;
	u8 flags, pad2[2];
};

/* As the guest computes it (the kernel's document virt/kvm/x86/msr). */
static u64 guest_clock(const struct time_info *info)
{
	u64 delta = bv_vcpu_tsc_now(vmm_engine_vcpu(&vmm)) - info->tsc;

	delta = info->shift < 0 ? delta >> -info->shift : delta << info->shift;
	return info->ns + (u64)(((unsigned __int128)delta * info->mul) >> 32);
}

TEST(the_guests_clock_is_user_spaces_clock)
{
	struct kvm_clock_data clock = { .clock = 7000000000 };
	const struct time_info *info;
	u32 version;

	vmm_open(&vmm, VMM_VCPU | VMM_MEMORY);
	info = (void *)(vmm.memory + 0x2000);
	set_msr(MSR_KVM_SYSTEM_TIME_NEW, 0x2001);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_SET_CLOCK, &clock), 0);
	run();
	CHECK_EQ(info->version & 1, 0);
	CHECK_EQ(info->flags, 1); /* stable */
	version = info->version;
	fake_clock_advance(3000000000);
	CHECK_EQ(do_ioctl(vmm.vm, KVM_GET_CLOCK, &clock), 0);
	CHECK(guest_clock(info) - clock.clock < 1000);
	CHECK(clock.clock >= 9999990000);
	/* A pause is told once, until the guest clears it. */
	CHECK_EQ(fake_ioctl(vmm.vcpu, KVM_KVMCLOCK_CTRL, 0), 0);
	fake_vcpu(vmm_engine_vcpu(&vmm))->signal = false;
	run();
	CHECK_EQ(info->flags, 3);
	CHECK(info->version > version && !(info->version & 1));
	vmm_close(&vmm);
}

TEST(the_clocks_version_goes_on_from_the_page)
{
	struct time_info *info;

	vmm_open(&vmm, VMM_VCPU | VMM_MEMORY);
	info = (void *)(vmm.memory + 0x2000);
	info->version = 2; /* as another host left it, in an update or not */
	set_msr(MSR_KVM_SYSTEM_TIME_NEW, 0x2001);
	run();
	CHECK_EQ(info->version, 4);
	info->version = 7;
	set_msr(MSR_KVM_SYSTEM_TIME_NEW, 0x2001);
	fake_vcpu(vmm_engine_vcpu(&vmm))->signal = false;
	run();
	CHECK_EQ(info->version, 8);
	vmm_close(&vmm);
}

TEST(steal_time_is_added_up_in_the_guests_page)
{
	const struct kvm_steal_time *steal;

	vmm_open(&vmm, VMM_VCPU | VMM_MEMORY);
	steal = (void *)(vmm.memory + 0x3000);
	fake_vcpu(vmm_engine_vcpu(&vmm))->steal_ns = 5000;
	set_msr(MSR_KVM_STEAL_TIME, 0x3001);
	run();
	CHECK_EQ(steal->steal, 0); /* what was before is not told */
	fake_vcpu(vmm_engine_vcpu(&vmm))->steal_ns = 5700;
	fake_vcpu(vmm_engine_vcpu(&vmm))->signal = false;
	run();
	CHECK_EQ(steal->steal, 700);
	CHECK_EQ(steal->version & 1, 0);
	vmm_close(&vmm);
}

/* ---- ends of interrupts in memory ---- */

#define EOI_WORD 0x3100

static u32 *eoi_word(void)
{
	return (u32 *)(vmm.memory + EOI_WORD);
}

static int in_service(void)
{
	return vmm_engine_vcpu(&vmm)->vm->intc->eoi_next(vmm_engine_vcpu(&vmm));
}

/* A guest that knows the word, its interrupts on, and an interrupt for it. */
static void eoi_start(u8 vector)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = vector };
	struct kvm_regs regs = { .rip = 0x1000, .rflags = 2 | BV_RFLAGS_IF };

	vmm_open(&vmm, VMM_VCPU | VMM_IRQCHIP | VMM_MEMORY);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_REGS, &regs), 0);
	CHECK_EQ(vmm_engine_vcpu(&vmm)->vm->intc->mmio_write(vmm_engine_vcpu(&vmm), 0xfee000f0, 4,
							     &(u32){ 0x1ff }),
		 BV_ACCESS_DONE);
	set_msr(MSR_KVM_PV_EOI_EN, EOI_WORD | KVM_MSR_ENABLED);
	do_ioctl(vmm.vm, KVM_SIGNAL_MSI, &msi);
}

/* What the guest does in its entries, one after the other. */
static const char *eoi_script;
static u32 eoi_seen;

static bool eoi_guest(struct bv_vcpu *vcpu, void *arg)
{
	const struct bv_msi msi = { 0xfee00000, 0x31 };

	(void)arg;
	eoi_seen = *eoi_word();
	vcpu->exit = (struct bv_exit){ .kind = BV_EXIT_HOST };
	switch (*eoi_script) {
	case 'e': /* ends the interrupt as the document says */
		*eoi_word() = 0;
		break;
	case 'm': /* meanwhile, another one comes */
		bv_irq_msi(vcpu->vm, &msi);
		break;
	case '.':
		break;
	default:
		return false;
	}
	eoi_script++;
	return true;
}

static void eoi_run(const char *script)
{
	eoi_script = script;
	fake_guest(vmm_engine_vcpu(&vmm), eoi_guest, NULL);
	fake_vcpu(vmm_engine_vcpu(&vmm))->signal = false;
	run();
}

TEST(an_interrupt_ends_by_a_bit_in_memory)
{
	eoi_start(0x51);
	eoi_run(".");
	CHECK_EQ(eoi_seen, 1);
	CHECK_EQ(in_service(), BV_EOI_SILENT);
	CHECK_EQ(*eoi_word(), 0); /* not outside of KVM_RUN */
	eoi_run("e");
	CHECK_EQ(in_service(), BV_EOI_SILENT); /* no bit was set, so that was no end */
	vmm_close(&vmm);
}

TEST(the_bit_is_taken_back_where_another_interrupt_waits)
{
	eoi_start(0x51);
	eoi_run("m.");
	CHECK_EQ(eoi_seen, 0);
	CHECK_EQ(in_service(), BV_EOI_TOLD);
	vmm_close(&vmm);
}

TEST(an_end_in_memory_lets_the_next_interrupt_in)
{
	eoi_start(0x51);
	eoi_run("e");
	CHECK_EQ(in_service(), BV_EOI_NONE);
	do_ioctl(vmm.vm, KVM_SIGNAL_MSI,
		 &(struct kvm_msi){ .address_lo = 0xfee00000, .data = 0x31 });
	eoi_run("e");
	CHECK_EQ(in_service(), BV_EOI_NONE);
	CHECK_EQ(fake_hw(vmm_engine_vcpu(&vmm))->deliveries, 2);
	vmm_close(&vmm);
}

TEST(an_unknown_hypercall_is_answered_so)
{
	struct kvm_regs regs = { .rax = 999, .rip = 0x1000, .rflags = 2 };

	vmm_open(&vmm, VMM_VCPU);
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_SET_REGS, &regs), 0);
	guest_exit(BV_EXIT_HYPERCALL, 3);
	run();
	CHECK_EQ(do_ioctl(vmm.vcpu, KVM_GET_REGS, &regs), 0);
	CHECK_EQ((u32)regs.rax, (u32)-1000);
	CHECK_EQ(regs.rip, 0x1003);
	vmm_close(&vmm);
}
