// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What requests on the control socket do: see requests.h and docs/control-socket.md. A table names
 * each with the members that it takes; what is not in it, or of another type, is refused before
 * anything is done.
 */
#include "vmm/requests.h"
#include "vmm/block.h"
#include "vmm/console.h"
#include "vmm/net.h"
#include "vmm/pm.h"
#include "vmm/sandbox.h"
#include "vmm/snapshot.h"
#include "vmm/virtio_small.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FORWARDS_SHOWN 64

struct request {
	struct vm *vm;
	json_t *members;
	int *fd;
	bool *events;
	const char *error_name;
	struct why why;
};

/* ---- members ---------------------------------------------------------------------------------- */

static json_t *refuse(struct request *request, const char *error_name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static json_t *refuse(struct request *request, const char *error_name, const char *format, ...)
{
	va_list arguments;

	request->error_name = error_name;
	va_start(arguments, format);
	vsnprintf(request->why.text, sizeof(request->why.text), format, arguments);
	va_end(arguments);
	return NULL;
}

static const char *get_string(const struct request *request, const char *name)
{
	return json_string_value(json_object_get(request->members, name));
}

static bool get_flag(const struct request *request, const char *name)
{
	return json_is_true(json_object_get(request->members, name));
}

static int64_t get_number(const struct request *request, const char *name)
{
	return json_integer_value(json_object_get(request->members, name));
}

static json_t *done(void)
{
	return json_object();
}

/* ---- looking ---------------------------------------------------------------------------------- */

static const char *state_word(const struct vm *vm)
{
	if (vm->panicked)
		return "panicked";
	return vm->state == VM_RUNNING ? "running" : vm->state == VM_PAUSED ? "paused" : "ended";
}

static json_t *text_or_null(const char *text)
{
	return text && text[0] ? json_string(text) : json_null();
}

static json_t *ip_or_null(uint32_t ip)
{
	char text[INET_ADDRSTRLEN];

	return ip ? json_string(inet_ntop(AF_INET, &ip, text, sizeof(text))) : json_null();
}

static json_t *disks_status(struct vm *vm)
{
	json_t *list = json_array();
	struct block *block;

	for (block = vm->blocks; block; block = block->next)
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:I, s:b, s:s, s:o}", "id", block->id, "path",
					block->path, "bytes", (json_int_t)block->size, "read_only",
					(int)block->read_only, "serial", block->serial, "error",
					text_or_null(block->error)));
	return list;
}

static json_t *forwards_status(struct net *net)
{
	struct vmm_forward forwards[FORWARDS_SHOWN];
	json_t *list = json_array();
	unsigned int i, count = 0;

	if (net->kind == VMM_NET_USER)
		count = net_user_forwards(net, forwards, FORWARDS_SHOWN);
	for (i = 0; i < count; i++)
		json_array_append_new(
			list, json_pack("{s:b, s:s, s:i, s:i}", "udp", (int)forwards[i].udp, "host",
					forwards[i].host, "host_port", (int)forwards[i].host_port,
					"guest_port", (int)forwards[i].guest_port));
	return list;
}

static json_t *nets_status(struct vm *vm)
{
	json_t *list = json_array();
	struct net *net;
	char mac[18];

	for (net = vm->nets; net; net = net->next) {
		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", net->mac[0],
			 net->mac[1], net->mac[2], net->mac[3], net->mac[4], net->mac[5]);
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "id", net->id, "kind",
					net->kind == VMM_NET_USER ? "user" : "tap", "mac", mac,
					"ip", ip_or_null(net->guest_ip), "forwards",
					forwards_status(net), "error", text_or_null(net->error)));
	}
	return list;
}

static uint32_t first_ip(const struct vm *vm)
{
	const struct net *net;

	for (net = vm->nets; net; net = net->next)
		if (net->guest_ip)
			return net->guest_ip;
	return 0;
}

static json_t *do_status(struct request *request)
{
	struct vm *vm = request->vm;
	const struct vmm_config *config = vm->config;

	return json_pack("{s:o, s:s, s:i, s:i, s:I, s:f, s:i, s:b, s:o, s:o, s:o, s:o}", "name",
			 text_or_null(config->name), "state", state_word(vm), "pid", (int)getpid(),
			 "cpus", (int)config->cpus, "memory", (json_int_t)config->memory, "uptime",
			 (double)(loop_now() - vm->started_at) / 1e9, "resets", (int)vm->resets,
			 "bivisor", (int)vm->bivisor, "console",
			 text_or_null(config->console_socket), "disks", disks_status(vm), "nets",
			 nets_status(vm), "guest_ip", ip_or_null(first_ip(vm)));
}

static json_t *cpus_stats(struct vm *vm)
{
	json_t *list = json_array();
	unsigned int i, kind;

	for (i = 0; i < vm->cpus.count; i++) {
		struct vcpu *vcpu = &vm->cpus.all[i];
		uint64_t exits = 0;

		for (kind = 0; kind < HV_EXITS; kind++)
			exits += vcpu->exits[kind];
		json_array_append_new(list, json_pack("{s:i, s:f, s:I, s:s}", "id", (int)i,
						      "cpu_seconds", (double)vcpu_time(vcpu) / 1e9,
						      "exits", (json_int_t)exits, "state",
						      vcpu->held ? "held" : "running"));
	}
	return list;
}

static json_t *exits_stats(struct vm *vm)
{
	static const char *const NAMES[HV_EXITS] = {
		[HV_EXIT_IO] = "io",	     [HV_EXIT_MMIO] = "mmio",
		[HV_EXIT_INTR] = "intr",     [HV_EXIT_SHUTDOWN] = "shutdown",
		[HV_EXIT_DEBUG] = "debug",   [HV_EXIT_OTHER] = "other",
		[HV_EXIT_FAILED] = "failed",
	};
	json_t *all = json_object();
	unsigned int i, kind;

	for (kind = 0; kind < HV_EXITS; kind++) {
		uint64_t sum = 0;

		for (i = 0; i < vm->cpus.count; i++)
			sum += vm->cpus.all[i].exits[kind];
		json_object_set_new(all, NAMES[kind], json_integer((json_int_t)sum));
	}
	return all;
}

static json_t *disks_stats(struct vm *vm)
{
	json_t *list = json_array();
	struct block *block;

	for (block = vm->blocks; block; block = block->next) {
		const struct block_stats *stats = &block->stats;

		json_array_append_new(list,
				      json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "id",
						block->id, "reads", (json_int_t)stats->reads,
						"read_bytes", (json_int_t)stats->read_bytes,
						"writes", (json_int_t)stats->writes, "write_bytes",
						(json_int_t)stats->write_bytes, "flushes",
						(json_int_t)stats->flushes, "discards",
						(json_int_t)stats->discards, "errors",
						(json_int_t)stats->errors));
	}
	return list;
}

static json_t *nets_stats(struct vm *vm)
{
	json_t *list = json_array();
	struct net *net;

	for (net = vm->nets; net; net = net->next) {
		const struct net_stats *stats = &net->stats;

		json_array_append_new(list,
				      json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "id", net->id,
						"rx_packets", (json_int_t)stats->rx_packets,
						"rx_bytes", (json_int_t)stats->rx_bytes,
						"tx_packets", (json_int_t)stats->tx_packets,
						"tx_bytes", (json_int_t)stats->tx_bytes, "dropped",
						(json_int_t)stats->dropped));
	}
	return list;
}

static json_t *memory_stats(struct vm *vm)
{
	uint64_t resident = mem_resident(&vm->mem), all = vm_process_resident(vm);

	return json_pack("{s:I, s:I, s:I, s:I}", "size", (json_int_t)vm->mem.size, "resident",
			 (json_int_t)resident, "balloon",
			 vm->balloon ? (json_int_t)balloon_actual(vm->balloon) : (json_int_t)0,
			 "overhead", (json_int_t)(all > resident ? all - resident : 0));
}

static json_t *do_stats(struct request *request)
{
	struct rusage usage;
	double seconds;

	getrusage(RUSAGE_SELF, &usage);
	seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		  (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	return json_pack("{s:o, s:o, s:f, s:o, s:o, s:o}", "cpus", cpus_stats(request->vm), "exits",
			 exits_stats(request->vm), "cpu_seconds", seconds, "memory",
			 memory_stats(request->vm), "disks", disks_stats(request->vm), "nets",
			 nets_stats(request->vm));
}

static json_t *do_console(struct request *request)
{
	const struct console *console = request->vm->console;

	return json_pack("{s:o, s:I, s:i}", "path", text_or_null(console->path), "bytes",
			 (json_int_t)console->said, "clients", (int)console_clients(console));
}

static json_t *do_clear_console(struct request *request)
{
	console_clear(request->vm->console);
	return done();
}

static json_t *do_events(struct request *request)
{
	*request->events = true;
	return done();
}

/* ---- the machine's buttons -------------------------------------------------------------------- */

static json_t *do_pause(struct request *request)
{
	vm_pause(request->vm);
	return done();
}

static json_t *do_resume(struct request *request)
{
	vm_resume(request->vm);
	return done();
}

static json_t *do_powerdown(struct request *request)
{
	pm_power_button(request->vm->pm);
	vm_event(request->vm, "powerdown", "{}");
	return done();
}

static json_t *do_reset(struct request *request)
{
	vm_reset(request->vm);
	return done();
}

static json_t *do_nmi(struct request *request)
{
	struct vm *vm = request->vm;
	unsigned int i;
	bool paused = vm->state == VM_PAUSED;

	if (!paused)
		cpus_hold(&vm->cpus);
	for (i = 0; i < vm->cpus.count; i++)
		hv_vcpu_nmi(vm->cpus.all[i].hv);
	if (!paused)
		cpus_release(&vm->cpus);
	return done();
}

static json_t *do_quit(struct request *request)
{
	vm_end(request->vm, VMM_END_QUIT, 0, "it was ended over the control socket");
	return done();
}

static json_t *do_balloon(struct request *request)
{
	int64_t bytes = get_number(request, "bytes");
	struct vm *vm = request->vm;

	if (bytes < 0 || (uint64_t)bytes > vm->mem.size)
		return refuse(request, "EINVAL", "bytes is %lld; it must be 0 to %llu",
			      (long long)bytes, (unsigned long long)vm->mem.size);
	balloon_set(vm->balloon, (uint64_t)bytes);
	return json_pack("{s:I}", "actual", (json_int_t)balloon_actual(vm->balloon));
}

static json_t *do_snapshot(struct request *request)
{
	const char *then = get_string(request, "then");
	struct vm *vm = request->vm;
	bool was_running = vm->state == VM_RUNNING;
	uint64_t began = loop_now();
	int64_t bytes;

	if (*request->fd < 0)
		return refuse(request, "EBADF", "a descriptor of the file must come with it");
	if (then && strcmp(then, "resume") && strcmp(then, "pause") && strcmp(then, "quit"))
		return refuse(request, "EINVAL", "then is %s; it must be resume, pause or quit",
			      then);
	vm_pause(vm);
	bytes = snapshot_save(vm, *request->fd, was_running, &request->why);
	if (bytes >= 0 && then && strcmp(then, "quit") == 0)
		vm_end(vm, VMM_END_SAVED, 0, "%s", "");
	else if (was_running && (bytes < 0 || !then || strcmp(then, "pause")))
		vm_resume(vm);
	if (bytes < 0)
		return NULL;
	return json_pack("{s:I, s:f}", "bytes", (json_int_t)bytes, "seconds",
			 (double)(loop_now() - began) / 1e9);
}

/* ---- plugging --------------------------------------------------------------------------------- */

static bool id_is_taken(struct request *request, const char *id)
{
	return block_find(request->vm, id) || net_find(request->vm, id);
}

static json_t *check_new_id(struct request *request, const char *id)
{
	if (!id || !*id || strlen(id) > 31)
		return refuse(request, "EINVAL", "id must be a name of 1 to 31 characters");
	if (id_is_taken(request, id))
		return refuse(request, "EEXIST", "there is a device %s already", id);
	return json_true();
}

static json_t *plugged(struct request *request, struct virtio_dev *dev, const char *id)
{
	pm_hotplug(request->vm->pm, dev->pci.slot, true);
	vm_event(request->vm, "attached", "{s:s}", "id", id);
	return done();
}

static json_t *do_attach_disk(struct request *request)
{
	struct vmm_disk disk = { .id = get_string(request, "id"),
				 .serial = get_string(request, "serial"),
				 .read_only = get_flag(request, "read_only"),
				 .path = "a plugged image" };
	struct block *block;

	if (!check_new_id(request, disk.id))
		return NULL;
	if (*request->fd < 0)
		return refuse(request, "EBADF", "a descriptor of the image must come with it");
	block = block_create(request->vm, &disk, 0, *request->fd, &request->why);
	*request->fd = -1;
	return block ? plugged(request, &block->dev, block->id) : NULL;
}

static bool parse_mac(const char *text, uint8_t mac[6])
{
	return !text || sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2],
			       &mac[3], &mac[4], &mac[5]) == 6;
}

static bool parse_forward(json_t *value, struct vmm_forward *forward)
{
	json_int_t host_port = json_integer_value(json_object_get(value, "host_port"));
	json_int_t guest_port = json_integer_value(json_object_get(value, "guest_port"));

	if (host_port < 1 || host_port > 65535 || guest_port < 0 || guest_port > 65535)
		return false;
	*forward = (struct vmm_forward){
		.udp = json_is_true(json_object_get(value, "udp")),
		.host = json_string_value(json_object_get(value, "host")),
		.host_port = (uint16_t)host_port,
		.guest_port = (uint16_t)guest_port,
	};
	return true;
}

static json_t *do_attach_net(struct request *request)
{
	json_t *list = json_object_get(request->members, "forwards");
	struct vmm_forward forwards[FORWARDS_SHOWN];
	struct vmm_net config = { .id = get_string(request, "id"),
				  .kind = *request->fd < 0 ? VMM_NET_USER : VMM_NET_TAP,
				  .forwards = forwards };
	struct net *net;

	if (!check_new_id(request, config.id))
		return NULL;
	if (config.kind == VMM_NET_USER && !sandbox_has_sockets(request->vm))
		return refuse(request, "EPERM",
			      "this VM was started without a user-mode net, so its sandbox allows "
			      "no sockets; give it one in its definition");
	if (!parse_mac(get_string(request, "mac"), config.mac))
		return refuse(request, "EINVAL", "mac must be like 52:54:00:01:02:03");
	while (config.forwards_count < json_array_size(list)) {
		if (config.forwards_count == FORWARDS_SHOWN ||
		    !parse_forward(json_array_get(list, config.forwards_count),
				   &forwards[config.forwards_count]))
			return refuse(request, "EINVAL", "a forward has no good ports");
		config.forwards_count++;
	}
	net = net_create(request->vm, &config, 0, *request->fd, &request->why);
	*request->fd = -1;
	return net ? plugged(request, &net->dev, net->id) : NULL;
}

static json_t *ask_to_leave(struct request *request, struct virtio_dev *dev)
{
	pm_hotplug(request->vm->pm, dev->pci.slot, false);
	return done();
}

static json_t *do_detach_disk(struct request *request)
{
	const char *id = get_string(request, "id");
	struct block *block = block_find(request->vm, id ? id : "");

	return block ? ask_to_leave(request, &block->dev) :
		       refuse(request, "ENOENT", "there is no disk %s", id ? id : "without an id");
}

static json_t *do_detach_net(struct request *request)
{
	const char *id = get_string(request, "id");
	struct net *net = net_find(request->vm, id ? id : "");

	return net ? ask_to_leave(request, &net->dev) :
		     refuse(request, "ENOENT", "there is no net %s", id ? id : "without an id");
}

static json_t *do_forward(struct request *request)
{
	const char *id = get_string(request, "net");
	struct net *net = id ? net_find(request->vm, id) : request->vm->nets;
	struct vmm_forward forward;

	if (!net || net->kind != VMM_NET_USER)
		return refuse(request, "ENOENT", "there is no user-mode net %s", id ? id : "");
	if (!parse_forward(request->members, &forward))
		return refuse(request, "EINVAL", "host_port and guest_port must be 1 to 65535");
	if (net_user_forward(net, &forward, !get_flag(request, "remove"), &request->why))
		return NULL;
	return done();
}

/* ---- which one -------------------------------------------------------------------------------- */

/* Members: name and type, s string, i integer, b flag, l list. */
static const struct verb {
	const char *name;
	json_t *(*serve)(struct request *request);
	const char *members;
} VERBS[] = {
	{ "status", do_status, "" },
	{ "stats", do_stats, "" },
	{ "pause", do_pause, "" },
	{ "resume", do_resume, "" },
	{ "powerdown", do_powerdown, "" },
	{ "reset", do_reset, "" },
	{ "nmi", do_nmi, "" },
	{ "quit", do_quit, "" },
	{ "snapshot", do_snapshot, "then:s" },
	{ "attach-disk", do_attach_disk, "id:s serial:s read_only:b" },
	{ "detach-disk", do_detach_disk, "id:s" },
	{ "attach-net", do_attach_net, "id:s mac:s forwards:l" },
	{ "detach-net", do_detach_net, "id:s" },
	{ "forward", do_forward, "net:s udp:b host:s host_port:i guest_port:i remove:b" },
	{ "balloon", do_balloon, "bytes:i" },
	{ "console", do_console, "" },
	{ "clear-console", do_clear_console, "" },
	{ "events", do_events, "" },
};

static char type_of(const json_t *value)
{
	if (json_is_string(value))
		return 's';
	if (json_is_integer(value))
		return 'i';
	if (json_is_boolean(value))
		return 'b';
	return json_is_array(value) ? 'l' : '?';
}

static bool member_known(const char *members, const char *name, char type)
{
	size_t length = strlen(name);
	const char *at;

	for (at = members; *at; at += strcspn(at, " "), at += *at == ' ')
		if (strcspn(at, ":") == length && !strncmp(at, name, length))
			return at[length + 1] == type;
	return false;
}

static const struct verb *find_verb(const char *name)
{
	size_t i;

	for (i = 0; name && i < sizeof(VERBS) / sizeof(VERBS[0]); i++)
		if (strcmp(VERBS[i].name, name) == 0)
			return &VERBS[i];
	return NULL;
}

static json_t *serve(struct request *request)
{
	const char *name = get_string(request, "do"), *member;
	const struct verb *verb = find_verb(name);
	json_t *value;

	if (!json_is_object(request->members))
		return refuse(request, "EINVAL", "the line is no JSON object");
	if (!verb)
		return refuse(request, "ENOSYS", "there is no request %s",
			      name ? name : "without do");
	json_object_foreach(
		request->members, member,
		value) if (strcmp(member, "do") && strcmp(member, "id") &&
			   !member_known(verb->members, member,
					 type_of(value))) return refuse(request, "EINVAL",
									"%s takes no member %s, or "
									"not of this type",
									name, member);
	return verb->serve(request);
}

json_t *requests_serve(struct vm *vm, json_t *members, int *fd, bool *events)
{
	struct request request = {
		.vm = vm, .members = members, .fd = fd, .events = events, .error_name = "EIO"
	};
	json_t *id = json_object_get(members, "id"), *answer = serve(&request);

	if (answer) {
		json_object_set_new(answer, "ok", json_true());
	} else {
		answer = json_pack("{s:b, s:s, s:s}", "ok", 0, "error", request.why.text, "errno",
				   request.error_name);
		if (answer && request.why.hint[0])
			json_object_set_new(answer, "hint", json_string(request.why.hint));
	}
	if (answer && id && !json_object_get(answer, "id"))
		json_object_set(answer, "id", id);
	return answer;
}
