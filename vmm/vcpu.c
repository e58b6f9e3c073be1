// SPDX-License-Identifier: GPL-2.0-or-later
/* The vCPUs' threads: see vcpu.h. */
#include "vmm/gdb.h"
#include "vmm/vm.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define VCPU_STACK (128u << 10)

static void access_one(struct vm *vm, const struct bus *bus, struct hv_exit *exit, void *data)
{
	uint64_t value = 0;

	(void)vm;
	if (exit->write) {
		memcpy(&value, data, exit->size);
		bus_write(bus, exit->address, exit->size, value);
	} else {
		value = bus_read(bus, exit->address, exit->size);
		memcpy(data, &value, exit->size);
	}
}

static void access_all(struct vcpu *vcpu, const struct bus *bus, struct hv_exit *exit)
{
	struct vm *vm = vcpu->vm;
	uint32_t i;

	loop_lock(&vm->loop);
	for (i = 0; i < exit->count; i++)
		access_one(vm, bus, exit, (uint8_t *)exit->data + (size_t)i * exit->size);
	loop_unlock(&vm->loop);
}

static void failed(struct vcpu *vcpu, const struct why *why)
{
	loop_lock(&vcpu->vm->loop);
	vm_end(vcpu->vm, VMM_END_PANIC, 0, "%s", why->text);
	loop_unlock(&vcpu->vm->loop);
	atomic_store(&vcpu->attention, true);
}

static void triple_fault(struct vcpu *vcpu)
{
	loop_lock(&vcpu->vm->loop);
	vm_reset(vcpu->vm);
	loop_unlock(&vcpu->vm->loop);
}

/* The debugger's stop: this vCPU goes no further until the stub, in the loop, has held it. */
static void debug_stop(struct vcpu *vcpu, const struct hv_exit *exit)
{
	loop_lock(&vcpu->vm->loop);
	vcpu->stopped_by_debug = true;
	vcpu->dr6 = exit->dr6;
	gdb_stopped(vcpu->vm);
	loop_unlock(&vcpu->vm->loop);
	atomic_store(&vcpu->attention, true);
}

static void handle(struct vcpu *vcpu, struct hv_exit *exit, const struct why *why)
{
	atomic_fetch_add_explicit(&vcpu->exits[exit->kind], 1, memory_order_relaxed);
	switch (exit->kind) {
	case HV_EXIT_IO:
		return access_all(vcpu, &vcpu->vm->ports, exit);
	case HV_EXIT_MMIO:
		return access_all(vcpu, &vcpu->vm->mmio, exit);
	case HV_EXIT_SHUTDOWN:
		return triple_fault(vcpu);
	case HV_EXIT_DEBUG:
		return debug_stop(vcpu, exit);
	case HV_EXIT_FAILED:
		return failed(vcpu, why);
	default:
		return;
	}
}

/* After a failure or a triple fault there is nothing to run until the loop has dealt with it. */
static bool must_wait(const struct vcpu *vcpu, const struct hv_exit *exit)
{
	(void)vcpu;
	return exit->kind == HV_EXIT_FAILED || exit->kind == HV_EXIT_SHUTDOWN ||
	       exit->kind == HV_EXIT_DEBUG;
}

/* Returns false if the thread is to end. */
static bool wait_released(struct vcpu *vcpu, bool until_held)
{
	struct cpus *cpus = &vcpu->vm->cpus;
	bool go;

	hv_vcpu_finish(vcpu->hv);
	pthread_mutex_lock(&cpus->lock);
	while (until_held && !cpus->hold && !cpus->quit)
		pthread_cond_wait(&cpus->changed, &cpus->lock);
	while (cpus->hold && !cpus->quit) {
		vcpu->held = true;
		pthread_cond_broadcast(&cpus->changed);
		pthread_cond_wait(&cpus->changed, &cpus->lock);
	}
	vcpu->held = false;
	atomic_store(&vcpu->attention, false);
	hv_vcpu_unkick(vcpu->hv);
	go = !cpus->quit;
	pthread_mutex_unlock(&cpus->lock);
	return go;
}

static void *vcpu_thread(void *argument)
{
	struct vcpu *vcpu = argument;
	struct hv_exit exit = { .kind = HV_EXIT_OTHER };
	struct why why = { 0 };

	for (;;) {
		if (atomic_load(&vcpu->attention) && !wait_released(vcpu, must_wait(vcpu, &exit)))
			return NULL;
		hv_vcpu_run(vcpu->hv, &exit, &why);
		handle(vcpu, &exit, &why);
		if (must_wait(vcpu, &exit))
			atomic_store(&vcpu->attention, true);
	}
}

static void nothing(int number)
{
	(void)number;
}

int cpus_init(struct cpus *cpus, struct vm *vm, struct why *why)
{
	struct sigaction action = { .sa_handler = nothing };
	unsigned int i;

	sigaction(SIGUSR1, &action, NULL);
	cpus->vm = vm;
	cpus->hold = true;
	cpus->quit = false;
	cpus->count = 0;
	pthread_mutex_init(&cpus->lock, NULL);
	pthread_cond_init(&cpus->changed, NULL);
	for (i = 0; i < vm->config->cpus; i++) {
		struct vcpu *vcpu = &cpus->all[i];

		vcpu->vm = vm;
		vcpu->id = i;
		atomic_init(&vcpu->attention, true);
		vcpu->hv = hv_vcpu_create(vm->hv, i, vm->config->cpus, why);
		if (!vcpu->hv)
			return -1;
		cpus->count++;
	}
	return 0;
}

int cpus_start(struct cpus *cpus, struct why *why)
{
	pthread_attr_t attributes;
	unsigned int i;
	int error = 0;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, VCPU_STACK);
	for (i = 0; i < cpus->count && !error; i++)
		error = pthread_create(&cpus->all[i].thread, &attributes, vcpu_thread,
				       &cpus->all[i]);
	pthread_attr_destroy(&attributes);
	return error ? why_set(why, "no thread for a vCPU: %s", strerror(error)) : 0;
}

static void kick_all(struct cpus *cpus)
{
	unsigned int i;

	for (i = 0; i < cpus->count; i++) {
		atomic_store(&cpus->all[i].attention, true);
		hv_vcpu_kick(cpus->all[i].hv);
		if (cpus->all[i].thread)
			pthread_kill(cpus->all[i].thread, SIGUSR1);
	}
}

static bool all_held(const struct cpus *cpus)
{
	unsigned int i;

	for (i = 0; i < cpus->count; i++)
		if (!cpus->all[i].held)
			return false;
	return true;
}

void cpus_hold(struct cpus *cpus)
{
	loop_unlock(&cpus->vm->loop);
	pthread_mutex_lock(&cpus->lock);
	cpus->hold = true;
	kick_all(cpus);
	pthread_cond_broadcast(&cpus->changed);
	while (!all_held(cpus))
		pthread_cond_wait(&cpus->changed, &cpus->lock);
	pthread_mutex_unlock(&cpus->lock);
	loop_lock(&cpus->vm->loop);
}

void cpus_release(struct cpus *cpus)
{
	pthread_mutex_lock(&cpus->lock);
	cpus->hold = false;
	pthread_cond_broadcast(&cpus->changed);
	pthread_mutex_unlock(&cpus->lock);
}

void cpus_stop(struct cpus *cpus)
{
	unsigned int i;

	pthread_mutex_lock(&cpus->lock);
	cpus->quit = true;
	kick_all(cpus);
	pthread_cond_broadcast(&cpus->changed);
	pthread_mutex_unlock(&cpus->lock);
	for (i = 0; i < cpus->count; i++)
		if (cpus->all[i].thread)
			pthread_join(cpus->all[i].thread, NULL);
}

void cpus_fini(struct cpus *cpus)
{
	while (cpus->count)
		hv_vcpu_close(cpus->all[--cpus->count].hv);
	pthread_cond_destroy(&cpus->changed);
	pthread_mutex_destroy(&cpus->lock);
}

uint64_t vcpu_time(const struct vcpu *vcpu)
{
	struct timespec used;
	clockid_t clock;

	if (!vcpu->thread || pthread_getcpuclockid(vcpu->thread, &clock) ||
	    clock_gettime(clock, &used))
		return 0;
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}
