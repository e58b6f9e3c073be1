// SPDX-License-Identifier: GPL-2.0-or-later
/* Programs that bv has do a part of its work: qemu-img, and make-image. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/image.h"

bool bv_tool_exists(const char *name)
{
	static const char *const around[] = { "/usr/bin", "/usr/local/bin", "/usr/sbin", "/bin" };

	for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++)
		if (!access(bv_path("%s/%s", around[i], name).text, X_OK))
			return true;
	return false;
}

/* It must not outlive us: what it makes would be of no use to anyone. */
static void become_tool(const char *const *arguments, const char *log)
{
	int out = open(log ?: "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (out < 0 || in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	execvp(arguments[0], (char **)arguments);
	_exit(127);
}

int bv_tool_run(const char *const *arguments, const char *log)
{
	pid_t child = fork();
	int status;

	if (!child)
		become_tool(arguments, log);
	if (child < 0)
		return -1;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
