// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The remote stub: see gdb.h (GDB's manual, appendix E, "GDB Remote Serial Protocol"). vCPUs are
 * threads 1 to n. All of it runs in the loop: a vCPU that meets a breakpoint notes it, waits, and
 * wakes the loop, which holds the others and tells the debugger.
 *
 * Breakpoints in memory are INT3 instructions put over the guest's own; hardware breakpoints and
 * watchpoints are the four debug registers. A step is of the chosen vCPU alone.
 */
#include "vmm/gdb.h"
#include "vmm/buf.h"
#include "vmm/sockets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PACKET_MAX 4096
#define SOFT_MAX 64
#define HARD_MAX 4
#define GPRS 17 /* 64 bits wide in the packet of all registers; then 7 of 32 */
#define PACKED 24 /* in that packet */
#define RIP 16
#define FPU 16 /* registers of GDB's that lie between those and the bases, not shown */

struct soft {
	bool used;
	uint64_t gpa, gva;
	uint8_t byte;
};

struct hard {
	bool used;
	uint64_t gva;
	unsigned int kind, size; /* as in DR7 */
};

struct gdb {
	struct vm *vm;
	struct loop_fd listener, client, stop;
	char in[PACKET_MAX * 2 + 8];
	size_t in_size;
	char out[PACKET_MAX * 2 + 8];
	unsigned int cpu; /* chosen for registers, memory, steps */
	bool running; /* the debugger waits for a stop */
	bool stepping;
	bool released; /* the debugger let go of the guest, and is to close */
	struct soft soft[SOFT_MAX];
	struct hard hard[HARD_MAX];
};

/* ---- packets ------------------------------------------------------------------------------- */

static void send_packet(struct gdb *gdb, const char *text)
{
	char packet[sizeof(gdb->out) + 8];
	uint8_t sum = 0;
	const char *at;
	int size;

	for (at = text; *at; at++)
		sum = (uint8_t)(sum + (uint8_t)*at);
	size = snprintf(packet, sizeof(packet), "$%s#%02x", text, sum);
	if (gdb->client.fd >= 0 && send(gdb->client.fd, packet, (size_t)size, MSG_NOSIGNAL) != size)
		shutdown(gdb->client.fd, SHUT_RDWR);
}

static void put_hex(char *to, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;
	size_t i;

	for (i = 0; i < size; i++)
		sprintf(to + 2 * i, "%02x", from[i]);
}

/* How many bytes there were. */
static size_t get_hex(const char *from, void *bytes, size_t size)
{
	uint8_t *to = bytes;
	unsigned int byte;
	size_t i;

	for (i = 0; i < size && sscanf(from + 2 * i, "%2x", &byte) == 1; i++)
		to[i] = (uint8_t)byte;
	return i;
}

static struct vcpu *chosen(struct gdb *gdb)
{
	return &gdb->vm->cpus.all[gdb->cpu];
}

/* ---- registers and memory ------------------------------------------------------------------ */

static size_t size_of(unsigned int i)
{
	return i < GPRS || i >= PACKED ? 8 : 4;
}

static void read_registers(struct gdb *gdb)
{
	uint64_t regs[HV_REGS];
	unsigned int i;
	char *to = gdb->out;

	if (hv_vcpu_regs_get(chosen(gdb)->hv, regs)) {
		send_packet(gdb, "E01");
		return;
	}
	for (i = 0; i < PACKED; i++, to += strlen(to))
		put_hex(to, &regs[i], size_of(i));
	send_packet(gdb, gdb->out);
}

static void write_registers(struct gdb *gdb, const char *from)
{
	uint64_t regs[HV_REGS] = { 0 };
	unsigned int i;

	for (i = 0; i < PACKED; i++) {
		if (get_hex(from, &regs[i], size_of(i)) != size_of(i))
			break;
		from += 2 * size_of(i);
	}
	send_packet(gdb, i == PACKED && !hv_vcpu_regs_set(chosen(gdb)->hv, regs) ? "OK" : "E01");
}

/* From GDB's number of a register to its place here; HV_REGS: none. */
static unsigned int place_of(unsigned long number)
{
	if (number < PACKED)
		return (unsigned int)number;
	number -= FPU;
	return number >= PACKED && number < HV_REGS ? (unsigned int)number : HV_REGS;
}

static void read_register(struct gdb *gdb, const char *from)
{
	unsigned int i = place_of(strtoul(from, NULL, 16));
	uint64_t regs[HV_REGS];

	if (i == HV_REGS || hv_vcpu_regs_get(chosen(gdb)->hv, regs)) {
		send_packet(gdb, "E01");
		return;
	}
	put_hex(gdb->out, &regs[i], size_of(i));
	send_packet(gdb, gdb->out);
}

static void write_register(struct gdb *gdb, const char *from)
{
	uint64_t regs[HV_REGS];
	char *value;
	unsigned int i = place_of(strtoul(from, &value, 16));
	bool good = i < PACKED && *value == '=' && !hv_vcpu_regs_get(chosen(gdb)->hv, regs);

	if (good) {
		regs[i] = 0;
		get_hex(value + 1, &regs[i], size_of(i));
		good = !hv_vcpu_regs_set(chosen(gdb)->hv, regs);
	}
	send_packet(gdb, good ? "OK" : "E01");
}

/* Guest memory in pieces that do not cross pages. */
static bool memory_at(struct gdb *gdb, uint64_t gva, uint8_t *bytes, size_t size, bool write)
{
	while (size) {
		size_t part = 4096 - (gva & 4095) < size ? 4096 - (gva & 4095) : size;
		uint64_t gpa;

		if (!hv_vcpu_translate(chosen(gdb)->hv, gva, &gpa) ||
		    !(write ? mem_write(&gdb->vm->mem, gpa, bytes, part) :
			      mem_read(&gdb->vm->mem, gpa, bytes, part)))
			return false;
		gva += part;
		bytes += part;
		size -= part;
	}
	return true;
}

static void read_memory(struct gdb *gdb, const char *from)
{
	uint8_t bytes[PACKET_MAX / 2];
	unsigned long long gva;
	size_t size;

	if (sscanf(from, "%llx,%zx", &gva, &size) != 2 || size > sizeof(bytes) ||
	    !memory_at(gdb, gva, bytes, size, false)) {
		send_packet(gdb, "E14");
		return;
	}
	gdb->out[0] = 0;
	put_hex(gdb->out, bytes, size);
	send_packet(gdb, gdb->out);
}

static void write_memory(struct gdb *gdb, const char *from)
{
	uint8_t bytes[PACKET_MAX / 2];
	const char *data = strchr(from, ':');
	unsigned long long gva;
	size_t size;
	bool good;

	good = sscanf(from, "%llx,%zx", &gva, &size) == 2 && size <= sizeof(bytes) && data &&
	       get_hex(data + 1, bytes, size) == size && memory_at(gdb, gva, bytes, size, true);
	send_packet(gdb, good ? "OK" : "E14");
}

/* ---- breakpoints --------------------------------------------------------------------------- */

static uint64_t dr7_of(const struct gdb *gdb)
{
	uint64_t dr7 = 0;
	unsigned int i;

	for (i = 0; i < HARD_MAX; i++)
		if (gdb->hard[i].used)
			dr7 |= 2ull << 2 * i | (uint64_t)gdb->hard[i].kind << (16 + 4 * i) |
			       (uint64_t)gdb->hard[i].size << (18 + 4 * i);
	return dr7 ? dr7 | 0x600 : 0;
}

static void arm(struct gdb *gdb, bool step)
{
	struct cpus *cpus = &gdb->vm->cpus;
	unsigned int i, n;

	for (n = 0; n < cpus->count; n++) {
		struct hv_debug debug = { .on = gdb->client.fd >= 0, .int3 = true };

		debug.step = step && n == gdb->cpu;
		debug.dr7 = dr7_of(gdb);
		for (i = 0; i < HARD_MAX; i++)
			debug.address[i] = gdb->hard[i].gva;
		hv_vcpu_debug(cpus->all[n].hv, &debug);
	}
}

static bool soft_insert(struct gdb *gdb, uint64_t gva)
{
	static const uint8_t INT3 = 0xcc;
	unsigned int i;

	for (i = 0; i < SOFT_MAX && gdb->soft[i].used; i++)
		;
	if (i == SOFT_MAX || !hv_vcpu_translate(chosen(gdb)->hv, gva, &gdb->soft[i].gpa) ||
	    !mem_read(&gdb->vm->mem, gdb->soft[i].gpa, &gdb->soft[i].byte, 1))
		return false;
	gdb->soft[i].used = true;
	gdb->soft[i].gva = gva;
	return mem_write(&gdb->vm->mem, gdb->soft[i].gpa, &INT3, 1);
}

static bool soft_remove(struct gdb *gdb, uint64_t gva)
{
	unsigned int i;

	for (i = 0; i < SOFT_MAX; i++)
		if (gdb->soft[i].used && gdb->soft[i].gva == gva) {
			gdb->soft[i].used = false;
			return mem_write(&gdb->vm->mem, gdb->soft[i].gpa, &gdb->soft[i].byte, 1);
		}
	return false;
}

/* DR7's kinds: 0 execution, 1 writes, 3 reads and writes; sizes 1, 2, 8, 4. */
static bool hard_insert(struct gdb *gdb, char type, uint64_t gva, unsigned int size)
{
	static const unsigned int SIZES[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };
	unsigned int i;

	for (i = 0; i < HARD_MAX && gdb->hard[i].used; i++)
		;
	if (i == HARD_MAX || size > 8 || size == 0 || (size & (size - 1)))
		return false;
	gdb->hard[i] = (struct hard){ true, gva,
				      type == '1' ? 0 :
				      type == '2' ? 1 :
						    3,
				      type == '1' ? 0 : SIZES[size] };
	return true;
}

static bool hard_remove(struct gdb *gdb, uint64_t gva)
{
	unsigned int i;

	for (i = 0; i < HARD_MAX; i++)
		if (gdb->hard[i].used && gdb->hard[i].gva == gva) {
			gdb->hard[i].used = false;
			return true;
		}
	return false;
}

static void breakpoint(struct gdb *gdb, const char *packet)
{
	bool insert = packet[0] == 'Z', good;
	unsigned long long gva;
	unsigned int size;

	if (packet[1] < '0' || packet[1] > '4' ||
	    sscanf(packet + 2, ",%llx,%x", &gva, &size) != 2) {
		send_packet(gdb, "");
		return;
	}
	if (packet[1] == '0')
		good = insert ? soft_insert(gdb, gva) : soft_remove(gdb, gva);
	else
		good = insert ? hard_insert(gdb, packet[1], gva, size) : hard_remove(gdb, gva);
	send_packet(gdb, good ? "OK" : "E22");
}

/* ---- going and stopping -------------------------------------------------------------------- */

static void tell_stop(struct gdb *gdb, unsigned int signal)
{
	snprintf(gdb->out, sizeof(gdb->out), "T%02xthread:%x;", signal, gdb->cpu + 1);
	send_packet(gdb, gdb->out);
}

static void go(struct gdb *gdb, bool step)
{
	unsigned int i;

	gdb->stepping = step;
	arm(gdb, step);
	for (i = 0; i < gdb->vm->cpus.count; i++)
		gdb->vm->cpus.all[i].stopped_by_debug = false;
	gdb->running = true;
	vm_resume(gdb->vm);
}

static void stop_ready(void *owner, uint32_t events)
{
	struct gdb *gdb = owner;
	uint64_t count;
	unsigned int i;

	(void)events;
	if (read(gdb->stop.fd, &count, sizeof(count)) < 0)
		return;
	vm_pause(gdb->vm);
	for (i = 0; i < gdb->vm->cpus.count; i++)
		if (gdb->vm->cpus.all[i].stopped_by_debug)
			gdb->cpu = i;
	if (gdb->running)
		tell_stop(gdb, 5);
	gdb->running = false;
}

void gdb_stopped(struct vm *vm)
{
	uint64_t one = 1;

	if (vm->gdb && write(vm->gdb->stop.fd, &one, sizeof(one)) < 0)
		return;
}

static void interrupt(struct gdb *gdb)
{
	vm_pause(gdb->vm);
	if (gdb->running)
		tell_stop(gdb, 2);
	gdb->running = false;
}

static void forget_breakpoints(struct gdb *gdb)
{
	unsigned int i;

	for (i = 0; i < SOFT_MAX; i++)
		if (gdb->soft[i].used)
			soft_remove(gdb, gdb->soft[i].gva);
	memset(gdb->hard, 0, sizeof(gdb->hard));
}

/* The guest goes on without a debugger. */
static void release(struct gdb *gdb)
{
	vm_pause(gdb->vm);
	forget_breakpoints(gdb);
	go(gdb, false);
	gdb->running = false;
	gdb->released = true;
}

static void detach(struct gdb *gdb)
{
	if (gdb->client.fd < 0)
		return;
	if (!gdb->released)
		release(gdb);
	loop_remove(&gdb->vm->loop, &gdb->client);
	close(gdb->client.fd);
	gdb->client.fd = -1;
}

/* ---- requests ------------------------------------------------------------------------------ */

static void choose(struct gdb *gdb, const char *packet)
{
	long thread = strtol(packet + 1, NULL, 16);

	if (thread > (long)gdb->vm->cpus.count) {
		send_packet(gdb, "E01");
		return;
	}
	if (thread > 0)
		gdb->cpu = (unsigned int)thread - 1;
	send_packet(gdb, "OK");
}

static void list_threads(struct gdb *gdb)
{
	unsigned int i;
	char *to = gdb->out;

	for (i = 0; i < gdb->vm->cpus.count; i++)
		to += sprintf(to, "%c%x", i ? ',' : 'm', i + 1);
	send_packet(gdb, gdb->out);
}

static void describe_thread(struct gdb *gdb, const char *number)
{
	unsigned long i = strtoul(number, NULL, 16) - 1;
	char text[40];

	if (i >= gdb->vm->cpus.count) {
		send_packet(gdb, "E01");
		return;
	}
	snprintf(text, sizeof(text), "CPU#%lu [%s]", i,
		 hv_vcpu_is_halted(gdb->vm->cpus.all[i].hv) ? "halted" : "running");
	put_hex(gdb->out, text, strlen(text));
	send_packet(gdb, gdb->out);
}

static void add_register(struct buf *text, const char *name, unsigned int bits, const char *type)
{
	char one[80];

	snprintf(one, sizeof(one), "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"/>", name, bits,
		 type);
	buf_text(text, one);
}

/*
 * GDB wants to hear of all of the processor's old registers (its manual, appendix G.5); those of
 * the x87 are not shown, they read as not available.
 */
static void describe_target(struct buf *text)
{
	static const char *const NAMES[PACKED] = {
		"rax", "rbx", "rcx", "rdx", "rsi", "rdi",    "rbp", "rsp", "r8", "r9", "r10", "r11",
		"r12", "r13", "r14", "r15", "rip", "eflags", "cs",  "ss",  "ds", "es", "fs",  "gs",
	};
	static const char *const X87[8] = { "fctrl", "fstat", "ftag",  "fiseg",
					    "fioff", "foseg", "fooff", "fop" };
	char name[] = "st0";
	unsigned int i;

	buf_text(text, "<target><architecture>i386:x86-64</architecture>"
		       "<feature name=\"org.gnu.gdb.i386.core\">");
	for (i = 0; i < PACKED; i++)
		add_register(text, NAMES[i], i < GPRS ? 64 : 32, i == RIP ? "code_ptr" : "int");
	for (i = 0; i < 8; i++, name[2]++)
		add_register(text, name, 80, "i387_ext");
	for (i = 0; i < 8; i++)
		add_register(text, X87[i], 32, "int");
	buf_text(text, "</feature><feature name=\"org.gnu.gdb.i386.segments\">");
	add_register(text, "fs_base", 64, "int");
	add_register(text, "gs_base", 64, "int");
	buf_text(text, "</feature></target>");
}

/* qXfer:features:read:target.xml:OFFSET,LENGTH: a part of it, m if there is more, l if not. */
static void send_target(struct gdb *gdb, const char *part)
{
	unsigned int offset = 0, length = 0;
	struct buf text = { 0 };

	describe_target(&text);
	if (text.failed || sscanf(part, "%x,%x", &offset, &length) != 2 || offset > text.size) {
		send_packet(gdb, "E01");
	} else {
		if (length > PACKET_MAX - 8)
			length = PACKET_MAX - 8;
		if (length > text.size - offset)
			length = (unsigned int)(text.size - offset);
		snprintf(gdb->out, sizeof(gdb->out), "%c%.*s",
			 offset + length < text.size ? 'm' : 'l', (int)length,
			 (const char *)text.data + offset);
		send_packet(gdb, gdb->out);
	}
	buf_fini(&text);
}

static void query(struct gdb *gdb, const char *packet)
{
	static const char TARGET[] = "qXfer:features:read:target.xml:";

	if (!strncmp(packet, "qSupported", 10)) {
		snprintf(gdb->out, sizeof(gdb->out),
			 "PacketSize=%x;qXfer:features:read+;vContSupported+", PACKET_MAX);
		send_packet(gdb, gdb->out);
	} else if (!strncmp(packet, TARGET, strlen(TARGET))) {
		send_target(gdb, packet + strlen(TARGET));
	} else if (!strncmp(packet, "qThreadExtraInfo,", 17)) {
		describe_thread(gdb, packet + 17);
	} else if (!strcmp(packet, "qC")) {
		snprintf(gdb->out, sizeof(gdb->out), "QC%x", gdb->cpu + 1);
		send_packet(gdb, gdb->out);
	} else if (!strcmp(packet, "qfThreadInfo")) {
		list_threads(gdb);
	} else if (!strcmp(packet, "qsThreadInfo")) {
		send_packet(gdb, "l");
	} else if (!strcmp(packet, "qAttached")) {
		send_packet(gdb, "1");
	} else {
		send_packet(gdb, "");
	}
}

/* vCont;s:2;c: a step is of the thread that it names. */
static void continue_with(struct gdb *gdb, const char *packet)
{
	const char *step = strstr(packet, ";s");

	if (!strncmp(packet, "vCont?", 6)) {
		send_packet(gdb, "vCont;c;C;s;S");
		return;
	}
	if (strncmp(packet, "vCont;", 6)) {
		send_packet(gdb, "");
		return;
	}
	if (step && step[2] == ':' && strtoul(step + 3, NULL, 16) - 1 < gdb->vm->cpus.count)
		gdb->cpu = (unsigned int)strtoul(step + 3, NULL, 16) - 1;
	go(gdb, step != NULL);
}

static void serve(struct gdb *gdb, char *packet)
{
	switch (packet[0]) {
	case '?':
		return tell_stop(gdb, 5);
	case 'g':
		return read_registers(gdb);
	case 'G':
		return write_registers(gdb, packet + 1);
	case 'p':
		return read_register(gdb, packet + 1);
	case 'P':
		return write_register(gdb, packet + 1);
	case 'm':
		return read_memory(gdb, packet + 1);
	case 'M':
		return write_memory(gdb, packet + 1);
	case 'c':
		return go(gdb, false);
	case 's':
		return go(gdb, true);
	case 'Z':
	case 'z':
		return breakpoint(gdb, packet);
	case 'H':
		return choose(gdb, packet + 1);
	case 'T':
		return send_packet(gdb, "OK");
	case 'q':
		return query(gdb, packet);
	case 'v':
		return continue_with(gdb, packet);
	case 'D':
		/*
		 * GDB acknowledges the answer, and dies of that where nobody reads it: it closes.
		 */
		send_packet(gdb, "OK");
		return release(gdb);
	case 'k':
		return vm_end(gdb->vm, VMM_END_QUIT, 0, "the debugger ended it");
	default:
		return send_packet(gdb, "");
	}
}

static void consume(struct gdb *gdb, size_t size)
{
	gdb->in_size -= size;
	memmove(gdb->in, gdb->in + size, gdb->in_size);
}

/* One packet or sign out of what has come; false if it is not whole yet. */
static bool take_one(struct gdb *gdb)
{
	char packet[sizeof(gdb->in)], *end;
	size_t size;

	if (!gdb->in_size)
		return false;
	if (gdb->in[0] == 3)
		interrupt(gdb);
	if (gdb->in[0] != '$') {
		consume(gdb, 1);
		return true;
	}
	end = memchr(gdb->in, '#', gdb->in_size);
	if (!end || gdb->in + gdb->in_size - end < 3)
		return false;
	size = (size_t)(end - gdb->in) - 1;
	memcpy(packet, gdb->in + 1, size);
	packet[size] = 0;
	consume(gdb, size + 4);
	send(gdb->client.fd, "+", 1, MSG_NOSIGNAL);
	serve(gdb, packet);
	return gdb->client.fd >= 0;
}

static void client_ready(void *owner, uint32_t events)
{
	struct gdb *gdb = owner;
	ssize_t count =
		read(gdb->client.fd, gdb->in + gdb->in_size, sizeof(gdb->in) - gdb->in_size);

	(void)events;
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0 || gdb->in_size + (size_t)count == sizeof(gdb->in)) {
		detach(gdb);
		return;
	}
	gdb->in_size += (size_t)count;
	while (take_one(gdb))
		;
}

static void listener_ready(void *owner, uint32_t events)
{
	struct gdb *gdb = owner;
	int fd = accept4(gdb->listener.fd, NULL, NULL, SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	if (gdb->released)
		detach(gdb);
	if (gdb->client.fd >= 0) {
		close(fd);
		return;
	}
	gdb->client.fd = fd;
	gdb->released = false;
	gdb->in_size = 0;
	gdb->cpu = 0;
	loop_add(&gdb->vm->loop, &gdb->client, EPOLLIN);
	vm_pause(gdb->vm);
	arm(gdb, false);
}

int gdb_create(struct vm *vm, struct why *why)
{
	struct gdb *gdb;

	if (!vm->config->gdb_socket)
		return 0;
	gdb = calloc(1, sizeof(*gdb));
	if (!gdb)
		return why_set(why, "no memory");
	gdb->vm = vm;
	gdb->client = (struct loop_fd){ -1, client_ready, gdb };
	gdb->stop = (struct loop_fd){ eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), stop_ready, gdb };
	gdb->listener = (struct loop_fd){ sockets_listen(vm->config->gdb_socket, why),
					  listener_ready, gdb };
	vm->gdb = gdb;
	if (gdb->listener.fd < 0)
		return -1;
	return loop_add(&vm->loop, &gdb->stop, EPOLLIN) ||
	       loop_add(&vm->loop, &gdb->listener, EPOLLIN);
}

void gdb_destroy(struct vm *vm)
{
	struct gdb *gdb = vm->gdb;

	if (!gdb)
		return;
	if (gdb->client.fd >= 0) {
		send_packet(gdb, "W00");
		close(gdb->client.fd);
	}
	if (gdb->listener.fd >= 0)
		sockets_close(gdb->listener.fd, vm->config->gdb_socket);
	close(gdb->stop.fd);
	free(gdb);
	vm->gdb = NULL;
}
