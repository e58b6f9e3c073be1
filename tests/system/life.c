// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Creates VMs with two vCPUs and ends them, COUNT times: in turn by closing them in order, out of
 * order, and by SIGKILL while they run. Looks at what it still holds itself; what the kernel still
 * holds, tests/system/life looks at. With the word "free" or "shared": see memory_dropped.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 64
#define CODE 0x1000
#define MAPPED 4096 /* of a vCPU's file */

/* Writes its number to each page from 2 to 15, asks for port 0x80, spins. */
static const unsigned char code[] = {
	0xbb, 0x00, 0x02, /* mov bx, 0x200: the segment of page 2 */
	0x8e, 0xdb, /* next: mov ds, bx */
	0x89, 0x1e, 0x00, 0x00, /* mov [0], bx */
	0x81, 0xc3, 0x00, 0x01, /* add bx, 0x100 */
	0x81, 0xfb, 0x00, 0x10, /* cmp bx, 0x1000 */
	0x72, 0xf0, /* jb next */
	0xe6, 0x80, /* out 0x80, al */
	0xeb, 0xfe, /* jmp here */
};

struct vm {
	int device, fd, vcpu[2];
	struct kvm_run *run[2];
	unsigned char *memory;
};

static void must(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static void vcpu_open(struct vm *vm, int i)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs;

	vm->vcpu[i] = ioctl(vm->fd, KVM_CREATE_VCPU, i);
	must(vm->vcpu[i] >= 0, "KVM_CREATE_VCPU");
	vm->run[i] = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu[i], 0);
	must(vm->run[i] != MAP_FAILED, "mmap of a vCPU");
	must(!ioctl(vm->vcpu[i], KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs.base = sregs.cs.selector = 0;
	must(!ioctl(vm->vcpu[i], KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(!ioctl(vm->vcpu[i], KVM_SET_REGS, &regs), "KVM_SET_REGS");
	must(!ioctl(vm->vcpu[i], KVM_SET_MP_STATE, &runnable), "KVM_SET_MP_STATE");
}

/* file: what the memory is made of, -1 for none */
static void vm_open(struct vm *vm, int file)
{
	struct kvm_userspace_memory_region slot = { .memory_size = PAGES * 4096,
						    .flags = KVM_MEM_LOG_DIRTY_PAGES };

	vm->device = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	must(vm->device >= 0, "/dev/kvm");
	vm->fd = ioctl(vm->device, KVM_CREATE_VM, 0);
	must(vm->fd >= 0, "KVM_CREATE_VM");
	vm->memory = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE,
			  file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, file, 0);
	must(vm->memory != MAP_FAILED, "mmap of memory");
	memcpy(vm->memory + CODE, code, sizeof(code));
	slot.userspace_addr = (unsigned long)vm->memory;
	must(!ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot), "KVM_SET_USER_MEMORY_REGION");
	must(!ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
	vcpu_open(vm, 0);
	vcpu_open(vm, 1);
}

static void *vcpu_to_port(void *fd)
{
	must(!ioctl(*(int *)fd, KVM_RUN, 0), "KVM_RUN");
	return NULL;
}

static void *vcpu_for_ever(void *fd)
{
	for (;;)
		ioctl(*(int *)fd, KVM_RUN, 0);
	return NULL;
}

static void vm_run(struct vm *vm, pthread_t *thread, void *(*run)(void *fd))
{
	for (int i = 0; i < 2; i++)
		must(!pthread_create(&thread[i], NULL, run, &vm->vcpu[i]), "pthread_create");
}

static void vm_check(const struct vm *vm)
{
	for (int page = 2; page < 16; page++)
		must(vm->memory[page * 4096 + 1] == page, "the guest's data");
	for (int i = 0; i < 2; i++)
		must(vm->run[i]->exit_reason == KVM_EXIT_IO, "the guest's port");
}

/* A VM lives until its last file and mapping are gone, whichever that is. */
static void vm_close(struct vm *vm, int backwards)
{
	for (int i = 0; i < 2; i++) {
		if (!backwards)
			munmap(vm->run[i], MAPPED);
		close(vm->vcpu[i]);
	}
	if (backwards)
		munmap(vm->memory, PAGES * 4096);
	close(vm->fd);
	for (int i = 0; i < 2 && backwards; i++)
		munmap(vm->run[i], MAPPED);
	if (!backwards)
		munmap(vm->memory, PAGES * 4096);
	close(vm->device);
}

static void life_closed(int backwards)
{
	pthread_t thread[2];
	struct vm vm;

	vm_open(&vm, -1);
	vm_run(&vm, thread, vcpu_to_port);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	vm_check(&vm);
	vm_close(&vm, backwards);
}

/* A file of shared memory whose pages were looked at, but never written. */
static void memory_seen(const volatile unsigned char *pages)
{
	for (int page = 0; page < 14; page++)
		must(pages[page * 4096] == 0, "a new page");
}

/*
 * Pages that are clean, and that the guest then writes, are Linux's to swap but not to drop, though
 * the process itself never writes them: pages that it gave up, or pages of shared memory that it
 * has only read. One call finds them used lately, the next ones do not.
 */
static void memory_dropped(int shared)
{
	unsigned char *pages;
	pthread_t thread[2];
	struct vm vm;
	int file = shared ? memfd_create("memory", 0) : -1;

	must(!shared || !ftruncate(file, PAGES * 4096), "a file of shared memory");
	vm_open(&vm, file);
	pages = vm.memory + 2 * 4096;
	if (shared) {
		memory_seen(pages);
	} else {
		memset(pages, 0xff, 14 * 4096);
		must(!madvise(pages, 14 * 4096, MADV_FREE), "MADV_FREE");
	}
	vm_run(&vm, thread, vcpu_to_port);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	for (int i = 0; i < 4; i++)
		must(!madvise(pages, 14 * 4096, MADV_PAGEOUT), "MADV_PAGEOUT");
	vm_check(&vm);
	vm_close(&vm, 0);
}

/* Killed after up to 40 ms: while it is made, while it runs, or while it is already being ended. */
static void life_killed(unsigned int delay)
{
	int status;
	pid_t child = fork();

	if (!child) {
		pthread_t thread[2];
		struct vm vm;

		vm_open(&vm, -1);
		vm_run(&vm, thread, vcpu_for_ever);
		pause();
	}
	usleep(delay);
	kill(child, SIGKILL);
	must(waitpid(child, &status, 0) == child && WIFSIGNALED(status), "the killed VM");
}

static int count_files(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 200, files = count_files();

	if (argc > 1 && (!strcmp(argv[1], "free") || !strcmp(argv[1], "shared"))) {
		memory_dropped(argv[1][0] == 's');
		return 0;
	}
	srand(1);
	for (int i = 0; i < count; i++)
		if (i % 4 == 3)
			life_killed(rand() % 40000);
		else
			life_closed(i % 2);
	must(count_files() == files, "files");
	printf("%d VMs\n", count);
	return 0;
}
