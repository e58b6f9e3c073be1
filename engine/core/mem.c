/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* Copies to and from guest-physical memory, page by page, through the regions. */
#include "core/vcpu.h"

static struct bv_region *mem_region(struct bv_vm *vm, struct bv_vcpu *vcpu, u64 gpa)
{
	u32 none = BV_MAX_REGIONS;

	return bv_region_at(&vm->regions, gpa, vcpu ? &vcpu->region_hint : &none);
}

static size_t mem_in_page(u64 gpa, size_t bytes)
{
	size_t room = BV_PAGE_SIZE - (gpa & ~BV_PAGE_MASK);

	return bytes < room ? bytes : room;
}

static u64 mem_host_addr(const struct bv_region *region, u64 gpa)
{
	return bv_region_host_addr(region, BV_GFN(gpa >> BV_PAGE_SHIFT)) + (gpa & ~BV_PAGE_MASK);
}

int bv_mem_read_locked(struct bv_vm *vm, struct bv_vcpu *vcpu, u64 gpa, void *to, size_t bytes)
{
	for (size_t part; bytes; gpa += part, to = (u8 *)to + part, bytes -= part) {
		struct bv_region *region = mem_region(vm, vcpu, gpa);
		int error;

		part = mem_in_page(gpa, bytes);
		error = region ? bv_host_read(vm, mem_host_addr(region, gpa), to, part) :
				 -BV_EFAULT;
		if (error)
			return error;
	}
	return 0;
}

int bv_mem_write_locked(struct bv_vm *vm, struct bv_vcpu *vcpu, u64 gpa, const void *from,
			size_t bytes)
{
	for (size_t part; bytes; gpa += part, from = (const u8 *)from + part, bytes -= part) {
		struct bv_region *region = mem_region(vm, vcpu, gpa);
		int error;

		part = mem_in_page(gpa, bytes);
		if (!region || region->spec.flags & BV_REGION_READONLY)
			return -BV_EFAULT;
		error = bv_host_write(vm, mem_host_addr(region, gpa), from, part);
		if (error)
			return error;
		bv_region_dirtied(vm, vcpu, region, BV_GFN(gpa >> BV_PAGE_SHIFT));
	}
	return 0;
}

int bv_mem_cmpxchg_locked(struct bv_vm *vm, struct bv_vcpu *vcpu, u64 gpa, u32 bytes, void *old,
			  const void *new_value)
{
	struct bv_region *region = mem_region(vm, vcpu, gpa);
	int error;

	if (!region || region->spec.flags & BV_REGION_READONLY || gpa & (bytes - 1))
		return -BV_EFAULT;
	error = bv_host_cmpxchg(vm, mem_host_addr(region, gpa), bytes, old, new_value);
	if (!error)
		bv_region_dirtied(vm, vcpu, region, BV_GFN(gpa >> BV_PAGE_SHIFT));
	return error;
}

int bv_mem_read(struct bv_vm *vm, u64 gpa, void *to, size_t bytes)
{
	int error;

	bv_host_rwsem_read(&vm->mem_lock);
	error = bv_mem_read_locked(vm, NULL, gpa, to, bytes);
	bv_host_rwsem_read_done(&vm->mem_lock);
	return error;
}

int bv_mem_write(struct bv_vm *vm, u64 gpa, const void *from, size_t bytes)
{
	int error;

	bv_host_rwsem_read(&vm->mem_lock);
	error = bv_mem_write_locked(vm, NULL, gpa, from, bytes);
	bv_host_rwsem_read_done(&vm->mem_lock);
	return error;
}
