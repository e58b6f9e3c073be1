/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocation that can be made to fail and is counted, and the memory that stands behind guests'
 * pages.
 */
#define _GNU_SOURCE /* process_vm_readv */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "hosts/fake/state.h"

struct memory_area {
	u8 *start;
	u64 pages;
	bool writable;
	u8 *marks; /* a byte a page: it was given back as written */
	struct memory_area *next;
};

static struct {
	long live, made;
	long until_failure; /* 0: never */
	long frames_held;
	struct memory_area *areas;
} memory;

void (*fake_frame_found)(u64 host_addr);
const struct fake_backing *fake_backing;

/* ---- of our own ---- */

static bool alloc_fails(void)
{
	if (__atomic_load_n(&memory.until_failure, __ATOMIC_SEQ_CST) <= 0)
		return false;
	if (memory.until_failure == 1)
		return true;
	__atomic_fetch_sub(&memory.until_failure, 1, __ATOMIC_SEQ_CST);
	return false;
}

static void *alloc_counted(void *block)
{
	if (!block)
		fake_misuse("out of real memory");
	__atomic_fetch_add(&memory.live, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&memory.made, 1, __ATOMIC_SEQ_CST);
	return block;
}

void fake_fail_alloc_after(long n)
{
	memory.until_failure = n;
}

long fake_allocs(void)
{
	return __atomic_load_n(&memory.live, __ATOMIC_SEQ_CST);
}

long fake_allocs_made(void)
{
	return __atomic_load_n(&memory.made, __ATOMIC_SEQ_CST);
}

void *bv_host_alloc(size_t bytes)
{
	fake_may_sleep(__func__);
	if (alloc_fails())
		return NULL;
	return alloc_counted(calloc(1, bytes ? bytes : 1));
}

void bv_host_free(void *block)
{
	if (!block)
		return;
	__atomic_fetch_sub(&memory.live, 1, __ATOMIC_SEQ_CST);
	free(block);
}

void *bv_host_pages_alloc(unsigned int order)
{
	size_t bytes = BV_PAGE_SIZE << order;
	void *pages;

	fake_may_sleep(__func__);
	if (alloc_fails())
		return NULL;
	pages = alloc_counted(aligned_alloc(bytes, bytes));
	memset(pages, 0, bytes);
	return pages;
}

void bv_host_pages_free(void *pages, unsigned int order)
{
	if ((u64)pages & ((BV_PAGE_SIZE << order) - 1))
		fake_misuse("bv_host_pages_free: not aligned to its order");
	bv_host_free(pages);
}

/* Machine addresses are our own. */
u64 bv_host_pa(const void *page)
{
	return (u64)page;
}

void *bv_host_va(u64 pa)
{
	return (void *)pa;
}

/* ---- behind guests' pages ---- */

void *fake_memory_new(u64 pages, bool writable)
{
	struct memory_area *area = calloc(1, sizeof(*area));
	void *start = mmap(NULL, pages << BV_PAGE_SHIFT, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (!area || start == MAP_FAILED)
		fake_misuse("out of real memory");
	*area = (struct memory_area){ start, pages, writable, calloc(1, pages), memory.areas };
	memory.areas = area;
	return start;
}

static void memory_area_free(struct memory_area *area)
{
	munmap(area->start, area->pages << BV_PAGE_SHIFT);
	free(area->marks);
	free(area);
}

void fake_memory_free(void *start)
{
	for (struct memory_area **at = &memory.areas; *at; at = &(*at)->next) {
		struct memory_area *area = *at;

		if (area->start != start)
			continue;
		*at = area->next;
		memory_area_free(area);
		return;
	}
	fake_misuse("fake_memory_free: no such memory");
}

/* The area that has all of [addr, addr + bytes), or NULL. */
static struct memory_area *memory_area_find(u64 addr, u64 bytes)
{
	for (struct memory_area *area = memory.areas; area; area = area->next) {
		u64 offset = addr - (u64)area->start;
		u64 size = area->pages << BV_PAGE_SHIFT;

		if (offset < size && bytes <= size - offset)
			return area;
	}
	return NULL;
}

int bv_host_frame_get(struct bv_vm *vm, u64 host_addr, bool write, struct bv_host_frame *frame)
{
	const struct memory_area *area = memory_area_find(host_addr, BV_PAGE_SIZE);

	fake_may_sleep(__func__);
	if (fake_backing)
		return fake_backing->get(vm, host_addr, write, frame);
	if (host_addr & ~BV_PAGE_MASK)
		fake_misuse("bv_host_frame_get: not page aligned");
	if (!area || (write && !area->writable))
		return -BV_EFAULT;
	*frame = (struct bv_host_frame){
		.mfn = BV_MFN(host_addr >> BV_PAGE_SHIFT),
		.writable = area->writable,
		.hold = (void *)host_addr,
	};
	__atomic_fetch_add(&memory.frames_held, 1, __ATOMIC_SEQ_CST);
	if (fake_frame_found)
		fake_frame_found(host_addr);
	return 0;
}

static u8 *frame_marks(u64 addr)
{
	struct memory_area *area = memory_area_find(addr, 1);

	return area ? &area->marks[(addr - (u64)area->start) >> BV_PAGE_SHIFT] : NULL;
}

void bv_host_frame_put(struct bv_host_frame *frame, bool dirtied)
{
	if (fake_backing)
		return;
	if (!frame->hold)
		fake_misuse("bv_host_frame_put: not held");
	if (dirtied)
		*frame_marks(frame->mfn.n << BV_PAGE_SHIFT) = 1;
	frame->hold = NULL;
	__atomic_fetch_sub(&memory.frames_held, 1, __ATOMIC_SEQ_CST);
}

long fake_frames_held(void)
{
	return memory.frames_held;
}

bool fake_frame_dirtied(const void *page)
{
	const u8 *marks = frame_marks((u64)page);

	return marks && *marks;
}

int bv_host_read(struct bv_vm *vm, u64 host_addr, void *to, size_t bytes)
{
	fake_may_sleep(__func__);
	if (fake_backing)
		return fake_backing->read(vm, host_addr, to, bytes);
	if (!memory_area_find(host_addr, bytes))
		return -BV_EFAULT;
	memcpy(to, (const void *)host_addr, bytes);
	return 0;
}

int bv_host_write(struct bv_vm *vm, u64 host_addr, const void *from, size_t bytes)
{
	const struct memory_area *area = memory_area_find(host_addr, bytes);

	fake_may_sleep(__func__);
	if (fake_backing)
		return fake_backing->write(vm, host_addr, from, bytes);
	if (!area || !area->writable)
		return -BV_EFAULT;
	memcpy((void *)host_addr, from, bytes);
	return 0;
}

#define CMPXCHG(type)                                                                          \
	(__atomic_compare_exchange_n((type *)host_addr, (type *)old, *(const type *)new_value, \
				     false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ?              \
		 0 :                                                                           \
		 -BV_EAGAIN)

/* Sixteen bytes are not one step here: no test races on them. */
static int cmpxchg16(u64 host_addr, void *old, const void *new_value)
{
	if (memcmp((void *)host_addr, old, 16)) {
		memcpy(old, (void *)host_addr, 16);
		return -BV_EAGAIN;
	}
	memcpy((void *)host_addr, new_value, 16);
	return 0;
}

int bv_host_cmpxchg(struct bv_vm *vm, u64 host_addr, unsigned int bytes, void *old,
		    const void *new_value)
{
	const struct memory_area *area = memory_area_find(host_addr, bytes);

	fake_may_sleep(__func__);
	if (fake_backing)
		return fake_backing->cmpxchg(vm, host_addr, bytes, old, new_value);
	if (host_addr & (bytes - 1))
		fake_misuse("bv_host_cmpxchg: not aligned");
	if (!area || !area->writable)
		return -BV_EFAULT;
	switch (bytes) {
	case 1:
		return CMPXCHG(u8);
	case 2:
		return CMPXCHG(u16);
	case 4:
		return CMPXCHG(u32);
	case 8:
		return CMPXCHG(u64);
	case 16:
		return cmpxchg16(host_addr, old, new_value);
	default:
		fake_misuse("bv_host_cmpxchg: no such size");
	}
}

/* Through the kernel, so that a bad address is an error and not the end. */
int bv_host_copy_in(void *to, u64 user_addr, size_t bytes)
{
	struct iovec local = { to, bytes }, remote = { (void *)user_addr, bytes };

	fake_may_sleep(__func__);
	if (!bytes)
		return 0;
	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)bytes ? 0 :
											-BV_EFAULT;
}

int bv_host_copy_out(u64 user_addr, const void *from, size_t bytes)
{
	struct iovec local = { (void *)from, bytes }, remote = { (void *)user_addr, bytes };

	fake_may_sleep(__func__);
	if (!bytes)
		return 0;
	return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)bytes ? 0 :
											 -BV_EFAULT;
}

void fake_reset_memory(void)
{
	while (memory.areas) {
		struct memory_area *area = memory.areas;

		memory.areas = area->next;
		memory_area_free(area);
	}
	memory.until_failure = 0;
	memory.live = 0;
	memory.made = 0;
	memory.frames_held = 0;
	fake_frame_found = NULL;
	fake_backing = NULL;
}
