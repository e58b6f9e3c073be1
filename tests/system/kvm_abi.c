// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What only the real /dev/kvm can show of the ABI: files, mappings, eventfds, signals, processes.
 * Run in the emulated PC by tests/system/kvm-abi. Guests are a few bytes of real-mode code.
 */
#define _GNU_SOURCE /* pthread_tryjoin_np */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 16
#define CODE 0x1000

static int device, checks, bad, passed, failed;

#define CHECK(condition) check(!!(condition), #condition, __LINE__)

static void check(int good, const char *text, int line)
{
	checks++;
	if (good)
		return;
	bad++;
	printf("line %d: not so: %s (errno %d)\n", line, text, errno);
}

/* ---- a VM with one vCPU ---- */

struct vm {
	int fd, vcpu;
	struct kvm_run *run;
	unsigned char *memory, *io;
};

enum {
	PLAIN,
	IRQCHIP
};

static void vm_open(struct vm *vm, int irqchip, const void *code, size_t bytes)
{
	struct kvm_userspace_memory_region slot = { .memory_size = PAGES * 4096 };
	struct kvm_regs regs = { .rip = CODE, .rflags = 2, .rsp = 0x8000 };
	struct kvm_sregs sregs;

	vm->fd = ioctl(device, KVM_CREATE_VM, 0);
	CHECK(vm->fd >= 0);
	vm->memory =
		mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memcpy(vm->memory + CODE, code, bytes);
	slot.userspace_addr = (unsigned long)vm->memory;
	CHECK(!ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot));
	if (irqchip)
		CHECK(!ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0));
	vm->vcpu = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	CHECK(vm->vcpu >= 0);
	vm->run = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	CHECK(vm->run != MAP_FAILED);
	vm->io = (unsigned char *)vm->run + 4096;
	CHECK(!ioctl(vm->vcpu, KVM_GET_SREGS, &sregs));
	sregs.cs.base = sregs.cs.selector = 0;
	CHECK(!ioctl(vm->vcpu, KVM_SET_SREGS, &sregs));
	CHECK(!ioctl(vm->vcpu, KVM_SET_REGS, &regs));
}

static void vm_close(struct vm *vm)
{
	munmap(vm->run, 8192);
	close(vm->vcpu);
	close(vm->fd);
	munmap(vm->memory, PAGES * 4096);
}

/* The VM's reasons have these words. */
static int says(int fd, const char *words)
{
	char text[4096] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		return 0;
	return strstr(text, words) != NULL;
}

/* ---- the tests ---- */

static void reasons_can_be_read(void)
{
	char path[64], text[4096] = "";
	struct vm vm;
	int fd;

	vm_open(&vm, PLAIN, "\xf4", 1);
	CHECK(ioctl(vm.fd, KVM_SET_BOOT_CPU_ID, 999) < 0 && errno == EBUSY);
	CHECK(says(vm.fd, "KVM_SET_BOOT_CPU_ID: 1 vCPUs exist"));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", vm.fd);
	fd = open(path, O_RDONLY);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	CHECK(strstr(text, "reason:\tKVM_SET_BOOT_CPU_ID: 1 vCPUs exist"));
	close(fd);
	vm_close(&vm);
	CHECK(says(device, "a VM that ended: KVM_SET_BOOT_CPU_ID"));
	CHECK(ioctl(device, 0x1234) < 0 && errno == ENOTTY);
	CHECK(says(device, "ioctl 0x1234: not one of this kind of file"));
}

/* mov dx, 0x3f8; mov al, 'x'; out dx, al; in al, dx; out dx, al; hlt */
static const char ports[] = "\xba\xf8\x03\xb0\x78\xee\xec\xee\xf4";

static void ports_and_halt_come_to_user_space(void)
{
	struct vm vm;

	vm_open(&vm, PLAIN, ports, sizeof(ports));
	CHECK(!ioctl(vm.vcpu, KVM_RUN, 0));
	CHECK(vm.run->exit_reason == KVM_EXIT_IO && vm.run->io.direction == KVM_EXIT_IO_OUT);
	CHECK(vm.run->io.port == 0x3f8 && vm.run->io.data_offset == 4096 && vm.io[0] == 'x');
	CHECK(!ioctl(vm.vcpu, KVM_RUN, 0));
	CHECK(vm.run->exit_reason == KVM_EXIT_IO && vm.run->io.direction == KVM_EXIT_IO_IN);
	vm.io[0] = 'y';
	CHECK(!ioctl(vm.vcpu, KVM_RUN, 0));
	CHECK(vm.run->exit_reason == KVM_EXIT_IO && vm.io[0] == 'y');
	CHECK(!ioctl(vm.vcpu, KVM_RUN, 0));
	CHECK(vm.run->exit_reason == KVM_EXIT_HLT);
	vm_close(&vm);
}

/* mov ax, 0xf000; mov ds, ax; mov al, [0]; mov [1], al; hlt */
static const char device_memory[] = "\xb8\x00\xf0\x8e\xd8\xa0\x00\x00\xa2\x01\x00\xf4";

static void device_memory_comes_to_user_space(void)
{
	struct vm vm;

	vm_open(&vm, PLAIN, device_memory, sizeof(device_memory));
	CHECK(!ioctl(vm.vcpu, KVM_RUN, 0));
	CHECK(vm.run->exit_reason == KVM_EXIT_MMIO && !vm.run->mmio.is_write);
	CHECK(vm.run->mmio.phys_addr == 0xf0000 && vm.run->mmio.len == 1);
	vm.run->mmio.data[0] = 0x5a;
	CHECK(!ioctl(vm.vcpu, KVM_RUN, 0));
	CHECK(vm.run->exit_reason == KVM_EXIT_MMIO && vm.run->mmio.is_write);
	CHECK(vm.run->mmio.phys_addr == 0xf0001 && vm.run->mmio.data[0] == 0x5a);
	CHECK(!ioctl(vm.vcpu, KVM_RUN, 0));
	CHECK(vm.run->exit_reason == KVM_EXIT_HLT);
	vm_close(&vm);
}

static void mappings_of_a_vcpu_end_where_its_pages_do(void)
{
	struct vm vm;
	int status;

	vm_open(&vm, PLAIN, "\xf4", 1);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, vm.vcpu, 0) == MAP_FAILED);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, vm.vcpu, 0) == MAP_FAILED);
	if (!fork()) {
		volatile char *hole = mmap(NULL, 4096, PROT_READ, MAP_SHARED, vm.vcpu, 3 * 4096);

		_exit(*hole);
	}
	wait(&status);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	/* The pages outlive the file and the VM while they are mapped. */
	close(vm.vcpu);
	close(vm.fd);
	vm.run->immediate_exit = 1;
	CHECK(vm.run->immediate_exit == 1);
	munmap(vm.run, 8192);
	munmap(vm.memory, PAGES * 4096);
}

static void another_process_is_refused(void)
{
	struct vm vm;
	int status;

	vm_open(&vm, PLAIN, "\xf4", 1);
	if (!fork()) {
		int vm_refused = ioctl(vm.fd, KVM_CHECK_EXTENSION, 0) < 0 && errno == EIO;
		int run_refused = ioctl(vm.vcpu, KVM_RUN, 0) < 0 && errno == EIO;

		_exit(vm_refused && run_refused ? 0 : 1);
	}
	wait(&status);
	CHECK(status == 0);
	CHECK(says(vm.fd, "not in the address space that created the VM"));
	CHECK(!ioctl(vm.vcpu, KVM_RUN, 0));
	vm_close(&vm);
}

static void on_alarm(int number)
{
	(void)number;
}

static void a_signal_interrupts_the_guest(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval soon = { .it_value.tv_usec = 100000 };
	struct vm vm;

	vm_open(&vm, PLAIN, "\xeb\xfe", 2);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	CHECK(ioctl(vm.vcpu, KVM_RUN, 0) < 0 && errno == EINTR);
	CHECK(vm.run->exit_reason == KVM_EXIT_INTR);
	vm.run->immediate_exit = 1;
	CHECK(ioctl(vm.vcpu, KVM_RUN, 0) < 0 && errno == EINTR);
	vm_close(&vm);
}

static void a_blocked_signal_interrupts_by_the_mask(void)
{
	struct itimerval soon = { .it_value.tv_usec = 100000 };
	struct {
		struct kvm_signal_mask head;
		unsigned long set;
	} __attribute__((packed)) mask = { .head = { .len = 8 } };
	sigset_t alarm_only;
	struct vm vm;

	vm_open(&vm, PLAIN, "\xeb\xfe", 2);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarm_only, NULL);
	CHECK(!ioctl(vm.vcpu, KVM_SET_SIGNAL_MASK, &mask));
	setitimer(ITIMER_REAL, &soon, NULL);
	CHECK(ioctl(vm.vcpu, KVM_RUN, 0) < 0 && errno == EINTR);
	/* It is still pending: the mask only made it be noticed. */
	sigpending(&alarm_only);
	CHECK(sigismember(&alarm_only, SIGALRM));
	sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
	vm_close(&vm);
}

/* mov dx, 0x600; mov al, 7; out dx, al; hlt */
static const char rings[] = "\xba\x00\x06\xb0\x07\xee\xf4";

static void an_ioeventfd_is_signaled(void)
{
	struct kvm_ioeventfd bell = { .addr = 0x600, .len = 1, .flags = KVM_IOEVENTFD_FLAG_PIO };
	eventfd_t count = 0;
	struct vm vm;

	vm_open(&vm, PLAIN, rings, sizeof(rings));
	bell.fd = eventfd(0, EFD_NONBLOCK);
	CHECK(!ioctl(vm.fd, KVM_IOEVENTFD, &bell));
	CHECK(!ioctl(vm.vcpu, KVM_RUN, 0));
	CHECK(vm.run->exit_reason == KVM_EXIT_HLT);
	CHECK(!eventfd_read(bell.fd, &count) && count == 1);
	close(bell.fd);
	vm_close(&vm);
}

/*
 * Waits with interrupts on; vector 0x51 ends the interrupt by x2APIC's EOI and writes to port 0x80.
 */
static const char waits[] = "\xfb\xf4\xeb\xfc"; /* sti; hlt; jmp back */
static const char handles[] = "\x66\xb9\x0b\x08\x00\x00" /* mov ecx, 0x80b */
			      "\x66\x31\xc0\x66\x31\xd2" /* xor eax, eax; xor edx, edx */
			      "\x0f\x30\xe6\x80\xcf"; /* wrmsr; out 0x80, al; iret */

static void apic_on(const struct vm *vm)
{
	static struct kvm_lapic_state lapic;
	struct kvm_sregs sregs;

	CHECK(!ioctl(vm->vcpu, KVM_GET_SREGS, &sregs));
	sregs.apic_base |= 0xc00;
	CHECK(!ioctl(vm->vcpu, KVM_SET_SREGS, &sregs));
	CHECK(!ioctl(vm->vcpu, KVM_GET_LAPIC, &lapic));
	lapic.regs[0xf1] |= 1;
	CHECK(!ioctl(vm->vcpu, KVM_SET_LAPIC, &lapic));
}

static void route_51(const struct vm *vm)
{
	static struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} routing = { .head = { .nr = 1 }, .entry = { .gsi = 20, .type = KVM_IRQ_ROUTING_MSI } };

	routing.entry.u.msi.address_lo = 0xfee00000;
	routing.entry.u.msi.data = 0x51;
	CHECK(!ioctl(vm->fd, KVM_SET_GSI_ROUTING, &routing));
}

static void *signal_later(void *eventfd)
{
	usleep(200000);
	eventfd_write(*(int *)eventfd, 1);
	return NULL;
}

static void an_irqfd_wakes_the_guest(void)
{
	struct kvm_irqfd irqfd = { .gsi = 20 };
	pthread_t thread;
	struct vm vm;
	int event = eventfd(0, 0);

	vm_open(&vm, IRQCHIP, waits, sizeof(waits));
	memcpy(vm.memory + 0x2000, handles, sizeof(handles));
	*(unsigned int *)(vm.memory + 0x51 * 4) = 0x2000;
	apic_on(&vm);
	route_51(&vm);
	irqfd.fd = event;
	CHECK(!ioctl(vm.fd, KVM_IRQFD, &irqfd));
	CHECK(ioctl(vm.fd, KVM_IRQFD, &irqfd) < 0 && errno == EBUSY);
	pthread_create(&thread, NULL, signal_later, &event);
	CHECK(!ioctl(vm.vcpu, KVM_RUN, 0));
	CHECK(vm.run->exit_reason == KVM_EXIT_IO && vm.run->io.port == 0x80);
	pthread_join(thread, NULL);
	/* Its counter was taken. */
	struct pollfd readable = { .fd = event, .events = POLLIN };
	CHECK(poll(&readable, 1, 0) == 0);
	close(event);
	vm_close(&vm);
}

static void eventfds_and_vms_end_in_any_order(void)
{
	for (int i = 0; i < 100; i++) {
		struct kvm_irqfd irqfd = { .gsi = 20 };
		struct vm vm;

		vm_open(&vm, IRQCHIP, "\xf4", 1);
		route_51(&vm);
		irqfd.fd = eventfd(0, 0);
		irqfd.resamplefd = eventfd(0, 0);
		irqfd.flags = i & 1 ? KVM_IRQFD_FLAG_RESAMPLE : 0;
		CHECK(!ioctl(vm.fd, KVM_IRQFD, &irqfd));
		eventfd_write(irqfd.fd, 1);
		if (i & 2)
			close(irqfd.fd);
		if (i & 4)
			close(irqfd.resamplefd);
		vm_close(&vm);
		if (!(i & 2)) {
			eventfd_write(irqfd.fd, 1);
			close(irqfd.fd);
		}
		if (!(i & 4))
			close(irqfd.resamplefd);
	}
}

/* mov [0x5000], al; hlt */
static const char dirties[] = "\xa2\x00\x50\xf4";

static void written_pages_are_logged(void)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = PAGES * 4096,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
	};
	unsigned long bitmap[1] = { ~0UL };
	struct kvm_dirty_log log = { .dirty_bitmap = bitmap };
	struct vm vm;

	vm_open(&vm, PLAIN, dirties, sizeof(dirties));
	slot.userspace_addr = (unsigned long)vm.memory;
	CHECK(!ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &slot));
	CHECK(!ioctl(vm.fd, KVM_GET_DIRTY_LOG, &log) && bitmap[0] == 0);
	CHECK(!ioctl(vm.vcpu, KVM_RUN, 0));
	CHECK(!ioctl(vm.fd, KVM_GET_DIRTY_LOG, &log) && bitmap[0] == 1 << 5);
	vm_close(&vm);
}

/* mov edi, 1M; again: mov al, [edi]; mov [edi], al; add edi, 4096; cmp edi, ebx; jb again; hlt */
static const char walks[] = "\xbf\0\0\x10\0\x8a\x07\x88\x07\x81\xc7\0\x10\0\0\x39\xdf\x72\xf2\xf4";

#define WALK_BEGIN 0x100000UL
#define WALK_PAGES 1216UL /* more than twice what a processor logs at a time */

/* The guest reads and writes that many pages; how many the log has then. */
static unsigned long walk(struct vm *vm, unsigned long pages)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	unsigned long bitmap[WALK_PAGES / 64], count = 0;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };

	regs.rbx = WALK_BEGIN + pages * 4096;
	CHECK(!ioctl(vm->vcpu, KVM_SET_REGS, &regs));
	CHECK(!pages || (!ioctl(vm->vcpu, KVM_RUN, 0) && vm->run->exit_reason == KVM_EXIT_HLT));
	CHECK(!ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	for (unsigned long page = 0; page < WALK_PAGES; page++) {
		int bit = bitmap[page / 64] >> page % 64 & 1;

		CHECK(!bit || page < pages);
		count += bit;
	}
	return count;
}

static void many_written_pages_are_logged_again_and_again(void)
{
	struct kvm_segment flat = {
		.limit = ~0U, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1, .selector = 8
	};
	struct kvm_userspace_memory_region slot = {
		.slot = 1,
		.guest_phys_addr = WALK_BEGIN,
		.memory_size = WALK_PAGES * 4096,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
	};
	void *memory = mmap(NULL, WALK_PAGES * 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_sregs sregs;
	struct vm vm;

	vm_open(&vm, PLAIN, walks, sizeof(walks));
	slot.userspace_addr = (unsigned long)memory;
	CHECK(!ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION, &slot));
	CHECK(!ioctl(vm.vcpu, KVM_GET_SREGS, &sregs));
	sregs.ds = sregs.es = sregs.ss = sregs.cs = flat;
	sregs.cs.type = 0xb;
	sregs.cr0 |= 1;
	CHECK(!ioctl(vm.vcpu, KVM_SET_SREGS, &sregs));
	CHECK(walk(&vm, WALK_PAGES) == WALK_PAGES);
	CHECK(walk(&vm, 0) == 0);
	CHECK(walk(&vm, 600) == 600);
	CHECK(walk(&vm, WALK_PAGES) == WALK_PAGES);
	CHECK(walk(&vm, 1) == 1);
	vm_close(&vm);
	munmap(memory, WALK_PAGES * 4096);
}

static void the_dirty_ring_has_written_pages(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { 65536 } };
	struct kvm_userspace_memory_region slot = {
		.memory_size = PAGES * 4096,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
		.slot = 3,
	};
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	volatile struct kvm_dirty_gfn *ring;
	struct kvm_sregs sregs;
	void *memory =
		mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int vm = ioctl(device, KVM_CREATE_VM, 0), vcpu;

	memcpy((char *)memory + CODE, dirties, sizeof(dirties));
	CHECK(!ioctl(vm, KVM_ENABLE_CAP, &cap));
	slot.userspace_addr = (unsigned long)memory;
	CHECK(!ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot));
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	ring = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu,
		    KVM_DIRTY_LOG_PAGE_OFFSET * 4096);
	CHECK(ring != MAP_FAILED);
	CHECK(!ioctl(vcpu, KVM_GET_SREGS, &sregs));
	sregs.cs.base = sregs.cs.selector = 0;
	CHECK(!ioctl(vcpu, KVM_SET_SREGS, &sregs));
	CHECK(!ioctl(vcpu, KVM_SET_REGS, &regs));
	CHECK(!ioctl(vcpu, KVM_RUN, 0));
	CHECK(ring[0].flags == KVM_DIRTY_GFN_F_DIRTY && ring[0].slot == 3 && ring[0].offset == 5);
	CHECK(ring[1].flags == 0);
	ring[0].flags = KVM_DIRTY_GFN_F_RESET;
	CHECK(ioctl(vm, KVM_RESET_DIRTY_RINGS, 0) == 1);
	CHECK(ring[0].flags == 0);
	munmap((void *)ring, 65536);
	close(vcpu);
	close(vm);
	munmap(memory, PAGES * 4096);
}

static void statistics_can_be_read(void)
{
	static char file[16384];
	const struct kvm_stats_header *header = (void *)file;
	struct vm vm;
	int stats;

	vm_open(&vm, PLAIN, "\xf4", 1);
	CHECK(!ioctl(vm.vcpu, KVM_RUN, 0));
	stats = ioctl(vm.vcpu, KVM_GET_STATS_FD, 0);
	CHECK(stats >= 0);
	CHECK(pread(stats, file, sizeof(file), 0) > 0);
	CHECK(header->num_desc > 10 && !strcmp(file + header->id_offset, "bivisor-vcpu-00"));
	CHECK(pread(stats, file, 8, 1 << 20) == 0);
	close(stats);
	vm_close(&vm);
}

static void two_hundred_vms_come_and_go(void)
{
	for (int i = 0; i < 200; i++) {
		struct vm vm;

		vm_open(&vm, i & 1, "\xe6\x80", 2);
		CHECK(!ioctl(vm.vcpu, KVM_RUN, 0) && vm.run->exit_reason == KVM_EXIT_IO);
		vm_close(&vm);
	}
}

/* Many threads, one VM: creation, memory and interrupts while it runs. */
static int storm_over, storm_runs;

static void *storm_run(void *arg)
{
	struct vm *vm = arg;

	while (!__atomic_load_n(&storm_over, __ATOMIC_RELAXED))
		storm_runs += !ioctl(vm->vcpu, KVM_RUN, 0);
	return NULL;
}

static void *storm_slots(void *arg)
{
	struct vm *vm = arg;
	struct kvm_userspace_memory_region slot = { .slot = 1, .guest_phys_addr = 0x100000 };

	slot.userspace_addr = (unsigned long)vm->memory;
	/* On a busy machine the guest comes to run once in a thousand changes. */
	for (int i = 0; i < 500 || __atomic_load_n(&storm_runs, __ATOMIC_RELAXED) < 200; i++) {
		slot.memory_size = i & 1 ? 0 : 0x4000;
		ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot);
	}
	__atomic_store_n(&storm_over, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *storm_irqs(void *arg)
{
	struct vm *vm = arg;
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = 0x51 };

	while (!__atomic_load_n(&storm_over, __ATOMIC_RELAXED)) {
		ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);
		route_51(vm);
	}
	return NULL;
}

static void calls_race_with_a_running_guest(void)
{
	static void *(*const bodies[])(void *) = { storm_run, storm_slots, storm_irqs };
	struct sigaction action = { .sa_handler = on_alarm };
	pthread_t thread[3];
	struct vm vm;

	sigaction(SIGALRM, &action, NULL);
	vm_open(&vm, IRQCHIP, waits, sizeof(waits));
	memcpy(vm.memory + 0x2000, handles, sizeof(handles));
	*(unsigned int *)(vm.memory + 0x51 * 4) = 0x2000;
	apic_on(&vm);
	route_51(&vm);
	for (int i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, bodies[i], &vm);
	pthread_join(thread[1], NULL);
	pthread_join(thread[2], NULL);
	/* The guest may be asleep, or about to be: signals bring its thread back. */
	while (pthread_tryjoin_np(thread[0], NULL)) {
		pthread_kill(thread[0], SIGALRM);
		usleep(1000);
	}
	CHECK(storm_runs > 100);
	vm_close(&vm);
}

static const struct {
	const char *name;
	void (*body)(void);
} tests[] = {
#define TEST(name)          \
	{                   \
#name, name \
	}
	TEST(reasons_can_be_read),
	TEST(ports_and_halt_come_to_user_space),
	TEST(device_memory_comes_to_user_space),
	TEST(mappings_of_a_vcpu_end_where_its_pages_do),
	TEST(another_process_is_refused),
	TEST(a_signal_interrupts_the_guest),
	TEST(a_blocked_signal_interrupts_by_the_mask),
	TEST(an_ioeventfd_is_signaled),
	TEST(an_irqfd_wakes_the_guest),
	TEST(eventfds_and_vms_end_in_any_order),
	TEST(written_pages_are_logged),
	TEST(many_written_pages_are_logged_again_and_again),
	TEST(the_dirty_ring_has_written_pages),
	TEST(statistics_can_be_read),
	TEST(two_hundred_vms_come_and_go),
	TEST(calls_race_with_a_running_guest),
};

/* With an argument: opens a VM and sleeps, for tests of what happens meanwhile. */
int main(int argc, char **argv)
{
	struct vm vm;

	setvbuf(stdout, NULL, _IOLBF, 0);
	device = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (device < 0) {
		perror("/dev/kvm");
		return 1;
	}
	if (argc > 1 && !strcmp(argv[1], "hold")) {
		vm_open(&vm, PLAIN, "\xeb\xfe", 2);
		puts("holding");
		ioctl(vm.vcpu, KVM_RUN, 0);
		return 0;
	}
	for (unsigned int i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (argc > 1 && strcmp(argv[1], tests[i].name))
			continue;
		checks = bad = 0;
		tests[i].body();
		*(bad || !checks ? &failed : &passed) += 1;
		printf("%-8s %s\n", bad || !checks ? "FAILED" : "ok", tests[i].name);
	}
	printf("abi: %d passed, %d failed\n", passed, failed);
	return failed != 0;
}
