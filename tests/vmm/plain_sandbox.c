// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The sandbox, from inside: a child goes in and tries what a guest that has taken over would try.
 * Each attempt must fail for the sandbox's own reason; what a VM needs must still work.
 */
#include "tests/unit/test.h"
#include "tests/vmm/fake.h"
#include "vmm/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char somebodys[] = "/tmp/bv-sandbox-XXXXXX"; /* a file that is not the VM's */

static bool refused(long result)
{
	return result < 0 && (errno == EPERM || errno == EACCES);
}

static void *nothing(void *argument)
{
	return argument;
}

static bool threads_start(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

static bool memory_comes(void)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at != MAP_FAILED && munmap(at, 4096) == 0;
}

/* Not refused, though there is no such descriptor. */
static bool kvm_is_asked(void)
{
	return ioctl(-1, KVM_RUN, 0) < 0 && errno == EBADF;
}

static bool code_can_be_made(void)
{
	return mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	       MAP_FAILED;
}

/* The bit of each that was not as it should be. */
static int attempts(bool sockets)
{
	int faults = 0;

	faults |= !refused(open("/etc/passwd", O_RDONLY)) << 0;
	faults |= !refused(open("/tmp/bv-sandbox", O_RDWR | O_CREAT, 0600)) << 1;
	faults |= !refused(unlink(somebodys)) << 2;
	faults |= !refused(fork()) << 3;
	faults |= !refused(execl("/bin/true", "true", NULL)) << 4;
	faults |= !refused(kill(getppid(), 0)) << 5;
	faults |= !refused(ptrace(PTRACE_ATTACH, getppid(), 0, 0)) << 6;
	faults |= !refused(socket(AF_UNIX, SOCK_STREAM, 0)) << 7;
	faults |= (refused(socket(AF_INET, SOCK_STREAM, 0)) == sockets) << 8;
	faults |= !refused(ioctl(0, TIOCSTI, "x")) << 9;
	faults |= code_can_be_made() << 10;
	faults |= (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) > 0) << 11; /* prctl itself is refused */
	faults |= !threads_start() << 12;
	faults |= !memory_comes() << 13;
	faults |= !kvm_is_asked() << 14;
	return faults;
}

/* In a child, which tells by a pipe what it found. */
static int faults_of(bool sockets)
{
	struct vmm_net net = { .kind = VMM_NET_USER };
	struct vmm_config config = { .nets = &net, .nets_count = sockets };
	struct vm vm = { .config = &config };
	struct why why = { 0 };
	int pipes[2], file, faults = -1;
	pid_t child;

	memcpy(somebodys, "/tmp/bv-sandbox-XXXXXX", sizeof(somebodys));
	file = mkstemp(somebodys);
	if (file < 0 || pipe(pipes))
		return -1;
	child = fork();
	if (child == 0) {
		faults = sandbox_enter(&vm, &why) ? -2 : attempts(sockets);
		_exit(write(pipes[1], &faults, sizeof(faults)) != sizeof(faults));
	}
	close(pipes[1]);
	if (read(pipes[0], &faults, sizeof(faults)) != sizeof(faults))
		faults = -3;
	close(pipes[0]);
	waitpid(child, NULL, 0);
	close(file);
	unlink(somebodys);
	return faults;
}

TEST(a_vm_with_a_user_mode_net_has_its_sockets_and_no_more)
{
	CHECK_EQ(faults_of(true), 0);
}

TEST(a_vm_without_one_has_no_sockets)
{
	CHECK_EQ(faults_of(false), 0);
}
