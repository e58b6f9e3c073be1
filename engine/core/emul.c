/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The emulator's view of a vCPU: its operations on memory, ports and registers, and what becomes of
 * its results.
 *
 * Device accesses go through the replay log (x86/ioreplay.h): a device of the engine answers at
 * once, one of user space answers when the vCPU is run again, and then the instruction is run again
 * from its start. All of this runs under the VM's memory lock for reading.
 */
#include "core/vcpu.h"
#include "x86/walk.h"

static struct bv_vcpu *vcpu_of(const struct bv_emul *emul)
{
	return emul->owner;
}

/* ---- linear to physical ---- */

/*
 * Where the code is. Instructions that exit come from few pages, and finding their bytes anew costs
 * more than all else about a quick exit. So the walk that led to a page is remembered, with the
 * value of each table entry that it read. If the registers and all these entries are as they were,
 * so is the result: nothing is taken for granted, the guest may change its tables at any time.
 */
static void memo_note(struct bv_code_memo *memo, u64 host_addr, const void *entry,
		      unsigned int bytes)
{
	if (!memo->recording)
		return;
	if (bytes != 8 || memo->count == BV_CODE_MEMO_LEVELS) {
		memo->recording = false;
		return;
	}
	memo->host_addr[memo->count] = host_addr;
	__builtin_memcpy(&memo->entry[memo->count++], entry, 8);
}

static bool memo_holds(struct bv_vcpu *vcpu, u64 page, unsigned int cpl)
{
	const struct bv_code_memo *memo = &vcpu->code_memo;
	const struct bv_cpu_state *state = &vcpu->state;
	u64 entry;

	if (memo->page != page || memo->cr3 != state->cr3 || memo->cr0 != state->cr0 ||
	    memo->cr4 != state->cr4 || memo->efer != state->efer || memo->cpl != cpl ||
	    memo->generation != vcpu->vm->regions.generation)
		return false;
	for (unsigned int i = 0; i < memo->count; i++)
		if (bv_host_read(vcpu->vm, memo->host_addr[i], &entry, 8) ||
		    entry != memo->entry[i])
			return false;
	return true;
}

static void memo_begin(struct bv_vcpu *vcpu, u64 page, unsigned int cpl)
{
	struct bv_code_memo *memo = &vcpu->code_memo;
	const struct bv_cpu_state *state = &vcpu->state;

	memo->page = page;
	memo->cr0 = state->cr0;
	memo->cr3 = state->cr3;
	memo->cr4 = state->cr4;
	memo->efer = state->efer;
	memo->cpl = cpl;
	memo->generation = vcpu->vm->regions.generation;
	memo->count = 0;
	memo->recording = true;
}

static bool walk_read(void *owner, u64 gpa, void *entry, unsigned int bytes)
{
	struct bv_vcpu *vcpu = owner;
	struct bv_region *region = bv_region_at(&vcpu->vm->regions, gpa, &vcpu->region_hint);
	u64 host_addr;

	if (bv_unlikely(!region))
		return false;
	host_addr =
		bv_region_host_addr(region, BV_GFN(gpa >> BV_PAGE_SHIFT)) + (gpa & ~BV_PAGE_MASK);
	if (bv_host_read(vcpu->vm, host_addr, entry, bytes))
		return false;
	memo_note(&vcpu->code_memo, host_addr, entry, bytes);
	return true;
}

static int walk_cmpxchg(void *owner, u64 gpa, u64 *old, u64 new_value, unsigned int bytes)
{
	struct bv_vcpu *vcpu = owner;

	return bv_mem_cmpxchg_locked(vcpu->vm, vcpu, gpa, bytes, old, &new_value);
}

static const struct bv_walk_ops walk_ops = { .read = walk_read, .cmpxchg = walk_cmpxchg };

/* L2's tables, where L1 leads L2's addresses to its own by a table. */
static bool l2_walk_read(void *owner, u64 gpa, void *entry, unsigned int bytes)
{
	struct bv_vcpu *vcpu = owner;

	return bv_l2_translate(vcpu, &gpa, 0) &&
	       !bv_mem_read_locked(vcpu->vm, vcpu, gpa, entry, bytes);
}

static int l2_walk_cmpxchg(void *owner, u64 gpa, u64 *old, u64 new_value, unsigned int bytes)
{
	struct bv_vcpu *vcpu = owner;

	if (!bv_l2_translate(vcpu, &gpa, BV_ACCESS_WRITE))
		return -BV_EFAULT;
	return bv_mem_cmpxchg_locked(vcpu->vm, vcpu, gpa, bytes, old, &new_value);
}

static const struct bv_walk_ops l2_walk_ops = { .read = l2_walk_read, .cmpxchg = l2_walk_cmpxchg };

/* L2 is on, and its physical addresses are not L1's. */
static bool l2_paging(const struct bv_vcpu *vcpu)
{
	return bv_unlikely(vcpu->nesting & BV_NESTING_L2) && vcpu->nested->paging;
}

static void walk_setup(struct bv_vcpu *vcpu, struct bv_walk *walk, unsigned int cpl)
{
	const struct bv_cpu_state *state = &vcpu->state;

	bv_vcpu_need(vcpu, BV_ST_CR);
	walk->cr0 = state->cr0;
	walk->cr3 = state->cr3;
	walk->cr4 = state->cr4;
	walk->efer = state->efer;
	walk->rflags = vcpu->gprs.rflags;
	walk->pkru = vcpu->pkru;
	walk->cpl = cpl;
	walk->phys_bits = vcpu->caps.phys_bits;
	walk->peek = false;
	walk->pdpte = NULL;
	walk->ops = &walk_ops;
	walk->owner = vcpu;
	if (l2_paging(vcpu)) {
		walk->ops = &l2_walk_ops;
		vcpu->nested->missed = false;
	}
}

int bv_vcpu_translate_locked(struct bv_vcpu *vcpu, u64 gva, u64 *gpa, bool *writable, bool *user)
{
	struct bv_walk walk;
	bool found;

	walk_setup(vcpu, &walk, 0);
	walk.peek = true;
	found = bv_walk(&walk, gva, 0, gpa);
	*writable = walk.writable;
	*user = walk.user;
	return found ? 0 : -BV_ENOENT;
}

int bv_vcpu_translate(struct bv_vcpu *vcpu, u64 gva, u64 *gpa, bool *writable, bool *user)
{
	int error;

	bv_host_rwsem_read(&vcpu->vm->mem_lock);
	error = bv_vcpu_translate_locked(vcpu, gva, gpa, writable, user);
	bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
	return error;
}

/* Copies as the guest's kernel does. */
static int linear_copy(struct bv_vcpu *vcpu, u64 gva, u8 *buffer, size_t bytes, u32 access)
{
	struct bv_walk walk;

	/* The linear addresses of the moment are not the guest's, but its guest's. */
	if (vcpu->nesting & BV_NESTING_L2)
		return -BV_EFAULT;
	walk_setup(vcpu, &walk, 0);
	for (size_t part; bytes; gva += part, buffer += part, bytes -= part) {
		size_t room = BV_PAGE_SIZE - (gva & ~BV_PAGE_MASK);
		u64 gpa;
		int error;

		part = bytes < room ? bytes : room;
		if (!bv_walk(&walk, gva, access, &gpa))
			return -BV_EFAULT;
		error = access & BV_ACCESS_WRITE ?
				bv_mem_write_locked(vcpu->vm, vcpu, gpa, buffer, part) :
				bv_mem_read_locked(vcpu->vm, vcpu, gpa, buffer, part);
		if (error)
			return -BV_EFAULT;
	}
	return 0;
}

int bv_vcpu_linear_read_locked(struct bv_vcpu *vcpu, u64 gva, void *to, size_t bytes)
{
	return linear_copy(vcpu, gva, to, bytes, 0);
}

int bv_vcpu_linear_write_locked(struct bv_vcpu *vcpu, u64 gva, const void *from, size_t bytes)
{
	return linear_copy(vcpu, gva, (u8 *)from, bytes, BV_ACCESS_WRITE);
}

int bv_vcpu_linear_read(struct bv_vcpu *vcpu, u64 gva, void *to, size_t bytes)
{
	int error;

	bv_host_rwsem_read(&vcpu->vm->mem_lock);
	error = bv_vcpu_linear_read_locked(vcpu, gva, to, bytes);
	bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
	return error;
}

int bv_vcpu_linear_write(struct bv_vcpu *vcpu, u64 gva, const void *from, size_t bytes)
{
	int error;

	bv_host_rwsem_read(&vcpu->vm->mem_lock);
	error = bv_vcpu_linear_write_locked(vcpu, gva, from, bytes);
	bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
	return error;
}

/* The guest-physical address of code at a linear address; false: not mapped for fetching. */
static bool code_translate(struct bv_vcpu *vcpu, u64 linear, unsigned int cpl, u64 *gpa)
{
	struct bv_code_memo *memo = &vcpu->code_memo;
	u64 page = linear & BV_PAGE_MASK;
	struct bv_walk walk;
	bool found;

	if (bv_unlikely(!memo_holds(vcpu, page, cpl))) {
		memo_begin(vcpu, page, cpl);
		walk_setup(vcpu, &walk, cpl);
		found = bv_walk(&walk, page, BV_ACCESS_FETCH, &memo->gpa);
		/* A walk by two sets of tables is not remembered. */
		if (l2_paging(vcpu)) {
			found = found && bv_l2_translate(vcpu, &memo->gpa, BV_ACCESS_FETCH);
			memo->recording = false;
		}
		if (!memo->recording || !found)
			memo->page = ~0ull;
		memo->recording = false;
		if (!found)
			return false;
	}
	*gpa = memo->gpa | (linear & ~BV_PAGE_MASK);
	return true;
}

unsigned int bv_code_read(struct bv_vcpu *vcpu, u8 *bytes, unsigned int count)
{
	const struct bv_seg *cs = &vcpu->state.seg[BV_SEG_CS];
	unsigned int done = 0, cpl;
	u64 linear, gpa;

	bv_vcpu_need(vcpu, BV_ST_SEG(BV_SEG_CS) | BV_ST_SEG(BV_SEG_SS) | BV_ST_CR);
	cpl = bv_vcpu_cpl(vcpu);
	linear = cs->attr & BV_SEG_L ? vcpu->gprs.rip : (u32)(cs->base + vcpu->gprs.rip);
	while (done < count) {
		unsigned int room = BV_PAGE_SIZE - ((linear + done) & ~BV_PAGE_MASK);
		unsigned int part = count - done < room ? count - done : room;

		if (!code_translate(vcpu, linear + done, cpl, &gpa) ||
		    bv_mem_read_locked(vcpu->vm, vcpu, gpa, bytes + done, part))
			break;
		done += part;
	}
	return done;
}

static enum bv_emul_rc emul_translate(struct bv_emul *emul, u64 linear, u32 access, u64 *gpa)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);
	struct bv_walk walk;

	walk_setup(vcpu, &walk, access & BV_ACCESS_IMPLICIT ? 0 : emul->cpl);
	if (bv_walk(&walk, linear, access, gpa))
		return !l2_paging(vcpu) || bv_l2_translate(vcpu, gpa, access) ? BV_EMUL_DONE :
										BV_EMUL_AGAIN;
	if (l2_paging(vcpu) && vcpu->nested->missed)
		return BV_EMUL_AGAIN;
	return bv_emul_raise_page(emul, linear, walk.error);
}

/* ---- memory ---- */

static enum bv_emul_rc emul_fetch(struct bv_emul *emul, u64 linear, void *buffer, unsigned int size,
				  unsigned int *got)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);
	unsigned int room = BV_PAGE_SIZE - (linear & ~BV_PAGE_MASK);
	enum bv_emul_rc rc;
	u64 gpa;

	*got = size < room ? size : room;
	rc = emul_translate(emul, linear, BV_ACCESS_FETCH, &gpa);
	if (rc != BV_EMUL_DONE)
		return rc;
	return bv_mem_read_locked(vcpu->vm, vcpu, gpa, buffer, *got) ? BV_EMUL_UNHANDLED :
								       BV_EMUL_DONE;
}

/* What user space must do for the pending entry of the log. */
static enum bv_emul_rc wait_mmio(struct bv_vcpu *vcpu, u64 gpa, const void *data, unsigned int size,
				 bool write)
{
	struct bv_run *run = vcpu->run;

	run->reason = BV_RUN_MMIO;
	run->mmio.gpa = gpa;
	run->mmio.len = size;
	run->mmio.write = write;
	if (write)
		__builtin_memcpy(run->mmio.data, data, size);
	return BV_EMUL_IO;
}

/* One access to a device: at most 8 bytes, in one page. */
static enum bv_emul_rc device_access(struct bv_vcpu *vcpu, u64 gpa, void *data, unsigned int size,
				     bool write)
{
	const struct bv_intc_ops *intc = vcpu->vm->intc;
	enum bv_access_result result = BV_ACCESS_NOT_MINE;

	switch (bv_ioreplay_access(&vcpu->replay, write ? BV_IO_MMIO_WRITE : BV_IO_MMIO_READ, gpa,
				   size, 1, data)) {
	case BV_IOREPLAY_DONE:
		return BV_EMUL_DONE;
	case BV_IOREPLAY_FULL:
		return BV_EMUL_UNHANDLED;
	default:
		break;
	}
	vcpu->counter[BV_COUNT_MMIO]++;
	if (intc)
		result = write ? intc->mmio_write(vcpu, gpa, size, data) :
				 intc->mmio_read(vcpu, gpa, size, data);
	if (result == BV_ACCESS_NOT_MINE)
		result = write ? bv_bus_write(vcpu, BV_BUS_MMIO, gpa, size, data) :
				 bv_bus_read(vcpu, BV_BUS_MMIO, gpa, size, data);
	if (result == BV_ACCESS_NOT_MINE)
		return wait_mmio(vcpu, gpa, data, size, write);
	bv_ioreplay_answer(&vcpu->replay, write ? NULL : data);
	return BV_EMUL_DONE;
}

static enum bv_emul_rc device_run(struct bv_vcpu *vcpu, u64 gpa, u8 *data, unsigned int size,
				  bool write)
{
	for (unsigned int part; size; gpa += part, data += part, size -= part) {
		enum bv_emul_rc rc;

		part = size < 8 ? size : 8;
		rc = device_access(vcpu, gpa, data, part, write);
		if (rc != BV_EMUL_DONE)
			return rc;
	}
	return BV_EMUL_DONE;
}

/* Whether a page is memory, rather than a device's. */
static bool is_memory(struct bv_vcpu *vcpu, u64 gpa)
{
	struct bv_region *region = bv_region_at(&vcpu->vm->regions, gpa, &vcpu->region_hint);
	u8 byte;

	if (!region || !(region->spec.flags & BV_REGION_SPARSE))
		return region;
	return !bv_region_no_memory(region, bv_mem_read_locked(vcpu->vm, vcpu, gpa, &byte, 1));
}

static enum bv_emul_rc read_part(struct bv_vcpu *vcpu, u64 gpa, u8 *data, unsigned int size)
{
	if (!bv_mem_read_locked(vcpu->vm, vcpu, gpa, data, size))
		return BV_EMUL_DONE;
	if (is_memory(vcpu, gpa))
		return BV_EMUL_UNHANDLED; /* memory that the host has lost */
	return device_run(vcpu, gpa, data, size, false);
}

static enum bv_emul_rc write_part(struct bv_vcpu *vcpu, u64 gpa, u8 *data, unsigned int size)
{
	if (!bv_mem_write_locked(vcpu->vm, vcpu, gpa, data, size))
		return BV_EMUL_DONE;
	/* A write to read-only memory is the front's business, like a device's. */
	return device_run(vcpu, gpa, data, size, true);
}

/*
 * The physical addresses of the one or two pages of an access; both are found before anything is
 * touched.
 */
struct span {
	u64 gpa[2];
	unsigned int size[2];
};

static enum bv_emul_rc span_translate(struct bv_emul *emul, u64 linear, unsigned int size,
				      u32 access, struct span *span)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);
	unsigned int room = BV_PAGE_SIZE - (linear & ~BV_PAGE_MASK);
	enum bv_emul_rc rc = BV_EMUL_DONE;

	span->size[0] = size < room ? size : room;
	span->size[1] = size - span->size[0];
	if (emul->one_access && vcpu->one_gpa != ~0ull && !span->size[1] &&
	    !(access & BV_ACCESS_IMPLICIT) && !((vcpu->one_gpa ^ linear) & ~BV_PAGE_MASK))
		span->gpa[0] = vcpu->one_gpa;
	else
		rc = emul_translate(emul, linear, access, &span->gpa[0]);
	if (rc == BV_EMUL_DONE && span->size[1])
		rc = emul_translate(emul, linear + room, access, &span->gpa[1]);
	return rc;
}

static enum bv_emul_rc emul_read(struct bv_emul *emul, u64 linear, void *buffer, unsigned int size,
				 unsigned int access)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);
	struct span span;
	enum bv_emul_rc rc = span_translate(emul, linear, size, access, &span);

	if (rc == BV_EMUL_DONE)
		rc = read_part(vcpu, span.gpa[0], buffer, span.size[0]);
	if (rc == BV_EMUL_DONE && span.size[1])
		rc = read_part(vcpu, span.gpa[1], (u8 *)buffer + span.size[0], span.size[1]);
	return rc;
}

static enum bv_emul_rc emul_write(struct bv_emul *emul, u64 linear, const void *buffer,
				  unsigned int size, unsigned int access)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);
	struct span span;
	enum bv_emul_rc rc = span_translate(emul, linear, size, access | BV_ACCESS_WRITE, &span);
	unsigned int first;

	if (rc != BV_EMUL_DONE)
		return rc;
	if (bv_likely(!span.size[1]))
		return write_part(vcpu, span.gpa[0], (u8 *)buffer, span.size[0]);
	/*
	 * A half that is a device's comes first: should it have to wait, the other must not have
	 * changed yet.
	 */
	first = is_memory(vcpu, span.gpa[0]) ? 1 : 0;
	for (unsigned int i = 0; i < 2 && rc == BV_EMUL_DONE; i++) {
		unsigned int half = i ^ first;

		rc = write_part(vcpu, span.gpa[half], (u8 *)buffer + (half ? span.size[0] : 0),
				span.size[half]);
	}
	return rc;
}

static enum bv_emul_rc emul_cmpxchg(struct bv_emul *emul, u64 linear, const void *old,
				    const void *new_value, unsigned int size)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);
	u8 expected[16];
	struct span span;
	enum bv_emul_rc rc = span_translate(emul, linear, size, BV_ACCESS_WRITE, &span);

	if (rc != BV_EMUL_DONE)
		return rc;
	__builtin_memcpy(expected, old, size);
	if (!span.size[1] && !(span.gpa[0] & (size - 1))) {
		switch (bv_mem_cmpxchg_locked(vcpu->vm, vcpu, span.gpa[0], size, expected,
					      new_value)) {
		case 0:
			return BV_EMUL_DONE;
		case -BV_EAGAIN:
			return BV_EMUL_AGAIN;
		default:
			break;
		}
	}
	/* A device, or a split lock: no other CPU can be promised to stand still. */
	return emul_write(emul, linear, new_value, size, BV_ACCESS_WRITE);
}

static enum bv_emul_rc emul_probe(struct bv_emul *emul, u64 linear, unsigned int size,
				  unsigned int access, bool *ram)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);
	struct bv_region *region;
	enum bv_emul_rc rc;
	u64 gpa;

	(void)size;
	rc = emul_translate(emul, linear, access, &gpa);
	if (rc != BV_EMUL_DONE)
		return rc;
	region = bv_region_find(&vcpu->vm->regions, BV_GFN(gpa >> BV_PAGE_SHIFT),
				&vcpu->region_hint);
	*ram = region && !(access & BV_ACCESS_WRITE && region->spec.flags & BV_REGION_READONLY) &&
	       is_memory(vcpu, gpa);
	return BV_EMUL_DONE;
}

/* ---- ports ---- */

static enum bv_emul_rc wait_port(struct bv_vcpu *vcpu, u16 port, unsigned int size,
				 unsigned int count, const void *data, bool write)
{
	struct bv_run *run = vcpu->run;

	run->reason = BV_RUN_IO;
	run->io.port = port;
	run->io.size = size;
	run->io.count = count;
	run->io.write = write;
	if (write)
		__builtin_memcpy(vcpu->io_page, data, size * count);
	return BV_EMUL_IO;
}

static enum bv_emul_rc port_access(struct bv_emul *emul, u16 port, unsigned int size,
				   unsigned int count, void *data, bool write)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);

	switch (bv_ioreplay_access(&vcpu->replay, write ? BV_IO_PORT_WRITE : BV_IO_PORT_READ, port,
				   size, count, data)) {
	case BV_IOREPLAY_DONE:
		return BV_EMUL_DONE;
	case BV_IOREPLAY_FULL:
		return BV_EMUL_UNHANDLED;
	default:
		break;
	}
	for (unsigned int i = 0; i < count; i++) {
		u8 *item = (u8 *)data + i * size;
		enum bv_access_result result =
			write ? bv_bus_write(vcpu, BV_BUS_PORT, port, size, item) :
				bv_bus_read(vcpu, BV_BUS_PORT, port, size, item);

		/* A device of the engine answers all items or none. */
		if (result == BV_ACCESS_NOT_MINE)
			return wait_port(vcpu, port, size, count, data, write);
	}
	bv_ioreplay_answer(&vcpu->replay, write ? NULL : data);
	return BV_EMUL_DONE;
}

static enum bv_emul_rc emul_port_in(struct bv_emul *emul, u16 port, unsigned int size,
				    unsigned int count, void *buffer)
{
	return port_access(emul, port, size, count, buffer, false);
}

static enum bv_emul_rc emul_port_out(struct bv_emul *emul, u16 port, unsigned int size,
				     unsigned int count, const void *buffer)
{
	return port_access(emul, port, size, count, (void *)buffer, true);
}

/* ---- registers ---- */

static void emul_seg_get(struct bv_emul *emul, enum bv_segment seg, struct bv_seg *value)
{
	bv_vcpu_need(vcpu_of(emul), BV_ST_SEG(seg));
	*value = vcpu_of(emul)->state.seg[seg];
}

static void emul_seg_set(struct bv_emul *emul, enum bv_segment seg, const struct bv_seg *value)
{
	bv_vcpu_touch(vcpu_of(emul), BV_ST_SEG(seg));
	vcpu_of(emul)->state.seg[seg] = *value;
}

static void emul_table_get(struct bv_emul *emul, bool idt, struct bv_desc_table *value)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);

	bv_vcpu_need(vcpu, BV_ST_TABLES);
	*value = idt ? vcpu->state.idt : vcpu->state.gdt;
}

static void emul_table_set(struct bv_emul *emul, bool idt, const struct bv_desc_table *value)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);

	bv_vcpu_touch(vcpu, BV_ST_TABLES);
	*(idt ? &vcpu->state.idt : &vcpu->state.gdt) = *value;
}

static void emul_cpl_set(struct bv_emul *emul, unsigned int cpl)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);
	struct bv_seg *ss = &vcpu->state.seg[BV_SEG_SS];

	bv_vcpu_touch(vcpu, BV_ST_SEG(BV_SEG_SS));
	ss->attr = (ss->attr & ~BV_SEG_DPL) | cpl << BV_SEG_DPL_SHIFT;
}

static enum bv_emul_rc emul_cr_get(struct bv_emul *emul, unsigned int cr, u64 *value)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);

	bv_vcpu_need(vcpu, BV_ST_CR);
	switch (cr) {
	case 0:
		*value = vcpu->state.cr0;
		break;
	case 2:
		*value = vcpu->state.cr2;
		break;
	case 3:
		*value = vcpu->state.cr3;
		break;
	case 4:
		*value = vcpu->state.cr4;
		break;
	default:
		*value = bv_vcpu_cr8(vcpu);
		break;
	}
	return BV_EMUL_DONE;
}

static enum bv_emul_rc emul_cr8_set(struct bv_vcpu *vcpu, u64 value)
{
	u64 before = bv_vcpu_cr8(vcpu);

	bv_vcpu_set_cr8(vcpu, value);
	if (!vcpu->vm->intc && value < before)
		vcpu->tpr_lowered = true;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc emul_cr_set(struct bv_emul *emul, unsigned int cr, u64 value)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);
	bool good = true;

	switch (cr) {
	case 0:
		good = bv_vcpu_cr0_write(vcpu, value);
		break;
	case 2:
		bv_vcpu_touch(vcpu, BV_ST_CR);
		vcpu->state.cr2 = value;
		break;
	case 3:
		good = bv_vcpu_cr3_write(vcpu, value);
		break;
	case 4:
		good = bv_vcpu_cr4_write(vcpu, value);
		break;
	default:
		if (!(value >> 4))
			return emul_cr8_set(vcpu, value);
		good = false;
		break;
	}
	return good ? BV_EMUL_DONE : bv_emul_raise_error(emul, BV_EXC_GP, 0);
}

static enum bv_emul_rc emul_dr_get(struct bv_emul *emul, unsigned int dr, u64 *value)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);

	bv_vcpu_need(vcpu, BV_ST_DR);
	if (dr < 4)
		*value = vcpu->db[dr];
	else if (dr == 6)
		*value = vcpu->state.dr6;
	else
		*value = vcpu->debug.hard_breakpoints ? vcpu->debug_guest_dr7 : vcpu->state.dr7;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc emul_dr_set(struct bv_emul *emul, unsigned int dr, u64 value)
{
	struct bv_vcpu *vcpu = vcpu_of(emul);

	if (dr >= 6 && value >> 32)
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	bv_vcpu_touch(vcpu, BV_ST_DR);
	if (dr < 4)
		vcpu->db[dr] = value;
	else if (dr == 6)
		vcpu->state.dr6 = (value & 0x1e00full) | BV_DR6_FIXED_ONES;
	else
		*(vcpu->debug.hard_breakpoints ? &vcpu->debug_guest_dr7 : &vcpu->state.dr7) =
			(value & 0xffff2bffull) | BV_DR7_FIXED_ONES;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc emul_msr_get(struct bv_emul *emul, u32 msr, u64 *value)
{
	if (bv_msr_read(vcpu_of(emul), msr, value, false) == BV_ACCESS_DONE)
		return BV_EMUL_DONE;
	return bv_emul_raise_error(emul, BV_EXC_GP, 0);
}

static enum bv_emul_rc emul_msr_set(struct bv_emul *emul, u32 msr, u64 value)
{
	enum bv_access_result result = bv_msr_write(vcpu_of(emul), msr, value, false);

	if (result == BV_ACCESS_DONE)
		return BV_EMUL_DONE;
	return bv_emul_raise_error(emul, BV_EXC_GP, 0);
}

static void emul_syscall_get(struct bv_emul *emul, struct bv_syscall *value)
{
	const struct bv_cpu_state *state = &vcpu_of(emul)->state;

	bv_vcpu_need(vcpu_of(emul), BV_ST_SYSCALL);
	*value = (struct bv_syscall){ state->star, state->lstar, state->cstar, state->sfmask };
}

static enum bv_emul_rc emul_pmc_get(struct bv_emul *emul, u32 counter, u64 *value)
{
	(void)counter, (void)value;
	return bv_emul_raise_error(emul, BV_EXC_GP, 0);
}

static enum bv_emul_rc emul_tsc_get(struct bv_emul *emul, u64 *tsc, u32 *aux)
{
	*tsc = bv_vcpu_tsc(vcpu_of(emul));
	*aux = vcpu_of(emul)->tsc_aux;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc emul_cpuid(struct bv_emul *emul, u32 regs[4])
{
	bv_cpuid_of(vcpu_of(emul), regs[0], regs[2], regs);
	return BV_EMUL_DONE;
}

static enum bv_emul_rc emul_vec_get(struct bv_emul *emul, unsigned int reg, void *buffer,
				    unsigned int size)
{
	bv_host_vector_get(vcpu_of(emul), reg, buffer, size);
	return BV_EMUL_DONE;
}

static enum bv_emul_rc emul_vec_set(struct bv_emul *emul, unsigned int reg, const void *buffer,
				    unsigned int size, bool zero_rest)
{
	u8 whole[32] = { 0 };

	if (!zero_rest || size == 32) {
		bv_host_vector_set(vcpu_of(emul), reg, buffer, size);
		return BV_EMUL_DONE;
	}
	__builtin_memcpy(whole, buffer, size);
	bv_host_vector_set(vcpu_of(emul), reg, whole, sizeof(whole));
	return BV_EMUL_DONE;
}

#define X87_ERROR_SUMMARY 0x80

/* A pending x87 exception comes before what an MMX or waiting x87 instruction does. */
static enum bv_emul_rc emul_fpu_check(struct bv_emul *emul)
{
	u16 control, status;

	bv_host_x87_get(vcpu_of(emul), &control, &status);
	return status & X87_ERROR_SUMMARY ? bv_emul_raise(emul, BV_EXC_MF) : BV_EMUL_DONE;
}

static enum bv_emul_rc emul_mmx_get(struct bv_emul *emul, unsigned int reg, u64 *value)
{
	enum bv_emul_rc rc = emul_fpu_check(emul);

	if (rc == BV_EMUL_DONE)
		bv_host_mmx_get(vcpu_of(emul), reg, value);
	return rc;
}

static enum bv_emul_rc emul_mmx_set(struct bv_emul *emul, unsigned int reg, u64 value)
{
	enum bv_emul_rc rc = emul_fpu_check(emul);

	if (rc == BV_EMUL_DONE)
		bv_host_mmx_set(vcpu_of(emul), reg, value);
	return rc;
}

static enum bv_emul_rc emul_fpu_get(struct bv_emul *emul, enum bv_fpu_word word, u16 *value)
{
	u16 control, status;

	bv_host_x87_get(vcpu_of(emul), &control, &status);
	*value = word == BV_FPU_CONTROL ? control : status;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc emul_fpu_control(struct bv_emul *emul, u16 control)
{
	enum bv_emul_rc rc = emul_fpu_check(emul);

	if (rc == BV_EMUL_DONE)
		bv_host_x87_set_control(vcpu_of(emul), control);
	return rc;
}

static enum bv_emul_rc emul_fpu_init(struct bv_emul *emul)
{
	bv_host_x87_init(vcpu_of(emul));
	return BV_EMUL_DONE;
}

static enum bv_emul_rc emul_fpu_emms(struct bv_emul *emul)
{
	enum bv_emul_rc rc = emul_fpu_check(emul);

	if (rc == BV_EMUL_DONE)
		bv_host_x87_emms(vcpu_of(emul));
	return rc;
}

static enum bv_emul_rc emul_invlpg(struct bv_emul *emul, u64 linear)
{
	(void)linear;
	bv_vendor->tlb_flush(vcpu_of(emul));
	return BV_EMUL_DONE;
}

static enum bv_emul_rc emul_wbinvd(struct bv_emul *emul)
{
	(void)emul;
	return BV_EMUL_DONE;
}

/* What cannot be intercepted. */
#define EMUL_OPS_COMMON                                                                        \
	.fetch = emul_fetch, .read = emul_read, .write = emul_write, .cmpxchg = emul_cmpxchg,  \
	.probe = emul_probe, .seg_get = emul_seg_get, .seg_set = emul_seg_set,                 \
	.table_get = emul_table_get, .table_set = emul_table_set, .cpl_set = emul_cpl_set,     \
	.syscall_get = emul_syscall_get, .vec_get = emul_vec_get, .vec_set = emul_vec_set,     \
	.mmx_get = emul_mmx_get, .mmx_set = emul_mmx_set, .fpu_get = emul_fpu_get,             \
	.fpu_control = emul_fpu_control, .fpu_init = emul_fpu_init, .fpu_emms = emul_fpu_emms, \
	.fpu_check = emul_fpu_check

static const struct bv_emul_ops emul_ops = {
	EMUL_OPS_COMMON,	 .port_in = emul_port_in, .port_out = emul_port_out,
	.cr_get = emul_cr_get,	 .cr_set = emul_cr_set,	  .dr_get = emul_dr_get,
	.dr_set = emul_dr_set,	 .msr_get = emul_msr_get, .msr_set = emul_msr_set,
	.pmc_get = emul_pmc_get, .tsc_get = emul_tsc_get, .cpuid = emul_cpuid,
	.invlpg = emul_invlpg,	 .wbinvd = emul_wbinvd,
};

/*
 * For L2. L1 may intercept what an instruction does, and only the hardware and the vendor know. So
 * of all that can be intercepted, the emulator does what the exit at hand was about, which L1 does
 * not want to know; anything else, by an instruction that was put there meanwhile, is left to the
 * hardware.
 */
static bool l2_exit_was(struct bv_emul *emul, enum bv_exit_kind kind)
{
	return vcpu_of(emul)->exit.kind == kind;
}

static bool l2_port_was(struct bv_emul *emul, u16 port, unsigned int size, bool in)
{
	const struct bv_exit *exit = &vcpu_of(emul)->exit;

	return exit->kind == BV_EXIT_PORT && exit->port.port == port && exit->port.bytes == size &&
	       exit->port.in == in;
}

static enum bv_emul_rc l2_port_in(struct bv_emul *emul, u16 port, unsigned int size,
				  unsigned int count, void *buffer)
{
	return l2_port_was(emul, port, size, true) ? emul_port_in(emul, port, size, count, buffer) :
						     BV_EMUL_AGAIN;
}

static enum bv_emul_rc l2_port_out(struct bv_emul *emul, u16 port, unsigned int size,
				   unsigned int count, const void *buffer)
{
	return l2_port_was(emul, port, size, false) ?
		       emul_port_out(emul, port, size, count, buffer) :
		       BV_EMUL_AGAIN;
}

/* A CR that was read to be written, as by LMSW. */
static enum bv_emul_rc l2_cr_get(struct bv_emul *emul, unsigned int cr, u64 *value)
{
	return l2_exit_was(emul, BV_EXIT_CR_WRITE) && vcpu_of(emul)->nested->cr == cr ?
		       emul_cr_get(emul, cr, value) :
		       BV_EMUL_AGAIN;
}

/* See exit_entry_failed for the second kind. */
static enum bv_emul_rc l2_cr_set(struct bv_emul *emul, unsigned int cr, u64 value)
{
	struct bv_nested *nested = vcpu_of(emul)->nested;

	if (!(l2_exit_was(emul, BV_EXIT_CR_WRITE) && nested->cr == cr) &&
	    !(l2_exit_was(emul, BV_EXIT_ENTRY_FAILED) && (cr == 3 || cr == 4)))
		return BV_EMUL_AGAIN;
	if (cr != 8 || !nested->own_tpr)
		return emul_cr_set(emul, cr, value);
	if (value >> 4)
		return bv_emul_raise_error(emul, BV_EXC_GP, 0);
	nested->tpr = value;
	return BV_EMUL_DONE;
}

static enum bv_emul_rc l2_dr_get(struct bv_emul *emul, unsigned int dr, u64 *value)
{
	return l2_exit_was(emul, BV_EXIT_DR_ACCESS) ? emul_dr_get(emul, dr, value) : BV_EMUL_AGAIN;
}

static enum bv_emul_rc l2_dr_set(struct bv_emul *emul, unsigned int dr, u64 value)
{
	return l2_exit_was(emul, BV_EXIT_DR_ACCESS) ? emul_dr_set(emul, dr, value) : BV_EMUL_AGAIN;
}

static enum bv_emul_rc l2_msr_get(struct bv_emul *emul, u32 msr, u64 *value)
{
	(void)emul, (void)msr, (void)value;
	return BV_EMUL_AGAIN;
}

static enum bv_emul_rc l2_msr_set(struct bv_emul *emul, u32 msr, u64 value)
{
	(void)emul, (void)msr, (void)value;
	return BV_EMUL_AGAIN;
}

static enum bv_emul_rc l2_pmc_get(struct bv_emul *emul, u32 counter, u64 *value)
{
	(void)emul, (void)counter, (void)value;
	return BV_EMUL_AGAIN;
}

static enum bv_emul_rc l2_tsc_get(struct bv_emul *emul, u64 *tsc, u32 *aux)
{
	if (!l2_exit_was(emul, BV_EXIT_RDTSC))
		return BV_EMUL_AGAIN;
	emul_tsc_get(emul, tsc, aux);
	*tsc += bv_l2_tsc_offset(vcpu_of(emul));
	return BV_EMUL_DONE;
}

static enum bv_emul_rc l2_cpuid(struct bv_emul *emul, u32 regs[4])
{
	(void)emul, (void)regs;
	return BV_EMUL_AGAIN;
}

static enum bv_emul_rc l2_invlpg(struct bv_emul *emul, u64 linear)
{
	(void)emul, (void)linear;
	return BV_EMUL_AGAIN;
}

static enum bv_emul_rc l2_wbinvd(struct bv_emul *emul)
{
	(void)emul;
	return BV_EMUL_AGAIN;
}

static const struct bv_emul_ops l2_emul_ops = {
	EMUL_OPS_COMMON,       .port_in = l2_port_in, .port_out = l2_port_out,
	.cr_get = l2_cr_get,   .cr_set = l2_cr_set,   .dr_get = l2_dr_get,
	.dr_set = l2_dr_set,   .msr_get = l2_msr_get, .msr_set = l2_msr_set,
	.pmc_get = l2_pmc_get, .tsc_get = l2_tsc_get, .cpuid = l2_cpuid,
	.invlpg = l2_invlpg,   .wbinvd = l2_wbinvd,
};

/* ---- one instruction ---- */

static u8 code_size(const struct bv_vcpu *vcpu)
{
	const struct bv_seg *cs = &vcpu->state.seg[BV_SEG_CS];

	if (vcpu->state.efer & BV_EFER_LMA && cs->attr & BV_SEG_L)
		return BV_CODE64;
	return cs->attr & BV_SEG_DB ? BV_CODE32 : BV_CODE16;
}

static void emul_setup(struct bv_vcpu *vcpu)
{
	struct bv_emul *emul = &vcpu->emul;

	bv_vcpu_need(vcpu, BV_ST_CR | BV_ST_SEG(BV_SEG_CS) | BV_ST_SEG(BV_SEG_SS));
	emul->ops = bv_unlikely(vcpu->nesting & BV_NESTING_L2) ? &l2_emul_ops : &emul_ops;
	emul->rip = vcpu->gprs.rip;
	emul->rflags = vcpu->gprs.rflags;
	emul->cr0 = vcpu->state.cr0;
	emul->cr4 = vcpu->state.cr4;
	emul->efer = vcpu->state.efer;
	emul->cpl = bv_vcpu_cpl(vcpu);
	emul->code = code_size(vcpu);
	emul->amd = vcpu->caps.amd;
	bv_ioreplay_rewind(&vcpu->replay);
}

static void emul_done(struct bv_vcpu *vcpu)
{
	const struct bv_emul *emul = &vcpu->emul;

	vcpu->gprs.rip = emul->rip;
	vcpu->gprs.rflags = emul->rflags;
	bv_vendor->shadow_set(vcpu, emul->shadow);
	if (vcpu->debug.single_step)
		bv_exit_stepped(vcpu);
	else if (emul->trap)
		bv_event_raise(vcpu, BV_EXC_DB, false, 0, BV_DR6_BS);
}

static enum bv_exit_next emul_unhandled(struct bv_vcpu *vcpu)
{
	const u8 *b = vcpu->emul.bytes;

	bv_ioreplay_reset(&vcpu->replay);
	return bv_exit_internal(vcpu,
				"vCPU %u: cannot emulate the instruction at %#llx (gpa %#llx): "
				"%02x %02x %02x %02x %02x %02x %02x %02x",
				vcpu->index, vcpu->gprs.rip, vcpu->one_gpa, b[0], b[1], b[2], b[3],
				b[4], b[5], b[6], b[7]);
}

static enum bv_exit_next emul_finish(struct bv_vcpu *vcpu, enum bv_emul_rc rc)
{
	switch (rc) {
	case BV_EMUL_DONE:
		emul_done(vcpu);
		if (vcpu->tpr_lowered) {
			vcpu->tpr_lowered = false;
			vcpu->run->reason = BV_RUN_TPR;
			return BV_NEXT_FRONT;
		}
		return BV_NEXT_GUEST;
	case BV_EMUL_FAULT:
		/* Repetitions that were finished before have left their flags. */
		vcpu->gprs.rflags = vcpu->emul.rflags;
		bv_ioreplay_reset(&vcpu->replay);
		bv_event_raise_fault(vcpu, &vcpu->emul.fault);
		return BV_NEXT_GUEST;
	case BV_EMUL_IO:
		vcpu->gprs.rflags = vcpu->emul.rflags;
		vcpu->wait.kind = BV_WAIT_EMULATOR;
		vcpu->wait.rip = vcpu->gprs.rip;
		return BV_NEXT_FRONT;
	case BV_EMUL_AGAIN:
	case BV_EMUL_STOP:
		bv_ioreplay_reset(&vcpu->replay);
		return BV_NEXT_GUEST;
	default:
		return emul_unhandled(vcpu);
	}
}

enum bv_exit_next bv_emulate(struct bv_vcpu *vcpu, u64 one_gpa)
{
	struct bv_emul *emul = &vcpu->emul;

	vcpu->counter[BV_COUNT_EMULATED]++;
	vcpu->one_gpa = one_gpa;
	emul->bytes_count = vcpu->exit.bytes_count;
	if (emul->bytes_count)
		__builtin_memcpy(emul->bytes, vcpu->exit.bytes, sizeof(vcpu->exit.bytes));
	emul_setup(vcpu);
	return emul_finish(vcpu, bv_emul_run(emul));
}

/* ---- task switches ---- */

/* The event that led here has been delivered: its handler is the new task. */
static void task_entered(struct bv_vcpu *vcpu, const struct bv_task_switch *what)
{
	struct bv_events *events = &vcpu->events;

	vcpu->gprs.rip = vcpu->emul.rip;
	vcpu->gprs.rflags = vcpu->emul.rflags;
	bv_vendor->shadow_set(vcpu, 0);
	if (what->source == BV_TASK_IRET)
		events->nmi.masked = false;
	switch (vcpu->exit.vectoring.kind) {
	case BV_VECTORING_IRQ:
		events->interrupt.injected = false;
		break;
	case BV_VECTORING_NMI:
		events->nmi.injected = false;
		break;
	case BV_VECTORING_EXCEPTION:
		events->exception.injected = false;
		break;
	default:
		break;
	}
}

static enum bv_exit_next task_finish(struct bv_vcpu *vcpu, enum bv_emul_rc rc)
{
	if (rc == BV_EMUL_IO) /* a TSS, or a descriptor table, in a device */
		rc = BV_EMUL_UNHANDLED;
	if (rc)
		return emul_finish(vcpu, rc);
	if (vcpu->emul.trap)
		bv_event_raise(vcpu, BV_EXC_DB, false, 0, BV_DR6_BT);
	if (vcpu->debug.single_step)
		bv_exit_stepped(vcpu);
	return BV_NEXT_GUEST;
}

enum bv_exit_next bv_emulate_task_switch(struct bv_vcpu *vcpu)
{
	const struct bv_exit *exit = &vcpu->exit;
	struct bv_emul *emul = &vcpu->emul;
	struct bv_task_switch what = {
		.source = exit->task.source,
		.sel = exit->task.sel,
		.has_error =
			exit->vectoring.kind == BV_VECTORING_EXCEPTION && exit->vectoring.has_error,
		.error = exit->vectoring.error,
	};
	enum bv_emul_rc rc;

	emul_setup(vcpu);
	emul->rip = bv_exit_rip_after(vcpu, exit->length);
	rc = bv_emul_task_switch(emul, &what);
	if (what.entered)
		task_entered(vcpu, &what);
	return task_finish(vcpu, rc);
}

/* ---- the quick way ---- */

/*
 * Whether the access begins at gpa. The exit tells the first byte that is not memory: where that is
 * the first of a page, the access may have begun in the page before, which is memory.
 */
static bool quick_begins(struct bv_vcpu *vcpu, const struct bv_insn *insn, u64 gpa,
			 unsigned int size)
{
	u64 linear;

	if ((gpa & ~BV_PAGE_MASK) || size == 1)
		return true;
	linear = bv_insn_address(insn, vcpu->gprs.gpr, vcpu->gprs.rip);
	if (insn->seg >= BV_SEG_FS || insn->code != BV_CODE64) {
		bv_vcpu_need(vcpu, BV_ST_SEG(insn->seg));
		linear += vcpu->state.seg[insn->seg].base;
	}
	return !(linear & ~BV_PAGE_MASK);
}

/* Where the instruction at RIP is kept, or will be. */
static struct bv_quick *quick_of(struct bv_vcpu *vcpu)
{
	struct bv_quick *quick = vcpu->quick;

	for (; quick < vcpu->quick + BV_QUICKS; quick++)
		if (quick->rip == vcpu->gprs.rip)
			return quick;
	quick = &vcpu->quick[vcpu->quick_next++ % BV_QUICKS];
	quick->rip = vcpu->gprs.rip;
	return quick;
}

/*
 * Most device accesses are one plain MOV of a general register. The exit has told the address, and
 * the hardware has checked segment and page: the bytes are all that is missing.
 */
static bool quick_decode(struct bv_vcpu *vcpu, struct bv_quick *quick, u64 gpa,
			 struct bv_mmio *mmio)
{
	u8 bytes[BV_INSN_WINDOW];
	unsigned int count = vcpu->exit.bytes_count;

	if (count)
		__builtin_memcpy(bytes, vcpu->exit.bytes, 15);
	else
		count = bv_code_read(vcpu, bytes, 15);
	bv_vcpu_need(vcpu, BV_ST_CR | BV_ST_SEG(BV_SEG_CS));
	return bv_insn_decode_again(&quick->insn, &quick->key, bytes, count, code_size(vcpu)) ==
		       BV_DECODE_OK &&
	       bv_insn_as_mmio(&quick->insn, vcpu->gprs.gpr, mmio) &&
	       quick_begins(vcpu, &quick->insn, gpa, mmio->size) &&
	       (gpa & ~BV_PAGE_MASK) + mmio->size <= BV_PAGE_SIZE;
}

static enum bv_exit_next quick_read(struct bv_vcpu *vcpu, u8 length, u64 gpa,
				    const struct bv_mmio *mmio)
{
	const struct bv_intc_ops *intc = vcpu->vm->intc;
	enum bv_access_result result = BV_ACCESS_NOT_MINE;
	u64 data = 0;

	if (intc)
		result = intc->mmio_read(vcpu, gpa, mmio->size, &data);
	if (result == BV_ACCESS_NOT_MINE)
		result = bv_bus_read(vcpu, BV_BUS_MMIO, gpa, mmio->size, &data);
	if (result == BV_ACCESS_NOT_MINE) {
		vcpu->wait.kind = BV_WAIT_MMIO_READ;
		vcpu->wait.rip = vcpu->gprs.rip;
		vcpu->wait.length = length;
		vcpu->wait.mmio = *mmio;
		wait_mmio(vcpu, gpa, NULL, mmio->size, false);
		return BV_NEXT_FRONT;
	}
	bv_mmio_finish(mmio, vcpu->gprs.gpr, data);
	bv_exit_skip(vcpu, length);
	return BV_NEXT_GUEST;
}

/* Like an OUT, a write is over when it leaves. */
static enum bv_exit_next quick_write(struct bv_vcpu *vcpu, u8 length, u64 gpa,
				     const struct bv_mmio *mmio)
{
	const struct bv_intc_ops *intc = vcpu->vm->intc;

	bv_exit_skip(vcpu, length);
	if (intc && intc->mmio_write(vcpu, gpa, mmio->size, &mmio->value) != BV_ACCESS_NOT_MINE)
		return BV_NEXT_GUEST;
	if (bv_bus_write(vcpu, BV_BUS_MMIO, gpa, mmio->size, &mmio->value) != BV_ACCESS_NOT_MINE)
		return BV_NEXT_GUEST;
	wait_mmio(vcpu, gpa, &mmio->value, mmio->size, true);
	return BV_NEXT_FRONT;
}

enum bv_exit_next bv_emulate_mmio(struct bv_vcpu *vcpu, u64 gpa)
{
	struct bv_quick *quick = quick_of(vcpu);
	struct bv_mmio mmio;

	if (!quick_decode(vcpu, quick, gpa, &mmio))
		return bv_emulate(vcpu, gpa);
	vcpu->counter[BV_COUNT_MMIO]++;
	return mmio.write ? quick_write(vcpu, quick->insn.len, gpa, &mmio) :
			    quick_read(vcpu, quick->insn.len, gpa, &mmio);
}

static void quick_read_finish(struct bv_vcpu *vcpu)
{
	u64 data;

	__builtin_memcpy(&data, vcpu->run->mmio.data, sizeof(data));
	bv_mmio_finish(&vcpu->wait.mmio, vcpu->gprs.gpr, data);
	bv_exit_skip(vcpu, vcpu->wait.length);
}

/* ---- going on after user space has answered ---- */

static enum bv_exit_next emulator_finish(struct bv_vcpu *vcpu)
{
	struct bv_io_entry *entry = bv_ioreplay_pending(&vcpu->replay);
	enum bv_exit_next next;

	if (entry && (entry->kind == BV_IO_PORT_READ || entry->kind == BV_IO_PORT_WRITE))
		bv_ioreplay_answer(&vcpu->replay,
				   entry->kind == BV_IO_PORT_READ ? vcpu->io_page : NULL);
	else if (entry)
		bv_ioreplay_answer(&vcpu->replay,
				   entry->kind == BV_IO_MMIO_READ ? vcpu->run->mmio.data : NULL);
	vcpu->exit.bytes_count = 0;
	/*
	 * Where something waits, a string instruction that is all device accesses must not go on.
	 */
	if (__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) || vcpu->run->immediate_exit)
		vcpu->emul.repeat_max = 1;
	next = bv_emulate(vcpu, vcpu->one_gpa);
	vcpu->emul.repeat_max = 0;
	return next;
}

enum bv_exit_next bv_wait_finish(struct bv_vcpu *vcpu)
{
	enum bv_exit_next next = BV_NEXT_GUEST;
	enum bv_io_wait kind = vcpu->wait.kind;

	bv_host_rwsem_read(&vcpu->vm->mem_lock);
	switch (kind) {
	case BV_WAIT_PORT_IN:
		bv_port_in_finish(vcpu);
		break;
	case BV_WAIT_MMIO_READ:
		quick_read_finish(vcpu);
		break;
	case BV_WAIT_MSR_READ:
	case BV_WAIT_MSR_WRITE:
		bv_msr_finish(vcpu);
		break;
	case BV_WAIT_HYPERCALL:
		vcpu->gprs.gpr[BV_RAX] = vcpu->run->hypercall.result;
		break;
	default:
		break;
	}
	vcpu->wait.kind = BV_WAIT_NOTHING;
	if (kind == BV_WAIT_EMULATOR)
		next = emulator_finish(vcpu);
	bv_host_rwsem_read_done(&vcpu->vm->mem_lock);
	return next;
}
