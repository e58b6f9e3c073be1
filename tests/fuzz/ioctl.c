// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzzes the ioctls of /dev/kvm: the input is a program of calls, closes, eventfds, time and guest
 * exits, played on fronts/kvm and the engine over hosts/fake. Nothing may crash, hold a lock, sleep
 * in the wrong place, or be left when all is closed.
 *
 * Pointers that the kernel side writes through are confined to an arena; its contents are the
 * input's.
 */
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "hosts/fake/fake.h"
#include "hosts/fake/kvm.h"
#include "tests/fuzz/input.h"

#define ARENA_BYTES (1u << 20)
#define ARGUMENT_BYTES 4096u
#define MEMORY_PAGES 64
#define MAX_STEPS 200

static u8 *arena;
static void *memory;

/* ---- ioctls ---- */

struct call {
	u32 cmd;
	u16 bytes; /* of the argument in the arena; 0: a number */
	u16 pointer_at; /* offset of a pointer in it, 0: none */
};

#define NUMBER(ioctl)       \
	{                   \
		ioctl, 0, 0 \
	}
#define STRUCT(ioctl, type)                   \
	{                                     \
		ioctl, sizeof(struct type), 0 \
	}
#define POINTER(ioctl, type, field)                                      \
	{                                                                \
		ioctl, sizeof(struct type), offsetof(struct type, field) \
	}
/* A header and what follows it. */
#define ARRAY(ioctl, more)     \
	{                      \
		ioctl, more, 0 \
	}

static const struct call calls[] = {
	NUMBER(KVM_RUN),
	NUMBER(KVM_CREATE_VM),
	NUMBER(KVM_CREATE_VCPU),
	NUMBER(KVM_CREATE_IRQCHIP),
	NUMBER(KVM_GET_API_VERSION),
	NUMBER(KVM_CHECK_EXTENSION),
	NUMBER(KVM_GET_VCPU_MMAP_SIZE),
	NUMBER(KVM_SET_TSS_ADDR),
	NUMBER(KVM_SET_BOOT_CPU_ID),
	NUMBER(KVM_SET_TSC_KHZ),
	NUMBER(KVM_GET_TSC_KHZ),
	NUMBER(KVM_GET_STATS_FD),
	NUMBER(KVM_RESET_DIRTY_RINGS),
	NUMBER(KVM_CREATE_PIT),
	NUMBER(KVM_NMI),
	NUMBER(KVM_KVMCLOCK_CTRL),
	ARRAY(KVM_GET_SUPPORTED_CPUID, 16),
	ARRAY(KVM_GET_MSR_INDEX_LIST, 16),
	ARRAY(KVM_GET_MSR_FEATURE_INDEX_LIST, 16),
	ARRAY(KVM_GET_MSRS, 72),
	ARRAY(KVM_SET_MSRS, 72),
	ARRAY(KVM_SET_CPUID, 104),
	ARRAY(KVM_SET_CPUID2, 168),
	ARRAY(KVM_GET_CPUID2, 16),
	ARRAY(KVM_SET_GSI_ROUTING, 152),
	ARRAY(KVM_SET_SIGNAL_MASK, 12),
	ARRAY(KVM_GET_XSAVE, 1),
	ARRAY(KVM_GET_XSAVE2, 1),
	ARRAY(KVM_SET_XSAVE, 1100),
	ARRAY(KVM_X86_GET_MCE_CAP_SUPPORTED, 8),
	ARRAY(KVM_X86_SETUP_MCE, 8),
	ARRAY(KVM_SET_IDENTITY_MAP_ADDR, 8),
	STRUCT(KVM_X86_SET_MCE, kvm_x86_mce),
	STRUCT(KVM_SET_USER_MEMORY_REGION, kvm_userspace_memory_region),
	STRUCT(KVM_IRQ_LINE, kvm_irq_level),
	STRUCT(KVM_IRQ_LINE_STATUS, kvm_irq_level),
	STRUCT(KVM_SIGNAL_MSI, kvm_msi),
	STRUCT(KVM_ENABLE_CAP, kvm_enable_cap),
	STRUCT(KVM_GET_CLOCK, kvm_clock_data),
	STRUCT(KVM_SET_CLOCK, kvm_clock_data),
	STRUCT(KVM_X86_SET_MSR_FILTER, kvm_msr_filter),
	STRUCT(KVM_CREATE_PIT2, kvm_pit_config),
	STRUCT(KVM_GET_IRQCHIP, kvm_irqchip),
	STRUCT(KVM_SET_IRQCHIP, kvm_irqchip),
	STRUCT(KVM_GET_PIT, kvm_pit_state),
	STRUCT(KVM_SET_PIT, kvm_pit_state),
	STRUCT(KVM_GET_PIT2, kvm_pit_state2),
	STRUCT(KVM_SET_PIT2, kvm_pit_state2),
	STRUCT(KVM_REINJECT_CONTROL, kvm_reinject_control),
	STRUCT(KVM_IRQFD, kvm_irqfd),
	STRUCT(KVM_IOEVENTFD, kvm_ioeventfd),
	STRUCT(KVM_GET_REGS, kvm_regs),
	STRUCT(KVM_SET_REGS, kvm_regs),
	STRUCT(KVM_GET_SREGS, kvm_sregs),
	STRUCT(KVM_SET_SREGS, kvm_sregs),
	STRUCT(KVM_GET_SREGS2, kvm_sregs2),
	STRUCT(KVM_SET_SREGS2, kvm_sregs2),
	STRUCT(KVM_GET_MP_STATE, kvm_mp_state),
	STRUCT(KVM_SET_MP_STATE, kvm_mp_state),
	STRUCT(KVM_GET_LAPIC, kvm_lapic_state),
	STRUCT(KVM_SET_LAPIC, kvm_lapic_state),
	STRUCT(KVM_GET_VCPU_EVENTS, kvm_vcpu_events),
	STRUCT(KVM_SET_VCPU_EVENTS, kvm_vcpu_events),
	STRUCT(KVM_GET_FPU, kvm_fpu),
	STRUCT(KVM_SET_FPU, kvm_fpu),
	STRUCT(KVM_GET_XCRS, kvm_xcrs),
	STRUCT(KVM_SET_XCRS, kvm_xcrs),
	STRUCT(KVM_GET_DEBUGREGS, kvm_debugregs),
	STRUCT(KVM_SET_DEBUGREGS, kvm_debugregs),
	STRUCT(KVM_INTERRUPT, kvm_interrupt),
	STRUCT(KVM_TRANSLATE, kvm_translation),
	STRUCT(KVM_SET_GUEST_DEBUG, kvm_guest_debug),
	STRUCT(KVM_TPR_ACCESS_REPORTING, kvm_tpr_access_ctl),
	STRUCT(KVM_SET_VAPIC_ADDR, kvm_vapic_addr),
	POINTER(KVM_GET_DIRTY_LOG, kvm_dirty_log, dirty_bitmap),
	POINTER(KVM_CLEAR_DIRTY_LOG, kvm_clear_dirty_log, dirty_bitmap),
	POINTER(KVM_HAS_DEVICE_ATTR, kvm_device_attr, addr),
	POINTER(KVM_GET_DEVICE_ATTR, kvm_device_attr, addr),
	POINTER(KVM_SET_DEVICE_ATTR, kvm_device_attr, addr),
};

/*
 * Slots lie where the fake host has memory, most of the time, and stay small: a bitmap costs real
 * memory.
 */
static void tame_slot(struct kvm_userspace_memory_region *slot)
{
	slot->memory_size &= 0xfff0000000ffffffULL;
	if (slot->flags & 0x80)
		return;
	slot->flags &= 7;
	slot->slot &= 0x100ff;
	slot->memory_size &= 0x3f000;
	slot->guest_phys_addr &= 0xfffff000;
	slot->userspace_addr = (u64)memory + (slot->userspace_addr & 0xf000);
}

static void do_call(void)
{
	const struct call *call = &calls[next_byte() % BV_ARRAY_SIZE(calls)];
	int fd = next_byte() % 24;
	u64 pointer = (u64)arena + ARGUMENT_BYTES;

	if (!call->bytes) {
		fake_ioctl(fd, call->cmd, call->cmd == KVM_RUN ? 0 : next_u32());
		return;
	}
	next_bytes(arena, call->bytes);
	if (call->cmd == KVM_SET_USER_MEMORY_REGION)
		tame_slot((void *)arena);
	if (call->pointer_at)
		memcpy(arena + call->pointer_at, &pointer, sizeof(pointer));
	if (next_byte() & 0x80 && !call->pointer_at)
		fake_ioctl_compat(fd, call->cmd, (u64)arena);
	else
		fake_ioctl(fd, call->cmd, (u64)arena);
}

/* ---- what guests do ---- */

static bool guest(struct bv_vcpu *vcpu, void *arg)
{
	static const u8 lengths[BV_EXIT_KINDS] = {
		[BV_EXIT_PORT] = 1,  [BV_EXIT_CPUID] = 2,     [BV_EXIT_RDMSR] = 2,
		[BV_EXIT_WRMSR] = 2, [BV_EXIT_HLT] = 1,	      [BV_EXIT_HYPERCALL] = 3,
		[BV_EXIT_RDTSC] = 2, [BV_EXIT_RDPMC] = 2,     [BV_EXIT_CACHE] = 2,
		[BV_EXIT_PAUSE] = 2, [BV_EXIT_XSETBV] = 3,    [BV_EXIT_MONITOR] = 3,
		[BV_EXIT_MWAIT] = 3, [BV_EXIT_UNDEFINED] = 2,
	};
	struct bv_exit *exit = &vcpu->exit;
	u8 what = next_byte();

	(void)arg;
	if (!input.left || what % 4 == 0)
		return false;
	exit->kind = what / 4 % BV_EXIT_KINDS;
	exit->length = lengths[exit->kind];
	if (exit->kind == BV_EXIT_PORT) {
		exit->port.port = (u16)next_u32();
		exit->port.bytes = 1 << next_byte() % 3;
		exit->port.in = next_byte() & 1;
	}
	if (exit->kind == BV_EXIT_NESTED_FAULT) {
		exit->fault.gpa = next_u32() & 0x1fffff;
		exit->fault.write = next_byte() & 1;
	}
	if (exit->kind == BV_EXIT_HLT)
		fake_vcpu(vcpu)->signal = true;
	next_bytes(&vcpu->gprs.gpr, 32);
	return true;
}

static void do_run(void)
{
	int fd = next_byte() % 24;
	struct bvk_vcpu *vcpu = fake_kvm_vcpu(fd);
	struct kvm_run *run = fake_mmap(fd, 0);
	struct bv_vcpu *engine;

	if (!vcpu)
		return;
	/*
	 * The first members of the front's structures are the engine's objects
	 * (fronts/kvm/front.h).
	 */
	engine = ((struct bv_vcpu **)vcpu)[1];
	fake_guest(engine, guest, NULL);
	fake_vcpu(engine)->signal = false;
	run->request_interrupt_window = next_byte() & 1;
	run->immediate_exit = next_byte() & 1;
	if (next_byte() & 1) {
		run->kvm_dirty_regs = next_byte();
		run->kvm_valid_regs = next_byte() & 7;
		next_bytes(&run->s.regs, 64);
	}
	fake_ioctl(fd, KVM_RUN, 0);
	fake_vcpu(engine)->signal = true;
}

/* ---- the program ---- */

static void step(void)
{
	switch (next_byte() % 8) {
	case 0:
		fake_close(next_byte() % 24);
		break;
	case 1:
		fake_eventfd();
		break;
	case 2:
		fake_eventfd_signal(next_byte() % 24);
		break;
	case 3:
		fake_clock_advance(next_u32() & 0xffffff);
		break;
	case 4:
		do_run();
		break;
	default:
		do_call();
		break;
	}
}

/* A VM with memory, chips and two vCPUs, so that the program need not find them first. */
static void prepare(u8 how)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = 16 * 4096,
		.userspace_addr = (u64)memory,
		.flags = how & 3,
	};
	int vm = (int)fake_ioctl(FAKE_KVM_DEVICE, KVM_CREATE_VM, 0);

	memcpy(arena, &slot, sizeof(slot));
	fake_ioctl(vm, KVM_SET_USER_MEMORY_REGION, (u64)arena);
	if (how & 4)
		fake_ioctl(vm, KVM_CREATE_IRQCHIP, 0);
	if (how & 8)
		return;
	fake_ioctl(vm, KVM_CREATE_VCPU, 0);
	fake_ioctl(vm, KVM_CREATE_VCPU, 1);
}

static void begin(void)
{
	if (!arena)
		arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);
	fake_reset();
	fake_kvm_reset();
	fake_vendor_use();
	fake_log_quiet = true;
	bv_why_init(bv_why_global());
	memory = fake_memory_new(MEMORY_PAGES, true);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	input.at = data;
	input.left = size;
	begin();
	prepare(next_byte());
	for (int i = 0; i < MAX_STEPS && input.left; i++)
		step();
	fake_kvm_reset();
	if (fake_allocs() || fake_frames_held() || fake_timers()) {
		fprintf(stderr, "left behind: %ld allocations, %ld frames, %u timers\n",
			fake_allocs(), fake_frames_held(), fake_timers());
		abort();
	}
	return 0;
}
