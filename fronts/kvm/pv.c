// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * KVM's language between guest and host: the MSRs at 0x4b564d00 (and two old ones), the pages they
 * name, and hypercalls. Called by the engine on a vCPU's exits (struct bv_pv_ops). What is offered
 * stands in CPUID 0x40000001 (engine/data/cpuid_policy.c) and must match this file.
 *
 * Sources: the kernel's documents virt/kvm/x86/{msr,hypercalls,cpuid}; numbers from
 * <linux/kvm_para.h>.
 */
#include <linux/kvm_para.h>

#include "front.h"

/* The page of kvmclock, one a vCPU (document msr, MSR_KVM_SYSTEM_TIME_NEW). */
struct time_info {
	u32 version; /* odd while it is being written */
	u32 pad;
	u64 tsc_timestamp;
	u64 system_time;
	u32 tsc_to_system_mul;
	s8 tsc_shift;
	u8 flags;
	u8 pad2[2];
};

BV_STATIC_ASSERT(sizeof(struct time_info) == 32);

#define TIME_TSC_STABLE 1u
#define TIME_GUEST_STOPPED 2u

/* The time of the guest's boot (same document, MSR_KVM_WALL_CLOCK_NEW). */
struct wall_clock {
	u32 version, seconds, nanoseconds;
};

/*
 * The odd version is out before anything else is, and the even one after all of it: x86 keeps the
 * order of stores.
 */
static void write_versioned(struct bv_vcpu *vcpu, u64 gpa, size_t version_at, void *structure,
			    size_t bytes)
{
	u32 *version = (u32 *)((char *)structure + version_at);

	*version |= 1;
	if (bv_vcpu_mem_write(vcpu, gpa + version_at, version, sizeof(*version)))
		return;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (bv_vcpu_mem_write(vcpu, gpa, structure, bytes))
		return;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	++*version;
	bv_vcpu_mem_write(vcpu, gpa + version_at, version, sizeof(*version));
}

/* ---- kvmclock ---- */

/*
 * The pair of guest's TSC and clock for a vCPU's page. With a trusted TSC all vCPUs get the VM's
 * base, seen in their own TSC; else a pair of this moment on this CPU.
 */
static void time_pair(struct bvk_vcpu *vcpu, struct time_info *info)
{
	struct bvk_clock_now now;
	u64 offset = (u64)bv_vcpu_tsc_offset_get(vcpu->vcpu);

	bvk_clock_read(&vcpu->vm->clock, &now);
	info->tsc_timestamp = (now.by_tsc ? now.base_tsc : now.tsc) + offset;
	info->system_time = now.by_tsc ? now.base_ns : now.ns;
	info->flags = now.by_tsc ? TIME_TSC_STABLE : 0;
}

/*
 * The guest clears the mark of having been stopped itself: as long as it has not, the mark stays.
 */
static u8 stopped_flag(struct bvk_vcpu *vcpu, u64 gpa)
{
	struct time_info old;

	if (vcpu->pv.stopped) {
		vcpu->pv.stopped = false;
		return TIME_GUEST_STOPPED;
	}
	if (bv_vcpu_mem_read(vcpu->vcpu, gpa, &old, sizeof(old)))
		return 0;
	return old.flags & TIME_GUEST_STOPPED;
}

static void refresh_time(struct bvk_vcpu *vcpu)
{
	u64 gpa = vcpu->pv.system_time & ~(u64)KVM_MSR_ENABLED;
	struct time_info info = { .version = vcpu->pv.time_version };

	if (!(vcpu->pv.system_time & KVM_MSR_ENABLED))
		return;
	bvk_clock_scale(bv_vcpu_tsc_khz(vcpu->vcpu), &info.tsc_to_system_mul, &info.tsc_shift);
	time_pair(vcpu, &info);
	info.flags |= stopped_flag(vcpu, gpa);
	write_versioned(vcpu->vcpu, gpa, offsetof(struct time_info, version), &info, sizeof(info));
	vcpu->pv.time_version += 2;
}

static void refresh_wall_clock(struct bvk_vcpu *vcpu)
{
	u64 gpa = vcpu->pv.wall_clock;
	struct wall_clock wall;
	struct bvk_clock_now now;
	u64 boot;

	if (!vcpu->pv.wall_clock_due)
		return;
	vcpu->pv.wall_clock_due = false;
	if (!gpa || bv_vcpu_mem_read(vcpu->vcpu, gpa, &wall, sizeof(wall)))
		return;
	bvk_clock_read(&vcpu->vm->clock, &now);
	boot = now.wall_ns - now.ns;
	wall.seconds = (u32)(boot / 1000000000);
	wall.nanoseconds = (u32)(boot % 1000000000);
	write_versioned(vcpu->vcpu, gpa, offsetof(struct wall_clock, version), &wall, sizeof(wall));
}

/* ---- steal time ---- */

/* What the guest's page says is the sum so far, which survives migration with its memory. */
static void refresh_steal(struct bvk_vcpu *vcpu)
{
	u64 gpa = vcpu->pv.steal_time & KVM_STEAL_VALID_BITS;
	u64 total = bv_host_vcpu_steal_ns(vcpu->vcpu), grown = total - vcpu->pv.steal_seen;
	struct kvm_steal_time steal;

	if (!(vcpu->pv.steal_time & KVM_MSR_ENABLED) || !grown)
		return;
	if (bv_vcpu_mem_read(vcpu->vcpu, gpa, &steal, sizeof(steal)))
		return;
	vcpu->pv.steal_seen = total;
	steal.steal += grown;
	steal.flags = 0;
	steal.preempted = 0;
	steal.version &= ~1u;
	write_versioned(vcpu->vcpu, gpa, offsetof(struct kvm_steal_time, version), &steal,
			sizeof(steal));
}

static struct bvk_vcpu *bvk_of(struct bv_vcpu *vcpu)
{
	return bv_vcpu_pv(vcpu);
}

static void pv_refresh(struct bv_vcpu *vcpu)
{
	refresh_time(bvk_of(vcpu));
	refresh_wall_clock(bvk_of(vcpu));
	refresh_steal(bvk_of(vcpu));
}

/* ---- MSRs ---- */

static int set_system_time(struct bvk_vcpu *vcpu, u64 value)
{
	vcpu->pv.system_time = value;
	return 0;
}

static int set_wall_clock(struct bvk_vcpu *vcpu, u64 value)
{
	vcpu->pv.wall_clock = value;
	return 0;
}

static int set_steal_time(struct bvk_vcpu *vcpu, u64 value)
{
	bool on = value & KVM_MSR_ENABLED;

	if (value & KVM_STEAL_RESERVED_MASK)
		return -BV_EINVAL;
	vcpu->pv.steal_time = value;
	/* What was stolen before the guest asked is not told. */
	vcpu->pv.steal_seen = bv_host_vcpu_steal_ns(vcpu->vcpu);
	bv_vcpu_pv_each_load(vcpu->vcpu, on);
	return 0;
}

struct pv_msr {
	u32 index;
	size_t offset; /* of the value in struct bvk_pv */
	int (*set)(struct bvk_vcpu *vcpu, u64 value);
};

static const struct pv_msr pv_msrs[] = {
	{ MSR_KVM_WALL_CLOCK, offsetof(struct bvk_pv, wall_clock), set_wall_clock },
	{ MSR_KVM_SYSTEM_TIME, offsetof(struct bvk_pv, system_time), set_system_time },
	{ MSR_KVM_WALL_CLOCK_NEW, offsetof(struct bvk_pv, wall_clock), set_wall_clock },
	{ MSR_KVM_SYSTEM_TIME_NEW, offsetof(struct bvk_pv, system_time), set_system_time },
	{ MSR_KVM_STEAL_TIME, offsetof(struct bvk_pv, steal_time), set_steal_time },
};

bool bvk_pv_msr_saved(unsigned int i, u32 *index)
{
	if (i >= BV_ARRAY_SIZE(pv_msrs))
		return false;
	*index = pv_msrs[i].index;
	return true;
}

static const struct pv_msr *find_msr(u32 index)
{
	for (unsigned int i = 0; i < BV_ARRAY_SIZE(pv_msrs); i++)
		if (pv_msrs[i].index == index)
			return &pv_msrs[i];
	return NULL;
}

static int pv_msr_get(struct bv_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	const struct pv_msr *msr = find_msr(index);

	(void)host;
	if (!msr)
		return -BV_ENOENT;
	*value = *(u64 *)((char *)&bvk_of(vcpu)->pv + msr->offset);
	return 0;
}

/*
 * Pages are written before the next entry, not here: user space restores MSRs when memory may not
 * be there yet.
 */
static int pv_msr_set(struct bv_vcpu *vcpu, u32 index, u64 value, bool host)
{
	const struct pv_msr *msr = find_msr(index);
	int error = msr ? msr->set(bvk_of(vcpu), value) : -BV_ENOENT;

	if (error)
		return error;
	/*
	 * The time of boot is written when the guest asks; a restored guest has it in its memory.
	 */
	if (msr->set == set_wall_clock && !host)
		bvk_of(vcpu)->pv.wall_clock_due = true;
	bv_vcpu_pv_request(vcpu);
	return 0;
}

/* ---- hypercalls ---- */

#define NO_SUCH_CALL ((u64) - (s64)KVM_ENOSYS)
#define NOT_ALLOWED ((u64) - (s64)BV_EPERM)

/*
 * args: two words of a bitmap of APIC IDs, the ID of its first bit, ICR's low word. Returns how
 * many were reached.
 */
static u64 send_ipi(struct bv_vcpu *vcpu, const struct bv_hypercall *call)
{
	const unsigned int word_bits = call->long_mode ? 64 : 32;
	u64 reached = 0;

	for (unsigned int word = 0; word < 2; word++) {
		for (u64 left = call->args[word]; left; left &= left - 1) {
			u32 bit = (u32)__builtin_ctzll(left);
			u32 apic_id = (u32)call->args[2] + word * word_bits + bit;

			reached += bv_vcpu_send_ipi(vcpu, apic_id, (u32)call->args[3]);
		}
	}
	return reached;
}

static bool pv_hypercall(struct bv_vcpu *vcpu, struct bv_hypercall *call)
{
	if (call->cpl) {
		call->result = NOT_ALLOWED;
		return true;
	}
	switch (call->nr) {
	case KVM_HC_VAPIC_POLL_IRQ: /* only an exit: it looks at interrupts */
		call->result = 0;
		break;
	case KVM_HC_KICK_CPU:
		bv_vcpu_wake_other(vcpu, (u32)call->args[1]);
		call->result = 0;
		break;
	case KVM_HC_SEND_IPI:
		call->result = send_ipi(vcpu, call);
		break;
	default:
		call->result = NO_SUCH_CALL;
		break;
	}
	return true;
}

/* ---- birth, reset ---- */

static void pv_reset(struct bv_vcpu *vcpu, bool init)
{
	struct bvk_vcpu *own = bvk_of(vcpu);

	/* The engine resets a vCPU once before it knows us. */
	if (!own || init)
		return;
	bvk_zero(&own->pv, sizeof(own->pv));
	bv_vcpu_pv_each_load(vcpu, false);
}

static const struct bv_pv_ops kvm_pv_ops = {
	.hypercall = pv_hypercall,
	.msr_get = pv_msr_get,
	.msr_set = pv_msr_set,
	.refresh = pv_refresh,
	.vcpu_reset = pv_reset,
};

void bvk_pv_vm_init(struct bvk_vm *vm)
{
	bv_vm_set_pv(vm->vm, &kvm_pv_ops);
}

void bvk_pv_vcpu_init(struct bvk_vcpu *vcpu)
{
	bv_vcpu_set_pv(vcpu->vcpu, vcpu);
}

void bvk_pv_clock_changed(struct bvk_vm *vm)
{
	for (unsigned int id = 0; id < BV_MAX_VCPUS; id++) {
		struct bvk_vcpu *vcpu = __atomic_load_n(&vm->vcpu[id], __ATOMIC_ACQUIRE);

		if (vcpu)
			bv_vcpu_pv_request(vcpu->vcpu);
	}
}

long bvk_clock_paused(struct bvk_call *call)
{
	struct bvk_vcpu *vcpu = call->vcpu;

	if (!(vcpu->pv.system_time & KVM_MSR_ENABLED))
		return bvk_refuse(call, BV_EINVAL, "the guest does not use kvmclock");
	vcpu->pv.stopped = true;
	bv_vcpu_pv_request(vcpu->vcpu);
	return 0;
}
