// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A person at a VM's console; see console.h. What the guest says goes to the terminal as it is: a
 * guest can move the cursor as any program in a terminal can. The terminal is raw meanwhile, and
 * put back whatever ends us.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "cli/console.h"

/* The one terminal, for the signal handler's sake. */
static struct {
	struct termios before;
	volatile sig_atomic_t raw;
} terminal;

static void terminal_restore(void)
{
	if (terminal.raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
	terminal.raw = 0;
}

static void on_signal(int number)
{
	terminal_restore();
	signal(number, SIG_DFL);
	raise(number);
}

static void terminal_raw(void)
{
	static const int signals[] = { SIGTERM, SIGHUP, SIGQUIT, SIGINT };
	struct sigaction action = { .sa_handler = on_signal };
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &terminal.before))
		return;
	raw = terminal.before;
	cfmakeraw(&raw);
	terminal.raw = 1;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
}

static int console_connect(const struct bv_vm *vm, struct bv_error *error)
{
	struct bv_path path = bv_vm_socket(vm, "console");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!bv_vm_is_alive(vm)) {
		bv_error_set(error, BV_STATE, "VM '%s' does not run", vm->name);
		bv_error_advise(error, "'bv start %s' starts it, 'bv log %s' shows what it said.",
				vm->name, vm->name);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	memcpy(address.sun_path, path.text, strnlen(path.text, sizeof(address.sun_path) - 1));
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	bv_error_errno(error, "cannot reach the console of VM '%s'", vm->name);
	if (fd >= 0)
		close(fd);
	return -1;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t got = write(fd, data, size);

		if (got < 0 && errno != EINTR)
			return -1;
		if (got > 0) {
			data += got;
			size -= got;
		}
	}
	return 0;
}

/* Passes on what can be read: 1, or 0 at the end. */
static int pass(int from, int to)
{
	char data[16384];
	ssize_t got = read(from, data, sizeof(data));

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	return got > 0 && !write_all(to, data, got);
}

enum typed {
	TYPED_ON,
	TYPED_ESCAPE,
	TYPED_END
};

static enum typed pass_typed(int to, int escape)
{
	char data[4096], *found = NULL;
	ssize_t got = read(STDIN_FILENO, data, sizeof(data));

	if (got < 0 && errno == EINTR)
		return TYPED_ON;
	if (got <= 0)
		return TYPED_END;
	if (terminal.raw && escape)
		found = memchr(data, escape, got);
	/* What the guest no longer hears is noticed where its end is read. */
	write_all(to, data, found ? found - data : got);
	return found ? TYPED_ESCAPE : TYPED_ON;
}

/* Until one side ends. */
static enum bv_console_end console_loop(int fd, int escape, bool leave_at_end)
{
	struct pollfd waits[2] = { { .fd = fd, .events = POLLIN },
				   { .fd = STDIN_FILENO, .events = POLLIN } };

	for (;;) {
		if (poll(waits, 2, -1) < 0 && errno != EINTR)
			return BV_CONSOLE_LEFT;
		if (waits[0].revents && !pass(fd, STDOUT_FILENO))
			return BV_CONSOLE_ENDED;
		if (!waits[1].revents)
			continue;
		switch (pass_typed(fd, escape)) {
		case TYPED_ON:
			break;
		case TYPED_ESCAPE:
			return BV_CONSOLE_LEFT;
		case TYPED_END:
			if (leave_at_end)
				return BV_CONSOLE_LEFT;
			waits[1].fd = -1;
		}
	}
}

int bv_console_attach(const struct bv_vm *vm, int escape, bool leave_at_end,
		      enum bv_console_end *end, struct bv_error *error)
{
	int fd = console_connect(vm, error);

	if (fd < 0)
		return -1;
	signal(SIGPIPE, SIG_IGN);
	if (isatty(STDIN_FILENO))
		terminal_raw();
	*end = console_loop(fd, escape, leave_at_end);
	terminal_restore();
	close(fd);
	return 0;
}
