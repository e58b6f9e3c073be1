// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For a guest without such tools: vsock serve PORT answers each connection with what it says;
 * vsock ask CID PORT sends what comes on standard input and prints the answer.
 */
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void copy(int from, int to)
{
	char bytes[4096];
	ssize_t count;

	while ((count = read(from, bytes, sizeof(bytes))) > 0)
		if (write(to, bytes, (size_t)count) != count)
			return;
}

int main(int count, char **arguments)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0), client;

	if (fd < 0 || count < 3)
		return 2;
	address.svm_port = (unsigned int)atoi(arguments[count - 1]);
	if (strcmp(arguments[1], "ask") == 0) {
		address.svm_cid = (unsigned int)atoi(arguments[2]);
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
			return 1;
		copy(0, fd);
		shutdown(fd, SHUT_WR);
		copy(fd, 1);
		return 0;
	}
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 4))
		return 1;
	puts("serving");
	fflush(stdout);
	while ((client = accept(fd, NULL, NULL)) >= 0) {
		copy(client, client);
		close(client);
	}
	return 1;
}
