// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control socket: connections, lines and descriptors that come with them, events. What requests
 * do is in requests.c.
 */
#include "vmm/control.h"
#include "vmm/requests.h"
#include "vmm/sockets.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_MAX_BYTES 65536
#define CLIENTS 16
#define BACKLOG_MAX (1u << 20) /* what a client may leave unread */

struct client {
	struct control *control;
	struct loop_fd fd; /* fd -1: free */
	bool events;
	int passed; /* a descriptor that came with the present line; -1: none */
	char *line;
	size_t line_size;
	char *out;
	size_t out_size;
};

struct control {
	struct vm *vm;
	struct loop_fd listener;
	struct client clients[CLIENTS];
};

static void client_close(struct client *client)
{
	if (client->fd.fd < 0)
		return;
	loop_remove(&client->control->vm->loop, &client->fd);
	close(client->fd.fd);
	client->fd.fd = -1;
	if (client->passed >= 0)
		close(client->passed);
	free(client->line);
	free(client->out);
	client->line = client->out = NULL;
	client->line_size = client->out_size = 0;
}

/* What the socket does not take now waits; who never reads is dropped. */
static void client_flush(struct client *client)
{
	while (client->out_size) {
		ssize_t sent = write(client->fd.fd, client->out, client->out_size);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN)
			break;
		if (sent <= 0) {
			client_close(client);
			return;
		}
		client->out_size -= (size_t)sent;
		memmove(client->out, client->out + sent, client->out_size);
	}
	loop_change(&client->control->vm->loop, &client->fd,
		    EPOLLIN | (client->out_size ? EPOLLOUT : 0));
}

static void client_send(struct client *client, const char *line, size_t size)
{
	char *out;

	if (client->fd.fd < 0)
		return;
	out = client->out_size + size > BACKLOG_MAX ? NULL :
						      realloc(client->out, client->out_size + size);
	if (!out) {
		client_close(client);
		return;
	}
	client->out = out;
	memcpy(out + client->out_size, line, size);
	client->out_size += size;
	client_flush(client);
}

static void client_send_json(struct client *client, json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);
	size_t size;

	if (!text)
		return;
	size = strlen(text);
	text[size] = '\n';
	client_send(client, text, size + 1);
	free(text);
}

static void serve_line(struct client *client, const char *line, size_t size)
{
	struct control *control = client->control;
	json_error_t error;
	json_t *request = json_loadb(line, size, JSON_REJECT_DUPLICATES, &error), *answer;

	answer = requests_serve(control->vm, request, &client->passed, &client->events);
	if (answer)
		client_send_json(client, answer);
	json_decref(answer);
	json_decref(request);
	if (client->passed >= 0)
		close(client->passed);
	client->passed = -1;
}

static void serve_lines(struct client *client)
{
	char *end;

	while (client->fd.fd >= 0 &&
	       (end = memchr(client->line, '\n', client->line_size)) != NULL) {
		size_t size = (size_t)(end - client->line);
		char *line = strndup(client->line, size);

		client->line_size -= size + 1;
		memmove(client->line, end + 1, client->line_size);
		if (line)
			serve_line(client, line, size);
		free(line);
	}
}

static void take_descriptor(struct client *client, struct msghdr *message)
{
	struct cmsghdr *head;
	int fd;

	for (head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS ||
		    head->cmsg_len != CMSG_LEN(sizeof(fd)))
			continue;
		memcpy(&fd, CMSG_DATA(head), sizeof(fd));
		if (client->passed >= 0)
			close(client->passed);
		client->passed = fd;
	}
}

static ssize_t receive(struct client *client)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { client->line + client->line_size, LINE_MAX_BYTES - client->line_size };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	ssize_t count = recvmsg(client->fd.fd, &message, MSG_CMSG_CLOEXEC);

	if (count > 0)
		take_descriptor(client, &message);
	return count;
}

static void client_ready(void *owner, uint32_t events)
{
	struct client *client = owner;
	ssize_t count;

	if (events & EPOLLOUT)
		client_flush(client);
	if (client->fd.fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	count = receive(client);
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0) {
		client_close(client);
		return;
	}
	client->line_size += (size_t)count;
	serve_lines(client);
	if (client->fd.fd >= 0 && client->line_size == LINE_MAX_BYTES)
		client_close(client);
}

static void listener_ready(void *owner, uint32_t events)
{
	struct control *control = owner;
	int fd = accept4(control->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), i;

	(void)events;
	if (fd < 0)
		return;
	for (i = 0; i < CLIENTS && control->clients[i].fd.fd >= 0; i++)
		;
	if (i < CLIENTS) {
		struct client *client = &control->clients[i];

		client->fd.fd = fd;
		client->events = false;
		client->passed = -1;
		client->line = malloc(LINE_MAX_BYTES);
		if (client->line && loop_add(&control->vm->loop, &client->fd, EPOLLIN) == 0)
			return;
		free(client->line);
		client->line = NULL;
		client->fd.fd = -1;
	}
	close(fd);
}

/* ---- events -------------------------------------------------------------------------------- */

static void to_event_fd(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t written = write(fd, text, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return;
		text += written;
		size -= (size_t)written;
	}
}

static void send_event(struct vm *vm, json_t *event)
{
	char *text = json_dumps(event, JSON_COMPACT);
	size_t size;
	int i;

	if (!text)
		return;
	size = strlen(text);
	text[size] = '\n';
	if (vm->config->event_fd >= 0)
		to_event_fd(vm->config->event_fd, text, size + 1);
	for (i = 0; vm->control && i < CLIENTS; i++)
		if (vm->control->clients[i].fd.fd >= 0 && vm->control->clients[i].events)
			client_send(&vm->control->clients[i], text, size + 1);
	free(text);
}

void vm_event(struct vm *vm, const char *event, const char *members, ...)
{
	json_error_t error;
	va_list arguments;
	json_t *object;

	va_start(arguments, members);
	object = json_vpack_ex(&error, 0, members, arguments);
	va_end(arguments);
	if (!object)
		return;
	json_object_set_new(object, "event", json_string(event));
	send_event(vm, object);
	json_decref(object);
}

/* ---- beginning and end --------------------------------------------------------------------- */

int control_create(struct vm *vm, struct why *why)
{
	struct control *control = calloc(1, sizeof(*control));
	int i;

	if (!control)
		return why_set(why, "no memory");
	vm->control = control;
	control->vm = vm;
	control->listener = (struct loop_fd){ -1, listener_ready, control };
	for (i = 0; i < CLIENTS; i++) {
		control->clients[i].control = control;
		control->clients[i].passed = -1;
		control->clients[i].fd = (struct loop_fd){ -1, client_ready, &control->clients[i] };
	}
	if (!vm->config->control_socket)
		return 0;
	control->listener.fd = sockets_listen(vm->config->control_socket, why);
	if (control->listener.fd < 0)
		return -1;
	return loop_add(&vm->loop, &control->listener, EPOLLIN);
}

void control_ended(struct vm *vm)
{
	struct control *control = vm->control;
	int i;

	vm_event(vm, "ended", "{s:s, s:i, s:s, s:s}", "kind", vmm_end_word(vm->end.kind), "code",
		 vm->end.code, "why", vm->end.why, "hint", vm->end.hint);
	if (!control)
		return;
	for (i = 0; i < CLIENTS; i++)
		client_close(&control->clients[i]);
	if (control->listener.fd >= 0)
		sockets_close(control->listener.fd, vm->config->control_socket);
	free(control);
	vm->control = NULL;
}
