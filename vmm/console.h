/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console: what the guest says, kept and passed on to all who look, and what they type.
 *
 * Everything said goes into a ring; a client is a place in it, so one that attaches begins with
 * the scrollback, and one that is slow loses the oldest bytes but holds nobody up. What is typed
 * waits in a small buffer until the guest takes it; clients are not read meanwhile.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include "vmm/vm.h"

#define CONSOLE_RING (128u << 10)
#define CONSOLE_CLIENTS 16
#define CONSOLE_TYPED 1024

enum console_source {
	CONSOLE_SERIAL,
	CONSOLE_VIRTIO,
};

struct console_client {
	struct console *console;
	struct loop_fd in; /* fd -1: this place is free, or the input has ended */
	int out; /* -1: free */
	struct loop_fd out_ready; /* waits for room, if out is not in */
	bool waiting;
	bool keep; /* not ours to close */
	uint64_t at;
};

struct console {
	struct vm *vm;
	uint8_t ring[CONSOLE_RING];
	uint64_t said; /* bytes, from the start */
	uint64_t cleared; /* clients begin here at the earliest */
	int log;
	bool log_failed;
	struct loop_fd listener;
	const char *path;
	struct console_client clients[CONSOLE_CLIENTS];
	uint8_t typed[CONSOLE_TYPED];
	unsigned int typed_count;
	enum console_source last; /* who spoke last hears what is typed */
	/* The virtio console, if the guest uses it: how much it takes; giving it some. */
	unsigned int (*virtio_room)(void *owner);
	unsigned int (*virtio_receive)(void *owner, const uint8_t *bytes, unsigned int count);
	void *virtio;
};

struct console *console_create(struct vm *vm, struct why *why);
void console_destroy(struct console *console);
void console_output(struct console *console, const void *bytes, size_t count,
		    enum console_source source);
/* The guest has room for input again. */
void console_input_wanted(struct console *console);
unsigned int console_clients(const struct console *console);
void console_clear(struct console *console);

#endif
