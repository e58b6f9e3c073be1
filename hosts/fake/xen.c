/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Xen front's host in user space; see xen.h. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "fronts/xen/front.h"
#include "hosts/fake/state.h"
#include "hosts/fake/xen.h"

/* Machine frames begin here: so that Dom0's first frames lie one to one. */
#define FIRST_MFN 0ULL
#define CONSOLE_BYTES 65536

struct fake_host_vcpu {
	struct bvx_vcpu *vcpu;
	bool started, offline;
	bool running; /* a thread of the test's is in bvx_vcpu_thread */
};

static struct {
	u8 *arena;
	u8 *used; /* a byte a frame */
	u64 frames, taken;
	u64 until_failure;
	struct bvx_work *work;
	char console[CONSOLE_BYTES];
	size_t console_length;
	u64 console_written; /* since the start */
	u64 console_cleared;
	const char *typed;
	int ended;
	struct bvx_screen screen;
	s64 wall_shift;
	long host_objects;
} host;

void (*fake_xen_idle)(void);

static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t host_wake = PTHREAD_COND_INITIALIZER;

/* ---- frames ---- */

static bool run_free(u64 at, u64 count)
{
	for (u64 i = 0; i < count; i++)
		if (at + i >= host.frames || host.used[at + i])
			return false;
	return true;
}

int bvx_host_frames_alloc(unsigned int order, u64 below, struct bv_mfn *mfn)
{
	u64 count = 1ULL << order, at;
	int error = -BV_ENOMEM;

	fake_may_sleep(__func__);
	pthread_mutex_lock(&host_lock);
	if (host.until_failure == 1 || (host.until_failure && host.until_failure-- == 1))
		goto out;
	/* Single ones from the top, so that blocks find room below. */
	for (u64 i = 0; i < host.frames; i += count) {
		at = order ? i : host.frames - 1 - i;
		if (!run_free(at, count) || (below && (FIRST_MFN + at + count) << 12 > below))
			continue;
		memset(host.used + at, 1, count);
		memset(host.arena + (at << 12), 0, count << 12);
		host.taken += count;
		*mfn = BV_MFN(FIRST_MFN + at);
		error = 0;
		break;
	}
out:
	pthread_mutex_unlock(&host_lock);
	return error;
}

int bvx_host_frame_take(struct bv_mfn mfn)
{
	u64 at = mfn.n - FIRST_MFN;
	bool is_free;

	fake_may_sleep(__func__);
	pthread_mutex_lock(&host_lock);
	is_free = run_free(at, 1);
	if (is_free) {
		host.used[at] = 1;
		memset(host.arena + (at << 12), 0, 4096);
		host.taken++;
	}
	pthread_mutex_unlock(&host_lock);
	return is_free ? 0 : -BV_EBUSY;
}

void bvx_host_frames_free(struct bv_mfn mfn, unsigned int order)
{
	u64 at = mfn.n - FIRST_MFN;

	pthread_mutex_lock(&host_lock);
	for (u64 i = 0; i < 1ULL << order; i++) {
		if (at + i >= host.frames || !host.used[at + i])
			fake_misuse("bvx_host_frames_free: nobody has that frame");
		host.used[at + i] = 0;
		/* So that a use afterwards shows. */
		memset(host.arena + ((at + i) << 12), 0xdd, 4096);
	}
	host.taken -= 1ULL << order;
	pthread_mutex_unlock(&host_lock);
}

void *bvx_host_frame_va(struct bv_mfn mfn)
{
	if (mfn.n - FIRST_MFN >= host.frames)
		return NULL;
	return host.arena + ((mfn.n - FIRST_MFN) << 12);
}

void bvx_host_memory(struct bvx_host_memory *memory)
{
	*memory = (struct bvx_host_memory){
		.total = host.frames,
		.free = host.frames - host.taken,
		.max_mfn = FIRST_MFN + host.frames,
	};
}

u64 fake_xen_frames(void)
{
	return host.taken;
}

void fake_xen_fail_frames_after(u64 n)
{
	host.until_failure = n;
}

/* ---- CPUs ---- */

void bvx_host_machine(struct bvx_host_machine *machine)
{
	*machine = (struct bvx_host_machine){
		.cpus = FAKE_CPUS,
		.max_cpu = FAKE_CPUS,
		.threads_per_core = 1,
		.cores_per_socket = FAKE_CPUS,
		.nodes = 1,
		.khz = fake_tsc_khz,
	};
}

bool bvx_host_cpu_info(unsigned int cpu, struct bvx_host_cpu *info)
{
	if (cpu >= FAKE_CPUS)
		return false;
	*info = (struct bvx_host_cpu){
		.present = true, .online = true, .core = cpu, .apic_id = cpu, .acpi_id = cpu
	};
	return true;
}

void bvx_host_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
			 : "a"(leaf), "c"(subleaf));
}

bool bvx_host_msr(u32 index, u64 *value)
{
	(void)index, (void)value;
	return false;
}

/* ---- scheduling ---- */

void *bvx_host_domain_new(u32 domid)
{
	void *own = bv_host_alloc(1);

	(void)domid;
	host.host_objects += !!own;
	return own;
}

void bvx_host_domain_free(void *host_domain)
{
	host.host_objects--;
	bv_host_free(host_domain);
}

void bvx_host_domain_share(void *host_domain, const struct bvx_host_share *share)
{
	(void)host_domain;
	if (!share->weight)
		fake_misuse("bvx_host_domain_share: no weight");
}

void *bvx_host_vcpu_new(void *host_domain, struct bvx_vcpu *vcpu)
{
	struct fake_host_vcpu *own = bv_host_alloc(sizeof(*own));

	(void)host_domain;
	if (!own)
		return NULL;
	own->vcpu = vcpu;
	host.host_objects++;
	return own;
}

void bvx_host_vcpu_start(void *host_vcpu, struct bv_vcpu *vcpu)
{
	struct fake_host_vcpu *own = host_vcpu;

	if (own->started)
		fake_misuse("bvx_host_vcpu_start: twice");
	if (bv_vcpu_host(vcpu) != own)
		fake_misuse("bvx_host_vcpu_start: another vCPU's");
	own->started = true;
}

void bvx_host_vcpu_join(void *host_vcpu)
{
	struct fake_host_vcpu *own = host_vcpu;

	fake_may_sleep(__func__);
	pthread_mutex_lock(&host_lock);
	while (own->running)
		pthread_cond_wait(&host_wake, &host_lock);
	pthread_mutex_unlock(&host_lock);
}

void bvx_host_vcpu_free(void *host_vcpu)
{
	host.host_objects--;
	bv_host_free(host_vcpu);
}

void bvx_host_vcpu_signal(void *host_vcpu, bool pending)
{
	struct fake_host_vcpu *own = host_vcpu;

	if (!own->vcpu->vcpu)
		return;
	__atomic_store_n(&fake_vcpu(own->vcpu->vcpu)->signal, pending, __ATOMIC_SEQ_CST);
	if (pending)
		bv_host_vcpu_wake(own->vcpu->vcpu);
}

void bvx_host_vcpu_affinity(void *host_vcpu, const struct bvx_cpumask *hard,
			    const struct bvx_cpumask *soft)
{
	(void)host_vcpu, (void)soft;
	if (!(hard->bits[0] & ((1 << FAKE_CPUS) - 1)))
		fake_misuse("bvx_host_vcpu_affinity: no CPU is left");
}

void bvx_host_vcpu_runtime(void *host_vcpu, struct bvx_host_runtime *runtime)
{
	struct fake_host_vcpu *own = host_vcpu;

	*runtime = (struct bvx_host_runtime){
		.state = own->offline ? BVX_OFFLINE : BVX_RUNNING,
		.since_ns = 1,
		.ns = { fake_clock() - 1, 0, 0, 0 },
	};
}

void bvx_host_vcpu_offline(void *host_vcpu, bool offline)
{
	((struct fake_host_vcpu *)host_vcpu)->offline = offline;
}

void bvx_host_yield(void)
{
	fake_may_sleep(__func__);
}

void bvx_host_give_way(void)
{
	fake_may_sleep(__func__);
}

bool bvx_host_is_waited_for(void)
{
	return false;
}

/* With nobody else there, only time can make it ready. */
void bvx_host_wait(struct bvx_waitq *queue, bool (*ready)(void *arg), void *arg)
{
	struct timespec until;

	(void)queue;
	fake_may_sleep(__func__);
	for (unsigned int i = 0; i < 20; i++) {
		if (ready(arg))
			return;
		if (fake_clock_jump())
			continue;
		if (fake_xen_idle) {
			fake_xen_idle();
			continue;
		}
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 1;
		pthread_mutex_lock(&host_lock);
		if (!ready(arg))
			pthread_cond_timedwait(&host_wake, &host_lock, &until);
		pthread_mutex_unlock(&host_lock);
	}
	fake_misuse("bvx_host_wait: for ever");
}

void bvx_host_wake(struct bvx_waitq *queue)
{
	(void)queue;
	pthread_mutex_lock(&host_lock);
	pthread_cond_broadcast(&host_wake);
	pthread_mutex_unlock(&host_lock);
}

void bvx_host_work(struct bvx_work *work)
{
	pthread_mutex_lock(&host_lock);
	work->opaque[0] = (u64)host.work;
	host.work = work;
	pthread_mutex_unlock(&host_lock);
}

void fake_xen_work(void)
{
	while (host.work) {
		struct bvx_work *work = host.work;

		host.work = (struct bvx_work *)work->opaque[0];
		work->perform(work);
	}
}

/* ---- words ---- */

/* Refusals are lines of the log, guests' own text is the console's. */
void bvx_host_guest_log(enum bv_log_level level, const char *text, size_t length)
{
	char line[BV_WHY_CHARS + 1];

	if (level == BV_LOG_DEBUG) {
		bvx_host_console_write(text, length);
		return;
	}
	snprintf(line, sizeof(line), "%.*s", (int)length - 1, text);
	bv_host_log(level, line);
}

void bvx_host_console_write(const char *text, size_t length)
{
	pthread_mutex_lock(&host_lock);
	host.console_written += length;
	for (size_t i = 0; i < length; i++) {
		if (host.console_length == CONSOLE_BYTES - 1)
			host.console_length = 0;
		host.console[host.console_length++] = text[i];
	}
	host.console[host.console_length] = '\0';
	pthread_mutex_unlock(&host_lock);
}

size_t bvx_host_console_read(char *text, size_t size)
{
	size_t length = 0;

	while (host.typed && *host.typed && length < size)
		text[length++] = *host.typed++;
	return length;
}

const char *fake_xen_console(void)
{
	return host.console;
}

void fake_xen_type(const char *text)
{
	host.typed = text;
	bvx_console_input();
}

size_t bvx_host_log_read(u64 *index, char *text, size_t size)
{
	u64 first = host.console_written - host.console_length;
	size_t length = 0;

	if (*index < first)
		*index = first;
	if (*index < host.console_cleared)
		*index = host.console_cleared;
	while (*index < host.console_written && length < size)
		text[length++] = host.console[(*index)++ - first];
	return length;
}

void bvx_host_log_clear(void)
{
	host.console_cleared = host.console_written;
}

u64 bvx_host_log_size(void)
{
	return CONSOLE_BYTES;
}

void bvx_host_debug_key(char key)
{
	bvx_host_console_write(&key, 1);
}

/* ---- the machine ---- */

void bvx_host_end(enum bvx_host_end how)
{
	host.ended = (int)how;
}

int fake_xen_ended(void)
{
	return host.ended;
}

int bvx_host_acpi_sleep(u32 state, u32 pm1a, u32 pm1b)
{
	(void)pm1a, (void)pm1b;
	if (state == 5)
		bvx_host_end(BVX_END_POWEROFF);
	return state == 5 ? 0 : -BV_EOPNOTSUPP;
}

const struct bvx_screen *bvx_host_screen(void)
{
	return &host.screen;
}

void fake_xen_screen(const struct bvx_screen *screen)
{
	host.screen = *screen;
}

void bvx_host_wall_set(u64 wall_ns, u64 system_ns)
{
	host.wall_shift = (s64)(wall_ns - system_ns);
}

const char *bvx_host_command_line(void)
{
	return "dom0_mem=1G loglvl=all";
}

void bvx_host_dom0_access(struct bvx_vcpu *vcpu, struct bv_run *run, void *io_page)
{
	(void)vcpu;
	if (run->reason == BV_RUN_IO && !run->io.write)
		memset(io_page, 0xff, (size_t)run->io.size * run->io.count);
	if (run->reason == BV_RUN_MMIO && !run->mmio.write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
}

void bvx_host_dom0_dma(struct bv_gfn gfn, struct bv_mfn mfn, u64 count, bool read, bool write)
{
	(void)gfn, (void)mfn, (void)count, (void)read, (void)write;
}

void bvx_host_dom0_dma_done(void)
{
}

int bvx_host_pci_add(struct bvx_pci pci, const struct bvx_pci_info *info)
{
	(void)info;
	return pci.segment ? -BV_ENODEV : 0;
}

int bvx_host_pci_remove(struct bvx_pci pci)
{
	return pci.segment ? -BV_ENODEV : 0;
}

int bvx_host_pci_mmcfg(u64 address, u16 segment, u8 first_bus, u8 last_bus, bool used)
{
	(void)address, (void)first_bus, (void)last_bus, (void)used;
	return segment ? -BV_ENODEV : 0;
}

int bvx_host_pci_node(struct bvx_pci pci, u32 *node)
{
	*node = 0;
	return pci.segment ? -BV_ENODEV : 0;
}

int bvx_host_pci_msix(struct bvx_pci pci, bool prepare)
{
	(void)prepare;
	return pci.segment ? -BV_ENODEV : 0;
}

void bvx_host_dom0_eoi(u8 vector)
{
	(void)vector;
}

u32 bvx_host_gsis(void)
{
	return 24;
}

/* ---- start and stop ---- */

static const struct fake_backing backing = {
	.get = bvx_frame_get,
	.read = bvx_guest_read,
	.write = bvx_guest_write,
	.cmpxchg = bvx_guest_cmpxchg,
};

void fake_xen_start(u64 frames)
{
	memset(&host, 0, sizeof(host));
	host.frames = frames;
	host.ended = -1;
	host.arena = mmap(NULL, frames << 12, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	host.used = calloc(1, frames);
	if (host.arena == MAP_FAILED || !host.used)
		fake_misuse("out of real memory");
	fake_backing = &backing;
	fake_vendor_use();
	if (bvx_init())
		fake_misuse("bvx_init");
}

void fake_xen_stop(void)
{
	fake_xen_work();
	bvx_fini();
	fake_xen_work();
	bvx_fini_frames();
	if (host.taken)
		fake_misuse("fake_xen_stop: frames were not given back");
	if (host.host_objects)
		fake_misuse("fake_xen_stop: the host's part of a domain or vCPU is left");
	fake_backing = NULL;
	munmap(host.arena, host.frames << 12);
	free(host.used);
	host.arena = NULL;
}

/* ---- a guest's calls ---- */

static long call(struct bvx_vcpu *vcpu, struct bv_hypercall *from)
{
	struct bv_vm *vm = vcpu->domain->vm;
	bool done;

	bv_host_rwsem_read(&vm->mem_lock);
	done = bvx_hypercall(vcpu->vcpu, from);
	bv_host_rwsem_read_done(&vm->mem_lock);
	if (!done) {
		vcpu->run.reason = BV_RUN_HYPERCALL;
		vcpu->run.hypercall = *from;
		bvx_hypercall_slow(vcpu);
		*from = vcpu->run.hypercall;
	}
	if (fake_locks_held() || fake_irqs_off())
		fake_misuse("a hypercall came back with a lock held");
	fake_xen_work();
	return (long)from->result;
}

long fake_hypercall(struct bvx_vcpu *vcpu, u32 nr, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	struct bv_hypercall from = { .nr = nr, .long_mode = true };
	struct bv_gprs gprs;

	bv_vcpu_gprs_get(vcpu->vcpu, &gprs);
	gprs.gpr[BV_RDI] = a;
	gprs.gpr[BV_RSI] = b;
	gprs.gpr[BV_RDX] = c;
	gprs.gpr[BV_R10] = d;
	gprs.gpr[BV_R8] = e;
	bv_vcpu_gprs_set(vcpu->vcpu, &gprs);
	return call(vcpu, &from);
}

long fake_hypercall32(struct bvx_vcpu *vcpu, u32 nr, u32 a, u32 b, u32 c, u32 d, u32 e)
{
	struct bv_hypercall from = { .nr = nr, .args = { a, b, c, d, e } };

	return (int)call(vcpu, &from);
}

void fake_xen_run(struct bvx_vcpu *vcpu)
{
	struct fake_host_vcpu *own = vcpu->host;

	__atomic_store_n(&own->running, true, __ATOMIC_SEQ_CST);
	bvx_vcpu_thread(vcpu);
	pthread_mutex_lock(&host_lock);
	own->running = false;
	pthread_cond_broadcast(&host_wake);
	pthread_mutex_unlock(&host_lock);
}
