// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest page walk against tables made by hand, in every paging mode, and every way to be
 * refused.
 */
#include "bv/errno.h"
#include "test.h"
#include "x86/walk.h"

#define MEMORY_SIZE 0x10000u
#define CR3 0x1000u

/* Tables at 1000 (top), 2000, 3000, 4000, 5000: one a level, all indices as in GVA. */
static u8 memory[MEMORY_SIZE];
static unsigned int cmpxchgs, contended;

static bool memory_read(void *owner, u64 gpa, void *entry, unsigned int bytes)
{
	(void)owner;
	if (gpa > MEMORY_SIZE - bytes)
		return false;
	memcpy(entry, memory + gpa, bytes);
	return true;
}

static int memory_cmpxchg(void *owner, u64 gpa, u64 *old, u64 new_value, unsigned int bytes)
{
	(void)owner;
	if (gpa > MEMORY_SIZE - bytes)
		return -BV_EFAULT;
	cmpxchgs++;
	if (contended) {
		contended--;
		return -BV_EAGAIN;
	}
	if (memcmp(memory + gpa, old, bytes))
		return -BV_EAGAIN;
	memcpy(memory + gpa, &new_value, bytes);
	return 0;
}

static const struct bv_walk_ops memory_ops = { .read = memory_read, .cmpxchg = memory_cmpxchg };

static void set(u64 address, u64 entry, unsigned int bytes)
{
	memcpy(memory + address, &entry, bytes);
}

static u64 get(u64 address)
{
	u64 entry;

	memcpy(&entry, memory + address, 8);
	return entry;
}

static struct bv_walk start(u64 cr4, u64 efer)
{
	memset(memory, 0, sizeof(memory));
	cmpxchgs = contended = 0;
	return (struct bv_walk){ .cr0 = BV_CR0_PG | BV_CR0_PE | BV_CR0_WP,
				 .cr3 = CR3,
				 .cr4 = cr4,
				 .efer = efer,
				 .phys_bits = 40,
				 .ops = &memory_ops };
}

#define GVA 0x0000123456789abcull
#define PML4 (CR3 + 8 * (GVA >> 39 & 511))
#define PDP (0x2000 + 8 * (GVA >> 30 & 511))
#define PD (0x3000 + 8 * (GVA >> 21 & 511))
#define PT (0x4000 + 8 * (GVA >> 12 & 511))
#define ALL (BV_PTE_P | BV_PTE_W | BV_PTE_U)
#define LONG (BV_EFER_LMA | BV_EFER_LME | BV_EFER_NXE)

static struct bv_walk start_long(void)
{
	struct bv_walk walk = start(BV_CR4_PAE, LONG);

	set(PML4, 0x2000 | ALL, 8);
	set(PDP, 0x3000 | ALL, 8);
	set(PD, 0x4000 | ALL, 8);
	set(PT, 0x765432000 | ALL, 8);
	return walk;
}

#define NONE (~0u)

/* The error code of an access, or NONE. */
static u32 try(struct bv_walk *walk, u64 gva, unsigned int cpl, u32 access)
{
	u64 gpa;

	walk->cpl = (u8)cpl;
	return bv_walk(walk, gva, access, &gpa) ? NONE : walk->error;
}

TEST(without_paging_addresses_are_the_same)
{
	struct bv_walk walk = { .cr0 = BV_CR0_PE };
	u64 gpa = 0;

	CHECK(bv_walk(&walk, 0x12345678, BV_ACCESS_WRITE, &gpa));
	CHECK_EQ(gpa, 0x12345678);
}

TEST(four_levels_translate)
{
	struct bv_walk walk = start_long();
	u64 gpa = 0;

	CHECK(bv_walk(&walk, GVA, 0, &gpa));
	CHECK_EQ(gpa, 0x765432abc);
	CHECK_EQ(walk.page_shift, 12);
	CHECK(walk.writable && walk.user);
}

TEST(five_levels_translate)
{
	struct bv_walk walk = start_long();
	u64 gpa = 0;

	walk.cr4 |= BV_CR4_LA57;
	walk.cr3 = 0x8000;
	set(0x8000 + 8 * 0x1f0, CR3 | ALL, 8);
	CHECK(bv_walk(&walk, GVA | 0xfff0ull << 48, 0, &gpa));
	CHECK_EQ(gpa, 0x765432abc);
}

TEST(large_pages_translate)
{
	struct bv_walk walk = start_long();
	u64 gpa = 0;

	set(PD, 0x765400000 | ALL | BV_PTE_PS, 8);
	CHECK(bv_walk(&walk, GVA, 0, &gpa));
	CHECK_EQ(gpa, 0x765400000 | (GVA & 0x1fffff));
	CHECK_EQ(walk.page_shift, 21);
	set(PDP, 0x740000000 | ALL | BV_PTE_PS | BV_BIT(12), 8); /* with PAT */
	CHECK(bv_walk(&walk, GVA, 0, &gpa));
	CHECK_EQ(gpa, 0x740000000 | (GVA & 0x3fffffff));
	CHECK_EQ(walk.page_shift, 30);
}

TEST(legacy_tables_translate)
{
	struct bv_walk walk = start(0, 0);
	u64 gpa = 0;

	set(CR3 + 4 * 0x159, 0x2000 | ALL, 4);
	set(0x2000 + 4 * 0x389, 0xabcde000 | ALL, 4);
	CHECK(bv_walk(&walk, 0x56789abc, 0, &gpa));
	CHECK_EQ(gpa, 0xabcdeabc);
	/* PS means nothing without CR4.PSE */
	set(CR3 + 4 * 0x159, 0x2000 | ALL | BV_PTE_PS, 4);
	CHECK(bv_walk(&walk, 0x56789abc, 0, &gpa));
	CHECK_EQ(gpa, 0xabcdeabc);
	walk.cr4 = BV_CR4_PSE;
	set(CR3 + 4 * 0x159, 0x9c400000 | 0x24000 | ALL | BV_PTE_PS, 4); /* bits 32-39: 12h */
	CHECK(bv_walk(&walk, 0x56789abc, 0, &gpa));
	CHECK_EQ(gpa, 0x129c400000 | (0x56789abc & 0x3fffff));
	CHECK_EQ(walk.page_shift, 22);
	set(CR3 + 4 * 0x159, 0x9c600000 | ALL | BV_PTE_PS, 4);
	CHECK_EQ(try(&walk, 0x56789abc, 0, 0), BV_PF_PRESENT | BV_PF_RESERVED);
}

TEST(pae_tables_translate)
{
	struct bv_walk walk = start(BV_CR4_PAE, BV_EFER_NXE);
	u64 pdpte[4] = { 0, 0x5000 | BV_PTE_P, 0, 0 };
	u64 gpa = 0;

	walk.cr3 = 0x1020;
	set(0x1028, 0x3000 | BV_PTE_P, 8);
	set(0x3000 + 8 * 0xb3, 0x4000 | ALL, 8);
	set(0x4000 + 8 * 0x189, 0x765432000 | ALL | BV_PTE_NX, 8);
	CHECK(bv_walk(&walk, 0x56789abc, 0, &gpa));
	CHECK_EQ(gpa, 0x765432abc);
	CHECK_EQ(try(&walk, 0x56789abc, 0, BV_ACCESS_FETCH), BV_PF_PRESENT | BV_PF_FETCH);
	set(0x3000 + 8 * 0xb3, 0x765400000 | ALL | BV_PTE_PS, 8);
	CHECK(bv_walk(&walk, 0x56789abc, 0, &gpa));
	CHECK_EQ(gpa, 0x765400000 | (0x56789abc & 0x1fffff));
	/* entries that were loaded earlier win over memory */
	walk.pdpte = pdpte;
	set(0x5000 + 8 * 0xb3, 0x123400000 | ALL | BV_PTE_PS, 8);
	CHECK(bv_walk(&walk, 0x56789abc, 0, &gpa));
	CHECK_EQ(gpa, 0x123400000 | (0x56789abc & 0x1fffff));
	/* the top level has no W and U, and bits 1, 2, 5-8 are reserved */
	walk.pdpte = NULL;
	set(0x1028, 0x3000 | BV_PTE_P | BV_PTE_W, 8);
	CHECK_EQ(try(&walk, 0x56789abc, 0, 0), BV_PF_PRESENT | BV_PF_RESERVED);
	set(0x1028, 0, 8);
	CHECK_EQ(try(&walk, 0x56789abc, 3, 0), BV_PF_USER);
}

TEST(an_entry_that_is_not_present_ends_the_walk_at_any_level)
{
	static const u64 entries[] = { PML4, PDP, PD, PT };

	for (unsigned int at = 0; at < 4; at++) {
		struct bv_walk walk = start_long();

		set(entries[at], get(entries[at]) & ~BV_PTE_P, 8);
		CHECK_EQ(try(&walk, GVA, 0, 0), 0);
		CHECK_EQ(try(&walk, GVA, 3, BV_ACCESS_WRITE), BV_PF_USER | BV_PF_WRITE);
		CHECK_EQ(try(&walk, GVA, 3, BV_ACCESS_FETCH), BV_PF_USER | BV_PF_FETCH);
		CHECK_EQ(try(&walk, GVA, 3, BV_ACCESS_IMPLICIT), 0);
	}
}

TEST(tables_outside_memory_are_not_present)
{
	struct bv_walk walk = start_long();

	set(PD, 0x7000000 | ALL, 8);
	CHECK_EQ(try(&walk, GVA, 0, 0), 0);
}

TEST(reserved_bits_are_found_at_any_level)
{
	static const u64 entries[] = { PML4, PDP, PD, PT };
	const u32 reserved = BV_PF_PRESENT | BV_PF_RESERVED;

	for (unsigned int at = 0; at < 4; at++) {
		struct bv_walk walk = start_long();

		set(entries[at], get(entries[at]) | BV_BIT(40), 8);
		CHECK_EQ(try(&walk, GVA, 0, 0), reserved);
		walk.phys_bits = 41;
		set(PML4, get(PML4) & ~BV_BIT(40), 8);
		walk = start_long();
		walk.efer &= ~BV_EFER_NXE;
		CHECK_EQ(try(&walk, GVA, 0, 0), NONE);
		set(entries[at], get(entries[at]) | BV_PTE_NX, 8);
		CHECK_EQ(try(&walk, GVA, 3, BV_ACCESS_WRITE), reserved | BV_PF_USER | BV_PF_WRITE);
		/* without NX and SMEP there is no instruction bit */
		CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_FETCH), reserved);
	}
}

TEST(large_pages_have_reserved_bits)
{
	struct bv_walk walk = start_long();
	const u32 reserved = BV_PF_PRESENT | BV_PF_RESERVED;

	set(PD, 0x765400000 | ALL | BV_PTE_PS | BV_BIT(13), 8);
	CHECK_EQ(try(&walk, GVA, 0, 0), reserved);
	set(PDP, 0x740000000 | ALL | BV_PTE_PS | BV_BIT(29), 8);
	CHECK_EQ(try(&walk, GVA, 0, 0), reserved);
	set(PML4, 0x2000 | ALL | BV_PTE_PS, 8);
	CHECK_EQ(try(&walk, GVA, 0, 0), reserved);
}

TEST(user_code_needs_u_at_every_level)
{
	static const u64 entries[] = { PML4, PDP, PD, PT };

	for (unsigned int at = 0; at < 4; at++) {
		struct bv_walk walk = start_long();

		CHECK_EQ(try(&walk, GVA, 3, 0), NONE);
		set(entries[at], get(entries[at]) & ~BV_PTE_U, 8);
		CHECK_EQ(try(&walk, GVA, 3, 0), BV_PF_PRESENT | BV_PF_USER);
		CHECK_EQ(try(&walk, GVA, 3, BV_ACCESS_RMW),
			 BV_PF_PRESENT | BV_PF_USER | BV_PF_WRITE);
		CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_WRITE), NONE);
		CHECK_EQ(try(&walk, GVA, 3, BV_ACCESS_IMPLICIT), NONE);
	}
}

TEST(writes_need_w_at_every_level)
{
	static const u64 entries[] = { PML4, PDP, PD, PT };

	for (unsigned int at = 0; at < 4; at++) {
		struct bv_walk walk = start_long();

		set(entries[at], get(entries[at]) & ~BV_PTE_W, 8);
		CHECK_EQ(try(&walk, GVA, 3, 0), NONE);
		CHECK_EQ(try(&walk, GVA, 3, BV_ACCESS_WRITE),
			 BV_PF_PRESENT | BV_PF_USER | BV_PF_WRITE);
		CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_WRITE), BV_PF_PRESENT | BV_PF_WRITE);
		walk.cr0 &= ~BV_CR0_WP;
		CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_WRITE), NONE);
		CHECK_EQ(try(&walk, GVA, 3, BV_ACCESS_WRITE),
			 BV_PF_PRESENT | BV_PF_USER | BV_PF_WRITE);
	}
}

TEST(no_execute_counts_at_every_level)
{
	static const u64 entries[] = { PML4, PDP, PD, PT };

	for (unsigned int at = 0; at < 4; at++) {
		struct bv_walk walk = start_long();

		CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_FETCH), NONE);
		set(entries[at], get(entries[at]) | BV_PTE_NX, 8);
		CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_FETCH), BV_PF_PRESENT | BV_PF_FETCH);
		CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_WRITE), NONE);
	}
}

TEST(smep_and_smap_keep_the_supervisor_off_user_pages)
{
	struct bv_walk walk = start_long();

	walk.cr4 |= BV_CR4_SMEP;
	CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_FETCH), BV_PF_PRESENT | BV_PF_FETCH);
	CHECK_EQ(try(&walk, GVA, 3, BV_ACCESS_FETCH), NONE);
	CHECK_EQ(try(&walk, GVA, 0, 0), NONE);
	walk.cr4 |= BV_CR4_SMAP;
	CHECK_EQ(try(&walk, GVA, 0, 0), BV_PF_PRESENT);
	CHECK_EQ(try(&walk, GVA, 3, 0), NONE);
	walk.rflags = BV_RFLAGS_AC;
	CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_WRITE), NONE);
	CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_IMPLICIT), BV_PF_PRESENT);
	CHECK_EQ(try(&walk, GVA, 3, BV_ACCESS_IMPLICIT), BV_PF_PRESENT);
	set(PD, get(PD) & ~BV_PTE_U, 8);
	walk.rflags = 0;
	CHECK_EQ(try(&walk, GVA, 0, 0), NONE);
	CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_FETCH), NONE);
}

TEST(protection_keys_guard_user_pages)
{
	struct bv_walk walk = start_long();
	const u32 key = BV_PF_PRESENT | BV_PF_PKEY;

	set(PT, get(PT) | 5ull << BV_PTE_PKEY_SHIFT, 8);
	walk.pkru = 1u << 10;
	CHECK_EQ(try(&walk, GVA, 3, 0), NONE);
	walk.cr4 |= BV_CR4_PKE;
	CHECK_EQ(try(&walk, GVA, 3, 0), key | BV_PF_USER);
	CHECK_EQ(try(&walk, GVA, 0, 0), key);
	CHECK_EQ(try(&walk, GVA, 3, BV_ACCESS_FETCH), NONE);
	walk.pkru = 2u << 10;
	CHECK_EQ(try(&walk, GVA, 3, 0), NONE);
	CHECK_EQ(try(&walk, GVA, 3, BV_ACCESS_WRITE), key | BV_PF_USER | BV_PF_WRITE);
	CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_WRITE), key | BV_PF_WRITE);
	walk.cr0 &= ~BV_CR0_WP;
	CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_WRITE), NONE);
	walk.cr0 |= BV_CR0_WP;
	set(PT, get(PT) & ~BV_PTE_U, 8);
	CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_WRITE), NONE);
}

TEST(accessed_and_dirty_bits_are_set)
{
	struct bv_walk walk = start_long();

	CHECK_EQ(try(&walk, GVA, 0, 0), NONE);
	CHECK(get(PML4) & get(PDP) & get(PD) & get(PT) & BV_PTE_A);
	CHECK(!((get(PML4) | get(PDP) | get(PD) | get(PT)) & BV_PTE_D));
	CHECK_EQ(cmpxchgs, 4);
	CHECK_EQ(try(&walk, GVA, 0, 0), NONE);
	CHECK_EQ(cmpxchgs, 4);
	CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_RMW), NONE);
	CHECK(get(PT) & BV_PTE_D);
	CHECK(!(get(PD) & BV_PTE_D));
	CHECK_EQ(cmpxchgs, 5);
}

TEST(a_refused_access_leaves_the_last_entry_clean)
{
	struct bv_walk walk = start_long();

	set(PT, get(PT) & ~BV_PTE_W, 8);
	CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_WRITE), BV_PF_PRESENT | BV_PF_WRITE);
	CHECK(get(PD) & BV_PTE_A);
	CHECK(!(get(PT) & (BV_PTE_A | BV_PTE_D)));
}

TEST(a_peek_changes_nothing_and_is_refused_nothing)
{
	struct bv_walk walk = start_long();
	u64 gpa = 0;

	set(PD, get(PD) & ~(BV_PTE_U | BV_PTE_W), 8);
	walk.cpl = 3;
	walk.peek = true;
	CHECK(bv_walk(&walk, GVA, BV_ACCESS_WRITE, &gpa));
	CHECK_EQ(gpa, 0x765432abc);
	CHECK(!walk.writable && !walk.user);
	CHECK_EQ(cmpxchgs, 0);
}

TEST(a_walk_starts_anew_when_an_entry_changes_under_it)
{
	struct bv_walk walk = start_long();

	contended = 3;
	CHECK_EQ(try(&walk, GVA, 0, BV_ACCESS_WRITE), NONE);
	CHECK_EQ(cmpxchgs, 7);
	/* but not for ever */
	walk = start_long();
	contended = ~0u;
	CHECK_EQ(try(&walk, GVA, 0, 0), NONE);
	CHECK(cmpxchgs < 100);
}
