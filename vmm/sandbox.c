// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The sandbox: see sandbox.h. Four walls, one behind the other:
 *
 *	no new privileges, no capabilities, no core dumps of the guest's memory
 *	Landlock: no file can be opened, made or removed, but those named below
 *	seccomp: only system calls that a running VM makes
 *	no process can be started, and none signalled but the helpers that were started before
 *
 * What stays allowed to be opened: with a user-mode net, /etc/resolv.conf, for the DNS that the
 * guest asks. What stays allowed to be removed: the VM's own sockets, by the directories that they
 * lie in.
 */
#include "vmm/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What depends on the VM and on the host's kernel. */
struct walls {
	bool user_net; /* the guest's sockets are this process's */
	bool landlock; /* files are Landlock's matter; else none can be opened or removed at all */
};

bool sandbox_has_sockets(const struct vm *vm)
{
	const struct vmm_config *config = vm->config;
	unsigned int i;

	if (config->no_sandbox)
		return true;
	for (i = 0; i < config->nets_count; i++)
		if (config->nets[i].kind == VMM_NET_USER)
			return true;
	return false;
}

/* ---- privileges ---------------------------------------------------------------------------- */

static int drop_privileges(struct why *why)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	int capability;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return why_set(why, "new privileges cannot be given up: %s", strerror(errno));
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	for (capability = 0; capability <= CAP_LAST_CAP; capability++)
		prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	if (syscall(SYS_capset, &head, none))
		return why_set(why, "capabilities cannot be dropped: %s", strerror(errno));
	return 0;
}

/* ---- Landlock ------------------------------------------------------------------------------ */

static int allow_path(int rules, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr beneath = { .allowed_access = access };
	int error;

	beneath.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (beneath.parent_fd < 0)
		return 0;
	error = (int)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
	close(beneath.parent_fd);
	return error;
}

static int allow_removal(int rules, const char *socket)
{
	char *copy;
	int error;

	if (!socket)
		return 0;
	copy = strdup(socket);
	if (!copy)
		return -1;
	error = allow_path(rules, dirname(copy), LANDLOCK_ACCESS_FS_REMOVE_FILE);
	free(copy);
	return error;
}

/* A kernel without Landlock: the other walls stand. */
static int lock_land(const struct vmm_config *config, struct walls *walls, struct why *why)
{
	struct landlock_ruleset_attr all = {
		.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1,
	};
	int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0), error;

	walls->landlock = rules >= 0;
	if (rules < 0)
		return 0;
	error = allow_removal(rules, config->control_socket) ||
		allow_removal(rules, config->console_socket) ||
		allow_removal(rules, config->gdb_socket) ||
		(walls->user_net &&
		 allow_path(rules, "/etc/resolv.conf", LANDLOCK_ACCESS_FS_READ_FILE)) ||
		syscall(SYS_landlock_restrict_self, rules, 0);
	close(rules);
	return error ? why_set(why, "Landlock cannot be set up: %s", strerror(errno)) : 0;
}

/* ---- seccomp ------------------------------------------------------------------------------- */

static const int ALLOWED[] = {
	/* running vCPUs, rings, the loop */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(eventfd2),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(futex),
	SCMP_SYS(sched_yield),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(getrandom),
	SCMP_SYS(getrusage),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),
	/* memory */
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(mincore),
	/* files that are open */
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(lseek),
	SCMP_SYS(fcntl),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(flock),
	/* sockets: the VM's own, and the guest's by libslirp */
	SCMP_SYS(accept4),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),

	/* signals and the end */
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* For libslirp. */
static const int SOCKET_CALLS[] = {
	SCMP_SYS(connect),
	SCMP_SYS(bind),
	SCMP_SYS(listen),
	SCMP_SYS(accept),
};

/* Besides KVM's and vhost's, which are types of their own. A terminal's are not here. */
static const uint32_t IOCTLS[] = {
	TUNSETOFFLOAD, TUNSETQUEUE, TUNSETVNETHDRSZ, BLKGETSIZE64, FIONREAD, FIONBIO,
};

#define IOCTL_TYPE 0xff00u
#define IOCTL_KVM 0xae00u
#define IOCTL_VHOST 0xaf00u

static int allow_all(scmp_filter_ctx filter, const int *calls, size_t count)
{
	int error = 0;
	size_t i;

	for (i = 0; i < count && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return error;
}

static int allow_ioctls(scmp_filter_ctx filter)
{
	int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				     SCMP_A1(SCMP_CMP_MASKED_EQ, IOCTL_TYPE, IOCTL_KVM)) ||
		    seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				     SCMP_A1(SCMP_CMP_MASKED_EQ, IOCTL_TYPE, IOCTL_VHOST));
	size_t i;

	for (i = 0; i < sizeof(IOCTLS) / sizeof(IOCTLS[0]) && !error; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
					 SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, IOCTLS[i]));
	return error;
}

/* Threads only, no processes; this process's threads only are signalled; no code is made. */
static int allow_bounded(scmp_filter_ctx filter)
{
	pid_t self = getpid();

	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)) ||
	       seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) ||
	       seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)self)) ||
	       seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) ||
	       seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* Helpers that were started before are told to end, and waited for. */
static int allow_helpers(scmp_filter_ctx filter, const struct vm *vm)
{
	unsigned int i;
	int error = 0;

	for (i = 0; i < vm->helpers_count && !error; i++) {
		scmp_datum_t pid = (scmp_datum_t)vm->helpers[i];

		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), 2,
					 SCMP_A0(SCMP_CMP_EQ, pid),
					 SCMP_A1(SCMP_CMP_EQ, SIGTERM)) ||
			seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(wait4), 1,
					 SCMP_A0(SCMP_CMP_EQ, pid));
	}
	return error;
}

static int allow_sockets(scmp_filter_ctx filter, const struct walls *walls)
{
	if (!walls->user_net)
		return 0;
	return allow_all(filter, SOCKET_CALLS, sizeof(SOCKET_CALLS) / sizeof(SOCKET_CALLS[0])) ||
	       seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				SCMP_A0(SCMP_CMP_EQ, AF_INET)) ||
	       seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				SCMP_A0(SCMP_CMP_EQ, AF_INET6));
}

/* Which files, Landlock says. */
static int allow_files(scmp_filter_ctx filter, const struct walls *walls)
{
	if (!walls->landlock)
		return 0;
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(unlink), 0) ||
	       (walls->user_net &&
		seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
				 SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE, O_RDONLY)));
}

/* What is not allowed fails: libraries find a way round, attackers do not. */
static int filter_calls(const struct vm *vm, const struct walls *walls, struct why *why)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int error = -1;

	if (filter)
		error = allow_all(filter, ALLOWED, sizeof(ALLOWED) / sizeof(ALLOWED[0])) ||
			allow_ioctls(filter) || allow_bounded(filter) ||
			allow_helpers(filter, vm) || allow_sockets(filter, walls) ||
			allow_files(filter, walls) || seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return error ? why_set(why, "the system call filter cannot be set up") : 0;
}

int sandbox_enter(struct vm *vm, struct why *why)
{
	struct walls walls = { .user_net = sandbox_has_sockets(vm) };

	if (drop_privileges(why) || lock_land(vm->config, &walls, why))
		return -1;
	return filter_calls(vm, &walls, why);
}
