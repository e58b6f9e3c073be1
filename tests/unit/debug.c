// SPDX-License-Identifier: GPL-2.0-or-later
/* A debugger outside of the guest: steps, breakpoints, and what the guest sees of them. */
#include "machine.h"

static struct machine m;
static struct bv_vcpu *cpu;
static struct bv_run run;

static void start(void)
{
	machine_start(&m, 1, CHIPS_FULL);
	cpu = m.cpu[0];
	run = (struct bv_run){ 0 };
	fake_log_quiet = true;
}

static void debugger(const struct bv_guest_debug *debug)
{
	CHECK_EQ(bv_vcpu_guest_debug(cpu, debug), 0);
}

static const struct bv_guest_debug steps = { .enabled = true, .single_step = true };
static const struct bv_guest_debug off = { 0 };

static enum bv_run_reason go(void)
{
	fake_vcpu(cpu)->signal = false;
	bv_vcpu_run(cpu, &run);
	return run.reason;
}

static void next(enum bv_exit_kind kind, u8 length)
{
	const struct bv_exit exit = { .kind = kind, .length = length };

	fake_exit(cpu, &exit);
}

/* Plays one entry in which an exception is raised by the hardware, which writes DR6. */
struct hit {
	u8 vector;
	u64 dr6;
	bool tf; /* seen: the trap flag at the entry */
	u64 dr7; /* seen: what the hardware had */
	bool done;
};

static bool play(struct bv_vcpu *vcpu, void *arg)
{
	struct hit *hit = arg;

	if (hit->done)
		return false;
	hit->done = true;
	hit->tf = vcpu->gprs.rflags & BV_RFLAGS_TF;
	hit->dr7 = fake_hw(vcpu)->state.dr7;
	fake_hw(vcpu)->state.dr6 |= hit->dr6;
	vcpu->exit.kind = BV_EXIT_EXCEPTION;
	vcpu->exit.exception.vector = hit->vector;
	vcpu->gprs.rip++;
	return true;
}

static enum bv_run_reason entry(struct hit *hit)
{
	fake_guest(cpu, play, hit);
	return go();
}

static u64 dr6(void)
{
	struct bv_debugregs regs;

	bv_vcpu_debugregs_get(cpu, &regs);
	return regs.dr6;
}

TEST(a_step_comes_to_the_debugger_and_leaves_no_trace)
{
	struct hit hit = { .vector = BV_EXC_DB, .dr6 = BV_DR6_BS };

	start();
	debugger(&steps);
	CHECK_EQ(entry(&hit), BV_RUN_DEBUG);
	CHECK(hit.tf);
	CHECK_EQ(run.debug.vector, BV_EXC_DB);
	CHECK(run.debug.dr6 & BV_DR6_BS);
	CHECK(!(cpu->gprs.rflags & BV_RFLAGS_TF));
	CHECK(!(dr6() & BV_DR6_BS));
	CHECK_EQ(fake_hw(cpu)->deliveries, 0);
	machine_stop(&m);
}

TEST(a_step_over_an_instruction_carried_out_here_comes_too)
{
	start();
	debugger(&steps);
	cpu->gprs.rip = 0x100;
	next(BV_EXIT_CPUID, 2);
	CHECK_EQ(go(), BV_RUN_DEBUG);
	CHECK_EQ(cpu->gprs.rip, 0x102);
	CHECK(run.debug.dr6 & BV_DR6_BS);
	CHECK_EQ(fake_hw(cpu)->entries, 1);
	machine_stop(&m);
}

TEST(the_guests_own_step_over_such_an_instruction_is_its_own)
{
	start();
	cpu->gprs.rflags |= BV_RFLAGS_TF;
	next(BV_EXIT_CPUID, 2);
	CHECK_EQ(go(), BV_RUN_INTERRUPTED);
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_DB);
	CHECK(dr6() & BV_DR6_BS);
	machine_stop(&m);
}

TEST(without_a_debugger_a_debug_exception_is_the_guests)
{
	struct hit hit = { .vector = BV_EXC_DB, .dr6 = 1 };

	start();
	CHECK_EQ(entry(&hit), BV_RUN_INTERRUPTED);
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_DB);
	CHECK(dr6() & 1);
	machine_stop(&m);
}

TEST(a_breakpoint_in_place_of_a_step_leaves_no_trace_of_the_step)
{
	const struct bv_guest_debug debug = {
		.enabled = true, .single_step = true, .hard_breakpoints = true, .dr7 = 0x401
	};
	struct hit hit = { .vector = BV_EXC_DB, .dr6 = 1 };

	start();
	debugger(&debug);
	CHECK_EQ(entry(&hit), BV_RUN_DEBUG);
	CHECK(hit.tf);
	CHECK(!(run.debug.dr6 & BV_DR6_BS));
	CHECK(!(cpu->gprs.rflags & BV_RFLAGS_TF));
	machine_stop(&m);
}

TEST(a_breakpoint_of_the_debuggers_is_not_the_guests)
{
	struct bv_guest_debug debug = { .enabled = true, .hard_breakpoints = true, .dr7 = 0x401 };
	struct hit hit = { .vector = BV_EXC_DB, .dr6 = 1 };
	struct bv_debugregs regs;

	start();
	bv_vcpu_debugregs_get(cpu, &regs);
	regs.dr7 |= 2;
	CHECK_EQ(bv_vcpu_debugregs_set(cpu, &regs), 0);
	debugger(&debug);
	CHECK_EQ(entry(&hit), BV_RUN_DEBUG);
	CHECK_EQ(run.debug.dr6 & 0xf, 1);
	CHECK_EQ(run.debug.dr7, 0x401);
	debugger(&off);
	bv_vcpu_debugregs_get(cpu, &regs);
	CHECK_EQ(regs.dr7 & 3, 2);
	machine_stop(&m);
}

TEST(int3_comes_to_a_debugger_that_wants_it)
{
	const struct bv_guest_debug debug = { .enabled = true, .soft_breakpoints = true };
	struct hit hit = { .vector = BV_EXC_BP }, again = hit;

	start();
	debugger(&debug);
	CHECK_EQ(entry(&hit), BV_RUN_DEBUG);
	CHECK(fake_hw(cpu)->wishes.bp_exits);
	CHECK_EQ(run.debug.vector, BV_EXC_BP);
	debugger(&off);
	CHECK_EQ(entry(&again), BV_RUN_INTERRUPTED);
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_BP);
	machine_stop(&m);
}

TEST(a_debugger_can_give_the_guest_its_exception)
{
	const struct bv_guest_debug inject = { .enabled = true, .inject_bp = true };

	start();
	debugger(&inject);
	CHECK_EQ(bv_vcpu_guest_debug(cpu, &inject), -BV_EBUSY);
	go();
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_BP);
	machine_stop(&m);
}

TEST(a_debugger_may_hold_interrupts_off)
{
	const struct bv_guest_debug debug = { .enabled = true,
					      .single_step = true,
					      .block_irq = true };
	const struct bv_msi msi = { 0xfee00000, 0x40 };
	struct hit hit = { .vector = BV_EXC_DB, .dr6 = BV_DR6_BS };

	start();
	machine_enable_apics(&m);
	cpu->gprs.rflags |= BV_RFLAGS_IF;
	bv_irq_msi(m.vm, &msi);
	debugger(&debug);
	CHECK_EQ(entry(&hit), BV_RUN_DEBUG);
	CHECK_EQ(fake_hw(cpu)->deliveries, 0);
	CHECK(!fake_hw(cpu)->wishes.irq_window);
	debugger(&off);
	go();
	CHECK_EQ(fake_last_delivered(cpu), 0x40);
	machine_stop(&m);
}

TEST(debug_registers_exit_until_they_are_used)
{
	start();
	next(BV_EXIT_HOST, 0);
	go();
	CHECK(fake_hw(cpu)->wishes.dr_accesses);
	next(BV_EXIT_DR_ACCESS, 0);
	go();
	CHECK(!fake_hw(cpu)->wishes.dr_accesses);
	machine_stop(&m);
}

/* A breakpoint at port 0x80 of one byte, in DR2. */
static void port_breakpoint(u64 cr4)
{
	const struct bv_debugregs regs = { .db = { 0, 0, 0x80, 0 }, .dr7 = 0x02000010 };

	start();
	CHECK_EQ(bv_vcpu_debugregs_set(cpu, &regs), 0);
	bv_vcpu_touch(cpu, BV_ST_CR);
	cpu->state.cr4 |= cr4;
}

static void port(u16 number, bool in)
{
	struct bv_exit exit = { .kind = BV_EXIT_PORT, .length = 1 };

	exit.port.port = number;
	exit.port.bytes = 2;
	exit.port.in = in;
	fake_exit(cpu, &exit);
	CHECK_EQ(go(), BV_RUN_IO);
	go();
}

TEST(a_breakpoint_at_a_port_traps_behind_the_access)
{
	for (unsigned int in = 0; in < 2; in++) {
		port_breakpoint(BV_CR4_DE);
		cpu->gprs.rip = 0x100;
		port(0x7f, in);
		CHECK_EQ(cpu->gprs.rip, 0x101);
		CHECK_EQ(fake_last_delivered(cpu), BV_EXC_DB);
		CHECK_EQ(dr6() & 0xf, 4);
		machine_stop(&m);
	}
}

TEST(other_ports_and_other_breakpoints_do_not_trap)
{
	port_breakpoint(BV_CR4_DE);
	port(0x7e, false);
	port(0x81, true);
	CHECK_EQ(fake_hw(cpu)->deliveries, 0);
	machine_stop(&m);
	port_breakpoint(0);
	port(0x80, false);
	CHECK_EQ(fake_hw(cpu)->deliveries, 0);
	machine_stop(&m);
}

TEST(a_step_and_a_breakpoint_at_a_port_are_one_exception)
{
	port_breakpoint(BV_CR4_DE);
	cpu->gprs.rflags |= BV_RFLAGS_TF;
	port(0x80, false);
	CHECK_EQ(fake_hw(cpu)->deliveries, 1);
	CHECK_EQ(dr6() & (BV_DR6_BS | 0xf), BV_DR6_BS | 4);
	machine_stop(&m);
}

TEST(the_handler_of_a_debug_exception_is_entered_without_general_detect)
{
	const struct bv_debugregs regs = { .dr7 = BV_DR7_GD };
	const struct bv_guest_debug inject = { .enabled = true, .inject_db = true };
	struct bv_debugregs back;

	start();
	CHECK_EQ(bv_vcpu_debugregs_set(cpu, &regs), 0);
	debugger(&inject);
	bv_vcpu_debugregs_get(cpu, &back);
	CHECK(back.dr7 & BV_DR7_GD);
	go();
	CHECK_EQ(fake_last_delivered(cpu), BV_EXC_DB);
	bv_vcpu_debugregs_get(cpu, &back);
	CHECK(!(back.dr7 & BV_DR7_GD));
	machine_stop(&m);
}
