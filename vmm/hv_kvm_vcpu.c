// SPDX-License-Identifier: GPL-2.0-or-later
/* The hypervisor behind /dev/kvm: vCPUs, how they start and run, what a debugger asks of them. */
#include "vmm/hv_kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define CR0_PE 0x1u
#define CR0_ET 0x10u
#define CR0_PG 0x80000000u
#define CR4_PAE 0x20u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u

struct hv_vcpu *hv_vcpu_create(struct hv *hv, unsigned int id, unsigned int cpus, struct why *why)
{
	struct hv_vcpu *vcpu = calloc(1, sizeof(*vcpu));

	if (!vcpu) {
		why_set(why, "no memory");
		return NULL;
	}
	vcpu->hv = hv;
	vcpu->id = id;
	vcpu->run = MAP_FAILED;
	vcpu->fd = ioctl(hv->vm, KVM_CREATE_VCPU, (long)id);
	if (vcpu->fd >= 0)
		vcpu->run = mmap(NULL, (size_t)hv->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
				 vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED || hv_kvm_cpuid_set(vcpu, cpus)) {
		why_set(why, "vCPU %u cannot be made: %s", id, strerror(errno));
		hv_vcpu_close(vcpu);
		return NULL;
	}
	return vcpu;
}

void hv_vcpu_close(struct hv_vcpu *vcpu)
{
	if (vcpu->run != MAP_FAILED)
		munmap(vcpu->run, (size_t)vcpu->hv->run_size);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	free(vcpu->cpuid);
	free(vcpu->first_msrs);
	free(vcpu);
}

void hv_vcpu_kick(struct hv_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

void hv_vcpu_unkick(struct hv_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
}

static void io_exit(struct kvm_run *run, struct hv_exit *exit)
{
	exit->kind = HV_EXIT_IO;
	exit->write = run->io.direction == KVM_EXIT_IO_OUT;
	exit->size = run->io.size;
	exit->count = run->io.count;
	exit->address = run->io.port;
	exit->data = (uint8_t *)run + run->io.data_offset;
}

static void mmio_exit(struct kvm_run *run, struct hv_exit *exit)
{
	exit->kind = HV_EXIT_MMIO;
	exit->write = run->mmio.is_write;
	exit->size = (uint8_t)run->mmio.len;
	exit->count = 1;
	exit->address = run->mmio.phys_addr;
	exit->data = run->mmio.data;
}

static void system_event(struct kvm_run *run, struct hv_exit *exit, struct why *why)
{
	exit->kind = HV_EXIT_SHUTDOWN;
	if (run->system_event.type != KVM_SYSTEM_EVENT_CRASH)
		return;
	exit->kind = HV_EXIT_FAILED;
	why_set(why, "the guest says that it has crashed");
}

static void failed_exit(struct hv_vcpu *vcpu, struct hv_exit *exit, struct why *why)
{
	struct kvm_run *run = vcpu->run;

	exit->kind = HV_EXIT_FAILED;
	if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		why_set(why, "the processor refuses to enter vCPU %u (code 0x%llx)", vcpu->id,
			(unsigned long long)run->fail_entry.hardware_entry_failure_reason);
	else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		why_set(why, "the hypervisor can make nothing of what vCPU %u does (%s)", vcpu->id,
			run->internal.suberror == 1 ? "an instruction that it cannot emulate" :
						      "internal error");
	else
		why_set(why, "vCPU %u stopped for an unknown reason (exit %u)", vcpu->id,
			run->exit_reason);
}

static void decode_exit(struct hv_vcpu *vcpu, struct hv_exit *exit, struct why *why)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		return io_exit(run, exit);
	case KVM_EXIT_MMIO:
		return mmio_exit(run, exit);
	case KVM_EXIT_SHUTDOWN:
		exit->kind = HV_EXIT_SHUTDOWN;
		return;
	case KVM_EXIT_SYSTEM_EVENT:
		return system_event(run, exit, why);
	case KVM_EXIT_DEBUG:
		exit->kind = HV_EXIT_DEBUG;
		exit->dr6 = run->debug.arch.exception == 3 ? 0 : run->debug.arch.dr6;
		return;
	case KVM_EXIT_INTR:
		exit->kind = HV_EXIT_INTR;
		return;
	case KVM_EXIT_HLT:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		exit->kind = HV_EXIT_OTHER;
		return;
	default:
		failed_exit(vcpu, exit, why);
	}
}

void hv_vcpu_run(struct hv_vcpu *vcpu, struct hv_exit *exit, struct why *why)
{
	if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
		decode_exit(vcpu, exit, why);
	} else if (errno == EINTR || errno == EAGAIN) {
		exit->kind = HV_EXIT_INTR;
	} else {
		exit->kind = HV_EXIT_FAILED;
		why_set(why, "vCPU %u does not run: %s", vcpu->id, strerror(errno));
	}
}

void hv_vcpu_finish(struct hv_vcpu *vcpu)
{
	uint8_t before = vcpu->run->immediate_exit;

	vcpu->run->immediate_exit = 1;
	ioctl(vcpu->fd, KVM_RUN, 0);
	vcpu->run->immediate_exit = before;
}

int hv_vcpu_nmi(struct hv_vcpu *vcpu)
{
	return ioctl(vcpu->fd, KVM_NMI, 0);
}

static struct kvm_segment flat(uint16_t selector, uint8_t type, bool code64)
{
	return (struct kvm_segment){
		.base = 0,
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = code64,
		.db = !code64,
	};
}

static void start_sregs(struct kvm_sregs *sregs, const struct hv_start *start)
{
	struct kvm_segment data = flat(0x18, 0x3, false);

	sregs->cs = flat(0x10, 0xb, start->mode == HV_START_LONG);
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->tr = (struct kvm_segment){ .limit = 0x67, .type = 0xb, .present = 1 };
	sregs->gdt.base = start->gdt;
	sregs->gdt.limit = start->gdt_limit;
	sregs->idt.base = 0;
	sregs->idt.limit = 0;
	sregs->cr0 = CR0_PE | CR0_ET;
	if (start->mode != HV_START_LONG)
		return;
	sregs->cr0 |= CR0_PG;
	sregs->cr3 = start->cr3;
	sregs->cr4 |= CR4_PAE;
	sregs->efer |= EFER_LME | EFER_LMA;
}

int hv_vcpu_start(struct hv_vcpu *vcpu, const struct hv_start *start)
{
	struct kvm_regs regs = {
		.rip = start->rip,
		.rsp = start->rsp,
		.rbx = start->rbx,
		.rsi = start->rsi,
		.rflags = 2,
	};
	struct kvm_sregs sregs;

	if (start->mode == HV_START_RESET)
		return 0;
	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return -1;
	start_sregs(&sregs, start);
	return ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) || ioctl(vcpu->fd, KVM_SET_REGS, &regs) ? -1 :
												0;
}

int hv_vcpu_regs_get(struct hv_vcpu *vcpu, uint64_t regs[HV_REGS])
{
	struct kvm_sregs s;
	struct kvm_regs r;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &r) || ioctl(vcpu->fd, KVM_GET_SREGS, &s))
		return -1;
	memcpy(regs,
	       (uint64_t[HV_REGS]){ r.rax,	   r.rbx,	  r.rcx,	 r.rdx,
				    r.rsi,	   r.rdi,	  r.rbp,	 r.rsp,
				    r.r8,	   r.r9,	  r.r10,	 r.r11,
				    r.r12,	   r.r13,	  r.r14,	 r.r15,
				    r.rip,	   r.rflags,	  s.cs.selector, s.ss.selector,
				    s.ds.selector, s.es.selector, s.fs.selector, s.gs.selector,
				    s.fs.base,	   s.gs.base },
	       HV_REGS * sizeof(*regs));
	return 0;
}

/* Selectors and bases stay as they are: a debugger that changes one means its shadow, too. */
int hv_vcpu_regs_set(struct hv_vcpu *vcpu, const uint64_t regs[HV_REGS])
{
	struct kvm_regs r = {
		.rax = regs[0],
		.rbx = regs[1],
		.rcx = regs[2],
		.rdx = regs[3],
		.rsi = regs[4],
		.rdi = regs[5],
		.rbp = regs[6],
		.rsp = regs[7],
		.r8 = regs[8],
		.r9 = regs[9],
		.r10 = regs[10],
		.r11 = regs[11],
		.r12 = regs[12],
		.r13 = regs[13],
		.r14 = regs[14],
		.r15 = regs[15],
		.rip = regs[16],
		.rflags = regs[17],
	};

	return ioctl(vcpu->fd, KVM_SET_REGS, &r);
}

bool hv_vcpu_is_halted(struct hv_vcpu *vcpu)
{
	struct kvm_mp_state state;

	return ioctl(vcpu->fd, KVM_GET_MP_STATE, &state) == 0 &&
	       state.mp_state != KVM_MP_STATE_RUNNABLE;
}

bool hv_vcpu_translate(struct hv_vcpu *vcpu, uint64_t gva, uint64_t *gpa)
{
	struct kvm_translation translation = { .linear_address = gva };

	if (ioctl(vcpu->fd, KVM_TRANSLATE, &translation) || !translation.valid)
		return false;
	*gpa = translation.physical_address;
	return true;
}

int hv_vcpu_debug(struct hv_vcpu *vcpu, const struct hv_debug *debug)
{
	struct kvm_guest_debug set = { 0 };

	if (debug->on)
		set.control = KVM_GUESTDBG_ENABLE | (debug->step ? KVM_GUESTDBG_SINGLESTEP : 0) |
			      (debug->int3 ? KVM_GUESTDBG_USE_SW_BP : 0) |
			      (debug->dr7 ? KVM_GUESTDBG_USE_HW_BP : 0);
	memcpy(set.arch.debugreg, debug->address, sizeof(debug->address));
	set.arch.debugreg[7] = debug->dr7;
	return ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &set);
}
