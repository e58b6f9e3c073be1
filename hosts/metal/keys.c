/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hypervisor's keys: what the console's user may ask, after Ctrl-A three times, or `xl
 * debug-keys` in Dom0. The letters are Xen's.
 */
#include "hosts/metal/metal.h"
#include "fronts/xen/xen.h"

#define KEYS_WAITING 16u

static void key_help(void);

static void line(const char *text)
{
	say_answer("%s", text);
}

static void key_domains(void)
{
	bvx_dump(line);
}

static void key_cpus(void)
{
	for (u32 i = 0; i < metal_cpu_count; i++)
		say_answer("CPU %u: %s, idle %llu ms", i, metal_cpus[i]->current->name,
			   sched_idle_ns(metal_cpus[i]) / 1000000);
}

static void key_memory(void)
{
	say_answer("memory: %llu frames, %llu free, %llu of them not yet scrubbed", frames_total(),
		   frames_free_count(), frames_dirty_count());
}

static void key_crash(void)
{
	panic("asked for by a key");
}

static void key_virq(void)
{
	bvx_debug_virq();
}

static void key_reboot(void)
{
	say_answer("the machine is started again, as a key asks");
	machine_reboot();
}

static const struct key {
	char key;
	void (*press)(void);
	const char *what;
} keys[] = {
	{ 'C', key_crash, "fail, with a backtrace" },
	{ 'h', key_help, "this list" },
	{ 'm', key_memory, "memory" },
	{ 'q', key_domains, "domains and their vCPUs" },
	{ 'r', key_cpus, "CPUs and what runs on them" },
	{ 'R', key_reboot, "start the machine again" },
	{ 'V', key_virq, "raise VIRQ_DEBUG in Dom0" },
};

static void key_help(void)
{
	for (u32 i = 0; i < BV_ARRAY_SIZE(keys); i++)
		say_answer("key %c: %s", keys[i].key, keys[i].what);
}

void bvx_host_debug_key(char key)
{
	for (u32 i = 0; i < BV_ARRAY_SIZE(keys); i++)
		if (keys[i].key == key) {
			keys[i].press();
			return;
		}
	say_answer("no key '%c' here; h lists them", key >= ' ' && key < 127 ? key : '?');
}

/* ---- from the console's interrupt, where nothing may sleep ---- */

static struct {
	struct bvx_work work;
	/* of the interrupt and the work, by their counts */
	u32 in, out;
	char key[KEYS_WAITING];
	/* any, atomically */
	bool queued;
} pressed;

static void keys_perform(struct bvx_work *work)
{
	(void)work;
	__atomic_store_n(&pressed.queued, false, __ATOMIC_SEQ_CST);
	while (pressed.out != __atomic_load_n(&pressed.in, __ATOMIC_ACQUIRE))
		bvx_host_debug_key(pressed.key[pressed.out++ % KEYS_WAITING]);
}

void key_pressed(char key)
{
	if (pressed.in - BV_READ_ONCE(pressed.out) == KEYS_WAITING)
		return;
	pressed.key[pressed.in % KEYS_WAITING] = key;
	__atomic_store_n(&pressed.in, pressed.in + 1, __ATOMIC_RELEASE);
	if (__atomic_exchange_n(&pressed.queued, true, __ATOMIC_SEQ_CST))
		return;
	pressed.work.perform = keys_perform;
	bvx_host_work(&pressed.work);
}
