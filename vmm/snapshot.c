// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM in a file: see snapshot.h, and docs/snapshot.md for the format.
 *
 * Memory lies in the file as it is, page by page, pages of zeroes as holes, so that restoring only
 * maps it: a page is read when the guest first touches it.
 */
#include "vmm/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define MAGIC "BVSNAP\r\n"
#define FORMAT 1u
#define PAGE 4096u
#define RUN_PAGES 256u
#define STATE_MAX (64u << 20)

struct header {
	char magic[8];
	uint32_t format;
	uint32_t header_size;
	uint64_t state_at, state_size; /* compressed */
	uint64_t state_whole; /* what it becomes */
	uint64_t memory_at, memory_size;
	uint64_t reserved[8];
};

/* ---- the stream ---------------------------------------------------------------------------- */

static void machine_state(struct vm *vm, struct snap *snap, bool *run)
{
	uint32_t cpus = vm->cpus.count, firmware = vm->config->firmware != NULL;
	uint64_t memory = vm->mem.size;
	uint8_t running = *run;

	snap_begin(snap, "machine", 1);
	snap_value(snap, &cpus);
	snap_value(snap, &memory);
	snap_value(snap, &firmware);
	snap_value(snap, &running);
	if (cpus != vm->cpus.count || memory != vm->mem.size)
		snap_spoil(snap,
			   "it is of a VM with %u CPUs and %llu MiB of memory, not %u and %llu",
			   cpus, (unsigned long long)memory >> 20, vm->cpus.count,
			   (unsigned long long)vm->mem.size >> 20);
	else if (firmware != (vm->config->firmware != NULL))
		snap_spoil(snap, "it is of a VM that starts %s firmware",
			   firmware ? "with" : "without");
	*run = running;
	snap_end(snap);
}

/* Older snapshots have none. */
static void cpuid_state(struct vm *vm, struct snap *snap)
{
	char next[32];

	if (snap->bad || (snap->load && !(snap_peek(snap, next) && strcmp(next, "cpuid") == 0)))
		return;
	snap_begin(snap, "cpuid", 1);
	vm_cpuid_state(vm, snap);
	snap_end(snap);
}

static void whole_state(struct vm *vm, struct snap *snap, bool *run)
{
	struct vm_device *device;

	machine_state(vm, snap, run);
	cpuid_state(vm, snap);
	if (!snap->bad) {
		snap_begin(snap, "cpus", 1);
		vm_cpus_state(vm, snap);
		snap_end(snap);
	}
	for (device = vm->devices; device && !snap->bad; device = device->next) {
		if (!device->state)
			continue;
		snap_begin(snap, device->name, device->version);
		if (!snap->bad)
			device->state(device->owner, snap);
		snap_end(snap);
	}
	if (snap->load && !snap->bad && snap->at != snap->size)
		snap_spoil(snap, "it has devices that this VM has not");
}

/* ---- saving -------------------------------------------------------------------------------- */

static int write_all(int fd, const void *bytes, size_t size, uint64_t at)
{
	const uint8_t *from = bytes;

	while (size) {
		ssize_t written = pwrite(fd, from, size, (off_t)at);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return -1;
		from += written;
		at += (uint64_t)written;
		size -= (size_t)written;
	}
	return 0;
}

static bool is_zero(const uint8_t *page)
{
	const uint64_t *word = (const uint64_t *)page;
	unsigned int i;

	for (i = 0; i < PAGE / 8; i += 4)
		if (word[i] | word[i + 1] | word[i + 2] | word[i + 3])
			return false;
	return true;
}

static int write_memory(const struct mem *mem, int fd, uint64_t at)
{
	uint64_t pages = mem->size / PAGE, first, end;

	for (first = 0; first < pages; first = end) {
		const uint8_t *from = mem->host + first * PAGE;

		end = first + 1;
		if (is_zero(from))
			continue;
		while (end < pages && end - first < RUN_PAGES && !is_zero(mem->host + end * PAGE))
			end++;
		if (write_all(fd, from, (end - first) * PAGE, at + first * PAGE))
			return -1;
	}
	return ftruncate(fd, (off_t)(at + mem->size));
}

static int64_t write_file(struct vm *vm, int fd, const void *state, size_t size, size_t whole)
{
	struct header header = { .format = FORMAT,
				 .header_size = sizeof(header),
				 .state_at = PAGE,
				 .state_size = size,
				 .state_whole = whole,
				 .memory_size = vm->mem.size };
	struct stat status;

	memcpy(header.magic, MAGIC, sizeof(header.magic));
	header.memory_at = (PAGE + size + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	if (ftruncate(fd, 0) || write_all(fd, state, size, PAGE) ||
	    write_memory(&vm->mem, fd, header.memory_at) || fdatasync(fd) ||
	    write_all(fd, &header, sizeof(header), 0) || fdatasync(fd) || fstat(fd, &status))
		return -1;
	return (int64_t)status.st_blocks * 512;
}

/* What was not written to since then is nowhere else. */
static bool lies_under(const struct mem *mem, int fd)
{
	struct stat status;

	return mem->file_ino && fstat(fd, &status) == 0 && status.st_dev == mem->file_dev &&
	       status.st_ino == mem->file_ino;
}

int64_t snapshot_save(struct vm *vm, int fd, bool running, struct why *why)
{
	size_t room, size;
	struct snap snap;
	int64_t bytes = -1;
	void *state;

	if (lies_under(&vm->mem, fd))
		return why_set(why, "the VM was restored from, and runs on that file");
	snapshot_save_stream(vm, &snap, running);
	room = ZSTD_compressBound(snap.at);
	state = malloc(room);
	size = state && !snap.bad ? ZSTD_compress(state, room, snap.data, snap.at, 3) : 0;
	if (snap.bad)
		why_set(why, "the VM's state cannot be read: %s", snap.why.text);
	else if (!state || ZSTD_isError(size))
		why_set(why, "no memory");
	else {
		bytes = write_file(vm, fd, state, size, snap.at);
		if (bytes < 0)
			why_set(why, "the snapshot cannot be written: %s", strerror(errno));
	}
	free(state);
	snap_fini(&snap);
	return bytes;
}

/* ---- restoring ----------------------------------------------------------------------------- */

static int check_header(const struct header *header, uint64_t size, struct why *why)
{
	if (memcmp(header->magic, MAGIC, sizeof(header->magic)))
		return why_set(why, "it is no snapshot");
	if (header->format != FORMAT)
		return why_set(why, "its format is %u, this bv knows %u", header->format, FORMAT);
	if (header->header_size != sizeof(*header) || header->state_whole > STATE_MAX ||
	    header->state_size > STATE_MAX || header->state_at > size ||
	    header->state_size > size - header->state_at || header->memory_at % PAGE ||
	    header->memory_at > size || header->memory_size > size - header->memory_at)
		return why_set(why, "it is damaged: its parts lie outside of it");
	return 0;
}

int snapshot_load_stream(struct vm *vm, const void *state, size_t size, bool *run, struct why *why)
{
	struct snap snap;
	int error = 0;

	snap_init_load(&snap, state, size);
	whole_state(vm, &snap, run);
	if (snap.bad)
		error = why_set(why, "%s", snap.why.text);
	snap_fini(&snap);
	return error;
}

void snapshot_save_stream(struct vm *vm, struct snap *snap, bool run)
{
	snap_init_save(snap);
	whole_state(vm, snap, &run);
}

static int load_packed(struct vm *vm, const void *packed, size_t size, size_t whole, bool *run,
		       struct why *why)
{
	void *state = malloc(whole ? whole : 1);
	int error;

	if (!state || ZSTD_decompress(state, whole, packed, size) != whole)
		error = why_set(why, "it is damaged: its state cannot be unpacked");
	else
		error = snapshot_load_stream(vm, state, whole, run, why);
	free(state);
	return error;
}

static int load_state(struct vm *vm, int fd, const struct header *header, bool *run,
		      struct why *why)
{
	void *packed = malloc(header->state_size + 1);
	int error;

	if (!packed || pread(fd, packed, header->state_size, (off_t)header->state_at) !=
			       (ssize_t)header->state_size)
		error = why_set(why, "it cannot be read");
	else
		error = load_packed(vm, packed, header->state_size, header->state_whole, run, why);
	free(packed);
	return error;
}

/* Lazily where the memory is this process's alone; what others share must be theirs, too. */
static int load_memory(struct vm *vm, int fd, const struct header *header,
		       const struct stat *status, struct why *why)
{
	struct mem *mem = &vm->mem;
	uint64_t at = 0;

	if (header->memory_size != mem->size)
		return why_set(why, "it has %llu MiB of memory, the VM %llu",
			       (unsigned long long)header->memory_size >> 20,
			       (unsigned long long)mem->size >> 20);
	if (mem->fd < 0) {
		if (mmap(mem->host, mem->size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
			 (off_t)header->memory_at) == MAP_FAILED)
			return why_set(why, "its memory cannot be mapped: %s", strerror(errno));
		mem->file_dev = status->st_dev;
		mem->file_ino = status->st_ino;
		return 0;
	}
	while (at < mem->size) {
		ssize_t count =
			pread(fd, mem->host + at, mem->size - at, (off_t)(header->memory_at + at));

		if (count <= 0)
			return why_set(why, "its memory cannot be read: %s", strerror(errno));
		at += (uint64_t)count;
	}
	return 0;
}

static int restore(struct vm *vm, int fd, bool *run, struct why *why)
{
	struct header header;
	struct stat status;

	if (fstat(fd, &status) || pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
		return why_set(why, "it is no snapshot");
	if (check_header(&header, (uint64_t)status.st_size, why) ||
	    load_memory(vm, fd, &header, &status, why))
		return -1;
	return load_state(vm, fd, &header, run, why);
}

int snapshot_restore(struct vm *vm, const char *path, bool *run, struct why *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), error;
	struct why cause = { 0 };

	if (fd < 0)
		return why_set(why, "the snapshot %s cannot be opened: %s", path, strerror(errno));
	error = restore(vm, fd, run, &cause);
	close(fd);
	return error ? why_set(why, "the snapshot %s cannot be restored: %.300s", path,
			       cause.text) :
		       0;
}
