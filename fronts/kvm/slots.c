// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory slots and their dirty logs. Slots are the engine's regions under the same number; what of
 * a change the ABI allows is checked here, overlaps by the engine.
 */
#include "front.h"

#define SLOT_FLAGS (KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)
#define MAX_SLOT_PAGES ((1ULL << 31) - 1)

static int check_slot_number(struct bvk_call *call, u32 slot)
{
	if (slot >> 16)
		return bvk_refuse(call, BV_EINVAL, "slot = %#x: there is only address space 0",
				  slot);
	if (slot >= BV_MAX_REGIONS)
		return bvk_refuse(call, BV_EINVAL, "slot = %u: must be below %u", slot,
				  BV_MAX_REGIONS);
	return 0;
}

static int check_slot_ranges(struct bvk_call *call, const struct kvm_userspace_memory_region *slot)
{
	const u64 offset = BV_PAGE_SIZE - 1;

	if (slot->flags & ~SLOT_FLAGS)
		return bvk_refuse(call, BV_EINVAL, "flags = %#x: only %#lx are known", slot->flags,
				  (unsigned long)SLOT_FLAGS);
	if (slot->memory_size & offset)
		return bvk_refuse(call, BV_EINVAL, "memory_size = %#llx: not whole pages",
				  slot->memory_size);
	if (slot->memory_size >> BV_PAGE_SHIFT > MAX_SLOT_PAGES)
		return bvk_refuse(call, BV_EINVAL, "memory_size = %#llx: more than %llu pages",
				  slot->memory_size, MAX_SLOT_PAGES);
	if (slot->guest_phys_addr & offset ||
	    slot->guest_phys_addr + slot->memory_size < slot->guest_phys_addr)
		return bvk_refuse(call, BV_EINVAL,
				  "guest_phys_addr = %#llx: not at a page, or its end is past 2^64",
				  slot->guest_phys_addr);
	if (slot->userspace_addr & offset ||
	    !bvk_host_user_range(slot->userspace_addr, slot->memory_size))
		return bvk_refuse(
			call, BV_EINVAL,
			"userspace_addr = %#llx: not at a page, or not an address of a process",
			slot->userspace_addr);
	return 0;
}

/*
 * An existing slot may be moved in the guest, or logged or not; not resized, nor given other
 * memory.
 */
static int check_slot_change(struct bvk_call *call, const struct bv_region_spec *old,
			     const struct kvm_userspace_memory_region *slot)
{
	bool read_only = slot->flags & KVM_MEM_READONLY;

	if (slot->memory_size >> BV_PAGE_SHIFT != old->pages)
		return bvk_refuse(
			call, BV_EINVAL,
			"memory_size = %#llx: slot %u exists with %#llx pages, delete it first",
			slot->memory_size, slot->slot, old->pages);
	if (slot->userspace_addr != old->host_addr)
		return bvk_refuse(
			call, BV_EINVAL,
			"userspace_addr = %#llx: slot %u exists with %#llx, delete it first",
			slot->userspace_addr, slot->slot, old->host_addr);
	if (read_only != !!(old->flags & BV_REGION_READONLY))
		return bvk_refuse(call, BV_EINVAL,
				  "flags = %#x: slot %u exists, KVM_MEM_READONLY cannot change",
				  slot->flags, slot->slot);
	return 0;
}

static u32 region_flags(u32 flags)
{
	return (flags & KVM_MEM_READONLY ? BV_REGION_READONLY : 0) |
	       (flags & KVM_MEM_LOG_DIRTY_PAGES ? BV_REGION_LOG : 0);
}

long bvk_set_memory_region(struct bvk_call *call)
{
	const struct kvm_userspace_memory_region *slot = call->data;
	struct bv_region_spec old, spec;
	int error = check_slot_number(call, slot->slot);

	if (!error)
		error = check_slot_ranges(call, slot);
	if (error)
		return error;
	if (!bv_mem_region_get(call->vm->vm, slot->slot, &old))
		error = slot->memory_size ? check_slot_change(call, &old, slot) : 0;
	else if (!slot->memory_size)
		error = bvk_refuse(call, BV_EINVAL, "memory_size = 0: slot %u does not exist",
				   slot->slot);
	if (error)
		return error;
	spec = (struct bv_region_spec){
		.slot = slot->slot,
		.flags = region_flags(slot->flags),
		.gfn = BV_GFN(slot->guest_phys_addr >> BV_PAGE_SHIFT),
		.pages = slot->memory_size >> BV_PAGE_SHIFT,
		.host_addr = slot->userspace_addr,
	};
	return bv_mem_region_set(call->vm->vm, &spec);
}

/* ---- dirty logs ---- */

static int check_logged_slot(struct bvk_call *call, u32 slot, struct bv_region_spec *spec)
{
	int error;

	if (bvk_has_ring(call->vm))
		return bvk_refuse(call, BV_ENXIO, "the VM has dirty rings, so there is no bitmap");
	error = check_slot_number(call, slot);
	if (error)
		return error;
	if (bv_mem_region_get(call->vm->vm, slot, spec))
		return bvk_refuse(call, BV_ENOENT, "slot = %u: does not exist", slot);
	if (!(spec->flags & BV_REGION_LOG))
		return bvk_refuse(call, BV_ENOENT, "slot = %u: without KVM_MEM_LOG_DIRTY_PAGES",
				  slot);
	return 0;
}

static size_t bitmap_bytes(u64 pages)
{
	return (size_t)((pages + 63) / 64 * 8);
}

/* A 32-bit process has only half of the union with the pointer. */
static u64 user_pointer(const struct bvk_call *call, u64 pointer)
{
	return call->request->compat ? (u32)pointer : pointer;
}

long bvk_get_dirty_log(struct bvk_call *call)
{
	const struct kvm_dirty_log *log = call->data;
	bool manual = call->vm->manual_protect & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
	struct bv_region_spec spec;
	u64 *bitmap;
	int error = check_logged_slot(call, log->slot, &spec);

	if (error)
		return error;
	bitmap = bv_host_alloc(bitmap_bytes(spec.pages));
	if (!bitmap)
		return -BV_ENOMEM;
	error = bv_mem_dirty_fetch(call->vm->vm, log->slot, bitmap, !manual);
	if (!error &&
	    bv_host_copy_out(user_pointer(call, log->padding2), bitmap, bitmap_bytes(spec.pages)))
		error = bvk_refuse(call, BV_EFAULT,
				   "dirty_bitmap = %#llx: not all of it is writable",
				   user_pointer(call, log->padding2));
	bv_host_free(bitmap);
	return error;
}

static int check_clear_range(struct bvk_call *call, const struct kvm_clear_dirty_log *log,
			     u64 pages)
{
	if (log->first_page & 63)
		return bvk_refuse(call, BV_EINVAL, "first_page = %llu: not a multiple of 64",
				  log->first_page);
	if (log->first_page > pages || log->num_pages > pages - log->first_page)
		return bvk_refuse(call, BV_EINVAL,
				  "first_page = %llu, num_pages = %u: past the slot's %llu pages",
				  log->first_page, log->num_pages, pages);
	if ((log->num_pages & 63) && log->first_page + log->num_pages != pages)
		return bvk_refuse(
			call, BV_EINVAL,
			"num_pages = %u: neither a multiple of 64 nor up to the slot's end",
			log->num_pages);
	return 0;
}

long bvk_clear_dirty_log(struct bvk_call *call)
{
	const struct kvm_clear_dirty_log *log = call->data;
	struct bv_region_spec spec;
	u64 *bitmap;
	int error = check_logged_slot(call, log->slot, &spec);

	if (!error)
		error = check_clear_range(call, log, spec.pages);
	if (error)
		return error;
	bitmap = bvk_copy_array_in(call, user_pointer(call, log->padding2),
				   (u32)(bitmap_bytes(log->num_pages) / 8), 8, &error);
	if (!bitmap)
		return error;
	error = bv_mem_dirty_clear(call->vm->vm, log->slot, log->first_page, log->num_pages,
				   bitmap);
	bv_host_free(bitmap);
	return error;
}

BV_STATIC_ASSERT(sizeof(struct bv_dirty_entry) == sizeof(struct kvm_dirty_gfn));
BV_STATIC_ASSERT(offsetof(struct bv_dirty_entry, slot) == offsetof(struct kvm_dirty_gfn, slot));
BV_STATIC_ASSERT(offsetof(struct bv_dirty_entry, offset) == offsetof(struct kvm_dirty_gfn, offset));
BV_STATIC_ASSERT(KVM_DIRTY_GFN_F_DIRTY == 1 && KVM_DIRTY_GFN_F_RESET == 2);

long bvk_reset_dirty_rings(struct bvk_call *call)
{
	if (!bvk_has_ring(call->vm))
		return bvk_refuse(call, BV_EINVAL, "the VM has no dirty rings");
	return bv_vm_dirty_rings_reset(call->vm->vm);
}
