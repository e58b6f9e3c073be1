// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A machine without a machine: what vmm/vmm.h promises, with a script for a guest, so that the
 * whole of cli/ can be tried on any computer. The program is build/bv/bv-script. It speaks
 * docs/control-socket.md as far as the command line uses it, and stands in for cli/host.c, too.
 *
 * Its guest prints a line and a prompt, echoes what is typed, and knows some words: poweroff,
 * panic, reset, stuck (hears no power button), abort, freeze (does not answer), store TEXT and
 * load (on its first disk), remember TEXT and recall (in its memory), oops (a disk error).
 * BV_SCRIPT_HOST is the state of the host: ready, device, lacks; BV_SCRIPT_REFUSE makes every
 * start be refused with its words.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cli/host.h"
#include "vmm/vmm.h"

#define CLIENTS 64

struct client {
	int fd;
	bool console;
	int passed; /* a descriptor that came with a request */
	char line[65536];
	size_t used;
};

static struct {
	const struct vmm_config *config;
	struct vmm_end *end;
	struct client clients[CLIENTS];
	int control, console, log;
	char said[1 << 20];
	size_t said_size;
	char typed[256];
	size_t typed_size;
	char memory[128];
	bool over, paused, stuck, frozen;
	unsigned int resets;
	struct timespec began;
} m;

static volatile sig_atomic_t asked_to_end;

static void on_signal(int number)
{
	(void)number;
	asked_to_end = 1;
}

/* --- what the guest says --------------------------------------------------------------------- */

static void send_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t got = send(fd, data, size, MSG_NOSIGNAL);

		if (got <= 0)
			return;
		data += got;
		size -= got;
	}
}

static void say(const char *format, ...)
{
	char text[512];
	va_list list;
	size_t size;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	size = strlen(text);
	if (m.said_size + size < sizeof(m.said)) {
		memcpy(m.said + m.said_size, text, size);
		m.said_size += size;
	}
	if (m.log >= 0 && write(m.log, text, size) < 0)
		abort();
	for (int i = 0; i < CLIENTS; i++)
		if (m.clients[i].fd >= 0 && m.clients[i].console)
			send_all(m.clients[i].fd, text, size);
}

static void event(json_t *what)
{
	struct timespec now;
	char *text;

	clock_gettime(CLOCK_REALTIME, &now);
	json_object_set_new(what, "time", json_real(now.tv_sec + now.tv_nsec / 1e9));
	text = json_dumps(what, JSON_COMPACT);
	if (m.config->event_fd >= 0 && dprintf(m.config->event_fd, "%s\n", text) < 0)
		abort();
	free(text);
	json_decref(what);
}

static void finish(enum vmm_end_kind kind, const char *why, const char *hint)
{
	m.over = true;
	m.end->kind = kind;
	snprintf(m.end->why, sizeof(m.end->why), "%s", why);
	snprintf(m.end->hint, sizeof(m.end->hint), "%s", hint);
}

static void greet(void)
{
	say("script guest %s: %u CPUs, %llu MiB\r\nscript> ", m.config->name, m.config->cpus,
	    (unsigned long long)(m.config->memory >> 20));
}

/* --- the guest's words ----------------------------------------------------------------------- */

static void store(const char *text)
{
	char block[128] = "";
	int fd = open(m.config->disks[0].path, O_RDWR);

	snprintf(block, sizeof(block), "%.100s", text);
	if (fd < 0 || pwrite(fd, block, sizeof(block), 4096) != sizeof(block))
		abort();
	close(fd);
	say("stored\r\n");
}

static void load(void)
{
	char block[128] = "";
	int fd = open(m.config->disks[0].path, O_RDONLY);

	if (fd < 0 || pread(fd, block, sizeof(block) - 1, 4096) < 0)
		abort();
	close(fd);
	say("on disk: %s.\r\n", block);
}

static void reset(void)
{
	if (m.config->reset_ends) {
		finish(VMM_END_RESET, "", "");
		return;
	}
	m.resets++;
	m.memory[0] = 0;
	event(json_pack("{s:s}", "event", "reset"));
	greet();
}

static void obey(const char *word)
{
	if (!strcmp(word, "poweroff")) {
		finish(VMM_END_POWEROFF, "", "");
	} else if (!strcmp(word, "panic")) {
		event(json_pack("{s:s}", "event", "panicked"));
		finish(VMM_END_PANIC, "The guest's kernel says: no init found.", "");
	} else if (!strcmp(word, "reset")) {
		reset();
	} else if (!strcmp(word, "abort")) {
		raise(SIGKILL);
	} else if (!strcmp(word, "stuck")) {
		m.stuck = true;
	} else if (!strcmp(word, "freeze")) {
		m.frozen = true;
	} else if (!strncmp(word, "store ", 6)) {
		store(word + 6);
	} else if (!strcmp(word, "load")) {
		load();
	} else if (!strncmp(word, "remember ", 9)) {
		snprintf(m.memory, sizeof(m.memory), "%.100s", word + 9);
	} else if (!strcmp(word, "recall")) {
		say("in memory: %s.\r\n", m.memory);
	} else if (!strcmp(word, "oops")) {
		event(json_pack("{s:s, s:s, s:s}", "event", "disk-error", "id", "disk0", "why",
				"the disk of this machine is full"));
	}
	if (!m.over)
		say("script> ");
}

static void hear(char key)
{
	if (key != '\r' && key != '\n') {
		if (m.typed_size + 1 < sizeof(m.typed))
			m.typed[m.typed_size++] = key;
		say("%c", key);
		return;
	}
	m.typed[m.typed_size] = 0;
	m.typed_size = 0;
	say("\r\n");
	obey(m.typed);
}

/* --- requests -------------------------------------------------------------------------------- */

static double uptime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - m.began.tv_sec + (now.tv_nsec - m.began.tv_nsec) / 1e9;
}

static json_t *do_status(void)
{
	return json_pack("{s:b, s:s, s:s, s:i, s:i, s:I, s:f, s:i, s:b, s:s, s:s}", "ok", 1, "name",
			 m.config->name, "state", m.paused ? "paused" : "running", "pid",
			 (int)getpid(), "cpus", (int)m.config->cpus, "memory",
			 (json_int_t)m.config->memory, "uptime", uptime(), "resets", (int)m.resets,
			 "bivisor", 0, "console", m.config->console_socket, "guest_ip",
			 "10.0.2.15");
}

static json_t *do_stats(void)
{
	return json_pack("{s:b, s:[{s:i, s:f, s:i, s:s}], s:{s:i, s:i, s:i, s:i, s:i, s:i, s:i}, "
			 "s:f, s:{s:I, s:i, s:i, s:i}, s:[], s:[]}",
			 "ok", 1, "cpus", "id", 0, "cpu_seconds", 0.5, "exits", 100, "state",
			 "running", "exits", "io", 50, "mmio", 20, "intr", 30, "shutdown", 0,
			 "debug", 0, "other", 0, "failed", 0, "cpu_seconds", uptime() / 2, "memory",
			 "size", (json_int_t)m.config->memory, "resident", 1 << 20, "balloon", 0,
			 "overhead", 3 << 20, "disks", "nets");
}

static json_t *do_snapshot(struct client *client, const char *then)
{
	char state[256];
	int size = snprintf(state, sizeof(state), "script %s", m.memory);

	if (client->passed < 0 || write(client->passed, state, size) != size)
		return json_pack("{s:b, s:s}", "ok", 0, "error", "no file came to write to");
	m.paused = then && !strcmp(then, "pause");
	return json_pack("{s:b, s:i}", "ok", 1, "bytes", size);
}

static json_t *do_request(struct client *client, const json_t *request)
{
	const char *what = json_string_value(json_object_get(request, "do")) ?: "";
	bool good = true;

	if (!strcmp(what, "status"))
		return do_status();
	if (!strcmp(what, "stats"))
		return do_stats();
	if (!strcmp(what, "snapshot"))
		return do_snapshot(client, json_string_value(json_object_get(request, "then")));
	if (!strcmp(what, "pause") || !strcmp(what, "resume"))
		m.paused = what[0] == 'p';
	else if (!strcmp(what, "reset"))
		reset();
	else if (!strcmp(what, "powerdown") && !m.stuck)
		finish(VMM_END_POWEROFF, "", "");
	else if (!strcmp(what, "quit"))
		finish(VMM_END_QUIT, "", "");
	else
		good = !strcmp(what, "powerdown");
	if (good)
		return json_pack("{s:b}", "ok", 1);
	return json_pack("{s:b, s:s, s:s}", "ok", 0, "error", "no such request", "errno", "EINVAL");
}

static void answer(struct client *client, const char *line)
{
	json_t *request = json_loads(line, 0, NULL);
	json_t *reply = do_request(client, request);
	char *text = json_dumps(reply, JSON_COMPACT);

	send_all(client->fd, text, strlen(text));
	send_all(client->fd, "\n", 1);
	free(text);
	json_decref(reply);
	json_decref(request);
	if (client->passed >= 0)
		close(client->passed);
	client->passed = -1;
}

static ssize_t receive(struct client *client, char *data, size_t size)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} extra;
	struct iovec part = { data, size };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = &extra,
				  .msg_controllen = sizeof(extra) };
	ssize_t got = recvmsg(client->fd, &message, MSG_CMSG_CLOEXEC);

	if (got > 0 && CMSG_FIRSTHDR(&message))
		memcpy(&client->passed, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return got;
}

static void serve(struct client *client)
{
	ssize_t got = receive(client, client->line + client->used,
			      sizeof(client->line) - client->used - 1);
	char *end;

	if (got <= 0) {
		close(client->fd);
		client->fd = -1;
		return;
	}
	if (client->console) {
		for (ssize_t i = 0; i < got && !m.over; i++)
			hear(client->line[i]);
		return;
	}
	client->used += got;
	client->line[client->used] = 0;
	while ((end = strchr(client->line, '\n'))) {
		*end = 0;
		answer(client, client->line);
		client->used -= end + 1 - client->line;
		memmove(client->line, end + 1, client->used + 1);
	}
}

/* --- the machine ----------------------------------------------------------------------------- */

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 16))
		return -1;
	return fd;
}

static void admit(int listener, bool console)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	for (int i = 0; i < CLIENTS && fd >= 0; i++) {
		if (m.clients[i].fd >= 0)
			continue;
		m.clients[i].fd = fd;
		m.clients[i].console = console;
		m.clients[i].passed = -1;
		m.clients[i].used = 0;
		if (console)
			send_all(fd, m.said, m.said_size);
		return;
	}
	close(fd);
}

static void run(void)
{
	struct pollfd waits[CLIENTS + 2];

	while (!m.over) {
		waits[0] = (struct pollfd){ .fd = m.control, .events = POLLIN };
		waits[1] = (struct pollfd){ .fd = m.console, .events = POLLIN };
		for (int i = 0; i < CLIENTS; i++)
			waits[i + 2] = (struct pollfd){ .fd = m.clients[i].fd, .events = POLLIN };
		if (poll(waits, CLIENTS + 2, m.frozen ? 100 : -1) < 0 && errno != EINTR)
			abort();
		if (asked_to_end)
			finish(VMM_END_QUIT, "A signal asked for it.", "");
		if (m.frozen || m.over) {
			usleep(m.over ? 0 : 100000);
			continue;
		}
		if (waits[0].revents)
			admit(m.control, false);
		if (waits[1].revents)
			admit(m.console, true);
		for (int i = 0; i < CLIENTS && !m.over; i++)
			if (m.clients[i].fd >= 0 && waits[i + 2].revents)
				serve(&m.clients[i]);
	}
}

static int refuse(const char *why, const char *hint)
{
	finish(VMM_END_REFUSED, why, hint);
	event(json_pack("{s:s, s:s, s:i, s:s, s:s}", "event", "ended", "kind", "refused", "code", 0,
			"why", why, "hint", hint));
	return -1;
}

static int begin(void)
{
	const struct vmm_config *config = m.config;
	char state[256] = "";

	for (unsigned int i = 0; i < config->disks_count; i++)
		if (access(config->disks[i].path, R_OK))
			return refuse("a disk cannot be opened", "");
	if (getenv("BV_SCRIPT_REFUSE"))
		return refuse(getenv("BV_SCRIPT_REFUSE"), "Unset BV_SCRIPT_REFUSE.");
	if (config->restore) {
		int fd = open(config->restore, O_RDONLY);

		if (fd < 0 || read(fd, state, sizeof(state) - 1) < 7 || memcmp(state, "script ", 7))
			return refuse("the snapshot is damaged", "");
		close(fd);
		snprintf(m.memory, sizeof(m.memory), "%.100s", state + 7);
	}
	m.control = listen_at(config->control_socket);
	m.console = listen_at(config->console_socket);
	if (m.control < 0 || m.console < 0)
		return refuse("a socket cannot be made", "");
	m.log = open(config->console_log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	return 0;
}

int vmm_run(const struct vmm_config *config, struct vmm_end *end)
{
	struct sigaction action = { .sa_handler = on_signal };

	m.config = config;
	m.end = end;
	for (int i = 0; i < CLIENTS; i++)
		m.clients[i].fd = -1;
	sigaction(SIGTERM, &action, NULL);
	clock_gettime(CLOCK_MONOTONIC, &m.began);
	m.paused = config->start_paused;
	if (begin())
		return -1;
	event(json_pack("{s:s, s:i}", "event", "started", "pid", (int)getpid()));
	if (!config->restore)
		greet();
	run();
	event(json_pack("{s:s, s:s, s:i, s:s, s:s}", "event", "ended", "kind",
			vmm_end_word(end->kind), "code", end->code, "why", end->why, "hint",
			end->hint));
	unlink(config->control_socket);
	unlink(config->console_socket);
	return end->kind == VMM_END_PANIC || end->kind == VMM_END_FAILED ? -1 : 0;
}

const char *vmm_end_word(enum vmm_end_kind kind)
{
	static const char *const words[] = { "poweroff", "reset", "debug",   "quit",
					     "saved",	 "panic", "refused", "failed" };

	return words[kind];
}

bool vmm_host_probe(struct vmm_host *host)
{
	const char *state = getenv("BV_SCRIPT_HOST") ?: "ready";

	memset(host, 0, sizeof(*host));
	host->cpus_max = 8;
	if (strcmp(state, "lacks"))
		return true;
	host->state = VMM_HOST_CANNOT_RUN;
	strcpy(host->why, "/dev/kvm answers, but a tiny guest does not run on it");
	strcpy(host->hint, "Use another machine.");
	return false;
}

void bv_host_look(struct bv_host *host)
{
	const char *state = getenv("BV_SCRIPT_HOST") ?: "ready";

	memset(host, 0, sizeof(*host));
	host->svm = host->device = host->readable = true;
	host->cpus = 2;
	host->memory = host->memory_free = 4ull << 30;
	strcpy(host->cpu, "a script");
	strcpy(host->module, "none");
	if (strcmp(state, "device"))
		return;
	host->device = host->readable = host->svm = false;
	host->trouble = true;
	strcpy(host->why, "there is no /dev/kvm");
	strcpy(host->advice, "modprobe bivisor, as root.");
}
