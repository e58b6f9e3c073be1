// SPDX-License-Identifier: GPL-2.0-or-later
/* Fuzzes the guest page walk: any tables, any mode, any access. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bv/errno.h"
#include "x86/walk.h"

#define REQUIRE(condition) ((condition) ? (void)0 : broken(__LINE__, #condition))

static void broken(int line, const char *condition)
{
	fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, line, condition);
	abort();
}

#define MEMORY_SIZE 0x8000u

struct input {
	u64 gva;
	u64 cr3;
	u32 cr0;
	u32 cr4;
	u32 efer;
	u32 rflags;
	u32 pkru;
	u8 access;
	u8 cpl;
	u8 phys_bits;
	u8 contended;
	u64 entries[];
};

static u8 memory[MEMORY_SIZE];
static unsigned int changes, contended;

static bool memory_read(void *owner, u64 gpa, void *entry, unsigned int bytes)
{
	(void)owner;
	REQUIRE(!(gpa & (bytes - 1)) && (bytes == 4 || bytes == 8));
	if (gpa > MEMORY_SIZE - bytes)
		return false;
	memcpy(entry, memory + gpa, bytes);
	return true;
}

static int memory_cmpxchg(void *owner, u64 gpa, u64 *old, u64 new_value, unsigned int bytes)
{
	(void)owner;
	REQUIRE(gpa <= MEMORY_SIZE - bytes);
	if (contended) {
		contended--;
		return -BV_EAGAIN;
	}
	REQUIRE(!memcmp(memory + gpa, old, bytes));
	/* nothing but accessed and dirty is ever set, nothing cleared */
	REQUIRE((*old & ~new_value) == 0 && ((*old ^ new_value) & ~(BV_PTE_A | BV_PTE_D)) == 0);
	memcpy(memory + gpa, &new_value, bytes);
	changes++;
	return 0;
}

/* The tables lie over each other in 8 pages; entries repeat so that most indices find one. */
static void fill(const struct input *input, size_t count)
{
	for (size_t at = 0; at < MEMORY_SIZE / 8; at++) {
		u64 entry = count ? input->entries[at % count] : 0;

		if (entry & BV_BIT(62)) /* bring the address into memory */
			entry &= ~0x000fffffffff8000ull;
		memcpy(memory + at * 8, &entry, 8);
	}
}

/*
 * In PAE mode the first level's entries have no accessed bit: one that is also an entry of another
 * level becomes invalid when that is marked. Tables that lie over each other so are left out.
 */
static bool is_pae(const struct bv_walk *walk)
{
	return (walk->cr4 & BV_CR4_PAE) && !(walk->efer & BV_EFER_LMA);
}

static void check_again(struct bv_walk *walk, const struct input *input, u64 first)
{
	u64 gpa = 0;

	changes = 0;
	if (is_pae(walk) && !bv_walk(walk, input->gva, input->access, &gpa))
		return;
	REQUIRE(bv_walk(walk, input->gva, input->access, &gpa) && gpa == first && !changes);
	walk->peek = true;
	REQUIRE(bv_walk(walk, input->gva, input->access, &gpa) && gpa == first && !changes);
	REQUIRE(!(walk->cr0 & BV_CR0_PG) || (gpa & 0xfff) == (input->gva & 0xfff));
	REQUIRE(gpa < BV_BIT(52));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct bv_walk_ops ops = { .read = memory_read, .cmpxchg = memory_cmpxchg };
	static u64 copy[512];
	struct input *input = (struct input *)copy;
	struct bv_walk walk;
	u64 gpa = 0;

	if (size < sizeof(*input) || size > sizeof(copy))
		return 0;
	memcpy(copy, data, size);
	fill(input, (size - sizeof(*input)) / 8);
	walk = (struct bv_walk){ .cr0 = input->cr0,
				 .cr3 = input->cr3 & 0x7fff,
				 .cr4 = input->cr4,
				 .efer = input->efer,
				 .rflags = input->rflags,
				 .pkru = input->pkru,
				 .cpl = input->cpl & 3,
				 .phys_bits = (u8)(36 + input->phys_bits % 17),
				 .ops = &ops };
	contended = input->contended;
	changes = 0;
	if (bv_walk(&walk, input->gva, input->access, &gpa)) {
		contended = 0;
		bv_walk(&walk, input->gva, input->access, &gpa);
		check_again(&walk, input, gpa);
	} else {
		REQUIRE(!(walk.error & ~0x3fu));
		REQUIRE((walk.error & BV_PF_PRESENT) || !(walk.error & BV_PF_RESERVED));
	}
	return 0;
}
