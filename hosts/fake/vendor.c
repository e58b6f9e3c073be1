/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vendor without hardware: a guest's entry gives the next exit of a script. With it the run loop,
 * the handling of exits and the injection of events can be tested step by step. It checks what the
 * core promises a vendor.
 */
#include <stdlib.h>
#include <string.h>

#include "hosts/fake/state.h"

static const struct bv_nest_format fake_nest_format = {
	.present = 1,
	.write = 2,
	.no_exec = BV_BIT(63),
	.leaf = 4,
	.table = 7,
	.large = 0x80,
	.accessed = 0x20,
	.dirty = 0x40,
	.levels = 3,
};

struct fake_hw *fake_hw(struct bv_vcpu *vcpu)
{
	struct fake_hw *hw = fake_vcpu(vcpu)->hw;

	if (!hw)
		fake_misuse("a vCPU without the scripted vendor's hardware");
	return hw;
}

static bool vendor_probe(const char **why)
{
	(void)why;
	return true;
}

static int vendor_init(void)
{
	return 0;
}

static void vendor_fini(void)
{
}

static void vendor_cpu_disable(void)
{
}

static int vendor_vm_init(struct bv_vm *vm)
{
	(void)vm;
	return 0;
}

static void vendor_vm_fini(struct bv_vm *vm)
{
	(void)vm;
}

/* Counted as an allocation, so that tests of failing ones come here too. */
static int vendor_vcpu_init(struct bv_vcpu *vcpu)
{
	vcpu->vendor = bv_host_alloc(16);
	if (!vcpu->vendor)
		return -BV_ENOMEM;
	fake_vcpu(vcpu)->hw = calloc(1, sizeof(struct fake_hw));
	if (fake_vcpu(vcpu)->hw)
		fake_vcpu(vcpu)->hw->offer = -1;
	return 0;
}

static void vendor_vcpu_fini(struct bv_vcpu *vcpu)
{
	struct fake_vcpu *fake = fake_vcpu(vcpu);

	free(fake->hw);
	fake->hw = NULL;
	bv_host_free(vcpu->vendor);
	vcpu->vendor = NULL;
}

static void vendor_load(struct bv_vcpu *vcpu)
{
	(void)vcpu;
}

/* ---- registers ---- */

#define MOVE(to, from, group, bit, member)             \
	do {                                           \
		if ((group) & (bit))                   \
			(to)->member = (from)->member; \
	} while (0)

static void state_move(struct bv_cpu_state *to, const struct bv_cpu_state *from, u32 groups)
{
	for (u32 i = 0; i < BV_SEG_COUNT; i++)
		MOVE(to, from, groups, BV_ST_SEG(i), seg[i]);
	MOVE(to, from, groups, BV_ST_TABLES, gdt);
	MOVE(to, from, groups, BV_ST_TABLES, idt);
	MOVE(to, from, groups, BV_ST_CR, cr0);
	MOVE(to, from, groups, BV_ST_CR, cr2);
	MOVE(to, from, groups, BV_ST_CR, cr3);
	MOVE(to, from, groups, BV_ST_CR, cr4);
	MOVE(to, from, groups, BV_ST_CR, efer);
	MOVE(to, from, groups, BV_ST_DR, dr6);
	MOVE(to, from, groups, BV_ST_DR, dr7);
	MOVE(to, from, groups, BV_ST_SYSCALL, star);
	MOVE(to, from, groups, BV_ST_SYSCALL, lstar);
	MOVE(to, from, groups, BV_ST_SYSCALL, cstar);
	MOVE(to, from, groups, BV_ST_SYSCALL, sfmask);
	MOVE(to, from, groups, BV_ST_SYSCALL, kernel_gs_base);
	MOVE(to, from, groups, BV_ST_SYSCALL, sysenter_cs);
	MOVE(to, from, groups, BV_ST_SYSCALL, sysenter_esp);
	MOVE(to, from, groups, BV_ST_SYSCALL, sysenter_eip);
	MOVE(to, from, groups, BV_ST_PAT, pat);
}

static void vendor_pull(struct bv_vcpu *vcpu, u32 groups)
{
	struct fake_hw *hw = fake_hw(vcpu);

	if (vcpu->dirty & groups)
		fake_misuse("pull of registers that were changed and not pushed");
	hw->pulls++;
	state_move(&vcpu->state, &hw->state, groups);
}

static void vendor_push(struct bv_vcpu *vcpu, u32 groups)
{
	struct fake_hw *hw = fake_hw(vcpu);

	hw->pushes++;
	state_move(&hw->state, &vcpu->state, groups);
}

/* ---- entries ---- */

static void hw_deliver(struct fake_hw *hw)
{
	u32 last = BV_ARRAY_SIZE(hw->delivered) - 1;

	if (!hw->injected)
		return;
	hw->injected = false;
	if (hw->deliveries > last)
		memmove(hw->delivered, hw->delivered + 1, last * sizeof(hw->delivered[0]));
	else
		last = hw->deliveries;
	hw->delivered[last].kind = hw->kind;
	hw->delivered[last].vector = hw->vector;
	hw->deliveries++;
}

/* What was offered, if the guest has let it in. */
static bool hw_deliver_offer(const struct bv_vcpu *vcpu, struct fake_hw *hw)
{
	int vector = hw->offer;

	hw->offer = -1;
	if (vector < 0 || !(vcpu->gprs.rflags & BV_RFLAGS_IF))
		return false;
	hw->injected = true;
	hw->kind = BV_EVENT_IRQ;
	hw->vector = vector;
	hw_deliver(hw);
	return true;
}

/* The script's next exit; false: it is at its end. */
static bool hw_next_exit(struct bv_vcpu *vcpu, struct fake_hw *hw)
{
	if (hw->guest && hw->guest(vcpu, hw->guest_arg))
		return true;
	if (hw->taken == hw->queued)
		return false;
	vcpu->exit = hw->queue[hw->taken++ % BV_ARRAY_SIZE(hw->queue)];
	return true;
}

static void vendor_enter(struct bv_vcpu *vcpu)
{
	struct fake_hw *hw = fake_hw(vcpu);

	if (!fake_irqs_off())
		fake_misuse("entry of a guest with interrupts on");
	if (vcpu->dirty)
		fake_misuse("entry of a guest with changed registers that were not pushed");
	if (!bv_host_vcpu_is_current(vcpu) || !vcpu->loaded)
		fake_misuse("entry of a guest on a CPU where it was not loaded");
	hw->entries++;
	hw_deliver(hw);
	vcpu->valid = 0;
	vcpu->exit = (struct bv_exit){ .kind = BV_EXIT_HOST };
	if (!hw_next_exit(vcpu, hw))
		fake_vcpu(vcpu)->signal = true;
	vcpu->exit.shadow = hw->shadow;
	vcpu->exit.offer_taken = hw_deliver_offer(vcpu, hw);
}

static void vendor_inject(struct bv_vcpu *vcpu, enum bv_event_kind kind, u8 vector, bool has_error,
			  u32 error)
{
	struct fake_hw *hw = fake_hw(vcpu);

	if (hw->injected)
		fake_misuse("a second event injected before the entry that delivers the first");
	hw->injected = true;
	hw->kind = kind;
	hw->vector = vector;
	hw->has_error = has_error;
	hw->error = error;
}

static void vendor_uninject(struct bv_vcpu *vcpu)
{
	fake_hw(vcpu)->injected = false;
}

static void vendor_offer(struct bv_vcpu *vcpu, u8 vector)
{
	struct fake_hw *hw = fake_hw(vcpu);

	if (hw->injected || hw->offer >= 0)
		fake_misuse("an interrupt offered where another event is to be delivered");
	hw->offer = vector;
}

static void vendor_wish(struct bv_vcpu *vcpu, const struct bv_wishes *wishes)
{
	fake_hw(vcpu)->wishes = *wishes;
}

static u8 vendor_shadow_get(struct bv_vcpu *vcpu)
{
	return fake_hw(vcpu)->shadow;
}

static void vendor_shadow_set(struct bv_vcpu *vcpu, u8 shadow)
{
	fake_hw(vcpu)->shadow = shadow;
}

static void vendor_tlb_flush(struct bv_vcpu *vcpu)
{
	fake_hw(vcpu)->tlb_flushes++;
}

static void vendor_tsc_offset(struct bv_vcpu *vcpu, u64 offset)
{
	fake_hw(vcpu)->tsc_offset = offset;
}

static void vendor_tsc_aux(struct bv_vcpu *vcpu, u32 value)
{
	vcpu->tsc_aux = value;
	fake_hw(vcpu)->tsc_aux = value;
}

static u64 vendor_cr4_supported(void)
{
	return BV_CR4_VME | BV_CR4_TSD | BV_CR4_DE | BV_CR4_PSE | BV_CR4_PAE | BV_CR4_MCE |
	       BV_CR4_PGE | BV_CR4_PCE | BV_CR4_OSFXSR | BV_CR4_OSXMMEXCPT | BV_CR4_UMIP |
	       BV_CR4_FSGSBASE | BV_CR4_PCIDE | BV_CR4_OSXSAVE | BV_CR4_SMEP | BV_CR4_SMAP;
}

const struct bv_vendor fake_vendor = {
	.name = "script",
	.probe = vendor_probe,
	.init = vendor_init,
	.fini = vendor_fini,
	.cpu_enable = vendor_init,
	.cpu_disable = vendor_cpu_disable,
	.vm_init = vendor_vm_init,
	.vm_fini = vendor_vm_fini,
	.vcpu_init = vendor_vcpu_init,
	.vcpu_fini = vendor_vcpu_fini,
	.load = vendor_load,
	.unload = vendor_load,
	.enter = vendor_enter,
	.pull = vendor_pull,
	.push = vendor_push,
	.inject = vendor_inject,
	.uninject = vendor_uninject,
	.wish = vendor_wish,
	.shadow_get = vendor_shadow_get,
	.shadow_set = vendor_shadow_set,
	.tlb_flush = vendor_tlb_flush,
	.tsc_offset = vendor_tsc_offset,
	.tsc_aux = vendor_tsc_aux,
	.msr_filter = vendor_vm_fini,
	.cr4_supported = vendor_cr4_supported,
	.nest = &fake_nest_format,
};

void fake_vendor_use(void)
{
	bv_vendor = &fake_vendor;
}

void fake_vendor_use_offers(void)
{
	static struct bv_vendor offering;

	offering = fake_vendor;
	offering.offer = vendor_offer;
	bv_vendor = &offering;
}

static bool vendor_turn_timer(void)
{
	return true;
}

void fake_vendor_use_turns(void)
{
	static struct bv_vendor timing;

	timing = fake_vendor;
	timing.turn_timer = vendor_turn_timer;
	bv_vendor = &timing;
}

static bool vendor_logs_pages(void)
{
	return true;
}

static const u64 *vendor_log_take(struct bv_vcpu *vcpu, u32 *count)
{
	struct fake_hw *hw = fake_hw(vcpu);

	if (!vcpu->loaded)
		fake_misuse("the log of a vCPU that is not loaded");
	*count = hw->logged;
	hw->logged = 0;
	return hw->log;
}

static bool vendor_serves(void)
{
	return true;
}

static void vendor_serve(struct bv_vcpu *vcpu, bool on)
{
	fake_hw(vcpu)->serving = on;
}

void fake_vendor_use_service(void)
{
	static struct bv_vendor serving;

	serving = fake_vendor;
	serving.serves = vendor_serves;
	serving.serve = vendor_serve;
	bv_vendor = &serving;
}

void fake_vendor_use_log(void)
{
	static struct bv_vendor logging;

	logging = fake_vendor;
	logging.logs_pages = vendor_logs_pages;
	logging.log_take = vendor_log_take;
	bv_vendor = &logging;
}

/* ---- the script ---- */

void fake_exit(struct bv_vcpu *vcpu, const struct bv_exit *exit)
{
	struct fake_hw *hw = fake_hw(vcpu);

	if (hw->queued - hw->taken == BV_ARRAY_SIZE(hw->queue))
		fake_misuse("fake_exit: the queue is full");
	hw->queue[hw->queued++ % BV_ARRAY_SIZE(hw->queue)] = *exit;
}

void fake_guest(struct bv_vcpu *vcpu, bool (*guest)(struct bv_vcpu *vcpu, void *arg), void *arg)
{
	fake_hw(vcpu)->guest = guest;
	fake_hw(vcpu)->guest_arg = arg;
}

int fake_last_delivered(struct bv_vcpu *vcpu)
{
	const struct fake_hw *hw = fake_hw(vcpu);
	u32 last = BV_ARRAY_SIZE(hw->delivered);

	if (!hw->deliveries)
		return -1;
	return hw->delivered[(hw->deliveries < last ? hw->deliveries : last) - 1].vector;
}
