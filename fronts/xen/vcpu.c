// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vCPUs: their threads, how they are stopped, and the exits that the engine leaves to the front.
 *
 * Stopping. A vCPU may run while its own and its domain's count of stops are zero. Who raises a
 * count, then makes the host's signal pending: the engine returns, and the thread parks here. The
 * thread takes the signal back and clears `parked` before it looks at the counts; who stops raises
 * the count before he looks at `parked`: so one of the two sees the other, and a vCPU that is seen
 * parked with a count raised does not touch its engine until it is let go.
 *
 * Nobody waits for a vCPU to park while he holds a lock that the guest's own calls take.
 */
#include "event.h"
#include "front.h"

#include <xen/arch-x86/cpuid.h>

/* Where Xen's HVM guests write text. */
#define DEBUG_PORT XEN_HVM_DEBUGCONS_IOPORT

/* ---- may it run? ---- */

bool bvx_vcpu_may_run(const struct bvx_vcpu *vcpu)
{
	return !__atomic_load_n(&vcpu->stops, __ATOMIC_SEQ_CST) &&
	       !__atomic_load_n(&vcpu->domain->stops, __ATOMIC_SEQ_CST);
}

static bool go_or_end(void *arg)
{
	const struct bvx_vcpu *vcpu = arg;

	return bvx_vcpu_may_run(vcpu) || __atomic_load_n(&vcpu->ended, __ATOMIC_ACQUIRE);
}

static void vcpu_signal(struct bvx_vcpu *vcpu)
{
	bvx_host_vcpu_signal(vcpu->host, true);
	bvx_host_wake(&vcpu->queue);
}

void bvx_vcpu_stop(struct bvx_vcpu *vcpu)
{
	__atomic_add_fetch(&vcpu->stops, 1, __ATOMIC_SEQ_CST);
	vcpu_signal(vcpu);
}

static bool is_parked(void *arg)
{
	const struct bvx_vcpu *vcpu = arg;

	return __atomic_load_n(&vcpu->parked, __ATOMIC_SEQ_CST);
}

void bvx_vcpu_stop_sync(struct bvx_vcpu *vcpu)
{
	bvx_vcpu_stop(vcpu);
	bvx_host_wait(&vcpu->domain->parked, is_parked, vcpu);
}

void bvx_vcpu_go(struct bvx_vcpu *vcpu)
{
	__atomic_sub_fetch(&vcpu->stops, 1, __ATOMIC_SEQ_CST);
	bvx_host_wake(&vcpu->queue);
}

void bvx_domain_stop(struct bvx_domain *domain)
{
	__atomic_add_fetch(&domain->stops, 1, __ATOMIC_SEQ_CST);
	for (u32 i = 0; i < domain->max_vcpus; i++)
		if (domain->vcpu[i])
			vcpu_signal(domain->vcpu[i]);
}

void bvx_domain_stop_sync(struct bvx_domain *domain, const struct bvx_vcpu *but)
{
	bvx_domain_stop(domain);
	for (u32 i = 0; i < domain->max_vcpus; i++)
		if (domain->vcpu[i] && domain->vcpu[i] != but)
			bvx_host_wait(&domain->parked, is_parked, domain->vcpu[i]);
}

void bvx_domain_go(struct bvx_domain *domain)
{
	__atomic_sub_fetch(&domain->stops, 1, __ATOMIC_SEQ_CST);
	for (u32 i = 0; i < domain->max_vcpus; i++)
		if (domain->vcpu[i])
			bvx_host_wake(&domain->vcpu[i]->queue);
}

/* Until it may run, or is to end. */
static void park(struct bvx_vcpu *vcpu)
{
	for (;;) {
		__atomic_store_n(&vcpu->parked, false, __ATOMIC_SEQ_CST);
		bvx_host_vcpu_signal(vcpu->host, false);
		if (go_or_end(vcpu))
			return;
		__atomic_store_n(&vcpu->parked, true, __ATOMIC_SEQ_CST);
		bvx_host_wake(&vcpu->domain->parked);
		bvx_host_vcpu_offline(vcpu->host, true);
		bvx_host_wait(&vcpu->queue, go_or_end, vcpu);
		bvx_host_vcpu_offline(vcpu->host, false);
	}
}

/* ---- exits ---- */

static void crash(struct bvx_vcpu *vcpu, const char *why)
{
	char reasons[BV_WHY_CHARS * 2];

	bv_why_read(bv_vm_why(vcpu->domain->vm), reasons, sizeof(reasons));
	bvx_note("d%uv%u: %s; %s", vcpu->domain->id, vcpu->index, why, reasons);
	bvx_domain_shutdown(vcpu->domain, SHUTDOWN_crash);
}

static void exit_io(struct bvx_vcpu *vcpu)
{
	struct bv_run *run = &vcpu->run;
	size_t bytes = (size_t)run->io.size * run->io.count;

	if (vcpu->domain->hardware)
		bvx_host_dom0_access(vcpu, run, vcpu->io_page);
	else if (!run->io.write)
		__builtin_memset(vcpu->io_page, 0xff, bytes);
	else if (run->io.port == DEBUG_PORT && run->io.size == 1)
		bvx_console_guest(vcpu->domain, vcpu->io_page, bytes);
}

static void exit_mmio(struct bvx_vcpu *vcpu)
{
	struct bv_run *run = &vcpu->run;

	if (vcpu->domain->hardware)
		bvx_host_dom0_access(vcpu, run, vcpu->io_page);
	else if (!run->mmio.write)
		__builtin_memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
}

/* A level interrupt of an I/O APIC that the engine does not have: the machine's. */
static void exit_eoi(struct bvx_vcpu *vcpu)
{
	if (vcpu->domain->hardware)
		bvx_host_dom0_eoi(vcpu->run.vector);
}

static void exit_hypercall(struct bvx_vcpu *vcpu)
{
	bvx_hypercall_slow(vcpu);
}

static void exit_halted(struct bvx_vcpu *vcpu)
{
	bvx_domain_shutdown(vcpu->domain, SHUTDOWN_poweroff);
}

static void exit_shutdown(struct bvx_vcpu *vcpu)
{
	struct bv_sregs sregs;
	struct bv_gprs gprs;

	bv_vcpu_gprs_get(vcpu->vcpu, &gprs);
	bv_vcpu_sregs_get(vcpu->vcpu, &sregs);
	bvx_note("d%uv%u: triple fault at %#x:%#llx, RSP %#llx, CR0 %#llx, CR2 %#llx, CR3 %#llx, "
		 "CR4 %#llx, EFER %#llx",
		 vcpu->domain->id, vcpu->index, sregs.seg[BV_SEG_CS].sel, gprs.rip,
		 gprs.gpr[BV_RSP], (u64)sregs.cr0, (u64)sregs.cr2, (u64)sregs.cr3, (u64)sregs.cr4,
		 (u64)sregs.efer);
	bvx_domain_shutdown(vcpu->domain, vcpu->domain->params[HVM_PARAM_TRIPLE_FAULT_REASON]);
}

static void exit_failed(struct bvx_vcpu *vcpu)
{
	crash(vcpu, "the CPU refused its state");
}

static void exit_internal(struct bvx_vcpu *vcpu)
{
	crash(vcpu, "the engine could not go on");
}

static void exit_dead(struct bvx_vcpu *vcpu)
{
	crash(vcpu, "its machine was ended");
}

/* NULL: nothing to do. */
static void (*const exits[])(struct bvx_vcpu *) = {
	[BV_RUN_INTERRUPTED] = NULL,	     [BV_RUN_IO] = exit_io,
	[BV_RUN_MMIO] = exit_mmio,	     [BV_RUN_HALTED] = exit_halted,
	[BV_RUN_SHUTDOWN] = exit_shutdown,   [BV_RUN_EOI] = exit_eoi,
	[BV_RUN_HYPERCALL] = exit_hypercall, [BV_RUN_ENTRY_FAILED] = exit_failed,
	[BV_RUN_INTERNAL] = exit_internal,   [BV_RUN_DEAD] = exit_dead,
};

static void run(struct bvx_vcpu *vcpu)
{
	enum bv_run_reason reason;

	bv_vcpu_run(vcpu->vcpu, &vcpu->run);
	reason = vcpu->run.reason;
	if (reason < BV_ARRAY_SIZE(exits) && exits[reason])
		exits[reason](vcpu);
}

/*
 * The engine takes over what an exit left to the front, such as a hypercall's result: who looks at
 * a vCPU that is parked finds its registers as they are after that. A guest that has suspended
 * itself is saved so.
 */
static void finish(struct bvx_vcpu *vcpu)
{
	vcpu->run.immediate_exit = true;
	while (vcpu->run.reason != BV_RUN_INTERRUPTED)
		run(vcpu);
	vcpu->run.immediate_exit = false;
}

void bvx_vcpu_thread(struct bvx_vcpu *vcpu)
{
	for (;;) {
		if (bv_unlikely(!bvx_vcpu_may_run(vcpu)) || vcpu->parked ||
		    vcpu->run.reason == BV_RUN_INTERRUPTED) {
			finish(vcpu);
			park(vcpu);
		}
		if (__atomic_load_n(&vcpu->ended, __ATOMIC_ACQUIRE))
			return;
		run(vcpu);
		/* A string instruction over devices comes here each time, never into the guest. */
		bvx_host_yield();
	}
}

/* ---- what the engine asks ---- */

static struct bvx_vcpu *vcpu_of(struct bv_vcpu *vcpu)
{
	return bv_vcpu_pv(vcpu);
}

static int pv_irq(struct bv_vcpu *engine, bool take)
{
	return bvx_upcall_vector(vcpu_of(engine), take);
}

static void pv_refresh(struct bv_vcpu *engine)
{
	bvx_time_refresh(vcpu_of(engine));
}

bool bvx_vcpu_never_ran(struct bvx_vcpu *vcpu)
{
	enum bv_mp_state state = bv_vcpu_mp_get(vcpu->vcpu);

	return state == BV_MP_UNINITIALIZED || state == BV_MP_INIT_RECEIVED;
}

/* A CPU that was taken out of service halts for good; INIT brings it back. */
static void pv_reset(struct bv_vcpu *engine, bool init)
{
	struct bvx_vcpu *vcpu = vcpu_of(engine);

	(void)init;
	if (vcpu)
		__atomic_store_n(&vcpu->down, false, __ATOMIC_RELEASE);
}

/* HLT that nothing but an NMI or INIT ends: when all have done so, the guest has powered off. */
static bool pv_halt_off(struct bv_vcpu *engine)
{
	struct bvx_vcpu *vcpu = vcpu_of(engine);
	struct bvx_domain *domain = vcpu->domain;

	__atomic_store_n(&vcpu->down, true, __ATOMIC_SEQ_CST);
	for (u32 i = 0; i < domain->max_vcpus; i++)
		if (domain->vcpu[i] && bvx_vcpu_online(domain->vcpu[i]))
			return false;
	return true;
}

static int pv_msr_get(struct bv_vcpu *engine, u32 index, u64 *value, bool host)
{
	(void)engine, (void)host;
	*value = 0;
	return index == XEN_CPUID_FIRST_LEAF ? 0 : -BV_ENOENT;
}

/* The hypercall page: entry n calls hypercall n. */
static void hypercall_page_fill(u8 *page)
{
	static const u8 entry[] = { 0xb8, 0, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xc3 };

	for (u32 i = 0; i < BV_PAGE_SIZE / 32; i++) {
		u8 *at = page + i * 32;

		__builtin_memset(at, 0xcc, 32);
		if (i == __HYPERVISOR_iret) {
			/* Of no use to such guests. */
			__builtin_memcpy(at, "\x0f\x0b", 2);
			continue;
		}
		__builtin_memcpy(at, entry, sizeof(entry));
		at[1] = (u8)i;
		if (!bvx_calls_by_vmmcall())
			at[7] = 0xc1;
	}
}

int bvx_hypercall_page(struct bvx_domain *domain, u64 gpa)
{
	u8 *page = bv_host_alloc(BV_PAGE_SIZE);
	int error;

	if (!page)
		return -XEN_ENOMEM;
	hypercall_page_fill(page);
	error = bvx_copy_to_gpa(domain, gpa, page, BV_PAGE_SIZE);
	bv_host_free(page);
	return error;
}

static int pv_msr_set(struct bv_vcpu *engine, u32 index, u64 value, bool host)
{
	struct bvx_vcpu *vcpu = vcpu_of(engine);

	(void)host;
	if (index != XEN_CPUID_FIRST_LEAF)
		return -BV_ENOENT;
	if (value & ~BV_PAGE_MASK)
		return bvx_refuse(vcpu->domain, BV_EINVAL,
				  "hypercall page %#llx: there is one page", value);
	return bvx_hypercall_page(vcpu->domain, value) ? -BV_EINVAL : 0;
}

const struct bv_pv_ops bvx_pv_ops = {
	.hypercall = bvx_hypercall,
	.msr_get = pv_msr_get,
	.msr_set = pv_msr_set,
	.refresh = pv_refresh,
	.vcpu_reset = pv_reset,
	.irq = pv_irq,
	.halt_off = pv_halt_off,
};

bool bvx_vcpu_online(struct bvx_vcpu *vcpu)
{
	return !__atomic_load_n(&vcpu->down, __ATOMIC_SEQ_CST) &&
	       !__atomic_load_n(&vcpu->withdrawn, __ATOMIC_SEQ_CST) && !bvx_vcpu_never_ran(vcpu);
}

/* ---- birth and death ---- */

static int vcpu_parts(struct bvx_vcpu *vcpu)
{
	struct bvx_domain *domain = vcpu->domain;
	int error;

	vcpu->io_page = bv_host_pages_alloc(0);
	vcpu->host = vcpu->io_page ? bvx_host_vcpu_new(domain->host, vcpu) : NULL;
	if (!vcpu->host)
		return -XEN_ENOMEM;
	vcpu->vcpu =
		bv_vcpu_create(domain->vm, bvx_apic_id(vcpu), vcpu->host, vcpu->io_page, &error);
	if (!vcpu->vcpu)
		return error;
	bv_vcpu_set_pv(vcpu->vcpu, vcpu);
	return 0;
}

struct bvx_vcpu *bvx_vcpu_new(struct bvx_domain *domain, unsigned int index)
{
	struct bvx_vcpu *vcpu;

	if (index >= domain->max_vcpus || domain->vcpu[index])
		return NULL;
	vcpu = bv_host_alloc(sizeof(*vcpu));
	if (!vcpu)
		return NULL;
	vcpu->domain = domain;
	vcpu->index = index;
	vcpu->parked = true;
	vcpu->run.reason = BV_RUN_INTERRUPTED;
	__builtin_memset(&vcpu->hard, 0xff, sizeof(vcpu->hard));
	__builtin_memset(&vcpu->soft, 0xff, sizeof(vcpu->soft));
	bvx_events_vcpu_init(vcpu);
	bvx_time_init(vcpu);
	if (vcpu_parts(vcpu)) {
		bvx_vcpu_free(vcpu);
		return NULL;
	}
	__atomic_store_n(&domain->vcpu[index], vcpu, __ATOMIC_RELEASE);
	return bvx_policy_apply(vcpu) ? NULL : vcpu;
}

/*
 * Its thread ends; the engine's vCPU stays until the domain is freed, as it may be looked at. More
 * than once does no harm.
 */
void bvx_vcpu_end(struct bvx_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->ended, true, __ATOMIC_RELEASE);
	vcpu_signal(vcpu);
	bvx_host_vcpu_join(vcpu->host);
	bvx_time_fini(vcpu);
}

void bvx_vcpu_free(struct bvx_vcpu *vcpu)
{
	if (!vcpu)
		return;
	if (vcpu->host)
		bvx_host_vcpu_free(vcpu->host);
	bvx_events_vcpu_fini(vcpu);
	if (vcpu->io_page)
		bv_host_pages_free(vcpu->io_page, 0);
	bv_host_free(vcpu);
}

void bvx_vcpu_begin_pvh(struct bvx_vcpu *vcpu, u32 entry, u32 start_info)
{
	const struct bv_seg code = { .limit = ~0u, .attr = 0xc9b, .sel = 0x8 };
	const struct bv_seg data = { .limit = ~0u, .attr = 0xc93, .sel = 0x10 };
	struct bv_gprs gprs = { .rip = entry, .rflags = BV_RFLAGS_ONE };
	struct bv_sregs sregs;

	bv_vcpu_sregs_get(vcpu->vcpu, &sregs);
	for (u32 i = BV_SEG_ES; i <= BV_SEG_GS; i++)
		sregs.seg[i] = data;
	sregs.seg[BV_SEG_CS] = code;
	sregs.seg[BV_SEG_TR] = (struct bv_seg){ .limit = 0x67, .attr = 0x8b };
	sregs.cr0 = BV_CR0_PE | BV_CR0_ET;
	sregs.cr4 = 0;
	sregs.efer = 0;
	bv_vcpu_sregs_set(vcpu->vcpu, &sregs);
	gprs.gpr[BV_RBX] = start_info;
	bv_vcpu_gprs_set(vcpu->vcpu, &gprs);
	bv_vcpu_mp_set(vcpu->vcpu, BV_MP_RUNNABLE);
}

struct bv_vcpu *bvx_vcpu_engine(struct bvx_vcpu *vcpu)
{
	return vcpu->vcpu;
}

struct bvx_domain *bvx_vcpu_domain(struct bvx_vcpu *vcpu)
{
	return vcpu->domain;
}

unsigned int bvx_vcpu_index(const struct bvx_vcpu *vcpu)
{
	return vcpu->index;
}
