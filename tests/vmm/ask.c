// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Asks a VM over its control socket, for tests: ask SOCKET REQUEST [FILE [MODE]]. The file is opened
 * (MODE: r, w, or n for new) and goes with the request. Prints the answer; the status is 0 if it is
 * good.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int open_file(const char *path, const char *mode)
{
	switch (mode ? mode[0] : 'r') {
	case 'n':
		return open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	case 'w':
		return open(path, O_RDWR);
	default:
		return open(path, O_RDONLY);
	}
}

static int send_line(int socket, const char *line, int fd)
{
	char text[65536];
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { text, (size_t)snprintf(text, sizeof(text), "%s\n", line) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *head;

	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	}
	return sendmsg(socket, &message, 0) == (ssize_t)iov.iov_len ? 0 : -1;
}

int main(int count, char **arguments)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int socket_fd = socket(AF_UNIX, SOCK_STREAM, 0), fd = -1;
	static char answer[1 << 20];
	size_t size = 0;
	ssize_t got;

	if (count < 3)
		return 2;
	strncpy(address.sun_path, arguments[1], sizeof(address.sun_path) - 1);
	if (count > 3)
		fd = open_file(arguments[3], count > 4 ? arguments[4] : NULL);
	if ((count > 3 && fd < 0) || socket_fd < 0 ||
	    connect(socket_fd, (struct sockaddr *)&address, sizeof(address)) ||
	    send_line(socket_fd, arguments[2], fd)) {
		perror("ask");
		return 2;
	}
	while (!memchr(answer, '\n', size) && size < sizeof(answer) - 1 &&
	       (got = read(socket_fd, answer + size, sizeof(answer) - 1 - size)) > 0)
		size += (size_t)got;
	fputs(answer, stdout);
	return strstr(answer, "\"ok\":true") ? 0 : 1;
}
