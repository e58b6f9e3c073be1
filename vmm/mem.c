// SPDX-License-Identifier: GPL-2.0-or-later
/* The guest's memory: see mem.h. */
#include "vmm/mem.h"
#include "vmm/hv.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEM_ALIGN (2ull << 20)

static void add_part(struct mem *mem, uint64_t gpa, uint64_t size, uint64_t offset)
{
	if (size)
		mem->parts[mem->parts_count++] = (struct mem_part){ gpa, size, offset };
}

static void lay_out(struct mem *mem)
{
	mem->low_end = mem->size < MEM_LOW_LIMIT ? mem->size : MEM_LOW_LIMIT;
	mem->parts_count = 0;
	add_part(mem, 0, MEM_VGA_START, 0);
	add_part(mem, MEM_VGA_END, mem->low_end - MEM_VGA_END, MEM_VGA_END);
	add_part(mem, MEM_HIGH_START, mem->size - mem->low_end, mem->low_end);
}

/* Huge pages only come about where addresses agree with the guest's. */
static uint8_t *map_aligned(uint64_t size, int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	uint8_t *room = mmap(NULL, size + MEM_ALIGN, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *at;

	if (room == MAP_FAILED)
		return NULL;
	at = (uint8_t *)(((uintptr_t)room + MEM_ALIGN - 1) & ~(uintptr_t)(MEM_ALIGN - 1));
	if (at > room)
		munmap(room, (size_t)(at - room));
	munmap(at + size, (size_t)(room + MEM_ALIGN - at));
	if (mmap(at, size, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE | MAP_FIXED, fd, 0) !=
	    MAP_FAILED)
		return at;
	munmap(at, size);
	return NULL;
}

int mem_init(struct mem *mem, uint64_t size, bool shared, struct why *why)
{
	mem->size = size;
	mem->fd = shared ? memfd_create("guest", MFD_CLOEXEC) : -1;
	if (!shared || (mem->fd >= 0 && ftruncate(mem->fd, (off_t)size) == 0))
		mem->host = map_aligned(size, mem->fd);
	if (!mem->host) {
		why_set(why, "the guest's %llu MiB of memory cannot be had: %s",
			(unsigned long long)size >> 20, strerror(errno));
		if (mem->fd >= 0)
			close(mem->fd);
		return -1;
	}
	madvise(mem->host, size, MADV_DONTDUMP);
	madvise(mem->host, size, MADV_HUGEPAGE);
	lay_out(mem);
	return 0;
}

void mem_fini(struct mem *mem)
{
	munmap(mem->host, mem->size);
	if (mem->fd >= 0)
		close(mem->fd);
}

void mem_release(const struct mem *mem, void *host, uint64_t size)
{
	madvise(host, size, mem->fd >= 0 ? MADV_REMOVE : MADV_DONTNEED);
}

int mem_attach(struct mem *mem, struct hv *hv, struct why *why)
{
	unsigned int i;

	for (i = 0; i < mem->parts_count; i++) {
		struct mem_part *part = &mem->parts[i];

		if (hv_memory_set(hv, i, part->gpa, part->size, mem->host + part->offset, false))
			return why_set(why, "the hypervisor refuses the guest's memory: %s",
				       strerror(errno));
	}
	return 0;
}

void *mem_at(const struct mem *mem, uint64_t gpa, uint64_t size)
{
	unsigned int i;

	for (i = 0; i < mem->parts_count; i++) {
		const struct mem_part *part = &mem->parts[i];

		if (gpa >= part->gpa && gpa - part->gpa < part->size &&
		    size <= part->size - (gpa - part->gpa))
			return mem->host + part->offset + (gpa - part->gpa);
	}
	return NULL;
}

bool mem_read(const struct mem *mem, uint64_t gpa, void *to, size_t size)
{
	const void *from = mem_at(mem, gpa, size);

	if (from)
		memcpy(to, from, size);
	return from != NULL;
}

bool mem_write(const struct mem *mem, uint64_t gpa, const void *from, size_t size)
{
	void *to = mem_at(mem, gpa, size);

	if (to)
		memcpy(to, from, size);
	return to != NULL;
}

#define RESIDENT_PAGES 8192u

uint64_t mem_resident(const struct mem *mem)
{
	unsigned char pages[RESIDENT_PAGES];
	uint64_t at, count = 0, step = RESIDENT_PAGES * 4096ull;
	size_t i;

	for (at = 0; at < mem->size; at += step) {
		uint64_t size = mem->size - at < step ? mem->size - at : step;

		if (mincore(mem->host + at, size, pages))
			return 0;
		for (i = 0; i < size / 4096; i++)
			count += pages[i] & 1;
	}
	return count * 4096;
}
