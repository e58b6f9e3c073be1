/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* interim */
#include "x86/walk.h"

bool bv_walk(struct bv_walk *w, u64 gva, u32 access, u64 *gpa)
{
	bool pae = w->cr4 & BV_CR4_PAE, lm = w->efer & BV_EFER_LMA, nx = w->efer & BV_EFER_NXE;
	bool write = access & (BV_ACCESS_WRITE | BV_ACCESS_RMW), fetch = access & BV_ACCESS_FETCH;
	bool user = w->cpl == 3 && !(access & BV_ACCESS_IMPLICIT);
	unsigned int bits = pae ? 9 : 10, size = pae ? 8 : 4, level, top;
	u64 table, allow = BV_PTE_W | BV_PTE_U, deny = 0, entry, at, mask;

	if (!(w->cr0 & BV_CR0_PG)) {
		*gpa = gva;
		return true;
	}
	w->error = (write ? BV_PF_WRITE : 0) | (user ? BV_PF_USER : 0) | (fetch && (nx || w->cr4 & BV_CR4_SMEP) ? BV_PF_FETCH : 0);
	top = lm ? (w->cr4 & BV_CR4_LA57 ? 5 : 4) : pae ? 3 : 2;
	table = lm ? w->cr3 & 0x000ffffffffff000ull : pae ? w->cr3 & 0xffffffe0ull : w->cr3 & 0xfffff000ull;
	for (level = top;; level--) {
		at = table + (((gva >> (12 + (level - 1) * bits)) & ((1u << bits) - 1)) & (pae && !lm && level == 3 ? 3 : ~0u)) * size;
		entry = 0;
		if (!w->ops->read(w->owner, at, &entry, size))
			return false;
		if (!(entry & BV_PTE_P))
			return false;
		if (pae && !lm && level == 3) {
			table = entry & 0x000ffffffffff000ull;
			continue;
		}
		if (size == 8 && !nx && entry & BV_PTE_NX) {
			w->error |= BV_PF_PRESENT | BV_PF_RESERVED;
			return false;
		}
		allow &= entry;
		deny |= entry & (size == 8 ? BV_PTE_NX : 0);
		if (level == 1 || (entry & BV_PTE_PS && level <= 3 && (pae || w->cr4 & BV_CR4_PSE)))
			break;
		if (!(entry & BV_PTE_A)) {
			u64 old = entry;
			w->ops->cmpxchg(w->owner, at, &old, entry | BV_PTE_A, size);
		}
		table = size == 8 ? entry & 0x000ffffffffff000ull : entry & 0xfffff000ull;
	}
	w->error |= BV_PF_PRESENT;
	if (fetch && (deny & BV_PTE_NX))
		return false;
	if (user && !(allow & BV_PTE_U))
		return false;
	if (!user && allow & BV_PTE_U) {
		if (fetch && w->cr4 & BV_CR4_SMEP)
			return false;
		if (!fetch && w->cr4 & BV_CR4_SMAP && (access & BV_ACCESS_IMPLICIT || !(w->rflags & BV_RFLAGS_AC)))
			return false;
	}
	if (write && !(allow & BV_PTE_W) && (user || w->cr0 & BV_CR0_WP))
		return false;
	if ((entry & (BV_PTE_A | (write ? BV_PTE_D : 0))) != (BV_PTE_A | (write ? BV_PTE_D : 0))) {
		u64 old = entry;
		w->ops->cmpxchg(w->owner, at, &old, entry | BV_PTE_A | (write ? BV_PTE_D : 0), size);
	}
	mask = (1ull << (12 + (level - 1) * bits)) - 1;
	*gpa = ((size == 8 ? entry & 0x000ffffffffff000ull : (entry & 0xfffff000ull) | (level == 2 ? (entry & 0x1fe000ull) << 19 : 0)) & ~mask) | (gva & mask);
	return true;
}
