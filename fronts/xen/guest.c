// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reaching guest memory: what stands behind the engine's regions (for the host's bv_host_frame_get
 * and its kin), and the copies of hypercalls' arguments.
 *
 * The engine is given regions that cover all guest frames but that of the local APIC; a region's
 * "host address" is the guest-physical address itself, so that each question comes back here with
 * the guest frame. Where nothing is, the answer -BV_ENXIO makes it a device's.
 */
#include "pod.h"

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
	struct bvx_domain *domain = domain_of(vm);
	u64 gfn = gpa >> BV_PAGE_SHIFT;
	struct bvx_entry entry = look(domain, gfn);

	while (bv_unlikely(entry.type == BVX_POD)) {
		if (bvx_pod_fill(domain, gfn))
			return -BV_ENOMEM;
		entry = look(domain, gfn);
	}
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

#define HOT_WRITABLE 1ULL

static bool hot_is(u64 word, u64 gfn)
{
	return word >> (BVX_MFN_BITS + 1) == gfn >> BVX_HOT_BITS && word;
}

static struct bv_mfn hot_mfn(u64 word)
{
	return BV_MFN(word >> 1 & ((1ULL << BVX_MFN_BITS) - 1));
}

/*
 * Looks a page up, and remembers it. Under the lock, which it gives up for a page without a frame.
 * 0: no memory.
 */
static u64 hot_fill(struct bvx_domain *domain, u64 gfn)
{
	struct bvx_p2m *p2m = &domain->p2m;
	struct bvx_entry entry = bvx_p2m_look(p2m, gfn);
	u64 word;

	while (bv_unlikely(entry.type == BVX_POD)) {
		int error;

		bv_host_spin_unlock(&p2m->lock);
		error = bvx_pod_fill(domain, gfn);
		bv_host_spin_lock(&p2m->lock);
		if (error)
			return 0;
		entry = bvx_p2m_look(p2m, gfn);
	}
	if (entry.type == BVX_NONE || entry.type == BVX_MMIO || !bvx_host_frame_va(entry.mfn))
		return 0;
	word = gfn >> BVX_HOT_BITS << (BVX_MFN_BITS + 1) | entry.mfn.n << 1 |
	       (writable(entry.type) ? HOT_WRITABLE : 0);
	__atomic_store_n(&p2m->hot[gfn % BVX_HOT_PAGES], word, __ATOMIC_RELAXED);
	return word;
}

/* Where it lies in our memory; the lock is held where not NULL, so that what lies there stays. */
static u8 *page_open(struct bvx_domain *domain, u64 gpa, bool write, int *error)
{
	struct bvx_p2m *p2m = &domain->p2m;
	u64 gfn = gpa >> BV_PAGE_SHIFT, word;

	bv_host_spin_lock(&p2m->lock);
	word = p2m->hot[gfn % BVX_HOT_PAGES];
	if (!hot_is(word, gfn))
		word = hot_fill(domain, gfn);
	*error = !word ? -BV_ENXIO : write && !(word & HOT_WRITABLE) ? -BV_EACCES : 0;
	if (bv_likely(!*error))
		return (u8 *)bvx_host_frame_va(hot_mfn(word)) + (gpa & ~BV_PAGE_MASK);
	bv_host_spin_unlock(&p2m->lock);
	return NULL;
}

/*
 * Reads without the lock. What lies there may be taken away meanwhile, but it is not released
 * before the generation has changed: if that is as it was, what was read was the guest's. (The
 * memory itself is always mapped.) An exit reads the same few pages each time: its instruction,
 * the tables that lead to it.
 */
static bool read_hot(const struct bvx_p2m *p2m, u64 gpa, void *to, size_t bytes)
{
	u64 gfn = gpa >> BV_PAGE_SHIFT,
	    generation = __atomic_load_n(&p2m->generation, __ATOMIC_ACQUIRE),
	    word = __atomic_load_n(&p2m->hot[gfn % BVX_HOT_PAGES], __ATOMIC_ACQUIRE);
	const u8 *from;

	if (bv_unlikely(!hot_is(word, gfn)))
		return false;
	from = bvx_host_frame_va(hot_mfn(word));
	if (bytes == 8)
		__builtin_memcpy(to, from + (gpa & ~BV_PAGE_MASK), 8);
	else
		__builtin_memcpy(to, from + (gpa & ~BV_PAGE_MASK), bytes);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&p2m->generation, __ATOMIC_ACQUIRE) == generation;
}

int bvx_guest_read(struct bv_vm *vm, u64 gpa, void *to, size_t bytes)
{
	struct bvx_domain *domain = domain_of(vm);
	const u8 *from;
	int error;

	if (bv_likely(read_hot(&domain->p2m, gpa, to, bytes)))
		return 0;
	from = page_open(domain, gpa, false, &error);
	if (!from)
		return error;
	__builtin_memcpy(to, from, bytes);
	bv_host_spin_unlock(&domain->p2m.lock);
	return 0;
}

int bvx_guest_write(struct bv_vm *vm, u64 gpa, const void *from, size_t bytes)
{
	struct bvx_domain *domain = domain_of(vm);
	int error;
	u8 *to = page_open(domain, gpa, true, &error);

	if (!to)
		return error;
	__builtin_memcpy(to, from, bytes);
	bv_host_spin_unlock(&domain->p2m.lock);
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
	struct bvx_domain *domain = domain_of(vm);
	int error;
	u8 *at = page_open(domain, gpa, true, &error);

	if (!at)
		return error;
	error = cmpxchg(at, bytes, old, new_value);
	bv_host_spin_unlock(&domain->p2m.lock);
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
