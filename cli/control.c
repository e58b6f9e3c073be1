// SPDX-License-Identifier: GPL-2.0-or-later
/* The client's side of a VM's control socket; see control.h. The VM is not trusted: its lines
 * are bounded, its answers are checked, and it cannot keep us waiting for ever. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/out.h"

#define DO_WAIT_S 4 /* a list of many VMs must not wait long for one that hangs */

static int fail_stopped(const struct bv_vm *vm, struct bv_error *error)
{
	bv_error_set(error, BV_STATE, "VM '%s' does not run", vm->name);
	return bv_error_advise(error, "'bv start %s' starts it; 'bv why %s' tells why it ended.",
			       vm->name, vm->name);
}

static int connect_to(int fd, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(address.sun_path, path);
	return connect(fd, (struct sockaddr *)&address, sizeof(address));
}

int bv_control_open(struct bv_control *control, const struct bv_vm *vm, struct bv_error *error)
{
	struct bv_path path = bv_vm_socket(vm, "control");
	struct ucred peer;
	socklen_t size = sizeof(peer);

	control->used = 0;
	control->pid = 0;
	control->fd = -1;
	if (!bv_vm_is_alive(vm))
		return fail_stopped(vm, error);
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (control->fd < 0 || connect_to(control->fd, path.text)) {
		bv_error_errno(error, "VM '%s' runs, but its control socket %s does not answer",
			       vm->name, path.text);
		bv_control_close(control);
		return -1;
	}
	if (!getsockopt(control->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		control->pid = peer.pid;
	return 0;
}

void bv_control_close(struct bv_control *control)
{
	if (control->fd >= 0)
		close(control->fd);
	control->fd = -1;
}

/* One line with a descriptor on its first byte. */
static int send_line(int fd, const char *line, int passed)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} extra = { 0 };
	struct iovec part = { (void *)line, strlen(line) };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t got;

	if (passed >= 0) {
		message.msg_control = &extra;
		message.msg_controllen = sizeof(extra.room);
		extra.head.cmsg_level = SOL_SOCKET;
		extra.head.cmsg_type = SCM_RIGHTS;
		extra.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&extra.head), &passed, sizeof(int));
	}
	do {
		got = sendmsg(fd, &message, MSG_NOSIGNAL);
	} while (got < 0 && errno == EINTR);
	/* A request fits the socket's buffer, so it is taken whole. */
	return got == (ssize_t)strlen(line) ? 0 : -1;
}

/* Takes a whole line out of the buffer; NULL if there is none. */
static json_t *take_line(struct bv_control *control, bool *bad)
{
	char *end = memchr(control->buffer, '\n', control->used);
	json_error_t why;
	json_t *line;
	size_t size;

	*bad = false;
	if (!end)
		return NULL;
	size = end - control->buffer;
	line = json_loadb(control->buffer, size, JSON_REJECT_DUPLICATES, &why);
	control->used -= size + 1;
	memmove(control->buffer, end + 1, control->used);
	*bad = !json_is_object(line);
	if (*bad)
		json_decref(line);
	return *bad ? NULL : line;
}

/* More bytes into the buffer: 1, 0 at the end, -1 with the error. */
static int fill(struct bv_control *control, double end, struct bv_error *error)
{
	struct pollfd wait = { .fd = control->fd, .events = POLLIN };
	double left = end - bv_now();
	ssize_t got;
	int ready;

	if (control->used == sizeof(control->buffer))
		return bv_error_set(error, BV_FAILED, "the VM sent a line of more than %zu bytes",
				    sizeof(control->buffer));
	ready = poll(&wait, 1, left > 0 ? (int)(left * 1000) + 1 : 0);
	if (ready < 0)
		return 1; /* a signal */
	if (!ready)
		return bv_error_set(error, BV_FAILED, "the VM does not answer");
	got = read(control->fd, control->buffer + control->used,
		   sizeof(control->buffer) - control->used);
	if (got < 0 && errno == EINTR)
		return 1;
	if (got < 0)
		return bv_error_errno(error, "cannot read what the VM answers");
	control->used += got;
	return got > 0;
}

json_t *bv_control_line(struct bv_control *control, int wait_s, struct bv_error *error)
{
	double end = bv_now() + wait_s;
	json_t *line;
	bool bad;
	int got;

	for (;;) {
		line = take_line(control, &bad);
		if (line)
			return line;
		if (bad) {
			bv_error_set(error, BV_FAILED, "the VM sent a line that is no JSON object");
			return NULL;
		}
		got = fill(control, end, error);
		if (got < 0)
			return NULL;
		if (!got) {
			bv_error_set(error, BV_ENDED, "%s", "");
			return NULL;
		}
	}
}

/* The VM's refusal in the VM's words. */
static void take_refusal(const json_t *answer, struct bv_error *error)
{
	const char *words = json_string_value(json_object_get(answer, "error"));
	char plain[800];

	bv_error_set(error, BV_FAILED, "the VM refused: %s",
		     bv_plain(words ?: "it says not why", plain, sizeof(plain)));
}

json_t *bv_control_ask(struct bv_control *control, json_t *request, int fd, int wait_s,
		       struct bv_error *error)
{
	char *text = json_dumps(request, JSON_COMPACT);
	char line[8192];
	json_t *answer;
	int sent;

	json_decref(request);
	if (!text || strlen(text) + 2 > sizeof(line)) {
		free(text);
		bv_error_set(error, BV_FAILED, "the request is too long");
		return NULL;
	}
	snprintf(line, sizeof(line), "%s\n", text);
	free(text);
	sent = send_line(control->fd, line, fd);
	if (sent) {
		bv_error_errno(error, "cannot send a request to the VM");
		return NULL;
	}
	while ((answer = bv_control_line(control, wait_s, error))) {
		if (!json_object_get(answer, "event"))
			break;
		json_decref(answer);
	}
	if (!answer && !error->text[0])
		bv_error_set(error, BV_ENDED, "the VM ended before it answered");
	if (answer && !json_is_true(json_object_get(answer, "ok"))) {
		take_refusal(answer, error);
		json_decref(answer);
		answer = NULL;
	}
	return answer;
}

json_t *bv_control_do(const struct bv_vm *vm, const char *what, struct bv_error *error)
{
	struct bv_control *control = malloc(sizeof(*control));
	json_t *answer = NULL;

	if (!control) {
		bv_error_set(error, BV_FAILED, "no memory");
		return NULL;
	}
	if (!bv_control_open(control, vm, error)) {
		answer = bv_control_ask(control, json_pack("{s:s}", "do", what), -1, DO_WAIT_S,
					error);
		bv_control_close(control);
	}
	free(control);
	return answer;
}
