/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seam between bv's command line (cli/) and its machine (vmm/): a VM described in one
 * structure, and a call that runs it in this process until it ends.
 *
 * The command line reads definitions, makes images and sockets' directories, starts `bv` again as a
 * child for each VM, and in that child fills a struct vmm_config and calls vmm_run(). From then on
 * the two talk over the control socket only (docs/control-socket.md). vmm/ knows nothing of
 * definitions, of where files lie by custom, or of other VMs.
 */
#ifndef VMM_VMM_H
#define VMM_VMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMM_CPUS_MAX 64
#define VMM_DISKS_MAX 16
#define VMM_NETS_MAX 8
#define VMM_SHARES_MAX 8

enum vmm_disk_format {
	VMM_DISK_RAW,
	VMM_DISK_QCOW2, /* by qemu-storage-daemon, started as a helper */
};

struct vmm_disk {
	const char *id; /* its name in requests and messages; NULL: disk0, disk1... by place */
	const char *path; /* a file or a block device */
	const char *serial; /* at most 20 characters; NULL: the id */
	enum vmm_disk_format format;
	bool read_only;
	bool direct; /* not through the host's page cache (O_DIRECT) */
};

enum vmm_net_kind {
	VMM_NET_USER, /* by libslirp: DHCP, DNS, 10.0.2.0/24, no privilege needed */
	VMM_NET_TAP, /* an existing tap device */
};

/* A port of this machine that leads to one of the guest's (user-mode nets only). */
struct vmm_forward {
	bool udp;
	const char *host; /* an IPv4 address of this machine; NULL: 127.0.0.1 */
	uint16_t host_port;
	uint16_t guest_port;
};

struct vmm_net {
	const char *id; /* NULL: net0, net1... by place */
	enum vmm_net_kind kind;
	uint8_t mac[6]; /* all zero: made from the VM's name and the place */
	/* VMM_NET_TAP */
	const char *tap; /* the interface's name */
	bool vhost; /* by the kernel's vhost-net; refused if that cannot be had */
	unsigned int queues; /* pairs; 0 means 1; more than 1 needs a tap made with multi_queue */
	/* VMM_NET_USER */
	bool restricted; /* the guest reaches only forwards and the net's own DHCP and DNS */
	const struct vmm_forward *forwards;
	unsigned int forwards_count;
};

/*
 * A directory of this machine that the guest can mount: mount -t virtiofs TAG DIR. Served by
 * virtiofsd, started as a helper.
 */
struct vmm_share {
	const char *tag;
	const char *path;
	bool read_only;
};

struct vmm_config {
	const char *name; /* of the VM, for messages and SMBIOS */
	uint8_t uuid[16]; /* all zero: made from the name */
	unsigned int cpus;
	uint64_t memory; /* bytes, a multiple of 2 MiB, at least 16 MiB */

	/*
	 * What starts: a kernel (bzImage, or an ELF with a PVH entry), or firmware, exactly one.
	 * Firmware is a whole image (SeaBIOS's bios-256k.bin, OVMF_CODE_4M.fd); with a variable
	 * store beside it, which the guest writes (a copy of OVMF_VARS_4M.fd).
	 */
	const char *kernel;
	const char *initrd;
	const char *append;
	const char *firmware;
	const char *firmware_vars;

	const struct vmm_disk *disks; /* firmware boots from them in this order */
	unsigned int disks_count;
	const struct vmm_net *nets;
	unsigned int nets_count;
	const struct vmm_share *shares;
	unsigned int shares_count;
	uint32_t vsock_cid; /* 3 or more; 0: no vsock */

	/*
	 * Unix stream sockets that the VM makes and removes; NULL: none. A client of the console
	 * gets the scrollback, then what the guest says; what it writes, the guest reads.
	 */
	const char *control_socket;
	const char *console_socket;
	const char *console_log; /* every byte that the guest says, appended; NULL: none */
	int console_fd; /* also the console: a terminal or pipe to read and write; -1: none */
	int console_out_fd; /* where console_fd is written to, if not to itself; -1: itself */
	const char *gdb_socket; /* Unix socket of the GDB remote stub; NULL: none */

	/*
	 * If not -1: gets each event of docs/control-socket.md as a line of JSON, among them
	 * "started" and "ended". vmm_run() never closes it.
	 */
	int event_fd;

	const char *restore; /* a snapshot to start from; the rest must describe the same VM */
	bool start_paused; /* until "resume"; a snapshot starts as it was taken otherwise */
	bool reset_ends; /* the guest's reset ends the VM, instead of starting it anew */
	bool debug_exit; /* port 0xf4: a byte written there ends the VM with that status */

	bool no_sandbox; /* for debugging only */
};

enum vmm_end_kind {
	VMM_END_POWEROFF, /* the guest's own wish, or the power button's */
	VMM_END_RESET, /* by the guest, with reset_ends */
	VMM_END_DEBUG, /* port 0xf4; the byte is in code */
	VMM_END_QUIT, /* asked for over the control socket, or by SIGTERM, SIGINT, SIGHUP */
	VMM_END_SAVED, /* a snapshot was taken that was to end the VM */
	VMM_END_PANIC, /* the guest told pvpanic, or a vCPU could not go on (triple fault resets) */
	VMM_END_REFUSED, /* it never started: what was asked for cannot be had */
	VMM_END_FAILED, /* the host, or bv itself, failed under a running VM */
};

struct vmm_end {
	enum vmm_end_kind kind;
	int code;
	char why[480]; /* one sentence, the cause; "" where there is nothing to say */
	char hint[240]; /* what would help, "" if nothing is known */
};

/**
 * vmm_run() - Runs a VM in this process until it ends.
 * @config: all of it stays the caller's and unchanged until the return
 * @end: says how it ended
 *
 * Opens everything, shuts itself in (seccomp, no new privileges, Landlock: after that the process
 * can open no file, not even after the return), runs the vCPUs in threads and the devices in the
 * calling one. Takes SIGINT, SIGTERM, SIGHUP, SIGPIPE and SIGUSR1 for itself.
 *
 * Return: 0 if the VM ran and ended by anybody's wish (poweroff, reset, debug, quit, saved),
 * -1 for the other kinds.
 */
int vmm_run(const struct vmm_config *config, struct vmm_end *end);

/**
 * vmm_end_word() - The kind in a word as in the "ended" event: "poweroff", "panic"...
 */
const char *vmm_end_word(enum vmm_end_kind kind);

/* What stands between this machine and VMs. */
enum vmm_host_state {
	VMM_HOST_READY,
	VMM_HOST_NO_DEVICE, /* no /dev/kvm */
	VMM_HOST_NO_PERMISSION,
	VMM_HOST_NOT_KVM, /* something else answers, or another API version */
	VMM_HOST_CANNOT_RUN, /* it answers, but a tiny guest does not run on it */
	VMM_HOST_LACKS, /* it runs guests, but lacks what bv's machine needs */
};

struct vmm_host {
	enum vmm_host_state state;
	char why[480];
	char hint[240];
	unsigned int cpus_max; /* vCPUs of a VM */
	bool bivisor; /* the module is bivisor.ko */
};

/**
 * vmm_host_probe() - Tries /dev/kvm out with a tiny guest.
 * @host: what was found
 *
 * Takes at most 2 seconds. vmm_run() does the same first. For `bv doctor` and for `bv run`.
 *
 * Return: true if VMs can run here.
 */
bool vmm_host_probe(struct vmm_host *host);

#endif
