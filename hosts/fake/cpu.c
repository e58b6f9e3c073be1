/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that run vCPUs, CPUs, the guests' FPU state, and words for the log. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hosts/fake/state.h"

static struct fake_vcpu *vcpus;
static pthread_mutex_t vcpus_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t vcpus_wake = PTHREAD_COND_INITIALIZER;
static _Thread_local struct bv_vcpu *current;
static _Thread_local unsigned int current_cpu;

#define XSAVE_BYTES 832 /* x87, SSE and AVX */
#define XCR0_SUPPORTED 7ULL
#define XSAVE_HEADER 512

static void fpu_reset(u8 *area)
{
	static const u16 fcw = 0x37f;
	static const u32 mxcsr = 0x1f80;

	memset(area, 0, XSAVE_BYTES);
	memcpy(area, &fcw, sizeof(fcw));
	memcpy(area + 24, &mxcsr, sizeof(mxcsr));
}

struct fake_vcpu *fake_vcpu(struct bv_vcpu *vcpu)
{
	struct fake_vcpu *fake;

	pthread_mutex_lock(&vcpus_lock);
	for (fake = vcpus; fake && fake->vcpu != vcpu; fake = fake->next)
		;
	if (!fake) {
		fake = calloc(1, sizeof(*fake));
		fake->vcpu = vcpu;
		fake->xsave = calloc(1, XSAVE_BYTES);
		fpu_reset(fake->xsave);
		fake->next = vcpus;
		vcpus = fake;
	}
	pthread_mutex_unlock(&vcpus_lock);
	return fake;
}

void fake_reset_vcpus(void)
{
	while (vcpus) {
		struct fake_vcpu *fake = vcpus;

		vcpus = fake->next;
		free(fake->xsave);
		free(fake->hw);
		free(fake);
	}
	current = NULL;
	current_cpu = 0;
}

void fake_reset(void)
{
	if (fake_locks_held() || fake_irqs_off())
		fake_misuse("fake_reset with a lock held");
	fake_reset_time();
	fake_reset_memory();
	fake_reset_vcpus();
	fake_reset_log();
}

/* ---- running ---- */

int bv_host_run_begin(struct bv_vcpu *vcpu)
{
	fake_may_sleep(__func__);
	if (current)
		fake_misuse("bv_host_run_begin: the thread runs a vCPU already");
	current = vcpu;
	bv_vcpu_load(vcpu);
	return 0;
}

void bv_host_run_end(struct bv_vcpu *vcpu)
{
	fake_may_sleep(__func__);
	if (current != vcpu)
		fake_misuse("bv_host_run_end: the thread runs another vCPU, or none");
	bv_vcpu_unload(vcpu);
	current = NULL;
}

/*
 * Half a second for another thread to wake us; with none, time would be all there is to wait for.
 */
static bool wait_for_wake(struct fake_vcpu *fake, u32 wakes)
{
	struct timespec until;
	bool woken;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 500000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&vcpus_lock);
	while (fake->wakes == wakes && !pthread_cond_timedwait(&vcpus_wake, &vcpus_lock, &until))
		;
	woken = fake->wakes != wakes;
	pthread_mutex_unlock(&vcpus_lock);
	return woken;
}

int bv_host_vcpu_wait(struct bv_vcpu *vcpu, bool (*ready)(struct bv_vcpu *vcpu))
{
	struct fake_vcpu *fake = fake_vcpu(vcpu);

	fake_may_sleep(__func__);
	for (;;) {
		u32 wakes = __atomic_load_n(&fake->wakes, __ATOMIC_SEQ_CST);

		if (ready(vcpu))
			return 0;
		if (__atomic_load_n(&fake->signal, __ATOMIC_SEQ_CST))
			return -BV_EINTR;
		if (!fake_clock_jump() && !wait_for_wake(fake, wakes))
			return -BV_EINTR;
	}
}

void bv_host_vcpu_wake(struct bv_vcpu *vcpu)
{
	struct fake_vcpu *fake = fake_vcpu(vcpu);

	pthread_mutex_lock(&vcpus_lock);
	fake->wakes++;
	pthread_cond_broadcast(&vcpus_wake);
	pthread_mutex_unlock(&vcpus_lock);
}

void bv_host_vcpu_yield(struct bv_vcpu *vcpu)
{
	fake_may_sleep(__func__);
	fake_vcpu(vcpu)->yields++;
}

void bv_host_vcpu_interrupt(struct bv_vcpu *vcpu)
{
	__atomic_fetch_add(&fake_vcpu(vcpu)->interrupts, 1, __ATOMIC_SEQ_CST);
}

/* Tests run guests one step at a time: nobody is in a guest while another thread asks. */
void bv_host_vm_interrupt_wait(struct bv_vm *vm)
{
	struct bv_vcpu *vcpu;
	u32 i;

	bv_vm_for_each_vcpu(i, vcpu, vm) bv_host_vcpu_interrupt(vcpu);
}

bool bv_host_vcpu_is_current(struct bv_vcpu *vcpu)
{
	return current == vcpu;
}

u64 bv_host_vcpu_steal_ns(struct bv_vcpu *vcpu)
{
	return fake_vcpu(vcpu)->steal_ns;
}

/* ---- CPUs ---- */

void bv_host_each_cpu(void (*fn)(void *arg), void *arg)
{
	unsigned int own = current_cpu;

	fake_may_sleep(__func__);
	for (current_cpu = 0; current_cpu < FAKE_CPUS; current_cpu++) {
		fake_irq_enter();
		fn(arg);
		fake_irq_exit();
	}
	current_cpu = own;
}

unsigned int bv_host_cpu(void)
{
	return current_cpu;
}

unsigned int bv_host_cpu_count(void)
{
	return FAKE_CPUS;
}

void fake_cpu_set(unsigned int cpu)
{
	if (cpu >= FAKE_CPUS)
		fake_misuse("fake_cpu_set: no such CPU");
	if (current)
		bv_vcpu_unload(current);
	current_cpu = cpu;
	if (current)
		bv_vcpu_load(current);
}

/* ---- FPU ---- */

u32 bv_host_xsave_size(void)
{
	return XSAVE_BYTES;
}

u64 bv_host_xcr0_supported(void)
{
	return XCR0_SUPPORTED;
}

int bv_host_xsave_get(struct bv_vcpu *vcpu, void *area, u32 size)
{
	static const u64 present = XCR0_SUPPORTED;
	u8 whole[XSAVE_BYTES];

	memcpy(whole, fake_vcpu(vcpu)->xsave, sizeof(whole));
	memcpy(whole + XSAVE_HEADER, &present, sizeof(present));
	memcpy(area, whole, size < XSAVE_BYTES ? size : XSAVE_BYTES);
	if (size > XSAVE_BYTES)
		memset((u8 *)area + XSAVE_BYTES, 0, size - XSAVE_BYTES);
	return 0;
}

/* Bytes of each component in the standard format. */
static const struct {
	u32 start, bytes;
} components[] = { { 0, 160 }, { 160, 256 }, { 576, 256 } };

int bv_host_xsave_set(struct bv_vcpu *vcpu, const void *area, u32 size)
{
	u8 *own = fake_vcpu(vcpu)->xsave;
	const u8 *bytes = area;
	u64 header[8];
	u32 mxcsr;

	if (size < XSAVE_HEADER + sizeof(header))
		return -BV_EINVAL;
	memcpy(header, bytes + XSAVE_HEADER, sizeof(header));
	memcpy(&mxcsr, bytes + 24, sizeof(mxcsr));
	if (header[0] & ~XCR0_SUPPORTED || header[1] || header[2] || mxcsr & ~0xffffu)
		return -BV_EINVAL;
	fpu_reset(own);
	for (u32 i = 0; i < BV_ARRAY_SIZE(components); i++)
		if (header[0] >> i & 1 && components[i].start + components[i].bytes <= size)
			memcpy(own + components[i].start, bytes + components[i].start,
			       components[i].bytes);
	return 0;
}

/* The halves of a YMM register lie apart; there is no ZMM here. */
void bv_host_vector_get(struct bv_vcpu *vcpu, unsigned int index, void *to, unsigned int bytes)
{
	const u8 *area = fake_vcpu(vcpu)->xsave;

	if (index > 15 || bytes > 32)
		fake_misuse("bv_host_vector_get: no such register");
	memcpy(to, area + 160 + 16 * index, bytes < 16 ? bytes : 16);
	if (bytes > 16)
		memcpy((u8 *)to + 16, area + 576 + 16 * index, bytes - 16);
}

void bv_host_vector_set(struct bv_vcpu *vcpu, unsigned int index, const void *from,
			unsigned int bytes)
{
	u8 *area = fake_vcpu(vcpu)->xsave;

	if (index > 15 || bytes > 32)
		fake_misuse("bv_host_vector_set: no such register");
	memcpy(area + 160 + 16 * index, from, bytes < 16 ? bytes : 16);
	if (bytes > 16)
		memcpy(area + 576 + 16 * index, (const u8 *)from + 16, bytes - 16);
}

/* The x87 part of the XSAVE area: FCW at 0, FSW at 2, eight registers of 16 bytes from 32. */
void bv_host_mmx_get(struct bv_vcpu *vcpu, unsigned int index, u64 *value)
{
	memcpy(value, (const u8 *)fake_vcpu(vcpu)->xsave + 32 + 16 * (index & 7), 8);
}

void bv_host_mmx_set(struct bv_vcpu *vcpu, unsigned int index, u64 value)
{
	memcpy((u8 *)fake_vcpu(vcpu)->xsave + 32 + 16 * (index & 7), &value, 8);
}

void bv_host_x87_get(struct bv_vcpu *vcpu, u16 *control, u16 *status)
{
	memcpy(control, fake_vcpu(vcpu)->xsave, 2);
	memcpy(status, (const u8 *)fake_vcpu(vcpu)->xsave + 2, 2);
}

void bv_host_x87_set_control(struct bv_vcpu *vcpu, u16 control)
{
	memcpy(fake_vcpu(vcpu)->xsave, &control, 2);
}

void bv_host_x87_init(struct bv_vcpu *vcpu)
{
	bv_host_x87_set_control(vcpu, 0x37f);
	memset((u8 *)fake_vcpu(vcpu)->xsave + 2, 0, 2);
}

void bv_host_x87_emms(struct bv_vcpu *vcpu)
{
	(void)vcpu;
}

/* ---- words ---- */

bool fake_log_quiet;
static unsigned int log_lines[BV_LOG_DEBUG + 1];

void bv_host_log(enum bv_log_level level, const char *text)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };

	__atomic_fetch_add(&log_lines[level], 1, __ATOMIC_RELAXED);
	if (!fake_log_quiet)
		fprintf(stderr, "log: %s: %s\n", names[level], text);
}

unsigned int fake_log_lines(enum bv_log_level level)
{
	return log_lines[level];
}

void fake_reset_log(void)
{
	memset(log_lines, 0, sizeof(log_lines));
	fake_log_quiet = false;
}

_Noreturn void bv_host_bug(const char *file, int line, const char *text)
{
	fprintf(stderr, "%s:%d: bug: not so: %s\n", file, line, text);
	abort();
}

/* ---- CPUs ---- */

void bv_host_pin(void)
{
}

void bv_host_unpin(void)
{
}

void bv_host_cpu_call(unsigned int cpu, void (*fn)(void *arg), void *arg)
{
	unsigned int here = current_cpu;

	if (fake_irqs_off())
		fake_misuse("a call of another CPU with interrupts off");
	current_cpu = cpu;
	fn(arg);
	current_cpu = here;
}

bool bv_host_calls_at_load(void)
{
	return true;
}

void bv_host_cr4_change(u64 set, u64 clear)
{
	(void)set, (void)clear;
}

void bv_host_segments_restore(u16 gs)
{
	(void)gs;
}
