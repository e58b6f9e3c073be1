// SPDX-License-Identifier: GPL-2.0-or-later
/* The guest's memory: see mem.h. */
#include "vmm/mem.h"
#include "vmm/hv.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

int mem_init(struct mem *mem, uint64_t size, struct why *why)
{
	mem->size = size;
	mem->host = MAP_FAILED;
	mem->fd = memfd_create("guest", MFD_CLOEXEC);
	if (mem->fd >= 0 && ftruncate(mem->fd, (off_t)size) == 0)
		mem->host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
				 mem->fd, 0);
	if (mem->host == MAP_FAILED) {
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
	close(mem->fd);
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
