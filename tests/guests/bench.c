// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The benchmark's guest: what an operation costs, in ticks of the TSC. bench/run starts it in an
 * emulated PC whose TSC counts instructions, of all levels; there the figures are exact, and the
 * least of some rounds is free of the host's own tick. Elsewhere they are times.
 *
 * Prints "BENCH row thousandths-of-ticks" lines; bench/rows.list knows the rows. The loop's own
 * cost is taken off. Option set: 1 operations of one CPU, 2 of two CPUs, 3 fresh memory, 4 nothing:
 * the guest halts for ever; 5 a virtio device. With spin=N the Nth row of the set is done over and
 * over, for bench/profile.
 */
#include "apic.h"
#include "cpu.h"
#include "paging.h"
#include "rows.h"
#include "virtio.h"

#define BENCH_VECTOR 0x40
#define HPET_PAGE 0xfed00000ull
#define PM_TIMER 0x608

static volatile u32 fired;

static void count_interrupt(struct trap_frame *frame)
{
	(void)frame;
	fired++;
	apic_eoi();
}

static void do_cpuid(void)
{
	cpuid(1, 0);
}

static bool has_vmmcall; /* else VMCALL */

static void begin_hypercall(void)
{
	has_vmmcall = cpuid(0, 0).ebx == 0x68747541; /* "Auth", of AMD's name */
}

static void do_hypercall(void)
{
	u64 number = 0x7fff; /* nobody's: the way in and out */

	if (has_vmmcall)
		__asm__ volatile("vmmcall" : "+a"(number)::"memory");
	else
		__asm__ volatile("vmcall" : "+a"(number)::"memory");
}

static void do_rdmsr(void)
{
	rdmsr(MSR_TSC_ADJUST);
}

static void do_wrmsr(void)
{
	wrmsr(MSR_TSC_ADJUST, 0);
}

static void do_rdmsr_apic_base(void)
{
	rdmsr(MSR_APIC_BASE);
}

static void do_x2apic_id(void)
{
	rdmsr(MSR_X2APIC + APIC_ID / 16);
}

/* Not the TPR: QEMU asks to be told of its writes. */
static void do_x2apic_lvt(void)
{
	wrmsr(MSR_X2APIC + APIC_LVT_ERROR / 16, LVT_MASKED);
}

static void do_xapic_id(void)
{
	mmio_read32(APIC_PAGE + APIC_ID);
}

static void do_xapic_lvt(void)
{
	mmio_write32(APIC_PAGE + APIC_LVT_ERROR, LVT_MASKED);
}

static void do_ioapic(void)
{
	mmio_read32(IOAPIC_PAGE);
}

static void do_pit_in(void)
{
	inb(0x40);
}

static void do_pic_in(void)
{
	inb(0x21);
}

static void do_pic_out(void)
{
	outb(0x21, 0xff);
}

static void do_elcr_in(void)
{
	inb(0x4d0);
}

/* Wider than the chip is: nothing is behind it, yet it is a chip's port. */
static void do_elcr_in_wide(void)
{
	inl(0x4d0);
}

static void do_pm_timer(void)
{
	inl(PM_TIMER);
}

static void do_port_out(void)
{
	outb(0x80, 0);
}

static void do_hpet_in(void)
{
	mmio_read32(HPET_PAGE);
}

static void do_hpet_out(void)
{
	mmio_write32(HPET_PAGE + 0x14, 0); /* the configuration's upper half: reserved */
}

static void do_virtio(void)
{
	static u64 word;

	virtio_ask(&word, sizeof(word));
}

static void do_eoi(void)
{
	apic_eoi();
}

static void do_self_ipi(void)
{
	apic_ipi_shorthand(ICR_SELF | BENCH_VECTOR);
	cpu_window();
}

static void do_self_ipi_hlt(void)
{
	apic_ipi_shorthand(ICR_SELF | BENCH_VECTOR);
	cpu_halt();
}

static void do_deadline_now(void)
{
	wrmsr(MSR_TSC_DEADLINE, 1);
	cpu_window();
}

static void do_deadline_far(void)
{
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + (1ull << 40));
}

static void do_one_shot(void)
{
	u32 before = fired;

	apic_write(APIC_INITIAL, 1);
	while (fired == before)
		cpu_window();
}

static void do_one_shot_far(void)
{
	apic_write(APIC_INITIAL, 0x7fffffff);
}

static void do_cr0_wp(void)
{
	u64 cr0 = CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE;

	write_cr0(cr0 & ~(u64)CR0_WP);
	write_cr0(cr0);
}

static void do_cr4_pge(void)
{
	u64 cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	write_cr4(cr4 | CR4_PGE);
	write_cr4(cr4);
}

static void do_cr3(void)
{
	write_cr3(read_cr3());
}

static void do_cr8(void)
{
	write_cr8(0);
}

static void do_page_fault(void)
{
	u8 byte;

	/* The guest's own fault: nested paging leaves it to the guest. */
	__asm__ volatile("movb (%1), %0" : "=q"(byte) : "r"(TEST_VA));
}

static void skip_fault(struct trap_frame *frame)
{
	frame->rip += 2;
}

static void begin_page_fault(void)
{
	trap_handle(TRAP_PF, skip_fault);
}

static void do_ram(void)
{
	static volatile u64 word;

	word++;
}

static void begin_x2(void)
{
	apic_set_x2(true);
}

static void end_x2(void)
{
	apic_set_x2(false);
}

static void begin_deadline(void)
{
	apic_write(APIC_LVT_TIMER, BENCH_VECTOR | LVT_TSC_DEADLINE);
}

static void begin_one_shot(void)
{
	apic_write(APIC_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, BENCH_VECTOR);
}

static void end_timer(void)
{
	apic_write(APIC_INITIAL, 0);
	apic_write(APIC_LVT_TIMER, LVT_MASKED | BENCH_VECTOR);
}

static const struct row rows_1[] = {
	{ "ram", do_ram, NULL, NULL },
	{ "cpuid", do_cpuid, NULL, NULL },
	{ "hypercall", do_hypercall, begin_hypercall, NULL },
	{ "rdmsr-tsc-adjust", do_rdmsr, NULL, NULL },
	{ "wrmsr-tsc-adjust", do_wrmsr, NULL, NULL },
	{ "rdmsr-apic-base", do_rdmsr_apic_base, NULL, NULL },
	{ "rdmsr-x2apic-id", do_x2apic_id, begin_x2, end_x2 },
	{ "wrmsr-x2apic-lvt", do_x2apic_lvt, begin_x2, end_x2 },
	{ "port-in-8254", do_pit_in, NULL, NULL },
	{ "port-in-8259", do_pic_in, NULL, NULL },
	{ "port-out-8259", do_pic_out, NULL, NULL },
	{ "port-in-elcr", do_elcr_in, NULL, NULL },
	{ "port-in-elcr-wide", do_elcr_in_wide, NULL, NULL },
	{ "port-in-qemu-pmtimer", do_pm_timer, NULL, NULL },
	{ "port-out-qemu-80", do_port_out, NULL, NULL },
	{ "mmio-in-xapic-id", do_xapic_id, NULL, NULL },
	{ "mmio-out-xapic-lvt", do_xapic_lvt, NULL, NULL },
	{ "mmio-in-ioapic", do_ioapic, NULL, NULL },
	{ "mmio-in-qemu-hpet", do_hpet_in, NULL, NULL },
	{ "mmio-out-qemu-hpet", do_hpet_out, NULL, NULL },
	{ "eoi-xapic", do_eoi, NULL, NULL },
	{ "eoi-x2apic", do_eoi, begin_x2, end_x2 },
	{ "self-ipi-xapic", do_self_ipi, NULL, NULL },
	{ "self-ipi-x2apic", do_self_ipi, begin_x2, end_x2 },
	{ "self-ipi-hlt", do_self_ipi_hlt, NULL, NULL },
	{ "deadline-now", do_deadline_now, begin_deadline, end_timer },
	{ "deadline-set", do_deadline_far, begin_deadline, end_timer },
	{ "one-shot-fire", do_one_shot, begin_one_shot, end_timer },
	{ "one-shot-set", do_one_shot_far, begin_one_shot, end_timer },
	{ "cr0-wp-twice", do_cr0_wp, NULL, NULL },
	{ "cr4-pge-twice", do_cr4_pge, NULL, NULL },
	{ "cr3", do_cr3, NULL, NULL },
	{ "cr8", do_cr8, NULL, NULL },
	{ "page-fault-of-guest", do_page_fault, begin_page_fault, NULL },
};

static const struct row rows_5[] = {
	{ "ram", do_ram, NULL, NULL },
	{ "virtio-request", do_virtio, NULL, NULL },
};

/* The other CPU of a pair: answers each interrupt by one, halted in between. */
static volatile u32 ping, pong, pair_stop;

static void on_ping(struct trap_frame *frame)
{
	(void)frame;
	ping++;
	apic_eoi();
}

static void pair_answer(void *argument)
{
	u32 seen = 0;

	(void)argument;
	while (!pair_stop) {
		while (ping == seen && !pair_stop)
			cpu_halt();
		seen = ping;
		pong = seen;
		apic_ipi(cpus[0].apic_id, BENCH_VECTOR | ICR_ASSERT);
	}
}

static void do_ipi_pair(void)
{
	u32 want = ping + 1;

	apic_ipi(cpus[1].apic_id, (BENCH_VECTOR + 1) | ICR_ASSERT);
	while (pong != want)
		cpu_halt();
}

static void begin_pair(void)
{
	pair_stop = ping = pong = 0;
	trap_handle(BENCH_VECTOR + 1, on_ping);
	smp_call(1, pair_answer, NULL);
}

static void end_pair(void)
{
	pair_stop = 1;
	apic_ipi(cpus[1].apic_id, (BENCH_VECTOR + 1) | ICR_ASSERT);
	smp_wait(1);
}

static const struct row rows_2[] = {
	{ "ipi-halted-and-back", do_ipi_pair, begin_pair, end_pair },
};

static void run(const struct row *rows, u32 count)
{
	trap_handle(BENCH_VECTOR, count_interrupt);
	rows_run(rows, count);
	CHECK(true);
}

/*
 * Touches RAM that nobody has touched: each step is a fault of the host's. Each huge page is a
 * round, which the host clears in one fault and has a tick in, or two. The least counts, so there
 * are rounds enough that the ticks, which wander through them, leave one as free as can be.
 */
static void touch(const char *name, u64 step, u64 span)
{
	u64 begin = (u64)pages_alloc(span / GUEST_PAGE_SIZE, 2ull << 20), part = 2ull << 20;
	u64 best = ~0ull, at, before, now;

	for (at = begin; at < begin + span;) {
		u64 end = at + part;

		before = rdtsc();
		for (; at < end; at += step)
			*(volatile u8 *)at = 1;
		now = rdtsc() - before;
		best = now < best ? now : best;
	}
	row_print(name, best, part / step);
}

static void fresh_memory(void)
{
	touch("fresh-memory-4k-steps", GUEST_PAGE_SIZE, 96ull << 20);
	touch("fresh-memory-2m-steps", 2ull << 20, 96ull << 20);
	CHECK(true);
}

static void halt_for_ever(void)
{
	say("IDLE\n");
	for (;;) {
		cpu_cli();
		__asm__ volatile("hlt");
	}
}

static void bench(void)
{
	switch (guest_option("set", 1)) {
	case 1:
		run(rows_1, ARRAY_SIZE(rows_1));
		break;
	case 2:
		CHECK_EQ(smp_start(), 2);
		run(rows_2, ARRAY_SIZE(rows_2));
		break;
	case 3:
		fresh_memory();
		break;
	case 5:
		virtio_start(VIRTIO_RNG, BENCH_VECTOR);
		run(rows_5, ARRAY_SIZE(rows_5));
		break;
	default:
		halt_for_ever();
	}
}

const struct guest_test guest_tests[] = {
	GUEST_TEST(bench),
	GUEST_TESTS_END,
};
