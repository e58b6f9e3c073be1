// SPDX-License-Identifier: GPL-2.0-or-later
/* The console: see console.h. */
#include "vmm/console.h"
#include "vmm/serial.h"
#include "vmm/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t oldest(const struct console *console)
{
	uint64_t first = console->said > CONSOLE_RING ? console->said - CONSOLE_RING : 0;

	return first > console->cleared ? first : console->cleared;
}

static void client_close(struct console_client *client)
{
	struct loop *loop = &client->console->vm->loop;

	if (client->in.fd >= 0)
		loop_remove(loop, &client->in);
	if (client->waiting && client->out_ready.fd >= 0 && client->out_ready.fd != client->in.fd)
		loop_remove(loop, &client->out_ready);
	if (!client->keep)
		close(client->out);
	client->in.fd = client->out = client->out_ready.fd = -1;
}

static bool typed_full(const struct console *console)
{
	return console->typed_count == CONSOLE_TYPED;
}

/* What a client is waited for: its input, unless there is no room; room for its output. */
static void client_events(struct console_client *client)
{
	struct loop *loop = &client->console->vm->loop;
	uint32_t in = typed_full(client->console) ? 0 : EPOLLIN;

	if (client->in.fd >= 0)
		loop_change(loop, &client->in,
			    in | (client->waiting && client->out == client->in.fd ? EPOLLOUT : 0));
}

static void client_wait(struct console_client *client, bool wait)
{
	struct loop *loop = &client->console->vm->loop;

	if (wait == client->waiting)
		return;
	client->waiting = wait;
	if (client->out == client->in.fd) {
		client_events(client);
	} else if (wait) {
		client->out_ready.fd = client->out;
		loop_add(loop, &client->out_ready, EPOLLOUT);
	} else {
		loop_remove(loop, &client->out_ready);
	}
}

static void client_send(struct console_client *client)
{
	struct console *console = client->console;

	if (client->at < oldest(console))
		client->at = oldest(console);
	while (client->at < console->said) {
		size_t at = client->at % CONSOLE_RING, count = console->said - client->at;
		ssize_t sent;

		if (count > CONSOLE_RING - at)
			count = CONSOLE_RING - at;
		sent = write(client->out, console->ring + at, count);
		if (sent < 0 && (errno == EAGAIN || errno == EINTR))
			return client_wait(client, true);
		if (sent <= 0)
			return client_close(client);
		client->at += (uint64_t)sent;
	}
	client_wait(client, false);
}

static void deliver_typed(struct console *console)
{
	bool virtio = console->last == CONSOLE_VIRTIO && console->virtio;
	unsigned int room =
		virtio ? console->virtio_room(console->virtio) : serial_room(console->vm->serial);

	if (room > console->typed_count)
		room = console->typed_count;
	if (!room)
		return;
	if (virtio)
		room = console->virtio_receive(console->virtio, console->typed, room);
	else
		serial_receive(console->vm->serial, console->typed, room);
	console->typed_count -= room;
	memmove(console->typed, console->typed + room, console->typed_count);
}

void console_input_wanted(struct console *console)
{
	bool was_full = typed_full(console);
	unsigned int i;

	deliver_typed(console);
	if (was_full && !typed_full(console))
		for (i = 0; i < CONSOLE_CLIENTS; i++)
			client_events(&console->clients[i]);
}

static void client_ready(void *owner, uint32_t events)
{
	struct console_client *client = owner;
	struct console *console = client->console;
	ssize_t count;

	if (events & EPOLLOUT)
		client_send(client);
	if (client->in.fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || typed_full(console))
		return;
	count = read(client->in.fd, console->typed + console->typed_count,
		     CONSOLE_TYPED - console->typed_count);
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0) {
		client_close(client);
		return;
	}
	console->typed_count += (unsigned int)count;
	deliver_typed(console);
	if (typed_full(console))
		client_events(client);
}

static void client_writable(void *owner, uint32_t events)
{
	struct console_client *client = owner;

	(void)events;
	if (client->out >= 0)
		client_send(client);
}

static struct console_client *client_free(struct console *console)
{
	unsigned int i;

	for (i = 0; i < CONSOLE_CLIENTS; i++)
		if (console->clients[i].out < 0)
			return &console->clients[i];
	return NULL;
}

/* Regular files as in or out cannot be waited for, and never need to be. */
static bool client_open(struct console *console, int in, int out, bool keep)
{
	struct console_client *client = client_free(console);

	if (!client)
		return false;
	*client = (struct console_client){
		.console = console,
		.in = { .fd = in, .ready = client_ready, .owner = client },
		.out_ready = { .fd = -1, .ready = client_writable, .owner = client },
		.out = out,
		.keep = keep,
		.at = oldest(console),
	};
	fcntl(in, F_SETFL, fcntl(in, F_GETFL) | O_NONBLOCK);
	if (loop_add(&console->vm->loop, &client->in, EPOLLIN) < 0)
		client->in.fd = -1;
	client_send(client);
	return true;
}

static void listener_ready(void *owner, uint32_t events)
{
	struct console *console = owner;
	int fd = accept4(console->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd >= 0 && !client_open(console, fd, fd, false))
		close(fd);
}

/* A disk without room ends the log, not the VM. */
static void log_write(struct console *console, const uint8_t *bytes, size_t count)
{
	while (count && console->log >= 0 && !console->log_failed) {
		ssize_t written = write(console->log, bytes, count);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			console->log_failed = true;
			return;
		}
		bytes += written;
		count -= (size_t)written;
	}
}

void console_output(struct console *console, const void *bytes, size_t count,
		    enum console_source source)
{
	const uint8_t *from = bytes;
	size_t left = count;
	unsigned int i;

	while (left) {
		size_t at = console->said % CONSOLE_RING;
		size_t part = left < CONSOLE_RING - at ? left : CONSOLE_RING - at;

		memcpy(console->ring + at, from, part);
		console->said += part;
		from += part;
		left -= part;
	}
	console->last = source;
	log_write(console, bytes, count);
	for (i = 0; i < CONSOLE_CLIENTS; i++)
		if (console->clients[i].out >= 0 && !console->clients[i].waiting)
			client_send(&console->clients[i]);
}

unsigned int console_clients(const struct console *console)
{
	unsigned int i, count = 0;

	for (i = 0; i < CONSOLE_CLIENTS; i++)
		count += console->clients[i].out >= 0;
	return count;
}

void console_clear(struct console *console)
{
	console->cleared = console->said;
}

static int open_log(struct console *console, struct why *why)
{
	const char *path = console->vm->config->console_log;

	if (!path)
		return 0;
	console->log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (console->log < 0)
		return why_set(why, "the console's log %s cannot be opened: %s", path,
			       strerror(errno));
	return 0;
}

static int open_ends(struct console *console, struct why *why)
{
	const struct vmm_config *config = console->vm->config;

	if (open_log(console, why))
		return -1;
	if (config->console_fd >= 0)
		client_open(console, config->console_fd,
			    config->console_out_fd >= 0 ? config->console_out_fd :
							  config->console_fd,
			    true);
	if (!config->console_socket)
		return 0;
	console->path = config->console_socket;
	console->listener.fd = sockets_listen(console->path, why);
	if (console->listener.fd < 0)
		return -1;
	return loop_add(&console->vm->loop, &console->listener, EPOLLIN);
}

struct console *console_create(struct vm *vm, struct why *why)
{
	struct console *console = calloc(1, sizeof(*console));
	unsigned int i;

	if (!console) {
		why_set(why, "no memory");
		return NULL;
	}
	console->vm = vm;
	console->log = -1;
	console->listener = (struct loop_fd){ -1, listener_ready, console };
	for (i = 0; i < CONSOLE_CLIENTS; i++)
		console->clients[i] =
			(struct console_client){ .console = console, .in.fd = -1, .out = -1 };
	if (open_ends(console, why)) {
		console_destroy(console);
		return NULL;
	}
	return console;
}

void console_destroy(struct console *console)
{
	unsigned int i;

	for (i = 0; i < CONSOLE_CLIENTS; i++)
		if (console->clients[i].out >= 0) {
			client_send(&console->clients[i]);
			if (console->clients[i].out >= 0)
				client_close(&console->clients[i]);
		}
	if (console->listener.fd >= 0)
		sockets_close(console->listener.fd, console->path);
	if (console->log >= 0)
		close(console->log);
	free(console);
}
