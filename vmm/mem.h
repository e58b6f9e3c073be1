/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's memory: mapped once, seen by the guest in up to three parts (below the
 * VGA hole, from there to the end of low memory, above 4 GiB).
 *
 * Every device reaches guest memory through mem_at() or the copy helpers; nothing else turns a
 * guest-physical address into a pointer. What a pointer shows can change at any time: read once.
 */
#ifndef VMM_MEM_H
#define VMM_MEM_H

#include "vmm/why.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct hv;

#define MEM_PARTS 3
#define MEM_LOW_LIMIT 0x80000000u /* with more memory than this, the rest lies above 4 GiB */
#define MEM_VGA_START 0xa0000u
#define MEM_VGA_END 0xc0000u
#define MEM_HIGH_START 0x100000000u

struct mem_part {
	uint64_t gpa;
	uint64_t size;
	uint64_t offset; /* in the mapping */
};

struct mem {
	int fd; /* -1: anonymous */
	uint8_t *host;
	uint64_t size;
	uint64_t low_end; /* the first gpa after low memory */
	struct mem_part parts[MEM_PARTS];
	unsigned int parts_count;
	/* The snapshot that lies under it, page by page until written to; 0: none. */
	dev_t file_dev;
	ino_t file_ino;
};

/**
 * mem_init() - Makes the guest's memory; none of it is touched yet.
 * @size: bytes, a multiple of the page size
 * @shared: in a memfd, for devices in other processes; else anonymous, which gets huge pages
 */
int mem_init(struct mem *mem, uint64_t size, bool shared, struct why *why);
void mem_fini(struct mem *mem);

/* Gives whole pages back to the host; they read as zeroes, or as they were when restored. */
void mem_release(const struct mem *mem, void *host, uint64_t size);

/* Tells the hypervisor: slots 0 to MEM_PARTS - 1. */
int mem_attach(struct mem *mem, struct hv *hv, struct why *why);

/* Bytes of it that are in the host's memory now. */
uint64_t mem_resident(const struct mem *mem);

/**
 * mem_at() - Where guest memory lies in this process.
 *
 * Return: NULL unless all of [gpa, gpa + size) is RAM in one part.
 */
void *mem_at(const struct mem *mem, uint64_t gpa, uint64_t size);

bool mem_read(const struct mem *mem, uint64_t gpa, void *to, size_t size);
bool mem_write(const struct mem *mem, uint64_t gpa, const void *from, size_t size);

#endif
