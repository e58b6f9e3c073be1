/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory on Linux: the memory of an ordinary process. Frames are found by get_user_pages and
 * not held: the MMU notifier tells when Linux wants one back, so that swapping, migration, KSM,
 * huge pages and balloons work as for any process.
 *
 * A page is dirty for Linux from the moment when it was made writable for us (bv_host_frame_put),
 * and when Linux cleans it, it calls the notifier first.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/preempt.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/pgtable.h>

#include "bv/mem.h"
#include "fronts/kvm/os.h"
#include "hosts/linux/compat/compat.h"
#include "hosts/linux/host.h"

/* ---- the notifier ---- */

static int notifier_begin(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct bv_linux_vm *own = container_of(notifier, struct bv_linux_vm, notifier);

	bv_mem_invalidate_begin(own->vm, range->start, range->end);
	return 0;
}

static void notifier_end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct bv_linux_vm *own = container_of(notifier, struct bv_linux_vm, notifier);

	bv_mem_invalidate_end(own->vm, range->start, range->end);
}

static int notifier_age(struct mmu_notifier *notifier, struct mm_struct *mm, unsigned long start,
			unsigned long end)
{
	return bv_mem_young(container_of(notifier, struct bv_linux_vm, notifier)->vm, start, end,
			    true);
}

static int notifier_young(struct mmu_notifier *notifier, struct mm_struct *mm,
			  unsigned long address)
{
	return bv_mem_young(container_of(notifier, struct bv_linux_vm, notifier)->vm, address,
			    address + PAGE_SIZE, false);
}

static void notifier_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	bv_mem_release_all(container_of(notifier, struct bv_linux_vm, notifier)->vm);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = notifier_begin,
	.invalidate_range_end = notifier_end,
	.clear_flush_young = notifier_age,
	.clear_young = notifier_age,
	.test_young = notifier_young,
	.release = notifier_release,
};

/* ---- the host's part of a VM ---- */

void *bvk_host_vm_new(void)
{
	struct bv_linux_vm *own = kzalloc(sizeof(*own), GFP_KERNEL_ACCOUNT);

	if (!own)
		return NULL;
	own->mm = current->mm;
	mmgrab(own->mm);
	return own;
}

int bvk_host_vm_start(void *host_vm, struct bv_vm *vm)
{
	struct bv_linux_vm *own = host_vm;

	own->vm = vm;
	own->notifier.ops = &notifier_ops;
	return mmu_notifier_register(&own->notifier, own->mm);
}

void bvk_host_vm_stop(void *host_vm)
{
	struct bv_linux_vm *own = host_vm;

	mmu_notifier_unregister(&own->notifier, own->mm);
	bv_mem_release_all(own->vm);
}

void bvk_host_vm_free(void *host_vm)
{
	struct bv_linux_vm *own = host_vm;

	mmdrop(own->mm);
	kfree(own);
}

bool bvk_host_vm_is_ours(void *host_vm)
{
	return ((struct bv_linux_vm *)host_vm)->mm == current->mm;
}

/* ---- frames ---- */

/* How large a block of the process's own page table maps the address: 0, 9 or 18. */
static u8 mapping_order(struct mm_struct *mm, unsigned long address)
{
	unsigned long flags;
	u8 order = 0;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	/*
	 * Page tables are freed only after an interrupt to every CPU: with interrupts off they
	 * stay.
	 */
	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm, address));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, address));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, address));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (bv_compat_pud_leaf(pud)) {
		order = PUD_SHIFT - PAGE_SHIFT;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, address));
	if (pmd_present(pmd) && bv_compat_pmd_leaf(pmd))
		order = PMD_SHIFT - PAGE_SHIFT;
out:
	local_irq_restore(flags);
	return order;
}

int bv_host_frame_get(struct bv_vm *vm, u64 host_addr, bool write, struct bv_host_frame *frame)
{
	struct page *page = NULL;
	long got;

	/* Most pages are there and writable. */
	frame->writable = true;
	got = get_user_pages_fast_only(host_addr, 1, FOLL_WRITE, &page);
	if (got != 1) {
		got = get_user_pages_unlocked(host_addr, 1, &page,
					      FOLL_HWPOISON | (write ? FOLL_WRITE : 0));
		frame->writable = write;
	}
	if (got != 1) {
		if (signal_pending(current))
			return -BV_EINTR;
		return got == -EHWPOISON ? -BV_EIO : got == -ENOMEM ? -BV_ENOMEM : -BV_EFAULT;
	}
	frame->mfn = BV_MFN(page_to_pfn(page));
	frame->order = PageCompound(page) ? mapping_order(bv_linux_vm_of(vm)->mm, host_addr) : 0;
	frame->hold = page;
	return 0;
}

/*
 * A page that is swapped can be writable and clean: an anonymous one swapped in for a read, or
 * given up with MADV_FREE; one of shared memory that was only read. The quick way to the frame
 * leaves it so, and Linux would drop it, with what the guest writes, where it should swap it out.
 * Whether the guest has written does not matter: it can without another fault. The reference that
 * we still hold keeps the page from being dropped meanwhile. Pages of files on disks need nothing:
 * where they are writable they are dirty.
 */
void bv_host_frame_put(struct bv_host_frame *frame, bool dirtied)
{
	struct page *page = frame->hold;

	if (frame->writable && !PageDirty(page) &&
	    (PageAnon(page) || folio_test_swapbacked(page_folio(page))))
		set_page_dirty(page);
	put_page(page);
}

/* ---- copies ---- */

int bv_host_read(struct bv_vm *vm, u64 host_addr, void *to, size_t bytes)
{
	const void __user *from = (const void __user *)host_addr;

	/* Instructions and page-table entries: the sizes for which a single access is quickest. */
	if (likely(bytes == 8 && !(host_addr & 7)))
		return get_user(*(u64 *)to, (const u64 __user *)from) ? -BV_EFAULT : 0;
	if (!access_ok(from, bytes))
		return -BV_EFAULT;
	return raw_copy_from_user(to, from, bytes) ? -BV_EFAULT : 0;
}

int bv_host_write(struct bv_vm *vm, u64 host_addr, const void *from, size_t bytes)
{
	void __user *to = (void __user *)host_addr;

	if (!access_ok(to, bytes))
		return -BV_EFAULT;
	return raw_copy_to_user(to, from, bytes) ? -BV_EFAULT : 0;
}

/* 16 bytes have no user-access form: through the page itself. */
static int cmpxchg16(u64 host_addr, u64 *old, const u64 *new)
{
	struct page *page;
	bool same;
	u64 *at;

	if (get_user_pages_unlocked(host_addr, 1, &page, FOLL_WRITE) != 1)
		return -BV_EFAULT;
	at = kmap_local_page(page) + offset_in_page(host_addr);
	asm volatile("lock cmpxchg16b %1"
		     : "=@ccz"(same), "+m"(*(u64(*)[2])at), "+a"(old[0]), "+d"(old[1])
		     : "b"(new[0]), "c"(new[1])
		     : "memory");
	kunmap_local(at);
	set_page_dirty_lock(page);
	put_page(page);
	return same ? 0 : -BV_EAGAIN;
}

/* The kernel's macro is 0 where it exchanged, 1 where not, -EFAULT. */
#define CMPXCHG_USER(type)                                                                        \
	static int cmpxchg_##type(u64 host_addr, type *old, type new_value)                       \
	{                                                                                         \
		int failed = __try_cmpxchg_user((type __user *)host_addr, old, new_value, fault); \
                                                                                                  \
		return !failed ? 0 : failed > 0 ? -BV_EAGAIN : -BV_EFAULT;                        \
	}

CMPXCHG_USER(u8)
CMPXCHG_USER(u16)
CMPXCHG_USER(u32)
CMPXCHG_USER(u64)

int bv_host_cmpxchg(struct bv_vm *vm, u64 host_addr, unsigned int bytes, void *old,
		    const void *new_value)
{
	if (!access_ok((void __user *)host_addr, bytes))
		return -BV_EFAULT;
	switch (bytes) {
	case 1:
		return cmpxchg_u8(host_addr, old, *(const u8 *)new_value);
	case 2:
		return cmpxchg_u16(host_addr, old, *(const u16 *)new_value);
	case 4:
		return cmpxchg_u32(host_addr, old, *(const u32 *)new_value);
	case 8:
		return cmpxchg_u64(host_addr, old, *(const u64 *)new_value);
	default:
		return cmpxchg16(host_addr, old, new_value);
	}
}

int bv_host_copy_in(void *to, u64 user_addr, size_t bytes)
{
	return copy_from_user(to, (const void __user *)user_addr, bytes) ? -BV_EFAULT : 0;
}

int bv_host_copy_out(u64 user_addr, const void *from, size_t bytes)
{
	return copy_to_user((void __user *)user_addr, from, bytes) ? -BV_EFAULT : 0;
}
