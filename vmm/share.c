// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Shared directories (virtio 1.2, section 5.11): the registers are here, files are virtiofsd's
 * matter, a process of its own that has walls of its own around the directory.
 */
#include "vmm/share.h"
#include "vmm/helper.h"
#include "vmm/snap.h"
#include "vmm/vhost_user.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAG_SIZE 36u
#define QUEUES 2u /* one for what must not wait, one for requests */
#define QUEUE_SIZE 256u

struct share {
	struct virtio_dev dev;
	struct vhost_user *user;
};

/* Debian 13 and others have it in a package of its own; Debian 12 in QEMU's, for root alone. */
static const struct program {
	const char *path;
	bool root_only, read_only;
} PROGRAMS[] = {
	{ "/usr/libexec/virtiofsd", false, true },
	{ "/usr/lib/virtiofsd", false, true },
	{ "/usr/lib/qemu/virtiofsd", true, false },
};

static void share_destroy(void *owner)
{
	struct share *share = owner;

	vhost_user_close(share->user);
	free(share);
}

/* Which files the guest has open, only the helper knows. */
static void share_state(void *owner, struct snap *snap)
{
	struct share *share = owner;

	if (virtio_is_ready(&share->dev))
		snap_spoil(snap,
			   "the guest uses the shared directory %s, which a snapshot cannot hold",
			   share->dev.name);
}

static const struct virtio_ops SHARE_OPS = {
	.state = share_state,
	.destroy = share_destroy,
};

static const struct program *find_program(const struct vmm_share *config, struct why *why)
{
	const struct program *found = NULL;
	size_t i;

	for (i = 0; i < sizeof(PROGRAMS) / sizeof(PROGRAMS[0]) && !found; i++)
		if (access(PROGRAMS[i].path, X_OK) == 0)
			found = &PROGRAMS[i];
	if (!found) {
		why_set(why, "the directory %s cannot be shared: there is no virtiofsd",
			config->path);
		why_hint(why, "apt install virtiofsd; on Debian 12, qemu-system-common");
	} else if (found->root_only && geteuid() != 0) {
		why_set(why, "the directory %s cannot be shared: %s serves root only", config->path,
			found->path);
		why_hint(why, "install a newer virtiofsd: Debian 13 has it as a package");
		found = NULL;
	} else if (config->read_only && !found->read_only) {
		why_set(why, "%s cannot share the directory %s for reading only", found->path,
			config->path);
		why_hint(why, "mount it with -o ro in the guest, or install a newer virtiofsd");
		found = NULL;
	}
	return found;
}

static int check(const struct vmm_share *config, struct why *why)
{
	struct stat status;

	if (!config->tag || !config->tag[0] || strlen(config->tag) >= TAG_SIZE)
		return why_set(why, "a share's tag has 1 to %u characters", TAG_SIZE - 1);
	if (stat(config->path, &status))
		return why_set(why, "the directory %s cannot be shared: %s", config->path,
			       strerror(errno));
	if (!S_ISDIR(status.st_mode))
		return why_set(why, "%s cannot be shared: it is no directory", config->path);
	if (strchr(config->path, ','))
		return why_set(why, "the directory %s cannot be shared: its name has a comma",
			       config->path);
	return 0;
}

static int start_helper(struct vm *vm, const struct vmm_share *config, struct helper *helper,
			struct why *why)
{
	const struct program *program = find_program(config, why);
	char fd[] = "--fd=" HELPER_FD, *source;
	int error;

	if (!program)
		return -1;
	if (asprintf(&source, "source=%s", config->path) < 0)
		return why_set(why, "no memory");
	char *const argv[] = { (char *)(uintptr_t)program->path,
			       fd,
			       (char[]){ "-o" },
			       source,
			       config->read_only ? (char[]){ "--readonly" } : NULL,
			       NULL };
	error = helper_start(vm, argv, helper, why);
	free(source);
	return error;
}

static void fill_config(struct share *share, const char *tag)
{
	uint32_t request_queues = QUEUES - 1;

	memcpy(share->dev.config, tag, strlen(tag));
	memcpy(share->dev.config + TAG_SIZE, &request_queues, sizeof(request_queues));
	share->dev.config_size = TAG_SIZE + sizeof(request_queues);
}

int share_create(struct vm *vm, const struct vmm_share *config, unsigned int place, struct why *why)
{
	struct share *share;
	char name[32];
	struct helper helper;

	if (check(config, why) || start_helper(vm, config, &helper, why))
		return -1;
	share = calloc(1, sizeof(*share));
	if (!share)
		return why_set(why, "no memory");
	share->user = vhost_user_open(vm, &helper, "virtiofsd", why);
	if (!share->user) {
		free(share);
		return -1;
	}
	snprintf(name, sizeof(name), "share%u", place);
	virtio_init(&share->dev, vm, VIRTIO_FS, name, &SHARE_OPS, share, 0, QUEUES, QUEUE_SIZE);
	fill_config(share, config->tag);
	if (vhost_user_attach(share->user, &share->dev, why) || virtio_plug(&share->dev, why)) {
		share_destroy(share);
		return -1;
	}
	return 0;
}
