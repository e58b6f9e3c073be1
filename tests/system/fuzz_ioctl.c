// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Throws random calls at the real /dev/kvm: ioctls with odd arguments on odd files by two threads
 * at once, memory slots over mappings that come and go, guests of random code.
 *
 *	fuzz_ioctl SECONDS SEED
 *
 * Run in the emulated PC by tests/system/fuzz-ioctl. Each round is a process of its own, which may
 * crash (its guests write into its memory) but must be gone soon after it was killed. What the
 * host's kernel says of all this is for the script to judge. Rounds have seeds; as two threads
 * race, a seed gives like calls again, not the same ones.
 */
#define _GNU_SOURCE /* memfd_create, pthread_kill's kin */
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILES 48 /* numbers of files in use, from 3 on */
#define ROUND_MS 1500
#define END_MS 60000 /* a round killed must be gone after so long, on a slow machine */
#define PAGE 4096ul
#define POOL_PAGES 2048ul
#define BUFFER 16384

enum {
	CALLS,
	GOOD,
	RUNS,
	MAPS,
	COUNTS
};

static unsigned long *counts; /* shared with the rounds */
static unsigned char *pool; /* where slots are; holes come and go */
static int pool_file;
static unsigned char buffers[2][BUFFER] __attribute__((aligned(4096)));
static unsigned char *run_pages; /* apart from the pool: our own run pages stay */
static struct kvm_run *volatile run_page[FILES];

/* ---- chance ---- */

static __thread uint64_t chance;

static uint64_t roll(uint64_t below)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return below ? chance * 0x2545f4914f6cdd1dull % below : 0;
}

static int one_in(unsigned int n)
{
	return !roll(n);
}

static uint64_t edge(void)
{
	static const uint64_t edges[] = {
		0,	     1,		 2,	     3,		 4,	     7,
		8,	     15,	 16,	     23,	 24,	     31,
		32,	     63,	 64,	     255,	 256,	     511,
		512,	     4095,	 4096,	     0x7fffffff, 0x80000000, 0xffffffff,
		0x100000000, 1ull << 47, ~0ull >> 1, 1ull << 63, ~0ull,	     ~0ull - 4095,
	};

	return one_in(4) ? roll(~0ull) : edges[roll(sizeof(edges) / sizeof(edges[0]))];
}

/* ---- the calls ---- */

#define MORE(bytes, call)   \
	{                   \
		call, bytes \
	}
#define PLAIN(call)     \
	{               \
		call, 0 \
	}

static const struct call {
	unsigned long cmd;
	unsigned int bytes; /* filled in besides what the number says */
} calls[] = {
	PLAIN(KVM_GET_API_VERSION),
	PLAIN(KVM_CREATE_VM),
	PLAIN(KVM_CHECK_EXTENSION),
	PLAIN(KVM_GET_VCPU_MMAP_SIZE),
	MORE(4096, KVM_GET_SUPPORTED_CPUID),
	MORE(1024, KVM_GET_MSR_INDEX_LIST),
	MORE(1024, KVM_GET_MSR_FEATURE_INDEX_LIST),
	MORE(512, KVM_GET_MSRS),
	MORE(512, KVM_SET_MSRS),
	PLAIN(KVM_X86_GET_MCE_CAP_SUPPORTED),
	PLAIN(KVM_IRQ_LINE),
	PLAIN(KVM_IRQ_LINE_STATUS),
	PLAIN(KVM_SIGNAL_MSI),
	PLAIN(KVM_ENABLE_CAP),
	PLAIN(KVM_CREATE_VCPU),
	PLAIN(KVM_SET_TSS_ADDR),
	PLAIN(KVM_SET_IDENTITY_MAP_ADDR),
	PLAIN(KVM_SET_BOOT_CPU_ID),
	PLAIN(KVM_GET_CLOCK),
	PLAIN(KVM_SET_CLOCK),
	PLAIN(KVM_SET_TSC_KHZ),
	PLAIN(KVM_GET_TSC_KHZ),
	MORE(1024, KVM_X86_SET_MSR_FILTER),
	PLAIN(KVM_GET_STATS_FD),
	PLAIN(KVM_SET_USER_MEMORY_REGION),
	PLAIN(KVM_GET_DIRTY_LOG),
	PLAIN(KVM_CLEAR_DIRTY_LOG),
	PLAIN(KVM_RESET_DIRTY_RINGS),
	PLAIN(KVM_CREATE_IRQCHIP),
	PLAIN(KVM_CREATE_PIT),
	PLAIN(KVM_CREATE_PIT2),
	MORE(1024, KVM_SET_GSI_ROUTING),
	PLAIN(KVM_GET_IRQCHIP),
	PLAIN(KVM_SET_IRQCHIP),
	PLAIN(KVM_GET_PIT),
	PLAIN(KVM_SET_PIT),
	PLAIN(KVM_GET_PIT2),
	PLAIN(KVM_SET_PIT2),
	PLAIN(KVM_REINJECT_CONTROL),
	PLAIN(KVM_IRQFD),
	PLAIN(KVM_IOEVENTFD),
	PLAIN(KVM_GET_REGS),
	PLAIN(KVM_SET_REGS),
	PLAIN(KVM_GET_SREGS),
	PLAIN(KVM_SET_SREGS),
	PLAIN(KVM_GET_SREGS2),
	PLAIN(KVM_SET_SREGS2),
	PLAIN(KVM_GET_MP_STATE),
	PLAIN(KVM_SET_MP_STATE),
	PLAIN(KVM_GET_LAPIC),
	PLAIN(KVM_SET_LAPIC),
	PLAIN(KVM_GET_VCPU_EVENTS),
	PLAIN(KVM_SET_VCPU_EVENTS),
	PLAIN(KVM_GET_FPU),
	PLAIN(KVM_SET_FPU),
	PLAIN(KVM_GET_XSAVE),
	PLAIN(KVM_GET_XSAVE2),
	PLAIN(KVM_SET_XSAVE),
	PLAIN(KVM_GET_XCRS),
	PLAIN(KVM_SET_XCRS),
	PLAIN(KVM_GET_DEBUGREGS),
	PLAIN(KVM_SET_DEBUGREGS),
	MORE(1024, KVM_SET_CPUID),
	MORE(1024, KVM_SET_CPUID2),
	MORE(4096, KVM_GET_CPUID2),
	MORE(16, KVM_SET_SIGNAL_MASK),
	PLAIN(KVM_INTERRUPT),
	PLAIN(KVM_NMI),
	PLAIN(KVM_X86_SETUP_MCE),
	PLAIN(KVM_X86_SET_MCE),
	PLAIN(KVM_KVMCLOCK_CTRL),
	PLAIN(KVM_TRANSLATE),
	PLAIN(KVM_SET_GUEST_DEBUG),
	PLAIN(KVM_TPR_ACCESS_REPORTING),
	PLAIN(KVM_SET_VAPIC_ADDR),
	PLAIN(KVM_HAS_DEVICE_ATTR),
	PLAIN(KVM_GET_DEVICE_ATTR),
	PLAIN(KVM_SET_DEVICE_ATTR),
	/* not offered, or of other machines */
	PLAIN(KVM_SMI),
	PLAIN(KVM_HYPERV_EVENTFD),
	PLAIN(KVM_CREATE_DEVICE),
	MORE(8192, KVM_GET_NESTED_STATE),
	PLAIN(KVM_MEMORY_ENCRYPT_OP),
};

static long call(int fd, unsigned long cmd, unsigned long arg)
{
	long result = ioctl(fd, cmd, arg);

	__atomic_fetch_add(&counts[CALLS], 1, __ATOMIC_RELAXED);
	if (result >= 0)
		__atomic_fetch_add(&counts[GOOD], 1, __ATOMIC_RELAXED);
	return result;
}

static int any_file(void)
{
	return 3 + (int)roll(one_in(4) ? FILES : 8);
}

/* ---- arguments ---- */

static void fill(unsigned char *to, unsigned int bytes)
{
	uint64_t word;

	switch (roll(5)) {
	case 0:
		memset(to, 0, bytes);
		break;
	case 1:
		for (unsigned int i = 0; i + 8 <= bytes; i += 8) {
			word = roll(~0ull);
			memcpy(to + i, &word, 8);
		}
		break;
	case 2:
		for (unsigned int i = 0; i + 4 <= bytes; i += 4) {
			word = one_in(2) ? 0 : edge();
			memcpy(to + i, &word, 4);
		}
		break;
	default: /* what is there, say from a GET, but for a little */
		for (unsigned int n = (unsigned int)roll(4); n; n--)
			to[roll(bytes)] ^= (unsigned char)(1u << roll(8));
		break;
	}
}

/* A count, and MSRs that exist, some of the time. */
static void fill_msrs(struct kvm_msrs *msrs)
{
	static const uint32_t known[] = {
		0x10,	    0x1b,	0x3b,  0x174,	   0x176,      0x179,	   0x17b,
		0x1a0,	    0x200,	0x277, 0x2ff,	   0x400,      0x401,	   0x6e0,
		0x808,	    0x830,	0x83f, 0xc0000084, 0xc0000081, 0xc0000082, 0xc0000100,
		0xc0000103, 0xc0010015, 0x11,  0x12,	   0x4b564d00, 0x4b564d01, 0x4b564d03,
	};

	msrs->nmsrs = (uint32_t)(one_in(8) ? edge() : 1 + roll(16));
	for (unsigned int i = 0; i < 16; i++) {
		msrs->entries[i].index = known[roll(sizeof(known) / sizeof(known[0]))];
		if (one_in(2))
			msrs->entries[i].data = one_in(2) ? edge() : roll(1 << 24) | 1;
	}
}

static void fill_slot(struct kvm_userspace_memory_region *slot)
{
	slot->slot = (uint32_t)(one_in(16) ? edge() : roll(4));
	slot->flags = (uint32_t)(one_in(16) ? edge() : roll(4));
	slot->guest_phys_addr = one_in(16) ? edge() : roll(64) * PAGE;
	slot->memory_size = one_in(8) ? 0 : (1 + roll(one_in(4) ? POOL_PAGES : 32)) * PAGE;
	/* Large logs cost the host real memory. */
	if (one_in(16))
		slot->memory_size = edge() & 0xfff0003ffffff000ull;
	slot->userspace_addr = one_in(16) ? edge() : (uint64_t)pool + roll(POOL_PAGES) * PAGE;
}

static void fill_cap(struct kvm_enable_cap *cap)
{
	static const uint32_t known[] = {
		KVM_CAP_SPLIT_IRQCHIP,
		KVM_CAP_X2APIC_API,
		KVM_CAP_DIRTY_LOG_RING,
		KVM_CAP_X86_USER_SPACE_MSR,
		KVM_CAP_MAX_VCPU_ID,
		KVM_CAP_EXCEPTION_PAYLOAD,
		KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		KVM_CAP_X86_DISABLE_EXITS,
		KVM_CAP_X86_TRIPLE_FAULT_EVENT,
	};

	memset(cap, 0, sizeof(*cap));
	cap->cap = known[roll(sizeof(known) / sizeof(known[0]))];
	cap->args[0] = one_in(2) ? edge() : roll(64);
	if (one_in(8))
		cap->flags = (uint32_t)edge();
}

/* A bitmap or an attribute lies behind the argument. */
static void point(unsigned char *argument, unsigned long cmd)
{
	uint64_t to = one_in(4) ? edge() : (uint64_t)argument + 4096;

	if (cmd == KVM_GET_DIRTY_LOG || cmd == KVM_CLEAR_DIRTY_LOG)
		memcpy(argument + 8 * (cmd == KVM_CLEAR_DIRTY_LOG) + 8, &to, 8);
	if (_IOC_NR(cmd) >= _IOC_NR(KVM_SET_DEVICE_ATTR) &&
	    _IOC_NR(cmd) <= _IOC_NR(KVM_HAS_DEVICE_ATTR))
		memcpy(argument + 16, &to, 8);
}

static void small_number(unsigned char *at, unsigned int below)
{
	uint32_t value = (uint32_t)(one_in(8) ? edge() : roll(below));

	memcpy(at, &value, 4);
}

static void fill_argument(unsigned char *to, const struct call *what)
{
	unsigned int bytes = _IOC_SIZE(what->cmd) + what->bytes;

	fill(to, bytes ? bytes : 8);
	point(to, what->cmd);
	switch (what->cmd) {
	case KVM_GET_MSRS:
	case KVM_SET_MSRS:
		fill_msrs((void *)to);
		break;
	case KVM_SET_USER_MEMORY_REGION:
		fill_slot((void *)to);
		break;
	case KVM_ENABLE_CAP:
		fill_cap((void *)to);
		break;
	case KVM_GET_DIRTY_LOG:
	case KVM_CLEAR_DIRTY_LOG:
		small_number(to, 4);
		break;
	case KVM_IRQFD:
		small_number(to, FILES);
		small_number(to + 4, 24);
		small_number(to + 8, 4);
		break;
	case KVM_SET_SIGNAL_MASK:
		small_number(to, 16);
		/* Threads that cannot be interrupted learn little more. */
		if (!one_in(8))
			memset(to + 4, 0, 8);
		break;
	default:
		if (what->bytes)
			small_number(to, 40);
		break;
	}
}

#define MSR_EFER 0xc0000080u
#define EFER_LME 0x100ull
#define EFER_LMA 0x400ull
#define CR4_PAE 0x20ull

/*
 * What kills the emulated PC itself: QEMU's TCG spins on guests with PAE's three levels of tables,
 * leaves the host without CR0 at the exit of a guest that has EFER.LME without paging and CR4.PAE,
 * and crashes where a breakpoint register is hit in a code segment with a base. So none of that
 * here; on a machine of one's own it may be let through.
 */
static void spare_sregs(struct kvm_sregs *sregs)
{
	if (!(sregs->efer & EFER_LMA))
		sregs->cr4 &= ~CR4_PAE;
	if (!(sregs->cr4 & CR4_PAE))
		sregs->efer &= ~EFER_LME;
}

static void spare_msrs(struct kvm_msrs *msrs, size_t bytes)
{
	size_t most = (bytes - sizeof(*msrs)) / sizeof(msrs->entries[0]);

	for (size_t i = 0; i < msrs->nmsrs && i < most; i++)
		if (msrs->entries[i].index == MSR_EFER)
			msrs->entries[i].data &= ~EFER_LME;
}

static void spare_emulator(unsigned char *argument, size_t bytes, unsigned long cmd)
{
	struct kvm_debugregs *debugregs = (void *)argument;
	struct kvm_guest_debug *debug = (void *)argument;

	if (cmd == KVM_SET_SREGS || cmd == KVM_SET_SREGS2)
		spare_sregs((void *)argument);
	if (cmd == KVM_SET_MSRS)
		spare_msrs((void *)argument, bytes);
	if (cmd == KVM_SET_DEBUGREGS)
		debugregs->dr7 &= ~0xffull;
	if (cmd == KVM_SET_GUEST_DEBUG)
		debug->control &= ~(uint32_t)KVM_GUESTDBG_USE_HW_BP;
}

static int needs_sparing(unsigned long cmd)
{
	return cmd == KVM_SET_SREGS || cmd == KVM_SET_SREGS2 || cmd == KVM_SET_MSRS ||
	       cmd == KVM_SET_DEBUGREGS || cmd == KVM_SET_GUEST_DEBUG;
}

/* From a copy that the other thread does not know. */
static void spared_call(int fd, unsigned long cmd, const unsigned char *argument)
{
	unsigned char copy[1024] __attribute__((aligned(16)));

	memcpy(copy, argument, sizeof(copy));
	spare_emulator(copy, sizeof(copy), cmd);
	call(fd, cmd, (unsigned long)copy);
}

static void random_call(unsigned int thread)
{
	const struct call *what = &calls[roll(sizeof(calls) / sizeof(calls[0]))];
	unsigned char *argument = buffers[one_in(8) ? !thread : thread];
	int fd = any_file();

	if (what->cmd == KVM_CREATE_VCPU) {
		call(fd, what->cmd, one_in(8) ? edge() : roll(4));
	} else if (_IOC_DIR(what->cmd) == _IOC_NONE) {
		call(fd, what->cmd, one_in(3) ? edge() : 0);
	} else if (one_in(32)) {
		call(fd, what->cmd, edge());
	} else if (needs_sparing(what->cmd)) {
		fill_argument(argument, what);
		spared_call(fd, what->cmd, argument);
	} else {
		fill_argument(argument, what);
		call(fd, what->cmd, (unsigned long)argument);
	}
}

/* ---- memory that comes and goes ---- */

static void change_pool(void)
{
	unsigned long first = roll(POOL_PAGES),
		      pages = 1 + roll(one_in(8) ? POOL_PAGES - first : 8);
	void *at = pool + first * PAGE;
	static const int rights[] = { PROT_READ | PROT_WRITE, PROT_READ, PROT_NONE,
				      PROT_READ | PROT_WRITE | PROT_EXEC };
	int fixed = MAP_FIXED | MAP_NORESERVE;

	if (first + pages > POOL_PAGES)
		pages = POOL_PAGES - first;
	__atomic_fetch_add(&counts[MAPS], 1, __ATOMIC_RELAXED);
	switch (roll(8)) {
	case 0:
		munmap(at, pages * PAGE);
		break;
	case 1:
		mmap(at, pages * PAGE, rights[roll(4)], MAP_PRIVATE | fixed, pool_file,
		     (off_t)(first * PAGE));
		break;
	case 2:
		mmap(at, pages * PAGE, rights[roll(4)], MAP_SHARED | fixed, pool_file,
		     (off_t)(first * PAGE));
		break;
	case 3:
		mprotect(at, pages * PAGE, rights[roll(4)]);
		break;
	case 4:
		madvise(at, pages * PAGE, one_in(2) ? MADV_DONTNEED : MADV_PAGEOUT);
		break;
	case 5:
		madvise(at, pages * PAGE, one_in(2) ? MADV_HUGEPAGE : MADV_COLD);
		break;
	default:
		mmap(at, pages * PAGE, PROT_READ | PROT_WRITE,
		     (one_in(2) ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | fixed, -1, 0);
		break;
	}
}

/* Another process may have the files, and its birth takes the right to write from all our pages. */
static void fork_once(void)
{
	pid_t child = fork();

	if (!child) {
		ioctl(any_file(), KVM_GET_REGS, buffers[0]);
		ioctl(any_file(), KVM_RUN, 0);
		_exit(0);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

/* ---- guests ---- */

/* Instructions that have something to do with us; between them, anything. */
static const char *const snippets[] = {
	"\xf4",		"\xe4\x21",	"\xe6\x20",
	"\xe6\x80",	"\xec",		"\xee",
	"\x66\xef",	"\x6c",		"\xf3\x6e",
	"\x0f\xa2",	"\x0f\x32",	"\x0f\x30",
	"\x0f\x31",	"\x0f\x01\xd9", "\x0f\x01\xc1",
	"\x0f\x20\xc0", "\x0f\x22\xc0", "\x0f\x22\xd8",
	"\x0f\x20\xe0", "\x0f\x06",	"\x0f\x01\xf0",
	"\xcd\x80",	"\xcc",		"\xcf",
	"\xfb",		"\xfa",		"\x9d",
	"\x9c",		"\xf3\xa4",	"\xf3\xab",
	"\x8e\xd0",	"\x0f\x09",	"\x0f\x08",
	"\x0f\x0b",	"\x0f\x21\xf8", "\x0f\x23\xf0",
	"\x0f\x01\xd1", "\xf1",		"\xa1\x00\x00",
	"\xa3\x00\xf0", "\x87\x07",	"\xf0\x0f\xb1\x0f",
	"\xeb\xfe",	"\xf3\x90",	"\x0f\x01\x15",
	"\x0f\x01\x1d", "\x0f\xc7\x0f", "\xd9\xee",
	"\x0f\x6f\x07", "\x0f\x7f\x07",
};

static void write_code(void)
{
	unsigned char code[256];
	size_t at = 0;

	while (at < sizeof(code) - 8) {
		const char *snippet = snippets[roll(sizeof(snippets) / sizeof(snippets[0]))];

		if (one_in(3)) {
			code[at++] = (unsigned char)roll(256);
			continue;
		}
		memcpy(code + at, snippet, strlen(snippet) ? strlen(snippet) : 1);
		at += strlen(snippet) ? strlen(snippet) : 1;
	}
	/* By a call of the kernel's, which bears holes. */
	if (pwrite(pool_file, code, at, (off_t)(roll(32) * PAGE)) < 0)
		return;
}

/* Real mode at some page, protected mode flat, or whatever was there with a little changed. */
static void set_registers(int fd, unsigned char *buffer)
{
	struct kvm_sregs *sregs = (void *)buffer;
	struct kvm_regs *regs = (void *)(buffer + 2048);

	if (call(fd, KVM_GET_SREGS, (unsigned long)sregs) < 0 || one_in(4))
		return;
	sregs->cs.base = 0;
	sregs->cs.selector = 0;
	if (one_in(3)) {
		sregs->cr0 |= 1;
		sregs->cs = sregs->ds = sregs->es = sregs->ss = (struct kvm_segment){
			.limit = 0xffffffff,
			.selector = 8,
			.type = 3,
			.present = 1,
			.s = 1,
			.db = 1,
			.g = 1,
		};
		sregs->cs.type = 11;
	}
	if (one_in(4))
		buffer[roll(sizeof(*sregs))] ^= (unsigned char)(1u << roll(8));
	spared_call(fd, KVM_SET_SREGS, buffer);
	memset(regs, 0, sizeof(*regs));
	regs->rip = roll(32) * PAGE;
	regs->rflags = one_in(4) ? edge() : 2 | (roll(2) << 9);
	regs->rsp = one_in(2) ? 0x8000 : edge();
	regs->rax = edge();
	regs->rcx = one_in(2) ? roll(64) : edge();
	regs->rdx = one_in(2) ? roll(0x400) : edge();
	regs->rdi = roll(64 * PAGE);
	regs->rsi = one_in(2) ? roll(64 * PAGE) : edge();
	call(fd, KVM_SET_REGS, (unsigned long)regs);
}

static void run(unsigned int thread)
{
	int fd = any_file();
	struct kvm_run *page = run_page[fd - 3];

	if (!page) {
		page = mmap(run_pages + (unsigned int)fd * PAGE, PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, fd, 0);
		if (page == MAP_FAILED)
			return;
		run_page[fd - 3] = page;
	}
	if (one_in(3)) {
		write_code();
		set_registers(fd, buffers[thread]);
	}
	for (unsigned int n = 1 + (unsigned int)roll(8); n; n--) {
		page->immediate_exit = one_in(16);
		page->request_interrupt_window = one_in(8);
		if (one_in(16)) {
			page->kvm_valid_regs = roll(8);
			page->kvm_dirty_regs = roll(8) & ~(uint64_t)KVM_SYNC_X86_SREGS;
			fill((unsigned char *)&page->s.regs, sizeof(page->s.regs));
		}
		__atomic_fetch_add(&counts[RUNS], 1, __ATOMIC_RELAXED);
		if (call(fd, KVM_RUN, one_in(64) ? edge() : 0) < 0)
			return;
	}
}

/* ---- a round ---- */

static void file_step(void)
{
	int fd = any_file();
	void *at;

	switch (roll(6)) {
	case 0:
		if (one_in(4))
			close(fd);
		break;
	case 1:
		eventfd((unsigned int)roll(3), EFD_NONBLOCK);
		break;
	case 2:
		eventfd_write(fd, roll(3));
		break;
	case 3:
		if (read(fd, buffers[roll(2)], 1 + roll(BUFFER - 1)) < 0)
			break;
		break;
	case 4:
		at = mmap(NULL, PAGE * (1 + roll(4)), PROT_READ | (int)(roll(8) & PROT_WRITE),
			  one_in(4) ? MAP_PRIVATE : MAP_SHARED, fd, (off_t)(roll(80) * PAGE));
		if (at == MAP_FAILED)
			break;
		if (one_in(2))
			madvise(at, PAGE, MADV_POPULATE_READ);
		munmap(at, PAGE);
		break;
	default:
		if (one_in(8))
			dup(fd);
		break;
	}
}

static void *thread_main(void *arg)
{
	unsigned int thread = (unsigned int)(uintptr_t)arg & 1;

	chance = (uint64_t)(uintptr_t)arg;
	for (;;) {
		switch (roll(16)) {
		case 0:
			file_step();
			break;
		case 1:
			change_pool();
			break;
		case 2 ... 6:
			run(thread);
			break;
		case 7:
			if (one_in(64))
				fork_once();
			break;
		default:
			random_call(thread);
			break;
		}
	}
	return NULL;
}

static void nothing(int number)
{
	(void)number;
}

static void pool_open(void)
{
	pool = mmap(NULL, POOL_PAGES * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	run_pages = mmap(NULL, (FILES + 3) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pool_file = memfd_create("pool", 0);
	pool_file = dup2(pool_file, FILES + 8);
	if (pool == MAP_FAILED || run_pages == MAP_FAILED ||
	    ftruncate(pool_file, POOL_PAGES * PAGE))
		_exit(2);
	mmap(pool, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, pool_file, 0);
}

/* A VM with memory and two vCPUs, so that chance need not find them. */
static void vm_open(int device)
{
	struct kvm_userspace_memory_region slot = { .memory_size = 64 * PAGE,
						    .userspace_addr = (uint64_t)pool };
	int vm = ioctl(device, KVM_CREATE_VM, 0);
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { 4096 } };

	if (one_in(4))
		slot.flags = KVM_MEM_LOG_DIRTY_PAGES;
	if (one_in(4))
		ioctl(vm, KVM_ENABLE_CAP, &cap);
	ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot);
	if (one_in(2))
		ioctl(vm, KVM_CREATE_IRQCHIP, 0);
	ioctl(vm, KVM_CREATE_VCPU, 0);
	ioctl(vm, KVM_CREATE_VCPU, 1);
}

static void sleep_ms(unsigned int ms)
{
	struct timespec time = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&time, NULL);
}

static uint64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void round_main(uint64_t seed)
{
	struct rlimit files = { FILES + 16, FILES + 16 };
	struct sigaction action = { .sa_handler = nothing };
	uint64_t end = now_ms() + ROUND_MS;
	pthread_t threads[2];

	chance = seed * 0x9e3779b97f4a7c15ull | 1;
	roll(1);
	sigaction(SIGUSR1, &action, NULL);
	setrlimit(RLIMIT_NOFILE, &files);
	pool_open();
	vm_open(open("/dev/kvm", O_RDWR | O_CLOEXEC));
	for (uintptr_t i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, thread_main,
				   (void *)((roll(~0ull) << 2 | 2) + i)))
			_exit(2);
	while (now_ms() < end) {
		sleep_ms(2 + (unsigned int)roll(8));
		pthread_kill(threads[roll(2)], SIGUSR1);
	}
	_exit(0);
}

/* ---- all rounds ---- */

static void show_stacks(pid_t child)
{
	char command[96];

	snprintf(command, sizeof(command), "head -n 20 /proc/%d/task/*/stack", child);
	if (system(command))
		printf("no stacks\n");
}

/* Waits so long; 0: it is gone. */
static int wait_gone(pid_t child, unsigned int ms)
{
	uint64_t end = now_ms() + ms;

	while (now_ms() < end) {
		if (waitpid(child, NULL, WNOHANG) == child)
			return 0;
		sleep_ms(20);
	}
	return -1;
}

static int round_run(uint64_t seed)
{
	pid_t child = fork();

	if (child < 0)
		return -1;
	if (!child) {
		setpgid(0, 0);
		round_main(seed);
	}
	if (!wait_gone(child, ROUND_MS * 4))
		return 0;
	kill(child, SIGKILL);
	if (!wait_gone(child, END_MS))
		return 0;
	printf("round with seed %llu hangs\n", (unsigned long long)seed);
	show_stacks(child);
	return -1;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL), end;
	unsigned int rounds = 0;
	int bad = 0;

	end = now_ms() + 1000 * (argc > 1 ? strtoull(argv[1], NULL, 0) : 20);
	counts = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	printf("seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	while (!bad && now_ms() < end) {
		bad = round_run(seed + rounds++);
		if (rounds % 20 == 0)
			printf("%u rounds, %lu calls\n", rounds, counts[CALLS]);
		fflush(stdout);
	}
	printf("%u rounds, %lu calls, %lu of them good, %lu runs of guests, %lu changes of "
	       "mappings\n",
	       rounds, counts[CALLS], counts[GOOD], counts[RUNS], counts[MAPS]);
	return bad || !counts[RUNS] ? 1 : 0;
}
