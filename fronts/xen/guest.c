// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reaching guest memory: what stands behind the engine's regions (for the host's bv_host_frame_get
 * and its kin), and the copies of hypercalls' arguments.
 *
 * The engine is given regions that cover all guest frames but that of the local APIC; a region's
 * "host address" is the guest-physical address itself, so that each question comes back here with
 * the guest frame. Where nothing is, the answer -BV_ENXIO makes it a device's.
 */
#include "front.h"

#define APIC_GFN 0xfee00ULL
#define SLOT_LOW 0
#define SLOT_HIGH 1
#define SLOT_REST 2
/* Logged regions end here at least: growth below it is logged too. */
#define LOG_ROUND (1ULL << 18)

static struct bvx_domain *domain_of(struct bv_vm *vm)
{
	return bv_vm_front(vm);
}

static bool writable(enum bvx_type type)
{
	return type == BVX_RAM || type == BVX_SHARED || type == BVX_GRANT || type == BVX_FOREIGN ||
	       type == BVX_MMIO;
}

static struct bvx_entry look(struct bvx_domain *domain, u64 gfn)
{
	struct bvx_entry entry;

	bv_host_spin_lock(&domain->p2m.lock);
	entry = bvx_p2m_look(&domain->p2m, gfn);
	bv_host_spin_unlock(&domain->p2m.lock);
	return entry;
}

/* The order of a block that lies alike in guest and machine. */
static u8 common_order(const struct bvx_entry *entry, u64 gfn)
{
	u8 order = entry->order;

	while (order && (gfn ^ entry->mfn.n) & ((1ULL << order) - 1))
		order -= 9;
	return order;
}

int bvx_frame_get(struct bv_vm *vm, u64 gpa, bool write, struct bv_host_frame *frame)
{
	u64 gfn = gpa >> BV_PAGE_SHIFT;
	struct bvx_entry entry = look(domain_of(vm), gfn);

	if (entry.type == BVX_NONE)
		return -BV_ENXIO;
	if (write && !writable(entry.type))
		return -BV_EACCES;
	/* No hold: what is taken away meanwhile, is invalidated, and the engine does not map it. */
	*frame = (struct bv_host_frame){
		.mfn = entry.mfn,
		.order = common_order(&entry, gfn),
		.writable = writable(entry.type),
	};
	return 0;
}

void bvx_frame_put(struct bv_host_frame *frame, bool dirtied)
{
	(void)frame, (void)dirtied;
}

/* ---- guest-physical copies, within a page ---- */

/* Where it lies in our memory; the lock is held where not NULL. */
static u8 *page_open(struct bvx_domain *domain, u64 gpa, bool write, int *error)
{
	struct bvx_entry entry;
	u8 *va;

	bv_host_spin_lock(&domain->p2m.lock);
	entry = bvx_p2m_look(&domain->p2m, gpa >> BV_PAGE_SHIFT);
	va = entry.type == BVX_NONE || entry.type == BVX_MMIO ? NULL : bvx_host_frame_va(entry.mfn);
	*error = !va ? -BV_ENXIO : write && !writable(entry.type) ? -BV_EACCES : 0;
	if (!*error)
		return va + (gpa & ~BV_PAGE_MASK);
	bv_host_spin_unlock(&domain->p2m.lock);
	return NULL;
}

static void page_close(struct bvx_domain *domain)
{
	bv_host_spin_unlock(&domain->p2m.lock);
}

int bvx_guest_read(struct bv_vm *vm, u64 gpa, void *to, size_t bytes)
{
	int error;
	const u8 *from = page_open(domain_of(vm), gpa, false, &error);

	if (!from)
		return error;
	__builtin_memcpy(to, from, bytes);
	page_close(domain_of(vm));
	return 0;
}

int bvx_guest_write(struct bv_vm *vm, u64 gpa, const void *from, size_t bytes)
{
	int error;
	u8 *to = page_open(domain_of(vm), gpa, true, &error);

	if (!to)
		return error;
	__builtin_memcpy(to, from, bytes);
	page_close(domain_of(vm));
	return 0;
}

#define CMPXCHG(type)                                                                          \
	(__atomic_compare_exchange_n((type *)at, (type *)old, *(const type *)new_value, false, \
				     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ?                     \
		 0 :                                                                           \
		 -BV_EAGAIN)

/* Old and new value of 16 bytes, for the one instruction that compares as much. */
static int cmpxchg16(u64 *at, u64 *old, const u64 *new_value)
{
	bool equal;

	__asm__ volatile("lock cmpxchg16b %1"
			 : "=@ccz"(equal), "+m"(*(u64(*)[2])at), "+a"(old[0]), "+d"(old[1])
			 : "b"(new_value[0]), "c"(new_value[1])
			 : "memory");
	return equal ? 0 : -BV_EAGAIN;
}

static int cmpxchg(void *at, unsigned int bytes, void *old, const void *new_value)
{
	switch (bytes) {
	case 1:
		return CMPXCHG(u8);
	case 2:
		return CMPXCHG(u16);
	case 4:
		return CMPXCHG(u32);
	case 8:
		return CMPXCHG(u64);
	default:
		return cmpxchg16(at, old, new_value);
	}
}

int bvx_guest_cmpxchg(struct bv_vm *vm, u64 gpa, unsigned int bytes, void *old,
		      const void *new_value)
{
	int error;
	u8 *at = page_open(domain_of(vm), gpa, true, &error);

	if (!at)
		return error;
	error = cmpxchg(at, bytes, old, new_value);
	page_close(domain_of(vm));
	return error;
}

/* ---- longer ones ---- */

static size_t in_page(u64 gpa, size_t bytes)
{
	size_t room = BV_PAGE_SIZE - (gpa & ~BV_PAGE_MASK);

	return bytes < room ? bytes : room;
}

int bvx_copy_from_gpa(struct bvx_domain *domain, u64 gpa, void *to, size_t bytes)
{
	for (size_t part; bytes; gpa += part, to = (u8 *)to + part, bytes -= part) {
		part = in_page(gpa, bytes);
		if (bvx_guest_read(domain->vm, gpa, to, part))
			return -XEN_EFAULT;
	}
	return 0;
}

int bvx_copy_to_gpa(struct bvx_domain *domain, u64 gpa, const void *from, size_t bytes)
{
	for (size_t part; bytes; gpa += part, from = (const u8 *)from + part, bytes -= part) {
		part = in_page(gpa, bytes);
		if (bvx_guest_write(domain->vm, gpa, from, part))
			return -XEN_EFAULT;
		bvx_dirtied(domain, gpa >> BV_PAGE_SHIFT);
	}
	return 0;
}

/* Inside an exit the engine's memory lock is held already. */
int bvx_copy_in(struct bvx_vcpu *vcpu, void *to, u64 gva, size_t bytes)
{
	return vcpu->in_exit ? bv_vcpu_linear_read_locked(vcpu->vcpu, gva, to, bytes) :
			       bv_vcpu_linear_read(vcpu->vcpu, gva, to, bytes);
}

int bvx_copy_out(struct bvx_vcpu *vcpu, u64 gva, const void *from, size_t bytes)
{
	return vcpu->in_exit ? bv_vcpu_linear_write_locked(vcpu->vcpu, gva, from, bytes) :
			       bv_vcpu_linear_write(vcpu->vcpu, gva, from, bytes);
}

int bvx_translate(struct bvx_vcpu *vcpu, u64 gva, u64 *gpa)
{
	bool can_write, user;
	int error = vcpu->in_exit ?
			    bv_vcpu_translate_locked(vcpu->vcpu, gva, gpa, &can_write, &user) :
			    bv_vcpu_translate(vcpu->vcpu, gva, gpa, &can_write, &user);

	return error ? -XEN_EFAULT : 0;
}

/* ---- regions ---- */

static int region(struct bvx_domain *domain, u32 slot, u64 from, u64 to, bool log)
{
	const struct bv_region_spec spec = {
		.slot = slot,
		.flags = BV_REGION_SPARSE | (log ? BV_REGION_LOG : 0),
		.gfn = BV_GFN(from),
		.pages = to - from,
		.host_addr = from << BV_PAGE_SHIFT,
	};

	return bv_mem_region_set(domain->vm, &spec);
}

int bvx_regions_set(struct bvx_domain *domain)
{
	int error = region(domain, SLOT_LOW, 0, APIC_GFN, false);

	return error ? error : region(domain, SLOT_HIGH, APIC_GFN + 1, BVX_MAX_GFN, false);
}

/*
 * The high region is cut in a logged and an unlogged part, as a log has a bit for each page. While
 * it is cut anew, pages are in no region for a moment: so the domain must not run.
 */
int bvx_domain_log(struct bvx_domain *domain, bool on)
{
	u64 end = ((bvx_p2m_max(domain) | (APIC_GFN + 1)) + LOG_ROUND) & ~(LOG_ROUND - 1);
	int error;

	if (domain->logging == on)
		return 0;
	if (!on) {
		region(domain, SLOT_REST, 0, 0, false);
		error = bvx_regions_set(domain);
		__atomic_store_n(&domain->logging, false, __ATOMIC_RELEASE);
		return error;
	}
	error = region(domain, SLOT_HIGH, APIC_GFN + 1, end, true);
	if (!error)
		error = region(domain, SLOT_REST, end, BVX_MAX_GFN, false);
	if (!error)
		error = region(domain, SLOT_LOW, 0, APIC_GFN, true);
	if (!error)
		__atomic_store_n(&domain->logging, true, __ATOMIC_RELEASE);
	return error;
}

/* Two logs, of which the second does not begin at a multiple of 64. */
u64 *bvx_log_fetch(struct bvx_domain *domain, bool clear, u64 *words)
{
	struct bv_region_spec high;
	u64 *bitmap, *part, first = (APIC_GFN + 1) / 64, shift = (APIC_GFN + 1) % 64;
	u64 part_words;

	if (bv_mem_region_get(domain->vm, SLOT_HIGH, &high))
		return NULL;
	*words = (high.gfn.n + high.pages + 63) / 64;
	part_words = (high.pages + 63) / 64;
	bitmap = bv_host_alloc((*words + 1) * 8);
	part = bv_host_alloc(part_words * 8);
	if (!bitmap || !part || bv_mem_dirty_fetch(domain->vm, SLOT_LOW, bitmap, clear) ||
	    bv_mem_dirty_fetch(domain->vm, SLOT_HIGH, part, clear)) {
		bv_host_free(bitmap);
		bitmap = NULL;
	}
	for (u64 i = 0; bitmap && i < part_words; i++) {
		bitmap[first + i] |= part[i] << shift;
		bitmap[first + i + 1] |= part[i] >> (64 - shift);
	}
	bv_host_free(part);
	return bitmap;
}

void bvx_dirtied(struct bvx_domain *domain, u64 gfn)
{
	if (__atomic_load_n(&domain->logging, __ATOMIC_ACQUIRE))
		bv_mem_dirtied(domain->vm, BV_GFN(gfn));
}
