// SPDX-License-Identifier: GPL-2.0-or-later
/* Sockets that a VM listens on: see sockets.h. */
#include "vmm/sockets.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int answers(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), alive;

	if (fd < 0)
		return 0;
	alive = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
	close(fd);
	return alive;
}

static int bind_private(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0077);
	int error = bind(fd, (const struct sockaddr *)address, sizeof(*address));

	umask(before);
	return error;
}

int sockets_listen(const char *path, struct why *why)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat status;
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return why_set(why, "the socket's path %s is longer than %zu bytes", path,
			       sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	if (answers(&address))
		return why_set(why, "another process listens on %s: is this VM running already?",
			       path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
		unlink(path);
	if (fd < 0 || bind_private(fd, &address) || listen(fd, 8)) {
		why_set(why, "the socket %s cannot be made: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

void sockets_close(int fd, const char *path)
{
	close(fd);
	unlink(path);
}
