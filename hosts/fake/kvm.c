// SPDX-License-Identifier: GPL-2.0-or-later
/* What fronts/kvm asks of its host (os.h), in user space; and the calls of a VMM into it. */
#include <stdlib.h>
#include <string.h>

#include "fronts/kvm/os.h"
#include "hosts/fake/kvm.h"
#include "hosts/fake/state.h"

#define BV_EMFILE 24

/* ---- the table of files ---- */

enum file_kind {
	FILE_FREE,
	FILE_DEVICE,
	FILE_RESERVED,
	FILE_VM,
	FILE_VCPU,
	FILE_STATS,
	FILE_EVENTFD
};

static struct {
	struct {
		enum file_kind kind;
		void *object;
	} file[FAKE_KVM_FILES];
	int limit;
	bool other_process;
	u64 signal_mask;
} files;

static void *file_object(int fd, enum file_kind kind)
{
	if (fd < 0 || fd >= FAKE_KVM_FILES || files.file[fd].kind != kind)
		return NULL;
	return files.file[fd].object;
}

static int file_new(enum file_kind kind, void *object)
{
	for (int fd = FAKE_KVM_DEVICE + 1; fd < files.limit; fd++) {
		if (files.file[fd].kind != FILE_FREE)
			continue;
		files.file[fd].kind = kind;
		files.file[fd].object = object;
		return fd;
	}
	return -BV_EMFILE;
}

int bvk_host_fd_reserve(struct bvk_fd *fd, enum bvk_file kind, unsigned int index)
{
	(void)kind;
	(void)index;
	fake_may_sleep(__func__);
	fd->number = file_new(FILE_RESERVED, NULL);
	fd->file = (void *)(unsigned long)kind;
	return fd->number < 0 ? fd->number : 0;
}

void bvk_host_fd_install(struct bvk_fd *fd, void *object)
{
	static const enum file_kind kinds[] = {
		[BVK_FILE_VM] = FILE_VM,
		[BVK_FILE_VCPU] = FILE_VCPU,
		[BVK_FILE_STATS] = FILE_STATS,
	};

	if (files.file[fd->number].kind != FILE_RESERVED)
		fake_misuse("bvk_host_fd_install: not reserved");
	files.file[fd->number].kind = kinds[(unsigned long)fd->file];
	files.file[fd->number].object = object;
}

void bvk_host_fd_cancel(struct bvk_fd *fd)
{
	if (files.file[fd->number].kind != FILE_RESERVED)
		fake_misuse("bvk_host_fd_cancel: not reserved");
	files.file[fd->number].kind = FILE_FREE;
}

struct bvk_vm *fake_kvm_vm(int fd)
{
	return file_object(fd, FILE_VM);
}

struct bvk_vcpu *fake_kvm_vcpu(int fd)
{
	return file_object(fd, FILE_VCPU);
}

/* ---- the host's part of VMs and vCPUs: only that they are there ---- */

struct fake_kvm_vm {
	struct bv_vm *vm; /* between start and stop */
};

void *bvk_host_vm_new(void)
{
	return bv_host_alloc(sizeof(struct fake_kvm_vm));
}

int bvk_host_vm_start(void *host_vm, struct bv_vm *vm)
{
	void *notifier = bv_host_alloc(1);

	if (!notifier)
		return -BV_ENOMEM;
	bv_host_free(notifier);
	((struct fake_kvm_vm *)host_vm)->vm = vm;
	return 0;
}

void bvk_host_vm_stop(void *host_vm)
{
	struct fake_kvm_vm *host = host_vm;

	if (!host->vm)
		fake_misuse("bvk_host_vm_stop: not started");
	bv_mem_release_all(host->vm);
	host->vm = NULL;
}

void bvk_host_vm_free(void *host_vm)
{
	if (((struct fake_kvm_vm *)host_vm)->vm)
		fake_misuse("bvk_host_vm_free: not stopped");
	bv_host_free(host_vm);
}

bool bvk_host_vm_is_ours(void *host_vm)
{
	(void)host_vm;
	return !files.other_process;
}

void *bvk_host_vcpu_new(void *host_vm)
{
	(void)host_vm;
	return bv_host_alloc(1);
}

void bvk_host_vcpu_free(void *host_vcpu)
{
	bv_host_free(host_vcpu);
}

/* ---- shared memory ---- */

/* Counted through bv_host_pages_alloc; its size stands in a page before it. */
void *bvk_host_shared_alloc(size_t bytes)
{
	unsigned int order = 0;
	char *pages;

	while (BV_PAGE_SIZE << order < bytes + BV_PAGE_SIZE)
		order++;
	pages = bv_host_pages_alloc(order);
	if (!pages)
		return NULL;
	*(unsigned int *)pages = order;
	return pages + BV_PAGE_SIZE;
}

void bvk_host_shared_free(void *memory)
{
	char *pages;

	if (!memory)
		return;
	pages = (char *)memory - BV_PAGE_SIZE;
	bv_host_pages_free(pages, *(unsigned int *)pages);
}

bool bvk_host_user_range(u64 addr, u64 bytes)
{
	const u64 end = 1ULL << 47;

	return addr < end && bytes <= end - addr;
}

/* ---- eventfds ---- */

struct eventfd {
	u32 users; /* its file, references, listeners */
	u64 count;
	struct listening *first;
};

struct listening {
	struct eventfd *eventfd;
	struct listening *next; /* of the eventfd; then of the list of those that end */
	bool ending;
};

/* Told to end, not yet ended: a flush or the next call's end does it. */
static struct listening *ending;

static struct listening *listening_of(const struct bvk_listener *listener)
{
	BV_STATIC_ASSERT(sizeof(struct listening) <= sizeof(listener->opaque));
	return (struct listening *)listener->opaque;
}

static struct bvk_listener *listener_of(struct listening *listening)
{
	return (struct bvk_listener *)((char *)listening - offsetof(struct bvk_listener, opaque));
}

static void eventfd_put(struct eventfd *eventfd)
{
	if (!--eventfd->users)
		free(eventfd);
}

int bvk_host_eventfd_get(s32 fd, void **eventfd)
{
	struct eventfd *found = file_object(fd, FILE_EVENTFD);

	fake_may_sleep(__func__);
	if (!found)
		return fd < 0 || fd >= FAKE_KVM_FILES || files.file[fd].kind == FILE_FREE ?
			       -BV_EBADF :
			       -BV_EINVAL;
	found->users++;
	*eventfd = found;
	return 0;
}

void bvk_host_eventfd_put(void *eventfd)
{
	fake_may_sleep(__func__);
	eventfd_put(eventfd);
}

/* Every listener that is there is told, also one that is about to end. */
static void eventfd_tell(struct eventfd *eventfd, bool hang_up)
{
	struct listening *next;

	fake_irq_enter();
	for (struct listening *at = eventfd->first; at; at = next) {
		struct bvk_listener *listener = listener_of(at);

		next = at->next;
		if (hang_up)
			listener->hung_up(listener);
		else
			listener->signaled(listener);
	}
	fake_irq_exit();
}

void bvk_host_eventfd_signal(void *eventfd)
{
	struct eventfd *own = eventfd;

	if (own->first)
		eventfd_tell(own, false);
	else
		own->count++;
}

int bvk_host_listen(struct bvk_listener *listener, s32 fd)
{
	struct listening *listening = listening_of(listener);
	void *eventfd;
	int error = bvk_host_eventfd_get(fd, &eventfd);

	if (error)
		return error;
	listening->eventfd = eventfd;
	listening->next = listening->eventfd->first;
	listening->eventfd->first = listening;
	if (listening->eventfd->count) {
		listening->eventfd->count = 0;
		eventfd_tell(eventfd, false);
	}
	return 0;
}

bool bvk_host_listens_to(const struct bvk_listener *listener, void *eventfd)
{
	return listening_of(listener)->eventfd == eventfd;
}

void bvk_host_listen_end(struct bvk_listener *listener)
{
	struct listening *listening = listening_of(listener);

	if (listening->ending)
		fake_misuse("bvk_host_listen_end: twice");
	listening->ending = true;
	for (struct listening **at = &listening->eventfd->first; *at; at = &(*at)->next) {
		if (*at != listening)
			continue;
		*at = listening->next;
		break;
	}
	listening->next = ending;
	ending = listening;
}

void bvk_host_listen_flush(void)
{
	fake_may_sleep(__func__);
	while (ending) {
		struct listening *listening = ending;
		struct bvk_listener *listener = listener_of(listening);

		ending = listening->next;
		eventfd_put(listening->eventfd);
		listener->ended(listener);
	}
}

int fake_eventfd(void)
{
	struct eventfd *eventfd = calloc(1, sizeof(*eventfd));
	int fd = file_new(FILE_EVENTFD, eventfd);

	eventfd->users = 1;
	if (fd < 0)
		free(eventfd);
	return fd;
}

void fake_eventfd_signal(int fd)
{
	struct eventfd *eventfd = file_object(fd, FILE_EVENTFD);

	if (eventfd)
		bvk_host_eventfd_signal(eventfd);
}

u64 fake_eventfd_read(int fd)
{
	struct eventfd *eventfd = file_object(fd, FILE_EVENTFD);
	u64 count = eventfd ? eventfd->count : 0;

	if (eventfd)
		eventfd->count = 0;
	return count;
}

/* ---- the caller ---- */

void bvk_host_signals_swap(const u64 *mask, u64 *old)
{
	*old = files.signal_mask;
	files.signal_mask = *mask;
}

void bvk_host_signals_restore(const u64 *old)
{
	files.signal_mask = *old;
}

u64 fake_signal_mask(void)
{
	return files.signal_mask;
}

u64 bvk_host_monotonic_ns(void)
{
	return bv_host_ns();
}

void fake_kvm_limit_files(int limit)
{
	files.limit = limit;
}

void fake_kvm_other_process(bool other)
{
	files.other_process = other;
}

/* ---- a VMM's calls ---- */

static long do_ioctl(int fd, const struct bvk_request *request)
{
	enum file_kind kind = fd < 0 || fd >= FAKE_KVM_FILES ? FILE_FREE : files.file[fd].kind;
	long result = -BV_EBADF;

	if (kind == FILE_DEVICE)
		result = bvk_dev_ioctl(request);
	else if (kind == FILE_VM)
		result = bvk_vm_ioctl(files.file[fd].object, request);
	else if (kind == FILE_VCPU)
		result = bvk_vcpu_ioctl(files.file[fd].object, request);
	else if (kind != FILE_FREE)
		result = -BV_ENOTTY;
	if (fake_locks_held() || fake_irqs_off())
		fake_misuse("an ioctl came back with a lock held");
	return result;
}

long fake_ioctl(int fd, u32 cmd, u64 arg)
{
	const struct bvk_request request = { .cmd = cmd, .arg = arg };

	return do_ioctl(fd, &request);
}

long fake_ioctl_compat(int fd, u32 cmd, u64 arg)
{
	const struct bvk_request request = { .cmd = cmd, .arg = arg, .compat = true };

	return do_ioctl(fd, &request);
}

static void release(enum file_kind kind, void *object)
{
	if (kind == FILE_VM)
		bvk_vm_release(object);
	if (kind == FILE_VCPU)
		bvk_vcpu_release(object);
	if (kind == FILE_STATS)
		bvk_stats_release(object);
	if (kind == FILE_EVENTFD) {
		eventfd_tell(object, true);
		eventfd_put(object);
	}
	bvk_host_listen_flush();
}

int fake_close(int fd)
{
	enum file_kind kind;

	if (fd <= FAKE_KVM_DEVICE || fd >= FAKE_KVM_FILES || files.file[fd].kind == FILE_FREE)
		return -BV_EBADF;
	kind = files.file[fd].kind;
	files.file[fd].kind = FILE_FREE;
	release(kind, files.file[fd].object);
	return 0;
}

void *fake_mmap(int fd, u64 index)
{
	struct bvk_vcpu *vcpu = fake_kvm_vcpu(fd);

	return vcpu ? bvk_vcpu_page(vcpu, index) : NULL;
}

long fake_stats_read(int fd, u64 offset, void *to, size_t bytes)
{
	struct bvk_stats *stats = file_object(fd, FILE_STATS);

	return stats ? (long)bvk_stats_read(stats, offset, to, bytes) : -BV_EBADF;
}

void fake_kvm_reset(void)
{
	for (int fd = FAKE_KVM_DEVICE + 1; fd < FAKE_KVM_FILES; fd++)
		fake_close(fd);
	memset(&files, 0, sizeof(files));
	files.limit = FAKE_KVM_FILES;
	files.file[FAKE_KVM_DEVICE].kind = FILE_DEVICE;
}
