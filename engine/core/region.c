/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * Regions of guest memory: set, found, logged, and taken back by the host. The contracts are in
 * bv/mem.h and region.h.
 *
 * Order of a change: everything is checked and allocated first; then, under mem_lock for writing
 * (no vCPU is in the middle of an exit) and nest.lock (no invalidate is under way), the table of
 * regions is switched and the old mappings are removed. A vCPU that runs guest code meanwhile has
 * been flushed when the change returns.
 */
#include "core/region.h"

#include "core/vcpu.h"

static struct bv_gfn region_end(const struct bv_region_spec *spec)
{
	return BV_GFN(spec->gfn.n + spec->pages);
}

struct bv_region *bv_region_search(struct bv_regions *regions, struct bv_gfn gfn, u32 *hint)
{
	u32 low = 0, high = regions->count;
	struct bv_region *region;

	while (low < high) {
		u32 middle = (low + high) / 2;

		region = regions->sorted[middle];
		if (gfn.n - region->spec.gfn.n < region->spec.pages) {
			*hint = middle;
			return region;
		}
		if (gfn.n < region->spec.gfn.n)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* ---- the log ---- */

static size_t dirty_words(u64 pages)
{
	return (pages + 63) / 64;
}

static void ring_push(struct bv_vcpu *vcpu, u32 slot, u64 offset)
{
	struct bv_dirty_ring *ring = vcpu->ring;
	struct bv_dirty_entry *entry;

	bv_host_spin_lock(&vcpu->vm->nest.lock);
	entry = &ring->entry[ring->next & (ring->entries - 1)];
	entry->slot = slot;
	entry->offset = offset;
	__atomic_store_n(&entry->flags, 1, __ATOMIC_RELEASE);
	ring->next++;
	bv_host_spin_unlock(&vcpu->vm->nest.lock);
}

void bv_region_dirtied(struct bv_vm *vm, struct bv_vcpu *vcpu, struct bv_region *region,
		       struct bv_gfn gfn)
{
	u64 page = gfn.n - region->spec.gfn.n;

	(void)vm;
	if (!(region->spec.flags & BV_REGION_LOG))
		return;
	if (vcpu && vcpu->ring) {
		ring_push(vcpu, region->spec.slot, page);
		return;
	}
	/* Most pages of a busy guest are dirty already: look before the locked operation. */
	if (!(BV_READ_ONCE(region->dirty[page / 64]) & BV_BIT(page % 64)))
		__atomic_fetch_or(&region->dirty[page / 64], BV_BIT(page % 64), __ATOMIC_SEQ_CST);
}

void bv_mem_dirtied(struct bv_vm *vm, struct bv_gfn gfn)
{
	u32 hint = 0;
	struct bv_region *region;

	bv_host_spin_lock(&vm->nest.lock);
	region = bv_region_find(&vm->regions, gfn, &hint);
	if (region)
		bv_region_dirtied(vm, NULL, region, gfn);
	bv_host_spin_unlock(&vm->nest.lock);
}

/*
 * Until an exit of its vCPU a page is in the hardware's log alone. A log that is read meanwhile has
 * it the next time; whoever wants all stops the vCPUs first.
 */
void bv_regions_log_take(struct bv_vcpu *vcpu)
{
	struct bv_vm *vm = vcpu->vm;
	struct bv_region *region;
	const u64 *gpa;
	u32 count;

	if (!vm->nest.hw_log)
		return;
	gpa = bv_vendor->log_take(vcpu, &count);
	if (!count)
		return;
	bv_host_rwsem_read(&vm->mem_lock);
	for (u32 i = 0; i < count; i++) {
		region = bv_region_at(&vm->regions, gpa[i], &vcpu->region_hint);
		if (region)
			bv_region_dirtied(vm, vcpu, region, BV_GFN(gpa[i] >> BV_PAGE_SHIFT));
	}
	bv_host_rwsem_read_done(&vm->mem_lock);
}

/* A ring has a limit that the hardware's log would run over: with rings each page faults. */
int bv_vcpu_dirty_ring_set(struct bv_vcpu *vcpu, struct bv_dirty_entry *entries, u32 count)
{
	if (!vcpu->ring)
		vcpu->ring = bv_host_alloc(sizeof(*vcpu->ring));
	if (!vcpu->ring)
		return -BV_ENOMEM;
	vcpu->vm->nest.hw_log = false;
	vcpu->ring->entry = entries;
	vcpu->ring->entries = count;
	return 0;
}

static bool ring_reset_one(struct bv_vm *vm, struct bv_dirty_ring *ring)
{
	struct bv_dirty_entry *entry = &ring->entry[ring->reset & (ring->entries - 1)];
	u32 slot = BV_READ_ONCE(entry->slot);
	u64 offset = BV_READ_ONCE(entry->offset);
	struct bv_region *region;

	if (ring->reset == ring->next || !(__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) & 2))
		return false;
	__atomic_store_n(&entry->flags, 0, __ATOMIC_RELEASE);
	ring->reset++;
	/* User space can write the entry: what it names is checked like any argument. */
	region = slot < BV_MAX_REGIONS ? vm->regions.slot[slot] : NULL;
	if (region && offset < region->spec.pages) {
		struct bv_gfn gfn = BV_GFN(region->spec.gfn.n + offset);

		bv_nest_protect_locked(&vm->nest, gfn, BV_GFN(gfn.n + 1));
	}
	return true;
}

int bv_vm_dirty_rings_reset(struct bv_vm *vm)
{
	struct bv_vcpu *vcpu;
	unsigned int i;
	int count = 0;

	bv_host_rwsem_read(&vm->mem_lock);
	bv_host_spin_lock(&vm->nest.lock);
	bv_vm_for_each_vcpu(i, vcpu, vm) while (vcpu->ring && ring_reset_one(vm, vcpu->ring))
		count++;
	if (count)
		bv_nest_flush(vm);
	bv_host_spin_unlock(&vm->nest.lock);
	bv_host_rwsem_read_done(&vm->mem_lock);
	return count;
}

static struct bv_region *logged_region(struct bv_vm *vm, u32 slot)
{
	struct bv_region *region = slot < BV_MAX_REGIONS ? vm->regions.slot[slot] : NULL;

	return region && region->dirty ? region : NULL;
}

/* Takes the bits of one word, and has the next writes to their pages told. Under nest.lock. */
static u64 dirty_take(struct bv_vm *vm, struct bv_region *region, u64 word, u64 mask)
{
	u64 bits = __atomic_fetch_and(&region->dirty[word], ~mask, __ATOMIC_SEQ_CST) & mask;

	for (u64 left = bits; left; left &= left - 1) {
		u64 page = word * 64 + __builtin_ctzll(left);
		struct bv_gfn gfn = BV_GFN(region->spec.gfn.n + page);

		bv_nest_watch_locked(&vm->nest, gfn, BV_GFN(gfn.n + 1));
	}
	return bits;
}

int bv_mem_dirty_fetch(struct bv_vm *vm, u32 slot, u64 *bitmap, bool clear)
{
	struct bv_region *region;
	bool any = false;

	bv_host_rwsem_read(&vm->mem_lock);
	region = logged_region(vm, slot);
	if (!region) {
		bv_host_rwsem_read_done(&vm->mem_lock);
		return bv_refuse(&vm->why, BV_ENOENT,
				 "dirty log: slot %u does not exist or is not logged", slot);
	}
	clear = clear && !vm->dirty_manual;
	bv_host_spin_lock(&vm->nest.lock);
	for (u64 word = 0; word < dirty_words(region->spec.pages); word++) {
		u64 bits = BV_READ_ONCE(region->dirty[word]);

		bitmap[word] = bits && clear ? dirty_take(vm, region, word, ~0ull) : bits;
		any |= bits && clear;
	}
	if (any)
		bv_nest_flush(vm);
	bv_host_spin_unlock(&vm->nest.lock);
	bv_host_rwsem_read_done(&vm->mem_lock);
	return 0;
}

int bv_mem_dirty_clear(struct bv_vm *vm, u32 slot, u64 first, u64 pages, const u64 *bitmap)
{
	struct bv_region *region;
	bool any = false;
	int error = 0;

	bv_host_rwsem_read(&vm->mem_lock);
	region = logged_region(vm, slot);
	if (!region)
		error = bv_refuse(&vm->why, BV_ENOENT,
				  "dirty log: slot %u does not exist or is not logged", slot);
	else if (first % 64 || first > region->spec.pages || pages > region->spec.pages - first ||
		 (pages % 64 && first + pages != region->spec.pages))
		error = bv_refuse(
			&vm->why, BV_EINVAL,
			"dirty log: pages %llu+%llu are not whole words of slot %u (%llu pages)",
			first, pages, slot, region->spec.pages);
	if (error) {
		bv_host_rwsem_read_done(&vm->mem_lock);
		return error;
	}
	bv_host_spin_lock(&vm->nest.lock);
	for (u64 word = 0; word < dirty_words(pages); word++)
		any |= bitmap[word] && dirty_take(vm, region, first / 64 + word, bitmap[word]);
	if (any)
		bv_nest_flush(vm);
	bv_host_spin_unlock(&vm->nest.lock);
	bv_host_rwsem_read_done(&vm->mem_lock);
	return 0;
}

void bv_mem_dirty_mode(struct bv_vm *vm, bool manual, bool init_all)
{
	vm->dirty_manual = manual;
	vm->dirty_init_all = init_all;
}

/* ---- changing the table ---- */

static int region_check(struct bv_vm *vm, const struct bv_region_spec *spec)
{
	if (spec->slot >= BV_MAX_REGIONS)
		return bv_refuse(&vm->why, BV_EINVAL, "memory slot %u: the highest is %u",
				 spec->slot, BV_MAX_REGIONS - 1);
	if (!spec->pages)
		return vm->regions.slot[spec->slot] ?
			       0 :
			       bv_refuse(&vm->why, BV_EINVAL,
					 "memory slot %u: size 0 deletes, but it does not exist",
					 spec->slot);
	if (spec->host_addr & ~BV_PAGE_MASK)
		return bv_refuse(&vm->why, BV_EINVAL,
				 "memory slot %u: host address %#llx is not page aligned",
				 spec->slot, spec->host_addr);
	if (spec->pages > 1ull << 36 ||
	    spec->host_addr + (spec->pages << BV_PAGE_SHIFT) < spec->host_addr)
		return bv_refuse(&vm->why, BV_EINVAL,
				 "memory slot %u: %llu pages from host address %#llx pass its end",
				 spec->slot, spec->pages, spec->host_addr);
	if (spec->gfn.n + spec->pages < spec->gfn.n || spec->gfn.n + spec->pages > 1ull << 36)
		return bv_refuse(&vm->why, BV_EINVAL,
				 "memory slot %u: gfn %#llx + %llu pages passes 2^48", spec->slot,
				 spec->gfn.n, spec->pages);
	for (u32 i = 0; i < vm->regions.count; i++) {
		const struct bv_region_spec *other = &vm->regions.sorted[i]->spec;

		if (other->slot != spec->slot && spec->gfn.n < region_end(other).n &&
		    other->gfn.n < region_end(spec).n)
			return bv_refuse(&vm->why, BV_EEXIST,
					 "memory slot %u: gfn %#llx + %llu pages overlaps slot %u",
					 spec->slot, spec->gfn.n, spec->pages, other->slot);
	}
	return 0;
}

static void region_free(struct bv_region *region)
{
	if (!region)
		return;
	bv_host_free(region->dirty);
	bv_host_free(region);
}

static bool same_place(const struct bv_region_spec *a, const struct bv_region_spec *b)
{
	return a->gfn.n == b->gfn.n && a->pages == b->pages && a->host_addr == b->host_addr;
}

static void dirty_fill(u64 *dirty, u64 pages)
{
	__builtin_memset(dirty, 0xff, pages / 64 * 8);
	if (pages % 64)
		dirty[pages / 64] = BV_BIT(pages % 64) - 1;
}

static struct bv_region *region_alloc(struct bv_vm *vm, const struct bv_region_spec *spec,
				      const struct bv_region *old)
{
	struct bv_region *region = bv_host_alloc(sizeof(*region));
	size_t bytes = dirty_words(spec->pages) * 8;

	if (!region)
		return NULL;
	region->spec = *spec;
	if (!(spec->flags & BV_REGION_LOG))
		return region;
	region->dirty = bv_host_alloc(bytes);
	if (!region->dirty) {
		bv_host_free(region);
		return NULL;
	}
	/* A log that goes on keeps its bits. */
	if (old && old->dirty && same_place(&old->spec, spec))
		__builtin_memcpy(region->dirty, old->dirty, bytes);
	else if (vm->dirty_init_all)
		dirty_fill(region->dirty, spec->pages);
	return region;
}

/* Puts `region` (NULL: nothing) in the place of `old`; keeps the sorted order. Under both locks. */
static void regions_replace(struct bv_regions *regions, u32 slot, struct bv_region *region)
{
	u32 to = 0, from = 0;

	regions->generation++;
	for (; from < regions->count; from++)
		if (regions->sorted[from] != regions->slot[slot])
			regions->sorted[to++] = regions->sorted[from];
	regions->count = to;
	if (regions->slot[slot] && regions->slot[slot]->spec.flags & BV_REGION_LOG)
		BV_WRITE_ONCE(regions->logged, regions->logged - 1);
	regions->slot[slot] = region;
	if (!region)
		return;
	if (region->spec.flags & BV_REGION_LOG)
		BV_WRITE_ONCE(regions->logged, regions->logged + 1);
	for (; to && regions->sorted[to - 1]->spec.gfn.n > region->spec.gfn.n; to--)
		regions->sorted[to] = regions->sorted[to - 1];
	regions->sorted[to] = region;
	regions->count++;
}

/* What the old mappings have lost by the change. Under both locks. */
static void region_unmap_old(struct bv_vm *vm, const struct bv_region *old,
			     const struct bv_region *region)
{
	struct bv_gfn first = old->spec.gfn, end = region_end(&old->spec);
	u32 gained = region ? region->spec.flags & ~old->spec.flags : 0;
	u32 lost = region ? old->spec.flags & ~region->spec.flags : 0;

	if (region && same_place(&old->spec, &region->spec) && !lost) {
		/*
		 * Only more is watched now. A log that starts all ones is write-protected as it is
		 * cleared.
		 */
		if (gained && !(gained == BV_REGION_LOG && vm->dirty_init_all) &&
		    bv_nest_watch_locked(&vm->nest, first, end))
			bv_nest_flush(vm);
		return;
	}
	/* Where a log ends, the pages come back, as large ones where they can. */
	if (bv_nest_zap_locked(&vm->nest, first, end))
		bv_nest_flush(vm);
	bv_nest_prune_locked(vm, first, end);
}

int bv_mem_region_set(struct bv_vm *vm, const struct bv_region_spec *spec)
{
	struct bv_region *old, *region = NULL;
	int error;

	bv_host_rwsem_write(&vm->mem_lock);
	error = region_check(vm, spec);
	old = error ? NULL : vm->regions.slot[spec->slot];
	if (!error && spec->pages) {
		region = region_alloc(vm, spec, old);
		if (!region)
			error = bv_refuse(&vm->why, BV_ENOMEM,
					  "memory slot %u: no memory for its description",
					  spec->slot);
	}
	if (!error) {
		bv_host_spin_lock(&vm->nest.lock);
		regions_replace(&vm->regions, spec->slot, region);
		if (old)
			region_unmap_old(vm, old, region);
		bv_host_spin_unlock(&vm->nest.lock);
		region_free(old);
	}
	bv_host_rwsem_write_done(&vm->mem_lock);
	return error;
}

int bv_mem_region_get(struct bv_vm *vm, u32 slot, struct bv_region_spec *spec)
{
	int error = -BV_ENOENT;

	bv_host_rwsem_read(&vm->mem_lock);
	if (slot < BV_MAX_REGIONS && vm->regions.slot[slot]) {
		*spec = vm->regions.slot[slot]->spec;
		error = 0;
	}
	bv_host_rwsem_read_done(&vm->mem_lock);
	return error;
}

void bv_regions_free(struct bv_vm *vm)
{
	for (u32 i = 0; i < vm->regions.count; i++)
		region_free(vm->regions.sorted[i]);
	vm->regions.count = 0;
}

/* ---- the host takes frames back ---- */

typedef bool region_range(struct bv_nest *nest, struct bv_gfn first, struct bv_gfn end);

/* Calls for the part of each region that host addresses [start, end) back. Under nest.lock. */
static bool regions_each(struct bv_vm *vm, u64 start, u64 end, region_range *call)
{
	bool result = false;

	for (u32 i = 0; i < vm->regions.count; i++) {
		const struct bv_region_spec *spec = &vm->regions.sorted[i]->spec;
		u64 host_end = spec->host_addr + (spec->pages << BV_PAGE_SHIFT);
		u64 from = start > spec->host_addr ? start : spec->host_addr;
		u64 to = end < host_end ? end : host_end;

		if (from >= to)
			continue;
		result |= call(&vm->nest,
			       BV_GFN(spec->gfn.n + ((from - spec->host_addr) >> BV_PAGE_SHIFT)),
			       BV_GFN(spec->gfn.n + ((to - spec->host_addr + BV_PAGE_SIZE - 1) >>
						     BV_PAGE_SHIFT)));
	}
	return result;
}

/* No mapping of [start, end) is made from now on. Locked. */
static void invalidate_cover(struct bv_nest *nest, u64 start, u64 end)
{
	if (!nest->invalidate_active++) {
		nest->invalidate_start = start;
		nest->invalidate_end = end;
		return;
	}
	nest->invalidate_start = start < nest->invalidate_start ? start : nest->invalidate_start;
	nest->invalidate_end = end > nest->invalidate_end ? end : nest->invalidate_end;
}

void bv_mem_invalidate_begin(struct bv_vm *vm, u64 start, u64 end)
{
	bv_host_spin_lock(&vm->nest.lock);
	invalidate_cover(&vm->nest, start, end);
	if (regions_each(vm, start, end, bv_nest_zap_locked))
		bv_nest_flush(vm);
	bv_host_spin_unlock(&vm->nest.lock);
}

void bv_mem_invalidate_begin_pages(struct bv_vm *vm, const u64 *pages, u32 count, u64 start,
				   u64 end)
{
	bool mapped = false;

	bv_host_spin_lock(&vm->nest.lock);
	invalidate_cover(&vm->nest, start, end);
	for (u32 i = 0; i < count; i++)
		mapped |= regions_each(vm, pages[i], pages[i] + BV_PAGE_SIZE, bv_nest_zap_locked);
	if (mapped)
		bv_nest_flush(vm);
	bv_host_spin_unlock(&vm->nest.lock);
}

void bv_mem_invalidate_end(struct bv_vm *vm, u64 start, u64 end)
{
	(void)start, (void)end;
	bv_host_spin_lock(&vm->nest.lock);
	vm->nest.invalidate_seq++;
	vm->nest.invalidate_active--;
	bv_host_spin_unlock(&vm->nest.lock);
}

static bool nest_young(struct bv_nest *nest, struct bv_gfn first, struct bv_gfn end)
{
	return bv_nest_young_locked(nest, first, end, false);
}

static bool nest_age(struct bv_nest *nest, struct bv_gfn first, struct bv_gfn end)
{
	return bv_nest_young_locked(nest, first, end, true);
}

bool bv_mem_young(struct bv_vm *vm, u64 start, u64 end, bool clear)
{
	bool young;

	bv_host_spin_lock(&vm->nest.lock);
	/*
	 * No flush: an entry that stays in a TLB is found old a little too early, which costs
	 * nothing but a guess.
	 */
	young = regions_each(vm, start, end, clear ? nest_age : nest_young);
	bv_host_spin_unlock(&vm->nest.lock);
	return young;
}

void bv_mem_release_all(struct bv_vm *vm)
{
	bv_mem_invalidate_begin(vm, 0, ~0ull);
	bv_mem_invalidate_end(vm, 0, ~0ull);
}
