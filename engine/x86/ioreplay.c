// SPDX-License-Identifier: MIT OR GPL-2.0-or-later
/* The log of answered device accesses of one instruction; see ioreplay.h. */
#include "x86/bytes.h"
#include "x86/ioreplay.h"

static bool bv_io_is_read(unsigned int kind)
{
	return kind == BV_IO_MMIO_READ || kind == BV_IO_PORT_READ;
}

static bool bv_ioreplay_matches(const struct bv_ioreplay *log, enum bv_io_kind kind, u64 address,
				unsigned int size, unsigned int count)
{
	const struct bv_io_entry *entry = &log->entries[log->cursor];

	return entry->kind == kind && entry->address == address && entry->size == size &&
	       entry->count == count;
}

/*
 * Forgets the answered entries from the cursor on: the guest took another way than the last time.
 */
static void bv_ioreplay_drop(struct bv_ioreplay *log)
{
	log->count = log->cursor;
	log->used = log->entries[log->cursor].offset;
}

enum bv_ioreplay_rc bv_ioreplay_access(struct bv_ioreplay *log, enum bv_io_kind kind, u64 address,
				       unsigned int size, unsigned int count, void *data)
{
	unsigned int bytes = size * count;
	struct bv_io_entry *entry;

	log->pending = false;
	if (log->cursor < log->count) {
		if (bv_ioreplay_matches(log, kind, address, size, count)) {
			if (bv_io_is_read(kind))
				bv_bytes_copy(data, log->bytes + log->entries[log->cursor].offset,
					      bytes);
			log->cursor++;
			return BV_IOREPLAY_DONE;
		}
		bv_ioreplay_drop(log);
	}
	if (log->count == BV_IOREPLAY_ENTRIES || log->used + bytes > BV_IOREPLAY_BYTES)
		return BV_IOREPLAY_FULL;
	entry = &log->entries[log->count];
	entry->kind = (u8)kind;
	entry->address = address;
	entry->size = (u8)size;
	entry->count = count;
	entry->offset = log->used;
	if (!bv_io_is_read(kind))
		bv_bytes_copy(log->bytes + log->used, data, bytes);
	log->pending = true;
	return BV_IOREPLAY_NEW;
}

struct bv_io_entry *bv_ioreplay_pending(struct bv_ioreplay *log)
{
	return log->pending ? &log->entries[log->count] : NULL;
}

void bv_ioreplay_answer(struct bv_ioreplay *log, const void *data)
{
	struct bv_io_entry *entry = bv_ioreplay_pending(log);
	unsigned int bytes;

	if (!entry)
		return;
	bytes = entry->size * entry->count;
	if (data)
		bv_bytes_copy(log->bytes + entry->offset, data, bytes);
	log->used += (u16)bytes;
	log->count++;
	log->cursor = log->count; /* as long as this run goes on */
	log->pending = false;
}
