// SPDX-License-Identifier: GPL-2.0-or-later
/* Helper processes: see helper.h. */
#include "vmm/helper.h"
#include "vmm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LISTENER 3
#define END_WAITS 500 /* 5 s: an image may have to be written to */

/*
 * A socket with this process's connection waiting at it, and no name any more: nobody else can
 * come to it.
 */
static int make_pair(int *listener)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char directory[] = "/tmp/bv-helper-XXXXXX";
	int fd = -1, error;

	*listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*listener < 0 || !mkdtemp(directory))
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
	if (bind(*listener, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    listen(*listener, 1) == 0)
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		fd = -1;
	}
	error = errno;
	unlink(address.sun_path);
	rmdir(directory);
	errno = error;
	return fd;
}

/* What a child of this process must not keep: its signals, and its other descriptors. */
static void become(char *const argv[], int listener, pid_t parent)
{
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0); /* what a terminal sends is for bv */
	prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (getppid() != parent || dup2(null, 0) < 0 || dup2(2, 1) < 0)
		_exit(127);
	if (listener == LISTENER)
		fcntl(listener, F_SETFD, 0);
	else if (dup2(listener, LISTENER) < 0)
		_exit(127);
	close_range(LISTENER + 1, ~0u, 0);
	execv(argv[0], argv);
	dprintf(2, "%s cannot be started: %s\n", argv[0], strerror(errno));
	_exit(127);
}

int helper_start(struct vm *vm, char *const argv[], struct helper *helper, struct why *why)
{
	int listener = -1, error;
	pid_t self = getpid();

	*helper = (struct helper){ make_pair(&listener), -1 };
	if (helper->fd >= 0)
		helper->pid = fork();
	if (helper->pid == 0)
		become(argv, listener, self);
	error = errno;
	if (listener >= 0)
		close(listener);
	if (helper->pid > 0) {
		vm->helpers[vm->helpers_count++] = helper->pid;
		return 0;
	}
	if (helper->fd >= 0)
		close(helper->fd);
	return why_set(why, "no helper %s: %s", argv[0], strerror(error));
}

void helper_end(struct helper *helper)
{
	struct timespec pause = { .tv_nsec = 10000000 };
	unsigned int i;

	close(helper->fd);
	if (helper->pid <= 0)
		return;
	kill(helper->pid, SIGTERM);
	for (i = 0; i < END_WAITS && waitpid(helper->pid, NULL, WNOHANG) == 0; i++)
		nanosleep(&pause, NULL);
}
